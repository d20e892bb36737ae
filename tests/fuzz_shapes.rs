//! Random problems of every op with extreme numbers, on random devices: whatever a public constructor accepts, everything pure about it answers
//! without a panic, in bounded time and memory. The dev profile checks arithmetic for overflow, so a sum that would wrap in a release panics here.
//!
//! Cases are numbered, and a number makes the same case everywhere. By default the first 40,000 are tried, and no longer than 20 seconds:
//!
//! ```sh
//! cargo test --workspace --test fuzz_shapes                                  # as CI does
//! WGCONV_FUZZ_SECONDS=600 cargo test --workspace --test fuzz_shapes          # as many as that allows
//! WGCONV_FUZZ_CASES=1000000 cargo test --workspace --test fuzz_shapes        # so many
//! WGCONV_FUZZ_FIRST=4711 WGCONV_FUZZ_CASES=1 cargo test --workspace --test fuzz_shapes # that one, which a failure names
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::alloc::{GlobalAlloc, Layout as Request, System};
use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wgconv::conv::{Accuracy, ConvDescriptor, ConvInputs, ConvProblem, ConvTransposeDescriptor, FusedPool};
use wgconv::elementwise::{BinaryOp, BinaryProblem, UnaryProblem};
use wgconv::gpu::{CoopMatrix, DeviceProfile};
use wgconv::matmul::{GemmDescriptor, LinearDescriptor, MatMulInputs, MatMulProblem};
use wgconv::norm::{
    BatchNormDescriptor, BatchNormProblem, BatchNormVectors, GroupNormDescriptor, InstanceNormDescriptor, LayerNormDescriptor, LrnDescriptor,
    LrnProblem, NormInputs, NormProblem,
};
use wgconv::op::{Op, Planned, Problem};
use wgconv::pool::{AdaptivePoolDescriptor, IndexOrder, MaxUnpoolDescriptor, MaxUnpoolProblem, PoolDescriptor, PoolKind, PoolProblem, global};
use wgconv::reduce::{ArgmaxDescriptor, ArgmaxProblem, ReduceDescriptor, ReduceKind, ReduceProblem};
use wgconv::shape::{Layout, Padding, PaddingMode};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::transform::{
    Concat, CoordinateMode, DepthToSpace, DepthToSpaceDescriptor, DepthToSpaceMode, NearestMode, Pad, PadDescriptor, PadMode, Resize,
    ResizeDescriptor, ResizeMode, Slice, SliceDescriptor, ToLayout, Transpose, flatten_extents, reshape_extents,
};
use wgconv::{Activation, ElementType, Result, TensorType};

/// Most bytes that one allocation may have: tables of a plan have 256 MiB, and a vector doubles as it grows.
const MOST_BYTES: usize = 600 << 20;
/// Most calls of a plan: 16,384 parts, each of which packs, multiplies and adds.
const MOST_STEPS: usize = 10 << 14;
/// A case that takes longer has a loop over something that it should not loop over; machines may be busy.
const MOST_TIME: Duration = Duration::from_secs(60);
/// Failures after which it stops.
const MOST_FAILURES: usize = 10;
/// Unless the environment says otherwise.
const CASES: u64 = 40_000;
const SECONDS: u64 = 20;

/// The number of the case that runs.
static CASE: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, which refuses more than [`MOST_BYTES`] at once: the process then ends, with the number of the case.
struct Bounded;

