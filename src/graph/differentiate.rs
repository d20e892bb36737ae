//! Gradients of a graph: reverse accumulation, node after node from the last to the first. What comes out is a larger graph of the same kind, which the same
//! passes improve and the same sessions run.

use super::{Graph, Recipe, Resolved, ValueId};
use crate::fragments::{Item, Of, backward};
use crate::ops::Op;
use crate::types::{ElementType, Error, Layout, Result, TensorType};
use ndarray::{ArrayD, IxDyn};
use std::collections::HashMap;

/// What the names of gradients begin with.
const PREFIX: &str = "grad.";

impl Graph {
    /// The graph that computes, beside its outputs, `loss` and the gradients of it by `parameters` (parameters, inputs, or any other values). The loss is the
    /// output `loss`, the gradient by a value called x is the output `grad.x`, of x's shape: zeros where the loss does not depend on x. Gradients are f32,
    /// those of f16 values too.
    ///
    /// ```
    /// # fn main() -> wgconv::Result<()> {
    /// use ndarray::array;
    /// use wgconv::{Graph, Session, matmul::LinearDescriptor, reduce::ReduceDescriptor};
    /// let mut graph = Graph::new();
    /// let x = graph.input("x", [2.into(), 3.into()])?;
    /// let w = graph.parameter("w", array![[1f32, 2.0, 3.0]].view())?;
    /// let y = graph.linear(x, w, None, &LinearDescriptor::default())?;
    /// let loss = graph.reduce(y, &ReduceDescriptor::sum(&[]))?;
    /// let session = Session::cpu(&graph.differentiate(loss, &[w])?)?;
    /// let outputs = session.run(&[("x", array![[1f32, 0.0, 2.0], [5.0, 1.0, 1.0]].view())])?;
    /// assert_eq!((outputs["loss"].sum(), outputs["grad.w"].as_slice()), (17.0, Some(&[6f32, 1.0, 3.0][..])));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An open extent: [`Graph::closed`] binds it first; a loss of more than one element; an op whose gradient is not computed; a value of another graph.
    pub fn differentiate(&self, loss: ValueId, parameters: &[ValueId]) -> Result<Graph> {
        self.differentiate_with(loss, parameters, None)
    }

    /// As [`Graph::differentiate`], with gradients whose norm together is at most `clip_norm` ([`Graph::clip_norm`]).
    ///
    /// # Errors
    /// As [`Graph::differentiate`] and [`Graph::clip_norm`].
    pub fn differentiate_with(&self, loss: ValueId, parameters: &[ValueId], clip_norm: Option<f32>) -> Result<Graph> {
        self.check("loss", loss)?;
        parameters.iter().try_for_each(|parameter| self.check("a parameter", *parameter))?;
        let mut graph = self.clone();
        let tensor = graph.types[loss.0][0].clone();
        if tensor.extents.iter().product::<usize>() != 1 {
            let rule = "a loss is one number: reduce it first";
            return Err(Error::invalid("loss", format!("{:?}", tensor.extents), rule));
        }
        let one = graph.filled("one", &tensor.extents, 1.0)?;
        let mut gradients = graph.gradients(&[(loss, one)], parameters)?;
        if let Some(most) = clip_norm {
            let known: Vec<ValueId> = gradients.iter().flatten().copied().collect();
            let mut clipped = graph.clip_norm(&known, most)?.0.into_iter();
            gradients.iter_mut().filter(|gradient| gradient.is_some()).for_each(|gradient| *gradient = clipped.next());
        }
        if !graph.outputs.iter().any(|(_, value)| *value == loss) {
            graph.output("loss", loss)?;
        }
        for (&parameter, gradient) in parameters.iter().zip(gradients) {
            let name = format!("{PREFIX}{}", graph.values[parameter.0].name);
            let gradient = match gradient {
                Some(gradient) => gradient,
                None => {
                    let extents = graph.types[parameter.0][0].extents.clone();
                    graph.filled(&format!("{name}.zeros"), &extents, 0.0)?
                }
            };
            graph.output(&name, gradient)?;
        }
        Ok(graph)
    }

