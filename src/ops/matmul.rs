//! A matrix product with all its numbers resolved and checked: matmul, gemm and linear differ only in how they get here.

use crate::numeric::{Accuracy, Operands};
use crate::ops::Problem;
use crate::ops::elementwise::binary::broadcast;
use crate::ops::spec::TensorSpec;
use crate::types::bits::by_bits;
use crate::types::{Activation, ElementType, Error, Layout, Result, TensorShape};
use serde::{Deserialize, Serialize};

pub(crate) const MATRIX: &str = "gemm_coop";

pub(crate) const SPLIT: &str = "gemm_f16x2";

impl MatMulProblem {
    /// An addend times zero is not read: it may hold anything.
    pub(crate) fn reads_addend(&self) -> bool {
        self.addend.is_some() && self.beta != 0.0
    }

    pub(crate) fn constant(&self) -> bool {
        self.product == Product::Linear
    }
}

/// alpha op(a) op(b) + beta c, as BLAS and ONNX have it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GemmDescriptor {
    /// Multiplies the product.
    pub alpha: f32,
    /// Multiplies c; at 0, c is not read.
    pub beta: f32,
    /// Whether a is stored K x M.
    pub trans_a: bool,
    /// Whether b is stored N x K.
    pub trans_b: bool,
    /// Applied last.
    pub activation: Activation,
    /// How exact the answer must be.
    pub accuracy: Accuracy,
}

impl Default for GemmDescriptor {
    fn default() -> Self {
        Self { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false, activation: Activation::None, accuracy: Accuracy::default() }
    }
}

/// A matrix product by numpy's rules.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatMulDescriptor {
    /// How exact the answer must be.
    pub accuracy: Accuracy,
}

/// A dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearDescriptor {
    /// Applied last.
    pub activation: Activation,
    /// How exact the answer must be.
    pub accuracy: Accuracy,
}

/// Extents of the tensors that a gemm or a dense layer takes.
#[derive(Debug, Clone, Copy)]
pub struct MatMulInputs<'a> {
    /// Left operand: a, or x of a dense layer.
    pub a: &'a [usize],
    /// Right operand: b, or w \[O, I\] of a dense layer.
    pub b: &'a [usize],
    /// c, or the bias of a dense layer.
    pub addend: Option<&'a [usize]>,
    /// Element type of all of them and of the output.
    pub element: ElementType,
}

impl<'a> MatMulInputs<'a> {
    /// f32.
    pub fn new(a: &'a [usize], b: &'a [usize], addend: Option<&'a [usize]>) -> Self {
        Self { a, b, addend, element: ElementType::F32 }
    }
}

/// How an operand of a product lies in memory, in elements.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operand {
    /// Extents as the caller has them.
    pub extents: Vec<usize>,
    /// Stride of each axis of the batch; 0 where it is broadcast.
    pub batch: [u64; 3],
    /// Stride of the outer index: rows of a, columns of b.
    pub outer: u64,
    /// Stride of the depth.
    pub depth: u64,
}

/// What is added to the product.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Addend {
    /// Extents as the caller has them.
    pub extents: Vec<usize>,
    /// Stride of each axis of the batch; 0 where it is broadcast.
    pub batch: [u64; 3],
    /// Stride along the rows of y; 0 where it is broadcast.
    pub rows: u64,
    /// Stride along the columns of y; 0 where it is broadcast.
    pub columns: u64,
}

/// Which of the three calls a product came from: it names the tensors, and says which are constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Product {
    /// a b, numpy's rules.
    MatMul,
    /// alpha op(a) op(b) + beta c
    Gemm,
    /// x w^T + b; w and b are constants.
    Linear,
}

/// A resolved product: y = activation(alpha a b + beta addend + residual), batch x M x N.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::MatMul", into = "crate::ops::written::MatMul")]
pub struct MatMulProblem {
    pub(crate) product: Product,
    pub(crate) batch: [u64; 3],
    pub(crate) m: u64,
    pub(crate) n: u64,
    pub(crate) k: u64,
    pub(crate) a: Operand,
    pub(crate) b: Operand,
    pub(crate) addend: Option<Addend>,
    pub(crate) has_residual: bool,
    pub(crate) y: Vec<usize>,
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
    pub(crate) activation: Activation,
    pub(crate) element: ElementType,
    pub(crate) accuracy: Accuracy,
}

