//! A frame on textures, from the program's texture to the program's textures: a separable 9 x 9 blur, Sobel and a sharpening, each recorded into the program's encoder.
//! No byte of the frame goes through the CPU but what is looked at in the end.
//!
//! `cargo run --release --example image_pipeline [small] [IN.png [OUT.png]]`; without `small` the frame is 1920 x 1080.

use ndarray::{Array1, Array4};
use wgconv::conv::Conv2dDescriptor;
use wgconv::elementwise::UnaryOp;
use wgconv::image::ImageDescriptor;
use wgconv::{ElementType, Gpu, Layout, Padding, PaddingMode, Recorder, Result, Tensor, wgpu};

/// Frames that are timed, behind one that is not: it compiles.
const FRAMES: usize = 5;

fn texture(gpu: &Gpu, [width, height]: [u32; 2]) -> wgpu::Texture {
    let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING;
    gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: Some("frame"),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: usage | wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    })
}

/// The filters, on the device.
struct Filters {
    vertical: Tensor,
    horizontal: Tensor,
    gray: Tensor,
    sobel: Tensor,
    sum: Tensor,
    sharpen: Tensor,
}

impl Filters {
    fn new(gpu: &Gpu) -> Result<Self> {
        // Binomial: row 8 of Pascal's triangle, close to a Gaussian of deviation 1.41. Both passes together are its 9 x 9 outer product.
        let taps: Vec<f32> = [1., 8., 28., 56., 70., 56., 28., 8., 1.].iter().map(|v| v / 256.0).collect();
        let each = |taps: &[f32], [o, r, s]: [usize; 3]| gpu.upload(&Array4::from_shape_fn((o, 1, r, s), |(_, _, y, x)| taps[y * s + x]));
        let sobel = [-1., 0., 1., -2., 0., 2., -1., 0., 1., -1., -2., -1., 0., 0., 0., 1., 2., 1.];
        Ok(Self {
            vertical: each(&taps, [3, 9, 1])?,
            horizontal: each(&taps, [3, 1, 9])?,
            // Rec. 709.
            gray: gpu.upload(&Array4::from_shape_fn((1, 3, 1, 1), |(_, c, _, _)| [0.2126f32, 0.7152, 0.0722][c]))?,
            sobel: gpu.upload(&Array4::from_shape_fn((2, 1, 3, 3), |(o, _, y, x)| sobel[o * 9 + y * 3 + x] as f32))?,
            sum: gpu.upload(&Array4::<f32>::ones((1, 2, 1, 1)))?,
            sharpen: each(&[0., -1., 0., -1., 5., -1., 0., -1., 0.], [3, 3, 3])?,
        })
    }
}

/// Stages of a frame, each from tensor or texture to tensor or texture.
const STAGES: [&str; 5] = ["read the texture", "blur 9 x 9 in two passes, write", "Sobel, write", "sharpen, write", "all"];

/// Records stage `stage` of the first four. `frame` is what the first leaves to the others.
fn record(
    r: &mut Recorder<'_>,
    stage: usize,
    f: &Filters,
    source: &wgpu::Texture,
    targets: &[wgpu::Texture],
    frame: &mut Option<Tensor>,
) -> Result<()> {
    let plain = ImageDescriptor::default();
    // The border is continued, so that it is neither dark nor an edge.
    let conv = |pads: [usize; 2], groups| Conv2dDescriptor {
        padding: Padding::Explicit { begin: pads, end: pads },
        padding_mode: PaddingMode::Replicate,
        groups,
        ..Default::default()
    };
    let x = match frame {
        Some(x) if stage > 0 => x.clone(),
        _ => {
            *frame = Some(r.image_from_texture(source, &plain)?);
            return Ok(());
        }
    };
    match stage {
        1 => {
            let y = r.conv2d(&x, &f.vertical, None, &conv([4, 0], 3))?;
            let y = r.conv2d(&y, &f.horizontal, None, &conv([0, 4], 3))?;
            r.image_to_texture(&y, &targets[0], &plain)?;
        }
        2 => {
            let y = r.conv2d(&x, &f.gray, None, &conv([0, 0], 1))?;
            let y = r.conv2d(&y, &f.sobel, None, &conv([1, 1], 1))?;
            let squares = r.mul(&y, &y)?;
            let y = r.conv2d(&squares, &f.sum, None, &conv([0, 0], 1))?;
            let y = r.unary(&y, UnaryOp::Sqrt)?;
            r.image_to_texture(&y, &targets[1], &plain)?;
        }
        _ => {
            let y = r.conv2d(&x, &f.sharpen, None, &conv([1, 1], 3))?;
            r.image_to_texture(&y, &targets[2], &plain)?;
        }
    }
    Ok(())
}

