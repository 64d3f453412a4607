-- The three job tables that other programs write and read.
--
-- One row is one job. A program inserts the input columns; the worker writes the rest and raises
-- `version` by one with each of its changes, which is how a trigger tells the two apart, and how the
-- worker notices that somebody changed or deleted a row under its hands.

-- Differs because SQLite has no time type: UTC text with milliseconds, which sorts and which people
-- can read. `run_at` takes whatever strftime reads; a trigger rewrites it.

-- Differs because `insert or replace` exists here: the dedupe_key that the INSERT under way finds taken;
-- see the notes at its triggers.
create table keys_in_the_way (
  kind text not null primary key,
  dedupe_key text not null
) strict;

-- Product texts, made by JAKOV.AI. The least an INSERT needs: ean or product_name.
create table descriptions (
  id integer primary key autoincrement,
  -- Whose job it is, and when it may go.
  account text,
  client_product_id text,
  dedupe_key text,
  batch text,
  priority integer not null default 0,
  run_at text,
  max_attempts integer not null default 5,
  -- What it asks for.
  project_id text,
  ean text,
  product_name text,
  product_brand text,
  -- What the worker writes.
  status text not null default 'pending',
  attempt integer not null default 0,
  taken_by text,
  submission_id text,
  remote_id text,
  remote_status text,
  error_code text,
  error_message text,
  credits integer,
  warning text,
  cancel text,
  description text,
  not_before text,
  created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  submitted_at text,
  completed_at text,
  updated_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  version integer not null default 1,
  -- What can never be right.
  constraint descriptions_id_is_positive check (id > 0),
  constraint descriptions_status_is_known check (
    status in ('pending', 'submitting', 'in_doubt', 'running', 'capturing', 'completed', 'failed', 'cancelled')
  ),
  constraint descriptions_cancel_is_known check (cancel is null or cancel in ('asked', 'abandon')),
  constraint descriptions_need_ean_or_product_name check (
    coalesce(trim(ean), '') <> ''
    or coalesce(trim(product_name), '') <> ''
  ),
  constraint descriptions_completed_have_description check (status <> 'completed' or description is not null),
  constraint descriptions_attempt_is_not_negative check (attempt >= 0),
  constraint descriptions_max_attempts_from_1_to_100 check (max_attempts between 1 and 100),
  constraint descriptions_priority_within_a_million check (priority between -1000000 and 1000000),
  constraint descriptions_version_is_positive check (version > 0),
  constraint descriptions_pending_have_no_submission check (
    status <> 'pending'
    or (submission_id is null and remote_id is null)
  ),
  constraint descriptions_submitting_have_submission check (
    status not in ('submitting', 'in_doubt')
    or (submission_id is not null and remote_id is null)
  ),
  constraint descriptions_running_have_remote_id check (
    status not in ('running', 'capturing', 'completed')
    or (submission_id is not null and remote_id is not null)
  ),
  constraint descriptions_remote_id_has_submission check (
    (remote_id is null) = (submission_id is null)
    or status in ('submitting', 'in_doubt')
  ),
  constraint descriptions_ended_have_completed_at check (
    (status in ('completed', 'failed', 'cancelled')) = (completed_at is not null)
  ),
  constraint descriptions_failed_have_error_code check (
    status not in ('failed', 'in_doubt')
    or error_code is not null
  ),
  constraint descriptions_error_code_has_message check ((error_code is null) = (error_message is null)),
  constraint descriptions_names_are_not_blank check (
    (account is null or trim(account) <> '')
    and (client_product_id is null or trim(client_product_id) <> '')
    and (dedupe_key is null or trim(dedupe_key) <> '')
    and (batch is null or trim(batch) <> '')
  ),
  constraint descriptions_names_are_not_huge check (
    (account is null or length(account) <= 1000)
    and (client_product_id is null or length(client_product_id) <= 1000)
    and (dedupe_key is null or length(dedupe_key) <= 1000)
    and (batch is null or length(batch) <= 1000)
  ),
  -- Years that every reader of these columns has; 'never' is no run_at, a job is not inserted then.
  constraint descriptions_run_at_within_years_1_to_9998 check (
    run_at is null
    or (
      strftime('%Y-%m-%dT%H:%M:%fZ', run_at) >= '0001-01-01'
      and strftime('%Y-%m-%dT%H:%M:%fZ', run_at) < '9999-01-01'
    )
  ),
  constraint descriptions_texts_are_not_huge check (
    (project_id is null or length(project_id) <= 100000)
    and (ean is null or length(ean) <= 100000)
    and (product_name is null or length(product_name) <= 100000)
    and (product_brand is null or length(product_brand) <= 100000)
  ),
  -- Differs because SQLite keeps NUL in text (PostgreSQL refuses it), and the text would end there.
  constraint descriptions_texts_have_no_nul check (
    instr(coalesce(account, ''), char(0)) = 0
    and instr(coalesce(client_product_id, ''), char(0)) = 0
    and instr(coalesce(dedupe_key, ''), char(0)) = 0
    and instr(coalesce(batch, ''), char(0)) = 0
    and instr(coalesce(project_id, ''), char(0)) = 0
    and instr(coalesce(ean, ''), char(0)) = 0
    and instr(coalesce(product_name, ''), char(0)) = 0
    and instr(coalesce(product_brand, ''), char(0)) = 0
  ),
  -- `is`, because `=` would let an unreadable time (null) through.
  constraint descriptions_run_at_is_a_time check (
    run_at is null
    or strftime('%Y-%m-%dT%H:%M:%fZ', run_at) is not null
  ),
  constraint descriptions_times_are_utc_with_milliseconds check (
    (not_before is null or not_before is strftime('%Y-%m-%dT%H:%M:%fZ', not_before))
    and (created_at is null or created_at is strftime('%Y-%m-%dT%H:%M:%fZ', created_at))
    and (submitted_at is null or submitted_at is strftime('%Y-%m-%dT%H:%M:%fZ', submitted_at))
    and (completed_at is null or completed_at is strftime('%Y-%m-%dT%H:%M:%fZ', completed_at))
    and (updated_at is null or updated_at is strftime('%Y-%m-%dT%H:%M:%fZ', updated_at))
  )
) strict;

