//! `wgconv filter`: a photograph through a convolution and what `--then` adds, by the same public API that an embedder uses.
//!
//! Every channel goes through the same filter: a depthwise convolution with one group a channel.

use crate::chain::{self, Link};
use crate::{Failure, Outcome, adapter_named, complain, keep_pipelines, open_gpu, output, picture};
use ndarray::{Array2, Array3};
use std::path::PathBuf;
use wgconv::conv::Conv2dDescriptor;
use wgconv::{Activation, Error, Padding, PaddingMode};

#[derive(clap::Args)]
#[command(
    after_help = "How values become pixels: a kernel whose weights sum to 0 finds differences, and they are shown about mid-grey (128 + v / 2); \
                        with --magnitude as |v|. Any other kernel's values are shown as they are. After --then relu and other activations values are shown as they are, those of sigmoid times 255, those of tanh as 128 + 127 v. All are clipped to 0 .. 255. Grey images stay grey; of colour images each channel is filtered by itself, and an alpha channel is dropped."
)]
pub struct Args {
    /// A PNG or JPEG file
    image: PathBuf,
    /// Where the result goes; PNG or JPEG by its ending
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// sobel-x, sobel-y, prewitt-x, scharr-x, laplacian, sharpen, box:N, gaussian:SIGMA, emboss, or a CSV file of weights
    #[arg(long, value_name = "KERNEL")]
    kernel: String,
    /// Step between windows
    #[arg(long, default_value_t = 1)]
    stride: usize,
    /// What happens to the result, in order: an activation such as relu or sigmoid, maxpool:N, avgpool:N, or another kernel by its name
    #[arg(long, value_name = "STEP")]
    then: Vec<String>,
    /// valid; same (zeros), reflect, replicate or circular keep the extent
    #[arg(long, default_value = "same")]
    padding: String,
    /// Computes on the CPU engine
    #[arg(long)]
    cpu: bool,
    /// Shows the absolute value
    #[arg(long)]
    magnitude: bool,
    /// Adapter by number or part of its name
    #[arg(long, conflicts_with = "cpu")]
    adapter: Option<String>,
}

pub fn run(args: &Args) -> Outcome {
    let weights = kernel(&args.kernel)?;
    let descriptor = descriptor(&args.padding, args.stride, &weights)?;
    let next = Conv2dDescriptor { stride: [1, 1], ..descriptor };
    let mut links = vec![Link::Filter(descriptor, weights)];
    for name in &args.then {
        links.push(chain::link(name, |name| Ok(Link::Filter(next, kernel(name)?)))?);
    }
    picture::check_ending(&args.output)?;
    output::check(&args.output)?;
    let planes = picture::read(&args.image)?;
    let gpu = if args.cpu {
        None
    } else {
        match open_gpu(args.adapter.as_deref()) {
            Ok(gpu) => {
                gpu.set_pipeline_cache(None);
                Some(gpu)
            }
            Err(error @ Error::NoAdapter { .. }) if !adapter_named(args.adapter.as_deref()) => {
                complain(&format!("{error}. Computing on the CPU engine"));
                None
            }
            Err(error) => return Err(error.into()),
        }
    };
    let result = chain::run(gpu.as_ref(), &planes, &links).map_err(|failure| match failure {
        Failure::Run(why) => Failure::Run(format!("{}: {why}", args.image.display())),
        other => other,
    })?;
    gpu.iter().for_each(keep_pipelines);
    picture::write(&args.output, visible(result, &links, args.magnitude).view())
}

/// Runs every channel plane through `weights`.
#[cfg(test)]
fn convolve(gpu: Option<&wgconv::Gpu>, descriptor: &Conv2dDescriptor, planes: &Array3<f32>, weights: &Array2<f32>) -> Result<Array3<f32>, Failure> {
    chain::run(gpu, planes, &[Link::Filter(*descriptor, weights.clone())])
}

