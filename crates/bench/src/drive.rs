//! Drives the worker's planner over its store in virtual time: no socket, no sleep, no crash. The hands
//! are three lines: what leaves arrives after the wire's delay, and so does its answer. The crash
//! simulator of `engine` is the same with processes that die.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::{JobId, Provider, Status, Timestamp};
use engine::{Account, Act, CaptureTrouble, Engine, Here, Report, Said, Stored, Wanted};
use providers::SendError;
use sandbox::{Delivery, Sandbox};
use sha2::{Digest, Sha256};
use store::{JobFilter, LaneHold, Store};

use crate::account::{account, rows};
use crate::error::BenchError;
use crate::foretell::said;
use crate::run::{Foretold, Run};
use crate::scenario::{START, Scenario};

/// Events read at once.
const PAGE: u32 = 5_000;

/// Something that will happen.
#[derive(Debug)]
enum Coming {
    /// Its bytes reach the provider.
    Arrive(Act),
    /// Its answer reaches us.
    Deliver(Report),
}

/// The worker, the provider, and what is on its way between them.
#[derive(Debug)]
struct World<'a> {
    scenario: &'a Scenario,
    account: Account,
    store: Store,
    engine: Engine,
    _hold: LaneHold,
    provider: Sandbox,
    rng: fastrand::Rng,
    now: Timestamp,
    /// The planner's turn.
    due: Timestamp,
    /// What comes at the same moment comes in the order in which it was sent.
    coming: BTreeMap<(Timestamp, u64), Coming>,
    sent: u64,
    unheard: Vec<Report>,
    foretold: Vec<Foretold>,
}

/// Runs the worker's own planner and store until all rows are over.
///
/// # Errors
/// If the scenario makes no sense, or the temporary database fails.
pub async fn vitrine(scenario: &Scenario) -> Result<Run, BenchError> {
    scenario.check()?;
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}", folder.path().join("bench.db").display());
    let options = store::Options {
        // Nothing here outlives the run.
        sqlite_synchronous: store::Synchronous::Off,
        create: true,
        ..store::Options::default()
    };
    let store = Store::open(&url, options).await?;
    store.migrate().await?;
    store.insert_jobs(&rows(scenario)).await?;
    let options = scenario.options();
    let account = account(scenario, &options)?;
    let lanes = [(account.lane.clone(), account.provider)];
    let hold = store.take_lanes(&lanes, "bench", START).await?;
    let engine = Engine::load(
        store.clone(),
        vec![account.clone()],
        &hold.epochs,
        &Here::default(),
        scenario.seed,
        START,
    )
    .await?;
    let mut world = World {
        scenario,
        account,
        store,
        engine,
        _hold: hold,
        provider: Sandbox::new(options),
        rng: fastrand::Rng::with_seed(scenario.seed),
        now: START,
        due: START,
        coming: BTreeMap::new(),
        sent: 0,
        unheard: Vec::new(),
        foretold: Vec::new(),
    };
    world.foretell(0).await?;
    world.play().await?;
    world.run().await
}

