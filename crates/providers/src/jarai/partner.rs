//! JARAI's administration: accounts, keys, webhooks, usage.

use secrecy::SecretString;
use serde_json::Value;

use crate::answer::Answer;
use crate::json;
use crate::mask::masked_value;
use crate::remote::{PartnerAccount, PartnerAvatar};
use crate::reply::Outcome;

/// The names under which an account's id may stand; the first is documented.
const ACCOUNT_ID: [&str; 2] = ["accountId", "id"];

pub(super) fn accounts(answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    let single = json::field(body, &ACCOUNT_ID[..1]).is_some();
    let list = match json::list(body, &["accounts", "items", "data"]) {
        Some(list) if !single => list,
        _ => {
            let object = json::object_with(body, &ACCOUNT_ID).ok_or("the answer has no account")?;
            std::slice::from_ref(object)
        }
    };
    let accounts = list
        .iter()
        .enumerate()
        .map(|(at, value)| account(value).ok_or_else(|| format!("account {} has no id", at + 1)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Outcome::Accounts(accounts))
}

fn account(value: &Value) -> Option<PartnerAccount> {
    let account_id = json::text(value).or_else(|| json::text_field(value, &ACCOUNT_ID))?;
    let names = ["avatars", "availableAvatars"];
    let avatars = json::field(value, &names).and_then(|avatars| json::list(avatars, &names));
    let names = ["platforms", "connectedPlatforms"];
    let platforms = json::field(value, &names).and_then(|found| json::list(found, &names));
    Some(PartnerAccount {
        account_id,
        name: json::text_field(value, &["name", "accountName", "displayName"]),
        avatars: avatars.into_iter().flatten().filter_map(avatar).collect(),
        platforms: platforms
            .into_iter()
            .flatten()
            .filter_map(platform)
            .collect(),
        raw: masked_value(value),
    })
}

fn avatar(value: &Value) -> Option<PartnerAvatar> {
    let avatar_id = json::text(value).or_else(|| json::text_field(value, &["avatarId", "id"]))?;
    Some(PartnerAvatar {
        avatar_id,
        name: json::text_field(value, &["name", "displayName"]),
    })
}

fn platform(value: &Value) -> Option<String> {
    let names = ["platform", "name", "type", "platformId", "id"];
    json::text(value).or_else(|| json::text_field(value, &names))
}

/// The answer that holds a key, once: under a likely name, or as the only text that looks like one.
pub(super) fn key(answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    let names = ["apiKey", "newApiKey", "key", "newKey", "partnerApiKey"];
    let named = json::object_with(body, &names).and_then(|found| json::text_field(found, &names));
    let key = named
        .or_else(|| text_with_prefix(body, 4))
        .ok_or("the answer holds no key")?;
    Ok(Outcome::KeyIssued {
        key: SecretString::from(key),
        raw: masked_value(body),
    })
}

fn text_with_prefix(value: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::String(text) => text.starts_with("jarai_").then(|| text.clone()),
        Value::Object(object) => object
            .values()
            .find_map(|inner| text_with_prefix(inner, depth)),
        _ => None,
    }
}

pub(super) fn webhook(answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    let ids = ["webhookId", "id", "subscriptionId"];
    let secrets = ["signingSecret", "secret", "webhookSecret"];
    let id = json::object_with(body, &ids).and_then(|found| json::text_field(found, &ids));
    let secret =
        json::object_with(body, &secrets).and_then(|found| json::text_field(found, &secrets));
    Ok(Outcome::WebhookCreated {
        id,
        signing_secret: secret.map(SecretString::from),
        raw: masked_value(body),
    })
}

/// What was used. No field is documented; a number by the name of a balance would be one.
pub(super) fn usage(answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    let names = ["balance", "remaining", "tokensRemaining"];
    Ok(Outcome::Credits {
        balance: json::field(body, &names).and_then(json::number),
        plan: json::text_field(body, &["tier", "plan"]),
        raw: masked_value(body),
    })
}
