//! Where verdicts are kept: one JSON file per device, driver, version of this crate and text of its shaders, so that whatever could
//! change a verdict changes the file. A file that cannot be read or is about another device is ignored with a warning and replaced by
//! the next verdict; it is written whole under another name and moved into place, so that readers never see half of one.

use super::{Tuned, Tuning, units};
use crate::disk::{self, Key};
use crate::gpu::{Gpu, MatrixUnits};
use crate::op::Op;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Number of the format; another one is another file.
const FORMAT: u32 = 1;

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    key: Key,
    /// By [`Op::tuning_key`].
    problems: BTreeMap<String, Tuned>,
}

/// A device's tuning and what it knows.
#[derive(Default)]
pub(crate) struct Tuner {
    state: Mutex<State>,
    /// The matrix units, as far as they kept what the driver says of them.
    trusted_units: OnceLock<Option<MatrixUnits>>,
}

#[derive(Default)]
struct State {
    tuning: Tuning,
    /// The file and its key, once tuning was asked for; no path where there is no folder for caches.
    place: Option<(Option<PathBuf>, Key)>,
    problems: BTreeMap<String, Tuned>,
}

impl Tuner {
    /// What of the matrix units the planner's rules may use; found out once.
    pub fn trusted_units(&self, gpu: &Gpu) -> Option<MatrixUnits> {
        *self.trusted_units.get_or_init(|| units::trusted(gpu))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Whatever panicked while it was locked left the map whole: entries are inserted complete.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tuning(&self) -> Tuning {
        self.state().tuning
    }

    pub fn set(&self, gpu: &Gpu, tuning: Tuning, folder: Option<&Path>) {
        let key = Key::new(gpu, FORMAT);
        let path = disk::folder(folder).map(|folder| folder.join(key.file("tune", "json")));
        let problems = path.as_deref().and_then(|path| read(path, &key)).unwrap_or_default();
        *self.state() = State { tuning, place: Some((path, key)), problems };
    }

    pub fn find(&self, op: &dyn Op) -> Option<Tuned> {
        self.state().problems.get(&op.tuning_key()).cloned()
    }

    /// Remembers a verdict and writes it. A file that cannot be written costs the next process its time, nothing else.
    pub fn keep(&self, op: &dyn Op, tuned: &Tuned) {
        let mut state = self.state();
        state.problems.insert(op.tuning_key(), tuned.clone());
        if let Some((Some(path), key)) = &state.place
            && let Err(error) = write(path, key, &state.problems)
        {
            log::warn!("{}: {error}; what was tuned is not kept", path.display());
        }
    }

    /// The file that verdicts are kept in.
    pub fn path(&self) -> Option<PathBuf> {
        self.state().place.as_ref().and_then(|(path, _)| path.clone())
    }
}

/// The problems of a file, if there is one, it can be read and it is about this key.
fn read(path: &Path, key: &Key) -> Option<BTreeMap<String, Tuned>> {
    match serde_json::from_slice::<File>(&disk::read(path)?) {
        Ok(file) if file.key == *key => Some(file.problems),
        Ok(_) => {
            disk::ignored(path, "it is about another device, driver or version");
            None
        }
        Err(error) => {
            disk::ignored(path, error);
            None
        }
    }
}

/// Writes `problems` together with those that another process wrote meanwhile.
fn write(path: &Path, key: &Key, problems: &BTreeMap<String, Tuned>) -> std::io::Result<()> {
    let mut all = read(path, key).unwrap_or_default();
    all.extend(problems.iter().map(|(problem, tuned)| (problem.clone(), tuned.clone())));
    let text = serde_json::to_string_pretty(&File { key: key.clone(), problems: all })?;
    disk::replace(path, (text + "\n").as_bytes())
}

impl Gpu {
    /// The file in which this device's verdicts are kept; `None` before [`Gpu::set_tuning`], and where the system has no folder for caches.
    pub fn tuning_file(&self) -> Option<PathBuf> {
        self.tuner().path()
    }
}
