//! What a bench found: the machine, its peaks, a record for each layer and algorithm. Written to JSON and read back.
//!
//! Everything else in this folder either makes a document or shows one: as a table, as Markdown, as a page, beside an older one.
//! Fields that newer versions added are optional, so that older files stay readable; so are rates, for JSON has no infinity.

pub use super::samples::Samples;
use super::table::figure;
use crate::Failure;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::path::Path;
use wgconv::gpu::{AdapterReport, Clock, Peak};

/// The JSON file.
#[derive(Serialize, Deserialize)]
pub struct Document {
    /// Of wgconv.
    pub version: String,
    /// The version of wgpu, where the build knew it.
    pub wgpu: Option<String>,
    /// When the bench began, UTC.
    pub date: Option<String>,
    /// The words of the command line.
    pub command: Vec<String>,
    /// None where the CPU engine ran alone.
    pub adapter: Option<Adapter>,
    #[serde(default, deserialize_with = "peak")]
    pub peak: Option<Peak>,
    #[serde(default, deserialize_with = "clock")]
    pub clock: Option<Clock>,
    /// The processor's name, where the system tells it.
    pub cpu: Option<String>,
    pub cpu_threads: usize,
    /// How the device was opened and what it compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opened>,
    pub layers: Vec<Record>,
    /// Whole networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkRecord>,
    /// Of training steps, whose parts are among the layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub training: Vec<TrainingRecord>,
    /// How long it took to a network's first output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<Start>,
    /// Layers that could not be run or were wrong, each with its reason.
    #[serde(default)]
    pub failed: Vec<String>,
    /// Processes that wanted a processor before the first layer and after the last, on average over a minute, where the system tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<[f64; 2]>,
    /// Why the run ended before its last layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<String>,
}

