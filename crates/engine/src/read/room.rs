//! Whether a request may leave now: the group's windows, a job's own quota, and the submits on the wire.

use domain::{Room, Timestamp};
use store::LaneKey;

use crate::draft::Draft;
use crate::flight::Flight;
use crate::planner::{Engine, Wake};
use crate::submit::Ready;

impl Engine {
    pub(crate) fn has_room(
        &mut self,
        key: &LaneKey,
        group: &str,
        is_submit: bool,
        now: Timestamp,
        wake: &mut Wake,
    ) -> bool {
        let room = self
            .lanes
            .get_mut(key)
            .map(|lane| lane.room(group, is_submit, now));
        match room {
            Some(Room::Now) => true,
            Some(Room::At(later)) => {
                wake.at(later);
                false
            }
            // An answer on the wire, or a person, makes room; both wake the engine.
            Some(Room::AfterAnAnswer | Room::Never) | None => false,
        }
    }

    /// Room for a read. One that a webhook calls for is not smoothed: the budget alone holds it back.
    pub(super) fn read_has_room(
        &mut self,
        key: &LaneKey,
        group: &str,
        is_rung: bool,
        now: Timestamp,
        wake: &mut Wake,
    ) -> bool {
        let lane = self.lanes.get_mut(key).filter(|_| is_rung);
        match lane.map(|lane| lane.peek(group, false, now)) {
            Some(Room::Now) => true,
            _ => self.has_room(key, group, false, now, wake),
        }
    }

    /// Room for the first ready job; jobs whose own quota is used up are set aside.
    pub(super) fn submit_has_room(
        &mut self,
        key: &LaneKey,
        group: &str,
        ready: &mut Vec<Ready>,
        now: Timestamp,
        wake: &mut Wake,
    ) -> bool {
        if let Some(lane) = self.lanes.get_mut(key) {
            ready.retain(
                |one| match one.quota().map(|quota| lane.quota_room(&quota, now)) {
                    None | Some(Room::Now) => true,
                    Some(Room::At(later)) => {
                        wake.at(later);
                        false
                    }
                    Some(Room::AfterAnAnswer | Room::Never) => false,
                },
            );
        }
        !ready.is_empty() && self.has_room(key, group, true, now, wake)
    }

    /// Whether as many submits are on the wire as the lane may have there; an answer makes room.
    pub(super) fn wire_is_full(&self, key: &LaneKey, group: &str, draft: &Draft) -> bool {
        let sent = self
            .flights
            .values()
            .filter(|flight| matches!(flight, Flight::Submit { lane, .. } if lane == key))
            .count();
        let planned = draft
            .intents
            .iter()
            .filter(|intent| intent.submits_for(key))
            .count();
        self.lanes
            .get(key)
            .is_some_and(|lane| sent + planned >= lane.most_submits(group, self.seen))
    }
}
