//! Products too large for the device's bindings are computed in parts: boxes over the batch, rows, columns and depth, each of whose
//! operands, packed operands and outputs fits one binding. Parts of one depth write y straight; where the depth is cut too, each of its chunks leaves
//! f32 partial sums, which `shaders/matmul/sum.wgsl` adds in order.
//!
//! What is too large is cut along the axis with its longest stride, so that its chunks lie together in memory: rows of y, rows of b as
//! matmul has it (the depth), columns of b transposed.

use crate::ops::matmul::MatMulProblem;
use crate::ops::spec::TensorSpec;
use crate::plan::gemm::method::Memory;
use crate::plan::gemm::packing::Packed;
use crate::plan::gemm::splits::partial_bytes;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{Chunk, INDEX_LIMIT, Range, check_parts};
use crate::types::{ElementType, Error, Result};

/// The axes of a product: those of the batch, the slowest first, and these.
const M: usize = 3;

const N: usize = 4;

const K: usize = 5;

type Axes = [u64; 6];

/// Parts begin at multiples of so many columns, so that four are stored at once; but where these are too many, parts are narrower.
const COLUMNS: u64 = 4;

/// A box of a product: what one call of a kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    first: Axes,
    count: Axes,
}

/// Strides of a, b, the addend and y along the axes; 0 where there is no such axis.
fn strides(problem: &MatMulProblem) -> [Axes; 4] {
    let axes = |batch: [u64; 3], m, n, k| [batch[0], batch[1], batch[2], m, n, k];
    let matrix = problem.m * problem.n;
    let addend = problem.addend.as_ref().map_or([0; 6], |c| axes(c.batch, c.rows, c.columns, 0));
    let y = axes([problem.batch[1] * problem.batch[2] * matrix, problem.batch[2] * matrix, matrix], problem.n, 1, 0);
    [axes(problem.a.batch, problem.a.outer, 0, problem.a.depth), axes(problem.b.batch, 0, problem.b.outer, problem.b.depth), addend, y]
}

fn whole(problem: &MatMulProblem) -> Axes {
    let [b0, b1, b2] = problem.batch;
    [b0, b1, b2, problem.m, problem.n, problem.k]
}

/// Elements from the first to the last of a box.
fn span(strides: &Axes, count: &Axes) -> u64 {
    1 + strides.iter().zip(count).map(|(stride, count)| stride * (count - 1)).sum::<u64>()
}

/// Something that has to fit a binding; `number`: bytes of a packed number.
enum Need {
    Tensor { strides: Axes, all: u64 },
    Packed { strides: Axes, outer: usize, packed: Packed, number: u64 },
    Partials { splits: u64, depth: u64 },
}

impl Need {
    /// Bytes of it that a box of `count` binds.
    fn bytes(&self, count: &Axes, element: ElementType, profile: &DeviceProfile) -> u64 {
        match self {
            // Less than all may begin up to one alignment before its first element.
            Need::Tensor { strides, all } => (span(strides, count) * element.bytes() + profile.storage_alignment).min(*all),
            Need::Packed { strides, outer, packed, number } => {
                let [width, panels] = packed.panels(count[*outer]);
                let own: u64 = (0..M).filter(|&i| strides[i] > 0).map(|i| count[i]).product();
                own.saturating_mul(width * panels).saturating_mul(count[K]).saturating_mul(*number)
            }
            Need::Partials { splits, depth } => {
                let shares = splits * depth.div_ceil(count[K]);
                if shares == 1 {
                    return 0;
                }
                partial_bytes(count[..N].iter().product(), count[N], shares)
            }
        }
    }

    /// The axis to cut it along, if there is one that makes it smaller.
    fn axis(&self, count: &Axes, least: impl Fn(usize) -> u64) -> Option<usize> {
        let cuttable = |&axis: &usize| count[axis] > least(axis);
        match self {
            Need::Tensor { strides, .. } => (0..=K).filter(cuttable).filter(|&i| strides[i] > 0).max_by_key(|&i| strides[i]),
            Need::Packed { strides, outer, packed, .. } => {
                let shrinks = |&axis: &usize| match axis {
                    M | N => count[axis] > packed.panels(least(axis))[0],
                    axis => axis == K || strides[axis] > 0,
                };
                [0, 1, 2, *outer, K].into_iter().filter(cuttable).find(shrinks)
            }
            Need::Partials { .. } => (0..K).find(|&axis| count[axis] > if axis == N { COLUMNS } else { 1 }), // rows of them are whole vec4s
        }
    }
}

