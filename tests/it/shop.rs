//! A shop for one test: a sandbox in this process, a database, and the real program with a config for
//! both. It starts and stops things and reads what other programs could read; it judges nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use sandbox::{Options, RemoteJob, RequestEntry, SandboxServer, Tier, Verb};
use serde_json::Value;
use store::testing::{TestDatabase, sql, sql_rows};
use tempfile::{NamedTempFile, TempDir};
use tokio::net::TcpListener;

/// A worker that takes longer hangs: at the tests' speed all work here is done in seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a database that another process writes.
const LOOK: Duration = Duration::from_millis(20);
/// Fast enough for a test, slow enough that windows stay longer than a busy machine's pauses.
pub(crate) const SPEED: f64 = 200.0;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

pub(crate) const BOTH: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// All of it; ends with this value.
pub(crate) struct Shop {
    pub(crate) folder: TempDir,
    pub(crate) database: String,
    pub(crate) sandbox: SandboxServer,
    /// How many times faster than real time the providers are.
    pub(crate) speed: f64,
    _postgres: Option<TestDatabase>,
}

/// The options of a sandbox that fits the config of `init --sandbox`.
pub(crate) fn options() -> Options {
    let mut options = Options {
        speed: SPEED,
        ..Options::default()
    };
    options.jarai.tier = Tier::Standard;
    options
}

impl Shop {
    /// Config written and tables made.
    pub(crate) async fn open(engine: Engine, options: Options) -> Self {
        let shop = Self::bare(engine, options).await;
        let made = shop.output(&["migrate"]);
        assert_eq!(made.status.code(), Some(0), "{}", talk(&made));
        shop
    }

