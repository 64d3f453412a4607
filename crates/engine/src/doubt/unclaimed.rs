//! What is remembered of a lane while something is in doubt: remote jobs that no ledger row knows, and
//! submissions that were given up before anybody knew.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::{Input, JobId, Provider, Status, Timestamp};
use store::{LaneKey, StoreError, SubmissionRow};

use super::fit::{Doubt, Fit, Reading, Standing, Unclaimed, fit};
use crate::account::Account;
use crate::jump::Jump;
use crate::open::OpenJob;
use crate::planner::Engine;

/// Remote jobs of nobody that wait at once; a flood of forged webhooks stops here.
pub(super) const MOST_UNCLAIMED: usize = 500;

/// Strangers that are remembered.
const MOST_STRANGERS: usize = 1_000;

/// A foreign client that was heard this long ago counts as still there.
pub(super) const LATELY: Duration = Duration::from_secs(3_600);

/// Doubts that were given up longer ago than this are history; a person who finds a late charge on the
/// provider's bill finds its submission in the ledger.
const PAST_FOR: Duration = Duration::from_secs(7 * 86_400);
const MOST_PAST: usize = 500;

/// All lanes'.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    pub(super) lanes: BTreeMap<LaneKey, LaneDoubts>,
    /// The inbox is looked at at this moment, or when the database changes.
    pub(crate) inbox_at: Timestamp,
}

/// One lane's.
#[derive(Debug, Default)]
pub(super) struct LaneDoubts {
    /// By the provider's id; where an export names none, by what it names instead.
    pub(super) unclaimed: BTreeMap<String, Unclaimed>,
    /// Given up, or sent again, while nobody knew.
    pub(super) past: Vec<Doubt>,
    /// Remote jobs of nobody that fitted nothing: another client uses this key.
    pub(super) strangers: VecDeque<Stranger>,
    /// Something came that may decide.
    pub(super) has_news: bool,
    /// A later look may decide although nothing comes.
    pub(super) weigh_at: Option<Timestamp>,
}

/// A remote job that was surely not ours.
#[derive(Debug, Clone)]
pub(super) struct Stranger {
    pub(super) remote_id: String,
    /// Where it was read.
    pub(super) prompt: Option<String>,
    pub(super) at: Timestamp,
}

impl Doubts {
    /// The lane is another process's now.
    pub(crate) fn lose(&mut self, key: &LaneKey) {
        self.lanes.remove(key);
    }

    /// The clock jumped: reads are as far off as before, and everything is weighed again.
    pub(crate) fn clock_jumped(&mut self, jump: Jump) {
        for lane in self.lanes.values_mut() {
            for found in lane.unclaimed.values_mut() {
                if let Reading::Wanted(at, _) = &mut found.read {
                    *at = jump.moved(*at);
                }
            }
            lane.weigh_at = None;
            lane.has_news = true;
        }
    }

    /// A submit was answered: what may have been its result needs to wait no longer.
    pub(crate) fn was_answered(&mut self, key: &LaneKey) {
        self.of(key).has_news = true;
    }

    pub(super) fn of(&mut self, key: &LaneKey) -> &mut LaneDoubts {
        self.lanes.entry(key.clone()).or_default()
    }
}

impl LaneDoubts {
    pub(super) fn remember_stranger(
        &mut self,
        remote_id: &str,
        prompt: Option<&str>,
        at: Timestamp,
    ) {
        if self
            .strangers
            .iter()
            .any(|known| known.remote_id == remote_id)
        {
            return;
        }
        if self.strangers.len() >= MOST_STRANGERS {
            self.strangers.pop_front();
        }
        self.strangers.push_back(Stranger {
            remote_id: remote_id.to_owned(),
            prompt: prompt.map(|prompt| prompt.trim().to_owned()),
            at,
        });
    }

    /// The next remote job to be read, if none is on the wire; else when.
    pub(super) fn next_to_read(&self) -> Option<(&str, Timestamp)> {
        let asking = |found: &Unclaimed| matches!(found.read, Reading::Asked(_));
        if self.unclaimed.values().any(asking) {
            return None;
        }
        let wanted = self
            .unclaimed
            .iter()
            .filter_map(|(id, found)| match found.read {
                Reading::Wanted(at, _) => Some((id.as_str(), at)),
                Reading::NotNeeded | Reading::Asked(_) | Reading::Done => None,
            });
        wanted.min_by_key(|(_, at)| *at)
    }
}

/// When a submission cannot be accepted any more: its answer took as long as it may, and then the
/// provider as long as it ever does.
pub(super) fn closes_at(planned_at: Timestamp, account: &Account) -> Timestamp {
    planned_at + account.timing.submit_timeout + account.timing.longest_accept
}

/// JAKOV's project, JARAI's account there.
pub(super) fn place_of(input: &Input, account: &Account) -> Option<String> {
    let own = |named: &Option<String>| named.clone().filter(|id| !id.trim().is_empty());
    match input {
        Input::Description(input) => super::export::project_in(input, account).map(str::to_owned),
        Input::Image(_) => None,
        Input::Production(input) => {
            own(&input.jarai_account_id).or_else(|| account.defaults.jarai_account_id.clone())
        }
    }
}

