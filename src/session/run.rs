//! One run on a GPU: inputs through staging buffers that stay, kernels, outputs through staging buffers that stay, all in one submit.
//!
//! A frame is what a run has to itself. The arena is every run's: a run is one submit, and submits do not overlap. Runs of several threads have a
//! frame each.

use crate::gpu::Gpu;
use crate::gpu::buffer::Buffer;
use crate::gpu::later::Later;
use crate::gpu::tensor::{Tensor, in_memory_order};
use crate::graph::{Graph, ValueId};
use crate::session::bytes::{ByValue, Given, Owned};
use crate::session::ready::{Ready, Recording};
use crate::types::{ElementType, Error, Result};
use half::f16;
use ndarray::ArrayD;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tensors of one run, each with the buffer that the host reads or writes.
pub(crate) struct Frame {
    gpu: Gpu,
    inputs: Vec<(ValueId, Tensor, Buffer)>,
    outputs: Vec<Output>,
    recording: Recording,
}

struct Output {
    tensor: Tensor,
    staging: Buffer,
    /// Bytes of images, where it is that.
    images: Option<usize>,
}

/// A run that was submitted.
pub(crate) struct Running {
    frame: Frame,
    #[cfg(not(target_arch = "wasm32"))]
    submission: wgpu::SubmissionIndex,
    mapped: Later<Result<()>>,
}

impl Frame {
    /// Allocates and binds.
    pub fn new(graph: &Graph, ready: &Ready) -> Result<Self> {
        let gpu = ready.gpu().clone();
        let tensor = |value: ValueId| {
            let wanted = ready.tensor_type(value);
            gpu.zeros(&wanted.extents, wanted.element, wanted.layout)
        };
        let inputs = graph.inputs().map(|(_, value)| {
            let tensor = tensor(value)?;
            let staging = gpu.create_mapped("session upload", tensor.byte_size().next_multiple_of(4))?;
            Ok((value, tensor, staging))
        });
        let inputs: Vec<(ValueId, Tensor, Buffer)> = inputs.collect::<Result<_>>()?;
        let outputs = graph.outputs().map(|(_, value)| {
            let tensor = tensor(value)?;
            let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
            let staging = gpu.create_buffer("session download", tensor.byte_size().next_multiple_of(4), usage)?;
            Ok(Output { tensor, staging, images: graph.count_of_bytes(value, |value| ready.tensor_type(value)) })
        });
        let outputs: Vec<Output> = outputs.collect::<Result<_>>()?;
        let given: Vec<(ValueId, &Tensor)> = inputs.iter().map(|(value, tensor, _)| (*value, tensor)).collect();
        let wanted: Vec<&Tensor> = outputs.iter().map(|output| &output.tensor).collect();
        let recording = ready.bind(graph, &given, &wanted)?;
        Ok(Self { gpu, inputs, outputs, recording })
    }

