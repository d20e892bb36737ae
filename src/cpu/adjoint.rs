//! Adjoints on all cores: each element of dx gathers what it went into; of max pools each element of dy goes where its index says.

use crate::cpu::Computed;
use crate::ops::adjoint::{AdjointProblem, Cells, Gathered};
use crate::types::tensor_type::TensorType;
use rayon::prelude::*;

/// Elements of dx that are worth a task of their own.
const GRAIN: usize = 1 << 12;

impl Gathered {
    fn of(&self, i: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    /// Whether every element gathers one.
    fn is_single(&self) -> bool {
        self.starts.iter().enumerate().all(|(i, start)| *start as usize == i)
    }
}

/// What a core keeps between rows.
#[derive(Default)]
struct Scratch {
    coordinates: Vec<usize>,
    /// Rows of dy that a row of dx gathers, with weights: where they begin, in ascending order.
    lines: Vec<(usize, f32)>,
    next: Vec<(usize, f32)>,
    /// Their sum.
    joined: Vec<f32>,
}

impl Computed for AdjointProblem {
    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let cells = self.cells();
        if let Some(axes) = cells.filter(|axes| axes.iter().all(Cells::is_apart)) {
            spread(&axes, inputs[0], inputs.get(1).copied(), y);
            return Some(());
        }
        if let (Some(axes), Some(&indices)) = (cells, inputs.get(1)) {
            place(&axes, inputs[0], indices, y);
            return Some(());
        }
        let (dx, dy) = (self.dx(), self.dy());
        let gathered = self.axes();
        let rank = dx.rank();
        // Rows of the last axis; a scalar is one.
        let Some(inner) = dx.extents.last().copied() else {
            y.copy_from_slice(inputs[0]);
            return Some(());
        };
        // None of an axis whose elements stay where they are.
        let tables: Vec<Option<Gathered>> = (0..rank).map(|axis| gathered.contains(&axis).then(|| self.gathered(axis))).collect();
        let strides = TensorType::logical_strides(&dy);
        let spatial = dx.extents[2.min(rank)..].iter().product::<usize>();
        let dy_row = dy.extents.last().copied().unwrap_or(1);
        let is_single = tables[rank - 1].as_ref().is_some_and(Gathered::is_single);
        let (dy, indices) = (inputs[0], inputs.get(1).copied());
        y.par_chunks_mut(inner).with_min_len((GRAIN / inner).max(1)).enumerate().for_each_init(Scratch::default, |scratch, (row, y)| {
            let Scratch { coordinates, lines, next, joined } = scratch;
            coordinates.resize(rank - 1, 0);
            let mut rest = row;
            for axis in (0..rank - 1).rev() {
                coordinates[axis] = rest % dx.extents[axis];
                rest /= dx.extents[axis];
            }
            // What the outer axes gather.
            lines.clear();
            lines.push((0, 1.0));
            for (axis, &i) in coordinates.iter().enumerate() {
                let step = strides[axis] as usize;
                match &tables[axis] {
                    None => lines.iter_mut().for_each(|(at, _)| *at += i * step),
                    Some(table) => {
                        let list = table.of(i);
                        next.clear();
                        next.extend(lines.iter().flat_map(|&(at, w)| list.iter().map(move |&(o, v)| (at + o as usize * step, w * v))));
                        std::mem::swap(lines, next);
                    }
                }
            }
            if let Some(indices) = indices {
                let first = (row * inner) % spatial.max(1);
                return y.iter_mut().enumerate().for_each(|(i, y)| *y = named(&tables[rank - 1], i, lines, dy, indices, first + i));
            }
            let Some(table) = &tables[rank - 1] else { return join(lines, dy, y) };
            joined.resize(dy_row, 0.0);
            join(lines, dy, joined);
            if is_single {
                y.iter_mut().zip(&table.entries).for_each(|(y, (o, own))| *y = own * joined[*o as usize]);
            } else {
                y.iter_mut().enumerate().for_each(|(i, y)| *y = table.of(i).iter().fold(0.0, |sum, (o, own)| sum + own * joined[*o as usize]));
            }
        });
        Some(())
    }
}

