-- Whether nothing can be written here, and whether that is because it is a standby
select current_setting('transaction_read_only')::boolean as read_only, pg_is_in_recovery() as standby