by_bits! {
    MatMulProblem { product, batch, m, n, k, a, b, addend, has_residual, y, activation, element, accuracy } bits { alpha, beta }
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl MatMulProblem {
    /// Where it came from.
    pub fn product(&self) -> Product {
        self.product
    }

    /// Axes of the batch, the slowest first; those that are not there have extent 1.
    pub fn batch(&self) -> [u64; 3] {
        self.batch
    }

    /// Rows of a and y.
    pub fn m(&self) -> u64 {
        self.m
    }

    /// Columns of b and y.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Depth.
    pub fn k(&self) -> u64 {
        self.k
    }

    /// Left operand.
    pub fn a(&self) -> &Operand {
        &self.a
    }

    /// Right operand.
    pub fn b(&self) -> &Operand {
        &self.b
    }

    /// Bias or c.
    pub fn addend(&self) -> Option<&Addend> {
        self.addend.as_ref()
    }

    /// Whether another tensor of y's shape is added before the activation.
    pub fn has_residual(&self) -> bool {
        self.has_residual
    }

    /// Extents of y.
    pub fn y(&self) -> &[usize] {
        &self.y
    }

    /// Multiplies the product.
    pub fn alpha(&self) -> f32 {
        self.alpha
    }

    /// Multiplies the addend.
    pub fn beta(&self) -> f32 {
        self.beta
    }

    /// Applied last.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Element type of all.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// How exact the answer must be.
    pub fn accuracy(&self) -> Accuracy {
        self.accuracy
    }

    /// The same with, or without, a residual of y's shape that is added before the activation.
    #[must_use]
    pub fn with_residual(self, has_residual: bool) -> Self {
        Self { has_residual, ..self }
    }

    /// The same under another limit on the error.
    #[must_use]
    pub fn with_accuracy(self, accuracy: Accuracy) -> Self {
        Self { accuracy, ..self }
    }
}

impl MatMulProblem {
    /// numpy's matmul: operands of rank 1 are a row and a column, axes before the last two broadcast.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming argument, value and rule.
    pub fn matmul(a: &[usize], b: &[usize], element: ElementType) -> Result<Self> {
        element.check_float("a")?;
        for (name, extents) in [("a", a), ("b", b)] {
            TensorShape::named(name, extents)?;
            if extents.is_empty() {
                return Err(Error::invalid(name, "a scalar", "operands have rank 1 or more"));
            }
        }
        // A row has its one row added, a column its one column; y loses them again.
        let (wide_a, wide_b) = (if a.len() == 1 { vec![1, a[0]] } else { a.to_vec() }, if b.len() == 1 { vec![b[0], 1] } else { b.to_vec() });
        let (batch_a, batch_b) = (&wide_a[..wide_a.len() - 2], &wide_b[..wide_b.len() - 2]);
        let [m, k] = [wide_a[wide_a.len() - 2], wide_a[wide_a.len() - 1]];
        let [inner, n] = [wide_b[wide_b.len() - 2], wide_b[wide_b.len() - 1]];
        if k != inner {
            return Err(Error::invalid("b", format!("{b:?}"), format!("inner extents must agree: {k} of a, {inner} of b")));
        }
        let batch = broadcast(("the batch of a", batch_a), ("the batch of b", batch_b))?;
        let mut y = batch.clone();
        y.extend((a.len() > 1).then_some(m).into_iter().chain((b.len() > 1).then_some(n)));
        let strides = |own: &[usize], matrix: usize| batch_strides(&batch, own, matrix as u64);
        let operand_a = Operand { extents: a.to_vec(), batch: strides(batch_a, m * k), outer: k as u64, depth: 1 };
        let operand_b = Operand { extents: b.to_vec(), batch: strides(batch_b, k * n), outer: 1, depth: n as u64 };
        Ok(Self::checked(Product::MatMul, &batch, [m, n, k], operand_a, operand_b, y, element)?.merge_batch())
    }

    /// BLAS's gemm on matrices; the addend c broadcasts to M x N.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming argument, value and rule.
    pub fn gemm(inputs: &MatMulInputs<'_>, descriptor: &GemmDescriptor) -> Result<Self> {
        let &MatMulInputs { a, b, addend: c, element } = inputs;
        element.check_float("a")?;
        descriptor.activation.check()?;
        for (name, value) in [("alpha", descriptor.alpha), ("beta", descriptor.beta)] {
            if !value.is_finite() {
                return Err(Error::invalid(name, value, format!("{name} must be finite")));
            }
        }
        for (name, extents) in [("a", a), ("b", b)] {
            TensorShape::named(name, extents)?;
            if extents.len() != 2 {
                return Err(Error::invalid(name, format!("{extents:?}"), format!("gemm takes matrices of rank 2, not {}", extents.len())));
            }
        }
        let [m, k] = if descriptor.trans_a { [a[1], a[0]] } else { [a[0], a[1]] };
        let [inner, n] = if descriptor.trans_b { [b[1], b[0]] } else { [b[0], b[1]] };
        if k != inner {
            return Err(Error::invalid("b", format!("{b:?}"), format!("inner extents must agree: {k} of a, {inner} of b")));
        }
        let operand = |extents: &[usize], transposed: bool, outer_first: bool| {
            // The index that runs along the rows of memory has stride 1.
            let row = extents[1] as u64;
            let (outer, depth) = if outer_first != transposed { (row, 1) } else { (1, row) };
            Operand { extents: extents.to_vec(), batch: [0; 3], outer, depth }
        };
        let (operand_a, operand_b) = (operand(a, descriptor.trans_a, true), operand(b, descriptor.trans_b, false));
        let mut problem = Self::checked(Product::Gemm, &[], [m, n, k], operand_a, operand_b, vec![m, n], element)?;
        problem.addend = c.map(|c| addend("c", c, m, n)).transpose()?;
        Ok(Self { alpha: descriptor.alpha, beta: descriptor.beta, activation: descriptor.activation, accuracy: descriptor.accuracy, ..problem })
    }

    /// A dense layer: x \[..., I\], w \[O, I\], bias \[O\] give y \[..., O\] = activation(x w^T + bias).
    ///
    /// # Errors
    /// [`Error::Invalid`], naming argument, value and rule.
    pub fn linear(inputs: &MatMulInputs<'_>, descriptor: &LinearDescriptor) -> Result<Self> {
        let &MatMulInputs { a: x, b: w, addend: bias, element } = inputs;
        element.check_float("x")?;
        descriptor.activation.check()?;
        TensorShape::named("x", x)?;
        TensorShape::named("w", w)?;
        let &[out, inputs] = w else {
            return Err(Error::invalid("w", format!("{w:?}"), "it has rank 2: outputs x inputs"));
        };
        let Some((&last, rows)) = x.split_last() else {
            return Err(Error::invalid("x", "a scalar", "its last axis holds the inputs"));
        };
        if last != inputs {
            return Err(Error::invalid("x", format!("{x:?}"), format!("its last extent, {last}, must be w's second, {inputs}")));
        }
        if let Some(bias) = bias
            && bias != [out]
        {
            return Err(Error::invalid("bias", format!("{bias:?}"), format!("it has one value per output: [{out}]")));
        }
        let m = rows.iter().product();
        let y = rows.iter().copied().chain([out]).collect();
        let a = Operand { extents: x.to_vec(), batch: [0; 3], outer: inputs as u64, depth: 1 };
        let b = Operand { extents: w.to_vec(), batch: [0; 3], outer: inputs as u64, depth: 1 };
        let mut problem = Self::checked(Product::Linear, &[], [m, out, inputs], a, b, y, element)?;
        problem.addend = bias.map(|bias| Addend { extents: bias.to_vec(), batch: [0; 3], rows: 0, columns: 1 });
        Ok(Self { activation: descriptor.activation, accuracy: descriptor.accuracy, ..problem })
    }

    pub(crate) fn checked(
        product: Product,
        batch: &[usize],
        [m, n, k]: [usize; 3],
        a: Operand,
        b: Operand,
        y: Vec<usize>,
        element: ElementType,
    ) -> Result<Self> {
        if batch.len() > 3 {
            return Err(Error::invalid("a", format!("{:?}", a.extents), "a batch has at most three axes"));
        }
        TensorShape::named("the output", &y)?;
        let extents: [u64; 3] = std::array::from_fn(|i| (i + batch.len()).checked_sub(3).map_or(1, |i| batch[i] as u64));
        let (m, n, k) = (m as u64, n as u64, k as u64);
        Ok(Self {
            product,
            batch: extents,
            m,
            n,
            k,
            a,
            b,
            addend: None,
            has_residual: false,
            y,
            alpha: 1.0,
            beta: 1.0,
            activation: Activation::None,
            element,
            accuracy: Accuracy::default(),
        })
    }

    /// A batch of row-major a against one b is one taller product.
    pub(crate) fn merge_batch(self) -> Self {
        // The batch is y's, which b alone may have: with a's matrices it may be more than any tensor holds. Rows are y's.
        let whole = self.batches();
        let elements: u64 = self.a.extents.iter().map(|&e| e as u64).product();
        let contiguous = u128::from(elements) == u128::from(whole * self.m) * u128::from(self.k);
        if whole > 1 && contiguous && self.b.batch == [0; 3] {
            let a = Operand { batch: [0; 3], ..self.a };
            return Self { batch: [1; 3], m: whole * self.m, a, ..self };
        }
        self
    }

    /// Products of the batch.
    pub fn batches(&self) -> u64 {
        self.batch.iter().product()
    }

    /// Elements of y.
    pub fn output_count(&self) -> u64 {
        self.batches() * self.m * self.n
    }

    /// Multiply-adds (saturating).
    pub fn multiply_adds(&self) -> u64 {
        self.output_count().saturating_mul(self.k)
    }
}

/// One line that says all: `17x65x33` is M x N x K, followed by what is not the default.
impl std::fmt::Display for MatMulProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.m, self.n, self.k)?;
        let list = |values: &[u64]| values.iter().map(u64::to_string).collect::<Vec<_>>().join("x");
        if self.batches() > 1 {
            write!(f, "_b{}_sa{}_sb{}", list(&self.batch), list(&self.a.batch), list(&self.b.batch))?;
        }
        if self.product != Product::Linear {
            write!(f, "{}{}", if self.a.outer == 1 && self.m > 1 { "_ta" } else { "" }, if self.b.depth == 1 && self.k > 1 { "_tb" } else { "" })?;
        }
        if (self.alpha, self.beta) != (1.0, 1.0) {
            write!(f, "_al{}_be{}", self.alpha, self.beta)?;
        }
        if let Some(addend) = &self.addend {
            write!(f, "_c")?;
            if self.product == Product::Gemm {
                write!(f, "{}", addend.extents.iter().map(usize::to_string).collect::<Vec<_>>().join("x"))?;
            }
        }
        if self.has_residual {
            write!(f, "_r")?;
        }
        if self.activation != Activation::None {
            write!(f, "_{}", self.activation)?;
        }
        if self.a.extents.len() != 2 || self.b.extents.len() != 2 {
            write!(f, "_rank{}{}", self.a.extents.len(), self.b.extents.len())?;
        }
        if self.element == ElementType::F32 { Ok(()) } else { write!(f, "_{}", self.element) }
    }
}

