//! The path of a Unix-domain socket, which bind(2) creates and close(2) leaves behind.

use std::path::PathBuf;

/// A path that is removed when this is dropped, or nothing. It stands before the socket in what holds both, so that
/// the path is removed first: with `close`, and when the environment ends.
#[derive(Debug, Default)]
pub(crate) struct Name(
    // A thin pointer: nearly every socket has none.
    Option<Box<PathBuf>>,
);

impl Name {
    /// The name of a socket that is bound to `path`. Abstract and empty ones are not in the file system.
    pub(crate) fn of(path: &str) -> Self {
        let is_file = !path.is_empty() && !path.starts_with('\0');
        Self(is_file.then(|| Box::new(path.into())))
    }

    /// Leaves the path where it is.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // It may have been removed already, which libuv does not mind either.
            let _ = std::fs::remove_file(&**path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_removed_unless_it_is_kept() {
        let path = std::env::temp_dir().join(format!("ferronet-{}-name", std::process::id()));
        let text = path.to_str().expect("a temporary path in UTF-8");
        for (is_kept, end) in [(false, drop as fn(Name)), (true, Name::keep)] {
            std::fs::write(&path, "").expect("temporary file");
            end(Name::of(text));
            assert_eq!(path.exists(), is_kept);
        }
        std::fs::remove_file(&path).expect("kept");
    }

    #[test]
    fn a_socket_without_a_file_has_no_name() {
        for path in ["", "\0abstract"] {
            assert!(Name::of(path).0.is_none());
        }
    }
}
