//! A day's requests, shared out: where a provider counts them by the day, what runs must still be seen to
//! its end on the same day, and its files fetched. So polls spend what the productions of the day need not,
//! each of them an equal part, and a submit leaves only where its own whole way is still paid for.
//!
//! Not here: how many there are (the budget), and when a poll of that part is asked best (`domain`'s plans).

use std::time::Duration;

use domain::{Left, Provider, Status, Timestamp};
use providers::Phase;
use store::LaneKey;

use crate::account::{Account, CompleteAt};
use crate::open::OpenJob;
use crate::planner::Engine;

/// Of its length a job may still have so much before it, however old it is.
const LEAST_AHEAD: f64 = 0.3;

/// What is left of a lane's day, and whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    left: Left,
    /// What the open jobs need at the least, …
    needed: u32,
    /// … and the part of it that is reads of links, which no poll may take.
    links: u32,
    /// What one more job would need, its submit aside.
    way: u32,
    /// Each job's part of the polls beyond that.
    polls_each: f64,
}

impl Day {
    /// The price of a question at which a job of this age and mean length is content with its part; zero
    /// where one each `floor` fits in.
    pub(crate) fn price(&self, mean: Duration, age: Duration, floor: Duration) -> Duration {
        let mean = mean.as_secs_f64();
        let ahead = (mean - age.as_secs_f64()).max(LEAST_AHEAD * mean);
        if ahead <= self.polls_each * floor.as_secs_f64() {
            return Duration::ZERO;
        }
        // As under a minute's limit: asked every `spread`, a length costs ahead / spread questions.
        let spread = ahead / self.polls_each;
        Duration::from_secs_f64(spread * spread / (2.0 * ahead))
    }

    /// How long a job of this age that is made, and waits for people, is left alone: `interval` where its part
    /// lasts until the end of the day, else ever longer, so that it does.
    pub(crate) fn interval(&self, age: Duration, interval: Duration) -> Duration {
        let (age, time) = (age.as_secs_f64().max(1.0), self.left.time.as_secs_f64());
        if time <= self.polls_each * interval.as_secs_f64() {
            return interval;
        }
        let growth = ((1.0 + time / age).ln() / self.polls_each).exp() - 1.0;
        // Beyond the day there are other requests.
        Duration::from_secs_f64((growth * age).min(time)).max(interval)
    }

    /// Whether `left` requests leave one for a poll.
    pub(crate) fn lets_poll(&self, left: Left) -> bool {
        left.requests > self.links
    }

    /// Whether `left` requests leave enough for one more job.
    pub(crate) fn lets_submit(&self, left: Left) -> bool {
        left.requests > self.needed + self.way
    }

    /// A job was submitted.
    pub(crate) fn submitted(&mut self) {
        self.needed += self.way;
    }
}

impl Engine {
    /// What is left of the day of the lane whose reads and submits share a budget that has one.
    pub(crate) fn day_of(&self, key: &LaneKey, group: &str, now: Timestamp) -> Option<Day> {
        let lane = self.lanes.get(key)?;
        let left = lane.left(group, now)?;
        let to_come = lane.quota_left(now);
        let ways = self
            .accounts
            .values()
            .filter(|account| account.lane == *key);
        let way = ways
            .map(|account| whole_way(account))
            .map(|(polls, lists)| polls + lists)
            .max()?;
        let (mut needed, mut links, mut jobs) = (0, 0, to_come);
        for open in self.open.values() {
            let Some(account) = self.accounts.get(&open.account).filter(|a| a.lane == *key) else {
                continue;
            };
            let (polls, lists) = needs(open, account);
            needed += polls + lists;
            links += lists;
            jobs += u32::from(polls > 0);
        }
        let beyond = left.requests.saturating_sub(needed + to_come * (way + 1));
        let polls_each = f64::from(beyond.max(1)) / f64::from(jobs.max(1));
        Some(Day {
            left,
            needed,
            links,
            way,
            polls_each,
        })
    }
}

/// How many polls and how many reads of links a job needs that was just submitted: the poll that sees it
/// made, a production's files, the poll that sees it published, and the files as they are then.
fn whole_way(account: &Account) -> (u32, u32) {
    match (account.provider, account.policy.complete_at) {
        (Provider::Jakov | Provider::Productai, _) => (1, 0),
        (Provider::Jarai, CompleteAt::AwaitingApproval) => (1, 1),
        (Provider::Jarai, CompleteAt::Published) => (2, 2),
    }
}

/// How many polls and how many reads of links this job needs at the least.
fn needs(open: &OpenJob, account: &Account) -> (u32, u32) {
    let list = u32::from(open.capture.as_ref().is_some_and(|it| it.needs_links));
    match (open.job.work.status(), open.phase) {
        (Status::Running, Phase::AwaitingApproval | Phase::Distributing) => (1, 1 + list),
        (Status::Submitting | Status::Running, _) => whole_way(account),
        (Status::Capturing, _) => (0, list),
        (
            Status::Pending
            | Status::InDoubt
            | Status::Completed
            | Status::Failed
            | Status::Cancelled,
            _,
        ) => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn day(polls_each: f64) -> Day {
        Day {
            left: Left {
                requests: 40,
                time: seconds(36_000),
            },
            needed: 12,
            links: 6,
            way: 4,
            polls_each,
        }
    }

    #[test]
    fn questions_are_free_while_a_jobs_part_allows_one_each_interval() {
        let price = |each: f64, age| day(each).price(seconds(720), seconds(age), seconds(30));
        assert_eq!(price(25.0, 0), Duration::ZERO);
        assert!(price(20.0, 0) > Duration::ZERO);
        assert!(price(5.0, 0) > price(20.0, 0));
        assert_eq!(price(20.0, 200), Duration::ZERO);
    }

    #[test]
    fn a_job_that_waits_for_people_is_asked_about_until_the_day_is_over() {
        for each in [3.0, 10.0, 40.0] {
            let (mut age, mut asked) = (seconds(900), 0.0);
            let day = day(each);
            while age < seconds(36_900) {
                let left = Left {
                    time: seconds(36_900) - age,
                    ..day.left
                };
                let now = Day {
                    left,
                    polls_each: (each - asked).max(0.5),
                    ..day
                };
                age += now.interval(age, seconds(60));
                asked += 1.0;
            }
            assert!((asked - each).abs() <= 1.5, "{asked} of {each}");
        }
        assert_eq!(day(700.0).interval(seconds(900), seconds(60)), seconds(60));
    }

    #[test]
    fn links_are_kept_from_polls_and_whole_ways_from_submits() {
        let left = |requests| Left {
            requests,
            time: seconds(36_000),
        };
        let mut day = day(5.0);
        assert!(day.lets_poll(left(7)) && !day.lets_poll(left(6)));
        assert!(day.lets_submit(left(17)) && !day.lets_submit(left(16)));
        day.submitted();
        assert!(!day.lets_submit(left(17)));
    }
}
