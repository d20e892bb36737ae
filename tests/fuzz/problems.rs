//! Random numbers, many of them extreme, and problems of every op made of them.

use wgconv::conv::{Accuracy, ConvDescriptor, ConvInputs, ConvProblem, ConvTransposeDescriptor, FusedPool};
use wgconv::dropout::{DropoutDescriptor, DropoutProblem};
use wgconv::elementwise::{BinaryOp, BinaryProblem, CastProblem, UnaryDescriptor, UnaryOp, UnaryProblem, WhereProblem};
use wgconv::gpu::{CoopMatrix, DeviceProfile};
use wgconv::gradient::{Item, backward};
use wgconv::image::{ImageDescriptor, ImageFormat, ImageProblem};
use wgconv::indexed::{GatherProblem, Indexing, ScatterDescriptor, ScatterProblem, ScatterReduction};
use wgconv::matmul::{GemmDescriptor, LinearDescriptor, MatMulInputs, MatMulProblem};
use wgconv::norm::{
    BatchNormDescriptor, BatchNormProblem, BatchNormVectors, GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, LrnDescriptor,
    LrnProblem, NormInputs, NormProblem,
};
use wgconv::op::{Op, Problem};
use wgconv::pool::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, MaxUnpoolProblem, PoolDescriptor, PoolKind, PoolProblem, global};
use wgconv::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceKind, ReduceProblem, TopKDescriptor, TopKOrder, TopKProblem};
use wgconv::shape::{Layout, Padding, PaddingMode};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::transform::{
    Concat, CoordinateMode, DepthToSpace, DepthToSpaceDescriptor, DepthToSpaceMode, GridSample, GridSampleDescriptor, GridSampleMode,
    GridSamplePadding, NearestMode, Pad, PadDescriptor, PadMode, Resize, ResizeDescriptor, ResizeMode, Slice, SliceDescriptor, ToLayout, Transpose,
    flatten_extents, reshape_extents,
};
use wgconv::{Activation, ElementType, Result, TensorType};

/// SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A number near one that arithmetic stumbles over, or a small one.
    pub fn extreme(&mut self) -> u64 {
        let near = self.pick(&[0, 1, 1 << 8, 1 << 16, 1 << 24, 1 << 31, 1 << 32, 1 << 53, 1 << 60, 1 << 62, 1 << 63, u64::MAX]);
        match self.below(4) {
            0 => near,
            1 => near.wrapping_add(self.below(3)).wrapping_sub(1),
            2 => 1 << self.below(64),
            _ => self.below(70),
        }
    }

    /// An extent: mostly small, so that problems are accepted.
    pub fn extent(&mut self) -> usize {
        match self.below(10) {
            0 => self.extreme() as usize,
            1 => self.pick(&[224, 4096, 65_535, 65_536, 147 * 65, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 40]),
            2..=4 => 1 + self.below(3) as usize,
            _ => 1 + self.below(70) as usize,
        }
    }

    pub fn extents(&mut self, rank: usize) -> Vec<usize> {
        (0..rank).map(|_| self.extent()).collect()
    }

    /// A stride, dilation or window.
    pub fn step(&mut self) -> usize {
        if self.chance(6) { self.extreme() as usize } else { 1 + self.below(4) as usize }
    }

    pub fn steps<const N: usize>(&mut self) -> [usize; N] {
        std::array::from_fn(|_| self.step())
    }

    pub fn pads<const N: usize>(&mut self) -> [usize; N] {
        std::array::from_fn(|_| if self.chance(8) { self.extreme() as usize } else { self.below(4) as usize })
    }

    pub fn padding<const N: usize>(&mut self) -> Padding<N> {
        match self.below(5) {
            0 => Padding::Valid,
            1 => Padding::Same,
            2 => Padding::SameLower,
            _ => Padding::Explicit { begin: self.pads(), end: self.pads() },
        }
    }

    pub fn float(&mut self) -> f32 {
        self.pick(&[0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN])
    }

    pub fn element(&mut self) -> ElementType {
        self.pick(&[ElementType::F32, ElementType::F32, ElementType::F16, ElementType::U32])
    }

    pub fn layout(&mut self) -> Layout {
        self.pick(&[Layout::ChannelsFirst, Layout::ChannelsLast])
    }

    pub fn activation(&mut self) -> Activation {
        match self.below(6) {
            0 => Activation::Clip { min: self.float(), max: self.float() },
            1 => Activation::Celu { alpha: self.float() },
            _ => self.pick(&Activation::ALL),
        }
    }

    pub fn axis(&mut self) -> isize {
        if self.chance(10) { self.extreme() as isize } else { self.below(9) as isize - 4 }
    }

    /// A device: limits that are usual, tiny or absurd.
    pub fn profile(&mut self) -> DeviceProfile {
        let limit = |random: &mut Self, usual: u64| match random.below(6) {
            0 => random.extreme(),
            1 => 4096,
            2 => 256,
            _ => usual,
        };
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let size = |random: &mut Self| narrow(if random.chance(3) { random.extreme() } else { random.pick(&[8, 16, 32]) });
        let units =
            CoopMatrix { extent: size(self), subgroup: size(self), loads_vectors: self.chance(2), splits: self.chance(2), along_k: self.chance(2) };
        DeviceProfile {
            max_binding_bytes: limit(self, 128 << 20),
            max_buffer_bytes: limit(self, 256 << 20),
            max_workgroups_per_axis: narrow(limit(self, 65_535)),
            max_workgroup_invocations: narrow(limit(self, 256)),
            max_workgroup_memory: narrow(limit(self, 16_384)),
            max_storage_buffers: self.pick(&[0, 4, 8, 16]),
            storage_alignment: if self.chance(8) { self.extreme() } else { self.pick(&[4, 32, 256]) },
            has_f16: self.chance(2),
            has_int64: self.chance(2),
            is_cpu: self.chance(2),
            wide_vectors_slow: self.chance(2),
            subgroup: if self.chance(2) { Some(size(self)) } else { None },
            matrix: if self.chance(2) { Some(units) } else { None },
            registers: self.pick(&[0, 64, 255]),
            max_loop_iterations: if self.chance(3) { self.pick(&[0, 100, 65_535]) } else { u64::MAX },
        }
    }
}

