//! Whole networks: every op of one in one submit, its times, and how long it takes to its first output.
//!
//! Before its times count, a run is compared bit for bit with a run op by op, whose every op is held to the reference on what it read.

mod arena;
mod engines;

use super::document::{NetworkRecord, Samples, Start};
use super::layer::{Repeats, What};
use crate::suites::{self, Kind, Network, Suite};
use crate::{Failure, open_gpu};
use arena::Arena;
use engines::{OnCpu, OnGpu, Weights, plans};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wgconv::Gpu;
use wgconv::gpu::{Clock, Peak};

/// Most time that the repeats of a network take on one engine, unless that is fewer than the fewest. A network that takes longer for one
/// run is run once: its noise is small beside it, and someone is waiting.
const BUDGET: Duration = Duration::from_secs(5);
const FEWEST: usize = 3;
const MOST: usize = 30;
/// The batches that are timed where none is asked for; the later ones only if they are expected to take no longer than [`PATIENCE`].
pub const BATCHES: [usize; 2] = [1, 16];
const PATIENCE: f64 = 60.0;

fn usual(once: f64) -> usize {
    let budget = BUDGET.as_secs_f64();
    ((budget / once.max(1e-6)) as usize).clamp(if once > budget { 1 } else { FEWEST }, MOST)
}

/// What is timed, and on what.
pub struct Bench<'a> {
    pub suite: Suite,
    pub kind: Kind,
    pub gpu: Option<&'a Gpu>,
    pub peak: Option<&'a Peak>,
    pub cpu: bool,
    pub repeats: Repeats,
}

impl Bench<'_> {
    /// Times the network with batches of so many images. `clock` hears what GPU times were taken with.
    pub fn time(&self, batch: usize, clock: &mut Option<Clock>) -> Result<NetworkRecord, Failure> {
        let network = suites::network(self.suite, self.kind, batch)?;
        let arena = Arena::new(&network);
        check_memory(&network, &arena)?;
        let (weights, images) = (Weights::new(&network), Weights::images(&network));
        let mut output = None;
        let (mut gpu_samples, mut dispatches, mut checked) = (None, None, None);
        if let Some(gpu) = self.gpu {
            let on_gpu = OnGpu::new(gpu, &network, &arena, &weights, &images)?;
            // First op by op: a driver that compiles when a kernel first runs has done so before a run is timed.
            let (by_op, count) = on_gpu.by_op(gpu, &network, &weights)?;
            let start = Instant::now();
            let whole = on_gpu.run(gpu, &network)?;
            let once = start.elapsed().as_secs_f64();
            compare(&whole, &by_op)?;
            let runs = self.repeats.count(once, usual(once));
            let timing = self.repeats.time(gpu, runs, &mut |recorder| on_gpu.record(&network, recorder))?;
            *clock = Some(timing.clock);
            gpu_samples = Some(Samples { seconds: timing.seconds });
            (dispatches, checked, output) = (Some(on_gpu.dispatches()), Some(count), Some(whole));
        }
        let (mut cpu_samples, mut difference) = (None, None);
        if self.cpu {
            let mut on_cpu = OnCpu::new(&arena, &images);
            let start = Instant::now();
            if let Some(first) = on_cpu.run(&network, &arena, &weights)? {
                alive("the CPU engine", &first)?;
                difference = output.as_ref().map(|output| relative_difference(output, &first));
                let once = start.elapsed().as_secs_f64();
                let count = self.repeats.count(once, usual(once));
                cpu_samples = Some(self.repeats.time_cpu(count, || on_cpu.run(&network, &arena, &weights).map(|_| ()))?);
            }
        }
        let name = self.suite.name();
        let what = What { name: &name, op: "network", shape: format!("batch {batch}"), flops: network.flops(), bytes: network.bytes() };
        let best = gpu_samples.as_ref().or(cpu_samples.as_ref()).map(Samples::median);
        Ok(NetworkRecord {
            batch,
            images_per_s: best.map(|seconds| batch as f64 / seconds),
            ops: network.nodes.len(),
            dispatches,
            weight_bytes: network.weight_bytes(),
            activation_bytes: arena.bytes(),
            checked,
            difference,
            record: what.record(self.peak, None, gpu_samples, cpu_samples),
        })
    }

    /// Whether a batch that nobody asked for is worth its time, going by the time of a smaller one: a run of each engine to check it by, a
    /// warm-up, the repeats.
    pub fn is_quick(&self, batch: usize, known: &NetworkRecord) -> bool {
        let milliseconds = known.record.gpu_ms.unwrap_or(0.0) + known.record.cpu_ms.unwrap_or(0.0);
        let once = milliseconds * 1e-3 * batch as f64 / known.batch as f64;
        once * (FEWEST + 3) as f64 <= PATIENCE
    }

    /// Times the way to the first output: on `opened`, which has compiled nothing yet and took so many milliseconds to open; on a device
    /// that is opened anew, with the driver's pipelines from a file; prepared once more on that. The file lies in a folder of its own.
    pub fn starts(&self, batch: usize, adapter: Option<&str>, opened: (Gpu, f64)) -> Result<Vec<Start>, Failure> {
        let network = suites::network(self.suite, self.kind, batch)?;
        let arena = Arena::new(&network);
        check_memory(&network, &arena)?;
        let (weights, images) = (Weights::new(&network), Weights::images(&network));
        let folder = Folder::new()?;
        let name = self.suite.name();
        let one = |kind: &str, gpu: &Gpu, adapter_ms: Option<f64>| -> Result<Start, Failure> {
            let start = Instant::now();
            let mut last = 0.0;
            let mut lap = || {
                let now = start.elapsed().as_secs_f64() * 1e3;
                now - std::mem::replace(&mut last, now)
            };
            let before = gpu.compiled().pipelines;
            let plans = plans(gpu, &network)?;
            gpu.compile(&plans.iter().collect::<Vec<_>>())?;
            let compile_ms = lap();
            let on_gpu = OnGpu::new(gpu, &network, &arena, &weights, &images)?;
            let prepare_ms = lap();
            on_gpu.run(gpu, &network)?;
            let first_run_ms = lap();
            let total_ms = adapter_ms.unwrap_or(0.0) + compile_ms + prepare_ms + first_run_ms;
            let pipelines = gpu.compiled().pipelines - before;
            let (network, kind) = (name.clone(), kind.to_string());
            Ok(Start { network, batch, kind, adapter_ms, pipelines, compile_ms, prepare_ms, first_run_ms, total_ms })
        };
        let (gpu, adapter_ms) = opened;
        gpu.set_pipeline_cache(Some(&folder.0));
        let mut starts = vec![one("cold", &gpu, Some(adapter_ms))?];
        gpu.save_pipeline_cache()?;
        drop(gpu);
        let start = Instant::now();
        let gpu = open_gpu(adapter)?;
        let bytes = gpu.set_pipeline_cache(Some(&folder.0));
        let second = one("file", &gpu, Some(start.elapsed().as_secs_f64() * 1e3))?;
        starts.extend((bytes > 0).then_some(second)); // without a file it is no other than the first
        starts.push(one("warm", &gpu, None)?);
        Ok(starts)
    }
}

