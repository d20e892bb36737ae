// The transforms of F(2,5) along one axis, in seven products: F(2,3) of the first three taps, F(2,2) of the last two. All constants are powers of two: on small
// integers nothing is rounded. src/ops/conv/winograd.rs has the matrices, and why not six products.

const TAPS: u32 = 5u;

fn input_transform(d: array<f32, 6>) -> array<f32, 7> {
    return array<f32, 7>(d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3], d[3] - d[4], d[4], d[5] - d[4]);
}

fn filter_transform(g: array<f32, 5>) -> array<f32, 7> {
    let even = 0.5 * (g[0] + g[2]);
    return array<f32, 7>(g[0], even + 0.5 * g[1], even - 0.5 * g[1], g[2], g[3], g[3] + g[4], g[4]);
}

fn output_transform(m: array<f32, 7>) -> array<f32, 2> {
    return array<f32, 2>((m[0] + (m[1] + m[2])) + (m[4] + m[5]), (m[1] - m[2] - m[3]) + (m[5] + m[6]));
}
