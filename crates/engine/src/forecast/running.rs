//! What the jobs that run say about lengths: until which age each was heard not to be done. Those that ended are
//! the short ones while jobs of one time end one after the other; alone they promise too much.

use std::time::Duration;

use domain::forecast::Lasted;
use domain::{Curve, Lengths, Timestamp};
use store::Running;

use super::{Asked, Case, Known};
use crate::account::Account;
use crate::read::expected;

/// From when on jobs have to be counted that may have ended beside these: since nine tenths of them began. One
/// that never ends says nothing about the others.
#[must_use]
pub fn counted_beside(running: &[Running], now: Timestamp) -> Timestamp {
    let mut began: Vec<Timestamp> = running.iter().map(|one| one.submitted_at).collect();
    began.sort_unstable();
    began.get(began.len() / 10).copied().unwrap_or(now)
}

/// The jobs of an account that run.
pub(super) struct Alive<'a> {
    account: &'a Account,
    known: &'a Known,
    /// The last list of all that is done: what runs was not on it.
    listed_at: Option<Timestamp>,
    /// How many of the account's jobs ended since most of them began.
    ended: usize,
}

impl<'a> Alive<'a> {
    pub(super) fn of(account: &'a Account, known: &'a Known) -> Self {
        let sent = known.sent.iter();
        let sent = sent.filter(|sent| sent.account == account.name);
        let accepted = known.accepted_beside.iter();
        let accepted = accepted.filter(|row| row.account == account.name);
        let accepted: i64 = accepted.map(|row| row.jobs).sum();
        let mut alive = Self {
            account,
            known,
            listed_at: sent.filter_map(|sent| sent.exported_at).max(),
            ended: 0,
        };
        let ended = usize::try_from(accepted).unwrap_or_default();
        alive.ended = ended.saturating_sub(alive.jobs().count());
        alive
    }

    fn jobs(&self) -> impl Iterator<Item = &'a Running> {
        let name = &self.account.name;
        let running = self.known.running.iter();
        running.filter(move |running| running.account == *name)
    }

    /// The age at which it was not done; none if nobody asked.
    fn seen(&self, running: &Running) -> Duration {
        let heard = running.asked_at.max(self.listed_at);
        heard.map_or(Duration::ZERO, |at| at.since(running.submitted_at))
    }

    /// How long jobs of a kind take, and whether that was learned; `case` speaks where it was not.
    pub(super) fn curve(&self, operation: &str, model: &str, case: Case) -> (Curve, bool) {
        let found = self.known.lengths.iter().find(|row| {
            let kind = (
                row.account.as_str(),
                row.operation.as_str(),
                row.model.as_str(),
            );
            kind == (&self.account.name, operation, model) && row.lengths.seen() > 0
        });
        let of_kind = |running: &&Running| {
            let its = running.model.as_deref().unwrap_or_default();
            running.operation == operation && its == model
        };
        let ages = self
            .jobs()
            .filter(of_kind)
            .map(|running| self.seen(running));
        let ages: Vec<Duration> = ages.filter(|age| !age.is_zero()).collect();
        let curve = match found {
            Some(row) => row.lengths.curve_beside(&ages, self.ended),
            None => {
                let guess = Lengths::expecting(case.unlearned(expected(self.account)));
                guess.curve_beside(&ages, self.ended)
            }
        };
        (curve, found.is_some())
    }

    /// The kinds that run, as if they were asked for.
    pub(super) fn kinds(&self) -> Vec<Asked> {
        let mut kinds: Vec<Asked> = Vec::new();
        for one in self.jobs() {
            let same =
                |kind: &&mut Asked| (&kind.operation, &kind.model) == (&one.operation, &one.model);
            if let Some(kind) = kinds.iter_mut().find(same) {
                kind.jobs += 1;
                continue;
            }
            kinds.push(Asked {
                operation: one.operation.clone(),
                model: one.model.clone(),
                place: None,
                jobs: 1,
            });
        }
        kinds
    }

    /// How long each of them has lasted.
    pub(super) fn lasted(&self, now: Timestamp) -> Vec<Lasted> {
        let lasted = |running: &Running| Lasted {
            seen: self.seen(running),
            age: now.since(running.submitted_at),
        };
        self.jobs().map(lasted).collect()
    }
}
