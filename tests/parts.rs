//! Ops in parts: what no binding holds is the same numbers as in one piece, on devices that would refuse a larger binding; the whole grid is planned on the
//! smallest limits; and true cases, larger than the 128 MiB that WebGPU's default limits give a binding.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::damage::{Damage, assert_all_reported};
use common::gpu;
use ndarray::{ArrayD, IxDyn};
use std::collections::{BTreeMap, BTreeSet};
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem, ConvTranspose2dDescriptor};
use wgconv::gpu::DeviceProfile;
use wgconv::gradient::{AdjointOf, AdjointProblem, MaxUnpoolGradient};
use wgconv::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem, ScatterReduction};
use wgconv::op::{Op, Planned, Problem};
use wgconv::pool::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, MaxUnpoolProblem, PoolDescriptor, PoolKind, PoolProblem};
use wgconv::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceProblem, TopKDescriptor, TopKOrder, TopKProblem};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::transform::{GridSample, GridSampleDescriptor};
use wgconv::validate::grid;
use wgconv::{Activation, ElementType, Error, Gpu, Layout, Padding, Tensor, TensorType, wgpu};

/// A device of these limits.
fn gpu_of(required_limits: wgpu::Limits) -> Gpu {
    let adapters = pollster::block_on(wgconv::gpu::instance().enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().expect("the tests need an adapter; scripts/test.sh installs a software one");
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor { required_limits, ..Default::default() })).unwrap();
    Gpu::from_wgpu(adapter, device, queue).unwrap()
}

/// A device whose bindings hold 64 KiB.
fn narrow_gpu() -> Gpu {
    gpu_of(wgpu::Limits { max_storage_buffer_binding_size: 64 << 10, max_compute_workgroups_per_dimension: 40, ..wgpu::Limits::default() })
}

/// What a tensor of an op holds: element `i` of tensor `index`.
type Fill<'a> = dyn Fn(usize, usize) -> f64 + 'a;

/// Small integers of either sign.
fn small(index: usize, i: usize) -> f64 {
    ((i * (5 + 2 * index) + i / 7) % 9) as f64 - 4.0
}

/// The outputs of an op as bits, and how many calls it takes.
fn run(gpu: &Gpu, op: &Op, fill: &Fill<'_>) -> (usize, Vec<Vec<u32>>) {
    let tensors: Vec<Tensor> = op
        .inputs()
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let (extents, layout) = (IxDyn(&spec.tensor.extents), spec.tensor.layout);
            let values = (0..spec.count() as usize).map(|i| fill(index, i));
            match spec.tensor.element {
                ElementType::U32 => gpu.upload_as(&ArrayD::from_shape_vec(extents, values.map(|v| v as u32).collect()).unwrap(), layout).unwrap(),
                _ => gpu.upload_as(&ArrayD::from_shape_vec(extents, values.map(|v| v as f32).collect()).unwrap(), layout).unwrap(),
            }
        })
        .collect();
    let outputs = gpu.run(|r| r.op(op.clone(), &tensors.iter().collect::<Vec<_>>())).unwrap();
    let read = |y: &Tensor| match y.element() {
        ElementType::U32 => y.download::<u32, IxDyn>().unwrap().into_iter().collect(),
        _ => y.download::<f32, IxDyn>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<u32>>(),
    };
    (op.plan(gpu.profile(), None).unwrap().steps.len(), outputs.iter().map(read).collect())
}

/// Of a number that f32 holds.
fn bits(value: f64) -> u32 {
    (value as f32).to_bits()
}

fn f32s(extents: &[usize]) -> TensorType {
    TensorType::f32(extents)
}

fn u32s(extents: &[usize]) -> TensorType {
    TensorType::new(extents, ElementType::U32, Layout::ChannelsFirst)
}

