//! A model as read from a file: what goes in, what comes out, and the graph for given shapes.

use crate::error::{Error, Result};
use crate::import::{Given, Imported, import};
use crate::proto;
use crate::tensor::{Element, Tensor};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use wgconv::Graph;
use wgconv::shape::MAX_RANK;

/// An ONNX model. Its weights lie in the bytes of the file until a graph takes them.
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) bytes: Vec<u8>,
    /// Where external data lie.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) proto: proto::Model,
    pub(crate) opset: i64,
    /// Elements that shapes may make at import.
    pub(crate) room: usize,
    inputs: Vec<Input>,
    outputs: Vec<Input>,
}

/// An extent of an input as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// This one.
    Is(usize),
    /// Open, by this name: equal names stand for equal extents.
    Named(String),
    /// Open.
    Open,
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dim::Is(extent) => write!(f, "{extent}"),
            Dim::Named(name) => write!(f, "{}", name.escape_default()),
            Dim::Open => write!(f, "?"),
        }
    }
}

/// An input or an output of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type, where it is one that is read here.
    pub element: Option<Element>,
    /// Its extents; none where the file does not say.
    pub dims: Option<Vec<Dim>>,
}

/// The opsets whose semantics the ops follow, the first and the last.
const OPSETS: [i64; 2] = [6, 28];

/// Elements that shapes may make at import unless a caller says otherwise.
const ROOM: usize = 1 << 22;

impl Model {
    /// Reads a file; weights outside of it are read when a graph is made, and lie in its folder.
    ///
    /// # Errors
    /// A file that cannot be read or is no ONNX model.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|e| Error::File { path: path.display().to_string(), message: e.to_string() })?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Self::of(bytes, Some(folder))
    }

    /// A model from the bytes of a file. Weights outside of it are refused when a graph is made.
    ///
    /// # Errors
    /// Bytes that are no ONNX model.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        Self::of(bytes, None)
    }

    fn of(bytes: Vec<u8>, folder: Option<PathBuf>) -> Result<Self> {
        let proto = proto::model(&bytes)?;
        let of_onnx = |(domain, _): &&(String, i64)| domain.is_empty() || domain == "ai.onnx";
        let opset = match proto.opsets.iter().find(of_onnx) {
            Some((_, version)) => *version,
            // Files from before operator sets had versions.
            None if proto.opsets.is_empty() => 1,
            // Nothing of the standard's is used.
            None => OPSETS[1],
        };
        let [first, last] = OPSETS;
        if opset < first || opset > last {
            return Err(Error::format(
                "ModelProto, opset_import",
                format!("the model is of opset {opset}, and the ops here follow {first} to {last}"),
            ));
        }
        let weights: HashSet<&str> = proto.graph.initializers.iter().map(|tensor| tensor.name.as_str()).collect();
        let inputs = proto.graph.inputs.iter().filter(|input| !weights.contains(input.name.as_str())).map(declared).collect::<Vec<_>>();
        let outputs = proto.graph.outputs.iter().map(declared).collect();
        let mut names = HashSet::new();
        if let Some(twice) = inputs.iter().find(|input| !names.insert(input.name.as_str())) {
            return Err(Error::format("GraphProto, input", format!("\"{}\" stands there twice", twice.name)));
        }
        Ok(Self { bytes, folder, opset, room: ROOM, inputs, outputs, proto })
    }

    /// The same, where shapes and constants may make so many elements at import beside those that the file's size justifies; 2^22 unless this is said.
    /// Files whose nodes make their weights need more.
    #[must_use]
    pub fn with_room(self, elements: usize) -> Self {
        Self { room: elements, ..self }
    }

    /// What the caller gives; initializers are not among them.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// What comes out, as the file declares it.
    pub fn outputs(&self) -> &[Input] {
        &self.outputs
    }

    /// The version of ONNX's operator set that the model is written in.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// The program that wrote the file, as it says.
    pub fn producer(&self) -> &str {
        &self.proto.producer
    }

    /// How often each op stands in the file, by name; one of another domain than ONNX's own with that before it.
    pub fn ops(&self) -> Vec<(String, usize)> {
        let mut counts = BTreeMap::<String, usize>::new();
        for node in &self.proto.graph.nodes {
            let name = match node.domain.as_str() {
                "" | "ai.onnx" => node.op.clone(),
                domain => format!("{domain}.{}", node.op),
            };
            *counts.entry(name).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    /// The graph for inputs of these extents. Of an input that is not among them the file must say all extents.
    ///
    /// An output whose numbers follow from shapes and constants alone is a constant of the graph. Inputs of integers become f32 inputs of the same numbers.
    ///
    /// # Errors
    /// An input that the model does not have, or extents that it does not take; every node that cannot be imported.
    pub fn graph(&self, dims: &[(&str, &[usize])]) -> Result<Graph> {
        let given: Vec<(&str, Given<'_>)> = dims.iter().map(|(name, dims)| (*name, Given::Dims(dims))).collect();
        self.import(&given)?.into_graph()
    }

    /// As [`Model::graph`], for inputs of which some are known in full, such as a list of sizes, with what else is known then.
    ///
    /// # Errors
    /// As [`Model::graph`].
    pub fn import(&self, given: &[(&str, Given<'_>)]) -> Result<Imported> {
        import(self, given)
    }

    /// As [`Model::import`], where the numbers of all inputs are at hand: floats become inputs of the graph, and part of it become all others, what has no
    /// elements or too many axes, and what a node must know.
    ///
    /// # Errors
    /// As [`Model::graph`].
    pub fn import_with(&self, tensors: &[(&str, Tensor<'_>)]) -> Result<Imported> {
        let is_fixed = |tensor: &Tensor<'_>| !tensor.element().is_float() || tensor.numbers().is_empty() || tensor.dims().len() > MAX_RANK;
        let mut fixed: Vec<bool> = tensors.iter().map(|(_, tensor)| is_fixed(tensor)).collect();
        loop {
            let given: Vec<(&str, Given<'_>)> = tensors
                .iter()
                .zip(&fixed)
                .map(|((name, tensor), fixed)| (*name, if *fixed { Given::Numbers(tensor.clone()) } else { Given::Dims(tensor.dims()) }))
                .collect();
            let error = match self.import(&given) {
                Err(Error::Nodes(refusals)) => refusals,
                other => return other,
            };
            let needed: HashSet<&String> = error.iter().flat_map(|refusal| &refusal.needs).collect();
            let before = fixed.clone();
            tensors.iter().zip(&mut fixed).filter(|((name, _), _)| needed.contains(&name.to_string())).for_each(|(_, fixed)| *fixed = true);
            if fixed == before {
                return Err(Error::Nodes(error));
            }
        }
    }
}

fn declared(info: &proto::ValueInfo) -> Input {
    let name = info.name.clone();
    let Some(tensor) = &info.tensor else { return Input { name, element: None, dims: None } };
    // Exporters write -1 and "?" for what is open.
    let dim = |dim: &proto::Dim| match dim {
        proto::Dim::Is(extent) => usize::try_from(*extent).map_or(Dim::Open, Dim::Is),
        proto::Dim::Named(name) if !name.is_empty() && name != "?" => Dim::Named(name.clone()),
        proto::Dim::Named(_) | proto::Dim::Unknown => Dim::Open,
    };
    let dims = tensor.dims.as_ref().map(|dims| dims.iter().map(dim).collect());
    Input { element: Element::of_number(i64::from(tensor.element)), dims, name }
}