/// The adapter: what a reader is told of it, and the rest of its report as it came.
#[derive(Serialize, Deserialize)]
pub struct Adapter {
    pub name: String,
    pub backend: String,
    pub device_type: String,
    pub driver: String,
    pub driver_info: String,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One line of the table: a layer by one algorithm.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record {
    pub layer: String,
    pub op: String,
    pub shape: String,
    pub flops: f64,
    pub bytes: u64,
    pub algorithm: Option<String>,
    /// Whether the planner chose this algorithm, or the user asked to see it.
    pub picked: bool,
    pub gpu_ms: Option<f64>,
    /// The shortest of its runs; none in older files.
    #[serde(default)]
    pub gpu_min_ms: Option<f64>,
    pub gpu_spread: Option<f64>,
    pub cpu_ms: Option<f64>,
    #[serde(default)]
    pub cpu_min_ms: Option<f64>,
    pub cpu_spread: Option<f64>,
    /// Of medians; of a training step the median of the ratios of rounds.
    pub cpu_over_gpu: Option<f64>,
    /// Of the ratios of rounds; none where engines were not timed in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio_spread: Option<f64>,
    pub gflops: Option<f64>,
    pub share_of_peak: Option<f64>,
    pub gbytes_per_s: Option<f64>,
    pub share_of_copy: Option<f64>,
    pub gpu_samples: Option<Samples>,
    pub cpu_samples: Option<Samples>,
    /// Of `--steps`: its kernel calls, each timed by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepRecord>,
}

/// A kernel call of an op.
#[derive(Clone, Serialize, Deserialize)]
pub struct StepRecord {
    pub kernel: String,
    /// Workgroups per axis.
    pub workgroups: [u32; 3],
    pub gpu_ms: f64,
    pub gpu_samples: Samples,
}

/// A whole network, all its ops in one submit. The record is that of the run: its layer is the network's name.
#[derive(Clone, Serialize, Deserialize)]
pub struct NetworkRecord {
    #[serde(flatten)]
    pub record: Record,
    pub batch: usize,
    /// By the GPU; by the CPU engine where it ran alone.
    pub images_per_s: Option<f64>,
    pub ops: usize,
    /// Kernel calls of a run; none without a GPU.
    pub dispatches: Option<usize>,
    pub weight_bytes: u64,
    /// Buffers between ops.
    pub activation_bytes: u64,
    /// The most of it that is live at once: no placement needs less. None in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_bytes: Option<u64>,
    /// All that a session takes on the device at most; none without a GPU, and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Recording a run and submitting it, without waiting; none in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ms: Option<f64>,
    /// Ops that were held to the reference, each on what it read in the network; large convolutions in two filters on the first image.
    pub checked: Option<usize>,
    /// Largest difference between the outputs of both engines, relative to the largest output.
    pub difference: Option<f64>,
    /// Largest difference that passes make to the CPU engine's output, relative to the largest output; none in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_passes: Option<f64>,
}

/// What the times of a training step count.
#[derive(Clone, Serialize, Deserialize)]
pub struct TrainingRecord {
    pub network: String,
    pub batch: usize,
    pub loss: String,
    pub optimizer: String,
    /// Numbers that are learned.
    pub parameters: u64,
    /// The tensors that they lie in.
    pub tensors: usize,
    /// Ops of the network and its loss.
    pub forward_ops: usize,
    /// The same with the gradients.
    pub ops: usize,
    /// Kernel calls of a run of those; none without a GPU.
    pub dispatches: Option<usize>,
    /// Ops that were held to the reference, as of a network.
    pub checked: Option<usize>,
    /// Largest difference of loss and gradients between the engines, relative to the largest of them.
    pub difference: Option<f64>,
    /// Rounds of all parts on all engines.
    pub rounds: usize,
}

/// How long it took to a first output.
#[derive(Clone, Serialize, Deserialize)]
pub struct Start {
    pub network: String,
    pub batch: usize,
    /// `cold`: nothing kept; `file`: the driver's pipelines from a file; `warm`: prepared again on the same device.
    pub kind: String,
    /// Opening the adapter and the device; none where it was open.
    pub adapter_ms: Option<f64>,
    pub pipelines: usize,
    /// Planning, and compiling all pipelines, several at once.
    pub compile_ms: f64,
    /// Uploading the weights, packing them, making the buffers.
    pub prepare_ms: f64,
    /// Recording, the run, the download of its output.
    pub first_run_ms: f64,
    pub total_ms: f64,
}

/// How the device of a bench was opened, and what it compiled until the end.
#[derive(Clone, Serialize, Deserialize)]
pub struct Opened {
    pub adapter_ms: f64,
    pub pipelines: usize,
    /// Of each pipeline, added up.
    pub compile_ms: f64,
    /// Bytes of pipelines from earlier runs that the driver was handed.
    pub cached_bytes: usize,
}

impl Record {
    /// Milliseconds of the 10th and the 90th percentile on the GPU.
    pub fn gpu_stretch(&self) -> Option<[f64; 2]> {
        stretch(self.gpu_ms, self.gpu_spread, self.gpu_samples.as_ref())
    }

    /// Likewise on the CPU engine.
    pub fn cpu_stretch(&self) -> Option<[f64; 2]> {
        stretch(self.cpu_ms, self.cpu_spread, self.cpu_samples.as_ref())
    }
}

/// By the samples, or about the median where there are none; a spread that is not known is none.
fn stretch(ms: Option<f64>, spread: Option<f64>, samples: Option<&Samples>) -> Option<[f64; 2]> {
    let ms = ms?;
    if let Some(samples) = samples.filter(|samples| samples.seconds.len() > 1) {
        return Some([samples.quantile(0.1) * 1e3, samples.quantile(0.9) * 1e3]);
    }
    let half = spread.filter(|spread| spread.is_finite()).unwrap_or(0.0);
    Some([(ms * (1.0 - half)).max(0.0), ms * (1.0 + half)])
}

/// The library writes its peaks and clocks but does not read them.
fn peak<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Peak>, D::Error> {
    #[derive(Deserialize)]
    struct Fields {
        gflops: f64,
        gbytes_per_s: f64,
    }
    Ok(Option::<Fields>::deserialize(from)?.map(|f| Peak { gflops: f.gflops, gbytes_per_s: f.gbytes_per_s }))
}

fn clock<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Clock>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Name {
        Timestamps,
        Wall,
    }
    Ok(Option::<Name>::deserialize(from)?.map(|name| match name {
        Name::Timestamps => Clock::Timestamps,
        Name::Wall => Clock::Wall,
    }))
}

