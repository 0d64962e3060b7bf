select current_user::text as "user",
       has_function_privilege('tradeflow.watch(regclass,text[],text[],boolean)', 'execute')
       and has_table_privilege('tradeflow.watched_tables', 'select, insert') as allowed
