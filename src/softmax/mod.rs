//! Softmax and log-softmax along one axis, stable for large values, also in place.

use crate::gpu::{DeviceProfile, Recorder};
use crate::kernel::{KernelSpec, SOFTMAX, SOFTMAX_IN_PLACE, uniform};
use crate::op::{
    LONGEST_SERIAL_LINE, Op, Place, Plan, Prepared, Step, TensorSpec, check_tensors, lane_consts, lane_turns, lanes, lines_per_workgroup, pick,
    slices,
};
use crate::reference::Bounded;
use crate::tensor::Tensor;
use crate::types::Result;
use crate::types::element::ElementType;
use crate::types::shape::{Layout, TensorShape, front_axis};

uniform! {
    /// Twin of `SoftmaxParams` in `shaders/softmax.wgsl`.
    SoftmaxParams {
        items: u32,
        inner: u32,
        length: u32,
        base: u32,
    }
}

/// y = e^x / sum of e^x along an axis, or the logarithm of that.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftmaxProblem {
    pub(crate) logarithm: bool,
    pub(crate) extents: Vec<usize>,
    pub(crate) axis: usize,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
    pub(crate) in_place: bool,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl SoftmaxProblem {
    /// The logarithm of the softmax.
    pub fn logarithm(&self) -> bool {
        self.logarithm
    }

    /// Extents of x and y.
    pub fn extents(&self) -> &[usize] {
        &self.extents
    }

    /// The axis.
    pub fn axis(&self) -> usize {
        self.axis
    }

    /// Element type of x and y.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Layout of x and y.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Whether y is x itself: the op then takes no input, and changes its output.
    pub fn is_in_place(&self) -> bool {
        self.in_place
    }

    /// The same, written over x.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }
}

impl SoftmaxProblem {
    /// Resolves a softmax along `axis`, counted from the end if negative.
    ///
    /// # Errors
    /// An axis outside the rank; extents that make no tensor.
    pub fn new(logarithm: bool, extents: &[usize], axis: isize, element: ElementType, layout: Layout) -> Result<Self> {
        element.check_float("x")?;
        TensorShape::named("x", extents)?;
        let axis = front_axis("axis", axis, extents.len())?;
        Ok(Self { logarithm, extents: extents.to_vec(), axis, element, layout, in_place: false })
    }

    /// The tensor in memory as \[outer\]\[length\]\[inner\].
    fn lines(&self) -> [u64; 3] {
        let order = self.layout.memory_order(self.extents.len());
        let place = order.iter().position(|&axis| axis == self.axis).unwrap_or(0);
        let product = |axes: &[usize]| axes.iter().map(|&axis| self.extents[axis] as u64).product();
        [product(&order[..place]), self.extents[self.axis] as u64, product(&order[place + 1..])]
    }
}

/// One line per invocation, or lines that several share.
const DIRECT: &str = "direct";
const ROWS: &str = "rows";

