//! Tensors on the host: initializers, and what shape arithmetic makes of them. Numbers that lie in the file as f32, f64 or i64 and are aligned there are
//! borrowed, others are converted once.

use crate::error::{Error, Result};
use crate::external;
use crate::proto;
use half::{bf16, f16};
use std::borrow::Cow;
use std::path::Path;

/// Element types of ONNX that have a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are ONNX's")]
pub enum Element {
    F32,
    F64,
    F16,
    BF16,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    Bool,
}

impl Element {
    /// By its number in TensorProto.DataType.
    pub fn of_number(number: i64) -> Option<Self> {
        Some(match number {
            1 => Element::F32,
            2 => Element::U8,
            3 => Element::I8,
            4 => Element::U16,
            5 => Element::I16,
            6 => Element::I32,
            7 => Element::I64,
            9 => Element::Bool,
            10 => Element::F16,
            11 => Element::F64,
            12 => Element::U32,
            13 => Element::U64,
            16 => Element::BF16,
            _ => return None,
        })
    }

    /// As ONNX's text format has it.
    pub const fn name(self) -> &'static str {
        match self {
            Element::F32 => "float",
            Element::F64 => "double",
            Element::F16 => "float16",
            Element::BF16 => "bfloat16",
            Element::U8 => "uint8",
            Element::I8 => "int8",
            Element::U16 => "uint16",
            Element::I16 => "int16",
            Element::U32 => "uint32",
            Element::I32 => "int32",
            Element::U64 => "uint64",
            Element::I64 => "int64",
            Element::Bool => "bool",
        }
    }

    /// Whether it is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, Element::F32 | Element::F64 | Element::F16 | Element::BF16)
    }

    /// Bytes of one in `raw_data`.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Element::U8 | Element::I8 | Element::Bool => 1,
            Element::F16 | Element::BF16 | Element::U16 | Element::I16 => 2,
            Element::F32 | Element::U32 | Element::I32 => 4,
            Element::F64 | Element::U64 | Element::I64 => 8,
        }
    }

    /// A float as this type holds it; only for float types.
    pub(crate) fn rounded(self, value: f64) -> f64 {
        match self {
            Element::F16 => f16::from_f64(value).to_f64(),
            Element::BF16 => bf16::from_f64(value).to_f64(),
            Element::F32 => f64::from(value as f32),
            _ => value,
        }
    }

    /// An integer as this type holds it, the bits above dropped; only for integer types.
    pub(crate) const fn wrapped(self, value: i64) -> i64 {
        match self {
            Element::U8 => value as u8 as i64,
            Element::I8 => value as i8 as i64,
            Element::U16 => value as u16 as i64,
            Element::I16 => value as i16 as i64,
            Element::U32 => value as u32 as i64,
            Element::I32 => value as i32 as i64,
            Element::Bool => (value != 0) as i64,
            _ => value,
        }
    }

    /// The smallest and the largest of an integer type.
    pub(crate) const fn range(self) -> [i64; 2] {
        match self {
            Element::U8 => [0, u8::MAX as i64],
            Element::I8 => [i8::MIN as i64, i8::MAX as i64],
            Element::U16 => [0, u16::MAX as i64],
            Element::I16 => [i16::MIN as i64, i16::MAX as i64],
            Element::U32 => [0, u32::MAX as i64],
            Element::I32 => [i32::MIN as i64, i32::MAX as i64],
            Element::Bool => [0, 1],
            Element::U64 => [0, i64::MAX],
            _ => [i64::MIN, i64::MAX],
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a tensor holds, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers<'a> {
    /// float, and float16 and bfloat16 widened.
    F32(Cow<'a, [f32]>),
    /// double
    F64(Cow<'a, [f64]>),
    /// Integers, and bool as 0 and 1. A uint64 is below 2^63.
    I64(Cow<'a, [i64]>),
}

impl Numbers<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::F64(numbers) => numbers.len(),
            Numbers::I64(numbers) => numbers.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn into_owned(self) -> Numbers<'static> {
        match self {
            Numbers::F32(numbers) => Numbers::F32(Cow::Owned(numbers.into_owned())),
            Numbers::F64(numbers) => Numbers::F64(Cow::Owned(numbers.into_owned())),
            Numbers::I64(numbers) => Numbers::I64(Cow::Owned(numbers.into_owned())),
        }
    }
}

/// A tensor whose numbers are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<'a> {
    element: Element,
    dims: Vec<usize>,
    numbers: Numbers<'a>,
}

impl Tensor<'static> {
    /// A tensor of f32.
    ///
    /// # Errors
    /// Another count of numbers than the extents make.
    pub fn f32(dims: &[usize], numbers: Vec<f32>) -> Result<Self> {
        Self::checked(Element::F32, dims.to_vec(), Numbers::F32(Cow::Owned(numbers)), "tensor")
    }

    /// A tensor of an integer type or bool.
    ///
    /// # Errors
    /// Another count of numbers than the extents make; a float type; a number that the type does not hold.
    pub fn integers(element: Element, dims: &[usize], numbers: Vec<i64>) -> Result<Self> {
        let [low, high] = element.range();
        if element.is_float() {
            return Err(Error::argument("element", element, "it is an integer type or bool"));
        }
        if let Some(number) = numbers.iter().find(|&&n| n < low || n > high) {
            return Err(Error::argument("numbers", number, format!("a number of {element} is {low} to {high}")));
        }
        Self::checked(element, dims.to_vec(), Numbers::I64(Cow::Owned(numbers)), "tensor")
    }

    /// Reads a TensorProto in a file of its own, such as ONNX's tests have.
    ///
    /// # Errors
    /// Bytes that are no such message; an element type or a count that does not fit.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let tensor = proto::tensor_file(bytes)?;
        Ok(Tensor::decode(&tensor, bytes, None)?.into_owned())
    }

    /// Made by the importer, from counts that are right.
    pub(crate) fn made(element: Element, dims: Vec<usize>, numbers: Numbers<'static>) -> Self {
        debug_assert_eq!(count(&dims), Some(numbers.len()));
        Self { element, dims, numbers }
    }

    /// Numbers of i64, one-dimensional.
    pub(crate) fn list(numbers: Vec<i64>) -> Self {
        Self::made(Element::I64, vec![numbers.len()], Numbers::I64(Cow::Owned(numbers)))
    }

    /// One number of i64, of rank 0.
    pub(crate) fn integer(number: i64) -> Self {
        Self::made(Element::I64, vec![], Numbers::I64(Cow::Owned(vec![number])))
    }
}

