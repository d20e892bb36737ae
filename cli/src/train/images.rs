//! Pictures as data: a folder with one folder a class, each picture cut to a square about its centre and resized, and the split by class.

use super::data::Split;
use super::models::{CHANNELS, Described, MOST_CLASSES, Network};
use crate::Failure;
use crate::picture::{self, Picture};
use crate::text::printable;
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Rgb};
use ndarray::{Array4, ArrayView2};
use std::path::{Path, PathBuf};
use wgconv::numeric::Generator;
use wgconv::train::Dataset;

/// Every fifth picture of a class is kept to test with.
const EVERY: usize = 5;

/// A folder of pictures that belong together.
struct Class {
    name: String,
    files: Vec<PathBuf>,
}

/// What pictures to read, and how.
pub struct Folder<'a> {
    pub path: &'a Path,
    pub network: Network,
    pub size: usize,
    pub most_pixels: u64,
    pub seed: u64,
}

impl Folder<'_> {
    /// Reads all pictures; `after` hears how many are read, of how many.
    ///
    /// # Errors
    /// A folder of fewer than two classes, a class of fewer than five pictures, a file that is no picture or a broken one: by its path, with the reason.
    pub fn read(&self, mut after: impl FnMut(u64, u64)) -> Result<(Split, Described), Failure> {
        let classes = self.classes()?;
        let all: usize = classes.iter().map(|class| class.files.len()).sum();
        let mut parts = [Part::default(), Part::default()];
        let mut read = 0;
        for (label, class) in classes.iter().enumerate() {
            for (i, file) in shuffled(&class.files, &format!("split {} {}", self.seed, class.name)).into_iter().enumerate() {
                let picture = picture::read(file, self.most_pixels)?;
                let part = &mut parts[usize::from(i % EVERY == EVERY - 1)];
                part.pixels.try_reserve(CHANNELS * self.size * self.size).map_err(|e| Failure::Run(format!("{}: {e}", printed(self.path))))?;
                part.pixels.extend(sample(&picture, self.size));
                part.labels.push(label as u32);
                part.files.push(file.clone());
                read += 1;
                after(read, all as u64);
            }
        }
        let [train, test] = parts;
        let files = test.files.clone();
        let [train, test] = [self.dataset(train, classes.len())?, self.dataset(test, classes.len())?];
        let described = Described { network: self.network, size: self.size, classes: classes.into_iter().map(|class| class.name).collect() };
        Ok((Split { train, test, files }, described))
    }

    fn classes(&self) -> Result<Vec<Class>, Failure> {
        let fail = |path: &Path, why: String| Failure::Run(format!("{}: {why}", printed(path)));
        let mut classes = vec![];
        for path in entries(self.path)? {
            if !path.is_dir() {
                continue; // such as a list of sources beside the classes
            }
            let files = entries(&path)?;
            if let Some(folder) = files.iter().find(|file| file.is_dir()) {
                return Err(fail(folder, "it is a folder, and the folder of a class holds pictures alone".into()));
            }
            if files.len() < EVERY {
                let why = format!("{} pictures: a class has at least {EVERY}, every fifth of which is kept to test with", files.len());
                return Err(fail(&path, why));
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            classes.push(Class { name, files });
        }
        let names: Vec<String> = classes.iter().take(4).map(|class| printable(&class.name)).collect();
        match classes.len() {
            0 => Err(fail(self.path, "it holds no folder: there is one folder a class".into())),
            1 => Err(fail(self.path, format!("it holds one folder, {}: there are at least two classes, each with a folder", names[0]))),
            count if count > MOST_CLASSES => Err(fail(self.path, format!("it holds {count} folders: at most {MOST_CLASSES} classes are told apart"))),
            2 => Ok(classes),
            count if self.network == Network::Logistic => {
                let names = names.join(", ");
                Err(fail(self.path, format!("it holds {count} folders ({names}, ..): --model logistic tells two classes apart")))
            }
            _ => Ok(classes),
        }
    }

    fn dataset(&self, part: Part, classes: usize) -> Result<Dataset, Failure> {
        let Part { pixels, labels, .. } = part;
        let extents = (labels.len(), CHANNELS, self.size, self.size);
        let inputs = Array4::from_shape_vec(extents, pixels).map_err(|e| Failure::Run(e.to_string()))?;
        match self.network {
            Network::Convolutional => Ok(Dataset::classes(inputs.view(), labels, classes)?),
            Network::Logistic => {
                let targets: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
                let targets = ArrayView2::from_shape((labels.len(), 1), &targets).map_err(|e| Failure::Run(e.to_string()))?;
                Ok(Dataset::values(inputs.view(), targets)?)
            }
        }
    }
}

/// Samples to train or to test with.
#[derive(Default)]
struct Part {
    pixels: Vec<f32>,
    labels: Vec<u32>,
    files: Vec<PathBuf>,
}

