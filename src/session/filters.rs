//! Filters of a session on the CPU engine as its algorithms read them: packed when an op first meets them, and anew when their numbers have changed.

use crate::cpu::packed::{Packed, Packing};
use crate::graph::ValueId;
use crate::ops::conv::problem::ConvProblem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Problems of one filter that are remembered: those of open extents.
const MOST: usize = 32;

/// By value of a graph, what was packed of the numbers that it has in that graph. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Filters {
    slots: Arc<Vec<Arc<Slot>>>,
}

#[derive(Default)]
struct Slot(Mutex<Vec<Entry>>);

struct Entry {
    problem: ConvProblem,
    packing: Packing,
    packed: Arc<Packed>,
    /// Of numbers that have changed since: kept for its memory.
    is_stale: bool,
}

impl Slot {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        // Entries are put in complete.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filters {
    /// For a graph of so many values.
    pub fn new(values: usize) -> Self {
        Self { slots: Arc::new((0..values).map(|_| Arc::default()).collect()) }
    }

    /// The filter of a problem, which are the numbers of `value`.
    pub fn packed(&self, value: ValueId, problem: &ConvProblem, filter: &[f32]) -> Arc<Packed> {
        let plain = problem.convolution();
        let Some(slot) = self.slots.get(value.index()) else { return Arc::new(Packed::new(&plain, filter)) };
        let of_problem = |entry: &&Entry| !entry.is_stale && entry.problem == *problem;
        if let Some(entry) = slot.entries().iter().find(of_problem) {
            return entry.packed.clone();
        }
        let packing = Packing::of(&plain);
        let (known, stale) = {
            let mut entries = slot.entries();
            let known = entries.iter().find(|entry| !entry.is_stale && entry.packing == packing).map(|entry| entry.packed.clone());
            let stale = entries.iter().position(|entry| entry.is_stale && entry.packing == packing);
            (known, stale.map(|at| entries.swap_remove(at)))
        };
        // Before the new one is packed: that takes its memory.
        drop(stale);
        // Not under the lock: a thread that waits for its cores may take up another run, which comes here.
        let packed = known.unwrap_or_else(|| Arc::new(Packed::new(&plain, filter)));
        let mut entries = slot.entries();
        if let Some(entry) = entries.iter().find(of_problem) {
            return entry.packed.clone();
        }
        if entries.len() >= MOST {
            entries.remove(0);
        }
        entries.push(Entry { problem: problem.clone(), packing, packed: packed.clone(), is_stale: false });
        packed
    }

    /// For the graph in which `value` has other numbers.
    #[must_use]
    pub fn without(&self, value: ValueId) -> Self {
        let mut slots = Vec::clone(&self.slots);
        if let Some(slot) = slots.get_mut(value.index()) {
            *slot = Arc::default();
        }
        Self { slots: Arc::new(slots) }
    }

