//! The rules of images: models, source images and their URLs, as ProductAI's API.md states them
//! under `POST /api/generate` and `POST /api/upscale`.

use url::Url;

use super::field::{Field, shorten};
use super::{Defaults, ImageInput, ImageSource, Invalid, MAX_PROMPT, MAX_URL, Request};
use crate::price::{Model, Models};

/// The operation that makes a new image.
pub(super) const GENERATE: &str = "generate";
/// The operation that enlarges an image.
const UPSCALE: &str = "upscale";

pub(super) fn check(
    row: &ImageInput,
    defaults: &Defaults,
    models: &Models,
) -> Result<Request, Invalid> {
    match row.operation.trim() {
        GENERATE => check_generate(row, defaults, models),
        UPSCALE => check_upscale(row),
        other => Err(Invalid::new(
            "unknown_operation",
            format!(
                "operation {} is unknown: write generate or upscale",
                shorten(other)
            ),
        )),
    }
}

fn check_generate(
    row: &ImageInput,
    defaults: &Defaults,
    models: &Models,
) -> Result<Request, Invalid> {
    let model = Field::new("model", row.model.as_deref())
        .or(defaults.model.as_deref())
        .required_name("missing_model")?;
    let model = find_model(models, &model)?;
    let prompt =
        Field::new("prompt", row.prompt.as_deref()).required_text(MAX_PROMPT, "missing_prompt")?;
    let mut images = vec![source(row)?];
    if let Some(second) = image_url("second_image_url", row.second_image_url.as_deref())? {
        if model.max_images < 2 {
            return Err(one_image_only(model, models));
        }
        images.push(ImageSource::Url(second));
    }
    Ok(Request::Generate {
        model: model.name.clone(),
        images,
        prompt,
    })
}

fn check_upscale(row: &ImageInput) -> Result<Request, Invalid> {
    let extras = [
        ("prompt", &row.prompt, "upscale_takes_no_prompt"),
        ("model", &row.model, "upscale_takes_no_model"),
        (
            "second_image_url",
            &row.second_image_url,
            "upscale_takes_one_image",
        ),
    ];
    for (name, value, code) in extras {
        if Field::new(name, value.as_deref()).is_present() {
            let message =
                format!("an upscale takes nothing but its image: leave {name} out, or generate");
            return Err(Invalid::new(code, message));
        }
    }
    Ok(Request::Upscale {
        image: source(row)?,
    })
}

fn find_model<'a>(models: &'a Models, name: &str) -> Result<&'a Model, Invalid> {
    models.get(name).ok_or_else(|| {
        let known: Vec<&str> = models.names().collect();
        let guess = models
            .nearest(name)
            .map(|near| format!(", did you mean {near}?"));
        let message = format!(
            "model {} is unknown{} The account knows {}",
            shorten(name),
            guess.as_deref().unwrap_or("."),
            known.join(", ")
        );
        Invalid::new("unknown_model", message)
    })
}

fn one_image_only(model: &Model, models: &Models) -> Invalid {
    let several: Vec<&str> = models
        .names()
        .filter(|name| models.get(name).is_some_and(|model| model.max_images >= 2))
        .collect();
    let message = format!(
        "second_image_url is given, and model {} takes one image; two are taken by {}",
        model.name,
        several.join(", ")
    );
    Invalid::new("too_many_images", message)
}

/// The first image: a URL, or the image of another job, and not both.
fn source(row: &ImageInput) -> Result<ImageSource, Invalid> {
    let url = image_url("image_url", row.image_url.as_deref())?;
    match (url, row.source_job) {
        (Some(url), None) => Ok(ImageSource::Url(url)),
        (None, Some(job)) if job > 0 => Ok(ImageSource::Job(job)),
        (None, Some(job)) => Err(Invalid::new(
            "invalid_source_job",
            format!("source_job {job} is no job: write the id of a row of image_generations"),
        )),
        (Some(_), Some(_)) => Err(Invalid::new(
            "two_image_sources",
            "image_url and source_job are both given, and only one of them can be the source",
        )),
        (None, None) => Err(Invalid::new(
            "missing_image_url",
            "image_url and source_job are both blank, and one of them must be given",
        )),
    }
}

/// A URL that the provider can fetch, as far as its text tells; kept as it is written.
fn image_url(name: &'static str, value: Option<&str>) -> Result<Option<String>, Invalid> {
    let Some(url) = value.map(str::trim).filter(|url| !url.is_empty()) else {
        return Ok(None);
    };
    match image_url_fault(url) {
        None => Ok(Some(url.to_owned())),
        Some(fault) => {
            let message = format!("{name} {} {fault}", shorten_url(url));
            Err(Invalid::new("invalid_image_url", message))
        }
    }
}

/// What is wrong with the URL of a source image, as the end of a sentence that begins with it; None
/// when a provider can fetch it, as far as its text tells.
///
/// Half of it is asked of the text, because the parser repairs what a provider might not:
/// `https:/host`, blanks and line feeds inside.
#[must_use]
pub fn image_url_fault(url: &str) -> Option<String> {
    let length = url.chars().count();
    if length > MAX_URL {
        return Some(format!(
            "has {length} characters, and {MAX_URL} are the most"
        ));
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some("has a blank or a control character inside: write it as %20".to_owned());
    }
    let lower = url.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Some("must begin with https:// or http://".to_owned());
    }
    let Ok(parsed) = Url::parse(url) else {
        return Some("is no URL with a host, such as https://shop.example/lamp.jpg".to_owned());
    };
    let has_user = !parsed.username().is_empty() || parsed.password().is_some();
    if has_user {
        return Some("has a user name or a password, which would go to the provider".to_owned());
    }
    None
}

/// The beginning of a URL without what may be secret in it: user, password, query (a signature).
fn shorten_url(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let plain = url.get(..end).unwrap_or_default();
    let plain = match (plain.find("://"), plain.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let host = plain.get(at..).unwrap_or_default();
            format!("{}://…{host}", plain.get(..scheme).unwrap_or_default())
        }
        (None, Some(at)) => format!("…{}", plain.get(at..).unwrap_or_default()),
        (Some(_) | None, _) => plain.to_owned(),
    };
    shorten(&plain)
}
