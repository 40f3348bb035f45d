//! What a session asks its owner in the middle of a handshake. Nothing of the owner's runs inside a call into OpenSSL: the
//! callbacks here suspend the handshake and leave a [`Question`], and it goes on when [`Session::answer`] was called.

use std::ffi::{c_int, c_long, c_uchar, c_void};
use std::io;
use std::mem;
use std::ptr::{self, NonNull};

use super::callbacks::shared_of;
use super::context::Context;
use super::ffi::{self, OpenSsl, Ssl, SslSession};
use super::session::{News, Phase, Session};
use super::words::{Tidy, bytes, counted, refused, text_of};

/// What an owner wants to be asked or told. Nothing of it costs anything if it is not wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asks {
    /// A server, when a client wants to go on with a session that has a number.
    pub resume: bool,
    /// A server, which of the client's protocols it takes.
    pub protocol: bool,
    /// A server, whose certificate a client gets that names who it wants.
    pub context: bool,
    /// A server, to keep a session for `resume`.
    pub store: bool,
    /// A server, for the OCSP response that a client wants.
    pub status: bool,
    /// A client, for the server's OCSP response, which it asks for: [`News::Status`].
    pub response: bool,
}

impl Asks {
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// What a session waits for. [`Fact::Question`](super::Fact::Question) has the particulars, each part behind its length
/// in four bytes (little-endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The client has said hello. Parts: the number of the session that it wants to go on with, the name of the server
    /// that it wants, its protocols. Of the first and the last only what is asked for is there.
    Hello,
    /// It is time to show a certificate. Parts: the name of the server if a context for it is asked for; "1" if the
    /// client wants an OCSP response.
    Certificate,
    /// Sessions are to be kept. Two parts for each: its number, and the session as DER. What tells the client of them is
    /// not sent before the answer.
    Store,
}

/// What the owner says to a [`Question`].
pub enum Answer<'a> {
    /// The session to go on with, as DER, or nothing; and the protocol, or nothing to refuse the client.
    Hello {
        session: &'a [u8],
        protocol: &'a [u8],
    },
    /// Whose certificate is shown, if not that of the session's own context; and the OCSP response, or nothing.
    Certificate {
        context: Option<&'a Context>,
        response: &'a [u8],
    },
    Stored,
}

/// What a context shows of itself, for as long as the context lives.
struct Own {
    certificate: *mut ffi::X509,
    key: *mut ffi::Pkey,
    chain: *mut ffi::Stack,
}

/// A session to go on with, until OpenSSL takes it.
struct Resumable {
    raw: NonNull<SslSession>,
    openssl: &'static OpenSsl,
}

impl Drop for Resumable {
    fn drop(&mut self) {
        // SAFETY: the reference that `decoded` was given.
        unsafe { (self.openssl.SSL_SESSION_free)(self.raw.as_ptr()) };
    }
}

fn decoded(openssl: &'static OpenSsl, der: &[u8]) -> Option<Resumable> {
    let mut at = der.as_ptr();
    let length = c_long::try_from(der.len()).ok()?;
    // SAFETY: reads at most `length` bytes from there, and makes a new session.
    let raw = unsafe { (openssl.d2i_SSL_SESSION)(ptr::null_mut(), &mut at, length) };
    NonNull::new(raw).map(|raw| Resumable { raw, openssl })
}

/// The state of the conversation, for sessions that ask anything.
pub(super) struct Talk {
    pub(super) asks: Asks,
    asked: Option<Question>,
    /// Of `asked`.
    particulars: Vec<u8>,
    /// What the callbacks need not ask any more.
    heard: bool,
    shown: bool,
    resumed: Option<Resumable>,
    /// Empty to refuse the client.
    pub(super) protocol: Vec<u8>,
    response: Vec<u8>,
    /// Sessions that are to be kept and have not been asked about: number and DER, as parts.
    unstored: Vec<u8>,
}

impl Talk {
    pub(super) fn new(asks: Asks) -> Self {
        Self {
            asks,
            asked: None,
            particulars: Vec::new(),
            heard: false,
            shown: false,
            resumed: None,
            protocol: Vec::new(),
            response: Vec::new(),
            unstored: Vec::new(),
        }
    }

    fn ask(&mut self, question: Question, parts: &[&[u8]]) {
        self.asked = Some(question);
        self.particulars = counted(parts);
    }

    pub(super) fn keep(&mut self, id: &[u8], der: &[u8]) {
        self.unstored.extend_from_slice(&counted(&[id, der]));
    }
}

// --- the owner's side -------------------------------------------------------------------------------------------------

