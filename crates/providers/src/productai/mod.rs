//! ProductAI.photo: images from images.
//!
//! The user's document wins: `x-api-key`, `/api/generate`, `{"status":"OK","data":{…}}`, numeric ids.
//! The newer public dialect (flat answers, `job_id`, `images[]`) is read too where it costs nothing,
//! never sent. Two `status` fields: the outer one is the call's, `data.status` the job's.

use domain::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::answer::{Answer, Words, sentence};
use crate::call::{Call, Submit};
use crate::json;
use crate::mask::{SignedUrl, masked_value};
use crate::remote::{Phase, RemoteJob};
use crate::reply::{ItemOutcome, MatchedBy, Outcome, Refusal};
use crate::url_parts::{Draft, segment};

/// The names under which a job's id may stand.
const ID: [&str; 3] = ["id", "job_id", "jobId"];

/// The body of a generation.
#[derive(Serialize)]
struct Generate<'a> {
    model: &'a str,
    image_url: OneOrMore<'a>,
    prompt: &'a str,
}

/// The body of an upscale.
#[derive(Serialize)]
struct Upscale<'a> {
    image_url: &'a str,
}

/// One image is a string, several are an array.
#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMore<'a> {
    One(&'a str),
    More(&'a [String]),
}

pub(crate) fn encode(call: &Call) -> Result<Draft, String> {
    match call {
        Call::Submit(Submit::Generate {
            model,
            image_urls,
            prompt,
        }) => {
            let image_url = match image_urls.as_slice() {
                [] => return Err("a generation needs an image".to_owned()),
                [only] => OneOrMore::One(only),
                more => OneOrMore::More(more),
            };
            let body = Generate {
                model,
                image_url,
                prompt,
            };
            Draft::post("api/generate", &body)
        }
        Call::Submit(Submit::Upscale { image_url }) => {
            Draft::post("api/upscale", &Upscale { image_url })
        }
        Call::Status { remote_id, .. } => {
            Ok(Draft::get(format!("api/job/{}", segment(remote_id)?)))
        }
        Call::Credits => Ok(Draft::get("api/key-check")),
        other => Err(format!("productai has no call {:?}", other.verb())),
    }
}

pub(crate) fn read(call: &Call, answer: &Answer, at: Timestamp) -> Outcome {
    if !answer.is_success() {
        return answer.refusal(call, at);
    }
    let body = answer.json();
    let found = match call {
        Call::Submit(_) => body.and_then(job).map(accepted),
        Call::Status { remote_id, .. } => body
            .and_then(|body| job_or_state(body, remote_id))
            .map(|job| Outcome::Status(Box::new(job))),
        Call::Credits => body.and_then(credits),
        _ => None,
    };
    found
        .or_else(|| answer.out_of_credits())
        .or_else(|| known_error(call, answer, at))
        .unwrap_or_else(|| answer.unclear(call, at, "the answer names no job"))
}

fn accepted(job: RemoteJob) -> Outcome {
    Outcome::Submitted(vec![ItemOutcome::Accepted {
        remote_id: job.remote_id.clone(),
        matched_by: MatchedBy::Only,
        job: (!job.status.is_empty()).then_some(job),
        location: None,
    }])
}

/// An error under a 2xx, by a code that proves that nothing was done (second-hand list). Any other
/// error under a 2xx is unclear.
fn known_error(call: &Call, answer: &Answer, at: Timestamp) -> Option<Outcome> {
    let Words { code, message } = answer.words();
    let refusal = match code.as_str() {
        "INVALID_API_KEY" => Refusal::Unauthorized { code, message },
        "INVALID_IMAGE_URL" | "INVALID_MODEL" => Refusal::Invalid { code, message },
        "RATE_LIMIT_EXCEEDED" => Refusal::RateLimited {
            pause: answer.pause(at),
            production_quota: false,
        },
        "JOB_NOT_FOUND" if !call.acts_once() => return Some(Outcome::Missing),
        _ => return None,
    };
    Some(Outcome::Refused(refusal))
}

fn credits(body: &Value) -> Option<Outcome> {
    let names = [
        "tokens_remaining",
        "credits_remaining",
        "balance",
        "tokens",
        "credits",
    ];
    let account = inner(body);
    let balance = json::field(account, &names)
        .and_then(|found| json::number(json::field(found, &["generations"]).unwrap_or(found)));
    let plan = json::text_field(account, &["plan"]);
    (balance.is_some() || plan.is_some()).then(|| Outcome::Credits {
        balance,
        plan,
        raw: masked_value(body),
    })
}

/// The job in an answer, if it names an id.
fn job(body: &Value) -> Option<RemoteJob> {
    let id = json::text_field(inner(body), &ID)?;
    job_or_state(body, &id)
}

/// The job in an answer to a read of `asked`, if it names an id or a state.
fn job_or_state(body: &Value, asked: &str) -> Option<RemoteJob> {
    let data = inner(body);
    let id = json::text_field(data, &ID);
    let status = json::text_field(data, &["status"]);
    // The outer "OK", or an error's "ERROR", is no state of a job.
    let status = status.filter(|_| id.is_some() || json::field(body, &["data"]).is_some());
    if id.is_none() && status.is_none() {
        return None;
    }
    let status = status.unwrap_or_default();
    let phase = phase(&status);
    let mut job = RemoteJob::new(id.unwrap_or_else(|| asked.to_owned()), status, phase);
    job.prompt = json::text_field(data, &["prompt"]);
    // `tokens_used` stands in the newer dialect's jobs (apis.md 3.7).
    job.charged = json::field(data, &["tokens_used", "credits_used"])
        .and_then(json::number)
        .and_then(whole);
    job.created_at = json::time_field(data, &["created_at", "createdAt"]);
    job.completed_at = json::time_field(data, &["completed_at", "completedAt", "failed_at"]);
    match phase {
        // Before it is done, `image_url` could only be the source.
        Phase::Done => job.result_url = result_url(data),
        Phase::Failed { .. } => {
            let error = json::field(data, &["error"]);
            let word = |names: &[&str]| {
                let inner = error.and_then(|error| json::text_field(error, names));
                inner.or_else(|| json::text_field(data, names))
            };
            job.error_code = word(&["code", "error_code"]).map(|code| sentence(&code));
            job.error_message = word(&["message", "details", "error_message"])
                .or_else(|| error.and_then(json::text))
                .map(|message| sentence(&message));
        }
        _ => {}
    }
    Some(job)
}

/// A number of tokens; half a token, or less than nothing, is no charge that could be booked.
fn whole(number: f64) -> Option<u32> {
    // Written out it has a point, a sign or too many digits where it is none.
    number.to_string().parse().ok()
}

/// The job inside the documented envelope, or the flat answer of the newer dialect.
fn inner(body: &Value) -> &Value {
    json::field(body, &["data"])
        .filter(|data| data.is_object())
        .unwrap_or(body)
}

/// The link to the image, under whichever name.
pub(crate) fn result_url(data: &Value) -> Option<SignedUrl> {
    ["image_url", "output_url", "result_url", "url", "images"]
        .iter()
        .find_map(|name| json::field(data, &[name]).and_then(link))
        .map(SignedUrl::new)
}

/// A link, the first of several, or the `url` of an object.
fn link(value: &Value) -> Option<String> {
    match value {
        Value::String(_) => json::text(value),
        Value::Array(list) => link(list.first()?),
        Value::Object(_) => json::text_field(value, &["url", "image_url"]),
        _ => None,
    }
}

/// What a state means: the document's RUNNING, COMPLETED and ERROR, the vendor's clients' FAILED
/// and TIMEOUT, a second-hand NOT_STARTED, the newer dialect's four in lower case, and the
/// webhook's success.
pub(crate) fn phase(status: &str) -> Phase {
    match json::plain_name(status).as_str() {
        "notstarted" | "pending" | "queued" => Phase::Queued,
        "running" | "processing" => Phase::Working,
        "completed" | "success" => Phase::Done,
        "error" | "failed" | "timeout" => Phase::Failed {
            safe_to_resubmit: false,
        },
        _ => Phase::Unrecognised,
    }
}
