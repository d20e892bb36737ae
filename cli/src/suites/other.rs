//! Networks that do not classify pictures: a detector, an upscaler, the front end of a speech model.

use super::builder::{Builder, Made, same, valid};
use wgconv::Activation;
use wgconv::conv::Conv2dDescriptor;
use wgconv::graph::ValueId;
use wgconv::norm::GroupNormDescriptor;
use wgconv::softmax::SoftmaxDescriptor;
use wgconv::transform::{CoordinateMode, NearestMode, ResizeDescriptor, ResizeMode};

/// Convolution, batch norm, SiLU, by the names of Ultralytics.
fn block(b: &mut Builder, name: &str, x: ValueId, filters: usize, size: usize, stride: usize) -> Made {
    b.conv_norm([&format!("{name}.conv"), &format!("{name}.bn")], x, same(filters, size, stride), Activation::Silu)
}

/// A cross-stage block: half of the channels goes through `blocks` bottlenecks, and all that came on the way is joined.
fn c2f(b: &mut Builder, name: &str, x: ValueId, outputs: usize, blocks: usize, adds: bool) -> Made {
    let half = outputs / 2;
    let y = block(b, &format!("{name}.cv1"), x, outputs, 1, 1)?;
    let mut parts = vec![b.slice(y, 1, 0, half)?, b.slice(y, 1, half, half)?];
    for i in 0..blocks {
        let x = parts[parts.len() - 1];
        let h = block(b, &format!("{name}.m.{i}.cv1"), x, half, 3, 1)?;
        let h = block(b, &format!("{name}.m.{i}.cv2"), h, half, 3, 1)?;
        parts.push(if adds { b.graph.add(x, h)? } else { h });
    }
    let joined = b.graph.concat(&parts, 1)?;
    block(b, &format!("{name}.cv2"), joined, outputs, 1, 1)
}

/// Twice as many positions along each axis, each the nearest.
fn twice(b: &mut Builder, x: ValueId) -> Made {
    let sizes = vec![2 * b.extent(x, 2)?, 2 * b.extent(x, 3)?];
    let (mode, coordinates) = (ResizeMode::Nearest(NearestMode::Floor), CoordinateMode::Asymmetric);
    b.graph.resize(x, &ResizeDescriptor { sizes, mode, coordinates, scales: None })
}

/// The nano model of Jocher and others, 2023, on 640 x 640: boxes and class scores of 8,400 positions.
pub fn yolov8n(b: &mut Builder) -> Made {
    let x = b.input("image", &[3, 640, 640])?;
    let x = block(b, "model.0", x, 16, 3, 2)?;
    let x = block(b, "model.1", x, 32, 3, 2)?;
    let x = c2f(b, "model.2", x, 32, 1, true)?;
    let x = block(b, "model.3", x, 64, 3, 2)?;
    let p3 = c2f(b, "model.4", x, 64, 2, true)?;
    let x = block(b, "model.5", p3, 128, 3, 2)?;
    let p4 = c2f(b, "model.6", x, 128, 2, true)?;
    let x = block(b, "model.7", p4, 256, 3, 2)?;
    let x = c2f(b, "model.8", x, 256, 1, true)?;
    // Pools of 5 one behind the other, all of them joined.
    let mut pools = vec![block(b, "model.9.cv1", x, 128, 1, 1)?];
    for i in 0..3 {
        pools.push(b.max_pool(pools[i], 5, 1, 2)?);
    }
    let joined = b.graph.concat(&pools, 1)?;
    let p5 = block(b, "model.9.cv2", joined, 256, 1, 1)?;
    let up = twice(b, p5)?;
    let joined = b.graph.concat(&[up, p4], 1)?;
    let n4 = c2f(b, "model.12", joined, 128, 1, false)?;
    let up = twice(b, n4)?;
    let joined = b.graph.concat(&[up, p3], 1)?;
    let d3 = c2f(b, "model.15", joined, 64, 1, false)?;
    let down = block(b, "model.16", d3, 64, 3, 2)?;
    let joined = b.graph.concat(&[down, n4], 1)?;
    let d4 = c2f(b, "model.18", joined, 128, 1, false)?;
    let down = block(b, "model.19", d4, 128, 3, 2)?;
    let joined = b.graph.concat(&[down, p5], 1)?;
    let d5 = c2f(b, "model.21", joined, 256, 1, false)?;
    detect(b, &[d3, d4, d5])
}

/// Sides of a box have 16 bins each.
const BINS: usize = 16;
const CLASSES: usize = 80;

