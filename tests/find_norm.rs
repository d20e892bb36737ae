//! The pass that finds layer norms which came as several ops: what it finds, what it must not, and that the numbers stay.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::gpu;
use wgconv::elementwise::{BinaryOp, UnaryOp};
use wgconv::graph::{Change, Pass, ValueId};
use wgconv::ndarray::{Array1, Array3, ArrayD, arr0};
use wgconv::norm::LayerNormDescriptor;
use wgconv::reduce::ReduceDescriptor;
use wgconv::{Extent, Graph, Result, Session};

const EXTENTS: [usize; 3] = [2, 5, 24];

/// What a formula may have otherwise than PyTorch's exporter writes it.
#[derive(Clone, Copy, PartialEq)]
enum But {
    Nothing,
    /// The difference is computed twice, the square is a power.
    Twice,
    /// Scale and bias stand on the left of their ops.
    LeftVectors,
    /// No scale and no bias.
    NoVectors,
    /// A bias alone.
    BiasAlone,
    /// Over the last two axes, with a scale of both.
    TwoAxes,
    // What is none:
    /// The variance is an output too.
    Read,
    /// The mean over another axis.
    OtherAxis,
    /// The variance of something else.
    OtherValue,
    /// Nothing is added to the variance.
    NoEpsilon,
    /// mean - x.
    Reversed,
    /// The mean is over the first axes.
    FirstAxes,
}

/// Scale and bias.
fn vectors(but: But) -> [ArrayD<f32>; 2] {
    let own = if but == But::TwoAxes { vec![EXTENTS[1], EXTENTS[2]] } else { vec![EXTENTS[2]] };
    let count = own.iter().product::<usize>();
    [0.5, -1.0].map(|from| Array1::from_iter((0..count).map(|i| from + (i % 7) as f32 / 4.0)).into_shape_with_order(own.clone()).unwrap())
}

fn formula(g: &mut Graph, x: ValueId, but: But) -> Result<ValueId> {
    let axes: &[isize] = match but {
        But::TwoAxes => &[-2, -1],
        But::FirstAxes => &[0, 1],
        _ => &[-1],
    };
    let mean_over = |g: &mut Graph, v: ValueId, axes: &[isize]| g.reduce(v, &ReduceDescriptor::mean(axes).with_keepdims(true));
    let mean = mean_over(g, x, if but == But::OtherAxis { &[-2] } else { axes })?;
    let d = if but == But::Reversed { g.sub(mean, x)? } else { g.sub(x, mean)? };
    let square = match but {
        But::Twice => {
            let mean = mean_over(g, x, axes)?;
            let again = g.sub(x, mean)?;
            let two = g.constant("two", arr0(2.0f32).into_dyn().view())?;
            g.binary(again, two, BinaryOp::Power)?
        }
        But::OtherValue => g.mul(x, x)?,
        _ => g.mul(d, d)?,
    };
    let mut variance = mean_over(g, square, axes)?;
    if but == But::Read {
        g.output("variance", variance)?;
    }
    if but != But::NoEpsilon {
        let epsilon = g.constant("epsilon", arr0(1e-3f32).into_dyn().view())?;
        variance = g.add(variance, epsilon)?;
    }
    let root = g.unary(variance, UnaryOp::Sqrt)?;
    let y = g.div(d, root)?;
    if but == But::NoVectors {
        return Ok(y);
    }
    let [scale, bias] = vectors(but);
    let (scale, bias) = (g.parameter("scale", scale.view())?, g.parameter("bias", bias.view())?);
    match but {
        But::BiasAlone => g.add(y, bias),
        But::LeftVectors => {
            let y = g.mul(scale, y)?;
            g.add(bias, y)
        }
        _ => {
            let y = g.mul(y, scale)?;
            g.add(y, bias)
        }
    }
}

fn graph(but: But) -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, EXTENTS[1].into(), EXTENTS[2].into()]).unwrap();
    let y = formula(&mut g, x, but).unwrap();
    g.output("y", y).unwrap();
    g
}

fn said(changes: &[Change]) -> Vec<String> {
    changes.iter().filter(|change| change.pass == Pass::FindNorm).map(ToString::to_string).collect()
}

