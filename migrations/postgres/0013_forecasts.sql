-- How long the open work of an account was said to take, and how long it took. A row is made when a body of
-- work begins, and ends with the last of its jobs. For reading; rows may be deleted by hand.
create table forecasts (
  id bigint generated always as identity primary key,
  account text not null,
  made_at timestamptz not null,
  -- The body of work: the open jobs up to this id.
  newest bigint not null,
  jobs bigint not null,
  said_ms bigint not null,
  -- Null: a price is not known.
  said_credits bigint,
  ended_at timestamptz,
  credits bigint,
  constraint forecasts_jobs_are_some check (jobs > 0 and said_ms >= 0),
  constraint forecasts_ended_have_credits check ((ended_at is null) = (credits is null))
);
-- One at a time, however many processes look.
create unique index forecasts_one_open on forecasts (account) where ended_at is null;
create index forecasts_of_account on forecasts (account, id);
