//! `wgconv explain`, `ops` and `info`: the plan of a layer, the reasons against every other algorithm, the text of its kernels; what reads the
//! same on every machine is compared whole (`snapshots/`; `INSTA_UPDATE=always` rewrites them).

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::run;

#[test]
fn a_layer_is_explained_without_a_device() {
    let layer = "conv x=1x3x224x224 w=64x3x7x7 pads=3 strides=2";
    let text = run(&["explain", "--minimal", "--layer", layer]).succeeds().to_string();
    for part in [
        "conv n1c3h224w224_k64r7s7_st2x2_p3,3,3,3_d1x1_g1",
        "plan      implicit_gemm_workgroup ",
        "work      236.028 MFLOP, 3.851 MB in and out at least",
        "once      conv_pack_filter[f32,ABSENT=4]  147 workgroups",
        "dispatch  conv_implicit_gemm_workgroup[f32,TILE_M=",
        "winograd_f2             it needs stride 1, dilation 1 and filter extent 3, 5 or 1; along the height they are 2, 1 and 7",
        "implicit_gemm_register  it applies; implicit_gemm_workgroup comes first",
    ] {
        assert!(text.contains(part), "no \"{part}\" in\n{text}");
    }
    // Every algorithm is either the plan or has its reason.
    assert_eq!(text.lines().filter(|line| line.starts_with("    ")).count(), wgconv::conv::Algorithm::ALL.len() - 1, "{text}");
    assert!(!text.contains("@compute"));
}

#[test]
fn phases_of_a_stride_are_said() {
    let of = |layer: &str| run(&["explain", "--minimal", "--layer", layer]).succeeds().to_string();
    let text = of("conv_transpose x=1x64x28x28 w=64x64x3x3 strides=2 pads=1");
    assert!(text.contains("  phases    2 x 2 of the stride: an output takes at most 4 of 9 taps\n"), "{text}");
    // A multiply-add is counted where there is one: 28 x 28 elements x 64 channels x 64 filters x 9 taps.
    assert!(text.contains("work      57.803 MFLOP"), "{text}");
    let line = of("conv_transpose x=1x8x10 w=8x4x5 strides=4 dilations=2");
    assert!(line.contains("  phases    4 of the stride: an output takes at most 3 of 5 taps\n"), "{line}");
    for other in ["conv x=1x64x28x28 w=64x64x3x3 strides=2 pads=1", "conv_transpose x=1x64x28x28 w=64x64x3x3 pads=1"] {
        assert!(!of(other).contains("phases"), "{other}");
    }
}

#[test]
fn an_explanation_and_the_lists_read_as_they_did() {
    let text = |arguments: &[&str]| run(arguments).succeeds().to_string();
    insta::assert_snapshot!("explain_conv", text(&["explain", "--minimal", "--layer", "conv x=1x16x28x28 w=32x16x3x3 pads=1 activation=relu"]));
    insta::assert_snapshot!("explain_softmax", text(&["explain", "--minimal", "--layer", "softmax x=8x1000"]));
    insta::assert_snapshot!("ops_conv", text(&["ops", "conv"]));
    insta::assert_snapshot!("params_lenet5", text(&["params", "lenet5"]));
}

/// Values are the machine's; the names are what readers of the JSON rely on.
#[test]
fn info_names_the_adapter_and_its_limits() {
    assert!(run(&["info"]).succeeds().starts_with("0: "));
    let json: serde_json::Value = serde_json::from_str(run(&["info", "--json"]).succeeds()).unwrap();
    let names: Vec<&str> = json[0].as_object().unwrap().keys().map(String::as_str).collect();
    insta::assert_snapshot!("info_names", names.join("\n"));
    assert!(json[0]["name"].is_string() && json[0]["max_storage_buffer_binding_size"].as_u64() > Some(0));
}

#[test]
fn the_text_is_the_one_that_is_compiled() {
    let text = run(&["explain", "--minimal", "--layer", "softmax x=8x1000", "--wgsl"]).succeeds().to_string();
    let (_, wgsl) = text.split_once("// ======== softmax[f32,").unwrap();
    assert!(wgsl.contains("// overrides: THREAD_FASTEST = 1") && wgsl.contains("const ROW_THREADS: u32 = "), "{wgsl}");
    assert_eq!(wgsl.matches("@compute").count(), 1);
    // A kernel that several layers share is printed once.
    let two = ["explain", "--minimal", "--wgsl", "--layer", "softmax x=8x1000", "--layer", "softmax x=4x1000"];
    assert_eq!(run(&two).succeeds().matches("// ======== softmax[").count(), 1);
}

#[test]
fn a_forced_algorithm_is_explained_or_refused() {
    let forced = |label| run(&["explain", "--minimal", "--layer", "matmul a=64x64 b=64x64", "--algorithm", label]);
    assert!(forced("gemm_register 24x8x2").succeeds().contains("plan      gemm_register 24x8x2\n"));
    forced("gemv").fails_with(1, "gemv");
    forced("nonsense").fails_with(1, "nonsense");
}
