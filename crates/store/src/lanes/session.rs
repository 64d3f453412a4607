//! The session of PostgreSQL that holds the lanes' locks.

use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::{JOIN_FLEET, Locked};
use crate::db::{Arg, Tx};
use crate::sql::Sql;
use crate::{Store, StoreError, sessions};

/// A connection of its own, beside the pool. It is given up for good at the first trouble, since with it
/// go the locks: whoever cannot ask whether a lock still stands must not rely on it.
#[derive(Debug)]
pub(super) struct Session(Option<Box<PgConnection>>);

/// A session that does not answer within this time is cut off.
const ANSWER: Duration = Duration::from_secs(5);

impl Session {
    pub(super) async fn open(
        store: &Store,
        options: &PgConnectOptions,
    ) -> Result<Self, StoreError> {
        let place = &store.inner.place;
        let db = sessions::connect(options, place).await?;
        let mut session = Self(Some(Box::new(db)));
        session
            .ask::<Locked>(place, &JOIN_FLEET, vec![])
            .await
            .map(|_| session)
    }

    /// In a task of its own: a statement whose caller stops waiting is not cancelled half-way.
    pub(super) async fn ask<T>(
        &mut self,
        place: &str,
        sql: &'static Sql,
        args: Vec<Arg>,
    ) -> Result<Vec<T>, StoreError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let Some(mut db) = self.0.take() else {
            return Err(StoreError::unavailable(
                "the session that held the lanes is gone",
            ));
        };
        let place = place.to_owned();
        let task = tokio::spawn(async move {
            let rows = Tx::Postgres(&mut db, &place).rows("lanes", sql, args).await;
            (db, rows)
        });
        let stop = task.abort_handle();
        match tokio::time::timeout(ANSWER, task).await {
            Ok(Ok((db, rows))) => {
                // A statement that was refused leaves the session as it was.
                if !matches!(rows, Err(StoreError::Unavailable { .. })) {
                    self.0 = Some(db);
                }
                rows
            }
            Ok(Err(stopped)) => Err(StoreError::unavailable(stopped)),
            Err(_) => {
                stop.abort();
                Err(StoreError::unavailable(format_args!(
                    "the session that held the lanes did not answer within {} s",
                    ANSWER.as_secs()
                )))
            }
        }
    }
}
