//! Training on a GPU: parameters, gradients and what the optimizer keeps lie in flat tensors, and a step is one submit that nothing waits for. A loss that
//! is not finite, or a gradient, stops the device: from then on nothing changes until the host has looked.

use crate::gpu::Gpu;
use crate::gpu::prepared::{Bound, Prepared};
use crate::gpu::recorder::Recorder;
use crate::gpu::tensor::Tensor;
use crate::graph::Graph;
use crate::ops::dropout::DropoutKey;
use crate::ops::elementwise::binary::{BinaryOp, BinaryProblem};
use crate::ops::optimizer::{OptimizerProblem, Rule, Scalars};
use crate::session::{BoundSession, Session};
use crate::train::data::shaped;
use crate::train::engine::{Job, Kept, Part, Seen, find, missing};
use crate::train::slots::{Group, Kind, Slot, Slots};
use crate::train::step::{BATCH, GRADIENT, apart, finishing, key, sum_of_all};
use crate::train::trainer::LOOK;
use crate::types::{ElementType, Layout, Result, TensorType};
use ndarray::{Array1, ArrayView1, Ix1, Ix2, arr0, arr1};

pub(super) struct OnGpu {
    gpu: Gpu,
    session: Session,
    slots: Slots,
    names: Vec<String>,
    rule: Rule,
    momentum: f32,
    input: Tensor,
    /// What makes the input of samples, where it is not they.
    augmenting: Option<Augmenting>,
    target: Tensor,
    /// The key of dropouts.
    key: Option<Tensor>,
    loss: Tensor,
    /// The sum of all losses and gradients since the last look: finite as long as all of them were.
    total: Tensor,
    add_loss: Bound,
    /// The sum of all gradients of a step, into `checked`; nothing where none is learned.
    check: Option<(BoundSession, Bound)>,
    checked: Tensor,
    /// Loss and sum of gradients of the parts since the last look, and of each whether it was the last of a step: others have no sum.
    log: Tensor,
    seen: Vec<bool>,
    groups: Vec<OfGroup>,
    /// A run whose gradients are the first of a step, and one whose gradients are added to these.
    first: Run,
    other: Option<Run>,
    finishing: Option<BoundSession>,
}

/// The flat tensors of a group.
struct OfGroup {
    kind: Kind,
    parameters: Tensor,
    /// Of a step, or of its parts together; of running statistics what the batch had.
    gradients: Tensor,
    /// Of a part behind the first; then what the optimizer gets.
    second: Option<Tensor>,
    states: Vec<Tensor>,
    scalars: Tensor,
    /// Adds the gradients of a part behind the first.
    add: Option<Bound>,
    step: Bound,
}

/// What changes samples: the tensors that it reads, and a run of it into the input.
struct Augmenting {
    samples: Tensor,
    changes: Tensor,
    run: BoundSession,
}

/// A run of the network into flat tensors, with what cannot be written there at once: from, to.
struct Run {
    network: BoundSession,
    copies: Vec<(Tensor, Tensor)>,
}

fn zeros(gpu: &Gpu, extents: &[usize]) -> Result<Tensor> {
    gpu.zeros(extents, ElementType::F32, Layout::ChannelsFirst)
}

/// The tensor of a slot in the flat tensor of its group.
fn part_of(flat: &Tensor, slot: &Slot) -> Result<Tensor> {
    let offset = flat.byte_offset() + 4 * slot.first as u64;
    flat.within(offset, &slot.extents, ElementType::F32, Layout::ChannelsFirst)
}

/// The elements of `from`, to that element of `to` and those behind it.
fn copy(recorder: &mut Recorder<'_>, from: &Tensor, (to, first): (&Tensor, usize)) -> Result<()> {
    recorder.copy((from.raw(), from.byte_offset()), (to.raw(), to.byte_offset() + 4 * first as u64), from.byte_size())
}

