//! JAKOV.AI as its document describes it: products go in, descriptions come out.

mod answers;
mod submit;

use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::faults::FaultKind;
use crate::ledger::Violation;
use crate::options::{ErrorBody, JakovOptions};
use crate::timeline::{Polls, Timeline};
use crate::window::Rolling;
use crate::wire::{Call, Provider, Reply, Verb, html_page};
use crate::world::{Pending, World, iso, signature};

/// Statuses after which nothing changes; the document's list is empty, so this is inferred.
const TERMINAL: [&str; 3] = ["completed", "not_found", "failed"];

/// One product that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) project: String,
    /// The item as it was submitted.
    pub(crate) submitted: Value,
    pub(crate) created_ms: i64,
    pub(crate) request_no: u64,
    pub(crate) credits: u64,
    pub(crate) timeline: Timeline,
    polls: Polls,
    vanished: bool,
}

impl Product {
    fn text(&self, name: &str) -> Option<&str> {
        self.submitted.get(name).and_then(Value::as_str)
    }
}

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Jakov {
    options: JakovOptions,
    products: BTreeMap<String, Product>,
    /// Ids in order of acceptance: what an export goes through.
    order: Vec<String>,
    submits: Rolling,
    reads: Rolling,
    spent: u64,
}

impl Jakov {
    pub(crate) fn new(options: JakovOptions, world: &World) -> Self {
        let minute = world.scaled(60_000);
        Self {
            submits: Rolling::new(minute, options.submit_per_minute),
            reads: Rolling::new(minute, options.read_per_minute),
            products: BTreeMap::new(),
            order: Vec::new(),
            spent: 0,
            options,
        }
    }

    pub(crate) fn verb(call: &Call) -> Verb {
        match call.route() {
            ("POST", path) if path == ["api", "v1", "products"] => Verb::Submit,
            ("GET", path) if path == ["api", "v1", "products"] => Verb::Poll,
            ("GET", path) if path == ["api", "v1", "export"] => Verb::Export,
            ("GET", path) if path == ["api", "v1", "credits"] => Verb::Credits,
            _ => Verb::Other,
        }
    }

    /// Key and limits; `None` lets the request in.
    pub(crate) fn gate(&mut self, call: &Call, _world: &World) -> Option<Reply> {
        let expected = format!("Bearer {}", self.options.api_key);
        if call.header("authorization") != Some(expected.as_str()) {
            return Some(self.error(401, "invalid or missing API key"));
        }
        let (window, name) = match call.method.as_str() {
            "POST" => (&mut self.submits, "submits per minute"),
            _ => (&mut self.reads, "reads per minute"),
        };
        if let Some(wait_ms) = window.full_for(call.now_ms) {
            let mut reply = self.too_many(Some((call.now_ms, wait_ms)));
            reply.violations.push(Violation::RateLimit(name.to_owned()));
            return Some(reply);
        }
        window.count(call.now_ms);
        None
    }

    pub(crate) fn answer(&mut self, call: &Call, world: &mut World) -> Reply {
        match Self::verb(call) {
            Verb::Submit => self.submit(call, world),
            Verb::Poll => self.read(call),
            Verb::Export => self.export(call),
            Verb::Credits => {
                let balance = self.options.credits.saturating_sub(self.spent);
                Reply::json(200, &json!({ "balance": balance }))
            }
            _ => self.error(404, "no such resource"),
        }
    }

    fn read(&mut self, call: &Call) -> Reply {
        let Some(id) = call.query.get("id").filter(|id| !id.is_empty()) else {
            return self.error(400, "id is required");
        };
        let vanish = call.fault == Some(FaultKind::JobVanishes);
        let back = call.fault == Some(FaultKind::StatusBackwards);
        let Some(product) = self.products.get_mut(id) else {
            return self.error(404, "no such product");
        };
        product.vanished |= vanish;
        if product.vanished {
            return self.error(404, "no such product").about(id);
        }
        let repeated = product.polls.terminal_by.is_some();
        product.polls.last_ms = Some(call.now_ms);
        let line = &product.timeline;
        let status = if back {
            line.before(call.now_ms)
        } else {
            line.at(call.now_ms)
        };
        let mut reply = Reply::json(200, &self.product_body(id, status)).about(id);
        reply.report = Some((id.clone(), status, TERMINAL.contains(&status)));
        if repeated {
            reply.violations.push(Violation::PollAfterTerminal);
        }
        reply
    }

    pub(crate) fn top_up(&mut self, credits: u64) {
        self.options.credits += credits;
    }

    pub(crate) fn reported(&mut self, no: u64, id: &str, status: &'static str, terminal: bool) {
        if let Some(product) = self.products.get_mut(id) {
            product.polls.reported(no, status, terminal);
        }
    }

