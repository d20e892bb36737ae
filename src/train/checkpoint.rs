//! Checkpoints: parameters, the optimizer's state and the place in the data as one safetensors file, from which training goes on with the same bits.

use crate::graph::Weights;
use crate::train::Trainer;
use crate::types::{Error, Result};
use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::path::Path;

/// What the names of the optimizer's tensors begin with.
const STATE: &str = "optimizer.";

/// The entry of the metadata that says how far training is.
const PLACE: &str = "steps and epochs";

/// Name, extents, bytes.
type Stored = (String, Vec<usize>, Vec<u8>);

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| Error::invalid("the file", path.display(), e.to_string()))
}

fn view((name, extents, bytes): &Stored) -> Result<(&str, TensorView<'_>)> {
    let view = TensorView::new(Dtype::F32, extents.clone(), bytes).map_err(|e| Error::invalid(name.clone(), "not storable", e.to_string()))?;
    Ok((name, view))
}

impl Trainer {
    /// Writes the model's parameters as a safetensors file. Needs the feature `weights`.
    ///
    /// # Errors
    /// A file that cannot be written; loss of the device.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &self.model()?.to_safetensors()?)
    }

    /// A checkpoint as the bytes of a safetensors file: parameters by their names, what the optimizer keeps as `optimizer.m.conv1.weight`, and the
    /// numbers of steps and epochs. Needs the feature `weights`.
    ///
    /// # Errors
    /// Loss of the device.
    pub fn checkpoint(&self) -> Result<Vec<u8>> {
        let (parameters, state) = self.kept()?;
        let named = parameters.into_iter().chain(state.into_iter().map(|(name, array)| (format!("{STATE}{name}"), array)));
        let stored: Vec<Stored> =
            named.map(|(name, array)| (name, array.shape().to_vec(), array.iter().flat_map(|v| v.to_le_bytes()).collect())).collect();
        let views = stored.iter().map(view).collect::<Result<Vec<_>>>()?;
        let (steps, epochs) = (self.done()?, self.epochs);
        // One entry: a map of several has no order, and equal states would be other bytes.
        let place = HashMap::from([(PLACE.to_string(), format!("{steps} {epochs}"))]);
        safetensors::serialize(views, Some(place)).map_err(|e| Error::invalid("the checkpoint", "not storable", e.to_string()))
    }

    /// Goes on from a checkpoint of a trainer of the same model, loss, optimizer and descriptor: with the same data, on the same engine, to the same bits.
    /// Needs the feature `weights`.
    ///
    /// # Errors
    /// Bytes that are no checkpoint; parameters or state of another model or optimizer, by name; nothing is changed then.
    pub fn resume(&mut self, bytes: &[u8]) -> Result<()> {
        let broken = |why: String| Error::invalid("the checkpoint", format!("of {} bytes", bytes.len()), why);
        let weights = Weights::from_safetensors(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(e.to_string()))?;
        let place = header.metadata().as_ref().and_then(|metadata| metadata.get(PLACE));
        let place = place.and_then(|text| {
            let (steps, epochs) = text.split_once(' ')?;
            Some((steps.parse().ok()?, epochs.parse().ok()?))
        });
        let place = place.ok_or_else(|| broken(format!("its metadata have no {PLACE}: it is no checkpoint of a trainer")))?;
        let (mut parameters, mut state) = (vec![], vec![]);
        for name in weights.names() {
            let Some(numbers) = weights.get(name) else { return Err(broken(format!("{name} is not of f32"))) };
            let array =
                ArrayD::from_shape_vec(IxDyn(&numbers.tensor_type().extents), numbers.as_f32().into_owned()).map_err(|e| broken(e.to_string()))?;
            match name.strip_prefix(STATE) {
                Some(name) => state.push((name.to_string(), array)),
                None => parameters.push((name.to_string(), array)),
            }
        }
        self.restore((parameters, state), place)
    }
}
