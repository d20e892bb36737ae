//! Compiled pipelines, one per [`KernelSpec`], and what a dispatch needs of them.
//!
//! Drivers compile on the calling thread, for up to a second a pipeline: several are compiled at once, each on a thread of its own.

use crate::gpu::buffer::Buffer;
use crate::gpu::trace::{Stage, span};
use crate::gpu::{Gpu, SourcePatch};
use crate::plan::step::Plan;
use crate::shader::KernelSpec;
use crate::shader::source::BindingKind;
use crate::types::{Error, Result};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use web_time::Instant;

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub label: String,
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    /// Numbers of its bindings.
    pub bindings: Vec<u32>,
}

/// The pipelines that a device keeps: those used last, up to a number.
pub(crate) struct PipelineCache {
    kept: Mutex<Kept>,
    compiled: Mutex<Compiled>,
}

struct Kept {
    kernels: HashMap<KernelSpec, Entry>,
    /// Kernels asked for so far: the clock of [`Entry::used`].
    asked: u64,
    most: usize,
}

struct Entry {
    slot: Slot,
    used: u64,
}

/// See [`Gpu::set_pipeline_limit`].
const MOST: usize = 256;

impl Default for PipelineCache {
    fn default() -> Self {
        let kept = Kept { kernels: HashMap::new(), asked: 0, most: MOST };
        Self { kept: Mutex::new(kept), compiled: Mutex::default() }
    }
}

impl Kept {
    /// Evicts the least recently used beyond the limit; those under way stay.
    fn evict(&mut self) {
        while self.kernels.len() > self.most {
            let idle = self.kernels.iter().filter(|(_, entry)| entry.slot.try_lock().is_ok());
            let Some(oldest) = idle.min_by_key(|(_, entry)| entry.used).map(|(spec, _)| spec.clone()) else { return };
            self.kernels.remove(&oldest);
        }
    }
}

/// The place of one kernel: locked while it is compiled, so that whoever else wants it waits for it and does not compile it too.
type Slot = Arc<Mutex<Option<Arc<Kernel>>>>;

/// How much a device has compiled so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Compiled {
    /// Pipelines made.
    pub pipelines: usize,
    /// Seconds that each took, added up. Several are made at once, so less time may have passed.
    pub seconds: f64,
}

/// A range of a buffer that a dispatch binds.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub buffer: Buffer,
    pub offset: u64,
    pub size: u64,
}

impl Binding {
    pub fn whole(buffer: &Buffer) -> Self {
        Self { buffer: buffer.clone(), offset: 0, size: buffer.size() }
    }

    /// Bytes `first ..` of a buffer of whole words.
    pub fn part(buffer: &Buffer, first: u64, bytes: u64) -> Self {
        Self { buffer: buffer.clone(), offset: first, size: bytes.next_multiple_of(4).min(buffer.size() - first) }
    }
}

/// What a dispatch binds.
#[derive(Debug)]
pub(crate) enum Resource {
    Buffer(Binding),
    View(wgpu::TextureView),
}

impl Resource {
    fn as_wgpu(&self) -> wgpu::BindingResource<'_> {
        match self {
            Resource::Buffer(b) => {
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &b.buffer, offset: b.offset, size: wgpu::BufferSize::new(b.size) })
            }
            Resource::View(view) => wgpu::BindingResource::TextureView(view),
        }
    }
}

/// One kernel call: pipeline, bind group, workgroups.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    pub kernel: Arc<Kernel>,
    pub bind_group: wgpu::BindGroup,
    /// What the bind group names.
    pub buffers: Vec<Buffer>,
    pub workgroups: [u32; 3],
}

impl Dispatch {
    /// `bindings` are those that the kernel does not leave out, in order.
    pub fn new(gpu: &Gpu, kernel: &Arc<Kernel>, bindings: Vec<Binding>, workgroups: [u32; 3]) -> Self {
        Self::of_resources(gpu, kernel, bindings.into_iter().map(Resource::Buffer).collect(), workgroups)
    }

