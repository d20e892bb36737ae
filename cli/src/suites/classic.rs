//! Networks of plain layers: LeNet-5, VGG-16, U-Net in two and three dimensions, and the list of one layer of every kind.

use super::builder::{Builder, Made, Square, depthwise, same, valid};
use wgconv::Activation;
use wgconv::elementwise::BinaryOp;
use wgconv::matmul::MatMulDescriptor;
use wgconv::pool::{PoolDescriptor, PoolKind};
use wgconv::softmax::SoftmaxDescriptor;

/// One of every kind, small enough for a software driver; no network.
pub fn quick(b: &mut Builder) -> wgconv::Result<()> {
    let convolutions = [
        (3, 224, same(64, 7, 2)),
        (64, 56, same(64, 3, 1)),
        (128, 28, same(128, 3, 1)),
        (128, 56, same(256, 3, 2)),
        (512, 7, same(512, 3, 1)),
        (256, 56, same(64, 1, 1)),
        (512, 14, same(2048, 1, 1)),
        (96, 112, depthwise(96, 3, 1)),
        (144, 56, depthwise(144, 3, 2)),
        (32, 112, same(32, 5, 1)),
    ];
    let mut outputs = vec![];
    for (i, (channels, extent, square)) in convolutions.into_iter().enumerate() {
        let x = b.fixed(&format!("image{i}"), &[1, channels, extent, extent])?;
        let y = b.conv(&format!("conv{i}"), x, square.biased())?;
        outputs.push(b.activation(y, Activation::Relu)?);
    }
    let x = b.fixed("pool0", &[1, 64, 112, 112])?;
    outputs.push(b.max_pool(x, 3, 2, 1)?);
    let x = b.fixed("pool1", &[1, 128, 56, 56])?;
    outputs.push(b.pool(PoolKind::Average { count_include_pad: false }, x, 2, 2, 0)?);
    let x = b.fixed("pool2", &[1, 2048, 7, 7])?;
    outputs.push(b.global_average(x)?);
    let x = b.fixed("rows", &[1, 2048])?;
    outputs.push(b.dense("dense", x, 1000, 1.0)?);
    let (left, right) = (b.fixed("left", &[512, 512])?, b.fixed("right", &[512, 512])?);
    outputs.push(b.graph.matmul(left, right, &MatMulDescriptor { accuracy: b.accuracy() })?);
    let x = b.fixed("x", &[1, 64, 112, 112])?;
    outputs.push(b.graph.relu(x)?);
    let (left, right) = (b.fixed("one", &[1, 256, 56, 56])?, b.fixed("other", &[1, 256, 56, 56])?);
    outputs.push(b.graph.binary(left, right, BinaryOp::Add)?);
    let x = b.fixed("logits", &[64, 1000])?;
    outputs.push(b.graph.softmax(x, &SoftmaxDescriptor { axis: 1, ..Default::default() })?);
    let x = b.fixed("features", &[1, 64, 112, 112])?;
    outputs.push(b.batch_norm("batch_norm", x, 1.0)?);
    let x = b.fixed("tokens", &[1, 196, 768])?;
    outputs.push(b.layer_norm("layer_norm", x, 1e-5)?);
    for (i, value) in outputs.into_iter().enumerate() {
        b.graph.output(&format!("y{i}"), value)?;
    }
    Ok(())
}

/// LeCun and others, 1998, with plain average pooling and softmax, as it is taught today.
pub fn lenet5(b: &mut Builder) -> Made {
    let average = PoolKind::Average { count_include_pad: false };
    let tanh = |filters| valid(filters, 5).biased().linear();
    let mut x = b.input("image", &[1, 32, 32])?;
    for (name, filters) in [("conv1", 6), ("conv2", 16), ("conv3", 120)] {
        let y = b.conv(name, x, tanh(filters))?;
        x = b.activation(y, Activation::Tanh)?;
        if filters < 120 {
            x = b.pool(average, x, 2, 2, 0)?;
        }
    }
    let x = b.flatten(x)?;
    let x = b.dense("fc1", x, 84, 1.0)?;
    let x = b.activation(x, Activation::Tanh)?;
    let x = b.dense("fc2", x, 10, 1.0)?;
    b.softmax(x)
}

