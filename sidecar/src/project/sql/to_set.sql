-- What the files of a project only begin with, of its targets ($1), settings ($2) and pools ($3): examples and empty places.
select 'target' as kind, t.name, t.base_url as value, format('update tradeflow.targets set base_url = ''…'' where name = %L', t.name) as how
from tradeflow.targets t
where t.name = any ($1) and t.base_url like '%STORE\_HASH%'
union all
select 'setting', s.name, s.value, s.description
from tradeflow.settings s
where s.name = any ($2) and (s.value = 'the-id-in-its-address' or s.value ~ '[@/.]example\.com')
union all
select 'pool', p.name, 'nobody is in it', format('insert into tradeflow.pool_members (pool, member) values (%L, ''…'')', p.name)
from tradeflow.pools p
where p.name = any ($3) and not exists (select from tradeflow.pool_members m where m.pool = p.name)
order by 1, 2
