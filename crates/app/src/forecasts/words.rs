//! A forecast as people say it.

use std::time::Duration;

use domain::Timestamp;

use super::{Compared, Forecasts, Line, Waits};

/// A range is told from this difference on, in percent of the likely time.
const WIDE_PERCENT: u128 = 15;

/// All of it, a line each; empty where nothing is open and nothing was ever said.
pub(crate) fn paragraph(forecasts: &Forecasts, now: Timestamp) -> Option<String> {
    let mut lines: Vec<String> = forecasts
        .accounts
        .iter()
        .map(|line| of_account(line, now))
        .collect();
    if forecasts.accounts.len() > 1 {
        lines.push(in_all(forecasts, now));
    }
    lines.extend(forecasts.waits.iter().map(|waits| of_waits(waits, now)));
    lines.extend(forecasts.last.iter().map(of_last));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn of_account(line: &Line, now: Timestamp) -> String {
    let mut words = vec![format!("{}: {}", line.account, jobs(line.jobs))];
    match line.finishes_at {
        None => words.push("no end by these limits".to_owned()),
        Some(end) => {
            words.push(takes(line, end, now));
            words.push(format!("done by {}", clock(end, now)));
        }
    }
    words.push(cost(line));
    let mut said = words.join(", ");
    if !line.learned {
        said += "; no job of its kinds has ended yet: by the documented lengths";
    }
    said
}

fn takes(line: &Line, end: Timestamp, now: Timestamp) -> String {
    let likely = end.since(now);
    let (soonest, latest) = (line.soonest_at, line.latest_at);
    let range = soonest
        .zip(latest)
        .map(|(a, b)| (a.since(now), b.since(now)));
    let wide = |a: Duration, b: Duration| {
        (b.as_millis() - a.as_millis().min(b.as_millis())) * 100 > likely.as_millis() * WIDE_PERCENT
    };
    match range {
        Some((a, b)) if wide(a, b) && length(a) != length(b) => {
            format!("about {} ({} to {})", length(likely), length(a), length(b))
        }
        _ => format!("about {}", length(likely)),
    }
}

fn cost(line: &Line) -> String {
    match (line.credits, line.unpriced) {
        (0, 0) => "nothing more to pay".to_owned(),
        (credits, 0) => format!("{} credits", grouped(credits.unsigned_abs())),
        (0, _) => "at a price that is not known".to_owned(),
        (credits, unpriced) => format!(
            "{} credits and {} whose price is not known",
            grouped(credits.unsigned_abs()),
            jobs(unpriced)
        ),
    }
}

fn in_all(forecasts: &Forecasts, now: Timestamp) -> String {
    let count: u64 = forecasts.accounts.iter().map(|line| line.jobs).sum();
    let mut words = vec![format!("in all: {}", jobs(count))];
    if let Some(end) = forecasts.all_done_at {
        words.push(format!("about {}", length(end.since(now))));
        words.push(format!("done by {}", clock(end, now)));
    }
    let credits = forecasts
        .credits
        .iter()
        .filter(|(_, credits)| **credits > 0);
    words.extend(credits.map(|(provider, credits)| {
        format!("{} credits at {provider}", grouped(credits.unsigned_abs()))
    }));
    words.join(", ")
}

fn of_waits(waits: &Waits, now: Timestamp) -> String {
    let until = waits
        .until
        .map(|until| format!(" until {}", clock(until, now)));
    let (account, why) = (&waits.account, &waits.why);
    let verb = if waits.jobs == 1 { "waits" } else { "wait" };
    format!(
        "{account}: {} {verb} {why}{}; not counted above",
        jobs(waits.jobs),
        until.unwrap_or_default()
    )
}

fn of_last(last: &Compared) -> String {
    let millis = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    let day = last.made_at.to_string();
    let day = day.split('T').next().unwrap_or_default();
    format!(
        "{}: the last forecast ({day}, {}) said {}; it took {} ({:+} %)",
        last.account,
        jobs(last.jobs.unsigned_abs()),
        length(millis(last.said_ms)),
        length(millis(last.took_ms)),
        last.off_percent
    )
}

fn jobs(count: u64) -> String {
    if count == 1 {
        "1 job".to_owned()
    } else {
        format!("{} jobs", grouped(count))
    }
}

/// With a comma at each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time in its two largest units: `3 h 20 min`.
fn length(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    let two = |whole: u64, unit: &str, rest: u64, small: &str| match rest {
        0 => format!("{whole} {unit}"),
        rest => format!("{whole} {unit} {rest} {small}"),
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..3_600 => format!("{minutes} min"),
        3_600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ if seconds < 172_800 => two(1, "day", hours % 24, "h"),
        _ => two(hours / 24, "days", hours % 24, "h"),
    }
}

/// `14:05 UTC`, with the date where it is another day.
fn clock(at: Timestamp, now: Timestamp) -> String {
    let text = at.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    let time: String = time.chars().take(5).collect();
    if at.utc_day() == now.utc_day() {
        format!("{time} UTC")
    } else {
        format!("{day} {time} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Provider;

    fn line(account: &str, minutes: u64, learned: bool, now: Timestamp) -> Line {
        let after = |minutes: u64| Some(now + Duration::from_secs(minutes * 60));
        Line {
            account: account.to_owned(),
            provider: Provider::Productai,
            jobs: 1_200,
            finishes_after_ms: Some(minutes * 60_000),
            finishes_at: after(minutes),
            soonest_at: after(minutes - minutes / 50),
            latest_at: after(minutes + if learned { 1 } else { minutes / 2 }),
            credits: 12_400,
            unpriced: 0,
            requests: 2_400,
            learned,
            newest: 1,
            whole: true,
        }
    }

    #[test]
    fn a_forecast_reads_as_people_say_it() {
        let now: Timestamp = "2026-11-22T10:45:00Z".parse().unwrap();
        let nothing = Line {
            jobs: 1,
            finishes_at: None,
            credits: 0,
            unpriced: 1,
            ..line("films", 10, true, now)
        };
        let forecasts = Forecasts {
            accounts: vec![
                line("shots", 200, true, now),
                line("texts", 2_000, false, now),
                nothing,
            ],
            waits: vec![
                Waits {
                    account: "shots".to_owned(),
                    jobs: 340,
                    why: "for the cap per_day".to_owned(),
                    until: Some(now.next_utc_day()),
                },
                Waits {
                    account: "texts".to_owned(),
                    jobs: 1,
                    why: "for credits".to_owned(),
                    until: None,
                },
            ],
            all_done_at: Some(now + Duration::from_secs(120_000)),
            credits: [(Provider::Productai, 24_800)].into(),
            last: vec![Compared {
                account: "shots".to_owned(),
                made_at: "2026-11-20T08:00:00Z".parse().unwrap(),
                jobs: 1_200,
                said_ms: 9_600_000,
                said_credits: Some(3_600),
                took_ms: 10_320_000,
                took_credits: 3_600,
                off_percent: 8,
            }],
        };
        insta::assert_snapshot!(paragraph(&forecasts, now).unwrap());
        assert_eq!(paragraph(&Forecasts::default(), now), None);
    }

    #[test]
    fn lengths_are_told_in_two_units() {
        for (seconds, expected) in [
            (45, "45 s"),
            (150, "2 min"),
            (12_000, "3 h 20 min"),
            (10_800, "3 h"),
            (90_000, "1 day 1 h"),
            (200_000, "2 days 7 h"),
        ] {
            assert_eq!(length(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
    }
}
