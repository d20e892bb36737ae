//! Images as an embedder meets them: bytes and textures to tensors and back, between the caller's own passes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use wgconv::conv::Conv2dDescriptor;
use wgconv::gpu::{Counters, SourcePatch};
use wgconv::image::{ImageDescriptor, ImageFormat, ImageProblem};
use wgconv::ndarray::{Array1, Array4, Ix4};
use wgconv::session::Given;
use wgconv::{Activation, ElementType, Extent, Gpu, Graph, Layout, Padding, Recorder, Session, Tensor, TensorType, wgpu};

/// The bytes themselves.
const BYTES: ImageDescriptor =
    ImageDescriptor { channels: 4, scale: [255.0; 4], mean: [0.0; 4], element: ElementType::F32, layout: Layout::ChannelsFirst };

fn bytes_of(words: &Tensor) -> Vec<u8> {
    words.download::<u32, _>().map(|words: Array1<u32>| words.iter().flat_map(|word| word.to_le_bytes()).collect()).unwrap()
}

/// Every byte in every channel: 256 texels of 16 x 16.
fn ramp() -> Vec<u8> {
    (0..256u32).flat_map(|i| [i, 255 - i, (i * 7) % 256, (i * 31 + 5) % 256].map(|v| v as u8)).collect()
}

fn texture(gpu: &Gpu, format: wgpu::TextureFormat, [height, width]: [u32; 2], usage: wgpu::TextureUsages) -> wgpu::Texture {
    gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: Some("test"),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: usage | wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    })
}

fn fill(gpu: &Gpu, texture: &wgpu::Texture, texel_bytes: u32, content: &[u8]) {
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(texture.width() * texel_bytes), rows_per_image: None };
    gpu.queue().write_texture(texture.as_image_copy(), content, layout, texture.size());
}

/// The texels, row after row.
fn read(gpu: &Gpu, texture: &wgpu::Texture, texel_bytes: u32) -> Vec<u8> {
    let row = (texture.width() * texel_bytes) as usize;
    let padded = row.next_multiple_of(256);
    let size = (padded * texture.height() as usize) as u64;
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::STORAGE;
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(padded as u32), rows_per_image: None };
    encoder.copy_texture_to_buffer(texture.as_image_copy(), wgpu::TexelCopyBufferInfo { buffer: &buffer, layout }, texture.size());
    gpu.queue().submit([encoder.finish()]);
    let words = Tensor::from_buffer(gpu, buffer, 0, &[size as usize / 4], ElementType::U32, Layout::ChannelsFirst).unwrap();
    bytes_of(&words).chunks(padded).flat_map(|line| line[..row].to_vec()).collect()
}

#[test]
fn every_byte_comes_back_by_every_format_type_and_layout() {
    let gpu = Gpu::new().unwrap();
    for (format, channels) in [(ImageFormat::Rgba8, 4), (ImageFormat::Rgb8, 3), (ImageFormat::Gray8, 1)] {
        let bytes: Vec<u8> = ramp().into_iter().take(256 * channels).collect();
        let words = gpu.upload_image(&bytes).unwrap();
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            for element in [ElementType::F32, ElementType::F16] {
                if element == ElementType::F16 && !gpu.profile().has_f16 {
                    continue; // tensors of f16 are refused there
                }
                // From 0 to 1, and as networks take them.
                let network = ImageDescriptor { scale: [4.367, 4.464, 4.444, 3.0], mean: [0.485, 0.456, 0.406, 0.5], ..BYTES };
                for descriptor in [BYTES, ImageDescriptor::default(), network] {
                    let descriptor = ImageDescriptor { channels, element, layout, ..descriptor };
                    let back = gpu.run(|r| {
                        let x = r.image_from_bytes(&words, format, [1, 16, 16], &descriptor)?;
                        r.image_to_bytes(&x, format, &descriptor)
                    });
                    assert_eq!(bytes_of(&back.unwrap()), bytes, "{format:?} {descriptor:?}");
                }
            }
        }
    }
}

