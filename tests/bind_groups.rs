//! Bind groups and uniforms of prepared ops: made once for the same tensors, gone with them, one buffer of uniforms for all kernels of an op.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::ramp;
use ndarray::{Array4, Ix4};
use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::gpu::Counters;
use wgconv::op::Prepared;
use wgconv::{ElementType, Gpu, Layout, Padding, Tensor, cpu, wgpu};

/// A device of its own instance, which tells what is alive in it.
fn own() -> (wgpu::Instance, Gpu) {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::all() - wgpu::Backends::GL;
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().expect("the tests need an adapter; scripts/test.sh installs a software one");
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let gpu = Gpu::from_wgpu(adapter, device, queue).unwrap();
    (instance, gpu)
}

/// Bind groups and buffers that something has, in wgpu's own count.
fn alive(instance: &wgpu::Instance, gpu: &Gpu) -> [usize; 2] {
    gpu.wait().unwrap();
    let report = instance.generate_report().unwrap();
    let hub = report.hub_report();
    [hub.bind_groups.num_allocated, hub.buffers.num_allocated]
}

fn counted(gpu: &Gpu, call: impl FnOnce()) -> Counters {
    let before = gpu.counters();
    call();
    gpu.counters() - before
}

/// A convolution that packs its filter and takes several kernels, with its filter.
fn winograd(gpu: &Gpu) -> (ConvProblem, Conv2dDescriptor, Array4<f32>, Tensor) {
    // Of so few channels it errs more than plain sums, but not on integers.
    let descriptor =
        Conv2dDescriptor { padding: Padding::Same, accuracy: Accuracy::Reduced, algorithm: Some(Algorithm::WinogradF2), ..Default::default() };
    let filter = ramp((16, 16, 3, 3), 3, 7);
    let w = gpu.upload(&filter).unwrap();
    let x = wgconv::TensorType::new(&[1, 16, 24, 24], ElementType::F32, Layout::ChannelsFirst);
    let inputs = ConvInputs { x, filter: &[16, 16, 3, 3], bias: None, y_layout: Layout::ChannelsFirst };
    (ConvProblem::forward(&inputs, &descriptor).unwrap(), descriptor, filter, w)
}

fn record(gpu: &Gpu, prepared: &Prepared, x: &Tensor, y: &Tensor) {
    let mut recorder = gpu.recorder();
    prepared.record(&mut recorder, &[x], &[y]).unwrap();
    recorder.submit().unwrap();
}

#[test]
fn the_uniforms_of_an_op_are_one_buffer() {
    let gpu = Gpu::new().unwrap();
    let (problem, descriptor, filter, w) = winograd(&gpu);
    let plan = gpu.plan(&problem).unwrap();
    let kernels = (plan.prepare.len() + plan.steps.len()) as u64;
    let mut prepared = None;
    let made = counted(&gpu, || prepared = Some(Prepared::new(&gpu, &problem, &[&w]).unwrap()));
    let prepared = prepared.unwrap();
    // Scratch memory: the packed filter, the transformed tiles and their products.
    assert!(kernels >= 4 && made.buffers <= 4, "{kernels} kernels, {made:?}");
    let image = ramp((1, 16, 24, 24), 5, 11);
    let (x, y) = (gpu.upload(&image).unwrap(), prepared.output().unwrap());
    record(&gpu, &prepared, &x, &y);
    let want = cpu::convolve(&descriptor, image.view().into_dyn(), filter.view().into_dyn(), None).unwrap();
    assert_eq!(y.download::<f32, Ix4>().unwrap().into_dyn(), want);
}

