//! Plans: pure arithmetic, no device asked. A plan names the tensors of an op and lists kernel calls over them.

use crate::ops::spec::TensorSpec;
use crate::plan::profile::DeviceProfile;
use crate::shader::{ABSENT, KernelSpec, fold_workgroups};
use crate::types::{ElementType, Error, Result, TensorShape};

/// Part of a tensor or buffer that a kernel call binds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BufferRef {
    /// Bytes `first ..` of input `index`.
    Input { index: usize, first: u64, bytes: u64 },
    /// Bytes `first ..` of output `index`.
    Output { index: usize, first: u64, bytes: u64 },
    /// A scratch buffer of the prepared op.
    Scratch(usize),
    /// Bytes `first ..` of a scratch buffer that may be larger than a binding.
    ScratchPart { index: usize, first: u64, bytes: u64 },
    /// A constant table of the prepared op.
    Table(usize),
    /// A binding that the kernel leaves out, such as a bias that is not there.
    Nothing,
}

impl BufferRef {
    /// All of input `index`.
    pub fn input(index: usize, specs: &[TensorSpec]) -> Self {
        BufferRef::Input { index, first: 0, bytes: specs[index].bytes() }
    }

    /// All of output `index`.
    pub fn output(index: usize, specs: &[TensorSpec]) -> Self {
        BufferRef::Output { index, first: 0, bytes: specs[index].bytes() }
    }

    /// `range` of it.
    pub fn part(self, range: Range) -> Self {
        let Range { first, bytes, .. } = range;
        match self {
            BufferRef::Input { index, first: own, .. } => BufferRef::Input { index, first: own + first, bytes },
            BufferRef::Output { index, first: own, .. } => BufferRef::Output { index, first: own + first, bytes },
            BufferRef::Scratch(index) => BufferRef::ScratchPart { index, first, bytes },
            BufferRef::ScratchPart { index, first: own, .. } => BufferRef::ScratchPart { index, first: own + first, bytes },
            BufferRef::Table(_) | BufferRef::Nothing => self,
        }
    }
}

/// Name of the limit that [`Step::new`] holds kernels to.
pub(crate) const STORAGE_BUFFERS: &str = "max_storage_buffers_per_shader_stage";

/// One kernel call.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The kernel.
    pub kernel: KernelSpec,
    /// Bytes of its uniform struct, binding 0.
    pub(crate) params: Vec<u8>,
    /// Bindings 1 and on.
    pub(crate) refs: Vec<BufferRef>,
    /// Workgroups per axis.
    pub workgroups: [u32; 3],
}

impl Step {
    /// Whether it binds input `index`.
    pub(crate) fn reads(&self, index: usize) -> bool {
        self.refs.iter().any(|place| matches!(place, BufferRef::Input { index: own, .. } if *own == index))
    }

    /// A call of `workgroups` workgroups, folded over the axes of a dispatch. The kernel leaves out what `places` has nothing for.
    ///
    /// # Errors
    /// More workgroups than two axes hold; more storage buffers than one kernel may bind.
    pub(crate) fn new(
        mut kernel: KernelSpec,
        params: &impl bytemuck::Pod,
        refs: Vec<BufferRef>,
        workgroups: u64,
        profile: &DeviceProfile,
    ) -> Result<Self> {
        let absent = (1..).zip(&refs).filter(|(_, place)| **place == BufferRef::Nothing).fold(0, |bits, (binding, _)| bits | 1u32 << binding);
        if absent != 0 {
            kernel.consts.push((ABSENT, absent));
        }
        let buffers = refs.iter().filter(|place| **place != BufferRef::Nothing).count();
        if buffers > profile.max_storage_buffers as usize {
            return Err(Error::TooLarge {
                argument: format!("the kernel {}", kernel.source.name),
                needed: buffers as u128,
                unit: "storage buffers",
                limit_name: STORAGE_BUFFERS,
                limit: profile.max_storage_buffers.into(),
            });
        }
        let workgroups = fold_workgroups(workgroups, profile.max_workgroups_per_axis)?;
        Ok(Self { kernel, params: bytemuck::bytes_of(params).to_vec(), refs, workgroups })
    }
}

/// Everything that is decided before a device is touched.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The op's name, for messages.
    pub op: &'static str,
    /// The algorithm and the numbers baked into its kernel, such as `implicit_gemm_workgroup 64x64x16`.
    pub label: String,
    /// The tensors it takes.
    pub inputs: Vec<TensorSpec>,
    /// The tensors it gives.
    pub outputs: Vec<TensorSpec>,
    /// Constant tables that kernels read.
    pub(crate) tables: Vec<Vec<u32>>,
    /// Bytes of buffers that only this op's kernels see.
    pub(crate) scratch: Vec<u64>,
    /// Calls made once, when the op is prepared: over constants and scratch.
    pub prepare: Vec<Step>,
    /// Calls made with each recording.
    pub steps: Vec<Step>,
    /// By input: whether it may lie in a buffer that an output lies in, by [`Plan::share`]; empty where none may.
    pub(crate) shared: Vec<bool>,
}

