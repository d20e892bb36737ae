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

/// Models of other packages, and what onnxruntime makes of them; those of `scripts/onnx_torch.py` come beside them.
const PEERS: [&str; 6] = ["text_detection", "text_direction", "text_recognition", "pitch", "voice_activity", "voice_activity_branches"];

/// Through a whole network bounds are too wide to say anything: each output may be 16 times as far from a run of the reference in f64 as onnxruntime's is.
const AS_FAR: f64 = 16.0;

fn peers(gpu: Option<&Gpu>) {
    let root = PathBuf::from(std::env::var("WGCONV_ONNX_TESTS").expect("WGCONV_ONNX_TESTS names the folder that scripts/onnx_peers.py wrote"));
    let only = std::env::var("WGCONV_ONNX_ONLY").unwrap_or_default();
    let mut all: Vec<PathBuf> = PEERS.iter().map(|name| root.join("peers").join(name)).collect();
    // PyTorch is a large download: its models are there where someone has made them (docs/onnx.md).
    if root.join("torch").is_dir() {
        all.extend(cases::folders(&root, "torch"));
    }
    for folder in all {
        let name = folder.file_name().unwrap().to_string_lossy();
        if !name.contains(&only) {
            continue;
        }
        let model = Model::read(folder.join("model.onnx")).unwrap();
        let data = folder.join("test_data_set_0");
        let inputs = cases::tensors(&data, "input", model.inputs().len()).unwrap();
        let theirs = cases::tensors(&data, "output", model.outputs().len()).unwrap();
        let given: Vec<(&str, Tensor<'_>)> = model.inputs().iter().zip(inputs).map(|(input, tensor)| (input.name.as_str(), tensor)).collect();
        let imported = model.import_with(&given).unwrap_or_else(|error| panic!("{name}: {error}"));
        let graph = &imported.graph;
        let run = given.iter().filter(|(name, _)| cases::is_input(graph, name));
        let arrays: Vec<(&str, ArrayD<f32>)> =
            run.map(|(name, tensor)| (*name, ArrayD::from_shape_vec(IxDyn(tensor.dims()), cases::as_f32(tensor)).unwrap())).collect();
        let own: Vec<(usize, Vec<f64>)> =
            arrays.iter().map(|(name, array)| (graph.find(name).unwrap().index(), array.iter().map(|&v| f64::from(v)).collect())).collect();
        let (exact, _) = cases::chain(graph, &own, None, None).unwrap();
        let optimized = graph.optimized().unwrap();
        let session = match gpu {
            Some(gpu) => Session::gpu(gpu, &optimized),
            None => Session::cpu(&optimized),
        };
        let views: Vec<_> = arrays.iter().map(|(name, array)| (*name, array.view())).collect();
        let got = session.unwrap().run(&views).unwrap();
        for (output, theirs) in imported.outputs.iter().zip(&theirs) {
            assert_eq!(output.dims, theirs.dims(), "{name}, {}", output.name);
            let index = graph.outputs().find(|(own, _)| *own == output.name).unwrap().1.index();
            let far = |values: &mut dyn Iterator<Item = f64>| {
                values.zip(&exact[index]).fold(0.0f64, |most, (a, b)| if (a - b).abs() > most || a.is_nan() { (a - b).abs() } else { most })
            };
            let ours = far(&mut got[output.name.as_str()].iter().map(|&v| f64::from(v)));
            let their = far(&mut theirs.to_f64().into_iter());
            let largest = exact[index].iter().fold(0.0f64, |most, v| most.max(v.abs()));
            println!("{name}, {}: largest {largest:.3e}, off by {ours:.2e}, onnxruntime by {their:.2e}", output.name);
            assert!(their <= 1e-3 * largest, "{name}, {}: the reference is not what onnxruntime computes", output.name);
            assert!(ours <= AS_FAR * their, "{name}, {}: off by {ours:e}, onnxruntime by {their:e}", output.name);
        }
    }
}

#[test]
#[ignore = "needs the models that scripts/onnx_peers.py ran: docs/onnx.md"]
fn models_agree_with_onnxruntime_on_the_cpu_engine() {
    peers(None);
}

#[test]
#[ignore = "needs the models that scripts/onnx_peers.py ran: docs/onnx.md"]
fn models_agree_with_onnxruntime_on_the_gpu() {
    peers(Some(&Gpu::new().unwrap()));
}
