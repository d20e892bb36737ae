//! What a run is given and what it gives: numbers, or the bytes of images.

use crate::graph::{Graph, ValueId};
use crate::types::{Error, Result};
use ndarray::{ArrayD, ArrayView, ArrayViewD, Dimension};

/// What a run is given for an input ([`Session::run_with`](crate::Session::run_with)).
#[derive(Debug, Clone)]
pub enum Given<'a> {
    /// Numbers, for any input that is no image.
    Numbers(ArrayViewD<'a, f32>),
    /// Images as [`Graph::image_input`] has them: bytes without gaps, one image after the other.
    Bytes(&'a [u8]),
}

impl<'a, D: Dimension> From<ArrayView<'a, f32, D>> for Given<'a> {
    fn from(array: ArrayView<'a, f32, D>) -> Self {
        Given::Numbers(array.into_dyn())
    }
}

impl<'a> From<&'a [u8]> for Given<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Given::Bytes(bytes)
    }
}

impl Given<'_> {
    /// The words of bytes, the last filled with zeros.
    pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
        bytes.chunks(4).map(|chunk| u32::from_le_bytes(std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0))))
    }

    /// Its extents as the input called `name` has them: of bytes the number of images, and the words of each.
    pub(crate) fn extents(&self, graph: &Graph, name: &str) -> Result<Vec<usize>> {
        let image = graph.inputs().find(|(own, _)| *own == name).and_then(|(_, value)| graph.image_bytes(value));
        match (self, image) {
            (Given::Bytes(bytes), Some(each)) if !bytes.is_empty() && bytes.len().is_multiple_of(each) => {
                Ok(vec![bytes.len() / each, each.div_ceil(4)])
            }
            (Given::Bytes(bytes), Some(each)) => Err(Error::invalid(name, format!("{} bytes", bytes.len()), format!("an image has {each}"))),
            (Given::Numbers(_), Some(_)) => Err(Error::invalid(name, "an array of numbers", "it is images: Session::run_with takes their bytes")),
            (Given::Bytes(bytes), None) => {
                let known = graph.inputs().any(|(own, _)| own == name);
                // What the graph does not know at all is refused by its name.
                if known { Err(Error::invalid(name, format!("{} bytes", bytes.len()), "it is an array of numbers")) } else { Ok(vec![]) }
            }
            (Given::Numbers(array), None) => Ok(array.shape().to_vec()),
        }
    }

    pub(crate) fn to_owned(&self) -> Owned {
        match self {
            Given::Numbers(array) => Owned::Numbers(array.to_owned()),
            Given::Bytes(bytes) => Owned::Bytes(bytes.to_vec()),
        }
    }
}

/// The same with what it was a view of.
pub(crate) enum Owned {
    Numbers(ArrayD<f32>),
    Bytes(Vec<u8>),
}

impl Owned {
    pub fn view(&self) -> Given<'_> {
        match self {
            Owned::Numbers(array) => Given::Numbers(array.view()),
            Owned::Bytes(bytes) => Given::Bytes(bytes),
        }
    }
}

/// What a run gives: arrays by the names of the graph's outputs, and of images their bytes. f16 is converted, and indices are numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    arrays: Vec<(String, ArrayD<f32>)>,
    images: Vec<(String, Vec<u8>)>,
}

impl Outputs {
    /// What engines gave for the outputs of a graph, in its order.
    pub(crate) fn named(graph: &Graph, outputs: Vec<Owned>) -> Self {
        let mut named = Self { arrays: vec![], images: vec![] };
        for ((name, _), output) in graph.outputs().zip(outputs) {
            match output {
                Owned::Numbers(array) => named.arrays.push((name.to_string(), array)),
                Owned::Bytes(bytes) => named.images.push((name.to_string(), bytes)),
            }
        }
        named
    }

    /// The output called `name`; none where that is images.
    pub fn get(&self, name: &str) -> Option<&ArrayD<f32>> {
        self.arrays.iter().find(|(own, _)| own == name).map(|(_, array)| array)
    }

    /// The bytes of the images that the output called `name` is ([`Graph::image_to_bytes`]); none where it is an array.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.images.iter().find(|(own, _)| own == name).map(|(_, bytes)| bytes.as_slice())
    }

    /// All outputs that are arrays, in the graph's order.
    pub fn into_arrays(self) -> Vec<(String, ArrayD<f32>)> {
        self.arrays
    }

    /// All outputs that are images, in the graph's order.
    pub fn into_images(self) -> Vec<(String, Vec<u8>)> {
        self.images
    }
}

impl std::ops::Index<&str> for Outputs {
    type Output = ArrayD<f32>;

    /// # Panics
    /// Where no output that is an array has this name; [`Outputs::get`] asks first.
    fn index(&self, name: &str) -> &ArrayD<f32> {
        match self.get(name) {
            Some(array) => array,
            None => panic!("the graph has no output \"{name}\" that is an array"),
        }
    }
}

/// What was given by value.
pub(crate) type ByValue<'a> = [(ValueId, Given<'a>)];
