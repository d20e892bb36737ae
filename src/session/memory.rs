//! Which buffer each value of a network lies in, and how many bytes a session takes: arithmetic, before anything is allocated.
//!
//! Values whose lifetimes do not meet share bytes. wgpu binds a buffer for reading or for writing, whole, so an op never writes to a buffer that it
//! reads: instead of one arena there are a few, and every value has an offset in one of them.

use crate::gpu::Gpu;
use crate::graph::{At, Graph, Resolved, Source};
use crate::numeric::Generator;
use crate::types::Result;

/// Of offsets on the CPU engine, where they say nothing but sizes.
pub(crate) const CPU_ALIGNMENT: u64 = 4;

/// Where a value that is not a view lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a tensor of a run, or of the caller.
    Input,
    /// With the parameters and constants.
    Weight,
    /// It is the graph's output at this position.
    Output(usize),
    /// Between ops.
    Arena {
        /// Which buffer.
        buffer: usize,
        /// First byte.
        offset: u64,
    },
    /// It shows what another value is, or nothing reads it.
    Elsewhere,
}

/// A value that an op gives, from that op to the last that reads it.
#[derive(Debug, Clone, Copy)]
struct Life {
    value: usize,
    bytes: u64,
    first: usize,
    last: usize,
}

impl Life {
    fn meets(&self, other: &Life) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Buffers of what ops give to each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arena {
    buffers: Vec<u64>,
    lower_bound: u64,
}

impl Arena {
    /// The arena of a network on a GPU for one open extent.
    ///
    /// # Errors
    /// What an op does not take at this extent.
    pub fn of(graph: &Graph, open: usize) -> Result<Self> {
        /// What every device takes.
        const ALIGNMENT: u64 = 256;
        Ok(Placement::of(graph, &graph.at(open)?, ALIGNMENT).arena)
    }

    /// The arena of a closed network in a session on this GPU, or on the CPU engine.
    pub(crate) fn on(gpu: Option<&Gpu>, graph: &Graph) -> Result<Self> {
        let at = graph.at(0)?;
        Ok(match gpu {
            Some(gpu) => Placement::of(graph, &at, gpu.profile().storage_alignment).arena,
            None => Placement::of(graph, &at, CPU_ALIGNMENT).arena.as_values(),
        })
    }

    /// Bytes of each buffer.
    pub fn buffers(&self) -> &[u64] {
        &self.buffers
    }

    /// The same where each value has memory of its own, and releases it.
    pub(crate) fn as_values(&self) -> Self {
        Self { buffers: vec![self.lower_bound], ..*self }
    }

    /// Bytes of all buffers.
    pub fn total(&self) -> u64 {
        self.buffers.iter().sum()
    }

    /// The most bytes that are live at once in the order of the nodes: no placement needs less. A placement may need more: wgpu binds a buffer for reading or
    /// for writing, so what an op reads and what it gives lie in different ones.
    pub fn lower_bound(&self) -> u64 {
        self.lower_bound
    }
}

/// Where all values of a network lie for one open extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// By value.
    pub places: Vec<Place>,
    pub arena: Arena,
}

impl Placement {
    /// Places the values of a graph. Offsets are multiples of `alignment`.
    pub fn of(graph: &Graph, at: &At, alignment: u64) -> Self {
        let mut places: Vec<Place> = graph.values().iter().map(|value| source_place(value.source())).collect();
        // The first output that shows a value is where its op writes; others are copies of it.
        for (i, (_, output)) in graph.outputs().enumerate() {
            let place = &mut places[graph.root(at, output).index()];
            if *place == Place::Elsewhere {
                *place = Place::Output(i);
            }
        }
        let lives = lives(graph, at, &places, alignment);
        let apart = apart(graph, at, &lives);
        let live_at = |i: usize| lives.iter().filter(|life| life.first <= i && i <= life.last).map(|life| life.bytes).sum::<u64>();
        let lower_bound = (0..graph.nodes().len()).map(live_at).max().unwrap_or(0);
        let (placed, buffers) = best_of(&lives, &apart, lower_bound);
        for (life, (buffer, offset)) in lives.iter().zip(placed) {
            places[life.value] = Place::Arena { buffer, offset };
        }
        Self { places, arena: Arena { buffers, lower_bound } }
    }
}

fn source_place(source: &Source) -> Place {
    match source {
        Source::Input => Place::Input,
        Source::Parameter(_) | Source::Constant(_) => Place::Weight,
        Source::Node { .. } => Place::Elsewhere,
    }
}

