//! Ops of [`Gpu::run`](crate::Gpu::run) that were seen before: prepared once, with what was packed, for all calls alike.
//!
//! A packed constant is used again while nothing may have changed its tensor: one that the host uploaded, that no kernel writes and whose buffer the caller
//! has not got; [`Tensor::write`] is told of. Others are packed in each call, into the same memory. The entries have no tensors and no handle of the device,
//! which they would keep alive.

use crate::gpu::Gpu;
use crate::gpu::allocated::Shared;
use crate::gpu::prepared::Prepared;
use crate::gpu::recorder::Recorder;
use crate::gpu::sharing::Sharing;
use crate::gpu::tensor::Tensor;
use crate::ops::Op;
use crate::plan::step::Plan;
use crate::types::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which constants were packed: of each where it lies, by the buffer's number and the byte, and the version.
type Content = Vec<([u64; 2], u64)>;

/// Prepared ops, those used last.
pub(crate) struct SeenOps(Mutex<Kept>);

struct Kept {
    ops: HashMap<Op, Vec<Entry>>,
    /// Calls so far: the clock of [`Entry::used`].
    asked: u64,
    count: usize,
    bytes: u64,
    most_bytes: u64,
}

struct Entry {
    shared: Arc<Shared>,
    sharing: Sharing,
    /// None where each call packs.
    content: Option<Content>,
    bytes: u64,
    used: u64,
}

/// Most entries.
const MOST: usize = 256;

/// Most entries of one op, which differ by their constants and by which tensors share buffers.
const MOST_OF_OP: usize = 32;

impl Default for SeenOps {
    fn default() -> Self {
        Self(Mutex::new(Kept { ops: HashMap::new(), asked: 0, count: 0, bytes: 0, most_bytes: 256 << 20 }))
    }
}

impl Kept {
    /// Evicts the least recently used beyond the limits.
    fn evict(&mut self) {
        while self.count > MOST || self.bytes > self.most_bytes {
            let oldest = self.ops.iter().flat_map(|(op, entries)| entries.iter().map(move |entry| (entry.used, op))).min_by_key(|(used, _)| *used);
            let Some((used, op)) = oldest.map(|(used, op)| (used, op.clone())) else { return };
            self.remove(&op, |entry| entry.used == used);
        }
    }

    fn remove(&mut self, op: &Op, is: impl Fn(&Entry) -> bool) {
        let Some(entries) = self.ops.get_mut(op) else { return };
        while let Some(i) = entries.iter().position(&is) {
            let gone = entries.swap_remove(i);
            self.count -= 1;
            self.bytes -= gone.bytes;
        }
        if entries.is_empty() {
            self.ops.remove(op);
        }
    }
}

/// What is known of an op.
enum Known {
    /// Prepared for these constants, or for any, which are packed then.
    Prepared(Arc<Shared>, Option<Content>),
    /// Planned, for other constants.
    Planned(Plan),
    Nothing,
}

impl SeenOps {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Entries are put in and taken out whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, op: &Op, sharing: &Sharing, inputs: &[&Tensor]) -> Known {
        let mut kept = self.kept();
        kept.asked += 1;
        let asked = kept.asked;
        let alike = |entry: &&mut Entry| entry.sharing == *sharing;
        let mut entries: Vec<&mut Entry> = kept.ops.get_mut(op).into_iter().flatten().filter(alike).collect();
        let Some(plan) = entries.first().map(|first| &first.shared.plan) else { return Known::Nothing };
        let content = content(plan, inputs);
        match entries.iter_mut().find(|entry| entry.content == content) {
            Some(entry) => {
                entry.used = asked;
                Known::Prepared(entry.shared.clone(), content)
            }
            None => Known::Planned(entries[0].shared.plan.clone()),
        }
    }

    fn keep(&self, made: Made) {
        let Made { op, shared, sharing, content } = made;
        let mut kept = self.kept();
        kept.asked += 1;
        let (used, bytes) = (kept.asked, shared.bytes());
        // An older version of the same constants is no use any more.
        let places = |content: &Option<Content>| content.as_ref().map(|content| content.iter().map(|(place, _)| *place).collect::<Vec<_>>());
        kept.remove(&op, |entry| entry.sharing == sharing && places(&entry.content) == places(&content));
        if let Some(oldest) = kept.ops.get(&op).filter(|entries| entries.len() >= MOST_OF_OP).and_then(|e| e.iter().map(|entry| entry.used).min()) {
            kept.remove(&op, |entry| entry.used == oldest);
        }
        kept.ops.entry(op).or_default().push(Entry { shared, sharing, content, bytes, used });
        kept.count += 1;
        kept.bytes += bytes;
        kept.evict();
    }

    /// Forgets all: what is planned from now on may be planned otherwise.
    pub fn clear(&self) {
        let mut kept = self.kept();
        kept.ops.clear();
        (kept.count, kept.bytes) = (0, 0);
    }

    pub fn count(&self) -> usize {
        self.kept().count
    }

    pub fn limit(&self, bytes: u64) {
        let mut kept = self.kept();
        kept.most_bytes = bytes;
        kept.evict();
    }
}

