//! `wgconv filter` on files: the photograph on both engines, colour, alpha and JPEG, and every named kernel.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{run, run_without_adapter, scratch, write};
use image::{ExtendedColorType, GenericImageView};
use std::path::Path;

/// Filters `image` into a file of `folder` and reads the pixels back.
fn filtered(folder: &Path, image: &str, options: &[&str]) -> image::DynamicImage {
    let out = folder.join("out.png");
    let arguments = [&["filter", image, "-o", out.to_str().unwrap()], options].concat();
    let result = run(&arguments);
    result.succeeds();
    // Else the CPU engine may have stepped in, and a comparison of the engines would compare it with itself.
    assert!(result.complaints().is_empty(), "the tests need an adapter; scripts/test.sh installs a software one: {}", result.stderr);
    image::open(out).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn gpu_and_cpu_give_the_same_photograph() {
    let folder = scratch("engines");
    for options in [
        &["--kernel", "sobel-x"] as &[&str],
        &["--kernel", "scharr-x", "--magnitude", "--padding", "reflect"],
        &["--kernel", "gaussian:2", "--padding", "replicate", "--stride", "2"],
        &["--kernel", "box:4", "--padding", "circular"],
        &["--kernel", "sharpen", "--padding", "valid"],
    ] {
        let gpu = filtered(&folder, "camera.png", options).into_luma8();
        let cpu = filtered(&folder, "camera.png", &[options, &["--cpu"]].concat()).into_luma8();
        assert_eq!(gpu.dimensions(), cpu.dimensions(), "{options:?}");
        // The sums differ by f32 roundings, which can move a value over the edge between two grey levels and no further.
        let most = gpu.iter().zip(cpu.iter()).map(|(g, c)| g.abs_diff(*c)).max().unwrap();
        assert!(most <= 1, "{options:?}: grey levels differ by {most}");
        let (low, high) = (cpu.iter().min().unwrap(), cpu.iter().max().unwrap());
        assert!(high - low > 100, "{options:?}: a photograph has contrast, this spans {low} to {high}");
    }
}

#[test]
fn extents_follow_padding_and_stride() {
    let folder = scratch("extents");
    for (options, size) in [
        (&["--padding", "valid"] as &[&str], (508, 508)),
        (&["--padding", "same"], (512, 512)),
        (&["--padding", "reflect"], (512, 512)),
        (&["--padding", "valid", "--stride", "3"], (170, 170)), // (512 - 5) / 3 + 1
        (&["--padding", "circular", "--stride", "2"], (256, 256)),
    ] {
        let picture = filtered(&folder, "camera.png", &[&["--kernel", "box:5", "--cpu"], options].concat());
        assert_eq!(picture.dimensions(), size, "{options:?}");
    }
}

#[test]
fn steps_follow_one_another_on_both_engines() {
    let folder = scratch("then");
    let steps = ["--kernel", "sobel-x", "--padding", "reflect", "--then", "relu", "--then", "maxpool:4", "--then", "box:3"];
    let gpu = filtered(&folder, "camera.png", &steps).into_luma8();
    let cpu = filtered(&folder, "camera.png", &[&steps[..], &["--cpu"]].concat()).into_luma8();
    assert_eq!(gpu.dimensions(), (128, 128));
    assert!(gpu.iter().zip(cpu.iter()).all(|(a, b)| a.abs_diff(*b) <= 1), "at most one grey level apart");
    // A pool keeps what is bright: its mean is above the unpooled one's.
    let mean = |image: &image::GrayImage| image.iter().map(|v| f64::from(*v)).sum::<f64>() / image.len() as f64;
    let flat = filtered(&folder, "camera.png", &["--kernel", "sobel-x", "--padding", "reflect", "--then", "relu", "--cpu"]).into_luma8();
    let pooled = filtered(&folder, "camera.png", &["--kernel", "sobel-x", "--padding", "reflect", "--then", "relu", "--then", "maxpool:2", "--cpu"]);
    assert!(mean(&pooled.into_luma8()) > mean(&flat));
    run(&["filter", "camera.png", "-o", "out.png", "--kernel", "box:3", "--then", "wobble"]).fails_with(2, "--then is wobble: it is maxpool:N");
    run(&["filter", "camera.png", "-o", "out.png", "--kernel", "box:3", "--then", "maxpool:0"]).fails_with(2, "the size of a pool is 1 to 1024");
}

#[test]
fn every_named_kernel_runs() {
    let folder = scratch("kernels");
    for kernel in ["sobel-x", "sobel-y", "prewitt-x", "scharr-x", "laplacian", "sharpen", "box:2", "gaussian:0.5", "emboss"] {
        filtered(&folder, "camera.png", &["--kernel", kernel, "--cpu"]);
    }
}

#[test]
fn values_become_pixels_as_the_help_says() {
    let folder = scratch("pixels");
    // Black on the left, 100 on the right: sobel-x gives 4 x 100 at the edge.
    let image = folder.join("step.png");
    let pixels: Vec<u8> = (0..36).map(|i| if i % 6 < 3 { 0 } else { 100 }).collect();
    image::save_buffer(&image, &pixels, 6, 6, ExtendedColorType::L8).unwrap();
    let level = |options: &[&str]| {
        let picture = filtered(&folder, text(&image), &[&["--cpu", "--padding", "valid"], options].concat()).into_luma8();
        picture.get_pixel(1, 1).0[0]
    };
    let difference = write(&folder, "difference.csv", "-0.5, 0, 0.5\n");
    assert_eq!(level(&["--kernel", &difference]), 128 + 25, "128 + 50 / 2");
    let negative = write(&folder, "negative.csv", "0.5, 0, -0.5\n");
    assert_eq!(level(&["--kernel", &negative]), 128 - 25);
    assert_eq!(level(&["--kernel", &negative, "--magnitude"]), 50);
    assert_eq!(level(&["--kernel", "sobel-x"]), 255, "128 + 400 / 2 is clipped");
    let gain = write(&folder, "gain.csv", "3\n");
    let bright = filtered(&folder, text(&image), &["--cpu", "--kernel", &gain]).into_luma8();
    assert_eq!([bright.get_pixel(0, 0).0[0], bright.get_pixel(5, 5).0[0]], [0, 255], "0 and 300, clipped");
}

#[test]
fn colour_goes_channel_by_channel_and_alpha_is_dropped() {
    let folder = scratch("colour");
    let identity = write(&folder, "identity.csv", "1\n");
    let image = folder.join("rgba.png");
    let pixels: Vec<u8> = (0..5 * 4).flat_map(|i| [i, 100 + i, 200 - i, 7]).collect();
    image::save_buffer(&image, &pixels, 5, 4, ExtendedColorType::Rgba8).unwrap();
    let picture = filtered(&folder, text(&image), &["--kernel", &identity]);
    assert_eq!(picture.color(), image::ColorType::Rgb8);
    let expected: Vec<u8> = (0..5 * 4).flat_map(|i| [i, 100 + i, 200 - i]).collect();
    assert_eq!(picture.into_rgb8().into_raw(), expected, "a filter of one 1 changes nothing");
}

#[test]
fn jpeg_goes_in_and_out() {
    let folder = scratch("jpeg");
    let (image, out) = (folder.join("grey.jpg"), folder.join("out.jpeg"));
    image::save_buffer(&image, &[90; 16 * 16], 16, 16, ExtendedColorType::L8).unwrap();
    run(&["filter", text(&image), "-o", text(&out), "--kernel", "box:3", "--padding", "replicate"]).succeeds();
    let pixels = image::open(&out).unwrap().into_luma8();
    assert_eq!(pixels.dimensions(), (16, 16));
    assert!(pixels.iter().all(|v| v.abs_diff(90) <= 2), "flat ground stays flat through two JPEGs");
}

#[cfg(target_os = "linux")]
#[test]
fn without_an_adapter_the_cpu_engine_steps_in_with_one_line() {
    let folder = scratch("fallback");
    let out = folder.join("out.png");
    let result = run_without_adapter(&["filter", "camera.png", "-o", text(&out), "--kernel", "sobel-y"]);
    result.succeeds();
    let complaints = result.complaints();
    assert_eq!(complaints.len(), 1, "{}", result.stderr);
    assert!(complaints[0].contains("Computing on the CPU engine") && complaints[0].contains("apt install"), "{}", complaints[0]);
    let cpu = folder.join("cpu.png");
    run(&["filter", "camera.png", "-o", text(&cpu), "--kernel", "sobel-y", "--cpu"]).succeeds();
    assert_eq!(std::fs::read(out).unwrap(), std::fs::read(cpu).unwrap());
}

/// A picture that is filtered onto itself is lost where the disk is full, unless the result is written beside it first. Needs the right to mount.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_original_and_nothing_else() {
    let folder = scratch("full_disk");
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=200k", "none", text(&folder)]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: this user may not mount a small disk; output::tests has what needs none");
        return;
    }
    let image = folder.join("in.png");
    std::fs::copy(common::data().join("camera.png"), &image).unwrap();
    let before = std::fs::read(&image).unwrap();
    let results = ["in.png", "out.png"].map(|out| run(&["filter", text(&image), "-o", text(&folder.join(out)), "--kernel", "sharpen", "--cpu"]));
    let (after, files) = (std::fs::read(&image), std::fs::read_dir(&folder).unwrap().count());
    assert!(std::process::Command::new("umount").arg(&folder).status().unwrap().success());
    results.iter().for_each(|result| result.fails_with(1, "No space left"));
    assert!(after.unwrap() == before, "the original is whole");
    assert_eq!(files, 1, "half a picture is left behind");
}
