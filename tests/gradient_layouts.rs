//! Gradients of networks with channels last between their ops: a network that is put into the layout and then differentiated, and one that is differentiated
//! and then put into it, have the gradients of the channels-first one. On integers, to the bit, on both engines.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod gradients;

use gradients::{GPU, array};
use ndarray::Array4;
use std::collections::BTreeMap;
use wgconv::conv::{Conv2dDescriptor, ConvDescriptor, ConvTranspose2dDescriptor};
use wgconv::graph::ValueId;
use wgconv::numeric::Generator;
use wgconv::pool::{PoolDescriptor, PoolKind};
use wgconv::reduce::ReduceDescriptor;
use wgconv::{Activation, ElementType, Graph, Layout, Padding, Session};

/// Convolutions with strides, groups and dilations, one by depth and one transposed, pools and a sum of branches; the loss is a weighted sum. Every number is a
/// small integer, and so is every sum.
fn network(element: ElementType) -> (Graph, ValueId, Vec<&'static str>) {
    let mut g = Graph::new();
    let mut generator = Generator::from_text("layouts");
    let x = g.input("x", [2.into(), 4.into(), 13.into(), 12.into()]).unwrap();
    let mut parameter = |g: &mut Graph, name: &str, extents: &[usize]| {
        // Mostly zeros, so that what f16 holds stays small.
        let numbers: Vec<f64> = (0..extents.iter().product()).map(|_| if generator.below(3) == 0 { generator.integer(1) } else { 0.0 }).collect();
        let master = g.parameter(name, array(extents, &numbers).view()).unwrap();
        g.cast(master, element).unwrap()
    };
    let names = ["first", "bias", "depthwise", "grouped", "transposed", "dilated"];
    let extents: [&[usize]; 6] = [&[6, 4, 3, 3], &[6], &[6, 1, 3, 2], &[8, 3, 3, 3], &[8, 5, 2, 2], &[5, 5, 2, 3]];
    let mut w = names.iter().zip(extents).map(|(name, extents)| parameter(&mut g, name, extents)).collect::<Vec<_>>().into_iter();
    let mut next = || w.next().unwrap();
    let y = g.cast(x, element).unwrap();
    let relu6 = ConvDescriptor { activation: Activation::Relu6, padding: Padding::uniform(1), ..Default::default() };
    let y = g.conv2d(y, next(), Some(next()), &Conv2dDescriptor { stride: [2, 1], ..relu6 }).unwrap();
    let branch = g.conv2d(y, next(), None, &Conv2dDescriptor { groups: 6, padding: Padding::Same, ..Default::default() }).unwrap();
    let y = g.add(y, branch).unwrap();
    let y = g.activation(y, Activation::Relu6).unwrap();
    let y = g.pool2d(y, &PoolDescriptor::window([2, 2]).with_stride([1, 2])).unwrap();
    let y = g.conv2d(y, next(), None, &Conv2dDescriptor { groups: 2, ..relu6 }).unwrap();
    let y = g.conv_transpose2d(y, next(), None, &ConvTranspose2dDescriptor { stride: [2, 2], ..Default::default() }).unwrap();
    let y = g.activation(y, Activation::Relu6).unwrap();
    let y = g.conv2d(y, next(), None, &Conv2dDescriptor { dilation: [2, 1], ..Default::default() }).unwrap();
    let y = g.pool2d(y, &PoolDescriptor::window([2, 2]).with_kind(PoolKind::AVERAGE)).unwrap();
    let y = g.cast(y, ElementType::F32).unwrap();
    let extents = g.extents(y).unwrap();
    let weights: Vec<f64> = (0..extents.iter().product::<usize>()).map(|i| ((i * 7 + 3) % 5) as f64 - 2.0).collect();
    let weights = g.constant("weights", array(&extents, &weights).view()).unwrap();
    let weighted = g.mul(y, weights).unwrap();
    let loss = g.reduce(weighted, &ReduceDescriptor::sum(&[])).unwrap();
    g.output("loss", loss).unwrap();
    (g, loss, [&["x"][..], &names].concat())
}

fn differentiated(graph: &Graph, names: &[&str]) -> Graph {
    let of: Vec<ValueId> = names.iter().map(|name| graph.find(name).unwrap()).collect();
    let loss = graph.outputs().find(|(name, _)| *name == "loss").unwrap().1;
    graph.differentiate(loss, &of).unwrap()
}

