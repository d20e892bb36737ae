//! Problems as they are written to files and read back: what a constructor takes, so that reading goes through it. A problem's private fields carry what
//! unchecked shaders rely on; an op that the constructor would refuse is an error and never an [`Op`](crate::ops::Op).

mod conv;
mod elementwise;
mod image;
mod indexed;
mod matmul;
mod pool;
mod rows;
mod transform;

pub(crate) use conv::Conv;
pub(crate) use elementwise::{Binary, Cast, Dropout, Unary, Where};
pub(crate) use image::Image;
pub(crate) use indexed::{Gather, Scatter, TopK};
pub(crate) use matmul::MatMul;
pub(crate) use pool::{MaxUnpool, Pool};
pub(crate) use rows::{Argmax, BatchNorm, Lrn, Norm, Reduce, Softmax};
pub(crate) use transform::{Concat, DepthToSpace, GridSample, Pad, Resize, Slice, ToLayout, Transpose};

use crate::types::{Error, Result};

/// A list of exactly N entries.
fn list<T: Copy + std::fmt::Debug, const N: usize>(name: &str, entries: &[T]) -> Result<[T; N]> {
    let wrong = |_| Error::invalid(name, format!("{entries:?}"), format!("it has {N} entries, not {}", entries.len()));
    <[T; N]>::try_from(entries).map_err(wrong)
}

/// A number that a constructor takes signed.
fn signed(name: &str, value: usize) -> Result<isize> {
    isize::try_from(value).map_err(|_| Error::invalid(name, value, "it does not fit"))
}

/// What is written beside the constructor's arguments must be what the constructor makes of them.
fn same<T: PartialEq + std::fmt::Debug>(name: &str, written: &T, made: &T) -> Result<()> {
    if written == made {
        return Ok(());
    }
    Err(Error::invalid(name, format!("{written:?}"), format!("the other numbers make it {made:?}")))
}
