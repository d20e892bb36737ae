//! `wgconv validate`: choosing cases, its files, lists of what is expected, and runs that end before their last case.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{Run, run, scratch, write};
use serde_json::Value;
use std::path::Path;

/// A few cases that take no time.
const FEW: [&str; 3] = ["validate", "--only", "conv/direct/n1c"];

fn validate(options: &[&str]) -> Run {
    run(&[&FEW[..], options].concat())
}

fn ids(options: &[&str]) -> Vec<String> {
    run(&[&["validate", "--list"], options].concat()).succeeds().lines().map(String::from).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn cases_are_listed_and_chosen_by_any_of_several_parts() {
    let (direct, pools) = (ids(&["--only", "conv/direct/n1c"]), ids(&["--only", "average_pool/unrolled"]));
    assert!(direct.len() > 3 && direct.iter().all(|id| id.contains("conv/direct/n1c")), "{direct:?}");
    let both = ids(&["--only", "conv/direct/n1c", "--only", "average_pool/unrolled"]);
    assert_eq!(both.len(), direct.len() + pools.len());
    assert!(ids(&[]).len() > 1000 && ids(&["--full"]).len() > ids(&[]).len());
    // An id as it is listed is one that runs.
    let one = run(&["validate", "--only", &direct[0]]);
    assert!(one.succeeds().lines().last().unwrap().ends_with(" 0 failed, 0 skipped"), "{}", one.stdout);
    let vectors = common::data().join("../../../tests/data/vectors/conv1d");
    let listed = ids(&["--vectors", vectors.to_str().unwrap()]);
    assert!(!listed.is_empty() && listed.iter().all(|id| id.starts_with("conv1d/")), "{listed:?}");
}

#[test]
fn the_report_says_where_and_how_it_came_about() {
    let folder = scratch("validate_report");
    let path = |name: &str| folder.join(name);
    let (report, csv, xml) = (path("report.json"), path("results.csv"), path("junit.xml"));
    let files = ["--json", report.to_str().unwrap(), "--results", csv.to_str().unwrap(), "--junit", xml.to_str().unwrap()];
    let result = validate(&files);
    let last = result.succeeds().lines().last().unwrap();
    assert!(result.stdout.lines().any(|line| line.starts_with("time: ")), "{}", result.stdout);

    let report = json(&report);
    let text = |pointer: &str| report.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {report}")).to_string();
    for pointer in ["/version", "/wgpu", "/system/os", "/system/arch", "/runs/0/adapter/name", "/runs/0/adapter/driver", "/runs/0/adapter/backend"] {
        assert!(!text(pointer).is_empty(), "{pointer}");
    }
    assert!(text("/date").ends_with(" UTC") && report["command"].as_array().unwrap().contains(&"--json".into()));
    assert_eq!((&report["options"]["only"][0], &report["options"]["full"]), (&"conv/direct/n1c".into(), &false.into()));
    let adapter = &report["runs"][0]["adapter"];
    assert!(adapter["vendor_id"].as_u64().is_some() && adapter["device_id"].as_u64().is_some() && adapter["features"].is_array(), "{adapter}");
    assert!(adapter["max_storage_buffer_binding_size"].as_u64().unwrap() > 0);
    let results = report["runs"][0]["results"].as_array().unwrap();
    let passed = report["counts"]["passed"].as_u64().unwrap() as usize;
    assert!(last.starts_with(&format!("{passed} passed, 0 failed")) && report["ended_early"].is_null(), "{last}");
    assert!(results.iter().any(|r| r["status"] == "Pass" && r["outcome"] == "passed" && r["seconds"].as_f64().unwrap() > 0.0));
    let spent: f64 = results.iter().map(|r| r["seconds"].as_f64().unwrap()).sum();
    assert!(spent <= report["seconds"].as_f64().unwrap(), "the parts are no more than the whole");

    // The CSV has the same cases in the same order, its commas quoted.
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(csv).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), results.len());
    for (row, result) in rows.iter().zip(results) {
        assert_eq!((row.len(), &row[0], &row[1]), (3, result["id"].as_str().unwrap(), result["status"].as_str().unwrap()));
        assert!(row[2].parse::<f64>().unwrap() >= 0.0);
    }
    let xml = std::fs::read_to_string(xml).unwrap();
    let xml = roxmltree::Document::parse(&xml).unwrap();
    let suite = xml.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    let cases: Vec<_> = suite.children().filter(|node| node.has_tag_name("testcase")).collect();
    assert_eq!((cases.len(), suite.attribute("tests"), suite.attribute("failures")), (results.len(), Some(&*results.len().to_string()), Some("0")));
    assert_eq!(cases[0].attribute("classname"), Some("conv"));
}

