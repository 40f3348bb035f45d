//! The order in which sockets get their steps: who is due in this iteration of the owner's event loop, who comes
//! after them, and how much may be read before everybody else is asked again.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use crate::ready::{Ready, ReadyList, Signal};

/// How much is read in one iteration before sockets that have more must wait for the next one, in which all the others
/// are asked first. With 50 small messages under way beside one upload, as ratios to `node:net` (Node 24, 2026-11):
/// 512 KiB gave p50 0.48 and an upload of 0.64, 1 MiB 0.54 and 0.93, 2 MiB 0.80 and 1.04, but p99 1.42.
const TURN_BYTES: usize = 1024 * 1024;

/// What one step of a socket leaves to do.
pub(crate) enum Step {
    /// Nothing, until the system reports something new.
    Done,
    /// The read was full. Another may follow in the same iteration, once JavaScript has seen this one.
    Full,
    /// Another step follows in the same iteration in any case, once JavaScript has seen this one.
    Urgent,
    /// There is more to do, in the next iteration.
    More,
    /// The batch had no memory left for it. It is among the first in the next batch.
    Unserved,
}

/// One pump, and how much has been read in its iteration.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// Counts pumps, from 1 on.
    pub(crate) pump: u32,
    bytes: usize,
    /// How long the handshakes of this iteration have taken.
    pub(crate) handshakes: Duration,
}

impl Turn {
    fn next_pump(&mut self) {
        self.pump = self.pump.wrapping_add(1).max(1);
    }

    /// How many bytes may still be read in this iteration.
    pub(crate) const fn left(&self) -> usize {
        TURN_BYTES.saturating_sub(self.bytes)
    }

    pub(crate) fn has_read(&mut self, length: usize) {
        self.bytes += length;
    }

    /// Whether anything has been read since the pump began.
    pub(crate) const fn any_read(&self) -> bool {
        self.bytes > 0
    }
}

/// See the [module](self).
pub(crate) struct Queue {
    /// The first `due` of them get their step in this iteration.
    ready: VecDeque<Ready>,
    /// How many have not had their step in this iteration yet, because the batch was full.
    due: usize,
    /// What verbs found to be ready already. They join `ready` in [`Queue::begin`].
    asked: VecDeque<Ready>,
    /// Sockets that found no memory left, then those whose last read was full. They come with the next batch, in this
    /// iteration if there is time.
    full: VecDeque<Ready>,
    /// Sockets that go on in this iteration whatever else has been read in it. Their entries are in one of the queues,
    /// or in the ready list.
    urgent: Vec<Ready>,
    pub(crate) turn: Turn,
}

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            due: 0,
            asked: VecDeque::new(),
            full: VecDeque::new(),
            urgent: Vec::new(),
            turn: Turn {
                pump: 0,
                bytes: 0,
                handshakes: Duration::ZERO,
            },
        }
    }

    /// Whether the next pump has something to do without asking the system.
    pub(crate) fn has_work(&self) -> bool {
        !(self.ready.is_empty() && self.asked.is_empty() && self.full.is_empty())
    }

    /// Queues a socket that a verb found to be ready. It has to wait for [`Queue::begin`].
    pub(crate) fn ask(&mut self, signal: &Signal) {
        enqueue(&mut self.asked, signal);
    }

    /// Queues a socket that goes on in this iteration if there is time, once the owner has seen what it has been told so
    /// far.
    pub(crate) fn ask_soon(&mut self, signal: &Signal) {
        enqueue(&mut self.full, signal);
    }

    /// Queues a socket that goes on in this iteration in any case, also if it has been queued for a later one, or found
    /// to be ready in the meantime.
    pub(crate) fn ask_urgently(&mut self, signal: &Signal) {
        enqueue(&mut self.asked, signal);
        self.urgent.push(signal.ready());
    }

    /// Queues a socket that was found to be ready during the pump.
    pub(crate) fn push(&mut self, signal: &Signal) {
        enqueue(&mut self.ready, signal);
    }

    /// A new iteration begins.
    pub(crate) fn begin(&mut self) {
        self.ready.append(&mut self.asked);
        self.ready.append(&mut self.full);
        self.urgent.clear();
        self.due = 0;
    }

    /// A pump begins: everything that is ready now gets a step.
    pub(crate) fn take(&mut self, list: &ReadyList) {
        self.turn.next_pump();
        self.turn.bytes = 0;
        self.turn.handshakes = Duration::ZERO;
        list.take(&mut self.ready);
        self.due = self.ready.len();
    }

    /// Whether this iteration has another batch in it.
    pub(crate) fn may_go_on(&self) -> bool {
        self.due > 0 || !self.urgent.is_empty() || self.has_time_for_full()
    }

    fn has_time_for_full(&self) -> bool {
        !self.full.is_empty() && self.turn.left() > 0
    }

    /// Another batch of the same iteration begins. When everybody has had a step, the next round starts, with the
    /// sockets that are urgent and those whose reads were full.
    pub(crate) fn go_on(&mut self, list: &ReadyList) {
        if self.due > 0 {
            return;
        }
        self.turn.next_pump();
        let urgent = mem::take(&mut self.urgent);
        if self.has_time_for_full() {
            self.due = self.full.len();
            for ready in self.full.drain(..).rev() {
                self.ready.push_front(ready);
            }
        }
        if !urgent.is_empty() {
            list.take(&mut self.ready);
        }
        for ready in urgent.into_iter().rev() {
            self.bring_forward(ready);
        }
    }

    /// Makes a socket due whose entry waits somewhere behind those that are.
    fn bring_forward(&mut self, wanted: Ready) {
        let is_wanted = |ready: &Ready| *ready == wanted;
        for queue in [&mut self.asked, &mut self.full] {
            if let Some(at) = queue.iter().position(is_wanted) {
                queue.remove(at);
                self.ready.push_front(wanted);
                self.due += 1;
                return;
            }
        }
        if let Some(at) = self.ready.iter().position(is_wanted)
            && at >= self.due
        {
            self.ready.remove(at);
            self.ready.push_front(wanted);
            self.due += 1;
        }
    }

    /// The next socket that is due.
    pub(crate) fn next(&mut self) -> Option<Ready> {
        self.due = self.due.checked_sub(1)?;
        self.ready.pop_front()
    }

    /// Queues a socket again whose read was full, or that has more to do.
    pub(crate) fn again(&mut self, ready: Ready, step: &Step) {
        match step {
            Step::Full => self.full.push_back(ready),
            _ => self.ready.push_back(ready),
        }
    }

    /// Ends a batch. `served` says whether any socket had a step in it.
    pub(crate) fn end(&mut self, unserved: Vec<Ready>, served: bool) {
        if !served && !unserved.is_empty() {
            // The sink has no memory for any of them, and asking again at once would not change that.
            self.turn.bytes = TURN_BYTES;
        }
        // In front of the sockets that had memory and want more. Behind them they might never get any.
        for ready in unserved.into_iter().rev() {
            self.full.push_front(ready);
        }
    }
}

/// All entries are made here or by a waker, and `claim` sees to it that a signal has only one at a time: with two, a
/// socket would get two steps in a pump.
fn enqueue(queue: &mut VecDeque<Ready>, signal: &Signal) {
    if signal.claim() {
        queue.push_back(signal.ready());
    }
}
