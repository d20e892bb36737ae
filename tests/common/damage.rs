//! Damages to kernels: what is replaced in a kernel's text, and the check of `validate` that must report it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgconv::gpu::SourcePatch;
use wgconv::validate::{Options, Outcome, run};
use wgconv::{Gpu, GpuDescriptor};

/// Runs the cases whose id contains `only` with `from` replaced by `to` in kernels whose label starts with `kernel`.
pub fn failures_of(kernel: &'static str, only: &str, from: &'static str, to: &'static str) -> Vec<String> {
    let changed = Arc::new(AtomicBool::new(false));
    let seen = changed.clone();
    let patch = move |label: &str, text: String| {
        if !label.starts_with(kernel) {
            return text;
        }
        let damaged = text.replacen(from, to, 1);
        seen.fetch_or(damaged != text, Ordering::Relaxed);
        damaged
    };
    let gpu = Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() })
        .expect("the tests need an adapter");
    let report = run(&gpu, &Options { only: Some(only.into()), ..Default::default() }, &mut |_| {}).expect("a report, whatever fails");
    assert!(changed.load(Ordering::Relaxed), "the damage \"{from}\" -> \"{to}\" did not change the text of {kernel}");
    let failure = |outcome: &Outcome| if let Outcome::Failed(why) = outcome { Some(why.clone()) } else { None };
    report.results.iter().filter_map(|r| failure(&r.outcome)).collect()
}

/// Kernel, cases, what is replaced by what in its text, the check that must say so.
pub type Damage = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Makes every damage by itself, and fails with those that no check reports as it should.
pub fn assert_all_reported(damages: &[Damage]) {
    let mut missed = Vec::new();
    for &(kernel, only, from, to, check) in damages {
        let failures = failures_of(kernel, only, from, to);
        if !failures.iter().any(|why| why.starts_with(check)) {
            missed.push(format!("{kernel}: \"{from}\" -> \"{to}\" should be reported by {check} of {only}, got {failures:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
