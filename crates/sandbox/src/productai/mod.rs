//! ProductAI.photo as the seed document describes it: images in, images out, tokens taken at the
//! start.

mod submit;

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use crate::faults::FaultKind;
use crate::files::Links;
use crate::ledger::Violation;
use crate::media::{self, Media};
use crate::options::{ImageFormat, ProductaiDialect, ProductaiOptions};
use crate::timeline::{Polls, Timeline};
use crate::window::{Daily, Rolling};
use crate::wire::{Call, Reply, Verb};
use crate::world::{Pending, World};

/// One image job.
#[derive(Debug, Clone)]
pub(crate) struct ImageJob {
    pub(crate) id: String,
    number: u64,
    /// `generate` or `upscale`.
    pub(crate) operation: &'static str,
    pub(crate) submitted: Value,
    pub(crate) created_ms: i64,
    pub(crate) request_no: u64,
    pub(crate) credits: u64,
    pub(crate) timeline: Timeline,
    format: ImageFormat,
    polls: Polls,
    vanished: bool,
}

impl ImageJob {
    /// The file's name: the id and what its type is called.
    pub(crate) fn file_name(&self) -> String {
        let extension = match self.format {
            ImageFormat::Png => "png",
            ImageFormat::Jpeg => "jpg",
            ImageFormat::Webp => "webp",
        };
        format!("{}.{extension}", self.id)
    }

    /// The file's bytes.
    pub(crate) fn media(&self) -> Media {
        let unique = format!("productai job {} of request {}", self.id, self.request_no);
        match self.format {
            ImageFormat::Png => media::png(&unique),
            ImageFormat::Jpeg => media::jpeg(&unique),
            ImageFormat::Webp => media::webp(&unique),
        }
    }
}

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Productai {
    options: ProductaiOptions,
    jobs: BTreeMap<u64, ImageJob>,
    next_id: u64,
    minute: Rolling,
    day: Daily,
    spent: u64,
    links: Links,
    link_life_ms: i64,
}

impl Productai {
    pub(crate) fn new(options: ProductaiOptions, world: &World) -> Self {
        Self {
            jobs: BTreeMap::new(),
            // The document's samples are 22292 and 22293; ids are counted over all customers.
            next_id: 22_292,
            minute: Rolling::new(world.scaled(60_000), options.requests_per_minute),
            day: Daily::new(world.scaled(86_400_000), options.requests_per_day),
            spent: 0,
            links: Links::new(world.dice.secret("productai-links", 0)),
            link_life_ms: world.scaled(options.link_life_ms),
            options,
        }
    }

    pub(crate) fn verb(call: &Call) -> Verb {
        match call.route() {
            ("POST", path) if path == ["v1", "api", "generate"] => Verb::Submit,
            ("POST", path) if path == ["v1", "api", "upscale"] => Verb::Submit,
            ("GET", path) if matches!(path.as_slice(), ["v1", "api", "job", _]) => Verb::Poll,
            ("GET", path) if path == ["v1", "api", "key-check"] => Verb::Credits,
            _ => Verb::Other,
        }
    }

    /// Key and limits; `None` lets the request in.
    pub(crate) fn gate(&mut self, call: &Call, _world: &World) -> Option<Reply> {
        if call.header("x-api-key") != Some(self.options.api_key.as_str()) {
            return Some(self.error(401, "INVALID_API_KEY", "Unauthorized"));
        }
        let wait = match (
            self.minute.full_for(call.now_ms),
            self.day.full_for(call.now_ms),
        ) {
            (_, Some(wait_ms)) => Some((wait_ms, "requests per day")),
            (Some(wait_ms), None) => Some((wait_ms, "requests per minute")),
            (None, None) => None,
        };
        if let Some((wait_ms, name)) = wait {
            let mut reply = self.too_many(Some((call.now_ms, wait_ms)));
            reply.violations.push(Violation::RateLimit(name.to_owned()));
            return Some(reply);
        }
        self.minute.count(call.now_ms);
        self.day.count();
        None
    }

    pub(crate) fn answer(&mut self, call: &Call, world: &mut World) -> Reply {
        match Self::verb(call) {
            Verb::Submit => self.submit(call, world),
            Verb::Poll => self.poll(call, world),
            Verb::Credits => {
                let left = self.options.tokens.saturating_sub(self.spent);
                let data = json!({ "valid": true, "tokens_remaining": left, "plan": "standard" });
                Reply::json(200, &json!({ "status": "OK", "data": data }))
            }
            _ => self.error(404, "NOT_FOUND", "no such resource"),
        }
    }

    fn poll(&mut self, call: &Call, world: &World) -> Reply {
        let id = call.path.last().map(String::as_str).unwrap_or_default();
        let floor_ms = world.scaled(self.options.poll_floor_ms) - world.poll_tolerance_ms;
        let number = id.parse::<u64>().ok();
        let Some(job) = number.and_then(|number| self.jobs.get_mut(&number)) else {
            return self.error(404, "JOB_NOT_FOUND", "no such job");
        };
        job.vanished |= call.fault == Some(FaultKind::JobVanishes);
        if job.vanished {
            return self.error(404, "JOB_NOT_FOUND", "no such job").about(id);
        }
        let mut violations = Vec::new();
        let after_ms = call.now_ms - job.polls.last_ms.unwrap_or(call.now_ms);
        let told = job.polls.terminal_by.is_some();
        let early = !told && job.polls.too_early(call.now_ms, floor_ms);
        if early {
            violations.push(Violation::EarlyPoll { after_ms, floor_ms });
            if world.refuse_violations {
                let mut reply = self
                    .too_many(Some((call.now_ms, floor_ms - after_ms)))
                    .about(id);
                reply.violations = violations;
                return reply;
            }
        }
        job.polls.last_ms = Some(call.now_ms);
        let back = call.fault == Some(FaultKind::StatusBackwards);
        let line = &job.timeline;
        let status = if back {
            line.before(call.now_ms)
        } else {
            line.at(call.now_ms)
        };
        // A read of a completed job renews its link; one of a failed job has nothing to tell.
        let renews = told && status == "COMPLETED";
        if told && !renews && !back {
            violations.push(Violation::PollAfterTerminal);
        }
        let body = self.job_body(call, number.unwrap_or_default(), status);
        let mut reply = Reply::json(200, &json!({ "status": "OK", "data": body })).about(id);
        reply.violations = violations;
        reply.read_after_terminal = renews;
        reply.report = Some((id.to_owned(), status, Self::is_terminal(status)));
        reply
    }

