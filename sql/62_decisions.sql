-- 62_decisions: what decision tables are asked with. A decision table is an ordinary table: a row is a line of it, its
-- criteria come first (NULL: any), then what follows; the first line that matches wins.
--
--   create table if not exists discount_limits (
--     position int primary key, customer_group text, currency text, warn_percent numeric not null, block_percent numeric not null);
--
--   select … from store.quotes q
--   cross join lateral (
--     select d.* from discount_limits d
--     where tradeflow.matches(d.customer_group, q.customer_group) and tradeflow.matches(d.currency, q.currency_code)
--     order by d.position limit 1) limits
--
-- The last line, without criteria, is the fallback; without one, a row that no line matches has no answer. Rules ask in
-- their query or view: a condition reads the changed row alone.

create function tradeflow.matches(wanted anycompatible, given anycompatible) returns boolean
language sql immutable parallel safe
as $$ select wanted is null or coalesce(wanted = given, false) $$;
comment on function tradeflow.matches(anycompatible, anycompatible) is
  'Whether a criterion of a decision table''s line lets a value pass: NULL is any, else they must be equal. A value that is NULL passes NULL only.';

create function tradeflow.matches(wanted anycompatiblearray, given anycompatible) returns boolean
language sql immutable parallel safe
as $$ select wanted is null or coalesce(given = any (wanted), false) $$;
comment on function tradeflow.matches(anycompatiblearray, anycompatible) is 'The same for a list: the value must be one of it.';

create function tradeflow.matches(wanted anycompatiblerange, given anycompatible) returns boolean
language sql immutable parallel safe
as $$ select wanted is null or coalesce(wanted @> given, false) $$;
comment on function tradeflow.matches(anycompatiblerange, anycompatible) is 'The same for a range: the value must lie in it.';
