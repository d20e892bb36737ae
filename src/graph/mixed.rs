//! A network in mixed precision: products in f16, and what goes along with them; in f32 what would lose more than it saves.

use super::{Graph, Node, Recipe, Source, ValueId};
use crate::ops::elementwise::binary::{BinaryDescriptor, BinaryOp};
use crate::ops::elementwise::unary::{UnaryDescriptor, UnaryOp};
use crate::types::{ElementType, Error, Result};

impl Graph {
    /// The network with its products in f16. Convolutions, matrix products and dense layers read f16, their parameters too, through casts. Pools, activations,
    /// sums, products of elements and moves stay in f16 where all that the network gives them is. All else, such as norms, softmax and reductions, computes in
    /// f32. Inputs, parameters and outputs are what they were.
    ///
    /// ```
    /// # fn main() -> wgconv::Result<()> {
    /// use wgconv::train::{Model, Sequential};
    /// use wgconv::{Activation, ElementType};
    /// let graph = Sequential::new([1, 8, 8]).conv2d(4, 3, Activation::Relu).flatten().dense(10, Activation::None).graph(1)?.in_half()?;
    /// let element = |name: &str| graph.element(graph.find(name).unwrap());
    /// assert_eq!([element("conv1"), element("conv1.weight"), element("input")], [ElementType::F16, ElementType::F32, ElementType::F32]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// None that a graph made by its own methods has.
    pub fn in_half(&self) -> Result<Graph> {
        let mut work =
            Work { old: self, graph: Graph::new(), versions: vec![[None; 2]; self.values.len()], made: vec![ElementType::F32; self.values.len()] };
        for (index, value) in self.values.iter().enumerate() {
            if let Some(declared) = &value.declared {
                let new = work.graph.declare(&value.name, value.source.clone(), declared.clone())?;
                work.keep(ValueId(index), new);
            }
        }
        for node in &self.nodes {
            work.node(node)?;
        }
        for (name, value) in &self.outputs {
            let own = work.version(*value, self.element(*value))?;
            work.graph.outputs.push((name.clone(), own));
        }
        work.graph.folded = self.folded.clone();
        Ok(work.graph)
    }
}

/// How a node takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// In f16, whatever it is given.
    Product,
    /// In f16 where what it is given is.
    Follows,
    /// In f32.
    Wide,
    /// As it was made.
    Fixed,
}

fn part(recipe: &Recipe) -> Part {
    match recipe {
        Recipe::Conv { .. } | Recipe::ConvTranspose { .. } | Recipe::MatMul(_) | Recipe::Gemm(_) | Recipe::Linear { .. } => Part::Product,
        Recipe::Pool(_) | Recipe::AdaptivePool(_) | Recipe::MaxUnpool(_) | Recipe::Activation(_) | Recipe::Dropout { .. } | Recipe::Identity => {
            Part::Follows
        }
        Recipe::Unary(UnaryDescriptor { op: UnaryOp::Identity | UnaryOp::Abs | UnaryOp::Neg, .. }) => Part::Follows,
        Recipe::Binary(BinaryDescriptor {
            op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Max | BinaryOp::Min | BinaryOp::Prelu,
            ..
        }) => Part::Follows,
        Recipe::Pad(_) | Recipe::Slice(_) | Recipe::Concat { .. } | Recipe::Transpose { .. } | Recipe::ToLayout(_) | Recipe::Resize(_) => {
            Part::Follows
        }
        Recipe::DepthToSpace(_) | Recipe::SpaceToDepth(_) | Recipe::Reshape { .. } | Recipe::Flatten { .. } => Part::Follows,
        Recipe::Fixed(_) => Part::Fixed,
        _ => Part::Wide,
    }
}

struct Work<'a> {
    old: &'a Graph,
    graph: Graph,
    /// By value of the old graph: the new one's, in f32 and in f16; of indices, the same in both.
    versions: Vec<[Option<ValueId>; 2]>,
    /// By value of the old graph: what its node gave.
    made: Vec<ElementType>,
}

fn slot(element: ElementType) -> usize {
    usize::from(element == ElementType::F16)
}

impl Work<'_> {
    fn keep(&mut self, old: ValueId, new: ValueId) {
        let element = self.graph.element(new);
        self.made[old.0] = element;
        match element {
            ElementType::U32 => self.versions[old.0] = [Some(new); 2],
            _ => self.versions[old.0][slot(element)] = Some(new),
        }
    }

    /// The value in an element type, cast where it is not there.
    fn version(&mut self, old: ValueId, element: ElementType) -> Result<ValueId> {
        if let Some(there) = self.versions[old.0][slot(element)] {
            return Ok(there);
        }
        let name = &self.old.values[old.0].name;
        let missing = || Error::Internal { label: "mixed precision".into(), message: format!("{name} is not there") };
        let other = self.versions[old.0].iter().flatten().next().copied().ok_or_else(missing)?;
        let cast = self.graph.cast(other, element)?;
        let unused = self.graph.unused(&format!("{name}.{element}"));
        self.graph.name(cast, &unused)?;
        self.versions[old.0][slot(element)] = Some(cast);
        Ok(cast)
    }

    /// Whether all that the network computes or is given of a node's inputs is f16.
    fn is_half(&self, node: &Node) -> bool {
        let is_made = |input: &&ValueId| matches!(self.old.values[input.0].source, Source::Node { .. } | Source::Input);
        let mut made = node.inputs.iter().filter(is_made).map(|input| self.made[input.0]).filter(|element| *element != ElementType::U32).peekable();
        made.peek().is_some() && made.all(|element| element == ElementType::F16)
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        if let (Recipe::Cast(to), &[input], &[output]) = (&node.recipe, &node.inputs[..], &node.outputs[..]) {
            // What it reads may be of its type by now.
            let own = self.version(input, *to)?;
            self.keep(output, own);
            return Ok(());
        }
        let part = part(&node.recipe);
        let is_half = part == Part::Product || part == Part::Follows && self.is_half(node);
        let element = if is_half { ElementType::F16 } else { ElementType::F32 };
        let mut inputs = vec![];
        for &input in &node.inputs {
            inputs.push(self.version(input, if part == Part::Fixed { self.old.element(input) } else { element })?);
        }
        let made = self.graph.again(self.old, node, &inputs)?;
        node.outputs.iter().zip(made).for_each(|(&old, new)| self.keep(old, new));
        Ok(())
    }
}
