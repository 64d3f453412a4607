//! The hands: they send what the planner made durable, fetch files, and report. They decide nothing
//! and never send anything twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use providers::fetch::{BadFetcher, FetchError, FetchOptions, Fetched, Fetcher, sniff};
use providers::{BadHttp, Call, Client, Http, HttpOptions, SendError};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::account::Account;
use crate::act::{Act, CaptureTrouble, Report, Said, Stored, Wanted};
use crate::clock::Clock;
use crate::permit::Permit;
use crate::storage::{Incoming, LocalStorage};

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
        let storage = self.storage.clone();
        let permit = self.permit.clone();
        let name = match &act {
            Act::Send { account, .. } | Act::Fetch { account, .. } => account,
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
                    Said::Fetched(reach.bring_home(&flight, &wanted, &storage).await)
                }
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

    /// Streams a file to a temporary name, checks it, and gives it its own.
    async fn bring_home(
        &self,
        flight: &str,
        wanted: &Wanted,
        storage: &LocalStorage,
    ) -> Result<Stored, CaptureTrouble> {
        let trouble =
            |error: crate::storage::StorageError| CaptureTrouble::Storage(error.to_string());
        let mut incoming = storage.receive(flight).await.map_err(trouble)?;
        let fetched = match self.fetcher.fetch(&wanted.url, &mut incoming.file).await {
            Ok(fetched) => fetched,
            Err(error) => {
                storage.drop_incoming(incoming).await;
                return Err(trouble_of(&error));
            }
        };
        match check(wanted, &fetched) {
            Err(error) => {
                storage.drop_incoming(incoming).await;
                Err(error)
            }
            Ok(()) => keep(incoming, wanted, &fetched, storage)
                .await
                .map_err(trouble),
        }
    }
}

async fn keep(
    incoming: Incoming,
    wanted: &Wanted,
    fetched: &Fetched,
    storage: &LocalStorage,
) -> Result<Stored, crate::storage::StorageError> {
    let sniffed = sniff(&fetched.head, &wanted.kind);
    let sha256 = fetched.sha256_hex();
    let location = storage
        .keep(incoming, wanted, &sha256, &sniffed.extension)
        .await?;
    Ok(Stored {
        location,
        content_type: sniffed.content_type,
        bytes: fetched.bytes,
        sha256,
        quarantined: !sniffed.expected,
    })
}

/// What was told about the file must be so; what has an unexpected type was paid for and is kept.
fn check(wanted: &Wanted, fetched: &Fetched) -> Result<(), CaptureTrouble> {
    if sniff(&fetched.head, &wanted.kind).error_page {
        let why = "an HTML page came instead of the file".to_owned();
        return Err(CaptureTrouble::LinkDead(why));
    }
    if wanted.bytes.is_some_and(|bytes| bytes != fetched.bytes) {
        let why = format!(
            "{} bytes came, the provider said {:?}",
            fetched.bytes, wanted.bytes
        );
        return Err(CaptureTrouble::Later(why));
    }
    let hash = fetched.sha256_hex();
    if wanted
        .sha256
        .as_ref()
        .is_some_and(|told| !told.eq_ignore_ascii_case(&hash))
    {
        let why = "the file's SHA-256 is not the one that the provider told".to_owned();
        return Err(CaptureTrouble::Later(why));
    }
    Ok(())
}

fn trouble_of(error: &FetchError) -> CaptureTrouble {
    let why = error.to_string();
    match error {
        FetchError::Gone { .. } | FetchError::ErrorPage => CaptureTrouble::LinkDead(why),
        FetchError::Refused { .. } => CaptureTrouble::Never(why),
        FetchError::Empty | FetchError::Short { .. } | FetchError::Unavailable { .. } => {
            CaptureTrouble::Later(why)
        }
        FetchError::Local { .. } => CaptureTrouble::Storage(why),
    }
}
