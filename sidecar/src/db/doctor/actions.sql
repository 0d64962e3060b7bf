-- Actions of rules in use, with the target and the template they name. A template name with braces is known only when rendered.
select a.rule, a.step, a.kind, a.target,
       a.target is not null and t.name is null as target_missing,
       a.params ->> 'template' as template,
       a.params ->> 'template' !~ '[{]' and m.name is null as template_missing
from tradeflow.actions a
join tradeflow.rules r on r.name = a.rule and r.mode <> 'off'
left join tradeflow.targets t on t.name = a.target
left join tradeflow.templates m on m.name = a.params ->> 'template'
where (a.target is not null and t.name is null)
   or (a.kind = 'email' and a.params ? 'template' and a.params ->> 'template' !~ '[{]' and m.name is null)
order by a.rule, a.step
