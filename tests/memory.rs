//! Running out of memory: an upload for which there is none is an error and the device works on, and uploads hold no second copy of
//! what they have brought. In processes of their own, whose memory is limited or measured.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use ndarray::{Array2, Ix2};
use wgconv::{Activation, ElementType, Error, Gpu, Layout};

/// Names the part of this file that a child process plays.
const ROLE: &str = "WGCONV_MEMORY_ROLE";

/// Runs a role in a process of its own, with so many KiB of address space; wgpu has been seen to hang where it has no memory.
fn child(role: &str, kib: Option<u64>) -> std::process::Output {
    let limit = kib.map_or(String::new(), |kib| format!("ulimit -v {kib} && "));
    let test = std::env::current_exe().unwrap();
    let mut command = std::process::Command::new("sh");
    command.arg("-c").arg(format!("{limit}exec timeout 200 \"$0\" --exact {role} --nocapture --test-threads=1")).arg(test).env(ROLE, role);
    // Each of the driver's threads would reserve address space of its own.
    command.env("LP_NUM_THREADS", "1").env("RAYON_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1").output().unwrap()
}

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A line of /proc/self/status, in KiB.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// Whether device memory is this process's own: on a real GPU a limit on address space says nothing.
fn is_software(gpu: &Gpu) -> bool {
    gpu.report().device_type == "cpu"
}

const MIB: usize = 1 << 20;

fn assert_works(gpu: &Gpu) {
    let x = gpu.upload(&Array2::<f32>::from_elem((4, 8), -2.0)).unwrap();
    let y = gpu.run(|r| r.activation(&x, Activation::Relu)).unwrap();
    assert_eq!(y.download::<f32, Ix2>().unwrap().sum(), 0.0);
}

/// Fills the memory with uploads until one fails, drops them, and works on; twice.
#[test]
fn role_fill() {
    if std::env::var(ROLE).as_deref() != Ok("role_fill") {
        return; // the parent calls it
    }
    let gpu = Gpu::new().unwrap();
    assert_works(&gpu);
    let array = Array2::<f32>::ones((66, MIB / 4));
    for _ in 0..2 {
        let mut tensors = vec![];
        let error = loop {
            match gpu.upload(&array) {
                Ok(tensor) => tensors.push(tensor),
                Err(error) => break error,
            }
            assert!(tensors.len() < 100, "the limit does not hold");
        };
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
        assert!(tensors.len() > 3, "{}: {error}", tensors.len());
        println!("{} uploads of 66 MiB, then: {error}", tensors.len());
        tensors.truncate(1);
        gpu.wait().unwrap();
        assert_eq!(tensors[0].download::<f32, Ix2>().map(|back| back == array), Ok(true), "what is there is whole");
        drop(tensors);
        gpu.wait().unwrap();
        assert_works(&gpu);
    }
    println!("works on");
}

#[test]
fn an_upload_without_memory_is_an_error_and_the_device_works_on() {
    if !is_software(&Gpu::new().unwrap()) {
        eprintln!("not on this device: its memory is not this process's");
        return;
    }
    // Address space of a process that has a device and an array of 66 MiB, measured here: the rest of the limit is what uploads may fill.
    let own = status("VmSize").max(1 << 20);
    for room in [350, 400, 466, 600] {
        let output = child("role_fill", Some(own + room * 1024));
        assert!(output.status.success() && text(&output).contains("works on"), "{room} MiB: {}", text(&output));
    }
}

/// 32 uploads of 16 MB: what is resident after them is what they hold.
#[test]
fn role_many() {
    if std::env::var(ROLE).as_deref() != Ok("role_many") {
        return; // the parent calls it
    }
    let gpu = Gpu::new().unwrap();
    assert_works(&gpu);
    let array = Array2::<f32>::ones((16, MIB / 4));
    let before = status("VmRSS") / 1024;
    let tensors: Vec<_> = (0..32).map(|_| gpu.upload(&array).unwrap()).collect();
    // The first submit after them is what has wgpu copy anything that it kept until then.
    assert_works(&gpu);
    let [peak, held] = ["VmHWM", "VmRSS"].map(|name| status(name) / 1024 - before);
    println!("{peak} MiB at most, {held} MiB after {} uploads", tensors.len());
    // The tensors' 512 MiB, staging buffers under way and the blocks that the allocator keeps of them.
    assert!(held < 700 && peak < 700, "{peak} MiB at most, {held} MiB held");
    let last = gpu.zeros(&[4], ElementType::F32, Layout::ChannelsFirst).unwrap();
    assert_eq!(last.download::<f32, ndarray::Ix1>().unwrap().sum(), 0.0);
    assert_eq!(tensors[31].download::<f32, Ix2>().unwrap().sum(), 4.0 * MIB as f32);
    println!("works on");
}

#[test]
fn many_uploads_without_a_submit_hold_no_second_copy() {
    if !is_software(&Gpu::new().unwrap()) {
        eprintln!("not on this device: its memory is not this process's");
        return;
    }
    let output = child("role_many", None);
    assert!(output.status.success() && text(&output).contains("works on"), "{}", text(&output));
}
