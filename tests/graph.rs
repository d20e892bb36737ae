//! Graphs: what is inferred and refused, the table, and sessions on both engines against one another and against hand-made sums.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{gpu, ramp};
use ndarray::{Array1, Array2, Array4, ArrayD, Dimension, Ix4};
use wgconv::conv::{ConvDescriptor, ConvTranspose2dDescriptor};
use wgconv::graph::{BatchNormParameters, Graph, Resolved};
use wgconv::matmul::LinearDescriptor;
use wgconv::norm::{BatchNormDescriptor, LayerNormDescriptor};
use wgconv::pool::{IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use wgconv::session::Session;
use wgconv::softmax::SoftmaxDescriptor;
use wgconv::{Activation, Extent, Padding};

/// A small classifier with a branch, a batch norm, a view and parameters of every kind; the batch is open.
fn classifier() -> Graph {
    let mut g = Graph::new();
    let x = g.input("image", [Extent::Open, 3.into(), 12.into(), 12.into()]).unwrap();
    let stem = g.parameter("stem.weight", ramp((8, 3, 3, 3), 5, 7).view()).unwrap();
    let bias = g.parameter("stem.bias", Array1::linspace(-1.0f32, 1.0, 8).view()).unwrap();
    let same = ConvDescriptor { padding: Padding::Same, ..Default::default() };
    let y = g.conv2d(x, stem, Some(bias), &same).unwrap();
    g.name(y, "stem").unwrap();
    let [mean, scale] = ["norm.mean", "norm.scale"].map(|name| g.parameter(name, Array1::linspace(0.5f32, 2.0, 8).view()).unwrap());
    let variance = g.parameter("norm.variance", Array1::linspace(1.0f32, 4.0, 8).view()).unwrap();
    let parameters = BatchNormParameters { scale: Some(scale), bias: None, mean, variance };
    let y = g.batch_norm(y, &parameters, &BatchNormDescriptor::default()).unwrap();
    let y = g.relu(y).unwrap();
    let branch = g.parameter("branch.weight", ramp((8, 8, 1, 1), 3, 5).view()).unwrap();
    let z = g.conv2d(y, branch, None, &ConvDescriptor::default()).unwrap();
    let y = g.add(y, z).unwrap();
    let y = g.dropout(y, 0.5).unwrap();
    let y = g.pool2d(y, &PoolDescriptor::window([2, 2])).unwrap();
    g.output("features", y).unwrap();
    let y = g.flatten(y, 1).unwrap();
    let dense = g.parameter("head.weight", (Array2::from_shape_fn((10, 288), |(i, j)| ((i * 7 + j * 3) % 11) as f32 - 5.0) / 50.0).view()).unwrap();
    let y = g.linear(y, dense, None, &LinearDescriptor::default()).unwrap();
    let y = g.softmax(y, &SoftmaxDescriptor::default()).unwrap();
    g.output("classes", y).unwrap();
    g
}

#[test]
fn the_table_says_names_shapes_parameters_and_multiply_adds() {
    let text = classifier().to_string();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(rows[0], ["name", "op", "output shape", "parameters", "multiply-adds"]);
    assert_eq!(rows[1], ["image", "input", "N x 3 x 12 x 12", "0", "0"]);
    assert_eq!(rows[2], ["stem", "conv", "N x 8 x 12 x 12", "224", "31,104"]); // 8 (27 + 1); 144 x 8 x 27
    assert_eq!(rows[3], ["batch_norm", "batch_norm", "N x 8 x 12 x 12", "24", "0"]);
    assert_eq!(rows[9], ["flatten", "flatten", "N x 288", "0", "0"]);
    assert_eq!(rows[10], ["linear", "linear", "N x 10", "2,880", "2,880"]);
    assert_eq!(rows[12], ["total", "3,192", "43,200"]); // 224 + 24 + 64 + 2880; 31104 + 9216 + 2880
    assert!(text.ends_with("N is open; multiply-adds are those of N = 1.\n"), "{text}");
    let dot = classifier().to_dot();
    assert!(dot.starts_with("digraph {") && dot.contains("n0 -> n1") && dot.contains("N x 8 x 6 x 6"), "{dot}");
}

#[test]
fn both_engines_give_the_same_for_every_batch() {
    let (gpu, graph) = (gpu(), classifier());
    let (on_gpu, on_cpu) = (Session::gpu(&gpu, &graph).unwrap(), Session::cpu(&graph).unwrap());
    let memory = on_gpu.memory(4).unwrap();
    let all = 4 * 4 * (4 * 8 * 12 * 12 + 8 * 6 * 6 + 2 * 10) as u64; // what ops give, without views
    let arena = memory.arena();
    assert!(arena.lower_bound() <= arena.total() && arena.total() < all, "{memory:?}");
    for batch in [1, 4, 2, 4] {
        let image = ramp((batch, 3, 12, 12), 7, 9) / 4.0;
        let (got, want) = (on_gpu.run(&[("image", image.view())]).unwrap(), on_cpu.run(&[("image", image.view())]).unwrap());
        assert_eq!(want["features"].shape(), [batch, 8, 6, 6]);
        for name in ["features", "classes"] {
            let most = want[name].iter().fold(1.0f32, |most, v| most.max(v.abs()));
            for (g, w) in got[name].iter().zip(&want[name]) {
                assert!((g - w).abs() <= 1e-4 * most, "{name} of {batch}: {g} is not {w}");
            }
        }
        assert!(want["classes"].rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5));
        // The first image's result is its own, whatever stands beside it.
        let alone = on_gpu.run(&[("image", image.slice(ndarray::s![..1, .., .., ..]))]).unwrap();
        for (g, w) in alone["classes"].iter().zip(&got["classes"]) {
            assert!((g - w).abs() <= 1e-5, "{g} is not {w}");
        }
    }
}

