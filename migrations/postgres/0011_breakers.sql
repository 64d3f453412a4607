-- What people may want of an account: that its submits rest, and go on. A pause stands from the moment when
-- the worker executed it (done_at) until a later `resume` without a value is executed; nothing else lifts it,
-- neither a restart nor another key. `value` says why, or, of a resume, `credits`: only what rests for want of
-- them goes on.

alter table account_commands drop constraint account_commands_command_is_known;
alter table account_commands
add constraint account_commands_command_is_known check (command in ('pause', 'resume', 'balance'));
alter table account_commands add column value text
constraint account_commands_value_is_short check (value is null or (trim(value) <> '' and length(value) <= 1000));
create index account_commands_of_account on account_commands (account, id);

create or replace function account_commands_insert_is_input() returns trigger language plpgsql as $$
begin
  if new.outcome is not null or new.done_at is not null
    or new.created_at is distinct from date_trunc('milliseconds', now())
  then
    raise exception 'account_commands: an INSERT gives account, command and value; the worker writes the outcome';
  end if;
  return new;
end $$;
create or replace function account_commands_are_never_changed() returns trigger language plpgsql as $$
begin
  if (new.id, new.account, new.command, new.value, new.created_at)
      is distinct from (old.id, old.account, old.command, old.value, old.created_at)
    or old.done_at is not null
    or new.done_at is null
  then
    raise exception 'account_commands: a command is never changed; insert another one';
  end if;
  return new;
end $$;
create or replace function account_commands_are_kept_open() returns trigger language plpgsql as $$
begin
  if old.done_at is null then
    raise exception 'account_commands: a command that waits cannot be deleted';
  end if;
  if old.command = 'pause' and not exists (
    select 1 from account_commands
    where account = old.account and id > old.id and done_at is not null
      and (command = 'pause' or (command = 'resume' and value is null))
  ) then
    raise exception 'account_commands: a pause that stands cannot be deleted; insert a resume';
  end if;
  return old;
end $$;

-- Since when a group of endpoints rests: the first of the failures in a row.
alter table lane_pauses add column since timestamptz;

-- The answers 429 of a lane, from which the pace of its groups follows.
create index requests_too_many on requests (lane, answered_at) where problem = 'rate_limited';
