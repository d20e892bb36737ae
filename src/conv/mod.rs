//! Convolution, forward and transposed, 1-D to 3-D: what is wanted ([`ConvDescriptor`]), the resolved numbers
//! ([`ConvProblem`]), the decision (`plan`), and the prepared thing that records itself ([`Conv`]).

mod descriptor;
mod problem;

pub use descriptor::{
    Accuracy, Algorithm, Conv1dDescriptor, Conv2dDescriptor, Conv3dDescriptor, ConvDescriptor, ConvTranspose1dDescriptor, ConvTranspose2dDescriptor,
    ConvTranspose3dDescriptor, ConvTransposeDescriptor,
};
pub use problem::{ConvInputs, ConvProblem, Direction};
