//! TLS 1.3 by rustls, for the load generator and for the floor: AES-256-GCM, and a certificate with a P-256 key.
//!
//! rustls's interface without buffers of its own, so that ciphertext goes from the kernel to the cipher and back with
//! nothing between. Records are the only thing that is allocated for, by rustls.

use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::client::{
    ClientConnectionData, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue, UnbufferedClientConnection,
};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ServerConnectionData;
pub use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus, WriteTraffic};
use rustls::version::TLS13;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, RootCertStore, ServerConfig};

use crate::wire::{Inbox, Left, Outbox, Received};

/// What clients have in common.
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    tickets: Option<Arc<Tickets>>,
}

impl Client {
    /// Trusts `cert.pem` in that directory. With `resume` it collects sessions until `resume()` is called, from when on
    /// each connection goes on with one of them; otherwise none does.
    pub fn new(directory: &Path, resume: bool) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(directory)?).map_err(broken)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(broken)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tickets = resume.then(Arc::<Tickets>::default);
        config.resumption = match &tickets {
            Some(tickets) => Resumption::store(tickets.clone()),
            None => Resumption::disabled(),
        };
        Ok(Self {
            config: Arc::new(config),
            name: ServerName::try_from("localhost").map_err(broken)?,
            tickets,
        })
    }

    /// Whether it collects sessions for later.
    pub fn collects(&self) -> bool {
        self.tickets.is_some()
    }

    /// From now on each connection goes on with a session that was collected.
    pub fn resume(&self) {
        if let Some(tickets) = &self.tickets {
            tickets.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the next connection would find no session to go on with, although it should.
    pub(crate) fn has_used_up(&self) -> bool {
        self.tickets
            .as_ref()
            .is_some_and(|tickets| tickets.used_up())
    }

    pub(crate) fn begin(
        &self,
        stream: TcpStream,
    ) -> io::Result<Session<UnbufferedClientConnection>> {
        let side = UnbufferedClientConnection::new(self.config.clone(), self.name.clone())
            .map_err(broken)?;
        Session::new(stream, side)
    }
}

/// What the connections of a server have in common.
pub struct Server {
    config: Arc<ServerConfig>,
}

impl Server {
    /// With `key.pem` and `cert.pem` in that directory.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).map_err(broken)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(broken)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate(directory)?], key)
            .map_err(broken)?;
        config.ticketer = ring::Ticketer::new().map_err(broken)?;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    pub fn begin(&self, stream: TcpStream) -> io::Result<Session<UnbufferedServerConnection>> {
        let side = UnbufferedServerConnection::new(self.config.clone()).map_err(broken)?;
        Session::new(stream, side)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384],
        ..ring::default_provider()
    })
}

fn certificate(directory: &Path) -> io::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(directory.join("cert.pem")).map_err(broken)
}

fn broken(error: impl Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.to_string())
}

/// Sessions to go on with. rustls uses each once, and Node's servers send none with a resumed handshake. So they are
/// collected first, two with each full handshake, and used later.
#[derive(Debug, Default)]
struct Tickets {
    collected: Mutex<Vec<Tls13ClientSessionValue>>,
    used: AtomicBool,
}

impl Tickets {
    fn used_up(&self) -> bool {
        let collected = self.collected.lock();
        self.used.load(Ordering::Relaxed)
            && collected
                .expect("nothing panics while it has the lock")
                .is_empty()
    }
}

impl ClientSessionStore for Tickets {
    fn insert_tls13_ticket(&self, _server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let collected = self.collected.lock();
        collected
            .expect("nothing panics while it has the lock")
            .push(ticket);
    }

    fn take_tls13_ticket(&self, _server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if !self.used.load(Ordering::Relaxed) {
            return None;
        }
        let collected = self.collected.lock();
        collected
            .expect("nothing panics while it has the lock")
            .pop()
    }

