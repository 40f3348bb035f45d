//! What OpenSSL calls: functions that copy bytes or take a note, and never run JavaScript. (Those that suspend a
//! handshake are in `questions`.)

use std::ffi::{c_char, c_int, c_long, c_uchar, c_uint, c_void};
use std::io;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::OnceLock;

use super::context::Context;
use super::ffi::{self, Bio, OpenSsl, Ssl, SslSession};
use super::questions::Talk;
use super::session::News;
use super::words::{bytes, refused, session_der, text};

/// What OpenSSL's calls reach: it stays where it is for as long as the SSL lives.
pub(super) struct Shared {
    pub(super) input: *const u8,
    pub(super) left: usize,
    pub(super) output: Vec<u8>,
    pub(super) server: bool,
    /// A server's protocols.
    pub(super) protocols: Vec<u8>,
    pub(super) news: Vec<News>,
    /// Whether they are wanted among the news.
    pub(super) keylog: bool,
    /// If anything is asked.
    pub(super) talk: Option<Box<Talk>>,
}

pub(super) struct Method(pub(super) NonNull<ffi::BioMethod>);

// SAFETY: a table of functions that is not changed once it is made.
unsafe impl Send for Method {}
// SAFETY: as above.
unsafe impl Sync for Method {}

/// Made once in a process.
pub(super) struct Indices {
    pub(super) of_ssl: c_int,
    pub(super) method: Method,
}

pub(super) fn indices(openssl: &OpenSsl) -> io::Result<&'static Indices> {
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
            None,
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
pub(super) unsafe fn shared_of<'a>(ssl: *const Ssl) -> Option<&'a mut Shared> {
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
pub(super) unsafe extern "C" fn go_on(_verdict: c_int, _store: *mut c_void) -> c_int {
    1
}

pub(super) unsafe extern "C" fn select_protocol(
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
    if let Some(talk) = &shared.talk
        && talk.asks.protocol
    {
        // SAFETY: OpenSSL says that so many bytes are there.
        let offered = unsafe { slice::from_raw_parts(offered, offered_length as usize) };
        return match find(offered, &talk.protocol) {
            Some(found) => {
                // SAFETY: OpenSSL's places for the answer; it points into the list, which outlives the callback.
                unsafe { *selected = found.as_ptr() };
                // SAFETY: as above; in the list its length is a byte.
                unsafe { *selected_length = found.len() as c_uchar };
                ffi::SSL_TLSEXT_ERR_OK
            }
            None => ffi::SSL_TLSEXT_ERR_ALERT_FATAL,
        };
    }
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

/// A protocol in a list of them, each behind its length.
fn find<'a>(mut list: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    while let [length, rest @ ..] = list {
        let (protocol, behind) = rest.split_at_checked(usize::from(*length))?;
        if protocol == wanted {
            return Some(protocol);
        }
        list = behind;
    }
    None
}

/// Larger sessions are not worth keeping, as in Node.
const MAX_SESSION: usize = 10 * 1024;

unsafe extern "C" fn new_session(ssl: *mut Ssl, session: *mut SslSession) -> c_int {
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    let (Some(shared), Ok(openssl)) = (unsafe { shared_of(ssl) }, ffi::openssl()) else {
        return 0;
    };
    // A server keeps none unless it says so: it gives tickets.
    let talk = shared.talk.as_mut().filter(|talk| talk.asks.store);
    if !shared.server || talk.is_some() {
        let der = session_der(openssl, session);
        if der.len() > MAX_SESSION {
            return 0;
        }
        match talk {
            None => shared.news.push(News::Session(der)),
            Some(talk) => {
                let mut length = 0;
                // SAFETY: the session is alive.
                let id = unsafe { (openssl.SSL_SESSION_get_id)(session, &mut length) };
                // SAFETY: so many bytes are there for as long as the session is.
                talk.keep(&unsafe { bytes(id, length as usize) }, &der);
            }
        }
    }
    // We have not kept the reference.
    0
}

pub(super) unsafe extern "C" fn keylog(ssl: *const Ssl, line: *const c_char) {
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    if let Some(shared) = unsafe { shared_of(ssl) }
        && shared.keylog
    {
        // SAFETY: NUL-terminated.
        shared.news.push(News::Keylog(unsafe { text(line) }));
    }
}

/// Called when handshakes that follow the first one begin and end.
pub(super) unsafe extern "C" fn info(ssl: *const Ssl, what: c_int, _: c_int) {
    // SAFETY: OpenSSL calls this in a call of the SSL's session.
    let (Some(shared), Ok(openssl)) = (unsafe { shared_of(ssl) }, ffi::openssl()) else {
        return;
    };
    if what & ffi::SSL_CB_HANDSHAKE_START != 0 {
        shared.news.push(News::Renegotiating);
    }
    // A server that asks for a handshake is told of an end too, which is that of the asking.
    // SAFETY: the SSL is alive.
    let pending = unsafe { (openssl.SSL_renegotiate_pending)(ssl) };
    if what & ffi::SSL_CB_HANDSHAKE_DONE != 0 && pending == 0 {
        shared.news.push(News::Renegotiated);
    }
}
