//! Reading and writing at indices that are computed: gather and scatter in ONNX's three forms. All of them see x as \[outer\]\[places\]\[inner\] and the
//! indices as rows of numbers that name a place.

use crate::ops::Problem;
use crate::ops::spec::{Domain, TensorSpec};
use crate::types::shape::{MAX_RANK, front_axis};
use crate::types::tensor_type::TensorType;
use crate::types::{ElementType, Error, Layout, Result};
use serde::{Deserialize, Serialize};

/// What an index names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Indexing {
    /// A part of x along an axis: the axis becomes those of the indices. ONNX's `Gather`, numpy's `take`.
    Slices {
        /// Negative: from the end.
        axis: isize,
    },
    /// An element along an axis, at the other coordinates that the index itself has: the indices have x's extents but along the axis. ONNX's
    /// `GatherElements`, numpy's `take_along_axis`.
    Elements {
        /// Negative: from the end.
        axis: isize,
    },
    /// Along the last axis of the indices, the coordinates of a part of x. ONNX's `GatherND`.
    Places {
        /// So many axes in front are alike in x and the indices, and are walked together.
        batch_axes: usize,
    },
}

/// What becomes of an element of x and of the updates that are for it, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScatterReduction {
    /// The last update.
    #[default]
    Last,
    /// The sum of all, the element first.
    Add,
    /// The product of all, the element first.
    Mul,
    /// The largest; NaN wins.
    Max,
    /// The smallest; NaN wins.
    Min,
}

impl ScatterReduction {
    /// All of them.
    pub const ALL: [ScatterReduction; 5] =
        [ScatterReduction::Last, ScatterReduction::Add, ScatterReduction::Mul, ScatterReduction::Max, ScatterReduction::Min];

    /// `none`, `add`, `mul`, `max` or `min`, as ONNX has them.
    pub const fn name(self) -> &'static str {
        match self {
            ScatterReduction::Last => "none",
            ScatterReduction::Add => "add",
            ScatterReduction::Mul => "mul",
            ScatterReduction::Max => "max",
            ScatterReduction::Min => "min",
        }
    }
}

impl std::str::FromStr for ScatterReduction {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|m| m.name() == name);
        found.ok_or_else(|| Error::invalid("reduction", name, format!("it is one of {}", Self::ALL.map(ScatterReduction::name).join(", "))))
    }
}

/// A scatter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScatterDescriptor {
    /// What an index names.
    pub indexing: Indexing,
    /// What becomes of updates for one element.
    #[serde(default)]
    pub reduction: ScatterReduction,
}

/// x and the indices as every engine sees them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    pub outer: u64,
    /// Extents of the axes that an index has a number for.
    pub extents: Vec<u64>,
    pub inner: u64,
    /// Rows of numbers for each outer coordinate.
    pub rows: u64,
    /// Steps in the indices of an outer coordinate, a row and an inner coordinate; the numbers of a row are neighbours.
    pub steps: [u64; 3],
    /// Extents of what a gather gives and a scatter is given.
    pub rows_extents: Vec<usize>,
}

impl Geometry {
    fn new(x: &TensorType, indices: &[usize], indexing: Indexing) -> Result<Self> {
        let product = |extents: &[usize]| extents.iter().map(|&e| e as u64).product::<u64>(); // checked as parts of tensors
        let (rank, extents) = (x.rank(), &x.extents);
        let wide = |extents: &[usize]| extents.iter().map(|&e| e as u64).collect();
        Ok(match indexing {
            Indexing::Slices { axis } => {
                let axis = front_axis("axis", axis, rank)?;
                let rows_extents = extents[..axis].iter().chain(indices).chain(&extents[axis + 1..]).copied().collect();
                let (outer, inner) = (product(&extents[..axis]), product(&extents[axis + 1..]));
                Self { outer, extents: vec![extents[axis] as u64], inner, rows: product(indices), steps: [0, 1, 0], rows_extents }
            }
            Indexing::Elements { axis } => {
                let axis = front_axis("axis", axis, rank)?;
                let is_alike = indices.len() == rank && (0..rank).all(|i| i == axis || indices[i] == extents[i]);
                if !is_alike {
                    return Err(Error::invalid(
                        "indices",
                        format!("{indices:?}"),
                        format!("they have x's extents, {extents:?}, but along axis {axis}"),
                    ));
                }
                let (outer, inner, rows) = (product(&extents[..axis]), product(&extents[axis + 1..]), indices[axis] as u64);
                let steps = [rows * inner, inner, 1];
                Self { outer, extents: vec![extents[axis] as u64], inner, rows, steps, rows_extents: indices.to_vec() }
            }
            Indexing::Places { batch_axes } => {
                let Some((&numbers, front)) = indices.split_last() else {
                    return Err(Error::invalid("indices", "[]", "their last axis has the numbers of a place"));
                };
                let fits = batch_axes.checked_add(numbers).is_some_and(|used| used <= rank) && batch_axes <= front.len();
                if !fits || front[..batch_axes] != extents[..batch_axes] {
                    let rule = format!(
                        "they begin with {batch_axes} axes of x, {extents:?}, and end with at most as many numbers as x has axes behind them"
                    );
                    return Err(Error::invalid("indices", format!("{indices:?}"), rule));
                }
                let (batch, rest) = (product(&extents[..batch_axes]), &extents[batch_axes + numbers..]);
                let rows = product(&front[batch_axes..]);
                let steps = [rows * numbers as u64, numbers as u64, 0];
                let rows_extents = front.iter().chain(rest).copied().collect();
                let named = wide(&extents[batch_axes..batch_axes + numbers]);
                Self { outer: batch, extents: named, inner: product(rest), rows, steps, rows_extents }
            }
        })
    }

