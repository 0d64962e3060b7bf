-- $1 target, or null: all
select to_jsonb(x) || jsonb_build_object('lag_seconds', extract(epoch from x.lag))
from (
  select h.*, t.base_url, t.auth, t.secret, t.username, t.sender, t.allow_private, t.description
  from tradeflow.target_health h
  join tradeflow.targets t on t.name = h.target
  where $1::text is null or h.target = $1
) x
order by x.target
