// Rows of numbers that name places of x, which is seen as [outer][places][inner]. Prelude: NUMBERS (of a row), FLOATS (1: f32 numbers, of which negative
// ones count from the end; 0: u32).

// Twin of IndexParams in src/shader/uniforms.rs.
struct IndexParams {
    extents: array<vec4<u32>, 2>, // of the axes that the numbers of a row are for
    rows: u32,                    // of each outer coordinate
    places: u32,                  // of each outer coordinate; those of x that are bound
    inner: u32,
    items: u32,
    step_outer: u32,              // steps in the indices
    step_row: u32,
    step_inner: u32,
    first_place: u32,             // that is bound
    x_base: u32,
    index_base: u32,
    y_base: u32,
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: IndexParams;

// Of an index that is none.
const NOWHERE: u32 = 0xffffffffu;

// A number of a row, from the front; what is not below the extent is none.
fn number_of(word: u32, extent: u32) -> u32 {
    if FLOATS == 0u {
        return word;
    }
    let v = bitcast<f32>(word);
    let front = select(v, v + f32(extent), v < 0.0);
    let is_one = (front >= 0.0) & (front < f32(extent));
    return select(NOWHERE, u32(select(0.0, front, is_one)), is_one);
}

// The place that the numbers from `first` on name.
fn place_of(first: u32) -> u32 {
    var place = 0u;
    var is_place = true;
    for (var i = 0u; i < NUMBERS; i++) {
        let extent = params.extents[i / 4u][i % 4u];
        let number = number_of(indices[first + i], extent);
        is_place = is_place & (number < extent);
        place = place * extent + number;
    }
    return select(NOWHERE, place, is_place);
}