#[test]
fn values_are_the_formula_and_in_their_places() {
    let gpu = Gpu::new().unwrap();
    let words = gpu.upload_image(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]).unwrap();
    let descriptor = ImageDescriptor { channels: 3, scale: [255.0, 510.0, 255.0, 1.0], mean: [0.0, 0.0, 1.0, 0.0], ..BYTES };
    let x = gpu.run(|r| r.image_from_bytes(&words, ImageFormat::Rgb8, [1, 2, 3], &descriptor)).unwrap();
    let x: Array4<f32> = x.download().unwrap();
    let expected = [1., 4., 7., 10., 13., 16., 4., 10., 16., 22., 28., 34., -252., -249., -246., -243., -240., -237.];
    assert_eq!(x.into_raw_vec_and_offset().0, expected);
}

#[test]
fn what_is_written_is_clamped_and_rounded_half_to_even() {
    let gpu = Gpu::new().unwrap();
    let values =
        [0.5, 1.5, 2.5, 254.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e9, 255.5, 1e-40, -0.0, f32::MAX, 0.499_999_97, 128.0, -0.5, 254.500_02];
    let bytes = [0, 2, 2, 254, 0, 255, 0, 0, 255, 0, 0, 255, 0, 128, 0, 255];
    let x = gpu.upload(&Array4::from_shape_vec((1, 1, 4, 4), values.to_vec()).unwrap()).unwrap();
    let words = gpu.run(|r| r.image_to_bytes(&x, ImageFormat::Gray8, &BYTES)).unwrap();
    assert_eq!(bytes_of(&words), bytes);
    // Gray in all colors, and opaque.
    let words = gpu.run(|r| r.image_to_bytes(&x, ImageFormat::Rgba8, &BYTES)).unwrap();
    assert_eq!(bytes_of(&words), bytes.iter().flat_map(|&b| [b, b, b, 255]).collect::<Vec<u8>>());
    // The same by a texture.
    let target = texture(&gpu, wgpu::TextureFormat::Rgba8Unorm, [4, 4], wgpu::TextureUsages::STORAGE_BINDING);
    gpu.run(|r| r.image_to_texture(&x, &target, &BYTES)).unwrap();
    assert_eq!(read(&gpu, &target, 4), bytes.iter().flat_map(|&b| [b, b, b, 255]).collect::<Vec<u8>>());
}

/// On the caller's encoder, between copies of the caller's.
#[test]
fn a_texture_gives_the_bits_of_its_bytes_and_takes_them_back() {
    let gpu = Gpu::new().unwrap();
    let network = ImageDescriptor { channels: 3, scale: [4.367, 4.464, 4.444, 1.0], mean: [0.485, 0.456, 0.406, 0.0], ..BYTES };
    let source = texture(&gpu, wgpu::TextureFormat::Rgba8Unorm, [16, 16], wgpu::TextureUsages::TEXTURE_BINDING);
    let target = texture(&gpu, wgpu::TextureFormat::Rgba8Unorm, [16, 16], wgpu::TextureUsages::STORAGE_BINDING);
    let copy = texture(&gpu, wgpu::TextureFormat::Rgba8Unorm, [16, 16], wgpu::TextureUsages::TEXTURE_BINDING);
    fill(&gpu, &source, 4, &ramp());
    for descriptor in [BYTES, network] {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_texture_to_texture(source.as_image_copy(), copy.as_image_copy(), copy.size());
        let mut recorder = Recorder::on(&gpu, &mut encoder);
        let x = recorder.image_from_texture(&copy, &descriptor).unwrap();
        recorder.image_to_texture(&x, &target, &descriptor).unwrap();
        drop(recorder);
        encoder.copy_texture_to_texture(target.as_image_copy(), copy.as_image_copy(), copy.size());
        gpu.queue().submit([encoder.finish()]);
        let wanted: Vec<u8> = ramp().chunks(4).flat_map(|t| [t[0], t[1], t[2], if descriptor.channels == 4 { t[3] } else { 255 }]).collect();
        assert_eq!(read(&gpu, &target, 4), wanted);
        assert_eq!(read(&gpu, &copy, 4), wanted);
        let words = gpu.upload_image(&ramp()).unwrap();
        let by_bytes = gpu.run(|r| r.image_from_bytes(&words, ImageFormat::Rgba8, [1, 16, 16], &descriptor)).unwrap();
        let [a, b] = [x, by_bytes].map(|t| t.download::<f32, Ix4>().unwrap().mapv(f32::to_bits));
        assert_eq!(a, b);
    }
}

