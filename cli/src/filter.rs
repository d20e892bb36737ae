//! `wgconv filter`: a photograph through a convolution and what `--then` adds, by the same public API that an embedder uses.
//!
//! Every channel goes through the same filter: a depthwise convolution with one group a channel.

use crate::bands::{Engine, Planes};
use crate::chain::{self, Border, Link};
use crate::kernels::passes;
use crate::picture::{self, Format, Picture};
use crate::{Failure, Outcome, adapter_named, complain, keep_pipelines, open_gpu, output};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, ArrayView2};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use wgconv::{Activation, Error};

#[derive(clap::Args)]
#[command(
    after_help = "How values become pixels: the darkest pixel is 0 and the brightest 255, at any depth. A kernel whose weights sum to 0 finds differences, and they are shown about mid-grey (128 + v / 2); with --magnitude as |v|. Any other kernel's values are shown as they are. After --then relu and other activations values are shown as they are, those of sigmoid times 255, those of tanh as 128 + 127 v. --scale, --bias and --normalize take the place of all that. What is below 0 or above 255 is clipped.\n\nWhat is kept: grey images stay grey; of colour images each channel is filtered by itself. An alpha channel goes through unchanged where the result is as large as the image and its format has one. 16 bits a sample stay 16 in PNG and TIFF. An ICC profile goes along, and EXIF data but for TIFF; a photograph that EXIF says is turned is turned upright. Whatever is not kept is said on standard error. Of a file that holds several pictures the first is read."
)]
pub struct Args {
    /// A PNG, JPEG, WebP or TIFF file; - reads standard input
    image: PathBuf,
    /// Where the result goes; PNG, JPEG, WebP (without loss) or TIFF by its ending; - writes to standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// sobel-x, sobel-y, prewitt-x, scharr-x, laplacian, sharpen, box:N, gaussian:SIGMA, emboss, or a CSV file of weights
    #[arg(long, value_name = "KERNEL")]
    kernel: String,
    /// Step between windows
    #[arg(long, default_value_t = 1)]
    stride: usize,
    /// What happens to the result, in order: an activation such as relu or sigmoid, abs, maxpool:N, avgpool:N, or another kernel by its name
    #[arg(long, value_name = "STEP")]
    then: Vec<String>,
    /// What stands beyond the edge: replicate (the edge itself), reflect, circular or same (zeros) keep the extent; valid has nothing there and
    /// makes the image smaller
    #[arg(long, default_value = "replicate")]
    padding: String,
    /// Computes on the CPU engine
    #[arg(long)]
    cpu: bool,
    /// Says on standard error how each kernel is computed: in one pass, or as a column and a row where its weights are their product exactly and that is
    /// less work
    #[arg(long)]
    explain: bool,
    /// Shows the absolute value
    #[arg(long)]
    magnitude: bool,
    /// Shows the smallest value as black and the largest as white
    #[arg(long, conflicts_with_all = ["scale", "bias"])]
    normalize: bool,
    /// Shows SCALE v + BIAS [default: 1 where --bias is given]
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true, value_parser = finite)]
    scale: Option<f32>,
    /// Shows SCALE v + BIAS [default: 0 where --scale is given]
    #[arg(long, value_name = "BIAS", allow_negative_numbers = true, value_parser = finite)]
    bias: Option<f32>,
    /// Format of the result, whatever its ending says; for standard output PNG unless given
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Quality of a JPEG, 1 to 100
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
    /// The largest image that is read, in millions of pixels; each takes up to 8 bytes, and 8 more of the channel that is computed
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=4000))]
    max_megapixels: u32,
    /// Adapter by number or part of its name
    #[arg(long, conflicts_with = "cpu")]
    adapter: Option<String>,
}

/// The value of `--scale` and `--bias`.
fn finite(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| "it is a finite number".into())
}