    /// Uploads, runs and downloads in one submit. On an error the frame is lost with what it may have left half done.
    pub fn submit(self, given: &ByValue<'_>) -> Result<Running> {
        for ((_, tensor, staging), (_, given)) in self.inputs.iter().zip(given) {
            let fill = |bytes: &[u8]| {
                self.gpu.scoped("upload", || {
                    let mut view = staging.get_mapped_range_mut(..).map_err(|e| internal(e.to_string()))?;
                    view.slice(..bytes.len()).copy_from_slice(bytes);
                    drop(view);
                    staging.unmap();
                    Ok(())
                })
            };
            let array = match given {
                Given::Numbers(array) => array,
                Given::Bytes(bytes) => {
                    fill(bytes)?;
                    continue;
                }
            };
            match tensor.element() {
                ElementType::F16 => in_memory_order(&array.mapv(f16::from_f32), tensor.layout(), fill)?,
                ElementType::F32 => in_memory_order(array, tensor.layout(), fill)?,
                ElementType::U32 => in_memory_order(&array.mapv(|v| v as u32), tensor.layout(), fill)?,
            }
        }
        let mut recorder = self.gpu.recorder();
        recorder.scoped("upload", |recorder| {
            let mut inputs = self.inputs.iter();
            inputs.try_for_each(|(_, tensor, staging)| recorder.copy((staging, 0), (tensor.raw(), tensor.byte_offset()), tensor.byte_size()))
        })?;
        self.recording.record(&mut recorder)?;
        recorder.scoped("download", |recorder| {
            let mut outputs = self.outputs.iter();
            outputs
                .try_for_each(|Output { tensor, staging, .. }| recorder.copy((tensor.raw(), tensor.byte_offset()), (staging, 0), tensor.byte_size()))
        })?;
        let mapped: Later<Result<()>> = Later::default();
        let left = Arc::new(AtomicUsize::new(self.inputs.len() + self.outputs.len()));
        let _submission = recorder.submit_then(|submission| {
            let uploads = self.inputs.iter().map(|(_, _, staging)| (staging, wgpu::MapMode::Write));
            let downloads = self.outputs.iter().map(|output| (&output.staging, wgpu::MapMode::Read));
            for (staging, mode) in uploads.chain(downloads) {
                let (heard, left) = (mapped.clone(), left.clone());
                // The first error counts, and the last buffer otherwise.
                staging.map_async(mode, .., move |mapped| match mapped {
                    Err(error) => heard.finish(Err(internal(error.to_string()))),
                    Ok(()) if left.fetch_sub(1, Ordering::AcqRel) == 1 => heard.finish(Ok(())),
                    Ok(()) => {}
                });
            }
            submission.ok_or_else(|| internal("a run was not submitted".into()))
        })?;
        Ok(Running {
            frame: self,
            #[cfg(not(target_arch = "wasm32"))]
            submission: _submission,
            mapped,
        })
    }
}

impl Running {
    /// Waits for the outputs; the frame is ready for another run.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(self) -> Result<(Frame, Vec<Owned>)> {
        crate::gpu::tensor::settle(&self.frame.gpu, self.submission.clone(), &self.mapped);
        let mapped = self.mapped.take().unwrap_or(Ok(()));
        self.finish(mapped)
    }

    /// As `wait`, without blocking the calling thread.
    pub async fn arrived(self) -> Result<(Frame, Vec<Owned>)> {
        #[cfg(not(target_arch = "wasm32"))]
        crate::gpu::tensor::settle_off_thread(&self.frame.gpu, self.submission.clone(), &self.mapped);
        let mapped = self.mapped.arrived().await;
        self.finish(mapped)
    }

    fn finish(self, mapped: Result<()>) -> Result<(Frame, Vec<Owned>)> {
        self.frame.gpu.check_not_lost()?;
        mapped?;
        let gpu = &self.frame.gpu;
        let read = |Output { tensor, staging, images }: &Output| {
            let bytes = gpu.scoped("download", || {
                let view = staging.get_mapped_range(..).map_err(|e| internal(e.to_string()))?;
                let array = match images {
                    Some(count) => Ok(Owned::Bytes(view[..*count].to_vec())),
                    None => as_f32(tensor, &view[..tensor.byte_size() as usize]).map(Owned::Numbers),
                };
                drop(view);
                staging.unmap();
                Ok(array)
            });
            bytes?
        };
        let outputs = self.frame.outputs.iter().map(read).collect::<Result<_>>()?;
        Ok((self.frame, outputs))
    }
}

/// The elements of a tensor, from their bytes in memory order.
fn as_f32(tensor: &Tensor, bytes: &[u8]) -> Result<ArrayD<f32>> {
    match tensor.element() {
        ElementType::F32 => tensor.array_of(bytes),
        ElementType::F16 => Ok(tensor.array_of::<f16, ndarray::IxDyn>(bytes)?.mapv(f16::to_f32)),
        ElementType::U32 => Ok(tensor.array_of::<u32, ndarray::IxDyn>(bytes)?.mapv(|v| v as f32)),
    }
}

fn internal(message: String) -> Error {
    Error::Internal { label: "a session".into(), message }
}
