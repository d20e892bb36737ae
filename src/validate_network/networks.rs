//! The networks of the checks, each about something that a single op cannot show.
//!
//! They are small, and on integers every sum of them is exact: no product of largest numbers times its terms passes 2^24 units, and what f16 stores has at
//! most 11 bits (`tests.rs` holds them to both). Activations that cut at 6 keep numbers small from layer to layer.

use super::build::{Build, Fill};
use crate::graph::{BatchNormParameters, Extent, ValueId};
use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::image::{ImageDescriptor, ImageFormat};
use crate::ops::matmul::{LinearDescriptor, MatMulDescriptor};
use crate::ops::norm::batch::BatchNormDescriptor;
use crate::ops::norm::rows::LayerNormDescriptor;
use crate::ops::pool::descriptor::{IndexOrder, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::reduce::{ArgmaxDescriptor, ReduceDescriptor};
use crate::ops::softmax::SoftmaxDescriptor;
use crate::ops::transform::resize::{ResizeDescriptor, ResizeMode};
use crate::ops::transform::slice::SliceDescriptor;
use crate::types::{Activation, ElementType, Layout, Padding, PaddingMode, Result};

/// A network, and the open extents that it runs at in turn.
pub(super) struct Network {
    pub name: &'static str,
    pub extents: &'static [usize],
    pub build: fn(&mut Build) -> Result<()>,
}

/// Two sizes of the open extent; the second is smaller, so that memory of the first holds what it must not read.
const TWO: &[usize] = &[3, 1];

/// Every network.
pub(super) static NETWORKS: [Network; 18] = [
    Network { name: "residual", extents: TWO, build: residual },
    Network { name: "large_stem", extents: TWO, build: large_stem },
    Network { name: "batch_norm", extents: TWO, build: batch_norm },
    Network { name: "branches", extents: TWO, build: branches },
    Network { name: "views", extents: TWO, build: views },
    Network { name: "skip", extents: TWO, build: skip },
    Network { name: "attention", extents: TWO, build: attention },
    Network { name: "two_inputs", extents: TWO, build: two_inputs },
    Network { name: "wide", extents: TWO, build: wide },
    Network { name: "axes", extents: TWO, build: axes },
    Network { name: "channels_last", extents: TWO, build: channels_last },
    Network { name: "half", extents: TWO, build: half },
    Network { name: "closed", extents: &[0], build: closed },
    Network { name: "computed", extents: TWO, build: computed },
    Network { name: "blurs", extents: TWO, build: blurs },
    Network { name: "atrous", extents: TWO, build: atrous },
    Network { name: "images", extents: TWO, build: images },
    Network { name: "mixed", extents: &[0], build: mixed },
];

const N: Extent = Extent::Open;

fn is(extent: usize) -> Extent {
    Extent::Is(extent)
}

/// A convolution that keeps height and width.
fn padded(groups: usize) -> ConvDescriptor<2> {
    ConvDescriptor { padding: Padding::Same, groups, ..Default::default() }
}

/// A 3 x 3 convolution that keeps height and width.
fn same(b: &mut Build, name: &str, x: ValueId, extents: [usize; 2]) -> Result<ValueId> {
    let w = b.weight(&format!("{name}.weight"), &[extents[0], extents[1], 3, 3])?;
    b.graph.conv2d(x, w, None, &padded(1))
}

/// A convolution of a window of 1.
fn pointwise(b: &mut Build, name: &str, x: ValueId, extents: [usize; 2]) -> Result<ValueId> {
    let w = b.weight(&format!("{name}.weight"), &[extents[0], extents[1], 1, 1])?;
    b.graph.conv2d(x, w, None, &ConvDescriptor::default())
}

fn norm(b: &mut Build, name: &str, x: ValueId, channels: usize, has_scale: bool) -> Result<ValueId> {
    let mut vector = |part: &str, fill| b.parameter(&format!("{name}.{part}"), &[channels], fill);
    let scale = if has_scale { Some(vector("scale", Fill::Scale)?) } else { None };
    let (bias, mean, variance) = (vector("bias", Fill::Reach(2))?, vector("mean", Fill::Reach(2))?, vector("variance", Fill::Variance)?);
    // Without an epsilon, roots of integers' variances are exact.
    b.graph.batch_norm(
        x,
        &BatchNormParameters { scale, bias: Some(bias), mean, variance },
        &BatchNormDescriptor { epsilon: 0.0, ..Default::default() },
    )
}

/// What a block adds to stays in memory while the block runs; the sum and both activations go into convolutions.
fn residual(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(3), is(8), is(8)], Fill::Reach(2))?;
    let (w, bias) = (b.weight("stem.weight", &[8, 3, 3, 3])?, b.bias("stem.bias", 8)?);
    let y = b.graph.conv2d(x, w, Some(bias), &padded(1))?;
    let mut y = b.graph.relu(y)?;
    b.graph.name(y, "stem")?;
    for block in ["first", "second"] {
        let z = same(b, &format!("{block}.down"), y, [8, 8])?;
        let z = b.graph.activation(z, Activation::Relu6)?;
        let z = same(b, &format!("{block}.up"), z, [8, 8])?;
        b.graph.name(z, &format!("{block}.branch"))?;
        y = b.graph.add(z, y)?;
        y = b.graph.relu(y)?;
    }
    b.graph.output("features", y)?;
    let sums = b.graph.reduce(y, &ReduceDescriptor::sum(&[2, 3]))?;
    let w = b.weight("head.weight", &[5, 8])?;
    let y = b.graph.linear(sums, w, None, &LinearDescriptor::default())?;
    b.graph.output("classes", y)
}

