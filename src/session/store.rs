//! Parameters and constants on a device. Sessions that share a store share what was uploaded and what was packed.
//!
//! What kernels read as it is stays on the device. What they read packed is uploaded to be packed, and released then: the host still has it.

use crate::gpu::Gpu;
use crate::gpu::prepared::{Prepared, WeakPrepared};
use crate::gpu::tensor::{Tensor, new_origin};
use crate::graph::{Graph, Numbers, Source};
use crate::types::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Which weight: the origin of every tensor that has held its numbers.
pub(crate) type WeightId = u64;

pub(crate) struct Store {
    gpu: Gpu,
    inner: Mutex<Inner>,
    /// Held for reading while a run is submitted or an extent is prepared, for writing while weights change: both see all of a change or nothing.
    pub gate: RwLock<()>,
}

#[derive(Default)]
struct Inner {
    weights: HashMap<WeightId, Weight>,
    /// The numbers that a graph came with, by which another graph's are known to be the same.
    known: Vec<(Arc<Numbers>, WeightId)>,
    /// What was prepared with which constants.
    prepared: Vec<(Vec<WeightId>, WeakPrepared)>,
}

struct Weight {
    numbers: Arc<Numbers>,
    tensor: Option<Tensor>,
    /// Whether kernels read the tensor as it is, or a caller has it.
    stays: bool,
}

impl Store {
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), inner: Mutex::default(), gate: RwLock::default() }
    }

    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Entries are put in complete.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The weights of a graph, by value; nothing is uploaded.
    pub fn ids(&self, graph: &Graph) -> Vec<Option<WeightId>> {
        let mut inner = self.inner();
        let mut id = |numbers: &Arc<Numbers>| {
            if let Some((_, id)) = inner.known.iter().find(|(own, _)| Arc::ptr_eq(own, numbers)) {
                return *id;
            }
            let id = new_origin();
            inner.known.push((numbers.clone(), id));
            inner.weights.insert(id, Weight { numbers: numbers.clone(), tensor: None, stays: false });
            id
        };
        let of = |source: &Source| match source {
            Source::Parameter(Some(numbers)) | Source::Constant(numbers) => Some(id(numbers)),
            _ => None,
        };
        graph.values().iter().map(|value| value.source()).map(of).collect()
    }

    /// The tensor of a weight, uploaded where it is not on the device; `stays`: it is not released later.
    pub fn tensor(&self, id: WeightId, stays: bool) -> Result<Tensor> {
        let mut inner = self.inner();
        let missing = || Error::Internal { label: "a session".into(), message: format!("there is no weight {id}") };
        let weight = inner.weights.get_mut(&id).ok_or_else(missing)?;
        weight.stays |= stays;
        if let Some(tensor) = &weight.tensor {
            return Ok(tensor.clone());
        }
        let tensor = match weight.numbers.as_ref() {
            Numbers::F32(array) => self.gpu.upload(array),
            Numbers::F16(array) => self.gpu.upload(array),
        }?;
        Ok(weight.tensor.insert(tensor.with_origin(id)).clone())
    }

    /// Takes a tensor of the caller for a weight that is in none yet, and writes the weight's numbers to it.
    pub fn adopt(&self, id: WeightId, tensor: Tensor) -> Result<()> {
        let mut inner = self.inner();
        let missing = || Error::Internal { label: "a session".into(), message: format!("there is no weight {id}") };
        let weight = inner.weights.get_mut(&id).ok_or_else(missing)?;
        match weight.numbers.as_ref() {
            Numbers::F32(array) => tensor.write(array),
            Numbers::F16(array) => tensor.write(array),
        }?;
        (weight.tensor, weight.stays) = (Some(tensor.with_origin(id)), true);
        Ok(())
    }

    /// Releases the tensor of a weight that is only packed. True where there was one.
    pub fn release(&self, id: WeightId) -> bool {
        let mut inner = self.inner();
        inner.weights.get_mut(&id).filter(|weight| !weight.stays).is_some_and(|weight| weight.tensor.take().is_some())
    }

    /// What may have packed the same constants.
    pub fn prepared_with(&self, ids: &[WeightId]) -> Vec<Prepared> {
        self.inner().prepared.iter().filter(|(own, _)| own == ids).filter_map(|(_, prepared)| prepared.upgrade()).collect()
    }

    /// Notes what was prepared with which constants.
    pub fn note(&self, ids: Vec<WeightId>, prepared: &Prepared) {
        if ids.is_empty() {
            return;
        }
        let mut inner = self.inner();
        inner.prepared.retain(|(_, prepared)| prepared.upgrade().is_some());
        inner.prepared.push((ids, prepared.downgrade()));
    }

    /// Other numbers of the same type, on the host and on the device, packed anew.
    pub fn replace(&self, id: WeightId, numbers: Arc<Numbers>) -> Result<()> {
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let tensor = match self.inner().weights.get_mut(&id) {
            Some(weight) => {
                weight.numbers = numbers.clone();
                weight.tensor.clone()
            }
            None => None,
        };
        if let Some(tensor) = tensor {
            match numbers.as_ref() {
                Numbers::F32(array) => tensor.write(array),
                Numbers::F16(array) => tensor.write(array),
            }?;
        }
        let mut recorder = self.gpu.recorder();
        self.refresh(&mut recorder, &[id])?;
        recorder.submit()
    }

    /// Records the packing of all that was prepared with one of these weights.
    pub fn refresh(&self, recorder: &mut crate::gpu::recorder::Recorder<'_>, changed: &[WeightId]) -> Result<()> {
        let prepared: Vec<(Vec<WeightId>, Prepared)> = {
            let inner = self.inner();
            let of_changed = inner.prepared.iter().filter(|(ids, _)| ids.iter().any(|id| changed.contains(id)));
            of_changed.filter_map(|(ids, prepared)| Some((ids.clone(), prepared.upgrade()?))).collect()
        };
        for (i, (ids, op)) in prepared.iter().enumerate() {
            // What shares its packed buffers was refreshed with it.
            if op.plan().prepare.is_empty() || prepared[..i].iter().any(|(_, other)| other.packed_with(op)) {
                continue;
            }
            let constants: Vec<Tensor> = ids.iter().map(|&id| self.tensor(id, false)).collect::<Result<_>>()?;
            op.refresh(recorder, &constants.iter().collect::<Vec<_>>())?;
        }
        // What is recorded keeps the buffers that it needs.
        for &id in prepared.iter().flat_map(|(ids, _)| ids) {
            self.release(id);
        }
        Ok(())
    }
}