    // There is one server, and its first choice is ours.
    fn set_kx_hint(&self, _server: ServerName<'static>, _group: NamedGroup) {}
    fn kx_hint(&self, _server: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    // TLS 1.2 is not spoken.
    fn set_tls12_session(&self, _server: ServerName<'static>, _value: Tls12ClientSessionValue) {}
    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }
    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}
}

/// rustls's two kinds of connections, which have no trait in common.
pub trait Side {
    type Data;

    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    fn kind(&self) -> Option<HandshakeKind>;
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn kind(&self) -> Option<HandshakeKind> {
        self.handshake_kind()
    }
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn step<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn kind(&self) -> Option<HandshakeKind> {
        self.handshake_kind()
    }
}

/// One connection in TLS, from its handshake on.
pub struct Session<S> {
    stream: TcpStream,
    side: S,
    /// The beginning of a record that has not come as a whole.
    rest: Vec<u8>,
    /// Ciphertext that the kernel has not taken.
    unsent: Vec<u8>,
}

/// The most that is sealed at a time.
const PIECE: usize = 64 * 1024;
/// Room for it as ciphertext: 22 bytes more for each record of 16 KiB.
pub(crate) const SEALED: usize = PIECE + 1024;

impl<S: Side> Session<S> {
    fn new(stream: TcpStream, side: S) -> io::Result<Self> {
        let mut session = Self {
            stream,
            side,
            rest: Vec::new(),
            unsent: Vec::new(),
        };
        // A client's hello, which waits until the connection is there.
        session.run(|_| Ok(()))?;
        session.flush()?;
        Ok(session)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether it goes on with an earlier session; known after the handshake.
    pub(crate) fn resumed(&self) -> bool {
        self.side.kind() == Some(HandshakeKind::Resumed)
    }

    /// One receive, and what its records hold. Answers what the handshake wants answered.
    pub(crate) fn receive<'a>(&mut self, inbox: &'a mut Inbox) -> io::Result<Received<'a>> {
        let Inbox { received, opened } = inbox;
        let kept = self.rest.len();
        let room = received.len() - kept;
        let count = match self.stream.read(&mut received[kept..]) {
            Ok(0) => return Ok(Received::END),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::NOTHING),
            Err(error) => return Err(error),
        };
        received[..kept].copy_from_slice(&self.rest);
        let incoming = &mut received[..kept + count];
        opened.clear();
        let (used, _) = run(&mut self.side, incoming, opened, &mut self.unsent, |_| {
            Ok(())
        })?;
        self.rest.clear();
        self.rest.extend_from_slice(&incoming[used..]);
        self.flush()?;
        Ok(Received {
            bytes: opened,
            left: Left::behind(count, room),
        })
    }

    /// Seals and sends as much of it as one piece has room for. `WouldBlock` during the handshake, and as long as the
    /// kernel has not taken the last piece.
    pub(crate) fn send(&mut self, bytes: &[u8], outbox: &mut Outbox) -> io::Result<usize> {
        if !self.flush()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let piece = &bytes[..bytes.len().min(PIECE)];
        let sealed =
            self.run(|traffic| traffic.encrypt(piece, &mut outbox.sealed).map_err(broken))?;
        let Some(sealed) = sealed else {
            self.flush()?;
            return Err(ErrorKind::WouldBlock.into());
        };
        let sealed = &outbox.sealed[..sealed];
        let taken = match self.stream.write(sealed) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&sealed[taken..]);
        Ok(piece.len())
    }

    /// `true` when the kernel has everything.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// close_notify, then FIN.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let mut notice = [0; 64];
        let sealed = self.run(|traffic| traffic.queue_close_notify(&mut notice).map_err(broken))?;
        self.unsent
            .extend_from_slice(&notice[..sealed.unwrap_or(0)]);
        if !self.flush()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.stream.shutdown(Shutdown::Write)
    }

    /// The handshake, on a blocking socket.
    pub(crate) fn shake_hands(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        while self.run(|_| Ok(()))?.is_none() {
            self.flush()?;
            if self.receive(inbox)?.left == Left::End {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server ended a handshake",
                ));
            }
        }
        Ok(())
    }

    /// `write` as soon as the handshake is done; `None` before that.
    fn run<R>(
        &mut self,
        write: impl FnOnce(&mut WriteTraffic<'_, S::Data>) -> io::Result<R>,
    ) -> io::Result<Option<R>> {
        // Whole records have been taken out of `rest` when they came.
        let mut opened = Vec::new();
        let (used, written) = run(
            &mut self.side,
            &mut self.rest,
            &mut opened,
            &mut self.unsent,
            write,
        )?;
        self.rest.drain(..used);
        Ok(written)
    }
}

/// Lets rustls work through `incoming` until it wants more, or would write. Returns how much of it is used up.
fn run<S: Side, R>(
    side: &mut S,
    incoming: &mut [u8],
    opened: &mut Vec<u8>,
    unsent: &mut Vec<u8>,
    write: impl FnOnce(&mut WriteTraffic<'_, S::Data>) -> io::Result<R>,
) -> io::Result<(usize, Option<R>)> {
    let mut used = 0;
    loop {
        let UnbufferedStatus { mut discard, state } = side.step(&mut incoming[used..]);
        match state.map_err(broken)? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(broken)?;
                    discard += record.discard;
                    opened.extend_from_slice(record.payload);
                }
            }
            ConnectionState::EncodeTlsData(mut data) => {
                let filled = unsent.len();
                // A message of a handshake has less than 2 KiB here.
                unsent.resize(filled + 16 * 1024, 0);
                let count = data.encode(&mut unsent[filled..]).map_err(broken)?;
                unsent.truncate(filled + count);
            }
            ConnectionState::TransmitTlsData(transmit) => transmit.done(),
            ConnectionState::WriteTraffic(mut traffic) => {
                return Ok((used + discard, Some(write(&mut traffic)?)));
            }
            ConnectionState::BlockedHandshake | ConnectionState::Closed => {
                return Ok((used + discard, None));
            }
            ConnectionState::PeerClosed => {}
            other => return Err(broken(format!("not expected: {other:?}"))),
        }
        used += discard;
    }
}
