//! The planner of images: a pixel per invocation to a tensor, a word of four bytes per invocation back; of textures some texels either way.
//!
//! Textures are no tensors, so a call over one is no step of a plan: [`texture_call`] has what such a call needs, by the same pure arithmetic.

use crate::ops::Problem;
use crate::ops::image::{Affine, ImageProblem};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::bands::{Band, Cut, Rows};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_binding, check_parts, check_tensors};
use crate::shader::source::{IMAGE_READ, IMAGE_READ_TEXTURE, IMAGE_WRITE, IMAGE_WRITE_R32, IMAGE_WRITE_RGBA8, IMAGE_WRITE_RGBA16};
use crate::shader::uniforms::ImageParams;
use crate::shader::{KernelSource, KernelSpec};
use crate::types::{ElementType, Result, TensorType};

const DIRECT: &str = "direct";

/// Calls of a part of an image, about: copies may need several where a device has few workgroups.
const STEPS: u128 = 8;

impl Planned for ImageProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![DIRECT]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[DIRECT], algorithm, DIRECT)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        let all: Vec<_> = plan.inputs.iter().chain(&plan.outputs).collect();
        check_tensors("an image", &all, profile)?;
        // Bytes are counted in 32 bits too.
        check_tensors(
            "an image",
            &[&TensorSpec::new("bytes of the image", &[self.image_bytes() as usize], ElementType::U32, self.tensor.layout)],
            &DeviceProfile { max_buffer_bytes: u64::MAX, ..*profile },
        )?;
        if let Some(refusal) = self.inputs().iter().chain(&self.outputs()).find_map(|spec| check_binding(&spec.name, spec.bytes(), profile).err()) {
            return self.in_bands(plan, profile).unwrap_or(Err(refusal));
        }
        let params = params(&self.tensor, self.affine());
        let kernel = KernelSpec {
            source: if self.writes { &IMAGE_WRITE } else { &IMAGE_READ },
            element: self.tensor.element,
            consts: [("SEVERAL", u32::from(self.tensor.extents[0] > 1))]
                .into_iter()
                .chain(channels(self.tensor.extents[1], self.format.channels()))
                .collect(),
            overrides: vec![],
        };
        let items = if self.writes { self.image_bytes().div_ceil(4) } else { self.pixels() };
        let refs = vec![BufferRef::input(0, &plan.inputs), BufferRef::output(0, &plan.outputs)];
        plan.steps.push(Step::new(kernel, &params, refs, items.div_ceil(64), profile)?);
        Ok(plan)
    }
}

impl ImageProblem {
    /// Its plan where no binding holds the tensor, or the bytes: rows of an image at a time, which begin where a word of four bytes does. `None` where not even
    /// one such row fits, or an image begins inside a word.
    fn in_bands(&self, mut plan: Plan, profile: &DeviceProfile) -> Option<Result<Plan>> {
        let [n, channels, height, width] = [0, 1, 2, 3].map(|axis| self.tensor.extents[axis] as u64);
        let row = width * self.format.channels() as u64;
        if n > 1 && !(height * row).is_multiple_of(4) {
            return None;
        }
        let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
        let unit = if row.is_multiple_of(4) { 1 } else { 4 };
        // The last word of a band may be filled up.
        let rows = limit.saturating_sub(3) / row.max(channels * width * self.tensor.element.bytes()) / unit * unit;
        if rows == 0 {
            return None;
        }
        check_parts("an image", u128::from(n) * u128::from(height.div_ceil(rows))).ok()?;
        let band = |first: u64| {
            let mut problem = self.clone();
            (problem.tensor.extents[0], problem.tensor.extents[2]) = (1, rows.min(height - first) as usize);
            Band { problem, x: vec![], first }
        };
        let bands: Vec<Band<Self>> = (0..height).step_by(rows as usize).map(band).collect();
        let (x, y) = (Cut::new(Some(0), &bands, &mut plan), Cut::new(None, &bands, &mut plan));
        let (words, pixels) = if self.writes { (&y, &x) } else { (&x, &y) };
        let mut fill = || {
            for (image, band) in (0..n).flat_map(|image| bands.iter().map(move |band| (image, band))) {
                let part = band.problem.plan(profile, None)?;
                let of_words = [Rows { tensor: (image * height + band.first) * row / 4, band: 0, count: band.problem.words().count() }];
                let of_pixels = [Rows { tensor: band.first, band: 0, count: band.problem.tensor.extents[2] as u64 }];
                let of_words = words.copies(&band.problem.words(), 0, 0, &of_words, profile)?;
                let of_pixels = pixels.copies(&TensorSpec::of("x", &band.problem.tensor), 2, image, &of_pixels, profile)?;
                let (before, after) = if self.writes { (of_pixels, of_words) } else { (of_words, of_pixels) };
                let calls = plan.take_in(part, &[x.scratch], &[y.scratch]);
                plan.steps.extend(before.into_iter().chain(calls).chain(after));
                check_parts("an image", plan.steps.len() as u128 / STEPS)?;
            }
            Ok(())
        };
        Some(fill().map(|()| plan))
    }
}

