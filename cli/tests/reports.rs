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

    // A run compared with itself has a ratio of 1; a faster past is a regression that is named.
    let same = run(&["bench", "--compare", &json, "--against", &json]);
    assert!(same.succeeds().contains("1.00"), "{}", same.stdout);
    let mut past: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    for layer in past["layers"].as_array_mut().unwrap().iter_mut().filter(|layer| layer["layer"] == "product") {
        layer["gpu_ms"] = (layer["gpu_ms"].as_f64().unwrap() / 2.0).into();
    }
    let faster = write(&folder, "past.json", past.to_string());
    run(&["bench", "--compare", &faster, "--against", &json]).fails_with(1, "product");
    run(&["bench", "--compare", &faster, "--against", &json, "--max-regression", "2.5"]).succeeds();
    let torn = write(&folder, "torn.json", "{\"layers\": [");
    run(&["bench", "--compare", &torn, "--against", &json]).fails_with(1, "torn.json");
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
    let verdicts: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(verdicts.as_array().unwrap().len(), 2);
    assert!(verdicts[0]["candidates"].as_array().unwrap().iter().any(|c| c["verdict"] == "proven"), "{verdicts}");
    // What is known is not measured again: the same times.
    tune(&[]).succeeds();
    let again: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(again, verdicts);
    // A cache in which the planner's choice is a thousand times as slow as another: the assertion names the layer.
    let file = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let mut kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for tuned in kept["problems"].as_object_mut().unwrap().values_mut() {
        let heuristic = tuned["heuristic"].clone();
        for candidate in tuned["candidates"].as_array_mut().unwrap() {
            *candidate = serde_json::json!({"label": candidate["label"], "verdict": "proven", "seconds": if candidate["label"] == heuristic { 1.0 } else { 0.001 }});
        }
    }
    std::fs::write(&file, kept.to_string()).unwrap();
    tune(&["--assert", "1.3"]).fails_with(1, "lags by more than 1.3, or may, on plain <3x3> (1000.00), product (1000.00)");
    // With no time for more than the planner's own choice, nothing is asserted.
    let hasty = run(&["tune", "--shapes", &shapes, "--cache", &path("hasty"), "--budget", "0", "--assert", "1.3"]);
    assert!(hasty.stdout.contains("on 2 of them the budget ended before every candidate had its trial"), "{}", hasty.stdout);
    hasty.fails_with(1, "plain <3x3> (1.00 so far: the budget ended first), product (1.00 so far: the budget ended first)");
    tune(&["--assert", "0.5"]).fails_with(2, "--assert is 0.5");
    tune(&["--budget=-1"]).fails_with(2, "budget");
}
