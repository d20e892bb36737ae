//! Protobuf's wire format: a message is a sequence of fields, each a number with a wire type and a payload.
//!
//! Nothing is copied: payloads are parts of the file. Groups, which protobuf gave up and ONNX never had, are refused.
//! Source: the encoding page of the protobuf documentation.

use crate::error::{Error, Result};

/// Bytes of the file from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// The bytes; `start <= end <= file.len()` by construction, and nothing where that does not hold.
    pub fn of(self, file: &[u8]) -> &[u8] {
        file.get(self.start..self.end).unwrap_or_default()
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Payload {
    Varint(u64),
    Fixed64(u64),
    Bytes(Span),
    Fixed32(u32),
}

/// The outermost message of a file.
pub const MODEL: &str = "ModelProto";

/// Walks the fields of a message.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    file: &'a [u8],
    at: usize,
    end: usize,
    /// The message's name, for errors.
    message: &'static str,
}

impl<'a> Fields<'a> {
    pub fn new(file: &'a [u8], span: Span, message: &'static str) -> Self {
        let end = span.end.min(file.len());
        Self { file, at: span.start.min(end), end, message }
    }

    pub fn wrong(&self, rule: impl Into<String>) -> Error {
        // Of a file that is something else, the outermost message is what is wrong at once.
        let is_outermost = self.message == MODEL;
        let rule = rule.into();
        let rule = if is_outermost { format!("{rule}: is this an ONNX file?") } else { rule };
        Error::format(format!("{} at byte {}", self.message, self.at), rule)
    }

    /// The next field, or none at the end of the message.
    pub fn next(&mut self) -> Result<Option<(u64, Payload)>> {
        if self.at == self.end {
            return Ok(None);
        }
        let key = self.varint()?;
        let (number, wire) = (key >> 3, key & 7);
        if number == 0 || number > 0x1fff_ffff {
            return Err(self.wrong(format!("a field's number is 1 to 2^29 - 1, not {number}")));
        }
        let payload = match wire {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                Payload::Bytes(self.take(length)?)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(self.wrong(format!("field {number} has the wire type {other}, and ONNX has 0, 1, 2 and 5"))),
        };
        Ok(Some((number, payload)))
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.wrong("a number of more than 64 bits"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let span = self.take(N as u64)?;
        span.of(self.file).try_into().map_err(|_| self.wrong("cut short"))
    }

    fn take(&mut self, length: u64) -> Result<Span> {
        let left = (self.end - self.at) as u64;
        if length > left {
            return Err(self.wrong(format!("{length} bytes are announced, and {left} are left")));
        }
        let span = Span { start: self.at, end: self.at + length as usize };
        self.at = span.end;
        Ok(span)
    }

    fn mistyped(&self, field: &str) -> Error {
        self.wrong(format!("{field} has another wire type than ONNX gives it"))
    }

    pub fn bytes(&self, field: &str, payload: Payload) -> Result<Span> {
        if let Payload::Bytes(span) = payload { Ok(span) } else { Err(self.mistyped(field)) }
    }

    pub fn string(&self, field: &str, payload: Payload) -> Result<String> {
        let bytes = self.bytes(field, payload)?.of(self.file);
        std::str::from_utf8(bytes).map(str::to_string).map_err(|e| self.wrong(format!("{field} is no UTF-8: {e}")))
    }

    pub fn int(&self, field: &str, payload: Payload) -> Result<i64> {
        if let Payload::Varint(value) = payload { Ok(value as i64) } else { Err(self.mistyped(field)) }
    }

    pub fn int32(&self, field: &str, payload: Payload) -> Result<i32> {
        self.int(field, payload).map(|value| value as i32)
    }

    pub fn float(&self, field: &str, payload: Payload) -> Result<f32> {
        if let Payload::Fixed32(bits) = payload { Ok(f32::from_bits(bits)) } else { Err(self.mistyped(field)) }
    }

    /// Adds what a repeated field of integers holds, one by one or packed.
    pub fn ints(&self, field: &str, payload: Payload, to: &mut Vec<i64>) -> Result<()> {
        match payload {
            Payload::Varint(value) => to.push(value as i64),
            Payload::Bytes(span) => {
                let mut packed = Fields::new(self.file, span, self.message);
                while packed.at < packed.end {
                    to.push(packed.varint()? as i64);
                }
            }
            _ => return Err(self.mistyped(field)),
        }
        Ok(())
    }

    /// Adds what a repeated field of f32 holds, one by one or packed.
    pub fn floats(&self, field: &str, payload: Payload, to: &mut Vec<f32>) -> Result<()> {
        match payload {
            Payload::Fixed32(bits) => to.push(f32::from_bits(bits)),
            Payload::Bytes(span) => {
                let (each, rest) = span.of(self.file).as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(self.wrong(format!("{field} has {} bytes, which are no whole numbers of four", span.len())));
                }
                to.extend(each.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            _ => return Err(self.mistyped(field)),
        }
        Ok(())
    }

    /// As [`Fields::floats`], of f64.
    pub fn doubles(&self, field: &str, payload: Payload, to: &mut Vec<f64>) -> Result<()> {
        match payload {
            Payload::Fixed64(bits) => to.push(f64::from_bits(bits)),
            Payload::Bytes(span) => {
                let (each, rest) = span.of(self.file).as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(self.wrong(format!("{field} has {} bytes, which are no whole numbers of eight", span.len())));
                }
                to.extend(each.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            _ => return Err(self.mistyped(field)),
        }
        Ok(())
    }
}
