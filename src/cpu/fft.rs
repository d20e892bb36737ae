//! Fourier transforms of planes of complex numbers, in vectors of sixteen lines: `fourier` convolves by them.
//!
//! A plane of `rows` x `columns` is transformed along its columns, sixteen neighbouring ones at a time, then turned in blocks of 16 x 16 and transformed along
//! its rows, sixteen at a time. Frequencies come out in the order that transforms in place leave them in, and the way back begins with that order: a product
//! of two spectra needs no other. A line longer than a plane's side is a plane too, with a product by roots between the two passes (Cooley and Tukey, An
//! algorithm for the machine calculation of complex Fourier series, 1965).

use pulp::Simd;

/// Lines that are transformed at once.
pub(crate) const LANES: usize = 16;

/// Numbers of the complex numbers of [`LANES`] lines at one place: real parts, then imaginary ones.
pub(crate) const GROUP: usize = 2 * LANES;

/// One complex number of each of sixteen lines.
pub(crate) type Group = [f32; GROUP];

/// The transform of lines of one length, a power of two from 16 on, by radix 4 and, where that leaves a 2, one radix 2.
pub(crate) struct Line {
    length: usize,
    /// By step of radix 4, of spans from the length down: e^(-2 pi i k j / span) for k = 1, 2, 3 and j below a quarter of the span.
    roots: Vec<Vec<[[f32; 2]; 3]>>,
}

/// e^(-2 pi i k / length).
pub(crate) fn root(k: usize, length: usize) -> [f32; 2] {
    let angle = -2.0 * std::f64::consts::PI * (k % length) as f64 / length as f64;
    [angle.cos() as f32, angle.sin() as f32]
}

impl Line {
    pub fn new(length: usize) -> Self {
        let spans = std::iter::successors(Some(length), |span| Some(span / 4)).take_while(|span| *span >= 4);
        let of_span = |span: usize| (0..span / 4).map(|j| [1, 2, 3].map(|k| root(k * j, span))).collect();
        Self { length, roots: spans.map(of_span).collect() }
    }

    /// Which frequency stands at each place after [`Line::forward`].
    fn frequencies(&self) -> Vec<usize> {
        let mut all = vec![0];
        let mut length = self.length;
        // The first step sends what is k modulo 4 to quarter k, and so on in each quarter.
        let mut radices = vec![];
        while length > 1 {
            let radix = if length >= 4 { 4 } else { 2 };
            radices.push(radix);
            length /= radix;
        }
        for radix in radices.into_iter().rev() {
            all = (0..radix).flat_map(|k| all.iter().map(move |f| f * radix + k)).collect();
        }
        all
    }

    /// From the order of places to that of [`Line::frequencies`].
    #[inline(always)]
    pub fn forward<S: Simd>(&self, simd: S, groups: &mut [Group]) {
        let groups = &mut groups[..self.length];
        for roots in &self.roots {
            for part in groups.chunks_exact_mut(4 * roots.len()) {
                quarters::<S, false>(simd, part, roots);
            }
        }
        self.halves(simd, groups);
    }

    /// Back, times the length.
    #[inline(always)]
    pub fn back<S: Simd>(&self, simd: S, groups: &mut [Group]) {
        let groups = &mut groups[..self.length];
        self.halves(simd, groups);
        for roots in self.roots.iter().rev() {
            for part in groups.chunks_exact_mut(4 * roots.len()) {
                quarters::<S, true>(simd, part, roots);
            }
        }
    }

    /// The step of radix 2, where there is one: the same in both directions.
    #[inline(always)]
    fn halves<S: Simd>(&self, simd: S, groups: &mut [Group]) {
        if self.length.ilog2() % 2 == 1 {
            for pair in groups.as_chunks_mut::<2>().0 {
                butterfly_2(simd, pair);
            }
        }
    }
}

// Nothing below is called by a closure: the compiler would not compile that for the vectors of `S`.

