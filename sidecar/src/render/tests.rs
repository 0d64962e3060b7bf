use serde_json::json;

use super::*;

fn context() -> Value {
    let text = r#"{
        "facts": {"total": 12345678901234567.89, "price": 10.10, "tiny": 0.001, "zero": 0.00, "quantity": 3,
                  "long": 1234567890123456789012345678901234567890.5, "name": "A <b> & 'c'", "nothing": null,
                  "lines": [{"sku": "b", "total": 20}, {"sku": "A", "total": 3.25}, {"sku": "c", "total": 10.5}],
                  "expired_at": "2026-11-22T23:30:00+00:00", "day": "2026-11-22", "flag": true},
        "steps": {"first": {"id": 9007199254740993}},
        "settings": {"max_discount": "0.20", "time_zone": "Europe/Berlin"},
        "rule": {"name": "r", "version": 2}
    }"#;
    number::to_template(&serde_json::from_str(text).unwrap())
}

fn renderer() -> Renderer {
    Renderer::new(vec![])
}

fn param(source: &str) -> Result<Json, Error> {
    renderer().params(&Json::String(source.to_owned()), &[], &context())
}

fn rendered(source: &str) -> String {
    match param(source).unwrap() {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

fn failure(source: &str) -> String {
    param(source).unwrap_err().to_string()
}

#[test]
fn numbers_arrive_digit_for_digit() {
    assert_eq!(rendered("{{ facts.total }}"), "12345678901234567.89");
    assert_eq!(rendered("{{ facts.price }}"), "10.10");
    assert_eq!(rendered("it costs {{ facts.price }}"), "it costs 10.10");
    assert_eq!(rendered("{{ facts.long }}"), "1234567890123456789012345678901234567890.5");
    assert_eq!(rendered("{{ steps.first.id }}"), "9007199254740993");
    let nested = renderer().params(&json!({"a": ["{{ facts }}"]}), &[], &context()).unwrap();
    assert!(nested.to_string().contains("\"price\":10.10,"), "{nested}");
}

#[test]
fn a_sole_expression_keeps_its_type() {
    assert_eq!(param("{{ facts.quantity }}").unwrap(), json!(3));
    assert_eq!(param("{{ facts.flag }}").unwrap(), json!(true));
    assert_eq!(param("{{ facts.nothing }}").unwrap(), json!(null));
    assert_eq!(param("{{ facts.lines | map(attribute='sku') }}").unwrap(), json!(["b", "A", "c"]));
    assert_eq!(param("{{ facts.quantity }} ").unwrap(), json!("3 "));
    assert_eq!(param("{{ 'a' if facts.flag else 'b' }}").unwrap(), json!("a"));
    assert_eq!(param("plain { text }").unwrap(), json!("plain { text }"));
    assert_eq!(
        renderer().params(&json!({"n": 1.50, "x": null}), &[], &context()).unwrap(),
        json!({"n": 1.50, "x": null})
    );
}

#[test]
fn arithmetic_is_decimal() {
    assert_eq!(rendered("{{ facts.price * facts.quantity }}"), "30.30");
    assert_eq!(rendered("{{ facts.price + 0.2 }}"), "10.30");
    assert_eq!(rendered("{{ 0.1 + 0.2 }}"), "0.3");
    assert_eq!(rendered("{{ facts.total - 0.01 }}"), "12345678901234567.88");
    assert_eq!(
        rendered("{{ 5 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }}"),
        "2.5 2 3 -4 2 1024"
    );
    assert_eq!(rendered("{{ -facts.price }}"), "-10.10");
    assert_eq!(rendered("{{ 1 - settings.max_discount|decimal }}"), "0.80");
    assert_eq!(rendered("{{ 'a' + 'b' ~ 1 }} {{ 'ab' * 2 }}"), "ab1 abab");
    assert!(failure("{{ 1 / facts.zero }}").contains("division by zero"));
    assert!(failure("{{ facts.price * settings.max_discount }}").contains("settings.name|decimal"));
    assert!(failure("{{ facts.nothing + 1 }}").contains("null"));
    assert!(failure("{{ facts.long * 2 }}").contains("does not take"));
}

#[test]
fn comparisons_are_exact_and_never_guess() {
    let truth = |source: &str| rendered(&format!("{{{{ {source} }}}}"));
    assert_eq!(truth("facts.price == 10.1"), "true");
    assert_eq!(truth("facts.price > 10"), "true");
    assert_eq!(truth("facts.total > 12345678901234567.88"), "true");
    assert_eq!(truth("facts.quantity < facts.price"), "true");
    assert_eq!(truth("1 < facts.quantity <= 3"), "true");
    assert_eq!(truth("facts.price != 10.10"), "false");
    assert_eq!(truth("not facts.zero"), "true");
    assert_eq!(truth("facts.name == 'x' or facts.quantity in [3]"), "true");
    assert_eq!(truth("facts.price is gt(10) and facts.price is number"), "true");
    assert_eq!(
        rendered("{{ facts.lines|selectattr('total', 'gt', 5)|map(attribute='sku')|join(',') }}"),
        "b,c"
    );
    assert!(failure("{{ facts.price > settings.max_discount }}").contains("number and string"));
    assert!(failure("{% if facts.nothing > 1 %}x{% endif %}").contains("null"));
}

#[test]
fn rounding_and_money_are_exact() {
    assert_eq!(
        rendered("{{ 2.345|round(2) }} {{ 2.5|round }} {{ -2.5|round }} {{ 2.341|round(2, 'ceil') }}"),
        "2.35 3 -3 2.35"
    );
    assert_eq!(rendered("{{ facts.total|money('EUR') }}"), "12,345,678,901,234,567.89 EUR");
    assert_eq!(rendered("{{ facts.price|money }}"), "10.10");
    assert_eq!(
        rendered("{{ 1234.5|money('JPY') }}|{{ '-0.001'|money('USD') }}|{{ -1234567|money('KWD') }}"),
        "1,235 JPY|0.00 USD|-1,234,567.000 KWD"
    );
    assert_eq!(rendered("{{ 1234.5|money('EUR', thousands='.', point=',') }}"), "1.234,50 EUR");
    assert_eq!(rendered("{{ 999|money }} {{ 100000|money(digits=0) }}"), "999.00 100,000");
    assert!(failure("{{ 'abc'|money }}").contains("abc"));
}

#[test]
fn lists_of_mixed_numbers_sort_and_add_up() {
    assert_eq!(rendered("{{ facts.lines|map(attribute='total')|sort|join(' ') }}"), "3.25 10.5 20");
    assert_eq!(rendered("{{ facts.lines|sort(attribute='sku')|map(attribute='sku')|join }}"), "Abc");
    assert_eq!(rendered("{{ facts.lines|sum(attribute='total') }}"), "33.75");
    assert_eq!(rendered("{{ facts.lines|map(attribute='total')|max }}"), "20");
    assert_eq!(param("{{ [1, 2]|sum }}").unwrap(), json!(3));
}

#[test]
fn dates_follow_the_time_zone() {
    assert_eq!(rendered("{{ facts.expired_at|date }}"), "2026-11-23");
    assert_eq!(rendered("{{ facts.expired_at|date('%d %B %Y', tz='UTC') }}"), "22 November 2026");
    assert_eq!(rendered("{{ facts.day|date('%d.%m.%Y', tz='America/New_York') }}"), "22.11.2026");
    assert_eq!(rendered("{{ facts.expired_at|datetime }}"), "2026-11-23 00:30 CET");
    assert_eq!(rendered("{{ 1795000000|datetime(tz='UTC') }}"), "2026-11-18 11:06 UTC");
    assert!(failure("{{ facts.day|datetime(tz='Mars/Base') }}").contains("Mars/Base"));
    assert!(failure("{{ facts.name|date }}").contains("is no time"));
    assert!(failure("{{ facts.expired_at|date('%Q') }}").contains("is no date format"));
}

#[test]
fn an_error_names_place_line_and_what_is_missing() {
    let params =
        json!({"body": {"lines": [{"price": "{{ facts.price }}"}, {"price": "a\n{{ facts.prise }}"}]}});
    let message = renderer().params(&params, &[], &context()).unwrap_err().to_string();
    assert!(message.starts_with("params.body.lines[1].price, line 2: "), "{message}");
    assert!(message.contains("`facts.prise`") && message.contains("price, quantity"), "{message}");
    let message = failure("{{ facts.prise }}");
    assert!(message.contains("`facts.prise`"), "{message}");
    assert!(failure("{{ facts.price | nofilter }}").contains("nofilter"));
    assert!(failure("{{ facts. }}").starts_with("params, line 1: "));
    assert!(failure(
        "{% for i in range(9999) %}{% for j in range(9999) %}{{ i + j }}{% endfor %}{% endfor %}"
    )
    .contains("too much work"));
}

fn mail_template(html: &str) -> Renderer {
    let part = |name: &str, text: &str, html: Option<&str>| MailTemplate {
        name: name.into(),
        subject: "Quote of {{ facts.name }}".into(),
        text: text.into(),
        html: html.map(str::to_owned),
    };
    Renderer::new(vec![
        part("main", "{{ facts.name }}\n{% include 'footer' %}{{ facts.nothing }}", Some(html)),
        part("footer", "-- \n{{ rule.name }}", Some("<hr>{{ rule.name }}")),
    ])
}

#[test]
fn html_alone_is_escaped_and_includes_take_the_same_part() {
    let mail = mail_template("<p>{{ facts.name }} {{ facts.price }}</p>{% include 'footer' %}")
        .mail("main", &context());
    let mail = mail.unwrap().unwrap();
    assert_eq!(mail.subject, "Quote of A <b> & 'c'");
    assert_eq!(mail.text, "A <b> & 'c'\n-- \nr");
    assert_eq!(mail.html.unwrap(), "<p>A &lt;b&gt; &amp; &#39;c&#39; 10.10</p><hr>r");
}

#[test]
fn links_stay_readable_and_safe_text_stays() {
    let html = |source: &str| {
        let rendered = renderer().params(&json!({"html": source}), &["html"], &context()).unwrap();
        rendered["html"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        html("{{ 'https://a/b?c=d&e' }} {{ '<b>'|safe }} {{ '\"'|e }}"),
        "https://a/b?c=d&amp;e <b> &quot;"
    );
    assert_eq!(html("{{ facts.nothing }}{{ facts.flag }} {{ facts.price }}"), "true 10.10");
    assert!(renderer().params(&json!({"html": "{{ facts.nope }}"}), &["html"], &context()).is_err());
}

#[test]
fn parameters_of_html_are_escaped_too() {
    let params = json!({"html": "{{ facts.name }}", "text": "{{ facts.name }}", "nested": {"html": "{{ facts.name }}"}});
    let rendered = renderer().params(&params, &["html"], &context()).unwrap();
    let plain = "A <b> & 'c'";
    assert_eq!(
        rendered,
        json!({"html": "A &lt;b&gt; &amp; &#39;c&#39;", "text": plain, "nested": {"html": plain}})
    );
}

#[test]
fn a_mail_template_that_fails_names_itself() {
    let message = mail_template("a\n\n{{ facts.nmae }}").mail("main", &context()).unwrap_err().to_string();
    assert!(message.starts_with("template \"main\", html, line 3: "), "{message}");
    assert_eq!(renderer().mail("absent", &context()).unwrap(), None);
}

#[test]
fn replaced_templates_take_effect_at_once() {
    let renderer = mail_template("x");
    assert_eq!(renderer.mail("main", &context()).unwrap().unwrap().html.unwrap(), "x");
    let mut changed = MailTemplate { name: "main".into(), subject: "s".into(), text: "t".into(), html: None };
    renderer.replace_templates(vec![changed.clone()]);
    assert_eq!(renderer.mail("main", &context()).unwrap().unwrap().text, "t");
    changed.text = "u".into();
    renderer.replace_templates(vec![changed]);
    assert_eq!(renderer.mail("main", &context()).unwrap().unwrap().text, "u");
}

#[test]
fn a_step_that_is_not_wanted_is_not_rendered() {
    let step = |when: Json, to: &str| renderer().step(&json!({"when": when, "to": to}), &[], &context());
    assert_eq!(
        step(json!("{{ facts.quantity > 2 }}"), "{{ facts.quantity }}").unwrap(),
        Some(json!({"to": 3}))
    );
    assert_eq!(step(json!("{{ facts.quantity > 3 }}"), "{{ steps.first.nowhere }}").unwrap(), None);
    assert_eq!(step(json!("{{ facts.nothing }}"), "x").unwrap(), None);
    assert_eq!(step(json!(false), "x").unwrap(), None);
    assert_eq!(step(json!("{% if facts.flag %}true{% endif %}"), "x").unwrap(), Some(json!({"to": "x"})));
    let wrong = step(json!("{{ facts.name }}"), "x").unwrap_err().to_string();
    assert!(wrong.starts_with("params.when: true or false is needed"), "{wrong}");
    assert!(step(json!("{{ facts.nowhere }}"), "x").unwrap_err().to_string().starts_with("params.when"));
    assert_eq!(renderer().step(&json!({"to": "x"}), &[], &context()).unwrap(), Some(json!({"to": "x"})));
}
