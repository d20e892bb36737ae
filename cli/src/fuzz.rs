//! A fuzzer of bytes: every format that the program reads (the library's own tests damage the file of pipelines), whole files damaged at random, each read as the commands read it.
//!
//! Whatever a file holds, reading it ends in a value or in an error that names the file: no panic, no memory beyond a bound, no endless
//! work. `cargo test --workspace --bin wgconv fuzz` takes a few seconds; `WGCONV_FUZZ_SECONDS=600` gives each format ten minutes, and
//! `WGCONV_FUZZ_SEED` another start. A file that fails is left in the folder for temporary files, and the failure names it.

use crate::bench::{compare::Comparison, document::Document};
use crate::suites::{Kind, shapes};
use crate::vectors::{self, Family};
use crate::{Failure, kernels, picture, sound};
use image::{DynamicImage, ImageFormat};
use safetensors::tensor::{TensorView, serialize};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wgconv::numeric::Generator;
use wgconv::op::Problem;
use wgconv::tune::{Tuning, Verdict};

/// The system's allocator, which counts what a thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn count(change: impl Fn(usize) -> usize) {
    // A thread that is ending counts no more.
    let _ = HELD.try_with(|held| {
        held.set(change(held.get()));
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call is handed to the system's allocator as it came; the counters are numbers of this thread and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|held| held.wrapping_add(layout.size()));
        // SAFETY: the caller keeps the rules of `GlobalAlloc::alloc`, which are the system's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(|held| held.wrapping_add(layout.size()));
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(|held| held.saturating_sub(layout.size()).wrapping_add(size));
        // SAFETY: the pointer came from the system's allocator with this layout, since every call above is handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(|held| held.saturating_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` held at once beyond those held before, on this thread.
pub fn memory_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.with(Cell::get);
    MOST.with(|most| most.set(before));
    let result = work();
    (result, MOST.with(Cell::get).saturating_sub(before))
}

/// Numbers that look random and come again.
struct Random(Generator);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0.below(n as u64) as usize
    }
}

/// What numbers in texts are replaced by.
const EXTREMES: [&str; 18] = [
    "0",
    "-1",
    "1",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "99999999999999999999",
    "1e308",
    "-1e-308",
    "0.5",
    "null",
    "true",
    "[]",
    "[[[[[[]]]]]]",
    "{}",
    "\"\"",
    "\"\\u0000\\u001b\"",
];

/// Damages a file in one to four ways.
fn damage(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let (at, length) = (random.below(bytes.len() + 1), random.below(32));
        let end = (at + length).min(bytes.len());
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 if random.below(4) == 0 => bytes.truncate(at),
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                bytes.splice(at..end, other[from..(from + length).min(other.len())].iter().copied());
            }
            6 => {
                // A size in a header.
                let value = [0u32, 1, 0xffff, 0x7fff_ffff, 0xffff_ffff, 60_000][random.below(6)];
                let field = if random.below(2) == 0 { value.to_be_bytes() } else { value.to_le_bytes() };
                bytes.iter_mut().skip(at).zip(field).for_each(|(byte, new)| *byte = new);
            }
            _ => replace_number(random, &mut bytes),
        }
    }
    bytes
}

/// Replaces a number of a text, where there is one behind a random place, by an extreme one or by something else.
fn replace_number(random: &mut Random, bytes: &mut Vec<u8>) {
    let from = random.below(bytes.len());
    let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit).map(|place| from + place) else { return };
    let end = bytes[start..].iter().position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |place| start + place);
    let extreme = EXTREMES[random.below(EXTREMES.len())];
    bytes.splice(start..end, extreme.bytes());
}

/// Gives a PNG the checksums of its damaged chunks, so that the damage is read.
fn mend_checksums(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4).and_then(|field| field.try_into().ok()).map(|field| u32::from_be_bytes(field) as usize) {
        let Some(end) = at.checked_add(8).and_then(|body| body.checked_add(length)).filter(|end| end + 4 <= bytes.len()) else { return };
        let step = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)));
        let crc = !bytes[at + 4..end].iter().fold(u32::MAX, step);
        bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
        at = end + 4;
    }
}

