//! The sandbox behind a socket and a clock: answers in real time, sends webhooks, and shows its
//! book under `/_sandbox`. All rules are in `Sandbox`; this module only moves bytes, and keeps the
//! journal from which a killed sandbox starts again.

mod kept;
mod line;
mod pages;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::options::Options;
use crate::sandbox::Sandbox;
use crate::wire::{Delivery, Provider};
use crate::world::Webhook;
use kept::Kept;
use line::{Lines, Switch};

/// The largest request that is read, in bytes; the models refuse smaller ones where a document says.
const MOST_BODY: usize = 12 * 1024 * 1024;
/// How long a webhook's receiver may take.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long open connections are waited for at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A sandbox that is being served; it ends with `stop`, or at once when it is dropped.
#[derive(Debug)]
pub struct SandboxServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    /// Rings when a webhook may have become due sooner.
    changed: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SandboxServer {
    /// Serves on `listener`. Links are built on its address, unless the options name a base.
    /// Webhooks go out by reqwest, whose TLS provider the binary has to install before.
    ///
    /// # Errors
    /// When the listener has no address, or the client for webhooks cannot be built.
    pub fn start(options: Options, listener: TcpListener) -> io::Result<Self> {
        Self::start_with_journal(options, listener, None)
    }

    /// The same, with a file that holds all that ever changed the sandbox: a start with the file of
    /// another start goes on where that one ended, even if it was killed. The links it gives are on
    /// the new address. Only the seed and the speed are checked; with other options that shape the
    /// history (limits, durations, shares, faults) the same requests may come out otherwise.
    ///
    /// # Errors
    /// Those of `start`; when the file cannot be read or written, is in use by another sandbox, is
    /// no journal, or was written with another seed or speed.
    pub fn start_with_journal(
        mut options: Options,
        listener: TcpListener,
        journal: Option<&Path>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        if options.base_url.is_empty() {
            options.base_url = format!("http://{address}");
        }
        let client = webhook_client()?;
        let kept = match journal {
            Some(path) => Kept::open(options, path, now_ms())?,
            None => Kept::new(options),
        };
        let shared = Arc::new(Shared {
            kept: Mutex::new(kept),
            changed: Notify::new(),
        });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let router = Router::new()
            .fallback(exchange)
            .with_state(Arc::clone(&shared));
        let service = router.into_make_service_with_connect_info::<Switch>();
        let ended = stop.clone().cancelled_owned();
        tasks.spawn(async move {
            let served = axum::serve(Lines(listener), service)
                .with_graceful_shutdown(ended)
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the sandbox stopped serving");
            }
        });
        tasks.spawn(send_webhooks(Arc::clone(&shared), client, stop.clone()));
        Ok(Self {
            address,
            shared,
            stop,
            tasks,
        })
    }

    /// `http://host:port`; the services are under `/jakov`, `/productai/v1` and `/jarai/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at the model between two requests. The second argument is the present time, Unix
    /// milliseconds.
    pub fn with<T>(&self, look: impl FnOnce(&Sandbox, i64) -> T) -> T {
        let kept = self.shared.lock();
        look(kept.sandbox(), kept.time(now_ms()))
    }

    /// Releases a JARAI production that waits at `AwaitingApproval`; false if it does not.
    ///
    /// # Errors
    /// When the journal could not be written; then nothing has happened.
    pub fn approve(&self, production: &str) -> io::Result<bool> {
        let approved = self.shared.lock().approve(now_ms(), production);
        self.shared.changed.notify_one();
        approved
    }

    /// Somebody buys credits, or raises JARAI's monthly ceiling by so many productions.
    ///
    /// # Errors
    /// When the journal could not be written; then nothing has happened.
    pub fn top_up(&self, provider: Provider, credits: u64) -> io::Result<()> {
        self.shared.lock().top_up(now_ms(), provider, credits)
    }

    /// Rejects a JARAI production that waits at `AwaitingApproval`; false if it does not.
    ///
    /// # Errors
    /// When the journal could not be written; then nothing has happened.
    pub fn reject(&self, production: &str) -> io::Result<bool> {
        let rejected = self.shared.lock().reject(now_ms(), production);
        self.shared.changed.notify_one();
        rejected
    }

    /// Says that the answer of a request never reached the caller, as `Sandbox::answer_lost` does.
    ///
    /// # Errors
    /// When the journal could not be written; then nothing has happened.
    pub fn answer_lost(&self, request_no: u64) -> io::Result<()> {
        self.shared.lock().answer_lost(now_ms(), request_no)
    }

    /// Stops: open connections get a second to end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, ended).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

