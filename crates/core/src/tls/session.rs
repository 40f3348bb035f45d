//! One TLS session: an SSL between memory and memory. Ciphertext goes in as a slice that is borrowed for the call and
//! comes out into a buffer that the caller brings; no socket is known here.

use std::ffi::{CStr, CString, c_int, c_long, c_uint, c_void};
use std::io;
use std::mem;
use std::ptr::{self, NonNull};

use super::callbacks::{self, Indices, Shared};
use super::context::Context;
use super::ffi::{self, OpenSsl, Ssl};
use super::questions::Asks;
use super::words::{Tidy, clear_errors, failure, refused};

/// What a session is started with.
#[derive(Default)]
pub struct Start<'a> {
    pub server: bool,
    /// A server asks for the client's certificate, and with `require` breaks off if there is none.
    pub request_certificate: bool,
    pub require_certificate: bool,
    /// For a client: the name that it asks for.
    pub servername: Option<&'a CStr>,
    /// Each behind its length. A client offers them, a server takes the first of them that the client offers.
    pub protocols: &'a [u8],
    /// For a client: a session to resume, as [`Fact::Session`](super::Fact::Session) and [`News::Session`] have it.
    pub session: &'a [u8],
    /// Ciphertext that has been read from the socket already.
    pub unread: &'a [u8],
    /// For a server: whose certificate it shows, if not that of the session's own context.
    pub shown: Option<&'a Context>,
    /// Whether [`News::Keylog`] is wanted.
    pub keylog: bool,
    pub asks: Asks,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Handshaking,
    /// The handshake is done. The owner looks at the peer's certificate, and nothing is opened or sealed before it has
    /// said so.
    Verifying,
    Open,
    /// The peer has sent close_notify. We may go on writing.
    Ended,
    /// It has failed, which `Fact::Failure` explains.
    Failed,
}

/// What the handshake has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It needs more from the peer.
    Waits,
    /// It needs an answer to `Session::asked`.
    Asks,
    Done,
    Failed,
}

/// What there was to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// All of the ciphertext has been opened, except for the beginning of a record.
    All,
    /// The memory is full.
    Full,
    /// There was close_notify.
    End,
    Failed,
}

/// What comes without being asked for; the owner takes it when it is told that there is some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A session that may be resumed, as DER.
    Session(Vec<u8>),
    /// A line for a keylog file, without its newline.
    Keylog(Vec<u8>),
    /// The server's OCSP response, or nothing if it has none.
    Status(Vec<u8>),
    /// Another handshake begins on the open connection.
    Renegotiating,
    /// And has ended well.
    Renegotiated,
}

/// See the [module](self).
pub(crate) struct Session {
    ssl: NonNull<Ssl>,
    /// What OpenSSL's calls reach.
    shared: NonNull<Shared>,
    pub(super) openssl: &'static OpenSsl,
    pub(crate) phase: Phase,
    /// What was asked has been answered: the handshake goes on without anything from the peer.
    pub(crate) goes_on: bool,
    /// Ciphertext that has been read from the socket and not been opened, from `held_at` on.
    held: Vec<u8>,
    held_at: usize,
    /// OpenSSL has opened bytes that did not fit.
    plain_left: bool,
    pub(super) failure: Vec<u8>,
    pub(super) close_notify: bool,
    pub(super) server: bool,
}

/// A TLS record holds at most so many bytes.
pub(crate) const RECORD: usize = 16 * 1024;

// --- open -------------------------------------------------------------------------------------------------------------

