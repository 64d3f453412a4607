-- How many jobs of a batch were refused for good (400, 422) in a row, by the account that sent them. The
-- twentieth pauses the batch (paused_at): none of its other rows is submitted until somebody says that they may
-- go on, by an INSERT into account_commands: `resume`, with the value `batch:` and the batch's name. A row goes
-- when a job of its batch is accepted, and with the resume.
create table batch_refusals (
  account text not null,
  batch text not null,
  refusals bigint not null,
  -- What the last one was refused for.
  code text not null,
  message text not null,
  refused_at timestamptz not null,
  paused_at timestamptz,
  primary key (account, batch),
  constraint batch_refusals_are_counted_from_one check (refusals > 0)
);
