//! A renderer that owns its device: it draws a scene into a texture, wgconv finds its edges and writes them into another, and the renderer draws both into the
//! frame. One encoder, one submit, and no byte through the CPU but those of the picture that is written in the end.
//!
//! `cargo run --release --example render_beside [OUT.png]`

use ndarray::Array4;
use wgconv::conv::Conv2dDescriptor;
use wgconv::elementwise::UnaryOp;
use wgconv::image::ImageDescriptor;
use wgconv::{Gpu, Padding, PaddingMode, Recorder, Tensor, wgpu};

/// Height and width of the scene; the frame shows it twice, side by side.
const SIZE: u32 = 256;
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// The renderer's shaders. The scene: three triangles, each over the one before. The frame: the scene on the left, and on the right as a drawing, its edges
/// dark on what is left of its colors.
const DRAW: &str = "
struct Corner { @builtin(position) position: vec4<f32>, @location(0) color: vec3<f32> }

@vertex
fn scene(@builtin(vertex_index) i: u32) -> Corner {
    let turned = f32(i % 3u) * 2.0943951 + f32(i / 3u) * 0.7;
    let size = 0.95 - 0.25 * f32(i / 3u);
    let colors = array(vec3(0.9, 0.5, 0.2), vec3(0.2, 0.6, 0.8), vec3(0.9, 0.9, 0.6));
    return Corner(vec4(size * sin(turned), size * cos(turned), 0.0, 1.0), colors[i / 3u]);
}

@fragment
fn paint(corner: Corner) -> @location(0) vec4<f32> {
    return vec4(corner.color, 1.0);
}

@group(0) @binding(0) var drawn: texture_2d<f32>;
@group(0) @binding(1) var edges: texture_2d<f32>;

@vertex
fn all(@builtin(vertex_index) i: u32) -> @builtin(position) vec4<f32> {
    return vec4(f32(i % 2u) * 4.0 - 1.0, f32(i / 2u) * 4.0 - 1.0, 0.0, 1.0);
}

@fragment
fn frame(@builtin(position) at: vec4<f32>) -> @location(0) vec4<f32> {
    let size = textureDimensions(drawn).x;
    let place = vec2<u32>(at.xy) % size;
    let color = textureLoad(drawn, place, 0).rgb;
    let edge = textureLoad(edges, place, 0).r;
    let drawing = mix(vec3(1.0), color, 0.4) * (1.0 - edge);
    return vec4(select(color, drawing, at.x >= f32(size)), 1.0);
}";

fn texture(device: &wgpu::Device, label: &str, width: u32, usage: wgpu::TextureUsages) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width, height: SIZE, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: FORMAT,
        usage,
        view_formats: &[],
    })
}

