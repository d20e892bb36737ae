//! The general kernel: one output per invocation. Slow, simple, and it admits every problem.

use super::plan::{Choice, Companion, overrides};
use super::problem::ConvProblem;
use crate::kernel::{CONV_DIRECT, KernelSpec};
use crate::types::shape::Layout;

pub(crate) fn choice(problem: &ConvProblem) -> Choice {
    let mut overrides = overrides(problem);
    if problem.y_layout == Layout::ChannelsLast {
        overrides.push(("CHANNELS_LAST", 1));
    }
    Choice {
        kernel: KernelSpec { source: &CONV_DIRECT, element: problem.element, consts: vec![], overrides },
        tile: String::new(),
        packed_multiple: None,
        count: Box::new(|problem, batch, params| {
            let items = batch * problem.out_channels * problem.output_positions();
            params.items = items as u32;
            items.div_ceil(64)
        }),
        companion: Companion::None,
    }
}
