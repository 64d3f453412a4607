-- Whether the route that took a webhook found the account's own secret in it: a signature over these bytes, or the
-- path that nobody can guess. What came without is a hint at the most, whatever it says.
alter table webhook_inbox add column verified integer not null default 0
constraint webhook_inbox_verified_is_0_or_1 check (verified in (0, 1));