/// As ResNets begin: what is behind the first convolution is four times as large as what blocks give to each other, two of which and a sum then lie where it
/// lay. So ops write to a buffer that they read.
fn large_stem(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(3), is(16), is(16)], Fill::Reach(2))?;
    let y = same(b, "stem", x, [8, 3])?;
    let y = b.graph.activation(y, Activation::Relu6)?;
    let pads = Padding::Explicit { begin: [1, 1], end: [1, 1] };
    let mut y = b.graph.pool2d(y, &PoolDescriptor::window([3, 3]).with_stride([2, 2]).with_padding(pads))?;
    for block in ["first", "second"] {
        let z = same(b, &format!("{block}.down"), y, [8, 8])?;
        let z = b.graph.activation(z, Activation::Relu6)?;
        let z = same(b, &format!("{block}.up"), z, [8, 8])?;
        y = b.graph.add(z, y)?;
        y = b.graph.activation(y, Activation::Relu6)?;
    }
    let sums = b.graph.reduce(y, &ReduceDescriptor::sum(&[2, 3]))?;
    b.graph.output("sums", sums)
}

/// Batch norms that fold into a convolution, a depthwise one with a bias and a pointwise one, the first with activation and pool behind it.
fn batch_norm(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(3), is(8), is(8)], Fill::Reach(2))?;
    let y = same(b, "first", x, [8, 3])?;
    let y = norm(b, "first.norm", y, 8, true)?;
    let y = b.graph.relu(y)?;
    let y = b.graph.pool2d(y, &PoolDescriptor::window([2, 2]))?;
    let (w, bias) = (b.weight("second.weight", &[8, 1, 3, 3])?, b.bias("second.bias", 8)?);
    let y = b.graph.conv2d(y, w, Some(bias), &padded(8))?;
    let y = norm(b, "second.norm", y, 8, false)?;
    let y = b.graph.activation(y, Activation::Relu6)?;
    let y = pointwise(b, "third", y, [4, 8])?;
    let y = norm(b, "third.norm", y, 4, true)?;
    b.graph.output("y", y)?;
    let w = b.weight("head.weight", &[5, 64])?;
    let rows = b.graph.flatten(y, 1)?;
    let y = b.graph.linear(rows, w, None, &LinearDescriptor::default())?;
    b.graph.output("classes", y)
}

/// Three branches joined, with an activation that goes before the concatenation, and both what is joined and a part of what follows as outputs.
fn branches(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(4), is(7), is(7)], Fill::Reach(2))?;
    let narrow = pointwise(b, "narrow", x, [4, 4])?;
    let middle = pointwise(b, "middle.down", x, [3, 4])?;
    let middle = b.graph.activation(middle, Activation::Relu6)?;
    let middle = same(b, "middle.up", middle, [6, 3])?;
    let pads = Padding::Explicit { begin: [1, 1], end: [1, 1] };
    let pooled = b.graph.pool2d(x, &PoolDescriptor::window([3, 3]).with_stride([1, 1]).with_padding(pads))?;
    let pooled = pointwise(b, "pooled", pooled, [5, 4])?;
    let y = b.graph.concat(&[narrow, middle, pooled], 1)?;
    let y = b.graph.relu(y)?;
    b.graph.output("joined", y)?;
    let y = pointwise(b, "last", y, [6, 15])?;
    let halves = [(0, 3), (3, 6)]
        .map(|(start, end)| b.graph.slice(y, &SliceDescriptor { starts: vec![start], ends: vec![end], axes: vec![1], ..Default::default() }));
    let [first, second] = halves;
    let y = b.graph.max(first?, second?)?;
    b.graph.output("y", y)
}

