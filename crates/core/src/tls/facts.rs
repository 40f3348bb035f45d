//! What can be asked of a session.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::ffi;
use super::session::Session;
use super::words::{Tidy, bytes, certificate, counted, parts, session_der, text_of};

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
    /// has sent with it, then nothing (no bytes), then the chain that was verified.
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
    /// The particulars of what the owner has been asked; see [`Question`](super::Question).
    Question,
}

impl Session {
    pub(crate) fn fact(&mut self, fact: Fact) -> Vec<u8> {
        let openssl = self.openssl;
        let _tidy = Tidy(openssl);
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
            Fact::Question => self.particulars(),
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
        let mut add = |der: Vec<u8>| all.extend_from_slice(&counted(&[&der]));
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
        for (at, (chain, first)) in [(sent, i32::from(!self.server)), (verified, 1)]
            .into_iter()
            .enumerate()
        {
            if at > 0 {
                add(Vec::new());
            }
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
        let _tidy = Tidy(self.openssl);
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
        (result == 1).then_some(material)
    }
}

fn flag(is: bool) -> Vec<u8> {
    if is { b"1".to_vec() } else { Vec::new() }
}

fn finished(get: impl Fn(*mut c_void, usize) -> usize) -> Vec<u8> {
    // EVP_MAX_MD_SIZE
    let mut message = vec![0_u8; 64];
    let length = get(message.as_mut_ptr().cast(), message.len());
    message.truncate(length);
    message
}
