//! Pictures changed before a step: what the trainer's engine makes of them, the same bits from a checkpoint, and nothing where nothing is to change.

use super::{bits, engines, epochs, model, quick, spots, whole_and_resumed};
use ndarray::{Array4, Axis, s};
use wgconv::train::{Adam, Augmentation, Dataset, Engine, Loss, Sequential, Sgd, Trainer, TrainerDescriptor};
use wgconv::{Activation, Graph};

const ALL: Augmentation = Augmentation { shift: 2, flip: true, rotate: 15.0, scale: 0.2 };

fn trainer(engine: &Engine, augmentation: Augmentation, seed: u64) -> Trainer {
    let descriptor = TrainerDescriptor { augmentation, seed, ..quick() };
    Trainer::new(engine.clone(), &model(), Loss::cross_entropy(), Adam { rate: 0.01, ..Default::default() }, &descriptor).unwrap()
}

/// A trainer whose loss is the mean square of its input less a number: what it learns in a step says what it was given.
fn given(engine: &Engine, augmentation: Augmentation, pictures: &Array4<f32>) -> f32 {
    let mut graph = Graph::new();
    let x = graph.input("input", [wgconv::Extent::Open, 2.into(), 5.into(), 6.into()]).unwrap();
    // Each pixel has a weight of its own, so that another order is another sum.
    let weights = Array4::from_shape_fn((1, 2, 5, 6), |(_, c, y, x)| (1 + x + 6 * (y + 5 * c)) as f32);
    let weights = graph.constant("weights", weights.view()).unwrap();
    let scale = graph.parameter("scale", ndarray::arr0(1f32).view()).unwrap();
    let weighted = graph.mul(x, weights).unwrap();
    let weighted = graph.mul(weighted, scale).unwrap();
    let y = graph.reduce(weighted, &wgconv::reduce::ReduceDescriptor::sum(&[1, 2, 3]).with_keepdims(false)).unwrap();
    let y = graph.reshape(y, &[-1, 1]).unwrap();
    graph.output("output", y).unwrap();
    let data = Dataset::values(pictures.view(), ndarray::Array2::<f32>::zeros((pictures.len_of(Axis(0)), 1)).view()).unwrap();
    let descriptor = TrainerDescriptor { batch: 4, augmentation, seed: 9, ..Default::default() };
    let mut trainer = Trainer::new(engine.clone(), &graph, Loss::L1, Sgd { rate: 1.0, ..Default::default() }, &descriptor).unwrap();
    trainer.step(&data, &[0, 3, 1, 2]).unwrap();
    let model = trainer.model().unwrap();
    let learned = model.numbers(model.find("scale").unwrap()).unwrap().as_f32()[0];
    // The gradient of the mean of positive sums is their mean; it is small whole numbers over four.
    let seen = trainer.augmented(&data, &[0, 3, 1, 2], 0).unwrap();
    let weights = model.numbers(model.find("weights").unwrap()).unwrap().as_f32().into_owned();
    let mean: f32 = seen.outer_iter().map(|picture| picture.iter().zip(&weights).map(|(v, w)| v * w).sum::<f32>()).sum::<f32>() / 4.0;
    assert!((1.0 - learned - mean).abs() <= 1e-4 * mean, "a step was given other pictures than `augmented` says: {} is not {mean}", 1.0 - learned);
    mean
}

#[test]
fn a_step_gets_what_augmented_says_and_moved_pictures_keep_their_bits() {
    let pictures = Array4::from_shape_fn((4, 2, 5, 6), |(n, c, y, x)| ((n * 7 + c * 5 + y * 3 + x * 11) % 13 + 1) as f32);
    let data = Dataset::values(pictures.view(), ndarray::Array2::<f32>::zeros((4, 1)).view()).unwrap();
    let mut seen = vec![];
    for engine in engines() {
        for augmentation in [Augmentation { flip: true, ..Default::default() }, Augmentation { shift: 2, ..Default::default() }, ALL] {
            given(&engine, augmentation, &pictures);
        }
        // Every picture of 40 steps is itself or exactly its mirror image, and both come.
        let flips = trainer_of(&engine, Augmentation { flip: true, ..Default::default() });
        let mut mirrored = 0;
        for step in 0..10 {
            let changed = flips.augmented(&data, &[0, 1, 2, 3], step).unwrap().into_dimensionality::<ndarray::Ix4>().unwrap();
            for (picture, own) in changed.outer_iter().zip(pictures.outer_iter()) {
                let is_mirrored = picture == own.slice(s![.., .., ..;-1]);
                assert!(is_mirrored || picture == own, "{picture}");
                mirrored += usize::from(is_mirrored);
            }
        }
        assert!((8..32).contains(&mirrored), "{mirrored}");
        let moved = trainer_of(&engine, Augmentation { shift: 2, flip: true, ..Default::default() });
        seen.push((0..5).map(|step| moved.augmented(&data, &[0, 1, 2, 3], step).unwrap()).collect::<Vec<_>>());
        let turned = trainer_of(&engine, ALL).augmented(&data, &[0, 1, 2, 3], 0).unwrap();
        assert!(turned != pictures.clone().into_dyn() && turned.iter().all(|v| (-1e-3..13.001).contains(v)));
    }
    assert!(seen[0] == seen[1], "whole pixels have the same bits on both engines");
}