// SAFETY: what it gives is the system's, or nothing.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, request: Request) -> *mut u8 {
        if request.size() > MOST_BYTES {
            // Standard error has no buffer, so that nothing is allocated here.
            let _ = writeln!(std::io::stderr(), "case {} asks for {} bytes at once", CASE.load(Ordering::Relaxed), request.size());
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(request) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, request: Request) {
        // SAFETY: the caller's promise; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, request) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

/// SplitMix64 (Steele, Lea and Flood, Fast F16x2 Pseudorandom Number Generators, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn chance(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A number near one that arithmetic stumbles over, or a small one.
    fn extreme(&mut self) -> u64 {
        let near = self.pick(&[0, 1, 1 << 8, 1 << 16, 1 << 24, 1 << 31, 1 << 32, 1 << 53, 1 << 60, 1 << 62, 1 << 63, u64::MAX]);
        match self.below(4) {
            0 => near,
            1 => near.wrapping_add(self.below(3)).wrapping_sub(1),
            2 => 1 << self.below(64),
            _ => self.below(70),
        }
    }

    /// An extent: mostly small, so that problems are accepted.
    fn extent(&mut self) -> usize {
        match self.below(10) {
            0 => self.extreme() as usize,
            1 => self.pick(&[224, 4096, 65_535, 65_536, 147 * 65, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 40]),
            2..=4 => 1 + self.below(3) as usize,
            _ => 1 + self.below(70) as usize,
        }
    }

    fn extents(&mut self, rank: usize) -> Vec<usize> {
        (0..rank).map(|_| self.extent()).collect()
    }

    /// A stride, dilation or window.
    fn step(&mut self) -> usize {
        if self.chance(6) { self.extreme() as usize } else { 1 + self.below(4) as usize }
    }

    fn steps<const N: usize>(&mut self) -> [usize; N] {
        std::array::from_fn(|_| self.step())
    }

    fn pads<const N: usize>(&mut self) -> [usize; N] {
        std::array::from_fn(|_| if self.chance(8) { self.extreme() as usize } else { self.below(4) as usize })
    }

    fn padding<const N: usize>(&mut self) -> Padding<N> {
        match self.below(5) {
            0 => Padding::Valid,
            1 => Padding::Same,
            2 => Padding::SameLower,
            _ => Padding::Explicit { begin: self.pads(), end: self.pads() },
        }
    }

    fn float(&mut self) -> f32 {
        self.pick(&[0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN])
    }

    fn element(&mut self) -> ElementType {
        self.pick(&[ElementType::F32, ElementType::F32, ElementType::F16, ElementType::U32])
    }

    fn layout(&mut self) -> Layout {
        self.pick(&[Layout::ChannelsFirst, Layout::ChannelsLast])
    }

    fn activation(&mut self) -> Activation {
        match self.below(6) {
            0 => Activation::Clip { min: self.float(), max: self.float() },
            1 => Activation::Celu { alpha: self.float() },
            _ => self.pick(&Activation::ALL),
        }
    }

    fn axis(&mut self) -> isize {
        if self.chance(10) { self.extreme() as isize } else { self.below(9) as isize - 4 }
    }

    /// A device: limits that are usual, tiny or absurd.
    fn profile(&mut self) -> DeviceProfile {
        let limit = |random: &mut Self, usual: u64| match random.below(6) {
            0 => random.extreme(),
            1 => 4096,
            2 => 256,
            _ => usual,
        };
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let size = |random: &mut Self| narrow(if random.chance(3) { random.extreme() } else { random.pick(&[8, 16, 32]) });
        let units = CoopMatrix { extent: size(self), subgroup: size(self), loads_vectors: self.chance(2), splits: self.chance(2) };
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
        let problem = UnaryProblem::new(&TensorType::new(&a, random.element(), random.layout()), random.activation())?;
        return Ok(Op::from(if in_place { problem.in_place() } else { problem }));
    }
    let b: Vec<usize> = a.iter().skip(random.below(3) as usize).map(|&extent| if random.chance(3) { 1 } else { extent }).collect();
    let (a, b) = if random.chance(4) { (b, a) } else { (a, b) };
    let element = random.element();
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
            let kind = random.pick(&[ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Max]);
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

/// What a caller or a file of verdicts may force on any op, whether it has such a kernel or not.
const FOREIGN_LABELS: [&str; 20] = [
    "",
    " ",
    "direct ",
    "direct 4",
    "rows",
    "tree",
    "tiled",
    "unrolled",
    "depthwise block 4x4",
    "as_linear gemm_register 32x8x4",
    "as_linear gemv 1x64",
    "gemm_register 32x8x4",
    "gemm_workgroup 64x64x16/64",
    "gemm_workgroup 128x128x32",
    "gemm_f16x2 32x32x32",
    "implicit_gemm_register 4x4x1",
    "implicit_gemm_workgroup 32x32x16/64",
    "implicit_gemm_coop 128x128x32",
    "winograd_f2 64x64x16/2",
    "winograd_f4 32x8x4",
];

/// Extents that a reshape asks for: no op of its own, but the same arithmetic.
fn reshape(random: &mut Random) {
    let x = random.extents(4);
    let asked: Vec<isize> = (0..random.below(6)).map(|_| if random.chance(3) { random.axis() } else { random.extent() as isize }).collect();
    let count = |extents: &[usize]| extents.iter().map(|&extent| extent as u128).product::<u128>();
    for extents in [reshape_extents(&x, &asked), flatten_extents(&x, random.axis())].into_iter().flatten() {
        assert_eq!(count(&extents), count(&x), "{x:?} as {extents:?}");
    }
}

fn problem(random: &mut Random) -> Result<Op> {
    if random.chance(16) {
        reshape(random);
    }
    match random.below(12) {
        0 => convolution::<1>(random),
        1..=2 => convolution::<2>(random),
        3 => convolution::<3>(random),
        4 => pool::<1>(random),
        5 => pool::<2>(random),
        6 => pool::<3>(random),
        7 => product(random),
        8 => elementwise(random),
        9 => rows(random),
        _ => transform(random),
    }
}

/// Asks everything pure of an op; whether a plan was made.
fn ask(op: impl Into<Op>, random: &mut Random) -> bool {
    let op = &op.into();
    let profile = random.profile();
    let (id, key) = (op.to_string(), op.tuning_key());
    assert!(!id.is_empty() && key.starts_with(op.name()), "{key}");
    assert!(!id.contains("-1x") && !id.contains("x-1_"), "a number that does not fit: {id}");
    for spec in op.inputs().iter().chain(&op.outputs()) {
        assert!(spec.count() > 0 && spec.bytes() >= spec.count(), "{id}: {spec:?}");
    }
    assert!(op.flops() >= 0.0 && op.flops().is_finite(), "{id}: {} flops", op.flops());
    assert!(op.bytes() > 0 && op.terms() > 0);
    let _ = op.is_exact();
    let algorithms = op.algorithms(&profile);
    let candidates = op.candidates(&profile);
    for name in &algorithms {
        let _ = op.is_exact_for(name);
        assert!(op.error_ratio(name) >= 0.0, "{id} by {name}: {}", op.error_ratio(name));
        assert!(op.largest_error(name).is_none_or(|error| error > 0.0), "{id} by {name}: {:?}", op.largest_error(name));
    }
    let mut labels = vec![None];
    if !candidates.is_empty() {
        labels.push(Some(candidates[random.below(candidates.len() as u64) as usize].as_str()));
        labels.push(Some(algorithms[random.below(algorithms.len() as u64) as usize]));
    }
    labels.push(Some(random.pick(&FOREIGN_LABELS)));
    let mut planned = false;
    for label in labels {
        match op.plan(&profile, label) {
            Ok(plan) => {
                planned = true;
                let steps = plan.prepare.len() + plan.steps.len();
                assert!((1..=MOST_STEPS).contains(&steps), "{id}: {label:?} has {steps} steps");
                for step in plan.prepare.iter().chain(&plan.steps) {
                    assert!(step.workgroups.iter().all(|&n| n >= 1 && n <= profile.max_workgroups_per_axis.max(1)), "{id}: {:?}", step.workgroups);
                }
            }
            Err(error) => assert!(!error.to_string().contains("internal error"), "{id}: {error}"),
        }
    }
    if let Some(proxy) = op.proxy() {
        assert!(proxy.flops() <= op.flops(), "{id}: its proxy is {proxy}");
        let _ = (proxy.inputs(), proxy.outputs(), proxy.algorithms(&profile));
    }
    planned
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text}: it is a whole number")))
}