    /// Places of x for each outer coordinate.
    pub fn places(&self) -> u64 {
        self.extents.iter().product()
    }

    /// The place that a row of numbers names; `None`: none.
    pub fn place(&self, numbers: impl Iterator<Item = f64>) -> Option<u64> {
        let mut place = 0;
        for (number, &extent) in numbers.zip(&self.extents) {
            let front = if number < 0.0 { number + extent as f64 } else { number };
            if !(front >= 0.0 && front < extent as f64) {
                return None;
            }
            place = place * extent + front as u64;
        }
        Some(place)
    }

    /// Where the numbers of a row begin in the indices.
    pub fn first(&self, outer: u64, row: u64, inner: u64) -> usize {
        (outer * self.steps[0] + row * self.steps[1] + inner * self.steps[2]) as usize
    }

    /// What the indices may be.
    fn domain(&self) -> Domain {
        let mut ends = [1; MAX_RANK];
        ends.iter_mut().zip(&self.extents).for_each(|(end, &extent)| *end = extent);
        Domain::Places { ends, numbers: self.extents.len() }
    }
}

/// The types that an op of indices takes, and what it makes of them.
fn checked(x: &TensorType, indices: &TensorType, indexing: Indexing) -> Result<(TensorType, TensorType, Geometry)> {
    let (x, indices) = (x.clone().checked("x")?, indices.clone().checked("indices")?);
    for (tensor, argument) in [(&x, "x"), (&indices, "indices")] {
        if tensor.layout == Layout::ChannelsLast {
            let rule = format!("indices count in row-major order: convert {argument} to channels_first first");
            return Err(Error::Layout { argument: argument.into(), layout: tensor.layout, rule });
        }
    }
    if indices.element == ElementType::F16 {
        return Err(Error::invalid("indices", "of f16", "they are of u32, or f32 numbers that are whole"));
    }
    let geometry = Geometry::new(&x, &indices.extents, indexing)?;
    Ok((x, indices, geometry))
}

