//! Test vectors of training: losses and batch normalisation by its batch with their gradients, optimizers, schedules, clipping; each on both engines.

use super::{Array, BadCall, BadInput, Case, Tolerance, array};
use ndarray::{ArrayD, IxDyn};
use safetensors::SafeTensors;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use wgconv::graph::{BatchStatisticsDescriptor, BinaryWeights, CrossEntropyDescriptor, Reduction, Targets, ValueId};
use wgconv::op::Prepared;
use wgconv::train::{Adam, Optimizer, OptimizerProblem, RmsProp, Schedule, Sgd};
use wgconv::validate::compare::compare;
use wgconv::{ElementType, Error, Gpu, Graph, Layout, Session, Tensor};

/// Whether a case or call is one of these.
pub fn is_training(op: &str, attrs: &serde_json::Value) -> bool {
    const TRAINING: [&str; 11] = [
        "cross_entropy",
        "bce_with_logits",
        "mse_loss",
        "l1_loss",
        "huber_loss",
        "optimizer_sgd",
        "optimizer_rmsprop",
        "optimizer_adam",
        "optimizer_adamw",
        "lr_schedule",
        "clip_grad_norm",
    ];
    TRAINING.contains(&op) || (op == "batch_norm" && attrs.get("training_mode") == Some(&serde_json::json!(1)))
}

/// Checks a case.
///
/// # Errors
/// What is wrong with the case or with a result, by name.
pub fn check(gpu: &Gpu, case: &Case, tensors: &SafeTensors<'_>) -> Result<(), String> {
    let read = |keys: &BTreeMap<String, String>| -> Result<BTreeMap<String, Array>, String> {
        keys.iter().map(|(role, key)| Ok((role.clone(), array(tensors, key)?))).collect()
    };
    let given = read(&case.inputs)?;
    let mut wanted = BTreeMap::new();
    for (role, key) in case.outputs.iter().chain(case.grads.iter().filter(|(role, _)| is_of_input(role, case))) {
        let tolerance = *case.tolerance.get(role).ok_or_else(|| format!("the case has no tolerance for {role}"))?;
        wanted.insert(role.as_str(), (array(tensors, key)?, tolerance));
    }
    let upstream: BTreeMap<String, String> =
        case.grads.iter().filter(|(role, _)| !is_of_input(role, case)).map(|(a, b)| (a.clone(), b.clone())).collect();
    let upstream = read(&upstream)?;
    match case.op.as_str() {
        "lr_schedule" => schedule(case, &wanted),
        op if op.starts_with("optimizer_") => optimizer(gpu, case, &given, &wanted),
        _ => {
            let graph = graph(case, &given, &upstream).map_err(|e| e.to_string())?;
            for (engine, session) in [("GPU", Session::gpu(gpu, &graph)), ("CPU", Session::cpu(&graph))] {
                let outputs = session.and_then(|session| session.run::<IxDyn>(&[])).map_err(|e| format!("{engine}: {e}"))?;
                for (role, want) in &wanted {
                    let got = outputs.get(role).ok_or_else(|| format!("output {role} is not one of {}", case.op))?;
                    held(engine, role, got.shape(), &got.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), want)?;
                }
            }
            Ok(())
        }
    }
}

/// Builds what a call asks for, of zeros where no values are given.
///
/// # Errors
/// The refusal.
pub fn refuse(call: &BadCall) -> Result<(), String> {
    let input = |(role, input): (&String, &BadInput)| -> Result<(String, Array), String> {
        let shape: Vec<usize> = serde_json::from_value(input.shape.clone()).map_err(|e| format!("the shape of {role}: {e}"))?;
        let count = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent)).filter(|count| *count < 1 << 20);
        let count = count.ok_or_else(|| format!("the shape of {role}, {shape:?}, is too large for a call that is refused"))?;
        let values = if input.values.is_empty() { vec![0.0; count] } else { input.values.clone() };
        let dtype = if input.dtype == "i64" { safetensors::Dtype::I64 } else { safetensors::Dtype::F32 };
        Ok((role.clone(), Array { dtype, shape, values }))
    };
    let given: BTreeMap<String, Array> = call.inputs.iter().map(input).collect::<Result<_, _>>()?;
    let case = Case {
        name: call.name.clone(),
        op: call.op.clone(),
        attrs: call.attrs.clone(),
        dtype: "f32".into(),
        exact: false,
        special: false,
        inputs: BTreeMap::new(),
        outputs: BTreeMap::new(),
        grads: BTreeMap::new(),
        tolerance: BTreeMap::new(),
    };
    match case.op.as_str() {
        "lr_schedule" => schedule(&case, &BTreeMap::new()),
        op if op.starts_with("optimizer_") => of_attrs(&case).and_then(|_| paths(&given).map(|_| ())),
        _ => graph(&case, &given, &BTreeMap::new()).map(|_| ()).map_err(|e| e.to_string()),
    }
}

