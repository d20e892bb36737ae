//! Files that outlive the process: what they are filed under, the folder they lie in, and how they are replaced.
//!
//! The tuner's verdicts ([`crate::tune::cache`]) and the driver's pipelines ([`crate::gpu`]) are kept this way. A file is written whole
//! under another name and moved into place, so that readers never see half of one, and of two writers at once the later wins.

use crate::gpu::Gpu;
use crate::shader::{FILES, all_sources};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the content of a file depends on: device and its profile, driver, version of this crate and text of its shaders. Another key is
/// another file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    format: u32,
    adapter: String,
    backend: String,
    driver: String,
    driver_info: String,
    version: String,
    /// Hash of every shader's text.
    shaders: String,
    /// Hash of what plans depend on: the limits and features that the device was opened with, what is known of its driver and processor.
    profile: String,
}

impl Key {
    /// The key of this device for files of a format's number.
    pub(crate) fn new(gpu: &Gpu, format: u32) -> Self {
        let report = gpu.report();
        let mut shaders = DefaultHasher::new();
        (all_sources(), FILES).hash(&mut shaders);
        let mut profile = DefaultHasher::new();
        gpu.profile().hash(&mut profile);
        Self {
            format,
            adapter: report.name.clone(),
            backend: report.backend.clone(),
            driver: report.driver.clone(),
            driver_info: report.driver_info.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            shaders: format!("{:016x}", shaders.finish()),
            profile: format!("{:016x}", profile.finish()),
        }
    }

    /// The file's name: what it holds, a hash of this key, its extension.
    pub(crate) fn file(&self, what: &str, extension: &str) -> String {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        format!("{what}-{:016x}.{extension}", hasher.finish())
    }
}

/// The folder that was asked for, else `wgconv` in the user's folder for caches; `None` where the system has none.
pub(crate) fn folder(asked: Option<&Path>) -> Option<PathBuf> {
    asked.map(Path::to_path_buf).or_else(|| dirs::cache_dir().map(|caches| caches.join("wgconv")))
}

/// The bytes of a file. One that is not there is nothing to speak of; one that cannot be read is ignored with a warning.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            ignored(path, error);
            None
        }
    }
}

/// Warns of a file that is not used.
pub(crate) fn ignored(path: &Path, why: impl std::fmt::Display) {
    log::warn!("{}: {why}; the cache is ignored", path.display());
}

/// FNV-1a: the same on every machine and for every version of the compiler.
pub(crate) fn checksum(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{sum:016x}")
}

/// Puts a file that cannot be trusted aside, as `<name>.broken` with a number where there are others, so that what is written next does not
/// destroy what a person may still want of it.
pub(crate) fn set_aside(path: &Path) {
    const MOST: u32 = 9;
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return };
    let place = |number: u32| path.with_file_name(if number == 1 { format!("{name}.broken") } else { format!("{name}.broken-{number}") });
    let free = (1..MOST).find(|&number| !place(number).exists()).unwrap_or(MOST);
    match std::fs::rename(path, place(free)) {
        Ok(()) => log::warn!("{}: kept as {}", path.display(), place(free).display()),
        Err(error) => log::warn!("{}: it could not be kept aside: {error}", path.display()),
    }
}

/// Writes a file whole, its folder too, and moves it into place.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let thread = format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_ascii_digit(), "");
    let beside = path.with_extension(format!("{}-{thread}.new", std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    remove_leftovers(path);
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}

/// Removes what processes that were killed while they wrote `path` have left of it. A write takes no time, so what is older than this is none
/// of a living one.
fn remove_leftovers(path: &Path) {
    const OLD: Duration = Duration::from_secs(600);
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().map(|stem| format!("{}.", stem.to_string_lossy()))) else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|at| at.elapsed().ok());
        if name.starts_with(&stem) && name.ends_with(".new") && age.is_some_and(|age| age > OLD) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_writers_left_is_removed_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("wgconv-disk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let make = |name: &str, old: bool| {
            let file = std::fs::File::create(folder.join(name)).unwrap();
            if old {
                file.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
            }
        };
        for (name, old) in [("tune-1.77-2.new", true), ("tune-1.78-2.new", false), ("tune-2.77-2.new", true), ("tune-1.json.broken", true)] {
            make(name, old);
        }
        replace(&folder.join("tune-1.json"), b"whole").unwrap();
        let mut left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["tune-1.78-2.new", "tune-1.json", "tune-1.json.broken", "tune-2.77-2.new"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn broken_files_are_kept_one_beside_the_other() {
        let folder = std::env::temp_dir().join(format!("wgconv-broken-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("tune.json");
        for content in ["one", "two"] {
            std::fs::write(&path, content).unwrap();
            set_aside(&path);
        }
        assert!(!path.exists());
        assert_eq!(std::fs::read_to_string(folder.join("tune.json.broken")).unwrap(), "one");
        assert_eq!(std::fs::read_to_string(folder.join("tune.json.broken-2")).unwrap(), "two");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
