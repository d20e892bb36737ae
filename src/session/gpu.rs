//! The GPU engine of a session: its weights, and what is ready for the open extents that it met, the last one used at the end.

use crate::gpu::Gpu;
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::graph::{Graph, Numbers, ValueId};
use crate::session::SessionDescriptor;
use crate::session::bytes::ByValue;
use crate::session::inputs;
use crate::session::memory::Memory;
use crate::session::ready::{Planning, Ready, Recording};
use crate::session::run::{Frame, Running};
use crate::session::store::{Store, WeightId};
use crate::types::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct OnGpu {
    store: Arc<Store>,
    /// By value.
    ids: Vec<Option<WeightId>>,
    descriptor: SessionDescriptor,
    ready: Mutex<Vec<(usize, Arc<Ready>)>>,
    /// Held while an extent is prepared, so that runs of others go on meanwhile.
    preparing: Mutex<()>,
}

/// Frames of an extent that are kept for later runs: as many threads run without allocating.
const FRAMES: usize = 4;

impl OnGpu {
    pub fn new(gpu: &Gpu, graph: &Graph, descriptor: &SessionDescriptor) -> Result<Self> {
        if descriptor.extents == 0 {
            return Err(Error::invalid("extents", 0, "a session keeps at least the extent that it runs"));
        }
        Ok(Self::over(Arc::new(Store::new(gpu)), graph, descriptor.clone()))
    }

    pub fn beside(&self, graph: &Graph) -> Self {
        Self::over(self.store.clone(), graph, self.descriptor.clone())
    }

