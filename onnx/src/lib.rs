//! ONNX files as graphs of wgconv.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use wgconv::{Gpu, Session, ndarray::Array4};
//! let model = wgconv_onnx::Model::read("resnet50.onnx")?;
//! let graph = model.graph(&[("data", &[1, 3, 224, 224])])?.optimized()?;
//! let scores = Session::gpu(&Gpu::new()?, &graph)?.run(&[("data", Array4::<f32>::ones((1, 3, 224, 224)).view())])?;
//! # Ok(())
//! # }
//! ```
//!
//! Three steps: `proto` reads the messages (untrusted bytes, nothing but spans and names), `import` walks the nodes with the shapes of the inputs known and
//! folds on the host all that follows from shapes and constants, `ops` makes recipes of the graph of what is left, each by ONNX's rules of the file's opset.
//! What cannot be imported is one error with every node of it.

mod error;
mod export;
mod external;
mod host;
mod import;
mod model;
mod ops;
mod proto;
mod tensor;

pub use error::{Error, Refusal, Result};
pub use export::export;
pub use import::{Given, Imported, Output};
pub use model::{Dim, Input, Model};
pub use tensor::{Element, Numbers, Tensor};

/// Whether an op of ONNX's own domain is imported, by its name, such as `Conv`. A node of it may still be refused for what it asks.
pub fn is_known(op: &str) -> bool {
    op == "If" || ops::find(op).is_some()
}
