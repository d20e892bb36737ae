// Gather: y[c] = x[sum over axes of the axis's table entry for c], or a constant where an entry is NOTHING. y is dense; the last
// axis is the one that runs fastest in memory. Prelude: RANK.
//
// ROWS 0: one element per invocation. ROWS 1: a workgroup writes a part of one row of y, and looks the outer coordinates up once.

//@use lib/item_range.wgsl

struct GatherAxis {
    extent: u32,
    first: u32,     // of its entries in the table
    unused0: u32,
    unused1: u32,
}

struct GatherParams {
    items: u32,     // elements, or rows
    run: u32,       // extent of the last axis
    row_part: u32,   // elements of a row that one workgroup writes
    row_parts: u32,  // workgroups per row
    value: f32,     // where there is no source
    unused0: u32,
    unused1: u32,
    unused2: u32,
    axes: array<GatherAxis, 5>,
}

@group(0) @binding(0) var<uniform> params: GatherParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> table: array<u32>; // offsets into x
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

override ROWS: u32 = 0u;

const NOTHING: u32 = 0xffffffffu;

struct Origin {
    offset: u32,
    is_nothing: bool,
}

// The source of item `item` of the first `count` axes; with no axes, offset 0.
fn origin(item: u32, count: u32) -> Origin {
    var rest = item;
    var at = Origin(0u, false);
    for (var a = count; a > 0u; a--) {
        let axis = params.axes[a - 1u];
        let outer = rest / axis.extent;
        let entry = table[axis.first + rest - outer * axis.extent];
        at.offset += entry; // NOTHING wraps; the sum is not used then
        at.is_nothing = at.is_nothing | (entry == NOTHING);
        rest = outer;
    }
    return at;
}

// Writes element `i` of y from the row's origin and the entry of the last axis.
fn put(i: u32, row: Origin, entry: u32) {
    if row.is_nothing | (entry == NOTHING) {
        output[i] = Elem(params.value);
    } else {
        output[i] = x[row.offset + entry];
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let local = local_id.x;
    let group = group_id.y * group_count.x + group_id.x;
    let last = params.axes[RANK - 1u];
    if ROWS == 0u {
        let item = group * 64u + local;
        if item < params.items {
            let row = item / params.run;
            put(item, origin(row, RANK - 1u), table[last.first + item - row * params.run]);
        }
        return;
    }
    let row = group / params.row_parts;
    if row >= params.items {
        return;
    }
    let at = origin(row, RANK - 1u);
    let first = (group - row * params.row_parts) * params.row_part;
    let range = item_range(local, first, params.row_part, params.run);
    for (var c = range.begin; c < range.end; c += TOGETHER) {
        put(row * params.run + c, at, table[last.first + c]);
    }
}
