//! The model with its journal: whatever changes the one is first written into the other, and a
//! start does again what the journal says. No clock and no socket here.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::Request;
use std::io;
use std::path::Path;

use crate::journal::{Event, Journal, Line, Recorded};
use crate::options::Options;
use crate::sandbox::Sandbox;
use crate::wire::{Exchange, Provider};
use crate::world::Webhook;

/// How long before a kill an answer may have been sent without being kept by its caller, in
/// milliseconds of real time. Callers keep what they hear within milliseconds; this is for a loaded
/// machine.
const LAST_ANSWERS_MS: i64 = 5_000;

/// A sandbox whose state survives its process, if it has a journal.
#[derive(Debug)]
pub(super) struct Kept {
    sandbox: Sandbox,
    journal: Option<Journal>,
    /// The time of the last change, Unix milliseconds: no later one is written as earlier.
    last_ms: i64,
    ended: bool,
}

impl Kept {
    /// A sandbox without a memory.
    pub(super) fn new(options: Options) -> Self {
        Self {
            sandbox: Sandbox::new(options),
            journal: None,
            last_ms: i64::MIN,
            ended: false,
        }
    }

    /// Goes on where the journal ends. Links of what was accepted then are made on the base of
    /// these options.
    pub(super) fn open(options: Options, path: &Path, now_ms: i64) -> io::Result<Self> {
        let (journal, lines) = Journal::open(path, &options)?;
        let mut kept = Self::new(options);
        for line in lines {
            kept.last_ms = kept.last_ms.max(line.at_ms);
            kept.replay(line)?;
        }
        kept.journal = Some(journal);
        kept.resume(now_ms)?;
        Ok(kept)
    }

    /// Does again what a line says; what comes of it went out in its time.
    fn replay(&mut self, line: Line) -> io::Result<()> {
        let (at_ms, sandbox) = (line.at_ms, &mut self.sandbox);
        match line.event {
            Event::Request(recorded) => {
                sandbox.handle(at_ms, request_of(recorded).map_err(io::Error::other)?);
            }
            Event::Webhooks => drop(sandbox.due_webhooks(at_ms)),
            Event::WebhookAnswered {
                delivery_no,
                status,
            } => {
                sandbox.webhook_answered(at_ms, delivery_no, status);
            }
            Event::AnswerLost { request_no } => sandbox.answer_lost(request_no),
            Event::Approve { production } => drop(sandbox.approve(at_ms, &production)),
            Event::Reject { production } => drop(sandbox.reject(at_ms, &production)),
            Event::TopUp { provider, credits } => sandbox.top_up(provider, credits),
        }
        Ok(())
    }

    /// Settles what the kill left open: the last answers may not have been heard, and webhooks that
    /// were on their way count as not delivered.
    fn resume(&mut self, now_ms: i64) -> io::Result<()> {
        for request_no in self
            .sandbox
            .told_since(self.last_ms.saturating_sub(LAST_ANSWERS_MS))
        {
            self.answer_lost(now_ms, request_no)?;
        }
        for delivery_no in self.sandbox.unanswered() {
            self.webhook_answered(now_ms, delivery_no, None)?;
        }
        Ok(())
    }

    /// The model, to look at.
    pub(super) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Provider time: `now_ms`, or the time of the last change if the clock was set back.
    pub(super) fn time(&self, now_ms: i64) -> i64 {
        self.last_ms.max(now_ms)
    }

    /// From now on nothing is accepted, and the journal is free for another start.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.journal = None;
    }

    pub(super) fn handle(&mut self, now_ms: i64, request: Request<Bytes>) -> io::Result<Exchange> {
        let at_ms = self.note(now_ms, || Event::Request(recorded(&request)))?;
        Ok(self.sandbox.handle(at_ms, request))
    }

    pub(super) fn due_webhooks(&mut self, now_ms: i64) -> io::Result<Vec<Webhook>> {
        let due = self.sandbox.next_event_ms();
        if due.is_none_or(|due_ms| due_ms > self.time(now_ms)) {
            return Ok(Vec::new());
        }
        let at_ms = self.note(now_ms, || Event::Webhooks)?;
        Ok(self.sandbox.due_webhooks(at_ms))
    }

    pub(super) fn webhook_answered(
        &mut self,
        now_ms: i64,
        delivery_no: u64,
        status: Option<u16>,
    ) -> io::Result<()> {
        let event = || Event::WebhookAnswered {
            delivery_no,
            status,
        };
        let at_ms = self.note(now_ms, event)?;
        self.sandbox.webhook_answered(at_ms, delivery_no, status);
        Ok(())
    }

    pub(super) fn answer_lost(&mut self, now_ms: i64, request_no: u64) -> io::Result<()> {
        self.note(now_ms, || Event::AnswerLost { request_no })?;
        self.sandbox.answer_lost(request_no);
        Ok(())
    }

    pub(super) fn approve(&mut self, now_ms: i64, production: &str) -> io::Result<bool> {
        let production = production.to_owned();
        let at_ms = self.note(now_ms, || Event::Approve {
            production: production.clone(),
        })?;
        Ok(self.sandbox.approve(at_ms, &production))
    }

    pub(super) fn reject(&mut self, now_ms: i64, production: &str) -> io::Result<bool> {
        let production = production.to_owned();
        let at_ms = self.note(now_ms, || Event::Reject {
            production: production.clone(),
        })?;
        Ok(self.sandbox.reject(at_ms, &production))
    }

    pub(super) fn top_up(
        &mut self,
        now_ms: i64,
        provider: Provider,
        credits: u64,
    ) -> io::Result<()> {
        self.note(now_ms, || Event::TopUp { provider, credits })?;
        self.sandbox.top_up(provider, credits);
        Ok(())
    }

    /// Writes down what is about to be done, and answers when it is done. What could not be
    /// written must not be done.
    fn note(&mut self, now_ms: i64, event: impl FnOnce() -> Event) -> io::Result<i64> {
        if self.ended {
            return Err(io::Error::other("the sandbox has ended"));
        }
        let at_ms = self.time(now_ms);
        if let Some(journal) = &mut self.journal {
            let event = event();
            journal.append(&Line { at_ms, event })?;
        }
        self.last_ms = at_ms;
        Ok(at_ms)
    }
}

fn recorded(request: &Request<Bytes>) -> Recorded {
    let target = request.uri().path_and_query();
    let headers = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Recorded {
        method: request.method().to_string(),
        target: target.map_or("/", |it| it.as_str()).to_owned(),
        headers: headers.collect(),
        body: BASE64_STANDARD.encode(request.body()),
    }
}

fn request_of(
    recorded: Recorded,
) -> Result<Request<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
    let body = BASE64_STANDARD.decode(recorded.body)?;
    let mut request = Request::builder()
        .method(recorded.method.as_str())
        .uri(recorded.target);
    for (name, value) in recorded.headers {
        request = request.header(name, value.into_bytes());
    }
    Ok(request.body(body.into())?)
}

#[cfg(test)]
mod tests;