#[test]
fn parts_are_the_numbers_of_the_whole() {
    let (narrow, wide) = (narrow_gpu(), gpu());
    let last = TensorType::new(&[1, 3, 160, 140], ElementType::F32, Layout::ChannelsLast);
    let same = Conv2dDescriptor { padding: Padding::Same, activation: Activation::Relu, ..Default::default() };
    let indexed = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
    let pool = PoolDescriptor::<2>::window([3, 2]);
    let unpool = MaxUnpoolProblem::new(&f32s(&[2, 2, 60, 50]), &[2, 2, 60, 50], &MaxUnpoolDescriptor { pool, output_shape: None }).unwrap();
    let scatter = |x: &[usize], indices: &[usize], updates: &[usize], indexing| {
        let descriptor = ScatterDescriptor { indexing, reduction: ScatterReduction::Add };
        ScatterProblem::new(&f32s(x), &u32s(indices), &f32s(updates), &descriptor)
    };
    let adjoint_of = |pool: PoolDescriptor<2>, kind| {
        let of = PoolProblem::new(&f32s(&[1, 2, 150, 140]), &pool.with_kind(kind)).unwrap();
        AdjointProblem::new(AdjointOf::Pool(of))
    };
    let adjoint = |kind| adjoint_of(pool, kind);
    let all: Vec<(&str, wgconv::Result<Op>)> = vec![
        ("filters", ConvProblem::forward::<2>(&ConvInputs::new(&[2, 40, 9, 7], &[50, 40, 3, 3], Some(&[50])), &same).map(Into::into)),
        (
            "groups of filters",
            ConvProblem::forward::<2>(&ConvInputs::new(&[1, 60, 9, 7], &[90, 20, 3, 3], None), &Conv2dDescriptor { groups: 3, ..same })
                .map(Into::into),
        ),
        (
            "filters of a transposed convolution",
            ConvProblem::transposed::<2>(&ConvInputs::new(&[1, 40, 5, 7], &[40, 51, 3, 3], None), &ConvTranspose2dDescriptor::default())
                .map(Into::into),
        ),
        ("filters, and large images", ConvProblem::forward::<2>(&ConvInputs::new(&[1, 40, 90, 90], &[50, 40, 3, 3], None), &same).map(Into::into)),
        ("unpool", Ok(unpool.clone().into())),
        ("gradient of an unpool", Ok(MaxUnpoolGradient::new(unpool).into())),
        ("pool with indices", PoolProblem::new(&f32s(&[1, 2, 170, 130]), &pool.with_kind(indexed)).map(Into::into)),
        ("pool with indices, channels-last", PoolProblem::new(&last, &pool.with_kind(indexed)).map(Into::into)),
        (
            "adaptive pool",
            PoolProblem::adaptive(&f32s(&[1, 2, 170, 130]), &AdaptivePoolDescriptor { kind: indexed, output: [11, 7] }).map(Into::into),
        ),
        // A maximum hides a row that a part lost, a mean does not.
        (
            "adaptive average pool",
            PoolProblem::adaptive(&f32s(&[1, 2, 170, 130]), &AdaptivePoolDescriptor { kind: PoolKind::AVERAGE, output: [11, 7] }).map(Into::into),
        ),
        ("average pool of windows that overlap", PoolProblem::new(&last, &pool.with_stride([2, 1]).with_kind(PoolKind::AVERAGE)).map(Into::into)),
        ("gradient of an average pool", adjoint(PoolKind::AVERAGE).map(Into::into)),
        ("gradient of a max pool", adjoint(indexed).map(Into::into)),
        ("gradient of a max pool of windows that overlap", adjoint_of(pool.with_stride([2, 1]), indexed).map(Into::into)),
        ("gradient of an average pool of windows that overlap", adjoint_of(pool.with_stride([2, 1]), PoolKind::AVERAGE).map(Into::into)),
        ("scatter of slices", scatter(&[2, 50, 400], &[30], &[2, 30, 400], Indexing::Slices { axis: 1 }).map(Into::into)),
        ("scatter to a long axis", scatter(&[40_000], &[900], &[900], Indexing::Slices { axis: 0 }).map(Into::into)),
        ("gather of wide places", GatherProblem::new(&f32s(&[5, 20_000]), &u32s(&[3]), Indexing::Slices { axis: 0 }).map(Into::into)),
        ("gather by many rows", GatherProblem::new(&f32s(&[100, 3]), &u32s(&[20_000]), Indexing::Slices { axis: 0 }).map(Into::into)),
        ("top k", TopKProblem::new(&f32s(&[9, 3000]), &TopKDescriptor { k: 5, axis: 1, order: TopKOrder::Largest }).map(Into::into)),
        ("grid sample", GridSample::new(&f32s(&[1, 3, 100, 150]), &f32s(&[1, 40, 30, 2]), &GridSampleDescriptor::default()).map(Into::into)),
        ("softmax beside each other", SoftmaxProblem::new(&f32s(&[2, 20_000]), &SoftmaxDescriptor { axis: 0, ..Default::default() }).map(Into::into)),
        (
            "argmax beside each other",
            ArgmaxProblem::new(&f32s(&[2, 20_000]), &ArgmaxDescriptor { axis: Some(0), ..Default::default() }).map(Into::into),
        ),
        ("sums beside each other", ReduceProblem::new(&f32s(&[3, 20_000]), &ReduceDescriptor::sum(&[0])).map(Into::into)),
    ];
    let mut wrong = vec![];
    for (name, op) in all {
        let op = op.unwrap();
        let fill: Box<Fill<'_>> = match &op {
            // Indices inside what they count in, some of them alike.
            Op::Scatter(_) | Op::Gather(_) => Box::new(|index, i| if index == 1 { (i * 7 % 50 % 5) as f64 } else { small(index, i) }),
            Op::MaxUnpool(_) | Op::MaxUnpoolGradient(_) => Box::new(|index, i| if index == 1 { (i * 101 % 18_000) as f64 } else { small(index, i) }),
            Op::GridSample(_) => Box::new(|index, i| if index == 1 { small(i % 3, i) / 3.7 } else { small(index, i) }),
            // Winners inside their windows, of rows of 140: others take no gradient, and no part could go wrong.
            Op::Adjoint(adjoint) => {
                let extents = adjoint.inputs()[0].tensor.extents.clone();
                let stride = if extents[2] == 50 { [3, 2] } else { [2, 1] };
                let winner = move |i: usize| (i / extents[3] % extents[2] * stride[0] + i % 3) * 140 + i % extents[3] * stride[1] + i % 2;
                Box::new(move |index, i| if index == 1 { winner(i) as f64 } else { small(index, i) })
            }
            _ => Box::new(small),
        };
        let ((parts, split), (whole, expected)) = (run(&narrow, &op, &*fill), run(&wide, &op, &*fill));
        assert!(parts > whole, "{name}: {parts} calls against {whole}");
        if split != expected {
            wrong.push(name);
        }
    }
    assert_eq!(wrong, Vec::<&str>::new());
}

