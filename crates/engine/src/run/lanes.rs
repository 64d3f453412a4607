//! Ownership while the worker runs: the sign of life, who else works, lanes taken and given away.

use std::time::Duration;

use domain::{Provider, Timestamp};
use store::{LaneHold, LaneKey, Look, StoreError};

use super::Runner;
use crate::here::Here;
use crate::planner::Engine;

/// How often a process that lacks a lane looks for it: after a crash of the owner, the work goes on within
/// this time.
const STAND_BY: Duration = Duration::from_secs(1);

/// How soon it is looked again while a lane changes hands.
const SOON: Duration = Duration::from_millis(100);

/// How long a lane that is given away waits for what is on the wire. What comes later is a fact that the
/// next owner reads.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// A lease has so many signs of life.
const BEATS: u32 = 6;

/// An owner that shows no life for so many thirds of the lease loses its lanes; its requests stop at one
/// third. What is left of the lease is for the looking and the taking.
const LIFELESS: u32 = 2;

/// A request may leave until this part of the lease after the last certainty.
const CERTAIN: u32 = 3;

impl Runner<'_> {
    /// What this process knows of its own earlier sessions.
    fn here(&self) -> Here {
        let unheard = self.unheard.iter().map(|report| report.flight.clone());
        Here {
            flights: self.in_air.iter().cloned().chain(unheard).collect(),
            unsent: self.unsent.clone(),
            others_may_live: self.store.owners_may_outlive_their_lanes(),
            jump: self.jump,
        }
    }

    /// Looks who owns what, and takes and gives away lanes. Says when to look again.
    ///
    /// # Errors
    /// When the hold is lost, or nobody can tell whether it stands: start over.
    pub(super) async fn tend_lanes(
        &mut self,
        engine: &mut Engine,
        hold: &mut LaneHold,
    ) -> Result<Timestamp, StoreError> {
        let now = self.clock.now();
        let lease = self.options.lease;
        let lifeless = lease * LIFELESS / CERTAIN;
        let look = hold.look(self.fleet.wanted(), lifeless, now).await?;
        if !look.is_ours {
            return Err(StoreError::lanes_lost());
        }
        if self.store.owners_may_outlive_their_lanes() {
            self.hands.permit().extend(now + lease / CERTAIN);
        }
        self.leave(engine, hold, now).await?;
        let mine: Vec<LaneKey> = hold.epochs.iter().map(|(lane, _)| lane.clone()).collect();
        let moves = self.fleet.moves(&mine, &look);
        for lane in &moves.evict {
            evict(hold, lane).await?;
        }
        if !self.options.drain.is_cancelled() {
            self.take(engine, hold, &moves.take, now).await?;
        }
        if let Some(lane) = moves.give_away.filter(|_| self.leaving.is_none()) {
            tracing::info!(lane = %lane.0, "another process has less to do; this lane goes over to it");
            engine.retire(&lane);
            self.leaving = Some((lane, now + LEAVE_WITHIN));
        }
        self.say_who_works(hold, &look).await?;
        let every = if self.leaving.is_some() || !moves.evict.is_empty() {
            SOON
        } else if hold.epochs.len() < self.fleet.wanted().len() {
            STAND_BY.min(lease / BEATS)
        } else {
            lease / BEATS
        };
        Ok(now + every)
    }

    async fn take(
        &mut self,
        engine: &mut Engine,
        hold: &mut LaneHold,
        lanes: &[LaneKey],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if lanes.is_empty() {
            return Ok(());
        }
        let provider_of = |lane: &LaneKey| {
            let account = self.accounts.iter().find(|account| account.lane == *lane);
            account.map(|account| account.provider)
        };
        let wanted: Vec<(LaneKey, Provider)> = lanes
            .iter()
            .filter_map(|lane| Some((lane.clone(), provider_of(lane)?)))
            .collect();
        let gained = hold.take(&wanted, now).await?;
        for (lane, epoch) in &gained {
            tracing::debug!(lane = %lane.0, epoch = epoch.0, "took this lane");
        }
        engine.add_lanes(&gained, &self.here(), now).await
    }

    /// Gives the leaving lane away once nothing of it is on the wire.
    async fn leave(
        &mut self,
        engine: &mut Engine,
        hold: &mut LaneHold,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some((lane, until)) = &self.leaving
            && (engine.is_quiet(lane) || now >= *until)
        {
            engine.lose(lane);
            hold.give_away(lane).await?;
            self.leaving = None;
        }
        Ok(())
    }

    /// Says once, and to whom it may concern, that others have all the lanes, and that this process works
    /// again.
    async fn say_who_works(&mut self, hold: &LaneHold, look: &Look) -> Result<(), StoreError> {
        let before = self.stands_by;
        self.stands_by = hold.epochs.is_empty() && look.members.len() > 1;
        match (before, self.stands_by) {
            (false, true) => {
                let owners = self.store.lane_owners().await?;
                let wanted = self.fleet.wanted();
                let owner = owners.iter().find(|owner| wanted.contains(&owner.lane));
                tracing::warn!(
                    owner = owner.map(|owner| owner.owner.as_str()),
                    "other processes have all the work; this one stands by, and takes over when one of them ends"
                );
            }
            (true, false) => tracing::warn!("this process stood by; taking over"),
            (true, true) | (false, false) => {}
        }
        Ok(())
    }
}

/// A frozen or cut-off owner: its session is ended, so that its lock is free at the next look.
async fn evict(hold: &mut LaneHold, lane: &LaneKey) -> Result<(), StoreError> {
    match hold.evict(lane).await {
        Ok(true) => {
            tracing::warn!(lane = %lane.0, "its owner has shown no life for longer than the lease; taking over");
        }
        Ok(false) => {}
        Err(error @ StoreError::Refused { .. }) => {
            tracing::error!(
                lane = %lane.0, %error,
                "its owner has shown no life for longer than the lease, and this role may not end its session: \
                 run all workers under one role, or grant pg_signal_backend"
            );
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
