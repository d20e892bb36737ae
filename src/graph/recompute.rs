//! Cheap values are computed again just before they are read late, instead of being kept until then: fewer bytes are live at once, for some more work
//! (Griewank, 1992; Chen and others, 2016). It is for graphs with gradients, which read in their second half what their first half gives.
//!
//! Greedy: where the most bytes are live, of the values that are kept there without being read, the one with the most bytes times the ops until it is read
//! goes first. What it is computed from is taken from what is live there anyway; what is not is computed again too, in a chain of bounded length.

use super::order::{Values, live};
use super::{At, Change, Graph, Node, Pass, Resolved, Source, Value, ValueId, passes};
use crate::ops::Op;
use crate::types::Result;
use std::collections::{HashMap, HashSet};

/// The most ops that are run again for one late reader.
const LONGEST: usize = 8;

/// A value of at most this part of the one that goes may stay for its sake.
const SMALL: u64 = 8;

impl Graph {
    /// The graph with cheap values computed again where they are read late, until at most `limit` bytes of what ops give to each other are live at once with
    /// `open` in the place of the open extents, or nothing helps; with what was done, where more than that were live. Outputs do not count: they lie with
    /// whoever runs the graph. Where the limit cannot be held, the [`Change`] says so, and the graph is as near to it as this comes.
    ///
    /// Convolutions, products and their gradients are never run again. All else is, on what it was computed from, so results are the same bits; a
    /// dropout has the key and the stream of its first run. It comes behind all other passes; [`Pass::Order`] never has more bytes live behind it.
    ///
    /// ```
    /// # fn main() -> wgconv::Result<()> {
    /// use wgconv::{Graph, reduce::ReduceDescriptor};
    /// let mut graph = Graph::new();
    /// let x = graph.input("x", [1024.into()])?;
    /// let mut y = x;
    /// for _ in 0..4 {
    ///     y = graph.mul(y, y)?;
    /// }
    /// let loss = graph.reduce(y, &ReduceDescriptor::sum(&[]))?;
    /// let graph = graph.differentiate(loss, &[x])?;
    /// let (again, change) = graph.recomputed(0, 20_000)?;
    /// assert!(again.nodes().len() > graph.nodes().len());
    /// println!("{}", change.unwrap());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What an op does not take at this extent, with the node's name.
    pub fn recomputed(&self, open: usize, limit: u64) -> Result<(Graph, Option<Change>)> {
        let at = self.at(open)?;
        let work = Work::of(self, &at);
        let mut plan = Plan::of(self, &at);
        let before = plan.most();
        if before.0 <= limit {
            return Ok((self.clone(), None));
        }
        while plan.most().0 > limit {
            let Some(better) = work.better(&plan) else { break };
            plan = better;
        }
        // Where no step is left at which less is live, nothing is won.
        if plan.most().0 == before.0 {
            plan = Plan::of(self, &at);
        }
        let (after, again, before) = (plan.most().0, work.again(&plan), before.0);
        // What is run once may run later than before.
        let graph = if after < before { work.graph(&plan) } else { self.clone() };
        let are = if again == 1 { "value is" } else { "values are" };
        let held = if after > limit { format!("; the limit of {limit} bytes cannot be held") } else { String::new() };
        let what = format!("{again} {are} computed again: {after} bytes are live at once, {before} were{held}");
        Ok((graph, Some(Change { pass: Pass::Recompute { open, limit }, what })))
    }
}

/// What an op costs when it is run again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cost {
    /// A view costs nothing.
    View,
    Cheap,
    Dear,
}

