//! Two documents beside each other: how each layer's time changed, and whether too much.
//!
//! A change counts where it is larger than allowed and larger than the noise: the stretches between the 10th and the 90th percentile of both
//! runs must lie apart.

use super::document::{Document, Record};
use super::table::{aligned, figure, time};
use crate::one_line;

/// What is compared of the layers that both documents have.
pub struct Comparison<'a> {
    /// Names the old document.
    file: String,
    /// The largest ratio that passes.
    limit: f64,
    /// The engine whose times are compared: the GPU where both documents have it.
    engine: Engine,
    pairs: Vec<Pair<'a>>,
    only_old: Vec<&'a Record>,
    only_new: Vec<&'a Record>,
    /// Layers that both have, without a time of the engine on one side.
    untimed: Vec<&'a Record>,
    /// What else differs, so that a ratio may mean something else.
    warnings: Vec<String>,
}

/// A layer that both documents timed.
struct Pair<'a> {
    old: &'a Record,
    new: &'a Record,
    /// New time over old time.
    ratio: f64,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Verdict {
    Same,
    Slower,
    Faster,
    /// The ratio is beyond the limit, and both runs vary as much.
    Noise,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Same => "",
            Verdict::Slower => "SLOWER",
            Verdict::Faster => "faster",
            Verdict::Noise => "within noise",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Engine {
    Gpu,
    Cpu,
}

impl Engine {
    /// The median and its spread.
    fn time(self, record: &Record) -> (Option<f64>, Option<f64>) {
        match self {
            Engine::Gpu => (record.gpu_ms, record.gpu_spread),
            Engine::Cpu => (record.cpu_ms, record.cpu_spread),
        }
    }

    /// The 10th and the 90th percentile.
    fn stretch(self, record: &Record) -> Option<[f64; 2]> {
        if self == Engine::Gpu { record.gpu_stretch() } else { record.cpu_stretch() }
    }

    fn verdict(self, old: &Record, new: &Record, ratio: f64, limit: f64) -> Verdict {
        let slower = match ratio {
            ratio if ratio > limit => true,
            ratio if ratio < 1.0 / limit => false,
            _ => return Verdict::Same,
        };
        match self.stretch(old).zip(self.stretch(new)) {
            Some((old, new)) if old[0] <= new[1] && new[0] <= old[1] => Verdict::Noise,
            _ if slower => Verdict::Slower,
            _ => Verdict::Faster,
        }
    }
}

/// Whether two records are of the same layer: of the same name, op and shape.
fn same(a: (&str, &str, &str), b: &Record) -> bool {
    a == (b.layer.as_str(), b.op.as_str(), b.shape.as_str())
}

/// Refuses, before anything is timed, a document that has none of these layers (name, op and shape).
pub fn check_common(old: &Document, layers: &[(String, String, String)]) -> Result<(), String> {
    if layers.iter().any(|(name, op, shape)| old.timed().any(|record| same((name, op, shape), record))) {
        return Ok(());
    }
    Err("it has no timed layer of this run: layers are the same where name, op and shape are".into())
}

impl<'a> Comparison<'a> {
    /// Pairs the planner's choices by the layers' names, ops and shapes. `file` names the old document, `limit` is the largest ratio that
    /// passes. Refuses, with the reason, where there is nothing to compare.
    pub fn new(old: &'a Document, new: &'a Document, file: &str, limit: f64) -> Result<Self, String> {
        new.check().map_err(|why| format!("nothing can be compared with it: {why}"))?;
        let engine = if old.has_gpu() && new.has_gpu() {
            Engine::Gpu
        } else if old.has_cpu() && new.has_cpu() {
            Engine::Cpu
        } else {
            return Err("one of the two runs has times of the GPU alone, the other of the CPU alone: both must have times of the same engine".into());
        };
        let mut comparison = Comparison {
            file: one_line(file),
            limit,
            engine,
            pairs: Vec::new(),
            only_old: old.timed().collect(),
            only_new: Vec::new(),
            untimed: Vec::new(),
            warnings: warnings(old, new),
        };
        for record in new.timed() {
            let Some(place) = comparison.only_old.iter().position(|other| same((&record.layer, &record.op, &record.shape), other)) else {
                comparison.only_new.push(record);
                continue;
            };
            let old = comparison.only_old.remove(place);
            match (engine.time(old).0, engine.time(record).0) {
                (Some(before), Some(now)) => {
                    let ratio = now / before;
                    comparison.pairs.push(Pair { old, new: record, ratio, verdict: engine.verdict(old, record, ratio, limit) });
                }
                _ => comparison.untimed.push(record),
            }
        }
        if comparison.pairs.is_empty() {
            return Err("it has no timed layer of this run: layers are the same where name, op and shape are".into());
        }
        Ok(comparison)
    }

    /// The geometric mean of the ratios.
    fn mean(&self) -> f64 {
        (self.pairs.iter().map(|pair| pair.ratio.ln()).sum::<f64>() / self.pairs.len() as f64).exp()
    }

    fn milliseconds(&self) -> &'static str {
        if self.engine == Engine::Gpu { "GPU ms" } else { "CPU ms" }
    }

    /// The headings of the table; the first three are words.
    pub fn header(&self) -> [String; 7] {
        let engine = self.milliseconds();
        ["layer".into(), "shape".into(), "algorithm".into(), format!("old {engine}"), format!("new {engine}"), "new/old".into(), "verdict".into()]
    }

    pub fn rows(&self) -> Vec<[String; 7]> {
        self.pairs.iter().map(|pair| self.row(pair)).collect()
    }

    /// What stands above the table.
    pub fn title(&self) -> String {
        format!("Compared with {}", self.file)
    }

    /// Why a ratio may mean something else, a line each.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.iter().map(|warning| format!("Warning: {}", one_line(warning))).collect()
    }

    /// What stands below the table: the mean, what is noise, and what could not be compared.
    pub fn notes(&self) -> Vec<String> {
        let mut lines = vec![format!("Geometric mean of new/old over {} layers: {:.3}; below 1 is faster.", self.pairs.len(), self.mean())];
        let noise = self.pairs.iter().filter(|pair| pair.verdict == Verdict::Noise).count();
        if noise > 0 {
            lines.push(format!("{noise} of them changed by more than {}, and vary as much from run to run: within noise.", figure(self.limit)));
        }
        for (what, records) in [
            (format!("Only in {}", self.file), &self.only_old),
            ("Only in this run".into(), &self.only_new),
            (format!("Without {} in one of the two", self.milliseconds()), &self.untimed),
        ] {
            lines.extend(records.iter().map(|record| one_line(&format!("{what}: {} ({} {})", record.layer, record.op, record.shape))));
        }
        lines
    }

    /// What to print on a terminal.
    pub fn lines(&self) -> Vec<String> {
        let rows: Vec<Vec<String>> = std::iter::once(self.header()).chain(self.rows()).map(|row| row.to_vec()).collect();
        let mut lines = vec![format!("{}:", self.title())];
        lines.extend(self.warnings());
        lines.extend(aligned(&rows, 3));
        lines.extend(self.notes());
        lines
    }

    fn row(&self, pair: &Pair<'_>) -> [String; 7] {
        let label = |record: &Record| record.algorithm.as_deref().map_or("cpu".into(), one_line);
        let (before, now) = (label(pair.old), label(pair.new));
        let algorithm = if self.engine == Engine::Cpu {
            "cpu".into()
        } else if before == now {
            now
        } else {
            format!("{before} -> {now}")
        };
        let [old, new] = [pair.old, pair.new].map(|record| {
            let (ms, spread) = self.engine.time(record);
            time(ms, spread)
        });
        let shape = one_line(&format!("{} {}", pair.new.op, pair.new.shape));
        [one_line(&pair.new.layer), shape, algorithm, old, new, format!("{:.3}", pair.ratio), pair.verdict.word().into()]
    }

    /// The layers that became slower by more than the limit and the noise, in words; none where all is well.
    pub fn verdict(&self) -> Option<String> {
        let is_slower = |pair: &&Pair<'_>| pair.verdict == Verdict::Slower;
        let slower: Vec<String> = self.pairs.iter().filter(is_slower).map(|pair| format!("{} {:.3}", pair.new.layer, pair.ratio)).collect();
        if slower.is_empty() {
            return None;
        }
        let (count, all, limit) = (slower.len(), self.pairs.len(), self.limit);
        Some(format!("{count} of {all} layers are slower than --max-regression {limit} allows: {}", slower.join(", ")))
    }
}