/// Views between ops, transposes that undo each other, an identity, and outputs that no op writes: an input, a parameter, a view of either, one value twice.
fn views(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(4), is(6)], Fill::Reach(3))?;
    let w = b.weight("w", &[5, 24])?;
    let y = b.graph.identity(x)?;
    let y = b.graph.transpose(y, &[0, 2, 1])?;
    let y = b.graph.transpose(y, &[0, 2, 1])?;
    let y = b.graph.relu(y)?;
    let y = b.graph.dropout(y, 0.25)?;
    let square = b.graph.reshape(y, &[0, 2, 3, 4])?;
    let turned = b.graph.transpose(square, &[0, 3, 1, 2])?;
    let rows = b.graph.flatten(turned, 1)?;
    let classes = b.graph.linear(rows, w, None, &LinearDescriptor::default())?;
    let (input_rows, w_columns) = (b.graph.flatten(x, 1)?, b.graph.reshape(w, &[10, 12])?);
    for (name, value) in
        [("classes", classes), ("rows", rows), ("turned", turned), ("x", x), ("x_rows", input_rows), ("w", w), ("w_columns", w_columns)]
    {
        b.graph.output(name, value)?;
    }
    b.graph.output("classes_again", classes)
}

/// An hourglass: what is large stays in memory until the end, and so do a pool's indices.
fn skip(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(3), is(8), is(8)], Fill::Reach(2))?;
    let large = same(b, "large", x, [6, 3])?;
    let large = b.graph.activation(large, Activation::Relu6)?;
    let pool = PoolDescriptor::window([2, 2]).with_kind(PoolKind::Max { indices: Some(IndexOrder::RowMajor) });
    let [small, indices] = b.graph.max_pool2d_with_indices(large, &pool)?;
    let small = same(b, "small", small, [6, 6])?;
    let small = b.graph.activation(small, Activation::Relu6)?;
    let unpooled = b.graph.max_unpool2d(small, indices, &MaxUnpoolDescriptor { pool, output_shape: None })?;
    let mode = ResizeMode::Nearest(Default::default());
    let resized = b.graph.resize(small, &ResizeDescriptor { sizes: vec![8, 8], mode, ..Default::default() })?;
    let w = b.weight("up.weight", &[6, 2, 2, 2])?;
    let widened = b.graph.conv_transpose2d(small, w, None, &ConvTransposeDescriptor { stride: [2, 2], ..Default::default() })?;
    let y = b.graph.concat(&[large, unpooled, resized, widened], 1)?;
    let y = same(b, "last", y, [4, 20])?;
    b.graph.output("y", y)
}

/// A head of attention with a mask of -1e9, a residual and a norm: nothing here is exact, so it is held op by op and to the same bits.
fn attention(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(6), is(8)], Fill::Reach(2))?;
    let mask = b.input("mask", &[N, is(6), is(6)], Fill::Mask)?;
    let dense = LinearDescriptor::default();
    let of_x = |b: &mut Build, name: &str| {
        let w = b.weight(name, &[8, 8])?;
        b.graph.linear(x, w, None, &dense)
    };
    let (query, key, value) = (of_x(b, "query")?, of_x(b, "key")?, of_x(b, "value")?);
    let key = b.graph.transpose(key, &[0, 2, 1])?;
    let scores = b.graph.matmul(query, key, &MatMulDescriptor::default())?;
    let scores = b.graph.add(scores, mask)?;
    let scores = b.graph.softmax(scores, &SoftmaxDescriptor::default())?;
    b.graph.output("scores", scores)?;
    let y = b.graph.matmul(scores, value, &MatMulDescriptor::default())?;
    let (w, bias) = (b.weight("out", &[8, 8])?, b.bias("out.bias", 8)?);
    let y = b.graph.linear(y, w, Some(bias), &dense)?;
    let y = b.graph.add(y, x)?;
    let (scale, shift) = (b.parameter("norm.scale", &[8], Fill::Scale)?, b.bias("norm.bias", 8)?);
    let y = b.graph.layer_norm(y, Some(scale), Some(shift), &LayerNormDescriptor::default())?;
    let w = b.weight("wide", &[16, 8])?;
    let z = b.graph.linear(y, w, None, &dense)?;
    let z = b.graph.activation(z, Activation::Gelu)?;
    let w = b.weight("narrow", &[8, 16])?;
    let z = b.graph.linear(z, w, None, &dense)?;
    let y = b.graph.add(z, y)?;
    b.graph.output("y", y)
}

