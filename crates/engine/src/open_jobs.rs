//! The open jobs of our lanes by id, and which of them rest. A job rests while others answer for it (an export
//! of its project, [`crate::read`]) and nothing is to be done about it before a known moment, so no step
//! has to look at it. Whoever touches a job wakes it: what rests is as it was when it lay down, and
//! the indexes over it cannot be out of step with it. They are found by the provider's id, too, for webhooks: a job
//! is looked up anew after somebody had it alone in hand ([`OpenJobs::get_mut`]), since only then may its id change.

use std::collections::{BTreeMap, BTreeSet};

use domain::{JobId, Timestamp};

use crate::open::OpenJob;

/// Account and project.
pub(crate) type Place = (String, String);

/// A job that rests.
#[derive(Debug)]
struct Resting {
    open: OpenJob,
    place: Place,
    until: Timestamp,
    heard: Timestamp,
}

/// Those that rest of one project.
#[derive(Debug, Default)]
struct Beds {
    until: BTreeSet<(Timestamp, JobId)>,
    heard: BTreeSet<(Timestamp, JobId)>,
}

/// Jobs that are submitting, in doubt, running or capturing.
#[derive(Debug, Default)]
pub(crate) struct OpenJobs {
    awake: BTreeMap<JobId, OpenJob>,
    resting: BTreeMap<JobId, Resting>,
    beds: BTreeMap<Place, Beds>,
    /// By the provider's id in lower case, but for those that are not sorted in yet. What it holds beyond that
    /// is out of date.
    by_remote: BTreeMap<String, BTreeSet<JobId>>,
    unsorted: BTreeSet<JobId>,
}

impl OpenJobs {
    pub(crate) fn get(&self, id: &JobId) -> Option<&OpenJob> {
        let resting = || self.resting.get(id).map(|resting| &resting.open);
        self.awake.get(id).or_else(resting)
    }

    /// Wakes it.
    pub(crate) fn get_mut(&mut self, id: &JobId) -> Option<&mut OpenJob> {
        self.wake(*id);
        let open = self.awake.get_mut(id);
        if open.is_some() {
            self.unsorted.insert(*id);
        }
        open
    }

    pub(crate) fn contains_key(&self, id: &JobId) -> bool {
        self.get(id).is_some()
    }

    pub(crate) fn insert(&mut self, id: JobId, open: OpenJob) {
        self.wake(id);
        self.awake.insert(id, open);
        self.unsorted.insert(id);
    }

    pub(crate) fn remove(&mut self, id: &JobId) -> Option<OpenJob> {
        self.wake(*id);
        self.unsorted.remove(id);
        let open = self.awake.remove(id)?;
        if let Some(name) = open.remote_id().map(str::to_ascii_lowercase)
            && let Some(named) = self.by_remote.get_mut(&name)
        {
            named.remove(id);
            if named.is_empty() {
                self.by_remote.remove(&name);
            }
        }
        Some(open)
    }

    /// Jobs of any lane that have this id with their provider.
    pub(crate) fn named(&mut self, remote_id: &str) -> impl Iterator<Item = &OpenJob> {
        for id in std::mem::take(&mut self.unsorted) {
            let name = self.get(&id).and_then(OpenJob::remote_id);
            if let Some(name) = name.map(str::to_ascii_lowercase) {
                self.by_remote.entry(name).or_default().insert(id);
            }
        }
        let ids = self.by_remote.get(&remote_id.to_ascii_lowercase());
        let named = ids.into_iter().flatten().filter_map(|id| self.get(id));
        named.filter(move |open| is_named(open, remote_id))
    }

