//! Reductions straight from their definitions.

use crate::numeric::bound::{UNDERFLOW, gamma};
use crate::ops::reduce::{ArgmaxProblem, ReduceKind, ReduceProblem};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// Calls `visit(result, element)` for every element of x, both numbered row-major.
fn each(x: &[usize], reduced: &[bool], mut visit: impl FnMut(usize, usize)) {
    let count: usize = x.iter().product();
    for element in 0..count {
        let (mut rest, mut result, mut step) = (element, 0, 1);
        for (&extent, &reduced) in x.iter().zip(reduced).rev() {
            if !reduced {
                result += rest % extent * step;
                step *= extent;
            }
            rest /= extent;
        }
        visit(result, element);
    }
}

/// Sum, mean, maximum, minimum or product. A sum of n elements errs by gamma_n times the sum of the absolute values in any order; a mean divides too, for
/// which WGSL allows 2.5 units in the last place (5 u), by a count that f32 may have rounded (u); it sums in a power of two of which no sum
/// overflows, in which elements below n of the smallest normal numbers may count as 0. A product of n elements errs by gamma_n in any order; a partial one that a
/// device takes for zero is lost with all that it is multiplied by. Partial products that leave f32 have no bound.
pub fn reduce(problem: &ReduceProblem, x: &[f64]) -> Bounded {
    let results = problem.y().iter().product();
    let start = match problem.kind {
        ReduceKind::Sum | ReduceKind::Mean => 0.0,
        ReduceKind::Max => f64::NEG_INFINITY,
        ReduceKind::Min => f64::INFINITY,
        ReduceKind::Prod => 1.0,
    };
    // Of the sum the absolute values, of the product the factors above 1.
    let (mut value, mut magnitude) = (vec![start; results], vec![if problem.kind == ReduceKind::Prod { 1.0 } else { 0.0 }; results]);
    each(&problem.x, &problem.reduced, |result, element| {
        let v = x[element];
        match problem.kind {
            ReduceKind::Max if v > value[result] || v.is_nan() => value[result] = v,
            ReduceKind::Min if v < value[result] || v.is_nan() => value[result] = v,
            ReduceKind::Max | ReduceKind::Min => {}
            ReduceKind::Prod => value[result] *= v,
            ReduceKind::Sum | ReduceKind::Mean => value[result] += v,
        }
        match problem.kind {
            ReduceKind::Prod => magnitude[result] *= v.abs().max(1.0),
            _ => magnitude[result] += v.abs(),
        }
    });
    let (n, u) = (problem.reduced_count(), ElementType::F32.unit_roundoff());
    match problem.kind {
        ReduceKind::Max | ReduceKind::Min => Bounded::exact(value),
        ReduceKind::Prod => {
            let error = value.iter().zip(&magnitude).map(|(v, m)| gamma(n, u) * v.abs() + n as f64 * UNDERFLOW * m).collect();
            Bounded { value, error }
        }
        ReduceKind::Sum => Bounded { value, error: magnitude.iter().map(|m| gamma(n, u) * m).collect() },
        ReduceKind::Mean => Bounded {
            value: value.iter().map(|v| v / n as f64).collect(),
            error: magnitude.iter().map(|m| gamma(n + 6, u) * m / n as f64 + 2.0 * n as f64 * UNDERFLOW).collect(),
        },
    }
}

/// Indices along the axis, or in the flat tensor.
pub fn argmax(problem: &ArgmaxProblem, x: &[f64]) -> Vec<f64> {
    let results = problem.y().iter().product();
    let (mut best, mut index) = (vec![f64::NEG_INFINITY; results], vec![usize::MAX; results]);
    let step: usize = problem.axis.map_or(1, |axis| problem.x[axis + 1..].iter().product());
    let extent = problem.axis.map_or(usize::MAX, |axis| problem.x[axis]);
    each(&problem.x, &problem.reduced(), |result, element| {
        let (v, b) = (x[element], best[result]);
        let first = index[result] == usize::MAX;
        let ties = (v == b || (v.is_nan() && b.is_nan())) && problem.select_last;
        if first || ties || v > b || (v.is_nan() && !b.is_nan()) {
            best[result] = v;
            index[result] = element / step % extent;
        }
    });
    index.into_iter().map(|i| i as f64).collect()
}

impl Referenced for ReduceProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![reduce(self, inputs[0])]
    }
}

impl Referenced for ArgmaxProblem {
    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![Bounded::exact(argmax(self, inputs[0]))]
    }
}
