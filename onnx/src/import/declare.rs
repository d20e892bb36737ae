//! The inputs of a model, held against what the caller gives.

use super::{Given, Importer, Known, Running, Value};
use crate::error::{Error, Result};
use crate::model::{Dim, Input};
use crate::tensor::Element;
use std::collections::HashMap;
use std::rc::Rc;
use wgconv::shape::MAX_RANK;
use wgconv::{ElementType, Extent, Layout};

/// Declares all inputs in the graph; those whose numbers are given are known.
pub(super) fn inputs<'m>(importer: &mut Importer<'m>, given: &[(&str, Given<'_>)]) -> Result<HashMap<&'m str, Value<'m>>> {
    let model = importer.model;
    for (i, (name, _)) in given.iter().enumerate() {
        if !model.inputs().iter().any(|input| input.name == *name) {
            let names: Vec<String> = model.inputs().iter().take(16).map(|input| format!("\"{}\"", input.name)).collect();
            return Err(Error::argument("an input", format!("\"{name}\""), format!("the model's are {}", names.join(", "))));
        }
        if given[..i].iter().any(|(other, _)| other == name) {
            return Err(Error::argument("an input", format!("\"{name}\""), "each is given once"));
        }
    }
    let (mut values, mut named) = (HashMap::new(), HashMap::new());
    for input in model.inputs() {
        let own = given.iter().find(|(name, _)| *name == input.name).map(|(_, given)| given);
        values.insert(input.name.as_str(), one(importer, input, own, &mut named)?);
    }
    Ok(values)
}

fn one<'m>(importer: &mut Importer<'m>, input: &'m Input, given: Option<&Given<'_>>, named: &mut HashMap<&'m str, usize>) -> Result<Value<'m>> {
    let argument = format!("input \"{}\"", input.name);
    let said = || input.dims.as_ref().map_or("of any shape".into(), |dims| dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(" x "));
    let dims = match given {
        Some(Given::Dims(dims)) => dims.to_vec(),
        Some(Given::Numbers(tensor)) => tensor.dims().to_vec(),
        None => {
            let known = |dim: &Dim| if let Dim::Is(extent) = dim { Some(*extent) } else { None };
            let open = || Error::argument(&argument, said(), "its open extents must be given");
            input.dims.as_ref().and_then(|dims| dims.iter().map(known).collect()).ok_or_else(open)?
        }
    };
    if let Some(declared) = &input.dims {
        let mut fits = declared.len() == dims.len();
        for (declared, &extent) in declared.iter().zip(&dims) {
            fits &= match declared {
                Dim::Is(wanted) => *wanted == extent,
                Dim::Named(name) => *named.entry(name).or_insert(extent) == extent,
                Dim::Open => true,
            };
        }
        if !fits {
            return Err(Error::argument(
                &argument,
                format!("{dims:?}"),
                format!("the model has it as {}, and an extent of one name is one number", said()),
            ));
        }
    }
    let Some(element) = input.element else {
        return Err(Error::argument(&argument, "no tensor of numbers", "inputs are tensors of floats, integers or bool"));
    };
    if let Some(Given::Numbers(tensor)) = given {
        if tensor.element() != element {
            return Err(Error::argument(&argument, format!("of {}", tensor.element()), format!("the model has it of {element}")));
        }
        return Ok(Value::Known(Rc::new(Known { tensor: tensor.clone().into_owned(), name: None })));
    }
    if dims.len() > MAX_RANK {
        return Err(Error::argument(&argument, format!("{dims:?}"), format!("inputs of a graph have a rank of at most {MAX_RANK}")));
    }
    match element {
        Element::F32 => {}
        Element::F64 | Element::F16 | Element::BF16 => importer.note(format!("{argument} is of {element}: it is given, and computed with, in f32")),
        Element::I32 | Element::I64 | Element::U32 | Element::U64 => {
            importer.note(format!(
                "{argument} is of {element}: it is given in f32, which counts to 2^24; give it at import where it decides about shapes"
            ));
        }
        _ => importer.note(format!("{argument} is of {element}: it is given in f32")),
    }
    let extents: Vec<Extent> = dims.iter().map(|&extent| Extent::Is(extent)).collect();
    let id = importer.graph.input_as(&input.name, &extents, ElementType::F32, Layout::ChannelsFirst)?;
    Ok(Value::Running(Running { input: Some(Rc::from(input.name.as_str())), ..Running::new(id, dims, element) }))
}
