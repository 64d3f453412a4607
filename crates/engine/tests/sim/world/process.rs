//! One process: it steps, may die at every place of a step, and starts again from the database. All
//! that it knows beyond the database is here, so that a crash has one thing to forget.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Timestamp;
use engine::{Act, Engine, FlightId, Here, Report};
use store::{Epoch, Fuse, FuseMode, LaneHold, LaneKey};

use super::World;
use super::timetable::Coming;
use crate::faults::Chances;

/// What a process has in mind beside its engine.
#[derive(Debug, Default)]
pub(super) struct Process {
    /// How often it died: answers to an earlier life are lost.
    pub(super) life: u64,
    /// Handed out, and not yet reported.
    pub(super) in_air: BTreeSet<FlightId>,
    /// The lanes as they were last held.
    held: Vec<(LaneKey, Epoch)>,
    /// Reported, and not yet durable.
    pub(super) unheard: Vec<Report>,
    /// The provider's numbers of the requests whose answers are not yet durable.
    pub(super) unheard_numbers: Vec<u64>,
}

/// How a tick ended.
pub(super) enum Tick {
    /// The next one is due then, if nothing happens before.
    Wait(Option<Timestamp>),
    /// The process is to start again.
    Restart,
}

impl World {
    /// The process dies. What it had handed out and not sent is gone or on its way; what was on the
    /// way to it is lost.
    fn crash(&mut self, place: &'static str) {
        self.note(&format!("crash {place}"));
        *self.crashes.entry(place).or_default() += 1;
        // A new process knows nothing of the old one.
        let dead = std::mem::take(&mut self.process);
        self.process.life = dead.life + 1;
        let mut lost = dead.unheard_numbers;
        let rng = &mut self.rng;
        self.timetable.drop_where(|what| match what {
            Coming::Arrive(..) => rng.bool(),
            Coming::Deliver(_, _, no) => {
                lost.extend(*no);
                true
            }
            Coming::Outside(_) => false,
        });
        for no in lost {
            self.provider.answer_lost(no);
        }
        self.now = self.now + Duration::from_millis(self.rng.u64(1..20_000));
    }

    fn hand_out(&mut self, acts: Vec<Act>) {
        for act in acts {
            self.process.in_air.insert(act.flight().clone());
            let at = self.now + self.delay();
            self.timetable
                .add(at, Coming::Arrive(act, self.process.life));
        }
    }

    /// The process starts, or starts over after trouble with the database.
    pub(super) async fn start(&mut self) -> (Engine, LaneHold) {
        let mut lanes: Vec<_> = self
            .accounts
            .iter()
            .map(|a| (a.lane.clone(), a.provider))
            .collect();
        lanes.sort();
        let hold = self
            .store
            .take_lanes(&lanes, "sim", self.now)
            .await
            .unwrap();
        let process = &mut self.process;
        let unheard = process.unheard.iter().map(|report| report.flight.clone());
        let here = Here {
            flights: process.in_air.iter().cloned().chain(unheard).collect(),
            held: std::mem::replace(&mut process.held, hold.epochs.clone()),
            others_may_live: false,
        };
        let engine = Engine::load(
            self.store.clone(),
            self.accounts.clone(),
            &hold.epochs,
            &here,
            self.rng.u64(..),
            self.now,
        )
        .await
        .unwrap();
        (engine, hold)
    }

    /// One tick: the process steps, and may die at any place of it.
    pub(super) async fn tick(&mut self, engine: &mut Engine, chances: Chances) -> Tick {
        self.ticks += 1;
        if self.chance(chances.before_step) {
            self.crash("before a step");
            return Tick::Restart;
        }
        let before = self.chance(chances.before_commit);
        let after = !before && self.chance(chances.after_commit);
        let database = !before && !after && self.chance(chances.database);
        let mode = if after || (database && self.rng.bool()) {
            FuseMode::AfterCommit
        } else {
            FuseMode::BeforeBegin
        };
        if before || after || database {
            self.store.set_fuse(Some(Fuse { nth: 1, mode }));
        }
        // Somebody else writes now and then.
        if self.chance(50) {
            engine.notice_writes();
        }
        let reports = std::mem::take(&mut self.process.unheard);
        let result = engine.step(self.now, &reports).await;
        let burnt = self.store.fuse().is_none();
        self.store.set_fuse(None);
        match result {
            Ok(plan) => {
                self.process.unheard_numbers.clear();
                self.hand_out(plan.acts);
                if self.chance(chances.after_hand_out) {
                    self.crash("after the hand-out");
                    return Tick::Restart;
                }
                Tick::Wait(plan.wake_at)
            }
            Err(error) => {
                assert!(burnt, "only the fuse fails: {error:?}");
                self.process.unheard = reports;
                if database {
                    *self.crashes.entry("database trouble").or_default() += 1;
                    self.note("database trouble");
                } else if before {
                    self.crash("before the commit");
                } else {
                    // These answers were heard: they are durable.
                    self.process.unheard_numbers.clear();
                    self.crash("after the commit");
                }
                Tick::Restart
            }
        }
    }
}
