//! Compiled pipelines, one per [`KernelSpec`], and what a dispatch needs of them.

use super::{BindingKind, KernelSpec};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, SourcePatch};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub label: String,
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Pipelines made so far.
#[derive(Default)]
pub(crate) struct PipelineCache {
    kernels: Mutex<HashMap<KernelSpec, Arc<Kernel>>>,
}

/// A range of a buffer that a dispatch binds.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub buffer: wgpu::Buffer,
    pub offset: u64,
    pub size: u64,
}

impl Binding {
    pub fn whole(buffer: &wgpu::Buffer) -> Self {
        Self { buffer: buffer.clone(), offset: 0, size: buffer.size() }
    }
}

/// One kernel call: pipeline, bind group, workgroups.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    pub kernel: Arc<Kernel>,
    pub bind_group: wgpu::BindGroup,
    pub workgroups: [u32; 3],
}

impl Dispatch {
    pub fn new(gpu: &Gpu, kernel: &Arc<Kernel>, bindings: &[Binding], workgroups: [u32; 3]) -> Self {
        let entries: Vec<_> = (0u32..)
            .zip(bindings)
            .map(|(binding, b)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &b.buffer,
                    offset: b.offset,
                    size: wgpu::BufferSize::new(b.size),
                }),
            })
            .collect();
        let bind_group =
            gpu.device().create_bind_group(&wgpu::BindGroupDescriptor { label: Some(&kernel.label), layout: &kernel.layout, entries: &entries });
        Self { kernel: kernel.clone(), bind_group, workgroups }
    }
}

impl PipelineCache {
    /// The pipeline of `spec`, compiled on first use.
    pub fn get(&self, gpu: &Gpu, spec: &KernelSpec) -> Result<Arc<Kernel>> {
        // A panic while the lock was held left the map whole: entries are inserted complete.
        if let Some(kernel) = self.kernels.lock().unwrap_or_else(PoisonError::into_inner).get(spec) {
            return Ok(kernel.clone());
        }
        let kernel = Arc::new(compile(gpu, spec)?);
        self.kernels.lock().unwrap_or_else(PoisonError::into_inner).insert(spec.clone(), kernel.clone());
        Ok(kernel)
    }
}

fn compile(gpu: &Gpu, spec: &KernelSpec) -> Result<Kernel> {
    let label = spec.label();
    let text = match gpu.source_patch() {
        Some(SourcePatch(patch)) => patch(&label, spec.wgsl()),
        None => spec.wgsl(),
    };
    gpu.scoped(&label, || {
        let device = gpu.device();
        let module_descriptor = wgpu::ShaderModuleDescriptor { label: Some(&label), source: wgpu::ShaderSource::Wgsl(text.as_str().into()) };
        let module = if gpu.checked_shaders() {
            device.create_shader_module(module_descriptor)
        } else {
            // SAFETY: every kernel of this crate guards its own indices: the host proves extents and strides in range before a
            // dispatch (ConvProblem, plan), invocations past the end return, and loads outside the input are clamped. The same
            // sources run in the tests once more with all checks on. Measured reason: wgpu's loop bounding alone has turned
            // 0.1 ms into 10 ms on a software driver.
            unsafe { device.create_shader_module_trusted(module_descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let entries: Vec<_> = (0u32..)
            .zip(spec.source.bindings)
            .map(|(binding, kind)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match kind {
                        BindingKind::Uniform => wgpu::BufferBindingType::Uniform,
                        BindingKind::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        BindingKind::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
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
            cache: gpu.driver_cache(),
        });
        Ok(Kernel { label: label.clone(), pipeline, layout })
    })
    .inspect_err(|error| {
        if let Error::Internal { .. } = error {
            log::debug!("the text of {label}:\n{text}");
        }
    })
}
