//! A graph in another layout, all of it or op by op: ops read and give it, and conversions stand at the borders alone.
//!
//! Which layout is faster is a matter of the device and its driver, so nothing here chooses: [`fastest_layout`](crate::session::fastest_layout) measures.

use super::recipe::has_one_order;
use super::{At, Change, Graph, Node, PROBES, Pass, Recipe, Resolved, Source, ValueId};
use crate::types::{Error, Layout, Result, TensorType};

impl Graph {
    /// The graph with `layout` between its ops. Inputs and outputs stay as they are declared.
    ///
    /// Convolutions and pools take the layout; elementwise ops, norms, concatenations and what else has a form for it take it where what they read lies
    /// so already. Every other op, views among them, reads what it read before. With what was done, where any op changed.
    ///
    /// ```
    /// # fn main() -> wgconv::Result<()> {
    /// use wgconv::{Extent, Graph, Layout, conv::Conv2dDescriptor, pool::PoolDescriptor};
    /// let mut graph = Graph::new();
    /// let x = graph.input("image", [Extent::Open, 3.into(), 32.into(), 32.into()])?;
    /// let w = graph.parameter("filter", ndarray::Array4::<f32>::ones((8, 3, 3, 3)).view())?;
    /// let y = graph.conv2d(x, w, None, &Conv2dDescriptor::default())?;
    /// let y = graph.pool2d(y, &PoolDescriptor::window([2, 2]))?;
    /// graph.output("features", y)?;
    /// let (last, change) = graph.in_layout(Layout::ChannelsLast)?;
    /// assert_eq!(last.nodes().len(), 4); // there, the two ops, and back
    /// assert_eq!(change.unwrap().to_string(), "layout: 2 ops are channels_last, with 2 conversions for conv, features");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// None that a graph made by its own methods has.
    pub fn in_layout(&self, layout: Layout) -> Result<(Graph, Option<Change>)> {
        let work = Work::of(self, Wanted::All(layout))?;
        if work.changed == 0 {
            return Ok((self.clone(), None));
        }
        let of = if work.converted.is_empty() { String::new() } else { format!(" for {}", work.converted.join(", ")) };
        let (changed, conversions) = (counted(work.changed, "op is", "ops are"), counted(work.converted.len(), "conversion", "conversions"));
        let what = format!("{changed} {}, with {conversions}{of}", layout.name());
        Ok((work.graph, Some(Change { pass: Pass::Layout(layout), what })))
    }

    /// The graph with a layout for each node, in the order of the nodes: what it reads and gives. Inputs and outputs of the graph stay as they are declared; a
    /// node that has no form for its layout stays as it is. A value is converted at most once for all that read it.
    ///
    /// # Errors
    /// Another number of layouts than nodes.
    pub fn in_layouts(&self, layouts: &[Layout]) -> Result<Graph> {
        if layouts.len() != self.nodes.len() {
            return Err(Error::invalid("layouts", layouts.len(), format!("there is one for each node, and the graph has {}", self.nodes.len())));
        }
        Ok(Work::of(self, Wanted::Each(layouts))?.graph)
    }

    /// The op of a node where its data lie in a layout, and which of its inputs those are. None where there is no such form: of views, conversions, ops that give
    /// several values, or what has one order alone.
    pub(crate) fn in_other_layout(&self, at: &At, index: usize, layout: Layout) -> Option<(Resolved, Vec<usize>)> {
        let node = &self.nodes[index];
        let data = self.data(node);
        if !is_free(node) || data.is_empty() || !self.resolves(node, &data, layout) {
            return None;
        }
        let types: Vec<TensorType> = node.inputs.iter().enumerate().map(|(i, input)| relaid(&at.types[input.0], data.contains(&i), layout)).collect();
        let resolved = node.recipe.resolve(&types.iter().collect::<Vec<_>>()).ok()?;
        Some((resolved, data))
    }

    /// Which inputs of a node are data that may lie in another layout: those of the rank of what it gives that are no filter.
    fn data(&self, node: &Node) -> Vec<usize> {
        let rank = node.outputs.first().map_or(0, |output| self.types[output.0][0].rank());
        let is_data = |i: &usize| match node.recipe {
            Recipe::Conv { residual, .. } => *i == 0 || residual && *i + 1 == node.inputs.len(),
            Recipe::ConvTranspose { .. } => *i == 0,
            Recipe::Binary(_) | Recipe::Where | Recipe::Concat { .. } => true,
            _ => *i == 0,
        };
        (0..node.inputs.len()).filter(is_data).filter(|&i| rank >= 3 && self.types[node.inputs[i].0][0].rank() == rank).collect()
    }

    /// Whether the op takes its data in the layout and gives what it gave, in that layout too.
    fn resolves(&self, node: &Node, data: &[usize], layout: Layout) -> bool {
        (0..PROBES.len()).all(|probe| {
            let of = |(i, input): (usize, &ValueId)| relaid(&self.types[input.0][probe], data.contains(&i), layout);
            let types: Vec<TensorType> = node.inputs.iter().enumerate().map(of).collect();
            let wanted = node.outputs.iter().map(|output| &self.types[output.0][probe]);
            let resolved = node.recipe.resolve(&types.iter().collect::<Vec<_>>());
            resolved.is_ok_and(|resolved| {
                let gives = resolved.outputs();
                let is_same = |(gives, wanted): (&TensorType, &TensorType)| {
                    gives.extents == wanted.extents && gives.element == wanted.element && (gives.rank() < 3 || gives.layout == layout)
                };
                matches!(resolved, Resolved::Op(_)) && gives.len() == wanted.len() && gives.iter().zip(wanted).all(is_same)
            })
        })
    }
}