/// Two inputs whose order matters, and outputs of several types, one of them indices.
fn two_inputs(b: &mut Build) -> Result<()> {
    let first = b.input("first", &[N, is(5), is(9)], Fill::Reach(3))?;
    let second = b.input("second", &[N, is(5), is(9)], Fill::Reach(3))?;
    let slope = b.parameter("slope", &[5, 1], Fill::Reach(2))?;
    let difference = b.graph.sub(first, second)?;
    let scaled = b.graph.mul(difference, slope)?;
    let y = b.graph.min(scaled, first)?;
    let winners = b.graph.argmax(y, &ArgmaxDescriptor { axis: Some(2), ..Default::default() })?;
    let largest = b.graph.reduce(y, &ReduceDescriptor::max(&[1]))?;
    for (name, value) in [("winners", winners), ("difference", difference), ("largest", largest)] {
        b.graph.output(name, value)?;
    }
    Ok(())
}

/// Several large values, each used up by a sum: built breadth first, so that another order needs fewer bytes.
fn wide(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(3), is(8), is(8)], Fill::Reach(2))?;
    let mut large = vec![];
    for name in ["a", "b", "c", "d"] {
        let y = same(b, name, x, [8, 3])?;
        large.push(b.graph.activation(y, Activation::Relu6)?);
    }
    let mut small = vec![];
    for value in large {
        small.push(b.graph.reduce(value, &ReduceDescriptor::sum(&[2, 3]))?);
    }
    let y = b.graph.concat(&small, 1)?;
    let w = b.weight("head.weight", &[5, 32])?;
    let y = b.graph.linear(y, w, None, &LinearDescriptor::default())?;
    b.graph.output("y", y)
}

/// One spatial axis and three, joined.
fn axes(b: &mut Build) -> Result<()> {
    let (sound, scan) = (b.input("sound", &[N, is(3), is(12)], Fill::Reach(2))?, b.input("scan", &[N, is(2), is(4), is(4), is(4)], Fill::Reach(2))?);
    let w = b.weight("sound.weight", &[6, 3, 3])?;
    let y = b.graph.conv1d(sound, w, None, &ConvDescriptor { padding: Padding::Same, ..Default::default() })?;
    let y = b.graph.relu(y)?;
    let y = b.graph.pool1d(y, &PoolDescriptor::window([3]))?;
    let heard = b.graph.flatten(y, 1)?;
    let w = b.weight("scan.weight", &[4, 2, 3, 3, 3])?;
    let y = b.graph.conv3d(scan, w, None, &ConvDescriptor { padding: Padding::Same, ..Default::default() })?;
    let y = b.graph.activation(y, Activation::Relu6)?;
    let y = b.graph.pool3d(y, &PoolDescriptor::window([2, 2, 2]))?;
    let seen = b.graph.flatten(y, 1)?;
    let y = b.graph.concat(&[heard, seen], 1)?;
    let (w, bias) = (b.weight("head.weight", &[5, 56])?, b.bias("head.bias", 5)?);
    let y = b.graph.linear(y, w, Some(bias), &LinearDescriptor::default())?;
    b.graph.output("y", y)
}

/// Channels last, and the way back to channels first before a view.
fn channels_last(b: &mut Build) -> Result<()> {
    let x = b.input_as("x", &[N, is(4), is(6), is(6)], Layout::ChannelsLast, Fill::Reach(2))?;
    let y = same(b, "first", x, [8, 4])?;
    let y = b.graph.activation(y, Activation::Relu6)?;
    let (w, bias) = (b.weight("second.weight", &[8, 1, 3, 3])?, b.bias("second.bias", 8)?);
    let y = b.graph.conv2d(y, w, Some(bias), &padded(8))?;
    b.graph.output("y", y)?;
    let largest = b.graph.global_pool(y, PoolKind::MAX)?;
    b.graph.output("largest", largest)?;
    let first = b.graph.to_layout(y, Layout::ChannelsFirst)?;
    let rows = b.graph.flatten(first, 1)?;
    let w = b.weight("head.weight", &[5, 288])?;
    let y = b.graph.linear(rows, w, None, &LinearDescriptor::default())?;
    b.graph.output("classes", y)
}

