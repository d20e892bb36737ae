//! burn-wgpu: its public tensor functions, autotune on, one operation and one wait a run.

use crate::shape::Shape;
use crate::{Clock, Engine, Failure};
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use wgconv::Gpu;

pub struct Burn {
    device: Device,
}

/// burn's default device, or where wgconv finds a software driver alone that one: by itself burn passes it over, as a device of the kind CPU.
pub fn wgpu_device() -> Result<Device, Failure> {
    let software = Gpu::new()?.report().device_type == "cpu";
    Ok(Device::wgpu(if software { DeviceKind::Cpu } else { DeviceKind::DefaultDevice }))
}

impl Burn {
    pub fn open() -> Result<Self, Failure> {
        Ok(Self { device: wgpu_device()? })
    }

    fn tensor<const N: usize>(&self, extents: &[usize], values: Vec<f32>) -> Result<Tensor<N>, Failure> {
        let extents: [usize; N] = extents.try_into().map_err(|_| format!("the extents are {extents:?}: there are {N}"))?;
        Ok(Tensor::from_data(TensorData::new(values, extents), &self.device))
    }

    fn time<const N: usize>(&self, clock: &mut Clock, run: impl Fn() -> Tensor<N>) -> Result<Vec<f64>, Failure> {
        clock.time(|| {
            let output = run();
            self.device.sync().map_err(|e| format!("waiting for the device: {e:?}"))?;
            drop(output);
            Ok(())
        })?;
        let values = run().into_data().try_to_vec::<f32>().map_err(|e| format!("reading the output: {e:?}"))?;
        Ok(values.into_iter().map(f64::from).collect())
    }
}

impl Engine for Burn {
    fn device(&self) -> String {
        self.device.identity().map_or("unknown".into(), |identity| identity.name)
    }

    fn run(&self, shape: &Shape, clock: &mut Clock) -> Result<Vec<f64>, Failure> {
        let attrs = &shape.attrs;
        let [top, left, bottom, right] = attrs.pads;
        if (top, left) != (bottom, right) {
            return Err(format!("{}: the pads are {:?}: burn's are the same on both sides", shape.name, attrs.pads).into());
        }
        if shape.op == "matmul" {
            let (extents, values) = shape.w()?;
            let (a, b) = (self.tensor::<2>(&shape.inputs.x, shape.x())?, self.tensor::<2>(extents, values)?);
            return self.time(clock, || a.clone().matmul(b.clone()));
        }
        let x = self.tensor::<4>(&shape.inputs.x, shape.x())?;
        match shape.op.as_str() {
            "conv" => {
                let (extents, values) = shape.w()?;
                let w = self.tensor::<4>(extents, values)?;
                let options = || ConvOptions::new(attrs.strides, [top, left], attrs.dilations, attrs.group);
                self.time(clock, || conv2d(x.clone(), w.clone(), None, options()))
            }
            "max_pool" => {
                let options = || MaxPoolOptions::new(attrs.kernel_shape).with_stride(attrs.strides).with_padding([top, left]);
                self.time(clock, || max_pool2d(x.clone(), options()))
            }
            "average_pool" => {
                let options = || AvgPoolOptions::new(attrs.kernel_shape).with_stride(attrs.strides).with_padding([top, left]);
                self.time(clock, || avg_pool2d(x.clone(), options()))
            }
            other => Err(format!("{}: the op is {other}: it is conv, max_pool, average_pool or matmul", shape.name).into()),
        }
    }
}
