//! Down: what JavaScript has written and not sent yet. The bytes lie in `out`; `log` says whose they are, one entry
//! (slot, offset, length) after the other. A flush sends them, with one system call for each socket. The same room
//! in `lib/` fills the log, and takes from it what a flush leaves behind.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ferronet_core::{Reactor, errno};

use crate::memory::Memory;

/// An entry of the log: slot, offset, length. A flush leaves entries of (slot, bytes sent or error number, unused).
const LOG_WORDS: usize = 3;

pub(crate) struct Outbox {
    log: Memory,
    out: Memory,
    seen: Seen,
}

impl Outbox {
    pub(crate) fn new(log: Memory, out: Memory) -> Self {
        Self {
            log,
            out,
            seen: Seen::default(),
        }
    }

    /// Sends what the first `count` entries describe. Returns how many sockets could not send everything; behind the
    /// entries the log then tells, for each of them, how many bytes it sent or with which error it failed.
    pub(crate) fn flush(&mut self, reactor: &mut Reactor, count: usize) -> u32 {
        let (entries, results) = self.log.words_mut().split_at_mut(count * LOG_WORDS);
        let out = self.out.bytes();
        let slice = |entry: &[i32]| {
            let from = entry[1] as usize;
            IoSlice::new(&out[from..from + entry[2] as usize])
        };
        let mut short = 0;
        let mut send = |slot: i32, slices: &[IoSlice<'_>]| {
            // A panic costs only the socket it happened to, not the ones after it.
            let written = catch_unwind(AssertUnwindSafe(|| reactor.write(slot as u32, slices)));
            let result = match written {
                Ok(Ok(sent)) if sent.all => return,
                Ok(Ok(sent)) => sent.bytes as i32,
                Ok(Err(error)) => errno::code(&error),
                Err(_panic) => errno::UNKNOWN,
            };
            results[short * LOG_WORDS] = slot;
            results[short * LOG_WORDS + 1] = result;
            short += 1;
        };
        // Nearly always each socket appears once, and no lists of slices have to be allocated.
        if self.seen.all_once(entries) {
            for entry in entries.chunks_exact(LOG_WORDS) {
                send(entry[0], &[slice(entry)]);
            }
            return short as u32;
        }
        // Sockets that were written alternately: the bytes of each together, in the order of their first writes.
        let mut places: HashMap<i32, usize> = HashMap::new();
        let mut writes: Vec<(i32, Vec<IoSlice<'_>>)> = Vec::new();
        for entry in entries.chunks_exact(LOG_WORDS) {
            let place = *places.entry(entry[0]).or_insert_with(|| {
                writes.push((entry[0], Vec::new()));
                writes.len() - 1
            });
            writes[place].1.push(slice(entry));
        }
        for (slot, slices) in &writes {
            send(*slot, slices);
        }
        short as u32
    }

    /// Sends what stands in `out` at `lead`, and behind it a chunk without its last `tail` bytes. When all of that is
    /// sent, these are copied to `out`, to `at`. Returns how many bytes were sent.
    pub(crate) fn send_behind(
        &mut self,
        lead: Range<usize>,
        chunk: &[u8],
        tail: usize,
        at: usize,
        send: impl FnOnce(&[IoSlice<'_>]) -> io::Result<i32>,
    ) -> io::Result<i32> {
        let (body, end) = chunk.split_at(chunk.len().saturating_sub(tail));
        let whole = lead.len() + body.len();
        let first = IoSlice::new(self.out.bytes().get(lead).unwrap_or_default());
        let sent = match (first.len(), body.len()) {
            (0, 0) => 0,
            (0, _) => send(&[IoSlice::new(body)])?,
            _ => send(&[first, IoSlice::new(body)])?,
        };
        if sent as usize == whole
            && let Some(room) = self.out.bytes_mut().get_mut(at..at + end.len())
        {
            room.copy_from_slice(end);
        }
        Ok(sent)
    }

    /// What a flush that panicked returns. Nobody knows what was sent for which socket, so all of them have failed.
    pub(crate) fn flush_failed(&mut self, count: usize) -> u32 {
        let log = self.log.words_mut();
        let (entries, results) = log.split_at_mut(log.len().min(count * LOG_WORDS));
        let mut slots: Vec<i32> = entries
            .chunks_exact(LOG_WORDS)
            .map(|entry| entry[0])
            .collect();
        slots.sort_unstable();
        slots.dedup();
        for (result, slot) in results.chunks_exact_mut(LOG_WORDS).zip(&slots) {
            result[0] = *slot;
            result[1] = errno::UNKNOWN;
        }
        slots.len().min(results.len() / LOG_WORDS) as u32
    }
}

/// The flush in which each slot was last seen, so that nothing has to be cleared between two of them.
#[derive(Default)]
struct Seen {
    round: u32,
    rounds: Vec<u32>,
}

impl Seen {
    /// Whether each slot appears in one entry only.
    fn all_once(&mut self, entries: &[i32]) -> bool {
        self.round = self.round.wrapping_add(1);
        let round = self.round;
        let mut once = true;
        for entry in entries.chunks_exact(LOG_WORDS) {
            let slot = entry[0] as usize;
            if slot >= self.rounds.len() {
                self.rounds.resize(slot + 1, round.wrapping_sub(1));
            }
            once &= mem::replace(&mut self.rounds[slot], round) != round;
        }
        once
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_appears_twice_in_a_flush_is_noticed_and_one_from_an_earlier_flush_is_not() {
        let mut seen = Seen::default();
        assert!(seen.all_once(&[5, 0, 1, 2, 1, 1]));
        assert!(seen.all_once(&[2, 0, 1, 5, 1, 1]));
        assert!(!seen.all_once(&[2, 0, 1, 5, 1, 1, 2, 2, 1]));
        assert!(seen.all_once(&[2, 0, 1]));
    }

    #[test]
    fn the_end_of_a_chunk_is_copied_when_all_before_it_is_sent() {
        let mut bytes = *b"..head....";
        // SAFETY: the array outlives the outbox, and is not touched while the outbox is used.
        let out = unsafe { Memory::new(bytes.as_mut_ptr(), bytes.len()) };
        let mut outbox = Outbox::new(Memory::NONE, out);
        let mut send = |lead, chunk: &[u8], tail, at, taken| {
            let mut given = Vec::new();
            let sent = outbox.send_behind(lead, chunk, tail, at, |slices| {
                given = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                taken
            });
            (sent.ok(), String::from_utf8_lossy(&given).into_owned())
        };
        assert_eq!(
            send(2..6, b"bodytail", 4, 6, Ok(8)),
            (Some(8), "headbody".into())
        );
        assert_eq!(
            send(6..10, b"more", 1, 0, Ok(6)),
            (Some(6), "tailmor".into())
        );
        let broken = Err(io::ErrorKind::BrokenPipe.into());
        assert_eq!(send(0..0, b"lost", 2, 0, broken), (None, "lo".into()));
        assert_eq!(send(0..0, b"z", 1, 1, Ok(7)), (Some(0), String::new()));
        assert_eq!(&bytes, b".zheadtail");
    }

    #[test]
    fn a_flush_that_failed_fails_once_for_each_socket_in_it() {
        let mut log = vec![0; 7 * LOG_WORDS];
        log[..9].copy_from_slice(&[4, 0, 1, 1, 1, 1, 4, 2, 1]);
        // SAFETY: the vector outlives the outbox, and is not touched while the outbox is used.
        let memory = unsafe { Memory::new(log.as_mut_ptr().cast(), log.len() * 4) };
        assert_eq!(Outbox::new(memory, Memory::NONE).flush_failed(3), 2);
        assert_eq!(log[9..14], [1, errno::UNKNOWN, 0, 4, errno::UNKNOWN]);
    }
}
