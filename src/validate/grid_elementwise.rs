//! Elementwise problems: every activation and operation, counts about the width of items and workgroups, every way to broadcast,
//! layouts that agree and that do not, in place; dropout.

use crate::ops::dropout::{DropoutDescriptor, DropoutProblem};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp, BinaryProblem};
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryOp, UnaryProblem};
use crate::ops::elementwise::where_cond::WhereProblem;
use crate::types::shape::Layout::ChannelsFirst as CF;
use crate::types::shape::Layout::ChannelsLast as CL;
use crate::types::{Activation, ElementType, Layout, Result, TensorType};
use crate::validate::elsewhere::Elsewhere;

/// Exact, and hardly ever 0 for all of a few numbers.
const CLIP: Activation = Activation::Clip { min: -3.0, max: 3.0 };

pub(crate) fn unary(full: bool) -> Result<Vec<UnaryProblem>> {
    let mut problems = Vec::new();
    let mut add = |descriptor: UnaryDescriptor, extents: &[usize], element, layout| -> Result<()> {
        let problem = UnaryProblem::new(&TensorType::new(extents, element, layout), descriptor)?;
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
        add(activation.into(), &[2, 3, 5, 7], ElementType::F32, CF)?;
        add(activation.into(), &[4, 64], ElementType::F16, CF)?;
    }
    for (i, op) in UnaryOp::ALL.into_iter().enumerate() {
        add(op.into(), &[2, 3, 5, 8], ElementType::F32, [CF, CL][i % 2])?;
        add(op.into(), &[3, 67], ElementType::F16, CF)?;
        add(UnaryDescriptor { op, activation: [CLIP, Activation::Silu][i % 2] }, &[431], ElementType::F32, CF)?;
    }
    // About one item, one invocation's share, one workgroup's, several.
    let counts: &[usize] = if full { &[1, 2, 3, 4, 63, 64, 65, 255, 256, 257, 1020, 1023, 1024, 1025, 4096, 5000] } else { &[1, 3, 257, 1024, 1028] };
    for &count in counts {
        add(CLIP.into(), &[count], ElementType::F32, CF)?;
        add(Activation::Silu.into(), &[count], ElementType::F16, CF)?;
    }
    add(Activation::Relu.into(), &[2, 3, 4, 5], ElementType::F32, CL)?;
    Ok(problems)
}

