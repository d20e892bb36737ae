//! The pass that leaves out the taps of a convolution's filter that read padding alone ([`crate::ops::conv::taps`]).

use super::passes::Work;
use super::{Folded, Numbers, PROBES, Pass, Ranked, Recipe, Resolved, Source};
use crate::ops::Op;
use crate::ops::conv::descriptor::ConvDescriptor;
use crate::ops::conv::taps::ReadingTaps;
use crate::types::{Padding, Result};
use ndarray::{ArrayD, Slice};
use std::sync::Arc;

impl Work {
    /// Filters without the taps that read nothing, where they are known and finite. What is to be computed by an algorithm of the caller's choice keeps its
    /// window, which that may be for.
    pub(super) fn trim_filters(&mut self) -> Result<()> {
        for i in self.live() {
            let Recipe::Conv { descriptor, bias, residual } = self.node(i).recipe.clone() else { continue };
            let (name, mut inputs) = (self.node(i).name.clone(), self.node(i).inputs.clone());
            let filter = inputs[1];
            let Some(reading) = self.reading_taps(i)? else { continue };
            let Some(kept) = self.graph.numbers(filter).and_then(|numbers| trimmed(numbers, &reading)) else { continue };
            let (whole, source) = (self.graph.types[filter.0][0].extents.clone(), self.graph.values[filter.0].source.clone());
            let is_parameter = matches!(source, Source::Parameter(_));
            let declared = kept.tensor_type();
            let taps = |extents: &[usize]| extents[2..].iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
            let what = format!("{name} reads {} of {} taps, the others padding alone", taps(&declared.extents), taps(&whole));
            let called = self.graph.unused(&format!("{name}.trimmed_weight"));
            let source = if is_parameter { Source::Parameter(Some(Arc::new(kept))) } else { Source::Constant(Arc::new(kept)) };
            inputs[1] = self.graph.declare(&called, source, declared)?;
            let descriptor = match descriptor {
                Ranked::One(d) => Ranked::One(with_pads(&d, &reading)),
                Ranked::Two(d) => Ranked::Two(with_pads(&d, &reading)),
                Ranked::Three(d) => Ranked::Three(with_pads(&d, &reading)),
            };
            if self.put(i, name, Recipe::Conv { descriptor, bias, residual }, inputs, &[]) {
                if is_parameter {
                    let name = self.graph.values[filter.0].name.clone();
                    self.graph.folded.push(Folded { name, pass: "TrimFilter", into: vec![called] });
                }
                self.note(Pass::TrimFilter, what);
            }
        }
        Ok(())
    }

    /// What a node's filter may be left with at every extent that the graph is checked for.
    fn reading_taps(&self, i: usize) -> Result<Option<ReadingTaps>> {
        let node = self.node(i);
        let mut all = vec![];
        for probe in 0..PROBES.len() {
            let types: Vec<_> = node.inputs.iter().map(|input| &self.graph.types[input.0][probe]).collect();
            let Resolved::Op(op) = node.recipe.resolve(&types)? else { return Ok(None) };
            let Op::Conv(problem) = *op else { return Ok(None) };
            all.push(problem.reading_taps().filter(|_| problem.algorithm.is_none()));
        }
        let same = all.windows(2).all(|pair| pair[0] == pair[1]);
        Ok(all.pop().flatten().filter(|_| same))
    }
}

/// The taps that stay; none where one that would go is infinite or NaN, since 0 times it is NaN.
fn trimmed(numbers: &Numbers, reading: &ReadingTaps) -> Option<Numbers> {
    fn part<T: Copy>(array: &ArrayD<T>, reading: &ReadingTaps, is_finite: fn(&T) -> bool) -> Option<ArrayD<T>> {
        let kept = array.slice_each_axis(|axis| match axis.axis.index().checked_sub(2) {
            Some(spatial) => Slice::from(reading.taps[spatial].clone()),
            None => Slice::from(..),
        });
        let unbounded = |values: &mut dyn Iterator<Item = &T>| values.filter(|value| !is_finite(value)).count();
        (unbounded(&mut array.iter()) == unbounded(&mut kept.iter())).then(|| kept.as_standard_layout().into_owned())
    }
    match numbers {
        Numbers::F32(array) => part(array, reading, |w| w.is_finite()).map(Numbers::F32),
        Numbers::F16(array) => part(array, reading, |w| w.is_finite()).map(Numbers::F16),
    }
}

fn with_pads<const N: usize>(descriptor: &ConvDescriptor<N>, reading: &ReadingTaps) -> ConvDescriptor<N> {
    let pads = |of: &[usize]| std::array::from_fn(|axis| of[axis]);
    ConvDescriptor { padding: Padding::Explicit { begin: pads(&reading.begin), end: pads(&reading.end) }, ..*descriptor }
}
