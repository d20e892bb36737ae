//! Images of 8 bits a channel in a network: bytes as inputs, read to tensors, and tensors written as bytes.
//!
//! Bytes are u32 words, four each, which no f32 number holds: sessions give and take them as bytes, and nothing but views and the ops here may read them.

use super::{Extent, Graph, Recipe, Source, ValueId};
use crate::ops::image::{ImageDescriptor, ImageFormat};
use crate::types::{ElementType, Error, Layout, Result, TensorType};

/// Bytes of one image of `size`, height and width.
fn bytes_of(format: ImageFormat, size: [usize; 2]) -> Result<usize> {
    let bytes = size[0].checked_mul(size[1]).and_then(|pixels| pixels.checked_mul(format.channels()));
    let rule = "an image has from 1 to 2^58 pixels";
    bytes.filter(|bytes| (1..1 << 60).contains(bytes)).ok_or_else(|| Error::invalid("size", format!("{size:?}"), rule))
}

impl Graph {
    /// The bytes of images as an input: `images` of them, or as many as the run has where that is open, of `size` (height, width) each. A run gives them as bytes
    /// without gaps ([`Session::run_with`](crate::Session::run_with)), or as a tensor of u32 words \[images, words\]. [`Graph::image_from_bytes`] reads them.
    ///
    /// ```
    /// use wgconv::image::{ImageDescriptor, ImageFormat};
    /// use wgconv::{Extent, Graph, Session};
    /// # fn main() -> wgconv::Result<()> {
    /// let mut graph = Graph::new();
    /// let bytes = graph.image_input("photo", Extent::Open, ImageFormat::Rgb8, [2, 4])?;
    /// let x = graph.image_from_bytes(bytes, ImageFormat::Rgb8, [2, 4], &ImageDescriptor::default())?;     // N x 3 x 2 x 4
    /// let brighter = graph.activation(x, wgconv::Activation::Clip { min: 0.5, max: 1.0 })?;
    /// let shown = graph.image_to_bytes(brighter, ImageFormat::Rgb8, &ImageDescriptor::default())?;
    /// graph.output("shown", shown)?;
    /// let photo: Vec<u8> = (0..24).map(|i| i * 10).collect();
    /// let outputs = Session::cpu(&graph)?.run_with(&[("photo", photo.as_slice().into())])?;
    /// let shown: Vec<u8> = photo.iter().map(|&v| v.max(128)).collect();                                    // 0.5 is 127.5, to even
    /// assert_eq!(outputs.bytes("shown"), Some(&shown[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Graph::input`]; several images, or an open number, of bytes that are no multiple of 4: one would begin inside a word.
    pub fn image_input(&mut self, name: &str, images: impl Into<Extent>, format: ImageFormat, size: [usize; 2]) -> Result<ValueId> {
        let (images, bytes) = (images.into(), bytes_of(format, size)?);
        if !bytes.is_multiple_of(4) && images != Extent::Is(1) {
            let rule = format!("an image has {bytes} bytes, and only a single one may have a number that is no multiple of 4");
            return Err(Error::invalid(name, format!("{images:?}"), rule));
        }
        self.input_as(name, &[images, Extent::Is(bytes.div_ceil(4))], ElementType::U32, Layout::ChannelsFirst)
    }

    /// Images of `size` (height, width) to a tensor N C H W, as [`Recorder::image_from_bytes`](crate::Recorder::image_from_bytes) reads them.
    ///
    /// # Errors
    /// What the op does not take; words that are no whole number of such images; a value past this graph's last ([`ValueId`]).
    pub fn image_from_bytes(&mut self, words: ValueId, format: ImageFormat, size: [usize; 2], descriptor: &ImageDescriptor) -> Result<ValueId> {
        let words = if self.rank(words) == 1 { words } else { self.reshape(words, &[-1])? };
        self.one(Recipe::ImageFromBytes { format, size, descriptor: *descriptor }, &[words])
    }

