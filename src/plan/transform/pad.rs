//! The planner of padding: a gather.

use crate::ops::Problem;
use crate::ops::transform::pad::Pad;
use crate::plan::Planned;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::plan::transform::gather;
use crate::types::Result;

impl Planned for Pad {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        gather::ALGORITHMS.to_vec()
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        gather::plan(self.name(), &self.x, &self.kind(), || self.tables(), self.value(), profile, algorithm)
    }
}