fn cost(resolved: &Resolved) -> Cost {
    match resolved {
        Resolved::View(_) => Cost::View,
        Resolved::Op(op) => match op.as_ref() {
            Op::Conv(_) | Op::MatMul(_) | Op::FilterGradient(_) => Cost::Dear,
            // It changes its operands: a second run is another step.
            Op::Optimizer(_) => Cost::Dear,
            Op::Pool(_) | Op::MaxUnpool(_) | Op::Adjoint(_) | Op::MaxUnpoolGradient(_) => Cost::Cheap,
            Op::Binary(_) | Op::Unary(_) | Op::Cast(_) | Op::Where(_) | Op::Dropout(_) | Op::Image(_) => Cost::Cheap,
            Op::Softmax(_) | Op::Norm(_) | Op::BatchNorm(_) | Op::Lrn(_) | Op::Reduce(_) | Op::Argmax(_) => Cost::Cheap,
            Op::GridSample(_) | Op::Gather(_) | Op::Scatter(_) | Op::TopK(_) => Cost::Cheap,
            Op::Resize(_) | Op::Pad(_) | Op::Slice(_) | Op::Concat(_) | Op::Transpose(_) | Op::ToLayout(_) | Op::DepthToSpace(_) => Cost::Cheap,
        },
    }
}

/// One run of a node.
#[derive(Debug, Clone)]
struct Step {
    node: usize,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

/// Runs of nodes in their order. Values past the graph's own are copies.
#[derive(Debug, Clone)]
struct Plan {
    steps: Vec<Step>,
    /// By value: the value whose bytes it has.
    root: Vec<usize>,
    /// By value: bytes that it takes between ops.
    bytes: Vec<u64>,
    /// By value: the value of the graph that it is a copy of, or itself.
    first: Vec<usize>,
}

impl Plan {
    fn of(graph: &Graph, at: &At) -> Self {
        let Values { root, bytes, .. } = Values::at(graph, at);
        let step = |(node, own): (usize, &Node)| Step { node, inputs: own.inputs.clone(), outputs: own.outputs.clone() };
        Self { steps: graph.nodes.iter().enumerate().map(step).collect(), first: (0..root.len()).collect(), root, bytes }
    }

    fn live(&self) -> Vec<u64> {
        live(self.steps.iter().map(|step| (&step.inputs[..], &step.outputs[..])), &self.root, &self.bytes)
    }

    /// The most bytes that are live at once, and during how many steps.
    fn most(&self) -> (u64, usize) {
        let live = self.live();
        let most = live.iter().copied().max().unwrap_or(0);
        (most, live.iter().filter(|bytes| **bytes == most).count())
    }

    fn is_view(&self, step: &Step) -> bool {
        step.outputs.iter().any(|output| self.root[output.0] != output.0)
    }
}

/// Where values are made and read.
struct Uses {
    /// By value: its step.
    made: Vec<Option<usize>>,
    /// By root: the steps that read it or a view of it, views left out, in order.
    reads: Vec<Vec<usize>>,
}

impl Uses {
    fn of(plan: &Plan) -> Self {
        let (mut made, mut reads) = (vec![None; plan.root.len()], vec![vec![]; plan.root.len()]);
        for (i, step) in plan.steps.iter().enumerate() {
            step.outputs.iter().for_each(|output| made[output.0] = Some(i));
            if !plan.is_view(step) {
                step.inputs.iter().for_each(|input| reads[plan.root[input.0]].push(i));
            }
        }
        Self { made, reads }
    }

    /// The last step during which a value is live.
    fn last(&self, value: usize) -> Option<usize> {
        self.reads[value].last().copied().or(self.made[value])
    }
}

struct Work<'a> {
    graph: &'a Graph,
    /// By node.
    costs: Vec<Cost>,
    /// By value of the graph: bytes of its elements.
    sizes: Vec<u64>,
}

impl<'a> Work<'a> {
    fn of(graph: &'a Graph, at: &At) -> Self {
        let sizes = (0..graph.values.len()).map(|value| at.bytes(ValueId(value))).collect();
        Self { graph, costs: at.nodes.iter().map(cost).collect(), sizes }
    }

