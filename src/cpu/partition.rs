//! Partitions of one length by Fourier transforms, in small pieces of work: what `streaming` runs between two blocks of samples.
//!
//! 2 N real samples become N complex numbers: sample n and, as the imaginary part, sample n + N. A product of polynomials modulo z^N - i then has the
//! first N coefficients of the product in its real parts, less those from 2 N on, and the next N in its imaginary ones: the outputs of overlap-save, which no
//! end of the block disturbs. That product is a cyclic one of numbers that are multiplied by e^(i pi n / (2 N)) before and by the conjugate after (a
//! right-angle convolution: Crandall and Fagin, Discrete weighted transforms and large-integer arithmetic, 1994). So no spectrum of two real signals must be
//! taken apart, and frequencies stay in the order that the transforms leave them in.

use crate::cpu::fft::{GROUP, Group, LANES, Plane, root, rotate};
use crate::ops::conv::partitions::Level;
use pulp::Simd;
use std::ops::Range;

/// Most columns of a block of rows, and most partitions, whose products are one piece of work; columns whose sums stay in registers.
const COLUMNS: usize = 64;
const PARTITIONS: usize = 16;
const AT_ONCE: usize = 4;

/// The cost of a piece of work: a halving of a number by a transform, reading, writing or turning it, is 1; so is a product of two complex numbers.
type Cost = u64;

/// One piece of the work on a block of samples, in the order in which they come.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    /// Sixteen columns: samples are read and transformed along the columns.
    Columns(usize),
    /// Sixteen rows: transformed along the rows, which gives a part of the block's spectrum.
    Rows(usize),
    /// Some columns of a block of rows, some partitions: their products with the spectra of this block and of those before it are summed.
    Products(usize, Range<usize>, Range<usize>),
    /// Sixteen rows of the sum back along the rows.
    RowsBack(usize),
    /// Sixteen columns back, and outputs written.
    ColumnsBack(usize),
}

/// What all channels share of a level.
pub(crate) struct Transform {
    pub level: Level,
    plane: Plane,
    /// e^(-i pi n / (2 N)), by columns.
    twiddles: Vec<Group>,
    /// Of all pieces of a block.
    cost: Cost,
}

/// What a channel has of a level.
pub(crate) struct Work {
    /// By block of samples, newest in place of the oldest: \[partition\]\[block of rows\]\[column\].
    spectra: Vec<Group>,
    by_columns: Vec<Group>,
    /// Of a block of rows.
    sums: Vec<Group>,
    /// Outputs of two blocks: one is given while the other is computed.
    outputs: Vec<f32>,
    /// Pieces of this block that are done, and their cost.
    done: usize,
    spent: Cost,
}

impl Transform {
    pub fn new(level: Level) -> Self {
        let rows = 1 << (level.length.ilog2() / 2);
        let plane = Plane::new(rows, level.length / rows, true);
        let columns = plane.columns();
        let group = |block: usize, row: usize| {
            let mut group = [0.0; GROUP];
            for lane in 0..LANES {
                [group[lane], group[LANES + lane]] = root(row * columns + block * LANES + lane, 4 * level.length);
            }
            group
        };
        let twiddles = (0..columns / LANES).flat_map(|block| (0..rows).map(move |row| (block, row))).map(|(block, row)| group(block, row)).collect();
        let mut new = Self { level, plane, twiddles, cost: 0 };
        new.cost = (0..new.pieces()).map(|i| new.cost_of(&new.piece(i))).sum();
        new
    }

    /// Groups of the spectra of all partitions.
    fn groups(&self) -> usize {
        self.level.count * self.plane.groups()
    }

    /// Bytes of the table, of a response's spectra, and of a channel's work.
    pub fn bytes(&self) -> [usize; 3] {
        let group = size_of::<Group>();
        let work = self.groups() + self.plane.groups() + self.plane.columns();
        [self.twiddles.len() * group, self.groups() * group, work * group + 2 * self.level.length * size_of::<f32>()]
    }

