//! Winograd's minimal filtering, 3 x 3 windows at stride 1, where the accuracy that is asked for admits it: F(2,3) and F(4,3) of `ops/conv/winograd.rs`.
//!
//! Tiles are numbered across rows, as outputs are in `direct`: a vector holds the same element of neighbouring tiles. A task transforms a band of tiles, which
//! stays in its core's cache, multiplies it by each panel of transformed filters, and transforms the sums while they are warm.

use crate::cpu::bands::{BANDS, cut};
use crate::cpu::epilogue::finish;
use crate::cpu::gemm::Shared;
use crate::cpu::kernel::{LONGEST_BLOCK, PANEL, Panels, VECTORS, multiply, taken};
use crate::cpu::lines::Line;
use crate::cpu::window::{NOTHING, padded};
use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::conv::winograd::Transform;
use crate::types::ElementType;
use crate::types::shape::WindowAxis;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Numbers of a band of transformed tiles, about: most of a usual second-level cache.
const BAND: usize = 192 << 10;

/// Most elements of a transformed tile, along one axis.
const MOST_LINES: usize = 6;

/// Channels and filters, outputs of all images, and tiles of one, from which fewer multiplications pay for the transforms, of filters too. Measured
/// (benchmarks/results/2026-11-27-cpu-engine.md): with 64 channels twice as fast as `direct`, with 32 no faster; of 196 outputs no faster.
const FEWEST_CHANNELS: u64 = 48;
const FEWEST_OUTPUTS: u64 = 128;
const FEWEST_TILES: u64 = 16;

/// Outputs of all images from which F(4,3) is faster than F(2,3): its filters have 36 elements to transform, not 16.
const FEWEST_OUTPUTS_F4: u64 = 2048;

/// The algorithm that the engine takes for a problem, where it is one of Winograd's: the one that the problem asks for, else the one with the fewest
/// multiplications that its accuracy admits and that pays.
pub(crate) fn algorithm(problem: &ConvProblem) -> Option<Algorithm> {
    let admitted = |algorithm: &Algorithm| Transform::of(*algorithm).is_some_and(|transform| admits(problem, transform));
    match problem.algorithm {
        Some(forced) => Some(forced).filter(admitted),
        None => [Algorithm::WinogradF4, Algorithm::WinogradF2].into_iter().filter(admitted).find(|algorithm| pays(problem, *algorithm)),
    }
}

fn admits(problem: &ConvProblem, transform: &Transform) -> bool {
    let [depth, height, width] = &problem.axes;
    let is_3 = |axis: &WindowAxis| axis.filter == 3 && axis.stride == 1 && axis.dilation == 1;
    let is_exact_enough = match problem.accuracy {
        Accuracy::Exact => false,
        Accuracy::F32 => transform.relative_error(problem) <= 1.0,
        Accuracy::Reduced => true,
    };
    let is_f32 = problem.element == ElementType::F32;
    is_f32 && problem.direction == Direction::Forward && *depth == WindowAxis::UNIT && is_3(height) && is_3(width) && is_exact_enough
}

fn pays(problem: &ConvProblem, algorithm: Algorithm) -> bool {
    let [_, height, width] = &problem.axes;
    let (tile, outputs) = if algorithm == Algorithm::WinogradF4 { (4, FEWEST_OUTPUTS_F4) } else { (2, FEWEST_OUTPUTS) };
    let tiles = height.output.div_ceil(tile) * width.output.div_ceil(tile);
    let channels = problem.channels_per_group().min(problem.filters_per_group());
    channels >= FEWEST_CHANNELS && tiles >= FEWEST_TILES && problem.batch * height.output * width.output >= outputs
}

/// A transform along one axis, spelled out: sums in the order whose roundings `Transform::roundings` counts.
trait Along<const LINES: usize, const TILE: usize> {
    /// B^T d.
    fn input<S: Simd>(simd: S, d: [S::f32s; LINES]) -> [S::f32s; LINES];
    /// G g, of a panel of filters.
    fn filter(g: [[f32; PANEL]; 3]) -> [[f32; PANEL]; LINES];
    /// A^T m.
    fn output<S: Simd>(simd: S, m: [S::f32s; LINES]) -> [S::f32s; TILE];
}

struct F2;
struct F4;

