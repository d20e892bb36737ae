//! Pictures changed at random before a step: moved, mirrored, turned, made larger or smaller.
//!
//! What is done to a picture follows from the seed, the step and the sample by Philox, as six numbers. A small graph on the trainer's engine makes of them the
//! positions that it samples the picture at.

use crate::graph::Graph;
use crate::numeric::philox::philox;
use crate::ops::transform::grid_sample::{GridSampleDescriptor, GridSampleMode, GridSamplePadding};
use crate::session::Session;
use crate::train::engine::Engine;
use crate::types::{Error, Result};
use ndarray::{Array2, Array3, ArrayD, ArrayViewD};
use serde::{Deserialize, Serialize};

/// Sets the random numbers of changes apart from those of dropouts, whose streams count from 0.
const STREAM: u32 = 0x6175_676d;

/// What is changed at random in pictures N C H W before a step; what comes in at an edge is 0. A picture is moved, then mirrored, then turned and scaled about
/// its centre.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Most pixels that a picture is moved by, up or down and to either side; whole ones.
    pub shift: usize,
    /// Whether every other one is mirrored, left to right.
    pub flip: bool,
    /// Most degrees that a picture is turned by, to either side.
    pub rotate: f32,
    /// Most that a picture is made larger or smaller by: 0.1 for factors from 0.9 to 1.1.
    pub scale: f32,
}

/// What is done to one picture.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Change {
    /// Pixels that it moves down and to the right.
    shift: [i64; 2],
    mirrored: bool,
    /// Radians, against the clock.
    angle: f64,
    factor: f64,
}

impl Change {
    /// Where a pixel of the result comes from: the position from the centre along W and H, in units in which the picture reaches from -1 to 1, is the row
    /// (x, y, 1) times these, x and y the pixel's own position from the centre in pixels.
    fn positions(self, [height, width]: [usize; 2]) -> [[f64; 2]; 3] {
        let (sine, cosine) = (libm::sin(self.angle) / self.factor, libm::cos(self.angle) / self.factor);
        let side = if self.mirrored { -1.0 } else { 1.0 };
        let [along, down] = [2.0 / width as f64, 2.0 / height as f64];
        [[side * cosine * along, sine * down], [-side * sine * along, cosine * down], [-self.shift[1] as f64 * along, -self.shift[0] as f64 * down]]
    }
}

impl Augmentation {
    /// Whether pictures stay as they are.
    pub fn is_none(&self) -> bool {
        self.shift == 0 && !self.flip && self.moves_whole_pixels()
    }

    /// Whether each pixel of the result is one of the picture, or 0.
    fn moves_whole_pixels(&self) -> bool {
        self.rotate == 0.0 && self.scale == 0.0
    }