impl Session {
    /// What the callbacks need for `asks`.
    pub(super) fn prepare_questions(&mut self, context: &Context, asks: Asks) {
        let openssl = self.openssl;
        let raw = context.raw.as_ptr();
        // The context is ours alone. For sessions of its that do not ask, the callbacks do nothing.
        if asks.resume || asks.protocol {
            // SAFETY: the callback has the type that OpenSSL calls.
            unsafe {
                (openssl.SSL_CTX_set_client_hello_cb)(raw, Some(client_hello), ptr::null_mut());
            }
        }
        if asks.resume {
            // SAFETY: as above.
            unsafe { (openssl.SSL_CTX_sess_set_get_cb)(raw, Some(find_session)) };
        }
        if asks.status || asks.response {
            // SAFETY: the callback that this command takes has another type than the function declares, and that is the
            // one of `status`; OpenSSL's headers have the same conversion.
            let callback =
                unsafe { mem::transmute::<ffi::StatusCallback, ffi::AnyCallback>(status) };
            let command = ffi::SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB;
            // SAFETY: as above.
            unsafe { (openssl.SSL_CTX_callback_ctrl)(raw, command, Some(callback)) };
        }
        if asks.response {
            let command = ffi::SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE;
            self.control(command, ffi::TLSEXT_STATUSTYPE_OCSP, ptr::null_mut());
        }
        self.shared_mut().talk = Some(Box::new(Talk::new(asks)));
    }

    /// Servers have it whether they ask or not, as in Node: without it, one that has no certificate would not offer
    /// TLS 1.3, and fail with another error.
    pub(super) fn prepare_certificate(&self) {
        // SAFETY: the callback has the type that OpenSSL calls.
        unsafe { (self.openssl.SSL_set_cert_cb)(self.raw(), Some(certificate), ptr::null_mut()) };
    }

    /// What the owner has been asked and has not answered.
    pub(crate) fn asked(&self) -> Option<Question> {
        self.shared().talk.as_ref()?.asked
    }

    pub(super) fn particulars(&self) -> Vec<u8> {
        let talk = self.shared().talk.as_ref();
        talk.map_or_else(Vec::new, |talk| talk.particulars.clone())
    }

    /// Asks for the sessions to be kept that have been made since the last time, if there are any.
    pub(crate) fn ask_to_store(&mut self) -> bool {
        let Some(talk) = &mut self.shared_mut().talk else {
            return false;
        };
        if talk.unstored.is_empty() || talk.asked.is_some() {
            return false;
        }
        talk.asked = Some(Question::Store);
        talk.particulars = mem::take(&mut talk.unstored);
        true
    }

    /// # Errors
    /// When it is no answer to what was asked, or OpenSSL has no memory for it.
    pub(crate) fn answer(&mut self, answer: &Answer<'_>) -> io::Result<()> {
        let openssl = self.openssl;
        let _tidy = Tidy(openssl);
        let asked = self.asked();
        match *answer {
            Answer::Hello { session, protocol } if asked == Some(Question::Hello) => {
                if let Some(talk) = &mut self.shared_mut().talk {
                    talk.heard = true;
                    talk.resumed = (!session.is_empty())
                        .then(|| decoded(openssl, session))
                        .flatten();
                    talk.protocol = protocol.to_vec();
                }
            }
            Answer::Certificate { context, response } if asked == Some(Question::Certificate) => {
                if let Some(talk) = &mut self.shared_mut().talk {
                    talk.shown = true;
                    talk.response = response.to_vec();
                }
                if let Some(context) = context {
                    self.show_certificate_of(context)?;
                }
            }
            Answer::Stored if asked == Some(Question::Store) => {}
            _ => return Err(refused()),
        }
        if let Some(talk) = &mut self.shared_mut().talk {
            talk.asked = None;
            talk.particulars = Vec::new();
        }
        self.goes_on = self.phase == Phase::Handshaking;
        Ok(())
    }

    /// From here on the certificate, the key and the chain of another context are shown, and what clients' certificates
    /// are verified with is that context's: as in Node, also if it has been told of no authorities.
    ///
    /// # Errors
    /// When it has no certificate or no key, or OpenSSL has no memory for them.
    pub(crate) fn show(&self, context: &Context) -> io::Result<()> {
        let _tidy = Tidy(self.openssl);
        let own = self.own(context).ok_or_else(refused)?;
        if own.key.is_null() {
            return Err(refused());
        }
        self.use_own(&own)?;
        if own.chain.is_null() {
            self.control(ffi::SSL_CTRL_CHAIN, 1, ptr::null_mut());
        }
        self.verify_with(context);
        Ok(())
    }

