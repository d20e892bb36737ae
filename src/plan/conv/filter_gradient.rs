//! The planner of filter gradients: the kernels of convolution, over tensors whose batch and channels are exchanged by their strides alone.
//!
//! The depth of the product is all positions of a batch: position by position, each as long as there are images, or on the tile cores row by row
//! (`shaders/conv/filter_rows.wgsl`) where a row has more positions than there are images. What is longer than a driver's loops or a device's bindings allow is computed in parts, whose
//! sums are added in order: the same shape on the same device gives the same bits. A dw that no binding holds is computed some groups, or filters of a group,
//! at a time.

use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::filter_gradient::{Box3, FilterGradient};
use crate::ops::conv::problem::ConvProblem;
use crate::ops::conv::winograd_gradient::GradientTiles;
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::plan::Planned;
use crate::plan::conv::{direct, implicit_gemm, winograd_gradient};
use crate::plan::gemm::method::Method;
use crate::plan::gemm::splits::{partial_sums, sum_items};
use crate::plan::gemm::tile::{Core, Tile};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_parts, check_tensors};
use crate::plan::{pick, reason};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::{CONV_FILTER_ROWS_REGISTER, CONV_FILTER_ROWS_WORKGROUP, CONV_PACK_FILTER};
use crate::shader::uniforms::{ConvParams, PackParams};
use crate::types::shape::WindowAxis;
use crate::types::{Error, Result, TensorType};

/// The algorithms of convolution that read any strides, and those with a formula for gradients.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Direct, Algorithm::ImplicitGemmWorkgroup, Algorithm::ImplicitGemmRegister, Algorithm::WinogradF2, Algorithm::WinogradF4];

/// Fewest rows of a product that a tile is worth: below, most of it is padding.
const FEWEST_ROWS: u64 = 3;

/// Scratch buffers: dy packed for a tile core, the sums of splits, those of a part.
const PACKED: usize = 0;

const SPLITS: usize = 1;

const PART: usize = 2;

/// Strides of a channels-first tensor: image, group, channel. Positions are contiguous.
struct Strides {
    image: u64,
    group: u64,
    channel: u64,
}

impl FilterGradient {
    /// Of the tensor that windows read, and of the other one.
    fn strides(&self) -> [Strides; 2] {
        let (channels, positions) = (self.channels(), self.positions());
        [0, 1].map(|i| {
            let group = channels[i] * positions[i];
            Strides { image: group * self.conv.groups, group, channel: positions[i] }
        })
    }

    /// Bytes of dw for each channel of the tensor that windows do not read: a filter, or of a transposed convolution what its channel has.
    fn filter_bytes(&self) -> u64 {
        self.channels()[0].saturating_mul(self.conv.taps()).saturating_mul(self.conv.element.bytes())
    }

    /// Groups, and of each of them these channels, at once: so many that a binding holds their part of dw, and that each part begins where a binding may.
    fn at_once(&self, profile: &DeviceProfile) -> Result<[u64; 2]> {
        let (groups, channels, filter) = (self.conv.groups, self.channels()[1], self.filter_bytes());
        let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
        if self.outputs()[0].bytes() <= limit {
            return Ok([groups, channels]);
        }
        // At least 1: of an alignment that is none, which is refused later.
        let unit = |bytes: u64| (profile.storage_alignment >> bytes.trailing_zeros().min(profile.storage_alignment.trailing_zeros())).max(1);
        let fitting = |bytes: u64| limit / bytes / unit(bytes) * unit(bytes);
        let group = channels.saturating_mul(filter);
        if fitting(group) > 0 {
            return Ok([fitting(group).min(groups), channels]);
        }
        if groups > 1 && unit(group) > 1 {
            check_binding("the dw of as many groups as begin where a binding may", unit(group).saturating_mul(group), profile)?;
        }
        check_binding("a filter of dw", unit(filter).saturating_mul(filter), profile)?;
        Ok([1, fitting(filter).min(channels)])
    }

    /// The convolution that computes a part of the positions for so many groups and channels. Row by row the positions of a row are its channels, and the
    /// images its taps along the width.
    fn dual_of(&self, algorithm: Algorithm, part: &Box3, [groups, channels]: [u64; 2]) -> ConvProblem {
        let mut dual = self.dual(part);
        let mut length = part.count[0];
        if self.is_by_rows(algorithm, part) {
            length = self.row();
            dual.axes[2] = WindowAxis { filter: part.count[0], dilation: 1, ..dual.axes[2] };
        }
        ConvProblem { groups, in_channels: length * groups, out_channels: channels * groups, ..dual }
    }

