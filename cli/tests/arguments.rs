//! Arguments and exit statuses: 2 and one line for what is wrong with the arguments, 1 and one line for work that fails.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{command, run, run_without_adapter, scratch, write};
use std::process::Stdio;

#[test]
fn bad_arguments_end_in_2_with_one_line() {
    for (arguments, says) in [
        (&[] as &[&str], "a command is missing"),
        (&["nonsense"], "unrecognized subcommand 'nonsense'"),
        (&["params"], "<INPUT>"),
        (&["params", "32x32x3", "--filters", "six"], "'six'"),
        (&["params", "32x32"], "HEIGHTxWIDTHxCHANNELS"),
        (&["params", "32x32x3", "--filter", "5"], "--filter is 5"),
        (&["params", "32x32x3", "--padding", "some"], "--padding is some"),
        (&["params", "32x32x3", "--filter", "99x99"], "filter (height) is 99"),
        (&["params", "32x32x3", "--filters", "0"], "every extent must be at least 1"),
        (&["params", "32x32x3", "--stride", "0"], "stride (height) is 0"),
        (&["params", "0x32x3"], "every extent must be at least 1"),
        (&["params", "99999999999x99999999999x3"], "the largest count of one tensor"),
        (&["params", "99999999999999999999x1x1"], "99999999999999999999x1x1"),
        (&["params", "100000x100000x3", "--filter", "3x3", "--filters", "1000000"], "dense layer"),
        (&["params", "32x32x3", "--padding", "9223372036854775807"], "padding (height)"),
        (&["params", "lenet5", "--stride", "2"], "lenet5"),
        (&["filter", "camera.png", "-o", "out.png", "--kernel", "bax:3"], "--kernel is bax:3"),
        (&["filter", "camera.png", "-o", "out.png", "--kernel", "sobel"], "--kernel is sobel: it is sobel-x, sobel-y"),
        (&["filter", "camera.png", "-o", "out.png", "--kernel", "box:0"], "the size of a box"),
        (&["filter", "camera.png", "-o", "out.png", "--kernel", "gaussian:nan"], "the sigma of a gaussian"),
        (&["filter", "camera.png", "-o", "out.gif", "--kernel", "box:3"], "out.gif"),
        (&["filter", "camera.png", "-o", "out.png", "--kernel", "box:3", "--padding", "odd"], "--padding is odd"),
        (&["filter", "camera.png", "-o", "out.png", "--kernel", "box:3", "--stride", "0"], "--stride is 0"),
        (&["filter", "camera.png", "-o", "out.jpg", "--kernel", "box:3", "--quality", "0"], "--quality"),
        (&["filter", "camera.png", "-o", "out.png", "--kernel", "box:3", "--scale", "inf"], "it is a finite number"),
        (&["filter", "camera.png", "-o", "out.png", "--kernel", "box:3", "--normalize", "--bias", "1"], "--normalize"),
        (&["bench", "--suite", "alexnet"], "'alexnet'"),
        (&["bench", "--accuracy", "fuzzy"], "it is one of exact, f32, reduced"),
        (&["bench", "--element", "f64"], "it is f32 or f16"),
        (&["tune", "--layout", "nhwc"], "it is channels_first or channels_last"),
        (&["bench", "--suite", "lenet5", "--network", "--element", "f16"], "networks are timed in f32"),
        (&["ops", "max_poll"], "op max_poll is not known (did you mean max_pool?)"),
        (&["validate", "--adapter", "0", "--all-adapters"], "--all-adapters"),
    ] {
        let result = run(arguments);
        result.fails_with(2, says);
        assert_eq!(result.stdout, "", "{arguments:?} prints nothing else");
    }
}

#[test]
fn work_on_what_is_not_there_ends_in_1_with_one_line() {
    for (arguments, says) in [
        (&["filter", "missing.png", "-o", "out.png", "--kernel", "sobel-x", "--cpu"] as &[&str], "wgconv: missing.png: No such file"),
        (&["bench", "--shapes", "missing.json"], "wgconv: missing.json: No such file"),
        (&["validate", "--only", "no such case"], "no case that can run here contains \"no such case\""),
    ] {
        run(arguments).fails_with(1, says);
    }
}

#[test]
fn help_and_version_are_no_failures() {
    assert!(run(&["--help"]).succeeds().contains("validate"));
    assert_eq!(run(&["--version"]).succeeds().trim(), format!("wgconv {}", env!("CARGO_PKG_VERSION")));
    let help = run(&["filter", "--help"]);
    let help = help.succeeds().split_whitespace().collect::<Vec<_>>().join(" "); // however wide the terminal is
    for part in ["How values become pixels", "--magnitude", "An alpha channel goes through unchanged", "default: replicate", "default: 200"] {
        assert!(help.contains(part), "filter --help does not say \"{part}\"");
    }
}