    /// None if it has no certificate.
    fn own(&self, context: &Context) -> Option<Own> {
        let openssl = self.openssl;
        let from = context.raw.as_ptr();
        // SAFETY: it is alive, and keeps what it returns.
        let certificate = unsafe { (openssl.SSL_CTX_get0_certificate)(from) };
        // SAFETY: as above.
        let key = unsafe { (openssl.SSL_CTX_get0_privatekey)(from) };
        let mut chain: *mut ffi::Stack = ptr::null_mut();
        let place = (&raw mut chain).cast();
        // SAFETY: the command writes a pointer to a stack that the context keeps.
        unsafe { (openssl.SSL_CTX_ctrl)(from, ffi::SSL_CTRL_GET_CHAIN_CERTS, 0, place) };
        (!certificate.is_null()).then_some(Own {
            certificate,
            key,
            chain,
        })
    }

    fn use_own(&self, own: &Own) -> io::Result<()> {
        let openssl = self.openssl;
        // OpenSSL keeps one certificate for each type of key: of another type, what was there before would stay.
        // SAFETY: the SSL is alive; what the context has is not touched.
        unsafe { (openssl.SSL_certs_clear)(self.raw()) };
        // SAFETY: the context of `own` is alive, and the SSL takes references of its own.
        if unsafe { (openssl.SSL_use_certificate)(self.raw(), own.certificate) } != 1 {
            return Err(refused());
        }
        // Without a key the handshake fails, and says why.
        // SAFETY: as above.
        if !own.key.is_null() && unsafe { (openssl.SSL_use_PrivateKey)(self.raw(), own.key) } != 1 {
            return Err(refused());
        }
        if !own.chain.is_null() && self.control(ffi::SSL_CTRL_CHAIN, 1, own.chain.cast()) != 1 {
            return Err(refused());
        }
        Ok(())
    }

    fn verify_with(&self, context: &Context) {
        let openssl = self.openssl;
        let from = context.raw.as_ptr();
        // SAFETY: both are alive; the context keeps what it returns, and the SSL takes references of its own.
        let store = unsafe { (openssl.SSL_CTX_get_cert_store)(from) };
        self.control(ffi::SSL_CTRL_SET_VERIFY_CERT_STORE, 1, store);
        // SAFETY: as above.
        let names = unsafe { (openssl.SSL_CTX_get_client_CA_list)(from) };
        // SAFETY: null, or a list that the context keeps.
        let names = unsafe { (openssl.SSL_dup_CA_list)(names) };
        // SAFETY: the copy becomes the SSL's.
        unsafe { (openssl.SSL_set_client_CA_list)(self.raw(), names) };
    }

    /// Of another context the session takes what Node takes: certificate, key and chain, and what clients' certificates
    /// are verified with. If there is no certificate in it, nothing.
    fn show_certificate_of(&self, context: &Context) -> io::Result<()> {
        let Some(own) = self.own(context) else {
            return Ok(());
        };
        self.use_own(&own)?;
        self.verify_with(context);
        Ok(())
    }
}

// --- OpenSSL's side ---------------------------------------------------------------------------------------------------

/// Called for each hello, the second one after a request for another key share included.
unsafe extern "C" fn client_hello(ssl: *mut Ssl, _alert: *mut c_int, _: *mut c_void) -> c_int {
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    let (Some(shared), Ok(openssl)) = (unsafe { shared_of(ssl) }, ffi::openssl()) else {
        return ffi::SSL_CLIENT_HELLO_SUCCESS;
    };
    let Some(talk) = &mut shared.talk else {
        return ffi::SSL_CLIENT_HELLO_SUCCESS;
    };
    if talk.heard {
        return ffi::SSL_CLIENT_HELLO_SUCCESS;
    }
    let extension = |kind| {
        let mut data = ptr::null();
        let mut length = 0;
        // SAFETY: in the callback that may ask this, with places for the answer.
        let found =
            unsafe { (openssl.SSL_client_hello_get0_ext)(ssl, kind, &mut data, &mut length) };
        if found != 1 {
            return Vec::new();
        }
        // SAFETY: so many bytes are there during this callback.
        unsafe { bytes(data, length) }
    };
    let mut id = Vec::new();
    if talk.asks.resume && extension(ffi::TLSEXT_TYPE_SESSION_TICKET).is_empty() {
        let mut data = ptr::null();
        // SAFETY: as above.
        let length = unsafe { (openssl.SSL_client_hello_get0_session_id)(ssl, &mut data) };
        // SAFETY: as above.
        id = unsafe { bytes(data, length) };
    }
    let mut protocols = Vec::new();
    if talk.asks.protocol {
        // A list behind its length.
        protocols = extension(ffi::TLSEXT_TYPE_ALPN);
        protocols.drain(..protocols.len().min(2));
    }
    if id.is_empty() && protocols.is_empty() {
        talk.heard = true;
        return ffi::SSL_CLIENT_HELLO_SUCCESS;
    }
    let names = extension(ffi::TLSEXT_TYPE_SERVER_NAME);
    // A list with one entry: the list's length, the kind of name, the name's length, the name.
    let name = names.get(5..).unwrap_or_default();
    talk.ask(Question::Hello, &[&id, name, &protocols]);
    ffi::SSL_CLIENT_HELLO_RETRY
}