    /// Positions of a row of the tensor that windows do not read.
    fn row(&self) -> u64 {
        self.extents(&self.conv.axes[2])[1]
    }

    /// Whether the depth of a part goes along rows: where they are longer than its images are many, less is computed for each step of the depth.
    fn is_by_rows(&self, algorithm: Algorithm, part: &Box3) -> bool {
        implicit_gemm::core(algorithm).is_some() && self.row() > part.count[0]
    }

    /// Whether a window of some row reaches over an edge of the width.
    fn is_padded(&self) -> bool {
        let axis = &self.conv.axes[2];
        let [input, output] = self.extents(axis);
        let end = (output - 1) * axis.stride + (axis.filter - 1) * axis.dilation;
        axis.pad_begin > 0 || end as i64 - axis.pad_begin >= input as i64
    }

    /// The method of an algorithm for a part, whose convolution `dual` is.
    fn method(&self, algorithm: Algorithm, tile: Option<&str>, part: &Box3, dual: &ConvProblem, profile: &DeviceProfile) -> Result<Method> {
        let Some(core) = implicit_gemm::core(algorithm) else { return Ok(direct::method(dual)) };
        let mut method = implicit_gemm::method(algorithm, core, dual, profile, tile)?;
        if self.is_by_rows(algorithm, part) {
            for call in &mut method.calls {
                call.source = if core == Core::Register { &CONV_FILTER_ROWS_REGISTER } else { &CONV_FILTER_ROWS_WORKGROUP };
                call.consts.push(("PADDED", self.is_padded().into()));
            }
        }
        Ok(method)
    }

    /// Where the rows of a part begin among the positions of the tensor that windows do not read, in the order of the depth.
    fn rows(&self, part: &Box3) -> Vec<u32> {
        let [_, planes, rows] = part.count;
        let plane = self.extents(&self.conv.axes[1])[1] * self.row();
        let image = self.strides()[1].image;
        // Every cast is in range: the tensor has less than 2^31 elements.
        let at = move |plane_row: u64| move |n: u64| (n * image + plane_row) as u32;
        let all = (0..planes).flat_map(|z| (0..rows).map(move |p| (z, p)));
        all.flat_map(|(z, p)| (0..part.count[0]).map(at(z * plane + p * self.row()))).collect()
    }

    /// Whether the kernels of this algorithm compute a part of these positions in one go.
    fn fits(&self, algorithm: Algorithm, tile: Option<&str>, part: &Box3, at_once: [u64; 2], profile: &DeviceProfile) -> bool {
        let dual = self.dual_of(algorithm, part, at_once);
        let shape = implicit_gemm::shape(&dual, dual.batch);
        // Bindings begin where the device says, up to one alignment before the first element.
        let limit = profile.max_binding_bytes - profile.storage_alignment.min(profile.max_binding_bytes);
        let bytes = |strides: &Strides| part.count[0].saturating_mul(strides.image * self.conv.element.bytes());
        if self.strides().iter().any(|strides| bytes(strides) > limit) {
            return false;
        }
        if implicit_gemm::core(algorithm).is_none() {
            return dual.reduction_depth().saturating_add(3 * dual.taps()) <= profile.max_loop_iterations;
        }
        // A core's method refuses loops that are too long for the driver.
        let Ok(method) = self.method(algorithm, tile, part, &dual, profile) else { return false };
        let packed = method.memory.packed[0].map_or(0, |packed| {
            let [multiple, _] = packed.panels(dual.filters_per_group());
            PackParams::count(&dual, multiple, dual.taps()).saturating_mul(self.conv.element.bytes())
        });
        packed <= limit && (method.memory.splits == 1 || partial_sums(&shape, method.memory.splits, profile).is_ok())
    }

