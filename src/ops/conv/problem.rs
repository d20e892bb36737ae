//! A convolution with all its numbers resolved and checked: pure arithmetic, shared by the GPU planner, the CPU engine, the
//! reference, the calculator and the benches.
//!
//! Letters, as cuDNN and CUTLASS have them: input N C D H W, filter K C/g T R S, output N K Z P Q. Every problem has three
//! spatial axes here; the ones a 1-D or 2-D call lacks have extent 1.

use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::{Algorithm, ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::fused::FusedPool;
use crate::types::shape::{AxisPadding, MAX_COUNT, WindowAxis, axis_name, check_count, check_step, resolve_axis, window_extent};
use crate::types::{Activation, ElementType, Error, Layout, PaddingMode, Result, TensorShape, TensorType};
use serde::{Deserialize, Serialize};

/// Whether windows gather (convolution) or scatter (its transpose).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// y\[o\] = sum over taps of x\[o stride + tap dilation - pad\] w\[tap\]
    Forward,
    /// y\[i stride + tap dilation - pad\] += x\[i\] w\[tap\]
    Transposed,
}

/// The tensors that a convolution is asked to work on, as the caller has them.
#[derive(Debug, Clone)]
pub struct ConvInputs<'a> {
    /// N C \[D\] \[H\] W. All the others, and the output, have its element type.
    pub x: TensorType,
    /// O I/g ... for a convolution, C O/g ... for a transposed one.
    pub filter: &'a [usize],
    /// One value per output channel.
    pub bias: Option<&'a [usize]>,
    /// Memory layout of the output.
    pub y_layout: Layout,
}

impl<'a> ConvInputs<'a> {
    /// f32, channels-first.
    pub fn new(x: &[usize], filter: &'a [usize], bias: Option<&'a [usize]>) -> Self {
        Self { x: TensorType::f32(x), filter, bias, y_layout: Layout::ChannelsFirst }
    }
}

/// A resolved convolution. Make one with [`ConvProblem::forward`] or [`ConvProblem::transposed`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Conv", into = "crate::ops::written::Conv")]
pub struct ConvProblem {
    pub(crate) direction: Direction,
    pub(crate) rank: usize,
    pub(crate) batch: u64,
    pub(crate) in_channels: u64,
    pub(crate) out_channels: u64,
    pub(crate) groups: u64,
    pub(crate) axes: [WindowAxis; 3],
    pub(crate) padding_mode: PaddingMode,
    pub(crate) element: ElementType,
    pub(crate) x_layout: Layout,
    pub(crate) y_layout: Layout,
    pub(crate) has_bias: bool,
    pub(crate) has_residual: bool,
    pub(crate) activation: Activation,
    pub(crate) pool: Option<FusedPool>,
    pub(crate) accuracy: Accuracy,
    pub(crate) algorithm: Option<Algorithm>,
}

impl ConvProblem {
    /// Resolves a convolution.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::TooLarge`], naming argument, value and rule.
    pub fn forward<const N: usize>(inputs: &ConvInputs<'_>, descriptor: &ConvDescriptor<N>) -> Result<Self> {
        let channels = Channels::check::<N>(Direction::Forward, descriptor.groups, inputs)?;
        let mut axes = [WindowAxis::UNIT; 3];
        for i in 0..N {
            let name = axis_name(i, N);
            let axis = resolve_axis(
                name,
                inputs.x.extents[2 + i] as u64,
                inputs.filter[2 + i] as u64,
                descriptor.stride[i] as u64,
                descriptor.dilation[i] as u64,
                descriptor.padding.axis(i),
                false,
            )?;
            check_padding_mode(descriptor.padding_mode, name, &axis)?;
            axes[3 - N + i] = axis;
        }
        let problem = Self {
            direction: Direction::Forward,
            rank: N,
            batch: inputs.x.extents[0] as u64,
            in_channels: channels.input,
            out_channels: channels.output,
            groups: channels.groups,
            axes,
            padding_mode: descriptor.padding_mode,
            element: inputs.x.element,
            x_layout: inputs.x.layout,
            y_layout: inputs.y_layout,
            has_bias: inputs.bias.is_some(),
            has_residual: false,
            activation: descriptor.activation,
            pool: None,
            accuracy: descriptor.accuracy,
            algorithm: descriptor.algorithm,
        };
        problem.check_counts()?.with_pool(descriptor.pool)
    }

