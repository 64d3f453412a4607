//! The world of the simulator: an event queue in virtual time, the sandbox's model as the provider,
//! and a process that dies and starts again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Defaults, DescriptionInput, ImageInput, Input, JobKind, Models, Prices, ProductionInput,
    Provider, Status, Timestamp, Window,
};
use engine::{
    Account, Act, CaptureTrouble, CompleteAt, Engine, FlightId, Here, Limits, Policy, Polling,
    Report, Said, Stored, Timing, Wanted,
};
use providers::{Client, SendError};
use sandbox::{Delivery, FaultPlan, Options, Sandbox};
use sha2::{Digest, Sha256};
use store::{DeliverableRow, Epoch, Fuse, FuseMode, Job, LaneHold, LaneKey, NewJob, Spent, Store};

const BASE: &str = "http://sandbox.test";
const START: i64 = 1_700_000_000_000;
/// Longer than any deadline: a history that is not over by then hangs.
const END: Duration = Duration::from_secs(3 * 86_400);

/// How likely the process dies at each tick, in thousandths, by place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chances {
    before_step: u32,
    before_commit: u32,
    after_commit: u32,
    after_hand_out: u32,
    database: u32,
}

impl Chances {
    pub(crate) fn none() -> Self {
        Self {
            before_step: 0,
            before_commit: 0,
            after_commit: 0,
            after_hand_out: 0,
            database: 0,
        }
    }

    pub(crate) fn crashes() -> Self {
        Self {
            before_step: 12,
            before_commit: 12,
            after_commit: 12,
            after_hand_out: 12,
            database: 12,
        }
    }
}

/// What the provider does wrong.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    plan: FaultPlan,
    shapes: bool,
    /// Nobody at JARAI ever releases a production.
    never_released: bool,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self {
            plan: FaultPlan::none(),
            shapes: false,
            never_released: false,
        }
    }

    pub(crate) fn never_released() -> Self {
        Self {
            never_released: true,
            ..Self::none()
        }
    }

    pub(crate) fn shapes() -> Self {
        Self {
            plan: FaultPlan::none(),
            shapes: true,
            never_released: false,
        }
    }

    pub(crate) fn some(seed: u64) -> Self {
        Self {
            plan: FaultPlan::from_seed(seed, 0.02),
            shapes: true,
            never_released: false,
        }
    }
}

/// What a history left behind.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    pub(crate) shapes: bool,
    pub(crate) inserted: u64,
    pub(crate) jobs: Vec<Job>,
    pub(crate) deliverables: Vec<DeliverableRow>,
    pub(crate) remote: Vec<sandbox::RemoteJob>,
    pub(crate) violations: Vec<String>,
    pub(crate) charged: BTreeMap<Provider, u64>,
    pub(crate) spent: Vec<Spent>,
    pub(crate) crashes: BTreeMap<&'static str, u64>,
    pub(crate) unanswered: u64,
    pub(crate) stored: BTreeMap<String, String>,
    pub(crate) history: Vec<String>,
    pub(crate) ticks: u64,
    /// Answers 4xx: what the provider did not want from us.
    pub(crate) refused: Vec<String>,
    /// Lost submits whose job was found in an export.
    pub(crate) proven_by_export: usize,
    /// The most requests that ProductAI saw in any minute.
    pub(crate) busiest_minute: usize,
}

impl Summary {
    /// Productions in doubt.
    pub(crate) fn in_doubt_productions(&self) -> usize {
        let productions = self
            .jobs
            .iter()
            .filter(|job| job.id.kind == JobKind::Production);
        productions
            .filter(|job| job.work.status() == Status::InDoubt)
            .count()
    }

    /// The codes of failed jobs.
    pub(crate) fn failures(&self) -> Vec<String> {
        let faults = self.jobs.iter().filter_map(|job| job.work.state.fault());
        faults.map(|fault| fault.code.clone()).collect()
    }