/// The values that lie in the arena, in the order of the ops that give them.
fn lives(graph: &Graph, at: &At, places: &[Place], alignment: u64) -> Vec<Life> {
    let mut last = vec![None; places.len()];
    for (i, node) in graph.nodes().iter().enumerate() {
        if matches!(at.nodes[i], Resolved::Op(_)) {
            node.inputs().iter().for_each(|&input| last[graph.root(at, input).index()] = Some(i));
        }
    }
    let mut lives = vec![];
    for (i, node) in graph.nodes().iter().enumerate().filter(|(i, _)| matches!(at.nodes[*i], Resolved::Op(_))) {
        for output in node.outputs().iter().filter(|output| places[output.index()] == Place::Elsewhere) {
            // What nothing reads is written all the same.
            let last = last[output.index()].unwrap_or(i);
            lives.push(Life { value: output.index(), bytes: at.bytes(*output).next_multiple_of(alignment.max(16)), first: i, last });
        }
    }
    lives
}

/// For each life, the positions of those that one op binds with it, at least one of the two for writing: they need different buffers.
fn apart(graph: &Graph, at: &At, lives: &[Life]) -> Vec<Vec<usize>> {
    let mut position = vec![None; graph.values().len()];
    lives.iter().enumerate().for_each(|(i, life)| position[life.value] = Some(i));
    let mut apart = vec![vec![]; lives.len()];
    for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
        if matches!(resolved, Resolved::View(_)) {
            continue;
        }
        let outputs: Vec<usize> = node.outputs().iter().filter_map(|output| position[output.index()]).collect();
        let inputs: Vec<usize> = node.inputs().iter().filter_map(|&input| position[graph.root(at, input).index()]).collect();
        for (n, &output) in outputs.iter().enumerate() {
            for &other in inputs.iter().chain(&outputs[n + 1..]) {
                apart[output].push(other);
                apart[other].push(output);
            }
        }
    }
    apart
}

/// Buffer and offset of each life, and the bytes of the buffers.
type Placed = (Vec<(usize, u64)>, Vec<u64>);

/// The best of several placements. Largest first, longest first and first come are the known rules; none is the best everywhere, and what they miss is often a
/// matter of who comes first, so the best order is shaken and tried again, a number of times that keeps all of it at a few milliseconds.
fn best_of(lives: &[Life], apart: &[Vec<usize>], lower_bound: u64) -> Placed {
    const WORK: usize = 4_000_000;
    const MOST: usize = 1000;
    let total = |(_, buffers): &Placed| buffers.iter().sum::<u64>();
    let keys: [Vec<f64>; 3] = [
        lives.iter().map(|life| -(life.bytes as f64)).collect(),
        lives.iter().map(|life| -((1 + life.last - life.first) as f64)).collect(),
        lives.iter().map(|life| 1.0 + life.first as f64).collect(),
    ];
    let tried = keys.into_iter().flat_map(|keys| [false, true].map(|opens| (place(lives, apart, &keys, opens), keys.clone())));
    let Some((mut best, mut order)) = tried.min_by_key(|(placed, _)| total(placed)) else { return Placed::default() };
    let mut generator = Generator::from_text("placement");
    for trial in 0..(WORK / (lives.len() * lives.len()).max(1)).min(MOST) {
        if total(&best) == lower_bound {
            break;
        }
        let keys: Vec<f64> = order.iter().map(|key| key * (1.0 + 0.5 * generator.real())).collect();
        let placed = place(lives, apart, &keys, trial % 2 == 0);
        if total(&placed) < total(&best) {
            (best, order) = (placed, keys);
        }
    }
    best
}

/// In the order of their keys, each goes where the buffers grow least. What fits nowhere `opens` a buffer, or lengthens one that is there.
fn place(lives: &[Life], apart: &[Vec<usize>], keys: &[f64], opens: bool) -> Placed {
    let mut queue: Vec<usize> = (0..lives.len()).collect();
    queue.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
    let mut placed: Vec<Option<(usize, u64)>> = vec![None; lives.len()];
    let mut buffers: Vec<u64> = vec![];
    for i in queue {
        let life = &lives[i];
        let allowed = (0..buffers.len()).filter(|&buffer| !apart[i].iter().any(|&other| placed[other].is_some_and(|(own, _)| own == buffer)));
        // At equal growth the second decides.
        let choices = allowed.map(|buffer| {
            let offset = lowest_gap(lives, &placed, life, buffer);
            ((offset + life.bytes).saturating_sub(buffers[buffer]), opens, buffer, offset)
        });
        let another = (life.bytes, !opens, buffers.len(), 0);
        let (growth, _, buffer, offset) = choices.chain([another]).min().unwrap_or(another);
        if buffer == buffers.len() {
            buffers.push(0);
        }
        buffers[buffer] += growth;
        placed[i] = Some((buffer, offset));
    }
    (placed.into_iter().flatten().collect(), buffers)
}

