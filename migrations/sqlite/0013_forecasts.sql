-- How long the open work of an account was said to take, and how long it took. A row is made when a body of
-- work begins, and ends with the last of its jobs. For reading; rows may be deleted by hand.
create table forecasts (
  id integer primary key autoincrement,
  account text not null,
  made_at text not null,
  -- The body of work: the open jobs up to this id.
  newest integer not null,
  jobs integer not null,
  said_ms integer not null,
  -- Null: a price is not known.
  said_credits integer,
  ended_at text,
  credits integer,
  constraint forecasts_jobs_are_some check (jobs > 0 and said_ms >= 0),
  constraint forecasts_ended_have_credits check ((ended_at is null) = (credits is null)),
  constraint forecasts_times_are_utc_with_milliseconds check (
    (made_at is null or made_at is strftime('%Y-%m-%dT%H:%M:%fZ', made_at))
    and (ended_at is null or ended_at is strftime('%Y-%m-%dT%H:%M:%fZ', ended_at))
  )
) strict;
-- One at a time, however many processes look.
create unique index forecasts_one_open on forecasts (account) where ended_at is null;
create index forecasts_of_account on forecasts (account, id);
