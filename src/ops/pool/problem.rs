//! A pooling with all its numbers resolved and checked.

use crate::ops::Problem;
use crate::ops::pool::descriptor::{AdaptivePoolDescriptor, IndexOrder, PoolDescriptor, PoolKind};
use crate::ops::spec::TensorSpec;
use crate::types::shape::{WindowAxis, axis_name, resolve_axis};
use crate::types::{ElementType, Error, Layout, Result, TensorShape, TensorType};
use serde::{Deserialize, Serialize};

/// A resolved pooling. Make one with [`PoolProblem::new`], [`PoolProblem::adaptive`] or [`PoolProblem::global`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Pool", into = "crate::ops::written::Pool")]
pub struct PoolProblem {
    pub(crate) kind: PoolKind,
    pub(crate) rank: usize,
    pub(crate) batch: u64,
    pub(crate) channels: u64,
    pub(crate) axes: [WindowAxis; 3],
    pub(crate) adaptive: bool,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl PoolProblem {
    /// What is made of a window.
    pub fn kind(&self) -> PoolKind {
        self.kind
    }

    /// Spatial rank the caller used, 1 to 3.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// N: batch.
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// C: channels, each pooled by itself.
    pub fn channels(&self) -> u64 {
        self.channels
    }

    /// Depth, height, width. Adaptive windows have their largest extent as `filter`.
    pub fn axes(&self) -> &[WindowAxis; 3] {
        &self.axes
    }

    /// Whether window i of m over n elements is floor(i n / m) .. ceil((i + 1) n / m).
    pub fn is_adaptive(&self) -> bool {
        self.adaptive
    }

    /// Element type of x and y.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of x and y.
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

impl PoolProblem {
    /// Resolves a sliding window.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::TooLarge`], naming argument, value and rule.
    pub fn new<const N: usize>(x: &TensorType, descriptor: &PoolDescriptor<N>) -> Result<Self> {
        let mut problem = Self::planes::<N>(descriptor.kind, x)?;
        for i in 0..N {
            let (name, window) = (axis_name(i, N), descriptor.window[i]);
            check_window(name, window as u64)?;
            let stride = descriptor.stride.map_or(window, |s| s[i]);
            let (dilation, padding) = (descriptor.dilation[i] as u64, descriptor.padding.axis(i));
            let axis = resolve_axis(name, x.extents[2 + i] as u64, window as u64, stride as u64, dilation, padding, descriptor.ceil_mode)?;
            for pad in [axis.pad_begin, axis.pad_end] {
                if pad as u64 >= axis.window_extent() {
                    return Err(Error::invalid(
                        format!("padding ({name})"),
                        pad,
                        format!("a pad must be smaller than the dilated window, {}, else a window sees padding alone", axis.window_extent()),
                    ));
                }
            }
            let empty = empty_windows(&axis);
            if empty > 0 {
                let rule = format!(
                    "every window must reach an element of the input: taps lie further apart than its extent, {}, and {empty} of {} windows see padding alone",
                    axis.input, axis.output
                );
                return Err(Error::invalid(format!("dilation ({name})"), dilation, rule));
            }
            problem.axes[3 - N + i] = axis;
        }
        problem.check_output()
    }

    /// Resolves windows that adapt to the output extents.
    ///
    /// # Errors
    /// As [`PoolProblem::new`].
    pub fn adaptive<const N: usize>(x: &TensorType, descriptor: &AdaptivePoolDescriptor<N>) -> Result<Self> {
        let &AdaptivePoolDescriptor { kind, output } = descriptor;
        let mut problem = Self { adaptive: true, ..Self::planes::<N>(kind, x)? };
        for (i, &output) in output.iter().enumerate() {
            if output == 0 {
                return Err(Error::invalid(format!("output size ({})", axis_name(i, N)), output, "output sizes must be at least 1"));
            }
            let (input, output) = (x.extents[2 + i] as u64, output as u64);
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
    pub fn global(x: &TensorType, kind: PoolKind) -> Result<Self> {
        match x.rank() {
            3 => Self::adaptive(x, &AdaptivePoolDescriptor { kind, output: [1] }),
            4 => Self::adaptive(x, &AdaptivePoolDescriptor { kind, output: [1, 1] }),
            5 => Self::adaptive(x, &AdaptivePoolDescriptor { kind, output: [1, 1, 1] }),
            rank => Err(Error::invalid("x", format!("{:?}", x.extents), format!("a global pool takes x of rank 3 to 5, not {rank}"))),
        }
    }

    pub(crate) fn planes<const N: usize>(kind: PoolKind, tensor: &TensorType) -> Result<Self> {
        const { assert!(N >= 1 && N <= 3, "pools have one to three spatial axes") };
        let TensorType { extents: x, element, layout } = tensor;
        if x.len() != N + 2 {
            return Err(Error::invalid("x", format!("{x:?}"), format!("a {N}-D pool takes x of rank {}, not {}", N + 2, x.len())));
        }
        tensor.checked_float("x")?;
        if let PoolKind::Lp { p } = kind
            && !(p > 0.0 && p.is_finite())
        {
            return Err(Error::invalid("p", p, "p must be positive and finite"));
        }
        let (batch, channels) = (x[0] as u64, x[1] as u64);
        Ok(Self { kind, rank: N, batch, channels, axes: [WindowAxis::UNIT; 3], adaptive: false, element: *element, layout: *layout })
    }

    pub(crate) fn check_output(self) -> Result<Self> {
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

    pub(crate) fn extents(&self, pick: fn(&WindowAxis) -> u64) -> Vec<usize> {
        [self.batch, self.channels].into_iter().chain(self.axes[3 - self.rank..].iter().map(pick)).map(|e| e as usize).collect()
    }

    /// The coordinates inside the input that window `o` has along an axis, and how many count for an average.
    pub(crate) fn window(&self, axis: &WindowAxis, o: u64) -> (Vec<u64>, u64) {
        let count = self.counted(axis, o);
        if self.adaptive {
            return ((o * axis.input / axis.output..((o + 1) * axis.input).div_ceil(axis.output)).collect(), count);
        }
        let coordinates = (0..axis.filter).map(|tap| (o * axis.stride + tap * axis.dilation) as i64 - axis.pad_begin);
        (coordinates.filter(|&i| i >= 0 && i < axis.input as i64).map(|i| i as u64).collect(), count)
    }

    /// How many numbers of window `o` count for an average along an axis: those inside the input, or with the pads all that are inside the padded plane.
    pub(crate) fn counted(&self, axis: &WindowAxis, o: u64) -> u64 {
        if self.adaptive {
            return ((o + 1) * axis.input).div_ceil(axis.output) - o * axis.input / axis.output;
        }
        let start = (o * axis.stride) as i64 - axis.pad_begin;
        // Taps that read a coordinate below `end`.
        let below = |end: i64| ((end - start).max(0) as u64).div_ceil(axis.dilation).min(axis.filter);
        match self.kind {
            PoolKind::Average { count_include_pad: true } => below(axis.input as i64 + axis.pad_end),
            _ => below(axis.input as i64) - below(0),
        }
    }

    /// The same with indices in row-major order, where it is a maximum.
    #[must_use]
    pub fn with_indices(self) -> Self {
        let kind = if let PoolKind::Max { .. } = self.kind { PoolKind::Max { indices: Some(IndexOrder::RowMajor) } } else { self.kind };
        Self { kind, ..self }
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

/// Window extents are at least 1.
pub(crate) fn check_window(axis: &str, window: u64) -> Result<()> {
    if window == 0 {
        return Err(Error::invalid(format!("window ({axis})"), window, "window extents must be at least 1"));
    }
    Ok(())
}

/// Windows along an axis none of whose taps lies inside the input. Pads are shorter than a window, so that each reaches over the input's edge;
/// what a window that begins before the input reads first of it is its beginning modulo the dilation, and that is past the input's end where taps
/// lie further apart than the input is long.
fn empty_windows(axis: &WindowAxis) -> u64 {
    let (dilation, input) = (u128::from(axis.dilation), u128::from(axis.input));
    if axis.filter == 1 || dilation <= input {
        return 0;
    }
    let before = (axis.pad_begin as u64).div_ceil(axis.stride).min(axis.output); // windows that begin before the input
    // First element of window o: (o stride - pad) mod dilation, which is below the input's extent n if floor((o stride + b) / dilation) is one more
    // than floor((o stride + b - n) / dilation). Both are taken dilation further, to stay positive.
    let (stride, begin) = (u128::from(axis.stride), dilation - (axis.pad_begin as u128) % dilation);
    let reaching =
        floor_sum(before.into(), dilation, stride, begin + dilation) - floor_sum(before.into(), dilation, stride, begin + dilation - input);
    before - reaching as u64
}

/// Sum over i below `n` of floor((a i + b) / m), by Euclid's algorithm. n and a are at most 2^60 and so is b / m, so that the sum fits.
fn floor_sum(mut n: u128, mut m: u128, mut a: u128, mut b: u128) -> u128 {
    let mut sum = 0;
    while n > 0 {
        sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
        (a, b) = (a % m, b % m);
        // The points under the line, counted along the other axis.
        let top = a * n + b;
        (n, b) = (top / m, top % m);
        (m, a) = (a, m);
        if m == 0 {
            break;
        }
    }
    sum
}

impl Problem for PoolProblem {
    fn name(&self) -> &'static str {
        match (self.kind, self.adaptive) {
            (PoolKind::Max { .. }, false) => "max_pool",
            (PoolKind::Average { .. }, false) => "average_pool",
            (PoolKind::Lp { .. }, false) => "lp_pool",
            (PoolKind::Max { .. }, true) => "adaptive_max_pool",
            (PoolKind::Average { .. }, true) => "adaptive_average_pool",
            (PoolKind::Lp { .. }, true) => "adaptive_lp_pool",
        }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("x", &self.input_extents(), self.element, self.layout)]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        let extents = self.output_extents();
        let mut outputs = vec![TensorSpec::new("y", &extents, self.element, self.layout)];
        if self.indices().is_some() {
            outputs.push(TensorSpec::new("indices", &extents, ElementType::U32, self.layout));
        }
        outputs
    }

    fn is_exact(&self) -> bool {
        match self.kind {
            PoolKind::Max { .. } => true,
            PoolKind::Lp { p } => p == 1.0,
            PoolKind::Average { .. } => false, // a quotient is rounded
        }
    }

    fn flops(&self) -> f64 {
        (self.batch * self.channels * self.output_positions()) as f64 * self.taps() as f64
    }

    fn terms(&self) -> u64 {
        self.taps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::shape::AxisPadding;
    use crate::types::shape::Padding;

    /// By the definition: taps of every window, one after the other.
    #[test]
    fn windows_of_padding_alone_are_refused_and_no_others() {
        let (mut refused, mut accepted) = (0, 0);
        for input in 1..=5usize {
            for (window, dilation, stride) in (1..=3).flat_map(|w| (1..=7).flat_map(move |d| (1..=4).map(move |s| (w, d, s)))) {
                let extent = dilation * (window - 1) + 1;
                for (begin, end) in (0..extent).flat_map(|b| (0..extent).map(move |e| (b, e))) {
                    for ceil_mode in [false, true] {
                        let padding = Padding::Explicit { begin: [begin], end: [end] };
                        let descriptor = PoolDescriptor {
                            kind: PoolKind::MAX,
                            window: [window],
                            stride: Some([stride]),
                            dilation: [dilation],
                            padding,
                            ceil_mode,
                        };
                        let axis = resolve_axis("width", input as u64, window as u64, stride as u64, dilation as u64, padding.axis(0), ceil_mode);
                        let Ok(axis) = axis else { continue };
                        let taps = |o: usize| (0..window).map(move |tap| (o * stride + tap * dilation) as i64 - begin as i64);
                        let empty = (0..axis.output as usize).filter(|&o| !taps(o).any(|i| (0..input as i64).contains(&i))).count() as u64;
                        assert_eq!(empty_windows(&axis), empty, "{axis:?}");
                        let problem = PoolProblem::new(&TensorType::f32(&[1, 1, input]), &descriptor);
                        assert_eq!(problem.is_err(), empty > 0, "{axis:?}");
                        if let Ok(problem) = problem {
                            for kind in [PoolKind::AVERAGE, PoolKind::Average { count_include_pad: true }] {
                                check_counts(&PoolProblem { kind, ..problem.clone() }, &axis);
                            }
                        }
                        if empty > 0 { refused += 1 } else { accepted += 1 }
                    }
                }
            }
        }
        assert!(refused > 1000 && accepted > 1000, "{refused} {accepted}");
    }

    /// Counts of windows are those of their taps, and rise by ever less and then fall, which `AdjointProblem::cells` concludes from.
    fn check_counts(problem: &PoolProblem, axis: &WindowAxis) {
        let end = if problem.kind == PoolKind::AVERAGE { axis.input as i64 } else { axis.input as i64 + axis.pad_end };
        let begin = if problem.kind == PoolKind::AVERAGE { 0 } else { -axis.pad_begin };
        let counts: Vec<u64> = (0..axis.output).map(|o| problem.counted(axis, o)).collect();
        for (o, count) in counts.iter().enumerate() {
            let taps = (0..axis.filter).map(|tap| (o as u64 * axis.stride + tap * axis.dilation) as i64 - axis.pad_begin);
            assert_eq!(*count, taps.filter(|i| (begin..end).contains(i)).count() as u64, "window {o} of {axis:?}, {:?}", problem.kind);
        }
        let is_concave = counts.windows(3).all(|near| near[0] + near[2] <= 2 * near[1]);
        assert!(is_concave || axis.dilation > 1, "{counts:?} of {axis:?}, {:?}", problem.kind);
    }

    #[test]
    fn the_rule_is_named() {
        let descriptor = PoolDescriptor { dilation: [2], ..PoolDescriptor::window([2]).with_stride([1]).with_padding(Padding::uniform(1)) };
        for kind in [PoolKind::MAX, PoolKind::AVERAGE, PoolKind::Average { count_include_pad: true }, PoolKind::Lp { p: 2.0 }] {
            let error = PoolProblem::new(&TensorType::f32(&[1, 1, 1]), &descriptor.with_kind(kind)).unwrap_err().to_string();
            assert_eq!(
                error,
                "dilation (width) is 2: every window must reach an element of the input: taps lie further apart than its extent, 1, and 1 of 1 windows see padding alone"
            );
        }
    }

    /// Numbers near the limit: no loop over windows, no overflow.
    #[test]
    fn huge_windows_take_no_time() {
        // Two taps so far apart, and as much padding: windows reach the input's five elements from either end.
        let far = 1u64 << 58;
        let padding = AxisPadding::Explicit { begin: far, end: far };
        for (stride, reaching) in [(1, 10), (3, 3), (far / 2, 2), (far - 1, 1), (far, 2)] {
            let axis = resolve_axis("width", 5, 2, stride, far, padding, false).unwrap();
            assert_eq!(axis.output - empty_windows(&axis), reaching, "{axis:?}");
        }
    }
}
