//! `wgconv bench`: the table, the JSON records, and layers that cannot be run.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{run, run_without_adapter, scratch, write};
use serde_json::Value;

const TINY: &str = r#"[
    {"name": "plain", "op": "conv", "input": [1, 4, 9, 9], "filter": [8, 4, 3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1},
    {"name": "depthwise", "op": "conv", "input": [2, 8, 12, 10], "filter": [8, 1, 3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "group": 8},
    {"name": "line", "op": "conv", "input": [1, 3, 100], "filter": [5, 3, 7]}
]"#;

/// The long form: any op in the vocabulary of test vectors.
const OPS: &str = r#"[
    {"name": "pool", "op": "max_pool", "attrs": {"kernel_shape": [2, 2]}, "inputs": {"x": [1, 3, 8, 8]}},
    {"name": "as_linear", "op": "linear", "attrs": {"activation": {"type": "relu"}}, "inputs": {"x": [4, 20], "w": [12, 20], "b": [12]}},
    {"name": "product", "op": "matmul", "inputs": {"a": [2, 9, 7], "b": [7, 20]}},
    {"name": "soft", "op": "softmax", "attrs": {"axis": -1}, "inputs": {"x": [5, 30]}},
    {"name": "sum", "op": "add", "inputs": {"a": [2, 3, 4], "b": [3, 1]}},
    {"name": "unpool", "op": "max_unpool", "attrs": {"kernel_shape": [2], "strides": [2], "pads": [0, 0], "output_shape": null}, "inputs": {"x": [1, 2, 5], "indices": [1, 2, 5]}}
]"#;