/// The step of radix 4 over the groups that stand at the same place of each quarter of a part, with their roots.
#[inline(always)]
fn quarters<S: Simd, const BACK: bool>(simd: S, part: &mut [Group], roots: &[[[f32; 2]; 3]]) {
    let quarter = roots.len();
    let (ab, cd) = part.split_at_mut(2 * quarter);
    let ((a, b), (c, d)) = (ab.split_at_mut(quarter), cd.split_at_mut(quarter));
    // The roots of the first are 1.
    for at in 0..LANES / S::F32_LANES {
        butterfly_4::<S, BACK, false>(simd, at, [&mut a[0], &mut b[0], &mut c[0], &mut d[0]], &roots[0]);
    }
    for ((((a, b), c), d), roots) in a.iter_mut().zip(b).zip(c).zip(d).zip(roots).skip(1) {
        for at in 0..LANES / S::F32_LANES {
            butterfly_4::<S, BACK, true>(simd, at, [&mut *a, &mut *b, &mut *c, &mut *d], roots);
        }
    }
}

/// Vector `at` of the real and imaginary parts.
#[inline(always)]
fn load<S: Simd>(group: &Group, at: usize) -> [S::f32s; 2] {
    let (vectors, _) = S::as_simd_f32s(group);
    [vectors[at], vectors[at + LANES / S::F32_LANES]]
}

#[inline(always)]
fn store<S: Simd>(group: &mut Group, at: usize, [re, im]: [S::f32s; 2]) {
    let (vectors, _) = S::as_mut_simd_f32s(group);
    vectors[at] = re;
    vectors[at + LANES / S::F32_LANES] = im;
}

#[inline(always)]
fn add<S: Simd>(simd: S, a: [S::f32s; 2], b: [S::f32s; 2]) -> [S::f32s; 2] {
    [simd.add_f32s(a[0], b[0]), simd.add_f32s(a[1], b[1])]
}

#[inline(always)]
fn sub<S: Simd>(simd: S, a: [S::f32s; 2], b: [S::f32s; 2]) -> [S::f32s; 2] {
    [simd.sub_f32s(a[0], b[0]), simd.sub_f32s(a[1], b[1])]
}

/// a + i b.
#[inline(always)]
fn add_turned<S: Simd>(simd: S, a: [S::f32s; 2], b: [S::f32s; 2]) -> [S::f32s; 2] {
    [simd.sub_f32s(a[0], b[1]), simd.add_f32s(a[1], b[0])]
}

/// a - i b.
#[inline(always)]
fn sub_turned<S: Simd>(simd: S, a: [S::f32s; 2], b: [S::f32s; 2]) -> [S::f32s; 2] {
    [simd.add_f32s(a[0], b[1]), simd.sub_f32s(a[1], b[0])]
}

/// a w.
#[inline(always)]
fn times<S: Simd>(simd: S, a: [S::f32s; 2], w: [S::f32s; 2]) -> [S::f32s; 2] {
    let re = simd.mul_add_e_f32s(a[0], w[0], simd.neg_f32s(simd.mul_f32s(a[1], w[1])));
    [re, simd.mul_add_e_f32s(a[0], w[1], simd.mul_f32s(a[1], w[0]))]
}

/// a times the conjugate of w.
#[inline(always)]
fn times_conjugate<S: Simd>(simd: S, a: [S::f32s; 2], w: [S::f32s; 2]) -> [S::f32s; 2] {
    let re = simd.mul_add_e_f32s(a[0], w[0], simd.mul_f32s(a[1], w[1]));
    [re, simd.mul_add_e_f32s(a[1], w[0], simd.neg_f32s(simd.mul_f32s(a[0], w[1])))]
}

#[inline(always)]
fn splat<S: Simd>(simd: S, w: [f32; 2]) -> [S::f32s; 2] {
    [simd.splat_f32s(w[0]), simd.splat_f32s(w[1])]
}

