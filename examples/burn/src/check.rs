//! Outputs and gradients of convolutions by both engines, held against wgconv's reference: plain loops in f64, which give with each value how far a correct
//! f32 kernel may be from it, whatever the order of its sums.

use crate::bridge::Failure;
use crate::conv::conv2d;
use crate::network::{By, Learner, Network, RATE};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData, module};
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::gradient::FilterGradient;
use wgconv::op::Op;
use wgconv::reduce::{ReduceDescriptor, ReduceProblem};
use wgconv::reference::{Bounded, compute};
use wgconv::{ElementType, Padding, TensorType};

/// A convolution to check: x N C H W, weight O C/g kH kW.
pub struct Case {
    pub name: &'static str,
    pub x: [usize; 4],
    pub weight: [usize; 4],
    pub bias: bool,
    pub options: ConvOptions<2>,
    /// Whether the numbers are of magnitudes from 1e-6 to 1e6.
    pub mixed: bool,
}

/// The network's layers, and what convolutions have besides.
pub fn cases() -> Vec<Case> {
    let case = |name, x, weight, options| Case { name, x, weight, bias: true, options, mixed: false };
    let padded = |stride: usize, groups: usize| ConvOptions::new([stride; 2], [1; 2], [1; 2], groups);
    vec![
        case("first layer", [4, 3, 32, 32], [16, 3, 3, 3], padded(1, 1)),
        case("second layer", [4, 16, 16, 16], [32, 16, 3, 3], padded(1, 1)),
        case("third layer", [4, 32, 8, 8], [32, 32, 3, 3], padded(2, 1)),
        Case { mixed: true, ..case("magnitudes", [2, 16, 9, 9], [8, 16, 3, 3], padded(1, 1)) },
        Case { bias: false, ..case("no bias, 1 x 1", [2, 24, 7, 5], [20, 24, 1, 1], ConvOptions::new([1; 2], [0; 2], [1; 2], 1)) },
        case("groups", [2, 12, 10, 9], [18, 4, 3, 3], padded(1, 3)),
        case("depthwise", [2, 16, 12, 12], [16, 1, 3, 3], padded(1, 16)),
        case("dilated", [1, 8, 17, 15], [8, 8, 3, 3], ConvOptions::new([1; 2], [2; 2], [2; 2], 1)),
        case("pads of each side", [2, 4, 9, 11], [6, 4, 2, 4], ConvOptions::new_with_padding([2, 1], [(0, 1), (1, 2)], [1; 2], 1)),
    ]
}

/// Numbers in [-1, 1) that follow from `seed`.
pub fn values(count: usize, seed: u32) -> Vec<f32> {
    let mixed = |i: u32| {
        let v = (i ^ (i >> 16)).wrapping_mul(0x7feb_352d);
        let v = (v ^ (v >> 15)).wrapping_mul(0x846c_a68b);
        (v ^ (v >> 16)) >> 8
    };
    (0..count as u32).map(|i| mixed(i.wrapping_add(seed << 24)) as f32 / (1u32 << 23) as f32 - 1.0).collect()
}

/// What goes into a case: x, weight, bias and the gradient by the output.
struct Operands {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    upstream: Vec<f32>,
    y: [usize; 4],
}

impl Case {
    fn problem(&self) -> Result<ConvProblem, Failure> {
        let ConvOptions { stride, dilation, groups, .. } = self.options;
        let padding = Padding::Explicit { begin: self.options.padding_begin(), end: self.options.padding_end() };
        let descriptor = Conv2dDescriptor { stride, dilation, padding, groups, ..Default::default() };
        let bias = [self.weight[0]];
        Ok(ConvProblem::forward(&ConvInputs::new(&self.x, &self.weight, self.bias.then_some(&bias[..])), &descriptor)?)
    }

