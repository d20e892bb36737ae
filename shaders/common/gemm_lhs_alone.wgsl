// The left-hand side of a turn of the register core, read by each invocation for itself: all of them want the same numbers, which a driver
// may notice. Needs common/gemm_register.wgsl.

struct Lhs {
    first: u32, // quad of the turn's first step
}

fn load_lhs(first: u32, steps: u32, local: u32) -> Lhs {
    return Lhs(first);
}

// Rows 4 * quad_row to + 3 at one of the turn's steps.
fn lhs_rows(lhs_turn: ptr<function, Lhs>, quad_row: u32, step: u32, steps: u32) -> vec4<f32> {
    return gemm_lhs((*lhs_turn).first + step * ROW_QUADS + quad_row);
}
