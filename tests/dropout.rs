//! Dropout in training: the same bits on every engine, in every layout and with any number of threads; the statistics of its masks; what is not finite; its
//! gradient; sessions that drop anew at each step.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::{Array1, Array4, ArrayD, IxDyn, arr1};
use wgconv::dropout::{DropoutDescriptor, DropoutKey, DropoutProblem};
use wgconv::gpu::Counters;
use wgconv::reduce::ReduceDescriptor;
use wgconv::{ElementType, Gpu, Graph, Layout, Session, TensorType};

fn problem(extents: &[usize], probability: f32, stream: u32) -> DropoutProblem {
    DropoutProblem::new(&TensorType::f32(extents), &DropoutDescriptor { probability, stream }).unwrap()
}

fn by_reference(problem: &DropoutProblem, x: &[f32], key: DropoutKey) -> Vec<f32> {
    let [x, key] = [x, &key.to_array()].map(|values| values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    wgconv::reference::compute(problem, &[&x, &key]).unwrap().remove(0).value.into_iter().map(|v| v as f32).collect()
}

fn on_cpu(problem: &DropoutProblem, x: &[f32], key: DropoutKey) -> Vec<f32> {
    let mut y = vec![f32::NAN; x.len()];
    assert!(wgconv::cpu::compute(problem, &[x, &key.to_array()], &mut y).unwrap());
    y
}

fn on_gpu(gpu: &Gpu, x: &ArrayD<f32>, layout: Layout, descriptor: &DropoutDescriptor, key: DropoutKey) -> Vec<f32> {
    let [x, key] = [gpu.upload_as(x, layout).unwrap(), gpu.upload(&arr1(&key.to_array())).unwrap()];
    let y = gpu.run(|r| r.dropout(&x, &key, descriptor)).unwrap();
    y.download::<f32, IxDyn>().unwrap().iter().copied().collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// The published words of Philox (Random123, `kat_vectors`) for counter 0 under key 0, and those of counters and keys with high bits as the reference has
/// them, bit by bit from the top: what a threshold of 24 bits says of a word.
#[test]
fn every_engine_has_the_published_words() {
    let gpu = gpu();
    let published: [u32; 4] = [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8];
    let ones = ArrayD::from_elem(IxDyn(&[4]), 1.0f32);
    for (i, word) in published.into_iter().enumerate() {
        // The word lies between two thresholds, multiples of 2^8: it is kept by the first and dropped by the second.
        for (threshold, is_kept) in [(word >> 8, true), ((word >> 8) + 1, false)] {
            let descriptor = DropoutDescriptor { probability: threshold as f32 / 16_777_216.0, stream: 0 };
            let problem = problem(&[4], descriptor.probability, 0);
            let key = DropoutKey::default();
            let y = by_reference(&problem, &[1.0; 4], key);
            assert_eq!(y[i] != 0.0, is_kept, "word {i} below {threshold}");
            assert_eq!(bits(&on_cpu(&problem, &[1.0; 4], key)), bits(&y));
            assert_eq!(bits(&on_gpu(&gpu, &ones, Layout::ChannelsFirst, &descriptor, key)), bits(&y));
        }
    }
}

#[test]
fn engines_layouts_and_threads_have_the_same_bits() {
    let gpu = gpu();
    let keys = [(0, 0), (1, 0), (0, 1), (0xfedc_ba98, 0x8000_0001), (u32::MAX, u32::MAX)].map(|(seed, step)| DropoutKey { seed, step });
    for (key, extents) in keys.into_iter().zip([[1, 1, 1, 3], [2, 5, 7, 9], [3, 64, 5, 5], [5, 3, 33, 31], [4, 1, 90, 41]]) {
        for (probability, stream) in [(0.5, 0), (0.1, 3), (0.999, u32::MAX)] {
            let mut i = 0.0f32;
            let x = Array4::from_shape_simple_fn(extents, || {
                i += 1.0;
                i.sqrt() * if i % 3.0 == 0.0 { -1.0 } else { 1.0 }
            });
            let x = x.into_dyn();
            let (problem, numbers) = (problem(&extents, probability, stream), x.iter().copied().collect::<Vec<f32>>());
            let want = bits(&by_reference(&problem, &numbers, key));
            let descriptor = problem.descriptor();
            for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
                assert_eq!(bits(&on_gpu(&gpu, &x, layout, &descriptor, key)), want, "{problem} {layout:?}");
            }
            for threads in [1, 2, 3, 7] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert_eq!(bits(&pool.install(|| on_cpu(&problem, &numbers, key))), want, "{problem} on {threads} threads");
            }
        }
    }
}

