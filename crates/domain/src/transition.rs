//! The one transition function. Live running, restart, webhooks, exports, polls and people's commands
//! all pass through [`next`]; what it refuses does not happen.
//!
//! ```text
//!  pending ──> submitting ──> running ──> capturing ──> completed
//!     ^            │  │           │            │
//!     │   refused, │  └─> in_doubt┤            │        failed · cancelled
//!     └── retry ───┘
//! ```

use serde::{Deserialize, Serialize};

use crate::{Cancel, Fault, JobState, Provider, Remote, Status, SubmissionId, Timestamp, Work};

/// What a refusal means for the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong with the job: it waits (limit, credits, maintenance). Spends no attempt.
    Wait,
    /// The provider refused; another try may go better. Spends an attempt.
    TryAgain,
    /// The same bytes will never be accepted.
    Never,
}

/// A person's decision about a job in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Send it again, knowing that it may be charged twice.
    Resubmit,
    /// This remote job is ours.
    Adopt {
        /// The provider's id of the job.
        remote_id: String,
    },
    /// Leave it.
    GiveUp,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The row asks for what can never be right; found before anything was sent.
    FoundInvalid(Fault),
    /// The row cannot be taken yet, and says why.
    HeldBack(Option<Fault>),
    /// A submission is about to be made durable, at this price.
    SubmitPlanned {
        /// The new submission.
        submission: SubmissionId,
        /// Estimated price in the provider's unit.
        price: Option<i64>,
    },
    /// The provider accepted.
    Accepted {
        /// The submission that it answers.
        submission: SubmissionId,
        /// The provider's id of the job.
        remote_id: String,
        /// The provider's word for its state, if the answer had one.
        status: Option<String>,
    },
    /// It came out that the provider had accepted, after a person had given the job up: late success is
    /// adopted, never thrown away.
    AcceptedLate {
        /// The submission that was accepted.
        submission: SubmissionId,
        /// The provider's id of the job.
        remote_id: String,
        /// The provider's word for its state, if known.
        status: Option<String>,
    },
    /// The provider surely did not accept.
    Refused {
        /// The submission that it answers.
        submission: SubmissionId,
        /// What this means for the job.
        verdict: Verdict,
        /// Why.
        fault: Fault,
    },
    /// Nobody knows whether the provider accepted.
    OutcomeUnknown {
        /// The submission in question.
        submission: SubmissionId,
        /// What made it unknown.
        why: Fault,
    },
    /// The provider says that it still works, or waits for an approval.
    Seen {
        /// The provider's word.
        status: String,
    },
    /// The provider is done, and files are to be brought home.
    Ended {
        /// The provider's word.
        status: String,
    },
    /// Bringing the files home failed, and will be tried again.
    CaptureTrouble(Fault),
    /// The whole result is durable here.
    ResultStored {
        /// The provider's word, where the result came with one.
        status: Option<String>,
    },
    /// The provider gave up, or the result cannot be had any more.
    RemoteFailed {
        /// Why.
        fault: Fault,
        /// The provider's word, where it said one.
        status: Option<String>,
        /// Whether the account or the provider's documents allow another paid try.
        resubmit: bool,
    },
    /// The provider cancelled the job.
    RemoteCancelled {
        /// The provider's word.
        status: String,
    },
    /// A read showed that the remote job is another product's.
    RemoteIsAnothers {
        /// What was seen.
        why: Fault,
    },
    /// Somebody wants the job ended.
    CancelAsked {
        /// How far to go.
        how: Cancel,
        /// Which service does the work: only JARAI can cancel.
        provider: Provider,
    },
    /// Somebody wants a failed or cancelled job done after all.
    RetryAsked,
    /// Somebody decided about a job in doubt.
    Resolved(Resolution),
}

impl Event {
    /// The word under which the timeline shows this event.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::FoundInvalid(_) => "found_invalid",
            Self::HeldBack(_) => "held_back",
            Self::SubmitPlanned { .. } => "submit_planned",
            Self::Accepted { .. } => "accepted",
            Self::AcceptedLate { .. } => "accepted_late",
            Self::Refused { .. } => "refused",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::Seen { .. } => "seen",
            Self::Ended { .. } => "ended",
            Self::CaptureTrouble(_) => "capture_trouble",
            Self::ResultStored { .. } => "result_stored",
            Self::RemoteFailed { .. } => "remote_failed",
            Self::RemoteCancelled { .. } => "remote_cancelled",
            Self::RemoteIsAnothers { .. } => "remote_is_anothers",
            Self::CancelAsked { .. } => "cancel_asked",
            Self::RetryAsked => "retry_asked",
            Self::Resolved(_) => "resolved",
        }
    }
}

/// An event that cannot happen in this state: nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {status} job cannot be {event}")]
pub struct Illegal {
    /// Where the job stands.
    pub status: Status,
    /// What was tried, by its timeline name.
    pub event: &'static str,
}

