//! A PostgreSQL for tests: [`postgres`] gives a fresh, empty database, wherever the test runs.
//!
//! Where it comes from, the first that answers:
//! 1. a given server, by its URL in `VITRINE_TEST_POSTGRES_URL`;
//! 2. a container of the image `postgres`, where a Docker daemon answers;
//! 3. the machine's own programs (`initdb` and `postgres`), in a temporary cluster;
//! 4. programs in the folder `VITRINE_PG_HOME`, or `target/postgres`, where `.ci/run` unpacks them.
//!
//! `VITRINE_TEST_POSTGRES_FROM` (`given`, `docker` or `machine`) leaves only that one. If none
//! answers, the test fails and says what was tried: a test that is skipped in silence proves nothing.
//!
//! A test process has one server of each sort, started by the first test that asks; it ends with
//! the process, in whatever way the process ends. What this module does not do: create tables.
//!
//! [`OwnServer`] is one of a single test, which may stop it.
//!
//! [`sql`], [`sql_rows`] and [`onlooker`] act on either database as a program that knows nothing of us.

mod container;
mod machine;
mod own;
mod server;
mod sql;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use tokio::sync::OnceCell;

use server::{Durability, Server};

pub use own::OwnServer;
pub use sql::{Onlooker, SqliteHold, onlooker, sql, sql_rows};

static FAST: OnceCell<Server> = OnceCell::const_new();
static DURABLE: OnceCell<Server> = OnceCell::const_new();

/// An empty database of its own for one test.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connects to the database as its owner, as in `postgres://…` or `postgresql:///…`.
    pub url: String,
    /// Set where the server outlives the tests, so that the database has to be dropped.
    drop_with: Option<(String, String)>,
}

/// A fresh, empty database on a server that does not wait for the disk (`fsync = off`): right for
/// all tests but those of what survives a crash of the server.
///
/// # Panics
/// If there is no PostgreSQL; the message says what was tried, and what to do.
pub async fn postgres() -> TestDatabase {
    fresh(&FAST, Durability::Fast).await
}

/// A fresh, empty database on a server with `fsync = on`, as in production.
///
/// # Panics
/// As [`postgres`] does.
pub async fn postgres_durable() -> TestDatabase {
    fresh(&DURABLE, Durability::Durable).await
}

#[expect(
    clippy::panic,
    reason = "only tests call this, and a test without its database has to fail loudly"
)]
async fn fresh(cell: &OnceCell<Server>, durability: Durability) -> TestDatabase {
    let server = match cell
        .get_or_try_init(|| server::find_or_start(durability))
        .await
    {
        Ok(server) => server,
        Err(tried) => panic!("{tried}"),
    };
    let name = unique_name();
    if let Err(error) = server::execute(server.admin_url(), format!("create database {name}")).await
    {
        panic!("failed to create the database {name} for a test: {error}");
    }
    TestDatabase {
        url: server.database_url(&name),
        drop_with: server
            .outlives_the_tests()
            .then(|| (server.admin_url().to_owned(), name)),
    }
}

/// A name that no other process uses, on a server that several machines may share.
fn unique_name() -> String {
    // Each `RandomState` is keyed by the system's randomness.
    let random = RandomState::new().build_hasher().finish();
    format!("vitrine_test_{}_{random:016x}", std::process::id())
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Some((admin_url, name)) = self.drop_with.take() else {
            return;
        };
        // A thread of its own, since a drop may stand inside a runtime, which cannot block.
        // Best effort: a database that stays behind does no harm, a panic in a drop does.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| error.to_string())?;
            runtime.block_on(server::execute(
                &admin_url,
                format!("drop database if exists {name} with (force)"),
            ))
        });
        if let Ok(Err(error)) = dropping.join() {
            tracing::warn!(error, "a test's database stays behind");
        }
    }
}
