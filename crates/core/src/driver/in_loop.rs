//! Tokio as a guest of the owner's event loop: no thread, and nothing passed between threads.
//!
//! The host watches the descriptor that Tokio itself waits on, an epoll instance or a kqueue. When that is readable, one [`InLoop::turn`] makes Tokio poll it once
//! without blocking, which runs the wakers of the sockets that are ready. Tokio's timers would fire only in a turn, so
//! nothing on this runtime uses them.

#[cfg(target_os = "linux")]
#[path = "in_loop/epoll.rs"]
mod selector;
#[cfg(target_os = "macos")]
#[path = "in_loop/kqueue.rs"]
mod selector;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
#[path = "in_loop/unknown.rs"]
mod selector;

use std::future::poll_fn;
use std::io;
use std::os::fd::RawFd;
use std::task::Poll;

use tokio::runtime::{Builder, Handle, Runtime};

pub(crate) struct InLoop {
    runtime: Runtime,
    descriptor: RawFd,
}

impl InLoop {
    /// `None` where Tokio's descriptor cannot be found, for example because there is no `/proc`.
    pub(crate) fn start() -> io::Result<Option<Self>> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        Ok(selector::find(&runtime)?.map(|descriptor| Self {
            runtime,
            descriptor,
        }))
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    pub(crate) const fn descriptor(&self) -> RawFd {
        self.descriptor
    }

    /// One non-blocking poll of the driver. When a future has woken itself, the scheduler polls its driver, with a
    /// time-out of zero, before it polls the future again.
    pub(crate) fn turn(&self) {
        let mut polled = false;
        self.runtime.block_on(poll_fn(|cx| {
            if polled {
                return Poll::Ready(());
            }
            polled = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
    }
}