impl Adapter {
    pub fn new(report: &AdapterReport) -> Result<Self, Failure> {
        serde_json::to_value(report).and_then(serde_json::from_value).map_err(|e| Failure::Run(format!("the adapter's report: {e}")))
    }

    /// The driver with its version; empty where the backend tells neither.
    pub fn driver(&self) -> String {
        format!("{} {}", self.driver.trim(), self.driver_info.trim()).trim().to_string()
    }
}

/// As the library's report prints itself.
impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {}", self.name, self.backend, self.device_type)?;
        if !self.driver().is_empty() {
            write!(f, ", {}", self.driver())?;
        }
        f.write_str(")")
    }
}

impl Document {
    /// Reads the file that `argument` names, which `--json` wrote.
    pub fn read(argument: &str, path: &Path) -> Result<Self, Failure> {
        let fail = |why: String| Failure::Run(format!("{argument} is {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        if text.trim().is_empty() {
            return Err(fail("the file is empty: it must be one that wgconv bench --json wrote".into()));
        }
        let document: Self = serde_json::from_str(&text).map_err(|e| fail(format!("{e}: it must be a file that wgconv bench --json wrote")))?;
        document.check().map_err(fail)?;
        Ok(document)
    }

    /// Refuses figures that cannot be compared or drawn, in words that name the layer, the value and the rule.
    pub fn check(&self) -> Result<(), String> {
        if self.layers.is_empty() && self.networks.is_empty() {
            return Err("layers is empty: a run to compare or to show has at least one, or a network".into());
        }
        for record in self.layers.iter().chain(self.networks.iter().map(|network| &network.record)) {
            let times = [("gpu_ms", record.gpu_ms), ("cpu_ms", record.cpu_ms)];
            if let Some((name, value)) = times.iter().find_map(|(name, ms)| ms.filter(|ms| !(ms.is_finite() && *ms > 0.0)).map(|ms| (name, ms))) {
                return Err(format!("{name} of {} is {value}: a time must be finite and greater than 0", record.layer));
            }
            if !(record.flops.is_finite() && record.flops >= 0.0) {
                return Err(format!("flops of {} is {}: it must be finite and at least 0", record.layer, record.flops));
            }
        }
        Ok(())
    }

    /// The records of the planner's choices, one a layer.
    pub fn picks(&self) -> impl Iterator<Item = &Record> {
        self.layers.iter().filter(|record| record.picked)
    }

    /// What can be compared with another run: the planner's choices and whole networks.
    pub fn timed(&self) -> impl Iterator<Item = &Record> {
        self.picks().chain(self.networks.iter().map(|network| &network.record))
    }

    pub fn has_gpu(&self) -> bool {
        self.timed().any(|record| record.gpu_ms.is_some())
    }

    pub fn has_cpu(&self) -> bool {
        self.timed().any(|record| record.cpu_ms.is_some())
    }

    /// Whether some layer was timed by more than the planner's choice.
    pub fn has_candidates(&self) -> bool {
        self.layers.iter().any(|record| !record.picked)
    }

    /// That many layers vary so much from run to run that their times say little, or nothing.
    pub fn noise(&self) -> Option<String> {
        /// A spread that a machine of one's own does not reach.
        const WIDE: f64 = 0.25;
        let is_wide = |record: &&Record| [record.gpu_spread, record.cpu_spread].into_iter().flatten().any(|spread| spread > WIDE);
        let (wide, all) = (self.timed().filter(is_wide).count(), self.timed().count());
        if wide == 0 {
            return None;
        }
        let load = self
            .load
            .map_or(String::new(), |[before, after]| format!(" (load {before:.1} before, {after:.1} after, on {} threads)", self.cpu_threads));
        Some(format!(
            "{wide} of {all} timings spread over {:.0} %: the machine is busy{load} or changes its clock. The minimum is what it can do; run again before you compare.",
            WIDE * 100.0
        ))
    }

    /// The command as it would be typed again, without the folder that the program lies in.
    pub fn command_line(&self) -> String {
        let quoted = |word: &String| match word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,+@\\".contains(c)) {
            true if !word.is_empty() => word.clone(),
            _ => format!("'{}'", word.replace('\'', r"'\''")),
        };
        std::iter::once("wgconv".to_string()).chain(self.command.iter().skip(1).map(quoted)).collect::<Vec<_>>().join(" ")
    }

