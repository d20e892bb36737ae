//! Intel's instructions as ANV prints them: `LABEL1:`, instructions such as `mad(16) g1<1>F ..`, and below each `send` what the message is. An instruction counts
//! once, whatever its width.

use super::{Line, Loop};

/// See [`super::Dialect`]. The text of a `send` has the line of its message.
pub fn lines(listing: &str) -> Vec<Line<'_>> {
    let mut found: Vec<Line<'_>> = vec![];
    let (mut start, mut last_start) = (0, 0);
    for line in listing.split_inclusive('\n') {
        let (from, to) = (start, start + line.len());
        start = to;
        let text = line.trim();
        if let Some(label) = text.strip_suffix(':').filter(|label| label.starts_with("LABEL")) {
            found.push(Line::Label(label));
        } else if line.starts_with([' ', '\t']) {
            // What belongs to the instruction above.
            if let Some(Line::Instruction { text, .. }) = found.last_mut() {
                *text = listing[last_start..to].trim();
            }
        } else if operation(text).is_some() {
            let target = text.split_once("JIP:").and_then(|(_, rest)| rest.split_whitespace().next());
            found.push(Line::Instruction { text, target });
            last_start = from;
        }
    }
    found
}

/// The name of an instruction, such as `mad` of `(+f0.0) mad(16) g1<1>F ..`; `None` for what is none.
fn operation(text: &str) -> Option<&str> {
    let text = if text.starts_with('(') { text.split_once(") ")?.1.trim_start() } else { text };
    let name = text.split_whitespace().next()?;
    let (name, width) = match name.split_once('(') {
        Some((name, width)) => (name, width),
        // `sync nop(1)`, `math inv(16)`.
        None => (name, text.split_whitespace().nth(1)?.split_once('(')?.1),
    };
    width.strip_suffix(')')?.parse::<u32>().ok()?;
    name.split('.').next().filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

/// Instructions that compute nothing.
const CONTROL: [&str; 15] = ["sync", "if", "else", "endif", "while", "break", "cont", "halt", "jmpi", "brc", "brd", "call", "ret", "join", "nop"];

/// See [`super::Dialect`].
pub fn add(counts: &mut Loop, instruction: &str) {
    let name = operation(instruction).unwrap_or_default();
    if name.starts_with("send") {
        return message(counts, instruction);
    }
    if CONTROL.contains(&name) {
        return;
    }
    counts.vector += 1;
    counts.matrix += u64::from(name == "dpas");
    // The type of what it writes: `g36<1>F`.
    let written = instruction.split_whitespace().find_map(|word| word.split_once(">").map(|(_, kind)| kind)).unwrap_or_default();
    counts.fma += u64::from(name == "mad" && ["F", "HF", "DF"].contains(&written));
}

/// A message to a unit outside the vector units: memory, or the gateway for barriers.
fn message(counts: &mut Loop, instruction: &str) {
    if instruction.contains("(barrier msg)") {
        counts.barriers += 1;
        return;
    }
    let Some((unit, message)) = instruction.split_once(" MsgDesc: ( ") else { return };
    let is_local = unit.ends_with("slm");
    let words: Vec<&str> = message.split([',', ' ', ')']).filter(|word| !word.is_empty()).collect();
    // Address types: `bti` and `bss` are buffers, `ss` is the scratch surface.
    if words.contains(&"ss") {
        counts.spills += 1;
        return;
    }
    let bits: u64 = words.iter().find_map(|word| word.strip_prefix('d')?.split('u').next()?.parse().ok()).unwrap_or(32);
    let elements = words.iter().find_map(|word| word.strip_prefix('V')?.parse().ok());
    // `load_cmask` names its elements: x, xy, xyz, xyzw.
    let mask = words.iter().find(|word| word.starts_with('x') && word.chars().all(|c| "xyzw".contains(c)));
    let bytes = bits / 8 * elements.or(mask.map(|mask| mask.len() as u64)).unwrap_or(1);
    match (words.first().copied().unwrap_or_default(), is_local) {
        ("load" | "load_cmask", _) if words.contains(&"transpose") => counts.scalar_loads += 1,
        ("load" | "load_cmask", true) => counts.local_load(bytes, 1),
        ("load" | "load_cmask", false) => counts.load(bytes, 1),
        ("store" | "store_cmask", true) => counts.local_stores += 1,
        ("store" | "store_cmask", false) => counts.stores += 1,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Loop, innermost_loop};

    /// Of ANV 25.0 for Battlemage, shortened; the two messages of `load_cmask` are of ANV 22.3 for Alchemist.
    #[test]
    fn a_loop_of_battlemage_is_counted() {
        let text = "Push constant ranges:
    RANGE0 (64B): Vulkan push constants and API params

mov(32)         g23<1>UD        0x00000000UD                    { align1 WE_all 1N };
mad(32)         g23<1>F         g25.0<0,1,0>F   g17<8,8,1>F     g23<1,1,1>F { align1 $2.dst };

LABEL1:
sync nop(1)                     null<0,1,0>UB                   { align1 WE_all 1N $1.src };
send(1)         g9UD            g21UD           nullUD          0x6210d500                0x01000000
                            ugm MsgDesc: ( load, a32, d32, V16, transpose, L1STATE_L3MOCS dst_len = 1, src0_len = 1, src1_len = 0 bti )  BTI 1  base_offset 0  { align1 WE_all 1N $1 };
cmp.ge.f0.0(32) null<1>UD       g3<8,8,1>UD     g12<0,1,0>UD    { align1 };
(+f0.0) break(32) JIP:  LABEL0        UIP:  LABEL0              { align1 };
math inv(16)    g10<1>F         g9<0,1,0>F      null<8,8,1>F    { align1 1H };
send(16)        g17UD           g15UD           nullUD          0x64200500                0x01000000
                            ugm MsgDesc: ( load, a32, d32, V4, L1STATE_L3MOCS dst_len = 2, src0_len = 2, src1_len = 0 bti )  BTI 1  base_offset 0  { align1 A@1 $2 };
send(16)        g17UD           g15UD           nullUD          0x64200500                0x01000000
                            slm MsgDesc: ( load_cmask, a32, d32, xyzw, L1STATE_L3MOCS dst_len = 8, src0_len = 2, src1_len = 0 flat ) base_offset 0  { align1 1H $1 };
send(16)        g17UD           g15UD           nullUD          0x64200500                0x01000000
                            ugm MsgDesc: ( load_cmask, a32, d32, x, L1STATE_L3MOCS dst_len = 2, src0_len = 2, src1_len = 0 bti ) BTI 2 base_offset 0  { align1 1H $1 };
send(16)        nullUD          g15UD           g36UD           0x64200500                0x01000000
                            slm MsgDesc: ( store, a32, d32, V4, L1STATE_L3MOCS dst_len = 0, src0_len = 1, src1_len = 4 flat )  base_offset 0  { align1 1H $1 };
send(1)         g17UD           g15UD           nullUD          0x64200500                0x01000000
                            ugm MsgDesc: ( load, a32, d32, V16, transpose, L1STATE_L3MOCS dst_len = 1, src0_len = 1, ss )  surface_state_index 0  { align1 WE_all 1N $1 };
send(1)         nullUD          g126UD          nullUD          0x02000000                0x00000000
                            gateway MsgDesc: (barrier msg) mlen 1 ex_mlen 0 rlen 0 { align1 WE_all I@1 $5 };
sync bar(16)                    null<0,1,0>UB                   { align1 WE_all 1H };
mad(32)         g23<1>F         g25.0<0,1,0>F   g17<8,8,1>F     g23<1,1,1>F { align1 $2.dst };
mad(16)         g24<1>D         g25.0<0,1,0>D   g17<8,8,1>D     g23<1,1,1>D { align1 $2.dst };
dpas.8x8(16)    g24<1>F         g24<1,1,0>F     g17<1,1,0>HF    g23<1,1,0>HF { align1 1H $2 };

LABEL0:
while(32)       JIP:  LABEL1                                    { align1 };
mad(16)         g36<1>F         g38.0<0,1,0>F   g30<8,8,1>F     g36<1,1,1>F { align1 1H $1.dst };
";
        let expected = Loop {
            instructions: 16,
            vector: 5,
            fma: 1,
            matrix: 1,
            loads: [(4, 1), (16, 1)].into(),
            scalar_loads: 1,
            local_loads: [(16, 1)].into(),
            local_stores: 1,
            spills: 1,
            barriers: 1,
            ..Loop::default()
        };
        assert_eq!(innermost_loop("GEN Assembly", text), Some(expected));
    }
}
