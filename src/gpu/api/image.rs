//! Images on tensors: bytes in buffers, and textures of the caller, between the caller's own passes.

use crate::gpu::Gpu;
use crate::gpu::pipelines::{Binding, Dispatch, Resource};
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::ops::image::{ImageDescriptor, ImageFormat, ImageProblem, check_channels};
use crate::ops::transform::slice::SliceDescriptor;
use crate::plan::image::{Texels, rows_at_once, texture_call};
use crate::plan::profile::DeviceProfile;
use crate::types::{Error, Result, TensorShape, TensorType};

impl Gpu {
    /// The bytes of images as a tensor of u32 words, as [`Recorder::image_from_bytes`] takes them; zeros fill the last word.
    ///
    /// # Errors
    /// No bytes; loss of the device, out of memory.
    pub fn upload_image(&self, bytes: &[u8]) -> Result<Tensor> {
        let word = |chunk: &[u8]| u32::from_le_bytes(std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0)));
        self.upload(&bytes.chunks(4).map(word).collect::<ndarray::Array1<u32>>())
    }
}

impl Recorder<'_> {
    /// Records the reading of images of 8 bits: `words` has their bytes without gaps, and `size` is \[images, height, width\].
    ///
    /// ```no_run
    /// # use wgconv::{Gpu, Result};
    /// # fn example(gpu: &Gpu, rgb: &[u8]) -> Result<()> {
    /// use wgconv::image::{ImageDescriptor, ImageFormat};
    /// let words = gpu.upload_image(rgb)?;
    /// // As torchvision's networks take them: (v - mean) / deviation.
    /// let (mean, deviation) = ([0.485, 0.456, 0.406, 0.0], [0.229f32, 0.224, 0.225, 1.0]);
    /// let descriptor = ImageDescriptor { scale: deviation.map(|d| 1.0 / d), mean, ..Default::default() };
    /// let x = gpu.run(|r| r.image_from_bytes(&words, ImageFormat::Rgb8, [1, 224, 224], &descriptor))?; // 1 3 224 224
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`ImageProblem::read`]; another number of words than the size has; sizes past the device's limits.
    pub fn image_from_bytes(&mut self, words: &Tensor, format: ImageFormat, size: [usize; 3], descriptor: &ImageDescriptor) -> Result<Tensor> {
        self.op1(&ImageProblem::read(format, size, descriptor)?, &[words])
    }

    /// Records the writing of x N C H W as images of 8 bits: u32 words of bytes without gaps. Values are x / scale + mean, where 1 is the byte 255; they are
    /// clamped and rounded half to even, and a NaN is 0. A gray tensor fills red, green and blue; alpha that x has not is 255.
    ///
    /// # Errors
    /// As [`ImageProblem::write`]; sizes past the device's limits.
    pub fn image_to_bytes(&mut self, x: &Tensor, format: ImageFormat, descriptor: &ImageDescriptor) -> Result<Tensor> {
        self.op1(&ImageProblem::write(format, &x.tensor_type(), descriptor)?, &[x])
    }

    /// Records the reading of the first mip level of a 2-D texture of the caller's into a new tensor 1 C H W. Texels of `Rgba8Unorm` give the bits that their bytes
    /// would give; `Rgba8UnormSrgb` is decoded by the hardware, `Rgba16Float` and `R32Float` are values as they are.
    ///
    /// ```no_run
    /// # use wgconv::{Gpu, Recorder, Result, wgpu};
    /// # fn example(gpu: &Gpu, encoder: &mut wgpu::CommandEncoder, frame: &wgpu::Texture, shown: &wgpu::Texture) -> Result<()> {
    /// use wgconv::{Activation, image::ImageDescriptor};
    /// let mut recorder = Recorder::on(gpu, encoder); // between the caller's own passes
    /// let x = recorder.image_from_texture(frame, &ImageDescriptor::default())?;
    /// let y = recorder.activation(&x, Activation::HardSigmoid { alpha: 2.0, beta: -0.5 })?;
    /// recorder.image_to_texture(&y, shown, &ImageDescriptor::default())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A texture of another format or dimension, with samples, with layers or without `TEXTURE_BINDING`; channels that it has not; as [`ImageProblem::read`].
    pub fn image_from_texture(&mut self, texture: &wgpu::Texture, descriptor: &ImageDescriptor) -> Result<Tensor> {
        let texels = checked(texture, wgpu::TextureUsages::TEXTURE_BINDING)?;
        check_channels("channels", descriptor.channels, texels.channels(), false)?;
        let tensor = read_type(texture, descriptor);
        let bands = bands(&tensor, self.gpu().profile())?;
        let mut read = Vec::with_capacity(bands.len());
        for rows in bands {
            let output = self.gpu().zeros(&[1, descriptor.channels, rows.len(), tensor.extents[3]], tensor.element, tensor.layout)?;
            self.image_call(texture, texels, (&output, rows.start), descriptor, false)?;
            read.push(output);
        }
        match read.len() {
            1 => Ok(read.remove(0)),
            _ => self.concat(&read.iter().collect::<Vec<_>>(), 2),
        }
    }

    /// Records the writing of x 1 C H W over a 2-D texture of the caller's, of x's height and width: `Rgba8Unorm` as [`Recorder::image_to_bytes`] writes bytes,
    /// `Rgba16Float` and `R32Float` without clamping. No GPU API writes sRGB texels from a kernel: make the texture `Rgba8Unorm`, and look at it by a view of
    /// `Rgba8UnormSrgb` (`view_formats`) where its values are encoded.
    ///
    /// # Errors
    /// As [`Recorder::image_from_texture`], with `STORAGE_BINDING`; another size than x has; a tensor of another device.
    pub fn image_to_texture(&mut self, x: &Tensor, texture: &wgpu::Texture, descriptor: &ImageDescriptor) -> Result<()> {
        let texels = check_written(self.gpu(), x, texture)?;
        let bands = bands(&x.tensor_type(), self.gpu().profile())?;
        if bands.len() == 1 {
            return self.image_call(texture, texels, (x, 0), descriptor, true);
        }
        for rows in bands {
            let [start, end] = [rows.start, rows.end].map(|row| row as isize);
            let own = self.slice(x, &SliceDescriptor { starts: vec![start], ends: vec![end], axes: vec![2], steps: vec![] })?;
            self.image_call(texture, texels, (&own, rows.start), descriptor, true)?;
        }
        Ok(())
    }

    /// Between a tensor and the texture's rows from `first_row` on.
    fn image_call(
        &mut self,
        texture: &wgpu::Texture,
        texels: Texels,
        (tensor, first_row): (&Tensor, usize),
        descriptor: &ImageDescriptor,
        writes: bool,
    ) -> Result<()> {
        let dispatch = dispatch(self.gpu(), (texture, texels), (tensor, first_row), descriptor, writes)?;
        self.scoped("an image", |recorder| recorder.push(&[dispatch]))
    }
}

