//! Eager calls of what was seen before, and the memory that stays: nothing is planned, compiled or packed twice, a filter that changes is packed anew, buffers
//! are reused only when nothing names them, and thousands of ops of changing shapes leave memory where it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::ramp;
use ndarray::{Array1, Array4, Ix1, Ix4};
use wgconv::conv::Conv2dDescriptor;
use wgconv::elementwise::{BinaryOp, UnaryOp};
use wgconv::gpu::Counters;
use wgconv::reduce::ReduceDescriptor;
use wgconv::{Activation, Gpu, Layout, Padding, Recorder, Tensor, Tuning, cpu};

/// Of a device of its own: other tests of this file run beside it.
fn gpu() -> Gpu {
    Gpu::new().unwrap()
}

fn counted<T>(gpu: &Gpu, call: impl FnOnce() -> T) -> (T, Counters) {
    let before = gpu.counters();
    let made = call();
    (made, gpu.counters() - before)
}

fn convolved(x: &Array4<f32>, w: &Array4<f32>) -> Array4<f32> {
    let descriptor = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };
    cpu::convolve(&descriptor, x.view().into_dyn(), w.view().into_dyn(), None).unwrap().into_dimensionality().unwrap()
}

fn conv(gpu: &Gpu, x: &Tensor, w: &Tensor) -> Tensor {
    let descriptor = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };
    gpu.run(|r| r.conv2d(x, w, None, &descriptor)).unwrap()
}

#[test]
fn a_call_seen_before_neither_plans_nor_compiles_nor_packs() {
    let gpu = gpu();
    let (image, filter) = (ramp((1, 16, 24, 24), 5, 11), ramp((16, 16, 1, 1), 3, 7));
    let (x, w) = (gpu.upload(&image).unwrap(), gpu.upload(&filter).unwrap());
    let want = convolved(&image, &filter);
    for i in 0..4 {
        let (y, done) = counted(&gpu, || conv(&gpu, &x, &w));
        assert_eq!(y.download::<f32, Ix4>().unwrap(), want, "call {i}");
        let expected = Counters { bind_groups: done.bind_groups, submits: 1, ..Counters::default() };
        // The first call has all to do; the second finds the first one's output gone, and its buffer free.
        if i > 0 {
            assert_eq!(done, expected, "call {i}");
            assert_eq!(done.bind_groups, 0, "the output lies where the first one lay, so that even its bind group is there");
        } else {
            assert!(done.plans == 1 && done.pipelines > 0 && done.buffers > 1 && done.bind_groups > 1, "{done:?}");
        }
    }
    // Other ops, in place and with constants.
    for i in 0..3 {
        let (_, done) = counted(&gpu, || {
            gpu.run(|r| {
                r.unary_in_place(&x, UnaryOp::Abs)?;
                let y = r.unary(&x, UnaryOp::Exp)?;
                r.add(&y, &x)
            })
            .unwrap()
        });
        assert_eq!([done.plans, done.submits], [if i == 0 { 3 } else { 0 }, 1], "{done:?}");
        assert!(i == 0 || done.buffers == 0 && done.pipelines == 0, "{done:?}");
    }
    // What is planned otherwise from now on is not what was seen.
    gpu.set_tuning(Tuning::Heuristic, None);
    assert_eq!(counted(&gpu, || conv(&gpu, &x, &w)).1.plans, 1);
}

