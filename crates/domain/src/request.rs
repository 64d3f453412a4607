//! What a row asks for, and the checks before anything is sent.
//!
//! Owns the input columns of the three job tables, the defaults of an account, and the rules that
//! make a checked [`Request`] of them. It looks at values only: whether a host may be reached, what
//! an image weighs and whether money is left is asked elsewhere. Every refusal here is free of
//! charge, which is why each rule that a provider documents stands here and not behind a 400.
//!
//! | code | refused because |
//! |---|---|
//! | `missing_product` | a description has neither `ean` nor `product_name` |
//! | `missing_project_id`, `missing_model`, `missing_prompt`, `missing_image_url`, `missing_topic`, `missing_jarai_account_id`, `missing_language_id`, `missing_country_id`, `missing_avatar_id` | the column is blank, and the account has no default |
//! | `ean_digits_lost` | a spreadsheet made `8,02E+12` of the barcode |
//! | `unknown_operation`, `unknown_model` | nobody knows this word |
//! | `invalid_image_url` | not an http or https URL with a host, without a user, of 2,048 characters at most |
//! | `two_image_sources`, `invalid_source_job` | `image_url` and `source_job` are both there, or the job's number is none |
//! | `too_many_images` | a second image for a model that takes one |
//! | `upscale_takes_no_prompt`, `upscale_takes_no_model`, `upscale_takes_one_image` | an upscale carries nothing but its image |
//! | `invalid_uuid` | an id of JARAI's that is not 8-4-4-4-12 hexadecimal digits |
//! | `text_too_long`, `control_character` | of any text column |

mod field;
mod image;

use serde::{Deserialize, Serialize};

use crate::JobKind;
use crate::gtin::{self, Verdict};
use crate::price::Models;
use field::Field;
pub use image::image_url_fault;

/// The longest `topic` ("1-500 characters", JARAI production lifecycle), in UTF-16 units, which is
/// the stricter of the two ways to count.
pub const MAX_TOPIC: usize = 500;
/// The longest `metadata_md` ("max 4,096 characters", JARAI getting started), in UTF-16 units.
pub const MAX_METADATA: usize = 4_096;
/// The longest `prompt`, in UTF-16 units. ProductAI states no limit; this bound is our own.
pub const MAX_PROMPT: usize = 10_000;
/// The longest name, brand, barcode or id, in UTF-16 units. No provider states a limit.
pub const MAX_NAME: usize = 1_000;
/// The longest URL, in characters: what clients and proxies take everywhere.
pub const MAX_URL: usize = 2_048;

/// The input columns of a row of `descriptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DescriptionInput {
    /// JAKOV's project, which sets the style.
    pub project_id: Option<String>,
    /// The barcode, as text: leading zeros count.
    pub ean: Option<String>,
    /// Used by the provider where there is no barcode.
    pub product_name: Option<String>,
    /// The product's brand.
    pub product_brand: Option<String>,
}

/// The input columns of a row of `image_generations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageInput {
    /// `generate` or `upscale`.
    pub operation: String,
    /// One of the account's [`Models`]; for `generate` only.
    pub model: Option<String>,
    /// What the image should show; for `generate` only.
    pub prompt: Option<String>,
    /// The source image.
    pub image_url: Option<String>,
    /// A second source image, for models that take two.
    pub second_image_url: Option<String>,
    /// Instead of `image_url`: the row whose image is the source.
    pub source_job: Option<i64>,
}

impl Default for ImageInput {
    fn default() -> Self {
        Self {
            operation: image::GENERATE.to_owned(),
            model: None,
            prompt: None,
            image_url: None,
            second_image_url: None,
            source_job: None,
        }
    }
}

/// The input columns of a row of `productions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProductionInput {
    /// The account at JARAI, not ours.
    pub jarai_account_id: Option<String>,
    /// What the video is about.
    pub topic: String,
    /// The language spoken.
    pub language_id: Option<String>,
    /// The country addressed.
    pub country_id: Option<String>,
    /// Who speaks.
    pub avatar_id: Option<String>,
    /// The sort of video, such as `social-video-30s`; JARAI has a default.
    pub project_type_slug: Option<String>,
    /// Context in Markdown.
    pub metadata_md: Option<String>,
}

/// What a row says, unchecked, with the names of its columns; `kind` tells which table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Input {
    /// A row of `descriptions`.
    Description(DescriptionInput),
    /// A row of `image_generations`.
    Image(ImageInput),
    /// A row of `productions`.
    Production(ProductionInput),
}

impl Input {
    /// The kind of job that the row is.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Description(_) => JobKind::Description,
            Self::Image(_) => JobKind::Image,
            Self::Production(_) => JobKind::Production,
        }
    }
}

/// What an account fills in where a row says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// For descriptions.
    pub project_id: Option<String>,
    /// For productions.
    pub jarai_account_id: Option<String>,
    /// For productions.
    pub language_id: Option<String>,
    /// For productions.
    pub country_id: Option<String>,
    /// For productions.
    pub avatar_id: Option<String>,
    /// For productions.
    pub project_type_slug: Option<String>,
    /// For generated images.
    pub model: Option<String>,
}

/// Where a source image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageSource {
    /// A checked http or https URL, as the row has it.
    Url(String),
    /// The image that this row of `image_generations` makes; its link is read just before use.
    Job(i64),
}

