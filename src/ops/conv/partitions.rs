//! Convolution of a stream with a long impulse response as data: into which partitions the response is cut, and how much rounding errors grow.
//!
//! y_n = sum over k of h_k x_(n-k). The first taps, the head, are multiplied as they are, so that no output waits for a block. The others lie in partitions
//! that are convolved by Fourier transforms of blocks (overlap-save), short ones first and long ones last (Gardner, Efficient convolution without
//! input-output delay, 1995). Partitions of N taps begin at tap 2 N: a block of N samples is complete N samples before the first output that needs it, and its
//! work is spread over that time (Garcia, Optimal filter partition for efficient convolution with short input/output delay, 2002).

use crate::numeric::bound::fourier_error;
use crate::ops::conv::fft::products;
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The lengths that a partition may have.
const LENGTHS: RangeInclusive<usize> = 256..=1 << 17;

/// How many times as long the partitions of the next level are.
const GROWTH: usize = 8;

/// A stream that is convolved block by block: its channels, and the partitions of the impulse response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamingDescriptor {
    /// Channels of the stream.
    pub channels: usize,
    /// Taps of the shortest partitions, a power of two from 256 to 131,072. Twice as many taps are the head, which is multiplied tap by tap.
    pub shortest: usize,
    /// Taps of the longest partitions, the same. Where it is `shortest`, all partitions are alike, and a long response takes very much more work.
    /// A smaller one takes less memory for work under way, and its largest piece of work is smaller.
    pub longest: usize,
}

impl Default for StreamingDescriptor {
    /// One channel, partitions of 256 to 131,072 taps.
    fn default() -> Self {
        Self { channels: 1, shortest: *LENGTHS.start(), longest: *LENGTHS.end() }
    }
}

impl StreamingDescriptor {
    fn check(&self) -> Result<()> {
        if self.channels == 0 {
            return Err(Error::invalid("channels", self.channels, "a stream has at least one channel"));
        }
        for (name, length) in [("shortest", self.shortest), ("longest", self.longest)] {
            if !length.is_power_of_two() || !LENGTHS.contains(&length) {
                let rule = format!("partitions have a power of two of taps, from {} to {}", LENGTHS.start(), LENGTHS.end());
                return Err(Error::invalid(name, length, rule));
            }
        }
        if self.shortest > self.longest {
            return Err(Error::invalid("shortest", self.shortest, format!("the longest partitions have {} taps", self.longest)));
        }
        Ok(())
    }
}

/// Partitions of one length: taps `offset` to `offset + count * length`, the last of which may lie past the response's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    pub length: usize,
    pub offset: usize,
    pub count: usize,
}

impl Level {
    /// What the transforms of the level may err by, relative to the sum over its partitions of |x| |h|, the Euclidean norms of two blocks of the stream
    /// and of a partition. A transform has one product by roots more than one of its length: see `cpu/partition.rs`.
    pub fn growth(&self) -> f64 {
        fourier_error(self.length.ilog2(), products(self.length as u64) + 1, self.count as u64)
    }

    /// The taps of partition `number` that a response of so many has.
    pub fn taps(&self, number: usize, taps: usize) -> std::ops::Range<usize> {
        let begin = self.offset + number * self.length;
        begin.min(taps)..(begin + self.length).min(taps)
    }
}

/// How an impulse response is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partitions {
    /// Taps that are multiplied one by one.
    pub head: usize,
    /// Partitions, the shortest first.
    pub levels: Vec<Level>,
}

impl Partitions {
    /// The partitions of a response of so many taps.
    ///
    /// # Errors
    /// A descriptor without channels, or with lengths that partitions cannot have; no taps, or more than can be counted.
    pub fn new(taps: usize, descriptor: &StreamingDescriptor) -> Result<Self> {
        descriptor.check()?;
        // What is counted below is less than twice the taps and a few partitions.
        if taps == 0 || taps > usize::MAX / 4 {
            return Err(Error::invalid("response", format!("of {taps} taps"), format!("it has 1 to {} taps", usize::MAX / 4)));
        }
        let mut levels = vec![];
        let mut length = descriptor.shortest;
        let head = taps.min(2 * length);
        while 2 * length < taps {
            let offset = 2 * length;
            let next = (length * GROWTH).min(descriptor.longest);
            // One longer partition is more work than a few more of these.
            let is_last = next == length || taps <= 3 * next;
            let end = if is_last { taps } else { 2 * next };
            levels.push(Level { length, offset, count: (end - offset).div_ceil(length) });
            if is_last {
                break;
            }
            length = next;
        }
        Ok(Self { head, levels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tap_lies_in_one_partition() {
        let default = StreamingDescriptor::default();
        for descriptor in [default, StreamingDescriptor { longest: 256, ..default }, StreamingDescriptor { shortest: 1024, longest: 4096, ..default }]
        {
            for taps in [1, 2, 511, 512, 513, 767, 768, 769, 4096, 6144, 6145, 50_000, 1_000_000] {
                let Partitions { head, levels } = Partitions::new(taps, &descriptor).unwrap();
                let mut covered = head;
                for level in &levels {
                    assert_eq!(level.offset, 2 * level.length, "{taps}: a block is complete a block before it is needed");
                    for number in 0..level.count {
                        let range = level.taps(number, taps);
                        assert_eq!(range.start, covered, "{taps}: {level:?}");
                        assert!(!range.is_empty(), "{taps}: {level:?}");
                        covered = range.end;
                    }
                }
                assert_eq!(covered, taps, "{levels:?}");
            }
        }
    }

    /// A million taps are a few dozen partitions, where partitions of one length are thousands.
    #[test]
    fn a_million_taps() {
        let count =
            |descriptor: &StreamingDescriptor| Partitions::new(1_000_000, descriptor).unwrap().levels.iter().map(|level| level.count).sum::<usize>();
        let default = StreamingDescriptor::default();
        assert_eq!(count(&default), 14 + 14 + 14 + 6);
        assert_eq!(count(&StreamingDescriptor { longest: 256, ..default }), 999_488usize.div_ceil(256));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let default = StreamingDescriptor::default();
        let says = |taps, descriptor| Partitions::new(taps, &descriptor).unwrap_err().to_string();
        assert!(says(1, StreamingDescriptor { channels: 0, ..default }).starts_with("channels is 0"));
        assert!(says(1, StreamingDescriptor { shortest: 128, ..default }).starts_with("shortest is 128: partitions have a power of two"));
        assert!(says(1, StreamingDescriptor { longest: 3000, ..default }).starts_with("longest is 3000"));
        assert!(says(1, StreamingDescriptor { shortest: 1024, longest: 512, ..default }).contains("longest partitions have 512"));
        assert!(says(0, default).contains("0 taps"));
        assert!(says(usize::MAX, default).contains("1 to"));
    }
}
