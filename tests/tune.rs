//! Tuning: what is wrong is never chosen however fast it is, verdicts survive the process, and a cache that cannot be trusted is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wgconv::conv::{ConvDescriptor, ConvInputs, ConvProblem};
use wgconv::elementwise::UnaryProblem;
use wgconv::gpu::SourcePatch;
use wgconv::matmul::MatMulProblem;
use wgconv::op::{Op, Planned};
use wgconv::pool::{PoolDescriptor, PoolProblem};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::tune::{Candidate, Tuned, Verdict, candidates, doubt_coop_matrix};
use wgconv::{Activation, ElementType, Gpu, GpuDescriptor, TensorType, Tuning};

const BUDGET: Duration = Duration::from_secs(600);

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tune-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn problem() -> ConvProblem {
    ConvProblem::forward(&ConvInputs::new(&[1, 8, 18, 22], &[32, 8, 3, 3], None), &ConvDescriptor::<2>::default()).unwrap()
}

/// A device whose kernels of `label` do only the first outer K step of their work: as fast as wrong.
fn planted(label: &'static str) -> Gpu {
    let patch = move |name: &str, text: String| match name.contains(label) {
        true => text.replacen("outer_step < outer_steps; outer_step++", "outer_step < min(outer_steps, 1u); outer_step++", 1),
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
    let gpu = planted("conv_implicit_gemm_register[f32,THREAD_M=16,THREAD_VEC4=2,STEPS=4");
    gpu.set_tuning(Tuning::Cached, Some(&folder("planted")));
    let tuned = gpu.tune(problem(), BUDGET, None).unwrap();
    let Verdict::Wrong { reason } = verdict(&tuned, "implicit_gemm_register 16x8x4") else { panic!("{tuned:?}") };
    assert!(reason.contains("exact: y: "), "{reason}");
    assert_ne!(tuned.choice, "implicit_gemm_register 16x8x4");
    assert!(tuned.complete && tuned.seconds(&tuned.choice).is_some(), "{tuned:?}");
    assert!(matches!(verdict(&tuned, "direct"), Verdict::Verified { .. } | Verdict::Slow { .. }));
    // Whoever plans with the cache gets the choice.
    assert_eq!(gpu.plan(problem()).unwrap().label, tuned.choice);
    gpu.set_tuning(Tuning::Heuristic, None);
    assert_eq!(gpu.plan(problem()).unwrap().label, tuned.heuristic);
}

#[test]
fn the_planners_own_choice_is_refused_too_where_it_is_wrong() {
    let own = problem().plan(Gpu::new().unwrap().profile(), None).unwrap();
    let label: &'static str = own.steps[0].kernel.label().leak();
    let gpu = planted(label);
    gpu.set_tuning(Tuning::Measure { budget: BUDGET }, Some(&folder("own")));
    let plan = gpu.plan(problem()).unwrap();
    let tuned = gpu.tuned(problem()).unwrap();
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
    let (first, second) = (one.tune(problem(), BUDGET, None).unwrap(), two.tune(&product, BUDGET, None).unwrap());
    let three = open();
    assert_eq!((three.tuned(problem()), three.tuned(&product)), (Some(first.clone()), Some(second)));
    let file = three.tuning_file().unwrap();
    assert!(std::fs::read_dir(&folder).unwrap().count() == 1, "only the file is left");

    // A verdict of another version is foreign, half a file is none.
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"verdict\": \"verified\"") && text.contains(&first.choice), "a person can read it: {text}");
    let foreign = text.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    for untrusted in [foreign.as_str(), &text[..text.len() / 2], "", "[]", "\u{0}\u{1}"] {
        std::fs::write(&file, untrusted).unwrap();
        let gpu = open();
        assert_eq!(gpu.tuned(problem()), None);
        assert_eq!(gpu.plan(problem()).unwrap().label, first.heuristic);
    }
    // The next verdict takes its place, and it is kept beside.
    open().tune(&product, BUDGET, None).unwrap();
    assert!(open().tuned(&product).is_some());
    let aside = file.with_file_name(format!("{}.broken", file.file_name().unwrap().to_str().unwrap()));
    assert_eq!(std::fs::read(&aside).unwrap(), b"\0\x01");

    // A choice that does not exist is no reason to fail.
    let tuned = Tuned { choice: "winograd_f6 9x9".into(), ..first.clone() };
    let gpu = open();
    wgconv::tune::tune(&gpu, problem(), Duration::ZERO, Some(tuned), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(gpu.plan(problem()).unwrap().label, first.heuristic);
}

