//! One account, its provider, and the hosts of files and images, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Caps, Defaults, JobKind, Models, Prices, Provider, Status, Timestamp, Window};
use engine::{
    Account, Act, CaptureTrouble, CompleteAt, Engine, Here, Limits, Policy, Polling, Report, Said,
    Stored, Timing, Wanted, WebhookTrust,
};
use providers::Client;
use providers::fetch::Look;
use sandbox::{Options, Sandbox};
use sha2::{Digest, Sha256};
use store::{Job, JobFilter, LaneHold, LaneKey, NewJob, Store};

pub(crate) const BASE: &str = "http://sandbox.test";
const START: Timestamp = Timestamp::from_millis(1_700_006_410_000);
/// Each way.
const WAY: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(24 * 3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// What a host makes of a download, and how long its body is under way.
pub(crate) type FileHost =
    Box<dyn FnMut(&mut Sandbox, &Wanted, Timestamp) -> (Result<Stored, CaptureTrouble>, Duration)>;
/// What a look at an image shows.
pub(crate) type ImageHost = Box<dyn FnMut(&str) -> Look>;

enum Coming {
    Arrive(Act),
    Deliver(Report),
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) store: Store,
    pub(crate) provider: Sandbox,
    pub(crate) files: FileHost,
    pub(crate) images: ImageHost,
    engine: Engine,
    client: Client,
    look_again: Duration,
    _hold: LaneHold,
    due: Timestamp,
    coming: BTreeMap<(Timestamp, u64), Coming>,
    sent: u64,
    unheard: Vec<Report>,
    _folder: tempfile::TempDir,
}

pub(crate) fn account(provider: Provider, options: &Options) -> Account {
    let (path, key) = match provider {
        Provider::Jakov => ("/jakov", &options.jakov.api_key),
        Provider::Productai => ("/productai/v1", &options.productai.api_key),
        Provider::Jarai => ("/jarai/v1", &options.jarai.api_key),
    };
    let demo = sandbox::JaraiAccount::demo();
    let many = Window::rolling(6_000, Duration::from_secs(60));
    Account {
        name: "deliver".to_owned(),
        provider,
        lane: LaneKey(format!("{provider}:deliver")),
        client: Client::new(provider, &format!("{BASE}{path}"), key.clone().into()).unwrap(),
        defaults: Defaults {
            jarai_account_id: Some(demo.account_id),
            language_id: demo.languages.first().cloned(),
            country_id: demo.countries.first().cloned(),
            avatar_id: demo.avatars.first().cloned(),
            ..Defaults::default()
        },
        prices: Prices {
            models: Models::documented(),
            description: None,
            production: Some(1),
        },
        limits: Limits {
            groups: vec![("all".to_owned(), vec![many])],
            productions: None,
        },
        polling: Polling {
            delay_per_poll: None,
            min_interval: Duration::from_secs(5),
            queued: Duration::from_secs(10),
            producing: Duration::from_secs(30),
            awaiting_approval: DAY,
            distributing: DAY,
        },
        policy: Policy {
            takes_unnamed: true,
            complete_at: CompleteAt::AwaitingApproval,
            webhook_trust: WebhookTrust::Verify,
            retry_failed: 0,
            resubmit_in_doubt: false,
            batch_size: 1,
            max_running: 2_000,
            deadline: DAY,
            capture_deadline: DAY,
            spend: Caps::default(),
            check_sources: true,
        },
        timing: Timing {
            look_again: Duration::from_secs(60),
            ..Timing::default()
        },
    }
}

