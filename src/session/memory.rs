//! Which buffer each value of a network lies in. A buffer is used again once nothing reads what it holds; an op never writes to a buffer that it reads,
//! which no kernel could. wgpu binds a buffer for reading or for writing, whole, so one buffer for all values would not do.

use crate::graph::{At, Graph, Resolved, Source, ValueId};

/// Buffers, and the value's position among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// By value; none for inputs, parameters and constants, which have tensors of their own. Views have the buffer of what they show.
    buffers: Vec<Option<usize>>,
    /// Bytes of each buffer.
    bytes: Vec<u64>,
    lower_bound: u64,
}

/// The value whose elements a value shows: itself, or what a view is of.
pub(crate) fn root(graph: &Graph, at: &At, value: ValueId) -> ValueId {
    match graph.values()[value.index()].source() {
        Source::Node { node, .. } => match &at.nodes[*node] {
            Resolved::View(_) => root(graph, at, graph.nodes()[*node].inputs()[0]),
            Resolved::Op(_) => value,
        },
        _ => value,
    }
}

fn bytes(at: &At, value: ValueId) -> u64 {
    let tensor = &at.types[value.index()];
    let count = tensor.extents.iter().map(|&e| e as u64).product::<u64>(); // checked when its op was made
    (count * tensor.element.bytes()).next_multiple_of(16)
}

impl Memory {
    /// Puts the values of a graph into buffers: each op takes the smallest free one that is large enough, else it enlarges the largest free one.
    pub fn of(graph: &Graph, at: &At) -> Self {
        let values = graph.values().len();
        // When each buffer's content was read last; outputs are read when all is done.
        let mut last: Vec<Option<usize>> = vec![None; values];
        for (i, node) in graph.nodes().iter().enumerate() {
            node.inputs().iter().for_each(|&input| last[root(graph, at, input).index()] = Some(i));
        }
        graph.outputs().for_each(|(_, value)| last[root(graph, at, value).index()] = Some(usize::MAX));
        let mut memory = Self { buffers: vec![None; values], bytes: vec![], lower_bound: 0 };
        let (mut free, mut live) = (Vec::<usize>::new(), 0u64);
        for (i, node) in graph.nodes().iter().enumerate() {
            if matches!(at.nodes[i], Resolved::View(_)) {
                continue;
            }
            for &output in node.outputs() {
                let need = bytes(at, output);
                let fits =
                    free.iter().enumerate().filter(|(_, buffer)| memory.bytes[**buffer] >= need).min_by_key(|(_, buffer)| memory.bytes[**buffer]);
                let best = fits.or_else(|| free.iter().enumerate().max_by_key(|(_, buffer)| memory.bytes[**buffer])).map(|(at, _)| at);
                let buffer = match best {
                    Some(position) => free.swap_remove(position),
                    None => {
                        memory.bytes.push(0);
                        memory.bytes.len() - 1
                    }
                };
                memory.bytes[buffer] = memory.bytes[buffer].max(need);
                memory.buffers[output.index()] = Some(buffer);
                live += need;
            }
            memory.lower_bound = memory.lower_bound.max(live);
            // What nothing reads is free at once, after the op.
            let done =
                (0..values).filter(|&value| memory.buffers[value].is_some() && (last[value] == Some(i) || is_unread(&last, node.outputs(), value)));
            for value in done.collect::<Vec<_>>() {
                free.extend(memory.buffers[value]);
                live -= bytes(at, at_value(graph, value));
                last[value] = Some(usize::MAX); // once
            }
        }
        memory
    }

    /// The buffer of a value that an op gives.
    pub fn buffer(&self, value: ValueId) -> Option<usize> {
        self.buffers.get(value.index()).copied().flatten()
    }

    /// Bytes of each buffer.
    pub fn bytes(&self) -> &[u64] {
        &self.bytes
    }

    /// Bytes of all buffers.
    pub fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// The most bytes that are live at once, in the order of the nodes: no placement needs less.
    pub fn lower_bound(&self) -> u64 {
        self.lower_bound
    }
}

fn is_unread(last: &[Option<usize>], outputs: &[ValueId], value: usize) -> bool {
    last[value].is_none() && outputs.iter().any(|output| output.index() == value)
}

fn at_value(graph: &Graph, index: usize) -> ValueId {
    graph.value(index)
}
