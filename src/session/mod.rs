//! Running a graph: on the GPU in one submit, or on the CPU engine.
//!
//! A [`Session`] plans a graph for each open extent that it meets, prepares every op once and keeps that; later runs of the extent upload inputs,
//! dispatch and download in one submit, and plan, compile and allocate nothing. Weights are packed once, and extents whose plans pack alike share
//! them, as sessions do that were made [`Session::beside`] each other.

pub(crate) mod bytes;
pub(crate) mod cpu;
mod cut;
#[cfg(feature = "cpu")]
mod filters;
pub(crate) mod gpu;
pub(crate) mod inputs;
mod layout;
pub(crate) mod memory;
pub(crate) mod placement;
pub(crate) mod ready;
pub(crate) mod run;
pub(crate) mod store;

pub use bytes::{Given, Outputs};
pub use layout::{Arrangement, InLayout, fastest_layout};
pub use memory::Memory;
pub use placement::Arena;

use crate::gpu::Gpu;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::graph::{Graph, Source, ValueId};
use crate::session::gpu::OnGpu;
use crate::types::{Element, Error, Result};
use ndarray::{ArrayView, Dimension};
use std::sync::{Arc, PoisonError, RwLock};

/// How a session keeps what it prepares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDescriptor {
    /// Bytes on the device that the session may take, [`Memory::peak`] of one extent and what is kept of others together. To stay below it, plans with less
    /// scratch memory are taken and other extents are released; what does not fit then is refused.
    pub memory_limit: Option<u64>,
    /// Open extents that are kept prepared, at least 1: the one that was run longest ago is released for a new one.
    pub extents: usize,
}

impl Default for SessionDescriptor {
    fn default() -> Self {
        Self { memory_limit: None, extents: 8 }
    }
}

/// A graph that is ready to run on an engine. Cheap to clone: clones share everything. Threads may run one session at the same time.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    state: RwLock<State>,
    engine: Engine,
}

/// What changes together.
#[derive(Clone)]
struct State {
    /// With the numbers that parameters have now.
    graph: Arc<Graph>,
    /// What the CPU engine keeps of them; nothing on a GPU.
    kept: cpu::Kept,
}

enum Engine {
    Gpu(OnGpu),
    Cpu,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engine = if self.on_gpu().is_some() { "GPU" } else { "CPU" };
        write!(f, "Session({} nodes on the {engine})", self.graph().nodes().len())
    }
}

impl Session {
    /// A session on `gpu`. A graph without open extents is prepared at once, another when an extent is first met.
    ///
    /// # Errors
    /// A parameter without numbers; what the device cannot hold or run.
    pub fn gpu(gpu: &Gpu, graph: &Graph) -> Result<Self> {
        Self::gpu_with(gpu, graph, &SessionDescriptor::default())
    }

    /// As [`Session::gpu`], kept as `descriptor` says.
    ///
    /// # Errors
    /// As [`Session::gpu`]; [`Error::TooLarge`] for what does not fit into the memory limit, before anything is allocated.
    pub fn gpu_with(gpu: &Gpu, graph: &Graph, descriptor: &SessionDescriptor) -> Result<Self> {
        check(graph)?;
        Self::on(OnGpu::new(gpu, graph, descriptor)?, graph)
    }

    /// As [`Session::gpu`], with parameters, by name, in tensors of the caller, which are given their numbers.
    pub(crate) fn gpu_over(gpu: &Gpu, graph: &Graph, parameters: Vec<(&str, Tensor)>) -> Result<Self> {
        check(graph)?;
        let engine = OnGpu::new(gpu, graph, &SessionDescriptor::default())?;
        for (name, tensor) in parameters {
            engine.adopt(graph.parameter_called(name)?, tensor)?;
        }
        Self::on(engine, graph)
    }

    /// A session on the CPU engine; what that does not have runs on the reference, and so does all without the feature `cpu`: exact and slow.
    ///
    /// # Errors
    /// A parameter without numbers.
    pub fn cpu(graph: &Graph) -> Result<Self> {
        check(graph)?;
        let state = State { graph: Arc::new(graph.clone()), kept: cpu::Kept::new(graph) };
        Ok(Self { inner: Arc::new(Inner { state: RwLock::new(state), engine: Engine::Cpu }) })
    }

    /// A session of `graph` on the same engine. On a GPU it shares weights with this one: those of clones of one graph, and those that a pass left as they
    /// were; a weight that is set in one of them is set in both.
    ///
    /// # Errors
    /// As [`Session::gpu_with`].
    pub fn beside(&self, graph: &Graph) -> Result<Self> {
        match &self.inner.engine {
            Engine::Cpu => Self::cpu(graph),
            Engine::Gpu(own) => {
                check(graph)?;
                Self::on(own.beside(graph), graph)
            }
        }
    }

