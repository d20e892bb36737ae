//! Ops over tensors that a host cut out of one large buffer: outputs lie beside what is read, and nothing between them is touched.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

mod common;

use common::ramp;
use ndarray::{Array1, Array4, Ix1, Ix4};
use wgconv::conv::{Accuracy, Algorithm, Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::elementwise::BinaryOp;
use wgconv::gpu::Counters;
use wgconv::gradient::FilterGradient;
use wgconv::op::Op;
use wgconv::reduce::{ReduceDescriptor, ReduceProblem};
use wgconv::{ElementType, Gpu, Layout, Padding, Recorder, Result, Tensor, TensorType, cpu, wgpu};

/// One buffer, and tensors of f32 cut out of it one behind the other, each followed by a gap.
struct Arena {
    gpu: Gpu,
    buffer: wgpu::Buffer,
    next: u64,
    gaps: Vec<(u64, usize)>,
}

/// Bytes of the buffer.
const SIZE: u64 = 1 << 20;

impl Arena {
    /// Its bits are those of one NaN everywhere, so that what is read or written outside the tensors shows.
    fn new(gpu: &Gpu) -> Self {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor { label: Some("arena"), size: SIZE, usage, mapped_at_creation: false });
        let whole = Tensor::from_buffer(gpu, buffer.clone(), 0, &[SIZE as usize / 4], ElementType::F32, Layout::ChannelsFirst).unwrap();
        whole.write(&Array1::from_elem(SIZE as usize / 4, f32::NAN)).unwrap();
        Self { gpu: gpu.clone(), buffer, next: 0, gaps: vec![] }
    }

    fn at(&self, first: u64, extents: &[usize]) -> Tensor {
        Tensor::from_buffer(&self.gpu, self.buffer.clone(), first, extents, ElementType::F32, Layout::ChannelsFirst).unwrap()
    }

    fn cut(&mut self, extents: &[usize]) -> Tensor {
        let tensor = self.at(self.next, extents);
        let end = self.next + tensor.byte_size();
        self.next = (end + 4).next_multiple_of(self.gpu.profile().storage_alignment);
        self.gaps.push((end, ((self.next - end) / 4) as usize));
        tensor
    }

    fn assert_gaps_are_untouched(&self) {
        let whole: Array1<f32> = self.at(0, &[SIZE as usize / 4]).download().unwrap();
        for (first, count) in &self.gaps {
            let first = *first as usize / 4;
            assert!(whole.iter().skip(first).take(*count).all(|v| v.to_bits() == f32::NAN.to_bits()), "{count} words from {first} on");
        }
    }
}

/// What one call runs: by `Gpu::run`, which keeps what it prepared, and by a recorder, which does not.
fn both_ways(gpu: &Gpu, mut check: impl FnMut(&dyn Fn(&Op, &[&Tensor], &[&Tensor]) -> Result<()>)) {
    check(&|op, inputs, outputs| gpu.run(|r| r.op_into(op, inputs, outputs)));
    check(&|op, inputs, outputs| {
        let mut recorder: Recorder<'_> = gpu.recorder();
        recorder.op_into(op, inputs, outputs)?;
        recorder.submit()
    });
}