/// Direct3D 11.3, functional specification, 3.2.3.7: what sRGB decodes to, encoded again by the exact formula, is within 0.5 of the byte. Vulkan states no number of
/// its own and refers to the Khronos data format specification for the formula.
#[test]
fn srgb_texels_are_decoded_within_the_tolerance_of_direct3d() {
    let gpu = Gpu::new().unwrap();
    let source = texture(&gpu, wgpu::TextureFormat::Rgba8UnormSrgb, [16, 16], wgpu::TextureUsages::TEXTURE_BINDING);
    fill(&gpu, &source, 4, &ramp());
    let x = gpu.run(|r| r.image_from_texture(&source, &ImageDescriptor { channels: 4, ..Default::default() })).unwrap();
    let x: Array4<f32> = x.download().unwrap();
    let encode = |v: f64| if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    let mut farthest = 0f64;
    for (pixel, texel) in ramp().chunks(4).enumerate() {
        let at = |c: usize| f64::from(x[[0, c, pixel / 16, pixel % 16]]);
        (0..3).for_each(|c| farthest = farthest.max((encode(at(c)) * 255.0 - f64::from(texel[c])).abs()));
        // Alpha is linear.
        assert!((at(3) * 255.0 - f64::from(texel[3])).abs() < 1e-4, "{} of {}", at(3), texel[3]);
    }
    assert!(farthest <= 0.5, "{farthest}");
    assert!((f64::from(x[[0, 0, 8, 0]]) - 0.2158605).abs() < 0.002, "128 of 255 is 0.2159 in linear light");
}

