//! What `wgconv bench` and `wgconv tune` write and compare: pages, Markdown, ratios, verdicts.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{run, scratch, write};
use serde_json::Value;

const LAYERS: &str = r#"[
    {"name": "plain <3x3>", "op": "conv", "input": [1, 4, 9, 9], "filter": [8, 4, 3, 3], "pads": [1, 1, 1, 1]},
    {"name": "product", "op": "matmul", "inputs": {"a": [9, 7], "b": [7, 20]}}
]"#;

#[test]
fn a_run_becomes_a_page_a_table_and_something_to_compare_with() {
    let folder = scratch("reports");
    let shapes = write(&folder, "shapes.json", LAYERS);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (json, html, md) = (path("run.json"), path("run.html"), path("run.md"));
    run(&["bench", "--shapes", &shapes, "--every-algorithm", "--json", &json, "--html", &html, "--md", &md]).succeeds();

    let page = std::fs::read_to_string(&html).unwrap();
    for part in ["plain &lt;3x3&gt;", "product", "direct", "<svg", "prefers-color-scheme: dark", "wgpu "] {
        assert!(page.contains(part), "the page lacks {part}");
    }
    assert!(!page.contains("plain <3x3>"), "a name is not markup");
    let fetched: Vec<&str> = page.split(['"', '\'', '(']).filter(|s| s.starts_with("http") && !s.starts_with("http://www.w3.org/")).collect();
    assert!(fetched.is_empty(), "a page without a network: {fetched:?}");
    let table = std::fs::read_to_string(&md).unwrap();
    assert!(table.lines().any(|line| line.starts_with("| ") && line.contains("product")), "{table}");

    // A run compared with itself has a ratio of 1; a faster past is a regression that is named, unless both vary as much.
    let same = run(&["bench", "--compare", &json, "--against", &json]);
    assert!(same.succeeds().contains("1.00"), "{}", same.stdout);
    let mut past: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    for layer in past["layers"].as_array_mut().unwrap() {
        layer["gpu_spread"] = 0.02.into();
        layer["gpu_samples"] = Value::Null;
    }
    let json = write(&folder, "present.json", past.to_string());
    for layer in past["layers"].as_array_mut().unwrap().iter_mut().filter(|layer| layer["layer"] == "product") {
        layer["gpu_ms"] = (layer["gpu_ms"].as_f64().unwrap() / 2.0).into();
    }
    let faster = write(&folder, "past.json", past.to_string());
    let (html, md) = (path("compared.html"), path("compared.md"));
    run(&["bench", "--compare", &faster, "--against", &json, "--html", &html, "--md", &md]).fails_with(1, "product");
    for file in [html, md] {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("Compared with") && text.contains("SLOWER"), "{file} tells of the comparison");
    }
    let busy = write(&folder, "busy.json", std::fs::read_to_string(&json).unwrap().replace("\"gpu_spread\":0.02", "\"gpu_spread\":0.9"));
    let noisy = run(&["bench", "--compare", &faster, "--against", &busy]);
    assert!(noisy.succeeds().contains("within noise") && noisy.stdout.contains("timings spread over 25 %"), "{}", noisy.stdout);
    run(&["bench", "--compare", &faster, "--against", &json, "--max-regression", "2.5"]).succeeds();
    let torn = write(&folder, "torn.json", "{\"layers\": [");
    run(&["bench", "--compare", &torn, "--against", &json]).fails_with(1, "torn.json");
}

#[test]
fn what_cannot_be_compared_or_written_is_found_before_anything_is_timed() {
    let folder = scratch("beforehand");
    let shapes = write(&folder, "shapes.json", LAYERS);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (json, there) = (path("run.json"), folder.to_str().unwrap().to_string());
    run(&["bench", "--layer", "relu x=7", "--json", &json]).succeeds();
    let refused = run(&["bench", "--shapes", &shapes, "--compare", &json]);
    refused.fails_with(1, "it has no timed layer of this run");
    assert_eq!(refused.stdout, "", "nothing was timed");
    let refused = run(&["bench", "--shapes", &shapes, "--json", &there, "--csv", &path("nowhere/x.csv"), "--html", &path("fine.html")]);
    refused.fails_with(1, "--json is");
    assert!(refused.stderr.contains("--csv is") && refused.stdout.is_empty(), "{}", refused.stderr);
}