#[test]
fn a_convolution_and_its_gradients_lie_in_one_buffer() {
    let gpu = Gpu::new().unwrap();
    let (image, bias) = (ramp((2, 8, 12, 11), 5, 11), Array1::from_iter((0..12).map(|i| i as f32)));
    let filters = [ramp((12, 8, 3, 3), 3, 7), ramp((12, 8, 3, 3), 5, 9)];
    let algorithms = [Algorithm::Direct, Algorithm::ImplicitGemmWorkgroup, Algorithm::ImplicitGemmRegister, Algorithm::WinogradF2, Algorithm::Fft];
    for algorithm in algorithms.into_iter().map(Some).chain([None]) {
        let descriptor = Conv2dDescriptor { padding: Padding::Same, accuracy: Accuracy::Reduced, algorithm, ..Default::default() };
        let mut arena = Arena::new(&gpu);
        let [x, y, dx] = [[2, 8, 12, 11], [2, 12, 12, 11], [2, 8, 12, 11]].map(|extents| arena.cut(&extents));
        let [w, dw] = [(); 2].map(|()| arena.cut(&[12, 8, 3, 3]));
        let [b, db] = [(); 2].map(|()| arena.cut(&[12]));
        let conv = ConvProblem::forward(&ConvInputs::of(&x, &w, Some(&b)), &descriptor).unwrap();
        let plain = ConvProblem::forward(&ConvInputs::of(&x, &w, None), &Conv2dDescriptor { padding: Padding::Same, ..Default::default() }).unwrap();
        let (data, filter): (Op, Op) = (plain.data_gradient().unwrap().into(), FilterGradient::new(&plain).unwrap().into());
        let sum: Op = ReduceProblem::new(&TensorType::f32(&[2, 12, 12, 11]), &ReduceDescriptor::sum(&[0, 2, 3])).unwrap().into();
        let conv: Op = conv.into();
        x.write(&image).unwrap();
        b.write(&bias).unwrap();
        both_ways(&gpu, |run| {
            for values in &filters {
                w.write(values).unwrap();
                // The same tensors in buffers of their own.
                let [own_x, own_w] = [&image, values].map(|values| gpu.upload(values).unwrap());
                let own_b = gpu.upload(&bias).unwrap();
                let own = |op: &Op, inputs: &[&Tensor]| gpu.run(|r| r.op(op, inputs)).unwrap().remove(0);
                let own_y = own(&conv, &[&own_x, &own_w, &own_b]);
                run(&conv, &[&x, &w, &b], &[&y]).unwrap();
                assert_eq!(y.download::<f32, Ix4>().unwrap(), own_y.download::<f32, Ix4>().unwrap(), "{algorithm:?}");
                // y as the gradient by itself.
                run(&data, &[&y, &w], &[&dx]).unwrap();
                assert_eq!(dx.download::<f32, Ix4>().unwrap(), own(&data, &[&own_y, &own_w]).download::<f32, Ix4>().unwrap());
                run(&filter, &[&x, &y], &[&dw]).unwrap();
                assert_eq!(dw.download::<f32, Ix4>().unwrap(), own(&filter, &[&own_x, &own_y]).download::<f32, Ix4>().unwrap());
                run(&sum, &[&y], &[&db]).unwrap();
                let sums: Array1<f32> = own(&sum, &[&own_y]).download().unwrap();
                assert_eq!(db.download::<f32, Ix1>().unwrap(), sums);
                assert!(sums.iter().any(|v| *v > 0.0), "the test would verify nothing on zeros");
            }
        });
        arena.assert_gaps_are_untouched();
    }
}

#[test]
fn a_call_seen_before_is_known_by_what_shares_a_buffer() {
    let gpu = Gpu::new().unwrap();
    let (image, filter) = (ramp((1, 4, 6, 6), 5, 11), ramp((4, 4, 1, 1), 3, 7));
    let mut arena = Arena::new(&gpu);
    let (x, y) = (arena.cut(&[1, 4, 6, 6]), arena.cut(&[1, 4, 6, 6]));
    x.write(&image).unwrap();
    let (w, apart) = (gpu.upload(&filter).unwrap(), gpu.zeros(&[1, 4, 6, 6], ElementType::F32, Layout::ChannelsFirst).unwrap());
    let conv = ConvProblem::forward(&ConvInputs::of(&x, &w, None), &Conv2dDescriptor::default()).unwrap();
    let planned = |outputs: &[&Tensor]| {
        let before = gpu.counters();
        gpu.run(|r| r.op_into(&conv, &[&x, &w], outputs)).unwrap();
        (gpu.counters() - before).plans
    };
    // By turns: a plan for each way, and each of them once.
    assert_eq!([&y, &apart, &y, &apart].map(|output| planned(&[output])), [1, 1, 0, 0]);
    assert_eq!(y.download::<f32, Ix4>().unwrap(), apart.download::<f32, Ix4>().unwrap());
}

