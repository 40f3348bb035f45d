//! TLS for `verbs`: contexts of Node's as values that JavaScript keeps, and the numbers that `lib/` has for facts.

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::ptr;

use ferronet_core::tls::{self, Asks, Capture, Context, Fact, News, Start};
use ferronet_core::{Reactor, errno};
use napi::sys;

use crate::call::{Answer, Value};
use crate::memory::Bytes;

// Flags of `tlsStart`.
const SERVER: u32 = 1;
const REQUEST_CERTIFICATE: u32 = 2;
const REQUIRE_CERTIFICATE: u32 = 4;
const KEYLOG: u32 = 8;
const ASK_RESUME: u32 = 16;
const ASK_PROTOCOL: u32 = 32;
const ASK_CONTEXT: u32 = 64;
const ASK_STORE: u32 = 128;
const ASK_STATUS: u32 = 256;
const ASK_RESPONSE: u32 = 512;

// What is asked, in TLS_ASKS and `tlsAnswer`.
pub(crate) const HELLO: u32 = 1;
pub(crate) const CERTIFICATE: u32 = 2;
pub(crate) const STORE: u32 = 3;

/// In the order of the numbers that `tlsInfo` takes.
const FACTS: [Fact; 17] = [
    Fact::Failure,
    Fact::Verdict,
    Fact::Protocol,
    Fact::Cipher,
    Fact::Servername,
    Fact::Alpn,
    Fact::PeerCertificates,
    Fact::Certificate,
    Fact::Session,
    Fact::Ticket,
    Fact::Finished,
    Fact::PeerFinished,
    Fact::Reused,
    Fact::CloseNotify,
    Fact::EphemeralKey,
    Fact::SharedSigalgs,
    Fact::Question,
];

thread_local! {
    static CAPTURE: Cell<Option<Capture>> = const { Cell::new(None) };
}

/// Bytes for JavaScript to keep, or undefined.
pub(crate) type Copied = Option<Vec<u8>>;

impl Answer for Copied {
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        if let Some(bytes) = self {
            // SAFETY: the caller's promise; the bytes are copied. On failure the value stays null, which is undefined.
            unsafe {
                sys::napi_create_buffer_copy(
                    env,
                    bytes.len(),
                    bytes.as_ptr().cast(),
                    ptr::null_mut(),
                    &mut value,
                )
            };
        }
        value
    }

    fn panicked() -> Self {
        None
    }
}

/// Begins to notice contexts: an empty text, or why there is no TLS here.
pub(crate) fn capture() -> String {
    match Capture::begin() {
        Ok(capture) => {
            CAPTURE.set(Some(capture));
            String::new()
        }
        Err(reason) => reason.to_owned(),
    }
}

/// A context for JavaScript to keep, or undefined.
pub(crate) struct Captured(Option<Context>);

/// The one context that this thread has made since `capture`.
pub(crate) fn captured() -> Captured {
    Captured(CAPTURE.take().and_then(Capture::finish))
}

impl Answer for Captured {
    unsafe fn give(self, env: sys::napi_env) -> sys::napi_value {
        let mut value = ptr::null_mut();
        let Some(context) = self.0 else {
            return value;
        };
        let context = Box::into_raw(Box::new(context));
        // SAFETY: the caller's promise; `release` frees what is behind the pointer, once.
        let status = unsafe {
            sys::napi_create_external(
                env,
                context.cast(),
                Some(release),
                ptr::null_mut(),
                &mut value,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: nobody has it.
            drop(unsafe { Box::from_raw(context) });
            return ptr::null_mut();
        }
        value
    }

    fn panicked() -> Self {
        Self(None)
    }
}

unsafe extern "C" fn release(_env: sys::napi_env, context: *mut c_void, _hint: *mut c_void) {
    // SAFETY: made in `give`, and JavaScript has no more references to it.
    drop(unsafe { Box::from_raw(context.cast::<Context>()) });
}

/// What `tlsStart` takes beside the slot.
pub(crate) struct Arguments {
    pub(crate) context: Value,
    pub(crate) flags: u32,
    pub(crate) servername: String,
    pub(crate) protocols: Bytes,
    pub(crate) session: Bytes,
    pub(crate) unread: Bytes,
    pub(crate) shown: Value,
}

/// # Safety
/// In a call from JavaScript on the thread of `env`, and `context` is what `captured` has given.
pub(crate) unsafe fn start(
    env: sys::napi_env,
    reactor: &mut Reactor,
    slot: u32,
    arguments: Arguments,
) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let Some(context) = (unsafe { context(env, &arguments.context) }) else {
        return Err(errno::error(errno::EINVAL));
    };
    let (protocols, session, unread) =
        (arguments.protocols?, arguments.session?, arguments.unread?);
    let servername = tls::name(&arguments.servername);
    let servername = servername.filter(|name| !name.is_empty());
    let has = |flag| arguments.flags & flag != 0;
    let start = Start {
        server: has(SERVER),
        request_certificate: has(REQUEST_CERTIFICATE),
        require_certificate: has(REQUIRE_CERTIFICATE),
        servername: servername.as_deref(),
        protocols: protocols.bytes(),
        session: session.bytes(),
        unread: unread.bytes(),
        // SAFETY: as above.
        shown: unsafe { self::context(env, &arguments.shown) },
        keylog: has(KEYLOG),
        asks: Asks {
            resume: has(ASK_RESUME),
            protocol: has(ASK_PROTOCOL),
            context: has(ASK_CONTEXT),
            store: has(ASK_STORE),
            status: has(ASK_STATUS),
            response: has(ASK_RESPONSE),
        },
    };
    reactor.tls_start(slot, context, &start)
}