/// Where a part stands: indices that count from another row, windows of another row, updates of another part.
#[test]
fn damaged_places_of_parts_are_reported() {
    let damages: &[Damage] = &[
        ("pool_indices[", "max_pool/direct/n2c3h53w41", "params.index_first + (place.x", "(place.x", "exact"),
        ("pool_indices[", "max_pool/direct/n2c3h53w41", "* params.index_width + place.z", "* params.index_height + place.z", "exact"),
        ("pool[", "adaptive_average_pool/direct/n2c3h53w41", "let own = o + axis.pad;", "let own = o;", "bounded"),
        ("pool[", "adaptive_average_pool/direct/n2c3h53w41", "first - axis.pad_end", "first", "bounded"),
        ("pool_max_unpool[", "max_unpool/scatter/x_2x2x21x11", "indices[item] - params.first_y", "indices[item]", "exact"),
        ("pool_max_unpool[", "max_unpool_backward/scatter/x_2x2x21x11", "indices[item] - params.first_y", "indices[item]", "exact"),
        ("transform_adjoint_indices[", "max_pool_backward/direct/n1c2h43w37", "axis.first_place + c", "c", "exact"),
        ("transform_scatter_indexed[", "scatter_elements/scatter/2000", "- params.first_place", "", "exact"),
    ];
    assert_all_reported(damages);
}

/// Every case of the whole grid on bindings of 1 MiB, 64 workgroups an axis, 4 storage buffers and 16 KiB of workgroup memory, by planning alone.
#[test]
fn the_whole_grid_is_planned_on_tiny_limits() {
    let tiny = DeviceProfile {
        max_binding_bytes: 1 << 20,
        max_workgroups_per_axis: 64,
        max_storage_buffers: 4,
        max_workgroup_memory: 16 << 10,
        has_f16: true,
        ..DeviceProfile::MINIMAL
    };
    let (mut planned, mut refused, mut unserved) = (0, BTreeMap::new(), vec![]);
    for case in grid::cases(true).unwrap() {
        let algorithm = case.algorithm.split(' ').next().unwrap();
        if !case.op.algorithms(&case.profile(&tiny)).contains(&algorithm) {
            continue;
        }
        match case.plan(&tiny) {
            Ok(_) => planned += 1,
            // A tile that the device cannot hold.
            Err(Error::Unsupported { .. }) if case.algorithm.contains(' ') => {}
            Err(Error::TooLarge { limit_name, .. }) => {
                // `validate` skips these, on limits below WebGPU's defaults, with need and limit.
                if limit_name != "max_storage_buffers_per_shader_stage" && case.op.plan(&tiny, None).is_err() {
                    unserved.push(case.id());
                }
                refused.entry(limit_name).or_insert_with(Vec::new).push(case.id());
            }
            Err(error) => panic!("{}: {error}", case.id()),
        }
    }
    // Kernels of five tensors and more.
    let buffers = refused.remove("max_storage_buffers_per_shader_stage").unwrap_or_default();
    let ops: BTreeSet<&str> = buffers.iter().filter_map(|id| id.split('/').next()).collect();
    assert_eq!(ops.into_iter().collect::<Vec<_>>(), ["batch_norm", "conv", "conv_transpose", "layer_norm", "linear", "optimizer"]);
    assert!(planned > 5000 && buffers.len() < planned / 8, "{planned} planned, {} refused for want of storage buffers", buffers.len());
    // A workgroup for each of so many short rows; tiles of so large a window, padded to several filters, of which a group has one, without and with a residual.
    let known = BTreeMap::from([
        ("max_compute_workgroups_per_dimension squared", vec!["pad/rows/2x3x4x5x63_cl_f16_replicate_p0x0x2x1x3,0x0x1x3x2".to_string()]),
        (
            "max_storage_buffer_binding_size",
            ["", "_r"].map(|more| format!("conv/implicit_gemm_workgroup/n1c2h70w150_k2r66s140_st1x1_p0,0,0,0_d1x1_g2_b{more}")).to_vec(),
        ),
    ]);
    assert_eq!(refused, known);
    // With bias and residual the direct kernel binds five buffers.
    assert_eq!(unserved, known["max_storage_buffer_binding_size"][1..]);
}

