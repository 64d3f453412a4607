//! `vitrine export`: results for people, for programs, and for the shops that they came from.

mod gather;
mod links;
mod tables;

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use catalog::export::{GoogleFeed, Item, Layout, Part, Shop, ShopTable, Written};
use catalog::{Catalog, Field, Mapping, Row};
use domain::Status;
use serde::{Deserialize, Serialize};
use store::ResultFilter;
use tempfile::NamedTempFile;

use crate::cli::{ExportArgs, ExportFormat, Globals};
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{print_json, say};
use gather::{ProductResult, Products};
use links::{Files, Links};
use tables::{Spreadsheet, Table};

/// What was written.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: Vec<WrittenFile>,
    /// Products of which nothing could be written, since Shopify takes no row without a title.
    without_title: u64,
    /// Images that no shop could fetch, since nothing says where they can be reached.
    images_without_link: u64,
    /// Results of rows that name no product, which no shop would find.
    without_product: u64,
}

#[derive(Debug, Serialize)]
struct WrittenFile {
    /// `None`: stdout.
    path: Option<PathBuf>,
    products: u64,
}

/// What an export with `--changed` leaves for the next one.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Memory {
    /// The timeline's last event when it began.
    last_event: i64,
}

/// Exports.
pub(crate) async fn export(globals: &Globals, args: &ExportArgs) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    // Read before anything else, so that what ends meanwhile is in the next one too.
    let seen = store.last_event().await?;
    let filter = ResultFilter {
        batch: args.batch.clone(),
        status: Some(args.status.unwrap_or(Status::Completed)),
        account: args.account.clone(),
        since: args.since,
        until: args.until,
        after_event: remembered(args)?,
    };
    let links = Links {
        files: match (&args.files, &args.links) {
            (Some(folder), _) => {
                fs::create_dir_all(folder)?;
                Files::Copied(folder.clone())
            }
            (None, Some(base)) => Files::Linked(base.clone()),
            (None, None) => Files::AsStored,
        },
        root: config.storage.clone(),
    };
    let mut products = Products::new(&store, &filter);
    let report = match args.format {
        ExportFormat::Csv | ExportFormat::Jsonl => for_people(args, &mut products, &links).await?,
        ExportFormat::Google => for_google(args, &mut products, &links).await?,
        ExportFormat::Shopify => for_shop(Shop::Shopify, args, &mut products, &links).await?,
        ExportFormat::Woocommerce => {
            for_shop(Shop::WooCommerce, args, &mut products, &links).await?
        }
        ExportFormat::Akeneo => for_shop(Shop::Akeneo, args, &mut products, &links).await?,
    };
    store.close().await;
    if let Some(path) = memory(args) {
        let text = serde_json::to_string(&Memory { last_event: seen }).map_err(io::Error::from)?;
        let mut out = Output::open(Some(&path))?;
        out.write_all(text.as_bytes())?;
        out.keep()?;
    }
    tell(globals, args, &report)?;
    Ok(Code::Done)
}

/// Where `--changed` remembers: beside the output.
fn memory(args: &ExportArgs) -> Option<PathBuf> {
    let output = args
        .output
        .as_ref()
        .filter(|_| args.changed == Some(true))?;
    let mut name = output.file_name()?.to_owned();
    name.push(".exported");
    Some(output.with_file_name(name))
}