/// Four numbers' transform, times the roots; or, back, by the conjugate roots before.
#[inline(always)]
fn butterfly_4<S: Simd, const BACK: bool, const ROOTS: bool>(simd: S, at: usize, [a, b, c, d]: [&mut Group; 4], roots: &[[f32; 2]; 3]) {
    let (p, mut q, mut r, mut s) = (load::<S>(a, at), load::<S>(b, at), load::<S>(c, at), load::<S>(d, at));
    let [of_q, of_r, of_s] = [splat(simd, roots[0]), splat(simd, roots[1]), splat(simd, roots[2])];
    if BACK && ROOTS {
        q = times_conjugate(simd, q, of_q);
        r = times_conjugate(simd, r, of_r);
        s = times_conjugate(simd, s, of_s);
    }
    let (even, apart) = (add(simd, p, r), sub(simd, p, r));
    let (odd, across) = (add(simd, q, s), sub(simd, q, s));
    let (plus, minus) = (add_turned(simd, apart, across), sub_turned(simd, apart, across));
    let (mut q, mut r, mut s) = if BACK { (plus, sub(simd, even, odd), minus) } else { (minus, sub(simd, even, odd), plus) };
    if !BACK && ROOTS {
        q = times(simd, q, of_q);
        r = times(simd, r, of_r);
        s = times(simd, s, of_s);
    }
    store::<S>(a, at, add(simd, even, odd));
    store::<S>(b, at, q);
    store::<S>(c, at, r);
    store::<S>(d, at, s);
}

#[inline(always)]
fn butterfly_2<S: Simd>(simd: S, [a, b]: &mut [Group; 2]) {
    for at in 0..LANES / S::F32_LANES {
        let (p, q) = (load::<S>(a, at), load::<S>(b, at));
        store::<S>(a, at, add(simd, p, q));
        store::<S>(b, at, sub(simd, p, q));
    }
}

/// Group by group, a w.
#[inline(always)]
pub(crate) fn multiply<S: Simd>(simd: S, a: &[Group], w: &[Group], out: &mut [Group]) {
    for ((a, w), out) in a.iter().zip(w).zip(out) {
        for at in 0..LANES / S::F32_LANES {
            let (a, w) = (load::<S>(a, at), load::<S>(w, at));
            store::<S>(out, at, times(simd, a, w));
        }
    }
}

/// The transform of a plane, or of a line that is taken as one: number n of it stands in row n / columns and column n mod columns.
///
/// By columns, a plane is \[block of 16 columns\]\[row\]; by rows it is \[block of 16 rows\]\[column\]; each a group of sixteen lines.
pub(crate) struct Plane {
    along_columns: Line,
    along_rows: Line,
    /// Of a line: by rows, what is multiplied between the passes.
    between: Option<Vec<Group>>,
}

impl Plane {
    /// A plane of `rows` x `columns`, powers of two from 16 on; a line of as many numbers, where `is_line`.
    pub fn new(rows: usize, columns: usize, is_line: bool) -> Self {
        let (along_columns, along_rows) = (Line::new(rows), Line::new(columns));
        let between = is_line.then(|| {
            let frequencies = along_columns.frequencies();
            let group = |block: usize, column: usize| {
                let mut group = [0.0; GROUP];
                for (lane, frequency) in frequencies[block * LANES..][..LANES].iter().enumerate() {
                    [group[lane], group[LANES + lane]] = root(frequency * column, rows * columns);
                }
                group
            };
            (0..rows / LANES).flat_map(|block| (0..columns).map(move |column| (block, column))).map(|(block, column)| group(block, column)).collect()
        });
        Self { along_columns, along_rows, between }
    }

    pub fn rows(&self) -> usize {
        self.along_columns.length
    }

    pub fn columns(&self) -> usize {
        self.along_rows.length
    }

