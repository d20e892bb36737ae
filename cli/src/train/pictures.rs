//! What training shows: the curve as CSV and SVG, the filters of the first layer, the samples that were misread.

use super::data::Split;
use crate::Failure;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use ndarray::{Array3, ArrayD, ArrayView3, Axis, Ix3};
use std::fmt::Write;
use wgconv::Graph;
use wgconv::train::{Dataset, Evaluation, Labels, Trainer};

/// What is known after an epoch.
pub struct Point {
    pub epoch: u64,
    pub loss: f64,
    pub test_loss: f64,
    pub accuracy: f64,
}

/// One line for each epoch.
pub fn csv(curve: &[Point]) -> String {
    let mut text = String::from("epoch,loss,test_loss,accuracy\n");
    for point in curve {
        let _ = writeln!(text, "{},{},{},{}", point.epoch, point.loss, point.test_loss, point.accuracy); // a String takes all
    }
    text
}

/// Both losses and the accuracy over the epochs.
pub fn svg(curve: &[Point]) -> String {
    let (width, height, left, bottom) = (640.0, 300.0, 50.0, 40.0);
    let most = curve.iter().map(|p| p.loss.max(p.test_loss)).filter(|loss| loss.is_finite()).fold(1e-9, f64::max);
    let x = |i: usize| left + (width - 2.0 * left) * i as f64 / (curve.len().max(2) - 1) as f64;
    let y = |part: f64| 20.0 + (height - bottom - 20.0) * (1.0 - part.clamp(0.0, 1.0));
    let line = |value: &dyn Fn(&Point) -> f64, color: &str| {
        let points: Vec<String> = curve.iter().enumerate().map(|(i, point)| format!("{:.1},{:.1}", x(i), y(value(point)))).collect();
        format!("<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" points=\"{}\"/>\n", points.join(" "))
    };
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let (low, right) = (height - bottom, width - left);
    let _ = writeln!(text, "<path d=\"M{left} 20V{low}H{right}V20\" fill=\"none\" stroke=\"#888\"/>");
    text += &line(&|point| point.loss / most, "#c33");
    text += &line(&|point| point.test_loss / most, "#36c");
    text += &line(&|point| point.accuracy, "#393");
    for (at, label, anchor) in [(left - 6.0, format!("{most:.2}"), "end"), (right + 6.0, "100 %".into(), "start")] {
        let _ = writeln!(text, "<text x=\"{at}\" y=\"24\" text-anchor=\"{anchor}\">{label}</text>");
    }
    let _ = writeln!(text, "<text x=\"{}\" y=\"{low}\" text-anchor=\"end\">0</text>", left - 6.0);
    let last = curve.last().map_or(0, |point| point.epoch);
    let _ = writeln!(text, "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">epoch {last}</text>", low + 16.0);
    for (i, (label, color)) in [("loss", "#c33"), ("test loss", "#36c"), ("test accuracy", "#393")].into_iter().enumerate() {
        let _ = writeln!(text, "<text x=\"{}\" y=\"{}\" fill=\"{color}\">{label}</text>", left + 110.0 * i as f64, height - 8.0);
    }
    text + "</svg>\n"
}

/// Most samples of a picture.
const MOST: usize = 60;

/// The filters of the first layer side by side, all on one scale, black for the lowest number: of three channels in colour, else the first channel of each.
/// A dense layer that comes first has a filter as large as a sample. None where neither comes first.
pub fn filters(graph: &Graph) -> Result<Option<Vec<u8>>, String> {
    let (name, input) = (["conv1.weight", "dense1.weight"].into_iter().find_map(|name| graph.find(name)), graph.inputs().next());
    let Some((weight, (_, x))) = name.zip(input) else { return Ok(None) };
    let Some(numbers) = graph.numbers(weight) else { return Ok(None) };
    let mut extents = numbers.tensor_type().extents;
    if extents.len() == 2 {
        extents = std::iter::once(extents[0]).chain((1..graph.rank(x)).filter_map(|axis| graph.extent(x, axis))).collect();
    }
    let Ok(filters) = ArrayD::from_shape_vec(extents, numbers.as_f32().into_owned()) else { return Ok(None) };
    let pictures: Vec<Array3<f32>> = filters.outer_iter().filter_map(colours).collect();
    if pictures.is_empty() { Ok(None) } else { sheet(&pictures, 64).map(Some) }
}

/// Ten samples evenly spread over the data, as they are, and below them as the first steps change them.
pub fn augmented(trainer: &Trainer, data: &Dataset) -> Result<Vec<u8>, Failure> {
    /// Rows of changed ones.
    const STEPS: u64 = 5;
    let count = data.len().min(10);
    let samples: Vec<usize> = (0..count).map(|i| i * data.len() / count).collect();
    let mut rows = vec![data.inputs().select(Axis(0), &samples)];
    for step in 0..STEPS {
        rows.push(trainer.augmented(data, &samples, step)?);
    }
    let pictures: Vec<Array3<f32>> = rows.iter().flat_map(|row| row.outer_iter().filter_map(colours).collect::<Vec<_>>()).collect();
    sheet(&pictures, 64).map_err(Failure::Run)
}

/// The first samples that were misread; none where there are none.
pub fn misread(data: &Dataset, test: &Evaluation) -> Result<Option<Vec<u8>>, String> {
    let sample = |&(sample, _): &(usize, usize)| colours(data.inputs().index_axis(Axis(0), sample));
    let pictures: Vec<Array3<f32>> = test.misread.iter().take(MOST).filter_map(sample).collect();
    if pictures.is_empty() { Ok(None) } else { sheet(&pictures, 96).map(Some) }
}

/// What was misread, a line each, in the order of the picture: the sample from 0 on, its class, what it was taken for, and its file where it has one.
pub fn misread_csv(split: &Split, test: &Evaluation) -> String {
    let label = |sample: usize| match split.test.labels() {
        Labels::Classes { labels, .. } => labels[sample] as usize,
        Labels::Values(values) => usize::from(values.iter().nth(sample).is_some_and(|value| *value > 0.5)),
    };
    let mut text = String::from("sample,class,taken_for,file\n");
    for &(sample, taken_for) in &test.misread {
        let file = split.files.get(sample).map_or(String::new(), |file| format!("\"{}\"", file.to_string_lossy().replace('"', "\"\"")));
        let _ = writeln!(text, "{sample},{},{taken_for},{file}", label(sample)); // a String takes all
    }
    text
}

/// C H W with one channel or three: the first where there are others.
fn colours(view: ndarray::ArrayViewD<'_, f32>) -> Option<Array3<f32>> {
    let view: ArrayView3<'_, f32> = view.into_dimensionality::<Ix3>().ok()?;
    Some(if view.dim().0 == 3 { view.to_owned() } else { view.slice(ndarray::s![..1, .., ..]).to_owned() })
}

/// Pictures in rows of ten, a gap of one pixel between them, each about `wide` pixels wide, all on one scale.
fn sheet(pictures: &[Array3<f32>], wide: usize) -> Result<Vec<u8>, String> {
    let (channels, own_height, own_width) = pictures.first().map_or((1, 1, 1), |picture| picture.dim());
    let scale = (wide / own_width.max(1)).clamp(1, 12);
    let [height, width] = [own_height * scale + 1, own_width * scale + 1];
    let columns = pictures.len().clamp(1, 10);
    let rows = pictures.len().div_ceil(columns);
    let all = || pictures.iter().flatten().copied();
    let (low, high) = (all().fold(f32::INFINITY, f32::min), all().fold(f32::NEG_INFINITY, f32::max));
    let shade = |v: f32| (255.0 * (v - low) / (high - low).max(f32::MIN_POSITIVE)).round() as u8;
    let mut pixels = Array3::from_elem((rows * height + 1, columns * width + 1, channels), 128u8);
    for (i, picture) in pictures.iter().enumerate() {
        let (top, left) = (i / columns * height + 1, i % columns * width + 1);
        for ((channel, y, x), v) in picture.indexed_iter() {
            for (dy, dx) in (0..scale).flat_map(|dy| (0..scale).map(move |dx| (dy, dx))) {
                pixels[[top + y * scale + dy, left + x * scale + dx, channel]] = shade(*v);
            }
        }
    }
    let mut png = vec![];
    let (height, width, _) = pixels.dim();
    let colour = if channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
    PngEncoder::new(&mut png).write_image(pixels.as_slice().unwrap_or_default(), width as u32, height as u32, colour).map_err(|e| e.to_string())?;
    Ok(png)
}
