//! The books: what a cap lets through, and what it holds back.

use std::collections::BTreeSet;

use domain::spend::OverCap;
use domain::{CapKind, Caps, ImageInput, Input, JobKind, JobState, Work};
use store::Job;

use super::*;
use crate::submit::untouched;

const NOON: &str = "2026-11-30T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn money(caps: Caps) -> Money {
    let mut book = Book {
        caps,
        ..Book::default()
    };
    book.batches.insert("spring".to_owned(), 0);
    Money {
        books: [("shots".to_owned(), book)].into(),
        ..Money::default()
    }
}

fn open(id: i64, price: i64) -> OpenJob {
    let submission = SubmissionId(format!("s{id}"));
    let now = at(NOON);
    let job = Job {
        id: JobId::new(JobKind::Image, id),
        account: None,
        taken_by: None,
        client_product_id: None,
        batch: Some("spring".to_owned()),
        priority: 0,
        run_at: None,
        not_before: None,
        created_at: now,
        updated_at: now,
        version: 1,
        input: Input::Image(ImageInput::default()),
        work: Work {
            state: JobState::Submitting {
                submission: submission.clone(),
            },
            attempt: 1,
            max_attempts: 3,
            credits: Some(price),
            cancel: None,
            submitted_at: Some(now),
            completed_at: None,
        },
        warning: None,
        description: None,
        result_url: None,
    };
    OpenJob::new(job, "shots".to_owned(), submission, now)
}

fn settled(money: &mut Money, open: &OpenJob, outcome: Outcome, credits: Option<i64>, ended: bool) {
    let mut change = untouched(&open.submission, open.id(), outcome, at(NOON));
    change.credits = credits;
    change.ended = ended;
    money.settle(std::iter::once(&change));
}

fn taken(money: &Money, now: &str) -> (i64, i64, Option<i64>) {
    let taken = money.books["shots"].taken(Some("spring"), at(now));
    (taken.today, taken.this_month, taken.by_batch)
}

const CAPS: Caps = Caps {
    per_day: Some(10),
    per_month: Some(30),
    per_batch: Some(20),
};

#[test]
fn what_is_planned_is_taken_until_it_is_surely_refused() {
    let mut money = money(CAPS);
    let jobs: Vec<OpenJob> = (1..=3).map(|id| open(id, 3)).collect();
    for job in &jobs {
        money.reserve(job, at(NOON));
    }
    assert_eq!(taken(&money, NOON), (9, 9, Some(9)));
    let over = OverCap {
        cap: CapKind::PerDay,
        limit: 10,
        taken: 9,
    };
    let refused = money.refuses("shots", Some(3), Some("spring"), at(NOON));
    assert_eq!(refused, Some(Refusal::Over(over)));
    settled(&mut money, &jobs[0], Outcome::Unknown, None, false);
    settled(&mut money, &jobs[1], Outcome::Accepted, Some(3), false);
    assert_eq!(taken(&money, NOON), (9, 9, Some(9)));
    settled(&mut money, &jobs[2], Outcome::Refused, None, true);
    assert_eq!(taken(&money, NOON), (6, 6, Some(6)));
    // The second word about the same submission changes nothing.
    settled(&mut money, &jobs[2], Outcome::Refused, None, true);
    assert_eq!(taken(&money, NOON), (6, 6, Some(6)));
    // An intent that was not written never was.
    money.reserve(&open(4, 2), at(NOON));
    money.give_back(&open(4, 2));
    assert_eq!(taken(&money, NOON), (6, 6, Some(6)));
}

#[test]
fn a_charge_above_the_estimate_counts_and_one_in_doubt_may_be_refused_later() {
    let mut money = money(CAPS);
    let (dear, lost) = (open(1, 3), open(2, 3));
    money.reserve(&dear, at(NOON));
    money.reserve(&lost, at(NOON));
    settled(&mut money, &dear, Outcome::Accepted, Some(3), false);
    settled(&mut money, &dear, Outcome::Accepted, Some(9), false);
    assert_eq!(taken(&money, NOON), (12, 12, Some(12)));
    settled(&mut money, &lost, Outcome::Unknown, None, false);
    money.holding.insert("shots".to_owned());
    settled(&mut money, &lost, Outcome::Refused, None, true);
    assert_eq!(taken(&money, NOON), (9, 9, Some(9)));
    assert!(money.is_rechecking("shots"), "held rows may fit now");
}

#[test]
fn windows_end_and_batches_do_not() {
    let mut money = money(CAPS);
    money.reserve(&open(1, 9), at(NOON));
    assert_eq!(taken(&money, "2026-11-30T23:59:59.999Z"), (9, 9, Some(9)));
    assert_eq!(taken(&money, "2026-12-01T00:00:00Z"), (0, 0, Some(9)));
    // A clock that is set back frees nothing.
    assert_eq!(taken(&money, "2026-11-29T12:00:00Z"), (9, 9, Some(9)));
}

#[test]
fn an_unknown_price_is_refused_under_a_cap_and_so_is_a_batch_that_is_not_known() {
    let money = money(CAPS);
    let refuses = |price, batch| money.refuses("shots", price, batch, at(NOON));
    assert_eq!(refuses(None, None), Some(Refusal::PriceUnknown));
    assert!(refuses(Some(1), Some("unread")).is_some());
    assert_eq!(refuses(Some(1), Some("spring")), None);
    assert_eq!(money.refuses("free", None, None, at(NOON)), None);
}

#[test]
fn people_are_warned_once_for_each_window() {
    let mut book = Book {
        caps: Caps {
            per_day: Some(10),
            ..Caps::default()
        },
        ..Book::default()
    };
    let told = |book: &mut Book, now: &str| book.newly_full(None, at(now)).len();
    book.add(at(NOON).utc_day(), None, 7);
    assert_eq!(told(&mut book, NOON), 0);
    book.add(at(NOON).utc_day(), None, 1);
    assert_eq!(told(&mut book, NOON), 1);
    book.add(at(NOON).utc_day(), None, 2);
    assert_eq!(told(&mut book, NOON), 0);
    let next = "2026-12-01T12:00:00Z";
    assert_eq!(told(&mut book, next), 0);
    book.add(at(next).utc_day(), None, 10);
    assert_eq!(told(&mut book, next), 1);
}

#[test]
fn what_another_process_has_is_forgotten() {
    let mut money = money(CAPS);
    money.reserve(&open(1, 3), at(NOON));
    money.forget(&["shots".to_owned()]);
    assert!(money.books.is_empty() && money.entries.is_empty());
    let none: BTreeSet<String> = BTreeSet::new();
    assert_eq!(money.holding, none);
}
