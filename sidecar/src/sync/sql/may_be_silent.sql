-- Whether `set tradeflow.mode = 'silent'` will be allowed; a database without the role has no rules to keep silent.
select coalesce(pg_has_role(current_user, to_regrole('tradeflow_silent'), 'member'), true) as allowed, current_user::text as "user"
