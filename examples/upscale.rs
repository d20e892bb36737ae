//! A picture at twice its height and width by a network from bytes to bytes: a convolution that gives four numbers for each pixel and channel, and their places
//! in the larger picture (depth to space), as ESPCN has it (Shi et al., Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
//! Convolutional Neural Network, 2016). Its weights are those of bicubic interpolation (Keys, 1981, a = -1/2), not learned ones.
//!
//! `cargo run --release --example upscale [IN.png [OUT.png]]`: the picture is made smaller first, so that the result has something to be compared with.

use ndarray::Array4;
use wgconv::conv::Conv2dDescriptor;
use wgconv::image::{ImageDescriptor, ImageFormat};
use wgconv::transform::{DepthToSpaceDescriptor, DepthToSpaceMode};
use wgconv::{Extent, Gpu, Graph, Padding, PaddingMode, Result, Session};

/// Taps along an axis: a pixel of the larger picture lies a quarter before or behind the middle of one of the smaller, and takes four around it.
const TAPS: usize = 5;

/// Keys's kernel for a = -1/2.
fn cubic(x: f32) -> f32 {
    let x = x.abs();
    match x {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}

/// Weights along an axis for the first and the second pixel of a pair.
fn weights(phase: usize) -> [f32; TAPS] {
    let at = if phase == 0 { -0.25 } else { 0.25 };
    std::array::from_fn(|tap| cubic(tap as f32 - 2.0 - at))
}

fn network(height: usize, width: usize) -> Result<Graph> {
    let bytes = ImageDescriptor { scale: [255.0; 4], ..Default::default() };
    let mut g = Graph::new();
    let picture = g.image_input("picture", Extent::Is(1), ImageFormat::Rgb8, [height, width])?;
    let x = g.image_from_bytes(picture, ImageFormat::Rgb8, [height, width], &bytes)?;
    // Of each channel four: the pixels of a block of 2 x 2, row by row, which is the order of depth_to_space's CRD mode.
    let filter = Array4::from_shape_fn((3 * 4, 1, TAPS, TAPS), |(k, _, i, j)| weights(k % 4 / 2)[i] * weights(k % 2)[j]);
    let w = g.parameter("bicubic", filter.view())?;
    let around = Padding::uniform(TAPS / 2);
    let y = g.conv2d(x, w, None, &Conv2dDescriptor { padding: around, padding_mode: PaddingMode::Replicate, groups: 3, ..Default::default() })?;
    let y = g.depth_to_space(y, &DepthToSpaceDescriptor { block: 2, mode: DepthToSpaceMode::Crd })?;
    let larger = g.image_to_bytes(y, ImageFormat::Rgb8, &bytes)?;
    g.output("larger", larger)?;
    Ok(g)
}

/// Peak signal to noise ratio of two pictures of bytes, in dB.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    20.0 * 255f64.log10() - 10.0 * (squares / a.len() as f64).log10()
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let input = arguments.next().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/cli/tests/data/chelsea.png").into());
    let output = arguments.next().map_or_else(|| std::env::temp_dir().join("wgconv_upscale.png"), Into::into);
    let photograph = image::open(&input)?.into_rgb8();
    let (width, height) = (photograph.width() / 2, photograph.height() / 2);
    let photograph = image::imageops::crop_imm(&photograph, 0, 0, 2 * width, 2 * height).to_image();
    // Each pixel of the smaller picture is the mean of four.
    let small = image::RgbImage::from_fn(width, height, |x, y| {
        let of =
            |c: usize| [(0, 0), (1, 0), (0, 1), (1, 1)].iter().map(|(i, j)| u32::from(photograph.get_pixel(2 * x + i, 2 * y + j)[c])).sum::<u32>();
        image::Rgb([0, 1, 2].map(|c| ((of(c) + 2) / 4) as u8))
    });

    let graph = network(height as usize, width as usize)?;
    println!("{graph}");
    let on_cpu = Session::cpu(&graph)?.run_with(&[("picture", small.as_raw().as_slice().into())])?;
    let larger = on_cpu.bytes("larger").ok_or("no bytes")?;
    match Gpu::new() {
        Ok(gpu) => {
            let on_gpu = Session::gpu(&gpu, &graph)?.run_with(&[("picture", small.as_raw().as_slice().into())])?;
            let on_gpu = on_gpu.bytes("larger").ok_or("no bytes")?;
            // A number near the middle between two bytes may become either.
            let most = larger.iter().zip(on_gpu).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(most <= Some(1), "the engines are {most:?} apart");
            println!("{}: the bytes of both engines are at most {} apart", gpu.report(), most.unwrap_or(0));
        }
        Err(error) => println!("{error}: the CPU engine computes"),
    }

    let nearest = image::imageops::resize(&small, 2 * width, 2 * height, image::imageops::FilterType::Nearest);
    let theirs = image::imageops::resize(&small, 2 * width, 2 * height, image::imageops::FilterType::CatmullRom);
    let [repeated, own, other] = [nearest.as_raw().as_slice(), larger, theirs.as_raw().as_slice()].map(|picture| psnr(picture, photograph.as_raw()));
    println!("against the photograph: pixels repeated {repeated:.2} dB, the network {own:.2} dB, the image crate's bicubic filter {other:.2} dB");
    assert!(own > repeated + 1.0, "interpolation is nearer to the photograph than repeated pixels");
    assert!((own - other).abs() < 0.1, "Catmull and Rom's filter is Keys's for a = -1/2");

    // The look: pixels repeated, the network, the photograph, side by side.
    let larger = image::RgbImage::from_raw(2 * width, 2 * height, larger.to_vec()).ok_or("a picture of another size")?;
    let mut looked = image::RgbImage::new(6 * width, 2 * height);
    for (i, picture) in [&nearest, &larger, &photograph].into_iter().enumerate() {
        image::imageops::replace(&mut looked, picture, i as i64 * 2 * i64::from(width), 0);
    }
    looked.save(&output)?;
    println!("pixels repeated, the network, the photograph: {}", output.display());
    Ok(())
}
