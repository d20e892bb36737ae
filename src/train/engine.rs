//! Where a trainer computes: the session of its graph, its parameters, and the state of its optimizer.

use crate::gpu::Gpu;
use crate::gpu::prepared::{Bound, Prepared};
use crate::gpu::tensor::Tensor;
use crate::graph::Graph;
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::ops::optimizer::{OptimizerProblem, Rule, Scalars};
use crate::session::{BoundSession, Session};
use crate::train::data::shaped;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use ndarray::{Array1, ArrayD, ArrayViewD, Ix0, Ix1, IxDyn};

/// Where to train.
#[derive(Debug, Clone, Default)]
pub enum Engine {
    /// On a GPU.
    Gpu(Gpu),
    /// On the CPU engine.
    #[default]
    Cpu,
}

impl From<&Gpu> for Engine {
    fn from(gpu: &Gpu) -> Self {
        Engine::Gpu(gpu.clone())
    }
}

/// A training graph on an engine: inputs `input` and `target`, outputs `loss` and a gradient for each parameter.
pub(super) struct Running {
    pub session: Session,
    names: Vec<String>,
    rule: Rule,
    on: On,
}

enum On {
    Cpu(Vec<CpuParameter>),
    Gpu(Box<OnGpu>),
}

struct CpuParameter {
    extents: Vec<usize>,
    numbers: Vec<f32>,
    state: Vec<Vec<f32>>,
}

struct OnGpu {
    gpu: Gpu,
    input: Tensor,
    target: Tensor,
    scalars: Tensor,
    /// By parameter, then by the tensors that the rule keeps.
    states: Vec<Vec<Tensor>>,
    /// The sum of the losses since it was last read.
    total: Tensor,
    network: BoundSession,
    steps: Vec<Bound>,
    sum: Bound,
}

/// What the name of a parameter's gradient begins with.
const GRADIENT: &str = "grad.";

impl Running {
    pub fn new(engine: &Engine, graph: &Graph, names: Vec<String>, rule: Rule, extents: [&[usize]; 2]) -> Result<Self> {
        match engine {
            Engine::Cpu => {
                let parameter = |name: &String| {
                    let value = graph.find(name).ok_or_else(|| missing(name))?;
                    let numbers = graph.numbers(value).ok_or_else(|| missing(name))?;
                    let numbers: (Vec<usize>, Vec<f32>) = (numbers.tensor_type().extents, numbers.as_f32().into_owned());
                    let state = rule.state().iter().map(|_| vec![0.0; numbers.1.len()]).collect();
                    Ok(CpuParameter { extents: numbers.0, numbers: numbers.1, state })
                };
                let parameters = names.iter().map(parameter).collect::<Result<_>>()?;
                Ok(Self { session: Session::cpu(graph)?, names, rule, on: On::Cpu(parameters) })
            }
            Engine::Gpu(gpu) => {
                let session = Session::gpu(gpu, graph)?;
                let on = OnGpu::new(gpu, &session, &names, rule, extents)?;
                Ok(Self { session, names, rule, on: On::Gpu(Box::new(on)) })
            }
        }
    }

    /// One step on a batch; the loss, where it is known at once.
    pub fn step(&mut self, input: ArrayViewD<'_, f32>, target: ArrayViewD<'_, f32>, scalars: Scalars) -> Result<Option<f64>> {
        match &mut self.on {
            On::Gpu(on) => {
                on.input.write(&input)?;
                on.target.write(&target)?;
                on.scalars.write(&Array1::from_vec(scalars.to_array().to_vec()))?;
                let mut recorder = on.gpu.recorder();
                on.network.record(&mut recorder)?;
                on.sum.record(&mut recorder)?;
                on.steps.iter().try_for_each(|step| step.record(&mut recorder))?;
                self.session.refresh(&mut recorder, &self.names.iter().map(String::as_str).collect::<Vec<_>>())?;
                recorder.submit()?;
                Ok(None)
            }
            On::Cpu(parameters) => {
                let outputs = self.session.run(&[("input", input), ("target", target)])?;
                let loss = outputs.get("loss").and_then(|loss| loss.first().copied()).ok_or_else(|| missing("loss"))?;
                if !loss.is_finite() {
                    return Ok(Some(loss.into())); // parameters stay as they were
                }
                for (name, parameter) in self.names.iter().zip(parameters) {
                    let gradient = outputs.get(&format!("{GRADIENT}{name}")).and_then(|gradient| gradient.as_slice()).ok_or_else(|| missing(name))?;
                    crate::cpu::optimizer::step(self.rule, scalars, &mut parameter.numbers, &mut parameter.state, gradient);
                    let numbers = ArrayViewD::from_shape(IxDyn(&parameter.extents), &parameter.numbers).map_err(|_| missing(name))?;
                    self.session.set_parameter(name, numbers)?;
                }
                Ok(Some(loss.into()))
            }
        }
    }

    /// The sum of the losses of the steps whose loss was not known, which begins anew.
    pub fn take_total(&mut self) -> Result<f64> {
        match &self.on {
            On::Cpu(_) => Ok(0.0),
            On::Gpu(on) => {
                let total: f32 = on.total.download::<f32, Ix0>()?.into_scalar();
                on.total.write(&ndarray::arr0(0.0f32))?;
                Ok(total.into())
            }
        }
    }

