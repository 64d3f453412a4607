//! Files that come home over real connections on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::{JobId, JobKind, SubmissionId};
use providers::SignedUrl;
use providers::fetch::{FetchOptions, Fetcher};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::submit::hex;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";

/// Serves one request a connection: what `answer` makes of the n-th one's head.
async fn host(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = AtomicUsize::new(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let byte = stream.read_u8().await.unwrap();
                head.push(byte);
            }
            let no = count.fetch_add(1, Ordering::SeqCst);
            let bytes = answer(no, &String::from_utf8(head).unwrap());
            let _ = stream.write_all(&bytes).await;
        }
    });
    port
}

fn answer(status: u16, headers: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

struct Place {
    bringer: Bringer,
    fetcher: Fetcher,
    port: u16,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new(port: u16) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let options = FetchOptions {
            trusted_hosts: vec![format!("127.0.0.1:{port}")],
            ..FetchOptions::default()
        };
        Self {
            bringer: Bringer {
                storage: LocalStorage::open(folder.path()).await.unwrap(),
                halves: Halves::default(),
            },
            fetcher: Fetcher::new(options).unwrap(),
            port,
            folder,
        }
    }

    fn wanted(&self, kind: &str, path: &str) -> Wanted {
        Wanted {
            job: JobId::new(JobKind::Production, 7),
            submission: SubmissionId("0190".into()),
            kind: kind.into(),
            ordinal: 0,
            url: SignedUrl::new(format!("http://127.0.0.1:{}{path}", self.port)),
            source_hash: "same".to_owned(),
            bytes: None,
            sha256: None,
        }
    }

    async fn bring(&self, wanted: &Wanted) -> Result<Stored, CaptureTrouble> {
        self.bringer
            .bring_home(
                &self.fetcher,
                &wanted.url.to_string().replace(['/', ':'], "-"),
                wanted,
            )
            .await
    }

    /// Files under temporary names.
    fn half_way(&self) -> usize {
        let incoming = self.folder.path().join(".incoming");
        std::fs::read_dir(incoming).unwrap().count()
    }
}

#[tokio::test]
async fn a_file_that_broke_off_is_gone_on_with_by_the_next_link() {
    let body: Arc<Vec<u8>> = Arc::new((0..=255).cycle().take(90_000).collect());
    let sent = Arc::clone(&body);
    let port = host(move |no, head| match no {
        0 => answer(200, "ETag: \"v1\"\r\n", 90_000, &sent[..40_000]),
        1 => answer(403, "", 8, b"<Error/>"),
        _ => {
            assert!(
                head.to_lowercase().contains("range: bytes=40000-"),
                "{head}"
            );
            let range = "ETag: \"v1\"\r\nContent-Range: bytes 40000-89999/90000\r\n";
            answer(206, range, 50_000, &sent[40_000..])
        }
    })
    .await;
    let place = Place::new(port).await;
    let died = place.bring(&place.wanted("Video", "/v?sig=old")).await;
    assert!(matches!(died, Err(CaptureTrouble::LinkDead(_))), "{died:?}");
    assert_eq!(place.half_way(), 1);
    let stored = place.bring(&place.wanted("Video", "/v?sig=new")).await;
    let stored = stored.unwrap();
    assert_eq!(stored.sha256, hex(&Sha256::digest(body.as_slice())));
    let path = stored.location.strip_prefix("file://").unwrap();
    assert_eq!(std::fs::read(path).unwrap(), *body);
    assert_eq!(place.half_way(), 0);
}

#[tokio::test]
async fn a_file_with_another_hash_than_told_is_fetched_again_and_then_kept_with_a_flag() {
    let port = host(|_, _| answer(200, "", PNG.len(), PNG)).await;
    let place = Place::new(port).await;
    let mut wanted = place.wanted("Image", "/i");
    wanted.sha256 = Some("00".repeat(32));
    let first = place.bring(&wanted).await;
    assert!(matches!(first, Err(CaptureTrouble::Later(_))), "{first:?}");
    let kept = place.bring(&wanted).await.unwrap();
    assert!(kept.quarantined);
    assert_eq!(
        (kept.shape.width, kept.shape.height),
        (Some(640), Some(480))
    );
    // One that is as told has no flag.
    wanted.sha256 = Some(hex(&Sha256::digest(PNG)).to_uppercase());
    wanted.bytes = Some(PNG.len() as u64);
    assert!(!place.bring(&wanted).await.unwrap().quarantined);
}

#[tokio::test]
async fn error_pages_empty_and_short_bodies_are_no_files_and_leave_nothing() {
    const HTML: &[u8] = b"<!DOCTYPE html><html>Sorry</html>";
    const ERROR: &[u8] = b"<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code></Error>";
    let port = host(|_, head| match head.split(' ').nth(1).unwrap() {
        "/html" => answer(200, "", HTML.len(), HTML),
        "/error" => answer(200, "", ERROR.len(), ERROR),
        "/empty" => answer(200, "", 0, b""),
        "/short" => answer(200, "", 99, PNG),
        _ => answer(200, "", PNG.len(), PNG),
    })
    .await;
    let place = Place::new(port).await;
    for (path, dead) in [
        ("/html", true),
        ("/error", true),
        ("/empty", false),
        ("/short", false),
    ] {
        let brought = place.bring(&place.wanted("Image", path)).await;
        match brought {
            Err(CaptureTrouble::LinkDead(_)) => assert!(dead, "{path}"),
            Err(CaptureTrouble::Later(_)) => assert!(!dead, "{path}"),
            other => panic!("{path} {other:?}"),
        }
    }
    let mut longer = place.wanted("Image", "/told-longer");
    longer.bytes = Some(99);
    for _ in 0..3 {
        let short = place.bring(&longer).await;
        assert!(matches!(short, Err(CaptureTrouble::Later(_))), "{short:?}");
    }
    assert_eq!(place.half_way(), 0);
    let whole = place.bring(&place.wanted("Video", "/png")).await.unwrap();
    assert!(whole.quarantined, "a picture where a film should be");
    assert!(whole.location.ends_with(".png"), "{}", whole.location);
}

#[test]
fn parts_are_kept_for_so_many_files_and_no_more() {
    let halves = Halves::default();
    let key = |n| {
        let job = JobId::new(JobKind::Image, n);
        (
            job,
            SubmissionId("s".into()),
            "Image".to_owned(),
            0,
            String::new(),
        )
    };
    assert!(halves.take(&key(1)).is_none());
    assert!(!halves.came_before(key(1), [1; 32]));
    assert!(halves.came_before(key(1), [1; 32]));
    assert!(!halves.came_before(key(1), [2; 32]), "other bytes");
    assert!(!halves.came_before(key(2), [1; 32]), "another file");
}
