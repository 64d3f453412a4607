-- Who owns which lane, what rests until when, and what people and providers tell us.

-- The fence: a conclusion counts only under the epoch that stands here.
create table lanes (
  lane text not null primary key,
  provider text not null,
  epoch bigint not null,
  owner text not null,
  taken_at timestamptz not null,
  heartbeat_at timestamptz not null,
  constraint lanes_provider_is_known check (provider in ('jakov', 'productai', 'jarai')),
  constraint lanes_epoch_is_positive check (epoch > 0)
);

-- Why a group of endpoints rests. Derived anew at each step, never a timer.
create table lane_pauses (
  lane text not null,
  endpoints text not null,
  code text not null,
  message text not null,
  -- Null: until somebody or something lifts it.
  until timestamptz,
  strikes bigint not null,
  primary key (lane, endpoints, code)
);

-- Webhooks, stored before they are answered. The dedupe key makes a repeat harmless.
create table webhook_inbox (
  id bigint generated always as identity primary key,
  account text not null,
  dedupe_key text not null,
  received_at timestamptz not null,
  body text not null,
  state text not null default 'open',
  note text,
  decided_at timestamptz,
  constraint webhook_inbox_once unique (account, dedupe_key),
  constraint webhook_inbox_state_is_known check (state in ('open', 'parked', 'done', 'ignored')),
  constraint webhook_inbox_decided_have_time check (state = 'open' or decided_at is not null)
);
create index webhook_inbox_open on webhook_inbox (id) where state in ('open', 'parked');

-- The one road on which SQL, CLI, API and dashboard act on a job. Insert kind, job_id, command and value;
-- the lane's owner executes it and writes the outcome.
create table job_commands (
  id bigint generated always as identity primary key,
  kind text not null,
  job_id bigint not null,
  command text not null,
  value text,
  created_at timestamptz not null default (date_trunc('milliseconds', now())),
  outcome text,
  done_at timestamptz,
  constraint job_commands_kind_is_known check (kind in ('description', 'image', 'production')),
  constraint job_commands_command_is_a_word check (trim(command) <> '' and length(command) <= 100),
  constraint job_commands_value_is_not_huge check (value is null or length(value) <= 10000),
  constraint job_commands_done_have_outcome check ((outcome is null) = (done_at is null))
);
create index job_commands_open on job_commands (id) where done_at is null;
create index job_commands_of_job on job_commands (kind, job_id);

create function job_commands_insert_is_input() returns trigger language plpgsql as $$
begin
  if new.outcome is not null or new.done_at is not null
    or new.created_at is distinct from date_trunc('milliseconds', now())
  then
    raise exception 'job_commands: an INSERT gives kind, job_id, command and value; the worker writes the outcome';
  end if;
  return new;
end $$;
create trigger job_commands_insert_is_input before insert on job_commands
for each row execute function job_commands_insert_is_input();

create function job_commands_are_never_changed() returns trigger language plpgsql as $$
begin
  if (new.id, new.kind, new.job_id, new.command, new.value, new.created_at)
      is distinct from (old.id, old.kind, old.job_id, old.command, old.value, old.created_at)
    or old.done_at is not null
    or new.done_at is null
  then
    raise exception 'job_commands: a command is never changed; insert another one';
  end if;
  return new;
end $$;
create trigger job_commands_are_never_changed before update on job_commands
for each row execute function job_commands_are_never_changed();

create function job_commands_are_kept_open() returns trigger language plpgsql as $$
begin
  if old.done_at is null then
    raise exception 'job_commands: a command that waits cannot be deleted';
  end if;
  return old;
end $$;
create trigger job_commands_are_kept_open before delete on job_commands
for each row execute function job_commands_are_kept_open();
