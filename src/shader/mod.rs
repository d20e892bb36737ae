//! Kernels: the only code that makes WGSL text.
//!
//! A [`KernelSpec`] is one hashable value; it makes the text, the constants, the label and the key of the pipeline cache, so
//! that they cannot drift apart. The sources are listed in `source` and `source_gemm`, the uniform structs in `uniforms`.

pub(crate) mod layout;
#[macro_use]
pub(crate) mod source;
pub(crate) mod source_gemm;
pub(crate) mod uniforms;

pub use layout::StructLayout;
pub(crate) use layout::uniform;
pub use source::{BindingKind, File, KernelSource, Part, all_sources};

use crate::types::{ElementType, Error, Result};

/// The const that says, a bit for each, which bindings of its source a kernel leaves out: those that its step has nothing for.
pub(crate) const ABSENT: &str = "ABSENT";

/// What makes one pipeline: a source and the numbers baked into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelSpec {
    /// The shader.
    pub source: &'static KernelSource,
    /// What tensors store; `alias Elem` of the text.
    pub element: ElementType,
    /// Numbers that WGSL wants as `const`: they size arrays and workgroups.
    pub consts: Vec<(&'static str, u32)>,
    /// Numbers set when the pipeline is made: the shader's `override`s that differ from their defaults.
    pub overrides: Vec<(&'static str, u32)>,
}

impl KernelSpec {
    /// The shader's name with its numbers, such as `conv_direct[f32,PADDING_MODE=1]`.
    pub fn label(&self) -> String {
        let mut label = format!("{}[{}", self.source.name, self.element);
        for (name, value) in self.consts.iter().chain(&self.overrides) {
            label.push_str(&format!(",{name}={value}"));
        }
        label.push(']');
        label
    }

    /// The complete WGSL text: prelude, then the parts, each under a banner with its file name.
    pub fn wgsl(&self) -> String {
        let mut text = String::new();
        if self.element == ElementType::F16 || self.uses_matrix_units() {
            text.push_str("enable f16;\n");
        }
        if self.uses_matrix_units() {
            text.push_str("enable wgpu_cooperative_matrix;\n");
        }
        text.push_str(&format!("alias Elem = {};\n", self.element));
        for (name, value) in &self.consts {
            text.push_str(&format!("const {name}: u32 = {value}u;\n"));
        }
        for part in self.source.parts {
            let (file, part) = match part {
                Part::One(file) => file,
                Part::Pick(name, files) => &files[(self.constant(name) as usize).min(files.len() - 1)],
            };
            text.push_str(&format!("\n// ---- shaders/{file}\n"));
            for line in part.lines().filter(|line| !self.never_runs(line)) {
                match self.declared(line) {
                    Some(variable) => text.push_str(&variable),
                    None => text.push_str(line),
                }
                text.push('\n');
            }
        }
        text
    }

    /// Whether a line is `if NAME > 8u { ... }` with a const of that name that is not greater. Every driver would find that out too, but
    /// after it has inlined what the line calls.
    fn never_runs(&self, line: &str) -> bool {
        let test = line.trim().strip_prefix("if ").and_then(|rest| rest.strip_suffix('}')).and_then(|rest| rest.split_once("u {"));
        let Some((name, bound)) = test.and_then(|(condition, _)| condition.split_once(" > ")) else { return false };
        match (self.consts.iter().find(|(n, _)| *n == name), bound.parse::<u32>()) {
            (Some((_, value)), Ok(bound)) => *value <= bound,
            _ => false,
        }
    }

    /// What it binds, by binding number: what its source lists but for what the const `ABSENT` leaves out.
    pub fn bindings(&self) -> impl Iterator<Item = (u32, BindingKind)> + '_ {
        let absent = self.constant(ABSENT);
        (0..).zip(self.source.bindings.iter().copied()).filter(move |(binding, _)| absent >> binding & 1 == 0)
    }

    /// A line that declares a storage buffer which is left out becomes a variable of one element: the text may name it, but never reads it,
    /// and a device whose kernels bind few buffers has room for the others.
    fn declared(&self, line: &str) -> Option<String> {
        let (binding, declaration) = line.strip_prefix("@group(0) @binding(")?.split_once(") var<storage, read> ")?;
        let (name, kind) = declaration.split_once(": array<")?;
        let (element, _) = kind.rsplit_once(">;")?;
        let binding = binding.parse::<u32>().ok()?;
        (self.constant(ABSENT) >> binding & 1 == 1).then(|| format!("var<private> {name}: array<{element}, 1>; // left out"))
    }

    /// Whether it multiplies on matrix units.
    pub fn uses_matrix_units(&self) -> bool {
        self.consts.iter().any(|(name, _)| *name == "MATRIX_16")
    }

    /// The const of this name; 0 where there is none.
    pub fn constant(&self, name: &str) -> u32 {
        self.consts.iter().find(|(n, _)| *n == name).map_or(0, |(_, value)| *value)
    }
}