/// Simonyan and Zisserman, 2014, configuration D. Parameters are named as torchvision names them.
pub fn vgg16(b: &mut Builder) -> Made {
    let mut x = b.input("image", &[3, 224, 224])?;
    let mut position = 0;
    for (filters, layers) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        for _ in 0..layers {
            let y = b.conv(&format!("features.{position}"), x, same(filters, 3, 1).biased())?;
            x = b.activation(y, Activation::Relu)?;
            position += 2;
        }
        x = b.max_pool(x, 2, 2, 0)?;
        position += 1;
    }
    let mut x = b.flatten(x)?;
    for (name, outputs, gain) in [("classifier.0", 4096, 2.0), ("classifier.3", 4096, 2.0), ("classifier.6", 1000, 1.0)] {
        x = b.dense(name, x, outputs, gain)?;
        if outputs == 4096 {
            x = b.activation(x, Activation::Relu)?;
            x = b.graph.dropout(x, 0.5)?;
        }
    }
    b.softmax(x)
}

/// Two convolutions, a rectifier behind each.
fn pair(b: &mut Builder, name: &str, mut x: wgconv::graph::ValueId, square: Square) -> Made {
    for i in 0..2 {
        let y = b.conv(&format!("{name}.{i}"), x, square.biased())?;
        x = b.activation(y, Activation::Relu)?;
    }
    Ok(x)
}

/// Ronneberger and others, 2015: the contracting path, the expanding path with its crops and concatenations, the last 1 x 1.
pub fn unet(b: &mut Builder) -> Made {
    let mut x = b.input("image", &[1, 572, 572])?;
    let mut skipped = Vec::new();
    for (level, filters) in [64, 128, 256, 512, 1024].into_iter().enumerate() {
        x = pair(b, &format!("down{level}"), x, valid(filters, 3))?;
        if filters < 1024 {
            skipped.push(x);
            x = b.max_pool(x, 2, 2, 0)?;
        }
    }
    while let Some(skip) = skipped.pop() {
        let (level, filters) = (skipped.len(), b.channels(skip)?);
        let up = b.up(&format!("up{level}.transposed"), x, filters)?;
        let (from, to) = (b.extent(skip, 2)?, b.extent(up, 2)?);
        let first = (from - to) / 2;
        let bounds = [first, first + to].map(|position| vec![position as isize; 2]);
        let [starts, ends] = bounds;
        let cropped = b.graph.slice(skip, &wgconv::transform::SliceDescriptor { starts, ends, axes: vec![2, 3], steps: vec![] })?;
        x = b.graph.concat(&[cropped, up], 1)?;
        x = pair(b, &format!("up{level}"), x, valid(filters, 3))?;
    }
    b.conv("last", x, valid(2, 1).biased().linear())
}

/// Cicek and others, 2016, whose 19,069,955 parameters it has: three channels in, three classes out. On 32 x 32 x 32 voxels, padded to as many
/// positions as each input has.
pub fn unet3d(b: &mut Builder) -> Made {
    let mut x = b.input("volume", &[3, 32, 32, 32])?;
    let mut skipped = Vec::new();
    let layer = |b: &mut Builder, name: String, x, filters| {
        let y = b.conv3d(&name, x, filters, 3)?;
        let y = b.batch_norm(&format!("{name}.norm"), y, 1.0)?;
        b.activation(y, Activation::Relu)
    };
    for (level, filters) in [32, 64, 128, 256].into_iter().enumerate() {
        x = layer(b, format!("down{level}.0"), x, filters)?;
        x = layer(b, format!("down{level}.1"), x, 2 * filters)?;
        if level < 3 {
            skipped.push(x);
            x = b.graph.pool3d(x, &PoolDescriptor::window([2; 3]))?;
        }
    }
    while let Some(skip) = skipped.pop() {
        let (level, filters, channels) = (skipped.len(), b.channels(skip)?, b.channels(x)?);
        let up = b.up3d(&format!("up{level}.transposed"), x, channels)?;
        x = b.graph.concat(&[skip, up], 1)?;
        x = layer(b, format!("up{level}.0"), x, filters)?;
        x = layer(b, format!("up{level}.1"), x, filters)?;
    }
    b.conv3d("last", x, 3, 1)
}
