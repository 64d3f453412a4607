//! Histories that are about one thing: rows, accounts and happenings of their own.

use std::time::Duration;

use domain::{JobId, JobKind, Status};

use crate::checks::check;
use crate::faults::Chances;
use crate::rows;
use crate::world::{Outside, World};

fn id(kind: JobKind, id: i64) -> JobId {
    JobId { kind, id }
}

#[test]
fn rows_that_come_while_it_works_are_done_and_a_cancelled_one_is_never_sent() {
    let minute = Duration::from_secs(60);
    let summary = World::of(11)
        .rows(rows::some(2, 20, 0))
        .accounts(|accounts| accounts[1].policy.max_running = 2)
        .options(|options| options.webhook_attempts = 1)
        .at(
            Duration::from_secs(1),
            Outside::Command(id(JobKind::Image, 20), "cancel", None),
        )
        .at(minute, Outside::Insert(vec![rows::text(90)]))
        .at(
            minute,
            Outside::Provider(Box::new(|provider, _| {
                assert!(!provider.ledger().requests().is_empty(), "nothing was sent");
            })),
        )
        .end(Duration::from_secs(7_200))
        .play(Chances::none());
    check(&summary);
    assert_eq!(summary.rows(), 23);
    let cancelled = summary
        .jobs
        .iter()
        .find(|job| job.id == id(JobKind::Image, 20))
        .unwrap();
    assert_eq!(cancelled.work.status(), Status::Cancelled);
    assert_eq!(summary.completed(), 22);
    let sent = summary
        .remote
        .iter()
        .any(|remote| remote.text("prompt") == Some("prompt 19"));
    assert!(!sent, "a cancelled job was sent");
}
