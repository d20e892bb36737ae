//! Convolution as an [`Op`].

use crate::numeric::bound;
use crate::ops::Op;
use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::ConvProblem;
use crate::plan::Planned;
use crate::plan::conv::choice::Answers;
use crate::plan::conv::{admitted, as_linear, fft, implicit_gemm, plan, plan_tile, winograd};
use crate::plan::gemm::tile::{Core, Tile};
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::reference::conv::{fourier_tile, matrix_operands, matrix_relative_error, transforms};
use crate::types::{ElementType, Result};

fn is_fft(label: &str) -> bool {
    label.split(' ').next() == Some(Algorithm::Fft.name())
}

impl Planned for ConvProblem {
    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        admitted(self, profile).into_iter().map(Algorithm::name).collect()
    }

    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        let conv = self.convolution();
        let shape = implicit_gemm::shape(&conv, self.batch);
        let with_tiles = |algorithm: Algorithm| {
            let tiles = match (implicit_gemm::core(algorithm), algorithm) {
                (Some(core), _) => Tile::candidates(core, &shape, profile),
                (None, Algorithm::WinogradF2 | Algorithm::WinogradF4) if profile.is_cpu => Tile::candidates(Core::Register, &shape, profile),
                (None, Algorithm::WinogradF2 | Algorithm::WinogradF4) => winograd::tiles(algorithm, self, profile),
                (None, Algorithm::Fft) => fft::tiles(&conv, profile),
                (None, Algorithm::AsLinear) => return as_linear::candidates(&conv, profile),
                _ => return vec![algorithm.to_string()],
            };
            tiles.into_iter().map(|tile| format!("{algorithm} {tile}")).collect()
        };
        admitted(self, profile).into_iter().filter(|a| self.algorithm.is_none_or(|forced| forced == *a)).flat_map(with_tiles).collect()
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let Some(label) = algorithm else { return plan(self, profile) };
        let (name, tile) = label.split_once(' ').map_or((label, None), |(name, tile)| (name, Some(tile)));
        plan_tile(&self.clone().with_algorithm(Some(name.parse()?)), profile, tile)
    }

    fn is_exact_for(&self, algorithm: &str) -> bool {
        self.is_exact() && transforms(algorithm, self).is_none_or(|transforms| transforms.is_exact()) && !is_fft(algorithm)
    }

    fn is_local(&self, algorithm: &str) -> bool {
        transforms(algorithm, self).is_none() && !is_fft(algorithm)
    }

    fn proxy(&self) -> Option<Op> {
        crate::plan::conv::proxy::proxy(self).map(Op::from)
    }

    fn not_chosen(&self, profile: &DeviceProfile) -> Vec<(&'static str, String)> {
        Answers::new(self, profile).not_chosen()
    }

    fn largest_error(&self, algorithm: &str) -> Option<f64> {
        if !self.is_exact() || self.element != ElementType::F32 {
            return None; // it may be steeper than 1, or rounds again
        }
        let depth = self.reduction_depth();
        let plain = (depth + 2) as f64 * bound::gamma(depth + 4, ElementType::F32.unit_roundoff());
        Some(plain * self.error_ratio(algorithm).max(1.0))
    }

    fn error_ratio(&self, algorithm: &str) -> f64 {
        if let Some(tile) = fourier_tile(algorithm, &self.convolution()) {
            return tile.relative_error(self);
        }
        match (transforms(algorithm, self), matrix_operands(algorithm)) {
            (Some(transforms), _) => transforms.relative_error(self),
            (_, Some(operands)) => matrix_relative_error(operands, self),
            _ => 1.0,
        }
    }

    fn tuning_key(&self) -> String {
        format!("{}/{self}/{}", self.name(), self.accuracy.name())
    }
}