fn printed(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// What lies in a folder, in the order of the names; what is hidden is left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |e: std::io::Error| Failure::Run(format!("{}: {e}", printed(folder)));
    let mut paths = vec![];
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The files in an order that follows from `text` (Fisher and Yates).
fn shuffled<'a>(files: &'a [PathBuf], text: &str) -> Vec<&'a PathBuf> {
    let mut generator = Generator::from_text(text);
    let mut order: Vec<&PathBuf> = files.iter().collect();
    for i in (1..order.len()).rev() {
        order.swap(i, generator.below(i as u64 + 1) as usize);
    }
    order
}

/// A picture as a network takes it: the square about its centre, resized to so many pixels a side, red, green and blue one behind the other, from -1 to 1.
/// Where it is made smaller, each pixel is a mean over all that it covers, weighted by a triangle. What is transparent is 0, mid-grey, as is what shifting
/// brings in. A grey picture has three equal channels.
pub fn sample(picture: &Picture, size: usize) -> Vec<f32> {
    let side = picture.height.min(picture.width);
    let [top, left] = [picture.height, picture.width].map(|extent| (extent - side) / 2);
    let planes: Vec<ndarray::Array2<f32>> = (0..picture.channels + usize::from(picture.alpha)).map(|channel| picture.plane(channel)).collect();
    let (colours, alpha) = planes.split_at(picture.channels);
    // From 0 to 1: the resizing clips to that.
    let square = ImageBuffer::<Rgb<f32>, Vec<f32>>::from_fn(side as u32, side as u32, |x, y| {
        let at = [top + y as usize, left + x as usize];
        let opaque = alpha.first().map_or(1.0, |alpha| alpha[at] / 255.0);
        Rgb(std::array::from_fn(|channel| opaque * colours[channel.min(colours.len() - 1)][at] / 255.0 + (1.0 - opaque) * 0.5))
    });
    let resized = resize(&square, size as u32, size as u32, FilterType::Triangle);
    (0..CHANNELS).flat_map(|channel| resized.pixels().map(move |pixel| 2.0 * pixel.0[channel] - 1.0)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use image::{DynamicImage, ImageFormat};
    use std::io::Cursor;

    fn picture(image: DynamicImage) -> Picture {
        let mut file = Cursor::new(vec![]);
        image.write_to(&mut file, ImageFormat::Png).unwrap();
        picture::decode(&file.into_inner(), 1_000_000).unwrap()
    }

    #[test]
    fn the_square_about_the_centre_is_resized() {
        // 4 x 8, the outer columns red, the inner four green.
        let image = image::RgbImage::from_fn(8, 4, |x, _| if (2..6).contains(&x) { Rgb([0, 255, 0]) } else { Rgb([255, 0, 0]) });
        let pixels = sample(&picture(image.clone().into()), 8);
        assert_eq!(pixels.len(), 3 * 64);
        assert!(pixels[..64].iter().all(|v| *v == -1.0) && pixels[64..128].iter().all(|v| *v == 1.0), "green alone: {pixels:?}");
        let turned = sample(&picture(DynamicImage::from(image).rotate90()), 8);
        assert_eq!(turned, pixels);
    }

    /// Columns of 0 and 255 in turn are mid-grey where they are too fine to be seen; picking single pixels would make them black or white.
    #[test]
    fn what_is_made_smaller_is_not_picked_from() {
        let image = image::GrayImage::from_fn(256, 256, |x, _| image::Luma([if x % 2 == 0 { 0 } else { 255 }]));
        let pixels = sample(&picture(image.into()), 16);
        assert!(pixels.iter().all(|v| v.abs() < 0.02), "{:?}", pixels.iter().copied().fold(0.0f32, |m, v| m.max(v.abs())));
    }

    #[test]
    fn grey_alpha_depth_and_single_pixels_are_taken() {
        let grey = image::GrayImage::from_pixel(3, 2, image::Luma([255]));
        assert!(sample(&picture(grey.into()), 8).iter().all(|v| *v == 1.0));
        let clear = image::RgbaImage::from_fn(8, 8, |x, _| image::Rgba([255, 255, 255, if x < 4 { 0 } else { 255 }]));
        let pixels = sample(&picture(clear.into()), 8);
        assert_eq!((pixels[0], pixels[7]), (0.0, 1.0));
        let deep = ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_pixel(1, 1, image::Luma([0]));
        assert_eq!(sample(&picture(deep.into()), 8), [-1.0; 192]);
    }

    #[test]
    fn the_split_follows_from_the_seed() {
        let files: Vec<PathBuf> = (0..20).map(|i| PathBuf::from(format!("{i}"))).collect();
        assert_eq!(shuffled(&files, "split 1 cat"), shuffled(&files, "split 1 cat"));
        assert_ne!(shuffled(&files, "split 1 cat"), shuffled(&files, "split 2 cat"));
        let mut sorted = shuffled(&files, "split 1 cat");
        sorted.sort();
        let mut all: Vec<&PathBuf> = files.iter().collect();
        all.sort();
        assert_eq!(sorted, all);
    }
}
