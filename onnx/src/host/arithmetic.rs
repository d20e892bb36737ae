//! Arithmetic on tensors that are known, element by element, and over axes.

use super::moves::{self, strides};
use super::{Budget, broadcast};
use crate::import::Fault;
use crate::tensor::{Element, Numbers, Tensor};
use std::borrow::Cow;

/// Numbers of a type, of what they are in f64.
pub(crate) fn floats(element: Element, dims: Vec<usize>, numbers: impl Iterator<Item = f64>) -> Tensor<'static> {
    let numbers = match element {
        Element::F64 => Numbers::F64(Cow::Owned(numbers.collect())),
        _ => Numbers::F32(Cow::Owned(numbers.map(|v| element.rounded(v) as f32).collect())),
    };
    Tensor::made(element, dims, numbers)
}

/// Integers of a type, those above its range dropped to its bits.
pub(crate) fn integers(element: Element, dims: Vec<usize>, numbers: impl Iterator<Item = i64>) -> Tensor<'static> {
    Tensor::made(element, dims, Numbers::I64(Cow::Owned(numbers.map(|v| element.wrapped(v)).collect())))
}

/// What `Cast` makes of numbers. A float outside of an integer's range has no defined result in ONNX; here it saturates.
pub(crate) fn cast(x: &Tensor<'_>, to: Element, budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    budget.spend(x.dims())?;
    let dims = x.dims().to_vec();
    Ok(match (x.numbers(), to) {
        (Numbers::I64(numbers), Element::Bool) => integers(to, dims, numbers.iter().map(|&v| i64::from(v != 0))),
        (Numbers::I64(numbers), to) if !to.is_float() => integers(to, dims, numbers.iter().copied()),
        // Through f64 an i64 would round twice on its way to f32.
        (Numbers::I64(numbers), Element::F32) => Tensor::made(to, dims, Numbers::F32(Cow::Owned(numbers.iter().map(|&v| v as f32).collect()))),
        (_, to) if to.is_float() => floats(to, dims, x.to_f64().into_iter()),
        (_, Element::Bool) => integers(to, dims, x.to_f64().into_iter().map(|v| i64::from(v != 0.0))),
        (_, to) => {
            let [low, high] = to.range();
            integers(to, dims, x.to_f64().into_iter().map(move |v| (v.trunc() as i64).clamp(low, high)))
        }
    })
}

/// Operations on two tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Two {
    Add,
    Sub,
    Mul,
    Div,
    /// The sign is the divisor's.
    Mod,
    /// The sign is the dividend's, as C has it.
    Fmod,
    Pow,
    Min,
    Max,
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
}

impl Two {
    /// Whether the result is bool.
    const fn is_test(self) -> bool {
        matches!(self, Two::Equal | Two::Less | Two::LessOrEqual | Two::Greater | Two::GreaterOrEqual | Two::And | Two::Or | Two::Xor)
    }

    fn of_integers(self, a: i64, b: i64) -> Result<i64, Fault> {
        let by_zero = || Fault::new("an integer is divided by 0");
        Ok(match self {
            Two::Add => a.wrapping_add(b),
            Two::Sub => a.wrapping_sub(b),
            Two::Mul => a.wrapping_mul(b),
            Two::Div if b == 0 => return Err(by_zero()),
            Two::Div => a.wrapping_div(b),
            Two::Mod | Two::Fmod if b == 0 => return Err(by_zero()),
            Two::Mod => {
                let rest = a.wrapping_rem(b);
                if rest != 0 && (rest < 0) != (b < 0) { rest.wrapping_add(b) } else { rest }
            }
            Two::Fmod => a.wrapping_rem(b),
            Two::Pow => match u32::try_from(b) {
                Ok(exponent) => a.wrapping_pow(exponent),
                Err(_) => return Err(Fault::new(format!("the integer {a} to the power of {b} is no integer that can be counted"))),
            },
            Two::Min => a.min(b),
            Two::Max => a.max(b),
            _ => i64::from(self.test(&a, &b).unwrap_or(match self {
                Two::And => a != 0 && b != 0,
                Two::Or => a != 0 || b != 0,
                _ => (a != 0) != (b != 0),
            })),
        })
    }