/// The file with `change` done to the first problem's JSON, and its checksum made right again if `signed`.
fn tampered(text: &str, signed: bool, change: impl Fn(&mut serde_json::Value)) -> String {
    let mut file: serde_json::Value = serde_json::from_str(text).unwrap();
    change(file["problems"].as_object_mut().unwrap().values_mut().next().unwrap());
    if signed {
        // As the crate writes it: fields in the order of their structs, which serde_json's map does not keep.
        let problems: std::collections::BTreeMap<String, Tuned> = serde_json::from_value(file["problems"].clone()).unwrap();
        let sum = serde_json::to_vec(&problems)
            .unwrap()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        file["checksum"] = format!("{sum:016x}").into();
    }
    serde_json::to_string_pretty(&file).unwrap()
}

#[test]
fn what_a_file_says_is_checked_and_its_choice_computed() {
    let folder = folder("tampered");
    let op = MatMulProblem::matmul(&[8, 16], &[16, 8], ElementType::F32).unwrap();
    let open = || {
        let gpu = Gpu::new().unwrap();
        gpu.set_tuning(Tuning::Cached, Some(&folder));
        gpu
    };
    let gpu = open();
    let tuned = gpu.tune(&op, BUDGET, None).unwrap();
    let file = gpu.tuning_file().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let candidate = |label: &str| tuned.candidates.iter().position(|c| c.label == label).unwrap();
    let chosen = candidate(&tuned.choice);

    // Signed as if this crate had written it: a wrong kernel is not planned, whatever the choice says.
    let wrong = tampered(&text, true, |problem| {
        let label = problem["candidates"][chosen]["label"].clone();
        problem["candidates"][chosen] = serde_json::json!({ "label": label, "verdict": "wrong", "reason": "planted" });
    });
    std::fs::write(&file, wrong).unwrap();
    let gpu = open();
    assert_ne!(gpu.tuned(&op).unwrap().choice, tuned.choice, "though the file says so");
    assert_ne!(gpu.plan(&op).unwrap().label, tuned.choice);
    // Nor is a label that does not exist, or is none of the candidates.
    for label in ["gemm_register 999x8x1", "no such algorithm", ""] {
        let strange = tampered(&text, true, |problem| {
            problem["choice"] = label.into();
            problem["candidates"] = serde_json::json!([{ "label": label, "verdict": "verified", "seconds": 1e-9 }]);
        });
        std::fs::write(&file, strange).unwrap();
        let gpu = open();
        assert!(gpu.tuned(&op).is_some());
        assert_eq!(gpu.plan(&op).unwrap().label, tuned.heuristic, "{label}");
        let again = gpu.tune(&op, Duration::ZERO, gpu.tuned(&op)).unwrap();
        assert!(again.candidates.iter().all(|c| c.label != label), "{again:?}");
    }
    // Times that are none, and anything changed without the checksum.
    for (signed, seconds) in [(true, -1.0), (true, 0.0), (false, 1e-9)] {
        std::fs::write(&file, tampered(&text, signed, |problem| problem["candidates"][chosen]["seconds"] = seconds.into())).unwrap();
        assert_eq!(open().tuned(&op), None, "{seconds}");
    }
    std::fs::write(&file, tampered(&text, true, |_| {})).unwrap();
    assert_eq!(open().tuned(&op), Some(tuned), "the helper signs rightly");
}

