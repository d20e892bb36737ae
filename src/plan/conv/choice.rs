//! Which algorithm a convolution gets: the order of preference, and when each of them pays.
//!
//! The first in the [`order`] that [`pays`] and applies is taken. Whether one applies, [`super::applies`] says: it is asked once for each, and its
//! reasons are kept for whoever asks why another was not chosen.

use crate::numeric::{Accuracy, Operands};
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::fft::FourierTile;
use crate::ops::conv::problem::ConvProblem;
use crate::plan::conv::{applies, depthwise, fft, winograd};
use crate::plan::gemm::matrix::{fewest_multiply_adds, fewest_steps};
use crate::plan::profile::DeviceProfile;
use crate::plan::reason;
use crate::types::{ElementType, Result};

/// The algorithms, the preferred first.
fn order(profile: &DeviceProfile) -> [Algorithm; 13] {
    // Workgroup memory and barriers cost on a processor and save nothing (docs/kernels.md).
    let [pointwise, core, other_core] = if profile.is_cpu {
        [Algorithm::PointwiseRegister, Algorithm::ImplicitGemmRegister, Algorithm::ImplicitGemmWorkgroup]
    } else {
        [Algorithm::PointwiseWorkgroup, Algorithm::ImplicitGemmWorkgroup, Algorithm::ImplicitGemmRegister]
    };
    [
        // One output an image leaves most columns of every other core empty.
        Algorithm::AsLinear,
        // The fewer multiplications the better, where the error allows it.
        Algorithm::WinogradF4,
        Algorithm::WinogradF2,
        Algorithm::Fft,
        Algorithm::PointwiseCoop,
        Algorithm::ImplicitGemmCoop,
        Algorithm::PointwiseF16x2,
        Algorithm::ImplicitGemmF16x2,
        Algorithm::Depthwise,
        pointwise,
        core,
        other_core,
        // It admits everything, but for loops that a driver ends.
        Algorithm::Direct,
    ]
}