/// Values as pixels; see the command's help. The last filter and activation say what the values are.
fn visible(values: Array3<f32>, links: &[Link], magnitude: bool) -> Array3<f32> {
    let last = links.iter().rev().find(|link| matches!(link, Link::Filter(..) | Link::Activation(_)));
    let differences = match last {
        Some(Link::Filter(_, weights)) => weights.sum().abs() <= 1e-4 * weights.iter().map(|w| w.abs()).sum::<f32>(),
        _ => false,
    };
    if let Some(Link::Activation(Activation::Sigmoid | Activation::HardSigmoid { .. })) = last {
        values.mapv(|v| 255.0 * v)
    } else if let Some(Link::Activation(Activation::Tanh | Activation::Softsign)) = last {
        values.mapv(|v| 128.0 + 127.0 * v)
    } else if magnitude {
        values.mapv(f32::abs)
    } else if differences {
        values.mapv(|v| 128.0 + v / 2.0)
    } else {
        values
    }
}

fn descriptor(padding: &str, stride: usize, weights: &Array2<f32>) -> Result<Conv2dDescriptor, Failure> {
    let (rows, columns) = weights.dim();
    // What keeps the extent at stride 1; the odd pad goes to the end.
    let around = Padding::Explicit { begin: [(rows - 1) / 2, (columns - 1) / 2], end: [rows / 2, columns / 2] };
    let (padding, padding_mode) = match padding {
        "valid" => (Padding::Valid, PaddingMode::Zeros),
        "same" => (Padding::Same, PaddingMode::Zeros),
        "reflect" => (around, PaddingMode::Reflect),
        "replicate" => (around, PaddingMode::Replicate),
        "circular" => (around, PaddingMode::Circular),
        other => return Err(Failure::Usage(format!("--padding is {other}: it is valid, same, reflect, replicate or circular"))),
    };
    if stride == 0 {
        return Err(Failure::Usage("--stride is 0: a stride is at least 1".into()));
    }
    Ok(Conv2dDescriptor { stride: [stride; 2], padding, padding_mode, ..Default::default() })
}

/// The weights that `--kernel` names, as they are laid on the image (cross-correlation).
fn kernel(name: &str) -> Result<Array2<f32>, Failure> {
    let three = |w: [[f32; 3]; 3]| Ok(Array2::from_shape_fn((3, 3), |(r, s)| w[r][s]));
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
        return Ok(Array2::from_elem((size, size), 1.0 / (size * size) as f32));
    }
    if let Some(sigma) = name.strip_prefix("gaussian:") {
        let sigma: f64 = sigma.parse().ok().filter(|s| (0.1..=40.0).contains(s)).ok_or_else(|| bad("the sigma of a gaussian is 0.1 to 40".into()))?;
        let radius = (3.0 * sigma).ceil() as i32;
        let bell: Vec<f64> = (-radius..=radius).map(|i| (-0.5 * (f64::from(i) / sigma).powi(2)).exp()).collect();
        let total: f64 = bell.iter().sum();
        return Ok(Array2::from_shape_fn((bell.len(), bell.len()), |(r, s)| (bell[r] * bell[s] / (total * total)) as f32));
    }
    if name.to_lowercase().ends_with(".csv") {
        return read_csv(name);
    }
    Err(bad("it is sobel-x, sobel-y, prewitt-x, scharr-x, laplacian, sharpen, box:N, gaussian:SIGMA, emboss, or a .csv file".into()))
}

