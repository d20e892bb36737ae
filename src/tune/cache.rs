//! Where verdicts are kept: one JSON file per device, driver, version of this crate and text of its shaders, so that whatever could
//! change a verdict changes the file. It is written whole under another name and moved into place, so that readers never see half of one.
//!
//! A file is trusted if it is about this device, has the checksum of its verdicts, and every time in it is one. Any other is ignored with a
//! warning, and set aside when the next verdict is written. What is planned is computed from the verdicts, never read.

use crate::gpu::disk::Key;
use crate::gpu::{Gpu, disk};
use crate::ops::Op;
use crate::plan::Planned;
use crate::plan::profile::CoopMatrix;
use crate::tune::{Candidate, Tuned, Tuning, Verdict, units};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Number of the format; another one is another file.
const FORMAT: u32 = 3;

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    key: Key,
    /// Of `problems` as JSON without white space.
    checksum: String,
    /// By [`Op::tuning_key`].
    problems: BTreeMap<String, Tuned>,
}

fn checksum(problems: &BTreeMap<String, Tuned>) -> serde_json::Result<String> {
    Ok(disk::checksum(&serde_json::to_vec(problems)?))
}

/// A device's tuning and what it knows.
#[derive(Default)]
pub(crate) struct Tuner {
    state: Mutex<State>,
    /// The cooperative matrices, as far as they kept what the driver says of them.
    trusted_coop: OnceLock<Option<CoopMatrix>>,
    /// By [`Op::tuning_key`]: locked while the problem is tuned. A thread that panics while it tunes leaves nothing half done here.
    under_way: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

#[derive(Default)]
struct State {
    tuning: Tuning,
    /// The file and its key, once tuning was asked for; no path where there is no folder for caches.
    place: Option<(Option<PathBuf>, Key)>,
    problems: BTreeMap<String, Tuned>,
}

impl Tuner {
    /// What of the cooperative matrices the planner's rules may use; found out once.
    pub fn trusted_coop(&self, gpu: &Gpu) -> Option<CoopMatrix> {
        *self.trusted_coop.get_or_init(|| units::trusted(gpu))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Whatever panicked while it was locked left the map whole: entries are inserted complete.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to lock while `op` is tuned.
    pub fn turn(&self, op: &Op) -> Arc<Mutex<()>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).entry(op.tuning_key()).or_default().clone()
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

    pub fn find(&self, op: &Op) -> Option<Tuned> {
        self.state().problems.get(&op.tuning_key()).cloned()
    }

    /// Remembers a verdict and writes it. A file that cannot be written costs the next process its time, nothing else.
    pub fn keep(&self, op: &Op, tuned: &Tuned) {
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

/// The problems of a file, if there is one and it can be trusted.
fn read(path: &Path, key: &Key) -> Option<BTreeMap<String, Tuned>> {
    trusted(&disk::read(path)?, key).map_err(|why| disk::ignored(path, why)).ok()
}

fn trusted(bytes: &[u8], key: &Key) -> Result<BTreeMap<String, Tuned>, String> {
    let File { key: found, checksum: sum, mut problems } = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if found != *key {
        return Err("it is about another device, driver or version".into());
    }
    if checksum(&problems).ok() != Some(sum) {
        return Err("its checksum is not that of its verdicts".into());
    }
    for (problem, tuned) in &mut problems {
        tuned.choose();
        for Candidate { label, verdict } in &tuned.candidates {
            if let Verdict::Verified { seconds } | Verdict::Slow { seconds } = verdict
                && !(seconds.is_finite() && *seconds > 0.0)
            {
                return Err(format!("{problem}: {label} takes {seconds} seconds"));
            }
        }
    }
    Ok(problems)
}

/// Writes `problems` together with what another process wrote meanwhile.
fn write(path: &Path, key: &Key, problems: &BTreeMap<String, Tuned>) -> std::io::Result<()> {
    let mut all = problems.clone();
    match disk::read(path).map(|bytes| trusted(&bytes, key)) {
        None => {}
        Some(Ok(others)) => {
            for (problem, other) in others {
                match all.entry(problem) {
                    Entry::Vacant(place) => drop(place.insert(other)),
                    Entry::Occupied(mut own) => own.get_mut().merge(&other),
                }
            }
        }
        Some(Err(why)) => {
            disk::ignored(path, why);
            disk::set_aside(path);
        }
    }
    let text = serde_json::to_string_pretty(&File { key: key.clone(), checksum: checksum(&all)?, problems: all })?;
    disk::replace(path, (text + "\n").as_bytes())
}

impl Gpu {
    /// The file in which this device's verdicts are kept; `None` before [`Gpu::set_tuning`], and where the system has no folder for caches.
    pub fn tuning_file(&self) -> Option<PathBuf> {
        self.tuner().ok()?.path()
    }
}