/// A checked request, with nothing left to look up but links of other jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase")]
pub enum Request {
    /// A product text. At least one of `ean` and `product_name` is there.
    Description {
        /// JAKOV's project.
        project_id: String,
        /// The barcode as a string of its own, never a number.
        ean: Option<String>,
        /// The product's name.
        product_name: Option<String>,
        /// The product's brand.
        product_brand: Option<String>,
    },
    /// A new image.
    Generate {
        /// A known model.
        model: String,
        /// One image, or as many as the model takes.
        images: Vec<ImageSource>,
        /// What the image should show, exactly as the row has it.
        prompt: String,
    },
    /// A larger image.
    Upscale {
        /// The image to enlarge.
        image: ImageSource,
    },
    /// A video.
    Production {
        /// The account at JARAI, a UUID.
        account_id: String,
        /// 1 to [`MAX_TOPIC`] UTF-16 units, exactly as the row has it.
        topic: String,
        /// A UUID.
        language_id: String,
        /// A UUID.
        country_id: String,
        /// A UUID.
        avatar_id: String,
        /// None: JARAI's default for the account.
        project_type_slug: Option<String>,
        /// At most [`MAX_METADATA`] UTF-16 units, exactly as the row has it.
        metadata_md: Option<String>,
    },
}

/// A request that may be sent, and what a person should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What to send.
    pub request: Request,
    /// Odd, but sent: a sentence about a barcode that the provider may not know.
    pub warning: Option<String>,
}

/// Why a row is not sent. It has cost nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// One of the codes in the [module's table](self).
    pub code: &'static str,
    /// A sentence that names the column, the value (shortened) and what would be right.
    pub message: String,
}

impl Invalid {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Checks a row and fills in the account's defaults.
///
/// Blank columns count as left out. Names, ids, barcodes and URLs lose their surrounding blanks;
/// `prompt`, `topic` and `metadata_md` are sent exactly as they are, and nothing is ever cut.
///
/// # Errors
/// The first rule that the row breaks.
pub fn check(input: &Input, defaults: &Defaults, models: &Models) -> Result<Checked, Invalid> {
    match input {
        Input::Description(row) => check_description(row, defaults),
        Input::Image(row) => image::check(row, defaults, models).map(sent),
        Input::Production(row) => check_production(row, defaults).map(sent),
    }
}

/// A request without a warning.
fn sent(request: Request) -> Checked {
    Checked {
        request,
        warning: None,
    }
}

fn check_description(row: &DescriptionInput, defaults: &Defaults) -> Result<Checked, Invalid> {
    let ean = Field::new("ean", row.ean.as_deref()).name()?;
    let product_name = Field::new("product_name", row.product_name.as_deref()).name()?;
    let product_brand = Field::new("product_brand", row.product_brand.as_deref()).name()?;
    let ean = ean
        .as_deref()
        .map(gtin::normalise)
        .filter(|ean| !ean.is_empty());
    if ean.is_none() && product_name.is_none() {
        return Err(Invalid::new(
            "missing_product",
            "a description needs an ean or a product_name, and both are blank",
        ));
    }
    let project_id = Field::new("project_id", row.project_id.as_deref())
        .or(defaults.project_id.as_deref())
        .required_name("missing_project_id")?;
    let warning = ean.map_or(Ok(None), ean_warning)?;
    let ean = ean.map(str::to_owned);
    let request = Request::Description {
        project_id,
        ean,
        product_name,
        product_brand,
    };
    Ok(Checked { request, warning })
}

/// What is odd about a barcode that is sent all the same, because the provider decides what it
/// knows: its own documented sample has a wrong check digit.
fn ean_warning(ean: &str) -> Result<Option<String>, Invalid> {
    match gtin::check(ean) {
        Verdict::Valid(_) | Verdict::Empty => Ok(None),
        Verdict::Scientific => Err(Invalid::new(
            "ean_digits_lost",
            format!(
                "ean {} has lost its digits: export the column as text",
                field::shorten(ean)
            ),
        )),
        odd @ (Verdict::InStore(_)
        | Verdict::WrongCheckDigit { .. }
        | Verdict::WrongLength { .. }
        | Verdict::NotDigits) => Ok(Some(format!(
            "ean {} is sent, although {odd}",
            field::shorten(ean)
        ))),
    }
}

fn check_production(row: &ProductionInput, defaults: &Defaults) -> Result<Request, Invalid> {
    let id = |name, value: &Option<String>, default: &Option<String>, missing| {
        Field::new(name, value.as_deref())
            .or(default.as_deref())
            .uuid(missing)
    };
    Ok(Request::Production {
        topic: Field::new("topic", Some(&row.topic)).required_text(MAX_TOPIC, "missing_topic")?,
        account_id: id(
            "jarai_account_id",
            &row.jarai_account_id,
            &defaults.jarai_account_id,
            "missing_jarai_account_id",
        )?,
        language_id: id(
            "language_id",
            &row.language_id,
            &defaults.language_id,
            "missing_language_id",
        )?,
        country_id: id(
            "country_id",
            &row.country_id,
            &defaults.country_id,
            "missing_country_id",
        )?,
        avatar_id: id(
            "avatar_id",
            &row.avatar_id,
            &defaults.avatar_id,
            "missing_avatar_id",
        )?,
        project_type_slug: Field::new("project_type_slug", row.project_type_slug.as_deref())
            .or(defaults.project_type_slug.as_deref())
            .name()?,
        metadata_md: Field::new("metadata_md", row.metadata_md.as_deref()).text(MAX_METADATA)?,
    })
}

#[cfg(test)]
mod tests;