    fn on(engine: OnGpu, graph: &Graph) -> Result<Self> {
        if !graph.is_open() {
            engine.ready(graph, 0)?;
        }
        let state = State { graph: Arc::new(graph.clone()), kept: cpu::Kept::default() };
        Ok(Self { inner: Arc::new(Inner { state: RwLock::new(state), engine: Engine::Gpu(engine) }) })
    }

    fn on_gpu(&self) -> Option<&OnGpu> {
        match &self.inner.engine {
            Engine::Gpu(engine) => Some(engine),
            Engine::Cpu => None,
        }
    }

    /// For what only a GPU has.
    fn need_gpu(&self, what: &str) -> Result<&OnGpu> {
        self.on_gpu().ok_or_else(|| Error::invalid("the session", "on the CPU engine", format!("{what} needs one on a GPU")))
    }

    /// The graph, with the numbers that [`Session::set_parameter`] gave it.
    pub fn graph(&self) -> Arc<Graph> {
        self.state().graph
    }

    fn state(&self) -> State {
        self.inner.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes the session takes for an open extent (0 where nothing is open), known before anything is allocated. On the CPU engine: the numbers of
    /// weights, inputs and outputs, of filters packed for the engine beside them, and of what is live at once between ops; what an op takes for itself while
    /// it runs is not counted.
    ///
    /// # Errors
    /// An extent of 0 where one is open. What an op does not take at this extent; what does not fit into the memory limit.
    pub fn memory(&self, open: usize) -> Result<Memory> {
        let graph = self.graph();
        let memory = match &self.inner.engine {
            Engine::Gpu(engine) => engine.memory(&graph, open),
            Engine::Cpu => cpu::memory(&graph, open),
        }?;
        Ok(Memory { open: graph.is_open().then_some(open), ..memory })
    }

    /// Prepares for an open extent before it is met, so that its first run takes no longer than the others.
    ///
    /// # Errors
    /// As `run`.
    pub fn prepare(&self, open: usize) -> Result<()> {
        let State { graph, kept } = self.state();
        match &self.inner.engine {
            Engine::Gpu(engine) => engine.ready(&graph, open)?.warm(&graph),
            Engine::Cpu => cpu::prepare(&graph, open, &kept),
        }
    }

    /// Kernel calls of a run at an open extent; none on the CPU engine. Prepares for the extent.
    ///
    /// # Errors
    /// As `run`.
    pub fn dispatches(&self, open: usize) -> Result<Option<usize>> {
        let graph = self.graph();
        self.on_gpu().map(|engine| Ok(engine.ready(&graph, open)?.steps())).transpose()
    }

    /// Runs the network on `inputs`, by name, in any order. The open extent is what they say.
    ///
    /// All arrays of a call have one type: inputs of different ranks are given as views of `into_dyn()`, and a network without inputs is run by
    /// `run::<IxDyn>(&[])`.
    ///
    /// ```
    /// # use wgconv::{Graph, Session, ndarray::{Array1, Array2, IxDyn}};
    /// # fn main() -> wgconv::Result<()> {
    /// # let mut graph = Graph::new();
    /// # let (a, b) = (graph.input("a", [2.into(), 3.into()])?, graph.input("b", [3.into()])?);
    /// # let y = graph.add(a, b)?;
    /// # graph.output("y", y)?;
    /// # let session = Session::cpu(&graph)?;
    /// let (a, b) = (Array2::<f32>::ones((2, 3)), Array1::<f32>::ones(3));
    /// let y = &session.run(&[("a", a.view().into_dyn()), ("b", b.view().into_dyn())])?["y"];
    /// # assert_eq!(y.sum(), 12.0);
    /// # let mut graph = Graph::new();
    /// # let one = graph.constant("one", Array1::<f32>::ones(3).view())?;
    /// # graph.output("y", one)?;
    /// # let without_inputs = Session::cpu(&graph)?;
    /// let constants = without_inputs.run::<IxDyn>(&[])?;
    /// # assert_eq!(constants["y"].len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An input that is missing, unknown or of another shape; open extents that differ; loss of the device, out of memory.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<D: Dimension>(&self, inputs: &[(&str, ArrayView<'_, f32, D>)]) -> Result<Outputs> {
        self.run_with(&numbers(inputs))
    }

