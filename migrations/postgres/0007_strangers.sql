-- Webhooks about jobs that are not ours, youngest first: whether another client uses the same key is asked
-- before a job in doubt is tied to what only looks like it.
create index webhook_inbox_ignored on webhook_inbox (decided_at) where state = 'ignored';