impl Session {
    /// # Errors
    /// When OpenSSL refuses, or has no memory.
    pub(crate) fn new(context: &Context, start: &Start<'_>) -> io::Result<Self> {
        if !context.ours {
            return Err(refused());
        }
        let openssl = context.openssl;
        let _tidy = Tidy(openssl);
        let index = callbacks::indices(openssl)?;
        // SAFETY: the context is alive; the SSL takes a reference of its own.
        let ssl = unsafe { (openssl.SSL_new)(context.raw.as_ptr()) };
        let ssl = NonNull::new(ssl).ok_or_else(refused)?;
        let shared = Box::new(Shared {
            input: ptr::null(),
            left: 0,
            output: Vec::new(),
            server: start.server,
            protocols: Vec::new(),
            news: Vec::new(),
            keylog: false,
            talk: None,
        });
        // From here on dropping it frees both.
        let mut session = Self {
            ssl,
            shared: NonNull::from(Box::leak(shared)),
            openssl,
            phase: Phase::Handshaking,
            goes_on: false,
            held: start.unread.to_vec(),
            held_at: 0,
            plain_left: false,
            failure: Vec::new(),
            close_notify: false,
            server: start.server,
        };
        session.connect_memory(index)?;
        session.configure(context, start)?;
        Ok(session)
    }

    fn connect_memory(&self, index: &Indices) -> io::Result<()> {
        let openssl = self.openssl;
        // SAFETY: the method was made by `indices` and is never freed.
        let bio = unsafe { (openssl.BIO_new)(index.method.0.as_ptr()) };
        let bio = NonNull::new(bio).ok_or_else(refused)?.as_ptr();
        // SAFETY: the BIO is new. It keeps the pointer for `read` and `write`, which run inside calls of this session.
        unsafe { (openssl.BIO_set_data)(bio, self.shared.as_ptr().cast()) };
        // SAFETY: as above.
        unsafe { (openssl.BIO_set_init)(bio, 1) };
        // SAFETY: both directions are the same BIO, and the SSL takes the one reference that we have of it.
        unsafe { (openssl.SSL_set_bio)(self.raw(), bio, bio) };
        let shared = self.shared.as_ptr().cast();
        // SAFETY: the index is of SSL's; what is behind the pointer is freed after the SSL.
        match unsafe { (openssl.SSL_set_ex_data)(self.raw(), index.of_ssl, shared) } {
            1 => Ok(()),
            _ => Err(refused()),
        }
    }

    fn configure(&mut self, context: &Context, start: &Start<'_>) -> io::Result<()> {
        let openssl = self.openssl;
        let ssl = self.raw();
        self.control(
            ffi::SSL_CTRL_MODE,
            ffi::SSL_MODE_RELEASE_BUFFERS
                | ffi::SSL_MODE_AUTO_RETRY
                | ffi::SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER,
            ptr::null_mut(),
        );
        self.set_verify(start.request_certificate, start.require_certificate);
        if start.keylog {
            self.log_keys();
        }
        if !start.asks.is_nothing() {
            self.prepare_questions(context, start.asks);
        }
        if start.server {
            return self.configure_server(context, start);
        }
        // SAFETY: a new SSL.
        unsafe { (openssl.SSL_set_connect_state)(ssl) };
        if let Some(name) = start.servername {
            let name = name.as_ptr().cast_mut().cast();
            // A name that is too long is not sent, as in Node.
            self.control(ffi::SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, name);
        }
        if !start.protocols.is_empty() {
            let length = start.protocols.len() as c_uint;
            // SAFETY: OpenSSL copies the list. It returns 0 for success.
            if unsafe { (openssl.SSL_set_alpn_protos)(ssl, start.protocols.as_ptr(), length) } != 0
            {
                return Err(refused());
            }
        }
        if !start.session.is_empty() {
            self.resume(start.session)?;
        }
        Ok(())
    }

    fn configure_server(&mut self, context: &Context, start: &Start<'_>) -> io::Result<()> {
        let openssl = self.openssl;
        // SAFETY: a new SSL.
        unsafe { (openssl.SSL_set_accept_state)(self.raw()) };
        self.prepare_certificate();
        if let Some(shown) = start.shown {
            self.show(shown)?;
        }
        if !start.protocols.is_empty() || start.asks.protocol {
            self.shared_mut().protocols = start.protocols.to_vec();
            // SAFETY: the callback has the type that OpenSSL calls; the context is ours alone. For sessions without a
            // list of their own it does nothing.
            unsafe {
                (openssl.SSL_CTX_set_alpn_select_cb)(
                    context.raw.as_ptr(),
                    Some(callbacks::select_protocol),
                    ptr::null_mut(),
                );
            }
        }
        Ok(())
    }