/// The adjoint of a pool whose windows lie side by side: an element of dy goes where its window was, all else is 0.
fn spread([depth, height, width]: &[Cells; 3], dy: &[f32], indices: Option<&[f32]>, y: &mut [f32]) {
    let [plane_x, plane_y] = [depth.extent * height.extent, depth.windows * height.windows].map(|rows| rows as usize);
    let [row_x, row_y] = [width.extent, width.windows].map(|columns| columns as usize);
    let grain = (GRAIN / (plane_x * row_x)).max(1);
    y.par_chunks_mut(plane_x * row_x).zip(dy.par_chunks(plane_y * row_y)).enumerate().with_min_len(grain).for_each(|(plane, (y, dy))| {
        for (row, y) in y.chunks_exact_mut(row_x).enumerate() {
            let [z, r] = [row as u64 / height.extent, row as u64 % height.extent];
            let (Some((d, by_depth)), Some((h, by_height))) = (depth.window(z), height.window(r)) else {
                y.fill(0.0);
                continue;
            };
            let first = (d * height.windows + h) as usize * row_y;
            let (dy, weight) = (&dy[first..first + row_y], by_depth * by_height);
            let indices = indices.map(|all| (&all[plane * plane_y * row_y + first..][..row_y], row * row_x));
            // Windows of two, the usual ones, as a loop without a bound that is read.
            match (width.stride, width.filter) {
                (2, 2) => spread_row::<2>(width, weight, dy, indices, y),
                _ => spread_row::<0>(width, weight, dy, indices, y),
            }
        }
    });
}

/// The adjoint of a max pool whose windows overlap: each element of dy is added where its index says, plane by plane and in their order, which is that of a sum
/// of what an element gathers. An index outside its window counts nowhere.
fn place([depth, height, width]: &[Cells; 3], dy: &[f32], indices: &[f32], y: &mut [f32]) {
    let [plane_x, plane_y] =
        [depth.extent * height.extent * width.extent, depth.windows * height.windows * width.windows].map(|count| count as usize);
    let grain = (GRAIN / plane_x).max(1);
    let planes = y.par_chunks_mut(plane_x).zip(dy.par_chunks(plane_y)).zip(indices.par_chunks(plane_y));
    planes.with_min_len(grain).for_each_init(Vec::new, |rows, ((y, dy), indices)| {
        y.fill(0.0);
        let mut windows = dy.iter().zip(indices);
        for (d, h) in (0..depth.windows).flat_map(|d| (0..height.windows).map(move |h| (d, h))) {
            // Where the rows of these windows begin. An index is looked for in each: two divisions by extents take longer.
            rows.clear();
            rows.extend(depth.covered(d).flat_map(|z| height.covered(h).map(move |r| (z * height.extent + r) * width.extent)));
            for (w, (dy, place)) in (0..width.windows).zip(&mut windows) {
                let place = *place as u64;
                let columns = width.covered(w);
                let count = columns.end - columns.start;
                let is_inside = rows.iter().fold(false, |found, row| found | (place.wrapping_sub(row + columns.start) < count));
                if let Some(y) = y.get_mut(place as usize).filter(|_| is_inside) {
                    *y += dy;
                }
            }
        }
    });
}

/// A row of dx from one of dy and its indices, which count from the number beside them; the stride and the window where they are known, or 0.
fn spread_row<const WINDOW: usize>(axis: &Cells, weight: f32, dy: &[f32], indices: Option<(&[f32], usize)>, y: &mut [f32]) {
    let [stride, filter] = if WINDOW > 0 { [WINDOW; 2] } else { [axis.stride, axis.filter].map(|extent| extent as usize) };
    let [weight, last_weight] = axis.weights.map(|own| weight * own);
    // Every window but the last has its whole cell; the last may reach over the edge, and what lies behind it is in none.
    let last = dy.len() - 1;
    let (cells, rest) = y.split_at_mut(last * stride);
    let fill = |cell: &mut [f32], o: usize, weight: f32| {
        // Zero is added so that the sign of a zero is that of a sum.
        let value = weight * dy[o] + 0.0;
        let inside = filter.min(cell.len());
        match indices {
            None => cell[..inside].fill(value),
            Some((places, first)) => {
                let place = places[o] as usize;
                cell[..inside].iter_mut().enumerate().for_each(|(i, y)| *y = if place == first + o * stride + i { value } else { 0.0 });
            }
        }
        cell[inside..].fill(0.0);
    };
    cells.chunks_exact_mut(stride).enumerate().for_each(|(o, cell)| fill(cell, o, weight));
    fill(rest, last, last_weight);
}

/// The weighted sum of rows of dy.
fn join(lines: &[(usize, f32)], dy: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for &(at, weight) in lines {
        sums.iter_mut().zip(&dy[at..]).for_each(|(sum, dy)| *sum += weight * dy);
    }
}

/// The sum of what element `i` of a row gathers, of which indices name `place`.
fn named(table: &Option<Gathered>, i: usize, lines: &[(usize, f32)], dy: &[f32], indices: &[f32], place: usize) -> f32 {
    let itself = [(i as u32, 1.0)];
    let list = table.as_ref().map_or(&itself[..], |table| table.of(i));
    let mut sum = 0.0;
    for &(line, weight) in lines {
        for &(o, own) in list {
            let at = line + o as usize;
            if indices[at] as usize == place {
                sum += weight * own * dy[at];
            }
        }
    }
    sum
}
