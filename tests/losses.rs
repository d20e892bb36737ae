//! Losses of logarithms of probabilities against their formulas in f64, on both engines, with their gradients: classes that are ignored, weighted or
//! impossible, every reduction, open batches, what is refused. Differences are in `gradient_slopes.rs`; vectors have the other losses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::gpu;
use ndarray::{ArrayD, Axis, IxDyn};
use wgconv::graph::{CrossEntropyDescriptor, KlDescriptor, Reduction, ValueId};
use wgconv::softmax::SoftmaxDescriptor;
use wgconv::{ElementType, Extent, Gpu, Graph, Layout, Result, Session};

const REDUCTIONS: [Reduction; 4] = [Reduction::None, Reduction::Sum, Reduction::Mean, Reduction::BatchMean];

fn array(extents: &[usize], values: &[f64]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(extents), values.iter().map(|v| *v as f32).collect()).unwrap()
}

/// A loss of x and targets, which are inputs, and the gradient of its sum by x, on each engine.
fn run(
    gpu: &Gpu,
    given: [&ArrayD<f32>; 2],
    build: impl Fn(&mut Graph, ValueId, ValueId) -> Result<ValueId>,
) -> Vec<(&'static str, ArrayD<f32>, ArrayD<f32>)> {
    let mut graph = Graph::new();
    let [x, t] = [("x", given[0]), ("t", given[1])].map(|(name, array)| {
        let extents: Vec<Extent> = array.shape().iter().map(|&extent| extent.into()).collect();
        graph.input_as(name, &extents, ElementType::F32, Layout::ChannelsFirst).unwrap()
    });
    let loss = build(&mut graph, x, t).unwrap();
    graph.output("y", loss).unwrap();
    let sum = if graph.rank(loss) == 0 { loss } else { graph.reduce(loss, &wgconv::reduce::ReduceDescriptor::sum(&[])).unwrap() };
    let whole = graph.differentiate(sum, &[x]).unwrap();
    [("GPU", Session::gpu(gpu, &whole).unwrap()), ("CPU", Session::cpu(&whole).unwrap())]
        .into_iter()
        .map(|(engine, session)| {
            let outputs = session.run(&[("x", given[0].view()), ("t", given[1].view())]).unwrap();
            (engine, outputs["y"].clone(), outputs["grad.x"].clone())
        })
        .collect()
}

/// Nearer than what f32 sums of such numbers may err, 64 units of the largest.
fn assert_near(what: &str, got: &ArrayD<f32>, want: &ArrayD<f64>) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let largest = want.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    for (got, want) in got.iter().zip(want) {
        let same = f64::from(*got) == *want || got.is_nan() && want.is_nan() || (f64::from(*got) - want).abs() <= 64.0 * 2f64.powi(-24) * largest;
        assert!(same, "{what}: {got} is not {want}");
    }
}

fn reduced(each: &ArrayD<f64>, reduction: Reduction, total: f64) -> ArrayD<f64> {
    let scalar = |v: f64| ArrayD::from_elem(IxDyn(&[]), v);
    match reduction {
        Reduction::None => each.clone(),
        Reduction::Sum => scalar(each.sum()),
        Reduction::Mean => scalar(each.sum() / total),
        Reduction::BatchMean => scalar(each.sum() / each.shape()[0] as f64),
    }
}

/// What a slope is divided by.
fn divisor(each: &ArrayD<f64>, reduction: Reduction, total: f64) -> f64 {
    match reduction {
        Reduction::None | Reduction::Sum => 1.0,
        Reduction::Mean => total,
        Reduction::BatchMean => each.shape()[0] as f64,
    }
}

/// Logarithms of probabilities of 5 samples, 4 classes and 3 positions; a class for each but some, which are ignored.
fn classes() -> (ArrayD<f32>, ArrayD<f32>) {
    let x = ArrayD::from_shape_fn(IxDyn(&[5, 4, 3]), |i| -0.25 - ((7 * i[0] + 5 * i[1] + 3 * i[2]) % 11) as f32 / 3.0);
    let class = |n: usize, p: usize| (2 * n + 3 * p) % 5;
    let t = ArrayD::from_shape_fn(IxDyn(&[5, 4, 3]), |i| if class(i[0], i[2]) == i[1] { 1.0 } else { 0.0 });
    assert_eq!(t.sum(), 12.0, "three are ignored");
    (x, t)
}

