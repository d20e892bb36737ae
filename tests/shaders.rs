//! Shaders without a GPU: every kernel that the planner emits over the check grid parses, validates, translates to SPIR-V, MSL and
//! HLSL, and its uniform struct has the layout of its Rust twin.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use naga::back::{hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use std::collections::{BTreeMap, HashMap, HashSet};
use wgconv::gpu::{CoopMatrix, DeviceProfile};
use wgconv::kernel::{BindingKind, FILES, KernelSpec, all_sources};
use wgconv::op::Planned;
use wgconv::validate::grid;
use wgconv::{ElementType, Error};

/// Every distinct kernel that plans over the full grid use, on a GPU-like and a CPU-like device, and the two of the peak measurement.
fn emitted() -> Vec<KernelSpec> {
    let mut specs = HashSet::new();
    for case in grid::cases(true).unwrap() {
        // A GPU's 64-bit integers do not matter.
        for (is_cpu, has_int64, units) in [(false, false, (16, true)), (true, false, (8, true)), (true, true, (8, true)), (false, false, (8, false))]
        {
            let profile = case.elsewhere.map_or_else(|| profile(is_cpu, has_int64, units), |other| other.profile(&profile(is_cpu, has_int64, units)));
            if !units.1 && case.algorithm.contains("_f16x2") {
                continue; // not on Metal
            }
            let names_tile_of_units = case.algorithm.contains("_coop ") || case.algorithm.contains("_f16x2 ");
            for forced in [Some(case.algorithm.as_str()), None] {
                let plan = match case.op.plan(&profile, forced) {
                    // Units of 8 x 8 have fewer tiles.
                    Err(Error::Unsupported { .. }) if forced.is_some() && units.0 == 8 && names_tile_of_units => continue,
                    // A binding of the case's size holds no filter as this kind of device packs it.
                    Err(Error::TooLarge { .. }) if case.elsewhere.is_some() => continue,
                    plan => plan.unwrap(),
                };
                specs.extend(plan.prepare.into_iter().chain(plan.steps).map(|step| step.kernel));
            }
        }
    }
    let peak = |name: &str, consts| {
        let source = all_sources().into_iter().find(|s| s.name == name).unwrap();
        KernelSpec { source, element: ElementType::F32, consts, overrides: vec![] }
    };
    specs.extend([peak("peak_fma", vec![("ITERATIONS", 64)]), peak("peak_copy", vec![])]);
    specs.extend(wgconv::kernel::texture_kernels()); // over textures, which no plan has
    let mut specs: Vec<_> = specs.into_iter().collect();
    specs.sort_by_key(KernelSpec::label);
    specs
}

/// A device with all that a plan can make use of.
fn profile(is_cpu: bool, has_int64: bool, (extent, is_vulkan): (u32, bool)) -> DeviceProfile {
    let matrix = Some(CoopMatrix { extent, subgroup: 2 * extent, loads_vectors: is_vulkan, splits: is_vulkan, along_k: false });
    DeviceProfile {
        has_f16: true,
        has_int64,
        is_cpu,
        subgroup: Some(8),
        matrix,
        max_workgroup_memory: 48 << 10,
        max_workgroup_invocations: 1024,
        ..DeviceProfile::MINIMAL
    }
}

fn parse(spec: &KernelSpec) -> (naga::Module, ModuleInfo) {
    let text = spec.wgsl().unwrap();
    let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{}: {}", spec.label(), e.emit_to_string(&text)));
    let capabilities = Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_INT64 | Capabilities::COOPERATIVE_MATRIX | Capabilities::SUBGROUP;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}: {}", spec.label(), e.emit_to_string(&text)));
    (module, info)
}

