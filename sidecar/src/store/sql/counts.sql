select
  count(*) filter (where is_new and is_written) as inserted,
  count(*) filter (where not is_new and is_written) as updated,
  count(*) filter (where not is_outdated and not is_written) as unchanged,
  count(*) filter (where is_outdated) as outdated,
  {lines_inserted} as lines_inserted,
  {lines_updated} as lines_updated,
  {lines_unchanged} as lines_unchanged,
  {lines_deleted} as lines_deleted
from (
  select is_new, is_outdated, ({key}) in (select {key} from written) as is_written
  from merged
) as outcome
