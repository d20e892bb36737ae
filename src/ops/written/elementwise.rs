//! The written forms of elementwise ops.

use crate::ops::dropout::{DropoutDescriptor, DropoutProblem};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp, BinaryProblem};
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryOp, UnaryProblem};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::types::{Activation, ElementType, Error, Layout, Result, TensorType};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unary {
    /// Of an activation alone it is not written.
    #[serde(default, skip_serializing_if = "is_identity")]
    op: UnaryOp,
    activation: Activation,
    x: Vec<usize>,
    element: ElementType,
    layout: Layout,
    in_place: bool,
}

fn is_identity(op: &UnaryOp) -> bool {
    *op == UnaryOp::Identity
}

impl From<UnaryProblem> for Unary {
    fn from(p: UnaryProblem) -> Self {
        Self { op: p.op, activation: p.activation, x: p.extents, element: p.element, layout: p.layout, in_place: p.in_place }
    }
}

impl TryFrom<Unary> for UnaryProblem {
    type Error = Error;

    fn try_from(w: Unary) -> Result<Self> {
        let descriptor = UnaryDescriptor { op: w.op, activation: w.activation };
        let problem = UnaryProblem::new(&TensorType::new(&w.x, w.element, w.layout), descriptor)?;
        Ok(if w.in_place { problem.in_place() } else { problem })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binary {
    op: BinaryOp,
    activation: Activation,
    a: Vec<usize>,
    a_layout: Layout,
    b: Vec<usize>,
    b_layout: Layout,
    element: ElementType,
    in_place: bool,
}

impl From<BinaryProblem> for Binary {
    fn from(p: BinaryProblem) -> Self {
        let BinaryProblem { op, activation, a, b, element, a_layout, b_layout, in_place, .. } = p;
        Self { op, activation, a, a_layout, b, b_layout, element, in_place }
    }
}

impl TryFrom<Binary> for BinaryProblem {
    type Error = Error;

    fn try_from(w: Binary) -> Result<Self> {
        let descriptor = BinaryDescriptor { op: w.op, activation: w.activation };
        let problem = BinaryProblem::new(&TensorType::new(&w.a, w.element, w.a_layout), &TensorType::new(&w.b, w.element, w.b_layout), descriptor)?;
        if w.in_place { problem.in_place() } else { Ok(problem) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Where {
    condition: TensorType,
    a: TensorType,
    b: TensorType,
}

impl From<WhereProblem> for Where {
    fn from(p: WhereProblem) -> Self {
        let [condition, a, b] = [0, 1, 2].map(|i| TensorType::new(&p.operands[i], p.element, p.layouts[i]));
        Self { condition, a, b }
    }
}

impl TryFrom<Where> for WhereProblem {
    type Error = Error;

    fn try_from(Where { condition, a, b }: Where) -> Result<Self> {
        WhereProblem::new(&condition, &a, &b)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cast {
    x: TensorType,
    to: ElementType,
}

impl From<CastProblem> for Cast {
    fn from(CastProblem { x, to }: CastProblem) -> Self {
        Self { x, to }
    }
}

impl TryFrom<Cast> for CastProblem {
    type Error = Error;

    fn try_from(Cast { x, to }: Cast) -> Result<Self> {
        CastProblem::new(&x, to)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dropout {
    probability: f32,
    stream: u32,
    x: TensorType,
}

impl From<DropoutProblem> for Dropout {
    fn from(DropoutProblem { probability, stream, x }: DropoutProblem) -> Self {
        Self { probability, stream, x }
    }
}

impl TryFrom<Dropout> for DropoutProblem {
    type Error = Error;

    fn try_from(Dropout { probability, stream, x }: Dropout) -> Result<Self> {
        DropoutProblem::new(&x, &DropoutDescriptor { probability, stream })
    }
}
