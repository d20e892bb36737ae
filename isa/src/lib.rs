//! What drivers make of the library's kernels: registers, spills, local memory, machine code. No kernel runs, so a driver that only compiles will do:
//! Mesa's RADV for AMD chips that the machine does not have.
//!
//! The program `wgconv isa` is the command on top. Drivers are chosen by the environment of a process and some end it over a kernel they cannot
//! compile, so they are asked in a process of their own (`service`).

pub mod chips;
pub mod drivers;
pub mod job;
pub mod machine_code;
pub mod numbers;
pub mod service;
pub mod spirv;
pub mod table;
mod vulkan;
