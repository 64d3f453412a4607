//! Between the worker and PostgreSQL: a proxy that passes, cuts, or swallows what goes through it, and a
//! pooler in transaction mode, as far as a start check can tell. Ends with its value.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::postgres::at_work_on;
use super::{GOES_ON, WAITS, all_is_well};

/// What it does with what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// A little late, each time.
    Slow,
    /// Connections that are open are cut, new ones are cut at once.
    Cut,
    /// Nothing comes through, and nobody is told.
    Swallow,
}

pub(super) struct Proxy {
    port: u16,
    way: watch::Sender<Way>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn start(server: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (way, told) = watch::channel(Way::Open);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                streams.spawn(pass(client, server.clone(), told.clone()));
            }
        });
        Self {
            port,
            way,
            _tasks: tasks,
        }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@{}/{database}?sslmode=disable",
            self.address()
        )
    }

    pub(super) fn turn(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn pass(client: TcpStream, server: PathBuf, mut way: watch::Receiver<Way>) {
    let cut = {
        let mut way = way.clone();
        async move { way.wait_for(|way| *way == Way::Cut).await.is_ok() }
    };
    let through = async move {
        let _ = way.wait_for(|way| *way != Way::Swallow).await;
        let Ok(server) = UnixStream::connect(server).await else {
            return;
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = pump(from_client, to_server, way.clone()) => {}
            () = pump(from_server, to_client, way) => {}
        }
    };
    tokio::select! {
        _ = cut => {}
        () = through => {}
    }
}

async fn pump<R: AsyncReadExt + Unpin, W: AsyncWriteExt + Unpin>(
    mut from: R,
    mut to: W,
    mut way: watch::Receiver<Way>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        if *way.borrow() == Way::Slow {
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        // Swallowed: what was read is gone, also when the way is open again.
        if *way.borrow_and_update() == Way::Swallow {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Gives each transaction of any client to one session that all share.
pub(super) struct Pooler {
    port: u16,
    _tasks: JoinSet<()>,
}

impl Pooler {
    pub(super) async fn start(server: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let idle = Arc::new(Mutex::new(Vec::new()));
            let mut clients = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                clients.spawn(pooled(client, server.clone(), Arc::clone(&idle)));
            }
        });
        Self {
            port,
            _tasks: tasks,
        }
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }
}

type Idle = Arc<Mutex<Vec<UnixStream>>>;

/// The client's own session is opened for the greeting; then each transaction takes an idle one.
async fn pooled(mut client: TcpStream, server: PathBuf, idle: Idle) {
    let Some(greeted) = greet(&mut client, &server).await else {
        return;
    };
    idle.lock().await.push(greeted);
    let mut taken: Option<UnixStream> = None;
    while let Some((kind, message)) = message(&mut client).await {
        if kind == b'X' {
            return;
        }
        if taken.is_none() {
            taken = idle.lock().await.pop();
        }
        let Some(session) = &mut taken else { return };
        if session.write_all(&message).await.is_err() {
            return;
        }
        // A query or the end of a pipeline is answered up to "ready".
        if !matches!(kind, b'Q' | b'S') {
            continue;
        }
        loop {
            let Some((kind, answer)) = self::message(session).await else {
                return;
            };
            let is_idle = kind == b'Z' && answer.last() == Some(&b'I');
            if client.write_all(&answer).await.is_err() {
                return;
            }
            if kind == b'Z' {
                if is_idle {
                    idle.lock().await.extend(taken.take());
                }
                break;
            }
        }
    }
}

async fn greet(client: &mut TcpStream, server: &Path) -> Option<UnixStream> {
    let mut session = UnixStream::connect(server).await.ok()?;
    let length = client.read_u32().await.ok()?;
    let mut startup = vec![0; length as usize - 4];
    client.read_exact(&mut startup).await.ok()?;
    session.write_u32(length).await.ok()?;
    session.write_all(&startup).await.ok()?;
    loop {
        let (kind, answer) = message(&mut session).await?;
        client.write_all(&answer).await.ok()?;
        if kind == b'Z' {
            return Some(session);
        }
    }
}

/// One message, with its letter.
async fn message<R: AsyncReadExt + Unpin>(from: &mut R) -> Option<(u8, Vec<u8>)> {
    let kind = from.read_u8().await.ok()?;
    let length = from.read_u32().await.ok()?;
    let mut message = vec![0; 1 + length as usize];
    message[0] = kind;
    message[1..5].copy_from_slice(&length.to_be_bytes());
    from.read_exact(&mut message[5..]).await.ok()?;
    Some((kind, message))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_to_the_server_that_is_slow_cut_or_silent_costs_nothing() {
    let (server, mut shop, first, feeder) = at_work_on(&[]).await;
    let ended = first.end("TERM");
    assert_eq!(ended.code, Some(0), "{}", ended.talk);
    let proxy = Proxy::start(server.socket()).await;
    let direct = std::mem::replace(&mut shop.database, proxy.url("shop"));
    let mut worker = shop.worker();
    shop.database = direct;
    proxy.turn(Way::Slow);
    tokio::time::sleep(Duration::from_secs(2)).await;
    for way in [Way::Cut, Way::Swallow, Way::Cut] {
        proxy.turn(way);
        tokio::time::sleep(Duration::from_secs(if way == Way::Swallow { 8 } else { 2 })).await;
        proxy.turn(Way::Open);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    let talk = worker.talk();
    assert!(talk.contains(WAITS) && talk.contains(GOES_ON), "{talk}");
}
