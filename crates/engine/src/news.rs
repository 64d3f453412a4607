//! What a step need not read: where nothing waits, one look at the database stands for three.

use domain::Timestamp;
use store::StoreError;

use crate::planner::Engine;

impl Engine {
    /// Puts off the looks at webhooks and commands of which there are none. Comes before rows are read that may be
    /// sent, as these looks do: a command that was given before a row was sent is obeyed before.
    pub(crate) async fn look_for_news(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let due = |at: Timestamp| at <= now;
        let looks = [
            self.doubts.inbox_at,
            self.commands_at,
            self.money.commands_at,
        ];
        // One look would save nothing.
        if looks.into_iter().filter(|at| due(*at)).count() < 2 {
            return Ok(());
        }
        let news = self.store.news().await?;
        let look_again = self.accounts.values().map(|a| a.timing.look_again).min();
        let later = now + look_again.unwrap_or_default();
        let none = [
            (news.webhooks, &mut self.doubts.inbox_at),
            (news.commands, &mut self.commands_at),
            (news.account_commands, &mut self.money.commands_at),
        ];
        for (_, at) in none.into_iter().filter(|(any, at)| !any && due(**at)) {
            *at = later;
        }
        Ok(())
    }
}
