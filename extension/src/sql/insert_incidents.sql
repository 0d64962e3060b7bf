-- $1 kind, $2 rule, $3 source, $4 subject, $5 message, $6 detail, $7 hint, $8 sqlstate, $9 count: arrays of one length.
insert into tradeflow.incidents (kind, rule, source, subject, message, detail, hint, sqlstate, count)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::int[])
