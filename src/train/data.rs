//! Samples in memory, and their order.

use crate::numeric::Generator;
use crate::types::{Error, Result};
use ndarray::{Array2, ArrayD, ArrayView, Axis, Dimension, IxDyn};
use serde::{Deserialize, Serialize};

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

/// What is changed at random in pictures N C H W before a step; what comes in at an edge is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Most pixels that a picture is moved by, up or down and to either side.
    pub shift: usize,
    /// Whether every other one is mirrored.
    pub flip: bool,
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

    /// As [`Dataset::batch`], each sample N C H W changed at random as `augmentation` says; the same `text`, the same changes.
    pub(crate) fn augmented(&self, samples: &[usize], augmentation: &Augmentation, text: &str) -> (ArrayD<f32>, ArrayD<f32>) {
        let (mut inputs, targets) = self.batch(samples);
        let &[_, _, height, width] = inputs.shape() else { return (inputs, targets) };
        let mut generator = Generator::from_text(text);
        let reach = augmentation.shift as u64;
        for mut sample in inputs.outer_iter_mut() {
            let [down, right] = [height, width].map(|extent| generator.integer(reach.min(extent as u64 - 1)) as isize);
            let mirrored = augmentation.flip && generator.below(2) == 1;
            for mut plane in sample.outer_iter_mut() {
                let before = plane.to_owned();
                for y in 0..height as isize {
                    for x in 0..width as isize {
                        let column = if mirrored { width as isize - 1 - x } else { x };
                        let (from_y, from_x) = (y - down, column - right);
                        let inside = (0..height as isize).contains(&from_y) && (0..width as isize).contains(&from_x);
                        plane[[y as usize, x as usize]] = if inside { before[[from_y as usize, from_x as usize]] } else { 0.0 };
                    }
                }
            }
        }
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
