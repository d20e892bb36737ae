//! Plans made of plans: one after another, joined by scratch memory, or one under the name of another op.
//!
//! Kernel calls name tensors by their index in their own plan. [`Plan::compose`] and [`Plan::take_in`] give the calls the indices that these tensors
//! have in the whole; nobody else rewrites a [`BufferRef`].

use crate::ops::Problem;
use crate::plan::packing::transient;
use crate::plan::step::{BufferRef, Plan, Range, Step};

/// What a tensor of the second of two plans is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// An output of the first: scratch memory of the whole.
    First(usize),
    /// A tensor of the whole: one of its inputs for an input, one of its outputs for an output.
    Whole(usize),
}

/// What every tensor of the second of two plans is. Those of the first are those of the whole by the same indices, but for the outputs that the
/// second takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wiring<'a> {
    pub inputs: &'a [Wire],
    pub outputs: &'a [Wire],
}

impl Plan {
    /// The same calls for `problem`, whose tensors have the order and the bytes of those of this plan.
    pub(crate) fn of(self, problem: &impl Problem, label: String) -> Self {
        Self { op: problem.name(), label, inputs: problem.inputs(), outputs: problem.outputs(), ..self }
    }

    /// The calls of `first` and then those of `second`, as the plan of `problem`.
    ///
    /// What `second` makes of constants is made when the whole is prepared, if they are constants of the whole; else with each recording.
    pub(crate) fn compose(problem: &impl Problem, label: String, first: Plan, second: Plan, wiring: Wiring<'_>) -> Self {
        let mut whole =
            Plan { scratch: first.scratch, tables: first.tables, ..Plan::new(problem.name(), label, problem.inputs(), problem.outputs()) };
        // Scratch memory for every output of the first that the second takes, by its index there.
        let mut joints = vec![None; first.outputs.len()];
        for (output, joint) in joints.iter_mut().enumerate() {
            if wiring.inputs.iter().chain(wiring.outputs).any(|wire| *wire == Wire::First(output)) {
                *joint = Some(whole.scratch.len());
                whole.scratch.push(first.outputs[output].bytes());
            }
        }
        let joint = |output: usize, place: BufferRef| match (joints.get(output), place) {
            (Some(&Some(index)), BufferRef::Input { first, bytes, .. } | BufferRef::Output { first, bytes, .. }) => {
                BufferRef::ScratchPart { index, first, bytes }
            }
            _ => place,
        };
        let of_first = |place: BufferRef| if let BufferRef::Output { index, .. } = place { joint(index, place) } else { place };
        let own_begin = [whole.scratch.len(), whole.tables.len()];
        let of_second = |place: BufferRef| match place {
            BufferRef::Input { index, first, bytes } => match wiring.inputs.get(index) {
                Some(Wire::First(output)) => joint(*output, place),
                Some(Wire::Whole(index)) => BufferRef::Input { index: *index, first, bytes },
                None => place,
            },
            BufferRef::Output { index, first, bytes } => match wiring.outputs.get(index) {
                Some(Wire::First(output)) => joint(*output, place),
                Some(Wire::Whole(index)) => BufferRef::Output { index: *index, first, bytes },
                None => place,
            },
            own => behind(own, own_begin),
        };
        whole.scratch.extend(second.scratch);
        whole.tables.extend(second.tables);
        let stays_fixed = |(input, wire): (usize, &Wire)| {
            let is_fixed = second.inputs.get(input).is_some_and(|spec| spec.constant);
            !is_fixed || matches!(wire, Wire::Whole(index) if whole.inputs.get(*index).is_some_and(|spec| spec.constant))
        };
        let is_prepared = wiring.inputs.iter().enumerate().all(stays_fixed);
        whole.prepare = moved(first.prepare, of_first);
        whole.steps = moved(first.steps, of_first);
        let prepared = moved(second.prepare, of_second);
        if is_prepared {
            whole.prepare.extend(prepared)
        } else {
            whole.steps.extend(prepared)
        }
        whole.steps.extend(moved(second.steps, of_second));
        whole
    }
}

