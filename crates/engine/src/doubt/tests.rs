//! What fits what, one fact after the other.

use std::time::Duration;

use domain::{
    DescriptionInput, ImageInput, Input, JobId, JobKind, ProductionInput, SubmissionId, Timestamp,
};
use providers::RemoteJob;

use super::fit::{Doubt, Fit, Reading, Source, Standing, Unclaimed, fit};
use super::weigh::{Table, Weighed};

const PLANNED: i64 = 1_700_000_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(PLANNED + seconds * 1_000)
}

fn doubt(input: Input, place: Option<&str>) -> Doubt {
    let kind = match input {
        Input::Description(_) => JobKind::Description,
        Input::Image(_) => JobKind::Image,
        Input::Production(_) => JobKind::Production,
    };
    Doubt {
        job: JobId::new(kind, 1),
        submission: SubmissionId("s1".to_owned()),
        account: "a".to_owned(),
        standing: Standing::InDoubt,
        input,
        client_ref: Some("SKU-1".to_owned()),
        place: place.map(str::to_owned),
        planned_at: at(0),
        closes_at: at(120),
        timeout: Duration::from_secs(60),
    }
}

fn found(change: impl FnOnce(&mut Unclaimed)) -> Unclaimed {
    let mut found = Unclaimed {
        remote: RemoteJob::named("r1".to_owned()),
        source: Source::Webhook,
        heard_at: at(40),
        born_at: None,
        place: None,
        hook: Some(1),
        read: Reading::NotNeeded,
    };
    change(&mut found);
    found
}

fn text() -> Input {
    Input::Description(DescriptionInput {
        ean: Some("4006381333931".to_owned()),
        ..DescriptionInput::default()
    })
}

fn image(operation: &str, prompt: Option<&str>) -> Input {
    Input::Image(ImageInput {
        operation: operation.to_owned(),
        prompt: prompt.map(str::to_owned),
        ..ImageInput::default()
    })
}

#[test]
fn a_text_is_known_by_its_reference_unless_anything_speaks_against_it() {
    let ours = doubt(text(), Some("p1"));
    type Change = fn(&mut Unclaimed);
    let table: &[(&str, Change, Fit)] = &[
        ("it carries the reference", |_| {}, Fit::Reference),
        (
            "another reference",
            |f| f.remote.client_product_id = Some("SKU-2".into()),
            Fit::No,
        ),
        (
            "no reference",
            |f| f.remote.client_product_id = None,
            Fit::No,
        ),
        ("another project", |f| f.place = Some("p2".into()), Fit::No),
        (
            "another product",
            |f| f.remote.ean = Some("4006381333932".into()),
            Fit::No,
        ),
        (
            "the same product",
            |f| f.remote.ean = Some("04006381333931".into()),
            Fit::Reference,
        ),
        (
            "made long before",
            |f| f.remote.created_at = Some(at(-61)),
            Fit::No,
        ),
        (
            "made in its time",
            |f| f.remote.created_at = Some(at(100)),
            Fit::Reference,
        ),
        (
            "made long after",
            |f| f.remote.created_at = Some(at(200)),
            Fit::No,
        ),
        (
            "done before",
            |f| f.remote.completed_at = Some(at(-300)),
            Fit::No,
        ),
        (
            "it has no id",
            |f| f.remote.remote_id = String::new(),
            Fit::Weak,
        ),
    ];
    for (what, change, expected) in table {
        let theirs = found(|f| {
            f.remote.client_product_id = Some("SKU-1".to_owned());
            change(f);
        });
        assert_eq!(fit(&ours, &theirs), *expected, "{what}");
    }
}

