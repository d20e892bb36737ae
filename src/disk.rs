//! Files that outlive the process: what they are filed under, the folder they lie in, and how they are replaced.
//!
//! The tuner's verdicts ([`crate::tune::cache`]) and the driver's pipelines ([`crate::gpu`]) are kept this way. A file is written whole
//! under another name and moved into place, so that readers never see half of one, and of two writers at once the later wins.

use crate::gpu::Gpu;
use crate::kernel::all_sources;
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

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
        all_sources().into_iter().for_each(|source| source.hash(&mut shaders));
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

/// Writes a file whole, its folder too, and moves it into place.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let thread = format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_ascii_digit(), "");
    let beside = path.with_extension(format!("{}-{thread}.new", std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}
