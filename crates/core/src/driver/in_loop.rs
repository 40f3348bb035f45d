//! Tokio as a guest of the owner's event loop: no thread, and nothing passed between threads.
//!
//! The host watches the descriptor that Tokio itself waits on, an epoll instance or a kqueue. When that is readable, one
//! turn makes Tokio poll it once without blocking, which runs the wakers of the sockets that are ready. Tokio's timers
//! would fire only in a turn, so nothing on this runtime uses them.

#[cfg(target_os = "linux")]
#[path = "in_loop/epoll.rs"]
mod selector;
#[cfg(target_os = "macos")]
#[path = "in_loop/kqueue.rs"]
mod selector;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
#[path = "in_loop/unknown.rs"]
mod selector;

use std::io;
use std::os::fd::RawFd;

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

    pub(crate) fn turn(&self) {
        super::turn(&self.runtime);
    }
}
