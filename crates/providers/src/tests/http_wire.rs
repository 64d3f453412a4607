//! What [`Http`](crate::Http) does on the wire, and above all what it does not.

use std::time::Duration;

use domain::Provider::Productai;
use tokio::net::TcpListener;

use super::server::{Act, Server, answer, chunked};
use super::{AT, CANARY, install_tls, secret, status_call, upscale};
use crate::{Call, Client, Http, HttpOptions, Outcome, Refusal, SendError};

fn options() -> HttpOptions {
    HttpOptions {
        submit_timeout: Duration::from_secs(20),
        read_timeout: Duration::from_secs(20),
        body_cap: 10_000,
        export_cap: 20_000,
        ..HttpOptions::default()
    }
}

fn http(options: HttpOptions) -> Http {
    install_tls();
    Http::new(options).unwrap()
}

fn client(base: &str) -> Client {
    Client::new(Productai, base, secret(CANARY)).unwrap()
}

async fn send(
    http: &Http,
    base: &str,
    call: &Call,
) -> Result<http::Response<bytes::Bytes>, SendError> {
    let paid = matches!(call, Call::Submit(_));
    http.send(client(base).request(call), paid).await
}

const RUNNING: &[u8] = br#"{"status":"OK","data":{"id":7,"status":"RUNNING"}}"#;

#[tokio::test]
async fn a_call_goes_out_and_its_answer_comes_back() {
    let server = Server::start(|_| Act::Send(answer(200, "", RUNNING))).await;
    let http = http(options());
    let base = server.url("/v1");
    let sent = send(&http, &base, &upscale()).await;
    let reply = client(&base).read(&upscale(), sent, AT);
    assert!(matches!(reply.outcome, Outcome::Submitted(_)), "{reply:?}");
    let head = server.requests()[0].to_lowercase();
    assert!(head.starts_with("post /v1/api/upscale http/1.1"), "{head}");
    assert!(head.contains(&format!("x-api-key: {}", CANARY.to_lowercase())));
    assert!(head.contains("user-agent: vitrine/"));
    let mut names: Vec<_> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split(':').next())
        .collect();
    names.sort_unstable();
    let expect = [
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-api-key",
    ];
    assert_eq!(names, expect);
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let server = Server::start(|path| match path {
        "/target" => Act::Send(answer(200, "", RUNNING)),
        _ => Act::Send(answer(307, "Location: /target\r\n", b"")),
    })
    .await;
    let http = http(options());
    for call in [upscale(), status_call("7")] {
        let response = send(&http, &server.url(""), &call).await.unwrap();
        assert_eq!(response.status(), 307);
    }
    let followed = server
        .requests()
        .iter()
        .any(|head| head.contains("/target"));
    assert!(!followed && server.requests().len() == 2);
}

#[tokio::test]
async fn a_dropped_connection_is_not_tried_again() {
    let server = Server::start(|_| Act::SendAndClose(Vec::new())).await;
    let http = http(options());
    for (sent, call) in [upscale(), status_call("7")].iter().enumerate() {
        let error = send(&http, &server.url(""), call).await.unwrap_err();
        assert!(matches!(error, SendError::Broken(_)), "{error:?}");
        assert_eq!(server.requests().len(), sent + 1, "sent once");
    }
}