/// The sum of so much of each, element by element.
#[inline(always)]
fn weigh(terms: [([f32; PANEL], f32); 3]) -> [f32; PANEL] {
    std::array::from_fn(|k| terms[0].0[k] * terms[0].1 + terms[1].0[k] * terms[1].1 + terms[2].0[k] * terms[2].1)
}

impl Along<4, 2> for F2 {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
        [simd.sub_f32s(d[0], d[2]), simd.add_f32s(d[1], d[2]), simd.sub_f32s(d[2], d[1]), simd.sub_f32s(d[1], d[3])]
    }

    #[inline(always)]
    fn filter([a, b, c]: [[f32; PANEL]; 3]) -> [[f32; PANEL]; 4] {
        [a, weigh([(a, 0.5), (b, 0.5), (c, 0.5)]), weigh([(a, 0.5), (b, -0.5), (c, 0.5)]), c]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
        let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        [simd.add_f32s(m[0], sum), simd.sub_f32s(difference, m[3])]
    }
}

impl Along<6, 4> for F4 {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let times = |c: f32, a: S::f32s, b: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), a, b); // c a + b
        let of = |c: f32, a: S::f32s| simd.mul_f32s(simd.splat_f32s(c), a);
        let (even, odd) = (times(-4.0, d[2], d[4]), times(0.5, d[3], of(-2.0, d[1])));
        let (far_even, far_odd) = (times(-0.25, d[2], d[4]), times(2.0, d[3], of(-0.5, d[1])));
        [
            simd.add_f32s(times(-4.25, d[2], d[0]), d[4]),
            simd.add_f32s(even, odd),
            simd.sub_f32s(even, odd),
            simd.add_f32s(far_even, far_odd),
            simd.sub_f32s(far_even, far_odd),
            simd.add_f32s(times(-4.25, d[3], d[1]), d[5]),
        ]
    }

    #[inline(always)]
    fn filter([a, b, c]: [[f32; PANEL]; 3]) -> [[f32; PANEL]; 6] {
        const N: f32 = 1.0 / 15.0;
        const T: f32 = 1.0 / 30.0;
        [
            a,
            weigh([(a, -8.0 * N), (b, -4.0 * N), (c, -2.0 * N)]),
            weigh([(a, -8.0 * N), (b, 4.0 * N), (c, -2.0 * N)]),
            weigh([(a, T), (b, 2.0 * T), (c, 4.0 * T)]),
            weigh([(a, T), (b, -2.0 * T), (c, 4.0 * T)]),
            c,
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let times = |c: f32, a: S::f32s, b: S::f32s| simd.mul_add_e_f32s(simd.splat_f32s(c), a, b); // c a + b
        let of = |c: f32, a: S::f32s| simd.mul_f32s(simd.splat_f32s(c), a);
        let (near, far) = (simd.add_f32s(m[1], m[2]), simd.add_f32s(m[3], m[4]));
        let (near_odd, far_odd) = (simd.sub_f32s(m[1], m[2]), simd.sub_f32s(m[3], m[4]));
        [
            simd.add_f32s(m[0], simd.add_f32s(near, far)),
            times(2.0, far_odd, of(0.5, near_odd)),
            times(4.0, far, of(0.25, near)),
            simd.add_f32s(times(8.0, far_odd, of(0.125, near_odd)), m[5]),
        ]
    }
}

/// Transformed filters in panels, a part for each element of a tile.
pub(crate) fn pack(problem: &ConvProblem, algorithm: Algorithm, filter: &[f32]) -> Panels {
    match algorithm {
        Algorithm::WinogradF4 => pack_by::<F4, 6, 4>(problem, filter),
        _ => pack_by::<F2, 4, 2>(problem, filter),
    }
}

fn pack_by<W: Along<LINES, TILE>, const LINES: usize, const TILE: usize>(problem: &ConvProblem, filter: &[f32]) -> Panels {
    let (filters, channels) = (problem.filters_per_group() as usize, problem.channels_per_group() as usize);
    let count = filters.div_ceil(PANEL);
    let (elements, groups) = (LINES * LINES, problem.groups as usize);
    let mut own = taken(groups * count * elements * channels * PANEL);
    own.par_chunks_mut(elements * channels * PANEL).enumerate().for_each(|(panel, own)| {
        let (group, first) = (panel / count, panel % count * PANEL);
        let some = (filters - first).min(PANEL);
        let rows = &filter[(group * filters + first) * channels * 9..][..some * channels * 9];
        for channel in 0..channels {
            let mut taps = [[[0.0f32; PANEL]; 3]; 3];
            for (k, row) in rows.chunks_exact(channels * 9).enumerate() {
                for (tap, w) in row[channel * 9..][..9].iter().enumerate() {
                    taps[tap / 3][tap % 3][k] = *w;
                }
            }
            let along = taps.map(W::filter);
            for j in 0..LINES {
                let down = W::filter([along[0][j], along[1][j], along[2][j]]);
                for (i, values) in down.iter().enumerate() {
                    own[((i * LINES + j) * channels + channel) * PANEL..][..PANEL].copy_from_slice(values);
                }
            }
        }
    });
    Panels::in_parts(own, count, elements, channels)
}

