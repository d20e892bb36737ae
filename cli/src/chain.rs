//! What `filter` does to every channel plane: a chain of ops, and how it runs on planes that fit the device as they are.
//!
//! [`crate::bands`] runs the same chain on planes that do not.

use crate::Failure;
use ndarray::{Array2, Array3, Array4, ArrayD, ArrayView3, Axis, Ix4, IxDyn};
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem, Separated};
use wgconv::elementwise::UnaryProblem;
use wgconv::op::{Op, Problem};
use wgconv::pool::{PoolDescriptor, PoolKind, PoolProblem};
use wgconv::{Activation, ElementType, Error, Gpu, Layout, Padding, PaddingMode, Tensor, TensorType};

/// One op on every channel plane by itself.
pub enum Link {
    Filter(Conv2dDescriptor, Array2<f32>),
    Activation(Activation),
    /// Windows of n x n side by side.
    Pool(PoolKind, usize),
}

/// What stands beyond the edge of a plane.
#[derive(Clone, Copy)]
pub enum Border {
    /// Nothing: windows stay inside.
    Valid,
    /// Zeros, or what this mode says; the extent stays, divided by the stride.
    Around(PaddingMode),
}

impl Border {
    /// The value of `--padding`.
    pub fn parse(padding: &str) -> Result<Self, Failure> {
        Ok(match padding {
            "valid" => Border::Valid,
            "same" => Border::Around(PaddingMode::Zeros),
            "reflect" => Border::Around(PaddingMode::Reflect),
            "replicate" => Border::Around(PaddingMode::Replicate),
            "circular" => Border::Around(PaddingMode::Circular),
            other => return Err(Failure::Usage(format!("--padding is {other}: it is valid, same, reflect, replicate or circular"))),
        })
    }
}

/// The kernel's passes, one link each: padded by its own size, and with the stride along the axis where it has its taps.
pub fn filters(passes: Vec<Array2<f32>>, stride: usize, border: Border) -> Vec<Link> {
    let separable = passes.len() > 1;
    let filter = |weights: Array2<f32>| {
        let (rows, columns) = weights.dim();
        let (padding, padding_mode) = match border {
            Border::Valid => (Padding::Valid, PaddingMode::Zeros),
            Border::Around(PaddingMode::Zeros) => (Padding::Same, PaddingMode::Zeros),
            // What keeps the extent at stride 1; the odd pad goes to the end.
            Border::Around(mode) => (Padding::Explicit { begin: [(rows - 1) / 2, (columns - 1) / 2], end: [rows / 2, columns / 2] }, mode),
        };
        let steps = |taps: usize| if separable && taps == 1 { 1 } else { stride };
        let stride = [steps(rows), steps(columns)];
        Link::Filter(Conv2dDescriptor { stride, padding, padding_mode, ..Default::default() }, weights)
    };
    passes.into_iter().map(filter).collect()
}

/// The links on planes [height, width], with two passes in the place of each filter whose weights are a column times a row exactly, where that is less work
/// ([`ConvProblem::separated`]).
///
/// # Errors
/// [`Error::Invalid`] where a window does not fit.
pub fn separated(mut plane: [usize; 2], links: Vec<Link>) -> Result<Vec<Link>, Error> {
    let mut made = Vec::with_capacity(links.len());
    for link in links {
        let after = extents(plane, std::slice::from_ref(&link))?[1];
        let passes = match link.op(&[1, 1, plane[0], plane[1]])? {
            (Op::Conv(problem), Some(filter)) => filter.as_slice().and_then(|filter| problem.separated(filter)),
            _ => None,
        };
        match passes {
            None => made.push(link),
            Some(Separated { descriptors, extents, filters, .. }) => {
                let weights = |([_, _, rows, columns], filter): ([usize; 4], Vec<f32>)| {
                    Array2::from_shape_fn((rows, columns), |(r, s)| filter[r * columns + s])
                };
                let weights = extents.into_iter().zip(filters).map(weights);
                made.extend(descriptors.into_iter().zip(weights).map(|(descriptor, weights)| Link::Filter(descriptor, weights)));
            }
        }
        plane = after;
    }
    Ok(made)
}

/// How the filters among these links, which stand for one kernel, are computed; none where there are none.
pub fn explained(name: &str, links: &[Link]) -> Option<String> {
    let taps = |link: &Link| if let Link::Filter(_, weights) = link { Some(weights.dim()) } else { None };
    match links.iter().filter_map(taps).collect::<Vec<_>>()[..] {
        [(rows, columns)] => Some(format!("{name}: one pass of {rows} x {columns} taps")),
        [(a, b), (c, d)] => {
            Some(format!("{name}: two passes, of {a} x {b} and {c} x {d} taps: {} multiply-adds for {}", a * b + c * d, a * b * c * d))
        }
        _ => None,
    }
}