    /// What a reader must know of the machine and the run, in the order in which to tell it.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        match &self.adapter {
            Some(adapter) => {
                facts.push(("Adapter", format!("{} ({})", adapter.name, adapter.device_type)));
                if !adapter.driver().is_empty() {
                    facts.push(("Driver", adapter.driver()));
                }
                facts.push(("Backend", adapter.backend.clone()));
            }
            None => facts.push(("Adapter", "none: the CPU engine alone".into())),
        }
        facts.extend(self.peak.map(|peak| ("Measured peaks", peaks(&peak))));
        facts.extend(self.opened.as_ref().map(|opened| ("Start", opened.to_string())));
        facts.extend(self.clock.map(|clock| ("GPU clock", clock_name(clock).into())));
        let engine = match &self.cpu {
            Some(name) => format!("{} threads of {name}", self.cpu_threads),
            None => format!("{} threads", self.cpu_threads),
        };
        facts.push(("CPU engine", if self.has_cpu() { engine } else { "not timed".into() }));
        let wgpu = self.wgpu.as_ref().map_or(String::new(), |version| format!(", wgpu {version}"));
        facts.push(("Versions", format!("wgconv {}{wgpu}", self.version)));
        facts.extend(self.date.clone().map(|date| ("Date", date)));
        facts.push(("Command", self.command_line()));
        facts
    }
}

impl std::fmt::Display for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Opened { adapter_ms, pipelines, compile_ms, cached_bytes } = self;
        write!(f, "adapter opened in {adapter_ms:.0} ms, {pipelines} pipelines compiled in {compile_ms:.0} ms added up, ")?;
        match cached_bytes {
            0 => f.write_str("none known from earlier runs"),
            bytes => write!(f, "{:.1} KiB of pipelines from earlier runs", *bytes as f64 / 1024.0),
        }
    }
}

/// Both peaks in words.
pub fn peaks(peak: &Peak) -> String {
    format!("{} GFLOP/s of f32 multiply-adds, {} GB/s of copies", figure(peak.gflops), figure(peak.gbytes_per_s))
}

