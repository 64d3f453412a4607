//! One production after its submit: status, cancelling, approval, deliverables.

use serde_json::{Map, Value, json};

use super::{Jarai, submit::Failure};
use crate::faults::FaultKind;
use crate::ledger::Violation;
use crate::media::{self, Media};
use crate::timeline::{Polls, Timeline};
use crate::wire::{Call, Reply};
use crate::world::{World, iso};

/// A production.
#[derive(Debug, Clone, Default)]
pub(crate) struct Production {
    pub(crate) id: String,
    pub(crate) account_id: String,
    pub(crate) submitted: Value,
    pub(crate) created_ms: i64,
    pub(super) expires_ms: i64,
    pub(crate) request_no: u64,
    pub(crate) timeline: Timeline,
    pub(super) error: Option<Failure>,
    /// What was or will be announced, in order: the index is the sequence number less one.
    pub(super) events: Vec<(i64, &'static str)>,
    pub(super) polls: Polls,
    pub(super) vanished: bool,
}

/// Type, file name.
const FILES: [(&str, &str); 7] = [
    ("Video", "video.mp4"),
    ("ClosedCaptions", "captions.vtt"),
    ("AudioDescription", "audio-description.m4a"),
    ("Transcript", "transcript.txt"),
    ("ComplianceCertificate", "certificate.pdf"),
    // The help centre speaks of variants per platform and of an attribution package.
    ("Video", "video-vertical.mp4"),
    ("AttributionPackage", "attribution.json"),
];

impl Production {
    /// The deliverable of this file name.
    pub(crate) fn media(&self, name: &str) -> Option<Media> {
        let topic = self
            .submitted
            .get("topic")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let unique = format!("jarai production {} {name}", self.id);
        match name {
            "video.mp4" | "video-vertical.mp4" => Some(media::mp4(&unique)),
            "captions.vtt" => Some(media::vtt(&unique, topic)),
            "audio-description.m4a" => Some(media::m4a(&unique)),
            "transcript.txt" => Some(media::transcript(&unique, topic)),
            "certificate.pdf" => Some(media::certificate(&unique)),
            "attribution.json" => Some(media::attribution(&unique)),
            _ => None,
        }
    }
}

impl Jarai {
    pub(super) fn poll(&mut self, id: &str, call: &Call, world: &World) -> Reply {
        let options = &self.options;
        let Some(production) = self.productions.get_mut(id) else {
            return self.unknown(id);
        };
        production.vanished |= call.fault == Some(FaultKind::JobVanishes);
        if production.vanished {
            return self.unknown(id).about(id);
        }
        let floor_ms = match production.polls.last_status.unwrap_or("Queued") {
            "Queued" => options.queued_poll_floor_ms,
            "Producing" => options.producing_poll_floor_ms,
            _ => options.later_poll_floor_ms,
        };
        let floor_ms = world.scaled(floor_ms) - world.poll_tolerance_ms;
        let told = production.polls.terminal_by.is_some();
        let after_ms = call.now_ms - production.polls.last_ms.unwrap_or(call.now_ms);
        let early = !told && production.polls.too_early(call.now_ms, floor_ms);
        if early && world.refuse_violations {
            let mut reply = self
                .too_many(Some((call.now_ms, floor_ms - after_ms)))
                .about(id);
            reply
                .violations
                .push(Violation::EarlyPoll { after_ms, floor_ms });
            return reply;
        }
        production.polls.last_ms = Some(call.now_ms);
        let back = call.fault == Some(FaultKind::StatusBackwards);
        let line = &production.timeline;
        let status = if back {
            line.before(call.now_ms)
        } else {
            line.at(call.now_ms)
        };
        let mut reply = Reply::json(200, &self.status_body(id, status)).about(id);
        if early {
            reply
                .violations
                .push(Violation::EarlyPoll { after_ms, floor_ms });
        }
        if told {
            reply.violations.push(Violation::PollAfterTerminal);
        }
        reply.report = Some((id.to_owned(), status, Self::is_terminal(status)));
        reply
    }

    fn status_body(&self, id: &str, status: &str) -> Value {
        let Some(production) = self.productions.get(id) else {
            return Value::Null;
        };
        let mut map = Map::new();
        map.insert("productionId".to_owned(), json!(id));
        map.insert("status".to_owned(), json!(status));
        map.insert("expiresAt".to_owned(), json!(iso(production.expires_ms)));
        if let Some((code, text)) = production.error.filter(|_| status == "Failed") {
            map.insert("errorCode".to_owned(), json!(code));
            map.insert("errorMessage".to_owned(), json!(text));
        }
        if self.options.shape.extras {
            map.insert("accountId".to_owned(), json!(production.account_id));
            map.insert("createdAt".to_owned(), json!(iso(production.created_ms)));
        }
        Value::Object(map)
    }

    pub(super) fn cancel(&mut self, id: &str, call: &Call, world: &mut World) -> Reply {
        let Some(production) = self.productions.get(id).filter(|it| !it.vanished) else {
            return self.unknown(id);
        };
        if Self::is_terminal(production.timeline.at(call.now_ms)) {
            return self
                .error(409, "INVALID_STATE", "the production has ended")
                .about(id);
        }
        self.replan(id, call.now_ms, &call.base, world, |line, now_ms| {
            line.push(now_ms, "Cancelled");
        });
        Reply::empty(204).about(id)
    }

