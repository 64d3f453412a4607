//! What can be asked of a provider: one value per request, with all that its bytes depend on.
//!
//! A call knows no URL and no key; [`Client`](crate::Client) adds both.

use std::fmt;

use domain::Provider;
use secrecy::SecretString;

use crate::mask::masked;

/// One request to a provider.
#[derive(Debug, Clone)]
pub enum Call {
    /// The paid POST that starts work.
    Submit(Submit),
    /// The state of one remote job. JAKOV: `products?id=`; ProductAI: `job/{id}`; JARAI:
    /// `productions/{id}`.
    Status {
        /// The provider's id.
        remote_id: String,
        /// JARAI's `Location` of the submit's answer. Used only if it lies on the configured
        /// origin, else the path is built from the id; the key never travels elsewhere.
        location: Option<String>,
    },
    /// JARAI: the list of files of a production, with fresh links that live an hour.
    Deliverables {
        /// The production's id.
        remote_id: String,
    },
    /// JARAI: ask to cancel a production. Done only when a status read shows `Cancelled`.
    Cancel {
        /// The production's id.
        remote_id: String,
    },
    /// What is left to spend: JAKOV's balance, ProductAI's (second-hand) key check, JARAI's usage.
    Credits,
    /// JAKOV: all completed descriptions of a project.
    Export {
        /// The project.
        project_id: String,
        /// The spelling of the answer.
        format: ExportFormat,
    },
    /// JARAI: the accounts that the key may use, with avatars and platforms.
    Accounts,
    /// JARAI: one account.
    Account {
        /// The account's id.
        account_id: String,
    },
    /// JARAI: how a production performs on its platforms.
    Performance {
        /// The production's id.
        remote_id: String,
    },
    /// JARAI: apply for a partner key. Needs no key.
    RegisterPartner {
        /// The organisation's name.
        organisation_name: String,
        /// Where the verification mail goes.
        contact_email: String,
        /// Who asks.
        contact_name: String,
    },
    /// JARAI: trade the token of the verification mail for the key, which is shown once. Needs no
    /// key.
    VerifyPartner {
        /// The token, a secret until used.
        token: SecretString,
    },
    /// JARAI: a new key; the old one lives 24 hours more.
    RotateKey,
    /// JARAI: register a webhook. The answer holds its signing secret, once.
    CreateWebhook {
        /// Where events go; https only.
        endpoint_url: String,
        /// At least one event type.
        event_types: Vec<String>,
        /// At most 50 accounts; empty means all. Not together with `account_scope_id`.
        account_ids: Vec<String>,
        /// One account scope instead of `account_ids`.
        account_scope_id: Option<String>,
    },
    /// JARAI: the registered webhooks.
    Webhooks,
    /// JARAI: remove a webhook.
    DeleteWebhook {
        /// The webhook's id.
        id: String,
    },
}

impl Call {
    /// The word for this call in logs and in the ledger of requests.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Submit(_) => "submit",
            Self::Status { .. } => "status",
            Self::Deliverables { .. } => "deliverables",
            Self::Cancel { .. } => "cancel",
            Self::Credits => "credits",
            Self::Export { .. } => "export",
            Self::Accounts => "accounts",
            Self::Account { .. } => "account",
            Self::Performance { .. } => "performance",
            Self::RegisterPartner { .. } => "register_partner",
            Self::VerifyPartner { .. } => "verify_partner",
            Self::RotateKey => "rotate_key",
            Self::CreateWebhook { .. } => "create_webhook",
            Self::Webhooks => "webhooks",
            Self::DeleteWebhook { .. } => "delete_webhook",
        }
    }

    /// Whether sending it twice can cost money or burn a secret, so that a lost answer leaves the
    /// outcome unknown. All others may be repeated freely.
    #[must_use]
    pub fn acts_once(&self) -> bool {
        matches!(
            self,
            Self::Submit(_)
                | Self::RegisterPartner { .. }
                | Self::VerifyPartner { .. }
                | Self::RotateKey
                | Self::CreateWebhook { .. }
        )
    }

    /// Whether this provider has such a call.
    #[must_use]
    pub fn is_for(&self, provider: Provider) -> bool {
        match self {
            Self::Submit(submit) => submit.provider() == provider,
            Self::Status { .. } | Self::Credits => true,
            Self::Export { .. } => provider == Provider::Jakov,
            Self::Deliverables { .. }
            | Self::Cancel { .. }
            | Self::Accounts
            | Self::Account { .. }
            | Self::Performance { .. }
            | Self::RegisterPartner { .. }
            | Self::VerifyPartner { .. }
            | Self::RotateKey
            | Self::CreateWebhook { .. }
            | Self::Webhooks
            | Self::DeleteWebhook { .. } => provider == Provider::Jarai,
        }
    }

    /// Whether the call goes out without a key (JARAI's registration, which is how a key is got).
    pub(crate) fn needs_no_key(&self) -> bool {
        matches!(
            self,
            Self::RegisterPartner { .. } | Self::VerifyPartner { .. }
        )
    }
}

