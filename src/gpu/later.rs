//! Results that arrive later: from a callback of wgpu, or from a thread that blocks in place of the caller's.
//!
//! A browser has one thread and never blocks it: there, callbacks come when the caller's future yields. Everywhere else wgpu calls back in a
//! poll, so a thread polls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

#[cfg(not(target_arch = "wasm32"))]
use {
    crate::types::{Error, Result},
    std::{sync::Condvar, time::Duration},
};

/// A result that somebody else gives. Clones share it.
#[derive(Debug)]
pub(crate) struct Later<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    #[cfg(not(target_arch = "wasm32"))]
    arrived: Condvar,
}

#[derive(Debug)]
struct State<T> {
    result: Option<T>,
    is_finished: bool,
    waker: Option<Waker>,
}

impl<T> Default for Later<T> {
    fn default() -> Self {
        let state = Mutex::new(State { result: None, is_finished: false, waker: None });
        #[cfg(not(target_arch = "wasm32"))]
        let shared = Shared { state, arrived: Condvar::new() };
        #[cfg(target_arch = "wasm32")]
        let shared = Shared { state };
        Self(Arc::new(shared))
    }
}

impl<T> Clone for Later<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Later<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the result; the first one counts.
    pub fn finish(&self, result: T) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.is_finished, true) {
            state.result = Some(result);
        }
        #[cfg(not(target_arch = "wasm32"))]
        self.0.arrived.notify_all();
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// The result, once.
    pub async fn arrived(&self) -> T {
        std::future::poll_fn(|context| {
            let mut state = self.state();
            match state.result.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl<T> Later<T> {
    /// Whether the result was given, whoever has it now.
    pub fn is_finished(&self) -> bool {
        self.state().is_finished
    }

    /// The result, if it is there already.
    pub fn take(&self) -> Option<T> {
        self.state().result.take()
    }

    /// Blocks for so long at most; whether the result is there.
    pub fn within(&self, wait: Duration) -> bool {
        let (state, _) =
            self.0.arrived.wait_timeout_while(self.state(), wait, |state| state.result.is_none()).unwrap_or_else(PoisonError::into_inner);
        state.result.is_some()
    }
}

/// What `work` gives, which may block: on a thread of its own, so that the caller's executor goes on meanwhile. `what` names the thread.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) async fn off_thread<T: Send + 'static>(what: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    /// Gives an error where the thread ends without a result: where `work` panics.
    struct Promise<T>(Later<Result<T>>, String);

    impl<T> Drop for Promise<T> {
        fn drop(&mut self) {
            self.0.finish(Err(Error::Internal { label: self.1.clone(), message: "its thread panicked".into() }));
        }
    }

    let later = Later::default();
    let promise = Promise(later.clone(), what.to_string());
    let started = std::thread::Builder::new().name(format!("wgconv {what}")).spawn(move || {
        let result = work();
        promise.0.finish(result);
    });
    started.map_err(|e| Error::Internal { label: what.to_string(), message: format!("there is no thread for it: {e}") })?;
    later.arrived().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_on_a_thread_gives_its_result_its_error_or_its_panic() {
        assert_eq!(pollster::block_on(off_thread("test", || Ok(7))), Ok(7));
        let refused = pollster::block_on(off_thread("test", || Err::<(), _>(Error::invalid("x", 1, "no"))));
        assert_eq!(refused, Err(Error::invalid("x", 1, "no")));
        let panicked: Result<()> = pollster::block_on(off_thread("test", || panic!("on purpose")));
        assert!(panicked.unwrap_err().to_string().contains("panicked"));
    }
}
