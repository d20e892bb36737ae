//! `wgconv train`: a small network on digits, on a GPU or on the CPU engine, with its curve, its confusion matrix and pictures of what it learned.

pub mod classify;
mod data;
mod pictures;

use crate::{Failure, Outcome, open_gpu, say};
use clap::{Subcommand, ValueEnum};
use data::Split;
use std::path::{Path, PathBuf};
use wgconv::train::{
    Adam, Augmentation, Dataset, Engine, Evaluation, Loss, Optimizer, RmsProp, Schedule, Sequential, Sgd, Trainer, TrainerDescriptor,
};
use wgconv::{Activation, Graph};

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
    /// Passes over the data
    #[arg(long, default_value_t = 15)]
    epochs: u64,
    /// Samples of a step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Step size; by default 0.003 for adam and rmsprop, 0.05 for the others
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, value_enum, default_value = "adam")]
    optimizer: Rule,
    /// Most pixels that a picture is moved by at random; by default 2 for mnist, 0 for digits
    #[arg(long)]
    shift: Option<usize>,
    /// What the first numbers, the order of the samples and their changes follow from
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
    /// Writes the curve (CSV and SVG), and pictures of the first filters before and after and of what was misread
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let (split, model, how, shift) = match &args.what {
        What::Digits { how } => (data::digits().map_err(Failure::Run)?, small(), how, 0),
        What::Mnist { data, how } => (data::mnist(data).map_err(Failure::Run)?, lenet5(), how, 2),
    };
    train(&split, &model, how, how.shift.unwrap_or(shift))
}

/// Two convolutions and a dense layer, for pictures of 8 x 8.
fn small() -> Sequential {
    Sequential::new([1, 8, 8])
        .conv2d(16, 3, Activation::Relu)
        .conv2d(32, 3, Activation::Relu)
        .max_pool2d(2)
        .flatten()
        .dense(64, Activation::Relu)
        .dense(10, Activation::None)
}

/// LeNet-5 as it is taught today, with rectifiers and max pools (LeCun and others, Gradient-based learning applied to document recognition, 1998).
fn lenet5() -> Sequential {
    Sequential::new([1, 28, 28])
        .conv2d(6, 5, Activation::Relu)
        .max_pool2d(2)
        .conv2d(16, 5, Activation::Relu)
        .max_pool2d(2)
        .flatten()
        .dense(120, Activation::Relu)
        .dense(84, Activation::Relu)
        .dense(10, Activation::None)
}

fn optimizer(how: &How) -> Optimizer {
    let rate = how.rate.unwrap_or(if matches!(how.optimizer, Rule::Adam | Rule::Rmsprop) { 0.003 } else { 0.05 });
    match how.optimizer {
        Rule::Sgd => Sgd { rate, ..Default::default() }.into(),
        Rule::Momentum => Sgd { rate, momentum: 0.9, ..Default::default() }.into(),
        Rule::Rmsprop => RmsProp { rate, ..Default::default() }.into(),
        Rule::Adam => Adam { rate, ..Default::default() }.into(),
    }
}

fn train(split: &Split, model: &Sequential, how: &How, shift: usize) -> Outcome {
    let engine = match how.cpu {
        true => Engine::Cpu,
        false => Engine::Gpu(open_gpu(how.adapter.as_deref())?),
    };
    let name = match &engine {
        Engine::Gpu(gpu) => gpu.report().to_string(),
        Engine::Cpu => "the CPU engine".to_string(),
    };
    say!("{} samples to train with, {} to test with, on {name}", split.train.len(), split.test.len());
    let steps = how.epochs * (split.train.len() / how.batch.max(1)) as u64;
    let descriptor = TrainerDescriptor {
        batch: how.batch,
        seed: how.seed,
        schedule: Schedule::Cosine { period: steps, least: 0.01 },
        augmentation: Augmentation { shift, flip: false },
        ..Default::default()
    };
    let mut trainer = Trainer::new(engine, model, Loss::cross_entropy(), optimizer(how), &descriptor)?;
    let before = trainer.model()?;
    let mut curve = vec![];
    for _ in 0..how.epochs {
        let epoch = epoch(&mut trainer, &split.train)?;
        let test = trainer.evaluate(&split.test)?;
        let accuracy = test.accuracy.unwrap_or(0.0);
        say!("{epoch}, test loss {:.4}, accuracy {:.2} %", test.loss, 100.0 * accuracy);
        curve.push(pictures::Point { epoch: epoch.number, loss: epoch.loss, test_loss: test.loss, accuracy });
    }
    let test = trainer.evaluate(&split.test)?;
    say!("{test}");
    let after = trainer.model()?;
    if let Some(file) = &how.save {
        write(file, &after.to_safetensors()?)?;
        say!("wrote {}", file.display());
    }
    if let Some(folder) = &how.pictures {
        keep(folder, &curve, [&before, &after], &split.test, &test)?;
    }
    Ok(())
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

fn keep(folder: &Path, curve: &[pictures::Point], [before, after]: [&Graph; 2], data: &Dataset, test: &Evaluation) -> Outcome {
    std::fs::create_dir_all(folder).map_err(|e| Failure::Run(format!("{}: {e}", folder.display())))?;
    let mut files = vec![("curve.csv", pictures::csv(curve).into_bytes()), ("curve.svg", pictures::svg(curve).into_bytes())];
    for (name, graph) in [("filters-before.png", before), ("filters-after.png", after)] {
        files.extend(pictures::filters(graph).map_err(Failure::Run)?.map(|png| (name, png)));
    }
    files.extend(pictures::misread(data, test).map_err(Failure::Run)?.map(|png| ("misread.png", png)));
    for (name, bytes) in files {
        write(&folder.join(name), &bytes)?;
        say!("wrote {}", folder.join(name).display());
    }
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> Outcome {
    std::fs::write(file, bytes).map_err(|e| Failure::Run(format!("{}: {e}", file.display())))
}
