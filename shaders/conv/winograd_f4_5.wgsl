// The transforms of F(4,5) along one axis: interpolation at 0, 1, -1, 2, -2, 1/2, -1/2 and infinity. Only the filter's side has constants that are no binary
// fractions. src/ops/conv/winograd.rs has the matrices.

const TAPS: u32 = 5u;

fn input_transform(d: array<f32, 8>) -> array<f32, 8> {
    let one_even = (d[2] + d[6]) - 4.25 * d[4];
    let one_odd = (d[1] + d[5]) - 4.25 * d[3];
    let two_even = (d[6] + 0.25 * d[2]) - 1.25 * d[4];
    let two_odd = (2.0 * d[5] + 0.5 * d[1]) - 2.5 * d[3];
    let half_even = (d[6] + 4.0 * d[2]) - 5.0 * d[4];
    let half_odd = (0.5 * d[5] + 2.0 * d[1]) - 2.5 * d[3];
    return array<f32, 8>(
        (d[0] - d[6]) + 5.25 * (d[4] - d[2]),
        one_even + one_odd,
        one_even - one_odd,
        two_even + two_odd,
        two_even - two_odd,
        half_even + half_odd,
        half_even - half_odd,
        (d[7] - d[1]) + 5.25 * (d[3] - d[5]),
    );
}

fn filter_transform(g: array<f32, 5>) -> array<f32, 8> {
    let one_even = g[0] + g[2] + g[4];
    let one_odd = g[1] + g[3];
    let two_even = g[0] + 4.0 * g[2] + 16.0 * g[4];
    let two_odd = 2.0 * g[1] + 8.0 * g[3];
    let half_even = 16.0 * g[0] + 4.0 * g[2] + g[4];
    let half_odd = 8.0 * g[1] + 2.0 * g[3];
    return array<f32, 8>(
        g[0],
        (one_even + one_odd) * (-2.0 / 9.0),
        (one_even - one_odd) * (-2.0 / 9.0),
        (two_even + two_odd) * (1.0 / 90.0),
        (two_even - two_odd) * (1.0 / 90.0),
        (half_even + half_odd) * (2.0 / 45.0),
        (half_even - half_odd) * (2.0 / 45.0),
        g[4],
    );
}

fn output_transform(m: array<f32, 8>) -> array<f32, 4> {
    let one_sum = m[1] + m[2];
    let one_difference = m[1] - m[2];
    let two_sum = m[3] + m[4];
    let two_difference = m[3] - m[4];
    let half_sum = m[5] + m[6];
    let half_difference = m[5] - m[6];
    return array<f32, 4>(
        (m[0] + one_sum) + (two_sum + half_sum),
        one_difference + (2.0 * two_difference + 0.5 * half_difference),
        one_sum + (4.0 * two_sum + 0.25 * half_sum),
        (one_difference + 8.0 * two_difference) + (0.125 * half_difference + m[7]),
    );
}