#[test]
fn a_trial_that_never_ended_is_tried_once_more() {
    let gpu = Gpu::new().unwrap();
    let interrupted = |times| Tuned {
        choice: "direct".into(),
        heuristic: "direct".into(),
        complete: false,
        candidates: vec![Candidate { label: "direct".into(), verdict: Verdict::Interrupted { times } }],
    };
    let tune = |known, budget, kept: &mut Vec<Tuned>| {
        wgconv::tune::tune(&gpu, problem(), budget, Some(known), &mut |tuned| {
            kept.push(tuned.clone());
            ControlFlow::Continue(())
        })
        .unwrap()
    };
    let mut kept = Vec::new();
    let tuned = tune(interrupted(2), BUDGET, &mut kept);
    assert_eq!(verdict(&tuned, "direct"), &Verdict::Interrupted { times: 2 }, "twice is enough");
    assert!(tuned.complete && tuned.candidates.len() == candidates(&gpu, problem()).unwrap().len(), "{tuned:?}");
    // What a budget of 0 does not try again stays as it was.
    assert_eq!(tune(interrupted(1), Duration::ZERO, &mut Vec::new()).candidates, interrupted(1).candidates);
    // The trial leaves its trace before it begins.
    assert_eq!(kept[0].candidates.last().unwrap().verdict, Verdict::Interrupted { times: 1 });

    let mut kept = Vec::new();
    let tuned = tune(interrupted(1), BUDGET, &mut kept);
    assert!(matches!(verdict(&tuned, "direct"), Verdict::Verified { .. } | Verdict::Slow { .. }), "{tuned:?}");
    assert!(kept.iter().any(|tuned| tuned.candidates.last().unwrap().verdict == Verdict::Interrupted { times: 2 }), "counted before it begins");
}

/// A device of which every kernel returns at once: the fastest there is.
fn idle() -> Gpu {
    let patch = |name: &str, text: String| {
        let entry = text.find("@compute").unwrap_or_else(|| panic!("{name} has no entry"));
        let body = entry + text[entry..].find(") {").unwrap_or_else(|| panic!("{name} has no body")) + ") {".len();
        format!("{} if true {{ return; }} {}", &text[..body], &text[body..])
    };
    Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap()
}

/// On a driver that computes nothing, nothing passes the checks, and cooperative matrices are not trusted: no time of such a kernel counts.
#[test]
fn a_driver_that_computes_nothing_proves_nothing() {
    let gpu = idle();
    gpu.set_tuning(Tuning::Cached, Some(&folder("idle")));
    let x = TensorType::new(&[2, 6, 12, 20], ElementType::F32, Default::default());
    let depthwise = ConvDescriptor::<2> { groups: 6, ..Default::default() };
    let window = PoolDescriptor::<2> { window: [3, 3], stride: Some([2, 2]), ..Default::default() };
    let ops: [Op; 8] = [
        problem().into(),
        ConvProblem::forward(&ConvInputs::new(&[2, 6, 12, 20], &[6, 1, 3, 3], None), &depthwise).unwrap().into(),
        MatMulProblem::matmul(&[40, 50], &[50, 60], ElementType::F32).unwrap().into(),
        MatMulProblem::matmul(&[1, 50], &[50, 60], ElementType::F32).unwrap().into(),
        PoolProblem::new(&x, &window).unwrap().into(),
        SoftmaxProblem::new(&x, &SoftmaxDescriptor::default()).unwrap().into(),
        UnaryProblem::new(&x, Activation::Gelu).unwrap().into(),
        UnaryProblem::new(&x, Activation::Relu).unwrap().into(),
    ];
    for op in ops {
        let labels = candidates(&gpu, &op).unwrap();
        let error = gpu.tune(&op, BUDGET, None).unwrap_err().to_string();
        assert!(error.contains("none is verified"), "{op}: {error}");
        for label in &labels {
            assert!(error.contains(&format!("{label}: Wrong {{")), "{op}: {label} is not refused: {error}");
        }
        let refused = error.matches(": guarded: ").count() + error.matches(": exact: ").count();
        assert_eq!((refused, gpu.tuned(&op).and_then(|tuned| tuned.lag())), (labels.len(), None), "{op}: {error}");
    }
    let doubts = doubt_coop_matrix(&gpu).unwrap();
    assert!(doubts.whole.is_some() && doubts.split.is_some(), "{doubts:?}");
}