/// A session's tensors are those of all its runs: each run has them to itself.
#[test]
fn threads_that_share_a_session_do_not_mix_their_inputs() {
    let (gpu, graph) = (gpu(), classifier());
    let session = Session::gpu(&gpu, &graph).unwrap();
    let images: Vec<Array4<f32>> = (1..9).map(|i| ramp((1, 3, 12, 12), i, 9)).collect();
    let want: Vec<_> = images.iter().map(|image| session.run(&[("image", image.view())]).unwrap()).collect();
    std::thread::scope(|scope| {
        for (image, want) in images.iter().zip(&want) {
            let session = &session;
            scope.spawn(move || {
                for _ in 0..5 {
                    assert_eq!(&session.run(&[("image", image.view())]).unwrap(), want);
                }
            });
        }
    });
}

#[test]
fn integers_go_through_exactly() {
    // y = relu(x * 2 - 3) summed over channels by a convolution of ones, then transposed and joined with x.
    let (gpu, x) = (gpu(), ramp((2, 2, 3, 5), 3, 7));
    let mut g = Graph::new();
    let image = g.input("x", [2.into(), 2.into(), 3.into(), 5.into()]).unwrap();
    let two = g.constant("two", Array4::from_elem((1, 1, 1, 1), 2.0f32).view()).unwrap();
    let three = g.constant("three", Array4::from_elem((1, 1, 1, 1), 3.0f32).view()).unwrap();
    let doubled = g.mul(image, two).unwrap();
    let less = g.sub(doubled, three).unwrap();
    let positive = g.relu(less).unwrap();
    let ones = g.parameter("ones", Array4::from_elem((1, 2, 1, 1), 1.0f32).view()).unwrap();
    let sum = g.conv2d(positive, ones, None, &ConvDescriptor::default()).unwrap();
    let turned = g.transpose(sum, &[0, 1, 3, 2]).unwrap();
    let joined = g.concat(&[sum, image], 1).unwrap();
    g.output("turned", turned).unwrap();
    g.output("joined", joined).unwrap();
    let want = Array4::from_shape_fn((2, 1, 3, 5), |(n, _, i, j)| (0..2).map(|c| (2.0 * x[[n, c, i, j]] - 3.0).max(0.0)).sum::<f32>());
    for session in [Session::gpu(&gpu, &g).unwrap(), Session::cpu(&g).unwrap()] {
        let got = session.run(&[("x", x.view())]).unwrap();
        assert_eq!(got["turned"], want.clone().permuted_axes([0, 1, 3, 2]).into_dyn().as_standard_layout().into_owned());
        let joined: Array4<f32> = got["joined"].clone().into_dimensionality::<Ix4>().unwrap();
        assert_eq!(joined.slice(ndarray::s![.., ..1, .., ..]), want);
        assert_eq!(joined.slice(ndarray::s![.., 1.., .., ..]), x);
    }
}

