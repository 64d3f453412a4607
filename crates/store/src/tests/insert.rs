//! Jobs inserted in sets.

use super::on_both;
use super::support::{Fresh, at, description, image, production, refused};
use crate::{JobFilter, NewJob};

on_both!(
    every_column_of_a_new_job_reads_back,
    a_dedupe_key_inserts_once,
    a_conflict_may_be_named_by_its_column,
    one_bad_row_refuses_the_whole_set,
    large_sets_keep_their_order,
);

async fn every_column_of_a_new_job_reads_back(fresh: Fresh) {
    let full = |job: NewJob| NewJob {
        account: Some("a".to_owned()),
        client_product_id: Some("SKU-1".to_owned()),
        batch: Some("spring".to_owned()),
        priority: -3,
        run_at: Some(at(5)),
        ..job
    };
    for new in [
        full(description("802")),
        full(image("https://a.example/1.png")),
        full(production("shoes")),
    ] {
        assert_eq!(
            fresh
                .store
                .insert_jobs(std::slice::from_ref(&new))
                .await
                .unwrap(),
            1
        );
        let input = new.input.clone().unwrap();
        let job = fresh.newest(input.kind()).await;
        assert_eq!(job.input, input);
        assert_eq!(job.account, new.account);
        assert_eq!(job.client_product_id, new.client_product_id);
        assert_eq!(
            (job.batch, job.priority, job.run_at),
            (new.batch, -3, Some(at(5)))
        );
        assert_eq!((job.version, job.work), (1, domain::Work::fresh(5)));
        assert_eq!(job.created_at, job.updated_at);
    }
}

async fn a_dedupe_key_inserts_once(fresh: Fresh) {
    let keyed = |ean: &str, key: &str| NewJob {
        dedupe_key: Some(key.to_owned()),
        ..description(ean)
    };
    let jobs = [keyed("1", "k1"), keyed("2", "k2"), keyed("3", "k1")];
    assert_eq!(fresh.store.insert_jobs(&jobs).await.unwrap(), 2);
    assert_eq!(fresh.store.insert_jobs(&jobs).await.unwrap(), 0);
    assert_eq!(
        fresh.store.insert_jobs(&[keyed("4", "k4")]).await.unwrap(),
        1
    );
}

async fn one_bad_row_refuses_the_whole_set(fresh: Fresh) {
    let name = refused(
        fresh
            .store
            .insert_jobs(&[description("1"), description(" ")])
            .await,
    );
    assert_eq!(name, "descriptions_need_ean_or_product_name");
    let all = JobFilter {
        limit: 10,
        ..JobFilter::default()
    };
    assert!(fresh.store.list_jobs(&all).await.unwrap().is_empty());
    refused(fresh.store.insert_jobs(&[NewJob::default()]).await);
}

async fn large_sets_keep_their_order(fresh: Fresh) {
    let jobs: Vec<NewJob> = (0..4_500)
        .map(|number| description(&number.to_string()))
        .collect();
    assert_eq!(fresh.store.insert_jobs(&jobs).await.unwrap(), 4_500);
    let all = JobFilter {
        limit: 5_000,
        ..JobFilter::default()
    };
    let listed = fresh.store.list_jobs(&all).await.unwrap();
    assert!(
        listed
            .iter()
            .zip(&jobs)
            .all(|(job, new)| Some(&job.input) == new.input.as_ref())
    );
}

/// The form that most libraries write.
async fn a_conflict_may_be_named_by_its_column(fresh: Fresh) {
    let mut stranger = fresh.stranger().await;
    for sql in [
        "insert into descriptions (ean, dedupe_key) values ('1', 'k')",
        "insert into image_generations (model, image_url, prompt, dedupe_key) \
         values ('nanobanana', 'https://a.example/1.png', 'x', 'k')",
        "insert into productions (topic, dedupe_key) values ('x', 'k')",
    ] {
        let sql = format!("{sql} on conflict (dedupe_key) do nothing");
        assert_eq!(stranger.run(&sql).await, Ok(1));
        assert_eq!(stranger.run(&sql).await, Ok(0));
    }
}
