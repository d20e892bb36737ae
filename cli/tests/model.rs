//! `wgconv run` and `wgconv summary` on model files that the test writes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;
#[path = "../../onnx/tests/messages/mod.rs"]
mod messages;

use common::run;
use messages::{GraphProto, floats, integers, ints, model, node, value};
use ndarray::Array;
use ndarray_npy::{read_npy, write_npy};
use prost::Message;
use std::path::{Path, PathBuf};

/// A folder of its own for each test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("model-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The sum of the three channels at each position, and their mean over the picture.
fn written(folder: &Path, height: i64) -> String {
    let graph = GraphProto {
        node: vec![
            node("Conv", &["x", "w"], &["sum"], vec![ints("kernel_shape", &[1, 1])]),
            node("GlobalAveragePool", &["x"], &["mean"], vec![]),
            node("Flatten", &["mean"], &["classes"], vec![]),
        ],
        initializer: vec![floats("w", &[1, 3, 1, 1], &[1.0; 3])],
        input: vec![value("x", 1, &[1, 3, height, height])],
        output: vec![value("sum", 1, &[1, 1, height, height]), value("classes", 1, &[1, 3])],
        ..Default::default()
    };
    let path = folder.join("model.onnx");
    std::fs::write(&path, model(17, graph).encode_to_vec()).unwrap();
    path.display().to_string()
}

#[test]
fn arrays_go_in_and_come_out() {
    let folder = folder("arrays");
    let model = written(&folder, 2);
    let (x, out) = (folder.join("x.npy"), folder.join("out"));
    write_npy(&x, &Array::from_shape_fn((1, 3, 2, 2), |(_, c, y, x)| (10 * c + 2 * y + x) as f32)).unwrap();
    let labels = folder.join("labels.txt");
    std::fs::write(&labels, "red\ngreen\nblue\n").unwrap();
    let input = format!("x={}", x.display());
    for engine in [&["--cpu"][..], &[]] {
        let more = ["--output", out.to_str().unwrap(), "--top", "2", "--labels", labels.to_str().unwrap()];
        let text = run(&[&["run", &model, "--input", &input], engine, &more].concat());
        let text = text.succeeds();
        assert!(text.contains("sum: 1 x 1 x 2 x 2, from 30 to 39, mean 34.5"), "{text}");
        assert!(text.contains("  blue (21.5000), green (11.5000)"), "{text}");
        let sum: ndarray::Array4<f32> = read_npy(out.join("0-sum.npy")).unwrap();
        assert_eq!(sum.into_raw_vec_and_offset().0, [30.0, 33.0, 36.0, 39.0]);
    }
}

#[test]
fn pictures_are_cut_resized_and_normalised() {
    let folder = folder("pictures");
    let model = written(&folder, 4);
    // 16 x 8: the middle is green, what is left and right of it is not seen.
    let picture = image::RgbImage::from_fn(16, 8, |x, _| image::Rgb(if (4..12).contains(&x) { [0, 255, 0] } else { [255, 0, 0] }));
    let path = folder.join("picture.png");
    picture.save(&path).unwrap();
    let options = ["--image", path.to_str().unwrap(), "--mean", "0.5", "--std", "0.25", "--cpu", "--top", "3"];
    let text = run(&[&["run", &model], &options[..]].concat());
    assert!(text.succeeds().contains("  1 (2.0000), 0 (-2.0000), 2 (-2.0000)"), "{}", text.stdout);
}

#[test]
fn a_summary_has_the_graph_and_what_it_needs() {
    let folder = folder("summary");
    let model = written(&folder, 4);
    let dot = folder.join("graph.dot");
    let text = run(&["summary", &model, "--passes", "--dot", dot.to_str().unwrap()]);
    let text = text.succeeds();
    for part in ["ONNX, opset 17, written by tests", "in   x: float 1 x 3 x 4 x 4", "1 Conv, 1 Flatten, 1 GlobalAveragePool", "3 parameters"] {
        assert!(text.contains(part), "no \"{part}\" in\n{text}");
    }
    assert!(std::fs::read_to_string(dot).unwrap().starts_with("digraph"));
}

