//! What training and evaluation say.

/// One pass over the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// Which, from 1 on.
    pub number: u64,
    /// Steps so far.
    pub steps: u64,
    /// Mean loss over its steps.
    pub loss: f64,
    /// Seconds.
    pub seconds: f64,
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "epoch {}: loss {:.4}, {:.1} s", self.number, self.loss, self.seconds)
    }
}

/// How often each class was taken for which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    pub(crate) fn new(classes: usize) -> Self {
        Self { counts: vec![vec![0; classes]; classes] }
    }

    pub(crate) fn count(&mut self, label: usize, taken_for: usize) {
        self.counts[label][taken_for] += 1;
    }

    /// Samples of `label` that were taken for `taken_for`.
    pub fn get(&self, label: usize, taken_for: usize) -> u64 {
        self.counts.get(label).and_then(|row| row.get(taken_for)).copied().unwrap_or(0)
    }

    /// The classes.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }
}

/// Rows are labels, columns what they were taken for.
impl std::fmt::Display for Confusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let largest = self.counts.iter().flatten().max().copied().unwrap_or(0).max(self.counts.len() as u64);
        let width = largest.to_string().len() + 1;
        write!(f, "{:width$} ", "")?;
        (0..self.counts.len()).try_for_each(|class| write!(f, "{class:>width$}"))?;
        for (label, row) in self.counts.iter().enumerate() {
            write!(f, "\n{label:>width$} ")?;
            row.iter().try_for_each(|count| match count {
                0 => write!(f, "{:>width$}", "."),
                count => write!(f, "{count:>width$}"),
            })?;
        }
        Ok(())
    }
}

/// How a model does on data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Samples.
    pub samples: usize,
    /// Mean loss.
    pub loss: f64,
    /// Part of the samples whose largest output is their class, where they have classes; of a binary cross-entropy with one logit, whose logit is above 0
    /// just where its target is above a half.
    pub accuracy: Option<f64>,
    /// Which class was taken for which.
    pub confusion: Option<Confusion>,
    /// The samples that were taken for another class, by position, and for which.
    pub misread: Vec<(usize, usize)>,
}

impl std::fmt::Display for Evaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        if let Some(accuracy) = self.accuracy {
            write!(f, ", accuracy {:.2} % ({} of {} misread)", 100.0 * accuracy, self.misread.len(), self.samples)?;
        }
        if let Some(confusion) = &self.confusion {
            write!(f, "\n{confusion}")?;
        }
        Ok(())
    }
}
