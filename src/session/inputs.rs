//! What a caller gives by name, held against what the graph says.

use crate::gpu::Gpu;
use crate::gpu::tensor::Tensor;
use crate::graph::show::{spelled, spelled_apart};
use crate::graph::{Graph, ValueId};
use crate::types::{Error, Result, TensorType};

/// Something with a name that the caller gave for each of `wanted`, in the order of these; `kind` is `input` or `output`.
fn by_name<'a, T>(kind: &str, wanted: &[&str], given: &'a [(&str, T)]) -> Result<Vec<&'a T>> {
    for (i, (name, _)) in given.iter().enumerate() {
        if !wanted.contains(name) {
            let rule = match wanted {
                [] => format!("the graph has no {kind}s"),
                [one] => format!("the graph's {kind} is {one}"),
                several => format!("the graph's {kind}s are {}", several.join(", ")),
            };
            return Err(Error::of_all(kind, &[name], "unknown", rule));
        }
        if given[..i].iter().any(|(other, _)| other == name) {
            return Err(Error::of_all(kind, &[name], "given twice", format!("each {kind} is given once")));
        }
    }
    let find = |name: &&str| given.iter().find(|(own, _)| own == name).map(|(_, given)| given);
    let missing: Vec<&str> = wanted.iter().filter(|name| find(name).is_none()).copied().collect();
    if !missing.is_empty() {
        return Err(Error::of_all(kind, &missing, "missing", format!("each {kind} of the graph is given once")));
    }
    Ok(wanted.iter().filter_map(find).collect())
}

/// The open extent, 0 where there is none, and what was given for each input, in the graph's order.
pub(crate) fn inputs<'a, T>(graph: &Graph, given: &'a [(&str, T)], extents: impl Fn(&T) -> &[usize]) -> Result<(usize, Vec<(ValueId, &'a T)>)> {
    let (names, values): (Vec<&str>, Vec<ValueId>) = graph.inputs().unzip();
    let given = by_name("input", &names, given)?;
    let mut open = None;
    for ((&name, &value), given) in names.iter().zip(&values).zip(&given) {
        let extents = extents(given);
        let said = |open: Option<usize>| {
            let open = open.map_or(String::new(), |open| format!(" with N = {open}"));
            Error::invalid(name, spelled(extents), format!("it must be {}{open}", graph.shape(value)))
        };
        if extents.len() != graph.rank(value) {
            return Err(said(None));
        }
        for (axis, &extent) in extents.iter().enumerate() {
            match graph.declared(value, axis) {
                Some(wanted) if wanted == extent => {}
                None if open.is_none_or(|open| open == extent) => open = Some(extent),
                _ => return Err(said(open)),
            }
        }
    }
    Ok((open.unwrap_or(0), values.into_iter().zip(given).collect()))
}

/// The open extent and the input tensors, each of the type that the graph says and on the session's device.
pub(crate) fn tensors<'a>(gpu: &Gpu, graph: &Graph, given: &[(&str, &'a Tensor)]) -> Result<(usize, Vec<(ValueId, &'a Tensor)>)> {
    let (open, given) = inputs(graph, given, |tensor| tensor.shape().extents())?;
    let given: Vec<(ValueId, &Tensor)> = given.into_iter().map(|(value, tensor)| (value, *tensor)).collect();
    for ((name, _), (value, tensor)) in graph.inputs().zip(&given) {
        let (element, layout) = graph.stored(*value);
        let wanted = TensorType { extents: tensor.shape().extents().to_vec(), element, layout };
        check(gpu, name, tensor, &wanted)?;
    }
    Ok((open, given))
}

/// The output tensors in the graph's order.
pub(crate) fn outputs<'a>(gpu: &Gpu, graph: &Graph, at: impl Fn(ValueId) -> TensorType, given: &[(&str, &'a Tensor)]) -> Result<Vec<&'a Tensor>> {
    let (names, values): (Vec<&str>, Vec<ValueId>) = graph.outputs().unzip();
    let given: Vec<&Tensor> = by_name("output", &names, given)?.into_iter().copied().collect();
    for ((name, value), tensor) in names.into_iter().zip(values).zip(&given) {
        check(gpu, name, tensor, &at(value))?;
    }
    Ok(given)
}

fn check(gpu: &Gpu, name: &str, tensor: &Tensor, wanted: &TensorType) -> Result<()> {
    if tensor.gpu() != gpu {
        return Err(Error::OtherDevice { argument: name.into() });
    }
    let found = tensor.tensor_type();
    if (&found.extents, found.element) != (&wanted.extents, wanted.element) {
        let [found, wanted] = spelled_apart(&found, wanted);
        return Err(Error::invalid(name, found, format!("it must be {wanted}")));
    }
    if wanted.rank() >= 3 && tensor.layout() != wanted.layout {
        return Err(Error::Layout { argument: name.into(), layout: tensor.layout(), rule: format!("it must be {}", wanted.layout.name()) });
    }
    Ok(())
}