    pub(crate) fn rows(&self) -> usize {
        self.jobs.len()
    }

    fn count(&self, wanted: &[Status]) -> usize {
        self.jobs
            .iter()
            .filter(|job| wanted.contains(&job.work.status()))
            .count()
    }

    pub(crate) fn completed(&self) -> usize {
        self.count(&[Status::Completed])
    }

    pub(crate) fn in_doubt(&self) -> usize {
        self.count(&[Status::InDoubt])
    }

    pub(crate) fn open(&self) -> usize {
        self.count(&[
            Status::Pending,
            Status::Submitting,
            Status::Running,
            Status::Capturing,
        ])
    }
}

/// Something that will happen.
#[derive(Debug)]
enum Coming {
    /// A request reaches the provider; the life of the process that sent it.
    Arrive(Act, u64),
    /// An answer reaches the process of this life. `no`: the provider's number of the request.
    Deliver(Report, u64, Option<u64>),
}

/// All there is.
pub(crate) struct World {
    seed: u64,
    shapes: bool,
    never_released: bool,
    now: Timestamp,
    rng: fastrand::Rng,
    provider: Sandbox,
    accounts: Vec<Account>,
    store: Store,
    folder: tempfile::TempDir,
    queue: BinaryHeap<Reverse<(Timestamp, u64)>>,
    coming: BTreeMap<u64, Coming>,
    next: u64,
    /// Which process: answers to an earlier one are lost.
    life: u64,
    in_air: BTreeSet<FlightId>,
    held: Vec<(LaneKey, Epoch)>,
    unheard: Vec<Report>,
    /// The provider's numbers of the requests whose answers are not yet durable.
    unheard_numbers: Vec<u64>,
    crashes: BTreeMap<&'static str, u64>,
    unanswered: u64,
    stored: BTreeMap<String, String>,
    history: Vec<String>,
    ticks: u64,
    runtime: tokio::runtime::Runtime,
}

fn account(name: &str, provider: Provider, path: &str, key: &str, groups: Limits) -> Account {
    Account {
        name: name.to_owned(),
        provider,
        lane: LaneKey(format!("{provider}:sim")),
        client: Client::new(provider, &format!("{BASE}{path}"), key.to_owned().into()).unwrap(),
        defaults: Defaults::default(),
        prices: Prices {
            models: Models::documented(),
            description: Some(1),
            production: Some(1),
        },
        limits: groups,
        polling: Polling {
            min_interval: Duration::from_secs(5),
            queued: Duration::from_secs(10),
            producing: Duration::from_secs(30),
            awaiting_approval: Duration::from_secs(600),
            distributing: Duration::from_secs(60),
        },
        policy: Policy {
            takes_unnamed: true,
            complete_at: CompleteAt::Published,
            retry_failed: 0,
            resubmit_in_doubt: false,
            batch_size: 4,
            max_running: 50,
            deadline: Duration::from_secs(86_400),
            capture_deadline: Duration::from_secs(86_400),
        },
        timing: Timing {
            // Nobody else inserts here: the database is looked at when a write is noticed.
            look_again: Duration::from_secs(60),
            ..Timing::default()
        },
    }
}

