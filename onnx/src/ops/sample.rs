//! Sampling at positions that are computed.

use super::Made;
use crate::import::{Context, Fault};
use wgconv::graph::Recipe;
use wgconv::transform::{GridSampleDescriptor, GridSampleMode, GridSamplePadding};

/// Opset 16 has bilinear and bicubic of images; 20 calls them linear and cubic, and has any number of axes.
pub(super) fn grid_sample<'m>(c: &mut Context<'_, 'm>) -> Made<'m> {
    let (x, grid) = (c.floating(0)?, c.floating(1)?);
    let names = if c.opset() < 20 { ["nearest", "bilinear", "bicubic"] } else { ["nearest", "linear", "cubic"] };
    let mode = c.string_or("mode", names[1])?;
    let mode = match names.iter().position(|name| *name == mode) {
        Some(0) => GridSampleMode::Nearest,
        Some(1) => GridSampleMode::Linear,
        Some(_) => GridSampleMode::Cubic,
        None => return Err(Fault::new(format!("attribute mode: {mode} is none of {}", names.join(", ")))),
    };
    let padding = match c.string_or("padding_mode", "zeros")? {
        "zeros" => GridSamplePadding::Zeros,
        "border" => GridSamplePadding::Border,
        "reflection" => GridSamplePadding::Reflection,
        other => return Err(Fault::new(format!("attribute padding_mode: {other} is none of zeros, border and reflection"))),
    };
    let align_corners = c.flag("align_corners", false)?;
    let y = c.emit(Recipe::GridSample(GridSampleDescriptor { mode, padding, align_corners }), &[x.id, grid.id])?;
    Ok(vec![c.out(y, x.element)])
}
