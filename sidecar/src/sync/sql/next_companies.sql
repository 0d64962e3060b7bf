-- The next companies by their ids.
select company_id from store.companies where company_id > $1 order by company_id limit $2
