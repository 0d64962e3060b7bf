-- Changes with every change of a target, a template or a setting: xmin is the transaction that wrote the row.
select
  (select coalesce(string_agg(t.name || ' ' || t.xmin::text, ',' order by t.name), '') from tradeflow.targets t) as targets,
  (select coalesce(string_agg(m.name || ' ' || m.xmin::text, ',' order by m.name), '') from tradeflow.templates m) as templates,
  (select coalesce(string_agg(s.name || ' ' || s.xmin::text, ',' order by s.name), '') from tradeflow.settings s) as settings
