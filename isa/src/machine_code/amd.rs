//! AMD's instructions as RADV prints them: LLVM's disassembly, a label `BB7:`, then an instruction a line.

use super::{Line, Loop};

/// See [`super::Dialect`].
pub fn lines(listing: &str) -> Vec<Line<'_>> {
    let lines = listing.lines().map(|line| line.split(';').next().unwrap_or_default().trim());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines
        .map(|line| match line.strip_suffix(':') {
            Some(label) => Line::Label(label),
            None => {
                let mut words = line.split_whitespace();
                let branches = words.next().is_some_and(|name| name.starts_with("s_cbranch") || name == "s_branch");
                Line::Instruction { text: line, target: words.next().filter(|_| branches) }
            }
        })
        .collect()
}

/// See [`super::Dialect`].
pub fn add(counts: &mut Loop, instruction: &str) {
    // Two instructions in one (RDNA3, subgroups of 32).
    for part in instruction.split("::") {
        let name = part.split_whitespace().next().unwrap_or_default();
        if let Some(operation) = name.strip_prefix("v_") {
            if operation != "nop" {
                counts.vector += 1;
                counts.matrix += u64::from(is_matrix(operation));
                counts.fma += u64::from(is_fma(operation));
            }
        } else if let Some(operation) = name.strip_prefix("ds_") {
            local(counts, operation);
        } else if name.starts_with("scratch_") {
            counts.spills += 1;
        } else if let Some((_, operation)) = name.split_once('_').filter(|(kind, _)| ["buffer", "global", "flat", "tbuffer"].contains(kind)) {
            if operation.starts_with("load") {
                counts.load(bytes(operation), 1);
            } else if operation.starts_with("store") {
                counts.stores += 1;
            }
        } else if name.starts_with("s_buffer_load") || name.starts_with("s_load") {
            counts.scalar_loads += 1;
        } else if name == "s_barrier" || name == "s_barrier_wait" {
            counts.barriers += 1; // RDNA4 signals first and waits then
        }
    }
}

/// An instruction of workgroup memory, without `ds_`.
fn local(counts: &mut Loop, operation: &str) {
    if operation.starts_with("write") || operation.starts_with("store") {
        counts.local_stores += 1;
    } else if operation.starts_with("read") || operation.starts_with("load") {
        // ds_read2_b32, ds_read2st64_b32, ds_load_2addr_b64.
        let places = if operation.starts_with("read2") || operation.contains("2addr") { 2 } else { 1 };
        counts.local_load(bytes(operation), places);
    }
}

/// Bytes of a load, by the end of its name.
fn bytes(operation: &str) -> u64 {
    match operation.rsplit('_').next().unwrap_or_default() {
        "ubyte" | "sbyte" | "u8" | "i8" | "b8" => 1,
        "ushort" | "sshort" | "u16" | "i16" | "b16" | "d16" | "hi" => 2,
        "dwordx2" | "b64" => 8,
        "dwordx3" | "b96" => 12,
        "dwordx4" | "b128" => 16,
        _ => 4,
    }
}

/// Whether an instruction multiplies and adds floating-point numbers; `v_` is left out.
fn is_fma(operation: &str) -> bool {
    let operation = operation.strip_prefix("dual_").or_else(|| operation.strip_prefix("pk_")).unwrap_or(operation);
    ["fma", "mac_", "mad_f", "mad_legacy_f", "mad_mix", "madmk", "madak", "dot2"].iter().any(|start| operation.starts_with(start))
}