/// What GPU times were taken with, in words.
pub fn clock_name(clock: Clock) -> &'static str {
    match clock {
        Clock::Timestamps => "the device's timestamps",
        Clock::Wall => "wall clock around submit and wait, for the device has no timestamps",
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A record as a bench would write it: 1 GFLOP and 100 MB of work.
    pub fn record(layer: &str, algorithm: &str, gpu_ms: f64, spread: f64) -> Record {
        Record {
            layer: layer.into(),
            op: "conv".into(),
            shape: "n1c3h9w9".into(),
            flops: 1e9,
            bytes: 100_000_000,
            algorithm: Some(algorithm.into()),
            picked: true,
            gpu_ms: Some(gpu_ms),
            gpu_min_ms: Some(0.9 * gpu_ms),
            gpu_spread: Some(spread),
            cpu_ms: None,
            cpu_min_ms: None,
            cpu_spread: None,
            cpu_over_gpu: None,
            ratio_spread: None,
            gflops: Some(1e3 / gpu_ms),
            share_of_peak: Some(10.0 / gpu_ms),
            gbytes_per_s: Some(100.0 / gpu_ms),
            share_of_copy: Some(1.0 / gpu_ms),
            gpu_samples: None,
            cpu_samples: None,
            steps: Vec::new(),
        }
    }

    /// A network's record with the figures of [`record`].
    pub fn network(name: &str, batch: usize, gpu_ms: f64) -> NetworkRecord {
        let record = Record { op: "network".into(), shape: format!("batch {batch}"), algorithm: None, ..record(name, "", gpu_ms, 0.1) };
        NetworkRecord {
            record,
            batch,
            images_per_s: Some(batch as f64 / gpu_ms * 1e3),
            ops: 57,
            dispatches: Some(69),
            weight_bytes: 102_120_000,
            activation_bytes: 10_200_000,
            least_bytes: Some(10_000_000),
            peak_bytes: Some(152_000_000),
            host_ms: Some(0.4),
            checked: Some(57),
            difference: Some(1.5e-6),
            by_passes: Some(2.5e-6),
        }
    }

    /// The way to a first output.
    pub fn start(network: &str, kind: &str, adapter_ms: Option<f64>) -> Start {
        let (network, kind) = (network.to_string(), kind.to_string());
        let total_ms = adapter_ms.unwrap_or(0.0) + 60.0;
        Start { network, batch: 1, kind, adapter_ms, pipelines: 26, compile_ms: 10.0, prepare_ms: 20.0, first_run_ms: 30.0, total_ms }
    }

    /// A document of these records.
    pub fn document(layers: Vec<Record>) -> Document {
        let adapter = Adapter {
            name: "Test GPU".into(),
            backend: "vulkan".into(),
            device_type: "discrete".into(),
            driver: "testdrv".into(),
            driver_info: "1.2".into(),
            rest: Map::new(),
        };
        Document {
            version: "0.1.0".into(),
            wgpu: Some("30.0.1".into()),
            date: Some("2026-11-21 07:40 UTC".into()),
            command: ["wgconv", "bench"].map(String::from).to_vec(),
            adapter: Some(adapter),
            peak: Some(Peak { gflops: 100.0, gbytes_per_s: 100.0 }),
            clock: Some(Clock::Timestamps),
            cpu: Some("Test CPU".into()),
            cpu_threads: 2,
            opened: None,
            layers,
            networks: Vec::new(),
            training: Vec::new(),
            starts: Vec::new(),
            failed: Vec::new(),
            load: None,
            ended_early: None,
        }
    }

    #[test]
    fn a_stretch_is_that_of_the_samples() {
        let mut one = record("a", "direct", 2.0, 14.69);
        assert_eq!(one.gpu_stretch(), Some([0.0, 2.0 * 15.69]), "no time is negative");
        one.gpu_samples = Some(Samples { seconds: vec![0.002, 0.001, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.002, 0.0625, 0.5] });
        assert_eq!((one.gpu_stretch(), one.cpu_stretch()), (Some([2.0, 62.5]), None));
        one.gpu_samples = Some(Samples { seconds: vec![0.002] });
        one.gpu_spread = Some(f64::NAN);
        assert_eq!(one.gpu_stretch(), Some([2.0, 2.0]));
    }

    #[test]
    fn a_busy_machine_is_told() {
        let mut one = document(vec![record("a", "direct", 1.0, 0.2), record("b", "direct", 1.0, 0.3), record("c", "direct", 1.0, f64::NAN)]);
        one.layers[2].cpu_spread = Some(9.26);
        one.load = Some([0.5, 15.25]);
        let says = one.noise().unwrap();
        assert!(says.starts_with("2 of 3 timings spread over 25 %: the machine is busy (load 0.5 before, 15.2 after, on 2 threads)"), "{says}");
        assert_eq!(document(vec![record("a", "direct", 1.0, 0.25)]).noise(), None);
    }

    #[test]
    fn a_document_reads_back_what_it_wrote() {
        let mut written = document(vec![record("a", "direct", 2.0, 0.1)]);
        written.failed.push("huge: no memory".into());
        written.networks.push(network("lenet5", 16, 4.0));
        written.starts.push(start("lenet5", "cold", Some(40.0)));
        written.opened = Some(Opened { adapter_ms: 40.0, pipelines: 26, compile_ms: 10.5, cached_bytes: 2048 });
        if let Some(adapter) = &mut written.adapter {
            adapter.rest.insert("features".into(), serde_json::json!(["f16"]));
        }
        let text = serde_json::to_string(&written).unwrap();
        let read: Document = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(text.contains(r#""features":["f16"]"#) && text.contains(r#""clock":"timestamps""#), "{text}");
    }

    /// Rates that JSON writes as null, and what older versions did not write.
    #[test]
    fn absent_fields_and_null_rates_are_read() {
        let mut odd = record("a", "direct", 1.0, f64::NAN);
        odd.gflops = Some(f64::INFINITY);
        let mut value = serde_json::to_value(document(vec![odd])).unwrap();
        for key in ["wgpu", "date", "failed", "cpu", "load", "ended_early"] {
            value.as_object_mut().unwrap().remove(key);
        }
        let read: Document = serde_json::from_value(value).unwrap();
        assert!(read.layers[0].gflops.is_none() && read.layers[0].gpu_spread.is_none() && read.date.is_none());
    }

    #[test]
    fn times_that_are_none_are_refused_by_name() {
        for (ms, says) in [(0.0, "is 0:"), (-1.0, "is -1:"), (f64::NAN, "is NaN:"), (f64::INFINITY, "is inf:")] {
            let why = document(vec![record("fine", "direct", 1.0, 0.1), record("odd", "direct", ms, 0.1)]).check().unwrap_err();
            assert!(why.contains("gpu_ms of odd") && why.contains(says) && why.contains("greater than 0"), "{why}");
        }
        assert!(document(vec![]).check().unwrap_err().contains("layers is empty"));
        assert_eq!(document(vec![record("fine", "direct", 1e-9, 0.1)]).check(), Ok(()));
        let mut whole = document(vec![]);
        whole.networks.push(network("lenet5", 1, 1.0));
        assert!(whole.check().is_ok() && whole.has_gpu() && !whole.has_cpu(), "a run of a network alone");
        whole.networks[0].record.gpu_ms = Some(0.0);
        assert!(whole.check().unwrap_err().contains("gpu_ms of lenet5"));
    }

    #[test]
    fn the_start_is_told_among_the_facts() {
        let mut one = document(vec![record("a", "direct", 1.0, 0.1)]);
        assert!(one.facts().iter().all(|(name, _)| *name != "Start"), "older files do not know");
        for (bytes, says) in [(0, "none known from earlier runs"), (2048, "2.0 KiB of pipelines from earlier runs")] {
            one.opened = Some(Opened { adapter_ms: 40.4, pipelines: 26, compile_ms: 811.6, cached_bytes: bytes });
            let facts = one.facts();
            let (_, text) = facts.iter().find(|(name, _)| *name == "Start").unwrap();
            assert_eq!(text, &format!("adapter opened in 40 ms, 26 pipelines compiled in 812 ms added up, {says}"));
        }
    }

    #[test]
    fn the_command_can_be_typed_again() {
        let mut one = document(vec![]);
        one.command = ["/far/away/wgconv", "bench", "--shapes", "my list.json", "--adapter", "it's"].map(String::from).to_vec();
        assert_eq!(one.command_line(), r"wgconv bench --shapes 'my list.json' --adapter 'it'\''s'");
    }
}
