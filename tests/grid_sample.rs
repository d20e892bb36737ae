//! Sampling at the positions of a grid as an embedder meets it: known values, positions that are no numbers, both layouts, both engines, messages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::{Array, Array4, ArrayD, Ix4, IxDyn};
use wgconv::op::{Op, Problem};
use wgconv::transform::{GridSample, GridSampleDescriptor, GridSampleMode, GridSamplePadding};
use wgconv::validate::{Options, Outcome, run};
use wgconv::{Gpu, GpuDescriptor, Graph, Layout, Session, TensorType};

const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

fn descriptor(mode: GridSampleMode, padding: GridSamplePadding) -> GridSampleDescriptor {
    GridSampleDescriptor { mode, padding, align_corners: false }
}

/// One row of 10, 20, 30, 40, read at these coordinates in elements, on the reference, the CPU engine and the GPU in both layouts.
fn of_row(coordinates: &[f32], descriptor: GridSampleDescriptor) -> Vec<f32> {
    let numbers = [10.0f32, 20.0, 30.0, 40.0];
    let n = if descriptor.align_corners { 3.0 } else { 4.0 };
    let places: Vec<f32> = coordinates.iter().map(|c| if descriptor.align_corners { c / n * 2.0 - 1.0 } else { (c + 0.5) / n * 2.0 - 1.0 }).collect();
    let op = GridSample::new(&TensorType::f32(&[1, 1, 4]), &TensorType::f32(&[1, places.len(), 1]), &descriptor).unwrap();
    let f64s = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let reference = wgconv::reference::compute(&op, &[&f64s(&numbers), &f64s(&places)]).unwrap().swap_remove(0);
    let is_alike = |got: &[f32]| {
        got.iter()
            .zip(&reference.value)
            .zip(&reference.error)
            .all(|((&got, &want), &error)| (f64::from(got) - want).abs() <= error || f64::from(got) == want || (got.is_nan() && want.is_nan()))
    };
    let mut y = vec![0.0; places.len()];
    assert!(wgconv::cpu::compute(&op, &[&numbers, &places], &mut y).unwrap());
    assert!(is_alike(&y), "the CPU engine: {y:?} is not {:?}", reference.value);
    let x = ArrayD::from_shape_vec(IxDyn(&[1, 1, 4]), numbers.to_vec()).unwrap();
    let grid = ArrayD::from_shape_vec(IxDyn(&[1, places.len(), 1]), places.clone()).unwrap();
    let gpu = gpu();
    for layout in LAYOUTS {
        let (x, grid) = (gpu.upload_as(&x, layout).unwrap(), gpu.upload(&grid).unwrap());
        let y = gpu.run(|r| r.grid_sample(&x, &grid, &descriptor)).unwrap();
        assert_eq!(y.layout(), layout);
        let y: ArrayD<f32> = y.download().unwrap();
        assert!(is_alike(y.as_slice().unwrap()), "{layout:?}: {y} is not {:?}", reference.value);
    }
    reference.value.iter().map(|&v| v as f32).collect()
}

#[test]
fn known_values_of_each_mode_and_padding() {
    use GridSampleMode::{Cubic, Linear, Nearest};
    use GridSamplePadding::{Border, Reflection, Zeros};
    // Of two equally near elements the even one.
    assert_eq!(of_row(&[0.0, 0.5, 1.5, 2.5, 3.25], descriptor(Nearest, Zeros)), [10.0, 10.0, 30.0, 30.0, 40.0]);
    assert_eq!(of_row(&[-0.75, 4.0, 3.5], descriptor(Nearest, Zeros)), [0.0, 0.0, 0.0]);
    assert_eq!(of_row(&[1.25, -0.25, 3.75, -2.0], descriptor(Linear, Zeros)), [22.5, 7.5, 10.0, 0.0]);
    assert_eq!(of_row(&[-0.25, -9.0, 3.75, 17.0], descriptor(Linear, Border)), [10.0, 10.0, 40.0, 40.0]);
    // At the edges: -1.5 is 0.5, 5 is 2, -5 is 4 and so 3.
    assert_eq!(of_row(&[-1.5, 5.0, -5.0, -0.25], descriptor(Linear, Reflection)), [15.0, 30.0, 40.0, 10.0]);
    // At the centres: -1.5 is 1.5, 5 is 1, -5 is 5 and so 1.
    let aligned = GridSampleDescriptor { align_corners: true, ..descriptor(Linear, Reflection) };
    assert_eq!(of_row(&[-1.5, 4.5, -4.5], aligned), [25.0, 25.0, 25.0]);
    // Half way between elements the weights are -3/32, 19/32, 19/32, -3/32.
    assert_eq!(of_row(&[1.5, 0.5], descriptor(Cubic, Zeros)), [25.0, 15.0]);
    assert_eq!(of_row(&[0.5, -0.5], descriptor(Cubic, Border))[0], (-3.0 * 10.0 + 19.0 * 10.0 + 19.0 * 20.0 - 3.0 * 30.0) / 32.0);
}