fn accounts(options: &Options) -> Vec<Account> {
    let minute = Duration::from_secs(60);
    let day = Duration::from_secs(86_400);
    let group = |name: &str, windows: Vec<Window>| (name.to_owned(), windows);
    let jakov = Limits {
        groups: vec![
            group("submit", vec![Window::rolling(100, minute)]),
            group("read", vec![Window::rolling(300, minute)]),
        ],
        productions: None,
    };
    let productai = Limits {
        groups: vec![group("all", vec![Window::rolling(15, minute)])],
        productions: None,
    };
    let jarai = Limits {
        groups: vec![group(
            "all",
            vec![Window::rolling(60, minute), Window::calendar(2_000, day)],
        )],
        productions: Some(Window::calendar(20, day)),
    };
    let mut films = account(
        "films",
        Provider::Jarai,
        "/jarai/v1",
        &options.jarai.api_key,
        jarai,
    );
    let demo = sandbox::JaraiAccount::demo();
    films.defaults = Defaults {
        jarai_account_id: Some(demo.account_id),
        language_id: demo.languages.first().cloned(),
        country_id: demo.countries.first().cloned(),
        avatar_id: demo.avatars.first().cloned(),
        ..Defaults::default()
    };
    let mut texts = account(
        "texts",
        Provider::Jakov,
        "/jakov",
        &options.jakov.api_key,
        jakov,
    );
    texts.defaults.project_id = Some("p1".to_owned());
    let shots = &options.productai.api_key;
    vec![
        texts,
        account(
            "shots",
            Provider::Productai,
            "/productai/v1",
            shots,
            productai,
        ),
        films,
    ]
}

