//! The program as its user meets it: the built binary, real files, exit statuses and messages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn wgconv(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgconv")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Our own last line on stderr; drivers may print before it.
fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().filter(|l| l.starts_with("wgconv:")).collect::<Vec<_>>().join("\n")
}

/// A fresh folder for one test.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn photograph() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/camera.png")
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/vectors")
}

#[test]
fn params_prints_the_texts_numbers() {
    let output = stdout(&wgconv(&["params", "32x32x3", "--filter", "5x5", "--filters", "6"]));
    for number in ["output 28 x 28 x 6", "456", "14,450,688", "about 14 million", "(156 is often quoted"] {
        assert!(output.contains(number), "{number} is missing in:\n{output}");
    }
    let output = stdout(&wgconv(&["params", "lenet5"]));
    for number in ["28 x 28 x 6", "2,416", "48,120", "10,164", "62,006"] {
        assert!(output.contains(number), "{number} is missing in:\n{output}");
    }
}

#[test]
fn bad_arguments_end_with_2_and_failures_with_1_in_one_line() {
    let there = photograph();
    let there = text(&there);
    for (arguments, status, part) in [
        (vec!["params", "32x32"], 2, "wgconv: the input is 32x32: it must be HEIGHTxWIDTHxCHANNELS"),
        (vec!["params", "4x4x1", "--filter", "5x5"], 2, "wgconv: filter (height) is 5: the window extent"),
        (vec!["filter", there, "-o", "out.png", "--kernel", "sobel"], 2, "wgconv: --kernel is sobel: it is sobel-x, sobel-y"),
        (vec!["filter", there, "-o", "out.png", "--kernel", "box:0"], 2, "wgconv: --kernel is box:0: the size of a box is 1 to 255"),
        (vec!["filter", there, "-o", "out.png", "--kernel", "sobel-x", "--padding", "full"], 2, "wgconv: --padding is full: it is valid, same"),
        (vec!["filter", "missing.png", "-o", "out.png", "--kernel", "sobel-x", "--cpu"], 1, "wgconv: missing.png: No such file"),
        (vec!["bench", "--shapes", "missing.json"], 1, "wgconv: missing.json: No such file"),
        (vec!["validate", "--vectors", "missing"], 1, "wgconv: missing: No such file"),
        (vec!["validate", "--only", "no such case"], 1, "wgconv: nothing was proven: no case that can run here contains \"no such case\""),
        (vec!["validate", "--adapter", "no such device"], 1, "wgconv: no GPU adapter with the number or name \"no such device\""),
    ] {
        let output = wgconv(&arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", message(&output));
        let message = message(&output);
        assert!(message.contains(part), "{arguments:?} said: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    assert_eq!(wgconv(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(wgconv(&["bench", "--suite", "alexnet"]).status.code(), Some(2));
}

#[test]
fn filter_gives_the_same_picture_on_gpu_and_cpu() {
    let folder = folder("filter");
    let kernel = folder.join("edge.csv");
    std::fs::write(&kernel, "1, 0, -1\n1, 0, -1\n1, 0, -1\n").unwrap();
    for name in ["sobel-x", "gaussian:2", "emboss", text(&kernel)] {
        let [gpu, cpu] = ["gpu.png", "cpu.png"].map(|file| folder.join(file));
        let photograph = photograph();
        let common = ["filter", text(&photograph), "--kernel", name, "--padding", "reflect"];
        let on_gpu = wgconv(&[&common[..], &["-o", text(&gpu)]].concat());
        let on_cpu = wgconv(&[&common[..], &["-o", text(&cpu), "--cpu"]].concat());
        assert!(on_gpu.status.success() && on_cpu.status.success(), "{name}: {} {}", message(&on_gpu), message(&on_cpu));
        let [gpu, cpu] = [gpu, cpu].map(|path| image::open(path).unwrap().into_luma8());
        assert_eq!(gpu.dimensions(), (512, 512));
        let apart = gpu.iter().zip(cpu.iter()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart <= Some(1), "{name}: pixels differ by {apart:?}; two orders of f32 summation round to neighbours at most");
        assert!(gpu.iter().any(|p| *p > 160) && gpu.iter().any(|p| *p < 96), "{name}: the picture is flat");
    }
}

#[test]
fn what_is_no_image_or_no_table_is_named() {
    let folder = folder("no_image");
    let (text_file, ragged) = (folder.join("notes.png"), folder.join("ragged.csv"));
    std::fs::write(&text_file, "not an image").unwrap();
    std::fs::write(&ragged, "1,2\n3\n").unwrap();
    let output = wgconv(&["filter", text(&text_file), "-o", "out.png", "--kernel", "sobel-x", "--cpu"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(message(&output).ends_with("notes.png: not a PNG, JPEG, WebP or TIFF image"), "{}", message(&output));
    let output = wgconv(&["filter", text(&photograph()), "-o", "out.png", "--kernel", text(&ragged), "--cpu"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(message(&output).contains("ragged.csv"), "{}", message(&output));
}

#[test]
fn info_lists_the_adapter_as_text_and_json() {
    assert!(stdout(&wgconv(&["info"])).starts_with("0: "));
    let json: serde_json::Value = serde_json::from_str(&stdout(&wgconv(&["info", "--json"]))).unwrap();
    assert!(json[0]["name"].is_string() && json[0]["max_storage_buffer_binding_size"].as_u64() > Some(0));
}

#[test]
fn vectors_of_others_pass_and_the_report_is_written() {
    let report = folder("vectors_report").join("report.json");
    let output = wgconv(&["validate", "--vectors", text(&vectors()), "--json", text(&report)]);
    let out = stdout(&output);
    assert!(output.status.success(), "{out}");
    let last = out.lines().last().unwrap();
    let counts: Vec<usize> = last.split(", ").map(|part| part.split(' ').next().unwrap().parse().unwrap()).collect();
    let &[passed, failed, skipped] = counts.as_slice() else { panic!("{last}") };
    let halves = out.lines().any(|line| line.starts_with("skipped ") && line.ends_with(": the device has no f16"));
    assert!(passed >= 200 && failed == 0 && (halves || skipped == 0), "{last}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(json["runs"][0]["results"].as_array().unwrap().len(), passed + skipped);
}

#[test]
fn damaged_vectors_fail_and_are_named() {
    let copy = folder("damaged_vectors");
    let read = |family: &str, file: &str| std::fs::read(vectors().join(family).join(file)).unwrap();
    let write = |family: &str, file: &str, bytes: &[u8]| {
        std::fs::create_dir_all(copy.join(family)).unwrap();
        std::fs::write(copy.join(family).join(file), bytes).unwrap();
    };
    // A truncated tensor file, a broken list, an op nobody knows, a wrong expectation, a call that is no mistake.
    let tensors = read("conv1d", "tensors.safetensors");
    let cases: serde_json::Value = serde_json::from_slice(&read("conv1d", "cases.json")).unwrap();
    write("a_truncated", "cases.json", &read("conv1d", "cases.json"));
    write("a_truncated", "tensors.safetensors", &tensors[..tensors.len() - 8]);
    write("b_broken", "cases.json", b"[{");
    let mut unknown = cases.clone();
    unknown[0]["op"] = "fold".into();
    write("c_unknown", "cases.json", unknown.to_string().as_bytes());
    write("c_unknown", "tensors.safetensors", &tensors);
    let mut wrong = tensors.clone();
    let last = wrong.len() - 8;
    wrong[last..].copy_from_slice(&1e9f64.to_le_bytes());
    write("d_wrong", "cases.json", &read("conv1d", "cases.json"));
    write("d_wrong", "tensors.safetensors", &wrong);
    let mut fine: serde_json::Value = serde_json::from_slice(&read("bad_conv", "bad.json")).unwrap();
    fine[0]["inputs"]["b"]["shape"] = fine[0]["inputs"]["w"]["shape"].as_array().unwrap()[..1].into();
    write("e_no_mistake", "bad.json", fine.to_string().as_bytes());

    let output = wgconv(&["validate", "--vectors", text(&copy)]);
    assert_eq!(output.status.code(), Some(1));
    let out = stdout(&output);
    let failures: Vec<&str> = out.lines().filter(|l| l.starts_with("FAILED ")).collect();
    for (folder, why) in [
        ("a_truncated", "not a whole safetensors file"),
        ("b_broken", "EOF"),
        ("c_unknown/", "op fold is not known yet"),
        ("d_wrong/", "1 of"),
        ("e_no_mistake/", "accepted, and planned as"),
    ] {
        let line = failures.iter().find(|l| l.starts_with(&format!("FAILED {folder}")));
        assert!(line.is_some_and(|l| l.contains(why)), "{folder} should fail with \"{why}\":\n{out}");
    }
    assert_eq!(failures.len(), 5, "{out}");
    assert!(out.lines().last().unwrap().contains(", 5 failed, 0 skipped"), "{out}");
}

#[test]
fn bench_times_a_shape_file_and_writes_every_column() {
    let folder = folder("bench");
    let (shapes, json) = (folder.join("shapes.json"), folder.join("out.json"));
    std::fs::write(
        &shapes,
        r#"[{"name": "tiny", "op": "conv", "input": [1, 3, 9, 11], "filter": [4, 3, 3, 2], "strides": [1, 2], "pads": [1, 0, 1, 1], "dilations": [1, 1], "group": 1},
            {"name": "line", "op": "conv", "input": [2, 4, 50], "filter": [4, 1, 5], "group": 4}]"#,
    )
    .unwrap();
    let output = wgconv(&["bench", "--shapes", text(&shapes), "--json", text(&json)]);
    assert!(output.status.success(), "{}", message(&output));
    let out = stdout(&output);
    assert!(out.contains("tiny") && out.contains("depthwise") && out.contains("of peak"), "{out}");
    let document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let layer = &document["layers"][0];
    assert!(layer["gpu_samples"]["seconds"].as_array().unwrap().len() >= 5);
    for column in ["layer", "shape", "algorithm", "gpu_ms", "cpu_ms", "cpu_over_gpu", "gflops", "share_of_peak"] {
        assert!(!layer[column].is_null(), "{column} is missing");
    }
    std::fs::write(&shapes, r#"[{"name": "odd", "op": "matmul", "input": [4, 4], "filter": [4, 4]}]"#).unwrap();
    let output = wgconv(&["bench", "--shapes", text(&shapes)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        message(&output).contains("odd: matmul has no attribute filter (did you mean b?): its inputs are a, b, its attributes none"),
        "{}",
        message(&output)
    );
}

#[test]
fn without_any_adapter_bench_and_filter_fall_back_to_the_cpu_engine() {
    let folder = folder("no_adapter");
    let shapes = folder.join("shapes.json");
    std::fs::write(&shapes, r#"[{"name": "tiny", "op": "conv", "input": [1, 3, 9, 11], "filter": [4, 3, 3, 2]}]"#).unwrap();
    // No Vulkan driver is found when the loader is told to look at none.
    let blind = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgconv"));
        command.args(arguments).env("VK_DRIVER_FILES", "none.json").env("VK_ICD_FILENAMES", "none.json").output().unwrap()
    };
    if !cfg!(target_os = "linux") {
        return; // Metal and DX12 cannot be hidden this way
    }
    let output = blind(&["bench", "--shapes", text(&shapes)]);
    let out = stdout(&output);
    assert!(output.status.success(), "{}", message(&output));
    assert!(out.contains("No GPU adapter on this machine: timing the CPU engine alone.") && out.contains("mesa-vulkan-drivers"), "{out}");
    assert!(out.contains("tiny"), "{out}");
    let picture = folder.join("out.png");
    let output = blind(&["filter", text(&photograph()), "-o", text(&picture), "--kernel", "sobel-y"]);
    assert!(output.status.success() && picture.exists());
    assert!(message(&output).contains("Computing on the CPU engine"), "{}", message(&output));
    let output = blind(&["validate"]);
    assert_eq!(output.status.code(), Some(1), "nothing can be proven without an adapter");
    assert!(message(&output).contains("no GPU adapter on this machine"), "{}", message(&output));
}
