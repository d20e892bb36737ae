//! What the tests of gradients share: a graph of an op and its gradients, and the ways to compute it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use ndarray::{ArrayD, IxDyn};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;
use wgconv::graph::{Resolved, ValueId};
use wgconv::numeric::Generator;
use wgconv::{ElementType, Extent, Gpu, Graph, Layout, Result, Session, TensorType};

pub static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one"));

type Build = Rc<dyn Fn(&mut Graph, &[ValueId]) -> Result<ValueId>>;

/// A function of some operands, as a graph makes it.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    pub operands: Vec<TensorType>,
    build: Build,
}

/// Numbers by what they are: `y`, and `g0`, `g1`, ... for the gradients by the operands; none where nothing depends on one.
pub type Numbers = BTreeMap<String, Vec<f64>>;

impl Case {
    pub fn new(name: &str, operands: &[&[usize]], build: impl Fn(&mut Graph, &[ValueId]) -> Result<ValueId> + 'static) -> Self {
        Self { name: name.into(), operands: operands.iter().map(|extents| TensorType::f32(extents)).collect(), build: Rc::new(build) }
    }

    /// With the first operand in the other layout.
    pub fn channels_last(mut self) -> Self {
        self.name += ", channels-last";
        self.operands[0].layout = Layout::ChannelsLast;
        self
    }

    /// The same function on f16: its operands are f32 as before, and it reads them through casts.
    pub fn in_half(&self) -> Self {
        let build = self.build.clone();
        let half = move |graph: &mut Graph, values: &[ValueId]| {
            let values: Vec<ValueId> = values.iter().map(|value| graph.cast(*value, ElementType::F16)).collect::<Result<_>>()?;
            build(graph, &values)
        };
        Self { name: format!("{}, in f16", self.name), build: Rc::new(half), ..self.clone() }
    }

    fn made<T>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|why| panic!("{}: {why}", self.name))
    }

    /// The first operand is an input, the others are parameters, as filters must be; the upstream gradient is the input `dy`.
    pub fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        let mut values = vec![];
        for (i, tensor) in self.operands.iter().enumerate() {
            values.push(self.made(match i {
                0 => graph.input_as("x0", &open(&tensor.extents), ElementType::F32, tensor.layout),
                _ => graph.parameter(&format!("x{i}"), array(&tensor.extents, &vec![0.0; count(tensor)]).view()),
            }));
        }
        let y = self.made((self.build)(&mut graph, &values));
        let tensor = self.made(graph.at(0)).types[y.index()].clone();
        let dy = self.made(graph.input_as("dy", &open(&tensor.extents), ElementType::F32, tensor.layout));
        let gradients = self.made(graph.gradients(&[(y, dy)], &values));
        self.made(graph.output("y", y));
        for (i, gradient) in gradients.into_iter().enumerate() {
            if let Some(gradient) = gradient {
                self.made(graph.output(&format!("g{i}"), gradient));
            }
        }
        graph
    }

    /// Numbers for the operands and behind them the upstream gradient, each a function of the generator.
    pub fn numbers(&self, graph: &Graph, mut number: impl FnMut(&mut Generator) -> f64) -> Vec<Vec<f64>> {
        let mut generator = Generator::from_text(&self.name);
        let dy = graph.find("dy").and_then(|dy| graph.extents(dy)).unwrap_or_default();
        let counts: Vec<usize> = self.operands.iter().map(count).chain([dy.iter().product()]).collect();
        counts.into_iter().map(|count| (0..count).map(|_| number(&mut generator)).collect()).collect()
    }
}

pub fn count(tensor: &TensorType) -> usize {
    tensor.extents.iter().product()
}

pub fn array(extents: &[usize], values: &[f64]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(extents), values.iter().map(|v| *v as f32).collect()).expect("as many numbers as elements")
}

fn open(extents: &[usize]) -> Vec<Extent> {
    extents.iter().map(|&extent| extent.into()).collect()
}

/// What computes a graph.
pub enum Engine {
    /// The definitions of its ops, in f64; with `f32` each result is rounded to it.
    Reference { f32: bool },
    /// A session.
    Session(Session),
}