/// A small mixed run, every row with a mark of its own that the provider will have seen.
fn rows() -> Vec<NewJob> {
    let mut rows = Vec::new();
    for n in 0..14 {
        let input = Input::Description(DescriptionInput {
            ean: (n % 3 != 0).then(|| format!("40063813339{n:02}")),
            product_name: Some(format!("product {n}")),
            ..DescriptionInput::default()
        });
        rows.push(NewJob {
            client_product_id: Some(format!("SKU-{n}")),
            input: Some(input),
            ..NewJob::default()
        });
    }
    for n in 0..8 {
        let input = Input::Image(ImageInput {
            model: Some("nanobanana".to_owned()),
            prompt: Some(format!("prompt {n}")),
            image_url: Some(format!("https://images.example/{n}.jpg")),
            ..ImageInput::default()
        });
        rows.push(NewJob {
            input: Some(input),
            ..NewJob::default()
        });
    }
    for n in 0..2 {
        let input = Input::Production(ProductionInput {
            topic: format!("topic {n}"),
            ..ProductionInput::default()
        });
        rows.push(NewJob {
            input: Some(input),
            ..NewJob::default()
        });
    }
    rows
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut options = if faults.shapes {
            Options::from_seed(seed)
        } else {
            Options {
                seed,
                ..Options::default()
            }
        };
        options.faults = faults.plan;
        if faults.never_released {
            options.jarai.approval = sandbox::Approval::Never;
        }
        options.base_url = BASE.to_owned();
        let accounts = accounts(&options);
        let url = format!("sqlite://{}", folder.path().join("sim.db").display());
        let store = runtime.block_on(async {
            let options = store::Options {
                sqlite_synchronous: store::Synchronous::Off,
                create: true,
                ..store::Options::default()
            };
            let store = Store::open(&url, options).await.unwrap();
            store.migrate().await.unwrap();
            store.insert_jobs(&rows()).await.unwrap();
            store
        });
        Self {
            seed,
            shapes: faults.shapes,
            never_released: faults.never_released,
            now: Timestamp::from_millis(START),
            rng: fastrand::Rng::with_seed(seed),
            provider: Sandbox::new(options),
            accounts,
            store,
            folder,
            queue: BinaryHeap::new(),
            coming: BTreeMap::new(),
            next: 0,
            life: 0,
            in_air: BTreeSet::new(),
            held: Vec::new(),
            unheard: Vec::new(),
            unheard_numbers: Vec::new(),
            crashes: BTreeMap::new(),
            unanswered: 0,
            stored: BTreeMap::new(),
            history: Vec::new(),
            ticks: 0,
            runtime,
        }
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        self.rng.u32(0..1_000) < thousandths
    }

    fn delay(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(5..400))
    }

    fn schedule(&mut self, at: Timestamp, what: Coming) {
        self.next += 1;
        self.queue.push(Reverse((at, self.next)));
        self.coming.insert(self.next, what);
    }

    fn note(&mut self, line: &str) {
        self.history.push(format!("{} {line}", self.now));
    }

    /// Time goes on to the next event, or to `wake_at`. Whether there is anything left.
    fn advance(&mut self, wake_at: Option<Timestamp>) -> bool {
        let event = self.queue.peek().map(|Reverse((at, _))| *at);
        let Some(at) = [event, wake_at].into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(at);
        while let Some(Reverse((at, id))) = self.queue.peek().copied() {
            if at > self.now {
                break;
            }
            self.queue.pop();
            match self.coming.remove(&id) {
                Some(Coming::Arrive(act, life)) => self.arrive(act, life),
                Some(Coming::Deliver(report, life, no)) if life == self.life => {
                    self.in_air.remove(&report.flight);
                    self.unheard.push(report);
                    self.unheard_numbers.extend(no);
                }
                Some(Coming::Deliver(..)) | None => {}
            }
        }
        true
    }

    fn client(&self, account: &str) -> Client {
        let account = self.accounts.iter().find(|a| a.name == account).unwrap();
        account.client.clone()
    }

    /// A request reaches the provider; its answer comes back later, or never.
    fn arrive(&mut self, act: Act, life: u64) {
        let flight = act.flight().clone();
        let (said, at, no) = match act {
            Act::Send { account, call, .. } => {
                let client = self.client(&account);
                let exchange = self
                    .provider
                    .handle(self.now.as_millis(), client.request(&call));
                let (answer, at) = self.on_the_way_back(exchange.delivery, exchange.response);
                let reply = client.read(&call, answer, at);
                if life == self.life {
                    let status = reply.http_status;
                    self.note(&format!("{} {status:?}", call.verb()));
                }
                (Said::Reply(Box::new(reply)), at, Some(exchange.request_no))
            }
            Act::Fetch { wanted, .. } => {
                let result = self.fetch(&wanted);
                let at = self.now + self.delay();
                (Said::Fetched(result), at, None)
            }
        };
        if life == self.life {
            self.schedule(at, Coming::Deliver(Report { flight, at, said }, life, no));
        } else if let Some(no) = no {
            self.provider.answer_lost(no);
        }
    }

    fn on_the_way_back(
        &mut self,
        delivery: Delivery,
        response: http::Response<Bytes>,
    ) -> (Result<http::Response<Bytes>, SendError>, Timestamp) {
        let timeout = self.now + Timing::default().submit_timeout;
        match delivery {
            Delivery::Answer => (Ok(response), self.now + self.delay()),
            Delivery::DelayMs(ms) => {
                let at = self.now + Duration::from_millis(ms);
                if at < timeout {
                    (Ok(response), at)
                } else {
                    self.unanswered += 1;
                    (Err(SendError::TimedOut("no answer".to_owned())), timeout)
                }
            }
            Delivery::LostAfterAccept => {
                self.unanswered += 1;
                (Err(SendError::TimedOut("no answer".to_owned())), timeout)
            }
            Delivery::ResetBefore => {
                self.unanswered += 1;
                let broken = Err(SendError::Broken("connection reset".to_owned()));
                (broken, self.now + self.delay())
            }
        }
    }

    fn fetch(&mut self, wanted: &Wanted) -> Result<Stored, CaptureTrouble> {
        let request = http::Request::get(wanted.url.expose())
            .body(Bytes::new())
            .unwrap();
        let exchange = self.provider.handle(self.now.as_millis(), request);
        if exchange.response.status() != http::StatusCode::OK {
            return Err(CaptureTrouble::LinkDead(
                exchange.response.status().to_string(),
            ));
        }
        let body = exchange.response.into_body();
        let sha256: String = Sha256::digest(&body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let location = format!("sim://{}/{}/{sha256}", wanted.job, wanted.ordinal);
        self.stored.insert(location.clone(), sha256.clone());
        Ok(Stored {
            location,
            content_type: "application/octet-stream".to_owned(),
            bytes: body.len() as u64,
            sha256,
            quarantined: false,
        })
    }

    /// The process dies. What it had handed out and not sent is gone or on its way; what was on the
    /// way to it is lost.
    fn crash(&mut self, place: &'static str) {
        self.note(&format!("crash {place}"));
        *self.crashes.entry(place).or_default() += 1;
        self.life += 1;
        self.unheard.clear();
        for no in std::mem::take(&mut self.unheard_numbers) {
            self.provider.answer_lost(no);
        }
        self.in_air.clear();
        // A new process knows nothing of the old one.
        self.held.clear();
        let coming: Vec<u64> = self.coming.keys().copied().collect();
        for id in coming {
            let gone = match self.coming.get(&id) {
                Some(Coming::Arrive(..)) => self.rng.bool(),
                Some(Coming::Deliver(_, _, no)) => {
                    if let Some(no) = *no {
                        self.provider.answer_lost(no);
                    }
                    true
                }
                None => false,
            };
            if gone {
                self.coming.remove(&id);
            }
        }
        self.now = self.now + Duration::from_millis(self.rng.u64(1..20_000));
    }

    fn hand_out(&mut self, acts: Vec<Act>) {
        for act in acts {
            self.in_air.insert(act.flight().clone());
            let at = self.now + self.delay();
            let life = self.life;
            self.schedule(at, Coming::Arrive(act, life));
        }
    }

    async fn start(&mut self) -> (Engine, LaneHold) {
        let mut lanes: Vec<_> = self
            .accounts
            .iter()
            .map(|a| (a.lane.clone(), a.provider))
            .collect();
        lanes.sort();
        let hold = self
            .store
            .take_lanes(&lanes, "sim", self.now)
            .await
            .unwrap();
        let unheard = self.unheard.iter().map(|report| report.flight.clone());
        let here = Here {
            flights: self.in_air.iter().cloned().chain(unheard).collect(),
            held: std::mem::replace(&mut self.held, hold.epochs.clone()),
        };
        let seed = self.rng.u64(..);
        let engine = Engine::load(
            self.store.clone(),
            self.accounts.clone(),
            &hold.epochs,
            &here,
            seed,
            self.now,
        )
        .await
        .unwrap();
        (engine, hold)
    }

    /// One tick: the process steps, and may die at any place of it. Says when to come back.
    async fn tick(&mut self, engine: &mut Engine, chances: Chances) -> Tick {
        self.ticks += 1;
        if self.chance(chances.before_step) {
            self.crash("before a step");
            return Tick::Restart;
        }
        let before = self.chance(chances.before_commit);
        let after = !before && self.chance(chances.after_commit);
        let database = !before && !after && self.chance(chances.database);
        let mode = if after || (database && self.rng.bool()) {
            FuseMode::AfterCommit
        } else {
            FuseMode::BeforeBegin
        };
        if before || after || database {
            self.store.set_fuse(Some(Fuse { nth: 1, mode }));
        }
        // Somebody else writes now and then.
        if self.chance(50) {
            engine.notice_writes();
        }
        let reports = std::mem::take(&mut self.unheard);
        let result = engine.step(self.now, &reports).await;
        let burnt = self.store.fuse().is_none();
        self.store.set_fuse(None);
        match result {
            Ok(plan) => {
                self.unheard_numbers.clear();
                self.hand_out(plan.acts);
                if self.chance(chances.after_hand_out) {
                    self.crash("after the hand-out");
                    return Tick::Restart;
                }
                Tick::Wait(plan.wake_at)
            }
            Err(error) => {
                assert!(burnt, "only the fuse fails: {error:?}");
                self.unheard = reports;
                if database {
                    *self.crashes.entry("database trouble").or_default() += 1;
                    self.note("database trouble");
                } else if before {
                    self.crash("before the commit");
                } else {
                    // These answers were heard: they are durable.
                    self.unheard_numbers.clear();
                    self.crash("after the commit");
                }
                Tick::Restart
            }
        }
    }

    fn summary(mut self) -> Summary {
        let now = self.now.as_millis();
        let ledger = self.provider.ledger();
        let refused = ledger
            .requests()
            .iter()
            .filter(|entry| (400..500).contains(&entry.status))
            .map(|entry| format!("{} {}: {:?}", entry.status, entry.path, entry.reason))
            .collect();
        let violations = ledger
            .violations()
            .map(|(entry, violation)| format!("{} {}: {violation:?}", entry.at_ms, entry.path))
            .collect();
        let busiest_minute = ledger.busiest(60_000, |entry| {
            entry.provider == sandbox::Provider::Productai
        });
        let charged = [
            (Provider::Jakov, sandbox::Provider::Jakov),
            (Provider::Productai, sandbox::Provider::Productai),
            (Provider::Jarai, sandbox::Provider::Jarai),
        ]
        .map(|(ours, theirs)| (ours, ledger.charged(theirs)))
        .into();
        let store = self.store.clone();
        let (jobs, deliverables, spent, proven_by_export) = self.runtime.block_on(async {
            let mut jobs = Vec::new();
            let mut deliverables = Vec::new();
            let mut proven = 0;
            for kind in JobKind::ALL {
                let filter = store::JobFilter {
                    kind: Some(kind),
                    limit: 1_000,
                    ..store::JobFilter::default()
                };
                for job in store.list_jobs(&filter).await.unwrap() {
                    deliverables.extend(store.deliverables(job.id).await.unwrap());
                    let rows = store.submissions(job.id).await.unwrap();
                    let by_export = |row: &&store::SubmissionRow| {
                        row.reason
                            .as_ref()
                            .is_some_and(|why| why.contains("proven by the export"))
                    };
                    proven += rows.iter().filter(by_export).count();
                    jobs.push(job);
                }
            }
            (jobs, deliverables, store.spent().await.unwrap(), proven)
        });
        let remote = self.provider.jobs(now).collect();
        let _ = &self.folder;
        Summary {
            seed: self.seed,
            shapes: self.shapes,
            inserted: rows().len() as u64,
            jobs,
            deliverables,
            remote,
            violations,
            charged,
            spent,
            crashes: std::mem::take(&mut self.crashes),
            unanswered: self.unanswered,
            stored: std::mem::take(&mut self.stored),
            history: std::mem::take(&mut self.history),
            ticks: self.ticks,
            refused,
            proven_by_export,
            busiest_minute,
        }
    }
}