pub fn run(args: &Args) -> Outcome {
    if args.stride == 0 {
        return Err(Failure::Usage("--stride is 0: a stride is at least 1".into()));
    }
    let border = Border::parse(&args.padding)?;
    let mut steps = vec![(&args.kernel, chain::filters(passes(&args.kernel)?, args.stride, border))];
    for name in &args.then {
        steps.push((name, chain::then(name, border, passes)?));
    }
    let format = check_output(args)?;
    let picture = picture::read(&args.image, u64::from(args.max_megapixels) * 1_000_000)?;
    let about_image = |why: String| Failure::Run(format!("{}: {why}", picture::name(&args.image)));
    // Windows that do not fit and results that the format cannot hold are refused before anything is computed.
    let mut links: Vec<Link> = Vec::new();
    let mut plane = [picture.height, picture.width];
    for (name, step) in steps {
        let step = chain::separated(plane, step).map_err(|e| about_image(e.to_string()))?;
        let after = chain::extents(plane, &step).map_err(|e| about_image(e.to_string()))?;
        plane = after[after.len() - 1];
        if args.explain {
            chain::explained(name, &step).iter().for_each(|how| complain(how));
        }
        links.extend(step);
    }
    let extents = chain::extents([picture.height, picture.width], &links).map_err(|e| about_image(e.to_string()))?;
    format.check(extents[extents.len() - 1]).map_err(about_image)?;
    let gpu = if args.cpu { None } else { device(args)? };
    let mut engine = Engine { gpu };
    let bar = bar(&links, &extents, picture.channels);
    let mut planes = Shown::new(picture, extents[extents.len() - 1], (!args.normalize).then(|| Shade::of(args, &links)), args.magnitude);
    engine.run(&mut planes, &links, &|rows| bar.inc(rows as u64)).map_err(|failure| match failure {
        Failure::Run(why) => about_image(why),
        other => other,
    })?;
    bar.finish_and_clear();
    engine.gpu.iter().for_each(keep_pipelines);
    let output = picture::name(&args.output);
    let (picture, clipped) = planes.finish();
    if clipped > 0.5 {
        let share = (clipped * 100.0).round();
        complain(&format!("{output}: {share} % of the values are below 0 or above 255 and clipped; --normalize, --scale and --bias show them"));
    }
    let (bytes, lost) = picture.encode(format, args.quality).map_err(|why| Failure::Run(format!("{output}: {why}")))?;
    write(&args.output, &bytes)?;
    if !lost.is_empty() {
        complain(&format!("{output}: not kept: {}", lost.join("; ")));
    }
    Ok(())
}

fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// The format of the result. Refuses an output that could not be written, before any work is done for it.
fn check_output(args: &Args) -> Result<Format, Failure> {
    if is_stream(&args.output) {
        if std::io::stdout().is_terminal() {
            return Err(Failure::Usage("--output is -: a terminal shows no picture; it must go to a file or to a pipe".into()));
        }
        return Ok(args.format.unwrap_or(Format::Png));
    }
    let format = args.format.or_else(|| Format::by_ending(&args.output)).ok_or_else(|| {
        let name = picture::name(&args.output);
        Failure::Usage(format!("--output is {name}: its name must end in .png, .jpg, .jpeg, .webp, .tif or .tiff, or --format names the format"))
    })?;
    output::check(&args.output)?;
    Ok(format)
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    if is_stream(path) { output::write_stdout(bytes) } else { output::write(path, bytes) }
}