    /// Resolves a transposed convolution.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::TooLarge`], naming argument, value and rule.
    pub fn transposed<const N: usize>(inputs: &ConvInputs<'_>, descriptor: &ConvTransposeDescriptor<N>) -> Result<Self> {
        let channels = Channels::check::<N>(Direction::Transposed, descriptor.groups, inputs)?;
        let mut axes = [WindowAxis::UNIT; 3];
        for i in 0..N {
            axes[3 - N + i] = transposed_axis(
                axis_name(i, N),
                inputs.x.extents[2 + i] as u64,
                inputs.filter[2 + i] as u64,
                TransposedAxis {
                    stride: descriptor.stride[i] as u64,
                    dilation: descriptor.dilation[i] as u64,
                    padding: descriptor.padding.axis(i),
                    output_padding: descriptor.output_padding[i] as u64,
                    output: descriptor.output_shape.map(|s| s[i] as u64),
                },
            )?;
        }
        let problem = Self {
            direction: Direction::Transposed,
            rank: N,
            batch: inputs.x.extents[0] as u64,
            in_channels: channels.input,
            out_channels: channels.output,
            groups: channels.groups,
            axes,
            padding_mode: PaddingMode::Zeros,
            element: inputs.x.element,
            x_layout: inputs.x.layout,
            y_layout: inputs.y_layout,
            has_bias: inputs.bias.is_some(),
            has_residual: false,
            activation: descriptor.activation,
            pool: None,
            accuracy: descriptor.accuracy,
            algorithm: descriptor.algorithm,
        };
        problem.check_counts()
    }

    /// Refuses element counts above [`crate::types::shape::MAX_COUNT`], so that the methods below cannot overflow, and parameters that make no function.
    pub(crate) fn check_counts(self) -> Result<Self> {
        let spatial = |pick: fn(&WindowAxis) -> u64| self.axes.iter().map(move |a| u128::from(pick(a)));
        let product = |head: [u64; 2], tail: &mut dyn Iterator<Item = u128>| {
            tail.fold(u128::from(head[0]).saturating_mul(u128::from(head[1])), u128::saturating_mul)
        };
        for (argument, needed) in [
            ("x", product([self.batch, self.in_channels], &mut spatial(|a| a.input))),
            ("filter", product([self.out_channels, self.in_channels / self.groups], &mut spatial(|a| a.filter))),
            ("the output", product([self.batch, self.out_channels], &mut spatial(|a| a.output))),
        ] {
            check_count(argument, needed)?;
        }
        self.activation.check()?;
        Ok(self)
    }
}

/// Channel counts that fit together.
struct Channels {
    input: u64,
    output: u64,
    groups: u64,
}

impl Channels {
    pub(crate) fn check<const N: usize>(direction: Direction, groups: usize, inputs: &ConvInputs<'_>) -> Result<Self> {
        let op = match direction {
            Direction::Forward => "convolution",
            Direction::Transposed => "transposed convolution",
        };
        const { assert!(N >= 1 && N <= 3, "convolutions have one to three spatial axes") };
        for (argument, extents) in [("x", inputs.x.extents.as_slice()), ("filter", inputs.filter)] {
            if extents.len() != N + 2 {
                return Err(Error::invalid(
                    argument,
                    format!("{extents:?}"),
                    format!("a {N}-D {op} takes a {argument} of rank {}, not {}", N + 2, extents.len()),
                ));
            }
            TensorShape::named(argument, extents)?;
        }
        inputs.x.element.check_float("x")?;
        if groups == 0 {
            return Err(Error::invalid("groups", groups, "there is at least 1 group"));
        }
        let (c, first, second) = (inputs.x.extents[1], inputs.filter[0], inputs.filter[1]);
        if c % groups != 0 {
            return Err(Error::invalid("groups", groups, format!("groups must divide the {c} input channels")));
        }
        let output = match direction {
            Direction::Forward => {
                if second != c / groups {
                    return Err(Error::invalid(
                        "filter",
                        format!("{:?}", inputs.filter),
                        format!("its second extent, {second}, must be the input channels per group: {c} / {groups} = {}", c / groups),
                    ));
                }
                if first % groups != 0 {
                    return Err(Error::invalid("groups", groups, format!("groups must divide the {first} output channels")));
                }
                first as u64
            }
            Direction::Transposed => {
                if first != c {
                    return Err(Error::invalid(
                        "filter",
                        format!("{:?}", inputs.filter),
                        format!("its first extent, {first}, must be the {c} input channels"),
                    ));
                }
                (second as u64)
                    .checked_mul(groups as u64)
                    .filter(|&filters| filters <= MAX_COUNT)
                    .ok_or_else(|| Error::invalid("groups", groups, format!("groups x filter extent {second} must be at most 2^60")))?
            }
        };
        if let Some(bias) = inputs.bias
            && (bias.len() != 1 || bias[0] as u64 != output)
        {
            return Err(Error::invalid("bias", format!("{bias:?}"), format!("it has one value per output channel: [{output}]")));
        }
        Ok(Self { input: c as u64, output, groups: groups as u64 })
    }
}

