# From options to what stands in the configuration: `finalSettings`. null means: the key is left out, and the program's own
# default holds. Where the options and `settings` give one key, they have to agree.
{
  config,
  lib,
  ...
}:
let
  inherit (builtins) isAttrs isList;
  cfg = config.services.evenkeel;
  names = import ./names.nix { inherit lib; };
  inherit (names) keys;

  withoutNulls =
    value:
    if isAttrs value then
      lib.mapAttrs (_: withoutNulls) (lib.filterAttrs (_: v: v != null) value)
    else if isList value then
      map withoutNulls value
    else
      value;

  isUsed = _: v: v != null && v != { };
  # null where the one app of a kind is not declared.
  ofOne = kind: value: if value == null then null else keys (removeAttrs value (kind.units or [ ]));
  tableOf = kind: value: if kind ? name then ofOne kind value else lib.mapAttrs (_: keys) value;
  tables = lib.listToAttrs (
    map (kind: lib.nameValuePair kind.key (tableOf kind cfg.${kind.option})) (import ./kinds.nix)
  );
  comfortable = lib.filterAttrs isUsed (
    tables
    // {
      base_domain = cfg.baseDomain;
      state_dir = cfg.stateDir;
      network = keys cfg.network;
      registry_auth = cfg.registryAuthFile;
      max_tests = cfg.maxTests;
      alerts = keys cfg.alerts;
      prune = keys { inherit (cfg.prune) watermark; };
      # Its files alone make no proxy: refusals/host.nix says so.
      proxy =
        if cfg.proxy == null && !(given ? proxy) then
          null
        else
          lib.recursiveUpdate (keys (if cfg.proxy == null then { } else cfg.proxy)) (keys {
            inherit (cfg) certificate;
          });
    }
  );
  given = lib.filterAttrs isUsed (withoutNulls cfg.settings);

  # Keys that both give, with different values.
  clashes =
    path: a: b:
    lib.concatLists (
      lib.mapAttrsToList (
        name: value:
        let
          here = path ++ [ name ];
          other = a.${name};
        in
        if !(a ? ${name}) || other == value then
          [ ]
        else if isAttrs other && isAttrs value then
          clashes here other value
        else
          [ here ]
      ) b
    );
  clash = path: {
    assertion = false;
    message = "${names.option path} and services.evenkeel.settings.${lib.concatStringsSep "." path} are one key of the configuration, and say different things. Take one of the two out.";
  };
in
{
  config = {
    services.evenkeel.finalSettings = lib.recursiveUpdate comfortable given;
    assertions = lib.optionals cfg.enable (map clash (clashes [ ] comfortable given));
  };
}