    fn operands(&self) -> Result<Operands, Failure> {
        use wgconv::op::Problem;
        let outputs = self.problem()?.outputs();
        let y: Vec<usize> = outputs.into_iter().flat_map(|spec| spec.tensor.extents).collect();
        let y: [usize; 4] = y.try_into().map_err(|y| format!("an output of extents {y:?}"))?;
        let numbers = |extents: &[usize], seed: u32| -> Vec<f32> {
            let plain = values(extents.iter().product(), seed);
            let scale = |i: usize| if self.mixed { 10f32.powi((i * 7 % 13) as i32 - 6) } else { 1.0 };
            plain.into_iter().enumerate().map(|(i, v)| v * scale(i)).collect()
        };
        Ok(Operands { x: numbers(&self.x, 1), weight: numbers(&self.weight, 2), bias: numbers(&self.weight[..1], 3), upstream: numbers(&y, 4), y })
    }

    /// Output and gradients by x, weight and bias, as the reference has them.
    fn expected(&self, operands: &Operands) -> Result<Vec<Bounded>, Failure> {
        let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&v| f64::from(v)).collect() };
        let [x, weight, bias, upstream] = [&operands.x, &operands.weight, &operands.bias, &operands.upstream].map(|values| wide(values));
        let conv = self.problem()?;
        let sum = ReduceProblem::new(&TensorType::f32(&operands.y), &ReduceDescriptor::sum(&[0, 2, 3]))?;
        let mut forward: Vec<&[f64]> = vec![&x, &weight];
        forward.extend(self.bias.then_some(&bias[..]));
        let mut ops: Vec<(Op, Vec<&[f64]>)> = vec![
            ((&conv).into(), forward),
            (conv.data_gradient()?.into(), vec![&upstream, &weight]),
            (FilterGradient::new(&conv)?.into(), vec![&x, &upstream]),
        ];
        if self.bias {
            ops.push((sum.into(), vec![&upstream]));
        }
        ops.into_iter().map(|(op, operands)| Ok(compute(op, &operands)?.swap_remove(0))).collect()
    }

    /// The same by an engine.
    fn computed(&self, operands: &Operands, by: By, device: &Device) -> Result<Vec<Vec<f32>>, Failure> {
        let device = device.clone().autodiff();
        let given = |values: &[f32], extents: [usize; 4]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), extents), &device);
        let (x, weight) = (given(&operands.x, self.x).require_grad(), given(&operands.weight, self.weight).require_grad());
        let bias = self.bias.then(|| Tensor::<1>::from_data(TensorData::new(operands.bias.clone(), [self.weight[0]]), &device).require_grad());
        let y = convolve(by, x.clone(), weight.clone(), bias.clone(), &self.options)?;
        let gradients = (y.clone() * given(&operands.upstream, operands.y)).sum().backward();
        let missing = || Failure::from(format!("{}: a gradient is missing", self.name));
        let mut all = vec![numbers(y)?, numbers(x.grad(&gradients).ok_or_else(missing)?)?, numbers(weight.grad(&gradients).ok_or_else(missing)?)?];
        if let Some(bias) = bias {
            all.push(numbers(bias.grad(&gradients).ok_or_else(missing)?)?);
        }
        Ok(all)
    }

    /// A line on both engines.
    ///
    /// # Errors
    /// A number of either that is further from the reference than f32 sums may be.
    pub fn check(&self, device: &Device) -> Result<String, Failure> {
        let operands = self.operands()?;
        let expected = self.expected(&operands)?;
        let mut line = format!("{:<18}", self.name);
        for by in By::BOTH {
            let computed = self.computed(&operands, by, device)?;
            line += &format!("  {by:?}");
            for ((what, expected), computed) in ["y", "dx", "dw", "db"].into_iter().zip(&expected).zip(&computed) {
                if computed.len() != expected.value.len() {
                    return Err(format!("{}, {by:?}: {what} has {} numbers, and not {}", self.name, computed.len(), expected.value.len()).into());
                }
                let share =
                    |i: usize| (f64::from(computed[i]) - expected.value[i]).abs() / expected.allowed(i, ElementType::F32).max(f64::MIN_POSITIVE);
                let worst = (0..computed.len()).map(share).fold(0.0, |worst, share| if share <= worst { worst } else { share }); // keeps NaN
                if !(worst <= 1.0) {
                    return Err(format!("{}, {by:?}: {what} is {worst:.2} times as far from the reference as f32 sums may be", self.name).into());
                }
                line += &format!(" {what} {worst:.2}");
            }
        }
        Ok(line)
    }
}

