//! Ops by name: builds problems from an op's name, its attributes as JSON and the types of its tensors, in the vocabulary of ONNX.
//!
//! Test vectors and lists of layers come in through here. [`SIGNATURES`] is the vocabulary; `wgconv ops` prints it.

pub(crate) mod attributes;
mod images;
mod indexed;
pub(crate) mod nearest;
mod rows;
mod shapes;
mod signature;
mod vocabulary;
mod windows;

pub use signature::{Attribute, Signature, known, signature};
pub use vocabulary::SIGNATURES;
pub use windows::problem as conv_problem;

use crate::numeric::Accuracy;
use crate::ops::Op;
use crate::ops::dropout::{DropoutDescriptor, DropoutProblem};
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::elementwise::unary::{UnaryOp, UnaryProblem};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::ops::matmul::{GemmDescriptor, LinearDescriptor, MatMulInputs, MatMulProblem};
use crate::ops::reduce::ReduceKind;
use crate::types::{Activation, ElementType, Error, TensorType};
use attributes::{ActivationAttribute, read};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Why a call cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The vocabulary has no such op, input or attribute; or one that the op needs is not given.
    #[error("{0}")]
    Vocabulary(String),
    /// An attribute or an input is not what the op takes.
    #[error("{0}")]
    Attribute(String),
    /// The problem's constructor refuses.
    #[error(transparent)]
    Problem(#[from] Error),
}

impl BuildError {
    /// Whether the same call would be taken of tensors in another layout.
    pub fn is_layout(&self) -> bool {
        matches!(self, BuildError::Problem(Error::Layout { .. }))
    }
}

impl From<String> for BuildError {
    fn from(message: String) -> Self {
        BuildError::Attribute(message)
    }
}

impl From<BuildError> for String {
    fn from(error: BuildError) -> Self {
        error.to_string()
    }
}

/// The tensors of a call by role, and what the call must be content with.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// By role, such as `x`.
    pub given: &'a BTreeMap<String, TensorType>,
    /// How exact the answer must be.
    pub accuracy: Accuracy,
    /// Whether to give what an op gives beside y where it can: indices, statistics.
    pub extras: bool,
}

impl Inputs<'_> {
    /// The tensor of a role that must be there.
    fn tensor(&self, role: &str) -> Result<&TensorType, BuildError> {
        self.given.get(role).ok_or_else(|| BuildError::Vocabulary(format!("there is no input {role}")))
    }

    /// Its extents.
    fn need(&self, role: &str) -> Result<&[usize], BuildError> {
        self.tensor(role).map(|tensor| tensor.extents.as_slice())
    }

    fn get(&self, role: &str) -> Option<&[usize]> {
        self.given.get(role).map(|tensor| tensor.extents.as_slice())
    }

    /// The tensor of the first of these roles; the others have its element type, where they are given.
    fn first_of(&self, roles: &[&str]) -> Result<&TensorType, BuildError> {
        let first = roles.first().copied().unwrap_or("x");
        let tensor = self.tensor(first)?;
        let others = roles[1..].iter().filter_map(|role| self.given.get(*role).map(|other| (role, other)));
        for (role, other) in others {
            if other.element != tensor.element {
                return Err(format!("{role} holds {}: it must hold {}, as {first} does", other.element, tensor.element).into());
            }
        }
        Ok(tensor)
    }

    fn element(&self, roles: &[&str]) -> Result<ElementType, BuildError> {
        self.first_of(roles).map(|tensor| tensor.element)
    }
}

