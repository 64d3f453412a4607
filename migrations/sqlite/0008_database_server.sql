-- Which server the last worker found this database on. A replica that was promoted, or a backup that was
-- restored, has another timeline or another system identifier, and may lack the last requests that were
-- paid: then nothing is submitted until a person accepts it (`vitrine doctor --accept-database`).
-- Differs because a file has no server: the table stays empty.
create table database_server (
  one integer not null primary key,
  -- The accepted one.
  system text not null,
  timeline integer not null,
  accepted_at text not null,
  -- The present one, where it is not that one.
  found_system text,
  found_timeline integer,
  found_at text,
  constraint database_server_is_one check (one = 1),
  constraint database_server_found_is_whole check (
    (found_system is null) = (found_timeline is null) and (found_system is null) = (found_at is null)
  ),
  constraint database_server_times_are_utc_with_milliseconds check (
    (accepted_at is null or accepted_at is strftime('%Y-%m-%dT%H:%M:%fZ', accepted_at))
    and (found_at is null or found_at is strftime('%Y-%m-%dT%H:%M:%fZ', found_at))
  )
) strict;