/// Kept fractions lie within five deviations of the binomial distribution, over all elements of a mask and over all steps of an element; masks of other
/// steps, seeds and streams agree as often as independent ones do.
#[test]
fn masks_are_as_random_as_they_should_be() {
    const COUNT: usize = 40_000;
    let ones = vec![1.0f32; COUNT];
    let mask = |p: f32, seed: u32, step: u32, stream: u32| -> Vec<bool> {
        on_cpu(&problem(&[COUNT], p, stream), &ones, DropoutKey { seed, step }).into_iter().map(|y| y != 0.0).collect()
    };
    let near = |share: f64, want: f64, of: usize, what: &str| {
        let deviation = (want * (1.0 - want) / of as f64).sqrt();
        assert!((share - want).abs() <= 5.0 * deviation, "{what}: {share}, not {want}, of {of}");
    };
    let share = |mask: &[bool]| mask.iter().filter(|kept| **kept).count() as f64 / mask.len() as f64;
    for p in [1e-3f32, 0.1, 0.5, 0.9, 0.999] {
        let keep = 1.0 - f64::from(p);
        let first = mask(p, 5, 0, 0);
        near(share(&first), keep, COUNT, "kept");
        for (what, other) in [("step", mask(p, 5, 1, 0)), ("seed", mask(p, 6, 0, 0)), ("stream", mask(p, 5, 0, 1)), ("step", mask(p, 5, 1 << 16, 0))]
        {
            let agreed: Vec<bool> = first.iter().zip(&other).map(|(a, b)| a == b).collect();
            near(share(&agreed), keep * keep + (1.0 - keep) * (1.0 - keep), COUNT, what);
        }
        // Neighbours, and elements of one place in their blocks.
        for apart in [1, 4] {
            let agreed: Vec<bool> = first.iter().zip(&first[apart..]).map(|(a, b)| a == b).collect();
            near(share(&agreed), keep * keep + (1.0 - keep) * (1.0 - keep), agreed.len(), "neighbours");
        }
    }
    // Chi-square over the elements of 500 steps, one degree of freedom each.
    const STEPS: usize = 500;
    let mut kept = vec![0u32; 1000];
    for step in 0..STEPS {
        let y = on_cpu(&problem(&[kept.len()], 0.3, 0), &ones[..kept.len()], DropoutKey { seed: 9, step: step as u32 });
        kept.iter_mut().zip(y).for_each(|(kept, y)| *kept += u32::from(y != 0.0));
    }
    let keep = 1.0 - f64::from(0.3f32);
    let squares: Vec<f64> = kept.iter().map(|&n| (f64::from(n) - STEPS as f64 * keep).powi(2) / (STEPS as f64 * keep * (1.0 - keep))).collect();
    let total: f64 = squares.iter().sum();
    assert!((total - kept.len() as f64).abs() < 5.0 * (2.0 * kept.len() as f64).sqrt(), "{total}");
    assert!(squares.iter().all(|&square| square < 36.0), "{squares:?}");
}

