//! What an answer says about the lane: rest, until when, or go on. A pause belongs to the group of
//! endpoints, not to the job; it is stored, and looked at in every step.

use std::time::Duration;

use domain::{Provider, Timestamp};
use providers::{Outcome, Refusal, Reply};
use store::planted::{self, Bug};
use store::{LaneKey, Pause, RequestAnswered};

use crate::account::Account;
use crate::act::{Report, Said};
use crate::breaker::UNAVAILABLE;
use crate::draft::Draft;
use crate::flight::Flight;
use crate::money::OUT_OF_CREDITS;
use crate::planner::Engine;
use crate::submit::{fault_of, is_misdirected};

/// The paid POSTs of a lane, apart from its reads.
const SUBMITS: &str = "submits";

/// A 429 on a submit that asks for more than a minute and a half speaks of a day or a quota, not of
/// the minute's window: polls may still work (apis.md trap 28).
const LONGER_THAN_A_WINDOW: Duration = Duration::from_secs(90);

/// A rest that an answer asks for.
struct Rest {
    endpoints: String,
    code: &'static str,
    /// `None`: as long as the strikes say. `Some(None)`: until further notice.
    until: Option<Option<Timestamp>>,
}

fn rest(endpoints: &str, code: &'static str, until: Option<Option<Timestamp>>) -> Rest {
    Rest {
        endpoints: endpoints.to_owned(),
        code,
        until,
    }
}

fn rests(
    refusal: &Refusal,
    account: &Account,
    quota: Option<&str>,
    is_submit: bool,
    at: Timestamp,
) -> Vec<Rest> {
    let group = if is_submit {
        account.submit_group()
    } else {
        account.read_group()
    };
    match refusal {
        Refusal::RateLimited {
            pause,
            production_quota,
        } => {
            let until = pause.map(|pause| Some(pause.ends(at)));
            let long = until
                .flatten()
                .is_some_and(|until| until.since(at) > LONGER_THAN_A_WINDOW);
            let endpoints = match quota {
                Some(quota) if is_submit && *production_quota => quota,
                _ if is_submit && long && account.provider == Provider::Jarai => SUBMITS,
                _ => group,
            };
            vec![rest(endpoints, "rate_limited", until)]
        }
        Refusal::Unauthorized { .. } => refused_key(account),
        Refusal::Forbidden { code, .. }
            if is_submit && (code == "INSUFFICIENT_SCOPE" || code == "ACCOUNT_NOT_ACTIVE") =>
        {
            Vec::new()
        }
        // One request that the key may not make (a cancel without the scope) says nothing about others.
        Refusal::Forbidden { code, .. } if code == "PARTNER_NOT_ACTIVE" => refused_key(account),
        // A key that may not submit may still read: what was paid for comes home.
        Refusal::Forbidden { .. } if is_submit => vec![rest(SUBMITS, "key_refused", Some(None))],
        Refusal::Forbidden { .. } => Vec::new(),
        Refusal::OutOfCredits { .. } if is_submit => vec![rest(SUBMITS, OUT_OF_CREDITS, None)],
        Refusal::Unavailable { pause, .. } if is_submit => {
            let until = pause.map(|pause| Some(pause.ends(at)));
            vec![rest(SUBMITS, UNAVAILABLE, until)]
        }
        Refusal::NotSent { .. } if is_submit => vec![rest(SUBMITS, UNAVAILABLE, None)],
        // Reads have breakers of their own.
        Refusal::Unavailable { .. } | Refusal::NotSent { .. } => Vec::new(),
        // A wrong base URL or a page of maintenance: nothing is wrong with the rows.
        Refusal::Invalid { code, .. } if is_submit && is_misdirected(code) => {
            vec![rest(SUBMITS, "misdirected", None)]
        }
        Refusal::OutOfCredits { .. } | Refusal::Invalid { .. } | Refusal::Rejected { .. } => {
            Vec::new()
        }
    }
}

fn refused_key(account: &Account) -> Vec<Rest> {
    let mut groups = vec![account.submit_group(), account.read_group()];
    groups.dedup();
    groups
        .into_iter()
        .map(|group| rest(group, "key_refused", Some(None)))
        .collect()
}

impl Engine {
    /// What an answer says about how fast its group may go on, and whether its endpoint works.
    pub(crate) fn hear_limits(
        &mut self,
        flight: &Flight,
        report: &Report,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Said::Reply(reply) = &report.said else {
            return;
        };
        let too_many = matches!(
            &reply.outcome,
            Outcome::Refused(Refusal::RateLimited {
                production_quota: false,
                ..
            })
        );
        if let (true, Some(places)) = (too_many, flight.places())
            && let Some(lane) = self.lanes.get_mut(flight.lane())
        {
            lane.too_many(places, at);
        }
        self.hear_breaker(flight, reply, at, draft);
    }

