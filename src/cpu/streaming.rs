//! Convolution of a stream with a long impulse response, block by block: the head of the response tap by tap, the rest by partitions (`partition`), whose
//! work is spread evenly over the samples between two blocks of theirs. Every output is the same sums in the same order however the stream is cut.

use crate::cpu::fft::Group;
use crate::cpu::partition::{Transform, Work};
use crate::ops::conv::partitions::{Partitions, StreamingDescriptor};
use crate::types::{Error, Result};
use ndarray::{ArrayView2, Axis};
use pulp::{Arch, Simd, WithSimd};

/// Most samples between two looks at what is due; outputs of the head at once. It divides every partition.
const RUN: usize = 64;
/// Vectors of outputs whose sums stay in registers.
const VECTORS: usize = 4;

/// A stream of samples that is convolved with an impulse response of up to millions of taps, such as a reverb's: y_n = sum over k of h_k x_(n-k). This is the
/// convolution of signal processing, not the cross-correlation of networks.
///
/// Outputs wait for nothing: [`StreamingConvolution::latency`] is 0. Blocks may have any length, which may change; outputs are the same bits whatever the blocks.
/// Processing allocates nothing, takes no lock and starts no thread. What an output may err by: [`reference::streaming`](crate::reference::streaming()).
///
/// A NaN or an infinity reaches no output before its own. It may turn all outputs from then on into NaN until `taps` + 2 `longest` samples have passed, where
/// `longest` counts the taps of the longest partition in use; then they have the bits that they would have if it had been zero. [`StreamingConvolution::reset`]
/// forgets it at once. The transforms of a sample whose magnitude is near the largest of f32 may overflow, with the same consequences.
///
/// ```
/// use wgconv::{conv::StreamingDescriptor, cpu::StreamingConvolution, ndarray::Array2};
/// # fn main() -> wgconv::Result<()> {
/// let response = Array2::from_shape_fn((1, 48_000), |(_, n)| 0.9998f32.powi(n as i32)); // one for both channels
/// let stereo = StreamingDescriptor { channels: 2, ..Default::default() };
/// let mut reverb = StreamingConvolution::new(response.view(), &stereo)?;
/// let (input, mut output) = (vec![1.0; 2 * 256], vec![0.0; 2 * 256]); // 256 samples of the left channel, then 256 of the right one
/// reverb.process(&input, &mut output)?;
/// assert_eq!((output[0], output[256]), (1.0, 1.0));
/// # Ok(())
/// # }
/// ```
#[must_use = "it holds a stream's past"]
pub struct StreamingConvolution {
    taps: usize,
    transforms: Vec<Transform>,
    /// One for all channels, or one for each.
    responses: Vec<Response>,
    channels: Vec<Channel>,
    /// Samples that came in.
    passed: u64,
    arch: Arch,
}

struct Response {
    /// The last tap first.
    head: Vec<f32>,
    /// By level.
    spectra: Vec<Vec<Group>>,
}

struct Channel {
    /// Samples that the head reaches, and room for a run.
    recent: Vec<f32>,
    /// A ring of samples for the blocks of all levels.
    history: Vec<f32>,
    /// By level.
    work: Vec<Work>,
}

impl std::fmt::Debug for StreamingConvolution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamingConvolution({} taps, {} channels)", self.taps, self.channels.len())
    }
}