/// The lowest offset in a buffer where a life fits between those that it meets.
fn lowest_gap(lives: &[Life], placed: &[Option<(usize, u64)>], life: &Life, buffer: usize) -> u64 {
    let there = lives.iter().zip(placed).filter_map(|(other, place)| Some((other, (*place)?)));
    let mut taken: Vec<(u64, u64)> =
        there.filter(|(other, (own, _))| *own == buffer && other.meets(life)).map(|(other, (_, offset))| (offset, offset + other.bytes)).collect();
    taken.sort_unstable();
    let mut offset = 0;
    for (first, end) in taken {
        if offset + life.bytes <= first {
            break;
        }
        offset = offset.max(end);
    }
    offset
}

/// Bytes that a session takes for one open extent, known before anything is allocated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    pub(crate) weights: u64,
    pub(crate) packed: u64,
    pub(crate) tables: u64,
    pub(crate) arena: Arena,
    pub(crate) scratch: u64,
    pub(crate) tensors: u64,
    pub(crate) staging: u64,
    pub(crate) preparing: u64,
    /// The open extent, where there is one.
    pub(crate) open: Option<usize>,
}

impl Memory {
    /// Parameters and constants that kernels read as they are.
    pub fn weights(&self) -> u64 {
        self.weights
    }

    /// Parameters and constants in the order in which kernels read them. Where another extent has packed alike, it is shared, and counted here all the
    /// same.
    pub fn packed(&self) -> u64 {
        self.packed
    }

    /// Tables of indices and uniforms.
    pub fn tables(&self) -> u64 {
        self.tables
    }

    /// Buffers of what ops give to each other.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// What kernels of one op give to each other; all ops share it.
    pub fn scratch(&self) -> u64 {
        self.scratch
    }

    /// Inputs and outputs of a run; each thread that runs at the same time has its own. A recording has the caller's instead.
    pub fn tensors(&self) -> u64 {
        self.tensors
    }

    /// Buffers through which a run uploads and downloads. A recording has none.
    pub fn staging(&self) -> u64 {
        self.staging
    }

    /// Bytes of all of it.
    pub fn total(&self) -> u64 {
        self.weights + self.packed + self.tables + self.arena.total() + self.scratch + self.tensors + self.staging
    }

    /// The most bytes at once: while it is prepared, parameters that are packed are there twice for a moment.
    pub fn peak(&self) -> u64 {
        self.total() + self.preparing
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [live, unit] = sized(self.arena.lower_bound);
        let buffers = if self.arena.buffers.len() == 1 { "1 buffer".to_string() } else { format!("{} buffers", self.arena.buffers.len()) };
        let rows = [
            ("weights", self.weights, String::new()),
            ("packed weights", self.packed, String::new()),
            ("tables, uniforms", self.tables, String::new()),
            ("arena", self.arena.total(), format!("  {buffers}; {live} {unit} are live at once")),
            ("scratch", self.scratch, String::new()),
            ("inputs, outputs", self.tensors, String::new()),
            ("staging", self.staging, String::new()),
            ("total", self.total(), self.open.map_or(String::new(), |open| format!("  for N = {open}"))),
            ("peak", self.peak(), "  while it is prepared".into()),
        ];
        rows.iter().try_for_each(|(name, bytes, note)| {
            let [number, unit] = sized(*bytes);
            writeln!(f, "{name:<16} {number:>10} {unit}{note}")
        })
    }
}

