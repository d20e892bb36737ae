//! Dropout while a network learns: the masks of each step, on both engines, resumed, and none in what was learned.

use super::{assert_alike, bits, engines, quick, spots, whole_and_resumed};
use ndarray::{Array1, Array2};
use std::collections::HashSet;
use wgconv::dropout::{DropoutDescriptor, DropoutKey, DropoutProblem};
use wgconv::graph::Recipe;
use wgconv::train::{Adam, Dataset, Loss, Model, Sequential, Sgd, Trainer, TrainerDescriptor};
use wgconv::{Activation, Extent, Graph};

fn dropping(probability: f32) -> Sequential {
    let model = Sequential::new([1, 10, 10]).conv2d(6, 3, Activation::Relu).max_pool2d(2).flatten().dropout(probability);
    model.dense(16, Activation::Relu).dropout(probability).dense(4, Activation::None)
}

fn number(graph: &Graph, name: &str) -> Vec<f32> {
    graph.numbers(graph.find(name).unwrap()).unwrap().as_f32().into_owned()
}

const COUNT: usize = 256;

/// y = dropout(a) + dropout(b): each step moves what is kept.
fn two_vectors() -> (Graph, Dataset) {
    let mut graph = Graph::new();
    let x = graph.input("input", [Extent::Open, COUNT.into()]).unwrap();
    let mut dropped = |name: &str| {
        let vector = graph.parameter(name, Array2::<f32>::ones((1, COUNT)).view()).unwrap();
        graph.dropout(vector, 0.5).unwrap()
    };
    let (a, b) = (dropped("a"), dropped("b"));
    let y = graph.add(a, b).unwrap();
    let y = graph.add(x, y).unwrap();
    graph.output("output", y).unwrap();
    let zeros = Array2::<f32>::zeros((2, COUNT));
    let target = Array2::<f32>::from_elem((2, COUNT), -1.0); // so that what is kept has a gradient
    (graph, Dataset::values(zeros.view(), target.view()).unwrap())
}

/// What a mask drops, by the reference.
fn dropped(seed: u32, step: u32, stream: u32) -> Vec<bool> {
    let x = wgconv::TensorType::f32(&[1, COUNT]);
    let problem = DropoutProblem::new(&x, &DropoutDescriptor { probability: 0.5, stream }).unwrap();
    let (ones, key) = (vec![1.0; COUNT], DropoutKey { seed, step }.to_array().map(f64::from));
    wgconv::reference::compute(&problem, &[&ones, &key]).unwrap()[0].value.iter().map(|y| *y == 0.0).collect()
}

/// The seed and the run are the key, and each dropout has masks of its own.
#[test]
fn masks_follow_from_the_seed_and_the_run() {
    let (graph, data) = two_vectors();
    for (seed, accumulate) in [(3, 1), (4, 1), (3, 2)] {
        for engine in engines() {
            let descriptor = TrainerDescriptor { batch: 1, accumulate, seed, ..quick() };
            let mut trainer = Trainer::new(engine, &graph, Loss::Mse, Sgd { rate: 0.5, ..Default::default() }, &descriptor).unwrap();
            let mut seen = HashSet::new();
            let mut before = trainer.model().unwrap();
            for step in 0..3 {
                trainer.step(&data, &[0, 1][..accumulate]).unwrap();
                let after = trainer.model().unwrap();
                for (stream, name) in ["a", "b"].into_iter().enumerate() {
                    let stays: Vec<bool> = number(&before, name).iter().zip(number(&after, name)).map(|(before, after)| *before == after).collect();
                    // A step of two parts moves what either keeps.
                    let runs = (0..accumulate as u32).map(|part| dropped(seed as u32, step * accumulate as u32 + part, stream as u32));
                    let want = runs.reduce(|a, b| a.iter().zip(b).map(|(a, b)| *a && b).collect()).unwrap();
                    assert_eq!(stays, want, "seed {seed}, step {step}, {name}");
                    assert!(seen.insert(stays), "every mask is another one");
                }
                before = after;
            }
        }
    }
}

#[test]
fn dropout_learns_alike_on_both_engines_and_what_was_learned_has_none() {
    let data = spots(160);
    let mut losses = vec![];
    for engine in engines() {
        let new = |model: &Sequential| {
            let optimizer = Adam { rate: 0.01, ..Default::default() };
            Trainer::new(engine.clone(), model, Loss::cross_entropy(), optimizer, &quick()).unwrap()
        };
        let (mut with, mut without) = (new(&dropping(0.25)), new(&dropping(0.0)));
        assert_eq!(with.evaluate(&data).unwrap(), without.evaluate(&data).unwrap(), "the same first numbers, and nothing is dropped");
        let epochs: Vec<f64> = (0..8).map(|_| with.epoch(&data).unwrap().loss).collect();
        without.epoch(&data).unwrap();
        assert_ne!(bits(&with.model().unwrap()), bits(&without.model().unwrap()));
        let evaluation = with.evaluate(&data).unwrap();
        assert!(evaluation.accuracy.unwrap() > 0.9, "{epochs:?}, {evaluation}");
        assert_eq!(evaluation, with.evaluate(&data).unwrap());
        losses.push(epochs);
        let optimized = with.model().unwrap().optimized().unwrap();
        assert!(optimized.nodes().iter().all(|node| !matches!(node.recipe(), Recipe::Dropout { .. } | Recipe::DropoutTraining(_))));
    }
    assert_alike(&losses);
}

#[test]
fn dropout_resumes_to_the_same_bits() {
    let data = spots(100);
    for engine in engines() {
        for accumulate in [1, 3] {
            let descriptor = TrainerDescriptor { batch: 8, accumulate, ..quick() };
            let new = || Trainer::new(engine.clone(), &dropping(0.5), Loss::cross_entropy(), Adam::default(), &descriptor).unwrap();
            let [whole, resumed] = whole_and_resumed(new, &data);
            assert_eq!(bits(&resumed), bits(&whole));
        }
    }
}

#[test]
fn what_is_no_probability_is_refused() {
    for wrong in [1.0, -0.5, f32::NAN] {
        let error = dropping(wrong).graph(1).unwrap_err().to_string();
        assert!(error.contains("dropout: probability is ") && error.contains("from 0 to below 1"), "{error}");
    }
    // A bad number behind a dropout is found with the masks of its step.
    let mut graph = Graph::new();
    let x = graph.input("input", [Extent::Open, 2.into()]).unwrap();
    let w = graph.parameter("w", Array1::from_vec(vec![1f32, 1e30]).view()).unwrap();
    let y = graph.dropout(x, 0.5).unwrap();
    let y = graph.mul(y, w).unwrap();
    graph.name(y, "weighted").unwrap();
    graph.output("output", y).unwrap();
    let data = Dataset::values(Array2::from_elem((16, 2), 1e10f32).view(), Array2::<f32>::zeros((16, 2)).view()).unwrap();
    for engine in engines() {
        let mut trainer = Trainer::new(engine, &graph, Loss::Mse, Sgd::default(), &quick()).unwrap();
        let error = trainer.epoch(&data).unwrap_err().to_string();
        assert!(error.contains("the first op whose result is not finite is weighted"), "{error}");
    }
}