fn name(indexing: Indexing, names: [&'static str; 3]) -> &'static str {
    match indexing {
        Indexing::Slices { .. } => names[0],
        Indexing::Elements { .. } => names[1],
        Indexing::Places { .. } => names[2],
    }
}

fn write_id(f: &mut std::fmt::Formatter<'_>, x: &TensorType, indices: &TensorType, indexing: Indexing) -> std::fmt::Result {
    write!(f, "{x}_i{indices}")?;
    match indexing {
        Indexing::Slices { axis } | Indexing::Elements { axis } => write!(f, "_axis{}", if axis < 0 { axis + x.rank() as isize } else { axis }),
        Indexing::Places { batch_axes } => write!(f, "_batch{batch_axes}"),
    }
}

/// y is x at indices. Indices are u32, or f32 numbers that are whole, of which negative ones count from the end (exact to 2^24).
///
/// An index outside is a mistake: [`crate::reference::compute`] and [`crate::cpu::compute`] refuse it by name. A device cannot refuse a value, and on a GPU
/// such an element of y is 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Gather", into = "crate::ops::written::Gather")]
pub struct GatherProblem {
    pub(crate) x: TensorType,
    pub(crate) indices: TensorType,
    pub(crate) indexing: Indexing,
    pub(crate) geometry: Geometry,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl GatherProblem {
    /// What is read.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// Where it is read.
    pub fn indices(&self) -> &TensorType {
        &self.indices
    }

    /// What an index names.
    pub fn indexing(&self) -> Indexing {
        self.indexing
    }
}

impl GatherProblem {
    /// Resolves a gather.
    ///
    /// # Errors
    /// Extents of the indices that do not go with x's; channels-last tensors; indices of f16; an output above rank 5 or past 64 bits.
    pub fn new(x: &TensorType, indices: &TensorType, indexing: Indexing) -> Result<Self> {
        let (x, indices, geometry) = checked(x, indices, indexing)?;
        x.resized("the output", &geometry.rows_extents, Layout::ChannelsFirst)?;
        Ok(Self { x, indices, indexing, geometry })
    }

    /// Extents of y.
    pub fn y(&self) -> &[usize] {
        &self.geometry.rows_extents
    }
}

impl std::fmt::Display for GatherProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_id(f, &self.x, &self.indices, self.indexing)
    }
}

impl Problem for GatherProblem {
    fn name(&self) -> &'static str {
        name(self.indexing, ["gather", "gather_elements", "gather_nd"])
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("x", &self.x), TensorSpec::of("indices", &self.indices).with_domain(self.geometry.domain())]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("y", &TensorType::new(self.y(), self.x.element, Layout::ChannelsFirst))]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        0.0
    }

    /// Of x no more than y has.
    fn bytes(&self) -> u64 {
        let [x, indices] = [&self.x, &self.indices].map(|tensor| TensorSpec::of("", tensor).bytes());
        let y = self.outputs().iter().map(TensorSpec::bytes).fold(0, u64::saturating_add);
        x.min(y).saturating_add(indices).saturating_add(y)
    }
}

/// y is x with updates at indices, which are as those of a [`GatherProblem`]: an update stands where a gather at the same indices would read.
///
/// Updates for one element are taken in row-major order, on every device: y has the same bits at every run. On a GPU each row of
/// indices looks for the next one that names its place, up to the last that does: nothing where no place is named twice, and all rows behind it where
/// places are named over and over. An index outside is a mistake, refused as of a gather; on a GPU its update is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "crate::ops::written::Scatter", into = "crate::ops::written::Scatter")]
pub struct ScatterProblem {
    pub(crate) x: TensorType,
    pub(crate) indices: TensorType,
    pub(crate) descriptor: ScatterDescriptor,
    pub(crate) geometry: Geometry,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl ScatterProblem {
    /// What is updated.
    pub fn x(&self) -> &TensorType {
        &self.x
    }

    /// Where.
    pub fn indices(&self) -> &TensorType {
        &self.indices
    }

    /// What an index names, and what becomes of updates for one element.
    pub fn descriptor(&self) -> ScatterDescriptor {
        self.descriptor
    }
}

impl ScatterProblem {
    /// Resolves a scatter.
    ///
    /// # Errors
    /// Extents of the indices that do not go with x's, of the updates that do not go with the indices'; channels-last tensors; indices of f16; x of u32.
    pub fn new(x: &TensorType, indices: &TensorType, updates: &TensorType, descriptor: &ScatterDescriptor) -> Result<Self> {
        let (x, indices, geometry) = checked(x, indices, descriptor.indexing)?;
        x.checked_float("x")?;
        updates.check_element("updates", x.element, "x")?;
        let updates = updates.clone().checked("updates")?;
        if updates.extents != geometry.rows_extents {
            let rule = format!("they have the extents of what a gather at these indices gives, {:?}", geometry.rows_extents);
            return Err(Error::invalid("updates", format!("{:?}", updates.extents), rule));
        }
        if updates.layout == Layout::ChannelsLast {
            let rule = "indices count in row-major order: convert the updates to channels_first first".into();
            return Err(Error::Layout { argument: "updates".into(), layout: updates.layout, rule });
        }
        Ok(Self { x, indices, descriptor: *descriptor, geometry })
    }

    /// Extents of the updates.
    pub fn updates(&self) -> &[usize] {
        &self.geometry.rows_extents
    }
}

impl std::fmt::Display for ScatterProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_id(f, &self.x, &self.indices, self.descriptor.indexing)?;
        write!(f, "_{}", self.descriptor.reduction.name())
    }
}

