//! Optimizers with their numbers, and how the rate changes from step to step.

use crate::ops::optimizer::{Rule, Scalars};
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// Gradient descent, with momentum where that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Step size.
    pub rate: f64,
    /// How much of the former steps goes on.
    pub momentum: f64,
    /// How little of the gradient enters the momentum; the first one enters whole.
    pub dampening: f64,
    /// Whether the gradient is looked at one step ahead.
    pub nesterov: bool,
    /// Times the parameter is added to the gradient.
    pub weight_decay: f64,
}

impl Default for Sgd {
    /// Rate 0.01, nothing else.
    fn default() -> Self {
        Self { rate: 0.01, momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

/// RMSProp.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Step size.
    pub rate: f64,
    /// How much of the mean of squares stays.
    pub alpha: f64,
    /// Added to the root.
    pub epsilon: f64,
    /// How much of the former steps goes on.
    pub momentum: f64,
    /// Whether the mean of the gradients is taken off.
    pub centered: bool,
    /// Times the parameter is added to the gradient.
    pub weight_decay: f64,
}

impl Default for RmsProp {
    /// PyTorch's.
    fn default() -> Self {
        Self { rate: 0.01, alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }
}

/// Adam and its kin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Step size.
    pub rate: f64,
    /// How much of the mean stays.
    pub beta1: f64,
    /// How much of the mean of squares stays.
    pub beta2: f64,
    /// Added to the root.
    pub epsilon: f64,
    /// Times the parameter is added to the gradient, or with `decoupled` times the rate is taken off it.
    pub weight_decay: f64,
    /// AdamW: the decay does not go through the moments.
    pub decoupled: bool,
    /// AMSGrad: the largest mean of squares counts.
    pub amsgrad: bool,
}

impl Default for Adam {
    /// PyTorch's.
    fn default() -> Self {
        Self { rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false, amsgrad: false }
    }
}

/// Adagrad.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adagrad {
    /// Step size.
    pub rate: f64,
    /// The rate of step t is rate / (1 + (t - 1) decay).
    pub rate_decay: f64,
    /// Added to the root.
    pub epsilon: f64,
    /// Times the parameter is added to the gradient.
    pub weight_decay: f64,
}

impl Default for Adagrad {
    /// PyTorch's.
    fn default() -> Self {
        Self { rate: 0.01, rate_decay: 0.0, epsilon: 1e-10, weight_decay: 0.0 }
    }
}

/// An optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Gradient descent.
    Sgd(Sgd),
    /// RMSProp.
    RmsProp(RmsProp),
    /// Adam, AdamW, AMSGrad.
    Adam(Adam),
    /// Adagrad.
    Adagrad(Adagrad),
}

/// Numbers with their names.
type Numbers = Vec<(&'static str, f64)>;

macro_rules! from {
    ($($name:ident),*) => {
        $(impl From<$name> for Optimizer {
            fn from(own: $name) -> Self {
                Optimizer::$name(own)
            }
        })*
    };
}

from!(Sgd, RmsProp, Adam, Adagrad);

impl Optimizer {
    /// How a parameter follows its gradient.
    pub fn rule(&self) -> Rule {
        match *self {
            Optimizer::Sgd(Sgd { momentum, nesterov, .. }) => {
                if momentum == 0.0 {
                    Rule::Sgd
                } else {
                    Rule::Momentum { nesterov }
                }
            }
            Optimizer::RmsProp(RmsProp { momentum, centered, .. }) => Rule::RmsProp { centered, momentum: momentum != 0.0 },
            Optimizer::Adam(Adam { amsgrad, .. }) => Rule::Adam { amsgrad },
            Optimizer::Adagrad(_) => Rule::Adagrad,
        }
    }

    /// The step size that schedules multiply.
    pub fn rate(&self) -> f64 {
        match self {
            Optimizer::Sgd(own) => own.rate,
            Optimizer::RmsProp(own) => own.rate,
            Optimizer::Adam(own) => own.rate,
            Optimizer::Adagrad(own) => own.rate,
        }
    }

    /// Refuses numbers that make no optimizer.
    ///
    /// # Errors
    /// A number outside its range, by name.
    pub fn check(&self) -> Result<()> {
        let (fractions, others): (Numbers, Numbers) = match *self {
            Optimizer::Sgd(Sgd { momentum, dampening, weight_decay, .. }) => {
                (vec![], vec![("momentum", momentum), ("dampening", dampening), ("weight_decay", weight_decay)])
            }
            Optimizer::RmsProp(RmsProp { alpha, epsilon, momentum, weight_decay, .. }) => {
                (vec![("alpha", alpha)], vec![("epsilon", epsilon), ("momentum", momentum), ("weight_decay", weight_decay)])
            }
            Optimizer::Adam(Adam { beta1, beta2, epsilon, weight_decay, .. }) => {
                (vec![("beta1", beta1), ("beta2", beta2)], vec![("epsilon", epsilon), ("weight_decay", weight_decay)])
            }
            Optimizer::Adagrad(Adagrad { rate_decay, epsilon, weight_decay, .. }) => {
                (vec![], vec![("rate_decay", rate_decay), ("epsilon", epsilon), ("weight_decay", weight_decay)])
            }
        };
        for (name, value) in fractions {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::invalid(name, value, format!("{name} is at least 0 and below 1")));
            }
        }
        for (name, value) in others.into_iter().chain([("rate", self.rate())]) {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::invalid(name, value, format!("{name} is finite and at least 0")));
            }
        }
        match *self {
            Optimizer::Sgd(Sgd { nesterov: true, momentum, dampening, .. }) if momentum == 0.0 || dampening != 0.0 => {
                Err(Error::invalid("nesterov", format!("with momentum {momentum}, dampening {dampening}"), "it takes a momentum and no dampening"))
            }
            _ => Ok(()),
        }
    }

    /// The numbers of step `step`, counted from 1, at this rate.
    pub fn scalars(&self, step: u64, rate: f64) -> Scalars {
        let plain = Scalars { rate: rate as f32, ..Scalars::STILL };
        match *self {
            Optimizer::Sgd(Sgd { momentum, dampening, weight_decay, .. }) => {
                let (keep1, add1) = if step == 1 { (0.0, 1.0) } else { (momentum, 1.0 - dampening) };
                Scalars { decay: weight_decay as f32, keep1: keep1 as f32, add1: add1 as f32, keep2: momentum as f32, ..plain }
            }
            Optimizer::RmsProp(RmsProp { alpha, epsilon, momentum, weight_decay, .. }) => Scalars {
                decay: weight_decay as f32,
                keep1: momentum as f32,
                keep2: alpha as f32,
                add2: (1.0 - alpha) as f32,
                epsilon: epsilon as f32,
                ..plain
            },
            Optimizer::Adam(Adam { beta1, beta2, epsilon, weight_decay, decoupled, .. }) => {
                // Moments begin at 0 and are too small at first: they are divided by what they lack.
                let lack = |beta: f64| 1.0 - beta.powf(step as f64);
                Scalars {
                    rate: (rate / lack(beta1)) as f32,
                    decay: if decoupled { 0.0 } else { weight_decay as f32 },
                    shrink: if decoupled { (1.0 - rate * weight_decay) as f32 } else { 1.0 },
                    keep1: beta1 as f32,
                    add1: (1.0 - beta1) as f32,
                    keep2: beta2 as f32,
                    add2: (1.0 - beta2) as f32,
                    epsilon: epsilon as f32,
                    root: (1.0 / lack(beta2).sqrt()) as f32,
                    loss: 0.0,
                }
            }
            Optimizer::Adagrad(Adagrad { rate_decay, epsilon, weight_decay, .. }) => {
                let rate = rate / (1.0 + (step - 1) as f64 * rate_decay);
                Scalars { rate: rate as f32, decay: weight_decay as f32, epsilon: epsilon as f32, ..plain }
            }
        }
    }
}

