//! Activations: the list, its numbers in the shaders, the formula in f64, and the error that a correct kernel may make.
//!
//! Adding one touches this file, its derivative in `activation_gradient`, `shaders/lib/activation.wgsl` and `shaders/lib/activation_gradient.wgsl`; see docs/adding/activation.md.

use crate::types::bits::by_key;
use crate::types::{Error, Result};
use serde::{Deserialize, Serialize};

/// An activation function, applied to the finished sum (bias included) before it is stored.
///
/// All pass NaN through, on GPU and CPU alike, and keep their digits wherever their result is a normal f32 number ([`Activation::own_error`]).
/// At infinities they give what their formulas do, as PyTorch's: silu, gelu, gelu_tanh, hard_swish and mish of -inf, a product of -inf and 0, are NaN,
/// and so is softsign of either infinity; all others have their limits.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// x
    #[default]
    None,
    /// max(x, 0)
    Relu,
    /// x where x >= 0, else alpha x
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// min(max(x, 0), 6)
    Relu6,
    /// min(max(x, min), max); infinite bounds leave that side open
    Clip {
        /// Lower bound.
        #[serde(with = "crate::types::float")]
        min: f32,
        /// Upper bound.
        #[serde(with = "crate::types::float")]
        max: f32,
    },
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// tanh x
    Tanh,
    /// x sigmoid(x), also called swish
    Silu,
    /// x (1 + erf(x / sqrt 2)) / 2
    Gelu,
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, the usual approximation of GELU
    GeluTanh,
    /// x min(max(x + 3, 0), 6) / 6
    HardSwish,
    /// min(max(alpha x + beta, 0), 1)
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// x where x >= 0, else alpha (e^x - 1)
    Elu {
        /// Limit far below zero is -alpha.
        alpha: f32,
    },
    /// gamma x where x >= 0, else gamma alpha (e^x - 1)
    Selu {
        /// Limit far below zero is -gamma alpha.
        alpha: f32,
        /// Slope above zero.
        gamma: f32,
    },
    /// x where x >= 0, else alpha (e^(x / alpha) - 1)
    Celu {
        /// Limit far below zero is -alpha; not 0.
        alpha: f32,
    },
    /// ln(1 + e^x)
    Softplus,
    /// x / (1 + |x|)
    Softsign,
    /// x tanh(ln(1 + e^x))
    Mish,
    /// x where x > threshold, else value
    Threshold {
        /// Up to here, `value` stands.
        threshold: f32,
        /// What stands there.
        value: f32,
    },
}

by_key!(Activation, |activation: &Activation| (activation.shader_id(), activation.parameters().map(f32::to_bits)));

