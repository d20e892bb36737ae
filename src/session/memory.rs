//! Bytes that a session takes, known before anything is allocated, and how they are told.

use crate::session::placement::Arena;

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
        let [live, unit] = sized(self.arena.lower_bound());
        let buffers = if self.arena.buffers().len() == 1 { "1 buffer".to_string() } else { format!("{} buffers", self.arena.buffers().len()) };
        let beside = match self.arena.ops_in_one_buffer() {
            0 => String::new(),
            1 => "; 1 op reads and writes one buffer".to_string(),
            ops => format!("; {ops} ops read and write one buffer"),
        };
        let rows = [
            ("weights", self.weights, String::new()),
            ("packed weights", self.packed, String::new()),
            ("tables, uniforms", self.tables, String::new()),
            ("arena", self.arena.total(), format!("  {buffers}; {live} {unit} are live at once{beside}")),
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

    #[test]
    fn small_networks_are_told_in_kib() {
        let arena = Arena::new(vec![2048], 2048, 0);
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
}