#[test]
fn a_likelihood_is_its_formula_with_weights_and_ignored_samples() {
    let gpu = gpu();
    let (x, t) = classes();
    let weights = [0.5, 2.0, 0.0, 1.25];
    for weight in [[1.0; 4], weights] {
        let cost = ArrayD::from_shape_fn(IxDyn(&[5, 4, 3]), |i| -weight[i[1]] * f64::from(t[&i]));
        let each = (&cost * &x.mapv(f64::from)).sum_axis(Axis(1));
        for reduction in REDUCTIONS {
            let built = |g: &mut Graph, x: ValueId, t: ValueId| {
                let weight = if weight == weights { Some(g.constant("weight", array(&[4], &weight).view())?) } else { None };
                g.nll_loss(x, t, weight, reduction)
            };
            let total = -cost.sum();
            for (engine, y, gradient) in run(&gpu, [&x, &t], built) {
                let what = format!("{reduction:?} with {weight:?} on {engine}");
                assert_near(&what, &y, &reduced(&each, reduction, total));
                assert_near(&format!("{what}, slope"), &gradient, &(&cost / divisor(&each, reduction, total)));
            }
        }
    }
}

/// Both are made of the same ops in the same order.
#[test]
fn a_cross_entropy_is_the_likelihood_of_a_log_softmax() {
    let gpu = gpu();
    let (x, t) = classes();
    for reduction in REDUCTIONS {
        let of_logits = run(&gpu, [&x, &t], |g, x, t| g.cross_entropy(x, t, None, &CrossEntropyDescriptor { reduction, ..Default::default() }));
        let of_logarithms = run(&gpu, [&x, &t], |g, x, t| {
            let x = g.softmax(x, &SoftmaxDescriptor { axis: 1, logarithm: true })?;
            g.nll_loss(x, t, None, reduction)
        });
        assert_eq!(of_logits, of_logarithms);
    }
}

