//! A network as it is built: the chain of its ops in order, each with the values that it reads and the one that it writes, and the
//! distinct layers among them. Shapes follow from the input's; nothing is said twice.

use super::{Kind, Layer};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::op::named::{self, Inputs};
use wgconv::op::{Op, Problem};
use wgconv::{Activation, Padding, TensorType};

/// Ops over values, or, for a suite that is no network, ops alone.
pub struct Network {
    /// The distinct layers, in the order in which they first come.
    pub layers: Vec<Layer>,
    /// Every op, in order.
    pub nodes: Vec<Node>,
    /// What ops read and write; the first is the network's input.
    pub values: Vec<Value>,
    kind: Kind,
    batch: usize,
}

/// An op of the chain.
pub struct Node {
    /// The layer that it is an instance of.
    layer: usize,
    /// The inputs that are no weights, in the op's order.
    pub inputs: Vec<ValueId>,
    pub output: ValueId,
    /// Variance of its weights times the terms that an output sums.
    gain: f64,
    /// Whether its result is added to that of another branch.
    residual: bool,
}

/// A tensor between ops.
pub struct Value {
    pub extents: Vec<usize>,
    /// The value whose elements this one is under another shape.
    pub view_of: Option<ValueId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueId(pub usize);

/// A square 2-D convolution of its input.
#[derive(Clone, Copy)]
pub struct Square {
    pub filters: usize,
    pub size: usize,
    pub stride: usize,
    /// Of groups, one a channel.
    pub depthwise: bool,
    pub padding: Padding<2>,
    pub activation: Activation,
}

/// As many positions as the input has, over the stride; ReLU.
pub fn same(filters: usize, size: usize, stride: usize) -> Square {
    Square { filters, size, stride, depthwise: false, padding: Padding::uniform(size / 2), activation: Activation::Relu }
}

/// Windows inside the input alone; ReLU.
pub fn valid(filters: usize, size: usize) -> Square {
    Square { padding: Padding::Valid, ..same(filters, size, 1) }
}

/// A value, or why there is none.
pub type Made = Result<ValueId, String>;

/// The gain that keeps magnitudes from layer to layer (He and others, 2015): a rectifier halves the mean square.
fn gain(activation: Activation) -> f64 {
    if matches!(activation, Activation::Relu | Activation::Relu6) { 2.0 } else { 1.0 }
}

impl Network {
    pub fn new(kind: Kind, batch: usize) -> Self {
        Self { layers: Vec::new(), nodes: Vec::new(), values: Vec::new(), kind, batch }
    }

    /// The op of a node.
    pub fn op(&self, node: &Node) -> &Op {
        self.layer(node).op()
    }

    pub fn layer(&self, node: &Node) -> &Layer {
        &self.layers[node.layer]
    }

    /// The value itself, or the one whose elements it shows.
    pub fn root(&self, value: ValueId) -> ValueId {
        self.values[value.0].view_of.unwrap_or(value)
    }

    pub fn input(&self) -> ValueId {
        ValueId(0)
    }

    /// What the last op writes.
    pub fn output(&self) -> ValueId {
        self.nodes.last().map_or(ValueId(0), |node| node.output)
    }

    /// Variance of a node's weights. Branches that are added to another are scaled down by their number, so that magnitudes stay bounded
    /// however deep the network is (Radford and others, 2019).
    pub fn variance(&self, node: &Node) -> f64 {
        let branches = if node.residual { self.nodes.iter().filter(|node| node.residual).count() } else { 1 };
        node.gain / self.op(node).terms() as f64 / branches as f64
    }

    pub fn flops(&self) -> f64 {
        self.nodes.iter().map(|node| self.op(node).flops()).sum()
    }

    /// Bytes that its ops must move at least, each tensor once an op.
    pub fn bytes(&self) -> u64 {
        self.nodes.iter().map(|node| self.op(node).bytes()).sum()
    }

    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> u64 {
        self.nodes.iter().flat_map(|node| self.op(node).inputs()).filter(|spec| spec.constant).map(|spec| spec.bytes()).sum()
    }

