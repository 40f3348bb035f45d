//! A connection's bytes: as they are, or in TLS. Neither blocks, except where it is said.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustls::client::UnbufferedClientConnection;

use crate::endpoint::Endpoint;
use crate::sys;
use crate::tls::{Client, SEALED, Session, Side};

pub enum Wire<S> {
    Plain(TcpStream),
    Tls(Box<Session<S>>),
}

/// An end of the load generator's.
pub type ClientWire = Wire<UnbufferedClientConnection>;

/// What all connections receive into, one after the other.
pub struct Inbox {
    /// As it comes from the kernel.
    pub(crate) received: Vec<u8>,
    /// What was in it, if it came in TLS.
    pub(crate) opened: Vec<u8>,
}

impl Inbox {
    /// `room`: the most bytes of one receive.
    pub fn new(room: usize) -> Self {
        Self {
            received: vec![0; room],
            opened: Vec::new(),
        }
    }
}

/// Where all connections seal what they send in TLS.
pub struct Outbox {
    pub(crate) sealed: Vec<u8>,
}

impl Outbox {
    #[expect(clippy::new_without_default, reason = "it is not a value")]
    pub fn new() -> Self {
        Self {
            sealed: vec![0; SEALED],
        }
    }
}

/// What one receive has brought.
pub struct Received<'a> {
    pub bytes: &'a [u8],
    pub left: Left,
}

/// What the kernel has behind it.
#[derive(Clone, Copy, PartialEq)]
pub enum Left {
    /// Maybe more bytes.
    More,
    /// No more bytes; later ones bring a new edge, but an end of the stream that is there already does not.
    Emptied,
    /// Nothing, nor was there anything.
    Nothing,
    /// The end of the stream.
    End,
}

impl Received<'_> {
    pub(crate) const NOTHING: Self = Self {
        bytes: &[],
        left: Left::Nothing,
    };
    pub(crate) const END: Self = Self {
        bytes: &[],
        left: Left::End,
    };
}

impl Left {
    pub(crate) fn behind(count: usize, room: usize) -> Self {
        if count == room {
            Self::More
        } else {
            Self::Emptied
        }
    }
}

impl ClientWire {
    /// Connects, and blocks until the server can be talked to.
    pub fn open(endpoint: &Endpoint, tls: Option<&Client>, inbox: &mut Inbox) -> io::Result<Self> {
        let stream = sys::connect_blocking(endpoint)?;
        let Some(client) = tls else {
            return Ok(Self::Plain(stream));
        };
        stream.set_nonblocking(false)?;
        let mut session = client.begin(stream)?;
        session.shake_hands(inbox)?;
        session.stream().set_nonblocking(true)?;
        Ok(Self::Tls(Box::new(session)))
    }

    /// The same without blocking: `send` works once the server can be talked to.
    pub fn begin(
        endpoint: &Endpoint,
        source: Option<u8>,
        tls: Option<&Client>,
    ) -> io::Result<Self> {
        let stream = sys::connect(endpoint, source)?;
        Ok(match tls {
            None => Self::Plain(stream),
            Some(client) => {
                // Otherwise the request would wait for the acknowledgement of the handshake's last message.
                let _ = stream.set_nodelay(true);
                Self::Tls(Box::new(client.begin(stream)?))
            }
        })
    }

    /// Ends our side, and blocks until the server has ended its own, which must send nothing more.
    pub fn drain(&mut self, limit: Instant, inbox: &mut Inbox) -> io::Result<()> {
        self.stream().set_nonblocking(false)?;
        self.end()?;
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            self.stream()
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let received = self.receive(inbox)?;
            if !received.bytes.is_empty() {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "the sink sent something",
                ));
            }
            if received.left == Left::End {
                return Ok(());
            }
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
}

impl<S: Side> Wire<S> {
    pub fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => session.stream(),
        }
    }

    pub fn receive<'a>(&mut self, inbox: &'a mut Inbox) -> io::Result<Received<'a>> {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => return session.receive(inbox),
        };
        let room = inbox.received.len();
        match stream.read(&mut inbox.received) {
            Ok(0) => Ok(Received::END),
            Ok(count) => Ok(Received {
                bytes: &inbox.received[..count],
                left: Left::behind(count, room),
            }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Received::NOTHING),
            Err(error) => Err(error),
        }
    }

    /// Takes as much as there is room for; `WouldBlock` if there is none.
    pub fn send(&mut self, bytes: &[u8], outbox: &mut Outbox) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(session) => session.send(bytes, outbox),
        }
    }

    /// Passes on what was taken and the kernel had no room for; `true` if nothing is left of it.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(session) => session.flush(),
        }
    }

    /// Ends our side.
    pub fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown(Shutdown::Write),
            Self::Tls(session) => session.end(),
        }
    }

    /// Whether it goes on with an earlier session.
    pub fn resumed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(session) => session.resumed(),
        }
    }
}