/// The context that a value is; `None` for any other value.
///
/// # Safety
/// In a call from JavaScript on the thread of `env`, for whose duration the result may be used; and if `value` is of this
/// kind at all, `captured` has given it.
unsafe fn context(env: sys::napi_env, value: &Value) -> Option<&Context> {
    let mut context = ptr::null_mut();
    // SAFETY: the caller's promise.
    let status = unsafe { sys::napi_get_value_external(env, value.0, &mut context) };
    // SAFETY: the caller's promise: JavaScript has a reference to it, and does not run during this call.
    (status == sys::Status::napi_ok).then(|| unsafe { &*context.cast_const().cast::<Context>() })
}

/// Has a server show the certificate of another context.
///
/// # Safety
/// In a call from JavaScript on the thread of `env`, and `given` is what `captured` has given.
pub(crate) unsafe fn show(
    env: sys::napi_env,
    reactor: &mut Reactor,
    slot: u32,
    given: &Value,
) -> io::Result<()> {
    // SAFETY: the caller's promise.
    match unsafe { context(env, given) } {
        Some(context) => reactor.tls_show(slot, context),
        None => Err(errno::error(errno::EINVAL)),
    }
}

/// What a question is answered with: for HELLO a session and a protocol, for CERTIFICATE a context and an OCSP response.
///
/// # Safety
/// In a call from JavaScript on the thread of `env`, and `given` is undefined or what `captured` has given.
pub(crate) unsafe fn answer(
    env: sys::napi_env,
    reactor: &mut Reactor,
    slot: u32,
    question: u32,
    given: &Value,
    [first, second]: [Bytes; 2],
) -> io::Result<()> {
    let (first, second) = (first?, second?);
    let answer = match question {
        HELLO => tls::Answer::Hello {
            session: first.bytes(),
            protocol: second.bytes(),
        },
        CERTIFICATE => tls::Answer::Certificate {
            // SAFETY: the caller's promise.
            context: unsafe { context(env, given) },
            response: first.bytes(),
        },
        STORE => tls::Answer::Stored,
        _ => return Err(errno::error(errno::EINVAL)),
    };
    reactor.tls_answer(slot, &answer)
}

/// Begins another handshake: nothing, or what OpenSSL says when it refuses.
pub(crate) fn renegotiate(
    reactor: &mut Reactor,
    slot: u32,
    flags: u32,
    verifies: bool,
) -> io::Result<Copied> {
    let has = |flag| flags & flag != 0;
    let verify = verifies.then_some((has(REQUEST_CERTIFICATE), has(REQUIRE_CERTIFICATE)));
    // No text is that of a session that is not open.
    let begun = reactor.tls_renegotiate(slot, verify);
    Ok(begun.unwrap_or_else(|_| Err(Vec::new())).err())
}

/// The fact of this number; undefined for no bytes.
pub(crate) fn info(reactor: &mut Reactor, slot: u32, fact: u32) -> io::Result<Copied> {
    let Some(fact) = FACTS.get(fact as usize) else {
        return Ok(None);
    };
    let bytes = reactor.tls_fact(slot, *fact)?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// The next of the news: "s" and a session, "k" and a line of a keylog, "o" and an OCSP response; "b" and "e" are the
/// begin and the end of another handshake.
pub(crate) fn news(reactor: &mut Reactor, slot: u32) -> io::Result<Copied> {
    let (kind, bytes) = match reactor.tls_news(slot)? {
        None => return Ok(None),
        Some(News::Session(bytes)) => (b's', bytes),
        Some(News::Keylog(bytes)) => (b'k', bytes),
        Some(News::Status(bytes)) => (b'o', bytes),
        Some(News::Renegotiating) => (b'b', Vec::new()),
        Some(News::Renegotiated) => (b'e', Vec::new()),
    };
    Ok(Some([&[kind], bytes.as_slice()].concat()))
}
