//! Training as an embedder does it: both engines alike, repeatable, resumed to the same bits, and refused by name.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

#[path = "training/augment.rs"]
mod augment;
mod common;
#[path = "training/dropout.rs"]
mod dropout;
#[path = "training/failure.rs"]
mod failure;
#[path = "training/layers.rs"]
mod layers;
#[path = "training/memory.rs"]
mod memory;
#[path = "training/mixed.rs"]
mod mixed;
#[path = "training/norms.rs"]
mod norms;
#[path = "training/steps.rs"]
mod steps;

use common::gpu;
use ndarray::{Array2, Array4, ArrayD, array};
use wgconv::train::{
    Adagrad, Adam, Augmentation, Dataset, Engine, Loss, Model, Optimizer, RmsProp, Schedule, Sequential, Sgd, Trainer, TrainerDescriptor,
};
use wgconv::{Activation, Graph, numeric::Generator};

/// Pictures whose class is the quarter with the bright spot.
fn spots(count: usize) -> Dataset {
    let mut generator = Generator::from_text("spots");
    let mut pictures = Array4::<f32>::zeros((count, 1, 10, 10));
    let mut labels = vec![];
    for n in 0..count {
        let class = (n % 4) as u32;
        let [y, x] = [class / 2, class % 2].map(|half| half as usize * 5 + generator.below(4) as usize);
        pictures.index_axis_mut(ndarray::Axis(0), n).mapv_inplace(|_| (0.3 * generator.real()) as f32);
        for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            pictures[[n, 0, y + dy, x + dx]] = 1.0;
        }
        labels.push(class);
    }
    Dataset::classes(pictures.view(), labels, 4).unwrap()
}

fn model() -> Sequential {
    Sequential::new([1, 10, 10]).conv2d(4, 3, Activation::Relu).max_pool2d(2).conv2d(6, 3, Activation::Tanh).flatten().dense(4, Activation::None)
}

fn bits(graph: &Graph) -> Vec<u32> {
    graph.parameters().flat_map(|(_, value)| graph.numbers(value).unwrap().as_f32().iter().map(|v| v.to_bits()).collect::<Vec<_>>()).collect()
}

fn optimizers() -> Vec<Optimizer> {
    vec![
        Sgd { rate: 0.1, ..Default::default() }.into(),
        Sgd { rate: 0.05, momentum: 0.9, nesterov: true, weight_decay: 1e-4, ..Default::default() }.into(),
        RmsProp { rate: 0.003, ..Default::default() }.into(),
        RmsProp { rate: 0.002, momentum: 0.5, centered: true, ..Default::default() }.into(),
        Adam { rate: 0.01, ..Default::default() }.into(),
        Adam { rate: 0.01, weight_decay: 0.01, decoupled: true, amsgrad: true, ..Default::default() }.into(),
        Adagrad { rate: 0.05, ..Default::default() }.into(),
    ]
}

fn engines() -> [Engine; 2] {
    [Engine::Cpu, Engine::from(&gpu())]
}

fn epochs(trainer: &mut Trainer, data: &Dataset, count: usize) {
    for _ in 0..count {
        trainer.epoch(data).unwrap();
    }
}

fn quick() -> TrainerDescriptor {
    TrainerDescriptor { batch: 16, seed: 3, ..Default::default() }
}

/// Losses of epochs on the CPU engine and on the GPU, whose sums round differently and go on from there.
#[track_caller]
fn assert_alike(losses: &[Vec<f64>]) {
    assert!(losses.len() == 2 && losses[0].len() == losses[1].len(), "{losses:?}");
    for (cpu, gpu) in losses[0].iter().zip(&losses[1]) {
        assert!((cpu - gpu).abs() < 2e-3 * (1.0 + cpu.abs()), "{losses:?}");
    }
}

/// What four epochs learn, and what two do that go on from a checkpoint behind the first two.
fn whole_and_resumed(new: impl Fn() -> Trainer, data: &Dataset) -> [Graph; 2] {
    let mut whole = new();
    epochs(&mut whole, data, 2);
    let checkpoint = whole.checkpoint().unwrap();
    epochs(&mut whole, data, 2);
    let mut resumed = new();
    resumed.resume(&checkpoint).unwrap();
    assert!(resumed.checkpoint().unwrap() == checkpoint, "before the first step");
    epochs(&mut resumed, data, 2);
    [whole, resumed].map(|trainer| trainer.model().unwrap())
}

