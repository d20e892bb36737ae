//! A photograph through several ops in one submit: what `filter --then` adds to the first convolution.

use crate::Failure;
use ndarray::{Array2, Array3, Array4, ArrayD, Axis, Ix4, IxDyn};
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::elementwise::UnaryProblem;
use wgconv::op::Op;
use wgconv::pool::{PoolDescriptor, PoolKind, PoolProblem};
use wgconv::{Activation, ElementType, Gpu, Layout, Tensor};

/// One op on every channel plane by itself.
pub enum Link {
    Filter(Conv2dDescriptor, Array2<f32>),
    Activation(Activation),
    /// Windows of n x n side by side.
    Pool(PoolKind, usize),
}

/// The link that `--then name` asks for; a name that is no activation and no pool may be a kernel's.
pub fn link(name: &str, kernel: impl FnOnce(&str) -> Result<Link, Failure>) -> Result<Link, Failure> {
    if let Some(activation) = Activation::ALL.into_iter().find(|a| a.name() == name && *a != Activation::None) {
        return Ok(Link::Activation(activation));
    }
    for (prefix, kind) in [("maxpool:", PoolKind::MAX), ("avgpool:", PoolKind::AVERAGE)] {
        if let Some(size) = name.strip_prefix(prefix) {
            let size = size.parse().ok().filter(|n| (1..=1024).contains(n));
            return size.map(|n| Link::Pool(kind, n)).ok_or_else(|| Failure::Usage(format!("--then is {name}: the size of a pool is 1 to 1024")));
        }
    }
    kernel(name).map_err(|failure| match failure {
        Failure::Usage(_) => {
            let activations: Vec<&str> = Activation::ALL[1..].iter().map(|a| a.name()).collect();
            Failure::Usage(format!(
                "--then is {name}: it is maxpool:N, avgpool:N, a kernel as --kernel has them, or one of {}",
                activations.join(", ")
            ))
        }
        other => other,
    })
}

/// An op, and its filter where it has one.
type OpAndFilter = (Box<dyn Op>, Option<ArrayD<f32>>);

impl Link {
    /// The op on an image of these extents.
    fn op(&self, x: &[usize]) -> Result<OpAndFilter, wgconv::Error> {
        let (element, layout) = (ElementType::F32, Layout::ChannelsFirst);
        Ok(match self {
            Link::Filter(descriptor, weights) => {
                let channels = x[1];
                let filter = Array4::from_shape_fn((channels, 1, weights.nrows(), weights.ncols()), |(_, _, r, s)| weights[[r, s]]).into_dyn();
                let descriptor = Conv2dDescriptor { groups: channels, ..*descriptor };
                let problem = ConvProblem::forward(&descriptor, &ConvInputs::new(x, filter.shape(), None))?;
                (Box::new(problem), Some(filter))
            }
            Link::Activation(activation) => (Box::new(UnaryProblem::new(*activation, x, element, layout)?), None),
            Link::Pool(kind, size) => (Box::new(PoolProblem::new(*kind, &PoolDescriptor::window([*size; 2]), x, element, layout)?), None),
        })
    }
}

/// Runs planes [channels, height, width] through all links, on the GPU in one submit.
pub fn run(gpu: Option<&Gpu>, planes: &Array3<f32>, links: &[Link]) -> Result<Array3<f32>, Failure> {
    let image = planes.view().insert_axis(Axis(0)).into_dyn();
    let y = match gpu {
        Some(gpu) => on_gpu(gpu, &image.to_owned(), links)?,
        None => on_cpu(image.to_owned(), links)?,
    };
    let y = y.into_dimensionality::<Ix4>().map_err(|e| Failure::Run(e.to_string()))?;
    Ok(y.index_axis_move(Axis(0), 0))
}

fn on_gpu(gpu: &Gpu, image: &ArrayD<f32>, links: &[Link]) -> Result<ArrayD<f32>, Failure> {
    let mut x = gpu.upload(image)?;
    let mut recorder = gpu.recorder();
    for link in links {
        let (op, filter) = link.op(x.shape().extents())?;
        let filter = filter.map(|f| gpu.upload(&f)).transpose()?;
        let inputs: Vec<&Tensor> = [&x].into_iter().chain(&filter).collect();
        let mut outputs = recorder.op(op.as_ref(), &inputs)?;
        x = outputs.swap_remove(0);
    }
    recorder.submit()?;
    Ok(x.download::<f32, IxDyn>()?)
}

fn on_cpu(mut x: ArrayD<f32>, links: &[Link]) -> Result<ArrayD<f32>, Failure> {
    for link in links {
        let (op, filter) = link.op(x.shape())?;
        let slice = |a: &ArrayD<f32>| a.iter().copied().collect::<Vec<f32>>();
        let (values, filter) = (slice(&x), filter.as_ref().map(slice));
        let inputs: Vec<&[f32]> = [values.as_slice()].into_iter().chain(filter.as_deref()).collect();
        let mut y = ArrayD::zeros(op.outputs()[0].extents.clone());
        let out = y.as_slice_mut().ok_or_else(|| Failure::Run("an array is not contiguous".into()))?;
        if !wgconv::cpu::compute(op.as_ref(), &inputs, out)? {
            return Err(Failure::Run(format!("the CPU engine does not have {}", op.name())));
        }
        x = y;
    }
    Ok(x)
}
