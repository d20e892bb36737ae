// What both kernels of the Winograd input transform share: where the values of a tile go:
// transformed[line][channel][tile], or transformed[line][group][panel][channel][tile of the panel] as the register core reads it.
// Prelude: PANEL, or 0.

//@use conv/winograd.wgsl
//@use conv/winograd_axes.wgsl

// Where the value of channel `c` and tile `column` lies in each line.
fn transformed_index(c: u32, column: u32) -> u32 {
    if PANEL == 0u {
        return c * params.columns + column;
    }
    let group = c / params.channels;
    let panel = column / max(PANEL, 1u);
    let line = panel * params.channels + c - group * params.channels;
    return group * params.channels * params.columns + line * PANEL + column - panel * PANEL;
}