    pub fn work(&self) -> Work {
        let zeros = |count| vec![[0.0; GROUP]; count];
        let (spectra, by_columns, sums) = (zeros(self.groups()), zeros(self.plane.groups()), zeros(self.plane.columns()));
        Work { spectra, by_columns, sums, outputs: vec![0.0; 2 * self.level.length], done: 0, spent: 0 }
    }

    /// Pieces of products of a block of rows: by columns, by partitions.
    fn products(&self) -> [usize; 2] {
        [self.plane.columns().div_ceil(COLUMNS), self.level.count.div_ceil(PARTITIONS)]
    }

    fn pieces(&self) -> usize {
        let [by_columns, by_partitions] = self.products();
        2 * self.plane.columns() / LANES + self.plane.rows() / LANES * (2 + by_columns * by_partitions)
    }

    fn piece(&self, number: usize) -> Piece {
        let (blocks, [by_columns, by_partitions]) = (self.plane.columns() / LANES, self.products());
        let of_rows = 2 + by_columns * by_partitions;
        if number < blocks {
            return Piece::Columns(number);
        }
        let (rows, at) = ((number - blocks) / of_rows, (number - blocks) % of_rows);
        if rows >= self.plane.rows() / LANES {
            return Piece::ColumnsBack(number - blocks - self.plane.rows() / LANES * of_rows);
        }
        let range = |number: usize, length: usize, end: usize| number * length..((number + 1) * length).min(end);
        match at.checked_sub(1) {
            None => Piece::Rows(rows),
            Some(at) if at == by_columns * by_partitions => Piece::RowsBack(rows),
            Some(at) => {
                let columns = range(at / by_partitions, COLUMNS, self.plane.columns());
                Piece::Products(rows, columns, range(at % by_partitions, PARTITIONS, self.level.count))
            }
        }
    }

    fn cost_of(&self, piece: &Piece) -> Cost {
        let halvings = |length: usize| (length * LANES) as Cost * Cost::from(length.ilog2() + 2);
        match piece {
            Piece::Columns(_) | Piece::ColumnsBack(_) => halvings(self.plane.rows()),
            Piece::Rows(_) | Piece::RowsBack(_) => halvings(self.plane.columns()),
            Piece::Products(_, columns, partitions) => (columns.len() * partitions.len() * LANES) as Cost,
        }
    }

    /// The spectra of the partitions of a response, over the length.
    #[inline(always)]
    pub fn pack<S: Simd>(&self, simd: S, response: &[f32]) -> Vec<Group> {
        let (length, columns) = (self.level.length, self.plane.columns());
        let (mut by_columns, mut spectra) = (vec![[0.0; GROUP]; self.plane.groups()], vec![[0.0; GROUP]; self.groups()]);
        // What lies N samples after the taps is zeros: the imaginary parts.
        let mut taps = vec![0.0; 2 * length];
        let scale = simd.splat_f32s(1.0 / length as f32);
        for (number, spectrum) in spectra.chunks_exact_mut(self.plane.groups()).enumerate() {
            let own = &response[self.level.taps(number, response.len())];
            taps[..length].fill(0.0);
            taps[..own.len()].copy_from_slice(own);
            for block in 0..columns / LANES {
                self.read(simd, block, [&taps[..length], &taps[length..]], &mut by_columns);
            }
            for (block, rows) in spectrum.chunks_exact_mut(columns).enumerate() {
                self.plane.forward_along_rows(simd, block, &by_columns, rows);
            }
            for group in spectrum {
                let (vectors, _) = S::as_mut_simd_f32s(group);
                for vector in vectors {
                    *vector = simd.mul_f32s(*vector, scale);
                }
            }
        }
        spectra
    }