    fn resume(&self, der: &[u8]) -> io::Result<()> {
        let openssl = self.openssl;
        let mut at = der.as_ptr();
        let length = der.len() as c_long;
        // SAFETY: reads at most `length` bytes from there, and makes a new session.
        let session = unsafe { (openssl.d2i_SSL_SESSION)(ptr::null_mut(), &mut at, length) };
        // What is no session is no session to resume, as in Node.
        let Some(session) = NonNull::new(session) else {
            return Ok(());
        };
        // SAFETY: the SSL takes a reference of its own.
        let set = unsafe { (openssl.SSL_set_session)(self.raw(), session.as_ptr()) };
        // SAFETY: the reference that `d2i_SSL_SESSION` gave.
        unsafe { (openssl.SSL_SESSION_free)(session.as_ptr()) };
        if set == 1 { Ok(()) } else { Err(refused()) }
    }

    /// From here on [`News::Keylog`] is wanted.
    pub(crate) fn log_keys(&mut self) {
        let openssl = self.openssl;
        self.shared_mut().keylog = true;
        // SAFETY: the SSL is alive, and has a context.
        let context = unsafe { (openssl.SSL_get_SSL_CTX)(self.raw()) };
        // SAFETY: the callback has the type that OpenSSL calls; the context is ours alone.
        unsafe { (openssl.SSL_CTX_set_keylog_callback)(context, Some(callbacks::keylog)) };
    }

    pub(super) fn raw(&self) -> *mut Ssl {
        self.ssl.as_ptr()
    }

    pub(super) fn shared(&self) -> &Shared {
        // SAFETY: it lives as long as we do. OpenSSL's callbacks change it in calls of ours alone, during which the
        // callers do not have the reference.
        unsafe { self.shared.as_ref() }
    }

    pub(super) fn shared_mut(&mut self) -> &mut Shared {
        // SAFETY: as above, and nobody else has a reference.
        unsafe { self.shared.as_mut() }
    }

    pub(super) fn control(&self, command: c_int, number: c_long, pointer: *mut c_void) -> c_long {
        // SAFETY: the SSL is alive; the callers give what the command takes.
        unsafe { (self.openssl.SSL_ctrl)(self.raw(), command, number, pointer) }
    }
}

// --- run --------------------------------------------------------------------------------------------------------------

impl Session {
    /// Runs `call` with ciphertext to read from, behind what is held already, and a buffer to write to. What it leaves
    /// of the former is held.
    fn with<T>(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        call: impl FnOnce(&Self, *mut Ssl) -> T,
    ) -> T {
        let mut held = mem::take(&mut self.held);
        let mut from = mem::take(&mut self.held_at);
        if from < held.len() && !input.is_empty() {
            held.extend_from_slice(input);
        }
        let whole = if from < held.len() {
            &held[from..]
        } else {
            input
        };
        let shared = self.shared_mut();
        shared.input = whole.as_ptr();
        shared.left = whole.len();
        mem::swap(&mut shared.output, output);
        // OpenSSL takes what is there already for the outcome of its call.
        clear_errors(self.openssl);
        let _tidy = Tidy(self.openssl);
        let result = call(self, self.raw());
        let shared = self.shared_mut();
        mem::swap(&mut shared.output, output);
        shared.input = ptr::null();
        let left = mem::take(&mut shared.left);
        if left > 0 {
            if from < held.len() {
                from = held.len() - left;
            } else {
                held.clear();
                held.extend_from_slice(&input[input.len() - left..]);
                from = 0;
            }
            self.held = held;
            self.held_at = from;
        }
        result
    }

    /// Whether there is something to open without reading from the socket.
    pub(crate) fn has_held(&self) -> bool {
        self.held_at < self.held.len() || self.plain_left
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.shared().news.is_empty()
    }

    /// Whether there are news that do not wait for the end of the handshake, or for bytes that came along.
    pub(crate) fn has_urgent_news(&self) -> bool {
        let news = &self.shared().news;
        news.iter().any(|news| !matches!(news, News::Session(_)))
    }