    /// Wakes all.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&JobId, &mut OpenJob) -> bool) {
        self.wake_all();
        self.awake.retain(keep);
        self.by_remote.clear();
        self.unsorted = self.awake.keys().copied().collect();
    }

    /// All of them.
    pub(crate) fn values(&self) -> impl Iterator<Item = &OpenJob> {
        let resting = self.resting.values().map(|resting| &resting.open);
        self.awake.values().chain(resting)
    }

    /// All of them, and none rests any more. Their ids with the provider stay as they are.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut OpenJob> {
        self.wake_all();
        self.awake.values_mut()
    }

    /// Those that a step looks at.
    pub(crate) fn awake(&self) -> impl Iterator<Item = &OpenJob> {
        self.awake.values()
    }

    /// Those that a step looks at. Their ids with the provider stay as they are.
    pub(crate) fn awake_mut(&mut self) -> impl Iterator<Item = &mut OpenJob> {
        self.awake.values_mut()
    }

    /// Nothing is to be done about this job before `until`, unless somebody touches it. `heard`: those who
    /// were heard longest ago come first in their project.
    pub(crate) fn rest(&mut self, id: JobId, place: Place, until: Timestamp, heard: Timestamp) {
        let Some(open) = self.awake.remove(&id) else {
            return;
        };
        let beds = self.beds.entry(place.clone()).or_default();
        beds.until.insert((until, id));
        beds.heard.insert((heard, id));
        let resting = Resting {
            open,
            place,
            until,
            heard,
        };
        self.resting.insert(id, resting);
    }

    fn wake(&mut self, id: JobId) {
        let Some(resting) = self.resting.remove(&id) else {
            return;
        };
        if let Some(beds) = self.beds.get_mut(&resting.place) {
            beds.until.remove(&(resting.until, id));
            beds.heard.remove(&(resting.heard, id));
            if beds.until.is_empty() {
                self.beds.remove(&resting.place);
            }
        }
        self.awake.insert(id, resting.open);
    }

    fn wake_all(&mut self) {
        let resting = std::mem::take(&mut self.resting);
        self.beds.clear();
        let woken = resting.into_iter().map(|(id, resting)| (id, resting.open));
        self.awake.extend(woken);
    }

    /// Wakes those whose time has come.
    pub(crate) fn wake_due(&mut self, now: Timestamp) {
        let due = self.beds.values().flat_map(|beds| {
            let due = beds.until.iter().take_while(|(until, _)| *until <= now);
            due.map(|(_, id)| *id)
        });
        let due: Vec<JobId> = due.collect();
        for id in due {
            self.wake(id);
        }
    }

    /// Wakes all of a project.
    pub(crate) fn wake_place(&mut self, account: &str, project: &str) {
        let place = (account.to_owned(), project.to_owned());
        let beds = self.beds.get(&place).map(|beds| beds.until.iter());
        let ids: Vec<JobId> = beds.into_iter().flatten().map(|(_, id)| *id).collect();
        for id in ids {
            self.wake(id);
        }
    }

    /// When the first of those that rest wakes.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let first = self.beds.values().filter_map(|beds| beds.until.first());
        first.map(|(until, _)| *until).min()
    }

    /// Projects with jobs that rest: how many, and the one that was heard longest ago.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&Place, usize, (Timestamp, JobId))> {
        self.beds.iter().filter_map(|(place, beds)| {
            let longest = beds.heard.first()?;
            Some((place, beds.until.len(), *longest))
        })
    }

    /// How many jobs of this account rest.
    pub(crate) fn resting_of(&self, account: &str) -> usize {
        let places = self.places().filter(|(place, ..)| place.0 == account);
        places.map(|(_, count, _)| count).sum()
    }

    /// Those that rest, with account, project, and until when, as a walk over all finds them.
    #[cfg(debug_assertions)]
    pub(crate) fn resting(&self) -> impl Iterator<Item = (&OpenJob, &Place, Timestamp)> {
        let all = self.resting.values();
        all.map(|resting| (&resting.open, &resting.place, resting.until))
    }
}

