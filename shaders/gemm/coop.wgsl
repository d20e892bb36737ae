// Tile core on cooperative matrices: a workgroup owns TILE_M rows x TILE_N columns, a subgroup SUB_M x SUB_N of them as
// matrices of MATRIX x MATRIX sums; TILE_K steps of both operands, a slab, are staged in workgroup memory at a time. Both operands lie in memory as
// f16 (gemm/halves.wgsl), so that nothing is converted on the way.
//
// An invocation reads its share of the next slab before it multiplies this one (READS_AHEAD), or after, while other subgroups still multiply: before, what is
// read occupies registers all the while, which cost an NVIDIA H200 up to a fifth of its speed where workgroups share a core; where one has a core alone,
// nothing else hides how long reads take.
//
// Matrices and what is read ahead have names, not places in arrays: an array whose index a compiler does not fold lies in memory, and on an NVIDIA H100
// that made the kernel two to three times as slow.
//
// SPLITS workgroups may share the depth of a tile, each a range of slabs; the store then writes partial sums (gemm/sum.wgsl).
//
// Hooks: gemm_product, gemm_outer_k, gemm_length, gemm_columns, gemm_lhs_base, gemm_store, lhs (conv/gemm.wgsl, matmul/gemm.wgsl). With RHS_IN_PLACE
// the columns are read in place, their steps being neighbours: decode_column, column_source, x (conv/right_hand_side.wgsl). Else they are packed
// as the rows are: gemm_rhs_base, rhs (matmul/gemm.wgsl).
//
// Packed operands lie in eights of rows or columns of one step, or with ALONG_K in eights of steps of one row or column, the last of a depth filled
// with zeros; in workgroup memory they are staged so too (gemm/coop_operands.wgsl).
// Prelude: TILE_M, TILE_N, TILE_K, SUB_M, SUB_N (multiples of MATRIX), BLOCKS_M and BLOCKS_N, their quotients; PARTS; GRAIN, 8 or 4: numbers of
// the right-hand side that one load brings; RHS_ALONG_K, 1 with RHS_IN_PLACE or ALONG_K; LHS_READS and RHS_READS, the loads of either operand
// that an invocation makes for a slab; SPLITS; READS_AHEAD; K_RUNS, the parts of a slab that are written out; COLUMN_LINES, the lines of a matrix of sums that an invocation stores; WG_SIZE: as many whole
// subgroups as the tile has parts. Uniforms: params.items (tiles x splits), tiles_m, tiles_n.

// Matrices of the units: the left operand, the right one, sums.
//@if MATRIX_16
const MATRIX: u32 = 16u;
alias MatrixA = coop_mat16x16<f16, A>;
alias MatrixB = coop_mat16x16<f16, B>;
alias MatrixC = coop_mat16x16<f32, C>;
//@else
const MATRIX: u32 = 8u;
alias MatrixA = coop_mat8x8<f16, A>;
alias MatrixB = coop_mat8x8<f16, B>;
alias MatrixC = coop_mat8x8<f32, C>;
//@end

// What one load of the right-hand side brings.
//@if GRAIN == 8
alias Grain = mat2x4<f16>;
//@else
alias Grain = vec4<f16>;
//@end

// Rows of workgroup memory do not begin in the same bank.
const PITCH_M: u32 = TILE_M + 8u;
const PITCH_N: u32 = TILE_N + 8u;
const PITCH_K: u32 = TILE_K + 8u;
// Numbers of one part of an operand in workgroup memory.
const LHS_PART: u32 = TILE_M * PITCH_K; //@if ALONG_K
const LHS_PART: u32 = TILE_K * PITCH_M; //@if !ALONG_K
const RHS_PART: u32 = TILE_N * PITCH_K; //@if RHS_ALONG_K
const RHS_PART: u32 = TILE_K * PITCH_N; //@if !RHS_ALONG_K

const ROW_ITEMS: u32 = TILE_M / 8u;     // eights of a tile's rows to a step; with ALONG_K eight times as many lie together, of eight steps
const COLUMN_ITEMS: u32 = TILE_N / 8u;  // the same of its columns
const STEP_ITEMS: u32 = TILE_K / GRAIN; // loads of a slab's steps of one column
const COLUMN_STRIDE: u32 = WG_SIZE / STEP_ITEMS;

