//! The public API as an embedder meets it: eager, recorded, prepared, adopted devices and buffers, layouts, downloads.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::{gpu, ramp};
use ndarray::{Array1, Array4, array};
use wgconv::conv::{Algorithm, Conv1dDescriptor, Conv2dDescriptor, ConvInputs, ConvProblem, ConvTranspose2dDescriptor};
use wgconv::op::Prepared;
use wgconv::{Activation, ElementType, Error, Gpu, Layout, Padding, Recorder, Tensor, wgpu};

/// The 6 x 6 image of tens and zeros and the vertical edge filter of the teaching texts.
fn edge_case() -> (Array4<f32>, Array4<f32>) {
    let image = Array4::from_shape_fn((1, 1, 6, 6), |(_, _, _, x)| if x < 3 { 10.0 } else { 0.0 });
    let filter = Array4::from_shape_fn((1, 1, 3, 3), |(_, _, _, x)| 1.0 - x as f32);
    (image, filter)
}

#[test]
fn eager_convolution_finds_the_edge() {
    let gpu = gpu();
    let (image, filter) = edge_case();
    let (x, f) = (gpu.upload(&image).unwrap(), gpu.upload(&filter).unwrap());
    let y: Array4<f32> = gpu.run(|r| r.conv2d(&x, &f, None, &Conv2dDescriptor::default())).unwrap().download().unwrap();
    assert_eq!(y.shape(), [1, 1, 4, 4]);
    for row in y.rows() {
        assert_eq!(row, array![0.0, 30.0, 30.0, 0.0]);
    }
}

#[test]
fn every_algorithm_agrees_on_integers() {
    let gpu = gpu();
    let (image, filter) = (ramp((2, 8, 9, 7), 5, 9), ramp((12, 8, 1, 1), 7, 9));
    let bias = Array1::from_iter((0..12).map(|i| i as f32));
    let [x, f, b] = [gpu.upload(&image), gpu.upload(&filter), gpu.upload(&bias)].map(Result::unwrap);
    let run = |algorithm| -> Array4<f32> {
        let descriptor = Conv2dDescriptor { activation: Activation::Relu, algorithm: Some(algorithm), ..Default::default() };
        gpu.run(|r| r.conv2d(&x, &f, Some(&b), &descriptor)).unwrap().download().unwrap()
    };
    let direct = run(Algorithm::Direct);
    assert!(direct.iter().any(|v| *v > 0.0), "the test would verify nothing on zeros");
    for algorithm in Algorithm::ALL {
        // Those that compute a 1 x 1 window over many channels, on any device.
        let others = [Algorithm::Depthwise, Algorithm::WinogradF2, Algorithm::WinogradF4, Algorithm::AsLinear, Algorithm::Fft];
        if !others.contains(&algorithm) && !algorithm.uses_coop_matrix() {
            assert_eq!(run(algorithm), direct, "{algorithm}");
        }
    }
}

#[test]
fn recorded_layers_run_in_one_submit_and_match_eager_ones() {
    let gpu = gpu();
    let (image, f1, f2) = (ramp((1, 3, 12, 10), 5, 9), ramp((5, 3, 3, 3), 7, 9), ramp((4, 5, 2, 2), 4, 9));
    let [x, f1, f2] = [&image, &f1, &f2].map(|a| gpu.upload(a).unwrap());
    let first = Conv2dDescriptor { padding: Padding::Same, activation: Activation::Relu, ..Default::default() };
    let second = Conv2dDescriptor { stride: [2, 1], ..Default::default() };
    let mut recorder = gpu.recorder();
    let h = recorder.conv2d(&x, &f1, None, &first).unwrap();
    let y = recorder.conv2d(&h, &f2, None, &second).unwrap();
    recorder.submit().unwrap();
    let h = gpu.run(|r| r.conv2d(&x, &f1, None, &first)).unwrap();
    let eager = gpu.run(|r| r.conv2d(&h, &f2, None, &second)).unwrap();
    let (y, eager): (Array4<f32>, Array4<f32>) = (y.download().unwrap(), eager.download().unwrap());
    assert_eq!(y, eager);
}

