//! A thread that waits in Tokio's driver. The wakers it runs fill the ready list and ring for the owner's thread, which
//! does the I/O. This thread touches no socket.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

pub(crate) struct HelperThread {
    handle: Handle,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl HelperThread {
    pub(crate) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.enable_io();
        // A named pipe that is busy is tried again after a while.
        #[cfg(windows)]
        builder.enable_time();
        let runtime = builder.build()?;
        let handle = runtime.handle().clone();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("ferronet".into())
            .spawn(move || runtime.block_on(stopped.notified()))?;
        Ok(Self {
            handle,
            stop,
            thread: Some(thread),
        })
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for HelperThread {
    fn drop(&mut self) {
        // `notify_one` leaves a permit, so this also stops a thread that has not begun to wait.
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // If it panicked, there is nothing left to do: the owner closes the sockets anyway.
            let _ = thread.join();
        }
    }
}
