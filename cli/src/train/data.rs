//! Data to train with: the digits that the program carries, and the IDX files of MNIST, gzipped or not.

use ndarray::{Array4, ArrayD, IxDyn};
use std::io::Read;
use std::path::{Path, PathBuf};
use wgconv::train::Dataset;

/// 1,797 digits of 8 x 8 pixels (cli/data/README.md).
const DIGITS: &[u8] = include_bytes!("../../data/digits.npy");

const DIGIT: usize = 8;

/// Every fifth digit is kept to test with.
const EVERY: usize = 5;

/// What to train with, what to test with.
pub struct Split {
    pub train: Dataset,
    pub test: Dataset,
    /// The files of what to test with, where each sample has one.
    pub files: Vec<PathBuf>,
}

/// The digits that the program carries, every fifth one kept to test with.
pub fn digits() -> Result<Split, String> {
    let broken = || "the digits within the program are broken".to_string();
    // Format 1.0: eight bytes, then the length of the header in two.
    let header = DIGITS.get(8..10).map(|bytes| usize::from(bytes[0]) + 256 * usize::from(bytes[1])).ok_or_else(broken)?;
    let rows = DIGITS.get(10 + header..).ok_or_else(broken)?.chunks_exact(DIGIT * DIGIT + 1);
    let (mut pixels, mut labels) = (vec![], vec![]);
    for row in rows {
        let (label, image) = row.split_last().ok_or_else(broken)?;
        pixels.extend(image.iter().map(|&ink| f32::from(ink) / 16.0));
        labels.push(u32::from(*label));
    }
    let images = Array4::from_shape_vec((labels.len(), 1, DIGIT, DIGIT), pixels).map_err(|_| broken())?;
    let all = Dataset::classes(images.view(), labels, 10).map_err(|e| e.to_string())?;
    let (train, test) = all.split(EVERY).map_err(|e| e.to_string())?;
    Ok(Split { train, test, files: vec![] })
}

/// The four files of MNIST in a folder.
pub fn mnist(folder: &Path) -> Result<Split, String> {
    let part = |name: &str| -> Result<Dataset, String> {
        let (images, image_file) = idx(folder, &format!("{name}-images-idx3-ubyte"), 3)?;
        let (labels, label_file) = idx(folder, &format!("{name}-labels-idx1-ubyte"), 1)?;
        if images.shape()[0] != labels.len() {
            let (images, labels) = (images.shape()[0], labels.len());
            return Err(format!("{} has {images} images, and {} has {labels} labels", image_file.display(), label_file.display()));
        }
        let extents = [images.shape()[0], 1, images.shape()[1], images.shape()[2]];
        let scaled = images.mapv(|pixel| f32::from(pixel) / 255.0);
        let scaled = scaled.into_shape_with_order(IxDyn(&extents)).map_err(|e| format!("{}: {e}", image_file.display()))?;
        Dataset::classes(scaled.view(), labels.iter().map(|&label| label.into()).collect(), 10).map_err(|e| format!("{}: {e}", label_file.display()))
    };
    Ok(Split { train: part("train")?, test: part("t10k")?, files: vec![] })
}

/// An IDX file of bytes with so many axes, or the same with `.gz` behind its name.
fn idx(folder: &Path, name: &str, axes: usize) -> Result<(ArrayD<u8>, PathBuf), String> {
    let (plain, zipped) = (folder.join(name), folder.join(format!("{name}.gz")));
    let file = [&plain, &zipped].into_iter().find(|file| file.exists());
    let Some(file) = file else { return Err(format!("{}: there is neither {name} nor {name}.gz", folder.display())) };
    let bytes = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) { unzipped(&bytes).map_err(|e| format!("{}: {e}", file.display()))? } else { bytes };
    Ok((parsed(&bytes, axes).map_err(|e| format!("{}: {e}", file.display()))?, file.clone()))
}

/// Most bytes that a file may unfold to: ten times MNIST.
const MOST: u64 = 512 << 20;

fn unzipped(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut data = vec![];
    let read = flate2::read::GzDecoder::new(bytes).take(MOST + 1).read_to_end(&mut data);
    match read {
        Ok(_) if data.len() as u64 > MOST => Err(format!("it unfolds to more than {MOST} bytes")),
        Ok(_) => Ok(data),
        Err(e) => Err(format!("broken gzip after {} bytes of data: {e}", data.len())),
    }
}

/// Two zeros, 8 for unsigned bytes, the number of axes; then each extent in four bytes, the highest first; then the data.
fn parsed(bytes: &[u8], axes: usize) -> Result<ArrayD<u8>, String> {
    let found = bytes.get(..4).ok_or_else(|| format!("it ends after {} bytes: an IDX file begins with four", bytes.len()))?;
    if found != [0, 0, 8, axes as u8] {
        return Err(format!("byte 0: {found:02x?} is no IDX file of unsigned bytes with {axes} axes, which begins with [00, 00, 08, {axes:02x}]"));
    }
    let header = 4 + 4 * axes;
    let extents = bytes.get(4..header).ok_or_else(|| format!("it ends after {} bytes, within its extents", bytes.len()))?;
    let extents: Vec<usize> = extents.as_chunks::<4>().0.iter().map(|extent| u32::from_be_bytes(*extent) as usize).collect();
    let count = extents.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
    let data = &bytes[header..];
    if count != Some(data.len()) {
        return Err(format!(
            "byte {header}: {} bytes of data follow, and the extents {extents:?} want {}",
            data.len(),
            count.map_or("more than fits".into(), |c| c.to_string())
        ));
    }
    ArrayD::from_shape_vec(IxDyn(&extents), data.to_vec()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_digits_are_whole() {
        let Split { train, test, .. } = digits().unwrap();
        assert_eq!((train.len(), test.len()), (1438, 359));
        assert_eq!(train.inputs().shape()[1..], [1, 8, 8]);
        assert!(train.inputs().iter().all(|v| (0.0..=1.0).contains(v)) && train.inputs().iter().any(|v| *v == 1.0));
    }

    #[test]
    fn broken_files_are_named_with_their_place() {
        let parse = |bytes: &[u8]| parsed(bytes, 1).unwrap_err();
        assert_eq!(parse(&[0, 0]), "it ends after 2 bytes: an IDX file begins with four");
        assert!(parse(&[0, 0, 13, 1, 0, 0, 0, 1, 7]).starts_with("byte 0: [00, 00, 0d, 01] is no IDX file"));
        assert_eq!(parse(&[0, 0, 8, 1, 0, 0]), "it ends after 6 bytes, within its extents");
        assert_eq!(parse(&[0, 0, 8, 1, 0, 0, 0, 3, 7, 7]), "byte 8: 2 bytes of data follow, and the extents [3] want 3");
        assert_eq!(parsed(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 9], 1).unwrap().as_slice(), Some(&[7u8, 9][..]));
        assert!(unzipped(&[0x1f, 0x8b, 8, 0]).unwrap_err().starts_with("broken gzip after 0 bytes"));
    }
}
