//! Elementwise ops as an embedder meets them: broadcasting, in place, NaN, errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::{gpu, ramp};
use ndarray::{Array1, Array2, Array4, Ix2, Ix4, array};
use wgconv::elementwise::{BinaryDescriptor, BinaryOp};
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
