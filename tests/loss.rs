//! A lost device: every call says so, whatever was under way and whether anything has polled since. Nothing panics, nothing hangs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use ndarray::{Array2, Array4, Ix2};
use std::sync::mpsc;
use std::time::Duration;
use wgconv::conv::{Conv2dDescriptor, ConvInputs, ConvProblem};
use wgconv::elementwise::UnaryProblem;
use wgconv::op::{Plan, Prepared};
use wgconv::{Activation, ElementType, Error, Gpu, Layout, Recorder, Result, Tensor, TensorType, validate, wgpu};

/// A device and what a caller has made on it before it is lost.
struct World {
    gpu: Gpu,
    x: Tensor,
    y: Tensor,
    image: Tensor,
    filter: Tensor,
    known: Prepared,
    plan: Plan,
}

fn problem(activation: Activation) -> UnaryProblem {
    UnaryProblem::new(&TensorType::f32(&[4, 8]), activation).unwrap()
}

impl World {
    fn new(gpu: Gpu) -> Self {
        let x = gpu.upload(&Array2::<f32>::ones((4, 8))).unwrap();
        let image = gpu.upload(&Array4::<f32>::ones((1, 2, 4, 4))).unwrap();
        let filter = gpu.upload(&Array4::<f32>::ones((3, 2, 2, 2))).unwrap();
        let known = Prepared::new(&gpu, problem(Activation::Relu), &[]).unwrap();
        let (y, plan) = (known.outputs().unwrap().remove(0), known.plan().clone());
        Self { gpu, x, y, image, filter, known, plan }
    }

    fn record(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        self.known.record(recorder, &[&self.x], &[&self.y])
    }

    /// Work that is still running, or at least not waited for.
    fn start_work(&self) {
        let mut recorder = self.gpu.recorder();
        (0..200).for_each(|_| self.record(&mut recorder).unwrap());
        recorder.submit().unwrap();
    }
}

/// A device that wgconv opened, or one of the caller's own without any callback.
fn own() -> Gpu {
    Gpu::new().expect("the tests need an adapter; scripts/test.sh installs a software one")
}

fn adopted() -> Gpu {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.first().expect("an adapter");
    let required_features = adapter.features() & wgpu::Features::TIMESTAMP_QUERY;
    let descriptor = wgpu::DeviceDescriptor { required_features, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Gpu::from_wgpu(adapter, device, queue).unwrap()
}

type Call = (&'static str, fn(&World) -> Result<()>);

/// Every call that touches a device.
const CALLS: &[Call] = &[
    ("upload", |w| w.gpu.upload(&Array2::<f32>::ones((4, 8))).map(|_| ())),
    ("zeros", |w| w.gpu.zeros(&[4], ElementType::F32, Layout::ChannelsFirst).map(|_| ())),
    ("from_buffer", |w| Tensor::from_buffer(&w.gpu, w.x.buffer().clone(), 0, &[4, 8], ElementType::F32, Layout::ChannelsFirst).map(|_| ())),
    ("download", |w| w.x.download::<f32, Ix2>().map(|_| ())),
    ("download_async", |w| pollster::block_on(w.x.download_async::<f32, Ix2>()).map(|_| ())),
    ("an eager op whose pipeline is there", |w| w.gpu.run(|r| r.activation(&w.x, Activation::Relu)).map(|_| ())),
    ("an eager op whose pipeline is not", |w| w.gpu.run(|r| r.activation(&w.x, Activation::Mish)).map(|_| ())),
    ("an eager convolution", |w| w.gpu.run(|r| r.conv2d(&w.image, &w.filter, None, &Conv2dDescriptor::default())).map(|_| ())),
    ("preparing a convolution", |w| {
        let problem = ConvProblem::forward(&ConvInputs::of(&w.image, &w.filter, None), &Conv2dDescriptor::default()).unwrap();
        Prepared::new(&w.gpu, problem, &[&w.filter]).map(|_| ())
    }),
    ("preparing a known op", |w| Prepared::new(&w.gpu, problem(Activation::Relu), &[]).map(|_| ())),
    ("outputs", |w| w.known.outputs().map(|_| ())),
    ("compile", |w| w.gpu.compile(&[&w.plan])),
    ("record", |w| w.record(&mut w.gpu.recorder())),
    ("bind", |w| w.known.bind(&[&w.x], &[&w.y]).map(|_| ())),
    ("recording an op", |w| w.gpu.recorder().activation(&w.x, Activation::Relu).map(|_| ())),
    ("submitting nothing", |w| w.gpu.recorder().submit()),
    ("recording on an encoder", |w| {
        let mut encoder = w.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        w.record(&mut Recorder::on(&w.gpu, &mut encoder))
    }),
    ("wait", |w| w.gpu.wait()),
    ("time", |w| w.gpu.time(2, &mut |recorder| w.record(recorder)).map(|_| ())),
    ("measure_peak", |w| wgconv::gpu::measure_peak(&w.gpu).map(|_| ())),
    ("verify", |w| validate::verify(&w.gpu, &validate::Case::new(problem(Activation::Relu), "direct")).map(|_| ())),
    ("tune", |w| {
        wgconv::tune::tune(&w.gpu, problem(Activation::Relu), Duration::from_secs(60), None, &mut |_| std::ops::ControlFlow::Continue(())).map(|_| ())
    }),
];

fn assert_lost(what: &str, result: Result<()>) {
    assert!(matches!(result, Err(Error::DeviceLost { .. })), "{what}: {result:?}");
}

/// Runs `f` on a thread of its own and panics if it takes longer than any call may.
fn without_hanging(what: String, f: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        f();
        let _ = done.send(());
    });
    match ended.recv_timeout(Duration::from_secs(120)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} hangs"),
        _ => thread.join().unwrap_or_else(|_| panic!("{what} panicked")),
    }
}