    /// Groups of a plane.
    pub fn groups(&self) -> usize {
        self.rows() * self.columns() / LANES
    }

    /// Transforms `by_columns`, which it overwrites, and calls `then` with each block of sixteen rows of the spectrum. Columns from `given` on are zeros.
    #[inline(always)]
    pub fn forward<S: Simd>(&self, simd: S, given: usize, by_columns: &mut [Group], row: &mut [Group], mut then: impl FnMut(usize, &mut [Group])) {
        for block in 0..given.div_ceil(LANES).min(by_columns.len() / self.rows()) {
            self.forward_along_columns(simd, block, by_columns);
        }
        for block in 0..self.rows() / LANES {
            let row = &mut row[..self.columns()];
            self.forward_along_rows(simd, block, by_columns, row);
            then(block, row);
        }
    }

    /// The first half of the way there: block `block` of sixteen columns along itself.
    #[inline(always)]
    pub fn forward_along_columns<S: Simd>(&self, simd: S, block: usize, by_columns: &mut [Group]) {
        let rows = self.rows();
        self.along_columns.forward(simd, &mut by_columns[block * rows..][..rows]);
    }

    /// The second half, when all columns are done: block `block` of sixteen rows of the spectrum, to `row`.
    #[inline(always)]
    pub fn forward_along_rows<S: Simd>(&self, simd: S, block: usize, by_columns: &[Group], row: &mut [Group]) {
        let (rows, columns) = (self.rows(), self.columns());
        for (from, to) in by_columns.chunks_exact(rows).zip(row.chunks_exact_mut(LANES)) {
            turn(&from[block * LANES..][..LANES], to);
        }
        if let Some(between) = &self.between {
            rotate::<S, false>(simd, row, &between[block * columns..][..columns]);
        }
        self.along_rows.forward(simd, row);
    }

    /// Takes block `block` of rows of a spectrum, which it overwrites, back along the rows, and puts the first `wanted` columns of it to `by_columns`.
    #[inline(always)]
    pub fn back_along_rows<S: Simd>(&self, simd: S, block: usize, row: &mut [Group], wanted: usize, by_columns: &mut [Group]) {
        let (rows, columns) = (self.rows(), self.columns());
        let row = &mut row[..columns];
        self.along_rows.back(simd, row);
        if let Some(between) = &self.between {
            rotate::<S, true>(simd, row, &between[block * columns..][..columns]);
        }
        for (from, to) in row.chunks_exact(LANES).zip(by_columns.chunks_exact_mut(rows)).take(wanted.div_ceil(LANES)) {
            turn(from, &mut to[block * LANES..][..LANES]);
        }
    }

    /// The rest of the way back: along the first `wanted` columns. What comes out is the plane times the number of its elements.
    #[inline(always)]
    pub fn back_along_columns<S: Simd>(&self, simd: S, wanted: usize, by_columns: &mut [Group]) {
        for block in 0..wanted.div_ceil(LANES).min(by_columns.len() / self.rows()) {
            self.back_one_block_of_columns(simd, block, by_columns);
        }
    }

    /// Block `block` of sixteen columns of that.
    #[inline(always)]
    pub fn back_one_block_of_columns<S: Simd>(&self, simd: S, block: usize, by_columns: &mut [Group]) {
        let rows = self.rows();
        self.along_columns.back(simd, &mut by_columns[block * rows..][..rows]);
    }
}

/// Multiplies by roots, or by their conjugates.
#[inline(always)]
pub(crate) fn rotate<S: Simd, const CONJUGATE: bool>(simd: S, row: &mut [Group], roots: &[Group]) {
    for (a, w) in row.iter_mut().zip(roots) {
        for at in 0..LANES / S::F32_LANES {
            let (value, w) = (load::<S>(a, at), load::<S>(w, at));
            store::<S>(a, at, if CONJUGATE { times_conjugate(simd, value, w) } else { times(simd, value, w) });
        }
    }
}

