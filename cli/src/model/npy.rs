//! Arrays in NumPy's files as tensors of a model, and results as such files. A header's extents are held against the file before memory is taken.

use crate::Failure;
use crate::input::bounded;
use crate::picture;
use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{ViewNpyError, ViewNpyExt, WriteNpyExt};
use std::fs::File;
use std::path::Path;
use wgconv_onnx::{Element, Tensor};

/// Bytes of an array's file at most.
const LARGEST: u64 = 4 << 30;

/// Reads an array: floats of 32 and 64 bits, integers and bool, in C order.
pub fn read(path: &Path) -> Result<Tensor<'static>, Failure> {
    let fail = |why: String| Failure::Run(format!("{}: {why}", picture::name(path)));
    let bytes = File::open(path).map_err(|e| e.to_string()).and_then(|file| bounded(file, LARGEST)).map_err(&fail)?;
    // Arrays are viewed where they lie, which must be aligned for their elements.
    let mut aligned = vec![0u64; bytes.len().div_ceil(8)];
    let all: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
    all[..bytes.len()].copy_from_slice(&bytes);
    tensor(&all[..bytes.len()]).map_err(fail)
}

fn tensor(bytes: &[u8]) -> Result<Tensor<'static>, String> {
    macro_rules! of {
        ($type:ty, $array:ident => $make:expr) => {
            match ArrayViewD::<$type>::view_npy(bytes) {
                Ok($array) => return $make.map_err(|e: wgconv_onnx::Error| e.to_string()),
                Err(ViewNpyError::WrongDescriptor(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        };
    }
    macro_rules! of_integers {
        ($($type:ty, $element:ident;)*) => {
            $(of!($type, a => Tensor::integers(Element::$element, a.shape(), a.iter().map(|&v| i64::from(v)).collect()));)*
        };
    }
    of!(f32, a => Tensor::f32(a.shape(), a.iter().copied().collect()));
    of!(f64, a => Tensor::f32(a.shape(), a.iter().map(|&v| v as f32).collect()));
    of_integers! { i64, I64; i32, I32; i16, I16; i8, I8; u8, U8; u16, U16; u32, U32; bool, Bool; }
    Err("its elements are none of float32, float64, bool and integers".into())
}

/// An array as a file.
pub fn bytes(array: &ArrayD<f32>) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![];
    array.write_npy(&mut bytes).map_err(|e| Failure::Run(e.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn arrays_of_all_types_come_back() {
        let written = bytes(&ArrayD::from_shape_vec(vec![2, 3], vec![0.0, -1.0, 2.5, f32::INFINITY, 4.0, 5.0]).unwrap()).ok().unwrap();
        let read = tensor(&written).unwrap();
        assert_eq!((read.element(), read.dims(), read.to_f64()), (Element::F32, &[2, 3][..], vec![0.0, -1.0, 2.5, f64::INFINITY, 4.0, 5.0]));
        let mut integers = vec![];
        ArrayD::<i64>::from_shape_vec(vec![2], vec![-1, 1 << 40]).unwrap().write_npy(&mut integers).unwrap();
        assert_eq!(tensor(&integers).unwrap().as_integers(), Some(&[-1, 1 << 40][..]));
    }

    #[test]
    fn headers_that_promise_more_than_the_file_has_are_refused() {
        let written = bytes(&ArrayD::zeros(vec![2, 3])).ok().unwrap();
        let text = String::from_utf8_lossy(&written).replace("(2, 3)", "(9999999999, 9999999)");
        assert!(tensor(text.as_bytes()).is_err() && tensor(&written[..written.len() - 1]).is_err() && tensor(b"").is_err());
    }
}