/// Gradients of every activation, over data on both sides of every kink.
fn gradients(problems: &mut Vec<BinaryProblem>) -> Result<()> {
    // A threshold that numbers below 1 pass.
    let all = Activation::ALL.into_iter().filter(|activation| !matches!(activation, Activation::Threshold { .. }));
    let others = [CLIP, Activation::LeakyRelu { alpha: 0.25 }, Activation::Threshold { threshold: 0.25, value: -2.0 }];
    for (i, activation) in all.chain(others).enumerate() {
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
            let few = matches!(op, BinaryOp::Add | BinaryOp::Max | BinaryOp::Less);
            if !few && !full && i % 3 != 0 {
                continue;
            }
            // Gradients have problems of their own; one number is exceeded by all, or by none, and a few of Data::Special may be less than nothing.
            let is_one = [a, b].iter().any(|(extents, _)| extents.iter().product::<usize>() < 20);
            if op == BinaryOp::ActivationGradient || op == BinaryOp::Exceeds && (a.0.is_empty() || b.0.is_empty()) || op.is_comparison() && is_one {
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

/// As [`sliced_wheres`].
pub(crate) fn sliced_binaries() -> Result<Vec<(BinaryProblem, Elsewhere)>> {
    let of = |a: &[usize], b: &[usize], layout, op| -> Result<(BinaryProblem, Elsewhere)> {
        let [a, b] = [a, b].map(|extents| TensorType::new(extents, ElementType::F32, layout));
        Ok((BinaryProblem::new(&a, &b, op)?, Elsewhere::Binding(4096)))
    };
    let mut problems = vec![
        of(&[2, 3, 40, 31], &[3, 1, 1], CF, BinaryOp::Add)?,
        of(&[3, 1, 1], &[2, 3, 40, 31], CF, BinaryOp::Sub)?,
        of(&[2, 3, 40, 31], &[2, 3, 40, 31], CL, BinaryOp::Max)?,
        of(&[50, 1], &[1, 66], CF, BinaryOp::Mul)?,
    ];
    let in_place = problems[0].0.clone().in_place()?;
    problems.push((in_place, Elsewhere::Binding(4096)));
    Ok(problems)
}

/// Every way to broadcast, layouts that agree and that do not, counts about a workgroup's.
pub(crate) fn wheres() -> Result<Vec<WhereProblem>> {
    type Operand<'a> = (&'a [usize], Layout);
    let all: &[[Operand<'_>; 3]] = &[
        [(&[2, 3, 5, 7], CF), (&[2, 3, 5, 7], CF), (&[2, 3, 5, 7], CF)],
        [(&[2, 3, 5, 7], CL), (&[2, 3, 5, 7], CL), (&[2, 3, 5, 7], CL)],
        [(&[2, 3, 5, 7], CF), (&[2, 3, 5, 7], CL), (&[3, 1, 1], CF)],
        [(&[5, 70], CF), (&[2, 1, 5, 70], CL), (&[1, 3, 1, 1], CF)],
        [(&[3, 1, 9, 11], CL), (&[], CF), (&[4, 1, 1], CF)],
        [(&[6, 1], CF), (&[66], CF), (&[], CF)],
        [(&[255], CF), (&[255], CF), (&[255], CF)],
        [(&[1025], CF), (&[1], CF), (&[1025], CF)],
        [(&[1, 4, 1, 3, 2], CF), (&[2, 1, 5, 1, 2], CL), (&[1, 1, 1, 3, 1], CF)],
    ];
    let mut problems = vec![];
    for operands in all {
        for element in [ElementType::F32, ElementType::F16] {
            let [condition, a, b] = operands.map(|(extents, layout)| TensorType::new(extents, element, layout));
            problems.push(WhereProblem::new(&condition, &a, &b)?);
        }
    }
    Ok(problems)
}

/// Both ways; counts about an invocation's and a workgroup's, in items of one and of four.
pub(crate) fn casts() -> Result<Vec<CastProblem>> {
    let mut problems = vec![];
    for (from, to) in [(ElementType::F32, ElementType::F16), (ElementType::F16, ElementType::F32)] {
        for extents in [&[][..], &[1], &[13], &[255], &[257], &[1023], &[1024], &[1028], &[4100], &[2, 3, 5, 8]] {
            problems.push(CastProblem::new(&TensorType::new(extents, from, CF), to)?);
        }
        problems.push(CastProblem::new(&TensorType::new(&[2, 3, 5, 7], from, CL), to)?);
    }
    Ok(problems)
}

/// Parts that begin inside both tensors.
pub(crate) fn sliced_casts() -> Result<Vec<(CastProblem, Elsewhere)>> {
    let of = |extents: &[usize], from, to| Ok((CastProblem::new(&TensorType::new(extents, from, CF), to)?, Elsewhere::Binding(4096)));
    [of(&[5003], ElementType::F32, ElementType::F16), of(&[5004], ElementType::F16, ElementType::F32)].into_iter().collect()
}

/// Parts along the slowest axis, of which an operand has its part or stays.
pub(crate) fn sliced_wheres() -> Result<Vec<(WhereProblem, Elsewhere)>> {
    let of = |operands: [&[usize]; 3], layout| -> Result<(WhereProblem, Elsewhere)> {
        let [condition, a, b] = operands.map(|extents| TensorType::new(extents, ElementType::F32, layout));
        Ok((WhereProblem::new(&condition, &a, &b)?, Elsewhere::Binding(4096)))
    };
    // The last: no image of y fits, and no plane.
    [
        of([&[9, 5, 11, 7], &[9, 5, 11, 7], &[5, 1, 1]], CL),
        of([&[5003], &[5003], &[5003]], CF),
        of([&[40, 1], &[41], &[40, 41]], CF),
        of([&[2, 3, 1, 1], &[3, 40, 31], &[2, 1, 40, 31]], CF),
    ]
    .into_iter()
    .collect()
}

/// Counts about a block's, an invocation's and a workgroup's; factors that are exact and that are not; both layouts.
pub(crate) fn dropouts() -> Result<Vec<DropoutProblem>> {
    let half = DropoutDescriptor { probability: 0.5, stream: 0 };
    let tenth = DropoutDescriptor { probability: 0.1, stream: 7 };
    let all = [0.0, 1e-6, 0.25, 0.3, 0.75, 0.9].map(|probability| DropoutDescriptor { probability, stream: u32::MAX });
    let mut problems = vec![];
    let mut add = |extents: &[usize], element, layout, descriptor: &DropoutDescriptor| -> Result<()> {
        problems.push(DropoutProblem::new(&TensorType::new(extents, element, layout), descriptor)?);
        Ok(())
    };
    for count in [13, 14, 15, 16, 255, 256, 257, 1023, 1028] {
        add(&[count], ElementType::F32, CF, &half)?;
        add(&[count], ElementType::F16, CF, &tenth)?;
    }
    for descriptor in &all {
        add(&[3, 5, 7, 11], ElementType::F32, CF, descriptor)?;
        add(&[3, 5, 7, 11], ElementType::F16, CL, descriptor)?;
    }
    for extents in [&[2, 3, 5, 7][..], &[3, 70, 9], &[2, 4, 3, 2, 5], &[5, 1, 6, 7], &[4, 9, 1, 1]] {
        add(extents, ElementType::F32, CL, &half)?;
        add(extents, ElementType::F32, CL, &tenth)?;
    }
    Ok(problems)
}

/// Parts that begin inside the tensor, at whole blocks, or channels-last at images of an odd count.
pub(crate) fn sliced_dropouts() -> Result<Vec<(DropoutProblem, Elsewhere)>> {
    let of = |extents: &[usize], element, layout, probability| {
        let problem = DropoutProblem::new(&TensorType::new(extents, element, layout), &DropoutDescriptor { probability, stream: 1 })?;
        Ok((problem, Elsewhere::Binding(4096)))
    };
    [of(&[5003], ElementType::F32, CF, 0.5), of(&[3, 1501], ElementType::F16, CF, 0.1), of(&[9, 5, 11, 7], ElementType::F32, CL, 0.5)]
        .into_iter()
        .collect()
}
