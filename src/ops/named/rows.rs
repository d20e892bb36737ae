//! Reductions, softmax and normalisation by name.

use super::attributes::{flag, read};
use super::{BuildError, Call, Inputs, missing};
use crate::ops::norm::batch::{BatchNormDescriptor, BatchNormProblem, BatchNormVectors};
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, NormInputs, NormProblem};
use crate::ops::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceKind, ReduceProblem};
use crate::ops::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Reduce {
    #[serde(default)]
    axes: Vec<isize>,
    #[serde(default)]
    keepdims: u8,
}

#[derive(Deserialize)]
struct Argmax {
    axis: Option<isize>,
    #[serde(default)]
    keepdims: u8,
    #[serde(default)]
    select_last_index: u8,
}

#[derive(Deserialize)]
struct Axis {
    #[serde(default = "last")]
    axis: isize,
}

fn last() -> isize {
    -1
}

fn epsilon() -> f32 {
    1e-5
}

/// reduce_sum, reduce_mean, reduce_max, reduce_min, reduce_prod.
pub fn reduce(kind: ReduceKind, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let a: Reduce = read(attrs)?;
    let keepdims = flag("keepdims", a.keepdims)?;
    let problem = ReduceProblem::new(inputs.tensor("x")?, &ReduceDescriptor::new(kind, &a.axes).with_keepdims(keepdims))?;
    Ok(Call::one(problem, &["x"], &["y"]))
}

pub fn argmax(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let a: Argmax = read(attrs)?;
    let (keepdims, last) = (flag("keepdims", a.keepdims)?, flag("select_last_index", a.select_last_index)?);
    let problem = ArgmaxProblem::new(inputs.tensor("x")?, &ArgmaxDescriptor { axis: a.axis, keepdims, select_last: last })?;
    Ok(Call::one(problem, &["x"], &["y"]))
}

/// softmax, log_softmax.
pub fn softmax(logarithm: bool, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let Axis { axis } = read(attrs)?;
    let problem = SoftmaxProblem::new(inputs.tensor("x")?, &SoftmaxDescriptor { axis, logarithm })?;
    Ok(Call::one(problem, &["x"], &["y"]))
}

#[derive(Deserialize)]
struct Norm {
    #[serde(default = "epsilon")]
    epsilon: f32,
    #[serde(default = "last")]
    axis: isize,
    num_groups: Option<usize>,
}

/// layer_norm, group_norm, instance_norm.
pub fn norm(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let a: Norm = read(attrs)?;
    let (scale, bias, epsilon) = (inputs.get("scale"), inputs.get("bias"), a.epsilon);
    let x = inputs.first_of(&["x", "scale", "bias"])?;
    let tensors = NormInputs { x: x.clone(), scale, bias };
    let problem = match op {
        "layer_norm" => {
            NormProblem::layer(&tensors, &LayerNormDescriptor { axis: a.axis, epsilon }).map(|problem| problem.with_statistics(inputs.extras))
        }
        "group_norm" => NormProblem::group(&tensors, &GroupNormDescriptor { groups: a.num_groups.ok_or_else(|| missing("num_groups"))?, epsilon }),
        _ => NormProblem::instance(&tensors, &InstanceNormDescriptor { epsilon }),
    }?;
    let roles: Vec<&str> = ["x"].into_iter().chain(scale.map(|_| "scale")).chain(bias.map(|_| "bias")).collect();
    let outputs: &[&str] = if problem.statistics() { &["y", "mean", "inv_std_dev"] } else { &["y"] };
    Ok(Call::one(problem, &roles, outputs))
}

#[derive(Deserialize)]
struct BatchNorm {
    #[serde(default = "epsilon")]
    epsilon: f32,
    #[serde(default)]
    training_mode: u8,
}

/// batch_norm of a trained network.
pub fn batch_norm(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let BatchNorm { epsilon, training_mode } = read(attrs)?;
    if training_mode != 0 {
        return Err(format!("training_mode is {training_mode}: batch_norm is that of a trained network, training_mode 0").into());
    }
    let x = inputs.first_of(&["x", "scale", "bias", "mean", "var"])?;
    let (scale, bias) = (inputs.get("scale"), inputs.get("bias"));
    let vectors = BatchNormVectors { scale, bias, mean: inputs.need("mean")?, variance: inputs.need("var")? };
    let problem = BatchNormProblem::new(x, &vectors, &BatchNormDescriptor { epsilon, ..Default::default() })?;
    let optional = scale.map(|_| "scale").into_iter().chain(bias.map(|_| "bias"));
    let roles: Vec<&str> = ["x"].into_iter().chain(optional).chain(["mean", "var"]).collect();
    Ok(Call::one(problem, &roles, &["y"]))
}

#[derive(Deserialize)]
struct Lrn {
    size: usize,
    alpha: Option<f32>,
    beta: Option<f32>,
    bias: Option<f32>,
}

pub fn lrn(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let Lrn { size, alpha, beta, bias } = read(attrs)?;
    let descriptor = LrnDescriptor { size, alpha: alpha.unwrap_or(1e-4), beta: beta.unwrap_or(0.75), bias: bias.unwrap_or(1.0) };
    let problem = LrnProblem::new(inputs.tensor("x")?, &descriptor)?;
    Ok(Call::one(problem, &["x"], &["y"]))
}