    /// A plan in which one value less is kept where the most bytes are live, where any is better.
    fn better(&self, plan: &Plan) -> Option<Plan> {
        let (live, uses) = (plan.live(), Uses::of(plan));
        let most = plan.most();
        let peak = live.iter().position(|bytes| *bytes == most.0)?;
        let mut kept: Vec<(u64, usize, usize)> = vec![];
        for value in (0..plan.root.len()).filter(|&value| plan.bytes[value] > 0) {
            let Some(made) = uses.made[value].filter(|&made| made < peak) else { continue };
            let reads = &uses.reads[value];
            let Some(&next) = reads.iter().find(|read| **read >= peak).filter(|read| **read > peak) else { continue };
            let before = reads.iter().rev().find(|read| **read < peak).copied().unwrap_or(made);
            kept.push((plan.bytes[value].saturating_mul((next - before) as u64), value, next));
        }
        kept.sort_by_key(|&(weight, value, _)| (std::cmp::Reverse(weight), value));
        kept.into_iter().find_map(|(_, value, next)| {
            let plan = Copies::new(self, plan, &uses, [peak, next], value).plan()?;
            (plan.most() < most).then_some(plan)
        })
    }

    /// How many ops run again.
    fn again(&self, plan: &Plan) -> usize {
        let runs: Vec<usize> = plan.steps.iter().map(|step| step.node).filter(|&node| self.costs[node] != Cost::View).collect();
        runs.len() - runs.iter().collect::<HashSet<_>>().len()
    }

    /// The graph of a plan.
    fn graph(&self, plan: &Plan) -> Graph {
        let mut graph = self.graph.clone();
        for &first in &plan.first[graph.values.len()..] {
            graph.values.push(Value { name: String::new(), source: Source::Node { node: 0, output: 0 }, declared: None });
            graph.types.push(graph.types[first].clone());
        }
        let mut nodes = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let Node { name, recipe, .. } = &self.graph.nodes[step.node];
            let mut name = name.clone();
            for (i, output) in step.outputs.iter().enumerate().filter(|(_, output)| output.0 >= self.graph.values.len()) {
                let own = graph.unused(&format!("{}.again", self.graph.values[plan.first[output.0]].name));
                graph.named.insert(own.clone(), *output);
                graph.values[output.0].name.clone_from(&own);
                if i == 0 {
                    name = own;
                }
            }
            nodes.push(Node { name, recipe: recipe.clone(), inputs: step.inputs.clone(), outputs: step.outputs.clone() });
        }
        graph.nodes = nodes;
        passes::compacted(graph)
    }
}

/// A value that is not kept past `peak` and is there again at `next`, with the steps that this takes.
struct Copies<'a> {
    work: &'a Work<'a>,
    plan: Plan,
    uses: &'a Uses,
    peak: usize,
    next: usize,
    value: usize,
    steps: Vec<Step>,
    runs: usize,
    /// By value: what is read in its place at `next`.
    instead: HashMap<usize, ValueId>,
}

impl<'a> Copies<'a> {
    fn new(work: &'a Work<'a>, plan: &Plan, uses: &'a Uses, [peak, next]: [usize; 2], value: usize) -> Self {
        Self { work, plan: plan.clone(), uses, peak, next, value, steps: vec![], runs: 0, instead: HashMap::new() }
    }

