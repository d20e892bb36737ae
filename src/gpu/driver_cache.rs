//! The driver's own cache of compiled pipelines, kept in a file where the caller asks for it, so that the next process compiles less.
//!
//! A file has a line that names it, a line of JSON (its key, length and checksum), then what the driver gave. What is torn, changed or
//! about another device never reaches the driver: drivers have been known to trust such data. Only Vulkan has such caches.

use crate::gpu::disk::Key;
use crate::gpu::{Gpu, disk};
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Number of the format; another one is another file.
const FORMAT: u32 = 1;

/// The first line.
const NAME: &[u8] = b"wgconv pipelines\n";

/// The cache that pipelines are made with, and its file.
#[derive(Default)]
pub(crate) struct DriverCache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cache: Option<wgpu::PipelineCache>,
    place: Option<BufferRef>,
    /// Pipelines that had been compiled when the file was last read or written.
    kept: usize,
}

/// A file and what it is about.
#[derive(Clone)]
struct BufferRef {
    path: PathBuf,
    key: Key,
    /// wgpu's own key of adapters that may share data.
    adapter: String,
}

/// The second line.
#[derive(PartialEq, Serialize, Deserialize)]
struct Header {
    key: Key,
    adapter: String,
    bytes: u64,
    checksum: String,
}

impl Header {
    fn new(place: &BufferRef, data: &[u8]) -> Self {
        Self { key: place.key.clone(), adapter: place.adapter.clone(), bytes: data.len() as u64, checksum: disk::checksum(data) }
    }
}

impl BufferRef {
    /// The driver's data, if the file is there, whole and about this device.
    fn read(&self) -> Option<Vec<u8>> {
        let bytes = disk::read(&self.path)?;
        match self.trusted(&bytes) {
            Ok(data) => Some(data.to_vec()),
            Err(why) => {
                disk::ignored(&self.path, why);
                None
            }
        }
    }

    fn trusted<'a>(&self, bytes: &'a [u8]) -> std::result::Result<&'a [u8], &'static str> {
        let rest = bytes.strip_prefix(NAME).ok_or("it is no file of pipelines")?;
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or("its header is torn")?;
        let header: Header = serde_json::from_slice(&rest[..end]).map_err(|_| "its header cannot be read")?;
        let data = &rest[end + 1..];
        let expected = Header::new(self, data);
        if (&header.key, &header.adapter) != (&expected.key, &expected.adapter) {
            return Err("it is about another device, driver or version");
        }
        if header != expected { Err("its length or checksum is not the one it was written with") } else { Ok(data) }
    }

    fn write(&self, data: &[u8]) -> std::io::Result<()> {
        let mut bytes = NAME.to_vec();
        serde_json::to_writer(&mut bytes, &Header::new(self, data))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(data);
        disk::replace(&self.path, &bytes)
    }
}

impl DriverCache {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Its fields are each replaced whole, so a panic while it was locked left it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cache of this process alone, where the device has such a thing.
    pub fn new(device: &wgpu::Device) -> Self {
        let cache = device.features().contains(wgpu::Features::PIPELINE_CACHE).then(|| {
            // SAFETY: no data is handed in, so there is none that another driver could have written.
            unsafe { device.create_pipeline_cache(&descriptor(None)) }
        });
        Self { state: Mutex::new(State { cache, ..Default::default() }) }
    }

    pub fn get(&self) -> Option<wgpu::PipelineCache> {
        self.state().cache.clone()
    }
}

fn descriptor(data: Option<&[u8]>) -> wgpu::PipelineCacheDescriptor<'_> {
    wgpu::PipelineCacheDescriptor { label: Some("wgconv"), data, fallback: true }
}

impl Gpu {
    /// Keeps compiled pipelines in a file of this folder, so that later processes start faster; `None`: `wgconv` in the user's folder
    /// for caches. What the file holds is handed to the driver at once: call this before pipelines are made. The file is written by
    /// [`Gpu::save_pipeline_cache`]; a `Gpu` that was never told so touches no disk. Clones share it.
    ///
    /// Gives the bytes that the driver was handed: 0 where there is no file, none that can be trusted (with a warning in the log),
    /// or no such cache on this device, for only Vulkan has one.
    pub fn set_pipeline_cache(&self, folder: Option<&Path>) -> usize {
        let device = self.device();
        let adapter = wgpu::util::pipeline_cache_key(&device.adapter_info());
        let (Some(_), Some(adapter), Some(folder)) = (self.driver_cache(), adapter, disk::folder(folder)) else { return 0 };
        let key = Key::new(self, FORMAT);
        let place = BufferRef { path: folder.join(key.file("pipelines", "bin")), key, adapter };
        let data = place.read();
        let loaded = data.as_deref().and_then(|data| {
            let made = self.scoped("the pipeline cache", || {
                // SAFETY: the data came from `PipelineCache::get_data` of this adapter and driver: the header of the file names both and
                // the data's checksum, all of which were compared, and only `save_pipeline_cache` writes such files. wgpu checks
                // its own header on top, and the fallback makes an empty cache of data that is out of date.
                Ok(unsafe { device.create_pipeline_cache(&descriptor(Some(data))) })
            });
            made.inspect_err(|error| disk::ignored(&place.path, error)).ok()
        });
        let bytes = if loaded.is_some() { data.map_or(0, |data| data.len()) } else { 0 };
        let kept = self.compiled().pipelines;
        let mut state = self.inner.driver_cache.state();
        if loaded.is_some() {
            state.cache = loaded;
        }
        (state.place, state.kept) = (Some(place), kept);
        bytes
    }