fn is_named(open: &OpenJob, remote_id: &str) -> bool {
    let name = open.remote_id();
    name.is_some_and(|name| name.eq_ignore_ascii_case(remote_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{DescriptionInput, Input, JobKind, JobState, Remote, SubmissionId, Work};
    use store::Job;

    fn open_job(id: i64) -> OpenJob {
        let submission = SubmissionId(format!("s{id}"));
        let job = Job {
            id: JobId::new(JobKind::Description, id),
            account: None,
            taken_by: None,
            client_product_id: None,
            batch: None,
            priority: 0,
            run_at: None,
            not_before: None,
            created_at: at(0),
            updated_at: at(0),
            version: 1,
            input: Input::Description(DescriptionInput::default()),
            work: Work {
                state: JobState::Submitting {
                    submission: submission.clone(),
                },
                attempt: 1,
                max_attempts: 3,
                credits: None,
                cancel: None,
                submitted_at: None,
                completed_at: None,
            },
            warning: None,
            description: None,
            result_url: None,
        };
        OpenJob::new(job, "a".to_owned(), submission, at(0))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(i64::try_from(seconds * 1_000).unwrap())
    }

    /// What the indexes say is what a walk over all finds.
    fn agrees(jobs: &OpenJobs) {
        let mut walked: BTreeMap<&Place, (usize, (Timestamp, JobId))> = BTreeMap::new();
        for (id, resting) in &jobs.resting {
            assert!(!jobs.awake.contains_key(id));
            let heard = (resting.heard, *id);
            let known = walked.entry(&resting.place).or_insert((0, heard));
            *known = (known.0 + 1, known.1.min(heard));
        }
        let indexed: BTreeMap<_, _> = jobs.places().map(|(p, n, job)| (p, (n, job))).collect();
        assert_eq!(indexed, walked);
        let next = jobs.resting.values().map(|resting| resting.until).min();
        assert_eq!(jobs.next_due(), next);
        for account in ["a", "b"] {
            let all = jobs.resting.values();
            let walked = all.filter(|resting| resting.place.0 == account).count();
            assert_eq!(jobs.resting_of(account), walked);
        }
        assert_eq!(jobs.values().count(), jobs.awake.len() + jobs.resting.len());
    }

    /// As the provider accepted it under this name.
    fn accept(open: &mut OpenJob, name: &str) {
        open.job.work.state = JobState::Running {
            remote: Remote {
                submission: open.submission.clone(),
                id: name.to_owned(),
                status: None,
            },
        };
    }

    /// Who has this name, by the index and by a walk.
    fn is_found(jobs: &mut OpenJobs, name: &str) -> BTreeSet<JobId> {
        let found: BTreeSet<JobId> = jobs.named(name).map(OpenJob::id).collect();
        let walked = jobs.values().filter(|open| is_named(open, name));
        assert_eq!(found, walked.map(OpenJob::id).collect());
        found
    }

    #[test]
    fn a_job_is_found_by_its_name_at_the_provider_whatever_is_done() {
        for seed in 0..100 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut jobs = OpenJobs::default();
            for _ in 0..300 {
                let mut open = open_job(rng.i64(1..20));
                let id = open.id();
                let name = format!("Remote-{}", rng.u8(..6));
                match rng.u8(..8) {
                    0 => jobs.insert(id, open),
                    1 => {
                        accept(&mut open, &name);
                        jobs.insert(id, open);
                    }
                    2 | 3 => {
                        if let Some(open) = jobs.get_mut(&id) {
                            accept(open, &name);
                        }
                    }
                    4 => drop(jobs.remove(&id)),
                    5 => jobs.rest(id, ("a".into(), "p".into()), at(9), at(1)),
                    6 if rng.u8(..9) == 0 => jobs.retain(|id, _| id.id % 3 != 0),
                    _ => drop(is_found(&mut jobs, &name.to_lowercase())),
                }
            }
            for n in 0..6 {
                is_found(&mut jobs, &format!("remote-{n}"));
            }
            // Nothing of those that are gone is left.
            jobs.retain(|_, _| false);
            is_found(&mut jobs, "remote-1");
            assert!(jobs.by_remote.is_empty() && jobs.unsorted.is_empty());
        }
    }

    #[test]
    fn a_look_by_name_sorts_in_only_what_was_touched_since_the_last() {
        let mut jobs = OpenJobs::default();
        for n in 1..=25_000 {
            let mut open = open_job(n);
            accept(&mut open, &format!("r{n}"));
            jobs.insert(open.id(), open);
        }
        for n in 1..=25_000 {
            let id = JobId::new(JobKind::Description, n);
            assert_eq!(
                jobs.named(&format!("R{n}")).map(OpenJob::id).next(),
                Some(id)
            );
            assert_eq!(jobs.unsorted.len(), 0);
            jobs.remove(&id);
            assert_eq!(jobs.named(&format!("r{n}")).count(), 0);
        }
        assert!(jobs.by_remote.is_empty());
    }

    #[test]
    fn the_indexes_say_what_a_walk_finds_whatever_is_done() {
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut jobs = OpenJobs::default();
            let mut here = BTreeSet::new();
            for _ in 0..300 {
                let open = open_job(rng.i64(1..40));
                let id = open.id();
                match rng.u8(..10) {
                    0..=2 => {
                        here.insert(id);
                        jobs.insert(id, open);
                    }
                    3..=5 => {
                        let account = if rng.bool() { "a" } else { "b" };
                        let place = (account.to_owned(), rng.u8(..3).to_string());
                        jobs.rest(id, place, at(rng.u64(..100)), at(rng.u64(..100)));
                    }
                    6 => assert_eq!(jobs.get_mut(&id).is_some(), here.contains(&id)),
                    7 => assert_eq!(jobs.remove(&id).is_some(), here.remove(&id)),
                    8 => {
                        let now = at(rng.u64(..100));
                        jobs.wake_due(now);
                        assert!(jobs.next_due().is_none_or(|next| next > now));
                    }
                    _ if rng.u8(..5) == 0 => assert_eq!(jobs.values_mut().count(), here.len()),
                    _ => {
                        jobs.wake_place("a", "1");
                        assert!(
                            !jobs
                                .places()
                                .any(|(place, ..)| place.0 == "a" && place.1 == "1")
                        );
                    }
                }
                agrees(&jobs);
                let all: BTreeSet<JobId> = jobs.values().map(OpenJob::id).collect();
                assert_eq!(all, here, "seed {seed}");
            }
        }
    }

    #[test]
    fn whoever_touches_a_job_wakes_it() {
        let mut jobs = OpenJobs::default();
        let open = open_job(1);
        let id = open.id();
        jobs.insert(id, open);
        let place = ("a".to_owned(), "p".to_owned());
        jobs.rest(id, place, at(9), at(1));
        assert_eq!((jobs.awake().count(), jobs.resting_of("a")), (0, 1));
        assert!(jobs.get(&id).is_some() && jobs.contains_key(&id));
        assert_eq!(jobs.resting_of("a"), 1, "a look does not wake it");
        jobs.get_mut(&id).unwrap();
        assert_eq!((jobs.awake_mut().count(), jobs.resting_of("a")), (1, 0));
    }
}
