//! A node as an op's importer sees it: attributes and inputs with their checks, and nodes of the graph to make.

use super::value::in_f32;
use super::{Fault, Importer, Known, Running, Value};
use crate::proto;
use crate::tensor::{Element, Numbers, Tensor};
use std::rc::Rc;
use wgconv::graph::{Recipe, ValueId};
use wgconv::ndarray::{ArrayView, IxDyn};
use wgconv::shape::MAX_RANK;

/// A node of the model and what it reads.
pub(crate) struct Context<'c, 'm> {
    pub importer: &'c mut Importer<'m>,
    pub node: &'m proto::Node,
    inputs: Vec<Option<Value<'m>>>,
    /// By attribute: whether the op asked for it.
    asked: Vec<bool>,
}

impl<'c, 'm> Context<'c, 'm> {
    pub fn new(importer: &'c mut Importer<'m>, node: &'m proto::Node, inputs: Vec<Option<Value<'m>>>) -> Self {
        Self { importer, node, inputs, asked: vec![false; node.attributes.len()] }
    }

    /// An attribute that the op does not know may change what it computes.
    pub fn finish(&self) -> Result<(), Fault> {
        match self.node.attributes.iter().zip(&self.asked).find(|(_, asked)| !**asked) {
            Some((attribute, _)) => Err(Fault::new(format!("attribute {}: it is not known of this op", attribute.name))),
            None => Ok(()),
        }
    }

    /// The model's opset.
    pub fn opset(&self) -> i64 {
        self.importer.model.opset
    }

    /// Whether an output is wanted.
    pub fn wants(&self, output: usize) -> bool {
        self.node.outputs.get(output).is_some_and(|name| !name.is_empty())
    }

    // Attributes.

