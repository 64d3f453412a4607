//! What goes wrong, and when: rules by count or by share, drawn from a seed or written as a script.

use crate::dice::Dice;
use crate::wire::{Provider, Verb};
use serde::Serialize;
use std::collections::BTreeMap;

/// One thing that can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum FaultKind {
    /// This 5xx before anything was accepted.
    ErrorBefore(u16),
    /// The request is carried out, and this 5xx is the answer.
    ErrorAfter(u16),
    /// The request is carried out; the answer never comes.
    LostAfterAccept,
    /// The connection dies before the request is read.
    ResetBefore,
    /// A right answer after this many milliseconds (not divided by the speed: it is about the
    /// caller's time-out).
    Slow(u64),
    /// Carried out; status 2xx, but the body is cut JSON.
    BrokenJson,
    /// Carried out; status 2xx, but the body is a page of HTML.
    HtmlBody,
    /// 429 before anything was accepted, with the provider's usual headers and body.
    TooManyRequests,
    /// 429 before anything was accepted, with nothing that says until when.
    BareTooManyRequests,
    /// From this read on the job is unknown (404).
    JobVanishes,
    /// This one poll tells the status before the present one.
    StatusBackwards,
    /// A webhook is sent twice.
    DuplicateWebhook,
    /// A webhook comes this many milliseconds late (divided by the speed).
    LateWebhook(u64),
    /// A webhook is held back for 90 s, so that later ones overtake it.
    ReorderedWebhook,
    /// A webhook is never sent.
    LostWebhook,
}

impl FaultKind {
    /// Whether this kind is about webhooks, and not about answers.
    pub fn is_webhook(self) -> bool {
        matches!(
            self,
            Self::DuplicateWebhook
                | Self::LateWebhook(_)
                | Self::ReorderedWebhook
                | Self::LostWebhook
        )
    }

    /// Whether the answer is hidden from the caller although the request was carried out.
    pub(crate) fn hides_the_answer(self) -> bool {
        matches!(
            self,
            Self::ErrorAfter(_) | Self::LostAfterAccept | Self::BrokenJson | Self::HtmlBody
        )
    }
}

/// When a rule strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// The n-th matching request, counted from 1.
    Nth(u64),
    /// All matching requests from the n-th to the m-th, both counted from 1.
    Between(u64, u64),
    /// This share of all matching requests.
    Share(f64),
}

/// One rule of a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultRule {
    /// Only this provider; `None`: all.
    pub provider: Option<Provider>,
    /// Only this verb; `None`: all. Rules about webhooks ignore it.
    pub verb: Option<Verb>,
    /// How often.
    pub when: When,
    /// What happens.
    pub kind: FaultKind,
}

/// All that will go wrong. The first rule that strikes wins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultPlan {
    /// The rules, in order of precedence.
    pub rules: Vec<FaultRule>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// A plan with a single scripted fault: the `nth` request (from 1) of `verb` at `provider`.
    pub fn once(provider: Provider, verb: Verb, nth: u64, kind: FaultKind) -> Self {
        let rule = FaultRule {
            provider: Some(provider),
            verb: Some(verb),
            when: When::Nth(nth),
            kind,
        };
        Self { rules: vec![rule] }
    }

    /// Every kind of fault, each in a share of the requests that the seed chooses between nothing
    /// and twice `share`.
    pub fn from_seed(seed: u64, share: f64) -> Self {
        let mut rng = Dice::new(seed).rng("fault-plan", 0);
        let polls_only = [FaultKind::JobVanishes, FaultKind::StatusBackwards];
        let mut rules = Vec::new();
        for kind in EVERY_KIND {
            let share = if kind == FaultKind::JobVanishes {
                share / 10.0
            } else {
                share
            };
            rules.push(FaultRule {
                provider: None,
                verb: polls_only.contains(&kind).then_some(Verb::Poll),
                when: When::Share(share * 2.0 * rng.f64()),
                kind,
            });
        }
        rng.shuffle(&mut rules);
        Self { rules }
    }
}

