select name, xmin::text as revision, system, base_url, secret, username, auth, sender, signing_secret, token_url, scope, headers, allow_private,
       extract(epoch from timeout)::float8 as timeout
from tradeflow.targets