/// Files of one format.
struct Target<'a> {
    name: &'a str,
    /// The name of the file that is damaged, in a folder of the target's own.
    file: &'a str,
    seeds: Vec<Vec<u8>>,
    /// Bytes of memory at most.
    memory: usize,
    /// Reads the file at a path as the program does.
    read: &'a dyn Fn(&Path) -> Result<(), String>,
}

/// An empty folder under the system's one for temporary files.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wgconv-fuzz-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

impl Target<'_> {
    /// Reads whole files, which must be read, and damaged ones until the time is over.
    fn run(&self, folder: &Path) {
        let path = folder.join(self.file);
        for seed in &self.seeds {
            std::fs::write(&path, seed).unwrap();
            (self.read)(&path).unwrap_or_else(|why| panic!("a whole file of {} is refused: {why}", self.name));
        }
        let limit = Duration::from_secs_f64(variable("WGCONV_FUZZ_SECONDS").map_or(0.7, |seconds| seconds as f64));
        let seed = variable("WGCONV_FUZZ_SEED").unwrap_or(1);
        let (mut random, start, mut done, mut refused) = (Random(Generator::from_text(&seed.to_string())), Instant::now(), 0u64, 0u64);
        while done < 50 || start.elapsed() < limit {
            let mut bytes = damage(&mut random, &self.seeds);
            if bytes.starts_with(b"\x89PNG") && random.below(4) > 0 {
                mend_checksums(&mut bytes);
            }
            std::fs::write(&path, &bytes).unwrap();
            let begin = Instant::now();
            let (outcome, memory) = memory_of(|| catch_unwind(AssertUnwindSafe(|| (self.read)(&path))));
            let fault = match outcome {
                Err(_) => Some("it panics".to_string()),
                Ok(Err(why)) if !why.contains(self.file) => Some(format!("the error does not name the file: {why}")),
                Ok(Err(why)) if why.chars().any(char::is_control) => Some(format!("the error has control characters: {why:?}")),
                Ok(_) if memory > self.memory + 4 * bytes.len() => Some(format!("it takes {memory} bytes of memory")),
                Ok(_) if begin.elapsed() > Duration::from_secs(10) => Some(format!("it takes {:?}", begin.elapsed())),
                Ok(outcome) => {
                    refused += u64::from(outcome.is_err());
                    None
                }
            };
            if let Some(fault) = fault {
                let kept = std::env::temp_dir().join(format!("wgconv-fuzz-failed-{}", self.file));
                std::fs::write(&kept, &bytes).unwrap();
                panic!("{}, seed {seed}, file {done}: {fault}; the file is {}", self.name, kept.display());
            }
            done += 1;
        }
        assert!(refused > 0, "{}: no damage was noticed", self.name);
        println!("{}: {done} files, {refused} refused", self.name);
        std::fs::remove_dir_all(folder).unwrap();
    }
}

fn reason(failure: Failure) -> String {
    match failure {
        Failure::Usage(why) | Failure::Run(why) | Failure::Listed(why, _) => crate::one_line(&why),
        Failure::Reported | Failure::Interrupted => String::new(),
    }
}

#[test]
fn fuzz_pictures() {
    let noise = |x: u32, y: u32, c: u32| (x * 31 + y * 17 + x * y + c * 91) as u8;
    let colour = DynamicImage::from(image::RgbaImage::from_fn(23, 17, |x, y| image::Rgba([0, 1, 2, 3].map(|c| noise(x, y, c)))));
    let grey = DynamicImage::from(image::ImageBuffer::from_fn(19, 9, |x, y| image::Luma([u16::from(noise(x, y, 0)) * 257])));
    let file = |image: &DynamicImage, format: ImageFormat| {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    };
    let rgb = DynamicImage::from(colour.to_rgb8());
    let seeds = vec![
        file(&colour, ImageFormat::Png),
        file(&grey, ImageFormat::Png),
        file(&rgb, ImageFormat::Jpeg),
        file(&DynamicImage::from(grey.to_luma8()), ImageFormat::Jpeg),
        file(&colour, ImageFormat::WebP),
        file(&rgb, ImageFormat::Tiff),
        file(&grey, ImageFormat::Tiff),
    ];
    // One megapixel at most: 8 bytes each, as much again while it is turned or converted, and what decoders take for their tables.
    let read = |path: &Path| {
        let picture = picture::read(path, 1_000_000).map_err(reason)?;
        assert!(picture.width * picture.height <= 1_000_000 && picture.plane(0).len() == picture.width * picture.height);
        Ok(())
    };
    Target { name: "pictures", file: "picture.bin", seeds, memory: 100 << 20, read: &read }.run(&folder("pictures"));
}

