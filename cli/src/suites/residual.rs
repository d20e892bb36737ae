//! Classifiers with residual branches: ResNet, MobileNetV2, EfficientNet, ConvNeXt. Parameters are named as torchvision names them.

use super::builder::{Builder, Made, depthwise, same};
use wgconv::Activation;
use wgconv::graph::ValueId;

/// The average of every channel, a dense layer, softmax.
fn classify(b: &mut Builder, name: &str, x: ValueId) -> Made {
    let x = b.global_average(x)?;
    let x = b.flatten(x)?;
    let x = b.dense(name, x, 1000, 1.0)?;
    b.softmax(x)
}

/// The factor of the last batch norm of each of `count` branches that are added one to the other: magnitudes stay bounded however deep the network is
/// (Radford and others, 2019).
fn branch(count: usize) -> f64 {
    (1.0 / count as f64).sqrt()
}

/// He and others, 2015: blocks of two 3 x 3 layers.
pub fn resnet18(b: &mut Builder) -> Made {
    resnet(b, &[2, 2, 2, 2], false)
}

/// He and others, 2015: bottlenecks, with the stride in the 3 x 3 layers, as frameworks ship it.
pub fn resnet50(b: &mut Builder) -> Made {
    resnet(b, &[3, 4, 6, 3], true)
}

fn resnet(b: &mut Builder, stages: &[usize], bottlenecks: bool) -> Made {
    let scale = branch(stages.iter().sum());
    let relu = Activation::Relu;
    let x = b.input("image", &[3, 224, 224])?;
    let x = b.conv_norm(["conv1", "bn1"], x, same(64, 7, 2), relu)?;
    let mut x = b.max_pool(x, 3, 2, 1)?;
    for (stage, &blocks) in stages.iter().enumerate() {
        let width = 64 << stage;
        let outputs = if bottlenecks { 4 * width } else { width };
        for block in 0..blocks {
            let name = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            let layers = match bottlenecks {
                true => vec![same(width, 1, 1), same(width, 3, stride), same(outputs, 1, 1)],
                false => vec![same(width, 3, stride), same(width, 3, 1)],
            };
            let (mut h, last) = (x, layers.len());
            for (i, square) in (1..).zip(layers) {
                h = b.conv(&name(&format!("conv{i}")), h, square)?;
                h = b.batch_norm(&name(&format!("bn{i}")), h, if i == last { scale } else { 1.0 })?;
                if i < last {
                    h = b.activation(h, relu)?;
                }
            }
            if b.channels(x)? != outputs || stride > 1 {
                let square = same(outputs, 1, stride).linear();
                x = b.conv_norm([&name("downsample.0"), &name("downsample.1")], x, square, Activation::None)?;
            }
            let sum = b.graph.add(h, x)?;
            x = b.activation(sum, relu)?;
        }
    }
    classify(b, "fc", x)
}

/// Sandler and others, 2018.
pub fn mobilenet_v2(b: &mut Builder) -> Made {
    let relu = Activation::Relu6;
    let x = b.input("image", &[3, 224, 224])?;
    let mut x = b.conv_norm(["features.0.0", "features.0.1"], x, same(32, 3, 2), relu)?;
    let mut position = 1;
    // Expansion, output channels, blocks, stride of the first.
    for (factor, outputs, blocks, stride) in
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    {
        for block in 0..blocks {
            let (channels, stride) = (b.channels(x)?, if block == 0 { stride } else { 1 });
            let name = |part: String| format!("features.{position}.conv.{part}");
            let (mut h, mut part) = (x, 0);
            if factor > 1 {
                h = b.conv_norm([&name("0.0".into()), &name("0.1".into())], h, same(factor * channels, 1, 1), relu)?;
                part = 1;
            }
            let dw = depthwise(factor * channels, 3, stride);
            h = b.conv_norm([&name(format!("{part}.0")), &name(format!("{part}.1"))], h, dw, relu)?;
            h = b.conv(&name(format!("{}", part + 1)), h, same(outputs, 1, 1).linear())?;
            h = b.batch_norm(&name(format!("{}", part + 2)), h, if block > 0 { branch(10) } else { 1.0 })?;
            x = if block > 0 { b.graph.add(h, x)? } else { h };
            position += 1;
        }
    }
    let x = b.conv_norm(["features.18.0", "features.18.1"], x, same(1280, 1, 1), relu)?;
    classify(b, "classifier.1", x)
}