#[test]
fn what_is_dropped_is_zero_whatever_it_was() {
    let gpu = gpu();
    let (key, descriptor) = (DropoutKey { seed: 3, step: 4 }, DropoutDescriptor { probability: 0.5, stream: 0 });
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, f32::MAX, -0.0, -1e9, 2.5];
    let x = Array1::from_shape_fn(256, |i| special[i / 4 % 8]).into_dyn();
    let numbers: Vec<f32> = x.iter().copied().collect();
    let problem = problem(&[256], 0.5, 0);
    let kept: Vec<bool> = on_cpu(&problem, &[1.0; 256], key).into_iter().map(|y| y != 0.0).collect();
    for (engine, y) in [("GPU", on_gpu(&gpu, &x, Layout::ChannelsFirst, &descriptor, key)), ("CPU", on_cpu(&problem, &numbers, key))] {
        for (i, ((y, x), kept)) in y.into_iter().zip(&numbers).zip(&kept).enumerate() {
            let want = if *kept { x * 2.0 } else { 0.0 };
            assert!(y.to_bits() == want.to_bits() || y.is_nan() && want.is_nan(), "{engine}: element {i} is {y}, not {want}");
        }
    }
    assert!(special.iter().all(|x| [true, false].iter().all(|k| (0..256).any(|i| numbers[i].to_bits() == x.to_bits() && kept[i] == *k))));
}

/// A probability of 0 changes no bit; the largest below 1 drops all but what nothing drops, and multiplies it by 2^24.
#[test]
fn the_ends_of_the_range() {
    let gpu = gpu();
    let key = DropoutKey { seed: 1, step: 2 };
    let numbers: Vec<f32> = (0..5000).map(|i| (i as f32 - 2500.0) / 7.0).collect();
    let x = ArrayD::from_shape_vec(IxDyn(&[5000]), numbers.clone()).unwrap();
    let none = DropoutDescriptor { probability: 0.0, stream: 0 };
    assert_eq!(bits(&on_gpu(&gpu, &x, Layout::ChannelsFirst, &none, key)), bits(&numbers));
    assert_eq!(bits(&on_cpu(&problem(&[5000], 0.0, 0), &numbers, key)), bits(&numbers));
    // 2^-24 of the words are not below the threshold: seek one.
    let most = f32::from_bits(1f32.to_bits() - 1);
    let all = problem(&[1 << 22], most, 0);
    let ones = vec![1.0; 1 << 22];
    let (step, y) = (0..200)
        .map(|step| (step, on_cpu(&all, &ones, DropoutKey { seed: 0, step })))
        .find(|(_, y)| y.iter().any(|y| *y != 0.0))
        .expect("of 2^29 words one is among the largest 2^8");
    assert!(y.iter().all(|y| *y == 0.0 || *y == 16_777_216.0));
    let last = y.iter().position(|y| *y != 0.0).unwrap() / 4 * 4 + 4;
    let gpu_y = on_gpu(&gpu, &ArrayD::from_elem(IxDyn(&[last]), 1.0), Layout::ChannelsFirst, &all.descriptor(), DropoutKey { seed: 0, step });
    assert_eq!(gpu_y, &y[..last]);
}

#[test]
fn halves_are_dropped_by_the_same_mask() {
    let gpu = gpu();
    if !gpu.profile().has_f16 {
        return;
    }
    let (key, descriptor) = (DropoutKey { seed: 8, step: 1 }, DropoutDescriptor { probability: 0.25, stream: 2 });
    let x = Array4::from_shape_fn((2, 3, 5, 7), |(n, c, y, x)| half::f16::from_f32((n + c + y) as f32 - x as f32 + 0.5));
    let wide: Vec<f32> = x.iter().map(|v| v.to_f32()).collect();
    let want = by_reference(&problem(&[2, 3, 5, 7], 0.25, 2), &wide, key);
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let [x, key] = [gpu.upload_as(&x, layout).unwrap(), gpu.upload(&arr1(&key.to_array())).unwrap()];
        let y = gpu.run(|r| r.dropout(&x, &key, &descriptor)).unwrap();
        let got: Vec<f32> = y.download::<half::f16, IxDyn>().unwrap().iter().map(|v| v.to_f32()).collect();
        assert_eq!(got, want.iter().map(|v| half::f16::from_f32(*v).to_f32()).collect::<Vec<_>>());
    }
}

