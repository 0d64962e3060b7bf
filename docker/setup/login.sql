-- The sidecar's login: it may execute actions and, since webhooks come to it and the sync is its own too, write the store's tables. Its password is what the file says, also when that has
-- changed since the last time.
\set password `head -n 1 /run/secrets/sidecar_password`
select 'create role tradeflow_sidecar' where to_regrole('tradeflow_sidecar') is null \gexec
alter role tradeflow_sidecar login password :'password';
grant tradeflow_executor, tradeflow_sync to tradeflow_sidecar;
