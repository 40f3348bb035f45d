//! OpenSSL as the running process has it: Node carries it and exports its functions for addons. They are looked up by
//! name when TLS is first wanted; nothing is linked, so that the addon also loads where there is no OpenSSL.
//!
//! Only what has been in OpenSSL under the same name and with the same arguments since 3.0 is used. Names are OpenSSL's.

use std::ffi::{CStr, c_char, c_int, c_long, c_uchar, c_uint, c_ulong, c_void};
use std::mem;
use std::sync::OnceLock;

/// Types of which we only have pointers.
macro_rules! opaque {
    ($($name:ident)*) => { $(
        #[repr(C)]
        pub(crate) struct $name { _opaque: [u8; 0] }
    )* };
}

opaque! { Ssl SslCtx SslSession SslCipher X509 Bio BioMethod Stack Pkey }

/// For what has been made, and for what is about to be freed.
pub(crate) type ExData =
    unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, c_int, c_long, *mut c_void);
pub(crate) type VerifyCallback = unsafe extern "C" fn(c_int, *mut c_void) -> c_int;
pub(crate) type AlpnCallback = unsafe extern "C" fn(
    *mut Ssl,
    *mut *const c_uchar,
    *mut c_uchar,
    *const c_uchar,
    c_uint,
    *mut c_void,
) -> c_int;
pub(crate) type HelloCallback = unsafe extern "C" fn(*mut Ssl, *mut c_int, *mut c_void) -> c_int;
pub(crate) type CertificateCallback = unsafe extern "C" fn(*mut Ssl, *mut c_void) -> c_int;
pub(crate) type StatusCallback = unsafe extern "C" fn(*mut Ssl, *mut c_void) -> c_int;
pub(crate) type AnyCallback = unsafe extern "C" fn();
pub(crate) type InfoCallback = unsafe extern "C" fn(*const Ssl, c_int, c_int);
pub(crate) type FindSessionCallback =
    unsafe extern "C" fn(*mut Ssl, *const c_uchar, c_int, *mut c_int) -> *mut SslSession;
pub(crate) type NewSessionCallback = unsafe extern "C" fn(*mut Ssl, *mut SslSession) -> c_int;
pub(crate) type KeylogCallback = unsafe extern "C" fn(*const Ssl, *const c_char);
pub(crate) type ErrorCallback = unsafe extern "C" fn(*const c_char, usize, *mut c_void) -> c_int;
pub(crate) type BioRead = unsafe extern "C" fn(*mut Bio, *mut c_char, c_int) -> c_int;
pub(crate) type BioWrite = unsafe extern "C" fn(*mut Bio, *const c_char, c_int) -> c_int;
pub(crate) type BioCtrl = unsafe extern "C" fn(*mut Bio, c_int, c_long, *mut c_void) -> c_long;

macro_rules! functions {
    ($( fn $name:ident($($argument:ty),*) $(-> $result:ty)?; )*) => {
        /// The functions that we use.
        #[expect(non_snake_case, reason = "OpenSSL's names")]
        pub(crate) struct OpenSsl {
            $( pub(crate) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?, )*
        }

        impl OpenSsl {
            /// The first function that is not there is the error.
            fn find() -> Result<Self, &'static str> {
                Ok(Self { $(
                    $name: {
                        const NAME: &str = concat!(stringify!($name), "\0");
                        let found = symbol(CStr::from_bytes_with_nul(NAME.as_bytes()).map_err(|_| NAME)?);
                        if found.is_null() {
                            return Err(stringify!($name));
                        }
                        // SAFETY: OpenSSL 3's headers declare the function of this name with this type; a pointer to
                        // a function has the size of a pointer on every platform that we support.
                        unsafe {
                            mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(found)
                        }
                    },
                )* })
            }
        }
    };
}

