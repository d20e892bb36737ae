//! The numbers of all drivers under one set of names.

use crate::job::{Compiled, Statistic};
use crate::machine_code::{Loop, innermost_loop};
use serde::{Deserialize, Serialize};

/// What became of a kernel, as far as its driver tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Numbers {
    /// Invocations of a subgroup.
    pub subgroup: u64,
    /// Vector registers of an invocation.
    pub registers: Option<u64>,
    /// Registers that did not fit: they are written to memory and read back.
    pub spills: Option<u64>,
    /// Bytes of memory for each invocation, or as the driver counts them, for what fits no register.
    pub scratch: Option<u64>,
    /// Bytes of workgroup memory.
    pub local: Option<u64>,
    /// Subgroups that a unit of the chip holds at once.
    pub waves: Option<u64>,
    /// Instructions.
    pub instructions: Option<u64>,
    /// Bytes of the machine code.
    pub code: Option<u64>,
    /// Its innermost loop, where the machine code is known and has one.
    #[serde(rename = "loop")]
    pub innermost: Option<Loop>,
}

/// The names of drivers for each number, in lower case; those that a driver has are added up. RADV's, ANV's, NVK's, turnip's and NVIDIA's.
const REGISTERS: &[&str] = &["vgprs", "max live registers", "number of gprs", "registers used", "register count"];
const SPILLS: &[&str] = &["spilled sgprs", "spilled vgprs", "spill count", "spills to memory", "stp count"];
const SCRATCH: &[&str] = &["scratch size", "scratch memory size", "slm size", "local memory size"];
const LOCAL: &[&str] = &["lds size", "workgroup memory size"];
const WAVES: &[&str] = &["subgroups per simd", "max warps/sm", "max waves per core"];
const INSTRUCTIONS: &[&str] = &["instructions", "instruction count"];
const CODE: &[&str] = &["code size", "binary size"];

impl Numbers {
    /// The numbers of a kernel.
    pub fn of(compiled: &Compiled) -> Self {
        // A driver that tells of several variants tells of each under the same names: the first one counts.
        let value = |name: &&str| {
            compiled.statistics.iter().find(|one| one.name.eq_ignore_ascii_case(name)).map(|one| one.value.count().saturating_mul(unit(one)))
        };
        let sum = |names: &[&str]| names.iter().filter_map(value).reduce(u64::saturating_add);
        Self {
            subgroup: compiled.subgroup.into(),
            registers: sum(REGISTERS),
            spills: sum(SPILLS),
            scratch: sum(SCRATCH),
            local: sum(LOCAL),
            waves: sum(WAVES),
            instructions: sum(INSTRUCTIONS),
            code: sum(CODE),
            innermost: compiled.listings.iter().find_map(|(name, text)| innermost_loop(name, text)),
        }
    }

    /// Share of multiply-adds and matrix instructions among the vector instructions of the innermost loop, where it has any.
    pub fn share(&self) -> Option<f64> {
        self.innermost.as_ref().filter(|own| own.work() > 0).map(Loop::share)
    }
}

/// Bytes where the driver counts words, 1 where it counts what the number says.
fn unit(statistic: &Statistic) -> u64 {
    if statistic.says.contains("dwords") { 4 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Value;

    #[test]
    fn numbers_of_drivers_come_under_one_name() {
        let statistic = |(name, value): &(&str, u64)| Statistic { name: name.to_string(), value: Value::Whole(*value), says: String::new() };
        let numbers = |list: &[(&str, u64)]| {
            let listings = vec![("Assembly".to_string(), "BB0:\n\tv_fma_f32 v0, v0, v1, v2 ; d6\n\ts_branch BB0 ; bf".to_string())];
            Numbers::of(&Compiled { subgroup: 64, statistics: list.iter().map(statistic).collect(), listings, ..Default::default() })
        };
        let radv =
            numbers(&[("SGPRs", 128), ("VGPRs", 132), ("Spilled SGPRs", 2), ("Spilled VGPRs", 15), ("Scratch size", 4096), ("LDS size", 16384)]);
        assert_eq!((radv.registers, radv.spills, radv.scratch, radv.local), (Some(132), Some(17), Some(4096), Some(16384)));
        let words = Statistic { name: "Code size".into(), value: Value::Whole(96), says: "Total number of dwords in the shader".into() };
        assert_eq!(Numbers::of(&Compiled { statistics: vec![words], ..Default::default() }).code, Some(384));
        let twice = numbers(&[("Instruction Count", 7), ("Spill Count", 1), ("Instruction Count", 9), ("Spill Count", 5)]);
        assert_eq!((twice.instructions, twice.spills), (Some(7), Some(1)), "two variants of a kernel");
        assert_eq!((radv.waves, radv.share(), radv.subgroup), (None, Some(1.0), 64));
        let nvidia = numbers(&[("Register Count", 40), ("Binary Size", 9000)]);
        assert_eq!((nvidia.registers, nvidia.spills, nvidia.code), (Some(40), None, Some(9000)));
    }
}
