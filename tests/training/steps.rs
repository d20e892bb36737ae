//! What a step is made of: batches added up, gradients clipped, decay; early stopping; the same bits again.

use super::{bits, engines, epochs, model, quick, spots};
use ndarray::{Array2, arr1, arr2};
use wgconv::train::{Adam, Augmentation, Dataset, EarlyStopping, Engine, Loss, Sgd, Trainer, TrainerDescriptor};
use wgconv::{Extent, Graph, matmul::LinearDescriptor};

/// A dense layer of two inputs and two outputs, with numbers that sums of f32 keep.
pub(super) fn line() -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("input", [Extent::Open, 2.into()]).unwrap();
    let w = graph.parameter("w", arr2(&[[1f32, -2.0], [0.5, 3.0]]).view()).unwrap();
    let b = graph.parameter("b", arr1(&[0.25f32, -1.0]).view()).unwrap();
    let y = graph.linear(x, w, Some(b), &LinearDescriptor::default()).unwrap();
    graph.output("output", y).unwrap();
    graph
}

/// Small integers.
pub(super) fn integers(count: usize) -> Dataset {
    let mut generator = wgconv::numeric::Generator::from_text("integers");
    let mut array = || Array2::from_shape_simple_fn((count, 2), || generator.integer(3) as f32);
    let (x, t) = (array(), array());
    Dataset::values(x.view(), t.view()).unwrap()
}

fn number(trainer: &Trainer, name: &str) -> Vec<f32> {
    let model = trainer.model().unwrap();
    model.numbers(model.find(name).unwrap()).unwrap().as_f32().into_owned()
}

/// With dyadic numbers nothing is rounded but the squares of the second loss: four batches of four are one of sixteen, bit for bit.
#[test]
fn batches_that_are_added_up_are_one_large_batch() {
    let data = integers(32);
    let (first, second): (Vec<usize>, Vec<usize>) = ((0..16).collect(), (16..32).collect());
    let of = |engine: &Engine, batch: usize, accumulate: usize, clip_value: Option<f32>| {
        let descriptor = TrainerDescriptor { batch, accumulate, clip_value, ..quick() };
        let optimizer = Sgd { rate: 0.0625, momentum: 0.5, ..Default::default() };
        let mut trainer = Trainer::new(engine.clone(), &line(), Loss::Mse, optimizer, &descriptor).unwrap();
        let losses = [&first, &second].map(|samples| trainer.step(&data, samples).unwrap());
        assert_eq!(trainer.steps(), 2);
        (bits(&trainer.model().unwrap()), losses)
    };
    for engine in engines() {
        for clip in [None, Some(1.5)] {
            let (whole, losses) = of(&engine, 16, 1, clip);
            assert_ne!(whole, bits(&line()));
            for (batch, accumulate) in [(4, 4), (8, 2), (2, 8)] {
                let (parts, own) = of(&engine, batch, accumulate, clip);
                assert_eq!((&parts, own[0]), (&whole, losses[0]), "{accumulate} batches of {batch}");
                let near = |[a, b]: [Option<f64>; 2]| a.zip(b).is_none_or(|(a, b)| (a - b).abs() <= 1e-6 * b);
                assert!(own[1].is_some() == losses[1].is_some() && near([own[1], losses[1]]), "{own:?}, {losses:?}");
            }
        }
    }
    // An epoch says the mean loss whatever the parts.
    let [whole, parts] = [(16, 1), (4, 4)].map(|(batch, accumulate)| {
        let descriptor = TrainerDescriptor { batch, accumulate, augmentation: Augmentation::default(), ..quick() };
        engines().map(|engine| Trainer::new(engine, &line(), Loss::Mse, Sgd::default(), &descriptor).unwrap().epoch(&data).unwrap())
    });
    for (whole, parts) in whole.iter().zip(&parts) {
        assert_eq!((whole.steps, parts.steps), (2, 2));
        assert!((whole.loss - parts.loss).abs() < 1e-6 * whole.loss, "{whole}, {parts}");
    }
}

