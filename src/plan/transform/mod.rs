//! Planners of shape ops. Four kernels serve most of them: a strided copy (`copy`), a gather driven by a table of source offsets per axis (`gather`),
//! linear interpolation (`linear`), and a gather of sums driven by lists per axis (`adjoint`; `spread` where windows lie side by side).
//! Sampling at computed positions has one of its own (`grid_sample`).

pub(crate) mod adjoint;
pub(crate) mod copy;
pub(crate) mod gather;
pub(crate) mod grid_sample;
pub(crate) mod linear;
pub(crate) mod pad;
pub(crate) mod resize;
pub(crate) mod sources;
pub(crate) mod spread;

/// Elements of a row that one workgroup takes. Each workgroup decodes its row once, so the longer its part the less that costs; a GPU
/// wants many workgroups, a processor few.
pub(crate) fn row_part(run: u64, is_cpu: bool) -> u64 {
    run.min(if is_cpu { 2048 } else { 256 })
}

/// From this length on, a row is worth a workgroup of its own. Measured on three software drivers: at 16 one element per invocation is 2 to 4
/// times as fast, at 64 drivers differ, at 224 rows are 1.2 to 2.7 times as fast.
pub(crate) fn is_row(run: u64, is_cpu: bool) -> bool {
    run >= if is_cpu { 96 } else { 32 }
}