#[test]
fn fuzz_shapes() {
    let timed = || wgconv::op::named::SIGNATURES.iter().filter(|signature| signature.is_timed());
    let mut seeds: Vec<Vec<u8>> = timed().map(|signature| format!("[{}]", signature.example()).into_bytes()).collect();
    let list = timed().map(|signature| signature.example()).collect::<Vec<_>>().join(",\n");
    seeds.push(format!("\u{feff}[{list}]").into_bytes());
    let long = json!([{"name": "a", "op": "conv", "attrs": {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "group": 4, "activation": {"type": "clip", "min": 0}},
        "inputs": {"x": [1, 8, 9, 9], "w": [4, 2, 3, 3], "b": [4]}}]);
    seeds.push(long.to_string().into_bytes());
    let read = |path: &Path| {
        for layer in shapes::read(path, Kind::PLAIN).map_err(reason)? {
            // What was read can be shown and counted.
            let op = layer.op();
            let _ = (op.to_string(), op.flops(), op.bytes(), op.outputs());
        }
        Ok(())
    };
    Target { name: "shapes", file: "shapes.json", seeds, memory: 16 << 20, read: &read }.run(&folder("shapes"));
}

#[test]
fn fuzz_sounds() {
    let channels = |count: u16| (0..count).map(|c| (0..300).map(|n| ((n * 7 + usize::from(c)) % 13) as f32 / 16.0).collect()).collect();
    let file = |count: u16, bits_per_sample: u16, sample_format| {
        let spec = hound::WavSpec { channels: count, sample_rate: 48_000, bits_per_sample, sample_format };
        sound::encode(&sound::Sound { spec, channels: channels(count) }).unwrap().0
    };
    let seeds = vec![file(1, 16, hound::SampleFormat::Int), file(2, 24, hound::SampleFormat::Int), file(3, 32, hound::SampleFormat::Float)];
    let read = |path: &Path| {
        let sound = sound::read(path).map_err(reason)?;
        assert!(sound.channels.iter().all(|channel| channel.len() == sound.length() && channel.iter().all(|v| v.is_finite())));
        Ok(())
    };
    Target { name: "sounds", file: "sound.wav", seeds, memory: 16 << 20, read: &read }.run(&folder("sounds"));
}

#[test]
fn fuzz_kernels() {
    let seeds = ["1,0,-1\n2,0,-2\n1,0,-1\n", "\u{feff}0.5, 1e-3\r\n\"2\", -7\r\n", "1"].map(|text| text.as_bytes().to_vec()).to_vec();
    let read = |path: &Path| kernels::passes(path.to_str().unwrap()).map(|_| ()).map_err(reason);
    Target { name: "kernels", file: "kernel.csv", seeds, memory: 16 << 20, read: &read }.run(&folder("kernels"));
}

