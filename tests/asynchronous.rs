//! Futures under tokio, under a bare executor and in an event loop that polls by itself: which start threads and which do not, and what a lost device does to
//! those that wait.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop and say where")]

use ndarray::{Array1, Array4, Ix1};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use wgconv::conv::Conv2dDescriptor;
use wgconv::gpu::Polling;
use wgconv::op::Prepared;
use wgconv::{Activation, Error, Extent, Gpu, Graph, Padding, Session, Tensor};

/// Tests of one process take turns: some look for threads of this crate.
static TURN: Mutex<()> = Mutex::new(());

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An event loop: polls the device once a turn, and the future when it is woken alone.
fn event_loop<T>(gpu: &Gpu, mut future: Pin<&mut dyn Future<Output = T>>) -> (T, u64) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let (start, mut seen, mut turns) = (Instant::now(), u64::MAX, 0);
    loop {
        let now = woken.0.load(Ordering::SeqCst);
        if now != seen {
            seen = now;
            if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return (result, turns);
            }
        }
        let _ = gpu.poll_once();
        turns += 1;
        assert!(start.elapsed() < LIMIT, "the future was never woken");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn single_threaded() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn graph() -> Graph {
    let mut g = Graph::new();
    let x = g.input("x", [Extent::Open, 2.into(), 16.into(), 16.into()]).unwrap();
    let w = g.parameter("w", Array4::from_shape_fn((4, 2, 3, 3), |(k, c, i, j)| (k + 2 * c + 3 * i) as f32 - j as f32).view()).unwrap();
    let y = g.conv2d(x, w, None, &Conv2dDescriptor { padding: Padding::Same, ..Default::default() }).unwrap();
    g.output("y", y).unwrap();
    g
}

fn image(batch: usize) -> Array4<f32> {
    Array4::from_shape_fn((batch, 2, 16, 16), |(n, c, y, x)| (n * 7 + c * 5 + y * 3 + x) as f32)
}

fn relu(gpu: &Gpu, first: f32) -> Tensor {
    let x = gpu.upload(&Array1::from_iter((0..1000).map(|i| first - i as f32))).unwrap();
    gpu.run(|r| r.activation(&x, Activation::Relu)).unwrap()
}

/// Names of this process's threads that are ours, where the system tells.
fn own_threads() -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return vec![] };
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("wgconv ")).collect()
}

#[test]
fn futures_run_under_any_executor_by_default() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let gpu = Gpu::new().unwrap();
    assert_eq!(gpu.polling(), Polling::Thread);
    let before = gpu.counters().threads;
    let [a, b] = [500.0, 600.0].map(|first| relu(&gpu, first));
    let bare: Array1<f32> = pollster::block_on(a.download_async()).unwrap();
    assert_eq!((bare[0], bare[999]), (500.0, 0.0));
    let session = Session::gpu(&gpu, &graph()).unwrap();
    let want = session.run(&[("x", image(2).view())]).unwrap();
    let (arrays, outputs) = single_threaded().block_on(async {
        let arrays = [a, b].map(|tensor| tokio::spawn(async move { tensor.download_async::<f32, Ix1>().await.unwrap() }));
        let outputs = session.run_async(&[("x", image(2).view())]).await.unwrap();
        let mut got = vec![];
        for array in arrays {
            got.push(array.await.unwrap()[0]);
        }
        gpu.wait_async().await.unwrap();
        (got, outputs)
    });
    assert_eq!((arrays, outputs), (vec![500.0, 600.0], want));
    assert_eq!(gpu.counters().threads - before, 5, "a thread for each of three downloads, a run and a wait");
}

/// Nothing arrives without the program's polls, all of it by them, and no thread is started.
#[test]
fn an_event_loop_that_polls_needs_no_thread() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let gpu = Gpu::new().unwrap();
    gpu.set_polling(Polling::Caller);
    let before = gpu.counters().threads;
    let y = relu(&gpu, 100.0);
    let again = y.clone();

    let mut download = pin!(y.download_async::<f32, Ix1>());
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    for _ in 0..20 {
        assert!(download.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "nobody has polled the device");
        assert_eq!(own_threads(), Vec::<String>::new());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    let (array, turns) = event_loop(&gpu, download);
    assert_eq!(array.unwrap()[0], 100.0);
    assert!(turns > 0);
    assert!(!gpu.poll_once().unwrap(), "nothing waits any more");

    // Everything that waits elsewhere: a session's first run of an extent, its second, another extent, an op that is prepared, and the queue.
    let session = Session::gpu(&gpu, &graph()).unwrap();
    for batch in [1, 1, 3] {
        let want = Session::cpu(&graph()).unwrap().run(&[("x", image(batch).view())]).unwrap();
        let x = image(batch);
        let inputs = [("x", x.view())];
        let (outputs, _) = event_loop(&gpu, pin!(session.run_async(&inputs)));
        assert_eq!(outputs.unwrap(), want);
    }
    let op = wgconv::elementwise::UnaryProblem::new(&wgconv::TensorType::f32(&[1000]), Activation::Relu).unwrap();
    assert!(event_loop(&gpu, pin!(Prepared::new_async(&gpu, op, &[]))).0.is_ok());
    event_loop(&gpu, pin!(gpu.wait_async())).0.unwrap();

    // The same by tokio: a task polls between the others.
    let outputs = single_threaded().block_on(async {
        let (poller, done) = (gpu.clone(), Arc::new(Woken::default()));
        let is_done = done.clone();
        let polls = tokio::spawn(async move {
            while is_done.0.load(Ordering::SeqCst) == 0 {
                poller.poll_once().unwrap();
                tokio::task::yield_now().await;
            }
        });
        let array = tokio::spawn(async move { again.download_async::<f32, Ix1>().await.unwrap() });
        let outputs = session.run_async(&[("x", image(2).view())]).await.unwrap();
        let array = array.await.unwrap();
        done.wake();
        polls.await.unwrap();
        (outputs, array[1])
    });
    assert_eq!(outputs, (Session::cpu(&graph()).unwrap().run(&[("x", image(2).view())]).unwrap(), 99.0));
    assert_eq!(gpu.counters().threads - before, 0);
    assert_eq!(own_threads(), Vec::<String>::new());
}

/// What waits when the device is lost has the loss, by the next polls.
#[test]
fn a_lost_device_wakes_what_waits_for_the_programs_polls() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let gpu = Gpu::new().unwrap();
    gpu.set_polling(Polling::Caller);
    let y = relu(&gpu, 5.0);
    let mut download = pin!(y.download_async::<f32, Ix1>());
    let mut waited = pin!(gpu.wait_async());
    assert!(download.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(waited.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    gpu.device().destroy();
    let (array, _) = event_loop(&gpu, download);
    assert!(matches!(array, Err(Error::DeviceLost { .. })), "{array:?}");
    let (queue, _) = event_loop(&gpu, waited);
    assert!(matches!(queue, Err(Error::DeviceLost { .. })), "{queue:?}");
    assert!(matches!(gpu.poll_once(), Err(Error::DeviceLost { .. })));
}