    /// As [`Filters::without`], where the numbers were changed in their place: what no run holds is packed into the same memory again.
    pub fn change(&mut self, value: ValueId) {
        let own = Arc::get_mut(&mut self.slots).and_then(|slots| slots.get_mut(value.index())).and_then(Arc::get_mut);
        let Some(slot) = own else {
            *self = self.without(value);
            return;
        };
        let entries = slot.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut kept: Vec<Packing> = vec![];
        entries.retain_mut(|entry| {
            entry.is_stale = true;
            let is_first = !kept.contains(&entry.packing);
            kept.extend(is_first.then(|| entry.packing.clone()));
            is_first
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Extent, Graph};
    use crate::ops::conv::descriptor::{ConvDescriptor, ConvTransposeDescriptor};
    use crate::session::Session;
    use crate::types::Padding;
    use ndarray::{Array1, Array4, ArrayD};

    const SHAPES: [(&str, [usize; 4]); 3] = [("w", [48, 48, 3, 3]), ("v", [48, 7, 3, 3]), ("u", [5, 7, 1, 1])];

    fn numbers(extents: [usize; 4], seed: usize) -> Array4<f32> {
        let at = |(a, b, c, d): (usize, usize, usize, usize)| ((a * 31 + b * 17 + c * 5 + d * 3 + seed) % 23) as f32 / 11.0 - 1.0;
        Array4::from_shape_fn(extents, at)
    }

    /// By Winograd, in phases, and as it is given.
    fn network() -> Graph {
        let mut g = Graph::new();
        let x = g.input("x", [Extent::Open, 48.into(), 14.into(), 14.into()]).unwrap();
        let [w, v, u] = SHAPES.map(|(name, extents)| g.parameter(name, numbers(extents, 1).view()).unwrap());
        let y = g.conv2d(x, w, None, &ConvDescriptor { padding: Padding::uniform(1), ..Default::default() }).unwrap();
        let y = g.conv_transpose2d(y, v, None, &ConvTransposeDescriptor { stride: [2, 2], ..Default::default() }).unwrap();
        let y = g.conv2d(y, u, None, &ConvDescriptor::default()).unwrap();
        g.output("y", y).unwrap();
        g
    }

    fn run(session: &Session, batch: usize) -> ArrayD<f32> {
        session.run(&[("x", numbers([batch, 48, 14, 14], 2).view())]).unwrap()["y"].clone()
    }

    /// What one op after the other gives that packs its filter itself.
    fn fresh(session: &Session, batch: usize) -> ArrayD<f32> {
        run(&Session::cpu(&session.graph()).unwrap(), batch)
    }

    #[test]
    fn packed_filters_follow_their_numbers() {
        let session = Session::cpu(&network()).unwrap();
        let mut last = run(&session, 1);
        for seed in 3..6 {
            for (name, extents) in SHAPES {
                session.set_parameter(name, numbers(extents, seed).view()).unwrap();
                let now = run(&session, 1);
                assert_eq!(now, fresh(&session, 1), "{name} was set");
                assert_ne!(now, last, "{name} was set");
                session.change_parameter(name, |numbers| numbers.iter_mut().for_each(|w| *w *= -1.5)).unwrap();
                last = run(&session, 1);
                assert_eq!(last, fresh(&session, 1), "{name} was changed");
                assert_ne!(now, last, "{name} was changed");
                assert_eq!(run(&session, 2), fresh(&session, 2), "another batch");
            }
        }
    }

    /// A run sees all of a change or nothing, and what it packs of former numbers stays with them.
    #[test]
    fn runs_and_changes_at_the_same_time_do_not_mix() {
        let session = Session::cpu(&network()).unwrap();
        let want = [1, 2].map(|seed| {
            session.set_parameter("w", numbers(SHAPES[0].1, seed).view()).unwrap();
            fresh(&session, 1)
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0..60 {
                    session.set_parameter("w", numbers(SHAPES[0].1, 1 + i % 2).view()).unwrap();
                    std::thread::yield_now();
                }
            });
            for _ in 0..2 {
                scope.spawn(|| (0..30).for_each(|_| assert!(want.contains(&run(&session, 1)))));
            }
        });
    }

    #[test]
    fn bytes_of_packed_filters_are_known_before() {
        let session = Session::cpu(&network()).unwrap();
        // F(2,3) has 16 numbers for 9. Phases have their own taps, and those again in panels of 8 filters or, of one tap, as rows. The last is read as it is.
        let (w, v) = (48 * 48 * 16 * 4, 48 * 7 * 9 * 4);
        let packed = session.memory(1).unwrap().packed();
        assert!((w + 2 * v..=w + v + v * 8 / 7).contains(&packed), "{packed}");
    }

    #[test]
    fn what_is_stale_is_not_taken() {
        let graph = network();
        let (value, problem) = (graph.find("w").unwrap(), {
            let at = graph.at(1).unwrap();
            let ops = at.nodes.iter().filter_map(|node| match node {
                crate::graph::Resolved::Op(op) => Some(op.as_ref().clone()),
                crate::graph::Resolved::View(_) => None,
            });
            ops.filter_map(|op| if let crate::ops::Op::Conv(problem) = op { Some(problem) } else { None }).next().unwrap()
        });
        let mut filters = Filters::new(graph.values().len());
        let filter = Array1::<f32>::ones(48 * 48 * 9).to_vec();
        let first = filters.packed(value, &problem, &filter);
        assert!(Arc::ptr_eq(&first, &filters.packed(value, &problem, &filter)));
        let of_run = filters.clone();
        filters.change(value);
        assert!(Arc::ptr_eq(&first, &of_run.packed(value, &problem, &filter)), "a run that goes on has what it had");
        assert!(!Arc::ptr_eq(&first, &filters.packed(value, &problem, &filter)));
    }
}