    pub(crate) fn take_news(&mut self) -> Option<News> {
        let news = &mut self.shared_mut().news;
        (!news.is_empty()).then(|| news.remove(0))
    }

    /// Keeps ciphertext for later.
    pub(crate) fn hold(&mut self, input: &[u8]) {
        self.held.extend_from_slice(input);
    }

    /// How much ciphertext is kept.
    pub(crate) fn held(&self) -> usize {
        self.held.len() - self.held_at
    }

    /// Goes on with the handshake. What is in `output` afterwards is to be sent, also when it has failed.
    pub(crate) fn handshake(&mut self, input: &[u8], output: &mut Vec<u8>) -> Progress {
        self.goes_on = false;
        let progress = self.with(input, output, |session, ssl| {
            // SAFETY: the SSL is alive, and its BIO reads and writes what `with` has put there.
            let result = unsafe { (session.openssl.SSL_do_handshake)(ssl) };
            if result == 1 {
                Ok(Progress::Done)
            } else {
                match session.error(result) {
                    ffi::SSL_ERROR_WANT_READ => Ok(Progress::Waits),
                    ffi::SSL_ERROR_WANT_CLIENT_HELLO_CB | ffi::SSL_ERROR_WANT_X509_LOOKUP
                        if session.asked().is_some() =>
                    {
                        Ok(Progress::Asks)
                    }
                    _ => Err(failure(session.openssl)),
                }
            }
        });
        match progress {
            Ok(Progress::Done) => self.handshake_is_done(),
            Ok(progress) => progress,
            Err(failure) => {
                self.fail(failure);
                Progress::Failed
            }
        }
    }

    fn handshake_is_done(&mut self) -> Progress {
        let openssl = self.openssl;
        // SAFETY: the SSL is alive.
        let version = unsafe { (openssl.SSL_version)(self.raw()) };
        let stores = self.ask_to_store();
        if version < ffi::TLS1_3_VERSION {
            if stores {
                return Progress::Asks;
            }
            // Only here can there be other handshakes.
            // SAFETY: the callback has the type that OpenSSL calls.
            unsafe { (openssl.SSL_set_info_callback)(self.raw(), Some(callbacks::info)) };
        }
        self.phase = Phase::Verifying;
        Progress::Done
    }

    /// Begins another handshake on the open connection, or asks the client to. The failure, if OpenSSL refuses.
    pub(crate) fn renegotiate(&mut self, output: &mut Vec<u8>) -> Result<(), Vec<u8>> {
        // What came before the peer's answer is for `open`: here OpenSSL would not allow it.
        let held = mem::take(&mut self.held);
        let held_at = mem::take(&mut self.held_at);
        let begun = self.with(&[], output, |session, ssl| {
            // SAFETY: the SSL is alive.
            if unsafe { (session.openssl.SSL_renegotiate)(ssl) } != 1 {
                return Err(failure(session.openssl));
            }
            // It goes on when the peer answers. If that fails, reading finds out.
            // SAFETY: as above, and its BIO reads and writes what `with` has put there.
            unsafe { (session.openssl.SSL_do_handshake)(ssl) };
            Ok(())
        });
        self.held = held;
        self.held_at = held_at;
        begun
    }

    /// A server asks for the client's certificate from here on, and with `require` breaks off if there is none.
    pub(crate) fn set_verify(&mut self, request: bool, require: bool) {
        let mut verify = 0;
        if self.server && request {
            verify = ffi::SSL_VERIFY_PEER;
            if require {
                verify |= ffi::SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
            }
        }
        let openssl = self.openssl;
        // A client verifies in any case; the mode would only make OpenSSL break off, and the owner decides about that.
        // SAFETY: the callback has the type that OpenSSL calls.
        unsafe { (openssl.SSL_set_verify)(self.raw(), verify, Some(callbacks::go_on)) };
    }

    fn error(&self, result: c_int) -> c_int {
        // SAFETY: right behind the call that returned `result`.
        unsafe { (self.openssl.SSL_get_error)(self.raw(), result) }
    }

