//! Training on the CPU engine: parameters lie in the session's graph and change there.

use crate::cpu::optimizer::{are_finite, step};
use crate::graph::Graph;
use crate::ops::optimizer::{Rule, Scalars};
use crate::session::Session;
use crate::train::augment::augmented;
use crate::train::data::shaped;
use crate::train::engine::{Job, Kept, Part, Seen, find, missing};
use crate::train::slots::{Kind, Slots};
use crate::train::step::{BATCH, GRADIENT, finishing, key};
use crate::types::Result;
use ndarray::{ArrayView1, ArrayViewD};

pub(super) struct OnCpu {
    session: Session,
    /// What changes samples first.
    augmenting: Option<Session>,
    /// The input that has the key of dropouts.
    key: Option<String>,
    slots: Slots,
    rule: Rule,
    momentum: f32,
    /// By slot, what the rule keeps; of a running statistic nothing.
    states: Vec<Vec<Vec<f32>>>,
    /// By slot: running statistics; empty for what is learned.
    carried: Vec<Vec<f32>>,
    finishing: Option<Session>,
    /// By group: the sums of gradients over the parts so far, where there is something to finish.
    sums: Vec<Vec<f32>>,
}

impl OnCpu {
    pub fn new(job: &Job<'_>) -> Result<Self> {
        let slots = job.slots(1, usize::MAX)?;
        let (mut states, mut carried) = (vec![], vec![]);
        for slot in &slots.all {
            let kind = slots.kind(slot);
            states.push(kind.rule(job.rule).state().iter().map(|_| vec![0.0; slot.range().len()]).collect());
            carried.push(if kind == Kind::Carried { job.first(&slot.name)? } else { vec![] });
        }
        let lengths: Vec<usize> = slots.learned().map(|(_, group)| group.elements).collect();
        let finishing: Option<Graph> = finishing(&lengths, job.descriptor)?;
        let sums = slots.groups.iter().map(|group| if finishing.is_some() { vec![0.0; group.elements] } else { vec![] }).collect();
        let finishing = finishing.map(|graph| Session::cpu(&graph)).transpose()?;
        let augmenting = job.augmenting.map(Session::cpu).transpose()?;
        let momentum = job.descriptor.norm_momentum;
        let key = key(job.step).map(str::to_string);
        Ok(Self { session: Session::cpu(job.step)?, augmenting, key, slots, rule: job.rule, momentum, states, carried, finishing, sums })
    }

    pub fn part(&mut self, part: &Part<'_>) -> Result<Seen> {
        let key = part.key.to_array();
        let changed = self.augmenting.as_ref().zip(part.changes.as_ref());
        let changed = changed.map(|(session, changes)| augmented(session, part.input.view(), changes.view())).transpose()?;
        let input = changed.as_ref().map_or(part.input.view(), |changed| changed.view());
        let mut inputs = vec![("input", input), ("target", part.target.view())];
        inputs.extend(self.key.as_ref().map(|name| (name.as_str(), ArrayView1::from(&key).into_dyn())));
        let outputs = self.session.run(&inputs)?;
        let loss = outputs.get("loss").and_then(|loss| loss.first()).ok_or_else(|| missing("loss"))?;
        let mut seen = Seen { loss: *loss, gradients: 0.0 };
        let given = |prefix: &str, name: &str| {
            let given = outputs.get(&format!("{prefix}{name}")).and_then(|array| array.as_slice());
            given.ok_or_else(|| missing(name))
        };
        // All gradients before any parameter: what is not finite leaves everything as it is.
        for slot in self.slots.all.iter().filter(|slot| self.slots.kind(slot) != Kind::Carried) {
            let mut gradient = given(GRADIENT, &slot.name)?;
            if self.finishing.is_some() {
                let sum = &mut self.sums[slot.group][slot.range()];
                if part.is_first {
                    sum.copy_from_slice(gradient);
                } else {
                    sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
                }
                gradient = sum;
            }
            if part.last.is_some() && !are_finite(gradient) {
                seen.gradients = f32::NAN;
            }
        }
        if !seen.is_finite() {
            return Ok(seen);
        }
        for (i, slot) in self.slots.all.iter().enumerate() {
            let kind = self.slots.kind(slot);
            if kind == Kind::Carried {
                step(kind.rule(self.rule), kind.scalars(Scalars::STILL, self.momentum), &mut self.carried[i], &mut [], given(BATCH, &slot.name)?);
            } else if let (None, Some(scalars)) = (&self.finishing, part.last) {
                let gradient = given(GRADIENT, &slot.name)?;
                let (rule, scalars, states) = (self.rule, kind.scalars(scalars, self.momentum), &mut self.states[i]);
                self.session.change_parameter(&slot.name, |numbers| step(rule, scalars, numbers, states, gradient))?;
            }
        }
        if let (Some(finishing), Some(scalars)) = (&self.finishing, part.last) {
            let learned: Vec<usize> = self.slots.learned().map(|(group, _)| group).collect();
            let names: Vec<[String; 2]> = (0..learned.len()).map(|i| [format!("g{i}"), format!("h{i}")]).collect();
            let inputs: Vec<(&str, ArrayView1<'_, f32>)> =
                learned.iter().zip(&names).map(|(&group, [g, _])| (g.as_str(), ArrayView1::from(&self.sums[group][..]))).collect();
            let finished = finishing.run(&inputs)?;
            for (i, slot) in self.slots.all.iter().enumerate() {
                let Some(at) = learned.iter().position(|group| *group == slot.group) else { continue };
                let all = finished.get(&names[at][1]).and_then(|array| array.as_slice()).ok_or_else(|| missing(&slot.name))?;
                let (rule, states, gradient) = (self.rule, &mut self.states[i], &all[slot.range()]);
                let scalars = self.slots.kind(slot).scalars(scalars, self.momentum);
                self.session.change_parameter(&slot.name, |numbers| step(rule, scalars, numbers, states, gradient))?;
            }
        }
        self.session.recycle(outputs);
        Ok(seen)
    }

    pub fn kept(&self) -> Result<Kept> {
        let graph = self.session.graph();
        let (mut parameters, mut states) = (vec![], vec![]);
        for (i, slot) in self.slots.all.iter().enumerate() {
            let kind = self.slots.kind(slot);
            let numbers = match kind {
                Kind::Carried => self.carried[i].clone(),
                _ => graph.find(&slot.name).and_then(|value| graph.numbers(value)).ok_or_else(|| missing(&slot.name))?.as_f32().into_owned(),
            };
            parameters.push((slot.name.clone(), shaped(numbers, &slot.extents)?));
            for (name, state) in kind.rule(self.rule).state().iter().zip(&self.states[i]) {
                states.push((format!("{name}.{}", slot.name), shaped(state.clone(), &slot.extents)?));
            }
        }
        Ok((parameters, states))
    }

    pub fn restore(&mut self, (parameters, states): &Kept) -> Result<()> {
        for (i, slot) in self.slots.all.iter().enumerate() {
            let kind = self.slots.kind(slot);
            let numbers = find(parameters, &slot.name, &slot.extents)?;
            let copied = |from: ArrayViewD<'_, f32>, to: &mut [f32]| to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            match kind {
                Kind::Carried => copied(numbers.view(), &mut self.carried[i]),
                _ => self.session.change_parameter(&slot.name, |own| copied(numbers.view(), own))?,
            }
            for (name, state) in kind.rule(self.rule).state().iter().zip(&mut self.states[i]) {
                copied(find(states, &format!("{name}.{}", slot.name), &slot.extents)?.view(), state);
            }
        }
        Ok(())
    }
}
