//! Whose turn it is among the batches of a lane: the one that has had the fewest, at each priority by itself.
//! A batch with much urgent work has had many turns with it, and does not stand back for that where its other
//! work is.

use std::collections::HashMap;

/// Batches come and go for months; those that nobody uses any more are forgotten.
const MOST_BATCHES: usize = 10_000;

/// Turns that batches have had, by priority. They are not durable: after a restart all batches begin anew.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    had: HashMap<(i64, String), u64>,
    /// Where the batch that had the last turn of a priority stands.
    last: HashMap<i64, u64>,
}

impl Turns {
    /// How many turns this batch has had. One that is new, or comes back, starts where the batch that
    /// had the last turn stands: it neither waits for the old ones nor makes them wait.
    pub(crate) fn of(&self, priority: i64, batch: Option<&str>) -> u64 {
        let key = (priority, batch.unwrap_or_default().to_owned());
        let had = self.had.get(&key).or_else(|| self.last.get(&priority));
        had.copied().unwrap_or(0)
    }

    /// It had one.
    pub(crate) fn had_one(&mut self, priority: i64, batch: Option<&str>) {
        let before = self.of(priority, batch);
        if self.had.len() >= MOST_BATCHES || self.last.len() >= MOST_BATCHES {
            self.had.clear();
            self.last.clear();
        }
        self.last.insert(priority, before);
        let key = (priority, batch.unwrap_or_default().to_owned());
        self.had.insert(key, before + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_counted_at_each_priority_and_a_new_batch_starts_with_the_last() {
        let mut turns = Turns::default();
        for _ in 0..5 {
            turns.had_one(9, Some("large"));
        }
        assert_eq!(turns.of(9, Some("large")), 5);
        assert_eq!(turns.of(0, Some("large")), 0);
        assert_eq!(turns.of(9, Some("new")), 4);
        assert_eq!(turns.of(9, None), 4);
        turns.had_one(9, Some("new"));
        assert_eq!(turns.of(9, Some("new")), 5);
        assert_eq!(turns.of(0, Some("new")), 0);
    }
}
