//! The ready list: sockets that Tokio found ready, waiting for the pump.
//!
//! Wakers fill it, on the JavaScript thread (in-loop driver) or on the helper thread, and the pump empties it. A signal
//! has at most one entry, either in this list or in the pump's queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Tells the JavaScript thread, from another one, that the ready list is no longer empty.
pub type Bell = Box<dyn Fn() + Send + Sync>;

/// A slot and its generation. Once the slot has been closed the key no longer finds anything, even if the slot is in
/// use again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) key: Key,
    pub(crate) direction: Direction,
}

pub(crate) struct ReadyList {
    entries: Mutex<Entries>,
    bell: Option<Bell>,
    /// Whether there are [`Entries::retries`].
    has_retries: AtomicBool,
}

#[derive(Default)]
struct Entries {
    list: Vec<Ready>,
    /// What gets its step in the next iteration although nobody tells that it is ready.
    retries: Vec<Ready>,
    /// The owner looks by itself and need not be told.
    silent: bool,
}

impl ReadyList {
    pub(crate) fn new(bell: Option<Bell>) -> Self {
        Self {
            entries: Mutex::default(),
            bell,
            has_retries: AtomicBool::new(false),
        }
    }

    /// Asks for a step in the next iteration.
    pub(crate) fn retry(&self, ready: Ready) {
        self.entries().retries.push(ready);
        self.has_retries.store(true, Ordering::Release);
    }

    pub(crate) fn has_retries(&self) -> bool {
        self.has_retries.load(Ordering::Acquire)
    }

    pub(crate) fn take_retries(&self) -> Vec<Ready> {
        self.has_retries.store(false, Ordering::Release);
        std::mem::take(&mut self.entries().retries)
    }

    fn push(&self, ready: Ready) {
        let mut entries = self.entries();
        entries.list.push(ready);
        // Only the first entry rings: the pump takes all that have come by then.
        let rings = entries.list.len() == 1 && !entries.silent;
        drop(entries);
        if rings && let Some(bell) = &self.bell {
            bell();
        }
    }

    /// Moves everything to the end of `queue`.
    pub(crate) fn take(&self, queue: &mut std::collections::VecDeque<Ready>) {
        queue.extend(self.entries().list.drain(..));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries().list.is_empty()
    }

    /// Whether the first entry is to ring. Returns whether there are entries already, which may not have rung.
    pub(crate) fn set_silent(&self, silent: bool) -> bool {
        let mut entries = self.entries();
        entries.silent = silent;
        !entries.list.is_empty()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of one direction of one socket.
pub(crate) struct Signal {
    ready: Ready,
    queued: AtomicBool,
    list: Arc<ReadyList>,
}

impl Signal {
    pub(crate) fn new(key: Key, direction: Direction, list: &Arc<ReadyList>) -> Arc<Self> {
        Arc::new(Self {
            ready: Ready { key, direction },
            queued: AtomicBool::new(false),
            list: Arc::clone(list),
        })
    }

    pub(crate) const fn ready(&self) -> Ready {
        self.ready
    }

    /// Claims the one entry that a signal may have. False if it is in the list or in the pump's queue already.
    pub(crate) fn claim(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// The pump has taken the entry, so the next wake makes a new one. Called before the socket is polled: otherwise
    /// readiness that arrives during the poll would be lost.
    pub(crate) fn taken(&self) {
        self.queued.store(false, Ordering::Release);
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.claim() {
            self.list.push(self.ready);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::atomic::AtomicUsize;

    const KEY: Key = Key {
        slot: 7,
        generation: 1,
    };

    #[test]
    fn a_signal_woken_twice_is_listed_once_and_rings_once() {
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&rings);
        let list = Arc::new(ReadyList::new(Some(Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }))));
        let signal = Signal::new(KEY, Direction::Read, &list);
        signal.waker().wake_by_ref();
        signal.waker().wake();
        let mut queue = VecDeque::new();
        list.take(&mut queue);
        assert_eq!(queue.len(), 1);
        assert_eq!(rings.load(Ordering::Relaxed), 1);

        signal.taken();
        signal.waker().wake();
        list.take(&mut queue);
        assert_eq!(queue.len(), 2);
        assert_eq!(rings.load(Ordering::Relaxed), 2);

        signal.taken();
        assert!(signal.claim());
        assert!(!signal.claim());
        signal.waker().wake();
        list.take(&mut queue);
        assert_eq!(queue.len(), 2, "a claimed signal is not listed again");
    }
}
