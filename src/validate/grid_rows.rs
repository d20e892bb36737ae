//! Reductions, softmax and normalisation: lines about the number of threads, short and long axes, every set of axes, both layouts.

use crate::ops::Op;
use crate::ops::norm::batch::{BatchNormDescriptor, BatchNormProblem, BatchNormVectors};
use crate::ops::norm::lrn::{LrnDescriptor, LrnProblem};
use crate::ops::norm::rows::{GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, NormInputs, NormProblem};
use crate::ops::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceKind, ReduceProblem};
use crate::ops::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use crate::types::{Activation, ElementType, Layout, Result, TensorType};
use crate::validate::elsewhere::Elsewhere;

const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

const KINDS: [ReduceKind; 5] = [ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max, ReduceKind::Min, ReduceKind::Prod];

pub(crate) fn reductions(full: bool) -> Result<Vec<ReduceProblem>> {
    let mut problems = Vec::new();
    let axes: &[&[isize]] = &[&[], &[0], &[1], &[-1], &[2, 3], &[0, 2], &[0, 2, 3], &[1, 3], &[0, 1, 2]];
    for (i, axes) in axes.iter().enumerate() {
        for (j, kind) in KINDS.into_iter().enumerate() {
            if !full && (i + j) % 2 == 1 {
                continue;
            }
            for layout in LAYOUTS {
                problems.push(ReduceProblem::new(
                    &TensorType::new(&[3, 5, 4, 7], ElementType::F32, layout),
                    &ReduceDescriptor::new(kind, axes).with_keepdims((i + j) % 3 != 0),
                )?);
            }
            problems.push(ReduceProblem::new(
                &TensorType::new(&[2, 6, 3, 5], ElementType::F16, LAYOUTS[i % 2]),
                &ReduceDescriptor::new(kind, axes).with_keepdims(i % 2 == 0),
            )?);
        }
    }
    // Lines about the threads, and one long enough to be cut into chunks, with a tail.
    let lengths: &[usize] = if full { &[1, 2, 7, 8, 15, 16, 17, 63, 64, 65, 127, 128, 513, 2049] } else { &[1, 9, 64, 127, 513] };
    for (i, &length) in lengths.iter().enumerate() {
        problems.push(ReduceProblem::new(&TensorType::new(&[5, length], ElementType::F32, LAYOUTS[0]), &ReduceDescriptor::new(KINDS[i % 5], &[1]))?);
        problems.push(ReduceProblem::new(
            &TensorType::new(&[length, 70], ElementType::F32, LAYOUTS[0]),
            &ReduceDescriptor::new(KINDS[(i + 1) % 5], &[0]).with_keepdims(true),
        )?);
    }
    for kind in KINDS {
        problems.push(ReduceProblem::new(&TensorType::new(&[33_001], ElementType::F32, LAYOUTS[0]), &ReduceDescriptor::new(kind, &[]))?);
        problems.push(ReduceProblem::new(&TensorType::new(&[2, 16_411, 3], ElementType::F32, LAYOUTS[0]), &ReduceDescriptor::new(kind, &[1]))?);
    }
    problems.push(ReduceProblem::new(&TensorType::new(&[2, 2, 3, 2, 3], ElementType::F32, LAYOUTS[1]), &ReduceDescriptor::sum(&[0, 2, 4]))?);
    problems.push(ReduceProblem::new(&TensorType::new(&[3, 4, 5], ElementType::F32, LAYOUTS[1]), &ReduceDescriptor::mean(&[0]))?);
    Ok(problems)
}

