//! Histories about jobs in doubt: what evidence settles, what it must not settle, and what is told.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use domain::{ImageInput, Input, JobId, JobKind, Status};
use sandbox::{FaultKind, FaultPlan, FaultRule, Provider, Verb, When};
use serde_json::{Value, json};
use store::{Job, NewJob};

use crate::accounts::BASE;
use crate::checks::check;
use crate::faults::{Chances, Faults};
use crate::rows;
use crate::summary::Summary;
use crate::world::{Builder, Outside, World};

fn id(kind: JobKind, id: i64) -> JobId {
    JobId { kind, id }
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn submits(provider: Provider, when: When, kind: FaultKind) -> FaultRule {
    FaultRule {
        provider: Some(provider),
        verb: Some(Verb::Submit),
        when,
        kind,
    }
}

fn faults(rules: &[FaultRule]) -> Faults {
    Faults {
        plan: FaultPlan {
            rules: rules.to_vec(),
        },
        ..Faults::none()
    }
}

fn image(n: usize, prompt: &str) -> NewJob {
    NewJob {
        input: Some(Input::Image(ImageInput {
            model: Some("nanobanana".to_owned()),
            prompt: Some(prompt.to_owned()),
            image_url: Some(format!("https://images.example/{n}.jpg")),
            ..ImageInput::default()
        })),
        ..NewJob::default()
    }
}

fn job(summary: &Summary, id: JobId) -> &Job {
    summary.jobs.iter().find(|job| job.id == id).unwrap()
}

/// What the timeline of a job says under this word.
fn told<'a>(summary: &'a Summary, id: JobId, event: &str) -> Vec<&'a Value> {
    let lines = summary.timeline.iter();
    lines
        .filter(|line| line.job == id && line.event == event)
        .map(|line| &line.detail)
        .collect()
}

/// How often a row's image was accepted, by the picture that it sent.
fn accepted(summary: &Summary, job: &Job) -> usize {
    let ours = source(job);
    let remote = summary.remote.iter();
    remote
        .filter(|remote| remote.text("image_url") == Some(&ours))
        .count()
}

