//! Samples in memory, and their order.

use crate::numeric::Generator;
use crate::types::{Error, Result};
use ndarray::{Array2, ArrayD, ArrayView, ArrayViewD, Axis, Dimension, IxDyn};

/// What a sample should give.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// One of so many classes.
    Classes {
        /// By sample.
        labels: Vec<u32>,
        /// How many there are.
        classes: usize,
    },
    /// Numbers, N and the output's extents.
    Values(ArrayD<f32>),
}

/// Samples with what each should give.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    inputs: ArrayD<f32>,
    labels: Labels,
}

impl Dataset {
    /// Samples N ... and their classes.
    ///
    /// # Errors
    /// Another number of labels than samples; none; a label past the classes, by its position; a class that no sample has.
    pub fn classes<D: Dimension>(inputs: ArrayView<'_, f32, D>, labels: Vec<u32>, classes: usize) -> Result<Self> {
        let inputs = inputs.to_owned().into_dyn();
        count(&inputs, labels.len())?;
        if let Some((i, label)) = labels.iter().enumerate().find(|(_, label)| **label as usize >= classes) {
            return Err(Error::invalid(format!("labels[{i}]"), label, format!("there are {classes} classes, from 0 on")));
        }
        let mut found = vec![false; classes];
        labels.iter().for_each(|&label| found[label as usize] = true);
        if let Some(empty) = found.iter().position(|found| !found) {
            return Err(Error::invalid(
                "labels",
                format!("{} samples", labels.len()),
                format!("every class has a sample, and class {empty} has none"),
            ));
        }
        Ok(Self { inputs, labels: Labels::Classes { labels, classes } })
    }

    /// Samples N ... and what each should give, N ....
    ///
    /// # Errors
    /// Another number of targets than samples; none.
    pub fn values<D: Dimension, E: Dimension>(inputs: ArrayView<'_, f32, D>, targets: ArrayView<'_, f32, E>) -> Result<Self> {
        let (inputs, targets) = (inputs.to_owned().into_dyn(), targets.to_owned().into_dyn());
        count(&inputs, targets.shape().first().copied().unwrap_or(0))?;
        Ok(Self { inputs, labels: Labels::Values(targets) })
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.inputs.shape()[0]
    }

    /// Never: there is a sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All samples.
    pub fn inputs(&self) -> &ArrayD<f32> {
        &self.inputs
    }

    /// What they should give.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Mean and standard deviation of each channel over all samples and positions; 1 where a channel has no deviation. For
    /// [`Sequential::normalize`](crate::train::Sequential::normalize).
    pub fn statistics(&self) -> (Vec<f32>, Vec<f32>) {
        let of = |channel: ArrayViewD<'_, f32>| {
            let count = channel.len().max(1) as f64;
            let mean = channel.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
            let variance = channel.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
            (mean as f32, if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 })
        };
        self.inputs.axis_iter(Axis(1)).map(of).unzip()
    }

    /// Extents of a target without the batch.
    pub(crate) fn target_extents(&self) -> Vec<usize> {
        match &self.labels {
            Labels::Classes { classes, .. } => vec![*classes],
            Labels::Values(values) => values.shape()[1..].to_vec(),
        }
    }

    /// These samples, and what they should give: of classes, 1 for the own one.
    pub(crate) fn batch(&self, samples: &[usize]) -> (ArrayD<f32>, ArrayD<f32>) {
        let inputs = self.inputs.select(Axis(0), samples);
        let targets = match &self.labels {
            Labels::Classes { labels, classes } => {
                let mut targets = Array2::zeros((samples.len(), *classes));
                samples.iter().enumerate().for_each(|(row, &sample)| targets[[row, labels[sample] as usize]] = 1.0);
                targets.into_dyn()
            }
            Labels::Values(values) => values.select(Axis(0), samples),
        };
        (inputs, targets)
    }

    /// The positions of all samples in an order that follows from `text` alone (Fisher and Yates).
    pub(crate) fn order(&self, text: &str) -> Vec<usize> {
        let mut generator = Generator::from_text(text);
        let mut order: Vec<usize> = (0..self.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, generator.below(i as u64 + 1) as usize);
        }
        order
    }

    /// Two parts: every `every`-th sample, and the others.
    ///
    /// # Errors
    /// A part without samples, or a class that one of them lacks.
    pub fn split(&self, every: usize) -> Result<(Self, Self)> {
        let (test, train): (Vec<usize>, Vec<usize>) = (0..self.len()).partition(|i| every > 0 && i % every == every - 1);
        Ok((self.of(&train)?, self.of(&test)?))
    }

    fn of(&self, samples: &[usize]) -> Result<Self> {
        let inputs = self.inputs.select(Axis(0), samples);
        match &self.labels {
            Labels::Classes { labels, classes } => Self::classes(inputs.view(), samples.iter().map(|&i| labels[i]).collect(), *classes),
            Labels::Values(values) => Self::values(inputs.view(), values.select(Axis(0), samples).view()),
        }
    }
}

fn count(inputs: &ArrayD<f32>, targets: usize) -> Result<()> {
    let samples = inputs.shape().first().copied().unwrap_or(0);
    if samples == 0 || inputs.ndim() < 2 {
        return Err(Error::invalid("inputs", format!("{:?}", inputs.shape()), "they are N and the extents of a sample, with at least one sample"));
    }
    if samples == targets { Ok(()) } else { Err(Error::invalid("labels", targets, format!("there is one for each of the {samples} samples"))) }
}

/// An array of these extents; there are as many numbers.
pub(crate) fn shaped(numbers: Vec<f32>, extents: &[usize]) -> Result<ArrayD<f32>> {
    ArrayD::from_shape_vec(IxDyn(extents), numbers).map_err(|e| Error::Internal { label: "training".into(), message: e.to_string() })
}
