//! Damaged files: whatever they hold, reading and importing them ends in a graph or in an error, without a panic, and with memory within a bound.
//!
//! `WGCONV_FUZZ_SECONDS` gives it more than a few seconds, `WGCONV_FUZZ_SEED` another start, and `WGCONV_ONNX_TESTS` (docs/onnx.md) ONNX's own test models
//! beside those that are made here. A file that fails is left in the folder for temporary files, and the failure names it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod messages;

use messages::{GraphProto, ModelProto, float, floats, graph, int, integers, ints, model, node, text, value};
use prost::Message;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};
use wgconv::numeric::Generator;
use wgconv_onnx::{Dim, Given, Model};

/// The system's allocator, which counts what a thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn count(change: impl Fn(usize) -> usize) {
    // A thread that is ending counts no more.
    let _ = HELD.try_with(|held| {
        held.set(change(held.get()));
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call is handed to the system's allocator as it came; the counters are numbers of this thread and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|held| held.wrapping_add(layout.size()));
        // SAFETY: the caller keeps the rules of `GlobalAlloc::alloc`, which are the system's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(|held| held.saturating_sub(layout.size()));
        // SAFETY: the pointer came from the system's allocator with this layout, since `alloc` is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that a file may take beside those that its own size justifies: what shapes may make on the host, in several copies.
const ROOM: usize = 512 << 20;

/// Networks with a node of nearly every kind.
fn networks() -> Vec<Vec<u8>> {
    let conv = GraphProto {
        node: vec![
            node(
                "Conv",
                &["x", "w", "b"],
                &["c"],
                vec![ints("pads", &[1, 1, 1, 1]), ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), int("group", 1)],
            ),
            node("BatchNormalization", &["c", "v", "v", "v", "v"], &["n"], vec![float("epsilon", 1e-5)]),
            node("Clip", &["n", "zero", "six"], &["r"], vec![]),
            node("MaxPool", &["r"], &["p"], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), text("auto_pad", "SAME_UPPER")]),
            node("LRN", &["p"], &["l"], vec![int("size", 3)]),
            node("GlobalAveragePool", &["l"], &["g"], vec![]),
            node("Flatten", &["g"], &["f"], vec![int("axis", 1)]),
            node("Gemm", &["f", "fc", "fb"], &["scores"], vec![int("transB", 1)]),
            node("Softmax", &["scores"], &["y"], vec![int("axis", -1)]),
        ],
        initializer: vec![
            floats("w", &[4, 3, 3, 3], &[0.5; 108]),
            floats("b", &[4], &[1.0; 4]),
            floats("v", &[4], &[1.0; 4]),
            floats("zero", &[], &[0.0]),
            floats("six", &[], &[6.0]),
            floats("fc", &[5, 4], &[0.25; 20]),
            floats("fb", &[5], &[0.0; 5]),
        ],
        input: vec![value("x", 1, &[1, 3, 8, 8])],
        output: vec![value("y", 1, &[1, 5])],
        ..Default::default()
    };
    let shapes = GraphProto {
        node: vec![
            node("Shape", &["x"], &["s"], vec![]),
            node("Gather", &["s", "two"], &["h"], vec![int("axis", 0)]),
            node("Unsqueeze", &["h", "zero"], &["h1"], vec![]),
            node("Mul", &["h1", "h1"], &["hh"], vec![]),
            node("Slice", &["s", "zero", "two"], &["nc"], vec![]),
            node("Concat", &["nc", "hh"], &["target"], vec![int("axis", 0)]),
            node("Reshape", &["x", "target"], &["r"], vec![int("allowzero", 0)]),
            node("ConstantOfShape", &["target"], &["ones"], vec![]),
            node("Add", &["r", "ones"], &["a"], vec![]),
            node("Transpose", &["a"], &["t"], vec![ints("perm", &[0, 2, 1])]),
            node("Range", &["from", "h", "step"], &["range"], vec![]),
            node("Cast", &["range"], &["cast"], vec![int("to", 1)]),
            node("ReduceMean", &["t"], &["m"], vec![ints("axes", &[1]), int("keepdims", 1)]),
            node("Sub", &["t", "m"], &["d"], vec![]),
            node("Tile", &["d", "repeats"], &["tiled"], vec![]),
            node("Split", &["tiled"], &["p", "q"], vec![int("axis", 1), int("num_outputs", 2)]),
            node("Where", &["flag", "p", "q"], &["chosen"], vec![]),
            node("Pad", &["chosen", "pads"], &["y"], vec![text("mode", "reflect")]),
            node("Expand", &["cast", "wide"], &["z"], vec![]),
            node(
                "If",
                &["flag"],
                &["branch"],
                vec![
                    graph(
                        "then_branch",
                        GraphProto {
                            node: vec![node("Identity", &["x"], &["then"], vec![])],
                            output: vec![value("then", 1, &[1])],
                            ..Default::default()
                        },
                    ),
                    graph(
                        "else_branch",
                        GraphProto {
                            node: vec![node("Loop", &["x"], &["else"], vec![])],
                            output: vec![value("else", 1, &[1])],
                            ..Default::default()
                        },
                    ),
                ],
            ),
        ],
        initializer: vec![
            integers("two", &[], &[2]),
            integers("zero", &[1], &[0]),
            integers("from", &[], &[0]),
            integers("step", &[], &[1]),
            integers("repeats", &[3], &[1, 2, 1]),
            integers("pads", &[6], &[0, 1, 1, 0, 1, 1]),
            integers("wide", &[2], &[3, 4]),
            messages::TensorProto { data_type: Some(9), int32_data: vec![1], int64_data: vec![], ..integers("flag", &[1], &[]) },
        ],
        input: vec![value("x", 1, &[1, 3, 4, 4])],
        output: vec![value("y", 1, &[-1, -2, -3]), value("z", 1, &[3, 4]), value("branch", 1, &[1])],
        ..Default::default()
    };
    let others = GraphProto {
        node: vec![
            node("Resize", &["x", "", "", "sizes"], &["r"], vec![text("mode", "cubic"), text("coordinate_transformation_mode", "align_corners")]),
            node("ConvTranspose", &["r", "w"], &["t"], vec![ints("strides", &[2, 2]), ints("output_shape", &[12, 12])]),
            node("InstanceNormalization", &["t", "v", "v"], &["i"], vec![]),
            node("QuantizeLinear", &["i", "scale", "point"], &["q"], vec![]),
            node("DequantizeLinear", &["q", "scale", "point"], &["d"], vec![]),
            node("DepthToSpace", &["d"], &["e"], vec![int("blocksize", 2)]),
            node("LayerNormalization", &["e", "ln"], &["n"], vec![int("axis", -1)]),
            node("MatMul", &["n", "m"], &["mm"], vec![]),
            node("ArgMax", &["mm"], &["y"], vec![int("axis", 3)]),
            node("ReduceLogSumExp", &["mm", "axes"], &["z"], vec![]),
            node("Trilu", &["mm"], &["u"], vec![]),
            node("Pow", &["mm", "power"], &["v2"], vec![]),
            node("TopK", &["v2", "one"], &["top", "place"], vec![]),
            node("Upsample", &["x", "scales"], &["up"], vec![text("mode", "linear")]),
        ],
        initializer: vec![
            integers("sizes", &[4], &[1, 4, 6, 6]),
            floats("w", &[4, 4, 2, 2], &[0.5; 64]),
            floats("v", &[4], &[1.0; 4]),
            floats("scale", &[], &[0.5]),
            messages::TensorProto { data_type: Some(2), int32_data: vec![128], int64_data: vec![], ..integers("point", &[], &[]) },
            floats("ln", &[24], &[1.0; 24]),
            floats("m", &[24, 3], &[0.1; 72]),
            integers("axes", &[1], &[1]),
            floats("power", &[], &[2.0]),
            integers("one", &[1], &[1]),
            floats("scales", &[4], &[1.0, 1.0, 2.0, 1.5]),
        ],
        input: vec![value("x", 1, &[1, 4, 5, 5])],
        output: vec![
            value("y", 7, &[1, 1, 24, 1]),
            value("z", 1, &[-1]),
            value("u", 1, &[-1]),
            value("top", 1, &[-1]),
            value("place", 7, &[-1]),
            value("up", 1, &[-1]),
        ],
        ..Default::default()
    };
    [conv, shapes, others].into_iter().map(|graph| model(17, graph).encode_to_vec()).collect()
}

