//! Whole networks that the package `onnx` ships with the outputs they must give, weights made by their nodes (`docs/onnx.md`).

#![allow(clippy::unwrap_used, reason = "tests")]

mod cases;

use std::path::PathBuf;
use wgconv::ndarray::{ArrayD, IxDyn};
use wgconv::{Gpu, Session};
use wgconv_onnx::{Dim, Model, Tensor};

const NETWORKS: [&str; 9] =
    ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19", "zfnet512"];

/// The suite's input: i / n for the i-th of n elements.
fn input(dims: &[usize]) -> ArrayD<f32> {
    let count: usize = dims.iter().product();
    ArrayD::from_shape_vec(IxDyn(dims), (0..count).map(|i| (i as f64 / count as f64) as f32).collect()).unwrap()
}

/// Through dozens of layers a bound says nothing; the suite's own comparison of these networks is relative to 1e-3.
fn networks(gpu: Option<&Gpu>) {
    let root = PathBuf::from(std::env::var("WGCONV_ONNX_TESTS").expect("WGCONV_ONNX_TESTS names the folder that scripts/onnx_cases.py wrote"));
    for name in NETWORKS {
        let light = root.join("light");
        // Their weights are made by their nodes.
        let model = Model::read(light.join(format!("light_{name}.onnx"))).unwrap().with_room(1 << 29);
        let own = &model.inputs()[0];
        let dims: Vec<usize> = own.dims.as_ref().unwrap().iter().map(|dim| if let Dim::Is(extent) = dim { *extent } else { 1 }).collect();
        let graph = model.graph(&[(&own.name, &dims)]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let wanted = Tensor::parse(&std::fs::read(light.join(format!("light_{name}_output_0.pb"))).unwrap()).unwrap();
        let graph = graph.optimized().unwrap();
        let session = match gpu {
            Some(gpu) => Session::gpu(gpu, &graph),
            None => Session::cpu(&graph),
        };
        let x = input(&dims);
        let outputs = session.unwrap().run(&[(own.name.as_str(), x.view())]).unwrap().into_arrays();
        let got = &outputs[0].1;
        assert_eq!(got.len(), wanted.numbers().len(), "{name}");
        let off = got.iter().zip(cases::as_f32(&wanted)).map(|(got, want)| ((got - want).abs() / want.abs().max(1e-7)).max(0.0));
        let worst = off.fold(0.0f32, |worst, off| if off > worst || off.is_nan() { off } else { worst });
        println!("{name}: {} nodes, off by {worst:e} at most", graph.nodes().len());
        assert!(worst <= 1e-3, "{name}: off by {worst:e}");
    }
}

#[test]
#[ignore = "needs the networks that scripts/onnx_cases.py copies: docs/onnx.md"]
fn networks_give_their_outputs_on_the_cpu_engine() {
    networks(None);
}

#[test]
#[ignore = "needs the networks that scripts/onnx_cases.py copies: docs/onnx.md"]
fn networks_give_their_outputs_on_the_gpu() {
    networks(Some(&Gpu::new().unwrap()));
}