/// Rows of several magnitudes, one constant, one with a mask, one each with an infinity and NaN.
fn rows() -> Array3<f32> {
    Array3::from_shape_fn(EXTENTS, |(n, row, i)| {
        let v = ((i * 7 + row * 3 + n) % 11) as f32 - 4.5;
        match (n, row) {
            (0, 1) => 0.7,
            (0, 2) => v * 1e-3,
            (0, 3) => v * 1e6 + 3e6,
            (1, 0) if i == 5 => -1e9,
            (1, 1) if i == 7 => f32::INFINITY,
            (1, 2) if i == 0 => f32::NAN,
            _ => v,
        }
    })
}

#[test]
fn layer_norms_that_came_as_several_ops_are_one() {
    for but in [But::Nothing, But::Twice, But::LeftVectors, But::NoVectors, But::BiasAlone, But::TwoAxes] {
        let written = graph(but);
        let (found, changes) = written.optimized_with_changes().unwrap();
        assert_eq!(found.nodes().len(), 1, "{found}");
        assert_eq!(said(&changes).len(), 1, "{changes:?}");
        assert!(said(&changes)[0].ends_with(" are layer_norm"), "{changes:?}");

        // The same as the op by itself, to the bit: scale and bias went where they belong.
        let mut own = Graph::new();
        let x = own.input("x", [Extent::Open, EXTENTS[1].into(), EXTENTS[2].into()]).unwrap();
        let [scale, bias] = vectors(but);
        let scale = (!matches!(but, But::NoVectors | But::BiasAlone)).then(|| own.parameter("scale", scale.view()).unwrap());
        let bias = (but != But::NoVectors).then(|| own.parameter("bias", bias.view()).unwrap());
        let axis = if but == But::TwoAxes { 1 } else { 2 };
        let y = own.layer_norm(x, scale, bias, &LayerNormDescriptor { axis, epsilon: 1e-3 }).unwrap();
        own.output("y", y).unwrap();
        let x = rows();
        let run = |session: Session| session.run(&[("x", x.view())]).unwrap()["y"].clone();
        let bits = |array: &ArrayD<f32>| array.iter().map(|v| if v.is_nan() { 0 } else { v.to_bits() }).collect::<Vec<_>>();
        for session in [|graph: &Graph| Session::cpu(graph), |graph: &Graph| Session::gpu(&gpu(), graph)] {
            let [want, one, several] = [&own, &found, &written].map(|graph| run(session(graph).unwrap()));
            assert_eq!(bits(&one), bits(&want));
            // And the formula's, where that itself is exact enough: its constant row and the row behind a mask are rounding.
            for (at, (got, want)) in one.indexed_iter().zip(&several).map(|((at, got), want)| (at, (got, want))) {
                assert_eq!(got.is_nan(), want.is_nan(), "at {at:?}");
                assert!(want.is_nan() || (got - want).abs() <= 2e-4 * want.abs().max(1.0), "at {at:?}: {got}, by the formula {want}");
            }
        }
    }
}

#[test]
fn what_is_no_layer_norm_stays() {
    for but in [But::Read, But::OtherAxis, But::OtherValue, But::NoEpsilon, But::Reversed, But::FirstAxes] {
        let written = graph(but);
        let (found, changes) = written.optimized_with_changes().unwrap();
        assert_eq!((said(&changes), found.nodes().len()), (vec![], written.nodes().len()), "{found}");
    }
}

/// A scale for each row is no scale of a layer norm; the norm before it is still one.
#[test]
fn a_scale_of_other_extents_stays_behind() {
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, EXTENTS[1].into(), EXTENTS[2].into()]).unwrap();
    let y = formula(&mut g, x, But::NoVectors).unwrap();
    let scale = g.parameter("scale", Array3::<f32>::from_elem((1, EXTENTS[1], 1), 2.0).view()).unwrap();
    let y = g.mul(y, scale).unwrap();
    g.output("y", y).unwrap();
    let names: Vec<&str> = g.optimized().unwrap().nodes().iter().map(|node| node.recipe().name()).collect();
    assert_eq!(names, ["layer_norm", "mul"]);
}
