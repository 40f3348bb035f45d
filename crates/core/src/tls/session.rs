//! One TLS session: an SSL between memory and memory. Ciphertext goes in as a slice that is borrowed for the call and
//! comes out into a buffer that the caller brings; no socket is known here.
//!
//! OpenSSL calls nothing of ours but the functions at the end of this file, which copy bytes or take a note, and never
//! run JavaScript.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uchar, c_uint, c_void};
use std::io;
use std::mem;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::OnceLock;

use super::context::Context;
use super::ffi::{self, Bio, OpenSsl, Ssl, SslSession, X509};

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
    /// For a client: a session to resume, as [`Fact::Session`] and [`News::Session`] have it.
    pub session: &'a [u8],
    /// Ciphertext that has been read from the socket already.
    pub unread: &'a [u8],
    /// Whether [`News::Keylog`] is wanted.
    pub keylog: bool,
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
}

/// What can be asked of a session. Where there is none, the answer is no bytes; parts of an answer are separated by NUL
/// unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// OpenSSL's library, reason and whole text of the error that ended the session.
    Failure,
    /// Number and text of the verdict on the peer's certificate; 0 is that all is well.
    Verdict,
    /// As in `SSL_get_version`.
    Protocol,
    /// Name, standard name and version.
    Cipher,
    Servername,
    Alpn,
    /// The peer's certificates as DER, each behind its length in four bytes (little-endian): the leaf, then what the peer
    /// has sent with it, then the chain that was verified.
    PeerCertificates,
    /// Our own, as DER.
    Certificate,
    Session,
    Ticket,
    Finished,
    PeerFinished,
    /// "1" if a session was resumed.
    Reused,
    /// "1" if the peer has sent close_notify.
    CloseNotify,
    /// Kind, name and bits of the peer's ephemeral key.
    EphemeralKey,
    /// Each followed by NUL.
    SharedSigalgs,
}

/// What OpenSSL's calls reach: it stays where it is for as long as the SSL lives.
struct Shared {
    input: *const u8,
    left: usize,
    output: Vec<u8>,
    /// A server's protocols.
    protocols: Vec<u8>,
    news: Vec<News>,
    /// Which news are wanted.
    sessions: bool,
    keylog: bool,
}

/// See the [module](self).
pub(crate) struct Session {
    ssl: NonNull<Ssl>,
    shared: NonNull<Shared>,
    openssl: &'static OpenSsl,
    pub(crate) phase: Phase,
    /// Ciphertext that has been read from the socket and not been opened, from `held_at` on.
    held: Vec<u8>,
    held_at: usize,
    /// OpenSSL has opened bytes that did not fit.
    plain_left: bool,
    failure: Vec<u8>,
    close_notify: bool,
    server: bool,
}

/// A TLS record holds at most so many bytes.
pub(crate) const RECORD: usize = 16 * 1024;

// --- open -------------------------------------------------------------------------------------------------------------

