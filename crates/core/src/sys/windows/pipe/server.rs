//! The server of a pipe: instances that wait for a client each. Several do at any time, so that clients that come
//! together find one.

use std::collections::VecDeque;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::task::{Context, Poll};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_NAME, ERROR_NO_DATA, ERROR_PATH_NOT_FOUND,
    ERROR_PIPE_CONNECTED, INVALID_HANDLE_VALUE, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, EXPLICIT_ACCESS_W, GRANT_ACCESS,
    GetSecurityInfo, SDDL_REVISION_1, SE_KERNEL_OBJECT, SetEntriesInAclW, SetSecurityInfo,
    TRUSTEE_IS_SID, TRUSTEE_IS_WELL_KNOWN_GROUP, TRUSTEE_W,
};
use windows_sys::Win32::Security::{
    ACL, CreateWellKnownSid, DACL_SECURITY_INFORMATION, NO_INHERITANCE, PSECURITY_DESCRIPTOR,
    SECURITY_ATTRIBUTES, SECURITY_MAX_SID_SIZE, WinWorldSid,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_CREATE_PIPE_INSTANCE, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED,
    FILE_GENERIC_READ, FILE_GENERIC_WRITE, PIPE_ACCESS_DUPLEX, PIPE_ACCESS_INBOUND,
    PIPE_ACCESS_OUTBOUND, WRITE_DAC,
};
use windows_sys::Win32::System::Pipes::{
    ConnectNamedPipe, CreateNamedPipeW, PIPE_ACCEPT_REMOTE_CLIENTS, PIPE_READMODE_BYTE,
    PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE, PIPE_UNLIMITED_INSTANCES, PIPE_WAIT,
};

use super::Pipe;
use super::operation::Operation;
use super::wake::wide;
use crate::errno;
use crate::options::{PipeAccess, PipeOptions};

/// How many instances wait for a client at a time, as in libuv.
const WAITING: usize = 4;
/// The size of a pipe's buffer, in each direction, as in libuv.
const BUFFER: u32 = 64 * 1024;

/// A name that is ours, with its first instance.
pub(crate) struct Reserved {
    maker: Maker,
    first: OwnedHandle,
}

impl Reserved {
    pub(crate) fn new(path: &str, options: &PipeOptions) -> io::Result<Self> {
        if path.contains('\0') {
            return Err(errno::error(errno::EINVAL));
        }
        let security = options.security_descriptor.as_deref();
        let maker = Maker {
            path: wide(path),
            access: options.access,
            reject_remote_clients: options.reject_remote_clients,
            security: security.map(SecurityDescriptor::parse).transpose()?,
        };
        let first = options.first_instance;
        let made = maker.make(first);
        let first = made.map_err(|error| match error.raw_os_error().map(|raw| raw as u32) {
            Some(ERROR_ACCESS_DENIED) if first => errno::error(errno::EADDRINUSE),
            Some(ERROR_ACCESS_DENIED | ERROR_PATH_NOT_FOUND | ERROR_INVALID_NAME) => {
                errno::error(errno::EACCES)
            }
            _ => error,
        })?;
        Ok(Self { maker, first })
    }
}

/// What all instances of a server have in common.
struct Maker {
    path: Vec<u16>,
    access: PipeAccess,
    reject_remote_clients: bool,
    security: Option<SecurityDescriptor>,
}

