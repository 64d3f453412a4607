-- How long jobs take, learned per account, operation and model: what polls are planned by. A row may be
-- deleted by hand while no worker runs; then it is learned again.
create table lengths (
  account text not null,
  operation text not null,
  -- Empty where the operation has no model.
  model text not null,
  -- The stretches in which the last jobs ended, in the engine's own form.
  lengths text not null,
  learned_at text not null,
  primary key (account, operation, model),
  constraint lengths_are_json check (json_valid(lengths)),
  constraint lengths_times_are_utc_with_milliseconds check (
    (learned_at is null or learned_at is strftime('%Y-%m-%dT%H:%M:%fZ', learned_at))
  )
) strict;
