//! One step of an optimizer on all cores, in place.

use crate::cpu::Computed;
use crate::ops::optimizer::{OptimizerProblem, Rule, Scalars};
use rayon::prelude::*;

/// Parameters of a task.
const GRAIN: usize = 1 << 13;

/// One step of `rule`; `state` has the tensors that the rule keeps ([`Rule::state`]), each as long as the parameters, as is the gradient; what is longer
/// or shorter is taken as far as both go. A loss that is not finite leaves all as it is.
pub fn step(rule: Rule, scalars: Scalars, parameters: &mut [f32], state: &mut [Vec<f32>], gradient: &[f32]) {
    if !scalars.loss.is_finite() {
        return;
    }
    // Up to three tensors; one that the rule does not keep is empty.
    let mut states = state.iter_mut().map(Vec::as_mut_slice);
    let [first, second, third]: [&mut [f32]; 3] = std::array::from_fn(|_| states.next().unwrap_or_default());
    let count = parameters.len().div_ceil(GRAIN);
    let (first, second, third) = (chunks(first, count), chunks(second, count), chunks(third, count));
    parameters.par_chunks_mut(GRAIN).zip(gradient.par_chunks(GRAIN)).zip(first).zip(second).zip(third).for_each(
        |((((p, g), first), second), third)| {
            for (i, (p, &g)) in p.iter_mut().zip(g).enumerate() {
                let old = [&*first, &*second, &*third].map(|chunk| chunk.get(i).copied().unwrap_or(0.0));
                let (new, state) = one(rule, &scalars, *p, g, old);
                *p = new;
                for (chunk, value) in [&mut *first, &mut *second, &mut *third].into_iter().zip(state) {
                    if let Some(slot) = chunk.get_mut(i) {
                        *slot = value;
                    }
                }
            }
        },
    );
}

/// Whether all numbers of a gradient are finite.
pub fn are_finite(gradient: &[f32]) -> bool {
    gradient.par_chunks(GRAIN).all(|part| part.iter().fold(true, |all, g| all & g.is_finite()))
}

/// Parts of a tensor, or as many empty ones.
fn chunks(tensor: &mut [f32], count: usize) -> Vec<&mut [f32]> {
    let mut parts: Vec<&mut [f32]> = tensor.chunks_mut(GRAIN).collect();
    parts.resize_with(count, Default::default);
    parts
}

/// The new parameter and the new state of one.
fn one(rule: Rule, scalars: &Scalars, p: f32, gradient: f32, [first, second, third]: [f32; 3]) -> (f32, [f32; 3]) {
    let &Scalars { rate, decay, shrink, keep1, add1, keep2, add2, epsilon, root, .. } = scalars;
    let g = gradient + decay * p;
    let (step, state) = match rule {
        Rule::Sgd => (g, [0.0; 3]),
        Rule::Momentum { nesterov } => {
            let m = keep1 * first + add1 * g;
            (if nesterov { g + keep2 * m } else { m }, [m, 0.0, 0.0])
        }
        Rule::RmsProp { centered, momentum } => {
            let v = keep2 * first + add2 * (g * g);
            let a = if centered { keep2 * second + add2 * g } else { 0.0 };
            let variance = v - a * a;
            let under = if variance < 0.0 { 0.0 } else { variance };
            let quotient = g / (under.sqrt() + epsilon);
            let m = keep1 * if centered { third } else { second } + quotient;
            let state = if centered { [v, a, m] } else { [v, m, 0.0] };
            (if momentum { m } else { quotient }, state)
        }
        Rule::Adam { amsgrad } => {
            let m = keep1 * first + add1 * g;
            let v = keep2 * second + add2 * (g * g);
            let largest = if v > third || v.is_nan() { v } else { third };
            let under = if amsgrad { largest } else { v };
            (m / (root * under.sqrt() + epsilon), [m, v, largest])
        }
        Rule::Adagrad => {
            let v = first + g * g;
            (g / (v.sqrt() + epsilon), [v, 0.0, 0.0])
        }
    };
    (shrink * p - rate * step, state)
}

impl Computed for OptimizerProblem {
    /// A step has several results: [`step`] computes them.
    fn compute(&self, _: &[&[f32]], _: &mut [f32]) -> Option<()> {
        None
    }
}
