//! `wgconv validate --vectors` on families made here and by others: what passes, what fails and under which name. Nothing broken is skipped.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{Run, run, scratch, write};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The teaching texts' image of tens and zeros with the vertical edge filter: rows of 0 30 30 0.
fn case(name: &str) -> Value {
    json!({
        "name": name, "source": "the teaching texts", "op": "conv", "dtype": "f32", "exact": true, "special": false,
        "attrs": {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "group": 1, "auto_pad": "NOTSET", "pads": [0, 0, 0, 0],
                  "padding_mode": "zeros", "activation": {"type": "none"}},
        "inputs": {"x": "x", "w": "w"}, "outputs": {"y": "y"}, "grads": {}, "tolerance": {"y": {"abs": 0.0, "rel": 0.0}}
    })
}

fn bad_call(name: &str, strides: Value) -> Value {
    json!({
        "name": name, "source": "written here", "op": "conv", "rule": "strides must be at least 1", "witness": [],
        "attrs": {"kernel_shape": [3, 3], "strides": strides, "dilations": [1, 1], "group": 1, "auto_pad": "NOTSET", "pads": [0, 0, 0, 0],
                  "padding_mode": "zeros", "activation": {"type": "none"}},
        "inputs": {"x": {"dtype": "f32", "shape": [1, 1, 6, 6]}, "w": {"dtype": "f32", "shape": [1, 1, 3, 3]}}
    })
}

/// `base` with the value at `pointer` replaced.
fn with(mut base: Value, pointer: &str, value: Value) -> Value {
    *base.pointer_mut(pointer).unwrap() = value;
    base
}

/// `base` without `key` in the object at `pointer`.
fn without(mut base: Value, pointer: &str, key: &str) -> Value {
    base.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    base
}

/// [`case`] with `grad_x` as the expected gradient of x for dy = y.
fn with_gradient(name: &str, grad_x: &str) -> Value {
    let exact = json!({"abs": 0.0, "rel": 0.0});
    let with_grads = with(case(name), "/grads", json!({"grad_y": "y", "grad_x": grad_x}));
    with(with_grads, "/tolerance", json!({"y": exact, "grad_x": exact}))
}

fn tensors() -> Vec<u8> {
    let x: Vec<f32> = (0..36).map(|i| if i % 6 < 3 { 10.0 } else { 0.0 }).collect();
    let w: Vec<f32> = [1.0, 0.0, -1.0].repeat(3);
    let y: Vec<f32> = [0.0, 30.0, 30.0, 0.0].repeat(4);
    // The data gradient of dy = y: each element sums the filter's columns over the filter rows that reach its row.
    let dx: Vec<f32> = [1.0, 2.0, 3.0, 3.0, 2.0, 1.0].iter().flat_map(|rows| [0.0, 30.0, 30.0, -30.0, -30.0, 0.0].map(|v| rows * v)).collect();
    let mut wrong = y.clone();
    wrong[15] = 1.0;
    let mut with_nan = x.clone();
    with_nan[0] = f32::NAN;
    let mut nan_out = y.clone();
    nan_out[0] = f32::NAN;
    let arrays: Vec<(&str, Vec<usize>, Vec<u8>, Dtype)> = [
        ("x", vec![1, 1, 6, 6], x.clone()),
        ("w", vec![1, 1, 3, 3], w),
        ("y", vec![1, 1, 4, 4], y),
        ("dx", vec![1, 1, 6, 6], dx),
        ("wrong", vec![1, 1, 4, 4], wrong),
        ("flat", vec![1, 1, 16], vec![0.0; 16]),
        ("with_nan", vec![1, 1, 6, 6], with_nan),
        ("nan_out", vec![1, 1, 4, 4], nan_out),
    ]
    .into_iter()
    .map(|(name, shape, values)| (name, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect(), Dtype::F32))
    .chain([("x64", vec![1, 1, 6, 6], x.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(), Dtype::F64)])
    .collect();
    let views: Vec<_> = arrays.iter().map(|(name, shape, bytes, dtype)| (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())).collect();
    serialize(views, None).unwrap()
}

