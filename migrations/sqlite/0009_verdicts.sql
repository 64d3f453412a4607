-- What each job of a submission learned from the answer, in the order of the body, as whoever heard it
-- read it. It is a fact: a process that has lost the lane meanwhile writes it as well, and the lane's new
-- owner draws its conclusions from it.
alter table submissions add column verdicts text
constraint submissions_verdicts_have_time check (verdicts is null or answered_at is not null);