fn convolution<const N: usize>(random: &mut Random) -> Result<Op> {
    let groups = if random.chance(3) { random.step() } else { 1 };
    let channels = random.extent();
    let in_channels = if random.chance(9) { random.extent() } else { channels.saturating_mul(groups) };
    let transposed = random.chance(3);
    let mut x = vec![random.extent(), in_channels];
    let filters = random.extent();
    let mut filter = if transposed { vec![in_channels, filters] } else { vec![filters.saturating_mul(groups), channels] };
    for _ in 0..N {
        x.push(random.extent());
        filter.push(random.step());
    }
    let bias = [if random.chance(9) { random.extent() } else { filter[usize::from(transposed)].saturating_mul(if transposed { groups } else { 1 }) }];
    let inputs = ConvInputs {
        x: TensorType::new(&x, random.element(), random.layout()),
        filter: &filter,
        bias: random.chance(2).then_some(&bias),
        y_layout: random.layout(),
    };
    let accuracy = random.pick(&[Accuracy::Exact, Accuracy::F32, Accuracy::Reduced]);
    let problem = if transposed {
        let descriptor = ConvTransposeDescriptor::<N> {
            stride: random.steps(),
            dilation: random.steps(),
            padding: random.padding(),
            output_padding: random.pads(),
            output_shape: random.chance(4).then(|| std::array::from_fn(|_| random.extent())),
            groups,
            activation: random.activation(),
            accuracy,
            ..Default::default()
        };
        ConvProblem::transposed(&inputs, &descriptor)?
    } else {
        let descriptor = ConvDescriptor::<N> {
            stride: random.steps(),
            dilation: random.steps(),
            padding: random.padding(),
            padding_mode: random.pick(&PaddingMode::ALL),
            groups,
            activation: random.activation(),
            pool: random.pick(&[None, None, Some(FusedPool::Max), Some(FusedPool::Average)]),
            accuracy,
            ..Default::default()
        };
        ConvProblem::forward(&inputs, &descriptor)?
    };
    assert!(problem.flops() >= 0.0 && problem.bytes() > 0 && problem.multiply_adds() > 0 && problem.parameter_count() > 0);
    problem.output_shape()?;
    let has_residual = random.chance(3);
    Ok(Op::from(problem.with_residual(has_residual)))
}