#[test]
fn files_that_cannot_be_used_end_in_1_and_are_named() {
    let folder = scratch("files");
    let whole = std::fs::read(common::data().join("camera.png")).unwrap();
    let out = folder.join("out.png").to_str().unwrap().to_string();
    let torn = write(&folder, "torn.png", &whole[..5000]);
    let empty = write(&folder, "empty.png", "");
    for (image, says) in [
        ("nosuch.png", "nosuch.png: No such file"),
        ("README.md", "README.md: not a PNG, JPEG, WebP or TIFF image"),
        (&torn, "torn.png: "),
        (&empty, "empty.png: "),
    ] {
        run(&["filter", image, "-o", &out, "--kernel", "box:3", "--cpu"]).fails_with(1, says);
    }
    for (name, text, says) in [
        ("ragged.csv", "1,2,1\n3,4\n", "ragged.csv: "),
        ("word.csv", "1,two\n3,4\n", "word.csv: row 1 holds \"two\""),
        ("nan.csv", "1,2\n3,nan\n", "nan.csv: row 2 holds \"nan\""),
        ("huge.csv", "1,1e99\n3,4\n", "huge.csv: row 1 holds \"1e99\""),
        ("empty.csv", "", "empty.csv: no weights"),
    ] {
        let kernel = write(&folder, name, text);
        run(&["filter", "camera.png", "-o", &out, "--kernel", &kernel, "--cpu"]).fails_with(1, says);
    }
    run(&["filter", "camera.png", "-o", &out, "--kernel", "nosuch.csv", "--cpu"]).fails_with(1, "nosuch.csv: ");
    let nowhere = folder.join("nowhere/out.png");
    run(&["filter", "camera.png", "-o", nowhere.to_str().unwrap(), "--kernel", "box:3", "--cpu"]).fails_with(1, "nowhere/out.png: ");
    assert!(!folder.join("out.png").exists(), "a failed run leaves no picture behind");
    run(&["filter", &torn, "-o", nowhere.to_str().unwrap(), "--kernel", "box:3", "--cpu"]).fails_with(1, "nowhere/out.png: "); // before it is read
    run(&["bench", "--shapes", "nosuch\u{1b}[31m.json"]).fails_with(1, "nosuch\\u{1b}[31m.json: ");
    run(&["bench", "--shapes", "nosuch.json"]).fails_with(1, "nosuch.json: ");
    let shapes = write(&folder, "shapes.json", "[{\"name\": \"a\", \"op\": \"conv\"}]");
    run(&["bench", "--shapes", &shapes]).fails_with(1, "shapes.json: a: there is no input x");
}

#[test]
fn an_image_too_small_for_the_kernel_is_named() {
    let folder = scratch("small");
    let image = folder.join("dot.png");
    image::save_buffer(&image, &[1, 2, 3, 4], 2, 2, image::ExtendedColorType::L8).unwrap();
    let out = folder.join("out.png");
    for padding in ["valid", "reflect", "circular"] {
        let arguments = ["filter", image.to_str().unwrap(), "-o", out.to_str().unwrap(), "--kernel", "box:9", "--cpu", "--padding", padding];
        run(&arguments).fails_with(1, "dot.png: ");
    }
    let arguments = ["filter", image.to_str().unwrap(), "-o", out.to_str().unwrap(), "--kernel", "box:9", "--cpu", "--padding", "replicate"];
    run(&arguments).succeeds();
}

#[test]
fn an_unknown_adapter_is_refused_and_never_replaced() {
    let out = scratch("adapter").join("out.png").to_str().unwrap().to_string();
    run(&["filter", "camera.png", "-o", &out, "--kernel", "box:3", "--adapter", "no such adapter"]).fails_with(1, "no such adapter");
    let mut from_environment = command(&["filter", "camera.png", "-o", &out, "--kernel", "box:3"]);
    common::finish(from_environment.env("WGCONV_ADAPTER", "no such adapter")).fails_with(1, "no such adapter");
    run(&["validate", "--adapter", "no such adapter"]).fails_with(1, "no such adapter");
    run(&["bench", "--adapter", "no such adapter"]).fails_with(1, "no such adapter");
}

#[test]
fn a_reader_that_goes_away_changes_no_status() {
    // The pipe's reading end is closed before the program writes its first line.
    let mut child = command(&["params", "lenet5"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["params", "lenet5"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("wgconv: standard output: "));
}

#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_each_command_says_what_to_install() {
    let remedy = "apt install mesa-vulkan-drivers libvulkan1";
    let info = run_without_adapter(&["info"]);
    assert!(info.succeeds().contains(remedy), "{}", info.stdout);
    assert_eq!(run_without_adapter(&["info", "--json"]).succeeds().trim(), "[]");
    run_without_adapter(&["validate"]).fails_with(1, remedy);
    run_without_adapter(&["validate", "--all-adapters"]).fails_with(1, remedy);
    run_without_adapter(&["bench", "--no-cpu"]).fails_with(1, remedy);
}
