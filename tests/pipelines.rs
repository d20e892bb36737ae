//! Pipelines: each compiled once, several at once, and the driver's cache of them in a file that is used only where it can be trusted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use wgconv::elementwise::UnaryProblem;
use wgconv::gpu::SourcePatch;
use wgconv::op::{Op, Plan, Prepared};
use wgconv::softmax::{SoftmaxDescriptor, SoftmaxProblem};
use wgconv::{Activation, ElementType, Error, Gpu, GpuDescriptor, Layout, TensorType};

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pipelines-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Ops of several kernels: lines of different length take different numbers of threads.
fn ops() -> Vec<Op> {
    let (element, layout) = (ElementType::F32, Layout::ChannelsFirst);
    let mut ops: Vec<Op> = vec![Op::from(UnaryProblem::new(&TensorType::new(&[3, 40], element, layout), Activation::Gelu).unwrap())];
    for length in [3, 100, 3000] {
        ops.push(Op::from(
            SoftmaxProblem::new(&TensorType::new(&[2, length], element, layout), &SoftmaxDescriptor { axis: 1, ..Default::default() }).unwrap(),
        ));
    }
    ops
}

fn plans(gpu: &Gpu) -> Vec<Plan> {
    ops().iter().map(|op| gpu.plan(op).unwrap()).collect()
}

/// A device that calls `on_compile` with the label of each kernel that it compiles.
fn watched(on_compile: impl Fn(&str) + Send + Sync + 'static) -> Gpu {
    let patch = move |label: &str, text: String| {
        on_compile(label);
        text
    };
    Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(patch))), ..Default::default() }).unwrap()
}

#[test]
fn a_kernel_that_many_threads_want_is_compiled_once() {
    let labels = Arc::new(Mutex::new(Vec::new()));
    let seen = labels.clone();
    let gpu = watched(move |label| {
        seen.lock().unwrap().push(label.to_string());
        std::thread::sleep(Duration::from_millis(50)); // time for the others to come while it is under way
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ops().iter().for_each(|op| drop(Prepared::new(&gpu, op, &[]).unwrap())));
        }
    });
    let mut distinct = labels.lock().unwrap().clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 2, "{distinct:?}");
    assert_eq!(labels.lock().unwrap().len(), distinct.len(), "{labels:?}");
    assert_eq!(gpu.compiled().pipelines, distinct.len());
}

#[test]
fn several_kernels_are_compiled_at_once_and_preparing_finds_them() {
    let (most, changed) = (Arc::new(Mutex::new((0, 0))), Arc::new(Condvar::new()));
    let (counted, signal) = (most.clone(), changed.clone());
    let gpu = watched(move |_| {
        let mut state = counted.lock().unwrap();
        state.0 += 1;
        state.1 = state.1.max(state.0);
        signal.notify_all();
        // Waits for another, which never comes where kernels are compiled one after the other.
        state = signal.wait_timeout_while(state, Duration::from_secs(2), |(_, most)| *most < 2).unwrap().0;
        state.0 -= 1;
    });
    let plans = plans(&gpu);
    gpu.compile(&plans.iter().collect::<Vec<_>>()).unwrap();
    let before = gpu.compiled();
    assert!(before.pipelines > 2 && before.seconds > 0.0, "{before:?}");
    if rayon::current_num_threads() > 1 {
        assert!(most.lock().unwrap().1 > 1, "one after the other");
    }
    for op in ops() {
        drop(Prepared::new(&gpu, op, &[]).unwrap());
    }
    assert_eq!(gpu.compiled(), before, "nothing was left to compile");
}

#[test]
fn the_least_recently_used_pipelines_are_evicted_and_what_is_prepared_works_on() {
    let labels = Arc::new(Mutex::new(Vec::new()));
    let seen = labels.clone();
    let gpu = watched(move |label| seen.lock().unwrap().push(label.to_string()));
    gpu.set_pipeline_limit(2);
    let ops = ops();
    let compiled = |op: usize| {
        let before = labels.lock().unwrap().len();
        let prepared = Prepared::new(&gpu, &ops[op], &[]).unwrap();
        assert_eq!(prepared.plan().steps.len(), 1, "an op of one kernel");
        (prepared, labels.lock().unwrap().len() - before)
    };
    let (first, made) = compiled(1);
    assert_eq!(made, 1);
    assert_eq!([compiled(2).1, compiled(1).1, compiled(3).1], [1, 0, 1], "the third takes the place of the second, for the first was used since");
    assert_eq!([compiled(1).1, compiled(3).1, compiled(2).1], [0, 0, 1]);
    // The first was evicted by that, and its prepared op has a pipeline of its own.
    assert_eq!(compiled(1).1, 1);
    let x = gpu.upload(&ndarray::Array2::<f32>::ones((2, 3))).unwrap();
    let y = first.outputs().unwrap();
    let mut recorder = gpu.recorder();
    first.record(&mut recorder, &[&x], &[&y[0]]).unwrap();
    recorder.submit().unwrap();
    assert!((y[0].download::<f32, ndarray::Ix2>().unwrap()[[1, 2]] - 1.0 / 3.0).abs() < 1e-6);
    // More wanted at once than are kept.
    gpu.set_pipeline_limit(0);
    let plans = plans(&gpu);
    gpu.compile(&plans.iter().collect::<Vec<_>>()).unwrap();
    assert!(Prepared::new(&gpu, &ops[0], &[]).is_ok());
}

