//! The general kernel: one output per invocation. Slow, simple, and it admits every problem.

use crate::ops::conv::problem::ConvProblem;
use crate::plan::conv::{Choice, Companion, overrides};
use crate::shader::KernelSpec;
use crate::shader::source_gemm::CONV_DIRECT;
use crate::types::Layout;

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