#[test]
fn every_optimizer_learns_and_both_engines_agree() {
    let (gpu, data) = (gpu(), spots(160));
    for optimizer in optimizers() {
        let mut losses = vec![];
        for engine in [Engine::Cpu, Engine::from(&gpu)] {
            let mut trainer = Trainer::new(engine, &model(), Loss::cross_entropy(), optimizer, &quick()).unwrap();
            let epochs: Vec<f64> = (0..8).map(|_| trainer.epoch(&data).unwrap().loss).collect();
            let evaluation = trainer.evaluate(&data).unwrap();
            assert!(evaluation.accuracy.unwrap() > 0.9, "{optimizer:?}: {epochs:?}, {evaluation}");
            assert_eq!(trainer.steps(), 80);
            losses.push(epochs);
        }
        assert_alike(&losses);
    }
}

/// The same seed, the same bits; a checkpoint in the middle changes nothing, whatever engine.
#[test]
fn training_twice_and_from_a_checkpoint_gives_the_same_bits() {
    let (gpu, data) = (gpu(), spots(100));
    let augmentation = Augmentation { shift: 1, ..Default::default() };
    let descriptor = TrainerDescriptor { augmentation, clip_norm: Some(1.0), schedule: Schedule::WarmUp { steps: 10, start: 0.1 }, ..quick() };
    for engine in [Engine::Cpu, Engine::from(&gpu)] {
        for optimizer in [optimizers()[3], optimizers()[5]] {
            let new = || Trainer::new(engine.clone(), &model(), Loss::CrossEntropy { label_smoothing: 0.1 }, optimizer, &descriptor).unwrap();
            let mut whole = new();
            epochs(&mut whole, &data, 4);
            let wanted = bits(&whole.model().unwrap());

            let mut again = new();
            epochs(&mut again, &data, 2);
            let checkpoint = again.checkpoint().unwrap();
            epochs(&mut again, &data, 2);
            assert!(bits(&again.model().unwrap()) == wanted, "twice");

            let mut resumed = new();
            resumed.resume(&checkpoint).unwrap();
            assert_eq!(resumed.steps(), 12);
            assert!(resumed.checkpoint().unwrap() == checkpoint, "before the first step");
            epochs(&mut resumed, &data, 2);
            assert!(bits(&resumed.model().unwrap()) == wanted, "resumed");

            // And one that was under way already.
            again.resume(&checkpoint).unwrap();
            epochs(&mut again, &data, 2);
            assert!(bits(&again.model().unwrap()) == wanted, "taken back");
        }
    }
}

#[test]
fn threads_of_the_cpu_engine_do_not_change_a_bit() {
    let data = spots(64);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut trainer = Trainer::new(Engine::Cpu, &model(), Loss::cross_entropy(), Adam::default(), &quick()).unwrap();
            epochs(&mut trainer, &data, 3);
            bits(&trainer.model().unwrap())
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(3) == one);
}