/// NaN, infinities, masks, rows of one number and magnitudes far apart go through views, joins and buffers that are used again, on both engines alike.
#[test]
fn extremes_go_through_as_each_op_says() {
    let gpu = gpu();
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 2.into(), 4.into(), 8.into()]).unwrap();
    let mask = g.input("mask", [Extent::Open, 2.into(), 4.into(), 8.into()]).unwrap();
    let pooled = g.pool2d(x, &PoolDescriptor::window([2, 2])).unwrap();
    let masked = g.add(x, mask).unwrap();
    let shares = g.softmax(masked, &SoftmaxDescriptor::default()).unwrap();
    let rows = g.flatten(x, 3).unwrap();
    let normed = g.layer_norm(rows, None, None, &LayerNormDescriptor::default()).unwrap();
    let back = g.reshape(normed, &[-1, 2, 4, 8]).unwrap();
    let joined = g.concat(&[back, shares], 1).unwrap();
    for (name, value) in [("pooled", pooled), ("joined", joined)] {
        g.output(name, value).unwrap();
    }
    let mut image = ramp((3, 2, 4, 8), 5, 7);
    image.slice_mut(ndarray::s![0, 0, 0, ..]).fill(12_345.678); // a row of one number
    image.slice_mut(ndarray::s![1, .., .., ..]).mapv_inplace(|v| v * 1e12); // an image far larger than the others
    (image[[2, 0, 0, 0]], image[[2, 0, 1, 3]], image[[2, 1, 3, 7]]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let mut hidden = Array4::<f32>::zeros((3, 2, 4, 8));
    hidden.slice_mut(ndarray::s![.., .., .., 4..]).fill(-1e9);
    let fused = g.optimized().unwrap();
    let sessions = [Session::cpu(&g), Session::gpu(&gpu, &g), Session::gpu(&gpu, &fused)].map(Result::unwrap);
    let [want, others @ ..] = sessions.map(|session| session.run(&[("x", image.view()), ("mask", hidden.view())]).unwrap());
    for (name, got) in ["pooled", "joined"].into_iter().flat_map(|name| others.iter().map(move |got| (name, got))) {
        for (i, (g, w)) in got[name].iter().zip(&want[name]).enumerate() {
            let alike = (g.is_nan() && w.is_nan()) || g == w || (g - w).abs() <= 1e-5 * w.abs().max(1.0);
            assert!(alike, "{name}, element {i}: {g} is not {w}");
        }
    }
    assert!(want["pooled"][[2, 0, 0, 0]].is_nan() && want["pooled"][[2, 0, 0, 1]] == f32::INFINITY, "{:?}", want["pooled"]);
    assert!(want["joined"].slice(ndarray::s![0, 0, 0, ..]).iter().all(|v| *v == 0.0), "a row of one number is normalised to 0");
    assert!(want["joined"].slice(ndarray::s![0, 2.., .., 4..]).iter().all(|v| *v == 0.0), "what is masked has no share");
    assert!(want["joined"].slice(ndarray::s![0, .., .., ..]).iter().all(|v| v.is_finite()), "another image's NaN stays there");
}

