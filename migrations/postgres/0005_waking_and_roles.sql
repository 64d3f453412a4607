-- Waking readers, and the role of programs that only insert.
--
-- A notification takes a lock at commit: one per statement, never one per row. The worker sets
-- `vitrine.worker` in its own transactions, so that it does not wake itself.

create function vitrine_wake() returns trigger language plpgsql as $$
begin
  if coalesce(current_setting('vitrine.worker', true), '') <> 'on'
    and exists (select 1 from changed)
  then
    perform pg_notify('vitrine_wake', tg_table_name);
  end if;
  return null;
end $$;

create trigger descriptions_insert_wakes after insert on descriptions
referencing new table as changed
for each statement execute function vitrine_wake();
create trigger descriptions_update_wakes after update on descriptions
referencing new table as changed
for each statement execute function vitrine_wake();
create trigger descriptions_delete_wakes after delete on descriptions
referencing old table as changed
for each statement execute function vitrine_wake();

create trigger image_generations_insert_wakes after insert on image_generations
referencing new table as changed
for each statement execute function vitrine_wake();
create trigger image_generations_update_wakes after update on image_generations
referencing new table as changed
for each statement execute function vitrine_wake();
create trigger image_generations_delete_wakes after delete on image_generations
referencing old table as changed
for each statement execute function vitrine_wake();

create trigger productions_insert_wakes after insert on productions
referencing new table as changed
for each statement execute function vitrine_wake();
create trigger productions_update_wakes after update on productions
referencing new table as changed
for each statement execute function vitrine_wake();
create trigger productions_delete_wakes after delete on productions
referencing old table as changed
for each statement execute function vitrine_wake();

create trigger job_commands_insert_wakes after insert on job_commands
referencing new table as changed
for each statement execute function vitrine_wake();

create trigger webhook_inbox_insert_wakes after insert on webhook_inbox
referencing new table as changed
for each statement execute function vitrine_wake();

create function descriptions_notify_done() returns trigger language plpgsql as $$
declare
  names text;
begin
  select string_agg('description:' || after_.id, ',' order by after_.id) into names
  from after_
  join before_ using (id)
  where after_.status in ('completed', 'failed', 'cancelled')
    and before_.status not in ('completed', 'failed', 'cancelled');
  if names is not null then
    -- A payload has 8,000 bytes at most; who gets the bare kind looks for itself.
    perform pg_notify('vitrine_done', case when length(names) <= 7000 then names else 'description' end);
  end if;
  return null;
end $$;
create trigger descriptions_notify_done after update on descriptions
referencing old table as before_ new table as after_
for each statement execute function descriptions_notify_done();

create function image_generations_notify_done() returns trigger language plpgsql as $$
declare
  names text;
begin
  select string_agg('image:' || after_.id, ',' order by after_.id) into names
  from after_
  join before_ using (id)
  where after_.status in ('completed', 'failed', 'cancelled')
    and before_.status not in ('completed', 'failed', 'cancelled');
  if names is not null then
    -- A payload has 8,000 bytes at most; who gets the bare kind looks for itself.
    perform pg_notify('vitrine_done', case when length(names) <= 7000 then names else 'image' end);
  end if;
  return null;
end $$;
create trigger image_generations_notify_done after update on image_generations
referencing old table as before_ new table as after_
for each statement execute function image_generations_notify_done();

create function productions_notify_done() returns trigger language plpgsql as $$
declare
  names text;
begin
  select string_agg('production:' || after_.id, ',' order by after_.id) into names
  from after_
  join before_ using (id)
  where after_.status in ('completed', 'failed', 'cancelled')
    and before_.status not in ('completed', 'failed', 'cancelled');
  if names is not null then
    -- A payload has 8,000 bytes at most; who gets the bare kind looks for itself.
    perform pg_notify('vitrine_done', case when length(names) <= 7000 then names else 'production' end);
  end if;
  return null;
end $$;
create trigger productions_notify_done after update on productions
referencing old table as before_ new table as after_
for each statement execute function productions_notify_done();

-- Roles belong to the whole server: another database may have made this one, or is just making it, and
-- the owner of a database need not be allowed to. Without the role nothing is granted.
do $$
begin
  if not exists (select 1 from pg_roles where rolname = 'vitrine_inserter') then
    create role vitrine_inserter nologin;
  end if;
exception
  when insufficient_privilege or duplicate_object or unique_violation then
    raise notice 'role vitrine_inserter was not created here';
end $$;

do $$
begin
  if not exists (select 1 from pg_roles where rolname = 'vitrine_inserter') then
    return;
  end if;
  grant insert (
    account, client_product_id, dedupe_key, batch, priority, run_at, max_attempts,
    project_id, ean, product_name, product_brand
  ) on descriptions to vitrine_inserter;
  grant select (
    id, status, error_code, error_message, client_product_id, dedupe_key, batch
  ) on descriptions to vitrine_inserter;
  grant insert (
    account, client_product_id, dedupe_key, batch, priority, run_at, max_attempts,
    operation, model, prompt, image_url, second_image_url, source_job
  ) on image_generations to vitrine_inserter;
  grant select (
    id, status, error_code, error_message, client_product_id, dedupe_key, batch
  ) on image_generations to vitrine_inserter;
  grant insert (
    account, client_product_id, dedupe_key, batch, priority, run_at, max_attempts,
    jarai_account_id, topic, language_id, country_id, avatar_id, project_type_slug, metadata_md
  ) on productions to vitrine_inserter;
  grant select (
    id, status, error_code, error_message, client_product_id, dedupe_key, batch
  ) on productions to vitrine_inserter;
  grant insert (kind, job_id, command, value) on job_commands to vitrine_inserter;
end $$;
