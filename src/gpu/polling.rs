//! Who polls the device while a future waits: a thread of this crate, or the program from its event loop.
//!
//! wgpu calls back in polls alone. By default each wait has a thread that polls until its result is there. A program with an event loop may poll by itself:
//! then no thread is started, futures wait until the program has polled, and what would be done on a thread is done in the first poll of the future.

use crate::gpu::Gpu;
use crate::gpu::counters::add;
use crate::gpu::later::{self, Later};
use crate::types::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Who polls the device while a future of it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Polling {
    /// A thread that the wait starts: any executor will do, and the program need not know.
    #[default]
    Thread,
    /// The program, by [`Gpu::poll_once`]: no future of the device starts a thread.
    Caller,
}

/// Futures that wait for the program's polls.
#[derive(Default)]
pub(crate) struct Waiting {
    by_caller: AtomicBool,
    results: Mutex<Vec<Later<Result<()>>>>,
}

impl Waiting {
    fn take(&self) -> Vec<Later<Result<()>>> {
        std::mem::take(&mut *self.results.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gpu {
    /// Says who polls while futures of this device wait, those that begin from now on; clones of the device share it. [`Polling::Thread`] until it is set.
    ///
    /// ```no_run
    /// # fn main() -> wgconv::Result<()> {
    /// use wgconv::{Gpu, gpu::Polling, ndarray::{Array1, Ix1}};
    /// let gpu = Gpu::new()?;
    /// gpu.set_polling(Polling::Caller);
    /// let x = gpu.upload(&Array1::<f32>::ones(8))?;
    /// let mut download = std::pin::pin!(x.download_async::<f32, Ix1>());
    /// let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// let array = loop {
    ///     // One turn of an event loop: events, a frame, and
    ///     gpu.poll_once()?;
    ///     if let std::task::Poll::Ready(array) = download.as_mut().poll(&mut context) {
    ///         break array?;
    ///     }
    /// };
    /// # let _ = array;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_polling(&self, polling: Polling) {
        self.waiting().by_caller.store(polling == Polling::Caller, Ordering::Release);
    }

    /// Who polls while futures wait.
    pub fn polling(&self) -> Polling {
        if self.waiting().by_caller.load(Ordering::Acquire) { Polling::Caller } else { Polling::Thread }
    }

    /// Polls the device once without blocking, which wakes the futures whose results are there; whether others still wait. A program that owns the device
    /// may poll that instead, but where it is lost this alone wakes the futures.
    ///
    /// # Errors
    /// [`Error::DeviceLost`](crate::Error::DeviceLost), which all futures that wait have too.
    pub fn poll_once(&self) -> Result<bool> {
        let polled = self.poll(wgpu::PollType::Poll);
        let mut left = self.waiting().take();
        if let Err(error) = &polled {
            left.drain(..).for_each(|later| later.finish(Err(error.clone())));
        }
        left.retain(|later| !later.is_finished());
        let waits = !left.is_empty();
        self.waiting().results.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
        polled.map(|()| waits)
    }

    /// Whether the program polls: then its polls see to this result.
    pub(crate) fn is_polled_by_caller(&self, later: &Later<Result<()>>) -> bool {
        let by_caller = self.polling() == Polling::Caller;
        if by_caller {
            self.waiting().results.lock().unwrap_or_else(PoisonError::into_inner).push(later.clone());
        }
        by_caller
    }

    /// What `work` gives, which may block: on a thread of its own, or here where the program wants none.
    pub(crate) async fn off_thread<T: Send + 'static>(&self, what: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        if self.polling() == Polling::Caller {
            return work();
        }
        add(&self.counts().threads, 1);
        later::off_thread(what, work).await
    }

    /// As `wait`, without blocking the calling thread.
    ///
    /// # Errors
    /// [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub async fn wait_async(&self) -> Result<()> {
        if self.polling() == Polling::Thread {
            let gpu = self.clone();
            return self.off_thread("wait", move || gpu.wait()).await;
        }
        self.check_not_lost()?;
        let done = Later::default();
        let heard = done.clone();
        self.queue().on_submitted_work_done(move || heard.finish(Ok(())));
        let _ = self.is_polled_by_caller(&done);
        done.arrived().await?;
        self.check_not_lost()
    }
}