/// The job after `event`.
///
/// # Errors
/// [`Illegal`] when the event cannot happen in this state, or speaks of another submission than the
/// one that the state rests on. A late or repeated answer therefore changes nothing.
pub fn next(work: &Work, event: &Event, now: Timestamp) -> Result<Work, Illegal> {
    let mut after = work.clone();
    after.state = match event {
        Event::FoundInvalid(_) | Event::HeldBack(_) | Event::SubmitPlanned { .. } => {
            leave_pending(&mut after, event, now)
        }
        Event::Accepted { .. } | Event::Refused { .. } | Event::OutcomeUnknown { .. } => {
            hear_of_submission(&mut after, event)
        }
        Event::AcceptedLate {
            submission,
            remote_id,
            status,
        } => accept_late(&after, submission, remote_id, status.as_ref()),
        Event::Seen { .. }
        | Event::Ended { .. }
        | Event::CaptureTrouble(_)
        | Event::ResultStored { .. }
        | Event::RemoteFailed { .. }
        | Event::RemoteCancelled { .. }
        | Event::RemoteIsAnothers { .. } => hear_of_remote(&mut after, event),
        Event::CancelAsked { how, provider } => cancel(&mut after, *how, *provider),
        Event::RetryAsked => retry(&mut after),
        Event::Resolved(resolution) => resolve(&mut after, resolution),
    }
    .ok_or(Illegal {
        status: work.status(),
        event: event.name(),
    })?;
    after.completed_at = match (after.status().is_terminal(), work.completed_at) {
        (false, _) => None,
        (true, Some(at)) if work.status().is_terminal() => Some(at),
        (true, _) => Some(now),
    };
    Ok(after)
}

fn leave_pending(work: &mut Work, event: &Event, now: Timestamp) -> Option<JobState> {
    let JobState::Pending { .. } = work.state else {
        return None;
    };
    match event {
        Event::FoundInvalid(fault) => Some(JobState::Failed {
            fault: fault.clone(),
            remote: None,
        }),
        Event::HeldBack(waits) => Some(JobState::Pending {
            waits: waits.clone(),
        }),
        Event::SubmitPlanned { submission, price } => {
            work.attempt += 1;
            work.submitted_at = Some(now);
            work.credits = *price;
            Some(JobState::Submitting {
                submission: submission.clone(),
            })
        }
        _ => None,
    }
}

fn hear_of_submission(work: &mut Work, event: &Event) -> Option<JobState> {
    let open = match &work.state {
        JobState::Submitting { submission } | JobState::InDoubt { submission, .. } => {
            submission.clone()
        }
        JobState::Pending { .. }
        | JobState::Running { .. }
        | JobState::Capturing { .. }
        | JobState::Completed { .. }
        | JobState::Failed { .. }
        | JobState::Cancelled { .. } => return None,
    };
    match event {
        Event::Accepted {
            submission,
            remote_id,
            status,
        } if *submission == open => Some(accepted(work, open, remote_id, status.as_ref())),
        Event::Refused {
            submission,
            verdict,
            fault,
        } if *submission == open => Some(refused(work, *verdict, fault)),
        Event::OutcomeUnknown { submission, why } if *submission == open => {
            Some(JobState::InDoubt {
                submission: open,
                why: why.clone(),
            })
        }
        _ => None,
    }
}

fn accepted(
    work: &Work,
    submission: SubmissionId,
    remote_id: &str,
    status: Option<&String>,
) -> JobState {
    let remote = Remote {
        submission,
        id: remote_id.to_owned(),
        status: status.cloned(),
    };
    match work.cancel {
        Some(Cancel::Abandon) => JobState::Cancelled {
            remote: Some(remote),
        },
        Some(Cancel::Asked) | None => JobState::Running { remote },
    }
}

/// Only a job that ended without ever being at the provider: whoever tried it again meanwhile has
/// another submission, and this one's result is no longer wanted.
fn accept_late(
    work: &Work,
    submission: &SubmissionId,
    remote_id: &str,
    status: Option<&String>,
) -> Option<JobState> {
    match work.state {
        JobState::Failed { remote: None, .. } => {
            Some(accepted(work, submission.clone(), remote_id, status))
        }
        JobState::Pending { .. }
        | JobState::Submitting { .. }
        | JobState::InDoubt { .. }
        | JobState::Running { .. }
        | JobState::Capturing { .. }
        | JobState::Completed { .. }
        | JobState::Failed { .. }
        | JobState::Cancelled { .. } => None,
    }
}

fn refused(work: &mut Work, verdict: Verdict, fault: &Fault) -> JobState {
    work.credits = None;
    work.submitted_at = None;
    if verdict == Verdict::Wait {
        work.attempt = work.attempt.saturating_sub(1);
    }
    if work.cancel.is_some() {
        return JobState::Cancelled { remote: None };
    }
    let over = match verdict {
        Verdict::Wait => false,
        Verdict::TryAgain => work.attempt >= work.max_attempts,
        Verdict::Never => true,
    };
    if over {
        JobState::Failed {
            fault: fault.clone(),
            remote: None,
        }
    } else {
        JobState::Pending {
            waits: Some(fault.clone()),
        }
    }
}