/// x in parts, along the outer axes, along lines, beside others; lines in parts; norms slab by slab.
pub(crate) fn sliced() -> Result<Vec<(Op, Elsewhere)>> {
    let mut all: Vec<Op> = vec![];
    let f32s = |extents: &[usize], layout| TensorType::new(extents, ElementType::F32, layout);
    for kind in KINDS {
        for (extents, axes, layout) in [
            (&[37, 5, 19][..], &[2isize][..], LAYOUTS[0]),
            (&[5003], &[], LAYOUTS[0]),
            (&[41, 97], &[0], LAYOUTS[0]),
            (&[3, 7, 9, 11], &[1], LAYOUTS[1]),
        ] {
            all.push(ReduceProblem::new(&f32s(extents, layout), &ReduceDescriptor::new(kind, axes))?.into());
        }
    }
    all.push(ReduceProblem::new(&TensorType::new(&[50, 67], ElementType::F16, LAYOUTS[0]), &ReduceDescriptor::sum(&[1]))?.into());
    all.push(ReduceProblem::new(&f32s(&[3, 5, 7, 31], LAYOUTS[0]), &ReduceDescriptor::mean(&[0, 2]))?.into());
    for axis in [1, -1] {
        all.push(ArgmaxProblem::new(&f32s(&[37, 11, 13], LAYOUTS[0]), &ArgmaxDescriptor { axis: Some(axis), ..Default::default() })?.into());
    }
    // A slab of 4,368 bytes and one of f16, and a line of 20,000: the ends of lines in parts that are not equal, beside others and alone.
    for (extents, axis, element) in [
        (&[3, 12, 91][..], 1, ElementType::F32),
        (&[47, 130], 0, ElementType::F16),
        (&[2, 5003], 1, ElementType::F32),
        (&[4000], 0, ElementType::F16),
    ] {
        let x = TensorType::new(extents, element, LAYOUTS[0]);
        for flag in [false, true] {
            let softmax = SoftmaxProblem::new(&x, &SoftmaxDescriptor { axis: axis as isize, logarithm: flag })?;
            all.push(softmax.clone().in_place().into());
            all.push(softmax.into());
            all.push(ArgmaxProblem::new(&x, &ArgmaxDescriptor { axis: Some(axis as isize), select_last: flag, ..Default::default() })?.into());
        }
    }
    for layout in LAYOUTS {
        let x = f32s(&[11, 6, 5, 7], layout);
        let inputs = NormInputs { x: x.clone(), scale: Some(&[6]), bias: Some(&[6]) };
        all.push(NormProblem::group(&inputs, &GroupNormDescriptor { groups: 3, epsilon: 1e-5 })?.into());
        all.push(NormProblem::instance(&inputs, &InstanceNormDescriptor { epsilon: 1e-5 })?.into());
        let layer = LayerNormDescriptor { axis: 1, epsilon: 1e-5 };
        all.push(NormProblem::layer(&NormInputs { x, scale: None, bias: Some(&[6, 5, 7]) }, &layer)?.with_statistics(true).into());
    }
    Ok(all.into_iter().map(|op| (op, Elsewhere::Binding(4096))).collect())
}

pub(crate) fn argmaxes() -> Result<Vec<ArgmaxProblem>> {
    let mut problems = Vec::new();
    for (i, axis) in [Some(0), Some(1), Some(-1), Some(2), None].into_iter().enumerate() {
        for select_last in [false, true] {
            for element in [ElementType::F32, ElementType::F16] {
                problems.push(ArgmaxProblem::new(
                    &TensorType::new(&[3, 5, 4, 9], element, LAYOUTS[0]),
                    &ArgmaxDescriptor { axis, keepdims: i % 2 == 0, select_last },
                )?);
                if axis.is_some() {
                    problems.push(ArgmaxProblem::new(
                        &TensorType::new(&[3, 5, 4, 9], element, LAYOUTS[1]),
                        &ArgmaxDescriptor { axis, keepdims: i % 2 == 1, select_last },
                    )?);
                }
            }
        }
    }
    for length in [1, 17, 130, 700] {
        problems.push(ArgmaxProblem::new(
            &TensorType::new(&[6, length], ElementType::F32, LAYOUTS[0]),
            &ArgmaxDescriptor { axis: Some(1), select_last: length == 17, ..Default::default() },
        )?);
        problems.push(ArgmaxProblem::new(
            &TensorType::new(&[length, 66], ElementType::F32, LAYOUTS[0]),
            &ArgmaxDescriptor { axis: Some(0), select_last: length != 17, ..Default::default() },
        )?);
    }
    Ok(problems)
}

pub(crate) fn softmaxes(full: bool) -> Result<Vec<SoftmaxProblem>> {
    let mut problems = Vec::new();
    let mut add = |logarithm, extents: &[usize], axis, element, layout| -> Result<()> {
        let problem = SoftmaxProblem::new(&TensorType::new(extents, element, layout), &SoftmaxDescriptor { axis, logarithm })?;
        problems.push(problem.clone().in_place());
        problems.push(problem);
        Ok(())
    };
    for logarithm in [false, true] {
        for axis in [0, 1, 2, 3] {
            for layout in LAYOUTS {
                add(logarithm, &[2, 5, 3, 9], axis, ElementType::F32, layout)?;
            }
        }
        let lengths: &[usize] = if full { &[1, 2, 7, 8, 9, 16, 31, 64, 65, 127, 128, 500, 1000, 2500] } else { &[1, 9, 65, 1000] };
        // The logarithm of the softmax of one number is 0, which verifies nothing.
        for &length in lengths.iter().filter(|&&length| length > 1 || !logarithm) {
            add(logarithm, &[5, length], 1, ElementType::F32, LAYOUTS[0])?;
            add(logarithm, &[length, 67], 0, ElementType::F16, LAYOUTS[0])?;
        }
    }
    Ok(problems)
}

