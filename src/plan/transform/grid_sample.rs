//! The planner of sampling at the positions of a grid: one output per invocation, in parts of images, then of channels and of positions, where a binding does
//! not hold all. A plane of x is not cut: any position may read any of it.

use crate::ops::Problem;
use crate::ops::transform::grid_sample::{GridSample, GridSampleMode, GridSamplePadding};
use crate::plan::Planned;
use crate::plan::parts::{Divisible, Part, or_divide};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::TRANSFORM_GRID_SAMPLE;
use crate::shader::uniforms::GridSampleParams;
use crate::types::{Layout, Result};

const DIRECT: &str = "direct";

impl Planned for GridSample {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![DIRECT]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(self, profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for GridSample {
    type Part = Self;

    /// Images, channels, and the axes of positions.
    fn cut_extents(&self) -> Vec<u64> {
        self.x.extents[..2].iter().chain(&self.grid[1..self.grid.len() - 1]).map(|&extent| extent as u64).collect()
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self>> {
        let mut part = self.clone();
        let [mut x, mut grid, mut y] = [vec![0; self.x.rank()], vec![0; self.grid.len()], vec![0; self.x.rank()]];
        for (axis, range) in ranges.iter().enumerate() {
            let count = range.count as usize;
            y[axis] = range.first;
            if axis < 2 {
                (part.x.extents[axis], x[axis]) = (count, range.first);
            }
            // The grid has no channels.
            match axis {
                0 => (part.grid[0], grid[0]) = (count, range.first),
                1 => {}
                _ => (part.grid[axis - 1], grid[axis - 1]) = (count, range.first),
            }
        }
        Ok(Part::of(part, vec![x, grid], vec![y]))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan_images(profile, algorithm)
    }
}

impl GridSample {
    /// The plan by whole images.
    fn plan_images(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[DIRECT], algorithm, DIRECT)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors(self.name(), &plan.inputs.iter().chain(&plan.outputs).collect::<Vec<_>>(), profile)?;
        // Every cast is in range: all tensors have less than 2^31 elements.
        let [depth, height, width] = self.extents().map(|extent| extent as u32);
        let channels = self.x.extents[1] as u64;
        let ([positions, outputs], element) = (self.positions(), self.x.element);
        // Elements of one image.
        let [x, grid, y] = [channels * positions, outputs * self.spatial() as u64, channels * outputs];
        let mode = match self.descriptor.mode {
            GridSampleMode::Nearest => 0,
            GridSampleMode::Linear => 1,
            GridSampleMode::Cubic => 2,
        };
        let padding = match self.descriptor.padding {
            GridSamplePadding::Zeros => 0,
            GridSamplePadding::Border => 1,
            GridSamplePadding::Reflection => 2,
        };
        let channels_last = self.x.layout == Layout::ChannelsLast;
        let flags = [("PADDING", padding), ("ALIGN_CORNERS", self.descriptor.align_corners.into()), ("CHANNELS_LAST", channels_last.into())];
        let kernel = KernelSpec {
            source: &TRANSFORM_GRID_SAMPLE,
            element,
            consts: vec![("AXES", self.spatial() as u32), ("MODE", mode)],
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let bytes = element.bytes();
        let tensors = [("one image of x", x * bytes), ("one image of the grid", grid * bytes), ("one image of the output", y * bytes)];
        for chunk in chunks(self.x.extents[0] as u64, &tensors, profile)? {
            let [of_x, of_grid, of_y] = [x, grid, y].map(|item| chunk.range(item, element, profile));
            let params = GridSampleParams {
                depth,
                height,
                width,
                channels: channels as u32,
                outputs: outputs as u32,
                items: (chunk.count * y) as u32,
                x_base: of_x.base,
                grid_base: of_grid.base,
                y_base: of_y.base,
                unused0: 0,
                unused1: 0,
                unused2: 0,
            };
            let refs = vec![
                BufferRef::Input { index: 0, first: of_x.first, bytes: of_x.bytes },
                BufferRef::Input { index: 1, first: of_grid.first, bytes: of_grid.bytes },
                BufferRef::Output { index: 0, first: of_y.first, bytes: of_y.bytes },
            ];
            plan.steps.push(Step::new(kernel.clone(), &params, refs, (chunk.count * y).div_ceil(64), profile)?);
        }
        Ok(plan)
    }
}