#[test]
fn one_layer_so_many_runs_chosen_columns_and_values() {
    let folder = scratch("one_layer");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (json, csv) = (path("run.json"), path("run.csv"));
    let layers =
        ["--layer", "conv x=1x4x9x9 w=8x4x3x3 pads=1 name=a\u{1b}[31m", "--layer", r#"{"op": "matmul", "inputs": {"a": [9, 7], "b": [7, 20]}}"#];
    let options = ["--runs", "7", "--warmup", "3", "--columns", "gpu,layer,gpu-min", "--json", &json, "--csv", &csv];
    let result = run(&[&["bench"], &layers[..], &options].concat());
    let lines: Vec<&str> = result.succeeds().lines().collect();
    let header =
        lines.iter().position(|line| line.split_whitespace().eq(["GPU", "ms", "layer", "GPU", "min"])).unwrap_or_else(|| panic!("{}", result.stdout));
    assert!(lines[header + 1].contains("a\\u{1b}[31m") && lines[header + 2].contains("layer"), "{}", result.stdout);
    assert!(!result.stdout.contains('\u{1b}'), "no name acts on the terminal");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    for layer in document["layers"].as_array().unwrap() {
        for engine in ["gpu", "cpu"] {
            assert_eq!(layer[format!("{engine}_samples")]["seconds"].as_array().unwrap().len(), 7, "{layer}");
            assert!(layer[format!("{engine}_min_ms")].as_f64() <= layer[format!("{engine}_ms")].as_f64(), "{layer}");
        }
    }
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.starts_with("layer,op,shape,algorithm,") && text.lines().count() == 3, "{text}");
    let longer = run(&["bench", "--layer", "relu x=1000", "--min-time", "0.05", "--no-cpu", "--json", &json]);
    longer.succeeds();
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert!(document["layers"][0]["gpu_samples"]["seconds"].as_array().unwrap().len() >= 5);
    for (options, says) in [
        (["--layer", "conv x=1x4x9x9"], "--layer is conv x=1x4x9x9: "),
        (["--layer", "teleport x=1"], "op teleport is not known"),
        (["--runs", "0"], "--runs"),
        (["--min-time", "-1"], "it is a number of seconds, 0 or more"),
        (["--columns", "gpu,colour"], "colour"),
    ] {
        run(&[&["bench"], &options[..]].concat()).fails_with(2, says);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_what_was_timed() {
    let folder = scratch("bench_cancelled");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (json, md) = (path("run.json"), path("run.md"));
    // The first layer takes no time, the second a while.
    let arguments = [
        "bench",
        "--no-cpu",
        "--layer",
        "relu x=1x3 name=first",
        "--layer",
        "relu x=1x3 name=second",
        "--min-time",
        "4",
        "--json",
        &json,
        "--md",
        &md,
    ];
    let result = common::interrupted(&arguments, "first", std::time::Duration::from_millis(300));
    assert_eq!(result.status, Some(130), "{}{}", result.stdout, result.stderr);
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(document["ended_early"], "cancelled");
    assert_eq!(document["layers"][0]["layer"], "first");
    assert!(std::fs::read_to_string(&md).unwrap().contains("The run ended before its last layer: cancelled"));

    let tuned = path("tuned.json");
    let layers = ["first", "second", "third"].map(|name| format!("conv x=1x32x28x28 w=32x32x3x3 pads=1 name={name}"));
    let arguments =
        ["tune", "--layer", &layers[0], "--layer", &layers[1], "--layer", &layers[2], "--again", "--cache", &path("cache"), "--json", &tuned];
    let result = common::interrupted(&arguments, "first", std::time::Duration::from_millis(500));
    assert_eq!(result.status, Some(130), "{}{}", result.stdout, result.stderr);
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&tuned).unwrap()).unwrap();
    assert!(document["ended_early"] == "cancelled" && document["layers"].as_array().unwrap().len() < 3, "{document}");
}

