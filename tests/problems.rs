//! The ways in which a problem may be changed after its constructor has checked it, and read from a file: each checks again.
//! `src/sealed.rs` has those that must not compile.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::collections::HashSet;
use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor, ConvInputs, ConvProblem, ConvTranspose2dDescriptor, FusedPool};
use wgconv::elementwise::{BinaryOp, BinaryProblem, UnaryProblem};
use wgconv::gpu::DeviceProfile;
use wgconv::gradient::{AdjointOf, AdjointProblem, FilterGradient};
use wgconv::matmul::{GemmDescriptor, MatMulInputs, MatMulProblem};
use wgconv::norm::{BatchNormDescriptor, BatchNormProblem, BatchNormVectors};
use wgconv::op::{Op, Planned, Problem};
use wgconv::pool::{IndexOrder, PoolDescriptor, PoolKind, PoolProblem};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::transform::{Pad, PadDescriptor, PadMode, Slice, SliceDescriptor};
use wgconv::{Activation, ElementType, Layout, Padding, PaddingMode, TensorType};

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
    let binary = BinaryProblem::new(&TensorType::f32(&[3]), &TensorType::f32(&[3]), BinaryOp::Add).unwrap();
    assert!(binary.with_activation(bad).is_err());
    let vectors = BatchNormVectors { scale: None, bias: None, mean: &[3], variance: &[3] };
    let norm = BatchNormProblem::new(&TensorType::f32(&[1, 3, 4]), &vectors, &BatchNormDescriptor { epsilon: 1e-5, ..Default::default() }).unwrap();
    assert!(norm.clone().with_activation(bad).is_err() && norm.with_activation(Activation::Relu).unwrap().is_in_place().eq(&false));
}

/// An algorithm that does not apply is refused by the plan, by its name.
#[test]
fn a_forced_algorithm_is_checked_when_it_is_planned() {
    let problem = conv(&Conv2dDescriptor::default()).unwrap().with_accuracy(Accuracy::Exact);
    let plan = |algorithm| problem.clone().with_algorithm(algorithm).plan(&DeviceProfile::MINIMAL, None);
    assert!(plan(None).is_ok() && plan(Some(Algorithm::Direct)).is_ok());
    for algorithm in [Algorithm::Depthwise, Algorithm::WinogradF2, Algorithm::PointwiseRegister, Algorithm::ImplicitGemmCoop] {
        let error = plan(Some(algorithm)).unwrap_err().to_string();
        assert!(error.contains(algorithm.name()), "{error}");
    }
}

/// Written and read, an op of the grid is the same op, and hashes alike.
#[test]
fn every_op_of_the_grid_comes_back_from_its_written_form() {
    let ops: HashSet<Op> = wgconv::validate::grid::cases(true).unwrap().into_iter().map(|case| case.op).collect();
    assert!(ops.len() > 500, "{}", ops.len());
    let mut lost = vec![];
    for op in &ops {
        let text = serde_json::to_string(op).unwrap();
        match serde_json::from_str::<Op>(&text) {
            Ok(read) if read == *op && ops.contains(&read) => {}
            read => lost.push(format!("{} {op}: {text} gives {read:?}", op.name())),
        }
    }
    assert!(lost.is_empty(), "{} of {}, such as\n{}", lost.len(), ops.len(), lost[..lost.len().min(9)].join("\n"));
}

#[test]
fn parameters_count_by_their_bits() {
    let clip = |min| UnaryProblem::new(&TensorType::f32(&[3]), Activation::Clip { min, max: f32::INFINITY }).unwrap();
    let pad = |value| {
        let x = TensorType::new(&[2, 3], ElementType::F32, Layout::ChannelsFirst);
        Pad::new(&x, &PadDescriptor { pads: vec![1; 4], mode: PadMode::Constant(value) }).unwrap()
    };
    let ops: HashSet<Op> = [Op::from(clip(0.0)), clip(-0.0).into(), clip(f32::NEG_INFINITY).into(), pad(f32::NAN).into(), pad(f32::INFINITY).into()]
        .into_iter()
        .collect();
    assert_eq!(ops.len(), 5);
    for op in &ops {
        let text = serde_json::to_string(op).unwrap();
        assert_eq!(serde_json::from_str::<Op>(&text).ok().as_ref(), Some(op), "{text}");
    }
}

