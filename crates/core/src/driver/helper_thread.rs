//! A thread that waits in Tokio's driver. The wakers it runs fill the ready list and ring for the owner's thread, which
//! does the I/O. This thread touches no socket.
//!
//! Passing each piece of news from one thread to another costs more than the news itself. So an owner that does not
//! sleep anyway takes the driver ([`HelperThread::take`]) and asks the system by itself, as with the in-loop driver;
//! before it sleeps it gives the driver back.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

pub(crate) struct HelperThread {
    runtime: Arc<Runtime>,
    seat: Arc<Seat>,
    /// Whether the owner has taken the driver.
    taken: Cell<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Who waits in the driver.
struct Seat {
    holder: Mutex<Holder>,
    changed: Condvar,
    /// Calls the thread out of the driver.
    call: Notify,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Thread,
    Owner,
    /// The thread ends.
    Nobody,
}

impl Seat {
    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self, to: Holder) {
        *self.holder() = to;
        match to {
            Holder::Thread => {}
            // `notify_one` leaves a permit for a thread that has not begun to wait.
            Holder::Owner | Holder::Nobody => self.call.notify_one(),
        }
        self.changed.notify_one();
    }

    /// Waits until the thread may wait in the driver. False when it is to end.
    fn is_the_threads(&self) -> bool {
        let mut holder = self.holder();
        while *holder == Holder::Owner {
            holder = self
                .changed
                .wait(holder)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *holder == Holder::Thread
    }
}

impl HelperThread {
    pub(crate) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.enable_io();
        // A named pipe that is busy is tried again after a while.
        #[cfg(windows)]
        builder.enable_time();
        let runtime = Arc::new(builder.build()?);
        let seat = Arc::new(Seat {
            holder: Mutex::new(Holder::Thread),
            changed: Condvar::new(),
            call: Notify::new(),
        });
        let (of_thread, its_seat) = (Arc::clone(&runtime), Arc::clone(&seat));
        let thread = thread::Builder::new()
            .name("ferronet".into())
            .spawn(move || {
                while its_seat.is_the_threads() {
                    of_thread.block_on(its_seat.call.notified());
                }
            })?;
        Ok(Self {
            runtime,
            seat,
            taken: Cell::new(false),
            thread: Some(thread),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// From here on the owner asks the system, by [`HelperThread::turn`]. The thread may take a moment to leave; until
    /// then a turn finds nothing, and what the thread finds still reaches the ready list.
    pub(crate) fn take(&self) {
        if !self.taken.replace(true) {
            self.seat.give(Holder::Owner);
        }
    }

    pub(crate) fn give_back(&self) {
        if self.taken.replace(false) {
            self.seat.give(Holder::Thread);
        }
    }

    /// Asks the system once, without blocking, if the owner has the driver.
    pub(crate) fn turn(&self) {
        if self.taken.get() {
            super::turn(&self.runtime);
        }
    }
}

impl Drop for HelperThread {
    fn drop(&mut self) {
        self.seat.give(Holder::Nobody);
        if let Some(thread) = self.thread.take() {
            // If it panicked, there is nothing left to do: the owner closes the sockets anyway.
            let _ = thread.join();
        }
    }
}
