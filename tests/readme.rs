//! README's table of ops is the code's: every op of the checks has its row, with its element types, algorithms and check.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::collections::{BTreeMap, BTreeSet};
use wgconv::gpu::{CoopMatrix, DeviceProfile};
use wgconv::op::{Planned, Problem};
use wgconv::validate::grid;
use wgconv::{Activation, ElementType};

/// What the code says of an op.
#[derive(Default)]
struct Facts {
    elements: BTreeSet<&'static str>,
    algorithms: Vec<&'static str>,
    exact: bool,
    in_place: bool,
}

fn facts() -> BTreeMap<&'static str, Facts> {
    let mut all: BTreeMap<&'static str, Facts> = BTreeMap::new();
    let matrix = Some(CoopMatrix { extent: 16, subgroup: 32, loads_vectors: true, splits: true, along_k: false });
    let profile = DeviceProfile { has_f16: true, matrix, ..DeviceProfile::MINIMAL };
    for case in grid::cases(true).unwrap() {
        let facts = all.entry(case.op.name()).or_default();
        facts.elements.extend(
            case.op.inputs().iter().chain(&case.op.outputs()).filter(|s| s.tensor.element != ElementType::U32).map(|s| s.tensor.element.name()),
        );
        for algorithm in case.op.algorithms(&profile) {
            if !facts.algorithms.contains(&algorithm) {
                facts.algorithms.push(algorithm);
            }
        }
        facts.exact |= case.op.is_exact();
        facts.in_place |= case.op.outputs().iter().any(|spec| spec.in_out);
    }
    all
}

#[test]
fn the_table_of_ops_is_the_codes() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let rows: BTreeMap<&str, Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 5)
        .map(|cells| (cells[0].trim_matches('`'), cells))
        .collect();
    let mut wrong = Vec::new();
    for (name, facts) in facts() {
        let elements: Vec<&str> = facts.elements.iter().copied().rev().collect(); // f32 before f16
        let check = if facts.exact { "exact, bounded" } else { "bounded" };
        let place = if facts.in_place { ", in place" } else { "" };
        let expected = [elements.join(", "), facts.algorithms.join(", "), format!("{check}{place}")];
        match rows.get(name) {
            Some(cells) if cells[2..] == expected.each_ref().map(String::as_str) => {}
            _ => wrong.push(format!("| `{name}` | ... | {} |", expected.join(" | "))),
        }
    }
    assert!(wrong.is_empty(), "README's table lacks these rows, or has others in their place:\n{}", wrong.join("\n"));
    let known = facts();
    for name in rows.keys() {
        assert!(known.contains_key(name), "README's table has {name}, which no check knows");
    }
    let activations = rows["activation"][1];
    for activation in &Activation::ALL[1..] {
        assert!(activations.contains(activation.name()), "README's table does not name {activation}");
    }
}
