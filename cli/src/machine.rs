//! What a report says of the machine and the moment: date, processor, system, load.

use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// The operating system.
#[derive(Serialize)]
pub struct System {
    /// Such as `linux`.
    pub os: &'static str,
    /// Such as `x86_64`: what the program is built for.
    pub arch: &'static str,
    /// The distribution's own name, where the system tells it by a file.
    pub name: Option<String>,
    /// The version of the kernel, likewise.
    pub kernel: Option<String>,
}

pub fn system() -> System {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"').to_string());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_string());
    System { os: std::env::consts::OS, arch: std::env::consts::ARCH, name, kernel }
}

/// The processor's name, where the system tells it by a file.
pub fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, rest) = text.split_once("model name")?;
    let (_, name) = rest.lines().next()?.split_once(':')?;
    Some(crate::one_line(name)).filter(|name| !name.is_empty())
}

pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Processes that wanted a processor in the last minute, on average, where the system tells it by a file.
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The present, UTC, such as `2026-11-21 07:40 UTC`.
pub fn now() -> String {
    date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Seconds since 1970 as a date: years begin in March, so that the day of leap years comes last.
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468; // since 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let minutes = seconds / 60;
    format!("{year:04}-{month:02}-{:02} {:02}:{:02} UTC", day - (153 * march + 2) / 5 + 1, minutes / 60 % 24, minutes % 60)
}

/// A stretch of time for people: `8.2 s`, `3 min 20 s`, `1 h 05 min`.
pub fn stretch(seconds: f64) -> String {
    match seconds {
        s if s < 59.95 => format!("{s:.1} s"),
        s if s < 3599.5 => format!("{:.0} min {:02.0} s", (s.round() / 60.0).floor(), s.round() % 60.0),
        s => format!("{:.0} h {:02.0} min", (s / 60.0).round().div_euclid(60.0), (s / 60.0).round() % 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_827_696, "2000-02-29 12:34 UTC"),
            (1_709_251_199, "2024-02-29 23:59 UTC"),
            (1_709_251_200, "2024-03-01 00:00 UTC"),
            (4_102_444_799, "2099-12-31 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }

    #[test]
    fn stretches_are_short() {
        for (seconds, text) in
            [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (200.4, "3 min 20 s"), (3599.6, "1 h 00 min"), (3900.0, "1 h 05 min")]
        {
            assert_eq!(stretch(seconds), text);
        }
    }
}
