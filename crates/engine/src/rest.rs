//! What holds submits back in every lane at once, for a reason that no provider has: a disk that is nearly
//! full, a database that may lack what was paid. It stands as a pause in each lane's row, where `status` and
//! other programs see it, and is lifted as soon as the reason is gone. Reads and polls go on.

use domain::{Status, Timestamp};
use providers::Phase;
use store::{LaneKey, Pause};

use crate::draft::Draft;
use crate::open::OpenJob;
use crate::planner::Engine;

/// The endpoints that rest.
const SUBMITS: &str = "submits";
const DISK_LOW: &str = "disk_low";
const ANOTHER_SERVER: &str = "another_server";

/// Why submits rest everywhere, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rests {
    /// Which disk has how much room left. Captures rest too.
    pub disk_low: Option<String>,
    /// Where the database is now.
    pub another_server: Option<String>,
}

impl Rests {
    fn reasons(&self) -> [(&'static str, Option<&String>); 2] {
        [
            (DISK_LOW, self.disk_low.as_ref()),
            (ANOTHER_SERVER, self.another_server.as_ref()),
        ]
    }

    /// The sentences.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let reasons = self.reasons();
        reasons
            .into_iter()
            .filter_map(|(_, why)| why.cloned())
            .collect()
    }
}

impl Engine {
    /// Says what holds submits back from the next step on.
    pub fn set_rests(&mut self, rests: Rests) {
        self.rests = rests;
    }

    /// Makes the lanes' pauses follow what was said.
    pub(crate) fn follow_rests(&mut self, now: Timestamp, draft: &mut Draft) {
        for (code, why) in self.rests.reasons() {
            for (key, lane) in &mut self.lanes {
                let stands = lane.pause(SUBMITS, code).map(|pause| pause.message.clone());
                match why {
                    Some(why) if stands.as_ref() != Some(why) => {
                        let since = lane.pause(SUBMITS, code).and_then(|pause| pause.since);
                        let since = since.unwrap_or(now);
                        let pause = pause(key, code, why, since);
                        lane.set_pause(pause.clone());
                        draft.pause(pause);
                    }
                    None if stands.is_some() => {
                        if let Some(pause) = lane.lift_pause(SUBMITS, code) {
                            draft.lift(&pause);
                        }
                    }
                    Some(_) | None => {}
                }
            }
        }
    }

    /// Whether files wait for room.
    pub(crate) fn captures_rest(&self) -> bool {
        self.rests.disk_low.is_some()
    }

    /// Whether nothing but a file that waits for room is left to do for this job.
    pub(crate) fn waits_for_room(&self, open: &OpenJob) -> bool {
        let is_watched =
            open.job.work.status() == Status::Running && open.phase != Phase::AwaitingApproval;
        let waits = |capture: &crate::open::Capture| capture.under_way.is_empty();
        self.captures_rest()
            && !is_watched
            && !open.asking
            && open.capture.as_ref().is_some_and(waits)
    }
}

fn pause(key: &LaneKey, code: &str, why: &str, since: Timestamp) -> Pause {
    Pause {
        lane: key.clone(),
        endpoints: SUBMITS.to_owned(),
        code: code.to_owned(),
        message: why.to_owned(),
        since: Some(since),
        until: None,
        strikes: 0,
    }
}
