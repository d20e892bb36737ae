//! Products about the edges of every tile and item, short sides, vectors, broadcast batches, transposes, every way to add.

use crate::numeric::Accuracy;
use crate::ops::matmul::{GemmDescriptor, LinearDescriptor, MatMulInputs, MatMulProblem};
use crate::types::{Activation, ElementType, Result};
use crate::validate::elsewhere::Elsewhere;

/// Exact, and hardly ever 0 for all of a few numbers.
const CLIP: Activation = Activation::Clip { min: -9.0, max: 30.0 };

/// As `tiled` of the convolutions: tall and short of a tile, whole and broken vec4s, depths with a rest.
pub(crate) fn tiled(full: bool) -> Result<Vec<MatMulProblem>> {
    Ok(every_accuracy(tiled_shapes(full)?))
}

/// Whatever admits a problem is forced over it; how exact a caller wants it is no matter of the check.
fn every_accuracy(problems: Vec<MatMulProblem>) -> Vec<MatMulProblem> {
    problems.into_iter().map(|problem| problem.with_accuracy(Accuracy::Reduced)).collect()
}

fn tiled_shapes(full: bool) -> Result<Vec<MatMulProblem>> {
    let mut problems = Vec::new();
    let shapes: &[[usize; 3]] = if full { &[[32, 520, 8], [53, 33, 7], [24, 300, 9]] } else { &[[32, 264, 8], [53, 33, 7]] };
    for &[m, n, k] in shapes {
        problems.push(MatMulProblem::matmul(&[2, m, k], &[2, k, n], ElementType::F32)?);
        if full {
            problems.push(
                MatMulProblem::linear(
                    &MatMulInputs { a: &[m, k], b: &[n, k], addend: Some(&[n]), element: ElementType::F32 },
                    &LinearDescriptor { activation: CLIP, ..Default::default() },
                )?
                .with_residual(true),
            );
            problems.push(MatMulProblem::matmul(&[m, k], &[k, n], ElementType::F16)?);
        }
    }
    Ok(problems)
}

/// As `workgroup_tiled` of the convolutions: a rest of every tile, slab and split, over a batch, with everything that is added.
pub(crate) fn workgroup_tiled() -> Result<Vec<MatMulProblem>> {
    let descriptor = GemmDescriptor { trans_b: true, alpha: 2.0, beta: -1.0, activation: CLIP, ..Default::default() };
    Ok(vec![
        MatMulProblem::matmul(&[2, 131, 45], &[2, 45, 70], ElementType::F32)?,
        MatMulProblem::matmul(&[2, 3, 33, 70], &[3, 70, 132], ElementType::F32)?,
        MatMulProblem::gemm(&MatMulInputs { a: &[66, 33], b: &[65, 33], addend: Some(&[66, 1]), element: ElementType::F32 }, &descriptor)?,
        MatMulProblem::linear(
            &MatMulInputs { a: &[35, 100], b: &[68, 100], addend: Some(&[68]), element: ElementType::F32 },
            &LinearDescriptor { activation: CLIP, ..Default::default() },
        )?
        .with_residual(true),
        MatMulProblem::linear(
            &MatMulInputs { a: &[67, 49], b: &[130, 49], addend: Some(&[130]), element: ElementType::F16 },
            &LinearDescriptor { activation: CLIP, ..Default::default() },
        )?
        .with_residual(true),
    ])
}