    /// The inner object of both the submit answer and a poll.
    fn job_body(&self, call: &Call, number: u64, status: &str) -> Value {
        let Some(job) = self.jobs.get(&number) else {
            return Value::Null;
        };
        let mut map = Map::new();
        map.insert("id".to_owned(), json!(job.number));
        map.insert("status".to_owned(), json!(status));
        if let Some(prompt) = job.submitted.get("prompt").filter(|_| status != "ERROR") {
            map.insert("prompt".to_owned(), prompt.clone());
        }
        if status == "COMPLETED" {
            let link = self.link(&call.base, job, call.now_ms);
            map.insert("image_url".to_owned(), json!(link));
        } else if self.options.shape.null_pending {
            map.insert("image_url".to_owned(), Value::Null);
        }
        if self.options.shape.extras {
            map.insert(
                "created_at".to_owned(),
                json!(crate::world::iso(job.created_ms)),
            );
            map.insert("credits_used".to_owned(), json!(job.credits));
        }
        Value::Object(map)
    }

    fn link(&self, base: &str, job: &ImageJob, now_ms: i64) -> String {
        let path = format!("productai/{}", job.file_name());
        if self.options.shape.signed_links {
            self.links.signed(base, &path, now_ms + self.link_life_ms)
        } else {
            format!("{base}/files/{path}")
        }
    }

    /// The file of a link, or why there is none: status, code, reason.
    pub(crate) fn file(&self, call: &Call) -> Result<Media, (u16, &'static str, &'static str)> {
        let name = call.path.last().map(String::as_str).unwrap_or_default();
        let signed = self.options.shape.signed_links;
        if let Some(reason) = self.links.refusal(call).filter(|_| signed) {
            return Err((403, "AccessDenied", reason));
        }
        let number = name.split('.').next().and_then(|id| id.parse::<u64>().ok());
        let job = number.and_then(|number| self.jobs.get(&number));
        let made = job.filter(|job| job.timeline.at(call.now_ms) == "COMPLETED");
        match made.filter(|job| job.file_name() == name) {
            None => Err((404, "NoSuchKey", "no such file")),
            Some(job) if !signed && call.now_ms >= job.timeline.end_ms() + self.link_life_ms => {
                Err((403, "AccessDenied", "the link has expired"))
            }
            Some(job) => Ok(job.media()),
        }
    }

    pub(crate) fn top_up(&mut self, credits: u64) {
        self.options.tokens += credits;
    }

    pub(crate) fn reported(&mut self, no: u64, id: &str, status: &'static str, terminal: bool) {
        if let Some(job) = self.job_mut(id) {
            job.polls.reported(no, status, terminal);
        }
    }

    pub(crate) fn report_lost(&mut self, no: u64, id: &str) {
        if let Some(job) = self.job_mut(id) {
            job.polls.lost(no);
        }
    }

    fn job_mut(&mut self, id: &str) -> Option<&mut ImageJob> {
        id.parse::<u64>()
            .ok()
            .and_then(|number| self.jobs.get_mut(&number))
    }

    /// 429 as this service words it; `wait` is now and the milliseconds until the next is welcome.
    pub(crate) fn too_many(&self, wait: Option<(i64, i64)>) -> Reply {
        let reply = self.error(429, "RATE_LIMIT_EXCEEDED", "too many requests");
        self.options.shape.retry_after.add_to(reply, wait)
    }

    fn error(&self, status: u16, code: &str, text: &str) -> Reply {
        let body = match self.options.shape.dialect {
            ProductaiDialect::Seed => {
                json!({ "name": "ApiError", "message": code, "details": text })
            }
            ProductaiDialect::Coded => json!({ "status": "ERROR", "message": text, "code": code }),
        };
        Reply::json(status, &body).because(text)
    }

    /// The unsigned webhook of an ended job: with an id as text, or with nothing but the news.
    pub(crate) fn webhook(&self, pending: &Pending, due_ms: i64) -> Option<(String, Vec<u8>)> {
        let url = self.options.webhook_url.clone()?;
        let number = pending.job.parse::<u64>().ok()?;
        let job = self.jobs.get(&number)?;
        let body = match pending.event {
            "success" => json!({
                "status": "success",
                "image_url": self.link(&pending.base, job, due_ms),
                "job_id": pending.job,
            }),
            _ => json!({ "status": "error" }),
        };
        Some((url, body.to_string().into_bytes()))
    }

    /// All jobs in order of acceptance.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ImageJob> {
        self.jobs.values()
    }

    pub(crate) fn is_terminal(status: &str) -> bool {
        matches!(status, "COMPLETED" | "ERROR")
    }
}
