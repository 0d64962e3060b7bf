-- What actions want of their targets. A spreadsheet that a template names is not known here.
select distinct a.target, a.kind,
       case when a.params ->> 'spreadsheet' !~ '[{][{%]' then a.params ->> 'spreadsheet' end as spreadsheet
from tradeflow.actions a
where a.target is not null
order by 1, 2, 3
