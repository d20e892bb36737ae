//! `wgconv convolve`: a sound through an impulse response, such as a room's, block by block as an audio callback would have it.

use crate::sound::{self, Sound};
use crate::{Failure, Outcome, complain, output, say};
use hound::WavSpec;
use ndarray::Array2;
use std::path::PathBuf;
use std::time::Instant;
use wgconv::conv::StreamingDescriptor;
use wgconv::cpu::StreamingConvolution;

#[derive(clap::Args)]
#[command(
    after_help = "Files are WAV with 16 or 24 bits or floats of 32; the result has the input's format and goes on for the taps of the response less one. Input and response have the same sample rate, and as many channels, or one of them has one: a response of one channel serves all of the input's, and an input of one goes through each of the response's.\n\nSamples beyond full scale are clipped where the format is of whole numbers, and their number is said on standard error."
)]
pub struct Args {
    /// The sound
    #[arg(long, value_name = "FILE.wav")]
    input: PathBuf,
    /// The impulse response
    #[arg(long, value_name = "FILE.wav")]
    response: PathBuf,
    /// Where the result goes
    #[arg(short, long, value_name = "FILE.wav")]
    output: PathBuf,
    /// Samples of a block; the result is the same whatever it is
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    block: u32,
    /// What the result is amplified by, in decibels
    #[arg(long, value_name = "DB", allow_negative_numbers = true, default_value_t = 0.0, value_parser = decibels)]
    gain: f32,
    /// Amplifies the result so that its largest sample is full scale
    #[arg(long, conflicts_with = "gain")]
    normalize: bool,
}

/// The value of `--gain`.
fn decibels(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|db: &f32| (-200.0..=200.0).contains(db)).ok_or_else(|| "it is a number from -200 to 200".into())
}

pub fn run(args: &Args) -> Outcome {
    output::check(&args.output)?;
    let (input, response) = (sound::read(&args.input)?, sound::read(&args.response)?);
    let (of_input, of_response) = (sound::name(&args.input), sound::name(&args.response));
    if input.spec.sample_rate != response.spec.sample_rate {
        let (rate, other) = (input.spec.sample_rate, response.spec.sample_rate);
        return Err(Failure::Run(format!(
            "{of_response}: its sample rate is {other} Hz and that of {of_input} is {rate} Hz: one of them must be resampled first"
        )));
    }
    let (given, rows) = (input.channels.len(), response.channels.len());
    if given != rows && given != 1 && rows != 1 {
        return Err(Failure::Run(format!("{of_response}: it has {rows} channels and {of_input} has {given}: as many, or one of them has one")));
    }
    let channels = given.max(rows);
    let taps = response.length();
    let length = input.length() + taps - 1;
    // So much is computed and written, and the filter takes a few times as many bytes.
    if (length as u64).saturating_mul(channels as u64) > sound::MOST_SAMPLES {
        let most = sound::MOST_SAMPLES;
        let of_output = sound::name(&args.output);
        return Err(Failure::Run(format!(
            "{of_output}: it would have {length} samples in each of {channels} channels, and at most {most} in all are written"
        )));
    }
    let flat: Vec<f32> = response.channels.iter().flatten().copied().collect();
    let array = Array2::from_shape_vec((rows, taps), flat).map_err(|error| Failure::Run(format!("{of_response}: {error}")))?;
    let mut filter = StreamingConvolution::new(array.view(), &StreamingDescriptor { channels, ..Default::default() })
        .map_err(|error| Failure::Run(format!("{of_response}: {error}")))?;

    let block = args.block as usize;
    let mut result = vec![Vec::with_capacity(length); channels];
    let (mut samples, mut all, mut worst) = (vec![0.0; channels * block], 0.0, 0f64);
    for at in (0..length).step_by(block) {
        let count = block.min(length - at);
        let samples = &mut samples[..channels * count];
        for (channel, samples) in samples.chunks_exact_mut(count).enumerate() {
            let source = &input.channels[channel % given];
            let source = &source[at.min(source.len())..source.len().min(at + count)];
            samples[..source.len()].copy_from_slice(source);
            samples[source.len()..].fill(0.0);
        }
        let start = Instant::now();
        filter.process_in_place(samples)?;
        let seconds = start.elapsed().as_secs_f64();
        all += seconds;
        worst = worst.max(seconds);
        result.iter_mut().zip(samples.chunks_exact(count)).for_each(|(channel, samples)| channel.extend_from_slice(samples));
    }

    let peak = result.iter().flatten().fold(0f32, |most, value| most.max(value.abs()));
    if !peak.is_finite() {
        return Err(Failure::Run(format!("{}: the result is larger than any number: input or response must be smaller", sound::name(&args.output))));
    }
    let factor = match args.normalize {
        true if peak > 0.0 => (1.0 - 2.0 * input.one_step()) / peak, // a rounding below what would be clipped
        true => 1.0,
        false => 10f32.powf(args.gain / 20.0),
    };
    result.iter_mut().flatten().for_each(|value| *value *= factor);
    let rate = f64::from(input.spec.sample_rate);
    let spec = WavSpec { channels: channels as u16, ..input.spec };
    let (bytes, clipped) =
        sound::encode(&Sound { spec, channels: result }).map_err(|why| Failure::Run(format!("{}: {why}", sound::name(&args.output))))?;
    output::write(&args.output, &bytes)?;

    let lasts = block as f64 / rate;
    say!("{} samples a channel and {taps} taps at {rate} Hz, {channels} channels, {} MB", input.length(), filter.bytes() / 1_000_000);
    say!("latency: {} samples; the tail is {} samples", filter.latency(), filter.tail());
    say!("real-time factor: {:.4} ({:.3} s for {:.3} s of sound)", all * rate / length as f64, all, length as f64 / rate);
    say!("worst block: {:.3} ms of the {:.3} ms that {block} samples last", 1e3 * worst, 1e3 * lasts);
    say!("peak: {:.2} dB of full scale", 20.0 * (peak * factor).log10());
    if clipped > 0 {
        complain(&format!("{}: {clipped} samples are beyond full scale and clipped; --normalize and --gain avoid it", sound::name(&args.output)));
    }
    Ok(())
}