/// Workgroups of a 1-D job, folded over x and y because each axis stops at `per_axis`. Kernels undo it as `y * count.x + x`
/// and ignore what lies past the end.
///
/// # Errors
/// More workgroups than two axes hold.
pub fn fold_workgroups(count: u64, per_axis: u32) -> Result<[u32; 3]> {
    let axis = u64::from(per_axis.max(1));
    if count > axis * axis {
        return Err(Error::TooLarge {
            argument: "the dispatch".into(),
            needed: count.into(),
            unit: "workgroups",
            limit_name: "max_compute_workgroups_per_dimension squared",
            limit: axis * axis,
        });
    }
    let y = count.div_ceil(axis).max(1);
    let x = count.div_ceil(y).max(1);
    Ok([x as u32, y as u32, 1]) // both at most per_axis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shader::source_gemm::CONV_DIRECT;

    #[test]
    fn what_is_left_out_is_neither_bound_nor_declared_as_a_buffer() {
        let spec = KernelSpec { source: &CONV_DIRECT, element: ElementType::F32, consts: vec![(ABSENT, 0b110)], overrides: vec![] };
        assert_eq!(spec.bindings().map(|(binding, _)| binding).collect::<Vec<_>>(), [0, 3, 4, 5]);
        let text = spec.wgsl();
        assert!(text.contains("var<private> bias: array<Elem, 1>; // left out\n"), "{text}");
        assert!(!text.contains("@binding(1)") && !text.contains("@binding(2)") && text.contains("@binding(3)"), "{text}");
    }

    #[test]
    fn lines_that_never_run_are_left_out_and_others_stay() {
        let source = all_sources().into_iter().find(|s| s.name == "matmul_register").unwrap();
        let tile = [("THREAD_M", 8), ("THREAD_QUADS", 1), ("STEPS", 2), ("REST", 1), ("LANES", 64), ("PANEL", 0)];
        let spec = KernelSpec { source, element: ElementType::F32, consts: tile.to_vec(), overrides: vec![] };
        let text = spec.wgsl();
        for (line, stays) in [
            ("if THREAD_M > 4u { (*sums).b1", true),
            ("if THREAD_M > 8u { (*sums).b2", false),
            ("if steps > 2u { turn.s2", true),
            ("if THREAD_QUADS > 1u { far = load_turn", false),
            ("if THREAD_QUADS > 1u {\n", true), // longer than a line: the driver's own business
        ] {
            assert_eq!(text.contains(line), stays, "{line}");
        }
    }

    #[test]
    fn folding_covers_every_workgroup_and_stays_inside_the_limit() {
        for count in [1, 2, 65_535, 65_536, 131_070, 131_071, 4_294_836_225] {
            let [x, y, z] = fold_workgroups(count, 65_535).unwrap();
            assert!(x <= 65_535 && y <= 65_535 && z == 1, "{count}: {x} x {y}");
            assert!(u64::from(x) * u64::from(y) >= count && u64::from(x) * u64::from(y) < count + u64::from(y), "{count}: {x} x {y}");
        }
        assert!(fold_workgroups(4_294_836_226, 65_535).is_err());
    }
}
