//! A graph as a table that a person reads, and as a drawing for Graphviz.

use super::{Graph, Resolved, Source, ValueId};
use crate::ops::Op;
use crate::types::tensor_type::joined;
use crate::types::{Error, TensorType};
use std::fmt::Write;

/// The letter of the open extent.
const OPEN: &str = "N";

impl Graph {
    /// Extents of a value; those that follow from the open extent by it, such as `N x 64 x 7 x 7` or `49N x 64`.
    pub fn shape(&self, value: ValueId) -> String {
        let Some([two, three]) = self.types.get(value.index()) else { return String::new() };
        if two.extents.is_empty() {
            return "scalar".into();
        }
        two.extents.iter().zip(&three.extents).map(|(&two, &three)| by_open(two as i128, three as i128)).collect::<Vec<_>>().join(" x ")
    }

    /// Elements of a value that is no input and no result.
    fn parameters_of(&self, value: ValueId) -> u64 {
        match self.values[value.index()].source {
            Source::Parameter(_) => self.types[value.index()][0].extents.iter().map(|&e| e as u64).product(),
            _ => 0,
        }
    }

    /// The graph in the language of Graphviz: `dot -Tsvg`.
    pub fn to_dot(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut dot = String::from("digraph {\n  node [shape=box];\n");
        // Writing to a String cannot fail.
        for (name, value) in self.inputs() {
            let _ = writeln!(dot, "  v{} [label=\"{}\\n{}\", style=rounded];", value.index(), quoted(name), self.shape(value));
        }
        for (i, node) in self.nodes.iter().enumerate() {
            let _ = writeln!(dot, "  n{i} [label=\"{}\\n{}\"];", quoted(&node.name), node.recipe.name());
            for &input in &node.inputs {
                match self.values[input.index()].source {
                    Source::Node { node: from, .. } => drop(writeln!(dot, "  n{from} -> n{i} [label=\"{}\"];", self.shape(input))),
                    Source::Input => drop(writeln!(dot, "  v{} -> n{i};", input.index())),
                    Source::Parameter(_) | Source::Constant(_) => {}
                }
            }
        }
        for (o, (name, value)) in self.outputs.iter().enumerate() {
            let _ = writeln!(dot, "  o{o} [label=\"{}\\n{}\", style=rounded];", quoted(name), self.shape(*value));
            if let Source::Node { node, .. } = self.values[value.index()].source {
                let _ = writeln!(dot, "  n{node} -> o{o};");
            }
        }
        dot.push_str("}\n");
        dot
    }
}

/// A number by the open extent N: a N + b, through its values at 2 and at 3.
fn by_open(two: i128, three: i128) -> String {
    let factor = three - two;
    let rest = two - 2 * factor;
    match (factor, rest) {
        (0, _) => two.to_string(),
        (1, 0) => OPEN.to_string(),
        (_, 0) => format!("{factor}{OPEN}"),
        _ => format!("{factor}{OPEN}{rest:+}"),
    }
}

/// What an op says at both extents that a graph is checked for, with N where they differ; the first text where they are not alike.
fn open_text(two: &str, three: &str) -> String {
    let parts = |text: &str| -> Vec<String> {
        let mut parts: Vec<String> = vec![];
        for c in text.chars() {
            match parts.last_mut() {
                Some(last) if c.is_ascii_digit() && last.ends_with(|c: char| c.is_ascii_digit()) => last.push(c),
                _ => parts.push(c.to_string()),
            }
        }
        parts
    };
    let (a, b) = (parts(two), parts(three));
    let joint = |(a, b): (&String, &String)| match (a.parse(), b.parse()) {
        _ if a == b => Some(a.clone()),
        (Ok(a), Ok(b)) => Some(by_open(a, b)),
        _ => None,
    };
    let all = if a.len() == b.len() { a.iter().zip(&b).map(joint).collect() } else { None };
    all.unwrap_or_else(|| two.to_string())
}

/// The errors of one op at both extents as one, which names neither.
pub(super) fn open_error(two: Error, three: &Error) -> Error {
    match (two, three) {
        (Error::Invalid { argument, value, rule }, Error::Invalid { argument: other, value: value_3, rule: rule_3 }) if argument == *other => {
            Error::Invalid { argument, value: open_text(&value, value_3), rule: open_text(&rule, rule_3) }
        }
        (two, _) => two,
    }
}

/// Extents as shapes of a graph are written: `3 x 224 x 224`.
pub(crate) fn spelled(extents: &[usize]) -> String {
    joined(extents, " x ")
}

/// A tensor and the one that it must be, with their element types where these differ.
pub(crate) fn spelled_apart(found: &TensorType, wanted: &TensorType) -> [String; 2] {
    let same = found.element == wanted.element;
    [found, wanted].map(|t| if same { spelled(&t.extents) } else { format!("{} of {}", spelled(&t.extents), t.element) })
}

/// Multiply-adds of an op, as the field counts them: of convolutions and products alone.
fn multiply_adds(op: &Op) -> u64 {
    match op {
        Op::Conv(problem) => problem.multiply_adds(),
        Op::MatMul(problem) => problem.multiply_adds(),
        _ => 0,
    }
}

/// 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The table that Keras made known: name, op, output shape, parameters, multiply-adds of one item, and totals.
impl std::fmt::Display for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = self.at(1).or_else(|_| self.at(super::PROBES[0]));
        let mut rows = vec![["name", "op", "output shape", "parameters", "multiply-adds"].map(str::to_string)];
        for (name, value) in self.inputs() {
            rows.push([name.to_string(), "input".into(), self.shape(value), "0".into(), "0".into()]);
        }
        let (mut seen, mut total, mut work) = (vec![false; self.values.len()], 0, 0);
        for (i, node) in self.nodes.iter().enumerate() {
            let mut own = 0;
            for &input in &node.inputs {
                // A parameter that several nodes read counts once.
                if !std::mem::replace(&mut seen[input.index()], true) {
                    own += self.parameters_of(input);
                }
            }
            let adds = match one.as_ref().ok().map(|at| &at.nodes[i]) {
                Some(Resolved::Op(op)) => multiply_adds(op),
                _ => 0,
            };
            (total, work) = (total + own, work + adds);
            let shape = node.outputs.first().map(|&output| self.shape(output)).unwrap_or_default();
            rows.push([node.name.clone(), node.recipe.name().into(), shape, grouped(own), grouped(adds)]);
        }
        rows.push(["total".into(), String::new(), String::new(), grouped(total), grouped(work)]);
        let widths: [usize; 5] = std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
        for row in &rows {
            let [name, op, shape, parameters, adds] = row;
            let [a, b, c, d, e] = widths;
            let line = format!("{name:a$}  {op:b$}  {shape:c$}  {parameters:>d$}  {adds:>e$}");
            writeln!(f, "{}", line.trim_end())?;
        }
        if self.is_open() {
            writeln!(f, "{OPEN} is open; multiply-adds are those of {OPEN} = 1.")?;
        }
        Ok(())
    }
}
