//! The checks on this machine's adapter: the quick grid as it is, and a part of it with every run-time check of wgpu on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use wgconv::conv::Algorithm;
use wgconv::validate::{Options, Outcome, Report, run};
use wgconv::{Gpu, GpuDescriptor};

fn failures(report: &Report) -> Vec<String> {
    let failed = |r: &wgconv::validate::CaseResult| match &r.outcome {
        Outcome::Failed(why) => Some(format!("{}: {why}", r.id)),
        _ => None,
    };
    report.results.iter().filter_map(failed).collect()
}

#[test]
fn the_quick_grid_holds_on_this_adapter() {
    let gpu = Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one");
    println!("adapter: {}", gpu.report());
    assert_ne!(gpu.report().backend, "noop", "an adapter that computes nothing verifies nothing");
    let report = run(&gpu, &Options::default(), &mut |_| {}).unwrap();
    assert_eq!(failures(&report), Vec::<String>::new());
    for algorithm in Algorithm::ALL.into_iter().filter(|a| gpu.profile().matrix.is_some() || !a.uses_coop_matrix()) {
        let prefix = format!("conv/{algorithm}/");
        let passed = report.results.iter().filter(|r| r.id.starts_with(&prefix) && r.outcome == Outcome::Passed).count();
        let wanted = if algorithm.uses_coop_matrix() { 5 } else { 20 };
        assert!(passed >= wanted, "{algorithm} passed only {passed} cases: it was hardly tried");
    }
    let ops: std::collections::BTreeSet<&str> = report.results.iter().filter_map(|r| r.id.split('/').next()).collect();
    assert!(ops.len() >= 38, "ops are missing: {ops:?}");
    let [_, failed, skipped] = report.counts();
    assert_eq!(failed, 0);
    for result in &report.results {
        if let Outcome::Skipped(why) = &result.outcome {
            let algorithm = result.id.split(['/', ' ']).nth(1).unwrap_or_default();
            let of_units = algorithm.ends_with("_coop") || algorithm.ends_with("_f16x2");
            let lacks_units = of_units && (gpu.profile().matrix.is_none() || why.contains("its tiles here are"));
            assert!(lacks_units || (!gpu.profile().has_f16 && why.contains("f16")), "{} was skipped: {why}", result.id);
        }
    }
    println!("{} cases, {skipped} skipped", report.results.len());
}

#[test]
fn shaders_hold_with_every_check_on() {
    let gpu = Gpu::with_descriptor(&GpuDescriptor { checked_shaders: true, ..Default::default() }).unwrap();
    // Three groups of strides: every algorithm, every window feature, tails.
    let options = Options { only: Some("h12w13".into()), ..Default::default() };
    let report = run(&gpu, &options, &mut |_| {}).unwrap();
    assert_eq!(failures(&report), Vec::<String>::new());
    assert!(report.counts()[0] >= 20, "only {:?}", report.counts());
    let pointwise = run(&gpu, &Options { only: Some("_k33r1s1".into()), ..Default::default() }, &mut |_| {}).unwrap();
    assert_eq!(failures(&pointwise), Vec::<String>::new());
    assert!(pointwise.counts()[0] >= 4, "only {:?}", pointwise.counts());
    // Tiles of the workgroup core: split depth, one stage and two, channels-last, vec4s that straddle outer K steps.
    for tile in ["_workgroup 32x32x16/2/", "_workgroup 64x64x16/3/", "_workgroup 128x128x32/n2c10", "_workgroup 64x128x16/n2c60"] {
        let report = run(&gpu, &Options { only: Some(tile.into()), ..Default::default() }, &mut |_| {}).unwrap();
        assert_eq!(failures(&report), Vec::<String>::new());
        assert!(!report.results.is_empty(), "{tile}: no case");
    }
    // Of the other families whole ops. The shape ops have their own such test.
    for op in [
        "max_pool/",
        "adaptive_average_pool/",
        "max_unpool/",
        "prelu/",
        "gemm/",
        "linear/gemv",
        "reduce_mean/",
        "argmax/",
        "log_softmax/",
        "group_norm/",
    ] {
        let report = run(&gpu, &Options { only: Some(op.into()), ..Default::default() }, &mut |_| {}).unwrap();
        assert_eq!(failures(&report), Vec::<String>::new());
        assert!(report.counts()[0] >= 4, "{op}: only {:?}", report.counts());
    }
}