fn is_matrix(operation: &str) -> bool {
    ["wmma", "swmmac", "mfma", "smfmac"].iter().any(|start| operation.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::super::{Loop, innermost_loop};

    fn counts(text: &str) -> Loop {
        innermost_loop("Assembly", text).unwrap()
    }

    /// A loop of RDNA3 within another one, as RADV prints it.
    #[test]
    fn the_loop_within_is_the_one_that_counts() {
        let text = "// kernel[f32]
BB0:
\ts_load_b128 s[8:11], s[2:3], null                           ; f4080201 f8000000
\tv_fma_f32 v0, v0, v1, v2                                    ; d6130000
BB1:
\tv_add_nc_u32_e32 v20, 0x80, v1                              ; 4a2802ff 00000080
BB2:
\ts_cmp_ge_u32 s12, s17                                       ; bf09110c
\ts_cbranch_scc1 BB4                                          ; bfa201b3
BB3:
\ts_clause 0x1                                                ; bf850001
\tbuffer_load_b128 v[28:31], v1, s[4:7], 0 offen offset:2048  ; e05c0800
\tbuffer_load_b32 v4, v1, s[4:7], 0 offen                     ; e0500c00
\tds_store_b128 v42, v[28:31]                                 ; db7c0000
\ts_barrier                                                   ; bfbd0000
\tds_load_b128 v[44:47], v42                                  ; dbfc0000
\tds_load_2addr_b32 v[48:49], v43 offset1:1                   ; d8dc0100
\tv_fmac_f32_e32 v16, v44, v48                                ; 56206144
\tv_fmac_f32_e32 v17, v45, v48                                ; 56206144
\tv_mad_u32_u24 v1, v2, v3, v4                                ; d60b0001
\tv_pk_fma_f16 v1, v2, v3, v4                                 ; cc0e0001
\tscratch_load_b32 v72, off, off offset:4                     ; dc510004
\ts_buffer_load_b32 s0, s[8:11], null                         ; f4200004
\ts_branch BB2                                                ; bfa0fe4b
BB4:
\tv_fmac_f32_e32 v1, v2, v3                                   ; 56206144
\ts_cbranch_scc0 BB1                                          ; bfa1fe4b
BB5:
\ts_endpgm                                                    ; bfb00000
";
        let expected = Loop {
            instructions: 16,
            vector: 4,
            fma: 3,
            loads: [(4, 1), (16, 1)].into(),
            scalar_loads: 1,
            local_loads: [(4, 2), (16, 1)].into(),
            local_stores: 1,
            spills: 1,
            barriers: 1,
            ..Loop::default()
        };
        assert_eq!(counts(text), expected);
        assert_eq!((expected.share(), expected.loads_each()), (0.75, Some(5.0 / 3.0)));
    }

    /// Vega's names; two loops side by side, of which the second multiplies more.
    #[test]
    fn of_loops_side_by_side_the_one_with_more_multiply_adds_counts() {
        let text = "BB0:
\tv_add_u32_e32 v1, v2, v3 ; 680206
\tbuffer_load_ubyte v1, v0, s[0:3], 0 offen ; e0201000
\tv_mac_f32_e32 v1, v2, v3 ; 2c020702
\ts_cbranch_vccnz BB0 ; bf87
BB1:
\tbuffer_load_dwordx4 v[0:3], v4, s[0:3], 0 offen ; e05c1000
\tds_read2st64_b64 v[0:3], v4 offset1:1 ; d8f0
\tds_read_u16 v0, v4 ; d878
\tds_write2_b32 v1, v2, v3 ; d81c
\tbuffer_store_dword v1, v0, s[0:3], 0 offen ; e0701000
\tv_mad_f32 v1, v2, v3, v4 ; d1c1
\tv_fma_f32 v1, v2, v3, v4 ; d1cb
\tv_nop ; 7e00
\ts_cbranch_scc1 BB1 ; bf85
\ts_cbranch_execnz BB0_not_a_label ; bf89
";
        let expected = Loop {
            instructions: 9,
            vector: 2,
            fma: 2,
            loads: [(16, 1)].into(),
            local_loads: [(2, 1), (8, 2)].into(),
            stores: 1,
            local_stores: 1,
            ..Loop::default()
        };
        assert_eq!(counts(text), expected);
    }

    #[test]
    fn matrices_come_before_multiply_adds_and_pairs_are_two() {
        let text = "BB1:
\tv_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7] ; cc40
\tds_load_u16_d16_hi v1, v2 ; da9c
\ts_barrier_signal -1 ; be80
\ts_barrier_wait 0xffff ; bf94
\ts_cbranch_scc1 BB1 ; bfa2
BB2:
\tv_dual_fmac_f32 v1, v2, v3 :: v_dual_mul_f32 v4, v5, v6 ; c8
\tv_dual_fmac_f32 v1, v2, v3 :: v_dual_fmac_f32 v4, v5, v6 ; c8
\ts_cbranch_scc1 BB2 ; bfa2
";
        let own = counts(text);
        assert_eq!((own.matrix, own.fma, own.vector, own.barriers, own.local_loads), (1, 0, 1, 1, [(2, 1)].into()));
        let own = counts(&text[text.find("BB2:").unwrap()..]);
        assert_eq!((own.instructions, own.fma, own.vector), (3, 3, 4));
    }
}
