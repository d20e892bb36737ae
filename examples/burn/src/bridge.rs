//! burn's tensors as wgconv's, without a copy: both name ranges of the same wgpu buffers, on the same device and queue.
//!
//! Three rules make it sound. What burn has recorded and not submitted is submitted before wgconv's work. The place of each tensor is held until then: burn's
//! memory moves tensors that nobody holds. And what wgconv writes was made by burn, so that burn's memory knows of it and frees it.

use burn::backend::Cube;
use burn::backend::wgpu::{AutoCompiler, CubeTensor};
use burn::cubecl::Device as CubeDevice;
use burn::cubecl::ir::{ElemType, FloatKind};
use burn::cubecl::wgpu::WgpuServer;
use burn::tensor::wgpu::WgpuSetup;
use burn::tensor::{DType, Device, Shape, Tensor as BurnTensor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use wgconv::op::{Op, Problem};
use wgconv::{ElementType, Gpu, Layout, Tensor};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// wgconv's engine on each device of burn's. A static, since burn's tensors carry no more than their device.
static ENGINES: RwLock<Vec<(CubeDevice, Gpu)>> = RwLock::new(vec![]);

/// Ops that were run, and those of them whose output lay in the buffer of something that they read.
static RUNS: AtomicU64 = AtomicU64::new(0);
static SHARED: AtomicU64 = AtomicU64::new(0);

/// wgconv on the device and queue of `setup`. One serves every device of burn's that was made of this setup.
pub fn engine(setup: &WgpuSetup) -> Result<Gpu, Failure> {
    Ok(Gpu::from_wgpu(&setup.adapter, setup.device.clone(), setup.queue.clone())?)
}

/// From now on `gpu` computes for tensors of `device`, which is of the setup that `gpu` was made of.
pub fn attach(device: &Device, gpu: &Gpu) -> Result<(), Failure> {
    let tensor = primitive(BurnTensor::<1>::zeros([1], device))?;
    ENGINES.write().unwrap_or_else(PoisonError::into_inner).push((tensor.device, gpu.clone()));
    Ok(())
}

/// The engine for tensors of the device of this one.
pub fn engine_of(tensor: &CubeTensor) -> Result<Gpu, Failure> {
    let engines = ENGINES.read().unwrap_or_else(PoisonError::into_inner);
    let found = engines.iter().find(|(device, _)| *device == tensor.device);
    Ok(found.map(|(_, gpu)| gpu.clone()).ok_or_else(|| format!("no engine was attached to {:?}", tensor.device))?)
}

/// The tensor behind one that burn does not differentiate.
pub fn primitive<const N: usize>(tensor: BurnTensor<N>) -> Result<CubeTensor, Failure> {
    Ok(tensor.try_into_primitive::<Cube>().map_err(|why| format!("{why:?}"))?)
}

/// Ops run since the program began, and how many of them wrote beside what they read.
pub fn runs() -> [u64; 2] {
    [&RUNS, &SHARED].map(|count| count.load(Ordering::Relaxed))
}

/// Extents as wgconv takes them.
pub fn extents(tensor: &CubeTensor) -> Vec<usize> {
    tensor.meta.shape().iter().copied().collect()
}

/// Runs ops, each over some of these tensors by number, in one submit, and gives the output of each.
pub fn run(gpu: &Gpu, tensors: Vec<CubeTensor>, ops: &[(Op, &[usize])]) -> Result<Vec<CubeTensor>, Failure> {
    // 1. The memory, all of it burn's. What is made here may move what is there, so places are asked for behind it.
    let inputs: Vec<CubeTensor> = tensors.into_iter().map(|tensor| dense(gpu, tensor)).collect::<Result<_, _>>()?;
    let like = inputs.first().ok_or("an op reads one tensor at least")?;
    let outputs: Vec<CubeTensor> = ops.iter().map(|(op, _)| empty(like, op)).collect::<Result<_, _>>()?;
    // 2. The places. To ask for one makes burn submit what writes there; `flush` says so for the rest.
    let lent = |tensors: &[CubeTensor]| -> Result<(Vec<Tensor>, Vec<_>), Failure> {
        let pairs: Vec<_> = tensors.iter().map(|tensor| lend(gpu, tensor)).collect::<Result<_, _>>()?;
        Ok(pairs.into_iter().unzip())
    };
    let ((read, read_held), (written, written_held)) = (lent(&inputs)?, lent(&outputs)?);
    like.client.flush().map_err(|why| format!("burn's queue: {why:?}"))?;
    // 3. wgconv's submit. What burn submits later comes behind it on the queue.
    gpu.run(|recorder| {
        for ((op, numbers), output) in ops.iter().zip(&written) {
            let operands: Vec<&Tensor> = numbers.iter().map(|&number| &read[number]).collect();
            let beside = operands.iter().any(|operand| operand.buffer() == output.buffer());
            RUNS.fetch_add(1, Ordering::Relaxed);
            SHARED.fetch_add(u64::from(beside), Ordering::Relaxed);
            recorder.op_into(op, &operands, &[output])?;
        }
        Ok(())
    })?;
    drop((read_held, written_held));
    Ok(outputs)
}

/// The same tensor with its elements one behind the other from a place on that a binding can begin at. burn's views (of transposes, of slices) are copied, by
/// burn, as its own kernels of convolutions copy them.
fn dense(gpu: &Gpu, tensor: CubeTensor) -> Result<CubeTensor, Failure> {
    if tensor.dtype != DType::F32 {
        return Err(format!("a tensor of {:?}: this example takes f32", tensor.dtype).into());
    }
    let begins = tensor.handle.offset_start.unwrap_or(0);
    if tensor.is_contiguous() && begins.is_multiple_of(gpu.profile().storage_alignment) {
        return Ok(tensor);
    }
    let (client, device, dtype) = (tensor.client.clone(), tensor.device.clone(), tensor.dtype);
    let copy = burn::cubecl::std::tensor::into_contiguous(&client, tensor.binding(), ElemType::Float(FloatKind::F32));
    Ok(CubeTensor::new(client, copy.handle, *copy.metadata, device, dtype))
}

/// A tensor of burn's for the output of `op`, whose content is whatever was there.
fn empty(like: &CubeTensor, op: &Op) -> Result<CubeTensor, Failure> {
    let spec = op.outputs().into_iter().next().ok_or("an op without outputs")?;
    let shape = Shape::from(spec.tensor.extents);
    let handle = like.client.empty(shape.num_elements() * size_of::<f32>());
    Ok(CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape, handle, like.dtype))
}

/// The tensor as wgconv's, and what keeps it where it is.
fn lend(gpu: &Gpu, tensor: &CubeTensor) -> Result<(Tensor, impl Sized + use<>), Failure> {
    let held = tensor.client.get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone()).map_err(|why| format!("a tensor's buffer: {why:?}"))?;
    let place = held.resource();
    let lent = Tensor::from_buffer(gpu, place.buffer.clone(), place.offset, &extents(tensor), ElementType::F32, Layout::ChannelsFirst)?;
    Ok((lent, held))
}
