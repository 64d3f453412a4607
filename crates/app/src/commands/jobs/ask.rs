//! `jobs cancel|retry|resolve`: a row of `job_commands` each. The worker executes them through its
//! one road, so that a job never changes under it.

use domain::JobId;
use serde_json::json;
use store::Store;

use crate::cli::{Decision, Globals};
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{print, print_json};

/// What a person wants of a job: the columns `command` and `value`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wish {
    command: &'static str,
    value: Option<String>,
}

impl Wish {
    pub(super) fn cancel(abandon: impl Into<Option<bool>>) -> Self {
        let abandons = abandon.into().unwrap_or_default();
        Self {
            command: "cancel",
            value: abandons.then(|| "abandon".to_owned()),
        }
    }

    pub(super) fn retry() -> Self {
        Self {
            command: "retry",
            value: None,
        }
    }

    pub(super) fn resolve(how: &Decision) -> Self {
        let value = match &how.adopt {
            Some(remote_id) => format!("adopt:{}", remote_id.trim()),
            None if how.resubmit.unwrap_or_default() => "resubmit".to_owned(),
            None => "give_up".to_owned(),
        };
        Self {
            command: "resolve",
            value: Some(value),
        }
    }

    /// The wish in words.
    pub(super) fn words(&self) -> String {
        match &self.value {
            Some(value) if self.command == "resolve" => match value.strip_prefix("adopt:") {
                Some(remote_id) => format!("adopt {remote_id}"),
                None => value.replace('_', " "),
            },
            Some(value) => format!("{} {value}", self.command),
            None => self.command.to_owned(),
        }
    }
}

impl Decision {
    /// Whether there is one.
    pub(super) fn is_given(&self) -> bool {
        let flag = |given: Option<bool>| given.unwrap_or_default();
        self.adopt.is_some() || flag(self.resubmit) || flag(self.give_up)
    }

    /// As the worker reads it.
    pub(super) fn wish(&self) -> Wish {
        Wish::resolve(self)
    }
}

/// Writes the wish for each of the jobs; for none if one of them is not there.
pub(super) async fn ask(globals: &Globals, jobs: &[JobId], wish: &Wish) -> Result<Code, Failure> {
    let (_, store) = opened::open(globals).await?;
    let found = store.jobs(jobs).await?;
    for job in jobs {
        if !found.iter().any(|row| row.id == *job) {
            return Err(
                Failure::say(Code::Error, format!("there is no {job}; nothing was asked"))
                    .next(globals.command("jobs list")),
            );
        }
    }
    let code = write(globals, &store, jobs, wish).await;
    store.close().await;
    code
}

/// Writes the wish for each of the jobs, which are there.
pub(super) async fn write(
    globals: &Globals,
    store: &Store,
    jobs: &[JobId],
    wish: &Wish,
) -> Result<Code, Failure> {
    let mut asked = Vec::new();
    for job in jobs {
        let id = store
            .add_command(*job, wish.command, wish.value.as_deref())
            .await?;
        asked.push((id, *job));
    }
    if globals.wants_json() {
        let rows: Vec<_> = asked
            .iter()
            .map(|(id, job)| {
                json!({ "id": id, "job": job, "command": wish.command, "value": wish.value })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Code::Done);
    }
    for (id, job) in asked {
        print(format!(
            "{job}: asked to {} (command {id}); the worker executes it, now or when it runs\n  next: {}",
            wish.words(),
            globals.command(&format!("jobs show {job}"))
        ))?;
    }
    Ok(Code::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_worded_as_the_worker_reads_it() {
        let resolve = |adopt: Option<&str>, resubmit| {
            Wish::resolve(&Decision {
                adopt: adopt.map(str::to_owned),
                resubmit: Some(resubmit),
                give_up: Some(adopt.is_none() && !resubmit),
            })
        };
        for (wish, command, value) in [
            (Wish::cancel(false), "cancel", None),
            (Wish::cancel(true), "cancel", Some("abandon")),
            (Wish::retry(), "retry", None),
            (
                resolve(Some("22292"), false),
                "resolve",
                Some("adopt:22292"),
            ),
            (resolve(None, true), "resolve", Some("resubmit")),
            (resolve(None, false), "resolve", Some("give_up")),
        ] {
            assert_eq!((wish.command, wish.value.as_deref()), (command, value));
        }
        for (wish, words) in [
            (Wish::cancel(true), "cancel abandon"),
            (resolve(Some("prod_1"), false), "adopt prod_1"),
            (resolve(None, true), "resubmit"),
            (resolve(None, false), "give up"),
        ] {
            assert_eq!(wish.words(), words);
        }
    }
}
