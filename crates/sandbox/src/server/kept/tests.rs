//! The journal without a socket: kills, torn lines and clocks that are set back, in virtual time.

use super::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

use crate::faults::FaultPlan;
use crate::ledger::Violation;
use crate::options::{Approval, JaraiAccount};
use crate::wire::Provider;

/// 2026-01-01T12:00:00Z.
const NOON: i64 = 1_767_268_800_000;

/// A folder with the journal of a sandbox that is still running.
struct Story {
    folder: TempDir,
    options: Options,
    kept: Kept,
    now_ms: i64,
}

impl Story {
    fn new(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(options.clone(), &folder.path().join("journal"), NOON).unwrap();
        Self {
            folder,
            options,
            kept,
            now_ms: NOON,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let options = &self.options;
        let key = match path.split('/').nth(1) {
            Some("jakov") => ("authorization", format!("Bearer {}", options.jakov.api_key)),
            Some("productai") => ("x-api-key", options.productai.api_key.clone()),
            _ => ("x-api-key", options.jarai.api_key.clone()),
        };
        let request = Request::builder().method(method).uri(path);
        let request = request.header(key.0, key.1);
        let request = request.header("content-type", "application/json");
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let exchange = self.kept.handle(self.now_ms, request).unwrap();
        let body = serde_json::from_slice(exchange.response.body()).unwrap_or_default();
        (exchange.response.status().as_u16(), body)
    }

    fn product(&mut self, name: &str) -> String {
        let body = json!({ "projectId": "p", "products": [{ "productName": name }] });
        self.send("POST", "/jakov/api/v1/products", &body.to_string());
        self.last_id(Provider::Jakov)
    }

    fn image(&mut self) -> String {
        let body = r#"{"image_url":"https://example.com/image.jpg"}"#;
        self.send("POST", "/productai/v1/api/upscale", body);
        self.last_id(Provider::Productai)
    }

    fn production(&mut self) -> String {
        let account = JaraiAccount::demo();
        let path = format!("/jarai/v1/accounts/{}/productions", account.account_id);
        let body = json!({
            "topic": "t",
            "languageId": account.languages[0],
            "countryId": account.countries[0],
            "avatarId": account.avatars[0],
        });
        self.send("POST", &path, &body.to_string());
        self.last_id(Provider::Jarai)
    }

    fn last_id(&self, provider: Provider) -> String {
        let jobs = self.kept.sandbox().jobs(self.now_ms);
        let jobs = jobs.filter(|it| it.provider == provider);
        jobs.last().map(|it| it.id).unwrap_or_default()
    }

    fn last_violations(&self) -> Vec<Violation> {
        let entry = self.kept.sandbox().ledger().requests().last();
        entry.unwrap().violations.clone()
    }

    /// What `kill -9` leaves is the file as it is at this moment: the story goes on from a copy.
    fn kill(mut self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::copy(self.path(), &path).unwrap();
        self.kept = Kept::open(self.options.clone(), &path, self.now_ms).unwrap();
        self.folder = folder;
        self
    }

    fn open(&self, options: Options) -> String {
        let path = self.path();
        Kept::open(options, &path, self.now_ms)
            .unwrap_err()
            .to_string()
    }
}

fn one_random_step(story: &mut Story, rng: &mut fastrand::Rng, production: &str) {
    match rng.u8(..12) {
        0 => drop(story.product("name")),
        1 => drop(story.image()),
        2 => drop(story.production()),
        3 => {
            let id = story.last_id(Provider::Jakov);
            story.send("GET", &format!("/jakov/api/v1/products?id={id}"), "");
        }
        4 | 5 => {
            let id = story.last_id(Provider::Productai);
            let (_, body) = story.send("GET", &format!("/productai/v1/api/job/{id}"), "");
            if let Some(link) = body["data"]["image_url"].as_str() {
                story.send("GET", link.strip_prefix("http://here").unwrap(), "");
            }
        }
        6 => drop(story.send("GET", &format!("/jarai/v1/productions/{production}"), "")),
        7 => drop(story.kept.approve(story.now_ms, production).unwrap()),
        8 => drop(story.kept.reject(story.now_ms, production).unwrap()),
        9 => drop(story.send("GET", "/nowhere?a=%20b", "é")),
        10 => {
            let last = story.kept.sandbox().ledger().requests().len() as u64;
            story.kept.answer_lost(story.now_ms, last).unwrap();
        }
        _ => {
            for webhook in story.kept.due_webhooks(story.now_ms).unwrap() {
                let status = [None, Some(200), Some(503)][rng.usize(..3)];
                let no = webhook.delivery_no;
                story
                    .kept
                    .webhook_answered(story.now_ms, no, status)
                    .unwrap();
            }
        }
    }
}

#[test]
fn a_sandbox_from_its_journal_is_the_same_to_the_last_detail() {
    for seed in 0..12 {
        let mut options = Options::from_seed(seed);
        options.base_url = "http://here".to_owned();
        options.faults = FaultPlan::from_seed(seed, 0.05);
        options.jakov.webhook_url = Some("http://there/a".to_owned());
        options.productai.webhook_url = Some("http://there/b".to_owned());
        options.jarai.webhook_url = Some("http://there/c".to_owned());
        let mut story = Story::new(options);
        let mut rng = fastrand::Rng::with_seed(seed);
        let production = story.production();
        for _ in 0..150 {
            one_random_step(&mut story, &mut rng, &production);
            // Now and then the clock is set back.
            story.now_ms += rng.i64(-500..20_000);
        }
        let copy = story.folder.path().join("copy");
        std::fs::copy(story.path(), &copy).unwrap();
        story.kept.resume(story.now_ms).unwrap();
        let again = Kept::open(story.options.clone(), &copy, story.now_ms).unwrap();
        assert_eq!(again.last_ms, story.kept.last_ms);
        let (then, now) = (story.kept.sandbox(), again.sandbox());
        assert!(then.ledger().requests().len() > 60);
        assert_eq!(format!("{now:?}"), format!("{then:?}"), "seed {seed}");
    }
}

#[test]
fn an_answer_that_the_killed_caller_may_not_have_kept_may_be_asked_for_again() {
    let mut story = Story::new(Options::default());
    let (old, new) = (story.product("old"), story.product("new"));
    let read = |id: &str| format!("/jakov/api/v1/products?id={id}");
    story.now_ms += 3_600_000;
    assert_eq!(story.send("GET", &read(&old), "").1["status"], "completed");
    story.now_ms += LAST_ANSWERS_MS + 1;
    assert_eq!(story.send("GET", &read(&new), "").1["status"], "completed");
    let mut story = story.kill();
    story.now_ms += 60_000;
    assert_eq!(story.send("GET", &read(&new), "").1["status"], "completed");
    assert_eq!(story.last_violations(), []);
    // A second kill does not forget that the first one was forgiven.
    let requests = story.kept.sandbox().ledger().requests().len();
    story.now_ms += LAST_ANSWERS_MS + 1;
    story.send("GET", "/jakov/api/v1/credits", "");
    let mut story = story.kill();
    let book = story.kept.sandbox().ledger();
    assert_eq!(book.requests()[requests - 1].violations, []);
    for id in [old, new] {
        story.send("GET", &read(&id), "");
        assert_eq!(story.last_violations(), [Violation::PollAfterTerminal]);
    }
}

#[test]
fn a_webhook_on_its_way_at_the_kill_is_sent_again() {
    let mut options = Options::default();
    options.productai.webhook_url = Some("http://there/hook".to_owned());
    let mut story = Story::new(options);
    story.image();
    story.image();
    story.now_ms += 3_600_000;
    let sent = story.kept.due_webhooks(story.now_ms).unwrap();
    let [heard, unheard] = sent.as_slice() else {
        panic!("{sent:?}");
    };
    let no = heard.delivery_no;
    story
        .kept
        .webhook_answered(story.now_ms, no, Some(200))
        .unwrap();
    let mut story = story.kill();
    assert!(story.kept.due_webhooks(story.now_ms).unwrap().is_empty());
    story.now_ms += 60_000;
    let again = story.kept.due_webhooks(story.now_ms).unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!((&again[0].job, again[0].attempt), (&unheard.job, 2));
    assert_ne!(again[0].delivery_no, unheard.delivery_no);
}

#[test]
fn a_decision_of_the_operator_survives() {
    let mut options = Options::default();
    options.jarai.approval = Approval::Never;
    let mut story = Story::new(options);
    let id = story.production();
    story.now_ms += 500_000;
    while !story.kept.approve(story.now_ms, &id).unwrap() {
        story.now_ms += 10_000;
        assert!(story.now_ms < NOON + 86_400_000, "it never waited");
    }
    let story = story.kill();
    let job = story.kept.sandbox().jobs(story.now_ms).next().unwrap();
    assert_eq!(job.status, "Distributing");
}

#[test]
fn time_does_not_run_backwards_over_a_kill() {
    let mut story = Story::new(Options::default());
    story.image();
    story.now_ms -= 7_200_000;
    let mut story = story.kill();
    let id = story.image();
    let job = story.kept.sandbox().jobs(NOON).find(|it| it.id == id);
    assert_eq!(job.unwrap().created_ms, NOON);
    assert_eq!(story.kept.time(story.now_ms), NOON);
}

#[test]
fn half_a_last_line_is_dropped_and_written_over() {
    let mut story = Story::new(Options::default());
    let first = story.image();
    let whole = std::fs::read(story.path()).unwrap();
    let second = story.image();
    let both = std::fs::read(story.path()).unwrap();
    let killed = story.folder.path().join("killed");
    for torn in whole.len()..both.len() {
        std::fs::write(&killed, &both[..torn]).unwrap();
        let again = Kept::open(story.options.clone(), &killed, NOON).unwrap();
        let ids: Vec<_> = again.sandbox().jobs(NOON).map(|it| it.id).collect();
        assert_eq!(ids, [first.as_str()]);
        assert_eq!(std::fs::read(&killed).unwrap(), whole);
    }
    std::fs::write(story.path(), &both[..both.len() - 9]).unwrap();
    let mut story = story.kill();
    assert_eq!(story.image(), second);
    assert_eq!(story.kill().kept.sandbox().ledger().charges().len(), 2);
}

#[test]
fn a_journal_of_another_history_is_refused() {
    let mut story = Story::new(Options {
        speed: 0.1 + 0.2,
        ..Options::default()
    });
    story.image();
    assert!(story.open(story.options.clone()).ends_with("is in use"));
    story.kept.end();
    let other = Options {
        seed: 7,
        ..story.options.clone()
    };
    let said = story.open(other);
    assert!(
        said.ends_with("it was written with seed 1, and this start has 7"),
        "{said}"
    );
    let other = Options {
        speed: 0.3,
        ..story.options.clone()
    };
    let said = story.open(other);
    assert!(
        said.contains("with speed 0.30000000000000004, and"),
        "{said}"
    );
    let text = std::fs::read_to_string(story.path()).unwrap();
    std::fs::write(story.path(), format!("{text}{{}}\n{text}")).unwrap();
    let said = story.open(story.options.clone());
    assert!(said.starts_with("line 3 of the journal "), "{said}");
    std::fs::write(story.path(), "id,name\n").unwrap();
    let said = story.open(story.options.clone());
    assert!(said.starts_with("line 1 of the journal "), "{said}");
}

#[test]
fn what_cannot_be_written_is_not_done() {
    let mut story = Story::new(Options::default());
    story.image();
    story.kept.end();
    let request = Request::post("/productai/v1/api/upscale").body(Bytes::new());
    story.kept.handle(NOON, request.unwrap()).unwrap_err();
    story.kept.approve(NOON, "x").unwrap_err();
    assert_eq!(story.kept.sandbox().ledger().requests().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_journal_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let story = Story::new(Options::default());
    let mode = std::fs::metadata(story.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
