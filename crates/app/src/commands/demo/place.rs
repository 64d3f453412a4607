//! The folder of a demo: config, keys, database, files, notices, the sandbox's journal. It is kept, so that people can look.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::commands::init::{Place, accounts_toml};
use crate::commands::sandbox::Keys;
use crate::config::FILE_NAME;
use crate::exit::Failure;

/// The folder.
#[derive(Debug)]
pub(super) struct DemoPlace {
    dir: PathBuf,
}

impl DemoPlace {
    /// This folder, made if it is missing; or a new one among the temporary files.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn prepare(dir: Option<&Path>) -> Result<Self, Failure> {
        let made = match dir {
            Some(dir) => fs::create_dir_all(dir).and_then(|()| fs::canonicalize(dir)),
            None => tempfile::Builder::new()
                .prefix("vitrine-demo-")
                .tempdir()
                .map(tempfile::TempDir::keep),
        };
        let named = dir.map_or("a temporary folder".to_owned(), |dir| {
            dir.display().to_string()
        });
        let dir =
            made.map_err(|error| Failure::from(error).while_doing(format!("cannot make {named}")))?;
        Ok(Self { dir })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn config(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    pub(super) fn database(&self) -> PathBuf {
        self.dir.join("vitrine.db")
    }

    pub(super) fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    pub(super) fn notices(&self) -> PathBuf {
        self.dir.join("notices.csv")
    }

    /// What the sandbox remembers from run to run.
    pub(super) fn journal(&self) -> PathBuf {
        self.dir.join("sandbox.journal")
    }

    /// Writes the config for the sandbox at this address, and the keys beside it. An older config of
    /// a demo is replaced: its sandbox listened elsewhere.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(super) fn write_config(
        &self,
        base_url: &str,
        keys: &Keys,
        speed: f64,
    ) -> Result<(), Failure> {
        let place = Place {
            base_url,
            host: "127.0.0.1",
            speed,
            // A demo ends when the files are here, and does not wait for a simulated person.
            complete_at: "AwaitingApproval",
        };
        let named =
            ["jakov", "productai", "jarai"].map(|name| format!("api_key_file = \"keys/{name}\""));
        let text = format!(
            "# Written by `vitrine demo`, for the sandbox that ran with it.\n\n\
             [database]\nurl = \"sqlite://vitrine.db\"\n\n\
             [storage]\nurl = \"files\"\n\n{}",
            accounts_toml(&place, &named)
        );
        self.write_keys(keys)
            .and_then(|()| fs::write(self.config(), text))
            .map_err(|error| {
                Failure::from(error).while_doing(format!("cannot write in {}", self.dir.display()))
            })
    }

    fn write_keys(&self, keys: &Keys) -> io::Result<()> {
        let folder = self.dir.join("keys");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("jakov"), &keys.jakov)?;
        fs::write(folder.join("productai"), &keys.productai)?;
        fs::write(folder.join("jarai"), &keys.jarai)
    }
}