#[test]
fn the_same_tensors_are_bound_once() {
    let gpu = Gpu::new().unwrap();
    let (problem, _, _, w) = winograd(&gpu);
    let prepared = Prepared::new(&gpu, &problem, &[&w]).unwrap();
    let kernels = prepared.plan().steps.len() as u64;
    let x = gpu.upload(&ramp((1, 16, 24, 24), 5, 11)).unwrap();
    let outputs = [(); 2].map(|()| prepared.output().unwrap());
    let once = Counters { submits: 1, ..Counters::default() };
    for (i, wanted) in [(0, kernels), (0, 0), (1, kernels), (0, 0), (1, 0)] {
        let done = counted(&gpu, || record(&gpu, &prepared, &x, &outputs[i]));
        assert_eq!(done, Counters { bind_groups: wanted, ..once }, "output {i}");
    }
    assert_eq!(outputs[0].download::<f32, Ix4>().unwrap(), outputs[1].download::<f32, Ix4>().unwrap());
    // A clone of the op, and what was bound, are the same op and the same call; packing again too.
    assert_eq!(counted(&gpu, || drop(prepared.clone().bind(&[&x], &[&outputs[0]]).unwrap())).bind_groups, 0);
    let refreshed = || {
        counted(&gpu, || {
            let mut recorder = gpu.recorder();
            prepared.refresh(&mut recorder, &[&w]).unwrap();
            recorder.submit().unwrap();
        })
    };
    assert_eq!(refreshed(), once, "it was packed when it was prepared");
    // Beyond what is kept, the call that was made longest ago is made anew.
    let more: Vec<Tensor> = (0..8).map(|_| prepared.output().unwrap()).collect();
    more.iter().for_each(|y| record(&gpu, &prepared, &x, y));
    assert_eq!(counted(&gpu, || record(&gpu, &prepared, &x, &more[7])).bind_groups, 0);
    assert_eq!(counted(&gpu, || record(&gpu, &prepared, &x, &outputs[0])).bind_groups, kernels);
}

/// A bind group keeps memory: none outlives its tensors, nor the memory that is kept for reuse.
#[test]
fn what_names_a_tensor_goes_with_it() {
    let (instance, gpu) = own();
    let (problem, _, _, w) = winograd(&gpu);
    let prepared = Prepared::new(&gpu, &problem, &[&w]).unwrap();
    let kernels = prepared.plan().steps.len();
    let x = gpu.upload(&ramp((1, 16, 24, 24), 5, 11)).unwrap();
    let y = prepared.output().unwrap();
    let before = alive(&instance, &gpu);
    record(&gpu, &prepared, &x, &y);
    let with = alive(&instance, &gpu);
    assert_eq!(with[0], before[0] + kernels);
    for _ in 0..3 {
        let other = prepared.output().unwrap();
        record(&gpu, &prepared, &x, &other);
    }
    assert_eq!(alive(&instance, &gpu), with, "tensors that are gone");
    drop(y);
    assert_eq!(alive(&instance, &gpu), [before[0], before[1] - 1]);
    // Those of eager calls are reused with their memory, and go when that does.
    let conv = || gpu.run(|r| r.conv2d(&x, &w, None, &Conv2dDescriptor::default()).map(drop)).unwrap();
    conv();
    let once = alive(&instance, &gpu);
    assert_eq!(counted(&gpu, conv).bind_groups, 0);
    assert_eq!(alive(&instance, &gpu), once);
    gpu.set_pool_limit(0);
    let without = alive(&instance, &gpu);
    assert!(without[0] < once[0] && without[1] < once[1], "{once:?} {without:?}");
    // What was prepared goes with all that it has.
    let buffers = alive(&instance, &gpu)[1];
    drop(prepared);
    let after = alive(&instance, &gpu);
    assert!(after[0] < without[0] && after[1] < buffers, "{without:?} {after:?}");
}

/// Threads that record one op over tensors of their own, which come and go.
#[test]
fn threads_share_what_is_kept() {
    let gpu = Gpu::new().unwrap();
    let (problem, descriptor, filter, w) = winograd(&gpu);
    let prepared = Prepared::new(&gpu, &problem, &[&w]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let (gpu, prepared, filter, descriptor) = (&gpu, &prepared, &filter, &descriptor);
            scope.spawn(move || {
                let image = ramp((1, 16, 24, 24), 3 + thread, 11);
                let want = cpu::convolve(descriptor, image.view().into_dyn(), filter.view().into_dyn(), None).unwrap();
                let x = gpu.upload(&image).unwrap();
                for _ in 0..6 {
                    let y = prepared.output().unwrap();
                    (0..2).for_each(|_| record(gpu, prepared, &x, &y));
                    assert_eq!(y.download::<f32, Ix4>().unwrap().into_dyn(), want, "thread {thread}");
                }
            });
        }
    });
}