/// Tan and Le, 2019: MobileNet's blocks with squeeze and excitation.
pub fn efficientnet_b0(b: &mut Builder) -> Made {
    let silu = Activation::Silu;
    let x = b.input("image", &[3, 224, 224])?;
    let mut x = b.conv_norm(["features.0.0", "features.0.1"], x, same(32, 3, 2), silu)?;
    // Expansion, window, output channels, blocks, stride of the first.
    let stages = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1)];
    for (stage, (factor, window, outputs, blocks, stride)) in (1..).zip(stages) {
        for block in 0..blocks {
            let (channels, stride) = (b.channels(x)?, if block == 0 { stride } else { 1 });
            let wide = factor * channels;
            let name = |part: String| format!("features.{stage}.{block}.block.{part}");
            let (mut h, mut part) = (x, 0);
            if factor > 1 {
                h = b.conv_norm([&name("0.0".into()), &name("0.1".into())], h, same(wide, 1, 1), silu)?;
                part = 1;
            }
            h = b.conv_norm([&name(format!("{part}.0")), &name(format!("{part}.1"))], h, depthwise(wide, window, stride), silu)?;
            // A factor for each channel, from the averages of all.
            let s = b.global_average(h)?;
            let s = b.conv(&name(format!("{}.fc1", part + 1)), s, same(channels / 4, 1, 1).biased())?;
            let s = b.activation(s, silu)?;
            let s = b.conv(&name(format!("{}.fc2", part + 1)), s, same(wide, 1, 1).biased().linear())?;
            let s = b.activation(s, Activation::Sigmoid)?;
            h = b.graph.mul(h, s)?;
            h = b.conv(&name(format!("{}.0", part + 2)), h, same(outputs, 1, 1))?;
            h = b.batch_norm(&name(format!("{}.1", part + 2)), h, if block > 0 { branch(9) } else { 1.0 })?;
            x = if block > 0 { b.graph.add(h, x)? } else { h };
        }
    }
    let x = b.conv_norm(["features.8.0", "features.8.1"], x, same(1280, 1, 1), silu)?;
    classify(b, "classifier.1", x)
}

/// Liu and others, 2022.
pub fn convnext_tiny(b: &mut Builder) -> Made {
    let (to_last, to_first) = ([0, 2, 3, 1], [0, 3, 1, 2]);
    // A layer norm over the channels.
    let norm = |b: &mut Builder, name: &str, x| {
        let last = b.graph.transpose(x, &to_last)?;
        let last = b.layer_norm(name, last, 1e-6)?;
        b.graph.transpose(last, &to_first)
    };
    let x = b.input("image", &[3, 224, 224])?;
    let x = b.conv("features.0.0", x, super::builder::Square { stride: 4, ..super::builder::valid(96, 4).biased().linear() })?;
    let mut x = norm(b, "features.0.1", x)?;
    let stages = [(96, 3), (192, 3), (384, 9), (768, 3)];
    for (stage, (channels, blocks)) in stages.into_iter().enumerate() {
        if stage > 0 {
            let name = |part: usize| format!("features.{}.{part}", 2 * stage);
            x = norm(b, &name(0), x)?;
            x = b.conv(&name(1), x, super::builder::Square { stride: 2, ..super::builder::valid(channels, 2).biased().linear() })?;
        }
        for block in 0..blocks {
            let name = |part: &str| format!("features.{}.{block}.{part}", 2 * stage + 1);
            let h = b.conv(&name("block.0"), x, depthwise(channels, 7, 1).biased().linear())?;
            let h = b.graph.transpose(h, &to_last)?;
            let h = b.layer_norm(&name("block.2"), h, 1e-6)?;
            let h = b.dense(&name("block.3"), h, 4 * channels, 1.0)?;
            let h = b.activation(h, Activation::Gelu)?;
            let h = b.dense(&name("block.5"), h, channels, 2.0)?;
            let h = b.graph.transpose(h, &to_first)?;
            let scale = b.parameter(&name("layer_scale"), &[channels, 1, 1], branch(18), 0.01)?;
            let h = b.graph.mul(h, scale)?;
            x = b.graph.add(h, x)?;
        }
    }
    let x = b.global_average(x)?;
    let x = norm(b, "classifier.0", x)?;
    let x = b.flatten(x)?;
    let x = b.dense("classifier.2", x, 1000, 1.0)?;
    b.softmax(x)
}