    pub(crate) fn report_lost(&mut self, no: u64, id: &str) {
        if let Some(product) = self.products.get_mut(id) {
            product.polls.lost(no);
        }
    }

    /// 429 as this service words it; `wait` is now and the milliseconds until the next is welcome.
    pub(crate) fn too_many(&self, wait: Option<(i64, i64)>) -> Reply {
        let reply = self.error(429, "rate limit exceeded");
        self.options.shape.retry_after.add_to(reply, wait)
    }

    fn error(&self, status: u16, text: &str) -> Reply {
        let reply = match self.options.shape.errors {
            ErrorBody::Error => Reply::json(status, &json!({ "error": text })),
            ErrorBody::Message => Reply::json(status, &json!({ "message": text })),
            ErrorBody::Errors => Reply::json(status, &json!({ "errors": [text] })),
            ErrorBody::Html => html_page(status),
            ErrorBody::Empty => Reply::empty(status),
        };
        reply.because(text)
    }

    /// The signed webhook of a completed product.
    pub(crate) fn webhook(&self, pending: &Pending) -> Option<(String, String, Vec<u8>)> {
        let url = self.options.webhook_url.clone()?;
        let product = self.products.get(&pending.job)?;
        let mut about = json!({ "id": product.id, "description": answers::description(product) });
        for name in ["ean", "clientProductId"] {
            if let (Some(text), Some(map)) = (product.text(name), about.as_object_mut()) {
                map.insert(name.to_owned(), json!(text));
            }
        }
        let body = json!({
            "event": pending.event,
            "product": about,
            "timestamp": iso(pending.event_ms),
        });
        let body = body.to_string().into_bytes();
        // The secret is used as it stands: its UTF-8 bytes.
        let signed = signature(self.options.webhook_secret.as_bytes(), &body);
        Some((url, signed, body))
    }

    /// All products in order of acceptance.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Product> {
        self.order.iter().filter_map(|id| self.products.get(id))
    }

    pub(crate) fn description_of(&self, id: &str) -> Option<String> {
        self.products.get(id).map(answers::description)
    }

    pub(crate) fn is_terminal(status: &str) -> bool {
        TERMINAL.contains(&status)
    }

    fn accept(
        &mut self,
        call: &Call,
        world: &mut World,
        item: &Value,
        project: &str,
        paid: bool,
    ) -> String {
        let number = self.order.len() as u64;
        let id = self.new_id(world, number);
        let timeline = self.plan(call.now_ms, world, number, paid);
        let credits = if paid {
            self.options.credits_per_product
        } else {
            0
        };
        if credits > 0 {
            self.spent += credits;
            world.charge(call, Provider::Jakov, &id, credits);
        }
        if let Some(done_ms) = timeline.when("completed")
            && self.options.webhook_url.is_some()
        {
            let pending = Pending {
                provider: Provider::Jakov,
                job: id.clone(),
                event: "generation.completed",
                subscription: String::new(),
                sequence: 0,
                attempt: 1,
                event_ms: done_ms,
                base: call.base.clone(),
            };
            world.schedule(pending);
        }
        let product = Product {
            id: id.clone(),
            project: project.to_owned(),
            submitted: item.clone(),
            created_ms: call.now_ms,
            request_no: call.no,
            credits,
            timeline,
            polls: Polls::default(),
            vanished: false,
        };
        self.order.push(id.clone());
        self.products.insert(id.clone(), product);
        id
    }

    fn new_id(&self, world: &World, number: u64) -> String {
        if self.options.shape.numeric_ids {
            return (480_000 + number * 3 + world.dice.rng("jakov-id", number).u64(..3))
                .to_string();
        }
        let uuid = world.dice.uuid("jakov-id", number);
        format!(
            "prod_{}",
            uuid.replace('-', "").chars().take(16).collect::<String>()
        )
    }

    fn plan(&self, now_ms: i64, world: &World, number: u64, paid: bool) -> Timeline {
        let (dice, it) = (world.dice, &self.options);
        let whole = dice.lognormal_ms(
            "jakov-time",
            number,
            it.duration_median_ms,
            it.duration_sigma,
        );
        let whole = world.scaled(u64::try_from(whole).unwrap_or(0));
        let line = Timeline::starting(now_ms, "pending");
        if !paid {
            return line.then(now_ms + whole / 20, "failed");
        }
        let line = line.then(now_ms + whole / 20, "looking_up");
        if dice.chance("jakov-not-found", number, it.not_found_share) {
            return line.then(now_ms + whole / 5, "not_found");
        }
        let line = line
            .then(now_ms + whole / 6, "found")
            .then(now_ms + whole / 4, "generating");
        let failed = dice.chance("jakov-failed", number, it.failed_share);
        line.then(now_ms + whole, if failed { "failed" } else { "completed" })
    }
}