/// Of a filter in a buffer of the host's nothing tells when it changes.
#[test]
fn a_filter_of_the_hosts_is_packed_in_each_call_and_nothing_else_is_done_again() {
    let gpu = Gpu::new().unwrap();
    let image = ramp((2, 8, 9, 9), 5, 11);
    let mut arena = Arena::new(&gpu);
    let (x, y) = (arena.cut(&[2, 8, 9, 9]), arena.cut(&[2, 12, 9, 9]));
    let filters = [arena.cut(&[12, 8, 3, 3]), arena.cut(&[12, 8, 3, 3])];
    x.write(&image).unwrap();
    let descriptor = Conv2dDescriptor { padding: Padding::Same, algorithm: Some(Algorithm::ImplicitGemmRegister), ..Default::default() };
    let conv = ConvProblem::forward(&ConvInputs::of(&x, &filters[0], None), &descriptor).unwrap();
    assert!(!gpu.plan(&conv).unwrap().prepare.is_empty(), "a plan that packs nothing would show nothing");
    for call in 0..4 {
        let w = &filters[call % 2];
        let values = ramp((12, 8, 3, 3), 3 + call, 7);
        w.write(&values).unwrap();
        let before = gpu.counters();
        gpu.run(|r| r.op_into(&conv, &[&x, w], &[&y])).unwrap();
        let done = gpu.counters() - before;
        let again = Counters { bind_groups: done.bind_groups, submits: 1, ..Counters::default() };
        assert!(call == 0 || done == again, "call {call}: {done:?}");
        // It is packed, then read; each filter's bind groups are there from its first call on.
        assert!(if call < 2 { done.bind_groups > 1 } else { done.bind_groups == 0 }, "call {call}: {done:?}");
        let want = cpu::convolve(&descriptor, image.view().into_dyn(), values.view().into_dyn(), None).unwrap();
        assert_eq!(y.download::<f32, Ix4>().unwrap().into_dyn(), want, "call {call}");
    }
    // Two filters within one recording, which pack into the same memory one behind the other.
    let other = arena.cut(&[2, 12, 9, 9]);
    gpu.run(|r| {
        r.op_into(&conv, &[&x, &filters[0]], &[&y])?;
        r.op_into(&conv, &[&x, &filters[1]], &[&other])
    })
    .unwrap();
    let [first, second] = [&y, &other].map(|tensor| tensor.download::<f32, Ix4>().unwrap());
    for (output, step) in [(first, 5), (second, 6)] {
        let want = cpu::convolve(&descriptor, image.view().into_dyn(), ramp((12, 8, 3, 3), step, 7).view().into_dyn(), None).unwrap();
        assert_eq!(output.into_dyn(), want, "the filter of step {step}");
    }
}

#[test]
fn what_overlaps_is_refused_by_name() {
    let gpu = Gpu::new().unwrap();
    let mut arena = Arena::new(&gpu);
    let x = arena.cut(&[1, 4, 6, 6]);
    let (half, rest) = (arena.at(gpu.profile().storage_alignment, &[1, 4, 6, 6]), arena.cut(&[1, 4, 6, 6]));
    let w = gpu.upload(&Array4::<f32>::ones((4, 4, 1, 1))).unwrap();
    let conv = ConvProblem::forward(&ConvInputs::of(&x, &w, None), &Conv2dDescriptor::default()).unwrap();
    let add = wgconv::elementwise::BinaryProblem::new(&x.tensor_type(), &x.tensor_type(), BinaryOp::Add).unwrap();
    let rule = "in a buffer that the op writes to, tensors lie side by side: no byte is of two of them";
    both_ways(&gpu, |run| {
        let error = run(&(&conv).into(), &[&x, &w], &[&half]).unwrap_err().to_string();
        assert_eq!(error, format!("y is a range of the buffer of x: {rule}"));
        let error = run(&(&add).into(), &[&x, &x], &[&rest]).unwrap_err().to_string();
        assert_eq!(error, format!("b is a range of the buffer of a: {rule}"));
        // What is only read may overlap in another buffer than the output's.
        let apart = gpu.zeros(&[1, 4, 6, 6], ElementType::F32, Layout::ChannelsFirst).unwrap();
        run(&(&add).into(), &[&x, &x], &[&apart]).unwrap();
        let error = run(&(&conv).into(), &[&x, &w], &[]).unwrap_err().to_string();
        assert!(error.starts_with("outputs is 0:"), "{error}");
    });
}