fn family(folder: &Path, name: &str, cases: &[Value]) {
    write(folder, &format!("{name}/cases.json"), Value::from(cases).to_string());
    write(folder, &format!("{name}/tensors.safetensors"), tensors());
}

fn validate(folder: &Path, options: &[&str]) -> Run {
    run(&[&["validate", "--vectors", folder.to_str().unwrap()], options].concat())
}

/// Asserts the last line and gives the lines of failures.
#[track_caller]
fn ends_with<'a>(run: &'a Run, last: &str, status: i32) -> Vec<&'a str> {
    assert_eq!(run.stdout.lines().last(), Some(last), "{}{}", run.stdout, run.stderr);
    assert_eq!(run.status, Some(status), "{}", run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run.stdout.lines().filter(|line| line.starts_with("FAILED ")).collect()
}

#[test]
fn what_is_right_passes_with_its_gradients() {
    let folder = scratch("right");
    let with_grads = with_gradient("edge_grads", "dx");
    let special = with(case("edge_nan"), "/special", json!(true));
    let special = with(with(special, "/inputs/x", json!("with_nan")), "/outputs/y", json!("nan_out"));
    family(&folder, "conv2d", &[case("edge"), with_grads, special]);
    let calls = [bad_call("zero", json!([0, 1])), bad_call("negative", json!([-1, 1])), bad_call("three", json!([1, 1, 1]))];
    write(&folder, "bad_conv/bad.json", Value::from(calls.as_slice()).to_string());
    write(&folder, "notes.txt", "a file beside the families is none of them");
    let report = folder.join("report.json");
    let run = validate(&folder, &["--json", report.to_str().unwrap()]);
    assert!(ends_with(&run, "6 passed, 0 failed, 0 skipped", 0).is_empty());
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["runs"][0]["results"].as_array().unwrap().len(), 6);
    // One family by itself, and one case of it by its address.
    ends_with(&validate(&folder.join("conv2d"), &[]), "3 passed, 0 failed, 0 skipped", 0);
    ends_with(&validate(&folder, &["--only", "conv2d/edge_nan"]), "1 passed, 0 failed, 0 skipped", 0);
    let nothing = validate(&folder, &["--only", "no such case"]);
    ends_with(&nothing, "0 passed, 0 failed, 0 skipped", 1);
    nothing.fails_with(1, "no such case");
}

#[test]
fn what_is_wrong_fails_under_its_own_address_and_its_neighbours_still_run() {
    let folder = scratch("wrong");
    let cases = [
        (case("right"), ""),
        (with(case("value"), "/outputs/y", json!("wrong")), "1 of 16 elements differ: [0, 0, 3, 3] is 0, expected 1"),
        (with_gradient("gradient", "x"), "grad_x: "),
        (with(case("shape"), "/outputs/y", json!("flat")), "[1, 1, 4, 4], expected [1, 1, 16]"),
        (with(case("op"), "/op", json!("teleport")), "op teleport is not known yet"),
        (with(case("dtype"), "/dtype", json!("i8")), "dtype i8 is not known"),
        (with(case("stored"), "/inputs/x", json!("x64")), "input x is stored as F64"),
        (with(case("key"), "/inputs/x", json!("elsewhere")), "tensor elsewhere"),
        (with(case("kernel"), "/attrs/kernel_shape", json!([5, 5])), "kernel_shape is [5, 5]"),
        (with(case("rank"), "/attrs/kernel_shape", json!([3])), "pads is [0, 0, 0, 0]"),
        (with(case("activation"), "/attrs/activation/type", json!("wobble")), "wobble"),
        (with(case("loose"), "/tolerance/y/abs", json!(1.0)), "tolerance 0"),
        (with(case("role"), "/inputs", json!({"x": "x", "w": "w", "residual": "y"})), "input residual"),
        (without(case("no_w"), "/inputs", "w"), "no input w"),
        (without(case("no_tolerance"), "/tolerance", "y"), "no tolerance for y"),
        (without(case("no_strides"), "/attrs", "strides"), "no attribute strides"),
        (without(case("no_op"), "", "op"), "missing field `op`"),
    ];
    family(&folder, "conv2d", &cases.iter().map(|(case, _)| case.clone()).collect::<Vec<_>>());
    let run = validate(&folder, &[]);
    let failures = ends_with(&run, &format!("1 passed, {} failed, 0 skipped", cases.len() - 1), 1);
    assert_eq!(failures.len(), cases.len() - 1, "{}", run.stdout);
    for (case, says) in &cases[1..] {
        let address = format!("conv2d/{}", case["name"].as_str().unwrap());
        let line = failures.iter().find(|line| line.starts_with(&format!("FAILED {address}: "))).unwrap_or_else(|| panic!("{address} is not named"));
        assert!(line.contains(says), "\"{line}\" does not say \"{says}\"");
        assert!(line.contains(&format!("--only {address}]")), "\"{line}\" does not reproduce it");
    }
}

