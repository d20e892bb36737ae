//! Convolution of a stream, straight from the definition, and what partitions that are transformed may err by.

use crate::numeric::bound::{UNDERFLOW, gamma};
use crate::ops::conv::partitions::{Level, Partitions, StreamingDescriptor};
use crate::reference::Bounded;
use crate::types::{ElementType, Result};

/// Outputs y_n = sum over k of h_k x_(n-k) of one channel in f64, for each n of `outputs`, with the error that
/// `cpu::StreamingConvolution` of the same descriptor may make. x is zero before its first number and after its last one.
///
/// Every partition errs by a multiple of |x| |h|, the Euclidean norms of two blocks of x and of its taps: a large sample makes the error of its whole block,
/// and of those that a partition takes it to, large. The bound holds where no transform overflows: a sum of |x| |h| is then below the largest f32 number by the
/// length of a partition.
///
/// # Errors
/// A descriptor or a response that `cpu::StreamingConvolution` refuses for its lengths.
pub fn streaming(response: &[f32], x: &[f32], outputs: &[usize], descriptor: &StreamingDescriptor) -> Result<Bounded> {
    let Partitions { head, levels } = Partitions::new(response.len(), descriptor)?;
    let unit = ElementType::F32.unit_roundoff();
    let norms: Vec<Norms> = levels.iter().map(|level| Norms::new(level, response, x)).collect();
    let (mut value, mut error) = (vec![], vec![]);
    for &n in outputs {
        // Taps that meet no sample add nothing.
        let taps = (n + 1).saturating_sub(x.len()).min(response.len())..response.len().min(n + 1);
        let product = |k: usize| f64::from(response[k]) * f64::from(x[n - k]);
        value.push(taps.clone().map(product).sum::<f64>());
        let of_head: f64 = taps.filter(|k| *k < head).map(|k| product(k).abs()).sum();
        // Sums in any order, and of products.
        let mut all = gamma(head as u64 + 1, unit) * of_head;
        let mut magnitude = of_head + all;
        // Numbers too small for f32: each transform loses less than `UNDERFLOW` of its Euclidean norm, which the other factor multiplies.
        let mut lost = 1.0 + head as f64;
        for (level, norms) in levels.iter().zip(&norms) {
            let (transformed, sides) = norms.at(n);
            let own = level.growth() * transformed;
            all += own;
            magnitude += transformed + own;
            lost += sides;
        }
        // One sum for each level.
        error.push(all + gamma(levels.len() as u64, unit) * magnitude + UNDERFLOW * lost);
    }
    Ok(Bounded { value, error })
}

/// Euclidean norms of the partitions of a level, and of pairs of neighbouring blocks of x as long.
struct Norms {
    length: usize,
    partitions: Vec<f64>,
    /// Block 0 and its predecessor, which is zeros, first.
    windows: Vec<f64>,
}

impl Norms {
    fn new(level: &Level, response: &[f32], x: &[f32]) -> Self {
        let square = |numbers: &[f32]| numbers.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        let partitions = (0..level.count).map(|number| square(&response[level.taps(number, response.len())]).sqrt()).collect();
        let blocks: Vec<f64> = x.chunks(level.length).map(square).collect();
        let block = |i: usize| blocks.get(i).copied().unwrap_or(0.0);
        let windows = (0..=blocks.len()).map(|i| (block(i) + i.checked_sub(1).map_or(0.0, block)).sqrt()).collect();
        Self { length: level.length, partitions, windows }
    }

    /// For output n, the sums over the partitions of |x| |h| and of |x| + |h|.
    fn at(&self, n: usize) -> (f64, f64) {
        // Partitions begin at twice their length.
        let block = n / self.length;
        let pairs = self.partitions.iter().enumerate().map(|(number, partition)| {
            let window = block.checked_sub(2 + number).and_then(|i| self.windows.get(i)).copied().unwrap_or(0.0);
            (window, partition)
        });
        pairs.fold((0.0, 0.0), |(products, sums), (window, partition)| (products + window * partition, sums + window + partition))
    }
}