/// A tensor, in another layout if it `is_data`.
fn relaid(own: &TensorType, is_data: bool, layout: Layout) -> TensorType {
    if is_data { TensorType { layout, ..own.clone() } } else { own.clone() }
}

/// Whether the layout of a node's data is free at all. Indices of a pool stay as they are, and so does what reads them.
fn is_free(node: &Node) -> bool {
    !matches!(node.recipe, Recipe::ToLayout(_) | Recipe::Fixed(_) | Recipe::MaxUnpool(_)) && node.outputs.len() == 1
}

/// The layouts that nodes are to have.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// One: convolutions and pools take it, and what lies behind them.
    All(Layout),
    /// By node.
    Each(&'a [Layout]),
}

struct Work<'a> {
    old: &'a Graph,
    graph: Graph,
    wanted: Wanted<'a>,
    /// By value of the old graph: the new one's, channels-first and channels-last.
    versions: Vec<[Option<ValueId>; 2]>,
    converted: Vec<String>,
    changed: usize,
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn slot(layout: Layout) -> usize {
    match layout {
        Layout::ChannelsFirst => 0,
        Layout::ChannelsLast => 1,
    }
}

impl<'a> Work<'a> {
    fn of(old: &'a Graph, wanted: Wanted<'a>) -> Result<Self> {
        let mut work = Self { old, graph: Graph::new(), wanted, versions: vec![[None; 2]; old.values.len()], converted: vec![], changed: 0 };
        for (index, value) in old.values.iter().enumerate() {
            if let Some(declared) = &value.declared {
                let made = work.graph.declare(&value.name, value.source.clone(), declared.clone())?;
                work.keep(ValueId(index), made);
            }
        }
        for (index, node) in old.nodes.iter().enumerate() {
            work.node(index, node)?;
        }
        for (name, value) in &old.outputs {
            let own = work.version(*value, old.types[value.0][0].layout, name)?;
            work.graph.outputs.push((name.clone(), own));
        }
        work.graph.folded = old.folded.clone();
        Ok(work)
    }

    fn tensor(&self, value: ValueId) -> &TensorType {
        &self.graph.types[value.0][0]
    }

    /// What the new graph has for a value of the old one.
    fn keep(&mut self, old: ValueId, new: ValueId) {
        let tensor = self.tensor(new);
        // Below rank 3 the layouts are one.
        let slots = if tensor.rank() < 3 { 0..2 } else { slot(tensor.layout)..slot(tensor.layout) + 1 };
        slots.for_each(|slot| self.versions[old.0][slot] = Some(new));
    }

    /// The value in a layout, converted where it is not there, for the node or output called `name`.
    fn version(&mut self, old: ValueId, layout: Layout, name: &str) -> Result<ValueId> {
        if let Some(there) = self.versions[old.0][slot(layout)] {
            return Ok(there);
        }
        let missing = || Error::Internal { label: "a layout".into(), message: format!("{name} is not there") };
        let other = self.versions[old.0].iter().flatten().next().copied().ok_or_else(missing)?;
        let converted = self.graph.to_layout(other, layout)?;
        let stem = format!("{}.{}", self.old.values[old.0].name, layout.name());
        let unused = self.graph.unused(&stem);
        self.graph.name(converted, &unused)?;
        if !has_one_order(self.tensor(other)) {
            self.converted.push(name.to_string());
        }
        self.keep(old, converted);
        Ok(converted)
    }

    fn node(&mut self, index: usize, node: &Node) -> Result<()> {
        // A conversion itself is made anew where one is needed.
        if matches!(node.recipe, Recipe::ToLayout(_)) {
            return self.skip_conversion(node);
        }
        let data = self.old.data(node);
        let is_made = |i: &usize| matches!(self.old.values[node.inputs[*i].0].source, Source::Node { .. } | Source::Input);
        let (layout, takes) = match (self.wanted, &node.recipe) {
            (Wanted::Each(layouts), _) => (layouts[index], !data.is_empty()),
            (Wanted::All(layout), Recipe::Conv { .. } | Recipe::ConvTranspose { .. } | Recipe::Pool(_) | Recipe::AdaptivePool(_)) => {
                (layout, !data.is_empty())
            }
            // What the network is given or computes decides; a parameter is converted along with it.
            (Wanted::All(layout), _) => {
                let is_there = |i: &usize| self.versions[node.inputs[*i].0][slot(layout)].is_some();
                (layout, data.iter().any(is_made) && data.iter().all(|i| is_there(i) || !is_made(i)))
            }
        };
        let takes = takes && is_free(node) && self.old.resolves(node, &data, layout);
        let inputs = self.inputs(node, |i| takes && data.contains(&i), layout)?;
        self.changed += usize::from(takes && self.old.types[node.outputs[0].0][0].layout != layout);
        let made = self.graph.again(self.old, node, &inputs)?;
        node.outputs.iter().zip(made).for_each(|(&old, new)| self.keep(old, new));
        Ok(())
    }

    /// A conversion of the old graph: what it reads is the value in whatever layout there is.
    fn skip_conversion(&mut self, node: &Node) -> Result<()> {
        self.versions[node.outputs[0].0] = self.versions[node.inputs[0].0];
        Ok(())
    }

    /// What a node reads: in the layout what moves there, all else as it was.
    fn inputs(&mut self, node: &Node, moves: impl Fn(usize) -> bool, layout: Layout) -> Result<Vec<ValueId>> {
        let mut inputs = vec![];
        for (i, &input) in node.inputs.iter().enumerate() {
            let layout = if moves(i) { layout } else { self.old.types[input.0][0].layout };
            inputs.push(self.version(input, layout, &node.name)?);
        }
        Ok(inputs)
    }
}
