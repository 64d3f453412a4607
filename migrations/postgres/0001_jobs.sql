-- The three job tables that other programs write and read.
--
-- One row is one job. A program inserts the input columns; the worker writes the rest and raises
-- `version` by one with each of its changes, which is how a trigger tells the two apart, and how the
-- worker notices that somebody changed or deleted a row under its hands.

-- Differs because PostgreSQL has a time type: timestamptz, cut to milliseconds where we set it.

-- Product texts, made by JAKOV.AI. The least an INSERT needs: ean or product_name.
create table descriptions (
  id bigint generated always as identity primary key,
  -- Whose job it is, and when it may go.
  account text,
  client_product_id text,
  dedupe_key text,
  batch text,
  priority bigint not null default 0,
  run_at timestamptz,
  max_attempts bigint not null default 5,
  -- What it asks for.
  project_id text,
  ean text,
  product_name text,
  product_brand text,
  -- What the worker writes.
  status text not null default 'pending',
  attempt bigint not null default 0,
  taken_by text,
  submission_id text,
  remote_id text,
  remote_status text,
  error_code text,
  error_message text,
  credits bigint,
  warning text,
  cancel text,
  description text,
  not_before timestamptz,
  created_at timestamptz not null default (date_trunc('milliseconds', now())),
  submitted_at timestamptz,
  completed_at timestamptz,
  updated_at timestamptz not null default (date_trunc('milliseconds', now())),
  version bigint not null default 1,
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
  -- Years that every reader of these columns has (infinity is none); 'never' is no run_at, a job is
  -- not inserted then.
  constraint descriptions_run_at_within_years_1_to_9998 check (
    run_at is null
    or (
      run_at >= '0001-01-01T00:00:00Z'
      and run_at < '9999-01-01T00:00:00Z'
    )
  ),
  constraint descriptions_texts_are_not_huge check (
    (project_id is null or length(project_id) <= 100000)
    and (ean is null or length(ean) <= 100000)
    and (product_name is null or length(product_name) <= 100000)
    and (product_brand is null or length(product_brand) <= 100000)
  )
);

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

create function descriptions_insert_is_input() returns trigger language plpgsql as $$
begin
  if new.status <> 'pending'
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
    or new.created_at is distinct from date_trunc('milliseconds', now())
    or new.submitted_at is not null
    or new.completed_at is not null
    or new.updated_at is distinct from date_trunc('milliseconds', now())
    or new.description is not null
  then
    raise exception 'descriptions: an INSERT gives the input columns only; id, status and the other columns of the worker fill themselves';
  end if;
  new.run_at := date_trunc('milliseconds', new.run_at);
  return new;
end $$;
create trigger descriptions_insert_is_input before insert on descriptions
for each row execute function descriptions_insert_is_input();

create function descriptions_update_is_allowed() returns trigger language plpgsql as $$
begin
  if new.id <> old.id
    or new.created_at <> old.created_at
    or new.version not in (old.version, old.version + 1)
  then
    raise exception 'descriptions: id and created_at never change, and version grows by one with each change';
  end if;
  if new.version = old.version then
    if (new.status, new.attempt, new.taken_by, new.submission_id, new.remote_id, new.remote_status, new.error_code, new.error_message, new.credits, new.warning, new.cancel, new.not_before, new.submitted_at, new.completed_at, new.updated_at, new.description)
      is distinct from (old.status, old.attempt, old.taken_by, old.submission_id, old.remote_id, old.remote_status, old.error_code, old.error_message, old.credits, old.warning, old.cancel, old.not_before, old.submitted_at, old.completed_at, old.updated_at, old.description)
    then
      raise exception 'descriptions: status and the other columns of the worker change through job_commands (cancel, retry, …), not by UPDATE';
    end if;
    if (new.account, new.client_product_id, new.dedupe_key, new.batch, new.priority, new.run_at, new.max_attempts, new.project_id, new.ean, new.product_name, new.product_brand)
      is distinct from (old.account, old.client_product_id, old.dedupe_key, old.batch, old.priority, old.run_at, old.max_attempts, old.project_id, old.ean, old.product_name, old.product_brand)
    then
      if old.status <> 'pending' then
        raise exception 'descriptions: only a pending job can be changed';
      end if;
      new.run_at := date_trunc('milliseconds', new.run_at);
      new.updated_at := date_trunc('milliseconds', now());
      new.version := old.version + 1;
    end if;
  end if;
  return new;
end $$;
create trigger descriptions_update_is_allowed before update on descriptions
for each row execute function descriptions_update_is_allowed();

