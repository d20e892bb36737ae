//! A small network of burn's modules, whose convolutions are computed by burn or by wgconv, and its training.

use crate::bridge::Failure;
use crate::conv::conv2d;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Who computes convolutions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum By {
    Burn,
    Wgconv,
}

impl By {
    pub const BOTH: [By; 2] = [By::Burn, By::Wgconv];

    /// A convolution of burn's module.
    pub fn layer(self, layer: &Conv2d, x: Tensor<4>) -> Result<Tensor<4>, Failure> {
        let padding = match layer.padding {
            PaddingConfig2d::Valid => [(0, 0); 2],
            PaddingConfig2d::Explicit(top, left, bottom, right) => [(top, bottom), (left, right)],
            PaddingConfig2d::Same => return Err("the padding is Same: give it as Explicit".into()),
        };
        match self {
            By::Burn => Ok(layer.forward(x)),
            By::Wgconv => {
                let options = ConvOptions::new_with_padding(layer.stride, padding, layer.dilation, layer.groups);
                conv2d(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), &options)
            }
        }
    }
}

/// Images a batch, their extents, classes.
pub const BATCH: usize = 32;
pub const IMAGE: [usize; 3] = [3, 32, 32];
pub const CLASSES: usize = 10;
/// Of gradient descent.
pub const RATE: f64 = 0.05;

/// Three convolutions, two pools, a dense layer.
#[derive(Module, Debug)]
pub struct Network {
    pub first: Conv2d,
    pub second: Conv2d,
    pub third: Conv2d,
    pool: MaxPool2d,
    dense: Linear,
}

impl Network {
    pub fn new(device: &Device) -> Self {
        let conv = |from: usize, to: usize, stride: usize| {
            Conv2dConfig::new([from, to], [3, 3]).with_stride([stride; 2]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
        };
        let pool = MaxPool2dConfig::new([2, 2]).init();
        Self {
            first: conv(IMAGE[0], 16, 1),
            second: conv(16, 32, 1),
            third: conv(32, 32, 2),
            pool,
            dense: LinearConfig::new(32 * 4 * 4, CLASSES).init(device),
        }
    }

    pub fn forward(&self, x: Tensor<4>, by: By) -> Result<Tensor<2>, Failure> {
        let x = self.pool.forward(relu(by.layer(&self.first, x)?));
        let x = self.pool.forward(relu(by.layer(&self.second, x)?));
        let x = relu(by.layer(&self.third, x)?);
        Ok(self.dense.forward(x.flatten(1, 3)))
    }
}

/// A network that learns one batch.
pub struct Learner {
    by: By,
    /// None for the moment of a step: the optimizer takes the network and gives another.
    network: Option<Network>,
    optimizer: ModuleOptimizer,
    x: Tensor<4>,
    classes: Tensor<1, Int>,
    device: Device,
}

impl Learner {
    /// Of a copy of `network`, on a device that differentiates.
    pub fn new(by: By, network: &Network, x: &[f32], device: &Device) -> Self {
        let x = Tensor::from_data(TensorData::new(x.to_vec(), [BATCH, IMAGE[0], IMAGE[1], IMAGE[2]]), device);
        let classes: Vec<i32> = (0..BATCH).map(|image| (image % CLASSES) as i32).collect();
        let classes = Tensor::from_data(TensorData::new(classes, [BATCH]), device);
        Self { by, network: Some(network.clone()), optimizer: SgdConfig::new().init(), x, classes, device: device.clone() }
    }

    fn loss_of(&self, network: &Network) -> Result<Tensor<1>, Failure> {
        let logits = network.forward(self.x.clone(), self.by)?;
        Ok(CrossEntropyLossConfig::new().init(&self.device).forward(logits, self.classes.clone()))
    }

    /// The loss of the batch as the parameters are now.
    pub fn loss(&self) -> Result<f64, Failure> {
        let network = self.network.as_ref().ok_or("a step before this one failed")?;
        Ok(self.loss_of(network)?.try_into_scalar::<f32>().map_err(|why| format!("the loss: {why:?}"))?.into())
    }

    /// Forward pass, backward pass and a step of gradient descent.
    pub fn step(&mut self) -> Result<(), Failure> {
        let network = self.network.take().ok_or("a step before this one failed")?;
        let gradients = GradientsParams::from_grads(self.loss_of(&network)?.backward(), &network);
        self.network = Some(self.optimizer.step(RATE, network, gradients));
        Ok(())
    }
}
