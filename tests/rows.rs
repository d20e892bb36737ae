//! Reductions, softmax and normalisation as an embedder meets them: known values, NaN, large values, layouts, in place, folding, errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::{gpu, ramp};
use ndarray::{Array1, Array2, Array3, Array4, Axis, Ix0, Ix1, Ix2, Ix4, array};
use wgconv::conv::{Conv2dDescriptor, ConvTranspose2dDescriptor, Direction};
use wgconv::matmul::MatMulDescriptor;
use wgconv::norm::{
    BatchNorm, BatchNormDescriptor, BatchNormValues, GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, LrnDescriptor, NormInputs,
    NormProblem, fold_batch_norm,
};
use wgconv::op::Planned;
use wgconv::pool::PoolKind;
use wgconv::reduce::{ArgmaxDescriptor, ReduceDescriptor, ReduceProblem};
use wgconv::{Error, Layout, TensorType};

#[test]
fn reductions_over_any_axes_in_both_layouts() {
    let gpu = gpu();
    let image = ramp((2, 3, 4, 5), 5, 11);
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let x = gpu.upload_as(&image, layout).unwrap();
        let y: Array3<f32> = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::sum(&[-1]))).unwrap().download().unwrap();
        assert_eq!(y, image.sum_axis(Axis(3)), "{layout:?}");
        let y: Array3<f32> = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::sum(&[0]))).unwrap().download().unwrap();
        assert_eq!(y, image.sum_axis(Axis(0)), "{layout:?}");
        let y: Array1<f32> = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::sum(&[0, 2, 3]))).unwrap().download().unwrap();
        assert_eq!(y, image.sum_axis(Axis(3)).sum_axis(Axis(2)).sum_axis(Axis(0)), "{layout:?}");
        let kept = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::max(&[1, 3]).with_keepdims(true))).unwrap();
        assert_eq!((kept.shape().extents(), kept.layout()), (&[2, 1, 4, 1][..], layout));
        assert_eq!(gpu.run(|r| r.reduce(&x, &ReduceDescriptor::sum(&[]))).unwrap().download::<f32, Ix0>().unwrap().into_scalar(), image.sum());
        let y: Array4<f32> = gpu.run(|r| r.global_pool(&x, PoolKind::AVERAGE)).unwrap().download().unwrap();
        for (got, want) in y.iter().zip(image.sum_axis(Axis(3)).sum_axis(Axis(2)).iter()) {
            assert!((got - want / 20.0).abs() < 1e-6, "{layout:?}");
        }
    }
}

#[test]
fn a_line_of_a_million_is_summed_whole() {
    // One driver ends long loops without a word: what is cut into chunks must not care.
    let gpu = gpu();
    let x = gpu.upload(&Array1::<f32>::ones(1_000_003)).unwrap();
    assert_eq!(gpu.run(|r| r.reduce(&x, &ReduceDescriptor::sum(&[]))).unwrap().download::<f32, Ix0>().unwrap().into_scalar(), 1_000_003.0);
    let x = gpu.upload(&Array2::<f32>::ones((300, 70_001))).unwrap();
    let y: Array1<f32> = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::sum(&[1]))).unwrap().download().unwrap();
    assert!(y.iter().all(|v| *v == 70_001.0));
    let a = gpu.upload(&Array2::<f32>::ones((8, 70_001))).unwrap();
    let b = gpu.upload(&Array2::<f32>::ones((70_001, 40))).unwrap();
    let y: Array2<f32> = gpu.run(|r| r.matmul(&a, &b, &MatMulDescriptor::default())).unwrap().download().unwrap();
    assert!(y.iter().all(|v| *v == 70_001.0));
}

#[test]
fn the_largest_and_where_it_stands() {
    let gpu = gpu();
    let x = gpu.upload(&array![[1.0f32, 7.0, 7.0], [f32::NAN, 9.0, f32::NAN], [f32::NEG_INFINITY, f32::NEG_INFINITY, -1.0]]).unwrap();
    let max: Array1<f32> = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::max(&[1]))).unwrap().download().unwrap();
    assert!(max[0] == 7.0 && max[1].is_nan() && max[2] == -1.0, "{max}");
    let first: Array1<u32> = gpu.run(|r| r.argmax(&x, &ArgmaxDescriptor { axis: Some(1), ..Default::default() })).unwrap().download().unwrap();
    let last: Array1<u32> =
        gpu.run(|r| r.argmax(&x, &ArgmaxDescriptor { axis: Some(-1), select_last: true, ..Default::default() })).unwrap().download().unwrap();
    assert_eq!((first, last), (array![1, 0, 2], array![2, 2, 2]));
    assert_eq!(gpu.run(|r| r.argmax(&x, &ArgmaxDescriptor::default())).unwrap().download::<u32, Ix0>().unwrap().into_scalar(), 3, "the first NaN");
    let scores = gpu.upload(&array![[0.1f32, 0.7, 0.2], [0.5, 0.2, 0.3]]).unwrap();
    assert_eq!(
        gpu.run(|r| r.argmax(&scores, &ArgmaxDescriptor { axis: Some(1), ..Default::default() })).unwrap().download::<u32, Ix1>().unwrap(),
        array![1, 0]
    );
}