    fn of_floats(self, a: f64, b: f64) -> Result<f64, Fault> {
        Ok(match self {
            Two::Add => a + b,
            Two::Sub => a - b,
            Two::Mul => a * b,
            Two::Div => a / b,
            Two::Mod => {
                let rest = a % b;
                if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
            }
            Two::Fmod => a % b,
            Two::Pow => a.powf(b),
            Two::Min => {
                if a < b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Two::Max => {
                if a > b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            _ => return Err(Fault::new("it takes no floats")),
        })
    }

    fn test<T: PartialOrd>(self, a: &T, b: &T) -> Option<bool> {
        Some(match self {
            Two::Equal => a == b,
            Two::Less => a < b,
            Two::LessOrEqual => a <= b,
            Two::Greater => a > b,
            Two::GreaterOrEqual => a >= b,
            _ => return None,
        })
    }
}

/// a op b, broadcast.
pub(crate) fn two(op: Two, a: &Tensor<'_>, b: &Tensor<'_>, budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    if a.element() != b.element() && op != Two::Pow {
        return Err(Fault::new(format!("its operands are of {} and {}, and they must be of one type", a.element(), b.element())));
    }
    let dims = broadcast(a.dims(), b.dims())?;
    let element = if op.is_test() { Element::Bool } else { a.element() };
    budget.spend(&dims)?;
    let (a, b) = (moves::expand(a, &dims, budget)?, moves::expand(b, &dims, budget)?);
    if let (Some(a), Some(b)) = (a.as_integers(), b.as_integers()) {
        let made: Vec<i64> = a.iter().zip(b).map(|(&a, &b)| op.of_integers(a, b)).collect::<Result<_, _>>()?;
        return Ok(integers(element, dims, made.into_iter()));
    }
    let (x, y) = (a.to_f64(), b.to_f64());
    if op.is_test() {
        let made: Option<Vec<i64>> = x.iter().zip(&y).map(|(a, b)| op.test(a, b).map(i64::from)).collect();
        return Ok(integers(element, dims, made.ok_or_else(|| Fault::new("it takes no floats"))?.into_iter()));
    }
    let made: Vec<f64> = x.iter().zip(&y).map(|(&a, &b)| op.of_floats(a, b)).collect::<Result<_, _>>()?;
    Ok(if element.is_float() { floats(element, dims, made.into_iter()) } else { integers(element, dims, made.into_iter().map(|v| v as i64)) })
}

/// a where the condition holds, else b.
pub(crate) fn choose(condition: &Tensor<'_>, a: &Tensor<'_>, b: &Tensor<'_>, budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    if a.element() != b.element() {
        return Err(Fault::new(format!("X is of {} and Y of {}, and they must be of one type", a.element(), b.element())));
    }
    let dims = broadcast(&broadcast(condition.dims(), a.dims())?, b.dims())?;
    budget.spend(&dims)?;
    let [condition, a, b] = [moves::expand(condition, &dims, budget)?, moves::expand(a, &dims, budget)?, moves::expand(b, &dims, budget)?];
    let chosen = condition.as_integers().ok_or_else(|| Fault::new("the condition is of bool"))?;
    macro_rules! pick {
        ($variant:ident, $a:expr, $b:expr) => {
            Numbers::$variant(Cow::Owned(chosen.iter().zip($a.iter().zip($b.iter())).map(|(&c, (&a, &b))| if c != 0 { a } else { b }).collect()))
        };
    }
    let numbers = match (a.numbers(), b.numbers()) {
        (Numbers::F32(x), Numbers::F32(y)) => pick!(F32, x, y),
        (Numbers::F64(x), Numbers::F64(y)) => pick!(F64, x, y),
        (Numbers::I64(x), Numbers::I64(y)) => pick!(I64, x, y),
        _ => return Err(Fault::new("X and Y must be of one type")),
    };
    Ok(Tensor::made(a.element(), dims, numbers))
}

/// Each element by itself: `integer` for integers, where there is such a thing, `float` for floats.
pub(crate) fn each(x: &Tensor<'_>, integer: Option<fn(i64) -> i64>, float: fn(f64) -> f64, budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    budget.spend(x.dims())?;
    let dims = x.dims().to_vec();
    match (x.as_integers(), integer) {
        (Some(numbers), Some(integer)) => Ok(integers(x.element(), dims, numbers.iter().map(|&v| integer(v)))),
        (Some(_), None) => Err(Fault::new(format!("it takes no {}", x.element()))),
        (None, _) => Ok(floats(x.element(), dims, x.to_f64().into_iter().map(float))),
    }
}

/// Reductions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
}

