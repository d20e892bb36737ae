//! What ends a training: a loss or a gradient that is not finite, with the step, where it comes from, and a checkpoint of the state before it.

use crate::ops::dropout::DropoutKey;
use crate::session::cpu::first_not_finite;
use crate::train::data::Dataset;
#[cfg(feature = "weights")]
use crate::train::engine::Running;
use crate::train::engine::Seen;
use crate::train::step;
use crate::train::trainer::Trainer;
use crate::types::{Error, Result};
use ndarray::{ArrayView1, ArrayViewD, Axis, Slice};

impl Trainer {
    /// Looks at what the device has seen: the first loss or gradient that is not finite ends the training before its step.
    pub(super) fn look(&mut self, data: &Dataset) -> Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let seen = running.take_seen()?;
        let unseen = std::mem::take(&mut self.unseen);
        let Some(bad) = seen.iter().position(|seen| !seen.is_finite()) else {
            self.sum += seen.iter().map(|seen| f64::from(seen.loss)).sum::<f64>();
            return Ok(());
        };
        let (step, part) = (bad / self.descriptor.accumulate, bad % self.descriptor.accumulate);
        self.steps -= unseen.len().saturating_sub(step) as u64; // nothing changed since
        let samples = unseen.get(step).map_or(&[][..], Vec::as_slice);
        Err(self.stopped(seen[bad], data, samples, part))
    }

    /// The error of the step behind those that were done, which part `part` of it has ended.
    pub(super) fn stopped(&self, seen: Seen, data: &Dataset, samples: &[usize], part: usize) -> Error {
        let batch = self.descriptor.batch;
        // Steps from before may have been on other data.
        let fits = !samples.is_empty() && samples.iter().all(|sample| *sample < data.len());
        let own = Slice::from(part * batch..(part + 1) * batch);
        let given = if fits { self.batch(data, samples, self.steps).ok() } else { None };
        let given = given.as_ref().map(|(input, target)| (input.slice_axis(Axis(0), own), target.slice_axis(Axis(0), own)));
        self.not_finite(seen, given, self.key(self.steps, part))
    }

    /// The steps that changed something: a device that was not looked at may have stopped.
    #[cfg(feature = "weights")]
    pub(super) fn done(&self) -> Result<u64> {
        let seen = self.running.as_ref().map_or(Ok(vec![]), Running::seen)?;
        let bad = seen.iter().position(|seen| !seen.is_finite());
        let undone = bad.map_or(0, |bad| self.unseen.len().saturating_sub(bad / self.descriptor.accumulate));
        Ok(self.steps - undone as u64)
    }

    /// The same, with where it comes from in what was given.
    fn not_finite(&self, seen: Seen, given: Option<(ArrayViewD<'_, f32>, ArrayViewD<'_, f32>)>, key: DropoutKey) -> Error {
        let origin = match given.map(|(input, target)| self.origin(&input, &target, key)) {
            Some(Ok(Some(origin))) => format!("; {origin}"),
            _ => String::new(),
        };
        let (at, saved) = (self.steps + 1, self.rescue());
        let rule = format!("it must stay finite, and at step {at} it did not{origin}; the trainer is as it was before this step{saved}");
        if seen.loss.is_finite() { Error::invalid("the sum of the gradients", seen.gradients, rule) } else { Error::invalid("loss", seen.loss, rule) }
    }

    /// Where a checkpoint is written before a loss or a gradient that is not finite ends the training: the state before that step. Needs the feature
    /// `weights`.
    #[cfg(feature = "weights")]
    pub fn rescue_to(&mut self, file: impl Into<std::path::PathBuf>) {
        self.rescue = Some(file.into());
    }

    /// Writes that checkpoint; what there is to say of it.
    fn rescue(&self) -> String {
        #[cfg(feature = "weights")]
        if let Some(file) = &self.rescue {
            let written = self.checkpoint().and_then(|bytes| crate::train::checkpoint::write(file, &bytes));
            return match written {
                Ok(()) => format!(", of which {} is a checkpoint", file.display()),
                Err(error) => format!(", but no checkpoint was written: {error}"),
            };
        }
        String::new()
    }

    /// What is not finite first: of what is given, of the parameters, of the results of ops, by name.
    fn origin(&self, input: &ArrayViewD<'_, f32>, target: &ArrayViewD<'_, f32>, key: DropoutKey) -> Result<Option<String>> {
        let first = |array: &ArrayViewD<'_, f32>| array.indexed_iter().find(|(_, v)| !v.is_finite()).map(|(at, v)| (at[0], *v));
        for (what, array) in [("input", input), ("target", target)] {
            if let Some((row, value)) = first(array) {
                return Ok(Some(format!("the {what} of sample {row} of the batch has {value}")));
            }
        }
        let mut model = self.model.clone();
        for (name, numbers) in self.kept()?.0 {
            if let Some(value) = numbers.iter().find(|value| !value.is_finite()) {
                return Ok(Some(format!("the parameter {name} has {value}")));
            }
            model.set(&name, numbers.view())?;
        }
        let graph = step::step(&model, &self.learned, self.loss, &self.descriptor, &target.shape()[1..])?;
        let (halves, name) = (key.to_array(), step::key(&graph));
        let given = [("input", input.view()), ("target", target.view())].into_iter();
        let given = given.chain(name.map(|name| (name, ArrayView1::from(&halves).into_dyn())));
        let given: Vec<_> = given.filter_map(|(name, array)| Some((graph.find(name)?, array))).collect();
        let op = first_not_finite(&graph, &given)?;
        Ok(op.map(|name| format!("the first op whose result is not finite is {name}")))
    }
}
