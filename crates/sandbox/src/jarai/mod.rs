//! JARAI's Partner API as its guides describe it: accounts, productions, deliverables, webhooks.

mod lists;
mod partners;
mod productions;
mod submit;
mod webhooks;

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use crate::files::Links;
use crate::ledger::Violation;
use crate::options::JaraiOptions;
use crate::window::Daily;
use crate::wire::{Call, Reply, Verb};
use crate::world::{World, seconds};

pub use partners::Mail;
use partners::Partner;
pub(crate) use productions::Production;
use webhooks::Subscription;

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Jarai {
    options: JaraiOptions,
    partners: Vec<Partner>,
    productions: BTreeMap<String, Production>,
    /// Ids in order of acceptance.
    order: Vec<String>,
    subscriptions: Vec<Subscription>,
    mails: Vec<Mail>,
    /// Productions of the day, by account.
    quotas: BTreeMap<String, Daily>,
    links: Links,
    subscribed: u64,
}

impl Jarai {
    pub(crate) fn new(options: JaraiOptions, world: &World) -> Self {
        let mut jarai = Self {
            partners: vec![Partner::of_options(&options, world)],
            productions: BTreeMap::new(),
            order: Vec::new(),
            subscriptions: Vec::new(),
            mails: Vec::new(),
            quotas: BTreeMap::new(),
            links: Links::new(world.dice.secret("jarai-links", 0)),
            subscribed: 0,
            options,
        };
        jarai
            .subscriptions
            .extend(Subscription::of_options(&jarai.options, world));
        jarai
    }