fn check_padding_mode(mode: PaddingMode, name: &str, axis: &WindowAxis) -> Result<()> {
    let input = axis.input as i64; // below 2^63: resolve_axis checked it with the pads
    let (most, rule) = match mode {
        PaddingMode::Reflect => (input - 1, "reflect pads must be smaller than the input extent"),
        PaddingMode::Circular => (input, "circular pads must not be larger than the input extent"),
        PaddingMode::Zeros | PaddingMode::Replicate => return Ok(()),
    };
    for pad in [axis.pad_begin, axis.pad_end] {
        if pad > most {
            return Err(Error::invalid(format!("padding ({name})"), pad, format!("{rule}, {input}")));
        }
    }
    Ok(())
}

struct TransposedAxis {
    stride: u64,
    dilation: u64,
    padding: AxisPadding,
    output_padding: u64,
    output: Option<u64>,
}

/// output = stride (n - 1) + output_padding + window - pad_begin - pad_end; or the pads from a wanted output.
fn transposed_axis(name: &str, input: u64, filter: u64, ask: TransposedAxis) -> Result<WindowAxis> {
    let TransposedAxis { stride, dilation, padding, output_padding, output } = ask;
    check_step("stride", name, stride)?;
    check_step("dilation", name, dilation)?;
    if output_padding >= stride.max(dilation) {
        return Err(Error::invalid(
            format!("output_padding ({name})"),
            output_padding,
            format!("it must be smaller than the stride {stride} or the dilation {dilation}"),
        ));
    }
    let window = window_extent(name, filter, dilation)?;
    // Every number is at most 2^60.
    let full = i128::from(stride) * i128::from(input - 1) + i128::from(output_padding) + i128::from(window);
    let full = i64::try_from(full).ok().filter(|&e| e < 1 << 60).ok_or_else(|| {
        Error::invalid(
            format!("stride ({name})"),
            stride,
            format!(
                "the full output, stride {stride} x (input {input} - 1) + output_padding {output_padding} + window {window}, must stay below 2^60"
            ),
        )
    })?;
    let from_wanted = |wanted: u64| -> Result<(i64, i64)> {
        let wanted = i64::try_from(wanted)
            .ok()
            .filter(|&w| (1..1 << 60).contains(&w))
            .ok_or_else(|| Error::invalid(format!("output_shape ({name})"), wanted, "an output extent is at least 1 and below 2^60"))?;
        let total = full - wanted;
        let half = total.div_euclid(2); // floor towards minus infinity
        Ok(if padding == AxisPadding::SameUpper { (half, total - half) } else { (total - half, half) })
    };
    let (pad_begin, pad_end) = match (output, padding) {
        (Some(wanted), _) => from_wanted(wanted)?,
        (None, AxisPadding::Explicit { begin, end }) => {
            let small = |p: u64| i64::try_from(p).ok().filter(|_| p <= MAX_COUNT);
            let pad = |p: u64| small(p).ok_or_else(|| Error::invalid(format!("padding ({name})"), p, "a pad must be at most 2^60"));
            (pad(begin)?, pad(end)?)
        }
        (None, AxisPadding::SameUpper | AxisPadding::SameLower) => from_wanted(
            input
                .checked_mul(stride)
                .filter(|&wanted| wanted < MAX_COUNT)
                .ok_or_else(|| Error::invalid(format!("stride ({name})"), stride, format!("input {input} x stride must stay below 2^60")))?,
        )?,
    };
    let extent = i128::from(full) - i128::from(pad_begin) - i128::from(pad_end);
    if extent < 1 {
        return Err(Error::invalid(
            format!("padding ({name})"),
            format!("{pad_begin}, {pad_end}"),
            format!("the output extent {full} - {pad_begin} - {pad_end} = {extent} must be at least 1"),
        ));
    }
    Ok(WindowAxis { input, filter, output: extent as u64, stride, dilation, pad_begin, pad_end }) // below 2^61, until the counts are checked
}

