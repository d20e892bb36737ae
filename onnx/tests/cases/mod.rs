//! A case of ONNX's backend tests: run on an engine, and held to what the suite expects.
//!
//! What an output may differ by is derived, not chosen. The graph is computed by the reference in f64; every op's own bound is then added to its result, in
//! three patterns of signs, and how far that moves the outputs is summed over all ops. An engine may be off by that sum, and so may the suite's
//! arithmetic, in the type that it works in. Ops that only move numbers have bounds of 0, so their outputs must be equal.

use std::path::{Path, PathBuf};
use wgconv::graph::{Graph, Resolved};
use wgconv::ndarray::{ArrayD, IxDyn};
use wgconv::op::Referenced;
use wgconv::{Gpu, Session};
use wgconv_onnx::{Element, Error, Model, Numbers, Refusal, Tensor};

/// Half the distance from 1 to the next number.
fn unit_roundoff(element: Element) -> f64 {
    match element {
        Element::F16 => 2f64.powi(-11),
        Element::BF16 => 2f64.powi(-8),
        Element::F64 => 2f64.powi(-53),
        _ => 2f64.powi(-24),
    }
}

/// What became of a case.
#[derive(Debug)]
#[allow(dead_code, reason = "not every test runs cases")]
pub enum Verdict {
    Passed,
    /// It needs what is not imported.
    Refused(Vec<Refusal>),
    /// The files are no model, or not of tensors.
    Unread(String),
    Failed(String),
}

/// Inputs or outputs of a set of data.
pub fn tensors(folder: &Path, kind: &str, count: usize) -> Result<Vec<Tensor<'static>>, String> {
    (0..count)
        .map(|i| {
            let bytes = std::fs::read(folder.join(format!("{kind}_{i}.pb"))).map_err(|e| format!("{kind} {i}: {e}"))?;
            Tensor::parse(&bytes).map_err(|e| format!("{kind} {i}: {e}"))
        })
        .collect()
}

