//! The CPU engine against the reference, over the problems of the proofs: exactly on integers, within the bound on reals. No GPU.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::collections::{BTreeMap, BTreeSet};
use wgconv::ElementType;
use wgconv::validate::compare::compare;
use wgconv::validate::data::{Data, Generator};
use wgconv::validate::grid;

#[test]
fn the_engine_computes_what_the_reference_does() {
    let mut tried: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut absent: BTreeSet<&'static str> = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for case in grid::cases(true).unwrap() {
        let op = case.op.as_ref();
        let (inputs, outputs) = (op.inputs(), op.outputs());
        let is_f32 = inputs.iter().chain(&outputs[..1]).all(|spec| spec.element == ElementType::F32);
        if !is_f32 || outputs[0].updated || !seen.insert(format!("{}/{op}", op.name())) {
            continue;
        }
        for data in [Data::Exact, Data::Real] {
            let mut generator = Generator::from_text(&op.to_string());
            let values: Vec<Vec<f64>> = inputs.iter().map(|spec| data.fill(spec, op.depth(), &mut generator)).collect();
            let narrow: Vec<Vec<f32>> = values.iter().map(|v| v.iter().map(|x| *x as f32).collect()).collect();
            let mut y = vec![f32::NAN; outputs[0].count() as usize];
            if !wgconv::cpu::compute(op, &narrow.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut y).unwrap() {
                absent.insert(op.name());
                continue;
            }
            let want = wgconv::reference::compute(op, &values.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap().swap_remove(0);
            let got: Vec<f64> = y.iter().map(|v| f64::from(*v)).collect();
            let exact = data == Data::Exact && op.is_exact();
            let allowed = |i: usize| if exact { 0.0 } else { want.allowed(i, ElementType::F32) };
            if let Some(mismatch) = compare(&got, &want.value, allowed) {
                panic!("{}/{op} on {data:?} data: {}", op.name(), mismatch.describe(&outputs[0].extents));
            }
            *tried.entry(op.name()).or_default() += 1;
        }
    }
    assert!(tried.len() >= 36, "only {tried:?}");
    // Reductions over axes that lie apart are left to the GPU; indices are no f32.
    for name in absent {
        assert!(name.starts_with("reduce_"), "the engine lacks {name}");
    }
}