#[test]
fn ops_of_several_outputs_and_transposed_convolutions_run() {
    let (gpu, x) = (gpu(), ramp((1, 2, 4, 4), 5, 13));
    let mut g = Graph::new();
    let image = g.input("x", [Extent::Open, 2.into(), 4.into(), 4.into()]).unwrap();
    let pool = PoolDescriptor::window([2, 2]).with_kind(PoolKind::Max { indices: Some(IndexOrder::RowMajor) });
    let [largest, at] = g.max_pool2d_with_indices(image, &pool).unwrap();
    let back = g.max_unpool2d(largest, at, &MaxUnpoolDescriptor { pool, output_shape: None }).unwrap();
    let filter = g.parameter("up", ramp((2, 3, 2, 2), 1, 3).view()).unwrap();
    let up = g.conv_transpose2d(back, filter, None, &ConvTranspose2dDescriptor { stride: [2, 2], ..Default::default() }).unwrap();
    for (name, value) in [("at", at), ("back", back), ("up", up)] {
        g.output(name, value).unwrap();
    }
    let [one, other] = [Session::gpu(&gpu, &g).unwrap(), Session::cpu(&g).unwrap()].map(|session| session.run(&[("x", x.view())]).unwrap());
    assert_eq!(one, other);
    assert_eq!(one["up"].shape(), [1, 3, 8, 8]);
    assert_eq!(one["back"].iter().filter(|v| **v != 0.0).count(), one["at"].len());
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut g = Graph::new();
    let x = g.input("image", [Extent::Open, 3.into(), 8.into(), 8.into()]).unwrap();
    assert!(g.input("image", [1.into()]).unwrap_err().to_string().contains("no two of a graph have the same"));
    let w = g.parameter_of("w", &[4, 2, 3, 3], wgconv::ElementType::F32).unwrap();
    let error = g.conv2d(x, w, None, &ConvDescriptor::default()).unwrap_err().to_string();
    assert!(error.starts_with("conv: filter is [4, 2, 3, 3]: its second extent, 2, must be the input channels per group"), "{error}");
    assert_eq!(g.nodes().len(), 0, "a refused node leaves nothing");
    let (other, mut empty) = (classifier(), Graph::new());
    let foreign = other.outputs().next().unwrap().1;
    assert!(empty.relu(foreign).unwrap_err().to_string().contains("it is another graph's"));
    empty.input("x", [1.into()]).unwrap();
    assert!(empty.relu(foreign).unwrap_err().to_string().contains("this graph has 1 value:"));
    let mut head = g.clone();
    let weights = head.parameter_of("dense", &[10, 5], wgconv::ElementType::F32).unwrap();
    let pooled = head.global_pool(x, PoolKind::AVERAGE).unwrap();
    let error = head.linear(pooled, weights, None, &LinearDescriptor::default()).unwrap_err().to_string();
    assert_eq!(error, "linear: x is [N, 3, 1, 1]: its last extent, 1, must be w's second, 5");
    assert!(head.at(0).unwrap_err().to_string().contains("give an open extent"));
    let y = g.relu(x).unwrap();
    assert!(Session::cpu(&g).err().unwrap().to_string().contains("the parameter \"w\" is without numbers: Graph::set"));
    assert!(g.set("v", ramp((1, 1, 1, 1), 1, 2).view()).unwrap_err().to_string().contains("the parameter \"v\" is unknown: did you mean w?"));
    assert!(g.set("w", ramp((1, 1, 1, 1), 1, 2).view()).unwrap_err().to_string().contains("w is 1 x 1 x 1 x 1: it must be 4 x 2 x 3 x 3"));
    g.set("w", ramp((4, 2, 3, 3), 1, 2).view()).unwrap();
    assert!(Session::cpu(&g).err().unwrap().to_string().contains("Graph::output"));
    g.output("y", y).unwrap();
    let session = Session::cpu(&g).unwrap();
    let wrong = |inputs: &[(&str, ndarray::ArrayViewD<'_, f32>)]| session.run(inputs).unwrap_err().to_string();
    let image = ArrayD::<f32>::zeros(vec![2, 3, 8, 8]);
    assert_eq!(wrong(&[]), "the input \"image\" is missing: each input of the graph is given once");
    assert_eq!(wrong(&[("photo", image.view())]), "the input \"photo\" is unknown: the graph's input is image");
    let other = ArrayD::<f32>::zeros(vec![2, 3, 8, 9]);
    assert_eq!(wrong(&[("image", other.view())]), "image is 2 x 3 x 8 x 9: it must be N x 3 x 8 x 8 with N = 2");
}

#[test]
fn passes_fuse_what_they_can_and_keep_the_result() {
    let (gpu, graph) = (gpu(), classifier());
    let (fused, changes) = graph.optimized_with_changes().unwrap();
    let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let wanted = [
        "remove identities: dropout changes nothing",
        "fold batch norm: batch_norm into stem",
        "fuse residual: add into conv",
        "fuse activation: relu into stem",
    ];
    assert_eq!(said, wanted);
    let error = fused.clone().set("stem.weight", ramp((1, 1, 1, 1), 1, 2).view()).unwrap_err().to_string();
    assert!(
        error.starts_with("the parameter \"stem.weight\" is folded: Pass::FoldBatchNorm put it into stem.folded_weight and stem.folded_bias"),
        "{error}"
    );
    let error = fused.clone().set("head.weigth", ramp((1, 1, 1, 1), 1, 2).view()).unwrap_err().to_string();
    assert_eq!(error, "the parameter \"head.weigth\" is unknown: did you mean head.weight?");
    let names: Vec<&str> = fused.nodes().iter().map(|node| node.name()).collect();
    assert_eq!(names, ["stem", "conv", "max_pool", "flatten", "linear", "softmax"]);
    assert_eq!(fused.optimized_with_changes().unwrap(), (fused.clone(), vec![]), "nothing is left to do");
    let image = ramp((3, 3, 12, 12), 7, 9) / 4.0;
    let want = Session::cpu(&graph).unwrap().run(&[("image", image.view())]).unwrap();
    for session in [Session::gpu(&gpu, &fused).unwrap(), Session::cpu(&fused).unwrap()] {
        let got = session.run(&[("image", image.view())]).unwrap();
        for name in ["features", "classes"] {
            let most = want[name].iter().fold(1.0f32, |most, v| most.max(v.abs()));
            assert!(got[name].iter().zip(&want[name]).all(|(g, w)| (g - w).abs() <= 1e-4 * most), "{name}");
        }
    }
}

#[test]
fn passes_keep_integers_exact_and_leave_what_others_read() {
    let (gpu, x) = (gpu(), ramp((2, 3, 8, 6), 5, 7));
    let mut g = Graph::new();
    let image = g.input("x", [Extent::Open, 3.into(), 8.into(), 6.into()]).unwrap();
    let turned = g.transpose(image, &[0, 1, 3, 2]).unwrap();
    let back = g.transpose(turned, &[0, 1, 3, 2]).unwrap();
    let filter = g.parameter("filter", ramp((4, 3, 3, 3), 3, 5).view()).unwrap();
    let conv = g.conv2d(back, filter, None, &ConvDescriptor { padding: Padding::Same, ..Default::default() }).unwrap();
    let positive = g.relu(conv).unwrap();
    let pooled = g.pool2d(positive, &PoolDescriptor::window([2, 2])).unwrap();
    let again = g.parameter("again", ramp((4, 4, 1, 1), 1, 3).view()).unwrap();
    let second = g.conv2d(pooled, again, None, &ConvDescriptor::default()).unwrap();
    let clipped = g.relu(second).unwrap();
    // `second` is read by the activation and is an output too: it stays.
    let [a, b] = [g.transpose(clipped, &[0, 2, 3, 1]).unwrap(), second];
    let a = g.transpose(a, &[0, 2, 1, 3]).unwrap();
    g.output("turned", a).unwrap();
    g.output("second", b).unwrap();
    let (fused, changes) = g.optimized_with_changes().unwrap();
    let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let wanted = [
        "cancel transposes: transpose and transpose_2 undo each other",
        "cancel transposes: transpose_3 and transpose_4 are one",
        "fuse activation: relu into conv",
        "fuse pool: max_pool into conv",
    ];
    assert_eq!(said, wanted);
    assert_eq!(fused.nodes().len(), 4, "{fused}");
    let want = Session::cpu(&g).unwrap().run(&[("x", x.view())]).unwrap();
    for session in [Session::gpu(&gpu, &fused).unwrap(), Session::cpu(&fused).unwrap(), Session::gpu(&gpu, &g).unwrap()] {
        assert_eq!(session.run(&[("x", x.view())]).unwrap(), want);
    }
}

/// A product and a sum with a vector are a dense layer with its bias, whichever shape the vector has; a sum that is another is left.
#[test]
fn a_vector_that_is_added_becomes_the_bias() {
    for (shape, is_bias) in [(vec![4], true), (vec![1, 4], true), (vec![1, 1, 4], true), (vec![5, 1], false), (vec![5, 4], false), (vec![1], false)] {
        let mut g = Graph::new();
        let x = g.input("x", [Extent::Open, 5.into(), 3.into()]).unwrap();
        let w = g.parameter("w", ramp2(4, 3).view()).unwrap();
        let y = g.linear(x, w, None, &LinearDescriptor::default()).unwrap();
        let b = g.parameter("b", ArrayD::from_shape_fn(shape.clone(), |i| 1.0 + i.as_array_view().sum() as f32).view()).unwrap();
        let y = g.add(b, y).unwrap();
        let y = g.relu(y).unwrap();
        g.output("y", y).unwrap();
        let (fused, changes) = g.optimized_with_changes().unwrap();
        assert_eq!(changes.iter().any(|change| change.to_string() == "fuse bias: add into linear"), is_bias, "{shape:?}");
        assert_eq!(fused.nodes().len(), if is_bias { 1 } else { 2 }, "{shape:?}: {fused}");
        let x = ArrayD::from_shape_fn(vec![2, 5, 3], |i| (i[0] * 3 + i[1] * 2 + i[2]) as f32 - 6.0);
        let [want, got] = [&g, &fused].map(|graph| Session::cpu(graph).unwrap().run(&[("x", x.view())]).unwrap());
        assert_eq!(want, got, "{shape:?}");
    }
    // Masks, infinities and NaN in the vector and in what it is added to.
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 2.into(), 3.into()]).unwrap();
    let w = g.parameter("w", ramp2(4, 3).view()).unwrap();
    let y = g.linear(x, w, None, &LinearDescriptor::default()).unwrap();
    let b = g.parameter("b", Array1::from(vec![-1e9f32, f32::INFINITY, f32::NAN, 0.5]).view()).unwrap();
    let y = g.add(y, b).unwrap();
    g.output("y", y).unwrap();
    let fused = g.optimized().unwrap();
    assert_eq!(fused.nodes().len(), 1, "{fused}");
    let x = ArrayD::from_shape_vec(vec![2, 2, 3], vec![1.0, 2.0, 3.0, 1e9, -1e9, 1.0, f32::NAN, 1.0, 1.0, f32::NEG_INFINITY, 1.0, 1.0]).unwrap();
    for session in [|graph: &Graph| Session::cpu(graph), |graph: &Graph| Session::gpu(&gpu(), graph)] {
        let [want, got] = [&g, &fused].map(|graph| session(graph).unwrap().run(&[("x", x.view())]).unwrap()["y"].clone());
        let is_same = |(want, got): (&f32, &f32)| want.is_nan() && got.is_nan() || want == got;
        assert!(want.iter().zip(&got).all(is_same), "{want} {got}");
    }
    // Of a convolution the channels are axis 1.
    for (shape, is_bias) in [([1, 6, 1, 1], true), ([1, 1, 1, 6], false), ([1, 1, 6, 1], false)] {
        let mut g = Graph::new();
        let x = g.input("x", [Extent::Open, 3.into(), 6.into(), 6.into()]).unwrap();
        let w = g.parameter("w", ramp((6, 3, 1, 1), 3, 5).view()).unwrap();
        let y = g.conv2d(x, w, None, &ConvDescriptor::default()).unwrap();
        let b = g.parameter("b", ArrayD::from_shape_fn(shape.to_vec(), |i| i.as_array_view().sum() as f32 - 2.0).view()).unwrap();
        let y = g.add(y, b).unwrap();
        g.output("y", y).unwrap();
        let fused = g.optimized().unwrap();
        assert_eq!(fused.nodes().len(), if is_bias { 1 } else { 2 }, "{shape:?}: {fused}");
        let image = ramp((2, 3, 6, 6), 7, 9);
        let [want, got] = [&g, &fused].map(|graph| Session::cpu(graph).unwrap().run(&[("x", image.view())]).unwrap());
        assert_eq!(want, got, "{shape:?}");
    }
}