    pub(crate) fn verb(call: &Call) -> Verb {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("POST", ["v1", "accounts", _, "productions"]) => Verb::Submit,
            ("GET", ["v1", "productions", _] | ["v1", "productions", _, "status"]) => Verb::Poll,
            ("DELETE", ["v1", "productions", _]) => Verb::Cancel,
            ("GET", ["v1", "productions", _, "deliverables"]) => Verb::Deliverables,
            ("GET", ["v1", "accounts"] | ["v1", "accounts", _]) => Verb::Accounts,
            ("GET", ["v1", "partner", "usage"]) => Verb::Credits,
            _ => Verb::Other,
        }
    }

    /// Key and limits; `None` lets the request in.
    pub(crate) fn gate(&mut self, call: &Call, world: &World) -> Option<Reply> {
        if is_open(call) {
            return None;
        }
        if call.body.len() > self.options.max_body_bytes {
            // No code is documented, and the body need not be the envelope.
            return Some(Reply::empty(413).because("the body is too large"));
        }
        let Some(partner) = self.partner(call) else {
            return Some(self.error(401, "UNAUTHORIZED", "the API key is missing or invalid"));
        };
        if !partner.active {
            return Some(self.error(403, "PARTNER_NOT_ACTIVE", "the partner is not active"));
        }
        match partner.admit(call.now_ms) {
            Ok(()) => None,
            Err((wait_ms, name)) => {
                let mut reply = self.too_many(Some((call.now_ms, wait_ms)));
                reply.violations.push(Violation::RateLimit(name.to_owned()));
                Some(self.dress(reply, call, world))
            }
        }
    }

    pub(crate) fn answer(&mut self, call: &Call, world: &mut World) -> Reply {
        let reply = match self.missing_scope(call) {
            Some(scope) => {
                let text = format!("the key lacks the scope {scope}");
                self.error(403, "PERMISSION_DENIED", &text)
            }
            None => self.route(call, world),
        };
        self.dress(reply, call, world)
    }

    fn route(&mut self, call: &Call, world: &mut World) -> Reply {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("POST", ["v1", "partners", "register"]) => self.register(call, world),
            ("GET", ["v1", "partners", "verify"]) => self.verify(call, world),
            ("POST", ["v1", "partners", "keys", "rotate"]) => self.rotate(call, world),
            ("GET", ["v1", "partner", "usage"]) => self.usage(call),
            ("GET", ["v1", "accounts"]) => self.accounts(),
            ("GET", ["v1", "accounts", id]) => self.account(id),
            ("POST", ["v1", "accounts", id, "productions"]) => self.submit(id, call, world),
            ("GET", ["v1", "productions", id] | ["v1", "productions", id, "status"]) => {
                self.poll(id, call, world)
            }
            ("DELETE", ["v1", "productions", id]) => self.cancel(id, call, world),
            ("GET", ["v1", "productions", id, "deliverables"]) => {
                self.deliverables(id, call, world)
            }
            ("GET", ["v1", "productions", id, "performance"]) => self.performance(id, call),
            ("POST", ["v1", "webhooks"]) => self.subscribe(call, world),
            ("GET", ["v1", "webhooks"]) => self.subscriptions(),
            ("GET", ["v1", "webhooks", id]) => self.subscription(id),
            ("DELETE", ["v1", "webhooks", id]) => self.unsubscribe(id),
            ("POST", ["v1", "webhooks", id, "test"]) => self.send_test(id, call, world),
            _ => self.error(404, "NOT_FOUND", "no such resource"),
        }
    }

    /// The scope that this call needs and the key has not, in the words of the old edition.
    fn missing_scope(&self, call: &Call) -> Option<&'static str> {
        let scopes = self.options.scopes.as_ref()?;
        let (method, path) = call.route();
        let wanted: &[&'static str] = match (Self::verb(call), path.as_slice()) {
            (Verb::Submit, _) => &["productions:trigger", "productions:write"],
            (Verb::Poll, _) => &["productions:read", "productions:write"],
            (Verb::Cancel, _) => &["productions:cancel", "productions:write"],
            (Verb::Deliverables, _) => &["deliverables:read"],
            (Verb::Credits, _) | (_, [_, _, _, "performance"]) => {
                &["performance:read", "analytics:read"]
            }
            (Verb::Accounts, _) => &["accounts:read"],
            (_, [_, "webhooks", ..]) if method == "GET" => {
                &["webhooks:manage", "webhooks:write", "webhooks:read"]
            }
            (_, [_, "webhooks", ..]) => &["webhooks:manage", "webhooks:write"],
            _ => return None,
        };
        let has = wanted
            .iter()
            .any(|scope| scopes.iter().any(|it| it == scope));
        wanted.first().copied().filter(|_| !has)
    }

    /// Adds what every answer carries, and what only good ones and 429 carry.
    fn dress(&mut self, reply: Reply, call: &Call, world: &World) -> Reply {
        let mut reply =
            reply.with_header("x-correlation-id", world.dice.uuid("correlation", call.no));
        let counted = reply.status < 300 || reply.status == 429;
        if let Some(partner) = self.partner(call).filter(|_| counted) {
            let reset = seconds(partner.minute.reset_ms(call.now_ms));
            reply = reply
                .with_header("x-ratelimit-limit", partner.minute.limit().to_string())
                .with_header(
                    "x-ratelimit-remaining",
                    partner.minute.remaining().to_string(),
                )
                .with_header("x-ratelimit-reset", reset.to_string());
        }
        reply
    }

    /// The documented envelope of errors.
    pub(crate) fn error(&self, status: u16, code: &str, text: &str) -> Reply {
        let body = json!({ "error": code, "message": text, "retryAfterSeconds": null });
        Reply::json(status, &body).because(format!("{code}: {text}"))
    }

    /// 429 in the documented envelope; `wait` is now and the milliseconds until
    /// the next request is welcome, if that is to be told.
    pub(crate) fn too_many(&self, wait: Option<(i64, i64)>) -> Reply {
        let body = json!({
            "error": "RATE_LIMIT_EXCEEDED",
            "message": "too many requests",
            "retryAfterSeconds": wait.map(|it| seconds(it.1)),
        });
        let reply = Reply::json(429, &body).because("RATE_LIMIT_EXCEEDED");
        self.options.shape.retry_after.add_to(reply, wait)
    }

    /// The body of a POST as an object, or the refusal.
    fn read_object(call: &Call) -> Result<Map<String, Value>, (u16, &'static str)> {
        if !call.says_json() {
            return Err((415, "the content type must be application/json"));
        }
        match serde_json::from_slice(&call.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err((400, "the body must be an object")),
            Err(_) => Err((400, "the body is not JSON")),
        }
    }

    pub(crate) fn top_up(&mut self, productions: u64) {
        if let Some(most) = &mut self.options.monthly_ceiling {
            *most += productions;
        }
    }

    pub(crate) fn mails(&self) -> &[Mail] {
        &self.mails
    }
}

/// Registration and verification need no key.
fn is_open(call: &Call) -> bool {
    let (method, path) = call.route();
    matches!(
        (method, path.as_slice()),
        ("POST", ["v1", "partners", "register"]) | ("GET", ["v1", "partners", "verify"])
    )
}
