-- The ledger: what was sent, what came back, what it cost, what lies in our storage.
-- For reading. Nobody but the worker writes here, and nothing here is ever rewritten to say another thing.

-- One paid POST, durable before its first byte.
create table submissions (
  id text not null primary key,
  lane text not null,
  account text not null,
  provider text not null,
  operation text not null,
  request_hash text not null,
  planned_at timestamptz not null,
  -- What came back: a code and the kept body, or why there was none.
  answered_at timestamptz,
  http_status bigint,
  answer text,
  correlation_id text,
  constraint submissions_provider_is_known check (provider in ('jakov', 'productai', 'jarai')),
  constraint submissions_answer_has_time check (answered_at is not null or (http_status is null and answer is null))
);
create index submissions_of_lane on submissions (lane, planned_at);

-- One job of a submission, with exactly one outcome: the record of money.
create table submission_jobs (
  submission_id text not null references submissions (id),
  kind text not null,
  job_id bigint not null,
  -- Place in the body, from 0.
  ordinal bigint not null,
  -- Again here, so that an index can say that a lane has a client_ref under way once only.
  lane text not null,
  account text not null,
  client_ref text,
  price bigint,
  outcome text not null default 'open',
  remote_id text,
  location text,
  reason text,
  credits bigint,
  decided_at timestamptz,
  -- The remote job is over: its client_ref is free.
  ended_at timestamptz,
  -- The job may be sent again: a documented safe failure, retry_failed, or a person's decision.
  released_at timestamptz,
  primary key (submission_id, kind, job_id),
  constraint submission_jobs_kind_is_known check (kind in ('description', 'image', 'production')),
  constraint submission_jobs_outcome_is_known check (outcome in ('open', 'refused', 'unknown', 'accepted')),
  constraint submission_jobs_decided_have_time check ((outcome = 'open') = (decided_at is null)),
  constraint submission_jobs_accepted_have_remote_id check (outcome <> 'accepted' or remote_id is not null)
);
-- Never twice: one open, unknown or accepted submission of a job.
create unique index submission_jobs_one_per_job on submission_jobs (kind, job_id)
where outcome <> 'refused' and released_at is null;
-- Two live submissions of a lane never carry the same client_ref.
create unique index submission_jobs_one_per_client_ref on submission_jobs (lane, client_ref)
where client_ref is not null
  and outcome in ('open', 'unknown', 'accepted')
  and ended_at is null
  and released_at is null;
create index submission_jobs_of_job on submission_jobs (kind, job_id);
create index submission_jobs_of_remote_id on submission_jobs (remote_id) where remote_id is not null;
create index submission_jobs_live on submission_jobs (lane)
where outcome in ('open', 'unknown', 'accepted') and ended_at is null and released_at is null;
create index submission_jobs_money on submission_jobs (account, outcome, decided_at, credits, price, released_at);

-- Every request: the budget's ledger. A row is durable before its request leaves.
create table requests (
  id text not null primary key,
  lane text not null,
  account text not null,
  -- The group of endpoints that shares a budget: submit, read, all.
  endpoints text not null,
  verb text not null,
  kind text,
  job_id bigint,
  submission_id text,
  -- A further counter, such as a JARAI account's productions of the day.
  quota text,
  sent_at timestamptz not null,
  answered_at timestamptz,
  http_status bigint,
  problem text,
  constraint requests_kind_is_known check (kind is null or kind in ('description', 'image', 'production')),
  constraint requests_job_is_whole check ((kind is null) = (job_id is null))
);
create index requests_of_lane on requests (lane, answered_at);
create index requests_unanswered on requests (lane) where answered_at is null;
create index requests_of_job on requests (kind, job_id, verb, sent_at) where job_id is not null;

-- The timeline. seq grows in commit order, so that a reader who remembers the last one misses nothing.
create table job_events (
  seq bigint generated always as identity primary key,
  kind text not null,
  job_id bigint not null,
  at timestamptz not null,
  event text not null,
  from_status text not null,
  to_status text not null,
  submission_id text,
  detail jsonb not null,
  constraint job_events_kind_is_known check (kind in ('description', 'image', 'production'))
);
create index job_events_of_job on job_events (kind, job_id, seq);

-- Files that a provider made, in our storage. A changed file is a new row.
create table deliverables (
  id bigint generated always as identity primary key,
  kind text not null,
  job_id bigint not null,
  submission_id text not null,
  type text not null,
  ordinal bigint not null,
  location text not null,
  content_type text not null,
  bytes bigint not null,
  sha256 text not null,
  captured_at timestamptz not null,
  source_hash text not null,
  -- Its type was not what was expected; kept, because it was paid for.
  quarantined boolean not null,
  constraint deliverables_kind_is_known check (kind in ('description', 'image', 'production')),
  constraint deliverables_have_bytes check (bytes >= 0)
);
create unique index deliverables_once on deliverables (
  kind, job_id, submission_id, type, ordinal, sha256, source_hash
);

