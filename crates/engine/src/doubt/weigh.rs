//! Who fits whom, and whether that decides. One remote job, one submission, nothing in the way: adopted.
//! All else is held, with the reason.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{Event, Input, Provider, Status, Timestamp};
use providers::RemoteJob;
use serde_json::json;
use store::planted::{self, Bug};
use store::{LaneKey, Outcome as Fate, StoreError, SubmissionRow};

use super::fit::{Doubt, Fit, Source, Standing, Unclaimed, differs, fit, prompt_of};
use super::told::candidate;
use super::unclaimed::{LATELY, place_of};
use crate::draft::Draft;
use crate::planner::{Engine, Wake};
use crate::submit::untouched;

/// How often it is looked whether what another key has in doubt is over.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What the evidence says about one submission.
#[derive(Debug)]
pub(super) enum Weighed {
    /// Nothing fits.
    Nothing,
    /// Something fits, and more may come: an answer, a read, or just time, until this moment.
    Wait(Option<Timestamp>),
    /// This one, unless somebody else does the same.
    Only(usize, Fit),
    /// These, and why none of them is taken.
    Held(Vec<usize>, String),
}

/// Who fits whom, by place in the two lists.
#[derive(Debug)]
pub(super) struct Table<'a> {
    doubts: &'a [Doubt],
    /// Of each doubt, what fits it.
    fitting: Vec<Vec<(usize, Fit)>>,
    /// Of each remote job, whom it fits.
    claimants: Vec<Vec<usize>>,
    /// Of each remote job, whether it may be the result of a submit that is on the wire.
    may_be_answered: Vec<bool>,
}

impl<'a> Table<'a> {
    /// Compares all with all.
    pub(super) fn of(doubts: &'a [Doubt], found: &[(String, Unclaimed)]) -> Self {
        let mut claimants = vec![Vec::new(); found.len()];
        let mut may_be_answered = vec![false; found.len()];
        let mut fitting = Vec::with_capacity(doubts.len());
        for (place, doubt) in doubts.iter().enumerate() {
            let mut fits = Vec::new();
            let columns = claimants.iter_mut().zip(&mut may_be_answered).zip(found);
            for (at, ((claims, is_sent), (_, one))) in columns.enumerate() {
                let how = fit(doubt, one);
                if how != Fit::No {
                    fits.push((at, how));
                    claims.push(place);
                    *is_sent |= doubt.standing == Standing::OnTheWire;
                }
            }
            fitting.push(fits);
        }
        Self {
            doubts,
            fitting,
            claimants,
            may_be_answered,
        }
    }

    /// The submission at `place`, with all that nobody claims, and with who else could claim it.
    pub(super) fn weigh(&self, place: usize, now: Timestamp) -> Weighed {
        let (Some(doubt), Some(fitting)) = (self.doubts.get(place), self.fitting.get(place)) else {
            return Weighed::Nothing;
        };
        let is_sent = |at: usize| self.may_be_answered.get(at).copied().unwrap_or_default();
        if fitting
            .iter()
            .any(|(at, how)| *how == Fit::Unread || is_sent(*at))
        {
            return Weighed::Wait(None);
        }
        let places = || fitting.iter().map(|(at, _)| *at).collect();
        let [(at, how)] = fitting.as_slice() else {
            return if fitting.is_empty() {
                Weighed::Nothing
            } else {
                let why = format!("{} remote jobs fit, and it is one at most", fitting.len());
                Weighed::Held(places(), why)
            };
        };
        let claimants = self
            .claimants
            .get(*at)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let rival = claimants.iter().find(|other| **other != place);
        if let Some(rival) = rival.and_then(|rival| self.doubts.get(*rival)) {
            let why = match claimants.len() - 1 {
                1 => format!("it may be {} as well", rival.job),
                more => format!("{more} other jobs may be it as well, such as {}", rival.job),
            };
            return Weighed::Held(places(), why);
        }
        match how {
            Fit::Reference => Weighed::Only(*at, *how),
            Fit::Inputs | Fit::Time if now < doubt.closes_at => {
                Weighed::Wait(Some(doubt.closes_at))
            }
            Fit::Inputs | Fit::Time => Weighed::Only(*at, *how),
            Fit::No | Fit::Unread | Fit::Weak => {
                let why = "nothing that it shows tells whose it is".to_owned();
                Weighed::Held(places(), why)
            }
        }
    }
}

