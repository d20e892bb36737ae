//! Runs test vectors: a case under every algorithm that admits it and in both layouts, a bad call up to its refusal.

use super::{Array, BadCall, BadInput, Case, Tolerance, array, training};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::BTreeMap;
use wgconv::conv::Accuracy;
use wgconv::op::named::{self, Call, Inputs, Step, View, signature};
use wgconv::op::{Planned, Prepared, Problem, TensorSpec};
use wgconv::validate::compare::compare;
use wgconv::validate::{Outcome, download, upload};
use wgconv::{ElementType, Error, Gpu, Layout, Tensor, TensorType};

/// Runs a case, with its gradients.
pub fn check(gpu: &Gpu, case: &Case, tensors: &SafeTensors<'_>) -> Outcome {
    if case.dtype == "f16" && !gpu.profile().has_f16 {
        return Outcome::Skipped("the device has no f16".into());
    }
    let checked = match training::is_training(&case.op, &case.attrs) {
        true => training::check(gpu, case, tensors),
        false => check_forward(gpu, case, tensors).and_then(|()| super::gradients::check(gpu, case, tensors)),
    };
    match checked {
        Ok(()) => Outcome::Passed,
        Err(why) => Outcome::Failed(why),
    }
}

fn check_forward(gpu: &Gpu, case: &Case, tensors: &SafeTensors<'_>) -> Result<(), String> {
    let Resolved { arrays, wanted, calls } = resolve(case, tensors)?;
    for (layout, call) in &calls {
        check_call(gpu, call, &arrays, &wanted).map_err(|why| match layout {
            Layout::ChannelsFirst => why,
            Layout::ChannelsLast => format!("channels-last: {why}"),
        })?;
    }
    Ok(())
}

/// What a case says, resolved: everything that needs no device.
pub struct Resolved<'a> {
    pub(super) arrays: BTreeMap<String, Array>,
    /// Output roles with what is expected of them.
    wanted: Vec<(&'a str, Array, Tolerance)>,
    /// The call in each layout that the op sees.
    pub(super) calls: Vec<(Layout, Call)>,
}

/// Reads a case's tensors and builds its calls.
///
/// # Errors
/// What is wrong with the case, by name.
pub fn resolve<'a>(case: &'a Case, tensors: &SafeTensors<'_>) -> Result<Resolved<'a>, String> {
    let signature = signature(&case.op).ok_or_else(|| format!("op {} is not known yet", case.op))?;
    if let Some(attribute) = signature.missing(&case.attrs) {
        return Err(format!("the case has no attribute {attribute}"));
    }
    if let Some(role) = signature.inputs.iter().find(|role| !case.inputs.contains_key(**role)) {
        return Err(format!("the case has no input {role}"));
    }
    let element = element_type(&case.dtype)?;
    let mut arrays = BTreeMap::new();
    let mut given = BTreeMap::new();
    for (role, key) in &case.inputs {
        let array = array(tensors, key)?;
        let element = match (array.dtype, element) {
            (Dtype::F32, ElementType::F32) | (Dtype::F16, ElementType::F16) => element,
            // Whole numbers as data: the sources keep them so, the op computes on its own type.
            (Dtype::I64, element) if role != "indices" => element,
            (Dtype::I64, _) if array.values.iter().all(|v| (0.0..4_294_967_296.0).contains(v)) => ElementType::U32,
            (stored, _) => return Err(format!("input {role} is stored as {stored:?}, but the case's dtype is {}", case.dtype)),
        };
        given.insert(role.clone(), TensorType::new(&array.shape, element, Layout::ChannelsFirst));
        arrays.insert(role.clone(), array);
    }
    let mut wanted = Vec::new();
    for (role, key) in &case.outputs {
        let tolerance = *case.tolerance.get(role).ok_or_else(|| format!("the case has no tolerance for {role}"))?;
        if case.exact && (tolerance.abs != 0.0 || tolerance.rel != 0.0) {
            return Err("an exact case must have tolerance 0".into());
        }
        wanted.push((role.as_str(), array(tensors, key)?, tolerance));
    }
    if wanted.is_empty() {
        return Err("the case has no output".into());
    }
    // Numbers past f32's range or NaN would not survive a transformed operand.
    let accuracy = if case.special { Accuracy::Exact } else { Accuracy::default() };
    let mut calls = Vec::new();
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        given.values_mut().for_each(|tensor| tensor.layout = layout);
        let inputs = Inputs { given: &given, accuracy, extras: true };
        let call = match named::build(&case.op, &case.attrs, &inputs) {
            // Ops that take one layout alone say so for the other.
            Err(why) if layout == Layout::ChannelsLast && why.is_layout() => continue,
            call => call?,
        };
        check_roles(case, &call, &arrays, &wanted)?;
        let sees_layout =
            call.steps.iter().flat_map(|s| s.op.inputs()).any(|spec| spec.tensor.layout == Layout::ChannelsLast && spec.tensor.extents.len() >= 3);
        if layout == Layout::ChannelsFirst || sees_layout {
            calls.push((layout, call));
        }
    }
    Ok(Resolved { arrays, wanted, calls })
}

