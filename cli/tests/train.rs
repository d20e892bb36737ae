//! `wgconv train` and `classify`: 98 % of the digits from the program alone, its files, and what is broken by name.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{data, run, scratch, write};
use std::path::{Path, PathBuf};

/// Digit number `n` of the program's own, as a picture with light ink.
fn picture(n: usize, file: &Path) -> u8 {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/digits.npy")).unwrap();
    let rows = &bytes[10 + usize::from(bytes[8]) + 256 * usize::from(bytes[9])..];
    let row = &rows[65 * n..][..65];
    image::GrayImage::from_fn(8, 8, |x, y| image::Luma([row[(8 * y + x) as usize] * 15])).save(file).unwrap();
    row[64]
}

#[test]
fn digits_are_learned_saved_and_read() {
    let folder = scratch("train");
    let (model, pictures) = (folder.join("model.safetensors"), folder.join("pictures"));
    let arguments = ["train", "digits", "--cpu", "--save", model.to_str().unwrap(), "--pictures", pictures.to_str().unwrap()];
    let trained = run(&arguments);
    let text = trained.succeeds();
    assert!(text.contains("1438 samples to train with, 359 to test with, on the CPU engine"), "{text}");
    let last = text.lines().rfind(|line| line.starts_with("loss ")).unwrap();
    let accuracy: f64 = last.split("accuracy ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(accuracy >= 98.0, "{last}");
    let csv = std::fs::read_to_string(pictures.join("curve.csv")).unwrap();
    assert_eq!((csv.lines().count(), csv.lines().next()), (16, Some("epoch,loss,test_loss,accuracy")));
    let svg = std::fs::read_to_string(pictures.join("curve.svg")).unwrap();
    assert_eq!(roxmltree::Document::parse(&svg).unwrap().descendants().filter(|node| node.has_tag_name("polyline")).count(), 3);
    let filters = |name: &str| image::open(pictures.join(name)).unwrap().to_luma8();
    let (before, after) = (filters("filters-before.png"), filters("filters-after.png"));
    assert_eq!(before.dimensions(), after.dimensions());
    assert_ne!(before, after);
    assert!(pictures.join("misread.png").exists());

    // The same seed, the same lines but for the seconds.
    let again = run(&["train", "digits", "--cpu", "--epochs", "2"]);
    let other = run(&["train", "digits", "--cpu", "--epochs", "2"]);
    let without_seconds = |text: &str| {
        let lines = text.lines().map(|line| line.split(", ").filter(|part| !part.ends_with(" s")).collect::<Vec<_>>().join(", "));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(without_seconds(again.succeeds()), without_seconds(other.succeeds()));

    let mut right = 0;
    for n in [4, 9, 14, 19, 24] {
        let file = folder.join(format!("{n}.png"));
        let label = picture(n, &file);
        let said = run(&["classify", "--model", model.to_str().unwrap(), "--light-on-dark", file.to_str().unwrap()]);
        let line = said.succeeds().trim().to_string();
        right += usize::from(line.split(": ").nth(1).unwrap().starts_with(&format!("{label} (")));
    }
    assert!(right >= 4, "{right} of 5");
}

#[test]
fn what_is_broken_is_named() {
    let folder = scratch("train-broken");
    let at = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let none = run(&["train", "mnist", "--cpu", "--data", folder.to_str().unwrap()]);
    none.fails_with(1, "there is neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz");
    std::fs::write(at("train-images-idx3-ubyte.gz"), [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
    let gzip = run(&["train", "mnist", "--cpu", "--data", folder.to_str().unwrap()]);
    gzip.fails_with(1, "train-images-idx3-ubyte.gz: broken gzip after 0 bytes");
    std::fs::write(at("train-images-idx3-ubyte"), [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7]).unwrap();
    let short = run(&["train", "mnist", "--cpu", "--data", folder.to_str().unwrap()]);
    short.fails_with(1, "train-images-idx3-ubyte: byte 16: 1 bytes of data follow");
    let rate = run(&["train", "digits", "--cpu", "--epochs", "1", "--optimizer", "sgd", "--rate", "1e30"]);
    rate.fails_with(1, "it must stay finite, and at step");
    std::fs::write(at("model.safetensors"), b"no model").unwrap();
    let model = run(&["classify", "--model", &at("model.safetensors"), &at("x.png")]);
    model.fails_with(1, "model.safetensors");
}

/// Cuts a photograph of the test data into squares side by side, as many as are wanted, evenly spread over it, and writes them with this ending.
fn patches(photograph: &str, side: u32, wanted: usize, folder: &Path, ending: &str) -> Vec<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    let image = image::open(data().join(photograph)).unwrap();
    let (columns, rows) = (image.width() / side, image.height() / side);
    let all = (columns * rows) as usize;
    assert!(all >= wanted, "{photograph} has {all} squares");
    let mut files = vec![];
    for i in (0..wanted).map(|i| (i * all / wanted) as u32) {
        let file = folder.join(format!("{}-{i:03}.{ending}", photograph.split('.').next().unwrap()));
        image.crop_imm(i % columns * side, i / columns * side, side, side).save(&file).unwrap();
        files.push(file);
    }
    files
}

fn accuracy(text: &str) -> f64 {
    let last = text.lines().rfind(|line| line.starts_with("loss ")).unwrap();
    last.split("accuracy ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// Squares of a photograph of a cat against squares of two others, 54 of each; no pixel is in two. Ten of each class are kept to test with, so chance is
/// 50 %. Logistic regression must be 15 points above it, the convolutional network 30.
#[test]
fn a_cat_is_told_from_others() {
    let folder = scratch("train-cats");
    let pictures = folder.join("pictures");
    let cats = patches("chelsea.png", 50, 54, &pictures.join("cat"), "png");
    patches("camera.png", 50, 27, &pictures.join("other"), "png"); // grey
    patches("rocket.jpg", 50, 27, &pictures.join("other"), "jpg");
    // Opaque alpha changes nothing; what is hidden or beside the classes is left out.
    image::open(&cats[0]).unwrap().to_rgba8().save(&cats[0]).unwrap();
    write(&pictures, "cat/.hidden", "no picture");
    write(&pictures, "sources.txt", "no picture");
    for (network, epochs, wanted) in [("logistic", "60", 65.0), ("convolutional", "10", 80.0)] {
        let (model, kept) = (folder.join(format!("{network}.safetensors")), folder.join(network));
        let trained = run(&[
            "train",
            "images",
            "--cpu",
            "--data",
            pictures.to_str().unwrap(),
            "--model",
            network,
            "--size",
            "32",
            "--epochs",
            epochs,
            "--save",
            model.to_str().unwrap(),
            "--pictures",
            kept.to_str().unwrap(),
        ]);
        let text = trained.succeeds();
        assert!(text.contains("88 samples to train with, 20 to test with, on the CPU engine"), "{text}");
        assert!(accuracy(text) >= wanted, "{network}: {text}");
        // The confusion matrix: ten of each, rows with their names.
        for name in ["cat", "other"] {
            let row = text.lines().find(|line| line.ends_with(&format!("  {name}"))).unwrap();
            let counts: u32 = row.split_whitespace().skip(1).take(2).map(|count| count.parse().unwrap_or(0)).sum();
            assert_eq!(counts, 10, "{text}");
        }
        // Filters in colour: 16 of 5 x 5, or one as large as a picture.
        let filters = image::open(kept.join("filters-after.png")).unwrap();
        let wide = if network == "logistic" { 32 * 2 + 2 } else { 10 * 61 + 1 };
        assert_eq!((filters.color(), filters.width()), (image::ColorType::Rgb8, wide));
        let misread = std::fs::read_to_string(kept.join("misread.csv")).unwrap();
        let wrong = (20.0 * (1.0 - accuracy(text) / 100.0)).round() as usize;
        assert_eq!(misread.lines().count(), 1 + wrong, "{misread}");
        assert!(misread.lines().skip(1).all(|line| line.contains("pictures/cat/chelsea-") || line.contains("pictures/other/")), "{misread}");

        // The file knows what it is: classify needs nothing else. Nine of ten squares are those that it was trained with.
        let files: Vec<&str> = cats.iter().map(|file| file.to_str().unwrap()).collect();
        let said = run(&[&["classify", "--model", model.to_str().unwrap()], files.as_slice()].concat());
        let said = said.succeeds();
        let right = said.lines().filter(|line| line.split(": ").nth(1).is_some_and(|classes| classes.starts_with("cat ("))).count();
        assert!(right * 100 >= 54 * wanted as usize, "{network}: {said}");
    }
}

/// 1 x 1, far from square, grey with alpha, 16 bits: all are cut and resized.
#[test]
fn odd_pictures_are_taken() {
    let folder = scratch("train-odd");
    for class in ["dark", "light", "middle"] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        let shade = ["dark", "middle", "light"].iter().position(|name| *name == class).unwrap() as u8 * 120;
        let at = |name: &str| folder.join(class).join(name);
        image::GrayImage::from_pixel(1, 1, image::Luma([shade])).save(at("1.png")).unwrap();
        image::RgbImage::from_pixel(300, 2, image::Rgb([shade; 3])).save(at("2.png")).unwrap();
        image::GrayAlphaImage::from_pixel(9, 9, image::LumaA([shade, 255])).save(at("3.png")).unwrap();
        image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_pixel(20, 30, image::Luma([u16::from(shade) * 257])).save(at("4.png")).unwrap();
        image::RgbaImage::from_pixel(70, 70, image::Rgba([shade, shade, shade, 250])).save(at("5.webp")).unwrap();
    }
    let trained = run(&["train", "images", "--cpu", "--data", folder.to_str().unwrap(), "--size", "8", "--epochs", "60"]);
    let text = trained.succeeds();
    assert!(text.contains("12 samples to train with, 3 to test with"), "{text}");
    assert_eq!(accuracy(text), 100.0, "{text}");
}

#[test]
fn folders_and_files_that_are_no_data_are_named() {
    let folder = scratch("train-images-broken");
    let pictures = folder.join("pictures");
    let train = |more: &[&str]| run(&[&["train", "images", "--cpu", "--epochs", "1", "--data", pictures.to_str().unwrap()], more].concat());
    train(&[]).fails_with(1, "pictures: No such file");
    std::fs::create_dir_all(pictures.join("cat")).unwrap();
    train(&[]).fails_with(1, "pictures/cat: 0 pictures: a class has at least 5");
    patches("chelsea.png", 50, 5, &pictures.join("cat"), "png");
    train(&[]).fails_with(1, "pictures: it holds one folder, cat: there are at least two classes");
    patches("rocket.jpg", 50, 4, &pictures.join("dog"), "jpg");
    train(&[]).fails_with(1, "pictures/dog: 4 pictures: a class has at least 5");
    // A file that is no picture, a PNG that ends early, a JPEG that does, a folder.
    let text = write(&pictures, "dog/notes.txt", "a list of dogs");
    train(&[]).fails_with(1, "pictures/dog/notes.txt: not a PNG, JPEG, WebP or TIFF image");
    std::fs::remove_file(text).unwrap();
    for (photograph, why) in [("chelsea.png", "cut.png: "), ("rocket.jpg", "cut.png: the file is cut off: a JPEG ends with a marker")] {
        let bytes = std::fs::read(data().join(photograph)).unwrap();
        let cut = write(&pictures, "dog/cut.png", &bytes[..bytes.len() / 2]);
        train(&[]).fails_with(1, why);
        std::fs::remove_file(cut).unwrap();
    }
    let empty = write(&pictures, "dog/empty.png", "");
    train(&[]).fails_with(1, "dog/empty.png: not a PNG, JPEG, WebP or TIFF image");
    std::fs::remove_file(empty).unwrap();
    let large = pictures.join("dog/large.png");
    image::GrayImage::new(1001, 1000).save(&large).unwrap();
    train(&["--max-megapixels", "1"]).fails_with(1, "dog/large.png: 1001 x 1000 are 1.0 megapixels, and at most 1 are read");
    std::fs::remove_file(large).unwrap();
    std::fs::create_dir_all(pictures.join("dog/more")).unwrap();
    train(&[]).fails_with(1, "pictures/dog/more: it is a folder");
    std::fs::remove_dir(pictures.join("dog/more")).unwrap();
    patches("rocket.jpg", 50, 5, &pictures.join("dog"), "jpg");
    patches("camera.png", 50, 5, &pictures.join("man"), "png");
    train(&["--model", "logistic"]).fails_with(1, "it holds 3 folders (cat, dog, man, ..): --model logistic tells two classes apart");
    train(&["--size", "4"]).fails_with(2, "--size");
    train(&["--save", "/nowhere/model.safetensors"]).fails_with(1, "--save is /nowhere/model.safetensors");

    // A model that says of itself what cannot be.
    let wrong = folder.join("wrong.safetensors");
    let entry = r#"{"network":"logistic","size":16,"classes":["a","b"]}"#;
    let metadata = std::collections::HashMap::from([("wgconv train images".to_string(), entry.to_string())]);
    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).unwrap();
    std::fs::write(&wrong, safetensors::serialize([("dense1.bias", tensor)], Some(metadata)).unwrap()).unwrap();
    let picture = data().join("camera.png");
    run(&["classify", "--model", wrong.to_str().unwrap(), picture.to_str().unwrap()]).fails_with(1, "missing: dense1.weight");
}

/// A rate that nothing survives: the step, what was not finite first, and the state before it as a file.
#[test]
fn a_loss_that_is_not_finite_ends_in_1_and_leaves_the_state_before() {
    let folder = scratch("train-diverges");
    let model = folder.join("model.safetensors");
    let said = run(&["train", "digits", "--cpu", "--optimizer", "sgd", "--rate", "1e30", "--save", model.to_str().unwrap()]);
    said.fails_with(1, "it must stay finite, and at step ");
    let rescued = folder.join("model.before.safetensors");
    said.fails_with(1, rescued.to_str().unwrap());
    assert!(rescued.exists() && !model.exists());
}

/// A list of changes, their picture, and what a list may not be.
#[test]
fn pictures_are_augmented_as_the_list_says() {
    let folder = scratch("train-augment");
    let sheet = folder.join("augmented.png");
    let train = |more: &[&str]| run(&[&["train", "digits", "--cpu", "--epochs", "1"], more].concat());
    let pixels = |list: &str| {
        train(&["--augment", list, "--save-augmented", sheet.to_str().unwrap()]).succeeds();
        image::open(&sheet).unwrap().to_luma8()
    };
    // Six rows of ten digits, each 8 pixels of 8 x 8 and a line.
    let (row, none) = (8 * 8 + 1, pixels("none"));
    assert_eq!(none.dimensions(), (10 * row + 1, 6 * row + 1));
    let part = |image: &image::GrayImage, y: u32| image::imageops::crop_imm(image, 0, y * row, 10 * row, row).to_image();
    assert!((1..6).all(|y| part(&none, y) == part(&none, 0)), "nothing is changed");
    let flipped = pixels("flip");
    let digit = |image: &image::GrayImage, y: u32, x: u32| image::imageops::crop_imm(image, x * row + 1, y * row + 1, 64, 64).to_image();
    let mut mirrored = 0;
    for (y, x) in (1..6).flat_map(|y| (0..10).map(move |x| (y, x))) {
        let (own, changed) = (digit(&flipped, 0, x), digit(&flipped, y, x));
        let is_mirrored = changed == image::imageops::flip_horizontal(&own);
        assert!(is_mirrored || changed == own, "row {y}, digit {x}");
        mirrored += usize::from(is_mirrored);
    }
    assert!((10..40).contains(&mirrored), "{mirrored} of 50");
    let all = pixels("shift:1,rotate:10,scale:0.1");
    assert!(part(&all, 0) == part(&none, 0) && (1..6).all(|y| part(&all, y) != part(&none, y)));

    for (list, why) in [
        ("turn:3", "turn:3 is none of shift:PIXELS, flip, rotate:DEGREES, scale:PART"),
        ("flip:1", "flip:1 is none of"),
        ("shift", "shift has a number behind it: shift:2"),
        ("shift:-1", "shift:-1: it is a whole number of pixels"),
        ("rotate:x", "rotate:x: it is a number"),
        ("rotate:270", "rotate is 270: it is from 0 to 180 degrees"),
        ("scale:1", "scale is 1: it is from 0 to below 1"),
        ("flip,flip", "flip is there twice"),
        ("", "is none of"),
    ] {
        train(&["--augment", list]).fails_with(2, why);
    }
    train(&["--augment", "flip", "--shift", "2"]).fails_with(2, "--shift");
    train(&["--save-augmented", "/nowhere/sheet.png"]).fails_with(1, "--save-augmented is /nowhere/sheet.png");
}

/// The plan of a limit, the limit itself as the least that holds, and one below it.
#[test]
fn a_limit_on_memory_is_planned_printed_and_refused() {
    let train = |limit: &str| run(&["train", "digits", "--cpu", "--epochs", "1", "--memory-limit", limit]);
    let numbers = |text: &str| -> Vec<u64> {
        let line = text.lines().find(|line| line.contains(" bytes between the ops of a run, ")).unwrap();
        line.split(' ').filter_map(|word| word.parse().ok()).collect()
    };
    let wide = train("1000000000");
    let [bytes, free, again] = numbers(wide.succeeds())[..] else { panic!("{}", wide.succeeds()) };
    assert_eq!((bytes, again), (free, 0));
    let refused = train("1");
    refused.fails_with(1, "a run with cheap values computed again needs ");
    refused.fails_with(1, " bytes between ops, but memory_limit is 1");
    let text = refused.complaints()[0];
    let least: u64 = text.split("needs ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(least <= free, "{least} {free}");
    let held = train(&least.to_string());
    let [bytes, _, again] = numbers(held.succeeds())[..] else { panic!("{}", held.succeeds()) };
    assert!(bytes <= least && (again > 0) == (least < free), "{bytes} {least} {free} {again}");
    // The same bits: the same losses.
    let losses =
        |text: &str| text.lines().filter_map(|line| line.strip_prefix("epoch ")?.split(" loss ").nth(1).map(str::to_string)).collect::<Vec<_>>();
    let without_seconds = |text: &str| losses(text).iter().map(|line| line.split(", ").next().unwrap().to_string()).collect::<Vec<_>>();
    assert_eq!(without_seconds(held.succeeds()), without_seconds(wide.succeeds()));
    assert_eq!(without_seconds(wide.succeeds()).len(), 1, "{}", wide.succeeds());
    train("some").fails_with(2, "--memory-limit");
}