    /// Whether its fields are in range.
    ///
    /// # Errors
    /// Degrees outside 0 to 180; a scale outside 0 to below 1.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=180.0).contains(&self.rotate) {
            return Err(Error::invalid("rotate", self.rotate, "it is from 0 to 180 degrees"));
        }
        if (0.0..1.0).contains(&self.scale) { Ok(()) } else { Err(Error::invalid("scale", self.scale, "it is from 0 to below 1")) }
    }

    fn change(&self, sample: usize, [height, width]: [usize; 2], seed: u64, step: u64) -> Change {
        let low = u64::from(u32::MAX);
        let key = [((seed ^ seed >> 32) & low) as u32, STREAM];
        let words = |block: u32| philox([sample as u32, (step & low) as u32, (step >> 32) as u32, block], key);
        let ([down, right, side, angle], [factor, ..]) = (words(0), words(1));
        let moved = |word: u32, extent: usize| {
            let reach = self.shift.min(extent.saturating_sub(1)) as u64;
            // The high half of a product of 32 bits and the count of places: even but for a part in 2^32.
            ((u128::from(word) * u128::from(2 * reach + 1)) >> 32) as i64 - reach as i64
        };
        let unit = |word: u32| f64::from(word) / 2f64.powi(31) - 1.0;
        Change {
            shift: [moved(down, height), moved(right, width)],
            mirrored: self.flip && side & 1 == 1,
            angle: (unit(angle) * f64::from(self.rotate)).to_radians(),
            factor: 1.0 + unit(factor) * f64::from(self.scale),
        }
    }

    /// The numbers of these samples at a step, N x 3 x 2: what the graph takes as `changes`.
    pub(super) fn changes(&self, samples: &[usize], extents: &[usize], seed: u64, step: u64) -> Result<ArrayD<f32>> {
        let [.., height, width] = *picture(extents)?;
        let of = |sample: usize| self.change(sample, [height, width], seed, step).positions([height, width]);
        let all: Vec<[[f64; 2]; 3]> = samples.iter().map(|&sample| of(sample)).collect();
        Ok(Array3::from_shape_fn((samples.len(), 3, 2), |(n, i, k)| all[n][i][k] as f32).into_dyn())
    }

    /// The graph that takes `samples`, so many pictures of these extents, and their `changes`, and gives `input`.
    pub(super) fn graph(&self, count: usize, extents: &[usize]) -> Result<Graph> {
        let &[channels, height, width] = picture(extents)?;
        let mut graph = Graph::new();
        let x = graph.input("samples", [count, channels, height, width].map(Into::into))?;
        let changes = graph.input("changes", [count, 3, 2].map(Into::into))?;
        // Multiples of a half: exact.
        let from_centre = |i: usize, extent: usize| i as f32 + 0.5 - extent as f32 / 2.0;
        let pixels = Array2::from_shape_fn((height * width, 3), |(i, k)| match k {
            0 => from_centre(i % width, width),
            1 => from_centre(i / width, height),
            _ => 1.0,
        });
        let pixels = graph.constant("pixels", pixels.view())?;
        let grid = graph.matmul(pixels, changes, &Default::default())?;
        let grid = graph.reshape(grid, &[count, height, width, 2].map(|extent| extent as isize))?;
        // A position that should be a pixel's is off by a rounding, which the nearest pixel does not see.
        let mode = if self.moves_whole_pixels() { GridSampleMode::Nearest } else { GridSampleMode::Linear };
        let y = graph.grid_sample(x, grid, &GridSampleDescriptor { mode, padding: GridSamplePadding::Zeros, align_corners: false })?;
        graph.output("input", y)?;
        Ok(graph)
    }

    /// These pictures N C H W as step `step` of a training with this seed gets them, on an engine. `samples` are their positions in the data.
    ///
    /// # Errors
    /// A field that is out of range; arrays that are no pictures; another number of them than of samples; loss of the device.
    pub fn apply(&self, engine: &Engine, pictures: ArrayViewD<'_, f32>, samples: &[usize], seed: u64, step: u64) -> Result<ArrayD<f32>> {
        self.check()?;
        let count = pictures.shape().first().copied().unwrap_or(0);
        if count != samples.len() || count == 0 {
            return Err(Error::invalid("samples", samples.len(), format!("there is one for each of the pictures, {:?}", pictures.shape())));
        }
        let extents = &pictures.shape()[1..];
        let graph = self.graph(count, extents)?;
        let session = match engine {
            Engine::Gpu(gpu) => Session::gpu(gpu, &graph)?,
            Engine::Cpu => Session::cpu(&graph)?,
        };
        augmented(&session, pictures.view(), self.changes(samples, extents, seed, step)?.view())
    }
}

/// What a session of the graph gives.
pub(super) fn augmented(session: &Session, samples: ArrayViewD<'_, f32>, changes: ArrayViewD<'_, f32>) -> Result<ArrayD<f32>> {
    let outputs = session.run(&[("samples", samples), ("changes", changes)])?;
    Ok(outputs["input"].clone())
}

