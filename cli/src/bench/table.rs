//! The table of a document: its columns, its cells, and how lines of cells are aligned on a terminal.

use super::document::{Document, NetworkRecord, Record, Start, StepRecord, clock_name};
use crate::{one_line, say};
use clap::ValueEnum;

/// What a row tells of a layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Column {
    Layer,
    Shape,
    Algorithm,
    Gpu,
    GpuMin,
    Cpu,
    CpuMin,
    Ratio,
    Gflops,
    Peak,
    Gbytes,
    Copy,
}

impl Column {
    /// All, in the order of a row.
    pub const ALL: [Column; 12] = [
        Column::Layer,
        Column::Shape,
        Column::Algorithm,
        Column::Gpu,
        Column::GpuMin,
        Column::Cpu,
        Column::CpuMin,
        Column::Ratio,
        Column::Gflops,
        Column::Peak,
        Column::Gbytes,
        Column::Copy,
    ];
    /// What a narrow terminal does without, the least missed first.
    const DISPENSABLE: [Column; 10] = [
        Column::Shape,
        Column::Copy,
        Column::Peak,
        Column::Gbytes,
        Column::CpuMin,
        Column::GpuMin,
        Column::Gflops,
        Column::Algorithm,
        Column::Ratio,
        Column::Cpu,
    ];

    pub fn header(self) -> &'static str {
        match self {
            Column::Layer => "layer",
            Column::Shape => "shape",
            Column::Algorithm => "algorithm",
            Column::Gpu => "GPU ms",
            Column::GpuMin => "GPU min",
            Column::Cpu => "CPU ms",
            Column::CpuMin => "CPU min",
            Column::Ratio => "CPU/GPU",
            Column::Gflops => "GFLOP/s",
            Column::Peak => "of peak",
            Column::Gbytes => "GB/s",
            Column::Copy => "of copy",
        }
    }

    /// Words are flush left, figures flush right.
    pub fn is_word(self) -> bool {
        matches!(self, Column::Layer | Column::Shape | Column::Algorithm)
    }

    pub fn cell(self, record: &Record) -> String {
        match self {
            Column::Layer => one_line(&record.layer),
            Column::Shape => one_line(&format!("{} {}", record.op, record.shape)),
            Column::Algorithm => record.algorithm.as_deref().map_or("cpu".into(), one_line),
            Column::Gpu => time(record.gpu_ms, record.gpu_spread),
            Column::GpuMin => time(record.gpu_min_ms, None),
            Column::Cpu => time(record.cpu_ms, record.cpu_spread),
            Column::CpuMin => time(record.cpu_min_ms, None),
            Column::Ratio => match record.ratio_spread.filter(|spread| spread.is_finite()) {
                Some(spread) => format!("{} ±{:.0}%", number(record.cpu_over_gpu), spread * 100.0),
                None => number(record.cpu_over_gpu),
            },
            Column::Gflops => number(record.gflops),
            Column::Peak => share(record.share_of_peak),
            Column::Gbytes => number(record.gbytes_per_s),
            Column::Copy => share(record.share_of_copy),
        }
    }

    /// As wide as its figures seldom exceed; rows are printed before the next ones are known.
    fn usual_width(self) -> usize {
        match self {
            Column::Gpu | Column::Cpu => 14,
            Column::GpuMin | Column::CpuMin => 9,
            Column::Gbytes => 6,
            _ => 7,
        }
    }

    /// Those that are asked for, or all that say something of any record.
    pub fn of(document: &Document, asked: &[Column]) -> Vec<Column> {
        if !asked.is_empty() {
            return asked.to_vec();
        }
        let says = |column: &Column| match column {
            Column::Layer | Column::Shape => true,
            Column::Algorithm => document.layers.iter().any(|record| record.algorithm.is_some()),
            _ => document.layers.iter().any(|record| column.cell(record) != "-"),
        };
        Self::ALL.into_iter().filter(says).collect()
    }

    /// Those that will say something of a run on these engines.
    pub fn on(gpu: bool, cpu: bool, asked: &[Column]) -> Vec<Column> {
        if !asked.is_empty() {
            return asked.to_vec();
        }
        let says = |column: &Column| match column {
            Column::Gpu | Column::GpuMin | Column::Peak | Column::Copy | Column::Algorithm => gpu,
            Column::Cpu | Column::CpuMin => cpu,
            Column::Ratio => gpu && cpu,
            _ => true,
        };
        Self::ALL.into_iter().filter(says).collect()
    }
}

