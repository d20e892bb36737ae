//! Ops that are prepared once and for several shapes: packed inputs are shared between them, and only between those that pack alike.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::ramp;
use ndarray::{Array4, Ix4};
use wgconv::conv::{Accuracy, Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::op::Prepared;
use wgconv::{ElementType, Gpu, Layout, Padding, Tensor, TensorType};

/// Small integers, so that any algorithm is exact.
fn problem(batch: usize) -> ConvProblem {
    let layout = Layout::ChannelsFirst;
    let x = [batch, 16, 10, 12];
    let inputs = ConvInputs { x: TensorType::new(&x, ElementType::F32, layout), filter: &[24, 16, 3, 3], bias: None, y_layout: layout };
    // Winograd of so few channels errs more than plain sums, but not on integers.
    let descriptor = Conv2dDescriptor { padding: Padding::Same, accuracy: Accuracy::Reduced, ..Default::default() };
    ConvProblem::forward(&inputs, &descriptor).unwrap()
}

fn run(gpu: &Gpu, prepared: &Prepared, batch: usize) -> Array4<f32> {
    let x = gpu.upload(&ramp((batch, 16, 10, 12), 1, 7)).unwrap();
    let y = prepared.outputs().unwrap().swap_remove(0);
    let mut recorder = gpu.recorder();
    prepared.record(&mut recorder, &[&x], &[&y]).unwrap();
    recorder.submit().unwrap();
    y.download().unwrap()
}

/// Writes other numbers over a tensor, by the GPU.
fn overwrite(gpu: &Gpu, tensor: &Tensor, with: &Tensor) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    encoder.copy_buffer_to_buffer(with.buffer(), with.byte_offset(), tensor.buffer(), tensor.byte_offset(), tensor.byte_size());
    gpu.queue().submit([encoder.finish()]);
}

#[test]
fn another_batch_size_shares_the_packed_filter() {
    let gpu = Gpu::new().unwrap();
    for algorithm in ["implicit_gemm_register 24x8x2", "implicit_gemm_workgroup 32x32x16", "winograd_f2 24x8x2", "direct"] {
        let filters = [5, 6].map(|period| gpu.upload(&ramp((24, 16, 3, 3), 1, period)).unwrap());
        let [one, three] = [1, 3].map(|batch| Prepared::with_algorithm(&gpu, problem(batch), algorithm, &[&filters[0]]).unwrap());
        let (first, want) = (run(&gpu, &one, 1), run(&gpu, &three, 3));
        let also = one.also_with_algorithm(problem(3), algorithm, &[&filters[0]]).unwrap();
        assert_eq!(run(&gpu, &also, 3), want, "{algorithm}");
        let other = one.also_with_algorithm(problem(3), algorithm, &[&filters[1]]).unwrap();
        assert_ne!(run(&gpu, &other, 3), want, "{algorithm}: another filter is packed anew");
        // What was packed stays as it was when the filter is overwritten, so this tells who reads the packed one.
        overwrite(&gpu, &filters[0], &filters[1]);
        let packs = algorithm != "direct";
        let late = one.also_with_algorithm(problem(3), algorithm, &[&filters[0]]).unwrap();
        assert_eq!(run(&gpu, &late, 3) == want, packs, "{algorithm}: shared with the first");
        let new = Prepared::with_algorithm(&gpu, problem(3), algorithm, &[&filters[0]]).unwrap();
        assert_eq!(run(&gpu, &new, 3), run(&gpu, &other, 3), "{algorithm}: packed anew");
        drop((one, other));
        assert_eq!(run(&gpu, &late, 3) == want, packs, "{algorithm}: what is shared outlives the first");
        assert_eq!(first.view(), want.slice(ndarray::s![..1, .., .., ..]), "{algorithm}");
    }
}

#[test]
fn the_planner_may_choose_otherwise_and_the_filter_is_packed_for_that() {
    let gpu = Gpu::new().unwrap();
    let filter = gpu.upload(&ramp((24, 16, 3, 3), 1, 5)).unwrap();
    let one = Prepared::with_algorithm(&gpu, problem(1), "winograd_f2", &[&filter]).unwrap();
    let other = one.also_with_algorithm(problem(2), "implicit_gemm_register", &[&filter]).unwrap();
    let want = run(&gpu, &Prepared::with_algorithm(&gpu, problem(2), "direct", &[&filter]).unwrap(), 2);
    assert_eq!(run(&gpu, &other, 2), want);
    assert_eq!(run(&gpu, &one.also(problem(2), &[&filter]).unwrap(), 2), want);
    assert!(one.also(problem(2), &[]).is_err());
    let small = gpu.upload(&ramp((24, 16, 1, 1), 1, 5)).unwrap();
    assert!(one.also(problem(2), &[&small]).unwrap_err().to_string().contains("takes filter of shape [24, 16, 3, 3]"), "the shape is checked first");
    let elsewhere = Gpu::new().unwrap().upload::<f32, _, Ix4>(&ramp((24, 16, 3, 3), 1, 5)).unwrap();
    assert!(one.also(problem(2), &[&elsewhere]).is_err());
}

/// The calls of an op are timed one by one, in their order, and leave its output as it was.
#[test]
fn steps_are_timed_and_change_nothing() {
    let gpu = Gpu::new().unwrap();
    let filter = gpu.upload(&ramp((24, 16, 3, 3), 3, 5)).unwrap();
    let prepared = Prepared::with_algorithm(&gpu, problem(2), "winograd_f2", &[&filter]).unwrap();
    let want = run(&gpu, &prepared, 2);
    let (x, y) = (gpu.upload(&ramp((2, 16, 10, 12), 1, 7)).unwrap(), prepared.output().unwrap());
    let steps = prepared.bind(&[&x], &[&y]).unwrap().time_steps(4).unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step.kernel.split('[').next().unwrap()).collect();
    assert_eq!(steps.len(), prepared.plan().steps.len());
    assert!(names[0].starts_with("conv_winograd_input") && names[2].starts_with("conv_winograd_output"), "{names:?}");
    for (step, planned) in steps.iter().zip(&prepared.plan().steps) {
        assert_eq!((step.timing.seconds.len(), step.workgroups), (4, planned.workgroups));
        assert!(step.timing.median() > 0.0, "{step:?}");
    }
    assert_eq!(y.download::<f32, Ix4>().unwrap(), want);
    assert!(prepared.bind(&[&x], &[&y]).unwrap().time_steps(3000).unwrap_err().to_string().contains("2048"));
}
