//! The layers that `bench` times: the distinct convolutions of well-known networks, or a list from a JSON file.

use crate::Failure;
use clap::ValueEnum;
use serde::Deserialize;
use std::path::Path;
use wgconv::conv::{Accuracy, Conv2dDescriptor, ConvDescriptor, ConvInputs, ConvProblem};
use wgconv::{Activation, Padding};

/// A named list of layers, batch 1.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Ten layers of every kind; half a minute on a software driver
    Quick,
    /// ResNet-50 on 224 x 224: He and others, 2015, with the stride in the 3 x 3 layers, as frameworks ship it
    Resnet50,
    /// MobileNetV2 on 224 x 224: Sandler and others, 2018
    #[value(name = "mobilenet_v2")]
    MobilenetV2,
    /// VGG-16 on 224 x 224: Simonyan and Zisserman, 2014
    Vgg16,
    /// U-Net on 572 x 572, its contracting path: Ronneberger and others, 2015
    Unet,
    /// LeNet-5 on 32 x 32: LeCun and others, 1998
    Lenet5,
}

/// One layer to time.
pub struct Layer {
    pub name: String,
    pub problem: ConvProblem,
}

/// A square 2-D layer: input C x extent x extent, K filters of size x size.
struct Square {
    channels: usize,
    extent: usize,
    filters: usize,
    size: usize,
    stride: usize,
    groups: usize,
    padding: Padding<2>,
}

/// The layers of a suite.
pub fn layers(suite: Suite, accuracy: Accuracy) -> Result<Vec<Layer>, Failure> {
    let same =
        |channels, extent, filters, size, stride| Square { channels, extent, filters, size, stride, groups: 1, padding: Padding::uniform(size / 2) };
    let depthwise = |channels, extent, stride| Square { groups: channels, ..same(channels, extent, channels, 3, stride) };
    let valid = |channels, extent, filters, size| Square { padding: Padding::Valid, ..same(channels, extent, filters, size, 1) };
    let squares = match suite {
        Suite::Quick => vec![
            same(3, 224, 64, 7, 2),
            same(64, 56, 64, 3, 1),
            same(128, 28, 128, 3, 1),
            same(128, 56, 256, 3, 2),
            same(512, 7, 512, 3, 1),
            same(256, 56, 64, 1, 1),
            same(512, 14, 2048, 1, 1),
            depthwise(96, 112, 1),
            depthwise(144, 56, 2),
            same(32, 112, 32, 5, 1),
        ],
        Suite::Resnet50 => {
            let mut all = vec![same(3, 224, 64, 7, 2)];
            // Stage: input channels, width of the bottleneck, extent after the stage's stride.
            for (input, width, extent, stride) in [(64, 64, 56, 1), (256, 128, 28, 2), (512, 256, 14, 2), (1024, 512, 7, 2)] {
                all.push(same(input, extent * stride, width, 1, 1)); // first reduction
                all.push(same(width, extent * stride, width, 3, stride));
                all.push(same(width, extent, 4 * width, 1, 1)); // expansion
                all.push(same(input, extent * stride, 4 * width, 1, stride)); // shortcut
                all.push(same(4 * width, extent, width, 1, 1)); // later reductions
                all.push(same(width, extent, width, 3, 1));
            }
            all
        }
        Suite::MobilenetV2 => {
            let mut all = vec![same(3, 224, 32, 3, 2), depthwise(32, 112, 1), same(32, 112, 16, 1, 1)];
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
                all.push(same(input, extent, 6 * input, 1, 1));
                all.push(depthwise(6 * input, extent, stride));
                all.push(same(6 * input, extent / stride, output, 1, 1));
            }
            all.push(same(320, 7, 1280, 1, 1));
            all
        }
        Suite::Vgg16 => [
            (3, 224, 64),
            (64, 224, 64),
            (64, 112, 128),
            (128, 112, 128),
            (128, 56, 256),
            (256, 56, 256),
            (256, 28, 512),
            (512, 28, 512),
            (512, 14, 512),
        ]
        .map(|(channels, extent, filters)| same(channels, extent, filters, 3, 1))
        .into(),
        Suite::Unet => [
            (1, 572, 64),
            (64, 570, 64),
            (64, 284, 128),
            (128, 282, 128),
            (128, 140, 256),
            (256, 138, 256),
            (256, 68, 512),
            (512, 66, 512),
            (512, 32, 1024),
            (1024, 30, 1024),
        ]
        .map(|(channels, extent, filters)| valid(channels, extent, filters, 3))
        .into(),
        Suite::Lenet5 => vec![valid(1, 32, 6, 5), valid(6, 14, 16, 5), valid(16, 5, 120, 5)],
    };
    let mut layers: Vec<Layer> = Vec::new();
    for square in squares {
        let Square { channels, extent, filters, size, stride, groups, padding } = square;
        let kind = if groups > 1 { "dw" } else { "" };
        let step = if stride > 1 { format!("_s{stride}") } else { String::new() };
        let name = format!("{kind}{size}x{size}_{channels}_{filters}_{extent}{step}");
        let descriptor = Conv2dDescriptor { stride: [stride; 2], padding, groups, activation: Activation::Relu, accuracy, ..Default::default() };
        let (x, filter, bias) = ([1, channels, extent, extent], [filters, channels / groups, size, size], [filters]);
        let problem = ConvProblem::forward(&descriptor, &ConvInputs::new(&x, &filter, Some(&bias)))?;
        if !layers.iter().any(|l| l.name == name) {
            layers.push(Layer { name, problem });
        }
    }
    Ok(layers)
}