    /// As `run`, where inputs may be the bytes of images ([`Graph::image_input`]): arrays and byte slices become [`Given`]s by `.into()`.
    ///
    /// # Errors
    /// As `run`; bytes for an input that is no image, or of another number than images have.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_with(&self, inputs: &[(&str, Given<'_>)]) -> Result<Outputs> {
        let State { graph, kept } = self.state();
        let (open, given) = given(&graph, inputs)?;
        let outputs = match &self.inner.engine {
            Engine::Gpu(engine) => {
                let ready = engine.ready(&graph, open)?;
                let (frame, outputs) = engine.submit(&graph, &ready, &given)?.wait()?;
                ready.keep(frame);
                outputs
            }
            Engine::Cpu => cpu::run(&graph, open, &given, &kept)?,
        };
        Ok(Outputs::named(&graph, outputs))
    }

    /// As `run`, without blocking the calling thread: inputs are copied before the first wait, and a thread of its own prepares an extent that is new, or
    /// computes on the CPU engine. Where the program polls the device ([`Gpu::set_polling`]) no thread is started: a new extent is prepared in the first poll
    /// of the future, unless [`Session::prepare`] has done it. In a browser, which cannot block, this is the one form.
    ///
    /// # Errors
    /// As `run`.
    pub async fn run_async<D: Dimension>(&self, inputs: &[(&str, ArrayView<'_, f32, D>)]) -> Result<Outputs> {
        self.run_with_async(&numbers(inputs)).await
    }

    /// [`Session::run_with`] without blocking the calling thread, as [`Session::run_async`].
    ///
    /// # Errors
    /// As `run_with`.
    pub async fn run_with_async(&self, inputs: &[(&str, Given<'_>)]) -> Result<Outputs> {
        let State { graph, kept } = self.state();
        let (open, given) = given(&graph, inputs)?;
        let outputs = match &self.inner.engine {
            Engine::Gpu(engine) => {
                #[cfg(not(target_arch = "wasm32"))]
                if !engine.is_ready(open) {
                    let session = self.clone();
                    engine.device().off_thread("session", move || session.prepare(open)).await?;
                }
                let ready = engine.ready(&graph, open)?;
                let (frame, outputs) = engine.submit(&graph, &ready, &given)?.arrived().await?;
                ready.keep(frame);
                outputs
            }
            Engine::Cpu => {
                let on = graph.clone();
                let owned: Vec<_> = given.iter().map(|(value, given)| (*value, given.to_owned())).collect();
                let compute = move || cpu::run(&on, open, &owned.iter().map(|(value, given)| (*value, given.view())).collect::<Vec<_>>(), &kept);
                #[cfg(not(target_arch = "wasm32"))]
                let outputs = crate::gpu::later::off_thread("session", compute).await?;
                #[cfg(target_arch = "wasm32")]
                let outputs = compute()?;
                outputs
            }
        };
        Ok(Outputs::named(&graph, outputs))
    }

    /// Records a run over the caller's tensors, all inputs and all outputs by name; nothing is uploaded, submitted or waited for. The recorder may be on
    /// the caller's encoder.
    ///
    /// # Errors
    /// A tensor that is missing, unknown, of another type than the graph says or on another device; an output in the buffer of an input; a session on
    /// the CPU engine.
    pub fn record(&self, recorder: &mut Recorder<'_>, inputs: &[(&str, &Tensor)], outputs: &[(&str, &Tensor)]) -> Result<()> {
        let graph = self.graph();
        let recorded = self.need_gpu("a recording").and_then(|engine| engine.record(&graph, recorder, inputs, outputs));
        if recorded.is_err() {
            recorder.note_failure();
        }
        recorded
    }

    /// Checks and binds tensors once, to be recorded again and again: those whose contents change and that stay. Takes what [`Session::record`] takes.
    ///
    /// # Errors
    /// As [`Session::record`].
    pub fn bind(&self, inputs: &[(&str, &Tensor)], outputs: &[(&str, &Tensor)]) -> Result<BoundSession> {
        let graph = self.graph();
        let engine = self.need_gpu("a recording")?;
        Ok(BoundSession { gpu: engine.device().clone(), recording: engine.bind(&graph, inputs, outputs)? })
    }

    /// Gives a parameter other numbers of the same type. Runs that follow see them, and so do recordings of a [`BoundSession`] that are submitted after; a run
    /// of another thread sees all of it or nothing. Names are those of the session's graph: what a [`Pass`](crate::graph::Pass) folded
    /// has none there.
    ///
    /// # Errors
    /// No parameter of this name, with what a pass made of it or the name that is nearest; another shape or element type; loss of the device, out of memory.
    pub fn set_parameter<T: Element, D: Dimension>(&self, name: &str, numbers: ArrayView<'_, T, D>) -> Result<()> {
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Graph::clone(&state.graph);
        changed.set(name, numbers)?;
        let value = changed.parameter_called(name)?;
        if let Some(engine) = self.on_gpu()
            && let Source::Parameter(Some(numbers)) = changed.values()[value.index()].source()
        {
            engine.replace(value, numbers.clone())?;
        }
        *state = State { graph: Arc::new(changed), kept: state.kept.without(value) };
        Ok(())
    }

    /// Takes back the buffers of outputs that nobody needs any more, for the next run on the CPU engine.
    pub(crate) fn recycle(&self, outputs: Outputs) {
        let State { kept, .. } = self.state();
        outputs.into_arrays().into_iter().for_each(|(_, output)| kept.give(output));
    }

    /// Changes the numbers of an f32 parameter where they lie, in a session on the CPU engine.
    pub(crate) fn change_parameter(&self, name: &str, change: impl FnOnce(&mut [f32])) -> Result<()> {
        let mut state = self.inner.state.write().unwrap_or_else(PoisonError::into_inner);
        let value = state.graph.parameter_called(name)?;
        state.kept.change(value);
        // Not copied: no run holds the graph now.
        Arc::make_mut(&mut state.graph).change(name, change)
    }

    /// The tensor of a parameter on the device, to be written by kernels of the caller; [`Session::refresh`] packs what they wrote. Without that, kernels that
    /// read the parameter as it is see what was written at once, and those that read it packed see the former numbers. The host's numbers
    /// ([`Session::graph`]) stay as they were.
    ///
    /// # Errors
    /// No parameter of this name; a session on the CPU engine; out of memory.
    pub fn parameter(&self, name: &str) -> Result<Tensor> {
        let graph = self.graph();
        let engine = self.need_gpu("a tensor of a parameter")?;
        engine.parameter(graph.parameter_called(name)?)
    }

    /// Records the packing of parameters whose tensors ([`Session::parameter`]) were written to; later recordings of runs see it.
    ///
    /// # Errors
    /// No parameter of a name; a recorder of another device; a session on the CPU engine; out of memory.
    pub fn refresh(&self, recorder: &mut Recorder<'_>, names: &[&str]) -> Result<()> {
        let graph = self.graph();
        let values: Vec<ValueId> = names.iter().map(|name| graph.parameter_called(name)).collect::<Result<_>>()?;
        self.need_gpu("packing")?.refresh(recorder, &values)
    }
}

#[cfg(test)]
impl Session {
    /// A fault for negative controls: the value called `value` lies where `other` does. False where that cannot be.
    pub(crate) fn overlap(&self, open: usize, value: &str, other: &str) -> Result<bool> {
        let graph = self.graph();
        let (Some(value), Some(other)) = (graph.find(value), graph.find(other)) else { return Ok(false) };
        self.need_gpu("an arena")?.overlap(&graph, open, value, other)
    }
}

/// A session with the caller's tensors, by [`Session::bind`]: recording it checks and binds nothing anew. It keeps what it needs alive, and sees what
/// [`Session::set_parameter`] and [`Session::refresh`] change.
#[must_use = "nothing runs before it is recorded and submitted"]
pub struct BoundSession {
    gpu: Gpu,
    recording: ready::Recording,
}

impl std::fmt::Debug for BoundSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BoundSession(on {:?})", self.gpu)
    }
}

impl BoundSession {
    /// Records a run over the tensors that the session was bound to.
    ///
    /// # Errors
    /// A recorder of another device; loss of the device.
    pub fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        if recorder.gpu() != &self.gpu {
            return Err(Error::OtherDevice { argument: "the recorder".into() });
        }
        self.recording.record(recorder)
    }
}

