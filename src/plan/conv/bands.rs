//! A convolution whose image fits no binding, in bands of its outputs ([`crate::plan::bands`]).

use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::plan::bands::{self, Band, gathering, outputs_per_band, scattering};
use crate::plan::conv::{plan_windows, winograd};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::reference::conv::fourier_tile;
use crate::types::shape::{PaddingMode, WindowAxis};
use crate::types::{Error, Result};

/// The bands of `problem`, which has no pool, along its first axis that has more outputs than fit: which axis, and how many outputs each has, a multiple of
/// `multiple`. `None` where every image fits, or no cut helps.
fn cut(problem: &ConvProblem, multiple: u64, profile: &DeviceProfile) -> Option<(usize, u64, Vec<Band<ConvProblem>>)> {
    let row = |axis: usize, extent: fn(&WindowAxis) -> u64, channels: u64| {
        let others = (0..3).filter(|other| *other != axis).map(|other| extent(&problem.axes[other])).product::<u64>();
        others * channels * problem.element.bytes()
    };
    (0..3).find_map(|at| {
        let axis = &problem.axes[at];
        let slab = [row(at, |a| a.input, problem.in_channels), row(at, |a| a.output, problem.out_channels)];
        let reach = |outputs: u64| match problem.direction {
            Direction::Forward if problem.padding_mode != PaddingMode::Zeros => (outputs - 1) * axis.stride + axis.window_extent(),
            Direction::Forward => axis.input.min((outputs - 1) * axis.stride + axis.window_extent()),
            Direction::Transposed => axis.input.min((outputs + axis.window_extent() - 2) / axis.stride + 2),
        };
        let count = outputs_per_band(axis, slab, (problem.batch, multiple), reach, profile)?;
        let bands = match problem.direction {
            Direction::Forward => gathering(axis, problem.padding_mode, count)?,
            Direction::Transposed => scattering(axis, count),
        };
        let of_axis = |axis: WindowAxis| {
            let mut band = ConvProblem { batch: 1, ..problem.clone() };
            band.axes[at] = axis;
            band
        };
        Some((at, count, bands.into_iter().map(|band| band.of(of_axis)).collect()))
    })
}

/// The outputs along axis `at` at multiples of which bands may begin: what a transform mixes is bounded tile by tile, so that tiles must be those of the
/// whole image. `None`: there are none.
fn unit(label: &str, problem: &ConvProblem, at: usize) -> Option<u64> {
    let Some(plane_axis) = at.checked_sub(1) else { return Some(1) }; // no transform has a depth
    if let Some(tile) = fourier_tile(label, problem) {
        // Tiles are transformed in pairs, row by row.
        let ([rows, columns], [tiles_h, tiles_w]) = (tile.outputs(problem), tile.tiles(problem));
        return match plane_axis {
            0 => Some(rows * (1 + tiles_w % 2)),
            _ => (tiles_h == 1).then_some(2 * columns),
        };
    }
    let algorithm = label.split(' ').next()?.parse().ok()?;
    Some(winograd::tile_extents(algorithm, problem).map_or(1, |tile| tile[plane_axis]))
}

/// Plans the bands of a convolution without a pool; `None` where there are none.
pub(crate) fn plan(problem: &ConvProblem, profile: &DeviceProfile, tile: Option<&str>) -> Option<Result<Plan>> {
    let (at, count, bands) = cut(problem, 1, profile)?;
    let of = |bands: &[Band<ConvProblem>], algorithm: Option<Algorithm>, tile: Option<&str>| {
        let axis = at + problem.rank - 1; // N and C come before the axes that the caller used
        let addend = problem.has_residual.then(|| 2 + usize::from(problem.has_bias));
        let plan_band = |band: &ConvProblem| plan_windows(&band.clone().with_algorithm(algorithm), profile, tile);
        let plan = Plan::new(problem.name(), String::new(), problem.inputs(), problem.outputs());
        bands::fill(plan, (problem.batch, axis), bands, addend, plan_band, profile)
    };
    // One algorithm for all of them, the first one's: the errors of the whole are those of its label.
    let chosen = match plan_windows(&bands.first()?.problem, profile, tile) {
        Ok(plan) => plan,
        Err(error) => return Some(Err(error)),
    };
    let named = match chosen.algorithm().parse::<Algorithm>() {
        Ok(algorithm) => algorithm,
        Err(error) => return Some(Err(error)),
    };
    let aligned = match unit(&chosen.label, problem, at) {
        Some(unit) if count % unit == 0 || bands.len() == 1 => Some(bands.clone()),
        Some(unit) => cut(problem, unit, profile).filter(|(axis, ..)| *axis == at).map(|(_, _, bands)| bands),
        None => None,
    };
    let own_tile = if named == Algorithm::Fft { chosen.label.split(' ').nth(1) } else { tile };
    let planned = aligned.map(|bands| of(&bands, Some(named), own_tile));
    match planned {
        Some(planned) if problem.algorithm.is_some() || !matches!(planned, Err(Error::Unsupported { .. })) => Some(planned),
        None if problem.algorithm.is_some() => {
            let reason = "its tiles are not those of the whole image in bands that fit a binding".to_string();
            Some(Err(Error::Unsupported { algorithm: named.to_string(), reason }))
        }
        // What is best for the first does not apply to them all.
        _ => Some(of(&bands, Some(Algorithm::ImplicitGemmRegister), None).or_else(|_| of(&bands, Some(Algorithm::Direct), None))),
    }
}