    /// As [`Dispatch::new`], by a bind group of these very bindings.
    pub fn again(kernel: &Arc<Kernel>, bind_group: wgpu::BindGroup, bindings: Vec<Binding>, workgroups: [u32; 3]) -> Self {
        Self { kernel: kernel.clone(), bind_group, buffers: bindings.into_iter().map(|binding| binding.buffer).collect(), workgroups }
    }

    /// As [`Dispatch::new`], where some bindings are textures.
    pub fn of_resources(gpu: &Gpu, kernel: &Arc<Kernel>, resources: Vec<Resource>, workgroups: [u32; 3]) -> Self {
        let entries: Vec<_> = kernel
            .bindings
            .iter()
            .zip(&resources)
            .map(|(&binding, resource)| wgpu::BindGroupEntry { binding, resource: resource.as_wgpu() })
            .collect();
        crate::gpu::counters::add(&gpu.counts().bind_groups, 1);
        let bind_group =
            gpu.device().create_bind_group(&wgpu::BindGroupDescriptor { label: Some(&kernel.label), layout: &kernel.layout, entries: &entries });
        // The bind group keeps textures, which are never reused.
        let buffers =
            resources.into_iter().filter_map(|resource| if let Resource::Buffer(binding) = resource { Some(binding.buffer) } else { None }).collect();
        Self { kernel: kernel.clone(), bind_group, buffers, workgroups }
    }
}

/// What a panicking thread had locked here is whole: counts and kernels are put in complete.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PipelineCache {
    /// The pipeline of `spec`, compiled on first use. A thread that asks for one under way waits for it.
    pub fn get(&self, gpu: &Gpu, spec: &KernelSpec) -> Result<Arc<Kernel>> {
        let slot = {
            let mut kept = locked(&self.kept);
            kept.asked += 1;
            let used = kept.asked;
            let entry = kept.kernels.entry(spec.clone()).or_insert_with(|| Entry { slot: Slot::default(), used });
            entry.used = used;
            entry.slot.clone()
        };
        let mut kernel = locked(&slot);
        if let Some(kernel) = &*kernel {
            return Ok(kernel.clone());
        }
        let start = Instant::now();
        let made = Arc::new(compile(gpu, spec)?);
        log::debug!("{} compiled in {:.1} ms", made.label, start.elapsed().as_secs_f64() * 1e3);
        {
            let mut compiled = locked(&self.compiled);
            compiled.pipelines += 1;
            compiled.seconds += start.elapsed().as_secs_f64();
        }
        kernel.replace(made.clone());
        drop(kernel);
        locked(&self.kept).evict();
        Ok(made)
    }

    /// Pipelines that are kept, those under way too.
    pub fn count(&self) -> usize {
        locked(&self.kept).kernels.len()
    }

    /// Whether `spec` has a pipeline; one under way counts as none.
    fn has(&self, spec: &KernelSpec) -> bool {
        let slot = locked(&self.kept).kernels.get(spec).map(|entry| entry.slot.clone());
        slot.is_some_and(|slot| slot.try_lock().is_ok_and(|kernel| kernel.is_some()))
    }
}

impl Gpu {
    /// Compiles every pipeline of these plans that is not there yet, several at once on the current rayon pool. Preparing ops of the
    /// plans then finds them made. [`crate::gpu::prepared::Prepared`] does so for its own plan; before many ops are prepared, this makes the
    /// pipelines of all of them at once.
    ///
    /// # Errors
    /// [`Error::Internal`] where wgpu or the driver refuses a kernel; loss of the device.
    pub fn compile(&self, plans: &[&Plan]) -> Result<()> {
        self.check_not_lost()?;
        let mut seen = HashSet::new();
        let steps = plans.iter().flat_map(|plan| plan.prepare.iter().chain(&plan.steps));
        let missing: Vec<&KernelSpec> =
            steps.map(|step| &step.kernel).filter(|spec| seen.insert(*spec)).filter(|spec| !self.kernels().has(spec)).collect();
        let get = |spec: &&KernelSpec| self.kernels().get(self, spec).map(|_| ());
        if missing.len() < 2 {
            return missing.iter().try_for_each(get);
        }
        // The first of several errors in the order of the plans, whichever thread was first.
        missing.par_iter().map(get).collect::<Vec<_>>().into_iter().collect()
    }