impl Drop for SandboxServer {
    /// Connections that outlive the server change nothing any more: a new start may be reading the
    /// journal already.
    fn drop(&mut self) {
        self.stop.cancel();
        self.shared.lock().end();
    }
}

/// Serves until `shutdown` is ready.
///
/// # Errors
/// Those of `SandboxServer::start`.
pub async fn serve(
    options: Options,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let server = SandboxServer::start(options, listener)?;
    shutdown.await;
    server.stop().await;
    Ok(())
}

async fn exchange(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(switch): ConnectInfo<Switch>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BODY).await else {
        return plain(413, "the body is too large");
    };
    if let Some(page) = head.uri.path().strip_prefix("/_sandbox/") {
        let query = head.uri.query().unwrap_or_default();
        let answer = pages::answer(
            &mut shared.lock(),
            now_ms(),
            head.method.as_str(),
            page,
            query,
        );
        shared.changed.notify_one();
        return answer.map(Body::from);
    }
    let handled = shared
        .lock()
        .handle(now_ms(), http::Request::from_parts(head, body));
    shared.changed.notify_one();
    let exchange = match handled {
        Ok(exchange) => exchange,
        Err(error) => {
            tracing::error!(%error, "a request was not carried out");
            switch.cut();
            return plain(500, "the request was not carried out");
        }
    };
    match exchange.delivery {
        Delivery::Answer => {}
        Delivery::DelayMs(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        // The answer below never leaves: the line is cut under it.
        Delivery::LostAfterAccept | Delivery::ResetBefore => switch.cut(),
    }
    exchange.response.map(Body::from)
}

fn plain(status: u16, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(Bytes::from_static(text.as_bytes())));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
}

#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox shares no code with the clients; this one follows nothing and has no key"
)]
fn webhook_client() -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(WEBHOOK_TIMEOUT)
        // What is simulated here stays here, whatever proxy the environment names.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(io::Error::other)
}

/// Sends what is due, each in a task of its own, until the end.
async fn send_webhooks(shared: Arc<Shared>, client: reqwest::Client, stop: CancellationToken) {
    let mut flights = JoinSet::new();
    loop {
        let due = match shared.lock().due_webhooks(now_ms()) {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "no more webhooks are sent");
                return;
            }
        };
        for webhook in due {
            flights.spawn(send(Arc::clone(&shared), client.clone(), webhook));
        }
        while flights.try_join_next().is_some() {}
        let next_ms = shared.lock().sandbox().next_event_ms();
        let wait_ms = next_ms.map_or(3_600_000, |at| (at - now_ms()).max(0));
        let wait = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0));
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn send(shared: Arc<Shared>, client: reqwest::Client, webhook: Webhook) {
    let mut request = client.post(&webhook.url).body(webhook.body);
    for (name, value) in &webhook.headers {
        request = request.header(name, value);
    }
    let status = match request.send().await {
        Ok(response) => Some(response.status().as_u16()),
        Err(error) => {
            let error = error.without_url();
            tracing::debug!(%error, delivery = webhook.delivery_no, "a webhook was not delivered");
            None
        }
    };
    let noted = shared
        .lock()
        .webhook_answered(now_ms(), webhook.delivery_no, status);
    if let Err(error) = noted {
        tracing::error!(%error, delivery = webhook.delivery_no, "an answer was not noted");
    }
    shared.changed.notify_one();
}

/// The only clock of this crate.
#[expect(
    clippy::disallowed_methods,
    reason = "the server has to live in real time; the model takes the time as a value"
)]
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