/// Whether a gradient is wanted, and not given.
fn is_of_input(role: &str, case: &Case) -> bool {
    role.strip_prefix("grad_").is_some_and(|name| case.inputs.contains_key(name))
}

fn held(engine: &str, role: &str, shape: &[usize], got: &[f64], (want, tolerance): &(Array, Tolerance)) -> Result<(), String> {
    if shape != want.shape {
        return Err(format!("{engine}: {role} has shape {shape:?}, expected {:?}", want.shape));
    }
    match compare(got, &want.values, |i| tolerance.abs + tolerance.rel * want.values[i].abs()) {
        Some(mismatch) => Err(format!("{engine}: {role}: {}", mismatch.describe(&want.shape))),
        None => Ok(()),
    }
}

fn read<T: DeserializeOwned>(case: &Case) -> Result<T, Error> {
    serde_json::from_value(case.attrs.clone()).map_err(|e| Error::invalid("attrs", &case.attrs, e.to_string()))
}

#[derive(Deserialize)]
struct LossAttributes {
    reduction: Reduction,
    #[serde(default)]
    ignore_index: i64,
    #[serde(default)]
    label_smoothing: f32,
    #[serde(default)]
    delta: f32,
}

/// The op of a case as a graph of parameters, with its outputs and gradients by role.
fn graph(case: &Case, given: &BTreeMap<String, Array>, upstream: &BTreeMap<String, Array>) -> Result<Graph, Error> {
    let mut graph = Graph::new();
    let mut values = BTreeMap::new();
    for (role, array) in given.iter().filter(|(role, _)| !(case.op == "cross_entropy" && *role == "target")) {
        values.insert(role.as_str(), graph.parameter(role, shaped(&array.shape, &array.values)?.view())?);
    }
    let need = |role: &str| values.get(role).copied().ok_or_else(|| Error::invalid("inputs", role, "there is no input of this role"));
    let optional = |role: &str| values.get(role).copied();
    let mut outputs: Vec<(String, ValueId)> = vec![];
    match case.op.as_str() {
        "batch_norm" => {
            #[derive(Deserialize)]
            struct Attributes {
                epsilon: f32,
                momentum: f32,
                running_var: String,
            }
            let Attributes { epsilon, momentum, running_var } = read(case)?;
            let descriptor = BatchStatisticsDescriptor { epsilon, momentum, unbiased: running_var == "unbiased" };
            let running = optional("mean").zip(optional("var")).map(|(mean, variance)| [mean, variance]);
            let made = graph.batch_norm_training(need("x")?, [optional("scale"), optional("bias")], running, &descriptor)?;
            outputs.push(("y".into(), made.y));
            outputs.extend(made.running.into_iter().flat_map(|[mean, variance]| [("running_mean".into(), mean), ("running_var".into(), variance)]));
        }
        "clip_grad_norm" => {
            #[derive(Deserialize)]
            struct Attributes {
                max_norm: f32,
            }
            let Attributes { max_norm } = read(case)?;
            let (roles, gradients): (Vec<&str>, Vec<ValueId>) = values.iter().map(|(role, value)| (*role, *value)).unzip();
            let (clipped, norm) = graph.clip_norm(&gradients, max_norm)?;
            outputs.extend(roles.iter().zip(clipped).map(|(role, value)| (role.replacen("g_", "clipped_", 1), value)));
            outputs.push(("total_norm".into(), norm));
        }
        op => {
            let a: LossAttributes = read(case)?;
            let x = need("x")?;
            let y = match op {
                "cross_entropy" => {
                    let target = given.get("target").ok_or_else(|| Error::invalid("inputs", "target", "there is no input of this role"))?;
                    let x_shape = graph.extents(x).unwrap_or_default();
                    let (target, targets) = classes(target, &x_shape, a.ignore_index)?;
                    let target = graph.constant("target", target.view())?;
                    let descriptor = CrossEntropyDescriptor { reduction: a.reduction, label_smoothing: a.label_smoothing, targets };
                    let log = graph.softmax(x, &wgconv::softmax::SoftmaxDescriptor { axis: 1, logarithm: true })?;
                    outputs.push(("log_prob".into(), log));
                    graph.cross_entropy(x, target, optional("weight"), &descriptor)?
                }
                "bce_with_logits" => {
                    let weights = BinaryWeights { element: optional("weight"), positive: optional("pos_weight") };
                    graph.bce_with_logits(x, need("target")?, weights, a.reduction)?
                }
                "mse_loss" => graph.mse_loss(x, need("target")?, a.reduction)?,
                "l1_loss" => graph.l1_loss(x, need("target")?, a.reduction)?,
                _ => graph.huber_loss(x, need("target")?, a.delta, a.reduction)?,
            };
            outputs.push(("y".into(), y));
        }
    }
    let mut pairs = vec![];
    for (role, array) in upstream {
        let of = role.strip_prefix("grad_").unwrap_or(role);
        let Some((_, value)) = outputs.iter().find(|(name, _)| name == of) else { continue };
        pairs.push((*value, graph.parameter(role, shaped(&array.shape, &array.values)?.view())?));
    }
    let by: Vec<(&str, ValueId)> =
        values.iter().filter(|(role, _)| case.grads.contains_key(&format!("grad_{role}"))).map(|(r, v)| (*r, *v)).collect();
    let gradients = graph.gradients(&pairs, &by.iter().map(|(_, value)| *value).collect::<Vec<_>>())?;
    for ((role, value), gradient) in by.into_iter().zip(gradients) {
        let gradient = match gradient {
            Some(gradient) => gradient,
            None => {
                let extents = graph.extents(value).unwrap_or_default();
                graph.constant(&format!("zeros for {role}"), ArrayD::<f32>::zeros(IxDyn(&extents)).view())?
            }
        };
        graph.output(&format!("grad_{role}"), gradient)?;
    }
    outputs.into_iter().try_for_each(|(name, value)| graph.output(&name, value))?;
    Ok(graph)
}

