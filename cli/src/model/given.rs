//! What a model is given by options: pictures, arrays, or seeded numbers.

use super::image::{self, Normalised};
use super::{Reading, extents, named, names, npy};
use crate::Failure;
use crate::text::printable;
use ndarray::{ArrayD, IxDyn};
use std::path::Path;
use wgconv::Graph;
use wgconv::numeric::Generator;
use wgconv_onnx::{Input, Model, Tensor};

/// The options of `run` and `compare`.
#[derive(clap::Args)]
pub struct Given {
    /// A picture for an input of N C H W or N H W C: PNG, JPEG, WebP or TIFF; its middle is cut to the input's shape and resized
    #[arg(long, value_name = "[NAME=]FILE")]
    image: Vec<String>,
    /// An array for an input, as NumPy writes it
    #[arg(long, value_name = "[NAME=]FILE.npy")]
    input: Vec<String>,
    /// Height and width of pictures, such as 224x224, where the model leaves them open [default: the picture's own]
    #[arg(long, value_name = "HxW")]
    size: Option<String>,
    /// Of each channel, taken off pixels that run from 0 to 1, such as 0.485,0.456,0.406 [default: 0]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    mean: Vec<f32>,
    /// Of each channel, what that is divided by, such as 0.229,0.224,0.225 [default: 1]
    #[arg(long = "std", value_name = "LIST", value_delimiter = ',')]
    deviation: Vec<f32>,
    /// The largest image that is read, in millions of pixels
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4000))]
    max_megapixels: u32,
}

/// Tensors by the names of inputs.
pub type Tensors = Vec<(String, Tensor<'static>)>;

impl Given {
    /// Whether anything is given.
    pub fn is_any(&self) -> bool {
        !(self.image.is_empty() && self.input.is_empty())
    }

    /// What the options give: every input of the model.
    pub fn tensors(&self, model: &Model) -> Result<Tensors, Failure> {
        let size = match &self.size {
            Some(text) => match extents("--size", text)?[..] {
                [height, width] => Some([height, width]),
                _ => return Err(Failure::Usage(format!("--size is {text}: it is height and width, such as 224x224"))),
            },
            None => None,
        };
        let how = Normalised { mean: &self.mean, deviation: &self.deviation, size, most_pixels: u64::from(self.max_megapixels) * 1_000_000 };
        let mut tensors = vec![];
        for text in &self.input {
            let (name, file) = named(model, "--input", text)?;
            tensors.push((name.to_string(), npy::read(Path::new(file))?));
        }
        for text in &self.image {
            let (name, file) = named(model, "--image", text)?;
            let own = model.inputs().iter().find(|input| input.name == name);
            let own = own.ok_or_else(|| Failure::Usage(format!("--image is {text}: the model's inputs are {}", names(model))))?;
            tensors.push((name.to_string(), image::read(Path::new(file), own, &how)?));
        }
        let missing = model.inputs().iter().find(|input| !tensors.iter().any(|(name, _)| *name == input.name));
        match missing {
            Some(input) => Err(Failure::Usage(format!(
                "the input {} is missing: --input {}=FILE.npy or --image {}=FILE gives it",
                printable(&input.name),
                printable(&input.name),
                printable(&input.name)
            ))),
            None => Ok(tensors),
        }
    }
}

/// Most elements of an input that is made of seeded numbers.
const MOST: usize = 1 << 28;

/// Numbers for every input that follow from its name: reals from -1 to 1 for floats, 0 and 1 for all else; or those of `--number`.
pub fn seeded(model: &Model, reading: &Reading) -> Result<Tensors, Failure> {
    let (numbers, shapes) = (reading.numbers(model)?, reading.shapes(model)?);
    let one = |input: &Input| {
        let numbers = numbers.iter().find(|(name, _)| *name == input.name);
        let dims = shapes.iter().find(|(name, _)| *name == input.name);
        let made = match (numbers, dims) {
            (Some((_, tensor)), _) => tensor.clone(),
            (None, Some((_, dims))) => seeded_input(input, dims)?,
            (None, None) => return Err(Failure::Usage(format!("the input {} has neither extents nor numbers", printable(&input.name)))),
        };
        Ok((input.name.clone(), made))
    };
    model.inputs().iter().map(one).collect()
}

fn seeded_input(input: &Input, dims: &[usize]) -> Result<Tensor<'static>, Failure> {
    let name = printable(&input.name);
    let count = dims.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent)).filter(|count| *count <= MOST);
    let Some(count) = count else {
        return Err(Failure::Usage(format!("--shape of {name} is {dims:?}: at most {MOST} seeded numbers are made; --input gives others")));
    };
    let mut generator = Generator::from_text(&input.name);
    let made = match input.element {
        Some(element) if !element.is_float() => Tensor::integers(element, dims, (0..count).map(|_| generator.below(2) as i64).collect()),
        _ => Tensor::f32(dims, (0..count).map(|_| generator.real() as f32).collect()),
    };
    made.map_err(|error| Failure::Run(format!("the input {name}: {error}")))
}

/// What a graph is given, in its order of inputs; inputs that the importer has used up are not among them.
pub fn arrays<'g>(graph: &'g Graph, tensors: &Tensors) -> Result<Vec<(&'g str, ArrayD<f32>)>, Failure> {
    let array = |name: &str| {
        let tensor = tensors.iter().find(|(own, _)| own == name).map(|(_, tensor)| tensor);
        let numbers = tensor.map(|tensor| tensor.to_f64().into_iter().map(|v| v as f32).collect()).unwrap_or_default();
        ArrayD::from_shape_vec(IxDyn(tensor.map_or(&[], |tensor| tensor.dims())), numbers).map_err(|e| Failure::Run(e.to_string()))
    };
    graph.inputs().map(|(name, _)| Ok((name, array(name)?))).collect()
}
