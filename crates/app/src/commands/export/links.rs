//! Where a file of ours can be had: at its place in the storage, at a link, or in a folder beside the table.

use std::io;
use std::path::{Path, PathBuf};

use store::DeliverableRow;
use url::Url;

/// How files are named.
#[derive(Debug, Clone)]
pub(super) enum Files {
    /// By their place in the storage.
    AsStored,
    /// By a link: this, and their place below the storage's root.
    Linked(Url),
    /// By their path in this folder, into which they are copied.
    Copied(PathBuf),
}

/// Names files.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) files: Files,
    /// The storage's root.
    pub(super) root: PathBuf,
}

impl Links {
    /// How a file is named in a table.
    pub(super) fn of(&self, file: &DeliverableRow) -> io::Result<String> {
        match &self.files {
            Files::AsStored => Ok(file.location.clone()),
            Files::Linked(base) => {
                let below = self
                    .below(file)
                    .map(|path| path.to_string_lossy().into_owned());
                let mut link = base.clone();
                if let (Some(below), Ok(mut parts)) = (below, link.path_segments_mut()) {
                    parts.pop_if_empty().extend(below.split('/'));
                }
                Ok(link.into())
            }
            Files::Copied(folder) => {
                let from = path_of(file).ok_or_else(|| {
                    let why = format!("{} is no file of this machine", file.location);
                    io::Error::new(io::ErrorKind::Unsupported, why)
                })?;
                // The whole place as one name: kind, job and submission make it unique.
                let name = self.below(file).unwrap_or_else(|| from.clone());
                let name = name
                    .to_string_lossy()
                    .trim_start_matches('/')
                    .replace('/', "-");
                let to = folder.join(name);
                std::fs::copy(&from, &to)?;
                Ok(to.display().to_string())
            }
        }
    }

    /// A link that a shop on the internet can follow, if there is one.
    pub(super) fn public(&self, file: &DeliverableRow, result_url: Option<&str>) -> Option<String> {
        match &self.files {
            Files::Linked(_) => self.of(file).ok(),
            Files::AsStored | Files::Copied(_) => result_url.map(str::to_owned),
        }
    }

    /// Its path below the storage's root.
    fn below(&self, file: &DeliverableRow) -> Option<PathBuf> {
        let path = path_of(file)?;
        let root = std::path::absolute(&self.root).ok()?;
        let real = root.canonicalize().unwrap_or_else(|_| root.clone());
        let below = |root: &Path| path.strip_prefix(root).ok().map(Path::to_path_buf);
        below(&root).or_else(|| below(&real))
    }
}

fn path_of(file: &DeliverableRow) -> Option<PathBuf> {
    Url::parse(&file.location).ok()?.to_file_path().ok()
}
