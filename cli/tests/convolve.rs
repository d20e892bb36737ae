//! `wgconv convolve` on WAV files: known results, formats, channels, and what it refuses.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise, its helpers too")]

mod common;

use common::{Run, run, scratch, write};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use std::path::Path;
use wgconv::conv::StreamingDescriptor;
use wgconv::numeric::Generator;
use wgconv::reference::streaming;

const FLOAT: (u16, SampleFormat) = (32, SampleFormat::Float);
const WHOLE_16: (u16, SampleFormat) = (16, SampleFormat::Int);
const WHOLE_24: (u16, SampleFormat) = (24, SampleFormat::Int);

/// Writes a file of these channels, 1 is full scale, and gives its path.
fn sound(folder: &Path, name: &str, sample_rate: u32, (bits_per_sample, sample_format): (u16, SampleFormat), channels: &[Vec<f32>]) -> String {
    let path = folder.join(name);
    let mut writer = WavWriter::create(&path, WavSpec { channels: channels.len() as u16, sample_rate, bits_per_sample, sample_format }).unwrap();
    for n in 0..channels[0].len() {
        for channel in channels {
            match sample_format {
                SampleFormat::Float => writer.write_sample(channel[n]).unwrap(),
                SampleFormat::Int => writer.write_sample((channel[n] * (1u32 << (bits_per_sample - 1)) as f32).round() as i32).unwrap(),
            }
        }
    }
    writer.finalize().unwrap();
    path.to_str().unwrap().to_string()
}

/// A file's format and channels.
fn heard(path: &str) -> (WavSpec, Vec<Vec<f32>>) {
    let mut reader = WavReader::open(path).unwrap();
    let spec = reader.spec();
    let all: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().map(Result::unwrap).collect(),
        SampleFormat::Int => reader.samples::<i32>().map(|v| v.unwrap() as f32 / (1u32 << (spec.bits_per_sample - 1)) as f32).collect(),
    };
    let count = usize::from(spec.channels);
    (spec, (0..count).map(|channel| all.iter().skip(channel).step_by(count).copied().collect()).collect())
}

fn noise(name: &str, count: usize, of: impl Fn(usize) -> f32) -> Vec<f32> {
    let mut generator = Generator::from_text(name);
    (0..count).map(|n| of(n) * generator.real() as f32).collect()
}

/// A room's response: noise that decays.
fn room(name: &str, taps: usize) -> Vec<f32> {
    noise(name, taps, |n| 0.05 * 0.999f32.powi(n as i32))
}

fn convolved(input: &str, response: &str, output: &str, options: &[&str]) -> Run {
    run(&[&["convolve", "--input", input, "--response", response, "--output", output], options].concat())
}

#[test]
fn a_room_gives_what_the_direct_sum_gives() {
    let folder = scratch("convolve-room");
    let (taps, length) = (7000, 9000);
    let voice = [noise("left", length, |_| 0.25), noise("right", length, |_| 0.25)];
    let rooms = [room("a", taps), room("b", taps)];
    let out = folder.join("out.wav").to_str().unwrap().to_string();
    let outputs: Vec<usize> = (0..length + taps - 1).step_by(13).chain([length + taps - 2]).collect();
    // Both have two channels, or one of them has one.
    for (inputs, responses) in [(2, 2), (2, 1), (1, 2), (1, 1)] {
        let input = sound(&folder, "in.wav", 44_100, FLOAT, &voice[..inputs]);
        let response = sound(&folder, "room.wav", 44_100, FLOAT, &rooms[..responses]);
        let result = convolved(&input, &response, &out, &[]);
        let said = result.succeeds();
        assert!(result.complaints().is_empty(), "{}", result.stderr);
        for part in [
            "9000 samples a channel and 7000 taps at 44100 Hz",
            "latency: 0 samples; the tail is 6999 samples",
            "real-time factor: ",
            "worst block: ",
        ] {
            assert!(said.contains(part), "{said} does not say \"{part}\"");
        }
        let (spec, channels) = heard(&out);
        assert_eq!((spec.sample_rate, spec.bits_per_sample, spec.sample_format), (44_100, 32, SampleFormat::Float));
        assert_eq!(channels.len(), inputs.max(responses));
        for (i, y) in channels.iter().enumerate() {
            assert_eq!(y.len(), length + taps - 1);
            let expected = streaming(&rooms[i % responses], &voice[i % inputs], &outputs, &StreamingDescriptor::default()).unwrap();
            for ((n, value), error) in outputs.iter().zip(&expected.value).zip(&expected.error) {
                assert!((f64::from(y[*n]) - value).abs() <= *error, "{inputs} and {responses} channels, channel {i}, sample {n}");
            }
        }
        let bytes = std::fs::read(&out).unwrap();
        convolved(&input, &response, &out, &["--block", "1000"]).succeeds();
        assert_eq!(std::fs::read(&out).unwrap(), bytes, "the block changes nothing");
    }
}

