//! Each op of a graph as nodes of ONNX, by its rules of opset 21.

use super::Attribute::{Float, Int, Ints, Text};
use super::{Attribute, Writer};
use wgconv::conv::{ConvDescriptor, ConvTransposeDescriptor};
use wgconv::elementwise::{BinaryOp, UnaryOp};
use wgconv::graph::{Node, Ranked, Recipe, ValueId};
use wgconv::pool::{AdaptivePoolDescriptor, PoolDescriptor, PoolKind};
use wgconv::reduce::ReduceKind;
use wgconv::transform::{CoordinateMode, DepthToSpaceMode, NearestMode, PadMode, ResizeMode};
use wgconv::{Activation, Layout, Padding, PaddingMode};

type Attributes = Vec<(&'static str, Attribute<'static>)>;

/// Numbers of axes as ONNX has them.
fn list(numbers: &[usize]) -> Attribute<'static> {
    Ints(numbers.iter().map(|&n| n as i64).collect())
}

/// How a window is padded.
fn padded<const N: usize>(padding: &Padding<N>) -> Option<(&'static str, Attribute<'static>)> {
    match padding {
        Padding::Valid => None,
        Padding::Same => Some(("auto_pad", Text("SAME_UPPER"))),
        Padding::SameLower => Some(("auto_pad", Text("SAME_LOWER"))),
        Padding::Explicit { begin, end } => Some(("pads", list(&[&begin[..], &end[..]].concat()))),
    }
}

