//! ResNet-18 from a safetensors file: built with the parameter names of torchvision, optimised, run on the CPU engine, on a GPU in one call, and on the
//! encoder of a wgpu device that the program owns.
//!
//! `cargo run --release --example resnet18 --features weights`, or with a file of your own: `... -- resnet18.safetensors`
//!
//! Without a file the example makes one of random numbers, so its classes mean nothing; all three ways must agree on them.

use ndarray::{Array4, ArrayD, IxDyn};
use wgconv::conv::Conv2dDescriptor;
use wgconv::graph::{BatchNormParameters, ValueId, Weights};
use wgconv::matmul::LinearDescriptor;
use wgconv::norm::BatchNormDescriptor;
use wgconv::pool::{PoolDescriptor, PoolKind};
use wgconv::{ElementType, Extent, Gpu, Graph, Layout, Padding, Recorder, Result, Session, wgpu};

/// A convolution without a bias, and a batch norm.
fn conv(g: &mut Graph, [conv, norm]: [&str; 2], x: ValueId, shape: [usize; 4], stride: usize) -> Result<ValueId> {
    let w = g.parameter_of(&format!("{conv}.weight"), &shape, ElementType::F32)?;
    let padding = Padding::uniform(shape[3] / 2);
    let y = g.conv2d(x, w, None, &Conv2dDescriptor { stride: [stride; 2], padding, ..Default::default() })?;
    let mut vector = |part: &str| g.parameter_of(&format!("{norm}.{part}"), &[shape[0]], ElementType::F32);
    let (scale, bias) = (Some(vector("weight")?), Some(vector("bias")?));
    let parameters = BatchNormParameters { scale, bias, mean: vector("running_mean")?, variance: vector("running_var")? };
    g.batch_norm(y, &parameters, &BatchNormDescriptor::default())
}

/// He and others, 2015.
fn resnet18() -> Result<Graph> {
    let mut g = Graph::new();
    let x = g.input("image", [Extent::Open, 3.into(), 224.into(), 224.into()])?;
    let x = conv(&mut g, ["conv1", "bn1"], x, [64, 3, 7, 7], 2)?;
    let x = g.relu(x)?;
    let pool = PoolDescriptor { stride: Some([2, 2]), padding: Padding::uniform(1), ..PoolDescriptor::window([3, 3]) };
    let mut x = g.pool2d(x, &pool)?;
    let mut channels = 64;
    for stage in 1..5 {
        let filters = 32 << stage;
        for block in 0..2 {
            let name = |part: &str| format!("layer{stage}.{block}.{part}");
            let stride = if stage > 1 && block == 0 { 2 } else { 1 };
            let h = conv(&mut g, [&name("conv1"), &name("bn1")], x, [filters, channels, 3, 3], stride)?;
            let h = g.relu(h)?;
            let h = conv(&mut g, [&name("conv2"), &name("bn2")], h, [filters, filters, 3, 3], 1)?;
            if channels != filters {
                x = conv(&mut g, [&name("downsample.0"), &name("downsample.1")], x, [filters, channels, 1, 1], stride)?;
            }
            let sum = g.add(h, x)?;
            x = g.relu(sum)?;
            channels = filters;
        }
    }
    let x = g.global_pool(x, PoolKind::Average { count_include_pad: false })?;
    let x = g.flatten(x, 1)?;
    let w = g.parameter_of("fc.weight", &[1000, 512], ElementType::F32)?;
    let b = g.parameter_of("fc.bias", &[1000], ElementType::F32)?;
    let y = g.linear(x, w, Some(b), &LinearDescriptor::default())?;
    g.output("logits", y)?;
    Ok(g)
}

/// Random numbers for every parameter: He's variance for filters, 1 around which factors and variances lie.
fn fill(graph: &mut Graph) -> Result<()> {
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let parameters: Vec<(String, Vec<usize>)> =
        graph.parameters().map(|(name, value)| (name.into(), graph.extents(value).unwrap_or_default())).collect();
    for (name, extents) in parameters {
        let terms = extents[1..].iter().product::<usize>() as f32;
        let (center, spread) = match extents.len() {
            1 if name.ends_with("weight") || name.ends_with("var") => (0.7, 0.2),
            1 => (0.0, 0.1),
            _ => (0.0, (6.0 / terms).sqrt()),
        };
        let array = ArrayD::from_shape_fn(IxDyn(&extents), |_| center + spread * random());
        graph.set(&name, array.view())?;
    }
    Ok(())
}

fn largest(logits: &ArrayD<f32>) -> Vec<usize> {
    let row =
        |row: ndarray::ArrayView1<'_, f32>| row.iter().enumerate().fold((0, f32::MIN), |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0;
    logits.rows().into_iter().map(row).collect()
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // 1. The network, and its weights by name.
    let mut graph = resnet18()?;
    let path = match std::env::args().nth(1) {
        Some(path) => path.into(),
        None => {
            fill(&mut graph)?;
            let path = std::env::temp_dir().join(format!("wgconv-resnet18-{}.safetensors", std::process::id()));
            std::fs::write(&path, graph.to_safetensors()?)?;
            path
        }
    };
    let weights = Weights::read(&path)?.renamed(|name| (!name.ends_with("num_batches_tracked")).then(|| name.into()));
    if std::env::args().nth(1).is_none() {
        std::fs::remove_file(&path)?;
    }
    graph.set_all(&weights)?;
    let (graph, changes) = graph.optimized_with_changes()?;
    println!("{} ops after {} changes, such as", graph.nodes().len(), changes.len());
    changes.iter().step_by(8).for_each(|change| println!("  {change}"));

    // 2. The CPU engine.
    let image = Array4::from_shape_fn((2, 3, 224, 224), |(n, c, i, j)| ((n * 7 + c * 5 + i * 3 + j) % 17) as f32 / 8.0 - 1.0);
    let want = Session::cpu(&graph)?.run(&[("image", image.view())])?["logits"].clone();

    // 3. A device that the program owns; wgconv adopts it.
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().next().ok_or("no adapter")?;
    let required_limits = adapter.limits();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor { required_limits, ..Default::default() }))?;
    let gpu = Gpu::from_wgpu(&adapter, device.clone(), queue.clone())?;
    let session = Session::gpu(&gpu, &graph)?;
    print!("{}", session.memory(2)?);
    let got = session.run(&[("image", image.view())])?["logits"].clone();

    // 4. The same on the program's encoder, over tensors that stay.
    let (x, y) = (gpu.upload(&image)?, gpu.zeros(&[2, 1000], ElementType::F32, Layout::ChannelsFirst)?);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
    session.record(&mut Recorder::on(&gpu, &mut encoder), &[("image", &x)], &[("logits", &y)])?;
    queue.submit([encoder.finish()]);
    let recorded: ArrayD<f32> = y.download()?;

    assert_eq!(got, recorded, "one network, one submit, the same bits");
    let scale = want.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let difference = got.iter().zip(&want).fold(0.0f32, |most, (g, w)| most.max((g - w).abs()));
    assert!(difference <= 1e-4 * scale, "the engines differ by {difference} of {scale}");
    println!("classes {:?} on the CPU engine and {:?} on {}", largest(&want), largest(&got), gpu.report());
    Ok(())
}