#[test]
fn tune_prints_every_candidate_keeps_the_verdicts_and_asserts() {
    let folder = scratch("tune");
    let shapes = write(&folder, "shapes.json", LAYERS);
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (cache, json) = (path("cache"), path("tuned.json"));
    let tune = |more: &[&str]| run(&[&["tune", "--shapes", &shapes, "--cache", &cache, "--json", &json], more].concat());
    let first = tune(&[]);
    let lines: Vec<&str> = first.succeeds().lines().collect();
    assert_eq!(lines.iter().filter(|line| line.ends_with("<--")).count(), 2, "one choice of the planner per layer:\n{}", first.stdout);
    assert!(lines.iter().any(|line| line.trim_start().starts_with("direct")), "{}", first.stdout);
    let report = || -> Value { serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap() };
    let verdicts = report();
    assert_eq!(verdicts["layers"].as_array().unwrap().len(), 2);
    assert!(verdicts["ended_early"].is_null() && verdicts["layers"][0]["untried"] == 0 && verdicts["adapter"]["name"].is_string());
    assert!(verdicts["layers"][0]["candidates"].as_array().unwrap().iter().any(|c| c["verdict"] == "verified"), "{verdicts}");
    // What is known is not measured again: the same times, maybe in another minute.
    tune(&[]).succeeds();
    let mut again = report();
    again["date"] = verdicts["date"].clone();
    assert_eq!(again, verdicts);
    // A cache in which the planner's choice is a thousand times as slow as another: the assertion names the layer.
    let file = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let mut kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for tuned in kept["problems"].as_object_mut().unwrap().values_mut() {
        let heuristic = tuned["heuristic"].clone();
        for candidate in tuned["candidates"].as_array_mut().unwrap() {
            *candidate = serde_json::json!({"label": candidate["label"], "verdict": "verified", "seconds": if candidate["label"] == heuristic { 1.0 } else { 0.001 }});
        }
    }
    // Signed as the crate signs it: fields in the order of their structs.
    let problems: std::collections::BTreeMap<String, wgconv::tune::Tuned> = serde_json::from_value(kept["problems"].clone()).unwrap();
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    kept["checksum"] = format!("{:016x}", serde_json::to_vec(&problems).unwrap().iter().fold(0xcbf2_9ce4_8422_2325, fnv)).into();
    std::fs::write(&file, kept.to_string()).unwrap();
    tune(&["--assert", "1.3"]).fails_with(1, "lags by more than 1.3, or may, on plain <3x3> (1000.00), product (1000.00)");
    // With no time nothing is tried, and nothing is said of how the planner compares.
    let hasty = run(&["tune", "--shapes", &shapes, "--cache", &path("hasty"), "--budget", "0", "--assert", "1.3"]);
    assert!(hasty.stdout.contains("candidates of 2 layers are left untried") && !hasty.stdout.contains("times as long"), "{}", hasty.stdout);
    assert_eq!(hasty.stdout.matches("nothing was tried: no trial fits into the budget").count(), 2, "{}", hasty.stdout);
    hasty.fails_with(1, "plain <3x3> (nothing was tried: the budget ended first), product (nothing was tried: the budget ended first)");
    tune(&["--assert", "0.5"]).fails_with(2, "--assert is 0.5");
    for budget in ["-5", "-0.5", "nan", "inf", "soon"] {
        let refused = tune(&["--budget", budget]);
        refused.fails_with(2, "it is a number of seconds, 0 or more");
        assert!(!refused.stderr.contains("tip:"), "{}", refused.stderr);
    }
    // A budget that no clock reaches is no budget; a path that cannot be written is found before anything is tried.
    tune(&["--budget", "1e300"]).succeeds();
    let nowhere = path("nowhere/x.json");
    let refused = run(&["tune", "--shapes", &shapes, "--json", &nowhere]);
    refused.fails_with(1, "nowhere/x.json");
    assert_eq!(refused.stdout, "", "nothing was tried");
}
