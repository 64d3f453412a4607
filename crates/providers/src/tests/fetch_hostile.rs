//! Links and hosts that want us to reach inside, or to hold a place for ever.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::install_tls;
use super::server::{Act, Server, answer};
use crate::SignedUrl;
use crate::fetch::{FetchError, FetchOptions, Fetched, Fetcher, Look, Names, Part};

const CORPUS: &str = include_str!("../../fixtures/ssrf.txt");

fn options(trusted: &[String]) -> FetchOptions {
    install_tls();
    FetchOptions {
        trusted_hosts: trusted.to_vec(),
        connect_timeout: Duration::from_millis(300),
        ..FetchOptions::default()
    }
}

async fn fetch(fetcher: &Fetcher, url: &str) -> Result<Fetched, FetchError> {
    let mut part = Part::new(tempfile::tempfile().unwrap());
    fetcher.fetch(&SignedUrl::new(url), 10_000, &mut part).await
}

/// Names that lead inside, in the ways in which a name can.
fn inside(name: &str) -> Vec<IpAddr> {
    let addresses: &[&str] = match name.split('.').next().unwrap() {
        "private" | "PRIVATE" => &["192.168.1.7"],
        "loopback" | "127" => &["127.0.0.1"],
        "metadata" => &["169.254.169.254"],
        "v6" => &["fd00:ec2::254"],
        "mapped" => &["::ffff:10.0.0.1"],
        // Nobody knows which of them would be tried.
        "mixed" => &["8.8.8.8", "10.0.0.1"],
        _ => panic!("{name} reached the resolver"),
    };
    addresses.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn two_hundred_links_to_inside_are_refused_before_any_connection() {
    let names = Names::Told(Arc::new(inside));
    let fetcher = Fetcher::with_names(options(&[]), names).unwrap();
    let cases = CORPUS.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for case in cases {
        let (why, url) = case.split_once('\t').unwrap();
        let url: String = serde_json::from_str(url).unwrap();
        let fetched = fetch(&fetcher, &url).await;
        let is_refused = matches!(
            fetched,
            Err(FetchError::Refused { .. } | FetchError::Inside)
        );
        assert!(is_refused, "{why}: {url:?} {fetched:?}");
        assert!(!format!("{fetched:?}").contains("secret"), "{url:?}");
        // Plain http to a public host may be looked at; nothing else of this may.
        if !url.to_lowercase().starts_with("http://cdn.example") {
            let look = fetcher.look(&url).await;
            let passed = matches!(look, Look::Fine | Look::Unreachable { .. });
            assert!(!passed, "{why}: {url:?} {look:?}");
        }
        count += 1;
    }
    // A connection that was tried would have failed as unavailable, or brought a file.
    assert!(count >= 200, "{count}");
}

#[tokio::test]
async fn an_image_on_a_private_address_is_refused_with_the_reason() {
    let fetcher = Fetcher::with_names(options(&[]), Names::Told(Arc::new(inside))).unwrap();
    for url in [
        "http://192.168.0.5/shoe.jpg",
        "https://localhost/shoe.jpg",
        "https://private.rebind.example/shoe.jpg",
    ] {
        let look = fetcher.look(url).await;
        let Look::Broken { code, why } = look else {
            panic!("{url} {look:?}");
        };
        assert_eq!(code, "source_private");
        assert!(why.contains("cannot reach either"), "{why}");
    }
}

/// Thirty chains of redirects: where each hop leads, and whether the file may come home.
const CHAINS: [(&[&str], bool); 30] = [
    (&["/file"], true),
    (&["/a", "/file"], true),
    (&["/a", "/b", "/file"], true),
    (&["a", "./b", "file"], true),
    (&["?x=1", "/file"], true),
    (&["//{here}/file"], true),
    (&["http://{here}/file"], true),
    (&["HTTP://{here}/file#top"], true),
    (&["/a", "/b", "/c", "/file"], false),
    (&["/a", "/b", "/c", "/d", "/file"], false),
    (&["/0"], false),
    (&["/a", "/0"], false),
    (&["http://{inside}/"], false),
    (&["/a", "http://{inside}/"], false),
    (&["/a", "/b", "http://{inside}/"], false),
    (&["//{inside}/"], false),
    (&["https://127.0.0.1/"], false),
    (&["https://127.0.0.1:1/"], false),
    (&["https://localhost/"], false),
    (&["https://2130706433/"], false),
    (&["https://[::1]/"], false),
    (&["https://[::ffff:127.0.0.1]/"], false),
    (&["https://169.254.169.254/latest/"], false),
    (&["/a", "https://169.254.169.254/latest/"], false),
    (&["https://private.rebind.example/"], false),
    (&["/a", "https://metadata.rebind.example/"], false),
    (&["file:///etc/passwd"], false),
    (&["gopher://{here}/_x"], false),
    (&["http://user:pass@{here}/file"], false),
    (&["https://8.8.8.8:22/"], false),
];

#[tokio::test]
async fn thirty_chains_of_redirects_are_checked_at_each_hop() {
    let inside_of_us = Server::start(|_| Act::Send(answer(200, "", b"secret"))).await;
    for (number, (chain, comes_home)) in CHAINS.iter().enumerate() {
        let hops: Arc<Vec<String>> = Arc::new(chain.iter().map(|hop| (*hop).to_owned()).collect());
        let place = format!("127.0.0.1:{}", inside_of_us.port);
        let step = Arc::new(AtomicUsize::new(0));
        let status = [301, 302, 303, 307, 308][number % 5];
        let count = Arc::clone(&step);
        let server = Server::start_with_port(move |port, path| {
            let at = count.fetch_add(1, Ordering::SeqCst);
            // A chain that ends at its start begins anew.
            let loops = hops.last().is_some_and(|hop| hop == "/0");
            match hops.get(if loops { at % hops.len() } else { at }) {
                Some(_) if path.contains("file") => Act::Send(answer(200, "", b"file")),
                Some(hop) => {
                    let hop = hop
                        .replace("{here}", &format!("127.0.0.1:{port}"))
                        .replace("{inside}", &place);
                    Act::Send(answer(status, &format!("Location: {hop}\r\n"), b""))
                }
                None => Act::Send(answer(200, "", b"file")),
            }
        })
        .await;
        let trusted = [format!("127.0.0.1:{}", server.port)];
        let names = Names::Told(Arc::new(inside));
        let fetcher = Fetcher::with_names(options(&trusted), names).unwrap();
        let fetched = fetch(&fetcher, &server.url("/0")).await;
        if *comes_home {
            assert_eq!(fetched.unwrap().bytes, 4, "{chain:?}");
        } else {
            let is_refused = matches!(
                fetched,
                Err(FetchError::Refused { .. } | FetchError::Inside)
            );
            assert!(is_refused, "{chain:?} {fetched:?}");
        }
    }
    assert_eq!(inside_of_us.connections(), 0);
}

#[tokio::test]
async fn a_name_that_flips_its_address_is_never_followed_inside() {
    let here = Server::start(|_| Act::Send(answer(200, "", b"secret"))).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Public at every other look; the port of the link is one of the web, and nobody answers there.
    let flips = move |_: &str| {
        let public = count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        let address = if public { "192.88.98.1" } else { "127.0.0.1" };
        vec![address.parse().unwrap()]
    };
    let fetcher = Fetcher::with_names(options(&[]), Names::Told(Arc::new(flips))).unwrap();
    for round in 0..6 {
        let fetched = fetch(&fetcher, "https://flips.example:8443/x").await;
        match round % 2 {
            // It was connected to the address that was checked, and to no other: one look at a time.
            0 => assert!(
                matches!(fetched, Err(FetchError::Unavailable { .. })),
                "{fetched:?}"
            ),
            _ => assert_eq!(fetched, Err(FetchError::Inside)),
        }
        assert_eq!(asked.load(Ordering::SeqCst), round + 1);
    }
    assert_eq!(here.connections(), 0);
}

/// What this process holds in memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1_024
}