/// The adapter; none, with a word on it, where the machine has none and none was asked for.
fn device(args: &Args) -> Result<Option<wgconv::Gpu>, Failure> {
    match open_gpu(args.adapter.as_deref()) {
        Ok(gpu) => {
            gpu.set_pipeline_cache(None);
            Ok(Some(gpu))
        }
        Err(error @ Error::NoAdapter { .. }) if !adapter_named(args.adapter.as_deref()) => {
            complain(&format!("{error}. Computing on the CPU engine"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Counts rows of results, of every link and channel. Only where that takes a while, and standard error is a terminal.
fn bar(links: &[Link], extents: &[[usize; 2]], channels: usize) -> ProgressBar {
    let taps = |link: &Link| match link {
        Link::Filter(_, weights) => weights.len(),
        Link::Pool(_, size) => size * size,
        Link::Activation(_) => 1,
    };
    let work: usize = links.iter().zip(&extents[1..]).map(|(link, [rows, columns])| (10 + taps(link)) * rows * columns * channels).sum();
    if work < 100_000_000 {
        return ProgressBar::hidden();
    }
    let rows: usize = extents[1..].iter().map(|[rows, _]| rows * channels).sum();
    let bar = ProgressBar::new(rows as u64); // hidden by itself where standard error is no terminal
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {percent}% {elapsed}") {
        bar.set_style(style);
    }
    bar.tick();
    bar
}

/// What of a value is shown: scale v + bias.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Shade {
    scale: f32,
    bias: f32,
}

impl Shade {
    const PLAIN: Shade = Shade { scale: 1.0, bias: 0.0 };

    /// As the command's help says.
    fn of(args: &Args, links: &[Link]) -> Self {
        match (args.scale, args.bias) {
            (None, None) => Shade::automatic(links, args.magnitude),
            (scale, bias) => Shade { scale: scale.unwrap_or(1.0), bias: bias.unwrap_or(0.0) },
        }
    }

    /// By what the values are after the last link: a kernel whose weights sum to 0 makes differences, one that smooths leaves them so.
    fn automatic(links: &[Link], magnitude: bool) -> Self {
        let differences = |weights: &Array2<f32>| weights.sum().abs() <= 1e-4 * weights.iter().map(|w| w.abs()).sum::<f32>();
        let after = |shade: Shade, link: &Link| match link {
            Link::Filter(_, weights) if differences(weights) => Shade { scale: 0.5, bias: 128.0 },
            Link::Filter(..) | Link::Pool(..) => shade,
            Link::Activation(Activation::Sigmoid | Activation::HardSigmoid { .. }) => Shade { scale: 255.0, bias: 0.0 },
            Link::Activation(Activation::Tanh | Activation::Softsign) => Shade { scale: 127.0, bias: 128.0 },
            Link::Activation(_) => Shade::PLAIN,
        };
        match links.iter().fold(Shade::PLAIN, after) {
            Shade { bias: 0.0, scale } => Shade { bias: 0.0, scale },
            Shade { scale: 0.5, .. } if magnitude => Shade::PLAIN,
            Shade { .. } if magnitude => Shade { scale: 255.0, bias: 0.0 },
            shade => shade,
        }
    }

    /// The smallest finite value as 0, the largest as 255; values that are all the same as they are.
    fn full_range(planes: &[Array2<f32>]) -> Self {
        match picture::range(planes.iter().map(|plane| plane.view())) {
            Some([low, high]) if high > low => {
                let scale = 255.0 / (high - low);
                Shade { scale, bias: -low * scale }
            }
            _ => Shade::PLAIN,
        }
    }
}

/// A picture whose planes become those of its result: in place where that is as large.
struct Shown {
    picture: Picture,
    result: Option<Picture>,
    /// None: the values are kept until all are known.
    shade: Option<Shade>,
    magnitude: bool,
    kept: Vec<Array2<f32>>,
    clipped: usize,
}

impl Shown {
    fn new(mut picture: Picture, extents: [usize; 2], shade: Option<Shade>, magnitude: bool) -> Self {
        let result = (extents != [picture.height, picture.width]).then(|| picture.blank(extents));
        Self { picture, result, shade, magnitude, kept: Vec::new(), clipped: 0 }
    }

    fn show(&mut self, channel: usize, values: ArrayView2<'_, f32>, Shade { scale, bias }: Shade) {
        let magnitude = self.magnitude;
        let value = |v: &f32| scale * if magnitude { v.abs() } else { *v } + bias;
        self.clipped += self.result.as_mut().unwrap_or(&mut self.picture).set_plane(channel, values.iter().map(value));
    }

    /// The result, and the share of values that were clipped.
    fn finish(mut self) -> (Picture, f64) {
        if self.shade.is_none() {
            let mut kept = std::mem::take(&mut self.kept);
            if self.magnitude {
                kept.iter_mut().for_each(|plane| plane.mapv_inplace(f32::abs));
            }
            let shade = Shade::full_range(&kept);
            kept.iter().enumerate().for_each(|(channel, plane)| self.show(channel, plane.view(), shade));
        }
        let result = self.result.unwrap_or(self.picture);
        let values = (result.width * result.height * result.channels) as f64;
        (result, self.clipped as f64 / values)
    }
}

impl Planes for Shown {
    fn count(&self) -> usize {
        self.picture.channels
    }

    fn extents(&self) -> [usize; 2] {
        [self.picture.height, self.picture.width]
    }

    fn get(&self, channel: usize) -> Array2<f32> {
        self.picture.plane(channel)
    }

    fn put(&mut self, channel: usize, values: ArrayView2<'_, f32>) {
        match self.shade {
            Some(shade) => self.show(channel, values, shade),
            None => self.kept.push(values.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Axis, s};
    use wgconv::Gpu;

    /// Planes in memory.
    struct Held(Array3<f32>, Vec<Array2<f32>>);

    impl Planes for Held {
        fn count(&self) -> usize {
            self.0.len_of(Axis(0))
        }

        fn extents(&self) -> [usize; 2] {
            [self.0.len_of(Axis(1)), self.0.len_of(Axis(2))]
        }

        fn get(&self, channel: usize) -> Array2<f32> {
            self.0.index_axis(Axis(0), channel).to_owned()
        }

        fn put(&mut self, _: usize, values: ArrayView2<'_, f32>) {
            self.1.push(values.to_owned());
        }
    }

    fn through(engine: &mut Engine, planes: &Array3<f32>, links: &[Link]) -> Array3<f32> {
        let mut held = Held(planes.clone(), Vec::new());
        assert!(engine.run(&mut held, links, &|_| ()).is_ok());
        let views: Vec<_> = held.1.iter().map(|plane| plane.view()).collect();
        ndarray::stack(Axis(0), &views).unwrap()
    }

    fn links(kernel: Vec<Array2<f32>>, padding: &str) -> Vec<Link> {
        chain::filters(kernel, 1, Border::parse(padding).ok().unwrap())
    }

    fn named(name: &str) -> Vec<Array2<f32>> {
        passes(name).ok().unwrap()
    }

    fn teaching_image(left: f32, right: f32) -> Array3<f32> {
        Array3::from_shape_fn((1, 6, 6), |(_, _, x)| if x < 3 { left } else { right })
    }

    fn both_engines(check: impl Fn(&mut Engine)) {
        check(&mut Engine { gpu: None });
        check(&mut Engine { gpu: Some(Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one")) });
    }

    #[test]
    fn the_texts_own_example_and_its_flipped_signs() {
        // The texts' filter looks for light on the left: sobel and prewitt here look for light on the right, hence the minus.
        let edge = -named("prewitt-x").remove(0);
        both_engines(|engine| {
            for (left, right, sign) in [(10.0, 0.0, 1.0), (0.0, 10.0, -1.0)] {
                let y = through(engine, &teaching_image(left, right), &links(vec![edge.clone()], "valid"));
                assert_eq!(y.dim(), (1, 4, 4));
                for row in y.rows() {
                    assert_eq!(row.to_vec(), [0.0, sign * 30.0, sign * 30.0, 0.0]);
                }
            }
            let y = through(engine, &teaching_image(10.0, 0.0), &links(vec![-edge.clone()], "valid"));
            assert_eq!(y[[0, 0, 1]], -30.0);
        });
    }

    #[test]
    fn a_shifted_photograph_gives_the_shifted_result() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/camera.png");
        let photograph = picture::read(&path, 1_000_000).ok().unwrap().plane(0).insert_axis(Axis(0));
        assert_eq!(photograph.dim(), (1, 512, 512));
        let (down, right) = (5, 9);
        let shifted = photograph.slice(s![.., down.., right..]).to_owned();
        both_engines(|engine| {
            let whole = through(engine, &photograph, &links(named("sobel-x"), "valid"));
            let part = through(engine, &shifted, &links(named("sobel-x"), "valid"));
            assert_eq!(part, whole.slice(s![.., down.., right..]), "bytes and small integers: exactly equal");
            assert!(part.iter().any(|v| v.abs() > 100.0), "a photograph has edges");
        });
    }

    #[test]
    fn flat_ground_stays_flat_where_the_border_is_extended() {
        let flat = Array3::from_elem((3, 8, 9), 77.0);
        for padding in ["reflect", "replicate", "circular"] {
            let y = through(&mut Engine { gpu: None }, &flat, &links(named("gaussian:1"), padding));
            assert_eq!(y.dim(), (3, 8, 9));
            assert!(y.iter().all(|v| (v - 77.0).abs() < 1e-3), "{padding} must not darken the border");
        }
    }

    /// Two passes against the product of their weights in one. Each pass errs by n + 2 roundings of its sum of magnitudes at most, which is
    /// 255; the product's weights by three more.
    #[test]
    fn two_passes_give_what_the_kernel_of_two_dimensions_gives() {
        let noise = Array3::from_shape_fn((1, 37, 29), |(_, y, x)| ((y * 7919 + x * 104_729) % 256) as f32);
        let cpu = Engine { gpu: None };
        let mut engines = [cpu, Engine { gpu: Some(Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one")) }];
        for name in ["gaussian:0.7", "gaussian:2", "box:5", "box:6"] {
            let [row, column] = named(name).try_into().unwrap();
            let product = column.dot(&row);
            let bound = 255.0 * f32::EPSILON / 2.0 * (2 * row.len() + product.len() + 9) as f32;
            for padding in ["valid", "same", "reflect", "replicate", "circular"] {
                for stride in [1, 2] {
                    for engine in &mut engines {
                        let border = Border::parse(padding).ok().unwrap();
                        let two = through(engine, &noise, &chain::filters(vec![row.clone(), column.clone()], stride, border));
                        let one = through(engine, &noise, &chain::filters(vec![product.clone()], stride, border));
                        assert_eq!(two.dim(), one.dim(), "{name}, {padding}, stride {stride}");
                        let most = two.iter().zip(&one).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                        assert!(most <= bound, "{name}, {padding}, stride {stride}: {most} apart, {bound} allowed");
                    }
                }
            }
        }
    }

    /// A kernel of a file whose weights are a column times a row, in the passes that are found and as it is.
    #[test]
    fn passes_that_are_found_give_what_the_kernel_gives() {
        let bell = [1.0f32, 8.0, 28.0, 56.0, 70.0, 56.0, 28.0, 8.0, 1.0];
        let binomial = Array2::from_shape_fn((9, 9), |(r, s)| bell[r] * bell[s] / 65_536.0);
        let plane = Array3::from_shape_fn((1, 400, 410), |(_, y, x)| ((y * 7919 + x * 104_729) % 256) as f32);
        both_engines(|engine| {
            for padding in ["valid", "same", "reflect", "replicate", "circular"] {
                let one = links(vec![binomial.clone()], padding);
                let two = chain::separated([400, 410], links(vec![binomial.clone()], padding)).unwrap();
                let said = chain::explained("binomial.csv", &two).unwrap();
                assert!(said.starts_with("binomial.csv: two passes, of ") && said.ends_with("18 multiply-adds for 81"), "{said}");
                assert_eq!(chain::explained("binomial.csv", &one).unwrap(), "binomial.csv: one pass of 9 x 9 taps");
                // Bytes times weights of 2^-16 are exact in any order.
                assert_eq!(through(engine, &plane, &two), through(engine, &plane, &one), "{padding}");
            }
        });
        let mut other = binomial.clone();
        other[[4, 4]] += 2f32.powi(-16);
        assert_eq!(chain::separated([400, 410], links(vec![other], "same")).unwrap().len(), 1, "no product");
        assert_eq!(chain::separated([40, 41], links(vec![binomial], "same")).unwrap().len(), 1, "too small a picture");
    }

    #[test]
    fn values_are_shown_as_what_they_are() {
        let shade = |names: &[&str], magnitude: bool| {
            let border = Border::parse("replicate").ok().unwrap();
            let links: Vec<Link> = names.iter().flat_map(|name| chain::then(name, border, passes).ok().unwrap()).collect();
            let Shade { scale, bias } = Shade::automatic(&links, magnitude);
            (scale, bias)
        };
        assert_eq!(shade(&["gaussian:1"], false), (1.0, 0.0));
        assert_eq!(shade(&["sobel-x"], false), (0.5, 128.0));
        assert_eq!(shade(&["sobel-x"], true), (1.0, 0.0));
        assert_eq!(shade(&["sobel-x", "gaussian:1"], false), (0.5, 128.0), "smoothed differences are differences");
        assert_eq!(shade(&["sobel-x", "abs", "gaussian:1"], false), (1.0, 0.0));
        assert_eq!(shade(&["sobel-x", "maxpool:2"], false), (0.5, 128.0));
        assert_eq!(shade(&["sobel-x", "sigmoid"], false), (255.0, 0.0));
        assert_eq!(shade(&["sobel-x", "tanh"], false), (127.0, 128.0));
        assert_eq!(shade(&["sobel-x", "tanh"], true), (255.0, 0.0));
        assert_eq!(shade(&["sobel-x", "relu"], false), (1.0, 0.0));
    }

    #[test]
    fn the_full_range_is_black_to_white() {
        let planes = [Array2::from_elem((1, 1), -10.0), Array2::from_elem((1, 1), 90.0)];
        let Shade { scale, bias } = Shade::full_range(&planes);
        assert!((scale * -10.0 + bias).abs() < 1e-4 && (scale * 90.0 + bias - 255.0).abs() < 1e-4);
        assert_eq!(Shade::full_range(&planes[..1]), Shade::PLAIN);
    }
}
