//! The journal under a real server.

use super::*;
use serde_json::{Value, json as object};
use std::path::Path;

use crate::options::JaraiAccount;

async fn start_at(path: &Path, options: &Options) -> SandboxServer {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    SandboxServer::start_with_journal(options.clone(), listener, Some(path)).unwrap()
}

fn options() -> Options {
    let mut options = Options {
        speed: 1_000.0,
        ..Options::default()
    };
    options.productai.instant_share = 1.0;
    options.productai.link_life_ms = 3_600_000_000;
    options
}

/// A call with the provider's key; answers the body of what must be a success.
async fn call(
    client: &reqwest::Client,
    server: &SandboxServer,
    method: http::Method,
    path: &str,
    body: String,
) -> Value {
    let options = options();
    let (name, key) = match path.split('/').nth(1) {
        Some("jakov") => ("authorization", format!("Bearer {}", options.jakov.api_key)),
        Some("productai") => ("x-api-key", options.productai.api_key),
        _ => ("x-api-key", options.jarai.api_key),
    };
    let request = client.request(method, format!("{}{path}", server.base_url()));
    let request = request.header(name, key).body(body);
    let request = request.header("content-type", "application/json");
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// A paid submit at each of the three.
async fn submit_everywhere(client: &reqwest::Client, server: &SandboxServer) {
    let account = JaraiAccount::demo();
    let film = object!({
        "topic": "t",
        "languageId": account.languages[0],
        "countryId": account.countries[0],
        "avatarId": account.avatars[0],
    });
    let text = object!({ "projectId": "p", "products": [{ "ean": "1234567890123" }] });
    let films = format!("/jarai/v1/accounts/{}/productions", account.account_id);
    for (path, body) in [
        ("/jakov/api/v1/products", text.to_string()),
        ("/productai/v1/api/upscale", UPSCALE.to_owned()),
        (films.as_str(), film.to_string()),
    ] {
        call(client, server, http::Method::POST, path, body).await;
    }
}

fn ids(server: &SandboxServer) -> Vec<String> {
    server.with(|sandbox, now_ms| sandbox.jobs(now_ms).map(|it| it.id).collect())
}

fn book(server: &SandboxServer) -> Value {
    server.with(|sandbox, _| {
        let book = sandbox.ledger();
        object!([book.requests(), book.charges(), book.summary()])
    })
}

async fn poll_everything(client: &reqwest::Client, server: &SandboxServer) -> Vec<Value> {
    let mut answers = Vec::new();
    let jobs: Vec<_> = server.with(|sandbox, now_ms| sandbox.jobs(now_ms).collect());
    for job in jobs {
        let path = match job.provider {
            Provider::Jakov => format!("/jakov/api/v1/products?id={}", job.id),
            Provider::Productai => format!("/productai/v1/api/job/{}", job.id),
            _ => format!("/jarai/v1/productions/{}", job.id),
        };
        answers.push(call(client, server, http::Method::GET, &path, String::new()).await);
    }
    answers
}

#[tokio::test]
async fn a_dropped_server_goes_on_at_another_port() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    // The client keeps its connections open over the end of the first server.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client();
    let first = start_at(&path, &options()).await;
    submit_everywhere(&client, &first).await;
    poll_everything(&client, &first).await;
    let (then, jobs, old_base) = (book(&first), ids(&first), first.base_url());
    assert_eq!(jobs.len(), 3);
    drop(first);
    let second = start_at(&path, &options()).await;
    assert_ne!(second.base_url(), old_base);
    assert_eq!(book(&second), then);
    assert_eq!(ids(&second), jobs);
    // A connection that outlived the first server reaches nothing.
    let late = client.get(format!("{old_base}/jakov/api/v1/credits"));
    assert!(late.send().await.is_err());
    let image = jobs[1].clone();
    let path = format!("/productai/v1/api/job/{image}");
    let answer = call(&client, &second, http::Method::GET, &path, String::new()).await;
    let link = answer["data"]["image_url"].as_str().unwrap();
    assert!(link.starts_with(&second.base_url()), "{link}");
    let bytes = client
        .get(link)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let made = second.with(|sandbox, _| sandbox.files(Provider::Productai, &image));
    assert_eq!(bytes, made[0].bytes);
    // It goes on: new jobs have new ids, and every job has been charged once.
    submit_everywhere(&client, &second).await;
    let all = ids(&second);
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (6, 6));
    let charged = second.with(|sandbox, _| {
        let charges = sandbox.ledger().charges().iter();
        charges.map(|it| it.job.clone()).collect::<Vec<_>>()
    });
    assert_eq!(charged.len(), 6);
    assert!(all.iter().all(|id| charged.contains(id)));
}

#[tokio::test]
async fn a_killed_server_goes_on_from_what_its_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client();
    let first = start_at(&path, &options()).await;
    submit_everywhere(&client, &first).await;
    let then = book(&first);
    // The file at this moment, with half of a request that was not carried out yet.
    let mut left = std::fs::read(&path).unwrap();
    left.extend(br#"{"at_ms":1767268800000,"event":{"request":{"meth"#);
    let killed = folder.path().join("killed");
    std::fs::write(&killed, left).unwrap();
    let second = start_at(&killed, &options()).await;
    assert_eq!(book(&second), then);
    assert_eq!(ids(&second), ids(&first));
    let answers = poll_everything(&client, &second).await;
    assert_eq!(answers[1]["data"]["status"], "COMPLETED");
    let polled = book(&second)[0].as_array().unwrap().clone();
    assert!(
        polled.iter().all(|it| it["violations"] == object!([])),
        "{polled:?}"
    );
    let third = SandboxServer::start_with_journal(
        options(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        Some(&killed),
    );
    assert!(third.unwrap_err().to_string().ends_with("is in use"));
}
