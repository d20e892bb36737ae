//! Reductions, softmax and normalisation by name.

use super::attributes::{flag, read};
use super::{Call, Inputs};
use serde::Deserialize;
use serde_json::Value;
use wgconv::norm::{
    BatchNormDescriptor, BatchNormProblem, BatchNormVectors, GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, LrnDescriptor,
    LrnProblem, NormInputs, NormProblem,
};
use wgconv::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceKind, ReduceProblem};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::{Error, TensorType};

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

fn text(error: Error) -> String {
    error.to_string()
}

/// reduce_sum, reduce_mean, reduce_max.
pub fn reduce(kind: ReduceKind, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let a: Reduce = read(attrs)?;
    let keepdims = flag("keepdims", a.keepdims)?;
    let problem = ReduceProblem::new(
        &TensorType::new(inputs.need("x")?, inputs.element(&["x"])?, inputs.layout),
        &ReduceDescriptor::new(kind, &a.axes).with_keepdims(keepdims),
    )
    .map_err(text)?;
    Ok(Call::one(problem, &["x"], &["y"]))
}

pub fn argmax(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let a: Argmax = read(attrs)?;
    let (keepdims, last) = (flag("keepdims", a.keepdims)?, flag("select_last_index", a.select_last_index)?);
    let problem = ArgmaxProblem::new(
        &TensorType::new(inputs.need("x")?, inputs.element(&["x"])?, inputs.layout),
        &ArgmaxDescriptor { axis: a.axis, keepdims, select_last: last },
    )
    .map_err(text)?;
    Ok(Call::one(problem, &["x"], &["y"]))
}

/// softmax, log_softmax.
pub fn softmax(logarithm: bool, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let Axis { axis } = read(attrs)?;
    let problem =
        SoftmaxProblem::new(&TensorType::new(inputs.need("x")?, inputs.element(&["x"])?, inputs.layout), &SoftmaxDescriptor { axis, logarithm })
            .map_err(text)?;
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
pub fn norm(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let a: Norm = read(attrs)?;
    let (scale, bias, epsilon) = (inputs.get("scale"), inputs.get("bias"), a.epsilon);
    let x = TensorType::new(inputs.need("x")?, inputs.element(&["x", "scale", "bias"])?, inputs.layout);
    let tensors = NormInputs { x, scale, bias };
    let problem = match op {
        "layer_norm" => {
            NormProblem::layer(&tensors, &LayerNormDescriptor { axis: a.axis, epsilon }).map(|problem| problem.with_statistics(inputs.extras))
        }
        "group_norm" => {
            NormProblem::group(&tensors, &GroupNormDescriptor { groups: a.num_groups.ok_or("the attribute num_groups is missing")?, epsilon })
        }
        _ => NormProblem::instance(&tensors, &InstanceNormDescriptor { epsilon }),
    }
    .map_err(text)?;
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
pub fn batch_norm(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let BatchNorm { epsilon, training_mode } = read(attrs)?;
    if training_mode != 0 {
        return Err(format!("training_mode is {training_mode}: batch_norm is that of a trained network, training_mode 0"));
    }
    let element = inputs.element(&["x", "scale", "bias", "mean", "var"])?;
    let (scale, bias) = (inputs.get("scale"), inputs.get("bias"));
    let vectors = BatchNormVectors { scale, bias, mean: inputs.need("mean")?, variance: inputs.need("var")? };
    let problem = BatchNormProblem::new(
        &TensorType::new(inputs.need("x")?, element, inputs.layout),
        &vectors,
        &BatchNormDescriptor { epsilon, ..Default::default() },
    )
    .map_err(text)?;
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

pub fn lrn(attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let Lrn { size, alpha, beta, bias } = read(attrs)?;
    let descriptor = LrnDescriptor { size, alpha: alpha.unwrap_or(1e-4), beta: beta.unwrap_or(0.75), bias: bias.unwrap_or(1.0) };
    let problem = LrnProblem::new(&TensorType::new(inputs.need("x")?, inputs.element(&["x"])?, inputs.layout), &descriptor).map_err(text)?;
    Ok(Call::one(problem, &["x"], &["y"]))
}
