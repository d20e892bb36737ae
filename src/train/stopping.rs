//! When to stop: the loss on data that the model does not learn from no longer falls.

use crate::train::Trainer;
use crate::train::engine::Kept;
use crate::types::Result;

/// Stops where the loss has not fallen for a while, and has the best parameters then (Prechelt, Early stopping - but when?, 1998).
///
/// ```no_run
/// # use wgconv::train::{Dataset, EarlyStopping, Trainer};
/// # fn run(trainer: &mut Trainer, train: &Dataset, held_out: &Dataset) -> wgconv::Result<()> {
/// let mut stopping = EarlyStopping { patience: 5, least_gain: 1e-3, ..Default::default() };
/// for _ in 0..100 {
///     trainer.epoch(train)?;
///     let loss = trainer.evaluate(held_out)?.loss;
///     if stopping.after(trainer, loss)? {
///         break;
///     }
/// }
/// stopping.restore_best(trainer)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct EarlyStopping {
    /// How many times in a row the loss may fail to fall.
    pub patience: usize,
    /// How much lower than the lowest so far it must be to have fallen.
    pub least_gain: f64,
    /// What was seen so far; as it begins.
    pub so_far: SoFar,
}

/// What early stopping has seen.
#[derive(Debug, Clone, Default)]
pub struct SoFar {
    best: Option<(f64, Kept)>,
    since: usize,
}

impl SoFar {
    /// The lowest loss so far.
    pub fn lowest(&self) -> Option<f64> {
        self.best.as_ref().map(|(loss, _)| *loss)
    }
}

impl EarlyStopping {
    /// Takes note of a loss, and of the parameters where it is the lowest so far. True: it is time to stop. A loss that is NaN has not fallen.
    ///
    /// # Errors
    /// Loss of the device.
    pub fn after(&mut self, trainer: &Trainer, loss: f64) -> Result<bool> {
        let has_fallen = match &self.so_far.best {
            Some((lowest, _)) => *lowest - loss > self.least_gain,
            None => !loss.is_nan(),
        };
        if has_fallen {
            self.so_far = SoFar { best: Some((loss, trainer.kept()?)), since: 0 };
        } else {
            self.so_far.since += 1;
        }
        Ok(self.so_far.since > self.patience)
    }

    /// Gives the trainer the parameters, the running statistics and the optimizer's state of the lowest loss; steps and epochs are counted on. Nothing
    /// where no loss was seen.
    ///
    /// # Errors
    /// A trainer of another model or optimizer; loss of the device.
    pub fn restore_best(&self, trainer: &mut Trainer) -> Result<()> {
        match &self.so_far.best {
            Some((_, kept)) => trainer.set_kept(kept.clone()),
            None => Ok(()),
        }
    }
}
