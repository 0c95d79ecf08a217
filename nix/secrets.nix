# The secret files that the configuration names, each by the words of its key: `app notes secrets session_key`.
#
# The units load them as credentials for one reason: where a file is missing, systemd ends the unit before anything runs
# (exit code 243), and the switch fails. It does not say which file: `evenkeel check` does. The program itself reads the
# real paths, as it does when a person runs it. systemd takes 1 MiB of credentials for one unit.
{ lib, settings }:
let
  named =
    key: value:
    lib.optional (value != null) {
      inherit key;
      path = pathOf value;
    };
  # A path literal would be copied into the store with the configuration. What `settings` has beside that is no path.
  pathOf =
    value:
    if builtins.isString value then
      value
    else if builtins.isPath value then
      "${builtins.storeDir}/${baseNameOf value}"
    else
      "";

  # Of one app's table, which stands at `key`.
  ofApp =
    key: app:
    let
      at = words: named (key ++ lib.splitString "/" words);
      each = f: list: lib.concatLists (lib.imap0 (i: f (toString i)) list);
    in
    at "recipe/credentials" (app.recipe.credentials or null)
    ++ each (i: at "env_files/${i}") (app.env_files or [ ])
    ++ lib.concatLists (lib.mapAttrsToList (name: at "secrets/${name}") (app.secrets or { }))
    ++ each (i: check: at "gate/http/${i}/auth" (check.auth or null)) (app.gate.http or [ ])
    ++ at "builds/token" (app.builds.token or null)
    ++ at "certificate/chain" (app.certificate.chain or null)
    ++ at "certificate/key" (app.certificate.key or null);
  ofApps = key: apps: lib.concatLists (lib.mapAttrsToList (name: ofApp (key ++ [ name ])) apps);

  isFile = lib.hasPrefix "/";
  webhook = settings.alerts.webhook or "";
in
rec {
  logins = named [ "registry_auth" ] (settings.registry_auth or null);
  alerts = lib.optionals (isFile webhook) (named (lib.splitString "/" "alerts/webhook") webhook);

  appsOf = kind: (if kind ? name then ofApp else ofApps) [ kind.key ] (settings.${kind.key} or { });

  # What a reconciler of that kind needs. What the builds' settings need is no reason to end its unit: the program warns.
  of = kind: logins ++ lib.filter (file: file.key != bestEffort) (appsOf kind);
  bestEffort = [
    "drone"
    "builds"
    "token"
  ];

  all = logins ++ alerts ++ lib.concatMap appsOf (import ./kinds.nix);

  # As `LoadCredential=` wants them; `%` would begin a specifier there.
  load = map (
    file: "${lib.concatStringsSep "." file.key}:${lib.replaceStrings [ "%" ] [ "%%" ] file.path}"
  );
}
