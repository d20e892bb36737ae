// The transforms of F(4,3) along one axis: interpolation at 0, 1/2, -1/2, 2, -2 and infinity. The usual points 1, -1, 2, -2 amplify
// rounding errors twice as much (src/ops/conv/winograd.rs computes both); with these, only the filter's side has constants that are no
// binary fractions.

const TAPS: u32 = 3u;

fn input_transform(d: array<f32, 6>) -> array<f32, 6> {
    let half_even = d[4] - 4.0 * d[2];
    let half_odd = 0.5 * d[3] - 2.0 * d[1];
    let two_even = d[4] - 0.25 * d[2];
    let two_odd = 2.0 * d[3] - 0.5 * d[1];
    return array<f32, 6>(
        d[0] - 4.25 * d[2] + d[4],
        half_even + half_odd,
        half_even - half_odd,
        two_even + two_odd,
        two_even - two_odd,
        d[1] - 4.25 * d[3] + d[5],
    );
}

fn filter_transform(g: array<f32, 3>) -> array<f32, 6> {
    let half_even = g[0] + 0.25 * g[2];
    let two_even = g[0] + 4.0 * g[2];
    return array<f32, 6>(
        g[0],
        (half_even + 0.5 * g[1]) * (-8.0 / 15.0),
        (half_even - 0.5 * g[1]) * (-8.0 / 15.0),
        (two_even + 2.0 * g[1]) * (1.0 / 30.0),
        (two_even - 2.0 * g[1]) * (1.0 / 30.0),
        g[2],
    );
}

fn output_transform(m: array<f32, 6>) -> array<f32, 4> {
    let half_sum = m[1] + m[2];
    let half_difference = m[1] - m[2];
    let two_sum = m[3] + m[4];
    let two_difference = m[3] - m[4];
    return array<f32, 4>(
        m[0] + half_sum + two_sum,
        0.5 * half_difference + 2.0 * two_difference,
        0.25 * half_sum + 4.0 * two_sum,
        0.125 * half_difference + 8.0 * two_difference + m[5],
    );
}
