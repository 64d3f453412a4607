//! The world of the money histories: three accounts with caps, two of them with one key, rows of several
//! batches and prices, three virtual days.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{
    Caps, Defaults, DescriptionInput, ImageInput, Input, JobKind, Models, Prices, Provider, Status,
    SubmissionId, Timestamp, Window,
};
use engine::{
    Account, Act, CompleteAt, Engine, FlightId, Here, Limits, Policy, Polling, Report, Said,
    Stored, Timing,
};
use providers::{Client, SendError};
use sandbox::{Options, Sandbox};
use store::{Fuse, FuseMode, LaneHold, LaneKey, NewJob, Store};

const BASE: &str = "http://sandbox.test";
/// Half an hour before midnight in UTC, so that days end while jobs run.
const START: &str = "2026-11-28T23:30:00Z";
const SPAN: Duration = Duration::from_secs(3 * 86_400);
/// What is planned before midnight may be charged so much after it, a crash in between included.
const ON_ITS_WAY: i64 = 60_000;

const SHOTS: Caps = Caps {
    per_day: Some(40),
    per_month: None,
    per_batch: Some(60),
};
const SPARE: Caps = Caps {
    per_day: None,
    per_month: Some(20),
    per_batch: None,
};
const TEXTS: Caps = Caps {
    per_day: Some(7),
    per_month: Some(12),
    per_batch: None,
};

/// What the accounts say about jobs in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InDoubt {
    Hold,
    Resubmit,
}

/// What comes, and for which life of the process.
enum Coming {
    Arrive(Act, u64),
    Deliver(Report, u64),
}

