//! What a checker may look at: the remote jobs as the providers hold them, and their files.

use serde::Serialize;
use serde_json::Value;

use crate::jakov::Jakov;
use crate::jarai::Jarai;
use crate::productai::Productai;
use crate::sandbox::Sandbox;
use crate::wire::Provider;

/// A job as its provider holds it.
#[derive(Debug, Clone, Serialize)]
pub struct RemoteJob {
    /// Who holds it.
    pub provider: Provider,
    /// The provider's id, as text.
    pub id: String,
    /// `product`, `generate`, `upscale` or `production`.
    pub operation: &'static str,
    /// What was submitted: the product of a JAKOV batch, or the whole body.
    pub submitted: Value,
    /// JAKOV's project or JARAI's account.
    pub parent: Option<String>,
    /// The request that made it.
    pub request_no: u64,
    /// When it was accepted, Unix milliseconds.
    pub created_ms: i64,
    /// When its last known status is reached, Unix milliseconds.
    pub end_ms: i64,
    /// The status now.
    pub status: &'static str,
    /// Whether that status is final.
    pub terminal: bool,
    /// Whether the work has a result that can be read now.
    pub has_result: bool,
    /// What it cost; 1 for a JARAI production.
    pub credits: u64,
}

impl RemoteJob {
    /// A text field of what was submitted: `clientProductId`, `ean`, `prompt`, `topic` …
    pub fn text(&self, field: &str) -> Option<&str> {
        self.submitted.get(field).and_then(Value::as_str)
    }
}

/// A file that a job made.
#[derive(Debug, Clone)]
pub struct RemoteFile {
    /// `Image`, or JARAI's type.
    pub kind: &'static str,
    /// The media type it is served with.
    pub content_type: &'static str,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Sandbox {
    /// All jobs that were ever accepted, by provider and in order of acceptance, as they stand at
    /// `now_ms`.
    pub fn jobs(&self, now_ms: i64) -> impl Iterator<Item = RemoteJob> {
        self.products(now_ms)
            .chain(self.images(now_ms))
            .chain(self.productions(now_ms))
    }

    fn products(&self, now_ms: i64) -> impl Iterator<Item = RemoteJob> {
        self.jakov.all().map(move |it| {
            let status = it.timeline.at(now_ms);
            RemoteJob {
                provider: Provider::Jakov,
                id: it.id.clone(),
                operation: "product",
                submitted: it.submitted.clone(),
                parent: Some(it.project.clone()),
                request_no: it.request_no,
                created_ms: it.created_ms,
                end_ms: it.timeline.end_ms(),
                status,
                terminal: Jakov::is_terminal(status),
                has_result: status == "completed",
                credits: it.credits,
            }
        })
    }

    fn images(&self, now_ms: i64) -> impl Iterator<Item = RemoteJob> {
        self.productai.all().map(move |it| {
            let status = it.timeline.at(now_ms);
            RemoteJob {
                provider: Provider::Productai,
                id: it.id.clone(),
                operation: it.operation,
                submitted: it.submitted.clone(),
                parent: None,
                request_no: it.request_no,
                created_ms: it.created_ms,
                end_ms: it.timeline.end_ms(),
                status,
                terminal: Productai::is_terminal(status),
                has_result: status == "COMPLETED",
                credits: it.credits,
            }
        })
    }

    fn productions(&self, now_ms: i64) -> impl Iterator<Item = RemoteJob> {
        self.jarai.all().map(move |it| {
            let status = it.timeline.at(now_ms);
            RemoteJob {
                provider: Provider::Jarai,
                id: it.id.clone(),
                operation: "production",
                submitted: it.submitted.clone(),
                parent: Some(it.account_id.clone()),
                request_no: it.request_no,
                created_ms: it.created_ms,
                end_ms: it.timeline.end_ms(),
                status,
                terminal: Jarai::is_terminal(status),
                has_result: Jarai::has_files(status),
                credits: 1,
            }
        })
    }

    /// The files of a job, whatever its status: what its links serve, byte for byte. For JAKOV
    /// there are none; its text is in `description`.
    pub fn files(&self, provider: Provider, id: &str) -> Vec<RemoteFile> {
        let image = self
            .productai
            .all()
            .filter(|_| provider == Provider::Productai);
        let image = image
            .filter(|it| it.id == id)
            .map(|it| ("Image", it.media()));
        let production = self.jarai.all().filter(|_| provider == Provider::Jarai);
        let film = production.filter(|it| it.id == id).flat_map(|it| {
            self.jarai
                .files()
                .filter_map(|(kind, name)| Some((kind, it.media(name)?)))
        });
        let file = |(kind, media): (&'static str, crate::media::Media)| RemoteFile {
            kind,
            content_type: media.content_type,
            bytes: media.bytes,
        };
        image.chain(film).map(file).collect()
    }

    /// The text of a JAKOV product, whatever its status.
    pub fn description(&self, id: &str) -> Option<String> {
        self.jakov.description_of(id)
    }
}
