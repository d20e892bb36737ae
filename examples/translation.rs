//! What moving a photograph does to a convolution's output: it moves along, bit for bit; behind a stride or a pool of 2 only for moves that 2 divides.
//!
//! `cargo run --release --example translation`

use ndarray::{Array4, s};
use wgconv::conv::{Accuracy, Conv2dDescriptor};
use wgconv::pool::PoolDescriptor;
use wgconv::{Activation, Gpu, Recorder, Tensor};

/// Pixels of a side.
const SIDE: usize = 128;
const SHIFTS: std::ops::RangeInclusive<usize> = 1..=4;

/// Layers that see a picture, and by how many pixels each of their outputs lies from the next.
type Layers = fn(&mut Recorder<'_>, &Tensor, &Tensor) -> wgconv::Result<Tensor>;
const ALL: [(&str, usize, Layers); 4] = [
    ("convolution", 1, |r, x, w| r.conv2d(x, w, None, &plain([1, 1], Activation::None))),
    ("convolution, relu", 1, |r, x, w| r.conv2d(x, w, None, &plain([1, 1], Activation::Relu))),
    ("convolution, max pool of 2", 2, |r, x, w| {
        let y = r.conv2d(x, w, None, &plain([1, 1], Activation::None))?;
        r.pool(&y, &PoolDescriptor::window([2, 2]))
    }),
    ("convolution with stride 2", 2, |r, x, w| r.conv2d(x, w, None, &plain([2, 2], Activation::None))),
];

/// Plain sums: Winograd's transforms would round an output by where it lies in its tile.
fn plain(stride: [usize; 2], activation: Activation) -> Conv2dDescriptor {
    Conv2dDescriptor { stride, activation, accuracy: Accuracy::Exact, ..Default::default() }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let photograph = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/cli/tests/data/camera.png"))?.into_luma8();
    // The same scene seen by a camera that turns: windows of the photograph, `shift` columns apart, so that no border is made up.
    let seen = |shift: usize| {
        Array4::from_shape_fn((1, 1, SIDE, SIDE), |(_, _, y, x)| {
            f32::from(photograph.get_pixel((150 + x + shift) as u32, (60 + y) as u32).0[0]) / 255.0
        })
    };
    // Four filters, whose sums round: nothing here is exact by luck.
    let filter = Array4::from_shape_fn((4, 1, 3, 3), |(k, _, y, x)| ((5 * k + 3 * y + 7 * x) as f32).sin());

    let gpu = Gpu::new()?;
    let filter = gpu.upload(&filter)?;
    println!("equal outputs, of all that both pictures have\n");
    let titles: Vec<String> = SHIFTS.map(|shift| format!("{shift} px")).collect();
    println!("{:<28}{}", "moved by", titles.iter().map(|title| format!("{title:>9}")).collect::<String>());
    for (name, step, layers) in ALL {
        let run = |shift: usize| -> wgconv::Result<Array4<f32>> { gpu.run(|r| layers(r, &gpu.upload(&seen(shift))?, &filter))?.download() };
        let at_rest = run(0)?;
        let mut line = String::new();
        for shift in SHIFTS {
            let moved = run(shift)?;
            // Output j of the moved picture is output j + shift / step of the other; a part of a step is nowhere.
            let by = shift / step;
            let (old, new) = (at_rest.slice(s![.., .., .., by..]), moved.slice(s![.., .., .., ..moved.dim().3 - by]));
            let equal = old.iter().zip(new).filter(|(old, new)| old.to_bits() == new.to_bits()).count() as f64 / old.len() as f64;
            line += &format!("{:>8.1}%", 100.0 * equal);
            assert_eq!(equal == 1.0, shift % step == 0, "{name}, moved by {shift}: {equal}");
        }
        println!("{name:<28}{line}");
    }
    Ok(())
}
