//! A frame on textures, from the program's texture to the program's textures: a separable 9 x 9 blur, Sobel and a sharpening, each recorded into the program's encoder.
//! No byte of the frame goes through the CPU but what is looked at in the end.
//!
//! `cargo run --release --example image_pipeline [small] [IN.png [OUT.png]]`; without `small` the frame is 1920 x 1080.

use ndarray::{Array1, Array4};
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::elementwise::{BinaryOp, BinaryProblem, UnaryOp, UnaryProblem};
use wgconv::image::{BoundImage, ImageDescriptor};
use wgconv::op::{Bound, Op, Prepared};
use wgconv::{ElementType, Error, Gpu, Layout, Padding, PaddingMode, Recorder, Result, Tensor, wgpu};

/// Frames that are timed, behind one that is not: it compiles.
const FRAMES: usize = 7;

/// What a device has whose encoders write timestamps.
const STAMPS: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

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

/// A convolution whose border is continued, so that it is neither dark nor an edge.
fn continued(pads: [usize; 2], groups: usize) -> Conv2dDescriptor {
    let padding = Padding::Explicit { begin: pads, end: pads };
    Conv2dDescriptor { padding, padding_mode: PaddingMode::Replicate, groups, ..Default::default() }
}

/// What the program records for every frame: everything is planned, compiled and bound once.
struct Pipeline {
    read: BoundImage,
    /// Kernels on f32 planes, in the order of a frame.
    names: Vec<&'static str>,
    kernels: Vec<Bound>,
    writes: Vec<BoundImage>,
}

/// Stages of a frame from the first on that reads no texture: what it is, and how many kernels it has before it writes one.
const STAGES: [(&str, usize); 3] = [("blur 9 x 9 in two passes, write", 2), ("Sobel, write", 5), ("sharpen, write", 1)];

impl Pipeline {
    fn new(gpu: &Gpu, f: &Filters, source: &wgpu::Texture, targets: &[wgpu::Texture]) -> Result<Self> {
        let plain = ImageDescriptor::default();
        let x = gpu.zeros(&[1, 3, source.height() as usize, source.width() as usize], ElementType::F32, Layout::ChannelsFirst)?;
        let (mut names, mut kernels) = (vec![], vec![]);
        let mut add = |name, op: Op, constants: &[&Tensor], inputs: &[&Tensor]| {
            let prepared = Prepared::new(gpu, op, constants)?;
            let y = prepared.output()?;
            names.push(name);
            kernels.push(prepared.bind(inputs, &[&y])?);
            Ok::<_, Error>(y)
        };
        let conv = |x: &Tensor, w: &Tensor, pads, groups| ConvProblem::forward(&ConvInputs::of(x, w, None), &continued(pads, groups)).map(Op::from);
        let y = add("9 x 1", conv(&x, &f.vertical, [4, 0], 3)?, &[&f.vertical], &[&x])?;
        let blurred = add("1 x 9", conv(&y, &f.horizontal, [0, 4], 3)?, &[&f.horizontal], &[&y])?;
        let y = add("gray", conv(&x, &f.gray, [0, 0], 1)?, &[&f.gray], &[&x])?;
        let y = add("Sobel", conv(&y, &f.sobel, [1, 1], 1)?, &[&f.sobel], &[&y])?;
        let y = add("squares", BinaryProblem::new(&y.tensor_type(), &y.tensor_type(), BinaryOp::Mul)?.into(), &[], &[&y, &y])?;
        let y = add("sum", conv(&y, &f.sum, [0, 0], 1)?, &[&f.sum], &[&y])?;
        let edges = add("root", UnaryProblem::new(&y.tensor_type(), UnaryOp::Sqrt)?.into(), &[], &[&y])?;
        let sharpened = add("sharpen", conv(&x, &f.sharpen, [1, 1], 3)?, &[&f.sharpen], &[&x])?;
        let write = |(y, target): (&Tensor, &wgpu::Texture)| gpu.bind_image_to_texture(y, target, &plain);
        let writes = [&blurred, &edges, &sharpened].into_iter().zip(targets).map(write).collect::<Result<_>>()?;
        Ok(Self { read: gpu.bind_image_from_texture(source, &x, &plain)?, names, kernels, writes })
    }

    /// Records stage `stage` of a frame: the first reads the texture.
    fn record(&self, r: &mut Recorder<'_>, stage: usize) -> Result<()> {
        let Some(stage) = stage.checked_sub(1) else { return self.read.record(r) };
        let first: usize = STAGES[..stage].iter().map(|(_, kernels)| kernels).sum();
        self.kernels[first..first + STAGES[stage].1].iter().try_for_each(|kernel| kernel.record(r))?;
        self.writes[stage].record(r)
    }
}

