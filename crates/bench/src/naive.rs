//! The loops that people write, against the same provider: the one that ProductAI's document shows (one
//! job after the other, its state asked at once and every five seconds), and ten of them behind one
//! limiter. They read an answer as `curl` and `jq` do. What is no good news is tried again after a pause:
//! the loop's own, or what JARAI's `retryAfterSeconds` says, as its guide asks.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::{Provider, Timestamp};
use http::{HeaderName, HeaderValue, Method, Request, header};
use sandbox::Sandbox;
use serde_json::{Value, json};

use crate::run::Run;
use crate::scenario::{BASE, START, Scenario};

/// Which loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// The documented one: one job after the other, no limiter.
    Serial,
    /// So many of them at once, behind one limiter at the documented pace; each waits before its first poll.
    Workers(usize),
}

impl Loop {
    fn name(self) -> String {
        match self {
            Self::Serial => "documented loop".to_owned(),
            Self::Workers(workers) => format!("loop x {workers}"),
        }
    }

    fn workers(self) -> usize {
        match self {
            Self::Serial => 1,
            Self::Workers(workers) => workers,
        }
    }
}

/// What a worker does next.
#[derive(Debug, Clone)]
enum Next {
    Submit,
    Poll(String),
    /// JARAI: the list of files, once it is over.
    Files(String),
}

/// Where a worker's request is.
#[derive(Debug)]
enum Coming {
    Want(Next),
    Arrive(Next),
}

/// The loops, the provider, and what is on its way.
#[derive(Debug)]
struct World<'a> {
    scenario: &'a Scenario,
    policy: Loop,
    options: sandbox::Options,
    provider: Sandbox,
    rng: fastrand::Rng,
    coming: BTreeMap<(Timestamp, u64), Coming>,
    sent: u64,
    submitted: usize,
    /// The limiter: when the next submit and the next read may leave.
    free: [Timestamp; 2],
    known: Vec<(String, Timestamp)>,
    failed: u64,
}

/// Runs a loop until all jobs are over, or the scenario's time is.
#[must_use]
pub fn naive(scenario: &Scenario, policy: Loop) -> Run {
    let options = scenario.options();
    let mut world = World {
        scenario,
        policy,
        provider: Sandbox::new(options.clone()),
        options,
        rng: fastrand::Rng::with_seed(scenario.seed),
        coming: BTreeMap::new(),
        sent: 0,
        submitted: 0,
        free: [START; 2],
        known: Vec::new(),
        failed: 0,
    };
    for _ in 0..policy.workers() {
        world.next_job(START);
    }
    let mut ended = START;
    while let Some(((now, _), what)) = world.coming.pop_first() {
        if now >= scenario.end() {
            break;
        }
        ended = now;
        match what {
            Coming::Want(next) => world.send(next, now),
            Coming::Arrive(next) => world.arrive(next, now),
        }
    }
    let known = world.known.len() as u64;
    Run {
        policy: policy.name(),
        sandbox: world.provider,
        completed: known - world.failed,
        failed: world.failed,
        known: world.known,
        in_doubt: 0,
        ended,
        forecasts: Vec::new(),
    }
}

