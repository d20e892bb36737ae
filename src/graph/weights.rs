//! Weights by name from files: safetensors, and the npz archives of NumPy.
//!
//! A file is not trusted: what its header says is held against the bytes that are there before memory is taken for it. Numbers of f32, f16, bf16 and f64
//! become those of the parameter that they are for; what holds integers is known by its name and type, and no parameter takes it.

use super::npy::{self, Npy};
use super::show::spelled;
use super::{Folded, Graph, Numbers, Source};
use crate::types::{ElementType, Error, Result};
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

/// Named arrays of a file. Needs the feature `weights`.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// For messages: the file's name.
    of: String,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq)]
enum Entry {
    Numbers(Arc<Numbers>),
    /// Integers and the like, by the name of their type.
    Other(String),
}

impl Weights {
    /// Reads a file by the end of its name: `.safetensors` or `.npz`.
    ///
    /// # Errors
    /// A file that cannot be read, of another kind, or broken.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| Error::invalid("the file", &name, e.to_string()))?;
        let mut weights = match path.extension().and_then(|end| end.to_str()) {
            Some("safetensors") => Self::from_safetensors(&bytes),
            Some("npz") => Self::from_npz(&bytes),
            _ => return Err(Error::invalid("the file", &name, "its name must end in .safetensors or .npz")),
        }
        .map_err(|error| in_file(&name, error))?;
        weights.of = name;
        Ok(weights)
    }

    /// The tensors of a safetensors file.
    ///
    /// # Errors
    /// Bytes that are none: a broken header, ranges that do not cover the data.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| Error::invalid("the file", format!("of {} bytes", bytes.len()), e.to_string()))?;
        let entries = file.tensors().into_iter().map(|(name, view)| Ok((name.clone(), of_view(&name, &view)?))).collect::<Result<_>>()?;
        Ok(Self { of: "a file in memory".into(), entries })
    }

    /// The arrays of an npz file, stored or deflated.
    ///
    /// # Errors
    /// Bytes that are none: a broken archive, an array whose header and data do not agree.
    pub fn from_npz(bytes: &[u8]) -> Result<Self> {
        let broken = |e: &dyn std::fmt::Display| Error::invalid("the file", format!("of {} bytes", bytes.len()), e.to_string());
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
        let mut entries = BTreeMap::new();
        for i in 0..archive.len() {
            let mut entry = archive.by_index(i).map_err(|e| broken(&e))?;
            let Some(name) = entry.name().map_err(|e| broken(&e))?.strip_suffix(".npy").map(str::to_string) else { continue };
            let mut array = vec![];
            // It grows with what is there, whatever the archive says.
            entry.read_to_end(&mut array).map_err(|e| Error::invalid(&name, "broken", e.to_string()))?;
            entries.insert(name.clone(), of_npy(&name, &array)?);
        }
        Ok(Self { of: "a file in memory".into(), entries })
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The numbers called `name`; none for what holds integers.
    pub fn get(&self, name: &str) -> Option<&Numbers> {
        match self.entries.get(name) {
            Some(Entry::Numbers(numbers)) => Some(numbers),
            _ => None,
        }
    }

    /// The same under other names; what `rename` gives none for is left out. torchvision's files, for instance, count batches:
    ///
    /// ```
    /// # use wgconv::graph::Weights;
    /// # fn of(weights: Weights) -> Weights {
    /// weights.renamed(|name| (!name.ends_with("num_batches_tracked")).then(|| name.to_string()))
    /// # }
    /// ```
    pub fn renamed(self, rename: impl Fn(&str) -> Option<String>) -> Self {
        let entries = self.entries.into_iter().filter_map(|(name, entry)| Some((rename(&name)?, entry))).collect();
        Self { entries, ..self }
    }
}

