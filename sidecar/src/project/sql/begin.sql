select (select extversion from pg_extension where extname = 'tradeflow') as version,
       current_user::text as "user",
       coalesce((select pg_has_role(oid, 'member') from pg_roles where rolname = 'tradeflow_author'), false) as author
