//! One read of a remote job that nobody claims: an ordinary request of the lane, counted in its budget, one
//! at a time, and once for each job.

use domain::{JobId, Timestamp};
use providers::{Call, Outcome, Refusal, Reply};
use store::LaneKey;

use super::fit::{Fit, Reading, Standing, Unclaimed, fit};
use crate::account::Account;
use crate::draft::Draft;
use crate::flight::Flight;
use crate::planner::Engine;
use crate::read::Ask;

/// Reads that told nothing before a remote job is left alone.
const TRIES: u32 = 5;

impl Engine {
    /// The next remote job of nobody to be read: for which job in doubt, and when.
    pub(crate) fn unclaimed_read(&self, key: &LaneKey) -> Option<(JobId, Timestamp)> {
        let lane = self.doubts.lanes.get(key)?;
        let (name, at) = lane.next_to_read()?;
        let found = lane.unclaimed.get(name)?;
        // What may be the result of a submit on the wire waits for its answer, which may tell.
        let for_whom = self
            .doubts_of(key)
            .into_iter()
            .filter(|doubt| doubt.standing != Standing::OnTheWire)
            .find(|doubt| fit(doubt, found) == Fit::Unread)?;
        Some((for_whom.job, at))
    }

    /// Sends that read, on behalf of `job`.
    pub(crate) fn plan_unclaimed_read(
        &mut self,
        key: &LaneKey,
        group: &str,
        job: JobId,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(account) = self.accounts_of(key).into_iter().next() else {
            return;
        };
        let lane = self.doubts.of(key);
        let Some(name) = lane.next_to_read().map(|(name, _)| name.to_owned()) else {
            return;
        };
        let Some(found) = lane.unclaimed.get_mut(&name) else {
            return;
        };
        let Reading::Wanted(_, failures) = found.read else {
            return;
        };
        found.read = Reading::Asked(failures);
        let remote_id = found.remote.remote_id.clone();
        let ask = Ask {
            account: &account,
            group,
            // Not `status`: it says nothing about the job that it serves.
            verb: "evidence",
            job: Some(job),
            call: Call::Status {
                remote_id: remote_id.clone(),
                location: None,
            },
        };
        let means = |places| Flight::Unclaimed {
            lane: key.clone(),
            account: account.name.clone(),
            remote_id,
            places,
        };
        self.ask(key, ask, means, now, draft);
    }

    /// What the read told.
    pub(crate) fn hear_unclaimed(
        &mut self,
        key: &LaneKey,
        account: &str,
        remote_id: &str,
        reply: &Reply,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(account) = self.accounts.get(account).cloned() else {
            return;
        };
        self.hear_feedback(key, &account, reply, None, false, at, draft);
        let lane = self.doubts.of(key);
        lane.has_news = true;
        let Some(found) = lane.unclaimed.get_mut(remote_id) else {
            return;
        };
        let gone = match &reply.outcome {
            Outcome::Status(remote) if remote.remote_id.eq_ignore_ascii_case(remote_id) => {
                found.read = Reading::Done;
                found.remote = (**remote).clone();
                Self::park_as_read(found, at, draft);
                None
            }
            // Whoever sent the webhook made it up, or the job is another key's.
            Outcome::Missing => Some("the provider does not know it"),
            outcome => {
                try_again(found, outcome, &account, at).then_some("nothing could be read about it")
            }
        };
        if let Some(why) = gone
            && let Some(found) = lane.unclaimed.remove(remote_id)
        {
            Self::settle_hook(&found, "ignored", why, at, draft);
        }
    }
}

/// A read that told nothing. Whether that was the last try; one that surely did not arrive is none.
fn try_again(found: &mut Unclaimed, outcome: &Outcome, account: &Account, at: Timestamp) -> bool {
    let Reading::Asked(failures) = found.read else {
        return false;
    };
    let is_none = matches!(
        outcome,
        Outcome::Refused(
            Refusal::NotSent { .. } | Refusal::RateLimited { .. } | Refusal::Unauthorized { .. }
        )
    );
    let failures = failures + u32::from(!is_none);
    let wait = account
        .timing
        .pause(failures)
        .max(account.polling.min_interval);
    found.read = Reading::Wanted(at + wait, failures);
    failures >= TRIES
}
