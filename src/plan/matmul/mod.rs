//! The planner of products. `choice` says which algorithm computes one; here are the kernels that each of them calls, and `steps` calls them for every
//! part of the product.

pub(crate) mod choice;
pub(crate) mod steps;

use crate::numeric::bound;
use crate::ops::Problem;
use crate::ops::matmul::{MatMulProblem, operands_of};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::gemm::matrix::Columns;
use crate::plan::gemm::method::{Call, Method, Work};
use crate::plan::gemm::packing::Packed;
use crate::plan::gemm::tile::{Core, GemmShape, Tile, Tiling};
use crate::plan::matmul::choice::Answers;
use crate::plan::matmul::steps::plan_parts;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Plan, check_tensors};
use crate::shader::source_gemm::{MATMUL_COOP, MATMUL_DIRECT, MATMUL_FALLBACK, MATMUL_GEMV, MATMUL_REGISTER, MATMUL_WORKGROUP};
use crate::types::{ElementType, Error, Result};

impl Planned for MatMulProblem {
    fn algorithms(&self, profile: &DeviceProfile) -> Vec<&'static str> {
        Answers::new(self, profile).admitted()
    }

    fn candidates(&self, profile: &DeviceProfile) -> Vec<String> {
        candidates(self, profile)
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        plan(self, profile, algorithm)
    }

    fn not_chosen(&self, profile: &DeviceProfile) -> Vec<(&'static str, String)> {
        let chosen = plan(self, profile, None).map_or_else(|_| String::new(), |plan| plan.algorithm().to_string());
        Answers::new(self, profile).not_chosen(&chosen)
    }

    fn largest_error(&self, algorithm: &str) -> Option<f64> {
        let plain = self.activation.is_exact() && self.element == ElementType::F32 && self.alpha == 1.0 && self.beta.abs() <= 1.0;
        plain.then(|| self.error_ratio(algorithm).max(1.0) * (self.k + 2) as f64 * bound::gamma(self.k + 5, ElementType::F32.unit_roundoff()))
    }

    fn error_ratio(&self, algorithm: &str) -> f64 {
        operands_of(algorithm).map_or(1.0, |operands| crate::reference::matmul::relative_error(operands, self))
    }

    fn tuning_key(&self) -> String {
        format!("{}/{self}/{}", self.name(), self.accuracy.name())
    }
}

pub(crate) const DIRECT: &str = "direct";

pub(crate) const GEMV: &str = "gemv";

pub(crate) const WORKGROUP: &str = "gemm_workgroup";

pub(crate) const REGISTER: &str = "gemm_register";

/// Longest short side of the gemv kernel.
pub(crate) const MOST_SHORT: u64 = 4;

/// The core that an algorithm is, if it is one.
pub(crate) fn core(algorithm: &str) -> Option<Core> {
    match algorithm {
        WORKGROUP => Some(Core::Workgroup),
        REGISTER => Some(Core::Register),
        _ => operands_of(algorithm).map(Core::Matrix),
    }
}

/// The algorithms, with every tile of the cores.
pub(crate) fn candidates(problem: &MatMulProblem, profile: &DeviceProfile) -> Vec<String> {
    let with_tiles = |algorithm: &'static str| match core(algorithm) {
        Some(core) => Tile::candidates(core, &shape(problem), profile).into_iter().map(|tile| format!("{algorithm} {tile}")).collect(),
        None => vec![algorithm.to_string()],
    };
    Answers::new(problem, profile).admitted().into_iter().flat_map(with_tiles).collect()
}

/// A product, or a part of one, as the choice of a tile sees it.
pub(crate) fn shape(problem: &MatMulProblem) -> GemmShape {
    let MatMulProblem { m, n, k, .. } = *problem;
    GemmShape { rows: m, columns: n, depth: k, length: k, products: problem.batches(), uneven: false, streams: true }
}

