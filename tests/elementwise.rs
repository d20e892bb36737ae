//! Elementwise ops as an embedder meets them: broadcasting, in place, NaN, errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::{gpu, ramp};
use ndarray::{Array1, Array2, Array4, Ix2, Ix4, array};
use wgconv::elementwise::{BinaryDescriptor, BinaryOp, UnaryDescriptor, UnaryOp};
use wgconv::{Activation, Layout};

#[test]
fn broadcasting_is_numpys() {
    let gpu = gpu();
    let (x, channels) = (ramp((2, 3, 4, 5), 5, 11), array![[[10.0f32]], [[20.0]], [[30.0]]]);
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let (tensor, bias) = (gpu.upload_as(&x, layout).unwrap(), gpu.upload(&channels).unwrap());
        let y: Array4<f32> = gpu.run(|r| r.add(&tensor, &bias)).unwrap().download().unwrap();
        assert_eq!(y, &x + &channels, "{layout:?}");
    }
    let (column, row) = (gpu.upload(&array![[1.0f32], [2.0]]).unwrap(), gpu.upload(&array![3.0f32, 4.0, 5.0]).unwrap());
    let y: Array2<f32> = gpu.run(|r| r.mul(&column, &row)).unwrap().download().unwrap();
    assert_eq!(y, array![[3.0, 4.0, 5.0], [6.0, 8.0, 10.0]]);
    let y: Array2<f32> = gpu.run(|r| r.sub(&row, &column)).unwrap().download().unwrap();
    assert_eq!(y, array![[2.0, 3.0, 4.0], [1.0, 2.0, 3.0]]);
}

#[test]
fn in_place_gives_what_the_other_form_gives() {
    let gpu = gpu();
    let (x, other) = (ramp((1, 2, 5, 7), 5, 11), ramp((1, 2, 5, 7), 5, 11) + 1.0);
    for activation in [Activation::Relu, Activation::Silu] {
        let (a, b) = (gpu.upload(&x).unwrap(), gpu.upload(&x).unwrap());
        let y: Array4<f32> = gpu.run(|r| r.activation(&a, activation)).unwrap().download().unwrap();
        gpu.run(|r| r.activation_in_place(&b, activation)).unwrap();
        assert_eq!(b.download::<f32, Ix4>().unwrap(), y, "{activation}");
    }
    let (a, b) = (gpu.upload(&x).unwrap(), gpu.upload(&other).unwrap());
    let y: Array4<f32> = gpu.run(|r| r.sub(&a, &b)).unwrap().download().unwrap();
    gpu.run(|r| r.binary_in_place(&a, &b, BinaryOp::Sub)).unwrap();
    assert_eq!(a.download::<f32, Ix4>().unwrap(), y);
    let error = gpu.run(|r| r.binary_in_place(&a, &a, BinaryOp::Add)).unwrap_err().to_string();
    assert!(error.starts_with("y is a range of the buffer of b:"), "{error}");
}

