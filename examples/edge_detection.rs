//! Edge detection on a photograph: Sobel filters along both axes as one convolution of two filters, then the length of the gradient.
//!
//! `cargo run --release --example edge_detection [IN.png [OUT.png]]`

use ndarray::Array4;
use wgconv::conv::Conv2dDescriptor;
use wgconv::{Gpu, PaddingMode, shape::Padding};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let input = arguments.next().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/cli/tests/data/camera.png").into());
    let output = arguments.next().map_or_else(|| std::env::temp_dir().join("wgconv_edges.png"), Into::into);

    let photograph = image::open(&input)?.into_luma8();
    let (width, height) = photograph.dimensions();
    let pixels = photograph.iter().map(|p| f32::from(*p)).collect();
    let x = Array4::from_shape_vec((1, 1, height as usize, width as usize), pixels)?;

    // Cross-correlation, as the field has it: the filter lies on the image as it is written.
    let sobel = vec![
        -1.0f32, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0, // horizontal change
        -1.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0, // vertical change
    ];
    let filter = Array4::from_shape_vec((2, 1, 3, 3), sobel)?;
    // The border is mirrored, so that it makes no edge of its own.
    let descriptor = Conv2dDescriptor { padding: Padding::uniform(1), padding_mode: PaddingMode::Reflect, ..Default::default() };

    let gpu = Gpu::new()?;
    let y: Array4<f32> = gpu.run(|r| r.conv2d(&gpu.upload(&x)?, &gpu.upload(&filter)?, None, &descriptor))?.download()?;
    let edges = image::GrayImage::from_fn(width, height, |column, row| {
        let (dx, dy) = (y[[0, 0, row as usize, column as usize]], y[[0, 1, row as usize, column as usize]]);
        image::Luma([dx.hypot(dy).min(255.0) as u8])
    });
    edges.save(&output)?;
    let strong = edges.iter().filter(|p| **p > 128).count();
    println!("{input}: {strong} of {} pixels lie on strong edges; written to {}", edges.len(), output.display());
    assert!(strong > 0 || input != concat!(env!("CARGO_MANIFEST_DIR"), "/cli/tests/data/camera.png"), "a photograph has edges");
    Ok(())
}