fn trainer_of(engine: &Engine, augmentation: Augmentation) -> Trainer {
    let model = Sequential::new([2, 5, 6]).flatten().dense(1, Activation::None);
    let descriptor = TrainerDescriptor { augmentation, ..quick() };
    Trainer::new(engine.clone(), &model, Loss::Mse, Sgd::default(), &descriptor).unwrap()
}

#[test]
fn a_checkpoint_goes_on_with_the_same_changes() {
    let data = spots(64);
    for engine in engines() {
        let [whole, resumed] = whole_and_resumed(|| trainer(&engine, ALL, 5), &data);
        assert!(bits(&whole) == bits(&resumed));
        let mut other = trainer(&engine, ALL, 6);
        epochs(&mut other, &data, 4);
        assert!(bits(&other.model().unwrap()) != bits(&whole), "another seed");
    }
}

/// No change is none: the bits of a training without. And a change is one.
#[test]
fn no_augmentation_changes_no_bit() {
    let data = spots(48);
    for engine in engines() {
        let learned = |augmentation: Augmentation| {
            let mut trainer = trainer(&engine, augmentation, 3);
            epochs(&mut trainer, &data, 2);
            bits(&trainer.model().unwrap())
        };
        let none = learned(Augmentation::default());
        assert!(learned(Augmentation { rotate: 0.0, scale: 0.0, shift: 0, flip: false }) == none);
        // As the graph that would change them has it: moved by at most nothing.
        let same = Augmentation { flip: false, shift: 0, ..Default::default() };
        let seen = same.apply(&engine, data.inputs().view(), &(0..48).collect::<Vec<_>>(), 3, 0).unwrap();
        assert!(seen == *data.inputs(), "the identity");
        for augmentation in [Augmentation { shift: 1, ..Default::default() }, Augmentation { flip: true, ..Default::default() }, ALL] {
            assert!(learned(augmentation) != none, "{augmentation:?}");
        }
    }
}

#[test]
fn what_cannot_be_augmented_is_refused() {
    let line = Dataset::values(ndarray::arr2(&[[1f32, 2.0]; 16]).view(), ndarray::arr2(&[[1f32]; 16]).view()).unwrap();
    let model = Sequential::new([2]).dense(1, Activation::None);
    for engine in engines() {
        let descriptor = TrainerDescriptor { augmentation: Augmentation { flip: true, ..Default::default() }, ..quick() };
        let mut trainer = Trainer::new(engine.clone(), &model, Loss::Mse, Sgd::default(), &descriptor).unwrap();
        let error = trainer.epoch(&line).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "augmentation is of samples [2]: it changes pictures: samples C H W");
        let descriptor = TrainerDescriptor { augmentation: Augmentation { rotate: -1.0, ..Default::default() }, ..quick() };
        let error = Trainer::new(engine, &model, Loss::Mse, Sgd::default(), &descriptor).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "rotate is -1: it is from 0 to 180 degrees");
    }
}

#[test]
fn numbers_of_a_network_that_normalizes_are_kept() {
    let data = spots(64);
    let (mean, deviation) = data.statistics();
    let graph = |mean: &[f32], deviation: &[f32]| wgconv::train::Model::graph(&Sequential::new([1, 10, 10]).normalize(mean, deviation), 1);
    let normalized = wgconv::Session::cpu(&graph(&mean, &deviation).unwrap()).unwrap().run(&[("input", data.inputs().view())]).unwrap();
    let (sum, square) = normalized["output"].iter().fold((0.0, 0.0), |(sum, square), v| (sum + f64::from(*v), square + f64::from(*v).powi(2)));
    let count = normalized["output"].len() as f64;
    assert!((sum / count).abs() < 1e-5 && (square / count - 1.0).abs() < 1e-4, "{sum} {square}");
    let error = graph(&[0.0, 1.0], &[1.0, 1.0]).unwrap_err().to_string();
    assert_eq!(error, "mean is [0.0, 1.0]: there are 1 channels, and it has a number for each");
    assert_eq!(graph(&[0.0], &[0.0]).unwrap_err().to_string(), "deviation is 0.0: it is positive");
}
