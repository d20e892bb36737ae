//! What arguments of several commands share: numbers of seconds, and output files that are tried before the work begins.

use crate::{Failure, Outcome, output};
use std::path::Path;
use std::time::Duration;

/// The value of an argument that is a number of seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    // More than a duration holds is as good as for ever.
    seconds.map(|s| Duration::try_from_secs_f64(s).unwrap_or(Duration::MAX)).ok_or_else(|| "it is a number of seconds, 0 or more".into())
}

/// Refuses output files that cannot be written, all of them in one message, before any work is done for them. `-` is standard output.
pub fn try_outputs<'a>(outputs: impl IntoIterator<Item = (&'a str, Option<&'a Path>)>) -> Outcome {
    let wrong: Vec<String> = outputs
        .into_iter()
        .filter_map(|(argument, path)| {
            let path = path.filter(|path| *path != Path::new("-"))?;
            match output::check(path) {
                Err(Failure::Run(why)) => Some(format!("{argument} is {why}")),
                _ => None,
            }
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Run(wrong.join("; "))) }
}

/// Does each of these whatever becomes of the others, and gives all that went wrong as one failure.
pub fn all(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    let mut wrong = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(()) => {}
            Err(Failure::Run(why)) => wrong.push(why),
            Err(other) => return Err(other),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Run(wrong.join("; "))) }
}
