//! `wgconv bench --network`: the whole network in one submit, held to the reference, and the way to its first output.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{run, run_without_adapter, scratch};
use serde_json::Value;

#[test]
fn a_small_network_is_proven_timed_and_told_everywhere() {
    let folder = scratch("network");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (json, html, md, cache) = (path("run.json"), path("run.html"), path("run.md"), path("cache"));
    let bench = ["bench", "--suite", "lenet5", "--network", "--batch", "1,3", "--json", &json, "--html", &html, "--md", &md, "--cache", &cache];
    let run = run(&bench);
    let text = run.succeeds();
    for (starts, columns) in [
        ("network  batch", ["GPU ms", "images/s", "dispatches", "weights MB"]),
        ("network     first output", ["adapter ms", "pipelines", "compile ms", "total ms"]),
    ] {
        let header = text.lines().find(|line| line.starts_with(starts)).unwrap_or_else(|| panic!("no table \"{starts}\" in\n{text}"));
        assert!(columns.iter().all(|column| header.contains(column)), "{header}");
    }
    assert!(!text.lines().any(|line| line.starts_with("layer ")), "layers were not asked for: {text}");

    let document: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let networks = document["networks"].as_array().unwrap();
    assert_eq!(networks.iter().map(|network| network["batch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
    for network in networks {
        // Two pools are in the convolutions before them.
        assert_eq!((&network["layer"], network["ops"].as_u64(), network["weight_bytes"].as_u64()), (&"lenet5".into(), Some(6), Some(4 * 61_706)));
        // Every op, on what it read in the network, within the error that its reference derives.
        assert_eq!(network["checked"].as_u64(), Some(6), "{network}");
        // Sums of at most 400 products of f32, then rows of probabilities: a wrong kernel is off by far more than their rounding.
        assert!(network["difference"].as_f64().unwrap() < 1e-4, "{network}");
        for key in ["gpu_ms", "cpu_ms", "cpu_over_gpu", "images_per_s", "dispatches", "activation_bytes", "least_bytes", "peak_bytes", "gflops"] {
            assert!(network[key].as_f64().is_some_and(|v| v > 0.0), "{key} of {network}");
        }
    }
    let starts = document["starts"].as_array().unwrap();
    let of_kind = |kind: &str| starts.iter().find(|start| start["kind"] == kind);
    let (cold, warm) = (of_kind("cold").unwrap(), of_kind("warm").unwrap());
    assert!(cold["pipelines"].as_u64().unwrap() > 3 && cold["adapter_ms"].as_f64().unwrap() > 0.0, "{cold}");
    assert!(warm["pipelines"] == 0 && warm["adapter_ms"].is_null(), "what is prepared again compiles nothing: {warm}");
    assert!(document["opened"]["pipelines"].as_u64().unwrap() > 3);
    // Only Vulkan has such a cache; where it has, the program kept one.
    let cached = document["adapter"]["features"].as_array().unwrap().contains(&"pipeline_cache".into());
    assert_eq!((of_kind("file").is_some(), std::path::Path::new(&cache).exists()), (cached, cached));
    for (file, parts) in
        [(&html, ["Whole networks", "Time to the first output", "lenet5"]), (&md, ["## Whole networks", "## Time to the first output", "| lenet5 |"])]
    {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
    // A run of a network is one more thing to compare.
    let again = common::run(&["bench", "--compare", &json, "--against", &json]);
    assert!(again.succeeds().contains("batch 3") && again.stdout.contains("over 2 layers: 1.000"), "{}", again.stdout);
}

#[test]
fn without_an_adapter_the_cpu_engine_runs_the_network_alone() {
    let json = scratch("network_cpu").join("run.json");
    run_without_adapter(&["bench", "--suite", "lenet5", "--network", "--json", json.to_str().unwrap()]).succeeds();
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let networks = document["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 2, "batches 1 and 16 take no time here");
    assert!(networks.iter().all(|network| network["gpu_ms"].is_null() && network["cpu_ms"].as_f64().unwrap() > 0.0), "{document}");
    assert!(document.get("starts").is_none());
}

#[test]
fn what_is_no_network_is_refused() {
    run(&["bench", "--network"])
        .fails_with(2, "--suite is quick: it is no network; --network and --train take all, resnet18, resnet50, mobilenet_v2,");
    run(&["bench", "--suite", "lenet5", "--batch", "2"]).fails_with(2, "--network");
    run(&["bench", "--suite", "lenet5", "--network", "--batch", "1,0"]).fails_with(2, "--batch");
    run(&["bench", "--shapes", "x.json", "--network"]).fails_with(2, "--network");
}

/// Forward, backward, the optimizer and a whole step, on both engines in turn; what was counted stands beside it.
#[test]
fn a_training_step_is_timed_in_parts_and_whole() {
    let folder = scratch("bench-train");
    let [json, md, html] = ["train.json", "train.md", "train.html"].map(|name| folder.join(name).to_str().unwrap().to_string());
    let arguments = ["bench", "--suite", "lenet5", "--train", "--batch", "2,4", "--runs", "5", "--json", &json, "--md", &md, "--html", &html];
    let bench = run(&arguments);
    let text = bench.succeeds();
    let document: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let layers = document["layers"].as_array().unwrap();
    let names: Vec<String> =
        layers.iter().map(|layer| format!("{} {}", layer["layer"].as_str().unwrap(), layer["shape"].as_str().unwrap())).collect();
    let wanted = |batch: u32| ["forward", "backward", "optimizer", "step"].map(|part| format!("lenet5 {part} batch {batch}"));
    assert_eq!(names, [wanted(2), wanted(4)].concat());
    for layer in layers {
        for engine in ["gpu", "cpu"] {
            assert_eq!(layer[format!("{engine}_samples")]["seconds"].as_array().unwrap().len(), 5, "{layer}");
        }
        let ratio = |i: usize| layer["cpu_samples"]["seconds"][i].as_f64().unwrap() / layer["gpu_samples"]["seconds"][i].as_f64().unwrap();
        let mut ratios: Vec<f64> = (0..5).map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        assert_eq!(layer["cpu_over_gpu"].as_f64(), Some(ratios[2]), "{layer}");
        assert!(layer["ratio_spread"].is_f64() && layer["flops"].as_f64().unwrap() > 0.0);
    }
    let counted = &document["training"][1];
    assert_eq!((&counted["parameters"], &counted["batch"], &counted["rounds"]), (&61_706.into(), &4.into(), &5.into()));
    assert!(counted["difference"].as_f64().unwrap() < 1e-4 && counted["checked"].as_u64().unwrap() == counted["ops"].as_u64().unwrap(), "{counted}");
    // Twice the samples, twice the work; but of the optimizer.
    let flops = |i: usize| layers[i]["flops"].as_f64().unwrap();
    assert!((1.9..2.1).contains(&(flops(4) / flops(0))) && flops(6) == flops(2));
    for said in [text, &std::fs::read_to_string(&md).unwrap(), &std::fs::read_to_string(&html).unwrap()] {
        assert!(said.contains("61706 parameters in 10 tensors") && said.contains("lenet5 backward"), "{said}");
    }
    run(&["bench", "--train"]).fails_with(2, "--network and --train take all");
    run(&["bench", "--train", "--network", "--suite", "lenet5"]).fails_with(2, "--network");
    run(&["bench", "--suite", "lenet5", "--train", "--layout", "channels_last"])
        .fails_with(2, "--train is given with --layout channels_last: training steps are timed channels first");
}

/// The ops of a step one by one, gradients among them; in f16 and in f32.
#[test]
fn the_ops_of_a_training_step_are_timed_one_by_one() {
    let folder = scratch("bench-train-layers");
    let times = |mixed: bool| -> Vec<Value> {
        let json = folder.join("layers.json").to_str().unwrap().to_string();
        let mut arguments = vec!["bench", "--suite", "lenet5", "--train", "--layers", "--batch", "2", "--runs", "1", "--no-cpu", "--json", &json];
        arguments.extend(mixed.then_some("--mixed"));
        run(&arguments).succeeds();
        let document: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
        assert!(document["failed"].as_array().unwrap().is_empty(), "{document}");
        document["layers"].as_array().unwrap().clone()
    };
    let words = |layers: &[Value], name: &str| -> Vec<String> {
        layers.iter().filter(|layer| layer[name].is_string()).map(|layer| layer[name].as_str().unwrap().to_string()).collect()
    };
    let plain = times(false);
    let names = words(&plain, "layer");
    // Forward, by the filter, by the input; the gradient of the images themselves is nobody's wish.
    for name in ["5x5_6_16_14_linear", "filter_5x5_6_16_14", "filter_5x5_1_6_32", "up5x5_16_6_10", "lenet5 step"] {
        assert!(names.iter().any(|known| known == name), "{name}: {names:?}");
    }
    assert!(!names.iter().any(|name| name == "up5x5_6_1_28"), "{names:?}");
    let mixed = times(true);
    assert!(words(&mixed, "shape").contains(&"batch 2, products in f16".to_string()) && words(&mixed, "op").contains(&"cast".to_string()));
    assert!(!words(&plain, "op").contains(&"cast".to_string()));
    run(&["bench", "--suite", "lenet5", "--train", "--steps"]).fails_with(2, "--steps is of layers, and none are timed: --layers adds them");
    run(&["bench", "--suite", "lenet5", "--network", "--every-algorithm"]).fails_with(2, "--layers adds them");
    run(&["bench", "--suite", "lenet5", "--mixed"]).fails_with(2, "--train");
}