/// An op whose every candidate has gone down with the process, as a file may say.
#[test]
fn an_op_of_which_nothing_is_proven_is_planned_by_the_rules() {
    let folder = folder("nothing");
    let op = UnaryProblem::new(&TensorType::new(&[64, 64], ElementType::F32, Default::default()), Activation::Relu).unwrap();
    let gpu = Gpu::new().unwrap();
    gpu.set_tuning(Tuning::Measure { budget: BUDGET }, Some(&folder));
    let tuned = gpu.tune(&op, BUDGET, None).unwrap();
    let file = gpu.tuning_file().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    for times in [1, 2] {
        let dead = tampered(&text, true, |problem| {
            problem["complete"] = false.into();
            for candidate in problem["candidates"].as_array_mut().unwrap() {
                *candidate = serde_json::json!({ "label": candidate["label"], "verdict": "interrupted", "times": times });
            }
        });
        std::fs::write(&file, dead).unwrap();
        let gpu = Gpu::new().unwrap();
        gpu.set_tuning(Tuning::Measure { budget: BUDGET }, Some(&folder));
        let x = gpu.upload(&ndarray::Array2::<f32>::ones((64, 64))).unwrap();
        for _ in 0..2 {
            drop(gpu.run(|r| r.activation(&x, Activation::Relu)).unwrap());
        }
        let found = gpu.tuned(&op).unwrap();
        assert!(found.complete, "{found:?}");
        assert_eq!(found.seconds(&tuned.heuristic).is_some(), times == 1, "{found:?}");
    }
}

#[test]
fn threads_that_meet_an_op_at_once_and_devices_that_share_a_folder_all_get_a_plan() {
    let folder = folder("threads");
    let gpus = [0, 1].map(|_| {
        let gpu = Gpu::new().unwrap();
        gpu.set_tuning(Tuning::Measure { budget: BUDGET }, Some(&folder));
        gpu
    });
    std::thread::scope(|scope| {
        for i in 0..6 {
            let gpu = &gpus[i % 2];
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(i as u64 * 20));
                let x = gpu.upload(&ndarray::Array2::<f32>::from_elem((36, 64), -1.0)).unwrap();
                let y = gpu.run(|r| r.activation(&x, Activation::Relu)).unwrap();
                assert_eq!(y.download::<f32, ndarray::Ix2>().unwrap().sum(), 0.0);
            });
        }
    });
    let op = UnaryProblem::new(&TensorType::new(&[36, 64], ElementType::F32, Default::default()), Activation::Relu).unwrap();
    for gpu in &gpus {
        let tuned = gpu.tuned(&op).unwrap();
        assert!(tuned.complete && tuned.candidates.iter().all(|c| !matches!(c.verdict, Verdict::Interrupted { .. })), "{tuned:?}");
    }
    // What is in the file is whole, too.
    let gpu = Gpu::new().unwrap();
    gpu.set_tuning(Tuning::Cached, Some(&folder));
    let tuned = gpu.tuned(&op).unwrap();
    assert!(tuned.complete && tuned.candidates.iter().all(|c| !matches!(c.verdict, Verdict::Interrupted { .. })), "{tuned:?}");
}

#[test]
fn whoever_waits_may_end_it_with_what_is_found() {
    let gpu = Gpu::new().unwrap();
    gpu.set_tuning(Tuning::Cached, Some(&folder("ended")));
    let second = |tuned: &Tuned| if tuned.candidates.len() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let tuned = gpu.tune_while(problem(), BUDGET, None, &mut |tuned| second(tuned)).unwrap();
    assert!(tuned.candidates.len() == 2 && !tuned.complete, "{tuned:?}");
    assert!(
        tuned.candidates.iter().all(|c| !matches!(c.verdict, Verdict::Interrupted { .. })),
        "the third was not tried, and is tried next time: {tuned:?}"
    );
    assert_eq!(gpu.tuned(problem()), Some(tuned));
}