#[test]
fn operations_on_one_tensor_have_known_values() {
    use std::f32::consts::{E, FRAC_PI_2, LN_2, PI};
    let gpu = gpu();
    let known: [(UnaryOp, &[f32], &[f32]); 13] = [
        (UnaryOp::Abs, &[-2.0, 3.0, -0.0], &[2.0, 3.0, 0.0]),
        (UnaryOp::Neg, &[-2.0, 3.0, 0.5], &[2.0, -3.0, -0.5]),
        (UnaryOp::Sign, &[-7.0, 0.0, 0.25], &[-1.0, 0.0, 1.0]),
        (UnaryOp::Floor, &[-1.5, 1.5, 2.0], &[-2.0, 1.0, 2.0]),
        (UnaryOp::Ceil, &[-1.5, 1.5, 2.0], &[-1.0, 2.0, 2.0]),
        // Half to even, as ONNX has it.
        (UnaryOp::Round, &[0.5, 1.5, 2.5, -2.5, -0.6, 3.4], &[0.0, 2.0, 2.0, -2.0, -1.0, 3.0]),
        (UnaryOp::Sqrt, &[4.0, 2.0, 0.0], &[2.0, std::f32::consts::SQRT_2, 0.0]),
        (UnaryOp::Reciprocal, &[4.0, -0.5, 3.0], &[0.25, -2.0, 1.0 / 3.0]),
        (UnaryOp::Exp, &[0.0, 1.0, -LN_2], &[1.0, E, 0.5]),
        (UnaryOp::Log, &[1.0, E, 0.5], &[0.0, 1.0, -LN_2]),
        // Abramowitz and Stegun, table 7.1.
        (UnaryOp::Erf, &[0.0, 0.5, 1.0, -2.0], &[0.0, 0.520_499_9, 0.842_700_8, -0.995_322_3]),
        (UnaryOp::Sin, &[0.0, PI / 6.0, -FRAC_PI_2], &[0.0, 0.5, -1.0]),
        (UnaryOp::Cos, &[0.0, PI / 3.0, PI], &[1.0, 0.5, -1.0]),
    ];
    assert_eq!(known.map(|(op, ..)| op), UnaryOp::ALL);
    for (op, x, want) in known {
        let tensor = gpu.upload(&Array1::from(x.to_vec())).unwrap();
        let y: Array1<f32> = gpu.run(|r| r.unary(&tensor, op)).unwrap().download().unwrap();
        gpu.run(|r| r.unary_in_place(&tensor, op)).unwrap();
        assert_eq!(tensor.download::<f32, ndarray::Ix1>().unwrap(), y, "{} in place", op.name());
        for ((x, y), want) in x.iter().zip(&y).zip(want) {
            let near = if op.is_exact() { y == want } else { (y - want).abs() <= 5e-7 * want.abs() };
            assert!(near, "{}({x}) is {y}, not {want}", op.name());
        }
    }
    let x = gpu.upload(&array![-4.0f32, 1.0, f32::NAN]).unwrap();
    let fused = UnaryDescriptor { op: UnaryOp::Neg, activation: Activation::Relu };
    let y: Array1<f32> = gpu.run(|r| r.unary(&x, fused)).unwrap().download().unwrap();
    assert!(y[0] == 4.0 && y[1] == 0.0 && y[2].is_nan(), "{y}");
}

#[test]
fn comparisons_make_conditions_and_what_is_not_taken_does_not_matter() {
    let gpu = gpu();
    let (nan, inf, tiny) = (f32::NAN, f32::INFINITY, 1e-40f32);
    let values = [nan, -inf, -1.0, -tiny, -0.0, 0.0, tiny, 2.0 * tiny, 1.0, inf];
    let (column, row) = (Array1::from(values.to_vec()).insert_axis(ndarray::Axis(1)), Array1::from(values.to_vec()));
    let (a, b) = (gpu.upload(&column).unwrap(), gpu.upload(&row).unwrap());
    type Holds = fn(f32, f32) -> bool;
    let all: [(BinaryOp, Holds); 6] = [
        (BinaryOp::Equal, |a, b| a == b),
        (BinaryOp::NotEqual, |a, b| a != b),
        (BinaryOp::Less, |a, b| a < b),
        (BinaryOp::LessOrEqual, |a, b| a <= b),
        (BinaryOp::Greater, |a, b| a > b),
        (BinaryOp::GreaterOrEqual, |a, b| a >= b),
    ];
    for (op, holds) in all {
        let y: Array2<f32> = gpu.run(|r| r.binary(&a, &b, op)).unwrap().download().unwrap();
        for ((i, j), y) in y.indexed_iter() {
            assert_eq!(*y, f32::from(holds(values[i], values[j])), "{:e} {} {:e}", values[i], op.name(), values[j]);
        }
    }
    // NaN and a subnormal number are not 0; a NaN that is not taken stays behind.
    let condition = gpu.upload(&array![[nan, tiny, 0.0], [-0.0, 1.0, -inf]]).unwrap();
    let (a, b) = (gpu.upload(&array![1.0f32, nan, 3.0]).unwrap(), gpu.upload(&array![[nan], [-2.0f32]]).unwrap());
    let y: Array2<f32> = gpu.run(|r| r.where_cond(&condition, &a, &b)).unwrap().download().unwrap();
    assert!(y[[0, 0]] == 1.0 && y[[0, 1]].is_nan() && y[[0, 2]].is_nan(), "{y}");
    assert!(y[[1, 0]] == -2.0 && y[[1, 1]].is_nan() && y[[1, 2]] == 3.0, "{y}");
    let [x, low, high] = [array![-4.0f32, 0.5, 9.0, nan], array![-1.0], array![2.0, 0.25, 3.0, 1.0]].map(|v| gpu.upload(&v).unwrap());
    let y: Array1<f32> = gpu.run(|r| r.clamp(&x, &low, &high)).unwrap().download().unwrap();
    assert!(y[0] == -1.0 && y[1] == 0.25 && y[2] == 3.0 && y[3].is_nan(), "{y}");
    let wide = gpu.upload(&Array1::<f32>::ones(2)).unwrap();
    let error = gpu.run(|r| r.where_cond(&wide, &a, &b)).unwrap_err().to_string();
    assert_eq!(error, "condition is [2]: it must broadcast with a and b of shape [2, 3]: extents are equal or 1, not 3 and 2");
}

