-- What a shop shows of a product: one row per account and client_product_id, with the newest of each.
-- A file in quarantine is no result.
create view product_results as
with finished as (
  select
    coalesce(taken_by, account) as account, client_product_id,
    'description' as part, id, completed_at, description as content
  from descriptions
  where status = 'completed' and client_product_id is not null
  union all
  select
    coalesce(i.taken_by, i.account), i.client_product_id,
    case i.operation when 'upscale' then 'upscaled' else 'image' end, i.id, i.completed_at,
    (
      select d.location from deliverables d
      where d.kind = 'image' and d.job_id = i.id and d.submission_id = i.submission_id
        and d.type = 'Image' and not d.quarantined
      order by d.id desc
      limit 1
    )
  from image_generations i
  where i.status = 'completed' and i.client_product_id is not null
  union all
  select
    coalesce(p.taken_by, p.account), p.client_product_id,
    'video', p.id, p.completed_at,
    (
      select d.location from deliverables d
      where d.kind = 'production' and d.job_id = p.id and d.submission_id = p.submission_id
        and d.type = 'Video' and not d.quarantined
      order by d.id desc
      limit 1
    )
  from productions p
  where p.status = 'completed' and p.client_product_id is not null
),
newest as (
  select
    finished.*,
    row_number() over (
      partition by account, client_product_id, part
      order by completed_at desc, id desc
    ) as place
  from finished
  where content is not null
)
select
  account,
  client_product_id,
  max(case part when 'description' then content end) as description,
  max(case part when 'description' then completed_at end) as description_completed_at,
  max(case part when 'image' then content end) as image_location,
  max(case part when 'image' then completed_at end) as image_completed_at,
  max(case part when 'upscaled' then content end) as upscaled_location,
  max(case part when 'upscaled' then completed_at end) as upscaled_completed_at,
  max(case part when 'video' then content end) as video_location,
  max(case part when 'video' then completed_at end) as video_completed_at
from newest
where place = 1
group by account, client_product_id;