/// A family of two cases, its tensors, and a list of bad calls.
fn family() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let attrs = json!({"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "group": 1, "auto_pad": "NOTSET", "pads": [0, 0, 0, 0],
        "padding_mode": "zeros", "activation": {"type": "none"}});
    let conv = json!({"name": "edge", "op": "conv", "dtype": "f32", "exact": true, "attrs": attrs.clone(), "inputs": {"x": "x", "w": "w"},
        "outputs": {"y": "y"}, "tolerance": {"y": {"abs": 0.0, "rel": 0.0}}});
    let slice = json!({"name": "cut", "op": "slice", "dtype": "f32", "attrs": {"starts": [1], "ends": [3], "axes": [2], "steps": [1]},
        "inputs": {"x": "y"}, "outputs": {"y": "s"}, "tolerance": {"y": {"abs": 0.0, "rel": 0.0}}});
    let bad = json!([{"name": "zero", "op": "conv", "attrs": attrs, "inputs": {"x": {"dtype": "f32", "shape": [1, 1, 6, 6]}, "w": {"dtype": "f32", "shape": [1, 1, 3, 0]}}}]);
    let arrays: [(&str, Vec<usize>); 4] = [("x", vec![1, 1, 6, 6]), ("w", vec![1, 1, 3, 3]), ("y", vec![1, 1, 4, 4]), ("s", vec![1, 1, 2, 4])];
    let data = arrays.map(|(name, shape)| (name, vec![0u8; 4 * shape.iter().product::<usize>()], shape));
    let views = data.iter().map(|(name, bytes, shape)| (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let tensors = serialize(views, None).unwrap();
    (json!([conv, slice]).to_string().into_bytes(), tensors, bad.to_string().into_bytes())
}

/// Reads the folder of a file and everything in it that needs no device.
fn read_family(path: &Path) -> Result<(), String> {
    let fail = |why: &str| Err(crate::one_line(&format!("{}: {why}", path.display())));
    for folder in vectors::folders(path.parent().unwrap())? {
        let _ = vectors::entry_count(&folder);
        match &vectors::read_family(&folder).family {
            Family::Broken(why) => return Err(crate::one_line(why)),
            Family::Bad(calls) => {
                if let Some(Err(broken)) = calls.iter().find(|call| call.is_err()) {
                    return fail(&broken.why);
                }
            }
            Family::Cases { cases, tensors } => {
                let tensors = SafeTensors::deserialize(tensors).map_err(|e| e.to_string())?;
                for case in cases {
                    match case {
                        Ok(case) => {
                            if let Err(why) = vectors::resolve(case, &tensors) {
                                return fail(&why); // under the case's address, in the folder of that name
                            }
                        }
                        Err(broken) => return fail(&broken.why),
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn fuzz_test_vectors() {
    let (cases, tensors, bad) = family();
    for (name, file, seed, beside) in [
        ("lists of cases", "cases.json", &cases, Some(("tensors.safetensors", &tensors))),
        ("tensors", "tensors.safetensors", &tensors, Some(("cases.json", &cases))),
        ("lists of bad calls", "bad.json", &bad, None),
    ] {
        let folder = folder(file);
        if let Some((other, bytes)) = beside {
            std::fs::write(folder.join(other), bytes).unwrap();
        }
        Target { name, file, seeds: vec![seed.clone()], memory: 16 << 20, read: &read_family }.run(&folder);
    }
}

#[test]
fn fuzz_documents() {
    let record = json!({"layer": "a", "op": "conv", "shape": "n1c3h9w9", "flops": 1000.0, "bytes": 2000, "algorithm": "direct", "picked": true,
        "gpu_ms": 2.0, "gpu_spread": 0.1, "cpu_ms": 1.0, "cpu_spread": null, "cpu_over_gpu": 0.5, "gflops": 1.0, "share_of_peak": 0.1,
        "gbytes_per_s": 1.0, "share_of_copy": 0.2, "gpu_samples": {"seconds": [0.002, 0.002]}, "cpu_samples": null});
    let document = json!({"version": "0.1.0", "wgpu": "30", "date": "2026-11-21", "command": ["wgconv", "bench"],
        "adapter": {"name": "a", "backend": "vulkan", "device_type": "cpu", "driver": "d", "driver_info": "1"},
        "peak": {"gflops": 10.0, "gbytes_per_s": 1.0}, "clock": "timestamps", "cpu": null, "cpu_threads": 2, "layers": [record], "failed": []});
    let whole: Document = serde_json::from_value(document.clone()).unwrap();
    let read = |path: &Path| {
        let old = Document::read("--compare", path).map_err(reason)?;
        if let Ok(comparison) = Comparison::new(&old, &whole, "old.json", 1.1) {
            let _ = (comparison.lines(), comparison.verdict());
        }
        Ok(())
    };
    let seeds = vec![document.to_string().into_bytes()];
    Target { name: "documents of bench", file: "old.json", seeds, memory: 16 << 20, read: &read }.run(&folder("documents"));
}

/// Tables that `isa --compare` reads.
#[test]
fn fuzz_tables() {
    use wgconv_isa::table::{Document, Row, Table};
    let innermost =
        wgconv_isa::machine_code::innermost_loop("Assembly", "BB0:\n\tv_fma_f32 v0, v0, v1, v2\n\tds_load_b128 v[0:3], v4\n\ts_branch BB0\n");
    assert!(innermost.is_some());
    let numbers = wgconv_isa::numbers::Numbers { spills: Some(3), scratch: Some(16), innermost, ..Default::default() };
    let row = Row { kernel: "a[f32,N=1]".into(), layers: vec!["one".into()], chosen: true, numbers: Some(numbers), not_compiled: None };
    let table = Table { chip: "navi31".into(), driver: "radv".into(), not_measured: None, kernels: vec![row] };
    let seed = Document { version: "0.1.0".into(), chips: vec![table.clone()] }.text().unwrap();
    let read = |path: &Path| {
        crate::isa::read(path).map_err(reason)?.chips.iter().for_each(|old| drop(old.compare(&table)));
        Ok(())
    };
    Target { name: "tables of isa", file: "old.json", seeds: vec![seed.into_bytes()], memory: 16 << 20, read: &read }.run(&folder("tables"));
}

/// Verdicts of the tuner: a file that cannot be used is ignored, with a warning that names it.
#[test]
fn fuzz_verdicts() {
    let gpu = wgconv::Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one");
    let folder = folder("verdicts");
    gpu.set_tuning(Tuning::Cached, Some(&folder));
    let layer = shapes::parse(r#"[{"name": "a", "op": "relu", "input": [64]}]"#, Kind::PLAIN).unwrap().remove(0);
    gpu.tune(layer.op(), Duration::ZERO, None).unwrap();
    let path = gpu.tuning_file().unwrap();
    let seeds = vec![std::fs::read(&path).unwrap()];
    let file = path.file_name().unwrap().to_str().unwrap();
    let read = |path: &Path| {
        gpu.set_tuning(Tuning::Cached, path.parent());
        let Some(tuned) = gpu.tuned(layer.op()) else { return Err(format!("{} is ignored", path.display())) };
        assert!(tuned.candidates.iter().all(|candidate| match candidate.verdict {
            Verdict::Verified { seconds } | Verdict::Slow { seconds } => seconds.is_finite() && seconds > 0.0,
            _ => true,
        }));
        // Whatever it says, the op still has a plan.
        gpu.plan(layer.op()).map(|_| ()).map_err(|e| panic!("{e}"))
    };
    Target { name: "verdicts", file, seeds, memory: 16 << 20, read: &read }.run(&folder);
}

/// Memory of a large picture on the CPU engine: its samples, the values of one channel before and after a link, and bands of those.
#[test]
fn a_large_picture_takes_few_times_its_size() {
    use crate::bands::{Engine, Planes};
    use ndarray::{Array2, ArrayView2};
    struct Samples(Vec<u8>, [usize; 2]);
    impl Planes for Samples {
        fn count(&self) -> usize {
            3
        }
        fn extents(&self) -> [usize; 2] {
            self.1
        }
        fn get(&self, channel: usize) -> Array2<f32> {
            Array2::from_shape_fn((self.1[0], self.1[1]), |(y, x)| f32::from(self.0[(y * self.1[1] + x) * 3 + channel]))
        }
        fn put(&mut self, channel: usize, values: ArrayView2<'_, f32>) {
            self.0.iter_mut().skip(channel).step_by(3).zip(values).for_each(|(s, v)| *s = *v as u8);
        }
    }
    let extents = [3000, 4000];
    let size = 3 * extents[0] * extents[1];
    let border = crate::chain::Border::parse("replicate").ok().unwrap();
    let links = crate::chain::filters(kernels::passes("sobel-x").ok().unwrap(), 1, border);
    let (_, memory) = memory_of(|| {
        let mut picture = Samples(vec![7; size], extents);
        assert!(Engine { gpu: None }.run(&mut picture, &links, &|_| ()).is_ok());
    });
    // One, 4/3 and 4/3 of its size; bands in and out are 64 MiB together, and a part more for what they read twice.
    assert!(memory <= size * 11 / 3 + (72 << 20), "{memory} bytes for {size}");
    assert!(memory >= size, "the counter counts");
}
