//! A fresh database for a test, a foreign program that writes into it, and short ways to make records.

use domain::{
    DescriptionInput, Event, Fault, ImageInput, Input, JobId, JobKind, ProductionInput, Provider,
    Status, SubmissionId, Timestamp, next,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use crate::testing::TestDatabase;
use crate::{
    Batch, Committed, Epoch, Job, JobChange, LaneHold, LaneKey, NewEvent, NewJob, NewSubmission,
    NewSubmissionJob, Options, Outcome, Store, StoreError, SubmissionJobChange, Synchronous,
};

/// The database of one test.
pub(super) struct Fresh {
    pub(super) store: Store,
    pub(super) url: String,
    _folder: Option<tempfile::TempDir>,
    _database: Option<TestDatabase>,
}

pub(super) fn options() -> Options {
    Options {
        sqlite_synchronous: Synchronous::Off,
        ..Options::default()
    }
}

impl Fresh {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("v.db").display());
        Self::at(url, Some(folder), None).await
    }

    pub(super) async fn postgres() -> Self {
        let database = crate::testing::postgres().await;
        Self::at(database.url.clone(), None, Some(database)).await
    }

    async fn at(
        url: String,
        folder: Option<tempfile::TempDir>,
        database: Option<TestDatabase>,
    ) -> Self {
        let store = Store::open(&url, options()).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            store,
            url,
            _folder: folder,
            _database: database,
        }
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// A second handle, as another process has it.
    pub(super) async fn other(&self) -> Store {
        Store::open(&self.url, options()).await.unwrap()
    }

    /// A program that knows nothing of us.
    pub(super) async fn stranger(&self) -> Stranger {
        if self.is_postgres() {
            Stranger::Postgres(PgConnection::connect(&self.url).await.unwrap())
        } else {
            let path = self.url.trim_start_matches("sqlite://");
            let options = SqliteConnectOptions::new()
                .filename(path)
                .busy_timeout(std::time::Duration::from_secs(5));
            Stranger::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
        }
    }

    /// Takes the lane `l` for JAKOV.
    pub(super) async fn hold(&self) -> LaneHold {
        self.store
            .take_lanes(&[(lane(), Provider::Jakov)], "test", at(0))
            .await
            .unwrap()
    }

    /// Inserts a description and reads it.
    pub(super) async fn description(&self, ean: &str) -> Job {
        self.store.insert_jobs(&[description(ean)]).await.unwrap();
        self.newest(JobKind::Description).await
    }

    pub(super) async fn newest(&self, kind: JobKind) -> Job {
        let filter = crate::JobFilter {
            kind: Some(kind),
            limit: 10_000,
            ..Default::default()
        };
        self.store.list_jobs(&filter).await.unwrap().pop().unwrap()
    }

    pub(super) async fn job(&self, id: JobId) -> Job {
        self.store.job(id).await.unwrap().unwrap()
    }

    /// The same job after events, each committed by itself.
    pub(super) async fn advance(&self, mut job: Job, events: &[Event]) -> Job {
        for event in events {
            let batch = Batch {
                jobs: vec![change(&job, event)],
                ..Batch::default()
            };
            assert_eq!(self.store.commit(batch).await.unwrap(), durable());
            job = self.job(job.id).await;
        }
        job
    }
}

pub(super) enum Stranger {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Stranger {
    /// Runs a statement; the error as people see it.
    pub(super) async fn run(&mut self, sql: &str) -> Result<u64, String> {
        match self {
            Self::Sqlite(db) => sqlx::query(AssertSqlSafe(sql))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
                .map_err(|error| error.to_string()),
            Self::Postgres(db) => sqlx::query(AssertSqlSafe(sql))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
                .map_err(|error| error.to_string()),
        }
    }

    /// The first column of each row, as text; null is "-".
    pub(super) async fn texts(&mut self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(db) => sqlx::query(AssertSqlSafe(sql))
                .fetch_all(db)
                .await
                .unwrap()
                .iter()
                .map(|row| row.get::<Option<String>, _>(0).unwrap_or("-".to_owned()))
                .collect(),
            Self::Postgres(db) => sqlx::query(AssertSqlSafe(sql))
                .fetch_all(db)
                .await
                .unwrap()
                .iter()
                .map(|row| row.get::<Option<String>, _>(0).unwrap_or("-".to_owned()))
                .collect(),
        }
    }
}

pub(super) fn lane() -> LaneKey {
    LaneKey("l".to_owned())
}

/// So many seconds after a fixed moment.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_338_635_123 + seconds * 1_000)
}

pub(super) fn durable() -> Committed {
    Committed::Durable { lost: vec![] }
}

