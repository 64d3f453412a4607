-- Waking readers, and the role of programs that only insert.
--
-- Differs because SQLite has neither notifications nor roles: `pragma data_version` tells who watches,
-- and the permission of the file is the border. The number stands here so that both folders count alike.
select 1;
