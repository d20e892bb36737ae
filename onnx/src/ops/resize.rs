//! Resize in all its modes, and Upsample, which came before it.
//!
//! What the graph's own op computes goes to it. Every other way works on one axis after another: nearest picks slices; linear and cubic, with
//! antialiasing or without, are products with a matrix of their coefficients, which the host computes in f64. Formulas: the text of ONNX's `Resize`, with
//! the neighbours and coefficients of its reference.

use super::Made;
use super::gather::picked;
use super::matmul::product;
use crate::host::axis_of;
use crate::import::{Context, Fault, Value};
use crate::tensor::product as elements;
use wgconv::elementwise::BinaryOp;
use wgconv::graph::Recipe;
use wgconv::transform::{CoordinateMode, NearestMode, ResizeDescriptor, ResizeMode};

/// Where in x an element of y lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    Crop,
}

/// What is made of the elements around that.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Nearest(NearestMode),
    Linear,
    Cubic { a: f64 },
}

/// All of it but the extents.
#[derive(Debug, Clone, Copy)]
struct Method {
    mode: Mode,
    coordinates: Coordinates,
    antialias: bool,
    exclude_outside: bool,
    extrapolation: f32,
}

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    from: usize,
    to: usize,
    scale: f64,
    /// Of the crop.
    roi: [f64; 2],
}

impl Axis {
    /// The coordinate in x of element `i` of y.
    fn coordinate(&self, coordinates: Coordinates, i: usize) -> f64 {
        let (x, n) = (i as f64, self.from as f64);
        // As long as the scale makes it, whole or not.
        let length = self.scale * n;
        match coordinates {
            Coordinates::HalfPixel => (x + 0.5) / self.scale - 0.5,
            Coordinates::PytorchHalfPixel if length == 1.0 => -0.5,
            Coordinates::PytorchHalfPixel => (x + 0.5) / self.scale - 0.5,
            Coordinates::HalfPixelSymmetric => n / 2.0 * (1.0 - self.to as f64 / length) + (x + 0.5) / self.scale - 0.5,
            Coordinates::AlignCorners if length == 1.0 => 0.0,
            Coordinates::AlignCorners => x * (n - 1.0) / (length - 1.0),
            Coordinates::Asymmetric => x / self.scale,
            Coordinates::Crop => {
                let [start, end] = self.roi;
                let within = if length == 1.0 { (end - start) * (n - 1.0) / 2.0 } else { x * (end - start) * (n - 1.0) / (length - 1.0) };
                within + start * (n - 1.0)
            }
        }
    }

    /// The element before a coordinate, and how far behind it the coordinate lies: above 0, and 1 at most.
    fn split(coordinate: f64) -> (i64, f64) {
        let before = coordinate.ceil() - 1.0;
        (before as i64, coordinate - before)
    }

    fn is_outside(&self, coordinate: f64) -> bool {
        coordinate < 0.0 || coordinate > self.from as f64 - 1.0
    }

    fn clamped(&self, index: i64) -> usize {
        index.clamp(0, self.from as i64 - 1) as usize
    }

    fn nearest(&self, method: &Method, mode: NearestMode, i: usize) -> usize {
        let (before, rest) = Self::split(self.coordinate(method.coordinates, i));
        let after = match mode {
            // On an element it is that one.
            _ if rest == 1.0 => true,
            NearestMode::Floor => false,
            NearestMode::Ceil => true,
            NearestMode::RoundPreferFloor => rest > 0.5,
            NearestMode::RoundPreferCeil => rest >= 0.5,
        };
        self.clamped(before + i64::from(after))
    }

    /// A row of the matrix: what element `i` of y takes of each element of x.
    fn row(&self, method: &Method, i: usize) -> Vec<f64> {
        let mut row = vec![0.0; self.from];
        let coordinate = self.coordinate(method.coordinates, i);
        if method.coordinates == Coordinates::Crop && self.is_outside(coordinate) {
            return row;
        }
        let (before, rest) = Self::split(coordinate);
        let shrink = if method.antialias { self.scale.min(1.0) } else { 1.0 };
        let reach = if let Mode::Cubic { .. } = method.mode { 2.0 } else { 1.0 };
        // As far as the window reaches, and never further than x is long on either side: beyond that all is its edge.
        let start = ((-reach / shrink).floor() + 1.0) as i64;
        let mut taps: Vec<(i64, f64)> = (start..2 - start).map(|tap| (before + tap, weight(method.mode, (tap as f64 - rest) * shrink))).collect();
        if method.exclude_outside {
            taps.iter_mut().filter(|(index, _)| *index < 0 || *index >= self.from as i64).for_each(|(_, weight)| *weight = 0.0);
        }
        let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
        let sum = if method.antialias || method.exclude_outside { sum } else { 1.0 };
        taps.into_iter().for_each(|(index, weight)| row[self.clamped(index)] += weight / sum);
        row
    }
}

