-- Where COPY puts the payloads of a batch. It belongs to the session, and is empty again after each transaction.
create temporary table if not exists incoming (item jsonb not null) on commit delete rows
