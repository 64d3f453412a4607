-- Who owns which lane, what rests until when, and what people and providers tell us.

-- The fence: a conclusion counts only under the epoch that stands here.
create table lanes (
  lane text not null primary key,
  provider text not null,
  epoch integer not null,
  owner text not null,
  taken_at text not null,
  heartbeat_at text not null,
  constraint lanes_provider_is_known check (provider in ('jakov', 'productai', 'jarai')),
  constraint lanes_epoch_is_positive check (epoch > 0),
  constraint lanes_times_are_utc_with_milliseconds check (
    (taken_at is null or taken_at is strftime('%Y-%m-%dT%H:%M:%fZ', taken_at))
    and (heartbeat_at is null or heartbeat_at is strftime('%Y-%m-%dT%H:%M:%fZ', heartbeat_at))
  )
) strict;

-- Why a group of endpoints rests. Derived anew at each step, never a timer.
create table lane_pauses (
  lane text not null,
  endpoints text not null,
  code text not null,
  message text not null,
  -- Null: until somebody or something lifts it.
  until text,
  strikes integer not null,
  primary key (lane, endpoints, code),
  constraint lane_pauses_times_are_utc_with_milliseconds check (
    (until is null or until is strftime('%Y-%m-%dT%H:%M:%fZ', until))
  )
) strict;

-- Webhooks, stored before they are answered. The dedupe key makes a repeat harmless.
create table webhook_inbox (
  id integer primary key autoincrement,
  account text not null,
  dedupe_key text not null,
  received_at text not null,
  body text not null,
  state text not null default 'open',
  note text,
  decided_at text,
  constraint webhook_inbox_once unique (account, dedupe_key),
  constraint webhook_inbox_state_is_known check (state in ('open', 'parked', 'done', 'ignored')),
  constraint webhook_inbox_decided_have_time check (state = 'open' or decided_at is not null),
  constraint webhook_inbox_times_are_utc_with_milliseconds check (
    (received_at is null or received_at is strftime('%Y-%m-%dT%H:%M:%fZ', received_at))
    and (decided_at is null or decided_at is strftime('%Y-%m-%dT%H:%M:%fZ', decided_at))
  )
) strict;
create index webhook_inbox_open on webhook_inbox (id) where state in ('open', 'parked');

-- The one road on which SQL, CLI, API and dashboard act on a job. Insert kind, job_id, command and value;
-- the lane's owner executes it and writes the outcome.
create table job_commands (
  id integer primary key autoincrement,
  kind text not null,
  job_id integer not null,
  command text not null,
  value text,
  created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  outcome text,
  done_at text,
  constraint job_commands_kind_is_known check (kind in ('description', 'image', 'production')),
  constraint job_commands_command_is_a_word check (trim(command) <> '' and length(command) <= 100),
  constraint job_commands_value_is_not_huge check (value is null or length(value) <= 10000),
  -- Differs because SQLite keeps NUL in text, and PostgreSQL refuses it.
  constraint job_commands_have_no_nul check (instr(command, char(0)) = 0 and instr(coalesce(value, ''), char(0)) = 0),
  constraint job_commands_done_have_outcome check ((outcome is null) = (done_at is null)),
  constraint job_commands_times_are_utc_with_milliseconds check (
    (created_at is null or created_at is strftime('%Y-%m-%dT%H:%M:%fZ', created_at))
    and (done_at is null or done_at is strftime('%Y-%m-%dT%H:%M:%fZ', done_at))
  )
) strict;
create index job_commands_open on job_commands (id) where done_at is null;
create index job_commands_of_job on job_commands (kind, job_id);

create trigger job_commands_insert_is_input before insert on job_commands
when new.id <> -1 or new.outcome is not null or new.done_at is not null
  or new.created_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
begin
  select raise(abort, 'job_commands: an INSERT gives kind, job_id, command and value; the worker writes the outcome');
end;
create trigger job_commands_are_never_changed before update on job_commands
when new.id <> old.id
  or new.kind <> old.kind
  or new.job_id <> old.job_id
  or new.command <> old.command
  or new.value is not old.value
  or new.created_at <> old.created_at
  or old.done_at is not null
  or new.done_at is null
begin
  select raise(abort, 'job_commands: a command is never changed; insert another one');
end;
create trigger job_commands_are_kept_open before delete on job_commands
when old.done_at is null
begin
  select raise(abort, 'job_commands: a command that waits cannot be deleted');
end;