/// Why a fit counts, for the ledger.
fn reason(how: Fit, found: &Unclaimed, provider: Provider) -> String {
    match (how, found.source, provider) {
        (Fit::Reference, Source::Export, _) => {
            "proven by the export, which carries its clientProductId".to_owned()
        }
        (Fit::Reference, Source::Webhook, _) => {
            "proven by a webhook, which carries its clientProductId".to_owned()
        }
        (Fit::Inputs, _, Provider::Productai) => {
            "proven by a webhook and a read: the one job of its time that shows its prompt"
                .to_owned()
        }
        _ => "proven by a webhook: the one production that was queued in its time".to_owned(),
    }
}

impl Engine {
    /// Decides where the evidence is one-to-one; else writes down what was seen.
    pub(crate) async fn weigh_evidence(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        let keys: Vec<LaneKey> = self.doubts.lanes.keys().cloned().collect();
        for key in keys {
            let lane = self.doubts.of(&key);
            let is_due = lane.has_news || lane.weigh_at.is_some_and(|at| at <= now);
            if is_due {
                lane.has_news = false;
                lane.weigh_at = None;
                self.weigh_lane(&key, now, draft).await?;
            }
            if let Some(at) = self.doubts.of(&key).weigh_at {
                wake.at(at);
            }
        }
        Ok(())
    }

    async fn weigh_lane(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let nobody = |doubts: &[Doubt]| doubts.iter().all(|d| d.standing != Standing::InDoubt);
        if self.doubts.of(key).unclaimed.is_empty() && nobody(&self.doubts_of(key)) {
            return Ok(());
        }
        self.drop_claimed(key, now, draft).await?;
        let doubts = self.doubts_of(key);
        self.drop_strangers(key, &doubts, now, draft);
        let found = std::mem::take(&mut self.doubts.of(key).unclaimed);
        let found: Vec<(String, Unclaimed)> = found.into_iter().collect();
        let table = Table::of(&doubts, &found);
        let mut claimed = Vec::new();
        for (place, doubt) in doubts.iter().enumerate() {
            if doubt.standing == Standing::OnTheWire {
                continue;
            }
            let (only, held) = match table.weigh(place, now) {
                Weighed::Nothing => {
                    self.nothing_fits(key, doubt, now, draft);
                    continue;
                }
                Weighed::Wait(until) => {
                    self.weigh_again(key, until);
                    continue;
                }
                Weighed::Only(at, how) => match self.in_the_way(key, doubt, how, now).await? {
                    Some(why) => (None, (vec![at], why)),
                    None => (
                        found.get(at).map(|(_, one)| (at, one, how)),
                        Default::default(),
                    ),
                },
                Weighed::Held(places, why) => (None, (places, why)),
            };
            match only {
                Some((at, one, how)) => {
                    let is_claimed = self.claim(key, doubt, one, how, now, draft).await?;
                    claimed.extend(is_claimed.then_some(at));
                }
                None if doubt.standing == Standing::InDoubt => {
                    let (places, why) = held;
                    let one = |at: usize| found.get(at).map(|(_, one)| one);
                    let candidates = || places.iter().filter_map(|at| one(*at)).collect();
                    let told = (why.as_str(), places.len());
                    self.tell_candidates(key, doubt.job, told, candidates, now, draft);
                }
                None => {}
            }
        }
        let left = found.into_iter().enumerate();
        let left = left
            .filter(|(at, _)| !claimed.contains(at))
            .map(|(_, one)| one);
        self.doubts.of(key).unclaimed.extend(left);
        Ok(())
    }