impl World<'_> {
    fn add(&mut self, at: Timestamp, what: Coming) {
        self.sent += 1;
        self.coming.insert((at, self.sent), what);
    }

    fn next_job(&mut self, now: Timestamp) {
        if self.submitted < self.scenario.jobs {
            let at = now.max(self.scenario.comes_at(self.submitted));
            self.submitted += 1;
            self.add(at, Coming::Want(Next::Submit));
        }
    }

    /// A request leaves, through the limiter where there is one.
    fn send(&mut self, next: Next, now: Timestamp) {
        let mut at = now;
        if self.policy != Loop::Serial {
            let (group, pace) = self.pace(&next);
            if let Some(free) = self.free.get_mut(group) {
                at = now.max(*free);
                *free = at + pace;
            }
        }
        let at = at + self.scenario.wire.draw(&mut self.rng);
        self.add(at, Coming::Arrive(next));
    }

    /// Which limiter, and the time between two requests at the documented limit.
    fn pace(&self, next: &Next) -> (usize, Duration) {
        let per_minute = match (self.scenario.provider, next) {
            (Provider::Productai, _) => 15,
            (Provider::Jarai, _) => self.scenario.tier.limits().0,
            (Provider::Jakov, Next::Submit) => return (0, Duration::from_millis(600)),
            (Provider::Jakov, _) => return (1, Duration::from_millis(200)),
        };
        (0, Duration::from_secs(60) / per_minute)
    }

    /// A request reaches the provider, and its worker reads the answer.
    fn arrive(&mut self, next: Next, now: Timestamp) {
        let request = self.request(&next);
        let exchange = self.provider.handle(now.as_millis(), request);
        let at = now + self.scenario.wire.draw(&mut self.rng);
        let good = exchange.response.status().is_success();
        let body: Value = serde_json::from_slice(exchange.response.body()).unwrap_or_default();
        let told = body.get("retryAfterSeconds").and_then(Value::as_u64);
        let pause = told.map_or_else(|| self.interval(""), Duration::from_secs);
        match next {
            Next::Submit => match self.id_in(&body).filter(|_| good) {
                Some(id) => {
                    let wait = match self.policy {
                        Loop::Serial => Duration::ZERO,
                        Loop::Workers(_) => self.interval("Queued"),
                    };
                    self.add(at + wait, Coming::Want(Next::Poll(id)));
                }
                None => self.add(at + pause, Coming::Want(Next::Submit)),
            },
            Next::Poll(id) => match self.status_in(&body).filter(|_| good) {
                Some(status) => self.read_status(id, &status, at),
                None => self.add(at + pause, Coming::Want(Next::Poll(id))),
            },
            Next::Files(id) if good => {
                self.known.push((id, at));
                self.next_job(at);
            }
            Next::Files(id) => self.add(at + pause, Coming::Want(Next::Files(id))),
        }
    }

    fn read_status(&mut self, id: String, status: &str, at: Timestamp) {
        match status {
            "Published" => self.add(at, Coming::Want(Next::Files(id))),
            "COMPLETED" | "completed" => {
                self.known.push((id, at));
                self.next_job(at);
            }
            "ERROR" | "failed" | "not_found" | "Failed" | "Cancelled" => {
                self.failed += 1;
                self.known.push((id, at));
                self.next_job(at);
            }
            status => {
                let wait = self.interval(status);
                self.add(at + wait, Coming::Want(Next::Poll(id)));
            }
        }
    }

    /// The documented pause between two polls.
    fn interval(&self, status: &str) -> Duration {
        Duration::from_secs(match (self.scenario.provider, status) {
            (Provider::Productai | Provider::Jakov, _) => 5,
            (Provider::Jarai, "Queued") => 10,
            (Provider::Jarai, _) => 30,
        })
    }

    fn id_in(&self, body: &Value) -> Option<String> {
        let id = match self.scenario.provider {
            Provider::Productai => body.pointer("/data/id")?,
            Provider::Jakov => body.pointer("/products/0/id")?,
            Provider::Jarai => body.get("productionId")?,
        };
        Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
    }

    fn status_in(&self, body: &Value) -> Option<String> {
        let status = match self.scenario.provider {
            Provider::Productai => body.pointer("/data/status")?,
            Provider::Jakov | Provider::Jarai => body.get("status")?,
        };
        status.as_str().map(str::to_owned)
    }

    fn request(&self, next: &Next) -> Request<Bytes> {
        let (path, body) = match (self.scenario.provider, next) {
            (Provider::Productai, Next::Submit) => {
                let body = json!({ "model": "nanobanana", "prompt": "on a table",
                    "image_url": "https://images.example/1.jpg" });
                ("/productai/v1/api/generate".to_owned(), Some(body))
            }
            (Provider::Productai, Next::Poll(id) | Next::Files(id)) => {
                (format!("/productai/v1/api/job/{id}"), None)
            }
            (Provider::Jakov, Next::Submit) => {
                let body = json!({ "projectId": "p1", "products": [{ "productName": "shoe" }] });
                ("/jakov/api/v1/products".to_owned(), Some(body))
            }
            (Provider::Jakov, Next::Poll(id) | Next::Files(id)) => {
                (format!("/jakov/api/v1/products?id={id}"), None)
            }
            (Provider::Jarai, Next::Submit) => {
                let demo = sandbox::JaraiAccount::demo();
                let body = json!({ "topic": "a shoe", "languageId": demo.languages.first(),
                    "countryId": demo.countries.first(), "avatarId": demo.avatars.first() });
                let account = demo.account_id;
                (
                    format!("/jarai/v1/accounts/{account}/productions"),
                    Some(body),
                )
            }
            (Provider::Jarai, Next::Poll(id)) => (format!("/jarai/v1/productions/{id}"), None),
            (Provider::Jarai, Next::Files(id)) => {
                (format!("/jarai/v1/productions/{id}/deliverables"), None)
            }
        };
        self.dressed(&path, body)
    }

    fn dressed(&self, path: &str, body: Option<Value>) -> Request<Bytes> {
        let api_key = HeaderName::from_static("x-api-key");
        let (name, key) = match self.scenario.provider {
            Provider::Jakov => {
                let key = format!("Bearer {}", self.options.jakov.api_key);
                (header::AUTHORIZATION, key)
            }
            Provider::Productai => (api_key, self.options.productai.api_key.clone()),
            Provider::Jarai => (api_key, self.options.jarai.api_key.clone()),
        };
        let mut request = Request::new(Bytes::new());
        // Both are our own, and well formed.
        *request.uri_mut() = format!("{BASE}{path}").parse().unwrap_or_default();
        if let Ok(key) = HeaderValue::from_str(&key) {
            request.headers_mut().insert(name, key);
        }
        if let Some(body) = body {
            let json = HeaderValue::from_static("application/json");
            *request.method_mut() = Method::POST;
            request.headers_mut().insert(header::CONTENT_TYPE, json);
            *request.body_mut() = body.to_string().into();
        }
        request
    }
}
