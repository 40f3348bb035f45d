//! TLS sessions on connections: the verbs that begin one and ask it.

use std::io;

use super::Reactor;
use crate::connection::Site;
use crate::errno;
use crate::place::Place;
use crate::ready::Direction;
use crate::tls;

impl Reactor {
    /// Begins a TLS session on a connection. From here on what is written waits for it, and nothing is read but by it.
    /// [`Sink::tls`] reports what comes of it, [`Sink::read_end`] or [`Sink::read_error`] if the connection ends first.
    ///
    /// # Errors
    /// When OpenSSL refuses what it is started with. Nothing has been sent then.
    pub fn tls_start(
        &mut self,
        slot: u32,
        context: &tls::Context,
        start: &tls::Start<'_>,
    ) -> io::Result<()> {
        let (connection, site) = self.connection_at(slot)?;
        connection.start_session(context, start, site)?;
        // The pump goes on with what there is already.
        self.ask_readable(slot);
        Ok(())
    }

    /// The peer's certificate is all right: from here on bytes go up and down.
    ///
    /// # Errors
    /// `EINVAL` unless a handshake has been reported as done.
    pub fn tls_open(&mut self, slot: u32) -> io::Result<()> {
        self.connection(slot)?.open_session()?;
        // What came along with the end of the handshake follows in the same iteration, as in Node. And the rest of our own
        // leaves in it, because in the next one the owner may hang up.
        if let Some(place) = self.slots.get(slot)
            && let Some(readable) = place.signal(Direction::Read)
        {
            self.queue.ask_urgently(readable);
        }
        Ok(())
    }

    /// The owner does not come to say whether the peer's certificate is all right. The peer gets the rest of the handshake;
    /// no bytes go up or down, but the end of the connection is told.
    ///
    /// # Errors
    /// `EINVAL` unless a handshake has been reported as done.
    pub fn tls_part(&mut self, slot: u32) -> io::Result<()> {
        let (connection, site) = self.connection_at(slot)?;
        connection.part_session(site)?;
        self.ask_readable(slot);
        Ok(())
    }

    /// The answer to what [`TlsEvent::Asks`](crate::TlsEvent::Asks) has told of. The pump goes on with the handshake.
    ///
    /// # Errors
    /// `EINVAL` unless that has been asked, or when OpenSSL refuses the certificate.
    pub fn tls_answer(&mut self, slot: u32, answer: &tls::Answer<'_>) -> io::Result<()> {
        self.connection(slot)?.answer_session(answer)?;
        self.ask_readable(slot);
        self.ask_writable(slot);
        Ok(())
    }

    /// Begins another handshake on the open connection, which only TLS 1.2 and its predecessors know; a server asks its
    /// client to. `verify`: from here on, whether a server asks for the client's certificate, and insists on it. What
    /// OpenSSL says if it refuses is as [`Fact::Failure`](tls::Fact::Failure).
    ///
    /// # Errors
    /// `EINVAL` when the connection has no open session.
    pub fn tls_renegotiate(
        &mut self,
        slot: u32,
        verify: Option<(bool, bool)>,
    ) -> io::Result<Result<(), Vec<u8>>> {
        let (connection, site) = self.connection_at(slot)?;
        connection.renegotiate(verify, site)
    }

    /// From here on a server shows the certificate of another context than its own.
    ///
    /// # Errors
    /// `EINVAL` when the connection has no session, or the context no certificate or no key.
    pub fn tls_show(&mut self, slot: u32, context: &tls::Context) -> io::Result<()> {
        self.session(slot)?.show(context)
    }

    /// From here on lines for a keylog are among the news.
    ///
    /// # Errors
    /// `EINVAL` when the connection has no session.
    pub fn tls_keylog(&mut self, slot: u32) -> io::Result<()> {
        self.session(slot)?.log_keys();
        Ok(())
    }

    /// After a write that was short, and after an answer.
    pub(super) fn ask_writable(&mut self, slot: u32) {
        let key = self.slots.key(slot);
        let Some(Place::Connection(connection)) = self.slots.get_mut(slot) else {
            return;
        };
        let site = Site {
            key,
            list: &self.ready,
            driver: &self.driver,
        };
        if let Some(writable) = connection.write_due(site) {
            self.queue.ask(writable);
        }
    }

    pub(super) fn ask_readable(&mut self, slot: u32) {
        if let Some(place) = self.slots.get(slot)
            && let Some(readable) = place.signal(Direction::Read)
        {
            self.queue.ask(readable);
        }
    }

    /// The TLS session of a connection.
    ///
    /// # Errors
    /// `EINVAL` when it has none.
    fn session(&mut self, slot: u32) -> io::Result<&mut tls::Session> {
        match &mut self.connection(slot)?.tls {
            Some(sealed) => Ok(&mut sealed.session),
            None => Err(errno::error(errno::EINVAL)),
        }
    }

    /// What a TLS session can tell.
    ///
    /// # Errors
    /// `EINVAL` when the connection has none.
    pub fn tls_fact(&mut self, slot: u32, fact: tls::Fact) -> io::Result<Vec<u8>> {
        Ok(self.session(slot)?.fact(fact))
    }

    /// The next of what [`TlsEvent::News`](crate::TlsEvent::News) has announced.
    ///
    /// # Errors
    /// `EINVAL` when the connection has no session.
    pub fn tls_news(&mut self, slot: u32) -> io::Result<Option<tls::News>> {
        Ok(self.session(slot)?.take_news())
    }

    /// How many bytes of ciphertext wait for the kernel to take them.
    ///
    /// # Errors
    /// `EINVAL` when the connection has no session.
    pub fn tls_unsent(&mut self, slot: u32) -> io::Result<usize> {
        match &self.connection(slot)?.tls {
            Some(sealed) => Ok(sealed.unsent()),
            None => Err(errno::error(errno::EINVAL)),
        }
    }

    /// Keying material for a protocol above TLS; `None` if OpenSSL refuses.
    ///
    /// # Errors
    /// `EINVAL` when the connection has no session.
    pub fn tls_export(
        &mut self,
        slot: u32,
        length: usize,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> io::Result<Option<Vec<u8>>> {
        Ok(self.session(slot)?.export(length, label, context))
    }

    /// The most that goes into one record from now on.
    ///
    /// # Errors
    /// `EINVAL` when OpenSSL refuses the size.
    pub fn tls_max_send_fragment(&mut self, slot: u32, size: usize) -> io::Result<()> {
        if self.session(slot)?.set_max_send_fragment(size) {
            return Ok(());
        }
        Err(errno::error(errno::EINVAL))
    }
}
