//! The shader sources, embedded: which parts each kernel is joined from, and what it binds.

use super::StructLayout;
use crate::conv::{Axis, ConvParams, PackParams};
use crate::transform::{CopyAxis, CopyParams, GatherAxis, GatherParams, ResizeAxis, ResizeParams};

/// How a kernel uses one binding of group 0; its place in the list is the binding number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// A uniform struct.
    Uniform,
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is written.
    Write,
}

/// A kernel's WGSL parts in order, and its bindings.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct KernelSource {
    /// Name in labels: the file stem, with the tile core where there is one.
    pub name: &'static str,
    /// File name under `shaders/` and text of each part.
    pub parts: &'static [(&'static str, &'static str)],
    /// What the kernel binds, by binding number.
    pub bindings: &'static [BindingKind],
    /// Its uniform structs, the outermost first; empty where binding 0 is none.
    pub structs: &'static [StructLayout],
}

macro_rules! part {
    ($file:literal) => {
        ($file, include_str!(concat!("../../shaders/", $file)))
    };
}

use BindingKind::{Read, Uniform, Write};

/// Uniform, x, weights, bias, residual, output.
const CONV: &[BindingKind] = &[Uniform, Read, Read, Read, Read, Write];
const CONV_STRUCTS: &[StructLayout] = &[ConvParams::LAYOUT, Axis::LAYOUT];

pub(crate) static CONV_DIRECT: KernelSource = KernelSource {
    name: "conv_direct",
    parts: &[part!("common/activation.wgsl"), part!("common/conv.wgsl"), part!("conv_direct.wgsl")],
    bindings: CONV,
    structs: CONV_STRUCTS,
};

pub(crate) static CONV_DEPTHWISE: KernelSource = KernelSource {
    name: "conv_depthwise",
    parts: &[part!("common/activation.wgsl"), part!("common/conv.wgsl"), part!("conv_depthwise.wgsl")],
    bindings: CONV,
    structs: CONV_STRUCTS,
};

macro_rules! conv_gemm {
    ($static_name:ident, $name:literal, $hook:literal, $core:literal) => {
        pub(crate) static $static_name: KernelSource = KernelSource {
            name: $name,
            parts: &[part!("common/activation.wgsl"), part!("common/conv.wgsl"), part!("common/conv_gemm.wgsl"), part!($hook), part!($core)],
            bindings: CONV,
            structs: CONV_STRUCTS,
        };
    };
}

conv_gemm!(CONV_IMPLICIT_GEMM_WORKGROUP, "conv_implicit_gemm_workgroup", "conv_implicit_gemm.wgsl", "common/gemm_workgroup.wgsl");
conv_gemm!(CONV_IMPLICIT_GEMM_REGISTER, "conv_implicit_gemm_register", "conv_implicit_gemm.wgsl", "common/gemm_register.wgsl");
conv_gemm!(CONV_POINTWISE_WORKGROUP, "conv_pointwise_workgroup", "conv_pointwise.wgsl", "common/gemm_workgroup.wgsl");
conv_gemm!(CONV_POINTWISE_REGISTER, "conv_pointwise_register", "conv_pointwise.wgsl", "common/gemm_register.wgsl");

pub(crate) static CONV_PACK_FILTER: KernelSource = KernelSource {
    name: "conv_pack_filter",
    parts: &[part!("conv_pack_filter.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[PackParams::LAYOUT],
};

pub(crate) static TRANSFORM_COPY: KernelSource = KernelSource {
    name: "transform_copy",
    parts: &[part!("common/copy.wgsl"), part!("transform_copy.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[CopyParams::LAYOUT, CopyAxis::LAYOUT],
};

pub(crate) static TRANSFORM_TILE: KernelSource = KernelSource {
    name: "transform_tile",
    parts: &[part!("common/copy.wgsl"), part!("transform_tile.wgsl")],
    bindings: &[Uniform, Read, Write],
    structs: &[CopyParams::LAYOUT, CopyAxis::LAYOUT],
};

pub(crate) static TRANSFORM_GATHER: KernelSource = KernelSource {
    name: "transform_gather",
    parts: &[part!("transform_gather.wgsl")],
    bindings: &[Uniform, Read, Read, Write],
    structs: &[GatherParams::LAYOUT, GatherAxis::LAYOUT],
};

pub(crate) static TRANSFORM_RESIZE_LINEAR: KernelSource = KernelSource {
    name: "transform_resize_linear",
    parts: &[part!("transform_resize_linear.wgsl")],
    bindings: &[Uniform, Read, Read, Write],
    structs: &[ResizeParams::LAYOUT, ResizeAxis::LAYOUT],
};

pub(crate) static PEAK_FMA: KernelSource = KernelSource { name: "peak_fma", parts: &[part!("peak_fma.wgsl")], bindings: &[Write], structs: &[] };

pub(crate) static PEAK_COPY: KernelSource =
    KernelSource { name: "peak_copy", parts: &[part!("peak_copy.wgsl")], bindings: &[Read, Write], structs: &[] };

/// Every kernel source of the crate.
pub fn all_sources() -> [&'static KernelSource; 13] {
    [
        &CONV_DIRECT,
        &CONV_DEPTHWISE,
        &CONV_IMPLICIT_GEMM_WORKGROUP,
        &CONV_IMPLICIT_GEMM_REGISTER,
        &CONV_POINTWISE_WORKGROUP,
        &CONV_POINTWISE_REGISTER,
        &CONV_PACK_FILTER,
        &TRANSFORM_COPY,
        &TRANSFORM_TILE,
        &TRANSFORM_GATHER,
        &TRANSFORM_RESIZE_LINEAR,
        &PEAK_FMA,
        &PEAK_COPY,
    ]
}
