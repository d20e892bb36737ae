//! The written form of convolutions.

use super::{list, same};
use crate::numeric::Accuracy;
use crate::ops::conv::descriptor::{Algorithm, ConvDescriptor, ConvTransposeDescriptor};
use crate::ops::conv::fused::FusedPool;
use crate::ops::conv::problem::{ConvInputs, ConvProblem, Direction};
use crate::types::shape::{MAX_COUNT, WindowAxis};
use crate::types::{Activation, ElementType, Error, Layout, Padding, PaddingMode, Result, TensorType};
use serde::{Deserialize, Serialize};

/// Lists run over the spatial axes; `pads` has the begins, then the ends.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conv {
    direction: Direction,
    x: Vec<usize>,
    filter: Vec<usize>,
    stride: Vec<usize>,
    dilation: Vec<usize>,
    pads: Vec<i64>,
    /// Spatial extents of the convolution, before a pool.
    output: Vec<usize>,
    groups: usize,
    padding_mode: PaddingMode,
    bias: bool,
    residual: bool,
    activation: Activation,
    pool: Option<FusedPool>,
    element: ElementType,
    x_layout: Layout,
    y_layout: Layout,
    accuracy: Accuracy,
    algorithm: Option<Algorithm>,
}

impl From<ConvProblem> for Conv {
    fn from(p: ConvProblem) -> Self {
        let all = |pick: fn(&WindowAxis) -> u64| p.spatial().iter().map(|axis| pick(axis) as usize).collect();
        Self {
            direction: p.direction,
            x: p.input_extents(),
            filter: p.filter_extents(),
            stride: all(|axis| axis.stride),
            dilation: all(|axis| axis.dilation),
            pads: pads(&p),
            output: all(|axis| axis.output),
            groups: p.groups as usize,
            padding_mode: p.padding_mode,
            bias: p.has_bias,
            residual: p.has_residual,
            activation: p.activation,
            pool: p.pool,
            element: p.element,
            x_layout: p.x_layout,
            y_layout: p.y_layout,
            accuracy: p.accuracy,
            algorithm: p.algorithm,
        }
    }
}

fn pads(problem: &ConvProblem) -> Vec<i64> {
    let spatial = problem.spatial();
    spatial.iter().map(|axis| axis.pad_begin).chain(spatial.iter().map(|axis| axis.pad_end)).collect()
}

impl TryFrom<Conv> for ConvProblem {
    type Error = Error;

    fn try_from(written: Conv) -> Result<Self> {
        match written.x.len() {
            3 => written.problem::<1>(),
            4 => written.problem::<2>(),
            5 => written.problem::<3>(),
            rank => Err(Error::invalid("x", format!("{:?}", written.x), format!("a convolution takes x of rank 3 to 5, not {rank}"))),
        }
    }
}

impl Conv {
    fn problem<const N: usize>(&self) -> Result<ConvProblem> {
        let problem = match self.direction {
            Direction::Forward if self.padding_mode == PaddingMode::Zeros && self.pads.iter().any(|&pad| pad < 0) => self.cropped::<N>()?,
            Direction::Forward => self.forward::<N>()?,
            Direction::Transposed => {
                same("padding_mode", &self.padding_mode, &PaddingMode::Zeros)?;
                self.transposed::<N>()?
            }
        };
        same("output", &self.output, &problem.spatial().iter().map(|axis| axis.output as usize).collect())?;
        problem.with_residual(self.residual).with_pool(self.pool)
    }

