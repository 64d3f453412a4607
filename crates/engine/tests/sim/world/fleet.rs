//! Several processes over one database: who has which lane, who looks how often, who freezes for how
//! long. The locks here stand for PostgreSQL's: one of them per lane, dropped by the server when its
//! owner dies, and when another process ends the session of an owner that shows no life.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::Timestamp;
use store::LaneKey;

use super::World;
use super::timetable::Coming;

/// Without a sign of life for so long, an owner loses its lanes.
const LEASE: Duration = Duration::from_secs(90);

impl World {
    pub(super) fn is_fleet(&self) -> bool {
        self.processes.len() > 1
    }

    /// Whether one of this process's lanes has had another owner since.
    pub(super) async fn is_replaced(&self, who: usize) -> bool {
        let owners = self.store.lane_owners().await.unwrap();
        let epochs = &self.processes[who].epochs;
        epochs.iter().any(|(lane, epoch)| {
            let row = owners.iter().find(|row| row.lane == *lane);
            row.is_none_or(|row| row.epoch != *epoch)
        })
    }

    /// The process looks at its lanes: shows a sign of life, starts over if one is lost, ends the
    /// sessions of the lifeless, and takes what is free.
    pub(super) async fn tend(&mut self, who: usize) {
        let life = self.processes[who].life;
        let lost = self.processes[who]
            .epochs
            .iter()
            .any(|(lane, _)| self.locks.get(lane) != Some(&life));
        if lost || self.is_replaced(who).await {
            self.saw("a process found its lane lost");
            self.note(&format!("{who}: a lane is lost"));
            self.end_session(who);
            return;
        }
        self.beats.insert(life, self.now);
        self.processes[who].permit = Some(self.wall() + LEASE / 3);
        let lifeless = self.now.before(LEASE * 2 / 3);
        let beats = &self.beats;
        let shows_life = |owner: &u64| beats.get(owner).is_some_and(|at| *at >= lifeless);
        let lifeless: BTreeSet<u64> = (self.locks.values())
            .filter(|owner| !shows_life(owner))
            .copied()
            .collect();
        for owner in &lifeless {
            self.locks.retain(|_, holder| holder != owner);
            self.forget_answers_of(*owner);
        }
        if !lifeless.is_empty() {
            self.saw("a frozen owner lost its lanes");
            self.note(&format!("{who}: ends the session of a lifeless owner"));
        }
        self.take_free(who).await;
        let has_all = self.locks.len() == self.lanes.len();
        let every = if has_all {
            LEASE / 6
        } else {
            Duration::from_secs(1)
        };
        self.processes[who].tend_at = self.now + every;
    }

    /// What this process has not made durable by now nobody concludes from, when it wakes: but for paid POSTs
    /// it is as if the answers had been lost.
    fn forget_answers_of(&mut self, life: u64) {
        let mut lost = self.timetable.answers_to(life);
        if let Some(who) = self.alive(life) {
            let process = &self.processes[who];
            lost.extend(process.letters.iter().filter_map(|(.., no)| *no));
            lost.extend(process.unheard_numbers.iter().map(|(no, _)| *no));
        }
        for no in lost {
            self.provider.answer_lost(no);
        }
    }

    /// Whether this process has no lane any more, whatever it believes.
    pub(super) fn is_evicted(&self, life: u64) -> bool {
        self.is_fleet() && !self.locks.values().any(|owner| *owner == life)
    }

    /// Takes free lanes: its share, or any that stays free.
    async fn take_free(&mut self, who: usize) {
        let life = self.processes[who].life;
        let mine = self.processes[who].epochs.len();
        let share = self.lanes.len().div_ceil(self.processes.len());
        let mut wanted = Vec::new();
        for (lane, provider) in self.lanes.clone() {
            let within = mine + wanted.len() < share || self.rng.u32(..8) == 0;
            if within && !self.locks.contains_key(&lane) {
                self.locks.insert(lane.clone(), life);
                wanted.push((lane, provider));
            }
        }
        if wanted.is_empty() {
            return;
        }
        let name = format!("process {who}");
        let wall = self.wall();
        let gained = self.store.take_over(&wanted, &name, wall).await.unwrap();
        for (lane, epoch) in &gained {
            self.note(&format!("{who}: takes {} under epoch {}", lane.0, epoch.0));
            if epoch.0 > 1 {
                self.saw("a lane was taken over");
            }
        }
        self.processes[who].epochs.extend(gained.iter().cloned());
        let here = self.processes[who].here(true);
        let trouble = self.trouble_of_loading();
        let Some(mut engine) = self.processes[who].engine.take() else {
            return;
        };
        let added = engine.add_lanes(&gained, &here, wall).await;
        let burnt = self.take_fuse();
        let process = &mut self.processes[who];
        process.engine = Some(engine);
        match added {
            Ok(()) => {
                process.due = self.now;
            }
            Err(error) => self.failed(who, burnt, trouble, &error),
        }
    }

    /// The process stops in the middle of things, for a moment or for longer than the lease.
    pub(super) fn freeze(&mut self, who: usize) {
        let span = if self.rng.bool() {
            Duration::from_millis(self.rng.u64(100..20_000))
        } else {
            Duration::from_millis(self.rng.u64(60_000..240_000))
        };
        self.saw(if span > LEASE {
            "frozen for longer than the lease"
        } else {
            "frozen for a moment"
        });
        self.note(&format!("{who}: frozen for {span:?}"));
        self.last_fault = self.now + span;
        self.processes[who].frozen_until = Some(self.now + span);
        if self.rng.bool() {
            self.processes[who].mid_step = Some(self.wall());
        }
    }

    /// It goes on where it stopped: its hands first, then what came meanwhile.
    pub(super) fn thaw(&mut self, who: usize) {
        let process = &mut self.processes[who];
        process.frozen_until = None;
        process.due = self.now;
        let life = process.life;
        let outbox = std::mem::take(&mut process.outbox);
        let letters = std::mem::take(&mut process.letters);
        self.note(&format!("{who}: goes on"));
        for act in outbox {
            self.timetable.add(self.now, Coming::Send(act, life));
        }
        for (flight, said, no) in letters {
            let coming = Coming::Deliver(flight, said, life, no);
            self.timetable.add(self.now, coming);
        }
    }

    /// Whether every lane has an owner that works.
    pub(super) fn all_lanes_are_owned(&self) -> bool {
        !self.is_fleet() || {
            let owns = |lane: &LaneKey| {
                let owner = self.locks.get(lane).and_then(|life| self.alive(*life));
                owner.is_some_and(|who| {
                    let process = &self.processes[who];
                    process.engine.is_some() && process.frozen_until.is_none()
                })
            };
            self.lanes.iter().all(|(lane, _)| owns(lane))
        }
    }

    /// The wall clock of the machines.
    pub(super) fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis() + self.wall_offset)
    }
}