/// One sample x = (2, 1), t = (0, 0): the gradients of the mean of two squares are known.
#[test]
fn gradients_are_clipped_by_value_and_by_norm() {
    let data = Dataset::values(arr2(&[[2f32, 1.0]]).view(), arr2(&[[0f32, 0.0]]).view()).unwrap();
    // y = (0.25, 3), so dy = y, dw = dy x', db = dy.
    let gradients = [[0.5f32, 0.25], [6.0, 3.0]];
    for engine in engines() {
        let after = |clip_value, clip_norm| {
            let descriptor = TrainerDescriptor { batch: 1, clip_value, clip_norm, ..quick() };
            let mut trainer = Trainer::new(engine.clone(), &line(), Loss::Mse, Sgd { rate: 1.0, ..Default::default() }, &descriptor).unwrap();
            trainer.step(&data, &[0]).unwrap();
            let (w, b) = (number(&trainer, "w"), number(&trainer, "b"));
            [1.0 - w[0], -2.0 - w[1], 0.5 - w[2], 3.0 - w[3], 0.25 - b[0], -1.0 - b[1]]
        };
        let whole = [gradients[0][0], gradients[0][1], gradients[1][0], gradients[1][1], 0.25, 3.0];
        assert_eq!(after(None, None), whole);
        assert_eq!(after(Some(0.5), None), whole.map(|g| g.clamp(-0.5, 0.5)));
        let norm = |of: &[f32; 6]| of.iter().map(|g| g * g).sum::<f32>().sqrt();
        let near = |got: [f32; 6], want: [f32; 6]| got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-5);
        assert!(near(after(None, Some(1.0)), whole.map(|g| g / norm(&whole))));
        let clamped = whole.map(|g| g.min(2.0));
        assert!(near(after(Some(2.0), Some(1.0)), clamped.map(|g| g / norm(&clamped))), "by value first");
        assert_eq!(after(Some(100.0), Some(1e9)), whole);
    }
}

/// A target that the model meets has no gradient: what changes is decay alone.
#[test]
fn decay_leaves_vectors_out_where_it_is_told_to() {
    let data = Dataset::values(arr2(&[[0f32, 0.0]]).view(), arr2(&[[0.25f32, -1.0]]).view()).unwrap();
    for engine in engines() {
        for optimizer in [
            Sgd { rate: 0.5, weight_decay: 0.5, ..Default::default() }.into(),
            wgconv::train::Optimizer::from(Adam { rate: 0.5, weight_decay: 0.5, decoupled: true, ..Default::default() }),
        ] {
            for decay_vectors in [true, false] {
                let descriptor = TrainerDescriptor { batch: 1, decay_vectors, ..quick() };
                let mut trainer = Trainer::new(engine.clone(), &line(), Loss::Mse, optimizer, &descriptor).unwrap();
                trainer.step(&data, &[0]).unwrap();
                assert_eq!(number(&trainer, "w"), [0.75, -1.5, 0.375, 2.25]);
                assert_eq!(number(&trainer, "b"), if decay_vectors { [0.1875, -0.75] } else { [0.25, -1.0] });
            }
        }
    }
}

/// Parameters whose gradients are one value, and of which one is read for another: they cannot all be written where the others lie.
#[test]
fn gradients_that_are_one_value_reach_all_their_parameters() {
    let mut graph = Graph::new();
    let x = graph.input("input", [Extent::Open, 2.into()]).unwrap();
    let mut vector = |name: &str, numbers: [f32; 2]| graph.parameter(name, arr2(&[numbers]).view()).unwrap();
    let (a, b, c) = (vector("a", [1.0, 2.0]), vector("b", [3.0, 4.0]), vector("c", [0.5, 2.0]));
    let ab = graph.add(a, b).unwrap();
    let abc = graph.mul(ab, c).unwrap();
    let y = graph.add(x, abc).unwrap();
    graph.output("output", y).unwrap();
    let data = Dataset::values(Array2::<f32>::zeros((1, 2)).view(), arr2(&[[1f32, 10.0]]).view()).unwrap();
    for engine in engines() {
        let mut trainer =
            Trainer::new(engine, &graph, Loss::Mse, Sgd { rate: 0.5, ..Default::default() }, &TrainerDescriptor { batch: 1, ..quick() }).unwrap();
        trainer.step(&data, &[0]).unwrap();
        // y = (2, 12), dy = (1, 2), da = db = c dy, dc = (a + b) dy.
        assert_eq!(number(&trainer, "a"), [1.0 - 0.25, 2.0 - 2.0]);
        assert_eq!(number(&trainer, "b"), [3.0 - 0.25, 4.0 - 2.0]);
        assert_eq!(number(&trainer, "c"), [0.5 - 2.0, 2.0 - 6.0]);
    }
}

