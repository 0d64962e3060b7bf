select installed_version, default_version, current_user::text as "user"
from pg_available_extensions where name = 'tradeflow'