    /// Keeps at most so many pipelines (at least 1) for ops that are planned later, those that were used last; 256 unless this is called. What is
    /// prepared keeps its own all the same; what is prepared later compiles anew what was evicted. On a software driver a pipeline takes 2 to 8 MB.
    /// Clones share it.
    pub fn set_pipeline_limit(&self, most: usize) {
        let mut kept = locked(&self.kernels().kept);
        kept.most = most.max(1);
        kept.evict();
    }

    /// What this device has compiled so far.
    pub fn compiled(&self) -> Compiled {
        *locked(&self.kernels().compiled)
    }
}

fn binding_type(kind: BindingKind) -> wgpu::BindingType {
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let (access, view_dimension) = (wgpu::StorageTextureAccess::WriteOnly, wgpu::TextureViewDimension::D2);
    let target = |format| wgpu::BindingType::StorageTexture { access, format, view_dimension };
    match kind {
        BindingKind::Uniform => buffer(wgpu::BufferBindingType::Uniform),
        BindingKind::Read => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
        BindingKind::Write => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
        // R32Float is not filterable everywhere, and nothing is filtered.
        BindingKind::Texture => {
            wgpu::BindingType::Texture { sample_type: wgpu::TextureSampleType::Float { filterable: false }, view_dimension, multisampled: false }
        }
        BindingKind::TargetRgba8 => target(wgpu::TextureFormat::Rgba8Unorm),
        BindingKind::TargetRgba16 => target(wgpu::TextureFormat::Rgba16Float),
        BindingKind::TargetR32 => target(wgpu::TextureFormat::R32Float),
    }
}

fn compile(gpu: &Gpu, spec: &KernelSpec) -> Result<Kernel> {
    let label = spec.label();
    let _span = span(Stage::Compile, &label);
    let text = match gpu.source_patch() {
        Some(SourcePatch(patch)) => patch(&label, spec.wgsl()?),
        None => spec.wgsl()?,
    };
    let driver_cache = gpu.driver_cache();
    // wgpu keeps error scopes by thread: this one is opened and closed on the thread that compiles.
    gpu.scoped(&label, || {
        let device = gpu.device();
        let module_descriptor = wgpu::ShaderModuleDescriptor { label: Some(&label), source: wgpu::ShaderSource::Wgsl(text.as_str().into()) };
        let module = if gpu.checked_shaders() {
            device.create_shader_module(module_descriptor)
        } else {
            // SAFETY: every kernel of this crate guards its own indices: the host verifies extents and strides in range before a
            // dispatch (ConvProblem, plan), invocations past the end return, and loads outside the input are clamped. The same
            // sources run in the tests once more with all checks on. Measured reason: wgpu's loop bounding alone has turned
            // 0.1 ms into 10 ms on a software driver.
            unsafe { device.create_shader_module_trusted(module_descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let entries: Vec<_> = spec
            .bindings()
            .map(|(binding, kind)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: binding_type(kind),
                count: None,
            })
            .collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let constants: Vec<_> = spec.overrides.iter().map(|&(name, value)| (name, f64::from(value))).collect();
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                // Every workgroup element that is read was written first; zeroing made pipelines several times slower to create.
                zero_initialize_workgroup_memory: false,
            },
            cache: driver_cache.as_ref(),
        });
        Ok(Kernel { label: label.clone(), pipeline, layout, bindings: spec.bindings().map(|(binding, _)| binding).collect() })
    })
    .inspect_err(|error| {
        if let Error::Internal { .. } = error {
            log::debug!("the text of {label}:\n{text}");
        }
    })
}