impl World<'_> {
    /// Plays until nothing is left that goes on by itself, or the time is over.
    async fn play(&mut self) -> Result<(), BenchError> {
        loop {
            if self.due <= self.now {
                self.step().await?;
                self.foretell_half_way().await?;
                if self.is_over().await? {
                    return Ok(());
                }
            }
            let first = self.coming.keys().next().map(|(at, _)| *at);
            let next = [first, self.next_ring(), Some(self.due)];
            let next = next.into_iter().flatten().min().unwrap_or(self.due);
            if next >= self.scenario.end() {
                self.now = self.scenario.end();
                return Ok(());
            }
            self.now = self.now.max(next);
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
            self.ring().await?;
        }
    }

    async fn step(&mut self) -> Result<(), BenchError> {
        let reports = std::mem::take(&mut self.unheard);
        let plan = self.engine.step(self.now, &reports).await?;
        for act in plan.acts {
            let at = self.now + self.way();
            self.add(at, Coming::Arrive(act));
        }
        let idle = self.now + self.account.timing.look_again;
        self.due = plan.wake_at.unwrap_or(idle);
        Ok(())
    }

    async fn is_over(&self) -> Result<bool, BenchError> {
        let outlook = self.engine.outlook();
        if outlook.working > 0 || outlook.awaiting_approval > 0 || !self.coming.is_empty() {
            return Ok(false);
        }
        let counts = self.store.counts(None).await?;
        let open = [Status::Pending, Status::Submitting];
        Ok(!counts.iter().any(|count| open.contains(&count.status)))
    }

    /// What the worker would say now.
    async fn foretell(&mut self, over: i64) -> Result<(), BenchError> {
        let said = said(&self.store, &self.account, self.now).await?;
        self.foretold.extend(said.map(|forecast| Foretold {
            at: self.now,
            over,
            forecast,
        }));
        Ok(())
    }

    /// Again when half of the jobs are over.
    async fn foretell_half_way(&mut self) -> Result<(), BenchError> {
        if self.foretold.len() != 1 {
            return Ok(());
        }
        let over = |count: &&store::Count| count.status.is_terminal();
        let counts = self.store.counts(None).await?;
        let over: i64 = counts.iter().filter(over).map(|count| count.jobs).sum();
        if over * 2 >= self.scenario.jobs as i64 {
            self.foretell(over).await?;
        }
        Ok(())
    }

    fn add(&mut self, at: Timestamp, what: Coming) {
        self.sent += 1;
        self.coming.insert((at, self.sent), what);
    }

    fn way(&mut self) -> Duration {
        self.scenario.wire.draw(&mut self.rng)
    }

    /// A request reaches the provider; its answer is on its way back.
    fn arrive(&mut self, act: Act) {
        let flight = act.flight().clone();
        let at = self.now + self.way();
        let said = match act {
            Act::Send { call, .. } => {
                let request = self.account.client.request(&call);
                let exchange = self.provider.handle(self.now.as_millis(), request);
                let answer = match exchange.delivery {
                    Delivery::Answer => Ok(exchange.response),
                    // Only webhooks go astray in a scenario.
                    Delivery::LostAfterAccept | Delivery::ResetBefore | Delivery::DelayMs(_) => {
                        Err(SendError::Broken("the sandbox broke off".to_owned()))
                    }
                };
                Said::Reply(Box::new(self.account.client.read(&call, answer, at)))
            }
            // No scenario looks at its source images.
            Act::Look { .. } => Said::Looked(providers::fetch::Look::Fine),
            Act::Fetch { wanted, .. } => Said::Fetched(self.fetch(&wanted)),
        };
        self.add(at, Coming::Deliver(Report { flight, at, said }));
    }

    /// A download. The file's bytes are checked and dropped: the disk is not what is measured.
    fn fetch(&mut self, wanted: &Wanted) -> Result<Stored, CaptureTrouble> {
        let mut request = http::Request::new(Bytes::new());
        let Ok(uri) = wanted.url.expose().parse() else {
            return Err(CaptureTrouble::Never("the link is no address".to_owned()));
        };
        *request.uri_mut() = uri;
        let exchange = self.provider.handle(self.now.as_millis(), request);
        let status = exchange.response.status();
        if status != http::StatusCode::OK {
            return Err(CaptureTrouble::LinkDead(status.to_string()));
        }
        let body = exchange.response.into_body();
        let hash = Sha256::digest(&body);
        Ok(Stored {
            location: format!("bench://{}/{}", wanted.job, wanted.ordinal),
            content_type: "application/octet-stream".to_owned(),
            bytes: body.len() as u64,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            quarantined: false,
            shape: providers::fetch::Shape::default(),
        })
    }

    /// When the provider calls next.
    fn next_ring(&self) -> Option<Timestamp> {
        let next = self.provider.next_event_ms();
        next.filter(|_| self.scenario.webhooks)
            .map(Timestamp::from_millis)
    }

    /// The provider calls: what it says lies in the inbox, as the route that checks it would put it there.
    async fn ring(&mut self) -> Result<(), BenchError> {
        if !self.scenario.webhooks {
            return Ok(());
        }
        for hook in self.provider.due_webhooks(self.now.as_millis()) {
            let now = self.now.as_millis();
            let Ok(event) = providers::webhook::parse(self.account.provider, &hook.body) else {
                continue;
            };
            let body = String::from_utf8_lossy(&hook.body).into_owned();
            let key = event.stored_under(self.now);
            self.store
                .add_verified_webhook(&self.account.name, &key, &body, self.now)
                .await?;
            self.provider
                .webhook_answered(now, hook.delivery_no, Some(200));
            self.engine.notice_writes();
            self.due = self.now;
        }
        Ok(())
    }

    /// What the run leaves: the end of a job is known when the timeline says so.
    async fn run(self) -> Result<Run, BenchError> {
        let ends = self.ends().await?;
        let filter = JobFilter {
            limit: u32::MAX,
            ..JobFilter::default()
        };
        let mut run = Run {
            policy: "vitrine".to_owned(),
            known: Vec::new(),
            completed: 0,
            failed: 0,
            in_doubt: 0,
            ended: self.now,
            forecasts: self.foretold,
            sandbox: self.provider,
        };
        for job in self.store.list_jobs(&filter).await? {
            match job.work.status() {
                Status::Completed => run.completed += 1,
                Status::Failed | Status::Cancelled => run.failed += 1,
                Status::InDoubt => run.in_doubt += 1,
                Status::Pending | Status::Submitting | Status::Running | Status::Capturing => {}
            }
            if let (Some(remote), Some(at)) = (job.work.state.remote(), ends.get(&job.id)) {
                run.known.push((remote.id.clone(), *at));
            }
        }
        Ok(run)
    }

    /// When the end of each job was heard. An image is done when its file can be had; a production's
    /// files can be had long before it is published, and its end is what it is completed by.
    async fn ends(&self) -> Result<BTreeMap<JobId, Timestamp>, BenchError> {
        let is_end = |status: Status| match status {
            Status::Capturing => self.scenario.provider != Provider::Jarai,
            status => matches!(
                status,
                Status::Completed | Status::Failed | Status::Cancelled
            ),
        };
        let mut ends = BTreeMap::new();
        let mut after = 0;
        loop {
            let events = self.store.events_after(after, PAGE).await?;
            let Some(last) = events.last() else {
                return Ok(ends);
            };
            after = last.seq;
            for event in events.iter().filter(|event| is_end(event.to_status)) {
                ends.entry(event.job).or_insert(event.at);
            }
        }
    }
}
