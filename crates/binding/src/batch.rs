//! The batch of events of one pump: four int32 an event in an array that JavaScript reads, bytes in two buffers
//! beside it. The layout is shared with `lib/handle.ts`.

use ferronet_core::Sink;

const EVENT_WORDS: usize = 4;
const CONNECT: i32 = 1;
const DATA_SLAB: i32 = 2;
const DATA_SCRATCH: i32 = 3;
const END: i32 = 4;
const READ_ERROR: i32 = 5;
const READABLE: i32 = 6;
const WRITABLE: i32 = 7;
const ACCEPT: i32 = 8;
const ACCEPT_ERROR: i32 = 9;
const RENEW_SLAB: u32 = 1 << 16;

/// A read up to this size is packed into the slab and becomes a view of it, without an allocation of its own.
/// Above it, a chunk is copied once by JavaScript into memory that is its own alone.
const SMALL: usize = 4 * 1024;

/// Memory of a typed array that JavaScript keeps for as long as we do.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    data: *mut u8,
    length: usize,
}

impl Memory {
    pub(crate) const NONE: Self = Self {
        data: std::ptr::null_mut(),
        length: 0,
    };

    /// # Safety
    /// `data` must stay valid for `length` bytes for as long as the result is used, and be written by nobody else
    /// while a slice of it is alive.
    pub(crate) const unsafe fn new(data: *mut u8, length: usize) -> Self {
        Self { data, length }
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        if self.length == 0 {
            return &mut [];
        }
        // SAFETY: the promise of `new`; `&mut self` keeps a second slice from being made meanwhile.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.length) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the promise of `new`.
        unsafe { std::slice::from_raw_parts(self.data, self.length) }
    }

    /// The memory as int32: typed arrays of them are aligned and a multiple of four long.
    pub(crate) fn words_mut(&mut self) -> &mut [i32] {
        if self.length == 0 {
            return &mut [];
        }
        // SAFETY: as `bytes_mut`; the callers made this of an Int32Array, which is aligned for i32.
        unsafe { std::slice::from_raw_parts_mut(self.data.cast(), self.length / 4) }
    }
}

pub(crate) struct Batch {
    events: Memory,
    count: usize,
    scratch: Memory,
    scratch_used: usize,
    slab: Memory,
    slab_used: usize,
}

impl Batch {
    pub(crate) const fn new(events: Memory, scratch: Memory) -> Self {
        Self {
            events,
            count: 0,
            scratch,
            scratch_used: 0,
            slab: Memory::NONE,
            slab_used: 0,
        }
    }

    /// Empties the batch for the next pump. `slab` is its memory as JavaScript has it now: a program may have
    /// detached the buffer that its chunks are views of.
    pub(crate) fn begin(&mut self, slab: Memory) {
        self.count = 0;
        self.scratch_used = 0;
        self.slab = slab;
    }

    /// A new slab is in place.
    pub(crate) fn reset_slab(&mut self) {
        self.slab_used = 0;
    }

    /// What `dispatch` is called with: the number of events, and whether JavaScript should renew the slab; 0 when
    /// nothing happened.
    pub(crate) const fn summary(&self) -> u32 {
        let renew = if self.count > 0 && self.slab_used > self.slab.len() / 2 {
            RENEW_SLAB
        } else {
            0
        };
        self.count as u32 | renew
    }

    fn event(&mut self, kind: i32, slot: u32, a: i32, b: i32) {
        let at = self.count * EVENT_WORDS;
        // `has_room` was asked before the step that reports this; a missing place would mean a bug there, and
        // panicking (which the pump turns into an error on one socket) is better than writing beyond.
        self.events.words_mut()[at..at + EVENT_WORDS].copy_from_slice(&[kind, slot as i32, a, b]);
        self.count += 1;
    }
}

impl Sink for Batch {
    fn has_room(&self) -> bool {
        (self.count + 2) * EVENT_WORDS * size_of::<i32>() <= self.events.len()
    }

    fn buffer(&mut self, wanted: usize) -> &mut [u8] {
        let from = self.scratch_used;
        let to = (from + wanted).min(self.scratch.len());
        &mut self.scratch.bytes_mut()[from..to]
    }

    fn read(&mut self, slot: u32, length: usize) {
        let from = self.scratch_used;
        if length <= SMALL && self.slab_used + length <= self.slab.len() {
            // One copy of at most 4 KiB, hot in the cache, against an allocation in JavaScript.
            let at = self.slab_used;
            let bytes = &self.scratch.bytes()[from..from + length];
            self.slab.bytes_mut()[at..at + length].copy_from_slice(bytes);
            // Views start on eight bytes, so that a program may lay typed arrays over them.
            self.slab_used = (at + length).next_multiple_of(8).min(self.slab.len());
            self.event(DATA_SLAB, slot, at as i32, length as i32);
        } else {
            self.scratch_used += length;
            self.event(DATA_SCRATCH, slot, from as i32, length as i32);
        }
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

    fn connected(&mut self, slot: u32, status: i32) {
        self.event(CONNECT, slot, status, 0);
    }

    fn accepted(&mut self, listener: u32, slot: u32) {
        self.event(ACCEPT, listener, slot as i32, 0);
    }

    fn accept_failed(&mut self, listener: u32, code: i32) {
        self.event(ACCEPT_ERROR, listener, code, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_reads_go_to_the_slab_and_large_ones_stay_in_the_scratch() {
        let mut events = vec![0i32; 4 * 16];
        let mut scratch = vec![0u8; 64 * 1024];
        let mut slab = vec![0u8; 8 * 1024];
        // SAFETY: the three vectors outlive the batch and are not touched while it lives.
        let memory = |data: *mut u8, length| unsafe { Memory::new(data, length) };
        let mut batch = Batch::new(
            memory(events.as_mut_ptr().cast(), events.len() * 4),
            memory(scratch.as_mut_ptr(), scratch.len()),
        );
        batch.begin(memory(slab.as_mut_ptr(), slab.len()));
        batch.buffer(100)[..3].copy_from_slice(b"abc");
        batch.read(1, 3);
        batch.buffer(5000)[..5000].fill(b'x');
        batch.read(2, 5000);
        assert_eq!(batch.slab_used, 8);
        assert_eq!(batch.buffer(usize::MAX).len(), 64 * 1024 - 5000);
        assert_eq!(batch.summary(), 2);
        assert_eq!(
            events[..8],
            [DATA_SLAB, 1, 0, 3, DATA_SCRATCH, 2, 0, 5000]
        );
        assert_eq!(&slab[..3], b"abc");
    }

    #[test]
    fn a_detached_slab_is_not_written() {
        let mut events = vec![0i32; 4 * 16];
        let mut scratch = vec![0u8; 1024];
        // SAFETY: as above.
        let memory = |data: *mut u8, length| unsafe { Memory::new(data, length) };
        let mut batch = Batch::new(
            memory(events.as_mut_ptr().cast(), events.len() * 4),
            memory(scratch.as_mut_ptr(), scratch.len()),
        );
        batch.begin(Memory::NONE);
        batch.buffer(100)[0] = 1;
        batch.read(1, 1);
        assert_eq!(events[0], DATA_SCRATCH);
    }
}