    /// The parts of an algorithm: as few images as fit; of an image that does not fit, as few planes, then rows.
    fn parts(&self, algorithm: Algorithm, tile: Option<&str>, profile: &DeviceProfile) -> Result<Vec<Box3>> {
        let (whole, at_once) = (self.whole(), self.at_once(profile)?);
        let mut size = whole.count;
        let fits = |count: [u64; 3]| self.fits(algorithm, tile, &Box3 { count, ..whole }, at_once, profile);
        for axis in 0..3 {
            while size[axis] > 1 && !fits(size) {
                size[axis] = size[axis].div_ceil(2);
            }
        }
        if !fits(size) {
            let reason = "one row of an image is longer than this driver's loops may be, or one image than a binding".to_string();
            return Err(Error::Unsupported { algorithm: algorithm.to_string(), reason });
        }
        let slices = u128::from(self.conv.groups.div_ceil(at_once[0])) * u128::from(self.channels()[1].div_ceil(at_once[1]));
        check_parts("one image", (0..3).map(|axis| u128::from(whole.count[axis].div_ceil(size[axis]))).product::<u128>() * slices)?;
        let starts = |axis: usize| (0..whole.count[axis]).step_by(size[axis] as usize);
        let part = |first: [u64; 3]| Box3 { first, count: [0, 1, 2].map(|axis| size[axis].min(whole.count[axis] - first[axis])) };
        Ok(starts(0).flat_map(|n| starts(1).flat_map(move |z| starts(2).map(move |p| [n, z, p]))).map(part).collect())
    }

    /// The first part goes to dw; each of the others to memory of its own, and is added.
    fn of_parts(&self, algorithm: Algorithm, tile: Option<&str>, parts: &[Box3], profile: &DeviceProfile) -> Result<Plan> {
        let mut plan = Plan::new(self.name(), String::new(), self.inputs(), self.outputs());
        let (all, at_once) = ([self.conv.groups, self.channels()[1]], self.at_once(profile)?);
        let chunks = |i: usize| (0..all[i]).step_by(at_once[i] as usize).map(move |first| Chunk { first, count: at_once[i].min(all[i] - first) });
        for slice in chunks(0).flat_map(|groups| chunks(1).map(move |channels| [groups, channels])) {
            let counts = slice.map(|chunk| chunk.count);
            let from = (slice[0].first * all[1] + slice[1].first) * self.filter_bytes();
            let bytes = counts[0] * counts[1] * self.filter_bytes();
            let numbers = TensorType::f32(&[(bytes / self.conv.element.bytes()) as usize]);
            let sum = BinaryProblem::new(&numbers, &numbers, BinaryOp::Add)?.in_place()?.plan(profile, None)?;
            for (i, part) in parts.iter().enumerate() {
                let dual = self.dual_of(algorithm, part, counts);
                let method = self.method(algorithm, tile, part, &dual, profile)?;
                let by_rows = self.is_by_rows(algorithm, part);
                plan.label = method.label(algorithm.name());
                if i == 0 {
                    let output = BufferRef::Output { index: 0, first: from, bytes };
                    self.part(&dual, part, by_rows, slice, &method, output, profile, &mut plan)?;
                    continue;
                }
                let own = scratch(&mut plan, PART, bytes, profile)?;
                self.part(&dual, part, by_rows, slice, &method, own, profile, &mut plan)?;
                let BufferRef::Scratch(index) = own else { continue };
                for step in &sum.steps {
                    let place = |place: &BufferRef| match *place {
                        BufferRef::Input { first, bytes, .. } => BufferRef::ScratchPart { index, first, bytes },
                        BufferRef::Output { index, first, bytes } => BufferRef::Output { index, first: from + first, bytes },
                        other => other,
                    };
                    plan.steps.push(Step { refs: step.refs.iter().map(place).collect(), ..step.clone() });
                }
            }
        }
        Ok(plan)
    }

