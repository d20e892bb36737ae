// What the strided copies share: y[y_base + sum c_i y_i] = x[x_base + sum c_i x_i]. Prelude: RANK, the number of axes in use.

struct CopyAxis {
    extent: u32,
    x_stride: i32,  // negative where x is walked backwards
    y_stride: u32,
    unused: u32,
}

struct CopyParams {
    items: u32,     // elements (direct), rows (rows) or planes (tiled)
    x_base: i32,
    y_base: u32,
    row_part: u32,   // rows: elements of a row that one workgroup copies
    row_parts: u32,  // rows: workgroups per row
    tiles_p: u32,   // tiled: tiles along the axis that is contiguous in x
    tiles_q: u32,   // tiled: tiles along the axis that is contiguous in y
    unused: u32,
    axes: array<CopyAxis, 6>,
}

@group(0) @binding(0) var<uniform> params: CopyParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Elem>;

struct Offsets {
    x: i32,
    y: u32,
}

// Where item `item` of the first `count` axes begins in both tensors; with no axes, item 0 is the whole.
fn offsets(item: u32, count: u32) -> Offsets {
    var rest = item;
    var at = Offsets(params.x_base, params.y_base);
    for (var a = count; a > 1u; a--) {
        let axis = params.axes[a - 1u];
        let outer = rest / axis.extent;
        let c = rest - outer * axis.extent;
        at.x += i32(c) * axis.x_stride;
        at.y += c * axis.y_stride;
        rest = outer;
    }
    at.x += i32(rest) * params.axes[0].x_stride;
    at.y += rest * params.axes[0].y_stride;
    return at;
}