    /// Waits for the device.
    pub fn finish(&self) -> Result<()> {
        match &self.on {
            On::Cpu(_) => Ok(()),
            On::Gpu(on) => on.scalars.download::<f32, Ix1>().map(|_| ()),
        }
    }

    /// The parameters with their names, as they are now.
    pub fn parameters(&self) -> Result<Vec<(String, ArrayD<f32>)>> {
        let numbers = |(i, name): (usize, &String)| {
            let array = match &self.on {
                On::Cpu(parameters) => shaped(parameters[i].numbers.clone(), &parameters[i].extents)?,
                On::Gpu(_) => self.session.parameter(name)?.download::<f32, IxDyn>()?,
            };
            Ok((name.clone(), array))
        };
        self.names.iter().enumerate().map(numbers).collect()
    }

    #[cfg(feature = "weights")]
    /// The tensors that the rule keeps, by parameter and name: `m.conv1.weight`.
    pub fn state(&self) -> Result<Vec<(String, ArrayD<f32>)>> {
        let mut all = vec![];
        for (i, name) in self.names.iter().enumerate() {
            for (k, kept) in self.rule.state().iter().enumerate() {
                let array = match &self.on {
                    On::Cpu(parameters) => shaped(parameters[i].state[k].clone(), &parameters[i].extents)?,
                    On::Gpu(on) => on.states[i][k].download::<f32, IxDyn>()?,
                };
                all.push((format!("{kept}.{name}"), array));
            }
        }
        Ok(all)
    }

    /// Sets parameters and state to what [`Running::parameters`] and [`Running::state`] gave.
    pub fn restore(&mut self, parameters: &[(String, ArrayD<f32>)], state: &[(String, ArrayD<f32>)]) -> Result<()> {
        let find = |from: &[(String, ArrayD<f32>)], name: &str, extents: &[usize]| -> Result<ArrayD<f32>> {
            let found = from.iter().find(|(own, _)| own == name).map(|(_, array)| array.clone()).ok_or_else(|| missing(name))?;
            if found.shape() == extents { Ok(found) } else { Err(Error::invalid(name, format!("{:?}", found.shape()), format!("it is {extents:?}"))) }
        };
        for (i, name) in self.names.clone().iter().enumerate() {
            let extents = match &self.on {
                On::Cpu(parameters) => parameters[i].extents.clone(),
                On::Gpu(_) => self.session.parameter(name)?.shape().extents().to_vec(),
            };
            let numbers = find(parameters, name, &extents)?;
            self.session.set_parameter(name, numbers.view())?;
            if let On::Cpu(parameters) = &mut self.on {
                parameters[i].numbers = numbers.iter().copied().collect();
            }
            for (k, kept) in self.rule.state().iter().enumerate() {
                let array = find(state, &format!("{kept}.{name}"), &extents)?;
                match &mut self.on {
                    On::Cpu(parameters) => parameters[i].state[k] = array.iter().copied().collect(),
                    On::Gpu(on) => on.states[i][k].write(&array)?,
                }
            }
        }
        Ok(())
    }
}

impl OnGpu {
    fn new(gpu: &Gpu, session: &Session, names: &[String], rule: Rule, [input, target]: [&[usize]; 2]) -> Result<Self> {
        let zeros = |extents: &[usize]| gpu.zeros(extents, ElementType::F32, Layout::ChannelsFirst);
        let (input, target, scalars) = (zeros(input)?, zeros(target)?, zeros(&[Scalars::COUNT])?);
        let (loss, total) = (zeros(&[])?, zeros(&[])?);
        let parameters: Vec<Tensor> = names.iter().map(|name| session.parameter(name)).collect::<Result<_>>()?;
        let gradients: Vec<Tensor> = parameters.iter().map(|parameter| zeros(parameter.shape().extents())).collect::<Result<_>>()?;
        let kept = |parameter: &Tensor| rule.state().iter().map(|_| zeros(parameter.shape().extents())).collect::<Result<Vec<_>>>();
        let states: Vec<Vec<Tensor>> = parameters.iter().map(kept).collect::<Result<_>>()?;
        let gradient_names: Vec<String> = names.iter().map(|name| format!("{GRADIENT}{name}")).collect();
        let outputs: Vec<(&str, &Tensor)> =
            std::iter::once(("loss", &loss)).chain(gradient_names.iter().map(String::as_str).zip(&gradients)).collect();
        let network = session.bind(&[("input", &input), ("target", &target)], &outputs)?;
        let mut steps = vec![];
        for ((parameter, gradient), state) in parameters.iter().zip(&gradients).zip(&states) {
            let prepared = Prepared::new(gpu, OptimizerProblem::new(rule, parameter.shape().extents())?, &[])?;
            let changed: Vec<&Tensor> = std::iter::once(parameter).chain(state).collect();
            steps.push(prepared.bind(&[gradient, &scalars], &changed)?);
        }
        let scalar = TensorType::f32(&[]);
        let add = Prepared::new(gpu, BinaryProblem::new(&scalar, &scalar, BinaryOp::Add)?.in_place()?, &[])?;
        let sum = add.bind(&[&loss], &[&total])?;
        Ok(Self { gpu: gpu.clone(), input, target, scalars, states, total, network, steps, sum })
    }
}

fn missing(name: &str) -> Error {
    Error::invalid("name", format!("\"{name}\""), "training has nothing of this name")
}
