//! What a template reads that is not known yet: in a preview, what another system will return.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};
use serde_json::Value as Json;

/// Names that only a step has which did not do what it is for. It is taken to have done it.
const OF_FAILURE: [&str; 2] = ["error", "skipped"];

/// A result, or a part of one, that nobody knows yet. Rendered it is its own name, `‹steps.invoice.invoice_number›`; whatever
/// is calculated of it is it again; and what is asked about it is true.
#[derive(Debug)]
pub struct Unknown {
    path: String,
    read: Arc<AtomicBool>,
}

impl Unknown {
    /// The result of a step, as a template calls it: `steps.invoice`. `read` becomes true when something of it is read.
    pub fn result(path: impl Into<String>, read: &Arc<AtomicBool>) -> Value {
        Value::from_object(Unknown { path: path.into(), read: read.clone() })
    }

    /// The one that is not known, of some values.
    pub fn among(values: &[&Value]) -> Option<Value> {
        values.iter().find(|v| v.downcast_object_ref::<Unknown>().is_some()).map(|v| (*v).clone())
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "‹{}›", self.path)
    }
}

impl Object for Unknown {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, name: &Value) -> Option<Value> {
        self.read.store(true, Ordering::Relaxed);
        let whole = self.path.matches('.').count() == 1;
        let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
        (!(whole && OF_FAILURE.contains(&name.as_str())))
            .then(|| Unknown::result(format!("{}.{name}", self.path), &self.read))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The names of what is not known in something rendered, each once.
pub fn named_in(rendered: &Json) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(rendered, &mut found);
    found
}

fn collect(json: &Json, found: &mut BTreeSet<String>) {
    match json {
        Json::String(text) => {
            let named = text.split('‹').skip(1).filter_map(|rest| rest.split_once('›'));
            found.extend(named.map(|(name, _)| name.to_owned()).filter(|name| name.starts_with("steps.")));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Json::Object(map) => map.values().for_each(|item| collect(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::render::{MailTemplate, Renderer};

    fn context() -> Value {
        let steps = BTreeMap::from([("invoice", Unknown::result("steps.invoice", &Arc::default()))]);
        Value::from(BTreeMap::from([("steps", Value::from(steps))]))
    }

    fn shown(text: &str) -> Json {
        Renderer::new(vec![]).params(&json!(text), &[], &context()).unwrap()
    }

    #[test]
    fn it_is_shown_by_its_name_whatever_is_calculated_of_it() {
        for (template, expected) in [
            ("{{ steps.invoice.invoice_id }}", "‹steps.invoice.invoice_id›"),
            ("No. {{ steps.invoice.value.number }}!", "No. ‹steps.invoice.value.number›!"),
            ("{{ steps.invoice.total|money('EUR') }}", "‹steps.invoice.total›"),
            ("{{ (-steps.invoice.total * 2 + 1)|round(2) }}", "‹steps.invoice.total›"),
            ("{{ steps.invoice.due|date('%d %B') }}", "‹steps.invoice.due›"),
            ("{{ 'yes' if steps.invoice.total > 100 else 'no' }}", "yes"),
            ("{{ steps.invoice.error if steps.invoice.error is defined else 'made' }}", "made"),
        ] {
            assert_eq!(shown(template), json!(expected), "{template}");
        }
    }

    #[test]
    fn a_mail_s_html_has_the_name_too_and_it_is_found_again() {
        let template = MailTemplate {
            name: "t".into(),
            subject: "Invoice {{ steps.invoice.number }}".into(),
            text: "{{ steps.invoice.number }}".into(),
            html: Some("<b>{{ steps.invoice.number }}</b>".into()),
        };
        let mail = Renderer::new(vec![template]).mail("t", &context()).unwrap().unwrap();
        assert_eq!(mail.html.as_deref(), Some("<b>‹steps.invoice.number›</b>"));
        let found =
            named_in(&json!({"a": [mail.subject, "‹steps.x.y› and ‹no name›"], "b": {"c": mail.text}}));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["steps.invoice.number", "steps.x.y"]);
    }
}