    /// Sets and lifts the lane's pauses by what came back.
    #[expect(
        clippy::too_many_arguments,
        reason = "an answer with all that it is about"
    )]
    pub(crate) fn hear_feedback(
        &mut self,
        key: &LaneKey,
        account: &Account,
        reply: &Reply,
        quota: Option<&str>,
        is_submit: bool,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        match &reply.outcome {
            Outcome::Refused(refusal) => {
                for rest in rests(refusal, account, quota, is_submit, at) {
                    self.set_pause(key, account, rest, &fault_of(refusal).message, at, draft);
                }
            }
            // The provider may have accepted, or not: each further try could be one more job in doubt.
            Outcome::Unknown { reason } if is_submit && planted::has(Bug::BreakerStopsPolls) => {
                let rest = rest(account.read_group(), "outcome_unknown", Some(None));
                self.set_pause(key, account, rest, reason, at, draft);
            }
            Outcome::Unknown { reason } if is_submit => {
                let rest = rest(SUBMITS, "outcome_unknown", None);
                self.set_pause(key, account, rest, reason, at, draft);
            }
            Outcome::Unknown { .. } => {}
            _ => self.lift_pauses(key, account, quota, is_submit, at, draft),
        }
        self.hear_hint(key, account, reply, is_submit, at, draft);
    }

    fn set_pause(
        &mut self,
        key: &LaneKey,
        account: &Account,
        rest: Rest,
        message: &str,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let jitter = self.ids.share();
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let known = lane.pause(&rest.endpoints, rest.code);
        // Answers that were on the wire together are one strike.
        let strikes = match known {
            Some(known) if known.until.is_some_and(|until| until > at) => known.strikes,
            Some(known) => known.strikes + 1,
            // Each try after an unknown outcome may be one more job in doubt: doubling from here makes an
            // hour of them ten.
            None => u32::from(rest.code == "outcome_unknown"),
        };
        let until = rest.until.unwrap_or_else(|| match rest.code {
            // A monthly plan is fresh when the month is.
            OUT_OF_CREDITS => Some((at + account.timing.probe(strikes)).min(at.next_utc_month())),
            // Surely refused: a try is harmless, so it is never far away.
            UNAVAILABLE => Some(at + account.timing.outage(strikes, jitter)),
            _ => Some(at + account.timing.pause(strikes)),
        });
        let until = match known.and_then(|known| known.until) {
            Some(before) => until.map(|until| until.max(before)),
            None => until,
        };
        let pause = Pause {
            lane: key.clone(),
            endpoints: rest.endpoints,
            code: rest.code.to_owned(),
            message: message.to_owned(),
            since: known.and_then(|known| known.since).or(Some(at)),
            until,
            strikes,
        };
        tracing::warn!(
            account = account.name,
            endpoints = pause.endpoints,
            code = pause.code,
            until = pause.until.map(|until| until.to_string()),
            "requests rest: {message}"
        );
        if pause.code == OUT_OF_CREDITS {
            lane.rests_for_credits();
        }
        lane.set_pause(pause.clone());
        draft.pause(pause);
    }

    /// Submits rest, because nothing is left to spend.
    pub(crate) fn rest_for_credits(
        &mut self,
        key: &LaneKey,
        account: &Account,
        refusal: &Refusal,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let rest = rest(SUBMITS, OUT_OF_CREDITS, None);
        self.set_pause(key, account, rest, &fault_of(refusal).message, at, draft);
    }

    /// Something went well: what held this group back is over, if its time has passed.
    fn lift_pauses(
        &mut self,
        key: &LaneKey,
        account: &Account,
        quota: Option<&str>,
        is_submit: bool,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let over: Vec<Pause> = lane
            .pauses()
            .filter(|pause| pause.until.is_some_and(|until| until <= at))
            .filter(|pause| {
                let endpoints = pause.endpoints.as_str();
                if is_submit {
                    endpoints == SUBMITS
                        || endpoints == account.submit_group()
                        || Some(endpoints) == quota
                } else {
                    endpoints == account.read_group()
                }
            })
            .cloned()
            .collect();
        for pause in over {
            lane.lift_pause(&pause.endpoints, &pause.code);
            draft.lift(&pause);
        }
    }

    /// Whether this account's requests rest until a person gives it another key.
    pub(crate) fn key_is_refused(&self, account: &str) -> bool {
        let lane = self
            .accounts
            .get(account)
            .and_then(|account| self.lanes.get(&account.lane));
        lane.is_some_and(|lane| {
            // A key that may only not submit still reads.
            lane.pauses()
                .any(|pause| pause.code == "key_refused" && pause.endpoints != "submits")
        })
    }

    /// JARAI tells how much of its window is left: with nothing left, its end is waited for.
    fn hear_hint(
        &mut self,
        key: &LaneKey,
        account: &Account,
        reply: &Reply,
        is_submit: bool,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        if let (Some(0), Some(reset)) = (reply.hint.remaining, reply.hint.reset_at)
            && reset > at
        {
            let group = if is_submit {
                account.submit_group()
            } else {
                account.read_group()
            };
            let rest = rest(group, "window_used_up", Some(Some(reset)));
            let message = "the provider says that its window is used up";
            self.set_pause(key, account, rest, message, at, draft);
        }
    }
}

/// What the ledger of requests says of an answer.
pub(crate) fn answered_of(report: &Report, at: Timestamp) -> RequestAnswered {
    let (http_status, problem) = match &report.said {
        Said::Reply(reply) => (
            reply.http_status,
            match &reply.outcome {
                // A quota of productions is no sign that requests come too fast.
                Outcome::Refused(Refusal::RateLimited {
                    production_quota: true,
                    ..
                }) => Some("production_quota".to_owned()),
                Outcome::Refused(refusal) => Some(fault_of(refusal).code),
                Outcome::Unknown { .. } => Some("outcome_unknown".to_owned()),
                Outcome::Missing => Some("missing".to_owned()),
                _ => None,
            },
        ),
        Said::Fetched(_) | Said::Looked(_) => (None, None),
    };
    RequestAnswered {
        id: report.flight.clone(),
        at,
        http_status,
        problem,
    }
}