impl StreamingConvolution {
    /// Transforms a response of shape \[1, taps\], for all channels, or \[channels, taps\], one for each.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the response has another number of rows, no taps, or a number that is not finite; where the descriptor has no channels or
    /// lengths that partitions cannot have; where it all takes more bytes than can be counted.
    pub fn new(response: ArrayView2<'_, f32>, descriptor: &StreamingDescriptor) -> Result<Self> {
        let (rows, taps) = response.dim();
        let Partitions { head, levels } = Partitions::new(taps, descriptor)?;
        let channels = descriptor.channels;
        if rows != 1 && rows != channels {
            return Err(Error::invalid(
                "response",
                format!("of {rows} rows"),
                format!("it has one for all channels, or one for each of the {channels}"),
            ));
        }
        if let Some(((row, tap), value)) = response.indexed_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::invalid(format!("response[{row}, {tap}]"), value, "every tap is a finite number: another would make all outputs NaN"));
        }
        // The next power of two of three blocks.
        let ring = levels.last().map_or(0, |level| 4 * level.length);
        let transforms: Vec<Transform> = levels.into_iter().map(Transform::new).collect();
        let of_transforms = transforms.iter().map(Transform::bytes).fold([0; 3], |all, own| [0, 1, 2].map(|i| all[i] + own[i]));
        let of_channel = of_transforms[2] + (head + RUN + ring) * size_of::<f32>();
        let bytes = of_channel.checked_mul(channels).and_then(|all| all.checked_add(of_transforms[1].checked_mul(rows)?));
        if bytes.is_none_or(|bytes| bytes > isize::MAX as usize / 2) {
            return Err(Error::invalid("channels", channels, format!("each takes {of_channel} bytes, which is more than there can be")));
        }
        let arch = Arch::new();
        let responses = response
            .axis_iter(Axis(0))
            .map(|row| {
                let row: Vec<f32> = row.iter().copied().collect();
                let spectra = transforms.iter().map(|transform| arch.dispatch(Pack { transform, response: &row })).collect();
                Response { head: row[..head].iter().rev().copied().collect(), spectra }
            })
            .collect();
        let channel =
            || Channel { recent: vec![0.0; head - 1 + RUN], history: vec![0.0; ring], work: transforms.iter().map(Transform::work).collect() };
        let channels = std::iter::repeat_with(channel).take(channels).collect();
        Ok(Self { taps, transforms, responses, channels, passed: 0, arch })
    }

    /// Taps of the response.
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// Channels of the stream.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Samples by which outputs come late: none. Output n of a block holds the products of all inputs up to input n of the same block. What a host adds by
    /// gathering a block of samples before it calls is the host's.
    pub fn latency(&self) -> usize {
        0
    }

    /// Samples for which the output goes on after the last input: taps - 1. [`StreamingConvolution::drain`] gives them.
    pub fn tail(&self) -> usize {
        self.taps - 1
    }

    /// Bytes of its tables and its memory of the stream.
    pub fn bytes(&self) -> usize {
        let of_channel = |channel: &Channel| (channel.recent.len() + channel.history.len()) * size_of::<f32>();
        let of_head = |response: &Response| response.head.len() * size_of::<f32>();
        let of_transform = |transform: &Transform| {
            let [table, spectra, work] = transform.bytes();
            table + spectra * self.responses.len() + work * self.channels.len()
        };
        let channels: usize = self.channels.iter().map(of_channel).sum();
        channels + self.responses.iter().map(of_head).sum::<usize>() + self.transforms.iter().map(of_transform).sum::<usize>()
    }

    /// The outputs of a block of any length: \[channel\]\[sample\], as the inputs.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the lengths differ, or are no multiple of the channels. Nothing has changed then.
    pub fn process(&mut self, input: &[f32], output: &mut [f32]) -> Result<()> {
        if input.len() != output.len() {
            return Err(Error::invalid("output", format!("of {} elements", output.len()), format!("the input has {}", input.len())));
        }
        self.check("input", input.len())?;
        output.copy_from_slice(input);
        self.process_in_place(output)
    }

    /// As [`StreamingConvolution::process`], each output in place of its input.
    ///
    /// # Errors
    /// As [`StreamingConvolution::process`].
    pub fn process_in_place(&mut self, samples: &mut [f32]) -> Result<()> {
        self.check("samples", samples.len())?;
        let length = samples.len() / self.channels.len();
        if length == 0 {
            return Ok(());
        }
        for (i, (channel, samples)) in self.channels.iter_mut().zip(samples.chunks_exact_mut(length)).enumerate() {
            let response = &self.responses[i % self.responses.len()];
            self.arch.dispatch(Block { transforms: &self.transforms, response, channel, passed: self.passed, samples });
        }
        self.passed += length as u64;
        Ok(())
    }

    /// Outputs of a stream that has ended: as [`StreamingConvolution::process`] of zeros.
    ///
    /// # Errors
    /// As [`StreamingConvolution::process`].
    pub fn drain(&mut self, output: &mut [f32]) -> Result<()> {
        self.check("output", output.len())?;
        output.fill(0.0);
        self.process_in_place(output)
    }

    /// Forgets the stream: what comes next has the bits that it would have at first. It writes all memory of the stream, and allocates nothing.
    pub fn reset(&mut self) {
        self.passed = 0;
        for channel in &mut self.channels {
            channel.recent.fill(0.0);
            channel.history.fill(0.0);
            channel.work.iter_mut().for_each(Work::reset);
        }
    }

    fn check(&self, argument: &str, length: usize) -> Result<()> {
        let channels = self.channels.len();
        if !length.is_multiple_of(channels) {
            return Err(Error::invalid(argument, format!("of {length} elements"), format!("it has as many for each of the {channels} channels")));
        }
        Ok(())
    }
}

