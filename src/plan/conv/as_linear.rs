//! A window that covers the whole input has one output: each filter is a row of a dense layer, and x its input. LeNet's C5, the heads of
//! classifiers written as convolutions and 1 x 1 convolutions over pooled features are such. The tiles of the other cores count images and
//! outputs as columns, of which there are then too few to fill one; a dense layer's columns are its filters.

use crate::ops::Problem;
use crate::ops::conv::descriptor::Algorithm;
use crate::ops::conv::problem::{ConvProblem, Direction};
use crate::ops::matmul::on_coop_matrix;
use crate::ops::matmul::{LinearDescriptor, MatMulInputs, MatMulProblem};
use crate::plan::Planned;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::Plan;
use crate::types::{Error, Layout, Result};

const NAME: &str = Algorithm::AsLinear.name();

/// More images fill the columns of the other cores, and are no short side that a dense layer's planner has rules for.
const MOST_IMAGES: u64 = crate::plan::matmul::MOST_SHORT;

pub(crate) fn supports(problem: &ConvProblem, profile: &DeviceProfile) -> Result<()> {
    let unsupported = |reason: String| Err(Error::Unsupported { algorithm: NAME.into(), reason });
    if problem.direction != Direction::Forward || problem.groups != 1 {
        return unsupported(format!("it needs a forward convolution of one group; this is {} of {}", problem.name(), problem.groups));
    }
    if problem.batch > MOST_IMAGES {
        return unsupported(format!("it is for at most {MOST_IMAGES} images; here are {}", problem.batch));
    }
    for (axis, name) in problem.axes.iter().zip(["depth", "height", "width"]) {
        if axis.filter != axis.input || axis.output != 1 || axis.pad_begin != 0 || axis.pad_end != 0 {
            return unsupported(format!(
                "the window must cover the input, without pads; along the {name} the filter is {}, the input {}, the pads {} and {}",
                axis.filter, axis.input, axis.pad_begin, axis.pad_end
            ));
        }
    }
    if problem.x_layout != Layout::ChannelsFirst && problem.input_positions() > 1 {
        return unsupported("x must lie as the filter does, channels first; it lies channels last".into());
    }
    match cores(&layer(problem)?, profile).is_empty() {
        true => unsupported("no core runs so long a depth on this driver".into()),
        false => Ok(()),
    }
}

/// The labels of its tiles and kernels.
pub(crate) fn candidates(problem: &ConvProblem, profile: &DeviceProfile) -> Vec<String> {
    let Ok(layer) = layer(problem) else { return vec![] };
    layer.candidates(profile).into_iter().filter(|label| !on_coop_matrix(label)).map(|label| format!("{NAME} {label}")).collect()
}

/// `core` is a label of the dense layer's, such as `gemm_register 4x4x4`.
pub(crate) fn plan(problem: &ConvProblem, profile: &DeviceProfile, core: Option<&str>) -> Result<Plan> {
    let layer = layer(problem)?;
    if let Some(label) = core.filter(|label| on_coop_matrix(label)) {
        return Err(Error::Unsupported { algorithm: format!("{NAME} {label}"), reason: "so few rows are not for cooperative matrices".into() });
    }
    let plan = layer.plan(profile, core)?;
    let label = format!("{NAME} {}", plan.label);
    Ok(plan.of(problem, label))
}

fn cores(layer: &MatMulProblem, profile: &DeviceProfile) -> Vec<&'static str> {
    layer.algorithms(profile).into_iter().filter(|name| !on_coop_matrix(name)).collect()
}

