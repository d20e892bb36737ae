//! Convolution of streams on the CPU engine against the direct sum in f64, within the bound that `reference::streaming` derives: over lengths at every edge
//! of a partition, blocks of many lengths, and numbers of every kind. No GPU.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use ndarray::{Array2, ArrayView2};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use wgconv::conv::{Accuracy, Algorithm, Conv1dDescriptor, ConvInputs, ConvProblem, StreamingDescriptor};
use wgconv::cpu::StreamingConvolution;
use wgconv::numeric::Generator;
use wgconv::op::{Op, Referenced};
use wgconv::reference::{Bounded, streaming};
use wgconv::{Padding, Result};

/// Counts what a thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does the work; counting allocates nothing, and touches a cell of this thread that needs no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Three levels of few samples: 256, 2048 and 4096.
const SMALL: StreamingDescriptor = StreamingDescriptor { channels: 1, shortest: 256, longest: 4096 };
/// One level.
const UNIFORM: StreamingDescriptor = StreamingDescriptor { channels: 1, shortest: 256, longest: 256 };

#[derive(Debug, Clone, Copy, PartialEq)]
enum Data {
    Integers,
    Reals,
    /// Reals times powers of ten from -12 to 12.
    Mixed,
    /// 1e-3, and -1e9 now and then.
    Masks,
    /// All alike.
    Constant,
}

fn numbers(data: Data, count: usize, generator: &mut Generator) -> Vec<f32> {
    let mut one = || {
        let real = generator.real() as f32;
        match data {
            Data::Integers => generator.integer(9) as f32,
            Data::Reals => real,
            Data::Mixed => real * 10f32.powi(generator.integer(12) as i32),
            Data::Masks => {
                if generator.below(1000) == 0 {
                    -1e9
                } else {
                    1e-3 * real
                }
            }
            Data::Constant => 0.75,
        }
    };
    (0..count).map(|_| one()).collect()
}

fn one(response: &[f32], descriptor: &StreamingDescriptor) -> StreamingConvolution {
    StreamingConvolution::new(ArrayView2::from_shape((1, response.len()), response).unwrap(), descriptor).unwrap()
}

/// All outputs of x in blocks of these lengths, one after the other and again from the first; the last one may be shorter.
fn in_blocks(filter: &mut StreamingConvolution, x: &[f32], lengths: &[usize]) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    let (mut at, mut lengths) = (0, lengths.iter().cycle());
    while at < x.len() {
        let end = x.len().min(at + lengths.next().unwrap());
        filter.process(&x[at..end], &mut y[at..end]).unwrap();
        at = end;
    }
    y
}