create unique index descriptions_dedupe_key on descriptions (dedupe_key);
-- The next jobs of each batch, and the next of all; nothing is sorted, however many wait.
create index descriptions_next_of_batch on descriptions (
  (coalesce(account, '')), (coalesce(batch, '')), priority desc, (coalesce(run_at, created_at)), id
) where status = 'pending' and coalesce(error_code, '') <> 'unknown_account';
create index descriptions_next_of_all on descriptions (
  (coalesce(account, '')), priority desc, (coalesce(run_at, created_at)), id
) where status = 'pending' and coalesce(error_code, '') <> 'unknown_account';
create index descriptions_unknown_account on descriptions ((coalesce(account, '')), id)
where status = 'pending' and error_code = 'unknown_account';
-- When something falls due.
create index descriptions_run_at on descriptions (run_at) where status = 'pending' and run_at is not null;
create index descriptions_not_before on descriptions (not_before) where status = 'pending' and not_before is not null;
-- What is under way.
create index descriptions_open on descriptions (taken_by, id)
where status in ('submitting', 'in_doubt', 'running', 'capturing');
-- Lists, page by page, and the account of a batch without a look at the rows.
create index descriptions_of_status on descriptions (status, id);
create index descriptions_of_batch on descriptions (batch, id) where batch is not null;
create index descriptions_of_error on descriptions (error_code, id) where error_code is not null;
create index descriptions_of_product on descriptions (client_product_id, id) where client_product_id is not null;
create index descriptions_counts on descriptions (
  batch, status, taken_by, account, error_code, remote_status, credits, created_at
);

create trigger descriptions_insert_is_input before insert on descriptions
when new.id <> -1
  or new.status <> 'pending'
  or new.attempt <> 0
  or new.taken_by is not null
  or new.submission_id is not null
  or new.remote_id is not null
  or new.remote_status is not null
  or new.error_code is not null
  or new.error_message is not null
  or new.credits is not null
  or new.warning is not null
  or new.cancel is not null
  or new.not_before is not null
  or new.version <> 1
  or new.created_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  or new.submitted_at is not null
  or new.completed_at is not null
  or new.updated_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  or new.description is not null
begin
  select raise(abort, 'descriptions: an INSERT gives the input columns only; id, status and the other columns of the worker fill themselves');
end;

-- Differs because `insert or replace` deletes the row in its way without asking the delete trigger: the
-- key in the way is noted before, and if the INSERT then takes place, its row was replaced.
create trigger descriptions_insert_notes_key before insert on descriptions
when new.dedupe_key is not null
begin
  delete from keys_in_the_way where kind = 'description';
  insert into keys_in_the_way (kind, dedupe_key)
  select 'description', dedupe_key from descriptions where dedupe_key = new.dedupe_key;
