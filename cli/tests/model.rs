//! `wgconv run` and `wgconv summary` on model files that the test writes.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;
#[path = "../../onnx/tests/messages/mod.rs"]
mod messages;

use common::run;
use messages::{GraphProto, floats, ints, model, node, value};
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
        node: vec![node("GRU", &["x"], &["a"], vec![]), node("Frobnicate", &["a"], &["y"], vec![])],
        input: vec![value("x", 1, &[2])],
        output: vec![value("y", 1, &[2])],
        ..Default::default()
    };
    std::fs::write(&other, model(17, unknown).encode_to_vec()).unwrap();
    run(&["summary", other.to_str().unwrap()]).fails_with(1, "2 nodes cannot be imported");
}