/// A call that is ready to run: steps over named tensors, and views of them that copy nothing.
#[derive(Debug)]
pub struct Call {
    /// Ops, in the order in which they run.
    pub steps: Vec<Step>,
    /// Tensors that are others in another shape.
    pub views: Vec<View>,
    /// Output roles: name and which tensor it is.
    pub outputs: Vec<(&'static str, String)>,
}

/// One op of a call.
#[derive(Debug)]
pub struct Step {
    /// The op.
    pub op: Op,
    /// Names of its inputs.
    pub tensors: Vec<String>,
    /// Names of its outputs.
    pub results: Vec<String>,
}

/// Another shape for a tensor.
#[derive(Debug)]
pub struct View {
    /// Its name.
    pub name: String,
    /// The tensor that it is of.
    pub of: String,
    /// What it is.
    pub tensor: TensorType,
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
struct Dropout {
    #[serde(default = "half")]
    p: f32,
    #[serde(default)]
    stream: u32,
}

fn half() -> f32 {
    0.5
}

#[derive(Deserialize)]
struct Cast {
    to: ElementType,
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
///
/// ```
/// use std::collections::BTreeMap;
/// use wgconv::op::named::{Inputs, build};
/// use wgconv::{TensorType, conv::Accuracy};
///
/// let given = BTreeMap::from([("x".into(), TensorType::f32(&[1, 3, 8, 8])), ("w".into(), TensorType::f32(&[4, 3, 3, 3]))]);
/// let inputs = Inputs { given: &given, accuracy: Accuracy::F32, extras: false };
/// let call = build("conv", &serde_json::json!({"pads": [1, 1, 1, 1]}), &inputs).unwrap();
/// assert_eq!(call.steps.len(), 1);
/// let error = build("conv", &serde_json::json!({"padding": 1}), &inputs).err().unwrap().to_string();
/// assert!(error.contains("has no attribute padding (did you mean pads?)"), "{error}");
/// ```
///
/// # Errors
/// [`BuildError`].
pub fn build(op: &str, attrs: &Value, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let signature = known(op)?;
    signature.check(attrs, inputs.given.keys().map(String::as_str)).map_err(BuildError::Vocabulary)?;
    match op {
        "conv" | "conv_transpose" => windows::conv(op, attrs, inputs, false),
        "conv_backward_filter" => windows::filter_gradient(attrs, inputs),
        "add_residual" => match read::<Residual>(attrs)?.of.as_str() {
            "conv" => windows::conv("conv", attrs, inputs, true),
            "linear" => match signature.unwritten(attrs) {
                Some(name) => Err(format!("{op} of linear has no attribute {name}: it is one of conv's").into()),
                None => linear(attrs, inputs, true),
            },
            other => Err(format!("of is {other}: a residual is added to conv or linear").into()),
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
            let problem = MatMulProblem::matmul(inputs.need("a")?, inputs.need("b")?, inputs.element(&["a", "b"])?)?;
            Ok(Call::one(problem.with_accuracy(inputs.accuracy), &["a", "b"], &["y"]))
        }
        "gemm" => {
            let Gemm { alpha, beta, trans_a, trans_b } = read(attrs)?;
            let (trans_a, trans_b) = (attributes::flag("transA", trans_a)?, attributes::flag("transB", trans_b)?);
            let descriptor = GemmDescriptor { alpha, beta, trans_a, trans_b, accuracy: inputs.accuracy, ..Default::default() };
            let (c, element) = (inputs.get("c"), inputs.element(&["a", "b", "c"])?);
            let problem = MatMulProblem::gemm(&MatMulInputs { a: inputs.need("a")?, b: inputs.need("b")?, addend: c, element }, &descriptor)?;
            let roles = if c.is_some() { vec!["a", "b", "c"] } else { vec!["a", "b"] };
            Ok(Call::one(problem, &roles, &["y"]))
        }
        "linear" => linear(attrs, inputs, false),
        "add" | "sub" | "mul" | "div" | "power" | "equal" | "not_equal" | "less" | "less_or_equal" | "greater" | "greater_or_equal" => {
            binary(op, inputs, &["a", "b"])
        }
        "prelu" => binary(op, inputs, &["x", "slope"]),
        "where" => {
            let roles = ["condition", "a", "b"];
            let problem = WhereProblem::new(inputs.first_of(&roles)?, inputs.tensor("a")?, inputs.tensor("b")?)?;
            Ok(Call::one(problem, &roles, &["y"]))
        }
        "min" | "max" => fold(op, inputs),
        "cast" => {
            let Cast { to } = read(attrs)?;
            Ok(Call::one(CastProblem::new(inputs.tensor("x")?, to)?, &["x"], &["y"]))
        }
        "dropout" => {
            let Dropout { p: probability, stream } = read(attrs)?;
            let problem = DropoutProblem::new(inputs.tensor("x")?, &DropoutDescriptor { probability, stream })?;
            Ok(Call::one(problem, &["x", "key"], &["y"]))
        }
        "reduce_sum" => rows::reduce(ReduceKind::Sum, attrs, inputs),
        "reduce_mean" => rows::reduce(ReduceKind::Mean, attrs, inputs),
        "reduce_min" => rows::reduce(ReduceKind::Min, attrs, inputs),
        "reduce_prod" => rows::reduce(ReduceKind::Prod, attrs, inputs),
        "reduce_max" => rows::reduce(ReduceKind::Max, attrs, inputs),
        "argmax" => rows::argmax(attrs, inputs),
        "softmax" | "log_softmax" => rows::softmax(op == "log_softmax", attrs, inputs),
        "layer_norm" | "group_norm" | "instance_norm" => rows::norm(op, attrs, inputs),
        "batch_norm" => rows::batch_norm(attrs, inputs),
        "lrn" => rows::lrn(attrs, inputs),
        "reshape" | "flatten" => shapes::view(op, attrs, inputs),
        "concat" => shapes::concat(attrs, inputs),
        "slice" | "pad" | "transpose" | "depth_to_space" | "space_to_depth" | "resize" => shapes::one(op, attrs, inputs),
        "gather" | "gather_elements" | "gather_nd" | "scatter" | "scatter_elements" | "scatter_nd" => indexed::indexed(op, attrs, inputs),
        "top_k" => indexed::top_k(attrs, inputs),
        "image_from_bytes" | "image_to_bytes" => images::image(op, attrs, inputs),
        "grid_sample" => shapes::grid_sample(attrs, inputs),
        _ => {
            if let Some(unary) = UnaryOp::ALL.into_iter().find(|unary| unary.name() == op) {
                return Ok(Call::one(UnaryProblem::new(inputs.tensor("x")?, unary)?, &["x"], &["y"]));
            }
            let Some(activation) = read::<ActivationAttribute>(attrs)?.named(op) else {
                return Err(format!("op {op} is not known").into());
            };
            let problem = UnaryProblem::new(inputs.tensor("x")?, activation?)?;
            Ok(Call::one(problem, &["x"], &["y"]))
        }
    }
}

fn linear(attrs: &Value, inputs: &Inputs<'_>, residual: bool) -> Result<Call, BuildError> {
    let activation = read::<Fused>(attrs)?.activation.resolve()?;
    let element = inputs.element(&["x", "w", "b", "residual"])?;
    let bias = inputs.get("b");
    let problem = MatMulProblem::linear(
        &MatMulInputs { a: inputs.need("x")?, b: inputs.need("w")?, addend: bias, element },
        &LinearDescriptor { activation, ..Default::default() },
    )?;
    let mut roles = vec!["x", "w"];
    roles.extend(bias.map(|_| "b"));
    if residual {
        same_shape("residual", inputs.need("residual")?, problem.y())?;
        roles.push("residual");
    }
    Ok(Call::one(problem.with_residual(residual).with_accuracy(inputs.accuracy), &roles, &["y"]))
}

/// The signature lists no default for an attribute that must be there, so that it is missed before this.
fn missing(attribute: &str) -> BuildError {
    BuildError::Vocabulary(format!("the attribute {attribute} is missing"))
}

/// A tensor that must have the shape of another.
fn same_shape(role: &str, found: &[usize], wanted: &[usize]) -> Result<(), BuildError> {
    if found == wanted { Ok(()) } else { Err(format!("{role} is {found:?}: it has the output's shape, {wanted:?}").into()) }
}

/// Words of bytes, as many as there must be.
fn same_words(found: &[usize], wanted: &[usize]) -> Result<(), BuildError> {
    if found == wanted { Ok(()) } else { Err(format!("image is {found:?}: images of this size are {wanted:?} words of four bytes").into()) }
}

fn operation(op: &str) -> Result<BinaryOp, BuildError> {
    BinaryOp::ALL.into_iter().find(|b| b.name() == op).ok_or_else(|| BuildError::Vocabulary(format!("op {op} is not known")))
}

fn binary(op: &str, inputs: &Inputs<'_>, roles: &[&str; 2]) -> Result<Call, BuildError> {
    let problem = BinaryProblem::new(inputs.first_of(roles)?, inputs.tensor(roles[1])?, operation(op)?)?;
    Ok(Call::one(problem, roles, &["y"]))
}

/// min and max of any number of tensors: one after the other.
fn fold(op: &str, inputs: &Inputs<'_>) -> Result<Call, BuildError> {
    let operation = operation(op)?;
    let roles: Vec<String> = (0..inputs.given.len()).map(|i| format!("x{i}")).collect();
    let names: Vec<&str> = roles.iter().map(String::as_str).collect();
    let mut so_far = inputs.first_of(&names)?.clone();
    if roles.len() == 1 {
        let problem = UnaryProblem::new(&so_far, Activation::None)?;
        return Ok(Call::one(problem, &["x0"], &["y"]));
    }
    let (mut steps, mut last) = (Vec::new(), "x0".to_string());
    for role in &roles[1..] {
        let problem = BinaryProblem::new(&so_far, inputs.tensor(role)?, operation)?;
        so_far = TensorType::new(problem.y(), so_far.element, problem.y_layout());
        let result = format!("{last} {role}");
        steps.push(Step { op: problem.into(), tensors: vec![last, role.clone()], results: vec![result.clone()] });
        last = result;
    }
    Ok(Call { steps, views: vec![], outputs: vec![("y", last)] })
}
