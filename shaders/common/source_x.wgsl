// The source of an elementwise kernel is a tensor of its own.

@group(0) @binding(1) var<storage, read> x: array<Item>;
@group(0) @binding(2) var<storage, read_write> output: array<Item>;

fn source_item(i: u32) -> Item {
    return x[i];
}
