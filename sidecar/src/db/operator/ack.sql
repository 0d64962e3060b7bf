-- $1 ids, or null: all open ones of $2 rule and $3 kind. The ids that were noted.
with open as materialized (
  select i.id
  from tradeflow.incidents i
  where i.acked_at is null
    and case when $1::bigint[] is null then ($2::text is null or i.rule = $2) and ($3::text is null or i.kind = $3) else i.id = any ($1) end
  order by i.id
)
select o.id from open o where tradeflow.ack(o.id)