fn pool<const N: usize>(random: &mut Random) -> Result<Op> {
    let rank = if random.chance(20) { N + 1 } else { N + 2 };
    let x = random.extents(rank);
    let (element, layout) = (random.element(), random.layout());
    let order = random.pick(&[None, Some(IndexOrder::RowMajor), Some(IndexOrder::ColumnMajor)]);
    let kind = match random.below(3) {
        0 => PoolKind::Max { indices: order },
        1 => PoolKind::Average { count_include_pad: random.chance(2) },
        _ => PoolKind::Lp { p: random.pick(&[0.5, 1.0, 2.0, 3.0, f32::NAN]) },
    };
    let descriptor = PoolDescriptor::<N> {
        kind,
        window: random.steps(),
        stride: random.chance(2).then(|| random.steps()),
        dilation: random.steps(),
        padding: random.padding(),
        ceil_mode: random.chance(2),
    };
    Ok(match random.below(6) {
        0 => Op::from(PoolProblem::adaptive(
            &TensorType::new(&x, element, layout),
            &AdaptivePoolDescriptor { kind, output: std::array::from_fn::<usize, N, _>(|_| random.extent()) },
        )?),
        1 => global(&TensorType::new(&x, element, layout), kind)?,
        2 => {
            let output_shape = random.chance(2).then(|| std::array::from_fn(|_| random.extent()));
            Op::from(MaxUnpoolProblem::new(&TensorType::new(&x, element, layout), &x, &MaxUnpoolDescriptor { pool: descriptor, output_shape })?)
        }
        _ => Op::from(PoolProblem::new(&TensorType::new(&x, element, layout), &descriptor)?),
    })
}

fn product(random: &mut Random) -> Result<Op> {
    let [m, n, k] = std::array::from_fn(|_| random.extent());
    let element = random.element();
    let problem = match random.below(3) {
        0 => {
            let (mut a, mut b) = (vec![], vec![]);
            for _ in 0..random.below(4) {
                let extent = random.extent();
                a.push(if random.chance(3) { 1 } else { extent });
                b.push(if random.chance(3) { 1 } else { extent });
            }
            a.extend([m, k]);
            b.extend([k, n]);
            let (a, b) = (&a[random.below(a.len() as u64) as usize..], &b[random.below(2) as usize..]);
            MatMulProblem::matmul(a, b, element)?
        }
        1 => {
            let descriptor = GemmDescriptor {
                alpha: random.float(),
                beta: random.float(),
                trans_a: random.chance(2),
                trans_b: random.chance(2),
                activation: random.activation(),
                accuracy: random.pick(&[Accuracy::Exact, Accuracy::F32, Accuracy::Reduced]),
            };
            let (a, b) = (if descriptor.trans_a { [k, m] } else { [m, k] }, if descriptor.trans_b { [n, k] } else { [k, n] });
            let c = random.pick(&[[m, n], [1, n], [m, 1], [1, 1]]);
            MatMulProblem::gemm(&MatMulInputs { a: &a, b: &b, addend: random.chance(2).then_some(&c), element }, &descriptor)?
        }
        _ => {
            let mut x = random.extents(2);
            x.push(k);
            MatMulProblem::linear(
                &MatMulInputs { a: &x, b: &[n, k], addend: random.chance(2).then_some(&[n]), element },
                &LinearDescriptor { activation: random.activation(), ..Default::default() },
            )?
        }
    };
    let has_residual = random.chance(3);
    assert!(problem.multiply_adds() > 0);
    Ok(Op::from(problem.with_residual(has_residual)))
}

