//! The server of a pipe: instances that wait for a client each. Several do at any time, so that clients that come
//! together find one.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::pin::pin;
use std::ptr;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use tokio::runtime::Handle;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_NAME, ERROR_PATH_NOT_FOUND, LocalFree,
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
    FILE_CREATE_PIPE_INSTANCE, FILE_GENERIC_READ, FILE_GENERIC_WRITE,
};

use super::Pipe;
use super::wake::wide;
use crate::errno;
use crate::options::{PipeAccess, PipeOptions};

/// How many instances wait for a client at a time, as in libuv.
const WAITING: usize = 4;

/// A name that is ours, with its first instance.
pub(crate) struct Reserved {
    maker: Maker,
    first: NamedPipeServer,
}

impl Reserved {
    /// Must run inside the runtime's context.
    pub(crate) fn new(path: &str, options: &PipeOptions) -> io::Result<Self> {
        if path.contains('\0') {
            return Err(errno::error(errno::EINVAL));
        }
        let security = options.security_descriptor.as_deref();
        let maker = Maker {
            path: path.to_owned(),
            access: options.access,
            reject_remote_clients: options.reject_remote_clients,
            security: security.map(SecurityDescriptor::parse).transpose()?,
        };
        let first = options.first_instance;
        let made = match maker.make(first) {
            // Instances that this thread has closed may not be gone yet.
            Err(error) if is_denied(&error) => {
                settle(&Handle::current());
                maker.make(first)
            }
            made => made,
        };
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

fn is_denied(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ERROR_ACCESS_DENIED as i32)
}

/// What all instances of a server have in common.
struct Maker {
    path: String,
    access: PipeAccess,
    reject_remote_clients: bool,
    security: Option<SecurityDescriptor>,
}

impl Maker {
    /// Another instance; must run inside the runtime's context. With `first` it fails if there is one already.
    fn make(&self, first: bool) -> io::Result<NamedPipeServer> {
        let mut options = ServerOptions::new();
        options
            .first_pipe_instance(first)
            .access_inbound(self.access.may_read())
            .access_outbound(self.access.may_write())
            .reject_remote_clients(self.reject_remote_clients)
            // For `open_to_all`.
            .write_dac(true);
        let mut attributes = SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.security.as_ref().map_or(ptr::null_mut(), |s| s.0),
            bInheritHandle: 0,
        };
        // SAFETY: the attributes outlive the call, and so does the descriptor they point to, or they name none.
        unsafe {
            options.create_with_security_attributes_raw(
                &self.path,
                ptr::from_mut(&mut attributes).cast(),
            )
        }
    }
}

struct Instance {
    io: NamedPipeServer,
    is_waiting: bool,
}

impl Instance {
    const fn new(io: NamedPipeServer) -> Self {
        Self {
            io,
            is_waiting: false,
        }
    }

    /// Waits for a client, or looks whether one has come.
    fn poll_connect(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.is_waiting, true)
            && let Some(outcome) = self.connect_now()
        {
            return Poll::Ready(outcome);
        }
        loop {
            ready!(self.io.poll_write_ready(cx))?;
            if let Some(outcome) = self.connect_now() {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Tokio has this as a future only. Its first poll asks the system, and clears a readiness that was none.
    fn connect_now(&self) -> Option<io::Result<()>> {
        match pin!(self.io.connect()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }
}

/// A listening server.
pub(crate) struct Instances {
    waiting: VecDeque<Instance>,
    maker: Maker,
    runtime: Handle,
}

impl Instances {
    /// Must run inside the runtime's context.
    pub(crate) fn listen(reserved: Reserved) -> Self {
        let mut instances = Self {
            waiting: VecDeque::from([Instance::new(reserved.first)]),
            maker: reserved.maker,
            runtime: Handle::current(),
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
                let Instance { io, .. } =
                    self.waiting.remove(at).expect("in range, as the loop is");
                outcome?;
                // If this fails, it is tried again with the next client.
                let _ = self.refill();
                return Poll::Ready(Ok(Pipe::server(io, self.maker.access)));
            }
        }
        Poll::Pending
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
        let handle = instance.io.as_raw_handle();
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

impl Drop for Instances {
    fn drop(&mut self) {
        self.waiting.clear();
        // No client should find an instance after this, and the name should be free.
        settle(&self.runtime);
    }
}

/// The driver's thread closes a pipe once it has seen that what was under way there is cancelled. Waits until it has.
fn settle(runtime: &Handle) {
    let (done, wait) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // The driver is polled before the task goes on.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let _ = done.send(());
    });
    // If the thread is gone, so are the pipes.
    let _ = wait.recv_timeout(Duration::from_secs(1));
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
