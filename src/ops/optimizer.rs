//! One step of an optimizer on one tensor of parameters, in place: parameters and the state that the rule keeps of each.
//!
//! What changes from step to step (rates, factors, corrections) is a tensor of [`Scalars`], so that a step is prepared once. The loss is among them: where
//! it is not finite, nothing changes, and nobody has to wait for it.

use crate::ops::Problem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::{ElementType, Layout, Result, TensorShape};
use serde::{Deserialize, Serialize};

/// How a parameter follows its gradient g, to which `decay` times the parameter is added first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// p = shrink p - rate g
    Sgd,
    /// m = keep1 m + add1 g; p = shrink p - rate m, or with Nesterov's way - rate (g + keep2 m).
    Momentum {
        /// Whether the gradient is looked at one step ahead (Sutskever and others, 2013).
        nesterov: bool,
    },
    /// v = keep2 v + add2 g^2; p = shrink p - rate g / (sqrt(v) + epsilon), centred with the variance v - a^2, a = keep2 a + add2 g; with momentum
    /// by way of m = keep1 m + that quotient (Hinton's lecture 6e; Graves, 2013).
    RmsProp {
        /// Whether the mean of the gradients is taken off.
        centered: bool,
        /// Whether quotients are summed up in m.
        momentum: bool,
    },
    /// m = keep1 m + add1 g; v = keep2 v + add2 g^2; p = shrink p - rate m / (root sqrt(v) + epsilon) (Kingma and Ba, 2015), with the largest v so far
    /// for AMSGrad (Reddi and others, 2018).
    Adam {
        /// Whether the largest v counts.
        amsgrad: bool,
    },
    /// v = v + g^2; p = shrink p - rate g / (sqrt(v) + epsilon) (Duchi and others, 2011).
    Adagrad,
}

impl Rule {
    /// All rules.
    pub const ALL: [Rule; 10] = [
        Rule::Sgd,
        Rule::Momentum { nesterov: false },
        Rule::Momentum { nesterov: true },
        Rule::RmsProp { centered: false, momentum: false },
        Rule::RmsProp { centered: true, momentum: false },
        Rule::RmsProp { centered: false, momentum: true },
        Rule::RmsProp { centered: true, momentum: true },
        Rule::Adam { amsgrad: false },
        Rule::Adam { amsgrad: true },
        Rule::Adagrad,
    ];

    /// Its name in ids.
    pub const fn name(self) -> &'static str {
        match self {
            Rule::Sgd => "sgd",
            Rule::Momentum { nesterov: false } => "momentum",
            Rule::Momentum { nesterov: true } => "nesterov",
            Rule::RmsProp { centered: false, momentum: false } => "rmsprop",
            Rule::RmsProp { centered: true, momentum: false } => "rmsprop_centered",
            Rule::RmsProp { centered: false, momentum: true } => "rmsprop_momentum",
            Rule::RmsProp { centered: true, momentum: true } => "rmsprop_centered_momentum",
            Rule::Adam { amsgrad: false } => "adam",
            Rule::Adam { amsgrad: true } => "amsgrad",
            Rule::Adagrad => "adagrad",
        }
    }

    /// What it keeps of each parameter, in order: names of tensors like the parameter, zeros before the first step.
    pub const fn state(self) -> &'static [&'static str] {
        match self {
            Rule::Sgd => &[],
            Rule::Momentum { .. } => &["m"],
            Rule::RmsProp { centered: false, momentum: false } | Rule::Adagrad => &["v"],
            Rule::RmsProp { centered: true, momentum: false } => &["v", "a"],
            Rule::RmsProp { centered: false, momentum: true } => &["v", "m"],
            Rule::RmsProp { centered: true, momentum: true } => &["v", "a", "m"],
            Rule::Adam { amsgrad: false } => &["m", "v"],
            Rule::Adam { amsgrad: true } => &["m", "v", "largest"],
        }
    }

    /// Its number in the shader.
    pub(crate) fn shader_id(self) -> u32 {
        Rule::ALL.iter().position(|rule| *rule == self).unwrap_or(0) as u32
    }
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scalars {
    /// Multiplies what is taken off.
    pub rate: f32,
    /// Times the parameter is added to the gradient.
    pub decay: f32,
    /// Multiplies the parameter.
    pub shrink: f32,
    /// Of the first moment, or the momentum.
    pub keep1: f32,
    /// Of the gradient, for the first moment.
    pub add1: f32,
    /// Of the second moment; of Nesterov's momentum, ahead.
    pub keep2: f32,
    /// Of the gradient's square, for the second moment.
    pub add2: f32,
    /// Added to the root.
    pub epsilon: f32,
    /// Multiplies the root.
    pub root: f32,
    /// The loss that the gradient is of: where it is not finite, parameters and state stay as they are.
    pub loss: f32,
}

