//! Convolution and its transpose, over one to three axes.

use super::Made;
use crate::import::{Context, Fault};
use wgconv::Padding;
use wgconv::conv::{ConvDescriptor, ConvTransposeDescriptor};
use wgconv::graph::{Ranked, Recipe, ValueId};

/// What windows of all kinds have in common; lists run from the slowest axis to the width.
pub(super) struct Window {
    pub rank: usize,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    pub auto: Auto,
}

/// How a window is padded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Auto {
    /// All begins, then all ends.
    Pads(Vec<usize>),
    Valid,
    SameUpper,
    SameLower,
}

/// A list of counts that has one for each of `rank` axes.
pub(super) fn counts(name: &str, list: Option<&[i64]>, rank: usize, default: usize) -> Result<Vec<usize>, Fault> {
    let Some(list) = list else { return Ok(vec![default; rank]) };
    if list.len() != rank {
        return Err(Fault::new(format!("attribute {name}: it has {} entries, and it must have {rank}", list.len())));
    }
    list.iter().map(|&n| usize::try_from(n).map_err(|_| Fault::new(format!("attribute {name}: {n} is negative")))).collect()
}

/// The list as an array; its length was checked.
pub(super) fn fixed<const N: usize>(list: &[usize]) -> Result<[usize; N], Fault> {
    list.try_into().map_err(|_| Fault::new(format!("a list of {} is not one of {N}", list.len())))
}

impl Window {
    /// The attributes of a window over x of this rank.
    pub fn of(c: &mut Context<'_, '_>, rank: usize) -> Result<Self, Fault> {
        let spatial = rank.checked_sub(2).filter(|spatial| (1..=3).contains(spatial));
        let spatial =
            spatial.ok_or_else(|| Fault::new(format!("x has the rank {rank}, and windows have one to three axes behind batch and channels")))?;
        let pads = c.ints("pads")?;
        let auto = match c.string_or("auto_pad", "NOTSET")? {
            "NOTSET" | "" => Auto::Pads(counts("pads", pads, 2 * spatial, 0)?),
            "VALID" => Auto::Valid,
            "SAME_UPPER" => Auto::SameUpper,
            "SAME_LOWER" => Auto::SameLower,
            other => return Err(Fault::new(format!("attribute auto_pad: {other} is none of NOTSET, VALID, SAME_UPPER and SAME_LOWER"))),
        };
        let strides = counts("strides", c.ints("strides")?, spatial, 1)?;
        let dilations = counts("dilations", c.ints("dilations")?, spatial, 1)?;
        Ok(Self { rank: spatial, strides, dilations, auto })
    }

    pub fn padding<const N: usize>(&self) -> Result<Padding<N>, Fault> {
        Ok(match &self.auto {
            Auto::Valid => Padding::Valid,
            Auto::SameUpper => Padding::Same,
            Auto::SameLower => Padding::SameLower,
            Auto::Pads(pads) if pads.iter().all(|&pad| pad == 0) => Padding::Valid,
            Auto::Pads(pads) => Padding::Explicit { begin: fixed(&pads[..N.min(pads.len())])?, end: fixed(&pads[N.min(pads.len())..])? },
        })
    }
}

/// The filter's extents must be those that the node names.
fn check_kernel(c: &mut Context<'_, '_>, filter: &[usize]) -> Result<(), Fault> {
    match c.ints("kernel_shape")? {
        Some(kernel) if filter.len() < 2 || !kernel.iter().map(|&k| k as u64).eq(filter[2..].iter().map(|&k| k as u64)) => {
            Err(Fault::new(format!("attribute kernel_shape: it is {kernel:?}, and the filter is {filter:?}")))
        }
        _ => Ok(()),
    }
}

fn groups(c: &mut Context<'_, '_>) -> Result<usize, Fault> {
    let groups = c.int_or("group", 1)?;
    usize::try_from(groups).map_err(|_| Fault::new(format!("attribute group: it is {groups}")))
}

/// A convolution of values of the graph, with the attributes of the node.
pub(super) fn convolved(c: &mut Context<'_, '_>, x: ValueId, filter: ValueId, bias: Option<ValueId>) -> Result<ValueId, Fault> {
    let window = Window::of(c, c.extents(x).len())?;
    let filter_extents = c.extents(filter);
    check_kernel(c, &filter_extents)?;
    let groups = groups(c)?;
    fn descriptor<const N: usize>(window: &Window, groups: usize) -> Result<ConvDescriptor<N>, Fault> {
        Ok(ConvDescriptor {
            stride: fixed(&window.strides)?,
            dilation: fixed(&window.dilations)?,
            padding: window.padding()?,
            groups,
            ..Default::default()
        })
    }
    let descriptor = match window.rank {
        1 => Ranked::One(descriptor(&window, groups)?),
        2 => Ranked::Two(descriptor(&window, groups)?),
        _ => Ranked::Three(descriptor(&window, groups)?),
    };
    let inputs: Vec<ValueId> = [x, filter].into_iter().chain(bias).collect();
    c.emit(Recipe::Conv { descriptor, bias: bias.is_some(), residual: false }, &inputs)
}

pub(super) fn conv<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, filter) = (c.floating(0)?, c.floating(1)?);
    let bias = if c.has(2) { Some(c.floating(2)?.id) } else { None };
    let y = convolved(c, x.id, filter.id, bias)?;
    Ok(vec![c.out(y, x.element)])
}

pub(super) fn conv_transpose<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, filter) = (c.floating(0)?, c.floating(1)?);
    let bias = if c.has(2) { Some(c.floating(2)?.id) } else { None };
    let window = Window::of(c, x.dims.len())?;
    check_kernel(c, &filter.dims)?;
    let groups = groups(c)?;
    let output_padding = counts("output_padding", c.ints("output_padding")?, window.rank, 0)?;
    // Some exporters write the batch and the channels too.
    let output_shape = c.ints("output_shape")?.map(|shape| if shape.len() == window.rank + 2 { &shape[2..] } else { shape });
    let output_shape = output_shape.map(|shape| counts("output_shape", Some(shape), window.rank, 0)).transpose()?;
    fn descriptor<const N: usize>(
        window: &Window,
        [output_padding, output_shape]: [Option<&[usize]>; 2],
        groups: usize,
    ) -> Result<ConvTransposeDescriptor<N>, Fault> {
        // With an output shape the pads follow from it; the odd one is cut at the beginning unless SAME_UPPER is said.
        let padding = match (&window.auto, output_shape) {
            (Auto::SameUpper, _) => Padding::Same,
            (_, Some(_)) => Padding::SameLower,
            _ => window.padding()?,
        };
        Ok(ConvTransposeDescriptor {
            stride: fixed(&window.strides)?,
            dilation: fixed(&window.dilations)?,
            padding,
            output_padding: output_padding.map_or(Ok([0; N]), fixed)?,
            output_shape: output_shape.map(fixed).transpose()?,
            groups,
            ..Default::default()
        })
    }
    let sizes = [Some(output_padding.as_slice()), output_shape.as_deref()];
    let descriptor = match window.rank {
        1 => Ranked::One(descriptor(&window, sizes, groups)?),
        2 => Ranked::Two(descriptor(&window, sizes, groups)?),
        _ => Ranked::Three(descriptor(&window, sizes, groups)?),
    };
    let inputs: Vec<ValueId> = [x.id, filter.id].into_iter().chain(bias).collect();
    let y = c.emit(Recipe::ConvTranspose { descriptor }, &inputs)?;
    Ok(vec![c.out(y, x.element)])
}
