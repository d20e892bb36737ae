//! Training: a model, a loss and an optimizer on an engine, over data in memory.
//!
//! The network, its loss and the gradients of all parameters are one graph, and a step of training is one run of it and one step of the optimizer on all
//! parameters: on a GPU one submit. The same seed on the same engine gives the same bits.

mod augment;
#[cfg(feature = "weights")]
mod checkpoint;
mod data;
mod engine;
mod evaluation;
mod failure;
mod layers;
mod memory;
mod metrics;
mod on_cpu;
mod on_gpu;
mod optimizer;
mod sequential;
mod slots;
mod step;
mod stopping;
mod trainer;

pub use crate::graph::{BinaryWeights, CrossEntropyDescriptor, KlDescriptor, Reduction, Targets};
pub use crate::ops::optimizer::{OptimizerProblem, Rule, Scalars};
pub use augment::Augmentation;
pub use data::{Dataset, Labels};
pub use engine::Engine;
pub use memory::StepMemory;
pub use metrics::{Confusion, Epoch, Evaluation};
pub use optimizer::{Adagrad, Adam, Optimizer, RmsProp, Schedule, Sgd};
pub use sequential::{Initializer, Model, Sequential};
pub use stopping::EarlyStopping;
pub use trainer::{Loss, Trainer, TrainerDescriptor};
