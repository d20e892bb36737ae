//! The convolution of burn tensors by wgconv, and its node on burn's tape: the gradients are ops of wgconv too.

use crate::bridge::{Failure, engine_of, extents, primitive, run};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::CubeTensor;
use burn::backend::{Autodiff, Cube};
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::gradient::FilterGradient;
use wgconv::op::Op;
use wgconv::reduce::{ReduceDescriptor, ReduceProblem};
use wgconv::{Gpu, Padding, TensorType};

/// What `burn::tensor::module::conv2d` computes: x N C H W, weight O C/g kH kW, bias O. Differentiated where one of them is.
///
/// # Errors
/// Tensors of another backend or element type than burn's wgpu and f32, of a device without an engine, or with checkpointing of gradients; shapes that do not
/// go together.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: &ConvOptions<2>) -> Result<Tensor<4>, Failure> {
    if !x.is_autodiff() && !weight.is_autodiff() && !bias.as_ref().is_some_and(Tensor::is_autodiff) {
        let bias = bias.map(primitive).transpose()?;
        let tensors: Vec<CubeTensor> = [primitive(x)?, primitive(weight)?].into_iter().chain(bias).collect();
        let layer = Layer::new(&tensors, options)?;
        return Ok(Tensor::from_primitive::<Cube>(layer.forward(tensors)?));
    }
    let (x, weight) = (tracked(x)?, tracked(weight)?);
    match bias {
        Some(bias) => on_tape([x, weight, tracked(bias)?], options),
        None => on_tape([x, weight], options),
    }
}

type Tracked = FloatTensor<Autodiff<Cube>>;

/// The tensor behind one on the tape; one that is not is a constant there.
fn tracked<const N: usize>(tensor: Tensor<N>) -> Result<Tracked, Failure> {
    Ok(tensor.autodiff().try_into_primitive::<Autodiff<Cube>>().map_err(|why| format!("{why:?}"))?)
}

/// The convolution of x, weight and perhaps a bias, and its node.
fn on_tape<const N: usize>(inputs: [Tracked; N], options: &ConvOptions<2>) -> Result<Tensor<4>, Failure> {
    let tensors: Vec<CubeTensor> = inputs.iter().map(|input| input.primitive().clone()).collect();
    let layer = Layer::new(&tensors, options)?;
    let output = layer.forward(tensors)?;
    let node = <Gradient as Backward<Cube, N>>::prepare::<NoCheckpointing>(Gradient, inputs.each_ref().map(|input| input.node()));
    let output = match node.compute_bound().stateful() {
        OpsKind::Tracked(mut node) => {
            let [x, weight] = [0, 1].map(|i| node.checkpoint(&inputs[i]));
            node.finish(State { layer, x, weight }, output)
        }
        OpsKind::UnTracked(node) => node.finish(output),
    };
    Ok(Tensor::from_primitive::<Autodiff<Cube>>(output))
}

/// A convolution whose shapes are resolved, and the engine that computes it.
#[derive(Debug, Clone)]
struct Layer {
    gpu: Gpu,
    conv: ConvProblem,
}

impl Layer {
    /// Of x, weight and perhaps a bias.
    fn new(tensors: &[CubeTensor], options: &ConvOptions<2>) -> Result<Self, Failure> {
        let [x, weight, bias @ ..] = tensors else { return Err("a convolution takes x and a weight".into()) };
        let bias = bias.first().map(extents);
        let descriptor = Conv2dDescriptor {
            stride: options.stride,
            dilation: options.dilation,
            padding: Padding::Explicit { begin: options.padding_begin(), end: options.padding_end() },
            groups: options.groups,
            ..Default::default()
        };
        let (gpu, x, weight) = (engine_of(x)?, extents(x), extents(weight));
        Ok(Self { gpu, conv: ConvProblem::forward(&ConvInputs::new(&x, &weight, bias.as_deref()), &descriptor)? })
    }

    fn forward(&self, tensors: Vec<CubeTensor>) -> Result<CubeTensor, Failure> {
        let all: Vec<usize> = (0..tensors.len()).collect();
        Ok(run(&self.gpu, tensors, &[((&self.conv).into(), &all)])?.swap_remove(0))
    }

    /// The gradients by x, weight and bias that are wanted, from that by the output, in one submit.
    fn backward(&self, [x, weight, dy]: [CubeTensor; 3], wanted: &[bool]) -> Result<Vec<Option<CubeTensor>>, Failure> {
        let [of_x, of_weight, of_dy] = [0, 1, 2];
        let sum = ReduceProblem::new(&TensorType::f32(&extents(&dy)), &ReduceDescriptor::sum(&[0, 2, 3]))?;
        let all: [(Op, &[usize]); 3] = [
            (self.conv.data_gradient()?.into(), &[of_dy, of_weight]),
            (FilterGradient::new(&self.conv)?.into(), &[of_x, of_dy]),
            (sum.into(), &[of_dy]),
        ];
        let ops: Vec<(Op, &[usize])> = all.into_iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(op, _)| op).collect();
        let mut gradients = run(&self.gpu, vec![x, weight, dy], &ops)?.into_iter();
        Ok(wanted.iter().map(|&wanted| if wanted { gradients.next() } else { None }).collect())
    }
}

/// The node.
#[derive(Debug)]
struct Gradient;

#[derive(Debug, Clone)]
struct State {
    layer: Layer,
    x: NodeId,
    weight: NodeId,
}

impl<const N: usize> Backward<Cube, N> for Gradient {
    type State = State;

    fn backward(self, ops: Ops<State, N>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let State { layer, x, weight } = ops.state;
        let dy = gradients.consume::<Cube>(&ops.node);
        let [x, weight]: [CubeTensor; 2] = [x, weight].map(|node| checkpointer.retrieve_node_output(node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        match layer.backward([x, weight, dy], &wanted) {
            Ok(found) => {
                for (parent, gradient) in ops.parents.iter().zip(found) {
                    if let (Some(parent), Some(gradient)) = (parent, gradient) {
                        gradients.register::<Cube>(parent.id, gradient);
                    }
                }
            }
            // burn's backward pass has no way to give an error.
            Err(why) => panic!("the gradients of a convolution: {why}"),
        }
    }
}
