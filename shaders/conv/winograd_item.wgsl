// Which channel and column an invocation of a Winograd transform takes. Neighbours take neighbouring tiles; with ALONG_CHANNELS a workgroup takes 8 channels x 8
// tiles, so that a tensor with its channels last and a workspace with its tiles last both move 32 neighbouring bytes at a time, what a GPU's memory
// gives at once.

//@use conv/winograd.wgsl

const SIDE: u32 = 8u;

// Channel and column. Past params.items, channel * params.columns + column is too.
fn winograd_item(workgroup: u32, local: u32) -> vec2<u32> {
//@if ALONG_CHANNELS
    let blocks = params.columns / SIDE; // columns are whole panels of 64
    let line = workgroup / blocks;
    return vec2<u32>(line * SIDE + local % SIDE, (workgroup - line * blocks) * SIDE + local / SIDE);
//@else
    let item = workgroup * 64u + local;
    let channel = item / params.columns;
    return vec2<u32>(channel, item - channel * params.columns);
//@end
}