fn with_status(remote: &Remote, status: Option<&String>) -> Remote {
    Remote {
        status: status.cloned().or_else(|| remote.status.clone()),
        ..remote.clone()
    }
}

fn hear_of_remote(work: &mut Work, event: &Event) -> Option<JobState> {
    let (remote, capturing) = match &work.state {
        JobState::Running { remote } => (remote.clone(), false),
        JobState::Capturing { remote, .. } => (remote.clone(), true),
        JobState::Failed { .. } | JobState::Cancelled { .. } => return adopt_late(work, event),
        JobState::Pending { .. }
        | JobState::Submitting { .. }
        | JobState::InDoubt { .. }
        | JobState::Completed { .. } => return None,
    };
    match event {
        Event::Seen { status } if !capturing => Some(JobState::Running {
            remote: with_status(&remote, Some(status)),
        }),
        Event::Ended { status } => Some(JobState::Capturing {
            remote: with_status(&remote, Some(status)),
            trouble: None,
        }),
        Event::CaptureTrouble(fault) if capturing => Some(JobState::Capturing {
            remote,
            trouble: Some(fault.clone()),
        }),
        Event::ResultStored { status } => Some(JobState::Completed {
            remote: with_status(&remote, status.as_ref()),
        }),
        Event::RemoteFailed {
            fault,
            status,
            resubmit,
        } => {
            let remote = with_status(&remote, status.as_ref());
            Some(remote_failed(work, remote, fault, *resubmit))
        }
        Event::RemoteCancelled { status } => Some(JobState::Cancelled {
            remote: Some(with_status(&remote, Some(status))),
        }),
        Event::RemoteIsAnothers { why } => Some(JobState::InDoubt {
            submission: remote.submission,
            why: why.clone(),
        }),
        _ => None,
    }
}

/// Late success is adopted, never thrown away: a job that we gave up on, and that the provider then
/// finished, is captured after all.
fn adopt_late(work: &Work, event: &Event) -> Option<JobState> {
    let remote = work.state.remote()?;
    match event {
        Event::Ended { status } => Some(JobState::Capturing {
            remote: with_status(remote, Some(status)),
            trouble: None,
        }),
        Event::ResultStored { status } => Some(JobState::Completed {
            remote: with_status(remote, status.as_ref()),
        }),
        _ => None,
    }
}

fn remote_failed(work: &mut Work, remote: Remote, fault: &Fault, resubmit: bool) -> JobState {
    if work.cancel.is_some() {
        return JobState::Cancelled {
            remote: Some(remote),
        };
    }
    if resubmit && work.attempt < work.max_attempts {
        return JobState::Pending {
            waits: Some(fault.clone()),
        };
    }
    JobState::Failed {
        fault: fault.clone(),
        remote: Some(remote),
    }
}

fn cancel(work: &mut Work, how: Cancel, provider: Provider) -> Option<JobState> {
    let can_cancel_remotely = provider == Provider::Jarai;
    match &work.state {
        JobState::Pending { .. } => Some(JobState::Cancelled { remote: None }),
        JobState::Submitting { .. } | JobState::InDoubt { .. } => {
            work.cancel = Some(how);
            Some(work.state.clone())
        }
        JobState::Running { remote } | JobState::Capturing { remote, .. } => match how {
            Cancel::Abandon => Some(JobState::Cancelled {
                remote: Some(remote.clone()),
            }),
            Cancel::Asked if can_cancel_remotely => {
                work.cancel = Some(Cancel::Asked);
                Some(work.state.clone())
            }
            Cancel::Asked => None,
        },
        JobState::Completed { .. } | JobState::Failed { .. } | JobState::Cancelled { .. } => None,
    }
}

fn retry(work: &mut Work) -> Option<JobState> {
    match work.state {
        JobState::Failed { .. } | JobState::Cancelled { .. } => {
            work.attempt = 0;
            work.cancel = None;
            work.credits = None;
            work.submitted_at = None;
            Some(JobState::Pending { waits: None })
        }
        JobState::Pending { .. } => Some(JobState::Pending { waits: None }),
        JobState::Submitting { .. }
        | JobState::InDoubt { .. }
        | JobState::Running { .. }
        | JobState::Capturing { .. }
        | JobState::Completed { .. } => None,
    }
}

fn resolve(work: &mut Work, resolution: &Resolution) -> Option<JobState> {
    let JobState::InDoubt { submission, why } = &work.state else {
        return None;
    };
    match resolution {
        Resolution::Adopt { remote_id } => {
            Some(accepted(work, submission.clone(), remote_id, None))
        }
        Resolution::GiveUp => Some(JobState::Failed {
            fault: why.clone(),
            remote: None,
        }),
        Resolution::Resubmit if work.cancel.is_some() => Some(JobState::Cancelled { remote: None }),
        Resolution::Resubmit => Some(JobState::Pending {
            waits: Some(Fault::new("resubmitted", why.message.clone())),
        }),
    }
}

#[cfg(test)]
mod tests;
