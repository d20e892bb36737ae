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

/// Parameters are f32, and a checkpoint goes on with them to the same bits; a limit on memory changes none.
#[test]
fn mixed_precision_resumes_to_the_same_bits_and_within_a_limit() {
    let data = spots(64);
    for engine in engines() {
        let graph = network(10, 4, ElementType::F16);
        let [whole, resumed] = whole_and_resumed(|| trainer(&engine, &graph, 16, 1e-2), &data);
        assert!(bits(&whole) == bits(&resumed));
        let kept = trainer(&engine, &graph, 16, 1e-2).memory(&data).unwrap();
        assert_eq!((kept.again, kept.bytes), (0, kept.free));
        let full = trainer(&engine, &network(10, 4, ElementType::F32), 16, 1e-2).memory(&data).unwrap();
        println!("{engine:?}: {kept}; in f32 {full}");
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

/// A network layer by layer, with norms, a branch and dropout, its products in f16.
#[test]
fn a_sequential_learns_digits_in_mixed_precision() {
    let (train, test) = digits();
    let same = Conv2dDescriptor { padding: Padding::Same, ..Default::default() };
    let model = Sequential::new([1, 8, 8])
        .conv2d_as(8, 3, &same)
        .batch_norm()
        .activation(Activation::Relu)
        .residual(|branch| branch.conv2d_as(8, 3, &same).batch_norm().activation(Activation::Relu))
        .max_pool2d(2)
        .dropout(0.1)
        .flatten()
        .dense(10, Activation::None);
    for engine in engines() {
        let accuracy = |mixed_precision: bool| {
            let descriptor = TrainerDescriptor { batch: 32, mixed_precision, ..quick() };
            let new = || Trainer::new(engine.clone(), &model, Loss::cross_entropy(), Adam { rate: 3e-3, ..Default::default() }, &descriptor).unwrap();
            let mut trainer = new();
            epochs(&mut trainer, &train, 3);
            let checkpoint = trainer.checkpoint().unwrap();
            epochs(&mut trainer, &train, 3);
            let learned = trainer.model().unwrap();
            if mixed_precision {
                let mut resumed = new();
                resumed.resume(&checkpoint).unwrap();
                epochs(&mut resumed, &train, 3);
                assert!(bits(&resumed.model().unwrap()) == bits(&learned), "from a checkpoint");
            }
            // What was learned is the network as it was given, in f32.
            assert!(learned.nodes().iter().all(|node| !matches!(node.recipe(), wgconv::graph::Recipe::Cast(_))));
            (trainer.evaluate(&test).unwrap().accuracy.unwrap(), bits(&learned))
        };
        let ((mixed, of_mixed), (full, of_full)) = (accuracy(true), accuracy(false));
        println!("{engine:?}: f16 {mixed}, f32 {full}");
        assert!(of_mixed != of_full, "nothing was rounded");
        // Six epochs: f32 reads 95 % of the digits by then.
        assert!(mixed >= 0.93 && (mixed - full).abs() <= 0.02, "f16 {mixed}, f32 {full}");
    }
}

/// Products and what goes along with them are f16, norms and the softmax are not; nothing is cast twice, and inputs, parameters and outputs stay as they were.
#[test]
fn products_and_what_follows_them_are_f16() {
    let model = Sequential::new([2, 6, 6])
        .normalize(&[0.5, 0.25], &[1.0, 2.0])
        .conv2d(4, 3, Activation::Relu)
        .residual(|branch| branch.activation(Activation::Tanh))
        .max_pool2d(2)
        .group_norm(2)
        .conv2d(3, 1, Activation::None)
        .flatten()
        .dense(5, Activation::None)
        .softmax();
    let graph = model.graph(1).unwrap();
    let half = graph.in_half().unwrap();
    let element = |name: &str| half.element(half.find(name).unwrap_or_else(|| panic!("{name}: {half}")));
    for name in ["conv1", "conv2", "dense1", "max_pool"] {
        assert_eq!(element(name), ElementType::F16, "{name}");
    }
    for name in ["norm1", "softmax", "input", "conv1.weight", "conv1.bias", "norm1.weight", "sub", "mul"] {
        assert_eq!(element(name), ElementType::F32, "{name}");
    }
    let (_, output) = half.outputs().next().unwrap();
    assert_eq!(half.element(output), ElementType::F32);
    let casts = half.nodes().iter().filter(|node| matches!(node.recipe(), wgconv::graph::Recipe::Cast(_))).count();
    // Three layers' filters and biases, what the first convolution and the second read, what the norm and the softmax read.
    assert_eq!(casts, 6 + 2 + 2, "{half}");
    assert_eq!(half.parameters().map(|(name, _)| name).collect::<Vec<_>>(), graph.parameters().map(|(name, _)| name).collect::<Vec<_>>());
    let x = ndarray::Array4::from_shape_fn((3, 2, 6, 6), |(n, c, y, x)| ((n * 5 + c * 3 + y * 7 + x * 2) % 11) as f32 / 5.0 - 1.0);
    let of = |graph: &Graph, on_gpu: bool| {
        let session = if on_gpu { wgconv::Session::gpu(&super::gpu(), graph) } else { wgconv::Session::cpu(graph) };
        session.unwrap().run(&[("input", x.view())]).unwrap()["output"].clone()
    };
    let want = of(&graph, false);
    for on_gpu in [false, true] {
        for graph in [&half, &half.optimized().unwrap()] {
            let got = of(graph, on_gpu);
            assert!(got.iter().zip(&want).all(|(got, want)| (got - want).abs() < 2e-3) && got != want, "{got} {want}");
        }
    }
    // Twice changes nothing, and nor does what has no product.
    assert_eq!(half.in_half().unwrap().nodes().len(), half.nodes().len());
    let plain = Sequential::new([2, 6, 6]).layer_norm().softmax().graph(1).unwrap();
    assert_eq!(plain.in_half().unwrap().nodes().len(), plain.nodes().len());
}
