# Whether a variable of `env` gives a secret away, by its name or by its value. `public` has names that do not, whatever
# they look like.
{ lib }:
let
  inherit (builtins) elem isString match;

  secret = [
    "APIKEY"
    "CREDENTIAL"
    "CREDENTIALS"
    "KEY"
    "KEYS"
    "PASS"
    "PASSPHRASE"
    "PASSWD"
    "PASSWORD"
    "PASSWORDS"
    "PW"
    "PWD"
    "SECRET"
    "SECRETS"
    "TOKEN"
    "TOKENS"
  ];
  # Alone they are too vague: KEY, PWD.
  vague = [
    "KEY"
    "KEYS"
    "PASS"
    "PW"
    "PWD"
  ];
  # A key that everybody may have.
  open = [
    "PUB"
    "PUBLIC"
    "SITE"
    "SITEKEY"
  ];
  # What is told of a secret, and not the secret: at the end of a name.
  about = [
    "ALGORITHM"
    "ENABLED"
    "EXPIRATION"
    "EXPIRY"
    "FILE"
    "LENGTH"
    "LIFETIME"
    "PATH"
    "TTL"
    "VERSION"
  ];

  wordsOf =
    name:
    lib.filter (word: isString word && word != "") (builtins.split "[^A-Z0-9]+" (lib.toUpper name));
  isNamedSo =
    name:
    let
      words = wordsOf name;
    in
    lib.any (word: elem word secret) words
    && !(lib.length words == 1 && elem (lib.head words) vague)
    && !(lib.any (word: elem word open) words)
    && !(elem (lib.last words) about);

  # Nothing, a word for yes or no, a small number, a path, another variable, a template.
  isHarmless =
    value:
    match "|[0-9]{1,4}|[./].*|file:.*|[$][{]?[A-Za-z0-9_]+[}]?|.*[{][{].*" value != null
    || elem (lib.toLower value) [
      "true"
      "false"
      "yes"
      "no"
      "on"
      "off"
      "none"
      "null"
    ];
  # `scheme://user:password@host`
  hasPassword =
    value:
    match ".*://[^/?#@:]*:[^/?#]+@.*" value != null
    && match ".*://[^/?#@:]*:[$][{]?[A-Za-z0-9_]+[}]?@.*" value == null;
in
public: name: given:
let
  value = if builtins.isInt given || builtins.isFloat given then toString given else given;
in
isString value
&& !(elem name public)
&& ((isNamedSo name && !(isHarmless value)) || hasPassword value)
