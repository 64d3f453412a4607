//! Histories about batches: one whose jobs are refused again and again is paused and the others go on, and
//! many at once are served in turn.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Status;
use store::{Job, NewJob};

use crate::checks::check;
use crate::faults::Chances;
use crate::rows;
use crate::summary::Summary;
use crate::world::{Outside, World};

const HOUR: Duration = Duration::from_secs(3_600);

fn of(batch: &str, row: NewJob) -> NewJob {
    NewJob {
        batch: Some(batch.to_owned()),
        ..row
    }
}

/// A batch whose first rows are wrong, a batch of good rows, and wrong rows without a batch.
fn half_wrong(wrong: usize, good: usize) -> Vec<NewJob> {
    let poisoned = (0..wrong).map(|_| of("spring", rows::poisoned_text()));
    let own = |n: usize| NewJob {
        client_product_id: Some(format!("SKU-{n}")),
        ..rows::text(n)
    };
    let mut all: Vec<NewJob> = poisoned.collect();
    all.extend((0..good).map(|n| of("spring", own(n))));
    all.extend((good..2 * good).map(|n| of("summer", own(n))));
    all.extend((0..25).map(|_| rows::poisoned_text()));
    all
}

fn world(seed: u64, size: usize) -> crate::world::Builder {
    World::of(seed)
        .rows(half_wrong(50, 20))
        .options(|options| options.jakov.refused_name = Some(rows::POISON.to_owned()))
        .accounts(move |accounts| accounts[0].policy.batch_size = size)
}

fn count(summary: &Summary, batch: Option<&str>, status: Status) -> usize {
    let wanted = |job: &&Job| job.batch.as_deref() == batch && job.work.status() == status;
    summary.jobs.iter().filter(wanted).count()
}

#[test]
fn twenty_refusals_in_a_row_pause_a_batch_for_good_and_only_that() {
    for (size, chances) in [
        (1, Chances::none()),
        (4, Chances::none()),
        (10, Chances::none()),
        (1, Chances::crashes()),
    ] {
        let crashes = chances.rate > 0;
        let summary = world(51, size).end(HOUR * 12).play(chances);
        let doubts = count(&summary, Some("spring"), Status::InDoubt);
        let failed = count(&summary, Some("spring"), Status::Failed);
        let waiting = count(&summary, Some("spring"), Status::Pending);
        println!(
            "batches of {size}, {} crashes: {failed} failed, {waiting} wait, {doubts} in doubt",
            summary.crash_points()
        );
        // No job of it was on the wire that would have been the twenty-first.
        assert!(failed == 20 || crashes && failed < 25, "{failed} failed");
        // A refusal that nobody lived to hear is in doubt, and counts for nothing.
        assert!(crashes || doubts == 0, "{doubts} in doubt");
        assert_eq!(
            waiting,
            70 - failed - doubts,
            "{:#?}",
            summary.limits.refused
        );
        let paused = &summary.limits.refused;
        assert_eq!(paused.len(), 1, "{paused:#?}");
        assert_eq!(paused[0]["batch"], "spring", "{paused:#?}");
        assert!(paused[0]["paused_at"].is_string(), "{paused:#?}");
        let summer = count(&summary, Some("summer"), Status::Completed)
            + count(&summary, Some("summer"), Status::InDoubt);
        let left = summary.jobs.iter().filter(|job| {
            let done = [Status::Completed, Status::InDoubt].contains(&job.work.status());
            job.batch.as_deref() == Some("summer") && !done
        });
        assert_eq!(summer, 20, "{:#?}", left.collect::<Vec<_>>());
        let unlabelled = count(&summary, None, Status::Failed);
        assert!(unlabelled + count(&summary, None, Status::InDoubt) == 25);
    }
}

