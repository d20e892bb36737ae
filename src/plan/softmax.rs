//! The planner of softmax: a line per invocation, or lines that several share. Lines that no binding holds with those beside them are
//! walked in parts; where not even an element of each fits one, so many lines are taken at once as do.

use crate::ops::Problem;
use crate::ops::softmax::SoftmaxProblem;
use crate::plan::Planned;
use crate::plan::parts::{Divisible, Part, or_divide};
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::row_threads::{LONGEST_SERIAL_LINE, line_at_once, lines_per_workgroup, row_consts, row_iterations, threads};
use crate::plan::step::{BufferRef, Chunk, Plan, Step, check_binding, check_parts, check_tensors, chunks};
use crate::shader::KernelSpec;
use crate::shader::source::{SOFTMAX, SOFTMAX_IN_PLACE, SOFTMAX_JOIN, SOFTMAX_PART, SOFTMAX_PART_IN_PLACE};
use crate::shader::uniforms::SoftmaxParams;
use crate::types::Result;

/// One line per invocation, or lines that several share.
const DIRECT: &str = "direct";

const ROWS: &str = "rows";

impl Planned for SoftmaxProblem {
    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.lines()[1] <= LONGEST_SERIAL_LINE { vec![DIRECT, ROWS] } else { vec![ROWS] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        or_divide(Self::plan_part(self, profile, algorithm), self, profile, algorithm)
    }
}

impl Divisible for SoftmaxProblem {
    type Part = Self;

    fn cut_extents(&self) -> Vec<u64> {
        self.other_axes().iter().map(|&axis| self.extents[axis] as u64).collect()
    }

    fn part(&self, ranges: &[Chunk]) -> Result<Part<Self>> {
        let mut part = self.clone();
        let mut first = vec![0; self.extents.len()];
        for (&axis, range) in self.other_axes().iter().zip(ranges) {
            (part.extents[axis], first[axis]) = (range.count as usize, range.first);
        }
        let inputs = if self.in_place { vec![] } else { vec![first.clone()] };
        Ok(Part::of(part, inputs, vec![first]))
    }

    fn plan_part(part: &Self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        part.plan_lines(profile, algorithm)
    }
}

impl SoftmaxProblem {
    /// The axes that no line runs along, the slowest first.
    fn other_axes(&self) -> Vec<usize> {
        self.layout.memory_order(self.extents.len()).into_iter().filter(|axis| *axis != self.axis).collect()
    }

    /// The plan of all lines.
    fn plan_lines(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, ROWS)?;
        let [outer, length, inner] = self.lines();
        let at_once = line_at_once([outer, length, inner], self.element, profile)?;
        let lines = if at_once < length { inner } else { outer * inner };
        let row_threads = if algorithm == ROWS { threads(at_once, lines, profile) } else { 1 };
        profile.check_iterations(algorithm, row_iterations(at_once, row_threads))?;
        let mut plan = Plan::new(self.name(), format!("{algorithm} {row_threads}"), self.inputs(), self.outputs());
        check_tensors("a softmax", &plan.outputs.iter().collect::<Vec<_>>(), profile)?;
        if at_once < length {
            self.plan_parts(&mut plan, at_once, row_threads, profile)?;
            return Ok(plan);
        }
        let flags = [("LOGARITHM", u32::from(self.logarithm)), ("THREAD_FASTEST", u32::from(inner == 1))];
        let kernel = KernelSpec {
            source: if self.in_place { &SOFTMAX_IN_PLACE } else { &SOFTMAX },
            element: self.element,
            consts: row_consts(row_threads),
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let slab = length * inner;
        for chunk in chunks(outer, &[("one slab of x", slab * self.element.bytes())], profile)? {
            let range = chunk.range(slab, self.element, profile);
            let items = chunk.count * inner;
            let params = SoftmaxParams { items: items as u32, inner: inner as u32, length: length as u32, base: range.base };
            let output = BufferRef::Output { index: 0, first: range.first, bytes: range.bytes };
            let refs = match self.in_place {
                false => vec![BufferRef::Input { index: 0, first: range.first, bytes: range.bytes }, output],
                true => vec![output],
            };
            plan.steps.push(Step::new(kernel.clone(), &params, refs, items.div_ceil(lines_per_workgroup(row_threads)), profile)?);
        }
        Ok(plan)
    }
}

impl SoftmaxProblem {
    /// Three walks over the parts of each slab: the maxima, the sums, the results.
    fn plan_parts(&self, plan: &mut Plan, at_once: u64, row_threads: u32, profile: &DeviceProfile) -> Result<()> {
        let [outer, length, inner] = self.lines();
        let pieces = length.div_ceil(at_once);
        check_parts("x", 3 * u128::from(outer) * u128::from(pieces))?;
        let state = 2 * inner * 4;
        check_binding("the maxima and sums of lines", state, profile)?;
        plan.scratch.push(state);
        let fastest = ("THREAD_FASTEST", u32::from(inner == 1));
        for slab in 0..outer {
            for [sums, results] in [[false, false], [true, false], [false, true]] {
                for piece in 0..pieces {
                    let first = piece * at_once;
                    let count = at_once.min(length - first);
                    let range = Chunk { first: slab * length + first, count }.range(inner, self.element, profile);
                    let output = BufferRef::output(0, &plan.outputs).part(range);
                    let x = if self.in_place { output } else { BufferRef::input(0, &plan.inputs).part(range) };
                    let (items, state) = (if results { count * inner } else { inner }, BufferRef::Scratch(0));
                    let params = SoftmaxParams { items: items as u32, inner: inner as u32, length: count as u32, base: range.base };
                    let (source, consts, flags, refs, workgroups) = if results {
                        let source = if self.in_place { &SOFTMAX_PART_IN_PLACE } else { &SOFTMAX_PART };
                        let refs = if self.in_place { vec![output, state] } else { vec![x, output, state] };
                        (source, vec![], vec![("LOGARITHM", u32::from(self.logarithm))], refs, items.div_ceil(64))
                    } else {
                        let flags = vec![("SUMS", u32::from(sums)), ("FIRST", u32::from(piece == 0)), fastest];
                        (&SOFTMAX_JOIN, row_consts(row_threads), flags, vec![x, state], items.div_ceil(lines_per_workgroup(row_threads)))
                    };
                    let overrides = flags.into_iter().filter(|(_, value)| *value != 0).collect();
                    let kernel = KernelSpec { source, element: self.element, consts, overrides };
                    plan.steps.push(Step::new(kernel, &params, refs, workgroups, profile)?);
                }
            }
        }
        Ok(())
    }
}
