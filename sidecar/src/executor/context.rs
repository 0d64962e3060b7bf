//! The names that templates read, each made when it is read.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use minijinja::value::{Enumerator, Object, Value};
use serde_json::Value as Json;

use super::claim::Claimed;
use crate::render::number::to_template;

const NAMES: &[&str] = &[
    "facts",
    "steps",
    "settings",
    "rule",
    "source",
    "event",
    "subject",
    "occurrence",
    "action",
    "idempotency_key",
    "attempt",
];

/// What the templates of one action read.
#[derive(Debug)]
struct Context {
    claimed: Arc<Claimed>,
    settings: Value,
    facts: OnceLock<Value>,
    steps: OnceLock<Value>,
}

/// The context of an action. `settings` are as they were when it was claimed.
pub fn of(claimed: Arc<Claimed>, settings: Value) -> Value {
    Value::from_object(Context { claimed, settings, facts: OnceLock::new(), steps: OnceLock::new() })
}

/// The same with other results of earlier steps than the claimed ones: for what is not executed.
pub fn after(claimed: Arc<Claimed>, settings: Value, steps: Value) -> Value {
    Value::from_object(Context { claimed, settings, facts: OnceLock::new(), steps: OnceLock::from(steps) })
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, name: &Value) -> Option<Value> {
        let (claimed, action) = (&self.claimed, &self.claimed.action);
        Some(match name.as_str()? {
            "facts" => self.facts.get_or_init(|| to_template(&claimed.facts.parse())).clone(),
            "steps" => self.steps.get_or_init(|| steps(&claimed.steps.parse())).clone(),
            "settings" => self.settings.clone(),
            "rule" => BTreeMap::from([
                ("name", Value::from(action.rule.as_str())),
                ("version", Value::from(claimed.rule_version)),
            ])
            .into(),
            "source" => claimed.source.as_str().into(),
            "event" => claimed.event.as_str().into(),
            "subject" => claimed.subject.as_str().into(),
            "occurrence" => claimed.occurrence.as_str().into(),
            "action" => action.name.as_deref().into(),
            "idempotency_key" => action.idempotency_key.as_str().into(),
            "attempt" => action.attempt.into(),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(NAMES)
    }
}

/// Results of earlier steps by name and by number: `steps.tell_owner`, `steps.1`.
fn steps(results: &Json) -> Value {
    let pairs = results.as_object().into_iter().flatten();
    let keyed = pairs.flat_map(|(key, result)| {
        let value = to_template(result);
        let number = key.parse::<i64>().ok().map(|n| (Value::from(n), value.clone()));
        number.into_iter().chain([(Value::from(key.as_str()), value)])
    });
    keyed.collect::<BTreeMap<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::Renderer;

    #[test]
    fn steps_are_read_by_name_and_by_number() {
        let results = json!({"1": {"status": 200}, "tell": {"status": 200}, "2": {"id": "x"}});
        let context = Value::from(BTreeMap::from([("steps", steps(&results))]));
        let render = |text: &str| Renderer::new(vec![]).params(&json!(text), &[], &context).unwrap();
        assert_eq!(render("{{ steps.1.status }}"), json!(200));
        assert_eq!(render("{{ steps.tell.status + 1 }}"), json!(201));
        assert_eq!(render("{{ steps['2'].id }}{{ steps[2].id }}"), json!("xx"));
    }
}