pub(super) fn description(ean: &str) -> NewJob {
    NewJob {
        input: Some(Input::Description(DescriptionInput {
            ean: Some(ean.to_owned()),
            ..Default::default()
        })),
        ..NewJob::default()
    }
}

pub(super) fn image(url: &str) -> NewJob {
    NewJob {
        input: Some(Input::Image(ImageInput {
            model: Some("seedream".to_owned()),
            prompt: Some("on a table".to_owned()),
            image_url: Some(url.to_owned()),
            ..Default::default()
        })),
        ..NewJob::default()
    }
}

pub(super) fn production(topic: &str) -> NewJob {
    NewJob {
        input: Some(Input::Production(ProductionInput {
            topic: topic.to_owned(),
            ..Default::default()
        })),
        ..NewJob::default()
    }
}

pub(super) fn submission_id(name: &str) -> SubmissionId {
    SubmissionId(name.to_owned())
}

pub(super) fn planned(name: &str) -> Event {
    Event::SubmitPlanned {
        submission: submission_id(name),
        price: Some(3),
    }
}

pub(super) fn accepted(name: &str, remote: &str) -> Event {
    Event::Accepted {
        submission: submission_id(name),
        remote_id: remote.to_owned(),
        status: Some("processing".to_owned()),
    }
}

pub(super) fn unknown(name: &str) -> Event {
    Event::OutcomeUnknown {
        submission: submission_id(name),
        why: Fault::new("timeout", "no answer came"),
    }
}

pub(super) fn ended(status: &str) -> Event {
    Event::Ended {
        status: status.to_owned(),
    }
}

pub(super) fn stored() -> Event {
    Event::ResultStored {
        status: Some("completed".to_owned()),
    }
}

/// What an event does to a job, as nobody's conclusion.
pub(super) fn change(job: &Job, event: &Event) -> JobChange {
    let work = next(&job.work, event, at(60)).unwrap();
    JobChange {
        job: job.id,
        version: job.version,
        lane: None,
        taken_by: Some("texts".to_owned()),
        description: (job.id.kind == JobKind::Description && work.status() == Status::Completed)
            .then(|| "A fine text.".to_owned()),
        work,
        not_before: None,
        warning: None,
        result_url: None,
        at: at(60),
    }
}

/// The intent to submit these jobs.
pub(super) fn submission(name: &str, jobs: &[JobId]) -> NewSubmission {
    NewSubmission {
        id: submission_id(name),
        lane: lane(),
        account: "texts".to_owned(),
        provider: Provider::Jakov,
        operation: "descriptions".to_owned(),
        request_hash: "00".to_owned(),
        planned_at: at(50),
        jobs: jobs
            .iter()
            .map(|job| NewSubmissionJob {
                job: *job,
                client_ref: Some(format!("ref-{}", job.id)),
                price: Some(3),
            })
            .collect(),
    }
}

pub(super) fn outcome(name: &str, job: JobId, outcome: Outcome) -> SubmissionJobChange {
    SubmissionJobChange {
        submission: submission_id(name),
        job,
        outcome,
        remote_id: (outcome == Outcome::Accepted).then(|| format!("remote-{}", job.id)),
        location: None,
        reason: None,
        credits: None,
        at: at(55),
        ended: false,
        released: false,
    }
}

pub(super) fn event(job: JobId, text: &str) -> NewEvent {
    NewEvent {
        job,
        at: at(60),
        event: text.to_owned(),
        from: Status::Pending,
        to: Status::Pending,
        submission: None,
        detail: serde_json::json!({ "text": text, "n": [1, null, 2.5] }),
        lane: None,
    }
}

/// A batch under this epoch of the lane `l`.
pub(super) fn fenced(epoch: Epoch) -> Batch {
    Batch {
        fences: vec![(lane(), epoch)],
        ..Batch::default()
    }
}

/// The name of the constraint that refused.
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Refused { constraint, .. }) => constraint,
        other => panic!("not refused: {other:?}"),
    }
}

impl Fresh {
    /// Takes a lane of this name, over a second handle; the lock of the first one must be free.
    pub(super) async fn other_lane(&self, name: &str) -> LaneHold {
        let wanted = [(LaneKey(name.to_owned()), Provider::Jakov)];
        self.store.take_lanes(&wanted, "test", at(0)).await.unwrap()
    }
}

/// What the lane's account learned by a moment: one job took 12 s.
pub(super) fn learned(at: Timestamp) -> crate::LearnedLengths {
    let mut lengths = domain::Lengths::expecting(std::time::Duration::from_secs(30));
    lengths.took(std::time::Duration::from_secs(12));
    crate::LearnedLengths {
        lane: lane(),
        account: "texts".to_owned(),
        operation: "description".to_owned(),
        model: String::new(),
        lengths,
        learned_at: at,
    }
}
