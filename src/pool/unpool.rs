//! Max unpooling: the inverse of max pooling as far as there is one.

use super::descriptor::MaxUnpoolDescriptor;
use super::params::UnpoolParams;
use crate::element::ElementType;
use crate::error::{Error, Result};
use crate::gpu::DeviceProfile;
use crate::kernel::{KernelSpec, POOL_MAX_UNPOOL};
use crate::op::{Domain, Op, Place, Plan, Step, TensorSpec, check_binding, check_tensors, pick};
use crate::reference::Bounded;
use crate::shape::{AxisPadding, Layout, TensorShape, axis_name, check_step};

/// A resolved max unpooling. Indices are flat inside the output plane, row-major; what lies outside it is ignored, since a device
/// cannot refuse a value. Of several indices that point at one output the last in row-major order wins.
#[derive(Debug, Clone, PartialEq)]
pub struct MaxUnpoolProblem {
    /// Extents of x and of the indices.
    pub x: Vec<usize>,
    /// Extents of y.
    pub y: Vec<usize>,
    /// Element type of x and y.
    pub element: ElementType,
    /// Layout of all three.
    pub layout: Layout,
}

impl MaxUnpoolProblem {
    /// Resolves an unpooling: extent of y = (n - 1) stride + window - pads, unless `output_shape` says it.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming argument, value and rule.
    pub fn new<const N: usize>(
        descriptor: &MaxUnpoolDescriptor<N>,
        x: &[usize],
        indices: &[usize],
        element: ElementType,
        layout: Layout,
    ) -> Result<Self> {
        if x.len() != N + 2 {
            return Err(Error::invalid("x", format!("{x:?}"), format!("a {N}-D unpool takes x of rank {}, not {}", N + 2, x.len())));
        }
        TensorShape::named("x", x)?;
        if indices != x {
            return Err(Error::invalid("indices", format!("{indices:?}"), format!("indices have the shape of x, {x:?}")));
        }
        let pool = &descriptor.pool;
        let mut y = x[..2].to_vec();
        for i in 0..N {
            let (name, window) = (axis_name(i, N), pool.window[i] as u64);
            if window == 0 {
                return Err(Error::invalid(format!("window ({name})"), window, "window extents must be at least 1"));
            }
            let stride = pool.stride.map_or(window, |s| s[i] as u64);
            check_step("stride", name, stride)?;
            let pads = match pool.padding.axis(i) {
                AxisPadding::Explicit { begin, end } => u128::from(begin) + u128::from(end),
                AxisPadding::SameUpper | AxisPadding::SameLower => {
                    return Err(Error::invalid("padding", "Same", "an unpool takes explicit pads: SAME does not tell the extent of y"));
                }
            };
            let full = u128::from(x[2 + i] as u64 - 1) * u128::from(stride) + u128::from(window);
            let extent = match descriptor.output_shape {
                Some(shape) => shape[i] as u128,
                None => full.saturating_sub(pads),
            };
            let extent = usize::try_from(extent).ok().filter(|&e| e > 0).ok_or_else(|| {
                Error::invalid(
                    format!("padding ({name})"),
                    pads,
                    format!("the output extent ({} - 1) x stride {stride} + window {window} - pads must be at least 1 and fit 64 bits", x[2 + i]),
                )
            })?;
            y.push(extent);
        }
        TensorShape::named("the output", &y)?;
        Ok(Self { x: x.to_vec(), y, element, layout })
    }

    /// Positions of a plane of x and of y.
    fn positions(&self) -> [u64; 2] {
        [&self.x, &self.y].map(|extents| extents[2..].iter().map(|&e| e as u64).product())
    }
}

const SCATTER: &str = "scatter";

impl Op for MaxUnpoolProblem {
    fn name(&self) -> &'static str {
        "max_unpool"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        let [_, positions] = self.positions();
        vec![
            TensorSpec::new("x", &self.x, self.element, self.layout),
            TensorSpec::new("indices", &self.x, ElementType::U32, self.layout).with_domain(Domain::Index(positions)),
        ]
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec::new("y", &self.y, self.element, self.layout)]
    }

    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        vec![SCATTER]
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let algorithm = pick(&[SCATTER], algorithm, SCATTER)?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        let tensors: Vec<&TensorSpec> = plan.inputs.iter().chain(&plan.outputs).collect();
        check_tensors("an unpool", &tensors, profile)?;
        for tensor in tensors {
            check_binding(&tensor.name, tensor.bytes(), profile)?;
        }
        let count = plan.outputs[0].count();
        check_binding("the winners of the unpool", count * 4, profile)?;
        plan.scratch.push(count * 4);
        let [positions_x, positions_y] = self.positions();
        let planes = self.x[0] * self.x[1];
        let params =
            UnpoolParams { planes: planes as u32, channels: self.x[1] as u32, positions_x: positions_x as u32, positions_y: positions_y as u32 };
        for (pass, items) in [(0, count), (1, plan.inputs[0].count()), (2, count)] {
            let layout = u32::from(self.layout == Layout::ChannelsLast);
            let overrides = [("PASS", pass), ("CHANNELS_LAST", layout)].into_iter().filter(|(_, value)| *value != 0).collect();
            let kernel = KernelSpec { source: &POOL_MAX_UNPOOL, element: self.element, consts: vec![], overrides };
            let inputs = [Place::input(0, &plan.inputs), Place::input(1, &plan.inputs)];
            let places = inputs.into_iter().chain([Place::Scratch(0), Place::output(0, &plan.outputs)]).collect();
            plan.steps.push(Step::new(kernel, &params, places, items.div_ceil(64), profile)?);
        }
        Ok(plan)
    }

    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        let [positions_x, positions_y] = self.positions().map(|p| p as usize);
        let mut y = vec![0.0; self.y.iter().product()];
        for (i, (&v, &index)) in inputs[0].iter().zip(inputs[1]).enumerate() {
            if (index as usize) < positions_y {
                y[i / positions_x * positions_y + index as usize] = v;
            }
        }
        vec![Bounded::exact(y)]
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn compute(&self, _: &[&[f32]], _: &mut [f32]) -> Option<()> {
        None // indices are no f32
    }

    fn flops(&self) -> f64 {
        0.0
    }
}

impl std::fmt::Display for MaxUnpoolProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")?;
        crate::elementwise::write_tensor(f, &self.x, self.element, self.layout)?;
        let y: Vec<String> = self.y[2..].iter().map(usize::to_string).collect();
        write!(f, "_to{}", y.join("x"))
    }
}
