-- Money: what a batch has taken, however its rows change or go; what an account has taken since a
-- moment; and what people want of an account.

-- The batch of the row when it was submitted: a cap on batches counts money, and rows can be deleted.
alter table submission_jobs add column batch text;
update submission_jobs set batch = case kind
  when 'description' then (select batch from descriptions where id = submission_jobs.job_id)
  when 'image' then (select batch from image_generations where id = submission_jobs.job_id)
  else (select batch from productions where id = submission_jobs.job_id)
end;
create index submission_jobs_of_batch on submission_jobs (account, batch, outcome, credits, price)
where batch is not null;
create index submissions_of_account on submissions (account, planned_at);

create trigger submission_jobs_keep_their_batch before update on submission_jobs
when new.batch is not old.batch
begin
  select raise(abort, 'submission_jobs: what was sent is never changed');
end;

-- What people want of an account: `resume` submits that rest for want of credits, or `balance`, a look
-- at the provider's own count. Insert account and command; the owner of its lane executes it and
-- writes the outcome.
create table account_commands (
  id integer primary key autoincrement,
  account text not null,
  command text not null,
  created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  outcome text,
  done_at text,
  constraint account_commands_account_is_a_name check (trim(account) <> '' and length(account) <= 64),
  constraint account_commands_command_is_known check (command in ('resume', 'balance')),
  -- Differs because SQLite keeps NUL in text, and PostgreSQL refuses it.
  constraint account_commands_have_no_nul check (instr(account, char(0)) = 0),
  constraint account_commands_done_have_outcome check ((outcome is null) = (done_at is null)),
  constraint account_commands_times_are_utc_with_milliseconds check (
    (created_at is null or created_at is strftime('%Y-%m-%dT%H:%M:%fZ', created_at))
    and (done_at is null or done_at is strftime('%Y-%m-%dT%H:%M:%fZ', done_at))
  )
) strict;
create index account_commands_open on account_commands (id) where done_at is null;

create trigger account_commands_insert_is_input before insert on account_commands
when new.id <> -1 or new.outcome is not null or new.done_at is not null
  or new.created_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
begin
  select raise(abort, 'account_commands: an INSERT gives account and command; the worker writes the outcome');
end;
create trigger account_commands_are_never_changed before update on account_commands
when new.id <> old.id
  or new.account <> old.account
  or new.command <> old.command
  or new.created_at <> old.created_at
  or old.done_at is not null
  or new.done_at is null
begin
  select raise(abort, 'account_commands: a command is never changed; insert another one');
end;
create trigger account_commands_are_kept_open before delete on account_commands
when old.done_at is null
begin
  select raise(abort, 'account_commands: a command that waits cannot be deleted');
end;
