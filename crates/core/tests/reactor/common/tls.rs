//! TLS for tests: the OpenSSL of the system, contexts as Node would make them, and two ends that have shaken hands.

use std::ffi::{CStr, c_int, c_long, c_uchar, c_void};
use std::fs;
use std::process::Command;
use std::ptr;
use std::sync::OnceLock;

use ferronet_core::TlsEvent;
use ferronet_core::tls::{Asks, Capture, Context, Start, unavailable};

use super::{Directory, Host};

/// What these tests call of OpenSSL themselves.
pub(crate) struct Library {
    pub(crate) method: unsafe extern "C" fn() -> *const c_void,
    pub(crate) new: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    pub(crate) free: unsafe extern "C" fn(*mut c_void),
    new_session: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    free_session: unsafe extern "C" fn(*mut c_void),
    use_certificate: unsafe extern "C" fn(*mut c_void, c_int, *const c_uchar) -> c_int,
    use_key: unsafe extern "C" fn(c_int, *mut c_void, *const c_uchar, c_long) -> c_int,
    certificate: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    store: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    trust: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
    control: unsafe extern "C" fn(*mut c_void, c_int, c_long, *mut c_void) -> c_long,
    set_options: unsafe extern "C" fn(*mut c_void, u64) -> u64,
    identities: [Identity; 2],
}

/// Key and certificate, as DER.
struct Identity {
    key: Vec<u8>,
    certificate: Vec<u8>,
}

pub(crate) fn symbol<T: Copy>(name: &CStr) -> T {
    // SAFETY: NUL-terminated.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    assert!(!found.is_null(), "{name:?}");
    assert_eq!(size_of::<T>(), size_of::<*mut c_void>());
    // SAFETY: the callers name the type that OpenSSL's headers have for the function.
    unsafe { std::mem::transmute_copy(&found) }
}

/// The system's OpenSSL, for all to see as if the process had it, and certificates for localhost and elsewhere.
pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let names: &[&CStr] = if cfg!(target_os = "macos") {
            &[
                c"/opt/homebrew/opt/openssl@3/lib/libssl.dylib",
                c"libssl.dylib",
            ]
        } else {
            &[c"libssl.so.3"]
        };
        let found = names.iter().any(|name| {
            // SAFETY: NUL-terminated; the library has no other users in this process.
            !unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) }.is_null()
        });
        assert!(found, "these tests need OpenSSL 3 (libssl3)");
        assert_eq!(unavailable(), None);
        Library {
            method: symbol(c"TLS_method"),
            new: symbol(c"SSL_CTX_new"),
            free: symbol(c"SSL_CTX_free"),
            new_session: symbol(c"SSL_new"),
            free_session: symbol(c"SSL_free"),
            use_certificate: symbol(c"SSL_CTX_use_certificate_ASN1"),
            use_key: symbol(c"SSL_CTX_use_PrivateKey_ASN1"),
            certificate: symbol(c"SSL_CTX_get0_certificate"),
            store: symbol(c"SSL_CTX_get_cert_store"),
            trust: symbol(c"X509_STORE_add_cert"),
            control: symbol(c"SSL_CTX_ctrl"),
            set_options: symbol(c"SSL_CTX_set_options"),
            identities: ["localhost", "elsewhere"].map(identity),
        }
    })
}

fn identity(name: &str) -> Identity {
    let directory = Directory::new();
    let [pem, key, certificate] =
        ["key.pem", "key.der", "cert.der"].map(|name| directory.path(name));
    let subject = format!("/CN={name}");
    let run = |arguments: &[&str]| {
        let outcome = Command::new("openssl").args(arguments).output();
        let outcome = outcome.expect("openssl");
        assert!(outcome.status.success(), "{outcome:?}");
    };
    let curve = "ec_paramgen_curve:prime256v1";
    run(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        curve,
        "-nodes",
        "-days",
        "2",
        "-subj",
        &subject,
        "-keyout",
        &pem,
        "-outform",
        "DER",
        "-out",
        &certificate,
    ]);
    run(&[
        "pkey",
        "-in",
        &pem,
        "-traditional",
        "-outform",
        "DER",
        "-out",
        &key,
    ]);
    let [key, certificate] = [key, certificate].map(|path| fs::read(path).expect("just made"));
    Identity { key, certificate }
}

const EVP_PKEY_EC: c_int = 408;
const SSL_CTRL_SET_SESS_CACHE_MODE: c_int = 44;
const SSL_CTRL_SET_MAX_PROTO_VERSION: c_int = 124;
const TLS1_2_VERSION: c_long = 0x0303;
const SSL_OP_NO_TICKET: u64 = 1 << 14;
const SSL_OP_ALLOW_CLIENT_RENEGOTIATION: u64 = 1 << 8;
/// Sessions of both roles are told of, and none is kept.
const SSL_SESS_CACHE_BOTH_NO_INTERNAL: c_long = 0x303;