#[test]
fn float_textures_hold_values_as_they_are() {
    let gpu = Gpu::new().unwrap();
    let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING;
    let plain = ImageDescriptor { channels: 1, ..Default::default() };
    let values = [0.0f32, -1.5, 3.25, 1e9, -1e9, f32::INFINITY, 0.1, 7.0];
    let x = gpu.upload(&Array4::from_shape_vec((1, 1, 2, 4), values.to_vec()).unwrap()).unwrap();
    let single = texture(&gpu, wgpu::TextureFormat::R32Float, [2, 4], usage);
    gpu.run(|r| r.image_to_texture(&x, &single, &plain)).unwrap();
    let texels: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(read(&gpu, &single, 4), texels);
    let back = gpu.run(|r| r.image_from_texture(&single, &plain)).unwrap();
    assert_eq!(back.download::<f32, Ix4>().unwrap().into_raw_vec_and_offset().0, values);

    // Halves are exact in f16, and alpha that is not there is 1.
    let halves = Array4::from_shape_fn((1, 3, 2, 4), |(_, c, y, x)| (c * 8 + y * 4 + x) as f32 / 2.0 - 3.0);
    let x = gpu.upload(&halves).unwrap();
    let color = texture(&gpu, wgpu::TextureFormat::Rgba16Float, [2, 4], usage);
    gpu.run(|r| r.image_to_texture(&x, &color, &ImageDescriptor::default())).unwrap();
    let back = gpu.run(|r| r.image_from_texture(&color, &ImageDescriptor { channels: 4, ..Default::default() })).unwrap();
    let back: Array4<f32> = back.download().unwrap();
    for ((n, c, y, x), &v) in back.indexed_iter() {
        assert_eq!(v, if c == 3 { 1.0 } else { halves[[n, c, y, x]] }, "{c} {y} {x}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_the_device_works_on() {
    let gpu = Gpu::new().unwrap();
    let words = gpu.upload_image(&[0; 12]).unwrap();
    let from =
        |format, size, descriptor: ImageDescriptor| gpu.run(|r| r.image_from_bytes(&words, format, size, &descriptor)).unwrap_err().to_string();
    let rgb = ImageDescriptor::default();
    assert_eq!(from(ImageFormat::Gray8, [1, 2, 2], rgb), "channels is 3: an image of 1 channels and a tensor of 1 go together");
    assert!(from(ImageFormat::Rgb8, [1, 3, 2], rgb).contains("image"), "another size than the words have");
    let zero = ImageDescriptor { scale: [1.0, 0.0, 1.0, 1.0], ..rgb };
    assert_eq!(from(ImageFormat::Rgb8, [1, 2, 2], zero), "scale[1] is 0: its magnitude is from 2^-64 to 2^64");
    let nan = ImageDescriptor { mean: [f32::NAN; 4], ..rgb };
    assert!(from(ImageFormat::Rgb8, [1, 2, 2], nan).starts_with("mean[0] is NaN"));
    assert!(from(ImageFormat::Rgb8, [1, usize::MAX, usize::MAX], rgb).contains("y") || !from(ImageFormat::Rgb8, [1, 0, 2], rgb).is_empty());
    assert!(ImageProblem::write(ImageFormat::Rgb8, &TensorType::f32(&[3, 2, 2]), &rgb).unwrap_err().to_string().starts_with("the rank of x is 3"));

    let read_only = texture(&gpu, wgpu::TextureFormat::Rgba8Unorm, [2, 2], wgpu::TextureUsages::TEXTURE_BINDING);
    let x = gpu.zeros(&[1, 3, 2, 2], ElementType::F32, Layout::ChannelsFirst).unwrap();
    let into = |x: &Tensor, t: &wgpu::Texture| gpu.run(|r| r.image_to_texture(x, t, &rgb)).unwrap_err().to_string();
    assert!(into(&x, &read_only).ends_with("its usage must contain STORAGE_BINDING"));
    let srgb = texture(&gpu, wgpu::TextureFormat::Rgba8UnormSrgb, [2, 2], wgpu::TextureUsages::TEXTURE_BINDING);
    assert!(into(&x, &srgb).contains("make it Rgba8Unorm with a view format"));
    let larger = texture(&gpu, wgpu::TextureFormat::Rgba8Unorm, [3, 2], wgpu::TextureUsages::STORAGE_BINDING);
    assert!(into(&x, &larger).contains("the texture has 3 rows of 2 texels"));
    let bgra = texture(&gpu, wgpu::TextureFormat::Bgra8Unorm, [2, 2], wgpu::TextureUsages::TEXTURE_BINDING);
    let error = gpu.run(|r| r.image_from_texture(&bgra, &rgb)).unwrap_err().to_string();
    assert!(error.starts_with("the texture is Bgra8Unorm"), "{error}");

    assert!(gpu.run(|r| r.activation(&x, Activation::Relu)).is_ok());
}

#[test]
fn a_problem_is_written_and_read_through_its_constructor() {
    let problem = wgconv::op::Op::from(ImageProblem::read(ImageFormat::Rgb8, [2, 3, 4], &ImageDescriptor::default()).unwrap());
    let text = serde_json::to_string(&problem).unwrap();
    assert_eq!(serde_json::from_str::<wgconv::op::Op>(&text).unwrap(), problem);
    let wrong = text.replace("\"rgb8\"", "\"gray8\"");
    assert!(serde_json::from_str::<wgconv::op::Op>(&wrong).unwrap_err().to_string().contains("an image of 1 channels"), "{wrong}");
}

/// A filter over images of bytes, with what it gives as bytes and as numbers, beside numbers that are given.
fn sharpened(images: impl Into<Extent>, format: ImageFormat, size: [usize; 2]) -> Graph {
    let images = images.into();
    let channels = if format == ImageFormat::Gray8 { 1 } else { 3 };
    let descriptor = ImageDescriptor { channels, ..BYTES };
    let mut g = Graph::new();
    let bytes = g.image_input("photo", images, format, size).unwrap();
    let light = g.input("light", [images, channels.into(), 1.into(), 1.into()]).unwrap();
    let x = g.image_from_bytes(bytes, format, size, &descriptor).unwrap();
    let kernel = [0.0f32, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0];
    let w = g.parameter("sharpen", Array4::from_shape_fn((channels, 1, 3, 3), |(_, _, y, x)| kernel[3 * y + x]).view()).unwrap();
    let y = g.conv2d(x, w, None, &Conv2dDescriptor { padding: Padding::Same, groups: channels, ..Default::default() }).unwrap();
    let y = g.add(y, light).unwrap();
    let shown = g.image_to_bytes(y, format, &descriptor).unwrap();
    let again = g.image_from_bytes(shown, format, size, &descriptor).unwrap();
    for (name, value) in [("numbers", y), ("shown", shown), ("again", again), ("photo", bytes)] {
        g.output(name, value).unwrap();
    }
    g
}

/// What that is, by the definition: of three channels alpha is 255.
fn by_hand(bytes: &[u8], channels: usize, [height, width]: [usize; 2], light: impl Fn(usize, usize) -> f32) -> Vec<u8> {
    let plane = height * width * channels;
    let at = |image: usize, y: isize, x: isize, c: usize| -> f32 {
        let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
        if inside { f32::from(bytes[image * plane + (y as usize * width + x as usize) * channels + c]) } else { 0.0 }
    };
    let of = |i: usize| {
        let (image, c, x, y) = (i / plane, i % channels, (i % plane / channels % width) as isize, (i % plane / channels / width) as isize);
        if c == 3 {
            return 255;
        }
        let sum = at(image, y - 1, x, c) + at(image, y + 1, x, c) + at(image, y, x - 1, c) + at(image, y, x + 1, c);
        (5.0 * at(image, y, x, c) - sum + light(image, c)).clamp(0.0, 255.0) as u8
    };
    (0..bytes.len()).map(of).collect()
}

#[test]
fn a_network_takes_and_gives_bytes_on_both_engines() {
    let gpu = Gpu::new().unwrap();
    for (format, size) in [(ImageFormat::Rgba8, [5, 7]), (ImageFormat::Rgb8, [6, 10]), (ImageFormat::Gray8, [9, 12])] {
        let stored = format.channels();
        let channels = stored.min(3);
        let graph = sharpened(Extent::Open, format, size);
        let sessions = [Session::gpu(&gpu, &graph).unwrap(), Session::cpu(&graph).unwrap(), Session::gpu(&gpu, &graph.optimized().unwrap()).unwrap()];
        for batch in [1, 3, 1] {
            let bytes: Vec<u8> = (0..batch * size[0] * size[1] * stored).map(|i| (i * 37 + i / 11 + batch * 5) as u8).collect();
            let light = Array4::from_shape_fn((batch, channels, 1, 1), |(n, c, _, _)| n as f32 - 3.0 * c as f32);
            let want = by_hand(&bytes, stored, size, |n, c| light[[n, c, 0, 0]]);
            let given = [("light", Given::from(light.view())), ("photo", Given::from(&bytes[..]))];
            for session in &sessions {
                let outputs = session.run_with(&given).unwrap();
                assert_eq!(outputs.bytes("shown"), Some(&want[..]), "{format:?} {batch} by {session:?}");
                assert_eq!(outputs.bytes("photo"), Some(&bytes[..]), "an input is an output too");
                assert_eq!(outputs.get("again").unwrap().shape(), [batch, channels, size[0], size[1]]);
                assert_eq!(outputs["again"][[batch - 1, 0, 2, 3]], f32::from(want[(((batch - 1) * size[0] + 2) * size[1] + 3) * stored]));
                assert!(outputs.get("shown").is_none() && outputs.bytes("numbers").is_none());
                let later = pollster::block_on(session.run_with_async(&given)).unwrap();
                assert_eq!(later, outputs);
                assert_eq!(later.into_images().len(), 2);
            }
        }
    }
}

/// One image may end inside a word; and a session takes the caller's tensors of words.
#[test]
fn a_single_image_has_any_size_and_words_may_be_the_callers() {
    let gpu = Gpu::new().unwrap();
    let size = [5, 5]; // 75 bytes
    let graph = sharpened(1, ImageFormat::Rgb8, size);
    let bytes: Vec<u8> = (0..75).map(|i| i * 3).collect();
    let light = Array4::<f32>::zeros((1, 3, 1, 1));
    let want = by_hand(&bytes, 3, size, |_, _| 0.0);
    let session = Session::gpu(&gpu, &graph).unwrap();
    for session in [&session, &Session::cpu(&graph).unwrap()] {
        let outputs = session.run_with(&[("light", light.view().into()), ("photo", bytes.as_slice().into())]).unwrap();
        assert_eq!(outputs.bytes("shown"), Some(&want[..]));
    }
    let (words, light) = (gpu.upload_image(&bytes).unwrap(), gpu.upload(&light).unwrap());
    let words = gpu.run(|r| r.reshape(&words, &[1, 19])).unwrap();
    let new = |extents: &[usize], element| gpu.zeros(extents, element, Layout::ChannelsFirst).unwrap();
    let (numbers, again) = (new(&[1, 3, 5, 5], ElementType::F32), new(&[1, 3, 5, 5], ElementType::F32));
    let (shown, photo) = (new(&[19], ElementType::U32), new(&[1, 19], ElementType::U32));
    let outputs = [("numbers", &numbers), ("shown", &shown), ("again", &again), ("photo", &photo)];
    let mut recorder = gpu.recorder();
    session.record(&mut recorder, &[("photo", &words), ("light", &light)], &outputs).unwrap();
    recorder.submit().unwrap();
    assert_eq!(bytes_of(&shown)[..75], want);
}

#[test]
fn what_is_no_image_of_a_network_is_refused_by_name() {
    let graph = sharpened(Extent::Open, ImageFormat::Rgb8, [6, 10]);
    let session = Session::cpu(&graph).unwrap();
    let light = Array4::<f32>::zeros((1, 3, 1, 1));
    fn refused<'a>(session: &Session, light: &'a Array4<f32>, given: Given<'a>) -> String {
        session.run_with(&[("light", light.view().into()), ("photo", given)]).unwrap_err().to_string()
    }
    assert_eq!(refused(&session, &light, Given::Bytes(&[0; 179])), "photo is 179 bytes: an image has 180");
    assert_eq!(refused(&session, &light, Given::Bytes(&[])), "photo is 0 bytes: an image has 180");
    assert_eq!(
        refused(&session, &light, Given::from(light.view())),
        "photo is an array of numbers: it is images: Session::run_with takes their bytes"
    );
    assert!(refused(&session, &light, Given::Bytes(&[0; 360])).contains("with N = 2"), "two images beside one light");
    let error = session.run_with(&[("light", Given::Bytes(&[0; 12])), ("photo", Given::Bytes(&[0; 180]))]).unwrap_err().to_string();
    assert_eq!(error, "light is 12 bytes: it is an array of numbers");
    let error = session.run_with(&[("lamp", Given::Bytes(&[0; 12])), ("photo", Given::Bytes(&[0; 180]))]).unwrap_err().to_string();
    assert!(error.contains("lamp"), "{error}");

    let mut g = Graph::new();
    let error = g.image_input("odd", Extent::Open, ImageFormat::Rgb8, [5, 5]).unwrap_err().to_string();
    assert_eq!(error, "odd is Open: an image has 75 bytes, and only a single one may have a number that is no multiple of 4");
    let error = g.image_input("none", 1, ImageFormat::Rgb8, [0, 5]).unwrap_err().to_string();
    assert!(error.starts_with("size is [0, 5]"), "{error}");
    let bytes = g.image_input("photo", 2, ImageFormat::Gray8, [4, 4]).unwrap();
    let x = g.image_from_bytes(bytes, ImageFormat::Gray8, [4, 4], &ImageDescriptor { channels: 1, ..BYTES }).unwrap();
    let error = g.image_from_bytes(bytes, ImageFormat::Gray8, [4, 5], &ImageDescriptor { channels: 1, ..BYTES }).unwrap_err().to_string();
    assert!(error.contains("words is 8: they are images of 20 bytes each"), "{error}");
    let error = g.image_from_bytes(x, ImageFormat::Gray8, [4, 4], &ImageDescriptor { channels: 1, ..BYTES }).unwrap_err().to_string();
    assert!(error.contains("words"), "{error}");
    // What else reads words would read numbers that they are not.
    let turned = g.transpose(bytes, &[1, 0]).unwrap();
    g.output("x", x).unwrap();
    g.output("turned", turned).unwrap();
    let error = Session::cpu(&g).unwrap_err().to_string();
    assert_eq!(error, "transpose: x is photo: bytes of images are read by image_from_bytes alone");
}

/// A tensor that no binding holds, in bands of rows that are copied together.
#[test]
fn textures_larger_than_a_binding_go_in_bands() {
    let descriptor = wgpu::Limits { max_storage_buffer_binding_size: 20_000, ..wgpu::Limits::default() };
    let narrow = Gpu::with_descriptor(&wgconv::GpuDescriptor { limits: Some(descriptor), ..Default::default() }).unwrap();
    let [height, width] = [37, 64];
    let bytes: Vec<u8> = (0..height * width * 4).map(|i| (i * 7 % 251) as u8).collect();
    let both = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING;
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let descriptor = ImageDescriptor { layout, ..BYTES };
        let [from, to] = [0, 1].map(|_| texture(&narrow, wgpu::TextureFormat::Rgba8Unorm, [height, width], both));
        fill(&narrow, &from, 4, &bytes);
        let x = narrow
            .run(|r| {
                let x = r.image_from_texture(&from, &descriptor)?;
                r.image_to_texture(&x, &to, &descriptor)?;
                Ok(x)
            })
            .unwrap();
        assert!(x.byte_size() > narrow.profile().max_binding_bytes);
        assert_eq!(read(&narrow, &to, 4), bytes, "{layout:?}");
        let x: Array4<f32> = x.download().unwrap();
        assert!(x.indexed_iter().all(|((_, c, h, w), v)| *v == f32::from(bytes[(h * width as usize + w) * 4 + c])), "{layout:?}");
    }
}

