//! Which algorithm a product gets: a tile core for both large sides, the gemv kernel where one side is short, the direct one for the rest and for
//! every doubt. Each algorithm is asked once whether it applies, and its reasons are kept.

use crate::numeric::{Accuracy, Operands};
use crate::ops::matmul::{MATRIX, MatMulProblem, SPLIT};
use crate::plan::gemm::matrix::{self, fewest_multiply_adds, fewest_steps};
use crate::plan::gemm::tile::Core;
use crate::plan::matmul::{DIRECT, GEMV, MOST_SHORT, REGISTER, WORKGROUP, core, gemv_threads, shape};
use crate::plan::profile::DeviceProfile;
use crate::plan::reason;
use crate::reference::matmul::MORE;
use crate::types::ElementType;

/// All algorithms. Where none that is wanted applies, the last that does is taken.
const ALL: [&str; 6] = [DIRECT, GEMV, WORKGROUP, REGISTER, MATRIX, SPLIT];

/// The algorithms that are wanted, the preferred first; of them, the first that applies is taken.
fn wanted(problem: &MatMulProblem, profile: &DeviceProfile) -> Vec<&'static str> {
    let MatMulProblem { m, n, k, .. } = *problem;
    if m.min(n) <= MOST_SHORT {
        // Measured on software drivers (benchmarks/notebook/2026-11-21-what-was-learnt.md): one output per invocation beats the gemv kernel on two of
        // three, by up to ten times, and a register tile beats both, by 1.7 times and more, where the weights of a dense layer are packed beforehand
        // and are not few. No GPU has measured it.
        match profile.is_cpu {
            true if problem.constant() && m <= MOST_SHORT && n >= 64 && n * k >= 1 << 14 => vec![REGISTER],
            true => vec![DIRECT],
            false => vec![GEMV],
        }
    } else if m * n < 256 || (profile.is_cpu && n < 64) {
        vec![DIRECT] // packing, or a register tile most of whose columns idle, would cost more than it saves
    } else if profile.is_cpu {
        vec![REGISTER] // workgroup memory and barriers cost there and save nothing (docs/kernels.md)
    } else if m >= 32 && n >= 64 && problem.multiply_adds() >= fewest_multiply_adds(problem.element) {
        // A GPU's units, for tiles that the product fills.
        let rounds = problem.element == ElementType::F16 || problem.accuracy == Accuracy::Reduced;
        let (units, operands) = if rounds { (MATRIX, Operands::F16) } else { (SPLIT, Operands::F16x2) };
        if k >= fewest_steps(operands) { vec![units, WORKGROUP] } else { vec![WORKGROUP] }
    } else {
        vec![WORKGROUP]
    }
}

/// What every algorithm answers a product.
pub(crate) struct Answers<'a> {
    problem: &'a MatMulProblem,
    profile: &'a DeviceProfile,
    /// In [`ALL`]'s order; why not, where one does not apply.
    answers: [(&'static str, Result<(), String>); ALL.len()],
}

impl<'a> Answers<'a> {
    pub fn new(problem: &'a MatMulProblem, profile: &'a DeviceProfile) -> Self {
        Self { problem, profile, answers: ALL.map(|name| (name, applies(name, problem, profile))) }
    }

    pub fn admitted(&self) -> Vec<&'static str> {
        self.answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(name, _)| *name).collect()
    }

    /// The planner's preference; `None` where no algorithm applies.
    pub fn preferred(&self) -> Option<&'static str> {
        let admitted = self.admitted();
        let applies = |name: &&str| admitted.contains(name);
        wanted(self.problem, self.profile).into_iter().find(applies).or(admitted.last().copied())
    }

    /// All the others than `chosen`, and why.
    pub fn not_chosen(&self, chosen: &str) -> Vec<(&'static str, String)> {
        let others = self.answers.iter().filter(|(name, _)| *name != chosen);
        let why = |answer: &Result<(), String>| answer.clone().err().unwrap_or_else(|| format!("it applies; {chosen} is preferred"));
        others.map(|(name, answer)| (*name, why(answer))).collect()
    }
}

/// Whether an algorithm can compute a product; else why not.
fn applies(algorithm: &str, problem: &MatMulProblem, profile: &DeviceProfile) -> Result<(), String> {
    let shape = shape(problem);
    let iterations = match (core(algorithm), algorithm) {
        (Some(Core::Matrix(operands)), _) => {
            return matrix::check(algorithm, operands, &shape, problem.element, problem.accuracy, MORE, profile).map_err(reason);
        }
        (Some(core), _) => {
            core.check(algorithm, profile).map_err(reason)?;
            core.iterations(&shape, profile)
        }
        (None, GEMV) if problem.m.min(problem.n) > MOST_SHORT => {
            return Err(format!("it is for products of which one side is at most {MOST_SHORT}"));
        }
        (None, GEMV) => problem.k / gemv_threads(problem, profile).1 + 64,
        (None, _) => problem.k,
    };
    if iterations <= profile.max_loop_iterations { Ok(()) } else { Err("its loops would be too long for the driver".into()) }
}