fn source(job: &Job) -> String {
    match &job.input {
        Input::Image(input) => input.image_url.clone().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Jobs that took a remote job for theirs which is another's, told by the picture that was sent.
fn wrongly_adopted(summary: &Summary) -> Vec<JobId> {
    let is_wrong = |job: &&Job| {
        let Some(remote) = job.work.state.remote() else {
            return false;
        };
        let theirs = summary.remote.iter().find(|r| r.id == remote.id).unwrap();
        theirs.text("image_url") != Some(&source(job))
    };
    let wrong = summary.jobs.iter().filter(is_wrong);
    wrong.map(|job| job.id).collect()
}

/// Submissions that evidence settled.
fn proven(summary: &Summary) -> usize {
    let accepted = summary
        .timeline
        .iter()
        .filter(|line| line.event == "accepted");
    accepted
        .filter(|line| line.detail.get("evidence").is_some())
        .count()
}

/// What a foreign client of the same key sends, and the ids that it got.
#[derive(Clone, Default)]
struct Foreign {
    ids: Rc<RefCell<BTreeSet<String>>>,
}

impl Foreign {
    /// Another image of that prompt, every so often for so long.
    fn asks(&self, mut world: Builder, prompt: &str, every: u64, until: u64) -> Builder {
        for (n, second) in (1..until)
            .step_by(usize::try_from(every).unwrap())
            .enumerate()
        {
            let (ids, prompt) = (self.ids.clone(), prompt.to_owned());
            let happens = Outside::Provider(Box::new(move |provider, now| {
                let key = sandbox::Options::default().productai.api_key;
                let body = json!({
                    "model": "nanobanana",
                    "prompt": prompt,
                    "image_url": format!("https://elsewhere.example/{n}.jpg"),
                });
                let request = http::Request::post(format!("{BASE}/productai/v1/api/generate"))
                    .header("x-api-key", key)
                    .header("content-type", "application/json")
                    .body(Bytes::from(body.to_string()))
                    .unwrap();
                let exchange = provider.handle(now, request);
                // What befalls our answers befalls theirs.
                let answer = serde_json::from_slice::<Value>(exchange.response.body());
                let id = answer
                    .unwrap_or_default()
                    .pointer("/data/id")
                    .and_then(Value::as_u64);
                ids.borrow_mut().extend(id.map(|id| id.to_string()));
            }));
            world = world.at(Duration::from_secs(second), happens);
        }
        world
    }
}

/// ProductAI with room for a foreign client beside ours.
fn roomy(world: Builder, per_minute: u64) -> Builder {
    world
        .webhooks()
        .options(|options| options.productai.requests_per_minute = 10_000)
        .accounts(move |accounts| {
            let minute = Duration::from_secs(60);
            let limit = u32::try_from(per_minute).unwrap();
            accounts[1].limits.groups = vec![(
                "all".to_owned(),
                vec![domain::Window::rolling(limit, minute)],
            )];
        })
}

#[test]
fn without_evidence_a_lost_answer_is_never_submitted_again() {
    let lost = |provider| submits(provider, When::Nth(2), FaultKind::LostAfterAccept);
    let rules = [lost(Provider::Productai), lost(Provider::Jarai)];
    let summary = World::of(21)
        .rows(rows::some(0, 4, 2))
        .faults(faults(&rules))
        .end(Duration::from_secs(40 * 86_400))
        .play(Chances::none());
    check(&summary);
    assert_eq!(summary.in_doubt(), 2);
    for held in summary
        .jobs
        .iter()
        .filter(|job| job.work.status() == Status::InDoubt)
    {
        assert_eq!(held.work.attempt, 1);
        let looks = told(&summary, held.id, "evidence_looked");
        assert_eq!(looks.len(), 1, "told once: {looks:#?}");
        assert_eq!(looks[0]["found"], "nothing");
        assert_eq!(looks[0]["looked_at"], "webhooks");
    }
}

#[test]
fn every_text_in_doubt_that_was_completed_resolves_and_the_rest_says_what_was_looked_at() {
    let (mut resolved, mut held) = (0, 0);
    for seed in 30..34 {
        let lost = submits(
            Provider::Jakov,
            When::Share(0.3),
            FaultKind::LostAfterAccept,
        );
        let summary = World::of(seed)
            .rows(rows::some(40, 0, 0))
            .faults(faults(&[lost]))
            .options(|options| {
                options.jakov.not_found_share = 0.2;
                options.jakov.failed_share = 0.1;
            })
            .play(Chances::none());
        // I7: no completed product is left in doubt.
        check(&summary);
        resolved += proven(&summary);
        for job in summary
            .jobs
            .iter()
            .filter(|job| job.work.status() == Status::InDoubt)
        {
            let looks = told(&summary, job.id, "evidence_looked");
            assert_eq!(looks.len(), 1, "{} {looks:#?}", job.id);
            assert_eq!(looks[0]["looked_at"], "export");
            assert_eq!(looks[0]["found"], "nothing");
            held += 1;
        }
    }
    assert!(
        resolved > 10 && held > 5,
        "{resolved} resolved, {held} held"
    );
}

#[test]
fn a_webhook_with_our_reference_proves_a_text() {
    let lost = submits(Provider::Jakov, When::Nth(1), FaultKind::LostAfterAccept);
    let summary = World::of(41)
        .rows(rows::some(1, 0, 0))
        .faults(faults(&[lost]))
        .webhooks()
        // The export would tell as well, much later.
        .accounts(|accounts| accounts[0].timing.evidence_first = minutes(60))
        .play(Chances::none());
    check(&summary);
    assert_eq!(summary.completed(), 1, "{:#?}", summary.jobs);
    let adopted = told(&summary, id(JobKind::Description, 1), "accepted");
    assert_eq!(adopted[0]["evidence"]["source"], "webhook");
}

#[test]
fn a_webhook_and_one_read_prove_an_image() {
    for chances in [Chances::none(), Chances::crashes()] {
        let lost = submits(
            Provider::Productai,
            When::Nth(2),
            FaultKind::LostAfterAccept,
        );
        let summary = World::of(42)
            .rows(rows::some(0, 3, 0))
            .faults(faults(&[lost]))
            .webhooks()
            .play(chances);
        check(&summary);
        if summary.crashes.is_empty() {
            assert_eq!(summary.completed(), 3, "{:#?}", summary.jobs);
            assert_eq!(proven(&summary), 1);
        }
    }
}

#[test]
fn a_queued_webhook_proves_a_production_unless_a_foreign_client_makes_some_too() {
    for (foreign, completed) in [(false, 2), (true, 1)] {
        let lost = submits(Provider::Jarai, When::Nth(1), FaultKind::LostAfterAccept);
        let mut world = World::of(43)
            .rows(rows::some(0, 0, 2))
            .faults(faults(&[lost]))
            .webhooks();
        if foreign {
            let happens = Outside::Provider(Box::new(|provider, now| {
                let demo = sandbox::JaraiAccount::demo();
                let body = json!({
                    "topic": "another topic",
                    "languageId": demo.languages[0],
                    "countryId": demo.countries[0],
                    "avatarId": demo.avatars[0],
                });
                let url = format!("{BASE}/jarai/v1/accounts/{}/productions", demo.account_id);
                let request = http::Request::post(url)
                    .header("X-API-Key", sandbox::Options::default().jarai.api_key)
                    .header("content-type", "application/json")
                    .body(Bytes::from(body.to_string()))
                    .unwrap();
                let answer = provider.handle(now, request);
                assert_eq!(answer.response.status(), http::StatusCode::ACCEPTED);
            }));
            world = world.at(Duration::from_secs(90), happens);
        }
        let summary = world.play(Chances::none());
        assert_eq!(summary.violations, Vec::<String>::new());
        assert_eq!(summary.completed(), completed, "{:#?}", summary.jobs);
        assert_eq!(summary.in_doubt(), 2 - completed);
    }
}

/// The bar: 1,000 image jobs with one identical prompt, 5 % of the answers lost, and a foreign client.
#[test]
fn a_thousand_identical_prompts_and_a_foreign_client_make_no_wrong_adoption() {
    const PROMPT: &str = "on a white background";
    let jobs = (0..1_000).map(|n| image(n, PROMPT)).collect();
    let rules = [
        submits(
            Provider::Productai,
            When::Share(0.03),
            FaultKind::LostAfterAccept,
        ),
        submits(
            Provider::Productai,
            When::Share(0.02),
            FaultKind::ResetBefore,
        ),
    ];
    let world = roomy(World::of(44).rows(jobs).faults(faults(&rules)), 600);
    let foreign = Foreign::default();
    let summary = foreign.asks(world, PROMPT, 20, 7_200).play(Chances::none());
    assert_eq!(wrongly_adopted(&summary), []);
    assert!(
        foreign.ids.borrow().len() > 100,
        "the foreign client was there"
    );
    let in_doubt = summary.in_doubt();
    assert!((20..100).contains(&in_doubt), "{in_doubt} in doubt");
    assert_eq!(summary.completed() + in_doubt, 1_000);
    for job in &summary.jobs {
        assert!(accepted(&summary, job) <= 1, "{} was sent twice", job.id);
    }
    let with_candidates = summary.jobs.iter().filter(|job| {
        let fault = job.work.state.fault();
        fault.is_some_and(|fault| fault.code == "candidates")
    });
    assert!(with_candidates.count() > 0, "people see candidates");
}

#[test]
fn a_foreign_client_with_prompts_of_its_own_hinders_nothing() {
    let jobs = (0..200)
        .map(|n| image(n, &format!("shoe {n} on a table")))
        .collect();
    let rules = [
        submits(
            Provider::Productai,
            When::Share(0.1),
            FaultKind::LostAfterAccept,
        ),
        submits(
            Provider::Productai,
            When::Share(0.05),
            FaultKind::ResetBefore,
        ),
    ];
    let world = roomy(World::of(45).rows(jobs).faults(faults(&rules)), 600);
    let foreign = Foreign::default();
    let summary = foreign
        .asks(world, "a hat", 15, 3_600)
        .play(Chances::none());
    assert_eq!(wrongly_adopted(&summary), []);
    assert!(proven(&summary) > 5, "{} were proven", proven(&summary));
    for job in summary
        .jobs
        .iter()
        .filter(|job| job.work.status() == Status::InDoubt)
    {
        let done = summary.remote.iter().any(|remote| {
            remote.text("image_url") == Some(&source(job)) && remote.status == "COMPLETED"
        });
        assert!(
            !done,
            "{} was completed, and nobody else asked for its prompt",
            job.id
        );
    }
}

#[test]
fn a_stranger_that_asks_for_our_prompt_again_and_again_is_no_evidence() {
    let never_arrives = submits(Provider::Productai, When::Nth(1), FaultKind::ResetBefore);
    let world = World::of(46)
        .rows(vec![image(1, "a boot")])
        .faults(faults(&[never_arrives]));
    let foreign = Foreign::default();
    let summary = foreign
        .asks(roomy(world, 60), "a boot", 40, 900)
        .play(Chances::none());
    assert_eq!(wrongly_adopted(&summary), []);
    assert_eq!(summary.in_doubt(), 1);
}

#[test]
fn what_was_given_up_and_had_been_accepted_is_adopted_and_booked() {
    let lost = submits(
        Provider::Productai,
        When::Nth(1),
        FaultKind::LostAfterAccept,
    );
    let shot = id(JobKind::Image, 1);
    let summary = World::of(47)
        .rows(vec![image(1, "a boot")])
        .faults(faults(&[lost]))
        .options(|options| options.productai.duration_median_ms = 300_000)
        .webhooks()
        .at(
            Duration::from_secs(80),
            Outside::Command(shot, "resolve", Some("give_up")),
        )
        // Nothing is left to do by then but to hear of it.
        .at(minutes(20), Outside::Provider(Box::new(|_, _| {})))
        .end(minutes(60))
        .play(Chances::none());
    check(&summary);
    assert_eq!(
        job(&summary, shot).work.status(),
        Status::Completed,
        "{:#?}",
        summary.history
    );
    assert_eq!(told(&summary, shot, "accepted_late").len(), 1);
}

#[test]
fn what_was_sent_again_and_had_been_accepted_is_booked_and_shown() {
    let lost = submits(Provider::Jakov, When::Nth(1), FaultKind::LostAfterAccept);
    let text = id(JobKind::Description, 1);
    let summary = World::of(48)
        .rows(rows::some(1, 0, 0))
        .faults(faults(&[lost]))
        .options(|options| options.jakov.duration_median_ms = 400_000)
        .webhooks()
        .at(
            Duration::from_secs(80),
            Outside::Command(text, "resolve", Some("resubmit")),
        )
        .end(minutes(120))
        .play(Chances::none());
    assert_eq!(summary.remote.len(), 2, "a person wanted it twice");
    let done = job(&summary, text);
    assert_eq!(done.work.status(), Status::Completed);
    assert_eq!(
        told(&summary, text, "accepted_late").len(),
        1,
        "{:#?}",
        summary.history
    );
    assert!(
        done.warning
            .as_ref()
            .unwrap()
            .contains("accepted after all"),
        "{:?}",
        done.warning
    );
    assert_eq!(done.work.credits, Some(2));
    let booked: i64 = summary.spent.iter().map(|spent| spent.credits).sum();
    assert_eq!(booked, 2);
}

#[test]
fn an_account_that_resubmits_waits_for_evidence_first() {
    let rules = [
        submits(Provider::Jakov, When::Nth(1), FaultKind::LostAfterAccept),
        submits(Provider::Productai, When::Nth(1), FaultKind::ResetBefore),
    ];
    let summary = World::of(49)
        .rows(rows::some(1, 1, 0))
        .faults(faults(&rules))
        .webhooks()
        .accounts(|accounts| {
            for account in accounts {
                account.policy.resubmit_in_doubt = true;
            }
        })
        .play(Chances::none());
    check(&summary);
    assert_eq!(summary.completed(), 2, "{:#?}", summary.jobs);
    // The text was proven in time; the image was sent again, with the reason.
    assert!(told(&summary, id(JobKind::Description, 1), "resolved").is_empty());
    let image = id(JobKind::Image, 1);
    let why = told(&summary, image, "resolved");
    assert!(
        why[0]["why"]
            .as_str()
            .unwrap()
            .contains("in_doubt = \"resubmit\""),
        "{why:#?}"
    );
    let line = |event: &str| {
        let lines = summary.timeline.iter().filter(|line| line.job == image);
        lines
            .filter(|line| line.event == event)
            .map(|line| line.at)
            .next()
            .unwrap()
    };
    let waited = line("resolved").since(line("submit_planned"));
    assert!(waited >= Duration::from_secs(660), "{waited:?}");
}

#[test]
fn one_remote_job_is_never_adopted_for_two() {
    let lost = submits(
        Provider::Productai,
        When::Between(1, 2),
        FaultKind::LostAfterAccept,
    );
    let adopt = |job, after| {
        let command = Outside::Command(id(JobKind::Image, job), "resolve", Some("adopt:22292"));
        (Duration::from_secs(after), command)
    };
    let mut world = World::of(50)
        .rows(rows::some(0, 2, 0))
        .faults(faults(&[lost]));
    for (after, command) in [adopt(1, 300), adopt(2, 300), adopt(2, 600)] {
        world = world.at(after, command);
    }
    let summary = world.play(Chances::none());
    assert_eq!(
        (summary.completed(), summary.in_doubt()),
        (1, 1),
        "{:#?}",
        summary.jobs
    );
}
