//! A loss or a gradient that is not finite: the error says where it comes from, and the trainer is as it was before.

use super::steps::{integers, line};
use super::{bits, engines, gpu, quick};
use ndarray::{Array1, Array2, ArrayD, IxDyn, arr0, arr1, arr2};
use wgconv::elementwise::BinaryOp;
use wgconv::op::Prepared;
use wgconv::train::{Adam, Dataset, Engine, Loss, OptimizerProblem, Rule, Scalars, Sgd, Trainer, TrainerDescriptor};
use wgconv::{Extent, Graph, matmul::LinearDescriptor};

/// A network whose node `blow` leaves f32 for one of the samples, and with it the loss.
fn blowing() -> (Graph, Dataset) {
    let mut graph = Graph::new();
    let x = graph.input("input", [Extent::Open, 2.into()]).unwrap();
    let w = graph.parameter("w", arr2(&[[1f32, -2.0], [0.5, 3.0]]).view()).unwrap();
    let y = graph.linear(x, w, None, &LinearDescriptor::default()).unwrap();
    graph.name(y, "dense").unwrap();
    let huge = graph.constant("huge", arr0(1e30f32).view()).unwrap();
    let y = graph.mul(y, huge).unwrap();
    graph.name(y, "blow").unwrap();
    let y = graph.binary(y, huge, BinaryOp::Div).unwrap();
    graph.output("output", y).unwrap();
    let mut inputs = integers(64).inputs().clone();
    inputs[[37, 1]] = 1e20;
    (graph, Dataset::values(inputs.view(), Array2::<f32>::ones((64, 2)).view()).unwrap())
}

#[test]
fn a_bad_loss_is_named_with_its_step_and_op_and_leaves_what_was_before() {
    let (graph, data) = blowing();
    for accumulate in [1, 2] {
        let descriptor = TrainerDescriptor { batch: 4, accumulate, ..quick() };
        let mut messages = vec![];
        for engine in engines() {
            let new = || Trainer::new(engine.clone(), &graph, Loss::Mse, Adam { rate: 0.01, ..Default::default() }, &descriptor).unwrap();
            let mut trainer = new();
            let error = trainer.epoch(&data).unwrap_err().to_string();
            assert!(error.contains("the first op whose result is not finite is blow"), "{error}");
            let good = trainer.steps();
            assert!(error.contains(&format!("at step {} it did not", good + 1)) && good < 64 / 4, "{error}");
            messages.push(error);
            // The same steps by hand, without the bad one.
            let mut by_hand = new();
            let order = data_order(&data);
            let size = 4 * accumulate;
            let bad = order.iter().position(|sample| *sample == 37).unwrap() / size;
            assert_eq!(good, bad as u64);
            for samples in order.chunks_exact(size).take(bad) {
                by_hand.step(&data, samples).unwrap();
            }
            assert_eq!(trainer.checkpoint().unwrap().len(), by_hand.checkpoint().unwrap().len());
            assert!(trainer.checkpoint().unwrap() == by_hand.checkpoint().unwrap(), "parameters, moments and steps are those from before");
            // And both go on alike.
            let clean: Vec<usize> = (0..size).collect();
            for trainer in [&mut trainer, &mut by_hand] {
                trainer.step(&data, &clean).unwrap();
            }
            assert_eq!(bits(&trainer.model().unwrap()), bits(&by_hand.model().unwrap()));
        }
        assert_eq!(messages[0].replace("inf", "NaN"), messages[1].replace("inf", "NaN"));
    }
}

/// The order of the first epoch.
fn data_order(data: &Dataset) -> Vec<usize> {
    // A trainer that fails at a given sample tells where it stands; the order itself is not public, so it is found by epochs of one marked sample.
    let mut order = vec![0; data.len()];
    for sample in 0..data.len() {
        let mut inputs = Array2::<f32>::zeros((data.len(), 2));
        inputs[[sample, 0]] = f32::NAN;
        let marked = Dataset::values(inputs.view(), Array2::<f32>::zeros((data.len(), 2)).view()).unwrap();
        let mut trainer = Trainer::new(Engine::Cpu, &line(), Loss::Mse, Sgd::default(), &TrainerDescriptor { batch: 1, ..quick() }).unwrap();
        assert!(trainer.epoch(&marked).is_err());
        order[trainer.steps() as usize] = sample;
    }
    order
}