/// A line is fitted by each loss of values.
#[test]
fn losses_of_values_fit_a_line() {
    let x = Array2::from_shape_fn((64, 1), |(i, _)| i as f32 / 32.0 - 1.0);
    let data = Dataset::values(x.view(), x.mapv(|x| 3.0 * x - 0.5).view()).unwrap();
    for loss in [Loss::Mse, Loss::L1, Loss::Huber { delta: 0.5 }] {
        let optimizer = Adam { rate: 0.05, ..Default::default() };
        let descriptor = TrainerDescriptor { schedule: Schedule::Cosine { period: 400, least: 0.0 }, ..quick() };
        let mut trainer = Trainer::new(Engine::Cpu, &Sequential::new([1]).dense(1, Activation::None), loss, optimizer, &descriptor).unwrap();
        epochs(&mut trainer, &data, 100);
        let model = trainer.model().unwrap();
        let number = |name: &str| model.numbers(model.find(name).unwrap()).unwrap().as_f32()[0];
        let (slope, offset) = (number("dense1.weight"), number("dense1.bias"));
        assert!((slope - 3.0).abs() < 1e-2 && (offset + 0.5).abs() < 1e-2, "{loss:?}: {slope} x + {offset}");
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_with_the_step_and_keeps_what_was() {
    let gpu = gpu();
    let mut pictures = Array4::<f32>::ones((32, 1, 10, 10));
    pictures[[17, 0, 3, 3]] = f32::NAN;
    let data = Dataset::classes(pictures.view(), (0..32).map(|n| n % 4).collect(), 4).unwrap();
    let mut cpu = Trainer::new(Engine::Cpu, &model(), Loss::cross_entropy(), Sgd::default(), &quick()).unwrap();
    let before = bits(&cpu.model().unwrap());
    let (clean, dirty): (Vec<usize>, Vec<usize>) = ((0..16).collect(), (16..32).collect());
    let error = cpu.step(&data, &dirty).unwrap_err().to_string();
    assert!(error.contains("loss is NaN") && error.contains("at step 1 it did not; the input of sample 1 of the batch has NaN"), "{error}");
    assert_eq!((cpu.steps(), bits(&cpu.model().unwrap())), (0, before.clone()));
    assert!(cpu.step(&data, &clean).unwrap().unwrap().is_finite());
    let mut on_gpu = Trainer::new(&gpu, &model(), Loss::cross_entropy(), Sgd::default(), &quick()).unwrap();
    let error = on_gpu.epoch(&data).unwrap_err().to_string();
    assert!(error.contains("loss is NaN") && error.contains(&format!("at step {} it did not; the input of sample", on_gpu.steps() + 1)), "{error}");
    assert_eq!(bits(&on_gpu.model().unwrap()) == before, on_gpu.steps() == 0);
}

#[test]
fn what_cannot_be_trained_is_refused_by_name() {
    let data = spots(40);
    let new = |model: &Sequential, optimizer: Optimizer, descriptor: &TrainerDescriptor| {
        Trainer::new(Engine::Cpu, model, Loss::cross_entropy(), optimizer, descriptor).map(|_| ()).unwrap_err().to_string()
    };
    assert!(new(&model(), Adam { beta1: 1.0, ..Default::default() }.into(), &quick()).contains("beta1 is 1: beta1 is at least 0 and below 1"));
    assert!(new(&model(), Sgd { rate: f64::NAN, ..Default::default() }.into(), &quick()).contains("rate is NaN"));
    assert!(new(&model(), Sgd { nesterov: true, ..Default::default() }.into(), &quick()).contains("nesterov"));
    assert!(new(&model(), Sgd::default().into(), &TrainerDescriptor { batch: 0, ..quick() }).contains("batch is 0"));
    assert!(new(&Sequential::new([1, 2, 2]).conv2d(3, 5, Activation::Relu), Sgd::default().into(), &quick()).contains("filter"));

    let mut trainer = Trainer::new(Engine::Cpu, &model(), Loss::cross_entropy(), Sgd::default(), &quick()).unwrap();
    let error = |error: wgconv::Error| error.to_string();
    assert!(trainer.step(&data, &[1, 2]).map(|_| ()).map_err(error).unwrap_err().contains("samples is 2: a batch has 16"));
    assert!(trainer.step(&data, &[99; 16]).map(|_| ()).map_err(error).unwrap_err().contains("samples is 99: there are 40 samples"));
    assert!(trainer.epoch(&spots(8)).map(|_| ()).map_err(error).unwrap_err().contains("at least one batch of 16"));
    let pictures = Array4::<f32>::zeros((4, 1, 10, 10));
    let refuse = |labels: Vec<u32>, classes| Dataset::classes(pictures.view(), labels, classes).unwrap_err().to_string();
    assert!(refuse(vec![0, 1, 4, 0], 4).contains("labels[2] is 4: there are 4 classes"));
    assert!(refuse(vec![0, 1, 1, 0], 3).contains("class 2 has none"));
    assert!(refuse(vec![0, 1], 2).contains("one for each of the 4 samples"));

    let checkpoint = trainer.checkpoint().unwrap();
    let mut other = Trainer::new(Engine::Cpu, &model(), Loss::cross_entropy(), Adam::default(), &quick()).unwrap();
    assert!(other.resume(&checkpoint).unwrap_err().to_string().contains("m.conv1.bias is missing"));
    assert!(other.resume(&checkpoint[..40]).is_err());
    let mut wide = Graph::new();
    wide.input("input", [wgconv::Extent::Open, 3.into()]).unwrap();
    let refused = Trainer::new(Engine::Cpu, &wide, Loss::Mse, Sgd::default(), &quick()).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("it has the input \"input\" and the output \"output\""), "{refused}");
}

#[test]
fn first_numbers_follow_from_the_seed_alone() {
    let graph = |seed| bits(&model().graph(seed).unwrap());
    assert_eq!(graph(5), graph(5));
    assert_ne!(graph(5), graph(6));
    let graph = model().graph(1).unwrap();
    let filter = graph.numbers(graph.find("conv2.weight").unwrap()).unwrap().as_f32().into_owned();
    let bound = (6.0f32 / (4.0 * 9.0)).sqrt();
    assert!(filter.iter().all(|v| v.abs() <= bound) && filter.iter().any(|v| v.abs() > 0.8 * bound));
}

/// By hand: steps of each rule on one number.
#[test]
fn schedules_and_norms_are_what_they_say() {
    assert_eq!([0, 9, 10, 25].map(|i| Schedule::Step { every: 10, gamma: 0.5 }.factor(i)), [1.0, 1.0, 0.5, 0.25]);
    assert!((Schedule::Cosine { period: 10, least: 0.2 }.factor(5) - 0.6).abs() < 1e-12);
    assert!((Schedule::WarmUp { steps: 4, start: 0.2 }.factor(1) - 0.4).abs() < 1e-12);
    let cycle = Schedule::OneCycle { steps: 100 };
    assert!((cycle.factor(0) - 0.04).abs() < 1e-12 && (cycle.factor(29) - 1.0).abs() < 1e-12 && (cycle.factor(99) - 4e-6).abs() < 1e-12);

    let mut graph = Graph::new();
    let a = graph.parameter("a", array![3f32, 0.0].view()).unwrap();
    let b = graph.parameter("b", array![[4f32]].view()).unwrap();
    let (clipped, norm) = graph.clip_norm(&[a, b], 2.5).unwrap();
    for (name, value) in ["a2", "b2", "norm"].into_iter().zip(clipped.into_iter().chain([norm])) {
        graph.output(name, value).unwrap();
    }
    let outputs = wgconv::Session::cpu(&graph).unwrap().run::<ndarray::IxDyn>(&[]).unwrap();
    let near = |got: &ArrayD<f32>, want: &[f32]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-5);
    assert!(near(&outputs["a2"], &[1.5, 0.0]) && near(&outputs["b2"], &[2.0]) && near(&outputs["norm"], &[5.0]), "{outputs:?}");
}

