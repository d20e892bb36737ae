//! A program that owns its wgpu device: wgconv records convolutions into the program's encoder, between the program's own passes,
//! and reads and writes the program's own buffers.
//!
//! `cargo run --release --example own_device`

use ndarray::Array4;
use wgconv::conv::Conv2dDescriptor;
use wgconv::{ElementType, Gpu, Layout, Padding, Recorder, Tensor, wgpu};

/// The program's own pass: fills a 64 x 64 picture with a disc.
const DRAW: &str = "
@group(0) @binding(0) var<storage, read_write> picture: array<f32>;
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let d = distance(vec2<f32>(id.xy), vec2<f32>(31.5, 31.5));
    picture[id.y * 64u + id.x] = select(0.0, 1.0, d < 20.0);
}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 1. What the program has anyway: a device with the adapter's limits.
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().ok_or("no adapter")?;
    let required_limits = adapter.limits();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor { required_limits, ..Default::default() }))?;
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("draw"), source: wgpu::ShaderSource::Wgsl(DRAW.into()) });
    let draw = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("draw"),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: None,
    });
    let picture = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("picture"),
        size: 64 * 64 * 4,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("draw"),
        layout: &draw.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: picture.as_entire_binding() }],
    });

    // 2. wgconv adopts the device and the buffer; nothing is copied.
    let gpu = Gpu::from_wgpu(adapter, device.clone(), queue.clone())?;
    let x = Tensor::from_buffer(&gpu, picture.clone(), 0, &[1, 1, 64, 64], ElementType::F32, Layout::ChannelsFirst)?;
    let laplacian = Array4::from_shape_vec((1, 1, 3, 3), vec![0.0f32, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0])?;
    let filter = gpu.upload(&laplacian)?;
    let edges = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };

    // 3. One encoder: the program's pass, two convolutions, the program's copy. One submit.
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&draw);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(8, 8, 1);
    }
    let mut recorder = Recorder::on(&gpu, &mut encoder);
    let outline = recorder.conv2d(&x, &filter, None, &edges)?;
    let again = recorder.conv2d(&outline, &filter, None, &edges)?;
    drop(recorder); // ends wgconv's pass
    let kept = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("kept"),
        size: again.byte_size(),
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    encoder.copy_buffer_to_buffer(again.buffer(), again.byte_offset(), &kept, 0, again.byte_size());
    queue.submit([encoder.finish()]);

    // 4. Inside and outside the disc nothing changes; its outline is where the Laplacian answers.
    let outline: Array4<f32> = outline.download()?;
    let kept: Array4<f32> = Tensor::from_buffer(&gpu, kept, 0, &[1, 1, 64, 64], ElementType::F32, Layout::ChannelsFirst)?.download()?;
    assert_eq!(outline[[0, 0, 32, 32]], 0.0);
    assert_eq!(kept[[0, 0, 32, 32]], 0.0);
    let answered = outline.iter().filter(|v| **v != 0.0).count();
    assert!((100..400).contains(&answered), "{answered} pixels answered");
    println!("adapter: {}", gpu.report());
    println!("the Laplacian answers at {answered} of 4096 pixels, all on the outline of the disc");
    Ok(())
}