#[test]
fn any_op_is_timed_and_compared() {
    let folder = scratch("ops");
    let (shapes, out) = (write(&folder, "shapes.json", OPS), folder.join("out.json"));
    let run = run(&["bench", "--shapes", &shapes, "--json", out.to_str().unwrap()]);
    let header = run.succeeds().lines().find(|line| line.starts_with("layer")).unwrap().to_string();
    assert!(header.contains("GB/s") && header.contains("of copy"), "{header}");
    let document = read(&out);
    let layers = document["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 6);
    for layer in layers {
        assert!(layer["gpu_ms"].as_f64().unwrap() > 0.0 && layer["gbytes_per_s"].as_f64().unwrap() > 0.0, "{layer}");
        assert!(layer["cpu_ms"].as_f64().unwrap() > 0.0, "{layer}");
    }
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_list_of_shapes_gives_a_table_and_records_with_raw_samples() {
    let folder = scratch("table");
    let (shapes, out) = (write(&folder, "shapes.json", TINY), folder.join("out.json"));
    let run = run(&["bench", "--shapes", &shapes, "--json", out.to_str().unwrap()]);
    let text = run.succeeds();
    let header = text.lines().find(|line| line.starts_with("layer")).unwrap();
    for column in ["shape", "algorithm", "GPU ms", "CPU ms", "CPU/GPU", "GFLOP/s", "of peak"] {
        assert!(header.contains(column), "no column {column} in \"{header}\"");
    }
    let rows: Vec<&str> = text.lines().filter(|line| ["plain ", "depthwise ", "line "].iter().any(|name| line.starts_with(name))).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert!(rows.iter().all(|row| row.chars().count() == header.chars().count()), "aligned:\n{text}");
    assert!(text.contains("timestamps") || text.contains("wall clock"), "the clock is named: {text}");

    let document = read(&out);
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["adapter"]["driver"].is_string() && document["peak"]["gflops"].as_f64().unwrap() > 0.0);
    for layer in document["layers"].as_array().unwrap() {
        for key in ["gpu_ms", "cpu_ms", "cpu_over_gpu", "gflops", "share_of_peak", "flops"] {
            assert!(layer[key].as_f64().is_some_and(|v| v > 0.0), "{key} of {layer}");
        }
        assert!(layer["algorithm"].is_string() && layer["shape"].is_string());
        for samples in ["gpu_samples", "cpu_samples"] {
            let seconds = layer[samples]["seconds"].as_array().unwrap();
            assert!(seconds.len() >= 5 && seconds.iter().all(|s| s.as_f64().is_some_and(|s| s > 0.0)), "{samples} of {layer}");
        }
    }
}

#[test]
fn the_kernel_calls_of_a_layer_are_timed_by_themselves() {
    let folder = scratch("steps");
    let out = folder.join("out.json");
    let arguments = ["bench", "--layer", "conv x=1x8x12x12 w=8x8x3x3 pads=1", "--accuracy", "reduced", "--no-cpu"];
    let arguments = arguments.into_iter().chain(["--every-algorithm", "--steps", "--runs", "3", "--json", out.to_str().unwrap()]);
    let run = run(&arguments.collect::<Vec<_>>());
    let table = run.succeeds();
    let document = read(&out);
    let layers = document["layers"].as_array().unwrap();
    let winograd = layers.iter().find(|layer| layer["algorithm"].as_str().unwrap().starts_with("winograd_f2")).unwrap();
    let steps = winograd["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3, "input, product, output: {winograd}");
    for (step, kernel) in steps.iter().zip(["conv_winograd_input", "matmul_", "conv_winograd_output"]) {
        let name = step["kernel"].as_str().unwrap();
        assert!(name.starts_with(kernel) && step["gpu_ms"].as_f64().unwrap() > 0.0, "{step}");
        assert_eq!(step["gpu_samples"]["seconds"].as_array().unwrap().len(), 3);
        assert!(table.lines().any(|line| line.starts_with("    ") && line.contains(" ms  ") && line.contains(name)), "{table}");
    }
}

#[test]
fn without_the_cpu_engine_its_columns_are_empty() {
    let folder = scratch("no_cpu");
    let (shapes, out) = (write(&folder, "shapes.json", TINY), folder.join("out.json"));
    run(&["bench", "--shapes", &shapes, "--no-cpu", "--accuracy", "exact", "--json", out.to_str().unwrap()]).succeeds();
    let layer = &read(&out)["layers"][0];
    assert!(layer["gpu_ms"].is_number() && layer["cpu_ms"].is_null() && layer["cpu_over_gpu"].is_null(), "{layer}");
}

#[test]
fn layers_are_timed_in_another_layout_and_f16_where_the_device_has_it() {
    let folder = scratch("kind");
    let (shapes, out) = (write(&folder, "shapes.json", TINY), folder.join("out.json"));
    run(&["bench", "--shapes", &shapes, "--no-cpu", "--layout", "channels_last", "--json", out.to_str().unwrap()]).succeeds();
    let shape = |document: &Value| document["layers"][0]["shape"].as_str().unwrap().to_string();
    assert!(shape(&read(&out)).ends_with("_cl"), "{}", shape(&read(&out)));
    let result = run(&["bench", "--shapes", &shapes, "--no-cpu", "--element", "f16", "--accuracy", "reduced", "--json", out.to_str().unwrap()]);
    if result.status == Some(0) {
        assert!(shape(&read(&out)).ends_with("_f16"), "{}", shape(&read(&out)));
    } else {
        assert!(result.stderr.contains("shader-f16"), "{}", result.stderr);
    }
}

#[test]
fn a_layer_that_no_machine_holds_is_named_and_the_others_run() {
    let folder = scratch("huge");
    let huge = r#"[{"name": "huge", "op": "conv", "input": [1, 65536, 65536, 16384], "filter": [1, 65536, 3, 3]},
                   {"name": "small", "op": "conv", "input": [1, 2, 8, 8], "filter": [2, 2, 3, 3]}]"#;
    let shapes = write(&folder, "shapes.json", huge);
    for result in [run(&["bench", "--shapes", &shapes]), run_without_adapter(&["bench", "--shapes", &shapes])] {
        assert_eq!(result.status, Some(1), "{}", result.stderr);
        assert!(result.stdout.lines().any(|line| line.starts_with("small ")), "{}", result.stdout);
        assert!(result.complaints()[0].starts_with("wgconv: huge: "), "{}", result.stderr);
        assert!(!result.stderr.contains("panicked"), "{}", result.stderr);
    }
}

#[test]
fn entries_that_are_no_layers_are_named() {
    let folder = scratch("entries");
    for (entry, says) in [
        (r#"{"name": "a", "op": "fold", "input": [1, 1, 4], "filter": [1, 1, 3]}"#, "a: op fold is not known"),
        (r#"{"name": "f", "op": "fold", "inputs": {"x": [1, 1, 4]}}"#, "f: op fold is not known"),
        (r#"{"name": "g", "op": "softmax", "attrs": {"axis": 2}, "inputs": {"x": [3, 4]}}"#, "g: axis is 2: it must lie within the rank"),
        (r#"{"name": "h", "op": "max_pool", "attrs": {}, "inputs": {"x": [3, 4]}}"#, "h: the attribute kernel_shape is missing"),
        (r#"{"name": "b", "op": "conv", "input": [1, 1, 4], "filter": [1, 1]}"#, "b: filter is [1, 1]"),
        (r#"{"name": "c", "op": "conv", "input": [1, 2, 4, 4], "filter": [1, 3, 3, 3]}"#, "c: filter is [1, 3, 3, 3]"),
        (r#"{"name": "d", "op": "conv", "input": [1, 1, 4, 4], "filter": [1, 1, 3, 3], "pads": [1]}"#, "d: pads is [1]"),
        (
            r#"{"name": "odd", "op": "matmul", "input": [4, 4], "filter": [4, 4]}"#,
            "odd: matmul has no attribute filter (did you mean b?): its inputs are a, b, its attributes none",
        ),
        (
            r#"{"name": "e", "op": "conv", "input": [1, 1, 4, 4], "filter": [1, 1, 3, 3], "stride": [1, 1]}"#,
            "e: conv has no attribute stride (did you mean strides?)",
        ),
    ] {
        let shapes = write(&folder, "shapes.json", format!("[{entry}]"));
        run(&["bench", "--shapes", &shapes]).fails_with(1, says);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_the_cpu_engine_is_timed_alone() {
    let folder = scratch("cpu_alone");
    let (shapes, out) = (write(&folder, "shapes.json", TINY), folder.join("out.json"));
    let run = run_without_adapter(&["bench", "--shapes", &shapes, "--json", out.to_str().unwrap()]);
    let notes: Vec<&str> = run.succeeds().lines().filter(|line| line.starts_with("No GPU adapter")).collect();
    assert_eq!(notes.len(), 1, "{}", run.stdout);
    assert!(notes[0].contains("CPU engine alone") && notes[0].contains("apt install mesa-vulkan-drivers libvulkan1"), "{}", notes[0]);
    let document = read(&out);
    assert!(document["adapter"].is_null() && document["layers"][0]["gpu_ms"].is_null());
    assert!(document["layers"][0]["cpu_ms"].as_f64().unwrap() > 0.0);
}