/// The work that a paid POST asks for.
#[derive(Clone, PartialEq)]
pub enum Submit {
    /// JAKOV: texts for one or more products.
    Descriptions {
        /// The project, which sets the style.
        project_id: String,
        /// The products, in the order in which their outcomes come back.
        items: Vec<DescriptionItem>,
    },
    /// ProductAI: an image from one or two others.
    Generate {
        /// The model, as the provider spells it.
        model: String,
        /// One URL goes out as a string, two as an array.
        image_urls: Vec<String>,
        /// What the image should show.
        prompt: String,
    },
    /// ProductAI: a larger image.
    Upscale {
        /// The image.
        image_url: String,
    },
    /// JARAI: a video.
    Production {
        /// The JARAI account (not ours).
        account_id: String,
        /// What the video is about, 1 to 500 characters.
        topic: String,
        /// A UUID.
        language_id: String,
        /// A UUID.
        country_id: String,
        /// A UUID, one of the account's avatars.
        avatar_id: String,
        /// For instance `social-video-30s`; the account's default if absent.
        project_type_slug: Option<String>,
        /// Markdown for the pipeline, at most 4,096 characters; goes out as `metadataMD`.
        metadata_md: Option<String>,
    },
}

impl Submit {
    /// How many jobs this asks for, which is how many outcomes its answer has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Descriptions { items, .. } => items.len(),
            Self::Generate { .. } | Self::Upscale { .. } | Self::Production { .. } => 1,
        }
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who does this work.
    #[must_use]
    pub fn provider(&self) -> Provider {
        match self {
            Self::Descriptions { .. } => Provider::Jakov,
            Self::Generate { .. } | Self::Upscale { .. } => Provider::Productai,
            Self::Production { .. } => Provider::Jarai,
        }
    }
}

/// By hand, since source images may be signed links.
impl fmt::Debug for Submit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptions { project_id, items } => f
                .debug_struct("Descriptions")
                .field("project_id", project_id)
                .field("items", items)
                .finish(),
            Self::Generate {
                model,
                image_urls,
                prompt,
            } => {
                let image_urls: Vec<_> = image_urls.iter().map(|url| masked(url)).collect();
                f.debug_struct("Generate")
                    .field("model", model)
                    .field("image_urls", &image_urls)
                    .field("prompt", prompt)
                    .finish()
            }
            Self::Upscale { image_url } => f
                .debug_struct("Upscale")
                .field("image_url", &masked(image_url))
                .finish(),
            Self::Production {
                account_id, topic, ..
            } => f
                .debug_struct("Production")
                .field("account_id", account_id)
                .field("topic", topic)
                .finish_non_exhaustive(),
        }
    }
}

/// One product of a JAKOV submit. Either `ean` or `product_name` is required by the provider; the
/// name is "used if no EAN".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescriptionItem {
    /// The barcode, a text: leading zeros count.
    pub ean: Option<String>,
    /// The product's name.
    pub product_name: Option<String>,
    /// The brand; in the provider's example, not in its table of fields.
    pub product_brand: Option<String>,
    /// Ours, echoed by reads and webhooks: how an answer finds its job.
    pub client_product_id: String,
}

/// How JAKOV's export is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFormat {
    /// The documented default.
    #[default]
    Json,
    /// Comma-separated values.
    Csv,
}

impl ExportFormat {
    /// The value of the `format` parameter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}
