//! The uniform structs of adjoints: twins of the structs of the same names in `shaders/transform/`; tests/shaders.rs compares their layouts.

use crate::shader::uniform;

uniform! {
    /// Twin of `KeptAxis` in `shaders/transform/adjoint.wgsl`.
    KeptAxis {
        extent: u32,
        dx_stride: u32,
        dy_stride: u32,
        unused: u32,
    }
}

uniform! {
    /// Twin of `GatheredAxis` in `shaders/transform/adjoint.wgsl`.
    GatheredAxis {
        extent: u32,
        dx_stride: u32,
        dy_stride: u32,
        plane_stride: u32,
        first: u32,
        first_place: u32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `AdjointParams` in `shaders/transform/adjoint.wgsl`.
    AdjointParams {
        items: u32,
        dy_base: u32,
        index_base: u32,
        dx_base: u32,
        kept: [KeptAxis; 4],
        gathered: [GatheredAxis; 3],
    }
}

uniform! {
    /// Twin of `SpreadAxis` in `shaders/transform/adjoint_spread.wgsl`.
    SpreadAxis {
        cells: u32,
        windows: u32,
        extent: u32,
        pad: u32,
        weight: f32,
        last_weight: f32,
        unused0: u32,
        unused1: u32,
    }
}

uniform! {
    /// Twin of `SpreadParams` in `shaders/transform/adjoint_spread.wgsl`.
    SpreadParams {
        items: u32,
        inner: u32,
        dy_base: u32,
        index_base: u32,
        dx_base: u32,
        unused0: u32,
        unused1: u32,
        unused2: u32,
        axes: [SpreadAxis; 3],
    }
}
