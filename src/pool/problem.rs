//! A pooling with all its numbers resolved and checked.

use super::descriptor::{IndexOrder, PoolDescriptor, PoolKind};
use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::shape::{Layout, TensorShape, WindowAxis, axis_name, resolve_axis};

/// A resolved pooling. Make one with [`PoolProblem::new`], [`PoolProblem::adaptive`] or [`PoolProblem::global`].
#[derive(Debug, Clone, PartialEq)]
pub struct PoolProblem {
    /// What is made of a window.
    pub kind: PoolKind,
    /// Spatial rank the caller used, 1 to 3.
    pub rank: usize,
    /// N: batch.
    pub batch: u64,
    /// C: channels, each pooled by itself.
    pub channels: u64,
    /// Depth, height, width. Adaptive windows have their largest extent as `filter`.
    pub axes: [WindowAxis; 3],
    /// Whether window i of m over n elements is floor(i n / m) .. ceil((i + 1) n / m).
    pub adaptive: bool,
    /// Element type of x and y.
    pub element: ElementType,
    /// Layout of x and y.
    pub layout: Layout,
}

impl PoolProblem {
    /// Resolves a sliding window.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::TooLarge`], naming argument, value and rule.
    pub fn new<const N: usize>(kind: PoolKind, descriptor: &PoolDescriptor<N>, x: &[usize], element: ElementType, layout: Layout) -> Result<Self> {
        let mut problem = Self::planes::<N>(kind, x, element, layout)?;
        for i in 0..N {
            let (name, window) = (axis_name(i, N), descriptor.window[i]);
            if window == 0 {
                return Err(Error::invalid(format!("window ({name})"), window, "window extents must be at least 1"));
            }
            let stride = descriptor.stride.map_or(window, |s| s[i]);
            let (dilation, padding) = (descriptor.dilation[i] as u64, descriptor.padding.axis(i));
            let axis = resolve_axis(name, x[2 + i] as u64, window as u64, stride as u64, dilation, padding, descriptor.ceil_mode)?;
            for pad in [axis.pad_begin, axis.pad_end] {
                if pad as u64 >= axis.window_extent() {
                    return Err(Error::invalid(
                        format!("padding ({name})"),
                        pad,
                        format!("a pad must be smaller than the dilated window, {}, else a window sees padding alone", axis.window_extent()),
                    ));
                }
            }
            problem.axes[3 - N + i] = axis;
        }
        problem.check_output()
    }

    /// Resolves windows that adapt to the output extents.
    ///
    /// # Errors
    /// As [`PoolProblem::new`].
    pub fn adaptive<const N: usize>(kind: PoolKind, output: [usize; N], x: &[usize], element: ElementType, layout: Layout) -> Result<Self> {
        let mut problem = Self { adaptive: true, ..Self::planes::<N>(kind, x, element, layout)? };
        for (i, &output) in output.iter().enumerate() {
            if output == 0 {
                return Err(Error::invalid(format!("output size ({})", axis_name(i, N)), output, "output sizes must be at least 1"));
            }
            let (input, output) = (x[2 + i] as u64, output as u64);
            // A window of ceil(n / m) elements may straddle one more.
            let filter = (input.div_ceil(output) + 1).min(input);
            problem.axes[3 - N + i] = WindowAxis { input, filter, output, ..WindowAxis::UNIT };
        }
        problem.check_output()
    }

    /// Resolves one window over each whole plane; x has rank 3 to 5.
    ///
    /// # Errors
    /// As [`PoolProblem::new`].
    pub fn global(kind: PoolKind, x: &[usize], element: ElementType, layout: Layout) -> Result<Self> {
        match x.len() {
            3 => Self::adaptive(kind, [1], x, element, layout),
            4 => Self::adaptive(kind, [1, 1], x, element, layout),
            5 => Self::adaptive(kind, [1, 1, 1], x, element, layout),
            rank => Err(Error::invalid("x", format!("{x:?}"), format!("a global pool takes x of rank 3 to 5, not {rank}"))),
        }
    }

