-- Releases every object from the extension and drops it, so that pg_dump writes the objects.
do $$
declare
  member record;
begin
  for member in
    select o.type, o.identity
      from pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) o
     where d.refclassid = 'pg_extension'::regclass
       and d.refobjid = (select oid from pg_extension where extname = 'tradeflow')
       and d.deptype = 'e'
  loop
    execute format('alter extension tradeflow drop %s %s', member.type, member.identity);
  end loop;
end
$$;
drop extension tradeflow;
