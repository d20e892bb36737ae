//! One step of an optimizer straight from its rule, with the error of each operation carried along (a running error analysis: Higham, Accuracy and Stability of
//! Numerical Algorithms, 2nd edition, section 3.3).

use crate::numeric::bound::{SQUARE_ROOT_ERROR, UNDERFLOW};
use crate::ops::optimizer::{OptimizerProblem, Rule};
use crate::reference::{Bounded, Referenced};
use crate::types::ElementType;

/// A number with the error that an f32 kernel may have made of it.
#[derive(Clone, Copy)]
struct Near {
    value: f64,
    error: f64,
}

impl Near {
    fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    fn rounded(value: f64, error: f64, units: f64) -> Self {
        // An infinite or undefined result errs by nothing: the kernel's is the same.
        if !value.is_finite() {
            return Self::exact(value);
        }
        let own = units * ElementType::F32.unit_roundoff() * (value.abs() + error) + UNDERFLOW;
        Self { value, error: error + if value == 0.0 && error == 0.0 { 0.0 } else { own } }
    }

    fn plus(self, other: Self) -> Self {
        Self::rounded(self.value + other.value, self.error + other.error, 1.0)
    }

    fn minus(self, other: Self) -> Self {
        self.plus(Self { value: -other.value, ..other })
    }

    fn times(self, other: Self) -> Self {
        let error = self.value.abs() * other.error + other.value.abs() * self.error + self.error * other.error;
        Self::rounded(self.value * other.value, error, 1.0)
    }

    /// WGSL allows a quotient 2.5 units in the last place.
    fn over(self, other: Self) -> Self {
        let value = self.value / other.value;
        if !other.value.is_finite() {
            return Self::exact(value);
        }
        let least = (other.value.abs() - other.error).max(f64::from(f32::MIN_POSITIVE));
        Self::rounded(value, (self.error + value.abs() * other.error) / least, 5.0)
    }

    /// A root of what may err down to 0 errs by the root of that.
    fn root(self) -> Self {
        let value = self.value.sqrt();
        if !value.is_finite() {
            return Self::exact(value);
        }
        let lower = (self.value - self.error).max(0.0).sqrt();
        Self::rounded(
            value,
            value - lower + (self.error / (value + lower).max(self.error.sqrt()).max(f64::MIN_POSITIVE)),
            SQUARE_ROOT_ERROR / 2f64.powi(-24),
        )
    }
}

impl Referenced for OptimizerProblem {
    fn reference(&self, operands: &[&[f64]]) -> Vec<Bounded> {
        let states = self.rule.state().len();
        let (gradients, scalars) = (operands[1 + states], operands[2 + states]);
        let [rate, decay, shrink, keep1, add1, keep2, add2, epsilon, root] = std::array::from_fn(|i| Near::exact(scalars[i]));
        if !scalars[9].is_finite() {
            return operands[..=states].iter().map(|kept| Bounded::exact(kept.to_vec())).collect();
        }
        let mut outputs = vec![Bounded { value: vec![], error: vec![] }; 1 + states];
        for i in 0..gradients.len() {
            let p = Near::exact(operands[0][i]);
            let old = |k: usize| Near::exact(operands[1 + k][i]);
            let g = Near::exact(gradients[i]).plus(decay.times(p));
            let (step, state): (Near, Vec<Near>) = match self.rule {
                Rule::Sgd => (g, vec![]),
                Rule::Momentum { nesterov } => {
                    let m = keep1.times(old(0)).plus(add1.times(g));
                    (if nesterov { g.plus(keep2.times(m)) } else { m }, vec![m])
                }
                Rule::RmsProp { centered, momentum } => {
                    let v = keep2.times(old(0)).plus(add2.times(g.times(g)));
                    let mut state = vec![v];
                    let mut under = v;
                    if centered {
                        let a = keep2.times(old(1)).plus(add2.times(g));
                        under = v.minus(a.times(a));
                        // What rounding makes negative counts as 0.
                        under.value = if under.value < 0.0 { 0.0 } else { under.value };
                        state.push(a);
                    }
                    let quotient = g.over(under.root().plus(epsilon));
                    if momentum {
                        let m = keep1.times(old(state.len())).plus(quotient);
                        state.push(m);
                        (m, state)
                    } else {
                        (quotient, state)
                    }
                }
                Rule::Adam { amsgrad } => {
                    let m = keep1.times(old(0)).plus(add1.times(g));
                    let v = keep2.times(old(1)).plus(add2.times(g.times(g)));
                    let mut state = vec![m, v];
                    let mut under = v;
                    if amsgrad {
                        let before = old(2);
                        // NaN wins, as in a maximum.
                        under = if v.value > before.value || v.value.is_nan() { v } else { Near { value: before.value, error: v.error } };
                        state.push(under);
                    }
                    (m.over(root.times(under.root()).plus(epsilon)), state)
                }
                Rule::Adagrad => {
                    let v = old(0).plus(g.times(g));
                    (g.over(v.root().plus(epsilon)), vec![v])
                }
            };
            let new = shrink.times(p).minus(rate.times(step));
            for (output, near) in outputs.iter_mut().zip(std::iter::once(new).chain(state)) {
                output.value.push(near.value);
                output.error.push(near.error);
            }
        }
        outputs
    }
}
