// The filters of a convolution by Fourier transforms: their columns, transformed along the height, conjugated (a convolution of deep learning is a
// correlation) and divided by the numbers of a tile, by which the transforms there and back multiply.
//
// MIXES: as the left-hand sides of the products, [frequency][group][tile][depth][row of the tile], TILE_ROWS rows a tile: rows are real parts of all
// filters and then imaginary ones, the depth those of the channels, and (a + b i) (c + d i) is (a c - b d) + (b c + a d) i.

//@use conv/fft.wgsl

@group(0) @binding(1) var<storage, read> rows: array<vec2<f32>>;                 // K C/g R LENGTH_W
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
//@if MIXES
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;
//@else
@group(0) @binding(3) var<storage, read_write> filters: array<vec2<f32>>;        // K LENGTH_H LENGTH_W
//@end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(num_workgroups) group_count: vec3<u32>, @builtin(local_invocation_id) local_id: vec3<u32>) {
    let first = (group_id.y * group_count.x + group_id.x) * LINES;
    let place = across_lines(local_id.x);
    let number = first + place.x;
    let line = min(number, params.items - 1u);
    let plane = line / LENGTH_W;
    let w = line - plane * LENGTH_W;
    let taps = u32(params.height.taps);
    let dilation = u32(params.height.dilation);
    var v: Numbers;
    for (var i = 0u; i < RADIX_A; i++) {
        let h = RADIX_B * i + place.y;
        let r = h / dilation;
        let row = rows[(plane * taps + min(r, taps - 1u)) * LENGTH_W + w];
        v[i] = select(vec2<f32>(), row, (r < taps) & (r * dilation == h));
    }
    transform_line(&v, place.x, place.y);
    if number < params.items {
        for (var i = 0u; i < RADIX_A; i++) {
            let h = RADIX_B * i + place.y;
            let number = vec2<f32>(v[i].x, -v[i].y) * (1.0 / f32(AREA));
            //@if MIXES
            store_parts(plane, h * LENGTH_W + w, number);
            //@else
            filters[(plane * LENGTH_H + h) * LENGTH_W + w] = number;
            //@end
        }
    }
}
//@if MIXES

fn store_parts(plane: u32, frequency: u32, number: vec2<f32>) {
    let k = plane / params.channels;
    let c = plane - k * params.channels;
    let group = k / params.filters;
    let row = k - group * params.filters;
    let real = part_index(frequency, group, row, c);
    parts[real] = number.x;
    parts[real + params.channels * TILE_ROWS] = -number.y;
    let imaginary = part_index(frequency, group, params.filters + row, c);
    parts[imaginary] = number.y;
    parts[imaginary + params.channels * TILE_ROWS] = number.x;
}

fn part_index(frequency: u32, group: u32, row: u32, d: u32) -> u32 {
    let tiles = (2u * params.filters + TILE_ROWS - 1u) / TILE_ROWS;
    let tile = (frequency * params.groups + group) * tiles + row / TILE_ROWS;
    return (tile * 2u * params.channels + d) * TILE_ROWS + row % TILE_ROWS;
}
//@end
