//! Gradients of ops of f16: those of the same op on f32, at the numbers that its f16 tensors hold. Casts stand where a fragment reads these; the gradients
//! themselves are f32, so that none is lost below f16's smallest number.

use super::{Fragment, Item, Of};
use crate::ops::elementwise::cast::CastProblem;
use crate::ops::{Op, Problem};
use crate::types::{ElementType, Result, TensorType};

/// The same op on f32 tensors; none where it is, or where it has no gradient.
pub(super) fn on_f32(op: &Op) -> Option<Op> {
    if !op.inputs().iter().chain(&op.outputs()).any(|spec| spec.tensor.element == ElementType::F16) {
        return None;
    }
    let mut wide = op.clone();
    let element = match &mut wide {
        Op::Conv(problem) => {
            problem.algorithm = None; // what was asked for may be of f16 alone
            &mut problem.element
        }
        Op::MatMul(problem) => &mut problem.element,
        Op::Pool(problem) => &mut problem.element,
        Op::MaxUnpool(problem) => &mut problem.element,
        Op::Binary(problem) => &mut problem.element,
        Op::Unary(problem) => &mut problem.element,
        Op::Where(problem) => &mut problem.element,
        Op::Dropout(problem) => &mut problem.x.element,
        Op::Softmax(problem) => &mut problem.element,
        Op::Norm(problem) => &mut problem.element,
        Op::BatchNorm(problem) => &mut problem.element,
        Op::Lrn(problem) => &mut problem.element,
        Op::Reduce(problem) => &mut problem.element,
        Op::TopK(problem) => &mut problem.x.element,
        Op::Gather(problem) => &mut problem.x.element,
        Op::Scatter(problem) => &mut problem.x.element,
        Op::Resize(problem) => &mut problem.x.element,
        Op::Pad(problem) => &mut problem.x.element,
        Op::Slice(problem) => &mut problem.x.element,
        Op::Transpose(problem) => &mut problem.x.element,
        Op::ToLayout(problem) => &mut problem.x.element,
        Op::DepthToSpace(problem) => &mut problem.x.element,
        Op::Concat(problem) => {
            problem.inputs.iter_mut().for_each(|input| input.element = ElementType::F32);
            return Some(wide);
        }
        // Its gradient is the gradient.
        Op::Cast(_) => return None,
        Op::Adjoint(_) | Op::MaxUnpoolGradient(_) | Op::FilterGradient(_) => return None,
        Op::Image(_) | Op::Optimizer(_) | Op::GridSample(_) | Op::Argmax(_) => return None,
    };
    *element = ElementType::F32;
    Some(wide)
}

/// The fragment of `op`, of that which the same op on f32 has.
pub(super) fn through_casts(op: &Op, fragment: Fragment) -> Result<Fragment> {
    let tensors = |specs: Vec<crate::ops::spec::TensorSpec>| specs.into_iter().map(|spec| spec.tensor).collect::<Vec<TensorType>>();
    let (inputs, outputs) = (tensors(op.inputs()), tensors(op.outputs()));
    let narrow = |of: Of| {
        let tensor = match of {
            Of::Input(i) => &inputs[i],
            Of::Output(i) => &outputs[i],
            _ => return None,
        };
        (tensor.element == ElementType::F16).then_some(tensor)
    };
    let of_item = |item: &Item| match item {
        Item::Op { inputs, .. } => inputs.clone(),
        Item::View { of, .. } => vec![*of],
    };
    let (mut read, mut items): (Vec<Of>, Vec<Item>) = (vec![], vec![]);
    for of in fragment.items.iter().flat_map(of_item).chain(fragment.gradients.iter().flatten().copied()) {
        let Some(tensor) = narrow(of).filter(|_| !read.contains(&of)) else { continue };
        items.push(Item::Op { op: Box::new(CastProblem::new(tensor, ElementType::F32)?.into()), inputs: vec![of] });
        read.push(of);
    }
    let casts = items.len();
    let moved = |of: Of| match of {
        Of::Item { item, output } => Of::Item { item: item + casts, output },
        of => read.iter().position(|own| *own == of).map_or(of, |item| Of::Item { item, output: 0 }),
    };
    items.extend(fragment.items.into_iter().map(|item| match item {
        Item::Op { op, inputs } => Item::Op { op, inputs: inputs.into_iter().map(moved).collect() },
        Item::View { of, extents } => Item::View { of: moved(of), extents },
    }));
    Ok(Fragment { items, gradients: fragment.gradients.into_iter().map(|of| of.map(moved)).collect() })
}
