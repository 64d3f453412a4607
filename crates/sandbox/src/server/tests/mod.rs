//! The server on a real socket.

mod journal;

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::faults::{FaultKind, FaultPlan};
use crate::wire::{Provider, Verb};

async fn start(options: Options) -> SandboxServer {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    SandboxServer::start(options, listener).unwrap()
}

const UPSCALE: &str = r#"{"image_url":"https://example.com/image.jpg"}"#;

#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox shares no code with the clients, and its tests call nobody else"
)]
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn get(url: &str) -> reqwest::Response {
    client().get(url).send().await.unwrap()
}

async fn json(url: &str) -> serde_json::Value {
    serde_json::from_str(&get(url).await.text().await.unwrap()).unwrap()
}

async fn post(
    server: &SandboxServer,
    path: &str,
    body: &str,
) -> reqwest::Result<reqwest::Response> {
    client()
        .post(format!("{}{path}", server.base_url()))
        .header("x-api-key", Options::default().productai.api_key)
        .header("content-type", "application/json")
        .body(body.to_owned())
        .send()
        .await
}

#[tokio::test]
async fn an_image_goes_all_the_way_over_a_real_socket() {
    let mut options = Options {
        speed: 20_000.0,
        ..Options::default()
    };
    options.productai.instant_share = 1.0;
    options.productai.link_life_ms = 3_600_000_000;
    let server = start(options).await;
    let answer = post(&server, "/productai/v1/api/upscale", UPSCALE)
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let link = answer["data"]["image_url"].as_str().unwrap();
    assert!(link.starts_with(&server.base_url()), "{link}");
    let file = get(link).await;
    assert_eq!(file.status(), 200);
    let expected = server.with(|sandbox, _| sandbox.files(Provider::Productai, "22292"));
    assert_eq!(file.bytes().await.unwrap(), expected[0].bytes);
    let head = client().head(link).send().await.unwrap();
    assert_eq!(
        head.headers()["content-length"],
        expected[0].bytes.len().to_string()
    );
    let page = json(&format!("{}/_sandbox/ledger?since=1", server.base_url())).await;
    assert_eq!(page["summary"]["requests"], 3);
    assert_eq!(page["requests"].as_array().unwrap().len(), 2);
    assert_eq!(page["summary"]["charged"]["productai"], 20);
    server.stop().await;
}

#[tokio::test]
async fn a_lost_answer_cuts_the_connection_after_the_charge() {
    let fault = FaultKind::LostAfterAccept;
    let faults = FaultPlan::once(Provider::Productai, Verb::Submit, 1, fault);
    let server = start(Options {
        faults,
        ..Options::default()
    })
    .await;
    let mut line = TcpStream::connect(server.address).await.unwrap();
    let key = Options::default().productai.api_key;
    let request = format!(
        "POST /productai/v1/api/upscale HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{UPSCALE}",
        UPSCALE.len()
    );
    line.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = line.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(
        server.with(|sandbox, _| sandbox.ledger().charged(Provider::Productai)),
        20
    );
    let second = post(&server, "/productai/v1/api/upscale", UPSCALE)
        .await
        .unwrap();
    assert_eq!(second.status(), 200);
}

#[tokio::test]
async fn a_webhook_is_sent_and_sent_again_until_it_is_answered() {
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = Options {
        speed: 100_000.0,
        ..Options::default()
    };
    options.productai.webhook_url = Some(format!("http://{}/hook", receiver.local_addr().unwrap()));
    let server = start(options).await;
    post(&server, "/productai/v1/api/upscale", UPSCALE)
        .await
        .unwrap();
    for answer in ["503 Busy", "200 OK"] {
        let (mut line, _) = receiver.accept().await.unwrap();
        let mut request = String::new();
        while !request.contains("job_id") {
            let mut buffer = [0; 1024];
            let read = line.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "{request}");
            request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        assert!(request.starts_with("POST /hook "));
        assert!(request.contains(r#""job_id":"22292""#), "{request}");
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        line.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn serving_ends_with_its_shutdown_and_not_before() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let served = tokio::spawn(serve(Options::default(), listener, stopped));
    assert_eq!(
        json(&format!("{base}/_sandbox/health")).await["status"],
        "ok"
    );
    assert_eq!(get(&format!("{base}/_sandbox/nothing")).await.status(), 404);
    assert!(!served.is_finished());
    stop.cancel();
    served.await.unwrap().unwrap();
    assert!(client().get(&base).send().await.is_err());
}

#[tokio::test]
async fn an_operator_decides_over_the_pages() {
    let mut options = Options {
        speed: 10_000.0,
        ..Options::default()
    };
    options.jarai.approval = crate::options::Approval::Never;
    let account = options.jarai.accounts[0].clone();
    let key = options.jarai.api_key.clone();
    let server = start(options).await;
    let body = serde_json::json!({
        "topic": "t",
        "languageId": account.languages[0],
        "countryId": account.countries[0],
        "avatarId": account.avatars[0],
    });
    let base = server.base_url();
    let url = format!(
        "{base}/jarai/v1/accounts/{}/productions",
        account.account_id
    );
    let request = client().post(url).header("x-api-key", key);
    let request = request
        .header("content-type", "application/json")
        .body(body.to_string());
    let answer = request.send().await.unwrap().text().await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let id = answer["productionId"].as_str().unwrap();
    let approve = format!("{base}/_sandbox/approve/{id}");
    let mut approved = false;
    // The whole production takes a tenth of a second; the page says when it waits.
    let deadline = now_ms() + 20_000;
    while !approved {
        assert!(now_ms() < deadline, "the production never waited");
        let answer = client()
            .post(&approve)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        approved = answer.contains("true");
    }
    let jobs = json(&format!("{base}/_sandbox/jobs")).await;
    assert_ne!(jobs[0]["status"], "AwaitingApproval");
    assert_eq!(jobs[0]["submitted"]["topic"], "t");
}