/// Errors are caught on the thread that compiles, and are those of the first plan that has one.
#[test]
fn a_kernel_that_cannot_be_compiled_is_named_and_the_device_goes_on() {
    let broken = |label: &str, text: String| if label.starts_with("softmax") { text + "\nbroken" } else { text };
    let gpu = Gpu::with_descriptor(&GpuDescriptor { source_patch: Some(SourcePatch(Arc::new(broken))), ..Default::default() }).unwrap();
    let plans = plans(&gpu);
    for _ in 0..2 {
        let Err(Error::Internal { label, .. }) = gpu.compile(&plans.iter().collect::<Vec<_>>()) else { panic!("it was compiled") };
        assert_eq!(label, plans[1].steps[0].kernel.label());
    }
    let gelu = &ops()[0];
    let x = gpu.upload(&ndarray::Array2::<f32>::ones((3, 40))).unwrap();
    assert!(gpu.run(|r| r.op(gelu, &[&x])).unwrap()[0].download::<f32, ndarray::Ix2>().unwrap()[[0, 0]] > 0.8);
}

/// A device with a file in `folder`, and the bytes that it found there; none where the device has no such cache.
fn open(folder: &Path) -> Option<(Gpu, usize)> {
    let gpu = Gpu::new().unwrap();
    assert_eq!(gpu.pipeline_cache_file(), None, "nobody asked for one");
    let bytes = gpu.set_pipeline_cache(Some(folder));
    assert_eq!(gpu.pipeline_cache_file().is_some(), gpu.report().features.contains(&"pipeline_cache"));
    gpu.pipeline_cache_file().map(|_| (gpu, bytes))
}

fn compile(gpu: &Gpu) {
    gpu.compile(&plans(gpu).iter().collect::<Vec<_>>()).unwrap();
}

#[test]
fn pipelines_are_kept_and_what_cannot_be_trusted_is_not_used() {
    let folder = folder("kept").join("made/on/demand");
    let Some((first, bytes)) = open(&folder) else { return };
    assert_eq!(bytes, 0);
    first.save_pipeline_cache().unwrap();
    assert!(!folder.exists(), "nothing was compiled, so nothing is written");
    compile(&first);
    first.save_pipeline_cache().unwrap();
    let file = first.pipeline_cache_file().unwrap();
    let whole = std::fs::read(&file).unwrap();

    let (second, bytes) = open(&folder).unwrap();
    assert!(bytes > 0 && bytes < whole.len(), "{bytes} of {}", whole.len());
    compile(&second);
    let x = second.upload(&ndarray::Array2::<f32>::ones((2, 3))).unwrap();
    let y = second.run(|r| r.op(&ops()[1], &[&x])).unwrap()[0].download::<f32, ndarray::Ix2>().unwrap();
    assert!(y.iter().all(|y| (y - 1.0 / 3.0).abs() < 1e-6), "{y}");

    // Torn, changed, of another version, no such file at all: ignored, and replaced by the next process.
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    let version = String::from_utf8_lossy(&whole[..400.min(whole.len())]).find("0.1.0").unwrap();
    let mut foreign = whole.clone();
    foreign[version] = b'9';
    for untrusted in [&whole[..whole.len() / 2], &changed, &foreign, b"", b"wgconv pipelines\n", &[0; 4096]] {
        std::fs::write(&file, untrusted).unwrap();
        let (gpu, bytes) = open(&folder).unwrap();
        assert_eq!(bytes, 0);
        compile(&gpu);
        gpu.save_pipeline_cache().unwrap();
        assert!(open(&folder).unwrap().1 > 0);
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "only the file is left");
}

#[test]
fn two_that_write_at_once_leave_a_whole_file() {
    let folder = folder("two");
    let Some((first, _)) = open(&folder) else { return };
    let (second, _) = open(&folder).unwrap();
    std::thread::scope(|scope| {
        for gpu in [&first, &second] {
            scope.spawn(|| {
                compile(gpu);
                gpu.save_pipeline_cache().unwrap();
            });
        }
    });
    assert!(open(&folder).unwrap().1 > 0);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = folder("file");
    let place = folder.join("no folder");
    std::fs::write(&place, "a file").unwrap();
    let Some((gpu, bytes)) = open(&place) else { return };
    assert_eq!(bytes, 0);
    compile(&gpu);
    let error = gpu.save_pipeline_cache().unwrap_err().to_string();
    assert!(error.contains("the pipeline cache is ") && error.contains("no folder"), "{error}");
}
