//! A document as comma-separated values: a line for each layer and algorithm, and for each whole network, with plain numbers.

use super::document::{Document, Record};
use crate::{Failure, Outcome, write_text};
use std::path::Path;

const HEADER: [&str; 18] = [
    "layer",
    "op",
    "shape",
    "algorithm",
    "picked",
    "gpu_ms",
    "gpu_min_ms",
    "gpu_spread",
    "cpu_ms",
    "cpu_min_ms",
    "cpu_spread",
    "cpu_over_gpu",
    "gflops",
    "share_of_peak",
    "gbytes_per_s",
    "share_of_copy",
    "flops",
    "bytes",
];

/// Writes them to `path`.
pub fn write(path: &Path, document: &Document) -> Outcome {
    let text = text(document).map_err(|why| Failure::Run(format!("{}: {why}", path.display())))?;
    write_text(path, &text)
}

fn text(document: &Document) -> Result<String, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER).map_err(|e| e.to_string())?;
    for record in document.layers.iter().chain(document.networks.iter().map(|network| &network.record)) {
        writer.write_record(cells(record)).map_err(|e| e.to_string())?;
    }
    String::from_utf8(writer.into_inner().map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

/// A value that is not there, or no number, is an empty cell.
fn cells(record: &Record) -> [String; 18] {
    let number = |value: Option<f64>| value.filter(|v| v.is_finite()).map_or(String::new(), |v| v.to_string());
    [
        record.layer.clone(),
        record.op.clone(),
        record.shape.clone(),
        record.algorithm.clone().unwrap_or_default(),
        record.picked.to_string(),
        number(record.gpu_ms),
        number(record.gpu_min_ms),
        number(record.gpu_spread),
        number(record.cpu_ms),
        number(record.cpu_min_ms),
        number(record.cpu_spread),
        number(record.cpu_over_gpu),
        number(record.gflops),
        number(record.share_of_peak),
        number(record.gbytes_per_s),
        number(record.share_of_copy),
        number(Some(record.flops)),
        record.bytes.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::{document, network, record};
    use super::*;

    #[test]
    fn every_record_is_a_line_whatever_its_name_is() {
        let mut one = document(vec![record("a,\"b\"\nc", "direct 4x4", 2.0, f64::NAN)]);
        one.networks.push(network("lenet5", 16, 4.0));
        let text = text(&one).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), &HEADER[..]);
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((&rows[0][0], &rows[0][3], &rows[0][5], &rows[0][6], &rows[0][7]), ("a,\"b\"\nc", "direct 4x4", "2", "1.8", ""));
        assert_eq!((&rows[1][1], &rows[1][2]), ("network", "batch 16"));
    }
}