/// Each call is the first after the loss: on a device of its own, before anything has polled it.
fn every_call_after(moment: &'static str, lose: fn(&World)) {
    for (kind, open) in [("own", own as fn() -> Gpu), ("adopted", adopted)] {
        for &(name, call) in CALLS {
            let what = format!("{name} on an {kind} device {moment}");
            without_hanging(what.clone(), move || {
                let world = World::new(open());
                lose(&world);
                assert_lost(&what, call(&world));
                // And from then on.
                assert_lost(&format!("download after {what}"), world.x.download::<f32, Ix2>().map(|_| ()));
            });
        }
    }
}

#[test]
fn every_call_says_that_an_idle_device_was_lost() {
    every_call_after("that was idle", |w| {
        w.gpu.wait().unwrap();
        w.gpu.device().destroy();
    });
}

#[test]
fn every_call_says_that_a_busy_device_was_lost() {
    every_call_after("that was busy", |w| {
        w.start_work();
        w.gpu.device().destroy();
    });
}

#[test]
fn every_call_says_that_a_device_was_lost_and_polled_since() {
    every_call_after("that was polled since", |w| {
        w.gpu.device().destroy();
        let _ = w.gpu.device().poll(wgpu::PollType::wait_indefinitely());
    });
}

/// The device goes between two steps of one piece of work.
#[test]
fn a_loss_in_the_middle_of_recording_submitting_or_reading_is_an_error() {
    let moments: [Call; 6] = [
        ("between two records", |w| {
            let mut recorder = w.gpu.recorder();
            w.record(&mut recorder)?;
            w.gpu.device().destroy();
            w.record(&mut recorder)
        }),
        ("between bind and record", |w| {
            let bound = w.known.bind(&[&w.x], &[&w.y])?;
            w.gpu.device().destroy();
            bound.record(&mut w.gpu.recorder())
        }),
        ("between record and submit", |w| {
            let mut recorder = w.gpu.recorder();
            w.record(&mut recorder)?;
            w.gpu.device().destroy();
            recorder.submit()
        }),
        ("between record and drop", |w| {
            let mut recorder = w.gpu.recorder();
            w.record(&mut recorder)?;
            w.gpu.device().destroy();
            drop(recorder);
            w.gpu.wait()
        }),
        ("between submit and download", |w| {
            let mut recorder = w.gpu.recorder();
            w.record(&mut recorder)?;
            recorder.submit()?;
            w.gpu.device().destroy();
            w.y.download::<f32, Ix2>().map(|_| ())
        }),
        ("while a download waits", |w| {
            let mut download = Box::pin(w.y.download_async::<f32, Ix2>());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let first = download.as_mut().poll(&mut context);
            w.gpu.device().destroy();
            match first {
                // It was already there: the next call says it.
                std::task::Poll::Ready(result) => result.map(|_| ()).and(w.gpu.wait()),
                std::task::Poll::Pending => pollster::block_on(download).map(|_| ()).and(w.gpu.wait()),
            }
        }),
    ];
    for (kind, open) in [("own", own as fn() -> Gpu), ("adopted", adopted)] {
        for (name, work) in moments {
            let what = format!("{name} on an {kind} device");
            without_hanging(what.clone(), move || {
                let world = World::new(open());
                assert_lost(&what, work(&world));
            });
        }
    }
}

/// Until then calls succeed; from then on each of them says it. Never anything else.
#[test]
fn a_loss_from_another_thread_is_an_error() {
    for (kind, open) in [("own", own as fn() -> Gpu), ("adopted", adopted)] {
        for delay in [0, 1, 3, 10, 30] {
            let what = format!("a loop on an {kind} device that another thread destroys after {delay} ms");
            without_hanging(what.clone(), move || {
                let world = World::new(open());
                let device = world.gpu.device().clone();
                let other = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(delay));
                    device.destroy();
                });
                let mut lost = None;
                while lost.is_none() {
                    let turn = || -> Result<()> {
                        let y = world.gpu.run(|r| r.activation(&world.x, Activation::Relu))?;
                        let back: Array2<f32> = y.download()?;
                        assert_eq!(back, Array2::<f32>::ones((4, 8)), "{what}");
                        world.gpu.upload(&back).map(|_| ())
                    };
                    lost = turn().err();
                }
                assert!(matches!(lost, Some(Error::DeviceLost { .. })), "{what}: {lost:?}");
                other.join().unwrap();
                for &(name, call) in CALLS {
                    assert_lost(name, call(&world));
                }
            });
        }
    }
}

#[test]
fn a_device_that_is_lost_already_is_not_adopted() {
    let gpu = own();
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::all()));
    let (device, queue) = pollster::block_on(adapters[0].request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    device.destroy();
    assert_lost("from_wgpu", Gpu::from_wgpu(&adapters[0], device, queue).map(|_| ()));
    // Others are not touched by it.
    assert_eq!(gpu.upload(&Array2::<f32>::ones((2, 2))).unwrap().download::<f32, Ix2>().unwrap().sum(), 4.0);
}