/// A program that owns its device asks for what it times with.
fn open() -> Result<Gpu, Box<dyn std::error::Error>> {
    let adapters = pollster::block_on(wgconv::gpu::instance().enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().ok_or("no adapter")?;
    let descriptor =
        wgpu::DeviceDescriptor { required_limits: adapter.limits(), required_features: STAMPS & adapter.features(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
    Ok(Gpu::from_wgpu(adapter, device, queue)?)
}

/// Records a stage.
type Stage<'a> = dyn FnMut(&mut Recorder<'_>, usize) -> Result<()> + 'a;

/// Seconds of each of so many stages, by the GPU's own clock where it has one; one encoder, one submit.
fn time(gpu: &Gpu, count: usize, record: &mut Stage<'_>) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    if !gpu.device().features().contains(STAMPS) {
        return by_waiting(gpu, count, record);
    }
    let stamps = count as u32 + 1;
    let queries = gpu.device().create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: stamps });
    let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::STORAGE;
    let size = 8 * u64::from(stamps);
    let ticks = gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
    encoder.write_timestamp(&queries, 0);
    for stage in 0..count {
        record(&mut Recorder::on(gpu, &mut encoder), stage)?;
        encoder.write_timestamp(&queries, stage as u32 + 1);
    }
    encoder.resolve_query_set(&queries, 0..stamps, &ticks, 0);
    gpu.queue().submit([encoder.finish()]);
    let words: Array1<u32> = Tensor::from_buffer(gpu, ticks, 0, &[2 * stamps as usize], ElementType::U32, Layout::ChannelsFirst)?.download()?;
    let at = |i: usize| (u64::from(words[2 * i + 1]) << 32 | u64::from(words[2 * i])) as f64 * f64::from(gpu.queue().get_timestamp_period()) * 1e-9;
    Ok((0..count).map(|i| at(i + 1) - at(i)).collect())
}

/// The same by the clock of the CPU, one submit and one wait for each stage.
fn by_waiting(gpu: &Gpu, count: usize, record: &mut Stage<'_>) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let mut times = vec![];
    for stage in 0..count {
        let start = std::time::Instant::now();
        gpu.run(|r| record(r, stage))?;
        gpu.wait()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// The middle, the least and the most of all rounds, in ms: of `stages`, added up in each round.
fn summary(rounds: &[Vec<f64>], stages: std::ops::Range<usize>) -> [f64; 3] {
    let mut sums: Vec<f64> = rounds.iter().map(|times| times[stages.clone()].iter().sum::<f64>() * 1e3).collect();
    sums.sort_by(f64::total_cmp);
    [sums[sums.len() / 2], sums[0], sums[sums.len() - 1]]
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
    let pipeline = Pipeline::new(&gpu, &filters, &source, &targets)?;
    let (mut frames, mut alone) = (vec![], vec![]);
    for round in 0..=FRAMES {
        let times = time(&gpu, 1 + STAGES.len(), &mut |r, stage| pipeline.record(r, stage))?;
        // The same kernels without the images.
        let others = time(&gpu, pipeline.kernels.len(), &mut |r, i| pipeline.kernels[i].record(r))?;
        if round > 0 {
            frames.push(times);
            alone.push(others);
        }
    }
    let clock = if gpu.device().features().contains(STAMPS) { "GPU timestamps" } else { "waiting" };
    println!("{width} x {height} on {}, medians of {FRAMES} frames by {clock} (least, most)", gpu.report());
    let line = |what: &str, [median, least, most]: [f64; 3]| println!("  {what}: {median:.2} ms ({least:.2}, {most:.2})");
    line("read the texture", summary(&frames, 0..1));
    STAGES.iter().zip(1..).for_each(|((stage, _), i)| line(stage, summary(&frames, i..i + 1)));
    line("all", summary(&frames, 0..1 + STAGES.len()));
    println!("its kernels on f32 planes alone");
    pipeline.names.iter().enumerate().for_each(|(i, name)| line(name, summary(&alone, i..i + 1)));
    line("all", summary(&alone, 0..pipeline.names.len()));
    // Of each round, whose two parts saw the same clock and the same load.
    let both = |part: fn(&str) -> bool| {
        let kept = |times: &Vec<f64>| times.iter().zip(&pipeline.names).filter(|(_, name)| part(name)).map(|(time, _)| time).sum::<f64>();
        let ratios = frames.iter().zip(&alone).map(|(frame, alone)| vec![frame.iter().sum::<f64>() / kept(alone) / 1e3]).collect::<Vec<_>>();
        summary(&ratios, 0..1)
    };
    let ratio = |what: &str, [median, least, most]: [f64; 3]| println!("the frame takes {median:.2} times as long as {what} ({least:.2}, {most:.2})");
    ratio("all of them", both(|_| true));
    ratio("its convolutions among them", both(|name| !["squares", "root"].contains(&name)));

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
