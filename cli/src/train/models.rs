//! The networks that `wgconv train` makes, and what a file of parameters says of the one that it belongs to.

use clap::ValueEnum;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use wgconv::conv::Conv2dDescriptor;
use wgconv::train::Sequential;
use wgconv::{Activation, Padding};

/// Two convolutions and a dense layer, for pictures of 8 x 8.
pub fn small() -> Sequential {
    Sequential::new([1, 8, 8])
        .conv2d(16, 3, Activation::Relu)
        .conv2d(32, 3, Activation::Relu)
        .max_pool2d(2)
        .flatten()
        .dense(64, Activation::Relu)
        .dense(10, Activation::None)
}

/// LeNet-5 as it is taught today, with rectifiers and max pools (LeCun and others, Gradient-based learning applied to document recognition, 1998).
pub fn lenet5() -> Sequential {
    Sequential::new([1, 28, 28])
        .conv2d(6, 5, Activation::Relu)
        .max_pool2d(2)
        .conv2d(16, 5, Activation::Relu)
        .max_pool2d(2)
        .flatten()
        .dense(120, Activation::Relu)
        .dense(84, Activation::Relu)
        .dense(10, Activation::None)
}

/// What tells classes of pictures apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Three convolutions, each with a max pool, and two dense layers
    Convolutional,
    /// Logistic regression: one dense layer with one output, for two classes
    Logistic,
}

/// Sides of a picture that a network takes. Three pools of 2 leave a pixel of 8.
pub const SIDES: RangeInclusive<u64> = 8..=512;

/// Most classes of a model.
pub const MOST_CLASSES: usize = 1000;

/// Channels of a picture: red, green and blue, whatever its file has.
pub const CHANNELS: usize = 3;

/// What a model for pictures is, as the metadata of its file have it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    pub network: Network,
    /// Pixels of a side.
    pub size: usize,
    /// By the index of the output; of one output, the classes that 0 and 1 mean.
    pub classes: Vec<String>,
}

/// The entry of the metadata. One: a map of several has no order, and equal models would be other bytes.
const ENTRY: &str = "wgconv train images";

impl Described {
    pub fn model(&self) -> Sequential {
        let input = Sequential::new([CHANNELS, self.size, self.size]);
        match self.network {
            Network::Logistic => input.flatten().dense(1, Activation::None),
            Network::Convolutional => {
                let same = Conv2dDescriptor { padding: Padding::Same, activation: Activation::Relu, ..Default::default() };
                input
                    .conv2d_as(16, 5, &same)
                    .max_pool2d(2)
                    .conv2d_as(32, 3, &same)
                    .max_pool2d(2)
                    .conv2d_as(64, 3, &same)
                    .max_pool2d(2)
                    .flatten()
                    .dense(64, Activation::Relu)
                    .dense(self.classes.len(), Activation::None)
            }
        }
    }

    /// A safetensors file with this among its metadata.
    pub fn described_file(&self, file: &[u8]) -> Result<Vec<u8>, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let tensors = SafeTensors::deserialize(file).map_err(|e| text(&e))?.tensors();
        let entry = serde_json::to_string(self).map_err(|e| text(&e))?;
        safetensors::serialize(tensors, Some(HashMap::from([(ENTRY.to_string(), entry)]))).map_err(|e| text(&e))
    }

    /// What the metadata of a safetensors file say; none where they say nothing of pictures.
    ///
    /// # Errors
    /// What is wrong with what they say. The file is not trusted.
    pub fn of_file(file: &[u8]) -> Result<Option<Self>, String> {
        let (_, header) = SafeTensors::read_metadata(file).map_err(|e| e.to_string())?;
        let Some(entry) = header.metadata().as_ref().and_then(|metadata| metadata.get(ENTRY)) else { return Ok(None) };
        let wrong = |why: String| format!("its metadata, \"{ENTRY}\": {why}");
        let own: Self = serde_json::from_str(entry).map_err(|e| wrong(e.to_string()))?;
        if !SIDES.contains(&(own.size as u64)) {
            return Err(wrong(format!("size is {}: it is {} to {}", own.size, SIDES.start(), SIDES.end())));
        }
        let most = if own.network == Network::Logistic { 2 } else { MOST_CLASSES };
        if !(2..=most).contains(&own.classes.len()) {
            return Err(wrong(format!("there are {} classes: a {:?} network has 2 to {most}", own.classes.len(), own.network)));
        }
        Ok(Some(own))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use wgconv::Graph;
    use wgconv::graph::Weights;
    use wgconv::train::Model;

    fn described(network: Network, classes: usize) -> Described {
        Described { network, size: 16, classes: (0..classes).map(|i| format!("class \"{i}\" äöü")).collect() }
    }

    #[test]
    fn what_a_model_is_travels_in_its_file() {
        for own in [described(Network::Convolutional, 3), described(Network::Logistic, 2)] {
            let graph = own.model().graph(1).unwrap();
            let plain = graph.to_safetensors().unwrap();
            assert_eq!(Described::of_file(&plain).unwrap(), None);
            let file = own.described_file(&plain).unwrap();
            assert_eq!(Described::of_file(&file).unwrap().as_ref(), Some(&own));
            let mut read = own.model().graph(2).unwrap();
            let numbers = |graph: &Graph| graph.numbers(graph.find("dense1.weight").unwrap()).unwrap().as_f32().into_owned();
            assert_ne!(numbers(&read), numbers(&graph));
            read.set_all(&Weights::from_safetensors(&file).unwrap()).unwrap();
            assert_eq!(numbers(&read), numbers(&graph));
        }
    }

    #[test]
    fn what_a_file_says_wrongly_is_refused() {
        let plain = described(Network::Logistic, 2).model().graph(1).unwrap().to_safetensors().unwrap();
        let with = |own: &Described| Described::of_file(&own.described_file(&plain).unwrap()).unwrap_err();
        assert!(with(&described(Network::Logistic, 3)).ends_with("there are 3 classes: a Logistic network has 2 to 2"));
        assert!(with(&described(Network::Convolutional, 1)).contains("there are 1 classes"));
        assert!(with(&described(Network::Convolutional, MOST_CLASSES + 1)).contains("there are 1001 classes"));
        for size in [0, 7, 513, usize::MAX] {
            assert!(with(&Described { size, ..described(Network::Logistic, 2) }).ends_with(": it is 8 to 512"), "{size}");
        }
        assert!(Described::of_file(b"no file").is_err());
    }
}
