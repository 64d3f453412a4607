//! productai
use domain::Timestamp;
use crate::answer::Answer;
use crate::call::Call;
use crate::reply::Outcome;
use crate::url_parts::{Draft, segment};
pub(crate) fn encode(_call: &Call) -> Result<Draft, String> { segment("a").map(Draft::get) }
pub(crate) fn read(_call: &Call, _answer: &Answer, _at: Timestamp) -> Outcome { Outcome::Unknown { reason: String::new() } }