#[test]
fn what_is_wrong_is_one_line() {
    let folder = folder("wrong");
    let path = written(&folder, 2);
    run(&["run", &path]).fails_with(2, "the input x is missing: --input x=FILE.npy or --image x=FILE gives it");
    run(&["run", &path, "--input", "x=none.npy"]).fails_with(1, "none.npy");
    run(&["summary", &path, "--shape", "2x2"]).fails_with(1, "input \"x\" is [2, 2]");
    run(&["summary", &path, "--shape", "2,2"]).fails_with(2, "extents are written as 1x3x224x224");
    let other = folder.join("other.onnx");
    std::fs::write(&other, "not a model").unwrap();
    run(&["summary", other.to_str().unwrap()]).fails_with(1, "other.onnx: ModelProto at byte");
    let unknown = GraphProto {
        node: vec![node("Scan", &["x"], &["a"], vec![]), node("Frobnicate", &["a"], &["y"], vec![])],
        input: vec![value("x", 1, &[2])],
        output: vec![value("y", 1, &[2])],
        ..Default::default()
    };
    std::fs::write(&other, model(17, unknown).encode_to_vec()).unwrap();
    let result = run(&["summary", other.to_str().unwrap()]);
    result.fails_with(1, "other.onnx: 2 nodes cannot be imported");
    let lines: Vec<&str> = result.stderr.lines().skip(1).collect();
    assert!(
        matches!(lines[..], [scan, other] if scan.starts_with("  node \"a\" (Scan): ") && other.starts_with("  node \"y\" (Frobnicate): ")),
        "{lines:?}"
    );
    run(&["bench", "--shape", "1x3x2x2"]).fails_with(2, "--shape, --number and --room are of a model, and --model is not given");
}

/// A batch that is open is 1, other extents must be said, and numbers that decide about shapes are given by an option.
#[test]
fn what_a_file_leaves_open_is_said_by_options() {
    let folder = folder("open");
    let graph = GraphProto {
        node: vec![node("Reshape", &["x", "size"], &["y"], vec![])],
        input: vec![value("x", 1, &[-1, -2, 6]), value("size", 7, &[2])],
        output: vec![value("y", 1, &[-3, -4])],
        ..Default::default()
    };
    let path = folder.join("open.onnx");
    std::fs::write(&path, model(17, graph).encode_to_vec()).unwrap();
    let path = path.to_str().unwrap();
    run(&["summary", path]).fails_with(2, "the input x: float open1 x open2 x 6 leaves extents open: --shape x=EXTENTS gives them");
    let result = run(&["summary", path, "--shape", "x=4x2x6"]);
    result.fails_with(1, "a node cannot be imported");
    assert!(result.stderr.contains("\n  size: --number NAME=NUMBERS or --input NAME=FILE.npy gives the numbers of an input\n"), "{}", result.stderr);
    let text = run(&["summary", path, "--shape", "x=4x2x6", "--number", "size=3,16"]);
    assert!(text.succeeds().contains("3 x 16"), "{}", text.stdout);
    let text = run(&["compare", path, "--cpu", "--shape", "x=4x2x6", "--number", "size=-1,8"]);
    assert!(text.succeeds().contains("6 x 8"), "{}", text.stdout);
    run(&["summary", path, "--shape", "x=4x2x6", "--number", "size=3.5,16"])
        .fails_with(2, "--number is size=3.5,16: the input is size: int64 2, of whole numbers");
    run(&["summary", path, "--shape", "x=4x2x6", "--number", "size=a"]).fails_with(2, "--number is size=a: it is numbers, such as size=480,640");
    run(&["summary", path, "--number", "other=1"]).fails_with(2, "--number is other=1: the model's inputs are x, size");
}

