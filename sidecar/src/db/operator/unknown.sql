-- $1 rule, $2 kind, $3 target: which of them there is not, nor an open action of. Null: those that are named are known.
select case
  when $1::text is not null and not exists (select from tradeflow.rules r where r.name = $1)
       and not exists (select from tradeflow.outbox o where o.rule = $1) then format('there is no rule "%s"', $1)
  when $2::text is not null and not exists (select from tradeflow.action_kinds k where k.name = $2) then format('there is no kind "%s"', $2)
  when $3::text is not null and not exists (select from tradeflow.targets t where t.name = $3) then format('there is no target "%s"', $3)
end
