//! One operand: an activation as an op of its own, in place if wanted.

use super::params::UnaryParams;
use crate::gpu::DeviceProfile;
use crate::kernel::{ELEMENTWISE_UNARY, ELEMENTWISE_UNARY_IN_PLACE, ELEMENTWISE_UNARY_IN_PLACE_VECTOR, ELEMENTWISE_UNARY_VECTOR, KernelSpec};
use crate::op::{Op, Place, Plan, Step, TensorSpec, check_tensors, pick, slices};
use crate::reference::Bounded;
use crate::types::Result;
use crate::types::activation::Activation;
use crate::types::element::ElementType;
use crate::types::shape::{Layout, TensorShape};

/// y = activation(x), of x's shape and layout.
#[derive(Debug, Clone, PartialEq)]
pub struct UnaryProblem {
    pub(crate) activation: Activation,
    pub(crate) extents: Vec<usize>,
    pub(crate) element: ElementType,
    pub(crate) layout: Layout,
    pub(crate) in_place: bool,
}

/// What it is made of. Its constructors check all of it, and shaders run unchecked on the strength of that, so nothing outside may change a field.
impl UnaryProblem {
    /// The function.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Extents of x and y.
    pub fn extents(&self) -> &[usize] {
        &self.extents
    }

    /// Their element type.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Their layout.
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

impl UnaryProblem {
    /// Resolves an activation.
    ///
    /// # Errors
    /// Extents that make no tensor, parameters that make no function.
    pub fn new(activation: Activation, extents: &[usize], element: ElementType, layout: Layout) -> Result<Self> {
        activation.check()?;
        element.check_float("x")?;
        TensorShape::named("x", extents)?;
        Ok(Self { activation, extents: extents.to_vec(), element, layout, in_place: false })
    }

    fn count(&self) -> u64 {
        self.extents.iter().map(|&e| e as u64).product() // checked in `new`
    }
}

/// One element an item, or four.
const DIRECT: &str = "direct";
const VECTOR: &str = "vector";
/// Items of one invocation: enough to pay for its start, few enough for small tensors to fill a device.
const ITEMS_EACH: u64 = 4;

impl Op for UnaryProblem {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn inputs(&self) -> Vec<TensorSpec> {
        if self.in_place { vec![] } else { vec![TensorSpec::new("x", &self.extents, self.element, self.layout)] }
    }

    fn outputs(&self) -> Vec<TensorSpec> {
        vec![TensorSpec { updated: self.in_place, ..TensorSpec::new("y", &self.extents, self.element, self.layout) }]
    }

    fn algorithms(&self, _: &DeviceProfile) -> Vec<&'static str> {
        if self.count().is_multiple_of(4) { vec![DIRECT, VECTOR] } else { vec![DIRECT] }
    }

    fn plan(&self, profile: &DeviceProfile, algorithm: Option<&str>) -> Result<Plan> {
        let admitted = self.algorithms(profile);
        let algorithm = pick(&admitted, algorithm, admitted[admitted.len() - 1])?;
        let mut plan = Plan::new(self.name(), algorithm.to_string(), self.inputs(), self.outputs());
        check_tensors("an activation", &plan.outputs.iter().collect::<Vec<_>>(), profile)?;
        let (source, width) = match (algorithm, self.in_place) {
            (VECTOR, false) => (&ELEMENTWISE_UNARY_VECTOR, 4),
            (VECTOR, true) => (&ELEMENTWISE_UNARY_IN_PLACE_VECTOR, 4),
            (_, false) => (&ELEMENTWISE_UNARY, 1),
            (_, true) => (&ELEMENTWISE_UNARY_IN_PLACE, 1),
        };
        let mut overrides = vec![];
        if self.activation != Activation::None {
            overrides.push(("ACTIVATION", self.activation.shader_id()));
        }
        let kernel = KernelSpec { source, element: self.element, consts: vec![("ITEMS_EACH", ITEMS_EACH as u32), profile.together()], overrides };
        let [alpha, beta] = self.activation.parameters();
        // The unit that is never cut: items of 256 bytes keep slices on every device's alignment.
        let chunk = 256 / self.element.bytes();
        let count = self.count();
        for slice in slices(count.div_ceil(chunk), &[("256 bytes of x", 256)], profile)? {
            let elements = (slice.count * chunk).min(count - slice.first * chunk);
            let range = slice.range(chunk, self.element, profile);
            let bytes = u64::from(range.base) * self.element.bytes() + elements * self.element.bytes();
            let items = elements / width;
            let base = range.base / width as u32;
            let params = UnaryParams { items: items as u32, x_base: base, y_base: base, unused0: 0, alpha, beta, unused1: 0, unused2: 0 };
            let output = Place::Output { index: 0, first: range.first, bytes };
            let places = match self.in_place {
                false => vec![Place::Input { index: 0, first: range.first, bytes }, output],
                true => vec![output],
            };
            plan.steps.push(Step::new(kernel.clone(), &params, places, items.div_ceil(64 * ITEMS_EACH), profile)?);
        }
        Ok(plan)
    }

    fn reference(&self, inputs: &[&[f64]]) -> Vec<Bounded> {
        vec![crate::reference::unary(self.activation, inputs[0])]
    }

    fn is_exact(&self) -> bool {
        self.activation.is_exact()
    }

    fn compute(&self, inputs: &[&[f32]], y: &mut [f32]) -> Option<()> {
        crate::cpu::unary(self.activation, inputs[0], y);
        Some(())
    }

    fn flops(&self) -> f64 {
        self.count() as f64
    }
}

impl std::fmt::Display for UnaryProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [alpha, beta] = self.activation.parameters();
        write!(f, "{}", self.activation)?;
        if [alpha, beta] != [0.0, 0.0] {
            write!(f, "_{alpha}_{beta}")?;
        }
        super::write_tensor(f, &self.extents, self.element, self.layout)?;
        if self.in_place { write!(f, "_in_place") } else { Ok(()) }
    }
}