/// A node that makes more than the file's size justifies is refused, with the option that admits it.
#[test]
fn nodes_make_what_the_file_or_the_caller_admits() {
    let folder = folder("room");
    let graph = GraphProto {
        node: vec![node("ConstantOfShape", &["extents"], &["w"], vec![]), node("MatMul", &["x", "w"], &["y"], vec![])],
        initializer: vec![integers("extents", &[2], &[4096, 2048])],
        input: vec![value("x", 1, &[-1, 4096])],
        output: vec![value("y", 1, &[-1, 2048])],
        ..Default::default()
    };
    let path = folder.join("room.onnx");
    std::fs::write(&path, model(17, graph).encode_to_vec()).unwrap();
    let path = path.to_str().unwrap();
    let result = run(&["summary", path]);
    result.fails_with(1, "a node cannot be imported");
    assert!(result.stderr.contains("\n  --room MILLIONS lets the nodes of a file that you trust make more\n"), "{}", result.stderr);
    let text = run(&["summary", path, "--room", "20"]);
    assert!(text.succeeds().contains("1 x 2048"), "{}", text.stdout);
    run(&["summary", path, "--room", "0"]).fails_with(2, "--room");
}

#[test]
fn the_ops_of_a_model_are_compared_on_both_engines() {
    let folder = folder("compare");
    let path = written(&folder, 5);
    for engine in [&[][..], &["--cpu"], &["--passes"]] {
        let text = run(&[&["compare", &path], engine].concat());
        let text = text.succeeds();
        let cells = text.lines().find(|line| line.ends_with(" sum")).unwrap_or_else(|| panic!("{text}"));
        assert!(cells.contains("conv ") && cells.contains("1 x 1 x 5 x 5"), "{cells}");
        let engines = if engine == ["--cpu"] { "the CPU engine" } else { "the GPU and the CPU engine" };
        assert!(
            text.contains("inputs: seeded numbers") && text.contains(&format!("2 values are within their bounds on {engines}, the largest taking")),
            "{text}"
        );
    }
    run(&["compare", &path, "--shape", "x=1x3x5x5x1"]).fails_with(1, "x");
    run(&["compare", &path, "--shape", "y=1x3x5x5"]).fails_with(2, "--shape is y=1x3x5x5: the model's inputs are x");
    run(&["compare", &path, "--input", "none.npy"]).fails_with(1, "none.npy");
}

/// Another engine's tensors: right ones agree, a wrong number and a wrong shape are named by their value.
#[test]
fn another_engines_tensors_are_compared() {
    let folder = folder("against");
    let path = written(&folder, 2);
    let x = folder.join("x.npy");
    write_npy(&x, &Array::from_shape_fn((1, 3, 2, 2), |(_, c, y, x)| (10 * c + 2 * y + x) as f32)).unwrap();
    let right: [(&str, Vec<usize>, Vec<f32>); 3] = [
        ("sum", vec![1, 1, 2, 2], vec![30.0, 33.0, 36.0, 39.0]),
        ("mean", vec![1, 3, 1, 1], vec![1.5, 11.5, 21.5]),
        ("classes", vec![1, 3], vec![1.5, 11.5, 21.5]),
    ];
    let file = folder.join("theirs.safetensors");
    let compare = |tensors: &[(&str, Vec<usize>, Vec<f32>)]| {
        let mut graph = wgconv::Graph::new();
        for (name, extents, numbers) in tensors {
            graph.parameter(name, ndarray::ArrayD::from_shape_vec(extents.clone(), numbers.clone()).unwrap().view()).unwrap();
        }
        std::fs::write(&file, graph.to_safetensors().unwrap()).unwrap();
        run(&["compare", &path, "--input", x.to_str().unwrap(), "--against", file.to_str().unwrap()])
    };
    let text = compare(&right);
    assert!(text.succeeds().contains("3 of 3 tensors of the other engine agree"), "{}", text.stdout);
    let mut wrong = right.clone();
    wrong[1].2[2] += 0.5;
    compare(&wrong).fails_with(1, "the first value that does not agree with the other engine: mean: the other engine is off the reference by 5.0e-1");
    let mut misshapen = right.clone();
    misshapen[2] = ("classes", vec![1, 2], vec![1.5, 11.5]);
    compare(&misshapen).fails_with(1, "classes: it is 1 x 2 there, and 1 x 3 here");
    let other = [("elsewhere", vec![1], vec![0.0])];
    compare(&other).fails_with(1, "no value of the network has the name of a tensor in it (elsewhere)");
}

