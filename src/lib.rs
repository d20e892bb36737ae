//! wgconv
pub mod activation;
pub mod conv;
pub mod element;
mod error;
pub mod shape;

pub use activation::Activation;
pub use element::{Element, ElementType};
pub use error::{Error, Result};
