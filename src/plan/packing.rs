//! What a plan packs when it is prepared, as a value: two plans that pack the same constants alike can share the packed buffers.

use crate::plan::step::{BufferRef, Plan, Step};
use crate::shader::source::BindingKind;

/// The calls of [`Plan::prepare`], with scratch buffers and tables numbered in the order in which the calls name them.
#[derive(Debug)]
pub(crate) struct Packing<'a> {
    steps: Vec<Step>,
    bytes: Vec<u64>,
    tables: Vec<&'a [u32]>,
    /// The plan's own number of each scratch buffer.
    pub scratch: Vec<usize>,
    /// The inputs that are read.
    pub inputs: Vec<usize>,
}

impl<'a> Packing<'a> {
    /// What `plan` packs; `None` where it packs nothing, or where a recording writes to what was packed.
    pub fn of(plan: &'a Plan) -> Option<Self> {
        let mut packing = Self { steps: plan.prepare.clone(), bytes: vec![], tables: vec![], scratch: vec![], inputs: vec![] };
        let mut tables: Vec<usize> = vec![];
        for place in packing.steps.iter_mut().flat_map(|step| &mut step.refs) {
            match place {
                BufferRef::Scratch(index) | BufferRef::ScratchPart { index, .. } => *index = number(&mut packing.scratch, *index),
                BufferRef::Table(index) => *index = number(&mut tables, *index),
                BufferRef::Input { index, .. } => {
                    number(&mut packing.inputs, *index);
                }
                BufferRef::Output { .. } => return None,
                BufferRef::Nothing => {}
            }
        }
        packing.bytes = packing.scratch.iter().map(|index| plan.scratch[*index]).collect();
        packing.tables = tables.iter().map(|index| plan.tables[*index].as_slice()).collect();
        let stays = |index: &usize| !plan.steps.iter().any(|step| writes(step, *index));
        (!packing.scratch.is_empty() && packing.scratch.iter().all(stays)).then_some(packing)
    }

    /// Whether both make the same buffers of the same inputs.
    pub fn equals(&self, other: &Self) -> bool {
        (&self.steps, &self.bytes, &self.tables) == (&other.steps, &other.bytes, &other.tables)
    }
}

/// The scratch buffers of a plan that each recording writes before it reads them, the largest first: ops that run one after another can share them.
pub(crate) fn transient(plan: &Plan) -> Vec<usize> {
    let is_packed = |index: usize| {
        let refs = plan.prepare.iter().flat_map(|step| &step.refs);
        refs.into_iter().any(|place| matches!(place, BufferRef::Scratch(own) | BufferRef::ScratchPart { index: own, .. } if *own == index))
    };
    let mut indices: Vec<usize> = (0..plan.scratch.len()).filter(|&index| !is_packed(index)).collect();
    indices.sort_by_key(|&index| std::cmp::Reverse(plan.scratch[index]));
    indices
}

/// Where `index` stands in `seen`, at its end if it is new.
fn number(seen: &mut Vec<usize>, index: usize) -> usize {
    seen.iter().position(|own| *own == index).unwrap_or_else(|| {
        seen.push(index);
        seen.len() - 1
    })
}

/// Whether a call may write to scratch buffer `index`.
fn writes(step: &Step, index: usize) -> bool {
    let kinds = step.kernel.source.bindings.iter().filter(|kind| **kind != BindingKind::Uniform);
    let names = |place: &BufferRef| matches!(place, BufferRef::Scratch(own) | BufferRef::ScratchPart { index: own, .. } if *own == index);
    step.refs.iter().zip(kinds).any(|(place, kind)| *kind == BindingKind::Write && names(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Accuracy;
    use crate::ops::conv::descriptor::Conv2dDescriptor;
    use crate::ops::conv::problem::{ConvInputs, ConvProblem};
    use crate::plan::Planned;
    use crate::plan::profile::DeviceProfile;
    use crate::types::{ElementType, Layout, Padding, TensorType};

    fn plan(batch: usize, filters: usize, algorithm: &str) -> Plan {
        // Winograd of so few channels errs more than plain sums.
        let descriptor = Conv2dDescriptor { padding: Padding::Same, accuracy: Accuracy::Reduced, ..Default::default() };
        let (x, filter) = ([batch, 16, 12, 12], [filters, 16, 3, 3]);
        let layout = Layout::ChannelsFirst;
        let inputs = ConvInputs { x: TensorType::new(&x, ElementType::F32, layout), filter: &filter, bias: None, y_layout: layout };
        ConvProblem::forward(&inputs, &descriptor).unwrap().plan(&DeviceProfile::MINIMAL, Some(algorithm)).unwrap()
    }

    /// Channels, extent, window; filters, stride: the convolutions of ResNet-18.
    const RESNET18: [([usize; 3], [usize; 2]); 11] = [
        ([3, 224, 7], [64, 2]),
        ([64, 56, 3], [64, 1]),
        ([64, 56, 3], [128, 2]),
        ([64, 56, 1], [128, 2]),
        ([128, 28, 3], [128, 1]),
        ([128, 28, 3], [256, 2]),
        ([128, 28, 1], [256, 2]),
        ([256, 14, 3], [256, 1]),
        ([256, 14, 3], [512, 2]),
        ([256, 14, 1], [512, 2]),
        ([512, 7, 3], [512, 1]),
    ];

    #[test]
    fn by_one_label_all_batch_sizes_pack_alike() {
        for is_cpu in [false, true] {
            let profile = DeviceProfile { is_cpu, ..DeviceProfile::MINIMAL };
            for ([channels, extent, window], [filters, stride]) in RESNET18 {
                let plan = |batch: usize, label: Option<&str>| {
                    let descriptor = Conv2dDescriptor { padding: Padding::Same, stride: [stride; 2], ..Default::default() };
                    let (x, filter) = ([batch, channels, extent, extent], [filters, channels, window, window]);
                    ConvProblem::forward(&ConvInputs::new(&x, &filter, None), &descriptor).unwrap().plan(&profile, label).unwrap()
                };
                let one = plan(1, None);
                for batch in [2, 16] {
                    let other = plan(batch, Some(&one.label));
                    assert!(Packing::of(&one).unwrap().equals(&Packing::of(&other).unwrap()), "{} for {batch} images", one.label);
                }
            }
        }
    }

    #[test]
    fn a_batch_size_changes_no_packing_and_a_filter_or_algorithm_does() {
        for algorithm in ["implicit_gemm_register 16x8x2", "winograd_f2 32x32x16"] {
            let (one, five) = (plan(1, 32, algorithm), plan(5, 32, algorithm));
            let (packed, other) = (Packing::of(&one).unwrap(), Packing::of(&five).unwrap());
            assert!(packed.equals(&other), "{algorithm}");
            assert_eq!((&packed.inputs, packed.scratch.len()), (&vec![1], 1), "{algorithm}");
            assert!(!packed.equals(&Packing::of(&plan(1, 40, algorithm)).unwrap()), "{algorithm}");
        }
        assert!(!Packing::of(&plan(1, 32, "winograd_f2")).unwrap().equals(&Packing::of(&plan(1, 32, "implicit_gemm_register 16x8x2")).unwrap()));
        assert!(Packing::of(&plan(1, 32, "direct")).is_none(), "it packs nothing");
    }

    #[test]
    fn what_a_recording_writes_is_not_shared() {
        let mut plan = plan(1, 32, "winograd_f2");
        assert!(Packing::of(&plan).is_some());
        plan.steps.push(plan.prepare[0].clone());
        assert!(Packing::of(&plan).is_none());
    }
}
