// The transforms of F(2,3) along one axis: interpolation at 0, 1, -1 and infinity (Lavin and Gray 2015, section 4.1). All constants
// are powers of two: on small integers nothing is rounded. src/ops/conv/winograd.rs has the matrices.

const TAPS: u32 = 3u;

fn input_transform(d: array<f32, 4>) -> array<f32, 4> {
    return array<f32, 4>(d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]);
}

fn filter_transform(g: array<f32, 3>) -> array<f32, 4> {
    let even = 0.5 * (g[0] + g[2]);
    return array<f32, 4>(g[0], even + 0.5 * g[1], even - 0.5 * g[1], g[2]);
}

fn output_transform(m: array<f32, 4>) -> array<f32, 2> {
    return array<f32, 2>(m[0] + m[1] + m[2], m[1] - m[2] - m[3]);
}
