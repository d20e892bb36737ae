// The adjoints of the transforms of conv/winograd_axes.wgsl, which the gradient by the filter has: A where the forward convolution has A^T, and G^T where it has
// G (src/ops/conv/winograd.rs has the matrices). The input's is the same. On small integers those of F(2,3) and F(2,5) round nothing.

//@use conv/winograd_axes.wgsl

//@if LARGE
fn output_adjoint(y: array<f32, 4>) -> array<f32, LINES_MOST> {
//@if TAPS_5
    let one_even = y[0] + y[2];
    let one_odd = y[1] + y[3];
    let two_even = y[0] + 4.0 * y[2];
    let two_odd = 2.0 * y[1] + 8.0 * y[3];
    let half_even = y[0] + 0.25 * y[2];
    let half_odd = 0.5 * y[1] + 0.125 * y[3];
    return array<f32, 8>(
        y[0],
        one_even + one_odd,
        one_even - one_odd,
        two_even + two_odd,
        two_even - two_odd,
        half_even + half_odd,
        half_even - half_odd,
        y[3],
    );
//@else
    let half_even = y[0] + 0.25 * y[2];
    let half_odd = 0.5 * y[1] + 0.125 * y[3];
    let two_even = y[0] + 4.0 * y[2];
    let two_odd = 2.0 * y[1] + 8.0 * y[3];
    return array<f32, 6>(y[0], half_even + half_odd, half_even - half_odd, two_even + two_odd, two_even - two_odd, y[3]);
//@end
}
//@else
fn output_adjoint(y: array<f32, 2>) -> array<f32, LINES_MOST> {
    let sum = y[0] + y[1];
//@if TAPS_5
    return array<f32, 7>(y[0], sum, y[0] - y[1], -y[1], y[0], sum, y[1]);
//@else
    return array<f32, 4>(y[0], sum, y[0] - y[1], -y[1]);
//@end
}
//@end

fn filter_adjoint(m: array<f32, LINES_MOST>) -> array<f32, TAPS> {
//@if LARGE
//@if TAPS_5
    let one_even = (-2.0 / 9.0) * (m[1] + m[2]);
    let one_odd = (-2.0 / 9.0) * (m[1] - m[2]);
    let two_even = (1.0 / 90.0) * (m[3] + m[4]);
    let two_odd = (1.0 / 90.0) * (m[3] - m[4]);
    let half_even = (2.0 / 45.0) * (m[5] + m[6]);
    let half_odd = (2.0 / 45.0) * (m[5] - m[6]);
    return array<f32, 5>(
        (m[0] + one_even) + (two_even + 16.0 * half_even),
        one_odd + (2.0 * two_odd + 8.0 * half_odd),
        one_even + (4.0 * two_even + 4.0 * half_even),
        one_odd + (8.0 * two_odd + 2.0 * half_odd),
        (one_even + 16.0 * two_even) + (half_even + m[7]),
    );
//@else
    let half_even = (2.0 / 15.0) * (m[1] + m[2]);
    let half_odd = (2.0 / 15.0) * (m[1] - m[2]);
    let two_even = (1.0 / 30.0) * (m[3] + m[4]);
    let two_odd = (1.0 / 30.0) * (m[3] - m[4]);
    return array<f32, 3>((m[0] - 4.0 * half_even) + two_even, 2.0 * (two_odd - half_odd), (4.0 * two_even - half_even) + m[5]);
//@end
//@else
    let even = 0.5 * (m[1] + m[2]);
    let odd = 0.5 * (m[1] - m[2]);
//@if TAPS_5
    return array<f32, 5>(m[0] + even, odd, even + m[3], m[4] + m[5], m[5] + m[6]);
//@else
    return array<f32, 3>(m[0] + even, odd, even + m[3]);
//@end
//@end
}

//@if AXES != 2
const LINES_MOST: u32 = LINES_W;

fn output_adjoint_along_width(line: array<f32, TILE_W>) -> array<f32, LINES_W> {
    return output_adjoint(line);
}

fn filter_adjoint_along_width(line: array<f32, LINES_W>) -> array<f32, TAPS_W> {
    return filter_adjoint(line);
}
//@else
const LINES_MOST: u32 = LINES_H;

fn output_adjoint_along_width(line: array<f32, TILE_W>) -> array<f32, LINES_W> {
    return line;
}

fn filter_adjoint_along_width(line: array<f32, LINES_W>) -> array<f32, TAPS_W> {
    return line;
}
//@end

//@if AXES != 1
fn output_adjoint_along_height(line: array<f32, TILE_H>) -> array<f32, LINES_H> {
    return output_adjoint(line);
}

fn filter_adjoint_along_height(line: array<f32, LINES_H>) -> array<f32, TAPS_H> {
    return filter_adjoint(line);
}
//@else
fn output_adjoint_along_height(line: array<f32, TILE_H>) -> array<f32, LINES_H> {
    return line;
}

fn filter_adjoint_along_height(line: array<f32, LINES_H>) -> array<f32, TAPS_H> {
    return line;
}
//@end
