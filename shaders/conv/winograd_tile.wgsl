// What both kernels of the Winograd input transform share: the coordinates that a tile reads, and where its values go:
// transformed[line][channel][tile], or transformed[line][group][panel][channel][tile of the panel] as the register core reads it.
// Prelude: PANEL, or 0.

//@use conv/winograd.wgsl
//@use conv/winograd_axes.wgsl

// The input coordinate that a tile reads `i` elements after the first that its output `o` reads, or -1 for zero: outside the input, or
// needed by no output that exists.
fn tile_coordinate(axis: Axis, o: i32, i: i32) -> i32 {
    let source = padded_coordinate(o - axis.pad + i, axis.input);
    return select(-1, source, o + i < axis.output + axis.taps - 1);
}

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
