//! Batch normalisation of a trained network, and its folding into a convolution.

use crate::ops::Problem;
use crate::ops::conv::problem::Direction;
use crate::ops::norm::rows::EPSILON;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::bits::by_bits;
use crate::types::{Activation, ElementType, Error, Layout, Result, TensorType};
use ndarray::{Array1, ArrayD, ArrayView1, ArrayViewD, Axis};
use serde::{Deserialize, Serialize};

/// y = activation((x - mean) / sqrt(variance + epsilon) scale + bias), each vector per channel and constant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::BatchNorm", into = "crate::ops::written::BatchNorm")]
pub struct BatchNormProblem {
    pub(crate) x: Vec<usize>,
    pub(crate) has_scale: bool,
    pub(crate) has_bias: bool,
    pub(crate) epsilon: f32,
    pub(crate) activation: Activation,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
    pub(crate) in_place: bool,
}

by_bits! {
    BatchNormProblem { x, has_scale, has_bias, activation, element, layout, in_place } bits { epsilon }
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl BatchNormProblem {
    /// Extents of x and y, N C ....
    pub fn x(&self) -> &[usize] {
        &self.x
    }

    /// Whether there is a scale.
    pub fn has_scale(&self) -> bool {
        self.has_scale
    }

    /// Whether there is a bias.
    pub fn has_bias(&self) -> bool {
        self.has_bias
    }

    /// Added to the variance.
    pub fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// Applied last.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Element type of all.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of x and y.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether y is x itself: the op then takes the vectors alone, and changes its output.
    pub fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// The same, written over x.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    /// The same with an activation of its result.
    ///
    /// # Errors
    /// [`Error::Invalid`] for parameters that make no function.
    pub fn with_activation(self, activation: Activation) -> Result<Self> {
        activation.check()?;
        Ok(Self { activation, ..self })
    }
}

/// Batch normalisation with known statistics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchNormDescriptor {
    /// Added to the variance.
    pub epsilon: f32,
    /// Applied last.
    pub activation: Activation,
}

impl Default for BatchNormDescriptor {
    /// 1e-5, no activation.
    fn default() -> Self {
        Self { epsilon: EPSILON, activation: Activation::None }
    }
}

/// Extents of batch normalisation's vectors.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormVectors<'a> {
    /// \[C\], or none for 1.
    pub scale: Option<&'a [usize]>,
    /// \[C\], or none for 0.
    pub bias: Option<&'a [usize]>,
    /// \[C\]
    pub mean: &'a [usize],
    /// \[C\]
    pub variance: &'a [usize],
}

impl BatchNormProblem {
    /// Resolves a batch normalisation.
    ///
    /// # Errors
    /// x below rank 2, a vector of another length than x has channels, an epsilon that is negative, parameters that make no activation.
    pub fn new(x: &TensorType, vectors: &BatchNormVectors<'_>, descriptor: &BatchNormDescriptor) -> Result<Self> {
        let &BatchNormDescriptor { epsilon, activation } = descriptor;
        x.checked_float("x")?;
        let TensorType { extents: x, element, layout } = x.clone();
        crate::ops::norm::check_epsilon(epsilon)?;
        activation.check()?;
        let [_, channels, ..] = x[..] else {
            return Err(Error::invalid("x", format!("{x:?}"), format!("it has rank 2 or more, N C ..., not {}", x.len())));
        };
        let all = [("scale", vectors.scale), ("bias", vectors.bias), ("mean", Some(vectors.mean)), ("var", Some(vectors.variance))];
        for (name, extents) in all {
            if let Some(extents) = extents
                && extents != [channels]
            {
                return Err(Error::invalid(name, format!("{extents:?}"), format!("it has one value per channel: [{channels}]")));
            }
        }
        let (has_scale, has_bias) = (vectors.scale.is_some(), vectors.bias.is_some());
        Ok(Self { x, has_scale, has_bias, epsilon, activation, element, layout, in_place: false })
    }

    /// Channels, and how many neighbours in memory share one.
    pub(crate) fn channels(&self, layout: Layout) -> [u64; 2] {
        let inner = match layout {
            Layout::ChannelsLast if self.x.len() >= 3 => 1,
            _ => self.x[2..].iter().map(|&e| e as u64).product(),
        };
        [self.x[1] as u64, inner]
    }
}