/// What an element at this distance counts.
fn weight(mode: Mode, distance: f64) -> f64 {
    let x = distance.abs();
    match mode {
        Mode::Cubic { a } if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        Mode::Cubic { a } if x < 2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        Mode::Linear if x < 1.0 => 1.0 - x,
        _ => 0.0,
    }
}

/// The graph's own op, where it computes this.
fn own(method: &Method, axes: &[Axis]) -> Option<ResizeDescriptor> {
    let spatial = axes.get(2..).filter(|spatial| (1..=3).contains(&spatial.len()))?;
    let is_still = |axis: &Axis| axis.from == axis.to && axis.scale == 1.0;
    let is_exact = |axis: &Axis| axis.scale * axis.from as f64 == axis.to as f64;
    let coordinates = match method.coordinates {
        Coordinates::HalfPixel => CoordinateMode::HalfPixel,
        Coordinates::HalfPixelSymmetric if spatial.iter().all(is_exact) => CoordinateMode::HalfPixel,
        Coordinates::PytorchHalfPixel if spatial.iter().all(|axis| axis.scale * axis.from as f64 != 1.0) => CoordinateMode::HalfPixel,
        Coordinates::AlignCorners if spatial.iter().all(is_exact) => CoordinateMode::AlignCorners,
        Coordinates::Asymmetric => CoordinateMode::Asymmetric,
        _ => return None,
    };
    let mode = match method.mode {
        Mode::Nearest(nearest) => ResizeMode::Nearest(nearest),
        Mode::Linear if !method.antialias && !method.exclude_outside => ResizeMode::Linear,
        _ => return None,
    };
    if !axes[..2].iter().all(is_still) {
        return None;
    }
    let scales = (!spatial.iter().all(is_exact)).then(|| spatial.iter().map(|axis| axis.scale).collect());
    Some(ResizeDescriptor { sizes: spatial.iter().map(|axis| axis.to).collect(), mode, coordinates, scales })
}

fn resized<'m>(c: &mut Context<'_, 'm>, method: &Method, axes: &[Axis]) -> Made<'m> {
    let x = c.running(0)?;
    if axes.iter().any(|axis| axis.to == 0) {
        return Err(Fault::new("nothing is left of x, and a graph has no tensors without elements"));
    }
    if axes.iter().all(|axis| axis.from == axis.to && axis.scale == 1.0) && method.coordinates != Coordinates::Crop {
        return Ok(vec![Value::Running(x)]);
    }
    let is_nearest = matches!(method.mode, Mode::Nearest(_));
    if !is_nearest {
        c.check_float(0, &x)?;
    }
    if let Some(descriptor) = own(method, axes) {
        let y = c.emit(Recipe::Resize(descriptor), &[x.id])?;
        return Ok(vec![c.out(y, x.element)]);
    }
    let is_moved = |axis: &&Axis| axis.from != axis.to || axis.scale != 1.0 || method.coordinates == Coordinates::Crop;
    let mut y = x.id;
    let mut dims = x.dims.clone();
    for (at, axis) in axes.iter().enumerate().filter(|(_, axis)| is_moved(axis)) {
        // A crop that takes all of an axis leaves it as it is.
        if (0..axis.to).all(|i| axis.to == axis.from && axis.coordinate(method.coordinates, i) == i as f64) {
            continue;
        }
        if let Mode::Nearest(mode) = method.mode {
            if method.coordinates == Coordinates::Crop && (0..axis.to).any(|i| axis.is_outside(axis.coordinate(method.coordinates, i))) {
                return Err(Fault::new("roi: it leaves x, and of the nearest elements none are beyond it"));
            }
            c.importer.budget.spend(&[axis.to])?;
            let indices: Vec<usize> = (0..axis.to).map(|i| axis.nearest(method, mode, i)).collect();
            y = picked(c, y, at, &indices)?;
        } else {
            c.importer.budget.spend(&[axis.to, axis.from])?;
            let matrix: Vec<f32> = (0..axis.to).flat_map(|i| axis.row(method, i)).map(|weight| weight as f32).collect();
            let matrix = c.constant(&[axis.to, axis.from], &matrix)?;
            let (outer, inner) = (elements(&dims[..at]), elements(&dims[at + 1..]));
            let planes = c.reshape(y, &[outer, axis.from, inner])?;
            y = product(c, matrix, planes)?;
            let note =
                format!("node \"{}\" ({}) is a product with a matrix: a NaN or an infinity reaches all of its line", c.node.called(), c.node.op);
            c.importer.note(note);
        }
        dims[at] = axis.to;
        y = c.reshape(y, &dims)?;
    }
    if method.coordinates == Coordinates::Crop && method.extrapolation != 0.0 {
        // Lines outside are zeros so far.
        let count = c.importer.budget.spend(&dims)?;
        let mut beyond = vec![0.0; count];
        for (i, beyond) in beyond.iter_mut().enumerate() {
            let (mut rest, mut outside) = (i, false);
            for axis in axes.iter().rev() {
                outside |= axis.is_outside(axis.coordinate(method.coordinates, rest % axis.to));
                rest /= axis.to;
            }
            *beyond = if outside { method.extrapolation } else { 0.0 };
        }
        let beyond = c.constant(&dims, &beyond)?;
        y = c.emit(BinaryOp::Add, &[y, beyond])?;
    }
    Ok(vec![c.out(y, x.element)])
}

