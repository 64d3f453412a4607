//! How much room is left on the disks that we write to: measured every few seconds, outside the step, so
//! that submits and captures rest while there is still room to write down what is under way.
//!
//! A full disk is the one trouble in which a worker cannot even note what it was told. So it keeps a reserve
//! and stops before: nothing new is paid for and no file is fetched, while answers, polls and webhooks, which
//! are small, go on into the reserve. It ends again a good way above the reserve, not at its edge.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between two looks: at 100 MB a second, a disk loses 200 MB in it.
const LOOK: Duration = Duration::from_secs(2);

/// What must stay free, and where.
#[derive(Debug, Clone)]
pub struct DiskReserve {
    /// Folders or files on the disks that we write to: the storage, and the database if it is a file.
    pub places: Vec<PathBuf>,
    /// In bytes; 0 switches it off.
    pub bytes: u64,
}

/// Tells whether the reserve is touched. It looks as long as it lives.
#[derive(Debug)]
pub struct DiskWatch {
    low: watch::Receiver<Option<String>>,
    /// Ends with this.
    _looks: JoinSet<()>,
}

impl DiskWatch {
    /// Looks at once, and from then on every few seconds.
    ///
    /// Must be called within a tokio runtime.
    pub async fn start(reserve: DiskReserve) -> Self {
        let (tell, low) = watch::channel(measured(reserve.clone(), false).await);
        let mut looks = JoinSet::new();
        if reserve.bytes > 0 {
            looks.spawn(async move {
                while !tell.is_closed() {
                    tokio::time::sleep(LOOK).await;
                    let before = tell.borrow().is_some();
                    let now = measured(reserve.clone(), before).await;
                    // What was said stays said: a new number of megabytes is no news.
                    if now.is_some() != before {
                        tell.send_replace(now);
                    }
                }
            });
        }
        Self { low, _looks: looks }
    }

    /// The sentence about the disk that is low, if one is.
    #[must_use]
    pub fn low(&self) -> Option<String> {
        self.low.borrow().clone()
    }

    /// Resolves when that changed since it was last asked for. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        if self.low.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A disk that hangs holds up its own look, and nothing else.
async fn measured(reserve: DiskReserve, is_low: bool) -> Option<String> {
    let looked = tokio::task::spawn_blocking(move || reserve.low(is_low));
    looked.await.unwrap_or_default()
}

impl DiskReserve {
    /// The sentence about the first of the places that has too little room. `is_low`: it had too little
    /// before, and more than the reserve is asked for.
    #[must_use]
    pub fn low(&self, is_low: bool) -> Option<String> {
        if self.bytes == 0 {
            return None;
        }
        let wanted = if is_low {
            self.bytes.saturating_add(self.bytes / 4)
        } else {
            self.bytes
        };
        self.places.iter().find_map(|place| match free(place) {
            Ok(free) if free < wanted => Some(format!(
                "{} free on {}, the reserve is {}",
                megabytes(free),
                place.display(),
                megabytes(self.bytes)
            )),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, place = %place.display(), "its free space cannot be read");
                None
            }
        })
    }
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// The bytes that we may still write on the disk of this place.
#[cfg(unix)]
fn free(place: &Path) -> std::io::Result<u64> {
    let about = rustix::fs::statvfs(place)?;
    Ok(about.f_bavail.saturating_mul(about.f_frsize))
}

/// Elsewhere nothing is measured, and a full disk is met when it is full.
#[cfg(not(unix))]
fn free(_place: &Path) -> std::io::Result<u64> {
    Ok(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserve(bytes: u64) -> DiskReserve {
        DiskReserve {
            places: vec![std::env::temp_dir()],
            bytes,
        }
    }

    #[test]
    fn a_disk_below_its_reserve_is_named_with_both_numbers() {
        assert_eq!(reserve(1).low(false), None);
        assert_eq!(reserve(0).low(true), None);
        let said = reserve(u64::MAX).low(false).unwrap();
        assert!(
            said.contains(&std::env::temp_dir().display().to_string()),
            "{said}"
        );
        assert!(
            said.contains("MB free on") && said.contains("the reserve is"),
            "{said}"
        );
    }

    #[test]
    fn it_ends_a_good_way_above_the_reserve() {
        let free = free(&std::env::temp_dir()).unwrap();
        // Others write here too: a wide margin.
        let at_the_edge = reserve(free - free / 10);
        assert_eq!(at_the_edge.low(false), None);
        assert!(at_the_edge.low(true).is_some());
    }

    #[test]
    fn a_place_that_is_gone_stops_nothing() {
        let reserve = DiskReserve {
            places: vec!["/there/is/no/such/folder".into()],
            bytes: u64::MAX,
        };
        assert_eq!(reserve.low(false), None);
    }
}
