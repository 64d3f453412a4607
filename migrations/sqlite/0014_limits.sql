-- How many jobs of a batch were refused for good (400, 422) in a row, by the account that sent them. The
-- twentieth pauses the batch (paused_at): none of its other rows is submitted until somebody says that they may
-- go on, by an INSERT into account_commands: `resume`, with the value `batch:` and the batch's name. A row goes
-- when a job of its batch is accepted, and with the resume.
create table batch_refusals (
  account text not null,
  batch text not null,
  refusals integer not null,
  -- What the last one was refused for.
  code text not null,
  message text not null,
  refused_at text not null,
  paused_at text,
  primary key (account, batch),
  constraint batch_refusals_are_counted_from_one check (refusals > 0),
  constraint batch_refusals_times_are_utc_with_milliseconds check (
    (refused_at is null or refused_at is strftime('%Y-%m-%dT%H:%M:%fZ', refused_at))
    and (paused_at is null or paused_at is strftime('%Y-%m-%dT%H:%M:%fZ', paused_at))
  )
) strict;

-- When each boot of a machine began, as its wall clock has it: by this a process that starts sees that somebody
-- set the clock before, and that the request windows of minutes count as just used. The boot's name is the
-- kernel's.
create table machine_clocks (
  boot text not null primary key,
  began_at text not null,
  -- The last time that it was set: the first moment by the new clock, and by how many milliseconds.
  jumped_at text,
  jumped_by integer,
  constraint machine_clocks_jumps_are_whole check ((jumped_at is null) = (jumped_by is null)),
  constraint machine_clocks_times_are_utc_with_milliseconds check (
    (began_at is null or began_at is strftime('%Y-%m-%dT%H:%M:%fZ', began_at))
    and (jumped_at is null or jumped_at is strftime('%Y-%m-%dT%H:%M:%fZ', jumped_at))
  )
) strict;
