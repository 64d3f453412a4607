//! The course of a history: time goes on to the next thing, the process steps, until nothing is left
//! that goes on by itself.

use std::time::Duration;

use domain::{Status, Timestamp};
use engine::Engine;

use super::process::Tick;
use super::timetable::Coming;
use super::{Outside, World};
use crate::faults::Chances;

/// Evidence about jobs in doubt takes a while to come.
const EVIDENCE: Duration = Duration::from_secs(1_200);

impl World {
    /// Plays to the end.
    pub(super) async fn play(&mut self, chances: Chances) {
        'lives: loop {
            let (mut engine, hold) = self.start().await;
            loop {
                match self.tick(&mut engine, chances).await {
                    Tick::Restart => {
                        drop(hold);
                        continue 'lives;
                    }
                    Tick::Wait(wake_at) => {
                        let over = self.now > self.end || self.is_idle(&engine).await;
                        if over || !self.advance(&mut engine, wake_at).await {
                            break 'lives;
                        }
                    }
                }
            }
        }
    }

    /// Whether nothing is left that goes on by itself.
    async fn is_idle(&self, engine: &Engine) -> bool {
        let outlook = engine.outlook();
        let looked = outlook
            .youngest_doubt
            .is_none_or(|since| since + EVIDENCE < self.now);
        outlook.working == 0
            && looked
            && (outlook.awaiting_approval == 0 || self.never_released)
            && self.process.in_air.is_empty()
            && self.process.unheard.is_empty()
            && !self.timetable.expects_outside()
            && self.nothing_pending().await
    }

    async fn nothing_pending(&self) -> bool {
        let counts = self.store.counts(None).await.unwrap();
        counts.iter().all(|count| count.status != Status::Pending)
    }

    /// Time goes on to the next event, or to `wake_at`. Whether there is anything left.
    async fn advance(&mut self, engine: &mut Engine, wake_at: Option<Timestamp>) -> bool {
        let Some(at) = [self.timetable.next(), self.next_ring(), wake_at]
            .into_iter()
            .flatten()
            .min()
        else {
            return false;
        };
        self.now = self.now.max(at);
        while let Some(what) = self.timetable.take(self.now) {
            match what {
                Coming::Arrive(act, life) => self.arrive(act, life),
                Coming::Deliver(report, life, no) if life == self.process.life => {
                    self.process.in_air.remove(&report.flight);
                    self.process.unheard.push(report);
                    self.process.unheard_numbers.extend(no);
                }
                Coming::Deliver(..) => {}
                Coming::Outside(what) => {
                    self.happen(what).await;
                    engine.notice_writes();
                }
            }
        }
        if self.ring().await {
            engine.notice_writes();
        }
        true
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
            Outside::Provider(happens) => happens(&mut self.provider, self.now.as_millis()),
        }
    }
}