create function descriptions_delete_is_safe() returns trigger language plpgsql as $$
begin
  if old.status not in ('pending', 'completed', 'failed', 'cancelled')
    or exists (
      select 1 from submission_jobs
      where kind = 'description' and job_id = old.id
        and outcome in ('open', 'unknown') and released_at is null and ended_at is null
    )
  then
    raise exception 'descriptions: a job that is under way cannot be deleted; cancel it first (job_commands)';
  end if;
  return old;
end $$;
create trigger descriptions_delete_is_safe before delete on descriptions
for each row execute function descriptions_delete_is_safe();

-- Product images, made by ProductAI.photo. The least an INSERT needs: model, image_url and prompt; or
-- operation = 'upscale' and image_url.
create table image_generations (
  id bigint generated always as identity primary key,
  -- Whose job it is, and when it may go.
  account text,
  client_product_id text,
  dedupe_key text,
  batch text,
  priority bigint not null default 0,
  run_at timestamptz,
  max_attempts bigint not null default 5,
  -- What it asks for.
  operation text not null default 'generate',
  model text,
  prompt text,
  image_url text,
  second_image_url text,
  source_job bigint,
  -- What the worker writes.
  status text not null default 'pending',
  attempt bigint not null default 0,
  taken_by text,
  submission_id text,
  remote_id text,
  remote_status text,
  error_code text,
  error_message text,
  credits bigint,
  warning text,
  cancel text,
  result_url text,
  not_before timestamptz,
  created_at timestamptz not null default (date_trunc('milliseconds', now())),
  submitted_at timestamptz,
  completed_at timestamptz,
  updated_at timestamptz not null default (date_trunc('milliseconds', now())),
  version bigint not null default 1,
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
  -- Years that every reader of these columns has (infinity is none); 'never' is no run_at, a job is
  -- not inserted then.
  constraint image_generations_run_at_within_years_1_to_9998 check (
    run_at is null
    or (
      run_at >= '0001-01-01T00:00:00Z'
      and run_at < '9999-01-01T00:00:00Z'
    )
  ),
  constraint image_generations_texts_are_not_huge check (
    (operation is null or length(operation) <= 100000)
    and (model is null or length(model) <= 100000)
    and (prompt is null or length(prompt) <= 100000)
    and (image_url is null or length(image_url) <= 100000)
    and (second_image_url is null or length(second_image_url) <= 100000)
  )
);

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

create function image_generations_insert_is_input() returns trigger language plpgsql as $$
begin
  if new.status <> 'pending'
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
    or new.created_at is distinct from date_trunc('milliseconds', now())
    or new.submitted_at is not null
    or new.completed_at is not null
    or new.updated_at is distinct from date_trunc('milliseconds', now())
    or new.result_url is not null
  then
    raise exception 'image_generations: an INSERT gives the input columns only; id, status and the other columns of the worker fill themselves';
  end if;
  new.run_at := date_trunc('milliseconds', new.run_at);
  return new;
end $$;
create trigger image_generations_insert_is_input before insert on image_generations
for each row execute function image_generations_insert_is_input();

create function image_generations_update_is_allowed() returns trigger language plpgsql as $$
begin
  if new.id <> old.id
    or new.created_at <> old.created_at
    or new.version not in (old.version, old.version + 1)
  then
    raise exception 'image_generations: id and created_at never change, and version grows by one with each change';
  end if;
  if new.version = old.version then
    if (new.status, new.attempt, new.taken_by, new.submission_id, new.remote_id, new.remote_status, new.error_code, new.error_message, new.credits, new.warning, new.cancel, new.not_before, new.submitted_at, new.completed_at, new.updated_at, new.result_url)
      is distinct from (old.status, old.attempt, old.taken_by, old.submission_id, old.remote_id, old.remote_status, old.error_code, old.error_message, old.credits, old.warning, old.cancel, old.not_before, old.submitted_at, old.completed_at, old.updated_at, old.result_url)
    then
      raise exception 'image_generations: status and the other columns of the worker change through job_commands (cancel, retry, …), not by UPDATE';
    end if;
    if (new.account, new.client_product_id, new.dedupe_key, new.batch, new.priority, new.run_at, new.max_attempts, new.operation, new.model, new.prompt, new.image_url, new.second_image_url, new.source_job)
      is distinct from (old.account, old.client_product_id, old.dedupe_key, old.batch, old.priority, old.run_at, old.max_attempts, old.operation, old.model, old.prompt, old.image_url, old.second_image_url, old.source_job)
    then
      if old.status <> 'pending' then
        raise exception 'image_generations: only a pending job can be changed';
      end if;
      new.run_at := date_trunc('milliseconds', new.run_at);
      new.updated_at := date_trunc('milliseconds', now());
      new.version := old.version + 1;
    end if;
  end if;
  return new;
end $$;
create trigger image_generations_update_is_allowed before update on image_generations
for each row execute function image_generations_update_is_allowed();