#[test]
fn a_filter_computed_in_the_same_recording_is_seen() {
    let gpu = gpu();
    let image = ramp((1, 4, 6, 6), 5, 9);
    // The filter is itself the output of a convolution: doubling by a 1 x 1 filter of 2.
    let base = ramp((6, 4, 3, 3), 7, 9);
    let [x, base_t] = [&image, &base].map(|a| gpu.upload(a).unwrap());
    let two = gpu.upload(&Array4::from_shape_fn((4, 4, 1, 1), |(k, c, ..)| if k == c { 2.0f32 } else { 0.0 })).unwrap();
    let doubled = gpu.upload(&(&base * 2.0)).unwrap();
    for algorithm in [Algorithm::Direct, Algorithm::ImplicitGemmRegister, Algorithm::ImplicitGemmWorkgroup] {
        let descriptor = Conv2dDescriptor { algorithm: Some(algorithm), ..Default::default() };
        let mut recorder = gpu.recorder();
        let filter = recorder.conv2d(&base_t, &two, None, &Conv2dDescriptor::default()).unwrap();
        let y = recorder.conv2d(&x, &filter, None, &descriptor).unwrap();
        recorder.submit().unwrap();
        let want: Array4<f32> = gpu.run(|r| r.conv2d(&x, &doubled, None, &descriptor)).unwrap().download().unwrap();
        assert_eq!(y.download::<f32, ndarray::Ix4>().unwrap(), want, "{algorithm}");
    }
}

#[test]
fn prepared_convolution_runs_again_on_other_data() {
    let gpu = gpu();
    let filter = gpu.upload(&ramp((5, 3, 3, 3), 7, 9)).unwrap();
    let images = [ramp((1, 3, 8, 9), 5, 9), ramp((1, 3, 8, 9), 2, 9)];
    let x = images.each_ref().map(|i| gpu.upload(i).unwrap());
    let descriptor = Conv2dDescriptor { padding: Padding::uniform(1), ..Default::default() };
    let conv = Prepared::new(&gpu, ConvProblem::forward(&ConvInputs::of(&x[0], &filter, None), &descriptor).unwrap(), &[&filter]).unwrap();
    let y = [conv.output().unwrap(), conv.output().unwrap()];
    let mut recorder = gpu.recorder();
    conv.record(&mut recorder, &[&x[0]], &[&y[0]]).unwrap();
    conv.record(&mut recorder, &[&x[1]], &[&y[1]]).unwrap();
    recorder.submit().unwrap();
    for i in 0..2 {
        let want: Array4<f32> = gpu.run(|r| r.conv2d(&x[i], &filter, None, &descriptor)).unwrap().download().unwrap();
        assert_eq!(y[i].download::<f32, ndarray::Ix4>().unwrap(), want);
    }
    let (a, b): (Array4<f32>, Array4<f32>) = (y[0].download().unwrap(), y[1].download().unwrap());
    assert_ne!(a, b, "other data must give another result");
}

#[test]
fn a_bound_op_runs_again_over_the_same_tensors() {
    let (gpu, other) = (gpu(), gpu());
    let first = gpu.upload(&ramp((1, 3, 8, 9), 5, 9)).unwrap();
    let filters = [ramp((5, 3, 3, 3), 7, 9), ramp((3, 5, 1, 1), 4, 9)].map(|f| gpu.upload(&f).unwrap());
    let same = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };
    let conv = |x: &Tensor, f: &Tensor| Prepared::new(&gpu, ConvProblem::forward(&ConvInputs::of(x, f, None), &same).unwrap(), &[f]).unwrap();
    let there = conv(&first, &filters[0]);
    let middle = there.output().unwrap();
    let back = conv(&middle, &filters[1]);
    // x -> middle -> x: each turn begins with what the last one left.
    let x = back.output().unwrap();
    let bound = [there.bind(&[&x], &[&middle]).unwrap(), back.bind(&[&middle], &[&x]).unwrap()];
    let start = || {
        let mut recorder = gpu.recorder();
        let zero = gpu.zeros(&[1, 3, 8, 9], ElementType::F32, Layout::ChannelsFirst).unwrap();
        let sum = recorder.add(&first, &zero).unwrap();
        recorder.submit().unwrap();
        sum
    };
    let mut recorder = gpu.recorder();
    for _ in 0..2 {
        bound.iter().for_each(|op| op.record(&mut recorder).unwrap());
    }
    recorder.submit().unwrap();
    assert_eq!(x.download::<f32, ndarray::Ix4>().unwrap().sum(), 0.0, "it began with zeros");
    // The same ops over another tensor, recorded each time.
    let own = start();
    let mut recorder = gpu.recorder();
    for _ in 0..2 {
        there.record(&mut recorder, &[&own], &[&middle]).unwrap();
        back.record(&mut recorder, &[&middle], &[&own]).unwrap();
    }
    recorder.submit().unwrap();
    let bound_own = start();
    let bound = [there.bind(&[&bound_own], &[&middle]).unwrap(), back.bind(&[&middle], &[&bound_own]).unwrap()];
    for _ in 0..2 {
        let mut recorder = gpu.recorder();
        bound.iter().for_each(|op| op.record(&mut recorder).unwrap());
        recorder.submit().unwrap();
    }
    let (own, bound_own): (Array4<f32>, Array4<f32>) = (own.download().unwrap(), bound_own.download().unwrap());
    assert_eq!(own, bound_own);
    assert!(own.iter().any(|v| *v != 0.0), "the test would verify nothing on zeros");
    // What bind refuses, and where it cannot be recorded.
    assert!(there.bind(&[&middle], &[&middle]).is_err());
    assert_eq!(bound[0].record(&mut other.recorder()), Err(Error::OtherDevice { argument: "the recorder".into() }));
}