create function job_events_are_never_changed() returns trigger language plpgsql as $$
begin
  raise exception 'job_events: the timeline is never changed';
end $$;
create trigger job_events_are_never_changed before update on job_events
for each row execute function job_events_are_never_changed();

create function submissions_keep_their_intent() returns trigger language plpgsql as $$
begin
  if new.id is distinct from old.id
    or new.lane is distinct from old.lane
    or new.account is distinct from old.account
    or new.provider is distinct from old.provider
    or new.operation is distinct from old.operation
    or new.request_hash is distinct from old.request_hash
    or new.planned_at is distinct from old.planned_at
    or (old.http_status is not null and new.http_status is distinct from old.http_status)
  then
    raise exception 'submissions: what was sent and what was answered is never changed';
  end if;
  return new;
end $$;
create trigger submissions_keep_their_intent before update on submissions
for each row execute function submissions_keep_their_intent();

create function submissions_are_kept() returns trigger language plpgsql as $$
begin
  if old.planned_at > now() - interval '400 days'
  then
    raise exception 'submissions: the record of money is kept for 400 days';
  end if;
  return old;
end $$;
create trigger submissions_are_kept before delete on submissions
for each row execute function submissions_are_kept();

create function submission_jobs_keep_their_job() returns trigger language plpgsql as $$
begin
  if new.submission_id is distinct from old.submission_id
    or new.kind is distinct from old.kind
    or new.job_id is distinct from old.job_id
    or new.ordinal is distinct from old.ordinal
    or new.client_ref is distinct from old.client_ref
    or new.price is distinct from old.price
  then
    raise exception 'submission_jobs: what was sent is never changed';
  end if;
  return new;
end $$;
create trigger submission_jobs_keep_their_job before update on submission_jobs
for each row execute function submission_jobs_keep_their_job();

create function submission_jobs_are_kept() returns trigger language plpgsql as $$
begin
  if exists (
    select 1 from submissions
    where id = old.submission_id and planned_at > now() - interval '400 days'
  )
  then
    raise exception 'submission_jobs: the record of money is kept for 400 days';
  end if;
  return old;
end $$;
create trigger submission_jobs_are_kept before delete on submission_jobs
for each row execute function submission_jobs_are_kept();

create function requests_keep_what_was_sent() returns trigger language plpgsql as $$
begin
  if new.id is distinct from old.id
    or new.lane is distinct from old.lane
    or new.account is distinct from old.account
    or new.endpoints is distinct from old.endpoints
    or new.verb is distinct from old.verb
    or new.kind is distinct from old.kind
    or new.job_id is distinct from old.job_id
    or new.submission_id is distinct from old.submission_id
    or new.quota is distinct from old.quota
    or new.sent_at is distinct from old.sent_at
  then
    raise exception 'requests: what was sent is never changed';
  end if;
  return new;
end $$;
create trigger requests_keep_what_was_sent before update on requests
for each row execute function requests_keep_what_was_sent();

create function requests_are_kept() returns trigger language plpgsql as $$
begin
  if old.sent_at > now() - interval '32 days'
  then
    raise exception 'requests: the budgets count them for 32 days';
  end if;
  return old;
end $$;
create trigger requests_are_kept before delete on requests
for each row execute function requests_are_kept();

create function deliverables_are_never_changed() returns trigger language plpgsql as $$
begin
  raise exception 'deliverables: a changed file is a new row';
end $$;
create trigger deliverables_are_never_changed before update on deliverables
for each row execute function deliverables_are_never_changed();

-- Differs because TRUNCATE exists here, which asks no row's delete trigger.
create function nothing_is_truncated() returns trigger language plpgsql as $$
begin
  raise exception '%: TRUNCATE would lose jobs under way and the record of money; DELETE rows that have ended', tg_table_name;
end $$;
create trigger descriptions_are_not_truncated before truncate on descriptions
for each statement execute function nothing_is_truncated();
create trigger image_generations_are_not_truncated before truncate on image_generations
for each statement execute function nothing_is_truncated();
create trigger productions_are_not_truncated before truncate on productions
for each statement execute function nothing_is_truncated();
create trigger submissions_are_not_truncated before truncate on submissions
for each statement execute function nothing_is_truncated();
create trigger submission_jobs_are_not_truncated before truncate on submission_jobs
for each statement execute function nothing_is_truncated();
create trigger requests_are_not_truncated before truncate on requests
for each statement execute function nothing_is_truncated();