    /// Calls `f` with the extents; the filter says how long a bias is.
    fn with_inputs<T>(&self, f: impl FnOnce(&ConvInputs<'_>) -> Result<T>) -> Result<T> {
        let filters = match (self.direction, self.filter.as_slice()) {
            (Direction::Forward, [filters, ..]) => *filters,
            (Direction::Transposed, [_, each, ..]) => each.saturating_mul(self.groups),
            _ => 0,
        };
        let (x, bias) = (TensorType::new(&self.x, self.element, self.x_layout), [filters]);
        f(&ConvInputs { x, filter: &self.filter, bias: self.bias.then_some(&bias[..]), y_layout: self.y_layout })
    }

    /// The pads, where none is negative.
    fn explicit<const N: usize>(&self) -> Result<Padding<N>> {
        let pads = self.pads.iter().map(|&pad| usize::try_from(pad)).collect::<std::result::Result<Vec<_>, _>>();
        let pads = pads.map_err(|_| Error::invalid("pads", format!("{:?}", self.pads), "a pad is at least 0"))?;
        let (begin, end) = pads.split_at_checked(N).unwrap_or((&pads, &[]));
        Ok(Padding::Explicit { begin: list("pads", begin)?, end: list("pads", end)? })
    }

    fn forward<const N: usize>(&self) -> Result<ConvProblem> {
        let descriptor = ConvDescriptor::<N> {
            stride: list("stride", &self.stride)?,
            dilation: list("dilation", &self.dilation)?,
            padding: self.explicit()?,
            padding_mode: self.padding_mode,
            groups: self.groups,
            activation: self.activation,
            pool: None,
            accuracy: self.accuracy,
            algorithm: self.algorithm,
        };
        self.with_inputs(|inputs| ConvProblem::forward(inputs, &descriptor))
    }

    /// The data gradient of a transposed convolution may read less than x, which is a pad below 0: the convolution of what it reads.
    fn cropped<const N: usize>(&self) -> Result<ConvProblem> {
        let rule = "pads below 0 leave at least one element, and pads are at most 2^60";
        let wrong = || Error::invalid("pads", format!("{:?}", self.pads), rule);
        let both: Vec<[i64; N]> = self.pads.chunks(N).map(|pads| list("pads", pads)).collect::<Result<_>>()?;
        let [begin, end]: [[i64; N]; 2] = list("pads", &both)?;
        if self.pads.iter().any(|pad| pad.unsigned_abs() > MAX_COUNT) {
            return Err(wrong());
        }
        let mut read = self.x.clone();
        for i in 0..N {
            let left_out = (begin[i].min(0) + end[i].min(0)).unsigned_abs() as usize;
            read[2 + i] = read[2 + i].checked_sub(left_out).filter(|&extent| extent > 0).ok_or_else(wrong)?;
        }
        let written = Self { x: read, pads: self.pads.iter().map(|&pad| pad.max(0)).collect(), ..self.clone() };
        let mut problem = written.forward::<N>()?;
        for i in 0..N {
            let axis = &mut problem.axes[3 - N + i];
            (axis.input, axis.pad_begin, axis.pad_end) = (self.x[2 + i] as u64, begin[i], end[i]);
        }
        problem.check_counts()
    }

    /// Pads that are not negative were given, or might have been. Others follow from an output shape, by one rule for all axes.
    fn transposed<const N: usize>(&self) -> Result<ConvProblem> {
        let (stride, dilation): ([usize; N], [usize; N]) = (list("stride", &self.stride)?, list("dilation", &self.dilation)?);
        let output: [usize; N] = list("output", &self.output)?;
        let (x, filter): ([usize; N], [usize; N]) = (list("x", &self.x[2..])?, list("filter", self.filter.get(2..).unwrap_or_default())?);
        let both: Vec<[i64; N]> = self.pads.chunks(N).map(|pads| list("pads", pads)).collect::<Result<_>>()?;
        let [begin, end]: [[i64; N]; 2] = list("pads", &both)?;
        let wide = |n: usize| n as i128; // of 64 bits: no sum of a few such products leaves 128 unless it saturates
        let mut output_padding = [0; N];
        for i in 0..N {
            let span = wide(stride[i]).saturating_mul(wide(x[i]) - 1).saturating_add(wide(dilation[i]).saturating_mul(wide(filter[i]) - 1));
            let rest = (wide(output[i]) + i128::from(begin[i]) + i128::from(end[i]) - 1).saturating_sub(span);
            let rule = format!("output + pads less the extent of the full output is at least 0, not {rest}");
            output_padding[i] = usize::try_from(rest).map_err(|_| Error::invalid("output", output[i], rule))?;
        }
        let by = |padding, output_shape| {
            let (groups, activation, accuracy, algorithm) = (self.groups, self.activation, self.accuracy, self.algorithm);
            let descriptor =
                ConvTransposeDescriptor { stride, dilation, padding, output_padding, output_shape, groups, activation, accuracy, algorithm };
            self.with_inputs(|inputs| ConvProblem::transposed(inputs, &descriptor))
        };
        if let Ok(padding) = self.explicit::<N>() {
            return by(padding, None);
        }
        let problem = by(Padding::Same, Some(output))?;
        if pads(&problem) == self.pads {
            return Ok(problem);
        }
        let problem = by(Padding::SameLower, Some(output))?;
        same("pads", &self.pads, &pads(&problem))?;
        Ok(problem)
    }
}