/// The spectra of a response at one level.
struct Pack<'a> {
    transform: &'a Transform,
    response: &'a [f32],
}

impl WithSimd for Pack<'_> {
    type Output = Vec<Group>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Group> {
        self.transform.pack(simd, self.response)
    }
}

/// A block of a channel, outputs in place of inputs.
struct Block<'a> {
    transforms: &'a [Transform],
    response: &'a Response,
    channel: &'a mut Channel,
    /// Samples before it.
    passed: u64,
    samples: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { transforms, response, channel, mut passed, mut samples } = self;
        let Channel { recent, history, work } = channel;
        let reach = response.head.len() - 1;
        while !samples.is_empty() {
            // To a multiple of the run at most, so that none crosses the end of a partition's block.
            let (now, rest) = samples.split_at_mut(samples.len().min(RUN - remainder(passed, RUN)));
            samples = rest;
            recent[reach..][..now.len()].copy_from_slice(now);
            if !history.is_empty() {
                let at = remainder(passed, history.len());
                history[at..][..now.len()].copy_from_slice(now);
            }
            let mut y = [0.0; RUN];
            convolve_head(simd, &response.head, recent, &mut y);
            recent.copy_within(now.len()..now.len() + reach, 0);
            for ((transform, work), spectra) in transforms.iter().zip(work.iter_mut()).zip(&response.spectra) {
                let length = transform.level.length;
                let (block, at) = (passed / length as u64, remainder(passed, length));
                for (y, own) in y[..now.len()].iter_mut().zip(work.outputs(block, at)) {
                    *y += own;
                }
                transform.advance(simd, work, spectra, history, block, at + now.len());
            }
            now.copy_from_slice(&y[..now.len()]);
            passed += now.len() as u64;
        }
    }
}

/// Of samples that passed: where the last of these begins, by lengths.
fn remainder(passed: u64, length: usize) -> usize {
    (passed % length as u64) as usize
}

/// The outputs of a run by the head, whose last tap comes first: every output sums its products from there on. `recent` begins as many samples before the
/// run as the head reaches.
#[inline(always)]
fn convolve_head<S: Simd>(simd: S, head: &[f32], recent: &[f32], y: &mut [f32; RUN]) {
    let step = VECTORS * S::F32_LANES;
    for (part, y) in y.chunks_exact_mut(step).enumerate() {
        let mut sums = [simd.splat_f32s(0.0); VECTORS];
        for (tap, x) in head.iter().zip(recent[part * step..].windows(step)) {
            let (tap, (x, _)) = (simd.splat_f32s(*tap), S::as_simd_f32s(x));
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = simd.mul_add_e_f32s(tap, *x, *sum);
            }
        }
        let (y, _) = S::as_mut_simd_f32s(y);
        y.copy_from_slice(&sums);
    }
}
