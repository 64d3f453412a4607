//! The database of a history: a copy of one migrated SQLite file, in memory where the system has a
//! place for that, or a PostgreSQL of the caller's.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use store::Store;

/// A database with our tables, and nothing in them.
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) url: String,
    /// SQLite's files; they go with the history.
    pub(crate) folder: Option<tempfile::TempDir>,
}

impl Database {
    /// The one of this URL, or a new one.
    pub(crate) async fn open(url: Option<String>) -> Self {
        if let Some(url) = url {
            let options = store::Options {
                pool: 2,
                ..store::Options::default()
            };
            let store = Store::open(&url, options).await.unwrap();
            store.migrate().await.unwrap();
            return Self {
                store,
                url,
                folder: None,
            };
        }
        let folder = folder();
        let file = folder.path().join("sim.db");
        std::fs::copy(template(), &file).unwrap();
        let url = url_of(&file);
        let store = Store::open(&url, options()).await.unwrap();
        Self {
            store,
            url,
            folder: Some(folder),
        }
    }
}

fn options() -> store::Options {
    store::Options {
        sqlite_synchronous: store::Synchronous::Off,
        create: true,
        ..store::Options::default()
    }
}

fn url_of(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory)
            .or_else(|_| tempfile::tempdir())
            .unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// The migrated file, made once: migrating is slower than most histories.
fn template() -> &'static Path {
    static MADE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("template.db");
        let made = folder.path().join("made.db");
        let make = async {
            let store = Store::open(&url_of(&made), options()).await.unwrap();
            store.migrate().await.unwrap();
            // A file of its own, without a log beside it.
            let copy = format!("vacuum into '{}'", path.display());
            store::testing::sql(&url_of(&made), &copy).await.unwrap();
        };
        // Whoever comes first is inside a runtime of its own.
        std::thread::scope(|scope| {
            let making = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(make);
            });
            making.join().unwrap();
        });
        (folder, path)
    });
    path
}