/// Elements of a transformed tile.
pub(crate) fn elements(algorithm: Algorithm) -> usize {
    if algorithm == Algorithm::WinogradF4 { 36 } else { 16 }
}

/// A convolution that is cut into bands of tiles.
struct Tiles<'a> {
    problem: &'a ConvProblem,
    algorithm: Algorithm,
    height: Line,
    width: Line,
    /// Tiles along the height and the width.
    tiles: [usize; 2],
    band: usize,
}

/// y = activation(conv(x) + bias), channels-first, by the filters that [`pack`] gave for the algorithm.
pub(crate) fn conv(problem: &ConvProblem, algorithm: Algorithm, x: &[f32], panels: &Panels, bias: Option<&[f32]>, y: &mut [f32]) {
    let tile = if algorithm == Algorithm::WinogradF4 { 4 } else { 2 };
    let lines = tile + 2;
    let taps: Vec<usize> = (0..lines).collect();
    let line = |axis: &WindowAxis| {
        let tiles = (axis.output as usize).div_ceil(tile);
        // An output that does not exist needs no input.
        let source = |u: usize| if u < axis.output as usize + 2 { padded(problem, axis, u as i64) } else { NOTHING };
        Line::new(tiles, tile, &taps, source)
    };
    let [height, width] = [line(&problem.axes[1]), line(&problem.axes[2])];
    let tiles = [1, 2].map(|i| (problem.axes[i].output as usize).div_ceil(tile));
    let (groups, channels) = (problem.groups as usize, problem.channels_per_group() as usize);
    let planes = problem.batch as usize * groups;
    let most = (BAND / (lines * lines * channels * width.places)).clamp(1, tiles[0]);
    let (bands, splits) = cut(planes, tiles[0], most, panels.count);
    let band = tiles[0].div_ceil(bands);
    let bands = tiles[0].div_ceil(band);
    let tiles = Tiles { problem, algorithm, height, width, tiles, band };
    let x_group = channels * problem.input_positions() as usize;
    let (arch, shared) = (Arch::new(), Shared(y.as_mut_ptr()));
    (0..planes * bands * splits).into_par_iter().for_each(|task| {
        let (rest, split) = (task / splits, task % splits);
        let (plane, band) = (rest / bands, rest % bands);
        let part = panels.count.div_ceil(splits);
        let own = split * part..panels.count.min((split + 1) * part);
        let x = &x[plane * x_group..][..x_group];
        BANDS.with_borrow_mut(|room| arch.dispatch(Band { conv: &tiles, x, panels, own, bias, shared, plane, band, room }));
    });
}

/// A band of rows of tiles of one image and group.
struct Band<'a> {
    conv: &'a Tiles<'a>,
    x: &'a [f32],
    panels: &'a Panels,
    own: std::ops::Range<usize>,
    bias: Option<&'a [f32]>,
    shared: Shared,
    plane: usize,
    band: usize,
    room: &'a mut Vec<f32>,
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.conv.algorithm {
            Algorithm::WinogradF4 => by::<S, F4, 6, 4>(simd, self),
            _ => by::<S, F2, 4, 2>(simd, self),
        }
    }
}