/// What the times may be trusted for.
pub const VERIFIED: &str = "Each output was verified before it was timed.";

/// A number with three significant digits, without an exponent where that is short enough: figures of slow devices do not vanish.
pub fn figure(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !(1e-6..1e9).contains(&magnitude) {
        return if value == 0.0 { "0".into() } else { format!("{value:.2e}") };
    }
    let digits = (2 - magnitude.log10().floor() as i32).max(0) as usize;
    format!("{value:.digits$}")
}

/// A kernel call below its layer.
fn step_line(step: &StepRecord) -> String {
    let [x, y, z] = step.workgroups.map(u64::from);
    format!("    {:>16} ms  {}, {} workgroups", time(Some(step.gpu_ms), Some(step.gpu_samples.spread())), step.kernel, x * y * z)
}

/// Milliseconds: three decimals, and three significant digits of what is below a hundredth.
pub fn milliseconds(ms: f64) -> String {
    if ms > 0.0 && ms < 0.01 { figure(ms) } else { format!("{ms:.3}") }
}

/// A median with its spread, or a dash.
pub fn time(ms: Option<f64>, spread: Option<f64>) -> String {
    match (ms, spread) {
        (Some(ms), Some(spread)) if spread.is_finite() => format!("{} ±{:.0}%", milliseconds(ms), spread * 100.0),
        (Some(ms), _) => milliseconds(ms),
        _ => "-".into(),
    }
}

/// A share in percent, or a dash; below one percent with one significant digit.
pub fn share(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or("-".into(), |v| match v * 100.0 {
        percent if percent <= 0.0 || percent >= 0.95 => format!("{percent:.0}%"),
        percent if percent < 1e-6 => format!("{percent:.0e}%"),
        percent => format!("{percent:.*}%", (-percent.log10().floor()) as usize),
    })
}

/// A [`figure`], or a dash.
pub fn number(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or("-".into(), figure)
}

/// The columns of whole networks; the first is a word.
pub const NETWORK_HEADER: [&str; 11] =
    ["network", "batch", "GPU ms", "CPU ms", "CPU/GPU", "images/s", "GFLOP/s", "of peak", "ops", "dispatches", "weights MB"];
/// The columns of first outputs; the first two are words.
pub const START_HEADER: [&str; 8] = ["network", "first output", "adapter ms", "pipelines", "compile ms", "prepare ms", "run ms", "total ms"];

/// The cells of a network, below [`NETWORK_HEADER`].
pub fn network_cells(network: &NetworkRecord) -> [String; 11] {
    let record = &network.record;
    [
        one_line(&record.layer),
        network.batch.to_string(),
        time(record.gpu_ms, record.gpu_spread),
        time(record.cpu_ms, record.cpu_spread),
        number(record.cpu_over_gpu),
        number(network.images_per_s),
        number(record.gflops),
        share(record.share_of_peak),
        network.ops.to_string(),
        network.dispatches.map_or("-".into(), |count| count.to_string()),
        figure(network.weight_bytes as f64 * 1e-6),
    ]
}

/// A network's times in a line, for while others are timed.
pub fn network_words(network: &NetworkRecord) -> String {
    let record = &network.record;
    let engines = [("GPU", record.gpu_ms, record.gpu_spread), ("CPU", record.cpu_ms, record.cpu_spread)];
    let timed = engines.into_iter().filter(|(_, ms, _)| ms.is_some());
    timed.map(|(engine, ms, spread)| format!("{engine} {} ms", time(ms, spread))).collect::<Vec<_>>().join(", ")
}