#[test]
fn every_emitted_kernel_compiles_for_every_backend() {
    let specs = emitted();
    let used: HashSet<&str> = specs.iter().map(|s| s.source.name).collect();
    for source in all_sources() {
        assert!(used.contains(source.name), "no plan ever uses {}", source.name);
    }
    assert!(specs.len() > 100, "only {} kernels: the grid lost its variety", specs.len());
    for spec in &specs {
        let label = spec.label();
        let (module, info) = parse(spec);
        let constants = spec.overrides.iter().map(|(name, value)| (name.to_string(), f64::from(*value))).collect();
        let (module, info) =
            process_overrides(&module, &info, Some((naga::ShaderStage::Compute, "main")), &constants).unwrap_or_else(|e| panic!("{label}: {e}"));
        let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
        let options = spv::Options { lang_version: (1, 3), ..Default::default() };
        let words = spv::write_vec(&module, &info, &options, Some(&pipeline)).unwrap_or_else(|e| panic!("{label}: SPIR-V: {e}"));
        assert!(words.len() > 100, "{label}: SPIR-V is empty");

        let resources: BTreeMap<_, _> = spec
            .bindings()
            .map(|(binding, kind)| {
                let number = Some(binding as u8);
                let target = match kind {
                    BindingKind::Uniform | BindingKind::Read => msl::BindTarget { buffer: number, ..Default::default() },
                    BindingKind::Write => msl::BindTarget { buffer: number, mutable: true, ..Default::default() },
                    BindingKind::Texture => msl::BindTarget { texture: number, ..Default::default() },
                    _ => msl::BindTarget { texture: number, mutable: true, ..Default::default() },
                };
                (naga::ResourceBinding { group: 0, binding }, target)
            })
            .collect();
        let entry = msl::EntryPointResources { resources, sizes_buffer: Some(30), ..Default::default() };
        let options = msl::Options {
            lang_version: (2, 3),
            per_entry_point_map: [("main".to_string(), entry)].into(),
            fake_missing_bindings: false,
            ..Default::default()
        };
        let (text, _) = msl::write_string(&module, &info, &options, &msl::PipelineOptions::default()).unwrap_or_else(|e| panic!("{label}: MSL: {e}"));
        assert!(text.contains("kernel void"), "{label}: MSL has no kernel");

        if spec.uses_coop_matrix() {
            continue; // DX12 has none for wgpu
        }
        let mut text = String::new();
        let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_2, fake_missing_bindings: true, ..Default::default() };
        hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default())
            .write(&module, &info, None)
            .unwrap_or_else(|e| panic!("{label}: HLSL: {e}"));
        assert!(text.contains("numthreads"), "{label}: HLSL has no kernel");
    }
}

/// Names of the files that are joined in a text: its banners.
fn joined(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("// ---- shaders/"))
}

#[test]
fn every_file_is_listed_and_joined_and_every_const_is_asked_for() {
    let specs = emitted();
    let listed: HashSet<&str> = FILES.iter().map(|(name, _)| *name).collect();
    let (mut used, mut asked) = (HashSet::new(), HashMap::new());
    for spec in &specs {
        let text = spec.wgsl().unwrap();
        let own: HashSet<String> = joined(&text).map(str::to_string).collect();
        for (name, _) in &spec.consts {
            // In the text below the prelude, or in a condition of its files; `ABSENT` is what `BOUND_n` asks.
            let is_asked = *name == "ABSENT"
                || text.matches(name).count() > 1
                || FILES.iter().any(|(file, source)| own.contains(*file) && source.lines().any(|line| line.contains("//@") && line.contains(name)));
            *asked.entry((spec.source.name, *name)).or_insert(false) |= is_asked;
        }
        used.extend(own);
    }
    let used: HashSet<&str> = used.iter().map(String::as_str).collect();
    assert_eq!(listed.difference(&used).collect::<Vec<_>>(), [] as [&&str; 0], "no kernel is made of these");
    let unasked: Vec<_> = asked.iter().filter(|(_, asked)| !**asked).map(|(name, _)| name).collect();
    assert!(unasked.is_empty(), "consts that no text asks for: {unasked:?}");
    // The list against the folder.
    let mut found = vec![];
    for folder in std::fs::read_dir("shaders").unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            found.push(file.strip_prefix("shaders").unwrap().to_string_lossy().replace('\\', "/"));
        }
    }
    let found: HashSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, listed);
}