    /// Writes the pipelines that were compiled to the file of [`Gpu::set_pipeline_cache`], together with those that it held. Nothing
    /// happens where that was not called, or where nothing was compiled since. Of two processes that write at once the later wins.
    ///
    /// # Errors
    /// A file that cannot be written, with the system's reason.
    pub fn save_pipeline_cache(&self) -> Result<()> {
        let compiled = self.compiled().pipelines;
        let (place, cache) = {
            let state = self.inner.driver_cache.state();
            match (&state.place, &state.cache) {
                (Some(place), Some(cache)) if compiled > state.kept => (place.clone(), cache.clone()),
                _ => return Ok(()),
            }
        };
        let Some(data) = cache.get_data() else { return Ok(()) };
        place.write(&data).map_err(|error| {
            Error::invalid("the pipeline cache", place.path.display(), format!("its folder must be one that this process can write to: {error}"))
        })?;
        self.inner.driver_cache.state().kept = compiled;
        Ok(())
    }

    /// The file of [`Gpu::set_pipeline_cache`]; `None` before that, where the device has no such cache, and where the system has no
    /// folder for caches.
    pub fn pipeline_cache_file(&self) -> Option<PathBuf> {
        self.inner.driver_cache.state().place.as_ref().map(|place| place.path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(driver: &str, adapter: &str) -> BufferRef {
        let key = serde_json::json!({
            "format": FORMAT, "adapter": "a", "backend": "vulkan", "driver": driver, "driver_info": "1", "version": "0.1.0", "shaders": "0", "profile": "0"
        });
        BufferRef { path: PathBuf::from("nowhere"), key: serde_json::from_value(key).unwrap(), adapter: adapter.into() }
    }

    fn file(place: &BufferRef, data: &[u8]) -> Vec<u8> {
        let header = serde_json::to_vec(&Header::new(place, data)).unwrap();
        [NAME, &header, b"\n", data].concat()
    }

    #[test]
    fn only_a_whole_file_of_this_device_reaches_the_driver() {
        let here = place("driver", "wgpu_1_2");
        let data: Vec<u8> = (0..300u32).map(|i| (i * 7) as u8).collect();
        let whole = file(&here, &data);
        assert_eq!(here.trusted(&whole), Ok(data.as_slice()));
        for length in 0..whole.len() {
            assert!(here.trusted(&whole[..length]).is_err(), "cut after {length} bytes");
        }
        for byte in 0..whole.len() {
            let mut changed = whole.clone();
            changed[byte] ^= 0x10;
            assert!(here.trusted(&changed).is_err(), "byte {byte} changed");
        }
        assert!(here.trusted(&[whole.as_slice(), b"x"].concat()).is_err(), "a byte more");
        for other in [place("other driver", "wgpu_1_2"), place("driver", "wgpu_1_3")] {
            assert_eq!(here.trusted(&file(&other, &data)), Err("it is about another device, driver or version"));
        }
    }

    /// Random damage, several places at once.
    #[test]
    fn no_damaged_file_reaches_the_driver() {
        let here = place("driver", "wgpu_1_2");
        let data: Vec<u8> = (0..300u32).map(|i| (i * 7) as u8).collect();
        let whole = file(&here, &data);
        let mut random = crate::numeric::generator::Generator::from_text("pipelines");
        for _ in 0..50_000 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                let to = (at + random.below(40) as usize).min(bytes.len());
                match random.below(5) {
                    0 if at < bytes.len() => bytes[at] = random.below(256) as u8,
                    1 => drop(bytes.drain(at..to)),
                    2 => bytes.insert(at, random.below(256) as u8),
                    3 => bytes.extend_from_within(at..to),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            // A blank more in the line of JSON changes nothing that reaches the driver.
            assert!(here.trusted(&bytes).is_err() || here.trusted(&bytes) == Ok(data.as_slice()), "{bytes:?}");
        }
    }
}