/// A logit of -inf makes a class impossible: it costs nothing where it is not the target, and infinitely where it is.
#[test]
fn a_class_that_no_target_names_costs_nothing() {
    let gpu = gpu();
    let inf = f64::INFINITY;
    let x = array(&[3, 3], &[-inf, 0.0, 0.0, 1.0, -inf, -1e9, -inf, 2.0, -inf]);
    let t = array(&[3, 3], &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let logarithms = array(&[3, 3], &[-inf, -0.5, -1.0, 0.0, -inf, -1e9, -inf, -0.25, -inf]);
    let ln2 = std::f64::consts::LN_2;
    let none = CrossEntropyDescriptor { reduction: Reduction::None, ..Default::default() };
    for (engine, y, gradient) in run(&gpu, [&x, &t], |g, x, t| g.cross_entropy(x, t, None, &none)) {
        assert_near(engine, &y, &array(&[3], &[ln2, 0.0, 0.0]).mapv(f64::from));
        assert_near(engine, &gradient, &array(&[3, 3], &[0.0, -0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).mapv(f64::from));
    }
    for (engine, y, gradient) in run(&gpu, [&logarithms, &t], |g, x, t| g.nll_loss(x, t, None, Reduction::None)) {
        assert_near(engine, &y, &array(&[3], &[0.5, 0.0, 0.25]).mapv(f64::from));
        assert_eq!(gradient, t.mapv(|t| -t + 0.0), "{engine}");
    }
    let named = array(&[3, 3], &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    for (engine, y, _) in run(&gpu, [&logarithms, &named], |g, x, t| g.nll_loss(x, t, None, Reduction::None)) {
        assert_near(engine, &y, &array(&[3], &[inf, 1e9, 0.0]).mapv(f64::from));
    }
    // No sample counts: a mean is 0 / 0, as PyTorch has it.
    let nothing = ArrayD::zeros(IxDyn(&[3, 3]));
    for (reduction, want) in [(Reduction::Mean, f64::NAN), (Reduction::Sum, 0.0)] {
        for (engine, y, _) in run(&gpu, [&logarithms, &nothing], |g, x, t| g.nll_loss(x, t, None, reduction)) {
            assert_near(engine, &y, &ArrayD::from_elem(IxDyn(&[]), want));
        }
    }
}

#[test]
fn a_divergence_is_its_formula() {
    let gpu = gpu();
    let x = ArrayD::from_shape_fn(IxDyn(&[4, 3, 2]), |i| -0.125 - ((5 * i[0] + 3 * i[1] + 7 * i[2]) % 13) as f32 / 4.0);
    let t = ArrayD::from_shape_fn(IxDyn(&[4, 3, 2]), |i| ((3 * i[0] + i[1] + 2 * i[2]) % 7) as f32 / 8.0);
    assert!(t.iter().any(|t| *t == 0.0));
    for log_targets in [false, true] {
        let t = if log_targets { t.mapv(|t| 8.0 * t - 6.0) } else { t.clone() };
        let [wide_x, wide_t] = [&x, &t].map(|array| array.mapv(f64::from));
        let share = if log_targets { wide_t.mapv(f64::exp) } else { wide_t.clone() };
        let entropy = wide_t.mapv(|t| {
            if log_targets {
                t.exp() * t
            } else if t == 0.0 {
                0.0
            } else {
                t * t.ln()
            }
        });
        let each = entropy - &share * &wide_x;
        for reduction in REDUCTIONS {
            let total = each.len() as f64;
            for (engine, y, gradient) in run(&gpu, [&x, &t], |g, x, t| g.kl_div(x, t, &KlDescriptor { reduction, log_targets })) {
                let what = format!("{reduction:?}, {log_targets} on {engine}");
                assert_near(&what, &y, &reduced(&each, reduction, total));
                assert_near(&format!("{what}, slope"), &gradient, &(-&share / divisor(&each, reduction, total)));
            }
        }
    }
    // A distribution and itself do not differ.
    let same = array(&[2, 2], &[0.5, 0.5, 0.25, 0.75]);
    let logarithms = same.mapv(f32::ln);
    for (engine, y, _) in run(&gpu, [&logarithms, &same], |g, x, t| g.kl_div(x, t, &KlDescriptor::default())) {
        assert!(y.sum().abs() < 1e-7, "{engine}: {y}");
    }
}

#[test]
fn what_is_never_drawn_does_not_diverge() {
    let gpu = gpu();
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let x = array(&[6], &[-inf, -1.0, -inf, -1e9, nan, -2.0]);
    let t = array(&[6], &[0.0, 0.0, 0.5, 0.5, 0.5, nan]);
    let none = KlDescriptor { reduction: Reduction::None, log_targets: false };
    for (engine, y, gradient) in run(&gpu, [&x, &t], |g, x, t| g.kl_div(x, t, &none)) {
        assert_near(engine, &y, &array(&[6], &[0.0, 0.0, inf, 5e8, nan, nan]).mapv(f64::from));
        assert_near(engine, &gradient, &array(&[6], &[0.0, 0.0, -0.5, -0.5, -0.5, nan]).mapv(f64::from));
    }
    let t = array(&[6], &[-inf, -inf, 0.0, 0.0, 0.0, nan]);
    for (engine, y, _) in run(&gpu, [&x, &t], |g, x, t| g.kl_div(x, t, &KlDescriptor { log_targets: true, ..none })) {
        assert_near(engine, &y, &array(&[6], &[0.0, 0.0, inf, 1e9, nan, nan]).mapv(f64::from));
    }
}

/// A mean over samples needs no number of them.
#[test]
fn a_batch_may_be_open() {
    let mut graph = Graph::new();
    let [x, t] = ["x", "t"].map(|name| graph.input(name, [Extent::Open, 2.into()]).unwrap());
    let loss = graph.kl_div(x, t, &KlDescriptor { reduction: Reduction::BatchMean, log_targets: false }).unwrap();
    graph.output("loss", loss).unwrap();
    let session = Session::cpu(&graph).unwrap();
    for n in [1, 3, 8] {
        let x = ArrayD::from_elem(IxDyn(&[n, 2]), -2.0f32);
        let t = ArrayD::from_elem(IxDyn(&[n, 2]), 1.0f32);
        assert_eq!(session.run(&[("x", x.view()), ("t", t.view())]).unwrap()["loss"].sum(), 4.0);
    }
}

#[test]
fn wrong_shapes_are_refused() {
    let mut g = Graph::new();
    let x = g.input("x", [2.into(), 3.into()]).unwrap();
    let short = g.input("short", [2.into(), 2.into()]).unwrap();
    let vector = g.input("vector", [3.into()]).unwrap();
    let pair = g.input("pair", [2.into()]).unwrap();
    let error = |result: Result<ValueId>| result.unwrap_err().to_string();
    let text = error(g.nll_loss(x, short, None, Reduction::Mean));
    assert!(text.starts_with("targets is") && text.contains("the shape of x"), "{text}");
    let text = error(g.kl_div(x, short, &KlDescriptor::default()));
    assert!(text.starts_with("targets is") && text.contains("the shape of x"), "{text}");
    let text = error(g.nll_loss(x, x, Some(pair), Reduction::Mean));
    assert!(text.starts_with("weight is") && text.contains("one value per class: [3]"), "{text}");
    let text = error(g.nll_loss(vector, vector, None, Reduction::Mean));
    assert!(text.starts_with("x is") && text.contains("N C"), "{text}");
    assert!(g.nll_loss(x, x, Some(vector), Reduction::Mean).is_ok());
}