/// The cells of a first output, below [`START_HEADER`].
pub fn start_cells(start: &Start) -> [String; 8] {
    let whole = |ms: f64| format!("{ms:.1}");
    let kind = match start.kind.as_str() {
        "cold" => "cold",
        "file" => "pipelines from a file",
        "warm" => "again, same device",
        other => other,
    };
    [
        format!("{} x {}", one_line(&start.network), start.batch),
        one_line(kind),
        start.adapter_ms.map_or("-".into(), whole),
        start.pipelines.to_string(),
        whole(start.compile_ms),
        whole(start.prepare_ms),
        whole(start.first_run_ms),
        whole(start.total_ms),
    ]
}

/// What the times of whole networks may be trusted for, and what was found while they were checked; a line each.
pub fn network_notes(document: &Document) -> Vec<String> {
    let mut notes = Vec::new();
    for network in &document.networks {
        let mut note = format!("{}, batch {}: ", one_line(&network.record.layer), network.batch);
        if let Some(checked) = network.checked {
            note += &format!(
                "the same bits in one submit as op by op, {checked} of {} ops held to the reference (large convolutions in two filters); ",
                network.ops
            );
        }
        if let Some(difference) = network.difference {
            note += &format!("largest difference to the CPU engine {difference:.1e} of the largest output; ");
        }
        if let Some(difference) = network.by_passes {
            note += &format!("passes change it by {difference:.1e}; ");
        }
        let megabytes = |bytes: u64| format!("{} MB", figure(bytes as f64 * 1e-6));
        note += &format!("{} between ops", megabytes(network.activation_bytes));
        if let Some(least) = network.least_bytes.filter(|least| *least > 0) {
            note += &format!(", {:.2} times what is live at once", network.activation_bytes as f64 / least as f64);
        }
        if let Some(peak) = network.peak_bytes {
            note += &format!("; {} on the device at most", megabytes(peak));
        }
        if let Some(host) = network.host_ms {
            note += &format!("; {} ms of the host's time a run", figure(host));
        }
        notes.push(note + ".");
    }
    notes
}

/// What was counted as a training step, and what was checked before; a line each.
pub fn training_notes(document: &Document) -> Vec<String> {
    let mut notes = Vec::new();
    for training in &document.training {
        let mut note = format!(
            "{}, batch {}: {} parameters in {} tensors, {} by {}; forward: {} ops with the loss; with the gradients {} ops",
            one_line(&training.network),
            training.batch,
            training.parameters,
            training.tensors,
            one_line(&training.loss),
            one_line(&training.optimizer),
            training.forward_ops,
            training.ops
        );
        if let Some(dispatches) = training.dispatches {
            note += &format!(", {dispatches} dispatches");
        }
        if let Some(checked) = training.checked {
            note += &format!("; the same bits in one submit as op by op, {checked} of {} ops held to the reference", training.ops);
        }
        if let Some(difference) = training.difference {
            note += &format!("; largest difference of gradients between the engines {difference:.1e} of the largest");
        }
        notes.push(format!("{note}; {} rounds.", training.rounds));
    }
    if !notes.is_empty() {
        notes.push(TRAINING_NOTE.into());
    }
    notes
}

/// What the times of training steps are.
const TRAINING_NOTE: &str = "Wall clock, submit and wait included. Backward is what running the graph with its gradients takes more than running \
     it without, round by round. Step is one of the library's trainer: the batch copied and given to the engine, everything run, the parameters changed. \
     Batch norms have constant statistics. Parts and engines were timed in turn; CPU/GPU is the median of the ratios of rounds.";

/// What the times of first outputs count.
pub const START_NOTE: &str = "Cold has no pipelines from a file, but the driver's own cache may know the shaders. Compile ms is the time of all \
     pipelines, several at once; a driver that compiles when a kernel first runs spends that time in run ms.";