/// The largest box, such that the boxes of its size fit the bindings.
fn largest(
    problem: &MatMulProblem,
    memory: &Memory,
    tensors: [&TensorSpec; 3],
    addend: Option<&TensorSpec>,
    profile: &DeviceProfile,
) -> Result<Axes> {
    let [a, b, c, y] = strides(problem);
    let [a_spec, b_spec, y_spec] = tensors;
    let tensor = |spec: &TensorSpec, strides| (spec.name.to_string(), Need::Tensor { strides, all: spec.bytes() });
    let mut needs = vec![tensor(y_spec, y), tensor(a_spec, a), tensor(b_spec, b)];
    needs.extend(addend.map(|spec| tensor(spec, c)));
    for (which, spec, strides, outer) in [(0, a_spec, a, M), (1, b_spec, b, N)] {
        let plain = memory.packed[which].map(|packed| (packed, problem.element.bytes()));
        let halves = memory.halves.map(|halves| (Packed::Panels(halves.widths[which]), 2 * u64::from(halves.parts)));
        let packed = plain.into_iter().chain(halves);
        needs.extend(
            packed.map(|(packed, number)| (format!("{} packed for a tile core", spec.name), Need::Packed { strides, outer, packed, number })),
        );
    }
    needs.push(("partial sums".into(), Need::Partials { splits: memory.splits, depth: problem.k }));
    // Whatever is packed or summed is indexed by 31 bits too; an element has two bytes or more.
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes).min((INDEX_LIMIT - 1) * 2);
    // A core may read four columns of b at once where they are neighbours; elsewhere a part may have fewer.
    let least = |axis| if axis == N && problem.b.outer == 1 { COLUMNS } else { 1 };
    let mut count = whole(problem);
    loop {
        let bytes = |need: &Need, count: &Axes| need.bytes(count, problem.element, profile);
        let Some((name, need)) = needs.iter().find(|(_, need)| bytes(need, &count) > limit) else { return Ok(count) };
        let Some(axis) = need.axis(&count, least) else {
            return Err(Error::TooLarge {
                argument: format!("the smallest part of {name}"),
                needed: bytes(need, &count).into(),
                unit: "bytes",
                limit_name: "max_storage_buffer_binding_size",
                limit,
            });
        };
        // The most along the axis that fit; if none do, another axis is cut next.
        let (mut low, mut high) = (least(axis), count[axis]);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            count[axis] = middle;
            if bytes(need, &count) > limit { high = middle } else { low = middle }
        }
        count[axis] = if axis == N && low > COLUMNS { low / COLUMNS * COLUMNS } else { low };
        // Kernels take several products of a batch only as neighbours in y, and whole.
        count[..axis.min(M)].fill(1);
    }
}

/// The parts of a product, each a list of the chunks of its depth.
pub(crate) fn parts(
    problem: &MatMulProblem,
    memory: &Memory,
    tensors: [&TensorSpec; 3],
    addend: Option<&TensorSpec>,
    profile: &DeviceProfile,
) -> Result<Vec<Vec<Part>>> {
    let (whole, size) = (whole(problem), largest(problem, memory, tensors, addend, profile)?);
    let counts = whole.iter().zip(&size).map(|(&whole, &size)| u128::from(whole.div_ceil(size)));
    check_parts("the product", counts.fold(1, u128::saturating_mul))?;
    let mut parts = vec![Part { first: [0; 6], count: whole }];
    for (axis, &size) in size[..K].iter().enumerate() {
        parts = parts.iter().flat_map(|part| part.cut(axis, size)).collect();
    }
    Ok(parts.iter().map(|part| part.cut(K, size[K])).collect())
}

impl Part {
    /// Slices of `size` along an axis.
    fn cut(&self, axis: usize, size: u64) -> Vec<Part> {
        let chunk = |first: u64| {
            let mut part = *self;
            part.first[axis] += first;
            part.count[axis] = size.min(self.count[axis] - first);
            part
        };
        (0..self.count[axis].div_ceil(size)).map(|i| chunk(i * size)).collect()
    }

    /// Whether it and its like store four columns of y at once.
    pub fn in_vec4(&self, problem: &MatMulProblem) -> bool {
        problem.n.is_multiple_of(4) && self.count[N].is_multiple_of(4)
    }

    /// The part as a problem of its own; its operands still lie as they did.
    pub fn problem(&self, problem: &MatMulProblem) -> MatMulProblem {
        let [b0, b1, b2, m, n, k] = self.count;
        MatMulProblem { batch: [b0, b1, b2], m, n, k, ..problem.clone() }
    }

