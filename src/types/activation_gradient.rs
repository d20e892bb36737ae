//! Derivatives of activations: the formula in f64, and the error that a correct kernel may make. The kernels' own are in
//! `shaders/lib/activation_gradient.wgsl`.
//!
//! Where an activation has a kink, its derivative there is PyTorch's: of relu, relu6, hard_sigmoid and threshold that of the flat side, of clip that of
//! the slope, of leaky_relu, elu, selu and celu that of the negative side, of hard_swish the slope before it at 3 and the one after it at -3.

use crate::types::ElementType;
use crate::types::activation::{Activation, exponential_error, gelu_tanh_argument, logistic, softplus};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// 2 sqrt(2 / pi), the slope at 0 of the argument of GELU's approximation.
const GELU_SLOPE: f64 = 1.595_769_121_605_730_7;

/// 1 / (1 + e^x) times what it lacks to 1: the slope of the logistic function.
fn logistic_slope(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    e / ((1.0 + e) * (1.0 + e))
}

impl Activation {
    /// dy times the derivative at x. Where that is 0 on a whole side the result is 0, whatever dy is.
    pub fn gradient(self, x: f64, dy: f64) -> f64 {
        let where_not = |is_flat: bool| if is_flat { 0.0 } else { dy };
        match self {
            Activation::None => dy,
            Activation::Relu => where_not(x <= 0.0),
            Activation::Relu6 => where_not(x <= 0.0 || x >= 6.0),
            Activation::Clip { min, max } => where_not(!(x >= f64::from(min) && x <= f64::from(max))),
            Activation::Threshold { threshold, .. } => where_not(x <= f64::from(threshold)),
            Activation::HardSigmoid { alpha, beta } => {
                let v = f64::from(alpha) * x + f64::from(beta);
                if v <= 0.0 || v >= 1.0 { 0.0 } else { f64::from(alpha) * dy }
            }
            Activation::HardSwish if x < -3.0 => 0.0,
            Activation::HardSwish if x > 3.0 => dy,
            Activation::HardSwish => dy * (x / 3.0 + 0.5),
            Activation::LeakyRelu { alpha } => {
                if x <= 0.0 {
                    f64::from(alpha) * dy
                } else {
                    dy
                }
            }
            Activation::Elu { alpha } => {
                if x <= 0.0 {
                    dy * (f64::from(alpha) * x.exp())
                } else {
                    dy
                }
            }
            Activation::Selu { alpha, gamma } => dy * if x <= 0.0 { f64::from(gamma) * f64::from(alpha) * x.exp() } else { f64::from(gamma) },
            Activation::Celu { alpha } => {
                if x <= 0.0 {
                    dy * (x / f64::from(alpha)).exp()
                } else {
                    dy
                }
            }
            smooth => dy * smooth.slope(x).iter().sum::<f64>(),
        }
    }

    /// The derivative of a smooth one, as the terms that a kernel adds.
    fn slope(self, x: f64) -> [f64; 2] {
        match self {
            Activation::Sigmoid => [logistic_slope(x), 0.0],
            Activation::Tanh => [4.0 * logistic_slope(2.0 * x), 0.0],
            Activation::Silu => [logistic(x), product(x, logistic_slope(x))],
            Activation::Gelu => [0.5 * libm::erfc(-x * FRAC_1_SQRT_2), product(x, (-0.5 * x * x).exp() / (2.0 * PI).sqrt())],
            Activation::GeluTanh => {
                let argument = gelu_tanh_argument(x);
                [logistic(argument), product(x * GELU_SLOPE * (1.0 + 3.0 * 0.044715 * x * x), logistic_slope(argument))]
            }
            Activation::Softplus => [logistic(x), 0.0],
            Activation::Softsign => [1.0 / ((1.0 + x.abs()) * (1.0 + x.abs())), 0.0],
            Activation::Mish => {
                let t = softplus(x).tanh();
                // 1 - t^2 = 4 n (n + 1) ... as sech^2 of ln(1 + e^x), which keeps its digits.
                let e = (-softplus(x)).exp();
                let sech = 2.0 * e / (1.0 + e * e);
                [t, product(x, sech * sech * logistic(x))]
            }
            _ => [1.0, 0.0],
        }
    }

    /// True where a kernel's gradient makes no rounding of its own.
    pub const fn has_exact_gradient(self) -> bool {
        self.is_exact()
    }

    /// Whether its derivative is constant between kinks, so that the second one is 0 almost everywhere.
    pub(crate) const fn has_constant_slopes(self) -> bool {
        matches!(
            self,
            Activation::None
                | Activation::Relu
                | Activation::Relu6
                | Activation::LeakyRelu { .. }
                | Activation::Clip { .. }
                | Activation::HardSigmoid { .. }
                | Activation::Threshold { .. }
        )
    }