end;
create trigger descriptions_insert_replaces_nothing after insert on descriptions
when new.dedupe_key is not null
begin
  select raise(abort, 'descriptions: this dedupe_key is taken; use INSERT … ON CONFLICT DO NOTHING, a job cannot be replaced')
  where exists (select 1 from keys_in_the_way where kind = 'description' and dedupe_key = new.dedupe_key);
end;

create trigger descriptions_insert_writes_run_at after insert on descriptions
when new.run_at is not strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at)
begin
  update descriptions
  set run_at = strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at), version = version + 1
  where id = new.id;
end;

create trigger descriptions_update_names_version before update on descriptions
when new.id <> old.id
  or new.created_at is not old.created_at
  or new.version not in (old.version, old.version + 1)
begin
  select raise(abort, 'descriptions: id and created_at never change, and version grows by one with each change');
end;

create trigger descriptions_update_is_the_workers before update on descriptions
when new.version = old.version
  and (new.status is not old.status or new.attempt is not old.attempt or new.taken_by is not old.taken_by or new.submission_id is not old.submission_id or new.remote_id is not old.remote_id or new.remote_status is not old.remote_status or new.error_code is not old.error_code or new.error_message is not old.error_message or new.credits is not old.credits or new.warning is not old.warning or new.cancel is not old.cancel or new.not_before is not old.not_before or new.submitted_at is not old.submitted_at or new.completed_at is not old.completed_at or new.updated_at is not old.updated_at or new.description is not old.description)
begin
  select raise(abort, 'descriptions: status and the other columns of the worker change through job_commands (cancel, retry, …), not by UPDATE');
end;

create trigger descriptions_update_is_in_time before update on descriptions
when new.version = old.version
  and old.status <> 'pending'
  and (new.account is not old.account or new.client_product_id is not old.client_product_id or new.dedupe_key is not old.dedupe_key or new.batch is not old.batch or new.priority is not old.priority or new.run_at is not old.run_at or new.max_attempts is not old.max_attempts or new.project_id is not old.project_id or new.ean is not old.ean or new.product_name is not old.product_name or new.product_brand is not old.product_brand)
begin
  select raise(abort, 'descriptions: only a pending job can be changed');
end;

create trigger descriptions_update_takes_no_key before update of dedupe_key on descriptions
when new.dedupe_key is not old.dedupe_key
begin
  select raise(abort, 'descriptions: this dedupe_key is taken by another job')
  where exists (select 1 from descriptions where dedupe_key = new.dedupe_key and id <> old.id);
end;

create trigger descriptions_update_raises_version after update on descriptions
when new.version = old.version and old.status = 'pending'
begin
  update descriptions
  set
    run_at = strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    version = old.version + 1
  where id = new.id;
end;

create trigger descriptions_delete_is_safe before delete on descriptions
begin
  select raise(abort, 'descriptions: a job that is under way cannot be deleted; cancel it first (job_commands)')
  where old.status not in ('pending', 'completed', 'failed', 'cancelled')
    or exists (
      select 1 from submission_jobs
      where kind = 'description' and job_id = old.id
        and outcome in ('open', 'unknown') and released_at is null and ended_at is null
    );
end;