/// Of every axis the extent floor(n s).
fn scaled(dims: &[usize], scales: &[f64]) -> Result<Vec<Axis>, Fault> {
    if scales.len() != dims.len() {
        return Err(Fault::new(format!("scales: it has {} entries, and it must have {}", scales.len(), dims.len())));
    }
    let axis = |(&from, &scale): (&usize, &f64)| {
        let to = (from as f64 * scale).floor();
        if scale > 0.0 && to < 1e15 {
            Ok(Axis { from, to: to as usize, scale, roi: [0.0, 1.0] })
        } else {
            Err(Fault::new(format!("scales: one is {scale}, of an extent of {from}")))
        }
    };
    dims.iter().zip(scales).map(axis).collect()
}

pub(super) fn resize<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let dims = c.dims(0)?;
    let nearest = |name: &str| name.parse::<NearestMode>().map_err(Fault::from);
    let mode = c.string_or("mode", "nearest")?;
    if c.opset() < 11 {
        let mode = match mode {
            "nearest" => Mode::Nearest(NearestMode::Floor),
            "linear" => Mode::Linear,
            other => return Err(Fault::new(format!("attribute mode: {other} is neither nearest nor linear"))),
        };
        let scales = c.needed(1, "scales")?.tensor.to_f64();
        return resized(c, &plain(mode), &scaled(&dims, &scales)?);
    }
    let nearest_mode = nearest(c.string_or("nearest_mode", "round_prefer_floor")?)?;
    let a = f64::from(c.float_or("cubic_coeff_a", -0.75)?);
    let mode = match mode {
        "nearest" => Mode::Nearest(nearest_mode),
        "linear" => Mode::Linear,
        "cubic" => Mode::Cubic { a },
        other => return Err(Fault::new(format!("attribute mode: {other} is none of nearest, linear and cubic"))),
    };
    let coordinates = match c.string_or("coordinate_transformation_mode", "half_pixel")? {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        "tf_crop_and_resize" => Coordinates::Crop,
        other => return Err(Fault::new(format!("attribute coordinate_transformation_mode: {other} is not known"))),
    };
    let method = Method {
        mode,
        coordinates,
        antialias: c.flag("antialias", false)?,
        exclude_outside: c.flag("exclude_outside", false)?,
        extrapolation: c.float_or("extrapolation_value", 0.0)?,
    };
    let which: Vec<usize> = match c.ints("axes")? {
        Some(axes) => axes.iter().map(|&axis| axis_of(axis, dims.len())).collect::<Result<_, _>>()?,
        None => (0..dims.len()).collect(),
    };
    let policy = c.string_or("keep_aspect_ratio_policy", "stretch")?;
    let scales = if c.has(2) { c.needed(2, "scales")?.tensor.to_f64() } else { vec![] };
    let mut axes: Vec<Axis> = dims.iter().map(|&from| Axis { from, to: from, scale: 1.0, roi: [0.0, 1.0] }).collect();
    if !scales.is_empty() {
        let own: Vec<usize> = which.iter().map(|&axis| dims[axis]).collect();
        for (&at, axis) in which.iter().zip(scaled(&own, &scales)?) {
            axes[at] = axis;
        }
    } else {
        let sizes = crate::tensor::dims(&c.integers(3, "sizes")?).map_err(Fault::new)?;
        if sizes.len() != which.len() {
            return Err(Fault::new(format!("sizes: it has {} entries, and it must have {}", sizes.len(), which.len())));
        }
        let own = |(&at, &to): (&usize, &usize)| to as f64 / dims[at] as f64;
        let ratios = which.iter().zip(&sizes).map(own);
        let common = match policy {
            "stretch" => None,
            "not_larger" => Some(ratios.fold(f64::INFINITY, f64::min)),
            "not_smaller" => Some(ratios.fold(0.0, f64::max)),
            other => return Err(Fault::new(format!("attribute keep_aspect_ratio_policy: {other} is none of stretch, not_larger and not_smaller"))),
        };
        for (&at, &to) in which.iter().zip(&sizes) {
            let from = dims[at];
            let (to, scale) = match common {
                Some(scale) => ((scale * from as f64 + 0.5).floor() as usize, scale),
                None => (to, to as f64 / from as f64),
            };
            axes[at] = Axis { to, scale, ..axes[at] };
        }
    }
    if coordinates == Coordinates::Crop {
        let roi = c.needed(1, "roi")?.tensor.to_f64();
        if roi.len() != 2 * which.len() {
            return Err(Fault::new(format!("roi: it has {} entries, and it must have {}", roi.len(), 2 * which.len())));
        }
        for (i, &at) in which.iter().enumerate() {
            axes[at].roi = [roi[i], roi[which.len() + i]];
        }
    }
    resized(c, &method, &axes)
}

