//! A folder for a failing case: what it read, what was expected, what it wrote, and each kernel call with its text, as files that other
//! programs read (numpy's .npy, WGSL, SPIR-V).

use crate::arguments::all;
use crate::{Failure, machine, one_line, output, write_json, write_text};
use serde_json::json;
use std::path::Path;
use wgconv::op::{Problem, TensorSpec};
use wgconv::validate::{Call, Case, Evidence, evidence};
use wgconv::{ElementType, Gpu, validate_network};

/// Runs a failing case once more and writes what it did into a folder of its own within `folder`; `replay` is the command that runs it again.
pub fn write(gpu: &Gpu, case: &Case, folder: &Path, replay: &str) -> Result<(), Failure> {
    let kept = evidence(gpu, case)?;
    let folder = folder.join(file_name(&format!("{}-{}", case.op.name(), case.algorithm)));
    std::fs::create_dir_all(&folder).map_err(|e| Failure::Run(format!("{}: {e}", folder.display())))?;
    let Some(kept) = kept else {
        let text =
            format!("# {}\n\nIt failed, and passed when it was run once more to be kept here: it fails now and then.\n\n    {replay}\n", case.id());
        return write_text(&folder.join("README.md"), &text);
    };
    let mut tensors = Vec::new();
    let mut outcomes = Vec::new();
    let mut tensor = |role: &str, spec: &TensorSpec, values: &[f64], element: ElementType| {
        let file = format!("{role}-{}.npy", file_name(&spec.name));
        outcomes.push(output::write(&folder.join(&file), &npy(&spec.tensor.extents, values, element)));
        tensors.push(json!({"role": role, "name": spec.name, "file": file, "shape": spec.tensor.extents, "element": spec.tensor.element.to_string(),
                            "layout": spec.tensor.layout.name(), "packed_beforehand": spec.constant}));
    };
    for operand in &kept.operands {
        tensor("input", &operand.spec, &operand.values, operand.spec.tensor.element);
    }
    for written in &kept.outputs {
        let allowed: Vec<f64> = (0..written.expected.value.len()).map(|i| written.expected.allowed(i, written.spec.tensor.element)).collect();
        tensor("expected", &written.spec, &written.expected.value, written.spec.tensor.element);
        tensor("allowed", &written.spec, &allowed, ElementType::F32);
        tensor("got", &written.spec, &written.got, written.spec.tensor.element);
        tensor("again", &written.spec, &written.again, written.spec.tensor.element);
    }
    let mut calls = Vec::new();
    for (i, call) in kept.calls.iter().enumerate() {
        let (text, spirv) = (format!("kernel-{i}.wgsl"), format!("kernel-{i}.spv"));
        outcomes.push(write_text(&folder.join(&text), &call.wgsl));
        let translated = spirv_words(call);
        if let Ok(words) = &translated {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            outcomes.push(output::write(&folder.join(&spirv), &bytes));
        }
        let overrides: serde_json::Map<_, _> = call.overrides.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
        calls.push(json!({"kernel": call.label, "wgsl": text, "spirv": translated.as_ref().ok().map(|_| &spirv), "no_spirv": translated.err(),
                          "entry_point": "main", "overrides": overrides, "workgroups": call.workgroups, "bindings": call.bindings}));
    }
    let document = json!({
        "case": case.id(), "failure": kept.failure, "data": kept.data, "replay": replay, "version": env!("CARGO_PKG_VERSION"), "date": machine::now(),
        "adapter": gpu.report(), "system": machine::system(), "tensors": tensors, "calls": calls,
    });
    outcomes.push(write_json(&folder.join("case.json"), &document));
    outcomes.push(write_text(&folder.join("README.md"), &readme(gpu, case, &kept, replay)));
    all(outcomes)
}

/// Writes what a failing network is into a folder of its own within `folder`: its table and its drawing, what the passes did, and why it failed, which says
/// whether its ops fail by themselves.
pub fn write_network(gpu: &Gpu, case: &validate_network::Case, why: &str, folder: &Path, replay: &str) -> Result<(), Failure> {
    let (graph, changes) = case.graph()?;
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let folder = folder.join(file_name(&case.id()));
    std::fs::create_dir_all(&folder).map_err(|e| Failure::Run(format!("{}: {e}", folder.display())))?;
    let document = json!({
        "case": case.id(), "failure": why, "replay": replay, "version": env!("CARGO_PKG_VERSION"), "date": machine::now(),
        "adapter": gpu.report(), "system": machine::system(), "passes": changes,
    });
    let readme = format!(
        "# {}\n\n{}\n\nOn {}, wgconv {}, {}. To run it again:\n\n    {replay}\n\n`network.txt` is the graph that the session ran, `network.dot` draws it, \
         `case.json` has the adapter with its driver and what the passes did.\n",
        case.id(),
        one_line(why),
        gpu.report(),
        env!("CARGO_PKG_VERSION"),
        machine::now(),
    );
    all([
        write_json(&folder.join("case.json"), &document),
        write_text(&folder.join("network.txt"), &graph.to_string()),
        write_text(&folder.join("network.dot"), &graph.to_dot()),
        write_text(&folder.join("README.md"), &readme),
    ])
}

