-- Where COPY puts the payloads of a batch. It belongs to the session, and is empty again after each transaction. Compressing what is read
-- once would cost more than all the rest.
create temporary table if not exists incoming (item jsonb not null, payload jsonb not null) on commit delete rows;
alter table pg_temp.incoming alter column item set storage external, alter column payload set storage external