impl Plan {
    /// Takes in `part`, whose tensors are these buffers of the whole: its scratch memory, its tables and what it prepares. Gives its calls, which may be
    /// made as often as the buffers are filled.
    pub(crate) fn take_in(&mut self, part: Plan, inputs: &[BufferRef], outputs: &[BufferRef]) -> Vec<Step> {
        let begin = self.scratch.len();
        self.scratch.extend(&part.scratch);
        let scratch = (begin..self.scratch.len()).map(BufferRef::Scratch).collect();
        self.take_with(part, scratch, inputs, outputs).calls(inputs, outputs)
    }

    /// As [`Plan::take_in`], for calls over several buffers. Scratch memory that each recording writes before it reads is that of `shared`, which grows as
    /// it must: what is taken in with it runs one after another.
    pub(crate) fn take(&mut self, part: Plan, shared: &mut Vec<usize>, inputs: &[BufferRef], outputs: &[BufferRef]) -> Taken {
        let transient = transient(&part);
        let mut place = |(own, &bytes): (usize, &u64)| {
            let slot = transient.iter().position(|index| *index == own);
            while slot.is_some_and(|slot| slot >= shared.len()) {
                shared.push(self.scratch.len());
                self.scratch.push(0);
            }
            let index = slot.map_or(self.scratch.len(), |slot| shared[slot]);
            match self.scratch.get_mut(index) {
                Some(largest) => *largest = bytes.max(*largest),
                None => self.scratch.push(bytes),
            }
            BufferRef::ScratchPart { index, first: 0, bytes }
        };
        let scratch = part.scratch.iter().enumerate().map(&mut place).collect();
        self.take_with(part, scratch, inputs, outputs)
    }

    fn take_with(&mut self, part: Plan, scratch: Vec<BufferRef>, inputs: &[BufferRef], outputs: &[BufferRef]) -> Taken {
        let tables = self.tables.len();
        self.tables.extend(part.tables);
        let prepared = Taken { steps: part.prepare, scratch, tables };
        self.prepare.extend(prepared.calls(inputs, outputs));
        Taken { steps: part.steps, ..prepared }
    }
}

/// The calls of a plan that another one took in.
pub(crate) struct Taken {
    steps: Vec<Step>,
    /// Where its scratch memory is in the whole.
    scratch: Vec<BufferRef>,
    /// Where its tables begin.
    tables: usize,
}

impl Taken {
    /// The calls where its tensors are these buffers of the whole.
    pub(crate) fn calls(&self, inputs: &[BufferRef], outputs: &[BufferRef]) -> Vec<Step> {
        let part = |whole: BufferRef, first: u64, bytes: u64| whole.part(Range { first, bytes, base: 0 });
        let buffer = |own: BufferRef| match own {
            BufferRef::Input { index, first, bytes } => part(inputs[index], first, bytes),
            BufferRef::Output { index, first, bytes } => part(outputs[index], first, bytes),
            BufferRef::Scratch(index) => self.scratch[index],
            BufferRef::ScratchPart { index, first, bytes } => part(self.scratch[index], first, bytes),
            BufferRef::Table(index) => BufferRef::Table(self.tables + index),
            BufferRef::Nothing => own,
        };
        moved(self.steps.clone(), buffer)
    }
}

/// Scratch memory or a table of a plan, behind those of the plan that it becomes part of.
fn behind(own: BufferRef, [scratch, tables]: [usize; 2]) -> BufferRef {
    match own {
        BufferRef::Scratch(index) => BufferRef::Scratch(scratch + index),
        BufferRef::ScratchPart { index, first, bytes } => BufferRef::ScratchPart { index: scratch + index, first, bytes },
        BufferRef::Table(index) => BufferRef::Table(tables + index),
        BufferRef::Input { .. } | BufferRef::Output { .. } | BufferRef::Nothing => own,
    }
}