/// Asserts that outputs at these places are within the bound; gives the largest share of it that an error takes.
#[track_caller]
fn within(y: &[f32], outputs: &[usize], expected: &Bounded, what: &str) -> f64 {
    let mut most = 0f64;
    for (i, &n) in outputs.iter().enumerate() {
        let (error, allowed) = ((f64::from(y[n]) - expected.value[i]).abs(), expected.error[i]);
        assert!(error <= allowed, "{what}: output {n} is {}, expected {} within {allowed:e}", y[n], expected.value[i]);
        most = most.max(error / allowed);
    }
    most
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn every_length_is_within_the_bound() {
    // The head ends at 512, the levels begin at 512, 4096 and 8192 where there are as many taps.
    let lengths = [1, 2, 63, 64, 65, 255, 256, 257, 511, 512, 513, 767, 768, 769, 1024, 4095, 4096, 4097, 6144, 6145, 8191, 8193, 12_289, 13_000];
    for (descriptor, name) in [(SMALL, "three levels"), (UNIFORM, "one level"), (StreamingDescriptor { shortest: 1024, ..SMALL }, "from 1024 on")] {
        for taps in lengths {
            let block = [64, 128, 256, 1024][taps % 4];
            for data in [Data::Reals, Data::Mixed, Data::Masks, Data::Constant] {
                let what = format!("{name}, {taps} taps, {data:?}");
                let mut generator = Generator::from_text(&what);
                let (response, x) = (numbers(data, taps, &mut generator), numbers(data, 2 * taps + 3000, &mut generator));
                let y = in_blocks(&mut one(&response, &descriptor), &x, &[block]);
                // Every edge, and places between.
                let outputs: Vec<usize> =
                    (0..x.len()).filter(|n| n % 61 == 0 || n % 256 < 2 || n % 256 > 253 && n % 3 == 0).step_by(1 + taps / 600).collect();
                let expected = streaming(&response, &x, &outputs, &descriptor).unwrap();
                let share = within(&y, &outputs, &expected, &what);
                // A bound that errors come nowhere near would see no damage.
                assert!(data != Data::Reals || taps == 1 || share > 1e-4, "{what}: {share:e}");
            }
        }
    }
}

/// Products of integers in the head are exact.
#[test]
fn the_head_is_exact_on_integers() {
    for taps in [1, 7, 64, 300, 512] {
        let mut generator = Generator::from_text(&format!("head {taps}"));
        let (response, x) = (numbers(Data::Integers, taps, &mut generator), numbers(Data::Integers, 2000, &mut generator));
        let outputs: Vec<usize> = (0..x.len()).collect();
        let expected = streaming(&response, &x, &outputs, &SMALL).unwrap();
        let y = in_blocks(&mut one(&response, &SMALL), &x, &[64, 1, 100]);
        assert!(y.iter().zip(&expected.value).all(|(y, value)| f64::from(*y) == *value), "{taps}");
    }
}

/// One tap at each edge of each partition delays the stream; one sample at each edge of each block gives the response.
#[test]
fn impulses_at_every_edge() {
    let taps = 13_000;
    let edges = |length: usize| (256..length).step_by(256).flat_map(|n| [n - 1, n, n + 1]).filter(|n| *n < length).collect::<Vec<_>>();
    let mut generator = Generator::from_text("impulses");
    let x = numbers(Data::Reals, 20_000, &mut generator);
    for tap in edges(taps).into_iter().filter(|tap| tap / 256 % 5 == 0 || tap % 2048 < 2 || tap % 2048 == 2047).chain([0, 1, taps - 1]) {
        let mut response = vec![0.0; taps];
        response[tap] = 2.0;
        let y = in_blocks(&mut one(&response, &SMALL), &x, &[256]);
        let outputs: Vec<usize> = (0..x.len()).step_by(37).collect();
        within(&y, &outputs, &streaming(&response, &x, &outputs, &SMALL).unwrap(), &format!("tap {tap}"));
        assert!(y[..tap].iter().all(|y| y.abs() < 1e-5), "tap {tap}: nothing comes before it");
    }
    let response = numbers(Data::Reals, taps, &mut generator);
    for sample in [0, 1, 255, 256, 257, 2047, 2048, 4095, 4096, 5000] {
        let mut x = vec![0.0; 20_000];
        x[sample] = 2.0;
        let y = in_blocks(&mut one(&response, &SMALL), &x, &[64]);
        let outputs: Vec<usize> = (0..x.len()).step_by(7).collect();
        within(&y, &outputs, &streaming(&response, &x, &outputs, &SMALL).unwrap(), &format!("sample {sample}"));
        assert!(y[..sample].iter().all(|y| *y == 0.0), "sample {sample}: outputs before it are zeros");
    }
}

/// The default's longest partitions, by a response that needs them.
#[test]
fn the_longest_partitions() {
    let descriptor = StreamingDescriptor::default();
    let mut generator = Generator::from_text("longest");
    let response = numbers(Data::Reals, 700_000, &mut generator);
    let x = numbers(Data::Reals, 900_000, &mut generator);
    let y = in_blocks(&mut one(&response, &descriptor), &x, &[1024]);
    let outputs: Vec<usize> = (0..x.len()).step_by(7919).chain([262_143, 262_144, 524_287, 524_288, 699_999, 700_000]).collect();
    within(&y, &outputs, &streaming(&response, &x, &outputs, &descriptor).unwrap(), "700,000 taps");
}

/// However the stream is cut, at every run, and after `reset`, outputs are the same bits.
#[test]
fn blocks_of_any_length_give_the_same_bits() {
    let mut generator = Generator::from_text("cut");
    let (response, x) = (numbers(Data::Reals, 13_000, &mut generator), numbers(Data::Reals, 30_000, &mut generator));
    let mut filter = one(&response, &SMALL);
    let first = in_blocks(&mut filter, &x, &[256]);
    for lengths in [&[256][..], &[64], &[128], &[1024], &[4096], &[30_000], &[1], &[37, 0, 1, 999, 64]] {
        filter.reset();
        assert_eq!(bits(&in_blocks(&mut filter, &x, lengths)), bits(&first), "{lengths:?}");
        assert_eq!(bits(&in_blocks(&mut one(&response, &SMALL), &x, lengths)), bits(&first), "{lengths:?}, new");
    }
    let mut in_place = x.clone();
    filter.reset();
    filter.process_in_place(&mut in_place).unwrap();
    assert_eq!(bits(&in_place), bits(&first));
}

/// One sample of 1e9 among such of 1e-3: errors grow where the bound says, and elsewhere they stay as small as they were.
#[test]
fn a_large_sample_disturbs_its_blocks_alone() {
    let taps = 9000;
    let mut generator = Generator::from_text("large");
    let response = numbers(Data::Reals, taps, &mut generator);
    let mut x: Vec<f32> = numbers(Data::Reals, 40_000, &mut generator).iter().map(|v| 1e-3 * v).collect();
    x[10_000] = 1e9;
    let y = in_blocks(&mut one(&response, &SMALL), &x, &[256]);
    let outputs: Vec<usize> = (0..x.len()).step_by(31).collect();
    let expected = streaming(&response, &x, &outputs, &SMALL).unwrap();
    within(&y, &outputs, &expected, "1e9");
    for (n, error) in outputs.iter().zip(&expected.error) {
        let is_near = (10_000..10_000 + taps + 2 * 4096).contains(n);
        assert!(is_near || *error < 1e-4, "output {n} may err by {error:e}");
    }
}

/// What is not finite comes no earlier than it should, is gone when the longest partition is through, and leaves nothing behind.
#[test]
fn what_is_not_finite_stays_within_its_time() {
    let taps = 13_000;
    let mut generator = Generator::from_text("not finite");
    let response = numbers(Data::Reals, taps, &mut generator);
    let zero_there = {
        let mut x = numbers(Data::Reals, 60_000, &mut generator);
        x[20_001] = 0.0;
        x
    };
    let without = in_blocks(&mut one(&response, &SMALL), &zero_there, &[256]);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let mut x = zero_there.clone();
        x[20_001] = value;
        let mut filter = one(&response, &SMALL);
        let y = in_blocks(&mut filter, &x, &[128]);
        assert_eq!(bits(&y[..20_001]), bits(&without[..20_001]), "{value} reaches nothing before it");
        assert!(value == f32::MAX || !y[20_001].is_finite(), "{value} must be seen");
        let gone = 20_001 + taps + 2 * 4096;
        assert_eq!(bits(&y[gone..]), bits(&without[gone..]), "{value} is gone");
        // In the midst of it.
        filter.reset();
        in_blocks(&mut filter, &x[..25_000], &[128]);
        filter.reset();
        assert_eq!(bits(&in_blocks(&mut filter, &zero_there, &[128])), bits(&without), "{value} after reset");
    }
}

