//! Up: what happened in one pump. An event is four int32 (kind, slot, a, b) in an array that JavaScript reads. The
//! bytes are in a scratch buffer, out of which JavaScript copies each chunk; those of sockets that share their chunks'
//! memory are in two slabs instead, and chunks are views of these. `lib/` spells the same numbers:
//! `__test__/protocol.test.mjs` compares them.

use std::io::IoSliceMut;

use ferronet_core::tls::Question;
use ferronet_core::{Chunk, STEP_EVENTS, Sink, TlsEvent};

use crate::memory::Memory;
use crate::tls;

const EVENT_WORDS: usize = 4;
const CONNECT: i32 = 1;
const DATA_SMALL: i32 = 2;
const DATA_BULK: i32 = 3;
const END: i32 = 4;
const READ_ERROR: i32 = 5;
const READABLE: i32 = 6;
const WRITABLE: i32 = 7;
const ACCEPT: i32 = 8;
const ACCEPT_ERROR: i32 = 9;
const DATA_SCRATCH: i32 = 10;
const SECURE: i32 = 11;
const TLS_ERROR: i32 = 12;
const TLS_NEWS: i32 = 13;
const TLS_ASKS: i32 = 14;
const RELAY_FAILED: i32 = 15;
// What `dispatch` is called with beside the number of events: JavaScript should replace this slab.
const RENEW_SMALL: u32 = 1 << 16;
const RENEW_BULK: u32 = 1 << 17;
/// JavaScript should lend pieces, those that are full or others.
const RENEW_PIECES: u32 = 1 << 19;
/// This is a new batch. Without it `dispatch` goes on with the one it has.
pub(crate) const BEGIN: u32 = 1 << 18;

/// A shared read up to this size is moved to the small slab, so that a program that keeps the chunk keeps no more
/// memory than that slab's.
const SMALL: usize = 4 * 1024;
/// With less room than this the bulk slab is replaced. A read that asks for more goes to the scratch buffer.
const ROOM: usize = 64 * 1024;
/// A batch is full with this much in the scratch buffer, so that the bytes are still in the processor's cache when
/// JavaScript copies them.
const FULL: usize = 128 * 1024;

/// How large a piece is: as much as JavaScript sees as one chunk.
const PIECE: usize = 64 * 1024;
/// A DATA_SCRATCH event whose offset is this or more is about the pieces, counted from here.
const PIECES_AT: usize = 1 << 24;

/// Memory that fills up from the front.
struct Slab {
    memory: Memory,
    used: usize,
}

impl Slab {
    const EMPTY: Self = Self {
        memory: Memory::NONE,
        used: 0,
    };

    const fn room(&self) -> usize {
        self.memory.len().saturating_sub(self.used)
    }

    fn take(&mut self, length: usize) {
        // Views start at multiples of eight bytes, so that programs can lay typed arrays of any kind over them.
        self.used = (self.used + length).next_multiple_of(8);
    }
}

pub(crate) struct Batch {
    events: Memory,
    count: usize,
    /// Each batch begins at its start: the same memory each time, which stays hot in the cache.
    scratch: Slab,
    in_scratch: bool,
    /// Whether there are slabs. There are none before a socket wants to share.
    sharing: bool,
    small: Slab,
    /// Shared reads of up to 64 KiB go here first. Small ones are moved on to `small`.
    bulk: Slab,
    /// Memory that will be chunks, so that large reads need not be copied. JavaScript lends it for one batch with bytes
    /// in it: afterwards the program has some of it.
    pieces: Vec<Memory>,
    /// How many pieces have bytes in this batch.
    full: usize,
    /// A large read found no pieces.
    wants_pieces: bool,
}

impl Batch {
    pub(crate) const fn new(events: Memory, scratch: Memory) -> Self {
        Self {
            events,
            count: 0,
            scratch: Slab {
                memory: scratch,
                used: 0,
            },
            in_scratch: true,
            sharing: false,
            small: Slab::EMPTY,
            bulk: Slab::EMPTY,
            pieces: Vec::new(),
            full: 0,
            wants_pieces: false,
        }
    }

    /// Empties the batch for the next pump. The slabs come anew each time, because a program that has views of one may
    /// have detached it.
    pub(crate) fn begin(&mut self, small: Memory, bulk: Memory) {
        self.count = 0;
        self.scratch.used = 0;
        if std::mem::take(&mut self.full) > 0 {
            self.pieces.clear();
        }
        self.small.memory = small;
        self.bulk.memory = bulk;
    }

    /// Says which slabs are new, and empty.
    pub(crate) fn renewed(&mut self, small: bool, bulk: bool) {
        self.sharing = true;
        if small {
            self.small.used = 0;
        }
        if bulk {
            self.bulk.used = 0;
        }
    }

    /// Pieces for the next large reads, in the place of those that were lent before.
    pub(crate) fn lend(&mut self, pieces: Vec<Memory>) {
        self.pieces = pieces;
        self.full = 0;
        self.wants_pieces = false;
    }

