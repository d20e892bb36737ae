//! The written forms of poolings.

use super::{list, same};
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, MaxUnpoolDescriptor, PoolDescriptor, PoolKind};
use crate::ops::pool::problem::PoolProblem;
use crate::ops::pool::unpool::MaxUnpoolProblem;
use crate::types::shape::WindowAxis;
use crate::types::{ElementType, Error, Layout, Padding, Result, TensorType};
use serde::{Deserialize, Serialize};

/// Lists run over the spatial axes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Pool {
    Window {
        kind: PoolKind,
        x: Vec<usize>,
        window: Vec<usize>,
        stride: Vec<usize>,
        dilation: Vec<usize>,
        begin: Vec<usize>,
        end: Vec<usize>,
        /// It tells `ceil_mode`.
        output: Vec<usize>,
        element: ElementType,
        layout: Layout,
    },
    Adaptive {
        kind: PoolKind,
        x: Vec<usize>,
        output: Vec<usize>,
        element: ElementType,
        layout: Layout,
    },
}

fn spatial(problem: &PoolProblem, pick: fn(&WindowAxis) -> u64) -> Vec<usize> {
    problem.axes[3 - problem.rank..].iter().map(|axis| pick(axis) as usize).collect()
}

impl From<PoolProblem> for Pool {
    fn from(p: PoolProblem) -> Self {
        let PoolProblem { kind, element, layout, adaptive, .. } = p;
        let (x, output) = (p.input_extents(), spatial(&p, |axis| axis.output));
        if adaptive {
            return Pool::Adaptive { kind, x, output, element, layout };
        }
        Pool::Window {
            kind,
            x,
            window: spatial(&p, |axis| axis.filter),
            stride: spatial(&p, |axis| axis.stride),
            dilation: spatial(&p, |axis| axis.dilation),
            begin: spatial(&p, |axis| axis.pad_begin as u64), // a pool's pads are not negative
            end: spatial(&p, |axis| axis.pad_end as u64),
            output,
            element,
            layout,
        }
    }
}

impl TryFrom<Pool> for PoolProblem {
    type Error = Error;

    fn try_from(written: Pool) -> Result<Self> {
        let (Pool::Window { x, .. } | Pool::Adaptive { x, .. }) = &written;
        match x.len() {
            3 => written.problem::<1>(),
            4 => written.problem::<2>(),
            5 => written.problem::<3>(),
            _ => Err(wrong_rank("pool", x)),
        }
    }
}

fn wrong_rank(op: &str, x: &[usize]) -> Error {
    Error::invalid("x", format!("{x:?}"), format!("a {op} takes x of rank 3 to 5, not {}", x.len()))
}

impl Pool {
    fn problem<const N: usize>(&self) -> Result<PoolProblem> {
        match self {
            Pool::Adaptive { kind, x, output, element, layout } => PoolProblem::adaptive::<N>(
                &TensorType::new(x, *element, *layout),
                &AdaptivePoolDescriptor { kind: *kind, output: list("output", output)? },
            ),
            Pool::Window { kind, x, window, stride, dilation, begin, end, output, element, layout } => {
                let pool = PoolDescriptor::<N> {
                    kind: *kind,
                    window: list("window", window)?,
                    stride: Some(list("stride", stride)?),
                    dilation: list("dilation", dilation)?,
                    padding: Padding::Explicit { begin: list("begin", begin)?, end: list("end", end)? },
                    ceil_mode: false,
                };
                let down = PoolProblem::new(&TensorType::new(x, *element, *layout), &pool)?;
                if spatial(&down, |axis| axis.output) == *output {
                    return Ok(down);
                }
                let up = PoolProblem::new(&TensorType::new(x, *element, *layout), &PoolDescriptor { ceil_mode: true, ..pool })?;
                same("output", output, &spatial(&up, |axis| axis.output))?;
                Ok(up)
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaxUnpool {
    x: Vec<usize>,
    y: Vec<usize>,
    element: ElementType,
    layout: Layout,
}

impl From<MaxUnpoolProblem> for MaxUnpool {
    fn from(p: MaxUnpoolProblem) -> Self {
        Self { x: p.x, y: p.y, element: p.element, layout: p.layout }
    }
}

impl TryFrom<MaxUnpool> for MaxUnpoolProblem {
    type Error = Error;

    fn try_from(written: MaxUnpool) -> Result<Self> {
        let problem = match written.x.len() {
            3 => written.problem::<1>()?,
            4 => written.problem::<2>()?,
            5 => written.problem::<3>()?,
            _ => return Err(wrong_rank("max unpool", &written.x)),
        };
        same("y", &written.y, &problem.y)?;
        Ok(problem)
    }
}

impl MaxUnpool {
    /// By a pool that makes x's extents of y's: the problem does not know which pool it was.
    fn problem<const N: usize>(&self) -> Result<MaxUnpoolProblem> {
        let shape: [usize; N] = list("y", self.y.get(2..).unwrap_or_default())?;
        let x: [usize; N] = list("x", &self.x[2..])?;
        let pool = PoolDescriptor {
            window: std::array::from_fn(|i| shape[i].saturating_sub(x[i]).saturating_add(1)),
            stride: Some([1; N]),
            padding: Padding::Explicit { begin: [0; N], end: std::array::from_fn(|i| x[i].saturating_sub(shape[i])) },
            ..Default::default()
        };
        MaxUnpoolProblem::new(&TensorType::new(&self.x, self.element, self.layout), &self.x, &MaxUnpoolDescriptor { pool, output_shape: Some(shape) })
    }
}
