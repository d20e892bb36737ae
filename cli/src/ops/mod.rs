//! Ops by name: builds the library's problems from an op's name, its attributes and the shapes of its tensors, as test vectors and
//! `bench --shapes` write them.

pub mod attributes;
mod rows;
mod shapes;
mod signature;
mod windows;

pub use signature::{SIGNATURES, Signature, belongs_to_training, known, signature};
pub use windows::problem as conv_problem;

use attributes::{ActivationAttribute, read};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use wgconv::conv::Accuracy;
use wgconv::elementwise::{BinaryOp, BinaryProblem, UnaryProblem};
use wgconv::matmul::{GemmDescriptor, LinearDescriptor, MatMulInputs, MatMulProblem};
use wgconv::op::Op;
use wgconv::reduce::ReduceKind;
use wgconv::{ElementType, Layout, TensorType};

/// Shape and element type of a tensor that a call is given.
#[derive(Debug, Clone)]
pub struct Given {
    pub shape: Vec<usize>,
    pub element: ElementType,
}

/// The tensors of a call by role, and what the call must be content with.
pub struct Inputs<'a> {
    pub given: &'a BTreeMap<String, Given>,
    pub layout: Layout,
    pub accuracy: Accuracy,
    /// Whether to give what an op gives beside y where it can: indices, statistics.
    pub extras: bool,
}

impl Inputs<'_> {
    /// Extents of a role that must be there.
    pub fn need(&self, role: &str) -> Result<&[usize], String> {
        self.get(role).ok_or_else(|| format!("there is no input {role}"))
    }

    pub fn get(&self, role: &str) -> Option<&[usize]> {
        self.given.get(role).map(|given| given.shape.as_slice())
    }

    /// The one element type of these roles.
    pub fn element(&self, roles: &[&str]) -> Result<ElementType, String> {
        let mut found = roles.iter().filter_map(|role| self.given.get(*role).map(|given| (role, given.element)));
        let (first, element) = found.next().ok_or_else(|| format!("there is no input {}", roles.first().unwrap_or(&"x")))?;
        match found.find(|(_, other)| *other != element) {
            Some((role, other)) => Err(format!("{role} holds {other}: it must hold {element}, as {first} does")),
            None => Ok(element),
        }
    }
}