/// For programs with a tape of their own. On integers <conv(x, w), dy> = <x, dx> = <w, dw> without any rounding.
#[test]
fn gradients_are_recorded_one_by_one() {
    use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
    use wgconv::pool::{Pool2dDescriptor, PoolKind};
    let gpu = gpu();
    let (image, filters) = (common::ramp((2, 3, 9, 8), 5, 7), common::ramp((4, 3, 3, 2), 3, 5));
    let descriptor = Conv2dDescriptor { stride: [2, 3], padding: wgconv::Padding::Explicit { begin: [1, 0], end: [2, 1] }, ..Default::default() };
    let (x, w) = (gpu.upload(&image).unwrap(), gpu.upload(&filters).unwrap());
    let y = gpu.run(|r| r.conv2d(&x, &w, None, &descriptor)).unwrap();
    let shape = y.shape().extents().to_vec();
    let upstream = common::ramp((shape[0], shape[1], shape[2], shape[3]), 4, 9);
    let dy = gpu.upload(&upstream).unwrap();
    let inner = |a: &Array4<f32>, b: &Array4<f32>| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let array = |tensor: &wgconv::Tensor| tensor.download::<f32, ndarray::Ix4>().unwrap();
    let [dx, dw] = gpu
        .run(|r| {
            let dx = r.conv_backward_data(&x.tensor_type(), &w, &dy, &descriptor)?;
            Ok([dx, r.conv_backward_filter(&x, w.shape().extents(), &dy, &descriptor)?])
        })
        .unwrap();
    let whole = inner(&array(&y), &upstream);
    assert!(whole != 0.0);
    assert_eq!([inner(&image, &array(&dx)), inner(&filters, &array(&dw))], [whole; 2]);
    let conv = ConvProblem::forward(&ConvInputs::of(&x, &w, None), &descriptor).unwrap();
    let both = gpu.run(|r| r.backward(conv.clone(), &[&x, &w], &[&y], &dy, &[true, true])).unwrap();
    assert_eq!([array(both[0].as_ref().unwrap()), array(both[1].as_ref().unwrap())], [array(&dx), array(&dw)]);
    let one = gpu.run(|r| r.backward(conv.clone(), &[&x, &w], &[&y], &dy, &[false, true])).unwrap();
    assert!(one[0].is_none() && one[1].is_some());
    let error = gpu.run(|r| r.backward(conv, &[&x], &[&y], &dy, &[true, true])).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("tensors is 1: the op has 2 of them"), "{error}");

    let pool = Pool2dDescriptor::window([3, 3]).with_stride([2, 2]).with_kind(PoolKind::Max { indices: Some(wgconv::pool::IndexOrder::RowMajor) });
    let (y, indices) = gpu.run(|r| r.pool_indices(&x, &pool)).unwrap();
    let dy = gpu.upload(&array(&y)).unwrap();
    let dx = gpu.run(|r| r.max_pool_backward(&x.tensor_type(), &dy, &indices, &pool)).unwrap();
    assert_eq!(inner(&array(&dx), &image), inner(&array(&y), &array(&y)), "each maximum goes back to where it came from");
    let mean = Pool2dDescriptor::window([2, 2]).with_kind(PoolKind::AVERAGE);
    let ones = gpu.upload(&Array4::<f32>::ones((2, 3, 4, 4))).unwrap();
    let dx = gpu.run(|r| r.average_pool_backward(&x.tensor_type(), &ones, &mean)).unwrap();
    assert_eq!((array(&dx)[[1, 2, 7, 7]], array(&dx)[[1, 2, 8, 0]]), (0.25, 0.0), "the last row is in no window");
}

