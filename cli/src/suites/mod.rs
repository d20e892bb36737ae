//! What `bench` times: well-known networks as graphs, a model file, the distinct layers of them, or a list from a JSON file.

mod builder;
mod classic;
mod names;
mod network;
mod other;
mod residual;
pub mod shapes;
mod words;

use crate::Failure;
use crate::model::Reading;
use builder::Builder;
use clap::ValueEnum;
pub use network::Network;
use std::path::PathBuf;
use wgconv::conv::Accuracy;
use wgconv::graph::{Pass, Resolved};
use wgconv::op::Op;
use wgconv::{ElementType, Graph, Layout};

/// A named list of layers, batch 1.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Twenty layers: convolutions of every kind, pools, products, elementwise ops, norms
    Quick,
    /// ResNet-18 on 224 x 224: He and others, 2015
    Resnet18,
    /// ResNet-50 on 224 x 224: He and others, 2015, with the stride in the 3 x 3 layers, as frameworks ship it
    Resnet50,
    /// MobileNetV2 on 224 x 224: Sandler and others, 2018
    #[value(name = "mobilenet_v2")]
    MobilenetV2,
    /// EfficientNet-B0 on 224 x 224: Tan and Le, 2019
    #[value(name = "efficientnet_b0")]
    EfficientnetB0,
    /// ConvNeXt-T on 224 x 224: Liu and others, 2022
    #[value(name = "convnext_tiny")]
    ConvnextTiny,
    /// VGG-16 on 224 x 224: Simonyan and Zisserman, 2014
    Vgg16,
    /// YOLOv8 nano on 640 x 640: Jocher and others, 2023
    Yolov8n,
    /// U-Net on 572 x 572: Ronneberger and others, 2015
    Unet,
    /// 3-D U-Net on 32 x 32 x 32: Cicek and others, 2016
    Unet3d,
    /// Real-ESRGAN of six blocks, 64 x 64 to 256 x 256: Wang and others, 2021
    #[value(name = "esrgan_x4")]
    EsrganX4,
    /// The front end of wav2vec 2.0 on a second of sound: Baevski and others, 2020
    Wav2vec2,
    /// LeNet-5 on 32 x 32: LeCun and others, 1998
    Lenet5,
    /// All networks
    All,
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
    /// The layers of a model file (ONNX), after passes; in f32
    #[arg(long, value_name = "FILE.onnx", conflicts_with_all = ["suite", "shapes", "layer"])]
    pub model: Option<PathBuf>,
    #[command(flatten)]
    pub reading: Reading,
    #[command(flatten)]
    pub kind: Kind,
    /// Adapter by number or part of its name
    #[arg(long)]
    pub adapter: Option<String>,
}

impl Selection {
    /// The networks as wholes: every one of the suite, or the model file's.
    pub fn networks(&self) -> Result<Vec<Network>, Failure> {
        self.check_reading()?;
        match &self.model {
            Some(path) => Ok(vec![Network::read(path, &self.reading, self.kind)?]),
            None => Ok(self.suite.networks()?.into_iter().map(Network::Suite).collect()),
        }
    }

    /// What is said of a model is said with one.
    fn check_reading(&self) -> Result<(), Failure> {
        if self.model.is_none() && self.reading.is_given() {
            return Err(Failure::Usage("--shape, --number and --room are of a model, and --model is not given".into()));
        }
        Ok(())
    }