fn readme(gpu: &Gpu, case: &Case, kept: &Evidence, replay: &str) -> String {
    format!(
        "# {}\n\n{}\n\nOn {}, wgconv {}, {}, with {}. To run it again:\n\n    {replay}\n\n\
         | files | what they hold |\n| --- | --- |\n\
         | `input-*.npy` | what the case reads, in logical order (N, C, D, H, W) whatever the layout in memory |\n\
         | `expected-*.npy`, `allowed-*.npy` | the reference's outputs, and how far each element may be from them; for integers it must be equal |\n\
         | `got-*.npy`, `again-*.npy` | what the first and the second run wrote; a NaN may be an element that was never written |\n\
         | `kernel-*.wgsl` | the text of each kernel call, in order; the first ones may only pack weights |\n\
         | `kernel-*.spv` | its SPIR-V with the overrides in place, without run-time checks, as naga translates it; wgpu may add to it |\n\
         | `case.json` | workgroups, overrides and bindings of each call; layouts; the adapter with its driver |\n\n\
         In Python: `numpy.load(\"got-y.npy\") - numpy.load(\"expected-y.npy\")`.\n",
        one_line(&case.id()),
        one_line(&kept.failure),
        gpu.report(),
        env!("CARGO_PKG_VERSION"),
        machine::now(),
        kept.data,
    )
}

/// Letters, digits, `.`, `_` and `-`; each run of others as one `-`.
fn file_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' || c == '.' => name.push(c),
            _ if name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.trim_matches(['-', '.']).to_string()
}

/// A file of numpy, format 1.0: a header of text, padded to a multiple of 64 bytes, then the elements, little-endian.
fn npy(extents: &[usize], values: &[f64], element: ElementType) -> Vec<u8> {
    let kind = match element {
        ElementType::F32 => "<f4",
        ElementType::F16 => "<f2",
        ElementType::U32 => "<u4",
    };
    let shape: String = extents.iter().map(|extent| format!("{extent},")).collect();
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    let length = (10 + header.len() + 1).next_multiple_of(64) - 10; // below 65,536: extents are few
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{header:<width$}\n", width = length - 1).bytes());
    for value in values {
        match element {
            ElementType::F32 => bytes.extend((*value as f32).to_le_bytes()),
            ElementType::F16 => bytes.extend(half::f16::from_f64(*value).to_le_bytes()),
            ElementType::U32 => bytes.extend((*value as u32).to_le_bytes()),
        }
    }
    bytes
}

/// The SPIR-V of a kernel, or why naga gives none.
fn spirv_words(call: &Call) -> Result<Vec<u32>, String> {
    let overrides: Vec<(String, u32)> = call.overrides.iter().map(|(name, value)| (name.to_string(), *value)).collect();
    wgconv_isa::spirv::translate(&call.wgsl, &overrides, wgconv_isa::spirv::PORTABLE)
}

