// The discrete Fourier transform of lines of LENGTH complex numbers (real part, imaginary part), in registers and one exchange between them.
//
// LENGTH = RADIX_A RADIX_B, powers of two, RADIX_B <= RADIX_A <= 32 (Cooley and Tukey, An algorithm for the machine calculation of complex Fourier
// series, 1965): a workgroup has LINES lines, RADIX_B threads a line, each with RADIX_A numbers: thread t has those with number RADIX_B i + t, before
// and after. The inverse is the same transform of numbers whose parts are exchanged.
//
// Prelude: RADIX_A, RADIX_B, HALF (RADIX_A / 2), BITS_A and BITS_B (their logarithms). The kernel binds `roots`: e^(-2 pi i k / LENGTH) for every k.

const LENGTH: u32 = RADIX_A * RADIX_B;
const LINES: u32 = 64u / RADIX_B;

alias Numbers = array<vec2<f32>, RADIX_A>;

//@if RADIX_B > 1
// Rows of RADIX_B numbers, one more apart: neighbouring threads read and write different banks. The longest lines fill the 16 KiB that every device has.
const ROW: u32 = RADIX_B + 1u - RADIX_A / 32u;
const PITCH: u32 = RADIX_A * ROW;
var<workgroup> exchange: array<vec2<f32>, LINES * PITCH>;
//@end

fn complex_product(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(fma(a.x, b.x, -(a.y * b.y)), fma(a.x, b.y, a.y * b.x));
}

//@if RADIX_A > 1
// e^(-2 pi i k / 32).
const ROOTS_32 = array<vec2<f32>, 16>(
    vec2<f32>(1.0, 0.0),
    vec2<f32>(0.98078528040323043, -0.19509032201612825),
    vec2<f32>(0.92387953251128674, -0.38268343236508978),
    vec2<f32>(0.83146961230254524, -0.55557023301960218),
    vec2<f32>(0.70710678118654757, -0.70710678118654746),
    vec2<f32>(0.55557023301960229, -0.83146961230254524),
    vec2<f32>(0.38268343236508984, -0.92387953251128674),
    vec2<f32>(0.19509032201612833, -0.98078528040323043),
    vec2<f32>(0.0, -1.0),
    vec2<f32>(-0.19509032201612819, -0.98078528040323043),
    vec2<f32>(-0.38268343236508973, -0.92387953251128674),
    vec2<f32>(-0.55557023301960196, -0.83146961230254546),
    vec2<f32>(-0.70710678118654746, -0.70710678118654757),
    vec2<f32>(-0.83146961230254535, -0.55557023301960218),
    vec2<f32>(-0.92387953251128674, -0.38268343236508989),
    vec2<f32>(-0.98078528040323043, -0.19509032201612861),
);

// Times a root of unity that the compiler knows.
fn turned(v: vec2<f32>, root: vec2<f32>) -> vec2<f32> {
    if root.y == 0.0 {
        return v;
    }
    if root.x == 0.0 {
        return vec2<f32>(v.y, -v.x);
    }
    return complex_product(v, root);
}

// What halves transforms of 2, 4, .. numbers that lie one after the other (decimation in frequency): sums for the even frequencies, differences for the
// odd ones.
//@if RADIX_A > 31
fn halve_32(v: ptr<function, Numbers>) {
    //@for I < HALF
    const j_I = I % 16u;
    const at_I = 2u * (I - j_I) + j_I;
    let sum_I = (*v)[at_I] + (*v)[at_I + 16u];
    (*v)[at_I + 16u] = turned((*v)[at_I] - (*v)[at_I + 16u], ROOTS_32[j_I * 1u]);
    (*v)[at_I] = sum_I;
    //@end
}
//@end

//@if RADIX_A > 15
fn halve_16(v: ptr<function, Numbers>) {
    //@for I < HALF
    const j_I = I % 8u;
    const at_I = 2u * (I - j_I) + j_I;
    let sum_I = (*v)[at_I] + (*v)[at_I + 8u];
    (*v)[at_I + 8u] = turned((*v)[at_I] - (*v)[at_I + 8u], ROOTS_32[j_I * 2u]);
    (*v)[at_I] = sum_I;
    //@end
}
//@end

//@if RADIX_A > 7
fn halve_8(v: ptr<function, Numbers>) {
    //@for I < HALF
    const j_I = I % 4u;
    const at_I = 2u * (I - j_I) + j_I;
    let sum_I = (*v)[at_I] + (*v)[at_I + 4u];
    (*v)[at_I + 4u] = turned((*v)[at_I] - (*v)[at_I + 4u], ROOTS_32[j_I * 4u]);
    (*v)[at_I] = sum_I;
    //@end
}
//@end

//@if RADIX_A > 3
fn halve_4(v: ptr<function, Numbers>) {
    //@for I < HALF
    const j_I = I % 2u;
    const at_I = 2u * (I - j_I) + j_I;
    let sum_I = (*v)[at_I] + (*v)[at_I + 2u];
    (*v)[at_I + 2u] = turned((*v)[at_I] - (*v)[at_I + 2u], ROOTS_32[j_I * 8u]);
    (*v)[at_I] = sum_I;
    //@end
}
//@end

fn halve_2(v: ptr<function, Numbers>) {
    //@for I < HALF
    const j_I = I % 1u;
    const at_I = 2u * (I - j_I) + j_I;
    let sum_I = (*v)[at_I] + (*v)[at_I + 1u];
    (*v)[at_I + 1u] = turned((*v)[at_I] - (*v)[at_I + 1u], ROOTS_32[j_I * 16u]);
    (*v)[at_I] = sum_I;
    //@end
}
//@end

fn transform_line(v: ptr<function, Numbers>, line: u32, t: u32) {
    halve_32(v); //@if RADIX_A > 31
    halve_16(v); //@if RADIX_A > 15
    halve_8(v); //@if RADIX_A > 7
    halve_4(v); //@if RADIX_A > 3
    halve_2(v); //@if RADIX_A > 1
    //@if RADIX_B > 1
    workgroupBarrier(); // who reads the numbers of an earlier exchange is done
    //@for I < RADIX_A
    const k_I = reverseBits(I) >> (32u - BITS_A);
    exchange[line * PITCH + k_I * ROW + t] = complex_product((*v)[I], roots[k_I * t]);
    //@end
    workgroupBarrier();
    //@for I < RADIX_A
    (*v)[I] = exchange[line * PITCH + (t + I / RADIX_B * RADIX_B) * ROW + I % RADIX_B];
    //@end
    halve_16(v); //@if RADIX_B > 15
    halve_8(v); //@if RADIX_B > 7
    halve_4(v); //@if RADIX_B > 3
    halve_2(v);
    //@end
    // Frequencies come out with their bits reversed.
    //@if RADIX_A > 1
    let w = *v;
    //@if RADIX_B > 1
    //@for I < RADIX_A
    const to_I = I / RADIX_B + RADIX_A / RADIX_B * (reverseBits(I % RADIX_B) >> (32u - BITS_B));
    (*v)[to_I] = w[I];
    //@end
    //@else
    //@for I < RADIX_A
    const to_I = reverseBits(I) >> (32u - BITS_A);
    (*v)[to_I] = w[I];
    //@end
    //@end
    //@end
}
