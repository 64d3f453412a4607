//! Which jobs a product becomes. Pure: the same product, the same jobs under the same dedupe keys, so that
//! inserting them again changes nothing.

use std::fmt::Write as _;

use catalog::{Product, Template};
use domain::{DescriptionInput, ImageInput, Input, JobKind, Prices, ProductionInput, Provider};
use engine::Account;
use sha2::{Digest, Sha256};
use store::NewJob;

use crate::cli::ImportArgs;

/// How much of a hash of a template is in a dedupe key, in bytes.
const HASH_BYTES: usize = 6;

/// Something that can be made of a product.
#[derive(Debug, Clone)]
pub(super) enum Task {
    Describe,
    Image {
        prompt: Template,
        model: Option<String>,
    },
    Upscale,
    Video {
        topic: Template,
    },
}

/// Why something is not made of a product that the catalog has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) reason: String,
}

impl Task {
    /// What was asked for.
    pub(super) fn all(args: &ImportArgs) -> Vec<Self> {
        let mut tasks = Vec::new();
        if args.describe == Some(true) {
            tasks.push(Self::Describe);
        }
        if let Some(prompt) = args.image.clone() {
            let model = args.model.clone();
            tasks.push(Self::Image { prompt, model });
        }
        if args.upscale == Some(true) {
            tasks.push(Self::Upscale);
        }
        if let Some(topic) = args.video.clone() {
            tasks.push(Self::Video { topic });
        }
        tasks
    }

    /// `description`, `generate`, `upscale` or `production`.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::Describe => "description",
            Self::Image { .. } => "generate",
            Self::Upscale => "upscale",
            Self::Video { .. } => "production",
        }
    }

    pub(super) fn kind(&self) -> JobKind {
        match self {
            Self::Describe => JobKind::Description,
            Self::Image { .. } | Self::Upscale => JobKind::Image,
            Self::Video { .. } => JobKind::Production,
        }
    }

    pub(super) fn provider(&self) -> Provider {
        self.kind().provider()
    }

    /// The template that it renders.
    pub(super) fn template(&self) -> Option<&Template> {
        match self {
            Self::Image {
                prompt: template, ..
            }
            | Self::Video { topic: template } => Some(template),
            Self::Describe | Self::Upscale => None,
        }
    }

    /// What the jobs of this task have in common with no other task: another template or model is another
    /// job, the same one again is not.
    fn mark(&self) -> String {
        let model = match self {
            Self::Image { model, .. } => model.as_deref().unwrap_or_default(),
            Self::Describe | Self::Upscale | Self::Video { .. } => "",
        };
        let Some(template) = self.template() else {
            return self.operation().to_owned();
        };
        let hash = Sha256::digest(format!("{model}\n{}", template.text()));
        let mut mark = format!("{}-", self.operation());
        for byte in hash.iter().take(HASH_BYTES) {
            // Writing to a text cannot fail.
            let _ = write!(mark, "{byte:02x}");
        }
        mark
    }

    fn input(&self, product: &Product, header: &[String]) -> Result<Input, Problem> {
        let image_url = || {
            product.image_urls.first().cloned().ok_or_else(|| Problem {
                code: "no_image".to_owned(),
                reason: "there is no usable image to begin with".to_owned(),
            })
        };
        let rendered = |template: &Template| {
            let problem = |error: catalog::TemplateError| Problem {
                code: "template".to_owned(),
                reason: error.to_string(),
            };
            template.render(product, header).map_err(problem)
        };
        Ok(match self {
            Self::Describe => Input::Description(DescriptionInput {
                project_id: None,
                ean: product.ean.clone(),
                product_name: product.title.clone(),
                product_brand: product.brand.clone(),
            }),
            Self::Image { prompt, model } => Input::Image(ImageInput {
                model: model.clone(),
                image_url: Some(image_url()?),
                prompt: Some(rendered(prompt)?),
                ..ImageInput::default()
            }),
            Self::Upscale => Input::Image(ImageInput {
                operation: "upscale".to_owned(),
                image_url: Some(image_url()?),
                ..ImageInput::default()
            }),
            Self::Video { topic } => Input::Production(ProductionInput {
                topic: rendered(topic)?,
                metadata_md: product
                    .brand
                    .as_ref()
                    .map(|brand| format!("Brand: {brand}")),
                ..ProductionInput::default()
            }),
        })
    }
}

/// A task with the account that it is for.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) task: Task,
    /// The account, where the config has one with a key: its rules are checked before anything is inserted.
    pub(super) account: Option<&'a Account>,
    /// The name that the rows give; `None`: the default account's.
    pub(super) named: Option<String>,
    pub(super) batch: &'a str,
    pub(super) priority: i64,
}

impl Order<'_> {
    /// The job of this product.
    pub(super) fn job(&self, product: &Product, header: &[String]) -> Result<NewJob, Problem> {
        let input = self.task.input(product, header)?;
        if let Some(account) = self.account {
            let checked = domain::request::check(&input, &account.defaults, &account.prices.models);
            checked.map_err(|invalid| Problem {
                code: invalid.code.to_owned(),
                reason: invalid.message,
            })?;
        }
        let id = product.client_product_id();
        Ok(NewJob {
            account: self.named.clone(),
            dedupe_key: Some(format!("import:{}:{}:{id}", self.batch, self.task.mark())),
            client_product_id: Some(id),
            batch: Some(self.batch.to_owned()),
            priority: self.priority,
            run_at: None,
            input: Some(input),
        })
    }

    /// What one of these jobs costs; `None`: nobody states it.
    pub(super) fn price(&self) -> Option<i64> {
        // Without a key there is no account here, and what the documents state holds.
        let documented = Prices::default();
        let prices = self.account.map_or(&documented, |account| &account.prices);
        match &self.task {
            Task::Describe => prices.description,
            Task::Video { .. } => prices.production,
            Task::Upscale => Some(domain::UPSCALE_CREDITS),
            Task::Image { .. } => prices.models.get(self.model()?)?.credits,
        }
    }

    /// The model of its images.
    pub(super) fn model(&self) -> Option<&str> {
        let Task::Image { model, .. } = &self.task else {
            return None;
        };
        let default = self
            .account
            .and_then(|account| account.defaults.model.as_deref());
        model.as_deref().or(default)
    }
}

/// Problems that every product of the import would have: the account or the flags have to be mended, and
/// no row.
pub(super) fn is_of_all(code: &str) -> bool {
    const OF_ROWS: [&str; 4] = [
        "missing_product",
        "missing_prompt",
        "missing_topic",
        "missing_image_url",
    ];
    matches!(code, "unknown_model" | "invalid_uuid" | "template")
        || (code.starts_with("missing_") && !OF_ROWS.contains(&code))
}
