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

create function submission_jobs_keep_their_batch() returns trigger language plpgsql as $$
begin
  if new.batch is distinct from old.batch then
    raise exception 'submission_jobs: what was sent is never changed';
  end if;
  return new;
end $$;
create trigger submission_jobs_keep_their_batch before update on submission_jobs
for each row execute function submission_jobs_keep_their_batch();

-- What people want of an account: `resume` submits that rest for want of credits, or `balance`, a look
-- at the provider's own count. Insert account and command; the owner of its lane executes it and
-- writes the outcome.
create table account_commands (
  id bigint generated always as identity primary key,
  account text not null,
  command text not null,
  created_at timestamptz not null default (date_trunc('milliseconds', now())),
  outcome text,
  done_at timestamptz,
  constraint account_commands_account_is_a_name check (trim(account) <> '' and length(account) <= 64),
  constraint account_commands_command_is_known check (command in ('resume', 'balance')),
  constraint account_commands_done_have_outcome check ((outcome is null) = (done_at is null))
);
create index account_commands_open on account_commands (id) where done_at is null;

create function account_commands_insert_is_input() returns trigger language plpgsql as $$
begin
  if new.outcome is not null or new.done_at is not null
    or new.created_at is distinct from date_trunc('milliseconds', now())
  then
    raise exception 'account_commands: an INSERT gives account and command; the worker writes the outcome';
  end if;
  return new;
end $$;
create trigger account_commands_insert_is_input before insert on account_commands
for each row execute function account_commands_insert_is_input();

create function account_commands_are_never_changed() returns trigger language plpgsql as $$
begin
  if (new.id, new.account, new.command, new.created_at)
      is distinct from (old.id, old.account, old.command, old.created_at)
    or old.done_at is not null
    or new.done_at is null
  then
    raise exception 'account_commands: a command is never changed; insert another one';
  end if;
  return new;
end $$;
create trigger account_commands_are_never_changed before update on account_commands
for each row execute function account_commands_are_never_changed();

create function account_commands_are_kept_open() returns trigger language plpgsql as $$
begin
  if old.done_at is null then
    raise exception 'account_commands: a command that waits cannot be deleted';
  end if;
  return old;
end $$;
create trigger account_commands_are_kept_open before delete on account_commands
for each row execute function account_commands_are_kept_open();

create trigger account_commands_insert_wakes after insert on account_commands
referencing new table as changed
for each statement execute function vitrine_wake();
