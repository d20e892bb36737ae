//! Well-known networks, op by op: convolutions with the activations that frameworks fuse, batch normalisation folded into them,
//! pools, dense layers, softmax.

use super::network::{Made, Network, Square, same, valid};
use serde_json::json;
use wgconv::Activation;

/// One of every kind, small enough for a software driver; no network.
pub fn quick(network: &mut Network) -> Result<(), String> {
    let convolutions = [
        (3, 224, same(64, 7, 2)),
        (64, 56, same(64, 3, 1)),
        (128, 28, same(128, 3, 1)),
        (128, 56, same(256, 3, 2)),
        (512, 7, same(512, 3, 1)),
        (256, 56, same(64, 1, 1)),
        (512, 14, same(2048, 1, 1)),
        (96, 112, Square { depthwise: true, ..same(96, 3, 1) }),
        (144, 56, Square { depthwise: true, ..same(144, 3, 2) }),
        (32, 112, same(32, 5, 1)),
    ];
    for (channels, extent, square) in convolutions {
        let x = network.image(channels, extent);
        network.conv(x, square)?;
    }
    let x = network.image(64, 112);
    network.pool("max_pool", x, 3, 2, 1)?;
    let x = network.image(128, 56);
    network.pool("average_pool", x, 2, 2, 0)?;
    let x = network.image(2048, 7);
    network.global_average(x)?;
    let x = network.given(&[2048]);
    network.dense(x, 1000, Activation::None)?;
    let mut alone = |name: &str, op, attrs, tensors: &[(&str, &[usize])]| network.call(name.into(), op, &attrs, &[], tensors, 1.0);
    alone("matmul_512_512_512", "matmul", json!({}), &[("a", &[512, 512]), ("b", &[512, 512])])?;
    alone("relu_64_112", "relu", json!({}), &[("x", &[1, 64, 112, 112])])?;
    alone("add_256_56", "add", json!({}), &[("a", &[1, 256, 56, 56]), ("b", &[1, 256, 56, 56])])?;
    alone("softmax_64x1000", "softmax", json!({"axis": 1}), &[("x", &[64, 1000])])?;
    let c: &[usize] = &[64];
    let batch_norm: &[(&str, &[usize])] = &[("x", &[1, 64, 112, 112]), ("scale", c), ("bias", c), ("mean", c), ("var", c)];
    alone("batchnorm_64_112", "batch_norm", json!({"epsilon": 1e-5, "training_mode": 0}), batch_norm)?;
    let layer_norm: &[(&str, &[usize])] = &[("x", &[1, 196, 768]), ("scale", &[768]), ("bias", &[768])];
    alone("layernorm_196x768", "layer_norm", json!({"axis": -1, "epsilon": 1e-5}), layer_norm)?;
    Ok(())
}

fn linear(square: Square) -> Square {
    Square { activation: Activation::None, ..square }
}

/// The average of every channel, a dense layer, softmax.
fn classify(network: &mut Network, x: super::ValueId, classes: usize) -> Made {
    let x = network.global_average(x)?;
    let x = network.flatten(x);
    let x = network.dense(x, classes, Activation::None)?;
    network.softmax(x)
}

/// He and others, 2015, with the stride in the 3 x 3 layers, as frameworks ship it.
pub fn resnet50(network: &mut Network) -> Made {
    let x = network.image(3, 224);
    let x = network.conv(x, same(64, 7, 2))?;
    let mut x = network.pool("max_pool", x, 3, 2, 1)?;
    // Stage: width of the bottleneck, blocks, stride of the first.
    for (width, blocks, stride) in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)] {
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            let h = network.conv(x, same(width, 1, 1))?;
            let h = network.conv(h, same(width, 3, stride))?;
            let shortcut = if block == 0 { network.conv(x, linear(same(4 * width, 1, stride)))? } else { x };
            x = network.conv_and_add(h, same(4 * width, 1, 1), Some(shortcut))?;
        }
    }
    classify(network, x, 1000)
}

/// Sandler and others, 2018.
pub fn mobilenet_v2(network: &mut Network) -> Made {
    let relu6 = |square: Square| Square { activation: Activation::Relu6, ..square };
    let x = network.image(3, 224);
    let x = network.conv(x, relu6(same(32, 3, 2)))?;
    let x = network.depthwise(x, 1, Activation::Relu6)?;
    let mut x = network.conv(x, linear(same(16, 1, 1)))?;
    // Output channels, blocks, stride of the first; expanded channels are six times the input's.
    for (output, blocks, stride) in [(24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)] {
        for block in 0..blocks {
            let (channels, _) = network.square(x);
            let h = network.conv(x, relu6(same(6 * channels, 1, 1)))?;
            let h = network.depthwise(h, if block == 0 { stride } else { 1 }, Activation::Relu6)?;
            x = network.conv_and_add(h, linear(same(output, 1, 1)), (block > 0).then_some(x))?;
        }
    }
    let x = network.conv(x, relu6(same(1280, 1, 1)))?;
    classify(network, x, 1000)
}

/// Simonyan and Zisserman, 2014, configuration D.
pub fn vgg16(network: &mut Network) -> Made {
    let mut x = network.image(3, 224);
    for (filters, layers) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        for _ in 0..layers {
            x = network.conv(x, same(filters, 3, 1))?;
        }
        x = network.pool("max_pool", x, 2, 2, 0)?;
    }
    let x = network.flatten(x);
    let x = network.dense(x, 4096, Activation::Relu)?;
    let x = network.dense(x, 4096, Activation::Relu)?;
    let x = network.dense(x, 1000, Activation::None)?;
    network.softmax(x)
}

/// Ronneberger and others, 2015: the contracting path, the expanding path with its crops and concatenations, the last 1 x 1.
pub fn unet(network: &mut Network) -> Made {
    let mut x = network.image(1, 572);
    let mut skipped = Vec::new();
    for filters in [64, 128, 256, 512, 1024] {
        x = network.conv(x, valid(filters, 3))?;
        x = network.conv(x, valid(filters, 3))?;
        if filters < 1024 {
            skipped.push(x);
            x = network.pool("max_pool", x, 2, 2, 0)?;
        }
    }
    while let Some(skip) = skipped.pop() {
        let (filters, _) = network.square(skip);
        let up = network.up(x, filters)?;
        let cropped = network.crop(skip, up)?;
        x = network.concat(cropped, up)?;
        x = network.conv(x, valid(filters, 3))?;
        x = network.conv(x, valid(filters, 3))?;
    }
    network.conv(x, linear(valid(2, 1)))
}

/// LeCun and others, 1998, with plain average pooling and softmax, as it is taught today.
pub fn lenet5(network: &mut Network) -> Made {
    let tanh = |filters| Square { activation: Activation::Tanh, ..valid(filters, 5) };
    let x = network.image(1, 32);
    let x = network.conv(x, tanh(6))?;
    let x = network.pool("average_pool", x, 2, 2, 0)?;
    let x = network.conv(x, tanh(16))?;
    let x = network.pool("average_pool", x, 2, 2, 0)?;
    let x = network.conv(x, tanh(120))?;
    let x = network.flatten(x);
    let x = network.dense(x, 84, Activation::Tanh)?;
    let x = network.dense(x, 10, Activation::None)?;
    network.softmax(x)
}
