// The adjoint of a pool whose windows lie side by side: an element of dx is of one window at most, so that an element of dy is read once and goes where
// its window was. dx falls into cells of a stride each; what a window leaves of its cell, and cells without a window, become 0.
//
// One invocation computes one cell of one channel. Prelude: STRIDE_D, STRIDE_H, STRIDE_W, the extents of a cell; WINDOW_D, WINDOW_H, WINDOW_W, those of
// the window in it; INDICES (1: of a max pool, whose indices say which element counts).

struct SpreadAxis {
    cells: u32,
    windows: u32,
    extent: u32, // of dx
    weight: f32,
    last_weight: f32, // of the last window, which may reach over the edge
    unused0: u32,
    unused1: u32,
    unused2: u32,
}

// Twin of SpreadParams in src/shader/uniforms_adjoint.rs.
struct SpreadParams {
    items: u32,
    inner: u32, // channels where they are the fastest axis, else 1
    dy_base: u32,
    index_base: u32,
    dx_base: u32,
    unused0: u32,
    unused1: u32,
    unused2: u32,
    axes: array<SpreadAxis, 3>,
}

@group(0) @binding(0) var<uniform> params: SpreadParams;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;
//@if INDICES
@group(0) @binding(2) var<storage, read> indices: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;
//@else
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;
//@end

fn weight(axis: SpreadAxis, cell: u32) -> f32 {
    return select(axis.weight, axis.last_weight, cell + 1u == axis.windows);
}

fn spread(item: u32) {
    let depth = params.axes[0];
    let height = params.axes[1];
    let width = params.axes[2];
    let pixel = item / params.inner;
    let channel = item - pixel * params.inner;
    let row = pixel / width.cells;
    let w = pixel - row * width.cells;
    let plane = row / height.cells;
    let h = row - plane * height.cells;
    let outer = plane / depth.cells;
    let d = plane - outer * depth.cells;

    var value = 0.0;
    var own = 0xffffffffu;
    if d < depth.windows && h < height.windows && w < width.windows {
        let at = (((outer * depth.windows + d) * height.windows + h) * width.windows + w) * params.inner + channel;
        value = fma(weight(depth, d) * weight(height, h) * weight(width, w), f32(dy[params.dy_base + at]), 0.0);
//@if INDICES
        own = indices[params.index_base + at];
//@end
    }
    for (var z = 0u; z < STRIDE_D; z++) {
        let dx_d = d * STRIDE_D + z;
        for (var y = 0u; y < STRIDE_H; y++) {
            let dx_h = h * STRIDE_H + y;
            for (var x = 0u; x < STRIDE_W; x++) {
                let dx_w = w * STRIDE_W + x;
                if dx_d < depth.extent && dx_h < height.extent && dx_w < width.extent {
                    let place = (dx_d * height.extent + dx_h) * width.extent + dx_w; // as indices count
                    var counts = z < WINDOW_D && y < WINDOW_H && x < WINDOW_W;
//@if INDICES
                    counts = counts && own == place;
//@end
                    let at = (outer * (depth.extent * height.extent * width.extent) + place) * params.inner + channel;
                    output[params.dx_base + at] = Elem(select(0.0, value, counts));
                }
            }
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item < params.items {
        spread(item);
    }
}