    /// A tensor N C H W to images, as [`Recorder::image_to_bytes`](crate::Recorder::image_to_bytes) writes them. As an output it is bytes
    /// ([`Outputs::bytes`](crate::session::Outputs::bytes)); [`Graph::image_from_bytes`] reads it too.
    ///
    /// # Errors
    /// As [`Graph::image_from_bytes`].
    pub fn image_to_bytes(&mut self, x: ValueId, format: ImageFormat, descriptor: &ImageDescriptor) -> Result<ValueId> {
        self.one(Recipe::ImageToBytes { format, descriptor: *descriptor }, &[x])
    }

    /// The value that a value is a view of, by the recipes alone.
    fn viewed(&self, mut value: ValueId) -> ValueId {
        while let Source::Node { node, .. } = self.values[value.0].source
            && is_view(&self.nodes[node].recipe)
        {
            value = self.nodes[node].inputs[0];
        }
        value
    }

    /// Bytes of one image of an input of bytes; none of another value.
    pub(crate) fn image_bytes(&self, input: ValueId) -> Option<usize> {
        if self.values[input.0].source != Source::Input {
            return None;
        }
        self.nodes.iter().find_map(|node| match node.recipe {
            Recipe::ImageFromBytes { format, size, .. } if self.viewed(node.inputs[0]) == input => bytes_of(format, size).ok(),
            _ => None,
        })
    }

    /// Whether a value is the bytes of images.
    pub(crate) fn is_bytes(&self, value: ValueId) -> bool {
        let root = self.viewed(value);
        let is_written =
            matches!(self.values[root.0].source, Source::Node { node, .. } if matches!(self.nodes[node].recipe, Recipe::ImageToBytes { .. }));
        is_written || self.image_bytes(root).is_some()
    }

    /// How many bytes of images a value is, where `types` are those of all values: the last word may have fewer than four.
    pub(crate) fn count_of_bytes<'a>(&self, value: ValueId, types: impl Fn(ValueId) -> &'a TensorType) -> Option<usize> {
        let root = self.viewed(value);
        if let Some(each) = self.image_bytes(root) {
            return types(root).extents.first().map(|images| images * each);
        }
        let Source::Node { node, .. } = self.values[root.0].source else { return None };
        let Recipe::ImageToBytes { format, .. } = self.nodes[node].recipe else { return None };
        let [n, _, height, width] = types(self.nodes[node].inputs[0]).extents[..] else { return None };
        Some(n * height * width * format.channels()) // checked when the op was made
    }

    /// Bytes of images are read by what reads them as such alone.
    pub(crate) fn check_bytes(&self) -> Result<()> {
        for node in &self.nodes {
            let reads = node.inputs.iter().find(|input| self.is_bytes(**input));
            if let Some(input) = reads.filter(|_| !is_view(&node.recipe) && !matches!(node.recipe, Recipe::ImageFromBytes { .. })) {
                let rule = "bytes of images are read by image_from_bytes alone";
                return Err(Error::invalid(format!("{}: x", node.name), self.values[input.0].name(), rule));
            }
        }
        Ok(())
    }
}

fn is_view(recipe: &Recipe) -> bool {
    matches!(recipe, Recipe::Reshape { .. } | Recipe::Flatten { .. } | Recipe::Identity | Recipe::Dropout { .. })
}

/// How many images these words are.
pub(super) fn images_of(words: &TensorType, format: ImageFormat, size: [usize; 2]) -> Result<usize> {
    words.check_element("words", ElementType::U32, "bytes of images, four each")?;
    let bytes = bytes_of(format, size)?;
    let [count] = words.extents[..] else {
        return Err(Error::invalid("the rank of the words", words.rank(), "they are one row: reshape them"));
    };
    // One image may end inside a word.
    if count == bytes.div_ceil(4) {
        return Ok(1);
    }
    let all = count.checked_mul(4).filter(|all| all.is_multiple_of(bytes));
    let rule = || format!("they are images of {bytes} bytes each, without gaps");
    all.map(|all| all / bytes).ok_or_else(|| Error::invalid("words", count, rule()))
}
