//! Which buffer each value of a network lies in: arithmetic, before anything is allocated.
//!
//! Values whose lifetimes do not meet share bytes. wgpu binds a buffer for reading alone or for writing, whole, so instead of one arena there are a few, and
//! every value has an offset in one of them. Where that takes too many bytes, some ops write to a buffer that they read; their kernels bind it for writing.

use crate::gpu::Gpu;
use crate::graph::{At, Graph, Resolved, Source, ValueId};
use crate::numeric::Generator;
use crate::types::Result;

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

/// What a placement keeps to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Offsets are multiples of so many bytes.
    pub alignment: u64,
    /// Most bytes of a buffer.
    pub buffer: u64,
}

impl Limits {
    /// What every device takes of offsets; buffers of any size.
    pub const ANY: Self = Self { alignment: 256, buffer: u64::MAX };

    /// Of the CPU engine, where offsets say nothing but sizes.
    pub const CPU: Self = Self { alignment: 4, buffer: u64::MAX };

    pub fn of(gpu: &Gpu) -> Self {
        Self { alignment: gpu.profile().storage_alignment, buffer: gpu.profile().max_buffer_bytes }
    }
}

/// Buffers of what ops give to each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arena {
    buffers: Vec<u64>,
    lower_bound: u64,
    /// Ops that write to a buffer that they read.
    beside: usize,
}

impl Arena {
    /// What a placement came to.
    pub(crate) fn new(buffers: Vec<u64>, lower_bound: u64, ops_in_one_buffer: usize) -> Self {
        Self { buffers, lower_bound, beside: ops_in_one_buffer }
    }

    /// The arena of a network on a GPU for one open extent.
    ///
    /// # Errors
    /// What an op does not take at this extent.
    pub fn of(graph: &Graph, open: usize) -> Result<Self> {
        Ok(Placement::of(graph, &graph.at(open)?, Limits::ANY).arena)
    }

    /// The arena of a closed network in a session on this GPU, or on the CPU engine.
    pub(crate) fn on(gpu: Option<&Gpu>, graph: &Graph) -> Result<Self> {
        let at = graph.at(0)?;
        Ok(match gpu {
            Some(gpu) => Placement::of(graph, &at, Limits::of(gpu)).arena,
            None => Placement::of(graph, &at, Limits::CPU).arena.as_values(),
        })
    }

    /// Bytes of each buffer.
    pub fn buffers(&self) -> &[u64] {
        &self.buffers
    }

    /// The same where each value has memory of its own, and releases it.
    pub(crate) fn as_values(&self) -> Self {
        Self { buffers: vec![self.lower_bound], beside: 0, ..*self }
    }

    /// Bytes of all buffers.
    pub fn total(&self) -> u64 {
        self.buffers.iter().sum()
    }

    /// The most bytes that are live at once in the order of the nodes: no placement needs less.
    pub fn lower_bound(&self) -> u64 {
        self.lower_bound
    }