    /// Reads sixteen columns of two neighbouring blocks of samples, and transforms along them.
    #[inline(always)]
    fn read<S: Simd>(&self, simd: S, block: usize, [before, now]: [&[f32]; 2], by_columns: &mut [Group]) {
        let (rows, columns) = (self.plane.rows(), self.plane.columns());
        let groups = &mut by_columns[block * rows..][..rows];
        for (row, group) in groups.iter_mut().enumerate() {
            let at = row * columns + block * LANES;
            group[..LANES].copy_from_slice(&before[at..][..LANES]);
            group[LANES..].copy_from_slice(&now[at..][..LANES]);
        }
        rotate::<S, true>(simd, groups, &self.twiddles[block * rows..][..rows]);
        self.plane.forward_along_columns(simd, block, by_columns);
    }

    /// Goes on with the work on the block of samples before block `block`, so far that `elapsed` samples of block `block` may have passed; all of it where
    /// that is the length. `history` is a ring of the stream's samples.
    #[inline(always)]
    pub fn advance<S: Simd>(&self, simd: S, work: &mut Work, response: &[Group], history: &[f32], block: u64, elapsed: usize) {
        let due = self.cost * elapsed as Cost / self.level.length as Cost;
        while work.spent < due {
            let piece = self.piece(work.done);
            self.run(simd, work, response, history, block, &piece);
            work.spent += self.cost_of(&piece);
            work.done += 1;
        }
        if elapsed == self.level.length {
            (work.spent, work.done) = (0, 0);
        }
    }

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, work: &mut Work, response: &[Group], history: &[f32], block: u64, piece: &Piece) {
        let (columns, groups, count) = (self.plane.columns(), self.plane.groups(), self.level.count);
        // Where the newest spectrum lies.
        let newest = (block % count as u64) as usize;
        match piece {
            Piece::Columns(at) => {
                let length = self.level.length;
                // Before the first block the ring holds zeros.
                let begin = |back: u64| (block.wrapping_sub(back).wrapping_mul(length as u64) % history.len() as u64) as usize;
                let of = |back: u64| &history[begin(back)..][..length];
                self.read(simd, *at, [of(2), of(1)], &mut work.by_columns);
            }
            Piece::Rows(rows) => {
                let spectrum = &mut work.spectra[newest * groups + rows * columns..][..columns];
                self.plane.forward_along_rows(simd, *rows, &work.by_columns, spectrum);
            }
            Piece::Products(rows, some, partitions) => {
                let sums = &mut work.sums[some.clone()];
                if partitions.start == 0 {
                    sums.fill([0.0; GROUP]);
                }
                let at = rows * columns + some.start;
                sum_products(simd, sums, &work.spectra[at..], &response[at..], groups, partitions.clone(), [newest, count]);
            }
            Piece::RowsBack(rows) => self.plane.back_along_rows(simd, *rows, &mut work.sums, columns, &mut work.by_columns),
            Piece::ColumnsBack(at) => {
                let rows = self.plane.rows();
                self.plane.back_one_block_of_columns(simd, *at, &mut work.by_columns);
                let of_block = &mut work.by_columns[at * rows..][..rows];
                rotate::<S, false>(simd, of_block, &self.twiddles[at * rows..][..rows]);
                let outputs = &mut work.outputs[half(block + 1) * self.level.length..];
                for (row, group) in of_block.iter().enumerate() {
                    outputs[row * columns + at * LANES..][..LANES].copy_from_slice(&group[LANES..]);
                }
            }
        }
    }
}

/// Which half of the memory for outputs a block has.
fn half(block: u64) -> usize {
    (block % 2) as usize
}

impl Work {
    /// Outputs of block `block`, from its sample `at` on.
    pub fn outputs(&self, block: u64, at: usize) -> &[f32] {
        let length = self.outputs.len() / 2;
        &self.outputs[half(block) * length..][at..length]
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        // All else is written before it is read.
        self.spectra.fill([0.0; GROUP]);
        self.outputs.fill(0.0);
        (self.done, self.spent) = (0, 0);
    }
}