#[test]
fn bad_calls_that_are_accepted_or_prove_nothing_fail() {
    let folder = scratch("bad_calls");
    let calls = [
        bad_call("refused", json!([0, 1])),
        bad_call("accepted", json!([1, 1])),
        without(bad_call("no_pads", json!([0, 1])), "/attrs", "pads"),
        without(bad_call("no_x", json!([0, 1])), "/inputs", "x"),
        with(bad_call("no_shape", json!([0, 1])), "/inputs/x/shape", json!("6x6")),
        with(bad_call("no_op", json!([0, 1])), "/op", json!("teleport")),
    ];
    write(&folder, "bad_conv/bad.json", Value::from(calls.as_slice()).to_string());
    let run = validate(&folder, &[]);
    let failures = ends_with(&run, "1 passed, 5 failed, 0 skipped", 1);
    for (line, says) in failures.iter().zip(["accepted, and planned", "attribute pads", "no x", "shape of x", "op teleport"]) {
        assert!(line.contains(says), "\"{line}\" does not say \"{says}\"");
    }
}

/// Families that other frameworks made.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/vectors")
}

#[test]
fn vectors_of_others_pass_and_the_report_is_written() {
    let report = scratch("vectors_report").join("report.json");
    let run = validate(&shipped(), &["--json", report.to_str().unwrap()]);
    let last = run.succeeds().lines().last().unwrap();
    let counts: Vec<usize> = last.split(", ").map(|part| part.split(' ').next().unwrap().parse().unwrap()).collect();
    let &[passed, failed, skipped] = counts.as_slice() else { panic!("{last}") };
    let halves = run.stdout.lines().any(|line| line.starts_with("skipped ") && line.ends_with(": the device has no f16"));
    assert!(passed >= 200 && failed == 0 && (halves || skipped == 0), "{last}");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(json["runs"][0]["results"].as_array().unwrap().len(), passed + skipped);
}

