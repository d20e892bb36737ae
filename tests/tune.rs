//! Tuning: what is wrong is never chosen however fast it is, verdicts survive the process, and a cache that cannot be trusted is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wgconv::conv::{ConvDescriptor, ConvInputs, ConvProblem};
use wgconv::gpu::SourcePatch;
use wgconv::matmul::MatMulProblem;
use wgconv::op::Op;
use wgconv::tune::{Candidate, Tuned, Verdict};
use wgconv::{ElementType, Gpu, GpuDescriptor, Tuning};

const BUDGET: Duration = Duration::from_secs(600);

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tune-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn problem() -> ConvProblem {
    ConvProblem::forward(&ConvDescriptor::<2>::default(), &ConvInputs::new(&[1, 8, 18, 22], &[32, 8, 3, 3], None)).unwrap()
}

/// A device whose kernels of `label` do only the first segment of their work: as fast as wrong.
fn planted(label: &'static str) -> Gpu {
    let patch = move |name: &str, text: String| match name.contains(label) {
        true => text.replacen("segment < segments; segment++", "segment < min(segments, 1u); segment++", 1),
        false => text,
    };
    Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap()
}

fn verdict<'a>(tuned: &'a Tuned, label: &str) -> &'a Verdict {
    &tuned.candidates.iter().find(|c| c.label == label).unwrap_or_else(|| panic!("no {label} in {tuned:?}")).verdict
}

#[test]
fn a_planted_kernel_that_is_fast_and_wrong_is_refused_and_named() {
    // An eighth of the work and less: nothing that computes the whole is as fast.
    let gpu = planted("conv_implicit_gemm_register[f32,THREAD_M=16,THREAD_QUADS=2,STEPS=4");
    gpu.set_tuning(Tuning::Cached, Some(&folder("planted")));
    let tuned = gpu.tune(&problem(), BUDGET, None).unwrap();
    let Verdict::Wrong { reason } = verdict(&tuned, "implicit_gemm_register 16x8x4") else { panic!("{tuned:?}") };
    assert!(reason.contains("exact: y: "), "{reason}");
    assert_ne!(tuned.choice, "implicit_gemm_register 16x8x4");
    assert!(tuned.complete && tuned.seconds(&tuned.choice).is_some(), "{tuned:?}");
    assert!(matches!(verdict(&tuned, "direct"), Verdict::Proven { .. } | Verdict::Slow { .. }));
    // Whoever plans with the cache gets the choice.
    assert_eq!(gpu.plan(&problem()).unwrap().label, tuned.choice);
    gpu.set_tuning(Tuning::Heuristic, None);
    assert_eq!(gpu.plan(&problem()).unwrap().label, tuned.heuristic);
}

#[test]
fn the_planners_own_choice_is_refused_too_where_it_is_wrong() {
    let own = problem().plan(Gpu::new().unwrap().profile(), None).unwrap();
    let label: &'static str = own.steps[0].kernel.label().leak();
    let gpu = planted(label);
    gpu.set_tuning(Tuning::Measure { budget: BUDGET }, Some(&folder("own")));
    let plan = gpu.plan(&problem()).unwrap();
    let tuned = gpu.tuned(&problem()).unwrap();
    if own.algorithm().starts_with("implicit_gemm_register") {
        assert!(matches!(verdict(&tuned, &own.label), Verdict::Wrong { .. }), "{tuned:?}");
        assert_ne!(plan.label, own.label);
    }
    assert_eq!(plan.label, tuned.choice);
}

#[test]
fn verdicts_are_kept_and_merged_and_what_cannot_be_trusted_is_ignored() {
    let folder = folder("kept");
    let product = MatMulProblem::matmul(&[8, 16], &[16, 8], ElementType::F32).unwrap();
    let open = || {
        let gpu = Gpu::new().unwrap();
        gpu.set_tuning(Tuning::Cached, Some(&folder));
        gpu
    };
    // Two that opened before either wrote: both are kept.
    let (one, two) = (open(), open());
    let (first, second) = (one.tune(&problem(), BUDGET, None).unwrap(), two.tune(&product, BUDGET, None).unwrap());
    let three = open();
    assert_eq!((three.tuned(&problem()), three.tuned(&product)), (Some(first.clone()), Some(second)));
    let file = three.tuning_file().unwrap();
    assert!(std::fs::read_dir(&folder).unwrap().count() == 1, "only the file is left");

    // A verdict of another version is foreign, half a file is none.
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"verdict\": \"proven\"") && text.contains(&first.choice), "a person can read it: {text}");
    let foreign = text.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    for untrusted in [foreign.as_str(), &text[..text.len() / 2], "", "[]", "\u{0}\u{1}"] {
        std::fs::write(&file, untrusted).unwrap();
        let gpu = open();
        assert_eq!(gpu.tuned(&problem()), None);
        assert_eq!(gpu.plan(&problem()).unwrap().label, first.heuristic);
    }
    // The next verdict replaces it.
    open().tune(&product, BUDGET, None).unwrap();
    assert!(open().tuned(&product).is_some());

    // A choice that does not exist is no reason to fail.
    let tuned = Tuned { choice: "winograd_f6 9x9".into(), ..first.clone() };
    let gpu = open();
    wgconv::tune::tune(&gpu, &problem(), Duration::ZERO, Some(tuned), &mut |_| Ok(())).unwrap();
    assert_eq!(gpu.plan(&problem()).unwrap().label, first.heuristic);
}

#[test]
fn a_trial_that_never_ended_is_not_tried_again_and_a_budget_ends_the_rest() {
    let gpu = Gpu::new().unwrap();
    let known = Tuned {
        choice: "direct".into(),
        heuristic: "direct".into(),
        complete: false,
        candidates: vec![Candidate { label: "direct".into(), verdict: Verdict::Interrupted }],
    };
    let mut kept = Vec::new();
    let tuned = wgconv::tune::tune(&gpu, &problem(), Duration::ZERO, Some(known), &mut |tuned| {
        kept.push(tuned.clone());
        Ok(())
    })
    .unwrap();
    assert_eq!(verdict(&tuned, "direct"), &Verdict::Interrupted);
    assert!(!tuned.complete && tuned.candidates.len() == 2, "{tuned:?}");
    assert_eq!(tuned.choice, tuned.heuristic);
    // The trial leaves its trace before it begins.
    assert_eq!(kept[0].candidates.last().unwrap().verdict, Verdict::Interrupted);
}

#[test]
fn ops_whose_labels_say_more_than_they_can_be_asked_for_are_tuned_too() {
    use wgconv::softmax::SoftmaxProblem;
    let gpu = Gpu::new().unwrap();
    gpu.set_tuning(Tuning::Cached, Some(&folder("labels")));
    let problem = SoftmaxProblem::new(false, &[3, 1000], 1, ElementType::F32, Default::default()).unwrap();
    assert!(gpu.plan(&problem).unwrap().label.contains(' '), "the label has numbers");
    let tuned = gpu.tune(&problem, BUDGET, None).unwrap();
    assert!(tuned.complete && tuned.lag().is_some(), "{tuned:?}");
    assert_eq!(gpu.plan(&problem).unwrap().algorithm(), tuned.choice);
}
