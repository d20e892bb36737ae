//! `wgconv train` and `classify`: 98 % of the digits from the program alone, its files, and what is broken by name.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{run, scratch};
use std::path::Path;

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
