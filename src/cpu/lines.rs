//! The input of a convolution laid out so that every tap reads neighbours: padded, and each phase of the strides apart. Output (p, q) then reads, through tap
//! (r, s), place `p pitch + q` from a start that depends on the tap alone: outputs are numbered across rows, and a block of them needs no more than its
//! first number.

use crate::cpu::window::{NOTHING, Run, longest_run};

/// One axis: where outputs read through each tap, and which input coordinate stands at each place.
pub(crate) struct Line {
    /// By tap: the phase, and the place in it that output 0 reads. Output `o` reads the place `o` further.
    pub starts: Vec<(usize, usize)>,
    pub phases: usize,
    /// Places of a phase: so many outputs, and what taps reach further.
    pub places: usize,
    /// \[phase\]\[place\]: the input coordinate, or [`NOTHING`].
    sources: Vec<u32>,
    /// By phase: the places that are the input's own, equally far apart.
    runs: Vec<Run>,
}

impl Line {
    /// `outputs` a stride apart read, through each tap, from its start on; `source(u)` is the input coordinate of the padded coordinate `u`.
    pub fn new(outputs: usize, stride: usize, taps: &[usize], source: impl Fn(usize) -> u32) -> Self {
        let reach = taps.iter().copied().fold(0, usize::max);
        // Of a long stride, only some phases are read.
        let phases = stride.min(reach + 1);
        let places = outputs + reach / stride;
        let sources: Vec<u32> = (0..phases).flat_map(|phase| (0..places).map(move |place| place * stride + phase)).map(source).collect();
        let runs = sources.chunks_exact(places).map(|sources| longest_run(sources, stride)).collect();
        Self { starts: taps.iter().map(|tap| (tap % stride, tap / stride)).collect(), phases, places, sources, runs }
    }

    /// The input coordinate at a place of a phase.
    #[inline(always)]
    pub fn source(&self, phase: usize, place: usize) -> u32 {
        self.sources[phase * self.places + place]
    }

    /// The places of an axis without phases that are the input's own, one after another.
    pub fn run(&self) -> std::ops::Range<usize> {
        self.runs[0].first..self.runs[0].last
    }

    /// Lays a phase of the input row `line` out.
    #[inline(always)]
    pub fn fill(&self, phase: usize, line: &[f32], row: &mut [f32]) {
        let sources = &self.sources[phase * self.places..][..self.places];
        let Run { first, last, step } = self.runs[phase];
        for (places, sources) in [(0..first, &sources[..first]), (last..self.places, &sources[last..])] {
            for (value, source) in row[places].iter_mut().zip(sources) {
                *value = if *source == NOTHING { 0.0 } else { line[*source as usize] };
            }
        }
        if first < last {
            let line = &line[sources[first] as usize..];
            let row = &mut row[first..last];
            match step {
                1 => row.copy_from_slice(&line[..row.len()]),
                2 => every::<2>(line, row),
                4 => every::<4>(line, row),
                step => row.iter_mut().zip(line.iter().step_by(step)).for_each(|(value, x)| *value = *x),
            }
        }
    }
}

/// Every so manieth number of `line`, from the first on: of whole chunks compilers make shuffles of vectors, of steps they do not.
#[inline(always)]
fn every<const STEP: usize>(line: &[f32], row: &mut [f32]) {
    let (chunks, rest) = line.as_chunks::<STEP>();
    let whole = chunks.len().min(row.len());
    row[..whole].iter_mut().zip(chunks).for_each(|(value, chunk)| *value = chunk[0]);
    // One more begins a chunk that the line ends in.
    row[whole..].iter_mut().zip(rest).for_each(|(value, x)| *value = *x);
}
