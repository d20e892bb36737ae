//! WAV files: read as numbers from -1 to 1 by channel, and written with the format of another one.

use crate::Failure;
use crate::input::bounded;
use crate::text::printable;
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use std::fs::File;
use std::io::Cursor;
use std::path::Path;

/// Samples of a file at most, all channels together: 46 minutes of stereo at 48 kHz. They take 4 bytes each.
pub const MOST_SAMPLES: u64 = 1 << 28;
/// Bytes of a file at most: so many samples, and what may stand beside them.
const MOST_BYTES: u64 = 4 * MOST_SAMPLES + (1 << 20);

/// What a WAV file holds.
#[derive(Debug)]
pub struct Sound {
    /// How its samples are stored.
    pub spec: WavSpec,
    /// By channel; 1 is full scale.
    pub channels: Vec<Vec<f32>>,
}

impl Sound {
    /// Samples of a channel.
    pub fn length(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// The difference between full scale and the largest sample that its format has.
    pub fn one_step(&self) -> f32 {
        match self.spec.sample_format {
            SampleFormat::Int => 1.0 / full_scale(self.spec.bits_per_sample),
            SampleFormat::Float => 0.0,
        }
    }
}

/// The name of a file as messages have it.
pub fn name(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Reads a WAV file of 16 or 24 bits, or of 32-bit floats.
///
/// # Errors
/// [`Failure::Run`] with the path and the reason: it cannot be read, is no WAV file, has another format, no samples or too many, or one that is not finite.
pub fn read(path: &Path) -> Result<Sound, Failure> {
    let file = File::open(path).map_err(|error| error.to_string());
    file.and_then(|file| bounded(file, MOST_BYTES)).and_then(|bytes| decode(&bytes)).map_err(|why| Failure::Run(format!("{}: {why}", name(path))))
}

fn decode(bytes: &[u8]) -> Result<Sound, String> {
    let mut reader = WavReader::new(Cursor::new(bytes)).map_err(|error| format!("it is no WAV file that can be read: {error}"))?;
    let spec = reader.spec();
    let count = u64::from(reader.len());
    if count == 0 {
        return Err("it has no samples".into());
    }
    if count > MOST_SAMPLES {
        return Err(format!("it has {count} samples, and at most {MOST_SAMPLES} are read"));
    }
    if spec.sample_rate == 0 {
        return Err("its sample rate is 0".into());
    }
    let length = count as usize / usize::from(spec.channels);
    let mut channels = vec![Vec::new(); usize::from(spec.channels)];
    let mut put = |number: usize, value: f32| {
        let channel = &mut channels[number % usize::from(spec.channels)];
        channel.push(value);
    };
    let fail = |number: usize, why: String| {
        format!("sample {} of channel {}: {why}", number / usize::from(spec.channels), number % usize::from(spec.channels))
    };
    match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Float, 32) => {
            for (number, sample) in reader.samples::<f32>().enumerate() {
                let value = sample.map_err(|error| fail(number, error.to_string()))?;
                if !value.is_finite() {
                    return Err(fail(number, format!("it is {value}, and all after it would be no numbers")));
                }
                put(number, value);
            }
        }
        (SampleFormat::Int, bits @ (16 | 24)) => {
            let scale = full_scale(bits);
            for (number, sample) in reader.samples::<i32>().enumerate() {
                // 24 bits are exact in f32.
                put(number, sample.map_err(|error| fail(number, error.to_string()))? as f32 / scale);
            }
        }
        (SampleFormat::Int, bits) => return Err(format!("it has {bits} bits a sample; 16, 24 and floats of 32 are read")),
        (SampleFormat::Float, bits) => return Err(format!("it has floats of {bits} bits; 16, 24 and floats of 32 are read")),
    }
    if channels.iter().any(|channel| channel.len() != length) {
        return Err("its last sample lacks a channel".into());
    }
    Ok(Sound { spec, channels })
}

/// What 1 is in whole numbers of so many bits.
fn full_scale(bits: u16) -> f32 {
    (1u32 << (bits - 1)) as f32
}

/// A WAV file of these channels, and how many samples it clips. Whole numbers are rounded half to even, without dither.
///
/// # Errors
/// Why there can be none.
pub fn encode(sound: &Sound) -> Result<(Vec<u8>, u64), String> {
    let mut file = Cursor::new(Vec::new());
    let mut clipped = 0;
    let fail = |error: hound::Error| error.to_string();
    let mut writer = WavWriter::new(&mut file, sound.spec).map_err(fail)?;
    for at in 0..sound.length() {
        for channel in &sound.channels {
            let value = channel[at];
            match sound.spec.sample_format {
                SampleFormat::Float => writer.write_sample(value).map_err(fail)?,
                SampleFormat::Int => {
                    let scale = full_scale(sound.spec.bits_per_sample);
                    let whole = (value * scale).round_ties_even();
                    let kept = whole.clamp(-scale, scale - 1.0);
                    clipped += u64::from(kept != whole);
                    writer.write_sample(kept as i32).map_err(fail)?; // of a NaN, which no finite file gives, 0
                }
            }
        }
    }
    writer.finalize().map_err(fail)?;
    Ok((file.into_inner(), clipped))
}