/// The uniform of a tensor N C H W below 2^31 elements.
fn params(tensor: &TensorType, Affine { scale, offset }: Affine) -> ImageParams {
    let [image, channel, position] = ImageProblem::tensor_strides(tensor);
    let [n, _, height, width] = [0, 1, 2, 3].map(|axis| tensor.extents[axis] as u32);
    ImageParams {
        scale: scale.map(|v| v as f32),
        offset: offset.map(|v| v as f32),
        items: n * height * width,
        positions: height * width,
        width,
        rows: height,
        image_stride: image as u32,
        channel_stride: channel as u32,
        position_stride: position as u32,
        first_row: 0,
    }
}

/// What loops over channels of a tensor and of its image stop at: as constants they are unrolled, and bytes become pixels without a division.
fn channels(tensor: usize, stored: usize) -> [(&'static str, u32); 2] {
    [("CHANNELS", tensor as u32), ("STORED", stored as u32)]
}

/// What a texture holds, as far as kernels of images tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texels {
    /// Four channels of 8 bits.
    Rgba8,
    /// The same, decoded from sRGB when they are read; nothing writes them.
    Rgba8Srgb,
    /// Four f16 channels.
    Rgba16,
    /// One f32 channel.
    R32,
}

impl Texels {
    pub fn channels(self) -> usize {
        if self == Texels::R32 { 1 } else { 4 }
    }
}

/// A kernel call over a texture and a tensor.
pub(crate) struct TextureCall {
    pub kernel: KernelSpec,
    pub params: ImageParams,
    pub workgroups: [u32; 3],
}

/// How many rows of an image 1 C H W a binding holds: all of them, or bands.
///
/// # Errors
/// One row does not fit; a tensor or a number of bands past what there may be.
pub(crate) fn rows_at_once(tensor: &TensorType, profile: &DeviceProfile) -> Result<usize> {
    let spec = TensorSpec::of("x", tensor);
    check_tensors("an image", &[&spec], profile)?;
    let height = tensor.extents[2] as u64;
    let row = spec.bytes() / height;
    check_binding("one row of x", row, profile)?;
    let at_once = (profile.max_binding_bytes.min(profile.max_buffer_bytes) / row).min(height);
    check_parts("x", height.div_ceil(at_once).into())?;
    Ok(at_once as usize) // at most the height
}

/// The call that reads `texels` from row `first_row` on into `tensor`, or with `writes` the one back; `affine` is in values of the texture, bytes where those are 8 bits as stored.
pub(crate) fn texture_call(
    texels: Texels,
    (tensor, first_row): (&TensorType, usize),
    affine: Affine,
    writes: bool,
    profile: &DeviceProfile,
) -> Result<TextureCall> {
    let spec = TensorSpec::of("x", tensor);
    check_tensors("an image", &[&spec], profile)?;
    check_binding("x", spec.bytes(), profile)?;
    let params = ImageParams { first_row: first_row as u32, ..params(tensor, affine) }; // a texture has less than 2^31 rows
    // Invocations go on, by as many columns and rows as there are in all, where a device has fewer workgroups.
    let axis = |count: u32| count.min(profile.max_workgroups_per_axis).max(1);
    let workgroups = [axis(params.width.div_ceil(64)), axis(params.rows.div_ceil(ROWS_EACH)), 1];
    Ok(TextureCall { kernel: texture_kernel(texels, (tensor.extents[1], tensor.element), writes), params, workgroups })
}

/// Rows of a column of texels that an invocation takes.
const ROWS_EACH: u32 = 4;

fn texture_kernel(texels: Texels, (channels, element): (usize, ElementType), writes: bool) -> KernelSpec {
    let source: &'static KernelSource = match (writes, texels) {
        (false, _) => &IMAGE_READ_TEXTURE,
        (true, Texels::Rgba8 | Texels::Rgba8Srgb) => &IMAGE_WRITE_RGBA8,
        (true, Texels::Rgba16) => &IMAGE_WRITE_RGBA16,
        (true, Texels::R32) => &IMAGE_WRITE_R32,
    };
    let unorm = (!writes).then_some(("UNORM", u32::from(texels == Texels::Rgba8)));
    let consts = self::channels(channels, texels.channels()).into_iter().chain(unorm).collect();
    KernelSpec { source, element, consts, overrides: vec![] }
}

/// Every kernel over a texture, for tests of their text: no plan has them.
pub fn texture_kernels() -> Vec<KernelSpec> {
    let mut all = vec![];
    for element in [ElementType::F32, ElementType::F16] {
        for texels in [Texels::Rgba8, Texels::Rgba16, Texels::R32] {
            for channels in (1..=texels.channels()).filter(|channels| *channels != 2) {
                all.extend([false, true].map(|writes| texture_kernel(texels, (channels, element), writes)));
            }
        }
    }
    all.dedup();
    all
}