/// A transpose that moves axes of extent 1 alone copies nothing.
#[test]
fn axes_of_extent_1_move_without_a_copy() {
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 5.into(), 1.into(), 3.into()]).unwrap();
    let still = g.transpose(x, &[0, 2, 1, 3]).unwrap();
    let moved = g.transpose(still, &[3, 1, 2, 0]).unwrap();
    g.output("y", moved).unwrap();
    let is_view = |open: usize| g.at(open).unwrap().nodes.iter().map(|node| matches!(node, Resolved::View(_))).collect::<Vec<_>>();
    assert_eq!((is_view(2), is_view(1)), (vec![true, false], vec![true, false]));
    let x = ArrayD::from_shape_fn(vec![2, 5, 1, 3], |i| (i[0] * 100 + i[1] * 10 + i[3]) as f32);
    let want = x.clone().permuted_axes(vec![0, 2, 1, 3]).permuted_axes(vec![3, 1, 2, 0]);
    for session in [Session::cpu(&g).unwrap(), Session::gpu(&gpu(), &g).unwrap()] {
        assert_eq!(session.run(&[("x", x.view())]).unwrap()["y"], want);
    }
}

fn ramp2(rows: usize, columns: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(i, j)| (i * columns + j) as f32 - 4.0)
}

/// Activations by their formulas, as exporters write them, go into the convolution before them; formulas that are another function stay.
#[test]
fn activations_that_came_as_several_ops_are_found() {
    type Formula = fn(&mut Graph, wgconv::graph::ValueId) -> wgconv::Result<wgconv::graph::ValueId>;
    fn number(g: &mut Graph, v: f32) -> wgconv::Result<wgconv::graph::ValueId> {
        g.constant(&format!("number_{}", g.values().len()), ndarray::arr0(v).view())
    }
    fn cube(g: &mut Graph, x: wgconv::graph::ValueId) -> wgconv::Result<wgconv::graph::ValueId> {
        let square = g.mul(x, x)?;
        g.mul(square, x)
    }
    let silu: Formula = |g, x| {
        let gate = g.activation(x, Activation::Sigmoid)?;
        g.mul(x, gate)
    };
    let mish: Formula = |g, x| {
        let soft = g.activation(x, Activation::Softplus)?;
        let gate = g.activation(soft, Activation::Tanh)?;
        g.mul(gate, x)
    };
    let hard_swish: Formula = |g, x| {
        let [three, six] = [number(g, 3.0)?, number(g, 6.0)?];
        let shifted = g.add(x, three)?;
        let gate = g.activation(shifted, Activation::Clip { min: 0.0, max: 6.0 })?;
        let y = g.mul(x, gate)?;
        g.div(y, six)
    };
    let by_hard_sigmoid: Formula = |g, x| {
        let gate = g.activation(x, Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 })?;
        g.mul(gate, x)
    };
    let gelu: Formula = |g, x| {
        let [root, one, half] = [number(g, std::f32::consts::SQRT_2)?, number(g, 1.0)?, number(g, 0.5)?];
        let scaled = g.div(x, root)?;
        let erf = g.unary(scaled, wgconv::elementwise::UnaryOp::Erf)?;
        let sum = g.add(erf, one)?;
        let y = g.mul(x, sum)?;
        g.mul(y, half)
    };
    let gelu_tanh: Formula = |g, x| {
        let [root, factor, one, half] = [number(g, 0.797_884_6)?, number(g, 0.044_715)?, number(g, 1.0)?, number(g, 0.5)?];
        let cube = cube(g, x)?;
        let term = g.mul(factor, cube)?;
        let sum = g.add(x, term)?;
        let argument = g.mul(root, sum)?;
        let tanh = g.activation(argument, Activation::Tanh)?;
        let gate = g.add(one, tanh)?;
        let halved = g.mul(half, x)?;
        g.mul(halved, gate)
    };
    let off: Formula = |g, x| {
        let [root, one, half] = [number(g, 1.5)?, number(g, 1.0)?, number(g, 0.5)?];
        let scaled = g.div(x, root)?;
        let erf = g.unary(scaled, wgconv::elementwise::UnaryOp::Erf)?;
        let sum = g.add(erf, one)?;
        let y = g.mul(x, sum)?;
        g.mul(y, half)
    };
    let of_another: Formula = |g, x| {
        let other = g.relu(x)?;
        let gate = g.activation(other, Activation::Sigmoid)?;
        g.mul(x, gate)
    };
    let read_elsewhere: Formula = |g, x| {
        let gate = g.activation(x, Activation::Sigmoid)?;
        g.output("gate", gate)?;
        g.mul(x, gate)
    };
    let formulas: [(Formula, Option<Activation>); 9] = [
        (silu, Some(Activation::Silu)),
        (mish, Some(Activation::Mish)),
        (hard_swish, Some(Activation::HardSwish)),
        (by_hard_sigmoid, Some(Activation::HardSwish)),
        (gelu, Some(Activation::Gelu)),
        (gelu_tanh, Some(Activation::GeluTanh)),
        (off, None),
        (of_another, None),
        (read_elsewhere, None),
    ];
    for (formula, wanted) in formulas {
        let mut g = Graph::new();
        let x = g.input("x", [Extent::Open, 3.into(), 6.into(), 6.into()]).unwrap();
        let w = g.parameter("w", (ramp((4, 3, 3, 3), 3, 5) / 8.0).view()).unwrap();
        let y = g.conv2d(x, w, None, &ConvDescriptor::default()).unwrap();
        let y = formula(&mut g, y).unwrap();
        g.output("y", y).unwrap();
        let (found, changes) = g.optimized_with_changes().unwrap();
        let said = changes.iter().find(|change| change.pass == wgconv::graph::Pass::FindActivation).map(|change| change.to_string());
        match wanted {
            Some(activation) => {
                let said = said.unwrap();
                assert!(said.starts_with("find activation: ") && said.ends_with(&format!(" are {}", activation.name())), "{said}");
                assert_eq!(found.nodes().len(), 1, "{found}");
            }
            None => assert_eq!((said, found.nodes().len() > 2), (None, true), "{found}"),
        }
        let image = ramp((2, 3, 6, 6), 7, 9) / 2.0;
        let [want, got] = [&g, &found].map(|graph| Session::cpu(graph).unwrap().run(&[("x", image.view())]).unwrap()["y"].clone());
        let most = want.iter().fold(1.0f32, |most, v| most.max(v.abs()));
        assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() <= 4e-6 * most), "{wanted:?}");
        // At the edges too, where nothing overflows on the way: NaN where the formula is NaN, else the same number.
        let Some(activation) = wanted else { continue };
        let edges = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e9, -1e9, 100.0, -100.0, 12_345.678, 1e-30, -1e-30, 0.0, -0.0];
        let mut g = Graph::new();
        let x = g.input("x", [edges.len().into()]).unwrap();
        let y = formula(&mut g, x).unwrap();
        g.output("y", y).unwrap();
        let found = g.optimized().unwrap();
        assert_eq!(found.nodes().len(), 1, "{found}");
        let edges = Array1::from(edges.to_vec());
        for session in [|graph: &Graph| Session::cpu(graph), |graph: &Graph| Session::gpu(&gpu(), graph)] {
            let [want, got] = [&g, &found].map(|graph| session(graph).unwrap().run(&[("x", edges.view())]).unwrap()["y"].clone());
            for ((x, want), got) in edges.iter().zip(&want).zip(&got) {
                let is_same = want.is_nan() && got.is_nan() || want == got || (want - got).abs() <= 4e-6 * want.abs().max(1e-30);
                assert!(is_same, "{} at {x}: {got}, by its formula {want}", activation.name());
            }
        }
    }
}