    /// Ops that write to a buffer that they read. Their kernels bind it for writing, which keeps a driver from taking what they read for constant; so it is done
    /// only where the arena would else be larger than 1.1 times [`Arena::lower_bound`].
    pub fn ops_in_one_buffer(&self) -> usize {
        self.beside
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
    /// Places the values of a graph.
    pub fn of(graph: &Graph, at: &At, limits: Limits) -> Self {
        let mut places: Vec<Place> = graph.values().iter().map(|value| source_place(value.source())).collect();
        // The first output that shows a value is where its op writes; others are copies of it.
        for (i, (_, output)) in graph.outputs().enumerate() {
            let place = &mut places[graph.root(at, output).index()];
            if *place == Place::Elsewhere {
                *place = Place::Output(i);
            }
        }
        let lives = lives(graph, at, &places, limits.alignment);
        let meetings = meetings(graph, at, &lives);
        let live_at = |i: usize| lives.iter().filter(|life| life.first <= i && i <= life.last).map(|life| life.bytes).sum::<u64>();
        let lower_bound = (0..graph.nodes().len()).map(live_at).max().unwrap_or(0);
        let placed = best_of(&lives, &meetings, lower_bound, limits.buffer);
        for (life, &(buffer, offset)) in lives.iter().zip(&placed.places) {
            places[life.value] = Place::Arena { buffer, offset };
        }
        Self { places, arena: Arena::new(placed.buffers.clone(), lower_bound, ops_in_one_buffer(&meetings, &placed)) }
    }

    /// The buffers that a node's inputs and outputs lie in, where they lie in the arena.
    pub fn buffers(&self, roots: &[ValueId], values: &[ValueId]) -> Vec<Option<usize>> {
        let buffer = |value: &ValueId| match self.places[roots[value.index()].index()] {
            Place::Arena { buffer, .. } => Some(buffer),
            _ => None,
        };
        values.iter().map(buffer).collect()
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

/// That an op binds one life for writing and with it another.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    /// Position of the node.
    op: usize,
    /// Position of the other life.
    other: usize,
    /// Whether both may lie in one buffer. An op that reads a value twice binds it twice, which a buffer that is written to does not allow.
    may_share: bool,
}

/// For each life, the meetings with others.
fn meetings(graph: &Graph, at: &At, lives: &[Life]) -> Vec<Vec<Meeting>> {
    let mut position = vec![None; graph.values().len()];
    lives.iter().enumerate().for_each(|(i, life)| position[life.value] = Some(i));
    let mut meetings = vec![vec![]; lives.len()];
    for (op, (node, resolved)) in graph.nodes().iter().zip(&at.nodes).enumerate() {
        if matches!(resolved, Resolved::View(_)) {
            continue;
        }
        let outputs: Vec<usize> = node.outputs().iter().filter_map(|output| position[output.index()]).collect();
        let inputs: Vec<usize> = node.inputs().iter().filter_map(|&input| position[graph.root(at, input).index()]).collect();
        for (n, &output) in outputs.iter().enumerate() {
            for &other in inputs.iter().chain(&outputs[n + 1..]) {
                let may_share = inputs.iter().filter(|input| **input == other).count() < 2;
                meetings[output].push(Meeting { op, other, may_share });
                meetings[other].push(Meeting { op, other: output, may_share });
            }
        }
    }
    meetings
}

/// Where lives were placed.
#[derive(Debug, Clone, Default)]
struct Placed {
    /// Buffer and offset of each life.
    places: Vec<(usize, u64)>,
    /// Bytes of each buffer.
    buffers: Vec<u64>,
    /// What [`place`] makes as small as it can.
    cost: u64,
}

/// Ops that bind a buffer both ways.
fn ops_in_one_buffer(meetings: &[Vec<Meeting>], placed: &Placed) -> usize {
    let of = |(i, own): (usize, &Vec<Meeting>)| {
        let here = placed.places[i].0;
        own.iter().filter(|meeting| placed.places[meeting.other].0 == here).map(|meeting| meeting.op).collect::<Vec<_>>()
    };
    meetings.iter().enumerate().flat_map(of).collect::<std::collections::HashSet<_>>().len()
}

/// The best of several placements, where no op writes to a buffer that it reads; where that takes more than 1.1 times the lower bound, with as few such ops as
/// a price for each of them leaves. The price falls until the bytes are few enough.
fn best_of(lives: &[Life], meetings: &[Vec<Meeting>], lower_bound: u64, most: u64) -> Placed {
    let is_enough = |placed: &Placed| placed.buffers.iter().map(|bytes| u128::from(*bytes)).sum::<u128>() * 10 <= u128::from(lower_bound) * 11;
    let prices = [None, Some(lower_bound / 4), Some(lower_bound / 16), Some(lower_bound / 64), Some(0)];
    let mut best: Option<Placed> = None;
    for price in prices {
        let placed = shaken(lives, meetings, &Rules { lower_bound, most, price });
        if best.as_ref().is_none_or(|best| placed.buffers.iter().sum::<u64>() < best.buffers.iter().sum()) {
            best = Some(placed);
        }
        if best.as_ref().is_some_and(is_enough) {
            break;
        }
    }
    best.unwrap_or_default()
}

/// What [`place`] keeps to.
struct Rules {
    lower_bound: u64,
    /// Most bytes of a buffer.
    most: u64,
    /// Bytes that must be won for each meeting in one buffer; none where there may be no such meeting.
    price: Option<u64>,
}

/// Largest first, longest first and first come are the known rules; none is the best everywhere, and what they miss is often a matter of who comes first, so
/// the best order is shaken and tried again, a number of times that keeps all of it at a few milliseconds.
fn shaken(lives: &[Life], meetings: &[Vec<Meeting>], rules: &Rules) -> Placed {
    const WORK: usize = 4_000_000;
    const MOST: usize = 1000;
    let keys: [Vec<f64>; 3] = [
        lives.iter().map(|life| -(life.bytes as f64)).collect(),
        lives.iter().map(|life| -((1 + life.last - life.first) as f64)).collect(),
        lives.iter().map(|life| 1.0 + life.first as f64).collect(),
    ];
    let tried = keys.into_iter().flat_map(|keys| [false, true].map(|opens| (place(lives, meetings, rules, &keys, opens), keys.clone())));
    let Some((mut best, mut order)) = tried.min_by_key(|(placed, _)| placed.cost) else { return Placed::default() };
    let mut generator = Generator::from_text("placement");
    for trial in 0..(WORK / (lives.len() * lives.len()).max(1)).min(MOST) {
        if best.cost == rules.lower_bound {
            break;
        }
        let keys: Vec<f64> = order.iter().map(|key| key * (1.0 + 0.5 * generator.real())).collect();
        let placed = place(lives, meetings, rules, &keys, trial % 2 == 0);
        if placed.cost < best.cost {
            (best, order) = (placed, keys);
        }
    }
    best
}

/// In the order of their keys, each goes where the buffers grow least. What fits nowhere `opens` a buffer, or lengthens one that is there.
fn place(lives: &[Life], meetings: &[Vec<Meeting>], rules: &Rules, keys: &[f64], opens: bool) -> Placed {
    let mut queue: Vec<usize> = (0..lives.len()).collect();
    queue.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
    let mut placed: Vec<Option<(usize, u64)>> = vec![None; lives.len()];
    let (mut buffers, mut paid): (Vec<u64>, u64) = (vec![], 0);
    for i in queue {
        let life = &lives[i];
        let price = |buffer: usize| {
            let here = meetings[i].iter().filter(|meeting| placed[meeting.other].is_some_and(|(own, _)| own == buffer));
            here.map(|meeting| rules.price.filter(|_| meeting.may_share)).sum::<Option<u64>>()
        };
        // At equal growth the third decides.
        let choices = (0..buffers.len()).filter_map(|buffer| {
            let price = price(buffer)?;
            let offset = lowest_gap(lives, &placed, life, buffer);
            let end = offset + life.bytes;
            (end <= rules.most).then(|| (end.saturating_sub(buffers[buffer]) + price, price, opens, buffer, offset))
        });
        let another = (life.bytes, 0, !opens, buffers.len(), 0);
        let (growth, price, _, buffer, offset) = choices.chain([another]).min().unwrap_or(another);
        if buffer == buffers.len() {
            buffers.push(0);
        }
        buffers[buffer] += growth - price;
        paid += price;
        placed[i] = Some((buffer, offset));
    }
    let cost = buffers.iter().sum::<u64>() + paid;
    Placed { places: placed.into_iter().flatten().collect(), buffers, cost }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::descriptor::ConvDescriptor;
    use crate::types::ElementType;

    /// Elements of each pair of lives that meet do not overlap; as many ops as the arena says read and write one buffer, and none that reads a value twice.
    fn check(graph: &Graph, open: usize) -> Placement {
        let at = graph.at(open).unwrap();
        let placement = Placement::of(graph, &at, Limits::ANY);
        let lives = lives(graph, &at, &graph.values().iter().map(|v| source_place(v.source())).collect::<Vec<_>>(), 256);
        let place = |life: &Life| match placement.places[life.value] {
            Place::Arena { buffer, offset } => Some((buffer, offset)),
            _ => None,
        };
        for (i, life) in lives.iter().enumerate() {
            let Some((buffer, offset)) = place(life) else { continue };
            assert!(offset % 256 == 0 && offset + life.bytes <= placement.arena.buffers()[buffer]);
            for other in lives[..i].iter().filter(|other| other.meets(life)) {
                let Some((own, at)) = place(other) else { continue };
                assert!(own != buffer || at + other.bytes <= offset || offset + life.bytes <= at, "{life:?} {other:?} {placement:?}");
            }
        }
        let roots: Vec<ValueId> = (0..graph.values().len()).map(|i| graph.root(&at, graph.value(i))).collect();
        let mut beside = 0;
        for (node, _) in graph.nodes().iter().zip(&at.nodes).filter(|(_, resolved)| matches!(resolved, Resolved::Op(_))) {
            let [written, read] = [node.outputs(), node.inputs()].map(|values| placement.buffers(&roots, values));
            let twice = |i: usize| node.inputs().iter().filter(|&&other| roots[other.index()] == roots[node.inputs()[i].index()]).count() > 1;
            let in_one = |(i, own): (usize, &Option<usize>)| own.is_some() && (written[..i].contains(own) || read.contains(own));
            assert!(!(0..read.len()).any(|i| read[i].is_some() && twice(i) && written.contains(&read[i])), "{}: {placement:?}", node.name());
            beside += usize::from(written.iter().enumerate().any(in_one));
        }
        assert_eq!(beside, placement.arena.ops_in_one_buffer());
        assert!(placement.arena.lower_bound() <= placement.arena.total());
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
        assert_eq!((placement.arena.buffers().len(), placement.arena.lower_bound()), (3, 3 * one), "what the sum reads, and what it gives");
        assert_eq!(placement.arena.total(), 3 * one);
        assert_eq!(placement.places[y.index()], Place::Output(0), "the other output is a copy of it");
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