    fn value(&mut self, extents: Vec<usize>, view_of: Option<ValueId>) -> ValueId {
        self.values.push(Value { extents, view_of });
        ValueId(self.values.len() - 1)
    }

    fn extents(&self, value: ValueId) -> &[usize] {
        &self.values[value.0].extents
    }

    /// Channels and extent of a square image.
    pub fn square(&self, value: ValueId) -> (usize, usize) {
        let extents = self.extents(value);
        (extents[1], extents[2])
    }

    /// A value that no op writes; `extents` are those of one image.
    pub fn given(&mut self, extents: &[usize]) -> ValueId {
        let extents = [&[self.batch], extents].concat();
        self.value(extents, None)
    }

    /// A square image for each of the batch.
    pub fn image(&mut self, channels: usize, extent: usize) -> ValueId {
        self.given(&[channels, extent, extent])
    }

    fn push(&mut self, name: String, op: Op, inputs: Vec<ValueId>, gain: f64, residual: bool) -> Made {
        let layer = Layer { name, op };
        let extents = layer.op().outputs()[0].tensor.extents.clone();
        let place = match self.layers.iter().position(|known| known.name == layer.name) {
            Some(place) if self.layers[place].op().to_string() != layer.op().to_string() => {
                return Err(format!("{} names both {} and {}", layer.name, self.layers[place].op(), layer.op()));
            }
            Some(place) => place,
            None => {
                self.layers.push(layer);
                self.layers.len() - 1
            }
        };
        let output = self.value(extents, None);
        self.nodes.push(Node { layer: place, inputs, output, gain, residual });
        Ok(output)
    }

    pub fn conv(&mut self, x: ValueId, square: Square) -> Made {
        self.conv_and_add(x, square, None)
    }

    /// A convolution to whose result `residual` is added before the activation.
    pub fn conv_and_add(&mut self, x: ValueId, square: Square, residual: Option<ValueId>) -> Made {
        let Square { filters, size, stride, depthwise, padding, activation } = square;
        let (channels, extent) = self.square(x);
        let kind = if depthwise { "dw" } else { "" };
        let step = if stride > 1 { format!("_s{stride}") } else { String::new() };
        let suffix = match (residual, activation) {
            (Some(_), _) => "_add",
            (None, Activation::None) => "_linear",
            _ => "",
        };
        let name = format!("{kind}{size}x{size}_{channels}_{filters}_{extent}{step}{suffix}");
        let groups = if depthwise { channels } else { 1 };
        let descriptor = Conv2dDescriptor { stride: [stride; 2], padding, groups, activation, accuracy: self.kind.accuracy, ..Default::default() };
        let (filter, bias) = ([filters, channels / groups, size, size], [filters]);
        let Kind { element, layout, .. } = self.kind;
        let inputs = ConvInputs { x: TensorType::new(self.extents(x), element, layout), filter: &filter, bias: Some(&bias), y_layout: layout };
        let problem = ConvProblem::forward(&inputs, &descriptor).map_err(|e| e.to_string())?;
        let op = Op::from(problem.with_residual(residual.is_some()));
        self.push(name, op, [x].into_iter().chain(residual).collect(), gain(activation), residual.is_some())
    }

    pub fn depthwise(&mut self, x: ValueId, stride: usize, activation: Activation) -> Made {
        let (channels, _) = self.square(x);
        self.conv(x, Square { depthwise: true, activation, ..same(channels, 3, stride) })
    }

    /// Any op by its name in the vocabulary of test vectors, of values and of weights by their shapes.
    pub fn call(&mut self, name: String, op: &str, attrs: &Json, values: &[(&str, ValueId)], weights: &[(&str, &[usize])], gain: f64) -> Made {
        let values_given = values.iter().map(|(role, value)| (*role, self.extents(*value)));
        let given: BTreeMap<String, TensorType> = values_given
            .chain(weights.iter().copied())
            .map(|(role, shape)| (role.to_string(), TensorType::new(shape, self.kind.element, self.kind.layout)))
            .collect();
        let inputs = Inputs { given: &given, accuracy: self.kind.accuracy, extras: false };
        let mut steps = named::build(op, attrs, &inputs).map_err(|why| format!("{name}: {why}"))?.steps;
        let step = steps.pop().filter(|_| steps.is_empty()).ok_or_else(|| format!("{name}: {op} is not one op"))?;
        let read = step.tensors.iter().filter_map(|role| values.iter().find(|(name, _)| name == role)).map(|(_, value)| *value).collect();
        self.push(name, step.op, read, gain, false)
    }

