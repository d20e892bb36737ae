// The adjoint of a pool, cell by cell: dx falls into cells of a stride each, in each of which a window begins. An invocation reads an element of dy for each
// window that reaches into its cell, one where windows lie side by side, and adds it to the elements that the window reads, in ascending order of the windows.
//
// One invocation computes one cell of one channel. Prelude: STRIDE_D, STRIDE_H, STRIDE_W, the extents of a cell; WINDOW_D, WINDOW_H, WINDOW_W, those of
// a window; REACH_D, REACH_H, REACH_W, windows that reach into a cell; INDICES (1: of a max pool, whose indices say which element counts).

struct SpreadAxis {
    cells: u32,
    windows: u32,
    extent: u32, // of dx
    pad: u32,    // elements of the first cell that lie before dx
    weight: f32,
    last_weight: f32, // of the last window, which may reach over the edge
    unused0: u32,
    unused1: u32,
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

const CELL: u32 = STRIDE_D * STRIDE_H * STRIDE_W;

fn weight(axis: SpreadAxis, window: u32) -> f32 {
    return select(axis.weight, axis.last_weight, window + 1u == axis.windows);
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

    var sums: array<f32, CELL>;
    for (var i = 0u; i < REACH_D * REACH_H * REACH_W; i++) {
        // How many cells before this one the window begins; before the first cell none does, where the number wraps round.
        let before_d = REACH_D - 1u - i / (REACH_H * REACH_W);
        let before_h = REACH_H - 1u - i / REACH_W % REACH_H;
        let before_w = REACH_W - 1u - i % REACH_W;
        let o = vec3<u32>(d - before_d, h - before_h, w - before_w);
        if o.x < depth.windows && o.y < height.windows && o.z < width.windows {
            let at = (((outer * depth.windows + o.x) * height.windows + o.y) * width.windows + o.z) * params.inner + channel;
            let part = weight(depth, o.x) * weight(height, o.y) * weight(width, o.z);
            let value = f32(dy[params.dy_base + at]);
//@if INDICES
            let own = indices[params.index_base + at]; // counted over dx's plane
//@end
            for (var e = 0u; e < CELL; e++) {
                let z = e / (STRIDE_H * STRIDE_W);
                let y = e / STRIDE_W % STRIDE_H;
                let x = e % STRIDE_W;
                var counts = before_d * STRIDE_D + z < WINDOW_D && before_h * STRIDE_H + y < WINDOW_H && before_w * STRIDE_W + x < WINDOW_W;
//@if INDICES
                let place = (d * STRIDE_D + z - depth.pad) * height.extent + h * STRIDE_H + y - height.pad;
                counts = counts && own == place * width.extent + w * STRIDE_W + x - width.pad;
//@end
                sums[e] = select(sums[e], fma(part, value, sums[e]), counts);
            }
        }
    }
    for (var e = 0u; e < CELL; e++) {
        let dx_d = d * STRIDE_D + e / (STRIDE_H * STRIDE_W) - depth.pad;
        let dx_h = h * STRIDE_H + e / STRIDE_W % STRIDE_H - height.pad;
        let dx_w = w * STRIDE_W + e % STRIDE_W - width.pad;
        if dx_d < depth.extent && dx_h < height.extent && dx_w < width.extent {
            let at = ((outer * depth.extent + dx_d) * height.extent + dx_h) * width.extent + dx_w;
            output[params.dx_base + at * params.inner + channel] = Elem(sums[e]);
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