/// Adds to `sums` of neighbouring columns the products of partitions with the spectra of the blocks that they meet; the spectra of a block or a partition lie
/// `groups` after those of the one before.
#[inline(always)]
fn sum_products<S: Simd>(
    simd: S,
    sums: &mut [Group],
    spectra: &[Group],
    response: &[Group],
    groups: usize,
    partitions: Range<usize>,
    [newest, count]: [usize; 2],
) {
    let imaginary = LANES / S::F32_LANES;
    for (number, sums) in sums.as_chunks_mut::<AT_ONCE>().0.iter_mut().enumerate() {
        for lane in 0..imaginary {
            let mut own = [[simd.splat_f32s(0.0); 2]; AT_ONCE];
            for (own, sum) in own.iter_mut().zip(sums.iter()) {
                let (sum, _) = S::as_simd_f32s(sum);
                *own = [sum[lane], sum[lane + imaginary]];
            }
            for partition in partitions.clone() {
                let slot = if newest >= partition { newest - partition } else { newest + count - partition };
                let x = &spectra[slot * groups + number * AT_ONCE..][..AT_ONCE];
                let h = &response[partition * groups + number * AT_ONCE..][..AT_ONCE];
                for ((own, x), h) in own.iter_mut().zip(x).zip(h) {
                    let ((x, _), (h, _)) = (S::as_simd_f32s(x), S::as_simd_f32s(h));
                    let (x, h) = ([x[lane], x[lane + imaginary]], [h[lane], h[lane + imaginary]]);
                    own[0] = simd.mul_add_e_f32s(x[0], h[0], own[0]);
                    own[1] = simd.mul_add_e_f32s(x[0], h[1], own[1]);
                    own[0] = simd.mul_add_e_f32s(simd.neg_f32s(x[1]), h[1], own[0]);
                    own[1] = simd.mul_add_e_f32s(x[1], h[0], own[1]);
                }
            }
            for (own, sum) in own.iter().zip(sums.iter_mut()) {
                let (sum, _) = S::as_mut_simd_f32s(sum);
                (sum[lane], sum[lane + imaginary]) = (own[0], own[1]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::partitions::{Partitions, StreamingDescriptor};

    /// Each part of the work once, before what reads it; no piece is large beside the block.
    #[test]
    fn the_pieces_of_a_block_are_all_of_its_work() {
        let descriptor = StreamingDescriptor::default();
        for level in Partitions::new(1_000_000, &descriptor).unwrap().levels {
            let transform = Transform::new(level);
            let pieces: Vec<Piece> = (0..transform.pieces()).map(|i| transform.piece(i)).collect();
            let (rows, columns) = (transform.plane.rows(), transform.plane.columns());
            let mut products = vec![0; rows / LANES * columns * level.count];
            for (i, piece) in pieces.iter().enumerate() {
                let position = |other: Piece| pieces.iter().position(|p| *p == other).unwrap();
                match piece {
                    Piece::Columns(at) => assert_eq!(i, *at),
                    Piece::Rows(_) => assert!(i >= columns / LANES),
                    Piece::Products(block, columns_of, partitions) => {
                        assert!(i > position(Piece::Rows(*block)) && i < position(Piece::RowsBack(*block)));
                        assert!(columns_of.len() % AT_ONCE == 0);
                        for column in columns_of.clone() {
                            partitions.clone().for_each(|p| products[(block * columns + column) * level.count + p] += 1);
                        }
                    }
                    Piece::RowsBack(_) => {}
                    Piece::ColumnsBack(at) => assert_eq!(pieces.len() - i, columns / LANES - at),
                }
            }
            assert!(products.iter().all(|n| *n == 1), "{level:?}");
            let largest = pieces.iter().map(|piece| transform.cost_of(piece)).max().unwrap();
            assert!(largest <= 100_000 || largest * 8 <= transform.cost, "{level:?}: {largest} of {}", transform.cost);
        }
    }
}
