//! Every class of request wants the same fifteen a minute at once: jobs in doubt, links that die, polls that webhooks
//! ask for, polls that are due, and submits. None of them starves: how long each waits is counted in slots, which
//! are the requests that others got meanwhile, in the provider's own book.

use std::time::Duration;

use sandbox::{FaultKind, FaultPlan, FaultRule, Provider, RequestEntry, Verb, When};

use crate::checks::check;
use crate::faults::{Chances, Faults};
use crate::rows;
use crate::summary::Summary;
use crate::world::World;

/// Submits are guaranteed 45 %, which makes (4 + 1) / 0.45 = 12 slots at the longest; the rest is what an unknown answer
/// costs them, after which they rest and then go one by one. Measured: 22.
const BETWEEN_SUBMITS: usize = 24;
/// While little is due, submits fill the places, but no more than a window has. Measured: 11.
const SUBMITS_IN_A_ROW: usize = 15;
/// From the end of a remote job that nobody claims, which a webhook tells, to its read. Measured: 3.
const DOUBT: usize = 4;
/// From a dead link to the next read of a fresh one. Links of jobs whose links died before wait longer. Measured: 11.
const LINK: usize = 12;

fn rule(verb: Option<Verb>, share: f64, kind: FaultKind) -> FaultRule {
    FaultRule {
        provider: Some(Provider::Productai),
        verb,
        when: When::Share(share),
        kind,
    }
}

/// A backlog of images. Some answers to submits are errors although the job was accepted, half of the webhooks are
/// lost, and a link lives hardly longer than its answer needs.
fn crowd(seed: u64) -> Summary {
    let rules = vec![
        rule(Some(Verb::Submit), 0.1, FaultKind::ErrorAfter(500)),
        rule(None, 0.5, FaultKind::LostWebhook),
    ];
    World::of(seed)
        .rows(rows::some(0, 60, 0))
        .faults(Faults {
            plan: FaultPlan { rules },
            ..Faults::none()
        })
        .webhooks()
        .options(|options| {
            options.productai.link_life_ms = 500;
            options.productai.error_share = 0.0;
            options.productai.instant_share = 0.0;
        })
        .end(Duration::from_secs(6 * 3_600))
        .play(Chances::none())
}

/// What ProductAI was asked, in order.
fn asked(summary: &Summary) -> Vec<&RequestEntry> {
    let requests = summary.limits.requests.iter();
    requests
        .filter(|entry| entry.provider == Provider::Productai)
        .collect()
}

/// The requests that others got between this moment and the first one of this kind after it.
fn slots_until(
    asked: &[&RequestEntry],
    from_ms: i64,
    is_it: impl Fn(&RequestEntry) -> bool,
) -> Option<usize> {
    let after = asked.iter().filter(|entry| entry.at_ms > from_ms);
    let mut after = after.peekable();
    after.peek()?;
    after.position(|entry| is_it(entry))
}

/// The longest row of requests that are of this kind, between the first read and the last submit.
fn longest_row(asked: &[&RequestEntry], is_it: impl Fn(&RequestEntry) -> bool) -> usize {
    // A file takes no place in the budget.
    let counted = asked.iter().filter(|entry| entry.verb != Verb::File);
    let asked: Vec<&RequestEntry> = counted.copied().collect();
    let last = asked.iter().rposition(|entry| entry.verb == Verb::Submit);
    // At first there is nothing to be read.
    let first = asked.iter().position(|entry| entry.verb != Verb::Submit);
    let before = &asked[first.unwrap()..=last.unwrap()];
    let rows = before.split(|entry| !is_it(entry));
    rows.map(<[_]>::len).max().unwrap()
}

/// Whether a request is about this remote job.
fn of(id: &str) -> impl Fn(&RequestEntry) -> bool + '_ {
    move |entry| entry.jobs.iter().any(|job| job == id)
}

/// The slots that jobs in doubt waited for their read, and those that dead links waited for theirs.
fn waits(summary: &Summary) -> (Vec<usize>, Vec<usize>) {
    let asked = asked(summary);
    let lost = asked.iter().filter(|entry| entry.fault.is_some());
    let lost: Vec<&str> = lost
        .flat_map(|entry| &entry.jobs)
        .map(String::as_str)
        .collect();
    let ended = |remote: &&sandbox::RemoteJob| lost.contains(&remote.id.as_str());
    let doubts = summary.remote.iter().filter(ended);
    let doubts = doubts.filter_map(|remote| slots_until(&asked, remote.end_ms, of(&remote.id)));
    let dead = |entry: &&RequestEntry| entry.verb == Verb::File && entry.status != 200;
    let dead = summary.limits.requests.iter().filter(dead);
    let again = |entry: &RequestEntry| entry.read_after_terminal;
    let links = dead.filter_map(|dead| slots_until(&asked, dead.at_ms, again));
    (doubts.collect(), links.collect())
}

#[test]
fn with_every_class_of_request_at_once_none_waits_longer_than_so_many_slots() {
    let (mut doubts, mut links, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 71..75 {
        let summary = crowd(seed);
        check(&summary);
        assert!(summary.busiest_minute <= 15);
        let asked = asked(&summary);
        let submits = longest_row(&asked, |entry| entry.verb == Verb::Submit);
        let others = longest_row(&asked, |entry| entry.verb != Verb::Submit);
        let (doubt, link) = waits(&summary);
        println!(
            "seed {seed}: {} requests, {submits} submits in a row, {others} others in a row; slots of doubts \
            {doubt:?}, of {} links up to {:?}",
            asked.len(),
            link.len(),
            link.iter().max()
        );
        rows.push((submits, others));
        doubts.extend(doubt);
        links.extend(link);
    }
    // All of them were there.
    assert!(doubts.len() >= 2 && links.len() >= 8);
    for (submits, others) in rows {
        assert!(submits <= SUBMITS_IN_A_ROW && others <= BETWEEN_SUBMITS);
    }
    assert!(doubts.iter().all(|slots| *slots <= DOUBT), "{doubts:?}");
    assert!(links.iter().all(|slots| *slots <= LINK), "{links:?}");
}