-- Product images, made by ProductAI.photo. The least an INSERT needs: model, image_url and prompt; or
-- operation = 'upscale' and image_url.
create table image_generations (
  id integer primary key autoincrement,
  -- Whose job it is, and when it may go.
  account text,
  client_product_id text,
  dedupe_key text,
  batch text,
  priority integer not null default 0,
  run_at text,
  max_attempts integer not null default 5,
  -- What it asks for.
  operation text not null default 'generate',
  model text,
  prompt text,
  image_url text,
  second_image_url text,
  source_job integer,
  -- What the worker writes.
  status text not null default 'pending',
  attempt integer not null default 0,
  taken_by text,
  submission_id text,
  remote_id text,
  remote_status text,
  error_code text,
  error_message text,
  credits integer,
  warning text,
  cancel text,
  result_url text,
  not_before text,
  created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  submitted_at text,
  completed_at text,
  updated_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  version integer not null default 1,
  -- What can never be right.
  constraint image_generations_id_is_positive check (id > 0),
  constraint image_generations_status_is_known check (
    status in ('pending', 'submitting', 'in_doubt', 'running', 'capturing', 'completed', 'failed', 'cancelled')
  ),
  constraint image_generations_cancel_is_known check (cancel is null or cancel in ('asked', 'abandon')),
  constraint image_generations_operation_is_known check (operation in ('generate', 'upscale')),
  constraint image_generations_need_image_url_or_source_job check (
    coalesce(trim(image_url), '') <> ''
    or source_job is not null
  ),
  constraint image_generations_attempt_is_not_negative check (attempt >= 0),
  constraint image_generations_max_attempts_from_1_to_100 check (max_attempts between 1 and 100),
  constraint image_generations_priority_within_a_million check (priority between -1000000 and 1000000),
  constraint image_generations_version_is_positive check (version > 0),
  constraint image_generations_pending_have_no_submission check (
    status <> 'pending'
    or (submission_id is null and remote_id is null)
  ),
  constraint image_generations_submitting_have_submission check (
    status not in ('submitting', 'in_doubt')
    or (submission_id is not null and remote_id is null)
  ),
  constraint image_generations_running_have_remote_id check (
    status not in ('running', 'capturing', 'completed')
    or (submission_id is not null and remote_id is not null)
  ),
  constraint image_generations_remote_id_has_submission check (
    (remote_id is null) = (submission_id is null)
    or status in ('submitting', 'in_doubt')
  ),
  constraint image_generations_ended_have_completed_at check (
    (status in ('completed', 'failed', 'cancelled')) = (completed_at is not null)
  ),
  constraint image_generations_failed_have_error_code check (
    status not in ('failed', 'in_doubt')
    or error_code is not null
  ),
  constraint image_generations_error_code_has_message check ((error_code is null) = (error_message is null)),
  constraint image_generations_names_are_not_blank check (
    (account is null or trim(account) <> '')
    and (client_product_id is null or trim(client_product_id) <> '')
    and (dedupe_key is null or trim(dedupe_key) <> '')
    and (batch is null or trim(batch) <> '')
  ),
  constraint image_generations_names_are_not_huge check (
    (account is null or length(account) <= 1000)
    and (client_product_id is null or length(client_product_id) <= 1000)
    and (dedupe_key is null or length(dedupe_key) <= 1000)
    and (batch is null or length(batch) <= 1000)
  ),
  -- Years that every reader of these columns has; 'never' is no run_at, a job is not inserted then.
  constraint image_generations_run_at_within_years_1_to_9998 check (
    run_at is null
    or (
      strftime('%Y-%m-%dT%H:%M:%fZ', run_at) >= '0001-01-01'
      and strftime('%Y-%m-%dT%H:%M:%fZ', run_at) < '9999-01-01'
    )
  ),
  constraint image_generations_texts_are_not_huge check (
    (operation is null or length(operation) <= 100000)
    and (model is null or length(model) <= 100000)
    and (prompt is null or length(prompt) <= 100000)
    and (image_url is null or length(image_url) <= 100000)
    and (second_image_url is null or length(second_image_url) <= 100000)
  ),
  -- Differs because SQLite keeps NUL in text (PostgreSQL refuses it), and the text would end there.
  constraint image_generations_texts_have_no_nul check (
    instr(coalesce(account, ''), char(0)) = 0
    and instr(coalesce(client_product_id, ''), char(0)) = 0
    and instr(coalesce(dedupe_key, ''), char(0)) = 0
    and instr(coalesce(batch, ''), char(0)) = 0
    and instr(coalesce(operation, ''), char(0)) = 0
    and instr(coalesce(model, ''), char(0)) = 0
    and instr(coalesce(prompt, ''), char(0)) = 0
    and instr(coalesce(image_url, ''), char(0)) = 0
    and instr(coalesce(second_image_url, ''), char(0)) = 0
  ),
  -- `is`, because `=` would let an unreadable time (null) through.
  constraint image_generations_run_at_is_a_time check (
    run_at is null
    or strftime('%Y-%m-%dT%H:%M:%fZ', run_at) is not null
  ),
  constraint image_generations_times_are_utc_with_milliseconds check (
    (not_before is null or not_before is strftime('%Y-%m-%dT%H:%M:%fZ', not_before))
    and (created_at is null or created_at is strftime('%Y-%m-%dT%H:%M:%fZ', created_at))
    and (submitted_at is null or submitted_at is strftime('%Y-%m-%dT%H:%M:%fZ', submitted_at))
    and (completed_at is null or completed_at is strftime('%Y-%m-%dT%H:%M:%fZ', completed_at))
    and (updated_at is null or updated_at is strftime('%Y-%m-%dT%H:%M:%fZ', updated_at))
  )
) strict;

