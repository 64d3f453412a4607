//! What people type to bring a catalog in and results out.

use std::path::PathBuf;

use catalog::{Field, Template};
use clap::{ArgAction, Args, ValueEnum};
use domain::{Status, Timestamp};

pub(crate) const IMPORT_EXAMPLES: &str = "\
Examples:
  vitrine import products.csv                     only look: columns, products, what is rejected and why
  vitrine import products.csv --describe --dry-run
  vitrine import products.csv --describe --image \"{title} by {brand}, on a wooden table\" --sample 10
  vitrine import stock.csv --map \"Our code=barcode\" --describe --batch spring
";

pub(crate) const EXPORT_EXAMPLES: &str = "\
Examples:
  vitrine export --output results.csv             one row a product: text, image, video
  vitrine export --format shopify --batch spring --output for-shopify.csv
  vitrine export --format jsonl --rows deliverables
  vitrine export --format google --changed --output google.xml
";

/// The longest name of a batch that an import takes, in characters: it is a part of each dedupe_key.
const LONGEST_BATCH: usize = 200;

/// Of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files that a shop exported: CSV, TSV, JSON lines, or a Google Merchant feed in XML.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// What a column means: sku, barcode, title, brand, image, description or category.
    #[arg(long, value_name = "COLUMN=FIELD", value_parser = mapping)]
    pub(crate) map: Vec<(String, Field)>,
    /// Have a text made of each product.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) describe: Option<bool>,
    /// Have an image made of each product's first image, by this prompt; {title}, {brand} and the file's
    /// columns stand for what the product has there.
    #[arg(long, value_name = "PROMPT", value_parser = template)]
    pub(crate) image: Option<Template>,
    /// The model that makes images; else the account's.
    #[arg(long, requires = "image")]
    pub(crate) model: Option<String>,
    /// Have each product's first image enlarged.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) upscale: Option<bool>,
    /// Have a video made of each product, about this; takes {title} as --image does.
    #[arg(long, value_name = "TOPIC", value_parser = template)]
    pub(crate) video: Option<Template>,
    /// Whose jobs they are; once for each provider. Else the default accounts'.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Vec<String>,
    /// The label of the jobs; else the file's name without its ending. The same file again under the same
    /// label inserts nothing twice.
    #[arg(long, value_parser = batch)]
    pub(crate) batch: Option<String>,
    /// Higher goes first.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true,
        value_parser = clap::value_parser!(i64).range(-1_000_000..=1_000_000))]
    pub(crate) priority: i64,
    /// Make no text where the file has one, and nothing that was made before or is under way.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) only_missing: Option<bool>,
    /// Take products whose barcode an earlier one has already; else they are rejected.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) keep_repeated: Option<bool>,
    /// Insert nothing: say how many jobs, what they cost, how long they take, and show three.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) dry_run: Option<bool>,
    /// Only the first so many products. The same import without it goes on with the others.
    #[arg(long, value_name = "PRODUCTS")]
    pub(crate) sample: Option<u64>,
    /// Where rejected rows go; else into the working directory, as NAME.rejected.csv.
    #[arg(long, value_name = "PATH")]
    pub(crate) rejects: Option<PathBuf>,
    /// Write down all that is odd about products that are taken (a wrong check digit and the right one, an image
    /// that cannot be used), as CSV.
    #[arg(long, value_name = "PATH")]
    pub(crate) notices: Option<PathBuf>,
}

/// What an export is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A table with all that there is.
    Csv,
    /// One JSON object on each line.
    Jsonl,
    /// Shopify's product import: handle, title, and what was made.
    Shopify,
    /// WooCommerce's product import ("update existing products").
    Woocommerce,
    /// A supplemental feed for Google Merchant Center, in XML.
    Google,
    /// Akeneo's product import.
    Akeneo,
}

/// What is a row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportRows {
    /// One row a product.
    Products,
    /// One row a text or file.
    Deliverables,
}

/// Of `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// What it is for.
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    pub(crate) format: ExportFormat,
    /// Of csv and jsonl: what a row is.
    #[arg(long, value_enum, default_value_t = ExportRows::Products)]
    pub(crate) rows: ExportRows,
    /// Where it goes; else stdout.
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Only this batch.
    #[arg(long)]
    pub(crate) batch: Option<String>,
    /// Only jobs that name this account, or were taken by it.
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Of csv and jsonl: only jobs in this state, else completed ones.
    #[arg(long, value_parser = super::jobs::statuses())]
    pub(crate) status: Option<Status>,
    /// Ended then or later: 2026-11-20, or a time in UTC such as 2026-11-20T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Timestamp>,
    /// Ended before then.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Timestamp>,
    /// Only what ended since the last export with this flag to the same output.
    #[arg(long, action = ArgAction::SetTrue, requires = "output")]
    pub(crate) changed: Option<bool>,
    /// The file that was imported: titles, columns and their names are those that the shop has there.
    #[arg(long, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
    /// The column for texts, where the shop has another one (Akeneo: description-en_US-ecommerce).
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_column: Option<String>,
    /// The column for images, where the shop has another one.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) image_column: Option<String>,
    /// Copy the files into this folder, and write their paths.
    #[arg(long, value_name = "FOLDER", conflicts_with = "links")]
    pub(crate) files: Option<PathBuf>,
    /// Where the storage's files can be reached: links are this and the file's place in the storage.
    #[arg(long, value_name = "URL")]
    pub(crate) links: Option<url::Url>,
    /// Put an apostrophe before ids and barcodes that are numbers, so that a spreadsheet keeps their zeros.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) apostrophes: Option<bool>,
}

fn mapping(text: &str) -> Result<(String, Field), String> {
    let (column, field) = text.rsplit_once('=').ok_or("write COLUMN=FIELD")?;
    let field = field
        .parse()
        .map_err(|error: catalog::UnknownField| error.to_string())?;
    Ok((column.to_owned(), field))
}

fn template(text: &str) -> Result<Template, String> {
    if text.trim().is_empty() {
        return Err("write what it should show".to_owned());
    }
    Template::parse(text).map_err(|error| error.to_string())
}

fn batch(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("write a name, or leave --batch out".to_owned()),
        1..=LONGEST_BATCH => Ok(text.to_owned()),
        _ => Err(format!("write at most {LONGEST_BATCH} characters")),
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    whole
        .parse()
        .map_err(|_| "write a day (2026-11-20) or a time in UTC (2026-11-20T09:00:00Z)".to_owned())
}