#[test]
fn an_image_is_known_by_its_prompt_once_it_was_read() {
    let generate = image("generate", Some("on a table "));
    let upscale = image("upscale", None);
    let read = |prompt: Option<&str>, heard: i64| {
        found(|f| {
            f.read = Reading::Done;
            f.heard_at = at(heard);
            f.remote.prompt = prompt.map(str::to_owned);
        })
    };
    for (what, input, theirs, expected) in [
        (
            "read",
            &generate,
            read(Some(" on a table"), 40),
            Fit::Inputs,
        ),
        (
            "another prompt",
            &generate,
            read(Some("on a chair"), 40),
            Fit::No,
        ),
        ("no prompt is shown", &generate, read(None, 40), Fit::Weak),
        (
            "rung before the intent",
            &generate,
            read(Some("on a table"), -30),
            Fit::No,
        ),
        (
            "rung a day later",
            &generate,
            read(Some("on a table"), 86_400),
            Fit::No,
        ),
        ("an upscale", &upscale, read(None, 40), Fit::Weak),
        (
            "an upscale has no prompt",
            &upscale,
            read(Some("on a table"), 40),
            Fit::No,
        ),
        (
            "not read",
            &generate,
            found(|f| f.read = Reading::Wanted(at(40), 0)),
            Fit::Unread,
        ),
    ] {
        assert_eq!(
            fit(&doubt(input.clone(), None), &theirs),
            expected,
            "{what}"
        );
    }
    let late = found(|f| {
        f.read = Reading::Done;
        f.remote.prompt = Some("on a table".to_owned());
        f.remote.created_at = Some(at(126));
    });
    assert_eq!(
        fit(&doubt(generate, None), &late),
        Fit::No,
        "made after its time"
    );
}

#[test]
fn a_production_is_known_by_the_moment_and_the_account_of_its_queueing() {
    let ours = doubt(
        Input::Production(ProductionInput {
            topic: "shoes".to_owned(),
            ..ProductionInput::default()
        }),
        Some("account-1"),
    );
    let queued = |born: Option<i64>, place: Option<&str>, topic: Option<&str>| {
        found(|f| {
            f.born_at = born.map(at);
            f.place = place.map(str::to_owned);
            f.remote.topic = topic.map(str::to_owned);
        })
    };
    for (what, theirs, expected) in [
        (
            "in its time",
            queued(Some(1), Some("ACCOUNT-1"), None),
            Fit::Time,
        ),
        (
            "with its topic",
            queued(Some(1), Some("account-1"), Some("shoes")),
            Fit::Inputs,
        ),
        (
            "another topic",
            queued(Some(1), Some("account-1"), Some("hats")),
            Fit::No,
        ),
        (
            "another account",
            queued(Some(1), Some("account-2"), None),
            Fit::No,
        ),
        ("no account told", queued(Some(1), None, None), Fit::Weak),
        (
            "before the intent",
            queued(Some(-6), Some("account-1"), None),
            Fit::No,
        ),
        (
            "after the longest accept",
            queued(Some(126), Some("account-1"), None),
            Fit::No,
        ),
        (
            "no moment told",
            queued(None, Some("account-1"), None),
            Fit::Weak,
        ),
    ] {
        assert_eq!(fit(&ours, &theirs), expected, "{what}");
    }
}

#[test]
fn only_one_for_one_decides() {
    let of = |id: i64, standing: Standing| Doubt {
        job: JobId::new(JobKind::Image, id),
        submission: SubmissionId(format!("s{id}")),
        standing,
        ..doubt(image("generate", Some("on a table")), None)
    };
    let remote = |id: &str| {
        let read = found(|f| {
            f.read = Reading::Done;
            f.remote.prompt = Some("on a table".to_owned());
        });
        (id.to_owned(), read)
    };
    let unread = (
        "r9".to_owned(),
        found(|f| f.read = Reading::Wanted(at(40), 0)),
    );
    let say =
        |doubts: &[Doubt], found: &[(String, Unclaimed)], seconds| match Table::of(doubts, found)
            .weigh(0, at(seconds))
        {
            Weighed::Nothing => "nothing",
            Weighed::Wait(_) => "wait",
            Weighed::Only(..) => "only",
            Weighed::Held(..) => "held",
        };
    let (ours, later) = (of(1, Standing::InDoubt), 120);
    let alone = std::slice::from_ref(&ours);
    assert_eq!(say(alone, &[], later), "nothing");
    assert_eq!(say(alone, &[remote("r1")], later), "only");
    assert_eq!(
        say(alone, &[remote("r1")], 119),
        "wait",
        "another may still show"
    );
    assert_eq!(say(alone, &[remote("r1"), remote("r2")], later), "held");
    assert_eq!(
        say(alone, &[remote("r1"), unread], later),
        "wait",
        "a read may tell"
    );
    for (standing, expected) in [
        (Standing::InDoubt, "held"),
        (Standing::Past, "held"),
        (Standing::OnTheWire, "wait"),
    ] {
        let both = [ours.clone(), of(2, standing)];
        assert_eq!(say(&both, &[remote("r1")], later), expected, "{standing:?}");
    }
}