impl Maker {
    /// Another instance. With `first` it fails if there is one already.
    fn make(&self, first: bool) -> io::Result<OwnedHandle> {
        let mut open = FILE_FLAG_OVERLAPPED;
        open |= match self.access {
            PipeAccess::Duplex => PIPE_ACCESS_DUPLEX,
            PipeAccess::Inbound => PIPE_ACCESS_INBOUND,
            PipeAccess::Outbound => PIPE_ACCESS_OUTBOUND,
        };
        // For `open_to_all`.
        open |= WRITE_DAC;
        if first {
            open |= FILE_FLAG_FIRST_PIPE_INSTANCE;
        }
        let remote = if self.reject_remote_clients {
            PIPE_REJECT_REMOTE_CLIENTS
        } else {
            PIPE_ACCEPT_REMOTE_CLIENTS
        };
        let attributes = SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.security.as_ref().map_or(ptr::null_mut(), |s| s.0),
            bInheritHandle: 0,
        };
        // SAFETY: the path ends with a NUL. The attributes outlive the call, and so does the descriptor they point to.
        let handle = unsafe {
            CreateNamedPipeW(
                self.path.as_ptr(),
                open,
                PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | remote,
                PIPE_UNLIMITED_INSTANCES,
                BUFFER,
                BUFFER,
                0,
                &attributes,
            )
        };
        if handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new handle, which nothing else owns.
        Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
    }
}

/// One that has no client yet.
struct Instance {
    /// Empty once the pipe has been taken out.
    pipe: Option<OwnedHandle>,
    connect: Option<Operation>,
}

impl Instance {
    const fn new(pipe: OwnedHandle) -> Self {
        Self {
            pipe: Some(pipe),
            connect: None,
        }
    }

    /// Waits for a client.
    fn poll_connect(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let Some(pipe) = &self.pipe else {
            return Poll::Pending;
        };
        let handle = pipe.as_handle();
        let connect = match &mut self.connect {
            Some(connect) => connect,
            none => {
                let connect = none.insert(Operation::new()?);
                let overlapped = connect.place();
                // SAFETY: the handle is open, and a connect has no memory.
                let done = unsafe { ConnectNamedPipe(handle.as_raw_handle(), overlapped) };
                match connect.started(handle, done) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    outcome => return Poll::Ready(connected(outcome)),
                }
                connect
            }
        };
        if connect.poll(handle, cx).is_pending() {
            return Poll::Pending;
        }
        match connect.result(handle) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            outcome => Poll::Ready(connected(outcome)),
        }
    }
}

/// A client may have come, and even gone, before it was waited for.
fn connected(outcome: io::Result<usize>) -> io::Result<()> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error().map(|raw| raw as u32) {
            Some(ERROR_PIPE_CONNECTED | ERROR_NO_DATA) => Ok(()),
            _ => Err(error),
        },
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let (Some(pipe), Some(connect)) = (&self.pipe, &mut self.connect) {
            connect.cancel(pipe.as_handle());
        }
    }
}

/// A listening server.
pub(crate) struct Instances {
    waiting: VecDeque<Instance>,
    maker: Maker,
}

impl Instances {
    pub(crate) fn listen(reserved: Reserved) -> Self {
        let mut instances = Self {
            waiting: VecDeque::from([Instance::new(reserved.first)]),
            maker: reserved.maker,
        };
        // The first one is enough to listen.
        let _ = instances.refill();
        instances
    }

    fn refill(&mut self) -> io::Result<()> {
        while self.waiting.len() < WAITING {
            self.waiting
                .push_back(Instance::new(self.maker.make(false)?));
        }
        Ok(())
    }

    /// The next client; must run inside the runtime's context.
    pub(crate) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pipe>> {
        if let Err(error) = self.refill()
            && self.waiting.is_empty()
        {
            return Poll::Ready(Err(error));
        }
        for at in 0..self.waiting.len() {
            if let Poll::Ready(outcome) = self.waiting[at].poll_connect(cx) {
                let taken = self.waiting.remove(at);
                outcome?;
                // If this fails, it is tried again with the next client.
                let _ = self.refill();
                if let Some(pipe) = taken.and_then(|mut instance| instance.pipe.take()) {
                    return Poll::Ready(Ok(Pipe::server(pipe, self.maker.access)));
                }
            }
        }
        Poll::Pending
    }

    /// Its name, as it was given.
    pub(crate) fn path(&self) -> String {
        let path = self.maker.path.strip_suffix(&[0]);
        String::from_utf16_lossy(path.unwrap_or(&self.maker.path))
    }

