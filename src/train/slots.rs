//! Which parameter lies where: all of a kind side by side in one flat tensor, or in few where one would be too large, so that one op of an optimizer steps on
//! all of them.

use crate::ops::optimizer::{Rule, Scalars};
use std::ops::Range;

/// What a step does with a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It follows its gradient, and weight decay acts on it.
    Decayed,
    /// It follows its gradient alone.
    Plain,
    /// It is a running statistic, which a batch's own enters.
    Carried,
}

impl Kind {
    /// How it follows what it is given: `rule` of what is learned.
    pub fn rule(self, rule: Rule) -> Rule {
        if self == Kind::Carried { Rule::Sgd } else { rule }
    }

    /// The numbers of a step: those of the optimizer, or for running statistics r = momentum r + (1 - momentum) batch.
    pub fn scalars(self, optimizer: Scalars, momentum: f32) -> Scalars {
        match self {
            Kind::Decayed => optimizer,
            Kind::Plain => Scalars { decay: 0.0, shrink: 1.0, ..optimizer },
            Kind::Carried => Scalars { rate: -(1.0 - momentum), shrink: momentum, ..Scalars::STILL },
        }
    }
}

/// A named tensor in the flat tensor of a group.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub name: String,
    pub extents: Vec<usize>,
    pub group: usize,
    pub first: usize,
}

impl Slot {
    /// Its elements in the group.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.extents.iter().product::<usize>()
    }
}

/// A flat tensor of one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub kind: Kind,
    pub elements: usize,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    pub all: Vec<Slot>,
    pub groups: Vec<Group>,
}

impl Slots {
    /// Tensors begin at multiples of `alignment` elements; a group has at most `most` elements where it has more than one tensor.
    pub fn new(tensors: impl IntoIterator<Item = (String, Vec<usize>, Kind)>, alignment: usize, most: usize) -> Self {
        let mut slots = Slots::default();
        for (name, extents, kind) in tensors {
            let count = extents.iter().product::<usize>().next_multiple_of(alignment.max(1));
            let has_room = |group: &Group| group.kind == kind && group.elements.checked_add(count).is_some_and(|all| all <= most);
            let group = slots.groups.iter().rposition(has_room).unwrap_or_else(|| {
                slots.groups.push(Group { kind, elements: 0 });
                slots.groups.len() - 1
            });
            let first = slots.groups[group].elements;
            slots.groups[group].elements += count;
            slots.all.push(Slot { name, extents, group, first });
        }
        slots
    }

    /// What a slot is.
    pub fn kind(&self, slot: &Slot) -> Kind {
        self.groups[slot.group].kind
    }

    /// The groups that are learned.
    pub fn learned(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.groups.iter().enumerate().filter(|(_, group)| group.kind != Kind::Carried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_filled_and_begin_anew() {
        let of = |name: &str, count: usize, kind| (name.to_string(), vec![count], kind);
        let slots = Slots::new([of("a", 5, Kind::Decayed), of("b", 3, Kind::Plain), of("c", 9, Kind::Decayed), of("d", 40, Kind::Decayed)], 4, 20);
        let places: Vec<(usize, Range<usize>)> = slots.all.iter().map(|slot| (slot.group, slot.range())).collect();
        assert_eq!(places, [(0, 0..5), (1, 0..3), (0, 8..17), (2, 0..40)]);
        assert_eq!(slots.groups.iter().map(|group| group.elements).collect::<Vec<_>>(), [20, 4, 40]);
    }
}