#[test]
fn a_paused_batch_goes_on_when_somebody_says_so_and_is_paused_again_if_nothing_was_mended() {
    for chances in [Chances::none(), Chances::crashes()] {
        let say = |batch: &'static str| Outside::AccountCommand("texts", "resume", Some(batch));
        let summary = world(52, 1)
            .at(HOUR, say("batch:summer"))
            .at(HOUR, say("batch:spring"))
            .at(HOUR * 2, say("batch:spring"))
            .play(chances);
        check(&summary);
        let (done, doubts) = (
            count(&summary, Some("spring"), Status::Completed),
            count(&summary, Some("spring"), Status::InDoubt),
        );
        assert_eq!(count(&summary, Some("spring"), Status::Pending), 0);
        assert!(
            done > 0 && done + doubts >= 20,
            "{done} done, {doubts} in doubt"
        );
        assert!(
            summary.limits.refused.is_empty(),
            "{:?}",
            summary.limits.refused
        );
        // As the provider saw it: twenty of them, the others, and twenty more after the first word.
        let hour = |n: u32| (crate::world::START + HOUR * n).as_millis();
        let within = |from: i64, to: i64| {
            let posts = summary.limits.requests.iter();
            let posts = posts.filter(|it| it.verb == sandbox::Verb::Submit);
            posts.filter(|it| (from..to).contains(&it.at_ms)).count()
        };
        let (first, second) = (within(hour(0), hour(1)), within(hour(1), hour(2)));
        println!("{first} POSTs before the first word, {second} before the second");
        // What was on the wire with the twentieth, and what was not heard.
        let more = 4 + usize::try_from(summary.crash_points()).unwrap();
        assert!((65..=65 + more).contains(&first), "{first}");
        assert!((20..=20 + more).contains(&second), "{second}");
    }
}

/// Jobs of three priorities over five batches of very different sizes, the largest first in the table;
/// `VITRINE_FAIR_JOBS` asks for ten thousand.
fn mixed() -> Vec<NewJob> {
    let asked = std::env::var("VITRINE_FAIR_JOBS").ok();
    let all: usize = asked.map_or(1_000, |text| text.parse().unwrap());
    let shares = [40, 30, 20, 7, 3];
    let mut rows = Vec::new();
    for (batch, share) in shares.into_iter().enumerate() {
        for n in 0..all * share / 100 {
            let priority = match n % 10 {
                0 => 9,
                1..4 => 5,
                _ => 0,
            };
            let row = rows::text(rows.len());
            rows.push(NewJob {
                priority,
                client_product_id: Some(format!("SKU-{}", rows.len())),
                ..of(&format!("batch {batch}"), row)
            });
        }
    }
    rows
}

/// Jobs in the order in which their submits were planned: the order of the timeline.
fn in_order(summary: &Summary) -> Vec<&Job> {
    let by_id: BTreeMap<i64, &Job> = summary.jobs.iter().map(|job| (job.id.id, job)).collect();
    let planned = summary
        .events
        .iter()
        .filter(|event| event["to_status"] == "submitting");
    planned
        .map(|event| by_id[&event["job_id"].as_i64().unwrap()])
        .collect()
}

/// For each batch of one priority: the most that one of its jobs waited, over what it would have waited had each
/// batch that still has jobs got the same number of slots (fair shares), both in jobs sent before it.
fn waits(sent: &[&Job], slack: usize) -> BTreeMap<String, f64> {
    let mut left = BTreeMap::<&str, usize>::new();
    for job in sent {
        *left.entry(job.batch.as_deref().unwrap()).or_default() += 1;
    }
    // The fair place of the n-th job of a batch: what all batches have sent when each has sent n.
    let fair = |n: usize| left.values().map(|size| n.min(*size)).sum::<usize>();
    let mut had = BTreeMap::<&str, usize>::new();
    let mut worst = BTreeMap::<String, f64>::new();
    for (place, job) in sent.iter().enumerate() {
        let batch = job.batch.as_deref().unwrap();
        let n = had.entry(batch).or_default();
        *n += 1;
        let ratio = (place + 1).saturating_sub(slack) as f64 / fair(*n) as f64;
        let known = worst.entry(batch.to_owned()).or_default();
        *known = known.max(ratio);
    }
    worst
}

#[test]
fn of_jobs_of_three_priorities_no_batch_waits_twice_its_fair_share() {
    const POST: usize = 2;
    let summary = World::of(53)
        .rows(mixed())
        .accounts(|accounts| {
            accounts[0].policy.batch_size = POST;
            accounts[0].policy.max_running = 200;
        })
        .play(Chances::none());
    check(&summary);
    let sent = in_order(&summary);
    let mut from = 0;
    for priority in [9, 5, 0] {
        let size = (sent.iter().filter(|job| job.priority == priority)).count();
        let of_it = &sent[from..from + size];
        let strangers = of_it.iter().filter(|job| job.priority != priority).count();
        // The last POST of a priority is filled up with the next one's.
        assert!(
            strangers < POST,
            "{strangers} others among those of {priority}"
        );
        let own: Vec<&Job> = of_it
            .iter()
            .copied()
            .filter(|job| job.priority == priority)
            .collect();
        for (batch, ratio) in waits(&own, POST) {
            println!("priority {priority}, {batch}: waits {ratio:.2} of its fair share at most");
            assert!(
                ratio <= 2.0,
                "{batch} waited {ratio:.2} times its fair share"
            );
        }
        from += size;
    }
}