    /// Adds the ops that compute, by each of `values`, the gradient of the sum over `of` of value times upstream gradient; none where nothing depends on
    /// the value. All gradients are f32.
    ///
    /// # Errors
    /// As [`Graph::differentiate`]; an upstream gradient of another type than its value, or than f32 where that is f16.
    pub fn gradients(&mut self, of: &[(ValueId, ValueId)], values: &[ValueId]) -> Result<Vec<Option<ValueId>>> {
        for (value, upstream) in of {
            self.check("a value", *value)?;
            self.check("an upstream gradient", *upstream)?;
            let (of, found) = (&self.types[value.0][0], &self.types[upstream.0][0]);
            let wanted = TensorType { element: if of.element == ElementType::F16 { ElementType::F32 } else { of.element }, ..of.clone() };
            if wanted != *found {
                let rule = if wanted == *of { format!("it has the type of its value, {of}") } else { format!("of {of} it is {wanted}") };
                return Err(Error::invalid("an upstream gradient", found, rule));
            }
        }
        values.iter().try_for_each(|value| self.check("a value", *value))?;
        if self.is_open() {
            return Err(Error::invalid("the graph", "open", "gradients depend on every extent: Graph::closed binds an open one"));
        }
        let at = self.at(0)?;
        let nodes = self.nodes.len();
        // What depends on a value that is asked for.
        let mut depends = vec![false; self.values.len()];
        values.iter().for_each(|value| depends[value.0] = true);
        for node in &self.nodes {
            if node.inputs.iter().any(|input| depends[input.0]) {
                node.outputs.iter().for_each(|output| depends[output.0] = true);
            }
        }
        let mut gradients: HashMap<ValueId, ValueId> = HashMap::new();
        let mut constants = HashMap::new();
        // Values of f16 in f32, which several fragments read.
        let mut widened: HashMap<ValueId, ValueId> = HashMap::new();
        for &(value, upstream) in of {
            self.accumulate(&mut gradients, value, upstream)?;
        }
        for i in (0..nodes).rev() {
            let node = self.nodes[i].clone();
            if let Some(output) = node.outputs.iter().skip(1).find(|output| gradients.contains_key(output)) {
                let rule = "only the first output of an op has a gradient";
                return Err(Error::invalid(&node.name, self.values[output.0].name(), rule));
            }
            let Some(&upstream) = node.outputs.first().and_then(|output| gradients.get(output)) else { continue };
            let wanted: Vec<bool> = node.inputs.iter().map(|input| depends[input.0]).collect();
            if !wanted.contains(&true) {
                continue;
            }
            match &at.nodes[i] {
                Resolved::View(_) => {
                    let of = &at.types[node.inputs[0].0];
                    let gradient = self.shown_as(upstream, &of.extents, of.layout)?;
                    self.accumulate(&mut gradients, node.inputs[0], gradient)?;
                }
                Resolved::Op(op) => {
                    let fragment = backward(op, &wanted).map_err(|error| super::of_node(&node.name, error))?;
                    let mut made: Vec<Vec<ValueId>> = vec![];
                    for item in &fragment.items {
                        let mut value = |of: Of, graph: &mut Graph| -> Result<ValueId> {
                            Ok(match of {
                                Of::Input(i) => node.inputs[i],
                                Of::Output(i) => node.outputs[i],
                                Of::Upstream => upstream,
                                Of::Item { item, output } => made[item][output],
                                Of::Constant(number) => match constants.get(&number.to_bits()) {
                                    Some(value) => *value,
                                    None => {
                                        let value = graph.filled(&format!("number {number}"), &[], number)?;
                                        constants.insert(number.to_bits(), value);
                                        value
                                    }
                                },
                            })
                        };
                        let outputs = match item {
                            Item::View { of, extents } => {
                                let of = value(*of, self)?;
                                vec![self.shown_as(of, extents, Layout::ChannelsFirst)?]
                            }
                            Item::Op { op, inputs } => {
                                let inputs: Vec<ValueId> = inputs.iter().map(|of| value(*of, self)).collect::<Result<_>>()?;
                                let of = inputs.first().filter(|_| matches!(op.as_ref(), Op::Cast(_)));
                                if let Some(wide) = of.and_then(|of| widened.get(of)) {
                                    made.push(vec![*wide]);
                                    continue;
                                }
                                let outputs = self.node(Recipe::Fixed(op.clone()), &inputs)?;
                                widened.extend(of.copied().zip(outputs.first().copied()));
                                // So that an error, or a number that is not finite, is of a layer that its author knows.
                                let name = self.unused(&format!("{}.backward", node.name));
                                outputs.first().map_or(Ok(()), |output| self.name(*output, &name))?;
                                outputs
                            }
                        };
                        made.push(outputs);
                    }
                    for (input, gradient) in node.inputs.iter().zip(&fragment.gradients) {
                        let gradient = match gradient {
                            Some(Of::Item { item, output }) => made[*item][*output],
                            Some(Of::Upstream) => upstream,
                            Some(Of::Input(i)) => node.inputs[*i],
                            Some(Of::Output(i)) => node.outputs[*i],
                            Some(Of::Constant(_)) | None => continue,
                        };
                        self.accumulate(&mut gradients, *input, gradient)?;
                    }
                }
            }
        }
        Ok(values.iter().map(|value| gradients.get(value).copied()).collect())
    }

    /// The graph with its open extents bound.
    ///
    /// # Errors
    /// What an op does not take at this extent, with the node's name.
    pub fn closed(&self, open: usize) -> Result<Graph> {
        let at = self.at(open)?;
        let mut graph = self.clone();
        for (value, tensor) in graph.values.iter_mut().zip(&at.types) {
            if let Some(declared) = &mut value.declared {
                *declared = tensor.clone();
            }
        }
        graph.types = at.types.into_iter().map(|tensor| [tensor.clone(), tensor]).collect();
        Ok(graph)
    }

    /// Adds to a value's gradient.
    fn accumulate(&mut self, gradients: &mut HashMap<ValueId, ValueId>, value: ValueId, gradient: ValueId) -> Result<()> {
        let sum = match gradients.get(&value) {
            Some(&before) => self.add(before, gradient)?,
            None => gradient,
        };
        gradients.insert(value, sum);
        Ok(())
    }

    /// The elements of a value under other extents, in another layout where that costs nothing.
    fn shown_as(&mut self, value: ValueId, extents: &[usize], layout: Layout) -> Result<ValueId> {
        let of = self.types[value.0][0].clone();
        let shown = match of.extents == extents {
            true => value,
            false => self.reshape(value, &extents.iter().map(|&extent| extent as isize).collect::<Vec<_>>())?,
        };
        if extents.len() < 3 || self.types[shown.0][0].layout == layout { Ok(shown) } else { self.to_layout(shown, layout) }
    }

    /// A constant of one number.
    fn filled(&mut self, stem: &str, extents: &[usize], number: f32) -> Result<ValueId> {
        let name = self.unused(stem);
        self.constant(&name, ArrayD::<f32>::from_elem(IxDyn(extents), number).view())
    }
}