functions! {
    fn OPENSSL_version_major() -> c_uint;
    fn CRYPTO_malloc(usize, *const c_char, c_int) -> *mut c_void;
    fn CRYPTO_get_ex_new_index(c_int, c_long, *mut c_void, Option<ExData>, *mut c_void, Option<ExData>) -> c_int;

    fn ERR_clear_error();
    fn ERR_peek_error() -> c_ulong;
    fn ERR_print_errors_cb(ErrorCallback, *mut c_void);
    fn ERR_lib_error_string(c_ulong) -> *const c_char;
    fn ERR_reason_error_string(c_ulong) -> *const c_char;

    fn BIO_get_new_index() -> c_int;
    fn BIO_meth_new(c_int, *const c_char) -> *mut BioMethod;
    fn BIO_meth_set_read(*mut BioMethod, BioRead) -> c_int;
    fn BIO_meth_set_write(*mut BioMethod, BioWrite) -> c_int;
    fn BIO_meth_set_ctrl(*mut BioMethod, BioCtrl) -> c_int;
    fn BIO_new(*const BioMethod) -> *mut Bio;
    fn BIO_set_data(*mut Bio, *mut c_void);
    fn BIO_get_data(*mut Bio) -> *mut c_void;
    fn BIO_set_init(*mut Bio, c_int);
    fn BIO_set_flags(*mut Bio, c_int);

    fn SSL_CTX_up_ref(*mut SslCtx) -> c_int;
    fn SSL_CTX_free(*mut SslCtx);
    fn SSL_CTX_set_alpn_select_cb(*mut SslCtx, Option<AlpnCallback>, *mut c_void);
    fn SSL_CTX_sess_set_new_cb(*mut SslCtx, Option<NewSessionCallback>);
    fn SSL_CTX_sess_set_get_cb(*mut SslCtx, Option<FindSessionCallback>);
    fn SSL_CTX_set_client_hello_cb(*mut SslCtx, Option<HelloCallback>, *mut c_void);
    fn SSL_CTX_callback_ctrl(*mut SslCtx, c_int, Option<AnyCallback>) -> c_long;
    fn SSL_CTX_ctrl(*mut SslCtx, c_int, c_long, *mut c_void) -> c_long;
    fn SSL_CTX_get0_certificate(*const SslCtx) -> *mut X509;
    fn SSL_CTX_get0_privatekey(*const SslCtx) -> *mut Pkey;
    fn SSL_CTX_get_cert_store(*const SslCtx) -> *mut c_void;
    fn SSL_CTX_get_client_CA_list(*const SslCtx) -> *mut Stack;
    fn SSL_CTX_set_keylog_callback(*mut SslCtx, Option<KeylogCallback>);

    fn SSL_new(*mut SslCtx) -> *mut Ssl;
    fn SSL_free(*mut Ssl);
    fn SSL_get_SSL_CTX(*const Ssl) -> *mut SslCtx;
    fn SSL_set_bio(*mut Ssl, *mut Bio, *mut Bio);
    fn SSL_set_connect_state(*mut Ssl);
    fn SSL_set_accept_state(*mut Ssl);
    fn SSL_set_verify(*mut Ssl, c_int, Option<VerifyCallback>);
    fn SSL_set_ex_data(*mut Ssl, c_int, *mut c_void) -> c_int;
    fn SSL_get_ex_data(*const Ssl, c_int) -> *mut c_void;
    fn SSL_ctrl(*mut Ssl, c_int, c_long, *mut c_void) -> c_long;
    fn SSL_set_cert_cb(*mut Ssl, Option<CertificateCallback>, *mut c_void);
    fn SSL_set_info_callback(*mut Ssl, Option<InfoCallback>);
    fn SSL_certs_clear(*mut Ssl);
    fn SSL_use_certificate(*mut Ssl, *mut X509) -> c_int;
    fn SSL_use_PrivateKey(*mut Ssl, *mut Pkey) -> c_int;
    fn SSL_set_client_CA_list(*mut Ssl, *mut Stack);
    fn SSL_dup_CA_list(*const Stack) -> *mut Stack;
    fn SSL_client_hello_get0_session_id(*mut Ssl, *mut *const c_uchar) -> usize;
    fn SSL_client_hello_get0_ext(*mut Ssl, c_uint, *mut *const c_uchar, *mut usize) -> c_int;
    fn SSL_set_alpn_protos(*mut Ssl, *const c_uchar, c_uint) -> c_int;
    fn SSL_select_next_proto(*mut *mut c_uchar, *mut c_uchar, *const c_uchar, c_uint, *const c_uchar, c_uint) -> c_int;

    fn SSL_do_handshake(*mut Ssl) -> c_int;
    fn SSL_renegotiate(*mut Ssl) -> c_int;
    fn SSL_renegotiate_pending(*const Ssl) -> c_int;
    fn SSL_version(*const Ssl) -> c_int;
    fn SSL_read_ex(*mut Ssl, *mut c_void, usize, *mut usize) -> c_int;
    fn SSL_write_ex(*mut Ssl, *const c_void, usize, *mut usize) -> c_int;
    fn SSL_shutdown(*mut Ssl) -> c_int;
    fn SSL_get_error(*const Ssl, c_int) -> c_int;

    fn SSL_get_verify_result(*const Ssl) -> c_long;
    fn X509_verify_cert_error_string(c_long) -> *const c_char;
    fn SSL_get_version(*const Ssl) -> *const c_char;
    fn SSL_get_current_cipher(*const Ssl) -> *const SslCipher;
    fn SSL_CIPHER_get_name(*const SslCipher) -> *const c_char;
    fn SSL_CIPHER_standard_name(*const SslCipher) -> *const c_char;
    fn SSL_CIPHER_get_version(*const SslCipher) -> *const c_char;
    fn SSL_CIPHER_get_auth_nid(*const SslCipher) -> c_int;
    fn SSL_get_servername(*const Ssl, c_int) -> *const c_char;
    fn SSL_get0_alpn_selected(*const Ssl, *mut *const c_uchar, *mut c_uint);
    fn SSL_get1_peer_certificate(*const Ssl) -> *mut X509;
    fn SSL_get_peer_cert_chain(*const Ssl) -> *mut Stack;
    fn SSL_get0_verified_chain(*const Ssl) -> *mut Stack;
    fn SSL_get_certificate(*const Ssl) -> *mut X509;
    fn OPENSSL_sk_num(*const Stack) -> c_int;
    fn OPENSSL_sk_value(*const Stack, c_int) -> *mut c_void;
    fn i2d_X509(*const X509, *mut *mut c_uchar) -> c_int;
    fn X509_free(*mut X509);
    fn SSL_get_session(*const Ssl) -> *mut SslSession;
    fn SSL_set_session(*mut Ssl, *mut SslSession) -> c_int;
    fn SSL_session_reused(*const Ssl) -> c_int;
    fn i2d_SSL_SESSION(*const SslSession, *mut *mut c_uchar) -> c_int;
    fn d2i_SSL_SESSION(*mut *mut SslSession, *mut *const c_uchar, c_long) -> *mut SslSession;
    fn SSL_SESSION_get_id(*const SslSession, *mut c_uint) -> *const c_uchar;
    fn SSL_SESSION_free(*mut SslSession);
    fn SSL_SESSION_get0_ticket(*const SslSession, *mut *const c_uchar, *mut usize);
    fn SSL_SESSION_get_protocol_version(*const SslSession) -> c_int;
    fn SSL_get_finished(*const Ssl, *mut c_void, usize) -> usize;
    fn SSL_get_peer_finished(*const Ssl, *mut c_void, usize) -> usize;
    fn SSL_export_keying_material(*mut Ssl, *mut c_uchar, usize, *const c_char, usize, *const c_uchar, usize, c_int) -> c_int;
    fn SSL_get_shared_sigalgs(*mut Ssl, c_int, *mut c_int, *mut c_int, *mut c_int, *mut c_uchar, *mut c_uchar) -> c_int;
    fn SSL_group_to_name(*const Ssl, c_int) -> *const c_char;
    fn OBJ_nid2sn(c_int) -> *const c_char;
    fn EVP_PKEY_free(*mut Pkey);
    fn EVP_PKEY_get_id(*const Pkey) -> c_int;
    fn EVP_PKEY_get_bits(*const Pkey) -> c_int;
    fn EVP_PKEY_get_group_name(*const Pkey, *mut c_char, usize, *mut usize) -> c_int;
}