/// What a constructor refuses, a file cannot make.
#[test]
fn a_tampered_op_is_refused() {
    let circular = Conv2dDescriptor { padding: Padding::uniform(3), padding_mode: PaddingMode::Circular, ..Default::default() };
    let conv = Op::from(conv(&circular).unwrap());
    let softmax = SoftmaxProblem::new(&TensorType::f32(&[2, 3]), &SoftmaxDescriptor::default()).unwrap();
    let x = TensorType::new(&[2, 9], ElementType::F32, Layout::ChannelsFirst);
    let descriptor = SliceDescriptor { starts: vec![1, 7], ends: vec![2, 0], steps: vec![1, -3], ..Default::default() };
    let slice = Op::from(Slice::new(&x, &descriptor).unwrap());
    let pool = PoolDescriptor { ceil_mode: true, ..PoolDescriptor::window([2]) };
    let pool = Op::from(PoolProblem::new(&TensorType::new(&[1, 2, 5], ElementType::F32, Layout::ChannelsLast), &pool).unwrap());
    let square = MatMulInputs::new(&[4, 4], &[4, 4], None);
    let gemm = Op::from(MatMulProblem::gemm(&square, &GemmDescriptor { trans_b: true, ..Default::default() }).unwrap());
    // A pool without indices has no adjoint, and a padded convolution by its filter is that of a pad and a convolution.
    let max = PoolDescriptor { kind: PoolKind::Max { indices: Some(IndexOrder::RowMajor) }, ..PoolDescriptor::window([2]) };
    let max = PoolProblem::new(&TensorType::f32(&[1, 2, 6]), &max).unwrap();
    let adjoint = Op::from(AdjointProblem::new(AdjointOf::Pool(max)).unwrap());
    let zeros = Conv2dDescriptor { padding: Padding::uniform(1), ..Default::default() };
    let filter = Op::from(FilterGradient::new(&ConvProblem::forward(&ConvInputs::new(&[2, 4, 3, 3], &[6, 4, 3, 3], None), &zeros).unwrap()).unwrap());
    let gaps = ConvTranspose2dDescriptor { stride: [5, 4], padding: Padding::Same, ..Default::default() };
    let gaps = ConvProblem::transposed(&ConvInputs::new(&[2, 2, 3, 4], &[2, 3, 2, 1], None), &gaps).unwrap();
    let data = Op::from(gaps.data_gradient().unwrap());
    let cases: [(&Op, &str, &str, &str); 24] = [
        (&adjoint, r#""indices":"row_major""#, r#""indices":null"#, "a maximum has an adjoint by its indices"),
        (&adjoint, r#""output":[3]"#, r#""output":[2]"#, "output"),
        (&filter, r#""padding_mode":"zeros""#, r#""padding_mode":"reflect""#, "pad x first"),
        (&filter, r#""x_layout":"channels_first""#, r#""x_layout":"channels_last""#, "channels-first"),
        (&data, r#""pads":[-2,-2,-1,-1]"#, r#""pads":[-2,-2,-1,-14]"#, "leave at least one element"),
        (&data, r#""pads":[-2,-2,-1,-1]"#, r#""pads":[-9223372036854775808,-2,-1,-1]"#, "at most 2^60"),
        (&data, r#""pads":[-2,-2,-1,-1]"#, r#""pads":[-2,-2,-1,3]"#, "output"),
        (&conv, r#""pads":[3,3,3,3]"#, r#""pads":[3,3,3,4]"#, "circular pads must not be larger"),
        (&conv, r#""pads":[3,3,3,3]"#, r#""pads":[3,-3,3,3]"#, "a pad is at least 0"),
        (&conv, r#""pads":[3,3,3,3]"#, r#""pads":[3,3,3]"#, "pads"),
        (&conv, r#""x":[2,4,3,3]"#, r#""x":[2,5,3,3]"#, "filter"),
        (&conv, r#""x":[2,4,3,3]"#, r#""x":[2,4,3,1152921504606846976]"#, "the largest count"),
        (&conv, r#""output":[7,7]"#, r#""output":[7,8]"#, "output"),
        (&conv, r#""groups":1"#, r#""groups":0"#, "groups"),
        (&conv, r#""direction":"forward""#, r#""direction":"transposed""#, "padding_mode"),
        (&conv, r#""padding_mode":"circular","#, "", "missing field"),
        (&conv, r#""groups":1"#, r#""groups":1,"bias_too":true"#, "unknown field"),
        (&Op::from(softmax), r#""axis":1"#, r#""axis":2"#, "must lie within the rank"),
        (&slice, r#""first":7"#, r#""first":9"#, "ranges"),
        (&slice, r#""count":3"#, r#""count":4"#, "ranges"),
        (&slice, r#""step":-3"#, r#""step":0"#, "cannot be 0"),
        (&pool, r#""output":[3]"#, r#""output":[4]"#, "output"),
        (&gemm, r#""a":[4,4]"#, r#""a":[4,5]"#, "inner extents must agree"),
        (&gemm, r#""a":[4,4]"#, r#""a":[4,4,1]"#, "rank 2"),
    ];
    for (op, from, to, wanted) in cases {
        let text = serde_json::to_string(op).unwrap();
        let tampered = text.replace(from, to);
        assert_ne!(text, tampered, "{from}");
        let error = serde_json::from_str::<Op>(&tampered).unwrap_err().to_string();
        assert!(error.contains(wanted), "{tampered}: {error}");
    }
}
