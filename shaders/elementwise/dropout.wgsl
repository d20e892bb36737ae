// Dropout: y = x scale where an element's random word is not below the threshold, else 0. Words follow from the element's index in channels-first order,
// four neighbours to a block, which an invocation takes together; with LAST, where memory is channels-last, it takes one element.

//@use lib/philox.wgsl

// Twin of DropoutParams in src/shader/uniforms.rs.
struct DropoutParams {
    items: u32, // elements of this part
    base: u32, // of the part in the bindings
    first: u32, // of the part in the tensor: whole blocks, or whole images
    channels: u32,
    positions: u32,
    threshold: u32,
    scale: f32,
    stream: u32,
}

@group(0) @binding(0) var<uniform> params: DropoutParams;
@group(0) @binding(1) var<storage, read> x: array<Elem>;
@group(0) @binding(2) var<storage, read> key: array<f32>; // `DropoutKey` of src/ops/dropout.rs
@group(0) @binding(3) var<storage, read_write> output: array<Elem>;

fn words(block: u32) -> vec4<u32> {
    let seed = u32(key[0]) | (u32(key[1]) << 16u);
    let step = u32(key[2]) | (u32(key[3]) << 16u);
    return philox(vec4<u32>(block, 0u, step, 0u), vec2<u32>(seed, params.stream));
}

fn store(at: u32, word: u32) {
    // What is dropped is 0, whatever it was.
    output[at] = Elem(select(f32(x[at]) * params.scale, 0.0, word < params.threshold));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let item = (group_id.y * group_count.x + group_id.x) * 64u + local_id.x;
//@if LAST
    if item >= params.items {
        return;
    }
    // Memory has images, positions, channels.
    let c = item % params.channels;
    let rest = item / params.channels;
    let n = rest / params.positions;
    let p = rest - n * params.positions;
    let index = params.first + (n * params.channels + c) * params.positions + p;
    store(params.base + item, words(index / 4u)[index % 4u]);
//@else
    let begin = item * 4u;
    if begin >= params.items {
        return;
    }
    let block = words((params.first + begin) / 4u);
    let at = params.base + begin;
    let count = params.items - begin;
    store(at, block.x);
    if count > 1u {
        store(at + 1u, block.y);
    }
    if count > 2u {
        store(at + 2u, block.z);
    }
    if count > 3u {
        store(at + 3u, block.w);
    }
//@end
}
