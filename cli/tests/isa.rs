//! `wgconv isa`: kernels compiled for chips that this machine does not have, and tables that they are held to. Where Mesa's RADV has no null device,
//! the command must say so and a comparison must fail.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::run;
use std::path::{Path, PathBuf};

/// The matrix product on RDNA2: two kernels, one with a loop of multiply-adds.
const PRODUCT: [&str; 5] = ["isa", "--chip", "navi21", "--layer", "matmul a=512x512 b=512x512"];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The table of [`PRODUCT`] as the command writes it; `None` where nothing here compiles for the chip.
fn table(name: &str) -> Option<(PathBuf, String)> {
    let path = file(name);
    let text = run(&[&PRODUCT[..], &["--json", path.to_str().unwrap()]].concat()).succeeds().to_string();
    let table = std::fs::read_to_string(&path).unwrap();
    if text.contains("not measured: ") {
        eprintln!("nothing here compiles for AMD: {text}");
        assert!(table.contains("\"not_measured\": "), "{table}");
        compare(&path).fails_with(1, "kernels are worse than the table");
        return None;
    }
    Some((path, table))
}

fn compare(table: &Path) -> common::Run {
    run(&[&PRODUCT[..], &["--compare", table.to_str().unwrap()]].concat())
}

#[test]
fn a_product_is_compiled_and_its_loop_is_counted() {
    let Some((_, table)) = table("isa-product.json") else { return };
    let json: serde_json::Value = serde_json::from_str(&table).unwrap();
    let kernels = json["chips"][0]["kernels"].as_array().unwrap();
    let labels: Vec<&str> = kernels.iter().map(|kernel| kernel["kernel"].as_str().unwrap().split('[').next().unwrap()).collect();
    assert_eq!(labels, ["matmul_pack_tile", "matmul_workgroup"]);
    let numbers = &kernels[1]["numbers"];
    assert!(numbers["registers"].as_u64() > Some(32) && numbers["waves"].as_u64() > Some(0) && numbers["local"].as_u64() > Some(0), "{table}");
    let own = &numbers["loop"];
    let (fma, vector) = (own["fma"].as_u64().unwrap(), own["vector"].as_u64().unwrap());
    assert!(fma >= 128 && fma <= vector && 10 * fma > 8 * vector, "most of a product's vector instructions are multiply-adds: {table}");
    assert!(own["local_loads"]["16"].as_u64() > Some(8), "{table}");
}

/// Of a chip that nothing here compiles for, by its published rates alone: 2 x 512^3 operations at 66.9 TFLOP/s, 3 MiB at 3.35 TB/s.
#[test]
fn least_times_are_predicted_from_published_rates() {
    let arguments =
        ["isa", "--chip", "gh100", "--roofline", "--shims", "/nonexistent", "--layer", "matmul a=512x512 b=512x512", "--layer", "relu x=1x64x8x8"];
    let text = run(&arguments).succeeds().to_string();
    assert!(text.contains("least times by the published 66900 GFLOP/s of f32 and 3350 GB/s of memory: predictions, never measurements"), "{text}");
    let line = |layer: &str| text.lines().find(|line| line.contains(&format!("  {layer}: "))).unwrap_or_else(|| panic!("no {layer} in {text}"));
    let product: Vec<&str> = line("matmul a=512x512 b=512x512").split_whitespace().take(4).collect();
    assert_eq!(product, ["4.0", "0.9", "4.0", "-"], "{text}");
    let adreno = run(&["isa", "--chip", "adreno750", "--roofline", "--shims", "/nonexistent", "--layer", "relu x=1x64x8x8"]);
    assert!(adreno.succeeds().contains("no least times: nobody publishes the chip's rates"));
}

#[test]
fn a_table_that_is_better_than_the_kernels_fails_them() {
    let Some((path, text)) = table("isa-compared.json") else { return };
    assert!(compare(&path).succeeds().contains("navi21: 2 kernels compared, 0 worse, 0 better"));
    let damaged = |what: &str, instead: &str| {
        let path = file("isa-damaged.json");
        let other = text.replacen(what, instead, 1);
        assert_ne!(other, text, "{what}");
        std::fs::write(&path, other).unwrap();
        compare(&path)
    };
    // The loop of a table whose vector instructions are multiply-adds alone.
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let own = &json["chips"][0]["kernels"][1]["numbers"]["loop"];
    let counts = format!("\"vector\":{},\"fma\":{}", own["vector"], own["fma"]);
    let run = damaged(&counts, &format!("\"vector\":{},\"fma\":{}", own["vector"], own["vector"]));
    run.fails_with(1, "kernels are worse than the table");
    assert!(run.stdout.contains("  worse   matmul_workgroup[") && run.stdout.contains("100.0 % in the table"), "{}", run.stdout);
    // A table with more spills is worse: the kernels pass.
    let better = damaged("\"spills\":0", "\"spills\":7");
    assert!(better.succeeds().contains("0 spills, 7 in the table"));
    damaged("\"chip\": \"navi21\"", "\"chip\": \"navi22\"").fails_with(2, "--chip is navi21: no table of --compare has it");
    damaged("{", "").fails_with(1, "isa-damaged.json: ");
}

#[test]
fn chips_that_nothing_here_compiles_for_are_said_and_fail_a_comparison() {
    let arguments = ["isa", "--chip", "bmg", "--layer", "relu x=1x64x8x8", "--shims", "/nonexistent"];
    let text = run(&arguments).succeeds().to_string();
    assert!(text.contains("bmg  Intel Arc Battlemage (B580)\n  not measured: no /nonexistent/libintel_noop_drm_shim.so"), "{text}");
    // Polaris has no arithmetic of f16; that says nothing of other chips.
    let text = run(&["isa", "--chip", "polaris10", "--chip", "dg2", "--layer", "relu x=1x64x8x8", "--element", "f16"]).succeeds().to_string();
    assert!(text.contains("  not measured: ") && text.contains(" needs shader-f16") && text.contains("\ndg2  "), "{text}");
    let path = file("isa-not-measured.json");
    std::fs::write(&path, "{\"version\": \"0\", \"chips\": [{\"chip\": \"bmg\", \"driver\": \"anv\", \"kernels\": []}]}").unwrap();
    let compared = run(&[&arguments[..], &["--compare", path.to_str().unwrap()]].concat());
    compared.fails_with(1, "kernels are worse than the table");
    assert!(compared.stdout.contains("bmg was not measured"), "{}", compared.stdout);
    run(&["isa", "--chip", "navi13"]).fails_with(2, "navi31");
}
