//! The report of a validation, to be sent on: what ran, where, by which command, and every case with its time. Written as JSON, as
//! deqp-runner's results.csv, and as JUnit's XML.

use super::lists::Status;
use crate::bench::axis::escape;
use crate::machine::{self, System};
use crate::{Failure, Outcome, write_text};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use wgconv::gpu::AdapterReport;
use wgconv::validate::{CaseResult, Outcome as CaseOutcome};

/// The JSON file.
#[derive(Serialize)]
pub struct Document {
    /// Of this file; 1 was a bare list of adapters and results.
    pub format: u32,
    /// Of wgconv.
    pub version: &'static str,
    /// The version of wgpu, where the build knew it.
    pub wgpu: Option<&'static str>,
    /// When the run began, UTC.
    pub date: String,
    /// The words of the command line.
    pub command: Vec<String>,
    pub options: Options,
    pub system: System,
    /// The processor's name, where the system tells it.
    pub processor: Option<String>,
    pub threads: usize,
    /// Of the whole run.
    pub seconds: f64,
    /// Why the run ended before its last case.
    pub ended_early: Option<String>,
    pub counts: Counts,
    /// One for each adapter.
    pub runs: Vec<Run>,
}

/// What was asked for.
#[derive(Serialize, Default)]
pub struct Options {
    pub full: bool,
    pub limits: super::Limits,
    pub only: Vec<String>,
    /// The part of the cases that was run, where not all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<super::Shard>,
    pub vectors: Vec<String>,
    pub budget_seconds: Option<f64>,
    pub lists: bool,
}

/// Everything on one adapter.
#[derive(Serialize)]
pub struct Run {
    /// Vendor and device, driver, limits, features.
    pub adapter: AdapterReport,
    pub seconds: f64,
    pub counts: Counts,
    /// What ended the run, such as the loss of the device.
    pub error: Option<String>,
    pub results: Vec<Record>,
}

/// A case.
#[derive(Serialize)]
pub struct Record {
    #[serde(flatten)]
    pub result: CaseResult,
    /// The outcome beside what was expected.
    pub status: Status,
    pub seconds: f64,
}

#[derive(Serialize, Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub expected_fails: usize,
    pub unexpected_passes: usize,
    pub known_flakes: usize,
    /// Cases that were asked for and had no turn.
    pub not_run: usize,
}

impl Counts {
    pub fn of(records: &[Record], not_run: usize) -> Self {
        let mut counts = Counts { not_run, ..Default::default() };
        for record in records {
            *match record.status {
                Status::Pass => &mut counts.passed,
                Status::Fail => &mut counts.failed,
                Status::Skip => &mut counts.skipped,
                Status::ExpectedFail => &mut counts.expected_fails,
                Status::UnexpectedImprovement => &mut counts.unexpected_passes,
                Status::KnownFlake => &mut counts.known_flakes,
            } += 1;
        }
        counts
    }

    pub fn add(&mut self, other: &Counts) {
        let Counts { passed, failed, skipped, expected_fails, unexpected_passes, known_flakes, not_run } = other;
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
        self.expected_fails += expected_fails;
        self.unexpected_passes += unexpected_passes;
        self.known_flakes += known_flakes;
        self.not_run += not_run;
    }

    /// Cases that failed, or that passed against what was expected.
    pub fn wrong(&self) -> usize {
        self.failed + self.unexpected_passes
    }

    /// Cases that ran, whatever became of them.
    pub fn ran(&self) -> usize {
        self.passed + self.failed + self.expected_fails + self.unexpected_passes + self.known_flakes
    }
}

/// `6 passed, 0 failed, 0 skipped`, and the rest where there is any.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)?;
        for (count, what) in [
            (self.expected_fails, "failed as expected"),
            (self.unexpected_passes, "passed against expectation"),
            (self.known_flakes, "known flakes"),
            (self.not_run, "not run"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl Document {
    /// A report without runs.
    pub fn new(options: Options) -> Self {
        Self {
            format: 2,
            version: env!("CARGO_PKG_VERSION"),
            wgpu: option_env!("WGCONV_WGPU_VERSION"),
            date: machine::now(),
            command: std::env::args().collect(),
            options,
            system: machine::system(),
            processor: machine::processor(),
            threads: machine::threads(),
            seconds: 0.0,
            ended_early: None,
            counts: Counts::default(),
            runs: Vec::new(),
        }
    }

    /// Name, status, seconds; names hold commas and are quoted as in any CSV file. Where several adapters ran, a name begins with the
    /// adapter's number.
    pub fn write_results(&self, path: &Path) -> Outcome {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let fail = |why: String| Failure::Run(format!("{}: {why}", path.display()));
        for run in &self.runs {
            for record in &run.results {
                let name = if self.runs.len() > 1 { format!("{}/{}", run.adapter.index, record.result.id) } else { record.result.id.clone() };
                writer.write_record([name.as_str(), record.status.name(), &format!("{:.6}", record.seconds)]).map_err(|e| fail(e.to_string()))?;
            }
        }
        let bytes = writer.into_inner().map_err(|e| fail(e.to_string()))?;
        write_text(path, &String::from_utf8(bytes).map_err(|e| fail(e.to_string()))?)
    }

    /// A suite for each adapter; the class of a case is its op, `network`, or its family of vectors.
    pub fn junit(&self) -> String {
        let suites: String = self.runs.iter().map(|run| self.suite(run)).collect();
        let Counts { skipped, .. } = self.counts;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"wgconv validate\" tests=\"{}\" failures=\"{}\" skipped=\"{skipped}\" time=\"{:.3}\">\n{suites}</testsuites>\n",
            self.counts.ran() + skipped,
            self.counts.wrong(),
            self.seconds
        )
    }

    fn suite(&self, run: &Run) -> String {
        let facts: BTreeMap<&str, String> = [
            ("adapter", run.adapter.to_string()),
            ("vendor and device", format!("{:04x}:{:04x}", run.adapter.vendor_id, run.adapter.device_id)),
            ("wgconv", self.version.into()),
            ("wgpu", self.wgpu.unwrap_or("unknown").into()),
            ("date", self.date.clone()),
            ("command", self.command.join(" ")),
        ]
        .into();
        let mut xml = format!(
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n<properties>\n",
            escape(&run.adapter.name),
            run.results.len(),
            run.counts.wrong(),
            usize::from(run.error.is_some()),
            run.counts.skipped,
            run.seconds
        );
        for (name, value) in facts {
            xml += &format!("<property name=\"{name}\" value=\"{}\"/>\n", escape(&value));
        }
        xml += "</properties>\n";
        for Record { result, status, seconds } in &run.results {
            let (class, name) = result.id.split_once('/').unwrap_or(("wgconv", &result.id));
            xml += &format!("<testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.6}\">", escape(class), escape(name));
            let why = match &result.outcome {
                CaseOutcome::Failed(why) | CaseOutcome::Skipped(why) => why.as_str(),
                CaseOutcome::Passed => "it was expected to fail, and passed",
            };
            match status {
                Status::Pass => {}
                Status::Fail | Status::UnexpectedImprovement => xml += &format!("<failure message=\"{}\"/>", escape(why)),
                Status::Skip => xml += &format!("<skipped message=\"{}\"/>", escape(why)),
                Status::ExpectedFail | Status::KnownFlake => xml += &format!("<system-out>{}: {}</system-out>", status.name(), escape(why)),
            }
            xml += "</testcase>\n";
        }
        if let Some(error) = &run.error {
            xml += &format!("<system-err>{}</system-err>\n", escape(error));
        }
        xml + "</testsuite>\n"
    }
}