/// f16: a folded batch norm, an activation, a pool, a dense layer.
fn half(b: &mut Build) -> Result<()> {
    b.element = ElementType::F16;
    let x = b.input("x", &[N, is(4), is(8), is(8)], Fill::Reach(1))?;
    let y = same(b, "first", x, [8, 4])?;
    let y = norm(b, "first.norm", y, 8, true)?;
    let y = b.graph.activation(y, Activation::Relu6)?;
    let y = b.graph.pool2d(y, &PoolDescriptor::window([2, 2]))?;
    b.graph.output("features", y)?;
    let rows = b.graph.flatten(y, 1)?;
    let w = b.weight("head.weight", &[5, 128])?;
    let y = b.graph.linear(rows, w, None, &LinearDescriptor::default())?;
    b.graph.output("classes", y)
}

/// Nothing open: it is prepared as the session is made. A dense layer with a residual.
fn closed(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[is(2), is(12)], Fill::Reach(2))?;
    let (w, bias) = (b.weight("first.weight", &[12, 12])?, b.bias("first.bias", 12)?);
    let y = b.graph.linear(x, w, Some(bias), &LinearDescriptor::default())?;
    let y = b.graph.relu(y)?;
    let w = b.weight("second.weight", &[12, 12])?;
    let z = b.graph.linear(y, w, None, &LinearDescriptor::default())?;
    let y = b.graph.add(z, y)?;
    b.graph.output("y", y)
}

/// Filters and biases that the network computes, and a dense layer's that is an input: they are packed in every run.
fn computed(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(3), is(6), is(6)], Fill::Reach(2))?;
    let template = b.input("template", &[is(5), is(288)], Fill::Weight(1))?;
    let (w, scale) = (b.weight("first.weight", &[8, 3, 3, 3])?, b.parameter("scale", &[8, 1, 1, 1], Fill::Scale)?);
    let (bias, shift) = (b.bias("first.bias", 8)?, b.bias("shift", 8)?);
    let filter = b.graph.mul(w, scale)?;
    let bias = b.graph.add(bias, shift)?;
    let y = b.graph.conv2d(x, filter, Some(bias), &padded(1))?;
    let y = b.graph.activation(y, Activation::Relu6)?;
    // Of an output: where it lies is known in a run only.
    b.graph.output("bias", bias)?;
    let turned = b.graph.transpose(filter, &[1, 0, 2, 3])?;
    let z = b.graph.conv2d(y, turned, None, &padded(1))?;
    b.graph.output("z", z)?;
    let rows = b.graph.flatten(y, 1)?;
    let y = b.graph.linear(rows, template, None, &LinearDescriptor::default())?;
    b.graph.output("classes", y)
}

/// Filters that are a column times a row: of zeros and ones around a middle, padded by reflection, and of ones with a stride, behind which a batch norm
/// folds into the second pass. Their parameters are folded away, the head's is not.
fn blurs(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(2), is(150), is(150)], Fill::Reach(2))?;
    let product = |b: &mut Build, name: &str, of: fn(usize) -> f32| {
        let plane = ndarray::Array4::from_shape_fn((2, 1, 13, 13), |(_, _, i, j)| of(i) * of(j));
        b.graph.parameter(name, plane.view())
    };
    let w = product(b, "soft.weight", |i| if i % 3 == 0 { 1.0 } else { 0.0 })?;
    let around = Padding::uniform(6);
    let y = b.graph.conv2d(x, w, None, &ConvDescriptor { padding: around, padding_mode: PaddingMode::Reflect, groups: 2, ..Default::default() })?;
    let y = b.graph.activation(y, Activation::Relu6)?;
    b.graph.output("soft", y)?;
    let (w, bias) = (product(b, "box.weight", |_| 0.5)?, b.bias("box.bias", 2)?);
    let y = b.graph.conv2d(y, w, Some(bias), &ConvDescriptor { stride: [1, 2], groups: 2, ..Default::default() })?;
    let y = norm(b, "box.norm", y, 2, true)?;
    b.graph.output("box", y)?;
    let columns = b.graph.reduce(y, &ReduceDescriptor::max(&[3]))?;
    let rows = b.graph.flatten(columns, 1)?;
    let w = b.weight("head.weight", &[5, 276])?;
    let y = b.graph.linear(rows, w, None, &LinearDescriptor::default())?;
    b.graph.output("classes", y)
}

