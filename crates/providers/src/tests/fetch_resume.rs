//! Bodies that break off: the rest is asked for, of the same version, and the bytes are those of the file.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::install_tls;
use super::server::{Act, Server, answer};
use crate::SignedUrl;
use crate::fetch::{FetchError, FetchOptions, Fetcher, Part};

fn fetcher(server: &Server) -> Fetcher {
    install_tls();
    Fetcher::new(FetchOptions {
        trusted_hosts: vec![format!("127.0.0.1:{}", server.port)],
        ..FetchOptions::default()
    })
    .unwrap()
}

fn file(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| rng.u8(..)).collect()
}

/// The value of a header of a request.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// What an honest host says to this request: all of it, or the rest if the version is the same.
fn honest(head: &str, tag: &str, body: &[u8]) -> Vec<u8> {
    let from = header(head, "range")
        .filter(|_| header(head, "if-range") == Some(tag))
        .and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse()
                .ok()
        });
    let tag = format!("ETag: {tag}\r\n");
    match from {
        Some(from) if from < body.len() => {
            let last = body.len() - 1;
            let range = format!("Content-Range: bytes {from}-{last}/{}\r\n", body.len());
            answer(206, &format!("{tag}{range}"), &body[from..])
        }
        Some(_) => answer(416, &tag, b""),
        None => answer(200, &tag, body),
    }
}

#[tokio::test]
async fn bodies_that_are_cut_at_any_byte_all_come_home_with_the_right_hash() {
    for seed in 0..60 {
        let body = file(seed, 1 + seed as usize * 1_777);
        let sent = body.clone();
        let rng = Mutex::new(fastrand::Rng::with_seed(seed ^ 0xcafe));
        let server = Server::start_with_head(move |head| {
            let whole = honest(head, "\"v1\"", &sent);
            let start = whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
            // At least one byte of the body, so that each try brings something.
            let cut = rng
                .lock()
                .unwrap()
                .usize(start + 1..=whole.len().max(start + 1));
            Act::SendAndClose(whole[..cut.min(whole.len())].to_vec())
        })
        .await;
        let mut part = Part::new(tempfile::tempfile().unwrap());
        let url = SignedUrl::new(server.url("/video"));
        let fetched = fetcher(&server).fetch(&url, 1 << 20, &mut part).await;
        let fetched = fetched.unwrap();
        let hash: [u8; 32] = Sha256::digest(&body).into();
        assert_eq!((fetched.bytes, fetched.sha256), (body.len() as u64, hash));
        let ranges = server
            .requests()
            .iter()
            .filter(|head| header(head, "range").is_some())
            .count();
        assert_eq!(
            ranges,
            server.requests().len() - 1,
            "only the first is whole"
        );
    }
}

#[tokio::test]
async fn the_rest_of_another_version_is_never_added() {
    let (old, new) = (file(1, 5_000), file(2, 7_000));
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let (first, second) = (old.clone(), new.clone());
    let server = Server::start_with_head(move |head| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Act::SendAndClose(honest(head, "\"old\"", &first)[..3_000].to_vec()),
        _ => Act::Send(honest(head, "\"new\"", &second)),
    })
    .await;
    let mut part = Part::new(tempfile::tempfile().unwrap());
    let url = SignedUrl::new(server.url("/video"));
    let fetched = fetcher(&server)
        .fetch(&url, 1 << 20, &mut part)
        .await
        .unwrap();
    let hash: [u8; 32] = Sha256::digest(&new).into();
    assert_eq!((fetched.bytes, fetched.sha256), (7_000, hash));
}

#[tokio::test]
async fn hosts_that_answer_a_range_wrongly_spoil_no_file() {
    let body = file(3, 5_000);
    type Wrong = fn(&[u8]) -> Vec<u8>;
    let wrong: [Wrong; 4] = [
        // Another part, another version, another length, and none at all.
        |body| {
            answer(
                206,
                "ETag: \"v1\"\r\nContent-Range: bytes 1-4999/5000\r\n",
                &body[1..],
            )
        },
        |body| {
            answer(
                206,
                "ETag: \"v2\"\r\nContent-Range: bytes 2900-4999/5000\r\n",
                &body[2900..],
            )
        },
        |body| {
            answer(
                206,
                "Content-Range: bytes 2900-4999/9000\r\n",
                &body[2900..],
            )
        },
        |body| answer(206, "", body),
    ];
    for (number, wrong) in wrong.into_iter().enumerate() {
        let tries = Arc::new(AtomicUsize::new(0));
        let sent = body.clone();
        let server = Server::start_with_head(move |head| {
            let whole = honest(head, "\"v1\"", &sent);
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 => {
                    let start = whole.len() - sent.len();
                    Act::SendAndClose(whole[..start + 2_900].to_vec())
                }
                1 => Act::Send(wrong(&sent)),
                _ => Act::Send(whole),
            }
        })
        .await;
        let mut part = Part::new(tempfile::tempfile().unwrap());
        let url = SignedUrl::new(server.url("/video"));
        let fetcher = fetcher(&server);
        let first = fetcher.fetch(&url, 1 << 20, &mut part).await;
        assert!(
            matches!(first, Err(FetchError::Unavailable { .. })),
            "{number} {first:?}"
        );
        assert!(!part.can_go_on(), "{number}");
        let again = fetcher.fetch(&url, 1 << 20, &mut part).await.unwrap();
        let hash: [u8; 32] = Sha256::digest(&body).into();
        assert_eq!(again.sha256, hash, "{number}");
    }
}