impl Graph {
    /// Gives every parameter the numbers of its name, converted to its element type. Needs the feature `weights`.
    ///
    /// Load before passes change the graph: [`Graph::optimized`] folds batch norms into parameters of other names.
    ///
    /// ```no_run
    /// # use wgconv::{Graph, graph::Weights};
    /// # fn f(mut graph: Graph) -> wgconv::Result<()> {
    /// graph.set_all(&Weights::read("resnet18.safetensors")?)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// All that is missing, all that is surplus and all of another shape or type, in one error; nothing is changed then.
    pub fn set_all(&mut self, weights: &Weights) -> Result<()> {
        let wanted: HashMap<&str, usize> = self.parameters().map(|(name, value)| (name, value.index())).collect();
        let (mut found, mut missing, mut misshapen) = (vec![], vec![], vec![]);
        for (name, value) in self.parameters() {
            let Some(declared) = &self.values[value.index()].declared else { continue };
            match weights.entries.get(name) {
                None => missing.push(name.to_string()),
                Some(Entry::Other(dtype)) => {
                    misshapen.push(format!("{name} ({dtype}; it must be {} of {})", spelled(&declared.extents), declared.element));
                }
                Some(Entry::Numbers(numbers)) if numbers.tensor_type().extents != declared.extents => {
                    misshapen.push(format!("{name} ({}; it must be {})", spelled(&numbers.tensor_type().extents), spelled(&declared.extents)));
                }
                Some(Entry::Numbers(numbers)) => found.push((value.index(), converted(numbers, declared.element))),
            }
        }
        let surplus: Vec<String> = weights.names().filter(|name| !wanted.contains_key(name)).map(str::to_string).collect();
        let surplus_folded = self.folded.iter().find(|folded| surplus.contains(&folded.name));
        let said = [("missing", missing), ("surplus", surplus), ("of another shape or type", misshapen)];
        let said: Vec<String> =
            said.into_iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
        if !said.is_empty() {
            let folded = surplus_folded
                .map_or(String::new(), |Folded { name, pass, .. }| format!("; Pass::{pass} has folded {name}: load before passes change the graph"));
            return Err(Error::invalid("weights", &weights.of, said.join("; ") + &folded));
        }
        for (value, numbers) in found {
            self.values[value].source = Source::Parameter(Some(numbers));
        }
        Ok(())
    }

    /// The parameters as a safetensors file, by the names that they have in this graph: save by the graph from before the passes to have the names that it
    /// was loaded with ([`Graph::optimized`]). Needs the feature `weights`.
    ///
    /// # Errors
    /// Parameters without numbers.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let without: Vec<&str> = self.parameters().filter(|(_, value)| self.numbers(*value).is_none()).map(|(name, _)| name).collect();
        if !without.is_empty() {
            return Err(Error::of_all("parameter", &without, "without numbers", "a file holds the numbers of all"));
        }
        let tensors: Vec<(&str, Stored<'_>)> = self.parameters().filter_map(|(name, value)| Some((name, Stored::of(self.numbers(value)?)))).collect();
        safetensors::serialize(tensors, None).map_err(|e| Error::invalid("parameters", "not storable", e.to_string()))
    }
}

/// Numbers as safetensors takes them, little-endian.
struct Stored<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: Vec<u8>,
}

impl<'a> Stored<'a> {
    fn of(numbers: &'a Numbers) -> Self {
        match numbers {
            Numbers::F32(array) => {
                Self { dtype: Dtype::F32, shape: array.shape(), bytes: array.iter().flat_map(|value| value.to_le_bytes()).collect() }
            }
            Numbers::F16(array) => {
                Self { dtype: Dtype::F16, shape: array.shape(), bytes: array.iter().flat_map(|value| value.to_le_bytes()).collect() }
            }
        }
    }
}

impl safetensors::View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn in_file(file: &str, error: Error) -> Error {
    match error {
        Error::Invalid { argument, value, rule } if argument == "the file" => Error::Invalid { argument: file.into(), value, rule },
        Error::Invalid { argument, value, rule } => Error::Invalid { argument: format!("{argument} in {file}"), value, rule },
        other => other,
    }
}

