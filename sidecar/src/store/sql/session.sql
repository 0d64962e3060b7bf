-- What a session that writes batches needs.
--
-- Where COPY puts the payloads of a batch: it is empty again after each transaction. What is read once is neither compressed nor, up to 8 kB a
-- row, moved out of line: either would cost more than all the rest.
create temporary table if not exists incoming (item jsonb not null, payload jsonb not null) with (toast_tuple_target = 8160) on commit delete rows;
alter table pg_temp.incoming alter column item set storage external, alter column payload set storage external;
-- Payloads that are kept are compressed where they are large: with lz4, where the server knows it, at a tenth of what its own way costs.
select set_config('default_toast_compression', 'lz4', false) from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)
;
-- What is estimated from the pages of a temporary table looks expensive, and compiling the statement would take longer than executing it.
set jit = off