impl Session {
    /// # Errors
    /// When OpenSSL refuses, or has no memory.
    pub(crate) fn new(context: &Context, start: &Start<'_>) -> io::Result<Self> {
        let openssl = context.openssl;
        clear_errors(openssl);
        let index = indices(openssl)?;
        // SAFETY: the context is alive; the SSL takes a reference of its own.
        let ssl = unsafe { (openssl.SSL_new)(context.raw.as_ptr()) };
        let ssl = NonNull::new(ssl).ok_or_else(refused)?;
        let shared = Box::new(Shared {
            input: ptr::null(),
            left: 0,
            output: Vec::new(),
            protocols: Vec::new(),
            news: Vec::new(),
            // A server keeps none: it gives tickets.
            sessions: !start.server,
            keylog: start.keylog,
        });
        // From here on dropping it frees both.
        let session = Self {
            ssl,
            shared: NonNull::from(Box::leak(shared)),
            openssl,
            phase: Phase::Handshaking,
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

    fn configure(&self, context: &Context, start: &Start<'_>) -> io::Result<()> {
        let openssl = self.openssl;
        let ssl = self.raw();
        self.control(
            ffi::SSL_CTRL_MODE,
            ffi::SSL_MODE_RELEASE_BUFFERS
                | ffi::SSL_MODE_AUTO_RETRY
                | ffi::SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER,
            ptr::null_mut(),
        );
        let mut verify = 0;
        if start.server && start.request_certificate {
            verify = ffi::SSL_VERIFY_PEER;
            if start.require_certificate {
                verify |= ffi::SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
            }
        }
        // A client verifies in any case; the mode would only make OpenSSL break off, and the owner decides about that.
        // SAFETY: the callback has the type that OpenSSL calls.
        unsafe { (openssl.SSL_set_verify)(ssl, verify, Some(go_on)) };
        if start.keylog {
            // SAFETY: as above; the context is ours alone.
            unsafe { (openssl.SSL_CTX_set_keylog_callback)(context.raw.as_ptr(), Some(keylog)) };
        }
        if start.server {
            self.configure_server(context, start);
            return Ok(());
        }
        // SAFETY: a new SSL.
        unsafe { (openssl.SSL_set_connect_state)(ssl) };
        if let Some(name) = start.servername {
            let name = name.as_ptr().cast_mut().cast();
            if self.control(ffi::SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, name) != 1 {
                return Err(refused());
            }
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

    fn configure_server(&self, context: &Context, start: &Start<'_>) {
        let openssl = self.openssl;
        // SAFETY: a new SSL.
        unsafe { (openssl.SSL_set_accept_state)(self.raw()) };
        // Node allows it and counts; we do not allow it, which is OpenSSL's own default.
        // SAFETY: a new SSL.
        unsafe { (openssl.SSL_clear_options)(self.raw(), ffi::SSL_OP_ALLOW_CLIENT_RENEGOTIATION) };
        if !start.protocols.is_empty() {
            // SAFETY: no call into OpenSSL is under way, so nothing else refers to it.
            unsafe { &mut *self.shared.as_ptr() }.protocols = start.protocols.to_vec();
            // SAFETY: the callback has the type that OpenSSL calls; the context is ours alone. For sessions without a
            // list of their own it does nothing.
            unsafe {
                (openssl.SSL_CTX_set_alpn_select_cb)(
                    context.raw.as_ptr(),
                    Some(select_protocol),
                    ptr::null_mut(),
                );
            }
        }
    }

    fn resume(&self, der: &[u8]) -> io::Result<()> {
        let openssl = self.openssl;
        let mut at = der.as_ptr();
        let length = der.len() as c_long;
        // SAFETY: reads at most `length` bytes from there, and makes a new session.
        let session = unsafe { (openssl.d2i_SSL_SESSION)(ptr::null_mut(), &mut at, length) };
        let session = NonNull::new(session).ok_or_else(refused)?;
        // SAFETY: the SSL takes a reference of its own.
        let set = unsafe { (openssl.SSL_set_session)(self.raw(), session.as_ptr()) };
        // SAFETY: the reference that `d2i_SSL_SESSION` gave.
        unsafe { (openssl.SSL_SESSION_free)(session.as_ptr()) };
        if set == 1 { Ok(()) } else { Err(refused()) }
    }

    fn raw(&self) -> *mut Ssl {
        self.ssl.as_ptr()
    }

    fn control(&self, command: c_int, number: c_long, pointer: *mut c_void) -> c_long {
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
        let shared = self.shared.as_ptr();
        {
            // SAFETY: no call into OpenSSL is under way, so nothing else refers to it.
            let shared = unsafe { &mut *shared };
            shared.input = whole.as_ptr();
            shared.left = whole.len();
            mem::swap(&mut shared.output, output);
        }
        clear_errors(self.openssl);
        let result = call(self, self.raw());
        // SAFETY: as above, now that the call has returned.
        let shared = unsafe { &mut *shared };
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
        // SAFETY: no call into OpenSSL is under way, so nothing else refers to it.
        !unsafe { &*self.shared.as_ptr() }.news.is_empty()
    }

    pub(crate) fn take_news(&mut self) -> Option<News> {
        // SAFETY: as in `has_news`.
        let news = &mut unsafe { &mut *self.shared.as_ptr() }.news;
        (!news.is_empty()).then(|| news.remove(0))
    }

    /// Goes on with the handshake. What is in `output` afterwards is to be sent, also when it has failed.
    pub(crate) fn handshake(&mut self, input: &[u8], output: &mut Vec<u8>) -> Progress {
        let progress = self.with(input, output, |session, ssl| {
            // SAFETY: the SSL is alive, and its BIO reads and writes what `with` has put there.
            let result = unsafe { (session.openssl.SSL_do_handshake)(ssl) };
            if result == 1 {
                Ok(Progress::Done)
            } else {
                match session.error(result) {
                    ffi::SSL_ERROR_WANT_READ => Ok(Progress::Waits),
                    _ => Err(failure(session.openssl)),
                }
            }
        });
        match progress {
            Ok(progress) => {
                if progress == Progress::Done {
                    self.phase = Phase::Verifying;
                }
                progress
            }
            Err(failure) => {
                self.fail(failure);
                Progress::Failed
            }
        }
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
        // SAFETY: between two calls into OpenSSL, so nothing else refers to it.
        unsafe { &*self.shared.as_ptr() }.left
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
            clear_errors(session.openssl);
        });
    }

    /// At most so many bytes go into one record from now on; false if OpenSSL does not like the number.
    pub(crate) fn set_max_send_fragment(&mut self, size: usize) -> bool {
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

/// The text that a function of OpenSSL returns.
macro_rules! text_of {
    ($call:expr) => {{
        // SAFETY: the callers ask an SSL that is alive, or OpenSSL's tables.
        let found = unsafe { $call };
        // SAFETY: null or NUL-terminated, and used before anything else happens to the SSL.
        unsafe { text(found) }
    }};
}

// --- facts ------------------------------------------------------------------------------------------------------------

impl Session {
    pub(crate) fn fact(&mut self, fact: Fact) -> Vec<u8> {
        let openssl = self.openssl;
        let ssl = self.raw();
        match fact {
            Fact::Failure => self.failure.clone(),
            Fact::Verdict => self.verdict(),
            Fact::Protocol => text_of!((openssl.SSL_get_version)(ssl)),
            Fact::Cipher => self.cipher(),
            Fact::Servername => text_of!((openssl.SSL_get_servername)(ssl, 0)),
            Fact::Alpn => self.alpn(),
            Fact::PeerCertificates => self.peer_certificates(),
            Fact::Certificate => {
                // SAFETY: the SSL is alive, and keeps the certificate.
                let own = unsafe { (openssl.SSL_get_certificate)(ssl) };
                certificate(openssl, own)
            }
            Fact::Session => {
                // SAFETY: the SSL is alive, and keeps the session.
                session_der(openssl, unsafe { (openssl.SSL_get_session)(ssl) })
            }
            Fact::Ticket => self.ticket(),
            Fact::Finished => finished(|data, room| {
                // SAFETY: the SSL is alive; at most `room` bytes are written.
                unsafe { (openssl.SSL_get_finished)(ssl, data, room) }
            }),
            Fact::PeerFinished => finished(|data, room| {
                // SAFETY: the SSL is alive; at most `room` bytes are written.
                unsafe { (openssl.SSL_get_peer_finished)(ssl, data, room) }
            }),
            Fact::Reused => flag(self.is_reused()),
            Fact::CloseNotify => flag(self.close_notify),
            Fact::EphemeralKey => self.ephemeral_key(),
            Fact::SharedSigalgs => self.shared_sigalgs(),
        }
    }

    pub(crate) fn is_reused(&self) -> bool {
        // SAFETY: the SSL is alive.
        unsafe { (self.openssl.SSL_session_reused)(self.raw()) == 1 }
    }

    /// The verdict on the peer's certificate, 0 if all is well. Without a certificate it is that of a missing issuer, as
    /// Node has it, unless none was needed.
    pub(crate) fn verify_result(&self) -> i32 {
        let openssl = self.openssl;
        let ssl = self.raw();
        // SAFETY: the SSL is alive.
        let peer = unsafe { (openssl.SSL_get1_peer_certificate)(ssl) };
        if !peer.is_null() {
            // SAFETY: the reference that we were given.
            unsafe { (openssl.X509_free)(peer) };
            // SAFETY: the SSL is alive.
            return unsafe { (openssl.SSL_get_verify_result)(ssl) } as i32;
        }
        // SAFETY: the SSL is alive, and keeps it.
        let cipher = unsafe { (openssl.SSL_get_current_cipher)(ssl) };
        if !cipher.is_null() {
            // SAFETY: OpenSSL's table.
            let authentication = unsafe { (openssl.SSL_CIPHER_get_auth_nid)(cipher) };
            if authentication == ffi::NID_AUTH_PSK {
                return ffi::X509_V_OK as i32;
            }
        }
        // SAFETY: the SSL is alive, and keeps it.
        let session = unsafe { (openssl.SSL_get_session)(ssl) };
        if !session.is_null() && self.is_reused() {
            // SAFETY: not null, and the SSL keeps it.
            let version = unsafe { (openssl.SSL_SESSION_get_protocol_version)(session) };
            // Pre-shared keys of TLS 1.3 look like a resumed session.
            if version == ffi::TLS1_3_VERSION {
                return ffi::X509_V_OK as i32;
            }
        }
        ffi::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT as i32
    }

    fn verdict(&self) -> Vec<u8> {
        let number = self.verify_result();
        let words = text_of!((self.openssl.X509_verify_cert_error_string)(number.into()));
        parts(&[number.to_string().as_bytes(), &words])
    }

    fn cipher(&self) -> Vec<u8> {
        let openssl = self.openssl;
        // SAFETY: the SSL is alive.
        let cipher = unsafe { (openssl.SSL_get_current_cipher)(self.raw()) };
        if cipher.is_null() {
            return Vec::new();
        }
        let name = text_of!((openssl.SSL_CIPHER_get_name)(cipher));
        let standard = text_of!((openssl.SSL_CIPHER_standard_name)(cipher));
        let version = text_of!((openssl.SSL_CIPHER_get_version)(cipher));
        parts(&[&name, &standard, &version])
    }

    fn alpn(&self) -> Vec<u8> {
        let mut data = ptr::null();
        let mut length = 0;
        // SAFETY: the SSL is alive.
        unsafe { (self.openssl.SSL_get0_alpn_selected)(self.raw(), &mut data, &mut length) };
        // SAFETY: so many bytes are there, until something else happens to the SSL.
        unsafe { bytes(data, length as usize) }
    }

    fn peer_certificates(&self) -> Vec<u8> {
        let openssl = self.openssl;
        let mut all = Vec::new();
        let mut add = |der: Vec<u8>| {
            all.extend_from_slice(&(der.len() as u32).to_le_bytes());
            all.extend_from_slice(&der);
        };
        // SAFETY: the SSL is alive.
        let leaf = unsafe { (openssl.SSL_get1_peer_certificate)(self.raw()) };
        if leaf.is_null() {
            return Vec::new();
        }
        add(certificate(openssl, leaf));
        // SAFETY: the reference that we were given.
        unsafe { (openssl.X509_free)(leaf) };
        // SAFETY: the SSL is alive, and keeps the stack.
        let sent = unsafe { (openssl.SSL_get_peer_cert_chain)(self.raw()) };
        // SAFETY: as above.
        let verified = unsafe { (openssl.SSL_get0_verified_chain)(self.raw()) };
        // What a client gets of a server begins with the leaf, and so does what was verified.
        for (chain, first) in [(sent, i32::from(!self.server)), (verified, 1)] {
            if chain.is_null() {
                continue;
            }
            // SAFETY: not null.
            let count = unsafe { (openssl.OPENSSL_sk_num)(chain) };
            for at in first..count {
                // SAFETY: within the stack, which holds certificates.
                let other = unsafe { (openssl.OPENSSL_sk_value)(chain, at) };
                add(certificate(openssl, other.cast()));
            }
        }
        all
    }

    fn ticket(&self) -> Vec<u8> {
        // SAFETY: the SSL is alive, and keeps the session.
        let session = unsafe { (self.openssl.SSL_get_session)(self.raw()) };
        if session.is_null() {
            return Vec::new();
        }
        let mut data = ptr::null();
        let mut length = 0;
        // SAFETY: not null.
        unsafe { (self.openssl.SSL_SESSION_get0_ticket)(session, &mut data, &mut length) };
        // SAFETY: so many bytes are there for as long as the session is.
        unsafe { bytes(data, length) }
    }

    fn ephemeral_key(&self) -> Vec<u8> {
        let openssl = self.openssl;
        let mut key: *mut ffi::Pkey = ptr::null_mut();
        let place = (&raw mut key).cast();
        if self.control(ffi::SSL_CTRL_GET_PEER_TMP_KEY, 0, place) != 1 || key.is_null() {
            return self.group();
        }
        // SAFETY: a key that we were given.
        let id = unsafe { (openssl.EVP_PKEY_get_id)(key) };
        // SAFETY: as above.
        let bits = unsafe { (openssl.EVP_PKEY_get_bits)(key) }.to_string();
        let name = if id == ffi::EVP_PKEY_EC {
            let mut name: [u8; 80] = [0; 80];
            let mut length = 0;
            // SAFETY: at most so many bytes are written.
            unsafe {
                (openssl.EVP_PKEY_get_group_name)(key, name.as_mut_ptr().cast(), 80, &mut length);
            }
            name[..length.min(80)].to_vec()
        } else {
            text_of!((openssl.OBJ_nid2sn)(id))
        };
        // SAFETY: ours to free.
        unsafe { (openssl.EVP_PKEY_free)(key) };
        match id {
            ffi::EVP_PKEY_DH => parts(&[b"DH", b"", bits.as_bytes()]),
            _ => parts(&[b"ECDH", &name, bits.as_bytes()]),
        }
    }

    /// The group of a key exchange whose keys OpenSSL does not show: one with ML-KEM.
    fn group(&self) -> Vec<u8> {
        let id = self.control(ffi::SSL_CTRL_GET_NEGOTIATED_GROUP, 0, ptr::null_mut());
        if id == 0 {
            return Vec::new();
        }
        let name = text_of!((self.openssl.SSL_group_to_name)(self.raw(), id as c_int));
        if name.is_empty() {
            return name;
        }
        parts(&[b"TLSGroup", &name, b""])
    }

    fn shared_sigalgs(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for at in 0.. {
            let (mut sign, mut hash, mut both) = (0, 0, 0);
            // SAFETY: the SSL is alive, and the places for the answers are ours.
            let count = unsafe {
                (self.openssl.SSL_get_shared_sigalgs)(
                    self.raw(),
                    at,
                    &mut sign,
                    &mut hash,
                    &mut both,
                    ptr::null_mut(),
                    ptr::null_mut(),
                )
            };
            if at >= count {
                break;
            }
            for number in [sign, hash] {
                let name = text_of!((self.openssl.OBJ_nid2sn)(number));
                all.extend_from_slice(&name);
                all.push(0);
            }
        }
        all
    }

    /// Keying material for a protocol above; `None` if OpenSSL refuses.
    pub(crate) fn export(
        &mut self,
        length: usize,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Option<Vec<u8>> {
        let mut material = vec![0; length];
        let given = context.unwrap_or_default();
        // SAFETY: all three are borrowed for the call.
        let result = unsafe {
            (self.openssl.SSL_export_keying_material)(
                self.raw(),
                material.as_mut_ptr(),
                length,
                label.as_ptr().cast(),
                label.len(),
                given.as_ptr(),
                given.len(),
                c_int::from(context.is_some()),
            )
        };
        clear_errors(self.openssl);
        (result == 1).then_some(material)
    }
}

fn flag(is: bool) -> Vec<u8> {
    if is { b"1".to_vec() } else { Vec::new() }
}

fn parts(all: &[&[u8]]) -> Vec<u8> {
    all.join(&0)
}

/// # Safety
/// Null, or NUL-terminated.
unsafe fn text(from: *const c_char) -> Vec<u8> {
    if from.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(from) }.to_bytes().to_vec()
}

/// # Safety
/// Null, or that many bytes are there.
unsafe fn bytes(from: *const u8, length: usize) -> Vec<u8> {
    if from.is_null() || length == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(from, length) }.to_vec()
}

/// Asks twice: first how long it is.
fn der(encode: impl Fn(*mut *mut c_uchar) -> c_int) -> Vec<u8> {
    let length = encode(ptr::null_mut());
    let Ok(length) = usize::try_from(length) else {
        return Vec::new();
    };
    let mut encoded = vec![0; length];
    let mut at = encoded.as_mut_ptr();
    encode(&mut at);
    encoded
}

fn certificate(openssl: &OpenSsl, of: *mut X509) -> Vec<u8> {
    if of.is_null() {
        return Vec::new();
    }
    // SAFETY: the certificate is alive; as many bytes are written as the first call said.
    der(|place| unsafe { (openssl.i2d_X509)(of, place) })
}

fn session_der(openssl: &OpenSsl, of: *mut SslSession) -> Vec<u8> {
    if of.is_null() {
        return Vec::new();
    }
    // SAFETY: the session is alive; as many bytes are written as the first call said.
    der(|place| unsafe { (openssl.i2d_SSL_SESSION)(of, place) })
}

fn finished(get: impl Fn(*mut c_void, usize) -> usize) -> Vec<u8> {
    // EVP_MAX_MD_SIZE
    let mut message = vec![0_u8; 64];
    let length = get(message.as_mut_ptr().cast(), message.len());
    message.truncate(length);
    message
}

// --- errors -----------------------------------------------------------------------------------------------------------

fn refused() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidInput)
}

/// OpenSSL takes what is left in the thread's queue, by whomever, for the outcome of the next call.
fn clear_errors(openssl: &OpenSsl) {
    // SAFETY: the queue is the thread's own. Looking is cheaper than clearing, and mostly it is empty.
    if unsafe { (openssl.ERR_peek_error)() } != 0 {
        // SAFETY: as above.
        unsafe { (openssl.ERR_clear_error)() };
    }
}

/// Library, reason and text of what is in OpenSSL's queue, which is empty afterwards.
fn failure(openssl: &OpenSsl) -> Vec<u8> {
    // SAFETY: the queue is the thread's own.
    let first = unsafe { (openssl.ERR_peek_error)() };
    let library = text_of!((openssl.ERR_lib_error_string)(first));
    let reason = text_of!((openssl.ERR_reason_error_string)(first));
    let mut words: Vec<u8> = Vec::new();
    let place = (&raw mut words).cast();
    // SAFETY: the callback takes its last argument for the vector, which outlives the call.
    unsafe { (openssl.ERR_print_errors_cb)(print_error, place) };
    parts(&[&library, &reason, &words])
}

unsafe extern "C" fn print_error(line: *const c_char, length: usize, words: *mut c_void) -> c_int {
    // SAFETY: the vector that `failure` gave.
    let words = unsafe { &mut *words.cast::<Vec<u8>>() };
    // SAFETY: OpenSSL says that so many bytes are there.
    words.extend_from_slice(unsafe { slice::from_raw_parts(line.cast(), length) });
    1
}

// --- what OpenSSL calls -----------------------------------------------------------------------------------------------

struct Method(NonNull<ffi::BioMethod>);

// SAFETY: a table of functions that is not changed once it is made.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

/// Made once in a process.
struct Indices {
    of_ssl: c_int,
    method: Method,
}

fn indices(openssl: &OpenSsl) -> io::Result<&'static Indices> {
    static MADE: OnceLock<Option<Indices>> = OnceLock::new();
    MADE.get_or_init(|| make_indices(openssl))
        .as_ref()
        .ok_or_else(refused)
}

