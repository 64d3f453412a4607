//! Decides where a process dies. Every place that a process passes is a point, counted from 1, so
//! that a sweep can name it and a failure can be played again.

use crate::faults::Chances;

/// Counts the points, and says at which of them a process dies.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) chances: Chances,
    rng: fastrand::Rng,
    pub(super) points: u64,
    deaths: u64,
    /// The second death, in the recovery, comes after so many points.
    soon: u32,
    /// Whether the transaction that fails is committed, and only its answer is lost.
    pub(super) is_durable_all_the_same: bool,
}

impl Fate {
    pub(super) fn new(seed: u64, chances: Chances) -> Self {
        Self {
            chances,
            rng: fastrand::Rng::with_seed(seed ^ 0xfa7e),
            points: 0,
            deaths: 0,
            soon: 0,
            is_durable_all_the_same: false,
        }
    }

    /// Passes a point; whether the process dies there.
    pub(super) fn strikes(&mut self) -> bool {
        self.points += 1;
        if self.chances.at.contains(&self.points) {
            return true;
        }
        if self.deaths >= self.chances.most {
            return false;
        }
        if self.soon > 0 {
            self.soon -= 1;
            if self.soon == 0 {
                return true;
            }
        }
        self.chances.rate > 0 && self.rng.u32(..1_000) < self.chances.rate
    }

    /// It did die.
    pub(super) fn struck(&mut self) {
        self.deaths += 1;
        if self.chances.again && self.rng.bool() {
            self.soon = self.rng.u32(1..=8);
        }
    }

    /// Whether the process freezes now.
    pub(super) fn freezes(&mut self) -> bool {
        self.deaths < self.chances.most
            && self.chances.freezes > 0
            && self.rng.u32(..1_000) < self.chances.freezes
    }
}
