//! The planner of products. `choice` says which algorithm computes one; here are the kernels that each of them calls, and `steps` calls them for every
//! part of the product.

pub(crate) mod choice;
pub(crate) mod matrix;
pub(crate) mod packing;
pub(crate) mod slices;
pub(crate) mod steps;

use crate::numeric::bound;
use crate::ops::Problem;
use crate::ops::matmul::{MATRIX, MatMulProblem, SPLIT, operands_of};
use crate::ops::spec::TensorSpec;
use crate::plan::Planned;
use crate::plan::gemm::tile::{Core, RegisterTile};
use crate::plan::gemm::tile_workgroup::{GemmShape, Tile};
use crate::plan::matmul::choice::Answers;
use crate::plan::matmul::packing::packed;
use crate::plan::matmul::slices::Memory;
use crate::plan::matmul::steps::{Call, Method, Work, plan_parts};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Plan, check_tensors};
use crate::shader::source_gemm::{MATMUL_DIRECT, MATMUL_REGISTER, MATMUL_THIN, MATMUL_WORKGROUP};
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

pub(crate) const THIN: &str = "thin";

pub(crate) const WORKGROUP: &str = "gemm_workgroup";

pub(crate) const REGISTER: &str = "gemm_register";

/// Longest short side of the thin kernel.
pub(crate) const MOST_SHORT: u64 = 4;

/// The algorithms, with every tile of the cores.
pub(crate) fn candidates(problem: &MatMulProblem, profile: &DeviceProfile) -> Vec<String> {
    let with_tiles = |algorithm: &'static str| match algorithm {
        REGISTER => RegisterTile::candidates(problem.m, problem.k).into_iter().map(|tile| format!("{REGISTER} {tile}")).collect(),
        MATRIX | SPLIT => matrix::candidates(algorithm, profile),
        WORKGROUP => Tile::candidates(&shape(problem), profile).into_iter().map(|tile| format!("{WORKGROUP} {tile}")).collect(),
        other => vec![other.to_string()],
    };
    Answers::new(problem, profile).admitted().into_iter().flat_map(with_tiles).collect()
}

fn shape(problem: &MatMulProblem) -> GemmShape {
    GemmShape { rows: problem.m, columns: problem.n, depth: problem.k, products: problem.batches() }
}

pub(crate) fn plan(problem: &MatMulProblem, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
    let answers = Answers::new(problem, profile);
    let Some(preferred) = answers.preferred() else {
        profile.check_turns(WORKGROUP, Tile::turns(problem.k))?;
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
    let method = match algorithm {
        THIN => thin(problem, profile),
        WORKGROUP | REGISTER => gemm(problem, profile, algorithm, tile)?,
        MATRIX | SPLIT => matrix::gemm(problem, profile, algorithm, tile)?,
        _ => Method::plain(DIRECT.into(), Call { source: &MATMUL_DIRECT, consts: vec![], overrides: vec![], work: Work::Outputs }),
    };
    if let (Some(label), Some(_)) = (forced_label, tile)
        && method.label != label
    {
        return Err(Error::Unsupported { algorithm: label.into(), reason: format!("here it is {}", method.label) });
    }
    plan.label = method.label.clone();
    plan_parts(problem, profile, &method, &mut plan)?;
    Ok(plan)
}

/// Whether the thin kernel takes y's columns for its short side, and how many lanes share the depth of a line.
fn thin_lanes(problem: &MatMulProblem, profile: &DeviceProfile) -> (bool, u64) {
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
fn thin(problem: &MatMulProblem, profile: &DeviceProfile) -> Method {
    let (swapped, lanes) = thin_lanes(problem, profile);
    let (short, operand) = if swapped { (problem.n, &problem.a) } else { (problem.m, &problem.b) };
    let depth_fastest = operand.depth == 1 && problem.k > 1;
    let overrides = [("SWAPPED", u32::from(swapped)), ("DEPTH_FASTEST", u32::from(depth_fastest))];
    let overrides = overrides.into_iter().filter(|(_, value)| *value != 0).collect();
    let work = Work::Lines { swapped, lanes };
    Method::plain(format!("{THIN} {short}x{lanes}"), Call { source: &MATMUL_THIN, consts: vec![], overrides, work })
}

/// A tile core.
pub(crate) fn gemm(problem: &MatMulProblem, profile: &DeviceProfile, algorithm: &str, tile: Option<&str>) -> Result<Method> {
    let core = if algorithm == WORKGROUP {
        let tile = match tile {
            Some(text) => Tile::parse(WORKGROUP, text, profile)?,
            None => Tile::choose(&shape(problem), profile),
        };
        Core::workgroup(&tile, problem.k, profile)
    } else {
        let tile = match tile {
            Some(text) => RegisterTile::parse(REGISTER, text)?,
            None => RegisterTile::choose_product(problem.m, problem.n, problem.k, profile),
        };
        profile.check_turns(REGISTER, tile.turns(1, problem.k))?;
        Core::register(&tile, problem.n, problem.k, problem.element, profile)
    };
    let packed = packed(problem, core.m, core.panel);
    let source = if core.register { &MATMUL_REGISTER } else { &MATMUL_WORKGROUP };
    let work = Work::Tiles { m: core.m, n: core.n, splits: core.splits };
    Ok(Method {
        label: format!("{algorithm} {}", core.label),
        calls: vec![Call { source, consts: core.consts, overrides: vec![], work }],
        memory: Memory { packed, splits: core.splits },
        on_matrix_units: false,
    })
}