/// As PyTorch has it where its engines agree.
#[test]
fn positions_that_are_no_numbers_read_what_is_documented() {
    use GridSampleMode::{Cubic, Linear, Nearest};
    use GridSamplePadding::{Border, Reflection, Zeros};
    let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30];
    for mode in [Nearest, Linear] {
        assert_eq!(of_row(&wild, descriptor(mode, Zeros)), [0.0; 5]);
        assert_eq!(of_row(&wild, descriptor(mode, Border)), [10.0, 40.0, 10.0, 40.0, 10.0]);
        assert_eq!(of_row(&wild[..3], descriptor(mode, Reflection)), [10.0; 3]);
    }
    for padding in GridSamplePadding::ALL {
        assert!(of_row(&wild[..3], descriptor(Cubic, padding)).iter().all(|v| v.is_nan()));
    }
    assert_eq!(of_row(&wild[3..], descriptor(Cubic, Border)), [40.0, 10.0]);
    // A NaN in x reaches what has a weight on it, a zero one too.
    let x = Array4::from_shape_vec((1, 1, 1, 3), vec![1.0, f32::NAN, 3.0]).unwrap();
    let grid = Array4::from_shape_vec((1, 1, 3, 2), vec![-1.0, 0.0, -0.5, 0.0, 1.0, 0.0]).unwrap();
    let of = GridSampleDescriptor { align_corners: true, ..descriptor(Linear, Zeros) };
    let gpu = gpu();
    let (x, grid) = (gpu.upload(&x).unwrap(), gpu.upload(&grid).unwrap());
    let y: Array<f32, Ix4> = gpu.run(|r| r.grid_sample(&x, &grid, &of)).unwrap().download().unwrap();
    assert!(y[[0, 0, 0, 0]].is_nan() && y[[0, 0, 0, 1]].is_nan() && y[[0, 0, 0, 2]] == 3.0, "{y}");
}

#[test]
fn a_graph_samples_on_both_engines_and_its_gradient_is_refused_by_name() {
    let mut graph = Graph::new();
    let x = graph.input("x", [1, 2, 4, 5].map(Into::into)).unwrap();
    let grid = graph.input("grid", [1, 3, 3, 2].map(Into::into)).unwrap();
    let y = graph.grid_sample(x, grid, &GridSampleDescriptor::default()).unwrap();
    graph.output("y", y).unwrap();
    let values = Array4::from_shape_fn((1, 2, 4, 5), |(_, c, h, w)| (c * 20 + h * 5 + w) as f32).into_dyn();
    let places = Array4::from_shape_fn((1, 3, 3, 2), |(_, h, w, axis)| [w, h][axis] as f32 * 0.5 - 0.5).into_dyn();
    let given = [("x", values.view()), ("grid", places.view())];
    let sessions = [Session::cpu(&graph).unwrap(), Session::gpu(&gpu(), &graph).unwrap()];
    let [on_cpu, on_gpu] = sessions.map(|session| session.run(&given).unwrap()["y"].clone());
    assert_eq!(on_cpu, on_gpu);
    // The middle of a plane of 4 x 5.
    assert_eq!(on_cpu[[0, 1, 1, 1]], 20.0 + 1.5 * 5.0 + 2.0);
    let op = Op::from(GridSample::new(&TensorType::f32(&[1, 2, 4, 5]), &TensorType::f32(&[1, 3, 3, 2]), &GridSampleDescriptor::default()).unwrap());
    assert_eq!(op.outputs()[0].tensor.extents, [1, 2, 3, 3]);
    let error = wgconv::gradient::backward(&op, &[true, false]).unwrap_err().to_string();
    assert!(error.starts_with("gradient is grid_sample: several outputs read one element"), "{error}");
}

#[test]
fn its_cases_hold_with_every_check_on() {
    let checked = Gpu::with_descriptor(&GpuDescriptor { checked_shaders: true, ..Default::default() }).unwrap();
    let report = run(&checked, &Options { only: Some("grid_sample/".into()), ..Default::default() }, &mut |_| {}).unwrap();
    let failed: Vec<_> = report.results.iter().filter(|r| matches!(r.outcome, Outcome::Failed(_))).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(report.counts()[0] >= 20, "only {:?}", report.counts());
}