/// What the algorithm of a label makes of its operands, if it multiplies on cooperative matrices.
pub(crate) fn operands_of(algorithm: &str) -> Option<Operands> {
    match algorithm.split(' ').next() {
        Some(MATRIX) => Some(Operands::F16),
        Some(SPLIT) => Some(Operands::F16x2),
        _ => None,
    }
}

/// Whether the algorithm or plan of this label needs cooperative matrices.
pub(crate) fn on_coop_matrix(label: &str) -> bool {
    operands_of(label).is_some()
}

/// Strides of an operand along the axes of the batch, which it may lack or broadcast.
fn batch_strides(batch: &[usize], own: &[usize], matrix: u64) -> [u64; 3] {
    let mut strides = [0; 3];
    let mut step = matrix;
    for i in 1..=own.len().min(3) {
        let extent = own[own.len() - i];
        if extent != 1 && batch.len() >= i {
            strides[3 - i] = step;
        }
        step *= extent as u64;
    }
    strides
}

/// Strides of `c` broadcast to m x n.
fn addend(name: &str, c: &[usize], m: usize, n: usize) -> Result<Addend> {
    if !c.is_empty() {
        TensorShape::named(name, c)?;
    }
    let rule = |why: String| Error::invalid(name, format!("{c:?}"), format!("it must broadcast to {m} x {n}: {why}"));
    if c.len() > 2 {
        return Err(rule(format!("it has rank {}", c.len())));
    }
    let column = c.last().copied().unwrap_or(1);
    let row = if c.len() == 2 { c[0] } else { 1 };
    for (extent, wanted) in [(row, m), (column, n)] {
        if extent != 1 && extent != wanted {
            return Err(rule(format!("extents are equal or 1, not {extent} and {wanted}")));
        }
    }
    let (rows, columns) = (if row == 1 { 0 } else { column as u64 }, u64::from(column != 1));
    Ok(Addend { extents: c.to_vec(), batch: [0; 3], rows, columns })
}

