//! The model as a whole: one exchange at a time, at a time that the caller names. No clock, no IO:
//! a simulator drives it in virtual time, the server of this crate in real time.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use std::collections::BTreeMap;

use crate::faults::FaultKind;
use crate::files;
use crate::jakov::Jakov;
use crate::jarai::{Jarai, Mail};
use crate::ledger::{Ledger, RequestEntry};
use crate::options::Options;
use crate::productai::Productai;
use crate::wire::{Call, Delivery, Exchange, Provider, Reply, Verb, html_page};
use crate::world::{Pending, Webhook, World};

/// The three services on one wire. A clone is another world from here on: a crash simulator can try
/// several ends of the same story.
#[derive(Debug, Clone)]
pub struct Sandbox {
    world: World,
    base_url: String,
    webhook_attempts: u32,
    webhook_retry_ms: u64,
    clock_ms: i64,
    pub(crate) jakov: Jakov,
    pub(crate) productai: Productai,
    pub(crate) jarai: Jarai,
    /// Deliveries that have not been answered yet.
    sent: BTreeMap<u64, Pending>,
    deliveries: u64,
    /// Reports of terminal statuses, by request: what `answer_lost` takes back.
    reports: BTreeMap<u64, (Provider, String)>,
}

impl Sandbox {
    /// A fresh sandbox; nothing has been submitted.
    pub fn new(options: Options) -> Self {
        let world = World::new(&options);
        Self {
            jakov: Jakov::new(options.jakov, &world),
            productai: Productai::new(options.productai, &world),
            jarai: Jarai::new(options.jarai, &world),
            base_url: options.base_url,
            webhook_attempts: options.webhook_attempts,
            webhook_retry_ms: options.webhook_retry_ms,
            clock_ms: i64::MIN,
            sent: BTreeMap::new(),
            deliveries: 0,
            reports: BTreeMap::new(),
            world,
        }
    }

    /// One HTTP exchange at provider time `now_ms`, in Unix milliseconds. Provider time never runs
    /// backwards: an earlier time than the last one counts as the last one.
    pub fn handle(&mut self, now_ms: i64, request: Request<Bytes>) -> Exchange {
        self.clock_ms = self.clock_ms.max(now_ms);
        let no = self.world.ledger.next_no();
        let path = request.uri().path().to_owned();
        let (provider, mut call) = Call::read(no, self.clock_ms, &self.base_url, request);
        let verb = verb_of(provider, &call);
        call.fault = self.world.faults.of_request(provider, verb);
        let reply = self.reply(provider, verb, &mut call);
        self.conclude(provider, verb, &call, path, reply)
    }

    /// What the service says, with the faults that strike before anything is accepted.
    fn reply(&mut self, provider: Provider, verb: Verb, call: &mut Call) -> Reply {
        if call.fault == Some(FaultKind::ResetBefore) {
            return Reply::default().because("the connection was reset");
        }
        if let Some(refusal) = self.gate(provider, call) {
            // A key or a limit that refuses comes before all that could go wrong behind it.
            call.fault = None;
            return refusal;
        }
        let fault = match call.fault {
            Some(FaultKind::ErrorBefore(status)) => self.own_error(provider, call, status),
            Some(FaultKind::TooManyRequests) => {
                self.too_many(provider, Some((call.now_ms, self.world.scaled(20_000))))
            }
            Some(FaultKind::BareTooManyRequests) => bare(self.too_many(provider, None)),
            _ => return self.answer(provider, call),
        };
        if verb != Verb::Poll {
            return fault;
        }
        // A poll that meets a fault has been made all the same: its rules hold, and the next one
        // counts from it.
        let poll = self.answer(provider, call);
        Reply {
            jobs: poll.jobs,
            violations: poll.violations,
            ..fault
        }
    }

    fn gate(&mut self, provider: Provider, call: &Call) -> Option<Reply> {
        match provider {
            Provider::Jakov => self.jakov.gate(call, &self.world),
            Provider::Productai => self.productai.gate(call, &self.world),
            Provider::Jarai => self.jarai.gate(call, &self.world),
            Provider::Files | Provider::Control => None,
        }
    }

    fn answer(&mut self, provider: Provider, call: &Call) -> Reply {
        match provider {
            Provider::Jakov => self.jakov.answer(call, &mut self.world),
            Provider::Productai => self.productai.answer(call, &mut self.world),
            Provider::Jarai => self.jarai.answer(call, &mut self.world),
            Provider::Files => self.file(call),
            Provider::Control => Reply::json(404, &json!({ "error": "no provider has this path" }))
                .because("no provider has this path"),
        }
    }

    fn too_many(&self, provider: Provider, wait: Option<(i64, i64)>) -> Reply {
        match provider {
            Provider::Jakov => self.jakov.too_many(wait),
            Provider::Productai => self.productai.too_many(wait),
            Provider::Jarai => self.jarai.too_many(wait),
            Provider::Files | Provider::Control => files::refuse(429, "SlowDown", "slow down"),
        }
    }

