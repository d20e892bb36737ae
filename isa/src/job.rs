//! What goes between a program and the process that compiles for it: one line of JSON each way for every kernel.

use serde::{Deserialize, Serialize};
use wgconv::kernel::{BindingKind, KernelSpec};

/// A kernel to compile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Name with its numbers.
    pub label: String,
    /// The complete text.
    pub wgsl: String,
    /// Overrides that differ from their defaults.
    pub overrides: Vec<(String, u32)>,
    /// What group 0 binds.
    pub bindings: Vec<Binding>,
    /// Whether it takes cooperative matrices: drivers without them end the process.
    pub matrices: bool,
}

/// A buffer of group 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// Its number.
    pub number: u32,
    /// Whether it is a uniform buffer; else it is a storage buffer.
    pub uniform: bool,
}

/// What was opened to compile with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The device's name.
    pub name: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Version of Vulkan, major and minor.
    pub vulkan: [u32; 2],
    /// The vendor's number of PCI.
    pub vendor: u32,
    /// The device's number of that vendor.
    pub device: u32,
    /// Invocations of a subgroup, where a pipeline does not say.
    pub subgroup: u32,
    /// Whether the driver chooses the subgroup's size for each pipeline.
    pub subgroup_size_control: bool,
    /// Shapes of cooperative matrices, such as `16x16x16 F16 -> F32`.
    pub matrices: Vec<String>,
}

/// What became of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Compiled {
    /// Invocations of a subgroup, as it was compiled.
    pub subgroup: u32,
    /// Seconds that the driver took.
    pub seconds: f64,
    /// The driver's numbers, in its order.
    pub statistics: Vec<Statistic>,
    /// Texts of the driver by name: its intermediate forms and the machine code.
    pub listings: Vec<(String, String)>,
}

/// A number of the driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistic {
    /// As the driver calls it.
    pub name: String,
    /// The number.
    pub value: Value,
    /// What the driver says of it.
    pub says: String,
}

/// A number, as the driver has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// A number that may be negative.
    Signed(i64),
    /// A real number.
    Real(f64),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Whole(n) => n.fmt(f),
            Value::Signed(n) => n.fmt(f),
            Value::Real(n) => n.fmt(f),
        }
    }
}

impl Value {
    /// The number, 0 where it is negative.
    pub fn count(self) -> u64 {
        match self {
            Value::Whole(n) => n,
            Value::Signed(n) => n.max(0) as u64,
            Value::Real(n) => n.max(0.0) as u64,
        }
    }
}

impl Job {
    /// The kernel of a plan.
    ///
    /// # Errors
    /// Those of [`KernelSpec::wgsl`].
    pub fn new(kernel: &KernelSpec) -> wgconv::Result<Self> {
        Ok(Self {
            label: kernel.label(),
            wgsl: kernel.wgsl()?,
            overrides: kernel.overrides.iter().map(|(name, value)| (name.to_string(), *value)).collect(),
            bindings: kernel.bindings().map(|(number, kind)| Binding { number, uniform: kind == BindingKind::Uniform }).collect(),
            matrices: kernel.uses_coop_matrix(),
        })
    }
}