impl Activation {
    /// One of each, with its customary parameters: what checks and listings walk over.
    pub const ALL: [Activation; 19] = [
        Activation::None,
        Activation::Relu,
        Activation::LeakyRelu { alpha: 0.01 },
        Activation::Relu6,
        Activation::Clip { min: -2.0, max: 5.0 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::HardSwish,
        Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
        Activation::Elu { alpha: 1.0 },
        Activation::Selu { alpha: 1.673_263_2, gamma: 1.050_701 },
        Activation::Celu { alpha: 1.0 },
        Activation::Softplus,
        Activation::Softsign,
        Activation::Mish,
        Activation::Threshold { threshold: 1.0, value: -2.0 },
    ];

    /// Name in labels and reports, as ONNX spells it in snake case.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Number of the case in `shaders/lib/activation.wgsl`.
    pub(crate) const fn shader_id(self) -> u32 {
        self.row().1
    }

    /// Name, number in the shader.
    pub(crate) const fn row(self) -> (&'static str, u32) {
        match self {
            Activation::None => ("none", 0),
            Activation::Relu => ("relu", 1),
            Activation::LeakyRelu { .. } => ("leaky_relu", 2),
            Activation::Relu6 => ("relu6", 3),
            Activation::Clip { .. } => ("clip", 4),
            Activation::Sigmoid => ("sigmoid", 5),
            Activation::Tanh => ("tanh", 6),
            Activation::Silu => ("silu", 7),
            Activation::Gelu => ("gelu", 8),
            Activation::GeluTanh => ("gelu_tanh", 9),
            Activation::HardSwish => ("hard_swish", 10),
            Activation::HardSigmoid { .. } => ("hard_sigmoid", 11),
            Activation::Elu { .. } => ("elu", 12),
            Activation::Selu { .. } => ("selu", 13),
            Activation::Celu { .. } => ("celu", 14),
            Activation::Softplus => ("softplus", 15),
            Activation::Softsign => ("softsign", 16),
            Activation::Mish => ("mish", 17),
            Activation::Threshold { .. } => ("threshold", 18),
        }
    }

    /// The two parameters as the shader gets them; 0 where there is none.
    pub(crate) const fn parameters(self) -> [f32; 2] {
        match self {
            Activation::LeakyRelu { alpha } | Activation::Elu { alpha } | Activation::Celu { alpha } => [alpha, 0.0],
            Activation::Selu { alpha, gamma } => [alpha, gamma],
            Activation::Threshold { threshold, value } => [threshold, value],
            Activation::Clip { min, max } => [min, max],
            Activation::HardSigmoid { alpha, beta } => [alpha, beta],
            _ => [0.0, 0.0],
        }
    }

    /// The definition, in f64. Comparisons are written so that NaN goes through.
    pub fn apply(self, x: f64) -> f64 {
        let clip = |x: f64, min: f64, max: f64| {
            if x < min {
                min
            } else if x > max {
                max
            } else {
                x
            }
        };
        match self {
            Activation::None => x,
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::LeakyRelu { alpha } => {
                if x < 0.0 {
                    f64::from(alpha) * x
                } else {
                    x
                }
            }
            Activation::Relu6 => clip(x, 0.0, 6.0),
            Activation::Clip { min, max } => clip(x, f64::from(min), f64::from(max)),
            Activation::Sigmoid => logistic(x),
            Activation::Tanh => x.tanh(),
            Activation::Silu => x * logistic(x),
            // (1 + erf z) / 2 = erfc(-z) / 2, which keeps its digits far below zero.
            Activation::Gelu => x * (0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)),
            // (1 + tanh w) / 2 = 1 / (1 + e^(-2 w)).
            Activation::GeluTanh => x * logistic(gelu_tanh_argument(x)),
            Activation::HardSwish => x * (clip(x + 3.0, 0.0, 6.0) / 6.0),
            Activation::HardSigmoid { alpha, beta } => clip(f64::from(alpha) * x + f64::from(beta), 0.0, 1.0),
            Activation::Elu { alpha } => {
                if x < 0.0 {
                    f64::from(alpha) * x.exp_m1()
                } else {
                    x
                }
            }
            Activation::Selu { alpha, gamma } => {
                if x < 0.0 {
                    f64::from(gamma) * f64::from(alpha) * x.exp_m1()
                } else {
                    f64::from(gamma) * x
                }
            }
            Activation::Celu { alpha } => {
                if x < 0.0 {
                    f64::from(alpha) * (x / f64::from(alpha)).exp_m1()
                } else {
                    x
                }
            }
            Activation::Softplus => softplus(x),
            Activation::Softsign => x / (1.0 + x.abs()),
            Activation::Mish => x * softplus(x).tanh(), // as it stands: no digits are lost
            Activation::Threshold { threshold, value } => {
                if x <= f64::from(threshold) {
                    f64::from(value)
                } else {
                    x
                }
            }
        }
    }

    /// True where the f32 kernel makes no rounding of its own, so that exact inputs give exact outputs.
    pub const fn is_exact(self) -> bool {
        matches!(self, Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clip { .. } | Activation::Threshold { .. })
    }

    /// Largest slope: an error e of the sum becomes at most this times e.
    pub fn lipschitz(self) -> f64 {
        match self {
            Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clip { .. } | Activation::Tanh => 1.0,
            Activation::LeakyRelu { alpha } | Activation::Elu { alpha } => f64::from(alpha).abs().max(1.0),
            Activation::Sigmoid => 0.25,
            Activation::Silu => 1.1,                         // 1.0998 at x = 2.4
            Activation::Gelu | Activation::GeluTanh => 1.13, // 1.1290 at x = sqrt 2
            Activation::HardSwish => 1.5,                    // (2 x + 3) / 6 at x = 3
            Activation::HardSigmoid { alpha, .. } => f64::from(alpha).abs(),
            Activation::Selu { alpha, gamma } => f64::from(gamma).abs() * f64::from(alpha).abs().max(1.0),
            Activation::Celu { .. } | Activation::Softplus | Activation::Softsign => 1.0,
            Activation::Mish => 1.09, // 1.0885 at x = 1.49
            Activation::Threshold { threshold, value } if threshold == value => 1.0,
            Activation::Threshold { .. } => f64::INFINITY, // it jumps; see `propagated`
        }
    }