#[inline(always)]
fn by<S: Simd, W: Along<LINES, TILE>, const LINES: usize, const TILE: usize>(simd: S, band: Band<'_>) {
    const { assert!(LINES <= MOST_LINES) };
    let Band { conv, x, panels, own, bias, shared, plane, band, room } = band;
    let problem = conv.problem;
    let [_, out_h, out_w] = problem.axes.each_ref().map(|axis| axis.output as usize);
    let (channels, filters) = (problem.channels_per_group() as usize, problem.filters_per_group() as usize);
    let first = band * conv.band;
    let rows = conv.band.min(conv.tiles[0] - first);
    let pitch = conv.width.places;
    let count = (rows - 1) * pitch + conv.tiles[1];
    let columns = count.next_multiple_of(S::F32_LANES);
    let elements = LINES * LINES;

    // One channel laid out, the transformed tiles, [element][channel][tile], and a panel's sums, [element][filter][tile of the block].
    let phase = (conv.band + 1) * pitch;
    let lengths = [TILE * TILE * phase + LONGEST_BLOCK, elements * channels * columns, elements * PANEL * LONGEST_BLOCK];
    let length = lengths.iter().sum();
    if room.len() < length {
        room.resize(length, 0.0);
    }
    let (laid, rest) = room.split_at_mut(lengths[0]);
    let (transformed, rest) = rest.split_at_mut(lengths[1]);
    let sums = &mut rest[..lengths[2]];

    for (channel, x) in x.chunks_exact(problem.input_positions() as usize).enumerate() {
        lay_out(conv, x, first, rows, phase, laid);
        for at in (0..count).step_by(S::F32_LANES) {
            let mut along = [[simd.splat_f32s(0.0); LINES]; LINES];
            for (i, along) in along.iter_mut().enumerate() {
                let mut d = [simd.splat_f32s(0.0); LINES];
                for (j, d) in d.iter_mut().enumerate() {
                    let (phases, row, place) = (i % TILE * TILE + j % TILE, i / TILE, j / TILE);
                    *d = load::<S>(laid, phases * phase + row * pitch + place + at);
                }
                *along = W::input(simd, d);
            }
            for j in 0..LINES {
                let mut d = [simd.splat_f32s(0.0); LINES];
                for (d, along) in d.iter_mut().zip(&along) {
                    *d = along[j];
                }
                for (i, value) in W::input(simd, d).into_iter().enumerate() {
                    put::<S>(transformed, ((i * LINES + j) * channels + channel) * columns + at, value);
                }
            }
        }
    }

    let group = plane % problem.groups as usize;
    let positions = problem.output_positions() as usize;
    let offsets: Vec<usize> = (0..channels).map(|channel| channel * columns).collect();
    let mut outputs = [[0.0f32; LONGEST_BLOCK * 4]; TILE];
    for panel in own {
        let some = (filters - panel * PANEL).min(PANEL);
        let mut at = 0;
        while at < count {
            let vectors = (count - at).div_ceil(S::F32_LANES).min(VECTORS);
            let width = vectors * S::F32_LANES;
            for (element, sums) in sums.chunks_exact_mut(PANEL * LONGEST_BLOCK).enumerate() {
                let weights = panels.panel(group, panel, element);
                multiply(simd, weights, some, &offsets, &transformed[element * channels * columns + at..], vectors, sums);
            }
            for k in 0..some {
                for from in (0..width).step_by(S::F32_LANES) {
                    let mut down = [[simd.splat_f32s(0.0); LINES]; TILE];
                    for j in 0..LINES {
                        let mut m = [simd.splat_f32s(0.0); LINES];
                        for (i, m) in m.iter_mut().enumerate() {
                            let element = i * LINES + j;
                            *m = load::<S>(sums, element * PANEL * LONGEST_BLOCK + k * width + from);
                        }
                        for (down, value) in down.iter_mut().zip(W::output(simd, m)) {
                            down[j] = value;
                        }
                    }
                    for (outputs, m) in outputs.iter_mut().zip(down) {
                        let values = W::output(simd, m);
                        let mut apart = [[0.0f32; 16]; TILE];
                        for (apart, value) in apart.iter_mut().zip(values) {
                            put::<S>(apart, 0, value);
                        }
                        let (places, _) = outputs[from * TILE..(from + S::F32_LANES) * TILE].as_chunks_mut::<TILE>();
                        for (t, place) in places.iter_mut().enumerate() {
                            for (place, apart) in place.iter_mut().zip(&apart) {
                                *place = apart[t];
                            }
                        }
                    }
                }
                let filter = panel * PANEL + k;
                let bias = bias.map_or(0.0, |bias| bias[group * filters + filter]);
                let lines = first * TILE..out_h.min((first + rows) * TILE);
                let y = (plane * filters + filter) * positions + lines.start * out_w;
                // SAFETY: these lines of filter `filter` lie inside y, and no other task writes them: tasks differ in plane, lines or filters.
                let y = unsafe { shared.slice(y, lines.len() * out_w) };
                for (i, outputs) in outputs.iter_mut().enumerate() {
                    let outputs = &mut outputs[..width * TILE];
                    finish(outputs, bias, problem.activation);
                    store(outputs, [at, pitch, TILE, i], out_w, y);
                }
            }
            at += width;
        }
    }
}