/// As all were before opset 11.
const fn plain(mode: Mode) -> Method {
    Method { mode, coordinates: Coordinates::Asymmetric, antialias: false, exclude_outside: false, extrapolation: 0.0 }
}

pub(super) fn upsample<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let dims = c.dims(0)?;
    let mode = match c.string_or("mode", "nearest")? {
        "nearest" => Mode::Nearest(NearestMode::Floor),
        "linear" | "bilinear" => Mode::Linear,
        other => return Err(Fault::new(format!("attribute mode: {other} is neither nearest nor linear"))),
    };
    let scales = match c.floats("scales")? {
        Some(scales) => scales.iter().map(|&scale| f64::from(scale)).collect(),
        None => c.needed(1, "scales")?.tensor.to_f64(),
    };
    resized(c, &plain(mode), &scaled(&dims, &scales)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(mode: Mode, coordinates: Coordinates) -> Method {
        Method { mode, coordinates, antialias: false, exclude_outside: false, extrapolation: 0.0 }
    }

    #[test]
    fn of_two_equally_near_the_mode_says_which() {
        // Twice as many elements: y lies a quarter before and behind x, and halves lie between where the scale is odd.
        let axis = Axis { from: 4, to: 2, scale: 0.5, roi: [0.0, 1.0] };
        let nearest = |mode, i| axis.nearest(&method(Mode::Nearest(mode), Coordinates::HalfPixel), mode, i);
        let both = |mode| [nearest(mode, 0), nearest(mode, 1)];
        assert_eq!(both(NearestMode::RoundPreferFloor), [0, 2]);
        assert_eq!(both(NearestMode::RoundPreferCeil), [1, 3]);
        assert_eq!(both(NearestMode::Floor), [0, 2]);
        assert_eq!(both(NearestMode::Ceil), [1, 3]);
    }

    #[test]
    fn coefficients_add_up_to_one() {
        for mode in [Mode::Linear, Mode::Cubic { a: -0.75 }, Mode::Cubic { a: -0.5 }] {
            for coordinates in [Coordinates::HalfPixel, Coordinates::HalfPixelSymmetric, Coordinates::AlignCorners, Coordinates::Asymmetric] {
                for (from, to) in [(4, 7), (7, 4), (5, 5), (1, 3), (3, 1)] {
                    let axis = Axis { from, to, scale: to as f64 / from as f64, roi: [0.0, 1.0] };
                    for flags in 0..4 {
                        let method = Method { antialias: flags & 1 > 0, exclude_outside: flags & 2 > 0, ..method(mode, coordinates) };
                        for i in 0..to {
                            let sum: f64 = axis.row(&method, i).iter().sum();
                            assert!((sum - 1.0).abs() < 1e-12, "{method:?}, {from} to {to}, {i}: {sum}");
                        }
                    }
                }
            }
        }
    }
}