impl OfGroup {
    fn new(gpu: &Gpu, group: &Group, job: &Job<'_>, finishes: bool) -> Result<Self> {
        let &Group { kind, elements } = group;
        let rule = kind.rule(job.rule);
        let flat = || zeros(gpu, &[elements]);
        let (parameters, gradients, scalars) = (flat()?, flat()?, zeros(gpu, &[Scalars::COUNT])?);
        let second = if finishes && kind != Kind::Carried { Some(flat()?) } else { None };
        let states: Vec<Tensor> = rule.state().iter().map(|_| flat()).collect::<Result<_>>()?;
        let changed: Vec<&Tensor> = std::iter::once(&parameters).chain(&states).collect();
        let given = second.as_ref().unwrap_or(&gradients);
        let step = Prepared::new(gpu, OptimizerProblem::new(rule, &[elements])?, &[])?.bind(&[given, &scalars], &changed)?;
        let add = match &second {
            Some(second) if job.descriptor.accumulate > 1 => {
                let flat = TensorType::f32(&[elements]);
                let add = Prepared::new(gpu, BinaryProblem::new(&flat, &flat, BinaryOp::Add)?.in_place()?, &[])?;
                Some(add.bind(&[second], &[&gradients])?)
            }
            _ => None,
        };
        Ok(Self { kind, parameters, gradients, second, states, scalars, add, step })
    }
}

impl Augmenting {
    fn new(gpu: &Gpu, graph: &Graph, input: &Tensor) -> Result<Self> {
        let tensor = |name: &str| {
            let extents = graph.find(name).and_then(|value| graph.extents(value)).ok_or_else(|| missing(name))?;
            zeros(gpu, &extents)
        };
        let (samples, changes) = (tensor("samples")?, tensor("changes")?);
        let run = Session::gpu(gpu, graph)?.bind(&[("samples", &samples), ("changes", &changes)], &[("input", input)])?;
        Ok(Self { samples, changes, run })
    }
}

impl OnGpu {
    pub fn new(gpu: &Gpu, job: &Job<'_>) -> Result<Self> {
        let (alignment, most) = (gpu.profile().storage_alignment, gpu.profile().max_binding_bytes);
        let slots = job.slots(alignment.div_ceil(4) as usize, (most / 4) as usize)?;
        let lengths: Vec<usize> = slots.learned().map(|(_, group)| group.elements).collect();
        let finishing = finishing(&lengths, job.descriptor)?;
        let groups = slots.groups.iter().map(|group| OfGroup::new(gpu, group, job, finishing.is_some())).collect::<Result<Vec<_>>>()?;
        let mut parameters = vec![];
        for slot in &slots.all {
            let tensor = part_of(&groups[slot.group].parameters, slot)?;
            match slots.kind(slot) {
                Kind::Carried => tensor.write(&shaped(job.first(&slot.name)?, &slot.extents)?)?,
                _ => parameters.push((slot.name.as_str(), tensor)),
            }
        }
        let names = parameters.iter().map(|(name, _)| name.to_string()).collect();
        let session = Session::gpu_over(gpu, job.step, parameters)?;
        let (input, target, loss, total) = (zeros(gpu, job.extents[0])?, zeros(gpu, job.extents[1])?, zeros(gpu, &[])?, zeros(gpu, &[])?);
        let augmenting = job.augmenting.map(|graph| Augmenting::new(gpu, graph, &input)).transpose()?;
        let scalar = TensorType::f32(&[]);
        let add = Prepared::new(gpu, BinaryProblem::new(&scalar, &scalar, BinaryOp::Add)?.in_place()?, &[])?;
        let (add_loss, checked) = (add.bind(&[&loss], &[&total])?, zeros(gpu, &[])?);
        let log = zeros(gpu, &[LOOK + job.descriptor.accumulate, 2])?;
        let learned: Vec<&OfGroup> = groups.iter().filter(|group| group.kind != Kind::Carried).collect();
        let named = |letter: char| (0..learned.len()).map(|i| format!("{letter}{i}")).collect::<Vec<_>>();
        let (g, h) = (named('g'), named('h'));
        let gradients: Vec<(&str, &Tensor)> = g.iter().map(String::as_str).zip(learned.iter().map(|group| &group.gradients)).collect();
        let check = match sum_of_all(&lengths)? {
            Some(graph) => Some((Session::gpu(gpu, &graph)?.bind(&gradients, &[("sum", &checked)])?, add.bind(&[&checked], &[&total])?)),
            None => None,
        };
        let name = key(job.step);
        let key = name.map(|_| zeros(gpu, &[DropoutKey::COUNT])).transpose()?;
        let run = |second: bool| -> Result<Run> {
            let (mut outputs, mut copies) = (vec![("loss".to_string(), loss.clone())], vec![]);
            let mut wanted = vec![];
            for slot in &slots.all {
                let prefix = if slots.kind(slot) == Kind::Carried { BATCH } else { GRADIENT };
                let name = format!("{prefix}{}", slot.name);
                wanted.push(job.step.outputs().find(|(own, _)| *own == name).map(|(_, value)| value).ok_or_else(|| missing(&name))?);
                let group = &groups[slot.group];
                let flat = group.second.as_ref().filter(|_| second).unwrap_or(&group.gradients);
                outputs.push((name, part_of(flat, slot)?));
            }
            for ((_, to), _) in outputs[1..].iter_mut().zip(apart(job.step, &wanted)?).filter(|(_, apart)| *apart) {
                let own = zeros(gpu, to.shape().extents())?;
                copies.push((own.clone(), std::mem::replace(to, own)));
            }
            let outputs: Vec<(&str, &Tensor)> = outputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
            let inputs: Vec<(&str, &Tensor)> = [("input", &input), ("target", &target)].into_iter().chain(name.zip(key.as_ref())).collect();
            Ok(Run { network: session.bind(&inputs, &outputs)?, copies })
        };
        let (first, other) = (run(false)?, if job.descriptor.accumulate > 1 { Some(run(true)?) } else { None });
        let finishing = match finishing {
            Some(graph) => {
                let outputs: Vec<(&str, &Tensor)> =
                    h.iter().map(String::as_str).zip(learned.iter().filter_map(|group| group.second.as_ref())).collect();
                Some(Session::gpu(gpu, &graph)?.bind(&gradients, &outputs)?)
            }
            None => None,
        };
        let momentum = job.descriptor.norm_momentum;
        let (gpu, rule) = (gpu.clone(), job.rule);
        Ok(Self {
            gpu,
            session,
            slots,
            names,
            rule,
            momentum,
            input,
            augmenting,
            target,
            key,
            loss,
            total,
            add_loss,
            check,
            checked,
            log,
            seen: vec![],
            groups,
            first,
            other,
            finishing,
        })
    }