/// Reads and imports a file; whether it became a graph.
fn import(bytes: &[u8]) -> Result<bool, wgconv_onnx::Error> {
    let model = Model::parse(bytes.to_vec())?;
    // Open extents are given, and integers as numbers, as a program does.
    let dims: Vec<Vec<usize>> = model
        .inputs()
        .iter()
        .map(|input| input.dims.iter().flatten().map(|dim| if let Dim::Is(extent) = dim { *extent } else { 3 }).collect())
        .collect();
    let given: Vec<(&str, Given<'_>)> = model.inputs().iter().zip(&dims).map(|(input, dims)| (input.name.as_str(), Given::Dims(dims))).collect();
    let imported = model.import(&given)?;
    let _ = imported.into_graph()?;
    Ok(true)
}

/// A file damaged here and there: bytes changed, cut out, doubled, and taken from another file.
fn damaged(random: &mut Generator, files: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut Generator| files[random.below(files.len() as u64) as usize].clone();
    let mut bytes = pick(random);
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len() as u64) as usize;
        let end = (at + 1 + random.below(16) as usize).min(bytes.len());
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5) as usize],
            2 => bytes[at] = random.below(256) as u8,
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let other = pick(random);
                let from = random.below(other.len().max(1) as u64) as usize;
                let part = other[from..(from + 64).min(other.len())].to_vec();
                bytes.splice(at..end, part);
            }
            // A number of up to ten bytes, as large as numbers are.
            6 => drop(bytes.splice(at..end, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])),
            _ if random.below(4) == 0 => bytes.truncate(at),
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
    }
    bytes
}

