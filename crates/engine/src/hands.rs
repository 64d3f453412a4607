//! The hands: they send what the planner made durable, fetch files, and report. They decide nothing
//! and never send anything twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use providers::fetch::{BadFetcher, FetchOptions, Fetcher};
use providers::{BadHttp, Call, Client, Http, HttpOptions, SendError};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::account::Account;
use crate::act::{Act, Report, Said};
use crate::bring::{Bringer, Halves};
use crate::clock::Clock;
use crate::permit::Permit;
use crate::storage::LocalStorage;

/// How the hands reach out for one account.
#[derive(Debug, Clone, Default)]
pub struct HandsOptions {
    /// Calls to the provider. The time-outs are the account's.
    pub http: HttpOptions,
    /// Downloads, with the account's trusted hosts.
    pub fetch: FetchOptions,
}

/// The way to one account's provider and its files.
#[derive(Debug)]
struct Reach {
    client: Client,
    http: Http,
    fetcher: Fetcher,
}

/// Sends, fetches, reports.
#[derive(Debug)]
pub struct Hands {
    reaches: BTreeMap<String, Arc<Reach>>,
    storage: LocalStorage,
    /// Files of which a part is here.
    halves: Halves,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    reports: mpsc::UnboundedSender<Report>,
    permit: Permit,
}

/// The hands cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BadHands {
    /// Calls to providers.
    #[error("cannot make calls")]
    Http(#[from] BadHttp),
    /// Downloads.
    #[error("cannot fetch files")]
    Fetcher(#[from] BadFetcher),
}

impl Hands {
    /// Hands for these accounts; what they report comes out of the receiver.
    ///
    /// # Errors
    /// If the HTTP library cannot be set up.
    pub fn new(
        accounts: &[(Account, HandsOptions)],
        storage: LocalStorage,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Report>), BadHands> {
        let mut reaches = BTreeMap::new();
        for (account, options) in accounts {
            let http = HttpOptions {
                submit_timeout: account.timing.submit_timeout,
                read_timeout: account.timing.read_timeout,
                ..options.http.clone()
            };
            let reach = Reach {
                client: account.client.clone(),
                http: Http::new(http)?,
                fetcher: Fetcher::new(options.fetch.clone())?,
            };
            reaches.insert(account.name.clone(), Arc::new(reach));
        }
        let (reports, receiver) = mpsc::unbounded_channel();
        let hands = Self {
            reaches,
            storage,
            halves: Halves::default(),
            clock,
            tasks: TaskTracker::new(),
            reports,
            permit: Permit::default(),
        };
        Ok((hands, receiver))
    }

    /// Until when requests may leave.
    #[must_use]
    pub fn permit(&self) -> Permit {
        self.permit.clone()
    }

    /// Starts one act; its report comes later.
    pub fn start(&self, act: Act) {
        let clock = Arc::clone(&self.clock);
        let reports = self.reports.clone();
        let bringer = Bringer {
            storage: self.storage.clone(),
            halves: self.halves.clone(),
        };
        let permit = self.permit.clone();
        let name = match &act {
            Act::Send { account, .. } | Act::Fetch { account, .. } | Act::Look { account, .. } => {
                account
            }
        };
        let Some(reach) = self.reaches.get(name).cloned() else {
            tracing::error!(account = name, "an act for an account that is not there");
            return;
        };
        self.tasks.spawn(async move {
            let flight = act.flight().clone();
            let said = match act {
                Act::Send {
                    call, not_after, ..
                } if permit.stands(clock.now()) && clock.now() < not_after => {
                    reach.send(&call, clock.as_ref()).await
                }
                Act::Send { call, .. } => reach.not_sent(&call, clock.as_ref()),
                Act::Fetch { flight, wanted, .. } => {
                    Said::Fetched(bringer.bring_home(&reach.fetcher, &flight, &wanted).await)
                }
                Act::Look { url, .. } => Said::Looked(reach.fetcher.look(&url).await),
            };
            let at = clock.now();
            // Nobody listens any more only when the process ends.
            let _ = reports.send(Report { flight, at, said });
        });
    }
}

/// Why a request was held back here, and not by the network.
pub(crate) const LANE_UNCERTAIN: &str = "the hold on the lane was not certain";

impl Reach {
    /// Surely no byte left: whoever owns the lane now sends it, or this process a little later.
    fn not_sent(&self, call: &Call, clock: &dyn Clock) -> Said {
        let why = format!("it would have left too late, or {LANE_UNCERTAIN}");
        let answer = Err(SendError::NotSent(why));
        Said::Reply(Box::new(self.client.read(call, answer, clock.now())))
    }

    async fn send(&self, call: &Call, clock: &dyn Clock) -> Said {
        let request = self.client.request(call);
        let paid = matches!(call, Call::Submit(_));
        let answer = self.http.send(request, paid).await;
        Said::Reply(Box::new(self.client.read(call, answer, clock.now())))
    }
}
