//! What the sandbox promises, by way of its public face. Support first; the claims are in the
//! modules.

mod faults;
mod jarai;
mod samples;
mod shapes;
mod strict;
mod webhooks;
mod windows;

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use crate::ledger::{RequestEntry, Violation};
use crate::options::{JaraiAccount, Options};
use crate::sandbox::Sandbox;
use crate::wire::Delivery;

/// 2026-01-01T12:00:00Z: noon, so that no test crosses midnight by accident.
const NOON: i64 = 1_767_268_800_000;
const JSON: (&str, &str) = ("content-type", "application/json");

/// A caller with a clock that only moves when it is told to.
struct Caller {
    sandbox: Sandbox,
    options: Options,
    now_ms: i64,
}

/// What came back.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
    delivery: Delivery,
    request_no: u64,
    entry: RequestEntry,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.to_str().unwrap())
    }

    fn violations(&self) -> &[Violation] {
        &self.entry.violations
    }

    /// The status, after a check that a good answer broke no rule.
    fn clean(&self) -> u16 {
        assert_eq!(self.violations(), []);
        self.status
    }
}

impl Caller {
    fn new(options: Options) -> Self {
        Self {
            sandbox: Sandbox::new(options.clone()),
            options,
            now_ms: NOON,
        }
    }

    fn documented() -> Self {
        Self::new(Options::default())
    }

    fn wait(&mut self, ms: i64) {
        self.now_ms += ms;
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("http://sandbox{path}")
        };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let exchange = self.sandbox.handle(self.now_ms, request);
        let entry = self.sandbox.ledger().requests().last().unwrap().clone();
        let (head, body) = exchange.response.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            delivery: exchange.delivery,
            request_no: exchange.request_no,
            entry,
        }
    }

    fn jakov(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let key = format!("Bearer {}", self.options.jakov.api_key);
        let headers = [("authorization", key.as_str()), JSON];
        self.send(method, &format!("/jakov/api/v1/{path}"), &headers, body)
    }

    fn productai(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let key = self.options.productai.api_key.clone();
        let headers = [("x-api-key", key.as_str()), JSON];
        self.send(method, &format!("/productai/v1/api/{path}"), &headers, body)
    }

    fn jarai(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let key = self.options.jarai.api_key.clone();
        let headers = [("x-api-key", key.as_str()), JSON];
        self.send(method, &format!("/jarai/v1/{path}"), &headers, body)
    }

    /// Submits the documented production and answers its id.
    fn produce(&mut self) -> String {
        let path = format!("accounts/{}/productions", JaraiAccount::demo().account_id);
        let answer = self.jarai("POST", &path, &production().to_string());
        assert_eq!(answer.clean(), 202, "{:?}", answer.entry.reason);
        answer.json()["productionId"].as_str().unwrap().to_owned()
    }
}

/// The body of the documented submit.
fn production() -> Value {
    let account = JaraiAccount::demo();
    serde_json::json!({
        "topic": "Wireless headphones for the commute",
        "languageId": account.languages[0],
        "countryId": account.countries[0],
        "avatarId": account.avatars[0],
        "projectTypeSlug": "social-video-30s",
        "metadataMD": "# Headphones\n- 30 h of battery",
    })
}

/// The seed document's request of JAKOV.AI, letter by letter.
const JAKOV_SAMPLE: &str = r#"{
"projectId": "your_project_id",
"products": [
{
"ean": "1234567890123",
"clientProductId": "SKU-001"
},
{
"productName": "Wireless Headphones",
"productBrand": "SoundMax",
"clientProductId": "SKU-002"
}
]
}"#;

/// The seed document's three requests of ProductAI.photo, letter by letter.
const GENERATE_SAMPLE: &str = r#"{"model": "kontext-pro", "image_url": "https://example.com/product.jpg", "prompt": "Add sunglasses"}"#;
const TWO_IMAGES_SAMPLE: &str = r#"{
    "model": "nanobanana",
    "image_url": [
      "https://example.com/product1.jpg",
      "https://example.com/product2.jpg"
    ],
    "prompt": "Put the first image on top of the second image."
  }"#;
const UPSCALE_SAMPLE: &str = r#"{
    "image_url": "https://example.com/image.jpg"
  }"#;
