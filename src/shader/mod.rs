//! Kernels: the only code that makes WGSL text.
//!
//! A [`KernelSpec`] is one hashable value; it makes the text, the constants, the label and the key of the pipeline cache, so
//! that they cannot drift apart. A file says itself what it is made of (`assemble`); the kernels are listed in `source` and
//! `source_gemm`, the uniform structs in `uniforms`, `uniforms_adjoint` and `uniforms_winograd`.

mod assemble;
pub(crate) mod files;
pub(crate) mod layout;
pub(crate) mod source;
pub(crate) mod source_gemm;
pub(crate) mod uniforms;
pub(crate) mod uniforms_adjoint;
pub(crate) mod uniforms_winograd;

pub use files::{FILES, File};
pub use layout::StructLayout;
pub(crate) use layout::uniform;
pub use source::{BindingKind, KernelSource, all_sources};

use crate::types::{ElementType, Error, Result};

/// The const that says, a bit for each, which bindings of its source a kernel leaves out: those that its step has nothing for.
pub(crate) const ABSENT: &str = "ABSENT";

/// The const that says, a bit for each, which bindings are bound for writing although the kernel only reads them: they lie in a buffer that it writes to
/// elsewhere, and a dispatch binds a buffer in one way.
pub(crate) const SHARED: &str = "SHARED";

/// The const of kernels that read or write f16 for cooperative matrices: how many for each number.
pub(crate) const PARTS: &str = "PARTS";

/// Const of what reads and writes operands of cooperative matrices: 1 where steps of the depth are neighbours in both (`shaders/gemm/coop.wgsl`).
pub(crate) const ALONG_K: &str = "ALONG_K";

/// The tile core on cooperative matrices, which WGSL has to be told to enable.
const COOP_CORE: &str = "gemm/coop.wgsl";

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

    /// The complete WGSL text: prelude, then the files, each under a banner with its name.
    ///
    /// # Errors
    /// A directive of a file that is wrong, such as a condition on a const that neither the spec nor its source gives.
    pub fn wgsl(&self) -> Result<String> {
        let mut text = String::new();
        if self.element == ElementType::F16 || self.constant(PARTS) > 0 {
            text.push_str("enable f16;\n");
        }
        if self.uses_coop_matrix() {
            text.push_str("enable wgpu_cooperative_matrix;\n");
        }
        text.push_str(&format!("alias Elem = {};\n", self.element));
        for (name, value) in &self.consts {
            text.push_str(&format!("const {name}: u32 = {value}u;\n"));
        }
        let files = assemble::assemble(self.source.files, &|name| self.condition(name));
        let internal = |message| Error::Internal { label: self.label(), message };
        let mut files = files.map_err(internal)?;
        for binding in self.shared_bindings() {
            let (read, both) = (format!("@binding({binding}) var<storage, read>"), format!("@binding({binding}) var<storage, read_write>"));
            if !files.contains(&read) {
                return Err(internal(format!("binding {binding} is shared, and the text does not read it")));
            }
            files = files.replace(&read, &both);
        }
        text.push_str(&files);
        Ok(text)
    }

    fn shared_bindings(&self) -> impl Iterator<Item = u32> + use<> {
        let shared = self.constant(SHARED);
        (0..u32::BITS).filter(move |binding| shared >> binding & 1 == 1)
    }

    /// What a condition (`//@if`) of this name sees: whether a binding has a buffer (`BOUND_2`), a const of the spec, a switch of the source.
    fn condition(&self, name: &str) -> Option<u32> {
        if let Some(binding) = name.strip_prefix("BOUND_") {
            let binding: u32 = binding.parse().ok()?;
            return Some(u32::from(self.bindings().any(|(own, _)| own == binding)));
        }
        let named = |(own, _): &&(&str, u32)| *own == name;
        self.consts.iter().find(named).or_else(|| self.source.switches.iter().find(named)).map(|(_, value)| *value)
    }

    /// What it binds, by binding number: what its source lists but for what the const `ABSENT` leaves out; for writing, what the const `SHARED` names.
    pub fn bindings(&self) -> impl Iterator<Item = (u32, BindingKind)> + '_ {
        let (absent, shared) = (self.constant(ABSENT), self.constant(SHARED));
        let present = (0..).zip(self.source.bindings.iter().copied()).filter(move |(binding, _)| absent >> binding & 1 == 0);
        present.map(move |(binding, kind)| (binding, if shared >> binding & 1 == 1 { BindingKind::Write } else { kind }))
    }

    /// Whether it multiplies on cooperative matrices.
    pub fn uses_coop_matrix(&self) -> bool {
        self.source.files.contains(&COOP_CORE)
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
        let text = spec.wgsl().unwrap();
        assert!(text.contains("var<private> bias: array<Elem, 1>; // nothing is bound\n"), "{text}");
        assert!(!text.contains("@binding(1)") && !text.contains("@binding(2)") && text.contains("@binding(3)"), "{text}");
    }

    #[test]
    fn what_lies_in_a_buffer_that_is_written_to_is_bound_for_writing() {
        let spec = |shared| KernelSpec {
            source: &CONV_DIRECT,
            element: ElementType::F32,
            consts: vec![(ABSENT, 0b110), (SHARED, shared)],
            overrides: vec![],
        };
        let kinds: Vec<_> = spec(1 << 4).bindings().collect();
        assert_eq!(kinds[1..], [(3, BindingKind::Write), (4, BindingKind::Write), (5, BindingKind::Read)]);
        let text = spec(1 << 4).wgsl().unwrap();
        assert!(text.contains("@binding(4) var<storage, read_write> x:") && text.contains("@binding(5) var<storage, read> weights:"), "{text}");
        let error = spec(1 << 3).wgsl().unwrap_err().to_string();
        assert!(error.contains("binding 3 is shared, and the text does not read it"), "{error}");
    }

    #[test]
    fn lines_that_never_run_are_left_out() {
        let source = all_sources().into_iter().find(|s| s.name == "matmul_register").unwrap();
        let tile = [("THREAD_M", 8), ("THREAD_VEC4", 1), ("STEPS", 2), ("REST", 1), ("ROW_THREADS", 64), ("PANEL", 0)];
        let spec = KernelSpec { source, element: ElementType::F32, consts: tile.to_vec(), overrides: vec![] };
        let text = spec.wgsl().unwrap();
        for (line, stays) in
            [("(*sums).b1 = add_rows", true), ("(*sums).b2 = add_rows", false), ("iteration.s2", true), ("far = load_iteration", false)]
        {
            assert_eq!(text.contains(line), stays, "{line}");
        }
    }

    #[test]
    fn a_const_that_nobody_gives_is_an_error() {
        let source = all_sources().into_iter().find(|s| s.name == "pool_pairs").unwrap();
        let spec = KernelSpec { source, element: ElementType::F32, consts: vec![], overrides: vec![] };
        let error = spec.wgsl().unwrap_err().to_string();
        assert!(error.contains("pool_pairs[f32]") && error.contains("no const STORE_PAIRS is given"), "{error}");
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
