-- How far every resource is.
select resource, watermark, extract(epoch from lag)::float8 as lag, finished_at, swept_at, failures, last_error
from tradeflow.sync_status order by resource
