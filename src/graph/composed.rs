//! Activations that came as several ops, as files have them whose format had no op for one: found by what they compute, and made one op.
//!
//! PyTorch's exporter writes a SiLU as x sigmoid(x), a GELU by the error function, and before ONNX had them Mish and hard swish by their formulas too.

use super::passes::{Pass, Work};
use super::{Numbers, Recipe, ValueId};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp};
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryOp};
use crate::types::Activation;

/// A product of numbers and values, with the nodes that compute it.
#[derive(Debug, Clone)]
struct Product {
    number: f64,
    values: Vec<ValueId>,
    nodes: Vec<usize>,
}

/// Whether a constant of a file is this number: it was rounded to f32, and perhaps computed there.
fn is_about(number: f64, wanted: f64) -> bool {
    (number - wanted).abs() <= 1e-6 * wanted.abs()
}

impl Work {
    /// Several ops that compute an activation of one value become that activation.
    pub(super) fn find_activations(&mut self) {
        for i in self.live() {
            let Some((activation, x, mut nodes)) = self.composed(i) else { continue };
            nodes.retain(|&node| node != i);
            nodes.sort_unstable();
            let name = self.node(i).name.clone();
            let names: Vec<String> = nodes.iter().chain([&i]).map(|&node| self.node(node).name.clone()).collect();
            if self.put(i, name, Recipe::Activation(activation), vec![x], &nodes) {
                self.note(Pass::FindActivation, format!("{} are {}", names.join(", "), activation.name()));
            }
        }
    }

    /// The activation that a product of node `i` is, its argument, and the nodes that compute it.
    fn composed(&self, i: usize) -> Option<(Activation, ValueId, Vec<usize>)> {
        let product = self.product(i)?;
        let &[a, b] = &product.values[..] else { return None };
        [(a, b), (b, a)].into_iter().find_map(|(x, gate)| {
            let (activation, nodes) = self.gated(product.number, x, gate)?;
            Some((activation, x, [&product.nodes[..], &nodes].concat()))
        })
    }