    /// The most that an error `error` of the argument `x` can change the result.
    pub fn propagated(self, x: f64, error: f64) -> f64 {
        match self {
            Activation::Threshold { threshold, value } => {
                let (threshold, value) = (f64::from(threshold), f64::from(value));
                if (x - threshold).abs() > error { error } else { error + (threshold - value).abs() }
            }
            _ => self.lipschitz() * error,
        }
    }

    /// Refuses parameters that make no function: NaN, and infinities where they are no open side of a clip.
    pub(crate) fn check(self) -> Result<()> {
        let parameters = match self {
            Activation::LeakyRelu { alpha } | Activation::Elu { alpha } | Activation::Celu { alpha } => vec![("alpha", alpha)],
            Activation::Selu { alpha, gamma } => vec![("alpha", alpha), ("gamma", gamma)],
            Activation::HardSigmoid { alpha, beta } => vec![("alpha", alpha), ("beta", beta)],
            Activation::Threshold { threshold, value } => vec![("threshold", threshold), ("value", value)],
            Activation::Clip { min, max } if min.is_nan() || max.is_nan() => {
                return Err(Error::invalid("clip", format!("min {min}, max {max}"), "a bound is a number; an infinite one leaves its side open"));
            }
            _ => vec![],
        };
        if let Some((name, value)) = parameters.into_iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::invalid(self.name(), format!("{name} {value}"), format!("{name} must be finite")));
        }
        match self {
            Activation::Clip { min, max } if min > max => Err(Error::invalid("clip", format!("min {min}, max {max}"), "min must not exceed max")),
            Activation::Celu { alpha: 0.0 } => Err(Error::invalid("celu", "alpha 0", "alpha divides, so it must not be 0")),
            _ => Ok(()),
        }
    }

    /// Error that evaluating the formula in f32 may add to a result `y` of the argument `x`.
    ///
    /// Relative to the result, whatever its size: `shaders/lib/activation.wgsl` computes exponentials itself, with an error of 3e-7 and a rounding of the argument,
    /// and divides, for which WGSL allows 2.5 units in the last place (5 u). Results and exponentials below the smallest normal number may be 0.
    pub fn own_error(self, x: f64, y: f64) -> f64 {
        let u = crate::types::element::ElementType::F32.unit_roundoff();
        // An exponential e^-|x| that underflows is lost, times the factor x.
        let lost = f64::from(f32::MIN_POSITIVE) * (1.0 + x.abs().min(128.0));
        let exponential = exponential_error(x);
        let relative = match self {
            Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clip { .. } | Activation::Threshold { .. } => return 0.0,
            Activation::LeakyRelu { .. } => 2.0 * u,
            // A sum that is exact where it is small, a product, a quotient.
            Activation::HardSwish => 10.0 * u,
            Activation::HardSigmoid { alpha, beta } => {
                return 2.0 * u * ((f64::from(alpha) * x).abs().min(1.0 + f64::from(beta).abs()) + f64::from(beta).abs() + y.abs()) + lost;
            }
            // The exponential, 1 + e, the quotient, a product.
            Activation::Sigmoid | Activation::Silu => 2.0 * exponential + 8.0 * u,
            // The argument 2 w has the error of five roundings of it, and of two constants.
            Activation::GeluTanh => {
                let argument = gelu_tanh_argument(x);
                2.0 * exponential_error(argument) + 8.0 * u + 8.0 * u * argument.abs().min(110.0)
            }
            // e^-2|x| - 1 has the relative error of the exponential and two roundings, which the quotient takes twice.
            Activation::Tanh => 2.0 * exponential_error(2.0 * x) + 12.0 * u,
            // The polynomial 1.1e-7, the exponential of -x^2 / 2 and of what is left of x^2, nine products and sums.
            Activation::Gelu => 1.2e-7 + 2.0 * exponential_error(x.powi(2) / 2.0) + 16.0 * u + u * x.powi(2).min(220.0),
            Activation::Elu { .. } | Activation::Selu { .. } => exponential + 8.0 * u,
            // x / alpha is rounded: 2.5 units of an argument that stays in the exponential.
            Activation::Celu { alpha } => {
                exponential_error(x / f64::from(alpha)) + 8.0 * u + 5.0 * u * (1.0 + (x / f64::from(alpha)).abs().min(110.0))
            }
            // ln(1 + e) by its series: six products and sums with positive terms, and a quotient.
            Activation::Softplus => exponential + 16.0 * u,
            Activation::Softsign => 8.0 * u,
            // e (e + 2) takes the exponential twice.
            Activation::Mish => 3.0 * exponential + 12.0 * u,
        };
        let scale = match self {
            Activation::Elu { alpha } | Activation::Celu { alpha } => f64::from(alpha).abs().max(1.0),
            Activation::Selu { alpha, gamma } => (f64::from(gamma) * f64::from(alpha)).abs().max(1.0),
            _ => 1.0,
        };
        relative * y.abs() + lost * scale
    }
}