/// On a software driver a trial of this layer takes seconds: naive runs alone are 7 GFLOP each.
fn large() -> ConvProblem {
    let descriptor = ConvDescriptor::<2> { padding: wgconv::Padding::Same, ..Default::default() };
    ConvProblem::forward(&ConvInputs::new(&[1, 128, 112, 112], &[256, 128, 3, 3], None), &descriptor).unwrap()
}

#[test]
fn a_budget_is_not_overdrawn() {
    let gpu = Gpu::new().unwrap();
    let tune = |budget| {
        let start = std::time::Instant::now();
        (wgconv::tune::tune(&gpu, large(), budget, None, &mut |_| ControlFlow::Continue(())).unwrap(), start.elapsed())
    };
    let (none, took) = tune(Duration::ZERO);
    assert!(none.candidates.is_empty() && !none.complete && took < Duration::from_secs(1), "{none:?} in {took:?}");
    assert_eq!(none.choice, large().plan(gpu.profile(), None).unwrap().label, "the planner's own choice stays");
    // Filling the operands and the checks on the small problem are not foreseen; a naive run on this one is.
    let (few, took) = tune(Duration::from_secs(3));
    assert!(took < Duration::from_secs(10), "{} candidates in {took:?}", few.candidates.len());
    assert!(few.candidates.iter().all(|c| !matches!(c.verdict, Verdict::Interrupted { .. })), "what was not tried is not named: {few:?}");
}

#[test]
fn ops_whose_labels_say_more_than_they_can_be_asked_for_are_tuned_too() {
    let gpu = Gpu::new().unwrap();
    gpu.set_tuning(Tuning::Cached, Some(&folder("labels")));
    let problem =
        SoftmaxProblem::new(&TensorType::new(&[3, 1000], ElementType::F32, Default::default()), &SoftmaxDescriptor { axis: 1, ..Default::default() })
            .unwrap();
    assert!(gpu.plan(&problem).unwrap().label.contains(' '), "the label has numbers");
    let tuned = gpu.tune(&problem, BUDGET, None).unwrap();
    assert!(tuned.complete && tuned.lag().is_some(), "{tuned:?}");
    assert_eq!(gpu.plan(&problem).unwrap().algorithm(), tuned.choice);
}

/// In-place calls ask the tuner as all others do; what they change is data, not zeros, when they are compared and timed.
#[test]
fn calls_in_place_are_tuned_too() {
    let gpu = Gpu::new().unwrap();
    gpu.set_tuning(Tuning::Measure { budget: BUDGET }, Some(&folder("in_place")));
    let x = gpu.upload(&ndarray::Array2::from_shape_fn((64, 64), |(i, j)| (i as f32 - j as f32) / 8.0)).unwrap();
    gpu.run(|r| r.activation_in_place(&x, Activation::Relu)).unwrap();
    gpu.run(|r| r.softmax_in_place(&x, 1)).unwrap();
    let unary = UnaryProblem::new(&TensorType::new(&[64, 64], ElementType::F32, Default::default()), Activation::Relu).unwrap();
    let softmax =
        SoftmaxProblem::new(&TensorType::new(&[64, 64], ElementType::F32, Default::default()), &SoftmaxDescriptor { axis: 1, ..Default::default() })
            .unwrap();
    for op in [Op::from(unary.in_place()), softmax.in_place().into()] {
        let tuned = gpu.tuned(&op).unwrap_or_else(|| panic!("{op} was not tuned"));
        assert!(tuned.complete && tuned.candidates.len() > 1, "{tuned:?}");
        let sound = |verdict: &Verdict| matches!(verdict, Verdict::Verified { .. } | Verdict::Slow { .. });
        assert!(tuned.candidates.iter().all(|candidate| sound(&candidate.verdict)), "{tuned:?}");
    }
}