/// Refuses a role that nothing reads or gives, for it would go unchecked, and an output of another shape than expected, before it is made:
/// attributes alone can make it as large as they please.
fn check_roles(case: &Case, call: &Call, arrays: &BTreeMap<String, Array>, wanted: &[(&str, Array, Tolerance)]) -> Result<(), String> {
    if let Some(role) = arrays.keys().find(|role| !call.reads(role)) {
        return Err(format!("input {role} is not one of {}", case.op));
    }
    for (role, want, _) in wanted {
        let Some((_, name)) = call.outputs.iter().find(|(name, _)| name == role) else {
            return Err(format!("output {role} is not one of {}", case.op));
        };
        let of_step = |step: &Step| step.results.iter().position(|result| result == name).map(|i| step.op.outputs()[i].tensor.extents.clone());
        let extents = call.steps.iter().find_map(of_step).or_else(|| call.views.iter().find(|v| v.name == *name).map(|v| v.tensor.extents.clone()));
        if let Some(extents) = extents.filter(|extents| *extents != want.shape) {
            return Err(format!("{role} has shape {extents:?}, expected {:?}", want.shape));
        }
    }
    Ok(())
}

fn check_call(gpu: &Gpu, call: &Call, arrays: &BTreeMap<String, Array>, wanted: &[(&str, Array, Tolerance)]) -> Result<(), String> {
    let algorithms = match call.steps.as_slice() {
        [one] => one.op.algorithms(gpu.profile()).into_iter().map(Some).collect(),
        _ => vec![None],
    };
    if algorithms.is_empty() && call.views.is_empty() {
        return Err("no algorithm admits it".into());
    }
    for algorithm in algorithms {
        let named = |why: String| algorithm.map_or(why.clone(), |name| format!("{name}: {why}"));
        let got = run(gpu, call, algorithm, arrays).map_err(|e| named(e.to_string()))?;
        for ((role, want, tolerance), (extents, values)) in wanted.iter().filter_map(|want| got.get(want.0).map(|got| (want, got))) {
            if *extents != want.shape {
                return Err(named(format!("{role} has shape {extents:?}, expected {:?}", want.shape)));
            }
            if let Some(mismatch) = compare(values, &want.values, |i| tolerance.abs + tolerance.rel * want.values[i].abs()) {
                return Err(named(format!("{role}: {}", mismatch.describe(&want.shape))));
            }
        }
    }
    Ok(())
}

/// Extents and values by role.
type Outputs = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

