//! Values of a model in the making, what a caller gives, and what comes out.

use crate::error::{Error, Result};
use crate::tensor::{Element, Numbers, Tensor};
use std::rc::Rc;
use wgconv::Graph;
use wgconv::graph::ValueId;
use wgconv::ndarray::{ArrayView, IxDyn};

/// What is known of an input before the network runs.
#[derive(Debug, Clone)]
pub enum Given<'g> {
    /// Its extents: it becomes an input of the graph.
    Dims(&'g [usize]),
    /// All of it: it becomes part of the graph. For what decides about shapes, such as a list of sizes.
    Numbers(Tensor<'g>),
}

/// A model as a graph.
#[derive(Debug)]
pub struct Imported {
    /// The graph, with the outputs that depend on its inputs.
    pub graph: Graph,
    /// All outputs, in the model's order.
    pub outputs: Vec<Output>,
    /// Where the graph computes otherwise than the file says, such as f64 in f32.
    pub notes: Vec<String>,
}

/// An output of an imported model.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name, also in the graph.
    pub name: String,
    /// Its type in the file; in the graph it is of f32, or of u32 where it holds indices.
    pub element: Element,
    /// Its extents.
    pub dims: Vec<usize>,
    /// Its numbers, where they follow from shapes and constants alone; it is no output of the graph then.
    pub known: Option<Tensor<'static>>,
}

impl Imported {
    /// The graph with all outputs: those that are known are constants.
    ///
    /// # Errors
    /// A known output that no f32 constant holds: without elements, above rank 5, or with an integer above 2^24.
    pub fn into_graph(self) -> Result<Graph> {
        let mut graph = self.graph;
        for output in &self.outputs {
            if let Some(tensor) = &output.known {
                let refused = |reason: String| Error::format(format!("output \"{}\"", output.name), reason);
                let numbers = in_f32(tensor).map_err(refused)?;
                let view = ArrayView::from_shape(IxDyn(tensor.dims()), &numbers).map_err(|e| refused(e.to_string()))?;
                let mut name = format!("{}/known", output.name);
                while graph.find(&name).is_some() {
                    name.push('_');
                }
                let value = graph.constant(&name, view)?;
                graph.output(&output.name, value)?;
            }
        }
        Ok(graph)
    }
}

/// A value of the model.
#[derive(Debug, Clone)]
pub(crate) enum Value<'m> {
    /// Its numbers are known.
    Known(Rc<Known<'m>>),
    /// It is a value of the graph.
    Running(Running),
    /// It is not there, and why has been noted.
    Refused,
}

/// A tensor that is known.
#[derive(Debug)]
pub(crate) struct Known<'m> {
    pub tensor: Tensor<'m>,
    /// Its name where it stands in the file as it is: a parameter of the graph, and else a constant.
    pub name: Option<&'m str>,
}

/// A value of the graph. It may have other extents there, of the same count and order: views cost nothing until an op cares.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub id: ValueId,
    pub dims: Vec<usize>,
    /// In the file; the graph has f32, or u32 of what counts.
    pub element: Element,
    /// The model's input that it is.
    pub input: Option<Rc<str>>,
    /// Indices of a max pool that count in each plane, where ONNX's count in the whole tensor.
    pub in_plane: bool,
}

impl Running {
    pub fn new(id: ValueId, dims: Vec<usize>, element: Element) -> Self {
        Self { id, dims, element, input: None, in_plane: false }
    }

    /// The same elements under other extents.
    pub fn viewed(&self, dims: Vec<usize>) -> Self {
        Self { dims, input: None, ..self.clone() }
    }
}

/// Numbers as a graph of f32 holds them.
pub(crate) fn in_f32(tensor: &Tensor<'_>) -> Result<Vec<f32>, String> {
    match tensor.numbers() {
        Numbers::F32(numbers) => Ok(numbers.to_vec()),
        Numbers::F64(numbers) => Ok(numbers.iter().map(|&v| v as f32).collect()),
        Numbers::I64(numbers) => match numbers.iter().find(|&&v| !(-(1 << 24)..=1 << 24).contains(&v)) {
            Some(large) => Err(format!("the integer {large} is beyond 2^24, to which f32 counts")),
            None => Ok(numbers.iter().map(|&v| v as f32).collect()),
        },
    }
}