/// Layers and the whole network of a model file, by what a suite's are timed with; its layers are tuned too.
#[test]
fn a_models_layers_and_network_are_timed_and_tuned() {
    let folder = folder("bench");
    let path = written(&folder, 4);
    let json = folder.join("bench.json");
    let text = run(&["bench", "--model", &path, "--network", "--layers", "--runs", "1", "--json", json.to_str().unwrap()]);
    let text = text.succeeds();
    assert!(text.contains("1x1_3_1_4_linear") && text.contains("global_avgpool_3_4"), "{text}");
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let network = &document["networks"][0];
    assert_eq!((network["layer"].as_str(), network["batch"].as_u64()), (Some("model"), Some(1)), "{network}");
    assert!(network["checked"].as_u64() == Some(2) && network["gpu_ms"].as_f64().unwrap() > 0.0, "{network}");
    let text = run(&["tune", "--model", &path, "--budget", "2", "--cache", folder.to_str().unwrap()]);
    assert!(text.succeeds().contains("1x1_3_1_4_linear  conv"), "{}", text.stdout);
    run(&["bench", "--model", &path, "--network", "--batch", "2"]).fails_with(2, "model takes a batch of 1; --shape gives others");
    run(&["bench", "--model", &path, "--element", "f16"]).fails_with(2, "--element is f16: a model is computed in f32");
    run(&["bench", "--model", &path, "--suite", "resnet18"]).fails_with(2, "--suite");
    run(&["bench", "--model", "none.onnx"]).fails_with(1, "none.onnx");
    run(&["tune", "--shape", "x=1x3x4x4"]).fails_with(2, "--model");
}

/// A model that was trained is written, and gives the same numbers from its file.
#[test]
fn a_trained_model_is_exported_and_run() {
    let folder = folder("export");
    let (saved, file, out) = (folder.join("digits.safetensors"), folder.join("digits.onnx"), folder.join("out"));
    let [saved, file, out] = [&saved, &file, &out].map(|path| path.to_str().unwrap());
    run(&["train", "digits", "--cpu", "--epochs", "1", "--save", saved]).succeeds();
    let text = run(&["export", saved, "--output", file]);
    assert!(text.succeeds().contains("input N x 1 x 8 x 8 to output N x 10"), "{}", text.stdout);
    let x = folder.join("x.npy");
    write_npy(&x, &Array::from_shape_fn((2, 1, 8, 8), |(n, _, y, x)| ((n + y * x) % 5) as f32 / 4.0)).unwrap();
    run(&["run", file, "--input", x.to_str().unwrap(), "--cpu", "--output", out]).succeeds();
    let scores: ndarray::Array2<f32> = read_npy(folder.join("out/0-output.npy")).unwrap();
    assert_eq!(scores.dim(), (2, 10));
    assert!(scores.iter().all(|v| v.is_finite()) && scores.row(0) != scores.row(1));
    run(&["compare", file, "--input", x.to_str().unwrap()]).succeeds();
    run(&["export", "none.safetensors", "--output", file]).fails_with(1, "none.safetensors");
    run(&["export", file, "--output", file]).fails_with(1, ".onnx");
}

#[test]
fn outputs_that_are_pictures_are_written_as_png() {
    let folder = folder("png");
    let model = written(&folder, 9);
    let (x, out) = (folder.join("x.npy"), folder.join("out"));
    write_npy(&x, &Array::from_shape_fn((1, 3, 9, 9), |(_, _, y, x)| (9 * y + x) as f32)).unwrap();
    let common = ["run", &model, "--cpu", "--input", x.to_str().unwrap(), "--output", out.to_str().unwrap()];
    let text = run(&[&common[..], &["--pictures", "--range", "-15,240"]].concat());
    assert!(text.succeeds().contains("  as PNG, black -15, white 240"), "{}", text.stdout);
    let read = image::open(out.join("0-sum.png")).unwrap().into_luma8();
    assert_eq!((read.dimensions(), read.get_pixel(2, 1).0), ((9, 9), [3 * 11 + 15]));
    assert!(out.join("1-classes.npy").is_file(), "a list of classes is no picture");
    run(&[&common[..], &["--pictures", "--range", "1,0"]].concat()).fails_with(2, "--range");
}
