//! A server on loopback that does exactly what a test says, broken answers included, and remembers
//! every connection and every request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with a request.
pub(super) enum Act {
    /// Sends these bytes and waits for the next request on this connection.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Sends these bytes and nothing more, ever.
    SendAndHang(Vec<u8>),
    /// Sends these bytes and then one more every few milliseconds, without end.
    Drip(Vec<u8>),
    /// Sends so many zeros, or zeros without end.
    Zeros(Option<u64>),
}

/// A running server; it stops when dropped.
pub(super) struct Server {
    pub(super) port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server that answers by path.
    pub(super) async fn start(act: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::start_with_head(move |head| act(path_of(head))).await
    }

    /// Starts a server that answers by its own port and the path.
    pub(super) async fn start_with_port(
        act: impl Fn(u16, &str) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::listen(move |port, head| act(port, path_of(head))).await
    }

    /// Starts a server that answers by the whole head of a request.
    pub(super) async fn start_with_head(act: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::listen(move |_, head| act(head)).await
    }

    async fn listen(act: impl Fn(u16, &str) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, count, act) = (Arc::clone(&heads), Arc::clone(&connections), Arc::new(act));
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (seen, act) = (Arc::clone(&seen), Arc::clone(&act));
                open.spawn(async move { talk(stream, &seen, &|head: &str| act(port, head)).await });
            }
        });
        Self {
            port,
            heads,
            connections,
            task,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads of the requests, in the order in which they came.
    pub(super) fn requests(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn talk(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    act: &(dyn Fn(&str) -> Act + Sync),
) {
    let mut pending = Vec::new();
    while let Some(head) = read_request(&mut stream, &mut pending).await {
        seen.lock().unwrap().push(head.clone());
        match act(&head) {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::SendAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Act::SendAndHang(bytes) => {
                let _ = stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            }
            Act::Zeros(length) => return zeros(stream, length).await,
            Act::Drip(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let mut tick = tokio::time::interval(Duration::from_millis(5));
                while stream.write_all(b".").await.is_ok() {
                    tick.tick().await;
                }
                return;
            }
        }
    }
}

fn path_of(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

async fn zeros(mut stream: TcpStream, length: Option<u64>) {
    let head = match length {
        Some(length) => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"),
        None => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
    };
    let mut left = length.unwrap_or(u64::MAX);
    let mut whole = stream.write_all(head.as_bytes()).await;
    while whole.is_ok() && left > 0 {
        let zeros = vec![0; 65_536];
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        left -= part as u64;
        whole = stream.write_all(&zeros[..part]).await;
    }
}

/// The next request's head, its body read and dropped.
async fn read_request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Option<String> {
    loop {
        let end = pending.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&pending[..end]).into_owned();
            let length: usize = head
                .to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if pending.len() >= end + 4 + length {
                pending.drain(..end + 4 + length);
                return Some(head);
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => pending.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}

/// An answer with a length.
pub(super) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// An answer whose length nobody announces.
pub(super) fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(1000) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
