select name, subject, text, html from tradeflow.templates
