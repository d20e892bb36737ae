//! Commands on model files, and what they share.

mod against;
pub mod compare;
pub mod export;
mod given;
mod image;
mod npy;
mod pictures;
mod reading;
pub mod run;
pub mod summary;

pub use reading::Reading;

use crate::Failure;
use crate::text::printable;
use wgconv_onnx::{Dim, Input, Model};

/// `NAME=VALUE` of an option; without a name it is of the model's one input.
pub fn named<'a>(model: &'a Model, option: &str, text: &'a str) -> Result<(&'a str, &'a str), Failure> {
    match (text.split_once('='), model.inputs()) {
        (Some((name, value)), _) => Ok((name, value)),
        (None, [only]) => Ok((only.name.as_str(), text)),
        (None, inputs) => Err(Failure::Usage(format!(
            "{option} is {text}: the model has {} inputs, so it must be NAME=..., with a name of {}",
            inputs.len(),
            names(model)
        ))),
    }
}

/// The names of a model's inputs.
fn names(model: &Model) -> String {
    model.inputs().iter().map(|input| printable(&input.name)).collect::<Vec<_>>().join(", ")
}

/// Extents as a person writes them: 1x3x224x224.
pub fn extents(option: &str, text: &str) -> Result<Vec<usize>, Failure> {
    let wrong = || Failure::Usage(format!("{option} is {text}: extents are written as 1x3x224x224"));
    if text.is_empty() {
        return Ok(vec![]);
    }
    text.split('x').map(|part| part.parse().map_err(|_| wrong())).collect()
}

/// Extents as a line shows them.
fn shape_text(extents: &[usize]) -> String {
    if extents.is_empty() { "scalar".into() } else { extents.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ") }
}

/// An input or output as the file declares it.
pub fn described(value: &Input) -> String {
    let dims = match &value.dims {
        Some(dims) if dims.is_empty() => "scalar".into(),
        Some(dims) => dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(" x "),
        None => "of any shape".into(),
    };
    format!("{}: {} {dims}", printable(&value.name), value.element.map_or("no tensor of numbers,", wgconv_onnx::Element::name))
}
