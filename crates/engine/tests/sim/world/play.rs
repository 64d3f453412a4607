//! The course of a history: time goes on to the next thing, the processes whose turn it is step, until
//! nothing is left that goes on by itself.

use std::time::Duration;

use domain::{Status, Timestamp};

use super::process::Process;
use super::timetable::Coming;
use super::{Outside, World};

/// Evidence about jobs in doubt takes a while to come: looks at an export are up to an hour apart, and
/// one of them may fail.
const EVIDENCE: Duration = Duration::from_secs(9_000);

impl World {
    /// Plays to the end.
    pub(super) async fn play(&mut self) {
        loop {
            let mut order: Vec<usize> = (0..self.processes.len()).collect();
            self.rng.shuffle(&mut order);
            for who in order {
                let process = &self.processes[who];
                if process.next() > self.now {
                    continue;
                }
                if process.frozen_until.is_some() {
                    self.thaw(who);
                } else {
                    self.turn(who).await;
                }
            }
            if self.now > self.end || self.is_idle().await || !self.advance().await {
                return;
            }
        }
    }

    /// Whether nothing is left that goes on by itself.
    async fn is_idle(&self) -> bool {
        let quiet = self.processes.iter().all(|process| {
            let Some(engine) = &process.engine else {
                // The dead one is still to start, and to settle what it left; a spare one has nothing.
                return false;
            };
            let outlook = engine.outlook();
            let looked = outlook.youngest_doubt.is_none_or(|since| {
                since + EVIDENCE < self.wall() && self.last_fault + EVIDENCE < self.now
            });
            outlook.working == 0
                && looked
                && (outlook.awaiting_approval == 0 || self.never_released)
                && process.frozen_until.is_none()
                && process.in_air.is_empty()
                && process.unheard.is_empty()
        });
        quiet
            && self.all_lanes_are_owned()
            && !self.timetable.expects_outside()
            && self.nothing_pending().await
    }

    async fn nothing_pending(&self) -> bool {
        let counts = self.store.counts(None).await.unwrap();
        let open = [Status::Pending, Status::Submitting];
        counts.iter().all(|count| !open.contains(&count.status))
    }

    /// Time goes on to the next event, or to somebody's turn. Whether there is anything left.
    async fn advance(&mut self) -> bool {
        let turns = self.processes.iter().map(Process::next);
        let turn: Option<Timestamp> = turns.min();
        let Some(at) = [self.timetable.next(), self.next_ring(), turn]
            .into_iter()
            .flatten()
            .min()
        else {
            return false;
        };
        self.now = self.now.max(at);
        while let Some(what) = self.timetable.take(self.now) {
            match what {
                Coming::Send(act, life) => self.send(act, life),
                Coming::Arrive(act, life) => self.arrive(act, life),
                Coming::Deliver(flight, said, life, no) => self.deliver(flight, said, life, no),
                Coming::Outside(what) => {
                    self.happen(what).await;
                    self.wake_all();
                }
            }
        }
        if self.ring().await {
            self.wake_all();
        }
        true
    }

    /// Every process notices that somebody wrote.
    fn wake_all(&mut self) {
        for process in &mut self.processes {
            if let Some(engine) = &mut process.engine {
                engine.notice_writes();
                process.due = self.now;
            }
        }
    }

    async fn happen(&mut self, what: Outside) {
        self.note(&format!("{what:?}"));
        match what {
            Outside::Insert(rows) => {
                self.inserted += self.store.insert_jobs(&rows).await.unwrap();
            }
            Outside::Command(job, command, value) => {
                self.store.add_command(job, command, value).await.unwrap();
            }
            Outside::AccountCommand(account, command, value) => {
                let added = self.store.add_account_command(account, command, value);
                added.await.unwrap();
            }
            Outside::Provider(happens) => happens(&mut self.provider, self.now.as_millis()),
            Outside::ClockStep(millis) => {
                self.jump_clocks(millis);
                self.last_fault = self.now;
                self.saw("the wall clock jumped");
            }
        }
    }
}
