//! The gather: y\[c\] = x\[sum over axes of table\[axis\]\[c_axis\]\], or a constant where any entry names nothing. The tables are made on
//! the host, so that no coordinate arithmetic of pads and resizes runs in a shader.
//!
//! Algorithms: `direct` (one element per invocation) and `rows` (the outer coordinates are looked up once per workgroup, whose threads
//! run along the innermost axis).

use crate::ops::spec::TensorSpec;
use crate::ops::transform::NOTHING;
use crate::plan::bands::Cuttable;
use crate::plan::pick;
use crate::plan::profile::DeviceProfile;
use crate::plan::step::{BufferRef, Plan, Step, check_binding, check_tensors};
use crate::plan::transform::sources::{Reads, Sources};
use crate::plan::transform::{is_row, row_part};
use crate::shader::KernelSpec;
use crate::shader::source::TRANSFORM_GATHER;
use crate::shader::uniforms::{GatherAxis, GatherParams};
use crate::types::TensorType;
use crate::types::{Error, Result};

/// Both always apply.
pub(crate) const ALGORITHMS: [&str; 2] = ["direct", "rows"];

/// Most bytes of a plan's table, which the host fills and keeps: an axis of 67 million coordinates. Tensors that are so long in one axis alone are
/// the only ones that come near it.
const MOST_TABLE_BYTES: u64 = 256 << 20;

const TABLE: &str = "the table of source offsets";

/// A table of so many entries must fit what a plan may keep, and is not made before.
pub(crate) fn check_entries(entries: u64) -> Result<()> {
    let (needed, limit) = (u128::from(entries) * 4, MOST_TABLE_BYTES);
    if needed > limit.into() {
        return Err(Error::TooLarge { argument: TABLE.into(), needed, unit: "bytes", limit_name: "the largest table of a plan", limit });
    }
    Ok(())
}

/// The same, and it must fit a binding.
pub(crate) fn check_table(entries: u64, profile: &DeviceProfile) -> Result<()> {
    check_entries(entries)?;
    check_binding(TABLE, entries * 4, profile)
}

/// Plans a gather from `x` to `y` of the same rank and layout. `tables` gives, per logical axis and coordinate of y, the coordinate of
/// x or [`NOTHING`]; it is asked for after the sizes are checked.
pub(crate) fn plan(
    op: &'static str,
    x: &TensorType,
    y: &TensorType,
    tables: impl FnOnce() -> Vec<Vec<u32>>,
    value: f32,
    profile: &DeviceProfile,
    forced: Option<&str>,
) -> Result<Plan> {
    check_tensors(op, &[&TensorSpec::of("x", x), &TensorSpec::of("y", y)], profile)?;
    check_entries(y.extents.iter().map(|&extent| extent as u64).sum())?;
    let sources = Sources { x: x.clone(), y: y.clone(), reads: Reads::One(tables()) };
    plan_sources(op, &sources, value, profile, forced)
}

fn plan_sources(op: &'static str, sources: &Sources, value: f32, profile: &DeviceProfile, forced: Option<&str>) -> Result<Plan> {
    let plan_band = |band: &Sources| plan_sources(op, band, value, profile, forced);
    if let Some(bands) = sources.in_bands(op, plan_band, profile) {
        return bands;
    }
    let (x_spec, y_spec, Sources { x, y, .. }) = (sources.tensor(Some(0)), sources.tensor(None), sources);
    let Reads::One(tables) = &sources.reads else {
        return Err(Error::Internal { label: "a gather".into(), message: "it reads one element for each".into() });
    };
    check_table(tables.iter().map(|table| table.len() as u64).sum(), profile)?;
    let strides = x.strides();
    // Every cast is in range: both tensors have less than 2^31 elements, and so have extents, strides and offsets.
    let mut params = GatherParams {
        items: y_spec.count() as u32,
        run: 1,
        row_part: 0,
        row_parts: 0,
        value,
        unused0: 0,
        unused1: 0,
        unused2: 0,
        axes: [GatherAxis { extent: 1, first: 0, unused0: 0, unused1: 0 }; 5],
    };
    let mut table = Vec::new();
    let mut rank = 0;
    for axis in y.layout.memory_order(y.rank()) {
        let entries = &tables[axis];
        if entries == &[0] && y_spec.count() > 1 {
            continue; // an axis of extent 1 that adds nothing; another one is longer
        }
        params.axes[rank] = GatherAxis { extent: entries.len() as u32, first: table.len() as u32, unused0: 0, unused1: 0 };
        table.extend(entries.iter().map(|&c| if c == NOTHING { NOTHING } else { c * strides[axis] as u32 }));
        rank += 1;
    }
    if rank == 0 {
        table.push(0); // a scalar
        rank = 1;
    }
    let run = u64::from(params.axes[rank - 1].extent);
    let algorithm = pick(&ALGORITHMS, forced, if is_row(run, profile.is_cpu) { "rows" } else { "direct" })?;
    let (overrides, workgroups) = if algorithm == "rows" {
        let row_part = row_part(run, profile.is_cpu);
        let (rows, row_parts) = (y_spec.count() / run, run.div_ceil(row_part));
        (params.items, params.row_part, params.row_parts) = (rows as u32, row_part as u32, row_parts as u32);
        (vec![("ROWS", 1)], rows * row_parts)
    } else {
        (vec![], y_spec.count().div_ceil(64))
    };
    params.run = run as u32;
    let mut plan = Plan::new(op, algorithm.to_string(), vec![x_spec], vec![y_spec]);
    plan.tables.push(table);
    let kernel = KernelSpec { source: &TRANSFORM_GATHER, element: x.element, consts: vec![("RANK", rank as u32), profile.together()], overrides };
    let refs = vec![BufferRef::input(0, &plan.inputs), BufferRef::Table(0), BufferRef::output(0, &plan.outputs)];
    plan.steps.push(Step::new(kernel, &params, refs, workgroups, profile)?);
    Ok(plan)
}