/// Whether an algorithm that applies is worth it; else why not.
fn pays(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> Result<(), String> {
    let rule = |holds: bool, why: &str| if holds { Ok(()) } else { Err(why.to_string()) };
    match algorithm {
        Algorithm::AsLinear | Algorithm::Direct => Ok(()),
        Algorithm::WinogradF2 | Algorithm::WinogradF4 => rule(
            winograd_pays(algorithm, problem, profile),
            "its transforms are not expected to pay: that takes windows of 3, 16 channels, 16 filters and 32 tiles of outputs, on a GPU 512",
        ),
        Algorithm::Fft => rule(
            fft_pays(problem, profile),
            "its transforms are not expected to pay: that takes 5 taps along an axis, and more multiply-adds than they and their bytes count",
        ),
        Algorithm::ImplicitGemmCoop | Algorithm::ImplicitGemmF16x2 | Algorithm::PointwiseCoop | Algorithm::PointwiseF16x2 => rule(
            matrix_pays(algorithm, problem, profile),
            "cooperative matrices are not expected to pay: that takes a GPU, 32 filters (64 and 8 channels where numbers are split in two), 33 outputs, 64 products each, 10^9 in all (10^8 of f16), and f32 operands rounded only where accuracy reduced asks for it",
        ),
        Algorithm::Depthwise => rule(depthwise_pays(problem, profile), "tiles serve all filters of a channel at once, and it one at a time"),
        Algorithm::ImplicitGemmWorkgroup | Algorithm::ImplicitGemmRegister | Algorithm::PointwiseWorkgroup | Algorithm::PointwiseRegister => {
            let why = format!("with fewer than {FEWEST_TILE_FILTERS} filters a group most of a tile would be empty");
            rule(profile.is_cpu || problem.filters_per_group() >= FEWEST_TILE_FILTERS, &why)
        }
    }
}

/// Measured on software drivers (benchmarks/results/2026-11-21-mesa-26.2.6.md): enough rows and columns for the product's tiles. With 49 columns
/// (256 channels of 14 x 14) it is 1.8 and 3 times as fast as plain sums, with 16 it is not. On a GPU the three kernels one after the other want more:
/// measured on an NVIDIA H100 (docs/real-gpus.md). Windows of 5 are left to the tuner: no rule for them has been measured.
fn winograd_pays(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> bool {
    let columns = winograd::columns(algorithm, problem).unwrap_or(0);
    let fewest = if profile.is_cpu { 32 } else { 512 };
    let is_measured = problem.axes.iter().all(|axis| axis.filter != 5);
    is_measured && problem.filters_per_group() >= 16 && problem.channels_per_group() >= 16 && columns >= fewest
}

/// Taps along an axis from which transforms may pay: shorter windows are Winograd's.
const FEWEST_TRANSFORMED_TAPS: u64 = 5;

/// Multiply-adds that are worth a byte of memory: a processor's cache holds what a part of the tiles needs; a GPU has 6 to 10 of them in the time that a
/// byte takes. No GPU has measured the rule.
fn fft_pays(problem: &ConvProblem, profile: &DeviceProfile) -> bool {
    let byte = if profile.is_cpu { 1.0 } else { 6.0 };
    let times = if problem.channels_per_group() == 1 { 1.0 } else { 2.0 };
    let is_long = problem.axes.iter().any(|axis| axis.filter >= FEWEST_TRANSFORMED_TAPS);
    let own = |tile: FourierTile| tile.multiply_adds(problem) + byte * tile.bytes(problem);
    is_long && fft::tile(problem, profile).is_ok_and(|tile| problem.multiply_adds() as f64 > times * own(tile))
}

/// Columns of half the narrowest tile but for the smallest: a plane of 7 x 7 has as many.
const FEWEST_COLUMNS: u64 = 33;

/// A GPU's units, tiles that the product fills, and enough of them.
fn matrix_pays(algorithm: Algorithm, problem: &ConvProblem, profile: &DeviceProfile) -> bool {
    let columns = problem.batch * problem.output_positions();
    let usual = match (problem.element, algorithm.operands()) {
        (ElementType::F32, Some(Operands::F16)) => problem.accuracy == Accuracy::Reduced,
        _ => true,
    };
    let enough = problem.flops() >= 2.0 * fewest_multiply_adds(problem.element) as f64;
    // Of half a tile, or of channels that are half zeros, what splits numbers in two is slower than plain sums: 32 filters on an H200 took 1.3 times as
    // long, and so did three channels.
    let [filters, channels] = if algorithm.operands() == Some(Operands::F16x2) { [64, 8] } else { [32, 1] };
    let large = problem.filters_per_group() >= filters && problem.channels_per_group() >= channels;
    let deep = algorithm.operands().is_some_and(|operands| problem.reduction_depth() >= fewest_steps(operands));
    usual && enough && !profile.is_cpu && large && columns >= FEWEST_COLUMNS && deep
}

/// Filters of a channel up to which a GPU takes strips; with more, a quarter of its smallest tile's rows are of use. None has measured it, nor
/// blocks, which it takes for any number.
const MOST_STRIP_FILTERS: u64 = 8;

/// It reads its window once for each filter of a channel, tiles once for all: on a processor the estimate of both decides, fitted to
/// benchmarks/notebook/2026-11-22-several-filters-of-a-channel.md. Without 64-bit integers (SwiftShader) it is as fast as tiles with one filter alone.
pub(crate) fn depthwise_pays(problem: &ConvProblem, profile: &DeviceProfile) -> bool {
    let filters = problem.filters_per_group();
    match profile.is_cpu {
        true if !profile.has_int64 => filters == 1,
        true => filters as f64 * depthwise::cycles(problem, profile) <= depthwise::register_cycles(problem, profile),
        false => filters <= MOST_STRIP_FILTERS || depthwise::block_extents(problem).is_some(),
    }
}

/// Filters of a group from which on a GPU takes tiles. None has measured it: below, most of its smallest tile, 32 x 32, is padding. The register core has
/// four rows, and on a processor even one of them pays: 1.1 to 5.7 times as fast as one output an invocation, two 2.1 to 8.7 times, on three software
/// drivers and but for the tiniest planes on one (benchmarks/notebook/2026-11-21-one-and-two-filters.md).
const FEWEST_TILE_FILTERS: u64 = 3;

/// What every algorithm answers a convolution, without the pool that may follow it.
pub(crate) struct Answers<'a> {
    problem: ConvProblem,
    profile: &'a DeviceProfile,
    /// In [`Algorithm::ALL`]'s order.
    answers: [(Algorithm, Result<()>); Algorithm::ALL.len()],
}

impl<'a> Answers<'a> {
    pub fn new(problem: &ConvProblem, profile: &'a DeviceProfile) -> Self {
        let problem = problem.convolution();
        let answers = Algorithm::ALL.map(|algorithm| (algorithm, applies(algorithm, &problem, profile)));
        Self { problem, profile, answers }
    }

    fn answer(&self, wanted: Algorithm) -> Result<()> {
        self.answers.iter().find(|(algorithm, _)| *algorithm == wanted).map_or(Ok(()), |(_, answer)| answer.clone())
    }

    /// The algorithms that apply, in [`Algorithm::ALL`]'s order.
    pub fn admitted(&self) -> Vec<Algorithm> {
        self.answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(algorithm, _)| *algorithm).collect()
    }

    /// The planner's preference among them.
    ///
    /// # Errors
    /// That of the direct kernel, where none applies.
    pub fn preferred(&self) -> Result<Algorithm> {
        let taken = |algorithm: &Algorithm| self.answer(*algorithm).is_ok() && pays(*algorithm, &self.problem, self.profile).is_ok();
        let preferred = order(self.profile).into_iter().find(taken).unwrap_or(Algorithm::Direct);
        self.answer(preferred).map(|()| preferred)
    }

    /// All the others than the one that is forced or preferred, and why: the condition that does not hold, the rule by which it does not pay, or what
    /// comes first.
    pub fn not_chosen(&self) -> Vec<(&'static str, String)> {
        let forced = self.problem.algorithm;
        let chosen = forced.or_else(|| self.preferred().ok());
        let passed_over = |algorithm| match pays(algorithm, &self.problem, self.profile) {
            _ if forced.is_some() => "another one is forced".into(),
            Err(why) => why,
            Ok(()) if algorithm == Algorithm::Direct => "it is for what no other algorithm serves better".into(),
            Ok(()) => chosen.map_or_else(|| "it applies".into(), |chosen| format!("it applies; {chosen} comes first")),
        };
        let others = self.answers.iter().filter(|(algorithm, _)| chosen != Some(*algorithm));
        others.map(|(algorithm, answer)| (algorithm.name(), answer.clone().map_or_else(reason, |()| passed_over(*algorithm)))).collect()
    }
}
