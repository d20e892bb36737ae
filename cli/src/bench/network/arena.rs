//! Which buffer each value of a network lies in. A buffer is used again once nothing reads what it holds; an op never writes to a
//! buffer that it reads, for no kernel can.

use crate::suites::{Network, ValueId};

/// Buffers, and the value's place among them.
pub struct Arena {
    /// By value; views have the place of what they show.
    places: Vec<Option<usize>>,
    /// Elements of each buffer.
    pub elements: Vec<usize>,
}

impl Arena {
    pub fn new(network: &Network) -> Self {
        let count = |value: ValueId| network.values[value.0].extents.iter().product::<usize>(); // checked when its op was made
        let mut arena = Self { places: vec![None; network.values.len()], elements: Vec::new() };
        // The input stays, for every run reads it anew; the output is read when all is done.
        let mut last_read = vec![None; network.values.len()];
        for (i, node) in network.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|value| last_read[network.root(*value).0] = Some(i));
        }
        last_read[network.input().0] = None;
        last_read[network.output().0] = None;
        let mut free: Vec<usize> = Vec::new();
        arena.elements.push(count(network.input()));
        arena.places[network.input().0] = Some(0);
        for (i, node) in network.nodes.iter().enumerate() {
            let need = count(node.output);
            // The smallest that is large enough; else the largest, which grows.
            let fits = free.iter().enumerate().filter(|(_, slot)| arena.elements[**slot] >= need).min_by_key(|(_, slot)| arena.elements[**slot]);
            let best = fits.or_else(|| free.iter().enumerate().max_by_key(|(_, slot)| arena.elements[**slot])).map(|(at, _)| at);
            let slot = match best {
                Some(at) => free.swap_remove(at),
                None => {
                    arena.elements.push(0);
                    arena.elements.len() - 1
                }
            };
            arena.elements[slot] = arena.elements[slot].max(need);
            arena.places[node.output.0] = Some(slot);
            for value in (0..network.values.len()).filter(|value| last_read[*value] == Some(i)) {
                free.extend(arena.places[value]);
            }
        }
        for value in 0..network.values.len() {
            arena.places[value] = arena.places[network.root(ValueId(value)).0];
        }
        arena
    }

    /// The buffer of a value; every value that an op reads or writes has one.
    pub fn place(&self, value: ValueId) -> usize {
        self.places[value.0].unwrap_or(0)
    }

    pub fn bytes(&self) -> u64 {
        self.elements.iter().map(|count| 4 * *count as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::Kind;
    use crate::suites::{self, Suite};
    use clap::ValueEnum;

    /// Runs the chain in thought: whatever an op reads is still there, and never in the buffer that it writes.
    #[test]
    fn values_stay_until_they_were_read() {
        for suite in Suite::value_variants().iter().filter(|one| **one != Suite::Quick) {
            let network = suites::network(*suite, Kind::PLAIN, 2).ok().unwrap();
            let arena = Arena::new(&network);
            let mut holds = vec![None; arena.elements.len()];
            let size = |value: ValueId| network.values[value.0].extents.iter().product::<usize>();
            for _ in 0..2 {
                holds[arena.place(network.input())] = Some(network.input());
                for node in &network.nodes {
                    for value in &node.inputs {
                        assert_eq!(holds[arena.place(*value)], Some(network.root(*value)), "{}", network.layer(node).name);
                        assert_ne!(arena.place(*value), arena.place(node.output));
                    }
                    holds[arena.place(node.output)] = Some(node.output);
                    assert!(size(node.output) <= arena.elements[arena.place(node.output)]);
                }
                assert_eq!(holds[arena.place(network.output())], Some(network.output()));
                assert_eq!(holds[arena.place(network.input())], Some(network.input()), "the next run reads it again");
            }
            let all: usize = network.values.iter().filter(|value| value.view_of.is_none()).map(|value| value.extents.iter().product::<usize>()).sum();
            let held: usize = arena.elements.iter().sum();
            assert!(held < all && (*suite == Suite::Lenet5 || held < all / 2), "{}: {held} of {all}", suite.name());
        }
    }
}