#[cfg(test)]
mod tests {
    use super::super::report::Document;
    use super::super::{Args, run_on};
    use super::*;
    use clap::Parser;
    use std::sync::Arc;
    use wgconv::GpuDescriptor;
    use wgconv::gpu::SourcePatch;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn files_of_numpy_have_a_header_of_whole_lines() {
        let bytes = npy(&[2, 3], &[0.0, 1.0, -2.0, 3.5, 4.0, 5.0], ElementType::F32);
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert!((10 + length) % 64 == 0 && bytes.len() == 10 + length + 24 && bytes[9 + length] == b'\n');
        assert!(String::from_utf8_lossy(&bytes[10..10 + length]).starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2,3,), }"));
        assert_eq!(bytes[10 + length + 8..][..4], (-2.0f32).to_le_bytes());
        assert_eq!(npy(&[1], &[1.0], ElementType::F16)[128..], half::f16::ONE.to_le_bytes());
    }

    /// A kernel that leaves a bias out: the smallest failing case is kept, with what it wrote, and its id reproduces it.
    #[test]
    fn a_damaged_kernel_leaves_what_it_read_and_wrote() {
        const DAMAGE: [&str; 2] = ["v += f32(bias[k]);", "v -= f32(bias[k]);"];
        let folder = std::env::temp_dir().join(format!("wgconv-failures-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let gpu = |damaged: bool| {
            let patch = move |label: &str, text: String| match damaged && label.starts_with("conv_direct") {
                true => text.replacen(DAMAGE[0], DAMAGE[1], 1),
                false => text,
            };
            Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap()
        };
        let run = |gpu: &Gpu, only: &str, more: &[&str]| {
            let args = Line::parse_from([&["validate", "--only", only], more].concat()).args;
            let mut document = Document::new(Default::default());
            let outcome = run_on(gpu, &args, &args.lists.read().ok().unwrap(), None, &mut document);
            assert!(outcome.is_ok(), "a failing case is no error of the run");
            document
        };
        let damaged =
            run(&gpu(true), "conv/direct/n2c3h12w13_k7r3s2_st1x2", &["--only", "conv/direct/n1c3h12w13", "--failures", folder.to_str().unwrap()]);
        let counts = damaged.runs[0].counts;
        assert!(counts.failed > 0 && counts.passed > 0, "cases with a bias fail, others do not: {counts}");
        let kept: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(kept.len(), 1, "one op, one algorithm: {kept:?}");
        assert!(kept[0].ends_with("conv-direct"));
        let text = |name: &str| std::fs::read_to_string(kept[0].join(name)).unwrap();
        let case: serde_json::Value = serde_json::from_str(&text("case.json")).unwrap();
        assert!(case["failure"].as_str().unwrap().starts_with("exact: y: "), "{case}");
        let id = case["case"].as_str().unwrap();
        assert!(case["replay"].as_str().unwrap().ends_with(id) && text("README.md").contains(case["replay"].as_str().unwrap()));
        assert!(case["adapter"]["driver"].is_string() && case["adapter"]["vendor_id"].is_number());

        // What the driver was given is what was damaged.
        let call = case["calls"].as_array().unwrap().last().unwrap();
        assert!(text(call["wgsl"].as_str().unwrap()).contains(DAMAGE[1]));
        let spirv = std::fs::read(kept[0].join(call["spirv"].as_str().unwrap())).unwrap();
        assert!(spirv.len() > 400 && spirv[..4] == 0x0723_0203u32.to_le_bytes(), "{call}");
        assert!(call["bindings"].as_array().unwrap().iter().any(|binding| binding.as_str().unwrap().starts_with("input bias")), "{call}");

        // The outputs differ by twice the bias, and by nothing else.
        let numbers = |name: &str| -> (Vec<f32>, usize) {
            let bytes = std::fs::read(kept[0].join(name)).unwrap();
            let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            (bytes[start..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(), start)
        };
        let (got, expected, bias) = (numbers("got-y.npy").0, numbers("expected-y.npy").0, numbers("input-bias.npy").0);
        let differences: Vec<f32> = got.iter().zip(&expected).map(|(got, want)| (want - got) / 2.0).collect();
        assert!(differences.iter().all(|d| bias.contains(d)) && differences.iter().any(|d| *d != 0.0), "{differences:?} for {bias:?}");
        assert_eq!(numbers("again-y.npy").0, got);

        // The id alone runs the case again: it fails on the damaged device and passes on a sound one.
        assert_eq!((run(&gpu(true), id, &[]).runs[0].counts.failed, run(&gpu(false), id, &[]).runs[0].counts.failed), (1, 0));
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// A kernel that is off by one, in a network: the folder says which network, why, and that the op is at fault; its id reproduces it.
    #[test]
    fn a_network_that_fails_leaves_what_it_is() {
        let folder = std::env::temp_dir().join(format!("wgconv-failing-network-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let patch = |_: &str, text: String| text.replacen("= Target(value);", "= Target(value + 1.0);", 1);
        let gpu = Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap();
        let options =
            ["validate", "--only", "network/optimized/two_inputs", "--only", "network/optimized/closed", "--failures", folder.to_str().unwrap()];
        let args = Line::parse_from(options).args;
        let mut document = Document::new(Default::default());
        assert!(run_on(&gpu, &args, &args.lists.read().ok().unwrap(), None, &mut document).is_ok());
        let counts = document.runs[0].counts;
        assert_eq!((counts.failed, counts.passed), (1, 1), "{counts}");
        let kept: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(kept, ["network-optimized-two_inputs"]);
        let text = |name: &str| std::fs::read_to_string(folder.join(&kept[0]).join(name)).unwrap();
        let case: serde_json::Value = serde_json::from_str(&text("case.json")).unwrap();
        let why = case["failure"].as_str().unwrap();
        assert!(why.starts_with("exact: largest: ") && why.contains("op by op reduce: exact: "), "{why}");
        assert_eq!(case["replay"], "wgconv validate --only network/optimized/two_inputs");
        assert!(text("README.md").contains(why) && text("network.txt").contains("argmax") && text("network.dot").starts_with("digraph"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