#[test]
fn many_ops_record_into_one_submit() {
    let gpu = gpu();
    let x = gpu.upload(&ramp((1, 2, 3, 4), 5, 11)).unwrap();
    let mut recorder = gpu.recorder();
    let doubled = recorder.add(&x, &x).unwrap();
    let rectified = recorder.activation(&doubled, Activation::Relu).unwrap();
    let y = recorder.binary(&rectified, &x, BinaryDescriptor { op: BinaryOp::Sub, activation: Activation::Relu }).unwrap();
    recorder.submit().unwrap();
    let expected = ramp((1, 2, 3, 4), 5, 11).mapv(|v| ((2.0 * v).max(0.0) - v).max(0.0));
    assert_eq!(y.download::<f32, Ix4>().unwrap(), expected);
}

#[test]
fn nan_wins_minima_and_maxima_and_goes_through_activations() {
    let gpu = gpu();
    let [a, b, c] = [array![1.0f32, f32::NAN, 3.0], array![2.0, 2.0, f32::NAN], array![0.0, 5.0, 1.0]].map(|v| gpu.upload(&v).unwrap());
    for (y, first) in [(gpu.run(|r| r.max(&[&a, &b, &c])).unwrap(), 2.0), (gpu.run(|r| r.min(&[&a, &b, &c])).unwrap(), 0.0)] {
        let y: Array1<f32> = y.download().unwrap();
        assert!(y[0] == first && y[1].is_nan() && y[2].is_nan(), "{y}");
    }
    assert_eq!(gpu.run(|r| r.max(&[&c])).unwrap().download::<f32, ndarray::Ix1>().unwrap(), array![0.0, 5.0, 1.0]);
    for activation in Activation::ALL {
        let y: Array1<f32> = gpu.run(|r| r.activation(&a, activation)).unwrap().download().unwrap();
        assert!(y[1].is_nan() && y[0].is_finite(), "{activation}: {y}");
    }
    let slope = gpu.upload(&array![0.5f32]).unwrap();
    let x = gpu.upload(&array![-4.0f32, 4.0, f32::NAN]).unwrap();
    let y: Array1<f32> = gpu.run(|r| r.prelu(&x, &slope)).unwrap().download().unwrap();
    assert!(y[0] == -2.0 && y[1] == 4.0 && y[2].is_nan(), "{y}");
}

#[test]
fn mistakes_are_named_with_value_and_rule() {
    let gpu = gpu();
    let (a, b) = (gpu.upload(&Array2::<f32>::ones((2, 3))).unwrap(), gpu.upload(&Array1::<f32>::ones(2)).unwrap());
    let error = gpu.run(|r| r.add(&a, &b)).unwrap_err().to_string();
    assert_eq!(error, "b is [2]: it must broadcast with a of shape [2, 3]: extents are equal or 1, not 3 and 2");
    let wide = gpu.upload(&Array2::<f32>::ones((4, 1))).unwrap();
    let error = gpu.run(|r| r.prelu(&b, &wide)).unwrap_err().to_string();
    assert_eq!(error, "slope is [4, 1]: it must broadcast to x of shape [2]");
    let error = gpu.run(|r| r.activation(&a, Activation::Clip { min: 1.0, max: -1.0 })).unwrap_err().to_string();
    assert_eq!(error, "clip is min 1, max -1: min must not exceed max");
    assert_eq!(gpu.run(|r| r.max(&[])).unwrap_err().to_string(), "tensors is 0: max takes at least one tensor");
    let error = gpu.run(|r| r.binary_in_place(&b, &wide, BinaryOp::Add)).unwrap_err().to_string();
    assert_eq!(error, "b is [4, 1]: in place, it must broadcast to a of shape [2]");
    if gpu.profile().has_f16 {
        let half = gpu.upload(&Array2::from_elem((2, 3), half::f16::ONE)).unwrap();
        let error = gpu.run(|r| r.add(&a, &half)).unwrap_err().to_string();
        assert_eq!(error, "b is f16: both operands have one element type, and a holds f32");
    }
    let sum: Array2<f32> = gpu.run(|r| r.add(&a, &a)).unwrap().download::<f32, Ix2>().unwrap();
    assert_eq!(sum.sum(), 12.0, "the device works on");
}