/// The vector at `at`.
#[inline(always)]
fn load<S: Simd>(values: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&values[at..][..S::F32_LANES]).0[0]
}

#[inline(always)]
fn put<S: Simd>(values: &mut [f32], at: usize, vector: S::f32s) {
    S::as_mut_simd_f32s(&mut values[at..][..S::F32_LANES]).0[0] = vector;
}

/// Writes line `i` of tiles `at ..`, numbered by rows of `pitch`, to the lines of `y`, of `row` numbers each.
#[inline(always)]
fn store(outputs: &[f32], [at, pitch, tile, i]: [usize; 4], row: usize, y: &mut [f32]) {
    let (mut line, mut column) = (at / pitch, at % pitch);
    let mut outputs = outputs;
    while !outputs.is_empty() {
        let run = ((pitch - column) * tile).min(outputs.len());
        let (own, rest) = outputs.split_at(run);
        let y_line = line * tile + i;
        if let Some(y) = y.get_mut(y_line * row..(y_line + 1) * row)
            && column * tile < row
        {
            y[column * tile..].iter_mut().zip(own).for_each(|(y, value)| *y = *value);
        }
        (line, column, outputs) = (line + 1, 0, rest);
    }
}

/// Lays out what the tiles of rows `first ..` read of one channel: each phase from a multiple of `length` on.
#[inline(always)]
fn lay_out(conv: &Tiles<'_>, x: &[f32], first: usize, rows: usize, length: usize, laid: &mut [f32]) {
    let (width, in_w) = (&conv.width, conv.problem.axes[2].input as usize);
    for phase_h in 0..conv.height.phases {
        for row in 0..=rows {
            let iy = conv.height.source(phase_h, first + row);
            for phase_w in 0..width.phases {
                let row = &mut laid[(phase_h * width.phases + phase_w) * length + row * width.places..][..width.places];
                if iy == NOTHING {
                    row.fill(0.0);
                } else {
                    width.fill(phase_w, &x[iy as usize * in_w..][..in_w], row);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::winograd::{F2 as TWO, F4 as FOUR};

    struct Columns<const LINES: usize, const TILE: usize, W>(std::marker::PhantomData<W>);

    impl<const LINES: usize, const TILE: usize, W: Along<LINES, TILE>> WithSimd for Columns<LINES, TILE, W> {
        /// By column, B^T, G and A^T.
        type Output = [Vec<Vec<f64>>; 3];

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let first = |v: S::f32s| {
                let mut own = [0.0f32; 16];
                simd.partial_store_f32s(&mut own[..S::F32_LANES], v);
                f64::from(own[0])
            };
            let unit = |at: usize| -> [S::f32s; LINES] { std::array::from_fn(|i| simd.splat_f32s(f32::from(i == at))) };
            let input = (0..LINES).map(|at| W::input(simd, unit(at)).map(first).to_vec()).collect();
            let output = (0..LINES).map(|at| W::output(simd, unit(at)).map(first).to_vec()).collect();
            let filter = (0..3).map(|at| W::filter(std::array::from_fn(|i| [f32::from(i == at); PANEL])).map(|v| f64::from(v[0])).to_vec()).collect();
            [input, filter, output]
        }
    }

    fn check<W: Along<LINES, TILE>, const LINES: usize, const TILE: usize>(transform: &Transform) {
        let filter: Vec<&[f64]> = transform.filter.iter().map(|row| row.as_slice()).collect();
        let columns = Arch::new().dispatch(Columns::<LINES, TILE, W>(std::marker::PhantomData));
        for (matrix, columns) in [transform.input, &filter, transform.output].into_iter().zip(&columns) {
            for (i, row) in matrix.iter().enumerate() {
                for (j, want) in row.iter().enumerate() {
                    assert!((columns[j][i] - want).abs() <= f64::from(f32::EPSILON) * want.abs(), "{i} {j}: {} instead of {want}", columns[j][i]);
                }
            }
        }
    }

    #[test]
    fn what_is_spelled_out_is_the_matrices() {
        check::<F2, 4, 2>(&TWO);
        check::<F4, 6, 4>(&FOUR);
    }
}