#[test]
fn no_shape_makes_the_planner_panic_or_run_away() {
    let (first, cases, seconds) = (setting("WGCONV_FUZZ_FIRST"), setting("WGCONV_FUZZ_CASES"), setting("WGCONV_FUZZ_SECONDS"));
    // A bound that is given lifts the other.
    let most = cases.unwrap_or(if seconds.is_some() { u64::MAX } else { CASES });
    let end = Duration::from_secs(seconds.unwrap_or(if cases.is_some() { u64::MAX } else { SECONDS }));
    let first = first.unwrap_or(0);
    let begin = Instant::now();
    let mut tried: BTreeMap<&'static str, [u64; 2]> = BTreeMap::new();
    let (mut refused, mut slowest, mut failed) = (0u64, (Duration::ZERO, 0), vec![]);
    for number in first..first.saturating_add(most) {
        if begin.elapsed() > end || failed.len() == MOST_FAILURES {
            break;
        }
        CASE.store(number, Ordering::Relaxed);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let random = &mut Random(number.wrapping_mul(0xd134_2543_de82_ef95));
            problem(random).ok().map(|op| (op.name(), ask(&op, random)))
        }));
        let taken = start.elapsed();
        match outcome {
            Ok(None) => refused += 1,
            Ok(Some((name, planned))) => {
                let counts = tried.entry(name).or_default();
                counts[0] += 1;
                counts[1] += u64::from(planned);
            }
            Err(_) => failed.push(number),
        }
        if taken > MOST_TIME {
            println!("case {number} took {taken:?}");
            failed.push(number);
        }
        slowest = slowest.max((taken, number));
    }
    println!("{refused} refused; accepted and planned by op: {tried:?}; slowest {slowest:?}");
    assert!(failed.is_empty(), "cases {failed:?} (why, see above); WGCONV_FUZZ_FIRST=4711 WGCONV_FUZZ_CASES=1 repeats 4711");
    if cases.is_none() && begin.elapsed() > Duration::from_secs(5) {
        let least = |i: usize| tried.values().map(|counts| counts[i]).sum::<u64>();
        assert!(tried.len() >= 25 && least(0) > 300 && least(1) > 100, "too few problems are accepted to mean anything: {tried:?}");
    }
}