/// Branches whose dilations reach past a small plane, as an atrous pyramid has them, along both axes and along one; a depthwise window
/// over planes of one element, with a sum. Their filters lose the taps that read padding alone.
fn atrous(b: &mut Build) -> Result<()> {
    let x = b.input("x", &[N, is(4), is(5), is(7)], Fill::Reach(2))?;
    let mut branches = vec![];
    for (i, dilation) in [[2, 3], [4, 6], [9, 3], [12, 12]].into_iter().enumerate() {
        let (w, bias) = (b.weight(&format!("branch{i}.weight"), &[8, 2, 3, 3])?, b.bias(&format!("branch{i}.bias"), 8)?);
        let padding = Padding::Explicit { begin: dilation, end: dilation };
        branches.push(b.graph.conv2d(x, w, Some(bias), &ConvDescriptor { dilation, padding, groups: 2, ..Default::default() })?);
    }
    let y = b.graph.concat(&branches, 1)?;
    let y = b.graph.relu(y)?;
    b.graph.output("branches", y)?;
    let last = b.graph.reduce(y, &ReduceDescriptor { keepdims: true, ..ReduceDescriptor::max(&[2, 3]) })?;
    let w = b.weight("alone.weight", &[32, 1, 3, 3])?;
    let y = b.graph.conv2d(last, w, None, &ConvDescriptor { groups: 32, ..padded(1) })?;
    let y = b.graph.add(y, last)?;
    b.graph.output("alone", y)
}

/// Images of bytes to numbers, a filter over them, and bytes again, in color and in gray; one of them is read once more, and the bytes given are an output.
fn images(b: &mut Build) -> Result<()> {
    let size = [6, 10];
    let bytes = b.image_input("photo", N, ImageFormat::Rgba8, size)?;
    let descriptor = ImageDescriptor { scale: [255.0; 4], ..Default::default() };
    let x = b.graph.image_from_bytes(bytes, ImageFormat::Rgba8, size, &descriptor)?;
    let w = b.weight("filter", &[3, 1, 3, 3])?;
    let y = b.graph.conv2d(x, w, None, &padded(3))?;
    b.graph.output("filtered", y)?;
    let shown = b.graph.image_to_bytes(y, ImageFormat::Rgb8, &descriptor)?;
    b.graph.output("shown", shown)?;
    let again = b.graph.image_from_bytes(shown, ImageFormat::Rgb8, size, &descriptor)?;
    let gray = pointwise(b, "gray", again, [1, 3])?;
    let gray = b.graph.image_to_bytes(gray, ImageFormat::Gray8, &descriptor)?;
    b.graph.output("gray", gray)?;
    b.graph.output("photo", bytes)
}

/// f32 parameters that f16 layers read through casts, and f32 gradients by them.
fn mixed(b: &mut Build) -> Result<()> {
    let (x, target) = (b.input("x", &[is(2), is(3), is(6), is(6)], Fill::Reach(1))?, b.input("target", &[is(2), is(5)], Fill::Reach(1))?);
    let [filter, head] = [("first.weight", &[4, 3, 3, 3][..]), ("head.weight", &[5, 36])].map(|(name, extents)| b.weight(name, extents));
    let parameters = [filter?, head?];
    let mut halves = vec![];
    for value in [x, parameters[0], parameters[1]] {
        halves.push(b.graph.cast(value, ElementType::F16)?);
    }
    let y = b.graph.conv2d(halves[0], halves[1], None, &padded(1))?;
    let y = b.graph.relu(y)?;
    let y = b.graph.pool2d(y, &PoolDescriptor::window([2, 2]))?;
    let rows = b.graph.flatten(y, 1)?;
    let y = b.graph.linear(rows, halves[2], None, &LinearDescriptor::default())?;
    let y = b.graph.cast(y, ElementType::F32)?;
    let products = b.graph.mul(y, target)?;
    let loss = b.graph.reduce(products, &ReduceDescriptor::sum(&[]))?;
    b.graph = b.graph.differentiate(loss, &parameters)?;
    Ok(())
}
