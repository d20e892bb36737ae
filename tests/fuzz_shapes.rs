//! Random problems of every op with extreme numbers, on random devices: whatever a public constructor accepts, everything pure about it answers
//! without a panic, in bounded time and memory. The dev profile checks arithmetic for overflow, so a sum that would wrap in a release panics here.
//!
//! Cases are numbered, and a number makes the same case everywhere. By default the first 40,000 are tried, and no longer than 20 seconds:
//!
//! ```sh
//! cargo test --workspace --test fuzz_shapes                                  # as CI does
//! WGCONV_FUZZ_SECONDS=600 cargo test --workspace --test fuzz_shapes          # as many as that allows
//! WGCONV_FUZZ_CASES=1000000 cargo test --workspace --test fuzz_shapes        # so many
//! WGCONV_FUZZ_FIRST=4711 WGCONV_FUZZ_CASES=1 cargo test --workspace --test fuzz_shapes # that one, which a failure names
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

#[path = "fuzz/problems.rs"]
mod problems;

use problems::{Random, problem};
use std::alloc::{GlobalAlloc, Layout as Request, System};
use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wgconv::op::{Op, Planned, Problem};

/// Most bytes that one allocation may have: tables of a plan have 256 MiB, and a vector doubles as it grows.
const MOST_BYTES: usize = 600 << 20;
/// Most calls of a plan: 16,384 parts, each of which packs, multiplies and adds.
const MOST_STEPS: usize = 10 << 14;
/// A case that takes longer has a loop over something that it should not loop over; machines may be busy.
const MOST_TIME: Duration = Duration::from_secs(60);
/// Failures after which it stops.
const MOST_FAILURES: usize = 10;
/// Unless the environment says otherwise.
const CASES: u64 = 40_000;
const SECONDS: u64 = 20;

/// Cases that failed, tried before all others: a filter gradient's parts and the square of a cooperative matrix past u64 and u32, bands with a row for each of their
/// padding, and with tables for each of them; a pool of so many windows that to compare their counts one by one took a minute. They are what they were for as long as
/// `problems.rs` draws the same numbers; after that they are cases like any other.
const ONCE_FAILED: [u64; 13] = [57_714, 61_654, 94_128, 109_144, 120_985, 123_783, 173_878, 174_613, 182_878, 182_929, 236_083, 382_735, 456_602];

/// The number of the case that runs.
static CASE: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, which refuses more than [`MOST_BYTES`] at once: the process then ends, with the number of the case.
struct Bounded;