#[test]
fn a_filter_that_changes_is_packed_anew() {
    let gpu = gpu();
    let image = ramp((2, 8, 9, 9), 5, 11);
    let x = gpu.upload(&image).unwrap();
    let filters = [ramp((12, 8, 3, 3), 3, 7), ramp((12, 8, 3, 3), 7, 5), ramp((12, 8, 3, 3), 2, 9), ramp((12, 8, 3, 3), 5, 13)];
    let want: Vec<Array4<f32>> = filters.iter().map(|filter| convolved(&image, filter)).collect();
    let is = |y: &Tensor, i: usize| assert_eq!(y.download::<f32, Ix4>().unwrap(), want[i], "filter {i}");
    let w = gpu.upload(&filters[0]).unwrap();
    is(&conv(&gpu, &x, &w), 0);
    w.write(&filters[1]).unwrap();
    is(&conv(&gpu, &x, &w), 1);
    is(&conv(&gpu, &x, &w), 1);
    // Two filters of one shape, in turns: each keeps what was packed of it.
    let other = gpu.upload(&filters[2]).unwrap();
    is(&conv(&gpu, &x, &other), 2);
    for _ in 0..2 {
        let (y, done) = counted(&gpu, || [conv(&gpu, &x, &w), conv(&gpu, &x, &other)]);
        is(&y[0], 1);
        is(&y[1], 2);
        // The first output of a filter lies where it lay before or where the other's did.
        assert!(done.plans == 0 && done.bind_groups <= 2, "{done:?}");
    }
    // Written between the recording and the submit: what is submitted first counts, as without anything seen.
    let y = gpu
        .run(|r| {
            let y = r.conv2d(&x, &w, None, &Conv2dDescriptor { padding: Padding::Same, ..Default::default() })?;
            w.write(&filters[3])?;
            Ok(y)
        })
        .unwrap();
    is(&y, 3);
    is(&conv(&gpu, &x, &w), 3);
    // Written by a kernel, recorded behind a convolution that reads it: the next call sees it.
    let zero = gpu.upload(&Array1::from(vec![0.0f32])).unwrap();
    let y = gpu
        .run(|r| {
            let y = r.conv2d(&x, &w, None, &Conv2dDescriptor { padding: Padding::Same, ..Default::default() })?;
            r.binary_in_place(&w, &zero, BinaryOp::Mul)?;
            Ok(y)
        })
        .unwrap();
    is(&y, 3);
    assert!(conv(&gpu, &x, &w).download::<f32, Ix4>().unwrap().iter().all(|v| *v == 0.0));
    // By the caller, through the buffer.
    gpu.queue().write_buffer(other.buffer(), other.byte_offset(), bytemuck_bytes(&filters[0]).as_slice());
    is(&conv(&gpu, &x, &other), 0);
    // A recording that is dropped has packed nothing.
    let fresh = gpu.upload(&filters[1]).unwrap();
    let failed = gpu.run(|r| {
        let _ = r.conv2d(&x, &fresh, None, &Conv2dDescriptor { padding: Padding::Same, ..Default::default() })?;
        r.add(&x, &fresh)
    });
    assert!(failed.is_err());
    is(&conv(&gpu, &x, &fresh), 1);
}