/// An activation behind a concatenation goes into the convolutions before it, where every part has an epilogue for it and nothing else reads the parts.
#[test]
fn an_activation_goes_before_a_concatenation() {
    let gpu = gpu();
    for other_reader in [false, true] {
        let mut g = Graph::new();
        let x = g.input("x", [Extent::Open, 3.into(), 6.into(), 6.into()]).unwrap();
        let w = g.parameter("w", ramp((4, 3, 1, 1), 3, 5).view()).unwrap();
        let a = g.conv2d(x, w, None, &ConvDescriptor::default()).unwrap();
        let b = g.conv2d(x, w, None, &ConvDescriptor::default()).unwrap();
        let joined = g.concat(&[a, b], 1).unwrap();
        let y = g.relu(joined).unwrap();
        g.output("y", y).unwrap();
        if other_reader {
            g.output("b", b).unwrap();
        }
        let (fused, changes) = g.optimized_with_changes().unwrap();
        let said: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let wanted: &[&str] = if other_reader { &[] } else { &["push activation: relu before concat"] };
        assert_eq!(said, wanted);
        let image = ramp((2, 3, 6, 6), 5, 7);
        let want = Session::cpu(&g).unwrap().run(&[("x", image.view())]).unwrap();
        assert!(want["y"].iter().all(|v| *v >= 0.0) && want["y"].iter().any(|v| *v > 0.0));
        for session in [Session::cpu(&fused).unwrap(), Session::gpu(&gpu, &fused).unwrap()] {
            assert_eq!(session.run(&[("x", image.view())]).unwrap(), want);
        }
    }
}