    fn plan(mut self) -> Option<Plan> {
        match self.copy_of(self.value) {
            Some(copy) => drop(self.instead.insert(self.value, copy)),
            None if self.run(self.value) => {}
            None => return None,
        }
        let (next, made) = (self.next, &self.uses.made);
        let late = self.plan.steps[next..].iter().flat_map(|step| &step.inputs);
        let is_shown = |input: &&ValueId| self.plan.root[input.0] == self.value && made[input.0].is_some_and(|made| made < next);
        let shown: Vec<usize> = late.filter(is_shown).map(|input| input.0).collect();
        for input in shown {
            self.at_next(input);
        }
        let mut late = self.plan.steps.split_off(next);
        self.plan.steps.append(&mut self.steps);
        for step in &mut late {
            let is_view = self.plan.is_view(step);
            step.inputs.iter_mut().filter(|input| self.plan.root[input.0] == self.value).for_each(|input| {
                *input = self.instead.get(&input.0).copied().unwrap_or(*input);
            });
            if is_view {
                let root = self.plan.root[step.inputs[0].0];
                step.outputs.iter().for_each(|output| self.plan.root[output.0] = root);
            }
        }
        self.plan.steps.append(&mut late);
        // What nothing reads any more is not run.
        let mut needed: HashSet<ValueId> = self.work.graph.outputs.iter().map(|(_, value)| *value).collect();
        let mut kept = vec![];
        for step in self.plan.steps.into_iter().rev() {
            if step.outputs.iter().any(|output| needed.contains(output)) {
                needed.extend(&step.inputs);
                kept.push(step);
            }
        }
        kept.reverse();
        Some(Plan { steps: kept, ..self.plan })
    }

    /// A value that is the same, made between the peak and here.
    fn copy_of(&self, value: usize) -> Option<ValueId> {
        let plan = &self.plan;
        let is_between = |other: &usize| self.uses.made.get(*other).copied().flatten().is_some_and(|made| self.peak < made && made < self.next);
        let is_copy = |other: &usize| plan.first[*other] == plan.first[value] && *other != value && plan.root[*other] == *other;
        (0..plan.root.len()).filter(is_copy).find(is_between).map(ValueId)
    }

    /// What is read at `next` in the place of a value.
    fn at_next(&mut self, value: usize) -> ValueId {
        if let Some(&instead) = self.instead.get(&value) {
            return instead;
        }
        let root = self.plan.root[value];
        if root != value {
            let Some(step) = self.uses.made[value] else { return ValueId(value) };
            let of = self.plan.steps[step].inputs[0];
            let instead = self.at_next(of.0);
            if instead != of {
                self.push(step, vec![instead]);
            }
            return self.instead.get(&value).copied().unwrap_or(ValueId(value));
        }
        let Some(last) = self.uses.last(value).filter(|_| self.plan.bytes[value] > 0) else { return ValueId(value) };
        if last >= self.next {
            return ValueId(value);
        }
        if let Some(copy) = self.copy_of(value) {
            return copy;
        }
        let stays = last >= self.peak || self.plan.bytes[value] <= self.plan.bytes[self.value] / SMALL;
        if !stays && self.run(value) {
            return self.instead.get(&value).copied().unwrap_or(ValueId(value));
        }
        ValueId(value)
    }

    /// Runs the op again that gives a value, where it is cheap and the chain is not too long.
    fn run(&mut self, value: usize) -> bool {
        let Some(step) = self.uses.made[value] else { return false };
        if self.work.costs[self.plan.steps[step].node] != Cost::Cheap || self.runs >= LONGEST {
            return false;
        }
        self.runs += 1;
        let inputs = self.plan.steps[step].inputs.clone();
        let inputs = inputs.into_iter().map(|input| self.at_next(input.0)).collect();
        self.push(step, inputs);
        true
    }

    /// A step once more, on these inputs.
    fn push(&mut self, step: usize, inputs: Vec<ValueId>) {
        let Step { node, outputs, .. } = self.plan.steps[step].clone();
        let is_view = self.work.costs[node] == Cost::View;
        let mut made = vec![];
        for output in outputs {
            let (copy, first) = (self.plan.root.len(), self.plan.first[output.0]);
            self.plan.root.push(if is_view { self.plan.root[inputs[0].0] } else { copy });
            self.plan.bytes.push(if is_view { 0 } else { self.work.sizes[first] });
            self.plan.first.push(first);
            self.instead.insert(output.0, ValueId(copy));
            made.push(ValueId(copy));
        }
        self.steps.push(Step { node, inputs, outputs: made });
    }
}
