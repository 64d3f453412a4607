//! JARAI's partner API: videos.
//!
//! The user's document names steps and fields; paths come from the public guides. Bodies beyond
//! the named fields are undocumented, so they are read tolerantly and kept raw where nobody needs
//! more.

mod partner;
pub(crate) mod production;

use domain::Timestamp;
use http::Method;
use serde::Serialize;
use url::Url;

use crate::answer::Answer;
use crate::call::{Call, Submit};
use crate::mask::masked_value;
use crate::reply::Outcome;
use crate::url_parts::{Draft, Target, segment, with_query};

pub(crate) use production::job_in;

/// The body of a production. Names are spelled out one by one, since `metadataMD` is what no rule
/// for names would make of `metadata_md`.
#[derive(Serialize)]
struct Production<'a> {
    topic: &'a str,
    #[serde(rename = "languageId")]
    language_id: &'a str,
    #[serde(rename = "countryId")]
    country_id: &'a str,
    #[serde(rename = "avatarId")]
    avatar_id: &'a str,
    #[serde(rename = "projectTypeSlug", skip_serializing_if = "Option::is_none")]
    project_type_slug: Option<&'a str>,
    #[serde(rename = "metadataMD", skip_serializing_if = "Option::is_none")]
    metadata_md: Option<&'a str>,
}

/// The body of a partner's registration.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registration<'a> {
    organisation_name: &'a str,
    contact_email: &'a str,
    contact_name: &'a str,
}

/// The body of a webhook's registration.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Webhook<'a> {
    endpoint_url: &'a str,
    event_types: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    account_ids: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    account_scope_id: Option<&'a str>,
}

pub(crate) fn encode(call: &Call, base: &Url) -> Result<Draft, String> {
    let production = |id: &str| Ok::<_, String>(format!("productions/{}", segment(id)?));
    Ok(match call {
        Call::Submit(submit) => return encode_submit(submit),
        Call::Status {
            remote_id,
            location,
        } => {
            let mut draft = Draft::get(production(remote_id)?);
            if let Some(url) = location.as_deref().and_then(|text| on_origin(base, text)) {
                draft.target = Target::Whole(url);
            }
            draft
        }
        Call::Deliverables { remote_id } => {
            Draft::get(format!("{}/deliverables", production(remote_id)?))
        }
        Call::Performance { remote_id } => {
            Draft::get(format!("{}/performance", production(remote_id)?))
        }
        Call::Cancel { remote_id } => Draft::new(Method::DELETE, production(remote_id)?),
        Call::Credits => Draft::get("partner/usage"),
        Call::Accounts => Draft::get("accounts"),
        Call::Account { account_id } => Draft::get(format!("accounts/{}", segment(account_id)?)),
        Call::Webhooks => Draft::get("webhooks"),
        Call::DeleteWebhook { id } => {
            Draft::new(Method::DELETE, format!("webhooks/{}", segment(id)?))
        }
        Call::RotateKey => Draft::new(Method::POST, "partners/keys/rotate"),
        Call::RegisterPartner { .. } | Call::VerifyPartner { .. } | Call::CreateWebhook { .. } => {
            return encode_partner(call);
        }
        Call::Export { .. } => return Err("jarai has no call \"export\"".to_owned()),
    })
}

fn encode_submit(submit: &Submit) -> Result<Draft, String> {
    let Submit::Production {
        account_id,
        topic,
        language_id,
        country_id,
        avatar_id,
        project_type_slug,
        metadata_md,
    } = submit
    else {
        return Err("jarai makes productions only".to_owned());
    };
    let path = format!("accounts/{}/productions", segment(account_id)?);
    let body = Production {
        topic,
        language_id,
        country_id,
        avatar_id,
        project_type_slug: project_type_slug.as_deref(),
        metadata_md: metadata_md.as_deref(),
    };
    Draft::post(path, &body)
}

fn encode_partner(call: &Call) -> Result<Draft, String> {
    use secrecy::ExposeSecret as _;
    match call {
        Call::RegisterPartner {
            organisation_name,
            contact_email,
            contact_name,
        } => {
            let body = Registration {
                organisation_name,
                contact_email,
                contact_name,
            };
            Draft::post("partners/register", &body)
        }
        Call::VerifyPartner { token } => {
            let query = [("token", token.expose_secret())];
            Ok(Draft::get(with_query("partners/verify", &query)))
        }
        Call::CreateWebhook {
            endpoint_url,
            event_types,
            account_ids,
            account_scope_id,
        } => {
            let body = Webhook {
                endpoint_url,
                event_types,
                account_ids,
                account_scope_id: account_scope_id.as_deref(),
            };
            Draft::post("webhooks", &body)
        }
        other => Err(format!("jarai has no call {:?}", other.verb())),
    }
}

/// The URL of a `Location`, if it is one on the base's origin. It may be relative, and may name an
/// internal host: the key must not go there. A path relative to the submit's own is not followed.
#[expect(
    clippy::disallowed_methods,
    reason = "a Location's path is the whole one: the base's own path must go"
)]
fn on_origin(base: &Url, location: &str) -> Option<Url> {
    let relative_to_a_path = !location.starts_with('/') && Url::parse(location).is_err();
    if relative_to_a_path {
        return None;
    }
    let mut url = base.join(location).ok()?;
    url.set_fragment(None);
    let same =
        url.origin() == base.origin() && url.username().is_empty() && url.password().is_none();
    same.then_some(url)
}

pub(crate) fn read(call: &Call, answer: &Answer, at: Timestamp) -> Outcome {
    if !answer.is_success() {
        return match (call, answer.status()) {
            (Call::Deliverables { .. }, 404 | 409) => Outcome::DeliverablesNotYet,
            _ => answer.refusal(call, at),
        };
    }
    let read = match call {
        Call::Submit(_) => production::accepted(answer),
        Call::Status { remote_id, .. } => production::status(remote_id, answer),
        Call::Deliverables { .. } => production::deliverables(answer),
        Call::Cancel { .. } => Ok(Outcome::CancelAsked),
        Call::Accounts | Call::Account { .. } => partner::accounts(answer),
        Call::VerifyPartner { .. } | Call::RotateKey => partner::key(answer),
        Call::CreateWebhook { .. } => partner::webhook(answer),
        Call::Credits => partner::usage(answer),
        Call::DeleteWebhook { .. } if answer.json().is_none() => {
            Ok(Outcome::Raw(serde_json::Value::Null))
        }
        Call::RegisterPartner { .. }
        | Call::Webhooks
        | Call::DeleteWebhook { .. }
        | Call::Performance { .. } => raw(answer),
        Call::Export { .. } => Err("jarai has no call \"export\"".to_owned()),
    };
    read.unwrap_or_else(|why| {
        answer
            .out_of_credits()
            .unwrap_or_else(|| answer.unclear(call, at, &why))
    })
}

fn raw(answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    Ok(Outcome::Raw(masked_value(body)))
}
