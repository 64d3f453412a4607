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