#[test]
fn damaged_vectors_of_others_fail_and_are_named() {
    let copy = scratch("damaged_vectors");
    let read = |family: &str, file: &str| std::fs::read(shipped().join(family).join(file)).unwrap();
    // A truncated tensor file, a broken list, an op nobody knows, a wrong expectation, a call that is no mistake.
    let (list, tensors) = (read("conv1d", "cases.json"), read("conv1d", "tensors.safetensors"));
    let mut unknown: Value = serde_json::from_slice(&list).unwrap();
    unknown[0]["op"] = "fold".into();
    let mut wrong = tensors.clone();
    let last = wrong.len() - 8;
    wrong[last..].copy_from_slice(&1e9f64.to_le_bytes());
    let mut fine: Value = serde_json::from_slice(&read("bad_conv", "bad.json")).unwrap();
    fine[0]["inputs"]["b"]["shape"] = fine[0]["inputs"]["w"]["shape"].as_array().unwrap()[..1].into();
    for (file, bytes) in [
        ("a_truncated/cases.json", &list[..]),
        ("a_truncated/tensors.safetensors", &tensors[..tensors.len() - 8]),
        ("b_broken/cases.json", b"[{"),
        ("c_unknown/cases.json", unknown.to_string().as_bytes()),
        ("c_unknown/tensors.safetensors", &tensors),
        ("d_wrong/cases.json", &list),
        ("d_wrong/tensors.safetensors", &wrong),
        ("e_no_mistake/bad.json", fine.to_string().as_bytes()),
    ] {
        write(&copy, file, bytes);
    }
    let run = validate(&copy, &[]);
    assert_eq!(run.status, Some(1), "{}{}", run.stdout, run.stderr);
    let failures: Vec<&str> = run.stdout.lines().filter(|l| l.starts_with("FAILED ")).collect();
    for (folder, why) in [
        ("a_truncated", "not a whole safetensors file"),
        ("b_broken", "EOF"),
        ("c_unknown/", "op fold is not known yet"),
        ("d_wrong/", "1 of"),
        ("e_no_mistake/", "accepted, and planned as"),
    ] {
        let line = failures.iter().find(|l| l.starts_with(&format!("FAILED {folder}")));
        assert!(line.is_some_and(|l| l.contains(why)), "{folder} should fail with \"{why}\":\n{}", run.stdout);
    }
    assert_eq!(failures.len(), 5, "{}", run.stdout);
    assert!(run.stdout.lines().last().unwrap().contains(", 5 failed, 0 skipped"), "{}", run.stdout);
}

#[test]
fn a_broken_file_is_a_named_failure() {
    let folder = scratch("broken");
    family(&folder, "conv2d", &[case("right")]);
    write(&folder, "a_json/cases.json", "[{\"name\": ");
    write(&folder, "a_json/tensors.safetensors", tensors());
    write(&folder, "b_torn/cases.json", Value::from(vec![case("torn")]).to_string());
    write(&folder, "b_torn/tensors.safetensors", &tensors()[..200]);
    write(&folder, "c_alone/cases.json", Value::from(vec![case("alone")]).to_string());
    write(&folder, "d_orphan/tensors.safetensors", tensors());
    write(&folder, "e_empty/bad.json", "[]");
    write(&folder, "f_both/bad.json", Value::from(vec![bad_call("zero", json!([0, 1]))]).to_string());
    write(&folder, "f_both/cases.json", Value::from(vec![case("both")]).to_string());
    std::fs::create_dir(folder.join("g_nothing")).unwrap();
    let run = validate(&folder, &[]);
    let failures = ends_with(&run, "1 passed, 7 failed, 0 skipped", 1);
    for (line, (name, file)) in failures.iter().zip([
        ("a_json", "cases.json"),
        ("b_torn", "tensors.safetensors"),
        ("c_alone", "tensors.safetensors"),
        ("d_orphan", "cases.json"),
        ("e_empty", "bad.json"),
        ("f_both", "cases.json"),
        ("g_nothing", "cases.json"),
    ]) {
        assert!(line.starts_with(&format!("FAILED {name}: ")) && line.contains(file), "\"{line}\" does not name {name} and {file}");
    }
    // --only hides no broken file: nobody knows which cases it would have held.
    ends_with(&validate(&folder, &["--only", "conv2d"]), "1 passed, 7 failed, 0 skipped", 1);
}

#[test]
fn a_folder_that_is_not_there_or_holds_no_family_is_named() {
    let folder = scratch("nowhere");
    validate(&folder, &[]).fails_with(1, "no vector family");
    validate(&folder.join("absent"), &[]).fails_with(1, "absent");
}
