//! Graphs that are written: read back by the importer to the same bits, by prost to the messages that were meant, and refused where ONNX has no op.
//! Other engines run them in `scripts/onnx_export.py`.

#![allow(clippy::unwrap_used, reason = "tests")]

mod messages;

use messages::ModelProto;
use prost::Message;
use wgconv::ndarray::{ArrayD, IxDyn};
use wgconv::numeric::Generator;
use wgconv::pool::{Pool2dDescriptor, PoolKind};
use wgconv::train::{Model as _, Sequential};
use wgconv::transform::{NearestMode, ResizeMode};
use wgconv::{Activation, Graph, Padding, Session, conv::Conv2dDescriptor, conv::ConvTranspose2dDescriptor};
use wgconv_onnx::{Error, Model, export};

/// Models that have each layer that can be written, with the extents of a sample.
fn models() -> Vec<(&'static str, Sequential, Vec<usize>)> {
    let same = Conv2dDescriptor { padding: Padding::Same, stride: [2, 1], activation: Activation::LeakyRelu { alpha: 0.1 }, ..Default::default() };
    let padded = Conv2dDescriptor { padding: Padding::Explicit { begin: [1, 0], end: [2, 1] }, dilation: [1, 2], ..Default::default() };
    let up = ConvTranspose2dDescriptor { stride: [2, 2], output_padding: [1, 0], ..Default::default() };
    let ceiled = Pool2dDescriptor { ceil_mode: true, stride: Some([2, 2]), ..Pool2dDescriptor::window([3, 3]).with_kind(PoolKind::MAX) };
    let mut all = vec![
        (
            "digits",
            Sequential::new([1, 8, 8]).conv2d(4, 3, Activation::Relu).max_pool2d(2).flatten().dense(8, Activation::Relu).dense(3, Activation::None),
            vec![1, 8, 8],
        ),
        (
            "windows",
            Sequential::new([3, 9, 10])
                .conv2d_as(6, 3, &same)
                .depthwise2d(2, 3, &padded)
                .batch_norm()
                .pool2d(&ceiled)
                .conv_transpose2d_as(4, 3, &up)
                .average_pool2d(2)
                .lrn(&Default::default())
                .prelu()
                .zero_pad2d(1)
                .upsample(2, ResizeMode::Nearest(NearestMode::Floor))
                .upsample(2, ResizeMode::Linear)
                .global_average_pool()
                .reshape([4])
                .softmax(),
            vec![3, 9, 10],
        ),
        (
            "joined",
            Sequential::new([4, 6, 6])
                .residual(|branch| branch.conv2d_as(4, 3, &Conv2dDescriptor { padding: Padding::Same, ..Default::default() }).group_norm(2))
                .concat(|branch| branch.instance_norm().dropout(0.5))
                .layer_norm()
                .global_max_pool()
                .dense(2, Activation::Tanh),
            vec![4, 6, 6],
        ),
        ("signal", Sequential::new([2, 20]).conv1d(3, 5, Activation::Sigmoid).max_pool1d(2).dense(4, Activation::Elu { alpha: 0.5 }), vec![2, 20]),
    ];
    let activations = [
        Activation::Relu6,
        Activation::Clip { min: -0.5, max: 0.25 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::HardSwish,
        Activation::HardSigmoid { alpha: 0.25, beta: 0.5 },
        Activation::Selu { alpha: 1.5, gamma: 1.25 },
        Activation::Celu { alpha: 2.0 },
        Activation::Softplus,
        Activation::Softsign,
        Activation::Mish,
        Activation::Threshold { threshold: 0.25, value: 0.0 },
    ];
    let each = activations.into_iter().fold(Sequential::new([5]), |model, activation| model.dense(5, Activation::None).activation(activation));
    all.push(("activations", each, vec![5]));
    all
}

fn numbers(extents: &[usize], seed: &str) -> ArrayD<f32> {
    let mut generator = Generator::from_text(seed);
    ArrayD::from_shape_simple_fn(IxDyn(extents), || generator.real() as f32)
}

fn outputs(graph: &Graph, x: &ArrayD<f32>) -> Vec<u32> {
    let (name, _) = graph.inputs().next().unwrap();
    let made = Session::cpu(graph).unwrap().run(&[(name, x.view())]).unwrap().into_arrays();
    made[0].1.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn what_is_written_is_read_back_to_the_same_bits() {
    for (name, model, sample) in models() {
        let graph = model.graph(7).unwrap();
        let file = export(&graph).unwrap_or_else(|error| panic!("{name}: {error}"));
        let read = Model::parse(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((read.opset(), read.producer()), (21, "wgconv"));
        for batch in [1, 3] {
            let extents: Vec<usize> = std::iter::once(batch).chain(sample.iter().copied()).collect();
            let own = read.graph(&[("input", &extents)]).unwrap_or_else(|error| panic!("{name}: {error}"));
            let x = numbers(&extents, name);
            let bits = outputs(&own, &x);
            assert!(bits.windows(2).any(|pair| pair[0] != pair[1]), "{name}: one number throughout says nothing");
            assert_eq!(bits, outputs(&graph, &x), "{name}, batch {batch}");
        }
    }
}

/// An adaptive pool has no op of its own: windows of one size are a pool, which adds in another order. n terms and a division round n times in each.
#[test]
fn adaptive_pools_of_even_windows_are_pools() {
    for (output, terms) in [([1, 1], 48.0), ([3, 2], 8.0)] {
        let graph = Sequential::new([2, 6, 8]).adaptive_average_pool2d(output).graph(1).unwrap();
        let own = Model::parse(export(&graph).unwrap()).unwrap().graph(&[("input", &[1, 2, 6, 8])]).unwrap();
        let x = numbers(&[1, 2, 6, 8], "adaptive");
        let [got, want] = [&own, &graph].map(|graph| outputs(graph, &x).into_iter().map(f32::from_bits).collect::<Vec<_>>());
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() <= 2.0 * terms * f32::EPSILON / 2.0, "{got} is not {want}");
        }
    }
}

#[test]
fn prost_reads_what_was_meant() {
    let (_, model, _) = models().swap_remove(0);
    let file = ModelProto::decode(&export(&model.graph(1).unwrap()).unwrap()[..]).unwrap();
    let graph = file.graph.unwrap();
    let ops: Vec<&str> = graph.node.iter().filter_map(|node| node.op_type.as_deref()).collect();
    assert_eq!(ops, ["Conv", "Relu", "MaxPool", "Flatten", "Gemm", "Relu", "Gemm", "Identity"]);
    let names: Vec<&str> = graph.initializer.iter().filter_map(|tensor| tensor.name.as_deref()).collect();
    assert_eq!(names, ["conv1.weight", "conv1.bias", "dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias"]);
    assert_eq!((&graph.initializer[0].dims[..], graph.initializer[0].data_type), (&[4, 1, 3, 3][..], Some(1)));
    let gemm = &graph.node[4];
    assert_eq!((gemm.attribute[0].name.as_deref(), gemm.attribute[0].i, gemm.attribute[0].r#type), (Some("transB"), Some(1), Some(2)));
    let shape = graph.input[0].r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().shape.as_ref().unwrap();
    assert_eq!(shape.dim[0].value, Some(messages::Dimension::DimParam("N".into())));
    assert_eq!(shape.dim[2].value, Some(messages::Dimension::DimValue(8)));
    assert_eq!((file.ir_version, file.opset_import[0].version), (Some(10), Some(21)));
}

/// Every node that cannot be written is in one error, by name.
#[test]
fn what_onnx_has_no_op_for_is_refused() {
    let mut graph = Graph::new();
    let x = graph.input("x", [2.into(), 3.into(), 7.into(), 7.into()]).unwrap();
    let pooled = graph.adaptive_pool2d(x, &wgconv::pool::AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [2, 2] }).unwrap();
    graph.name(pooled, "uneven").unwrap();
    let y = graph.activation(pooled, Activation::Threshold { threshold: 1.0, value: 2.0 }).unwrap();
    graph.name(y, "stepped").unwrap();
    graph.output("y", y).unwrap();
    let Err(Error::Nodes(refusals)) = export(&graph) else { panic!("it has nodes that ONNX has not") };
    let names: Vec<&str> = refusals.iter().map(|refusal| refusal.node.as_str()).collect();
    assert_eq!(names, ["uneven", "stepped"]);
    assert!(refusals[0].reason.contains("windows of several sizes") && refusals[1].reason.contains("and this one 2"), "{refusals:?}");
}