fn last(graph: &Graph) -> Graph {
    let (graph, change) = graph.in_layout(Layout::ChannelsLast).unwrap();
    assert!(change.is_some(), "nothing is channels-last");
    graph
}

#[test]
fn both_orders_of_layout_and_gradients_have_the_bits_of_channels_first() {
    let numbers = Array4::from_shape_fn((2, 4, 13, 12), |(n, c, y, x)| ((n * 5 + c * 3 + y * 7 + x * 2) % 3) as f32 - 1.0);
    for element in [ElementType::F32, ElementType::F16] {
        let (graph, _, names) = network(element);
        let first = differentiated(&graph, &names);
        let run = |session: Session| -> BTreeMap<String, Vec<f32>> {
            let outputs = session.run(&[("x", numbers.view())]).unwrap();
            first.outputs().map(|(name, _)| (name.to_string(), outputs[name].iter().copied().collect())).collect()
        };
        let want = run(Session::cpu(&first).unwrap());
        assert!(want.values().all(|values| values.iter().any(|v| *v != 0.0)), "a gradient of zeros says nothing");
        for (order, whole) in [
            ("channels-first", first.clone()),
            ("layout, then gradients", differentiated(&last(&graph), &names)),
            ("gradients, then layout", last(&first)),
            ("layout, then gradients, then passes", differentiated(&last(&graph), &names).optimized().unwrap()),
        ] {
            for (engine, session) in [("the GPU", Session::gpu(&GPU, &whole).unwrap()), ("the CPU engine", Session::cpu(&whole).unwrap())] {
                let got = run(session);
                for (name, want) in &want {
                    assert!(got[name] == *want, "{element}: {name} on {engine} differs: {order}");
                }
            }
        }
    }
}

/// For programs with a tape of their own: tensors in any layout, and of f16, give the filter gradient that channels-first f32 ones give.
#[test]
fn recorded_filter_gradients_take_both_layouts_and_f16() {
    let ramp = |extents: (usize, usize, usize, usize), by: usize| {
        Array4::from_shape_fn(extents, |(n, c, y, x)| ((n * 5 + c * 3 + y * 7 + x * by) % 5) as f32 - 2.0)
    };
    let descriptor = Conv2dDescriptor { stride: [2, 1], padding: Padding::uniform(1), ..Default::default() };
    let transposed = ConvTranspose2dDescriptor { stride: [2, 1], ..Default::default() };
    let (image, dy, ty) = (ramp((2, 3, 7, 6), 2), ramp((2, 4, 4, 6), 3), ramp((2, 4, 15, 8), 4));
    let mut seen = vec![];
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        for halves in [false, true] {
            let tensor = |array: &Array4<f32>| {
                let tensor = GPU.upload_as(array, layout).unwrap();
                if halves { GPU.run(|r| r.cast(&tensor, ElementType::F16)).unwrap() } else { tensor }
            };
            let [x, dy, ty] = [&image, &dy, &ty].map(tensor);
            let both = GPU.run(|r| {
                Ok([
                    r.conv_backward_filter(&x, &[4, 3, 3, 3], &dy, &descriptor)?,
                    r.conv_transpose_backward_filter(&x, &[3, 4, 3, 3], &ty, &transposed)?,
                ])
            });
            let both = both.unwrap();
            seen.push(both.each_ref().map(|dw| (dw.tensor_type(), dw.download::<f32, ndarray::Ix4>().unwrap())));
        }
    }
    assert!(seen[0].iter().all(|(_, dw)| dw.iter().any(|v| *v != 0.0)));
    assert!(seen.iter().all(|of| *of == seen[0]), "a layout or f16 gives another gradient");
    // dy may be of another layout and type than x.
    let (x, dy) = (GPU.upload(&image).unwrap(), GPU.upload_as(&dy, Layout::ChannelsLast).unwrap());
    let dw = GPU.run(|r| {
        let dy = r.cast(&dy, ElementType::F16)?;
        r.conv_backward_filter(&x, &[4, 3, 3, 3], &dy, &descriptor)
    });
    assert_eq!(dw.unwrap().download::<f32, ndarray::Ix4>().unwrap(), seen[0][0].1);
}