fn convolve(by: By, x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: &ConvOptions<2>) -> Result<Tensor<4>, Failure> {
    match by {
        By::Burn => Ok(module::conv2d(x, weight, bias, options.clone())),
        By::Wgconv => conv2d(x, weight, bias, options),
    }
}

/// The numbers of a tensor, whether burn differentiates it or not.
fn numbers<const N: usize>(tensor: Tensor<N>) -> Result<Vec<f32>, Failure> {
    let data = tensor.inner().try_into_data().map_err(|why| format!("reading a tensor: {why:?}"))?;
    Ok(data.try_to_vec::<f32>().map_err(|why| format!("reading a tensor: {why:?}"))?)
}

/// burn's views (a transpose, slices) give the bits that tensors of their own give.
pub fn check_views(device: &Device) -> Result<(), Failure> {
    let tensor = |extents: [usize; 4], seed: u32| Tensor::<4>::from_data(TensorData::new(values(extents.iter().product(), seed), extents), device);
    let own = |view: &Tensor<4>| -> Result<Tensor<4>, Failure> {
        let extents = view.dims();
        Ok(Tensor::from_data(TensorData::new(numbers(view.clone())?, extents), device))
    };
    let weight = tensor([5, 3, 3, 3], 2);
    let views = [
        ("channels last", tensor([2, 9, 7, 3], 1).permute([0, 3, 1, 2])),
        ("the second of two images", tensor([2, 3, 9, 7], 1).slice([1..2, 0..3, 0..9, 0..7])),
        ("an inner part", tensor([2, 4, 12, 9], 1).slice([0..2, 1..4, 1..10, 2..9])),
    ];
    let options = ConvOptions::new([1; 2], [1; 2], [1; 2], 1);
    for (name, view) in views {
        let of_own = numbers(conv2d(own(&view)?, weight.clone(), None, &options)?)?;
        let of_view = numbers(conv2d(view, weight.clone(), None, &options)?)?;
        if of_own.iter().map(|v| v.to_bits()).ne(of_view.iter().map(|v| v.to_bits())) {
            return Err(format!("{name}: a view gives other numbers than a tensor of its own").into());
        }
    }
    Ok(())
}

/// Steps of training that are compared.
pub const STEPS: usize = 10;

/// Losses before the first step and after each, by both engines: they begin with one network and learn one batch.
///
/// The gradients of a step differ by the rounding of their sums, of which the longest has 2^15 products (the first layer's filter gradient: 32 images of 32 x 32),
/// so by a share of 2^15 x 2^-24 of them. To first order that moves the loss by the same share of what the step gains, which is less than the loss. Steps add up.
pub fn check_training(network: &Network, x: &[f32], device: &Device) -> Result<[Vec<f64>; 2], Failure> {
    let losses = |by: By| -> Result<Vec<f64>, Failure> {
        let mut learner = Learner::new(by, network, x, device);
        let mut losses = vec![learner.loss()?];
        for _ in 0..STEPS {
            learner.step()?;
            losses.push(learner.loss()?);
        }
        Ok(losses)
    };
    let [burn, wgconv] = [losses(By::Burn)?, losses(By::Wgconv)?];
    for (step, (burn, wgconv)) in burn.iter().zip(&wgconv).enumerate() {
        let allowed = (step + 1) as f64 * (15f64 - 24.0).exp2() * burn;
        if !((burn - wgconv).abs() <= allowed) {
            return Err(format!("step {step}: burn's loss is {burn}, wgconv's {wgconv}; {allowed:.1e} are allowed").into());
        }
    }
    if !(wgconv[STEPS] < wgconv[0]) {
        return Err(format!("the loss was {} and is {} after {STEPS} steps at rate {RATE}: nothing was learnt", wgconv[0], wgconv[STEPS]).into());
    }
    Ok([burn, wgconv])
}