/// Differences between the machines of two documents.
fn warnings(old: &Document, new: &Document) -> Vec<String> {
    let machine = |document: &Document| {
        let adapter = document.adapter.as_ref();
        [
            ("adapter", adapter.map(|a| format!("{} ({})", a.name, a.backend))),
            ("driver", adapter.map(|a| a.driver())),
            ("GPU clock", document.clock.map(|clock| super::document::clock_name(clock).to_string())),
            ("CPU", document.cpu.clone()),
            ("number of CPU threads", Some(document.cpu_threads.to_string())),
        ]
    };
    type Fact = (&'static str, Option<String>);
    let differ = |((what, before), (_, now)): (Fact, Fact)| {
        // An older file that does not name its processor says nothing about it.
        if before == now || (what == "CPU" && (before.is_none() || now.is_none())) {
            return None;
        }
        let name = |value: Option<String>| value.filter(|value| !value.is_empty()).unwrap_or("none".into());
        Some(format!("the {what} is {} and was {}", name(now), name(before)))
    };
    machine(old).into_iter().zip(machine(new)).filter_map(differ).collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{document, record};
    use super::*;

    fn run(times: &[(&str, f64)]) -> Document {
        document(times.iter().map(|(layer, ms)| record(layer, "direct", *ms, 0.01)).collect())
    }

    fn compare<'a>(old: &'a Document, new: &'a Document) -> Comparison<'a> {
        Comparison::new(old, new, "old.json", 1.1).unwrap()
    }

    /// A change counts where both stretches lie apart, whatever the medians are.
    #[test]
    fn what_varies_as_much_as_it_changed_is_noise() {
        let one = |ms: f64, spread: f64| document(vec![record("a", "direct", ms, spread)]);
        for (old, new, verdict) in [
            ((2.0, 0.01), (3.0, 0.01), Verdict::Slower),
            ((2.0, 0.30), (3.0, 0.20), Verdict::Noise),  // up to 2.6 and from 2.4 on
            ((2.0, 0.19), (3.0, 0.20), Verdict::Slower), // up to 2.38
            ((2.0, 0.01), (3.0, 16.76), Verdict::Noise),
            ((3.0, 0.01), (2.0, 0.02), Verdict::Faster),
            ((3.0, 0.60), (2.0, 0.02), Verdict::Noise),
            ((2.0, 0.00), (2.1, 0.00), Verdict::Same),
            ((2.0, f64::NAN), (3.0, f64::NAN), Verdict::Slower), // one run each has no spread
        ] {
            let (old, new) = (one(old.0, old.1), one(new.0, new.1));
            let comparison = compare(&old, &new);
            assert_eq!(comparison.pairs[0].verdict, verdict, "{:?}", comparison.lines());
            assert_eq!(comparison.verdict().is_some(), verdict == Verdict::Slower);
            assert_eq!(comparison.notes().iter().any(|note| note.contains("within noise")), verdict == Verdict::Noise);
        }
    }

    #[test]
    fn a_run_without_a_common_layer_is_refused_beforehand() {
        let old = run(&[("a", 1.0)]);
        let planned = |name: &str| [(name.to_string(), "conv".to_string(), "n1c3h9w9".to_string())];
        assert_eq!(check_common(&old, &planned("a")), Ok(()));
        assert!(check_common(&old, &planned("b")).unwrap_err().contains("no timed layer of this run"));
    }

    #[test]
    fn the_limit_itself_passes_and_the_next_number_does_not() {
        let old = run(&[("a", 2.0), ("b", 2.0), ("c", 2.0)]);
        let at_limit = run(&[("a", 2.2), ("b", 2.0), ("c", 0.5)]);
        assert_eq!(compare(&old, &at_limit).verdict(), None, "2.2 / 2 is no more than 1.1");
        let past = run(&[("a", 2.2f64.next_up().next_up()), ("b", 2.0), ("c", 9.0)]);
        let says = compare(&old, &past).verdict().unwrap();
        assert_eq!(says, "2 of 3 layers are slower than --max-regression 1.1 allows: a 1.100, c 4.500");
    }

    #[test]
    fn rows_tell_times_ratios_and_verdicts() {
        let (old, mut new) = (run(&[("a", 2.0), ("b", 2.0)]), run(&[("a", 1.0), ("b", 4.0)]));
        new.layers[1].algorithm = Some("tiled".into());
        let lines = compare(&old, &new).lines();
        let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[2], ["a", "conv", "n1c3h9w9", "direct", "2.000", "±1%", "1.000", "±1%", "0.500", "faster"]);
        assert_eq!(words[3], ["b", "conv", "n1c3h9w9", "direct", "->", "tiled", "2.000", "±1%", "4.000", "±1%", "2.000", "SLOWER"]);
        assert_eq!(lines[4], "Geometric mean of new/old over 2 layers: 1.000; below 1 is faster.");
        assert_eq!(lines.len(), 5, "the machines are the same and no layer is missing: {lines:?}");
    }

    #[test]
    fn layers_of_one_side_are_named() {
        let (mut old, mut new) =
            (run(&[("a", 1.0), ("gone", 1.0), ("odd", 1.0), ("same", 1.0)]), run(&[("a", 1.0), ("fresh", 9.0), ("odd", 1.0), ("same", 1.0)]));
        new.layers[0].shape = "n2".into();
        old.layers[2].gpu_ms = None;
        let comparison = compare(&old, &new);
        assert_eq!((comparison.pairs.len(), comparison.verdict()), (1, None));
        let lines = comparison.lines();
        for line in [
            "Only in old.json: a (conv n1c3h9w9)",
            "Only in old.json: gone (conv n1c3h9w9)",
            "Only in this run: a (conv n2)",
            "Only in this run: fresh (conv n1c3h9w9)",
            "Without GPU ms in one of the two: odd (conv n1c3h9w9)",
        ] {
            assert!(lines.iter().any(|l| l == line), "no line \"{line}\" in {lines:#?}");
        }
    }

    #[test]
    fn a_layer_listed_twice_is_paired_in_turn_and_candidates_are_left_out() {
        let (mut old, new) = (run(&[("a", 1.0), ("a", 2.0), ("a", 50.0)]), run(&[("a", 1.0), ("a", 2.0)]));
        old.layers[2].picked = false;
        let comparison = compare(&old, &new);
        assert!(comparison.pairs.iter().all(|pair| pair.ratio == 1.0) && comparison.only_old.is_empty());
    }

    #[test]
    fn another_machine_is_warned_about() {
        let (mut old, new) = (run(&[("a", 1.0)]), run(&[("a", 1.0)]));
        old.cpu = None;
        assert!(compare(&old, &new).warnings.is_empty(), "older files name no processor");
        if let Some(adapter) = &mut old.adapter {
            (adapter.name, adapter.driver_info) = ("Other GPU".into(), "1.1".into());
        }
        let lines = compare(&old, &new).lines();
        assert_eq!(lines[1], "Warning: the adapter is Test GPU (vulkan) and was Other GPU (vulkan)");
        assert_eq!(lines[2], "Warning: the driver is testdrv 1.2 and was testdrv 1.1");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let says = |old: &Document, new: &Document| Comparison::new(old, new, "old.json", 1.1).err().unwrap();
        let (old, none) = (run(&[("a", 1.0)]), run(&[("b", 1.0)]));
        assert!(says(&old, &none).contains("no timed layer of this run"));
        assert!(says(&old, &run(&[("a", 0.0)])).contains("gpu_ms of a is 0"));
        let mut cpu = run(&[("a", 1.0)]);
        (cpu.layers[0].gpu_ms, cpu.layers[0].cpu_ms) = (None, Some(3.0));
        assert!(says(&old, &cpu).contains("the same engine"));
        let mut both = run(&[("a", 1.0)]);
        both.layers[0].cpu_ms = Some(2.0);
        let comparison = compare(&both, &cpu);
        assert_eq!((comparison.engine, comparison.pairs[0].ratio), (Engine::Cpu, 1.5));
    }
}
