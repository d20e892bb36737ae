// Where a kernel reads what it works on: a tensor x, or IN_PLACE the output itself, since WebGPU cannot bind one buffer for reading and for writing
// at once.

//@if IN_PLACE
@group(0) @binding(1) var<storage, read_write> output: array<Item>;

fn source_item(i: u32) -> Item {
    return output[i];
}
//@else
@group(0) @binding(1) var<storage, read> x: array<Item>;
@group(0) @binding(2) var<storage, read_write> output: array<Item>;

fn source_item(i: u32) -> Item {
    return x[i];
}
//@end
