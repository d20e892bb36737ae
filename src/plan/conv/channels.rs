//! A convolution whose filter, as it is or packed, fits no binding, in parts of its groups, then of the filters of a group ([`crate::plan::parts`]).

use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::plan_windows;
use crate::plan::parts::{Divisible, Part, divide};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Chunk, Plan};
use crate::types::{Error, Result};

impl Divisible for ConvProblem {
    type Part = Self;

    fn cut_extents(&self) -> Vec<u64> {
        vec![self.groups, self.filters_per_group()]
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self>> {
        let (groups, filters) = (ranges[0], ranges[1]);
        let [channels, per_group] = [self.channels_per_group(), self.filters_per_group()];
        let problem = Self { groups: groups.count, in_channels: groups.count * channels, out_channels: groups.count * filters.count, ..self.clone() };
        // Filters of a group are cut where it is the only one, so that those of a part are neighbours.
        let (from_channel, from_filter) = (groups.first * channels, groups.first * per_group + filters.first);
        let spatial = |first: [u64; 2]| first.into_iter().chain(std::iter::repeat_n(0, self.rank)).collect::<Vec<_>>();
        let of_filter = match self.direction {
            Direction::Forward => [from_filter, 0],
            Direction::Transposed => [from_channel, filters.first],
        };
        let mut inputs = vec![spatial([0, from_channel]), spatial(of_filter)];
        inputs.extend(self.has_bias.then(|| vec![from_filter]));
        inputs.extend(self.has_residual.then(|| spatial([0, from_filter])));
        Ok(Part::of(problem, inputs, vec![spatial([0, from_filter])]))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let Some(label) = algorithm else { return plan_windows(part, profile, None) };
        let (name, tile) = label.split_once(' ').map_or((label, None), |(name, tile)| (name, Some(tile)));
        plan_windows(&part.clone().with_algorithm(Some(name.parse()?)), profile, tile)
    }

    /// Errors are those of the label, and of a Fourier transform those of its tile.
    fn algorithm_of_all(first: &Plan) -> String {
        if first.algorithm() == Algorithm::Fft.name() { first.label.clone() } else { first.algorithm().to_string() }
    }
}

/// Plans the parts of a convolution; `None` where there are none that fit.
pub(crate) fn plan(problem: &ConvProblem, profile: &DeviceProfile, tile: Option<&str>) -> Option<Result<Plan>> {
    let forced = problem.algorithm.map(|algorithm| tile.map_or(algorithm.to_string(), |tile| format!("{algorithm} {tile}")));
    match divide(problem, profile, forced.as_deref()) {
        // What is best for the first part does not apply to them all, or packs too much of a single filter.
        None | Some(Err(Error::Unsupported { .. })) if forced.is_none() => {
            let others = [Algorithm::ImplicitGemmRegister, Algorithm::Direct];
            others.into_iter().find_map(|algorithm| divide(problem, profile, Some(algorithm.name())).filter(Result::is_ok))
        }
        planned => planned,
    }
}
