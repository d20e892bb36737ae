//! What `bench` times: well-known networks as chains of ops, the distinct layers of them, or a list from a JSON file.

mod network;
mod networks;
pub mod shapes;
mod words;

pub use network::{Network, Node, ValueId};

use crate::Failure;
use clap::ValueEnum;
use std::path::PathBuf;
use wgconv::conv::Accuracy;
use wgconv::op::Op;
use wgconv::{ElementType, Layout};

/// A named list of layers, batch 1.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Twenty layers: convolutions of every kind, pools, products, elementwise ops, norms
    Quick,
    /// ResNet-50 on 224 x 224: He and others, 2015, with the stride in the 3 x 3 layers, as frameworks ship it
    Resnet50,
    /// MobileNetV2 on 224 x 224: Sandler and others, 2018
    #[value(name = "mobilenet_v2")]
    MobilenetV2,
    /// VGG-16 on 224 x 224: Simonyan and Zisserman, 2014
    Vgg16,
    /// U-Net on 572 x 572: Ronneberger and others, 2015
    Unet,
    /// LeNet-5 on 32 x 32: LeCun and others, 1998
    Lenet5,
}

/// Which layers, on which device.
#[derive(clap::Args)]
pub struct Selection {
    /// The layers
    #[arg(long, value_enum, default_value = "quick", conflicts_with_all = ["shapes", "layer"])]
    pub suite: Suite,
    /// Layers from a JSON list, such as [{"name": "first", "op": "conv", "input": [1, 3, 224, 224], "filter": [64, 3, 7, 7], "strides": [2, 2]}];
    /// wgconv ops lists the ops with their attributes
    #[arg(long, value_name = "FILE.json")]
    pub shapes: Option<PathBuf>,
    /// One layer, in the words of such a list: 'conv x=1x64x56x56 w=64x64x3x3 pads=1'; or an entry of it as JSON. Given several times, several
    #[arg(long, value_name = "LAYER", conflicts_with = "shapes")]
    pub layer: Vec<String>,
    #[command(flatten)]
    pub kind: Kind,
    /// Adapter by number or part of its name
    #[arg(long)]
    pub adapter: Option<String>,
}

impl Selection {
    /// The layers of the command line, of the file, or of the suite.
    pub fn layers(&self) -> Result<Vec<Layer>, Failure> {
        match &self.shapes {
            Some(path) => shapes::read(path, self.kind),
            None if !self.layer.is_empty() => {
                let layer = |text: &String| -> Result<Vec<Layer>, String> { shapes::parse(&words::list(text)?, self.kind) };
                let named = |text: &String| layer(text).map_err(|why| Failure::Usage(format!("--layer is {text}: {why}")));
                Ok(self.layer.iter().map(named).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
            None => layers(self.suite, self.kind),
        }
    }
}

/// What the tensors of all layers are, and how exact the answers must be.
#[derive(Clone, Copy, clap::Args)]
pub struct Kind {
    /// exact, f32 or reduced
    #[arg(long, default_value = "f32", value_parser = |text: &str| text.parse::<Accuracy>().map_err(|e| e.to_string()))]
    pub accuracy: Accuracy,
    /// What tensors store: f32 or f16
    #[arg(long, default_value = "f32", value_parser = element)]
    pub element: ElementType,
    /// How images lie in memory: channels_first or channels_last
    #[arg(long, default_value = "channels_first", value_parser = layout)]
    pub layout: Layout,
}

/// The value of `--element`.
fn element(text: &str) -> Result<ElementType, String> {
    let all = [ElementType::F32, ElementType::F16];
    all.into_iter().find(|element| element.to_string() == text).ok_or_else(|| "it is f32 or f16".into())
}

/// The value of `--layout`.
fn layout(text: &str) -> Result<Layout, String> {
    let all = [Layout::ChannelsFirst, Layout::ChannelsLast];
    all.into_iter().find(|layout| layout.name() == text).ok_or_else(|| "it is channels_first or channels_last".into())
}

/// One layer to time.
pub struct Layer {
    pub name: String,
    pub op: Op,
}

impl Layer {
    pub fn op(&self) -> &Op {
        &self.op
    }
}

impl Kind {
    /// What everyone has unless asked otherwise.
    pub const PLAIN: Kind = Kind { accuracy: Accuracy::F32, element: ElementType::F32, layout: Layout::ChannelsFirst };
}

impl Suite {
    /// The name by which the command line knows it.
    pub fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_string())
    }

    fn build(self, kind: Kind, batch: usize) -> Result<Network, Failure> {
        let mut network = Network::new(kind, batch);
        match self {
            Suite::Quick => networks::quick(&mut network),
            Suite::Resnet50 => networks::resnet50(&mut network).map(|_| ()),
            Suite::MobilenetV2 => networks::mobilenet_v2(&mut network).map(|_| ()),
            Suite::Vgg16 => networks::vgg16(&mut network).map(|_| ()),
            Suite::Unet => networks::unet(&mut network).map(|_| ()),
            Suite::Lenet5 => networks::lenet5(&mut network).map(|_| ()),
        }
        .map_err(Failure::Run)?;
        Ok(network)
    }
}

/// The layers of a suite, in the order of the network; a layer that comes again is listed once.
fn layers(suite: Suite, kind: Kind) -> Result<Vec<Layer>, Failure> {
    Ok(suite.build(kind, 1)?.layers)
}