    /// A 5xx before anything was accepted. JARAI words its 500 and 503 as documented; the others
    /// answer as a gateway does.
    fn own_error(&self, provider: Provider, call: &Call, status: u16) -> Reply {
        let reply = match (provider, status) {
            (Provider::Jarai, 503) => self.jarai.error(
                503,
                "SERVICE_UNAVAILABLE",
                "the service is under maintenance",
            ),
            (Provider::Jarai, 500) => self.jarai.error(500, "INTERNAL_ERROR", "internal error"),
            _ => html_page(status),
        };
        let correlation = self.world.dice.uuid("correlation", call.no);
        reply
            .because("a fault before accepting")
            .with_header("x-correlation-id", correlation)
    }

    fn file(&mut self, call: &Call) -> Reply {
        let found = match (call.method.as_str(), call.path.first().map(String::as_str)) {
            ("GET" | "HEAD", Some("productai")) => self.productai.file(call),
            ("GET" | "HEAD", Some("jarai")) => self.jarai.file(call),
            ("GET" | "HEAD", _) => Err((404, "NoSuchKey", "no such file")),
            _ => Err((405, "MethodNotAllowed", "only GET and HEAD are served")),
        };
        let mut reply = match found {
            Ok(media) => files::serve(call, media),
            Err((status, code, reason)) => files::refuse(status, code, reason),
        };
        reply.violations.extend(files::keys_sent(call));
        reply
    }

    /// Applies the faults of the way back, writes the book, and takes note of what was told.
    fn conclude(
        &mut self,
        provider: Provider,
        verb: Verb,
        call: &Call,
        path: String,
        mut reply: Reply,
    ) -> Exchange {
        let delivery = match call.fault {
            Some(FaultKind::ResetBefore) => Delivery::ResetBefore,
            Some(FaultKind::LostAfterAccept) => Delivery::LostAfterAccept,
            Some(FaultKind::Slow(ms)) => Delivery::DelayMs(ms),
            _ => Delivery::Answer,
        };
        if let Some(FaultKind::ErrorAfter(status)) = call.fault {
            reply = Reply {
                jobs: reply.jobs,
                violations: reply.violations,
                ..html_page(status)
            }
            .because("a fault after accepting");
        }
        let hidden = call.fault.is_some_and(FaultKind::hides_the_answer);
        if let Some((job, status, terminal)) = reply.report.take().filter(|_| !hidden) {
            self.told(provider, call.no, &job, status, terminal);
        }
        self.world.ledger.write(RequestEntry {
            no: call.no,
            at_ms: call.now_ms,
            provider,
            verb,
            method: call.method.to_string(),
            path,
            status: reply.status,
            delivery,
            jobs: std::mem::take(&mut reply.jobs),
            reason: reply.reason.take(),
            violations: std::mem::take(&mut reply.violations),
            read_after_terminal: reply.read_after_terminal,
            fault: call.fault,
        });
        Exchange {
            request_no: call.no,
            response: garble(reply, call.fault),
            delivery,
        }
    }

    fn told(&mut self, provider: Provider, no: u64, job: &str, status: &'static str, end: bool) {
        match provider {
            Provider::Jakov => self.jakov.reported(no, job, status, end),
            Provider::Productai => self.productai.reported(no, job, status, end),
            Provider::Jarai => self.jarai.reported(no, job, status, end),
            Provider::Files | Provider::Control => {}
        }
        if end {
            self.reports.insert(no, (provider, job.to_owned()));
        }
    }

    /// Says that the answer of a request never reached the caller (its process died first): a
    /// terminal status that it carried may be asked for again without breaking a rule.
    pub fn answer_lost(&mut self, request_no: u64) {
        let Some((provider, job)) = self.reports.remove(&request_no) else {
            return;
        };
        match provider {
            Provider::Jakov => self.jakov.report_lost(request_no, &job),
            Provider::Productai => self.productai.report_lost(request_no, &job),
            Provider::Jarai => self.jarai.report_lost(request_no, &job),
            Provider::Files | Provider::Control => {}
        }
    }

    /// Somebody buys credits, or raises JARAI's monthly ceiling by so many productions.
    pub fn top_up(&mut self, provider: Provider, credits: u64) {
        match provider {
            Provider::Jakov => self.jakov.top_up(credits),
            Provider::Productai => self.productai.top_up(credits),
            Provider::Jarai => self.jarai.top_up(credits),
            Provider::Files | Provider::Control => {}
        }
    }

    /// The requests since `from_ms` whose answers told a terminal status.
    pub(crate) fn told_since(&self, from_ms: i64) -> Vec<u64> {
        let entries = self.world.ledger.requests().iter().rev();
        entries
            .take_while(|entry| entry.at_ms >= from_ms)
            .map(|entry| entry.no)
            .filter(|no| self.reports.contains_key(no))
            .collect()
    }

    /// The deliveries that `webhook_answered` was not told about yet.
    pub(crate) fn unanswered(&self) -> Vec<u64> {
        self.sent.keys().copied().collect()
    }