pub(crate) fn norms(full: bool) -> Result<Vec<NormProblem>> {
    let mut problems = Vec::new();
    let x: [usize; 4] = [2, 6, 3, 5];
    for (i, element) in [ElementType::F32, ElementType::F16].into_iter().enumerate() {
        for layout in LAYOUTS {
            for axis in [0, 1, 2, 3] {
                if axis == 0 && layout == Layout::ChannelsLast {
                    continue; // refused: see the constructor
                }
                let scale = (axis % 2 == i).then_some(&x[axis..]);
                let problem = NormProblem::layer(
                    &NormInputs { x: TensorType::new(&x, element, layout), scale, bias: Some(&x[axis..]) },
                    &LayerNormDescriptor { axis: axis as isize, epsilon: 1e-5 },
                )?;
                problems.push(problem.clone().with_statistics(true));
                problems.push(problem);
            }
            for groups in [1, 2, 3, 6] {
                problems.push(NormProblem::group(
                    &NormInputs { x: TensorType::new(&x, element, layout), scale: Some(&[6]), bias: (groups > 1).then_some(&[6]) },
                    &GroupNormDescriptor { groups, epsilon: 1e-3 },
                )?);
            }
            problems.push(NormProblem::instance(
                &NormInputs { x: TensorType::new(&x, element, layout), scale: Some(&[6]), bias: Some(&[6]) },
                &InstanceNormDescriptor { epsilon: 1e-5 },
            )?);
            problems.push(NormProblem::instance(
                &NormInputs { x: TensorType::new(&[3, 4, 70], element, layout), scale: None, bias: None },
                &InstanceNormDescriptor { epsilon: 1e-5 },
            )?);
        }
    }
    let lengths: &[usize] = if full { &[2, 7, 8, 9, 31, 64, 65, 128, 200, 768, 1030] } else { &[2, 9, 65, 768] };
    for &length in lengths {
        problems.push(NormProblem::layer(
            &NormInputs { x: TensorType::new(&[5, length], ElementType::F32, LAYOUTS[0]), scale: Some(&[length]), bias: Some(&[length]) },
            &LayerNormDescriptor { axis: -1, epsilon: 1e-5 },
        )?);
    }
    Ok(problems)
}

pub(crate) fn batch_norms() -> Result<Vec<BatchNormProblem>> {
    let mut problems = Vec::new();
    for layout in LAYOUTS {
        for element in [ElementType::F32, ElementType::F16] {
            for (extents, has_scale, has_bias) in [(vec![3, 5], true, true), (vec![2, 5, 9, 11], true, false), (vec![2, 5, 1100], false, true)] {
                let vector: &[usize] = &[5];
                let vectors =
                    BatchNormVectors { scale: has_scale.then_some(vector), bias: has_bias.then_some(vector), mean: vector, variance: vector };
                let problem = BatchNormProblem::new(
                    &TensorType::new(&extents, element, layout),
                    &vectors,
                    &BatchNormDescriptor { epsilon: 1e-5, ..Default::default() },
                )?;
                problems.push(problem.clone().in_place().with_activation(Activation::Relu)?);
                problems.push(problem);
            }
        }
    }
    Ok(problems)
}

pub(crate) fn lrns() -> Result<Vec<LrnProblem>> {
    let mut problems = Vec::new();
    for layout in LAYOUTS {
        for (size, beta) in [(1, 0.75), (2, 0.5), (5, 0.75), (40, 1.0)] {
            let descriptor = LrnDescriptor { size, alpha: 0.5, beta, bias: 1.5 };
            problems.push(LrnProblem::new(&TensorType::new(&[2, 7, 3, 5], ElementType::F32, layout), &descriptor)?);
            problems.push(LrnProblem::new(&TensorType::new(&[2, 7, 9], ElementType::F16, layout), &descriptor)?);
        }
    }
    Ok(problems)
}