/// Networks are cases as ops are: listed, chosen, reported and skipped by their ids.
#[test]
fn networks_are_cases_as_ops_are() {
    let (quick, full) = (ids(&["--only", "network"]), ids(&["--full", "--only", "network"]));
    assert!(quick.len() >= 6 && full.len() > quick.len() && full.iter().all(|id| id.starts_with("network/")), "{full:?}");
    assert!(ids(&[]).iter().filter(|id| id.starts_with("network/")).eq(&quick));
    let folder = scratch("validate_networks");
    let (report, xml, skips) = (folder.join("report.json"), folder.join("junit.xml"), write(&folder, "skips.txt", "views$\n"));
    let files = ["--json", report.to_str().unwrap(), "--junit", xml.to_str().unwrap(), "--skips", &skips];
    let chosen = ["--only", "network/optimized/views", "--only", "network/optimized/closed", "--only", "conv/direct/n1c"];
    let result = run(&[&["validate"], &chosen[..], &files].concat());
    assert!(result.succeeds().contains("skipped 1: a line of --skips names it"), "{}", result.stdout);
    let report = json(&report);
    let results = report["runs"][0]["results"].as_array().unwrap();
    let of = |id: &str| results.iter().find(|result| result["id"] == id).unwrap_or_else(|| panic!("no {id} in {report}"));
    let closed = of("network/optimized/closed");
    assert!(closed["status"] == "Pass" && closed["seconds"].as_f64().unwrap() > 0.0, "{closed}");
    assert_eq!(of("network/optimized/views")["status"], "Skip");
    let xml = std::fs::read_to_string(xml).unwrap();
    let xml = roxmltree::Document::parse(&xml).unwrap();
    let is_closed = |node: &roxmltree::Node<'_, '_>| node.attribute("name") == Some("optimized/closed");
    assert_eq!(xml.descendants().find(is_closed).unwrap().attribute("classname"), Some("network"));
    // With a budget they stand among the ops.
    let mixed = ids(&["--budget", "5"]);
    let first = mixed.iter().position(|id| id.starts_with("network/")).unwrap();
    assert!(first < mixed.len() - 100, "{first} of {}", mixed.len());
}

#[test]
fn lists_say_what_is_expected() {
    let folder = scratch("lists");
    let all = ids(&["--only", "conv/direct/n1c"]);
    let report = folder.join("report.json");
    let count = |options: &[&str], name: &str| {
        let result = validate(&[&["--json", report.to_str().unwrap()], options].concat());
        (result.status, json(&report)["counts"][name].as_u64().unwrap())
    };
    // A sound case that is expected to fail is a failure that names itself.
    let fails = write(&folder, "fails.txt", format!("# expected\n\n{},Fail\n", all[0]));
    let improved = validate(&["--fails", &fails]);
    assert_eq!(improved.status, Some(1));
    assert!(improved.stdout.contains(&format!("PASSED {}: --fails expects it to fail", all[0])), "{}", improved.stdout);
    assert_eq!(count(&["--fails", &fails], "unexpected_passes"), (Some(1), 1));
    // Unless it is a known flake.
    let flakes = write(&folder, "flakes.txt", "conv/direct/.*\n");
    assert_eq!(count(&["--fails", &fails, "--flakes", &flakes], "unexpected_passes"), (Some(0), 0));
    let skips = write(&folder, "skips.txt", "# all but one\n_k\n");
    assert_eq!(count(&["--skips", &skips], "skipped").1 as usize, all.iter().filter(|id| id.contains("_k")).count());
    for (file, text, says) in [("bad.txt", "fine\n(unclosed\n", "bad.txt: line 2: it is no regular expression"), ("none", "", "none: No such file")] {
        let path = if text.is_empty() { folder.join(file).to_str().unwrap().to_string() } else { write(&folder, file, text) };
        validate(&["--skips", &path]).fails_with(1, says);
    }
}