pub(crate) struct World {
    seed: u64,
    now: Timestamp,
    end: Timestamp,
    rng: fastrand::Rng,
    provider: Sandbox,
    store: Store,
    accounts: Vec<Account>,
    queue: BTreeMap<(Timestamp, u64), Coming>,
    next: u64,
    life: u64,
    in_air: BTreeSet<FlightId>,
    unsent: BTreeSet<SubmissionId>,
    unheard: Vec<Report>,
    /// In thousandths, of a crash at each place and of a lost answer.
    trouble: u32,
    crashes: u64,
    steps: u64,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

/// What a history left.
#[derive(Debug)]
pub(crate) struct Summary {
    seed: u64,
    pub(crate) crashes: u64,
    /// Steps of the planner.
    pub(crate) steps: u64,
    pub(crate) in_doubt: u64,
    pub(crate) held: u64,
    /// Credits by account and day, as the ledger has them.
    taken: BTreeMap<(String, Timestamp), i64>,
    /// Charges: account, batch, when, how much.
    charges: Vec<(String, String, Timestamp, i64)>,
    booked: i64,
    reserved: i64,
    /// The sum of the rows' `credits` where something was accepted.
    shown: i64,
}

fn account(name: &str, provider: Provider, spend: Caps, rule: InDoubt) -> Account {
    let options = Options::default();
    let minute = Duration::from_secs(60);
    let group = |name: &str, limit| (name.to_owned(), vec![Window::rolling(limit, minute)]);
    let (path, key, groups) = match provider {
        Provider::Jakov => (
            "/jakov",
            options.jakov.api_key,
            vec![group("submit", 100), group("read", 300)],
        ),
        _ => (
            "/productai/v1",
            options.productai.api_key,
            vec![group("all", 15)],
        ),
    };
    Account {
        name: name.to_owned(),
        provider,
        // Accounts with one key share the lane.
        lane: LaneKey(format!("{provider}:money")),
        client: Client::new(provider, &format!("{BASE}{path}"), key.into()).unwrap(),
        defaults: Defaults {
            project_id: Some("p1".to_owned()),
            ..Defaults::default()
        },
        prices: Prices {
            models: Models::documented(),
            description: Some(1),
            production: None,
        },
        limits: Limits {
            groups,
            productions: None,
        },
        polling: Polling {
            min_interval: Duration::from_secs(5),
            queued: Duration::from_secs(10),
            producing: Duration::from_secs(30),
            awaiting_approval: Duration::from_secs(600),
            distributing: Duration::from_secs(60),
            delay_per_poll: None,
        },
        policy: Policy {
            takes_unnamed: false,
            complete_at: CompleteAt::Published,
            webhook_trust: engine::WebhookTrust::Verify,
            retry_failed: 1,
            check_sources: false,
            resubmit_in_doubt: rule == InDoubt::Resubmit,
            batch_size: 4,
            max_running: 10,
            deadline: Duration::from_secs(86_400),
            capture_deadline: Duration::from_secs(86_400),
            spend,
        },
        timing: Timing {
            look_again: Duration::from_secs(1_800),
            ..Timing::default()
        },
    }
}

/// Every row carries a mark that the provider sees: account and batch.
fn rows() -> Vec<NewJob> {
    let mut rows = Vec::new();
    let models = ["nanobanana", "gpt-high", "gpt-low"];
    for n in 0..60 {
        let name = if n % 4 == 3 { "spare" } else { "shots" };
        let batch = ["spring", "summer", "autumn"][n % 3];
        rows.push(NewJob {
            account: Some(name.to_owned()),
            batch: Some(batch.to_owned()),
            input: Some(Input::Image(ImageInput {
                model: Some(models[n / 2 % 3].to_owned()),
                prompt: Some(format!("{name} {batch} {n}")),
                image_url: Some(format!("https://images.example/{n}.jpg")),
                ..ImageInput::default()
            })),
            ..NewJob::default()
        });
    }
    for n in 0..20 {
        rows.push(NewJob {
            account: Some("texts".to_owned()),
            input: Some(Input::Description(DescriptionInput {
                product_name: Some(format!("texts none {n}")),
                ..DescriptionInput::default()
            })),
            ..NewJob::default()
        });
    }
    rows
}

impl World {
    pub(crate) fn new(seed: u64, rule: InDoubt) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let url = format!("sqlite://{}", folder.path().join("v.db").display());
        let options = store::Options {
            sqlite_synchronous: store::Synchronous::Off,
            ..store::Options::default()
        };
        let store = runtime.block_on(async {
            let store = Store::open(&url, options).await.unwrap();
            store.migrate().await.unwrap();
            store.insert_jobs(&rows()).await.unwrap();
            store
        });
        let mut sandbox = Options {
            seed,
            ..Options::default()
        };
        sandbox.productai.error_share = 0.1;
        let now: Timestamp = START.parse().unwrap();
        Self {
            seed,
            now,
            end: now + SPAN,
            rng: fastrand::Rng::with_seed(seed),
            provider: Sandbox::new(sandbox),
            store,
            accounts: vec![
                account("texts", Provider::Jakov, TEXTS, rule),
                account("shots", Provider::Productai, SHOTS, rule),
                account("spare", Provider::Productai, SPARE, rule),
            ],
            queue: BTreeMap::new(),
            next: 0,
            life: 0,
            in_air: BTreeSet::new(),
            unsent: BTreeSet::new(),
            unheard: Vec::new(),
            trouble: 15,
            crashes: 0,
            steps: 0,
            runtime,
            _folder: folder,
        }
    }

    pub(crate) fn without_trouble(mut self) -> Self {
        self.trouble = 0;
        self
    }

    fn bad_luck(&mut self) -> bool {
        self.rng.u32(0..1_000) < self.trouble
    }

    fn later(&mut self, what: Coming) {
        self.next += 1;
        let at = self.now + Duration::from_millis(self.rng.u64(5..400));
        self.queue.insert((at, self.next), what);
    }

    /// Plays three days.
    pub(crate) fn play(mut self) -> Summary {
        let runtime = std::mem::replace(
            &mut self.runtime,
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
        );
        runtime.block_on(async {
            while self.now < self.end {
                self.live().await;
            }
            self.summary().await
        })
    }

    async fn start(&mut self) -> (Engine, LaneHold) {
        let mut lanes: Vec<_> = self
            .accounts
            .iter()
            .map(|account| (account.lane.clone(), account.provider))
            .collect();
        lanes.sort();
        lanes.dedup();
        let hold = self.store.take_lanes(&lanes, "money", self.now);
        let hold = hold.await.unwrap();
        let unheard = self.unheard.iter().map(|report| report.flight.clone());
        let here = Here {
            flights: self.in_air.iter().cloned().chain(unheard).collect(),
            unsent: self.unsent.clone(),
            others_may_live: false,
            jump: None,
        };
        let accounts = self.accounts.clone();
        let seed = self.rng.u64(..);
        let store = self.store.clone();
        let engine = Engine::load(store, accounts, &hold.epochs, &here, seed, self.now);
        (engine.await.unwrap(), hold)
    }

