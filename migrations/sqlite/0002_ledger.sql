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
  planned_at text not null,
  -- What came back: a code and the kept body, or why there was none.
  answered_at text,
  http_status integer,
  answer text,
  correlation_id text,
  constraint submissions_provider_is_known check (provider in ('jakov', 'productai', 'jarai')),
  constraint submissions_answer_has_time check (answered_at is not null or (http_status is null and answer is null)),
  constraint submissions_times_are_utc_with_milliseconds check (
    (planned_at is null or planned_at is strftime('%Y-%m-%dT%H:%M:%fZ', planned_at))
    and (answered_at is null or answered_at is strftime('%Y-%m-%dT%H:%M:%fZ', answered_at))
  )
) strict;
create index submissions_of_lane on submissions (lane, planned_at);

-- One job of a submission, with exactly one outcome: the record of money.
create table submission_jobs (
  submission_id text not null references submissions (id),
  kind text not null,
  job_id integer not null,
  -- Place in the body, from 0.
  ordinal integer not null,
  -- Again here, so that an index can say that a lane has a client_ref under way once only.
  lane text not null,
  account text not null,
  client_ref text,
  price integer,
  outcome text not null default 'open',
  remote_id text,
  location text,
  reason text,
  credits integer,
  decided_at text,
  -- The remote job is over: its client_ref is free.
  ended_at text,
  -- The job may be sent again: a documented safe failure, retry_failed, or a person's decision.
  released_at text,
  primary key (submission_id, kind, job_id),
  constraint submission_jobs_kind_is_known check (kind in ('description', 'image', 'production')),
  constraint submission_jobs_outcome_is_known check (outcome in ('open', 'refused', 'unknown', 'accepted')),
  constraint submission_jobs_decided_have_time check ((outcome = 'open') = (decided_at is null)),
  constraint submission_jobs_accepted_have_remote_id check (outcome <> 'accepted' or remote_id is not null),
  constraint submission_jobs_times_are_utc_with_milliseconds check (
    (decided_at is null or decided_at is strftime('%Y-%m-%dT%H:%M:%fZ', decided_at))
    and (ended_at is null or ended_at is strftime('%Y-%m-%dT%H:%M:%fZ', ended_at))
    and (released_at is null or released_at is strftime('%Y-%m-%dT%H:%M:%fZ', released_at))
  )
) strict;
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
  job_id integer,
  submission_id text,
  -- A further counter, such as a JARAI account's productions of the day.
  quota text,
  sent_at text not null,
  answered_at text,
  http_status integer,
  problem text,
  constraint requests_kind_is_known check (kind is null or kind in ('description', 'image', 'production')),
  constraint requests_job_is_whole check ((kind is null) = (job_id is null)),
  constraint requests_times_are_utc_with_milliseconds check (
    (sent_at is null or sent_at is strftime('%Y-%m-%dT%H:%M:%fZ', sent_at))
    and (answered_at is null or answered_at is strftime('%Y-%m-%dT%H:%M:%fZ', answered_at))
  )
) strict;
create index requests_of_lane on requests (lane, answered_at);
create index requests_unanswered on requests (lane) where answered_at is null;
create index requests_of_job on requests (kind, job_id, verb, sent_at) where job_id is not null;

-- The timeline. seq grows in commit order, so that a reader who remembers the last one misses nothing.
create table job_events (
  seq integer primary key autoincrement,
  kind text not null,
  job_id integer not null,
  at text not null,
  event text not null,
  from_status text not null,
  to_status text not null,
  submission_id text,
  detail text not null,
  constraint job_events_kind_is_known check (kind in ('description', 'image', 'production')),
  constraint job_events_detail_is_json check (json_valid(detail)),
  constraint job_events_times_are_utc_with_milliseconds check (
    (at is null or at is strftime('%Y-%m-%dT%H:%M:%fZ', at))
  )
) strict;
create index job_events_of_job on job_events (kind, job_id, seq);

-- Files that a provider made, in our storage. A changed file is a new row.
create table deliverables (
  id integer primary key autoincrement,
  kind text not null,
  job_id integer not null,
  submission_id text not null,
  type text not null,
  ordinal integer not null,
  location text not null,
  content_type text not null,
  bytes integer not null,
  sha256 text not null,
  captured_at text not null,
  source_hash text not null,
  -- Its type was not what was expected; kept, because it was paid for.
  quarantined integer not null,
  constraint deliverables_kind_is_known check (kind in ('description', 'image', 'production')),
  constraint deliverables_have_bytes check (bytes >= 0),
  constraint deliverables_quarantined_is_0_or_1 check (quarantined in (0, 1)),
  constraint deliverables_times_are_utc_with_milliseconds check (
    (captured_at is null or captured_at is strftime('%Y-%m-%dT%H:%M:%fZ', captured_at))
  )
) strict;
create unique index deliverables_once on deliverables (
  kind, job_id, submission_id, type, ordinal, sha256, source_hash
);

create trigger job_events_are_never_changed before update on job_events
begin
  select raise(abort, 'job_events: the timeline is never changed');
end;

create trigger submissions_keep_their_intent before update on submissions
when new.id <> old.id
  or new.lane <> old.lane
  or new.account <> old.account
  or new.provider <> old.provider
  or new.operation <> old.operation
  or new.request_hash <> old.request_hash
  or new.planned_at <> old.planned_at
  or (old.http_status is not null and new.http_status is not old.http_status)
begin
  select raise(abort, 'submissions: what was sent and what was answered is never changed');
end;

create trigger submissions_are_kept before delete on submissions
when old.planned_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-400 days')
begin
  select raise(abort, 'submissions: the record of money is kept for 400 days');
end;

create trigger submission_jobs_keep_their_job before update on submission_jobs
when new.submission_id <> old.submission_id
  or new.kind <> old.kind
  or new.job_id <> old.job_id
  or new.ordinal <> old.ordinal
  or new.client_ref is not old.client_ref
  or new.price is not old.price
begin
  select raise(abort, 'submission_jobs: what was sent is never changed');
end;

create trigger submission_jobs_are_kept before delete on submission_jobs
when exists (
  select 1 from submissions
  where id = old.submission_id and planned_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-400 days')
)
begin
  select raise(abort, 'submission_jobs: the record of money is kept for 400 days');
end;

create trigger requests_keep_what_was_sent before update on requests
when new.id <> old.id
  or new.lane <> old.lane
  or new.account <> old.account
  or new.endpoints <> old.endpoints
  or new.verb <> old.verb
  or new.kind is not old.kind
  or new.job_id is not old.job_id
  or new.submission_id is not old.submission_id
  or new.quota is not old.quota
  or new.sent_at <> old.sent_at
begin
  select raise(abort, 'requests: what was sent is never changed');
end;

create trigger requests_are_kept before delete on requests
when old.sent_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-32 days')
begin
  select raise(abort, 'requests: the budgets count them for 32 days');
end;

create trigger deliverables_are_never_changed before update on deliverables
begin
  select raise(abort, 'deliverables: a changed file is a new row');
end;
