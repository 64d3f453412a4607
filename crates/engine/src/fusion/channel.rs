//! What is known of the webhooks of one account, in this life of the process: how reliably they come, which
//! hosts its images lie at, and which calls named no job.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use domain::{JobId, Timestamp};
use providers::SignedUrl;

/// Each end that a webhook told, or did not tell, moves what is thought of the channel by this part: six in a
/// row move it past the middle.
const WEIGHT: f64 = 0.125;

/// From here on polls are left to what webhooks miss.
const TRUSTED: f64 = 0.5;

/// However well they come, so many are thought to be lost (the study's share, RELIABILITY.md section 6).
const LEAST_LOSS: f64 = 0.02;

/// Hosts, calls without a name, ends and results that are remembered at once: a flood of webhooks stops here.
const MOST: usize = 100;

/// What a success webhook said that no read has confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// The link without what is behind its path; none if it named none.
    pub(crate) link: Option<String>,
    /// Reads since then that did not show the job done.
    pub(crate) misses: u32,
}

impl Claim {
    pub(crate) fn of(url: Option<&SignedUrl>) -> Self {
        Self {
            link: url.map(path_of),
            misses: 0,
        }
    }
}

/// What webhooks said about one job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// When one came that said that it is done.
    pub(crate) rung_at: Option<Timestamp>,
    /// One said so and a read did not: another need not come.
    pub(crate) early: bool,
    /// What is to be held against a read.
    pub(crate) claim: Option<Claim>,
    /// Its end rests on the word of a webhook that nobody signed, and on no read.
    pub(crate) alone: bool,
}

/// A call that names no job.
#[derive(Debug, Clone)]
pub(crate) struct Alarm {
    pub(crate) at: Timestamp,
}

/// The webhooks of one account.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// From 0 to 1: how many of the last good ends a webhook told.
    told: f64,
    /// Ends that a read found, and whose webhook may be on its way until then.
    awaited: VecDeque<(String, Timestamp)>,
    hosts: BTreeSet<String>,
    pub(crate) alarms: Vec<Alarm>,
    /// Failures that a read found before anything rang, until then.
    unrung: VecDeque<Timestamp>,
    /// Taken without a read since the last one that a read confirmed.
    pub(crate) taken: Vec<JobId>,
    /// A read did not show what a webhook said: until it is clear which is right, all are read.
    pub(crate) in_question: bool,
}

impl Channel {
    fn ended(&mut self, told: bool) {
        self.told += (f64::from(u8::from(told)) - self.told) * WEIGHT;
    }

    /// The share of webhooks that are thought to be lost; none while the channel is not trusted.
    pub(crate) fn loss(&self) -> Option<f64> {
        (self.told >= TRUSTED).then(|| (1.0 - self.told).max(LEAST_LOSS))
    }

    /// An end that a webhook told, as it turned out.
    pub(crate) fn rang(&mut self) {
        self.ended(true);
    }

    /// A webhook about a job whose end is known already: late, and not lost.
    pub(crate) fn rang_late(&mut self, remote_id: &str) {
        let waits = |(id, _): &(String, Timestamp)| id.eq_ignore_ascii_case(remote_id);
        if let Some(at) = self.awaited.iter().position(waits) {
            self.awaited.remove(at);
            self.ended(true);
        }
    }

    /// A read found a good end that nothing had told of; its webhook may come `until` then.
    pub(crate) fn await_ring(&mut self, remote_id: &str, until: Timestamp) {
        while self.awaited.len() >= MOST {
            self.awaited.pop_front();
            self.ended(false);
        }
        self.awaited.push_back((remote_id.to_owned(), until));
    }

    /// What did not come by now is lost.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        while self.awaited.front().is_some_and(|(_, until)| *until <= now) {
            self.awaited.pop_front();
            self.ended(false);
        }
        while self.unrung.front().is_some_and(|until| *until <= now) {
            self.unrung.pop_front();
        }
    }

    /// Some job failed, says a call that came at this moment.
    pub(crate) fn alarm(&mut self, at: Timestamp) {
        // It was found before the call came.
        if self.unrung.pop_front().is_none() && self.alarms.len() < MOST {
            self.alarms.push(Alarm { at });
        }
    }

    /// A read found a job failed that ended after `after`; the call that belongs to it needs no other, and
    /// may come `until` then.
    pub(crate) fn found_failed(&mut self, after: Timestamp, until: Timestamp) {
        match self.alarms.iter().position(|alarm| alarm.at >= after) {
            Some(at) => {
                self.alarms.remove(at);
            }
            None if self.unrung.len() < MOST => self.unrung.push_back(until),
            None => {}
        }
    }

    /// A read showed a result there.
    pub(crate) fn learn_host(&mut self, url: &SignedUrl) {
        if let Some(host) = host_of(url)
            && self.hosts.len() < MOST
        {
            self.hosts.insert(host);
        }
    }

    pub(crate) fn knows_host_of(&self, url: &SignedUrl) -> bool {
        host_of(url).is_some_and(|host| self.hosts.contains(&host))
    }

    /// It was taken without a read.
    pub(crate) fn take(&mut self, job: JobId) {
        if self.taken.len() < MOST {
            self.taken.push(job);
        }
    }
}

/// The channels by account.
#[derive(Debug, Default)]
pub(crate) struct Channels(BTreeMap<String, Channel>);

impl Channels {
    pub(crate) fn of(&mut self, account: &str) -> &mut Channel {
        self.0.entry(account.to_owned()).or_default()
    }