#[test]
fn what_is_given_and_parameters_are_named_where_they_are_the_bad_ones() {
    let mut data = integers(16).inputs().clone();
    data[[5, 0]] = f32::NEG_INFINITY;
    let data = Dataset::values(data.view(), Array2::<f32>::ones((16, 2)).view()).unwrap();
    let mut broken = line();
    broken.set("b", arr1(&[f32::NAN, 0.0]).view()).unwrap();
    let descriptor = TrainerDescriptor { batch: 16, ..quick() };
    for engine in engines() {
        // Steps one by one: a device is looked at after so many of them.
        let mut trainer = Trainer::new(engine.clone(), &line(), Loss::Mse, Sgd::default(), &descriptor).unwrap();
        let samples: Vec<usize> = (0..16).collect();
        let error = (0..64).find_map(|_| trainer.step(&data, &samples).err()).unwrap().to_string();
        assert!(error.contains("at step 1 it did not; the input of sample 5 of the batch has -inf"), "{error}");
        assert_eq!((trainer.steps(), bits(&trainer.model().unwrap())), (0, bits(&line())));
        let clean = integers(16);
        let mut trainer = Trainer::new(engine, &broken, Loss::Mse, Sgd::default(), &descriptor).unwrap();
        let error = trainer.epoch(&clean).unwrap_err().to_string();
        assert!(error.contains("at step 1 it did not; the parameter b has NaN"), "{error}");
    }
}