enum Tick {
    Wait(Option<Timestamp>),
    Restart,
}

/// Plays a history to its end: nothing is left that goes on by itself, or the time is over.
pub(crate) fn run(mut world: World, chances: Chances) -> Summary {
    let runtime = std::mem::replace(
        &mut world.runtime,
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap(),
    );
    let end = world.now + END;
    runtime.block_on(async {
        'lives: loop {
            let (mut engine, hold) = world.start().await;
            loop {
                match world.tick(&mut engine, chances).await {
                    Tick::Restart => {
                        drop(hold);
                        continue 'lives;
                    }
                    Tick::Wait(wake_at) => {
                        let outlook = engine.outlook();
                        // Evidence about jobs in doubt takes a while to come.
                        let looked = outlook
                            .youngest_doubt
                            .is_none_or(|since| since + Duration::from_secs(1_200) < world.now);
                        let idle = outlook.working == 0
                            && looked
                            && (outlook.awaiting_approval == 0 || world.never_released)
                            && world.in_air.is_empty()
                            && world.unheard.is_empty()
                            && nothing_pending(&world.store).await;
                        if idle || world.now > end || !world.advance(wake_at) {
                            break 'lives;
                        }
                    }
                }
            }
        }
    });
    world.runtime = runtime;
    world.summary()
}

async fn nothing_pending(store: &Store) -> bool {
    let counts = store.counts(None).await.unwrap();
    counts.iter().all(|count| count.status != Status::Pending)
}