/// A texture and a tensor, one of which is read into the other, bound once to be recorded for every frame: by [`Gpu::bind_image_from_texture`] and
/// [`Gpu::bind_image_to_texture`]. It keeps the texture and the tensor alive.
#[must_use = "nothing runs before it is recorded and submitted"]
#[derive(Debug, Clone)]
pub struct BoundImage {
    gpu: Gpu,
    dispatch: Dispatch,
}

impl BoundImage {
    /// Records it; nothing is made.
    ///
    /// # Errors
    /// A recorder of another device; loss of the device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        if *recorder.gpu() != self.gpu {
            return Err(Error::OtherDevice { argument: "the recorder".into() });
        }
        recorder.scoped("an image", |recorder| recorder.push(std::slice::from_ref(&self.dispatch)))
    }
}

impl Gpu {
    /// Binds the reading of a texture into y 1 C H W, which is there, as [`Recorder::image_from_texture`] reads one; channels, element type and layout are those of
    /// y.
    ///
    /// ```no_run
    /// # use wgconv::{ElementType, Gpu, Layout, Recorder, Result, wgpu};
    /// # fn example(gpu: &Gpu, camera: &wgpu::Texture, mut next: impl FnMut() -> wgpu::CommandEncoder) -> Result<()> {
    /// use wgconv::image::ImageDescriptor;
    /// let x = gpu.zeros(&[1, 3, 1080, 1920], ElementType::F32, Layout::ChannelsFirst)?;
    /// let read = gpu.bind_image_from_texture(camera, &x, &ImageDescriptor::default())?;
    /// for _ in 0..100 {
    ///     let mut encoder = next();
    ///     read.record(&mut Recorder::on(gpu, &mut encoder))?; // x is this frame's from here on
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Recorder::image_from_texture`]; a descriptor of other channels, another element type or layout than y's; a y of another size or device; one that no
    /// binding holds.
    pub fn bind_image_from_texture(&self, texture: &wgpu::Texture, y: &Tensor, descriptor: &ImageDescriptor) -> Result<BoundImage> {
        let texels = checked(texture, wgpu::TextureUsages::TEXTURE_BINDING)?;
        check_channels("channels", descriptor.channels, texels.channels(), false)?;
        let wanted = read_type(texture, descriptor);
        if y.gpu() != self {
            return Err(Error::OtherDevice { argument: "y".into() });
        }
        if y.tensor_type() != wanted {
            let rule = format!("the texture is read to {} of {}, {}", wanted.element, TensorShape::new(&wanted.extents)?, wanted.layout.name());
            return Err(Error::invalid("y", format!("{} of {}, {}", y.element(), y.shape(), y.layout().name()), rule));
        }
        self.bound_image((texture, texels), y, descriptor, false)
    }

    /// Binds the writing of x 1 C H W over a texture, as [`Recorder::image_to_texture`] writes one.
    ///
    /// # Errors
    /// As [`Recorder::image_to_texture`]; an x that no binding holds.
    pub fn bind_image_to_texture(&self, x: &Tensor, texture: &wgpu::Texture, descriptor: &ImageDescriptor) -> Result<BoundImage> {
        let texels = check_written(self, x, texture)?;
        self.bound_image((texture, texels), x, descriptor, true)
    }

    fn bound_image(&self, image: (&wgpu::Texture, Texels), tensor: &Tensor, descriptor: &ImageDescriptor, writes: bool) -> Result<BoundImage> {
        Ok(BoundImage { gpu: self.clone(), dispatch: dispatch(self, image, (tensor, 0), descriptor, writes)? })
    }
}

/// The kernel call between a tensor and the texture's rows from `first_row` on.
fn dispatch(
    gpu: &Gpu,
    (texture, texels): (&wgpu::Texture, Texels),
    (tensor, first_row): (&Tensor, usize),
    descriptor: &ImageDescriptor,
    writes: bool,
) -> Result<Dispatch> {
    descriptor.check()?;
    tensor.element().check_float("the tensor of an image")?;
    let white = if texels == Texels::Rgba8 { 255.0 } else { 1.0 };
    let affine = if writes { descriptor.writing(white) } else { descriptor.reading(white) };
    let call = texture_call(texels, (&tensor.tensor_type(), first_row), affine, writes, gpu.profile())?;
    let kernel = gpu.kernels().get(gpu, &call.kernel)?;
    let uniform = Binding::whole(&gpu.uniform(&kernel.label, bytemuck::bytes_of(&call.params))?);
    let buffer = tensor.binding(0, tensor.byte_size());
    if !writes {
        tensor.raw().note_volatile();
    }
    gpu.scoped(&kernel.label, || {
        let view = texture.create_view(&wgpu::TextureViewDescriptor { mip_level_count: Some(1), ..Default::default() });
        let (image, own) = (Resource::View(view), Resource::Buffer(buffer));
        let [first, second] = if writes { [own, image] } else { [image, own] };
        Ok(Dispatch::of_resources(gpu, &kernel, vec![Resource::Buffer(uniform), first, second], call.workgroups))
    })
}

/// What a texture is read to.
fn read_type(texture: &wgpu::Texture, descriptor: &ImageDescriptor) -> TensorType {
    TensorType::new(&[1, descriptor.channels, texture.height() as usize, texture.width() as usize], descriptor.element, descriptor.layout)
}

/// What a texture holds over which x may be written.
fn check_written(gpu: &Gpu, x: &Tensor, texture: &wgpu::Texture) -> Result<Texels> {
    let texels = checked(texture, wgpu::TextureUsages::STORAGE_BINDING)?;
    if x.gpu() != gpu {
        return Err(Error::OtherDevice { argument: "x".into() });
    }
    let wanted = [1, texture.height() as usize, texture.width() as usize];
    match x.shape().extents() {
        &[n, channels, height, width] if [n, height, width] == wanted => check_channels("channels of x", channels, texels.channels(), true)?,
        _ => return Err(Error::invalid("x", x.shape(), format!("the texture has {} rows of {} texels, one image", wanted[1], wanted[2]))),
    }
    Ok(texels)
}

/// The rows of an image 1 C H W that go through a binding at once.
fn bands(tensor: &TensorType, profile: &DeviceProfile) -> Result<Vec<std::ops::Range<usize>>> {
    let (height, at_once) = (tensor.extents[2], rows_at_once(tensor, profile)?);
    Ok((0..height).step_by(at_once).map(|first| first..height.min(first + at_once)).collect())
}

/// What a texture holds, where a kernel may use it so.
fn checked(texture: &wgpu::Texture, usage: wgpu::TextureUsages) -> Result<Texels> {
    let wrong = |value: String, rule: &str| Err(Error::invalid("the texture", value, rule));
    let writes = usage == wgpu::TextureUsages::STORAGE_BINDING;
    let texels = match texture.format() {
        wgpu::TextureFormat::Rgba8Unorm => Texels::Rgba8,
        wgpu::TextureFormat::Rgba8UnormSrgb if !writes => Texels::Rgba8Srgb,
        wgpu::TextureFormat::Rgba8UnormSrgb => {
            return wrong("Rgba8UnormSrgb".into(), "kernels cannot write sRGB texels: make it Rgba8Unorm with a view format of Rgba8UnormSrgb");
        }
        wgpu::TextureFormat::Rgba16Float => Texels::Rgba16,
        wgpu::TextureFormat::R32Float => Texels::R32,
        other => return wrong(format!("{other:?}"), "its format is Rgba8Unorm, Rgba8UnormSrgb, Rgba16Float or R32Float"),
    };
    if !texture.usage().contains(usage) {
        return wrong(
            format!("{:?}", texture.usage()),
            if writes { "its usage must contain STORAGE_BINDING" } else { "its usage must contain TEXTURE_BINDING" },
        );
    }
    if texture.dimension() != wgpu::TextureDimension::D2 || texture.depth_or_array_layers() != 1 || texture.sample_count() != 1 {
        let layers = texture.depth_or_array_layers();
        return wrong(
            format!("{:?} of {layers} layers, {} samples", texture.dimension(), texture.sample_count()),
            "it is 2-D, of one layer and one sample",
        );
    }
    Ok(texels)
}
