//! Batch norms that learn by their batch, with running statistics that are carried along; and the other layers of a sequential model.

use super::{assert_alike, bits, engines, quick, spots, whole_and_resumed};
use ndarray::{Array1, Array2, Array4, ArrayD, IxDyn};
use wgconv::conv::Conv2dDescriptor;
use wgconv::graph::{BatchNormParameters, BatchStatisticsDescriptor, Learning, Pass};
use wgconv::norm::BatchNormDescriptor;
use wgconv::train::{Adam, Dataset, Engine, Loss, Model, Sequential, Sgd, Trainer, TrainerDescriptor};
use wgconv::{Activation, Extent, Graph, Padding, Session};

fn normed() -> Sequential {
    Sequential::new([1, 10, 10])
        .conv2d(6, 3, Activation::None)
        .batch_norm()
        .activation(Activation::Relu)
        .max_pool2d(2)
        .flatten()
        .dense(12, Activation::None)
        .batch_norm()
        .activation(Activation::Relu)
        .dense(4, Activation::None)
}

fn numbers(graph: &Graph, name: &str) -> Vec<f32> {
    graph.numbers(graph.find(name).unwrap()).unwrap().as_f32().into_owned()
}

/// Two channels of two positions, known numbers: what enters is (1 - momentum) of the batch's mean and of its variance with count - 1.
#[test]
fn running_statistics_are_those_of_the_batches() {
    let batches = [[1f32, 3.0, 10.0, 10.0, 5.0, 7.0, 10.0, 30.0], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]];
    let all: Vec<f32> = batches.concat();
    let inputs = Array4::from_shape_vec((4, 2, 1, 2), all).unwrap();
    let data = Dataset::values(inputs.view(), Array2::<f32>::zeros((4, 1)).view()).unwrap();
    let descriptor = TrainerDescriptor { batch: 2, norm_momentum: 0.75, ..quick() };
    for engine in engines() {
        let model = Sequential::new([2, 1, 2]).batch_norm().flatten().dense(1, Activation::None);
        let mut trainer = Trainer::new(engine, &model, Loss::Mse, Sgd::default(), &descriptor).unwrap();
        trainer.step(&data, &[0, 1]).unwrap();
        let learned = trainer.model().unwrap();
        // Channel 0 has 1, 3, 5, 7, channel 1 has 10, 10, 10, 30.
        let near = |trainer: &Trainer, name: &str, want: [f32; 2]| {
            let got = numbers(&trainer.model().unwrap(), name);
            assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() <= 1e-6 * want.abs()), "{name}: {got:?}, not {want:?}");
        };
        assert_eq!(numbers(&learned, "norm1.mean"), [1.0, 3.75]);
        near(&trainer, "norm1.variance", [0.75 + 0.25 * 20.0 / 3.0, 0.75 + 0.25 * 100.0]);
        trainer.step(&data, &[2, 3]).unwrap();
        near(&trainer, "norm1.mean", [0.75, 0.75 * 3.75 + 0.25]);
        near(&trainer, "norm1.variance", [0.75 * (0.75 + 5.0 / 3.0), 0.75 * 25.75]);
        assert_ne!(numbers(&learned, "norm1.weight"), [1.0; 2], "what is learned has moved");
    }
}