/// Both runs gave the same bits, and values that say something.
fn compare(whole: &[f32], by_op: &[f32]) -> Result<(), Failure> {
    if let Some(i) = (0..whole.len().max(by_op.len())).find(|i| whole.get(*i).map(|v| v.to_bits()) != by_op.get(*i).map(|v| v.to_bits())) {
        let (whole, by_op) = (whole.get(i), by_op.get(i));
        return Err(Failure::Run(format!("output {i} is {whole:?} in one submit and {by_op:?} op by op: both must have the same bits")));
    }
    alive("the GPU", whole)
}

/// A network whose values overflow or die computes nothing that could be wrong.
fn alive(who: &str, output: &[f32]) -> Result<(), Failure> {
    let wrong = |why: &str| Failure::Run(format!("{who}'s output is {why}: it must be finite and differ from element to element"));
    if let Some(value) = output.iter().find(|value| !value.is_finite()) {
        return Err(wrong(&format!("{value} somewhere")));
    }
    match output.first() {
        Some(first) if output.len() > 1 && output.iter().all(|value| value == first) => Err(wrong(&format!("{first} throughout"))),
        _ => Ok(()),
    }
}

/// The largest difference over the largest value.
fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0f64, f64::max);
    let difference = largest(&mut a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()));
    difference / largest(&mut b.iter().map(|b| f64::from(b.abs()))).max(f64::MIN_POSITIVE)
}

/// Refuses a network whose weights and activations the host cannot hold: twice the weights for their upload, and what both engines
/// have between ops.
fn check_memory(network: &Network, arena: &Arena) -> Result<(), Failure> {
    let bytes = 2 * network.weight_bytes() + 2 * arena.bytes();
    let mut trial: Vec<u8> = Vec::new();
    let fits = usize::try_from(bytes).is_ok_and(|n| trial.try_reserve_exact(n).is_ok());
    std::hint::black_box(&trial); // else the optimiser may leave the trial out and call it a success
    if fits { Ok(()) } else { Err(Failure::Run(format!("this machine has no {} MiB of memory for it", bytes >> 20))) }
}

/// A folder for one measurement, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let path = std::env::temp_dir().join(format!("wgconv-bench-{}-{since}", std::process::id()));
        // A folder that is already there may be another user's, and pipelines are code.
        std::fs::create_dir(&path).map_err(|e| Failure::Run(format!("{}: {e}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::network;
    use super::*;

    fn why(outcome: Result<(), Failure>) -> String {
        match outcome {
            Err(Failure::Run(why)) => why,
            _ => String::new(),
        }
    }

    #[test]
    fn outputs_must_have_the_same_bits_and_say_something() {
        assert_eq!(why(compare(&[1.0, 2.0], &[1.0, 2.0])), "");
        assert!(why(compare(&[1.0, 0.0], &[1.0, -0.0])).starts_with("output 1 is Some(0.0) in one submit and Some(-0.0) op by op"));
        assert!(why(compare(&[1.0, 2.0], &[1.0])).starts_with("output 1 is Some(2.0)"));
        assert!(why(compare(&[1.0, f32::INFINITY], &[1.0, f32::INFINITY])).contains("output is inf somewhere"));
        assert!(why(alive("x", &[f32::NAN, 1.0])).contains("x's output is NaN"));
        assert!(why(alive("x", &[0.5, 0.5])).contains("0.5 throughout"));
        assert_eq!(relative_difference(&[1.0, -4.5], &[1.5, -4.0]), 0.125);
    }

    #[test]
    fn a_batch_that_nobody_asked_for_must_be_quick() {
        let bench = Bench { suite: Suite::Lenet5, kind: Kind::PLAIN, gpu: None, peak: None, cpu: true, repeats: Repeats::default() };
        // Six runs of 16 images.
        assert!(bench.is_quick(16, &network("a", 1, PATIENCE * 1e3 / 97.0)));
        assert!(!bench.is_quick(16, &network("a", 1, PATIENCE * 1e3 / 95.0)));
        assert!(bench.is_quick(16, &network("a", 16, PATIENCE * 1e3 / 7.0)), "it grows with the images");
    }
}