impl Op for SoftmaxProblem {
    fn name(&self) -> &'static str {
        if self.logarithm { "log_softmax" } else { "softmax" }
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        if self.in_place { vec![] } else { vec![TensorSpec::new("x", &self.extents, self.element, self.layout)] }
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec { updated: self.in_place, ..TensorSpec::new("y", &self.extents, self.element, self.layout) }]
    }

    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.lines()[1] <= LONGEST_SERIAL_LINE { vec![DIRECT, ROWS] } else { vec![ROWS] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&self.algorithms(profile), algorithm, ROWS)?;
        let [outer, length, inner] = self.lines();
        let lane_count = if algorithm == ROWS { lanes(length, outer * inner, profile) } else { 1 };
        profile.check_turns(algorithm, lane_turns(length, lane_count))?;
        let mut plan = Plan::new(self.name(), format!("{algorithm} {lane_count}"), self.inputs(), self.outputs());
        check_tensors("a softmax", &plan.outputs.iter().collect::<Vec<_>>(), profile)?;
        let flags = [("LOGARITHM", u32::from(self.logarithm)), ("LANE_FASTEST", u32::from(inner == 1))];
        let kernel = KernelSpec {
            source: if self.in_place { &SOFTMAX_IN_PLACE } else { &SOFTMAX },
            element: self.element,
            consts: lane_consts(lane_count),
            overrides: flags.into_iter().filter(|(_, value)| *value != 0).collect(),
        };
        let slab = length * inner;
        for slice in slices(outer, &[("one slab of x", slab * self.element.bytes())], profile)? {
            let range = slice.range(slab, self.element, profile);
            let items = slice.count * inner;
            let params = SoftmaxParams { items: items as u32, inner: inner as u32, length: length as u32, base: range.base };
            let output = Place::Output { index: 0, first: range.first, bytes: range.bytes };
            let places = match self.in_place {
                false => vec![Place::Input { index: 0, first: range.first, bytes: range.bytes }, output],
                true => vec![output],
            };
            plan.steps.push(Step::new(kernel.clone(), &params, places, items.div_ceil(lines_per_workgroup(lane_count)), profile)?);
        }
        Ok(plan)
    }

    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![crate::reference::softmax(self, inputs[0])]
    }

    fn is_exact(&self) -> bool {
        false
    }

    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        let plain = Self { layout: Layout::ChannelsFirst, ..self.clone() };
        crate::cpu::softmax(self.logarithm, plain.lines().map(|e| e as usize), inputs[0], y);
        Some(())
    }

    fn flops(&self) -> f64 {
        4.0 * self.extents.iter().map(|&e| e as f64).product::<f64>()
    }
}

impl std::fmt::Display for SoftmaxProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")?;
        crate::elementwise::write_tensor(f, &self.extents, self.element, self.layout)?;
        write!(f, "_axis{}{}", self.axis, if self.in_place { "_in_place" } else { "" })
    }
}

impl Recorder<'_> {
    /// Records the softmax along `axis` (negative: from the end).
    ///
    /// # Errors
    /// As [`SoftmaxProblem::new`]; a tensor of another device.
    pub fn softmax(&mut self, x: &Tensor, axis: isize) -> Result<Tensor> {
        self.op1(&problem(false, x, axis)?, &[x])
    }

    /// Records the logarithm of the softmax along `axis`.
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn log_softmax(&mut self, x: &Tensor, axis: isize) -> Result<Tensor> {
        self.op1(&problem(true, x, axis)?, &[x])
    }

    /// Records x = softmax(x) along `axis`.
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn softmax_in_place(&mut self, x: &Tensor, axis: isize) -> Result<()> {
        self.in_place(problem(false, x, axis)?, x)
    }

    /// Records x = logarithm of softmax(x) along `axis`.
    ///
    /// # Errors
    /// As [`Recorder::softmax`].
    pub fn log_softmax_in_place(&mut self, x: &Tensor, axis: isize) -> Result<()> {
        self.in_place(problem(true, x, axis)?, x)
    }

    fn in_place(&mut self, problem: SoftmaxProblem, x: &Tensor) -> Result<()> {
        let plan = problem.in_place().plan(self.gpu().profile(), None)?;
        Prepared::recorded(self, plan, &[])?.record(self, &[], &[x])
    }
}

fn problem(logarithm: bool, x: &Tensor, axis: isize) -> Result<SoftmaxProblem> {
    SoftmaxProblem::new(logarithm, x.shape().extents(), axis, x.element(), x.layout())
}

crate::op::eager! {
    fn softmax(x: &Tensor, axis: isize) -> Tensor;
    fn log_softmax(x: &Tensor, axis: isize) -> Tensor;
    fn softmax_in_place(x: &Tensor, axis: isize) -> ();
    fn log_softmax_in_place(x: &Tensor, axis: isize) -> ();
}
