//! Well-known networks, layer by layer: convolutions with the activations that frameworks fuse, batch normalisation folded into them,
//! pools, dense layers, softmax.

use super::{Layer, Work};
use crate::ops::{self, Given, Inputs};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wgconv::conv::{Accuracy, Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::{Activation, ElementType, Layout, Padding};

/// Layers collected so far.
pub struct Network {
    pub layers: Vec<Layer>,
    accuracy: Accuracy,
}

/// A square 2-D convolution: input C x extent x extent, K filters of size x size.
#[derive(Clone, Copy)]
struct Square {
    channels: usize,
    extent: usize,
    filters: usize,
    size: usize,
    stride: usize,
    groups: usize,
    padding: Padding<2>,
    activation: Activation,
    residual: bool,
}

fn same(channels: usize, extent: usize, filters: usize, size: usize, stride: usize) -> Square {
    let padding = Padding::uniform(size / 2);
    Square { channels, extent, filters, size, stride, groups: 1, padding, activation: Activation::Relu, residual: false }
}

fn depthwise(channels: usize, extent: usize, stride: usize) -> Square {
    Square { groups: channels, ..same(channels, extent, channels, 3, stride) }
}

fn valid(channels: usize, extent: usize, filters: usize, size: usize) -> Square {
    Square { padding: Padding::Valid, ..same(channels, extent, filters, size, 1) }
}

type Done = Result<(), String>;

impl Network {
    pub fn new(accuracy: Accuracy) -> Self {
        Self { layers: Vec::new(), accuracy }
    }

    fn push(&mut self, name: String, work: Work) {
        if !self.layers.iter().any(|l| l.name == name) {
            self.layers.push(Layer { name, work });
        }
    }

    fn conv(&mut self, square: Square) -> Done {
        let Square { channels, extent, filters, size, stride, groups, padding, activation, residual } = square;
        let kind = if groups > 1 { "dw" } else { "" };
        let step = if stride > 1 { format!("_s{stride}") } else { String::new() };
        let suffix = match (residual, activation) {
            (true, _) => "_add",
            (false, Activation::None) => "_linear",
            _ => "",
        };
        let name = format!("{kind}{size}x{size}_{channels}_{filters}_{extent}{step}{suffix}");
        let descriptor = Conv2dDescriptor { stride: [stride; 2], padding, groups, activation, accuracy: self.accuracy, ..Default::default() };
        let (x, filter, bias) = ([1, channels, extent, extent], [filters, channels / groups, size, size], [filters]);
        let problem = ConvProblem::forward(&descriptor, &ConvInputs::new(&x, &filter, Some(&bias))).map_err(|e| e.to_string())?;
        self.push(name, Work::Conv(Box::new(ConvProblem { has_residual: residual, ..problem })));
        Ok(())
    }

    /// Any op by its name in the vocabulary of test vectors.
    fn op(&mut self, name: String, op: &str, attrs: &Value, tensors: &[(&str, &[usize])]) -> Done {
        let given = |&(role, shape): &(&str, &[usize])| (role.to_string(), Given { shape: shape.to_vec(), element: ElementType::F32 });
        let given: BTreeMap<String, Given> = tensors.iter().map(given).collect();
        let inputs = Inputs { given: &given, layout: Layout::ChannelsFirst, accuracy: self.accuracy, extras: false };
        let call = ops::build(op, attrs, &inputs).map_err(|why| format!("{name}: {why}"))?;
        let op = call.single().ok_or_else(|| format!("{name}: {op} is several ops"))?;
        self.push(name, Work::Other(op));
        Ok(())
    }

    fn pool(&mut self, op: &str, channels: usize, extent: usize, size: usize, stride: usize, pad: usize) -> Done {
        let attrs = json!({"kernel_shape": [size, size], "strides": [stride, stride], "pads": [pad, pad, pad, pad]});
        let name = format!("{}{size}x{size}_{channels}_{extent}_s{stride}", if op == "max_pool" { "maxpool" } else { "avgpool" });
        self.op(name, op, &attrs, &[("x", &[1, channels, extent, extent])])
    }

    fn global_average(&mut self, channels: usize, extent: usize) -> Done {
        self.op(format!("global_avgpool_{channels}_{extent}"), "global_average_pool", &json!({}), &[("x", &[1, channels, extent, extent])])
    }

    fn dense(&mut self, inputs: usize, outputs: usize, activation: &str) -> Done {
        let attrs = json!({"activation": {"type": activation}});
        self.op(format!("dense_{inputs}_{outputs}"), "linear", &attrs, &[("x", &[1, inputs]), ("w", &[outputs, inputs]), ("b", &[outputs])])
    }

    fn softmax(&mut self, classes: usize) -> Done {
        self.op(format!("softmax_{classes}"), "softmax", &json!({"axis": 1}), &[("x", &[1, classes])])
    }
}

/// One of every kind, small enough for a software driver.
pub fn quick(network: &mut Network) -> Done {
    network.conv(same(3, 224, 64, 7, 2))?;
    network.conv(same(64, 56, 64, 3, 1))?;
    network.conv(same(128, 28, 128, 3, 1))?;
    network.conv(same(128, 56, 256, 3, 2))?;
    network.conv(same(512, 7, 512, 3, 1))?;
    network.conv(same(256, 56, 64, 1, 1))?;
    network.conv(same(512, 14, 2048, 1, 1))?;
    network.conv(depthwise(96, 112, 1))?;
    network.conv(depthwise(144, 56, 2))?;
    network.conv(same(32, 112, 32, 5, 1))?;
    network.pool("max_pool", 64, 112, 3, 2, 1)?;
    network.pool("average_pool", 128, 56, 2, 2, 0)?;
    network.global_average(2048, 7)?;
    network.dense(2048, 1000, "none")?;
    network.op("matmul_512_512_512".into(), "matmul", &json!({}), &[("a", &[512, 512]), ("b", &[512, 512])])?;
    network.op("relu_64_112".into(), "relu", &json!({}), &[("x", &[1, 64, 112, 112])])?;
    network.op("add_256_56".into(), "add", &json!({}), &[("a", &[1, 256, 56, 56]), ("b", &[1, 256, 56, 56])])?;
    network.op("softmax_64x1000".into(), "softmax", &json!({"axis": 1}), &[("x", &[64, 1000])])?;
    let per_channel: &[usize] = &[64];
    network.op(
        "batchnorm_64_112".into(),
        "batch_norm",
        &json!({"epsilon": 1e-5, "training_mode": 0}),
        &[("x", &[1, 64, 112, 112]), ("scale", per_channel), ("bias", per_channel), ("mean", per_channel), ("var", per_channel)],
    )?;
    let features: &[usize] = &[768];
    let layer_norm: &[(&str, &[usize])] = &[("x", &[1, 196, 768]), ("scale", features), ("bias", features)];
    network.op("layernorm_196x768".into(), "layer_norm", &json!({"axis": -1, "epsilon": 1e-5}), layer_norm)
}

/// He and others, 2015, with the stride in the 3 x 3 layers, as frameworks ship it.
pub fn resnet50(network: &mut Network) -> Done {
    network.conv(same(3, 224, 64, 7, 2))?;
    network.pool("max_pool", 64, 112, 3, 2, 1)?;
    // Stage: input channels, width of the bottleneck, extent after the stage's stride.
    for (input, width, extent, stride) in [(64, 64, 56, 1), (256, 128, 28, 2), (512, 256, 14, 2), (1024, 512, 7, 2)] {
        network.conv(same(input, extent * stride, width, 1, 1))?; // first reduction
        network.conv(same(width, extent * stride, width, 3, stride))?;
        network.conv(Square { activation: Activation::None, ..same(input, extent * stride, 4 * width, 1, stride) })?; // shortcut
        network.conv(Square { residual: true, ..same(width, extent, 4 * width, 1, 1) })?; // expansion, shortcut added, ReLU
        network.conv(same(4 * width, extent, width, 1, 1))?; // later reductions
        network.conv(same(width, extent, width, 3, 1))?;
    }
    network.global_average(2048, 7)?;
    network.dense(2048, 1000, "none")?;
    network.softmax(1000)
}

/// Sandler and others, 2018.
pub fn mobilenet_v2(network: &mut Network) -> Done {
    let relu6 = |square: Square| Square { activation: Activation::Relu6, ..square };
    let project = |square: Square, residual: bool| Square { activation: Activation::None, residual, ..square };
    network.conv(relu6(same(3, 224, 32, 3, 2)))?;
    network.conv(relu6(depthwise(32, 112, 1)))?;
    network.conv(project(same(32, 112, 16, 1, 1), false))?;
    // Expanded channels come from the input times 6; one row a bottleneck that differs.
    for (input, output, extent, stride) in [
        (16, 24, 112, 2),
        (24, 24, 56, 1),
        (24, 32, 56, 2),
        (32, 32, 28, 1),
        (32, 64, 28, 2),
        (64, 64, 14, 1),
        (64, 96, 14, 1),
        (96, 96, 14, 1),
        (96, 160, 14, 2),
        (160, 160, 7, 1),
        (160, 320, 7, 1),
    ] {
        network.conv(relu6(same(input, extent, 6 * input, 1, 1)))?;
        network.conv(relu6(depthwise(6 * input, extent, stride)))?;
        network.conv(project(same(6 * input, extent / stride, output, 1, 1), input == output && stride == 1))?;
    }
    network.conv(relu6(same(320, 7, 1280, 1, 1)))?;
    network.global_average(1280, 7)?;
    network.dense(1280, 1000, "none")?;
    network.softmax(1000)
}

/// Simonyan and Zisserman, 2014, configuration D.
pub fn vgg16(network: &mut Network) -> Done {
    for (channels, extent, filters, last) in [(3, 224, 64, false), (64, 224, 64, true), (64, 112, 128, false), (128, 112, 128, true)] {
        network.conv(same(channels, extent, filters, 3, 1))?;
        if last {
            network.pool("max_pool", filters, extent, 2, 2, 0)?;
        }
    }
    for (channels, extent, filters) in [(128, 56, 256), (256, 28, 512), (512, 14, 512)] {
        network.conv(same(channels, extent, filters, 3, 1))?;
        network.conv(same(filters, extent, filters, 3, 1))?;
        network.pool("max_pool", filters, extent, 2, 2, 0)?;
    }
    network.dense(25_088, 4096, "relu")?;
    network.dense(4096, 4096, "relu")?;
    network.dense(4096, 1000, "none")?;
    network.softmax(1000)
}

/// Ronneberger and others, 2015: the contracting path, the expanding path with its crops and concatenations, the last 1 x 1.
pub fn unet(network: &mut Network) -> Done {
    let mut extent = 572;
    let mut channels = 1;
    for filters in [64, 128, 256, 512, 1024] {
        network.conv(valid(channels, extent, filters, 3))?;
        network.conv(valid(filters, extent - 2, filters, 3))?;
        extent -= 4;
        channels = filters;
        if filters < 1024 {
            network.pool("max_pool", filters, extent, 2, 2, 0)?;
            extent /= 2;
        }
    }
    for filters in [512, 256, 128, 64] {
        let attrs = json!({"kernel_shape": [2, 2], "strides": [2, 2]});
        let up: &[(&str, &[usize])] = &[("x", &[1, channels, extent, extent]), ("w", &[channels, filters, 2, 2]), ("b", &[filters])];
        network.op(format!("up2x2_{channels}_{filters}_{extent}"), "conv_transpose", &attrs, up)?;
        extent *= 2;
        let half: &[usize] = &[1, filters, extent, extent];
        network.op(format!("concat_{filters}_{extent}"), "concat", &json!({"axis": 1}), &[("x0", half), ("x1", half)])?;
        network.conv(valid(channels, extent, filters, 3))?;
        network.conv(valid(filters, extent - 2, filters, 3))?;
        extent -= 4;
        channels = filters;
    }
    network.conv(Square { activation: Activation::None, ..valid(64, 388, 2, 1) })
}

/// LeCun and others, 1998, with plain average pooling and softmax, as it is taught today.
pub fn lenet5(network: &mut Network) -> Done {
    let tanh = |square: Square| Square { activation: Activation::Tanh, ..square };
    network.conv(tanh(valid(1, 32, 6, 5)))?;
    network.pool("average_pool", 6, 28, 2, 2, 0)?;
    network.conv(tanh(valid(6, 14, 16, 5)))?;
    network.pool("average_pool", 16, 10, 2, 2, 0)?;
    network.conv(tanh(valid(16, 5, 120, 5)))?;
    network.dense(120, 84, "tanh")?;
    network.dense(84, 10, "none")?;
    network.softmax(10)
}
