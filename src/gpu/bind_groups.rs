//! Bind groups of calls that were recorded before: a prepared op keeps those for the tensors that it saw last.
//!
//! A bind group keeps the memory that it names. So nothing here has a tensor, and each buffer knows which prepared ops have bind groups of it: once the
//! buffer's memory is given back ([`Allocation`](crate::gpu::buffer::Allocation)), they are dropped with it.

use crate::gpu::buffer::Buffer;
use crate::gpu::tensor::Tensor;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Which tensors a call is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallKey {
    /// Whether it is what packs constants.
    packs: bool,
    /// By input, then by output: the memory's number, the first byte, how many are bound.
    tensors: Vec<Option<[u64; 3]>>,
}

impl CallKey {
    pub fn new(packs: bool, inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Self {
        let place = |tensor: &Tensor| {
            let all = tensor.binding(0, tensor.byte_size());
            [all.buffer.memory(), all.offset, all.size]
        };
        let tensors = inputs.iter().map(|tensor| tensor.map(place)).chain(outputs.iter().map(|tensor| Some(place(tensor))));
        Self { packs, tensors: tensors.collect() }
    }
}

/// The bind groups that a prepared op keeps, those used last at the end.
#[derive(Debug, Default)]
pub(crate) struct BindGroups(Arc<Mutex<Kept>>);

/// For buffers: the same without keeping it.
#[derive(Debug)]
pub(crate) struct NamedBy(Weak<Mutex<Kept>>);

type Kept = VecDeque<(CallKey, Vec<wgpu::BindGroup>)>;

/// Calls that are kept: a session's frames, a renderer's images in flight.
const MOST: usize = 8;

/// Bind groups that are kept where a call takes many.
const MOST_GROUPS: usize = 256;

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    // Entries are put in and taken out whole.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BindGroups {
    /// Those of a call, one for each kernel.
    pub fn find(&self, key: &CallKey) -> Option<Vec<wgpu::BindGroup>> {
        let mut kept = locked(&self.0);
        let found = kept.iter().position(|(own, _)| own == key)?;
        let entry = kept.remove(found)?;
        let groups = entry.1.clone();
        kept.push_back(entry);
        Some(groups)
    }

    /// Keeps those of a call while `buffers`, those of its tensors, are there.
    pub fn keep<'b>(&self, key: CallKey, groups: Vec<wgpu::BindGroup>, buffers: impl Iterator<Item = &'b Buffer>) {
        if groups.len() > MOST_GROUPS {
            return;
        }
        buffers.for_each(|buffer| buffer.note_named(NamedBy(Arc::downgrade(&self.0))));
        let mut kept = locked(&self.0);
        if kept.iter().all(|(own, _)| *own != key) {
            kept.push_back((key, groups));
        }
        while kept.len() > MOST || kept.iter().map(|(_, groups)| groups.len()).sum::<usize>() > MOST_GROUPS {
            kept.pop_front();
        }
    }

    /// Forgets all: one of them may be no good.
    pub fn clear(&self) {
        locked(&self.0).clear();
    }
}

impl NamedBy {
    /// Drops the bind groups that name memory of this number.
    pub fn forget(&self, memory: u64) {
        if let Some(kept) = self.0.upgrade() {
            locked(&kept).retain(|(key, _)| !key.tensors.iter().flatten().any(|[own, ..]| *own == memory));
        }
    }

    /// Whether there is something yet that may have bind groups.
    pub fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }

    pub fn is(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Gpu;
    use crate::gpu::prepared::Prepared;
    use crate::ops::elementwise::unary::{UnaryOp, UnaryProblem};
    use crate::types::{ElementType, Layout};
    use ndarray::Array1;

    /// Values of a session lie in one buffer, of which each is a range: two runs of one op, in turns.
    #[test]
    fn another_range_of_the_same_buffer_is_another_tensor() {
        let gpu = Gpu::new().unwrap();
        let values = Array1::from_shape_fn(4096, |i| i as f32 - 2000.0);
        let (from, to) = (gpu.upload(&values).unwrap(), gpu.upload(&Array1::<f32>::zeros(4096)).unwrap());
        let cut = |whole: &Tensor, first: usize| whole.within(4 * first as u64, &[1024], ElementType::F32, Layout::ChannelsFirst).unwrap();
        let problem = UnaryProblem::new(&cut(&from, 0).tensor_type(), UnaryOp::Neg).unwrap();
        let prepared = Prepared::new(&gpu, problem, &[]).unwrap();
        for i in 0..4 {
            let (x, y) = (cut(&from, 1024 * i), cut(&to, 1024 * (3 - i)));
            for _ in 0..2 {
                let mut recorder = gpu.recorder();
                prepared.record(&mut recorder, &[&x], &[&y]).unwrap();
                recorder.submit().unwrap();
            }
        }
        let got: Array1<f32> = to.download().unwrap();
        assert!((0..4096).all(|i| got[i] == -values[3072 - i / 1024 * 1024 + i % 1024]));
    }
}
