//! Which files are fetched first, and when a link is read: the one that dies first goes first, and no more
//! links are read than downloads can begin soon, since a link that waits dies.

use std::time::Duration;

use domain::{JobId, Provider, Timestamp};
use store::LaneKey;

use crate::act::Wanted;
use crate::capture::AT_ONCE;
use crate::open::Capture;
use crate::planner::{Engine, Wake};

/// What a link that says nothing lives: JARAI's `sasUrl` is documented to live an hour.
const USUAL_LIFE: Duration = Duration::from_secs(3_600);
/// No more files than this wait for a place: half of the places are free again soon.
pub(crate) const MOST_AWAITED: usize = AT_ONCE / 2;
/// So long before a link dies it is no longer begun with: a host's clock and ours differ.
const MARGIN: Duration = Duration::from_secs(5);

impl Capture {
    /// Links to all files that are not here, read at this moment. Those under way go on with theirs.
    pub(crate) fn have_links(&mut self, files: Vec<Wanted>, at: Timestamp) {
        self.needs_links = false;
        self.links_at = at;
        self.dies_at = files.iter().filter_map(|file| file.url.dies_at()).min();
        let under_way = &self.under_way;
        self.missing = files
            .into_iter()
            .filter(|file| !under_way.contains(&file.key()))
            .collect();
    }

    /// By when its files should have begun to come.
    fn urgency(&self) -> Timestamp {
        self.dies_at.unwrap_or(self.links_at + USUAL_LIFE)
    }

    /// Whether the links have lived their life while they waited. Counted from the moment at which they were
    /// read: a clock that is not the host's makes no link dead that was just given.
    fn is_stale(&self, now: Timestamp) -> bool {
        let Some(life) = self.dies_at.map(|dies| dies.since(self.links_at)) else {
            return false;
        };
        let usable = life.saturating_sub(MARGIN.min(life / 4));
        !life.is_zero() && now.since(self.links_at) >= usable
    }

    /// Whether its links are known and may be followed now.
    fn is_ready(&self, now: Timestamp) -> bool {
        !self.needs_links
            && !self.missing.is_empty()
            && self.not_before.is_none_or(|later| later <= now)
    }
}

impl Engine {
    /// The jobs of this lane with files that can be fetched now, those first whose links die first. Links that
    /// died while they waited are to be read again.
    pub(crate) fn urgent_files(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        wake: &mut Wake,
    ) -> Vec<(Timestamp, JobId)> {
        let accounts = &self.accounts;
        let mut urgent = Vec::new();
        for open in self.open.awake_mut() {
            if accounts
                .get(&open.account)
                .is_none_or(|account| account.lane != *key)
            {
                continue;
            }
            let id = open.id();
            let Some(capture) = open.capture.as_mut().filter(|capture| !capture.needs_links) else {
                continue;
            };
            if let Some(later) = capture.not_before.filter(|later| *later > now) {
                wake.at(later);
                continue;
            }
            if !capture.missing.is_empty() && capture.is_stale(now) {
                capture.needs_links = true;
                capture.missing.clear();
                capture.not_before = None;
                continue;
            }
            if !capture.missing.is_empty() {
                urgent.push((capture.urgency(), id));
            }
        }
        urgent.sort_unstable();
        urgent
    }

    /// How many files wait with a link to be fetched, or will when the reads of links under way are answered.
    pub(crate) fn files_awaited(&self, key: &LaneKey, now: Timestamp) -> usize {
        let accounts = &self.accounts;
        let of_lane = self.open.awake().filter(|open| {
            let account = accounts.get(&open.account);
            account.is_some_and(|account| account.lane == *key)
        });
        let awaited = of_lane.map(|open| match &open.capture {
            Some(capture) if capture.is_ready(now) => capture.missing.len(),
            Some(capture) if capture.needs_links && open.asking => files_of_list(open.id()),
            Some(_) | None => 0,
        });
        awaited.sum()
    }
}

/// How many links one read tells, about: JARAI documents five types of deliverables, an image is one.
pub(crate) fn files_of_list(job: JobId) -> usize {
    match job.kind.provider() {
        Provider::Jarai => 5,
        Provider::Jakov | Provider::Productai => 1,
    }
}