/// A model damaged in its meaning: numbers, names and ops that its nodes do not expect.
fn confused(random: &mut Generator, file: &[u8]) -> Option<Vec<u8>> {
    const NUMBERS: [i64; 12] = [0, 1, -1, 2, 3, 7, -2, 1 << 20, 1 << 40, i64::MAX, i64::MIN, 1 << 31];
    let mut model = ModelProto::decode(file).ok()?;
    let graph = model.graph.as_mut()?;
    for _ in 0..1 + random.below(3) {
        let number = NUMBERS[random.below(NUMBERS.len() as u64) as usize];
        let any = |random: &mut Generator, count: usize| random.below(count.max(1) as u64) as usize;
        let (nodes, weights) = (graph.node.len(), graph.initializer.len());
        let (from, to) = (any(random, nodes), any(random, nodes));
        match random.below(9) {
            0 | 1 if weights > 0 => {
                let tensor = &mut graph.initializer[any(random, weights)];
                let at = any(random, tensor.int64_data.len());
                tensor.int64_data.get_mut(at).into_iter().for_each(|n| *n = number);
            }
            2 if weights > 0 => {
                let tensor = &mut graph.initializer[any(random, weights)];
                match random.below(3) {
                    0 => tensor.dims.push(NUMBERS[random.below(6) as usize]),
                    1 => drop(tensor.dims.pop()),
                    // A tensor without elements may have any other extents.
                    _ => (tensor.dims, tensor.raw_data, tensor.int64_data) = (vec![1 << 40, 0, 1 << 40], Some(vec![]), vec![]),
                }
            }
            3 | 4 if nodes > 0 && !graph.node[from].attribute.is_empty() => {
                let count = graph.node[from].attribute.len();
                let attribute = &mut graph.node[from].attribute[any(random, count)];
                attribute.i = attribute.i.map(|_| number);
                attribute.f = attribute.f.map(|_| [f32::NAN, f32::INFINITY, -1.0, 0.0][random.below(4) as usize]);
                let at = any(random, attribute.ints.len());
                attribute.ints.get_mut(at).into_iter().for_each(|n| *n = number);
                if random.below(4) == 0 {
                    attribute.ints.push(number);
                }
            }
            5 if nodes > 0 => graph.node[to].op_type = graph.node[from].op_type.clone(),
            6 if nodes > 0 => graph.node[to].input = graph.node[from].input.clone(),
            7 if nodes > 0 => {
                let inputs = &mut graph.node[to].input;
                match random.below(3) {
                    0 => inputs.reverse(),
                    1 => inputs.push(String::new()),
                    _ => drop(inputs.pop()),
                }
            }
            _ if nodes > 0 => {
                let attributes = graph.node[from].attribute.clone();
                graph.node[to].attribute.extend(attributes);
            }
            _ => {}
        }
    }
    Some(model.encode_to_vec())
}

fn all_models(root: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_models(&path, files);
        } else if path.extension().is_some_and(|e| e == "onnx") {
            files.push(std::fs::read(path).unwrap());
        }
    }
}

#[test]
fn undamaged_networks_are_imported() {
    for (i, bytes) in networks().iter().enumerate() {
        assert!(import(bytes).unwrap_or_else(|error| panic!("network {i}: {error}")));
    }
}

#[test]
fn damaged_files_end_in_a_graph_or_an_error() {
    let seconds = std::env::var("WGCONV_FUZZ_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let seed = std::env::var("WGCONV_FUZZ_SEED").unwrap_or_else(|_| "0".into());
    let mut files = networks();
    if let Ok(root) = std::env::var("WGCONV_ONNX_TESTS") {
        all_models(Path::new(&root), &mut files);
        files.retain(|file| file.len() < 1 << 16);
    }
    let mut random = Generator::from_text(&format!("onnx {seed}"));
    let (end, mut count, mut graphs) = (Instant::now() + Duration::from_secs(seconds), 0u64, 0u64);
    while Instant::now() < end {
        let file = &files[random.below(files.len() as u64) as usize];
        let bytes = if random.below(2) == 0 { confused(&mut random, file) } else { None };
        let bytes = bytes.unwrap_or_else(|| damaged(&mut random, &files));
        let held = HELD.get();
        MOST.set(held);
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| import(&bytes)));
        let taken = MOST.get().saturating_sub(held);
        let fault = match &outcome {
            Err(_) => Some("panics".to_string()),
            Ok(_) if taken > ROOM + 256 * bytes.len() => Some(format!("takes {taken} bytes")),
            Ok(_) if start.elapsed() > Duration::from_secs(10) => Some(format!("takes {:?}", start.elapsed())),
            Ok(_) => None,
        };
        if let Some(fault) = fault {
            let path = std::env::temp_dir().join("wgconv-onnx-damaged.onnx");
            std::fs::write(&path, &bytes).unwrap();
            panic!("{} {fault}", path.display());
        }
        count += 1;
        graphs += u64::from(matches!(outcome, Ok(Ok(true))));
    }
    println!("{count} damaged files, {graphs} of them graphs still");
    assert!(count > 100 && graphs > 0, "{count} files, {graphs} graphs: the test says little");
}