/// A graph with two dropouts of one input: their masks differ, gradients have the masks of their values, and a run after the first plans and allocates
/// nothing though its key is another one.
#[test]
fn a_graph_drops_anew_at_each_step_and_its_gradient_has_the_mask() {
    let gpu = gpu();
    let mut g = Graph::new();
    let x = g.input("x", [64.into(), 9.into()]).unwrap();
    let key = g.input("key", [DropoutKey::COUNT.into()]).unwrap();
    let first = g.dropout_training(x, key, 0.5).unwrap();
    let second = g.dropout_training(x, key, 0.5).unwrap();
    g.output("first", first).unwrap();
    g.output("second", second).unwrap();
    let loss = g.reduce(first, &ReduceDescriptor::sum(&[])).unwrap();
    let whole = g.differentiate(loss, &[x]).unwrap();
    let (on_gpu, on_cpu) = (Session::gpu(&gpu, &whole).unwrap(), Session::cpu(&whole).unwrap());
    let ones = ArrayD::from_elem(IxDyn(&[64, 9]), 1.0f32);
    let run = |session: &Session, step: u32| {
        let key = arr1(&DropoutKey { seed: 77, step }.to_array()).into_dyn();
        session.run(&[("x", ones.view()), ("key", key.view())]).unwrap()
    };
    let mut seen = vec![];
    for step in 0..4 {
        let before = gpu.counters();
        let got = run(&on_gpu, step);
        if step > 0 {
            assert_eq!(gpu.counters() - before, Counters { submits: 1, ..Counters::default() });
        }
        assert_eq!(got, run(&on_cpu, step));
        assert_eq!(got, run(&on_gpu, step), "the same key gives the same mask");
        assert_eq!(got["grad.x"], got["first"], "the sum's gradient is 1 wherever an element is kept, times 2");
        assert_ne!(got["first"], got["second"]);
        let want = by_reference(&problem(&[64, 9], 0.5, 0), &[1.0; 576], DropoutKey { seed: 77, step });
        assert_eq!(got["first"].iter().copied().collect::<Vec<_>>(), want);
        seen.extend([got["first"].clone(), got["second"].clone()]);
    }
    for (i, a) in seen.iter().enumerate() {
        assert!(seen[..i].iter().all(|b| a != b), "mask {i} came before");
    }
    let mut before = Graph::new();
    let x = before.input("x", [4.into()]).unwrap();
    let y = before.dropout(x, 0.5).unwrap();
    before.output("y", y).unwrap();
    let kept = Session::cpu(&before).unwrap().run(&[("x", arr1(&[1.0, 2.0, 3.0, 4.0]).into_dyn().view())]).unwrap();
    assert_eq!(kept["y"], arr1(&[1.0, 2.0, 3.0, 4.0]).into_dyn(), "dropout of a trained network does nothing");
}

#[test]
fn wrong_probabilities_and_keys_are_errors() {
    let gpu = gpu();
    let mut g = Graph::new();
    let [x, short] = [("x", 8), ("short", 2)].map(|(name, extent)| g.input(name, [extent.into()]).unwrap());
    let half = g.input_as("half", &[4.into()], ElementType::F16, Layout::ChannelsFirst).unwrap();
    for p in [1.0, -0.5, f32::NAN] {
        let error = g.dropout_training(x, x, p).unwrap_err().to_string();
        assert!(error.contains("probability") && error.contains("from 0 to below 1"), "{error}");
    }
    for key in [x, short, half] {
        let error = g.dropout_training(x, key, 0.5).unwrap_err().to_string();
        assert!(error.contains("key is ") && error.contains("it is 4 f32 numbers"), "{error}");
    }
    for half in [-1.0f32, 0.5, 65_536.0, f32::NAN] {
        let error = wgconv::cpu::compute(problem(&[4], 0.5, 0), &[&[1.0; 4], &[0.0, half, 0.0, 0.0]], &mut [0.0; 4]).unwrap_err().to_string();
        assert!(error.starts_with("key[1] is "), "{error}");
    }
    let [x, key] = [gpu.upload(&arr1(&[1.0f32; 8])).unwrap(), gpu.upload(&arr1(&[0.0f32; 3])).unwrap()];
    let error = gpu.run(|r| r.dropout(&x, &key, &DropoutDescriptor::default())).unwrap_err().to_string();
    assert!(error.contains("key"), "{error}");
    assert!(gpu.run(|r| r.dropout(&x, &gpu.upload(&arr1(&[0.0f32; 4]))?, &DropoutDescriptor::default())).is_ok(), "the device works on");
}