pub(crate) fn problems(full: bool) -> Result<Vec<MatMulProblem>> {
    let mut problems = Vec::new();
    let shapes: &[[usize; 3]] = if full {
        &[
            [1, 1, 2],
            [1, 1, 7],
            [1, 65, 33],
            [65, 1, 33],
            [2, 3, 1000],
            [3, 130, 64],
            [130, 4, 3],
            [5, 5, 5],
            [7, 5, 1],
            [8, 8, 300],
            [9, 20, 17],
            [12, 28, 15],
            [13, 36, 16],
            [16, 16, 16],
            [17, 31, 33],
            [31, 33, 127],
            [32, 32, 31],
            [33, 34, 64],
            [63, 65, 17],
            [64, 64, 64],
            [65, 66, 65],
            [20, 260, 9],
            [129, 130, 19],
        ]
    } else {
        &[[1, 1, 7], [1, 65, 33], [65, 1, 33], [3, 130, 64], [130, 4, 3], [9, 20, 17], [17, 31, 33], [33, 36, 64], [65, 66, 19]]
    };
    for (i, &[m, n, k]) in shapes.iter().enumerate() {
        problems.push(MatMulProblem::matmul(&[m, k], &[k, n], ElementType::F32)?);
        let descriptor = GemmDescriptor { trans_a: i % 2 == 0, trans_b: i % 3 != 0, activation: CLIP, ..Default::default() };
        let (a, b) = (if descriptor.trans_a { [k, m] } else { [m, k] }, if descriptor.trans_b { [n, k] } else { [k, n] });
        let c: [&[usize]; 5] = [&[m, n], &[n], &[m, 1], &[1, n], &[]];
        problems.push(MatMulProblem::gemm(&MatMulInputs { a: &a, b: &b, addend: Some(c[i % 5]), element: ElementType::F32 }, &descriptor)?);
        problems.push(MatMulProblem::linear(
            &MatMulInputs { a: &[m, k], b: &[n, k], addend: Some(&[n]), element: ElementType::F32 },
            &LinearDescriptor::default(),
        )?);
        if full || i % 2 == 0 {
            problems.push(MatMulProblem::linear(
                &MatMulInputs { a: &[m, k], b: &[n, k], addend: Some(&[n]), element: ElementType::F16 },
                &LinearDescriptor { activation: Activation::Gelu, ..Default::default() },
            )?);
            problems.push(
                MatMulProblem::linear(
                    &MatMulInputs { a: &[m, k], b: &[n, k], addend: None, element: ElementType::F32 },
                    &LinearDescriptor { activation: CLIP, ..Default::default() },
                )?
                .with_residual(true),
            );
        }
    }
    let batches: &[(&[usize], &[usize])] = &[
        (&[7], &[7]),
        (&[7], &[7, 20]),
        (&[20, 7], &[7]),
        (&[3, 9, 7], &[7, 20]),
        (&[3, 9, 7], &[3, 7, 20]),
        (&[9, 7], &[3, 7, 20]),
        (&[2, 1, 9, 7], &[3, 7, 22]),
        (&[2, 3, 1, 17, 6], &[3, 5, 6, 18]),
        (&[1, 1, 65], &[3, 65, 65]),
        (&[129, 2, 3], &[129, 3, 2]),
        (&[4, 2, 1, 3], &[3, 5]),
        (&[7], &[3, 7, 20]),
        (&[3, 2, 9, 7], &[7]),
    ];
    for (a, b) in batches {
        problems.push(MatMulProblem::matmul(a, b, ElementType::F32)?);
        problems.push(MatMulProblem::matmul(a, b, ElementType::F16)?);
    }
    for (alpha, beta) in [(2.0, -1.0), (-0.25, 0.5), (1.0, 0.0)] {
        let descriptor = GemmDescriptor { alpha, beta, ..Default::default() };
        problems
            .push(MatMulProblem::gemm(&MatMulInputs { a: &[17, 9], b: &[9, 20], addend: Some(&[17, 20]), element: ElementType::F32 }, &descriptor)?);
    }
    problems.push(MatMulProblem::gemm(
        &MatMulInputs { a: &[17, 9], b: &[20, 9], addend: Some(&[20]), element: ElementType::F16 },
        &GemmDescriptor { trans_b: true, ..Default::default() },
    )?);
    problems.push(MatMulProblem::linear(
        &MatMulInputs { a: &[2, 3, 4, 9], b: &[20, 9], addend: Some(&[20]), element: ElementType::F32 },
        &LinearDescriptor { activation: Activation::Silu, ..Default::default() },
    )?);
    problems.push(MatMulProblem::linear(
        &MatMulInputs { a: &[9], b: &[20, 9], addend: Some(&[20]), element: ElementType::F32 },
        &LinearDescriptor::default(),
    )?);
    Ok(every_accuracy(problems))
}

