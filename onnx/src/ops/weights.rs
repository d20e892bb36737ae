//! Weights as the ops take them.

use crate::host::moves;
use crate::import::{Context, Fault, Known};
use std::rc::Rc;
use wgconv::graph::ValueId;

/// A known matrix as a dense layer takes it, a row for each output; `stored_so` where the file has it like that. None where the input is no known matrix.
pub(super) fn rows<'m>(c: &mut Context<'_, 'm>, input: usize, stored_so: bool) -> Result<Option<ValueId>, Fault> {
    let Some(known) = c.known(input) else { return Ok(None) };
    if known.tensor.dims().len() != 2 || !known.tensor.element().is_float() {
        return Ok(None);
    }
    if stored_so {
        return Ok(Some(c.running(input)?.id));
    }
    let turned = moves::transpose(&known.tensor, &[1, 0], &mut c.importer.budget)?;
    let turned = Rc::new(Known { tensor: turned, name: known.name });
    Ok(Some(c.place(&turned)?.id))
}
