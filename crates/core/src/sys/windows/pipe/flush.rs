//! A thread that waits until the peer has read everything: there is no other way to learn that.

use std::io;
use std::os::windows::io::{AsRawHandle, BorrowedHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Storage::FileSystem::FlushFileBuffers;
use windows_sys::Win32::System::IO::CancelSynchronousIo;

use super::wake::Wake;

pub(super) struct Flush {
    thread: Option<JoinHandle<()>>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    over: AtomicBool,
    wake: Wake,
}

/// A pipe's handle on its way to the thread.
struct Flushed(HANDLE);

// SAFETY: a handle may be used from any thread; `Flush` is dropped before the pipe.
unsafe impl Send for Flushed {}

impl Flush {
    pub(super) fn start(handle: BorrowedHandle<'_>) -> io::Result<Self> {
        let told = Arc::new(Told::default());
        let (tell, pipe) = (Arc::clone(&told), Flushed(handle.as_raw_handle()));
        let thread = thread::Builder::new()
            .name("ferronet flush".into())
            .spawn(move || {
                let Flushed(handle) = { pipe };
                // SAFETY: open until this thread has been joined. An error means that the peer has gone, which is as
                // good an end of the wait as any.
                unsafe { FlushFileBuffers(handle) };
                tell.over.store(true, Ordering::Release);
                tell.wake.wake();
            })?;
        Ok(Self {
            thread: Some(thread),
            told,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.told.over.load(Ordering::Acquire)
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        self.told.wake.register(cx);
        if self.is_over() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        while !thread.is_finished() {
            // SAFETY: the handle of a thread that has not been joined. It fails before the thread has begun to wait,
            // and is tried again.
            unsafe { CancelSynchronousIo(thread.as_raw_handle()) };
            thread::yield_now();
        }
        let _ = thread.join();
    }
}
