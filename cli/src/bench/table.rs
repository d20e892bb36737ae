//! The table of a document: its columns, its cells, and how lines of cells are aligned on a terminal.

use super::document::{Document, NetworkRecord, Record, Start, clock_name};
use crate::say;

/// The columns; the first three are words, the others figures.
pub const HEADER: [&str; 10] = ["layer", "shape", "algorithm", "GPU ms", "CPU ms", "CPU/GPU", "GFLOP/s", "of peak", "GB/s", "of copy"];
/// What the times may be trusted for.
pub const VERIFIED: &str = "Each output was verified before it was timed.";
/// How many columns are words.
pub const WORDS: usize = 3;

/// Milliseconds; times below a hundredth with the digits that are left of them.
pub fn milliseconds(ms: f64) -> String {
    if ms > 0.0 && ms < 0.01 { format!("{ms:.5}") } else { format!("{ms:.3}") }
}

/// A median with its spread, or a dash.
pub fn time(ms: Option<f64>, spread: Option<f64>) -> String {
    match (ms, spread) {
        (Some(ms), Some(spread)) if spread.is_finite() => format!("{} ±{:.0}%", milliseconds(ms), spread * 100.0),
        (Some(ms), _) => milliseconds(ms),
        _ => "-".into(),
    }
}

/// A share in percent, or a dash.
pub fn share(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or("-".into(), |v| format!("{:.0}%", v * 100.0))
}

/// A number with `digits` decimals, or a dash.
pub fn number(value: Option<f64>, digits: usize) -> String {
    value.filter(|v| v.is_finite()).map_or("-".into(), |v| format!("{v:.digits$}"))
}

/// The cells of a record, below [`HEADER`].
pub fn cells(record: &Record) -> [String; 10] {
    [
        record.layer.clone(),
        format!("{} {}", record.op, record.shape),
        record.algorithm.clone().unwrap_or("cpu".into()),
        time(record.gpu_ms, record.gpu_spread),
        time(record.cpu_ms, record.cpu_spread),
        number(record.cpu_over_gpu, 2),
        number(record.gflops, 1),
        share(record.share_of_peak),
        number(record.gbytes_per_s, 1),
        share(record.share_of_copy),
    ]
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
        record.layer.clone(),
        network.batch.to_string(),
        time(record.gpu_ms, record.gpu_spread),
        time(record.cpu_ms, record.cpu_spread),
        number(record.cpu_over_gpu, 2),
        number(network.images_per_s, 2),
        number(record.gflops, 1),
        share(record.share_of_peak),
        network.ops.to_string(),
        network.dispatches.map_or("-".into(), |count| count.to_string()),
        format!("{:.2}", network.weight_bytes as f64 * 1e-6),
    ]
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
        format!("{} x {}", start.network, start.batch),
        kind.into(),
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
        let mut note = format!("{}, batch {}: ", network.record.layer, network.batch);
        if let Some(checked) = network.checked {
            note += &format!(
                "the same bits in one submit as op by op, {checked} of {} ops held to the reference (large convolutions in two filters); ",
                network.ops
            );
        }
        if let Some(difference) = network.difference {
            note += &format!("largest difference to the CPU engine {difference:.1e} of the largest output; ");
        }
        notes.push(note + &format!("{:.1} MB between ops.", network.activation_bytes as f64 * 1e-6));
    }
    notes
}

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

/// Prints the table, where there is any line, and what the times were taken with. Where a layer has several lines, an arrow marks the
/// planner's choice.
pub fn print(document: &Document) {
    if document.layers.is_empty() && document.networks.is_empty() && document.starts.is_empty() {
        return;
    }
    if !document.layers.is_empty() {
        print_layers(document);
    }
    print_networks(document);
    if let Some(clock) = document.clock {
        say!("GPU times: {}. {VERIFIED}", clock_name(clock));
    }
    if let Some(opened) = &document.opened {
        say!("Start: {opened}.");
    }
}

fn print_layers(document: &Document) {
    let several = document.has_candidates();
    let mut rows = vec![HEADER.map(String::from).to_vec()];
    for record in &document.layers {
        let mut row = cells(record).to_vec();
        if record.picked && several {
            row[2] += " <--";
        }
        rows.push(row);
    }
    for line in aligned(&rows, WORDS) {
        say!("{line}");
    }
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
    use super::*;

    #[test]
    fn short_times_keep_their_digits() {
        assert_eq!([118.2, 0.0138, 0.004_321, 0.0].map(milliseconds), ["118.200", "0.014", "0.00432", "0.000"]);
        assert_eq!(time(Some(1.5), Some(0.034)), "1.500 ±3%");
        assert_eq!(time(Some(0.0), Some(f64::NAN)), "0.000");
        assert_eq!([number(Some(f64::INFINITY), 1), share(Some(f64::NAN))], ["-", "-"]);
        assert_eq!((time(None, None), share(None), number(None, 1)), ("-".into(), "-".into(), "-".into()));
    }

    #[test]
    fn words_are_flush_left_and_figures_flush_right() {
        let rows = [["a", "1.0"], ["long ±", "20.0"], ["b", ""]].map(|row| row.map(String::from).to_vec());
        assert_eq!(aligned(&rows, 1), ["a        1.0", "long ±  20.0", "b"]);
    }
}
