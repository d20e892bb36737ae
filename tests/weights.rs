//! Weights by name from safetensors and npz files, whole and broken.

#![allow(clippy::unwrap_used, reason = "tests")]

use ndarray::{Array3, ArrayD, arr1};
use wgconv::graph::{Numbers, Weights};
use wgconv::{ElementType, Extent, Graph};

const STORED: &[u8] = include_bytes!("data/weights/stored.npz");
const DEFLATED: &[u8] = include_bytes!("data/weights/deflated.npz");

/// A graph with these f32 parameters and no numbers.
fn graph(parameters: &[(&str, &[usize])]) -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", [Extent::Open, 2.into()]).unwrap();
    for (name, extents) in parameters {
        graph.parameter_of(name, extents, ElementType::F32).unwrap();
    }
    graph.output("y", x).unwrap();
    graph
}

fn f32s(graph: &Graph, name: &str) -> ArrayD<f32> {
    match graph.numbers(graph.find(name).unwrap()).unwrap() {
        Numbers::F32(array) => array.clone(),
        Numbers::F16(_) => panic!("{name} is f16"),
    }
}

#[test]
fn archives_of_numpy_are_read_in_every_order_and_type() {
    let a = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (12 * i + 4 * j + k) as f32 - 11.0).into_dyn();
    for bytes in [STORED, DEFLATED] {
        let weights = Weights::from_npz(bytes).unwrap();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "a_fortran", "big", "count", "double", "half", "scalar"]);
        let names = ["a", "a_fortran", "half", "double", "big"];
        let parameters: Vec<(&str, &[usize])> = names.iter().map(|name| (*name, &[2, 3, 4][..])).collect();
        let mut graph = graph(&parameters);
        let kept = weights.clone().renamed(|name| names.contains(&name).then(|| name.to_string()));
        graph.set_all(&kept).unwrap();
        for name in names {
            assert_eq!(f32s(&graph, name), a, "{name}");
        }
        assert!(weights.get("count").is_none() && weights.get("scalar").unwrap().tensor_type().extents.is_empty());
    }
}

#[test]
fn safetensors_come_back_as_they_were_written() {
    let mut graph = Graph::new();
    let numbers = arr1(&[f32::NAN, f32::INFINITY, -0.0, f32::MIN_POSITIVE / 4.0, -1e9]);
    graph.parameter("layer.weight", numbers.view()).unwrap();
    graph.parameter("layer.half", numbers.mapv(half::f16::from_f32).view()).unwrap();
    let x = graph.input("x", [1.into()]).unwrap();
    graph.output("y", x).unwrap();
    let weights = Weights::from_safetensors(&graph.to_safetensors().unwrap()).unwrap();
    let bits = |numbers: &Numbers| match numbers {
        Numbers::F32(array) => array.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
        Numbers::F16(array) => array.iter().map(|v| u32::from(v.to_bits())).collect(),
    };
    for name in ["layer.weight", "layer.half"] {
        let before = graph.numbers(graph.find(name).unwrap()).unwrap();
        let after = weights.get(name).unwrap();
        assert_eq!((after.tensor_type(), bits(after)), (before.tensor_type(), bits(before)), "{name}");
    }
    graph.set_all(&weights).unwrap();
    let empty = self::graph(&[("w", &[2])]).to_safetensors().unwrap_err().to_string();
    assert_eq!(empty, "the parameter \"w\" is without numbers: a file holds the numbers of all");
}

#[test]
fn what_does_not_fit_is_named_all_at_once() {
    let weights = Weights::from_npz(STORED).unwrap();
    let mut graph = graph(&[("a", &[2, 12]), ("bias", &[3]), ("count", &[]), ("half", &[2, 3, 4]), ("mean", &[1])]);
    let error = graph.set_all(&weights).unwrap_err().to_string();
    let wanted = "weights is a file in memory: missing: bias, mean; surplus: a_fortran, big, double, scalar; \
                  of another shape or type: a (2 x 3 x 4; it must be 2 x 12), count (<i8; it must be scalar of f32)";
    assert_eq!(error, wanted);
    assert!(graph.numbers(graph.find("half").unwrap()).is_none(), "nothing is changed then");
}

#[test]
fn broken_files_are_errors() {
    for bytes in [STORED, DEFLATED] {
        for cut in [0, 1, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(Weights::from_npz(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        // A byte of every part of the file damaged: an error or other numbers, no panic and no memory that is not there.
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0xff;
            let _ = Weights::from_npz(&damaged);
        }
    }
    let mut graph = graph(&[("w", &[3])]);
    graph.set("w", arr1(&[1.0f32, 2.0, 3.0]).view()).unwrap();
    let file = graph.to_safetensors().unwrap();
    for cut in 0..file.len() {
        assert!(Weights::from_safetensors(&file[..cut]).is_err(), "cut at {cut}");
    }
    // A header that says it has 2^60 bytes.
    let huge = [&(1u64 << 60).to_le_bytes()[..], b"{}"].concat();
    assert!(Weights::from_safetensors(&huge).unwrap_err().to_string().starts_with("the file is of 10 bytes: "));
    let missing = Weights::read("no such file.npz").unwrap_err().to_string();
    assert!(missing.starts_with("the file is no such file.npz: "), "{missing}");
    let kind = Weights::read("Cargo.toml").unwrap_err().to_string();
    assert_eq!(kind, "the file is Cargo.toml: its name must end in .safetensors or .npz");
    let folder = std::env::temp_dir().join(format!("wgconv-weights-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("broken.npz");
    std::fs::write(&path, &STORED[..300]).unwrap();
    let error = Weights::read(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{} is of 300 bytes: ", path.display())), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
