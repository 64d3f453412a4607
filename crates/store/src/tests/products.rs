//! What imports and exports ask about many products at once.

use domain::{JobKind, Status};

use super::on_both;
use super::support::{Fresh, accepted, description, ended, image, planned, production};
use crate::{NewJob, ResultFilter};

on_both!(products_are_asked_about_in_sets);

fn of(product: &str, key: &str, job: NewJob) -> NewJob {
    NewJob {
        client_product_id: Some(product.to_owned()),
        dedupe_key: Some(key.to_owned()),
        batch: Some("spring".to_owned()),
        ..job
    }
}

async fn products_are_asked_about_in_sets(fresh: Fresh) {
    let store = &fresh.store;
    let none = NewJob {
        dedupe_key: None,
        client_product_id: None,
        ..of("x", "x", description("96385074"))
    };
    let jobs = [
        of("a", "k1", description("4006381333931")),
        of("B", "k2", image("https://a.example/1.png")),
        of("c", "k3", production("shoes")),
        none,
    ];
    assert_eq!(store.insert_jobs(&jobs).await.unwrap(), 4);
    let words =
        |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let keys = store
        .known_keys(JobKind::Image, &words(&["k1", "k2", "k9"]))
        .await
        .unwrap();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["k2"]);
    let made = |kind| {
        let products = words(&["a", "B", "c"]);
        async move { store.products_with_jobs(kind, &products).await.unwrap() }
    };
    let pair = |product: &str, operation: &str| (product.to_owned(), operation.to_owned());
    assert_eq!(made(JobKind::Description).await, [pair("a", "")].into());
    assert_eq!(made(JobKind::Image).await, [pair("B", "generate")].into());

    let all = ResultFilter::default();
    assert_eq!(store.next_products("", &all, 2).await.unwrap(), ["B", "a"]);
    assert_eq!(store.next_products("a", &all, 2).await.unwrap(), ["c"]);
    assert_eq!(
        store
            .jobs_of_products(&words(&["c", "a"]), &all)
            .await
            .unwrap()
            .len(),
        2
    );
    let unnamed = store
        .jobs_of_no_product(JobKind::Description, 0, &all, 9)
        .await
        .unwrap();
    assert_eq!(unnamed.len(), 1);

    // Only what is in some state, and what ended since the last look.
    let seen = store.last_event().await.unwrap();
    let job = fresh.newest(JobKind::Image).await;
    let job = fresh
        .advance(job, &[planned("s1"), accepted("s1", "r1"), ended("done")])
        .await;
    assert_eq!(job.work.status(), Status::Capturing);
    let since = |after_event| ResultFilter {
        batch: Some("spring".to_owned()),
        status: Some(Status::Capturing),
        after_event,
        ..ResultFilter::default()
    };
    // The helper writes no event; without a number the row counts.
    assert_eq!(store.next_products("", &since(0), 9).await.unwrap(), ["B"]);
    assert_eq!(
        store.next_products("", &since(seen + 1), 9).await.unwrap(),
        Vec::<String>::new()
    );
}