    pub fn part(&mut self, part: &Part<'_>) -> Result<()> {
        match (&self.augmenting, &part.changes) {
            (Some(augmenting), Some(changes)) => {
                augmenting.samples.write(&part.input)?;
                augmenting.changes.write(changes)?;
            }
            _ => self.input.write(&part.input)?,
        }
        self.target.write(&part.target)?;
        self.key.iter().try_for_each(|key| key.write(&arr1(&part.key.to_array())))?;
        for group in self.groups.iter().filter(|group| group.kind == Kind::Carried || part.last.is_some()) {
            let scalars = group.kind.scalars(part.last.unwrap_or(Scalars::STILL), self.momentum);
            group.scalars.write(&Array1::from_vec(scalars.to_array().to_vec()))?;
        }
        let mut recorder = self.gpu.recorder();
        let recorded = self.record(&mut recorder, part);
        if recorded.is_err() {
            recorder.note_failure();
        }
        recorded?;
        self.seen.push(part.last.is_some());
        recorder.submit()
    }

    fn record(&self, recorder: &mut Recorder<'_>, part: &Part<'_>) -> Result<()> {
        let run = if part.is_first { &self.first } else { self.other.as_ref().unwrap_or(&self.first) };
        self.augmenting.iter().try_for_each(|augmenting| augmenting.run.record(recorder))?;
        run.network.record(recorder)?;
        self.add_loss.record(recorder)?;
        recorder.scoped("training", |recorder| run.copies.iter().try_for_each(|(own, to)| copy(recorder, own, (to, 0))))?;
        if !part.is_first {
            self.groups.iter().filter_map(|group| group.add.as_ref()).try_for_each(|add| add.record(recorder))?;
        }
        let check = self.check.as_ref().filter(|_| part.last.is_some());
        if let Some((sum, add)) = check {
            sum.record(recorder)?;
            add.record(recorder)?;
        }
        recorder.scoped("training", |recorder| {
            let row = 2 * self.seen.len();
            copy(recorder, &self.loss, (&self.log, row))?;
            if check.is_some() {
                copy(recorder, &self.checked, (&self.log, row + 1))?;
            }
            // The last of the scalars.
            self.groups.iter().try_for_each(|group| copy(recorder, &self.total, (&group.scalars, Scalars::COUNT - 1)))
        })?;
        self.groups.iter().filter(|group| group.kind == Kind::Carried).try_for_each(|group| group.step.record(recorder))?;
        if part.last.is_some() {
            self.finishing.iter().try_for_each(|finishing| finishing.record(recorder))?;
            self.groups.iter().filter(|group| group.kind != Kind::Carried).try_for_each(|group| group.step.record(recorder))?;
            self.session.refresh(recorder, &self.names.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    pub fn seen(&self) -> Result<Vec<Seen>> {
        if self.seen.is_empty() {
            return Ok(vec![]);
        }
        let log = self.log.download::<f32, Ix2>()?;
        let of = |(&last, row): (&bool, ArrayView1<'_, f32>)| Seen { loss: row[0], gradients: if last { row[1] } else { 0.0 } };
        Ok(self.seen.iter().zip(log.outer_iter()).map(of).collect())
    }

    pub fn go_on(&mut self) -> Result<()> {
        self.seen.clear();
        self.total.write(&arr0(0.0f32))
    }

    pub fn kept(&self) -> Result<Kept> {
        let whole = |tensor: &Tensor| tensor.download::<f32, Ix1>();
        let numbers: Vec<Array1<f32>> = self.groups.iter().map(|group| whole(&group.parameters)).collect::<Result<_>>()?;
        let states: Vec<Vec<Array1<f32>>> =
            self.groups.iter().map(|group| group.states.iter().map(whole).collect::<Result<_>>()).collect::<Result<_>>()?;
        let of = |slot: &Slot, flat: &Array1<f32>| shaped(flat.iter().skip(slot.first).take(slot.range().len()).copied().collect(), &slot.extents);
        let (mut parameters, mut kept) = (vec![], vec![]);
        for slot in &self.slots.all {
            parameters.push((slot.name.clone(), of(slot, &numbers[slot.group])?));
            for (name, state) in self.slots.kind(slot).rule(self.rule).state().iter().zip(&states[slot.group]) {
                kept.push((format!("{name}.{}", slot.name), of(slot, state)?));
            }
        }
        Ok((parameters, kept))
    }

    pub fn restore(&mut self, (parameters, states): &Kept) -> Result<()> {
        for slot in &self.slots.all {
            let group = &self.groups[slot.group];
            part_of(&group.parameters, slot)?.write(&find(parameters, &slot.name, &slot.extents)?)?;
            for (name, state) in group.kind.rule(self.rule).state().iter().zip(&group.states) {
                part_of(state, slot)?.write(&find(states, &format!("{name}.{}", slot.name), &slot.extents)?)?;
            }
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.gpu.run(|recorder| self.session.refresh(recorder, &names))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::train::{Adam, Dataset, Engine, Loss, Sequential, Trainer, TrainerDescriptor, engine::Running};
    use crate::types::Activation;

    /// 42 parameters and 12 running statistics of 6 layers: one dispatch of the optimizer, and one for the statistics.
    #[test]
    fn on_a_device_all_parameters_step_in_one_dispatch() {
        let gpu = Gpu::new().unwrap();
        let model = (0..6).fold(Sequential::new([3]), |model, _| model.dense(3, Activation::Tanh).batch_norm().prelu().layer_norm());
        let numbers = ndarray::Array2::<f32>::from_shape_fn((4, 3), |(i, j)| (i * j) as f32);
        let data = Dataset::values(numbers.view(), numbers.view()).unwrap();
        for (decay_vectors, dispatches) in [(true, 2), (false, 3)] {
            let descriptor = TrainerDescriptor { batch: 4, decay_vectors, ..Default::default() };
            let mut trainer = Trainer::new(Engine::Gpu(gpu.clone()), &model, Loss::Mse, Adam::default(), &descriptor).unwrap();
            trainer.step(&data, &[0, 1, 2, 3]).unwrap();
            let Some(Running::Gpu(on)) = trainer.running.take() else { panic!("nothing runs on the device") };
            assert_eq!(on.slots.all.len(), 6 * (2 + 4 + 1 + 2));
            assert_eq!(on.groups.into_iter().map(|group| group.step.into_dispatches().len()).sum::<usize>(), dispatches);
        }
    }
}