    fn weigh_again(&mut self, key: &LaneKey, at: Option<Timestamp>) {
        let lane = self.doubts.of(key);
        lane.weigh_at = match (lane.weigh_at, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// What the ledger knows by now is somebody's.
    async fn drop_claimed(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let ids: Vec<String> = self
            .doubts
            .of(key)
            .unclaimed
            .values()
            .map(|found| found.remote.remote_id.clone())
            .filter(|id| !id.is_empty())
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let Some(kind) = self.accounts_of(key).first().map(|a| a.provider.kind()) else {
            return Ok(());
        };
        let rows = self.store.submissions_of_remotes(kind, &ids).await?;
        let mut claimed: Vec<(String, String)> = Vec::new();
        for row in rows {
            if self.is_refuted(&row) {
                continue;
            }
            let lane = self.doubts.of(key);
            lane.past
                .retain(|past| (&past.submission, past.job) != (&row.id, row.job));
            claimed.extend(row.remote_id.map(|id| (id, row.job.to_string())));
        }
        // Accepted in this very step, and not in the ledger yet.
        let wanted: BTreeSet<&String> = ids.iter().collect();
        let open = self.open.values().filter_map(|open| {
            let id = open.remote_id()?.to_owned();
            wanted.contains(&id).then(|| (id, open.id().to_string()))
        });
        claimed.extend(open);
        let lane = self.doubts.of(key);
        for (id, job) in claimed {
            if let Some(found) = lane.unclaimed.remove(&id) {
                Self::settle_hook(&found, "done", &format!("it is {job}"), now, draft);
            }
        }
        Ok(())
    }

    /// Whether a read showed that this row's remote job is another's: its job is in doubt over it, and the
    /// remote job is nobody's again.
    fn is_refuted(&self, row: &SubmissionRow) -> bool {
        self.open.get(&row.job).is_some_and(|open| {
            open.submission == row.id && open.job.work.status() == Status::InDoubt
        })
    }

    /// What fits nothing that is open or unknown is a stranger's.
    fn drop_strangers(
        &mut self,
        key: &LaneKey,
        doubts: &[Doubt],
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let lane = self.doubts.of(key);
        let strangers: Vec<String> = lane
            .unclaimed
            .iter()
            .filter(|(_, found)| doubts.iter().all(|doubt| fit(doubt, found) == Fit::No))
            .map(|(name, _)| name.clone())
            .collect();
        for name in strangers {
            if let Some(found) = lane.unclaimed.remove(&name) {
                let why = "no job of ours is in doubt that it could be";
                Self::settle_hook(&found, "ignored", why, now, draft);
                let RemoteJob {
                    remote_id, prompt, ..
                } = &found.remote;
                lane.remember_stranger(remote_id, prompt.as_deref(), found.heard_at);
            }
        }
    }

    fn nothing_fits(&mut self, key: &LaneKey, doubt: &Doubt, now: Timestamp, draft: &mut Draft) {
        if doubt.standing != Standing::InDoubt {
            return;
        }
        let by_export = doubt.job.kind.provider() == Provider::Jakov;
        let looked = self
            .open
            .get(&doubt.job)
            .and_then(|open| open.looked.last_at);
        if by_export && looked.is_none() {
            return;
        }
        if by_export && planted::has(Bug::ShortExportIsWhole) {
            if let Some(open) = self.open.get_mut(&doubt.job) {
                let event = Event::Resolved(domain::Resolution::Resubmit);
                draft.apply(open, &event, key, now);
            }
            self.close_if_over(key, doubt.job, now, draft);
            return;
        }
        if !by_export && now < doubt.closes_at {
            self.weigh_again(key, Some(doubt.closes_at));
            return;
        }
        self.tell_nothing(key, doubt.job, now, draft);
    }

    /// What an input or a moment alone does not rule out: another row that asks for the same, and a foreign
    /// client that does the same.
    async fn in_the_way(
        &mut self,
        key: &LaneKey,
        doubt: &Doubt,
        how: Fit,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let strangers = &self.doubts.of(key).strangers;
        match (&doubt.input, how) {
            (_, Fit::Reference) => Ok(None),
            (Input::Image(input), Fit::Inputs) => {
                let Some(prompt) = prompt_of(input) else {
                    return Ok(Some("it has no prompt".to_owned()));
                };
                if strangers
                    .iter()
                    .any(|one| one.prompt.as_deref() == Some(prompt))
                {
                    let why = "another client of this key asks for the same prompt";
                    return Ok(Some(why.to_owned()));
                }
                let same = self.store.jobs_with_prompt(prompt).await?;
                let other = same.into_iter().find(|job| *job != doubt.job);
                Ok(other.map(|other| format!("{other} asks for the same prompt")))
            }
            _ => {
                let lately = doubt.planned_at.before(LATELY);
                let stranger = strangers.iter().find(|one| one.at >= lately);
                if let Some(one) = stranger {
                    let id = &one.remote_id;
                    let why = format!("another client of this key makes productions ({id})");
                    return Ok(Some(why));
                }
                self.rival_of_another_key(key, doubt, now).await
            }
        }
    }

    /// A job that another key of ours sent in this time, and of which nobody knows either: a provider may
    /// tell of both at one address.
    async fn rival_of_another_key(
        &mut self,
        key: &LaneKey,
        doubt: &Doubt,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let span = doubt.closes_at.since(doubt.planned_at);
        let time = (doubt.planned_at.before(span), doubt.closes_at);
        let rivals = self.store.doubts_of_others(doubt.job.kind, key, time);
        let rivals = self.store.jobs(&rivals.await?).await?;
        let rival = rivals.iter().find(|rival| {
            let account = rival.taken_by.as_ref();
            let account = account.and_then(|name| self.accounts.get(name));
            let place = account.and_then(|account| place_of(&rival.input, account));
            rival.id != doubt.job && !differs(&doubt.place, &place)
        });
        if rival.is_some() {
            // Nothing of this lane will tell that the other doubt is over.
            self.weigh_again(key, Some(now + LOOK_AGAIN));
        }
        Ok(rival.map(|rival| format!("it may be {} of another key as well", rival.id)))
    }

    /// The evidence is one-to-one. Whether the remote job is somebody's now.
    async fn claim(
        &mut self,
        key: &LaneKey,
        doubt: &Doubt,
        found: &Unclaimed,
        how: Fit,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<bool, StoreError> {
        let reason = reason(how, found, doubt.job.kind.provider());
        if doubt.standing == Standing::Past {
            self.book_late(key, doubt, found, reason, now, draft)
                .await?;
            return Ok(false);
        }
        let adopted = self.adopt(key, doubt, found, reason, now, draft);
        if adopted {
            Self::settle_hook(found, "done", &format!("it is {}", doubt.job), now, draft);
        }
        Ok(adopted)
    }

    fn adopt(
        &mut self,
        key: &LaneKey,
        doubt: &Doubt,
        found: &Unclaimed,
        reason: String,
        now: Timestamp,
        draft: &mut Draft,
    ) -> bool {
        let job = doubt.job;
        let Some(open) = self.open.get_mut(&job) else {
            return false;
        };
        let Some(account) = self.accounts.get(&open.account).cloned() else {
            return false;
        };
        let remote = &found.remote;
        let status = Some(remote.status.clone()).filter(|status| !status.is_empty());
        let detail = json!({
            "remote_id": remote.remote_id,
            "remote_status": status,
            "why": reason,
            "evidence": candidate(found),
        });
        let event = Event::Accepted {
            submission: open.submission.clone(),
            remote_id: remote.remote_id.clone(),
            status,
        };
        if !draft.apply_as(open, &event, (event.name(), detail), key, now) {
            return false;
        }
        tracing::info!(job.id = %job, remote.id = remote.remote_id, "{reason}");
        open.fate = Fate::Accepted;
        let mut change = untouched(&open.submission, job, Fate::Accepted, now);
        change.remote_id = Some(remote.remote_id.clone());
        change.reason = Some(reason);
        change.credits = open.job.work.credits;
        if planted::has(Bug::CostBookedTwice) {
            change.credits = change.credits.map(|credits| credits * 2);
        }
        draft.outcome(change);
        self.see_remote(key, &account, job, remote, now, draft);
        if let Some(open) = self.open.get_mut(&job) {
            open.floor = open.next_read;
        }
        self.close_if_over(key, job, now, draft);
        true
    }
}