/// A graph and what computes it.
pub struct Runner {
    pub graph: Graph,
    pub engine: Engine,
    pub name: &'static str,
}

impl Runner {
    pub fn reference(graph: &Graph) -> Self {
        Self { graph: graph.clone(), engine: Engine::Reference { f32: false }, name: "the reference" }
    }

    pub fn rounded_reference(graph: &Graph) -> Self {
        Self { graph: graph.clone(), engine: Engine::Reference { f32: true }, name: "the reference in f32" }
    }

    pub fn gpu(graph: &Graph) -> Self {
        Self { graph: graph.clone(), engine: Engine::Session(Session::gpu(&GPU, graph).expect("a session on the GPU")), name: "the GPU" }
    }

    pub fn cpu(graph: &Graph) -> Self {
        Self { graph: graph.clone(), engine: Engine::Session(Session::cpu(graph).expect("a session on the CPU engine")), name: "the CPU engine" }
    }

    /// Its outputs by name. `numbers` are those of the operands x0, x1, ..., and of dy behind them.
    pub fn run(&self, numbers: &[Vec<f64>]) -> Numbers {
        let names: Vec<String> = (0..numbers.len()).map(|i| if i + 1 == numbers.len() { "dy".into() } else { format!("x{i}") }).collect();
        match &self.engine {
            Engine::Reference { f32 } => {
                let values = interpret(&self.graph, &names.into_iter().zip(numbers.iter().cloned()).collect(), *f32);
                self.graph.outputs().map(|(name, value)| (name.to_string(), values[value.index()].clone())).collect()
            }
            Engine::Session(session) => {
                let arrays: Vec<ArrayD<f32>> = names
                    .iter()
                    .zip(numbers)
                    .map(|(name, numbers)| {
                        let value = self.graph.find(name).expect("a value of the graph");
                        array(&self.graph.extents(value).expect("closed"), numbers)
                    })
                    .collect();
                let last = arrays.len() - 1;
                for i in 1..last {
                    session.set_parameter(&names[i], arrays[i].view()).expect("a parameter");
                }
                let given = [("x0", arrays[0].view()), ("dy", arrays[last].view())];
                let outputs = session.run(&given).expect("a run");
                let named = |name: &str| outputs.get(name).expect("an output").iter().map(|v| f64::from(*v)).collect();
                self.graph.outputs().map(|(name, _)| (name.to_string(), named(name))).collect()
            }
        }
    }
}

/// Every value of a graph by the references of its ops, in f64; with `rounded` each is rounded to f32, where what is too large is an infinity.
pub fn interpret(graph: &Graph, given: &BTreeMap<String, Vec<f64>>, rounded: bool) -> Vec<Vec<f64>> {
    let at = graph.at(0).expect("a closed graph");
    let mut values: Vec<Vec<f64>> = vec![];
    for (i, value) in graph.values().iter().enumerate() {
        let own = || {
            let id = graph.value_at(i)?;
            Some(graph.numbers(id)?.as_f32().iter().map(|v| f64::from(*v)).collect())
        };
        values.push(given.get(value.name()).cloned().or_else(own).unwrap_or_default());
    }
    for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
        let inputs: Vec<&[f64]> = node.inputs().iter().map(|input| values[input.index()].as_slice()).collect();
        let outputs: Vec<Vec<f64>> = match resolved {
            Resolved::View(_) => vec![inputs[0].to_vec()],
            Resolved::Op(op) => {
                let outputs = wgconv::reference::compute(op.as_ref().clone(), &inputs).unwrap_or_else(|why| panic!("{}: {why}", node.name()));
                outputs.into_iter().map(|output| output.value).collect()
            }
        };
        for (output, numbers) in node.outputs().iter().zip(outputs) {
            values[output.index()] = if rounded { numbers.into_iter().map(|v| f64::from(v as f32)).collect() } else { numbers };
        }
    }
    values
}

pub fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Equal, or both NaN; else further apart than `tolerance` times the largest finite number that is wanted.
pub fn assert_close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let same = got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= tolerance * scale;
        assert!(same, "{what}: element {i} is {got:e}, not {want:e}");
    }
}