/// The calls, bound to other places.
fn moved(steps: Vec<Step>, place: impl Fn(BufferRef) -> BufferRef) -> Vec<Step> {
    let to = |step: Step| Step { refs: step.refs.iter().map(|own| place(*own)).collect(), ..step };
    steps.into_iter().map(to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::matmul::{LinearDescriptor, MatMulInputs, MatMulProblem};
    use crate::ops::spec::TensorSpec;
    use crate::shader::KernelSpec;
    use crate::shader::source_gemm::MATMUL_DIRECT;
    use crate::types::{ElementType, Layout};

    fn tensor(name: &'static str, constant: bool) -> TensorSpec {
        TensorSpec { constant, ..TensorSpec::new(name, &[2, 3], ElementType::F32, Layout::ChannelsFirst) }
    }

    fn step(refs: &[BufferRef]) -> Step {
        let kernel = KernelSpec { source: &MATMUL_DIRECT, element: ElementType::F32, consts: vec![], overrides: vec![] };
        Step { kernel, params: vec![], refs: refs.to_vec(), workgroups: [1; 3] }
    }

    const fn input(index: usize) -> BufferRef {
        BufferRef::Input { index, first: 0, bytes: 24 }
    }

    const fn output(index: usize) -> BufferRef {
        BufferRef::Output { index, first: 0, bytes: 24 }
    }

    const fn joint(index: usize) -> BufferRef {
        BufferRef::ScratchPart { index, first: 0, bytes: 24 }
    }

    /// It packs its input 1, which is a constant, with its table, and has two outputs.
    fn part() -> Plan {
        Plan {
            scratch: vec![16],
            tables: vec![vec![1]],
            prepare: vec![step(&[input(1), BufferRef::Table(0), BufferRef::Scratch(0)])],
            steps: vec![step(&[input(0), BufferRef::Scratch(0), BufferRef::Nothing, output(0), output(1)])],
            ..Plan::new("part", "part".into(), vec![tensor("x", false), tensor("w", true)], vec![tensor("y", false), tensor("z", false)])
        }
    }

    /// Its tensors: a, and b, which is a constant.
    fn whole() -> MatMulProblem {
        let inputs = MatMulInputs { a: &[2, 3], b: &[3, 3], addend: None, element: ElementType::F32 };
        MatMulProblem::linear(&inputs, &LinearDescriptor::default()).unwrap()
    }

    #[test]
    fn the_second_reads_what_the_first_leaves() {
        let wiring = Wiring { inputs: &[Wire::First(0), Wire::Whole(1)], outputs: &[Wire::Whole(0), Wire::Whole(2)] };
        let plan = Plan::compose(&whole(), "both".into(), part(), part(), wiring);
        assert_eq!((plan.label.as_str(), plan.op), ("both", whole().name()));
        assert_eq!((&plan.inputs, &plan.outputs), (&whole().inputs(), &whole().outputs()));
        // The first's own, the tensor between, the second's own.
        assert_eq!((&plan.scratch[..], plan.tables.len()), (&[16, 24, 16][..], 2));
        let refs = |steps: &[Step]| steps.iter().map(|step| step.refs.clone()).collect::<Vec<_>>();
        let packed = |own: usize, table| vec![input(1), BufferRef::Table(table), BufferRef::Scratch(own)];
        assert_eq!(refs(&plan.prepare), [packed(0, 0), packed(2, 1)]);
        let first = vec![input(0), BufferRef::Scratch(0), BufferRef::Nothing, joint(1), output(1)];
        assert_eq!(refs(&plan.steps), [first, vec![joint(1), BufferRef::Scratch(2), BufferRef::Nothing, output(0), output(2)]]);
    }

    /// What is known only when the first has run cannot be packed before.
    #[test]
    fn what_the_first_makes_is_packed_with_each_recording() {
        for constant in [Wire::First(0), Wire::Whole(0)] {
            let wiring = Wiring { inputs: &[Wire::First(1), constant], outputs: &[Wire::Whole(0), Wire::Whole(1)] };
            let plan = Plan::compose(&whole(), "both".into(), part(), part(), wiring);
            assert_eq!((plan.prepare.len(), plan.steps.len()), (1, 3), "{constant:?}");
            let read = if constant == Wire::Whole(0) { input(0) } else { joint(1) };
            assert_eq!(plan.steps[1].refs[0], read, "{constant:?}");
        }
    }
}