/// The whole network of a suite, for a batch of images.
pub fn network(suite: Suite, kind: Kind, batch: usize) -> Result<Network, Failure> {
    if suite == Suite::Quick {
        let names: Vec<String> = Suite::value_variants().iter().filter(|one| **one != Suite::Quick).map(|one| one.name()).collect();
        return Err(Failure::Usage(format!("--suite is quick: it is no network; --network takes {}", names.join(", "))));
    }
    suite.build(kind, batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgconv::conv::ConvProblem;
    use wgconv::op::Problem;

    fn suite(suite: Suite) -> Vec<Layer> {
        layers(suite, Kind::PLAIN).ok().unwrap()
    }

    fn convolutions(layers: &[Layer]) -> Vec<&ConvProblem> {
        layers.iter().filter_map(|l| if let Op::Conv(problem) = &l.op { Some(problem) } else { None }).collect()
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

    /// Multiply-adds, parameters and output shapes as the papers have them.
    #[test]
    fn layers_are_the_ones_of_the_papers() {
        let resnet = suite(Suite::Resnet50);
        let first = convolutions(&resnet)[0];
        assert_eq!((first.output_extents(), first.multiply_adds()), (vec![1, 64, 112, 112], 118_013_952));
        assert_eq!(resnet[1].op().outputs()[0].tensor.extents, [1, 64, 56, 56], "the 3 x 3 max pool with stride 2");
        let vgg = suite(Suite::Vgg16);
        // Thirteen convolutions: 256 channels at 56 come twice, 512 at 28 twice, 512 at 14 three times.
        let repeats = [1, 1, 1, 1, 1, 2, 1, 2, 3];
        let total: u64 = convolutions(&vgg).iter().zip(repeats).map(|(problem, n)| n * problem.multiply_adds()).sum();
        assert_eq!((convolutions(&vgg).len(), repeats.iter().sum::<u64>(), total), (9, 13, 15_346_630_656));
        let dense: f64 = vgg.iter().filter(|l| l.op().name() == "linear").map(|l| l.op().flops() / 2.0).sum();
        assert_eq!(dense, 123_633_664.0, "102,760,448 + 16,777,216 + 4,096,000");
        assert_eq!(vgg.iter().filter(|l| l.op().name() == "max_pool").count(), 5);
        let lenet = suite(Suite::Lenet5);
        let shapes: Vec<Vec<usize>> = lenet.iter().map(|l| l.op().outputs()[0].tensor.extents.clone()).collect();
        assert_eq!(shapes[..5], [vec![1, 6, 28, 28], vec![1, 6, 14, 14], vec![1, 16, 10, 10], vec![1, 16, 5, 5], vec![1, 120, 1, 1]]);
        let unet = suite(Suite::Unet);
        assert_eq!(convolutions(&unet)[0].output_extents(), [1, 64, 570, 570]);
        assert_eq!(convolutions(&unet).last().unwrap().output_extents(), [1, 2, 388, 388], "a map of two classes, 388 x 388");
        assert!(convolutions(&suite(Suite::MobilenetV2)).iter().any(|p| p.groups() == 960 && p.in_channels() == 960));
    }

    /// Parameters and multiply-adds of the whole networks, as their papers and frameworks have them, with batch normalisation folded into
    /// one bias a channel.
    #[test]
    fn chains_are_the_whole_networks() {
        for (suite, ops, parameters, multiply_adds) in [
            (Suite::Lenet5, 8, 61_706, None),
            (Suite::Resnet50, 57, 25_530_472, Some(4_089_184_256.0)),
            (Suite::MobilenetV2, 55, 3_487_816, Some(300_774_272.0)),
            (Suite::Vgg16, 22, 138_357_544, Some(15_470_264_320.0)),
            (Suite::Unet, 35, 31_030_658, None),
        ] {
            for batch in [1, 3] {
                let network = network(suite, Kind::PLAIN, batch).ok().unwrap();
                assert_eq!((network.nodes.len(), network.weight_bytes()), (ops, 4 * parameters), "{}", suite.name());
                let products: f64 =
                    network.nodes.iter().map(|node| network.op(node)).filter(|op| ["conv", "linear"].contains(&op.name())).map(Problem::flops).sum();
                assert!(multiply_adds.is_none_or(|wanted| products == 2.0 * batch as f64 * wanted), "{}: {products}", suite.name());
                assert!(network.layers.len() <= network.nodes.len());
            }
        }
        assert!(matches!(network(Suite::Quick, Kind::PLAIN, 1), Err(Failure::Usage(_))));
    }

    /// What an op reads was written before it, and has the shape that it takes.
    #[test]
    fn values_fit_the_ops_that_read_them() {
        for suite in Suite::value_variants().iter().filter(|one| **one != Suite::Quick) {
            let network = network(*suite, Kind::PLAIN, 2).ok().unwrap();
            let mut written = vec![network.input()];
            for node in &network.nodes {
                let wanted: Vec<Vec<usize>> =
                    network.op(node).inputs().into_iter().filter(|spec| !spec.constant).map(|spec| spec.tensor.extents).collect();
                let given: Vec<Vec<usize>> = node.inputs.iter().map(|value| network.values[value.0].extents.clone()).collect();
                assert_eq!(given, wanted, "{} of {}", network.layer(node).name, suite.name());
                assert!(node.inputs.iter().all(|value| written.contains(&network.root(*value))), "{}", network.layer(node).name);
                written.push(node.output);
            }
            let residuals = network.nodes.iter().filter(|node| node.inputs.len() == 2 && network.op(node).name() == "conv").count();
            assert_eq!(
                residuals,
                match suite {
                    Suite::Resnet50 => 16,
                    Suite::MobilenetV2 => 10,
                    _ => 0,
                },
                "{}",
                suite.name()
            );
        }
    }
}