/// The folders of a kind of cases.
#[allow(dead_code, reason = "not every test reads cases")]
pub fn folders(root: &Path, kind: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(root.join(kind)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

/// Cases whose inputs and outputs the suite wrote down with so many decimals: each is half of the last one off.
const DECIMALS: [(&str, i32); 1] = [("test_averagepool_2d_ceil_last_window_starts_on_pad", 4)];

/// Runs a case on `gpu`, or on the CPU engine.
#[allow(dead_code, reason = "not every test runs cases")]
pub fn run(folder: &Path, gpu: Option<&Gpu>) -> Verdict {
    let model =
        match std::fs::read(folder.join("model.onnx")).map_err(|e| e.to_string()).and_then(|bytes| Model::parse(bytes).map_err(|e| e.to_string())) {
            Ok(model) => model,
            Err(why) => return Verdict::Unread(why),
        };
    if model.inputs().iter().chain(model.outputs()).any(|value| value.element.is_none()) {
        return Verdict::Unread("an input or output is no tensor of numbers".into());
    }
    let decimals = DECIMALS.iter().find(|(name, _)| folder.ends_with(name)).map_or(0.0, |(_, digits)| 10f64.powi(-digits));
    for set in 0.. {
        let data = folder.join(format!("test_data_set_{set}"));
        if !data.is_dir() {
            return if set > 0 { Verdict::Passed } else { Verdict::Unread("no data".into()) };
        }
        let read = tensors(&data, "input", model.inputs().len()).and_then(|inputs| Ok((inputs, tensors(&data, "output", model.outputs().len())?)));
        let (inputs, outputs) = match read {
            Ok(read) => read,
            // What is absent or no tensor is refused by the model too; where the model takes it, that is a failure.
            Err(why) => return Verdict::Unread(why),
        };
        match one(&model, (&inputs, &outputs), decimals, gpu) {
            Ok(None) => {}
            Ok(Some(refusals)) => return Verdict::Refused(refusals),
            Err(why) => return Verdict::Failed(why),
        }
    }
    Verdict::Passed
}

/// Inputs and outputs.
type Data<'d> = (&'d [Tensor<'static>], &'d [Tensor<'static>]);

fn one(model: &Model, (inputs, wanted): Data<'_>, decimals: f64, gpu: Option<&Gpu>) -> Result<Option<Vec<Refusal>>, String> {
    let given: Vec<(&str, Tensor<'_>)> = model.inputs().iter().zip(inputs).map(|(input, tensor)| (input.name.as_str(), tensor.clone())).collect();
    let imported = match model.import_with(&given) {
        Ok(imported) => imported,
        Err(Error::Nodes(refusals)) => return Ok(Some(refusals)),
        Err(error) => return Err(error.to_string()),
    };
    let nodes = model.ops().iter().map(|(_, count)| *count as f64).sum::<f64>();
    let run: Vec<(&str, &Tensor<'_>)> =
        given.iter().filter(|(name, _)| is_input(&imported.graph, name)).map(|(name, tensor)| (*name, tensor)).collect();
    let arrays: Vec<(&str, ArrayD<f32>)> = run
        .iter()
        .map(|(name, tensor)| (*name, ArrayD::from_shape_vec(IxDyn(tensor.dims()), tensor.to_f64().into_iter().map(|v| v as f32).collect()).unwrap()))
        .collect();
    let views: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
    let graph = &imported.graph;
    let (mut got, mut bounds) = (None, None);
    if graph.outputs().next().is_some() {
        let session = match gpu {
            Some(gpu) => Session::gpu(gpu, graph),
            None => Session::cpu(graph),
        };
        got = Some(session.and_then(|session| session.run(&views)).map_err(|e| format!("the session: {e}"))?);
        let elements: Vec<Element> = run.iter().map(|(_, tensor)| tensor.element()).collect();
        bounds = Some(allowed(graph, &arrays, &elements, gpu)?);
    }
    for (output, wanted) in imported.outputs.iter().zip(wanted) {
        let place = format!("output \"{}\"", output.name);
        if output.dims != wanted.dims() {
            return Err(format!("{place} has the extents {:?}, and {:?} are expected", output.dims, wanted.dims()));
        }
        if output.element != wanted.element() {
            return Err(format!("{place} is of {}, and {} is expected", output.element, wanted.element()));
        }
        let want = wanted.to_f64();
        let own = unit_roundoff(wanted.element());
        if let Some(known) = &output.known {
            // Each node rounds once here and once in numpy, numbers of the size of the largest; numpy's functions have a few units in the last place.
            let largest = want.iter().filter(|v| v.is_finite()).fold(0.0f64, |most, v| most.max(v.abs()));
            let slack = if known.element().is_float() && !is_moved(model) { 4.0 * nodes * own * largest } else { 0.0 };
            compare(&known.to_f64(), &want, |_| slack).map_err(|why| format!("{place}, known: {why}"))?;
            continue;
        }
        let array = got.as_ref().and_then(|got| got.get(&output.name)).ok_or(format!("{place} is missing"))?;
        // A result of float16 stays in f32 in the graph, and is rounded by who takes it.
        let got: Vec<f64> = array.iter().map(|&v| narrowed(wanted.element(), f64::from(v))).collect();
        let bound = bounds.as_ref().and_then(|bounds| bounds.iter().find(|(name, _)| *name == output.name)).ok_or(format!("{place} has no bound"))?;
        // The suite's arithmetic has the same bound in its own type; where it rounds to it once more, so much is added.
        let theirs = own / unit_roundoff(Element::F32);
        let narrow = wanted.element().is_float();
        compare(&got, &want, |i| decimals + bound.1[i] * (1.0 + theirs) + if narrow && bound.1[i] > 0.0 { own * want[i].abs() } else { 0.0 })
            .map_err(|why| format!("{place}: {why}"))?;
    }
    Ok(None)
}

/// Whether a model only moves numbers or counts them: then they are equal to the last bit.
fn is_moved(model: &Model) -> bool {
    const MOVES: [&str; 24] = [
        "Reshape",
        "Transpose",
        "Slice",
        "Concat",
        "Split",
        "Gather",
        "Expand",
        "Tile",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "Constant",
        "ConstantOfShape",
        "Shape",
        "Size",
        "Range",
        "EyeLike",
        "Where",
        "Cast",
        "CastLike",
        "Trilu",
        "Max",
        "Min",
    ];
    model.ops().iter().all(|(op, _)| MOVES.contains(&op.as_str()))
}

/// As a type of 16 bits holds it.
fn narrowed(element: Element, value: f64) -> f64 {
    match element {
        Element::F16 => half::f16::from_f64(value).to_f64(),
        Element::BF16 => half::bf16::from_f64(value).to_f64(),
        _ => value,
    }
}

/// Whether the graph takes it when it runs.
pub fn is_input(graph: &Graph, name: &str) -> bool {
    graph.inputs().any(|(own, _)| own == name)
}

/// The first element that is further off than allowed.
fn compare(got: &[f64], want: &[f64], allowed: impl Fn(usize) -> f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements, and {} are expected", got.len(), want.len()));
    }
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let is_equal = got == want || (got.is_nan() && want.is_nan());
        let allowed = allowed(i);
        // A difference or a bound that is no number allows nothing.
        let is_near = (got - want).abs() <= allowed;
        if !is_equal && !is_near {
            return Err(format!("element {i} is {got}, expected {want}: off by {:e}, allowed {allowed:e}", (got - want).abs()));
        }
    }
    Ok(())
}

/// What is added to a value before the rest of the graph is computed: its index, and by element the number.
pub type Nudge<'n> = Option<(usize, &'n [f64])>;

/// By value of the graph its numbers, and how far each may be off.
type Chain = (Vec<Vec<f64>>, Vec<Vec<f64>>);

/// By value of the graph what the reference makes of it, and how far an engine may be off at each op.
pub fn chain(graph: &Graph, inputs: &[(usize, Vec<f64>)], nudge: Nudge<'_>, gpu: Option<&Gpu>) -> Result<Chain, String> {
    let at = graph.at(0).map_err(|e| e.to_string())?;
    let numbers =
        |index| graph.value_at(index).and_then(|value| graph.numbers(value)).map_or(vec![], |n| n.as_f32().iter().map(|&v| f64::from(v)).collect());
    let mut values: Vec<Vec<f64>> = (0..graph.values().len()).map(numbers).collect();
    let mut errors: Vec<Vec<f64>> = vec![vec![]; values.len()];
    let moved = |index: usize, mut value: Vec<f64>| {
        if let Some((own, by)) = nudge
            && own == index
        {
            value.iter_mut().zip(by).for_each(|(value, by)| *value += by);
        }
        value
    };
    for (index, input) in inputs {
        values[*index] = moved(*index, input.clone());
    }
    for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
        let operands: Vec<&[f64]> = node.inputs().iter().map(|input| values[input.index()].as_slice()).collect();
        let made = match resolved {
            Resolved::View(_) => vec![(operands[0].to_vec(), vec![])],
            Resolved::Op(op) => {
                wgconv::reference::compute(op.as_ref(), &operands).map_err(|e| format!("{}: {e}", node.name()))?;
                let bounded = match gpu {
                    Some(gpu) => op.reference_for(gpu.plan(op.as_ref()).map_err(|e| e.to_string())?.algorithm(), &operands),
                    None => op.reference(&operands),
                };
                let outputs = wgconv::op::Problem::outputs(op.as_ref());
                let error = |(bounded, spec): (wgconv::reference::Bounded, wgconv::op::TensorSpec)| {
                    // What f32 holds is not rounded when it is stored.
                    let held = |value: f64| f64::from(value as f32) == value || value.is_nan();
                    let element = spec.tensor.element;
                    let allowed = |i: usize| if bounded.error[i] == 0.0 && held(bounded.value[i]) { 0.0 } else { bounded.allowed(i, element) };
                    let allowed = (0..bounded.value.len()).map(allowed).collect();
                    (bounded.value, allowed)
                };
                bounded.into_iter().zip(outputs).map(error).collect()
            }
        };
        for (output, (value, error)) in node.outputs().iter().zip(made) {
            values[output.index()] = moved(output.index(), value);
            errors[output.index()] = error;
        }
    }
    Ok((values, errors))
}

/// By output of the graph how far its elements may be off.
fn allowed(graph: &Graph, arrays: &[(&str, ArrayD<f32>)], elements: &[Element], gpu: Option<&Gpu>) -> Result<Vec<(String, Vec<f64>)>, String> {
    let inputs: Vec<(usize, Vec<f64>)> =
        arrays.iter().map(|(name, array)| (graph.find(name).unwrap().index(), array.iter().map(|&v| f64::from(v)).collect())).collect();
    let (base, mut errors) = chain(graph, &inputs, None, gpu)?;
    // f64 inputs were rounded to f32.
    for ((index, input), _) in inputs.iter().zip(elements).filter(|(_, element)| **element == Element::F64) {
        errors[*index] = input.iter().map(|v| v.abs() * unit_roundoff(Element::F32)).collect();
    }
    let outputs: Vec<(&str, usize)> = graph.outputs().map(|(name, value)| (name, value.index())).collect();
    let mut sums: Vec<Vec<f64>> = outputs.iter().map(|(_, index)| vec![0.0; base[*index].len()]).collect();
    for (index, error) in errors.iter().enumerate().filter(|(_, error)| error.iter().any(|&e| e != 0.0)) {
        let mut most: Vec<Vec<f64>> = sums.iter().map(|sum| vec![0.0; sum.len()]).collect();
        for signs in [[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]] {
            let by: Vec<f64> = error.iter().enumerate().map(|(i, e)| e * signs[i % 2]).collect();
            let (moved, _) = chain(graph, &inputs, Some((index, &by)), gpu)?;
            for ((_, output), most) in outputs.iter().zip(&mut most) {
                for ((most, moved), base) in most.iter_mut().zip(&moved[*output]).zip(&base[*output]) {
                    let off = (moved - base).abs();
                    *most = if off > *most { off } else { *most };
                }
            }
        }
        sums.iter_mut().zip(most).for_each(|(sum, most)| sum.iter_mut().zip(most).for_each(|(sum, most)| *sum += most));
    }
    Ok(outputs.iter().zip(sums).map(|((name, _), sum)| (name.to_string(), sum)).collect())
}

/// The numbers of a tensor as f32, for what is not compared here.
#[allow(dead_code, reason = "not every test reads networks")]
pub fn as_f32(tensor: &Tensor<'_>) -> Vec<f32> {
    match tensor.numbers() {
        Numbers::F32(numbers) => numbers.to_vec(),
        _ => tensor.to_f64().into_iter().map(|v| v as f32).collect(),
    }
}
