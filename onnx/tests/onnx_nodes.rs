//! ONNX's own backend tests: its node tests, and what PyTorch wrote for it. `scripts/onnx_cases.py` writes them into the folder that
//! `WGCONV_ONNX_TESTS` names.

#![allow(clippy::unwrap_used, reason = "tests")]

mod cases;

use cases::{Verdict, folders, run};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use wgconv::Gpu;

/// What does not pass though its ops are imported: a line for each reason, then the cases.
const SKIPS: &str = include_str!("cases/skips.txt");

/// By case why it is skipped. Lines are names, and those that begin with # the reason of the names behind them.
fn skips() -> BTreeMap<&'static str, &'static str> {
    let (mut skips, mut reason) = (BTreeMap::new(), "");
    for line in SKIPS.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix('#') {
            Some(text) => reason = text.trim(),
            None => assert!(skips.insert(line, reason).is_none(), "{line} stands in the list twice"),
        }
    }
    assert!(skips.values().all(|reason| !reason.is_empty()), "a name without a reason");
    skips
}

fn suite(gpu: Option<&Gpu>) {
    let root = PathBuf::from(std::env::var("WGCONV_ONNX_TESTS").expect("WGCONV_ONNX_TESTS names the folder that scripts/onnx_cases.py wrote"));
    let only = std::env::var("WGCONV_ONNX_ONLY").unwrap_or_default();
    let skips = skips();
    let (mut passed, mut failed, mut refused, mut unclaimed) = (0, vec![], BTreeSet::new(), BTreeMap::<String, usize>::new());
    for kind in ["node", "pytorch-operator", "pytorch-converted", "simple"] {
        for folder in folders(&root, kind) {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            if !name.contains(&only) {
                continue;
            }
            let skip = skips.get(name.as_str());
            match run(&folder, gpu) {
                Verdict::Passed if skip.is_some() => failed.push(format!("{name} passes: it goes from the list of skips")),
                Verdict::Passed => passed += 1,
                Verdict::Failed(_) if skip.is_some() => drop(refused.insert(name)),
                Verdict::Failed(why) => failed.push(format!("{name}: {why}")),
                Verdict::Unread(why) => {
                    *unclaimed.entry(format!("not read: {}", why.split(':').next_back().unwrap_or_default().trim())).or_default() += 1
                }
                Verdict::Refused(refusals) => {
                    let unknown: Vec<&str> =
                        refusals.iter().filter(|r| !wgconv_onnx::is_known(&r.op) && r.op != "If").map(|r| r.op.as_str()).collect();
                    if !unknown.is_empty() {
                        unknown.iter().collect::<BTreeSet<_>>().into_iter().for_each(|op| *unclaimed.entry(op.to_string()).or_default() += 1);
                    } else if skip.is_some() {
                        refused.insert(name);
                    } else {
                        failed.push(format!(
                            "{name}: refused, and not in the list of skips: {}",
                            refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                        ));
                    }
                }
            }
        }
    }
    let gone: Vec<&&str> = skips.keys().filter(|name| only.is_empty() && !refused.contains(**name)).collect();
    println!("{passed} passed, {} refused by the list of skips", refused.len());
    println!("cases of ops that are not imported: {unclaimed:?}");
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(gone.is_empty(), "these pass, or are no cases: {gone:?}");
    assert!(!only.is_empty() || passed > 700, "only {passed} cases passed: is this the whole suite?");
}

#[test]
#[ignore = "needs the cases that scripts/onnx_cases.py writes: docs/onnx.md"]
fn backend_tests_pass_on_the_cpu_engine() {
    suite(None);
}

#[test]
#[ignore = "needs the cases that scripts/onnx_cases.py writes: docs/onnx.md"]
fn backend_tests_pass_on_the_gpu() {
    suite(Some(&Gpu::new().unwrap()));
}