fn read_csv(path: &str) -> Result<Array2<f32>, Failure> {
    let fail = |why: String| Failure::Run(format!("{path}: {why}"));
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_path(path).map_err(|e| fail(e.to_string()))?;
    let (mut rows, mut values, mut columns) = (0, Vec::new(), 0);
    for record in reader.records() {
        let record = record.map_err(|e| fail(e.to_string()))?; // rows of different lengths end here, by line
        columns = record.len();
        rows += 1;
        for field in &record {
            let weight = field.parse::<f32>().ok().filter(|w| w.is_finite());
            values.push(weight.ok_or_else(|| fail(format!("row {rows} holds \"{field}\", which is no finite number")))?);
        }
    }
    if values.is_empty() {
        return Err(fail("no weights in it".into()));
    }
    Array2::from_shape_vec((rows, columns), values).map_err(|e| fail(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;
    use std::path::Path;
    use wgconv::Gpu;

    fn teaching_image(left: f32, right: f32) -> Array3<f32> {
        Array3::from_shape_fn((1, 6, 6), |(_, _, x)| if x < 3 { left } else { right })
    }

    /// The texts' filter looks for light on the left: sobel and prewitt here look for light on the right, hence the minus.
    fn vertical_edge() -> Array2<f32> {
        -kernel("prewitt-x").ok().unwrap()
    }

    fn both_engines(check: impl Fn(Option<&Gpu>)) {
        check(None);
        check(Some(&Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one")));
    }

    fn run_valid(gpu: Option<&Gpu>, planes: &Array3<f32>, weights: &Array2<f32>) -> Array3<f32> {
        convolve(gpu, &descriptor("valid", 1, weights).ok().unwrap(), planes, weights).ok().unwrap()
    }

    #[test]
    fn the_texts_own_example_and_its_flipped_signs() {
        let edge = vertical_edge();
        both_engines(|gpu| {
            for (left, right, sign) in [(10.0, 0.0, 1.0), (0.0, 10.0, -1.0)] {
                let y = run_valid(gpu, &teaching_image(left, right), &edge);
                assert_eq!(y.dim(), (1, 4, 4));
                for row in y.rows() {
                    assert_eq!(row.to_vec(), [0.0, sign * 30.0, sign * 30.0, 0.0]);
                }
            }
            let y = run_valid(gpu, &teaching_image(10.0, 0.0), &-edge.clone());
            assert_eq!(y[[0, 0, 1]], -30.0);
        });
    }

    #[test]
    fn a_shifted_photograph_gives_the_shifted_result() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/camera.png");
        let photograph = picture::read(&path).ok().unwrap();
        assert_eq!(photograph.dim(), (1, 512, 512));
        let weights = kernel("sobel-x").ok().unwrap();
        let (down, right) = (5, 9);
        let shifted = photograph.slice(s![.., down.., right..]).to_owned();
        both_engines(|gpu| {
            let whole = run_valid(gpu, &photograph, &weights);
            let part = run_valid(gpu, &shifted, &weights);
            assert_eq!(part, whole.slice(s![.., down.., right..]), "bytes and small integers: exactly equal");
            assert!(part.iter().any(|v| v.abs() > 100.0), "a photograph has edges");
        });
    }

    #[test]
    fn smoothing_kernels_keep_the_mean_and_differences_vanish_on_flat_ground() {
        for name in ["box:4", "gaussian:1.5", "sharpen", "emboss"] {
            let total: f32 = kernel(name).ok().unwrap().sum();
            assert!((total - 1.0).abs() < 1e-5, "{name} sums to {total}");
        }
        for name in ["sobel-x", "sobel-y", "prewitt-x", "scharr-x", "laplacian"] {
            assert_eq!(kernel(name).ok().unwrap().sum(), 0.0, "{name}");
        }
        let flat = Array3::from_elem((3, 8, 9), 77.0);
        for padding in ["reflect", "replicate", "circular"] {
            let weights = kernel("gaussian:1").ok().unwrap();
            let y = convolve(None, &descriptor(padding, 1, &weights).ok().unwrap(), &flat, &weights).ok().unwrap();
            assert_eq!(y.dim(), (3, 8, 9));
            assert!(y.iter().all(|v| (v - 77.0).abs() < 1e-3), "{padding} must not darken the border");
        }
    }
}
