select state, coalesce(kind, '') as kind, coalesce(target, '') as target, actions, extract(epoch from lag)::float8 as lag
from tradeflow.queue_health
