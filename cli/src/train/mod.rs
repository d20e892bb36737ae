//! `wgconv train`: a small network on digits or on pictures by folder, on a GPU or on the CPU engine, with its curve, its confusion matrix and pictures of
//! what it learned.

pub mod classify;
mod data;
mod images;
mod models;
mod pictures;

use crate::arguments::try_outputs;
use crate::text::printable;
use crate::{Failure, Outcome, open_gpu_or, output, say};
use clap::{Subcommand, ValueEnum};
use data::Split;
use models::{Described, Network, SIDES, lenet5, small};
use std::path::{Path, PathBuf};
use wgconv::Graph;
use wgconv::train::{
    Adam, Augmentation, Dataset, Engine, Evaluation, Loss, Optimizer, RmsProp, Schedule, Sequential, Sgd, Trainer, TrainerDescriptor,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The 1,797 digits of 8 x 8 pixels that the program carries: every fifth is kept to test with
    Digits {
        #[command(flatten)]
        how: How,
    },
    /// LeNet-5 on MNIST
    Mnist {
        /// The folder of train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each with or without .gz
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Pictures of any size, by folder: every fifth of a class is kept to test with
    Images {
        /// The folder; in it one folder a class, with PNG, JPEG, WebP or TIFF files
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[arg(long, value_enum, default_value = "convolutional")]
        model: Network,
        /// Pixels of a side: the square about the centre of a picture is resized to it
        #[arg(long, value_name = "PIXELS", default_value_t = 64, value_parser = clap::value_parser!(u64).range(SIDES))]
        size: u64,
        /// Takes pictures as they are; by default every other one is mirrored, at random
        #[arg(long)]
        no_flip: bool,
        /// The largest image that is read, in millions of pixels
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4000))]
        max_megapixels: u32,
        #[command(flatten)]
        how: How,
    },
}

/// How parameters follow their gradients.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rule {
    Sgd,
    Momentum,
    Rmsprop,
    Adam,
}

#[derive(clap::Args)]
struct How {
    /// Passes over the data; by default 15, for images 30
    #[arg(long)]
    epochs: Option<u64>,
    /// Samples of a step; by default 64, for images 16, or all where there are fewer
    #[arg(long)]
    batch: Option<usize>,
    /// Step size; by default 0.003 for adam and rmsprop, 0.05 for the others, a tenth of it for logistic regression
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, value_enum, default_value = "adam")]
    optimizer: Rule,
    /// Most pixels that a picture is moved by at random; by default 2 for mnist, 0 for digits, a sixteenth of a side for images; the other
    /// default changes stay
    #[arg(long, conflicts_with = "augment")]
    shift: Option<usize>,
    /// What is changed at random in pictures while they train, instead of the default (mnist: shift:2,rotate:10,scale:0.1; digits: none; images:
    /// a shift and flip): shift:PIXELS, flip, rotate:DEGREES, scale:PART (0.1 for factors from 0.9 to 1.1), with commas between them; or none
    #[arg(long, value_name = "LIST", value_parser = augmentation)]
    augment: Option<Augmentation>,
    /// Writes a picture of ten samples as they are, and below them as five steps change them
    #[arg(long, value_name = "FILE.png")]
    save_augmented: Option<PathBuf>,
    /// Computes products in f16, of parameters that stay f32; gradients are f32
    #[arg(long)]
    mixed: bool,
    /// The most bytes between the ops of a step; where it takes more, cheap values are computed again instead of being kept
    #[arg(long, value_name = "BYTES")]
    memory_limit: Option<u64>,
    /// What the first numbers, the order of the samples and their changes follow from, and which pictures are kept to test with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Trains on the CPU engine
    #[arg(long, conflicts_with = "adapter")]
    cpu: bool,
    /// Trains on this adapter, by a part of its name
    #[arg(long)]
    adapter: Option<String>,
    /// Writes the parameters as safetensors
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Writes the curve (CSV and SVG), pictures of the first filters before and after, and what was misread (PNG, and CSV with labels)
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
}

/// How pictures of handwriting are changed while they train: where a digit lies, how it leans and how large it is do not change what it says.
const HANDWRITING: Augmentation = Augmentation { shift: 2, flip: false, rotate: 10.0, scale: 0.1 };

/// What is learned from what, with what holds where the command line says nothing.
struct Task {
    split: Split,
    model: Sequential,
    loss: Loss,
    augmentation: Augmentation,
    epochs: u64,
    batch: usize,
    rate: f64,
    /// Of pictures by folder.
    described: Option<Described>,
}

