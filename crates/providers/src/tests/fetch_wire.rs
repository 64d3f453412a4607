//! Downloads from hosts that misbehave.

use std::io::Read as _;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::install_tls;
use super::server::{Act, Server, answer, chunked};
use crate::SignedUrl;
use crate::fetch::{FetchError, FetchOptions, Fetched, Fetcher, Part};

fn options(trusted: &[String]) -> FetchOptions {
    install_tls();
    FetchOptions {
        trusted_hosts: trusted.to_vec(),
        idle_timeout: Duration::from_secs(20),
        total_timeout: Duration::from_secs(20),
        max_bytes: 10_000,
        ..FetchOptions::default()
    }
}

async fn fetch_with(options: FetchOptions, url: &str) -> (Result<Fetched, FetchError>, Vec<u8>) {
    let file = tempfile::tempfile().unwrap();
    let mut reader = file.try_clone().unwrap();
    let limit = options.max_bytes;
    let fetched = Fetcher::new(options)
        .unwrap()
        .fetch(&SignedUrl::new(url), limit, &mut Part::new(file))
        .await;
    std::io::Seek::rewind(&mut reader).unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    (fetched, bytes)
}

/// Fetches from a server whose host and port are trusted.
async fn fetch(server: &Server, path: &str) -> Result<Fetched, FetchError> {
    let trusted = [format!("127.0.0.1:{}", server.port)];
    fetch_with(options(&trusted), &server.url(path)).await.0
}

fn refused(fetched: &Result<Fetched, FetchError>) -> bool {
    matches!(fetched, Err(FetchError::Refused { .. }))
}

#[tokio::test]
async fn a_file_comes_home_whole_counted_and_hashed() {
    let body: Vec<u8> = (0..=255).cycle().take(9_999).collect();
    let sent = body.clone();
    let server = Server::start(move |path| match path {
        "/chunked" => Act::Send(chunked(&sent)),
        _ => Act::Send(answer(200, "Content-Type: image/png\r\n", &sent)),
    })
    .await;
    for path in ["/announced?sig=CANARY", "/chunked"] {
        let trusted = ["127.0.0.1".to_owned()];
        let (fetched, file) = fetch_with(options(&trusted), &server.url(path)).await;
        let fetched = fetched.unwrap();
        let hash: [u8; 32] = Sha256::digest(&body).into();
        assert_eq!((fetched.bytes, fetched.sha256), (9_999, hash));
        assert_eq!(fetched.head, body[..512]);
        assert_eq!(file, body);
        assert_eq!(fetched.sha256_hex().len(), 64);
    }
    let head = server.requests()[0].to_lowercase();
    let mut names: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split(':').next())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "host", "user-agent"],
        "no key, no cookie, no referer"
    );
}

#[tokio::test]
async fn loopback_is_refused_unless_trusted() {
    let server = Server::start(|_| Act::Send(answer(200, "", b"x"))).await;
    let port = server.port;
    for url in [
        format!("http://127.0.0.1:{port}/x"),
        format!("https://127.0.0.1:{port}/x"),
        format!("https://localhost:{port}/x"),
        format!("http://localhost:{port}/x"),
        format!("https://0x7f.1:{port}/x"),
        format!("https://2130706433:{port}/x"),
        format!("https://017700000001:{port}/x"),
        format!("https://[::ffff:127.0.0.1]:{port}/x"),
        format!("https://[::1]:{port}/x"),
        format!("https://127.1:{port}/x?sig=CANARY"),
    ] {
        let (fetched, _) = fetch_with(options(&[]), &url).await;
        assert!(refused(&fetched), "{url} {fetched:?}");
        assert!(!format!("{fetched:?}").contains("CANARY"));
    }
    // Another port of a trusted host:port is another host.
    let other = ["127.0.0.1:1".to_owned()];
    let (fetched, _) = fetch_with(options(&other), &server.url("/x")).await;
    assert!(refused(&fetched), "{fetched:?}");
    assert_eq!(server.connections(), 0);
    for trusted in [format!("127.0.0.1:{port}"), "127.0.0.1".to_owned()] {
        let (fetched, _) = fetch_with(options(&[trusted]), &server.url("/x")).await;
        assert!(fetched.is_ok(), "{fetched:?}");
    }
    let trusted = [format!("LOCALHOST:{port}")];
    let (fetched, _) = fetch_with(options(&trusted), &format!("http://localhost:{port}/x")).await;
    assert!(fetched.is_ok(), "{fetched:?}");
}

#[tokio::test]
async fn links_to_inside_are_refused_before_any_connection() {
    for url in [
        "",
        "x",
        "//h/x",
        "ftp://h/x",
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:x",
        "gopher://h/",
        "http://example.com/x",
        "https://user@example.com/x",
        "https://user:secret@example.com/x",
        "https://169.254.169.254/latest/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.0.1/",
        "https://0/",
        "https://0.0.0.0/",
        "https://100.64.0.1/",
        "https://192.0.2.1/",
        "https://198.18.0.1/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://168.63.129.16/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fd00:ec2::254]/",
        "https://[ff02::1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[2001:db8::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://①②⑦.⓪.⓪.①/",
        "https://0xa9fea9fe/",
        "https://0251.0376.0251.0376/",
    ] {
        let (fetched, _) = fetch_with(options(&[]), url).await;
        assert!(refused(&fetched), "{url} {fetched:?}");
        assert!(!format!("{fetched:?}").contains("secret"));
    }
}