    /// Takes the webhooks that are due by `now_ms`, signed as documented. Tell
    /// `webhook_answered` what became of each; else it is not tried again.
    pub fn due_webhooks(&mut self, now_ms: i64) -> Vec<Webhook> {
        let mut due = Vec::new();
        while let Some((due_ms, pending)) = self.world.next_due(now_ms) {
            let from = due.len();
            match pending.provider {
                Provider::Jakov => {
                    if let Some((url, signed, body)) = self.jakov.webhook(&pending) {
                        let signed = ("x-webhook-signature", signed);
                        due.push(self.delivery(&pending, due_ms, url, Some(signed), body));
                    }
                }
                Provider::Productai => {
                    if let Some((url, body)) = self.productai.webhook(&pending, due_ms) {
                        due.push(self.delivery(&pending, due_ms, url, None, body));
                    }
                }
                Provider::Jarai => {
                    let number = self.deliveries;
                    let all = self.jarai.webhooks(&pending, number, &self.world);
                    for (subscription, url, signed, body) in all {
                        let pending = Pending {
                            subscription,
                            ..pending.clone()
                        };
                        let signed = ("x-jarai-signature", signed);
                        due.push(self.delivery(&pending, due_ms, url, Some(signed), body));
                    }
                }
                Provider::Files | Provider::Control => {}
            }
            for _ in from..due.len() {
                self.world.ledger.webhook_sent();
            }
        }
        due
    }

    fn delivery(
        &mut self,
        pending: &Pending,
        due_ms: i64,
        url: String,
        signed: Option<(&str, String)>,
        body: Vec<u8>,
    ) -> Webhook {
        self.deliveries += 1;
        self.sent.insert(self.deliveries, pending.clone());
        let content_type = ("content-type".to_owned(), "application/json".to_owned());
        let signed = signed.map(|(name, value)| (name.to_owned(), value));
        Webhook {
            delivery_no: self.deliveries,
            attempt: pending.attempt,
            provider: pending.provider,
            job: pending.job.clone(),
            url,
            headers: [content_type].into_iter().chain(signed).collect(),
            body: body.into(),
            due_ms,
        }
    }

    /// What became of a delivery: the status of the answer, or `None` without one. A delivery that
    /// failed is tried again later, up to `Options::webhook_attempts` times. JAKOV and JARAI take
    /// any 2xx; ProductAI wants 200.
    pub fn webhook_answered(&mut self, now_ms: i64, delivery_no: u64, status: Option<u16>) {
        let Some(mut pending) = self.sent.remove(&delivery_no) else {
            return;
        };
        let good = match pending.provider {
            Provider::Productai => status == Some(200),
            _ => status.is_some_and(|status| (200..300).contains(&status)),
        };
        if good || pending.attempt >= self.webhook_attempts {
            return;
        }
        let doubled = self.webhook_retry_ms << pending.attempt.saturating_sub(1).min(10);
        pending.attempt += 1;
        self.world
            .enqueue(now_ms + self.world.scaled(doubled), pending);
    }

    /// When the next webhook is due, Unix milliseconds.
    pub fn next_event_ms(&self) -> Option<i64> {
        self.world.next_event_ms()
    }

    /// The provider's own book.
    pub fn ledger(&self) -> &Ledger {
        &self.world.ledger
    }

    /// The mails that JARAI has sent, with the tokens of their links.
    pub fn mails(&self) -> &[Mail] {
        self.jarai.mails()
    }

    /// Releases a JARAI production that waits at `AwaitingApproval`; false if it does not.
    pub fn approve(&mut self, now_ms: i64, production: &str) -> bool {
        let base = self.base_url.clone();
        self.jarai
            .approve(production, now_ms, &base, &mut self.world)
    }

    /// Rejects a JARAI production that waits at `AwaitingApproval`; false if it does not.
    pub fn reject(&mut self, now_ms: i64, production: &str) -> bool {
        let base = self.base_url.clone();
        self.jarai
            .reject(production, now_ms, &base, &mut self.world)
    }
}

fn verb_of(provider: Provider, call: &Call) -> Verb {
    match provider {
        Provider::Jakov => Jakov::verb(call),
        Provider::Productai => Productai::verb(call),
        Provider::Jarai => Jarai::verb(call),
        Provider::Files => Verb::File,
        Provider::Control => Verb::Other,
    }
}

/// 429 with nothing that says until when.
fn bare(reply: Reply) -> Reply {
    Reply {
        headers: Vec::new(),
        body: Bytes::new(),
        ..reply
    }
}

/// The answer after the faults of the way back.
fn garble(reply: Reply, fault: Option<FaultKind>) -> Response<Bytes> {
    let reply = match fault {
        Some(FaultKind::HtmlBody) => Reply {
            status: reply.status,
            ..html_page(reply.status)
        },
        Some(FaultKind::BrokenJson) => {
            let half = reply.body.len() / 2;
            Reply {
                body: reply.body.slice(..half),
                ..reply
            }
        }
        _ => reply,
    };
    reply.into_response()
}