/// Arrays as what a run is given.
fn numbers<'a, D: Dimension>(inputs: &[(&'a str, ArrayView<'a, f32, D>)]) -> Vec<(&'a str, Given<'a>)> {
    inputs.iter().map(|(name, array)| (*name, Given::from(array.clone()))).collect()
}

/// The open extent, and the inputs by value.
fn given<'a>(graph: &Graph, given: &[(&str, Given<'a>)]) -> Result<(usize, Vec<(ValueId, Given<'a>)>)> {
    let with_extents = |(name, given): &(&'_ str, Given<'a>)| Ok((given.extents(graph, name)?, given.clone()));
    let all: Vec<(Vec<usize>, Given<'a>)> = given.iter().map(with_extents).collect::<Result<_>>()?;
    let named: Vec<_> = given.iter().zip(&all).map(|((name, _), all)| (*name, all)).collect();
    let (open, by_value) = inputs::inputs(graph, &named, |(extents, _)| extents.as_slice())?;
    Ok((open, by_value.into_iter().map(|(value, (_, given))| (value, given.clone())).collect()))
}

/// Every parameter has its numbers, there is an output, and bytes of images are read as such.
fn check(graph: &Graph) -> Result<()> {
    let missing: Vec<&str> =
        graph.values().iter().filter(|value| matches!(value.source(), Source::Parameter(None))).map(|value| value.name()).collect();
    if !missing.is_empty() {
        return Err(Error::of_all("parameter", &missing, "without numbers", "Graph::set gives them before the network runs"));
    }
    if graph.outputs().next().is_none() {
        return Err(Error::invalid("outputs", "none", "a network has an output: Graph::output names it"));
    }
    graph.check_bytes()
}
