//! `wgconv params`: the teaching texts' own figures.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::run;

/// The numbers of the row that starts with `name`.
fn row<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no row {name} in\n{text}"));
    line[name.len()..].split_whitespace().collect()
}

#[test]
fn a_convolution_beside_the_dense_layer_of_the_same_sizes() {
    let run = run(&["params", "32x32x3", "--filter", "5x5", "--filters", "6"]);
    let text = run.succeeds();
    assert!(text.contains("output 28 x 28 x 6"), "{text}");
    assert_eq!(row(text, "inputs"), ["3,072", "3,072"]);
    assert_eq!(row(text, "outputs"), ["4,704", "4,704"]);
    assert_eq!(row(text, "weights"), ["450", "14,450,688"]);
    assert_eq!(row(text, "parameters"), ["456", "14,455,392"]);
    assert_eq!(row(text, "multiply-adds"), ["352,800", "14,450,688"]);
    for part in ["(5 * 5 * 3 + 1) * 6 = 456", "about 14 million", "156 is often quoted", "counts one input channel"] {
        assert!(text.contains(part), "no \"{part}\" in\n{text}");
    }
}

#[test]
fn strides_and_paddings_follow_the_formula() {
    for (options, output) in [
        (&["--padding", "same"] as &[&str], "32 x 32 x 6"),
        (&["--padding", "2"], "32 x 32 x 6"),
        (&["--padding", "1", "--stride", "2"], "15 x 15 x 6"), // (32 + 2 - 5) / 2 + 1, floored
        (&["--stride", "3"], "10 x 10 x 6"),
        (&["--padding", "same", "--stride", "3"], "11 x 11 x 6"),
    ] {
        let arguments = [&["params", "32x32x3"], options].concat();
        let run = run(&arguments);
        assert!(run.succeeds().contains(&format!("output {output}")), "{options:?}: {}", run.stdout);
    }
}

#[test]
fn the_table_of_lenet5() {
    let run = run(&["params", "lenet5"]);
    let text = run.succeeds();
    let parameters = |name: &str| row(text, name).iter().rev().nth(1).copied().unwrap_or_default().to_string();
    for (name, shape, size, count) in [
        ("input", "32 x 32 x 3", "3,072", "0"),
        ("conv1", "28 x 28 x 6", "4,704", "456"),
        ("pool1", "14 x 14 x 6", "1,176", "0"),
        ("conv2", "10 x 10 x 16", "1,600", "2,416"),
        ("pool2", "5 x 5 x 16", "400", "0"),
        ("fc3", "120 x 1", "120", "48,120"),
        ("fc4", "84 x 1", "84", "10,164"),
        ("softmax", "10 x 1", "10", "850"),
    ] {
        let cells = row(text, name).join(" ");
        assert!(cells.starts_with(&format!("{shape} {size} ")), "{name}: {cells}");
        assert_eq!(parameters(name), count, "{name}");
    }
    assert_eq!(parameters("total"), "62,006");
}

/// The table of a network, its passes, its drawing, and a file of weights that does not fit.
#[test]
fn a_network_has_a_table() {
    let text = run(&["params", "resnet18"]).succeeds().to_string();
    assert!(text.lines().next().unwrap().starts_with("name") && text.contains("11,699,112"), "with the statistics of batch norms: {text}");
    assert!(text.contains("layer1.0.conv1") && text.contains("N x 64 x 56 x 56"), "{text}");
    assert!(
        text.contains(
            "After all passes, 25 nodes; N = 1: 4.014 MB between ops in 2 buffers, 1.00 times what is live at once; 5 ops read and write one buffer."
        ),
        "{text}"
    );
    let folder = common::scratch("params_network");
    let dot = folder.join("resnet18.dot");
    let fused = run(&["params", "resnet18", "--passes", "--batch", "4", "--dot", dot.to_str().unwrap()]).succeeds().to_string();
    assert!(fused.contains("fold batch norm: bn1 into conv1") && fused.contains("N = 4: 16.056 MB"), "{fused}");
    assert!(std::fs::read_to_string(dot).unwrap().starts_with("digraph {"));
    let file = folder.join("other.npz");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/weights/stored.npz"), &file).unwrap();
    run(&["params", "resnet18", "--weights", file.to_str().unwrap()]).fails_with(1, "other.npz: missing: conv1.weight, bn1.weight");
    run(&["params", "resnet18", "--stride", "2"]).fails_with(2, "resnet18 is a whole network: it takes no --filter");
    run(&["params", "32x32x3", "--passes"]).fails_with(2, "32x32x3 is no network: --passes");
}