#[test]
fn the_callers_device_buffers_and_encoder_are_used() {
    // What an embedder has: instance, adapter, device and queue of its own, opened with the plainest of limits.
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().expect("an adapter");
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let gpu = Gpu::from_wgpu(adapter, device.clone(), queue.clone()).unwrap();

    let (image, filter) = edge_case();
    let bytes: &[u8] = bytemuck::cast_slice(image.as_slice().unwrap());
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = |size| device.create_buffer(&wgpu::BufferDescriptor { label: Some("caller's"), size, usage, mapped_at_creation: false });
    let (upload, own) = (buffer(144), buffer(512));
    queue.write_buffer(&upload, 0, bytes);
    // The image lies at byte 256 of the caller's buffer, put there by the caller's own copy in the same encoder.
    let x = Tensor::from_buffer(&gpu, own.clone(), 256, &[1, 1, 6, 6], ElementType::F32, Layout::ChannelsFirst).unwrap();
    let f = gpu.upload(&filter).unwrap();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(&upload, 0, &own, 256, 144);
    let mut recorder = Recorder::on(&gpu, &mut encoder);
    let y = recorder.conv2d(&x, &f, None, &Conv2dDescriptor::default()).unwrap();
    drop(recorder); // ends the pass; the encoder is the caller's again
    let result = buffer(64);
    encoder.copy_buffer_to_buffer(y.buffer(), y.byte_offset(), &result, 0, 64);
    queue.submit([encoder.finish()]);
    let result = Tensor::from_buffer(&gpu, result, 0, &[4, 4], ElementType::F32, Layout::ChannelsFirst).unwrap();
    let rows: ndarray::Array2<f32> = result.download().unwrap();
    for row in rows.rows() {
        assert_eq!(row, array![0.0, 30.0, 30.0, 0.0]);
    }
    // Offsets and ranges that no kernel could bind are refused before wgpu sees them.
    let error = Tensor::from_buffer(&gpu, own.clone(), 4, &[1], ElementType::F32, Layout::ChannelsFirst).unwrap_err().to_string();
    assert!(error.starts_with("byte_offset is 4:"), "{error}");
    assert!(Tensor::from_buffer(&gpu, own, 256, &[65], ElementType::F32, Layout::ChannelsFirst).is_err());
}

