// Normalisation that also gives each row's mean and inverse standard deviation.

@group(0) @binding(5) var<storage, read_write> output_mean: array<Elem>;
@group(0) @binding(6) var<storage, read_write> output_inverse: array<Elem>;

fn store_statistics(row: u32, mean: f32, inverse: f32) {
    output_mean[row] = Elem(mean);
    output_inverse[row] = Elem(inverse);
}
