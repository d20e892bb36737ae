//! The least time that a layer can take on a chip, predicted from the published figures of the chip and what stands in the kernel's innermost loop. A bound
//! on what to expect of a chip that nobody here has, and never a measurement: caches, latencies, launches and clocks are not in it.

use crate::suites::Layer;
use crate::{one_line, say};
use wgconv::gpu::DeviceProfile;
use wgconv::op::{Op, Planned, Problem};
use wgconv_isa::chips::{Chip, Published};
use wgconv_isa::table::Table;

/// What a layer cannot take less than, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Least {
    /// Its multiply-adds at the chip's rate, as far as the loop has other vector instructions beside them at a lower one. None where units multiply whose
    /// rate is not published for f32 sums.
    arithmetic: Option<f64>,
    /// Inputs read once and outputs written once at the chip's bandwidth.
    memory: f64,
}

impl Least {
    /// Of so many operations and bytes; `share`: of multiply-adds among the vector instructions of the innermost loop.
    fn new(flops: Option<f64>, bytes: u64, share: f64, published: &Published) -> Self {
        let rate = published.gflops * 1e9 * share;
        Self { arithmetic: flops.map(|flops| flops / rate), memory: bytes as f64 / (published.gbytes_per_s * 1e9) }
    }

    fn seconds(&self) -> f64 {
        self.arithmetic.unwrap_or(0.0).max(self.memory)
    }
}

/// The operations that an algorithm makes of those of the definition; None where cooperative matrices make them.
///
/// Winograd's F(m, r) takes m + r - 1 products for m outputs of an axis (F(2, 5) seven), which are r m of the definition (Lavin and Gray, Fast Algorithms for
/// Convolutional Neural Networks, 2015); its transforms are not counted.
fn operations(op: &Op, label: &str) -> Option<f64> {
    let name = label.split(' ').next().unwrap_or_default();
    if name.ends_with("_coop") || name.ends_with("_f16x2") {
        return None;
    }
    let filter = match op {
        Op::Conv(problem) => problem.filter_extents(),
        Op::FilterGradient(gradient) => gradient.conv().filter_extents(),
        _ => return Some(op.flops()),
    };
    let of_axis = |taps: &usize| match (name, taps) {
        ("winograd_f2", 3) => 4.0 / 6.0,
        ("winograd_f4", 3) => 6.0 / 12.0,
        ("winograd_f2", 5) => 7.0 / 10.0,
        ("winograd_f4", 5) => 8.0 / 20.0,
        _ => 1.0,
    };
    Some(op.flops() * filter[2..].iter().map(of_axis).product::<f64>())
}

/// Prints the least time of every layer on a chip.
pub fn print(chip: &Chip, profile: &DeviceProfile, table: &Table, layers: &[Layer]) {
    let Some(published) = &chip.published else {
        say!("  no least times: nobody publishes the chip's rates");
        return;
    };
    say!(
        "  least times by the published {} GFLOP/s of f32 and {} GB/s of memory: predictions, never measurements; what lies in a cache comes faster",
        published.gflops,
        published.gbytes_per_s
    );
    say!("  {:>12} {:>10} {:>9}  {:>6}  layer: algorithm", "arithmetic us", "memory us", "least us", "share");
    for layer in layers {
        let label = match layer.op().plan(profile, None) {
            Ok(plan) => plan.label,
            Err(why) => {
                say!("  {}: {}", one_line(&layer.name), one_line(&why.to_string()));
                continue;
            }
        };
        // Of its kernels the one that multiplies most densely; all of the rate where the machine code is not known.
        let own = table.kernels.iter().filter(|row| row.layers.contains(&layer.name)).filter_map(|row| row.numbers.as_ref());
        let dense = own.filter(|numbers| numbers.innermost.as_ref().is_some_and(|own| own.fma > 0)).filter_map(|numbers| numbers.share());
        let share = dense.reduce(f64::max);
        let least = Least::new(operations(layer.op(), &label), layer.op().bytes(), share.unwrap_or(1.0), published);
        let micros = |seconds: f64| format!("{:.1}", 1e6 * seconds);
        say!(
            "  {:>13} {:>10} {:>9}  {:>6}  {}",
            least.arithmetic.map_or("-".into(), micros),
            micros(least.memory),
            micros(least.seconds()),
            share.map_or("-".into(), |share| format!("{:.0} %", 100.0 * share)),
            one_line(&format!("{}: {label}", layer.name))
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgconv::conv::{ConvDescriptor, ConvInputs, ConvProblem};

    #[test]
    fn the_slower_of_arithmetic_and_memory_bounds_a_layer() {
        let published = Published { gflops: 1000.0, gbytes_per_s: 100.0 };
        let least = Least::new(Some(2e9), 10_000_000, 0.5, &published);
        assert_eq!((least.arithmetic, least.memory, least.seconds()), (Some(4e-3), 1e-4, 4e-3));
        assert_eq!(Least::new(None, 10_000_000, 1.0, &published).seconds(), 1e-4);
        assert_eq!(Least::new(Some(2.0), 10_000_000, 1.0, &published).seconds(), 1e-4);
    }

    #[test]
    fn winograd_multiplies_less_and_matrices_at_a_rate_of_their_own() {
        let op = |filter: &[usize]| -> Op {
            ConvProblem::forward(&ConvInputs::new(&[1, 4, 9, 9], filter, None), &ConvDescriptor::<2>::default()).unwrap().into()
        };
        let (square, line) = (op(&[8, 4, 3, 3]), op(&[8, 4, 1, 3]));
        let of = |op: &Op, label: &str| operations(op, label).map(|flops| flops / op.flops());
        assert_eq!(of(&square, "implicit_gemm_workgroup 64x64x16"), Some(1.0));
        assert_eq!(of(&square, "winograd_f4 64x64x16"), Some(0.25));
        assert!((of(&square, "winograd_f2 64x64x16").unwrap() - 1.0 / 2.25).abs() < 1e-12);
        assert_eq!(of(&line, "winograd_f4 64x64x16"), Some(0.5));
        let five = op(&[8, 4, 5, 5]);
        assert!((of(&five, "winograd_f2 64x64x16").unwrap() - 49.0 / 100.0).abs() < 1e-12);
        assert!((of(&five, "winograd_f4 64x64x16").unwrap() - 64.0 / 400.0).abs() < 1e-12);
        assert_eq!((of(&square, "implicit_gemm_coop 64x64x32/4"), of(&square, "pointwise_f16x2 128x128x32")), (None, None));
    }
}
