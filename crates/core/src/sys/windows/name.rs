//! Nothing: what is bound here leaves nothing in the file system.

/// The counterpart of Unix's bound path.
#[derive(Debug, Default)]
pub(crate) struct Name(());

impl Name {
    pub(crate) const fn of(_path: &str) -> Self {
        Self(())
    }

    #[expect(clippy::unused_self, reason = "on Unix there is something to keep")]
    pub(crate) const fn keep(self) {}
}