impl<'a> Tensor<'a> {
    /// Its type in ONNX.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Its extents; one of them may be 0.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Its numbers, row-major.
    pub fn numbers(&self) -> &Numbers<'a> {
        &self.numbers
    }

    /// Its numbers as f64; an i64 beyond 2^53 is rounded.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.numbers {
            Numbers::F32(numbers) => numbers.iter().map(|&v| f64::from(v)).collect(),
            Numbers::F64(numbers) => numbers.to_vec(),
            Numbers::I64(numbers) => numbers.iter().map(|&v| v as f64).collect(),
        }
    }

    /// Its integers; none where it holds floats.
    pub fn as_integers(&self) -> Option<&[i64]> {
        if let Numbers::I64(numbers) = &self.numbers { Some(numbers) } else { None }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Tensor<'static> {
        Tensor { element: self.element, dims: self.dims, numbers: self.numbers.into_owned() }
    }

    /// The same numbers under other extents of the same product.
    pub(crate) fn with_dims(&self, dims: Vec<usize>) -> Self {
        debug_assert_eq!(count(&dims), Some(self.numbers.len()));
        Self { dims, ..self.clone() }
    }

    fn checked(element: Element, dims: Vec<usize>, numbers: Numbers<'a>, place: &str) -> Result<Self> {
        let count = count(&dims).ok_or_else(|| Error::format(place, format!("the extents {dims:?} are past counting")))?;
        if count != numbers.len() {
            return Err(Error::format(place, format!("the extents {dims:?} make {count} elements, and it has {}", numbers.len())));
        }
        Ok(Self { element, dims, numbers })
    }

    /// What an initializer holds. `folder` is where external data lie.
    pub(crate) fn decode(tensor: &proto::Tensor, file: &'a [u8], folder: Option<&Path>) -> Result<Self> {
        let place = format!("tensor \"{}\"", tensor.name);
        let wrong = |rule: String| Error::format(&place, rule);
        let element = Element::of_number(i64::from(tensor.data_type))
            .ok_or_else(|| wrong(format!("elements of the type {}, {}, are not read", tensor.data_type, type_name(tensor.data_type))))?;
        if tensor.is_segment {
            return Err(wrong("a tensor in segments is not read".into()));
        }
        let dims = dims(&tensor.dims).map_err(&wrong)?;
        let count = count(&dims).ok_or_else(|| wrong(format!("the extents {dims:?} are past counting")))?;
        if tensor.is_external {
            let bytes = external::read(&tensor.external, folder, count as u64 * element.bytes() as u64, &place)?;
            return Self::checked(element, dims, Tensor::from_raw(element, &bytes).map_err(wrong)?.into_owned(), &place);
        }
        let numbers = match tensor.raw {
            Some(span) => Tensor::from_raw(element, span.of(file)).map_err(wrong)?,
            None => from_fields(element, tensor).map_err(wrong)?,
        };
        Self::checked(element, dims, numbers, &place)
    }

    /// Numbers as `raw_data` has them: little-endian, one after another.
    fn from_raw(element: Element, bytes: &'a [u8]) -> Result<Numbers<'a>, String> {
        fn each<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)).collect()
        }
        /// Borrowed where this machine's memory holds numbers as the file does.
        fn borrowed<'a, const N: usize, T: bytemuck::Pod>(bytes: &'a [u8], number: impl Fn([u8; N]) -> T) -> Cow<'a, [T]> {
            match bytemuck::try_cast_slice(bytes) {
                Ok(numbers) if cfg!(target_endian = "little") => Cow::Borrowed(numbers),
                _ => Cow::Owned(each(bytes, number)),
            }
        }
        if !bytes.len().is_multiple_of(element.bytes()) {
            return Err(format!("{} bytes are no whole numbers of {element}", bytes.len()));
        }
        let integers = |numbers: Vec<i64>| Numbers::I64(Cow::Owned(numbers));
        Ok(match element {
            Element::F32 => Numbers::F32(borrowed(bytes, f32::from_le_bytes)),
            Element::F64 => Numbers::F64(borrowed(bytes, f64::from_le_bytes)),
            Element::I64 => Numbers::I64(borrowed(bytes, i64::from_le_bytes)),
            Element::F16 => Numbers::F32(Cow::Owned(each(bytes, |b| f16::from_le_bytes(b).to_f32()))),
            Element::BF16 => Numbers::F32(Cow::Owned(each(bytes, |b| bf16::from_le_bytes(b).to_f32()))),
            Element::U8 => integers(bytes.iter().map(|&v| i64::from(v)).collect()),
            Element::Bool => integers(bytes.iter().map(|&v| i64::from(v != 0)).collect()),
            Element::I8 => integers(bytes.iter().map(|&v| i64::from(v as i8)).collect()),
            Element::U16 => integers(each(bytes, |b| i64::from(u16::from_le_bytes(b)))),
            Element::I16 => integers(each(bytes, |b| i64::from(i16::from_le_bytes(b)))),
            Element::U32 => integers(each(bytes, |b| i64::from(u32::from_le_bytes(b)))),
            Element::I32 => integers(each(bytes, |b| i64::from(i32::from_le_bytes(b)))),
            Element::U64 => integers(below_2_63(each(bytes, i64::from_le_bytes))?),
        })
    }
}