impl Problem for BatchNormProblem {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let vector = |name| TensorSpec::constant(name, &self.x[1..2], self.element);
        let mut inputs = vec![];
        if !self.in_place {
            inputs.push(TensorSpec::new("x", &self.x, self.element, self.layout));
        }
        if self.has_scale {
            inputs.push(vector("scale"));
        }
        if self.has_bias {
            inputs.push(vector("bias"));
        }
        inputs.extend([vector("mean"), vector("var").with_domain(Domain::Positive)]);
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec { in_out: self.in_place, ..TensorSpec::new("y", &self.x, self.element, self.layout) }]
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn flops(&self) -> f64 {
        2.0 * self.x.iter().map(|&e| e as f64).product::<f64>()
    }
}

impl std::fmt::Display for BatchNormProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")?;
        crate::ops::spec::write_tensor(f, &self.x, self.element, self.layout)?;
        let flag = |there, name| if there { name } else { "" };
        write!(f, "{}{}", flag(self.has_scale, "_s"), flag(self.has_bias, "_b"))?;
        if self.activation != Activation::None {
            write!(f, "_{}", self.activation)?;
        }
        write!(f, "{}", flag(self.in_place, "_in_place"))
    }
}

/// Batch normalisation's vectors, one value per output channel of the convolution before it.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormValues<'a> {
    /// gamma
    pub scale: ArrayView1<'a, f32>,
    /// beta
    pub bias: ArrayView1<'a, f32>,
    /// Running mean.
    pub mean: ArrayView1<'a, f32>,
    /// Running variance.
    pub variance: ArrayView1<'a, f32>,
    /// Added to the variance.
    pub epsilon: f32,
}

/// Folds a batch normalisation that follows a convolution into the convolution's filter and bias, so that at inference it costs nothing:
/// w' = w m, b' = (b - mean) m + beta with m = gamma / sqrt(variance + epsilon).
///
/// `filter` is K C/g ... of a forward convolution or C K/g ... of a transposed one of `groups` groups; computed in f64, rounded once.
///
/// # Errors
/// Vectors of another length than the convolution has output channels.
pub fn fold_batch_norm(
    direction: Direction,
    groups: usize,
    filter: ArrayViewD<'_, f32>,
    bias: Option<ArrayView1<'_, f32>>,
    norm: &BatchNormValues<'_>,
) -> Result<(ArrayD<f32>, Array1<f32>)> {
    if filter.ndim() < 2 || groups == 0 {
        return Err(Error::invalid("filter", format!("{:?}", filter.shape()), format!("it has rank 2 or more, in {groups} groups of at least 1")));
    }
    let (own_axis, outputs) = match direction {
        Direction::Forward => (0, filter.shape()[0]),
        Direction::Transposed => (1, filter.shape()[1] * groups),
    };
    let vectors = [("scale", norm.scale.len()), ("bias", norm.bias.len()), ("mean", norm.mean.len()), ("variance", norm.variance.len())];
    for (name, length) in vectors.into_iter().chain(bias.map(|b| ("the convolution's bias", b.len()))) {
        if length != outputs {
            return Err(Error::invalid(name, length, format!("it has one value per output channel: {outputs}")));
        }
    }
    let wide = |v: f32| f64::from(v);
    let multiplier: Vec<f64> = (0..outputs).map(|k| wide(norm.scale[k]) / (wide(norm.variance[k]) + wide(norm.epsilon)).sqrt()).collect();
    let offset = |k: usize| (bias.map_or(0.0, |b| wide(b[k])) - wide(norm.mean[k])) * multiplier[k] + wide(norm.bias[k]);
    let mut folded = filter.to_owned();
    match direction {
        Direction::Forward => {
            for (k, mut plane) in folded.axis_iter_mut(Axis(own_axis)).enumerate() {
                plane.mapv_inplace(|w| (wide(w) * multiplier[k]) as f32);
            }
        }
        Direction::Transposed => {
            // Row c of the filter belongs to the group of its input channel.
            let (inputs, each) = (filter.shape()[0], filter.shape()[1]);
            for (c, mut row) in folded.axis_iter_mut(Axis(0)).enumerate() {
                let group = c * groups / inputs;
                for (k, mut plane) in row.axis_iter_mut(Axis(0)).enumerate() {
                    plane.mapv_inplace(|w| (wide(w) * multiplier[group * each + k]) as f32);
                }
            }
        }
    }
    Ok((folded, (0..outputs).map(|k| offset(k) as f32).collect()))
}