fn elementwise(random: &mut Random) -> Result<Op> {
    let rank = random.below(6) as usize;
    let a = random.extents(rank);
    if random.chance(3) {
        let in_place = random.chance(2);
        let op = if random.chance(2) { random.pick(&UnaryOp::ALL) } else { UnaryOp::Identity };
        let descriptor = UnaryDescriptor { op, activation: random.activation() };
        let problem = UnaryProblem::new(&TensorType::new(&a, random.element(), random.layout()), descriptor)?;
        return Ok(Op::from(if in_place { problem.in_place() } else { problem }));
    }
    if random.chance(8) {
        let [from, to] = [random.element(), random.element()];
        return Ok(Op::from(CastProblem::new(&TensorType::new(&a, from, random.layout()), to)?));
    }
    if random.chance(5) {
        let descriptor =
            DropoutDescriptor { probability: random.pick(&[0.0, 1e-9, 0.5, 0.999_999_94, 1.0, f32::NAN]), stream: random.below(1 << 32) as u32 };
        return Ok(Op::from(DropoutProblem::new(&TensorType::new(&a, random.element(), random.layout()), &descriptor)?));
    }
    let b: Vec<usize> = a.iter().skip(random.below(3) as usize).map(|&extent| if random.chance(3) { 1 } else { extent }).collect();
    let (a, b) = if random.chance(4) { (b, a) } else { (a, b) };
    let element = random.element();
    if random.chance(5) {
        let c: Vec<usize> = a.iter().map(|&extent| if random.chance(2) { 1 } else { extent }).collect();
        let mut operand = |extents: &[usize]| TensorType::new(extents, element, random.layout());
        return Ok(Op::from(WhereProblem::new(&operand(&c), &operand(&a), &operand(&b))?));
    }
    let problem = BinaryProblem::new(
        &TensorType::new(&a, element, random.layout()),
        &TensorType::new(&b, element, random.layout()),
        random.pick(&BinaryOp::ALL),
    )?;
    Ok(if random.chance(3) { Op::from(problem.in_place()?) } else { Op::from(problem) })
}

fn rows(random: &mut Random) -> Result<Op> {
    let rank = 1 + random.below(5) as usize;
    let x = random.extents(rank);
    let (element, layout, epsilon) = (random.element(), random.layout(), random.float());
    let channels = [x.get(1).copied().unwrap_or(1)];
    let vector = random.chance(2).then_some(&channels[..]);
    Ok(match random.below(8) {
        0 => Op::from(SoftmaxProblem::new(
            &TensorType::new(&x, element, layout),
            &SoftmaxDescriptor { axis: random.axis(), logarithm: random.chance(2) },
        )?),
        1 => {
            let kind = random.pick(&[ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max, ReduceKind::Min, ReduceKind::Prod]);
            let axes: Vec<isize> = (0..random.below(4)).map(|_| random.axis()).collect();
            Op::from(ReduceProblem::new(&TensorType::new(&x, element, layout), &ReduceDescriptor::new(kind, &axes).with_keepdims(random.chance(2)))?)
        }
        2 => {
            let axis = random.chance(2).then(|| random.axis());
            Op::from(ArgmaxProblem::new(
                &TensorType::new(&x, element, layout),
                &ArgmaxDescriptor { axis, keepdims: random.chance(2), select_last: random.chance(2) },
            )?)
        }
        3 => {
            let vectors = BatchNormVectors { scale: vector, bias: vector, mean: &channels, variance: &channels };
            Op::from(BatchNormProblem::new(&TensorType::new(&x, element, layout), &vectors, &BatchNormDescriptor { epsilon, ..Default::default() })?)
        }
        4 => {
            let first = random.below(rank as u64) as usize;
            let scale = random.chance(2).then_some(&x[first..]);
            Op::from(NormProblem::layer(
                &NormInputs { x: TensorType::new(&x, element, layout), scale, bias: scale },
                &LayerNormDescriptor { axis: first as isize, epsilon },
            )?)
        }
        5 => Op::from(NormProblem::group(
            &NormInputs { x: TensorType::new(&x, element, layout), scale: vector, bias: vector },
            &GroupNormDescriptor { groups: random.step(), epsilon },
        )?),
        6 => Op::from(NormProblem::instance(
            &NormInputs { x: TensorType::new(&x, element, layout), scale: vector, bias: vector },
            &InstanceNormDescriptor { epsilon },
        )?),
        _ => {
            let [alpha, beta, bias] = std::array::from_fn(|_| random.float());
            Op::from(LrnProblem::new(&TensorType::new(&x, element, layout), &LrnDescriptor { size: random.step(), alpha, beta, bias })?)
        }
    })
}

