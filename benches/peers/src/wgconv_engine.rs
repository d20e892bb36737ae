//! wgconv: the planner's own choice, prepared once; a run records, submits and waits.

use crate::shape::Shape;
use crate::{Clock, Engine, Failure};
use wgconv::conv::{ConvDescriptor, ConvInputs, ConvProblem};
use wgconv::matmul::MatMulProblem;
use wgconv::op::{Op, Prepared, Problem};
use wgconv::pool::{PoolDescriptor, PoolKind, PoolProblem};
use wgconv::validate::{download, upload};
use wgconv::{ElementType, Gpu, Padding, Tensor, TensorType};

pub struct Wgconv {
    gpu: Gpu,
}

impl Wgconv {
    pub fn open() -> Result<Self, Failure> {
        Ok(Self { gpu: Gpu::new()? })
    }
}

impl Engine for Wgconv {
    fn device(&self) -> String {
        self.gpu.report().to_string()
    }

    fn run(&self, shape: &Shape, clock: &mut Clock) -> Result<Vec<f64>, Failure> {
        let op = op(shape)?;
        let specs = op.inputs();
        let values = std::iter::once(Ok(shape.x())).chain(specs.iter().skip(1).map(|_| shape.w().map(|(_, w)| w)));
        let mut tensors: Vec<Tensor> = Vec::new();
        for (spec, values) in specs.iter().zip(values) {
            let values: Vec<f64> = values?.into_iter().map(f64::from).collect();
            tensors.push(upload(&self.gpu, spec, &values)?);
        }
        let part =
            |constant: bool| -> Vec<&Tensor> { specs.iter().zip(&tensors).filter(|(spec, _)| spec.constant == constant).map(|(_, t)| t).collect() };
        let prepared = Prepared::new(&self.gpu, &op, &part(true))?;
        let outputs = prepared.outputs()?;
        let (given, written) = (part(false), outputs.iter().collect::<Vec<_>>());
        clock.time(|| {
            let mut recorder = self.gpu.recorder();
            prepared.record(&mut recorder, &given, &written)?;
            recorder.submit()?;
            Ok(self.gpu.wait()?)
        })?;
        Ok(download(&outputs[0])?)
    }
}

fn op(shape: &Shape) -> Result<Op, Failure> {
    let (x, attrs) = (&shape.inputs.x, &shape.attrs);
    let [top, left, bottom, right] = attrs.pads;
    let padding = Padding::Explicit { begin: [top, left], end: [bottom, right] };
    let pool = |kind: PoolKind| {
        let descriptor = PoolDescriptor::window(attrs.kernel_shape).with_stride(attrs.strides).with_padding(padding);
        PoolProblem::new(&TensorType::f32(x), &descriptor.with_kind(kind))
    };
    Ok(match shape.op.as_str() {
        "conv" => {
            let descriptor = ConvDescriptor { stride: attrs.strides, dilation: attrs.dilations, padding, groups: attrs.group, ..Default::default() };
            ConvProblem::forward::<2>(&ConvInputs::new(x, shape.w()?.0, None), &descriptor)?.into()
        }
        "max_pool" => pool(PoolKind::Max { indices: None })?.into(),
        "average_pool" => pool(PoolKind::Average { count_include_pad: false })?.into(),
        "matmul" => MatMulProblem::matmul(x, shape.w()?.0, ElementType::F32)?.into(),
        other => return Err(format!("{}: the op is {other}: it is conv, max_pool, average_pool or matmul", shape.name).into()),
    })
}
