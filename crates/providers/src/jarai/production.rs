//! JARAI's productions: the answer to a submit, the state, the files.

use serde_json::Value;

use crate::answer::{Answer, envelope, sentence};
use crate::json;
use crate::mask::SignedUrl;
use crate::remote::{Phase, RemoteDeliverable, RemoteJob};
use crate::reply::{ItemOutcome, MatchedBy, Outcome};

/// The names under which a production's id may stand; the first is documented.
const ID: [&str; 2] = ["productionId", "id"];
/// The names under which a file's link may stand; the first is documented.
const LINK: [&str; 7] = [
    "sasUrl",
    "url",
    "downloadUrl",
    "signedUrl",
    "href",
    "link",
    "uri",
];
/// The names under which a file's type may stand.
const TYPE: [&str; 5] = ["type", "deliverableType", "kind", "assetType", "category"];
/// The one failure that is documented as safe to send again: nobody picked it up in time.
const EXPIRED: &str = "PRODUCTION_EXPIRED";

pub(super) fn accepted(answer: &Answer) -> Result<Outcome, String> {
    let location = answer.location().map(str::to_owned);
    let body = answer.json().and_then(|body| json::object_with(body, &ID));
    let id = body.and_then(|body| json::text_field(body, &ID));
    // The documents promise both; a body that got lost leaves the header.
    let id = id.or_else(|| id_in(location.as_deref()?));
    let remote_id = id.ok_or("the answer names no production")?;
    let job = body
        .and_then(job)
        .filter(|job| !job.status.is_empty() || job.expires_at.is_some());
    Ok(Outcome::Submitted(vec![ItemOutcome::Accepted {
        remote_id,
        matched_by: MatchedBy::Only,
        job,
        location,
    }]))
}

/// The id in a `Location` such as `/v1/productions/{id}` or `…/{id}/status`.
fn id_in(location: &str) -> Option<String> {
    let path = location.split(['?', '#']).next()?;
    let mut segments = path.split('/');
    segments.find(|segment| *segment == "productions")?;
    let id = segments.next().filter(|id| !id.is_empty())?;
    Some(id.to_owned())
}

pub(super) fn status(remote_id: &str, answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    let production = json::object_with(body, &["status"]).ok_or("the answer names no status")?;
    let status = json::text_field(production, &["status"]).ok_or("the answer names no status")?;
    let id = json::text_field(production, &ID).unwrap_or_else(|| remote_id.to_owned());
    Ok(Outcome::Status(job_in(production, id, status)))
}

/// A production that names its id.
fn job(production: &Value) -> Option<RemoteJob> {
    let id = json::text_field(production, &ID)?;
    let status = json::text_field(production, &["status"]).unwrap_or_default();
    Some(job_in(production, id, status))
}

/// A production whose id and status are known, with what else the answer says.
pub(crate) fn job_in(production: &Value, id: String, status: String) -> RemoteJob {
    let (code, message) = envelope(production);
    let word = |names: &[&str]| json::text_field(production, names);
    let code = word(&["errorCode"]).or(code);
    let message = word(&["errorMessage"]).or(message);
    let phase = phase(&status, code.as_deref());
    let failed = matches!(phase, Phase::Failed { .. });
    let mut job = RemoteJob::new(id, status, phase);
    job.error_code = code.filter(|_| failed).map(|code| sentence(&code));
    job.error_message = message.filter(|_| failed).map(|text| sentence(&text));
    job.topic = word(&["topic"]);
    job.created_at = json::time_field(production, &["createdAt", "triggeredAt"]);
    job.completed_at = json::time_field(production, &["completedAt", "publishedAt"]);
    job.expires_at = json::time_field(production, &["expiresAt"]);
    job
}

/// What a status means; the code tells whether a failure may be sent again.
pub(crate) fn phase(status: &str, error_code: Option<&str>) -> Phase {
    match json::plain_name(status).as_str() {
        "queued" => Phase::Queued,
        "producing" => Phase::Working,
        "awaitingapproval" => Phase::AwaitingApproval,
        "distributing" => Phase::Distributing,
        "published" => Phase::Done,
        "failed" => Phase::Failed {
            safe_to_resubmit: error_code == Some(EXPIRED),
        },
        "cancelled" | "canceled" => Phase::Cancelled,
        _ => Phase::Unrecognised,
    }
}

pub(super) fn deliverables(answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    let names = ["deliverables", "items", "files", "assets", "data"];
    let list = json::list(body, &names).ok_or("the answer holds no list of deliverables")?;
    let files = list
        .iter()
        .enumerate()
        .map(|(at, file)| {
            deliverable(file)
                .ok_or_else(|| format!("deliverable {} has neither type nor link", at + 1))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Outcome::Deliverables(files))
}

/// One file. One without a link stays in the list, so that its lack is seen, and the others come
/// home.
fn deliverable(file: &Value) -> Option<RemoteDeliverable> {
    let url = json::text(file).or_else(|| json::text_field(file, &LINK));
    let kind = json::text_field(file, &TYPE);
    if url.is_none() && kind.is_none() {
        return None;
    }
    let sha256 = json::text_field(file, &["sha256", "contentSha256", "checksum"])
        .map(|hash| hash.trim_start_matches("sha256:").to_ascii_lowercase())
        .filter(|hash| hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let bytes = ["bytes", "sizeBytes", "size", "fileSize", "contentLength"]
        .iter()
        .find_map(|name| json::text_field(file, &[name])?.parse().ok());
    Some(RemoteDeliverable {
        kind: kind.unwrap_or_else(|| "Unknown".to_owned()),
        url: SignedUrl::new(url.unwrap_or_default()),
        name: json::text_field(file, &["fileName", "name", "title", "platform"]),
        bytes,
        sha256,
        content_type: json::text_field(file, &["contentType", "mimeType", "mediaType"]),
    })
}