    /// The operator's release, from a script. False if the production does not wait for it.
    pub(crate) fn approve(&mut self, id: &str, now_ms: i64, base: &str, world: &mut World) -> bool {
        let distributing = world.scaled(self.options.distributing_ms);
        self.decide(id, now_ms, base, world, |line, now_ms| {
            line.push(now_ms, "Distributing");
            line.push(now_ms + distributing, "Published");
        })
    }

    /// The operator's rejection, from a script; what it becomes is undocumented: `Cancelled` here.
    pub(crate) fn reject(&mut self, id: &str, now_ms: i64, base: &str, world: &mut World) -> bool {
        self.decide(id, now_ms, base, world, |line, now_ms| {
            line.push(now_ms, "Cancelled");
        })
    }

    fn decide(
        &mut self,
        id: &str,
        now_ms: i64,
        base: &str,
        world: &mut World,
        change: impl Fn(&mut Timeline, i64),
    ) -> bool {
        let waits = self
            .productions
            .get(id)
            .is_some_and(|it| it.timeline.at(now_ms) == "AwaitingApproval");
        if waits {
            self.replan(id, now_ms, base, world, change);
        }
        waits
    }

    /// Replaces what lies ahead of a production, and what was to be announced of it.
    fn replan(
        &mut self,
        id: &str,
        now_ms: i64,
        base: &str,
        world: &mut World,
        change: impl Fn(&mut Timeline, i64),
    ) {
        if let Some(production) = self.productions.get_mut(id) {
            production.timeline.cut(now_ms);
            change(&mut production.timeline, now_ms);
        }
        world.unschedule(id, now_ms);
        self.announce(id, base, world, now_ms);
    }

    pub(super) fn deliverables(&mut self, id: &str, call: &Call, world: &World) -> Reply {
        let Some(production) = self.productions.get(id).filter(|it| !it.vanished) else {
            return self.unknown(id);
        };
        let status = production.timeline.at(call.now_ms);
        if !has_deliverables(status) {
            let code = self.options.shape.too_early_code;
            let name = if code == 404 {
                "NOT_FOUND"
            } else {
                "DELIVERABLES_NOT_READY"
            };
            let text = format!("the deliverables of a {status} production cannot be read");
            return self.error(code, name, &text).about(id);
        }
        let expires_ms = call.now_ms + world.scaled(self.options.sas_life_ms);
        let shape = &self.options.shape;
        let items = self.files().map(|(kind, name)| {
            let path = format!("jarai/{id}/{name}");
            let url = self.links.signed(&call.base, &path, expires_ms);
            let mut map = Map::new();
            map.insert(shape.type_field.to_owned(), json!(kind));
            map.insert("sasUrl".to_owned(), json!(url));
            if shape.extras {
                map.insert("fileName".to_owned(), json!(name));
                map.insert("expiresAt".to_owned(), json!(iso(expires_ms)));
            }
            Value::Object(map)
        });
        let body = self.envelope("deliverables", items.collect());
        let mut reply = Reply::json(200, &body).about(id);
        reply.read_after_terminal = production.polls.terminal_by.is_some();
        reply
    }

    /// Types and file names of what a production makes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let count = if self.options.shape.more_deliverables {
            FILES.len()
        } else {
            5
        };
        FILES.into_iter().take(count)
    }

    /// The file of a link, or why there is none: status, code, reason.
    pub(crate) fn file(&self, call: &Call) -> Result<Media, (u16, &'static str, &'static str)> {
        if let Some(reason) = self.links.refusal(call) {
            return Err((403, "AuthenticationFailed", reason));
        }
        let (_, path) = call.route();
        let media = match path.as_slice() {
            [_, id, name] => self.productions.get(*id).and_then(|it| it.media(name)),
            _ => None,
        };
        media.ok_or((404, "BlobNotFound", "no such file"))
    }

    pub(super) fn performance(&self, id: &str, call: &Call) -> Reply {
        match self.productions.get(id).filter(|it| !it.vanished) {
            None => self.unknown(id),
            Some(it) => {
                let views = if it.timeline.at(call.now_ms) == "Published" {
                    120
                } else {
                    0
                };
                let body = json!({ "productionId": id, "platforms": [], "views": views });
                Reply::json(200, &body).about(id)
            }
        }
    }

    pub(crate) fn reported(&mut self, no: u64, id: &str, status: &'static str, terminal: bool) {
        if let Some(production) = self.productions.get_mut(id) {
            production.polls.reported(no, status, terminal);
        }
    }

    pub(crate) fn report_lost(&mut self, no: u64, id: &str) {
        if let Some(production) = self.productions.get_mut(id) {
            production.polls.lost(no);
        }
    }

    /// All productions in order of acceptance.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Production> {
        self.order.iter().filter_map(|id| self.productions.get(id))
    }

    pub(crate) fn is_terminal(status: &str) -> bool {
        matches!(status, "Published" | "Failed" | "Cancelled")
    }

    fn unknown(&self, id: &str) -> Reply {
        self.error(404, "NOT_FOUND", &format!("production {id} is unknown"))
    }
}

/// The three statuses in which the guide lets deliverables be read.
pub(crate) fn has_deliverables(status: &str) -> bool {
    matches!(status, "AwaitingApproval" | "Distributing" | "Published")
}