// Of OpenSSL's headers.
pub(crate) const CRYPTO_EX_INDEX_SSL: c_int = 0;
pub(crate) const CRYPTO_EX_INDEX_SSL_CTX: c_int = 1;
pub(crate) const BIO_TYPE_SOURCE_SINK: c_int = 0x0400;
pub(crate) const BIO_FLAGS_READ_RETRY: c_int = 0x01 | 0x08;
pub(crate) const BIO_CTRL_FLUSH: c_int = 11;
pub(crate) const SSL_ERROR_WANT_READ: c_int = 2;
pub(crate) const SSL_ERROR_WANT_X509_LOOKUP: c_int = 4;
pub(crate) const SSL_ERROR_ZERO_RETURN: c_int = 6;
pub(crate) const SSL_ERROR_WANT_CLIENT_HELLO_CB: c_int = 11;
pub(crate) const SSL_CLIENT_HELLO_SUCCESS: c_int = 1;
pub(crate) const SSL_CLIENT_HELLO_RETRY: c_int = -1;
pub(crate) const TLSEXT_TYPE_SERVER_NAME: c_uint = 0;
pub(crate) const TLSEXT_TYPE_ALPN: c_uint = 16;
pub(crate) const TLSEXT_TYPE_SESSION_TICKET: c_uint = 35;
pub(crate) const TLSEXT_STATUSTYPE_OCSP: c_long = 1;
pub(crate) const SSL_CB_HANDSHAKE_START: c_int = 0x10;
pub(crate) const SSL_CB_HANDSHAKE_DONE: c_int = 0x20;
pub(crate) const SSL_VERIFY_PEER: c_int = 1;
pub(crate) const SSL_VERIFY_FAIL_IF_NO_PEER_CERT: c_int = 2;
pub(crate) const SSL_CTRL_MODE: c_int = 33;
pub(crate) const SSL_CTRL_SET_MAX_SEND_FRAGMENT: c_int = 52;
pub(crate) const SSL_CTRL_SET_TLSEXT_HOSTNAME: c_int = 55;
pub(crate) const SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB: c_int = 63;
pub(crate) const SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE: c_int = 65;
pub(crate) const SSL_CTRL_GET_TLSEXT_STATUS_REQ_OCSP_RESP: c_int = 70;
pub(crate) const SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP: c_int = 71;
pub(crate) const SSL_CTRL_CHAIN: c_int = 88;
pub(crate) const SSL_CTRL_SET_VERIFY_CERT_STORE: c_int = 106;
pub(crate) const SSL_CTRL_GET_CHAIN_CERTS: c_int = 115;
pub(crate) const SSL_CTRL_GET_TLSEXT_STATUS_REQ_TYPE: c_int = 127;
pub(crate) const SSL_CTRL_GET_PEER_TMP_KEY: c_int = 109;
pub(crate) const SSL_CTRL_GET_NEGOTIATED_GROUP: c_int = 134;
pub(crate) const SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER: c_long = 0x2;
pub(crate) const SSL_MODE_AUTO_RETRY: c_long = 0x4;
pub(crate) const SSL_MODE_RELEASE_BUFFERS: c_long = 0x10;
pub(crate) const SSL_TLSEXT_ERR_OK: c_int = 0;
pub(crate) const SSL_TLSEXT_ERR_ALERT_FATAL: c_int = 2;
pub(crate) const SSL_TLSEXT_ERR_NOACK: c_int = 3;
pub(crate) const OPENSSL_NPN_NEGOTIATED: c_int = 1;
pub(crate) const NID_AUTH_PSK: c_int = 1048;
pub(crate) const TLS1_3_VERSION: c_int = 0x0304;
pub(crate) const X509_V_OK: c_long = 0;
pub(crate) const X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: c_long = 2;
pub(crate) const EVP_PKEY_DH: c_int = 28;
pub(crate) const EVP_PKEY_EC: c_int = 408;

