//! burn: its modules, automatic differentiation and Adam, as its documents have them.

use crate::Failure;
use crate::training::{BATCH, INPUT, Learner, PARAMETERS, RATE, input, labels, parameter};
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};

#[derive(Module, Debug)]
struct Lenet {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    pool: AvgPool2d,
    dense1: Linear,
    dense2: Linear,
}

impl Lenet {
    fn new(device: &Device) -> Self {
        let conv = |place: usize| {
            let extents = PARAMETERS[place].1;
            let mut conv = Conv2dConfig::new([extents[1], extents[0]], [extents[2], extents[3]]).init(device);
            conv.weight = Param::from_data(TensorData::new(parameter(place), extents), device);
            conv.bias = Some(bias(place + 1, device));
            conv
        };
        let dense = |place: usize| {
            let (rows, columns) = (PARAMETERS[place].1[0], PARAMETERS[place].1[1]);
            let (numbers, mut transposed) = (parameter(place), vec![0.0f32; rows * columns]); // burn keeps inputs first
            for (i, value) in numbers.into_iter().enumerate() {
                transposed[i % columns * rows + i / columns] = value;
            }
            let mut dense = LinearConfig::new(columns, rows).init(device);
            dense.weight = Param::from_data(TensorData::new(transposed, [columns, rows]), device);
            dense.bias = Some(bias(place + 1, device));
            dense
        };
        let pool = AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
        Self { conv1: conv(0), conv2: conv(2), conv3: conv(4), pool, dense1: dense(6), dense2: dense(8) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(self.conv1.forward(x).tanh());
        let x = self.pool.forward(self.conv2.forward(x).tanh());
        let x = self.conv3.forward(x).tanh().flatten(1, 3);
        self.dense2.forward(self.dense1.forward(x).tanh())
    }
}

fn bias(place: usize, device: &Device) -> Param<Tensor<1>> {
    Param::from_data(TensorData::new(parameter(place), PARAMETERS[place].1), device)
}

pub struct Burn {
    device: Device,
    /// None for the moment of a step: the optimizer takes the network and gives another.
    network: Option<Lenet>,
    loss: CrossEntropyLoss,
    optimizer: ModuleOptimizer,
    input: Vec<f32>,
    labels: Vec<i32>,
}

impl Burn {
    pub fn new(device: Device) -> Self {
        let device = device.autodiff();
        let loss = CrossEntropyLossConfig::new().init(&device);
        let optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        let labels = labels().into_iter().map(|label| label as i32).collect();
        Self { network: Some(Lenet::new(&device)), loss, optimizer, input: input(), labels, device }
    }

    fn forward(&self, network: &Lenet) -> Tensor<1> {
        let x = Tensor::<4>::from_data(TensorData::new(self.input.clone(), INPUT), &self.device);
        let targets = Tensor::<1, Int>::from_data(TensorData::new(self.labels.clone(), [BATCH]), &self.device);
        self.loss.forward(network.forward(x), targets)
    }
}

impl Learner for Burn {
    fn device(&self) -> String {
        self.device.identity().map_or_else(|| format!("CPU, threads: {}", crate::threads()), |identity| identity.name)
    }

    fn step(&mut self) -> Result<(), Failure> {
        let network = self.network.take().ok_or("a step before this one failed")?;
        let gradients = GradientsParams::from_grads(self.forward(&network).backward(), &network);
        self.network = Some(self.optimizer.step(RATE, network, gradients));
        self.device.sync().map_err(|e| format!("waiting for the device: {e:?}").into())
    }

    fn loss(&mut self) -> Result<f64, Failure> {
        let network = self.network.as_ref().ok_or("a step before this one failed")?;
        let loss = self.forward(network).try_into_scalar::<f32>();
        Ok(f64::from(loss.map_err(|e| format!("reading the loss: {e:?}"))?))
    }
}
