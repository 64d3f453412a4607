//! The claims of this crate, each run on both databases: [`on_both`] makes two tests of one function.
//! A PostgreSQL that cannot be had fails the test; nothing is skipped.

mod commands;
mod commit;
mod doubt;
mod files;
mod forecasts;
mod guards;
mod insert;
mod lanes;
mod money;
mod products;
mod reading;
mod results;
mod statements;
mod support;
mod twins;
mod wake;

/// Makes a test for each database of each function, which takes a fresh, migrated [`support::Fresh`].
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::tests::support::Fresh::sqlite().await).await;
                }
            )+
        }
        mod on_postgres {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::tests::support::Fresh::postgres().await).await;
                }
            )+
        }
    };
}
pub(crate) use on_both;