fn transform(random: &mut Random) -> Result<Op> {
    let rank = if random.chance(2) { 4 } else { random.below(6) as usize };
    let extents = random.extents(rank);
    let x = TensorType::new(&extents, random.element(), random.layout());
    Ok(match random.below(8) {
        0 => {
            let mut perm: Vec<usize> = (0..rank).collect();
            for i in 1..rank {
                perm.swap(i, random.below(i as u64 + 1) as usize);
            }
            Op::from(Transpose::new(&x, &perm)?)
        }
        1 => Op::from(ToLayout::new(&x, random.layout())?),
        2 => {
            let count = random.below(rank as u64 + 1) as usize;
            let mut list = || (0..count).map(|_| if random.chance(2) { random.extreme() as isize } else { random.axis() }).collect::<Vec<_>>();
            let (starts, ends, steps) = (list(), list(), list());
            Op::from(Slice::new(&x, &SliceDescriptor { starts: starts.clone(), ends: ends.clone(), steps: steps.clone(), ..Default::default() })?)
        }
        3 => {
            let axis = random.axis();
            let others = (0..random.below(4)).map(|_| {
                let mut other = extents.clone();
                if let Some(extent) = other.get_mut(axis.unsigned_abs()) {
                    *extent = random.extent();
                }
                TensorType::new(&other, x.element, random.layout())
            });
            let inputs: Vec<_> = std::iter::once(x.clone()).chain(others).collect();
            Op::from(Concat::new(&inputs, axis)?)
        }
        4 => {
            let mode = random.pick(&[DepthToSpaceMode::Dcr, DepthToSpaceMode::Crd]);
            let block = random.step();
            Op::from(if random.chance(2) {
                DepthToSpace::new(&x, &DepthToSpaceDescriptor { block, mode })?
            } else {
                DepthToSpace::inverse(&x, &DepthToSpaceDescriptor { block, mode })?
            })
        }
        5 => {
            let pads: Vec<usize> = (0..2 * rank).map(|_| random.pads::<1>()[0]).collect();
            let value = random.float();
            Op::from(Pad::new(
                &x,
                &PadDescriptor {
                    pads: pads.clone(),
                    mode: random.pick(&[PadMode::Constant(value), PadMode::Reflect, PadMode::Replicate, PadMode::Circular]),
                },
            )?)
        }
        6 => {
            let mut grid = random.extents(rank);
            if let [first, .., last] = &mut grid[..] {
                (*first, *last) = (extents[0], if random.chance(8) { *last } else { rank.saturating_sub(2) });
            }
            let descriptor = GridSampleDescriptor {
                mode: random.pick(&GridSampleMode::ALL),
                padding: random.pick(&GridSamplePadding::ALL),
                align_corners: random.chance(2),
            };
            Op::from(GridSample::new(&x, &TensorType::new(&grid, x.element, Layout::ChannelsFirst), &descriptor)?)
        }
        _ => {
            let sizes = random.extents(rank.saturating_sub(2));
            let mode = if random.chance(2) { ResizeMode::Linear } else { ResizeMode::Nearest(random.pick(&NearestMode::ALL)) };
            let scales: Vec<f64> = sizes.iter().map(|_| random.pick(&[2.0, 0.5, 1.0 / 3.0, 1e-300, 1e300, f64::NAN])).collect();
            let descriptor =
                ResizeDescriptor { sizes, mode, coordinates: random.pick(&CoordinateMode::ALL), scales: random.chance(4).then_some(scales) };
            Op::from(Resize::new(&x, &descriptor)?)
        }
    })
}

/// Images of bytes to tensors and back.
fn image(random: &mut Random) -> Result<Op> {
    let format = random.pick(&[ImageFormat::Rgba8, ImageFormat::Rgb8, ImageFormat::Gray8]);
    let fitting = format.channels();
    let mut factor = |usual: f32| if random.chance(6) { random.float().abs() } else { usual };
    let (scale, mean) = ([0, 1, 2, 3].map(|_| factor(255.0)), [0, 1, 2, 3].map(|_| factor(0.5)));
    let channels = if random.chance(6) { random.extent() } else { fitting };
    let descriptor = ImageDescriptor { channels, scale, mean, element: random.element(), layout: random.layout() };
    let [n, height, width] = std::array::from_fn(|_| random.extent());
    Ok(Op::from(if random.chance(2) {
        ImageProblem::read(format, [n, height, width], &descriptor)?
    } else {
        ImageProblem::write(format, &TensorType::new(&[n, channels, height, width], descriptor.element, descriptor.layout), &descriptor)?
    }))
}