/// Bytes as a person reads them: MiB from one on, else KiB.
fn sized(bytes: u64) -> [String; 2] {
    let (size, unit) = if bytes >= 1 << 20 { (1 << 20, "MiB") } else { (1 << 10, "KiB") };
    [format!("{:.2}", bytes as f64 / f64::from(size)), unit.to_string()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ValueId;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::types::ElementType;

    /// Elements of each pair of lives that meet do not overlap, and no op binds a buffer for reading and for writing.
    fn check(graph: &Graph, open: usize) -> Placement {
        let at = graph.at(open).unwrap();
        let placement = Placement::of(graph, &at, 256);
        let lives = lives(graph, &at, &graph.values().iter().map(|v| source_place(v.source())).collect::<Vec<_>>(), 256);
        let place = |life: &Life| match placement.places[life.value] {
            Place::Arena { buffer, offset } => Some((buffer, offset)),
            _ => None,
        };
        for (i, life) in lives.iter().enumerate() {
            let Some((buffer, offset)) = place(life) else { continue };
            assert!(offset % 256 == 0 && offset + life.bytes <= placement.arena.buffers[buffer]);
            for other in lives[..i].iter().filter(|other| other.meets(life)) {
                let Some((own, at)) = place(other) else { continue };
                assert!(own != buffer || at + other.bytes <= offset || offset + life.bytes <= at, "{life:?} {other:?} {placement:?}");
            }
        }
        for (node, resolved) in graph.nodes().iter().zip(&at.nodes) {
            if matches!(resolved, Resolved::View(_)) {
                continue;
            }
            let buffer = |value: ValueId| match placement.places[graph.root(&at, value).index()] {
                Place::Arena { buffer, .. } => Some(buffer),
                _ => None,
            };
            let written: Vec<usize> = node.outputs().iter().filter_map(|&value| buffer(value)).collect();
            let read: Vec<usize> = node.inputs().iter().filter_map(|&value| buffer(value)).collect();
            assert!(written.iter().enumerate().all(|(i, own)| !written[..i].contains(own) && !read.contains(own)), "{}: {placement:?}", node.name());
        }
        assert!(placement.arena.lower_bound <= placement.arena.buffers.iter().sum());
        placement
    }

    #[test]
    fn a_chain_needs_two_buffers_and_a_residual_keeps_its_own() {
        let mut graph = Graph::new();
        let x = graph.input("x", [crate::graph::Extent::Open, 8.into(), 16.into(), 16.into()]).unwrap();
        let w = graph.parameter_of("w", &[8, 8, 1, 1], ElementType::F32).unwrap();
        let mut y = graph.conv2d(x, w, None, &ConvDescriptor::default()).unwrap();
        for _ in 0..5 {
            y = graph.conv2d(y, w, None, &ConvDescriptor::default()).unwrap();
        }
        let kept = y;
        for _ in 0..3 {
            y = graph.conv2d(y, w, None, &ConvDescriptor::default()).unwrap();
        }
        let rows = graph.flatten(y, 1).unwrap();
        let y = graph.reshape(rows, &[0, 8, 16, 16]).unwrap();
        let y = graph.add(y, kept).unwrap();
        let y = graph.relu(y).unwrap();
        graph.output("y", y).unwrap();
        graph.output("again", y).unwrap();
        let placement = check(&graph, 3);
        let one = 3 * 8 * 16 * 16 * 4;
        assert_eq!((placement.arena.buffers.len(), placement.arena.lower_bound), (3, 3 * one), "what the sum reads, and what it gives");
        assert_eq!(placement.arena.buffers.iter().sum::<u64>(), 3 * one);
        assert_eq!(placement.places[y.index()], Place::Output(0), "the other output is a copy of it");
    }

    #[test]
    fn small_networks_are_told_in_kib() {
        let arena = Arena { buffers: vec![2048], lower_bound: 2048 };
        let text = Memory { weights: 100, tensors: 3 << 20, arena, open: Some(4), ..Memory::default() }.to_string();
        for line in [
            "weights                0.10 KiB\n",
            "arena                  2.00 KiB  1 buffer; 2.00 KiB are live at once\n",
            "inputs, outputs        3.00 MiB\n",
            "total                  3.00 MiB  for N = 4\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    /// Random graphs of additions and pools: what is read later, what is read twice, what nothing reads.
    #[test]
    fn random_graphs_are_placed_without_overlap() {
        let mut generator = Generator::from_text("placement");
        for _ in 0..200 {
            let mut graph = Graph::new();
            let x = graph.input("x", [crate::graph::Extent::Open, 4.into(), 8.into(), 8.into()]).unwrap();
            let mut values = vec![x];
            for _ in 0..2 + generator.below(20) {
                let pick = |generator: &mut Generator, values: &[ValueId]| values[generator.below(values.len() as u64) as usize];
                let (a, b) = (pick(&mut generator, &values), pick(&mut generator, &values));
                let y = match generator.below(4) {
                    0 => graph.concat(&[a, b], 0).or_else(|_| graph.relu(a)),
                    1 => graph.reshape(a, &[-1, 4, 8, 8]),
                    2 => graph.relu(b),
                    _ => graph.add(a, b).or_else(|_| graph.concat(&[b, a], 0)),
                };
                values.push(y.unwrap());
            }
            graph.output("y", values[values.len() - 1]).unwrap();
            graph.output("z", values[values.len() / 2]).unwrap();
            check(&graph, 2);
        }
    }
}
