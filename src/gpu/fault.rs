//! What goes wrong on a device: wgpu's errors are caught in scopes and come back as errors of this crate, and a loss is noticed whether
//! or not anybody has polled or set a callback.
//!
//! wgpu reports a loss through the device-lost callback alone, which the owner of the device has, and which fires in a poll once the queue
//! is empty. Until then objects of a lost device are made invalid without a word, and using one is a validation error.

use crate::gpu::Gpu;
use crate::types::{Error, Result};
#[cfg(not(target_arch = "wasm32"))]
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

/// Why a device is gone, from the first who knew.
#[derive(Default)]
pub(crate) struct Loss(Mutex<Option<String>>);

impl Loss {
    pub fn note(&self, reason: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    /// # Errors
    /// [`Error::DeviceLost`] where a loss was noted.
    fn check(&self) -> Result<()> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => Err(Error::DeviceLost { reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

impl Gpu {
    /// Tells this crate that the device is lost, from the caller's own device-lost callback (see [`Gpu::from_wgpu`]).
    pub fn note_device_lost(&self, reason: &str) {
        self.inner.lost.note(reason.to_string());
    }

    /// A browser tells of a loss by the callback alone.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn check_not_lost(&self) -> Result<()> {
        self.inner.lost.check()
    }

    /// Asks wgpu itself, since neither callback nor poll may have come yet.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn check_not_lost(&self) -> Result<()> {
        self.inner.lost.check()?;
        if is_alive(&self.inner.device) {
            return Ok(());
        }
        // Lets the callback say why, if it is there and the queue is empty.
        let _ = catch_unwind(AssertUnwindSafe(|| self.inner.device.poll(wgpu::PollType::Poll)));
        self.inner.lost.note("wgpu accepts no more work for it: it was destroyed, or its driver failed".into());
        self.inner.lost.check()
    }

    /// Waits until all work submitted so far is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn wait(&self) -> Result<()> {
        self.check_not_lost()?;
        self.poll(wgpu::PollType::wait_indefinitely())
    }

    /// Until all work submitted so far is done, without blocking.
    ///
    /// # Errors
    /// [`Error::DeviceLost`].
    #[cfg(target_arch = "wasm32")]
    pub async fn wait_async(&self) -> Result<()> {
        let done = crate::gpu::later::Later::default();
        let heard = done.clone();
        self.queue().on_submitted_work_done(move || heard.finish(()));
        done.arrived().await;
        self.check_not_lost()
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn poll(&self, how: wgpu::PollType) -> Result<()> {
        // wgpu panics where the driver fails the wait itself, which is how a crashed GPU shows first. Callbacks run in here too: what they
        // panic with goes on unless the device is lost.
        let polled = catch_unwind(AssertUnwindSafe(|| self.inner.device.poll(how)));
        self.check_not_lost()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Error::Internal { label: "waiting for the device".into(), message: error.to_string() }),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Runs `f`. A browser gives the errors of an error scope later than this returns, so what wgpu has to say goes to the device's handler of
    /// uncaptured errors.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn scoped<T>(&self, _label: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.inner.lost.check()?;
        f()
    }

    /// Runs `f` with wgpu's errors caught. What follows from a loss is the loss; out of memory is the caller's news, as is a buffer of
    /// the caller's that cannot be used; other validation and internal errors are this crate's bugs.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn scoped<T>(&self, label: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.inner.lost.check()?;
        let device = &self.inner.device;
        let scopes = [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation]
            .map(|filter| device.push_error_scope(filter));
        let result = f();
        // Scopes nest, so they are popped in reverse; the futures are ready at once on native backends.
        let caught = scopes.into_iter().rev().fold(None, |first, scope| first.or(pollster::block_on(scope.pop())));
        self.check_not_lost()?;
        match caught {
            None => result,
            Some(error) => Err(named(label, &error)),
        }
    }
}

/// Whether wgpu accepts work for the device. One that is alive refuses a buffer without any usage; one that is lost does not look at it. wgpu
/// has no other question for this, and none that costs less: nothing is allocated.
#[cfg(not(target_arch = "wasm32"))]
fn is_alive(device: &wgpu::Device) -> bool {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let label = Some("wgconv asks whether the device is alive");
    drop(device.create_buffer(&wgpu::BufferDescriptor { label, size: 4, usage: wgpu::BufferUsages::empty(), mapped_at_creation: false }));
    pollster::block_on(scope.pop()).is_some()
}

/// wgpu's error as one of this crate's. Its kinds are not public, so two are told by their text, which tests/embedding.rs compares.
#[cfg(not(target_arch = "wasm32"))]
fn named(label: &str, error: &wgpu::Error) -> Error {
    let message = error.to_string();
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { what: label.to_string(), bytes: 0 },
        _ if message.contains("doesn't match Device") => Error::OtherDevice { argument: format!("what {label} was given") },
        _ if message.contains("has been destroyed") => {
            let why = message.lines().map(str::trim).find(|line| line.contains("has been destroyed")).unwrap_or_default();
            Error::invalid(format!("a buffer that {label} uses"), "destroyed", format!("a buffer must live as long as its tensors are used ({why})"))
        }
        _ => Error::Internal { label: label.to_string(), message },
    }
}
