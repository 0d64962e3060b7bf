use super::*;

fn check(source: &str, expected: &str) {
    assert_eq!(rewrite(source), expected);
}

#[test]
fn operators_become_calls_by_rank() {
    check("{{ a + b * c }}", "{{ __add(a,  __mul(b,  c)) }}");
    check("{{ (a + b) * c }}", "{{ __mul((__add(a,  b)),  c) }}");
    check("{{ a - b - c }}", "{{ __sub(__sub(a,  b),  c) }}");
    check("{{ a ~ b * 2 }}", "{{ a ~ __mul(b,  2) }}");
    check("{{ -a.b|abs }}", "{{ __neg(a.b)|abs }}");
    check("{{ xs[-1] }}", "{{ xs[-1] }}");
    check("{{ -0.10 + f(1.5e3) }}", "{{ __add(__neg(__exact(\"0.10\")),  f(__exact(\"1.5e3\"))) }}");
}

#[test]
fn comparisons_take_whole_sums_and_chain() {
    check("{{ a + 1 > b }}", "{{ __compare(__add(a,  1), \">\", b) }}");
    check("{{ 1 < a <= 3 }}", "{{ __compare(1, \"<\", a, \"<=\", 3) }}");
    check("{% if not a == b and c %}x{% endif %}", "{% if not __compare(a, \"==\", b) and c %}x{% endif %}");
    check("{% elif -a > 1 %}", "{% elif __compare(__neg(a), \">\", 1) %}");
}

#[test]
fn loops_filters_tests_and_text_stay() {
    for same in [
        "a + b > c {# x + y #} {% raw %}{{ a + b }}{% endraw %}",
        "{% for x in xs if x in ys %}{{ x }}{% endfor %}",
        "{{ a|default('x + y') }}",
        "{{ a is divisibleby 3 and b is not none }}",
        "{% set x = {'a': [1, -2]} %}",
    ] {
        check(same, same);
    }
    check("{{ a * b|round(1 + 1) }}", "{{ __mul(a,  b|round(__add(1,  1))) }}");
    check("{{ a + b is even }}", "{{ __add(a,  b is even) }}");
    check("{{ f(x=a/b) }}", "{{ f(x=__div(a,b)) }}");
}

#[test]
fn lines_do_not_move() {
    let source = "{{ a\n+\nb }}\n{{ c }}";
    let lines = |s: &str| s.matches('\n').count();
    assert_eq!(lines(&rewrite(source)), lines(source));
}

#[test]
fn what_does_not_tokenize_is_left_to_the_compiler() {
    check("{{ 'open }}", "{{ 'open }}");
    for odd in ["{{ a + }}", "{{ - }}", "{{ (a }}", "{{ a is }}", "{{ | }}", "{{ a . }}", "{{ ) + ( }}"] {
        rewrite(odd);
    }
}

#[test]
fn a_sole_expression_is_found() {
    assert_eq!(sole_expression("{{ a.b }}"), Some(" a.b "));
    assert_eq!(sole_expression("{{- a -}}"), Some(" a "));
    assert_eq!(sole_expression("{{ '}}' }}"), Some(" '}}' "));
    for no in ["{{ a }} ", " {{ a }}", "{{ a }}{{ b }}", "a", "", "{% if a %}{{ b }}{% endif %}"] {
        assert_eq!(sole_expression(no), None, "{no}");
    }
}