    fn attribute(&mut self, name: &str) -> Option<&'m proto::Value> {
        let mut found = None;
        for (attribute, asked) in self.node.attributes.iter().zip(&mut self.asked) {
            if attribute.name == name {
                (*asked, found) = (true, Some(&attribute.value));
            }
        }
        found
    }

    fn mistyped(name: &str, what: &str) -> Fault {
        Fault::new(format!("attribute {name}: it is {what}"))
    }

    pub fn int(&mut self, name: &str) -> Result<Option<i64>, Fault> {
        match self.attribute(name) {
            None => Ok(None),
            Some(proto::Value::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(Self::mistyped(name, "an integer")),
        }
    }

    pub fn int_or(&mut self, name: &str, default: i64) -> Result<i64, Fault> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    pub fn flag(&mut self, name: &str, default: bool) -> Result<bool, Fault> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    pub fn float_or(&mut self, name: &str, default: f32) -> Result<f32, Fault> {
        match self.attribute(name) {
            None => Ok(default),
            Some(proto::Value::Float(value)) => Ok(*value),
            Some(_) => Err(Self::mistyped(name, "a float")),
        }
    }

    pub fn ints(&mut self, name: &str) -> Result<Option<&'m [i64]>, Fault> {
        match self.attribute(name) {
            None => Ok(None),
            Some(proto::Value::Ints(values)) => Ok(Some(values)),
            Some(_) => Err(Self::mistyped(name, "a list of integers")),
        }
    }

    pub fn floats(&mut self, name: &str) -> Result<Option<&'m [f32]>, Fault> {
        match self.attribute(name) {
            None => Ok(None),
            Some(proto::Value::Floats(values)) => Ok(Some(values)),
            Some(_) => Err(Self::mistyped(name, "a list of floats")),
        }
    }

    pub fn string_or(&mut self, name: &str, default: &'static str) -> Result<&'m str, Fault> {
        match self.attribute(name) {
            None => Ok(default),
            Some(proto::Value::String(bytes)) => std::str::from_utf8(bytes).map_err(|_| Self::mistyped(name, "text")),
            Some(_) => Err(Self::mistyped(name, "text")),
        }
    }

    pub fn tensor(&mut self, name: &str) -> Result<Option<Tensor<'m>>, Fault> {
        match self.attribute(name) {
            None => Ok(None),
            Some(proto::Value::Tensor(tensor)) => {
                let model = self.importer.model;
                Ok(Some(Tensor::decode(tensor, &model.bytes, model.folder.as_deref())?))
            }
            Some(_) => Err(Self::mistyped(name, "a tensor")),
        }
    }

    /// Asks for an attribute that changes nothing here.
    pub fn ignore(&mut self, names: &[&str]) {
        for name in names {
            let _ = self.attribute(name);
        }
    }

    // Inputs.

    /// How many inputs are written down, those left out in between too.
    pub fn count(&self) -> usize {
        self.inputs.len()
    }

    pub fn has(&self, input: usize) -> bool {
        matches!(self.inputs.get(input), Some(Some(_)))
    }

    pub fn value(&self, input: usize) -> Result<&Value<'m>, Fault> {
        match self.inputs.get(input) {
            Some(Some(value)) => Ok(value),
            _ => Err(Fault::new(format!("input {input} is missing"))),
        }
    }

    pub fn dims(&self, input: usize) -> Result<Vec<usize>, Fault> {
        match self.value(input)? {
            Value::Known(known) => Ok(known.tensor.dims().to_vec()),
            Value::Running(running) => Ok(running.dims.clone()),
            Value::Refused => Err(Fault::new(format!("input {input} is missing"))),
        }
    }

    pub fn element(&self, input: usize) -> Result<Element, Fault> {
        match self.value(input)? {
            Value::Known(known) => Ok(known.tensor.element()),
            Value::Running(running) => Ok(running.element),
            Value::Refused => Err(Fault::new(format!("input {input} is missing"))),
        }
    }

    /// The tensor of an input, where it is known.
    pub fn known(&self, input: usize) -> Option<Rc<Known<'m>>> {
        match self.inputs.get(input) {
            Some(Some(Value::Known(known))) => Some(known.clone()),
            _ => None,
        }
    }

    /// The tensors of all inputs, where there are some, all are known, and none is left out but at the end.
    pub fn all_known(&self) -> Option<Vec<Rc<Known<'m>>>> {
        let count = self.inputs.iter().rposition(Option::is_some)? + 1;
        (0..count).map(|input| self.known(input)).collect()
    }

    /// An input that decides about shapes, or that an op takes as a number.
    pub fn needed(&self, input: usize, name: &str) -> Result<Rc<Known<'m>>, Fault> {
        match self.value(input)? {
            Value::Known(known) => Ok(known.clone()),
            Value::Running(Running { input: Some(own), .. }) => Err(Fault {
                needs: vec![own.to_string()],
                ..Fault::new(format!("{name}: its numbers must be known at import, and it is the model's input \"{own}\""))
            }),
            _ => Err(Fault::new(format!("{name}: its numbers must be known at import, and they follow from inputs of the model"))),
        }
    }

    /// As [`Context::needed`], integers.
    pub fn integers(&self, input: usize, name: &str) -> Result<Vec<i64>, Fault> {
        let known = self.needed(input, name)?;
        known
            .tensor
            .as_integers()
            .map(<[i64]>::to_vec)
            .ok_or_else(|| Fault::new(format!("{name}: it holds integers, not {}", known.tensor.element())))
    }

    /// As [`Context::needed`], one number.
    pub fn number(&self, input: usize, name: &str) -> Result<f64, Fault> {
        match self.needed(input, name)?.tensor.to_f64()[..] {
            [number] => Ok(number),
            ref several => Err(Fault::new(format!("{name}: it is one number, not {}", several.len()))),
        }
    }

    /// Integers from the attribute of older opsets or the input of newer ones; none where neither is there.
    pub fn list(&mut self, name: &str, input: usize) -> Result<Option<Vec<i64>>, Fault> {
        match self.ints(name)? {
            Some(list) => Ok(Some(list.to_vec())),
            None if self.has(input) => self.integers(input, name).map(Some),
            None => Ok(None),
        }
    }

    /// An input as a value of the graph, under whatever extents it has there.
    pub fn carrier(&mut self, input: usize) -> Result<Running, Fault> {
        match self.value(input)?.clone() {
            Value::Running(running) => Ok(running),
            Value::Known(known) => self.place(&known),
            Value::Refused => Err(Fault::new(format!("input {input} is missing"))),
        }
    }

    /// An input as a value of the graph, under the extents that it has in the model.
    pub fn running(&mut self, input: usize) -> Result<Running, Fault> {
        let carrier = self.carrier(input)?;
        Ok(Running { id: self.importer.shaped(&carrier)?, ..carrier })
    }

    /// As [`Context::running`], of floats: arithmetic on integers and bool is the host's.
    pub fn floating(&mut self, input: usize) -> Result<Running, Fault> {
        let running = self.running(input)?;
        self.check_float(input, &running)?;
        Ok(running)
    }

    pub fn check_float(&self, input: usize, running: &Running) -> Result<(), Fault> {
        if running.element.is_float() {
            return Ok(());
        }
        let needs = running.input.iter().map(|name| name.to_string()).collect();
        let reason = format!("input {input} is of {}: arithmetic on integers is done at import alone, of numbers known then", running.element);
        Err(Fault { needs, ..Fault::new(reason) })
    }

    // Nodes of the graph.

    /// Adds a node; its first output.
    pub fn emit(&mut self, recipe: impl Into<Recipe>, inputs: &[ValueId]) -> Result<ValueId, Fault> {
        self.importer.emit(self.node, recipe.into(), inputs)?.first().copied().ok_or_else(|| Fault::new("a node without outputs"))
    }

    /// Adds a node; all of its outputs.
    pub fn emit_all(&mut self, recipe: Recipe, inputs: &[ValueId]) -> Result<Vec<ValueId>, Fault> {
        self.importer.emit(self.node, recipe, inputs)
    }

    /// A constant of these extents.
    pub fn constant(&mut self, dims: &[usize], numbers: &[f32]) -> Result<ValueId, Fault> {
        let name = self.importer.helper(self.node);
        let view = ArrayView::from_shape(IxDyn(dims), numbers).map_err(|e| Fault::new(e.to_string()))?;
        Ok(self.importer.graph.constant(&name, view)?)
    }

    /// A constant of one number, which broadcasts.
    pub fn scalar(&mut self, number: f32) -> Result<ValueId, Fault> {
        self.constant(&[], &[number])
    }

    /// What is known, as a value of the graph.
    pub fn place(&mut self, known: &Rc<Known<'m>>) -> Result<Running, Fault> {
        self.importer.placed(known, self.node)
    }

    /// A value of the graph under other extents.
    pub fn reshape(&mut self, id: ValueId, dims: &[usize]) -> Result<ValueId, Fault> {
        self.importer.reshape(self.node, id, dims)
    }

    /// Extents of a value of the graph.
    pub fn extents(&self, id: ValueId) -> Vec<usize> {
        self.importer.graph.extents(id).unwrap_or_default()
    }

    /// An output with the extents that the graph says.
    pub fn out(&self, id: ValueId, element: Element) -> Value<'m> {
        Value::Running(Running::new(id, self.extents(id), element))
    }

    /// A constant that stands in the file as it is: a parameter by the name of the node's output, since a network's weights may come like this, unless it
    /// is one number.
    pub fn as_in_file(&self, tensor: Tensor<'m>) -> Value<'m> {
        let name = self.node.outputs.first().map(String::as_str).filter(|_| tensor.numbers().len() > 1);
        Value::Known(Rc::new(Known { tensor, name }))
    }

    /// An output that is known.
    pub fn made(&self, tensor: Tensor<'m>) -> Value<'m> {
        Value::Known(Rc::new(Known { tensor, name: None }))
    }
}

impl<'m> Importer<'m> {
    /// A name for what a node needs besides its outputs.
    fn helper(&mut self, node: &proto::Node) -> String {
        self.helpers += 1;
        self.unused(&format!("{}/{}", node.called(), self.helpers))
    }

    fn emit(&mut self, node: &proto::Node, recipe: Recipe, inputs: &[ValueId]) -> Result<Vec<ValueId>, Fault> {
        let made = self.graph.node(recipe, inputs)?;
        if let Some(&first) = made.first() {
            let name = self.helper(node);
            self.graph.name(first, &name)?;
        }
        Ok(made)
    }

    fn reshape(&mut self, node: &proto::Node, id: ValueId, dims: &[usize]) -> Result<ValueId, Fault> {
        if self.graph.extents(id).as_deref() == Some(dims) {
            return Ok(id);
        }
        if let Some(&view) = self.views.get(&(id, dims.to_vec())) {
            return Ok(view);
        }
        if dims.len() > MAX_RANK {
            return Err(Fault::new(format!("{dims:?} has the rank {}, and the graph's tensors at most {MAX_RANK}", dims.len())));
        }
        let shape = dims.iter().map(|&extent| extent as isize).collect();
        let view = self.emit(node, Recipe::Reshape { shape }, &[id])?.first().copied().ok_or_else(|| Fault::new("a node without outputs"))?;
        self.views.insert((id, dims.to_vec()), view);
        Ok(view)
    }

    /// A value under the extents that it has in the model.
    pub fn shaped(&mut self, running: &Running) -> Result<ValueId, Fault> {
        let node = proto::Node {
            name: self.graph.values().get(running.id.index()).map_or(String::new(), |value| value.name().into()),
            ..Default::default()
        };
        self.reshape(&node, running.id, &running.dims)
    }

    /// What is known, as a value of the graph: a parameter where it stands in the file, else a constant.
    fn placed(&mut self, known: &Rc<Known<'m>>, node: &proto::Node) -> Result<Running, Fault> {
        if let Some((_, running)) = self.placed.get(&Rc::as_ptr(known)) {
            return Ok(running.clone());
        }
        let tensor = &known.tensor;
        if tensor.numbers().is_empty() {
            return Err(Fault::new(format!("a tensor of extents {:?} has no elements, and a graph has none such", tensor.dims())));
        }
        let flat = [tensor.numbers().len()];
        let dims = if tensor.dims().len() > MAX_RANK { &flat[..] } else { tensor.dims() };
        let owned;
        let numbers: &[f32] = match tensor.numbers() {
            Numbers::F32(numbers) => numbers,
            _ => {
                owned = in_f32(tensor).map_err(Fault::new)?;
                &owned
            }
        };
        let view = ArrayView::from_shape(IxDyn(dims), numbers).map_err(|e| Fault::new(e.to_string()))?;
        let id = match known.name {
            Some(name) => {
                let name = self.unused(name);
                self.graph.parameter(&name, view)?
            }
            None => {
                let name = self.helper(node);
                self.graph.constant(&name, view)?
            }
        };
        let running = Running::new(id, tensor.dims().to_vec(), tensor.element());
        self.placed.insert(Rc::as_ptr(known), (known.clone(), running.clone()));
        Ok(running)
    }
}
