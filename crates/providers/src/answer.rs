//! What all answers have in common.
use bytes::Bytes;
use domain::Timestamp;
use crate::reply::{Outcome, RateHint};

#[derive(Debug)]
pub(crate) struct Answer { status: u16 }
impl Answer {
    pub(crate) fn new(response: http::Response<Bytes>) -> Self { Self { status: response.status().as_u16() } }
    pub(crate) fn status(&self) -> u16 { self.status }
    pub(crate) fn hint(&self, _at: Timestamp) -> RateHint { RateHint::default() }
    pub(crate) fn correlation_id(&self) -> Option<String> { None }
    pub(crate) fn kept(&self, _key: Option<&str>) -> String { String::new() }
}
impl Outcome {
    pub(crate) fn wants_its_answer_kept(&self) -> bool { true }
}
