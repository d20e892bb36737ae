//! The uniform structs of Winograd's filter gradients: twins of the structs of the same names in `shaders/conv/`; tests/shaders.rs compares their layouts.

use crate::shader::uniform;

uniform! {
    /// Twin of `GradientTilesParams` in `shaders/conv/winograd_gradient_tiles.wgsl`.
    GradientTilesParams {
        groups: u32,
        channels: u32,
        padded: u32,
        panel: u32,
        depth: u32,
        sums: u32,
        first_tile: u32,
        end_tile: u32,
        tiles_h: u32,
        tiles_w: u32,
        height: i32,
        width: i32,
        pad_h: i32,
        pad_w: i32,
        needed_h: i32,
        needed_w: i32,
        base: u32,
        stride_n: u32,
        stride_c: u32,
        unused: u32,
    }
}

uniform! {
    /// Twin of `GradientSumsParams` in `shaders/conv/winograd_gradient.wgsl`.
    GradientSumsParams {
        items: u32,
        groups: u32,
        filters: u32,
        channels: u32,
        columns: u32,
        sums: u32,
        unused0: u32,
        unused1: u32,
    }
}
