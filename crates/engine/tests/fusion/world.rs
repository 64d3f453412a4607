//! One account, its provider, and what is on the way between them, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Caps, Defaults, ImageInput, Input, JobId, JobKind, Models, Prices, Provider, Status, Timestamp,
    Window,
};
use engine::{
    Account, Act, CaptureTrouble, CompleteAt, Engine, Here, Limits, Policy, Polling, Report, Said,
    Stored, Timing, WebhookTrust,
};
use providers::{Call, Client};
use sandbox::{Options, ProductaiOptions, Sandbox, Verb};
use store::{Job, JobFilter, LaneHold, LaneKey, NewJob, Store};

const BASE: &str = "http://sandbox.test";
const NAME: &str = "shots";
const LANE: &str = "productai:fusion";
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_006_410_000);
/// Each way.
const WAY: Duration = Duration::from_millis(200);
/// Longer than any history lasts.
const LONGEST: Duration = Duration::from_secs(6 * 3_600);

pub(crate) fn lane() -> LaneKey {
    LaneKey(LANE.to_owned())
}

enum Coming {
    Arrive(Act),
    Deliver(Report),
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    /// No webhook comes through.
    pub(crate) silent: bool,
    /// How long the answer to a poll is on its way.
    pub(crate) back: Duration,
    pub(crate) store: Store,
    account: Account,
    engine: Engine,
    hold: Option<LaneHold>,
    provider: Sandbox,
    due: Timestamp,
    coming: BTreeMap<(Timestamp, u64), Coming>,
    sent: u64,
    unheard: Vec<Report>,
    forged: u64,
    /// Files that came home, by job.
    fetched: Vec<(JobId, String)>,
    /// When each end was known.
    ends: BTreeMap<JobId, Timestamp>,
    after: i64,
    _folder: tempfile::TempDir,
}

fn account(trust: WebhookTrust, options: &Options) -> Account {
    let key = options.productai.api_key.clone();
    let base = format!("{BASE}/productai/v1");
    let day = Duration::from_secs(86_400);
    Account {
        name: NAME.to_owned(),
        provider: Provider::Productai,
        lane: LaneKey(LANE.to_owned()),
        client: Client::new(Provider::Productai, &base, key.into()).unwrap(),
        defaults: Defaults::default(),
        prices: Prices {
            models: Models::documented(),
            description: None,
            production: None,
        },
        limits: Limits {
            groups: vec![(
                "all".to_owned(),
                vec![Window::rolling(15, Duration::from_secs(60))],
            )],
            productions: None,
        },
        polling: Polling {
            delay_per_poll: None,
            min_interval: Duration::from_secs(5),
            queued: Duration::from_secs(10),
            producing: Duration::from_secs(30),
            awaiting_approval: day,
            distributing: day,
        },
        policy: Policy {
            takes_unnamed: true,
            complete_at: CompleteAt::Published,
            webhook_trust: trust,
            retry_failed: 0,
            check_sources: false,
            resubmit_in_doubt: false,
            batch_size: 1,
            max_running: 20,
            deadline: day,
            capture_deadline: day,
            spend: Caps::default(),
        },
        timing: Timing {
            look_again: Duration::from_secs(3_600),
            ..Timing::default()
        },
    }
}

fn row(n: usize) -> NewJob {
    NewJob {
        input: Some(Input::Image(ImageInput {
            model: Some("nanobanana".to_owned()),
            prompt: Some(format!("prompt {n}")),
            image_url: Some(format!("https://images.example/{n}.jpg")),
            ..ImageInput::default()
        })),
        ..NewJob::default()
    }
}

async fn load(store: &Store, account: &Account, now: Timestamp) -> (Engine, LaneHold) {
    let lanes = [(account.lane.clone(), account.provider)];
    let hold = store.take_lanes(&lanes, "fusion", now).await.unwrap();
    let accounts = vec![account.clone()];
    let here = Here::default();
    let engine = Engine::load(store.clone(), accounts, &hold.epochs, &here, 11, now);
    (engine.await.unwrap(), hold)
}

impl World {
    pub(crate) async fn new(
        trust: WebhookTrust,
        jobs: usize,
        change: impl FnOnce(&mut ProductaiOptions),
    ) -> Self {
        Self::at_interval(Duration::from_secs(5), trust, jobs, change).await
    }