/// One of each kind, with the parameters that `FaultPlan::from_seed` uses.
pub const EVERY_KIND: [FaultKind; 18] = [
    FaultKind::ErrorBefore(500),
    FaultKind::ErrorBefore(502),
    FaultKind::ErrorBefore(503),
    FaultKind::ErrorAfter(500),
    FaultKind::ErrorAfter(504),
    FaultKind::LostAfterAccept,
    FaultKind::ResetBefore,
    FaultKind::Slow(2_000),
    FaultKind::BrokenJson,
    FaultKind::HtmlBody,
    FaultKind::TooManyRequests,
    FaultKind::BareTooManyRequests,
    FaultKind::JobVanishes,
    FaultKind::StatusBackwards,
    FaultKind::DuplicateWebhook,
    FaultKind::LateWebhook(300_000),
    FaultKind::ReorderedWebhook,
    FaultKind::LostWebhook,
];

/// A plan at work: it counts what has matched so far.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    dice: Dice,
    plan: FaultPlan,
    seen: BTreeMap<usize, u64>,
}

impl Faults {
    pub(crate) fn new(seed: u64, plan: FaultPlan) -> Self {
        Self {
            dice: Dice::new(seed),
            plan,
            seen: BTreeMap::new(),
        }
    }

    /// The fault of this request, if any.
    pub(crate) fn of_request(&mut self, provider: Provider, verb: Verb) -> Option<FaultKind> {
        self.strike(|rule| {
            !rule.kind.is_webhook()
                && rule.provider.is_none_or(|it| it == provider)
                && rule.verb.is_none_or(|it| it == verb)
                && (rule.provider.is_some() || provider != Provider::Control)
        })
    }

    /// The fault of this webhook, if any.
    pub(crate) fn of_webhook(&mut self, provider: Provider) -> Option<FaultKind> {
        self.strike(|rule| rule.kind.is_webhook() && rule.provider.is_none_or(|it| it == provider))
    }

    fn strike(&mut self, matches: impl Fn(&FaultRule) -> bool) -> Option<FaultKind> {
        let mut struck = None;
        for (index, rule) in self
            .plan
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| matches(rule))
        {
            let count = self.seen.entry(index).or_default();
            *count += 1;
            let hit = match rule.when {
                When::Nth(nth) => *count == nth,
                When::Between(first, last) => (first..=last).contains(count),
                When::Share(share) => {
                    self.dice
                        .chance("fault", (index as u64) << 40 | *count, share)
                }
            };
            if hit && struck.is_none() {
                struck = Some(rule.kind);
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scripted_fault_strikes_once_at_its_place() {
        let plan = FaultPlan::once(Provider::Jakov, Verb::Submit, 2, FaultKind::ResetBefore);
        let mut faults = Faults::new(1, plan);
        assert_eq!(faults.of_request(Provider::Jakov, Verb::Submit), None);
        assert_eq!(faults.of_request(Provider::Jarai, Verb::Submit), None);
        assert_eq!(faults.of_request(Provider::Jakov, Verb::Poll), None);
        let second = faults.of_request(Provider::Jakov, Verb::Submit);
        assert_eq!(second, Some(FaultKind::ResetBefore));
        assert_eq!(faults.of_request(Provider::Jakov, Verb::Submit), None);
    }

    #[test]
    fn a_seeded_plan_reaches_every_kind() {
        let mut faults = Faults::new(5, FaultPlan::from_seed(5, 0.04));
        let mut reached = std::collections::BTreeSet::new();
        for _ in 0..20_000 {
            reached.extend(faults.of_request(Provider::Productai, Verb::Poll));
            reached.extend(faults.of_webhook(Provider::Jakov));
        }
        assert_eq!(reached.len(), EVERY_KIND.len());
    }
}
