// The source of an elementwise kernel is the output: WebGPU cannot bind one buffer for reading and for writing at once.

@group(0) @binding(1) var<storage, read_write> output: array<Item>;

fn source_item(i: u32) -> Item {
    return output[i];
}
