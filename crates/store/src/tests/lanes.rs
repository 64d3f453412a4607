//! Ownership of lanes, opening, and the schema's state.

use domain::Provider;

use super::on_both;
use super::support::{Fresh, at, lane, options};
use crate::{LaneHold, LaneKey, Options, SchemaState, Store, StoreError};

on_both!(
    a_lane_has_one_owner_at_a_time,
    each_takeover_raises_the_epoch,
    a_hold_notices_that_its_epoch_is_gone,
    a_heartbeat_is_written_for_owned_lanes_only,
    a_fleet_sees_who_has_what_and_lanes_change_hands,
    migrating_twice_changes_nothing,
    two_that_migrate_at_once_both_end_well,
    a_newer_schema_is_named,
);

const LEASE: std::time::Duration = std::time::Duration::from_secs(30);

/// Whether all that it holds is still its own.
async fn ours(hold: &mut LaneHold) -> bool {
    let keys: Vec<LaneKey> = hold.epochs.iter().map(|(lane, _)| lane.clone()).collect();
    let look = hold.look(&keys, LEASE, at(0)).await;
    look.is_ok_and(|look| look.is_ours)
}

async fn a_lane_has_one_owner_at_a_time(fresh: Fresh) {
    let hold = fresh.hold().await;
    let other = fresh.other().await;
    let second = LaneKey("second".to_owned());
    let wanted = [(lane(), Provider::Jakov), (second.clone(), Provider::Jarai)];
    let said = other.take_lanes(&wanted, "other", at(1)).await;
    if fresh.is_postgres() {
        let mut theirs = said.unwrap();
        assert_eq!(theirs.missed, [lane()]);
        assert_eq!(theirs.epochs[0].0, second);
        assert!(ours(&mut theirs).await);
    } else {
        let error = said.unwrap_err();
        let StoreError::Held { by } = &error else {
            panic!("{error}");
        };
        let pid = format!("process {}", std::process::id());
        assert!(by.starts_with("test, ") && by.contains(&pid), "{by}");
    }
    drop(hold);
    // The server drops the locks when it notices that the connection is gone.
    let mut gained = None;
    for _ in 0..200 {
        match other.take_lanes(&wanted[..1], "other", at(2)).await {
            Ok(hold) if hold.missed.is_empty() => {
                gained = Some(hold);
                break;
            }
            _ => tokio::task::yield_now().await,
        }
    }
    assert!(ours(&mut gained.unwrap()).await);
}

async fn each_takeover_raises_the_epoch(fresh: Fresh) {
    for epoch in 1..=3 {
        let mut hold = fresh.hold().await;
        while hold.epochs.is_empty() {
            drop(hold);
            hold = fresh.hold().await;
        }
        assert_eq!(hold.epochs[0].1.0, epoch);
    }
    let owners = fresh.store.lane_owners().await.unwrap();
    assert_eq!(owners.len(), 1);
    assert_eq!((owners[0].owner.as_str(), owners[0].epoch.0), ("test", 3));
}

async fn a_hold_notices_that_its_epoch_is_gone(fresh: Fresh) {
    let mut hold = fresh.hold().await;
    assert!(ours(&mut hold).await);
    let mut stranger = fresh.stranger().await;
    stranger
        .run("update lanes set epoch = epoch + 1")
        .await
        .unwrap();
    assert!(!ours(&mut hold).await);

    drop(hold);
    let mut hold = fresh.other_lane("second").await;
    assert!(ours(&mut hold).await);
    if fresh.is_postgres() {
        let sql = "select pg_terminate_backend(pid)::text from pg_locks \
            where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
        stranger.texts(sql).await;
    } else {
        let path = fresh.url.trim_start_matches("sqlite://");
        std::fs::remove_file(format!("{path}.lock")).unwrap();
    }
    assert!(!ours(&mut hold).await);
}

async fn a_heartbeat_is_written_for_owned_lanes_only(fresh: Fresh) {
    let beat_at = async |fresh: &Fresh| fresh.store.lane_owners().await.unwrap()[0].heartbeat_at;
    let mut hold = fresh.hold().await;
    let taken = beat_at(&fresh).await;
    assert!(hold.look(&[lane()], LEASE, at(7)).await.unwrap().is_ours);
    let beaten = beat_at(&fresh).await;
    if fresh.is_postgres() {
        // By the server's clock: the processes of a fleet need not agree on the time.
        assert!(beaten > taken);
    } else {
        assert_eq!(beaten, at(7));
    }
    let mut stranger = fresh.stranger().await;
    stranger
        .run("update lanes set epoch = epoch + 1")
        .await
        .unwrap();
    assert!(!hold.look(&[lane()], LEASE, at(9)).await.unwrap().is_ours);
    assert_eq!(beat_at(&fresh).await, beaten);
}