// SAFETY: what it gives is the system's, or nothing.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, request: Request) -> *mut u8 {
        if request.size() > MOST_BYTES {
            // Standard error has no buffer, so that nothing is allocated here.
            let _ = writeln!(std::io::stderr(), "case {} asks for {} bytes at once", CASE.load(Ordering::Relaxed), request.size());
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(request) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, request: Request) {
        // SAFETY: the caller's promise; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, request) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// What a caller or a file of verdicts may force on any op, whether it has such a kernel or not.
const FOREIGN_LABELS: [&str; 23] = [
    "",
    " ",
    "direct ",
    "direct 4",
    "rows",
    "tree",
    "tiled",
    "unrolled",
    "depthwise block 4x4",
    "as_linear gemm_register 32x8x4",
    "as_linear gemv 1x64",
    "gemm_register 32x8x4",
    "gemm_workgroup 64x64x16/64",
    "gemm_workgroup 128x128x32",
    "gemm_f16x2 32x32x32",
    "implicit_gemm_register 4x4x1",
    "implicit_gemm_workgroup 32x32x16/64",
    "implicit_gemm_coop 128x128x32",
    "winograd_f2 64x64x16/2",
    "fft",
    "fft 64x64",
    "fft 1x512",
    "winograd_f4 32x8x4",
];

/// Asks everything pure of an op; whether a plan was made.
fn ask(op: impl Into<Op>, random: &mut Random) -> bool {
    let op = &op.into();
    let profile = random.profile();
    let (id, key) = (op.to_string(), op.tuning_key());
    assert!(!id.is_empty() && key.starts_with(op.name()), "{key}");
    assert!(!id.contains("-1x") && !id.contains("x-1_"), "a number that does not fit: {id}");
    for spec in op.inputs().iter().chain(&op.outputs()) {
        assert!(spec.count() > 0 && spec.bytes() >= spec.count(), "{id}: {spec:?}");
    }
    assert!(op.flops() >= 0.0 && op.flops().is_finite(), "{id}: {} flops", op.flops());
    assert!(op.bytes() > 0 && op.terms() > 0);
    let _ = op.is_exact();
    let algorithms = op.algorithms(&profile);
    let candidates = op.candidates(&profile);
    for name in &algorithms {
        let _ = op.is_exact_for(name);
        assert!(op.error_ratio(name) >= 0.0, "{id} by {name}: {}", op.error_ratio(name));
        assert!(op.largest_error(name).is_none_or(|error| error > 0.0), "{id} by {name}: {:?}", op.largest_error(name));
    }
    let mut labels = vec![None];
    if !candidates.is_empty() {
        labels.push(Some(candidates[random.below(candidates.len() as u64) as usize].as_str()));
        labels.push(Some(algorithms[random.below(algorithms.len() as u64) as usize]));
    }
    labels.push(Some(random.pick(&FOREIGN_LABELS)));
    let mut planned = false;
    for label in labels {
        match op.plan(&profile, label) {
            Ok(plan) => {
                planned = true;
                let steps = plan.prepare.len() + plan.steps.len();
                assert!((1..=MOST_STEPS).contains(&steps), "{id}: {label:?} has {steps} steps");
                for step in plan.prepare.iter().chain(&plan.steps) {
                    assert!(step.workgroups.iter().all(|&n| n >= 1 && n <= profile.max_workgroups_per_axis.max(1)), "{id}: {:?}", step.workgroups);
                }
            }
            Err(error) => assert!(!error.to_string().contains("internal error"), "{id}: {error}"),
        }
    }
    if let Some(proxy) = op.proxy() {
        assert!(proxy.flops() <= op.flops(), "{id}: its proxy is {proxy}");
        let _ = (proxy.inputs(), proxy.outputs(), proxy.algorithms(&profile));
    }
    planned
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text}: it is a whole number")))
}

#[test]
fn no_shape_makes_the_planner_panic_or_run_away() {
    let (first, cases, seconds) = (setting("WGCONV_FUZZ_FIRST"), setting("WGCONV_FUZZ_CASES"), setting("WGCONV_FUZZ_SECONDS"));
    // A bound that is given lifts the other.
    let most = cases.unwrap_or(if seconds.is_some() { u64::MAX } else { CASES });
    let end = Duration::from_secs(seconds.unwrap_or(if cases.is_some() { u64::MAX } else { SECONDS }));
    let first = first.unwrap_or(0);
    let begin = Instant::now();
    let mut tried: BTreeMap<&'static str, [u64; 2]> = BTreeMap::new();
    let (mut refused, mut slowest, mut failed) = (0u64, (Duration::ZERO, 0), vec![]);
    let once_failed = ONCE_FAILED.into_iter().filter(|_| first == 0);
    for number in once_failed.chain(first..first.saturating_add(most)) {
        if begin.elapsed() > end || failed.len() == MOST_FAILURES {
            break;
        }
        CASE.store(number, Ordering::Relaxed);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let random = &mut Random(number.wrapping_mul(0xd134_2543_de82_ef95));
            problem(random).ok().map(|op| (op.name(), ask(&op, random)))
        }));
        let taken = start.elapsed();
        match outcome {
            Ok(None) => refused += 1,
            Ok(Some((name, planned))) => {
                let counts = tried.entry(name).or_default();
                counts[0] += 1;
                counts[1] += u64::from(planned);
            }
            Err(_) => failed.push(number),
        }
        if taken > MOST_TIME {
            println!("case {number} took {taken:?}");
            failed.push(number);
        }
        slowest = slowest.max((taken, number));
    }
    println!("{refused} refused; accepted and planned by op: {tried:?}; slowest {slowest:?}");
    assert!(failed.is_empty(), "cases {failed:?} (why, see above); WGCONV_FUZZ_FIRST=4711 WGCONV_FUZZ_CASES=1 repeats 4711");
    if cases.is_none() && begin.elapsed() > Duration::from_secs(5) {
        let least = |i: usize| tried.values().map(|counts| counts[i]).sum::<u64>();
        assert!(tried.len() >= 25 && least(0) > 300 && least(1) > 100, "too few problems are accepted to mean anything: {tried:?}");
    }
}
