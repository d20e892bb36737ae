//! What training shows: the curve as CSV and SVG, the filters of the first layer, the samples that were misread.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use ndarray::{Array2, ArrayD, ArrayView2, Axis, Ix2};
use std::fmt::Write;
use wgconv::Graph;
use wgconv::train::{Dataset, Evaluation};

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

/// Pixels of one number of a filter, and of one pixel of a sample.
const SCALE: [usize; 2] = [12, 3];

/// Most samples of a picture.
const MOST: usize = 60;

/// The filters of the first convolution side by side, the first channel of each, black for the lowest number; none where there is no convolution.
pub fn filters(graph: &Graph) -> Result<Option<Vec<u8>>, String> {
    let Some(numbers) = graph.find("conv1.weight").and_then(|value| graph.numbers(value)) else { return Ok(None) };
    let extents = numbers.tensor_type().extents;
    let filters = ArrayD::from_shape_vec(extents, numbers.as_f32().into_owned()).map_err(|e| e.to_string())?;
    let planes: Vec<Array2<f32>> = filters.axis_iter(Axis(0)).filter_map(|filter| plane(filter.index_axis(Axis(0), 0))).collect();
    sheet(&planes, SCALE[0]).map(Some)
}

/// The first samples that were misread; none where there are none.
pub fn misread(data: &Dataset, test: &Evaluation) -> Result<Option<Vec<u8>>, String> {
    let sample = |&(sample, _): &(usize, usize)| plane(data.inputs().index_axis(Axis(0), sample).index_axis(Axis(0), 0));
    let planes: Vec<Array2<f32>> = test.misread.iter().take(MOST).filter_map(sample).collect();
    if planes.is_empty() { Ok(None) } else { sheet(&planes, SCALE[1]).map(Some) }
}

fn plane(view: ndarray::ArrayViewD<'_, f32>) -> Option<Array2<f32>> {
    let view: ArrayView2<'_, f32> = view.into_dimensionality::<Ix2>().ok()?;
    Some(view.to_owned())
}

/// Planes in rows of ten, a gap of one pixel between them, each number a square, all on one scale of grey.
fn sheet(planes: &[Array2<f32>], scale: usize) -> Result<Vec<u8>, String> {
    let [height, width] = planes.first().map_or([1, 1], |plane| [plane.nrows() * scale + 1, plane.ncols() * scale + 1]);
    let columns = planes.len().clamp(1, 10);
    let rows = planes.len().div_ceil(columns);
    let all = || planes.iter().flatten().copied();
    let (low, high) = (all().fold(f32::INFINITY, f32::min), all().fold(f32::NEG_INFINITY, f32::max));
    let grey = |v: f32| (255.0 * (v - low) / (high - low).max(f32::MIN_POSITIVE)).round() as u8;
    let mut pixels = Array2::from_elem((rows * height + 1, columns * width + 1), 128u8);
    for (i, plane) in planes.iter().enumerate() {
        let (top, left) = (i / columns * height + 1, i % columns * width + 1);
        for ((y, x), v) in plane.indexed_iter() {
            for (dy, dx) in (0..scale).flat_map(|dy| (0..scale).map(move |dx| (dy, dx))) {
                pixels[[top + y * scale + dy, left + x * scale + dx]] = grey(*v);
            }
        }
    }
    let mut png = vec![];
    let (height, width) = pixels.dim();
    PngEncoder::new(&mut png)
        .write_image(pixels.as_slice().unwrap_or_default(), width as u32, height as u32, ExtendedColorType::L8)
        .map_err(|e| e.to_string())?;
    Ok(png)
}
