//! How a model does on data that it does not learn from.

use crate::graph::Extent;
use crate::session::Session;
use crate::train::data::{Dataset, Labels};
use crate::train::engine::Engine;
use crate::train::metrics::{Confusion, Evaluation};
use crate::train::trainer::{Loss, Trainer};
use crate::types::{ElementType, Error, Layout, Result};
use ndarray::ArrayViewD;

/// Samples of one run of an evaluation.
const EVALUATED: usize = 256;

impl Trainer {
    /// The classes of data: those of its labels; of a `BinaryCrossEntropy` with one logit two, 1 where the logit is above 0.
    fn classes(&self, data: &Dataset) -> Option<usize> {
        match data.labels() {
            Labels::Classes { classes, .. } => Some(*classes),
            Labels::Values(_) if self.loss == Loss::BinaryCrossEntropy && data.target_extents() == [1] => Some(2),
            Labels::Values(_) => None,
        }
    }

    /// How the model does on data.
    ///
    /// # Errors
    /// Samples of another shape than the model takes; targets of another shape than it gives; loss of the device.
    pub fn evaluate(&self, data: &Dataset) -> Result<Evaluation> {
        let mut graph = self.model()?;
        let Some((_, output)) = graph.outputs().next() else { return Err(Error::invalid("model", "without output", "it has one")) };
        let extents: Vec<Extent> = std::iter::once(Extent::Open).chain(data.target_extents().into_iter().map(Into::into)).collect();
        let target = graph.input_as("target", &extents, ElementType::F32, Layout::ChannelsFirst)?;
        let loss = self.loss.of(&mut graph, output, target)?;
        graph.output("loss", loss)?;
        let graph = graph.optimized()?;
        let session = match &self.engine {
            Engine::Gpu(gpu) => Session::gpu(gpu, &graph)?,
            Engine::Cpu => Session::cpu(&graph)?,
        };
        let (mut total, mut misread) = (0.0, vec![]);
        let mut confusion = self.classes(data).map(Confusion::new);
        let is_binary = matches!(data.labels(), Labels::Values(_));
        let all: Vec<usize> = (0..data.len()).collect();
        for samples in all.chunks(EVALUATED) {
            let (input, target) = data.batch(samples);
            let outputs = session.run(&[("input", input.view()), ("target", target.view())])?;
            total += f64::from(outputs["loss"].sum()) * samples.len() as f64;
            if let Some(confusion) = &mut confusion {
                for ((&sample, row), wanted) in samples.iter().zip(outputs["output"].outer_iter()).zip(target.outer_iter()) {
                    let (label, taken_for) = match is_binary {
                        true => (above(wanted, 0.5), above(row, 0.0)),
                        false => (largest(wanted), largest(row)),
                    };
                    confusion.count(label, taken_for);
                    if taken_for != label {
                        misread.push((sample, taken_for));
                    }
                }
            }
        }
        let accuracy = confusion.as_ref().map(|_| 1.0 - misread.len() as f64 / data.len() as f64);
        Ok(Evaluation { samples: data.len(), loss: total / data.len() as f64, accuracy, confusion, misread })
    }
}

/// Which is the largest, the first of equals, as argmax has it.
fn largest(row: ArrayViewD<'_, f32>) -> usize {
    row.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0
}

/// 1 where the only number of the row is above `half`, else 0.
fn above(row: ArrayViewD<'_, f32>, half: f32) -> usize {
    usize::from(row.iter().any(|v| *v > half))
}
