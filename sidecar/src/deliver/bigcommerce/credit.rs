//! `bigcommerce.add_company_credit`: adds to what a company has left.
//!
//! The API knows the remaining amount only, and sets it outright. So the sum is an entry of our own ledger, under a key that
//! counts once; one of us writes a company's credit at a time; before a new balance is sent, it and the one before are
//! noted. Who comes after a crash compares what the store has with those two and knows whether it arrived.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Method;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tokio_postgres::types::{ToSql, Type};

use super::{data, store, PATIENCE};
use crate::bigcommerce::value::{decimal, flag, number};
use crate::bigcommerce::{Api, Store};
use crate::deliver::lock::Held;
use crate::deliver::params::{self, Amount, Filled, Flag, Id, Text};
use crate::deliver::strategy::{AbsoluteSet, Operation, Setting};
use crate::deliver::{Failure, Job, System, Tools};

/// A write without an answer may still be under way: so long nothing is concluded from what is read.
const SETTLING: Duration = Duration::from_secs(10);

const AVAILABLE: &str = "availableCredit";
const ENABLED: &str = "creditEnabled";
const CURRENCY: &str = "creditCurrency";
const LIMIT: &str = "limitPurchases";

pub struct Credit {
    store: Store,
    tools: Arc<Tools>,
    account: String,
    key: String,
    outbox_id: i64,
    params: Params,
    /// The entry and the balance before it, once they are known.
    entry: OnceLock<Entry>,
    /// What the company has left in the end.
    available: OnceLock<Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    company_id: Id,
    amount: Amount,
    key: Option<Filled>,
    currency: Option<Filled>,
    cap: Option<Amount>,
    reason: Option<Text>,
    enable: Option<Flag>,
}

struct Entry {
    id: i64,
    /// As it counts: less than was asked for when the cap cut it.
    amount: Decimal,
    before: Decimal,
    settled: bool,
}

impl Operation for Credit {
    type Strategy = AbsoluteSet<Credit>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Credit, Failure> {
        let params: Params = params::read(&job.params)?;
        Ok(Credit {
            store: store(tools, job)?,
            tools: tools.clone(),
            account: format!("{}:company_credit:{}", job.target.name, params.company_id.0),
            key: params.key.as_ref().map_or_else(|| job.action.idempotency_key.clone(), |key| key.0.clone()),
            outbox_id: job.action.id,
            params,
            entry: OnceLock::new(),
            available: OnceLock::new(),
        })
    }
}

impl Credit {
    fn path(&self) -> String {
        format!("companies/{}/credit", self.params.company_id.0)
    }

    /// Writes that were begun and whose end nobody saw: what the store has now tells.
    async fn resolve(&self, client: &crate::db::Client, available: Decimal) -> Result<(), Failure> {
        let open = client
            .query_typed(
                "select id, key, balance_before, balance_after from tradeflow.ledger_entries
                 where account = $1 and sent_at is not null and settled_at is null order by id",
                &[(&self.account, Type::TEXT)],
            )
            .await?;
        for row in open {
            let (id, key): (i64, String) = (row.try_get("id")?, row.try_get("key")?);
            let (before, after): (Decimal, Decimal) =
                (row.try_get("balance_before")?, row.try_get("balance_after")?);
            if available == after || available == before {
                settle(client, id, available == after).await?;
            } else if key == self.key {
                return Err(Failure::uncertain(format!(
                    "company {} had {before} when {after} was sent and no answer came, and has {available} now: an order may have used some of it. See whether it arrived, then: select tradeflow.ledger_settle({id}, true or false);",
                    self.params.company_id.0
                )));
            }
        }
        Ok(())
    }
}

async fn settle(client: &crate::db::Client, id: i64, arrived: bool) -> Result<(), Failure> {
    let values: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT8), (&arrived, Type::BOOL)];
    client.query_typed("select tradeflow.ledger_settle($1, $2)", &values).await?;
    Ok(())
}

