//! The files of many jobs: a batch's, all in pages, and jobs that should have some.

use domain::SubmissionId;

use super::on_both;
use super::support::{Fresh, accepted, at, change, ended, image, planned, stored};
use crate::{Batch, DeliverableRow, FileShape, NewDeliverable, NewJob};

on_both!(the_files_of_a_batch_are_listed_and_a_job_without_its_file_is_found);

async fn finish(fresh: &Fresh, new: NewJob, files: i64) {
    fresh.store.insert_jobs(&[new]).await.unwrap();
    let job = fresh.newest(domain::JobKind::Image).await;
    let submission = format!("s-{}", job.id);
    let way = [
        planned(&submission),
        accepted(&submission, "r"),
        ended("done"),
    ];
    let job = fresh.advance(job, &way).await;
    let mut batch = Batch {
        jobs: vec![change(&job, &stored())],
        ..Batch::default()
    };
    for ordinal in 0..files {
        batch.deliverables.push(NewDeliverable {
            job: job.id,
            submission: SubmissionId(submission.clone()),
            r#type: "Image".to_owned(),
            ordinal,
            location: format!("file:///srv/{}-{ordinal}.png", job.id.id),
            content_type: "image/png".to_owned(),
            bytes: 9,
            sha256: "aa".to_owned(),
            captured_at: at(70),
            source_hash: "bb".to_owned(),
            quarantined: false,
            shape: FileShape {
                width: Some(640),
                height: Some(480),
                duration_ms: (ordinal > 0).then_some(1_500),
            },
        });
    }
    fresh.store.commit(batch).await.unwrap();
}

async fn the_files_of_a_batch_are_listed_and_a_job_without_its_file_is_found(fresh: Fresh) {
    let of = |batch: &str, n: u32| NewJob {
        batch: Some(batch.to_owned()),
        ..image(&format!("https://a.example/{n}"))
    };
    finish(&fresh, of("spring", 1), 2).await;
    finish(&fresh, of("summer", 2), 1).await;
    finish(&fresh, of("spring", 3), 0).await;
    let store = &fresh.store;
    let spring = store.files_of_batch("spring").await.unwrap();
    let shapes: Vec<FileShape> = spring.iter().map(|row| row.shape).collect();
    let shape = |duration_ms| FileShape {
        width: Some(640),
        height: Some(480),
        duration_ms,
    };
    assert_eq!(shapes, [shape(None), shape(Some(1_500))]);
    assert!(store.files_of_batch("autumn").await.unwrap().is_empty());
    let mut pages: Vec<Vec<DeliverableRow>> = Vec::new();
    let mut after = 0;
    loop {
        let page = store.files_after(after, 2).await.unwrap();
        let Some(last) = page.last() else {
            break;
        };
        after = last.id;
        pages.push(page);
    }
    let lengths: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(lengths, [2, 1]);
    let lacking = |batch: Option<&'static str>| store.completed_without_files(batch);
    assert_eq!(lacking(None).await.unwrap().len(), 1);
    assert_eq!(lacking(Some("spring")).await.unwrap().len(), 1);
    assert!(lacking(Some("summer")).await.unwrap().is_empty());
}
