//! The gradients of a case: its call as a graph, differentiated, on the GPU and on the CPU engine.

use super::check::{Resolved, resolve};
use super::{Array, Case, Tolerance, array};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use wgconv::graph::{Recipe, ValueId};
use wgconv::op::Problem;
use wgconv::op::named::Call;
use wgconv::validate::compare::compare;
use wgconv::{ElementType, Error, Extent, Gpu, Graph, Layout, Session};

/// Checks the gradients of a case; of one that has none, nothing.
///
/// # Errors
/// What is wrong with the case or with a gradient, by name.
pub fn check(gpu: &Gpu, case: &Case, tensors: &SafeTensors<'_>) -> Result<(), String> {
    if case.grads.is_empty() {
        return Ok(());
    }
    let resolved = resolve(case, tensors)?;
    let mut upstream = BTreeMap::new();
    let mut wanted = vec![];
    for (role, key) in &case.grads {
        let name = role.strip_prefix("grad_").ok_or_else(|| format!("a gradient is called grad_ and a role, not {role}"))?;
        let array = array(tensors, key)?;
        if case.inputs.contains_key(name) {
            let tolerance = *case.tolerance.get(role).ok_or_else(|| format!("the case has no tolerance for {role}"))?;
            wanted.push((name, array, tolerance));
        } else {
            upstream.insert(name, array);
        }
    }
    for (layout, call) in &resolved.calls {
        let in_layout = |why: String| if *layout == Layout::ChannelsLast { format!("channels-last: {why}") } else { why };
        let (graph, inputs) = graph(&resolved, call, &upstream, &wanted).map_err(|e| in_layout(format!("gradients: {e}")))?;
        let given: Vec<(&str, ArrayViewD<'_, f32>)> = inputs.iter().map(|(name, array)| (name.as_str(), array.view())).collect();
        for (engine, session) in [("GPU", Session::gpu(gpu, &graph)), ("CPU", Session::cpu(&graph))] {
            let named = |why: String| in_layout(format!("{engine}: {why}"));
            let outputs = session.and_then(|session| session.run(&given)).map_err(|e| named(e.to_string()))?;
            for (role, want, tolerance) in &wanted {
                let got = outputs.get(role).ok_or_else(|| named(format!("grad_{role} was not computed")))?;
                let got: Vec<f64> = got.iter().map(|&v| f64::from(v)).collect();
                if let Some(mismatch) = compare(&got, &want.values, |i| tolerance.abs + tolerance.rel * want.values[i].abs()) {
                    return Err(named(format!("grad_{role}: {}", mismatch.describe(&want.shape))));
                }
            }
        }
    }
    Ok(())
}

/// The graph of a call and of its gradients, each an output by the role of its input, and the graph's inputs.
type Differentiated = (Graph, Vec<(String, ArrayD<f32>)>);

fn graph(
    resolved: &Resolved<'_>,
    call: &Call,
    upstream: &BTreeMap<&str, Array>,
    wanted: &[(&str, Array, Tolerance)],
) -> Result<Differentiated, Error> {
    let mut graph = Graph::new();
    let mut values: BTreeMap<String, ValueId> = BTreeMap::new();
    let mut inputs = vec![];
    let specs: BTreeMap<&str, wgconv::TensorType> = call
        .steps
        .iter()
        .flat_map(|step| step.tensors.iter().map(String::as_str).zip(step.op.inputs().into_iter().map(|spec| spec.tensor)))
        .collect();
    for (role, array) in &resolved.arrays {
        let numbers = shaped(array)?;
        let value = match specs.get(role.as_str()) {
            Some(tensor) if tensor.element == ElementType::U32 || tensor.layout == Layout::ChannelsLast && tensor.extents.len() >= 3 => {
                let extents: Vec<Extent> = tensor.extents.iter().map(|&extent| extent.into()).collect();
                inputs.push((role.clone(), numbers));
                graph.input_as(role, &extents, tensor.element, tensor.layout)?
            }
            _ => graph.parameter(role, numbers.view())?,
        };
        values.insert(role.clone(), value);
    }
    for step in &call.steps {
        let read: Vec<ValueId> = step.tensors.iter().filter_map(|name| values.get(name)).copied().collect();
        let given = graph.node(Recipe::Fixed(Box::new(step.op.clone())), &read)?;
        values.extend(step.results.iter().cloned().zip(given));
    }
    for view in &call.views {
        let extents: Vec<isize> = view.tensor.extents.iter().map(|&extent| extent as isize).collect();
        let shown = values.get(&view.of).map(|&of| graph.reshape(of, &extents)).transpose()?;
        values.extend(shown.map(|shown| (view.name.clone(), shown)));
    }
    let mut pairs = vec![];
    for (role, array) in upstream {
        let Some((_, name)) = call.outputs.iter().find(|(own, _)| own == role) else { continue };
        let Some(&value) = values.get(name) else { continue };
        let like = graph.parameter(&format!("upstream of {role}"), shaped(array)?.view())?;
        // In the layout that the op gives.
        let layout = call.steps.iter().find_map(|step| {
            let position = step.results.iter().position(|result| result == name)?;
            Some(step.op.outputs()[position].tensor.layout)
        });
        let like = if array.shape.len() >= 3 { graph.to_layout(like, layout.unwrap_or(Layout::ChannelsFirst))? } else { like };
        pairs.push((value, like));
    }
    let by: Vec<ValueId> = wanted.iter().filter_map(|(role, ..)| values.get(*role)).copied().collect();
    let gradients = graph.gradients(&pairs, &by)?;
    for ((role, array, _), gradient) in wanted.iter().zip(gradients) {
        let gradient = match gradient {
            Some(gradient) => gradient,
            None => graph.constant(&format!("zeros for {role}"), ArrayD::<f32>::zeros(IxDyn(&array.shape)).view())?,
        };
        graph.output(role, gradient)?;
    }
    Ok((graph, inputs))
}

fn shaped(array: &Array) -> Result<ArrayD<f32>, Error> {
    let numbers = array.values.iter().map(|&v| v as f32).collect();
    ArrayD::from_shape_vec(IxDyn(&array.shape), numbers).map_err(|e| Error::invalid("the array", format!("{:?}", array.shape), e.to_string()))
}
