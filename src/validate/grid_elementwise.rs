//! Elementwise problems: every activation and operation, counts about the width of items and workgroups, every way to broadcast,
//! layouts that agree and that do not, in place.

use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp, BinaryProblem};
use crate::ops::elementwise::unary::UnaryProblem;
use crate::types::shape::Layout::ChannelsFirst as CF;
use crate::types::shape::Layout::ChannelsLast as CL;
use crate::types::{Activation, ElementType, Layout, Result, TensorType};

/// Exact, and hardly ever 0 for all of a few numbers.
const CLIP: Activation = Activation::Clip { min: -3.0, max: 3.0 };

pub(crate) fn unary(full: bool) -> Result<Vec<UnaryProblem>> {
    let mut problems = Vec::new();
    let mut add = |activation, extents: &[usize], element, layout| -> Result<()> {
        let problem = UnaryProblem::new(&TensorType::new(extents, element, layout), activation)?;
        problems.push(problem.clone().in_place());
        problems.push(problem);
        Ok(())
    };
    let parametrised = [
        Activation::LeakyRelu { alpha: 0.25 },
        Activation::Elu { alpha: 0.5 },
        Activation::Celu { alpha: 2.0 },
        Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
        Activation::Threshold { threshold: 0.0, value: 0.0 },
    ];
    for activation in Activation::ALL.into_iter().chain(parametrised) {
        add(activation, &[2, 3, 5, 7], ElementType::F32, CF)?;
        add(activation, &[4, 64], ElementType::F16, CF)?;
    }
    // About one item, one invocation's share, one workgroup's, several.
    let counts: &[usize] = if full { &[1, 2, 3, 4, 63, 64, 65, 255, 256, 257, 1020, 1023, 1024, 1025, 4096, 5000] } else { &[1, 3, 257, 1024, 1028] };
    for &count in counts {
        add(CLIP, &[count], ElementType::F32, CF)?;
        add(Activation::Silu, &[count], ElementType::F16, CF)?;
    }
    add(Activation::Relu, &[2, 3, 4, 5], ElementType::F32, CL)?;
    Ok(problems)
}

/// Gradients of every activation, over data on both sides of every kink.
fn gradients(problems: &mut Vec<BinaryProblem>) -> Result<()> {
    // Real numbers lie in [-1, 1): a threshold of 1 leaves nothing of them.
    let all = Activation::ALL.into_iter().filter(|activation| !matches!(activation, Activation::Threshold { .. }));
    let own = [CLIP, Activation::LeakyRelu { alpha: 0.25 }, Activation::Threshold { threshold: 0.25, value: -2.0 }];
    for (i, activation) in all.chain(own).enumerate() {
        let descriptor = BinaryDescriptor { op: BinaryOp::ActivationGradient, activation };
        for (element, extents) in [(ElementType::F32, &[2, 3, 5, 70][..]), (ElementType::F16, &[4, 37])] {
            let tensor = TensorType::new(extents, element, [CF, CL][i % 2]);
            let problem = BinaryProblem::new(&tensor, &tensor, descriptor)?;
            problems.push(problem.clone().in_place()?);
            problems.push(problem);
        }
    }
    Ok(())
}

pub(crate) fn binary(full: bool) -> Result<Vec<BinaryProblem>> {
    type Operand<'a> = (&'a [usize], Layout);
    let pairs: &[(Operand<'_>, Operand<'_>)] = &[
        ((&[2, 3, 5, 7], CF), (&[2, 3, 5, 7], CF)),
        ((&[2, 3, 5, 7], CL), (&[2, 3, 5, 7], CL)),
        ((&[2, 3, 5, 7], CF), (&[2, 3, 5, 7], CL)),
        ((&[2, 3, 9, 11], CF), (&[3, 1, 1], CF)),
        ((&[2, 70, 3, 4], CL), (&[1, 70, 1, 1], CL)),
        ((&[2, 3, 9, 11], CF), (&[], CF)),
        ((&[], CF), (&[5, 70], CF)),
        ((&[5, 1], CF), (&[1, 66], CF)),
        ((&[300], CF), (&[2, 1, 300], CF)),
        ((&[1, 4, 1, 3, 2], CF), (&[2, 1, 5, 1, 2], CL)),
        ((&[4, 257], CF), (&[4, 257], CF)),
    ];
    let mut problems = Vec::new();
    gradients(&mut problems)?;
    for (i, &(a, b)) in pairs.iter().enumerate() {
        for op in BinaryOp::ALL {
            let few = matches!(op, BinaryOp::Add | BinaryOp::Max);
            if !few && !full && i % 3 != 0 {
                continue;
            }
            // Gradients have problems of their own; one number as a is exceeded by all, or by none.
            if op == BinaryOp::ActivationGradient || op == BinaryOp::Exceeds && a.0.is_empty() {
                continue;
            }
            let Ok(problem) = BinaryProblem::new(&TensorType::new(a.0, ElementType::F32, a.1), &TensorType::new(b.0, ElementType::F32, b.1), op)
            else {
                continue;
            }; // a slope must not enlarge x
            if let Ok(in_place) = problem.clone().in_place() {
                problems.push(in_place);
            }
            problems.push(BinaryProblem::new(&TensorType::new(a.0, ElementType::F16, a.1), &TensorType::new(b.0, ElementType::F16, b.1), op)?);
            problems.push(problem.clone().with_activation(CLIP)?);
            problems.push(problem);
        }
    }
    Ok(problems)
}