/// How the rate changes: a factor for every step, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// gamma^floor(i / every)
    Step {
        /// Steps at one rate.
        every: u64,
        /// The factor between them.
        gamma: f64,
    },
    /// least + (1 - least) (1 + cos(pi i / period)) / 2
    Cosine {
        /// Steps to the least.
        period: u64,
        /// The least, as a part of the rate.
        least: f64,
    },
    /// start + (1 - start) min(i, steps) / steps
    WarmUp {
        /// Steps to the whole rate.
        steps: u64,
        /// Where it begins, as a part of the rate.
        start: f64,
    },
    /// Up by a cosine from 1 / 25 to the whole rate over the first three tenths, then down by one to 1 / 250,000 (Smith and Topin, 2017, as PyTorch has it).
    OneCycle {
        /// All steps.
        steps: u64,
    },
}

impl Schedule {
    /// Refuses numbers that make no schedule.
    ///
    /// # Errors
    /// A number outside its range, by name.
    pub fn check(&self) -> Result<()> {
        type Named<'a, T> = &'a [(&'a str, T)];
        let (counts, factors): (Named<'_, u64>, Named<'_, f64>) = match *self {
            Schedule::Constant => (&[], &[]),
            Schedule::Step { every, gamma } => (&[("every", every)], &[("gamma", gamma)]),
            Schedule::Cosine { period, least } => (&[("period", period)], &[("least", least)]),
            Schedule::WarmUp { start, .. } => (&[], &[("start", start)]),
            Schedule::OneCycle { steps } => (&[("steps", steps)], &[]),
        };
        if let Some((name, value)) = counts.iter().find(|(_, value)| *value == 0) {
            return Err(Error::invalid(*name, value, format!("{name} is at least 1")));
        }
        match factors.iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            Some((name, value)) => Err(Error::invalid(*name, value, format!("{name} is finite and at least 0"))),
            None => Ok(()),
        }
    }

    /// The factor of step `i`, counted from 0.
    pub fn factor(&self, i: u64) -> f64 {
        let half_wave = |from: f64, to: f64, part: f64| to + (from - to) * (1.0 + (std::f64::consts::PI * part.clamp(0.0, 1.0)).cos()) / 2.0;
        match *self {
            Schedule::Constant => 1.0,
            Schedule::Step { every, gamma } => gamma.powf((i / every.max(1)) as f64),
            Schedule::Cosine { period, least } => {
                least + (1.0 - least) * (1.0 + (std::f64::consts::PI * i as f64 / period.max(1) as f64).cos()) / 2.0
            }
            Schedule::WarmUp { steps, start } => start + (1.0 - start) * i.min(steps) as f64 / steps.max(1) as f64,
            Schedule::OneCycle { steps } => {
                let (last, peak) = (steps.saturating_sub(1) as f64, (0.3 * steps as f64 - 1.0).max(1.0));
                let at = i as f64;
                if at <= peak { half_wave(1.0 / 25.0, 1.0, at / peak) } else { half_wave(1.0, 1.0 / 250_000.0, (at - peak) / (last - peak).max(1.0)) }
            }
        }
    }
}
