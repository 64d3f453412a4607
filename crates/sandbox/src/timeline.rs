//! The life of one remote job: which status it has when, and what was reported about it.

/// Statuses with the times from which they hold, in order of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    steps: Vec<(i64, &'static str)>,
}

impl Timeline {
    pub(crate) fn starting(at_ms: i64, status: &'static str) -> Self {
        Self {
            steps: vec![(at_ms, status)],
        }
    }

    /// Adds a status; the times never run backwards.
    pub(crate) fn then(mut self, at_ms: i64, status: &'static str) -> Self {
        self.push(at_ms, status);
        self
    }

    pub(crate) fn push(&mut self, at_ms: i64, status: &'static str) {
        let floor = self.steps.last().map_or(at_ms, |step| step.0);
        self.steps.push((at_ms.max(floor), status));
    }

    /// The status at `now_ms`.
    pub(crate) fn at(&self, now_ms: i64) -> &'static str {
        self.reached(now_ms).last().map_or("", |step| step.1)
    }

    /// The status before the one at `now_ms`, for the fault of a status that goes backwards.
    pub(crate) fn before(&self, now_ms: i64) -> &'static str {
        let mut reached = self.reached(now_ms).rev();
        let now = reached.next().map_or("", |step| step.1);
        reached.next().map_or(now, |step| step.1)
    }

    /// When `status` is (or will be) reached.
    pub(crate) fn when(&self, status: &str) -> Option<i64> {
        self.steps
            .iter()
            .find(|step| step.1 == status)
            .map(|step| step.0)
    }

    /// Forgets what lies after `now_ms`.
    pub(crate) fn cut(&mut self, now_ms: i64) {
        self.steps.retain(|step| step.0 <= now_ms);
    }

    /// When the last step is reached.
    pub(crate) fn end_ms(&self) -> i64 {
        self.steps.last().map_or(0, |step| step.0)
    }

    fn reached(&self, now_ms: i64) -> impl DoubleEndedIterator<Item = &(i64, &'static str)> {
        self.steps.iter().filter(move |step| step.0 <= now_ms)
    }
}

/// What the polls of one job have told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Polls {
    /// Arrival of the last poll that was let in.
    pub(crate) last_ms: Option<i64>,
    /// The status that the last poll reported.
    pub(crate) last_status: Option<&'static str>,
    /// The request that first carried the terminal status home.
    pub(crate) terminal_by: Option<u64>,
}

impl Polls {
    /// True if a poll at `now_ms` is sooner than `floor_ms` after the one before.
    pub(crate) fn too_early(&self, now_ms: i64, floor_ms: i64) -> bool {
        self.last_ms.is_some_and(|last| now_ms - last < floor_ms)
    }

    /// Takes note of a report that reached the client.
    pub(crate) fn reported(&mut self, request_no: u64, status: &'static str, terminal: bool) {
        self.last_status = Some(status);
        if terminal {
            self.terminal_by.get_or_insert(request_no);
        }
    }

    /// Takes a report back whose answer never reached the client.
    pub(crate) fn lost(&mut self, request_no: u64) {
        if self.terminal_by == Some(request_no) {
            self.terminal_by = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_tells_the_status_of_each_moment() {
        let line = Timeline::starting(10, "a").then(20, "b").then(15, "c");
        assert_eq!((line.at(9), line.at(10), line.at(19)), ("", "a", "a"));
        assert_eq!(
            (line.at(20), line.before(20), line.before(10)),
            ("c", "b", "a")
        );
        assert_eq!(line.when("c"), Some(20));
    }

    #[test]
    fn a_lost_report_may_be_asked_for_again() {
        let mut polls = Polls::default();
        polls.reported(4, "done", true);
        polls.lost(5);
        assert_eq!(polls.terminal_by, Some(4));
        polls.lost(4);
        assert_eq!(polls.terminal_by, None);
    }
}