    /// Adds everybody to those who may open the pipe as clients.
    pub(crate) fn open_to_all(&self, readable: bool, writable: bool) -> io::Result<()> {
        let Some(instance) = self.waiting.front() else {
            return Err(errno::error(errno::EBADF));
        };
        let mut rights = 0;
        if readable {
            rights |= FILE_GENERIC_READ;
        }
        if writable {
            // Whoever may make instances could take clients that are meant for us.
            rights |= FILE_GENERIC_WRITE & !FILE_CREATE_PIPE_INSTANCE;
        }
        let Some(handle) = instance.pipe.as_ref().map(AsRawHandle::as_raw_handle) else {
            return Err(errno::error(errno::EBADF));
        };
        let (mut old, mut descriptor) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the handle is open; of the results only the list and the descriptor that it is in are asked for.
        check(unsafe {
            GetSecurityInfo(
                handle,
                SE_KERNEL_OBJECT,
                DACL_SECURITY_INFORMATION,
                ptr::null_mut(),
                ptr::null_mut(),
                &mut old,
                ptr::null_mut(),
                &mut descriptor,
            )
        })?;
        let _descriptor = SecurityDescriptor(descriptor);
        // SIDs are aligned to four bytes.
        let mut everybody = [0_u32; SECURITY_MAX_SID_SIZE as usize / 4];
        let mut size = SECURITY_MAX_SID_SIZE;
        // SAFETY: the buffer has the size that is named.
        let made = unsafe {
            CreateWellKnownSid(
                WinWorldSid,
                ptr::null_mut(),
                everybody.as_mut_ptr().cast(),
                &mut size,
            )
        };
        if made == 0 {
            return Err(io::Error::last_os_error());
        }
        let entry = EXPLICIT_ACCESS_W {
            grfAccessPermissions: rights,
            grfAccessMode: GRANT_ACCESS,
            grfInheritance: NO_INHERITANCE,
            Trustee: TRUSTEE_W {
                TrusteeForm: TRUSTEE_IS_SID,
                TrusteeType: TRUSTEE_IS_WELL_KNOWN_GROUP,
                // For this form it is a pointer to the SID.
                ptstrName: everybody.as_mut_ptr().cast(),
                ..TRUSTEE_W::default()
            },
        };
        let mut new: *mut ACL = ptr::null_mut();
        // SAFETY: one entry, whose SID outlives the call; the old list is in the descriptor above.
        check(unsafe { SetEntriesInAclW(1, &entry, old, &mut new) })?;
        let list = LocalMemory(new.cast());
        // SAFETY: the list was just made; nothing else is changed.
        check(unsafe {
            SetSecurityInfo(
                handle,
                SE_KERNEL_OBJECT,
                DACL_SECURITY_INFORMATION,
                ptr::null_mut(),
                ptr::null_mut(),
                list.0.cast(),
                ptr::null(),
            )
        })
    }
}

fn check(status: u32) -> io::Result<()> {
    match status {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error as i32)),
    }
}

/// A security descriptor that the system has allocated.
struct SecurityDescriptor(PSECURITY_DESCRIPTOR);

impl SecurityDescriptor {
    /// From its text form, SDDL.
    fn parse(text: &str) -> io::Result<Self> {
        let text = wide(text);
        let mut descriptor = ptr::null_mut();
        // SAFETY: the text ends with a NUL, and outlives the call.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                ptr::null_mut(),
            )
        };
        if made == 0 {
            return Err(errno::error(errno::EINVAL));
        }
        Ok(Self(descriptor))
    }
}

impl Drop for SecurityDescriptor {
    fn drop(&mut self) {
        // SAFETY: allocated by the system for us to free, and freed once.
        unsafe { LocalFree(self.0) };
    }
}

/// Anything else that the system has allocated.
struct LocalMemory(*mut std::ffi::c_void);

impl Drop for LocalMemory {
    fn drop(&mut self) {
        // SAFETY: allocated by the system for us to free, and freed once.
        unsafe { LocalFree(self.0) };
    }
}
