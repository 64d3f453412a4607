//! The way to the provider and back: requests arrive at the sandbox's model, answers are delayed,
//! lost or read with the production's own reader; downloads end in a storage that never tears.

use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use engine::{Act, CaptureTrouble, Said, Stored, Timing, Wanted};
use providers::{Call, Client, SendError};
use sandbox::Delivery;
use sha2::{Digest, Sha256};

use super::World;
use super::timetable::Coming;
use crate::faults::Place;

impl World {
    fn client(&self, account: &str) -> Client {
        let account = self.accounts.iter().find(|a| a.name == account).unwrap();
        account.client.clone()
    }

    /// The hands send an act, unless their process is dead, frozen, or not certain of its lanes.
    pub(super) fn send(&mut self, act: Act, life: u64) {
        let Some(who) = self.alive(life) else {
            return;
        };
        if self.processes[who].frozen_until.is_some() {
            self.processes[who].outbox.push(act);
            return;
        }
        if self.dies(who, Place::BeforeSend) {
            return;
        }
        let wall = self.wall();
        let permit = self.processes[who].permit;
        if let Act::Send {
            account,
            call,
            not_after,
            ..
        } = &act
            && (wall >= *not_after || permit.is_some_and(|until| wall >= until))
        {
            self.saw("a request was held back, since the lane was not certain");
            let why = "the hold on the lane was not certain at that moment".to_owned();
            let reply = self
                .client(account)
                .read(call, Err(SendError::NotSent(why)), wall);
            let said = Said::Reply(Box::new(reply));
            let coming = Coming::Deliver(act.flight().clone(), said, life, None);
            self.timetable.add(self.now, coming);
            return;
        }
        let at = self.now + self.delay();
        self.timetable.add(at, Coming::Arrive(act, life));
        self.dies(who, Place::AfterSend);
    }

    /// A request reaches the provider, whether its process lives or not; its answer comes back later,
    /// or never.
    pub(super) fn arrive(&mut self, act: Act, life: u64) {
        let flight = act.flight().clone();
        let (said, at, no) = match act {
            Act::Send { account, call, .. } => {
                let client = self.client(&account);
                let request = client.request(&call);
                let path = request.uri().path().to_owned();
                let mut exchange = self.provider.handle(self.now.as_millis(), request);
                if self.is_unreadable(&call) {
                    *exchange.response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                    self.provider.answer_lost(exchange.request_no);
                }
                if let Some(says) = &self.way.too_many_says
                    && exchange.response.status() == http::StatusCode::TOO_MANY_REQUESTS
                {
                    says(&mut exchange.response, self.now.as_millis());
                }
                let (answer, at) = self.on_the_way_back(exchange.delivery, exchange.response);
                let wall = self.wall() + at.since(self.now);
                let reply = client.read(&call, answer, wall);
                let status = reply.http_status;
                let who = self.alive(life);
                self.note(&format!("{} {path} {status:?} to {who:?}", call.verb()));
                (Said::Reply(Box::new(reply)), at, Some(exchange.request_no))
            }
            Act::Look { .. } => (
                Said::Looked(providers::fetch::Look::Fine),
                self.now + self.delay(),
                None,
            ),
            Act::Fetch { wanted, .. } => {
                let result = self.fetch(&wanted);
                let at = self.now + self.delay();
                (Said::Fetched(result), at, None)
            }
        };
        if self.is_evicted(life) {
            self.lose_answer(no);
        }
        match self.alive(life) {
            Some(who) => {
                let coming = Coming::Deliver(flight, said, life, no);
                self.timetable.add(at, coming);
                self.dies(who, Place::Answered);
            }
            None => self.lose_answer(no),
        }
    }

    fn is_unreadable(&self, call: &Call) -> bool {
        let (Some(prompt), Call::Status { remote_id, .. }) = (self.way.unreadable, call) else {
            return false;
        };
        let mut jobs = self.provider.jobs(self.now.as_millis());
        jobs.any(|job| job.id == *remote_id && job.text("prompt") == Some(prompt))
    }

    /// Nobody will ever hear this answer.
    pub(super) fn lose_answer(&mut self, no: Option<u64>) {
        if let Some(no) = no {
            self.provider.answer_lost(no);
        }
    }

    fn on_the_way_back(
        &mut self,
        delivery: Delivery,
        response: http::Response<Bytes>,
    ) -> (Result<http::Response<Bytes>, SendError>, Timestamp) {
        let timeout = self.now + Timing::default().submit_timeout;
        match delivery {
            Delivery::Answer => (Ok(response), self.now + self.delay()),
            Delivery::DelayMs(ms) => {
                let at = self.now + Duration::from_millis(ms);
                if at < timeout {
                    (Ok(response), at)
                } else {
                    self.unanswered += 1;
                    (Err(SendError::TimedOut("no answer".to_owned())), timeout)
                }
            }
            Delivery::LostAfterAccept => {
                self.unanswered += 1;
                (Err(SendError::TimedOut("no answer".to_owned())), timeout)
            }
            Delivery::ResetBefore => {
                self.unanswered += 1;
                let broken = Err(SendError::Broken("connection reset".to_owned()));
                (broken, self.now + self.delay())
            }
        }
    }

    fn fetch(&mut self, wanted: &Wanted) -> Result<Stored, CaptureTrouble> {
        let request = http::Request::get(wanted.url.expose())
            .body(Bytes::new())
            .unwrap();
        let exchange = self.provider.handle(self.now.as_millis(), request);
        let status = exchange.response.status();
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(CaptureTrouble::Later(status.to_string()));
        }
        if status != http::StatusCode::OK {
            self.saw("a link was dead");
            return Err(CaptureTrouble::LinkDead(status.to_string()));
        }
        let body = exchange.response.into_body();
        let sha256 = hex(&Sha256::digest(&body));
        // The hands see it when a body is cut, an error page, or none: they have tests of their own.
        let entry = self.provider.ledger().requests().last();
        if wanted.bytes.is_some_and(|told| told != body.len() as u64)
            || entry.is_some_and(|entry| entry.fault.is_some())
        {
            return Err(CaptureTrouble::Later("not the file".to_owned()));
        }
        let location = format!("sim://{}/{}/{sha256}", wanted.job, wanted.ordinal);
        self.stored.insert(location.clone(), sha256.clone());
        Ok(Stored {
            location,
            content_type: "application/octet-stream".to_owned(),
            bytes: body.len() as u64,
            sha256,
            quarantined: false,
            shape: providers::fetch::Shape::default(),
        })
    }
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