/// The process's OpenSSL, or why it cannot be used.
pub(crate) fn openssl() -> Result<&'static OpenSsl, &'static str> {
    static FOUND: OnceLock<Result<OpenSsl, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let openssl = OpenSsl::find()
            .map_err(|name| format!("the host does not export OpenSSL 3 ({name})"))?;
        // SAFETY: takes nothing, and can be called at any time.
        match unsafe { (openssl.OPENSSL_version_major)() } {
            3 => Ok(openssl),
            other => Err(format!(
                "the host has OpenSSL {other}, and 3 is what was tested"
            )),
        }
    });
    found.as_ref().map_err(String::as_str)
}

#[cfg(unix)]
fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: the name is NUL-terminated; RTLD_DEFAULT needs no handle.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

#[cfg(windows)]
fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: null is the executable, which is not unloaded.
    let executable = unsafe { GetModuleHandleW(std::ptr::null()) };
    // SAFETY: the name is NUL-terminated, and the module is there.
    unsafe { GetProcAddress(executable, name.as_ptr()) }
}

#[cfg(windows)]
#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetModuleHandleW(name: *const u16) -> *mut c_void;
    fn GetProcAddress(module: *mut c_void, name: *const c_char) -> *mut c_void;
    fn GetModuleHandleExW(flags: u32, name: *const u16, module: *mut *mut c_void) -> c_int;
}

/// Keeps this library in the process for good: OpenSSL has pointers to functions of ours from now on, and Node closes
/// an addon when the last worker that has loaded it ends.
#[cfg(unix)]
pub(crate) fn stay_loaded() {
    let mut info: libc::Dl_info = {
        // SAFETY: plain data, for which all zeros are valid.
        unsafe { mem::zeroed() }
    };
    let here = stay_loaded as *const c_void;
    // SAFETY: an address in this library, and a place for the answer.
    if unsafe { libc::dladdr(here, &raw mut info) } == 0 || info.dli_fname.is_null() {
        return;
    }
    // SAFETY: the name that the loader has for this library; a handle too many is how it stays.
    unsafe {
        libc::dlopen(
            info.dli_fname,
            libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
        )
    };
}

#[cfg(windows)]
pub(crate) fn stay_loaded() {
    const PIN_BY_ADDRESS: u32 = 0x1 | 0x4;
    let here = stay_loaded as *const u16;
    let mut module = std::ptr::null_mut();
    // SAFETY: with these flags the name is an address in this library, which the loader then never unloads.
    unsafe { GetModuleHandleExW(PIN_BY_ADDRESS, here, &mut module) };
}