/// A call that is ready to run: steps over named tensors, and views of them that copy nothing.
pub struct Call {
    pub steps: Vec<Step>,
    pub views: Vec<View>,
    /// Output roles: name and which tensor it is.
    pub outputs: Vec<(&'static str, String)>,
}

/// One op of a call: `tensors` are the names of its inputs, `results` of its outputs.
pub struct Step {
    pub op: Op,
    pub tensors: Vec<String>,
    pub results: Vec<String>,
}

/// Another shape for a tensor.
pub struct View {
    pub name: String,
    pub of: String,
    pub element: ElementType,
    pub extents: Vec<usize>,
}

impl Call {
    /// One op whose inputs are these roles and whose outputs are these.
    pub fn one(op: impl Into<Op>, roles: &[&str], outputs: &[&'static str]) -> Self {
        let tensors = roles.iter().map(|role| role.to_string()).collect();
        let results = outputs.iter().map(|role| role.to_string()).collect();
        let step = Step { op: op.into(), tensors, results };
        Self { steps: vec![step], views: vec![], outputs: outputs.iter().map(|role| (*role, role.to_string())).collect() }
    }

    /// Whether a step, or the call itself, reads the input `role`.
    pub fn reads(&self, role: &str) -> bool {
        let viewed = self.views.iter().any(|view| view.of == role);
        viewed || self.steps.iter().any(|step| step.tensors.iter().any(|name| name == role)) || self.outputs.iter().any(|(_, name)| name == role)
    }

    /// The op of a call that is one.
    pub fn single(self) -> Option<Op> {
        let mut steps = self.steps;
        let step = steps.pop()?;
        steps.is_empty().then_some(step.op)
    }
}

/// Attributes of gemm.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gemm {
    #[serde(default = "one")]
    alpha: f32,
    #[serde(default = "one")]
    beta: f32,
    #[serde(default)]
    trans_a: u8,
    #[serde(default)]
    trans_b: u8,
}

fn one() -> f32 {
    1.0
}

#[derive(Deserialize)]
struct Fused {
    #[serde(default, deserialize_with = "attributes::activation")]
    activation: ActivationAttribute,
}

#[derive(Deserialize)]
struct Residual {
    of: String,
}

/// Builds the call `op` with `attrs` on `inputs`. Whatever the op does not have is refused by name.
pub fn build(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, String> {
    let signature = known(op)?;
    signature.check(attrs, inputs.given.keys().map(String::as_str))?;
    let text = |e: wgconv::Error| e.to_string();
    match op {
        "conv" | "conv_transpose" => windows::conv(op, attrs, inputs, false),
        "add_residual" => match read::<Residual>(attrs)?.of.as_str() {
            "conv" => windows::conv("conv", attrs, inputs, true),
            "linear" => match signature.unwritten(attrs) {
                Some(name) => Err(format!("{op} of linear has no attribute {name}: it is one of conv's")),
                None => linear(attrs, inputs, true),
            },
            other => Err(format!("of is {other}: a residual is added to conv or linear")),
        },
        "max_pool"
        | "average_pool"
        | "lp_pool"
        | "global_max_pool"
        | "global_average_pool"
        | "global_lp_pool"
        | "adaptive_max_pool"
        | "adaptive_average_pool"
        | "adaptive_lp_pool"
        | "max_unpool" => windows::pool(op, attrs, inputs),
        "matmul" => {
            let problem = MatMulProblem::matmul(inputs.need("a")?, inputs.need("b")?, inputs.element(&["a", "b"])?).map_err(text)?;
            Ok(Call::one(problem.with_accuracy(inputs.accuracy), &["a", "b"], &["y"]))
        }
        "gemm" => {
            let Gemm { alpha, beta, trans_a, trans_b } = read(attrs)?;
            let (trans_a, trans_b) = (attributes::flag("transA", trans_a)?, attributes::flag("transB", trans_b)?);
            let descriptor = GemmDescriptor { alpha, beta, trans_a, trans_b, accuracy: inputs.accuracy, ..Default::default() };
            let (c, element) = (inputs.get("c"), inputs.element(&["a", "b", "c"])?);
            let problem =
                MatMulProblem::gemm(&MatMulInputs { a: inputs.need("a")?, b: inputs.need("b")?, addend: c, element }, &descriptor).map_err(text)?;
            let roles = if c.is_some() { vec!["a", "b", "c"] } else { vec!["a", "b"] };
            Ok(Call::one(problem, &roles, &["y"]))
        }
        "linear" => linear(attrs, inputs, false),
        "add" | "sub" | "mul" | "div" => binary(op, inputs, &["a", "b"]),
        "prelu" => binary(op, inputs, &["x", "slope"]),
        "min" | "max" => fold(op, inputs),
        "reduce_sum" => rows::reduce(ReduceKind::Sum, attrs, inputs),
        "reduce_mean" => rows::reduce(ReduceKind::Mean, attrs, inputs),
        "reduce_max" => rows::reduce(ReduceKind::Max, attrs, inputs),
        "argmax" => rows::argmax(attrs, inputs),
        "softmax" | "log_softmax" => rows::softmax(op == "log_softmax", attrs, inputs),
        "layer_norm" | "group_norm" | "instance_norm" => rows::norm(op, attrs, inputs),
        "batch_norm" => rows::batch_norm(attrs, inputs),
        "lrn" => rows::lrn(attrs, inputs),
        "reshape" | "flatten" => shapes::view(op, attrs, inputs),
        "concat" => shapes::concat(attrs, inputs),
        "slice" | "pad" | "transpose" | "depth_to_space" | "space_to_depth" | "resize" => shapes::one(op, attrs, inputs),
        _ => {
            let Some(activation) = read::<ActivationAttribute>(attrs)?.named(op) else {
                return Err(format!("op {op} is not known"));
            };
            let problem =
                UnaryProblem::new(&TensorType::new(inputs.need("x")?, inputs.element(&["x"])?, inputs.layout), activation?).map_err(text)?;
            Ok(Call::one(problem, &["x"], &["y"]))
        }
    }
}

fn linear(attrs: &Value, inputs: &Inputs<'_>, residual: bool) -> Result<Call, String> {
    let activation = read::<Fused>(attrs)?.activation.resolve()?;
    let element = inputs.element(&["x", "w", "b", "residual"])?;
    let bias = inputs.get("b");
    let problem = MatMulProblem::linear(
        &MatMulInputs { a: inputs.need("x")?, b: inputs.need("w")?, addend: bias, element },
        &LinearDescriptor { activation, ..Default::default() },
    )
    .map_err(|e| e.to_string())?;
    let mut roles = vec!["x", "w"];
    roles.extend(bias.map(|_| "b"));
    if residual {
        same_shape("residual", inputs.need("residual")?, problem.y())?;
        roles.push("residual");
    }
    Ok(Call::one(problem.with_residual(residual).with_accuracy(inputs.accuracy), &roles, &["y"]))
}

/// A tensor that must have the shape of another.
fn same_shape(role: &str, found: &[usize], wanted: &[usize]) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{role} is {found:?}: it has the output's shape, {wanted:?}")) }
}

fn operation(op: &str) -> Result<BinaryOp, String> {
    BinaryOp::ALL.into_iter().find(|b| b.name() == op).ok_or_else(|| format!("op {op} is not known"))
}

fn binary(op: &str, inputs: &Inputs<'_>, roles: &[&str; 2]) -> Result<Call, String> {
    let element = inputs.element(roles)?;
    let (a, b) = (inputs.need(roles[0])?, inputs.need(roles[1])?);
    let problem = BinaryProblem::new(&TensorType::new(a, element, inputs.layout), &TensorType::new(b, element, inputs.layout), operation(op)?)
        .map_err(|e| e.to_string())?;
    Ok(Call::one(problem, roles, &["y"]))
}

/// min and max of any number of tensors: one after the other.
fn fold(op: &str, inputs: &Inputs<'_>) -> Result<Call, String> {
    let operation = operation(op)?;
    let roles: Vec<String> = (0..inputs.given.len()).map(|i| format!("x{i}")).collect();
    let names: Vec<&str> = roles.iter().map(String::as_str).collect();
    let element = inputs.element(&names)?;
    let mut extents = inputs.need("x0")?.to_vec();
    if roles.len() == 1 {
        let problem = UnaryProblem::new(&TensorType::new(&extents, element, inputs.layout), wgconv::Activation::None).map_err(|e| e.to_string())?;
        return Ok(Call::one(problem, &["x0"], &["y"]));
    }
    let (mut steps, mut last) = (Vec::new(), "x0".to_string());
    for role in &roles[1..] {
        let problem = BinaryProblem::new(
            &TensorType::new(&extents, element, inputs.layout),
            &TensorType::new(inputs.need(role)?, element, inputs.layout),
            operation,
        )
        .map_err(|e| e.to_string())?;
        extents = problem.y().to_vec();
        let result = format!("{last} {role}");
        steps.push(Step { op: problem.into(), tensors: vec![last, role.clone()], results: vec![result.clone()] });
        last = result;
    }
    Ok(Call { steps, views: vec![], outputs: vec![("y", last)] })
}
