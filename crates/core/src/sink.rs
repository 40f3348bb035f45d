//! The way up: how the reactor reports what happened. The binding's sink writes a batch for JavaScript, the tests'
//! sink keeps a list.

use std::io::IoSliceMut;

use crate::tls::Question;

/// As many events as one step of a socket reports at most: with TLS bytes, news, a question, room for a write that waited
/// for the session, and room for the next write. Without TLS two.
pub const STEP_EVENTS: usize = 5;

/// Receives the events of a pump. Offsets, lengths and errors are plain numbers, because the next stop is JavaScript.
pub trait Sink {
    /// Whether [`STEP_EVENTS`] more events fit.
    fn has_room(&self) -> bool;
    /// Lends memory for the next read: at most `wanted` bytes, and less or nothing when the batch is nearly full.
    fn buffer(&mut self, wanted: usize, chunk: Chunk) -> &mut [u8];
    /// `length` bytes for `slot` are at the front of the buffer that was lent last.
    fn read(&mut self, slot: u32, length: usize);
    /// Lends memory for a large read that will not be copied any more: at most `wanted` bytes, in pieces one behind the
    /// other. Nothing if the sink has none; then the bytes go where [`Sink::buffer`] says.
    fn pieces(&mut self, wanted: usize) -> Vec<IoSliceMut<'_>>;
    /// `length` bytes for `slot` are at the front of the pieces that were lent last.
    fn read_pieces(&mut self, slot: u32, length: usize);
    /// The peer has sent its FIN; there is nothing more to read.
    fn read_end(&mut self, slot: u32);
    /// Reading failed; there is nothing more to read.
    fn read_error(&mut self, slot: u32, code: i32);
    /// Bytes are waiting for [`Reactor::read_into`](crate::Reactor::read_into).
    fn readable(&mut self, slot: u32);
    /// A write that was short can be continued.
    fn writable(&mut self, slot: u32);
    /// The relay that ends at `slot` could not send what it has read, which is lost.
    fn relay_failed(&mut self, slot: u32, code: i32);
    /// A connect has ended: `status` is 0 or an error number.
    fn connected(&mut self, slot: u32, status: i32);
    /// `listener` has a new connection, in `slot`.
    fn accepted(&mut self, listener: u32, slot: u32);
    /// `listener` could not accept a connection. It will try again.
    fn accept_failed(&mut self, listener: u32, code: i32);
    /// Something happened in a socket's TLS session.
    fn tls(&mut self, slot: u32, event: TlsEvent);
}

/// What a TLS session reports beside bytes and their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsEvent {
    /// The handshake is done. No bytes come before [`Reactor::tls_open`](crate::Reactor::tls_open).
    Secure {
        /// OpenSSL's verdict on the peer's certificate, 0 if all is well.
        verdict: i32,
        reused: bool,
    },
    /// It has failed, and nothing more will be read.
    Failed,
    /// [`Reactor::tls_news`](crate::Reactor::tls_news) has something.
    News,
    /// The session waits for [`Reactor::tls_answer`](crate::Reactor::tls_answer).
    Asks(Question),
}

/// How a socket reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// Into the sink's buffer, reported with [`Sink::read`].
    Chunks,
    /// The same, for a reader whose chunks may share memory with those of other sockets.
    SharedChunks,
    /// Reported with [`Sink::readable`], then fetched with [`Reactor::read_into`](crate::Reactor::read_into).
    Into,
}

/// What will become of the bytes of a read. The sink may lend different memory for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// A chunk with memory of its own.
    Own,
    /// A view of memory that other chunks share.
    Shared,
}
