//! Partners and their keys: registration, verification, rotation, usage, limits.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::json;

use super::Jarai;
use crate::options::{JaraiOptions, Tier};
use crate::window::{Daily, Rolling};
use crate::wire::{Call, Reply};
use crate::world::{World, required_text, unknown_fields};

/// A mail that the service has sent.
#[derive(Debug, Clone, Serialize)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// The token of the verification link.
    pub token: String,
}

/// Who calls.
#[derive(Debug, Clone)]
pub(super) struct Partner {
    id: String,
    /// Keys and when they end.
    keys: Vec<(String, Option<i64>)>,
    pub(super) active: bool,
    pub(super) minute: Rolling,
    day: Daily,
    /// The token that is still to be used, and whose use makes the first key.
    token: Option<String>,
}

impl Partner {
    pub(super) fn of_options(options: &JaraiOptions, world: &World) -> Self {
        let (per_minute, per_day, _) = options.tier.limits();
        Self {
            id: world.dice.uuid("jarai-partner", 0),
            keys: vec![(options.api_key.clone(), None)],
            active: options.partner_active,
            minute: Rolling::new(
                world.scaled(60_000),
                options.requests_per_minute.unwrap_or(per_minute),
            ),
            day: Daily::new(
                world.scaled(86_400_000),
                options.requests_per_day.or(per_day),
            ),
            token: None,
        }
    }

    /// Counts a request, or says how long it has to wait and for which limit.
    pub(super) fn admit(&mut self, now_ms: i64) -> Result<(), (i64, &'static str)> {
        if let Some(wait_ms) = self.day.full_for(now_ms) {
            return Err((wait_ms, "requests per day"));
        }
        if let Some(wait_ms) = self.minute.full_for(now_ms) {
            return Err((wait_ms, "requests per minute"));
        }
        self.minute.count(now_ms);
        self.day.count();
        Ok(())
    }
}

impl Jarai {
    /// The partner whose key the call carries.
    pub(super) fn partner(&mut self, call: &Call) -> Option<&mut Partner> {
        let key = call.header("x-api-key")?;
        let alive = |end: Option<i64>| end.is_none_or(|end| call.now_ms < end);
        self.partners.iter_mut().find(|partner| {
            partner
                .keys
                .iter()
                .any(|(it, end)| it == key && alive(*end))
        })
    }

    pub(super) fn register(&mut self, call: &Call, world: &World) -> Reply {
        let object = match Self::read_object(call) {
            Ok(object) => object,
            Err((status, text)) => return self.error(status, "INVALID_REQUEST", text),
        };
        let fields = ["organisationName", "contactEmail", "contactName"];
        for name in fields {
            if let Err(text) = required_text(&object, name) {
                return self.error(400, "INVALID_REQUEST", &text);
            }
        }
        let to = required_text(&object, "contactEmail")
            .unwrap_or_default()
            .to_owned();
        let number = self.partners.len() as u64;
        let id = world.dice.uuid("jarai-partner", number);
        let token = BASE64_URL_SAFE_NO_PAD.encode(world.dice.secret("jarai-token", number));
        let (per_minute, per_day, _) = Tier::Free.limits();
        self.mails.push(Mail {
            to,
            token: token.clone(),
        });
        self.partners.push(Partner {
            id: id.clone(),
            keys: Vec::new(),
            active: true,
            minute: Rolling::new(world.scaled(60_000), per_minute),
            day: Daily::new(world.scaled(86_400_000), per_day),
            token: Some(token),
        });
        let mut reply = Reply::json(202, &json!({ "partnerId": id }));
        reply.violations = unknown_fields(&object, &fields);
        reply
    }

    /// The key is told once: the token is used up by it.
    pub(super) fn verify(&mut self, call: &Call, world: &World) -> Reply {
        let token = call
            .query
            .get("token")
            .cloned()
            .filter(|token| !token.is_empty());
        let number = self.partners.len() as u64;
        let found = self
            .partners
            .iter_mut()
            .find(|it| token.is_some() && it.token == token);
        let Some(partner) = found else {
            return self.error(400, "INVALID_REQUEST", "the token is unknown or was used");
        };
        partner.token = None;
        let key = new_key(world, number, call.no);
        partner.keys.push((key.clone(), None));
        Reply::json(200, &json!({ "partnerId": partner.id, "apiKey": key }))
    }

    pub(super) fn rotate(&mut self, call: &Call, world: &World) -> Reply {
        if !self.options.self_service_rotation {
            return self.error(
                403,
                "PERMISSION_DENIED",
                "rotation is not enabled for the partner",
            );
        }
        let old_end = call.now_ms + world.scaled(self.options.old_key_life_ms);
        let key = new_key(world, 0, call.no);
        if let Some(partner) = self.partner(call) {
            for (_, end) in &mut partner.keys {
                *end = Some(end.map_or(old_end, |end| end.min(old_end)));
            }
            partner.keys.push((key.clone(), None));
        }
        Reply::json(
            200,
            &json!({ "apiKey": key, "oldKeyExpiresAt": crate::world::iso(old_end) }),
        )
    }

    pub(super) fn usage(&mut self, call: &Call) -> Reply {
        let productions = self.order.len();
        let today: u32 = self.quotas.values().map(Daily::used).sum();
        let body = self.partner(call).map(|partner| {
            json!({
                "partnerId": partner.id,
                "requestsToday": partner.day.used(),
                "productionsToday": today,
                "productionsTotal": productions,
            })
        });
        Reply::json(200, &body.unwrap_or_default())
    }
}

fn new_key(world: &World, number: u64, no: u64) -> String {
    let secret = world.dice.secret("jarai-key", number << 32 | no);
    format!("jarai_{}", BASE64_URL_SAFE_NO_PAD.encode(secret))
}