create unique index image_generations_dedupe_key on image_generations (dedupe_key);
-- The next jobs of each batch, and the next of all; nothing is sorted, however many wait.
create index image_generations_next_of_batch on image_generations (
  (coalesce(account, '')), (coalesce(batch, '')), priority desc, (coalesce(run_at, created_at)), id
) where status = 'pending' and coalesce(error_code, '') <> 'unknown_account';
create index image_generations_next_of_all on image_generations (
  (coalesce(account, '')), priority desc, (coalesce(run_at, created_at)), id
) where status = 'pending' and coalesce(error_code, '') <> 'unknown_account';
create index image_generations_unknown_account on image_generations ((coalesce(account, '')), id)
where status = 'pending' and error_code = 'unknown_account';
-- When something falls due.
create index image_generations_run_at on image_generations (run_at) where status = 'pending' and run_at is not null;
create index image_generations_not_before on image_generations (not_before) where status = 'pending' and not_before is not null;
-- What is under way.
create index image_generations_open on image_generations (taken_by, id)
where status in ('submitting', 'in_doubt', 'running', 'capturing');
-- Lists, page by page, and the account of a batch without a look at the rows.
create index image_generations_of_status on image_generations (status, id);
create index image_generations_of_batch on image_generations (batch, id) where batch is not null;
create index image_generations_of_error on image_generations (error_code, id) where error_code is not null;
create index image_generations_of_product on image_generations (client_product_id, id) where client_product_id is not null;
create index image_generations_counts on image_generations (
  batch, status, taken_by, account, error_code, remote_status, credits, created_at
);

create trigger image_generations_insert_is_input before insert on image_generations
when new.id <> -1
  or new.status <> 'pending'
  or new.attempt <> 0
  or new.taken_by is not null
  or new.submission_id is not null
  or new.remote_id is not null
  or new.remote_status is not null
  or new.error_code is not null
  or new.error_message is not null
  or new.credits is not null
  or new.warning is not null
  or new.cancel is not null
  or new.not_before is not null
  or new.version <> 1
  or new.created_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  or new.submitted_at is not null
  or new.completed_at is not null
  or new.updated_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  or new.result_url is not null
begin
  select raise(abort, 'image_generations: an INSERT gives the input columns only; id, status and the other columns of the worker fill themselves');
end;

-- Differs because `insert or replace` deletes the row in its way without asking the delete trigger: the
-- key in the way is noted before, and if the INSERT then takes place, its row was replaced.
create trigger image_generations_insert_notes_key before insert on image_generations
when new.dedupe_key is not null
begin
  delete from keys_in_the_way where kind = 'image';
  insert into keys_in_the_way (kind, dedupe_key)
  select 'image', dedupe_key from image_generations where dedupe_key = new.dedupe_key;
end;
create trigger image_generations_insert_replaces_nothing after insert on image_generations
when new.dedupe_key is not null
begin
  select raise(abort, 'image_generations: this dedupe_key is taken; use INSERT … ON CONFLICT DO NOTHING, a job cannot be replaced')
  where exists (select 1 from keys_in_the_way where kind = 'image' and dedupe_key = new.dedupe_key);
end;

create trigger image_generations_insert_writes_run_at after insert on image_generations
when new.run_at is not strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at)
begin
  update image_generations
  set run_at = strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at), version = version + 1
  where id = new.id;
end;

create trigger image_generations_update_names_version before update on image_generations
when new.id <> old.id
  or new.created_at is not old.created_at
  or new.version not in (old.version, old.version + 1)
begin
  select raise(abort, 'image_generations: id and created_at never change, and version grows by one with each change');
end;

create trigger image_generations_update_is_the_workers before update on image_generations
when new.version = old.version
  and (new.status is not old.status or new.attempt is not old.attempt or new.taken_by is not old.taken_by or new.submission_id is not old.submission_id or new.remote_id is not old.remote_id or new.remote_status is not old.remote_status or new.error_code is not old.error_code or new.error_message is not old.error_message or new.credits is not old.credits or new.warning is not old.warning or new.cancel is not old.cancel or new.not_before is not old.not_before or new.submitted_at is not old.submitted_at or new.completed_at is not old.completed_at or new.updated_at is not old.updated_at or new.result_url is not old.result_url)
