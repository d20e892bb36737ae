//! The kernels of `filter`, by name or from a CSV file of weights.

use crate::{Failure, input};
use ndarray::Array2;
use std::path::Path;

/// Weights of a kernel at most.
const MOST_WEIGHTS: usize = 1 << 20;

/// The passes of the kernel `name`, as they are laid on the image one after the other (cross-correlation). Where the weights are a product
/// of a column and a row (box, gaussian), there are two passes: along the rows, then along the columns.
pub fn passes(name: &str) -> Result<Vec<Array2<f32>>, Failure> {
    let three = |w: [[f32; 3]; 3]| Ok(vec![Array2::from_shape_fn((3, 3), |(r, s)| w[r][s])]);
    match name {
        "sobel-x" => return three([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]),
        "sobel-y" => return three([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]]),
        "prewitt-x" => return three([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]),
        "scharr-x" => return three([[-3.0, 0.0, 3.0], [-10.0, 0.0, 10.0], [-3.0, 0.0, 3.0]]),
        "laplacian" => return three([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]),
        "sharpen" => return three([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]),
        "emboss" => return three([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]),
        _ => {}
    }
    let bad = |why: String| Failure::Usage(format!("--kernel is {name}: {why}"));
    if let Some(size) = name.strip_prefix("box:") {
        let size: usize = size.parse().ok().filter(|n| (1..=255).contains(n)).ok_or_else(|| bad("the size of a box is 1 to 255".into()))?;
        return Ok(both_ways(vec![1.0 / size as f32; size]));
    }
    if let Some(sigma) = name.strip_prefix("gaussian:") {
        let sigma: f64 = sigma.parse().ok().filter(|s| (0.1..=40.0).contains(s)).ok_or_else(|| bad("the sigma of a gaussian is 0.1 to 40".into()))?;
        return Ok(both_ways(bell(sigma).into_iter().map(|v| v as f32).collect()));
    }
    if name.to_lowercase().ends_with(".csv") {
        return Ok(vec![read_csv(name)?]);
    }
    Err(bad("it is sobel-x, sobel-y, prewitt-x, scharr-x, laplacian, sharpen, box:N, gaussian:SIGMA, emboss, or a .csv file".into()))
}

/// The weights along one axis of a gaussian, three sigmas to either side; their sum is 1.
fn bell(sigma: f64) -> Vec<f64> {
    let radius = (3.0 * sigma).ceil() as i32;
    let bell: Vec<f64> = (-radius..=radius).map(|i| (-0.5 * (f64::from(i) / sigma).powi(2)).exp()).collect();
    let total: f64 = bell.iter().sum();
    bell.into_iter().map(|v| v / total).collect()
}

/// The same weights along the rows and then along the columns; one pass where there is one weight.
fn both_ways(weights: Vec<f32>) -> Vec<Array2<f32>> {
    let row = Array2::from_shape_fn((1, weights.len()), |(_, s)| weights[s]);
    if weights.len() == 1 {
        return vec![row];
    }
    let column = row.t().to_owned();
    vec![row, column]
}

fn read_csv(path: &str) -> Result<Array2<f32>, Failure> {
    let text = input::text(Path::new(path)).map_err(Failure::Run)?;
    parse_csv(&text).map_err(|why| Failure::Run(format!("{path}: {why}")))
}

/// Rows of finite numbers with commas between, all of one length.
pub fn parse_csv(text: &str) -> Result<Array2<f32>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(text.as_bytes());
    let (mut rows, mut values, mut columns) = (0, Vec::new(), 0);
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?; // rows of different lengths end here, by line
        columns = record.len();
        rows += 1;
        for field in &record {
            let weight = field.parse::<f32>().ok().filter(|w| w.is_finite());
            values.push(weight.ok_or_else(|| format!("row {rows} holds \"{field}\", which is no finite number"))?);
        }
        if values.len() > MOST_WEIGHTS {
            return Err(format!("more than {MOST_WEIGHTS} weights: a kernel has no more"));
        }
    }
    if values.is_empty() {
        return Err("no weights in it".into());
    }
    Array2::from_shape_vec((rows, columns), values).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_kernels_sum_to_one_and_differences_to_zero() {
        let total = |name: &str| passes(name).ok().unwrap().iter().map(|pass| pass.sum()).product::<f32>();
        for name in ["box:1", "box:4", "box:255", "gaussian:0.1", "gaussian:1.5", "gaussian:40", "sharpen", "emboss"] {
            assert!((total(name) - 1.0).abs() < 1e-5, "{name} sums to {}", total(name));
        }
        for name in ["sobel-x", "sobel-y", "prewitt-x", "scharr-x", "laplacian"] {
            assert_eq!(total(name), 0.0, "{name}");
        }
    }

    #[test]
    fn what_is_a_product_goes_row_by_column() {
        let shapes = |name: &str| passes(name).ok().unwrap().iter().map(Array2::dim).collect::<Vec<_>>();
        assert_eq!(shapes("gaussian:1"), [(1, 7), (7, 1)]);
        assert_eq!(shapes("box:4"), [(1, 4), (4, 1)]);
        assert_eq!(shapes("box:1"), [(1, 1)]);
        assert_eq!(shapes("sobel-x"), [(3, 3)]);
    }
}
