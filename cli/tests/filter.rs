//! `wgconv filter` on files: the photograph on both engines, colour, alpha and JPEG, and every named kernel.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{run, run_without_adapter, scratch, write};
use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, GenericImageView, ImageDecoder, ImageEncoder, ImageReader};
use std::path::Path;

/// Filters `image` into a file of `folder` and reads the pixels back.
fn filtered(folder: &Path, image: &str, options: &[&str]) -> DynamicImage {
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
        &["--kernel", "emboss"],
        &["--kernel", &write(&folder, "edge.csv", "1, 0, -1\n1, 0, -1\n1, 0, -1\n")],
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
fn each_kernel_of_a_chain_pads_by_its_own_size() {
    let folder = scratch("chain_extents");
    let flat = folder.join("flat.png");
    image::save_buffer(&flat, &[90; 64 * 48], 64, 48, ExtendedColorType::L8).unwrap();
    for padding in ["reflect", "replicate", "circular"] {
        for (kernel, then) in [("box:9", "sobel-x"), ("sobel-x", "box:9"), ("box:40", "sobel-y"), ("laplacian", "gaussian:4")] {
            let options = ["--kernel", kernel, "--then", then, "--padding", padding, "--cpu"];
            let picture = filtered(&folder, text(&flat), &options).into_luma8();
            assert_eq!(picture.dimensions(), (64, 48), "{options:?}");
            assert!(picture.iter().all(|v| *v == 128), "flat ground has no edges, not at its border either: {options:?}");
        }
    }
}

#[test]
fn the_edge_goes_on_beyond_the_picture_unless_another_padding_is_asked_for() {
    let folder = scratch("frame");
    let flat = folder.join("flat.png");
    image::save_buffer(&flat, &[200; 20 * 20], 20, 20, ExtendedColorType::L8).unwrap();
    let corner =
        |options: &[&str]| filtered(&folder, text(&flat), &[&["--kernel", "gaussian:3"], options].concat()).into_luma8().get_pixel(0, 0).0[0];
    assert_eq!(corner(&[]), 200, "a blur has no dark frame");
    assert_eq!(corner(&["--cpu"]), 200);
    assert!(corner(&["--padding", "same"]) < 100, "zeros darken it, where they are asked for");
}

#[test]
fn colour_goes_channel_by_channel_and_alpha_stays() {
    let folder = scratch("colour");
    let identity = write(&folder, "identity.csv", "1\n");
    let image = folder.join("rgba.png");
    let pixels: Vec<u8> = (0..5 * 4).flat_map(|i| [i, 100 + i, 200 - i, 7 + i]).collect();
    image::save_buffer(&image, &pixels, 5, 4, ExtendedColorType::Rgba8).unwrap();
    let picture = filtered(&folder, text(&image), &["--kernel", &identity]);
    assert_eq!(picture.color(), image::ColorType::Rgba8);
    assert_eq!(picture.into_rgba8().into_raw(), pixels, "a filter of one 1 changes nothing");
    // Where a picture has no place for alpha, that is said.
    let out = folder.join("out.jpg");
    let jpeg = run(&["filter", text(&image), "-o", text(&out), "--kernel", &identity, "--cpu"]);
    jpeg.succeeds();
    assert!(jpeg.stderr.contains("out.jpg: not kept: the alpha channel"), "{}", jpeg.stderr);
    let out = folder.join("smaller.png");
    let smaller = run(&["filter", text(&image), "-o", text(&out), "--kernel", &identity, "--then", "maxpool:2", "--cpu"]);
    smaller.succeeds();
    assert!(smaller.stderr.contains("not kept: the alpha channel, for the result has other extents"), "{}", smaller.stderr);
    assert_eq!(image::open(out).unwrap().color(), image::ColorType::Rgb8);
}

#[test]
fn sixteen_bits_stay_sixteen_or_that_is_said() {
    let folder = scratch("depth");
    let identity = write(&folder, "identity.csv", "1\n");
    let pixels: Vec<u16> = (0..64 * 64).map(|i| (i * 16 + i % 7) as u16).collect();
    let grey = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(64, 64, pixels.clone()).unwrap();
    for name in ["grey.png", "grey.tiff"] {
        let image = folder.join(name);
        DynamicImage::from(grey.clone()).save(&image).unwrap();
        for options in [&["--kernel", &identity] as &[&str], &["--kernel", &identity, "--cpu"]] {
            let picture = filtered(&folder, text(&image), options);
            assert_eq!(picture.color(), image::ColorType::L16);
            assert!(picture.into_luma16().into_raw() == pixels, "{name}: a filter of one 1 changes nothing");
        }
    }
    let out = folder.join("out.jpg");
    let jpeg = run(&["filter", text(&folder.join("grey.png")), "-o", text(&out), "--kernel", &identity, "--cpu"]);
    jpeg.succeeds();
    assert!(jpeg.stderr.contains("out.jpg: not kept: 16 bits a sample (8 are written)"), "{}", jpeg.stderr);
    assert_eq!(image::open(out).unwrap().color(), image::ColorType::L8);
}

/// A colour profile as far as anything here reads it, and EXIF data that say: turned by a quarter.
fn profile_and_exif() -> (Vec<u8>, Vec<u8>) {
    let mut profile = vec![0; 200];
    profile[16..20].copy_from_slice(b"RGB ");
    let exif = [b"II*\0\x08\0\0\0" as &[u8], b"\x01\0", b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", b"\0\0\0\0"].concat();
    (profile, exif)
}

#[test]
fn profile_and_exif_go_along_where_the_format_has_them() {
    let folder = scratch("profile");
    let identity = write(&folder, "identity.csv", "1\n");
    let (profile, exif) = profile_and_exif();
    let image = folder.join("in.png");
    let mut encoder = PngEncoder::new(std::fs::File::create(&image).unwrap());
    encoder.set_icc_profile(profile.clone()).unwrap();
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(&[90; 3 * 20 * 10], 20, 10, ExtendedColorType::Rgb8).unwrap();
    for name in ["out.png", "out.jpg", "out.webp", "out.tiff"] {
        let out = folder.join(name);
        let result = run(&["filter", text(&image), "-o", text(&out), "--kernel", &identity, "--cpu"]);
        result.succeeds();
        // The reader of TIFF refuses profiles of small pictures; the program does not.
        let back = folder.join("back.png");
        let read = if name == "out.tiff" {
            run(&["filter", text(&out), "-o", text(&back), "--kernel", &identity, "--cpu"]).succeeds();
            &back
        } else {
            &out
        };
        let mut decoder = ImageReader::open(read).unwrap().into_decoder().unwrap();
        assert_eq!(decoder.dimensions(), (10, 20), "{name}: turned upright");
        assert_eq!(decoder.icc_profile().unwrap().as_ref(), Some(&profile), "{name}");
        let turned = decoder.exif_metadata().unwrap().and_then(|exif| Orientation::from_exif_chunk(&exif));
        if name == "out.tiff" {
            assert!(result.stderr.contains("out.tiff: not kept: EXIF data"), "{}", result.stderr);
        } else {
            assert_eq!(turned, Some(Orientation::NoTransforms), "{name}: upright already");
            assert!(result.complaints().is_empty(), "{name}: {}", result.stderr);
        }
    }
}

#[test]
fn a_profile_for_other_channels_is_not_carried_on() {
    let folder = scratch("profile_of_others");
    let identity = write(&folder, "identity.csv", "1\n");
    let (image, out) = (folder.join("in.png"), folder.join("out.png"));
    let mut encoder = PngEncoder::new(std::fs::File::create(&image).unwrap());
    encoder.set_icc_profile(profile_and_exif().0).unwrap();
    encoder.write_image(&[90; 200], 20, 10, ExtendedColorType::L8).unwrap();
    let result = run(&["filter", text(&image), "-o", text(&out), "--kernel", &identity, "--cpu"]);
    result.succeeds();
    assert!(result.stderr.contains("not kept: the ICC profile, which is for other channels"), "{}", result.stderr);
}

#[test]
fn pictures_that_are_cut_off_or_too_large_are_refused() {
    let folder = scratch("hostile");
    let out = folder.join("out.png");
    let refused = |image: &str, more: &[&str], says: &str| {
        run(&[&["filter", image, "-o", text(&out), "--kernel", "box:3", "--cpu"], more].concat()).fails_with(1, says);
        assert!(!out.exists());
    };
    let jpeg = folder.join("whole.jpg");
    image::open(common::data().join("camera.png")).unwrap().save(&jpeg).unwrap();
    let bytes = std::fs::read(&jpeg).unwrap();
    let cut = write(&folder, "cut.jpg", &bytes[..bytes.len() / 2]);
    refused(&cut, &[], "cut.jpg: the file is cut off");
    // The header of a picture of 60000 x 60000 pixels, and nothing behind it.
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [kind.as_slice(), data].concat();
        let crc = body.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1))));
        [&(data.len() as u32).to_be_bytes(), body.as_slice(), &(!crc).to_be_bytes()].concat()
    };
    let header = chunk(b"IHDR", &[&60_000u32.to_be_bytes()[..], &60_000u32.to_be_bytes(), &[16, 6, 0, 0, 0]].concat());
    let empty = chunk(b"IDAT", b"\x78\x9c\x03\0\0\0\0\x01");
    let huge = write(&folder, "huge.png", [b"\x89PNG\r\n\x1a\n".as_slice(), &header, &empty, &chunk(b"IEND", b"")].concat());
    refused(&huge, &[], "huge.png: 60000 x 60000 are 3600.0 megapixels, and at most 200 are read: --max-megapixels");
    let wide = folder.join("wide.png");
    image::save_buffer(&wide, &vec![9; 2000 * 600], 2000, 600, ExtendedColorType::L8).unwrap();
    refused(text(&wide), &["--max-megapixels", "1"], "wide.png: 2000 x 600 are 1.2 megapixels, and at most 1 are read");
    refused("/dev/zero", &[], "/dev/zero: not a PNG");
}