/// A device of two workgroups an axis, where an invocation goes on with the texels behind. Both ways of a texture of 9 rows of 200 texels, by a kernel in which
/// `damage` replaces one text by another, against the bytes in a buffer.
fn few_workgroups_agree(damage: Option<(&'static str, &'static str, &'static str)>) -> bool {
    let patch = move |label: &str, text: String| match damage {
        Some((kernel, from, to)) if label.starts_with(kernel) => {
            assert!(text.contains(from), "the damage \"{from}\" changes nothing of {kernel}");
            text.replacen(from, to, 1)
        }
        _ => text,
    };
    let limits = wgpu::Limits { max_compute_workgroups_per_dimension: 2, ..wgpu::Limits::default() };
    let descriptor =
        wgconv::GpuDescriptor { limits: Some(limits), source_patch: Some(SourcePatch(std::sync::Arc::new(patch))), ..Default::default() };
    let gpu = Gpu::with_descriptor(&descriptor).unwrap();
    let bytes: Vec<u8> = (0..9 * 200 * 4).map(|i| (i * 7 % 251) as u8).collect();
    let both = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING;
    let [from, to] = [0, 1].map(|_| texture(&gpu, wgpu::TextureFormat::Rgba8Unorm, [9, 200], both));
    fill(&gpu, &from, 4, &bytes);
    let x = gpu
        .run(|r| {
            let x = r.image_from_texture(&from, &BYTES)?;
            r.image_to_texture(&x, &to, &BYTES).map(|()| x)
        })
        .unwrap();
    let x: Array4<f32> = x.download().unwrap();
    x.indexed_iter().all(|((_, c, h, w), v)| *v == f32::from(bytes[(h * 200 + w) * 4 + c])) && read(&gpu, &to, 4) == bytes
}

#[test]
fn a_device_of_few_workgroups_reaches_every_texel() {
    assert!(few_workgroups_agree(None));
    // Negative controls: rows and columns that are left out, the texel of another row, one stored beside its own, bytes that are not rounded back.
    for damage in [
        ("image_read_texture", "row += group_count.y", "row += 2u * group_count.y"),
        ("image_read_texture", "column += group_count.x * 64u", "column += group_count.x * 128u"),
        ("image_read_texture", "params.first_row + row", "params.first_row"),
        ("image_read_texture", "round(texel * 255.0)", "texel"),
        ("image_write_rgba8", "row += group_count.y", "row += 2u * group_count.y"),
        ("image_write_rgba8", "column += group_count.x * 64u", "column += group_count.x * 128u"),
        ("image_write_rgba8", "first_of(row * params.width + column)", "first_of(row * params.width)"),
        ("image_write_rgba8", "texel[c] = f32(byte_of(first, c))", "texel[c] = f32(byte_of(first, 0u))"),
    ] {
        assert!(!few_workgroups_agree(Some(damage)), "{damage:?} went unnoticed");
    }
}

/// A frame that changes, by calls that were bound once: nothing is made for it.
#[test]
fn a_bound_image_is_this_frames_and_makes_nothing() {
    let gpu = Gpu::new().unwrap();
    let both = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING;
    let [from, to] = [0, 1].map(|_| texture(&gpu, wgpu::TextureFormat::Rgba8Unorm, [16, 16], both));
    let x = gpu.zeros(&[1, 4, 16, 16], ElementType::F32, Layout::ChannelsFirst).unwrap();
    let read_in = gpu.bind_image_from_texture(&from, &x, &BYTES).unwrap();
    let written = gpu.bind_image_to_texture(&x, &to, &BYTES).unwrap();
    for frame in 0..3u8 {
        let bytes: Vec<u8> = ramp().iter().map(|byte| byte.wrapping_add(frame)).collect();
        fill(&gpu, &from, 4, &bytes);
        let before = gpu.counters();
        let mut recorder = gpu.recorder();
        read_in.record(&mut recorder).unwrap();
        written.record(&mut recorder).unwrap();
        recorder.submit().unwrap();
        assert_eq!(gpu.counters() - before, Counters { submits: 1, ..Counters::default() });
        assert_eq!(read(&gpu, &to, 4), bytes, "frame {frame}");
    }
    let of = |extents: &[usize], layout| gpu.zeros(extents, ElementType::F32, layout).unwrap();
    let error = |y: &Tensor| gpu.bind_image_from_texture(&from, y, &BYTES).unwrap_err().to_string();
    for y in [of(&[1, 3, 16, 16], Layout::ChannelsFirst), of(&[1, 4, 8, 32], Layout::ChannelsFirst), of(&[1, 4, 16, 16], Layout::ChannelsLast)] {
        assert!(error(&y).contains("the texture is read to f32 of [1, 4, 16, 16], channels_first"), "{}", error(&y));
    }
    let error = gpu.bind_image_to_texture(&of(&[1, 4, 8, 32], Layout::ChannelsFirst), &to, &BYTES).unwrap_err().to_string();
    assert!(error.contains("the texture has 16 rows of 16 texels"), "{error}");
    let other = Gpu::new().unwrap();
    assert!(gpu.bind_image_from_texture(&from, &other.zeros(&[1, 4, 16, 16], ElementType::F32, Layout::ChannelsFirst).unwrap(), &BYTES).is_err());
    assert!(read_in.record(&mut other.recorder()).unwrap_err().to_string().contains("the recorder"));
}
