//! Looks at source images, at hosts that answer as hosts do.

use super::install_tls;
use super::server::{Act, Server, answer};
use crate::fetch::{FetchOptions, Fetcher, Look};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01";
const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0";
const HTML: &[u8] = b"<!DOCTYPE html><html><body>Not found</body></html>";

fn code(look: &Look) -> &'static str {
    match look {
        Look::Fine => "fine",
        Look::Broken { code, .. } => code,
        Look::Unsure { .. } => "unsure",
        Look::Unreachable { .. } => "unreachable",
    }
}

/// What a path's host says to HEAD, and to the GET of the first bytes.
fn host(head: &str) -> Act {
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let ranged = |total: u64, body: &[u8]| {
        let last = body.len().max(1) - 1;
        let range = format!("Content-Range: bytes 0-{last}/{total}\r\n");
        answer(206, &range, body)
    };
    let is_head = method == "HEAD";
    let told =
        |length: u64| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let bytes = match (path, is_head) {
        ("/png", true) => told(4_000),
        ("/png", false) => ranged(4_000, PNG),
        ("/jpeg", true) => answer(405, "", b""),
        ("/jpeg", false) => answer(200, "", JPEG),
        ("/webp-named.jpg", false) => answer(200, "Content-Type: text/plain\r\n", WEBP),
        ("/gif.png", false) => answer(200, "Content-Type: image/png\r\n", GIF),
        ("/page.jpg", false) => answer(200, "Content-Type: image/jpeg\r\n", HTML),
        ("/empty", false) => answer(200, "", b""),
        ("/large", true) => told(10_485_760),
        ("/large", false) => ranged(10_485_760, PNG),
        ("/large-told-by-head", true) => told(12_000_000),
        ("/large-told-by-head", false) => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let size = format!("{:x}\r\n", PNG.len());
            [head.as_slice(), size.as_bytes(), PNG, b"\r\n0\r\n\r\n"].concat()
        }
        ("/edge", false) => ranged(10_000_000, PNG),
        ("/gone", _) => answer(410, "", b""),
        ("/missing", _) => answer(404, "", HTML),
        // Shown to browsers alone.
        ("/hotlink" | "/login", false) => answer(403, "", HTML),
        ("/trouble", false) => answer(503, "", b""),
        ("/slow-down", false) => answer(429, "", b""),
        ("/moved", _) => answer(302, "Location: /png\r\n", b""),
        ("/inside", _) => answer(302, "Location: http://10.0.0.1/x.png\r\n", b""),
        (_, true) => answer(404, "", b""),
        (_, false) => answer(500, "", b""),
    };
    if is_head {
        // Nothing but the head, whatever the length says.
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        return Act::Send(bytes[..end].to_vec());
    }
    Act::Send(bytes)
}

#[tokio::test]
async fn only_what_is_proven_breaks_a_rule() {
    install_tls();
    let server = Server::start_with_head(host).await;
    let fetcher = Fetcher::new(FetchOptions {
        trusted_hosts: vec![format!("127.0.0.1:{}", server.port)],
        ..FetchOptions::default()
    })
    .unwrap();
    for (path, expect) in [
        ("/png", "fine"),
        ("/jpeg", "fine"),
        ("/webp-named.jpg", "fine"),
        ("/moved", "fine"),
        ("/gif.png", "source_type"),
        ("/page.jpg", "source_type"),
        ("/empty", "source_empty"),
        ("/large", "source_too_large"),
        ("/large-told-by-head", "source_too_large"),
        ("/edge", "unsure"),
        ("/gone", "source_missing"),
        ("/missing", "source_missing"),
        ("/hotlink", "unsure"),
        ("/login", "unsure"),
        ("/slow-down", "unsure"),
        ("/inside", "unsure"),
        ("/trouble", "unreachable"),
    ] {
        let look = fetcher.look(&server.url(path)).await;
        assert_eq!(code(&look), expect, "{path}: {look:?}");
    }
    let wants_little = server.requests().iter().all(|head| {
        head.starts_with("HEAD ") || head.to_lowercase().contains("range: bytes=0-511")
    });
    assert!(wants_little, "{:?}", server.requests());
}

#[tokio::test]
async fn a_host_that_is_not_there_is_worth_another_look() {
    install_tls();
    let gone = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let fetcher = Fetcher::new(FetchOptions {
        trusted_hosts: vec![format!("127.0.0.1:{port}")],
        ..FetchOptions::default()
    })
    .unwrap();
    let look = fetcher
        .look(&format!("http://127.0.0.1:{port}/x?sig=CANARY"))
        .await;
    assert_eq!(code(&look), "unreachable");
    assert!(!format!("{look:?}").contains("CANARY"), "{look:?}");
}