/// Relative error of the shaders' e^v: the polynomial (5e-9) and its roundings, the argument's reduction (two roundings of |r| <= 0.35), one of 1 + p;
/// and a rounding of v, since a compiler that may reorder sums joins the two parts of ln 2 (Mesa's does).
pub(crate) fn exponential_error(v: f64) -> f64 {
    3.0e-7 + crate::types::element::ElementType::F32.unit_roundoff() * v.abs().min(110.0)
}

/// 1 / (1 + e^-x), whose digits stay where e^-x is large.
pub(crate) fn logistic(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// 2 sqrt(2 / pi) (x + 0.044715 x^3): twice the argument of the tangent in GELU's approximation.
pub(crate) fn gelu_tanh_argument(x: f64) -> f64 {
    2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)
}

/// ln(1 + e^x) without overflow.
pub(crate) fn softplus(x: f64) -> f64 {
    (-x.abs()).exp().ln_1p() + if x < 0.0 { 0.0 } else { x }
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_at_known_points() {
        assert_eq!(Activation::Relu6.apply(7.0), 6.0);
        assert_eq!(Activation::LeakyRelu { alpha: 0.25 }.apply(-4.0), -1.0);
        assert_eq!(Activation::HardSwish.apply(-3.0), 0.0);
        assert_eq!(Activation::HardSwish.apply(3.0), 3.0);
        // GELU(1) = Phi(1); values of the normal distribution's table.
        assert!((Activation::Gelu.apply(1.0) - 0.841_344_746_068_543).abs() < 1e-12);
        assert!((Activation::GeluTanh.apply(1.0) - Activation::Gelu.apply(1.0)).abs() < 2e-4);
        assert!((Activation::Silu.apply(2.0) - 2.0 * Activation::Sigmoid.apply(2.0)).abs() < 1e-15);
    }

    #[test]
    fn every_activation_passes_nan_through() {
        for activation in Activation::ALL {
            assert!(activation.apply(f64::NAN).is_nan(), "{activation} swallowed a NaN");
        }
    }

    #[test]
    fn lipschitz_constants_hold_on_a_fine_grid() {
        for activation in Activation::ALL {
            let steepest = (-8000..8000)
                .map(|i| {
                    let x = f64::from(i) / 1000.0;
                    ((activation.apply(x + 1e-6) - activation.apply(x)) / 1e-6).abs()
                })
                .fold(0.0, f64::max);
            assert!(steepest <= activation.lipschitz() + 1e-5, "{activation}: slope {steepest} above {}", activation.lipschitz());
        }
    }

    #[test]
    fn parameters_that_make_no_function_are_refused() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let of_one: [fn(f32) -> Activation; 9] = [
            |alpha| Activation::LeakyRelu { alpha },
            |alpha| Activation::Elu { alpha },
            |alpha| Activation::Celu { alpha },
            |alpha| Activation::Selu { alpha, gamma: 1.0 },
            |gamma| Activation::Selu { alpha: 1.0, gamma },
            |alpha| Activation::HardSigmoid { alpha, beta: 0.5 },
            |beta| Activation::HardSigmoid { alpha: 0.2, beta },
            |threshold| Activation::Threshold { threshold, value: 0.0 },
            |value| Activation::Threshold { threshold: 0.0, value },
        ];
        for (i, make) in of_one.into_iter().enumerate() {
            assert_eq!(make(-0.5).check(), Ok(()), "{i}");
            for value in [nan, inf, -inf] {
                let error = make(value).check().unwrap_err().to_string();
                assert!(error.starts_with(make(value).name()) && error.ends_with("must be finite"), "{error}");
            }
        }
        for (min, max) in [(nan, 1.0), (0.0, nan), (nan, nan), (2.0, 1.0)] {
            assert!(Activation::Clip { min, max }.check().is_err(), "{min} {max}");
        }
        for (min, max) in [(-inf, inf), (-inf, 1.0), (0.0, inf), (1.0, 1.0)] {
            assert_eq!(Activation::Clip { min, max }.check(), Ok(()));
        }
        assert!(Activation::ALL.into_iter().all(|a| a.check().is_ok()));
    }

    #[test]
    fn numbers_and_names_are_distinct() {
        for (i, a) in Activation::ALL.iter().enumerate() {
            assert_eq!(a.shader_id(), i as u32, "{a} is not at its own number");
        }
    }
}