fn remembered(args: &ExportArgs) -> Result<i64, Failure> {
    let Some(path) = memory(args) else {
        return Ok(0);
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let memory: Memory = serde_json::from_str(&text).map_err(|error| {
        Failure::new(Code::Error, error)
            .while_doing(format!("cannot read {}", path.display()))
            .next(format!("remove {} and export all of it", path.display()))
    })?;
    Ok(memory.last_event)
}

async fn for_people(
    args: &ExportArgs,
    products: &mut Products<'_>,
    links: &Links,
) -> Result<Report, Failure> {
    let mut out = Output::open(args.output.as_deref())?;
    let spreadsheet = match args.apostrophes {
        Some(true) => Spreadsheet::Apostrophes,
        _ => Spreadsheet::Plain,
    };
    let mut table = match args.format {
        ExportFormat::Jsonl => Table::Json(&mut out),
        _ => Table::csv(&mut out, args.rows, spreadsheet)?,
    };
    let mut count = 0;
    while let Some(product) = products.next().await? {
        count += 1;
        for row in tables::rows(&product, args.rows, links)? {
            table.write(&row)?;
        }
    }
    table.finish()?;
    drop(table);
    out.keep()?;
    Ok(Report {
        files: vec![WrittenFile {
            path: args.output.clone(),
            products: count,
        }],
        ..Report::default()
    })
}

async fn for_google(
    args: &ExportArgs,
    products: &mut Products<'_>,
    links: &Links,
) -> Result<Report, Failure> {
    let mut out = Output::open(args.output.as_deref())?;
    let mut feed = GoogleFeed::new(&mut out)?;
    let mut report = Report::default();
    let mut count = 0;
    while let Some(product) = products.next().await? {
        if let Some(item) = item(&product, links, &HashMap::new(), &mut report) {
            count += u64::from(feed.write(&item)? == Written::Row);
        }
    }
    feed.finish()?;
    out.keep()?;
    report.files.push(WrittenFile {
        path: args.output.clone(),
        products: count,
    });
    Ok(report)
}

async fn for_shop(
    shop: Shop,
    args: &ExportArgs,
    products: &mut Products<'_>,
    links: &Links,
) -> Result<Report, Failure> {
    let Some(output) = args.output.as_deref() else {
        let why = "texts and images are files of their own, since a blank cell wipes what the shop has: name one";
        return Err(Failure::say(Code::Usage, why).next("add --output PATH"));
    };
    let (layout, titles) = match &args.catalog {
        Some(path) => known_to_shop(shop, path, args.text_column.is_some())?,
        None => (Layout::documented(shop), HashMap::new()),
    };
    let layout = layout.with(args.text_column.as_deref(), args.image_column.as_deref());
    let images = beside(output, "images");
    let mut report = Report::default();
    let mut parts = Vec::new();
    for (part, path) in [(Part::Texts, output.to_path_buf()), (Part::Images, images)] {
        let table = ShopTable::new(Output::open(Some(&path))?, layout.clone(), part)?;
        parts.push((table, path, 0_u64));
    }
    while let Some(product) = products.next().await? {
        let Some(item) = item(&product, links, &titles, &mut report) else {
            continue;
        };
        for (table, _, count) in &mut parts {
            match table.write(&item)? {
                Written::Row => *count += 1,
                Written::NoTitle => report.without_title += 1,
                Written::Nothing => {}
            }
        }
    }
    for (table, path, products) in parts {
        // A file without rows would only be imported by mistake.
        if products > 0 {
            table.into_inner()?.keep()?;
            let path = Some(path);
            report.files.push(WrittenFile { path, products });
        }
    }
    Ok(report)
}

/// What the shop's own file says: the names of its columns, and its products' titles.
fn known_to_shop(
    shop: Shop,
    path: &Path,
    says_column: bool,
) -> Result<(Layout, HashMap<String, String>), Failure> {
    let unreadable = |error| Failure::new(Code::Error, error);
    let catalog = Catalog::open(path, Mapping::default()).map_err(unreadable)?;
    let layout = Layout::of(shop, &catalog);
    let columns = catalog.columns_of(Field::Description);
    if shop == Shop::Akeneo && columns.len() > 1 && !says_column {
        let why = format!(
            "the catalog has a column for texts in each language: {}",
            columns.join(", ")
        );
        let next = "say which with --text-column COLUMN";
        return Err(Failure::say(Code::Usage, why).next(next));
    }
    let mut titles = HashMap::new();
    if shop == Shop::Shopify {
        for row in catalog {
            if let Row::Product(product) = row.map_err(unreadable)? {
                let id = product.client_product_id();
                titles.extend(product.title.map(|title| (id, title)));
            }
        }
    }
    Ok((layout, titles))
}

/// What a shop gets of a product.
fn item(
    product: &ProductResult,
    links: &Links,
    titles: &HashMap<String, String>,
    report: &mut Report,
) -> Option<Item> {
    let Some(id) = product.id.clone() else {
        report.without_product += 1;
        return None;
    };
    // The enlarged image is the better one.
    let images = ["upscale", "generate"]
        .into_iter()
        .filter_map(|operation| product.newest(operation));
    let mut urls = Vec::new();
    for made in images {
        match tables::public(made, links) {
            Some(url) => urls.push(url),
            None => report.images_without_link += 1,
        }
    }
    let title = titles.get(&id).map(String::as_str).or(product.title());
    Some(Item {
        title: title.map(str::to_owned),
        text: product.text().map(str::to_owned),
        images: urls,
        id,
    })
}

/// `shop.csv`, `shop.images.csv`.
fn beside(path: &Path, word: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map(|ending| ending.to_string_lossy());
    let ending = ending.map_or_else(String::new, |ending| format!(".{ending}"));
    path.with_file_name(format!("{stem}.{word}{ending}"))
}

/// Stdout, or a file that is there only when it is whole.
enum Output {
    Stdout(io::Stdout),
    File(BufWriter<NamedTempFile>, PathBuf),
}

impl Output {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout(io::stdout()));
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let file = tempfile::Builder::new().tempfile_in(folder.unwrap_or(Path::new(".")))?;
        Ok(Self::File(BufWriter::new(file), path.to_path_buf()))
    }

    /// Puts the file into its place.
    fn keep(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush(),
            Self::File(out, path) => {
                let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.as_file().sync_all()?;
                file.persist(path).map_err(|error| error.error)?;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(out, _) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(out, _) => out.flush(),
        }
    }
}

fn tell(globals: &Globals, args: &ExportArgs, report: &Report) -> Result<(), Failure> {
    if globals.wants_json() && args.output.is_some() {
        return print_json(report);
    }
    for file in &report.files {
        if let Some(path) = &file.path {
            say(format!("{}: {} products", path.display(), file.products));
        }
    }
    if report.files.is_empty() {
        say("nothing to export; no file was written");
    }
    let without = [
        (
            report.without_title,
            "products have no title that is known: name the shop's file with --catalog FILE",
        ),
        (
            report.images_without_link,
            "images have no link that a shop could follow: say where the storage is reached with --links URL",
        ),
        (
            report.without_product,
            "results belong to rows without client_product_id, which no shop would find",
        ),
    ];
    for (count, what) in without.into_iter().filter(|(count, _)| *count > 0) {
        say(format!("{count} {what}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_stand_in_a_file_beside_the_texts() {
        for (path, images) in [("a/shop.csv", "a/shop.images.csv"), ("shop", "shop.images")] {
            assert_eq!(beside(Path::new(path), "images"), Path::new(images));
        }
    }

    #[test]
    fn a_file_is_there_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut out = Output::open(Some(&path)).unwrap();
        out.write_all(b"a,b\n").unwrap();
        assert!(!path.exists());
        out.keep().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a,b\n");
        let mut out = Output::open(Some(&path)).unwrap();
        out.write_all(b"half").unwrap();
        drop(out);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a,b\n");
    }
}
