//! Convolution on cooperative matrices: the loaders of [`super::implicit_gemm`] with the core that multiplies f16. Both operands are written as f16 first, the
//! input with its channels last: f32 numbers are scaled into f16's range and rounded, or split in two. Where a convolution's numbers cannot be scaled by
//! one number (an infinity, a NaN, a mask, one image much larger than another), which is known only when it runs, a plain kernel computes it instead: both
//! are recorded, and one of them leaves at once.

use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::conv::implicit_gemm::shape;
use crate::plan::conv::pointwise;
use crate::plan::gemm::magnitudes::Lines;
use crate::plan::gemm::matrix::{Columns, check};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, INDEX_LIMIT, Step};
use crate::plan::window::plane_strides;
use crate::reference::conv::matrix_roundings;
use crate::shader::source_gemm::{CONV_PACK_FILTER_HALVES, CONV_PACK_INPUT};
use crate::shader::uniforms::{ConvParams, PackInputParams, PackParams};
use crate::shader::{ALONG_K, KernelSource, KernelSpec, PARTS};
use crate::types::{ElementType, Error, Layout, Result};

pub(crate) fn supports(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    let Some(operands) = algorithm.operands() else { return Ok(()) };
    if matches!(algorithm, Algorithm::PointwiseCoop | Algorithm::PointwiseF16x2) {
        pointwise::supports(algorithm, problem)?;
    }
    let (shape, more) = (shape(problem, problem.batch), matrix_roundings(problem));
    check(algorithm.name(), operands, &shape, problem.element, problem.accuracy, more, profile)
}

/// The lines of the filter whose ranges count: the channels of one tap of an output channel, since an output at a border reads some taps alone.
pub(crate) fn filter_lines(problem: &ConvProblem) -> Lines {
    let (taps, channels, filters) = (problem.taps(), problem.channels_per_group(), problem.filters_per_group());
    let [batch, lines, elements] = match problem.direction {
        Direction::Forward => [[problem.out_channels, channels * taps], [taps, 1], [channels, taps]],
        Direction::Transposed => [[problem.in_channels / channels, channels * filters * taps], [filters * taps, 1], [channels, filters * taps]],
    };
    Lines { batch: [[1, 0], [1, 0], batch], base: 0, lines, elements }
}

/// Those of so many images of x: the channels of a group at one pixel. A window reads several, of which each is within the range.
pub(crate) fn pixel_lines(problem: &ConvProblem, images: u64, base: u32) -> Lines {
    let [n, c, p] = plane_strides(problem.x_layout, problem.in_channels, problem.input_positions()).map(u64::from);
    let channels = problem.channels_per_group();
    let batch = [[1, 0], [images, n], [problem.in_channels / channels, channels * c]];
    Lines { batch, base, lines: [problem.input_positions(), p], elements: [channels, c] }
}

/// A convolution's operands as the core reads them: f16, the channels of a group side by side and padded with zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halves {
    /// f16 for each number.
    parts: u64,
    /// Whether eights of channels of the filter lie together; else eights of its rows.
    along_k: bool,
    /// Channels that one load brings.
    grain: u64,
    /// Channels of a group, with zeros.
    padded: u64,
    /// Whether x is such already.
    in_place: bool,
}

impl Halves {
    /// With so many f16 for each number, and steps of the depth, which are channels, as neighbours in the filter or not.
    pub fn new(problem: &ConvProblem, parts: u32, along_k: bool) -> Self {
        let channels = problem.channels_per_group();
        // Loads of four spare zeros where those of eight would add more of them; eights of steps are of one tap.
        let grain = if along_k || channels.next_multiple_of(8) == channels.next_multiple_of(4) { 8 } else { 4 };
        let padded = channels.next_multiple_of(grain);
        let in_place = problem.element == ElementType::F16 && problem.x_layout == Layout::ChannelsLast && padded == channels;
        Self { parts: parts.into(), along_k, grain, padded, in_place }
    }

    pub fn columns(&self) -> Columns {
        Columns { grain: self.grain as u32, in_place: true }
    }

    /// Bytes that an image of x takes beside itself.
    pub fn image_bytes(&self, problem: &ConvProblem) -> u64 {
        if self.in_place { 0 } else { problem.input_positions().saturating_mul(problem.groups * self.padded).saturating_mul(2 * self.parts) }
    }

