//! What a caller asks for: plain structs with public fields and `Default`. Nothing is checked here; [`super::ConvProblem`] checks.

use crate::numeric::{Accuracy, Operands};
use crate::ops::conv::fused::FusedPool;
use crate::types::{Activation, Error, Padding, PaddingMode, Result};
use serde::{Deserialize, Serialize};

/// A convolution over N spatial axes (cross-correlation, as the field has it): input N C \[D\] \[H\] W, filter O I/g \[kD\] \[kH\] kW.
///
/// Lists run from the slowest spatial axis to the width.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(bound(serialize = "[usize; N]: Serialize", deserialize = "[usize; N]: Deserialize<'de>"))]
pub struct ConvDescriptor<const N: usize> {
    /// Step between windows.
    pub stride: [usize; N],
    /// Step between taps; 1 means none are skipped.
    pub dilation: [usize; N],
    /// Padding of the spatial axes.
    pub padding: Padding<N>,
    /// What stands in the padding.
    pub padding_mode: PaddingMode,
    /// Groups: 1 is a full convolution, the number of input channels a depthwise one.
    pub groups: usize,
    /// Applied to the sum and bias before the result is stored.
    pub activation: Activation,
    /// Pools the result, as a pooling layer after this convolution would; the output has the pooled extents.
    pub pool: Option<FusedPool>,
    /// How exact the answer must be.
    pub accuracy: Accuracy,
    /// Forces an algorithm; `None` lets the planner choose.
    pub algorithm: Option<Algorithm>,
}

impl<const N: usize> Default for ConvDescriptor<N> {
    fn default() -> Self {
        Self {
            stride: [1; N],
            dilation: [1; N],
            padding: Padding::Valid,
            padding_mode: PaddingMode::Zeros,
            groups: 1,
            activation: Activation::None,
            pool: None,
            accuracy: Accuracy::default(),
            algorithm: None,
        }
    }
}

/// A convolution over one spatial axis.
pub type Conv1dDescriptor = ConvDescriptor<1>;

/// A convolution over height and width.
pub type Conv2dDescriptor = ConvDescriptor<2>;

/// A convolution over depth, height and width.
pub type Conv3dDescriptor = ConvDescriptor<3>;

/// A transposed convolution over N spatial axes: input N C ..., filter C O/g ..., output extent
/// stride (n - 1) + output_padding + dilation (k - 1) + 1 - pads.
///
/// It is the gradient of [`ConvDescriptor`] with respect to its input, so `stride` spreads the output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(bound(serialize = "[usize; N]: Serialize", deserialize = "[usize; N]: Deserialize<'de>"))]
pub struct ConvTransposeDescriptor<const N: usize> {
    /// Step between the places of two neighbouring inputs in the output.
    pub stride: [usize; N],
    /// Step between taps.
    pub dilation: [usize; N],
    /// What is cut off the full result. With `Same` and `SameLower` the output is input x stride; an odd rest is cut at the end for
    /// `Same` and at the beginning for `SameLower`. A negative rest adds extent that holds the bias alone.
    pub padding: Padding<N>,
    /// Extent added at the end; must be smaller than the stride or the dilation of its axis.
    pub output_padding: [usize; N],
    /// Spatial extents of the output; where given, the pads follow from it and `padding` says only where an odd rest goes.
    pub output_shape: Option<[usize; N]>,
    /// Groups.
    pub groups: usize,
    /// Applied to the sum and bias before the result is stored.
    pub activation: Activation,
    /// How exact the answer must be.
    pub accuracy: Accuracy,
    /// Forces an algorithm; `None` lets the planner choose.
    pub algorithm: Option<Algorithm>,
}

impl<const N: usize> Default for ConvTransposeDescriptor<N> {
    fn default() -> Self {
        Self {
            stride: [1; N],
            dilation: [1; N],
            padding: Padding::Valid,
            output_padding: [0; N],
            output_shape: None,
            groups: 1,
            activation: Activation::None,
            accuracy: Accuracy::default(),
            algorithm: None,
        }
    }
}

/// A transposed convolution over one spatial axis.
pub type ConvTranspose1dDescriptor = ConvTransposeDescriptor<1>;

/// A transposed convolution over height and width.
pub type ConvTranspose2dDescriptor = ConvTransposeDescriptor<2>;

/// A transposed convolution over depth, height and width.
pub type ConvTranspose3dDescriptor = ConvTransposeDescriptor<3>;

