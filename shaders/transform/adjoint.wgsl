// The adjoint of an op that reads its input by axis: an element of dx is the sum of what it went into, with the product of a weight per axis. Per axis
// and coordinate of dx, the table holds where its list begins; a list has coordinates of dy, ascending, and the bits of their weights.
//
// One invocation computes one element. Prelude: KEPT, the axes along which nothing is gathered, INDICES (1: of a max pool, whose indices say which
// elements count).

struct KeptAxis {
    extent: u32,
    dx_stride: u32,
    dy_stride: u32,
    unused: u32,
}

struct GatheredAxis {
    extent: u32,
    dx_stride: u32,
    dy_stride: u32,
    plane_stride: u32, // in what indices count
    first: u32,        // of its lists' beginnings in the table
    first_place: u32,  // of its first coordinate in what indices count
    unused0: u32,
    unused1: u32,
}

// Twin of AdjointParams in src/shader/uniforms.rs.
struct AdjointParams {
    items: u32,
    dy_base: u32,
    index_base: u32,
    dx_base: u32,
    kept: array<KeptAxis, 4>,
    gathered: array<GatheredAxis, 3>,
}

@group(0) @binding(0) var<uniform> params: AdjointParams;
@group(0) @binding(1) var<storage, read> dy: array<Elem>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
//@if INDICES
@group(0) @binding(3) var<storage, read> indices: array<u32>;
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;
//@else
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;
//@end

struct List {
    begin: u32,
    end: u32,
    place: u32, // of the coordinate in what indices count
}

fn list(axis: GatheredAxis, item: u32) -> List {
    let c = item / axis.dx_stride % axis.extent;
    return List(table[axis.first + c], table[axis.first + c + 1u], axis.first_place + c * axis.plane_stride);
}

fn gather(item: u32) -> f32 {
    var base = 0u;
    for (var a = 0u; a < KEPT; a++) {
        let axis = params.kept[a];
        base += item / axis.dx_stride % axis.extent * axis.dy_stride;
    }
    let l0 = list(params.gathered[0], item);
    let l1 = list(params.gathered[1], item);
    let l2 = list(params.gathered[2], item);
    let own = l0.place + l1.place + l2.place;
    var sum = 0.0;
    for (var e0 = l0.begin; e0 < l0.end; e0 += 2u) {
        let at0 = base + table[e0] * params.gathered[0].dy_stride;
        let w0 = bitcast<f32>(table[e0 + 1u]);
        for (var e1 = l1.begin; e1 < l1.end; e1 += 2u) {
            let at1 = at0 + table[e1] * params.gathered[1].dy_stride;
            let w1 = w0 * bitcast<f32>(table[e1 + 1u]);
            for (var e2 = l2.begin; e2 < l2.end; e2 += 2u) {
                let at = at1 + table[e2] * params.gathered[2].dy_stride;
//@if INDICES
                sum += select(0.0, f32(dy[params.dy_base + at]), indices[params.index_base + at] == own);
//@else
                sum = fma(w1 * bitcast<f32>(table[e2 + 1u]), f32(dy[params.dy_base + at]), sum);
//@end
            }
        }
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
    if item < params.items {
        output[params.dx_base + item] = Elem(gather(item));
    }
}
