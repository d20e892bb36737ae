//! Whether the file of a picture is whole, where its decoder takes that on trust.

/// Whether a JPEG ends before its picture does. Decoders fill up what is missing with grey.
pub fn jpeg_is_cut_off(bytes: &[u8]) -> bool {
    let mut at = 2; // behind the marker of its start
    while let Some(found) = bytes[at.min(bytes.len())..].windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff)) {
        at += found + 2;
        match bytes[at - 1] {
            0xd9 => return false,
            // Restarts within a scan, and what has no length.
            0x01 | 0xd0..=0xd8 => {}
            _ => match bytes.get(at..at + 2) {
                Some(&[high, low]) => at += usize::from(u16::from_be_bytes([high, low])),
                _ => return true,
            },
        }
    }
    true
}

/// Whether a TIFF says of a value that it has more bytes than the file. Decoders take memory for as many as it says, 32 times over.
pub fn tiff_reaches_past_its_end(bytes: &[u8]) -> bool {
    let little = bytes.starts_with(b"II");
    let number = |at: u64, size: usize| -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let field = bytes.get(at..at.checked_add(size)?)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if little { field.iter().rev().fold(0, join) } else { field.iter().fold(0, join) })
    };
    // Classic files have entries of 12 bytes and counts of 4; big ones 20 and 8.
    let reaches = || -> Option<bool> {
        let big = number(2, 2)? == 43;
        let (first, count_size, entry_size) = if big { (number(8, 8)?, 8, 20) } else { (number(4, 4)?, 4, 12) };
        let entries = if big { number(first, 8)? } else { number(first, 2)? };
        let mut at = first.checked_add(if big { 8 } else { 2 })?;
        for _ in 0..entries {
            let size = match number(at.checked_add(2)?, 2)? {
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16..=18 => 8,
                _ => 1,
            };
            if number(at + 4, count_size)?.checked_mul(size).is_none_or(|length| length > bytes.len() as u64) {
                return Some(true);
            }
            at = at.checked_add(entry_size)?;
        }
        Some(false)
    };
    reaches().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageFormat};

    fn file(format: ImageFormat) -> Vec<u8> {
        let mut file = std::io::Cursor::new(Vec::new());
        DynamicImage::new_rgb8(40, 40).write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    #[test]
    fn a_cut_jpeg_is_known_by_its_missing_end() {
        let file = file(ImageFormat::Jpeg);
        assert!(!jpeg_is_cut_off(&file));
        for length in 2..file.len() {
            assert!(jpeg_is_cut_off(&file[..length]), "the first {length} of {} bytes", file.len());
        }
        assert!(!jpeg_is_cut_off(&[&file[..], b"what cameras put behind"].concat()));
    }

    /// 1383 bytes took 266 MB once: a count of eight million.
    #[test]
    fn a_tiff_has_no_more_values_than_bytes() {
        let whole = file(ImageFormat::Tiff);
        assert!(!tiff_reaches_past_its_end(&whole));
        let first = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
        let mut many = whole.clone();
        many[first + 2 + 4..][..4].copy_from_slice(&8_323_073u32.to_le_bytes());
        assert!(tiff_reaches_past_its_end(&many));
        let (picture, memory) = crate::fuzz::memory_of(|| crate::picture::decode(&many, 1_000_000));
        assert!(picture.err().unwrap().contains("cut off") && memory < 1 << 20, "{memory} bytes");
        assert!(tiff_reaches_past_its_end(&whole[..first + 5]), "the directory itself is cut");
        let big =
            [b"MM\0\x2b\0\x08\0\0" as &[u8], &16u64.to_be_bytes(), &1u64.to_be_bytes(), &[1, 0, 0, 3], &u64::MAX.to_be_bytes(), &[0; 8]].concat();
        assert!(tiff_reaches_past_its_end(&big));
    }
}
