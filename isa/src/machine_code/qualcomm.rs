//! Qualcomm's instructions as turnip prints them: `l12:`, then lines such as `(sy)(rpt3)mad.f32 r0.w, r0.w, r2.x, r2.y`, which does four.

use super::{Line, Loop};

/// See [`super::Dialect`].
pub fn lines(listing: &str) -> Vec<Line<'_>> {
    // Comments, inputs, the heading.
    let lines =
        listing.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with([';', '@', '/']) && !line.starts_with("Native code"));
    lines
        .map(|line| match line.strip_suffix(':') {
            Some(label) => Line::Label(label),
            None => {
                let (_, name, operands) = parts(line);
                let branches = ["br", "brao", "braa", "bany", "ball", "jump"].contains(&name);
                Line::Instruction { text: line, target: operands.split_once('#').map(|(_, label)| label).filter(|_| branches) }
            }
        })
        .collect()
}

/// How often an instruction is done, its name and its operands.
fn parts(text: &str) -> (u64, &str, &str) {
    let (mut times, mut text) = (1, text);
    // Waits and repetitions: `(sy)(ss)(rpt2)`.
    while let Some((flag, rest)) = text.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        times += flag.strip_prefix("rpt").and_then(|n| n.parse().ok()).unwrap_or(0);
        text = rest.trim_start();
    }
    let (name, operands) = text.split_once(' ').unwrap_or((text, ""));
    (times, name, operands)
}

/// Instructions that compute nothing, and those that a subgroup does once.
const CONTROL: [&str; 24] = [
    "nop", "br", "brao", "braa", "bany", "ball", "jump", "end", "ret", "call", "predt", "predf", "prede", "shps", "shpe", "getone", "fence", "lock",
    "unlock", "resinfo", "mova", "mova1", "stc", "kill",
];

/// See [`super::Dialect`].
pub fn add(counts: &mut Loop, instruction: &str) {
    let (times, name, operands) = parts(instruction);
    let words: Vec<&str> = name.split('.').collect();
    let elements = || words.iter().find_map(|word| word.parse::<u64>().ok()).unwrap_or(1);
    // `(u32)(xyzw)r13.y, ..`: what of a texel is wanted.
    let mask =
        || operands.split(['(', ')']).find(|part| part.starts_with('x') && part.chars().all(|c| "xyzw".contains(c))).map_or(4, str::len) as u64;
    // `ldl.u32 r0.x, l[r1.x], 4`: elements come last.
    let last = || operands.rsplit(',').next().and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(1);
    let bytes = if name.contains("16") { 2 } else { 4 };
    match words[0] {
        "isam" => counts.load(4 * mask(), 1),
        "ldib" => counts.load(bytes * elements(), 1),
        "ldg" => counts.load(bytes * last(), 1),
        "ldl" | "ldlw" => counts.local_load(bytes * last(), 1),
        "stib" | "stg" => counts.stores += 1,
        "stl" | "stlw" => counts.local_stores += 1,
        "ldp" | "stp" => counts.spills += 1,
        "ldc" => counts.scalar_loads += 1,
        "bar" => counts.barriers += 1,
        name if CONTROL.contains(&name) => {}
        // `madsh.m16` is a part of a multiplication of integers.
        operation => {
            counts.vector += times;
            counts.fma += if operation == "mad" && words.get(1).is_some_and(|kind| kind.starts_with('f')) { times } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Loop, innermost_loop};

    /// Of turnip 25.0 for Adreno 750, shortened.
    #[test]
    fn a_loop_of_adreno_is_counted() {
        let text = "Native code for unnamed CL shader (null) with sha1 6051c3996fe01f597709a3df6bd16a22baf381db:
; num_ubos:           0
@in(r48.x)\tin0 (wrmask=0x7)
mov.u32u32 r48.w, 0
l12:
mad.f32 r0.w, r0.w, r2.x, r2.y
(rpt3)nop
ldib.b.untyped.1d.u32.1.imm.base0 r1.y, r1.x, 0
isam.v.base0 (u32)(xyzw)r13.y, r7.y, s#0, t#7
ldl.u32 r0.x, l[r1.x+128], 4
stl.u32 l[r1.x], r0.x, 4
stp.u32 p[r1.x], r0.x, 4
stib.b.untyped.1d.u32.4.imm.base0 r0.w, r0.x, 0
ldc.u.offset0.4.imm.base0 r0.x, 0, 0
(sy)bar.g
fence.r.w
(ss)(nop3) cmps.u.ge p0.x, r48.w, r1.y
br p0.x, #l30
madsh.m16 r1.x, r1.y, r1.z, r1.w
mul.f r1.x, r1.y, r1.z
(sy)(rpt3)mad.f32 r0.w, r0.w, (r)r2.x, (r)r2.y
(ss)jump #l12
l30:
end
; CL prog 18/1: 42 instr, 19 nops, 23 non-nops, 5 mov, 1 cov, 96 dwords
";
        let expected = Loop {
            instructions: 17,
            vector: 8,
            fma: 5,
            loads: [(4, 1), (16, 1)].into(),
            scalar_loads: 1,
            local_loads: [(16, 1)].into(),
            stores: 1,
            local_stores: 1,
            spills: 1,
            barriers: 1,
            ..Loop::default()
        };
        assert_eq!(innermost_loop("IR3 Assembly", text), Some(expected));
    }
}