#[tokio::test]
async fn every_paid_call_has_a_connection_of_its_own() {
    let server = Server::start(|_| Act::Send(answer(200, "", RUNNING))).await;
    let http = http(options());
    for _ in 0..2 {
        send(&http, &server.url(""), &status_call("7"))
            .await
            .unwrap();
    }
    let free = server.connections();
    assert_eq!(free, 1, "reads share a connection");
    for paid in 1..=3 {
        send(&http, &server.url(""), &upscale()).await.unwrap();
        assert_eq!(server.connections(), free + paid);
    }
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_cap() {
    let server = Server::start(|path| match path {
        "/api/job/fits" => Act::Send(chunked(&[b'x'; 10_000])),
        "/api/job/long" => Act::Send(chunked(&[b'x'; 10_001])),
        "/api/job/announced" => Act::Send(answer(200, "", &[b'x'; 10_001])),
        "/api/job/bomb" => {
            let zeros = include_bytes!("../../fixtures/zeros-8mib.gz");
            Act::Send(answer(200, "Content-Encoding: gzip\r\n", zeros))
        }
        _ => Act::Send(answer(500, "", &[b'x'; 10_001])),
    })
    .await;
    let http = http(options());
    let base = server.url("");
    assert_eq!(
        send(&http, &base, &status_call("fits"))
            .await
            .unwrap()
            .body()
            .len(),
        10_000
    );
    for id in ["long", "announced", "bomb"] {
        let error = send(&http, &base, &status_call(id)).await.unwrap_err();
        let longer = SendError::Broken("the answer is longer than 10000 bytes".to_owned());
        assert_eq!(error, longer, "{id}");
    }
    // A status that says enough is not lost with its body.
    let response = send(&http, &base, &status_call("fails")).await.unwrap();
    assert_eq!(response.status(), 500);
}

#[tokio::test]
async fn an_export_may_be_longer() {
    let server = Server::start(|_| Act::Send(chunked(&[b'x'; 20_000]))).await;
    let jakov = Client::new(domain::Provider::Jakov, &server.url(""), secret(CANARY)).unwrap();
    let export = Call::Export {
        project_id: "p".to_owned(),
        format: crate::ExportFormat::Csv,
    };
    let response = http(options())
        .send(jakov.request(&export), false)
        .await
        .unwrap();
    assert_eq!(response.body().len(), 20_000);
}

#[tokio::test]
async fn a_refusal_whose_body_breaks_off_is_still_a_refusal() {
    let torn = |status: u16| {
        format!("HTTP/1.1 {status} X\r\nContent-Length: 100\r\n\r\n{{\"na").into_bytes()
    };
    let server = Server::start(move |path| match path {
        "/api/upscale" => Act::SendAndClose(torn(400)),
        _ => Act::SendAndClose(torn(200)),
    })
    .await;
    let http = http(options());
    let base = server.url("");
    let sent = send(&http, &base, &upscale()).await;
    let reply = client(&base).read(&upscale(), sent, AT);
    assert!(
        matches!(reply.outcome, Outcome::Refused(Refusal::Invalid { .. })),
        "{reply:?}"
    );
    let error = send(&http, &base, &status_call("7")).await.unwrap_err();
    assert!(matches!(error, SendError::Broken(_)), "{error:?}");
}

#[tokio::test]
async fn what_never_connected_was_not_sent() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let http = http(options());
    for base in [
        format!("http://127.0.0.1:{port}"),
        "http://no-such-host.invalid".to_owned(),
    ] {
        let error = send(&http, &base, &upscale()).await.unwrap_err();
        assert!(matches!(error, SendError::NotSent(_)), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains(CANARY) && !text.contains("/api/upscale"),
            "{text}"
        );
    }
    // TLS to a server that speaks none, and waits for the rest of a request line.
    let server = Server::start(|_| Act::Send(answer(200, "", RUNNING))).await;
    let base = format!("https://127.0.0.1:{}", server.port);
    let short = HttpOptions {
        connect_timeout: Duration::from_millis(300),
        ..options()
    };
    let error = send(&self::http(short), &base, &upscale())
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::NotSent(_)), "{error:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn silence_after_the_request_is_a_time_out() {
    let server = Server::start(|path| match path {
        "/api/upscale" => Act::SendAndHang(Vec::new()),
        _ => Act::SendAndHang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
    })
    .await;
    let short = HttpOptions {
        submit_timeout: Duration::from_millis(150),
        read_timeout: Duration::from_millis(150),
        ..options()
    };
    let http = http(short);
    for call in [upscale(), status_call("7")] {
        let error = send(&http, &server.url(""), &call).await.unwrap_err();
        assert!(matches!(error, SendError::TimedOut(_)), "{error:?}");
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_post_without_a_body_says_so_and_a_get_says_nothing() {
    let server = Server::start(|_| Act::Send(answer(200, "", b"{}"))).await;
    let jarai = Client::new(domain::Provider::Jarai, &server.url("/v1"), secret(CANARY)).unwrap();
    let http = http(options());
    for call in [Call::RotateKey, Call::Accounts] {
        http.send(jarai.request(&call), call.acts_once())
            .await
            .unwrap();
    }
    let heads = server.requests();
    assert!(
        heads[0].to_lowercase().contains("content-length: 0"),
        "{}",
        heads[0]
    );
    assert!(
        !heads[1].to_lowercase().contains("content-length"),
        "{}",
        heads[1]
    );
}

#[tokio::test]
async fn a_call_that_cannot_be_put_on_the_wire_never_connects() {
    let server = Server::start(|_| Act::Send(answer(200, "", RUNNING))).await;
    let http = http(options());
    for call in [status_call(".."), Call::Accounts] {
        let error = send(&http, &server.url(""), &call).await.unwrap_err();
        assert!(matches!(error, SendError::NotSent(_)), "{error:?}");
    }
    assert_eq!(server.connections(), 0);
}