/// The one-shot convolution of the engine, by plain sums and by transforms: no further apart than both bounds.
#[test]
fn it_is_the_one_shot_convolution() {
    let (taps, length) = (5000, 12_000);
    let mut generator = Generator::from_text("one shot");
    let (response, x) = (numbers(Data::Reals, taps, &mut generator), numbers(Data::Reals, length, &mut generator));
    let mut filter = one(&response, &SMALL);
    let mut y = in_blocks(&mut filter, &x, &[256]);
    let mut rest = vec![0.0; filter.tail()];
    filter.drain(&mut rest).unwrap();
    y.extend(rest);
    let outputs: Vec<usize> = (0..y.len()).collect();
    let ours = streaming(&response, &x, &outputs, &SMALL).unwrap();
    within(&y, &outputs, &ours, "stream");
    // Cross-correlation with the taps turned round, and zeros for the stream's past and its end.
    let turned: Vec<f32> = response.iter().rev().copied().collect();
    for (algorithm, accuracy) in [(Some(Algorithm::Fft), Accuracy::Reduced), (None, Accuracy::Exact)] {
        let padding = Padding::Explicit { begin: [taps - 1], end: [taps - 1] };
        let descriptor = Conv1dDescriptor { padding, algorithm, accuracy, ..Default::default() };
        let problem = ConvProblem::forward(&ConvInputs::new(&[1, 1, length], &[1, 1, taps], None), &descriptor).unwrap();
        let label = wgconv::cpu::algorithm(&Op::from(problem.clone())).unwrap_or_default();
        assert_eq!(label.starts_with("fft"), algorithm.is_some(), "{label}");
        let mut whole = vec![0.0; y.len()];
        wgconv::cpu::conv(&problem, &x, &turned, None, &mut whole).unwrap();
        let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let theirs = problem.reference_for(&label, &[&wide(&x), &wide(&turned)]).remove(0);
        for n in 0..y.len() {
            let (apart, allowed) = ((f64::from(y[n]) - f64::from(whole[n])).abs(), ours.error[n] + theirs.error[n]);
            assert!(apart <= allowed, "{label}: output {n} is {} and {}", y[n], whole[n]);
        }
    }
}

