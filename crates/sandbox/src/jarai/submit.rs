//! POST /v1/accounts/{accountId}/productions: the strict reading, the quotas, the plan.

use serde_json::{Map, Value, json};

use super::{Jarai, Production};
use crate::ledger::Violation;
use crate::options::{Approval, JaraiAccount, LocationForm};
use crate::timeline::Timeline;
use crate::window::Daily;
use crate::wire::{Call, Provider, Reply};
use crate::world::{World, is_uuid, iso, optional_text, required_text, unknown_fields};

const FIELDS: [&str; 6] = [
    "topic",
    "languageId",
    "countryId",
    "avatarId",
    "projectTypeSlug",
    "metadataMD",
];

/// The most characters of `topic`, from the lifecycle guide.
const TOPIC_LIMIT: usize = 500;
/// The most characters of `metadataMD`, from the getting-started guide; counted in UTF-16 units,
/// the stricter of the two readings.
const METADATA_LIMIT: usize = 4_096;

impl Jarai {
    pub(super) fn submit(&mut self, account_id: &str, call: &Call, world: &mut World) -> Reply {
        let object = match Self::read_object(call) {
            Ok(object) => object,
            Err((status, text)) => return self.error(status, "INVALID_REQUEST", text),
        };
        let Some(account) = self
            .options
            .accounts
            .iter()
            .find(|it| it.account_id == account_id)
        else {
            return self.error(403, "INSUFFICIENT_SCOPE", "the account is not permitted");
        };
        if !account.active {
            return self.error(403, "ACCOUNT_NOT_ACTIVE", "the account is not active");
        }
        if let Err(text) = check(&object, account) {
            return self.error(400, "INVALID_REQUEST", &text);
        }
        if let Some(wait_ms) = self.quota(account_id, world).full_for(call.now_ms) {
            let mut reply = self.too_many(Some((call.now_ms, wait_ms)));
            let name = "productions per account and day".to_owned();
            reply.violations.push(Violation::RateLimit(name));
            return reply;
        }
        let made = self.order.len() as u64;
        if self
            .options
            .monthly_ceiling
            .is_some_and(|most| made >= most)
        {
            return self.error(
                409,
                "BUDGET_GATE_1_FAILED",
                "the monthly AI ceiling is reached",
            );
        }
        self.quota(account_id, world).count();
        let mut violations = unknown_fields(&object, &FIELDS);
        violations.extend(world.unknown_headers(call, "x-api-key"));
        let mut reply = self.accept(account_id, call, world, Value::Object(object));
        reply.violations = violations;
        reply
    }

    fn quota(&mut self, account_id: &str, world: &World) -> &mut Daily {
        let limit = self
            .options
            .productions_per_day
            .or(self.options.tier.limits().2);
        let length_ms = world.scaled(86_400_000);
        let quotas = &mut self.quotas;
        quotas
            .entry(account_id.to_owned())
            .or_insert_with(|| Daily::new(length_ms, limit))
    }

    fn accept(
        &mut self,
        account_id: &str,
        call: &Call,
        world: &mut World,
        submitted: Value,
    ) -> Reply {
        let number = self.order.len() as u64;
        let id = world.dice.uuid("jarai-production", number);
        let (timeline, error) = self.plan(call.now_ms, world, number);
        let expires_ms = call.now_ms + world.scaled(self.options.expires_after_ms);
        let production = Production {
            id: id.clone(),
            account_id: account_id.to_owned(),
            submitted,
            created_ms: call.now_ms,
            expires_ms,
            request_no: call.no,
            timeline,
            error,
            ..Production::default()
        };
        world.charge(call, Provider::Jarai, &id, 1);
        self.order.push(id.clone());
        self.productions.insert(id.clone(), production);
        self.announce(&id, &call.base, world, call.now_ms - 1);
        self.submit_reply(&id, call, expires_ms)
    }

