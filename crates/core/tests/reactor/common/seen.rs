//! A sink that remembers what it was told, socket by socket, and complains about events for closed ones.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::IoSliceMut;

use ferronet_core::{Chunk, STEP_EVENTS, Sink, TlsEvent};

/// The size of a piece, as in the addon.
const PIECE: usize = 64 * 1024;

/// What one socket has been told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) bytes: Vec<u8>,
    /// The length of each read.
    pub(crate) reads: Vec<usize>,
    /// How many of the bytes were read into pieces.
    pub(crate) in_pieces: usize,
    pub(crate) ended: bool,
    pub(crate) error: Option<i32>,
    pub(crate) readable: usize,
    pub(crate) writable: usize,
    pub(crate) relay_failed: Option<i32>,
    pub(crate) connected: Option<i32>,
    pub(crate) accepted: VecDeque<u32>,
    pub(crate) accept_failed: Vec<i32>,
    pub(crate) tls: Vec<TlsEvent>,
}

/// The sink. Its memory is as large as the addon's unless a test makes it smaller.
pub(crate) struct Seen {
    told: HashMap<u32, Told>,
    /// Events for sockets that are not open, and sockets opened under a number in use.
    pub(crate) strays: Vec<(u32, &'static str)>,
    /// Events that fit in a batch.
    pub(crate) most_events: usize,
    /// How many bytes each read asked for.
    pub(crate) wanted: Vec<usize>,
    /// Panic when this socket is read, or this listener accepts.
    pub(crate) panic_at: Option<u32>,
    /// Panic the first time that this socket is connected, or writable again.
    pub(crate) panic_once_at: Option<u32>,
    memory: Vec<u8>,
    pieces: Vec<Vec<u8>>,
    used: usize,
    events: usize,
}

impl Seen {
    pub(super) fn new() -> Self {
        Self {
            told: HashMap::new(),
            strays: Vec::new(),
            most_events: 1024,
            wanted: Vec::new(),
            panic_at: None,
            panic_once_at: None,
            memory: vec![0; 1024 * 1024],
            pieces: Vec::new(),
            used: 0,
            events: 0,
        }
    }

    pub(crate) fn limit_memory(&mut self, bytes: usize) {
        self.memory.resize(bytes, 0);
    }

    /// From now on large reads find pieces.
    pub(crate) fn lend_pieces(&mut self, count: usize) {
        self.pieces = vec![vec![0; PIECE]; count];
    }

    pub(super) fn begin(&mut self) {
        self.used = 0;
        self.events = 0;
    }

    /// A verb has given this number out.
    pub(crate) fn open(&mut self, slot: u32) {
        if self.told.insert(slot, Told::default()).is_some() {
            self.strays.push((slot, "opened while in use"));
        }
    }

    pub(crate) fn forget(&mut self, slot: u32) {
        self.told.remove(&slot);
    }

    pub(crate) fn of(&mut self, slot: u32) -> &mut Told {
        self.told.get_mut(&slot).expect("an open socket")
    }

    fn maybe_panic(&self, slot: u32) {
        assert_ne!(self.panic_at, Some(slot), "the panic this test asked for");
    }

    fn maybe_panic_once(&mut self, slot: u32) {
        let ordered = self.panic_once_at.take_if(|at| *at == slot);
        assert_eq!(ordered, None, "the panic this test asked for");
    }

    fn tell(&mut self, slot: u32, event: &'static str, tell: impl FnOnce(&mut Told)) {
        self.events += 1;
        assert!(self.events <= self.most_events, "a batch beyond its room");
        match self.told.get_mut(&slot) {
            Some(told) => tell(told),
            None => self.strays.push((slot, event)),
        }
    }
}

impl Sink for Seen {
    fn has_room(&self) -> bool {
        self.events + STEP_EVENTS <= self.most_events
    }

    fn buffer(&mut self, wanted: usize, _chunk: Chunk) -> &mut [u8] {
        self.wanted.push(wanted);
        let end = (self.used + wanted).min(self.memory.len());
        &mut self.memory[self.used..end]
    }

    fn read(&mut self, slot: u32, length: usize) {
        self.maybe_panic(slot);
        let bytes = self.memory[self.used..self.used + length].to_vec();
        self.used += length;
        self.tell(slot, "read", |told| {
            told.bytes.extend(bytes);
            told.reads.push(length);
        });
    }

    fn pieces(&mut self, wanted: usize) -> Vec<IoSliceMut<'_>> {
        let count = (wanted / PIECE).min(self.pieces.len());
        self.pieces[..count]
            .iter_mut()
            .map(|piece| IoSliceMut::new(piece))
            .collect()
    }

    fn read_pieces(&mut self, slot: u32, length: usize) {
        let mut bytes = self.pieces.concat();
        bytes.truncate(length);
        self.tell(slot, "read", |told| {
            told.bytes.extend(bytes);
            told.reads.push(length);
            told.in_pieces += length;
        });
    }

    fn read_end(&mut self, slot: u32) {
        self.tell(slot, "read_end", |told| told.ended = true);
    }

    fn read_error(&mut self, slot: u32, code: i32) {
        self.tell(slot, "read_error", |told| told.error = Some(code));
    }

    fn readable(&mut self, slot: u32) {
        self.tell(slot, "readable", |told| told.readable += 1);
    }

    fn writable(&mut self, slot: u32) {
        self.maybe_panic_once(slot);
        self.tell(slot, "writable", |told| told.writable += 1);
    }

    fn relay_failed(&mut self, slot: u32, code: i32) {
        self.tell(slot, "relay_failed", |told| told.relay_failed = Some(code));
    }

    fn connected(&mut self, slot: u32, status: i32) {
        self.maybe_panic_once(slot);
        self.tell(slot, "connected", |told| told.connected = Some(status));
    }

    fn accepted(&mut self, listener: u32, slot: u32) {
        self.maybe_panic(listener);
        self.tell(listener, "accepted", |told| told.accepted.push_back(slot));
        self.open(slot);
    }

    fn accept_failed(&mut self, listener: u32, code: i32) {
        self.tell(listener, "accept_failed", |told| {
            told.accept_failed.push(code)
        });
    }

    fn tls(&mut self, slot: u32, event: TlsEvent) {
        self.tell(slot, "tls", |told| told.tls.push(event));
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut slots: Vec<_> = self.told.iter().collect();
        slots.sort_unstable_by_key(|(slot, _)| **slot);
        f.debug_map()
            .entries(slots.into_iter().map(|(slot, told)| {
                let facts = format!(
                    "{} bytes, ended {}, error {:?}, connected {:?}, readable {}, writable {}, accepted {}, failed {:?}",
                    told.bytes.len(),
                    told.ended,
                    told.error,
                    told.connected,
                    told.readable,
                    told.writable,
                    told.accepted.len(),
                    told.accept_failed
                );
                (slot, facts)
            }))
            .finish()
    }
}
