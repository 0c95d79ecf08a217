# Apps' tables.
{
  apps,
  cfg,
  lib,
  refuse,
  settings,
  ...
}:
let
  base = settings.base_domain or "";
  domainOf = app: app.table.domain or "${app.kind.before or ""}${app.name}.${base}";
  named = lib.filter (app: !(app.kind ? name)) apps;
  hasProxy = settings ? proxy;
  options = list: lib.concatMapStringsSep ", " (app: app.option) list;
  refuseApps =
    list: isWrong: because:
    let
      wrong = lib.filter isWrong list;
    in
    refuse (wrong != [ ]) "${options wrong}: ${because}";

  # Two apps at one domain are one stack, and each would remove the other's services.
  byDomain = lib.filterAttrs (_: list: lib.length list > 1) (lib.groupBy domainOf apps);
  shared = lib.mapAttrsToList (
    domain: list:
    refuse true ''
      ${options list} have one domain, ${domain}, and so one stack. Give all but one another domain.
    ''
  ) byDomain;

  # What is kept of an app lies in a folder of its name.
  byName = lib.filterAttrs (_: list: lib.length list > 1) (lib.groupBy (app: app.name) named);
  alike = lib.mapAttrsToList (
    name: list:
    refuse true ''
      ${options list} have one name, ${name}, and what is kept of them lies in a folder of that name. Rename one.
    ''
  ) byName;

  isName =
    name: builtins.match "[a-z0-9]([a-z0-9-]*[a-z0-9])?" name != null && lib.stringLength name <= 40;
  reserved = import ../reserved.nix;
  looksSecret = import ../plain-secret.nix { inherit lib; };

  secretsIn =
    app: lib.attrNames (lib.filterAttrs (looksSecret cfg.publicVariables) (app.table.env or { }));
  shown = lib.concatMap (app: map (name: "${app.option}.env.${name}") (secretsIn app)) apps;

  asks = app: app.table ? gate.certificate || app.table.gate.http or [ ] != [ ];
  hasPassword =
    app:
    let
      url = toString (app.table.recipe.url or "");
    in
    builtins.match "https?://[^/?#]*@.*|[a-z]+://[^/?#@]*:[^/?#@]*@.*" url != null;
  asksNothing = app: app.table.gate.http or null == [ ];
  keycloak = lib.filter (app: app.key == "warm_keycloak") apps;
in
shared
++ alike
++ [
  (refuseApps named (app: !isName app.name) ''
    the name becomes part of a domain and a folder's name. Use lower-case letters, digits, and hyphens inside, at
    most 40.
  '')
  (refuseApps named (app: lib.elem app.name reserved) ''
    the name is reserved: the state directory or the command line gives it another meaning. Choose another.
  '')
  (refuse (shown != [ ]) ''
    ${lib.concatStringsSep ", " shown}: looks like a secret, and env is readable by everybody on this host. Write it
    to a file and name that in envFiles, or in secrets where the recipe has a secret for it. If it is none, add the
    variable's name to services.evenkeel.publicVariables.
  '')
  (refuseApps apps hasPassword ''
    recipe.url carries credentials. Put `user:token` into a file and name it as recipe.credentials.
  '')
  (refuseApps named (app: !hasProxy && asks app) ''
    the gate asks over http, and without services.evenkeel.proxy nobody answers. Declare the proxy, or leave
    gate.http and gate.certificate out: Swarm's verdict counts then.
  '')
  (refuse (settings ? warm_keycloak && !hasProxy) ''
    services.evenkeel.warmKeycloak is reached through the proxy, and there is none. Declare services.evenkeel.proxy.
  '')
  (refuseApps keycloak asksNothing ''
    a gate that asks for nothing calls a Keycloak healthy whose migration still runs. Leave gate.http out:
    /realms/master is asked then.
  '')
]