async fn a_fleet_sees_who_has_what_and_lanes_change_hands(fresh: Fresh) {
    if !fresh.is_postgres() {
        // One process owns a file.
        let mut hold = fresh.hold().await;
        let look = hold.look(&[lane()], LEASE, at(1)).await.unwrap();
        assert_eq!(look.members.len(), 1);
        assert!(look.members[0].me && look.members[0].lanes == [lane()]);
        assert!(!hold.evict(&lane()).await.unwrap());
        return;
    }
    let second = LaneKey("second".to_owned());
    let wanted = [(lane(), Provider::Jakov), (second.clone(), Provider::Jarai)];
    let keys = [lane(), second.clone()];
    let mut one = fresh.store.take_lanes(&wanted, "one", at(1)).await.unwrap();
    let other = fresh.other().await;
    let mut two = other.take_lanes(&wanted, "two", at(2)).await.unwrap();
    assert_eq!((one.epochs.len(), two.missed.len()), (2, 2));
    let look = two.look(&keys, LEASE, at(3)).await.unwrap();
    let (me, them): (Vec<_>, Vec<_>) = look.members.iter().partition(|member| member.me);
    assert!(me.len() == 1 && me[0].lanes.is_empty(), "{look:?}");
    assert!(them.len() == 1 && them[0].lanes == keys, "{look:?}");
    assert!(look.stale.is_empty());

    one.give_away(&second).await.unwrap();
    let gained = two.take(&wanted, at(4)).await.unwrap();
    assert_eq!(gained.len(), 1);
    assert_eq!((gained[0].0.clone(), gained[0].1.0), (second, 2));
    assert!(ours(&mut one).await && ours(&mut two).await);

    // A frozen owner still has its lock; after its lease its session is ended.
    let sql = "update lanes set heartbeat_at = now() - interval '1 hour' where lane <> 'second'";
    fresh.stranger().await.run(sql).await.unwrap();
    let look = two.look(&keys, LEASE, at(5)).await.unwrap();
    assert_eq!(look.stale, [lane()]);
    assert!(two.evict(&lane()).await.unwrap());
    let mut gained = Vec::new();
    for _ in 0..200 {
        gained = two.take(&wanted[..1], at(6)).await.unwrap();
        if !gained.is_empty() {
            break;
        }
    }
    assert_eq!(gained[0].1.0, 2);
    assert!(!ours(&mut one).await && ours(&mut two).await);
}

async fn migrating_twice_changes_nothing(fresh: Fresh) {
    assert_eq!(fresh.store.schema().await.unwrap(), SchemaState::Current);
    assert!(fresh.store.migrate().await.unwrap().is_empty());
}

async fn two_that_migrate_at_once_both_end_well(fresh: Fresh) {
    let (url, _database, _folder);
    if fresh.is_postgres() {
        let database = crate::testing::postgres().await;
        url = database.url.clone();
        _database = Some(database);
        _folder = None;
    } else {
        let folder = tempfile::tempdir().unwrap();
        url = format!("sqlite://{}/new.db", folder.path().display());
        _folder = Some(folder);
        _database = None;
    }
    let one = Store::open(&url, options()).await.unwrap();
    let two = Store::open(&url, options()).await.unwrap();
    let SchemaState::Missing { pending } = one.schema().await.unwrap() else {
        panic!("a new database has no tables");
    };
    assert_eq!(pending[0], "0001 jobs");
    let error = one.job("image:1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, StoreError::NeedsMigration), "{error}");
    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    first.unwrap();
    second.unwrap();
    assert_eq!(two.schema().await.unwrap(), SchemaState::Current);
}

async fn a_newer_schema_is_named(fresh: Fresh) {
    let mut stranger = fresh.stranger().await;
    stranger
        .run("insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
            values (9000, 'from the future', true, '', 0)")
        .await
        .unwrap();
    let unknown = vec!["9000 from the future".to_owned()];
    assert_eq!(
        fresh.store.schema().await.unwrap(),
        SchemaState::Newer { unknown }
    );
    let error = fresh.store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
}

#[tokio::test]
async fn a_url_that_names_no_database_is_refused_without_its_password() {
    let options = Options {
        create: false,
        ..options()
    };
    for url in [
        "mysql://root:hunter2@localhost/x",
        "sqlite://",
        "sqlite::memory:",
        "sqlite:///no/such/folder/v.db",
        "postgres://joe:hunter2@127.0.0.1:1/x",
        "hunter2",
    ] {
        let error = Store::open(url, options.clone()).await.unwrap_err();
        assert!(
            matches!(error, StoreError::CannotOpen { .. }),
            "{url}: {error}"
        );
        assert!(
            !error.to_string().contains("hunter2") || url == "hunter2",
            "{error}"
        );
    }
}