#[test]
fn the_smallest_and_the_product() {
    let gpu = gpu();
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let x = gpu.upload(&array![[1.0f32, -7.0, 7.0, 0.5], [nan, 9.0, 0.0, 1.0], [inf, inf, -1.0, 2.0], [3.0, inf, 5.0, -0.0]]).unwrap();
    let min: Array1<f32> = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::min(&[1]))).unwrap().download().unwrap();
    assert!(min[0] == -7.0 && min[1].is_nan() && min[2] == -1.0 && min[3] == 0.0, "{min}");
    let product: Array1<f32> = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::prod(&[1]))).unwrap().download().unwrap();
    assert!(product[0] == -24.5 && product[1].is_nan() && product[2] == -inf && product[3].is_nan(), "{product}");
    // Long enough for chunks, with one factor that counts in each of them.
    let x = gpu.upload(&Array1::from_shape_fn(100_011, |i| if i % 10_000 == 7 { -2.0f32 } else { 1.0 })).unwrap();
    assert_eq!(gpu.run(|r| r.reduce(&x, &ReduceDescriptor::prod(&[]))).unwrap().download::<f32, Ix0>().unwrap().into_scalar(), -2048.0);
}

#[test]
fn softmax_survives_large_values_and_masks() {
    let gpu = gpu();
    let inf = f32::INFINITY;
    let x = gpu.upload(&array![[1e4f32, 1e4, -1e4], [0.0, -inf, 0.0], [-inf, -inf, -inf]]).unwrap();
    let y: Array2<f32> = gpu.run(|r| r.softmax(&x, -1)).unwrap().download().unwrap();
    for (got, want) in y.iter().take(6).zip([0.5, 0.5, 0.0, 0.5, 0.0, 0.5]) {
        assert!((got - want).abs() < 1e-6, "{y}");
    }
    assert!(y.row(2).iter().all(|v| v.is_nan()), "a row of -inf has no softmax: {y}");
    let logs: Array2<f32> = gpu.run(|r| r.log_softmax(&x, 1)).unwrap().download().unwrap();
    assert!((logs[[0, 0]] + std::f32::consts::LN_2).abs() < 1e-5 && logs[[0, 2]] == -20_000.693 && logs[[1, 1]] == -inf, "{logs}");
    let copy = gpu.upload(&ramp((2, 3, 4, 5), 5, 11)).unwrap();
    let apart: Array4<f32> = gpu.run(|r| r.softmax(&copy, 1)).unwrap().download().unwrap();
    gpu.run(|r| r.softmax_in_place(&copy, 1)).unwrap();
    assert_eq!(copy.download::<f32, Ix4>().unwrap(), apart);
    let copy = gpu.upload(&ramp((2, 3, 4, 5), 5, 11)).unwrap();
    let logs: Array4<f32> = gpu.run(|r| r.log_softmax(&copy, 3)).unwrap().download().unwrap();
    gpu.run(|r| r.log_softmax_in_place(&copy, 3)).unwrap();
    assert_eq!(copy.download::<f32, Ix4>().unwrap(), logs);
    for sum in apart.sum_axis(Axis(1)).iter() {
        assert!((sum - 1.0).abs() < 1e-6);
    }
}