#[test]
fn any_view_uploads_and_every_layout_comes_back() {
    let gpu = gpu();
    let base = ramp((2, 3, 5, 4), 5, 9);
    let mut reversed = base.view();
    reversed.invert_axis(ndarray::Axis(3));
    let permuted = base.view().permuted_axes([0, 2, 3, 1]);
    let sliced = base.slice(ndarray::s![.., 1..;2, ..;2, 1..]);
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for view in [base.view(), reversed, permuted, sliced] {
            let back: Array4<f32> = gpu.upload_as(&view, layout).unwrap().download().unwrap();
            assert_eq!(back, view, "{layout:?}");
        }
    }
    let scalar = ndarray::arr0(7.0f32);
    assert_eq!(gpu.upload(&scalar).unwrap().download::<f32, ndarray::Ix0>().unwrap(), scalar);
    let volume = ndarray::Array5::from_shape_fn((1, 2, 3, 2, 2), |(_, c, d, h, w)| (c * 100 + d * 10 + h * 2 + w) as f32);
    let back: ndarray::Array5<f32> = gpu.upload_as(&volume, Layout::ChannelsLast).unwrap().download().unwrap();
    assert_eq!(back, volume);
    if gpu.profile().has_f16 {
        let halves = Array1::from_iter([1.5f32, -2.0, 0.25].map(half::f16::from_f32));
        assert_eq!(gpu.upload(&halves).unwrap().download::<half::f16, ndarray::Ix1>().unwrap(), halves);
    } else {
        let error = gpu.zeros(&[4], ElementType::F16, Layout::ChannelsFirst).unwrap_err();
        assert!(matches!(error, Error::MissingFeature { feature: "shader-f16", .. }), "{error}");
    }
}

#[test]
fn download_async_gives_what_download_gives() {
    let gpu = gpu();
    let image = ramp((1, 2, 3, 4), 5, 9);
    let tensor = gpu.upload(&image).unwrap();
    let (a, b) = pollster::block_on(async { (tensor.download_async().await, tensor.download_async().await) });
    let (a, b): (Array4<f32>, Array4<f32>) = (a.unwrap(), b.unwrap());
    assert_eq!(a, image);
    assert_eq!(b, image);
}

#[test]
fn ranks_one_and_transposed_have_names_of_their_own() {
    let gpu = gpu();
    let x = gpu.upload(&array![[[1.0f32, 2.0, 3.0, 4.0]]]).unwrap();
    let f = gpu.upload(&array![[[1.0f32, 10.0]]]).unwrap();
    let y: ndarray::Array3<f32> = gpu.run(|r| r.conv1d(&x, &f, None, &Conv1dDescriptor::default())).unwrap().download().unwrap();
    assert_eq!(y, array![[[21.0, 32.0, 43.0]]]);
    let x = gpu.upload(&array![[[[1.0f32, 2.0]]]]).unwrap();
    let f = gpu.upload(&array![[[[1.0f32, 10.0, 100.0]]]]).unwrap();
    let descriptor = ConvTranspose2dDescriptor { stride: [1, 2], ..Default::default() };
    let y: Array4<f32> = gpu.run(|r| r.conv_transpose2d(&x, &f, None, &descriptor)).unwrap().download().unwrap();
    assert_eq!(y, array![[[[1.0, 10.0, 102.0, 20.0, 200.0]]]]);
}