pub(crate) fn plan(problem: &MatMulProblem, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
    let answers = Answers::new(problem, profile);
    let Some(preferred) = answers.preferred() else {
        profile.check_iterations(WORKGROUP, Core::Workgroup.iterations(&shape(problem), profile))?;
        return Err(Error::Internal { label: "matmul".into(), message: "no algorithm admits the problem".into() });
    };
    let forced_label = algorithm;
    let (forced, tile) = match algorithm.map(|label| label.split_once(' ').unwrap_or((label, ""))) {
        Some((name, tile)) => (Some(name), Some(tile).filter(|t| !t.is_empty())),
        None => (None, None),
    };
    let algorithm = pick(&answers.admitted(), forced, preferred)?;
    let mut plan = Plan::new(problem.name(), algorithm.to_string(), problem.inputs(), problem.outputs());
    let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
    check_tensors("a matmul", &tensors, profile)?;
    let method = match (core(algorithm), algorithm) {
        (Some(core), _) => gemm(problem, profile, core, algorithm, tile)?,
        (None, GEMV) => gemv(problem, profile),
        (None, _) => Method::plain(String::new(), Call { source: &MATMUL_DIRECT, consts: vec![], overrides: vec![], work: Work::Outputs }),
    };
    let label = method.label(algorithm);
    if let (Some(named), Some(_)) = (forced_label, tile)
        && label != named
    {
        return Err(Error::Unsupported { algorithm: named.into(), reason: format!("here it is {label}") });
    }
    plan.label = label;
    plan_parts(problem, profile, &method, &mut plan)?;
    Ok(plan)
}

/// Whether the gemv kernel takes y's columns for its short side, and how many threads share the depth of a line.
fn gemv_threads(problem: &MatMulProblem, profile: &DeviceProfile) -> (bool, u64) {
    let swapped = problem.m > MOST_SHORT || problem.n < problem.m.min(MOST_SHORT);
    let operand = if swapped { &problem.a } else { &problem.b };
    // A GPU wants many invocations; a CPU-like driver wants no barrier, unless a line is contiguous along the depth or too long.
    let most: u64 = match (profile.is_cpu, operand.depth == 1 && problem.k > 1) {
        (true, _) if problem.k > 32_768 => 64,
        (true, false) => 1,
        (true, true) => 8,
        (false, _) => 64,
    };
    (swapped, (problem.k / 8).clamp(1, most).next_power_of_two().min(most))
}

/// The kernel for a short side: y's rows if they are few, else its columns.
fn gemv(problem: &MatMulProblem, profile: &DeviceProfile) -> Method {
    let (swapped, threads) = gemv_threads(problem, profile);
    let (short, operand) = if swapped { (problem.n, &problem.a) } else { (problem.m, &problem.b) };
    let depth_fastest = operand.depth == 1 && problem.k > 1;
    let overrides = [("SWAPPED", u32::from(swapped)), ("DEPTH_FASTEST", u32::from(depth_fastest))];
    let overrides = overrides.into_iter().filter(|(_, value)| *value != 0).collect();
    let work = Work::Lines { swapped, threads };
    Method::plain(format!("{short}x{threads}"), Call { source: &MATMUL_GEMV, consts: vec![], overrides, work })
}

/// A tile core.
fn gemm(problem: &MatMulProblem, profile: &DeviceProfile, core: Core, algorithm: &str, tile: Option<&str>) -> Result<Method> {
    let shape = shape(problem);
    let tiling = Tiling { tile: Tile::new(core, algorithm, tile, &shape, profile)?, shape };
    tiling.check_iterations(algorithm, profile)?;
    let source = match core {
        Core::Workgroup => &MATMUL_WORKGROUP,
        Core::Register => &MATMUL_REGISTER,
        Core::Matrix(_) => &MATMUL_COOP,
    };
    let rhs = Packed::of_rhs(problem, &tiling);
    let mut method = Method::tiled(tiling, source, &MATMUL_FALLBACK, rhs, problem.element);
    for call in &mut method.calls {
        match call.work {
            Work::Tiles(Tiling { tile: Tile::Matrix(tile), .. }) => call.consts.extend(tile.consts(Columns { grain: 8, in_place: false }, profile)),
            _ => call.consts.push(Packed::panel_const(rhs)),
        }
    }
    Ok(method)
}