    /// Config written, and an empty database or none.
    pub(crate) async fn bare(engine: Engine, options: Options) -> Self {
        // It is there already if another test of this process was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        // `run` refuses a server without fsync.
        let postgres = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(store::testing::postgres_durable().await),
        };
        let database = match &postgres {
            Some(postgres) => postgres.url.clone(),
            None => format!("sqlite://{}", folder.path().join("vitrine.db").display()),
        };
        Self::around(folder, database, postgres, options).await
    }

    /// On a database that the test has made, in a folder of its own.
    pub(crate) async fn on(database: String, options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        Self::around(folder, database, None, options).await
    }

    async fn around(
        folder: TempDir,
        database: String,
        postgres: Option<TestDatabase>,
        options: Options,
    ) -> Self {
        let speed = options.speed;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = SandboxServer::start(options, listener).unwrap();
        let shop = Self {
            folder,
            database,
            sandbox,
            speed,
            _postgres: postgres,
        };
        let base = shop.sandbox.base_url();
        let made = shop.output(&["init", "--sandbox", &base, "--speed", &speed.to_string()]);
        assert_eq!(made.status.code(), Some(0), "{}", talk(&made));
        // `--until-idle` waits for no person, so that productions end where they wait for one.
        shop.edit_config("\"Published\"", "\"AwaitingApproval\"");
        shop
    }

    /// From files that another shop left, made to fit the address of this one's sandbox.
    pub(crate) async fn from_files<const N: usize>(
        options: Options,
        files: impl FnOnce(&str) -> [(&'static str, Vec<u8>); N],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let speed = options.speed;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sandbox = SandboxServer::start(options, listener).unwrap();
        for (name, bytes) in files(&sandbox.base_url()) {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        Self {
            database: format!("sqlite://{}", folder.path().join("vitrine.db").display()),
            folder,
            sandbox,
            speed,
            _postgres: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("vitrine.toml")
    }

    /// Changes the config's text; what is to be replaced has to be there.
    pub(crate) fn edit_config(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "the config has no {from}: {text}");
        std::fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    /// The program in this shop's folder, with the sandbox's keys.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let keys = Options::default();
        let mut command = vitrine(self.path(), words);
        command
            .env("VITRINE_DATABASE_URL", &self.database)
            .env("JAKOV_API_KEY", keys.jakov.api_key)
            .env("PRODUCTAI_API_KEY", keys.productai.api_key)
            .env("JARAI_API_KEY", keys.jarai.api_key);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, words: &[&str]) -> Output {
        finished(self.command(words))
    }

    /// Works until nothing is left to do.
    pub(crate) fn work(&self) -> Output {
        self.output(&["run", "--until-idle"])
    }

    /// Starts a worker that works until it is stopped.
    pub(crate) fn worker(&self) -> Worker {
        Worker::start(self.command(&["run"]))
    }

    /// A statement by a program that knows nothing of us.
    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        let done = sql(&self.database, statement).await;
        done.unwrap_or_else(|error| panic!("{error}: {statement}"))
    }

    /// The rows of a SELECT.
    pub(crate) async fn rows(&self, select: &str) -> Vec<Value> {
        let rows = sql_rows(&self.database, select).await;
        rows.unwrap_or_else(|error| panic!("{error}: {select}"))
    }

    /// The first column of the first row, as text.
    pub(crate) async fn text(&self, select: &str) -> String {
        let rows = self.rows(select).await;
        let row = rows.first().unwrap_or_else(|| panic!("no row: {select}"));
        match row.as_object().unwrap().values().next().unwrap() {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Waits until this SELECT says `wanted`.
    pub(crate) async fn until(&self, select: &str, wanted: &str) {
        let mut last = String::new();
        let looks = async {
            while last != wanted {
                tokio::time::sleep(LOOK).await;
                last = self.text(select).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, looks).await;
        assert!(came.is_ok(), "{select} stays {last}, not {wanted}");
    }

    /// The jobs that the providers accepted.
    pub(crate) fn remote_jobs(&self) -> Vec<RemoteJob> {
        self.sandbox
            .with(|sandbox, now| sandbox.jobs(now).collect())
    }

    /// Every request that the providers saw.
    pub(crate) fn requests(&self) -> Vec<RequestEntry> {
        self.sandbox
            .with(|sandbox, _| sandbox.ledger().requests().to_vec())
    }

    /// How many.
    pub(crate) fn requests_seen(&self) -> usize {
        self.sandbox
            .with(|sandbox, _| sandbox.ledger().requests().len())
    }

    /// The paid POSTs among them.
    pub(crate) fn submits(&self) -> Vec<RequestEntry> {
        let mut submits = self.requests();
        submits.retain(|entry| entry.verb == Verb::Submit);
        submits
    }

    /// No rule of a provider was broken, and nothing was answered 4xx.
    pub(crate) fn assert_a_good_caller(&self) {
        for entry in self.requests() {
            assert!(entry.violations.is_empty(), "{entry:#?}");
            assert!(!(400..500).contains(&entry.status), "{entry:#?}");
        }
    }
}

/// One root certificate, of which nobody has the key: everything here is plain http, and to read all
/// roots of the machine would be most of the work of a short run.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/it/root.pem");

/// The program in a folder, without the variables of who runs the tests.
pub(crate) fn vitrine(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
    command.args(words).current_dir(folder);
    command
        .env("SSL_CERT_FILE", ROOT)
        .env_remove("SSL_CERT_DIR");
    for name in [
        "VITRINE_CONFIG",
        "VITRINE_DATABASE_URL",
        "VITRINE_LOG",
        "JAKOV_API_KEY",
        "PRODUCTAI_API_KEY",
        "JARAI_API_KEY",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end, which comes within a time.
pub(crate) fn finished(command: Command) -> Output {
    let mut command = assert_cmd::Command::from_std(command);
    command.timeout(PATIENCE).output().unwrap()
}

/// What it said on stderr.
pub(crate) fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What it printed.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", talk(output)))
}

/// The program at work beside the test; killed with this value.
pub(crate) struct Worker {
    child: Child,
    talk: NamedTempFile,
}

impl Worker {
    pub(crate) fn start(mut command: Command) -> Self {
        let talk = NamedTempFile::new().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(talk.reopen().unwrap());
        let child = command.spawn().unwrap();
        Self { child, talk }
    }

    /// As if the power went: no handler runs.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end (`TERM` or `INT`), and says how it did.
    pub(crate) fn end(self, signal: &str) -> Ended {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        Ended {
            code,
            talk: self.talk(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it said on stderr so far.
    pub(crate) fn talk(&self) -> String {
        std::fs::read_to_string(self.talk.path()).unwrap()
    }

    /// Waits until it says this.
    pub(crate) async fn until_it_says(&self, words: &str) {
        let looks = async {
            while !self.talk().contains(words) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, looks).await;
        assert!(came.is_ok(), "it does not say {words:?}: {}", self.talk());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a program ended, and what it said on stderr.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) talk: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            talk: talk(&output),
        }
    }
}

/// How long something takes, in real time: for figures that are printed and for patience, never for what a
/// test is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(std::time::Instant);

#[expect(
    clippy::disallowed_methods,
    reason = "two processes are watched from outside: there is no time but the real one"
)]
impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