    fn submit_reply(&self, id: &str, call: &Call, expires_ms: i64) -> Reply {
        let shape = &self.options.shape;
        let mut map = Map::from_iter([("productionId".to_owned(), json!(id))]);
        if shape.submit_status {
            map.insert("status".to_owned(), json!("Queued"));
        }
        if shape.submit_expires {
            map.insert("expiresAt".to_owned(), json!(iso(expires_ms)));
        }
        if shape.extras {
            map.insert("queuePosition".to_owned(), json!(1));
        }
        let reply = Reply::json(202, &Value::Object(map)).about(id);
        let suffix = if shape.location_suffix { "/status" } else { "" };
        let path = format!("/jarai/v1/productions/{id}{suffix}");
        match shape.location {
            LocationForm::Absolute => reply.with_header("location", format!("{}{path}", call.base)),
            LocationForm::Relative => reply.with_header("location", path),
            LocationForm::Absent => reply,
        }
    }

    /// The whole life of a production, and why it fails if it does.
    fn plan(&self, now_ms: i64, world: &World, number: u64) -> (Timeline, Option<Failure>) {
        let (dice, it) = (world.dice, &self.options);
        let time = |label, median| {
            let ms = dice.lognormal_ms(label, number, median, it.duration_sigma);
            world.scaled(u64::try_from(ms).unwrap_or(0))
        };
        let line = Timeline::starting(now_ms, "Queued");
        let expiry = world.scaled(it.expires_after_ms);
        let queued = time("jarai-queued", it.queued_median_ms);
        if queued >= expiry || dice.chance("jarai-expired", number, it.expired_share) {
            return (line.then(now_ms + expiry, "Failed"), Some(EXPIRED));
        }
        let line = line.then(now_ms + queued, "Producing");
        let producing = time("jarai-producing", it.producing_median_ms);
        if dice.chance("jarai-failed", number, it.failed_share) {
            let at_ms = now_ms + queued + producing / 2;
            return (line.then(at_ms, "Failed"), Some(STEP_FAILED));
        }
        let waiting_ms = now_ms + queued + producing;
        let line = line.then(waiting_ms, "AwaitingApproval");
        let Approval::After(delay) = it.approval else {
            return (line, None);
        };
        let decided_ms = waiting_ms + world.scaled(delay);
        if dice.chance("jarai-rejected", number, it.rejected_share) {
            return (line.then(decided_ms, "Cancelled"), None);
        }
        let published_ms = decided_ms + world.scaled(it.distributing_ms);
        (
            line.then(decided_ms, "Distributing")
                .then(published_ms, "Published"),
            None,
        )
    }
}

/// `errorCode` and `errorMessage`.
pub(super) type Failure = (&'static str, &'static str);

const EXPIRED: Failure = (
    "PRODUCTION_EXPIRED",
    "The production was not picked up before it expired.",
);
/// Codes of other failures are documented nowhere; this one is ours.
const STEP_FAILED: Failure = ("PIPELINE_STEP_FAILED", "A step of the pipeline failed.");

fn check(object: &Map<String, Value>, account: &JaraiAccount) -> Result<(), String> {
    let topic = required_text(object, "topic")?;
    if topic.encode_utf16().count() > TOPIC_LIMIT {
        return Err(format!("topic is longer than {TOPIC_LIMIT} characters"));
    }
    let ids = [
        ("languageId", &account.languages),
        ("countryId", &account.countries),
        ("avatarId", &account.avatars),
    ];
    for (name, valid) in ids {
        let id = required_text(object, name)?;
        if !is_uuid(id) {
            return Err(format!("{name} must be a UUID"));
        }
        if !valid.iter().any(|it| it.eq_ignore_ascii_case(id)) {
            return Err(format!("{name} is not valid for the account"));
        }
    }
    optional_text(object, "projectTypeSlug")?;
    let metadata = optional_text(object, "metadataMD")?.unwrap_or_default();
    if metadata.encode_utf16().count() > METADATA_LIMIT {
        return Err(format!(
            "metadataMD is longer than {METADATA_LIMIT} characters"
        ));
    }
    Ok(())
}