const SUBGROUPS_N: u32 = TILE_N / SUB_N;
const SUBGROUPS: u32 = SUBGROUPS_N * (TILE_M / SUB_M);
const K_RUN: u32 = TILE_K / K_RUNS; // steps of a part of a slab
const LINE_STRIDE: u32 = ROW_THREADS / (MATRIX / 4u); // lines of a matrix of sums that a subgroup stores at once

//@use gemm/coop_range.wgsl
//@use gemm/coop_operands.wgsl

var<workgroup> sh_sums: array<f32, SUBGROUPS * MATRIX * MATRIX>; // one matrix a subgroup, on its way out

// The step of a slab that eight i of a packed operand is of, or begins at; `outer`: rows or columns of its tile.
fn packed_step(i: u32, outer: u32) -> u32 {
    return i / outer * 8u; //@if ALONG_K
    return i / (outer / 8u); //@if !ALONG_K
}

// Eight i of the rows of the slab from step k0 on; what lies past the depth is zero, and so are an operand's numbers that meet it.
fn read_lhs(i: u32, k0: u32, depth: u32, base: u32, part: u32) -> mat2x4<f16> {
    var v = mat2x4<f16>();
    if (i < TILE_K * ROW_ITEMS) & (k0 + packed_step(i, TILE_M) < depth) {
        v = lhs[(base + k0 * ROW_ITEMS + i) * PARTS + part];
    }
    return v;
}

fn put_lhs(i: u32, part: u32, v: mat2x4<f16>) {
    if i < TILE_K * ROW_ITEMS {
        let step = packed_step(i, TILE_M);
//@if ALONG_K
        let at = part * LHS_PART + (i - step / 8u * TILE_M) * PITCH_K + step;
//@else
        let at = part * LHS_PART + step * PITCH_M + 8u * (i - step * ROW_ITEMS);
//@end
        stage_lhs(at, v[0]);
        stage_lhs(at + 4u, v[1]);
    }
}

//@if RHS_IN_PLACE
// GRAIN steps of a column from step i of an outer K step on.
fn read_rhs(source: Source, i: u32, within: bool, part: u32) -> Grain {
    var v = Grain();
    if source.exists & within {
        v = x[(source.index + i) / GRAIN * PARTS + part];
    }
    return v;
}

fn put_rhs(column: u32, step: u32, part: u32, v: Grain) {
    if column < TILE_N {
        let at = part * RHS_PART + column * PITCH_K + step;
        stage_rhs(at, v); //@if GRAIN == 4
        stage_rhs(at, v[0]); //@if GRAIN == 8
        stage_rhs(at + 4u, v[1]); //@if GRAIN == 8
    }
}
//@else
// As read_lhs and put_lhs.
fn read_rhs(i: u32, k0: u32, depth: u32, base: u32, part: u32) -> mat2x4<f16> {
    var v = mat2x4<f16>();
    if (i < TILE_K * COLUMN_ITEMS) & (k0 + packed_step(i, TILE_N) < depth) {
        v = rhs[(base + k0 * COLUMN_ITEMS + i) * PARTS + part];
    }
    return v;
}

fn put_rhs(i: u32, part: u32, v: mat2x4<f16>) {
    if i < TILE_K * COLUMN_ITEMS {
        let step = packed_step(i, TILE_N);
//@if ALONG_K
        let at = part * RHS_PART + (i - step / 8u * TILE_N) * PITCH_K + step;
//@else
        let at = part * RHS_PART + step * PITCH_N + 8u * (i - step * COLUMN_ITEMS);
//@end
        stage_rhs(at, v[0]);
        stage_rhs(at + 4u, v[1]);
    }
}
//@end

//@if PARTS == 1
fn finished(sum: MatrixC) -> MatrixC {
    return sum;
}
//@else
fn finished(sum: MatrixC, low: MatrixC) -> MatrixC {
    return sum + low * (1.0 / 2048.0); // LOW of gemm/halves.wgsl
}
//@end

