//! Files that commands read. They may hold anything, and no more than a stated number of bytes of them is taken into memory.

use crate::text::printable;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a text file at most: lists of layers, kernels.
pub const LARGEST_TEXT: u64 = 64 << 20;

/// The content of a text file without its byte-order mark.
///
/// # Errors
/// The path and the reason: it cannot be read, is longer than [`LARGEST_TEXT`], is not UTF-8.
pub fn text(path: &Path) -> Result<String, String> {
    let fail = |why: String| format!("{}: {why}", printable(&path.to_string_lossy()));
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let bytes = bounded(file, LARGEST_TEXT).map_err(fail)?;
    let text = String::from_utf8(bytes).map_err(|e| fail(format!("byte {} is not UTF-8", e.utf8_error().valid_up_to())))?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    })
}

/// All that `reader` holds, where that is no more than `limit` bytes.
///
/// # Errors
/// The reason, without the file's name.
pub fn bounded(reader: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("more than {limit} bytes: that is the most that is read"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_the_limit() {
        assert_eq!(bounded([1, 2, 3].as_slice(), 3), Ok(vec![1, 2, 3]));
        assert!(bounded(std::io::repeat(0), 1000).unwrap_err().contains("more than 1000 bytes"));
    }

    #[test]
    fn texts_are_utf_8_with_or_without_a_mark() {
        let path = std::env::temp_dir().join(format!("wgconv-input-{}", std::process::id()));
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            text(&path)
        };
        assert_eq!(read(b"\xef\xbb\xbf[]"), Ok("[]".to_string()));
        assert!(read(b"[\xff]").unwrap_err().ends_with(": byte 1 is not UTF-8"));
        std::fs::remove_file(&path).unwrap();
        assert!(text(&path).is_err());
    }
}
