//! "Too many" in each form that a provider may say it in: the group of endpoints rests until then, whoever owns
//! its lane by then, and others go on. The provider's log decides.

use std::time::Duration;

use bytes::Bytes;
use domain::{Status, Timestamp};
use http::{HeaderValue, Response};
use sandbox::{FaultKind, FaultPlan, FaultRule, Provider, RequestEntry, Verb, When};

use crate::faults::{Chances, Faults};
use crate::rows;
use crate::summary::Summary;
use crate::world::World;

/// What the provider asks for, in seconds: beyond any window's own pace.
const ASKED: i64 = 80;

/// How a provider may say until when.
#[derive(Debug, Clone, Copy)]
enum Form {
    Seconds,
    Date,
    Body,
    Window,
    Bare,
}

const FORMS: [Form; 5] = [
    Form::Seconds,
    Form::Date,
    Form::Body,
    Form::Window,
    Form::Bare,
];

/// An HTTP date.
fn date(at_ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    // 2023-11-14T22:13:20.000Z
    let text = Timestamp::from_millis(at_ms).to_string();
    let weekday = usize::try_from(at_ms.div_euclid(86_400_000).rem_euclid(7)).unwrap();
    let (date, time) = text.split_once('T').unwrap();
    let [year, month, day] = date.split('-').collect::<Vec<_>>().try_into().unwrap();
    let month: usize = month.parse().unwrap();
    let time = time.split('.').next().unwrap();
    let (weekday, month) = (DAYS[weekday], MONTHS[month - 1]);
    format!("{weekday}, {day} {month} {year} {time} GMT")
}

impl Form {
    fn say(self, response: &mut Response<Bytes>, now: i64) {
        response.headers_mut().clear();
        *response.body_mut() = Bytes::new();
        let until = now + ASKED * 1_000;
        let header = |text: String| HeaderValue::from_str(&text).unwrap();
        let headers = response.headers_mut();
        match self {
            Self::Seconds => {
                headers.insert("retry-after", header(ASKED.to_string()));
            }
            Self::Date => {
                headers.insert("retry-after", header(date(until)));
            }
            Self::Body => {
                let body =
                    format!("{{\"error\":\"RATE_LIMIT_EXCEEDED\",\"retryAfterSeconds\":{ASKED}}}");
                *response.body_mut() = Bytes::from(body);
            }
            Self::Window => {
                headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
                headers.insert("x-ratelimit-reset", header((until / 1_000).to_string()));
            }
            Self::Bare => {}
        }
    }

    /// How long nothing of the group may arrive after the answer was on its way: what was asked for, and after
    /// a bare 429 the first of our own pauses.
    fn rests_ms(self) -> i64 {
        match self {
            // Whole seconds are told.
            Self::Date | Self::Window => ASKED * 1_000 - 1_000,
            Self::Seconds | Self::Body => ASKED * 1_000,
            Self::Bare => i64::try_from(engine::Timing::default().pause(0).as_millis()).unwrap(),
        }
    }
}

/// A provider says it once, to its n-th request of this kind.
fn once(provider: Provider, verb: Verb) -> Faults {
    let rule = FaultRule {
        provider: Some(provider),
        verb: Some(verb),
        when: When::Nth(4),
        kind: FaultKind::BareTooManyRequests,
    };
    Faults {
        plan: FaultPlan { rules: vec![rule] },
        ..Faults::none()
    }
}

fn is_of_group(entry: &RequestEntry, provider: Provider, verb: Verb) -> bool {
    let same =
        provider != Provider::Jakov || (entry.verb == Verb::Submit) == (verb == Verb::Submit);
    entry.provider == provider && same
}

/// What arrived of the group while it was to rest, and of others; `None` if nobody lived to hear the answer.
fn while_it_rests(summary: &Summary, form: Form, of: (Provider, Verb)) -> Option<(usize, usize)> {
    // What was on the wire already arrives within two of the longest ways.
    const ON_THE_WAY: i64 = 1_000;
    if summary.limits.too_many.is_empty() {
        return None;
    }
    let requests = &summary.limits.requests;
    let at = requests.iter().find(|it| it.status == 429).unwrap().at_ms;
    let rest = at + ON_THE_WAY..at + form.rests_ms();
    let within: Vec<_> = requests
        .iter()
        .filter(|it| rest.contains(&it.at_ms))
        .collect();
    let (own, others): (Vec<_>, Vec<_>) =
        (within.into_iter()).partition(|it| is_of_group(it, of.0, of.1));
    let files = others.iter().filter(|it| it.provider != Provider::Files);
    Some((own.len(), files.count()))
}

