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
    pub(crate) fn set_busy(&self, busy: Duration, now: Instant) {
        self.busy.set(busy);
        if self.is_on() {
            self.until.set(Some(now + busy));
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

    /// Whether an event begins or prolongs one.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.length().is_zero()
    }

    /// There are events. Returns whether a vigil begins.
    pub(crate) fn event(&self, now: Instant) -> bool {
        self.is_wanted() && self.until.replace(Some(now + self.length())).is_none()
    }

    /// They have been handled. What the program did meanwhile was no waiting: with many sockets a batch takes longer than
    /// a vigil of [`LINGER`].
    pub(crate) fn handled(&self, now: Instant) {
        if self.is_on() {
            self.until.set(Some(now + self.length()));
        }
    }

    /// Whether nothing has come for long enough. The vigil is over then.
    pub(crate) fn ends(&self, now: Instant) -> bool {
        let over = self.until.get().is_some_and(|until| now >= until);
        if over {
            self.until.set(None);
            self.short_sleeps.set(0);
        }
        over
    }

    fn length(&self) -> Duration {
        let by_itself = self.by_itself && self.short_sleeps.get() >= ENOUGH;
        self.busy
            .get()
            .max(if by_itself { LINGER } else { Duration::ZERO })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(10);

    /// A vigil of the helper thread's, after as many short sleeps as begin one.
    fn ready() -> Vigil {
        let vigil = Vigil::new(true);
        vigil.short_sleeps.set(ENOUGH);
        vigil
    }

    #[test]
    fn begins_once_and_ends_when_nothing_has_come_for_long_enough() {
        let (vigil, start) = (ready(), Instant::now());
        assert!(vigil.event(start));
        assert!(!vigil.event(start), "it goes on");
        assert!(!vigil.ends(start + LINGER / 2));
        assert!(vigil.ends(start + LINGER));
        assert!(!vigil.is_on());
        assert!(!vigil.event(start), "the short sleeps count anew");
    }

    #[test]
    fn the_time_of_handlers_does_not_count() {
        let (vigil, start) = (ready(), Instant::now());
        vigil.event(start);
        vigil.handled(start + LONG);
        assert!(!vigil.ends(start + LONG + LINGER / 2));
        assert!(vigil.ends(start + LONG + LINGER));
    }

    #[test]
    fn handling_begins_none() {
        let (vigil, start) = (Vigil::new(true), Instant::now());
        assert!(!vigil.event(start));
        vigil.handled(start);
        assert!(!vigil.is_on());
    }

    #[test]
    fn a_program_chooses_its_length_on_either_driver() {
        for by_itself in [false, true] {
            let (vigil, start) = (Vigil::new(by_itself), Instant::now());
            vigil.set_busy(LONG, start);
            assert!(!vigil.is_on(), "only an event begins it");
            assert!(vigil.event(start));
            vigil.handled(start + LONG);
            assert!(!vigil.ends(start + LONG + LINGER));
            vigil.set_busy(Duration::ZERO, start + LONG + LINGER);
            assert!(vigil.ends(start + LONG + LINGER));
        }
    }
}
