// Max unpooling: y is zero but where an index points, and there it is the x of that index. Of several that point at one output the last
// in memory order wins, on every device alike: pass 1 finds it with an integer maximum, which has no order.
//
// Its gradient by x is what the output that an element won has; 0 where another won it. Then x here is dy, and the output is dx.
//
// One invocation per output (passes 0 and 2) or per element of x (passes 1 and 3). Prelude: alias Elem.

// Twin of UnpoolParams in src/shader/uniforms.rs.
struct UnpoolParams {
    planes: u32,      // images x channels
    channels: u32,
    positions_x: u32, // positions of one plane of x
    positions_y: u32, // of the rows of y that are bound
    first_y: u32,     // position of the first one
    plane_y: u32,     // positions of one plane of y
    unused0: u32,
    unused1: u32,
}

@group(0) @binding(0) var<uniform> params: UnpoolParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> indices: array<u32>;                   // as x; flat inside a plane of y
@group(0) @binding(3) var<storage, read_write> winner: array<atomic<u32>>;      // by output: 1 + position in x, or 0
@group(0) @binding(4) var<storage, read_write> output: array<Elem>;

// 0 clears, 1 finds the winners, 2 writes y, 3 writes dx.
override PASS: u32 = 0u;
override CHANNELS_LAST: u32 = 0u;

// Plane and position of element `item` of a tensor with so many positions a plane.
fn decode(item: u32, positions: u32) -> vec2<u32> {
    var plane = item / positions;
    var position = item - plane * positions;
    if CHANNELS_LAST != 0u {
        let pixel = item / params.channels;
        let n = pixel / positions;
        plane = n * params.channels + (item - pixel * params.channels);
        position = pixel - n * positions;
    }
    return vec2<u32>(plane, position);
}

// Element of a tensor at a plane and position.
fn element(plane: u32, position: u32, positions: u32) -> u32 {
    var at = plane * positions + position;
    if CHANNELS_LAST != 0u {
        let n = plane / params.channels;
        at = (n * positions + position) * params.channels + (plane - n * params.channels);
    }
    return at;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local;
    if PASS == 1u {
        if item < params.planes * params.positions_x {
            let at = decode(item, params.positions_x);
            let index = indices[item] - params.first_y; // in front of the rows it is past them
            if index < params.positions_y { // an index outside the plane points nowhere
                atomicMax(&winner[element(at.x, index, params.positions_y)], at.y + 1u);
            }
        }
    } else if PASS == 3u {
        if item < params.planes * params.positions_x {
            let at = decode(item, params.positions_x);
            let index = indices[item] - params.first_y;
            var v = Elem(0.0);
            if index < params.positions_y {
                let own = element(at.x, index, params.positions_y);
                if atomicLoad(&winner[own]) == at.y + 1u {
                    v = x[own];
                }
            }
            // The rows of its index write an element; the first ones one whose index points nowhere.
            if (index < params.positions_y) | ((params.first_y == 0u) & (index >= params.plane_y)) {
                output[item] = v;
            }
        }
    } else if item < params.planes * params.positions_y {
        if PASS == 0u {
            atomicStore(&winner[item], 0u);
        } else {
            let at = decode(item, params.positions_y);
            let from_position = atomicLoad(&winner[item]);
            var v = Elem(0.0);
            if from_position > 0u {
                v = x[element(at.x, from_position - 1u, params.positions_x)];
            }
            output[item] = v;
        }
    }
}
