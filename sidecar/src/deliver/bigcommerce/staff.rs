//! `bigcommerce.assign_sales_staff`: who looks after a company. The API's call says what changes and leaves the rest, so it may
//! be repeated; it is made only when something differs.

use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, Map, Value as Json};

use super::{rows, store};
use crate::bigcommerce::{value, Api, Store};
use crate::deliver::params::{self, Filled, Flag, Id};
use crate::deliver::strategy::{AbsoluteSet, Operation, Setting};
use crate::deliver::{Failure, Job, System, Tools};

pub struct Assignment {
    store: Store,
    params: Params,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    company_id: Id,
    sales_staff_id: Option<Id>,
    email: Option<Filled>,
    assigned: Option<Flag>,
    exclusive: Option<Flag>,
    only_if_none: Option<Flag>,
}

impl Operation for Assignment {
    type Strategy = AbsoluteSet<Assignment>;
    const SYSTEM: System = System::BigCommerce;

    fn read(tools: &Arc<Tools>, job: &Job<'_>) -> Result<Assignment, Failure> {
        let params: Params = params::read(&job.params)?;
        if params.sales_staff_id.is_some() == params.email.is_some() {
            return Err(Failure::dead("params: sales_staff_id or email, one of them"));
        }
        Ok(Assignment { store: store(tools, job)?, params })
    }
}

impl Assignment {
    /// Whom it is about.
    async fn rep(&self) -> Result<i64, Failure> {
        let Some(Filled(email)) = &self.params.email else {
            return Ok(self.params.sales_staff_id.map_or(0, |id| id.0));
        };
        let mut offset = 0;
        loop {
            let at = offset.to_string();
            let query = [("limit", "100"), ("offset", at.as_str()), ("sortBy", "email"), ("orderBy", "ASC")];
            let answer = self.store.get(Api::B2b, "sales-staffs", &query).await?;
            let page = rows(&answer);
            let same = |row: &&Json| row["email"].as_str().is_some_and(|e| e.eq_ignore_ascii_case(email));
            if let Some(id) = page.iter().find(same).and_then(|row| value::int(&row["id"])) {
                return Ok(id);
            }
            if page.len() < 100 {
                return Err(Failure::dead(format!("there is no sales staff with the address {email}")));
            }
            offset += page.len();
        }
    }

    async fn assign(&self, rep: i64, assigned: bool) -> Result<(), Failure> {
        let body = json!([{"companyId": self.params.company_id.0, "assignStatus": assigned}]);
        self.store.call(Method::PUT, Api::B2b, &format!("sales-staffs/{rep}"), &[], Some(&body)).await?;
        Ok(())
    }
}

impl Setting for Assignment {
    async fn read(&self) -> Result<Map<String, Json>, Failure> {
        let rep = self.rep().await?;
        let company = self.params.company_id.0.to_string();
        let query = [("companyId", company.as_str()), ("limit", "100")];
        let answer = self.store.get(Api::B2b, "sales-staffs", &query).await?;
        let ids: Vec<i64> = rows(&answer).iter().filter_map(|row| value::int(&row["id"])).collect();
        let others: Vec<i64> = ids.iter().copied().filter(|id| *id != rep).collect();
        Ok(Map::from_iter([
            ("sales_staff_id".to_owned(), rep.into()),
            ("assigned".to_owned(), ids.contains(&rep).into()),
            ("others".to_owned(), others.into()),
        ]))
    }

    async fn wanted(&self, _: &Map<String, Json>) -> Result<Map<String, Json>, Failure> {
        let mut wanted =
            Map::from_iter([("assigned".to_owned(), Json::Bool(self.params.assigned.is_none_or(|f| f.0)))]);
        if self.params.exclusive.is_some_and(|flag| flag.0) {
            wanted.insert("others".into(), json!([]));
        }
        Ok(wanted)
    }

    fn permit(&self, now: &Map<String, Json>) -> Result<(), Failure> {
        let others = now.get("others").and_then(Json::as_array).filter(|others| !others.is_empty());
        match others.filter(|_| self.params.only_if_none.is_some_and(|flag| flag.0)) {
            None => Ok(()),
            Some(others) => {
                let ids: Vec<String> = others.iter().map(Json::to_string).collect();
                Err(Failure::cancelled(format!(
                    "company {} is looked after by sales staff {} by now",
                    self.params.company_id.0,
                    ids.join(", ")
                )))
            }
        }
    }

    async fn write(&self, now: &Map<String, Json>, differing: &Map<String, Json>) -> Result<(), Failure> {
        // First the new one, so that the company is never without.
        if let Some(assigned) = differing.get("assigned") {
            let rep = now.get("sales_staff_id").and_then(value::int).unwrap_or_default();
            self.assign(rep, assigned == &Json::Bool(true)).await?;
        }
        if differing.contains_key("others") {
            for other in now.get("others").and_then(Json::as_array).into_iter().flatten() {
                self.assign(value::int(other).unwrap_or_default(), false).await?;
            }
        }
        Ok(())
    }
}