#[tokio::test]
async fn a_gigabyte_of_zeros_is_stored_without_growing_and_refused_where_it_is_too_large() {
    const GIGABYTE: u64 = 1 << 30;
    let server = Server::start(|path| match path {
        "/told" => Act::Zeros(Some(GIGABYTE)),
        _ => Act::Zeros(None),
    })
    .await;
    let trusted = [format!("127.0.0.1:{}", server.port)];
    let fetcher = Fetcher::new(options(&trusted)).unwrap();
    let before = resident();
    let limit = fetcher.limit_of("Image");
    for path in ["/told", "/endless"] {
        let mut part = Part::new(tempfile::tempfile().unwrap());
        let url = SignedUrl::new(server.url(path));
        let fetched = fetcher.fetch(&url, limit, &mut part).await;
        assert!(matches!(fetched, Err(FetchError::Refused { .. })));
        assert!(part.bytes() <= limit + (1 << 20), "{}", part.bytes());
    }
    let mut part = Part::new(tempfile::tempfile().unwrap());
    let url = SignedUrl::new(server.url("/told"));
    let video = fetcher.limit_of("Video");
    let fetched = fetcher.fetch(&url, video, &mut part).await.unwrap();
    assert_eq!(fetched.bytes, GIGABYTE);
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more than before");
}

#[tokio::test]
async fn a_byte_now_and_then_frees_its_place_while_others_come_home() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n";
    let server = Server::start(|path| match path {
        "/slow" => Act::Drip(head.to_vec()),
        _ => Act::Send(answer(200, "", &[7; 9_000])),
    })
    .await;
    let trusted = [format!("127.0.0.1:{}", server.port)];
    let slow = FetchOptions {
        // A byte each 5 ms is 200 a second.
        slowest: 20_000,
        pace: Duration::from_millis(200),
        ..options(&trusted)
    };
    let fetcher = Fetcher::new(slow).unwrap();
    let url = server.url("/slow");
    let slow = fetch_long(&fetcher, &url);
    let others = async {
        for _ in 0..20 {
            let whole = fetch(&fetcher, &server.url("/whole")).await.unwrap();
            assert_eq!(whole.bytes, 9_000);
        }
    };
    let (slow, ()) = tokio::join!(slow, others);
    let Err(FetchError::Unavailable { reason }) = slow else {
        panic!("{slow:?}");
    };
    assert!(reason.contains("too slowly"), "{reason}");
}

async fn fetch_long(fetcher: &Fetcher, url: &str) -> Result<Fetched, FetchError> {
    let mut part = Part::new(tempfile::tempfile().unwrap());
    fetcher
        .fetch(&SignedUrl::new(url), 99_999_999, &mut part)
        .await
}
