// Normalisation that gives no statistics.

fn store_statistics(row: u32, mean: f32, inverse: f32) {}