fn make_indices(openssl: &OpenSsl) -> Option<Indices> {
    // SAFETY: no callbacks.
    let of_ssl = unsafe {
        (openssl.CRYPTO_get_ex_new_index)(
            ffi::CRYPTO_EX_INDEX_SSL,
            0,
            ptr::null_mut(),
            None,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    // SAFETY: takes nothing.
    let kind = unsafe { (openssl.BIO_get_new_index)() } | ffi::BIO_TYPE_SOURCE_SINK;
    // SAFETY: the name is static.
    let method = unsafe { (openssl.BIO_meth_new)(kind, c"ferronet".as_ptr()) };
    let method = NonNull::new(method)?;
    // SAFETY: a method of ours, and functions of the types that OpenSSL calls.
    let read = unsafe { (openssl.BIO_meth_set_read)(method.as_ptr(), bio_read) };
    // SAFETY: as above.
    let write = unsafe { (openssl.BIO_meth_set_write)(method.as_ptr(), bio_write) };
    // SAFETY: as above.
    let ctrl = unsafe { (openssl.BIO_meth_set_ctrl)(method.as_ptr(), bio_ctrl) };
    let made = of_ssl >= 0 && [read, write, ctrl] == [1; 3];
    made.then_some(Indices {
        of_ssl,
        method: Method(method),
    })
}

/// A context that has just become ours.
pub(super) fn prepare(context: &Context) {
    // SAFETY: the callback has the type that OpenSSL calls; the context is ours alone.
    unsafe {
        (context.openssl.SSL_CTX_sess_set_new_cb)(context.raw.as_ptr(), Some(new_session));
    };
}

/// The session that an SSL is of.
///
/// # Safety
/// For an SSL, and inside a call of its session: the result is not used beyond it.
unsafe fn shared_of<'a>(ssl: *const Ssl) -> Option<&'a mut Shared> {
    let openssl = ffi::openssl().ok()?;
    let index = indices(openssl).ok()?.of_ssl;
    // SAFETY: the caller's promise.
    let shared = unsafe { (openssl.SSL_get_ex_data)(ssl, index) };
    // SAFETY: null, or what `connect_memory` has put there; nothing of ours refers to it while OpenSSL runs.
    unsafe { shared.cast::<Shared>().as_mut() }
}

unsafe extern "C" fn bio_read(bio: *mut Bio, data: *mut c_char, length: c_int) -> c_int {
    let Ok(openssl) = ffi::openssl() else {
        return -1;
    };
    // SAFETY: a BIO that `connect_memory` has made.
    let shared = unsafe { (openssl.BIO_get_data)(bio) }.cast::<Shared>();
    // SAFETY: what was put there; nothing of ours refers to it while OpenSSL runs.
    let shared = unsafe { &mut *shared };
    let count = shared.left.min(usize::try_from(length).unwrap_or(0));
    if count == 0 {
        // SAFETY: the BIO that is being read.
        unsafe { (openssl.BIO_set_flags)(bio, ffi::BIO_FLAGS_READ_RETRY) };
        return -1;
    }
    // SAFETY: `with` has borrowed `left` bytes for this call, and OpenSSL has room for `length`.
    unsafe { ptr::copy_nonoverlapping(shared.input, data.cast(), count) };
    // SAFETY: within the borrowed bytes, or one behind them.
    shared.input = unsafe { shared.input.add(count) };
    shared.left -= count;
    count as c_int
}

unsafe extern "C" fn bio_write(bio: *mut Bio, data: *const c_char, length: c_int) -> c_int {
    let Ok(openssl) = ffi::openssl() else {
        return -1;
    };
    // SAFETY: a BIO that `connect_memory` has made.
    let shared = unsafe { (openssl.BIO_get_data)(bio) }.cast::<Shared>();
    // SAFETY: what was put there; nothing of ours refers to it while OpenSSL runs.
    let shared = unsafe { &mut *shared };
    // SAFETY: OpenSSL has that many bytes there.
    let sealed =
        unsafe { slice::from_raw_parts(data.cast(), usize::try_from(length).unwrap_or(0)) };
    shared.output.extend_from_slice(sealed);
    length
}

unsafe extern "C" fn bio_ctrl(_: *mut Bio, command: c_int, _: c_long, _: *mut c_void) -> c_long {
    c_long::from(command == ffi::BIO_CTRL_FLUSH)
}

/// The verdict on a certificate is kept by OpenSSL, and looked at when the handshake is done.
unsafe extern "C" fn go_on(_verdict: c_int, _store: *mut c_void) -> c_int {
    1
}

unsafe extern "C" fn select_protocol(
    ssl: *mut Ssl,
    selected: *mut *const c_uchar,
    selected_length: *mut c_uchar,
    offered: *const c_uchar,
    offered_length: c_uint,
    _: *mut c_void,
) -> c_int {
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    let (Some(shared), Ok(openssl)) = (unsafe { shared_of(ssl) }, ffi::openssl()) else {
        return ffi::SSL_TLSEXT_ERR_NOACK;
    };
    let ours = &shared.protocols;
    if ours.is_empty() {
        return ffi::SSL_TLSEXT_ERR_NOACK;
    }
    // SAFETY: two lists with their lengths, and OpenSSL's places for the answer; it points into one of the lists, which
    // both outlive the callback.
    let outcome = unsafe {
        (openssl.SSL_select_next_proto)(
            selected.cast(),
            selected_length,
            ours.as_ptr(),
            ours.len() as c_uint,
            offered,
            offered_length,
        )
    };
    if outcome == ffi::OPENSSL_NPN_NEGOTIATED {
        ffi::SSL_TLSEXT_ERR_OK
    } else {
        ffi::SSL_TLSEXT_ERR_ALERT_FATAL
    }
}

/// Larger sessions are not worth keeping, as in Node.
const MAX_SESSION: usize = 10 * 1024;

unsafe extern "C" fn new_session(ssl: *mut Ssl, session: *mut SslSession) -> c_int {
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    if let (Some(shared), Ok(openssl)) = (unsafe { shared_of(ssl) }, ffi::openssl())
        && shared.sessions
    {
        let der = session_der(openssl, session);
        if der.len() <= MAX_SESSION {
            shared.news.push(News::Session(der));
        }
    }
    // We have not kept the reference.
    0
}

unsafe extern "C" fn keylog(ssl: *const Ssl, line: *const c_char) {
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    if let Some(shared) = unsafe { shared_of(ssl) }
        && shared.keylog
    {
        // SAFETY: NUL-terminated.
        shared.news.push(News::Keylog(unsafe { text(line) }));
    }
}

/// A name for [`Start::servername`].
pub fn name(from: &str) -> Option<CString> {
    CString::new(from).ok()
}
