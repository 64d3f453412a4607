//! The jobs that products become, and the names of files.

use std::collections::BTreeSet;
use std::io::Cursor;

use catalog::{Product, Row, Template};
use domain::Input;
use store::NewJob;

use super::*;

fn products(text: &str) -> (Vec<Product>, Vec<String>) {
    let catalog = Catalog::from_reader(Cursor::new(text.to_owned()), Mapping::default()).unwrap();
    let header = catalog.header().to_vec();
    let products = catalog.filter_map(|row| match row.unwrap() {
        Row::Product(product) => Some(*product),
        Row::Part(_) | Row::Rejected(_) => None,
    });
    (products.collect(), header)
}

fn order(task: Task) -> Order<'static> {
    Order {
        task,
        account: None,
        named: None,
        batch: "spring",
        priority: 3,
    }
}

fn image(prompt: &str, model: Option<&str>) -> Order<'static> {
    order(Task::Image {
        prompt: Template::parse(prompt).unwrap(),
        model: model.map(str::to_owned),
    })
}

#[test]
fn a_product_becomes_the_jobs_that_were_asked_for() {
    let (products, header) = products(
        "sku,ean,name,brand,image\nA,4006381333931,Lamp,Oakmere,https://a.example/1.jpg\n",
    );
    let job = |order: &Order<'_>| order.job(&products[0], &header).unwrap();
    let described = job(&order(Task::Describe));
    assert_eq!(described.client_product_id.as_deref(), Some("A"));
    assert_eq!(
        (described.batch.as_deref(), described.priority),
        (Some("spring"), 3)
    );
    assert_eq!(
        described.dedupe_key.as_deref(),
        Some("import:spring:description:A")
    );
    assert!(matches!(&described.input, Some(Input::Description(row)) if row.ean.is_some()));
    let Some(Input::Image(made)) = job(&image("{title} by {brand}", None)).input else {
        panic!()
    };
    assert_eq!(made.prompt.as_deref(), Some("Lamp by Oakmere"));
    let Some(Input::Image(larger)) = job(&order(Task::Upscale)).input else {
        panic!()
    };
    assert_eq!(
        (larger.operation.as_str(), larger.prompt),
        ("upscale", None)
    );
    let topic = Template::parse("Why {title}?").unwrap();
    let Some(Input::Production(film)) = job(&order(Task::Video { topic })).input else {
        panic!()
    };
    assert_eq!(film.topic, "Why Lamp?");
}

#[test]
fn another_template_or_model_is_another_job_and_the_same_is_not() {
    let (products, header) = products(
        "sku,name,image\nA,Lamp,https://a.example/1.jpg\nB,Chair,https://a.example/2.jpg\n",
    );
    let orders = [
        image("{title}", None),
        image("{title}!", None),
        image("{title}", Some("seedream")),
        order(Task::Upscale),
        order(Task::Describe),
    ];
    let keys = || -> Vec<String> {
        let jobs = products.iter().flat_map(|product| {
            orders
                .iter()
                .map(|order| order.job(product, &header).unwrap())
        });
        jobs.filter_map(|job: NewJob| job.dedupe_key).collect()
    };
    assert_eq!(keys().into_iter().collect::<BTreeSet<_>>().len(), 10);
    assert_eq!(keys(), keys());
}

#[test]
fn without_an_image_there_is_nothing_to_begin_with() {
    let (products, header) = products("sku,name\nA,Lamp\n");
    let problem = image("{title}", None)
        .job(&products[0], &header)
        .unwrap_err();
    assert_eq!(problem.code, "no_image");
    assert!(order(Task::Describe).job(&products[0], &header).is_ok());
}

#[test]
fn rejected_rows_keep_the_batch_of_their_file_and_never_overwrite_what_is_read() {
    assert_eq!(batch_of(Path::new("/shop/spring 26.csv")), "spring 26");
    assert_eq!(batch_of(Path::new("spring.rejected.csv")), "spring");
    assert_eq!(batch_of(Path::new("spring.rejected-2.csv")), "spring");
    assert_eq!(
        rejects_of(Path::new("a/feed.xml"), &[]),
        Path::new("feed.rejected.jsonl")
    );
    let read = [PathBuf::from("spring.rejected.csv")];
    assert_eq!(
        rejects_of(&read[0], &read),
        Path::new("spring.rejected-2.csv")
    );
}
