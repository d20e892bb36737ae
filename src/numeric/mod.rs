//! What rounding does to numbers, and numbers to test with: how exact an answer must be ([`Accuracy`]), derived error bounds, a seeded generator,
//! and the counter-based one of dropout.

pub(crate) mod accuracy;
pub mod bound;
pub(crate) mod generator;
pub(crate) mod matrix;
pub(crate) mod philox;
pub(crate) mod unit;

pub use accuracy::Accuracy;
pub use generator::Generator;
pub(crate) use matrix::{MatrixError, Operands};
pub(crate) use unit::sum_unit;