/// One tap of 1 is an echo, to the bit of 16 and 24 bits.
#[test]
fn an_echo_keeps_every_bit() {
    let folder = scratch("convolve-echo");
    let out = folder.join("out.wav").to_str().unwrap().to_string();
    for format in [WHOLE_16, WHOLE_24] {
        let x = noise("echo", 3000, |_| 0.9);
        let input = sound(&folder, "in.wav", 48_000, format, std::slice::from_ref(&x));
        // In the head, and in a partition: 24 bits are more than transforms keep.
        let delays: &[usize] = if format == WHOLE_16 { &[0, 100, 800, 5000] } else { &[0, 100] };
        for &delay in delays {
            let mut taps = vec![0.0; delay + 1];
            taps[delay] = 1.0;
            let response = sound(&folder, "echo.wav", 48_000, FLOAT, &[taps]);
            convolved(&input, &response, &out, &[]).succeeds();
            let ((spec, y), (before, x)) = (heard(&out), heard(&input));
            assert_eq!(spec, before);
            assert_eq!(y[0][delay..], x[0], "{format:?}, {delay}");
            assert!(y[0][..delay].iter().all(|v| *v == 0.0));
        }
    }
}

#[test]
fn gain_normalizing_and_clipping() {
    let folder = scratch("convolve-gain");
    let out = folder.join("out.wav").to_str().unwrap().to_string();
    let input = sound(&folder, "in.wav", 48_000, WHOLE_24, &[vec![0.5, -0.25, 0.125]]);
    let response = sound(&folder, "one.wav", 48_000, FLOAT, &[vec![1.0]]);
    convolved(&input, &response, &out, &["--gain", "-20"]).succeeds();
    assert!(heard(&out).1[0].iter().zip([0.05, -0.025, 0.0125]).all(|(y, want): (&f32, f32)| (y - want).abs() < 1e-6));
    let normal = convolved(&input, &response, &out, &["--normalize"]);
    assert!(normal.succeeds().contains("peak: -0.00 dB") && normal.complaints().is_empty(), "{}{}", normal.stdout, normal.stderr);
    assert!(heard(&out).1[0].iter().zip([1.0, -0.5, 0.25]).all(|(y, want): (&f32, f32)| (y - want).abs() < 1e-6));
    let loud = convolved(&input, &response, &out, &["--gain", "12.1"]);
    assert!(loud.succeeds().contains("peak: 6.08 dB"), "{}", loud.stdout);
    assert!(loud.complaints()[0].contains("2 samples are beyond full scale"), "{}", loud.stderr);
    assert_eq!(heard(&out).1[0][0], 1.0 - 0.5f32.powi(23));
    // Silence stays silence.
    let silence = sound(&folder, "silence.wav", 48_000, WHOLE_16, &[vec![0.0; 100]]);
    convolved(&silence, &response, &out, &["--normalize"]).succeeds();
    assert!(heard(&out).1[0].iter().all(|v| *v == 0.0));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let folder = scratch("convolve-refused");
    let out = folder.join("out.wav").to_str().unwrap().to_string();
    let input = sound(&folder, "in.wav", 48_000, FLOAT, &[vec![0.5; 10], vec![0.5; 10]]);
    let slow = sound(&folder, "slow.wav", 44_100, FLOAT, &[vec![1.0]]);
    convolved(&input, &slow, &out, &[]).fails_with(1, "slow.wav: its sample rate is 44100 Hz and that of ");
    assert!(convolved(&input, &slow, &out, &[]).complaints()[0].contains("in.wav is 48000 Hz"));
    let three = sound(&folder, "three.wav", 48_000, FLOAT, &[vec![1.0], vec![1.0], vec![1.0]]);
    convolved(&input, &three, &out, &[]).fails_with(1, "three.wav: it has 3 channels and ");
    let eight = sound(&folder, "eight.wav", 48_000, (8, SampleFormat::Int), &[vec![0.5]]);
    convolved(&eight, &input, &out, &[]).fails_with(1, "eight.wav: it has 8 bits a sample; 16, 24 and floats of 32 are read");
    let none = sound(&folder, "none.wav", 48_000, FLOAT, &[vec![], vec![]]);
    convolved(&none, &input, &out, &[]).fails_with(1, "none.wav: it has no samples");
    let wrong = sound(&folder, "wrong.wav", 48_000, FLOAT, &[vec![0.5, 0.5], vec![0.5, f32::NAN]]);
    convolved(&wrong, &input, &out, &[]).fails_with(1, "wrong.wav: sample 1 of channel 1: it is NaN");
    let text = write(&folder, "text.wav", "RIFF, or so it says");
    convolved(&input, &text, &out, &[]).fails_with(1, "text.wav: it is no WAV file that can be read");
    let mut bytes = std::fs::read(&input).unwrap();
    bytes.truncate(bytes.len() - 5);
    let short = write(&folder, "short.wav", bytes);
    convolved(&short, &input, &out, &[]).fails_with(1, "short.wav: sample 9 of channel 0");
    let large = sound(&folder, "large.wav", 48_000, FLOAT, &[vec![3e38; 900]]);
    convolved(&large, &large, &out, &[]).fails_with(1, "out.wav: the result is larger than any number");
    convolved(&folder.join("nowhere.wav").to_string_lossy(), &input, &out, &[]).fails_with(1, "nowhere.wav: No such file");
    assert!(!Path::new(&out).exists(), "nothing was written");
    convolved(&input, &input, folder.join("no/out.wav").to_str().unwrap(), &[]).fails_with(1, "no/out.wav: ");
    for (options, part) in
        [(&["--gain", "NaN"] as &[&str], "from -200 to 200"), (&["--block", "0"], "--block"), (&["--gain", "1", "--normalize"], "cannot be used")]
    {
        convolved(&input, &input, &out, options).fails_with(2, part);
    }
}
