//! Layers of a sequential model: shapes, names, first numbers, and that every one of them trains on both engines.

use super::{assert_alike, bits, engines, quick};
use ndarray::{Array2, ArrayD, IxDyn};
use wgconv::conv::{Conv1dDescriptor, Conv3dDescriptor, ConvTranspose2dDescriptor};
use wgconv::graph::Recipe;
use wgconv::norm::LrnDescriptor;
use wgconv::train::{Adam, Dataset, Loss, Model, Sequential, Sgd, Trainer, TrainerDescriptor};
use wgconv::transform::{DepthToSpaceDescriptor, ResizeMode};
use wgconv::{Activation, Graph, Padding};

fn extents(graph: &Graph, name: &str) -> Vec<usize> {
    graph.extents(graph.find(name).unwrap_or_else(|| panic!("{name}"))).unwrap()
}

fn numbers(graph: &Graph, name: &str) -> Vec<f32> {
    graph.numbers(graph.find(name).unwrap()).unwrap().as_f32().into_owned()
}

fn samples(extents: &[usize]) -> ArrayD<f32> {
    let mut generator = wgconv::numeric::Generator::from_text("samples");
    ArrayD::from_shape_simple_fn(IxDyn(extents), || generator.real() as f32)
}

/// It learns to say the mean of each sample, on both engines alike.
fn learns(model: &Sequential, sample: &[usize]) {
    let x = samples(&[&[64], sample].concat());
    let means = Array2::from_shape_fn((64, 1), |(n, _)| x.index_axis(ndarray::Axis(0), n).mean().unwrap() * 3.0 + 1.0);
    let data = Dataset::values(x.view(), means.view()).unwrap();
    let first = model.graph(quick().seed).unwrap();
    let mut losses = vec![];
    for engine in engines() {
        let mut trainer = Trainer::new(engine, model, Loss::Mse, Adam { rate: 0.01, ..Default::default() }, &quick()).unwrap();
        losses.push((0..4).map(|_| trainer.epoch(&data).unwrap().loss).collect::<Vec<f64>>());
        let learned = trainer.model().unwrap();
        assert_ne!(bits(&learned), bits(&first));
        for (name, _) in learned.parameters() {
            assert_ne!(numbers(&learned, name), numbers(&first, name), "{name} stays");
        }
    }
    assert_alike(&losses);
    assert!(losses[0][3] < losses[0][0], "{losses:?}");
}

#[test]
fn layers_of_pictures() {
    let doubled = ConvTranspose2dDescriptor { stride: [2, 2], groups: 2, activation: Activation::Tanh, ..Default::default() };
    let model = Sequential::new([1, 8, 8])
        .zero_pad2d(1)
        .conv2d(4, 3, Activation::Tanh)
        .instance_norm()
        .prelu()
        .concat(|branch| branch.conv2d(2, 1, Activation::Relu))
        .lrn(&LrnDescriptor { size: 3, ..Default::default() })
        .max_pool2d(2)
        .conv_transpose2d_as(8, 2, &doubled)
        .plain(Recipe::SpaceToDepth(DepthToSpaceDescriptor { block: 2, ..Default::default() }))
        .concat_with(|branch| branch.average_pool2d(2).upsample(2, ResizeMode::Linear), |shortcut| shortcut.conv2d(3, 1, Activation::Sigmoid))
        .adaptive_average_pool2d([3, 2])
        .reshape([35, 6])
        .flatten()
        .dense(1, Activation::None);
    let graph = model.graph(1).unwrap();
    assert_eq!(extents(&graph, "conv1.weight"), [4, 1, 3, 3]);
    assert_eq!((extents(&graph, "prelu1.weight"), numbers(&graph, "prelu1.weight")), (vec![4, 1, 1], vec![0.25; 4]));
    assert_eq!(extents(&graph, "conv3.weight"), [6, 4, 2, 2], "inputs first, and outputs of a group");
    assert_eq!(extents(&graph, "conv3.bias"), [8]);
    assert_eq!(extents(&graph, "conv4.weight"), [3, 32, 1, 1]);
    assert_eq!(extents(&graph, "dense1.weight"), [1, 210], "3 and 32 channels");
    learns(&model, &[1, 8, 8]);
}

#[test]
fn layers_of_sequences_and_volumes() {
    let same = Conv1dDescriptor { padding: Padding::uniform(1), activation: Activation::Relu, ..Default::default() };
    let sequences = Sequential::new([2, 16])
        .conv1d(4, 3, Activation::Tanh)
        .conv1d_as(4, 3, &same)
        .batch_norm()
        .max_pool1d(2)
        .flatten()
        .dense(1, Activation::None);
    let graph = sequences.graph(1).unwrap();
    assert_eq!((extents(&graph, "conv1.weight"), extents(&graph, "dense1.weight")), (vec![4, 2, 3], vec![1, 28]));
    let strided = Conv3dDescriptor { stride: [2, 1, 2], activation: Activation::Relu, ..Default::default() };
    let volumes = Sequential::new([1, 5, 4, 6]).conv3d_as(3, 2, &strided).global_average_pool().dense(1, Activation::None);
    let graph = volumes.graph(1).unwrap();
    assert_eq!((extents(&graph, "conv1.weight"), extents(&graph, "dense1.weight")), (vec![3, 1, 2, 2, 2], vec![1, 3]));
    learns(&sequences, &[2, 16]);
    learns(&volumes, &[1, 5, 4, 6]);
}

