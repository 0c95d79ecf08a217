# From options to the keys of the program: `finalSettings` is what stands in the file.
#
# Options are written as `baseDomain`, keys as `base_domain`; everything else is the same. null means: the key is left
# out, and the program's own default holds. Names that the operator chose (apps, variables, secrets, headers) stay.
{
  config,
  lib,
  ...
}:
let
  inherit (builtins)
    elem
    isAttrs
    isList
    ;
  cfg = config.services.evenkeel;

  chosenNames = [
    "env"
    "secrets"
    "header"
  ];

  toKey = lib.concatMapStrings (c: if lib.toLower c == c then c else "_${lib.toLower c}");
  key = name: toKey (lib.stringToCharacters name);

  withoutNulls =
    value:
    if isAttrs value then
      lib.mapAttrs (_: withoutNulls) (lib.filterAttrs (_: v: v != null) value)
    else if isList value then
      map withoutNulls value
    else
      value;

  isEmpty = v: v == null || v == { };
  keys =
    value:
    if isList value then
      map keys value
    else if isAttrs value then
      lib.filterAttrs (_: v: !isEmpty v) (
        lib.mapAttrs' (name: v: lib.nameValuePair (key name) (if elem name chosenNames then v else keys v)) value
      )
    else
      value;

  comfortable = lib.filterAttrs (_: v: !isEmpty v) {
    base_domain = cfg.baseDomain;
    state_dir = cfg.stateDir;
    network = keys { inherit (cfg.network) name subnet; };
    registry_auth = cfg.registryAuthFile;
    max_tests = cfg.maxTests;
    alerts = keys { inherit (cfg.alerts) webhook format command; };
    prune = keys { inherit (cfg.prune) watermark; };
    # Files alone make no proxy: assertions.nix says so.
    proxy =
      if cfg.proxy == null && !(given ? proxy) then
        null
      else
        lib.recursiveUpdate (keys (if cfg.proxy == null then { } else cfg.proxy)) (keys {
          certificate = { inherit (cfg.certificate) chain key; };
        });
    warm_keycloak = keys cfg.warmKeycloak;
    app = lib.mapAttrs (_: keys) cfg.apps;
  };
  # Typed keys of which none is given.
  groups = [
    "network"
    "alerts"
    "prune"
  ];
  isUnused = name: v: v == { } && elem name groups;
  given = lib.filterAttrs (name: v: !isUnused name v) (withoutNulls cfg.settings);

  # Keys that both levels give, with different values.
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

  # The option of a key: `[ "app" "notes" "env_files" ]` -> `apps.notes.envFiles`.
  toOption =
    path:
    let
      words = lib.splitString "_" (lib.head path);
      upper = word: lib.toUpper (builtins.substring 0 1 word) + builtins.substring 1 (-1) word;
      word = lib.concatStrings ([ (lib.head words) ] ++ map upper (lib.tail words));
    in
    if path == [ ] then
      [ ]
    else if elem (lib.head path) chosenNames then
      path
    else
      [ word ] ++ toOption (lib.tail path);
  optionOf =
    path:
    if path == [ "registry_auth" ] then
      [ "registryAuthFile" ]
    else if lib.head path == "app" then
      [
        "apps"
        (builtins.elemAt path 1)
      ]
      ++ toOption (lib.drop 2 path)
    else if lib.take 2 path == [ "proxy" "certificate" ] then
      toOption (lib.tail path)
    else
      toOption path;
  option = path: "services.evenkeel.${lib.concatStringsSep "." path}";
in
{
  config = {
    services.evenkeel.finalSettings = lib.recursiveUpdate comfortable given;

    assertions = lib.optionals cfg.enable (
      map (path: {
        assertion = false;
        message = "${option (optionOf path)} and ${
          option ([ "settings" ] ++ path)
        } are one key of the configuration, and say different things. Take one of the two out.";
      }) (clashes [ ] comfortable given)
    );
  };
}