impl Problem for MatMulProblem {
    fn name(&self) -> &'static str {
        match self.product {
            Product::MatMul => "matmul",
            Product::Gemm => "gemm",
            Product::Linear => "linear",
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let names = match self.product {
            Product::Linear => ["x", "w", "bias"],
            _ => ["a", "b", "c"],
        };
        let spec = |name: &'static str, extents: &[usize], weight: bool| {
            if weight && self.constant() {
                TensorSpec::constant(name, extents, self.element)
            } else {
                TensorSpec::new(name, extents, self.element, Layout::ChannelsFirst)
            }
        };
        let mut inputs = vec![spec(names[0], &self.a.extents, false), spec(names[1], &self.b.extents, true)];
        if let Some(addend) = &self.addend {
            inputs.push(spec(names[2], &addend.extents, true));
        }
        if self.has_residual {
            inputs.push(spec("residual", &self.y, false));
        }
        inputs
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.y, self.element, Layout::ChannelsFirst)]
    }

    fn is_exact(&self) -> bool {
        self.activation.is_exact() && [self.alpha, self.beta].iter().all(|v| v.fract() == 0.0 && v.abs() <= 4.0)
    }

    fn flops(&self) -> f64 {
        2.0 * self.output_count() as f64 * self.k as f64
    }

    fn terms(&self) -> u64 {
        self.k
    }
}