/// A device of WebGPU's default limits: bindings of 128 MiB, buffers of 256.
fn plain_gpu() -> Gpu {
    let gpu = gpu_of(wgpu::Limits::default());
    assert_eq!((gpu.profile().max_binding_bytes, gpu.profile().max_buffer_bytes), (128 << 20, 256 << 20));
    gpu
}

/// A tensor of the op is larger than a binding, and elements of each output, far apart and at the ends, are what `expected` says.
fn assert_large(gpu: &Gpu, op: impl Into<Op>, fill: &Fill<'_>, expected: &dyn Fn(usize, usize) -> u32) {
    let op = op.into();
    let largest = op.inputs().iter().chain(&op.outputs()).map(|spec| spec.bytes()).max().unwrap();
    assert!(largest > 128 << 20, "{op}");
    let (_, outputs) = run(gpu, &op, fill);
    for (index, output) in outputs.iter().enumerate() {
        let count = output.len();
        for i in (0..count).step_by(1009.min(count.div_ceil(20))).chain(count.saturating_sub(5)..count) {
            assert_eq!(output[i], expected(index, i), "{op}: element {i} of output {index}");
        }
    }
}

/// The first dense layer of VGG as a convolution, 205 MB of filters, over one column more, and its data gradient's form.
#[test]
fn filters_of_200_megabytes() {
    let gpu = plain_gpu();
    let (filters, channels) = (2048, 512);
    let depth = channels * 49;
    let conv =
        ConvProblem::forward::<2>(&ConvInputs::new(&[1, channels, 7, 8], &[filters, channels, 7, 7], None), &Conv2dDescriptor::default()).unwrap();
    // Element (c, h, w) of a filter takes the one at (c, h, w + column) of x.
    assert_large(&gpu, conv, &small, &|_, i| {
        let (k, column) = (i / 2, i % 2);
        bits((0..depth).map(|i| small(0, i / 7 * 8 + i % 7 + column) * small(1, k * depth + i)).sum())
    });
    let transposed = ConvTranspose2dDescriptor::default();
    let conv = ConvProblem::transposed::<2>(&ConvInputs::new(&[1, channels, 1, 1], &[channels, filters, 7, 7], None), &transposed).unwrap();
    assert_large(&gpu, conv, &small, &|_, i| bits((0..channels).map(|c| small(0, c) * small(1, c * filters * 49 + i)).sum()));
}