fn bytemuck_bytes(array: &Array4<f32>) -> Vec<u8> {
    array.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

#[test]
fn a_buffer_is_reused_only_when_nothing_names_it() {
    let gpu = gpu();
    let ones = gpu.upload(&Array1::<f32>::ones(1000)).unwrap();
    let scaled = |by: f32| {
        let by = gpu.upload(&Array1::from(vec![by])).unwrap();
        gpu.run(|r| r.mul(&ones, &by)).unwrap()
    };
    let all = |tensor: &Tensor, v: f32| assert!(tensor.download::<f32, Ix1>().unwrap().iter().all(|own| *own == v), "not {v}");
    // A recording that is not submitted yet names the tensor; the caller's last handle is gone.
    let (held, mut recorder) = (scaled(2.0), gpu.recorder());
    let later = recorder.add(&held, &ones).unwrap();
    drop(held);
    let between: Vec<Tensor> = (0..4).map(|i| scaled(10.0 + i as f32)).collect();
    recorder.submit().unwrap();
    all(&later, 3.0);
    (0..4).for_each(|i| all(&between[i], 10.0 + i as f32));
    // On the caller's encoder.
    let (held, mut encoder) = (scaled(4.0), gpu.device().create_command_encoder(&Default::default()));
    let mut recorder = Recorder::on(&gpu, &mut encoder);
    let later = recorder.add(&held, &ones).unwrap();
    recorder.submit().unwrap();
    drop(held);
    let between: Vec<Tensor> = (0..4).map(|i| scaled(20.0 + i as f32)).collect();
    gpu.queue().submit([encoder.finish()]);
    all(&later, 5.0);
    (0..4).for_each(|i| all(&between[i], 20.0 + i as f32));
    // The caller has the buffer itself.
    let held = scaled(6.0);
    let buffer = held.buffer().clone();
    drop(held);
    let between: Vec<Tensor> = (0..4).map(|i| scaled(30.0 + i as f32)).collect();
    all(&Tensor::from_buffer(&gpu, buffer, 0, &[1000], wgconv::ElementType::F32, Layout::ChannelsFirst).unwrap(), 6.0);
    drop(between);
    // A bound op names its tensors for as long as it lives.
    let (a, y) = (scaled(7.0), scaled(0.0));
    let problem = wgconv::elementwise::UnaryProblem::new(&a.tensor_type(), Activation::Relu).unwrap();
    let bound = wgconv::op::Prepared::new(&gpu, problem, &[]).unwrap().bind(&[&a], &[&y]).unwrap();
    drop((a, y));
    let between: Vec<Tensor> = (0..4).map(|i| scaled(40.0 + i as f32)).collect();
    let mut recorder = gpu.recorder();
    bound.record(&mut recorder).unwrap();
    recorder.submit().unwrap();
    (0..4).for_each(|i| all(&between[i], 40.0 + i as f32));
}

#[test]
fn what_is_in_use_pooled_and_at_most() {
    let gpu = gpu();
    let start = gpu.memory();
    let x = gpu.upload(&Array1::<f32>::ones(1 << 20)).unwrap();
    gpu.wait().unwrap();
    assert_eq!(gpu.memory().in_use - start.in_use, 4 << 20);
    let y = gpu.run(|r| r.activation(&x, Activation::Relu)).unwrap();
    let with_y = gpu.memory();
    assert!(with_y.in_use >= start.in_use + (8 << 20) && with_y.in_use < start.in_use + (9 << 20), "{with_y:?}");
    assert_eq!((with_y.seen, with_y.pipelines), (1, 1));
    drop(y);
    let without = gpu.memory();
    assert_eq!((without.pooled, with_y.in_use - without.in_use), (4 << 20, 4 << 20));
    // As much again: it lies where y lay.
    let y = gpu.run(|r| r.activation(&x, Activation::Relu)).unwrap();
    assert_eq!(gpu.memory(), with_y);
    drop(y);
    gpu.set_pool_limit(1 << 20);
    assert_eq!((gpu.memory().pooled, gpu.memory().peak), (0, with_y.peak));
    // Larger than the limit: freed at once.
    drop(gpu.run(|r| r.activation(&x, Activation::Relu)).unwrap());
    assert_eq!(gpu.memory().pooled, 0);
    drop(x);
    assert!(gpu.memory().in_use < start.in_use + (1 << 20), "{:?}", gpu.memory());
    // No entry keeps the device alive, or a filter.
    let weak = gpu.device().clone();
    drop(gpu);
    drop(weak);
}

/// As many ops as WGCONV_MIXED_OPS says, or 2,000, of shapes that hardly come twice: memory stays where it was after the first tenth.
#[test]
fn mixed_ops_of_changing_shapes_leave_memory_flat() {
    let ops: usize = std::env::var("WGCONV_MIXED_OPS").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let gpu = gpu();
    gpu.set_pool_limit(8 << 20);
    let mut after_a_tenth = None;
    for i in 0..ops {
        let (height, width, channels) = (5 + i * 7 % 61, 5 + i * 11 % 53, 1 + i * 3 % 13);
        let x = gpu.upload(&Array4::<f32>::ones((1, channels, height, width))).unwrap();
        let y = match i % 5 {
            0 => {
                let w = gpu.upload(&Array4::<f32>::ones((1 + i % 7, channels, 3, 3))).unwrap();
                conv(&gpu, &x, &w)
            }
            1 => gpu.run(|r| r.unary(&x, UnaryOp::Exp)).unwrap(),
            2 => gpu.run(|r| r.add(&x, &x)).unwrap(),
            3 => gpu.run(|r| r.reduce(&x, &ReduceDescriptor::max(&[1]))).unwrap(),
            _ => gpu.run(|r| r.softmax(&x, -1)).unwrap(),
        };
        if i % 50 == 0 {
            drop(y.download::<f32, ndarray::IxDyn>().unwrap());
        }
        if i == ops / 10 {
            gpu.wait().unwrap();
            after_a_tenth = Some((gpu.memory(), resident()));
        }
    }
    gpu.wait().unwrap();
    let (memory, (first, before)) = (gpu.memory(), after_a_tenth.unwrap());
    println!("{ops} ops: {first:?} and {before} KiB resident after a tenth, {memory:?} and {} KiB at the end", resident());
    assert!(
        memory.pooled <= 8 << 20 && memory.in_use <= first.in_use + (8 << 20) && memory.peak <= first.peak + (16 << 20),
        "{first:?}, then {memory:?}"
    );
    assert!(memory.seen <= 256 && memory.pipelines <= 256, "{memory:?}");
    // What wgpu and the driver have is no business of gpu.memory(): the process says it.
    assert!(resident() < before + before / 2 + (100 << 10), "{before} KiB, then {} KiB", resident());
}

/// Resident memory of this process in KiB; 0 where the system does not say.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// What one thread computes: convolutions by a filter that all share, by one of its own that changes, what follows them, and a reduction. Eagerly, or recorded,
/// where nothing that was seen is used.
fn work(gpu: &Gpu, shared: &Tensor, thread: usize, eagerly: bool) -> Vec<u32> {
    let mut bits = vec![];
    let own = gpu.upload(&ramp((8, 8, 3, 3), 1 + thread, 7)).unwrap();
    for turn in 0..6 {
        let x = gpu.upload(&ramp((1, 8, 10 + thread % 3, 12), 3 + thread + turn, 13)).unwrap();
        own.write(&(ramp((8, 8, 3, 3), 1 + thread + turn, 7) * 0.37)).unwrap();
        let descriptor = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };
        let record = |r: &mut Recorder<'static>| {
            let y = r.conv2d(&x, shared, None, &descriptor)?;
            let y = r.conv2d(&y, &own, None, &descriptor)?;
            let y = r.activation(&y, Activation::Silu)?;
            r.reduce(&y, &ReduceDescriptor::sum(&[1]))
        };
        let y = if eagerly {
            gpu.run(record).unwrap()
        } else {
            let mut recorder = gpu.recorder();
            let y = record(&mut recorder).unwrap();
            recorder.submit().unwrap();
            y
        };
        bits.extend(y.download::<f32, ndarray::IxDyn>().unwrap().iter().map(|v| v.to_bits()));
    }
    bits
}