impl Task {
    fn digits(split: Split, model: Sequential, augmentation: Augmentation) -> Self {
        Self { split, model, loss: Loss::cross_entropy(), augmentation, epochs: 15, batch: 64, rate: 1.0, described: None }
    }

    fn images((split, described): (Split, Described), flip: bool) -> Self {
        // A logit adds up a product for each pixel, so that it moves further at a step.
        let (loss, rate) = match described.network {
            Network::Convolutional => (Loss::cross_entropy(), 1.0),
            Network::Logistic => (Loss::BinaryCrossEntropy, 0.1),
        };
        let augmentation = Augmentation { shift: described.size / 16, flip, ..Default::default() };
        let batch = split.train.len().min(16);
        Self { split, model: described.model(), loss, augmentation, epochs: 30, batch, rate, described: Some(described) }
    }
}

/// What `--augment` says: `shift:2,flip,rotate:10,scale:0.1`, or `none`.
fn augmentation(text: &str) -> Result<Augmentation, String> {
    let mut all = Augmentation::default();
    let mut seen: Vec<&str> = vec![];
    for part in text.split(',').filter(|_| text != "none") {
        let (name, number) = part.split_once(':').map_or((part, None), |(name, number)| (name, Some(number)));
        if seen.contains(&name) {
            return Err(format!("{name} is there twice"));
        }
        seen.push(name);
        let number = |what: &str| number.ok_or_else(|| format!("{name} has a number behind it: {name}:{what}"));
        let real = |what: &str| number(what).and_then(|text| text.parse::<f32>().map_err(|_| format!("{name}:{text}: it is a number")));
        match name {
            "shift" => all.shift = number("2").and_then(|text| text.parse().map_err(|_| format!("shift:{text}: it is a whole number of pixels")))?,
            "flip" if part == "flip" => all.flip = true,
            "rotate" => all.rotate = real("10")?,
            "scale" => all.scale = real("0.1")?,
            _ => return Err(format!("{part} is none of shift:PIXELS, flip, rotate:DEGREES, scale:PART")),
        }
    }
    all.check().map_err(|e| e.to_string())?;
    Ok(all)
}

pub fn run(args: &Args) -> Outcome {
    let how = match &args.what {
        What::Digits { how } | What::Mnist { how, .. } | What::Images { how, .. } => how,
    };
    // What could not be written is found before the minutes of training.
    try_outputs([("--save", how.save.as_deref()), ("--save-augmented", how.save_augmented.as_deref())])?;
    if let Some(folder) = &how.pictures {
        std::fs::create_dir_all(folder).map_err(|e| Failure::Run(format!("--pictures is {}: {e}", folder.display())))?;
    }
    let task = match &args.what {
        What::Digits { .. } => Task::digits(data::digits().map_err(Failure::Run)?, small(), Augmentation::default()),
        What::Mnist { data, .. } => Task::digits(data::mnist(data).map_err(Failure::Run)?, lenet5(), HANDWRITING),
        What::Images { data, model, size, no_flip, max_megapixels, .. } => {
            let most_pixels = u64::from(*max_megapixels) * 1_000_000;
            let folder = images::Folder { path: data, network: *model, size: *size as usize, most_pixels, seed: how.seed };
            let bar = indicatif::ProgressBar::new(0);
            let read = folder.read(|done, all| {
                bar.set_length(all);
                bar.set_position(done);
            });
            bar.finish_and_clear();
            Task::images(read?, !no_flip)
        }
    };
    train(&task, how)
}

fn optimizer(how: &How, factor: f64) -> Optimizer {
    let usual = if matches!(how.optimizer, Rule::Adam | Rule::Rmsprop) { 0.003 } else { 0.05 };
    let rate = how.rate.unwrap_or(usual * factor);
    match how.optimizer {
        Rule::Sgd => Sgd { rate, ..Default::default() }.into(),
        Rule::Momentum => Sgd { rate, momentum: 0.9, ..Default::default() }.into(),
        Rule::Rmsprop => RmsProp { rate, ..Default::default() }.into(),
        Rule::Adam => Adam { rate, ..Default::default() }.into(),
    }
}