/// How a context differs from that of a TLS 1.3 server on localhost.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kind {
    /// It trusts its own certificate.
    pub(crate) trusts: bool,
    pub(crate) elsewhere: bool,
    /// TLS 1.2, sessions by their numbers, and further handshakes allowed as Node allows them.
    pub(crate) old: bool,
}

/// A context with the certificate for localhost and its key, which trusts it too if `trusts`.
pub(crate) fn context(trusts: bool) -> Context {
    context_of(Kind {
        trusts,
        ..Kind::default()
    })
}

pub(crate) fn context_of(kind: Kind) -> Context {
    let library = library();
    let capture = Capture::begin().expect("OpenSSL");
    let raw = raw_context(kind);
    let context = capture.finish().expect("one context");
    // SAFETY: our reference; the captured context has its own.
    unsafe { (library.free)(raw) };
    context
}

/// The context of a session that somebody else has made.
pub(crate) fn borrowed_context(kind: Kind) -> Context {
    let library = library();
    let raw = raw_context(kind);
    let capture = Capture::begin().expect("OpenSSL");
    // SAFETY: alive.
    let session = unsafe { (library.new_session)(raw) };
    assert!(!session.is_null());
    let context = capture.finish().expect("one session");
    // SAFETY: ours.
    unsafe { (library.free_session)(session) };
    // SAFETY: as in `context_of`.
    unsafe { (library.free)(raw) };
    context
}

fn raw_context(kind: Kind) -> *mut c_void {
    let library = library();
    let identity = &library.identities[usize::from(kind.elsewhere)];
    // SAFETY: takes nothing.
    let method = unsafe { (library.method)() };
    // SAFETY: OpenSSL's own method.
    let raw = unsafe { (library.new)(method) };
    assert!(!raw.is_null());
    let length = identity.certificate.len() as c_int;
    // SAFETY: alive, and so many bytes are there.
    let certificate =
        unsafe { (library.use_certificate)(raw, length, identity.certificate.as_ptr()) };
    let length = identity.key.len() as c_long;
    // SAFETY: as above.
    let key = unsafe { (library.use_key)(EVP_PKEY_EC, raw, identity.key.as_ptr(), length) };
    assert_eq!((certificate, key), (1, 1));
    let control = |command, number| {
        // SAFETY: alive; the commands take a number.
        unsafe { (library.control)(raw, command, number, ptr::null_mut()) };
    };
    control(
        SSL_CTRL_SET_SESS_CACHE_MODE,
        SSL_SESS_CACHE_BOTH_NO_INTERNAL,
    );
    if kind.old {
        control(SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_2_VERSION);
        let options = SSL_OP_NO_TICKET | SSL_OP_ALLOW_CLIENT_RENEGOTIATION;
        // SAFETY: alive.
        unsafe { (library.set_options)(raw, options) };
    }
    if kind.trusts {
        // SAFETY: alive; the context keeps what it returns.
        let own = unsafe { (library.certificate)(raw) };
        // SAFETY: as above.
        let store = unsafe { (library.store)(raw) };
        // SAFETY: as above; the store takes a reference of its own.
        assert_eq!(unsafe { (library.trust)(store, own) }, 1);
    }
    raw
}

pub(crate) const CLIENT: Start<'_> = Start {
    server: false,
    request_certificate: false,
    require_certificate: false,
    servername: Some(c"localhost"),
    protocols: b"\x01b\x01a",
    session: &[],
    unread: &[],
    shown: None,
    keylog: false,
    asks: NOTHING,
};

pub(crate) const NOTHING: Asks = Asks {
    resume: false,
    protocol: false,
    context: false,
    store: false,
    status: false,
    response: false,
};

pub(crate) fn server() -> Start<'static> {
    Start {
        server: true,
        servername: None,
        protocols: b"\x01a",
        ..CLIENT
    }
}

pub(crate) fn is_secure(host: &mut Host, slot: u32) -> bool {
    let events = &host.seen.of(slot).tls;
    assert!(!events.contains(&TlsEvent::Failed), "{events:?}");
    events
        .iter()
        .any(|event| matches!(event, TlsEvent::Secure { .. }))
}

/// A client, which trusts the certificate if `trusts`, and its server, at the beginning of the handshake.
pub(crate) fn starting_pair(host: &mut Host, trusts: bool) -> (u32, u32) {
    let (near, far) = host.tcp_pair();
    host.reactor
        .tls_start(near, &context(trusts), &CLIENT)
        .expect("start");
    host.reactor
        .tls_start(far, &context(false), &server())
        .expect("start");
    (near, far)
}

/// Two ends in TLS, open.
pub(crate) fn secure_pair(host: &mut Host) -> (u32, u32) {
    let pair = starting_pair(host, true);
    open(host, pair);
    pair
}

/// Lets bytes through as soon as each handshake is done.
pub(crate) fn open(host: &mut Host, (near, far): (u32, u32)) {
    let mut waiting = vec![near, far];
    host.until(|host| {
        waiting.retain(|slot| {
            let secure = is_secure(host, *slot);
            if secure {
                host.reactor.tls_open(*slot).expect("open");
                host.read(*slot);
            }
            !secure
        });
        waiting.is_empty()
    });
}