/// Called when OpenSSL looks for a session that has a number.
unsafe extern "C" fn find_session(
    ssl: *mut Ssl,
    _id: *const c_uchar,
    _length: c_int,
    copy: *mut c_int,
) -> *mut SslSession {
    // SAFETY: OpenSSL's place for whether it is to take a reference of its own.
    unsafe { *copy = 0 };
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    let talk = unsafe { shared_of(ssl) }.and_then(|shared| shared.talk.as_mut());
    let Some(resumed) = talk.and_then(|talk| talk.resumed.take()) else {
        return ptr::null_mut();
    };
    let raw = resumed.raw.as_ptr();
    // The reference is OpenSSL's from now on.
    mem::forget(resumed);
    raw
}

/// Called on a server before it shows a certificate, unless it goes on with a session.
unsafe extern "C" fn certificate(ssl: *mut Ssl, _: *mut c_void) -> c_int {
    const GO_ON: c_int = 1;
    const SUSPEND: c_int = -1;
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    let (Some(shared), Ok(openssl)) = (unsafe { shared_of(ssl) }, ffi::openssl()) else {
        return GO_ON;
    };
    let Some(talk) = &mut shared.talk else {
        return GO_ON;
    };
    if talk.shown {
        return GO_ON;
    }
    let mut name = Vec::new();
    if talk.asks.context {
        name = text_of!((openssl.SSL_get_servername)(ssl, 0));
    }
    let command = ffi::SSL_CTRL_GET_TLSEXT_STATUS_REQ_TYPE;
    // SAFETY: the SSL is alive; the command takes nothing.
    let wished = unsafe { (openssl.SSL_ctrl)(ssl, command, 0, ptr::null_mut()) };
    let status = talk.asks.status && wished == ffi::TLSEXT_STATUSTYPE_OCSP;
    if name.is_empty() && !status {
        talk.shown = true;
        return GO_ON;
    }
    let status: &[u8] = if status { b"1" } else { b"" };
    talk.ask(Question::Certificate, &[&name, status]);
    SUSPEND
}

/// Called on a server that may send an OCSP response, and on a client that has asked for one.
unsafe extern "C" fn status(ssl: *mut Ssl, _: *mut c_void) -> c_int {
    const ACCEPT: c_int = 1;
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    let (Some(shared), Ok(openssl)) = (unsafe { shared_of(ssl) }, ffi::openssl()) else {
        return ffi::SSL_TLSEXT_ERR_NOACK;
    };
    if !shared.server {
        let mut data: *const u8 = ptr::null();
        let command = ffi::SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP;
        let place = (&raw mut data).cast();
        // SAFETY: the command writes a pointer to what the SSL keeps, and returns its length.
        let length = unsafe { (openssl.SSL_ctrl)(ssl, command, 0, place) };
        // SAFETY: so many bytes are there.
        let response = unsafe { bytes(data, usize::try_from(length).unwrap_or(0)) };
        shared.news.push(News::Status(response));
        return ACCEPT;
    }
    let response = match &mut shared.talk {
        Some(talk) => mem::take(&mut talk.response),
        None => return ffi::SSL_TLSEXT_ERR_NOACK,
    };
    if response.is_empty() {
        return ffi::SSL_TLSEXT_ERR_NOACK;
    }
    // SAFETY: OpenSSL's own allocator, because OpenSSL frees it; the name is for its statistics.
    let copy = unsafe { (openssl.CRYPTO_malloc)(response.len(), c"ferronet".as_ptr(), 0) };
    if copy.is_null() {
        return ffi::SSL_TLSEXT_ERR_NOACK;
    }
    // SAFETY: so many bytes were allocated.
    unsafe { ptr::copy_nonoverlapping(response.as_ptr(), copy.cast(), response.len()) };
    let command = ffi::SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP;
    // SAFETY: the memory becomes the SSL's.
    unsafe { (openssl.SSL_ctrl)(ssl, command, response.len() as c_long, copy) };
    ffi::SSL_TLSEXT_ERR_OK
}