/// Runs the steps of a call and gives its outputs.
fn run(gpu: &Gpu, call: &Call, algorithm: Option<&str>, arrays: &BTreeMap<String, Array>) -> Result<Outputs, Error> {
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for Step { op, tensors: names, results } in &call.steps {
        let specs = op.inputs();
        let (mut constants, mut given) = (Vec::new(), Vec::new());
        for (spec, name) in specs.iter().zip(names) {
            let tensor = match tensors.get(name) {
                Some(tensor) => tensor.clone(),
                None => upload(gpu, spec, &arrays[name].values)?,
            };
            if spec.constant { constants.push(tensor) } else { given.push(tensor) }
        }
        let constants: Vec<&Tensor> = constants.iter().collect();
        let prepared = match algorithm {
            Some(name) => Prepared::with_algorithm(gpu, op, name, &constants)?,
            None => Prepared::new(gpu, op, &constants)?,
        };
        let outputs = prepared.outputs()?;
        let mut recorder = gpu.recorder();
        prepared.record(&mut recorder, &given.iter().collect::<Vec<_>>(), &outputs.iter().collect::<Vec<_>>())?;
        recorder.submit()?;
        tensors.extend(results.iter().cloned().zip(outputs));
    }
    for View { name, of, tensor: TensorType { extents, element, .. } } in &call.views {
        let spec = TensorSpec::new("x", &arrays[of].shape, *element, Layout::ChannelsFirst);
        let whole = upload(gpu, &spec, &arrays[of].values)?;
        let extents: Vec<isize> = extents.iter().map(|&e| e as isize).collect();
        tensors.insert(name.clone(), whole.reshape(&extents)?);
    }
    let output = |(role, name): &(&'static str, String)| -> Result<_, Error> {
        let tensor = tensors.get(name).ok_or_else(|| Error::invalid("a call", name, "no step gives this tensor"))?;
        Ok((role.to_string(), (tensor.shape().extents().to_vec(), download(tensor)?)))
    };
    call.outputs.iter().map(output).collect()
}

fn element_type(dtype: &str) -> Result<ElementType, String> {
    match dtype {
        "f32" => Ok(ElementType::F32),
        "f16" => Ok(ElementType::F16),
        "i64" => Ok(ElementType::U32),
        other => Err(format!("dtype {other} is not known: it is f32 or f16")),
    }
}

/// A bad call passes if reading it or planning it ends in an error; nothing is allocated on the device.
pub fn refuse(gpu: &Gpu, call: &BadCall) -> Outcome {
    let failed = Outcome::Failed;
    if training::is_training(&call.op, &call.attrs) {
        return match training::refuse(call) {
            Err(why) => {
                log::info!("{} refused: {why}", call.name);
                Outcome::Passed
            }
            Ok(()) => failed("accepted".into()),
        };
    }
    let Some(signature) = signature(&call.op) else {
        return failed(format!("op {} is not known yet", call.op));
    };
    if let Some(attribute) = signature.missing(&call.attrs) {
        return failed(format!("the call has no attribute {attribute}, so its refusal would verify nothing"));
    }
    // For an op of any number of tensors it is a mistake of its own to have none.
    if let Some(role) = signature.inputs.iter().find(|role| !signature.takes_many() && !call.inputs.contains_key(**role)) {
        return failed(format!("the call has no {role}, so its refusal would verify nothing"));
    }
    let is_shape = |shape: &Value| shape.as_array().is_some_and(|list| list.iter().all(Value::is_number));
    if let Some((role, _)) = call.inputs.iter().find(|(_, input)| !is_shape(&input.shape)) {
        return failed(format!("the shape of {role} is no list of numbers, so the call's refusal would verify nothing"));
    }
    match attempt(gpu, call) {
        Err(why) => {
            log::info!("{} refused: {why}", call.name);
            Outcome::Passed
        }
        Ok(label) => failed(format!("accepted, and planned as {label}")),
    }
}

fn attempt(gpu: &Gpu, call: &BadCall) -> Result<String, String> {
    let read = |(role, input): (&String, &BadInput)| -> Result<(String, TensorType), String> {
        let shape: Vec<usize> = serde_json::from_value(input.shape.clone()).map_err(|e| format!("the shape of {role}: {e}"))?;
        if let Some(value) = input.values.iter().find(|v| input.dtype == "i64" && **v < 0.0) {
            return Err(format!("{role} holds {value}: an index is not negative"));
        }
        Ok((role.clone(), TensorType::new(&shape, element_type(&input.dtype)?, Layout::ChannelsFirst)))
    };
    let given = call.inputs.iter().map(read).collect::<Result<BTreeMap<_, _>, _>>()?;
    let inputs = Inputs { given: &given, accuracy: Accuracy::default(), extras: true };
    let built = named::build(&call.op, &call.attrs, &inputs)?;
    let plan = |step: &Step| step.op.plan(gpu.profile(), None).map(|plan| plan.label).map_err(|e| e.to_string());
    Ok(built.steps.iter().map(plan).collect::<Result<Vec<_>, _>>()?.join(", "))
}