    /// One life of the process, or one session with its database.
    async fn live(&mut self) {
        let (mut engine, _hold) = self.start().await;
        while self.now < self.end {
            let fuse = self.bad_luck();
            if fuse {
                let mode = if self.rng.bool() {
                    FuseMode::AfterCommit
                } else {
                    FuseMode::BeforeBegin
                };
                self.store.set_fuse(Some(Fuse { nth: 1, mode }));
            }
            self.steps += 1;
            let reports = std::mem::take(&mut self.unheard);
            let result = engine.step(self.now, &reports).await;
            let burnt = fuse && self.store.fuse().is_none();
            self.store.set_fuse(None);
            let Ok(plan) = result else {
                assert!(burnt, "only the fuse fails: {result:?}");
                self.unheard = reports;
                self.unsent.extend(engine.unsent());
                // Trouble with the database only, or the end of the process.
                if self.rng.bool() {
                    self.crash();
                }
                return;
            };
            for act in plan.acts {
                self.in_air.insert(act.flight().clone());
                let life = self.life;
                self.later(Coming::Arrive(act, life));
            }
            if self.bad_luck() {
                self.crash();
                return;
            }
            self.advance(plan.wake_at);
        }
    }

    /// What was handed out is gone or on its way; what was on the way here is lost.
    fn crash(&mut self) {
        self.crashes += 1;
        self.life += 1;
        self.unheard.clear();
        self.in_air.clear();
        self.unsent.clear();
        let rng = &mut self.rng;
        self.queue
            .retain(|_, coming| matches!(coming, Coming::Arrive(..)) && rng.bool());
        self.now = self.now + Duration::from_millis(self.rng.u64(1..20_000));
    }

    fn advance(&mut self, wake_at: Option<Timestamp>) {
        let event = self.queue.keys().next().map(|(at, _)| *at);
        let at = [event, wake_at].into_iter().flatten().min();
        self.now = self.now.max(at.unwrap_or(self.end));
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            match entry.remove() {
                Coming::Arrive(act, life) => self.arrive(&act, life),
                Coming::Deliver(report, life) if life == self.life => {
                    self.in_air.remove(&report.flight);
                    self.unheard.push(report);
                }
                Coming::Deliver(..) => {}
            }
        }
    }

    fn arrive(&mut self, act: &Act, life: u64) {
        let flight = act.flight().clone();
        let said = match act {
            Act::Send { account, call, .. } => {
                let account = self.accounts.iter().find(|a| a.name == *account).unwrap();
                let client = account.client.clone();
                let exchange = self
                    .provider
                    .handle(self.now.as_millis(), client.request(call));
                let lost = matches!(call, providers::Call::Submit(_)) && self.bad_luck();
                let answer = if lost {
                    Err(SendError::Broken("connection reset".to_owned()))
                } else {
                    Ok(exchange.response)
                };
                Said::Reply(Box::new(client.read(call, answer, self.now)))
            }
            Act::Look { .. } => Said::Looked(providers::fetch::Look::Fine),
            Act::Fetch { wanted, .. } => Said::Fetched(Ok(Stored {
                location: format!("sim://{}", wanted.job),
                content_type: "image/png".to_owned(),
                bytes: 1,
                sha256: "00".to_owned(),
                quarantined: false,
                shape: providers::fetch::Shape::default(),
            })),
        };
        if life == self.life {
            let report = Report {
                flight,
                at: self.now,
                said,
            };
            self.later(Coming::Deliver(report, life));
        }
    }

    async fn summary(&self) -> Summary {
        let now = self.now.as_millis();
        let marks: BTreeMap<String, String> = self
            .provider
            .jobs(now)
            .map(|job| {
                let mark = job.text("prompt").or_else(|| job.text("productName"));
                (job.id.clone(), mark.unwrap_or_default().to_owned())
            })
            .collect();
        let charges = self.provider.ledger().charges().iter().map(|charge| {
            let mut words = marks[&charge.job].split(' ').map(str::to_owned);
            let at = Timestamp::from_millis(charge.at_ms);
            let credits = i64::try_from(charge.credits).unwrap();
            (words.next().unwrap(), words.next().unwrap(), at, credits)
        });
        let charges = charges.collect();
        let mut taken = BTreeMap::new();
        for account in &self.accounts {
            let start: Timestamp = START.parse().unwrap();
            for day in self.store.money_by_day(&account.name, start).await.unwrap() {
                taken.insert((account.name.clone(), day.day), day.sums.taken());
            }
        }
        let spent = self.store.spent().await.unwrap();
        let mut summary = Summary {
            seed: self.seed,
            crashes: self.crashes,
            steps: self.steps,
            in_doubt: 0,
            held: 0,
            taken,
            charges,
            booked: spent.iter().map(|spent| spent.credits).sum(),
            reserved: spent.iter().map(|spent| spent.reserved).sum(),
            shown: 0,
        };
        for kind in JobKind::ALL {
            let filter = store::JobFilter {
                kind: Some(kind),
                limit: 1_000,
                ..store::JobFilter::default()
            };
            for job in self.store.list_jobs(&filter).await.unwrap() {
                let rows = self.store.submissions(job.id).await.unwrap();
                let of = |outcome| {
                    rows.iter()
                        .filter(move |row| row.outcome == outcome)
                        .count()
                };
                summary.in_doubt += of(store::Outcome::Unknown) as u64;
                if of(store::Outcome::Accepted) > 0 {
                    summary.shown += job.work.credits.unwrap_or(0);
                }
                let events = self.store.events(job.id).await.unwrap();
                let held = |event: &store::EventRow| event.detail["code"] == "spend_cap";
                summary.held += u64::from(events.iter().any(held));
                let stuck = job.work.status() == Status::Submitting;
                assert!(!stuck, "seed {}: {} is stuck", self.seed, job.id);
            }
        }
        summary
    }
}