    fn fail(&mut self, failure: Vec<u8>) {
        self.failure = failure;
        self.phase = Phase::Failed;
        self.held = Vec::new();
        self.held_at = 0;
        self.plain_left = false;
    }

    /// Opens records into `memory`, as many as there are and fit: how many bytes, and how that ended.
    pub(crate) fn open(
        &mut self,
        input: &[u8],
        memory: &mut [u8],
        output: &mut Vec<u8>,
    ) -> (usize, Opened) {
        let mut filled = 0;
        let opened = self.with(input, output, |session, ssl| {
            while filled < memory.len() {
                let rest = &mut memory[filled..];
                let mut length = 0;
                // SAFETY: the memory is borrowed for the call, and so is what the BIO reads and writes.
                let result = unsafe {
                    (session.openssl.SSL_read_ex)(
                        ssl,
                        rest.as_mut_ptr().cast(),
                        rest.len(),
                        &mut length,
                    )
                };
                if result != 1 {
                    return match session.error(result) {
                        ffi::SSL_ERROR_WANT_READ => Ok(Opened::All),
                        ffi::SSL_ERROR_ZERO_RETURN => Ok(Opened::End),
                        _ => Err(failure(session.openssl)),
                    };
                }
                filled += length;
                // A read that did not fill the memory has emptied its record. With nothing behind it, another would
                // find nothing.
                if filled < memory.len() && session.left() == 0 {
                    return Ok(Opened::All);
                }
            }
            Ok(Opened::Full)
        });
        self.plain_left = matches!(opened, Ok(Opened::Full));
        match opened {
            Ok(opened) => {
                if opened == Opened::End {
                    self.close_notify = true;
                    self.phase = Phase::Ended;
                    self.held = Vec::new();
                    self.held_at = 0;
                }
                (filled, opened)
            }
            Err(failure) => {
                self.fail(failure);
                (filled, Opened::Failed)
            }
        }
    }

    /// What the BIO has not read yet.
    fn left(&self) -> usize {
        self.shared().left
    }

    /// Seals bytes into records. Returns how many: all of them, or 0 while OpenSSL wants to read first.
    ///
    /// # Errors
    /// When the session cannot be written any more.
    pub(crate) fn seal(&mut self, plain: &[u8], output: &mut Vec<u8>) -> io::Result<usize> {
        let mut length = 0;
        let sealed = self.with(&[], output, |session, ssl| {
            // SAFETY: the bytes are borrowed for the call; OpenSSL copies what it keeps.
            let result = unsafe {
                (session.openssl.SSL_write_ex)(ssl, plain.as_ptr().cast(), plain.len(), &mut length)
            };
            if result == 1 {
                return Ok(());
            }
            match session.error(result) {
                ffi::SSL_ERROR_WANT_READ => Ok(()),
                _ => Err(failure(session.openssl)),
            }
        });
        match sealed {
            Ok(()) => Ok(length),
            Err(failure) => {
                self.fail(failure);
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    /// Puts close_notify into `output`.
    pub(crate) fn close(&mut self, output: &mut Vec<u8>) {
        if !matches!(self.phase, Phase::Open | Phase::Ended | Phase::Verifying) {
            return;
        }
        self.with(&[], output, |session, ssl| {
            // SAFETY: the handshake is done. The result says whether the peer has sent its own, which `open` finds out.
            unsafe { (session.openssl.SSL_shutdown)(ssl) };
        });
    }

    /// At most so many bytes go into one record from now on; false if OpenSSL does not like the number.
    pub(crate) fn set_max_send_fragment(&mut self, size: usize) -> bool {
        let _tidy = Tidy(self.openssl);
        self.control(
            ffi::SSL_CTRL_SET_MAX_SEND_FRAGMENT,
            size as c_long,
            ptr::null_mut(),
        ) == 1
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: ours; the BIO goes along with it.
        unsafe { (self.openssl.SSL_free)(self.ssl.as_ptr()) };
        // SAFETY: made from a box in `new`, and nothing refers to it any more.
        drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
    }
}

/// A name for [`Start::servername`].
pub fn name(from: &str) -> Option<CString> {
    CString::new(from).ok()
}
