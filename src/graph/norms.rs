//! Layer norms that came as several ops, as exporters wrote them before ONNX had an op for one: (x - mean) / sqrt(variance + epsilon), found by what is
//! computed, and made one op with the scale and the bias behind it.
//!
//! One op reads x from memory once or twice, where the ops read or write it ten times.

use super::passes::{Pass, Work};
use super::{Recipe, ValueId};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp};
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryOp};
use crate::ops::norm::rows::LayerNormDescriptor;
use crate::ops::reduce::{ReduceDescriptor, ReduceKind};
use crate::types::Activation;
use crate::types::shape::front_axis;

/// A layer norm without scale and bias, and the nodes that compute it.
struct Found {
    x: ValueId,
    axis: usize,
    epsilon: f32,
    nodes: Vec<usize>,
}

impl Work {
    /// Several ops that compute a layer norm become one, which a scale and a bias go into.
    pub(super) fn find_norms(&mut self) {
        for i in self.live() {
            let Some(Found { x, axis, epsilon, mut nodes }) = self.norm_of(i) else { continue };
            nodes.retain(|&node| node != i);
            nodes.sort_unstable();
            nodes.dedup();
            let mut names: Vec<String> = nodes.iter().chain([&i]).map(|&node| self.node(node).name.clone()).collect();
            let descriptor = LayerNormDescriptor { axis: axis as isize, epsilon };
            let mut inputs = vec![x];
            let mut has = [false; 2];
            let mut at = i;
            if !self.put(at, self.node(at).name.clone(), Recipe::LayerNorm { descriptor, has }, inputs.clone(), &nodes) {
                continue;
            }
            for (which, op) in [BinaryOp::Mul, BinaryOp::Add].into_iter().enumerate() {
                let Some((next, vector)) = self.behind(at, op, x, axis) else { continue };
                has[which] = true;
                inputs.push(vector);
                let name = self.node(next).name.clone();
                if self.put(next, name.clone(), Recipe::LayerNorm { descriptor, has }, inputs.clone(), &[at]) {
                    names.push(name);
                    at = next;
                } else {
                    has[which] = false;
                    inputs.pop();
                }
            }
            self.note(Pass::FindNorm, format!("{} are layer_norm", names.join(", ")));
        }
    }

    /// The layer norm whose quotient node `i` is.
    fn norm_of(&self, i: usize) -> Option<Found> {
        let [centred, deviation] = self.operands(i, BinaryOp::Div)?;
        let (root, difference) = (self.made_by(deviation)?, self.made_by(centred)?);
        let Recipe::Unary(UnaryDescriptor { op: UnaryOp::Sqrt, activation: Activation::None }) = self.node(root).recipe else { return None };
        let sum = self.made_by(self.node(root).inputs[0])?;
        let [a, b] = self.operands(sum, BinaryOp::Add)?;
        let (variance, epsilon) = [(a, b), (b, a)].into_iter().find_map(|(value, number)| Some((value, self.scalar(number)?)))?;
        let (of_squares, axes_of_squares) = self.mean(variance)?;
        let square = self.made_by(self.node(of_squares).inputs[0])?;
        let squared = self.squared(square)?;
        let [x, mean] = self.operands(difference, BinaryOp::Sub)?;
        let (of_x, axes) = self.mean(mean)?;
        let mut nodes = vec![i, root, difference, sum, of_squares, square, of_x];
        if squared != centred {
            // The same difference once more.
            let again = self.made_by(squared)?;
            let [other_x, other_mean] = self.operands(again, BinaryOp::Sub)?;
            let (other_of_x, other_axes) = self.mean(other_mean)?;
            if other_x != x || other_axes != axes || self.node(other_of_x).inputs[0] != x {
                return None;
            }
            nodes.extend([again, other_of_x]);
        }
        let rank = self.graph.types[x.0][0].extents.len();
        let first = *axes.first()?;
        let is_norm = self.node(of_x).inputs[0] == x && axes == axes_of_squares && axes.iter().copied().eq(first..rank) && epsilon > 0.0;
        let found = Found { x, axis: first, epsilon: epsilon as f32, nodes };
        (is_norm && self.are_read_within(i, &found.nodes)).then_some(found)
    }

    /// The node behind node `at` that multiplies or adds a tensor with the extents of the normalised axes, and that tensor.
    fn behind(&self, at: usize, op: BinaryOp, x: ValueId, axis: usize) -> Option<(usize, ValueId)> {
        let y = self.node(at).outputs[0];
        let next = self.live().into_iter().find(|&node| self.node(node).inputs.contains(&y))?;
        let [a, b] = self.operands(next, op)?;
        let vector = if a == y { b } else { a };
        let fits = |probe: usize| self.graph.types[vector.0][probe].extents[..] == self.graph.types[x.0][probe].extents[axis..];
        (self.is_read_once(y) && fits(0) && fits(1)).then_some((next, vector))
    }

    /// The operands of a node of this op without an activation.
    fn operands(&self, node: usize, wanted: BinaryOp) -> Option<[ValueId; 2]> {
        match self.node(node).recipe {
            Recipe::Binary(BinaryDescriptor { op, activation: Activation::None }) if op == wanted => {
                <[ValueId; 2]>::try_from(&self.node(node).inputs[..]).ok()
            }
            _ => None,
        }
    }

    /// What a node squares.
    fn squared(&self, node: usize) -> Option<ValueId> {
        if let Some([a, b]) = self.operands(node, BinaryOp::Mul) {
            return (a == b).then_some(a);
        }
        let [base, exponent] = self.operands(node, BinaryOp::Power)?;
        (self.scalar(exponent) == Some(2.0)).then_some(base)
    }

    /// The node that gives a value as a mean whose axes stay, and these axes in order.
    fn mean(&self, value: ValueId) -> Option<(usize, Vec<usize>)> {
        let node = self.made_by(value)?;
        let Recipe::Reduce(ReduceDescriptor { kind: ReduceKind::Mean, axes, keepdims: true }) = &self.node(node).recipe else { return None };
        let rank = self.graph.types[self.node(node).inputs[0].0][0].extents.len();
        let mut axes: Vec<usize> = if axes.is_empty() {
            (0..rank).collect()
        } else {
            axes.iter().map(|&axis| front_axis("axes", axis, rank).ok()).collect::<Option<_>>()?
        };
        axes.sort_unstable();
        Some((node, axes))
    }

    /// The node that is there and gives a value.
    fn made_by(&self, value: ValueId) -> Option<usize> {
        self.producer(value).filter(|&node| !self.gone[node])
    }

    /// Whether what `nodes` give, but for the last of them, `end`, is read among them alone.
    fn are_read_within(&self, end: usize, nodes: &[usize]) -> bool {
        let live = self.live();
        nodes.iter().filter(|&&node| node != end).flat_map(|&node| &self.node(node).outputs).all(|value| {
            !self.is_output(*value) && live.iter().filter(|&&reader| self.node(reader).inputs.contains(value)).all(|reader| nodes.contains(reader))
        })
    }
}