impl Summary {
    /// Charges that surely belong to a day of this account: not those right after midnight.
    fn charged_on(&self, account: &str, day: Timestamp) -> i64 {
        let from = day + Duration::from_millis(ON_ITS_WAY.unsigned_abs());
        self.sum(|name, _, at| name == account && (from..day.next_utc_day()).contains(&at))
    }

    fn sum(&self, counts: impl Fn(&str, &str, Timestamp) -> bool) -> i64 {
        let charges = self.charges.iter();
        charges
            .filter(|(account, batch, at, _)| counts(account, batch, *at))
            .map(|(.., credits)| credits)
            .sum()
    }

    /// Days on which even the dearest image would not have fitted any more.
    pub(crate) fn full_days(&self) -> u64 {
        let shots = self.taken.iter().filter(|((name, _), _)| name == "shots");
        shots.filter(|(_, taken)| **taken > 40 - 8).count() as u64
    }

    /// I10: no cap is passed, in the ledger and at the provider, and the sums agree.
    pub(crate) fn check(&self) {
        let seed = self.seed;
        for ((account, day), taken) in &self.taken {
            let caps = match account.as_str() {
                "shots" => SHOTS,
                "spare" => SPARE,
                _ => TEXTS,
            };
            if let Some(cap) = caps.per_day {
                assert!(
                    *taken <= cap,
                    "seed {seed}: {account} took {taken} on {day}"
                );
                let charged = self.charged_on(account, *day);
                assert!(charged <= cap, "seed {seed}: {account}: {charged} on {day}");
            }
        }
        for batch in ["spring", "summer", "autumn"] {
            let charged = self.sum(|account, of, _| account == "shots" && of == batch);
            assert!(charged <= 60, "seed {seed}: {batch} was charged {charged}");
        }
        let november: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        for (account, cap) in [("spare", 20), ("texts", 12)] {
            let charged = self.sum(|name, _, at| name == account && at < november);
            assert!(
                charged <= cap,
                "seed {seed}: {account} was charged {charged}"
            );
        }
        let charged = self.sum(|_, _, _| true);
        let open = charged - self.booked;
        assert!(
            (0..=self.reserved).contains(&open),
            "seed {seed}: charged {charged}, booked {}, reserved {}",
            self.booked,
            self.reserved
        );
        assert_eq!(self.shown, self.booked, "seed {seed}: the rows' credits");
    }
}