    /// The layers of the command line, of the file, or of the suite.
    pub fn layers(&self) -> Result<Vec<Layer>, Failure> {
        self.check_reading()?;
        if let Some(path) = &self.model {
            if self.kind.layout != Kind::PLAIN.layout {
                let layout = self.kind.layout.name();
                return Err(Failure::Usage(format!("--layout is {layout}: layers of a model are channels first; bench --network has other layouts")));
            }
            let mut layers = vec![];
            add_layers(&mut layers, Network::read(path, &self.reading, self.kind)?.graph(self.kind)?)?;
            return Ok(layers);
        }
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

    /// Every network, or the one that it is.
    pub fn networks(self) -> Result<Vec<Suite>, Failure> {
        let is_network = |one: &Suite| !matches!(one, Suite::Quick | Suite::All);
        match self {
            Suite::All => Ok(Suite::value_variants().iter().copied().filter(is_network).collect()),
            one if is_network(&one) => Ok(vec![one]),
            _ => {
                let names: Vec<String> = Suite::value_variants().iter().filter(|one| is_network(one)).map(|one| one.name()).collect();
                Err(Failure::Usage(format!("--suite is quick: it is no network; --network and --train take all, {}", names.join(", "))))
            }
        }
    }
}

/// The network of a suite as its authors describe it: nothing is folded or fused yet. Its output is called `y`.
pub fn network(suite: Suite, kind: Kind) -> Result<Graph, wgconv::Error> {
    let mut b = Builder::new(kind);
    if suite == Suite::Quick {
        classic::quick(&mut b)?;
        return Ok(b.graph);
    }
    let y = built(&mut b, suite)?;
    b.graph.output("y", y)?;
    Ok(b.graph)
}

/// The network of a suite as a trainer takes it, from `input` to the logits of `output`. Statistics of batch norms are constants: those of a trained
/// network, not of a batch.
pub fn training(suite: Suite) -> Result<Graph, wgconv::Error> {
    let mut b = Builder::trained();
    let y = built(&mut b, suite)?;
    b.graph.output("output", y)?;
    Ok(b.graph)
}

/// Builds a network and gives its output.
fn built(b: &mut Builder, suite: Suite) -> builder::Made {
    match suite {
        Suite::Quick | Suite::All => Err(wgconv::Error::invalid("suite", suite.name(), "it is several networks")),
        Suite::Resnet18 => residual::resnet18(b),
        Suite::Resnet50 => residual::resnet50(b),
        Suite::MobilenetV2 => residual::mobilenet_v2(b),
        Suite::EfficientnetB0 => residual::efficientnet_b0(b),
        Suite::ConvnextTiny => residual::convnext_tiny(b),
        Suite::Vgg16 => classic::vgg16(b),
        Suite::Yolov8n => other::yolov8n(b),
        Suite::Unet => classic::unet(b),
        Suite::Unet3d => classic::unet3d(b),
        Suite::EsrganX4 => other::esrgan_x4(b),
        Suite::Wav2vec2 => other::wav2vec2(b),
        Suite::Lenet5 => classic::lenet5(b),
    }
}

/// The passes behind which a layer is what a framework calls one: pools stay layers of their own.
const LAYER_PASSES: [Pass; 6] =
    [Pass::RemoveIdentities, Pass::CancelTransposes, Pass::FoldBatchNorm, Pass::FuseResidual, Pass::PushActivation, Pass::FuseActivation];

/// The layers of a suite, in the order of the network; a layer that comes again is listed once.
fn layers(suite: Suite, kind: Kind) -> Result<Vec<Layer>, Failure> {
    let mut layers: Vec<Layer> = vec![];
    let suites = if suite == Suite::Quick { vec![suite] } else { suite.networks()? };
    for suite in suites {
        add_layers(&mut layers, network(suite, kind)?)?;
    }
    Ok(layers)
}

/// Adds the layers of a network that are not there yet.
fn add_layers(layers: &mut Vec<Layer>, graph: Graph) -> Result<(), Failure> {
    add_ops(layers, &graph.after(&LAYER_PASSES)?.0, 1)
}

/// Adds the ops of a graph as it is, at an open extent, that are not there yet.
pub fn add_ops(layers: &mut Vec<Layer>, graph: &Graph, open: usize) -> Result<(), Failure> {
    for node in graph.at(open)?.nodes {
        let Resolved::Op(op) = node else { continue };
        if layers.iter().all(|known| known.op != *op) {
            layers.push(Layer { name: unused(names::of(&op), layers), op: *op });
        }
    }
    Ok(())
}

/// The name, or `name_2` and so on where another layer has it.
fn unused(name: String, layers: &[Layer]) -> String {
    let is_taken = |name: &str| layers.iter().any(|layer| layer.name == name);
    if !is_taken(&name) {
        return name;
    }
    (2..).map(|n| format!("{name}_{n}")).find(|name| !is_taken(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgconv::conv::ConvProblem;
    use wgconv::op::Problem;

    fn suite(suite: Suite) -> Vec<Layer> {
        match layers(suite, Kind::PLAIN) {
            Ok(layers) => layers,
            Err(Failure::Usage(why) | Failure::Run(why)) => panic!("{}: {why}", suite.name()),
            Err(_) => panic!("{}", suite.name()),
        }
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

    /// Names that older reports have, for `bench --compare`.
    #[test]
    fn layers_keep_their_names() {
        let names = |of: Suite| suite(of).into_iter().map(|layer| layer.name).collect::<Vec<_>>();
        let quick = [
            "7x7_3_64_224_s2",
            "3x3_64_64_56",
            "3x3_128_128_28",
            "3x3_128_256_56_s2",
            "3x3_512_512_7",
            "1x1_256_64_56",
            "1x1_512_2048_14",
            "dw3x3_96_96_112",
            "dw3x3_144_144_56_s2",
            "5x5_32_32_112",
            "maxpool3x3_64_112_s2",
            "avgpool2x2_128_56_s2",
            "global_avgpool_2048_7",
            "dense_2048_1000",
            "matmul_512_512_512",
            "relu_64_112",
            "add_256_56",
            "softmax_64x1000",
            "batchnorm_64_112",
            "layernorm_196x768",
        ];
        assert_eq!(names(Suite::Quick), quick);
        let lenet = names(Suite::Lenet5);
        assert_eq!(
            lenet,
            ["5x5_1_6_32", "avgpool2x2_6_28_s2", "5x5_6_16_14", "avgpool2x2_16_10_s2", "5x5_16_120_5", "dense_120_84", "dense_84_10", "softmax_10"]
        );
        let unet = names(Suite::Unet);
        for name in ["up2x2_1024_512_28", "crop_512_64_56", "concat_512_56", "1x1_64_2_388_linear"] {
            assert!(unet.iter().any(|own| own == name), "{name}: {unet:?}");
        }
    }

    /// Parameters and multiply-adds of the whole networks, as their papers and frameworks have them. Parameters are those that are learned, without the
    /// running statistics of batch norms; the paper of the 3-D U-Net counts none of its batch norms.
    #[test]
    fn graphs_are_the_whole_networks() {
        for (suite, parameters, multiply_adds) in [
            (Suite::Lenet5, 61_706, None),
            (Suite::Resnet18, 11_689_512, Some(1_814_073_344)),
            (Suite::Resnet50, 25_557_032, Some(4_089_184_256)),
            (Suite::MobilenetV2, 3_504_872, Some(300_774_272)),
            (Suite::EfficientnetB0, 5_288_548, None),
            (Suite::ConvnextTiny, 28_589_128, None),
            (Suite::Vgg16, 138_357_544, Some(15_470_264_320)),
            (Suite::Yolov8n, 3_157_200, None),
            (Suite::Unet, 31_030_658, None),
            (Suite::Unet3d, 19_069_955, None),
            (Suite::EsrganX4, 4_467_779, None),
            (Suite::Wav2vec2, 4_200_448 + 1024 + 512 * 768 + 768, None),
        ] {
            let graph = network(suite, Kind::PLAIN).unwrap();
            let learned = graph.parameters().filter(|(name, _)| !name.contains("running_") && !name.contains(".norm."));
            assert_eq!(learned.map(|(_, value)| graph.elements(value)).sum::<u64>(), parameters, "{}", suite.name());
            let products = |batch| -> f64 {
                let ops = graph.at(batch).unwrap().nodes;
                let ops = ops.iter().filter_map(|node| if let Resolved::Op(op) = node { Some(op) } else { None });
                ops.filter(|op| ["conv", "linear"].contains(&op.name())).map(|op| op.flops()).sum()
            };
            assert!(multiply_adds.is_none_or(|wanted: u64| products(3) == 6.0 * wanted as f64), "{}: {}", suite.name(), products(3) / 6.0);
        }
        assert!(matches!(Suite::Quick.networks(), Err(Failure::Usage(_))));
    }

    /// What passes leave: every batch norm is in a convolution, every activation and sum in an op before it, where there is one that takes it.
    #[test]
    fn passes_leave_the_ops_that_they_cannot_fuse() {
        let left = |suite: Suite| {
            let graph = network(suite, Kind::PLAIN).unwrap().optimized().unwrap();
            let count = |name: &str| graph.nodes().iter().filter(|node| node.recipe().name() == name).count();
            let residuals = graph.nodes().iter().filter(|node| matches!(node.recipe(), wgconv::graph::Recipe::Conv { residual: true, .. })).count();
            (graph.nodes().len(), count("batch_norm"), count("add"), count("relu") + count("silu") + count("gelu"), residuals)
        };
        assert_eq!(left(Suite::Resnet50), (57 + 1, 0, 0, 0, 16), "57 ops and a view");
        assert_eq!(left(Suite::Resnet18), (24 + 1, 0, 0, 0, 8));
        assert_eq!(left(Suite::MobilenetV2), (55 + 1, 0, 0, 0, 10));
        let (_, norms, sums, activations, residuals) = left(Suite::Yolov8n);
        assert_eq!((norms, activations), (0, 0));
        assert_eq!((sums, residuals), (8, 0), "its sums are of what activations give");
    }

    /// Arenas beside what is live at once, for one item and for many. ResNet-18 needs ops that write to a buffer that they read: it has 3.2 MB behind its first
    /// convolution and 0.8 MB behind its pool, and each block reads two values of 0.8 MB and gives a third.
    #[test]
    fn arenas_are_close_to_what_is_live_at_once() {
        for suite in Suite::All.networks().ok().unwrap() {
            let graph = network(suite, Kind::PLAIN).unwrap().optimized().unwrap();
            for batch in [1, 16] {
                let arena = wgconv::session::Arena::of(&graph, batch).unwrap();
                let ratio = arena.total() as f64 / arena.lower_bound() as f64;
                assert!((1.0..=1.1).contains(&ratio), "{} {batch}: {ratio} {arena:?}", suite.name());
            }
        }
    }

    /// Where nothing but convolutions, pools and what goes along with them stands between input and head, there are conversions at the borders alone.
    #[test]
    fn networks_are_converted_at_their_borders() {
        use wgconv::graph::{Recipe, Resolved};
        for suite in Suite::All.networks().ok().unwrap() {
            let graph = network(suite, Kind::PLAIN).unwrap().optimized().unwrap();
            let (last, change) = graph.in_layout(Layout::ChannelsLast).unwrap();
            let at = last.at(1).unwrap();
            let converts = |(node, resolved): &(&wgconv::graph::Node, &Resolved)| {
                matches!(node.recipe(), Recipe::ToLayout(_)) && matches!(resolved, Resolved::Op(_))
            };
            let conversions = last.nodes().iter().zip(&at.nodes).filter(converts).count();
            let (own, other) = (graph.at(2).unwrap(), last.at(2).unwrap());
            for ((name, value), (other_name, other_value)) in graph.outputs().zip(last.outputs()) {
                assert_eq!((name, &own.types[value.index()]), (other_name, &other.types[other_value.index()]));
            }
            assert!(change.is_some(), "{}", suite.name());
            // Heads that are views read what they read before; every block of ConvNeXt transposes, and so does the reading end of YOLO.
            let most = match suite {
                Suite::ConvnextTiny => 41,
                Suite::Yolov8n => 8,
                _ => 2,
            };
            assert!(conversions <= most, "{}: {conversions}", suite.name());
        }
    }
}