    /// The error that evaluating [`Activation::gradient`] in f32 may add to its result. Relative to the magnitudes of the terms that are added; an exponential
    /// that underflows is lost. A device may take subnormal numbers for zero, which at a kink changes the side.
    pub(crate) fn gradient_error(self, x: f64, dy: f64) -> f64 {
        let u = ElementType::F32.unit_roundoff();
        let smallest = f64::from(f32::MIN_POSITIVE);
        let value = self.gradient(x, dy);
        let at_kink = if x != 0.0 && x.abs() < smallest { (value - self.gradient(0.0, dy)).abs() } else { 0.0 };
        let lost = smallest * (1.0 + dy.abs()) * (1.0 + x.abs().min(128.0));
        let magnitude = |terms: [f64; 2]| dy.abs() * (terms[0].abs() + terms[1].abs());
        let own = match self {
            Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clip { .. } | Activation::Threshold { .. } => return at_kink,
            Activation::LeakyRelu { .. } => u * value.abs(),
            Activation::HardSigmoid { alpha, beta } => {
                // The sum is rounded: beside an edge it may be on either side.
                let v = f64::from(alpha) * x + f64::from(beta);
                let rounding = 2.0 * u * ((f64::from(alpha) * x).abs() + f64::from(beta).abs() + v.abs()) + smallest;
                let edge = if v.abs() <= rounding || (v - 1.0).abs() <= rounding { (f64::from(alpha) * dy).abs() } else { 0.0 };
                edge + u * value.abs()
            }
            Activation::HardSwish => 10.0 * u * dy.abs() * (x.abs().min(3.0) / 3.0 + 0.5),
            Activation::Elu { alpha } => (exponential_error(x) + 4.0 * u) * value.abs() + lost * f64::from(alpha).abs(),
            Activation::Selu { alpha, gamma } => (exponential_error(x) + 6.0 * u) * value.abs() + lost * (f64::from(alpha) * f64::from(gamma)).abs(),
            Activation::Celu { alpha } => {
                let argument = x / f64::from(alpha);
                (exponential_error(argument) + 4.0 * u + 5.0 * u * argument.abs().min(110.0)) * value.abs()
            }
            // The exponential twice, sums of positive terms, two quotients of 5 u each, products.
            Activation::Sigmoid | Activation::Silu | Activation::Softplus => (3.0 * exponential_error(x) + 24.0 * u) * magnitude(self.slope(x)),
            Activation::Tanh => (3.0 * exponential_error(2.0 * x) + 24.0 * u) * magnitude(self.slope(x)),
            // As the activation's own, and the density: its exponential with what is left of x^2.
            Activation::Gelu => (1.2e-7 + 3.0 * exponential_error(x * x / 2.0) + 24.0 * u + u * (x * x).min(220.0)) * magnitude(self.slope(x)),
            Activation::GeluTanh => {
                let argument = gelu_tanh_argument(x);
                (3.0 * exponential_error(argument) + 32.0 * u + 16.0 * u * argument.abs().min(110.0)) * magnitude(self.slope(x))
            }
            Activation::Softsign => 14.0 * u * value.abs(),
            Activation::Mish => (6.0 * exponential_error(x) + 40.0 * u) * magnitude(self.slope(x)),
        };
        own + at_kink + lost
    }
}

/// x s, where s may vanish: 0 then, for an infinite x too.
fn product(x: f64, s: f64) -> f64 {
    if s == 0.0 { 0.0 } else { x * s }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central differences of the formulas, away from kinks.
    #[test]
    fn derivatives_are_limits_of_differences() {
        let kinks = [-3.0, -2.0, 0.0, 1.0, 3.0, 5.0, 6.0, -2.5, 2.5];
        for activation in Activation::ALL {
            for i in -900..900 {
                let x = f64::from(i) / 100.0 + 0.0013;
                let h = 1e-6;
                if kinks.iter().any(|kink| (x - kink).abs() < 2.0 * h) {
                    continue;
                }
                let difference = (activation.apply(x + h) - activation.apply(x - h)) / (2.0 * h);
                let derivative = activation.gradient(x, 1.0);
                assert!((difference - derivative).abs() < 1e-8, "{activation} at {x}: {derivative}, not {difference}");
            }
        }
    }

    #[test]
    fn kinks_are_pytorchs_and_far_out_nothing_is_undefined() {
        for (activation, x, wanted) in [
            (Activation::Relu, 0.0, 0.0),
            (Activation::Relu6, 0.0, 0.0),
            (Activation::Relu6, 6.0, 0.0),
            (Activation::Clip { min: -1.0, max: 2.0 }, -1.0, 1.0),
            (Activation::Clip { min: -1.0, max: 2.0 }, 2.0, 1.0),
            (Activation::LeakyRelu { alpha: 0.25 }, 0.0, 0.25),
            (Activation::Threshold { threshold: 1.0, value: 5.0 }, 1.0, 0.0),
            (Activation::HardSwish, 3.0, 1.5),
            (Activation::HardSwish, -3.0, -0.5),
        ] {
            assert_eq!(activation.gradient(x, 1.0), wanted, "{activation} at {x}");
        }
        for activation in Activation::ALL {
            for x in [-1e30, -1e4, 1e4, 1e30] {
                assert!(activation.gradient(x, 1.0).is_finite() && activation.gradient_error(x, 1.0).is_finite(), "{activation} at {x}");
            }
        }
        assert_eq!(Activation::Relu.gradient(-1.0, f64::INFINITY), 0.0);
    }
}
