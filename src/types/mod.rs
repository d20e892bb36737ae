//! The vocabulary of every layer: errors, shapes and layouts, element types, activations. Imports nothing of this crate.

pub mod activation;
mod activation_gradient;
pub(crate) mod bits;
pub mod element;
mod error;
pub(crate) mod float;
#[cfg(test)]
mod properties;
pub mod shape;
pub(crate) mod strided;
pub(crate) mod strided_axes;
pub mod tensor_type;

pub use activation::Activation;
pub use element::{Element, ElementType};
pub use error::{Error, Result};
pub use shape::{Layout, Padding, PaddingMode, TensorShape};
pub use tensor_type::TensorType;