#[test]
fn early_stopping_has_the_best_parameters() {
    let data = spots(64);
    for engine in engines() {
        let mut trainer = Trainer::new(engine, &model(), Loss::cross_entropy(), Adam { rate: 0.01, ..Default::default() }, &quick()).unwrap();
        let mut stopping = EarlyStopping { patience: 2, least_gain: 0.25, ..Default::default() };
        // Losses by hand: the third is the best, the others fall by too little.
        let mut best = vec![];
        for (i, (loss, stops)) in
            [(3.0, false), (f64::NAN, false), (2.0, false), (1.875, false), (2.5, false), (1.8125, true)].into_iter().enumerate()
        {
            trainer.epoch(&data).unwrap();
            assert_eq!(stopping.after(&trainer, loss).unwrap(), stops, "{i}");
            if i == 2 {
                best = bits(&trainer.model().unwrap());
            }
        }
        assert_eq!(stopping.so_far.lowest(), Some(2.0));
        assert_ne!(bits(&trainer.model().unwrap()), best);
        stopping.restore_best(&mut trainer).unwrap();
        assert_eq!(bits(&trainer.model().unwrap()), best);
        trainer.epoch(&data).unwrap();
        assert_ne!(bits(&trainer.model().unwrap()), best, "it learns on");
        let mut other = Trainer::new(Engine::Cpu, &line(), Loss::Mse, Sgd::default(), &quick()).unwrap();
        assert!(stopping.restore_best(&mut other).is_err());
    }
}

/// FNV-1a of all parameters.
fn hash(trainer: &Trainer) -> u64 {
    bits(&trainer.model().unwrap())
        .iter()
        .flat_map(|bits| bits.to_le_bytes())
        .fold(0xcbf29ce484222325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3))
}

/// A thousand steps twice, and once from a checkpoint in the middle: the same hash of all parameters, whatever the engine and its threads.
#[test]
fn a_thousand_steps_end_in_the_same_bits() {
    use wgconv::Activation;
    let data = spots(100);
    let small = wgconv::train::Sequential::new([1, 10, 10])
        .conv2d_as(2, 3, &wgconv::conv::Conv2dDescriptor { stride: [2, 2], ..Default::default() })
        .batch_norm()
        .activation(Activation::Relu)
        .flatten()
        .dense(4, Activation::None);
    // 25 steps an epoch.
    let descriptor = TrainerDescriptor { batch: 4, clip_norm: Some(5.0), augmentation: Augmentation { shift: 1, ..Default::default() }, ..quick() };
    let new = |engine: &Engine| {
        Trainer::new(engine.clone(), &small, Loss::cross_entropy(), Adam { rate: 2e-3, ..Default::default() }, &descriptor).unwrap()
    };
    let whole = |engine: &Engine| {
        let mut trainer = new(engine);
        epochs(&mut trainer, &data, 20);
        let checkpoint = trainer.checkpoint().unwrap();
        epochs(&mut trainer, &data, 20);
        assert_eq!(trainer.steps(), 1000);
        (hash(&trainer), checkpoint)
    };
    for engine in engines() {
        let (once, checkpoint) = whole(&engine);
        assert_eq!(whole(&engine).0, once, "twice");
        let mut resumed = new(&engine);
        resumed.resume(&checkpoint).unwrap();
        epochs(&mut resumed, &data, 20);
        assert_eq!((resumed.steps(), hash(&resumed)), (1000, once), "from step 500");
        if let Engine::Cpu = engine {
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert_eq!(pool.install(|| whole(&engine).0), once, "{threads} threads");
            }
        }
    }
}