fn train(task: &Task, how: &How) -> Outcome {
    let split = &task.split;
    let engine = match how.cpu {
        true => Engine::Cpu,
        false => Engine::Gpu(open_gpu_or(how.adapter.as_deref(), "--cpu trains on the CPU engine.")?),
    };
    let name = match &engine {
        Engine::Gpu(gpu) => gpu.report().to_string(),
        Engine::Cpu => "the CPU engine".to_string(),
    };
    say!("{} samples to train with, {} to test with, on {name}", split.train.len(), split.test.len());
    let (epochs, batch) = (how.epochs.unwrap_or(task.epochs), how.batch.unwrap_or(task.batch));
    let steps = epochs.saturating_mul((split.train.len() / batch.max(1)) as u64);
    let descriptor = TrainerDescriptor {
        batch,
        seed: how.seed,
        schedule: Schedule::Cosine { period: steps, least: 0.01 },
        augmentation: how.augment.unwrap_or(Augmentation { shift: how.shift.unwrap_or(task.augmentation.shift), ..task.augmentation }),
        memory_limit: how.memory_limit,
        mixed_precision: how.mixed,
        ..Default::default()
    };
    let mut trainer = Trainer::new(engine, &task.model, task.loss, optimizer(how, task.rate), &descriptor)?;
    if how.memory_limit.is_some() {
        say!("{}", trainer.memory(&split.train)?);
    }
    if let Some(file) = &how.save_augmented {
        output::write(file, &pictures::augmented(&trainer, &split.train)?)?;
        say!("wrote {}", file.display());
    }
    // The state before a step whose loss is not finite lies beside the model.
    if let Some(file) = &how.save {
        trainer.rescue_to(file.with_extension("before.safetensors"));
    }
    let before = trainer.model()?;
    let mut curve = vec![];
    for _ in 0..epochs {
        let epoch = epoch(&mut trainer, &split.train)?;
        let test = trainer.evaluate(&split.test)?;
        let accuracy = test.accuracy.unwrap_or(0.0);
        say!("{epoch}, test loss {:.4}, accuracy {:.2} %", test.loss, 100.0 * accuracy);
        curve.push(pictures::Point { epoch: epoch.number, loss: epoch.loss, test_loss: test.loss, accuracy });
    }
    let test = trainer.evaluate(&split.test)?;
    let names = task.described.as_ref().map_or(&[][..], |described| &described.classes);
    say!("{}", with_names(&test, names));
    let after = trainer.model()?;
    if let Some(file) = &how.save {
        let parameters = after.to_safetensors()?;
        let bytes = match &task.described {
            Some(described) => described.described_file(&parameters).map_err(Failure::Run)?,
            None => parameters,
        };
        output::write(file, &bytes)?;
        say!("wrote {}", file.display());
    }
    if let Some(folder) = &how.pictures {
        keep(folder, &curve, [&before, &after], split, &test)?;
    }
    Ok(())
}

/// What an evaluation says, each row of the confusion matrix with the name of its class where they have names.
fn with_names(test: &Evaluation, names: &[String]) -> String {
    let text = test.to_string();
    let matrix = text.lines().count().saturating_sub(names.len());
    let line = |(i, line): (usize, &str)| match i.checked_sub(matrix).and_then(|class| names.get(class)) {
        Some(name) => format!("{line}  {}", printable(name)),
        None => line.to_string(),
    };
    text.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

fn epoch(trainer: &mut Trainer, data: &Dataset) -> Result<wgconv::train::Epoch, Failure> {
    let bar = indicatif::ProgressBar::new(0);
    let epoch = trainer.epoch_with(data, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    Ok(epoch?)
}

fn keep(folder: &Path, curve: &[pictures::Point], [before, after]: [&Graph; 2], split: &Split, test: &Evaluation) -> Outcome {
    let mut files = vec![("curve.csv", pictures::csv(curve).into_bytes()), ("curve.svg", pictures::svg(curve).into_bytes())];
    for (name, graph) in [("filters-before.png", before), ("filters-after.png", after)] {
        files.extend(pictures::filters(graph).map_err(Failure::Run)?.map(|png| (name, png)));
    }
    files.extend(pictures::misread(&split.test, test).map_err(Failure::Run)?.map(|png| ("misread.png", png)));
    files.push(("misread.csv", pictures::misread_csv(split, test).into_bytes()));
    for (name, bytes) in files {
        output::write(&folder.join(name), &bytes)?;
        say!("wrote {}", folder.join(name).display());
    }
    Ok(())
}
