//! NVIDIA's instructions as NVK prints them: blocks `block.u 1 L0 [0, 14] -> {`, in each a line for an instruction with what it writes on the left.

use super::{Line, Loop};

/// See [`super::Dialect`].
pub fn lines(listing: &str) -> Vec<Line<'_>> {
    let lines = listing.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('}'));
    lines
        .filter_map(|line| {
            if line.starts_with("block") {
                return line.split_whitespace().nth(2).filter(|label| label.starts_with('L')).map(Line::Label);
            }
            let (name, rest) = operation(line);
            let target = rest.split_whitespace().next().filter(|_| name == "bra");
            Some(Line::Instruction { text: line, target })
        })
        .collect()
}

/// The name of an instruction and what it reads: `ffma.ftz` of `@!p0 r1 = ffma.ftz r1 r2 r3`.
fn operation(text: &str) -> (&str, &str) {
    let text = if text.starts_with('@') { text.split_once(' ').unwrap_or_default().1.trim_start() } else { text };
    let text = text.split_once(" = ").map_or(text, |(_, right)| right).trim_start();
    text.split_once(' ').unwrap_or((text, ""))
}

/// Instructions that compute nothing, and those that a subgroup's own unit takes.
const CONTROL: [&str; 14] = ["bra", "nop", "exit", "bsync", "bssy", "bclear", "break", "bmov", "membar", "cctl", "s2r", "warpsync", "ccov", "depbar"];

/// See [`super::Dialect`].
pub fn add(counts: &mut Loop, instruction: &str) {
    let parts: Vec<&str> = operation(instruction).0.split('.').collect();
    // What is written: uniform registers belong to the whole subgroup.
    let written = instruction.split_once(" = ").map_or("", |(left, _)| left.split_whitespace().last().unwrap_or_default());
    let bytes = || {
        let bits = parts.iter().find_map(|part| part.strip_prefix(['b', 'u', 's', 'i'])?.parse::<u64>().ok());
        bits.unwrap_or(32) / 8
    };
    match (parts[0], parts.get(1).copied().unwrap_or_default()) {
        ("ld", "global") => counts.load(bytes(), 1),
        ("ld", "shared") => counts.local_load(bytes(), 1),
        ("ldsm", _) => counts.local_load(16, 1),
        ("st", "global") => counts.stores += 1,
        ("st", "shared") => counts.local_stores += 1,
        ("ld" | "st", "local") => counts.spills += 1,
        ("ldc", _) => counts.scalar_loads += 1,
        ("bar", "sync") => counts.barriers += 1,
        (name, _) if CONTROL.contains(&name) || written.starts_with("ur") || written.starts_with("up") => {}
        (name, _) => {
            counts.vector += 1;
            counts.fma += u64::from(["ffma", "hfma2", "dfma"].contains(&name));
            counts.matrix += u64::from(["hmma", "imma", "qmma", "dmma"].contains(&name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Loop, innermost_loop};

    /// Of NVK 25.0 for GA102, shortened.
    #[test]
    fn a_loop_of_ampere_is_counted() {
        let text = "block.u 0 L1 [] -> {
      r0      = s2r sr[0x25]                            // delay=5 wr:0
      r1      = ffma.ftz r1 r2 0x40000000               // delay=1
} -> [1]
block.u 1 L0 [0, 14] -> {
      p0 null = plop3 pT pT up0 LUT[0xaa] LUT[0x0]      // delay=13
@!p0            bra L2                                  // delay=1 wt=000011
} -> [2, 3]
block 2 L4 [1] -> {
      ur0     = ldc.b32 c[0x1][+0x0]                    // delay=1 wr:0
      r2      = ld.global.a64.constant.b32 [r2..4]      // delay=6 wr:0
@!p0  r4..8   = ld.shared.strong.cta.b128 [r2..4]       // delay=6 wr:0
                st.shared.strong.cta.b64 [r2] r4..6     // delay=2 rd:0
      r9      = ld.local.strong.cta.b32 [r2]            // delay=6 wr:0
                bar.sync 0x0                            // delay=1
                membar.sc..gpu                          // delay=1
      r1      = ffma.ftz r1 r2 0x40000000               // delay=1
      r3 p0   = iadd3 r2 c[0x1][0x0] rZ                 // delay=13
      ur2     = iadd3 ur2 0x1 rZ                        // delay=12
      r4..8   = hmma.m16n8k16.f32 r8..12 r2..4 r4..8    // delay=12
                st.global.a64.strong.sys.b32 [r2..4] r1 // delay=2 rd:0
                bra L0                                  // delay=1
} -> [1]
block 3 L2 [1] -> {
                exit                                    // delay=1
} -> []
";
        let expected = Loop {
            instructions: 15,
            vector: 4,
            fma: 1,
            matrix: 1,
            loads: [(4, 1)].into(),
            scalar_loads: 1,
            local_loads: [(16, 1)].into(),
            stores: 1,
            local_stores: 1,
            spills: 1,
            barriers: 1,
        };
        assert_eq!(innermost_loop("NAK assembly", text), Some(expected));
    }
}