/// The constants that a plan packs; none where one may change without being told. A plan that packs nothing
/// reads its constants in each call, whatever they are.
fn content(plan: &Plan, inputs: &[&Tensor]) -> Option<Content> {
    if plan.prepare.is_empty() {
        return Some(vec![]);
    }
    let constants = plan.inputs.iter().zip(inputs).filter(|(spec, _)| spec.constant);
    constants.map(|(_, tensor)| tensor.raw().content().map(|[number, version]| ([number, tensor.byte_offset()], version))).collect()
}

/// What was prepared for a call.
struct Made {
    op: Op,
    shared: Arc<Shared>,
    sharing: Sharing,
    content: Option<Content>,
}

/// What a recording of [`Gpu::run`](crate::Gpu::run) has recorded.
#[derive(Default)]
pub(crate) struct Eager {
    /// To be kept once it is submitted, since before that nothing is packed.
    made: Vec<Made>,
    /// Packed by an earlier submit: the op, all its inputs, what they held when this was recorded.
    reused: Vec<(Prepared, Vec<Tensor>, Content)>,
}

impl Eager {
    /// What this very recording has prepared for these constants.
    fn find(&self, op: &Op, sharing: &Sharing, inputs: &[&Tensor]) -> Option<Arc<Shared>> {
        let is = |made: &&Made| made.op == *op && made.sharing == *sharing && content(&made.shared.plan, inputs) == made.content;
        self.made.iter().find(is).map(|made| made.shared.clone())
    }

    /// Packs again, in a submit of its own, what the host wrote between the recording and this: all of it was submitted before, and comes first.
    pub fn settle(&self, gpu: &Gpu) -> Result<()> {
        for (prepared, inputs, then) in &self.reused {
            let inputs: Vec<&Tensor> = inputs.iter().collect();
            if content(prepared.plan(), &inputs).as_ref() != Some(then) {
                let mut recorder = gpu.recorder();
                prepared.pack_all(&mut recorder, &inputs)?;
                recorder.submit()?;
            }
        }
        Ok(())
    }

    /// Keeps what was made, which is submitted.
    pub fn keep(self, gpu: &Gpu) {
        self.made.into_iter().for_each(|made| gpu.seen().keep(made));
    }
}

impl Recorder<'_> {
    /// Records an op of [`Gpu::run`](crate::Gpu::run): what was seen before is neither planned nor compiled nor packed again, and outputs lie where
    /// others lay that are gone, unless they are given.
    pub(crate) fn eager_op(&mut self, op: &Op, inputs: &[&Tensor], outputs: Option<&[&Tensor]>) -> Result<Vec<Tensor>> {
        let gpu = self.gpu().clone();
        let sharing = Sharing::of(op, inputs, outputs.unwrap_or_default())?;
        let own = self.eager().and_then(|eager| eager.find(op, &sharing, inputs));
        let known = match own {
            // Packed by this very recording.
            Some(shared) => Known::Prepared(shared.clone(), content(&shared.plan, inputs).map(|_| vec![])),
            None => gpu.seen().find(op, &sharing, inputs),
        };
        let is_new = !matches!(known, Known::Prepared(..));
        let (shared, packs) = match known {
            Known::Prepared(shared, None) => (shared, true),
            Known::Prepared(shared, Some(content)) => {
                if !content.is_empty() {
                    let reused = (Prepared::of(&gpu, shared.clone()), inputs.iter().map(|&tensor| tensor.clone()).collect(), content);
                    self.eager().into_iter().for_each(|eager| eager.reused.push(reused.clone()));
                }
                (shared, false)
            }
            Known::Planned(plan) => (Arc::new(Shared::without_constants(&gpu, plan, None)?), true),
            Known::Nothing => (Arc::new(Shared::without_constants(&gpu, sharing.plan(&gpu, op)?, None)?), true),
        };
        let plan = &shared.plan;
        if inputs.len() != plan.inputs.len() {
            return Err(Error::invalid("inputs", inputs.len(), format!("this {} takes {}", plan.op, plan.inputs.len())));
        }
        let prepared = Prepared::of(&gpu, shared.clone());
        let outputs: Vec<Tensor> = match outputs {
            Some(outputs) => outputs.iter().map(|&tensor| tensor.clone()).collect(),
            None => plan.outputs.iter().map(|spec| gpu.reusable(&spec.tensor)).collect::<Result<_>>()?,
        };
        let content = content(plan, inputs);
        prepared.record_all(self, inputs, &outputs.iter().collect::<Vec<_>>(), packs)?;
        if let Some(eager) = self.eager().filter(|_| is_new) {
            eager.made.push(Made { op: op.clone(), shared, sharing, content });
        }
        Ok(outputs)
    }
}