fn below_2_63(numbers: Vec<i64>) -> Result<Vec<i64>, String> {
    if numbers.iter().any(|&n| n < 0) { Err("a uint64 of 2^63 or more is not read".into()) } else { Ok(numbers) }
}

/// Numbers in the field that is for their type.
fn from_fields(element: Element, tensor: &proto::Tensor) -> Result<Numbers<'static>, String> {
    let in_range = |numbers: &[i64]| -> Result<Numbers<'static>, String> {
        let [low, high] = element.range();
        match numbers.iter().find(|&&n| n < low || n > high) {
            Some(number) => Err(format!("{number} is not of the type {element}")),
            None => Ok(Numbers::I64(Cow::Owned(numbers.to_vec()))),
        }
    };
    let halves = |widened: fn(u16) -> f32| Numbers::F32(Cow::Owned(tensor.int32s.iter().map(|&bits| widened(bits as u16)).collect()));
    match element {
        Element::F32 => Ok(Numbers::F32(Cow::Owned(tensor.floats.clone()))),
        Element::F64 => Ok(Numbers::F64(Cow::Owned(tensor.doubles.clone()))),
        Element::F16 => Ok(halves(|bits| f16::from_bits(bits).to_f32())),
        Element::BF16 => Ok(halves(|bits| bf16::from_bits(bits).to_f32())),
        Element::I64 => Ok(Numbers::I64(Cow::Owned(tensor.int64s.clone()))),
        Element::U64 => Ok(Numbers::I64(Cow::Owned(below_2_63(tensor.uint64s.clone())?))),
        Element::U32 => in_range(&tensor.uint64s),
        _ => in_range(&tensor.int32s),
    }
}

/// Elements of these extents, if they can be counted.
pub(crate) fn count(dims: &[usize]) -> Option<usize> {
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent)).filter(|&n| n < 1 << 60)
}

/// As [`count`], the largest number where it cannot be counted.
pub(crate) fn product(dims: &[usize]) -> usize {
    count(dims).unwrap_or(usize::MAX)
}

/// Extents as the file has them.
pub(crate) fn dims(of_file: &[i64]) -> Result<Vec<usize>, String> {
    of_file.iter().map(|&extent| usize::try_from(extent).map_err(|_| format!("the extents are {of_file:?}, and none may be negative"))).collect()
}

/// Element types that ONNX has and that are not read here.
pub(crate) fn type_name(number: i32) -> &'static str {
    match number {
        8 => "string",
        14 => "complex64",
        15 => "complex128",
        17 => "float8e4m3fn",
        18 => "float8e4m3fnuz",
        19 => "float8e5m2",
        20 => "float8e5m2fnuz",
        21 => "uint4",
        22 => "int4",
        23 => "float4e2m1",
        24 => "float8e8m0",
        25 => "uint2",
        26 => "int2",
        _ => "which is unknown",
    }
}
