//! How long the loop goes on polling without sleeping, after the last event.
//!
//! A thread that sleeps needs a while to wake up: the system has to schedule it again, and its core may have left the
//! state in which it is fast. A program that would rather pay with CPU time says for how long it does
//! ([`Vigil::set_busy`]).
//!
//! With the helper thread a shorter vigil pays by itself. Each time the loop sleeps, two threads have to be woken up
//! where one would do: the helper for the event, and then the loop for the helper. If events come so fast that the loop
//! sleeps less than that takes, it stays awake, takes the driver from the thread, and gives it back when nothing has
//! come for [`LINGER`].

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A sleep shorter than this is not worth it.
const SHORT: Duration = Duration::from_micros(50);
/// This many of them in a row begin a vigil.
const ENOUGH: u32 = 4;
/// How long it goes on without an event: as long as a sleep must be to be worth it.
const LINGER: Duration = SHORT;

pub(crate) struct Vigil {
    /// What the program wants.
    busy: Cell<Duration>,
    /// Whether short sleeps begin one too.
    by_itself: bool,
    short_sleeps: Cell<u32>,
    /// When the loop may have gone to sleep.
    slept: Cell<Option<Instant>>,
    /// While there is one: when it ends.
    until: Cell<Option<Instant>>,
}

impl Vigil {
    pub(crate) fn new(by_itself: bool) -> Self {
        Self {
            busy: Cell::new(Duration::ZERO),
            by_itself,
            short_sleeps: Cell::new(0),
            slept: Cell::new(None),
            until: Cell::new(None),
        }
    }

    /// How long after the last event, from now on; zero: the loop sleeps as soon as it can.
    pub(crate) fn set_busy(&self, busy: Duration) {
        self.busy.set(busy);
        if self.is_on() {
            self.until.set(Some(Instant::now() + busy));
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.until.get().is_some()
    }

    /// The loop is about to poll.
    pub(crate) fn poll(&self) {
        if self.by_itself && !self.is_on() {
            self.slept.set(Some(Instant::now()));
        }
    }

    /// Another thread has woken the loop up.
    pub(crate) fn woken(&self) {
        if let Some(slept) = self.slept.take() {
            let sleeps = self.short_sleeps.get();
            let short = slept.elapsed() < SHORT;
            self.short_sleeps.set(if short { sleeps + 1 } else { 0 });
        }
    }

    /// There were events. Returns whether a vigil begins.
    pub(crate) fn event(&self) -> bool {
        let by_itself = self.by_itself && self.short_sleeps.get() >= ENOUGH;
        let length = self
            .busy
            .get()
            .max(if by_itself { LINGER } else { Duration::ZERO });
        if length.is_zero() {
            return false;
        }
        self.until.replace(Some(Instant::now() + length)).is_none()
    }

    /// Whether nothing has come for long enough. The vigil is over then.
    pub(crate) fn ends(&self) -> bool {
        let over = self
            .until
            .get()
            .is_some_and(|until| Instant::now() >= until);
        if over {
            self.until.set(None);
            self.short_sleeps.set(0);
        }
        over
    }
}
