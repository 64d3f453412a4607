//! Which jobs a product of the demo's catalog becomes. Pure: the same catalog, the same jobs, with the
//! same dedupe keys, so that inserting them again changes nothing.

use std::collections::HashSet;

use catalog::Product;
use domain::{DescriptionInput, ImageInput, Input, ProductionInput};
use store::NewJob;

use super::BATCH;
use crate::output::shortened;

/// Every so many-th image is enlarged too …
const UPSCALE_EVERY: usize = 25;
/// … but at least so many, where there are as many images.
const UPSCALES_AT_LEAST: usize = 2;
/// Videos: JARAI's Standard tier makes 20 a day.
const PRODUCTIONS: usize = 3;
/// The longest id of a product that is taken as it is, in characters; the column takes 1,000.
const LONGEST_ID: usize = 200;
/// The longest name in a prompt or topic, in characters; a topic takes 500 UTF-16 units.
const LONGEST_NAME: usize = 150;

/// An image that may be enlarged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) line: u64,
    pub(super) client_product_id: String,
    pub(super) image_url: String,
}

/// Plans product by product.
#[derive(Debug)]
pub(super) struct Planner {
    file: String,
    /// Ids that products of this catalog have already.
    ids: HashSet<String>,
    images: usize,
    productions: usize,
    /// The images among which the enlarged ones are chosen: all of the first few, then every so
    /// many-th.
    sources: Vec<(usize, Source)>,
}

impl Planner {
    /// For the catalog of this name.
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: shortened(file, LONGEST_ID),
            ids: HashSet::new(),
            images: 0,
            productions: 0,
            sources: Vec::new(),
        }
    }

    /// The jobs of one product: a description, an image if there is one to start from, and for the
    /// first few a production.
    pub(super) fn jobs(&mut self, product: &Product) -> Vec<NewJob> {
        let id = self.unique_id(product);
        let job = |kind: &str, input| self.job(product.line, kind, &id, input);
        let name = name_of(product);
        let mut jobs = vec![job("description", description(product))];
        let image_url = product.image_urls.first();
        if let Some(url) = image_url {
            jobs.push(job("image", image(&name, url)));
        }
        let films = self.productions < PRODUCTIONS && product.title.is_some();
        if films {
            jobs.push(job("production", production(&name, product)));
        }
        self.productions += usize::from(films);
        if let Some(url) = image_url {
            self.note_source(product.line, id, url);
        }
        jobs
    }

    fn note_source(&mut self, line: u64, client_product_id: String, url: &str) {
        let number = self.images;
        self.images += 1;
        if number < UPSCALE_EVERY * UPSCALES_AT_LEAST || number.is_multiple_of(UPSCALE_EVERY) {
            let source = Source {
                line,
                client_product_id,
                image_url: url.to_owned(),
            };
            self.sources.push((number, source));
        }
    }

    /// After the last product: the images that are enlarged too.
    pub(super) fn sources(&self) -> Vec<Source> {
        let step = self
            .images
            .div_ceil(UPSCALES_AT_LEAST)
            .clamp(1, UPSCALE_EVERY);
        self.sources
            .iter()
            .filter(|(number, _)| number.is_multiple_of(step))
            .map(|(_, source)| source.clone())
            .collect()
    }

    /// The job that enlarges an image: the one that `source_job` makes, or else the shop's own.
    pub(super) fn upscale(&self, source: &Source, source_job: Option<i64>) -> NewJob {
        let input = Input::Image(ImageInput {
            operation: "upscale".to_owned(),
            image_url: source_job.is_none().then(|| source.image_url.clone()),
            source_job,
            ..ImageInput::default()
        });
        self.job(source.line, "upscale", &source.client_product_id, input)
    }

    fn job(&self, line: u64, kind: &str, id: &str, input: Input) -> NewJob {
        NewJob {
            client_product_id: Some(id.to_owned()),
            dedupe_key: Some(format!("demo:{}:{line}:{kind}", self.file)),
            batch: Some(BATCH.to_owned()),
            input: Some(input),
            ..NewJob::default()
        }
    }

    /// The shop's id, else the barcode, else the line; with the line where another has it already.
    fn unique_id(&mut self, product: &Product) -> String {
        let line = product.line;
        let own = product.id.as_deref().or(product.ean.as_deref());
        let mut id = own.map_or_else(
            || format!("line-{line}"),
            |own| shortened(&plain(own), LONGEST_ID),
        );
        if self.ids.contains(&id) {
            id = format!("{id}#line-{line}");
        }
        self.ids.insert(id.clone());
        id
    }
}

