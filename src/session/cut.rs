//! One of two labels for each item, at the least cost: a minimum cut (Ford and Fulkerson, 1956), by breadth-first augmenting paths (Edmonds and Karp, 1972).
//!
//! Items are ops and labels are layouts: an op costs its time in either, and a group (a value with the ops that give and read it) costs a conversion where its
//! members have both. A group is in the graph of the cut by two nodes of its own (Lawler, "Cutsets and partitions of hypergraphs", 1973).

use std::collections::VecDeque;

/// Items that cost something where their labels are not all the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub cost: f64,
    pub members: Vec<usize>,
}

/// The labels that cost the least; true is the second. `own` has what each label costs an item, infinite where it cannot have it: never both.
pub(crate) fn cheapest(own: &[[f64; 2]], groups: &[Group]) -> Vec<bool> {
    let finite = own.iter().flatten().chain(groups.iter().map(|group| &group.cost)).filter(|cost| cost.is_finite());
    // More than all else together.
    let unbounded = 1.0 + 2.0 * finite.sum::<f64>();
    let (source, sink) = (own.len(), own.len() + 1);
    let mut flow = Flow { edges: vec![], from: vec![vec![]; own.len() + 2 + 2 * groups.len()], least: unbounded * 1e-12 };
    for (item, [first, second]) in own.iter().enumerate() {
        flow.connect(item, sink, first.min(unbounded));
        flow.connect(source, item, second.min(unbounded));
    }
    for (i, group) in groups.iter().enumerate() {
        let (reached, left) = (own.len() + 2 + 2 * i, own.len() + 3 + 2 * i);
        flow.connect(reached, left, group.cost.min(unbounded));
        for &member in &group.members {
            flow.connect(member, reached, unbounded);
            flow.connect(left, member, unbounded);
        }
    }
    while flow.augment(source, sink) {}
    let reached = flow.reached(source);
    (0..own.len()).map(|item| reached[item].is_none()).collect()
}

struct Edge {
    to: usize,
    /// What may still flow along it.
    rest: f64,
}

struct Flow {
    /// Each edge is followed by the one back.
    edges: Vec<Edge>,
    /// By node: its edges.
    from: Vec<Vec<usize>>,
    /// What counts as nothing.
    least: f64,
}

impl Flow {
    fn connect(&mut self, from: usize, to: usize, capacity: f64) {
        for (node, to, rest) in [(from, to, capacity), (to, from, 0.0)] {
            self.from[node].push(self.edges.len());
            self.edges.push(Edge { to, rest });
        }
    }

    /// By node: the edge by which it is reached from the source, its own number at the source.
    fn reached(&self, source: usize) -> Vec<Option<usize>> {
        let mut by = vec![None; self.from.len()];
        by[source] = Some(usize::MAX);
        let mut queue = VecDeque::from([source]);
        while let Some(node) = queue.pop_front() {
            for &edge in &self.from[node] {
                let Edge { to, rest } = self.edges[edge];
                if rest > self.least && by[to].is_none() {
                    by[to] = Some(edge);
                    queue.push_back(to);
                }
            }
        }
        by
    }

    /// Sends what the shortest path takes; false where there is none.
    fn augment(&mut self, source: usize, sink: usize) -> bool {
        let by = self.reached(source);
        let (mut path, mut node) = (vec![], sink);
        while node != source {
            let Some(edge) = by[node] else { return false };
            path.push(edge);
            node = self.edges[edge ^ 1].to;
        }
        let sent = path.iter().map(|&edge| self.edges[edge].rest).fold(f64::INFINITY, f64::min);
        for edge in path {
            self.edges[edge].rest -= sent;
            self.edges[edge ^ 1].rest += sent;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Generator;

    fn cost(own: &[[f64; 2]], groups: &[Group], labels: &[bool]) -> f64 {
        let differ = |group: &&Group| group.members.iter().any(|&member| labels[member] != labels[group.members[0]]);
        let labelled = own.iter().zip(labels).map(|(costs, &label)| costs[usize::from(label)]);
        labelled.sum::<f64>() + groups.iter().filter(differ).map(|group| group.cost).sum::<f64>()
    }

    #[test]
    fn a_run_changes_where_it_wins_more_than_its_borders_cost() {
        let fixed = [0.0, f64::INFINITY];
        let chain = |conversion: f64, own: &[[f64; 2]]| {
            let groups: Vec<Group> = (1..own.len()).map(|i| Group { cost: conversion, members: vec![i - 1, i] }).collect();
            cheapest(own, &groups)
        };
        let own = [fixed, [5.0, 3.0], [5.0, 3.0], [1.0, 1.5], fixed];
        assert_eq!(chain(1.0, &own), [false, true, true, false, false]);
        assert_eq!(chain(2.5, &own), [false; 5], "4 are won, 5 paid");
        assert_eq!(chain(0.0, &own), [false, true, true, false, false]);
    }

    #[test]
    fn one_conversion_is_for_all_that_read_a_value() {
        // A value that a fixed op gives and three read: one conversion of 2 wins 1 in each.
        let own = [[0.0, f64::INFINITY], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0]];
        assert_eq!(cheapest(&own, &[Group { cost: 2.0, members: vec![0, 1, 2, 3] }]), [false, true, true, true]);
        let pairs: Vec<Group> = (1..4).map(|i| Group { cost: 2.0, members: vec![0, i] }).collect();
        assert_eq!(cheapest(&own, &pairs), [false; 4]);
    }

    #[test]
    fn no_labels_of_random_items_cost_less() {
        let mut generator = Generator::from_text("cut");
        for _ in 0..300 {
            let items = 1 + generator.below(9) as usize;
            let own: Vec<[f64; 2]> = (0..items)
                .map(|_| match generator.below(5) {
                    0 => [f64::INFINITY, generator.real().abs()],
                    1 => [generator.real().abs(), f64::INFINITY],
                    _ => [generator.real().abs(), generator.real().abs()],
                })
                .collect();
            let groups: Vec<Group> = (0..generator.below(8))
                .map(|_| {
                    let members = (0..1 + generator.below(4)).map(|_| generator.below(items as u64) as usize).collect();
                    Group { cost: generator.real().abs() * 0.5, members }
                })
                .collect();
            let found = cost(&own, &groups, &cheapest(&own, &groups));
            let all = (0..1u32 << items).map(|bits| (0..items).map(|i| bits >> i & 1 == 1).collect::<Vec<_>>());
            let least = all.map(|labels| cost(&own, &groups, &labels)).fold(f64::INFINITY, f64::min);
            assert!((found - least).abs() < 1e-9, "{found} {least} {own:?} {groups:?}");
        }
    }
}
