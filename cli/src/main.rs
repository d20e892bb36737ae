//! wgconv program
fn main() {}