/// A program that owns its device asks for what it times with.
fn open() -> Result<Gpu, Box<dyn std::error::Error>> {
    let adapters = pollster::block_on(wgconv::gpu::instance().enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().ok_or("no adapter")?;
    let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
    let descriptor =
        wgpu::DeviceDescriptor { required_limits: adapter.limits(), required_features: wanted & adapter.features(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
    Ok(Gpu::from_wgpu(adapter, device, queue)?)
}

/// Seconds of each stage of one frame, by the GPU's own clock; one encoder, one submit.
fn frame_by_timestamps(gpu: &Gpu, f: &Filters, source: &wgpu::Texture, targets: &[wgpu::Texture]) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let queries = gpu.device().create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 5 });
    let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::STORAGE;
    let ticks = gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size: 40, usage, mapped_at_creation: false });
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
    let mut frame = None;
    encoder.write_timestamp(&queries, 0);
    for stage in 0..4 {
        record(&mut Recorder::on(gpu, &mut encoder), stage, f, source, targets, &mut frame)?;
        encoder.write_timestamp(&queries, stage as u32 + 1);
    }
    encoder.resolve_query_set(&queries, 0..5, &ticks, 0);
    gpu.queue().submit([encoder.finish()]);
    let words: Array1<u32> = Tensor::from_buffer(gpu, ticks, 0, &[10], ElementType::U32, Layout::ChannelsFirst)?.download()?;
    let at = |i: usize| (u64::from(words[2 * i + 1]) << 32 | u64::from(words[2 * i])) as f64 * f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
    Ok((0..4).map(|i| at(i + 1) - at(i)).collect())
}

/// The same by the clock of the CPU, one submit and one wait for each stage.
fn frame_by_waiting(gpu: &Gpu, f: &Filters, source: &wgpu::Texture, targets: &[wgpu::Texture]) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let mut frame = None;
    let mut times = vec![];
    for stage in 0..4 {
        let start = std::time::Instant::now();
        gpu.run(|r| record(r, stage, f, source, targets, &mut frame))?;
        gpu.wait()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_small = arguments.first().is_some_and(|first| first == "small");
    if is_small {
        arguments.remove(0);
    }
    let input = arguments.first().cloned().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/cli/tests/data/camera.png").into());
    let output = arguments.get(1).map_or_else(|| std::env::temp_dir().join("wgconv_pipeline.png"), Into::into);
    let [width, height] = if is_small { [480, 270] } else { [1920, 1080] };

    let gpu = open()?;
    // The renderer's frame: here a photograph, scaled to fill it.
    let photograph = image::open(&input)?.resize_to_fill(width, height, image::imageops::FilterType::Triangle).into_rgba8();
    let source = texture(&gpu, [width, height]);
    let targets: Vec<_> = (0..3).map(|_| texture(&gpu, [width, height])).collect();
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * width), rows_per_image: None };
    gpu.queue().write_texture(source.as_image_copy(), &photograph, layout, source.size());

    let filters = Filters::new(&gpu)?;
    let stamps = gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);
    let mut all: Vec<Vec<f64>> = vec![];
    for _ in 0..=FRAMES {
        let times =
            if stamps { frame_by_timestamps(&gpu, &filters, &source, &targets)? } else { frame_by_waiting(&gpu, &filters, &source, &targets)? };
        all.push(times.iter().copied().chain([times.iter().sum()]).collect());
    }
    println!("{width} x {height} on {}, medians of {FRAMES} frames by {}", gpu.report(), if stamps { "GPU timestamps" } else { "waiting" });
    for (i, stage) in STAGES.iter().enumerate() {
        let mut times: Vec<f64> = all[1..].iter().map(|frame| frame[i] * 1e3).collect();
        times.sort_by(f64::total_cmp);
        println!("  {stage}: {:.2} ms", times[FRAMES / 2]);
    }

    // The look: the three results, one below the other.
    let looked: Vec<Array4<f32>> = targets.iter().map(|t| look(&gpu, t)).collect::<Result<_>>()?;
    let picture = image::RgbImage::from_fn(width, 3 * height, |x, y| {
        let [part, row] = [y / height, y % height].map(|v| v as usize);
        image::Rgb([0, 1, 2].map(|c| looked[part][[0, c, row, x as usize]] as u8))
    });
    picture.save(&output)?;
    println!("blurred, edges, sharpened: {}", output.display());

    // Against the definition, at one pixel away from the border: the 9 x 9 filter at once, of the bytes.
    let pascal = [1., 8., 28., 56., 70., 56., 28., 8., 1.].map(|v: f64| v / 256.0);
    let (row, column) = (height as usize / 2, width as usize / 2);
    let at = |dy: usize, dx: usize| f64::from(photograph.get_pixel((column + dx - 4) as u32, (row + dy - 4) as u32)[1]);
    let expected: f64 = (0..9).flat_map(|dy| (0..9).map(move |dx| (dy, dx))).map(|(dy, dx)| pascal[dy] * pascal[dx] * at(dy, dx)).sum();
    let got = f64::from(looked[0][[0, 1, row, column]]);
    assert!((got - expected).abs() <= 0.501, "the blur gives {got}, its definition {expected}");
    Ok(())
}

/// A texture as bytes on the CPU: what a program that shows its frames never does.
fn look(gpu: &Gpu, texture: &wgpu::Texture) -> Result<Array4<f32>> {
    gpu.run(|r| r.image_from_texture(texture, &ImageDescriptor { scale: [255.0; 4], ..Default::default() }))?.download()
}
