//! One of two operands, element by element, as a condition says; numpy's broadcasting.

use crate::ops::Problem;
use crate::ops::elementwise::binary::broadcast;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::strided_axes::merged;
use crate::types::tensor_type::strides;
use crate::types::{ElementType, Layout, Result, TensorShape, TensorType};
use serde::{Deserialize, Serialize};

/// y = a where the condition is not 0, else b. A condition that is NaN is not 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Where", into = "crate::ops::written::Where")]
pub struct WhereProblem {
    /// The condition, a and b.
    pub(crate) operands: [Vec<usize>; 3],
    pub(crate) layouts: [Layout; 3],
    pub(crate) y: Vec<usize>,
    pub(crate) y_layout: Layout,
    pub(crate) element: ElementType,
}

/// Names of its operands.
const OPERANDS: [&str; 3] = ["condition", "a", "b"];

/// Extent and strides of the condition, of a, b and y along one axis.
pub(crate) type WhereAxis = (u64, [i64; 4]);

impl WhereProblem {
    /// Resolves a choice between two tensors.
    ///
    /// # Errors
    /// Extents that do not broadcast; element types that differ.
    pub fn new(condition: &TensorType, a: &TensorType, b: &TensorType) -> Result<Self> {
        condition.checked_float(OPERANDS[0])?;
        for (other, name) in [(a, OPERANDS[1]), (b, OPERANDS[2])] {
            other.check_element(name, condition.element, OPERANDS[0])?;
            other.checked_float(name)?;
        }
        let both = broadcast((OPERANDS[1], &a.extents), (OPERANDS[2], &b.extents))?;
        let y = broadcast(("a and b", &both), (OPERANDS[0], &condition.extents))?;
        TensorShape::named("y", &y)?;
        // That of the first operand of y's rank; a and b come first.
        let y_layout =
            [a, b, condition].into_iter().find(|operand| operand.rank() == y.len()).map_or(Layout::ChannelsFirst, |operand| operand.layout);
        let operands = [condition, a, b];
        Ok(Self {
            operands: operands.map(|operand| operand.extents.clone()),
            layouts: operands.map(|operand| operand.layout),
            y,
            y_layout,
            element: condition.element,
        })
    }

    /// Extents of the condition, of a and of b.
    pub fn operands(&self) -> &[Vec<usize>; 3] {
        &self.operands
    }

    /// Their layouts.
    pub fn layouts(&self) -> [Layout; 3] {
        self.layouts
    }

    /// Extents of y: those of all operands, broadcast.
    pub fn y(&self) -> &[usize] {
        &self.y
    }

    /// Layout of y: that of the first of a, b and the condition that has y's rank.
    pub fn y_layout(&self) -> Layout {
        self.y_layout
    }

    /// Element type of all.
    pub fn element(&self) -> ElementType {
        self.element
    }

    pub(crate) fn count(&self) -> u64 {
        self.y.iter().map(|&e| e as u64).product() // checked in `new`
    }

    /// Axes in y's memory order, the slowest first, merged where all operands step alike.
    pub(crate) fn axes(&self) -> Vec<WhereAxis> {
        let rank = self.y.len();
        let along = |extents: &[usize], layout: Layout| -> Vec<i64> {
            let own = strides(extents, layout);
            let stride = |axis: usize| (axis + extents.len()).checked_sub(rank).filter(|&i| extents[i] != 1).map_or(0, |i| own[i]);
            (0..rank).map(stride).collect()
        };
        let of = |i: usize| along(&self.operands[i], self.layouts[i]);
        let [condition, a, b, y] = [of(0), of(1), of(2), along(&self.y, self.y_layout)];
        let axis = |i: usize| (self.y[i] as u64, [condition[i], a[i], b[i], y[i]]);
        merged(&self.y_layout.memory_order(rank).into_iter().map(axis).collect::<Vec<_>>())
    }
}

impl Problem for WhereProblem {
    fn name(&self) -> &'static str {
        "where"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let spec = |i: usize| TensorSpec::new(OPERANDS[i], &self.operands[i], self.element, self.layouts[i]);
        vec![spec(0).with_domain(Domain::Few), spec(1), spec(2)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.y, self.element, self.y_layout)]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        self.count() as f64
    }
}

impl std::fmt::Display for WhereProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, name) in ["c", "_a", "_b"].into_iter().enumerate() {
            write!(f, "{name}")?;
            crate::ops::spec::write_tensor(f, &self.operands[i], self.element, self.layouts[i])?;
        }
        Ok(())
    }
}
