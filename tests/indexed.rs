//! Gather, scatter and the first elements of an order as an embedder meets them: known values, ties, NaN, indices outside, gradients, both engines.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::{Array1, Array2, ArrayD, IxDyn, array};
use wgconv::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem, ScatterReduction};
use wgconv::op::Op;
use wgconv::reduce::{TopKDescriptor, TopKOrder, TopKProblem};
use wgconv::validate::{Options, Outcome, run};
use wgconv::{ElementType, Gpu, GpuDescriptor, Graph, Layout, Session, TensorType};

/// The outputs of an op on the reference, which the CPU engine must give too.
fn on_host(op: &Op, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
    let wide: Vec<Vec<f64>> = inputs.iter().map(|values| values.iter().map(|&v| f64::from(v)).collect()).collect();
    let reference = wgconv::reference::compute(op, &wide.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let outputs: Vec<Vec<f32>> = reference.into_iter().map(|output| output.value.into_iter().map(|v| v as f32).collect()).collect();
    let mut y = vec![7.0; outputs[0].len()];
    assert!(wgconv::cpu::compute(op, inputs, &mut y).unwrap());
    let bits = |values: &[f32]| values.iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect::<Vec<_>>();
    assert_eq!(bits(&y), bits(&outputs[0]), "the CPU engine");
    outputs
}

#[test]
fn each_kind_of_gather_reads_what_numpy_does() {
    let x: Vec<f32> = (0..12).map(|v| v as f32).collect();
    let of = |indices: &[usize], numbers: &[f32], indexing| {
        let problem = GatherProblem::new(&TensorType::f32(&[3, 4]), &TensorType::f32(indices), indexing).unwrap();
        let host = on_host(&problem.clone().into(), &[&x, numbers]).swap_remove(0);
        let gpu = gpu();
        let tensor = gpu.upload(&Array2::from_shape_vec((3, 4), x.clone()).unwrap()).unwrap();
        for as_u32 in [false, true] {
            if as_u32 && numbers.iter().any(|v| *v < 0.0) {
                continue;
            }
            let shape = IxDyn(indices);
            let at = match as_u32 {
                false => gpu.upload(&ArrayD::from_shape_vec(shape, numbers.to_vec()).unwrap()).unwrap(),
                true => gpu.upload(&ArrayD::from_shape_vec(shape, numbers.iter().map(|&v| v as u32).collect()).unwrap()).unwrap(),
            };
            let y: ArrayD<f32> = gpu.run(|r| r.gather(&tensor, &at, indexing)).unwrap().download().unwrap();
            assert_eq!((y.shape(), y.iter().copied().collect::<Vec<_>>()), (problem.y(), host.clone()));
        }
        host
    };
    assert_eq!(of(&[2], &[2.0, 0.0], Indexing::Slices { axis: 0 }), [8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0]);
    assert_eq!(of(&[1, 2], &[-1.0, 1.0], Indexing::Slices { axis: -1 }), [3.0, 1.0, 7.0, 5.0, 11.0, 9.0]);
    assert_eq!(of(&[3, 1], &[3.0, 0.0, -2.0], Indexing::Elements { axis: 1 }), [3.0, 4.0, 10.0]);
    assert_eq!(of(&[3, 2], &[0.0, 3.0, 2.0, 0.0, -1.0, -1.0], Indexing::Places { batch_axes: 0 }), [3.0, 8.0, 11.0]);
    assert_eq!(of(&[3, 1, 1], &[1.0, 2.0, 0.0], Indexing::Places { batch_axes: 1 }), [1.0, 6.0, 8.0]);
}

#[test]
fn an_index_outside_is_refused_by_name_and_reads_zero_on_a_gpu() {
    let problem = GatherProblem::new(&TensorType::f32(&[3]), &TensorType::f32(&[2]), Indexing::Slices { axis: 0 }).unwrap();
    for (index, says) in [(3.0, "3"), (-4.0, "-4"), (0.5, "0.5"), (f32::NAN, "NaN")] {
        let says = format!("indices[1] is {says}: an index is a whole number from -3 to below 3");
        let error = wgconv::reference::compute(&problem, &[&[1.0, 2.0, 3.0], &[0.0, index.into()]]).unwrap_err().to_string();
        assert_eq!(error, says);
        let error = wgconv::cpu::compute(&problem, &[&[1.0, 2.0, 3.0], &[0.0, index]], &mut [0.0; 2]).unwrap_err().to_string();
        assert_eq!(error, says);
    }
    let gpu = gpu();
    let x = gpu.upload(&array![1.0f32, 2.0, 3.0]).unwrap();
    let at = gpu.upload(&array![2.0f32, 3.0, -4.0, -3.0, f32::NAN, 1e30, -1e30]).unwrap();
    let y: Array1<f32> = gpu.run(|r| r.gather(&x, &at, Indexing::Slices { axis: 0 })).unwrap().download().unwrap();
    assert_eq!(y, array![3.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    let at = gpu.upload(&array![1u32, 3, u32::MAX]).unwrap();
    let descriptor = ScatterDescriptor { indexing: Indexing::Slices { axis: 0 }, reduction: ScatterReduction::Add };
    let updates = gpu.upload(&array![10.0f32, 20.0, 30.0]).unwrap();
    let y: Array1<f32> = gpu.run(|r| r.scatter(&x, &at, &updates, &descriptor)).unwrap().download().unwrap();
    assert_eq!(y, array![1.0, 12.0, 3.0]);
}

/// 2^24 + 1 + 1 is 2^24 in this order of f32 sums, and 2^24 + 2 in another.
#[test]
fn updates_for_one_element_are_taken_in_their_order() {
    let gpu = gpu();
    let large = (1 << 24) as f32;
    let of = |reduction, x: &[f32], updates: &[f32]| -> Vec<f32> {
        let descriptor = ScatterDescriptor { indexing: Indexing::Slices { axis: 0 }, reduction };
        let tensors = [x, &[1.0, 0.0, 1.0, 1.0], updates].map(|v| gpu.upload(&Array1::from_vec(v.to_vec())).unwrap());
        let y: Array1<f32> = gpu.run(|r| r.scatter(&tensors[0], &tensors[1], &tensors[2], &descriptor)).unwrap().download().unwrap();
        y.to_vec()
    };
    assert_eq!(of(ScatterReduction::Last, &[7.0, 8.0, 9.0], &[1.0, 2.0, 3.0, 4.0]), [2.0, 4.0, 9.0]);
    assert_eq!(of(ScatterReduction::Add, &[7.0, large, 9.0], &[1.0, 2.0, 1.0, 1.0]), [9.0, large, 9.0]);
    assert_eq!(of(ScatterReduction::Add, &[7.0, 0.0, 9.0], &[1.0, 2.0, 1.0, large]), [9.0, large + 2.0, 9.0]);
    assert_eq!(of(ScatterReduction::Mul, &[7.0, 8.0, 9.0], &[1.0, 2.0, 3.0, 4.0]), [14.0, 96.0, 9.0]);
    assert_eq!(of(ScatterReduction::Max, &[7.0, 2.0, 9.0], &[1.0, 20.0, 3.0, 1.0]), [20.0, 3.0, 9.0]);
    assert_eq!(of(ScatterReduction::Min, &[7.0, 8.0, 9.0], &[5.0, 20.0, 3.0, 4.0]), [7.0, 3.0, 9.0]);
    let wins = of(ScatterReduction::Max, &[7.0, f32::NAN, 9.0], &[1.0, f32::NAN, 3.0, 4.0]);
    assert!(wins[0].is_nan() && wins[1].is_nan() && wins[2] == 9.0);
}

#[test]
fn ties_go_to_the_lower_index_and_nan_is_the_largest() {
    let x = [1.0, f32::NAN, -0.0, 3.0, 0.0, f32::INFINITY, 3.0, f32::NEG_INFINITY, f32::NAN, 1e-40];
    let of = |order, k, algorithm: &str| {
        let problem = TopKProblem::new(&TensorType::f32(&[10]), &TopKDescriptor { k, axis: 0, order }).unwrap();
        let host = on_host(&problem.clone().into(), &[&x]);
        let gpu = gpu();
        let prepared = wgconv::op::Prepared::with_algorithm(&gpu, problem, algorithm, &[]).unwrap();
        let (tensor, outputs) = (gpu.upload(&array![x].row(0)).unwrap(), prepared.outputs().unwrap());
        let mut recorder = gpu.recorder();
        prepared.record(&mut recorder, &[&tensor], &outputs.iter().collect::<Vec<_>>()).unwrap();
        recorder.submit().unwrap();
        let places: Array1<u32> = outputs[1].download().unwrap();
        assert_eq!(places.iter().map(|&v| v as f32).collect::<Vec<_>>(), host[1], "{algorithm}");
        let values: Array1<f32> = outputs[0].download().unwrap();
        assert!(values.iter().zip(&host[0]).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())), "{algorithm}: {values}");
        host[1].clone()
    };
    for algorithm in ["direct", "bitonic"] {
        assert_eq!(of(TopKOrder::Largest, 10, algorithm), [1.0, 8.0, 5.0, 3.0, 6.0, 0.0, 9.0, 2.0, 4.0, 7.0]);
        assert_eq!(of(TopKOrder::Smallest, 10, algorithm), [7.0, 2.0, 4.0, 9.0, 0.0, 3.0, 6.0, 5.0, 1.0, 8.0]);
        assert_eq!(of(TopKOrder::Largest, 3, algorithm), [1.0, 8.0, 5.0]);
    }
    let gpu = gpu();
    let rows = gpu.upload_as(&ArrayD::from_shape_fn(IxDyn(&[1, 3, 2, 2]), |i| (i[1] * 5 % 3 + i[2]) as f32), Layout::ChannelsLast).unwrap();
    let (y, places) = gpu.run(|r| r.top_k(&rows, &TopKDescriptor { k: 2, axis: 1, order: TopKOrder::Largest })).unwrap();
    assert_eq!((y.layout(), places.layout()), (Layout::ChannelsLast, Layout::ChannelsLast));
    let places: ArrayD<u32> = places.download().unwrap();
    assert!(places.iter().eq(&[1, 1, 1, 1, 2, 2, 2, 2]), "{places}");
}

/// <J x, y> = <x, J' y> on whole numbers, on both engines: what a gather reads twice, its gradient adds.
#[test]
fn gradients_scatter_and_gather() {
    let mut graph = Graph::new();
    let x = graph.parameter("x", Array2::from_shape_fn((5, 3), |(i, j)| (i * 3 + j) as f32).view()).unwrap();
    let at = graph.input("at", [4.into()]).unwrap();
    let rows = graph.gather(x, at, Indexing::Slices { axis: 0 }).unwrap();
    let updates = graph.parameter("updates", Array2::from_shape_fn((4, 3), |(i, j)| (i + 2 * j) as f32).view()).unwrap();
    let base = graph.parameter("base", Array2::<f32>::ones((5, 3)).view()).unwrap();
    let descriptor = ScatterDescriptor { indexing: Indexing::Slices { axis: 0 }, reduction: ScatterReduction::Add };
    let sums = graph.scatter(base, at, updates, &descriptor).unwrap();
    let [best, _] = graph.top_k(x, &TopKDescriptor { k: 2, axis: 0, order: TopKOrder::Smallest }).unwrap();
    let (rows, sums, best) = (graph.mul(rows, rows).unwrap(), graph.mul(sums, sums).unwrap(), graph.mul(best, best).unwrap());
    let mut total = None;
    for part in [rows, sums, best] {
        let sum = graph.reduce(part, &wgconv::reduce::ReduceDescriptor::sum(&[])).unwrap();
        total = Some(total.map_or(sum, |total| graph.add(total, sum).unwrap()));
    }
    let loss = total.unwrap();
    graph.output("loss", loss).unwrap();
    let gradients = graph.differentiate(loss, &[x, updates, base]).unwrap();
    let indices = array![4.0f32, 1.0, 4.0, 0.0].into_dyn();
    for session in [Session::cpu(&gradients).unwrap(), Session::gpu(&gpu(), &gradients).unwrap()] {
        let outputs = session.run(&[("at", indices.view())]).unwrap();
        let x = |i: usize, j: usize| (i * 3 + j) as f32;
        // Row 4 is read twice, rows 0 and 1 once; the two smallest of each column are rows 0 and 1.
        let expected = Array2::from_shape_fn((5, 3), |(i, j)| 2.0 * x(i, j) * [2.0, 2.0, 0.0, 0.0, 2.0][i]);
        assert_eq!(outputs["grad.x"], expected.into_dyn());
        let u = |i: usize, j: usize| (i + 2 * j) as f32;
        let sum = |row: usize, j: usize| 1.0 + (0..4).filter(|&i| [4, 1, 4, 0][i] == row).map(|i| u(i, j)).sum::<f32>();
        assert_eq!(outputs["grad.base"], Array2::from_shape_fn((5, 3), |(i, j)| 2.0 * sum(i, j)).into_dyn());
        assert_eq!(outputs["grad.updates"], Array2::from_shape_fn((4, 3), |(i, j)| 2.0 * sum([4, 1, 4, 0][i], j)).into_dyn());
    }
    let problem = ScatterProblem::new(
        &TensorType::f32(&[5]),
        &TensorType::new(&[2], ElementType::U32, Layout::ChannelsFirst),
        &TensorType::f32(&[2]),
        &ScatterDescriptor { reduction: ScatterReduction::Max, ..descriptor },
    );
    let error = wgconv::gradient::backward(&problem.unwrap().into(), &[true, false, false]).unwrap_err().to_string();
    assert_eq!(error, "gradient is scatter: of scatters the gradient of a sum is computed");
}

#[test]
fn their_cases_hold_with_every_check_on() {
    let checked = Gpu::with_descriptor(&GpuDescriptor { checked_shaders: true, ..Default::default() }).unwrap();
    for (only, least) in [("gather", 20), ("scatter", 30), ("top_k/", 16)] {
        let report = run(&checked, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).unwrap();
        let failed: Vec<_> = report.results.iter().filter(|r| matches!(r.outcome, Outcome::Failed(_))).collect();
        assert!(failed.is_empty(), "{failed:?}");
        assert!(report.counts()[0] >= least, "{only}: only {:?}", report.counts());
    }
}