/// Targets of x's shape: classes become a 1 each, and nothing where they are not to count.
fn classes(target: &Array, x: &[usize], ignored: i64) -> Result<(ArrayD<f32>, Targets), Error> {
    if target.shape == x {
        return Ok((shaped(&target.shape, &target.values)?, Targets::Probabilities));
    }
    let others: Vec<usize> = x.iter().enumerate().filter(|(axis, _)| *axis != 1).map(|(_, &extent)| extent).collect();
    if target.shape != others {
        return Err(Error::invalid("target", format!("{:?}", target.shape), format!("it is {others:?}, or x's {x:?}")));
    }
    let (classes, inner) = (x[1], x[2..].iter().product::<usize>());
    let mut wide = vec![0.0; x.iter().product()];
    for (i, &class) in target.values.iter().enumerate().filter(|(_, class)| **class != ignored as f64) {
        if !(0.0..classes as f64).contains(&class) {
            return Err(Error::invalid(format!("target[{i}]"), class, format!("there are {classes} classes, from 0 on")));
        }
        wide[(i / inner * classes + class as usize) * inner + i % inner] = 1.0;
    }
    Ok((shaped(x, &wide)?, Targets::Classes))
}

fn shaped(extents: &[usize], values: &[f64]) -> Result<ArrayD<f32>, Error> {
    let numbers = values.iter().map(|&v| v as f32).collect();
    ArrayD::from_shape_vec(IxDyn(extents), numbers).map_err(|e| Error::invalid("the array", format!("{extents:?}"), e.to_string()))
}

#[derive(Deserialize)]
struct OptimizerAttributes {
    lr: f64,
    #[serde(default)]
    momentum: f64,
    #[serde(default)]
    dampening: f64,
    #[serde(default)]
    nesterov: u8,
    #[serde(default)]
    weight_decay: f64,
    #[serde(default)]
    alpha: f64,
    #[serde(default)]
    epsilon: f64,
    #[serde(default)]
    centered: u8,
    #[serde(default)]
    beta1: f64,
    #[serde(default)]
    beta2: f64,
}

fn of_attrs(case: &Case) -> Result<Optimizer, String> {
    let OptimizerAttributes { lr: rate, momentum, dampening, nesterov, weight_decay, alpha, epsilon, centered, beta1, beta2 } =
        read(case).map_err(|e| e.to_string())?;
    let optimizer: Optimizer = match case.op.as_str() {
        "optimizer_sgd" => Sgd { rate, momentum, dampening, nesterov: nesterov != 0, weight_decay }.into(),
        "optimizer_rmsprop" => RmsProp { rate, alpha, epsilon, momentum, centered: centered != 0, weight_decay }.into(),
        op => Adam { rate, beta1, beta2, epsilon, weight_decay, decoupled: op == "optimizer_adamw", amsgrad: false }.into(),
    };
    optimizer.check().map_err(|e| e.to_string())?;
    Ok(optimizer)
}

