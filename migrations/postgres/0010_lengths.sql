-- How long jobs take, learned per account, operation and model: what polls are planned by. A row may be
-- deleted by hand while no worker runs; then it is learned again.
create table lengths (
  account text not null,
  operation text not null,
  -- Empty where the operation has no model.
  model text not null,
  -- The stretches in which the last jobs ended, in the engine's own form.
  lengths text not null,
  learned_at timestamptz not null,
  primary key (account, operation, model),
  constraint lengths_are_json check (lengths::jsonb is not null)
);