#[test]
fn sixteen_threads_on_one_device_and_two_devices_side_by_side_give_the_same_bits() {
    let filter = ramp((8, 8, 3, 3), 5, 11) * 0.21;
    let want: Vec<Vec<u32>> = {
        let gpu = gpu();
        let shared = gpu.upload(&filter).unwrap();
        (0..16).map(|thread| work(&gpu, &shared, thread, false)).collect()
    };
    assert!(want.iter().flatten().any(|bits| *bits != 0));
    let devices = [gpu(), gpu()];
    let shared = devices.each_ref().map(|gpu| gpu.upload(&filter).unwrap());
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..32)
            .map(|i| {
                (
                    i,
                    scope.spawn({
                        let (gpu, shared) = (&devices[i / 16], &shared[i / 16]);
                        move || work(gpu, shared, i % 16, true)
                    }),
                )
            })
            .collect();
        for (i, thread) in all {
            assert_eq!(thread.join().unwrap(), want[i % 16], "thread {} on device {}", i % 16, i / 16);
        }
    });
    // A tensor of one is none of the other, whatever was seen.
    let x = devices[0].upload(&ramp((1, 8, 9, 9), 3, 5)).unwrap();
    let error = devices[0].run(|r| r.conv2d(&x, &shared[1], None, &Conv2dDescriptor::default())).unwrap_err();
    assert!(matches!(error, wgconv::Error::OtherDevice { .. }), "{error}");
}