    pub fn pool(&mut self, op: &str, x: ValueId, size: usize, stride: usize, pad: usize) -> Made {
        let (channels, extent) = self.square(x);
        let attrs = json!({"kernel_shape": [size, size], "strides": [stride, stride], "pads": [pad, pad, pad, pad]});
        let name = format!("{}{size}x{size}_{channels}_{extent}_s{stride}", if op == "max_pool" { "maxpool" } else { "avgpool" });
        self.call(name, op, &attrs, &[("x", x)], &[], 1.0)
    }

    pub fn global_average(&mut self, x: ValueId) -> Made {
        let (channels, extent) = self.square(x);
        self.call(format!("global_avgpool_{channels}_{extent}"), "global_average_pool", &json!({}), &[("x", x)], &[], 1.0)
    }

    /// Everything of an image in one row; copies nothing.
    pub fn flatten(&mut self, x: ValueId) -> ValueId {
        let extents = self.extents(x);
        let row = vec![extents[0], extents[1..].iter().product()];
        let root = self.root(x);
        self.value(row, Some(root))
    }

    pub fn dense(&mut self, x: ValueId, outputs: usize, activation: Activation) -> Made {
        let inputs = self.extents(x)[1];
        let attrs = json!({"activation": {"type": activation.name()}});
        let weights: &[(&str, &[usize])] = &[("w", &[outputs, inputs]), ("b", &[outputs])];
        self.call(format!("dense_{inputs}_{outputs}"), "linear", &attrs, &[("x", x)], weights, gain(activation))
    }

    pub fn softmax(&mut self, x: ValueId) -> Made {
        let classes = self.extents(x)[1];
        self.call(format!("softmax_{classes}"), "softmax", &json!({"axis": 1}), &[("x", x)], &[], 1.0)
    }

    /// A transposed convolution by 2 x 2 with stride 2. Of its taps an output reads one in four, hence the gain.
    pub fn up(&mut self, x: ValueId, filters: usize) -> Made {
        let (channels, extent) = self.square(x);
        let attrs = json!({"kernel_shape": [2, 2], "strides": [2, 2]});
        let weights: &[(&str, &[usize])] = &[("w", &[channels, filters, 2, 2]), ("b", &[filters])];
        self.call(format!("up2x2_{channels}_{filters}_{extent}"), "conv_transpose", &attrs, &[("x", x)], weights, 4.0)
    }

    /// The middle of `x`, as large as `like`.
    pub fn crop(&mut self, x: ValueId, like: ValueId) -> Made {
        let ((channels, from), (_, to)) = (self.square(x), self.square(like));
        let start = (from - to) / 2;
        let attrs = json!({"starts": [start, start], "ends": [start + to, start + to], "axes": [2, 3], "steps": [1, 1]});
        self.call(format!("crop_{channels}_{from}_{to}"), "slice", &attrs, &[("x", x)], &[], 1.0)
    }

    /// The channels of both.
    pub fn concat(&mut self, a: ValueId, b: ValueId) -> Made {
        let (channels, extent) = self.square(a);
        self.call(format!("concat_{channels}_{extent}"), "concat", &json!({"axis": 1}), &[("x0", a), ("x1", b)], &[], 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_op() {
        let mut network = Network::new(Kind::PLAIN, 1);
        let x = network.image(1, 32);
        let y = network.conv(x, valid(6, 5)).unwrap();
        assert_eq!(network.conv(x, valid(6, 5)).map(|z| z == y), Ok(false), "an op of its own");
        assert_eq!((network.layers.len(), network.nodes.len()), (1, 2), "of the same layer");
        let why = network.conv(x, Square { activation: Activation::Tanh, ..valid(6, 5) }).unwrap_err();
        assert!(why.starts_with("5x5_1_6_32 names both n1c1h32w32") && why.ends_with("_tanh"), "{why}");
    }
}
