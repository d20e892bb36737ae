//! Mixed precision: f32 parameters that a network reads in f16 through casts learn as those of f32 do.

use super::{bits, engines, epochs, quick, spots, whole_and_resumed};
use wgconv::conv::Conv2dDescriptor;
use wgconv::matmul::LinearDescriptor;
use wgconv::pool::PoolDescriptor;
use wgconv::train::{Adam, Dataset, Engine, Loss, Model, Sequential, Trainer, TrainerDescriptor};
use wgconv::{Activation, ElementType, Error, Extent, Graph, Padding};

/// Two convolutions, a pool and a dense layer, with the numbers of a `Sequential` of the same layers; products in `element`, the rest around them in f32.
fn network(side: usize, classes: usize, element: ElementType) -> Graph {
    let same = Conv2dDescriptor { padding: Padding::Same, activation: Activation::Relu, ..Default::default() };
    let plain =
        Sequential::new([1, side, side]).conv2d_as(8, 3, &same).conv2d_as(16, 3, &same).max_pool2d(2).flatten().dense(classes, Activation::None);
    let numbers = plain.graph(1).unwrap();
    let mut g = Graph::new();
    let x = g.input("input", [Extent::Open, 1.into(), side.into(), side.into()]).unwrap();
    let parameter = |g: &mut Graph, name: &str| {
        let from = numbers.find(name).unwrap();
        let array = ndarray::ArrayD::from_shape_vec(numbers.extents(from).unwrap(), numbers.numbers(from).unwrap().as_f32().into_owned()).unwrap();
        let master = g.parameter(name, array.view()).unwrap();
        g.cast(master, element).unwrap()
    };
    let [w1, b1, w2, b2, w3, b3] =
        ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "dense1.weight", "dense1.bias"].map(|name| parameter(&mut g, name));
    let y = g.cast(x, element).unwrap();
    let y = g.conv2d(y, w1, Some(b1), &same).unwrap();
    let y = g.conv2d(y, w2, Some(b2), &same).unwrap();
    let y = g.pool2d(y, &PoolDescriptor::window([2, 2])).unwrap();
    let y = g.flatten(y, 1).unwrap();
    let y = g.linear(y, w3, Some(b3), &LinearDescriptor::default()).unwrap();
    let y = g.cast(y, ElementType::F32).unwrap();
    g.output("output", y).unwrap();
    g
}

fn trainer(engine: &Engine, graph: &Graph, batch: usize, rate: f64) -> Trainer {
    let descriptor = TrainerDescriptor { batch, ..quick() };
    Trainer::new(engine.clone(), graph, Loss::cross_entropy(), Adam { rate, ..Default::default() }, &descriptor).unwrap()
}

/// The digits that the program carries: 1,797 of 8 x 8, each row its pixels and its label (cli/data/README.md). Every fifth is kept to test with.
fn digits() -> (Dataset, Dataset) {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/cli/data/digits.npy")).unwrap();
    let rows: Vec<&[u8]> = bytes[10 + usize::from(bytes[8]) + 256 * usize::from(bytes[9])..].chunks_exact(65).collect();
    let pictures = ndarray::Array4::from_shape_fn((rows.len(), 1, 8, 8), |(n, _, y, x)| f32::from(rows[n][8 * y + x]) / 16.0);
    Dataset::classes(pictures.view(), rows.iter().map(|row| u32::from(row[64])).collect(), 10).unwrap().split(5).unwrap()
}

/// As good as f32, on the digits: 97 % of what neither has learned from, and within half a percent of f32.
#[test]
fn digits_are_learned_in_mixed_precision_as_in_f32() {
    let (train, test) = digits();
    for engine in engines() {
        let [mixed, full] = [ElementType::F16, ElementType::F32].map(|element| {
            let mut trainer = trainer(&engine, &network(8, 10, element), 32, 3e-3);
            epochs(&mut trainer, &train, 8);
            let evaluation = trainer.evaluate(&test).unwrap();
            (evaluation.accuracy.unwrap(), evaluation.loss)
        });
        println!("{engine:?}: f16 {mixed:?}, f32 {full:?}");
        assert!(mixed.0 >= 0.97 && (mixed.0 - full.0).abs() <= 0.011, "f16 {mixed:?}, f32 {full:?}");
    }
}

/// What f16 takes between the ops of a step is less, its parameters are f32 and a checkpoint goes on with them to the same bits; a limit changes none.
#[test]
fn mixed_precision_resumes_to_the_same_bits_in_less_memory() {
    let data = spots(64);
    for engine in engines() {
        let graph = network(10, 4, ElementType::F16);
        let [whole, resumed] = whole_and_resumed(|| trainer(&engine, &graph, 16, 1e-2), &data);
        assert!(bits(&whole) == bits(&resumed));
        let kept = trainer(&engine, &graph, 16, 1e-2).memory(&data).unwrap();
        assert_eq!((kept.again, kept.bytes), (0, kept.free));
        // The least that can be held, which the error of a limit of nothing says.
        let within = |limit: u64| {
            let descriptor = TrainerDescriptor { batch: 16, memory_limit: Some(limit), ..quick() };
            Trainer::new(engine.clone(), &graph, Loss::cross_entropy(), Adam { rate: 1e-2, ..Default::default() }, &descriptor).unwrap()
        };
        let Err(Error::TooLarge { needed, .. }) = within(0).memory(&data) else { panic!("nothing holds a limit of 0") };
        let mut limited = within(u64::try_from(needed).unwrap());
        let memory = limited.memory(&data).unwrap();
        assert!(memory.free == kept.free && memory.bytes < kept.free && memory.again > 0 && u128::from(memory.bytes) <= needed, "{memory}");
        epochs(&mut limited, &data, 4);
        assert!(bits(&limited.model().unwrap()) == bits(&whole), "within a limit");
    }
}

/// A parameter of f16 would lose small steps: it is refused with what to do.
#[test]
fn parameters_of_f16_do_not_learn() {
    let mut g = Graph::new();
    let x = g.input_as("input", &[Extent::Open, 3.into()], ElementType::F16, wgconv::Layout::ChannelsFirst).unwrap();
    let w = g.parameter("w", ndarray::Array2::from_elem((2, 3), half::f16::ONE).view()).unwrap();
    let y = g.linear(x, w, None, &LinearDescriptor::default()).unwrap();
    g.output("output", y).unwrap();
    let error = Trainer::new(Engine::Cpu, &g, Loss::Mse, Adam::default(), &quick()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "input is of f16: samples are f32: Graph::cast makes f16 of them in the network");
    let mut g = Graph::new();
    let x = g.input("input", [Extent::Open, 3.into()]).unwrap();
    let x = g.cast(x, ElementType::F16).unwrap();
    let w = g.parameter("w", ndarray::Array2::from_elem((2, 3), half::f16::ONE).view()).unwrap();
    let y = g.linear(x, w, None, &LinearDescriptor::default()).unwrap();
    let y = g.cast(y, ElementType::F32).unwrap();
    g.output("output", y).unwrap();
    let error = Trainer::new(Engine::Cpu, &g, Loss::Mse, Adam::default(), &quick()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "w is of f16: what learns is f32: Graph::cast makes f16 of it in the network");
}
