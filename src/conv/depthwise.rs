//! Depthwise convolution: one input channel per group, any number of filters for it. Each invocation computes a strip of outputs.

use super::descriptor::Algorithm;
use super::plan::{Choice, overrides};
use super::problem::ConvProblem;
use crate::error::{Error, Result};
use crate::kernel::{CONV_DEPTHWISE, KernelSpec};
use crate::shape::Layout;

/// Outputs of one row that an invocation computes.
const STRIP: u64 = 4;

pub(crate) fn supports(problem: &ConvProblem) -> Result<()> {
    if problem.channels_per_group() != 1 {
        return Err(Error::Unsupported {
            algorithm: Algorithm::Depthwise.name().into(),
            reason: format!(
                "it needs one input channel per group, and {} channels in {} groups make {}",
                problem.in_channels,
                problem.groups,
                problem.channels_per_group()
            ),
        });
    }
    Ok(())
}

pub(crate) fn choice(problem: &ConvProblem) -> Choice {
    let mut overrides = overrides(problem);
    if problem.y_layout == Layout::ChannelsLast {
        overrides.push(("CHANNELS_LAST", 1));
    }
    Choice {
        kernel: KernelSpec { source: &CONV_DEPTHWISE, element: problem.element, consts: vec![("STRIP", STRIP as u32)], overrides },
        tile: format!("strip {STRIP}"),
        packed_multiple: None,
        count: Box::new(|problem, batch, params| {
            let rows = problem.axes[0].output * problem.axes[1].output;
            let items = batch * problem.out_channels * rows * problem.axes[2].output.div_ceil(STRIP);
            params.items = items as u32;
            items.div_ceil(64)
        }),
    }
}
