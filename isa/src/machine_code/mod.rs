//! What stands in the innermost loop of a kernel's machine code, as Mesa's drivers print it.
//!
//! A loop is what lies between a label and the last branch back to it. It is innermost where it holds no other. Of several the one with the most
//! multiply-adds counts, matrix instructions first: a kernel spends its time there or nowhere. A file for each vendor reads its instructions.

mod amd;
mod intel;
mod nvidia;
mod qualcomm;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What an innermost loop has, each instruction counted once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loop {
    /// All instructions.
    pub instructions: u64,
    /// Arithmetic of the vector units, matrix instructions among it; loads, stores and what a subgroup does once for all its invocations are none.
    pub vector: u64,
    /// Multiply-adds of floating-point numbers among them.
    pub fma: u64,
    /// Matrix instructions among them.
    pub matrix: u64,
    /// Loads from buffers for each invocation, by their bytes.
    pub loads: BTreeMap<u64, u64>,
    /// Loads from buffers for all of a subgroup at once.
    pub scalar_loads: u64,
    /// Loads from workgroup memory, by their bytes; an instruction that reads two places is two loads.
    pub local_loads: BTreeMap<u64, u64>,
    /// Stores to buffers.
    pub stores: u64,
    /// Stores to workgroup memory.
    pub local_stores: u64,
    /// Loads and stores of what is spilled; on AMD's chips before RDNA3 they look like those of buffers.
    pub spills: u64,
    /// Barriers of the workgroup.
    pub barriers: u64,
}

impl Loop {
    /// Multiply-adds and matrix instructions.
    pub fn work(&self) -> u64 {
        self.fma.saturating_add(self.matrix) // a table's numbers may be any
    }

    /// Share of multiply-adds and matrix instructions among the vector instructions.
    pub fn share(&self) -> f64 {
        self.work() as f64 / self.vector.max(1) as f64
    }

    /// Loads from buffers and workgroup memory for each multiply-add or matrix instruction, where there is any.
    pub fn loads_each(&self) -> Option<f64> {
        let loads = self.loads.values().chain(self.local_loads.values()).fold(0, |sum: u64, count| sum.saturating_add(*count));
        (self.work() > 0).then(|| loads as f64 / self.work() as f64)
    }

    fn load(&mut self, bytes: u64, times: u64) {
        *self.loads.entry(bytes).or_default() += times;
    }

    fn local_load(&mut self, bytes: u64, times: u64) {
        *self.local_loads.entry(bytes).or_default() += times;
    }
}

/// A line of a listing.
enum Line<'a> {
    /// A place that branches name.
    Label(&'a str),
    /// An instruction, with the label that it may branch to.
    Instruction { text: &'a str, target: Option<&'a str> },
}

/// How a vendor's machine code is read.
struct Dialect {
    /// The lines that count, in order.
    lines: for<'a> fn(&'a str) -> Vec<Line<'a>>,
    /// Adds an instruction to a loop.
    add: fn(&mut Loop, &str),
}

/// The dialect of a driver's listing, by the name that the driver gives it: RADV's, ANV's, NVK's, turnip's.
fn dialect(name: &str) -> Option<Dialect> {
    match name.to_lowercase().as_str() {
        "assembly" => Some(Dialect { lines: amd::lines, add: amd::add }),
        "gen assembly" => Some(Dialect { lines: intel::lines, add: intel::add }),
        "nak assembly" => Some(Dialect { lines: nvidia::lines, add: nvidia::add }),
        "ir3 assembly" => Some(Dialect { lines: qualcomm::lines, add: qualcomm::add }),
        _ => None,
    }
}

/// The innermost loop that matters of a listing of this name, or `None` where the text has no loop or is no machine code that is known.
pub fn innermost_loop(name: &str, listing: &str) -> Option<Loop> {
    let dialect = dialect(name)?;
    let (mut instructions, mut branches, mut labels) = (vec![], vec![], HashMap::new());
    for line in (dialect.lines)(listing) {
        match line {
            Line::Label(label) => drop(labels.insert(label, instructions.len())),
            Line::Instruction { text, target } => {
                branches.extend(target.map(|target| (instructions.len(), target)));
                instructions.push(text);
            }
        }
    }
    // The last branch back to each label.
    let mut loops: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, target) in branches {
        if let Some(&first) = labels.get(target).filter(|first| **first <= place) {
            loops.insert(first, place);
        }
    }
    let is_innermost = |&(&first, &last): &(&usize, &usize)| !loops.iter().any(|(&a, &b)| a > first && b < last);
    let counted = loops.iter().filter(is_innermost).map(|(&first, &last)| {
        let mut counts = Loop::default();
        for instruction in &instructions[first..=last] {
            counts.instructions += 1;
            (dialect.add)(&mut counts, instruction);
        }
        counts
    });
    // The first of equals.
    counted.reduce(|best, next| if (next.matrix, next.fma, next.vector) > (best.matrix, best.fma, best.vector) { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_loop_has_none() {
        assert_eq!(
            innermost_loop("Assembly", "BB0:\n\tv_fma_f32 v0, v0, v1, v2 ; d613\n\ts_cbranch_scc1 BB1 ; bfa2\nBB1:\n\ts_endpgm ; bfb0\n"),
            None
        );
        assert_eq!(innermost_loop("Assembly", ""), None);
        assert!(innermost_loop("Assembly", "BB0:\n\tv_nop\n\ts_branch BB0\n").is_some());
        assert_eq!(innermost_loop("Final NIR", "BB0:\n\tv_nop\n\ts_branch BB0\n"), None, "no machine code");
    }
}
