//! Planes of neighbouring channels side by side, \[position\]\[channel\], and back, by blocks of four by four that are transposed in registers.

/// Channels side by side: the lanes of the longest vector.
pub(crate) const CHANNELS: usize = 16;

/// Numbers of a block along either axis.
const SIDE: usize = 4;

type Block = [[f32; SIDE]; SIDE];

/// Puts so many channels side by side: number `i` of channel `c`, `from[c * step + i]`, goes to `to[i * CHANNELS + c]`. A number past the last channel is any
/// of theirs.
#[inline(always)]
pub(crate) fn interleave(from: &[f32], step: usize, [channels, count]: [usize; 2], to: &mut [f32]) {
    let (to, _) = to[..count * CHANNELS].as_chunks_mut::<CHANNELS>();
    for first in (0..channels).step_by(SIDE) {
        let last = (channels - first).min(SIDE) - 1;
        let planes: [&[f32]; SIDE] = std::array::from_fn(|c| &from[(first + c.min(last)) * step..][..count]);
        let whole = planes.map(|plane| plane.as_chunks::<SIDE>().0);
        let (blocks, rest) = to.as_chunks_mut::<SIDE>();
        for (at, to) in blocks.iter_mut().enumerate() {
            let block = transposed(whole.map(|chunks| chunks[at]));
            for (to, values) in to.iter_mut().zip(&block) {
                to[first..first + SIDE].copy_from_slice(values);
            }
        }
        for (i, to) in rest.iter_mut().enumerate() {
            let at = whole[0].len() * SIDE + i;
            to[first..first + SIDE].copy_from_slice(&planes.map(|plane| plane[at]));
        }
    }
}

/// The same the other way, to planes of `count` numbers, one behind the other.
#[inline(always)]
pub(crate) fn separate(from: &[f32], count: usize, to: &mut [f32]) {
    let (from, _) = from[..count * CHANNELS].as_chunks::<CHANNELS>();
    for (number, planes) in to.chunks_mut(SIDE * count).enumerate() {
        let first = number * SIDE;
        let mut rows = planes.chunks_exact_mut(count);
        let (Some(a), Some(b), Some(c), Some(d)) = (rows.next(), rows.next(), rows.next(), rows.next()) else {
            // Fewer channels than a block has.
            for (c, plane) in planes.chunks_exact_mut(count).enumerate() {
                plane.iter_mut().zip(from).for_each(|(to, from)| *to = from[first + c]);
            }
            break;
        };
        let (blocks, rest) = from.as_chunks::<SIDE>();
        let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = [a, b, c, d].map(|plane| plane.as_chunks_mut::<SIDE>());
        for ((((a, b), c), d), from) in a.iter_mut().zip(b).zip(c).zip(d).zip(blocks) {
            let block = std::array::from_fn(|i| std::array::from_fn(|c| from[i][first + c]));
            [*a, *b, *c, *d] = transposed(block);
        }
        for (c, plane) in [a_rest, b_rest, c_rest, d_rest].into_iter().enumerate() {
            plane.iter_mut().zip(rest).for_each(|(to, from)| *to = from[first + c]);
        }
    }
}

/// The block with its axes exchanged. Compilers make single loads and inserts of the plain form: 576 planes of 14 x 14 took 0.38 ms
/// before blocks were transposed so, and 0.22 since.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transposed(block: Block) -> Block {
    use std::arch::x86_64::{__m128, _mm_movehl_ps, _mm_movelh_ps, _mm_unpackhi_ps, _mm_unpacklo_ps};
    let [a, b, c, d]: [__m128; SIDE] = bytemuck::cast(block);
    // SAFETY: every x86-64 processor has SSE.
    let rows = unsafe {
        let (low, low_below) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
        let (high, high_below) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
        [_mm_movelh_ps(low, low_below), _mm_movehl_ps(low_below, low), _mm_movelh_ps(high, high_below), _mm_movehl_ps(high_below, high)]
    };
    bytemuck::cast(rows)
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn transposed(block: Block) -> Block {
    std::array::from_fn(|i| block.map(|row| row[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_put_side_by_side_and_back() {
        for (channels, count) in [(16, 23), (16, 4), (7, 9), (1, 1), (13, 3), (4, 16)] {
            let step = count + 2;
            let planes: Vec<f32> = (0..channels * step).map(|i| i as f32).collect();
            let mut together = vec![f32::NAN; count * CHANNELS];
            interleave(&planes, step, [channels, count], &mut together);
            for (i, together) in together.chunks(CHANNELS).enumerate() {
                for (c, value) in together[..channels].iter().enumerate() {
                    assert_eq!(*value, planes[c * step + i], "number {i} of channel {c}, of {channels} channels of {count}");
                }
            }
            let mut apart = vec![f32::NAN; channels * count];
            separate(&together, count, &mut apart);
            let want: Vec<f32> = planes.chunks(step).flat_map(|plane| &plane[..count]).copied().collect();
            assert_eq!(apart, want, "{channels} channels of {count}");
        }
    }
}
