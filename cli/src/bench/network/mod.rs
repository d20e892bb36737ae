//! Whole networks: every op of one in one submit, its times, and how long it takes to its first output.
//!
//! Before its times count, a run is compared bit for bit with a run op by op, whose every op is held to the reference on what it read.

pub mod engines;

use super::document::{NetworkRecord, Samples, Start};
use super::layer::{Repeats, What};
use crate::suites::{Kind, Network};
use crate::{Failure, open_gpu, say};
use engines::{Subject, bound, by_op, run};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wgconv::gpu::{Clock, Peak};
use wgconv::session::{Arrangement, Memory, fastest_layout};
use wgconv::{Gpu, Layout, Session};

/// Most time that the repeats of a network take on one engine, unless that is fewer than the fewest. A network that takes longer for one
/// run is run once: its noise is small beside it, and someone is waiting.
const BUDGET: Duration = Duration::from_secs(5);
const FEWEST: usize = 3;
const MOST: usize = 30;
/// The batches that are timed where none is asked for; the later ones only if they are expected to take no longer than [`PATIENCE`].
pub const BATCHES: [usize; 2] = [1, 16];
const PATIENCE: f64 = 60.0;

pub fn usual(once: f64) -> usize {
    let budget = BUDGET.as_secs_f64();
    ((budget / once.max(1e-6)) as usize).clamp(if once > budget { 1 } else { FEWEST }, MOST)
}

/// What a network's record is told by, beside its name.
pub fn shape(batch: usize, layout: Layout) -> String {
    if layout == Layout::ChannelsFirst { format!("batch {batch}") } else { format!("batch {batch} {}", layout.name()) }
}

fn layouts(arrangement: Arrangement) -> &'static str {
    match arrangement {
        Arrangement::AsGiven => "as it is",
        Arrangement::All(layout) => layout.name(),
        Arrangement::ByOp => "op by op",
    }
}

/// What is timed, and on what.
pub struct Bench<'a> {
    pub network: &'a Network,
    pub kind: Kind,
    /// Whether the layouts between its ops are measured, on the GPU that there is.
    pub fastest_layout: bool,
    pub gpu: Option<&'a Gpu>,
    pub peak: Option<&'a Peak>,
    pub cpu: bool,
    pub repeats: Repeats,
}