@compute @workgroup_size(WG_SIZE)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) thread: u32,
) {
    // Matrix operations want whole subgroups, so nobody leaves early: a tile too many computes the last one again and stores nothing, and
    // where the operands do not fit there is no depth.
    let number = group_id.y * group_count.x + group_id.x;
    let wanted = operands_in_range();
    let stores = wanted & (number < params.items);
    let tile = min(number, params.items - 1u);
    // Neighbouring tiles share their columns: the larger operand stays in the cache while the rows pass by.
    let pair = tile / params.tiles_m;
    let tile_m = tile - pair * params.tiles_m;
    let share = pair / params.tiles_n; // group and split
    let tile_n = pair - share * params.tiles_n;
    let group = share / SPLITS;
    let split = share - group * SPLITS;
    let column0 = tile_n * TILE_N;
    let m0 = subgroup / SUBGROUPS_N * SUB_M;
    let n0 = subgroup % SUBGROUPS_N * SUB_N;

    // The slabs of this split; the last splits may have none.
    let product = gemm_product(group);
    let outer_steps = select(0u, gemm_outer_k(product), wanted);
    let depth = outer_steps * gemm_length();
    let slabs = (depth + TILE_K - 1u) / TILE_K;
    let slabs_each = (slabs + SPLITS - 1u) / SPLITS;
    let first = split * slabs_each;
    let end = min(first + slabs_each, slabs);

    // The matrices of sums of the subgroup's blocks: column J, row I.
//@for J < BLOCKS_N
//@for I < BLOCKS_M
    var sum_J_I = MatrixC();
    var low_J_I = MatrixC(); //@if PARTS == 2
//@end
//@end
    let lhs_base = gemm_lhs_base(product, tile_m);
//@for P < PARTS
//@for Q < LHS_READS
    var lhs_P_Q = read_lhs(local + Q * WG_SIZE, first * TILE_K, depth, lhs_base, P);
//@end
//@end
//@if RHS_IN_PLACE
    // An invocation stages the same steps of a slab for RHS_READS columns, whose sources are worked out once an outer K step.
    let column = local / STEP_ITEMS;
    let step = local % STEP_ITEMS * GRAIN;
    var outer_step = (first * TILE_K + step) / gemm_length();
    var inner = first * TILE_K + step - outer_step * gemm_length();
//@for Q < RHS_READS
    let column_Q = decode_column(product, column0 + column + Q * COLUMN_STRIDE);
    var source_Q = column_source(product.taps, product.step, column_Q, outer_step);
//@for P < PARTS
    var rhs_P_Q = read_rhs(source_Q, inner, outer_step < outer_steps, P);
//@end
//@end
//@else
    let rhs_base = gemm_rhs_base(product, tile_n);
//@for P < PARTS
//@for Q < RHS_READS
    var rhs_P_Q = read_rhs(local + Q * WG_SIZE, first * TILE_K, depth, rhs_base, P);
//@end
//@end
//@end
    for (var slab = first; slab < end; slab++) {
        // 1. What was read is staged.
//@for P < PARTS
//@for Q < LHS_READS
        put_lhs(local + Q * WG_SIZE, P, lhs_P_Q);
//@end
//@for Q < RHS_READS
        put_rhs(column + Q * COLUMN_STRIDE, step, P, rhs_P_Q); //@if RHS_IN_PLACE
        put_rhs(local + Q * WG_SIZE, P, rhs_P_Q); //@if !RHS_IN_PLACE
//@end
//@end
        workgroupBarrier();
//@if !READS_AHEAD
        // 2. It is multiplied.
//@for S < K_RUNS
        for (var k = S * K_RUN; k < S * K_RUN + K_RUN; k += MATRIX) {
            multiply_matrices(
                k, m0, n0,
//@for J < BLOCKS_N
//@for I < BLOCKS_M
                &sum_J_I,
                &low_J_I, //@if PARTS == 2
//@end
//@end
            );
        }
//@end
//@end
        // 3. The next slab is read.
        if slab + 1u < end { // uniform over the workgroup
            let next = (slab + 1u) * TILE_K;
//@for P < PARTS
//@for Q < LHS_READS
            lhs_P_Q = read_lhs(local + Q * WG_SIZE, next, depth, lhs_base, P);
//@end
//@end
//@if RHS_IN_PLACE
            inner += TILE_K;
            if inner >= gemm_length() {
                let passed = inner / gemm_length();
                outer_step += passed;
                inner -= passed * gemm_length();
//@for Q < RHS_READS
                source_Q = column_source(product.taps, product.step, column_Q, outer_step);
//@end
            }
//@for Q < RHS_READS
//@for P < PARTS
            rhs_P_Q = read_rhs(source_Q, inner, outer_step < outer_steps, P);
//@end
//@end
//@else
//@for P < PARTS
//@for Q < RHS_READS
            rhs_P_Q = read_rhs(local + Q * WG_SIZE, next, depth, rhs_base, P);
//@end
//@end
//@end
        }
//@if READS_AHEAD
        // 2. What was staged is multiplied while the next slab is on its way.
//@for S < K_RUNS
        for (var k = S * K_RUN; k < S * K_RUN + K_RUN; k += MATRIX) {
            multiply_matrices(
                k, m0, n0,
//@for J < BLOCKS_N
//@for I < BLOCKS_M
                &sum_J_I,
                &low_J_I, //@if PARTS == 2
//@end
//@end
            );
        }
//@end
//@end
        workgroupBarrier();
    }

    // The scales taken back in two steps, since one alone may lie beyond f32: a sum between them lies between what it was and what it is to be.
    let back = -scale_exponent(lhs_range[0].x) - scale_exponent(rhs_range[0].x);
    let back_first = power_of_two(back / 2);
    let back_second = power_of_two(back - back / 2);
    let matrix_start = subgroup * (MATRIX * MATRIX);
    // The vec4 of a line of sums, and the first of the lines, that this invocation stores of each matrix.
    let vec4_index = thread % (MATRIX / 4u);
    let first_line = thread / (MATRIX / 4u);
    // Unrolled, the epilogue would stand here once for each matrix; this bound is known to no compiler.
    let blocks = select(0u, BLOCKS_N, stores);
    for (var j = 0u; j < blocks; j++) {
        // Where the columns lie is worked out once for all rows.
        let first_column = column0 + n0 + j * MATRIX;
//@if STORE_VEC4 == 3
//@for Q < COLUMN_LINES
        let stored_Q = decode_column(product, first_column + first_line + Q * LINE_STRIDE);
//@end
//@else
        let columns = gemm_columns(product, first_column + 4u * vec4_index);
//@end
        for (var i = 0u; i < BLOCKS_M; i++) {
//@for J < BLOCKS_N
//@for I < BLOCKS_M
            if (j == J) & (i == I) {
                let matrix = finished(sum_J_I); //@if PARTS == 1
                let matrix = finished(sum_J_I, low_J_I); //@if PARTS == 2
                coopStoreT(matrix, &sh_sums[matrix_start], MATRIX); //@if STORE_VEC4 == 3
                coopStore(matrix, &sh_sums[matrix_start], MATRIX); //@if STORE_VEC4 != 3
            }
//@end
//@end
            workgroupBarrier();
            let row0 = tile_m * TILE_M + m0 + i * MATRIX;
//@for Q < COLUMN_LINES
            if first_line + Q * LINE_STRIDE < MATRIX {
                let line = first_line + Q * LINE_STRIDE;
                let at = matrix_start + line * MATRIX + 4u * vec4_index;
                let sum = vec4<f32>(sh_sums[at], sh_sums[at + 1u], sh_sums[at + 2u], sh_sums[at + 3u]) * back_first * back_second;
//@if STORE_VEC4 == 3
                // A line is a column: four rows at once.
                let row = row0 + 4u * vec4_index;
                if row < params.filters {
                    store_filters(stored_Q, product.group * params.filters + row, sum);
                }
//@else
                gemm_store(columns, share, row0 + line, sum);
//@end
            }
//@end
            workgroupBarrier();
        }
    }
}