create function image_generations_delete_is_safe() returns trigger language plpgsql as $$
begin
  if old.status not in ('pending', 'completed', 'failed', 'cancelled')
    or exists (
      select 1 from submission_jobs
      where kind = 'image' and job_id = old.id
        and outcome in ('open', 'unknown') and released_at is null and ended_at is null
    )
  then
    raise exception 'image_generations: a job that is under way cannot be deleted; cancel it first (job_commands)';
  end if;
  return old;
end $$;
create trigger image_generations_delete_is_safe before delete on image_generations
for each row execute function image_generations_delete_is_safe();

-- Product videos, made by JARAI. The least an INSERT needs: topic.
create table productions (
  id bigint generated always as identity primary key,
  -- Whose job it is, and when it may go.
  account text,
  client_product_id text,
  dedupe_key text,
  batch text,
  priority bigint not null default 0,
  run_at timestamptz,
  max_attempts bigint not null default 5,
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
  attempt bigint not null default 0,
  taken_by text,
  submission_id text,
  remote_id text,
  remote_status text,
  error_code text,
  error_message text,
  credits bigint,
  warning text,
  cancel text,
  not_before timestamptz,
  created_at timestamptz not null default (date_trunc('milliseconds', now())),
  submitted_at timestamptz,
  completed_at timestamptz,
  updated_at timestamptz not null default (date_trunc('milliseconds', now())),
  version bigint not null default 1,
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
  -- Years that every reader of these columns has (infinity is none); 'never' is no run_at, a job is
  -- not inserted then.
  constraint productions_run_at_within_years_1_to_9998 check (
    run_at is null
    or (
      run_at >= '0001-01-01T00:00:00Z'
      and run_at < '9999-01-01T00:00:00Z'
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
  )
);

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

create function productions_insert_is_input() returns trigger language plpgsql as $$
begin
  if new.status <> 'pending'
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
    or new.created_at is distinct from date_trunc('milliseconds', now())
    or new.submitted_at is not null
    or new.completed_at is not null
    or new.updated_at is distinct from date_trunc('milliseconds', now())
  then
    raise exception 'productions: an INSERT gives the input columns only; id, status and the other columns of the worker fill themselves';
  end if;
  new.run_at := date_trunc('milliseconds', new.run_at);
  return new;
end $$;
create trigger productions_insert_is_input before insert on productions
for each row execute function productions_insert_is_input();

create function productions_update_is_allowed() returns trigger language plpgsql as $$
begin
  if new.id <> old.id
    or new.created_at <> old.created_at
    or new.version not in (old.version, old.version + 1)
  then
    raise exception 'productions: id and created_at never change, and version grows by one with each change';
  end if;
  if new.version = old.version then
    if (new.status, new.attempt, new.taken_by, new.submission_id, new.remote_id, new.remote_status, new.error_code, new.error_message, new.credits, new.warning, new.cancel, new.not_before, new.submitted_at, new.completed_at, new.updated_at)
      is distinct from (old.status, old.attempt, old.taken_by, old.submission_id, old.remote_id, old.remote_status, old.error_code, old.error_message, old.credits, old.warning, old.cancel, old.not_before, old.submitted_at, old.completed_at, old.updated_at)
    then
      raise exception 'productions: status and the other columns of the worker change through job_commands (cancel, retry, …), not by UPDATE';
    end if;
    if (new.account, new.client_product_id, new.dedupe_key, new.batch, new.priority, new.run_at, new.max_attempts, new.jarai_account_id, new.topic, new.language_id, new.country_id, new.avatar_id, new.project_type_slug, new.metadata_md)
      is distinct from (old.account, old.client_product_id, old.dedupe_key, old.batch, old.priority, old.run_at, old.max_attempts, old.jarai_account_id, old.topic, old.language_id, old.country_id, old.avatar_id, old.project_type_slug, old.metadata_md)
    then
      if old.status <> 'pending' then
        raise exception 'productions: only a pending job can be changed';
      end if;
      new.run_at := date_trunc('milliseconds', new.run_at);
      new.updated_at := date_trunc('milliseconds', now());
      new.version := old.version + 1;
    end if;
  end if;
  return new;
end $$;
create trigger productions_update_is_allowed before update on productions
for each row execute function productions_update_is_allowed();

create function productions_delete_is_safe() returns trigger language plpgsql as $$
begin
  if old.status not in ('pending', 'completed', 'failed', 'cancelled')
    or exists (
      select 1 from submission_jobs
      where kind = 'production' and job_id = old.id
        and outcome in ('open', 'unknown') and released_at is null and ended_at is null
    )
  then
    raise exception 'productions: a job that is under way cannot be deleted; cancel it first (job_commands)';
  end if;
  return old;
end $$;
create trigger productions_delete_is_safe before delete on productions
for each row execute function productions_delete_is_safe();
