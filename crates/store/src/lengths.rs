//! How long jobs take, as the lanes' owners learned it: written with their conclusions, read when a
//! lane is taken up.

use crate::jobs::list;
use crate::model::LearnedLengths;
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

statements! {
    KEEP: Sql = Sql {
        sqlite: "insert into lengths (account, operation, model, lengths, learned_at) \
            select value ->> 'account', value ->> 'operation', value ->> 'model', value ->> 'lengths', \
              value ->> 'learned_at' \
            from json_each(?1) where true order by key \
            on conflict (account, operation, model) \
              do update set lengths = excluded.lengths, learned_at = excluded.learned_at",
        postgres: "insert into lengths (account, operation, model, lengths, learned_at) \
            select account, operation, model, lengths, learned_at \
            from jsonb_to_recordset($1::jsonb) as r (account text, operation text, model text, lengths text, \
              learned_at timestamptz) \
            on conflict (account, operation, model) \
              do update set lengths = excluded.lengths, learned_at = excluded.learned_at",
    };
    LENGTHS: Sql = Sql {
        sqlite: "select json_object('account', account, 'operation', operation, 'model', model, \
              'lengths', lengths, 'learned_at', learned_at) \
            from lengths where account in (select value from json_each(?1)) order by account, operation, model",
        postgres: "select row_to_json(r)::text from (select account, operation, model, lengths, learned_at \
            from lengths where account in (select jsonb_array_elements_text($1::jsonb)) \
            order by account, operation, model) r",
    };
}

impl Store {
    /// What these accounts learned about how long jobs take.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn learned_lengths(
        &self,
        accounts: &[String],
    ) -> Result<Vec<LearnedLengths>, StoreError> {
        self.read("lengths", &LENGTHS, vec![list(accounts)?]).await
    }
}
