-- How large a captured picture is (in pixels) and how long a film (in milliseconds), where the file's header says
-- it. Null where it does not, and for files that were captured before these columns were there.
alter table deliverables add column width integer
  constraint deliverables_width_is_positive check (width > 0);
alter table deliverables add column height integer
  constraint deliverables_height_is_positive check (height > 0);
alter table deliverables add column duration_ms integer
  constraint deliverables_duration_is_not_negative check (duration_ms >= 0);