begin
  select raise(abort, 'image_generations: status and the other columns of the worker change through job_commands (cancel, retry, …), not by UPDATE');
end;

create trigger image_generations_update_is_in_time before update on image_generations
when new.version = old.version
  and old.status <> 'pending'
  and (new.account is not old.account or new.client_product_id is not old.client_product_id or new.dedupe_key is not old.dedupe_key or new.batch is not old.batch or new.priority is not old.priority or new.run_at is not old.run_at or new.max_attempts is not old.max_attempts or new.operation is not old.operation or new.model is not old.model or new.prompt is not old.prompt or new.image_url is not old.image_url or new.second_image_url is not old.second_image_url or new.source_job is not old.source_job)
begin
  select raise(abort, 'image_generations: only a pending job can be changed');
end;

create trigger image_generations_update_takes_no_key before update of dedupe_key on image_generations
when new.dedupe_key is not old.dedupe_key
begin
  select raise(abort, 'image_generations: this dedupe_key is taken by another job')
  where exists (select 1 from image_generations where dedupe_key = new.dedupe_key and id <> old.id);
end;

create trigger image_generations_update_raises_version after update on image_generations
when new.version = old.version and old.status = 'pending'
begin
  update image_generations
  set
    run_at = strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    version = old.version + 1
  where id = new.id;
end;

create trigger image_generations_delete_is_safe before delete on image_generations
begin
  select raise(abort, 'image_generations: a job that is under way cannot be deleted; cancel it first (job_commands)')
  where old.status not in ('pending', 'completed', 'failed', 'cancelled')
    or exists (
      select 1 from submission_jobs
      where kind = 'image' and job_id = old.id
        and outcome in ('open', 'unknown') and released_at is null and ended_at is null
    );
end;

