//! The general kernel: one output per invocation. Slow, simple, and it admits every problem.

use crate::ops::conv::problem::ConvProblem;
use crate::plan::conv::steps::overrides;
use crate::plan::gemm::method::{Call, Method, Work};
use crate::shader::source_gemm::CONV_DIRECT;
use crate::types::Layout;

pub(crate) fn method(problem: &ConvProblem) -> Method {
    let mut overrides = overrides(problem);
    if problem.y_layout == Layout::ChannelsLast {
        overrides.push(("CHANNELS_LAST", 1));
    }
    Method::plain(String::new(), Call { source: &CONV_DIRECT, consts: vec![], overrides, work: Work::Outputs })
}