#[test]
fn normalised_rows_have_mean_zero_and_variance_one() {
    let gpu = gpu();
    let image = ramp((2, 6, 3, 4), 5, 11);
    let moments = |y: Vec<f32>| {
        let n = y.len() as f32;
        let mean = y.iter().sum::<f32>() / n;
        (mean, y.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n)
    };
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let x = gpu.upload_as(&image, layout).unwrap();
        let groups: Array4<f32> =
            gpu.run(|r| r.group_norm(&x, None, None, &GroupNormDescriptor { groups: 3, epsilon: 1e-9 })).unwrap().download().unwrap();
        let instances: Array4<f32> =
            gpu.run(|r| r.instance_norm(&x, None, None, &InstanceNormDescriptor { epsilon: 1e-9 })).unwrap().download().unwrap();
        let layers: Array4<f32> =
            gpu.run(|r| r.layer_norm(&x, None, None, &LayerNormDescriptor { axis: 1, epsilon: 1e-9 })).unwrap().download().unwrap();
        let parts = [
            groups.slice(ndarray::s![1, 2..4, .., ..]).iter().copied().collect::<Vec<_>>(),
            instances.slice(ndarray::s![0, 5, .., ..]).iter().copied().collect(),
            layers.slice(ndarray::s![1, .., .., ..]).iter().copied().collect(),
        ];
        for part in parts {
            let (mean, variance) = moments(part);
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{layout:?}: {mean} {variance}");
        }
    }
    let [y, mean, inverse] = gpu
        .run(|r| {
            r.layer_norm_statistics(
                &gpu.upload(&array![[1.0f32, 3.0], [2.0, 2.0]]).unwrap(),
                None,
                None,
                &LayerNormDescriptor { axis: -1, epsilon: 0.0 },
            )
        })
        .unwrap();
    assert_eq!(mean.download::<f32, Ix2>().unwrap(), array![[2.0], [2.0]]);
    assert_eq!(inverse.download::<f32, Ix2>().unwrap()[[0, 0]], 1.0);
    assert_eq!(y.download::<f32, Ix2>().unwrap().row(0).to_vec(), [-1.0, 1.0]);
}

#[test]
fn a_folded_batch_norm_gives_what_convolution_and_batch_norm_give() {
    let gpu = gpu();
    let (scale, bias) = (array![1.5f32, -0.5, 2.0, 0.25], array![0.5f32, 1.0, -1.0, 0.0]);
    let (mean, variance) = (array![3.0f32, -2.0, 0.5, 10.0], array![4.0f32, 0.25, 1.0, 9.0]);
    let values = BatchNormValues { scale: scale.view(), bias: bias.view(), mean: mean.view(), variance: variance.view(), epsilon: 1e-5 };
    let [s, b, m, v] = [&scale, &bias, &mean, &variance].map(|a| gpu.upload(a).unwrap());
    let norm = BatchNorm { scale: Some(&s), bias: Some(&b), mean: &m, variance: &v };
    let image = gpu.upload(&ramp((1, 4, 6, 5), 5, 11)).unwrap();
    let conv_bias = array![1.0f32, 2.0, 3.0, 4.0];
    let close = |a: Array4<f32>, b: Array4<f32>| a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs()) * 10.0);

    let filter = ramp((4, 2, 3, 3), 5, 11).into_dyn();
    let descriptor = Conv2dDescriptor { groups: 2, ..Default::default() };
    let plain = gpu.run(|r| r.conv2d(&image, &gpu.upload(&filter).unwrap(), Some(&gpu.upload(&conv_bias).unwrap()), &descriptor)).unwrap();
    let apart: Array4<f32> = gpu.run(|r| r.batch_norm(&plain, &norm, &BatchNormDescriptor::default())).unwrap().download().unwrap();
    let (w, c) = fold_batch_norm(Direction::Forward, 2, filter.view(), Some(conv_bias.view()), &values).unwrap();
    let folded = gpu.run(|r| r.conv2d(&image, &gpu.upload(&w).unwrap(), Some(&gpu.upload(&c).unwrap()), &descriptor)).unwrap();
    assert!(close(folded.download().unwrap(), apart.clone()));
    gpu.run(|r| r.batch_norm_in_place(&plain, &norm, &BatchNormDescriptor::default())).unwrap();
    assert_eq!(plain.download::<f32, Ix4>().unwrap(), apart);

    let filter = ramp((4, 2, 2, 3), 5, 11).into_dyn();
    let descriptor = ConvTranspose2dDescriptor { groups: 2, stride: [2, 1], ..Default::default() };
    let plain = gpu.run(|r| r.conv_transpose2d(&image, &gpu.upload(&filter).unwrap(), None, &descriptor)).unwrap();
    let apart: Array4<f32> = gpu.run(|r| r.batch_norm(&plain, &norm, &BatchNormDescriptor::default())).unwrap().download().unwrap();
    let (w, c) = fold_batch_norm(Direction::Transposed, 2, filter.view(), None, &values).unwrap();
    let folded = gpu.run(|r| r.conv_transpose2d(&image, &gpu.upload(&w).unwrap(), Some(&gpu.upload(&c).unwrap()), &descriptor)).unwrap();
    assert!(close(folded.download().unwrap(), apart));
    let error = fold_batch_norm(Direction::Forward, 1, ramp((3, 2, 1, 1), 5, 11).into_dyn().view(), None, &values).unwrap_err().to_string();
    assert_eq!(error, "scale is 4: it has one value per output channel: 3");
}

