//! WGSL to SPIR-V, with the options by which wgpu-hal gives drivers the kernels of this library: overrides in place, no run-time checks, workgroup memory
//! left as it is.

use naga::back::{pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};

/// The SPIR-V version that every Vulkan 1.1 driver takes.
pub const PORTABLE: (u8, u8) = (1, 3);

/// The newest SPIR-V version of a Vulkan version: the one that wgpu-hal writes for it.
pub fn newest(vulkan: (u32, u32)) -> (u8, u8) {
    match vulkan {
        (1, 0) => (1, 0),
        (1, 1) => (1, 3),
        (1, 2) => (1, 5),
        _ => (1, 6),
    }
}

/// The words of a kernel whose entry point is `main`.
///
/// # Errors
/// What naga says of the text, in one string.
pub fn translate(wgsl: &str, overrides: &[(String, u32)], version: (u8, u8)) -> Result<Vec<u32>, String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| e.to_string())?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.to_string())?;
    let constants = overrides.iter().map(|(name, value)| (name.clone(), f64::from(*value))).collect();
    let (module, info) = process_overrides(&module, &info, Some((naga::ShaderStage::Compute, "main")), &constants).map_err(|e| e.to_string())?;
    let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    let options = spv::Options {
        lang_version: version,
        flags: spv::WriterFlags::empty(),
        // As ShaderRuntimeChecks::unchecked() and zero_initialize_workgroup_memory: false have it (src/gpu/pipelines.rs).
        bounds_check_policies: naga::proc::BoundsCheckPolicies::default(),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    spv::write_vec(&module, &info, &options, Some(&pipeline)).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operations of a module, by number.
    fn operations(words: &[u32]) -> Vec<u32> {
        let (mut operations, mut at) = (vec![], 5);
        while at < words.len() {
            operations.push(words[at] & 0xffff);
            at += (words[at] >> 16) as usize;
        }
        operations
    }

    #[test]
    fn a_kernel_is_translated_without_checks() {
        let text = "override N: u32 = 1u;\n@group(0) @binding(0) var<storage, read_write> y: array<u32>;\nvar<workgroup> w: array<u32, 64>;\n\
            @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) { w[i] = y[i]; workgroupBarrier();\n\
            for (var k = 0u; k < y[0]; k++) { y[i + k] = w[63u - i] / y[N]; } }";
        let words = translate(text, &[("N".into(), 7)], newest((1, 3))).unwrap();
        assert_eq!(words[..2], [0x0723_0203, 0x0001_0600]);
        assert!(words.contains(&7), "the override is in place");
        let operations = operations(&words);
        let has = |operation: u32| operations.contains(&operation);
        assert!(has(134) && has(246), "OpUDiv, OpLoopMerge");
        assert!(!has(169), "OpSelect: a divisor that is checked");
        assert!(!has(155), "OpAll: iterations that are counted");
        assert!(!has(46), "OpConstantNull: workgroup memory that is cleared");
        assert!(!has(12), "OpExtInst: an index that is clamped");
        assert_eq!(translate(text, &[], PORTABLE).unwrap()[1], 0x0001_0300);
        assert!(translate("fn main() {", &[], PORTABLE).is_err());
        assert!(translate(text, &[("M".into(), 7)], PORTABLE).is_err(), "the text has no such override");
    }
}