-- Product videos, made by JARAI. The least an INSERT needs: topic.
create table productions (
  id integer primary key autoincrement,
  -- Whose job it is, and when it may go.
  account text,
  client_product_id text,
  dedupe_key text,
  batch text,
  priority integer not null default 0,
  run_at text,
  max_attempts integer not null default 5,
  -- What it asks for.
  jarai_account_id text,
  topic text not null,
  language_id text,
  country_id text,
  avatar_id text,
  project_type_slug text,
  metadata_md text,
  -- What the worker writes.
  status text not null default 'pending',
  attempt integer not null default 0,
  taken_by text,
  submission_id text,
  remote_id text,
  remote_status text,
  error_code text,
  error_message text,
  credits integer,
  warning text,
  cancel text,
  not_before text,
  created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  submitted_at text,
  completed_at text,
  updated_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  version integer not null default 1,
  -- What can never be right.
  constraint productions_id_is_positive check (id > 0),
  constraint productions_status_is_known check (
    status in ('pending', 'submitting', 'in_doubt', 'running', 'capturing', 'completed', 'failed', 'cancelled')
  ),
  constraint productions_cancel_is_known check (cancel is null or cancel in ('asked', 'abandon')),
  constraint productions_need_topic check (trim(topic) <> ''),
  constraint productions_attempt_is_not_negative check (attempt >= 0),
  constraint productions_max_attempts_from_1_to_100 check (max_attempts between 1 and 100),
  constraint productions_priority_within_a_million check (priority between -1000000 and 1000000),
  constraint productions_version_is_positive check (version > 0),
  constraint productions_pending_have_no_submission check (
    status <> 'pending'
    or (submission_id is null and remote_id is null)
  ),
  constraint productions_submitting_have_submission check (
    status not in ('submitting', 'in_doubt')
    or (submission_id is not null and remote_id is null)
  ),
  constraint productions_running_have_remote_id check (
    status not in ('running', 'capturing', 'completed')
    or (submission_id is not null and remote_id is not null)
  ),
  constraint productions_remote_id_has_submission check (
    (remote_id is null) = (submission_id is null)
    or status in ('submitting', 'in_doubt')
  ),
  constraint productions_ended_have_completed_at check (
    (status in ('completed', 'failed', 'cancelled')) = (completed_at is not null)
  ),
  constraint productions_failed_have_error_code check (
    status not in ('failed', 'in_doubt')
    or error_code is not null
  ),
  constraint productions_error_code_has_message check ((error_code is null) = (error_message is null)),
  constraint productions_names_are_not_blank check (
    (account is null or trim(account) <> '')
    and (client_product_id is null or trim(client_product_id) <> '')
    and (dedupe_key is null or trim(dedupe_key) <> '')
    and (batch is null or trim(batch) <> '')
  ),
  constraint productions_names_are_not_huge check (
    (account is null or length(account) <= 1000)
    and (client_product_id is null or length(client_product_id) <= 1000)
    and (dedupe_key is null or length(dedupe_key) <= 1000)
    and (batch is null or length(batch) <= 1000)
  ),
  -- Years that every reader of these columns has; 'never' is no run_at, a job is not inserted then.
  constraint productions_run_at_within_years_1_to_9998 check (
    run_at is null
    or (
      strftime('%Y-%m-%dT%H:%M:%fZ', run_at) >= '0001-01-01'
      and strftime('%Y-%m-%dT%H:%M:%fZ', run_at) < '9999-01-01'
    )
  ),
  constraint productions_texts_are_not_huge check (
    (jarai_account_id is null or length(jarai_account_id) <= 100000)
    and (topic is null or length(topic) <= 100000)
    and (language_id is null or length(language_id) <= 100000)
    and (country_id is null or length(country_id) <= 100000)
    and (avatar_id is null or length(avatar_id) <= 100000)
    and (project_type_slug is null or length(project_type_slug) <= 100000)
    and (metadata_md is null or length(metadata_md) <= 100000)
  ),
  -- Differs because SQLite keeps NUL in text (PostgreSQL refuses it), and the text would end there.
  constraint productions_texts_have_no_nul check (
    instr(coalesce(account, ''), char(0)) = 0
    and instr(coalesce(client_product_id, ''), char(0)) = 0
    and instr(coalesce(dedupe_key, ''), char(0)) = 0
    and instr(coalesce(batch, ''), char(0)) = 0
    and instr(coalesce(jarai_account_id, ''), char(0)) = 0
    and instr(coalesce(topic, ''), char(0)) = 0
    and instr(coalesce(language_id, ''), char(0)) = 0
    and instr(coalesce(country_id, ''), char(0)) = 0
    and instr(coalesce(avatar_id, ''), char(0)) = 0
    and instr(coalesce(project_type_slug, ''), char(0)) = 0
    and instr(coalesce(metadata_md, ''), char(0)) = 0
  ),
  -- `is`, because `=` would let an unreadable time (null) through.
  constraint productions_run_at_is_a_time check (
    run_at is null
    or strftime('%Y-%m-%dT%H:%M:%fZ', run_at) is not null
  ),
  constraint productions_times_are_utc_with_milliseconds check (
    (not_before is null or not_before is strftime('%Y-%m-%dT%H:%M:%fZ', not_before))
    and (created_at is null or created_at is strftime('%Y-%m-%dT%H:%M:%fZ', created_at))
    and (submitted_at is null or submitted_at is strftime('%Y-%m-%dT%H:%M:%fZ', submitted_at))
    and (completed_at is null or completed_at is strftime('%Y-%m-%dT%H:%M:%fZ', completed_at))
    and (updated_at is null or updated_at is strftime('%Y-%m-%dT%H:%M:%fZ', updated_at))
  )
) strict;

create unique index productions_dedupe_key on productions (dedupe_key);
-- The next jobs of each batch, and the next of all; nothing is sorted, however many wait.
create index productions_next_of_batch on productions (
  (coalesce(account, '')), (coalesce(batch, '')), priority desc, (coalesce(run_at, created_at)), id
) where status = 'pending' and coalesce(error_code, '') <> 'unknown_account';
create index productions_next_of_all on productions (
  (coalesce(account, '')), priority desc, (coalesce(run_at, created_at)), id
) where status = 'pending' and coalesce(error_code, '') <> 'unknown_account';
create index productions_unknown_account on productions ((coalesce(account, '')), id)
where status = 'pending' and error_code = 'unknown_account';
-- When something falls due.
create index productions_run_at on productions (run_at) where status = 'pending' and run_at is not null;
create index productions_not_before on productions (not_before) where status = 'pending' and not_before is not null;
-- What is under way.
create index productions_open on productions (taken_by, id)
where status in ('submitting', 'in_doubt', 'running', 'capturing');
-- Lists, page by page, and the account of a batch without a look at the rows.
create index productions_of_status on productions (status, id);
create index productions_of_batch on productions (batch, id) where batch is not null;
create index productions_of_error on productions (error_code, id) where error_code is not null;
create index productions_of_product on productions (client_product_id, id) where client_product_id is not null;
create index productions_counts on productions (
  batch, status, taken_by, account, error_code, remote_status, credits, created_at
);