fn detect(b: &mut Builder, levels: &[ValueId]) -> Made {
    let (mut boxes, mut scores, mut anchors, mut strides) = (vec![], vec![], [vec![], vec![]], vec![]);
    for (i, &x) in levels.iter().enumerate() {
        let side = b.extent(x, 2)?;
        let mut branch = |part: &str, filters: usize, outputs: usize| {
            let name = |layer: usize| format!("model.22.{part}.{i}.{layer}");
            let h = block(b, &name(0), x, filters, 3, 1)?;
            let h = block(b, &name(1), h, filters, 3, 1)?;
            let h = b.conv(&name(2), h, valid(outputs, 1).biased().linear())?;
            b.graph.reshape(h, &[0, outputs as isize, -1])
        };
        boxes.push(branch("cv2", 64, 4 * BINS)?);
        scores.push(branch("cv3", 80, CLASSES)?);
        for row in 0..side {
            for column in 0..side {
                anchors[0].push(column as f32 + 0.5);
                anchors[1].push(row as f32 + 0.5);
                strides.push((640 / side) as f32);
            }
        }
    }
    let count = strides.len();
    let boxes = b.graph.concat(&boxes, 2)?;
    let scores = b.graph.concat(&scores, 2)?;
    // The mean of each side's bins, by a convolution with 0, 1 .. 15.
    let bins = b.graph.reshape(boxes, &[0, 4, BINS as isize, -1])?;
    let bins = b.graph.transpose(bins, &[0, 2, 1, 3])?;
    let shares = b.graph.softmax(bins, &SoftmaxDescriptor { axis: 1, ..Default::default() })?;
    let filter = b.given("model.22.dfl.conv.weight", &[1, BINS, 1, 1], (0..BINS).map(|i| i as f32).collect())?;
    let sides = b.graph.conv2d(shares, filter, None, &Conv2dDescriptor { accuracy: b.accuracy(), ..Default::default() })?;
    let sides = b.graph.reshape(sides, &[0, 4, -1])?;
    // Distances from the position to the sides become a center and a size.
    let [before, after] = [b.slice(sides, 1, 0, 2)?, b.slice(sides, 1, 2, 2)?];
    let [mut x, y] = anchors;
    x.extend(y);
    let constant = |b: &mut Builder, name: &str, extents: Vec<usize>, numbers: Vec<f32>| {
        let array = ndarray::ArrayD::from_shape_vec(extents, numbers).map_err(|e| wgconv::Error::invalid(name, "another count", e.to_string()))?;
        b.graph.constant(name, array.view())
    };
    let positions = constant(b, "anchors", vec![1, 2, count], x)?;
    let strides = constant(b, "strides", vec![1, 1, count], strides)?;
    let half = constant(b, "half", vec![1, 1, 1], vec![0.5])?;
    let first = b.graph.sub(positions, before)?;
    let last = b.graph.add(positions, after)?;
    let sum = b.graph.add(first, last)?;
    let center = b.graph.mul(sum, half)?;
    let size = b.graph.sub(last, first)?;
    let boxes = b.graph.concat(&[center, size], 1)?;
    let boxes = b.graph.mul(boxes, strides)?;
    let scores = b.activation(scores, Activation::Sigmoid)?;
    b.graph.concat(&[boxes, scores], 1)
}

/// Wang and others, 2018 and 2021: six blocks of residual dense blocks, then twice to twice as many positions; 64 x 64 to 256 x 256.
pub fn esrgan_x4(b: &mut Builder) -> Made {
    let leaky = Activation::LeakyRelu { alpha: 0.2 };
    let image = b.input("image", &[3, 64, 64])?;
    let first = b.conv("conv_first", image, same(64, 3, 1).biased().linear())?;
    let fifth = b.graph.constant("fifth", ndarray::arr1(&[0.2f32]).view())?;
    let mut x = first;
    for block in 0..6 {
        let start = x;
        for dense in 1..4 {
            let name = |layer: usize| format!("body.{block}.rdb{dense}.conv{layer}");
            let mut parts = vec![x];
            for layer in 1..5 {
                let joined = if parts.len() == 1 { x } else { b.graph.concat(&parts, 1)? };
                let h = b.conv(&name(layer), joined, same(32, 3, 1).biased())?;
                parts.push(b.activation(h, leaky)?);
            }
            let joined = b.graph.concat(&parts, 1)?;
            let h = b.conv(&name(5), joined, same(64, 3, 1).biased().linear())?;
            let h = b.graph.mul(h, fifth)?;
            x = b.graph.add(h, x)?;
        }
        let h = b.graph.mul(x, fifth)?;
        x = b.graph.add(h, start)?;
    }
    let h = b.conv("conv_body", x, same(64, 3, 1).biased().linear())?;
    let mut x = b.graph.add(first, h)?;
    for name in ["conv_up1", "conv_up2"] {
        let up = twice(b, x)?;
        let h = b.conv(name, up, same(64, 3, 1).biased())?;
        x = b.activation(h, leaky)?;
    }
    let h = b.conv("conv_hr", x, same(64, 3, 1).biased())?;
    let h = b.activation(h, leaky)?;
    b.conv("conv_last", h, same(3, 3, 1).biased().linear())
}

/// Baevski and others, 2020: seven convolutions over one second of sound at 16 kHz, and the projection of their result.
pub fn wav2vec2(b: &mut Builder) -> Made {
    let mut x = b.input("sound", &[1, 16_000])?;
    for (i, (size, stride)) in [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)].into_iter().enumerate() {
        let name = format!("feature_extractor.conv_layers.{i}");
        x = b.conv1d(&format!("{name}.conv"), x, 512, size, stride)?;
        if i == 0 {
            let scale = b.parameter(&format!("{name}.layer_norm.weight"), &[512], 1.0, 0.25)?;
            let bias = b.parameter(&format!("{name}.layer_norm.bias"), &[512], 0.0, 0.1)?;
            x = b.graph.group_norm(x, Some(scale), Some(bias), &GroupNormDescriptor { groups: 512, ..Default::default() })?;
        }
        x = b.activation(x, Activation::Gelu)?;
    }
    let x = b.graph.transpose(x, &[0, 2, 1])?;
    let x = b.layer_norm("feature_projection.layer_norm", x, 1e-5)?;
    b.dense("feature_projection.projection", x, 768, 1.0)
}
