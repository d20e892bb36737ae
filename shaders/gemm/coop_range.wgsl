// Whether both operands of a product can be scaled into f16's range. Shared by the kernel on cooperative matrices and by the plain one that takes its
// place where they cannot: of the two, one leaves at once.

//@use gemm/scale.wgsl

// Bits of the largest magnitude in an operand, and of the least that is the largest of one of its lines (gemm/magnitudes.wgsl); or 0.
//@if BOUND_6
@group(0) @binding(6) var<storage, read> lhs_range: array<vec2<u32>>;
//@else
var<private> lhs_range: array<vec2<u32>, 1>; // nothing is bound
//@end
//@if BOUND_7
@group(0) @binding(7) var<storage, read> rhs_range: array<vec2<u32>>;
//@else
var<private> rhs_range: array<vec2<u32>, 1>; // nothing is bound
//@end

fn operands_in_range() -> bool {
    return can_scale(lhs_range[0].x, lhs_range[0].y) & can_scale(rhs_range[0].x, rhs_range[0].y);
}