    /// The activation `number` x `gate`, where the gate is computed from x, and the nodes of that.
    fn gated(&self, number: f64, x: ValueId, gate: ValueId) -> Option<(Activation, Vec<usize>)> {
        let node = self.producer_of(gate)?;
        match self.node(node).recipe {
            Recipe::Activation(of_gate) if is_about(number, 1.0) => {
                let read = self.node(node).inputs[0];
                match of_gate {
                    Activation::Sigmoid if read == x => Some((Activation::Silu, vec![node])),
                    Activation::HardSigmoid { alpha, beta } if read == x && is_about(alpha.into(), 1.0 / 6.0) && beta == 0.5 => {
                        Some((Activation::HardSwish, vec![node]))
                    }
                    Activation::Tanh => {
                        let inner = self.producer_of(read)?;
                        let is_softplus =
                            matches!(self.node(inner).recipe, Recipe::Activation(Activation::Softplus)) && self.node(inner).inputs[0] == x;
                        is_softplus.then(|| (Activation::Mish, vec![node, inner]))
                    }
                    _ => None,
                }
            }
            // x clip(x + 3, 0, 6) / 6
            Recipe::Activation(Activation::Relu6 | Activation::Clip { min: 0.0, max: 6.0 }) if is_about(number, 1.0 / 6.0) => {
                let (shifted, sum) = self.shifted(self.node(node).inputs[0], 3.0)?;
                (shifted == x).then(|| (Activation::HardSwish, vec![node, sum]))
            }
            // x (1 + f) / 2
            Recipe::Binary(_) if is_about(number, 0.5) => {
                let (function, sum) = self.shifted(gate, 1.0)?;
                let inner = self.producer_of(function)?;
                let argument = self.node(inner).inputs[0];
                let nodes = vec![sum, inner];
                match self.node(inner).recipe {
                    Recipe::Unary(UnaryDescriptor { op: UnaryOp::Erf, activation: Activation::None }) => {
                        let argument = self.product(self.producer_of(argument)?)?;
                        let is_own = argument.values == [x] && is_about(argument.number, std::f64::consts::FRAC_1_SQRT_2);
                        is_own.then(|| (Activation::Gelu, [nodes, argument.nodes].concat()))
                    }
                    Recipe::Activation(Activation::Tanh) => Some((Activation::GeluTanh, [nodes, self.argument_of_gelu_tanh(argument, x)?].concat())),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The nodes of sqrt(2 / pi) (x + 0.044715 x^3).
    fn argument_of_gelu_tanh(&self, argument: ValueId, x: ValueId) -> Option<Vec<usize>> {
        let outer = self.product(self.producer_of(argument)?)?;
        let &[sum] = &outer.values[..] else { return None };
        if !is_about(outer.number, (2.0 / std::f64::consts::PI).sqrt()) {
            return None;
        }
        let at = self.producer_of(sum)?;
        let Recipe::Binary(BinaryDescriptor { op: BinaryOp::Add, activation: Activation::None }) = self.node(at).recipe else { return None };
        let &[a, b] = &self.node(at).inputs[..] else { return None };
        let term = if a == x { b } else { a };
        if a != x && b != x {
            return None;
        }
        let inner = self.product(self.producer_of(term)?)?;
        let mut nodes = [outer.nodes, vec![at], inner.nodes].concat();
        let is_cube = match inner.values[..] {
            [a, b, c] => [a, b, c] == [x; 3],
            [power] => {
                let at = self.producer_of(power)?;
                let Recipe::Binary(BinaryDescriptor { op: BinaryOp::Power, activation: Activation::None }) = self.node(at).recipe else {
                    return None;
                };
                let &[base, exponent] = &self.node(at).inputs[..] else { return None };
                nodes.push(at);
                base == x && self.scalar(exponent) == Some(3.0)
            }
            _ => false,
        };
        (is_cube && is_about(inner.number, 0.044715)).then_some(nodes)
    }

    /// The node that gives a value which nothing else reads.
    fn producer_of(&self, value: ValueId) -> Option<usize> {
        self.producer(value).filter(|&node| !self.gone[node] && self.is_read_once(value))
    }

    /// The one number of a parameter or constant.
    pub(super) fn scalar(&self, value: ValueId) -> Option<f64> {
        let numbers = self.graph.numbers(value)?;
        let one = match numbers {
            Numbers::F32(array) => array.iter().next().map(|&v| f64::from(v)),
            Numbers::F16(array) => array.iter().next().map(|v| v.to_f64()),
        };
        one.filter(|_| numbers.tensor_type().extents.iter().all(|&extent| extent == 1))
    }

    /// What a sum of a value and `number` has the number added to, and its node.
    fn shifted(&self, sum: ValueId, number: f64) -> Option<(ValueId, usize)> {
        let node = self.producer_of(sum)?;
        let Recipe::Binary(BinaryDescriptor { op: BinaryOp::Add, activation: Activation::None }) = self.node(node).recipe else { return None };
        let &[a, b] = &self.node(node).inputs[..] else { return None };
        [(a, b), (b, a)].into_iter().find(|(_, own)| self.scalar(*own) == Some(number)).map(|(value, _)| (value, node))
    }

    /// The factors of node `i`, products and quotients by numbers taken apart where nothing else reads them.
    fn product(&self, i: usize) -> Option<Product> {
        /// An activation has no more in a row; a file may have any number.
        const DEEPEST: usize = 4;
        self.product_within(i, DEEPEST)
    }

    fn product_within(&self, i: usize, deepest: usize) -> Option<Product> {
        let Recipe::Binary(BinaryDescriptor { op, activation: Activation::None }) = self.node(i).recipe else { return None };
        let &[a, b] = &self.node(i).inputs[..] else { return None };
        let mut product = Product { number: 1.0, values: vec![], nodes: vec![i] };
        let factors = match op {
            BinaryOp::Mul => vec![a, b],
            BinaryOp::Div => {
                product.number = 1.0 / self.scalar(b)?;
                vec![a]
            }
            _ => return None,
        };
        for factor in factors {
            match (self.scalar(factor), self.producer_of(factor).and_then(|node| self.product_within(node, deepest.checked_sub(1)?))) {
                (Some(number), _) => product.number *= number,
                (None, Some(inner)) => {
                    product.number *= inner.number;
                    product.values.extend(inner.values);
                    product.nodes.extend(inner.nodes);
                }
                (None, None) => product.values.push(factor),
            }
        }
        Some(product)
    }
}