#[test]
fn batch_norms_learn_on_both_engines_and_fold() {
    let (data, mut losses) = (spots(160), vec![]);
    for engine in engines() {
        let optimizer = Adam { rate: 0.01, ..Default::default() };
        let mut trainer = Trainer::new(engine, &normed(), Loss::cross_entropy(), optimizer, &quick()).unwrap();
        let epochs: Vec<f64> = (0..8).map(|_| trainer.epoch(&data).unwrap().loss).collect();
        let evaluation = trainer.evaluate(&data).unwrap();
        assert!(evaluation.accuracy.unwrap() > 0.9, "{epochs:?}, {evaluation}");
        losses.push(epochs);
        let model = trainer.model().unwrap();
        let (folded, changes) = model.optimized_with_changes().unwrap();
        assert!(changes.iter().any(|change| change.pass == Pass::FoldBatchNorm && change.what.contains("norm1")), "{changes:?}");
        let x = data.inputs().view();
        let [plain, folded] = [&model, &folded].map(|graph| Session::cpu(graph).unwrap().run(&[("input", x.view())]).unwrap()["output"].clone());
        let apart = plain.iter().zip(&folded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{apart}");
    }
    assert_alike(&losses);
}

/// Running statistics are in checkpoints and in what is saved, and go on to the same bits.
#[test]
fn batch_norms_resume_to_the_same_bits() {
    let data = spots(100);
    for engine in engines() {
        let new = || Trainer::new(engine.clone(), &normed(), Loss::cross_entropy(), Adam::default(), &quick()).unwrap();
        let [whole, resumed] = whole_and_resumed(new, &data);
        assert_ne!(numbers(&whole, "norm2.mean"), [0.0; 12]);
        assert_eq!(bits(&whole), bits(&resumed));
        let weights = wgconv::graph::Weights::from_safetensors(&whole.to_safetensors().unwrap()).unwrap();
        let mut loaded = normed().graph(9).unwrap();
        loaded.set_all(&weights).unwrap();
        assert_eq!(bits(&loaded), bits(&whole));
    }
}

/// A graph of the caller's with two batch norms, one of them with constants.
fn own_graph(frozen: bool) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("input", [Extent::Open, 2.into(), 3.into()]).unwrap();
    let mut vector = |name: &str, first: f32, constant: bool| {
        let numbers = Array1::from_vec(vec![first, first + 1.0]);
        if constant { graph.constant(name, numbers.view()).unwrap() } else { graph.parameter(name, numbers.view()).unwrap() }
    };
    let first = BatchNormParameters {
        scale: Some(vector("a.scale", 1.0, false)),
        bias: None,
        mean: vector("a.mean", 0.5, frozen),
        variance: vector("a.var", 2.0, frozen),
    };
    let second = BatchNormParameters {
        scale: None,
        bias: Some(vector("b.bias", 0.0, false)),
        mean: vector("b.mean", 0.0, false),
        variance: vector("b.var", 1.0, false),
    };
    let y = graph.batch_norm(x, &first, &BatchNormDescriptor { epsilon: 1e-3, activation: Activation::Relu }).unwrap();
    let y = graph.batch_norm(y, &second, &BatchNormDescriptor::default()).unwrap();
    graph.output("output", y).unwrap();
    graph
}

fn numbered(extents: &[usize], text: &str) -> ArrayD<f32> {
    let mut generator = wgconv::numeric::Generator::from_text(text);
    ArrayD::from_shape_simple_fn(IxDyn(extents), || (4.0 * generator.real() + 1.0) as f32)
}