/// A case that fails by its own fault: vectors with a wrong expectation stand for it.
#[test]
fn expected_failures_and_flakes_change_the_status() {
    let folder = scratch("expected");
    let sound = common::data().join("../../../tests/data/vectors/conv1d");
    let mut tensors = std::fs::read(sound.join("tensors.safetensors")).unwrap();
    let last = tensors.len() - 8;
    tensors[last..].copy_from_slice(&1e9f64.to_le_bytes());
    write(&folder, "wrong/tensors.safetensors", &tensors);
    write(&folder, "wrong/cases.json", std::fs::read(sound.join("cases.json")).unwrap());
    let (csv, xml) = (folder.join("results.csv"), folder.join("junit.xml"));
    let vectors = folder.join("wrong");
    let with = |options: &[&str]| {
        let files = ["validate", "--vectors", vectors.to_str().unwrap(), "--results", csv.to_str().unwrap(), "--junit", xml.to_str().unwrap()];
        run(&[&files, options].concat())
    };
    let failed = with(&[]);
    assert_eq!(failed.status, Some(1), "{}", failed.stdout);
    let name = |status: &str| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(&csv).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        rows.iter().find(|row| &row[1] == status).map(|row| row[0].to_string())
    };
    let case = name("Fail").unwrap();
    let text = std::fs::read_to_string(&xml).unwrap();
    let failures = roxmltree::Document::parse(&text).unwrap().descendants().filter(|node| node.has_tag_name("failure")).count();
    assert_eq!(failures, 1, "{text}");
    // The file of one run is the list of the next.
    let fails = write(&folder, "fails.csv", std::fs::read_to_string(&csv).unwrap().lines().filter(|l| l.contains(",Fail,")).collect::<String>());
    let expected = with(&["--fails", &fails]);
    assert!(expected.succeeds().lines().last().unwrap().ends_with(", 1 failed as expected"), "{}", expected.stdout);
    assert_eq!(name("ExpectedFail").as_deref(), Some(case.as_str()));
    let flakes = write(&folder, "flakes.txt", &case);
    with(&["--flakes", &flakes]).succeeds();
    assert_eq!(name("KnownFlake").as_deref(), Some(case.as_str()));
}

#[test]
fn files_that_cannot_be_written_are_all_named_before_anything_runs() {
    let folder = scratch("validate_paths");
    let (there, nowhere) = (folder.to_str().unwrap().to_string(), folder.join("nowhere/x.csv").to_str().unwrap().to_string());
    let refused = validate(&["--json", &there, "--results", &nowhere]);
    refused.fails_with(1, "--json is");
    assert!(refused.stderr.contains("--results is") && refused.stdout.is_empty(), "{}{}", refused.stdout, refused.stderr);
    for budget in ["-5", "x"] {
        validate(&["--budget", budget]).fails_with(2, "it is a number of seconds, 0 or more");
    }
}

#[test]
fn a_budget_ends_the_run_and_what_is_left_is_counted() {
    let report = scratch("validate_budget").join("report.json");
    let all = ids(&[]).len() as u64;
    let result = run(&["validate", "--budget", "3", "--json", report.to_str().unwrap()]);
    assert!(result.stdout.contains("the budget ended: "), "{}", result.stdout);
    let report = json(&report);
    let results = report["runs"][0]["results"].as_array().unwrap();
    assert_eq!(report["ended_early"], "the budget ended");
    assert_eq!(report["counts"]["not_run"].as_u64().unwrap() + results.len() as u64, all);
    assert!(results.iter().all(|r| r["status"] != "Fail"), "{report}");
    assert_eq!(result.status, Some(0), "a budget is no failure: {}", result.stderr);
    let nothing = run(&["validate", "--budget", "0"]);
    assert!(nothing.succeeds().lines().last().unwrap().starts_with("0 passed, 0 failed, 0 skipped, "), "{}", nothing.stdout);
}

#[cfg(unix)]
#[test]
fn what_is_done_is_written_when_ctrl_c_ends_the_run() {
    let folder = scratch("validate_cancelled");
    let (report, csv) = (folder.join("report.json"), folder.join("results.csv"));
    let arguments = ["validate", "--full", "--json", report.to_str().unwrap(), "--results", csv.to_str().unwrap()];
    let result = common::interrupted(&arguments, "(", std::time::Duration::from_secs(5));
    assert_eq!(result.status, Some(130), "{}{}", result.stdout, result.stderr);
    assert!(result.stdout.contains("cancelled: ") && result.stderr.contains("Once more ends at once"), "{}{}", result.stdout, result.stderr);
    assert!(result.stdout.lines().last().unwrap().contains(" not run"), "{}", result.stdout);
    let report = json(&report);
    assert_eq!(report["ended_early"], "cancelled");
    let results = report["runs"][0]["results"].as_array().unwrap().len();
    assert!(results > 0 && report["counts"]["not_run"].as_u64().unwrap() > 0, "{}", report["counts"]);
    assert_eq!(std::fs::read_to_string(csv).unwrap().lines().count(), results);
}