impl Problem for ScatterProblem {
    fn name(&self) -> &'static str {
        name(self.descriptor.indexing, ["scatter", "scatter_elements", "scatter_nd"])
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let domain = if self.descriptor.reduction == ScatterReduction::Mul { Domain::NearOne } else { Domain::Real };
        vec![
            TensorSpec::of("x", &self.x).with_domain(domain),
            TensorSpec::of("indices", &self.indices).with_domain(self.geometry.domain()),
            TensorSpec::new("updates", self.updates(), self.x.element, Layout::ChannelsFirst).with_domain(domain),
        ]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::of("y", &self.x)]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn flops(&self) -> f64 {
        self.updates().iter().map(|&e| e as f64).product()
    }

    fn terms(&self) -> u64 {
        match self.descriptor.reduction {
            ScatterReduction::Add | ScatterReduction::Mul => self.geometry.rows.saturating_add(1),
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_that_do_not_go_with_x_are_refused_by_name() {
        let x = TensorType::f32(&[2, 3, 4]);
        let of = |indices: &[usize], indexing| GatherProblem::new(&x, &TensorType::f32(indices), indexing);
        let error = |indices: &[usize], indexing| of(indices, indexing).unwrap_err().to_string();
        assert_eq!(of(&[5, 6], Indexing::Slices { axis: -2 }).unwrap().y(), [2, 5, 6, 4]);
        assert_eq!(of(&[2, 7, 4], Indexing::Elements { axis: 1 }).unwrap().y(), [2, 7, 4]);
        assert_eq!(of(&[2, 5, 1], Indexing::Places { batch_axes: 1 }).unwrap().y(), [2, 5, 4]);
        assert_eq!(of(&[7, 3], Indexing::Places { batch_axes: 0 }).unwrap().y(), [7]);
        assert_eq!(error(&[3, 7, 4], Indexing::Elements { axis: 1 }), "indices is [3, 7, 4]: they have x's extents, [2, 3, 4], but along axis 1");
        assert!(error(&[7, 4], Indexing::Places { batch_axes: 0 }).starts_with("indices is [7, 4]: they begin with 0 axes of x"));
        assert!(error(&[3, 1], Indexing::Places { batch_axes: 1 }).starts_with("indices is [3, 1]: they begin with 1 axes of x"));
        assert!(error(&[5], Indexing::Slices { axis: 3 }).starts_with("axis is 3"));
        let last = TensorType::new(&[2, 3, 4], ElementType::F32, Layout::ChannelsLast);
        assert!(
            GatherProblem::new(&last, &TensorType::f32(&[5]), Indexing::Slices { axis: 0 })
                .unwrap_err()
                .to_string()
                .starts_with("x is channels_last")
        );
        let descriptor = ScatterDescriptor { indexing: Indexing::Slices { axis: 0 }, reduction: ScatterReduction::Add };
        let error = ScatterProblem::new(&x, &TensorType::f32(&[5]), &x, &descriptor).unwrap_err().to_string();
        assert_eq!(error, "updates is [2, 3, 4]: they have the extents of what a gather at these indices gives, [5, 3, 4]");
    }

    #[test]
    fn a_gather_moves_what_it_reads() {
        let of = |rows: usize| GatherProblem::new(&TensorType::f32(&[1000, 64]), &TensorType::f32(&[rows]), Indexing::Slices { axis: 0 }).unwrap();
        // Four rows are read, and four written; of many all of x.
        assert_eq!(crate::ops::Op::from(of(4)).bytes(), 4 * 64 * 4 + 4 * 4 + 4 * 64 * 4);
        assert_eq!(of(3000).bytes(), 1000 * 64 * 4 + 3000 * 4 + 3000 * 64 * 4);
    }

    #[test]
    fn negative_numbers_count_from_the_end() {
        let problem = GatherProblem::new(&TensorType::f32(&[3, 4]), &TensorType::f32(&[1, 2]), Indexing::Places { batch_axes: 0 }).unwrap();
        let place = |numbers: [f64; 2]| problem.geometry.place(numbers.into_iter());
        assert_eq!((place([0.0, 3.0]), place([-1.0, -4.0]), place([2.0, 1.0])), (Some(3), Some(8), Some(9)));
        assert_eq!((place([3.0, 0.0]), place([0.0, -5.0]), place([f64::NAN, 0.0])), (None, None, None));
    }
}