    /// What it binds of a, b, the addend and y.
    pub fn ranges(&self, problem: &MatMulProblem, profile: &DeviceProfile) -> [Range; 4] {
        strides(problem).map(|strides| {
            let first = strides.iter().zip(self.first).map(|(stride, first)| stride * first).sum();
            Chunk { first, count: span(&strides, &self.count) }.range(1, problem.element, profile)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Problem;
    use crate::ops::matmul::{GemmDescriptor, LinearDescriptor, MatMulInputs};
    use crate::plan::Planned;
    use crate::plan::step::BufferRef;
    use crate::plan::step::Plan;
    use crate::types::activation::Activation;

    fn narrow(max_binding_bytes: u64) -> DeviceProfile {
        DeviceProfile { max_binding_bytes, ..DeviceProfile::MINIMAL }
    }

    /// Every binding of a plan, in bytes.
    fn bindings(plan: &Plan) -> Vec<u64> {
        let refs = plan.prepare.iter().chain(&plan.steps).flat_map(|step| &step.refs);
        refs.map(|place| match *place {
            BufferRef::Input { bytes, .. } | BufferRef::Output { bytes, .. } => bytes,
            BufferRef::Scratch(i) => plan.scratch[i],
            _ => 0,
        })
        .collect()
    }

    #[test]
    fn parts_cover_every_product_once_and_every_binding_fits() {
        let f32s = ElementType::F32;
        let transposed = GemmDescriptor { trans_a: true, trans_b: true, ..Default::default() };
        let problems = [
            MatMulProblem::matmul(&[2, 3, 37, 70], &[3, 70, 45], f32s).unwrap(),
            MatMulProblem::matmul(&[9, 1200], &[1200, 1], f32s).unwrap(),
            MatMulProblem::gemm(&MatMulInputs { a: &[70, 37], b: &[44, 70], addend: Some(&[37, 44]), element: f32s }, &transposed).unwrap(),
            MatMulProblem::linear(&MatMulInputs { a: &[1, 1100], b: &[41, 1100], addend: Some(&[41]), element: f32s }, &LinearDescriptor::default())
                .unwrap(),
        ];
        for problem in &problems {
            for limit in [4096, 16_384] {
                let profile = narrow(limit);
                for algorithm in problem.algorithms(&profile) {
                    let plan = problem.plan(&profile, Some(algorithm)).unwrap();
                    let largest = bindings(&plan).into_iter().max().unwrap();
                    assert!(largest <= limit, "{algorithm} {problem}: {largest}");
                }
                let memory = Memory { packed: [Some(Packed::Panels(16)), Some(Packed::Whole)], halves: None, splits: 1 };
                let (inputs, outputs) = (problem.inputs(), problem.outputs());
                let parts = parts(problem, &memory, [&inputs[0], &inputs[1], &outputs[0]], inputs.get(2), &profile).unwrap();
                let work: u64 = parts.iter().flatten().map(|part| part.count.iter().product::<u64>()).sum();
                assert_eq!(work, problem.multiply_adds(), "{problem}");
                assert!(parts.iter().flatten().all(|part| part.first[N].is_multiple_of(4) || problem.b.outer > 1));
            }
        }
    }

    /// The first dense layer of VGG-16: 411 MB of weights on a device whose bindings hold 128 MiB.
    #[test]
    fn a_dense_layer_is_cut_over_its_outputs() {
        let problem = MatMulProblem::linear(
            &MatMulInputs { a: &[1, 25_088], b: &[4096, 25_088], addend: Some(&[4096]), element: ElementType::F32 },
            &LinearDescriptor { activation: Activation::Relu, ..Default::default() },
        )
        .unwrap();
        let profile = DeviceProfile { max_buffer_bytes: 1 << 30, ..DeviceProfile::MINIMAL };
        for (algorithm, prepared, steps) in [("direct", 0, 4), ("gemv", 0, 4), ("gemm_register", 4, 5)] {
            let plan = problem.plan(&profile, Some(algorithm)).unwrap();
            assert_eq!((plan.prepare.len(), plan.steps.len()), (prepared, steps), "{algorithm}");
        }
        // b as matmul has it lies in rows of the depth: that is cut, and the partial sums are added up.
        let problem = MatMulProblem::matmul(&[1, 25_088], &[25_088, 4096], ElementType::F32).unwrap();
        let plan = problem.plan(&profile, Some("direct")).unwrap();
        assert_eq!(plan.steps.len(), 5, "four chunks and a sum");
    }

    #[test]
    fn what_fits_is_one_part_and_what_cannot_fit_is_refused() {
        let problem = MatMulProblem::matmul(&[32, 32], &[32, 32], ElementType::F32).unwrap();
        assert_eq!(problem.plan(&narrow(4096), Some("direct")).unwrap().steps.len(), 1);
        assert!(problem.plan(&narrow(4092), Some("direct")).unwrap().steps.len() > 1);
        let error = problem.plan(&narrow(256), Some("direct")).unwrap_err().to_string();
        assert_eq!(error, "the smallest part of y needs 272 bytes, but max_storage_buffer_binding_size is 256");
    }

    /// Rows that differ in y alone share what was packed of b.
    #[test]
    fn an_operand_is_packed_once_for_all_parts_that_read_it() {
        let problem = MatMulProblem::matmul(&[200, 9], &[9, 21], ElementType::F32).unwrap();
        let plan = problem.plan(&narrow(4096), Some("gemm_register")).unwrap();
        let count = |name: &str| plan.steps.iter().filter(|step| step.kernel.source.name == name).count();
        let chunks = count("matmul_register");
        assert!(chunks > 2);
        assert_eq!(count("matmul_pack_tile"), chunks + 1);
    }
}