    #[allow(clippy::too_many_arguments, reason = "a part is all of these")]
    fn part(
        &self,
        dual: &ConvProblem,
        part: &Box3,
        by_rows: bool,
        [groups, channels]: [Chunk; 2],
        method: &Method,
        output: BufferRef,
        profile: &DeviceProfile,
        plan: &mut Plan,
    ) -> Result<()> {
        let [wide, narrow] = self.strides();
        let [wide_input, narrow_input] = if self.x_is_wide() { [0, 1] } else { [1, 0] };
        let element = self.conv.element;
        // Bindings hold the part's images; every cast is in range, since the tensors have less than 2^31 elements.
        let images = Chunk { first: part.first[0], count: part.count[0] };
        let (wide_range, narrow_range) = (images.range(wide.image, element, profile), images.range(narrow.image, element, profile));
        let x = BufferRef::Input { index: wide_input, first: wide_range.first, bytes: wide_range.bytes };
        let dy = BufferRef::Input { index: narrow_input, first: narrow_range.first, bytes: narrow_range.bytes };
        let [_, height, width] = &self.conv.axes;
        let positions = (part.first[1] * self.extents(height)[1] + part.first[2]) * self.row();
        // From a step of the depth to the next, and from one tap along the width to the next.
        let [x_stride_c, x_stride_p, w_stride_c] = if by_rows { [width.stride, wide.image, 1] } else { [wide.image, 1, narrow.image] };
        let w_base = narrow_range.base + (groups.first * narrow.group + channels.first * narrow.channel + positions) as u32;
        let taps = self.conv.taps();
        let params = ConvParams {
            x_base: wide_range.base + (groups.first * wide.group) as u32,
            x_stride_n: wide.channel as u32,
            x_stride_c: x_stride_c as u32,
            x_stride_p: x_stride_p as u32,
            x_stride_g: wide.group as u32,
            y_base: 0,
            y_stride_n: taps as u32,
            y_stride_k: (self.channels()[0] * taps) as u32,
            y_stride_p: 1,
            w_base,
            w_stride_g: narrow.group as u32,
            w_stride_k: narrow.channel as u32,
            w_stride_c: w_stride_c as u32,
            ..ConvParams::new(dual)
        };
        let weights = match method.memory.packed[0] {
            None => dy,
            Some(packed) => {
                let [multiple, _] = packed.panels(dual.filters_per_group());
                let pack = PackParams {
                    w_base,
                    w_stride_g: params.w_stride_g,
                    w_stride_k: params.w_stride_k,
                    w_stride_c: params.w_stride_c,
                    ..PackParams::new(dual, multiple, dual.taps())
                };
                let place = scratch(plan, PACKED, u64::from(pack.items) * element.bytes(), profile)?;
                let kernel = KernelSpec { source: &CONV_PACK_FILTER, element, consts: vec![], overrides: vec![] };
                let order = if by_rows {
                    plan.tables.push(self.rows(part));
                    BufferRef::Table(plan.tables.len() - 1)
                } else {
                    BufferRef::Nothing
                };
                plan.steps.push(Step::new(kernel, &pack, vec![dy, order, place], u64::from(pack.items).div_ceil(64), profile)?);
                place
            }
        };
        let shape = implicit_gemm::shape(dual, dual.batch);
        let splits = method.memory.splits;
        let partials = if splits > 1 { scratch(plan, SPLITS, partial_sums(&shape, splits, profile)?, profile)? } else { BufferRef::Nothing };
        let target = if splits > 1 { partials } else { output };
        for call in &method.calls {
            let count = call.work.count(&shape);
            let [tiles_m, tiles_n] = count.tiles.map(|tiles| tiles as u32);
            let columns = if tiles_n > 0 { shape.columns as u32 } else { 0 };
            let params = ConvParams { columns, tiles_m, tiles_n, items: count.items as u32, ..params };
            let refs = vec![BufferRef::Nothing, BufferRef::Nothing, target, x, weights];
            plan.steps.push(Step::new(call.kernel(&shape, element, profile), &params, refs, count.workgroups, profile)?);
        }
        if splits > 1 {
            let items = sum_items(&shape);
            let params = ConvParams { columns: shape.columns as u32, items: items as u32, ..params };
            let refs = vec![BufferRef::Nothing, BufferRef::Nothing, output, partials, BufferRef::Nothing];
            plan.steps.push(Step::new(implicit_gemm::sum(dual, splits, profile), &params, refs, items.div_ceil(64), profile)?);
        }
        Ok(())
    }
}

/// Scratch buffer `index`, which all parts share: as large as the largest needs.
fn scratch(plan: &mut Plan, index: usize, bytes: u64, profile: &DeviceProfile) -> Result<BufferRef> {
    check_binding("memory of a filter gradient", bytes, profile)?;
    while plan.scratch.len() <= index {
        plan.scratch.push(16);
    }
    plan.scratch[index] = plan.scratch[index].max(bytes);
    Ok(BufferRef::Scratch(index))
}