/// The numbers of one pass, by hand.
#[test]
fn layers_compute_what_they_say() {
    let x = ndarray::Array4::from_shape_vec((1, 1, 1, 2), vec![1f32, -2.0]).unwrap();
    let run = |model: Sequential| {
        let session = wgconv::Session::cpu(&model.graph(1).unwrap()).unwrap();
        let y = session.run(&[("input", x.view())]).unwrap()["output"].clone();
        (y.shape().to_vec(), y.iter().copied().collect::<Vec<f32>>())
    };
    let input = || Sequential::new([1, 1, 2]);
    assert_eq!(run(input().prelu()), (vec![1, 1, 1, 2], vec![1.0, -0.5]));
    assert_eq!(run(input().upsample(2, ResizeMode::default())), (vec![1, 1, 2, 4], vec![1.0, 1.0, -2.0, -2.0, 1.0, 1.0, -2.0, -2.0]));
    assert_eq!(run(input().concat(|x| x.activation(Activation::Relu))), (vec![1, 2, 1, 2], vec![1.0, -2.0, 1.0, 0.0]), "x first");
    assert_eq!(run(input().residual(|x| x.activation(Activation::Relu))), (vec![1, 1, 1, 2], vec![2.0, -2.0]));
    let mut padded = vec![0.0; 12];
    padded[5..7].copy_from_slice(&[1.0, -2.0]);
    assert_eq!(run(input().zero_pad2d(1)), (vec![1, 1, 3, 4], padded));
    assert_eq!(run(input().reshape([2]).softmax()).1.iter().sum::<f32>(), 1.0);
    assert_eq!(run(input().global_max_pool()), (vec![1, 1], vec![1.0]));
    assert_eq!(run(input().reshape([2, 1, 1])).0, [1, 2, 1, 1]);
}

#[test]
fn layers_that_do_not_fit_are_refused_by_name() {
    let refused = |model: Sequential| model.graph(1).unwrap_err().to_string();
    let error = refused(Sequential::new([1, 4, 4]).concat(|x| x.max_pool2d(2)));
    assert!(error.contains("concat"), "{error}");
    let error = refused(Sequential::new([3, 4, 4]).reshape([5]));
    assert!(error.contains("reshape"), "{error}");
    let error = refused(Sequential::new([3, 4, 4]).conv2d(0, 3, Activation::None));
    assert!(error.contains("conv1 is [0, 3, 3, 3]: every extent of its filter is at least 1"), "{error}");
    let error = refused(Sequential::new([3, 4, 4]).plain(Recipe::Conv {
        descriptor: wgconv::graph::Ranked::Two(Default::default()),
        bias: false,
        residual: false,
    }));
    assert!(error.contains("conv"), "{error}");
}

/// Weight decay that leaves vectors out leaves out what norms and prelu multiply by and add, of whatever rank.
#[test]
fn decay_leaves_out_what_norms_and_prelu_have() {
    let model = Sequential::new([2, 2, 2]).conv2d(2, 1, Activation::None).layer_norm().prelu().flatten().dense(1, Activation::None);
    let (x, zeros) = (ndarray::Array4::<f32>::zeros((4, 2, 2, 2)), Array2::<f32>::zeros((4, 1)));
    // Nothing but zeros: no gradient, and what changes is decay alone.
    let data = Dataset::values(x.view(), zeros.view()).unwrap();
    for engine in engines() {
        for decay_vectors in [true, false] {
            let descriptor = TrainerDescriptor { batch: 4, decay_vectors, ..quick() };
            let optimizer = Sgd { rate: 0.5, weight_decay: 0.5, ..Default::default() };
            let mut trainer = Trainer::new(engine.clone(), &model, Loss::Mse, optimizer, &descriptor).unwrap();
            let before = trainer.model().unwrap();
            trainer.step(&data, &[0, 1, 2, 3]).unwrap();
            let after = trainer.model().unwrap();
            for (name, decayed) in
                [("norm1.weight", decay_vectors), ("prelu1.weight", decay_vectors), ("conv1.weight", true), ("dense1.weight", true)]
            {
                let factor = if decayed { 0.75 } else { 1.0 };
                assert_eq!(numbers(&after, name), numbers(&before, name).iter().map(|v| v * factor).collect::<Vec<_>>(), "{name}, {decay_vectors}");
            }
        }
    }
}
