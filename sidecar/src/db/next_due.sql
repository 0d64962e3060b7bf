-- $1 kinds this sidecar knows
select extract(epoch from tradeflow.next_due($1))::float8 as seconds
