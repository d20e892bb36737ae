//! The pass that makes two convolutions of one whose filter is separable ([`crate::ops::conv::separable`]).

use super::{Change, Folded, Graph, Node, Numbers, Pass, Ranked, Recipe, Resolved, Source, ValueId};
use crate::ops::Op;
use crate::ops::conv::separable::Separated;
use crate::types::{Error, Result};
use ndarray::{ArrayD, IxDyn};
use std::sync::Arc;

impl Graph {
    /// The graph with two passes in the place of each convolution that is less work so, and what was done.
    pub(super) fn separated(mut self) -> Result<(Graph, Vec<Change>)> {
        let mut changes = vec![];
        let mut i = 0;
        while i < self.nodes.len() {
            if let Some((passes, before)) = self.separable(i)? {
                let name = self.nodes[i].name.clone();
                self.split(i, &passes)?;
                let taps = passes.extents.map(|[.., rows, columns]| format!("{rows} x {columns}"));
                let share = 100.0 * passes.multiply_adds as f64 / before as f64;
                let what = format!("{name} is {} and {}: {share:.0} % of the multiply-adds", taps[0], taps[1]);
                changes.push(Change { pass: Pass::SplitSeparable, what });
                i += 1; // the second pass, which was put behind the first
            }
            i += 1;
        }
        Ok((self, changes))
    }

    /// The two passes of a node, and the multiply-adds of the one; none where it stays. The spatial extents do not depend on the open one, and what is
    /// decided for one image holds for all.
    fn separable(&self, i: usize) -> Result<Option<(Separated, u64)>> {
        let node = &self.nodes[i];
        let Recipe::Conv { descriptor: Ranked::Two(_), .. } = node.recipe else { return Ok(None) };
        let Some(Numbers::F32(filter)) = node.inputs.get(1).and_then(|filter| self.numbers(*filter)) else { return Ok(None) };
        let types: Vec<_> = node.inputs.iter().map(|input| &self.types[input.0][0]).collect();
        let Resolved::Op(op) = node.recipe.resolve(&types)? else { return Ok(None) };
        let (Op::Conv(problem), Some(filter)) = (*op, filter.as_slice()) else { return Ok(None) };
        Ok(problem.separated(filter).map(|passes| (passes, problem.multiply_adds())))
    }

    /// Puts two passes in the place of node `i`: the first before it, and the second gives what the node gave.
    fn split(&mut self, i: usize, passes: &Separated) -> Result<()> {
        let node = self.nodes[i].clone();
        let filter = node.inputs[1];
        let (name, source) = (node.name.clone(), self.values[filter.0].source.clone());
        let mut made = vec![];
        for ((numbers, extents), which) in passes.filters.iter().zip(&passes.extents).zip(["first", "second"]) {
            let array = ArrayD::from_shape_vec(IxDyn(extents), numbers.clone());
            let array = array.map_err(|e| Error::Internal { label: name.clone(), message: e.to_string() })?;
            let (numbers, called) = (Numbers::F32(array), self.unused(&format!("{name}.{which}_weight")));
            let (declared, numbers) = (numbers.tensor_type(), Arc::new(numbers));
            let source = if matches!(source, Source::Constant(_)) { Source::Constant(numbers) } else { Source::Parameter(Some(numbers)) };
            made.push(self.declare(&called, source, declared)?);
        }
        let [first, second] = passes.descriptors.map(Ranked::Two);
        let (bias, residual) = match node.recipe {
            Recipe::Conv { bias, residual, .. } => (bias, residual),
            _ => (false, false),
        };
        // Made at the end, where values are checked and named, and moved before the node.
        let between = self.one(Recipe::Conv { descriptor: first, bias: false, residual: false }, &[node.inputs[0], made[0]])?;
        let last = self.nodes.len() - 1;
        self.name(between, &self.unused(&format!("{name}.first")))?;
        self.nodes[i..].rotate_right(1);
        for value in &mut self.values {
            if let Source::Node { node, .. } = &mut value.source {
                *node = match *node {
                    node if node == last => i,
                    node if node >= i => node + 1,
                    node => node,
                };
            }
        }
        let inputs = [between, made[1]].into_iter().chain(node.inputs[2..].iter().copied()).collect();
        let into = made.iter().map(|value: &ValueId| self.values[value.0].name.clone()).collect();
        if matches!(source, Source::Parameter(_)) {
            self.folded.push(Folded { name: self.values[filter.0].name.clone(), pass: "SplitSeparable", into });
        }
        self.nodes[i + 1] = Node { recipe: Recipe::Conv { descriptor: second, bias, residual }, inputs, ..node };
        Ok(())
    }
}