/// Sixteen groups with lanes and groups exchanged.
#[inline(always)]
fn turn(from: &[Group], to: &mut [Group]) {
    let (Some(from), Some(to)) = (from.first_chunk::<LANES>(), to.first_chunk_mut::<LANES>()) else { return };
    for (i, to) in to.iter_mut().enumerate() {
        for (lane, from) in from.iter().enumerate() {
            to[lane] = from[i];
            to[LANES + lane] = from[LANES + i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::{Arch, WithSimd};

    struct Transform<'a>(&'a Plane, &'a mut Vec<Group>, &'a mut Vec<Group>);

    impl WithSimd for Transform<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(plane, numbers, spectrum) = self;
            let columns = plane.columns();
            let mut row = vec![[0.0; GROUP]; columns];
            plane.forward(simd, columns, numbers, &mut row, |block, row| spectrum[block * columns..][..columns].copy_from_slice(row));
            let mut kept = spectrum.clone();
            for (block, row) in kept.chunks_exact_mut(columns).enumerate() {
                plane.back_along_rows(simd, block, row, columns, numbers);
            }
            plane.back_along_columns(simd, columns, numbers);
        }
    }

    /// Every frequency by the definition, in f64, at the place where it stands; and back.
    #[test]
    fn planes_and_lines_are_transformed_there_and_back() {
        for (rows, columns, is_line) in [(16, 16, false), (32, 16, false), (64, 32, false), (16, 128, false), (16, 16, true), (32, 64, true)] {
            let plane = Plane::new(rows, columns, is_line);
            let value = |n: usize| [((n * 7 + n / 5) % 11) as f32 - 5.0, ((n * 3 + n / 7) % 13) as f32 - 6.0];
            let mut numbers = vec![[0.0; GROUP]; plane.groups()];
            for n in 0..rows * columns {
                let (r, c) = (n / columns, n % columns);
                let group = &mut numbers[c / LANES * rows + r];
                [group[c % LANES], group[LANES + c % LANES]] = value(n);
            }
            let begin = numbers.clone();
            let mut spectrum = vec![[0.0; GROUP]; plane.groups()];
            Arch::new().dispatch(Transform(&plane, &mut numbers, &mut spectrum));
            let (by_row, by_column) = (plane.along_columns.frequencies(), plane.along_rows.frequencies());
            for place in [(0, 0), (1, 0), (0, 1), (rows - 1, columns - 1), (rows / 2, 3), (5, columns / 4)] {
                let (r, c) = place;
                let turns = |y: usize, x: usize| match is_line {
                    true => ((by_row[r] + rows * by_column[c]) * (y * columns + x)) as f64 / (rows * columns) as f64,
                    false => (by_row[r] * y) as f64 / rows as f64 + (by_column[c] * x) as f64 / columns as f64,
                };
                let mut want = [0.0f64; 2];
                for n in 0..rows * columns {
                    let (angle, [re, im]) = (-2.0 * std::f64::consts::PI * turns(n / columns, n % columns), value(n).map(f64::from));
                    want[0] += re * angle.cos() - im * angle.sin();
                    want[1] += re * angle.sin() + im * angle.cos();
                }
                let group = &spectrum[r / LANES * columns + c];
                let got = [group[r % LANES], group[LANES + r % LANES]].map(f64::from);
                let allowed = 1e-6 * 10.0 * (rows * columns) as f64;
                assert!(
                    got.iter().zip(want).all(|(got, want)| (got - want).abs() < allowed),
                    "{rows} x {columns} {is_line} {place:?}: {got:?}, {want:?}"
                );
            }
            let count = (rows * columns) as f32;
            for (got, want) in numbers.iter().flatten().zip(begin.iter().flatten()) {
                assert!((got / count - want).abs() < 1e-5, "{rows} x {columns} {is_line}: {} instead of {want}", got / count);
            }
        }
    }
}