/// Folding keeps the element type: of an f16 network it gives an f16 filter, rounded once. On the CPU engine, since a device may have no f16.
#[test]
fn a_batch_norm_of_f16_folds_into_f16() {
    let half = |values: ArrayD<f32>| values.mapv(half::f16::from_f32);
    let mut g = Graph::new();
    let x = g.input_as("x", &[Extent::Open, 2.into(), 4.into(), 4.into()], wgconv::ElementType::F16, wgconv::Layout::ChannelsFirst).unwrap();
    let w = g.parameter("w", half(ramp((3, 2, 3, 3), 3, 5).into_dyn()).view()).unwrap();
    let y = g.conv2d(x, w, None, &ConvDescriptor::default()).unwrap();
    let mut vector = |name: &str, values: [f32; 3]| g.parameter(name, half(ndarray::arr1(&values).into_dyn()).view()).unwrap();
    // Powers of two, a factor of 0 and magnitudes far apart: the folded numbers are exact.
    let (scale, bias) = (vector("scale", [2.0, 0.0, 0.25]), vector("bias", [1.0, -3.0, 512.0]));
    let (mean, variance) = (vector("mean", [1.0, 2.0, -4.0]), vector("variance", [1.0, 4.0, 0.25]));
    let parameters = BatchNormParameters { scale: Some(scale), bias: Some(bias), mean, variance };
    let y = g.batch_norm(y, &parameters, &BatchNormDescriptor { epsilon: 0.0, ..Default::default() }).unwrap();
    g.output("y", y).unwrap();
    let (fused, changes) = g.optimized_with_changes().unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let folded = fused.numbers(fused.find("conv.folded_weight").unwrap()).unwrap();
    assert_eq!(folded.tensor_type().element, wgconv::ElementType::F16);
    let image = ramp((2, 2, 4, 4), 5, 7);
    let [want, got] = [&g, &fused].map(|graph| Session::cpu(graph).unwrap().run(&[("x", image.view())]).unwrap());
    assert_eq!(got, want);
    assert!(want["y"].slice(ndarray::s![.., 1, .., ..]).iter().all(|v| *v == -3.0), "a factor of 0 leaves the bias");
}