impl Plan {
    /// Where the uniform struct of each call begins in one buffer of all of them, those that pack before the others, and the bytes of that buffer; none where a
    /// kernel has no uniform.
    pub(crate) fn uniforms(&self, alignment: u64) -> (Vec<Option<u64>>, u64) {
        let mut end = 0u64;
        let calls = self.prepare.iter().chain(&self.steps).map(|step| {
            let begin = (!step.params.is_empty()).then(|| end.next_multiple_of(alignment));
            end = begin.map_or(end, |begin| begin + step.params.len() as u64);
            begin
        });
        (calls.collect(), end)
    }

    pub(crate) fn new(op: &'static str, label: String, inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Self {
        Self { op, label, inputs, outputs, tables: vec![], scratch: vec![], prepare: vec![], steps: vec![], shared: vec![] }
    }
}

impl Plan {
    /// Bytes of memory that only its kernels see, packed inputs included, and of the constant tables that they read.
    pub fn own_bytes(&self) -> u64 {
        let tables = self.tables.iter().map(|table| 4 * table.len() as u64);
        self.scratch.iter().copied().chain(tables).fold(0, u64::saturating_add)
    }

    /// The algorithm's name: the first word of the label.
    pub fn algorithm(&self) -> &str {
        self.label.split(' ').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.label)
    }
}

/// First number past what a shader's 32-bit signed integers hold.
pub(crate) const INDEX_LIMIT: u64 = 1 << 31;

/// Most parts into which an op is cut so that each fits the device's bindings. A tensor has less than 2^31 elements, so the 128 MiB of WebGPU's
/// default limits cut it into 64 parts, and a product with both its operands into 64 x 64.
const MOST_PARTS: u64 = 1 << 14;

/// A plan lists its parts one by one, so there may not be too many of them.
pub(crate) fn check_parts(argument: &str, parts: u128) -> Result<()> {
    if parts <= u128::from(MOST_PARTS) {
        return Ok(());
    }
    let argument = format!("{argument}, cut to fit the device's bindings,");
    Err(Error::TooLarge { argument, needed: parts, unit: "parts", limit_name: "the most parts of one op", limit: MOST_PARTS })
}

/// Every kernel has workgroups of 64 invocations or more, and bindings begin where the device says.
fn check_profile(profile: &DeviceProfile) -> Result<()> {
    let invocations = profile.max_workgroup_invocations;
    if invocations < 64 {
        return Err(Error::TooLarge {
            argument: "a workgroup".into(),
            needed: 64,
            unit: "invocations",
            limit_name: "max_compute_invocations_per_workgroup",
            limit: invocations.into(),
        });
    }
    let alignment = profile.storage_alignment;
    if !(alignment.is_power_of_two() && (4..=1 << 31).contains(&alignment)) {
        return Err(Error::invalid("min_storage_buffer_offset_alignment", alignment, "it is a power of two from 4 to 2^31"));
    }
    Ok(())
}

/// Checks that every tensor can be indexed by a shader and held by a buffer, and that f16 is there where it is asked for.
pub(crate) fn check_tensors(op: &str, specs: &[&TensorSpec], profile: &DeviceProfile) -> Result<()> {
    check_profile(profile)?;
    for spec in specs {
        TensorShape::named(&spec.name, &spec.tensor.extents)?;
        let count = spec.count();
        if spec.tensor.element == ElementType::F16 && !profile.has_f16 {
            return Err(Error::MissingFeature { feature: "shader-f16", needed_for: format!("{op} of f16"), adapter: "of this plan".into() });
        }
        if count >= INDEX_LIMIT {
            return Err(Error::TooLarge {
                argument: spec.name.to_string(),
                needed: count.into(),
                unit: "elements",
                limit_name: "the largest 31-bit index",
                limit: INDEX_LIMIT - 1,
            });
        }
        if spec.bytes() > profile.max_buffer_bytes {
            return Err(Error::TooLarge {
                argument: spec.name.to_string(),
                needed: spec.bytes().into(),
                unit: "bytes",
                limit_name: "max_buffer_size",
                limit: profile.max_buffer_bytes,
            });
        }
    }
    Ok(())
}