/// C H W.
fn picture(extents: &[usize]) -> Result<&[usize; 3]> {
    extents.try_into().map_err(|_| Error::invalid("augmentation", format!("of samples {extents:?}"), "it changes pictures: samples C H W"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, s};

    fn pictures() -> Array4<f32> {
        Array4::from_shape_fn((3, 2, 5, 7), |(n, c, y, x)| (1 + x + 7 * (y + 5 * (c + 2 * n))) as f32)
    }

    fn sampled(augmentation: Augmentation, change: Change) -> Array4<f32> {
        let own = change.positions([5, 7]);
        let changes = Array3::from_shape_fn((3, 3, 2), |(_, i, k)| own[i][k] as f32).into_dyn();
        let session = Session::cpu(&augmentation.graph(3, &[2, 5, 7]).unwrap()).unwrap();
        augmented(&session, pictures().view().into_dyn(), changes.view()).unwrap().into_dimensionality().unwrap()
    }

    const STILL: Change = Change { shift: [0, 0], mirrored: false, angle: 0.0, factor: 1.0 };

    #[test]
    fn pictures_are_moved_then_mirrored_to_the_bit() {
        let whole = Augmentation { shift: 2, flip: true, ..Default::default() };
        assert_eq!(sampled(whole, STILL), pictures());
        assert_eq!(sampled(whole, Change { mirrored: true, ..STILL }), pictures().slice(s![.., .., .., ..;-1]));
        let moved = sampled(whole, Change { shift: [2, -1], ..STILL });
        assert_eq!(moved.slice(s![.., .., 2.., ..6]), pictures().slice(s![.., .., ..3, 1..]));
        assert!(moved.slice(s![.., .., ..2, ..]).iter().chain(moved.slice(s![.., .., .., 6..])).all(|v| *v == 0.0));
        let both = sampled(whole, Change { shift: [2, -1], mirrored: true, ..STILL });
        assert_eq!(both, moved.slice(s![.., .., .., ..;-1]));
    }

    /// A quarter turn against the clock brings what is right of the centre above it; twice as large, what is two pixels away is one away.
    #[test]
    fn pictures_are_turned_and_scaled_about_their_centre() {
        let linear = Augmentation { rotate: 90.0, scale: 0.5, ..Default::default() };
        let near = |got: f32, want: f32| assert!((got - want).abs() < 1e-3, "{got}, not {want}");
        let (turned, all) = (sampled(linear, Change { angle: std::f64::consts::FRAC_PI_2, ..STILL }), pictures());
        let doubled = sampled(linear, Change { factor: 2.0, ..STILL });
        for c in 0..2 {
            near(turned[[1, c, 2, 3]], all[[1, c, 2, 3]]);
            near(turned[[1, c, 1, 3]], all[[1, c, 2, 4]]);
            near(turned[[1, c, 2, 4]], all[[1, c, 3, 3]]);
            near(turned[[1, c, 0, 2]], all[[1, c, 1, 5]]);
            near(doubled[[1, c, 2, 5]], all[[1, c, 2, 4]]);
            near(doubled[[1, c, 0, 1]], all[[1, c, 1, 2]]);
            near(doubled[[1, c, 1, 3]], (all[[1, c, 1, 3]] + all[[1, c, 2, 3]]) / 2.0);
        }
    }

    /// All places are met about equally often, and no picture in two ways.
    #[test]
    fn changes_are_spread_evenly_and_follow_from_seed_step_and_sample() {
        let augmentation = Augmentation { shift: 2, flip: true, rotate: 10.0, scale: 0.25 };
        let of = |sample, seed, step| augmentation.change(sample, [28, 28], seed, step);
        let all: Vec<Change> = (0..5000).map(|sample| of(sample, 1, 7)).collect();
        for axis in 0..2 {
            for place in -2..=2 {
                let met = all.iter().filter(|change| change.shift[axis] == place).count();
                assert!((900..1100).contains(&met), "{place}: {met}");
            }
        }
        assert!((2400..2600).contains(&all.iter().filter(|change| change.mirrored).count()));
        let (angles, factors) = (all.iter().map(|change| change.angle.to_degrees()), all.iter().map(|change| change.factor));
        assert!(angles.clone().all(|angle| angle.abs() <= 10.0 + 1e-9) && (angles.sum::<f64>() / 5000.0).abs() < 0.5);
        assert!(factors.clone().all(|factor| (0.75..=1.25).contains(&factor)) && (factors.sum::<f64>() / 5000.0 - 1.0).abs() < 0.02);
        assert_eq!(of(3, 1, 7), of(3, 1, 7));
        for other in [of(4, 1, 7), of(3, 2, 7), of(3, 1, 8), of(3, 1, 7 + (1 << 32)), of(3, 1 + (1 << 32), 7)] {
            assert_ne!(of(3, 1, 7), other);
        }
        let most = Augmentation { shift: usize::MAX, ..Default::default() };
        assert!((0..100).all(|sample| most.change(sample, [1, 3], 0, 0).shift[0] == 0));
    }

    #[test]
    fn what_is_no_augmentation_is_refused() {
        let error = |augmentation: Augmentation| augmentation.check().unwrap_err().to_string();
        assert_eq!(error(Augmentation { rotate: 181.0, ..Default::default() }), "rotate is 181: it is from 0 to 180 degrees");
        assert!(error(Augmentation { rotate: f32::NAN, ..Default::default() }).starts_with("rotate is NaN"));
        assert_eq!(error(Augmentation { scale: 1.0, ..Default::default() }), "scale is 1: it is from 0 to below 1");
        let flip = Augmentation { flip: true, ..Default::default() };
        assert_eq!(flip.graph(2, &[3, 4]).unwrap_err().to_string(), "augmentation is of samples [3, 4]: it changes pictures: samples C H W");
        let error = flip.apply(&Engine::Cpu, pictures().view().into_dyn(), &[1], 0, 0).unwrap_err().to_string();
        assert!(error.starts_with("samples is 1: there is one for each of the pictures, [3, 2, 5, 7]"), "{error}");
    }
}