/// Slices must have the problem's sizes, and a bias must be there exactly when the problem has one.
pub(crate) fn check_lengths(problem: &ConvProblem, x: usize, filter: usize, bias: Option<usize>, y: Option<usize>) -> Result<()> {
    let check = |argument: &str, length: usize, needed: u64| {
        if length as u64 == needed {
            Ok(())
        } else {
            Err(Error::invalid(argument, format!("{length} elements"), format!("the problem {problem} has {needed}")))
        }
    };
    check("x", x, problem.input_count())?;
    check("filter", filter, problem.filter_count())?;
    if let Some(y) = y {
        check("y", y, problem.output_count())?;
    }
    match bias {
        Some(length) if problem.has_bias => check("bias", length, problem.out_channels),
        None if !problem.has_bias => Ok(()),
        given => Err(Error::invalid("bias", given.map_or("absent", |_| "given"), "the problem was made for the other case")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::shape::Padding;

    #[test]
    fn lenet_first_layer_has_456_parameters_on_three_channels() {
        let inputs = ConvInputs::new(&[1, 3, 32, 32], &[6, 3, 5, 5], Some(&[6]));
        let problem = ConvProblem::forward::<2>(&inputs, &ConvDescriptor::default()).unwrap();
        assert_eq!(problem.output_extents(), [1, 6, 28, 28]);
        assert_eq!(problem.parameter_count(), 456);
        assert_eq!(problem.multiply_adds(), 28 * 28 * 6 * 75);
        assert_eq!(problem.to_string(), "n1c3h32w32_k6r5s5_st1x1_p0,0,0,0_d1x1_g1_b");
    }

    #[test]
    fn transposed_same_doubles_the_extent() {
        let inputs = ConvInputs::new(&[1, 4, 5, 7], &[4, 2, 3, 3], None);
        let descriptor = ConvTransposeDescriptor { stride: [2, 2], padding: Padding::Same, ..Default::default() };
        let problem = ConvProblem::transposed::<2>(&inputs, &descriptor).unwrap();
        assert_eq!(problem.output_extents(), [1, 2, 10, 14]);
        assert_eq!((problem.axes[1].pad_begin, problem.axes[1].pad_end), (0, 1));
    }

    #[test]
    fn a_wanted_output_can_make_a_pad_negative() {
        let inputs = ConvInputs::new(&[1, 1, 3], &[1, 1, 2], None);
        let descriptor = ConvTransposeDescriptor { stride: [3], output_shape: Some([11]), ..Default::default() };
        let problem = ConvProblem::transposed::<1>(&inputs, &descriptor).unwrap();
        // full = 3 x 2 + 2 = 8, total = -3, end = floor(-3 / 2) = -2, begin = the rest.
        assert_eq!((problem.axes[2].pad_begin, problem.axes[2].pad_end), (-1, -2));
        assert_eq!(problem.output_extents(), [1, 1, 11]);
    }

    #[test]
    fn messages_carry_argument_value_and_rule() {
        let inputs = ConvInputs::new(&[1, 3, 4, 4], &[2, 3, 5, 5], None);
        let error = ConvProblem::forward::<2>(&inputs, &ConvDescriptor::default()).unwrap_err().to_string();
        assert_eq!(error, "filter (height) is 5: the window extent = dilation x (filter - 1) + 1 = 5 must fit into the padded input 4 + 0 + 0 = 4");
    }
}