impl Writer<'_> {
    /// Writes a node.
    ///
    /// # Errors
    /// Why ONNX has no op for it.
    pub(super) fn node(&mut self, node: &Node) -> Result<(), String> {
        // The weights of a dense layer of more than two axes are written turned, and not as they are.
        let is_turned = |i: usize| i == 1 && matches!(node.recipe(), Recipe::Linear { .. }) && self.graph.rank(node.inputs()[0]) != 2;
        let turned: Vec<bool> = (0..node.inputs().len()).map(is_turned).collect();
        let name = |writer: &mut Self, (&input, turned): (&ValueId, bool)| {
            if turned { Ok(writer.graph.values()[input.index()].name().to_string()) } else { writer.read(input) }
        };
        let inputs: Vec<String> = node.inputs().iter().zip(turned).map(|each| name(self, each)).collect::<Result<_, String>>()?;
        let [output] = node.outputs() else { return Err("it has several outputs".into()) };
        let y = self.graph.values()[output.index()].name().to_string();
        match node.recipe() {
            Recipe::Conv { residual: true, .. } | Recipe::Linear { residual: true, .. } => {
                Err("a pass fused a sum into it: export the graph from before passes".into())
            }
            Recipe::Conv { descriptor, .. } => match descriptor {
                Ranked::One(d) => self.conv(d, &inputs, &y),
                Ranked::Two(d) => self.conv(d, &inputs, &y),
                Ranked::Three(d) => self.conv(d, &inputs, &y),
            },
            Recipe::ConvTranspose { descriptor } => match descriptor {
                Ranked::One(d) => self.conv_transpose(d, &inputs, &y),
                Ranked::Two(d) => self.conv_transpose(d, &inputs, &y),
                Ranked::Three(d) => self.conv_transpose(d, &inputs, &y),
            },
            Recipe::Pool(descriptor) => match descriptor {
                Ranked::One(d) => self.pool(d, &inputs, &y),
                Ranked::Two(d) => self.pool(d, &inputs, &y),
                Ranked::Three(d) => self.pool(d, &inputs, &y),
            },
            Recipe::AdaptivePool(descriptor) => match descriptor {
                Ranked::One(d) => self.adaptive_pool(d, node, &inputs, &y),
                Ranked::Two(d) => self.adaptive_pool(d, node, &inputs, &y),
                Ranked::Three(d) => self.adaptive_pool(d, node, &inputs, &y),
            },
            Recipe::GlobalPool(kind) => self.global_pool(*kind, &inputs, &y),
            Recipe::Linear { descriptor, .. } => self.linear(descriptor.activation, node, inputs, &y),
            Recipe::Activation(activation) => self.activation(*activation, &inputs[0], &y),
            Recipe::Binary(d) => {
                let op = match d.op {
                    BinaryOp::Add => "Add",
                    BinaryOp::Sub => "Sub",
                    BinaryOp::Mul => "Mul",
                    BinaryOp::Div => "Div",
                    BinaryOp::Min => "Min",
                    BinaryOp::Max => "Max",
                    BinaryOp::Power => "Pow",
                    BinaryOp::Prelu => "PRelu",
                    other => return Err(format!("{} is not written", other.name())),
                };
                self.activated(d.activation, &y, |writer, y| writer.push(op, &inputs, y, &[]))
            }
            Recipe::Softmax(d) => {
                self.push(if d.logarithm { "LogSoftmax" } else { "Softmax" }, &inputs, &y, &[("axis", Int(d.axis as i64))]);
                Ok(())
            }
            Recipe::MatMul(_) => {
                self.push("MatMul", &inputs, &y, &[]);
                Ok(())
            }
            Recipe::Gemm(d) => {
                let attributes =
                    [("alpha", Float(d.alpha)), ("beta", Float(d.beta)), ("transA", Int(d.trans_a.into())), ("transB", Int(d.trans_b.into()))];
                self.activated(d.activation, &y, |writer, y| writer.push("Gemm", &inputs, y, &attributes))
            }
            Recipe::Unary(d) => {
                let op = unary(d.op)?;
                self.activated(d.activation, &y, |writer, y| writer.push(op, &inputs, y, &[]))
            }
            Recipe::Where => {
                // ONNX's condition is a bool.
                let zero = self.floats(&format!("{y}.zero"), &[], &[0.0]);
                let [is_zero, chosen] = ["is_zero", "holds"].map(|part| self.unused(&format!("{y}.{part}")));
                self.push("Equal", &[inputs[0].clone(), zero], &is_zero, &[]);
                self.push("Not", &[is_zero], &chosen, &[]);
                self.push("Where", &[chosen, inputs[1].clone(), inputs[2].clone()], &y, &[]);
                Ok(())
            }
            Recipe::Reduce(d) => {
                let op = match d.kind {
                    ReduceKind::Sum => "ReduceSum",
                    ReduceKind::Mean => "ReduceMean",
                    ReduceKind::Max => "ReduceMax",
                    ReduceKind::Min => "ReduceMin",
                    ReduceKind::Prod => "ReduceProd",
                };
                let mut all = vec![inputs[0].clone()];
                if !d.axes.is_empty() {
                    all.push(self.signed(&format!("{y}.axes"), &d.axes));
                }
                self.push(op, &all, &y, &[("keepdims", Int(d.keepdims.into()))]);
                Ok(())
            }
            Recipe::Slice(d) => {
                let axes = if d.axes.is_empty() { (0..d.starts.len() as isize).collect() } else { d.axes.clone() };
                let mut all = vec![inputs[0].clone()];
                for (part, numbers) in [("starts", &d.starts), ("ends", &d.ends), ("axes", &axes), ("steps", &d.steps)] {
                    if !numbers.is_empty() {
                        all.push(self.signed(&format!("{y}.{part}"), numbers));
                    }
                }
                self.push("Slice", &all, &y, &[]);
                Ok(())
            }
            Recipe::LayerNorm { descriptor, has } => {
                let rank = self.graph.rank(node.inputs()[0]) as isize;
                let front = if descriptor.axis < 0 { descriptor.axis + rank } else { descriptor.axis };
                let extents: Option<Vec<usize>> = (front.max(0)..rank).map(|axis| self.graph.extent(node.inputs()[0], axis as usize)).collect();
                let inputs = self.with_ones(&y, inputs, [has[0], true], extents)?;
                self.push("LayerNormalization", &inputs, &y, &[("axis", Int(descriptor.axis as i64)), ("epsilon", Float(descriptor.epsilon))]);
                Ok(())
            }
            Recipe::GroupNorm { descriptor, has } => {
                let inputs = self.with_ones(&y, inputs, *has, self.channels(node))?;
                let attributes = [("num_groups", Int(descriptor.groups as i64)), ("epsilon", Float(descriptor.epsilon))];
                self.push("GroupNormalization", &inputs, &y, &attributes);
                Ok(())
            }
            Recipe::InstanceNorm { descriptor, has } => {
                let inputs = self.with_ones(&y, inputs, *has, self.channels(node))?;
                self.push("InstanceNormalization", &inputs, &y, &[("epsilon", Float(descriptor.epsilon))]);
                Ok(())
            }
            Recipe::BatchNorm { descriptor, has } => {
                let attributes = [("epsilon", Float(descriptor.epsilon))];
                let inputs = self.with_ones(&y, inputs, *has, self.channels(node))?;
                self.activated(descriptor.activation, &y, |writer, y| writer.push("BatchNormalization", &inputs, y, &attributes))
            }
            Recipe::Lrn(d) => {
                self.push(
                    "LRN",
                    &inputs,
                    &y,
                    &[("size", Int(d.size as i64)), ("alpha", Float(d.alpha)), ("beta", Float(d.beta)), ("bias", Float(d.bias))],
                );
                Ok(())
            }
            Recipe::Resize(d) => {
                if d.scales.is_some() {
                    return Err("its scales are given beside its sizes".into());
                }
                let rank = self.graph.rank(node.inputs()[0]);
                let axes: Vec<usize> = (rank - d.sizes.len()..rank).collect();
                let sizes = self.integers(&format!("{y}.sizes"), &d.sizes.iter().map(|&n| n as i64).collect::<Vec<_>>());
                let coordinates = match d.coordinates {
                    CoordinateMode::HalfPixel => "half_pixel",
                    CoordinateMode::Asymmetric => "asymmetric",
                    CoordinateMode::AlignCorners => "align_corners",
                };
                let mut attributes = vec![("axes", list(&axes)), ("coordinate_transformation_mode", Text(coordinates))];
                match d.mode {
                    ResizeMode::Linear => attributes.push(("mode", Text("linear"))),
                    ResizeMode::Nearest(mode) => {
                        let mode = match mode {
                            NearestMode::Floor => "floor",
                            NearestMode::Ceil => "ceil",
                            NearestMode::RoundPreferFloor => "round_prefer_floor",
                            NearestMode::RoundPreferCeil => "round_prefer_ceil",
                        };
                        attributes.extend([("mode", Text("nearest")), ("nearest_mode", Text(mode))]);
                    }
                }
                let none = String::new;
                self.push("Resize", &[inputs[0].clone(), none(), none(), sizes], &y, &attributes);
                Ok(())
            }
            Recipe::Pad(d) => {
                let pads = self.integers(&format!("{y}.pads"), &d.pads.iter().map(|&n| n as i64).collect::<Vec<_>>());
                let mut all = vec![inputs[0].clone(), pads];
                let mode = match d.mode {
                    PadMode::Constant(value) => {
                        all.push(self.floats(&format!("{y}.value"), &[], &[value]));
                        "constant"
                    }
                    PadMode::Reflect => "reflect",
                    PadMode::Replicate => "edge",
                    PadMode::Circular => "wrap",
                };
                self.push("Pad", &all, &y, &[("mode", Text(mode))]);
                Ok(())
            }
            Recipe::Concat { axis } => {
                self.push("Concat", &inputs, &y, &[("axis", Int(*axis as i64))]);
                Ok(())
            }
            Recipe::Transpose { perm } => {
                self.push("Transpose", &inputs, &y, &[("perm", list(perm))]);
                Ok(())
            }
            Recipe::SpaceToDepth(d) if d.mode == DepthToSpaceMode::Dcr => {
                self.push("SpaceToDepth", &inputs, &y, &[("blocksize", Int(d.block as i64))]);
                Ok(())
            }
            Recipe::DepthToSpace(d) => {
                let mode = if d.mode == DepthToSpaceMode::Dcr { "DCR" } else { "CRD" };
                self.push("DepthToSpace", &inputs, &y, &[("blocksize", Int(d.block as i64)), ("mode", Text(mode))]);
                Ok(())
            }
            Recipe::Reshape { shape } => {
                let shape = self.integers(&format!("{y}.shape"), &shape.iter().map(|&n| n as i64).collect::<Vec<_>>());
                self.push("Reshape", &[inputs[0].clone(), shape], &y, &[]);
                Ok(())
            }
            Recipe::Flatten { axis } => {
                self.push("Flatten", &inputs, &y, &[("axis", Int(*axis as i64))]);
                Ok(())
            }
            // Inputs are channels first, so that nothing lies otherwise before a conversion.
            Recipe::Identity | Recipe::Dropout { .. } | Recipe::ToLayout(Layout::ChannelsFirst) => {
                self.push("Identity", &inputs, &y, &[]);
                Ok(())
            }
            other => Err(format!("{} is not written", other.name())),
        }
    }

    fn channels(&self, node: &Node) -> Option<Vec<usize>> {
        self.graph.extent(node.inputs()[0], 1).map(|channels| vec![channels])
    }

    /// What a norm reads, with ones for a scale and zeros for a bias that it has not: ONNX's ops have both.
    fn with_ones(&mut self, y: &str, mut inputs: Vec<String>, has: [bool; 2], extents: Option<Vec<usize>>) -> Result<Vec<String>, String> {
        for (at, (part, number)) in [("scale", 1.0), ("bias", 0.0)].into_iter().enumerate() {
            if !has[at] {
                let extents = extents.as_ref().ok_or("it has no scale or no bias, ONNX's op has both, and how many is not known")?;
                let numbers = vec![number; extents.iter().product()];
                inputs.insert(1 + at, self.floats(&format!("{y}.{part}"), extents, &numbers));
            }
        }
        Ok(inputs)
    }

    /// Numbers that may count from the end.
    fn signed(&mut self, stem: &str, numbers: &[isize]) -> String {
        self.integers(stem, &numbers.iter().map(|&n| n as i64).collect::<Vec<_>>())
    }

    /// What `write` gives under a name, and its activation behind it as `y`.
    fn activated(&mut self, activation: Activation, y: &str, write: impl FnOnce(&mut Self, &str)) -> Result<(), String> {
        if activation == Activation::None {
            write(self, y);
            return Ok(());
        }
        let sum = self.unused(&format!("{y}.sum"));
        write(self, &sum);
        self.activation(activation, &sum, y)
    }

    fn conv<const N: usize>(&mut self, d: &ConvDescriptor<N>, inputs: &[String], y: &str) -> Result<(), String> {
        if d.padding_mode != PaddingMode::Zeros {
            return Err("ONNX's Conv pads with zeros: put a pad before it".into());
        }
        if d.pool.is_some() {
            return Err("a pass fused a pool into it: export the graph from before passes".into());
        }
        let mut attributes = vec![("strides", list(&d.stride)), ("dilations", list(&d.dilation)), ("group", Int(d.groups as i64))];
        attributes.extend(padded(&d.padding));
        self.activated(d.activation, y, |writer, y| writer.push("Conv", inputs, y, &attributes))
    }

    fn conv_transpose<const N: usize>(&mut self, d: &ConvTransposeDescriptor<N>, inputs: &[String], y: &str) -> Result<(), String> {
        let mut attributes = vec![("strides", list(&d.stride)), ("dilations", list(&d.dilation)), ("group", Int(d.groups as i64))];
        attributes.push(("output_padding", list(&d.output_padding)));
        attributes.extend(d.output_shape.map(|shape| ("output_shape", list(&shape))));
        attributes.extend(padded(&d.padding));
        self.activated(d.activation, y, |writer, y| writer.push("ConvTranspose", inputs, y, &attributes))
    }

    fn pool<const N: usize>(&mut self, d: &PoolDescriptor<N>, inputs: &[String], y: &str) -> Result<(), String> {
        let stride = d.stride.unwrap_or(d.window);
        let mut attributes = vec![("kernel_shape", list(&d.window)), ("strides", list(&stride)), ("dilations", list(&d.dilation))];
        attributes.push(("ceil_mode", Int(i64::from(d.ceil_mode))));
        attributes.extend(padded(&d.padding));
        let op = match d.kind {
            PoolKind::Max { .. } => "MaxPool",
            PoolKind::Average { count_include_pad } => {
                attributes.push(("count_include_pad", Int(i64::from(count_include_pad))));
                "AveragePool"
            }
            PoolKind::Lp { p } => {
                attributes.push(("p", power(p)?));
                "LpPool"
            }
        };
        self.push(op, inputs, y, &attributes);
        Ok(())
    }

    fn global_pool(&mut self, kind: PoolKind, inputs: &[String], y: &str) -> Result<(), String> {
        let (op, attributes): (_, Attributes) = match kind {
            PoolKind::Max { .. } => ("GlobalMaxPool", vec![]),
            PoolKind::Average { .. } => ("GlobalAveragePool", vec![]),
            PoolKind::Lp { p } => ("GlobalLpPool", vec![("p", power(p)?)]),
        };
        self.push(op, inputs, y, &attributes);
        Ok(())
    }

    /// Windows of one size where the input's extents are multiples of the output's; ONNX has no other.
    fn adaptive_pool<const N: usize>(&mut self, d: &AdaptivePoolDescriptor<N>, node: &Node, inputs: &[String], y: &str) -> Result<(), String> {
        if d.output == [1; N] {
            return self.global_pool(d.kind, inputs, y);
        }
        let mut window = [0; N];
        for (axis, window) in window.iter_mut().enumerate() {
            let extent = self.graph.extent(node.inputs()[0], axis + 2).filter(|extent| extent % d.output[axis].max(1) == 0);
            *window =
                extent.ok_or("ONNX has no windows of several sizes, and these extents are no multiples of its outputs'")? / d.output[axis].max(1);
        }
        self.pool(&PoolDescriptor::window(window).with_kind(d.kind), inputs, y)
    }

    /// Rows of weights are an output each, as Gemm has them transposed; along more than two axes the product is a MatMul with turned weights.
    fn linear(&mut self, activation: Activation, node: &Node, mut inputs: Vec<String>, y: &str) -> Result<(), String> {
        if self.graph.rank(node.inputs()[0]) == 2 {
            return self.activated(activation, y, |writer, y| writer.push("Gemm", &inputs, y, &[("transB", Int(1))]));
        }
        let (Some(numbers), Some(&[rows, columns])) = (self.graph.numbers(node.inputs()[1]), self.graph.extents(node.inputs()[1]).as_deref()) else {
            return Err("its weights are computed, and turned where it has more than two axes".into());
        };
        let own = numbers.as_f32();
        let turned: Vec<f32> = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column)).map(|at| own[at]).collect();
        inputs[1] = self.floats(&format!("{}.turned", inputs[1]), &[columns, rows], &turned);
        self.activated(activation, y, |writer, y| match inputs.get(2) {
            None => writer.push("MatMul", &inputs, y, &[]),
            Some(bias) => {
                let product = writer.unused(&format!("{y}.product"));
                writer.push("MatMul", &inputs[..2], &product, &[]);
                writer.push("Add", &[product, bias.clone()], y, &[]);
            }
        })
    }

    fn activation(&mut self, activation: Activation, x: &str, y: &str) -> Result<(), String> {
        let x = x.to_string();
        let (op, attributes): (_, Attributes) = match activation {
            Activation::None => ("Identity", vec![]),
            Activation::Relu => ("Relu", vec![]),
            Activation::LeakyRelu { alpha } => ("LeakyRelu", vec![("alpha", Float(alpha))]),
            Activation::Relu6 => return self.clip(&x, [0.0, 6.0], y),
            Activation::Clip { min, max } => return self.clip(&x, [min, max], y),
            Activation::Sigmoid => ("Sigmoid", vec![]),
            Activation::Tanh => ("Tanh", vec![]),
            Activation::Silu => {
                // ONNX's Swish came with opset 24, which few engines have.
                let gate = self.unused(&format!("{y}.gate"));
                self.push("Sigmoid", std::slice::from_ref(&x), &gate, &[]);
                self.push("Mul", &[x, gate], y, &[]);
                return Ok(());
            }
            Activation::Gelu => ("Gelu", vec![]),
            Activation::GeluTanh => ("Gelu", vec![("approximate", Text("tanh"))]),
            Activation::HardSwish => ("HardSwish", vec![]),
            Activation::HardSigmoid { alpha, beta } => ("HardSigmoid", vec![("alpha", Float(alpha)), ("beta", Float(beta))]),
            Activation::Elu { alpha } => ("Elu", vec![("alpha", Float(alpha))]),
            Activation::Selu { alpha, gamma } => ("Selu", vec![("alpha", Float(alpha)), ("gamma", Float(gamma))]),
            Activation::Celu { alpha } => ("Celu", vec![("alpha", Float(alpha))]),
            Activation::Softplus => ("Softplus", vec![]),
            Activation::Softsign => ("Softsign", vec![]),
            Activation::Mish => ("Mish", vec![]),
            Activation::Threshold { threshold, value: 0.0 } => ("ThresholdedRelu", vec![("alpha", Float(threshold))]),
            Activation::Threshold { value, .. } => return Err(format!("ONNX's ThresholdedRelu gives 0 below the threshold, and this one {value}")),
            _ => return Err(format!("the activation {} is not written", activation.name())),
        };
        self.push(op, &[x], y, &attributes);
        Ok(())
    }

    fn clip(&mut self, x: &str, bounds: [f32; 2], y: &str) -> Result<(), String> {
        let mut inputs = vec![x.to_string()];
        for (name, bound) in ["min", "max"].into_iter().zip(bounds) {
            inputs.push(self.floats(&format!("{y}.{name}"), &[], &[bound]));
        }
        self.push("Clip", &inputs, y, &[]);
        Ok(())
    }
}

/// The op of one tensor.
fn unary(op: UnaryOp) -> Result<&'static str, String> {
    Ok(match op {
        UnaryOp::Identity => "Identity",
        UnaryOp::Abs => "Abs",
        UnaryOp::Neg => "Neg",
        UnaryOp::Sign => "Sign",
        UnaryOp::Floor => "Floor",
        UnaryOp::Ceil => "Ceil",
        UnaryOp::Round => "Round",
        UnaryOp::Sqrt => "Sqrt",
        UnaryOp::Reciprocal => "Reciprocal",
        UnaryOp::Exp => "Exp",
        UnaryOp::Log => "Log",
        UnaryOp::Erf => "Erf",
        UnaryOp::Sin => "Sin",
        UnaryOp::Cos => "Cos",
        other => return Err(format!("{} is not written", other.name())),
    })
}

/// The power of a pool, which ONNX has as an integer.
fn power(p: f32) -> Result<Attribute<'static>, String> {
    if p.fract() == 0.0 && (1.0..1e9).contains(&p) { Ok(Int(p as i64)) } else { Err(format!("p is {p}, and ONNX's is a positive integer")) }
}
