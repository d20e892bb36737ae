//! Two documents beside each other: how each layer's time changed, and whether too much.

use super::document::{Document, Record};
use super::table::{aligned, time};

/// What is compared of the layers that both documents have.
pub struct Comparison<'a> {
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
}

impl<'a> Comparison<'a> {
    /// Pairs the planner's choices by the layers' names, ops and shapes. Refuses, with the reason, where there is nothing to compare.
    pub fn new(old: &'a Document, new: &'a Document) -> Result<Self, String> {
        new.check().map_err(|why| format!("nothing can be compared with it: {why}"))?;
        let engine = if old.has_gpu() && new.has_gpu() {
            Engine::Gpu
        } else if old.has_cpu() && new.has_cpu() {
            Engine::Cpu
        } else {
            return Err("one of the two runs has times of the GPU alone, the other of the CPU alone: both must have times of the same engine".into());
        };
        let mut comparison = Comparison {
            engine,
            pairs: Vec::new(),
            only_old: old.timed().collect(),
            only_new: Vec::new(),
            untimed: Vec::new(),
            warnings: warnings(old, new),
        };
        for record in new.timed() {
            let same = |other: &&Record| (&other.layer, &other.op, &other.shape) == (&record.layer, &record.op, &record.shape);
            let Some(place) = comparison.only_old.iter().position(same) else {
                comparison.only_new.push(record);
                continue;
            };
            let old = comparison.only_old.remove(place);
            match (engine.time(old).0, engine.time(record).0) {
                (Some(before), Some(now)) => comparison.pairs.push(Pair { old, new: record, ratio: now / before }),
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

    /// What to print: the ratios, their mean, and what could not be compared. `file` names the old document.
    pub fn lines(&self, file: &str, limit: f64) -> Vec<String> {
        let milliseconds = if self.engine == Engine::Gpu { "GPU ms" } else { "CPU ms" };
        let header = [
            "layer".into(),
            "shape".into(),
            "algorithm".into(),
            format!("old {milliseconds}"),
            format!("new {milliseconds}"),
            "new/old".into(),
            String::new(),
        ];
        let rows: Vec<Vec<String>> = std::iter::once(header.to_vec()).chain(self.pairs.iter().map(|pair| self.row(pair, limit))).collect();
        let mut lines = vec![format!("Compared with {file}:")];
        lines.extend(self.warnings.iter().map(|warning| format!("Warning: {warning}")));
        lines.extend(aligned(&rows, 3));
        lines.push(format!("Geometric mean of new/old over {} layers: {:.3}; below 1 is faster.", self.pairs.len(), self.mean()));
        for (what, records) in [
            (format!("Only in {file}"), &self.only_old),
            ("Only in this run".into(), &self.only_new),
            (format!("Without {milliseconds} in one of the two"), &self.untimed),
        ] {
            lines.extend(records.iter().map(|record| format!("{what}: {} ({} {})", record.layer, record.op, record.shape)));
        }
        lines
    }

    fn row(&self, pair: &Pair<'_>, limit: f64) -> Vec<String> {
        let label = |record: &Record| record.algorithm.clone().unwrap_or("cpu".into());
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
        let verdict = if pair.ratio > limit {
            "SLOWER"
        } else if pair.ratio < 1.0 / limit {
            "faster"
        } else {
            ""
        };
        let shape = format!("{} {}", pair.new.op, pair.new.shape);
        vec![pair.new.layer.clone(), shape, algorithm, old, new, format!("{:.3}", pair.ratio), verdict.into()]
    }

    /// The layers that became slower by more than `limit`, in words; none where all is well.
    pub fn verdict(&self, limit: f64) -> Option<String> {
        let slower: Vec<String> =
            self.pairs.iter().filter(|pair| pair.ratio > limit).map(|pair| format!("{} {:.3}", pair.new.layer, pair.ratio)).collect();
        if slower.is_empty() {
            return None;
        }
        Some(format!("{} of {} layers are slower than --max-regression {limit} allows: {}", slower.len(), self.pairs.len(), slower.join(", ")))
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

    #[test]
    fn the_limit_itself_passes_and_the_next_number_does_not() {
        let old = run(&[("a", 2.0), ("b", 2.0), ("c", 2.0)]);
        let at_limit = run(&[("a", 2.2), ("b", 2.0), ("c", 0.5)]);
        assert_eq!(Comparison::new(&old, &at_limit).unwrap().verdict(1.1), None, "2.2 / 2 is no more than 1.1");
        let past = run(&[("a", 2.2f64.next_up().next_up()), ("b", 2.0), ("c", 9.0)]);
        let says = Comparison::new(&old, &past).unwrap().verdict(1.1).unwrap();
        assert_eq!(says, "2 of 3 layers are slower than --max-regression 1.1 allows: a 1.100, c 4.500");
    }

    #[test]
    fn rows_tell_times_ratios_and_verdicts() {
        let (old, mut new) = (run(&[("a", 2.0), ("b", 2.0)]), run(&[("a", 1.0), ("b", 4.0)]));
        new.layers[1].algorithm = Some("tiled".into());
        let lines = Comparison::new(&old, &new).unwrap().lines("old.json", 1.1);
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
        let comparison = Comparison::new(&old, &new).unwrap();
        assert_eq!((comparison.pairs.len(), comparison.verdict(1.0)), (1, None));
        let lines = comparison.lines("old.json", 1.1);
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
        let comparison = Comparison::new(&old, &new).unwrap();
        assert!(comparison.pairs.iter().all(|pair| pair.ratio == 1.0) && comparison.only_old.is_empty());
    }

    #[test]
    fn another_machine_is_warned_about() {
        let (mut old, new) = (run(&[("a", 1.0)]), run(&[("a", 1.0)]));
        old.cpu = None;
        assert!(Comparison::new(&old, &new).unwrap().warnings.is_empty(), "older files name no processor");
        if let Some(adapter) = &mut old.adapter {
            (adapter.name, adapter.driver_info) = ("Other GPU".into(), "1.1".into());
        }
        let lines = Comparison::new(&old, &new).unwrap().lines("old.json", 1.1);
        assert_eq!(lines[1], "Warning: the adapter is Test GPU (vulkan) and was Other GPU (vulkan)");
        assert_eq!(lines[2], "Warning: the driver is testdrv 1.2 and was testdrv 1.1");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let says = |old: &Document, new: &Document| Comparison::new(old, new).err().unwrap();
        let (old, none) = (run(&[("a", 1.0)]), run(&[("b", 1.0)]));
        assert!(says(&old, &none).contains("no timed layer of this run"));
        assert!(says(&old, &run(&[("a", 0.0)])).contains("gpu_ms of a is 0"));
        let mut cpu = run(&[("a", 1.0)]);
        (cpu.layers[0].gpu_ms, cpu.layers[0].cpu_ms) = (None, Some(3.0));
        assert!(says(&old, &cpu).contains("the same engine"));
        let mut both = run(&[("a", 1.0)]);
        both.layers[0].cpu_ms = Some(2.0);
        let comparison = Comparison::new(&both, &cpu).unwrap();
        assert_eq!((comparison.engine, comparison.pairs[0].ratio), (Engine::Cpu, 1.5));
    }
}