impl Setting for Credit {
    async fn lock(&self) -> Result<Option<Held>, Failure> {
        Ok(Some(self.tools.locks.hold(&self.account, PATIENCE).await?))
    }

    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        let answer = self.store.get(Api::B2b, &self.path(), &[]).await?;
        let get = |key: &str| (key.to_owned(), data(&answer).get(key).cloned().unwrap_or_default());
        Ok(Map::from_iter([get(AVAILABLE), get(ENABLED), get(CURRENCY), get(LIMIT)]))
    }

    async fn wanted(&self, now: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        let available = now.get(AVAILABLE).and_then(decimal).ok_or_else(|| {
            Failure::retry(format!(
                "the store's answer has no amount as availableCredit: {}",
                Json::Object(now.clone())
            ))
        })?;
        let currency = now.get(CURRENCY).and_then(Json::as_str).unwrap_or_default();
        if let Some(Filled(asked)) = &self.params.currency {
            if !asked.eq_ignore_ascii_case(currency) {
                return Err(Failure::dead(format!(
                    "params.currency: the company's credit is in {currency}, not {asked}"
                )));
            }
        }
        let mut wanted = Map::new();
        if !now.get(ENABLED).and_then(flag).unwrap_or(false) {
            if !self.params.enable.is_some_and(|enable| enable.0) {
                return Err(Failure::dead(format!(
                    "company {} has no credit enabled; params.enable: true enables it",
                    self.params.company_id.0
                )));
            }
            // Without a limit a company may buy for more than it has.
            wanted.extend([(ENABLED.to_owned(), true.into()), (LIMIT.to_owned(), true.into())]);
        }
        let client = self.tools.pool.get().await?;
        self.resolve(&client, available).await?;
        let cap = self.params.cap.map(|cap| cap.0);
        let reason = self.params.reason.as_ref().map(|reason| reason.0.as_str());
        let values: [(&(dyn ToSql + Sync), Type); 7] = [
            (&self.account, Type::TEXT),
            (&self.key, Type::TEXT),
            (&self.params.amount.0, Type::NUMERIC),
            (&currency, Type::TEXT),
            (&cap, Type::NUMERIC),
            (&reason, Type::TEXT),
            (&self.outbox_id, Type::INT8),
        ];
        let sql = "select (e).id, (e).amount, (e).settled_at is not null as settled
                   from tradeflow.ledger_enter($1, $2, $3, $4, $5, $6, $7) e";
        let row = client.query_typed_one(sql, &values).await?;
        let (id, amount): (i64, Decimal) = (row.try_get("id")?, row.try_get("amount")?);
        let settled = row.try_get("settled")?;
        let _ = self.entry.set(Entry { id, amount, before: available, settled });
        if settled {
            return Ok(wanted);
        }
        let after = (available + amount).max(Decimal::ZERO);
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&id, Type::INT8), (&available, Type::NUMERIC), (&after, Type::NUMERIC)];
        client.query_typed("select tradeflow.ledger_sending($1, $2, $3)", &values).await?;
        wanted.insert(AVAILABLE.into(), number(after));
        Ok(wanted)
    }

    async fn write(&self, _: &Map<String, Json>, differing: &Map<String, Json>) -> Result<(), Failure> {
        let body = Json::Object(differing.clone());
        let sent = self.store.call(Method::PUT, Api::B2b, &self.path(), &[], Some(&body)).await;
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.may_have_happened() => {
                let wait = error.wait.unwrap_or_default().max(SETTLING);
                Err(Failure::from(error).after(wait))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An order may be paid from it at any moment, so less than was written is no failure; what it was before is.
    fn taken(&self, name: &str, wanted: &Json, after: &Json) -> bool {
        match (name, self.entry.get(), decimal(after)) {
            (AVAILABLE, Some(entry), Some(found)) => decimal(wanted) == Some(found) || found != entry.before,
            _ => crate::bigcommerce::value::same(wanted, after),
        }
    }

    fn result(&self) -> Map<String, Json> {
        let amount = self.entry.get().map_or(Json::Null, |entry| number(entry.amount));
        let available = self.available.get().cloned().unwrap_or_default();
        Map::from_iter([("amount".to_owned(), amount), ("available".to_owned(), available)])
    }

    async fn settled(&self, after: &Map<String, Json>) -> Result<(), Failure> {
        let _ = self.available.set(after.get(AVAILABLE).cloned().unwrap_or_default());
        let Some(entry) = self.entry.get().filter(|entry| !entry.settled) else { return Ok(()) };
        settle(&self.tools.pool.get().await?, entry.id, true).await
    }
}