/// Prints the tables of networks and first outputs, where there are any.
fn print_networks(document: &Document) {
    let lines = |header: &[&str], words: usize, rows: Vec<Vec<String>>| {
        let header = header.iter().map(|name| name.to_string()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
        aligned(&rows, words).iter().for_each(|line| say!("{line}"));
    };
    if !document.networks.is_empty() {
        lines(&NETWORK_HEADER, 1, document.networks.iter().map(|network| network_cells(network).to_vec()).collect());
        network_notes(document).iter().for_each(|note| say!("{note}"));
    }
    if !document.starts.is_empty() {
        lines(&START_HEADER, 2, document.starts.iter().map(|start| start_cells(start).to_vec()).collect());
        say!("{START_NOTE}");
    }
}

/// Prints what is not printed yet: networks, and what the times were taken with.
pub fn print_rest(document: &Document) {
    if document.layers.is_empty() && document.networks.is_empty() && document.starts.is_empty() {
        return;
    }
    print_networks(document);
    training_notes(document).iter().for_each(|note| say!("{note}"));
    if let Some(clock) = document.clock {
        say!("GPU times: {}. {VERIFIED}", clock_name(clock));
    }
    document.noise().iter().for_each(|noise| say!("{noise}"));
    if let Some(opened) = &document.opened {
        say!("Start: {opened}.");
    }
}

/// The table of layers, a row at a time: its columns are as wide as what is known beforehand, and as figures usually are.
pub struct Rows {
    columns: Vec<Column>,
    widths: Vec<usize>,
    /// Whether a layer has several rows, of which an arrow marks the planner's choice.
    several: bool,
    headed: bool,
    /// What the terminal has no room for.
    left_out: Vec<Column>,
}

impl Rows {
    /// `words` are the words of each row that will come; `room` is the width of the terminal, if it is one.
    pub fn new(columns: &[Column], words: &[[String; 3]], several: bool, room: Option<usize>) -> Self {
        let width = |column: Column| {
            let widest = |i: usize| words.iter().map(|row| one_line(&row[i]).chars().count()).max().unwrap_or(0);
            let usual = match column {
                Column::Layer => widest(0),
                Column::Shape => widest(1),
                Column::Algorithm => widest(2) + if several { " <--".len() } else { 0 },
                figure => figure.usual_width(),
            };
            usual.max(column.header().len())
        };
        let (columns, left_out) = match room {
            Some(room) => fitting(columns, width, room),
            None => (columns.to_vec(), Vec::new()),
        };
        let widths = columns.iter().map(|column| width(*column)).collect();
        Self { columns, widths, several, headed: false, left_out }
    }

    /// The lines of these records; the first have the header in front.
    pub fn lines(&mut self, records: &[Record]) -> Vec<String> {
        let mut lines = Vec::new();
        if !records.is_empty() && !std::mem::replace(&mut self.headed, true) {
            lines.push(self.line(|column| column.header().to_string()));
        }
        for record in records {
            lines.push(self.line(|column| match column {
                Column::Algorithm if record.picked && self.several => column.cell(record) + " <--",
                column => column.cell(record),
            }));
            lines.extend(record.steps.iter().map(step_line));
        }
        lines
    }

    fn line(&self, cell: impl Fn(Column) -> String) -> String {
        let cells = self.columns.iter().zip(&self.widths).map(|(column, width)| {
            let cell = cell(*column);
            if column.is_word() { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    }

    /// What is not shown, and how to see it.
    pub fn note(&self) -> Option<String> {
        let names: Vec<&str> = self.left_out.iter().map(|column| column.header()).collect();
        let what = names.join(", ");
        (self.headed && !names.is_empty()).then(|| format!("Without {what}, for which this terminal has no room; --columns chooses, files have all."))
    }
}

/// Those columns that fit into `room`, and the others.
fn fitting(columns: &[Column], width: impl Fn(Column) -> usize, room: usize) -> (Vec<Column>, Vec<Column>) {
    let total = |columns: &[Column]| columns.iter().map(|column| width(*column) + 2).sum::<usize>().saturating_sub(2);
    let mut kept = columns.to_vec();
    let mut gone = Vec::new();
    for column in Column::DISPENSABLE {
        if total(&kept) <= room {
            break;
        }
        if let Some(place) = kept.iter().position(|kept| *kept == column) {
            gone.push(kept.remove(place));
        }
    }
    // What went early may still fit beside what is left: the most missed first.
    let mut out = Vec::new();
    for column in gone.into_iter().rev() {
        let with: Vec<Column> = columns.iter().copied().filter(|c| kept.contains(c) || *c == column).collect();
        if total(&with) <= room { kept = with } else { out.push(column) }
    }
    let left_out = columns.iter().copied().filter(|column| out.contains(column)).collect();
    (kept, left_out)
}

/// Lines of rows of equal length, the first `words` columns flush left and the others flush right.
pub fn aligned(rows: &[Vec<String>], words: usize) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).map(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cell = |(i, (cell, width)): (usize, (&String, &usize))| {
            if i < words { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        row.iter().zip(&widths).enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{document, record};
    use super::*;

    #[test]
    fn digits_do_not_vanish() {
        for (value, text) in [
            (0.0, "0"),
            (0.004_321, "0.00432"),
            (0.0432, "0.0432"),
            (1.0, "1.00"),
            (11.26, "11.3"),
            (90.9, "90.9"),
            (1234.4, "1234"),
            (3e-9, "3.00e-9"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!([118.2, 0.0138, 0.004_321, 0.0].map(milliseconds), ["118.200", "0.014", "0.00432", "0.000"]);
        assert_eq!([0.62, 0.0094, 0.0005, 0.0, 0.0095].map(|v| share(Some(v))), ["62%", "0.9%", "0.05%", "0%", "1%"]);
        assert_eq!(time(Some(1.5), Some(0.034)), "1.500 ±3%");
        assert_eq!(time(Some(0.0), Some(f64::NAN)), "0.000");
        assert_eq!([number(Some(f64::INFINITY)), share(Some(f64::NAN))], ["-", "-"]);
        assert_eq!((time(None, None), share(None), number(None)), ("-".into(), "-".into(), "-".into()));
    }

    #[test]
    fn words_are_flush_left_and_figures_flush_right() {
        let rows = [["a", "1.0"], ["long ±", "20.0"], ["b", ""]].map(|row| row.map(String::from).to_vec());
        assert_eq!(aligned(&rows, 1), ["a        1.0", "long ±  20.0", "b"]);
    }

    #[test]
    fn columns_that_say_nothing_are_left_out() {
        let mut cpu = document(vec![record("a", "x", 1.0, 0.1)]);
        let one = &mut cpu.layers[0];
        (one.gpu_ms, one.gpu_min_ms, one.share_of_peak, one.share_of_copy, one.algorithm) = (None, None, None, None, None);
        (one.cpu_ms, one.cpu_min_ms) = (Some(1.0), Some(0.5));
        let wanted = [Column::Layer, Column::Shape, Column::Cpu, Column::CpuMin, Column::Gflops, Column::Gbytes];
        assert_eq!((Column::of(&cpu, &[]), Column::on(false, true, &[])), (wanted.to_vec(), wanted.to_vec()));
        assert_eq!(Column::of(&cpu, &[Column::Ratio]), [Column::Ratio], "what is asked for is shown");
    }

    #[test]
    fn a_row_fits_its_terminal_and_a_name_cannot_break_it() {
        let mut document = document(vec![record("dw3x3_144_144_56_s2\n\u{1b}[31m", "implicit_gemm_register 24x8x3", 1234.5, 0.95)]);
        document.layers[0].cpu_ms = Some(1.0);
        let words = [Column::Layer, Column::Shape, Column::Algorithm].map(|column| column.cell(&document.layers[0]));
        for room in [34, 60, 80, 120, 300] {
            let mut rows = Rows::new(&Column::ALL, std::slice::from_ref(&words), false, Some(room));
            let lines = rows.lines(&document.layers);
            assert_eq!(lines.len(), 2);
            assert!(lines.iter().all(|line| line.chars().count() <= room.max(47) && !line.contains(['\u{1b}', '\n'])), "{room}: {lines:#?}");
            assert_eq!(lines[0].chars().count(), lines[1].chars().count(), "{lines:#?}");
            assert!(lines[0].starts_with("layer") && lines[0].contains("GPU ms"));
            assert_eq!(rows.note().is_none(), room == 300);
        }
        let mut full = Rows::new(&Column::ALL, &[words], true, None);
        assert!(full.lines(&document.layers)[1].contains("24x8x3 <--") && full.lines(&document.layers).len() == 1, "one header");
    }
}
