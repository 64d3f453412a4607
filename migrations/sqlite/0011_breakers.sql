-- What people may want of an account: that its submits rest, and go on. A pause stands from the moment when
-- the worker executed it (done_at) until a later `resume` without a value is executed; nothing else lifts it,
-- neither a restart nor another key. `value` says why, or, of a resume, `credits`: only what rests for want of
-- them goes on.

-- Differs because SQLite cannot change a CHECK: the table is made anew, with its rows and its last id.
alter table account_commands rename to account_commands_before;
-- Differs because of the same.
create table account_commands (
  id integer primary key autoincrement,
  account text not null,
  command text not null,
  value text,
  created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  outcome text,
  done_at text,
  constraint account_commands_account_is_a_name check (trim(account) <> '' and length(account) <= 64),
  constraint account_commands_command_is_known check (command in ('pause', 'resume', 'balance')),
  constraint account_commands_value_is_short check (value is null or (trim(value) <> '' and length(value) <= 1000)),
  -- Differs because SQLite keeps NUL in text, and PostgreSQL refuses it.
  constraint account_commands_have_no_nul check (
    instr(account, char(0)) = 0
    and (value is null or instr(value, char(0)) = 0)
  ),
  constraint account_commands_done_have_outcome check ((outcome is null) = (done_at is null)),
  constraint account_commands_times_are_utc_with_milliseconds check (
    (created_at is null or created_at is strftime('%Y-%m-%dT%H:%M:%fZ', created_at))
    and (done_at is null or done_at is strftime('%Y-%m-%dT%H:%M:%fZ', done_at))
  )
) strict;
insert into account_commands (id, account, command, created_at, outcome, done_at)
select id, account, command, created_at, outcome, done_at from account_commands_before;
delete from sqlite_sequence where name = 'account_commands';
insert into sqlite_sequence (name, seq)
select 'account_commands', seq from sqlite_sequence where name = 'account_commands_before';
drop table account_commands_before;
create index account_commands_open on account_commands (id) where done_at is null;
create index account_commands_of_account on account_commands (account, id);

create trigger account_commands_insert_is_input before insert on account_commands
when new.id <> -1 or new.outcome is not null or new.done_at is not null
  or new.created_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
begin
  select raise(abort, 'account_commands: an INSERT gives account, command and value; the worker writes the outcome');
end;
create trigger account_commands_are_never_changed before update on account_commands
when new.id <> old.id
  or new.account <> old.account
  or new.command <> old.command
  or new.value is not old.value
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
create trigger account_commands_are_kept_while_they_stand before delete on account_commands
when old.command = 'pause' and not exists (
  select 1 from account_commands
  where account = old.account and id > old.id and done_at is not null
    and (command = 'pause' or (command = 'resume' and value is null))
)
begin
  select raise(abort, 'account_commands: a pause that stands cannot be deleted; insert a resume');
end;

-- Since when a group of endpoints rests: the first of the failures in a row.
alter table lane_pauses add column since text
constraint lane_pauses_since_is_a_time check (since is null or since is strftime('%Y-%m-%dT%H:%M:%fZ', since));

-- The answers 429 of a lane, from which the pace of its groups follows.
create index requests_too_many on requests (lane, answered_at) where problem = 'rate_limited';
