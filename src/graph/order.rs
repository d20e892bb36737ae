//! The order of ops in which the fewest bytes are live at once.
//!
//! To find the best order is NP-hard (Sethi, 1975). Here ops are taken one at a time: of those that can run, the one after which the fewest bytes are
//! live, and of equals the one that came first. The order that the network was built in is kept unless this one needs fewer. Outputs do not count: they
//! lie with whoever runs the network, in any order.

use super::{At, Graph, Recipe, Source, ValueId};

/// An order of the nodes, with the most bytes that are live at once before and after; none where the present one is as good.
pub(super) fn of_fewest_bytes(graph: &Graph) -> Option<(Vec<usize>, u64, u64)> {
    let values = Values::at(graph, &graph.at(super::PROBES[0]).ok()?);
    let before = values.peak(graph, &(0..graph.nodes.len()).collect::<Vec<_>>());
    let order = values.greedy(graph);
    let after = values.peak(graph, &order);
    (order.len() == graph.nodes.len() && after < before).then_some((order, before, after))
}

impl Graph {
    /// The same with its nodes in this order, in which they can run.
    pub(super) fn in_order(mut self, order: &[usize]) -> Graph {
        self.nodes = order.iter().map(|&i| self.nodes[i].clone()).collect();
        for (at, node) in self.nodes.iter().enumerate() {
            for (output, value) in node.outputs.iter().enumerate() {
                self.values[value.0].source = Source::Node { node: at, output };
            }
        }
        self
    }
}

/// Bytes that are live while each op runs: all that it gives, and what it or a later one reads; none for a view. `root` and `bytes` by value, as in
/// [`Values`].
pub(super) fn live<'a>(ops: impl Iterator<Item = (&'a [ValueId], &'a [ValueId])> + Clone, root: &[usize], bytes: &[u64]) -> Vec<u64> {
    let is_view = |outputs: &[ValueId]| outputs.iter().any(|output| root[output.0] != output.0);
    let mut last = vec![0; root.len()];
    for (i, (inputs, outputs)) in ops.clone().enumerate().filter(|(_, (_, outputs))| !is_view(outputs)) {
        // What nothing reads is written all the same.
        outputs.iter().for_each(|output| last[output.0] = i);
        inputs.iter().for_each(|input| last[root[input.0]] = i);
    }
    let mut released = vec![0; ops.clone().count()];
    let mut now = 0;
    ops.enumerate()
        .map(|(i, (_, outputs))| {
            for output in outputs.iter().filter(|output| root[output.0] == output.0) {
                now += bytes[output.0];
                released[last[output.0]] += bytes[output.0];
            }
            let live = now;
            now -= released[i];
            live
        })
        .collect()
}

/// What is known of the values that ops give.
pub(super) struct Values {
    /// By value: the value whose bytes it has; views have those of what they show.
    pub root: Vec<usize>,
    /// By value, between ops; 0 for what no op gives, for views and for outputs.
    pub bytes: Vec<u64>,
    /// By value: how many nodes read it or a view of it, and one more for each output.
    reads: Vec<usize>,
}

impl Values {
    pub fn at(graph: &Graph, at: &At) -> Self {
        let root: Vec<usize> = (0..graph.values.len()).map(|value| graph.root(at, ValueId(value)).0).collect();
        let (mut bytes, mut reads) = (vec![0; root.len()], vec![0; root.len()]);
        for node in &graph.nodes {
            node.outputs.iter().filter(|output| root[output.0] == output.0).for_each(|&output| bytes[output.0] = at.bytes(output));
            node.inputs.iter().for_each(|input| reads[root[input.0]] += 1);
        }
        for (_, value) in &graph.outputs {
            reads[root[value.0]] += 1;
            bytes[root[value.0]] = 0;
        }
        Self { root, bytes, reads }
    }

