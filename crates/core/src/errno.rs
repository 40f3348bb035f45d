//! Error numbers as libuv counts them: what JavaScript sees as `err.errno`, and names as `err.code`.
//!
//! On Unix libuv's number is the negated errno, on Windows a number of its own (-4xxx). So `err.errno` differs between
//! platforms just as it does in Node.

use std::io;

/// The peer will send no more. It is not an error of the system, so libuv has one number for it on every platform.
pub const EOF: i32 = -4095;
/// An error that has no name.
pub const UNKNOWN: i32 = -4094;

macro_rules! errors {
    ($($name:ident $windows:literal => $wsa:literal $(| $other:literal)*,)*) => {
        $(
            #[cfg(unix)]
            pub const $name: i32 = -libc::$name;
            #[cfg(windows)]
            pub const $name: i32 = $windows;
        )*

        /// The name of an error number, as in `err.code`.
        pub fn name(code: i32) -> &'static str {
            match code {
                EOF => "EOF",
                $($name => stringify!($name),)*
                _ => "UNKNOWN",
            }
        }

        /// The number of an error's name, [`UNKNOWN`] if there is no such error.
        pub fn by_name(name: &str) -> i32 {
            match name {
                "EOF" => EOF,
                $(stringify!($name) => $name,)*
                _ => UNKNOWN,
            }
        }

        #[cfg(windows)]
        fn from_raw(raw: i32) -> i32 {
            match raw {
                // ERROR_BROKEN_PIPE: the other end has been closed.
                109 => EOF,
                $($wsa $(| $other)* => $name,)*
                _ => UNKNOWN,
            }
        }

        #[cfg(windows)]
        fn to_raw(code: i32) -> Option<i32> {
            match code {
                $($name => Some($wsa),)*
                _ => None,
            }
        }
    };
}

// Name, libuv's number on Windows, and the system codes it stands for there: Winsock's first, then the others.
errors! {
    EACCES -4092 => 10013 | 998,
    EADDRINUSE -4091 => 10048 | 1227,
    EADDRNOTAVAIL -4090 => 10049,
    EAFNOSUPPORT -4089 => 10047,
    EAGAIN -4088 => 10035,
    EALREADY -4084 => 10037,
    EBADF -4083 => 6 | 1004,
    EBUSY -4082 => 231 | 32 | 33,
    ECANCELED -4081 => 995 | 10004,
    ECONNABORTED -4079 => 10053 | 1236,
    ECONNREFUSED -4078 => 10061 | 1225,
    ECONNRESET -4077 => 10054 | 64,
    EEXIST -4075 => 183 | 80,
    EFAULT -4074 => 10014 | 111,
    EHOSTUNREACH -4073 => 10065 | 1232,
    EINVAL -4071 => 10022 | 87 | 13 | 122 | 10046,
    EIO -4070 => 1117,
    EISCONN -4069 => 10056,
    EMFILE -4066 => 10024 | 4,
    EMSGSIZE -4065 => 10040,
    ENAMETOOLONG -4064 => 206,
    ENETDOWN -4063 => 10050,
    ENETUNREACH -4062 => 10051 | 1231,
    ENFILE -4061 => 10023,
    ENOBUFS -4060 => 10055,
    ENODEV -4059 => 20,
    ENOENT -4058 => 2 | 3 | 15 | 123 | 161 | 11001 | 11004,
    ENOMEM -4057 => 8 | 14,
    ENOTCONN -4053 => 10057 | 2250,
    ENOTSOCK -4050 => 10038,
    ENOTSUP -4049 => 50 | 10045,
    EPERM -4048 => 1314 | 5,
    EPIPE -4047 => 10058 | 230 | 232 | 233,
    EPROTONOSUPPORT -4045 => 10043,
    ETIMEDOUT -4039 => 10060 | 121,
}

/// The number of an operating system's error.
#[cfg(unix)]
pub fn code(error: &io::Error) -> i32 {
    error
        .raw_os_error()
        .map_or_else(|| from_kind(error.kind()), |raw| -raw)
}

/// The number of an operating system's error.
#[cfg(windows)]
pub fn code(error: &io::Error) -> i32 {
    error
        .raw_os_error()
        .map_or_else(|| from_kind(error.kind()), from_raw)
}

// Errors that std or Tokio made up themselves.
fn from_kind(kind: io::ErrorKind) -> i32 {
    match kind {
        io::ErrorKind::WouldBlock => EAGAIN,
        io::ErrorKind::InvalidInput => EINVAL,
        io::ErrorKind::NotConnected => ENOTCONN,
        io::ErrorKind::Unsupported => ENOTSUP,
        io::ErrorKind::BrokenPipe => EPIPE,
        io::ErrorKind::UnexpectedEof => EOF,
        _ => UNKNOWN,
    }
}

/// An [`io::Error`] of the given (negative) number.
#[cfg(unix)]
pub fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(-code)
}

#[cfg(windows)]
pub fn error(code: i32) -> io::Error {
    to_raw(code).map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_number_is_the_negated_errno_on_unix() {
        let refused = io::Error::from_raw_os_error(libc::ECONNREFUSED);
        assert_eq!(code(&refused), ECONNREFUSED);
        assert_eq!(name(code(&refused)), "ECONNREFUSED");
    }

    #[test]
    fn a_number_survives_being_an_error() {
        for name in ["EADDRINUSE", "EBADF", "EAGAIN", "ENOTSOCK", "ENOTSUP"] {
            let number = by_name(name);
            assert_eq!(code(&error(number)), number, "{name}");
        }
        assert_eq!(error(EAGAIN).kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn errors_without_a_system_number_keep_their_kind() {
        assert_eq!(code(&io::Error::from(io::ErrorKind::WouldBlock)), EAGAIN);
        assert_eq!(code(&io::Error::other("?")), UNKNOWN);
        assert_eq!(name(EOF), "EOF");
        assert_eq!(by_name("EOF"), EOF);
        assert_eq!(by_name(name(EPIPE)), EPIPE);
    }
}