    /// Bytes of the filter for tiles of so many rows.
    pub fn filter_bytes(&self, problem: &ConvProblem, rows: u64) -> u64 {
        PackParams::padded_count(problem, self.padded, rows, problem.taps()).saturating_mul(2 * self.parts)
    }

    fn kernel(&self, source: &'static KernelSource, element: ElementType, grain: u64, along_channels: bool) -> KernelSpec {
        let mut consts = vec![(PARTS, self.parts as u32), ("GRAIN", grain as u32)];
        if along_channels {
            consts.push(("ALONG_CHANNELS", 1));
        }
        KernelSpec { source, element, consts, overrides: vec![] }
    }

    /// The step that packs the filter, whose range is `range`, for tiles of so many rows.
    pub fn pack_filter(&self, problem: &ConvProblem, rows: u64, [filter, order, range, to]: [BufferRef; 4], profile: &DeviceProfile) -> Result<Step> {
        let pack = PackParams::of_channels(problem, self.padded, rows, problem.taps());
        let mut kernel = self.kernel(&CONV_PACK_FILTER_HALVES, problem.element, 8, false);
        kernel.consts.push((ALONG_K, u32::from(self.along_k)));
        Step::new(kernel, &pack, vec![filter, order, to, range], u64::from(pack.items).div_ceil(64), profile)
    }

    /// The step that writes so many images of x, whose range is `range`; `base`: where they begin in their binding. `None` where they are read in place.
    pub fn pack_input(
        &self,
        problem: &ConvProblem,
        images: u64,
        base: u32,
        [x, range, to]: [BufferRef; 3],
        profile: &DeviceProfile,
    ) -> Result<Option<Step>> {
        if self.in_place {
            return Ok(None);
        }
        let (positions, all) = (problem.input_positions(), problem.groups * self.padded);
        let numbers = images.saturating_mul(positions).saturating_mul(all);
        if numbers >= INDEX_LIMIT {
            let (unit, limit_name) = ("elements", "the largest 31-bit index");
            return Err(Error::TooLarge { argument: "x as f16".into(), needed: numbers.into(), unit, limit_name, limit: INDEX_LIMIT - 1 });
        }
        let [x_stride_n, x_stride_c, x_stride_p] = plane_strides(problem.x_layout, problem.in_channels, positions);
        let tile = input_tile(all);
        let [position_tiles, channel_tiles] = [positions.div_ceil(tile[0]), all.div_ceil(tile[1])];
        let items = images * position_tiles * channel_tiles;
        let params = PackInputParams {
            items: items as u32,
            position_tiles: position_tiles as u32,
            channel_tiles: channel_tiles as u32,
            positions: positions as u32,
            channels: problem.channels_per_group() as u32,
            padded: self.padded as u32,
            all: all as u32,
            x_base: base,
            x_stride_n,
            x_stride_c,
            x_stride_p,
            unused: 0,
        };
        let mut kernel = self.kernel(&CONV_PACK_INPUT, problem.element, self.grain, x_stride_c == 1 && all > 1);
        kernel.consts.extend([("TILE_P", tile[0] as u32), ("TILE_C", tile[1] as u32)]);
        Ok(Some(Step::new(kernel, &params, vec![x, to, range], items, profile)?))
    }

    /// The numbers of a convolution kernel that reads x so.
    pub fn params(&self, problem: &ConvProblem, params: ConvParams) -> ConvParams {
        if self.in_place {
            return params;
        }
        let all = (problem.groups * self.padded) as u32;
        ConvParams {
            channels: self.padded as u32,
            x_base: 0,
            x_stride_n: problem.input_positions() as u32 * all,
            x_stride_c: 1,
            x_stride_p: all,
            x_stride_g: self.padded as u32,
            ..params
        }
    }
}

/// Positions and channels of a workgroup of `shaders/conv/pack_input.wgsl` for so many channels of all groups: 1024 numbers, few
/// of them outside the tensor.
fn input_tile(channels: u64) -> [u64; 2] {
    let tile_channels = channels.next_power_of_two().clamp(4, 32);
    [1024 / tile_channels, tile_channels]
}
