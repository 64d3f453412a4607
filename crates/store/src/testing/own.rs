//! A PostgreSQL of one test alone, which the test stops and starts: for what happens to a worker when its
//! server goes away. It waits for the disk as in production.

use std::path::PathBuf;

use super::machine::{self, Running};
use super::server::{Durability, answering, execute};

/// A server that a test may stop. It runs from programs on this machine, whatever the other tests use: a
/// server that somebody gave us, or in a container, is not ours to stop.
#[derive(Debug)]
pub struct OwnServer {
    running: Running,
    /// Connects to an empty database of it, as its owner, through a socket in its folder.
    pub url: String,
}

impl OwnServer {
    /// Starts one, with further settings (`name=value`).
    ///
    /// # Panics
    /// If this machine has no PostgreSQL programs; the message says what to do.
    #[expect(
        clippy::panic,
        reason = "only tests call this, and a test without its server has to fail loudly"
    )]
    pub async fn start(settings: &[&str]) -> Self {
        match Self::try_start(settings).await {
            Ok(server) => server,
            Err(why) => panic!(
                "this test stops its PostgreSQL, so it needs the programs on this machine (Debian: apt-get \
                 install postgresql; or set PG_BIN): {why}"
            ),
        }
    }

    async fn try_start(settings: &[&str]) -> Result<Self, String> {
        let mut tried = "none was found".to_owned();
        for programs in machine::folders() {
            match machine::start(&programs, Durability::Durable, settings) {
                Ok(running) => {
                    let admin = answering(&running.admin_url()).await?;
                    execute(admin.as_str(), "create database shop".to_owned()).await?;
                    let mut url = admin;
                    url.set_path("shop");
                    return Ok(Self {
                        running,
                        url: url.into(),
                    });
                }
                Err(why) => tried = why,
            }
        }
        Err(tried)
    }

    /// Stops it as a lost machine does: no session is told more than that the server goes.
    ///
    /// # Errors
    /// If the shell that holds it is gone.
    pub fn stop(&mut self) -> Result<(), String> {
        self.running.tell("stop")
    }

    /// Starts it again, and waits until it answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn start_again(&mut self) -> Result<(), String> {
        self.running.tell("start")?;
        answering(&self.running.admin_url())
            .await
            .map(|_| ())
            .map_err(|error| format!("{error}; the server's log:\n{}", self.running.log()))
    }

    /// The next start begins a new timeline, as after a promotion or from a backup.
    ///
    /// # Errors
    /// If the shell that holds it is gone.
    pub fn fork(&mut self) -> Result<(), String> {
        self.running.tell("fork")
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.running.folder().join(".s.PGSQL.5432")
    }
}