#[test]
fn declared_bindings_are_those_of_the_text() {
    for spec in emitted() {
        let (module, _) = parse(&spec);
        let mut found: Vec<(u32, BindingKind)> = module
            .global_variables
            .iter()
            .filter_map(|(_, global)| {
                let kind = match global.space {
                    naga::AddressSpace::Uniform => BindingKind::Uniform,
                    naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE) => BindingKind::Write,
                    naga::AddressSpace::Storage { .. } => BindingKind::Read,
                    naga::AddressSpace::Handle => match &module.types[global.ty].inner {
                        naga::TypeInner::Image { class: naga::ImageClass::Storage { format, .. }, .. } => match format {
                            naga::StorageFormat::Rgba8Unorm => BindingKind::TargetRgba8,
                            naga::StorageFormat::Rgba16Float => BindingKind::TargetRgba16,
                            naga::StorageFormat::R32Float => BindingKind::TargetR32,
                            other => panic!("{}: a texture of {other:?}", spec.label()),
                        },
                        _ => BindingKind::Texture,
                    },
                    _ => return None,
                };
                Some((global.binding.unwrap().binding, kind))
            })
            .collect();
        found.sort_by_key(|(binding, _)| *binding);
        let declared: Vec<_> = spec.bindings().collect();
        assert_eq!(found, declared, "{}", spec.label());
    }
}

/// Member names and byte offsets of a WGSL struct, and its size.
fn wgsl_layout(spec: &KernelSpec, name: &str) -> (Vec<(String, usize)>, usize) {
    let (module, _) = parse(spec);
    let (_, found) = module.types.iter().find(|(_, t)| t.name.as_deref() == Some(name)).unwrap_or_else(|| panic!("no struct {name}"));
    let naga::TypeInner::Struct { members, span } = &found.inner else { panic!("{name} is no struct") };
    (members.iter().map(|m| (m.name.clone().unwrap(), m.offset as usize)).collect(), *span as usize)
}

#[test]
fn uniform_structs_have_the_layout_of_their_twins() {
    let specs = emitted();
    let mut compared = 0;
    for source in all_sources() {
        let spec = specs.iter().find(|s| s.source.name == source.name).unwrap();
        let has_uniform = source.bindings.first() == Some(&BindingKind::Uniform);
        assert_eq!(has_uniform, !source.structs.is_empty(), "{}: a uniform has a twin, and only a uniform", source.name);
        for twin in source.structs {
            let found = wgsl_layout(spec, twin.name);
            let wanted: Vec<(String, usize)> = twin.fields.iter().map(|(name, offset)| (name.to_string(), *offset)).collect();
            assert_eq!(found, (wanted, twin.size), "{}: {}", source.name, twin.name);
            compared += 1;
        }
    }
    assert!(compared > 10, "{compared}");
}

#[test]
fn plans_are_pure_and_differ_by_device() {
    let mut differ = 0;
    for case in grid::cases(false).unwrap() {
        let gpu_like = DeviceProfile { has_f16: true, ..DeviceProfile::MINIMAL };
        let cpu_like = DeviceProfile { is_cpu: true, ..gpu_like };
        let [a, b] = [gpu_like, cpu_like].map(|profile| case.op.plan(&profile, None).unwrap());
        assert_eq!(a, case.op.plan(&gpu_like, None).unwrap(), "the same problem and profile must give the same plan");
        differ += usize::from(a.algorithm() != b.algorithm());
        assert!(!a.algorithm().ends_with("_register"), "a GPU gets workgroup tiles: {}", case.id());
        assert!(!b.algorithm().ends_with("_workgroup"), "a CPU gets register tiles: {}", case.id());
    }
    assert!(differ > 50, "{differ}");
}
