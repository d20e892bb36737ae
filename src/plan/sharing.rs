//! Inputs and outputs of an op in one buffer. A dispatch binds a buffer for reading alone or for writing, all ranges of it alike. It may bind several ranges for
//! writing, where they do not overlap (WebGPU, "usage scope storage exception"); so a kernel call that writes to a buffer binds for writing what it reads there.

use crate::plan::step::{BufferRef, Plan};
use crate::shader::SHARED;
use crate::shader::source::BindingKind;
use crate::types::{Error, Result};

impl Plan {
    /// Plans for inputs and outputs that lie side by side in buffers. `inputs` and `outputs` say in which, by a number for each; none where a tensor has a buffer
    /// of its own. Gives how many kernel calls bind for writing what they only read.
    ///
    /// # Errors
    /// [`Error::Internal`] where a call would bind one range twice for writing.
    pub(crate) fn share(&mut self, inputs: &[Option<usize>], outputs: &[Option<usize>]) -> Result<usize> {
        let buffer = |place: &BufferRef| match place {
            BufferRef::Input { index, .. } => inputs.get(*index).copied().flatten(),
            BufferRef::Output { index, .. } => outputs.get(*index).copied().flatten(),
            _ => None,
        };
        let mut changed = 0;
        for step in &mut self.steps {
            let kinds = (0u32..).zip(step.kernel.source.bindings).filter(|(_, kind)| **kind != BindingKind::Uniform);
            let bound: Vec<(u32, BindingKind, &BufferRef)> = kinds.zip(&step.refs).map(|((binding, kind), place)| (binding, *kind, place)).collect();
            let mut shared = 0u32;
            for (binding, _, place) in bound.iter().filter(|(_, kind, _)| *kind == BindingKind::Read) {
                let Some(own) = buffer(place) else { continue };
                let is_here = |other: &BufferRef| buffer(other) == Some(own);
                if !bound.iter().any(|(_, kind, other)| *kind == BindingKind::Write && is_here(other)) {
                    continue;
                }
                if bound.iter().any(|(number, _, other)| number != binding && is_same(place, other)) {
                    let message = format!("{} binds {place:?} twice, once for writing", step.kernel.label());
                    return Err(Error::Internal { label: self.label.clone(), message });
                }
                shared |= 1 << binding;
            }
            if shared != 0 {
                step.kernel.consts.push((SHARED, shared));
                changed += 1;
            }
        }
        self.shared = inputs.iter().map(|own| own.is_some() && outputs.contains(own)).collect();
        Ok(changed)
    }
}

/// Whether both are of one tensor, in whatever parts.
fn is_same(place: &BufferRef, other: &BufferRef) -> bool {
    match (place, other) {
        (BufferRef::Input { index, .. }, BufferRef::Input { index: other, .. })
        | (BufferRef::Output { index, .. }, BufferRef::Output { index: other, .. }) => index == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::Conv2dDescriptor;
    use crate::ops::conv::problem::{ConvInputs, ConvProblem};
    use crate::plan::Planned;
    use crate::plan::profile::DeviceProfile;
    use crate::types::Padding;

    fn plan(algorithm: &str) -> Plan {
        let descriptor = Conv2dDescriptor { padding: Padding::Same, accuracy: crate::numeric::Accuracy::Reduced, ..Default::default() };
        let inputs = ConvInputs::new(&[1, 16, 12, 12], &[16, 16, 3, 3], Some(&[16]));
        ConvProblem::forward(&inputs, &descriptor).unwrap().plan(&DeviceProfile::MINIMAL, Some(algorithm)).unwrap()
    }

    fn shared(plan: &Plan) -> Vec<u32> {
        plan.steps.iter().map(|step| step.kernel.constant(SHARED)).collect()
    }

    #[test]
    fn a_call_that_reads_and_writes_one_buffer_binds_it_for_writing() {
        let mut direct = plan("direct");
        assert_eq!(direct.share(&[Some(3), None, None], &[Some(3)]).unwrap(), 1);
        assert_eq!(shared(&direct), [1 << 4], "x is binding 4");
        assert_eq!(direct.shared, [true, false, false]);
        let mut apart = plan("direct");
        assert_eq!(apart.share(&[Some(3), None, None], &[Some(1)]).unwrap(), 0);
        assert_eq!((shared(&apart), &apart.shared), (vec![0], &vec![false; 3]));
        // Its transforms read x and write scratch memory, then read scratch memory and write the output.
        let mut winograd = plan("winograd_f2");
        assert_eq!(winograd.share(&[Some(0), None, None], &[Some(0)]).unwrap(), 0);
        assert!(shared(&winograd).iter().all(|bits| *bits == 0) && winograd.shared[0], "{winograd:?}");
    }

    #[test]
    fn one_range_is_not_bound_twice_for_writing() {
        let mut twice = plan("direct");
        twice.steps[0].refs[0] = twice.steps[0].refs[3]; // the bias is x, too
        let error = twice.share(&[Some(0), None, None], &[Some(0)]).unwrap_err().to_string();
        assert!(error.contains("conv_direct") && error.contains("twice, once for writing"), "{error}");
    }

    /// Of every plan of the grid: no call binds a range twice, and its text is WGSL still.
    #[test]
    fn every_plan_takes_all_tensors_in_one_buffer() {
        let mut texts = std::collections::HashMap::new();
        for case in crate::validate::grid::cases(true).unwrap() {
            for (is_cpu, has_int64) in [(false, false), (true, true)] {
                let profile = DeviceProfile { has_f16: true, is_cpu, has_int64, subgroup: Some(8), ..DeviceProfile::MINIMAL };
                let Ok(mut plan) = case.op.plan(&profile, Some(&case.algorithm)) else { continue }; // what needs cooperative matrices
                let (inputs, outputs) = (vec![Some(0); plan.inputs.len()], vec![Some(0); plan.outputs.len()]);
                let changed = plan.share(&inputs, &outputs).unwrap();
                let shared = plan.steps.iter().filter(|step| step.kernel.constant(SHARED) != 0);
                assert_eq!(shared.clone().count(), changed, "{}", plan.label);
                texts.extend(shared.map(|step| (step.kernel.label(), step.kernel.wgsl().unwrap())));
            }
        }
        assert!(texts.len() > 100, "only {} kernels read and write one buffer", texts.len());
        for (label, text) in texts {
            naga::front::wgsl::parse_str(&text).unwrap_or_else(|error| panic!("{label}: {}", error.emit_to_string(&text)));
        }
    }
}