/// x reduced over the axes that `reduced` marks.
pub(crate) fn reduce(kind: Over, x: &Tensor<'_>, reduced: &[bool], keepdims: bool, budget: &mut Budget) -> Result<Tensor<'static>, Fault> {
    let kept: Vec<usize> = x.dims().iter().zip(reduced).map(|(&extent, &r)| if r { 1 } else { extent }).collect();
    budget.spend(x.dims())?;
    let out = budget.spend(&kept)?;
    let steps: Vec<isize> = strides(&kept).into_iter().zip(reduced).map(|(step, &r)| if r { 0 } else { step }).collect();
    // By element of x: which result it enters.
    let mut places = vec![0usize; x.numbers().len()];
    let own = strides(x.dims());
    for (i, place) in places.iter_mut().enumerate() {
        *place = own.iter().zip(x.dims()).zip(&steps).map(|((&own, &extent), &step)| i / own.max(1) as usize % extent.max(1) * step as usize).sum();
    }
    let dims: Vec<usize> = kept.iter().zip(reduced).filter(|(_, r)| keepdims || !**r).map(|(&extent, _)| extent).collect();
    let terms = (x.numbers().len() / out.max(1)).max(1);
    if let Some(numbers) = x.as_integers() {
        let [low, high] = x.element().range();
        let mut results = vec![
            match kind {
                Over::Max => low,
                Over::Min => high,
                Over::Prod => 1,
                Over::Sum | Over::Mean => 0,
            };
            out
        ];
        for (&place, &v) in places.iter().zip(numbers) {
            let so_far = &mut results[place];
            *so_far = match kind {
                Over::Sum | Over::Mean => so_far.wrapping_add(v),
                Over::Max => v.max(*so_far),
                Over::Min => v.min(*so_far),
                Over::Prod => so_far.wrapping_mul(v),
            };
        }
        let mean = |v: i64| if kind == Over::Mean { v / terms as i64 } else { v };
        return Ok(integers(x.element(), dims, results.into_iter().map(mean)));
    }
    let first = match kind {
        Over::Max => f64::NEG_INFINITY,
        Over::Min => f64::INFINITY,
        Over::Prod => 1.0,
        Over::Sum | Over::Mean => 0.0,
    };
    let mut results = vec![first; out];
    for (&place, v) in places.iter().zip(x.to_f64()) {
        let so_far = &mut results[place];
        *so_far = match kind {
            Over::Sum | Over::Mean => *so_far + v,
            Over::Max => Two::Max.of_floats(v, *so_far)?,
            Over::Min => Two::Min.of_floats(v, *so_far)?,
            Over::Prod => *so_far * v,
        };
    }
    let mean = |v: f64| if kind == Over::Mean { v / terms as f64 } else { v };
    Ok(floats(x.element(), dims, results.into_iter().map(mean)))
}
