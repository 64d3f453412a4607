//! Which server a test process uses: tries the sources in their order, and keeps what each one
//! that failed had to say, for the message of the test that then fails.

use std::env;
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use url::Url;

use super::{container, machine};

/// A cold machine under load takes seconds to start a server; one that takes longer is not coming.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at whether a starting server answers.
const START_INTERVAL: Duration = Duration::from_millis(25);

/// The variable that names a server.
const GIVEN_URL: &str = "VITRINE_TEST_POSTGRES_URL";

/// Whether a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// No commit waits: `fsync = off`.
    Fast,
    /// As in production: `fsync = on`.
    Durable,
}

impl Durability {
    /// Server settings, as `name=value`.
    pub(super) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Fast => &[
                "max_connections=200",
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
            ],
            Self::Durable => &["max_connections=200", "fsync=on"],
        }
    }
}

/// A running server. What keeps it alive lives as long as the process does.
#[derive(Debug)]
pub(super) struct Server {
    admin_url: Url,
    lifetime: Lifetime,
}

/// How long the server runs, and who ends it.
#[derive(Debug)]
enum Lifetime {
    /// Somebody else's server.
    Given,
    /// Ends when the pipe that this value holds is closed, thus with this process at the latest.
    Container(Box<container::Running>),
    /// The same.
    Machine(machine::Running),
}

impl Server {
    /// A database of this server in which databases can be created.
    pub(super) fn admin_url(&self) -> &str {
        self.admin_url.as_str()
    }

    /// The same server and user, and another database.
    pub(super) fn database_url(&self, name: &str) -> String {
        let mut url = self.admin_url.clone();
        url.set_path(name);
        url.into()
    }

    /// Whether our databases have to be dropped.
    pub(super) fn outlives_the_tests(&self) -> bool {
        matches!(self.lifetime, Lifetime::Given)
    }
}

/// The first server that answers, or a text that says what was tried and what to do. Says on
/// stderr which one it is: the first question when a test fails on one machine only.
pub(super) async fn find_or_start(durability: Durability) -> Result<Server, String> {
    let server = first_that_answers(durability).await?;
    let what = match &server.lifetime {
        Lifetime::Given => "a given server".to_owned(),
        Lifetime::Container(container) => container.to_string(),
        Lifetime::Machine(cluster) => cluster.to_string(),
    };
    eprintln!("PostgreSQL for tests ({durability:?}): {what}");
    Ok(server)
}

async fn first_that_answers(durability: Durability) -> Result<Server, String> {
    let only = env::var("VITRINE_TEST_POSTGRES_FROM").ok();
    let wanted = |source: &str| only.as_deref().is_none_or(|only| only == source);
    let mut tried = String::new();

    if wanted("given") {
        match env::var(GIVEN_URL) {
            // Who names a server means that one: no other stands in for it.
            Ok(url) => return given(&url).await,
            Err(reason) => note(&mut tried, GIVEN_URL, &reason.to_string()),
        }
    }
    if wanted("docker") {
        match in_container(durability).await {
            Ok(server) => return Ok(server),
            Err(reason) => note(&mut tried, "Docker", &reason),
        }
    }
    if wanted("machine") {
        for programs in machine::folders() {
            match on_machine(&programs, durability).await {
                Ok(server) => return Ok(server),
                Err(reason) => note(&mut tried, &programs.display().to_string(), &reason),
            }
        }
        note(&mut tried, "other folders", "no initdb and postgres");
    }
    Err(format!(
        "this test needs a PostgreSQL, and none was found:\n{tried}\
         start a Docker daemon, or install PostgreSQL (Debian: apt-get install postgresql), \
         or set VITRINE_TEST_POSTGRES_URL to a server on which databases may be created"
    ))
}

fn note(tried: &mut String, source: &str, reason: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(tried, "  {source}: {reason}");
}

async fn given(url: &str) -> Result<Server, String> {
    let named = |error: String| format!("failed to use the server of {GIVEN_URL}: {error}");
    let admin_url = Url::parse(url).map_err(|error| named(error.to_string()))?;
    execute(admin_url.as_str(), "select 1".to_owned())
        .await
        .map_err(named)?;
    Ok(Server {
        admin_url,
        lifetime: Lifetime::Given,
    })
}

async fn in_container(durability: Durability) -> Result<Server, String> {
    let container = container::start(durability).await?;
    let admin_url = answering(&container.admin_url).await?;
    Ok(Server {
        admin_url,
        lifetime: Lifetime::Container(Box::new(container)),
    })
}

async fn on_machine(programs: &Path, durability: Durability) -> Result<Server, String> {
    let programs = programs.to_owned();
    // `initdb` takes half a second, in which other tests of this runtime may go on.
    let cluster = tokio::task::spawn_blocking(move || machine::start(&programs, durability, &[]))
        .await
        .map_err(|error| error.to_string())??;
    let admin_url = answering(&cluster.admin_url())
        .await
        .map_err(|error| format!("{error}; the server's log:\n{}", cluster.log()))?;
    Ok(Server {
        admin_url,
        lifetime: Lifetime::Machine(cluster),
    })
}

/// Waits until the server answers a query. Neither its socket nor its log says that reliably: the
/// official image starts a server for its set-up first, which it stops again.
pub(super) async fn answering(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url).map_err(|error| error.to_string())?;
    let mut last = String::from("no answer");
    let attempts = async {
        while let Err(error) = execute(url, "select 1".to_owned()).await {
            last = error;
            tokio::time::sleep(START_INTERVAL).await;
        }
    };
    match tokio::time::timeout(START_PATIENCE, attempts).await {
        Ok(()) => Ok(parsed),
        Err(_) => Err(last),
    }
}

/// Runs one statement over a connection of its own.
pub(super) async fn execute(url: &str, statement: String) -> Result<(), String> {
    let run = async {
        let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
        let mut connection = sqlx::PgConnection::connect_with(&options).await?;
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await
    };
    run.await.map_err(|error: sqlx::Error| error.to_string())
}