/// Every parameter with its name and its gradients, one for each step.
fn paths(given: &BTreeMap<String, Array>) -> Result<Vec<(&str, &Array, &Array)>, String> {
    let of = |(role, start)| -> Option<Result<(&str, &Array, &Array), String>> {
        let (role, start): (&String, &Array) = (role, start);
        let name = role.strip_prefix("p_")?;
        let Some(gradients) = given.get(&format!("g_{name}")) else { return Some(Err(format!("the case has no input g_{name}"))) };
        let is_alike = gradients.shape.split_first().is_some_and(|(_, shape)| *shape == start.shape);
        Some(if is_alike {
            Ok((name, start, gradients))
        } else {
            Err(format!("g_{name} is {:?}: it is steps of {:?}", gradients.shape, start.shape))
        })
    };
    let all: Vec<_> = given.iter().filter_map(of).collect::<Result<_, _>>()?;
    if all.is_empty() { Err("the case has no parameter".into()) } else { Ok(all) }
}

/// Every parameter along its path, on the GPU by the op and on the CPU engine.
fn optimizer(gpu: &Gpu, case: &Case, given: &BTreeMap<String, Array>, wanted: &BTreeMap<&str, (Array, Tolerance)>) -> Result<(), String> {
    let optimizer = of_attrs(case)?;
    for (name, start, gradients) in paths(given)? {
        let want = wanted.get(format!("path_{name}").as_str()).ok_or_else(|| format!("the case has no output path_{name}"))?;
        let paths = [("GPU", on_gpu(gpu, &optimizer, start, gradients).map_err(|e| e.to_string())?), ("CPU", on_cpu(&optimizer, start, gradients))];
        for (engine, path) in paths {
            held(engine, &format!("path_{name}"), &gradients.shape, &path, want)?;
        }
    }
    Ok(())
}

fn on_cpu(optimizer: &Optimizer, start: &Array, gradients: &Array) -> Vec<f64> {
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let (rule, mut p) = (optimizer.rule(), narrow(&start.values));
    let mut state = vec![vec![0.0; p.len()]; rule.state().len()];
    let mut path = vec![];
    for (step, gradient) in (1..).zip(gradients.values.chunks(p.len())) {
        wgconv::cpu::optimizer_step(rule, optimizer.scalars(step, optimizer.rate()), &mut p, &mut state, &narrow(gradient));
        path.extend(p.iter().map(|&v| f64::from(v)));
    }
    path
}

fn on_gpu(gpu: &Gpu, optimizer: &Optimizer, start: &Array, gradients: &Array) -> Result<Vec<f64>, Error> {
    let rule = optimizer.rule();
    let prepared = Prepared::new(gpu, OptimizerProblem::new(rule, &start.shape)?, &[])?;
    let p = gpu.upload(&shaped(&start.shape, &start.values)?)?;
    let zeros = || gpu.zeros(&start.shape, ElementType::F32, Layout::ChannelsFirst);
    let state: Vec<Tensor> = rule.state().iter().map(|_| zeros()).collect::<Result<_, _>>()?;
    let changed: Vec<&Tensor> = std::iter::once(&p).chain(&state).collect();
    let mut path = vec![];
    for (step, gradient) in (1..).zip(gradients.values.chunks(start.values.len())) {
        let gradient = gpu.upload(&shaped(&start.shape, gradient)?)?;
        let scalars = optimizer.scalars(step, optimizer.rate()).to_array();
        let scalars = gpu.upload(&ndarray::Array1::from_vec(scalars.to_vec()))?;
        let mut recorder = gpu.recorder();
        prepared.record(&mut recorder, &[&gradient, &scalars], &changed)?;
        recorder.submit()?;
        path.extend(p.download::<f32, IxDyn>()?.iter().map(|&v| f64::from(v)));
    }
    Ok(path)
}

fn schedule(case: &Case, wanted: &BTreeMap<&str, (Array, Tolerance)>) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(tag = "schedule", rename_all = "snake_case")]
    enum Attributes {
        Step { lr: f64, gamma: f64, step_size: u64, steps: u64 },
        Cosine { lr: f64, min_lr: f64, period: u64, steps: u64 },
        Warmup { lr: f64, start_factor: f64, warmup: u64, steps: u64 },
    }
    let (lr, schedule, steps) = match read(case).map_err(|e| e.to_string())? {
        Attributes::Step { lr, gamma, step_size, steps } => (lr, Schedule::Step { every: step_size, gamma }, steps),
        Attributes::Cosine { lr, min_lr, period, steps } => (lr, Schedule::Cosine { period, least: min_lr / lr }, steps),
        Attributes::Warmup { lr, start_factor, warmup, steps } => (lr, Schedule::WarmUp { steps: warmup, start: start_factor }, steps),
    };
    schedule.check().map_err(|e| e.to_string())?;
    let rates: Vec<f64> = (0..steps).map(|i| lr * schedule.factor(i)).collect();
    wanted.get("lr").map_or(Ok(()), |want| held("schedule", "lr", &[rates.len()], &rates, want))
}
