//! Tells the program which wgpu it is built with, as the lock file has it, so that a table of times can name it.

use std::path::Path;

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The workspace's lock file, or the one that a package brings along; without either the version stays unknown.
    let Some(lock) = [here.join("../Cargo.lock"), here.join("Cargo.lock")].into_iter().find(|path| path.exists()) else { return };
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = std::fs::read_to_string(&lock).unwrap_or_default().replace('\r', "");
    if let Some((_, rest)) = text.split_once("name = \"wgpu\"\nversion = \"")
        && let Some((version, _)) = rest.split_once('"')
    {
        println!("cargo::rustc-env=WGCONV_WGPU_VERSION={version}");
    }
}
