//! Whether a vendor's API takes the secret of a target, and lets it do what the target's actions do: small reads, one for each
//! part of the API that they use. Who may read may not always write; that a vendor says only of a write.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use secrecy::SecretString;

use super::targets::Use;
use super::Finding;
use crate::api::{Clients, Error, Kind};
use crate::bigcommerce::{Api, Pace, Store};
use crate::deliver::{System, Target};
use crate::google::Google;
use crate::hubspot::HubSpot;

/// Whether it is spoken to with a token of the vendor's.
pub fn is_one(system: System) -> bool {
    matches!(system, System::BigCommerce | System::HubSpot | System::Google)
}

/// What was asked, and what it takes.
struct Question {
    /// In a sentence: it lets us …
    may: String,
    /// What the token lacks when this alone is refused.
    lacks: String,
    answer: Result<(), Error>,
}

/// Asks the vendor. `uses` are those of this target; without any, only whether the token is known.
pub async fn ask(clients: &Clients, target: &Target, secret: &SecretString, uses: &[&Use]) -> Vec<Finding> {
    let asked = match target.system {
        System::BigCommerce => bigcommerce(clients, target, secret, uses).await,
        System::HubSpot => hubspot(clients, target, secret, uses).await,
        _ => google(clients, target, secret, uses).await,
    };
    match asked {
        Ok(questions) => questions.into_iter().map(|question| judge(target, question)).collect(),
        Err(wrong) => vec![Finding::problem(
            "targets",
            format!("\"{}\" at {} cannot be used: {wrong}", target.name, target.base_url),
            "mend base_url and secret of the target",
        )],
    }
}

fn judge(target: &Target, Question { may, lacks, answer }: Question) -> Finding {
    let here = format!("\"{}\" at {}", target.name, target.base_url);
    let Err(error) = answer else { return Finding::ok("targets", format!("{here} lets us {may}")) };
    match error.kind {
        Kind::Denied(401) => Finding::problem(
            "targets",
            format!("{here} does not accept our token: {error}"),
            "the secret is not a token of this account, or it was taken back: put a valid one where the target's secret is read from",
        ),
        Kind::Unreachable | Kind::Lost => Finding::problem(
            "targets",
            format!("{here} cannot be used: {error}"),
            "mend base_url of the target, or the network between here and there; actions are retried meanwhile",
        ),
        Kind::Busy(_) | Kind::Throttled | Kind::Failed(_) => Finding::notice(
            "targets",
            format!("{here} is reached, and in trouble: {error}"),
            "try again in a minute; actions are retried meanwhile",
        ),
        Kind::Denied(_) | Kind::Refused(_) | Kind::Garbled => {
            Finding::problem("targets", format!("{here} does not let us {may}: {error}"), lacks)
        }
    }
}

/// The token of a store-level API account: core knows it, and B2B Edition lets it read.
async fn bigcommerce(
    clients: &Clients,
    target: &Target,
    secret: &SecretString,
    uses: &[&Use],
) -> Result<Vec<Question>, String> {
    let client = clients.of(target.allow_private).clone();
    // These few are not counted: the sidecars have the budget.
    let pace = Pace { per_minute: 0, action_share: 0.0 };
    let store = Store::new(&target.base_url, secret, client, target.timeout, pace)?;
    let one = [("limit", "1")];
    let known = Question {
        may: "ask core for the time".into(),
        lacks: "is the store hash in base_url the one of the account that the token is of?".into(),
        answer: store.get(Api::V2, "time", &[]).await.map(drop),
    };
    let mut questions = vec![known];
    // The rest would be refused for the same reason.
    if questions[0].answer.is_err() || uses.is_empty() {
        return Ok(questions);
    }
    let (orders, edition): (Vec<&str>, Vec<&str>) =
        uses.iter().map(|of| of.kind.as_str()).partition(|kind| *kind == "bigcommerce.set_order_status");
    if !edition.is_empty() {
        questions.push(Question {
            may: "read companies of B2B Edition".into(),
            lacks: "give the API account the scope \"B2B Edition: modify\", and see that the store has B2B Edition".into(),
            answer: store.get(Api::B2b, "companies", &one).await.map(drop),
        });
    }
    if !orders.is_empty() {
        questions.push(Question {
            may: "read orders".into(),
            lacks: "give the API account the scope \"Orders: modify\"".into(),
            answer: store.get(Api::V2, "orders", &one).await.map(drop),
        });
    }
    Ok(questions)
}

/// The token of a private app or a service key: reads of the types that actions write, and of the owners.
async fn hubspot(
    clients: &Clients,
    target: &Target,
    secret: &SecretString,
    uses: &[&Use],
) -> Result<Vec<Question>, String> {
    let client = clients.of(target.allow_private).clone();
    let hubspot = HubSpot::new(&target.base_url, secret, client, target.timeout)?;
    let kinds: BTreeSet<&str> = uses.iter().map(|of| of.kind.as_str()).collect();
    let types = [("deal", "deals"), ("contact", "contacts"), ("company", "companies")];
    let used = types.iter().filter(|(one, _)| kinds.contains(format!("hubspot.upsert_{one}").as_str()));
    let mut parts: Vec<&str> = used.map(|(_, many)| *many).collect();
    if parts.is_empty() || kinds.contains("hubspot.set_owner") {
        parts.push("owners");
    }
    let ask = |part: &'static str| {
        let hubspot = &hubspot;
        async move {
            let scopes = match part {
                "owners" => "crm.objects.owners.read".to_owned(),
                // Deals are found by a unique property of ours, which is made where it is missing.
                "deals" => {
                    "crm.objects.deals.read, crm.objects.deals.write and crm.schemas.deals.write".to_owned()
                }
                part => format!("crm.objects.{part}.read and crm.objects.{part}.write"),
            };
            Question {
                may: format!("read {part}"),
                lacks: format!("give the app that the token is of the scopes {scopes}"),
                answer: hubspot.look(part).await,
            }
        }
    };
    Ok(join_all(parts.into_iter().map(ask)).await)
}

/// A service account: a token for it, and the spreadsheets that actions name.
async fn google(
    clients: &Clients,
    target: &Target,
    secret: &SecretString,
    uses: &[&Use],
) -> Result<Vec<Question>, String> {
    let client = clients.of(target.allow_private).clone();
    let google = Google::new(&target.base_url, secret, client, target.timeout, target.allow_private)?;
    let known = Question {
        may: format!("sign in as {}", google.email()),
        lacks: "is the key still one of the service account's (Google Cloud console: IAM, service accounts, keys)?".into(),
        answer: google.sign_in().await,
    };
    if known.answer.is_err() {
        return Ok(vec![known]);
    }
    let spreadsheets: BTreeSet<&str> = uses.iter().filter_map(|of| of.spreadsheet.as_deref()).collect();
    let looks = spreadsheets.into_iter().map(|id| {
        let google = &google;
        async move {
            Question {
                may: format!("read spreadsheet {id}"),
                lacks: format!(
                    "share the spreadsheet with {}, as an editor; is its id right?",
                    google.email()
                ),
                answer: google.tabs(id).await.map(drop),
            }
        }
    });
    let mut questions = vec![known];
    questions.extend(join_all(looks).await);
    Ok(questions)
}
