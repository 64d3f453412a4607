//! The way to the provider and back: requests arrive at the sandbox's model, answers are delayed,
//! lost or read with the production's own reader; downloads end in a storage that never tears.

use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use engine::{Act, CaptureTrouble, Report, Said, Stored, Timing, Wanted};
use providers::{Client, SendError};
use sandbox::Delivery;
use sha2::{Digest, Sha256};

use super::World;
use super::timetable::Coming;

impl World {
    fn client(&self, account: &str) -> Client {
        let account = self.accounts.iter().find(|a| a.name == account).unwrap();
        account.client.clone()
    }

    /// A request reaches the provider; its answer comes back later, or never.
    pub(super) fn arrive(&mut self, act: Act, life: u64) {
        let flight = act.flight().clone();
        let (said, at, no) = match act {
            Act::Send { account, call, .. } => {
                let client = self.client(&account);
                let exchange = self
                    .provider
                    .handle(self.now.as_millis(), client.request(&call));
                let (answer, at) = self.on_the_way_back(exchange.delivery, exchange.response);
                let reply = client.read(&call, answer, at);
                if life == self.process.life {
                    let status = reply.http_status;
                    self.note(&format!("{} {status:?}", call.verb()));
                }
                (Said::Reply(Box::new(reply)), at, Some(exchange.request_no))
            }
            Act::Fetch { wanted, .. } => {
                let result = self.fetch(&wanted);
                let at = self.now + self.delay();
                (Said::Fetched(result), at, None)
            }
        };
        if life == self.process.life {
            let report = Report { flight, at, said };
            self.timetable.add(at, Coming::Deliver(report, life, no));
        } else if let Some(no) = no {
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
        if exchange.response.status() != http::StatusCode::OK {
            return Err(CaptureTrouble::LinkDead(
                exchange.response.status().to_string(),
            ));
        }
        let body = exchange.response.into_body();
        let sha256: String = Sha256::digest(&body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let location = format!("sim://{}/{}/{sha256}", wanted.job, wanted.ordinal);
        self.stored.insert(location.clone(), sha256.clone());
        Ok(Stored {
            location,
            content_type: "application/octet-stream".to_owned(),
            bytes: body.len() as u64,
            sha256,
            quarantined: false,
        })
    }
}