/// Products whose operands are packed and read in vec4s: whole ones and not, a depth with a rest of every tile's steps, with all that is added.
pub(crate) fn on_other_processor() -> Result<Vec<(MatMulProblem, Elsewhere)>> {
    let products = [
        MatMulProblem::matmul(&[2, 37, 45], &[2, 45, 68], ElementType::F32)?,
        MatMulProblem::linear(
            &MatMulInputs { a: &[35, 40], b: &[67, 40], addend: Some(&[67]), element: ElementType::F32 },
            &LinearDescriptor { activation: CLIP, ..Default::default() },
        )?
        .with_residual(true),
    ];
    let elsewhere = |other: Elsewhere| products.iter().map(move |problem| (problem.clone(), other));
    Ok(elsewhere(Elsewhere::OtherProcessor).chain(elsewhere(Elsewhere::OtherKind)).collect())
}

/// A depth that every count of steps divides, in parts that none does.
pub(crate) fn sliced_tiled() -> Result<Vec<(MatMulProblem, Elsewhere)>> {
    Ok(vec![(MatMulProblem::matmul(&[9, 72], &[72, 45], ElementType::F32)?, Elsewhere::Binding(4096))])
}

/// Parts over the batch, rows, columns and depth, alone and together, that end inside tiles and begin anywhere in a binding; every way
/// to add.
pub(crate) fn sliced() -> Result<Vec<(MatMulProblem, Elsewhere)>> {
    let (f32s, f16s) = (ElementType::F32, ElementType::F16);
    let gemm = |trans_a, trans_b, c: Option<&[usize]>, element| {
        let descriptor = GemmDescriptor { alpha: 2.0, beta: -1.0, trans_a, trans_b, activation: CLIP, ..Default::default() };
        let (a, b) = (if trans_a { [70, 37] } else { [37, 70] }, if trans_b { [45, 70] } else { [70, 45] });
        MatMulProblem::gemm(&MatMulInputs { a: &a, b: &b, addend: c, element }, &descriptor)
    };
    let linear = |m, n, k, element| -> Result<MatMulProblem> {
        Ok(MatMulProblem::linear(
            &MatMulInputs { a: &[m, k], b: &[n, k], addend: Some(&[n]), element },
            &LinearDescriptor { activation: CLIP, ..Default::default() },
        )?
        .with_residual(true))
    };
    let products = [
        gemm(false, false, Some(&[37, 45]), f32s)?,
        gemm(true, false, Some(&[37, 1]), f32s)?,
        gemm(false, true, Some(&[1, 45]), f32s)?,
        gemm(true, true, Some(&[]), f32s)?,
        gemm(false, true, Some(&[37, 45]), f16s)?,
        linear(1, 300, 40, f32s)?,
        linear(1, 6, 1100, f32s)?,
        linear(1, 8, 300, f32s)?,
        linear(35, 68, 100, f32s)?,
        linear(35, 67, 100, f16s)?,
        linear(3, 1101, 2, f32s)?,
        MatMulProblem::matmul(&[5, 17, 20], &[5, 20, 36], f32s)?,
        MatMulProblem::matmul(&[2, 3, 17, 16], &[3, 16, 18], f32s)?,
        MatMulProblem::matmul(&[3, 1, 33, 40], &[2, 40, 48], f16s)?,
        MatMulProblem::matmul(&[60, 40], &[3, 40, 5], f32s)?,
        MatMulProblem::matmul(&[2100, 3], &[3], f32s)?,
    ];
    Ok(every_accuracy(products.to_vec()).into_iter().map(|problem| (problem, Elsewhere::Binding(4096))).collect())
}
