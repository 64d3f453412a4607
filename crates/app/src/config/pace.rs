//! How much and how often: limits, intervals and time-outs, from the file or as documented, divided by the
//! account's speed.

use std::time::Duration;

use domain::{Provider, Window};
use engine::{Limits, Polling, Timing};

use super::raw::{RawAccount, RawLimits, Span};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The documented limits, where the config says nothing. JAKOV: "POST /api/v1/products 100
/// requests/minute, GET endpoints 300". ProductAI: "15 requests per minute"; its daily limit depends
/// on the plan. JARAI (rate-limiting page): the free tier, on which every self-made key starts.
pub(super) fn limits(provider: Provider, raw: &RawLimits, speed: f64) -> Limits {
    let minute = |limit: u32| Window::rolling(limit, MINUTE.div_f64(speed));
    let day = |limit: u32| Window::calendar(limit, DAY.div_f64(speed));
    match provider {
        Provider::Jakov => {
            let daily = raw.requests_per_day.map(day);
            let all = raw.requests_per_minute.unwrap_or(u32::MAX);
            let submit = minute(raw.submit_per_minute.unwrap_or(100).min(all));
            let read = minute(raw.read_per_minute.unwrap_or(300).min(all));
            Limits {
                groups: vec![
                    (
                        "submit".to_owned(),
                        std::iter::once(submit).chain(daily).collect(),
                    ),
                    ("read".to_owned(), vec![read]),
                ],
                productions: None,
            }
        }
        Provider::Productai => {
            let windows = std::iter::once(minute(raw.requests_per_minute.unwrap_or(15)))
                .chain(raw.requests_per_day.map(day));
            Limits {
                groups: vec![("all".to_owned(), windows.collect())],
                productions: None,
            }
        }
        Provider::Jarai => Limits {
            groups: vec![(
                "all".to_owned(),
                vec![
                    minute(raw.requests_per_minute.unwrap_or(10)),
                    day(raw.requests_per_day.unwrap_or(100)),
                ],
            )],
            productions: Some(day(raw.productions_per_day.unwrap_or(3))),
        },
    }
}

/// A setting of the file as it stands, else the documented default at the account's speed.
pub(super) fn or_scaled(span: Option<Span>, default: Duration, speed: f64) -> Duration {
    span.map_or_else(|| default.div_f64(speed), |span| span.0)
}

pub(super) fn polling(raw: &RawAccount, speed: f64) -> Polling {
    let seconds = |span, default| or_scaled(span, Duration::from_secs(default), speed);
    Polling {
        min_interval: seconds(raw.polling.min_interval, 5),
        queued: seconds(raw.polling.queued, 10),
        producing: seconds(raw.polling.producing, 30),
        awaiting_approval: seconds(raw.polling.awaiting_approval, 600),
        distributing: seconds(raw.polling.distributing, 60),
        delay_per_poll: raw.polling.delay_per_poll.map(|span| span.0),
    }
}

pub(super) fn timing(raw: &RawAccount, speed: f64) -> Timing {
    let set = &raw.timing;
    let ours = Timing::default();
    let plain = |span: Option<Span>, default| span.map_or(default, |span| span.0);
    Timing {
        // The network is not sped up.
        submit_timeout: plain(set.submit_timeout, ours.submit_timeout),
        read_timeout: plain(set.read_timeout, ours.read_timeout),
        look_again: plain(set.look_again, ours.look_again),
        missing_grace: or_scaled(set.missing_grace, ours.missing_grace, speed),
        pause_first: or_scaled(set.pause_first, ours.pause_first, speed),
        pause_longest: or_scaled(set.pause_longest, ours.pause_longest, speed),
        breaker_first: or_scaled(set.breaker_first, ours.breaker_first, speed),
        breaker_longest: or_scaled(set.breaker_longest, ours.breaker_longest, speed),
        credits_probe: or_scaled(set.credits_probe, ours.credits_probe, speed),
        evidence_first: or_scaled(set.evidence_first, ours.evidence_first, speed),
        longest_accept: or_scaled(set.longest_accept, ours.longest_accept, speed),
        evidence_window: or_scaled(set.evidence_window, ours.evidence_window, speed),
        retry_first: or_scaled(set.retry_first, ours.retry_first, speed),
    }
}
