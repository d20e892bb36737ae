//! 1 x 1 windows: the convolution is a plain matrix product. The tile cores are those of [`super::implicit_gemm`].

use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::ConvProblem;
use crate::types::{Error, Result};

pub(crate) fn supports(algorithm: Algorithm, problem: &ConvProblem) -> Result<()> {
    for (axis, name) in problem.axes.iter().zip(["depth", "height", "width"]) {
        if axis.filter != 1 || axis.stride != 1 || axis.pad_begin != 0 || axis.input != axis.output {
            return Err(Error::Unsupported {
                algorithm: algorithm.name().into(),
                reason: format!(
                    "it needs filter extent 1, stride 1 and no pads on every axis; along the {name} the filter is {}, the stride {}, the pads {} and {}",
                    axis.filter, axis.stride, axis.pad_begin, axis.pad_end
                ),
            });
        }
    }
    Ok(())
}
