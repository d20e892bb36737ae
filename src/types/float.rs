//! f32 numbers as they are written: those that are not finite, which JSON has no numbers for, as text.

use serde::{Deserialize, Deserializer, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(f32),
    Text(String),
}

/// A number; `inf`, `-inf`, or the bits of a NaN such as `0x7fc00000`.
pub fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() {
        serializer.serialize_f32(*value)
    } else if value.is_nan() {
        serializer.serialize_str(&format!("{:#010x}", value.to_bits()))
    } else {
        serializer.serialize_str(if *value > 0.0 { "inf" } else { "-inf" })
    }
}

/// What [`serialize`] writes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    match Written::deserialize(deserializer)? {
        Written::Number(value) => Ok(value),
        Written::Text(text) => match text.as_str() {
            "inf" => Ok(f32::INFINITY),
            "-inf" => Ok(f32::NEG_INFINITY),
            _ => {
                let nan = text.strip_prefix("0x").and_then(|bits| u32::from_str_radix(bits, 16).ok()).map(f32::from_bits).filter(|v| v.is_nan());
                nan.ok_or_else(|| serde::de::Error::custom(format!("\"{text}\" is no f32: it is a number, inf, -inf or the bits of a NaN")))
            }
        },
    }
}
