//! Reads test vectors: families of cases with expected results, and of calls that must be refused.
//!
//! A family is a folder with `cases.json` and `tensors.safetensors`, or with `bad.json`. Every broken file or entry becomes a named
//! failure; nothing is skipped in silence.

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wgconv::conv::{ConvDescriptor, ConvInputs, ConvProblem, ConvTransposeDescriptor};
use wgconv::{Activation, Padding, PaddingMode};

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
    pub shape: serde_json::Value,
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

/// Every family inside `dir`, or `dir` itself where it is one, sorted by name.
pub fn read(dir: &Path) -> Result<Vec<Folder>, String> {
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
    Ok(folders.iter().map(|path| read_family(path)).collect())
}

fn read_family(path: &Path) -> Folder {
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
    let text = std::fs::read_to_string(file).map_err(|e| fail(e.to_string()))?;
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    if list.is_empty() {
        return Err(fail("the list is empty".into()));
    }
    let entry = |(number, value): (usize, serde_json::Value)| {
        let name = value.get("name").and_then(|n| n.as_str()).map_or_else(|| format!("#{number}"), str::to_string);
        serde_json::from_value(value).map_err(|e| BrokenEntry { name, why: format!("{}: {e}", file.display()) })
    };
    Ok(list.into_iter().enumerate().map(entry).collect())
}

/// Attributes of conv and conv_transpose; the format says that every one of them is written out.
const WINDOW: [&str; 7] = ["kernel_shape", "strides", "dilations", "group", "auto_pad", "pads", "activation"];

/// The first attribute of `op` that is not there: then the entry is broken, and its refusal would prove nothing.
pub fn missing_attribute(op: &str, attrs: &serde_json::Value) -> Option<&'static str> {
    let own: &[&'static str] = if op == "conv" { &["padding_mode"] } else { &["output_padding", "output_shape"] };
    WINDOW.iter().chain(own).find(|name| attrs.get(name).is_none()).copied()
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

/// Attributes of conv and conv_transpose.
#[derive(Deserialize)]
struct ConvAttributes {
    kernel_shape: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    group: usize,
    auto_pad: String,
    pads: Option<Vec<usize>>,
    #[serde(default)]
    padding_mode: Option<PaddingMode>,
    #[serde(default)]
    output_padding: Option<Vec<usize>>,
    #[serde(default)]
    output_shape: Option<Vec<usize>>,
    activation: ActivationAttribute,
}

#[derive(Deserialize)]
struct ActivationAttribute {
    r#type: String,
    alpha: Option<f32>,
    beta: Option<f32>,
    min: Option<f32>,
    max: Option<f32>,
    approximate: Option<String>,
}

impl ActivationAttribute {
    fn resolve(&self) -> Result<Activation, String> {
        let need = |value: Option<f32>, name: &str| value.ok_or_else(|| format!("activation {} lacks {name}", self.r#type));
        Ok(match self.r#type.as_str() {
            "none" => Activation::None,
            "relu" => Activation::Relu,
            "relu6" => Activation::Relu6,
            "leaky_relu" => Activation::LeakyRelu { alpha: need(self.alpha, "alpha")? },
            "clip" => Activation::Clip { min: self.min.unwrap_or(f32::NEG_INFINITY), max: self.max.unwrap_or(f32::INFINITY) },
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "silu" => Activation::Silu,
            "gelu" => match self.approximate.as_deref() {
                None | Some("none") => Activation::Gelu,
                Some("tanh") => Activation::GeluTanh,
                Some(other) => return Err(format!("gelu approximate is {other}: it is none or tanh")),
            },
            "hard_swish" => Activation::HardSwish,
            "hard_sigmoid" => Activation::HardSigmoid { alpha: need(self.alpha, "alpha")?, beta: need(self.beta, "beta")? },
            "elu" => Activation::Elu { alpha: need(self.alpha, "alpha")? },
            other => return Err(format!("activation {other} is not known")),
        })
    }
}

/// Resolves a conv or conv_transpose call from its attributes and the shapes of its inputs.
pub fn conv_problem(op: &str, attrs: &serde_json::Value, x: &[usize], w: &[usize], b: Option<&[usize]>) -> Result<ConvProblem, String> {
    let attributes: ConvAttributes = serde_json::from_value(attrs.clone()).map_err(|e| format!("attributes: {e}"))?;
    match attributes.kernel_shape.len() {
        1 => resolve::<1>(op, &attributes, x, w, b),
        2 => resolve::<2>(op, &attributes, x, w, b),
        3 => resolve::<3>(op, &attributes, x, w, b),
        rank => Err(format!("kernel_shape is {:?}: convolutions have 1 to 3 spatial axes, not {rank}", attributes.kernel_shape)),
    }
}

fn resolve<const N: usize>(op: &str, a: &ConvAttributes, x: &[usize], w: &[usize], b: Option<&[usize]>) -> Result<ConvProblem, String> {
    let list = |name: &str, values: &[usize]| -> Result<[usize; N], String> {
        values.try_into().map_err(|_| format!("{name} is {values:?}: one value per spatial axis, {N}, not {}", values.len()))
    };
    if w.len() == N + 2 && w[2..] != a.kernel_shape[..] {
        return Err(format!("kernel_shape is {:?}: the filter has spatial extents {:?}", a.kernel_shape, &w[2..]));
    }
    let padding = match (a.auto_pad.as_str(), &a.pads) {
        ("VALID", _) => Padding::Valid,
        ("SAME_UPPER", _) => Padding::Same,
        ("SAME_LOWER", _) => Padding::SameLower,
        ("NOTSET", None) => Padding::Valid,
        ("NOTSET", Some(pads)) if pads.len() == 2 * N => Padding::Explicit { begin: list("pads", &pads[..N])?, end: list("pads", &pads[N..])? },
        ("NOTSET", Some(pads)) => return Err(format!("pads is {pads:?}: two values per spatial axis, {}, not {}", 2 * N, pads.len())),
        (other, _) => return Err(format!("auto_pad is {other}: it is NOTSET, VALID, SAME_UPPER or SAME_LOWER")),
    };
    let (stride, dilation) = (list("strides", &a.strides)?, list("dilations", &a.dilations)?);
    let activation = a.activation.resolve()?;
    let inputs = ConvInputs::new(x, w, b);
    match op {
        "conv" => {
            let padding_mode = a.padding_mode.unwrap_or_default();
            let descriptor = ConvDescriptor { stride, dilation, padding, padding_mode, groups: a.group, activation, ..Default::default() };
            ConvProblem::forward::<N>(&descriptor, &inputs)
        }
        _ => {
            let descriptor = ConvTransposeDescriptor {
                stride,
                dilation,
                padding,
                output_padding: a.output_padding.as_deref().map_or(Ok([0; N]), |p| list("output_padding", p))?,
                output_shape: a.output_shape.as_deref().map(|s| list("output_shape", s)).transpose()?,
                groups: a.group,
                activation,
                ..Default::default()
            };
            ConvProblem::transposed::<N>(&descriptor, &inputs)
        }
    }
    .map_err(|e| e.to_string())
}