    fn planes<const N: usize>(kind: PoolKind, x: &[usize], element: ElementType, layout: Layout) -> Result<Self> {
        const { assert!(N >= 1 && N <= 3, "pools have one to three spatial axes") };
        if x.len() != N + 2 {
            return Err(Error::invalid("x", format!("{x:?}"), format!("a {N}-D pool takes x of rank {}, not {}", N + 2, x.len())));
        }
        TensorShape::named("x", x)?;
        element.check_float("x")?;
        if let PoolKind::Lp { p } = kind
            && !(p > 0.0 && p.is_finite())
        {
            return Err(Error::invalid("p", p, "p must be positive and finite"));
        }
        let (batch, channels) = (x[0] as u64, x[1] as u64);
        Ok(Self { kind, rank: N, batch, channels, axes: [WindowAxis::UNIT; 3], adaptive: false, element, layout })
    }

    fn check_output(self) -> Result<Self> {
        TensorShape::named("the output", &self.output_extents())?;
        Ok(self)
    }

    /// Positions of one input plane.
    pub fn input_positions(&self) -> u64 {
        self.axes.iter().map(|a| a.input).product()
    }

    /// Positions of one output plane.
    pub fn output_positions(&self) -> u64 {
        self.axes.iter().map(|a| a.output).product()
    }

    /// The most taps that one window has.
    pub fn taps(&self) -> u64 {
        self.axes.iter().map(|a| a.filter).fold(1, u64::saturating_mul)
    }

    /// Extents of x.
    pub fn input_extents(&self) -> Vec<usize> {
        self.extents(|a| a.input)
    }

    /// Extents of y.
    pub fn output_extents(&self) -> Vec<usize> {
        self.extents(|a| a.output)
    }

    fn extents(&self, pick: fn(&WindowAxis) -> u64) -> Vec<usize> {
        [self.batch, self.channels].into_iter().chain(self.axes[3 - self.rank..].iter().map(pick)).map(|e| e as usize).collect()
    }

    /// The index order, where indices are wanted.
    pub fn indices(&self) -> Option<IndexOrder> {
        match self.kind {
            PoolKind::Max { indices } => indices,
            _ => None,
        }
    }
}

/// One line that says all: `n2c3h12w13_r3s2_st2x2_p1,0,1,0_d1x1`, followed by what is not the default.
impl std::fmt::Display for PoolProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let axes = &self.axes[3 - self.rank..];
        let list = |pick: fn(&WindowAxis) -> i64, sep: &str| axes.iter().map(|a| pick(a).to_string()).collect::<Vec<_>>().join(sep);
        write!(f, "n{}c{}", self.batch, self.channels)?;
        for (axis, letter) in axes.iter().zip(&["d", "h", "w"][3 - self.rank..]) {
            write!(f, "{letter}{}", axis.input)?;
        }
        if self.adaptive {
            write!(f, "_to{}", list(|a| a.output as i64, "x"))?;
        } else {
            write!(f, "_")?;
            for (axis, letter) in axes.iter().zip(&["t", "r", "s"][3 - self.rank..]) {
                write!(f, "{letter}{}", axis.filter)?;
            }
            let pads = format!("p{},{}", list(|a| a.pad_begin, ","), list(|a| a.pad_end, ","));
            write!(f, "_st{}_{pads}_d{}", list(|a| a.stride as i64, "x"), list(|a| a.dilation as i64, "x"))?;
            // The output tells ceil_mode where it matters.
            write!(f, "_o{}", list(|a| a.output as i64, "x"))?;
        }
        match self.kind {
            PoolKind::Max { indices: None } => {}
            PoolKind::Max { indices: Some(IndexOrder::RowMajor) } => write!(f, "_i")?,
            PoolKind::Max { indices: Some(IndexOrder::ColumnMajor) } => write!(f, "_icol")?,
            PoolKind::Average { count_include_pad } => write!(f, "{}", if count_include_pad { "_cip" } else { "" })?,
            PoolKind::Lp { p } => write!(f, "_L{p}")?,
        }
        if self.layout == Layout::ChannelsLast {
            write!(f, "_cl")?;
        }
        if self.element == ElementType::F32 { Ok(()) } else { write!(f, "_{}", self.element) }
    }
}
