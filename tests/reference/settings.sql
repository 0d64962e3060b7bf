-- Markdown of the settings that the extension itself reads, as the comments name them: setting history_days (default 90).
select format('| `%s` | %s | %s |', m.found[1], coalesce(m.found[2], ''), string_agg(distinct pg_temp.prose(d.description), ' ' ))
from pg_description d, regexp_matches(d.description, '\msetting ([a-z]+_[a-z_]+)(?: \(default ([^)]+)\))?', 'g') m(found)
where d.objoid in (select oid from pg_class where relnamespace = 'tradeflow'::regnamespace
                   union all select oid from pg_proc where pronamespace = 'tradeflow'::regnamespace)
  and m.found[2] is not null
group by m.found[1], m.found[2]
order by m.found[1];
