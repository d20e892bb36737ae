//! Convolution: `conv/<layer>/<algorithm>` on the GPU (wall clock of submit and wait) and on the CPU engine. Every GPU
//! output is verified against the reference once before it is timed.
//!
//! `cargo bench --bench conv [-- FILTER]`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{ArrayD, IxDyn};
use std::time::Duration;
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem, admitted};
use wgconv::numeric::Generator;
use wgconv::op::{Prepared, Problem};
use wgconv::validate::compare::compare;
use wgconv::validate::data::Data;
use wgconv::{Gpu, Padding, cpu, reference};

/// A layer, named as in the program's suites.
struct Layer {
    name: &'static str,
    input: [usize; 4],
    filter: [usize; 4],
    stride: usize,
    groups: usize,
}

/// The layers of `wgconv bench --suite quick`.
const LAYERS: [Layer; 10] = [
    Layer { name: "7x7_3_64_224_s2", input: [1, 3, 224, 224], filter: [64, 3, 7, 7], stride: 2, groups: 1 },
    Layer { name: "3x3_64_64_56", input: [1, 64, 56, 56], filter: [64, 64, 3, 3], stride: 1, groups: 1 },
    Layer { name: "3x3_128_128_28", input: [1, 128, 28, 28], filter: [128, 128, 3, 3], stride: 1, groups: 1 },
    Layer { name: "3x3_128_256_56_s2", input: [1, 128, 56, 56], filter: [256, 128, 3, 3], stride: 2, groups: 1 },
    Layer { name: "3x3_512_512_7", input: [1, 512, 7, 7], filter: [512, 512, 3, 3], stride: 1, groups: 1 },
    Layer { name: "1x1_256_64_56", input: [1, 256, 56, 56], filter: [64, 256, 1, 1], stride: 1, groups: 1 },
    Layer { name: "1x1_512_2048_14", input: [1, 512, 14, 14], filter: [2048, 512, 1, 1], stride: 1, groups: 1 },
    Layer { name: "dw3x3_96_96_112", input: [1, 96, 112, 112], filter: [96, 1, 3, 3], stride: 1, groups: 96 },
    Layer { name: "dw3x3_144_144_56_s2", input: [1, 144, 56, 56], filter: [144, 1, 3, 3], stride: 2, groups: 144 },
    Layer { name: "5x5_32_32_112", input: [1, 32, 112, 112], filter: [32, 32, 5, 5], stride: 1, groups: 1 },
];

fn convolution(criterion: &mut Criterion) {
    let gpu = Gpu::new().expect("a GPU adapter; a software one will do");
    for Layer { name, input, filter, stride, groups } in LAYERS {
        let descriptor = Conv2dDescriptor { stride: [stride; 2], padding: Padding::uniform(filter[2] / 2), groups, ..Default::default() };
        let problem = ConvProblem::forward(&ConvInputs::new(&input, &filter, None), &descriptor).expect("a valid layer");
        let mut generator = Generator::from_text(name);
        let mut data = problem.inputs().into_iter().map(|spec| Data::Real.fill(&spec, problem.terms(), &mut generator));
        let mut next = || data.next().expect("x and filter").into_iter().map(|v| v as f32).collect::<Vec<f32>>();
        let (x, w) = (next(), next());
        let mut y = vec![0.0; problem.output_count() as usize];
        let upload = |extents: &[usize], values: &[f32]| {
            gpu.upload(&ArrayD::from_shape_vec(IxDyn(extents), values.to_vec()).expect("sizes that fit")).expect("an upload")
        };
        let (x_tensor, w_tensor) = (upload(&input, &x), upload(&filter, &w));
        let reference = reference::conv(&problem, &x, &w, None).expect("the reference");

        let mut group = criterion.benchmark_group(format!("conv/{name}"));
        group.throughput(Throughput::Elements(problem.multiply_adds())).sample_size(10).measurement_time(Duration::from_secs(2));
        for algorithm in admitted(&problem, gpu.profile()) {
            let forced = problem.clone().with_algorithm(Some(algorithm));
            let conv = Prepared::new(&gpu, forced, &[&w_tensor]).expect("an admitted algorithm");
            let output = conv.output().expect("an output");
            let run = || {
                let mut recorder = gpu.recorder();
                conv.record(&mut recorder, &[&x_tensor], &[&output]).expect("a recording");
                recorder.submit().expect("a submit");
                gpu.wait().expect("the device");
            };
            run();
            let got = output.download::<f32, IxDyn>().expect("a download");
            let got: Vec<f64> = got.iter().map(|v| f64::from(*v)).collect();
            let allowed = |i: usize| reference::conv_allowed(&problem, reference.sum[i], reference.magnitude[i]);
            let mismatch = compare(&got, &reference.sum, allowed).map(|m| m.describe(&problem.output_extents()));
            assert_eq!(mismatch, None, "{name} {algorithm}: a wrong kernel is not timed");
            group.bench_function(algorithm.name(), |bencher| bencher.iter(run));
        }
        group.bench_function("cpu", |bencher| bencher.iter(|| cpu::conv(&problem, &x, &w, None, &mut y).expect("the CPU engine")));
        group.finish();
    }
}

criterion_group!(benches, convolution);
criterion_main!(benches);