fn layer(problem: &ConvProblem) -> Result<MatMulProblem> {
    let (images, filters) = (problem.batch as usize, problem.out_channels as usize);
    let depth =
        usize::try_from(problem.reduction_depth()).map_err(|_| Error::invalid("filter", problem.reduction_depth(), "its volume fits memory"))?;
    let bias = [filters];
    let layer = MatMulProblem::linear(
        &MatMulInputs { a: &[images, depth], b: &[filters, depth], addend: problem.has_bias.then_some(&bias), element: problem.element },
        &LinearDescriptor { activation: problem.activation, ..Default::default() },
    )?;
    Ok(layer.with_residual(problem.has_residual).with_accuracy(problem.accuracy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Accuracy;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::ops::conv::problem::ConvInputs;
    use crate::plan::Planned;
    use crate::plan::profile::CoopMatrix;
    use crate::types::{ElementType, TensorType};

    fn conv(descriptor: &ConvDescriptor<2>, x: [usize; 4], filter: [usize; 4]) -> ConvProblem {
        ConvProblem::forward(&ConvInputs::new(&x, &filter, None), descriptor).unwrap()
    }

    fn profile() -> DeviceProfile {
        let matrix = Some(CoopMatrix { extent: 16, subgroup: 32, loads_vectors: true, splits: true, along_k: false });
        DeviceProfile { has_f16: true, matrix, max_workgroup_memory: 48 << 10, ..DeviceProfile::MINIMAL }
    }

    #[test]
    fn a_window_over_the_whole_input_is_a_dense_layer() {
        let plain = ConvDescriptor::default();
        let c5 = conv(&plain, [1, 16, 5, 5], [120, 16, 5, 5]);
        for is_cpu in [false, true] {
            let profile = DeviceProfile { is_cpu, ..profile() };
            let plan = c5.plan(&profile, None).unwrap();
            assert_eq!(plan.label, if is_cpu { "as_linear gemm_register 4x8x4" } else { "as_linear gemv 1x64" });
            assert_eq!(c5.plan(&profile, Some(&plan.label)).unwrap(), plan);
            assert_eq!((plan.inputs, plan.outputs), (c5.inputs(), c5.outputs()));
        }
    }

    #[test]
    fn what_is_no_dense_layer_is_refused() {
        let padded = ConvDescriptor { padding: crate::types::shape::Padding::uniform(1), ..Default::default() };
        let plain = ConvDescriptor::default();
        let layout = |problem: ConvProblem| ConvProblem { x_layout: Layout::ChannelsLast, ..problem };
        for (problem, reason) in [
            (conv(&plain, [5, 16, 5, 5], [9, 16, 5, 5]), "at most 4 images"),
            (conv(&plain, [1, 16, 5, 6], [9, 16, 5, 5]), "along the width the filter is 5, the input 6"),
            (conv(&padded, [1, 16, 3, 3], [9, 16, 3, 3]), "the pads 1 and 1"),
            (conv(&ConvDescriptor { groups: 2, ..plain }, [1, 16, 5, 5], [8, 8, 5, 5]), "of one group"),
            (layout(conv(&plain, [1, 16, 5, 5], [9, 16, 5, 5])), "channels first"),
        ] {
            let error = supports(&problem, &profile()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(supports(&layout(conv(&plain, [1, 16, 1, 1], [9, 16, 1, 1])), &profile()).is_ok());
    }

    /// Their bounds are of sums in f32.
    #[test]
    fn cooperative_matrices_are_not_for_it() {
        let reduced = ConvDescriptor { accuracy: Accuracy::Reduced, ..Default::default() };
        let halves =
            ConvInputs { x: TensorType::new(&[4, 64, 7, 7], ElementType::F16, Layout::ChannelsFirst), ..ConvInputs::new(&[], &[64, 64, 7, 7], None) };
        for problem in [conv(&reduced, [4, 64, 7, 7], [64, 64, 7, 7]), ConvProblem::forward::<2>(&halves, &reduced).unwrap()] {
            let labels = candidates(&problem, &profile());
            assert!(!labels.is_empty() && !labels.iter().any(|label| label.contains("coop") || label.contains("f16x2")), "{labels:?}");
            assert!(!problem.plan(&profile(), None).unwrap().label.contains("matrix"));
            assert!(problem.plan(&profile(), Some("as_linear gemm_coop 64x64x16")).unwrap_err().to_string().contains("cooperative matrices"));
        }
    }
}