/// A plane of 139 MB.
#[test]
fn planes_of_139_megabytes() {
    let gpu = plain_gpu();
    let (height, width) = (5800, 6000);
    let x = f32s(&[1, 1, height, width]);
    let at = |h: usize, w: usize| small(0, h * width + w);
    let indexed = PoolKind::Max { indices: Some(IndexOrder::RowMajor) };
    // The first maximum of rows and columns.
    let best = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
        let all = rows.flat_map(|h| columns.clone().map(move |w| (h, w)));
        all.fold((f64::NEG_INFINITY, 0), |best, (h, w)| if at(h, w) > best.0 { (at(h, w), h * width + w) } else { best })
    };
    let of = |output: usize, (value, index): (f64, usize)| if output == 0 { bits(value) } else { index as u32 };
    let pool = PoolDescriptor::<2>::window([2, 2]);
    assert_large(&gpu, PoolProblem::new(&x, &pool.with_kind(indexed)).unwrap(), &small, &|output, i| {
        let (h, w) = (2 * (i / (width / 2)), 2 * (i % (width / 2)));
        of(output, best(h..h + 2, w..w + 2))
    });
    let [rows, columns] = [29, 31];
    let adaptive = AdaptivePoolDescriptor { kind: indexed, output: [rows, columns] };
    assert_large(&gpu, PoolProblem::adaptive(&x, &adaptive).unwrap(), &small, &|output, i| {
        let range = |o: usize, input: usize, outputs: usize| o * input / outputs..((o + 1) * input).div_ceil(outputs);
        of(output, best(range(i / columns, height, rows), range(i % columns, width, columns)))
    });
    // Into the last element of each window, and from there.
    let half = [1, 1, height / 2, width / 2];
    let last = |i: usize| (2 * (i / (width / 2)) + 1) * width + 2 * (i % (width / 2)) + 1;
    let fill = |index: usize, i: usize| if index == 1 { last(i) as f64 } else { small(index, i) };
    let unpool = MaxUnpoolProblem::new(&f32s(&half), &half, &MaxUnpoolDescriptor { pool, output_shape: None }).unwrap();
    assert_large(&gpu, unpool.clone(), &fill, &|_, i| {
        let (h, w) = (i / width, i % width);
        if h % 2 == 1 && w % 2 == 1 { bits(small(0, h / 2 * (width / 2) + w / 2)) } else { 0 }
    });
    assert_large(&gpu, MaxUnpoolGradient::new(unpool), &fill, &|_, i| bits(small(0, last(i))));
    let average = PoolProblem::new(&x, &pool.with_kind(PoolKind::AVERAGE)).unwrap();
    assert_large(&gpu, AdjointProblem::new(AdjointOf::Pool(average)).unwrap(), &small, &|_, i| {
        bits(small(0, i / width / 2 * (width / 2) + i % width / 2) / 4.0)
    });
}

#[test]
fn lines_and_places_of_140_megabytes() {
    let gpu = plain_gpu();
    let (lines, length) = (2, 18_000_000);
    let x = f32s(&[lines, length]);
    let [upper, lower] = [0, 1].map(|line| move |i: usize| small(0, line * length + i));
    assert_large(&gpu, ReduceProblem::new(&x, &ReduceDescriptor::sum(&[0])).unwrap(), &small, &|_, i| bits(upper(i) + lower(i)));
    let argmax = ArgmaxProblem::new(&x, &ArgmaxDescriptor { axis: Some(0), ..Default::default() }).unwrap();
    assert_large(&gpu, argmax, &small, &|_, i| u32::from(lower(i) > upper(i)));
    let few = TopKDescriptor { k: 2, axis: 0, order: TopKOrder::Largest };
    assert_large(&gpu, TopKProblem::new(&x, &few).unwrap(), &small, &|output, i| {
        let (line, i) = (i / length, i % length);
        let swapped = lower(i) > upper(i);
        let from = if swapped { 1 - line } else { line };
        if output == 1 { from as u32 } else { bits(small(0, from * length + i)) }
    });
    let descriptor = ScatterDescriptor { indexing: Indexing::Slices { axis: 0 }, reduction: ScatterReduction::Add };
    let (count, apart) = (2 * length, 33_333);
    let scatter = ScatterProblem::new(&f32s(&[count]), &u32s(&[1000]), &f32s(&[1000]), &descriptor).unwrap();
    let fill = |index: usize, i: usize| if index == 1 { (i * apart) as f64 } else { small(index, i) };
    assert_large(&gpu, scatter, &fill, &|_, i| {
        let update = if i % apart == 0 && i / apart < 1000 { small(2, i / apart) } else { 0.0 };
        bits(small(0, i) + update)
    });
    let gather = GatherProblem::new(&f32s(&[2, length]), &u32s(&[1]), Indexing::Slices { axis: 0 }).unwrap();
    assert_large(&gpu, gather, &|index, i| if index == 1 { 1.0 } else { small(index, i) }, &|_, i| bits(lower(i)));
    let (height, width) = (3000, 4000);
    let sample =
        GridSample::new(&f32s(&[1, 3, height, width]), &f32s(&[1, 5, 8, 2]), &GridSampleDescriptor { align_corners: true, ..Default::default() });
    // Corners, by the number of the position.
    let corner = |i: usize| [i % 2, i / 2 % 2];
    let fill = |index: usize, i: usize| if index == 1 { 2.0 * corner(i / 2)[i % 2] as f64 - 1.0 } else { small(index, i) };
    assert_large(&gpu, sample.unwrap(), &fill, &|_, i| {
        let (c, [w, h]) = (i / 40, corner(i % 40));
        bits(small(0, (c * height + h * (height - 1)) * width + w * (width - 1)))
    });
}
