-- Which server the last worker found this database on. A replica that was promoted, or a backup that was
-- restored, has another timeline or another system identifier, and may lack the last requests that were
-- paid: then nothing is submitted until a person accepts it (`vitrine doctor --accept-database`).
create table database_server (
  one bigint not null primary key,
  -- The accepted one.
  system text not null,
  timeline bigint not null,
  accepted_at timestamptz not null,
  -- The present one, where it is not that one.
  found_system text,
  found_timeline bigint,
  found_at timestamptz,
  constraint database_server_is_one check (one = 1),
  constraint database_server_found_is_whole check (
    (found_system is null) = (found_timeline is null) and (found_system is null) = (found_at is null)
  )
);