/// Each channel has its own past; one response may be for all.
#[test]
fn channels_do_not_meet() {
    let (taps, length) = (6000, 20_000);
    let mut generator = Generator::from_text("channels");
    let stereo = StreamingDescriptor { channels: 2, ..SMALL };
    let (responses, x) = (numbers(Data::Reals, 2 * taps, &mut generator), numbers(Data::Reals, 2 * length, &mut generator));
    let responses = Array2::from_shape_vec((2, taps), responses).unwrap();
    let row = |i: usize| responses.row(i).to_vec();
    let alone = |response: usize, channel: usize| in_blocks(&mut one(&row(response), &SMALL), &x[channel * length..][..length], &[256]);
    for (given, own) in [(responses.view(), [0, 1]), (responses.slice(ndarray::s![1..2, ..]), [1, 1])] {
        let mut filter = StreamingConvolution::new(given, &stereo).unwrap();
        assert_eq!((filter.channels(), filter.taps(), filter.tail(), filter.latency()), (2, taps, taps - 1, 0));
        let mut y = [vec![], vec![]];
        for at in (0..length).step_by(250) {
            let block = [&x[at..at + 250], &x[length + at..][..250]].concat();
            let mut out = vec![0.0; 500];
            filter.process(&block, &mut out).unwrap();
            y.iter_mut().zip(out.chunks(250)).for_each(|(y, out)| y.extend_from_slice(out));
        }
        for channel in 0..2 {
            assert_eq!(bits(&y[channel]), bits(&alone(own[channel], channel)), "channel {channel} by {own:?}");
        }
    }
}

#[test]
fn processing_allocates_nothing() {
    let mut generator = Generator::from_text("allocations");
    let (response, x) = (numbers(Data::Reals, 13_000, &mut generator), numbers(Data::Reals, 20_000, &mut generator));
    let before = ALLOCATIONS.get();
    let mut filter = one(&response, &SMALL);
    assert!(ALLOCATIONS.get() > before, "allocations are counted");
    let mut y = vec![0.0; 256];
    let before = ALLOCATIONS.get();
    for block in x.chunks_exact(256) {
        filter.process(block, &mut y).unwrap();
    }
    filter.drain(&mut y).unwrap();
    filter.reset();
    filter.process_in_place(&mut y).unwrap();
    assert_eq!(ALLOCATIONS.get(), before);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let says = |result: Result<StreamingConvolution>| result.unwrap_err().to_string();
    let response = Array2::<f32>::ones((2, 9));
    assert!(says(StreamingConvolution::new(response.view(), &SMALL)).contains("of 2 rows: it has one for all channels, or one for each of the 1"));
    assert!(says(StreamingConvolution::new(Array2::zeros((1, 0)).view(), &SMALL)).contains("0 taps"));
    assert!(says(StreamingConvolution::new(Array2::zeros((0, 4)).view(), &SMALL)).contains("0 rows"));
    let mut bad = Array2::<f32>::ones((1, 9));
    bad[[0, 5]] = f32::INFINITY;
    assert!(says(StreamingConvolution::new(bad.view(), &SMALL)).starts_with("response[0, 5] is inf: "));
    let many = StreamingDescriptor { channels: usize::MAX / 2, ..SMALL };
    assert!(says(StreamingConvolution::new(Array2::ones((1, 9)).view(), &many)).contains("bytes"));
    let stereo = StreamingDescriptor { channels: 2, ..SMALL };
    let mut filter = StreamingConvolution::new(response.view(), &stereo).unwrap();
    let mut y = [7.0; 4];
    assert!(filter.process(&[1.0; 3], &mut y[..3]).unwrap_err().to_string().contains("input is of 3 elements: it has as many for each of the 2"));
    assert!(filter.process(&[1.0; 2], &mut y).unwrap_err().to_string().contains("output is of 4 elements: the input has 2"));
    assert!(filter.drain(&mut y[..1]).is_err() && filter.process_in_place(&mut y[..3]).is_err());
    assert_eq!(y, [7.0; 4]);
    filter.process(&[1.0, 2.0, 3.0, 4.0], &mut y).unwrap();
    assert_eq!(y, [1.0, 3.0, 3.0, 7.0], "as if nothing had come before");
    filter.process(&[], &mut []).unwrap();
    assert!(filter.bytes() > 0);
}
