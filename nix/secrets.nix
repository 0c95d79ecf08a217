# The secret files that the configuration names, by the dotted keys that name them.
#
# The units load them as credentials for one reason: systemd then ends a unit whose file is missing at once, with the
# file's name (exit code 243). The program reads the real paths, as it does when a person runs it.
{ lib, settings }:
let
  named = key: path: lib.optional (path != null) { inherit key path; };

  # Of one app's table, which stands at `key`.
  ofApp =
    key: app:
    named "${key}.recipe.credentials" (app.recipe.credentials or null)
    ++ lib.concatLists (lib.imap0 (i: named "${key}.env_files.${toString i}") (app.env_files or [ ]))
    ++ lib.concatLists (lib.mapAttrsToList (name: named "${key}.secrets.${name}") (app.secrets or { }))
    ++ lib.concatLists (
      lib.imap0 (i: check: named "${key}.gate.http.${toString i}.auth" (check.auth or null)) (app.gate.http or [ ])
    )
    ++ named "${key}.certificate.chain" (app.certificate.chain or null)
    ++ named "${key}.certificate.key" (app.certificate.key or null);
  ofApps = key: apps: lib.concatLists (lib.mapAttrsToList (name: ofApp "${key}.${name}") apps);

  isFile = lib.hasPrefix "/";
  webhook = settings.alerts.webhook or "";
in
rec {
  logins = named "registry_auth" (settings.registry_auth or null);
  alerts = lib.optionals (isFile webhook) (named "alerts.webhook" webhook);

  # What a reconciler of the table `key` needs; `many`: the table holds tables of apps.
  of =
    { key, many }:
    logins ++ (if many then ofApps key (settings.${key} or { }) else ofApp key (settings.${key} or { }));

  # As `LoadCredential=` wants them; `%` would begin a specifier there.
  load = map (file: "${file.key}:${lib.replaceStrings [ "%" ] [ "%%" ] file.path}");
}