impl World {
    pub(crate) async fn new(account: Account, options: Options, rows: &[NewJob]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("v.db").display());
        let settings = store::Options {
            sqlite_synchronous: store::Synchronous::Off,
            create: true,
            ..store::Options::default()
        };
        let store = Store::open(&url, settings).await.unwrap();
        store.migrate().await.unwrap();
        store.insert_jobs(rows).await.unwrap();
        let lanes = [(account.lane.clone(), account.provider)];
        let hold = store.take_lanes(&lanes, "deliver", START).await.unwrap();
        let look_again = account.timing.look_again;
        let client = account.client.clone();
        let here = Here::default();
        let engine = Engine::load(store.clone(), vec![account], &hold.epochs, &here, 11, START);
        Self {
            now: START,
            engine: engine.await.unwrap(),
            store,
            provider: Sandbox::new(options),
            files: Box::new(|provider, wanted, now| (from_sandbox(provider, wanted, now), WAY)),
            images: Box::new(|_| Look::Fine),
            client,
            look_again,
            _hold: hold,
            due: START,
            coming: BTreeMap::new(),
            sent: 0,
            unheard: Vec::new(),
            _folder: folder,
        }
    }

    /// Until nothing is pending, under way or coming home.
    pub(crate) async fn play(&mut self) {
        loop {
            self.turn().await;
            assert!(self.now < START + LONGEST, "it hangs");
            if self.engine.outlook().working > 0 || !self.coming.is_empty() {
                continue;
            }
            let counts = self.store.counts(None).await.unwrap();
            let open = |status| matches!(status, Status::Pending | Status::Submitting);
            if !counts.iter().any(|count| open(count.status)) {
                return;
            }
        }
    }

    pub(crate) async fn jobs(&self, kind: JobKind) -> Vec<Job> {
        let filter = JobFilter {
            kind: Some(kind),
            limit: 10_000,
            ..JobFilter::default()
        };
        let mut jobs = self.store.list_jobs(&filter).await.unwrap();
        jobs.sort_by_key(|job| job.id);
        jobs
    }

    async fn turn(&mut self) {
        if self.due <= self.now {
            let reports = std::mem::take(&mut self.unheard);
            let plan = self.engine.step(self.now, &reports).await.unwrap();
            for act in plan.acts {
                self.add(self.now + WAY, Coming::Arrive(act));
            }
            self.due = plan.wake_at.unwrap_or(self.now + self.look_again);
        }
        let coming = self.coming.keys().next().map(|(at, _)| *at);
        let next = coming.map_or(self.due, |at| at.min(self.due));
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
    }

    fn add(&mut self, at: Timestamp, what: Coming) {
        self.sent += 1;
        self.coming.insert((at, self.sent), what);
    }

    fn arrive(&mut self, act: Act) {
        let flight = act.flight().clone();
        let mut at = self.now + WAY;
        let said = match act {
            Act::Send { account, call, .. } => {
                assert_eq!(account, "deliver");
                let request = self.client.request(&call);
                let exchange = self.provider.handle(self.now.as_millis(), request);
                let answer = Ok(exchange.response);
                Said::Reply(Box::new(self.client.read(&call, answer, at)))
            }
            Act::Fetch { wanted, .. } => {
                let (result, takes) = (self.files)(&mut self.provider, &wanted, self.now);
                at = self.now + takes;
                Said::Fetched(result)
            }
            Act::Look { url, .. } => Said::Looked((self.images)(&url)),
        };
        self.add(at, Coming::Deliver(Report { flight, at, said }));
    }
}

/// The file as the simulated host gives it at this moment.
pub(crate) fn from_sandbox(
    provider: &mut Sandbox,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Stored, CaptureTrouble> {
    let request = http::Request::get(wanted.url.expose())
        .body(bytes::Bytes::new())
        .unwrap();
    let exchange = provider.handle(now.as_millis(), request);
    let status = exchange.response.status();
    if status != http::StatusCode::OK {
        return Err(CaptureTrouble::LinkDead(status.to_string()));
    }
    let body = exchange.response.into_body();
    let hash = Sha256::digest(&body);
    let sha256 = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Stored {
        location: format!("sim://{}/{}-{}", wanted.job, wanted.kind, wanted.ordinal),
        content_type: "application/octet-stream".to_owned(),
        bytes: body.len() as u64,
        sha256,
        quarantined: false,
        shape: providers::fetch::Shape::default(),
    })
}