/// Numbers of another element type, where they are not of it already.
fn converted(numbers: &Arc<Numbers>, element: ElementType) -> Arc<Numbers> {
    match (numbers.as_ref(), element) {
        (Numbers::F32(array), ElementType::F16) => Arc::new(Numbers::F16(array.mapv(f16::from_f32))),
        (Numbers::F16(array), ElementType::F32) => Arc::new(Numbers::F32(array.mapv(f16::to_f32))),
        _ => numbers.clone(),
    }
}

fn shaped<T>(name: &str, shape: &[usize], numbers: Vec<T>) -> Result<ArrayD<T>> {
    let count = numbers.len();
    let rule = |e: ndarray::ShapeError| Error::invalid(name, format!("{shape:?} with {count} numbers"), e.to_string());
    ArrayD::from_shape_vec(IxDyn(shape), numbers).map_err(rule)
}

fn of_view(name: &str, view: &TensorView<'_>) -> Result<Entry> {
    let bytes = view.data();
    let f32s = |numbers: Vec<f32>| Ok(Entry::Numbers(Arc::new(Numbers::F32(shaped(name, view.shape(), numbers)?))));
    match view.dtype() {
        Dtype::F32 => f32s(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F64 => f32s(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()),
        Dtype::BF16 => f32s(bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::F16 => {
            let numbers = bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b)).collect();
            Ok(Entry::Numbers(Arc::new(Numbers::F16(shaped(name, view.shape(), numbers)?))))
        }
        other => Ok(Entry::Other(format!("{other:?}").to_lowercase())),
    }
}

/// An array of the npy format.
fn of_npy(name: &str, bytes: &[u8]) -> Result<Entry> {
    let Npy { descr, is_column_major, shape, data } =
        npy::parse(bytes).map_err(|why| Error::invalid(name, format!("of {} bytes", bytes.len()), why))?;
    let Some(written) = descr else { return Ok(Entry::Other("a record".into())) };
    // In the column-major order of Fortran the axes are stored the other way round.
    let stored: Vec<usize> = if is_column_major { shape.iter().rev().copied().collect() } else { shape.clone() };
    let (is_big, size) = match written.as_bytes() {
        [order @ (b'<' | b'>' | b'='), b'f', size @ (b'2' | b'4' | b'8')] => (*order == b'>', usize::from(size - b'0')),
        _ => return Ok(Entry::Other(written)),
    };
    let count = stored.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent)).and_then(|count| count.checked_mul(size));
    if count != Some(data.len()) {
        return Err(Error::invalid(name, format!("{shape:?} of {written}"), format!("its data have {} bytes", data.len())));
    }
    /// Numbers of N bytes each, in either order of bytes.
    fn numbers<const N: usize, T>(data: &[u8], is_big: bool, of: fn([u8; N]) -> T) -> Vec<T> {
        let number = |bytes: &[u8; N]| {
            let mut bytes = *bytes;
            if is_big {
                bytes.reverse();
            }
            of(bytes)
        };
        data.as_chunks::<N>().0.iter().map(number).collect()
    }
    fn turned<T: Clone>(array: ArrayD<T>, is_column_major: bool) -> ArrayD<T> {
        if is_column_major { array.reversed_axes().as_standard_layout().into_owned() } else { array }
    }
    let numbers = match size {
        2 => Numbers::F16(turned(shaped(name, &stored, numbers(data, is_big, f16::from_le_bytes))?, is_column_major)),
        4 => Numbers::F32(turned(shaped(name, &stored, numbers(data, is_big, f32::from_le_bytes))?, is_column_major)),
        _ => Numbers::F32(turned(shaped(name, &stored, numbers(data, is_big, |bytes| f64::from_le_bytes(bytes) as f32))?, is_column_major)),
    };
    Ok(Entry::Numbers(Arc::new(numbers)))
}