    /// What is thought to be lost of this account's webhooks; none while they are not relied on.
    pub(crate) fn loss(&self, account: &str) -> Option<f64> {
        self.0.get(account).and_then(Channel::loss)
    }

    pub(crate) fn forget(&mut self, accounts: &[String]) {
        self.0.retain(|account, _| !accounts.contains(account));
    }
}

/// How long after an end that a read found its webhook may still be on its way: two of the intervals
/// that the provider asks for.
pub(crate) fn usual_delay(interval: Duration) -> Duration {
    interval * 2
}

/// A link without what is behind its path: a signature differs each time that it is asked for.
pub(crate) fn path_of(url: &SignedUrl) -> String {
    let whole = url.expose();
    whole.split(['?', '#']).next().unwrap_or(whole).to_owned()
}

fn host_of(url: &SignedUrl) -> Option<String> {
    let path = path_of(url);
    let (scheme, rest) = path.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let named = !authority.is_empty() && !authority.contains('@');
    named.then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::JobKind;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn url(text: &str) -> SignedUrl {
        SignedUrl::new(text)
    }

    fn rung(times: usize) -> Channel {
        let mut channel = Channel::default();
        (0..times).for_each(|_| channel.rang());
        channel
    }

    #[test]
    fn six_ends_in_a_row_earn_trust_and_six_silent_ones_lose_it() {
        assert_eq!(rung(5).loss(), None);
        assert!(rung(6).loss().is_some());
        let mut channel = rung(200);
        assert_eq!(
            channel.loss(),
            Some(LEAST_LOSS),
            "never thought to be perfect"
        );
        for silent in 0..6 {
            assert!(channel.loss().is_some(), "after {silent}");
            channel.await_ring("a", at(silent));
            channel.settle(at(silent));
        }
        assert_eq!(channel.loss(), None);
    }

    #[test]
    fn a_webhook_that_comes_after_the_read_is_late_and_not_lost() {
        let mut channel = Channel::default();
        for end in 0..6 {
            channel.await_ring("Ab1", at(end + 10));
            channel.rang_late("another");
            channel.rang_late("aB1");
            // A second one tells nothing more.
            channel.rang_late("aB1");
            channel.settle(at(end + 20));
        }
        assert_eq!(channel.told, rung(6).told);
    }

    #[test]
    fn a_channel_is_not_judged_before_its_webhook_can_have_come() {
        let mut channel = rung(10);
        let before = channel.told;
        channel.await_ring("a", at(10));
        channel.settle(at(9));
        assert_eq!(channel.told, before);
        channel.settle(at(10));
        assert!(channel.told < before);
    }

    #[test]
    fn a_call_without_a_name_and_a_failure_that_was_found_explain_each_other() {
        let mut channel = Channel::default();
        channel.alarm(at(5));
        channel.found_failed(at(6), at(16));
        assert_eq!(
            channel.alarms.len(),
            1,
            "that one ended later than the call"
        );
        channel.found_failed(at(3), at(16));
        assert!(channel.alarms.is_empty());
        // Found first: the first of these calls is that one's, which `at(6)` awaits.
        channel.alarm(at(8));
        assert!(channel.alarms.is_empty());
        channel.alarm(at(9));
        assert_eq!(channel.alarms.len(), 1);
    }

    #[test]
    fn a_failure_that_was_found_awaits_its_call_for_a_while_only() {
        let mut channel = Channel::default();
        channel.found_failed(at(3), at(13));
        channel.settle(at(13));
        channel.alarm(at(14));
        assert_eq!(channel.alarms.len(), 1);
    }

    #[test]
    fn only_hosts_that_a_read_has_shown_are_known() {
        let mut channel = Channel::default();
        channel.learn_host(&url("https://cdn.example/a.png?sig=1"));
        assert!(channel.knows_host_of(&url("https://CDN.example/other.png?sig=2")));
        for foreign in [
            "http://cdn.example/a.png",
            "https://cdn.example.evil/a.png",
            "https://cdn.example:8443/a.png",
            "https://cdn.example@evil.example/a.png",
            "https:///a.png",
            "nonsense",
        ] {
            assert!(!channel.knows_host_of(&url(foreign)), "{foreign}");
        }
    }

    #[test]
    fn a_claim_holds_no_signature() {
        let claim = Claim::of(Some(&url("https://cdn.example/a.png?sig=1#x")));
        assert_eq!(claim.link.as_deref(), Some("https://cdn.example/a.png"));
    }

    #[test]
    fn a_flood_stops_at_what_is_remembered() {
        let mut channel = Channel::default();
        for n in 0..1_000 {
            channel.alarm(at(n));
            channel.await_ring(&n.to_string(), at(5_000));
            channel.take(JobId::new(JobKind::Image, n));
            channel.learn_host(&url(&format!("https://{n}.example/a.png")));
        }
        assert_eq!(channel.alarms.len(), MOST);
        assert_eq!(channel.awaited.len(), MOST);
        assert_eq!(channel.taken.len(), MOST);
        assert_eq!(channel.hosts.len(), MOST);
        let mut channel = Channel::default();
        (0..1_000).for_each(|_| channel.found_failed(at(0), at(10)));
        assert_eq!(channel.unrung.len(), MOST);
    }

    #[test]
    fn each_account_has_a_channel_of_its_own() {
        let mut channels = Channels::default();
        (0..6).for_each(|_| channels.of("a").rang());
        assert!(channels.loss("a").is_some() && channels.loss("b").is_none());
        channels.forget(&["a".to_owned()]);
        assert!(channels.loss("a").is_none());
    }
}
