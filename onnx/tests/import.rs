//! Importing by the public API: what becomes of inputs, names, weights and faults.

#![allow(clippy::unwrap_used, reason = "tests")]

mod messages;

use messages::{GraphProto, StringStringEntryProto, float, floats, graph, int, integers, ints, model, node, text, value};
use prost::Message;
use wgconv::Session;
use wgconv::ndarray::{Array2, Array3, Array4};
use wgconv_onnx::{Element, Error, Given, Model, Tensor};

fn parse(opset: i64, graph: GraphProto) -> Model {
    Model::parse(model(opset, graph).encode_to_vec()).unwrap()
}

fn convolution(external: Vec<StringStringEntryProto>) -> GraphProto {
    let mut w = floats("w", &[2, 1, 3, 3], &[1.0; 18]);
    if !external.is_empty() {
        (w.raw_data, w.external_data, w.data_location) = (None, external, Some(1));
    }
    GraphProto {
        node: vec![node("Conv", &["x", "w"], &["y"], vec![ints("pads", &[1, 1, 1, 1])])],
        initializer: vec![w],
        input: vec![value("x", 1, &[-1, 1, -2, -3])],
        output: vec![value("y", 1, &[-1, 2, -2, -3])],
        ..Default::default()
    }
}

#[test]
fn open_extents_are_given_and_weights_keep_their_names() {
    let model = parse(17, convolution(vec![]));
    assert_eq!(model.graph(&[]).unwrap_err().to_string(), "input \"x\" is open1 x 1 x open2 x open3: its open extents must be given");
    let wrong = model.graph(&[("x", &[1, 2, 4, 4])]).unwrap_err().to_string();
    assert!(wrong.starts_with("input \"x\" is [1, 2, 4, 4]: the model has it as open1 x 1 x open2 x open3"), "{wrong}");
    assert_eq!(model.graph(&[("z", &[1])]).unwrap_err().to_string(), "an input is \"z\": the model's are \"x\"");
    let graph = model.graph(&[("x", &[2, 1, 4, 5])]).unwrap();
    assert_eq!(graph.parameters().map(|(name, _)| name).collect::<Vec<_>>(), ["w"]);
    assert_eq!(graph.find("y").and_then(|y| graph.extents(y)), Some(vec![2, 2, 4, 5]));
    let x = Array4::<f32>::ones((2, 1, 4, 5));
    let y = &Session::cpu(&graph).unwrap().run(&[("x", x.view())]).unwrap()["y"];
    assert_eq!((y[[0, 0, 0, 0]], y[[1, 1, 1, 1]]), (4.0, 9.0));
}