    /// What `dispatch` is called with: the number of events, and which slabs JavaScript should replace when it has
    /// delivered them. 0 if there is nothing to do.
    pub(crate) const fn summary(&self) -> u32 {
        let pieces = if self.wants_pieces || self.full > 0 {
            RENEW_PIECES
        } else {
            0
        };
        if !self.sharing {
            return self.count as u32 | pieces;
        }
        let small = if self.small.room() < SMALL {
            RENEW_SMALL
        } else {
            0
        };
        let bulk = if self.bulk.room() < ROOM {
            RENEW_BULK
        } else {
            0
        };
        self.count as u32 | small | bulk | pieces
    }

    fn event(&mut self, kind: i32, slot: u32, a: i32, b: i32) {
        let at = self.count * EVENT_WORDS;
        // There is a place: the pump asks `has_room` before each step. Should it forget that, this panics, which the
        // pump turns into an error on one socket.
        self.events.words_mut()[at..at + EVENT_WORDS].copy_from_slice(&[kind, slot as i32, a, b]);
        self.count += 1;
    }
}

impl Sink for Batch {
    fn has_room(&self) -> bool {
        (self.count + STEP_EVENTS) * EVENT_WORDS * size_of::<i32>() <= self.events.len()
            && self.scratch.used + self.full * PIECE < FULL
    }

    fn buffer(&mut self, wanted: usize, chunk: Chunk) -> &mut [u8] {
        self.in_scratch = wanted > ROOM || chunk == Chunk::Own;
        let slab = if self.in_scratch {
            &mut self.scratch
        } else {
            &mut self.bulk
        };
        let from = slab.memory.len() - slab.room();
        let length = wanted.min(slab.room());
        &mut slab.memory.bytes_mut()[from..from + length]
    }

    fn read(&mut self, slot: u32, length: usize) {
        if self.in_scratch {
            let from = self.scratch.used;
            self.scratch.take(length);
            self.event(DATA_SCRATCH, slot, from as i32, length as i32);
            return;
        }
        let from = self.bulk.used;
        if length <= SMALL && length <= self.small.room() {
            // Copies at most 4 KiB, which were just read and are in the cache.
            let at = self.small.used;
            let bytes = &self.bulk.memory.bytes()[from..from + length];
            self.small.memory.bytes_mut()[at..at + length].copy_from_slice(bytes);
            self.small.take(length);
            self.event(DATA_SMALL, slot, at as i32, length as i32);
        } else {
            self.bulk.take(length);
            self.event(DATA_BULK, slot, from as i32, length as i32);
        }
    }