#[tokio::test]
async fn three_redirects_are_followed_and_each_is_checked() {
    let inside = Server::start(|_| Act::Send(answer(200, "", b"secret"))).await;
    let target = inside.url("/metadata");
    let server = Server::start(move |path| {
        let to = |place: &str| Act::Send(answer(302, &format!("Location: {place}\r\n"), b""));
        match path {
            "/4" => to("/3"),
            "/3" => to("2"),
            "/2" => to("/1?x=y"),
            "/1?x=y" => to("/file"),
            "/loop" => to("/loop"),
            "/inside" => to(&target),
            "/metadata" => to("https://169.254.169.254/latest/"),
            "/scheme" => to("file:///etc/passwd"),
            "/nowhere" => Act::Send(answer(302, "", b"")),
            _ => Act::Send(answer(200, "", b"file")),
        }
    })
    .await;
    assert_eq!(fetch(&server, "/3").await.unwrap().bytes, 4);
    for path in ["/4", "/loop", "/inside", "/metadata", "/scheme", "/nowhere"] {
        let fetched = fetch(&server, path).await;
        assert!(refused(&fetched), "{path} {fetched:?}");
    }
    assert_eq!(inside.connections(), 0);
    let loops = server
        .requests()
        .iter()
        .filter(|head| head.contains("/loop"))
        .count();
    assert_eq!(loops, 4, "the link and three redirects");
}

#[tokio::test]
async fn a_file_over_the_cap_is_refused() {
    let server = Server::start(|path| match path {
        "/fits" => Act::Send(answer(200, "", &[1; 10_000])),
        "/announced" => Act::Send(answer(200, "", &[1; 10_001])),
        _ => Act::Drip(chunked(&[1; 10_001])),
    })
    .await;
    assert_eq!(fetch(&server, "/fits").await.unwrap().bytes, 10_000);
    for path in ["/announced", "/endless"] {
        let fetched = fetch(&server, path).await;
        assert!(refused(&fetched), "{path} {fetched:?}");
    }
}

#[tokio::test]
async fn short_empty_and_wrong_files_are_told_apart() {
    const HTML: &[u8] = b"<!DOCTYPE html><html>Sorry</html>";
    let server = Server::start(|path| match path {
        "/short" => {
            Act::SendAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour".to_vec())
        }
        "/torn" => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nfour";
            Act::SendAndClose(head.to_vec())
        }
        "/empty" => Act::Send(answer(200, "", b"")),
        "/none" => Act::SendAndClose(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        "/page.png" => Act::Send(answer(
            200,
            "Content-Type: text/html; charset=utf-8\r\n",
            HTML,
        )),
        "/page.html" => Act::Send(answer(200, "Content-Type: text/html\r\n", HTML)),
        "/part" => Act::Send(answer(206, "Content-Range: bytes 0-1/9\r\n", b"xx")),
        path => {
            let status = path.trim_start_matches('/').parse().unwrap();
            Act::Send(answer(status, "", b"<Error/>"))
        }
    })
    .await;
    let short = FetchError::Short {
        expected: 10,
        got: 4,
    };
    assert_eq!(fetch(&server, "/short").await, Err(short));
    assert!(matches!(
        fetch(&server, "/torn").await,
        Err(FetchError::Unavailable { .. })
    ));
    assert_eq!(fetch(&server, "/empty").await, Err(FetchError::Empty));
    assert_eq!(fetch(&server, "/none").await, Err(FetchError::Empty));
    assert_eq!(
        fetch(&server, "/page.png").await,
        Err(FetchError::ErrorPage)
    );
    assert!(fetch(&server, "/page.html").await.is_ok());
    for gone in [401, 403, 404, 410, 400] {
        let fetched = fetch(&server, &format!("/{gone}")).await;
        assert_eq!(fetched, Err(FetchError::Gone { http: gone }));
    }
    for path in ["/429", "/500", "/503", "/408", "/part"] {
        let fetched = fetch(&server, path).await;
        assert!(
            matches!(fetched, Err(FetchError::Unavailable { .. })),
            "{path} {fetched:?}"
        );
    }
}

#[tokio::test]
async fn a_compressed_file_is_stored_as_it_came() {
    let zeros = include_bytes!("../../fixtures/zeros-8mib.gz");
    let server =
        Server::start(|_| Act::Send(answer(200, "Content-Encoding: gzip\r\n", zeros))).await;
    let fetched = fetch(&server, "/zeros").await.unwrap();
    assert_eq!(fetched.bytes, zeros.len() as u64);
}

#[tokio::test]
async fn slow_hosts_are_left_alone() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n";
    let server = Server::start(|path| match path {
        "/silent" => Act::SendAndHang(Vec::new()),
        "/stalls" => Act::SendAndHang(head.to_vec()),
        _ => Act::Drip(head.to_vec()),
    })
    .await;
    let trusted = [format!("127.0.0.1:{}", server.port)];
    let idle = FetchOptions {
        idle_timeout: Duration::from_millis(150),
        ..options(&trusted)
    };
    for path in ["/silent", "/stalls"] {
        let (fetched, _) = fetch_with(idle.clone(), &server.url(path)).await;
        assert!(
            matches!(fetched, Err(FetchError::Unavailable { .. })),
            "{path} {fetched:?}"
        );
    }
    // A byte now and then keeps it from being idle, and not from being slow.
    let total = FetchOptions {
        total_timeout: Duration::from_millis(300),
        ..options(&trusted)
    };
    let (fetched, _) = fetch_with(total, &server.url("/drips")).await;
    let Err(FetchError::Unavailable { reason }) = fetched else {
        panic!("{fetched:?}");
    };
    assert!(reason.contains("total time-out"), "{reason}");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_unavailable() {
    let (fetched, _) = fetch_with(options(&[]), "https://no-such-host.invalid/x?sig=CANARY").await;
    let Err(FetchError::Unavailable { reason }) = fetched else {
        panic!("{fetched:?}");
    };
    assert!(!reason.contains("CANARY"), "{reason}");
}