/// Gather, scatter and the first elements of an order. Most indices go with x.
fn indexed(random: &mut Random) -> Result<Op> {
    let rank = 1 + random.below(5) as usize;
    let x = TensorType::new(&random.extents(rank), random.element(), Layout::ChannelsFirst);
    if random.chance(3) {
        let order = random.pick(&[TopKOrder::Largest, TopKOrder::Smallest]);
        let (axis, layout) = (random.axis(), random.layout());
        let extent = usize::try_from(axis).ok().and_then(|axis| x.extents.get(axis)).copied().unwrap_or(1);
        let k = if random.chance(4) { random.extent() } else { 1 + random.below(extent.clamp(1, 1 << 20) as u64) as usize };
        return Ok(Op::from(TopKProblem::new(&TensorType { layout, ..x }, &TopKDescriptor { k, axis, order })?));
    }
    let axis = random.below(rank as u64) as usize;
    let (indices, indexing) = match random.below(3) {
        0 => {
            let rank = random.below(4) as usize;
            (random.extents(rank), Indexing::Slices { axis: if random.chance(8) { random.axis() } else { axis as isize } })
        }
        1 => {
            let mut indices = x.extents.clone();
            indices[axis] = random.extent();
            (indices, Indexing::Elements { axis: axis as isize })
        }
        _ => {
            let batch_axes = if random.chance(8) { random.extent() } else { random.below(rank as u64) as usize };
            let numbers = 1 + random.below((rank - batch_axes.min(rank - 1)) as u64) as usize;
            let rows = random.extent();
            let front = x.extents.iter().take(batch_axes).copied();
            (front.chain([rows, numbers]).collect(), Indexing::Places { batch_axes })
        }
    };
    let indices = TensorType::new(&indices, random.pick(&[ElementType::U32, ElementType::F32]), Layout::ChannelsFirst);
    let gather = GatherProblem::new(&x, &indices, indexing)?;
    if random.chance(2) {
        return Ok(Op::from(gather));
    }
    let updates = TensorType::new(gather.y(), x.element, Layout::ChannelsFirst);
    Ok(Op::from(ScatterProblem::new(&x, &indices, &updates, &ScatterDescriptor { indexing, reduction: random.pick(&ScatterReduction::ALL) })?))
}

/// Extents that a reshape asks for: no op of its own, but the same arithmetic.
fn reshape(random: &mut Random) {
    let x = random.extents(4);
    let asked: Vec<isize> = (0..random.below(6)).map(|_| if random.chance(3) { random.axis() } else { random.extent() as isize }).collect();
    let count = |extents: &[usize]| extents.iter().map(|&extent| extent as u128).product::<u128>();
    for extents in [reshape_extents(&x, &asked), flatten_extents(&x, random.axis())].into_iter().flatten() {
        assert_eq!(count(&extents), count(&x), "{x:?} as {extents:?}");
    }
}

/// One of the ops that compute the gradients of another.
fn gradient(random: &mut Random) -> Result<Op> {
    let op = forward(random)?;
    let wanted: Vec<bool> = op.inputs().iter().map(|_| !random.chance(4)).collect();
    let fragment = backward(&op, &wanted)?;
    let mut ops: Vec<Op> = fragment.items.into_iter().filter_map(|item| if let Item::Op { op, .. } = item { Some(*op) } else { None }).collect();
    assert!(ops.len() < 60, "{op}: {} ops", ops.len());
    if ops.is_empty() { Ok(op) } else { Ok(ops.swap_remove(random.below(ops.len() as u64) as usize)) }
}

/// An op that a caller may make, or one of those of its gradients.
pub fn problem(random: &mut Random) -> Result<Op> {
    if random.chance(4) { gradient(random) } else { forward(random) }
}

/// Any op with numbers of any size, or why a constructor refuses it.
fn forward(random: &mut Random) -> Result<Op> {
    if random.chance(16) {
        reshape(random);
    }
    match random.below(14) {
        0 => convolution::<1>(random),
        1..=2 => convolution::<2>(random),
        3 => convolution::<3>(random),
        4 => pool::<1>(random),
        5 => pool::<2>(random),
        6 => pool::<3>(random),
        7 => product(random),
        8 => elementwise(random),
        9 => rows(random),
        10 => indexed(random),
        11 => image(random),
        _ => transform(random),
    }
}