    fn pieces(&mut self, wanted: usize) -> Vec<IoSliceMut<'_>> {
        let free = self.pieces.get_mut(self.full..).unwrap_or_default();
        self.wants_pieces |= free.is_empty();
        let count = (wanted / PIECE).min(free.len());
        free[..count]
            .iter_mut()
            .map(|piece| IoSliceMut::new(piece.bytes_mut()))
            .collect()
    }

    fn read_pieces(&mut self, slot: u32, length: usize) {
        let from = PIECES_AT + self.full * PIECE;
        self.full += length.div_ceil(PIECE);
        self.event(DATA_SCRATCH, slot, from as i32, length as i32);
    }

    fn read_end(&mut self, slot: u32) {
        self.event(END, slot, 0, 0);
    }

    fn read_error(&mut self, slot: u32, code: i32) {
        self.event(READ_ERROR, slot, code, 0);
    }

    fn readable(&mut self, slot: u32) {
        self.event(READABLE, slot, 0, 0);
    }

    fn writable(&mut self, slot: u32) {
        self.event(WRITABLE, slot, 0, 0);
    }

    fn relay_failed(&mut self, slot: u32, code: i32) {
        self.event(RELAY_FAILED, slot, code, 0);
    }

    fn connected(&mut self, slot: u32, status: i32) {
        self.event(CONNECT, slot, status, 0);
    }

    fn accepted(&mut self, listener: u32, slot: u32) {
        self.event(ACCEPT, listener, slot as i32, 0);
    }

    fn accept_failed(&mut self, listener: u32, code: i32) {
        self.event(ACCEPT_ERROR, listener, code, 0);
    }

    fn tls(&mut self, slot: u32, event: TlsEvent) {
        match event {
            TlsEvent::Secure { verdict, reused } => {
                self.event(SECURE, slot, verdict, i32::from(reused));
            }
            TlsEvent::Failed => self.event(TLS_ERROR, slot, 0, 0),
            TlsEvent::News => self.event(TLS_NEWS, slot, 0, 0),
            TlsEvent::Asks(question) => {
                let number = match question {
                    Question::Hello => tls::HELLO,
                    Question::Certificate => tls::CERTIFICATE,
                    Question::Store => tls::STORE,
                };
                self.event(TLS_ASKS, slot, number as i32, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch over memory of its own, with slabs of the given sizes.
    fn batch(
        events: &mut Vec<i32>,
        scratch: &mut Vec<u8>,
        small: &mut Vec<u8>,
        bulk: &mut Vec<u8>,
    ) -> Batch {
        events.resize(4 * 16, 0);
        // SAFETY: the callers' vectors outlive the batch, and are not touched or resized while it is used.
        let memory = |data: *mut u8, length| unsafe { Memory::new(data, length) };
        let mut batch = Batch::new(
            memory(events.as_mut_ptr().cast(), events.len() * 4),
            memory(scratch.as_mut_ptr(), scratch.len()),
        );
        if !bulk.is_empty() {
            batch.renewed(true, true);
        }
        batch.begin(
            memory(small.as_mut_ptr(), small.len()),
            memory(bulk.as_mut_ptr(), bulk.len()),
        );
        batch
    }

    #[test]
    fn reads_go_to_the_scratch_buffer_anew_in_each_batch() {
        let (mut events, mut scratch) = (Vec::new(), vec![0; 256 * 1024]);
        let mut batch = batch(&mut events, &mut scratch, &mut Vec::new(), &mut Vec::new());
        for _ in 0..2 {
            batch.buffer(100, Chunk::Own)[..3].copy_from_slice(b"abc");
            batch.read(1, 3);
            assert_eq!(batch.buffer(200 * 1024, Chunk::Own).len(), 200 * 1024);
            batch.read(2, 200 * 1024);
            assert_eq!(batch.buffer(200 * 1024, Chunk::Own).len(), 56 * 1024 - 8);
            assert_eq!(batch.summary(), 2);
            batch.begin(Memory::NONE, Memory::NONE);
        }
        let expected = [DATA_SCRATCH, 1, 0, 3, DATA_SCRATCH, 2, 8, 200 * 1024];
        assert_eq!(events[..8], expected);
        assert_eq!(&scratch[..3], b"abc");
    }

    #[test]
    fn a_batch_is_full_before_its_bytes_are_cold() {
        let (mut events, mut scratch) = (Vec::new(), vec![0; FULL + 2 * ROOM]);
        let mut batch = batch(&mut events, &mut scratch, &mut Vec::new(), &mut Vec::new());
        for slot in 0..2 {
            assert!(batch.has_room());
            assert_eq!(batch.buffer(FULL / 2, Chunk::Own).len(), FULL / 2);
            batch.read(slot, FULL / 2);
        }
        assert!(!batch.has_room());
        batch.begin(Memory::NONE, Memory::NONE);
        assert!(batch.has_room());
    }

    #[test]
    fn small_shared_reads_are_moved_to_their_slab_and_large_ones_stay_where_they_are() {
        let (mut events, mut small, mut bulk) =
            (Vec::new(), vec![0; 8 * 1024], vec![0; 128 * 1024]);
        let mut batch = batch(&mut events, &mut Vec::new(), &mut small, &mut bulk);
        batch.buffer(100, Chunk::Shared)[..3].copy_from_slice(b"abc");
        batch.read(1, 3);
        batch.buffer(5000, Chunk::Shared)[..5000].fill(b'x');
        batch.read(2, 5000);
        assert_eq!(batch.buffer(ROOM, Chunk::Shared).len(), ROOM);
        assert_eq!(batch.summary(), 2);
        assert_eq!(events[..8], [DATA_SMALL, 1, 0, 3, DATA_BULK, 2, 0, 5000]);
        assert_eq!(&small[..3], b"abc");
    }

    #[test]
    fn a_slab_that_is_nearly_full_asks_to_be_renewed() {
        let (mut events, mut small, mut bulk) = (Vec::new(), vec![0; 8 * 1024], vec![0; 65 * 1024]);
        let mut batch = batch(&mut events, &mut Vec::new(), &mut small, &mut bulk);
        assert_eq!(batch.summary(), 0);
        for length in [4096, 4000] {
            batch.buffer(ROOM, Chunk::Shared);
            batch.read(1, length);
        }
        assert_eq!(batch.summary(), 2 | RENEW_SMALL);
        batch.read(1, 5000);
        assert_eq!(batch.summary(), 3 | RENEW_SMALL | RENEW_BULK);
        batch.renewed(true, true);
        assert_eq!(batch.summary(), 3);
    }

    #[test]
    fn detached_slabs_are_not_written() {
        let (mut events, mut bulk) = (Vec::new(), vec![0; 64 * 1024]);
        let mut batch = batch(&mut events, &mut Vec::new(), &mut Vec::new(), &mut bulk);
        batch.buffer(100, Chunk::Shared)[0] = 1;
        batch.read(1, 1);
        assert_eq!(events[0], DATA_BULK);
        batch.begin(Memory::NONE, Memory::NONE);
        assert!(batch.buffer(100, Chunk::Shared).is_empty());
        assert_eq!(batch.summary(), RENEW_SMALL | RENEW_BULK);
    }
}