/// The op itself: with a loss that is not finite it leaves everything, whatever the gradient.
#[test]
fn a_step_of_a_bad_loss_changes_nothing() {
    let gpu = gpu();
    for rule in Rule::ALL {
        let problem = OptimizerProblem::new(rule, &[77]).unwrap();
        let flat = |first: f32| Array1::from_shape_fn(77, |i| first + i as f32 / 8.0);
        let states: Vec<Array1<f32>> = (0..rule.state().len()).map(|k| flat(k as f32 + 0.5)).collect();
        for (loss, moves) in [(0.5, true), (f32::NAN, false), (f32::INFINITY, false), (f32::NEG_INFINITY, false)] {
            let scalars = Scalars { rate: 0.5, decay: 0.0, shrink: 1.0, keep1: 0.5, add1: 1.0, keep2: 0.5, add2: 0.5, epsilon: 0.1, root: 1.0, loss };
            let (mut p, mut kept): (Vec<f32>, Vec<Vec<f32>>) = (flat(1.0).to_vec(), states.iter().map(|state| state.to_vec()).collect());
            let mut gradient = flat(2.0);
            gradient[3] = if moves { 1.0 } else { f32::NAN };
            wgconv::cpu::optimizer_step(rule, scalars, &mut p, &mut kept, gradient.as_slice().unwrap());
            assert_eq!(p != flat(1.0).to_vec(), moves, "{rule:?} with {loss}");
            assert_eq!(kept != states.iter().map(|state| state.to_vec()).collect::<Vec<_>>(), moves && !states.is_empty());
            let tensors: Vec<_> = std::iter::once(&flat(1.0)).chain(&states).map(|array| gpu.upload(array).unwrap()).collect();
            let step = Prepared::new(&gpu, problem.clone(), &[]).unwrap();
            let given = [gpu.upload(&gradient).unwrap(), gpu.upload(&Array1::from_vec(scalars.to_array().to_vec())).unwrap()];
            gpu.run(|recorder| step.record(recorder, &given.iter().collect::<Vec<_>>(), &tensors.iter().collect::<Vec<_>>())).unwrap();
            let wide = |array: &[f32]| array.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let operands: Vec<Vec<f64>> = std::iter::once(&flat(1.0))
                .chain(&states)
                .chain([&gradient])
                .map(|a| wide(a.as_slice().unwrap()))
                .chain([wide(&scalars.to_array())])
                .collect();
            let reference = wgconv::reference::compute(&problem, &operands.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
            for ((tensor, own), wanted) in tensors.iter().zip(std::iter::once(&p).chain(&kept)).zip(&reference) {
                let on_gpu: ArrayD<f32> = tensor.download::<f32, IxDyn>().unwrap();
                for ((gpu, cpu), want) in on_gpu.iter().zip(own).zip(&wanted.value) {
                    let near = if moves { 1e-5 * (1.0 + cpu.abs()) } else { 0.0 };
                    assert!((gpu - cpu).abs() <= near && (f64::from(*cpu) - want).abs() <= near.into(), "{rule:?} with {loss}: {gpu}, {cpu}, {want}");
                }
            }
        }
    }
}

/// y = w 1e30 x 1e30 + b with w = 0: finite forward, while the gradient of w leaves f32 where x is 1.
fn steep() -> (Graph, Dataset) {
    let mut graph = Graph::new();
    let x = graph.input("input", [Extent::Open, 1.into()]).unwrap();
    let w = graph.parameter("w", arr0(0f32).view()).unwrap();
    let b = graph.parameter("b", arr0(1f32).view()).unwrap();
    let huge = graph.constant("huge", arr0(1e30f32).view()).unwrap();
    let y = graph.mul(x, huge).unwrap();
    let y = graph.mul(y, w).unwrap();
    graph.name(y, "weighted").unwrap();
    let y = graph.mul(y, huge).unwrap();
    let y = graph.add(y, b).unwrap();
    graph.output("output", y).unwrap();
    let inputs = Array2::from_shape_fn((32, 1), |(i, _)| if i == 21 { 1.0f32 } else { 0.0 });
    (graph, Dataset::values(inputs.view(), Array2::<f32>::zeros((32, 1)).view()).unwrap())
}

#[test]
fn a_gradient_that_is_not_finite_leaves_what_was_before() {
    let (graph, data) = steep();
    for (accumulate, clip_norm) in [(1, None), (1, Some(1.0)), (2, None)] {
        let descriptor = TrainerDescriptor { batch: 4, accumulate, clip_norm, ..quick() };
        for engine in engines() {
            let new = || Trainer::new(engine.clone(), &graph, Loss::Mse, Sgd { momentum: 0.9, ..Default::default() }, &descriptor).unwrap();
            let (mut trainer, mut by_hand) = (new(), new());
            let all: Vec<usize> = (0..32).collect();
            let (size, bad) = (4 * accumulate, 21 / (4 * accumulate));
            let steps: Vec<&[usize]> = all.chunks_exact(size).collect();
            // A device is looked at after so many steps: those behind the bad one change nothing.
            let error = (0..20).flat_map(|_| &steps).find_map(|samples| trainer.step(&data, samples).err()).unwrap().to_string();
            steps[..bad].iter().for_each(|samples| {
                by_hand.step(&data, samples).unwrap();
            });
            let begins = format!("it must stay finite, and at step {} it did not; the first op whose result is not finite is ", bad + 1);
            assert!(error.contains("the sum of the gradients is ") && error.contains(&begins), "{error}");
            assert_eq!(trainer.steps(), bad as u64);
            assert!(trainer.checkpoint().unwrap() == by_hand.checkpoint().unwrap(), "{accumulate} {clip_norm:?}");
            assert_ne!(bits(&trainer.model().unwrap()), bits(&graph), "b has moved before");
            trainer.step(&data, steps[0]).unwrap();
            by_hand.step(&data, steps[0]).unwrap();
            assert_eq!(bits(&trainer.model().unwrap()), bits(&by_hand.model().unwrap()), "both go on alike");
        }
    }
}

/// Between two looks at a device its checkpoints say how far it came.
#[test]
fn a_checkpoint_behind_a_bad_step_that_nobody_saw_is_of_the_state_before() {
    let (graph, data) = steep();
    let descriptor = TrainerDescriptor { batch: 4, ..quick() };
    let new = || Trainer::new(&gpu(), &graph, Loss::Mse, Sgd::default(), &descriptor).unwrap();
    let mut trainer = new();
    for first in [0, 4, 20, 8] {
        trainer.step(&data, &[first, first + 1, first + 2, first + 3]).unwrap();
    }
    let checkpoint = trainer.checkpoint().unwrap();
    let mut resumed = new();
    resumed.resume(&checkpoint).unwrap();
    assert_eq!(resumed.steps(), 2);
    let error = trainer.epoch(&data).unwrap_err().to_string();
    assert!(error.contains("at step 3 it did not") && trainer.steps() == 2, "{error}");
    assert!(trainer.checkpoint().unwrap() == checkpoint);
}

#[test]
fn the_state_before_is_written_where_it_was_asked_for() {
    let (graph, data) = blowing();
    let folder = std::env::temp_dir().join(format!("wgconv-rescue-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for engine in engines() {
        let new = || Trainer::new(engine.clone(), &graph, Loss::Mse, Adam::default(), &TrainerDescriptor { batch: 4, ..quick() }).unwrap();
        let mut trainer = new();
        let file = folder.join("before.safetensors");
        trainer.rescue_to(&file);
        let error = trainer.epoch(&data).unwrap_err().to_string();
        assert!(error.contains(&format!("before this step, of which {} is a checkpoint", file.display())), "{error}");
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes == trainer.checkpoint().unwrap());
        let mut resumed = new();
        resumed.resume(&bytes).unwrap();
        assert_eq!((resumed.steps(), bits(&resumed.model().unwrap())), (trainer.steps(), bits(&trainer.model().unwrap())));
        let mut trainer = new();
        trainer.rescue_to(folder.join("missing").join("before.safetensors"));
        let error = trainer.epoch(&data).unwrap_err().to_string();
        assert!(error.contains("the first op whose result is not finite is blow") && error.contains("but no checkpoint was written"), "{error}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