/// No database keeps a NUL in a text.
fn plain(text: &str) -> String {
    text.replace('\0', "")
}

/// What the product is called in a prompt or topic.
fn name_of(product: &Product) -> String {
    match (&product.title, &product.ean) {
        (Some(name), _) => shortened(&plain(name), LONGEST_NAME),
        (None, Some(ean)) => format!("the product with the barcode {ean}"),
        (None, None) => "the product".to_owned(),
    }
}

fn description(product: &Product) -> Input {
    Input::Description(DescriptionInput {
        project_id: None,
        ean: product.ean.clone(),
        product_name: product.title.as_deref().map(plain),
        product_brand: product.brand.as_deref().map(plain),
    })
}

fn image(name: &str, url: &str) -> Input {
    Input::Image(ImageInput {
        model: Some("nanobanana".to_owned()),
        prompt: Some(format!(
            "{name} in a shop window, plain light ground, soft daylight"
        )),
        image_url: Some(url.to_owned()),
        ..ImageInput::default()
    })
}

fn production(name: &str, product: &Product) -> Input {
    let brand = product.brand.as_deref().map(plain);
    Input::Production(ProductionInput {
        topic: format!("Why people love {name}"),
        metadata_md: brand.map(|brand| format!("Brand: {}", shortened(&brand, LONGEST_NAME))),
        ..ProductionInput::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::{Catalog, Mapping, Row};

    fn plan(text: String) -> (Vec<NewJob>, Vec<Source>) {
        let catalog =
            Catalog::from_reader(std::io::Cursor::new(text.into_bytes()), Mapping::default())
                .unwrap();
        let mut planner = Planner::new("shop.csv");
        let mut jobs = Vec::new();
        for row in catalog {
            if let Row::Product(product) = row.unwrap() {
                jobs.extend(planner.jobs(&product));
            }
        }
        let sources = planner.sources();
        jobs.extend(sources.iter().map(|source| planner.upscale(source, None)));
        (jobs, sources)
    }

    fn catalog(rows: usize) -> String {
        let row = |n: usize| format!("SKU-{n},Lamp {n},https://images.example/{n}.jpg\n");
        "sku,product_name,image_url\n".to_owned() + &(0..rows).map(row).collect::<String>()
    }

    #[test]
    fn every_25th_image_is_enlarged_and_two_of_a_few() {
        for (rows, expected) in [
            (1, 1),
            (2, 2),
            (3, 2),
            (24, 2),
            (50, 2),
            (51, 3),
            (1_000, 40),
        ] {
            let (jobs, sources) = plan(catalog(rows));
            let productions = rows.min(PRODUCTIONS);
            assert_eq!(sources.len(), expected, "{rows} rows");
            assert_eq!(jobs.len(), 2 * rows + productions + expected, "{rows} rows");
        }
    }

    #[test]
    fn every_job_has_a_dedupe_key_of_its_own_and_gets_it_again() {
        let keys = |jobs: &[NewJob]| -> Vec<String> {
            jobs.iter()
                .map(|job| job.dedupe_key.clone().unwrap())
                .collect()
        };
        let first = keys(&plan(catalog(60)).0);
        let unique: HashSet<&String> = first.iter().collect();
        assert_eq!(unique.len(), first.len());
        assert_eq!(first, keys(&plan(catalog(60)).0));
    }

    #[test]
    fn products_that_share_an_id_stay_two_products() {
        let text = "sku,ean,product_name\nA,,Lamp\nA,,Chair\n,,Table\n";
        let ids: Vec<String> = plan(text.to_owned())
            .0
            .into_iter()
            .filter(|job| matches!(job.input, Some(Input::Description(_))))
            .filter_map(|job| job.client_product_id)
            .collect();
        assert_eq!(ids, ["A", "A#line-3", "line-4"]);
    }
}