impl Bench<'_> {
    /// The network after all passes, for so many items.
    fn subject(&self, batch: usize) -> Result<Subject, Failure> {
        let optimized = self.network.graph(self.kind)?.optimized()?;
        Subject::new(if self.kind.layout == Layout::ChannelsFirst { optimized } else { optimized.in_layout(self.kind.layout)?.0 }, batch)
    }

    /// The same in the layouts that are asked for: those that the GPU is fastest in, if so.
    fn timed_subject(&self, batch: usize) -> Result<Subject, Failure> {
        let subject = self.subject(batch)?;
        let Some(gpu) = self.gpu.filter(|_| self.fastest_layout) else { return Ok(subject) };
        let found = fastest_layout(gpu, &subject.graph, batch)?;
        let told = found.seconds.iter().map(|(arrangement, seconds)| {
            let taken = if *arrangement == found.arrangement { ", taken" } else { "" };
            format!("{} {:.3} ms{taken}", layouts(*arrangement), seconds * 1e3)
        });
        say!("{}, batch {batch}: {}", self.network.name(), told.collect::<Vec<_>>().join("; "));
        Subject::new(found.graph, batch)
    }

    /// How much the passes change the output, relative to the largest, on the CPU engine; `after` is what that gave after them.
    fn check_passes(&self, batch: usize, after: &[f32]) -> Result<f64, Failure> {
        /// A batch norm that is folded rounds otherwise, in each layer.
        const MOST: f64 = 1e-3;
        let before = Subject::new(self.network.graph(self.kind)?, batch)?;
        let difference = relative_difference(after, &run(&Session::cpu(&before.graph)?, &before)?);
        if difference < MOST {
            return Ok(difference);
        }
        Err(Failure::Run(format!("the passes change the output by {difference:.1e} of the largest: folding rounds by less than {MOST:e}")))
    }

    /// Times the network with batches of so many items. `clock` hears what GPU times were taken with.
    pub fn time(&self, batch: usize, clock: &mut Option<Clock>) -> Result<NetworkRecord, Failure> {
        let subject = self.timed_subject(batch)?;
        let mut output = None;
        let (mut gpu_samples, mut dispatches, mut checked, mut host_ms) = (None, None, None, None);
        let mut memory = Session::cpu(&subject.graph)?.memory(batch)?;
        if let Some(gpu) = self.gpu {
            let session = Session::gpu(gpu, &subject.graph)?;
            memory = session.memory(batch)?;
            check_memory(&memory)?;
            // First op by op: a driver that compiles when a kernel first runs has done so before a run is timed.
            let (one_by_one, count) = by_op(gpu, &subject)?;
            let start = Instant::now();
            let whole = run(&session, &subject)?;
            let once = start.elapsed().as_secs_f64();
            compare(&whole, &one_by_one)?;
            let bound = bound(gpu, &session, &subject)?;
            let runs = self.repeats.count(once, usual(once));
            let timing = self.repeats.time(gpu, runs, &mut |recorder| bound.record(recorder))?;
            *clock = Some(timing.clock);
            gpu_samples = Some(Samples { seconds: timing.seconds });
            host_ms = Some(host_time(gpu, &bound)? * 1e3);
            (dispatches, checked, output) = (session.dispatches(batch)?, Some(count), Some(whole));
        }
        let (mut cpu_samples, mut difference, mut by_passes) = (None, None, None);
        if self.cpu {
            check_memory(&memory)?;
            let session = Session::cpu(&subject.graph)?;
            let start = Instant::now();
            let first = run(&session, &subject)?;
            alive("the CPU engine", &first)?;
            difference = output.as_ref().map(|output| relative_difference(output, &first));
            by_passes = Some(self.check_passes(batch, &first)?);
            let once = start.elapsed().as_secs_f64();
            let count = self.repeats.count(once, usual(once));
            cpu_samples = Some(self.repeats.time_cpu(count, || run(&session, &subject).map(|_| ()))?);
        }
        let name = self.network.name();
        let what = What { name: &name, op: "network", shape: shape(batch, self.kind.layout), flops: subject.flops(), bytes: subject.bytes() };
        let best = gpu_samples.as_ref().or(cpu_samples.as_ref()).map(Samples::median);
        Ok(NetworkRecord {
            batch,
            images_per_s: best.map(|seconds| batch as f64 / seconds),
            ops: subject.ops().count(),
            dispatches,
            weight_bytes: subject.weight_bytes(),
            activation_bytes: memory.arena().total(),
            least_bytes: Some(memory.arena().lower_bound()),
            peak_bytes: self.gpu.map(|_| memory.peak()),
            host_ms,
            checked,
            difference,
            by_passes,
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
        let subject = self.subject(batch)?;
        check_memory(&Session::cpu(&subject.graph)?.memory(batch)?)?;
        let folder = Folder::new()?;
        let name = self.network.name();
        let one = |kind: &str, gpu: &Gpu, adapter_ms: Option<f64>| -> Result<Start, Failure> {
            let start = Instant::now();
            let mut last = 0.0;
            let mut lap = || {
                let now = start.elapsed().as_secs_f64() * 1e3;
                now - std::mem::replace(&mut last, now)
            };
            let before = gpu.compiled().pipelines;
            let plans = subject.plans(gpu)?;
            gpu.compile(&plans.iter().collect::<Vec<_>>())?;
            let compile_ms = lap();
            let session = Session::gpu(gpu, &subject.graph)?;
            session.prepare(batch)?;
            gpu.wait()?;
            let prepare_ms = lap();
            run(&session, &subject)?;
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

/// Seconds that the host takes to record a run and to submit it, without waiting: the median of several.
fn host_time(gpu: &Gpu, bound: &wgconv::session::BoundSession) -> Result<f64, Failure> {
    let mut seconds = Vec::new();
    for _ in 0..FEWEST {
        let start = Instant::now();
        let mut recorder = gpu.recorder();
        bound.record(&mut recorder)?;
        recorder.submit()?;
        seconds.push(start.elapsed().as_secs_f64());
        gpu.wait()?;
    }
    Ok(Samples { seconds }.median())
}

/// Both runs gave the same bits, and values that say something.
pub fn compare(whole: &[f32], by_op: &[f32]) -> Result<(), Failure> {
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
pub fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0f64, f64::max);
    let difference = largest(&mut a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()));
    difference / largest(&mut b.iter().map(|b| f64::from(b.abs()))).max(f64::MIN_POSITIVE)
}

/// Refuses a network whose session the host cannot hold; a software driver has its memory there too.
pub fn check_memory(memory: &Memory) -> Result<(), Failure> {
    let bytes = memory.peak();
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
    use crate::suites::Suite;

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
        let bench = Bench {
            network: &Network::Suite(Suite::Lenet5),
            kind: Kind::PLAIN,
            fastest_layout: false,
            gpu: None,
            peak: None,
            cpu: true,
            repeats: Repeats::default(),
        };
        // Six runs of 16 images.
        assert!(bench.is_quick(16, &network("a", 1, PATIENCE * 1e3 / 97.0)));
        assert!(!bench.is_quick(16, &network("a", 1, PATIENCE * 1e3 / 95.0)));
        assert!(bench.is_quick(16, &network("a", 16, PATIENCE * 1e3 / 7.0)), "it grows with the images");
    }
}