/// A way to compute a convolution. The name is used in labels, tests, reports and on the command line, and parses back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// One output per invocation, plain loops over the window. Admits every problem.
    Direct,
    /// The window sum as a matrix product whose right-hand side is read from the input in place; tiles in workgroup memory.
    ImplicitGemmWorkgroup,
    /// The same, tiles in registers only: for CPU-like drivers, where workgroup memory and barriers cost more than they save.
    ImplicitGemmRegister,
    /// A 1 x 1 window is a matrix product without any window arithmetic; tiles in workgroup memory.
    PointwiseWorkgroup,
    /// The same, tiles in registers only.
    PointwiseRegister,
    /// One input channel per group: each invocation computes a strip of outputs of one channel.
    Depthwise,
    /// Winograd's F(2,3), along both axes or one: 3-wide windows at stride 1 with 2.25 times fewer multiplications (along one axis 1.5).
    /// f32, forward. Its error stays within that of plain sums from about fifty channels on. Of 5-wide windows F(2,5), with 2.04 times fewer (1.43),
    /// from five channels on.
    WinogradF2,
    /// Winograd's F(4,3): 4 times fewer multiplications (along one axis 2), for [`Accuracy::Reduced`]. Of 5-wide windows F(4,5): 6.25 times fewer (2.5).
    WinogradF4,
    /// The implicit matrix product on cooperative matrices (tensor cores), which multiply f16 and sum f32: for f16 tensors, and for f32 ones with
    /// [`Accuracy::Reduced`].
    ImplicitGemmCoop,
    /// The same for f32 tensors, each operand split into two f16: three times the products, and the error of f32 sums from about fifty
    /// products an output on.
    ImplicitGemmF16x2,
    /// [`Algorithm::ImplicitGemmCoop`] for 1 x 1 windows.
    PointwiseCoop,
    /// [`Algorithm::ImplicitGemmF16x2`] for 1 x 1 windows.
    PointwiseF16x2,
    /// A window that covers the whole input, over a few images: the dense layer it is, on the kernels of [`matmul`](crate::matmul).
    AsLinear,
    /// Fourier transforms of tiles of the input, which is least work for large windows: stride 1, one or two axes. Its error stays within that of plain
    /// sums where windows or channels are many; with [`Accuracy::Reduced`] everywhere.
    Fft,
}

impl Algorithm {
    /// What it makes of its operands, if it multiplies on cooperative matrices.
    pub(crate) const fn operands(self) -> Option<Operands> {
        match self {
            Algorithm::ImplicitGemmCoop | Algorithm::PointwiseCoop => Some(Operands::F16),
            Algorithm::ImplicitGemmF16x2 | Algorithm::PointwiseF16x2 => Some(Operands::F16x2),
            _ => None,
        }
    }

    /// All algorithms.
    pub const ALL: [Algorithm; 14] = [
        Algorithm::Direct,
        Algorithm::ImplicitGemmWorkgroup,
        Algorithm::ImplicitGemmRegister,
        Algorithm::PointwiseWorkgroup,
        Algorithm::PointwiseRegister,
        Algorithm::Depthwise,
        Algorithm::WinogradF2,
        Algorithm::WinogradF4,
        Algorithm::ImplicitGemmCoop,
        Algorithm::ImplicitGemmF16x2,
        Algorithm::PointwiseCoop,
        Algorithm::PointwiseF16x2,
        Algorithm::AsLinear,
        Algorithm::Fft,
    ];

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Direct => "direct",
            Algorithm::ImplicitGemmWorkgroup => "implicit_gemm_workgroup",
            Algorithm::ImplicitGemmRegister => "implicit_gemm_register",
            Algorithm::PointwiseWorkgroup => "pointwise_workgroup",
            Algorithm::PointwiseRegister => "pointwise_register",
            Algorithm::Depthwise => "depthwise",
            Algorithm::WinogradF2 => "winograd_f2",
            Algorithm::WinogradF4 => "winograd_f4",
            Algorithm::ImplicitGemmCoop => "implicit_gemm_coop",
            Algorithm::ImplicitGemmF16x2 => "implicit_gemm_f16x2",
            Algorithm::PointwiseCoop => "pointwise_coop",
            Algorithm::PointwiseF16x2 => "pointwise_f16x2",
            Algorithm::AsLinear => "as_linear",
            Algorithm::Fft => "fft",
        }
    }
}

impl Algorithm {
    /// Whether it needs cooperative matrices ([`crate::plan::profile::CoopMatrix`]).
    pub const fn uses_coop_matrix(self) -> bool {
        matches!(self, Algorithm::ImplicitGemmCoop | Algorithm::ImplicitGemmF16x2 | Algorithm::PointwiseCoop | Algorithm::PointwiseF16x2)
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Algorithm {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Algorithm::ALL.into_iter().find(|a| a.name() == text).ok_or_else(|| {
            let names = Algorithm::ALL.map(Algorithm::name).join(", ");
            Error::invalid("algorithm", text, format!("it is one of {names}"))
        })
    }
}
