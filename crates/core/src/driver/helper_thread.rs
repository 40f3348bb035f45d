//! A thread that parks in Tokio's driver. Its wakers fill the ready list and ring the owner's thread, which does
//! the I/O; this thread touches no socket.

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
        let runtime = Builder::new_current_thread().enable_io().build()?;
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
        // `notify_one` leaves a permit, so a thread that has not started to wait yet stops as well.
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the helper has nothing to tell here: its sockets are closed by their owner.
            let _ = thread.join();
        }
    }
}