/// An entry of a `--shapes` file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeEntry {
    name: String,
    op: String,
    input: Vec<usize>,
    filter: Vec<usize>,
    strides: Option<Vec<usize>>,
    pads: Option<Vec<usize>>,
    dilations: Option<Vec<usize>>,
    group: Option<usize>,
}

/// Reads the layers of a `--shapes` file.
pub fn read(path: &Path, accuracy: Accuracy) -> Result<Vec<Layer>, Failure> {
    let fail = |why: String| Failure::Run(format!("{}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let entries: Vec<ShapeEntry> = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    if entries.is_empty() {
        return Err(fail("the list is empty".into()));
    }
    let layer = |entry: ShapeEntry| {
        let problem = match (entry.op.as_str(), entry.filter.len()) {
            ("conv", 3) => resolve::<1>(&entry, accuracy),
            ("conv", 4) => resolve::<2>(&entry, accuracy),
            ("conv", 5) => resolve::<3>(&entry, accuracy),
            ("conv", rank) => Err(format!("filter is {:?}: its rank is 3 to 5, not {rank}", entry.filter)),
            (op, _) => Err(format!("op is {op}: this version times conv")),
        };
        problem.map(|problem| Layer { name: entry.name.clone(), problem }).map_err(|why| fail(format!("{}: {why}", entry.name)))
    };
    entries.into_iter().map(layer).collect()
}

fn resolve<const N: usize>(entry: &ShapeEntry, accuracy: Accuracy) -> Result<ConvProblem, String> {
    let list = |name: &str, values: &Option<Vec<usize>>, default: usize| -> Result<[usize; N], String> {
        match values {
            None => Ok([default; N]),
            Some(values) => values.as_slice().try_into().map_err(|_| format!("{name} is {values:?}: one value per spatial axis, {N}")),
        }
    };
    let padding = match &entry.pads {
        None => Padding::Valid,
        Some(pads) => {
            let half = |part: Option<&[usize]>| part.and_then(|p| p.try_into().ok());
            match (half(pads.get(..N)), half(pads.get(N..))) {
                (Some(begin), Some(end)) => Padding::Explicit { begin, end },
                _ => return Err(format!("pads is {pads:?}: all begins, then all ends, {}", 2 * N)),
            }
        }
    };
    let descriptor = ConvDescriptor {
        stride: list("strides", &entry.strides, 1)?,
        dilation: list("dilations", &entry.dilations, 1)?,
        padding,
        groups: entry.group.unwrap_or(1),
        accuracy,
        ..Default::default()
    };
    ConvProblem::forward::<N>(&descriptor, &ConvInputs::new(&entry.input, &entry.filter, None)).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(suite: Suite) -> Vec<Layer> {
        layers(suite, Accuracy::F32).ok().unwrap()
    }

    #[test]
    fn every_suite_resolves_to_layers_of_distinct_names() {
        for one in Suite::value_variants() {
            let layers = suite(*one);
            let mut names: Vec<&str> = layers.iter().map(|l| l.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), layers.len());
            assert!(layers.len() >= 3);
        }
    }

    /// Multiply-adds and output shapes as the papers have them.
    #[test]
    fn layers_are_the_ones_of_the_papers() {
        let first = &suite(Suite::Resnet50)[0].problem;
        assert_eq!((first.output_extents(), first.multiply_adds()), (vec![1, 64, 112, 112], 118_013_952));
        let vgg = suite(Suite::Vgg16);
        // Thirteen convolutions: 256 channels at 56 come twice, 512 at 28 twice, 512 at 14 three times.
        let repeats = [1, 1, 1, 1, 1, 2, 1, 2, 3];
        let total: u64 = vgg.iter().zip(repeats).map(|(layer, n)| n * layer.problem.multiply_adds()).sum();
        assert_eq!((vgg.len(), repeats.iter().sum::<u64>(), total), (9, 13, 15_346_630_656));
        let lenet: Vec<Vec<usize>> = suite(Suite::Lenet5).iter().map(|l| l.problem.output_extents()).collect();
        assert_eq!(lenet, [[1, 6, 28, 28], [1, 16, 10, 10], [1, 120, 1, 1]]);
        let unet = suite(Suite::Unet);
        assert_eq!(unet[0].problem.output_extents(), [1, 64, 570, 570]);
        assert_eq!(unet[9].problem.output_extents(), [1, 1024, 28, 28]);
        assert!(suite(Suite::MobilenetV2).iter().any(|l| l.problem.groups == 960 && l.problem.in_channels == 960));
    }
}
