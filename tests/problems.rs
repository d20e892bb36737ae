//! The ways in which a problem may be changed after its constructor has checked it: each checks again, and what it makes holds on a device.
//! `src/sealed.rs` has those that must not compile.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor, ConvInputs, ConvProblem, FusedPool};
use wgconv::elementwise::{BinaryOp, BinaryProblem};
use wgconv::gpu::DeviceProfile;
use wgconv::norm::{BatchNormDescriptor, BatchNormProblem, BatchNormVectors};
use wgconv::op::Planned;
use wgconv::{Activation, ElementType, Layout, Padding, PaddingMode};

fn conv(descriptor: &Conv2dDescriptor) -> wgconv::Result<ConvProblem> {
    ConvProblem::forward(&ConvInputs::new(&[2, 4, 3, 3], &[6, 4, 3, 3], None), descriptor)
}

/// Pads of 4 on an input of 3 leave a circular input: by the constructor, the one way to a padding mode.
#[test]
fn a_padding_mode_comes_with_pads_that_it_admits() {
    let wide = Conv2dDescriptor { padding: Padding::uniform(4), ..Default::default() };
    assert!(conv(&wide).is_ok());
    for mode in [PaddingMode::Circular, PaddingMode::Reflect] {
        let error = conv(&Conv2dDescriptor { padding_mode: mode, ..wide }).unwrap_err().to_string();
        assert!(error.contains("pad") && error.contains('4'), "{error}");
    }
}

#[test]
fn what_may_be_changed_is_checked_again() {
    let problem = conv(&Conv2dDescriptor { padding: Padding::uniform(1), ..Default::default() }).unwrap();
    for (images, filters, wrong) in [(0, 1, "images is 0"), (3, 1, "images is 3"), (1, 0, "filters is 0"), (1, 7, "filters is 7")] {
        let error = problem.clone().first(images, filters).unwrap_err().to_string();
        assert!(error.starts_with(wrong), "{error}");
    }
    let first = problem.clone().first(1, 2).unwrap();
    assert_eq!([first.input_extents(), first.filter_extents(), first.output_extents()], [vec![1, 4, 3, 3], vec![2, 4, 3, 3], vec![1, 2, 3, 3]]);
    let grouped =
        ConvProblem::forward(&ConvInputs::new(&[1, 4, 3, 3], &[6, 2, 3, 3], None), &Conv2dDescriptor { groups: 2, ..Default::default() }).unwrap();
    assert_eq!(grouped.clone().first(1, 2).unwrap_err().to_string(), "filters is 2: it is from 1 to 6; of 2 groups all of them");
    assert_eq!(grouped.clone().first(1, 6), Ok(grouped.clone()));
    // Its output of 1 x 1 has no window of 2.
    assert!(grouped.clone().with_pool(Some(FusedPool::Max)).is_err() && problem.clone().with_pool(Some(FusedPool::Max)).is_ok());

    let bad = Activation::Elu { alpha: f32::NAN };
    let binary = BinaryProblem::new((&[3], Layout::ChannelsFirst), (&[3], Layout::ChannelsFirst), ElementType::F32, BinaryOp::Add).unwrap();
    assert!(binary.with_activation(bad).is_err());
    let vectors = BatchNormVectors { scale: None, bias: None, mean: &[3], variance: &[3] };
    let norm = BatchNormProblem::new(
        &[1, 3, 4],
        &vectors,
        ElementType::F32,
        Layout::ChannelsFirst,
        &BatchNormDescriptor { epsilon: 1e-5, ..Default::default() },
    )
    .unwrap();
    assert!(norm.clone().with_activation(bad).is_err() && norm.with_activation(Activation::Relu).unwrap().is_in_place().eq(&false));
}

/// An algorithm that does not apply is refused by the plan, by its name.
#[test]
fn a_forced_algorithm_is_checked_when_it_is_planned() {
    let problem = conv(&Conv2dDescriptor::default()).unwrap().with_accuracy(Accuracy::Exact);
    let plan = |algorithm| problem.clone().with_algorithm(algorithm).plan(&DeviceProfile::MINIMAL, None);
    assert!(plan(None).is_ok() && plan(Some(Algorithm::Direct)).is_ok());
    for algorithm in [Algorithm::Depthwise, Algorithm::WinogradF2, Algorithm::PointwiseRegister, Algorithm::ImplicitGemmMatrix] {
        let error = plan(Some(algorithm)).unwrap_err().to_string();
        assert!(error.contains(algorithm.name()), "{error}");
    }
}