/// The links that `--then name` asks for; a name that is no activation and no pool may be a kernel's, whose passes `kernel` gives.
pub fn then(name: &str, border: Border, kernel: impl FnOnce(&str) -> Result<Vec<Array2<f32>>, Failure>) -> Result<Vec<Link>, Failure> {
    if name == "abs" {
        return Ok(vec![Link::Activation(Activation::LeakyRelu { alpha: -1.0 })]);
    }
    if let Some(activation) = Activation::ALL.into_iter().find(|a| a.name() == name && *a != Activation::None) {
        return Ok(vec![Link::Activation(activation)]);
    }
    for (prefix, kind) in [("maxpool:", PoolKind::MAX), ("avgpool:", PoolKind::AVERAGE)] {
        if let Some(size) = name.strip_prefix(prefix) {
            let size = size.parse().ok().filter(|n| (1..=1024).contains(n));
            return size
                .map(|n| vec![Link::Pool(kind, n)])
                .ok_or_else(|| Failure::Usage(format!("--then is {name}: the size of a pool is 1 to 1024")));
        }
    }
    let passes = kernel(name).map_err(|failure| match failure {
        Failure::Usage(_) => {
            let activations: Vec<&str> = Activation::ALL[1..].iter().map(|a| a.name()).collect();
            Failure::Usage(format!(
                "--then is {name}: it is maxpool:N, avgpool:N, abs, a kernel as --kernel has them, or one of {}",
                activations.join(", ")
            ))
        }
        other => other,
    })?;
    Ok(filters(passes, 1, border))
}

/// An op, and its filter where it has one.
pub type OpAndFilter = (Op, Option<ArrayD<f32>>);

impl Link {
    /// The op on images of these extents, N C H W.
    pub fn op(&self, x: &[usize]) -> Result<OpAndFilter, Error> {
        let (element, layout) = (ElementType::F32, Layout::ChannelsFirst);
        Ok(match self {
            Link::Filter(descriptor, weights) => {
                let channels = x[1];
                let filter = Array4::from_shape_fn((channels, 1, weights.nrows(), weights.ncols()), |(_, _, r, s)| weights[[r, s]]).into_dyn();
                let descriptor = Conv2dDescriptor { groups: channels, ..*descriptor };
                let problem = ConvProblem::forward(&ConvInputs::new(x, filter.shape(), None), &descriptor)?;
                (Op::from(problem), Some(filter))
            }
            Link::Activation(activation) => (Op::from(UnaryProblem::new(&TensorType::new(x, element, layout), *activation)?), None),
            Link::Pool(kind, size) => {
                (Op::from(PoolProblem::new(&TensorType::new(x, element, layout), &PoolDescriptor::window([*size; 2]).with_kind(*kind))?), None)
            }
        })
    }
}

/// The extents of a plane [height, width] before the first link and after each.
///
/// # Errors
/// [`Error::Invalid`] where a window does not fit.
pub fn extents(plane: [usize; 2], links: &[Link]) -> Result<Vec<[usize; 2]>, Error> {
    let mut all = vec![plane];
    for link in links {
        let [height, width] = all[all.len() - 1];
        let y = link.op(&[1, 1, height, width])?.0.outputs()[0].tensor.extents.clone();
        all.push([y[2], y[3]]);
    }
    Ok(all)
}

/// Runs planes [channels, height, width] through all links on the GPU, in one submit.
///
/// # Errors
/// [`Error::TooLarge`] where the planes do not fit the device, and what else it refuses.
pub fn at_once(gpu: &Gpu, planes: ArrayView3<'_, f32>, links: &[Link]) -> Result<Array3<f32>, Error> {
    let mut x = gpu.upload(&planes.insert_axis(Axis(0)))?;
    let mut recorder = gpu.recorder();
    for link in links {
        let (op, filter) = link.op(x.shape().extents())?;
        let filter = filter.map(|f| gpu.upload(&f)).transpose()?;
        let inputs: Vec<&Tensor> = [&x].into_iter().chain(&filter).collect();
        let mut outputs = recorder.op(&op, &inputs)?;
        x = outputs.swap_remove(0);
    }
    recorder.submit()?;
    Ok(x.download::<f32, Ix4>()?.index_axis_move(Axis(0), 0))
}

/// One link on images N C H W.
///
/// # Errors
/// What the device refuses.
pub fn on_gpu(gpu: &Gpu, link: &Link, x: &ArrayD<f32>) -> Result<ArrayD<f32>, Error> {
    let (op, filter) = link.op(x.shape())?;
    let (x, filter) = (gpu.upload(x)?, filter.map(|f| gpu.upload(&f)).transpose()?);
    let inputs: Vec<&Tensor> = [&x].into_iter().chain(&filter).collect();
    gpu.run(|r| r.op(&op, &inputs))?.swap_remove(0).download::<f32, IxDyn>()
}

/// One link on images N C H W, by the CPU engine.
///
/// # Errors
/// An op that the engine does not have.
pub fn on_cpu(link: &Link, x: &ArrayD<f32>) -> Result<ArrayD<f32>, Error> {
    let (op, filter) = link.op(x.shape())?;
    let slice = |a: &'_ ArrayD<f32>| a.as_slice().map(<[f32]>::to_vec).unwrap_or_else(|| a.iter().copied().collect());
    let filter = filter.as_ref().map(slice);
    let contiguous = x.as_standard_layout();
    let inputs: Vec<&[f32]> = contiguous.as_slice().into_iter().chain(filter.as_deref()).collect();
    let mut y = vec![0.0; op.outputs()[0].tensor.extents.iter().product()];
    if !wgconv::cpu::compute(&op, &inputs, &mut y)? {
        return Err(Error::Unsupported { algorithm: "cpu".into(), reason: format!("the CPU engine does not have {}", op.name()) });
    }
    ArrayD::from_shape_vec(op.outputs()[0].tensor.extents.clone(), y).map_err(|e| Error::Internal { label: op.name().into(), message: e.to_string() })
}