    fn over(store: Arc<Store>, graph: &Graph, descriptor: SessionDescriptor) -> Self {
        let ids = store.ids(graph);
        Self { store, ids, descriptor, ready: Mutex::default(), preparing: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(usize, Arc<Ready>)>> {
        // Entries are put in complete.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_ready(&self, open: usize) -> bool {
        self.kept().iter().any(|(own, _)| *own == open)
    }

    fn found(&self, open: usize) -> Option<Arc<Ready>> {
        let mut kept = self.kept();
        let position = kept.iter().position(|(own, _)| *own == open)?;
        let entry = kept.remove(position);
        let ready = entry.1.clone();
        kept.push(entry);
        Some(ready)
    }

    /// What is ready for an open extent, prepared on first use.
    pub fn ready(&self, graph: &Graph, open: usize) -> Result<Arc<Ready>> {
        if let Some(ready) = self.found(open) {
            return Ok(ready);
        }
        let _preparing = self.preparing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = self.found(open) {
            return Ok(ready); // another thread has prepared it meanwhile
        }
        let planning = self.planning(graph, open)?;
        self.make_room(planning.memory().peak());
        // What is packed meanwhile would not be packed again.
        let _gate = self.store.gate.read().unwrap_or_else(PoisonError::into_inner);
        let ready = Arc::new(Ready::new(graph, planning, &self.store, &self.ids)?);
        self.kept().push((open, ready.clone()));
        Ok(ready)
    }

    fn planning(&self, graph: &Graph, open: usize) -> Result<Planning> {
        let gpu = self.store.gpu();
        let planning = Planning::of(gpu, graph, open)?;
        match self.descriptor.memory_limit {
            Some(limit) => planning.within(gpu, graph, limit),
            None => Ok(planning),
        }
    }

    /// Releases extents, the one that was used longest ago first, for one that takes so many bytes.
    fn make_room(&self, bytes: u64) {
        let mut kept = self.kept();
        let is_too_much = |kept: &[(usize, Arc<Ready>)]| {
            let total = kept.iter().map(|(_, ready)| ready.memory().total()).sum::<u64>() + bytes;
            kept.len() >= self.descriptor.extents || self.descriptor.memory_limit.is_some_and(|limit| total > limit)
        };
        while !kept.is_empty() && is_too_much(&kept) {
            let (open, _) = kept.remove(0);
            log::debug!("a session releases what was ready for {open}");
        }
    }

    pub fn memory(&self, graph: &Graph, open: usize) -> Result<Memory> {
        let kept = self.kept().iter().find(|(own, _)| *own == open).map(|(_, ready)| ready.memory().clone());
        kept.map_or_else(|| Ok(self.planning(graph, open)?.memory().clone()), Ok)
    }

    /// Submits a run.
    pub fn submit(&self, graph: &Graph, ready: &Ready, given: &ByValue<'_>) -> Result<Running> {
        let frame = ready.frame(graph)?;
        let _gate = self.store.gate.read().unwrap_or_else(PoisonError::into_inner);
        frame.submit(given)
    }

    pub fn device(&self) -> &Gpu {
        self.store.gpu()
    }

    /// What a run over these tensors records.
    pub fn bind(&self, graph: &Graph, inputs: &[(&str, &Tensor)], outputs: &[(&str, &Tensor)]) -> Result<Recording> {
        let gpu = self.store.gpu();
        let (open, inputs) = inputs::tensors(gpu, graph, inputs)?;
        let ready = self.ready(graph, open)?;
        let outputs = inputs::outputs(gpu, graph, |value| ready.tensor_type(value).clone(), outputs)?;
        ready.bind(graph, &inputs, &outputs)
    }

    pub fn record(&self, graph: &Graph, recorder: &mut Recorder<'_>, inputs: &[(&str, &Tensor)], outputs: &[(&str, &Tensor)]) -> Result<()> {
        if recorder.gpu() != self.store.gpu() {
            return Err(Error::OtherDevice { argument: "the recorder".into() });
        }
        self.bind(graph, inputs, outputs)?.record(recorder)
    }

    fn id(&self, value: ValueId) -> Result<WeightId> {
        let missing = || Error::Internal { label: "a session".into(), message: format!("value {} is no weight", value.index()) };
        self.ids.get(value.index()).copied().flatten().ok_or_else(missing)
    }

    pub fn replace(&self, value: ValueId, numbers: Arc<Numbers>) -> Result<()> {
        self.store.replace(self.id(value)?, numbers)
    }

    pub fn parameter(&self, value: ValueId) -> Result<Tensor> {
        self.store.tensor(self.id(value)?, true)
    }

    /// Takes the caller's tensor for a parameter, before anything is ready.
    pub fn adopt(&self, value: ValueId, tensor: Tensor) -> Result<()> {
        self.store.adopt(self.id(value)?, tensor)
    }

    pub fn refresh(&self, recorder: &mut Recorder<'_>, values: &[ValueId]) -> Result<()> {
        let changed: Vec<WeightId> = values.iter().map(|&value| self.id(value)).collect::<Result<_>>()?;
        self.store.refresh(recorder, &changed)
    }
}

impl Ready {
    /// A frame of a run that is over, or a new one.
    fn frame(&self, graph: &Graph) -> Result<Frame> {
        let kept = self.frames.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.map_or_else(|| Frame::new(graph, self), Ok)
    }

    /// Keeps a frame for a later run.
    pub fn keep(&self, frame: Frame) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if frames.len() < FRAMES {
            frames.push(frame);
        }
    }

    /// Makes the first frame.
    pub fn warm(&self, graph: &Graph) -> Result<()> {
        let frame = self.frame(graph)?;
        self.keep(frame);
        Ok(())
    }
}

#[cfg(test)]
impl OnGpu {
    /// See [`Ready::overlap`]; before the first run of the extent, which binds the tensors.
    pub fn overlap(&self, graph: &Graph, open: usize, value: ValueId, other: ValueId) -> Result<bool> {
        drop(self.ready(graph, open)?);
        let mut kept = self.kept();
        let ready = kept.iter_mut().find(|(own, _)| *own == open).and_then(|(_, ready)| Arc::get_mut(ready));
        Ok(ready.is_some_and(|ready| ready.overlap(value, other)))
    }
}