create trigger productions_insert_is_input before insert on productions
when new.id <> -1
  or new.status <> 'pending'
  or new.attempt <> 0
  or new.taken_by is not null
  or new.submission_id is not null
  or new.remote_id is not null
  or new.remote_status is not null
  or new.error_code is not null
  or new.error_message is not null
  or new.credits is not null
  or new.warning is not null
  or new.cancel is not null
  or new.not_before is not null
  or new.version <> 1
  or new.created_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  or new.submitted_at is not null
  or new.completed_at is not null
  or new.updated_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
begin
  select raise(abort, 'productions: an INSERT gives the input columns only; id, status and the other columns of the worker fill themselves');
end;

-- Differs because `insert or replace` deletes the row in its way without asking the delete trigger: the
-- key in the way is noted before, and if the INSERT then takes place, its row was replaced.
create trigger productions_insert_notes_key before insert on productions
when new.dedupe_key is not null
begin
  delete from keys_in_the_way where kind = 'production';
  insert into keys_in_the_way (kind, dedupe_key)
  select 'production', dedupe_key from productions where dedupe_key = new.dedupe_key;
end;
create trigger productions_insert_replaces_nothing after insert on productions
when new.dedupe_key is not null
begin
  select raise(abort, 'productions: this dedupe_key is taken; use INSERT … ON CONFLICT DO NOTHING, a job cannot be replaced')
  where exists (select 1 from keys_in_the_way where kind = 'production' and dedupe_key = new.dedupe_key);
end;

create trigger productions_insert_writes_run_at after insert on productions
when new.run_at is not strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at)
begin
  update productions
  set run_at = strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at), version = version + 1
  where id = new.id;
end;

create trigger productions_update_names_version before update on productions
when new.id <> old.id
  or new.created_at is not old.created_at
  or new.version not in (old.version, old.version + 1)
begin
  select raise(abort, 'productions: id and created_at never change, and version grows by one with each change');
end;

create trigger productions_update_is_the_workers before update on productions
when new.version = old.version
  and (new.status is not old.status or new.attempt is not old.attempt or new.taken_by is not old.taken_by or new.submission_id is not old.submission_id or new.remote_id is not old.remote_id or new.remote_status is not old.remote_status or new.error_code is not old.error_code or new.error_message is not old.error_message or new.credits is not old.credits or new.warning is not old.warning or new.cancel is not old.cancel or new.not_before is not old.not_before or new.submitted_at is not old.submitted_at or new.completed_at is not old.completed_at or new.updated_at is not old.updated_at)
begin
  select raise(abort, 'productions: status and the other columns of the worker change through job_commands (cancel, retry, …), not by UPDATE');
end;

create trigger productions_update_is_in_time before update on productions
when new.version = old.version
  and old.status <> 'pending'
  and (new.account is not old.account or new.client_product_id is not old.client_product_id or new.dedupe_key is not old.dedupe_key or new.batch is not old.batch or new.priority is not old.priority or new.run_at is not old.run_at or new.max_attempts is not old.max_attempts or new.jarai_account_id is not old.jarai_account_id or new.topic is not old.topic or new.language_id is not old.language_id or new.country_id is not old.country_id or new.avatar_id is not old.avatar_id or new.project_type_slug is not old.project_type_slug or new.metadata_md is not old.metadata_md)
begin
  select raise(abort, 'productions: only a pending job can be changed');
end;

create trigger productions_update_takes_no_key before update of dedupe_key on productions
when new.dedupe_key is not old.dedupe_key
begin
  select raise(abort, 'productions: this dedupe_key is taken by another job')
  where exists (select 1 from productions where dedupe_key = new.dedupe_key and id <> old.id);
end;

create trigger productions_update_raises_version after update on productions
when new.version = old.version and old.status = 'pending'
begin
  update productions
  set
    run_at = strftime('%Y-%m-%dT%H:%M:%fZ', new.run_at),
    updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    version = old.version + 1
  where id = new.id;
end;

create trigger productions_delete_is_safe before delete on productions
begin
  select raise(abort, 'productions: a job that is under way cannot be deleted; cancel it first (job_commands)')
  where old.status not in ('pending', 'completed', 'failed', 'cancelled')
    or exists (
      select 1 from submission_jobs
      where kind = 'production' and job_id = old.id
        and outcome in ('open', 'unknown') and released_at is null and ended_at is null
    );
end;