    /// Bytes that are live when all of a node's outputs are there and its inputs are released.
    fn step(&self, graph: &Graph, node: usize, live: u64, left: &[usize]) -> u64 {
        let node = &graph.nodes[node];
        let with: u64 = live + node.outputs.iter().map(|output| self.bytes[output.0]).sum::<u64>();
        let mut released = vec![];
        for (i, input) in node.inputs.iter().enumerate() {
            let of = self.root[input.0];
            let own = node.inputs[..=i].iter().filter(|other| self.root[other.0] == of).count();
            if own == left[of] && !released.contains(&of) {
                released.push(of);
            }
        }
        let unread = node.outputs.iter().filter(|output| self.root[output.0] == output.0 && left[output.0] == 0).map(|output| self.bytes[output.0]);
        with - released.iter().map(|&of| self.bytes[of]).sum::<u64>() - unread.sum::<u64>()
    }

    fn run(&self, graph: &Graph, node: usize, left: &mut [usize]) {
        graph.nodes[node].inputs.iter().for_each(|input| left[self.root[input.0]] -= 1);
    }

    fn peak(&self, graph: &Graph, order: &[usize]) -> u64 {
        let ops = order.iter().map(|&node| (&graph.nodes[node].inputs[..], &graph.nodes[node].outputs[..]));
        live(ops, &self.root, &self.bytes).into_iter().max().unwrap_or(0)
    }

    fn greedy(&self, graph: &Graph) -> Vec<usize> {
        let mut there: Vec<bool> = graph.values.iter().map(|value| !matches!(value.source, Source::Node { .. })).collect();
        let (mut live, mut left, mut order) = (0, self.reads.clone(), vec![]);
        let mut waiting: Vec<usize> = (0..graph.nodes.len()).collect();
        while !waiting.is_empty() {
            let can_run = |node: &usize| graph.nodes[*node].inputs.iter().all(|input| there[input.0]);
            // A view costs nothing, and what it is of cannot be released before it is read.
            let cost = |node: &usize| {
                (!matches!(graph.nodes[*node].recipe, Recipe::Reshape { .. } | Recipe::Flatten { .. }), self.step(graph, *node, live, &left), *node)
            };
            let Some(next) = waiting.iter().copied().filter(can_run).min_by_key(cost) else { break };
            live = self.step(graph, next, live, &left);
            self.run(graph, next, &mut left);
            graph.nodes[next].outputs.iter().for_each(|output| there[output.0] = true);
            waiting.retain(|&node| node != next);
            order.push(next);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Extent;
    use crate::ops::reduce::ReduceDescriptor;

    /// Four large values, each reduced to a small one: built breadth first, all four are live at once.
    #[test]
    fn large_values_are_used_up_before_the_next_are_made() {
        let mut graph = Graph::new();
        let x = graph.input("x", [Extent::Open, 4.into(), 64.into()]).unwrap();
        let large: Vec<_> = (0..4).map(|_| graph.relu(x).unwrap()).collect();
        let small: Vec<_> = large.iter().map(|&value| graph.reduce(value, &ReduceDescriptor::sum(&[2])).unwrap()).collect();
        let y = graph.concat(&small, 1).unwrap();
        graph.output("y", y).unwrap();
        let (order, before, after) = of_fewest_bytes(&graph).unwrap();
        assert_eq!(order, [0, 4, 1, 5, 2, 6, 3, 7, 8]);
        let (large, small) = (2 * 4 * 64 * 4, 2 * 4 * 4);
        assert_eq!((before, after), (4 * large + small, large + 4 * small));
        let (ordered, changes) = graph.after(&[crate::graph::Pass::Order]).unwrap();
        assert!(changes[0].to_string().starts_with("order: 2"), "{changes:?}");
        assert!(of_fewest_bytes(&ordered).is_none(), "it is as good as this finds");
        assert_eq!(ordered.at(3).unwrap().types, graph.at(3).unwrap().types);
    }

    #[test]
    fn a_chain_stays_as_it_is() {
        let mut graph = Graph::new();
        let x = graph.input("x", [Extent::Open, 4.into()]).unwrap();
        let y = graph.relu(x).unwrap();
        let y = graph.add(y, y).unwrap();
        graph.output("y", y).unwrap();
        assert!(of_fewest_bytes(&graph).is_none());
    }
}