    pub(crate) async fn at_interval(
        interval: Duration,
        trust: WebhookTrust,
        jobs: usize,
        change: impl FnOnce(&mut ProductaiOptions),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("v.db").display());
        let options = store::Options {
            sqlite_synchronous: store::Synchronous::Off,
            create: true,
            ..store::Options::default()
        };
        let store = Store::open(&url, options).await.unwrap();
        store.migrate().await.unwrap();
        let rows: Vec<NewJob> = (0..jobs).map(row).collect();
        store.insert_jobs(&rows).await.unwrap();
        let mut options = Options {
            seed: 7,
            base_url: BASE.to_owned(),
            ..Options::default()
        };
        options.productai.tokens = u64::from(u32::MAX);
        options.productai.webhook_url = Some("http://vitrine.test/hooks".to_owned());
        change(&mut options.productai);
        let mut account = account(trust, &options);
        account.polling.min_interval = interval;
        let (engine, hold) = load(&store, &account, START).await;
        Self {
            now: START,
            silent: false,
            back: WAY,
            store,
            account,
            engine,
            hold: Some(hold),
            provider: Sandbox::new(options),
            due: START,
            coming: BTreeMap::new(),
            sent: 0,
            unheard: Vec::new(),
            forged: 0,
            fetched: Vec::new(),
            ends: BTreeMap::new(),
            after: 0,
            _folder: folder,
        }
    }

    /// Until all rows are over.
    pub(crate) async fn play(&mut self) {
        loop {
            self.turn(START + LONGEST).await;
            assert!(self.now < START + LONGEST, "it hangs");
            let outlook = self.engine.outlook();
            let counts = self.store.counts(None).await.unwrap();
            let waits = |status| counts.iter().any(|count| count.status == status);
            let idle = outlook.working == 0 && self.coming.is_empty();
            if idle && !waits(Status::Pending) && !waits(Status::Submitting) {
                return;
            }
        }
    }

    pub(crate) async fn play_until(&mut self, over: impl Fn(&Self) -> bool) {
        while !over(self) {
            self.turn(START + LONGEST).await;
            assert!(self.now < START + LONGEST, "it hangs");
        }
    }

    pub(crate) async fn go_on(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.turn(end).await;
        }
        self.step_if_due().await;
    }

    async fn step_if_due(&mut self) {
        if self.due > self.now {
            return;
        }
        let reports = std::mem::take(&mut self.unheard);
        let plan = self.engine.step(self.now, &reports).await.unwrap();
        for act in plan.acts {
            self.add(self.now + WAY, Coming::Arrive(act));
        }
        let idle = self.now + self.account.timing.look_again;
        self.due = plan.wake_at.unwrap_or(idle);
        self.note_ends().await;
    }

    /// The planner's turn if it is due, and then the next thing that happens, by `end`.
    async fn turn(&mut self, end: Timestamp) {
        self.step_if_due().await;
        let coming = self.coming.keys().next().map(|(at, _)| *at);
        let rings = self.provider.next_event_ms().map(Timestamp::from_millis);
        let next = [coming, rings, Some(self.due), Some(end)];
        self.now = self.now.max(next.into_iter().flatten().min().unwrap());
        while let Some(entry) = self.coming.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            match entry.remove() {
                Coming::Arrive(act) => self.arrive(act),
                Coming::Deliver(report) => {
                    self.unheard.push(report);
                    self.due = self.now;
                }
            }
        }
        for hook in self.provider.due_webhooks(self.now.as_millis()) {
            let body = String::from_utf8(hook.body.to_vec()).unwrap();
            let now = self.now.as_millis();
            self.provider
                .webhook_answered(now, hook.delivery_no, Some(200));
            if !self.silent {
                self.call(&body).await;
            }
        }
    }

    fn add(&mut self, at: Timestamp, what: Coming) {
        self.sent += 1;
        self.coming.insert((at, self.sent), what);
    }

    fn arrive(&mut self, act: Act) {
        let flight = act.flight().clone();
        let mut at = self.now + WAY;
        let said = match act {
            Act::Send { call, .. } => {
                if matches!(call, Call::Status { .. }) {
                    at = self.now + self.back;
                }
                let request = self.account.client.request(&call);
                let exchange = self.provider.handle(self.now.as_millis(), request);
                let answer = Ok(exchange.response);
                Said::Reply(Box::new(self.account.client.read(&call, answer, at)))
            }
            Act::Look { .. } => Said::Looked(providers::fetch::Look::Fine),
            Act::Fetch { wanted, .. } => {
                let url = wanted.url.expose().to_owned();
                let mut request = http::Request::new(Bytes::new());
                *request.uri_mut() = url.parse().unwrap();
                let exchange = self.provider.handle(self.now.as_millis(), request);
                let lied = url.contains("forged");
                let path = url.split('?').next().unwrap().to_owned();
                self.fetched.push((wanted.job, path.clone()));
                Said::Fetched(if lied || exchange.response.status().is_success() {
                    Ok(Stored {
                        location: path,
                        content_type: "image/png".to_owned(),
                        bytes: 1,
                        sha256: "00".to_owned(),
                        quarantined: false,
                        shape: providers::fetch::Shape::default(),
                    })
                } else {
                    Err(CaptureTrouble::LinkDead("gone".to_owned()))
                })
            }
        };
        self.add(at, Coming::Deliver(Report { flight, at, said }));
    }

    /// A webhook comes through the path that nobody can guess.
    pub(crate) async fn call(&mut self, body: &str) {
        let event = providers::webhook::parse(Provider::Productai, body.as_bytes()).unwrap();
        let key = event.stored_under(self.now);
        let stored = self
            .store
            .add_verified_webhook(NAME, &key, body, self.now)
            .await;
        assert!(stored.unwrap(), "each comes once");
        self.engine.notice_writes();
        self.due = self.now;
    }

    async fn jobs(&self) -> Vec<Job> {
        let filter = JobFilter {
            kind: Some(JobKind::Image),
            limit: 10_000,
            ..JobFilter::default()
        };
        self.store.list_jobs(&filter).await.unwrap()
    }

    /// Of each job that runs: it is done, and this is its image.
    pub(crate) async fn forge_all(&mut self) {
        for job in self.jobs().await {
            if job.work.status() != Status::Running {
                continue;
            }
            self.forged += 1;
            let id = job.work.state.remote().unwrap().id.clone();
            let body = format!(
                "{{\"status\":\"success\",\"image_url\":\"{BASE}/files/forged-{}.png\",\"job_id\":\"{id}\"}}",
                self.forged
            );
            self.call(&body).await;
        }
    }

    pub(crate) async fn is_forged(&self) -> bool {
        let pauses = self.store.pauses(&[lane()]).await.unwrap();
        pauses.iter().any(|pause| pause.code == "webhook_forged")
    }

    /// Jobs that are completed with what no provider made.
    pub(crate) async fn foreign(&self) -> Vec<JobId> {
        let mut foreign = Vec::new();
        for job in self.jobs().await {
            let files = self.store.deliverables(job.id).await.unwrap();
            let lied = files.iter().any(|file| file.location.contains("forged"));
            if job.work.status() == Status::Completed && lied {
                foreign.push(job.id);
            }
        }
        foreign
    }

    pub(crate) async fn warned(&self) -> Vec<JobId> {
        let jobs = self.jobs().await;
        let warned = jobs.iter().filter(|job| job.warning.is_some());
        warned.map(|job| job.id).collect()
    }

    pub(crate) async fn restart(&mut self) {
        self.hold = None;
        self.coming.clear();
        self.unheard.clear();
        let (engine, hold) = load(&self.store, &self.account, self.now).await;
        self.engine = engine;
        self.hold = Some(hold);
        self.due = self.now;
    }

    pub(crate) async fn ask(&mut self, command: &str, value: Option<&str>) {
        let added = self.store.add_account_command(NAME, command, value);
        added.await.unwrap();
        self.engine.notice_writes();
        self.due = self.now;
        self.step_if_due().await;
    }

    /// Rows that come one after the other from now on, so long apart.
    pub(crate) async fn insert_apart(&mut self, jobs: usize, apart: Duration) -> Vec<JobId> {
        for n in 0..jobs {
            let run_at = self.now + apart * u32::try_from(n).unwrap();
            let row = NewJob {
                run_at: Some(run_at),
                ..row(1_000 + n)
            };
            self.store.insert_jobs(&[row]).await.unwrap();
        }
        self.engine.notice_writes();
        self.due = self.now;
        let mut ids: Vec<JobId> = self.jobs().await.iter().map(|job| job.id).collect();
        ids.sort_by_key(|id| id.id);
        ids.split_off(ids.len() - jobs)
    }

    async fn note_ends(&mut self) {
        for event in self.store.events_after(self.after, 1_000).await.unwrap() {
            self.after = event.seq;
            let over = matches!(
                event.to_status,
                Status::Capturing | Status::Completed | Status::Failed
            );
            if over {
                self.ends.entry(event.job).or_insert(event.at);
            }
        }
    }

    /// Jobs whose end is known.
    pub(crate) fn known(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn running(&self) -> usize {
        let outlook = self.engine.outlook();
        outlook.working - outlook.on_the_wire.min(outlook.working)
    }

    pub(crate) fn poll_log(&self) -> impl Iterator<Item = &sandbox::RequestEntry> {
        let requests = self.provider.ledger().requests().iter();
        requests.filter(|entry| entry.verb == Verb::Poll)
    }

    pub(crate) fn polls(&self) -> usize {
        self.poll_log().count()
    }

    /// Jobs in the order in which they were asked about, after the first polls.
    pub(crate) async fn asked_since(&self, before: usize) -> Vec<JobId> {
        let jobs = self.jobs().await;
        let of = |id: &String| {
            let job = jobs
                .iter()
                .find(|job| job.work.state.remote().is_some_and(|it| it.id == *id));
            job.unwrap().id
        };
        let log = self.poll_log().skip(before);
        log.flat_map(|entry| entry.jobs.iter().map(of)).collect()
    }

    pub(crate) async fn count(&self, status: Status) -> usize {
        let jobs = self.jobs().await;
        let of = jobs.iter().filter(|job| job.work.status() == status);
        of.count()
    }

    /// Events whose detail has this field.
    pub(crate) async fn events_with(&self, field: &str) -> usize {
        let events = self.store.events_after(0, 100_000).await.unwrap();
        let with = events
            .iter()
            .filter(|event| event.detail.get(field).is_some());
        with.count()
    }

    /// The longest between an end and when it was known.
    pub(crate) fn latest_end(&self) -> Duration {
        let jobs = self.provider.jobs(self.now.as_millis());
        let mut ends: Vec<Timestamp> = jobs.map(|job| Timestamp::from_millis(job.end_ms)).collect();
        let mut known: Vec<Timestamp> = self.ends.values().copied().collect();
        ends.sort_unstable();
        known.sort_unstable();
        let late = ends
            .iter()
            .zip(&known)
            .map(|(end, known)| known.since(*end));
        late.max().unwrap_or_default()
    }

    /// Every job is over, ended once, and what was made is here once and is the provider's, but for what was
    /// believed although it was forged; and no rule of the provider was broken.
    pub(crate) async fn check_ends_once(&self) {
        assert_eq!(self.provider.ledger().violations().count(), 0);
        for job in self.jobs().await {
            let id = job.id;
            assert!(job.work.status().is_terminal(), "{id}: {:?}", job.work);
            let events = self.store.events(id).await.unwrap();
            let of = |name: &str| events.iter().filter(|event| event.event == name).count();
            assert!(of("ended") <= 1, "{id} ended twice: {events:#?}");
            let ends = of("result_stored") + of("remote_failed");
            assert_eq!(ends, 1, "{id}: {events:#?}");
            let files = self.store.deliverables(id).await.unwrap();
            let made = usize::from(job.work.status() == Status::Completed);
            assert_eq!(files.len(), made, "{id}");
            let fetched = self.fetched.iter().filter(|(job, _)| *job == id);
            assert!(fetched.count() <= 1 || !self.is_honest(), "{id}");
        }
    }

    /// Whether nothing was forged: else a file may have been fetched anew.
    fn is_honest(&self) -> bool {
        self.forged == 0
    }
}
