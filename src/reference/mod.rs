//! The CPU twin of every kernel: plain loops, f64 sums, nothing clever. Public, because a validator wants to read what a kernel is
//! compared with. Beside each output it returns the sum of absolute products, from which the error bound follows.

mod conv;

pub(crate) use conv::check_lengths;
pub use conv::{ConvReference, conv};