/// Of a binary cross-entropy with one logit: accuracy and the confusion matrix go by its sign.
#[test]
fn logistic_regression_counts_by_the_sign_of_its_logit() {
    let points = Array2::from_shape_fn((40, 3), |(n, i)| if i == 0 { n as f32 / 20.0 - 0.975 } else { 0.1 * i as f32 });
    // The last four are labelled wrongly.
    let targets = Array2::from_shape_fn((40, 1), |(n, _)| f32::from(u8::from((n >= 20) != (n >= 36))));
    let model = Sequential::new([3]).dense(1, Activation::None);
    let right = Dataset::values(points.slice(ndarray::s![..36, ..]), targets.slice(ndarray::s![..36, ..])).unwrap();
    let all = Dataset::values(points.view(), targets.view()).unwrap();
    for engine in [Engine::Cpu, Engine::from(&gpu())] {
        let mut trainer = Trainer::new(engine, &model, Loss::BinaryCrossEntropy, Adam { rate: 0.1, ..Default::default() }, &quick()).unwrap();
        epochs(&mut trainer, &right, 40);
        let evaluation = trainer.evaluate(&all).unwrap();
        let confusion = evaluation.confusion.unwrap();
        let counts = [[0, 0], [0, 1], [1, 0], [1, 1]].map(|[label, taken_for]| confusion.get(label, taken_for));
        assert_eq!((counts, evaluation.accuracy), ([20, 4, 0, 16], Some(0.9)));
        assert_eq!(evaluation.misread, [(36, 1), (37, 1), (38, 1), (39, 1)]);
        // Of other losses numbers are numbers.
        let other = Trainer::new(Engine::Cpu, &model, Loss::Mse, Adam::default(), &quick()).unwrap().evaluate(&all).unwrap();
        assert_eq!((other.accuracy, other.confusion), (None, None));
    }
}