/// Buffers of another device are refused by name as long as wgpu can tell them, which it can within one instance.
#[test]
fn a_buffer_of_another_device_or_one_that_was_destroyed_is_refused_by_name() {
    let (here, there) = (gpu(), gpu());
    let adapters = pollster::block_on(wgconv::gpu::instance().enumerate_adapters(wgpu::Backends::all()));
    let (device, queue) = pollster::block_on(adapters[0].request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let adopted = Gpu::from_wgpu(&adapters[0], device, queue).unwrap();
    let adopt = |gpu: &Gpu, buffer: &wgpu::Buffer| Tensor::from_buffer(gpu, buffer.clone(), 0, &[4], ElementType::F32, Layout::ChannelsFirst);
    // Enough of them that another device has something under every number.
    let all: Vec<Vec<Tensor>> =
        [&here, &there, &adopted].map(|gpu| (0..20).map(|i| gpu.upload(&Array1::from_elem(4, i as f32)).unwrap()).collect()).into();
    for (own, gpu) in [&here, &there, &adopted].into_iter().enumerate() {
        for (owner, tensors) in all.iter().enumerate() {
            for (i, tensor) in tensors.iter().enumerate() {
                match adopt(gpu, tensor.buffer()) {
                    Ok(adopted) if own == owner => assert_eq!(adopted.download::<f32, ndarray::Ix1>().unwrap(), Array1::from_elem(4, i as f32)),
                    Err(error) if own != owner => assert_eq!(error, Error::OtherDevice { argument: "buffer".into() }),
                    other => panic!("device {own}, buffer {i} of device {owner}: {other:?}"),
                }
            }
        }
    }
    // Of any usage, if kernels can read it.
    let bare =
        here.device().create_buffer(&wgpu::BufferDescriptor { label: None, size: 16, usage: wgpu::BufferUsages::STORAGE, mapped_at_creation: false });
    assert!(adopt(&here, &bare).is_ok());
    assert_eq!(adopt(&there, &bare).unwrap_err(), Error::OtherDevice { argument: "buffer".into() });

    let tensor = here.upload(&Array1::from_elem(4, 1.0f32)).unwrap();
    tensor.buffer().destroy();
    for error in [tensor.download::<f32, ndarray::Ix1>().unwrap_err(), here.run(|r| r.activation(&tensor, Activation::Relu)).map(|_| ()).unwrap_err()]
    {
        let Error::Invalid { value, rule, .. } = &error else { panic!("{error}") };
        assert!(value == "destroyed" && rule.starts_with("a buffer must live as long as its tensors are used"), "{error}");
    }
    let tensor = here.upload(&Array1::from_elem(4, 1.0f32)).unwrap();
    assert_eq!(tensor.download::<f32, ndarray::Ix1>().unwrap().sum(), 4.0, "the device works on");
}

/// What the log has of this process's tests.
static WARNINGS: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("wgconv") && metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            WARNINGS.lock().unwrap().push(format!("{:?} {}", std::thread::current().id(), record.args()));
        }
    }

    fn flush(&self) {}
}

/// Warnings of this thread while `f` ran.
fn warnings(f: impl FnOnce()) -> usize {
    static SET: std::sync::Once = std::sync::Once::new();
    SET.call_once(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
    let own = format!("{:?} a recorder was dropped without a submit", std::thread::current().id());
    let count = || WARNINGS.lock().unwrap().iter().filter(|warning| warning.starts_with(&own)).count();
    let before = count();
    f();
    count() - before
}

#[test]
fn what_was_recorded_and_never_submitted_is_warned_of_and_runs_in_the_order_of_submits() {
    let gpu = gpu();
    let x = gpu.upload(&Array1::from_elem(4, 1.0f32)).unwrap();
    let record = |recorder: &mut Recorder<'_>| recorder.add(&x, &x).unwrap();
    let values = |tensor: &Tensor| tensor.download::<f32, ndarray::Ix1>().unwrap().sum();
    assert_eq!(warnings(|| assert_eq!(values(&record(&mut gpu.recorder())), 0.0)), 1);
    assert_eq!(warnings(|| drop(gpu.recorder())), 0, "nothing was recorded");
    let failed = || {
        let mut recorder = gpu.recorder();
        let y = record(&mut recorder);
        // The caller has an error, and drops the recorder for it.
        assert!(recorder.concat(&[&y], 7).is_err());
        assert!(recorder.op(wgconv::matmul::MatMulProblem::matmul(&[1, 1], &[1, 1], ElementType::F32).unwrap(), &[&y]).is_err());
    };
    assert_eq!(warnings(failed), 0);
    let refused = || {
        let run = gpu.run(|r| {
            let _ = record(r);
            Err::<(), _>(Error::invalid("it", "so", "the closure says no"))
        });
        assert_eq!(run.unwrap_err().to_string(), "it is so: the closure says no");
    };
    assert_eq!(warnings(refused), 0);
    let submitted = || {
        let mut recorder = gpu.recorder();
        let y = record(&mut recorder);
        // Submitted before the recording that it reads from.
        let early = gpu.run(|r| r.add(&y, &y)).unwrap();
        recorder.submit().unwrap();
        assert_eq!([values(&early), values(&y), values(&gpu.run(|r| r.add(&y, &y)).unwrap())], [0.0, 8.0, 16.0]);
    };
    assert_eq!(warnings(submitted), 0);
    let on_anothers = || {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let y = record(&mut Recorder::on(&gpu, &mut encoder));
        gpu.queue().submit([encoder.finish()]);
        assert_eq!(values(&y), 8.0);
    };
    assert_eq!(warnings(on_anothers), 0, "the encoder is the caller's");
}