fn play(of: (Provider, Verb), form: Form, seed: u64, chances: Chances) -> Summary {
    let rows = if chances.rate > 0 {
        rows::some(0, 24, 0)
    } else {
        rows::some(30, 20, 2)
    };
    World::of(seed)
        .rows(rows)
        .accounts(|accounts| accounts[0].policy.batch_size = 1)
        .faults(once(of.0, of.1))
        .too_many_says(move |response, now| form.say(response, now))
        .play(chances)
}

#[test]
fn each_form_of_too_many_is_a_rest_of_its_group_and_of_no_other() {
    for of in [
        (Provider::Jakov, Verb::Submit),
        (Provider::Productai, Verb::Submit),
        (Provider::Productai, Verb::Poll),
        (Provider::Jarai, Verb::Poll),
    ] {
        for form in FORMS {
            let summary = play(of, form, 61, Chances::none());
            let (own, others) = while_it_rests(&summary, form, of).unwrap();
            assert_eq!(own, 0, "{of:?} {form:?}: asked while it was to rest");
            // The rest after a bare one is too short to see others in it.
            let bare = matches!(form, Form::Bare);
            assert!(bare || others > 0, "{of:?} {form:?}: others did not go on");
            assert_eq!(summary.completed(), summary.rows(), "{of:?} {form:?}");
        }
    }
}

#[test]
fn a_rest_is_kept_by_whoever_works_on_after_a_crash() {
    let (mut heard, mut deaths) = (0, 0);
    for seed in 0..8 {
        for form in FORMS {
            let of = (Provider::Productai, Verb::Poll);
            let summary = play(of, form, seed, Chances::crashes());
            let Some((own, _)) = while_it_rests(&summary, form, of) else {
                continue;
            };
            heard += 1;
            deaths += summary.crash_points();
            assert_eq!(own, 0, "seed {seed}, {form:?}: asked while it was to rest");
        }
    }
    println!("{heard} rests kept, {deaths} deaths in those histories");
    assert!(heard >= 8 && deaths >= 50, "{heard} rests, {deaths} deaths");
}

#[test]
fn a_used_up_quota_of_productions_stops_submits_alone_until_the_next_day() {
    let day = |at: i64| at.div_euclid(86_400_000);
    let summary = World::of(62)
        .rows(rows::some(0, 0, 5))
        // The provider grants fewer than the config says.
        .options(|options| options.jarai.productions_per_day = Some(2))
        .play(Chances::none());
    assert_eq!(summary.completed(), 5, "{:#?}", summary.history);
    let requests = &summary.limits.requests;
    let refused = requests.iter().filter(|it| it.status == 429).count();
    let told = requests.iter().find(|it| it.status == 429).unwrap();
    assert!((1..=3).contains(&refused), "{refused} asked in three days");
    let later = |it: &&RequestEntry| it.at_ms > told.at_ms && day(it.at_ms) == day(told.at_ms);
    let same_day: Vec<_> = requests.iter().filter(later).collect();
    let polls = same_day.iter().filter(|it| it.verb == Verb::Poll).count();
    let submits = same_day.iter().filter(|it| it.verb == Verb::Submit).count();
    assert!(polls > 2, "{polls} polls");
    assert_eq!(submits, 0);
    let done = |job: &&store::Job| {
        let at = job.work.completed_at.map(Timestamp::as_millis);
        job.work.status() == Status::Completed && at.is_some_and(|at| day(at) == day(told.at_ms))
    };
    assert_eq!(summary.jobs.iter().filter(done).count(), 2);
    println!(
        "{polls} polls and no submit after the quota was used up; two films came home that day"
    );
}

#[test]
fn a_rest_lasts_no_longer_than_asked_for() {
    let summary = play(
        (Provider::Productai, Verb::Poll),
        Form::Seconds,
        63,
        Chances::none(),
    );
    let requests = &summary.limits.requests;
    let at = requests.iter().find(|it| it.status == 429).unwrap().at_ms;
    let next = requests
        .iter()
        .filter(|it| it.provider == Provider::Productai)
        .find(|it| it.at_ms > at + 2_000)
        .unwrap();
    let rested = Duration::from_millis(u64::try_from(next.at_ms - at).unwrap());
    assert!(rested < Duration::from_secs(95), "{rested:?}");
}
