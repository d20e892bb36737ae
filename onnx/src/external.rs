//! Weights in files of their own beside the model. A path that leaves the model's folder is refused, whatever it goes through.

use crate::error::{Error, Result};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

/// The bytes of a tensor whose data are external, `needed` of them. Nothing is allocated before the file is known to have them.
pub(crate) fn read(entries: &[(String, String)], folder: Option<&Path>, needed: u64, place: &str) -> Result<Vec<u8>> {
    let wrong = |rule: String| Error::format(format!("{place}, external_data"), rule);
    let entry = |key: &str| entries.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str());
    let number =
        |key: &str| entry(key).map(|value| value.parse::<u64>().map_err(|_| wrong(format!("{key} is \"{value}\", and it is a number")))).transpose();
    let location = entry("location").ok_or_else(|| wrong("it has no location".into()))?;
    let folder = folder.ok_or_else(|| wrong(format!("its numbers are in the file \"{location}\", and a model given as bytes has no folder")))?;
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    if let Some(length) = length
        && length != needed
    {
        return Err(wrong(format!("its length is {length} bytes, and the tensor has {needed}")));
    }
    let relative = Path::new(location);
    if location.is_empty() || location.contains('\\') || !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(wrong(format!("the location \"{location}\" must be a path below the model's folder")));
    }
    // Links may lead out of the folder too: what counts is where the path ends.
    let at = |path: &Path| path.canonicalize().map_err(|e| wrong(format!("\"{location}\": {e}")));
    let (root, path) = (at(folder)?, at(&folder.join(relative))?);
    if !path.starts_with(&root) {
        return Err(wrong(format!("the location \"{location}\" leads out of the model's folder")));
    }
    let failed = |e: std::io::Error| wrong(format!("\"{location}\": {e}"));
    let mut file = std::fs::File::open(&path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(wrong(format!("\"{location}\" is no file")));
    }
    if offset.checked_add(needed).is_none_or(|end| end > meta.len()) {
        return Err(wrong(format!("\"{location}\" has {} bytes, and {needed} from byte {offset} on are needed", meta.len())));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = vec![0; usize::try_from(needed).map_err(|_| wrong(format!("{needed} bytes are past this machine's memory")))?];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