#[test]
fn all_that_is_missing_is_listed_at_once() {
    let graph = GraphProto {
        node: vec![
            node("Scan", &["x"], &["a"], vec![]),
            node("Relu", &["a"], &["b"], vec![]),
            node("Frobnicate", &["b"], &["c"], vec![]),
            node("Relu", &["x"], &["d"], vec![int("alpha", 1)]),
            node("Add", &["c", "d"], &["y"], vec![]),
            // Nothing needs it.
            node("NonZero", &["x"], &["unused"], vec![]),
        ],
        input: vec![value("x", 1, &[2, 3])],
        output: vec![value("y", 1, &[2, 3])],
        ..Default::default()
    };
    let error = parse(17, graph).graph(&[]).unwrap_err();
    let Error::Nodes(refusals) = &error else { panic!("{error}") };
    assert_eq!(refusals.iter().map(|r| r.op.as_str()).collect::<Vec<_>>(), ["Scan", "Frobnicate", "Relu"]);
    let wanted = "3 nodes cannot be imported:\n  node \"a\" (Scan): it repeats a graph of its own, and a graph here has no loops\n  node \"c\" (Frobnicate): this op is not known\n  \
                  node \"d\" (Relu): attribute alpha: it is not known of this op";
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn shapes_are_folded() {
    let graph = GraphProto {
        node: vec![
            node("Shape", &["x"], &["shape"], vec![]),
            node("Gather", &["shape", "one"], &["columns"], vec![]),
            node("Unsqueeze", &["columns", "axes"], &["columns1"], vec![]),
            node("Concat", &["minus", "columns1"], &["target"], vec![int("axis", 0)]),
            node("Reshape", &["x", "target"], &["y"], vec![]),
        ],
        initializer: vec![integers("one", &[], &[2]), integers("axes", &[1], &[0]), integers("minus", &[1], &[-1])],
        input: vec![value("x", 1, &[-1, 3, -2])],
        output: vec![value("y", 1, &[-3, -2]), value("target", 7, &[2])],
        ..Default::default()
    };
    let imported = parse(17, graph).import(&[("x", Given::Dims(&[2, 3, 4]))]).unwrap();
    assert_eq!(imported.graph.nodes().len(), 1);
    assert_eq!(imported.outputs[0].dims, [6, 4]);
    let known = imported.outputs[1].known.as_ref().unwrap();
    assert_eq!((known.element(), known.as_integers()), (Element::I64, Some(&[-1, 4][..])));
    // As a graph alone it has that as a constant.
    assert_eq!(imported.into_graph().unwrap().outputs().count(), 2);
}

#[test]
fn what_decides_about_shapes_can_be_given() {
    let graph = GraphProto {
        node: vec![node("Expand", &["x", "shape"], &["y"], vec![])],
        input: vec![value("x", 1, &[2, 1]), value("shape", 7, &[2])],
        output: vec![value("y", 1, &[-1, -2])],
        ..Default::default()
    };
    let model = parse(17, graph);
    let Error::Nodes(refusals) = model.graph(&[]).unwrap_err() else { panic!("it was imported") };
    assert_eq!(refusals[0].needs, ["shape"]);
    let shape = Tensor::integers(Element::I64, &[2], vec![2, 3]).unwrap();
    let imported = model.import(&[("shape", Given::Numbers(shape))]).unwrap();
    let x = Array2::from_shape_vec((2, 1), vec![-0.0f32, f32::NAN]).unwrap();
    let y = &Session::cpu(&imported.graph).unwrap().run(&[("x", x.view())]).unwrap()["y"];
    assert_eq!(y.shape(), [2, 3]);
    assert!(y[[0, 2]].is_sign_negative() && y[[0, 2]] == 0.0 && y[[1, 2]].is_nan());
}

#[test]
fn a_known_condition_takes_its_branch() {
    let branch =
        |op: &str, name: &str| GraphProto { node: vec![node(op, &["x"], &[name], vec![])], output: vec![value(name, 1, &[2])], ..Default::default() };
    let model = |condition: &str| GraphProto {
        node: vec![
            node("Equal", &["two", "two"], &["yes"], vec![]),
            node("If", &[condition], &["y"], vec![graph("then_branch", branch("Neg", "n")), graph("else_branch", branch("Loop", "m"))]),
        ],
        initializer: vec![integers("two", &[], &[2])],
        input: vec![value("x", 1, &[2]), value("no", 9, &[])],
        output: vec![value("y", 1, &[2])],
        ..Default::default()
    };
    let graph = parse(17, model("yes")).graph(&[]).unwrap();
    assert_eq!(graph.nodes().len(), 1);
    let error = parse(17, model("no")).graph(&[]).unwrap_err().to_string();
    assert_eq!(error, "node \"y\" (If): its condition is known only when the network runs");
}

#[test]
fn names_that_stand_twice_or_nowhere_are_refused() {
    let said = |graph: GraphProto| parse(17, graph).graph(&[]).unwrap_err().to_string();
    let of = |node: Vec<messages::NodeProto>| GraphProto {
        node,
        input: vec![value("x", 1, &[2])],
        output: vec![value("y", 1, &[2])],
        ..Default::default()
    };
    assert_eq!(said(of(vec![])), "output \"y\": no node gives it");
    let twice = of(vec![node("Relu", &["x"], &["y"], vec![]), node("Neg", &["x"], &["y"], vec![])]);
    assert_eq!(said(twice), "node \"y\", output: the name \"y\" is used twice");
    // A cycle, and an order in which nothing can run.
    let cycle = of(vec![node("Add", &["x", "b"], &["a"], vec![]), node("Add", &["a", "x"], &["b"], vec![]), node("Relu", &["b"], &["y"], vec![])]);
    let why = said(cycle);
    assert!(why.contains("input \"b\": no input, initializer or node before it has this name"), "{why}");
    let itself = of(vec![node("Add", &["y", "x"], &["y"], vec![])]);
    assert!(said(itself).contains("no input, initializer or node before it"));
}

#[test]
fn external_weights_stay_in_their_folder() {
    let folder = std::env::temp_dir().join(format!("wgconv-onnx-external-{}", std::process::id()));
    let inner = folder.join("model");
    std::fs::create_dir_all(&inner).unwrap();
    let bytes: Vec<u8> = (0..20).flat_map(|i| (i as f32).to_le_bytes()).collect();
    std::fs::write(inner.join("weights.bin"), &bytes).unwrap();
    std::fs::write(folder.join("secret.bin"), &bytes).unwrap();
    let entry = |key: &str, value: &str| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
    let read = |entries: Vec<StringStringEntryProto>| {
        let path = inner.join("model.onnx");
        std::fs::write(&path, model(17, convolution(entries)).encode_to_vec()).unwrap();
        Model::read(&path).unwrap().graph(&[("x", &[1, 1, 3, 3])])
    };
    let graph = read(vec![entry("location", "weights.bin"), entry("offset", "8")]).unwrap();
    let w = graph.numbers(graph.find("w").unwrap()).unwrap().as_f32().into_owned();
    assert_eq!((w[0], w[17]), (2.0, 19.0));
    let said = |entries| read(entries).unwrap_err().to_string();
    for outside in ["../secret.bin", "/etc/passwd", "a/../../secret.bin", "..\\secret.bin", ""] {
        let why = said(vec![entry("location", outside)]);
        assert!(why.contains("must be a path below the model's folder"), "{why}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.join("secret.bin"), inner.join("link.bin")).unwrap();
        let why = said(vec![entry("location", "link.bin")]);
        assert!(why.contains("leads out of the model's folder"), "{why}");
    }
    assert!(said(vec![entry("location", "weights.bin"), entry("offset", "9")]).contains("has 80 bytes, and 72 from byte 9 on are needed"));
    assert!(said(vec![entry("location", "weights.bin"), entry("length", "71")]).contains("its length is 71 bytes, and the tensor has 72"));
    assert!(said(vec![entry("location", "none.bin")]).contains("none.bin"));
    assert!(said(vec![entry("offset", "0")]).contains("it has no location"));
    let in_memory = parse(17, convolution(vec![entry("location", "weights.bin")])).graph(&[("x", &[1, 1, 3, 3])]).unwrap_err().to_string();
    assert!(in_memory.contains("a model given as bytes has no folder"), "{in_memory}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn dense_layers_take_weights_as_they_are_stored() {
    let graph = |op: &str, trans: i64| GraphProto {
        node: vec![node(
            op,
            &["x", "w", "b"][..if op == "Gemm" { 3 } else { 2 }],
            &["y"],
            if op == "Gemm" { vec![int("transB", trans), float("alpha", 1.0)] } else { vec![] },
        )],
        initializer: vec![
            floats("w", if trans == 1 { &[2, 3] } else { &[3, 2] }, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            floats("b", &[1, 2], &[10.0, 20.0]),
        ],
        input: vec![value("x", 1, &[1, 3])],
        output: vec![value("y", 1, &[1, 2])],
        ..Default::default()
    };
    let run = |graph: GraphProto| {
        let graph = parse(17, graph).graph(&[]).unwrap();
        assert_eq!(graph.nodes().iter().filter(|node| node.recipe().name() == "linear").count(), 1);
        let x = Array2::from_shape_vec((1, 3), vec![1.0f32, 10.0, 100.0]).unwrap();
        Session::cpu(&graph).unwrap().run(&[("x", x.view())]).unwrap()["y"].iter().copied().collect::<Vec<_>>()
    };
    assert_eq!(run(graph("Gemm", 1)), [331.0, 674.0]);
    assert_eq!(run(graph("Gemm", 0)), [541.0, 662.0]);
    assert_eq!(run(graph("MatMul", 0)), [531.0, 642.0]);
}

#[test]
fn a_few_bytes_cannot_ask_for_all_memory() {
    let graph = GraphProto {
        node: vec![node("ConstantOfShape", &["shape"], &["y"], vec![])],
        initializer: vec![integers("shape", &[3], &[1 << 20, 1 << 20, 1 << 10])],
        output: vec![value("y", 1, &[-1, -2, -3])],
        ..Default::default()
    };
    let why = parse(17, graph).graph(&[]).unwrap_err().to_string();
    assert!(why.contains("more than the size of the file can justify"), "{why}");
}

/// A dense layer transposes its weights: that is paid for by their own file, as PyTorch's exporter writes it beside the model.
#[test]
fn large_weights_outside_the_model_are_turned() {
    const SIDE: usize = 2100; // its square is past the room that a small file has
    let folder = std::env::temp_dir().join(format!("wgconv-onnx-large-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let bytes: Vec<u8> = (0..SIDE * SIDE).flat_map(|i| ((i % 7) as f32).to_le_bytes()).collect();
    std::fs::write(folder.join("model.onnx.data"), &bytes).unwrap();
    let location = StringStringEntryProto { key: Some("location".into()), value: Some("model.onnx.data".into()) };
    let mut w = floats("w", &[SIDE as i64, SIDE as i64], &[]);
    (w.raw_data, w.external_data, w.data_location) = (None, vec![location], Some(1));
    let graph = GraphProto {
        node: vec![node("MatMul", &["x", "w"], &["y"], vec![])],
        initializer: vec![w],
        input: vec![value("x", 1, &[1, SIDE as i64])],
        output: vec![value("y", 1, &[1, SIDE as i64])],
        ..Default::default()
    };
    let path = folder.join("model.onnx");
    std::fs::write(&path, model(17, graph).encode_to_vec()).unwrap();
    let imported = Model::read(&path).unwrap().graph(&[]);
    std::fs::remove_dir_all(&folder).unwrap();
    let graph = imported.unwrap();
    let w = graph.parameters().next().unwrap().1;
    let turned = graph.numbers(w).unwrap().as_f32().into_owned();
    assert_eq!((turned[1], turned[SIDE]), ((SIDE % 7) as f32, 1.0));
}

/// GRU as PyTorch writes it: the reset gate after the product, with its bias; backwards, from a state that is given.
#[test]
fn a_gru_whose_reset_comes_after_the_product_is_its_formula() {
    let (hidden, inputs) = (2usize, 3usize);
    let numbers = |count: usize, step: usize| -> Vec<f32> { (0..count).map(|i| (i * step % 13) as f32 / 8.0 - 0.75).collect() };
    let (w, r, b) = (numbers(3 * hidden * inputs, 5), numbers(3 * hidden * hidden, 7), numbers(6 * hidden, 3));
    let (x, h0) = (numbers(4 * inputs, 11), numbers(hidden, 2));
    let graph = GraphProto {
        node: vec![node(
            "GRU",
            &["x", "w", "r", "b", "", "h0"],
            &["y", "last"],
            vec![int("hidden_size", 2), int("linear_before_reset", 1), text("direction", "reverse")],
        )],
        initializer: vec![floats("w", &[1, 6, 3], &w), floats("r", &[1, 6, 2], &r), floats("b", &[1, 12], &b), floats("h0", &[1, 1, 2], &h0)],
        input: vec![value("x", 1, &[4, 1, 3])],
        output: vec![value("y", 1, &[4, 1, 1, 2]), value("last", 1, &[1, 1, 2])],
        ..Default::default()
    };
    let graph = parse(22, graph).graph(&[]).unwrap();
    let array = Array3::from_shape_vec((4, 1, 3), x.clone()).unwrap();
    let outputs = Session::cpu(&graph).unwrap().run(&[("x", array.view())]).unwrap();
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    let mut h: Vec<f64> = h0.iter().map(|&v| f64::from(v)).collect();
    for step in (0..4).rev() {
        let of_x = |row: usize| (0..inputs).map(|i| f64::from(w[row * inputs + i] * x[step * inputs + i])).sum::<f64>() + f64::from(b[row]);
        let of_h = |h: &[f64], row: usize| (0..hidden).map(|i| f64::from(r[row * hidden + i]) * h[i]).sum::<f64>() + f64::from(b[6 + row]);
        h = (0..hidden)
            .map(|i| {
                let [z, reset] = [i, hidden + i].map(|row| sigmoid(of_x(row) + of_h(&h, row)));
                let new = (of_x(2 * hidden + i) + reset * of_h(&h, 2 * hidden + i)).tanh();
                (1.0 - z) * new + z * h[i]
            })
            .collect();
        for (i, want) in h.iter().enumerate() {
            assert!((f64::from(outputs["y"][[step, 0, 0, i]]) - want).abs() < 1e-6, "step {step}: {want}");
        }
    }
    assert_eq!(outputs["last"][[0, 0, 1]], outputs["y"][[0, 0, 0, 1]]);
}

#[test]
fn indices_along_an_axis_may_cover_a_part_of_the_other_axes() {
    let graph = GraphProto {
        node: vec![
            node("ScatterElements", &["x", "at", "updates"], &["y"], vec![int("axis", 1)]),
            node("GatherElements", &["x", "at"], &["z"], vec![int("axis", 1)]),
            node("Gather", &["x", "many"], &["g"], vec![int("axis", 1)]),
        ],
        initializer: vec![
            integers("at", &[2, 2], &[0, -1, 2, 1]),
            floats("updates", &[2, 2], &[10.0, 20.0, 30.0, 40.0]),
            integers("many", &[20], &(0..20).map(|i| i * 7 % 4).collect::<Vec<i64>>()),
        ],
        input: vec![value("x", 1, &[3, 4])],
        output: vec![value("y", 1, &[3, 4]), value("z", 1, &[2, 2]), value("g", 1, &[3, 20])],
        ..Default::default()
    };
    let graph = parse(18, graph).graph(&[]).unwrap();
    let x = Array2::from_shape_fn((3, 4), |(i, j)| (4 * i + j) as f32);
    let outputs = Session::cpu(&graph).unwrap().run(&[("x", x.view())]).unwrap();
    assert!(outputs["y"].iter().eq(&[10.0, 1.0, 2.0, 20.0, 4.0, 40.0, 30.0, 7.0, 8.0, 9.0, 10.0, 11.0]), "{}", outputs["y"]);
    assert!(outputs["z"].iter().eq(&[0.0, 3.0, 6.0, 5.0]), "{}", outputs["z"]);
    assert!((0..20).all(|i| outputs["g"][[2, i]] == (8 + i * 7 % 4) as f32), "{}", outputs["g"]);
    // Past 16 slices a gather is one op.
    assert!(graph.nodes().iter().any(|node| node.recipe().name() == "gather"));
}
