// The left-hand side of a turn of the register core, read by LHS_LANES invocations together, a subgroup: each loads half quads, and shuffles
// hand them round. A driver that runs invocations as the lanes of a CPU's vectors loads for all of them at little more than the cost of one
// number that they share, tests the bounds of all at once, and needs no branch for it: a turn without branches is what its compiler can put
// in order. Needs common/gemm_register.wgsl and common/quad_wide.wgsl. Prelude: LHS_LANES, a power of two that divides LANES.

const HALVES: u32 = THREAD_M * STEPS / 2u;
const LOADS: u32 = (HALVES + LHS_LANES - 1u) / LHS_LANES;

struct Lhs {
    first: u32, // quad of the turn's first step
    halves: array<vec2<f32>, LOADS>,
}

fn load_lhs(first: u32, steps: u32, local: u32) -> Lhs {
    var loaded: Lhs;
    loaded.first = first;
    if steps > 1u {
        for (var i = 0u; i < LOADS; i++) {
            let half = min(i * LHS_LANES + local % LHS_LANES, HALVES - 1u);
            loaded.halves[i] = half_quad(lhs[first + half / 2u][half % 2u]);
        }
    }
    return loaded;
}

// Rows 4 * quad_row to + 3 at one of the turn's steps; a turn of one step is not worth sharing.
fn lhs_rows(lhs_turn: ptr<function, Lhs>, quad_row: u32, step: u32, steps: u32) -> vec4<f32> {
    if steps == 1u {
        return gemm_lhs((*lhs_turn).first + quad_row);
    }
    let half = (step * ROW_QUADS + quad_row) * 2u;
    return vec4<f32>(shared_half(lhs_turn, half), shared_half(lhs_turn, half + 1u));
}

fn shared_half(lhs_turn: ptr<function, Lhs>, half: u32) -> vec2<f32> {
    return subgroupShuffle((*lhs_turn).halves[half / LHS_LANES], half % LHS_LANES);
}