impl Planned for FilterGradient {
    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        ALGORITHMS.into_iter().filter(|algorithm| self.applies(*algorithm, profile).is_ok()).map(Algorithm::name).collect()
    }

    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        let with_tiles = |name: &str| -> Vec<String> {
            let Ok(algorithm) = name.parse::<Algorithm>() else { return vec![] };
            if let Algorithm::WinogradF2 | Algorithm::WinogradF4 = algorithm {
                return winograd_gradient::candidates(algorithm, self, profile);
            }
            let dual = self.dual_of(algorithm, &self.whole(), [self.conv.groups, self.channels()[1]]);
            let tiles = implicit_gemm::core(algorithm).map(|core: Core| Tile::candidates(core, &implicit_gemm::shape(&dual, dual.batch), profile));
            tiles.map_or_else(|| vec![name.to_string()], |tiles| tiles.into_iter().map(|tile| format!("{name} {tile}")).collect())
        };
        self.algorithms(profile).into_iter().flat_map(with_tiles).collect()
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        check_tensors(self.name(), &self.inputs().iter().chain(&self.outputs()).collect::<Vec<_>>(), profile)?;
        for (axis, name) in self.dual(&self.whole()).axes.iter().zip(["depth", "height", "width"]) {
            axis.check_reach(name)?;
        }
        let admitted = self.algorithms(profile);
        let (name, tile) = match algorithm.map(|label| label.split_once(' ').unwrap_or((label, ""))) {
            Some((name, tile)) => (Some(name), Some(tile).filter(|tile| !tile.is_empty())),
            None => (None, None),
        };
        let preferred = self.preferred(&admitted, profile).or(admitted.first().copied());
        let Some(preferred) = preferred else {
            let reason = "a row of an image is longer than this driver's loops may be".to_string();
            return Err(Error::Unsupported { algorithm: self.name().into(), reason });
        };
        let algorithm: Algorithm = pick(&admitted, name, preferred)?.parse()?;
        if let Algorithm::WinogradF2 | Algorithm::WinogradF4 = algorithm {
            return winograd_gradient::plan(self, algorithm, tile, profile);
        }
        let parts = self.parts(algorithm, tile, profile)?;
        self.of_parts(algorithm, tile, &parts, profile)
    }

    fn not_chosen(&self, profile: &DeviceProfile) -> Vec<(&'static str, String)> {
        let chosen = self.plan(profile, None).map_or_else(|_| String::new(), |plan| plan.algorithm().to_string());
        let why = |algorithm: Algorithm| match self.applies(algorithm, profile) {
            Ok(()) => format!("it applies; {chosen} is preferred"),
            Err(error) => reason(error),
        };
        ALGORITHMS.into_iter().filter(|algorithm| algorithm.name() != chosen).map(|algorithm| (algorithm.name(), why(algorithm))).collect()
    }

    fn is_exact_for(&self, algorithm: &str) -> bool {
        winograd(self, algorithm).is_none_or(|tiles| tiles.transforms.is_exact())
    }

    fn is_local(&self, algorithm: &str) -> bool {
        winograd(self, algorithm).is_none()
    }

    fn error_ratio(&self, algorithm: &str) -> f64 {
        winograd(self, algorithm).map_or(1.0, |tiles| tiles.relative_error(self))
    }

    fn tuning_key(&self) -> String {
        format!("{}/{self}/{}", self.name(), self.conv.accuracy.name())
    }
}

impl FilterGradient {
    /// Whether an algorithm can compute it on a device like `profile`.
    fn applies(&self, algorithm: Algorithm, profile: &DeviceProfile) -> Result<()> {
        if let Algorithm::WinogradF2 | Algorithm::WinogradF4 = algorithm {
            return winograd_gradient::supports(algorithm, self, profile);
        }
        implicit_gemm::core(algorithm).map_or(Ok(()), |core| core.check(algorithm.name(), profile))?;
        self.parts(algorithm, None, profile).map(|_| ())
    }

    /// The planner's preference: the fewest multiplications where they pay, else the tile cores where a tile is filled.
    fn preferred(&self, admitted: &[&'static str], profile: &DeviceProfile) -> Option<&'static str> {
        let gemm = if profile.is_cpu { Algorithm::ImplicitGemmRegister } else { Algorithm::ImplicitGemmWorkgroup };
        let pays = |algorithm: &Algorithm| match algorithm {
            Algorithm::WinogradF2 | Algorithm::WinogradF4 => winograd_gradient::pays(*algorithm, self, profile),
            Algorithm::Direct => true,
            _ => self.channels()[1] >= FEWEST_ROWS,
        };
        let order = [Algorithm::WinogradF4, Algorithm::WinogradF2, gemm, Algorithm::ImplicitGemmRegister, Algorithm::Direct];
        order.into_iter().filter(pays).map(Algorithm::name).find(|name| admitted.contains(name))
    }
}

/// How Winograd's formula cuts it, where that is what a label names.
fn winograd(gradient: &FilterGradient, label: &str) -> Option<GradientTiles> {
    let algorithm = label.split(' ').next()?.parse().ok()?;
    GradientTiles::of(algorithm, gradient)
}