/// The rewritten graph computes what the same layers by `batch_norm_training` do, bit for bit.
#[test]
fn a_graph_that_learns_is_that_of_batch_norm_training() {
    let mut graph = own_graph(false);
    assert_eq!(graph.running_statistics(), ["a.mean", "a.var", "b.mean", "b.var"]);
    graph = graph.closed(4).unwrap();
    let Learning { graph: mut learning, statistics, key } = graph.learning().unwrap();
    assert_eq!(key, None);
    assert_eq!(statistics.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a.mean", "a.var", "b.mean", "b.var"]);
    for (name, value) in &statistics {
        learning.output(name, *value).unwrap();
    }
    let mut by_hand = Graph::new();
    let x = by_hand.input("input", [4.into(), 2.into(), 3.into()]).unwrap();
    let mut constant = |name: &str, numbers: [f32; 2]| by_hand.constant(name, ndarray::arr1(&numbers).view()).unwrap();
    let (scale, bias, zero) = (constant("scale", [1.0, 2.0]), constant("bias", [0.0, 1.0]), constant("zero", [0.0; 2]));
    let (plain, fine) = (
        BatchStatisticsDescriptor { momentum: 0.0, epsilon: 1e-3, ..Default::default() },
        BatchStatisticsDescriptor { momentum: 0.0, ..Default::default() },
    );
    let first = by_hand.batch_norm_training(x, [Some(scale), None], Some([zero; 2]), &plain).unwrap();
    let y = by_hand.relu(first.y).unwrap();
    let second = by_hand.batch_norm_training(y, [None, Some(bias)], Some([zero; 2]), &fine).unwrap();
    by_hand.output("output", second.y).unwrap();
    for (name, value) in ["a.mean", "a.var", "b.mean", "b.var"].into_iter().zip([first, second].into_iter().flat_map(|made| made.running.unwrap())) {
        by_hand.output(name, value).unwrap();
    }
    let x = numbered(&[4, 2, 3], "batch");
    let [got, want] = [&learning, &by_hand].map(|graph| Session::cpu(graph).unwrap().run(&[("input", x.view())]).unwrap());
    for name in ["output", "a.mean", "a.var", "b.mean", "b.var"] {
        assert_eq!(got[name], want[name], "{name}");
    }
    assert!(got["a.var"].iter().all(|v| *v > 0.5));
}

#[test]
fn a_batch_norm_with_constants_keeps_them() {
    let data = Dataset::values(numbered(&[16, 2, 3], "x").view(), numbered(&[16, 2, 3], "t").view()).unwrap();
    for engine in engines() {
        for frozen in [false, true] {
            let graph = own_graph(frozen);
            let mut trainer = Trainer::new(engine.clone(), &graph, Loss::Mse, Sgd::default(), &TrainerDescriptor { batch: 4, ..quick() }).unwrap();
            trainer.epoch(&data).unwrap();
            let model = trainer.model().unwrap();
            assert_eq!(numbers(&model, "a.mean") == numbers(&graph, "a.mean"), frozen);
            for learned in ["a.scale", "b.bias", "b.mean", "b.var"] {
                assert_ne!(numbers(&model, learned), numbers(&graph, learned), "{learned}");
            }
        }
    }
    // One sample with one position: its variance with count - 1 is undefined.
    let model = Sequential::new([3]).batch_norm().dense(1, Activation::None);
    let one = Dataset::values(Array2::<f32>::ones((2, 3)).view(), Array2::<f32>::ones((2, 1)).view()).unwrap();
    let mut trainer = Trainer::new(Engine::Cpu, &model, Loss::Mse, Sgd::default(), &TrainerDescriptor { batch: 1, ..quick() }).unwrap();
    let error = trainer.step(&one, &[0]).unwrap_err().to_string();
    assert!(error.contains("norm1: x") && error.contains("two elements a channel"), "{error}");
}

#[test]
fn every_layer_of_a_sequential_model_trains() {
    let data = spots(64);
    let strided = Conv2dDescriptor { stride: [2, 2], padding: Padding::uniform(1), groups: 2, activation: Activation::Relu, ..Default::default() };
    let same = Conv2dDescriptor { padding: Padding::uniform(1), ..Default::default() };
    let model = Sequential::new([1, 10, 10])
        .conv2d_as(4, 3, &same)
        .group_norm(2)
        .depthwise2d(2, 3, &same)
        .residual(|branch| branch.conv2d_as(8, 3, &same).batch_norm().activation(Activation::Relu))
        .residual_with(|branch| branch.conv2d_as(6, 3, &strided), |shortcut| shortcut.average_pool2d(2).conv2d(6, 1, Activation::None))
        .layer_norm()
        .pool2d(&wgconv::pool::Pool2dDescriptor::window([3, 3]).with_stride([1, 1]))
        .global_average_pool()
        .dense(4, Activation::None);
    let graph = model.graph(1).unwrap();
    let extents = |name: &str| graph.extents(graph.find(name).unwrap()).unwrap();
    assert_eq!(extents("conv2.weight"), [8, 1, 3, 3], "one channel a filter");
    assert_eq!(extents("conv4.weight"), [6, 4, 3, 3], "two groups");
    assert_eq!((extents("norm1.weight"), extents("norm3.weight")), (vec![4], vec![6, 5, 5]));
    assert_eq!(graph.shape(graph.find("output").unwrap_or(graph.outputs().next().unwrap().1)), "N x 4");
    let mut losses = vec![];
    for engine in engines() {
        let mut trainer = Trainer::new(engine, &model, Loss::cross_entropy(), Adam { rate: 0.01, ..Default::default() }, &quick()).unwrap();
        let before = bits(&trainer.model().unwrap());
        losses.push((0..4).map(|_| trainer.epoch(&data).unwrap().loss).collect::<Vec<f64>>());
        let model = trainer.model().unwrap();
        let moved = model.parameters().filter(|(name, _)| numbers(&model, name) != numbers(&graph, name)).count();
        assert!(bits(&model) != before);
        assert_eq!(moved, graph.parameters().count(), "all have moved");
    }
    assert_alike(&losses);
    assert!(losses[0][3] < losses[0][0], "{losses:?}");
    let wrong = Sequential::new([1, 6, 6]).residual(|branch| branch.conv2d(2, 3, Activation::None)).graph(1).unwrap_err().to_string();
    assert!(wrong.contains("residual is N x 2 x 4 x 4") && wrong.contains("N x 1 x 6 x 6"), "{wrong}");
}
