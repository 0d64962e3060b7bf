-- A server that finds extensions in another folder (extension_destdir) does not list them as available.
select
  (select extversion from pg_extension where extname = 'tradeflow') as installed,
  (select default_version from pg_available_extensions where name = 'tradeflow') as available,
  current_user::text as "user"
