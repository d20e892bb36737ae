//! What rounding does to numbers, and numbers to test with: how exact an answer must be ([`Accuracy`]), derived error bounds, a seeded generator.

mod accuracy;
pub mod bound;
mod generator;

pub use accuracy::Accuracy;
pub use generator::Generator;