/// `argument` of `needed` bytes must fit one binding.
pub(crate) fn check_binding(argument: &str, needed: u64, profile: &DeviceProfile) -> Result<()> {
    let limit = profile.max_binding_bytes.min(profile.max_buffer_bytes);
    if needed > limit {
        return Err(Error::TooLarge {
            argument: argument.into(),
            needed: needed.into(),
            unit: "bytes",
            limit_name: "max_storage_buffer_binding_size",
            limit,
        });
    }
    Ok(())
}

/// Neighbouring items of a job that one kernel call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub first: u64,
    pub count: u64,
}

/// The range of a tensor that a chunk binds: bindings start at multiples of the device's alignment, so the first element of the chunk
/// may lie `base` elements inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub first: u64,
    pub bytes: u64,
    pub base: u32,
}

impl Chunk {
    /// Where the chunk lies in a tensor whose items are `item` elements each.
    pub fn range(&self, item: u64, element: ElementType, profile: &DeviceProfile) -> Range {
        let start = self.first * item * element.bytes();
        let aligned = start / profile.storage_alignment * profile.storage_alignment;
        // The distance is below one alignment, which is a multiple of every element's size.
        Range { first: aligned, bytes: start - aligned + self.count * item * element.bytes(), base: ((start - aligned) / element.bytes()) as u32 }
    }
}

/// Cuts `count` items so that every chunk's part of each tensor fits one binding. `tensors` names each tensor's item and says how many
/// bytes it has.
pub(crate) fn chunks(count: u64, tensors: &[(&str, u64)], profile: &DeviceProfile) -> Result<Vec<Chunk>> {
    let limit = profile.max_binding_bytes;
    // A chunk may start up to one alignment before its first element.
    let room = limit - profile.storage_alignment.min(limit);
    let (mut per_chunk, mut largest) = (count, "");
    for &(name, item) in tensors {
        if item > room && item.saturating_mul(count) > limit {
            return Err(Error::TooLarge {
                argument: name.into(),
                needed: item.into(),
                unit: "bytes",
                limit_name: "max_storage_buffer_binding_size",
                limit,
            });
        }
        if item.saturating_mul(count) > limit && room / item < per_chunk {
            (per_chunk, largest) = (room / item, name);
        }
    }
    check_parts(largest, count.div_ceil(per_chunk).into())?;
    let mut chunks = Vec::new();
    let mut first = 0;
    while first < count {
        let taken = per_chunk.min(count - first);
        chunks.push(Chunk { first, count: taken });
        first += taken;
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Layout;

    #[test]
    fn slices_cover_every_item_once_and_fit() {
        let profile = DeviceProfile { max_binding_bytes: 4096, ..DeviceProfile::MINIMAL };
        let chunks = chunks(30, &[("x", 1000), ("y", 500)], &profile).unwrap();
        assert_eq!(chunks.iter().map(|s| s.count).sum::<u64>(), 30);
        let mut next = 0;
        for chunk in &chunks {
            assert_eq!(chunk.first, next);
            next += chunk.count;
            let range = chunk.range(250, ElementType::F32, &profile);
            assert!(range.first % 256 == 0 && range.bytes <= 4096, "{range:?}");
            assert_eq!(range.first + u64::from(range.base) * 4, chunk.first * 1000);
        }
        assert_eq!(crate::plan::step::chunks(3, &[("x", 1000)], &profile).unwrap(), [Chunk { first: 0, count: 3 }]);
        let error = crate::plan::step::chunks(3, &[("one image of x", 5000)], &profile).unwrap_err().to_string();
        assert_eq!(error, "one image of x needs 5000 bytes, but max_storage_buffer_binding_size is 4096");
        assert_eq!(crate::plan::step::chunks(3 << 14, &[("x", 1000)], &profile).unwrap().len(), 1 << 14);
        let error = crate::plan::step::chunks((3 << 14) + 1, &[("one image of x", 1000)], &profile).unwrap_err().to_string();
        assert_eq!(error, "one image of x, cut to fit the device's bindings, needs 16385 parts, but the most parts of one op is 16384");
    }

    #[test]
    fn a_device_that_no_kernel_runs_on_is_refused() {
        let x = TensorSpec::new("x", &[4], ElementType::F32, Layout::ChannelsFirst);
        let check = |profile: DeviceProfile| check_tensors("a test", &[&x], &profile).map_err(|error| error.to_string());
        assert_eq!(check(DeviceProfile::MINIMAL), Ok(()));
        let error = check(DeviceProfile { max_workgroup_invocations: 0, ..DeviceProfile::MINIMAL }).unwrap_err();
        assert_eq!(error, "a workgroup needs 64 invocations, but max_compute_invocations_per_workgroup is 0");
        for storage_alignment in [0, 2, 96, u64::MAX] {
            assert!(check(DeviceProfile { storage_alignment, ..DeviceProfile::MINIMAL }).unwrap_err().contains("a power of two"));
        }
    }
}
