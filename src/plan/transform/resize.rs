//! The planner of resizing: a gather, or linear interpolation.

use crate::ops::Problem;
use crate::ops::transform::resize::{Resize, ResizeMode};
use crate::plan::Planned;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::plan::transform::{gather, linear};
use crate::types::Result;

impl Planned for Resize {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        gather::ALGORITHMS.to_vec()
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        match self.descriptor.mode {
            ResizeMode::Nearest(mode) => gather::plan(self.name(), &self.x, &self.kind(), || self.tables(mode), 0.0, profile, algorithm),
            ResizeMode::Linear => linear::plan(self, profile, algorithm),
        }
    }
}
