//! A waker that another thread calls, and a name as Windows wants it.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

/// Keeps the waker of whoever polled last.
#[derive(Default)]
pub(super) struct Wake(Mutex<Option<Waker>>);

impl Wake {
    /// To be called before the last look at what is waited for.
    pub(super) fn register(&self, cx: &Context<'_>) {
        let mut waker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
    }

    pub(super) fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// UTF-16 with a NUL behind it.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