fn pipeline(device: &wgpu::Device, module: &wgpu::ShaderModule, [vertex, fragment]: [&str; 2]) -> wgpu::RenderPipeline {
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(fragment),
        layout: None,
        vertex: wgpu::VertexState { module, entry_point: Some(vertex), compilation_options: Default::default(), buffers: &[] },
        primitive: Default::default(),
        depth_stencil: None,
        multisample: Default::default(),
        fragment: Some(wgpu::FragmentState {
            module,
            entry_point: Some(fragment),
            compilation_options: Default::default(),
            targets: &[Some(FORMAT.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}

/// A pass of the renderer into a texture.
fn draw(encoder: &mut wgpu::CommandEncoder, into: &wgpu::Texture, pipeline: &wgpu::RenderPipeline, bindings: Option<&wgpu::BindGroup>, corners: u32) {
    let view = into.create_view(&Default::default());
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("draw"),
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color { r: 0.1, g: 0.1, b: 0.15, a: 1.0 }), store: wgpu::StoreOp::Store },
        })],
        ..Default::default()
    });
    pass.set_pipeline(pipeline);
    if let Some(bindings) = bindings {
        pass.set_bind_group(0, bindings, &[]);
    }
    pass.draw(0..corners, 0..1);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let output = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("wgconv_render_beside.png"), Into::into);
    // 1. The renderer: a device with the adapter's limits, textures and pipelines.
    let adapters = pollster::block_on(wgconv::gpu::instance().enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().ok_or("no adapter")?;
    let required_limits = adapter.limits();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor { required_limits, ..Default::default() }))?;
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some("draw"), source: wgpu::ShaderSource::Wgsl(DRAW.into()) });
    let (scene, frame) = (pipeline(&device, &module, ["scene", "paint"]), pipeline(&device, &module, ["all", "frame"]));
    let read = wgpu::TextureUsages::TEXTURE_BINDING;
    let drawn = texture(&device, "scene", SIZE, read | wgpu::TextureUsages::RENDER_ATTACHMENT);
    let edges = texture(&device, "edges", SIZE, read | wgpu::TextureUsages::STORAGE_BINDING);
    let shown = texture(&device, "frame", 2 * SIZE, read | wgpu::TextureUsages::RENDER_ATTACHMENT);
    let views = [&drawn, &edges].map(|texture| texture.create_view(&Default::default()));
    let entry = |binding: u32| wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::TextureView(&views[binding as usize]) };
    let bindings =
        device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &frame.get_bind_group_layout(0), entries: &[entry(0), entry(1)] });

    // 2. wgconv on that device, with the filters of its part of the frame.
    let gpu = Gpu::from_wgpu(adapter, device.clone(), queue.clone())?;
    let gray = gpu.upload(&Array4::from_shape_fn((1, 3, 1, 1), |(_, c, _, _)| [0.2126f32, 0.7152, 0.0722][c]))?; // Rec. 709
    let sobel = [-1.0f32, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0, -1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0];
    let sobel = gpu.upload(&Array4::from_shape_fn((2, 1, 3, 3), |(o, _, y, x)| sobel[o * 9 + y * 3 + x]))?;
    let sum = gpu.upload(&Array4::<f32>::ones((1, 2, 1, 1)))?;
    let continued = Conv2dDescriptor { padding: Padding::uniform(1), padding_mode: PaddingMode::Replicate, ..Default::default() };

    // 3. A frame: the renderer's pass, wgconv's, the renderer's again. The program submits.
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("frame") });
    draw(&mut encoder, &drawn, &scene, None, 9);
    let mut recorder = Recorder::on(&gpu, &mut encoder);
    let x = recorder.image_from_texture(&drawn, &ImageDescriptor::default())?;
    let x = recorder.conv2d(&x, &gray, None, &Conv2dDescriptor::default())?;
    let slopes = recorder.conv2d(&x, &sobel, None, &continued)?;
    let squares = recorder.mul(&slopes, &slopes)?;
    let squares = recorder.conv2d(&squares, &sum, None, &Conv2dDescriptor::default())?;
    let steepness = recorder.unary(&squares, UnaryOp::Sqrt)?;
    recorder.image_to_texture(&steepness, &edges, &ImageDescriptor::default())?;
    drop(recorder); // ends wgconv's pass
    draw(&mut encoder, &shown, &frame, Some(&bindings), 3);
    queue.submit([encoder.finish()]);

    // 4. The look, and what must be in it.
    let picture = look(&gpu, &shown)?;
    picture.save(&output)?;
    println!("{}: the scene, and its edges as wgconv found them: {}", gpu.report(), output.display());
    let dark = (0..SIZE * SIZE).filter(|i| picture.get_pixel(SIZE + i % SIZE, i / SIZE).0.iter().all(|v| *v < 60)).count();
    assert!((300..6000).contains(&dark), "{dark} dark pixels: the outlines of three triangles are some");
    let corner = picture.get_pixel(2, 2);
    assert_eq!(corner.0, [26, 26, 38], "the ground of the scene is as it was cleared");
    let flat = picture.get_pixel(SIZE + SIZE / 2, SIZE / 2);
    assert!(flat.0.iter().all(|v| *v > 200), "inside a triangle there is no edge: {flat:?}");
    Ok(())
}

/// A texture as a picture on the CPU: what a program that shows its frames never does.
fn look(gpu: &Gpu, texture: &wgpu::Texture) -> Result<image::RgbImage, Box<dyn std::error::Error>> {
    let bytes = ImageDescriptor { scale: [255.0; 4], ..Default::default() };
    let x: Tensor = gpu.run(|r| r.image_from_texture(texture, &bytes))?;
    let x: Array4<f32> = x.download()?;
    Ok(image::RgbImage::from_fn(texture.width(), texture.height(), |column, row| {
        image::Rgb([0, 1, 2].map(|c| x[[0, c, row as usize, column as usize]] as u8))
    }))
}
