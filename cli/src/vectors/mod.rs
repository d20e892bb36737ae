//! Reads test vectors: families of cases with expected results, and of calls that must be refused.
//!
//! A family is a folder with `cases.json` and `tensors.safetensors`, or with `bad.json`. Every broken file or entry becomes a named
//! failure; nothing is skipped in silence. `check` runs the cases.

mod check;
mod gradients;
mod training;

#[cfg(test)]
pub use check::resolve;
pub use check::{check, refuse};

use crate::{input, json};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One entry of `cases.json`.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub op: String,
    pub attrs: serde_json::Value,
    pub dtype: String,
    #[serde(default)]
    pub exact: bool,
    #[serde(default)]
    pub special: bool,
    pub inputs: BTreeMap<String, String>,
    pub outputs: BTreeMap<String, String>,
    #[serde(default)]
    pub grads: BTreeMap<String, String>,
    pub tolerance: BTreeMap<String, Tolerance>,
}

/// Allowed difference: abs + rel |expected|.
#[derive(Deserialize, Clone, Copy)]
pub struct Tolerance {
    pub abs: f64,
    pub rel: f64,
}

/// One entry of `bad.json`; its attributes are read one call at a time, since they may be what is wrong.
#[derive(Deserialize)]
pub struct BadCall {
    pub name: String,
    pub op: String,
    pub attrs: serde_json::Value,
    pub inputs: BTreeMap<String, BadInput>,
}

/// Shape and element type of an input that is never allocated.
#[derive(Deserialize)]
pub struct BadInput {
    pub dtype: String,
    pub shape: serde_json::Value,
    #[serde(default)]
    pub values: Vec<f64>,
}

/// An array of a family.
pub struct Array {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// An entry of a list: what it says, or the name (or number) and the reason why it cannot be read.
pub type Entry<T> = Result<T, BrokenEntry>;

/// An entry that is not what the format says. It fails under its own address; its neighbours still run.
pub struct BrokenEntry {
    pub name: String,
    pub why: String,
}

/// What a folder holds.
pub enum Family {
    Cases { cases: Vec<Entry<Case>>, tensors: Vec<u8> },
    Bad(Vec<Entry<BadCall>>),
    Broken(String),
}

/// A family folder and its content.
pub struct Folder {
    pub name: String,
    pub family: Family,
}

/// The folder of every family inside `dir`, or `dir` itself where it is one, sorted by name.
pub fn folders(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let is_family = |path: &Path| path.join("cases.json").exists() || path.join("bad.json").exists() || path.join("tensors.safetensors").exists();
    let folders: Vec<PathBuf> = if is_family(dir) {
        vec![dir.to_path_buf()]
    } else {
        let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|e| e.path())).collect();
        let mut folders: Vec<PathBuf> = paths.map_err(|e| format!("{}: {e}", dir.display()))?.into_iter().filter(|p| p.is_dir()).collect();
        folders.sort();
        folders
    };
    if folders.is_empty() {
        return Err(format!("{}: no vector family (a folder with cases.json or bad.json) in it", dir.display()));
    }
    Ok(folders)
}

/// How many entries a family's list has; 1 for what cannot be read, which is one failure.
pub fn entry_count(path: &Path) -> usize {
    let list = ["bad.json", "cases.json"].into_iter().map(|file| path.join(file)).find(|file| file.exists());
    let text = list.and_then(|file| input::text(&file).ok());
    text.and_then(|text| serde_json::from_str::<Vec<serde::de::IgnoredAny>>(&text).ok()).map_or(1, |list| list.len().max(1))
}

/// Reads a family.
pub fn read_family(path: &Path) -> Folder {
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let load = || -> Result<Family, String> {
        if path.join("bad.json").exists() {
            if path.join("cases.json").exists() {
                return Err(format!("{} holds both cases.json and bad.json: a family has one of them", path.display()));
            }
            return Ok(Family::Bad(entries(&path.join("bad.json"))?));
        }
        let cases = entries(&path.join("cases.json"))?;
        let file = path.join("tensors.safetensors");
        let tensors = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        SafeTensors::deserialize(&tensors).map_err(|e| format!("{}: not a whole safetensors file: {e}", file.display()))?;
        Ok(Family::Cases { cases, tensors })
    };
    Folder { name, family: load().unwrap_or_else(Family::Broken) }
}

/// The entries of a list file, each read by itself.
fn entries<T: serde::de::DeserializeOwned>(file: &Path) -> Result<Vec<Entry<T>>, String> {
    let fail = |why: String| format!("{}: {why}", file.display());
    let list = match json::parse(&input::text(file)?).map_err(fail)? {
        serde_json::Value::Array(list) if list.is_empty() => return Err(fail("the list is empty".into())),
        serde_json::Value::Array(list) => list,
        _ => return Err(fail("it must be a list".into())),
    };
    let entry = |(number, value): (usize, serde_json::Value)| {
        let name = value.get("name").and_then(|n| n.as_str()).map_or_else(|| format!("#{number}"), str::to_string);
        serde_json::from_value(value).map_err(|e| BrokenEntry { name, why: format!("{}: {e}", file.display()) })
    };
    Ok(list.into_iter().enumerate().map(entry).collect())
}

/// The array that `key` names, in f64.
pub fn array(tensors: &SafeTensors<'_>, key: &str) -> Result<Array, String> {
    let view = tensors.tensor(key).map_err(|e| format!("tensor {key}: {e}"))?;
    let data = view.data();
    let values = match view.dtype() {
        Dtype::F32 => data.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::F64 => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F16 => data.as_chunks::<2>().0.iter().map(|b| f64::from(half::f16::from_le_bytes(*b))).collect(),
        Dtype::I64 => data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        other => return Err(format!("tensor {key} has element type {other:?}, which this format does not use")),
    };
    Ok(Array { dtype: view.dtype(), shape: view.shape().to_vec(), values })
}