#[test]
fn mistakes_are_named_with_value_and_rule() {
    let gpu = gpu();
    let x = gpu.upload(&ramp((2, 6, 3, 4), 5, 11)).unwrap();
    let error = gpu.run(|r| r.reduce(&x, &ReduceDescriptor::sum(&[0, -4]))).unwrap_err().to_string();
    assert_eq!(error, "axes is [0, -4]: an axis may stand once, and axis 0 stands twice");
    let error = gpu.run(|r| r.softmax(&x, 4)).unwrap_err().to_string();
    assert_eq!(error, "axis is 4: it must lie within the rank: -4 to 3 for rank 4");
    let last = gpu.upload_as(&ramp((2, 6, 3, 4), 5, 11), Layout::ChannelsLast).unwrap();
    assert!(gpu.run(|r| r.argmax(&last, &ArgmaxDescriptor::default())).unwrap_err().to_string().contains("convert x to channels_first"));
    assert_eq!(
        gpu.run(|r| r.group_norm(&x, None, None, &GroupNormDescriptor { groups: 4, epsilon: 1e-5 })).unwrap_err().to_string(),
        "groups is 4: groups must divide the 6 channels"
    );
    let short = gpu.upload(&Array1::<f32>::ones(5)).unwrap();
    assert_eq!(
        gpu.run(|r| r.instance_norm(&x, Some(&short), None, &InstanceNormDescriptor { epsilon: 1e-5 })).unwrap_err().to_string(),
        "scale is [5]: it has the extents [6]"
    );
    assert!(gpu.run(|r| r.layer_norm(&x, None, None, &LayerNormDescriptor { axis: 1, epsilon: f32::NAN })).is_err());
    assert_eq!(
        gpu.run(|r| r.lrn(&x, &LrnDescriptor { size: 0, ..Default::default() })).unwrap_err().to_string(),
        "size is 0: size must be at least 1"
    );
    let norm = BatchNorm { scale: None, bias: None, mean: &short, variance: &short };
    assert_eq!(
        gpu.run(|r| r.batch_norm(&x, &norm, &BatchNormDescriptor::default())).unwrap_err().to_string(),
        "mean is [5]: it has one value per channel: [6]"
    );
}

#[test]
fn the_cpu_engine_and_the_reference_check_their_slices() {
    let problem = ReduceProblem::new(&TensorType::f32(&[2, 3]), &ReduceDescriptor::sum(&[1])).unwrap();
    let (x, mut y) = ([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0f32; 2]);
    assert!(wgconv::cpu::compute(&problem, &[&x], &mut y).unwrap());
    assert_eq!(y, [6.0, 15.0]);
    let error = wgconv::cpu::compute(&problem, &[&x[..5]], &mut y).unwrap_err().to_string();
    assert_eq!(error, "x is 5 elements: the op has 6");
    assert!(wgconv::cpu::compute(&problem, &[&x], &mut [0.0; 3]).is_err());
    assert!(wgconv::cpu::compute(&problem, &[], &mut y).is_err());
    assert!(wgconv::reference::compute(&problem, &[&[1.0; 7]]).is_err());
    assert_eq!(wgconv::reference::compute(&problem, &[&[1.0; 6]]).unwrap()[0].value, [3.0, 3.0]);
}

#[test]
fn a_driver_that_ends_long_loops_gets_more_lanes_or_a_refusal() {
    let limited = wgconv::gpu::DeviceProfile { is_cpu: true, max_loop_iterations: 65_535, ..wgconv::gpu::DeviceProfile::MINIMAL };
    let row = |length: usize| {
        NormProblem::layer(
            &NormInputs { x: TensorType::f32(&[2, length]), scale: None, bias: None },
            &LayerNormDescriptor { axis: -1, epsilon: 1e-5 },
        )
        .unwrap()
    };
    assert_eq!(row(10_000).plan(&limited, None).unwrap().label, "rows 16");
    assert_eq!(row(1_000_000).plan(&limited, None).unwrap().label, "rows 64");
    let error = row(100_000_000).plan(&limited, None).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let sum = ReduceProblem::new(&TensorType::f32(&[100_000_000]), &ReduceDescriptor::sum(&[])).unwrap();
    let wide = wgconv::gpu::DeviceProfile { max_binding_bytes: 1 << 31, max_buffer_bytes: 1 << 31, ..limited };
    assert!(sum.plan(&wide, None).is_ok(), "a sum is cut into chunks instead");
}