#[test]
fn what_is_no_image_or_no_table_is_named() {
    let folder = scratch("no_image");
    let (notes, ragged) = (write(&folder, "notes.png", "not an image"), write(&folder, "ragged.csv", "1,2\n3\n"));
    let refused = |image: &str, kernel: &str, says: &str| run(&["filter", image, "-o", "out.png", "--kernel", kernel, "--cpu"]).fails_with(1, says);
    refused(&notes, "sobel-x", "notes.png: not a PNG, JPEG, WebP or TIFF image");
    refused("camera.png", &ragged, "ragged.csv");
}

#[test]
fn every_format_goes_in_and_out_and_through_pipes() {
    let folder = scratch("formats");
    let original = image::open(common::data().join("camera.png")).unwrap().into_luma8();
    let identity = write(&folder, "identity.csv", "1\n");
    for format in ["png", "webp", "tiff", "jpeg"] {
        let file = folder.join(format!("a.{format}"));
        run(&["filter", "camera.png", "-o", text(&file), "--kernel", &identity, "--cpu", "--quality", "100"]).succeeds();
        let back = filtered(&folder, text(&file), &["--kernel", &identity, "--cpu"]).into_luma8();
        let most = back.iter().zip(original.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        // The finest quantiser moves each of 64 coefficients by half a step, and those together a value by 3.4 (half the square of the sum
        // of a cosine transform's weights, 2.6); it is rounded before and after.
        assert!(most <= if format == "jpeg" { 4 } else { 0 }, "{format}: {most} apart");
        let mut piped = common::command(&["filter", "-", "-o", "-", "--kernel", &identity, "--cpu", "--format", format, "--quality", "100"]);
        let output = piped.stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(image::load_from_memory(&output.stdout).unwrap().into_luma8().dimensions(), (512, 512));
    }
    let [coarse, fine] = ["10", "95"].map(|quality| {
        let file = folder.join(format!("{quality}.jpg"));
        run(&["filter", "camera.png", "-o", text(&file), "--kernel", "sharpen", "--cpu", "--quality", quality]).succeeds();
        std::fs::metadata(file).unwrap().len()
    });
    assert!(2 * coarse < fine, "{coarse} and {fine} bytes");
    let mut empty = common::command(&["filter", "-", "-o", text(&folder.join("no.png")), "--kernel", "box:3", "--cpu"]);
    common::finish(empty.stdin(std::process::Stdio::null())).fails_with(1, "standard input: not a PNG");
}

#[test]
fn what_is_shown_can_be_chosen() {
    let folder = scratch("shown");
    let image = folder.join("step.png");
    let pixels: Vec<u8> = (0..36).map(|i| if i % 6 < 3 { 0 } else { 100 }).collect();
    image::save_buffer(&image, &pixels, 6, 6, ExtendedColorType::L8).unwrap();
    // Values along a row: 0 0 -50 -50 0 0.
    let negative = write(&folder, "negative.csv", "0.5, 0, -0.5\n");
    let row = |options: &[&str]| {
        let picture = filtered(&folder, text(&image), &[&["--cpu", "--kernel", &negative], options].concat()).into_luma8();
        (0..6).map(|x| picture.get_pixel(x, 3).0[0]).collect::<Vec<u8>>()
    };
    assert_eq!(row(&["--then", "abs"]), [0, 0, 50, 50, 0, 0]);
    assert_eq!(row(&["--scale", "-2"]), [0, 0, 100, 100, 0, 0]);
    assert_eq!(row(&["--bias", "60"]), [60, 60, 10, 10, 60, 60]);
    assert_eq!(row(&["--scale", "0.1", "--bias", "5", "--magnitude"]), [5, 5, 10, 10, 5, 5]);
    assert_eq!(row(&["--normalize"]), [255, 255, 0, 0, 255, 255]);
    assert_eq!(row(&["--normalize", "--magnitude"]), [0, 0, 255, 255, 0, 0]);
    // A kernel of too much gain makes everything white; that is said.
    let gain = write(&folder, "gain.csv", "1,2,1\n2,4,2\n1,2,1\n");
    let out = folder.join("white.png");
    let result = run(&["filter", "camera.png", "-o", text(&out), "--kernel", &gain, "--cpu"]);
    result.succeeds();
    assert!(result.stderr.contains("% of the values are below 0 or above 255 and clipped; --normalize"), "{}", result.stderr);
}

#[test]
fn jpeg_goes_in_and_out() {
    let folder = scratch("jpeg");
    let (image, out) = (folder.join("grey.jpg"), folder.join("out.jpeg"));
    image::save_buffer(&image, &[90; 16 * 16], 16, 16, ExtendedColorType::L8).unwrap();
    run(&["filter", text(&image), "-o", text(&out), "--kernel", "box:3"]).succeeds();
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

/// 144 MB of numbers, more than the bindings of many devices: 128 MiB is what WebGPU promises.
#[test]
fn a_photograph_of_twelve_megapixels_goes_through() {
    let folder = scratch("large");
    let (image, out) = (folder.join("large.png"), folder.join("out.png"));
    let (width, height) = (4000, 3000);
    // Each channel is dark on the left and light from a column of its own on.
    let pixel = |x: u32| [1000, 2000, 3000].map(|edge| if x < edge { 50 } else { 60 });
    image::RgbImage::from_fn(width, height, |x, _| image::Rgb(pixel(x))).save(&image).unwrap();
    let result = run(&["filter", text(&image), "-o", text(&out), "--kernel", "sobel-x", "--then", "box:3"]);
    result.succeeds();
    assert!(result.complaints().is_empty(), "{}", result.stderr);
    let edges = image::open(&out).unwrap().into_rgb8();
    assert_eq!(edges.dimensions(), (width, height));
    // Sobel gives 40 in the two columns at the edge; the box spreads 80 over four: 13.3, 26.7, 26.7, 13.3, shown about 128 and halved.
    let level = |x: u32, edge: u32| match x.abs_diff(edge).min((x + 1).abs_diff(edge)) {
        0 => 141,
        1 => 135,
        _ => 128,
    };
    let wrong = edges.enumerate_pixels().find(|(x, _, pixel)| pixel.0 != [1000, 2000, 3000].map(|edge| level(*x, edge)));
    assert_eq!(wrong.map(|(x, y, pixel)| (x, y, pixel.0)), None);
}