impl Scalars {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// Those of a step that changes nothing.
    pub(crate) const STILL: Scalars =
        Scalars { rate: 0.0, decay: 0.0, shrink: 1.0, keep1: 0.0, add1: 1.0, keep2: 0.0, add2: 0.0, epsilon: 0.0, root: 1.0, loss: 0.0 };

    /// In the order of the fields, as the tensor holds them.
    pub fn to_array(self) -> [f32; Self::COUNT] {
        let Self { rate, decay, shrink, keep1, add1, keep2, add2, epsilon, root, loss } = self;
        [rate, decay, shrink, keep1, add1, keep2, add2, epsilon, root, loss]
    }
}

/// A resolved step.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct OptimizerProblem {
    pub(crate) rule: Rule,
    pub(crate) extents: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    rule: Rule,
    extents: Vec<usize>,
}

impl From<OptimizerProblem> for Written {
    fn from(OptimizerProblem { rule, extents }: OptimizerProblem) -> Self {
        Self { rule, extents }
    }
}

impl TryFrom<Written> for OptimizerProblem {
    type Error = crate::types::Error;

    fn try_from(Written { rule, extents }: Written) -> Result<Self> {
        Self::new(rule, &extents)
    }
}

impl OptimizerProblem {
    /// A step of `rule` on f32 parameters of these extents.
    ///
    /// # Errors
    /// Extents that make no tensor.
    pub fn new(rule: Rule, extents: &[usize]) -> Result<Self> {
        TensorShape::named("parameters", extents)?;
        Ok(Self { rule, extents: extents.to_vec() })
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Parameters.
    pub fn count(&self) -> u64 {
        self.extents.iter().map(|&e| e as u64).product() // checked in `new`
    }

    fn spec(&self, name: &'static str) -> TensorSpec {
        TensorSpec::new(name, &self.extents, ElementType::F32, Layout::ChannelsFirst).with_domain(Domain::Factor)
    }
}

impl Problem for OptimizerProblem {
    fn name(&self) -> &'static str {
        "optimizer"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let scalars = TensorSpec::new("scalars", &[Scalars::COUNT], ElementType::F32, Layout::ChannelsFirst).with_domain(Domain::Positive);
        vec![self.spec("gradient"), scalars]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        let in_out = |name: &'static str| TensorSpec { in_out: true, ..self.spec(name) };
        // What a root is taken of is not negative.
        let of_root = |name: &'static str| if matches!(name, "v" | "largest") { Domain::Positive } else { Domain::Factor };
        std::iter::once(in_out("parameters")).chain(self.rule.state().iter().map(|name| in_out(name).with_domain(of_root(name)))).collect()
    }

    fn is_exact(&self) -> bool {
        matches!(self.rule, Rule::Sgd | Rule::Momentum { .. })
    }

    /// A parameter, its gradient and its moment.
    fn terms(&self) -> u64 {
        3
    }

    fn flops(&self) -> f64 {
        let each = match self.rule {
            Rule::Sgd => 4.0,
            Rule::Momentum { .. } => 8.0,
            Rule::RmsProp { .. } | Rule::Adam { .. } | Rule::Adagrad => 14.0,
        };
        each * self.count() as f64
    }
}

impl std::fmt::Display for OptimizerProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.rule.name())?;
        crate::ops::spec::write_tensor(f, &self.extents, ElementType::F32, Layout::ChannelsFirst)
    }
}
