//! A disk that runs full: submits and captures rest above the reserve, and a full one is waited for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Feeder, all_is_well, at_work, in_states, until_busy};
use crate::shop::{Engine, Shop, talk};

const EVERY: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_below_its_reserve_gets_no_submits_and_a_run_does_not_end_well() {
    let shop = Shop::open(Engine::Sqlite, at_work()).await;
    shop.sql("insert into descriptions (product_name) values ('Lamp')")
        .await;
    shop.edit_config("url = \"files\"", "url = \"files\"\nreserve = \"8000TB\"");
    let ended = shop.work();
    assert_eq!(ended.status.code(), Some(1), "{}", talk(&ended));
    for words in ["submits", "rest", "the reserve is 8000000000 MB", "files"] {
        assert!(talk(&ended).contains(words), "{words}: {}", talk(&ended));
    }
    assert!(shop.submits().is_empty());
    assert_eq!(shop.text(&in_states("'pending'")).await, "1");
    let status = shop.output(&["status"]);
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        said.contains("disk_low") && said.contains("free on"),
        "{said}"
    );
    shop.edit_config("reserve = \"8000TB\"", "reserve = \"1MB\"");
    assert_eq!(shop.work().status.code(), Some(0));
    let status = shop.output(&["status"]);
    assert!(!String::from_utf8_lossy(&status.stdout).contains("disk_low"));
}

/// A small disk of its own, where we may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(place).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(place)
            .output()
            .ok()?;
        mounted.status.success().then(|| Self(place.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a worker that a failed test left behind may still be on it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A shop whose database is on a small disk; `None` where we may not mount one (there the limit on the
/// length of files in `sqlite` stands for it).
async fn on_a_small_disk() -> Option<(SmallDisk, Shop)> {
    let place = tempfile::tempdir().unwrap().keep();
    let Some(disk) = SmallDisk::mount(&place, "16m") else {
        eprintln!("no disk can be mounted here: only the limit on files is tried");
        return None;
    };
    let database = format!("sqlite://{}", place.join("vitrine.db").display());
    let shop = Shop::on(database, at_work()).await;
    let made = shop.output(&["migrate"]);
    assert_eq!(made.status.code(), Some(0), "{}", talk(&made));
    Some((disk, shop))
}

impl SmallDisk {
    /// Somebody else's file takes all but so many bytes.
    fn fill_but(&self, left: u64) -> PathBuf {
        let ballast = self.0.join("ballast");
        let length = usize::try_from(free_on(&self.0).saturating_sub(left)).unwrap();
        // As far as it fits: the worker writes at the same time.
        let _ = std::fs::write(&ballast, vec![1; length]);
        ballast
    }
}

fn free_on(place: &Path) -> u64 {
    let said = Command::new("df")
        .args(["--output=avail", "--block-size=1"])
        .arg(place)
        .output()
        .unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines().nth(1).unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_waited_for_and_gone_on_with() {
    let Some((disk, shop)) = on_a_small_disk().await else {
        return;
    };
    shop.edit_config("url = \"files\"", "url = \"files\"\nreserve = \"0B\"");
    let mut worker = shop.worker();
    let feeder = Feeder::start(&shop, EVERY);
    until_busy(&shop).await;
    let ballast = disk.fill_but(0);
    worker.until_it_says(super::WAITS).await;
    std::fs::remove_file(ballast).unwrap();
    worker.until_it_says(super::GOES_ON).await;
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submits_rest_above_the_reserve_and_go_on_when_there_is_room() {
    let Some((disk, shop)) = on_a_small_disk().await else {
        return;
    };
    shop.edit_config("url = \"files\"", "url = \"files\"\nreserve = \"7MB\"");
    let mut worker = shop.worker();
    let feeder = Feeder::start(&shop, EVERY);
    until_busy(&shop).await;
    let ballast = disk.fill_but(6_000_000);
    worker.until_it_says("submits and captures rest").await;
    let running = in_states("'submitting', 'running'");
    shop.until(&running, "0").await;
    let before = shop.submits().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(shop.submits().len(), before, "{}", worker.talk());
    std::fs::remove_file(ballast).unwrap();
    worker
        .until_it_says("there is room on the disk again")
        .await;
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    assert!(!worker.talk().contains(super::WAITS), "{}", worker.talk());
}
