//! Attributes as test vectors and `--shapes` files write them: ONNX's names, see the format's vocabulary.

use crate::types::{Activation, Padding, PaddingMode};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads the attributes of one op.
pub fn read<T: DeserializeOwned>(attrs: &Value) -> Result<T, String> {
    let attrs = if attrs.is_null() { &Value::Object(Default::default()) } else { attrs };
    T::deserialize(attrs).map_err(|e| format!("attributes: {e}"))
}

/// A flag: 0 or 1.
pub fn flag(name: &str, value: u8) -> Result<bool, String> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(format!("{name} is {other}: it is 0 or 1")),
    }
}

/// What convolutions and pools have in common.
#[derive(Deserialize)]
pub struct Window {
    /// Convolutions take it from their filter where it is not given.
    #[serde(default)]
    pub kernel_shape: Vec<usize>,
    pub strides: Option<Vec<usize>>,
    pub dilations: Option<Vec<usize>>,
    #[serde(default)]
    pub auto_pad: Option<String>,
    #[serde(default)]
    pub pads: Option<Vec<usize>>,
}

/// [`Window`] for N spatial axes.
pub struct Resolved<const N: usize> {
    pub kernel: [usize; N],
    pub strides: [usize; N],
    pub dilations: [usize; N],
    pub padding: Padding<N>,
}

impl Window {
    pub fn resolve<const N: usize>(&self) -> Result<Resolved<N>, String> {
        let padding = match (self.auto_pad.as_deref().unwrap_or("NOTSET"), &self.pads) {
            ("VALID", _) | ("NOTSET", None) => Padding::Valid,
            ("SAME_UPPER", _) => Padding::Same,
            ("SAME_LOWER", _) => Padding::SameLower,
            ("NOTSET", Some(pads)) => explicit(pads)?,
            (other, _) => return Err(format!("auto_pad is {other}: it is NOTSET, VALID, SAME_UPPER or SAME_LOWER")),
        };
        let or_ones = |name: &str, values: &Option<Vec<usize>>| values.as_deref().map_or(Ok([1; N]), |v| list(name, v));
        Ok(Resolved {
            kernel: list("kernel_shape", &self.kernel_shape)?,
            strides: or_ones("strides", &self.strides)?,
            dilations: or_ones("dilations", &self.dilations)?,
            padding,
        })
    }
}

/// Pads as ONNX lists them: all begins, then all ends.
pub fn explicit<const N: usize>(pads: &[usize]) -> Result<Padding<N>, String> {
    if pads.len() != 2 * N {
        return Err(format!("pads is {pads:?}: two values per spatial axis, {}, not {}", 2 * N, pads.len()));
    }
    Ok(Padding::Explicit { begin: list("pads", &pads[..N])?, end: list("pads", &pads[N..])? })
}

/// One value per spatial axis.
pub fn list<const N: usize>(name: &str, values: &[usize]) -> Result<[usize; N], String> {
    values.try_into().map_err(|_| format!("{name} is {values:?}: one value per spatial axis, {N}, not {}", values.len()))
}

/// Attributes of conv and conv_transpose beyond the window.
#[derive(Deserialize)]
pub struct Conv {
    #[serde(flatten)]
    pub window: Window,
    pub group: Option<usize>,
    pub padding_mode: Option<PaddingMode>,
    pub output_padding: Option<Vec<usize>>,
    pub output_shape: Option<Vec<usize>>,
    #[serde(default, deserialize_with = "activation")]
    pub activation: ActivationAttribute,
}

/// An activation by its name alone, or with its attributes.
pub fn activation<'de, D: Deserializer<'de>>(from: D) -> Result<ActivationAttribute, D::Error> {
    match Value::deserialize(from)? {
        Value::String(name) => Ok(ActivationAttribute { r#type: Some(name), ..Default::default() }),
        attributes => serde_json::from_value(attributes).map_err(D::Error::custom),
    }
}

/// Attributes of the sliding pools beyond the window.
#[derive(Deserialize)]
pub struct Pool {
    #[serde(flatten)]
    pub window: Window,
    #[serde(default)]
    pub ceil_mode: u8,
    #[serde(default)]
    pub count_include_pad: u8,
    #[serde(default)]
    pub storage_order: u8,
    pub p: Option<f32>,
}

/// An activation: of its own, or fused.
#[derive(Deserialize, Default)]
pub struct ActivationAttribute {
    pub r#type: Option<String>,
    alpha: Option<f32>,
    beta: Option<f32>,
    gamma: Option<f32>,
    min: Option<f32>,
    max: Option<f32>,
    threshold: Option<f32>,
    value: Option<f32>,
    approximate: Option<String>,
}

impl ActivationAttribute {
    /// The fused one.
    pub fn resolve(&self) -> Result<Activation, String> {
        self.named(self.r#type.as_deref().unwrap_or("none"))
            .ok_or_else(|| format!("activation {} is not known", self.r#type.as_deref().unwrap_or("none")))?
    }

    /// The one called `name` with these parameters; `None` where there is none.
    pub fn named(&self, name: &str) -> Option<Result<Activation, String>> {
        let need = |value: Option<f32>, parameter: &str| value.ok_or_else(|| format!("activation {name} lacks {parameter}"));
        // What is not given is what ONNX has for it.
        let [alpha, beta, gamma] = [self.alpha, self.beta, self.gamma];
        let make = || -> Result<Option<Activation>, String> {
            Ok(Some(match name {
                "none" => Activation::None,
                "relu" => Activation::Relu,
                "relu6" => Activation::Relu6,
                "leaky_relu" => Activation::LeakyRelu { alpha: alpha.unwrap_or(0.01) },
                "clip" => Activation::Clip { min: self.min.unwrap_or(f32::NEG_INFINITY), max: self.max.unwrap_or(f32::INFINITY) },
                "sigmoid" => Activation::Sigmoid,
                "tanh" => Activation::Tanh,
                "silu" => Activation::Silu,
                "gelu" => match self.approximate.as_deref() {
                    None | Some("none") => Activation::Gelu,
                    Some("tanh") => Activation::GeluTanh,
                    Some(other) => return Err(format!("gelu approximate is {other}: it is none or tanh")),
                },
                "hard_swish" => Activation::HardSwish,
                "hard_sigmoid" => Activation::HardSigmoid { alpha: alpha.unwrap_or(0.2), beta: beta.unwrap_or(0.5) },
                "elu" => Activation::Elu { alpha: alpha.unwrap_or(1.0) },
                "selu" => Activation::Selu { alpha: alpha.unwrap_or(1.673_263_2), gamma: gamma.unwrap_or(1.050_701) },
                "celu" => Activation::Celu { alpha: alpha.unwrap_or(1.0) },
                "softplus" => Activation::Softplus,
                "softsign" => Activation::Softsign,
                "mish" => Activation::Mish,
                "threshold" => Activation::Threshold { threshold: need(self.threshold, "threshold")?, value: need(self.value, "value")? },
                _ => return Ok(None),
            }))
        };
        make().transpose()
    }
}