pub(super) fn doubt_of(open: &OpenJob, account: &Account, standing: Standing) -> Option<Doubt> {
    let planned_at = open.job.work.submitted_at?;
    Some(Doubt {
        job: open.job.id,
        submission: open.submission.clone(),
        account: account.name.clone(),
        standing,
        place: place_of(&open.job.input, account),
        input: open.job.input.clone(),
        client_ref: open.client_ref.clone(),
        planned_at,
        closes_at: closes_at(planned_at, account),
        timeout: account.timing.submit_timeout,
    })
}

impl Engine {
    /// Submissions of a lane whose outcome is open or unknown, the past ones included.
    pub(super) fn doubts_of(&self, key: &LaneKey) -> Vec<Doubt> {
        let mut all: Vec<Doubt> = self
            .open
            .awake()
            .filter_map(|open| {
                let account = self.accounts.get(&open.account)?;
                let standing = match open.job.work.status() {
                    Status::Submitting => Standing::OnTheWire,
                    Status::InDoubt => Standing::InDoubt,
                    _ => return None,
                };
                (account.lane == *key).then_some(())?;
                doubt_of(open, account, standing)
            })
            .collect();
        if let Some(lane) = self.doubts.lanes.get(key) {
            all.extend(lane.past.iter().cloned());
        }
        all
    }

    /// A job in doubt leaves it without an outcome: what it sent may still come to light.
    pub(crate) fn remember_past(&mut self, key: &LaneKey, job: JobId) {
        let Some(open) = self.open.get(&job) else {
            return;
        };
        let Some(account) = self.accounts.get(&open.account) else {
            return;
        };
        // A resubmit leaves the time of the intent where it was until the next one is planned.
        let Some(past) = doubt_of(open, account, Standing::Past) else {
            return;
        };
        let lane = self.doubts.of(key);
        if lane.past.len() >= MOST_PAST {
            lane.past.remove(0);
        }
        lane.past.push(past);
        lane.has_news = true;
    }

    /// What an earlier process knew: doubts that were given up, remote jobs that wait, strangers.
    pub(crate) async fn load_doubts(
        &mut self,
        key: &LaneKey,
        accounts: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = self.past_doubts(accounts, now).await?;
        let ids: Vec<JobId> = rows.iter().map(|row| row.job).collect();
        let jobs = self.store.jobs(&ids).await?;
        let mut past: Vec<Doubt> = rows
            .iter()
            .rev()
            .filter_map(|row| {
                let job = jobs.iter().find(|job| job.id == row.job)?;
                self.past_of(row, &job.input)
            })
            .collect();
        let used: Vec<String> = past
            .iter()
            .filter_map(|doubt| doubt.client_ref.clone())
            .collect();
        if let Some(lane) = self.lanes.get_mut(key) {
            // What is unknown under a reference must not be mistaken for what is sent under it later.
            lane.live_refs.extend(used);
        }
        let lane = self.doubts.of(key);
        lane.past.append(&mut past);
        lane.has_news = true;
        self.load_looks(key).await?;
        self.load_inbox(key, accounts, now).await
    }

    /// Submissions of these accounts that were given up, or sent again, before anybody knew.
    pub(super) async fn past_doubts(
        &self,
        accounts: &[String],
        now: Timestamp,
    ) -> Result<Vec<SubmissionRow>, StoreError> {
        let most = u32::try_from(MOST_PAST).unwrap_or(u32::MAX);
        let since = now.before(PAST_FOR);
        self.store.past_doubts(accounts, since, most).await
    }

    /// Whether anything of this lane was given up, or sent again, before anybody knew.
    pub(crate) fn has_past_doubts(&self, key: &LaneKey) -> bool {
        let lane = self.doubts.lanes.get(key);
        lane.is_some_and(|lane| !lane.past.is_empty())
    }

    fn past_of(&self, row: &SubmissionRow, input: &Input) -> Option<Doubt> {
        let account = self.accounts.get(&row.account)?;
        Some(Doubt {
            job: row.job,
            submission: row.id.clone(),
            account: row.account.clone(),
            standing: Standing::Past,
            place: place_of(input, account),
            input: input.clone(),
            client_ref: row.client_ref.clone(),
            planned_at: row.planned_at,
            closes_at: closes_at(row.planned_at, account),
            timeout: account.timing.submit_timeout,
        })
    }

    /// Keeps a remote job of nobody, if it may be anybody's in doubt. Whether it was kept.
    pub(super) fn keep_unclaimed(&mut self, key: &LaneKey, name: String, found: Unclaimed) -> bool {
        let fits = self
            .doubts_of(key)
            .iter()
            .any(|doubt| fit(doubt, &found) != Fit::No);
        let lane = self.doubts.of(key);
        if !fits || lane.unclaimed.len() >= MOST_UNCLAIMED {
            return false;
        }
        lane.unclaimed.insert(name, found);
        lane.has_news = true;
        true
    }

    /// Whether a read may tell whose a remote job is.
    pub(super) fn reading_for(provider: Provider, now: Timestamp) -> Reading {
        match provider {
            // Its webhook is unsigned and names no input: nothing of it is believed without a read.
            Provider::Productai => Reading::Wanted(now, 0),
            Provider::Jakov | Provider::Jarai => Reading::NotNeeded,
        }
    }
}
