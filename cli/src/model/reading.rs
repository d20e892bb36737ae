//! The options by which every command reads a model file: extents and numbers of its inputs, and what its nodes may make at import.

use super::{described, extents, named, names};
use crate::text::printable;
use crate::{Failure, picture};
use std::collections::BTreeSet;
use std::path::Path;
use wgconv::Graph;
use wgconv_onnx::{Dim, Error, Given, Imported, Input, Model, Refusal, Tensor};

/// What nodes may make.
#[derive(Clone, clap::Args)]
pub struct Room {
    /// For model files whose nodes make their weights: millions of elements that these may make, beside four for each byte of the file [default: 4]
    #[arg(long, value_name = "MILLIONS", value_parser = clap::value_parser!(u16).range(1..))]
    room: Option<u16>,
}

impl Room {
    /// Reads a model.
    pub fn read(&self, path: &Path) -> Result<Model, Failure> {
        let model = Model::read(path).map_err(|error| match error {
            unread @ Error::File { .. } => Failure::Run(unread.to_string()), // it names the file
            other => failure(path, &other),
        })?;
        Ok(match self.room {
            Some(millions) => model.with_room(usize::from(millions) * 1_000_000),
            None => model,
        })
    }
}

/// What is said of a model file where no picture and no array is given.
#[derive(Clone, clap::Args)]
pub struct Reading {
    /// Extents of an input of the model, such as 1x3x224x224; needed where the file leaves others open than the first, which is 1 then
    #[arg(long, value_name = "[NAME=]EXTENTS")]
    pub shape: Vec<String>,
    /// Numbers of an input that decides about shapes or branches, such as rate=16000 or size=1,3,480,640; they become part of the graph
    #[arg(long, value_name = "[NAME=]NUMBERS", allow_hyphen_values = true)]
    pub number: Vec<String>,
    #[command(flatten)]
    pub room: Room,
}

impl Reading {
    /// Whether anything is said of the inputs.
    pub fn is_of_inputs(&self) -> bool {
        !(self.shape.is_empty() && self.number.is_empty())
    }

    /// Whether any of it is given.
    pub fn is_given(&self) -> bool {
        self.is_of_inputs() || self.room.room.is_some()
    }

    /// The graph of a model file before any pass.
    pub fn graph(&self, path: &Path) -> Result<Graph, Failure> {
        let imported = self.imported(path, &self.room.read(path)?)?;
        imported.notes.iter().for_each(|note| log::warn!("{note}"));
        imported.into_graph().map_err(|error| failure(path, &error))
    }

    /// Imports a model at the extents and numbers that the options give.
    pub fn imported(&self, path: &Path, model: &Model) -> Result<Imported, Failure> {
        let numbers = self.numbers(model)?;
        let shapes = self.shapes(model)?;
        let known = numbers.iter().map(|(name, tensor)| (name.as_str(), Given::Numbers(tensor.clone())));
        let given: Vec<(&str, Given<'_>)> = shapes.iter().map(|(name, dims)| (name.as_str(), Given::Dims(dims))).chain(known).collect();
        model.import(&given).map_err(|error| failure(path, &error))
    }

    /// The extents of every input that no numbers are given for: those of `--shape`, else the file's, a first one that it leaves open being 1.
    pub fn shapes(&self, model: &Model) -> Result<Vec<(String, Vec<usize>)>, Failure> {
        let mut given = vec![];
        for text in &self.shape {
            let (name, value) = named(model, "--shape", text)?;
            input(model, "--shape", text, name)?;
            given.push((name, extents("--shape", value)?));
        }
        let numbers = self.numbers(model)?;
        let without = model.inputs().iter().filter(|input| !numbers.iter().any(|(name, _)| *name == input.name));
        without
            .map(|input| match given.iter().find(|(name, _)| *name == input.name) {
                Some((_, dims)) => Ok((input.name.clone(), dims.clone())),
                None => Ok((input.name.clone(), declared(input)?)),
            })
            .collect()
    }

    /// What `--number` gives.
    pub fn numbers(&self, model: &Model) -> Result<Vec<(String, Tensor<'static>)>, Failure> {
        let one = |text: &String| {
            let (name, value) = named(model, "--number", text)?;
            let own = input(model, "--number", text, name)?;
            let wrong = |why: &str| Failure::Usage(format!("--number is {text}: {why}"));
            let numbers: Vec<f64> =
                value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong("it is numbers, such as size=480,640"))?;
            let dims: Vec<usize> = match &own.dims {
                Some(dims) if dims.is_empty() && numbers.len() == 1 => vec![],
                _ => vec![numbers.len()],
            };
            let whole = numbers.iter().all(|v| v.fract() == 0.0 && v.abs() < 9e15);
            let made = match own.element {
                Some(element) if element.is_float() => Tensor::f32(&dims, numbers.iter().map(|&v| v as f32).collect()),
                Some(_) if !whole => return Err(wrong(&format!("the input is {}, of whole numbers", described(own)))),
                Some(element) => Tensor::integers(element, &dims, numbers.iter().map(|&v| v as i64).collect()),
                None => return Err(wrong(&format!("the input is {}", described(own)))),
            };
            Ok((name.to_string(), made.map_err(|error| wrong(&error.to_string()))?))
        };
        self.number.iter().map(one).collect()
    }
}

/// An error of the importer, with the file before it. Of nodes each has its line, and the options that help have theirs.
pub fn failure(path: &Path, error: &Error) -> Failure {
    let file = picture::name(path);
    let Error::Nodes(refusals) = error else { return Failure::Run(format!("{file}: {error}")) };
    let mut lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    let needs: BTreeSet<String> = refusals.iter().flat_map(|refusal| &refusal.needs).map(|name| printable(name)).collect();
    if !needs.is_empty() {
        let names: Vec<String> = needs.into_iter().collect();
        lines.push(format!("{}: --number NAME=NUMBERS or --input NAME=FILE.npy gives the numbers of an input", names.join(", ")));
    }
    if refusals.iter().any(|refusal| refusal.wants_room) {
        lines.push("--room MILLIONS lets the nodes of a file that you trust make more".into());
    }
    let count = if refusals.len() == 1 { "a node".into() } else { format!("{} nodes", refusals.len()) };
    Failure::Listed(format!("{file}: {count} cannot be imported"), lines)
}

/// The input of that name.
fn input<'m>(model: &'m Model, option: &str, text: &str, name: &str) -> Result<&'m Input, Failure> {
    let found = model.inputs().iter().find(|input| input.name == name);
    found.ok_or_else(|| Failure::Usage(format!("{option} is {text}: the model's inputs are {}", names(model))))
}

/// The extents that a file declares. The first one is mostly a batch, of which one item is a sensible number.
fn declared(input: &Input) -> Result<Vec<usize>, Failure> {
    let dims = input.dims.as_ref().and_then(|dims| {
        let extent = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Is(extent) => Some(*extent),
            _ if axis == 0 => Some(1),
            _ => None,
        };
        dims.iter().enumerate().map(extent).collect()
    });
    let name = printable(&input.name);
    dims.ok_or_else(|| Failure::Usage(format!("the input {} leaves extents open: --shape {name}=EXTENTS gives them", described(input))))
}