#[tokio::test]
async fn a_link_that_dies_in_the_middle_is_gone_on_with_by_the_next_one() {
    let body = file(4, 90_000);
    let sent = body.clone();
    let server = Server::start_with_head(move |head| {
        let whole = honest(head, "\"v1\"", &sent);
        match (head.contains("sig=old"), header(head, "range")) {
            (true, None) => Act::SendAndClose(whole[..50_000].to_vec()),
            (true, Some(_)) => Act::Send(answer(403, "", b"<Error/>")),
            (false, _) => Act::Send(whole),
        }
    })
    .await;
    let fetcher = fetcher(&server);
    let mut part = Part::new(tempfile::tempfile().unwrap());
    let old = SignedUrl::new(server.url("/video?sig=old"));
    let died = fetcher.fetch(&old, 1 << 20, &mut part).await;
    assert_eq!(died, Err(FetchError::Gone { http: 403 }));
    assert!(part.can_go_on());
    let new = SignedUrl::new(server.url("/video?sig=new"));
    let fetched = fetcher.fetch(&new, 1 << 20, &mut part).await.unwrap();
    let hash: [u8; 32] = Sha256::digest(&body).into();
    assert_eq!((fetched.bytes, fetched.sha256), (90_000, hash));
    let last = server.requests().last().cloned().unwrap();
    assert!(header(&last, "range").is_some_and(|range| range != "bytes=0-"));
}

#[tokio::test]
async fn without_a_strong_tag_the_whole_is_fetched_again() {
    for tag in ["", "ETag: W/\"weak\"\r\n"] {
        let server = Server::start(move |_| {
            let head = format!("HTTP/1.1 200 OK\r\n{tag}Content-Length: 10\r\n\r\nfour");
            Act::SendAndClose(head.into_bytes())
        })
        .await;
        let mut part = Part::new(tempfile::tempfile().unwrap());
        let url = SignedUrl::new(server.url("/video"));
        let fetched = fetcher(&server).fetch(&url, 100, &mut part).await;
        let short = FetchError::Short {
            expected: 10,
            got: 4,
        };
        assert_eq!(fetched, Err(short));
        assert!(!part.can_go_on());
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_host_that_brings_nothing_more_is_left_after_three_tries() {
    let server = Server::start(|_| {
        Act::SendAndClose(
            b"HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 10\r\n\r\nfour".to_vec(),
        )
    })
    .await;
    let mut part = Part::new(tempfile::tempfile().unwrap());
    let url = SignedUrl::new(server.url("/video"));
    let fetched = fetcher(&server).fetch(&url, 100, &mut part).await;
    assert!(
        matches!(fetched, Err(FetchError::Short { .. })),
        "{fetched:?}"
    );
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_digest_that_the_host_announced_is_held_against_the_bytes() {
    use base64::Engine as _;
    let body = file(5, 3_000);
    let right = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&body));
    let wrong = base64::engine::general_purpose::STANDARD.encode([0_u8; 32]);
    let sent = body.clone();
    let server = Server::start(move |path| {
        let hash = if path == "/right" { &right } else { &wrong };
        Act::Send(answer(
            200,
            &format!("Repr-Digest: sha-256=:{hash}:\r\n"),
            &sent,
        ))
    })
    .await;
    let fetcher = fetcher(&server);
    for (path, comes) in [("/right", true), ("/wrong", false)] {
        let mut part = Part::new(tempfile::tempfile().unwrap());
        let url = SignedUrl::new(server.url(path));
        let fetched = fetcher.fetch(&url, 1 << 20, &mut part).await;
        match fetched {
            Ok(fetched) => assert!(comes && fetched.bytes == 3_000),
            Err(error) => assert!(!comes && error == FetchError::Altered, "{error}"),
        }
    }
}
